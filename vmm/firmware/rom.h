/*
 * Firmware images from files, in page-aligned memory that can be shown to the guest.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rom {
	uint8_t *data; /* page-aligned */
	size_t size;
};

/* SeaBIOS: 64 KiB to 16 MiB, a multiple of 64 KiB, as it ends at 4 GiB. path NULL: the distribution's. */
bool rom_load_bios(struct rom *rom, const char *path, GError **error);
/* An option ROM for the standard VGA, with its signature and length checked. path NULL: the distribution's. */
bool rom_load_vga(struct rom *rom, const char *path, GError **error);
/* Also for a zeroed one. */
void rom_free(struct rom *rom);
