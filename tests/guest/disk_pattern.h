/* What the test disc's "check SECTOR COUNT" leaves on its disk. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether the image's sectors hold what a check of exactly these has written. */
bool disk_pattern_found(const char *image, uint64_t sector, uint32_t count);
