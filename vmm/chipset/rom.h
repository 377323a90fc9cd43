/* The firmware's image, as the host bridge shows it. */
#pragma once

#include <stdint.h>

struct rom {
	/* Page-aligned, stays the caller's and must outlive the host bridge; never written. NULL: no firmware. */
	uint8_t *image;
	uint64_t size; /* multiple of 64 KiB, at most 16 MiB */
};
