/* EDID: what the display tells the guest about itself. VESA E-EDID 1.4, and DisplayID 1.3 for modes beyond it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define EDID_BLOCK_SIZE 128
#define EDID_SIZE_MAX (2 * EDID_BLOCK_SIZE)

/*
 * Describes a display at 96 DPI whose preferred mode is width x height (clamped to 640x480 .. 16000x12000) at 60 Hz.
 * Returns the number of bytes: one block, or two where the mode exceeds what a base block can express.
 */
size_t edid_build(uint8_t edid[EDID_SIZE_MAX], unsigned width, unsigned height);
