/* By what guests know a disk again. */
#pragma once

#include <stdint.h>

#define IDENTITY_SERIAL_SIZE 21 /* 20 characters and a 0 */

/*
 * The serial number that the user chose, or one derived from the image's path; and 40 bits, the same for as long as
 * the serial number or the path is, for names that should be unique in the world.
 */
uint64_t identity_derive(const char *path, const char *chosen, char serial[IDENTITY_SERIAL_SIZE]);
