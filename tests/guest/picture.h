/*
 * What a guest shows: screenshots loaded from PNG, compared, and searched for text drawn in a bitmap font.
 *
 * Colours are 0xrrggbb.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct picture {
	unsigned width, height;
	uint32_t *pixels; /* row by row */
};

struct area {
	unsigned x, y, width, height;
};

/* NULL and an error if the file is not a complete PNG. */
struct picture *picture_load(const char *path, GError **error);
void picture_free(struct picture *picture);
/* Pixels of this colour inside the area, which is cut at the picture's borders. */
unsigned picture_count(const struct picture *picture, struct area area, uint32_t colour);
/* The colour that most of the area's pixels have. */
uint32_t picture_main_colour(const struct picture *picture, struct area area);
/* Number of different colours, counted up to the limit. */
unsigned picture_colours(const struct picture *picture, unsigned limit);
/* Pixels that differ inside the area; G_MAXUINT if the sizes do. */
unsigned picture_difference(const struct picture *a, const struct picture *b, struct area area);
struct area picture_whole(const struct picture *picture);

struct font;

/* The 8x16 font of text modes, taken out of the distribution's VGA BIOS. */
struct font *font_from_vga_bios(GError **error);
/* GRUB's format. */
struct font *font_from_pf2(const char *path, GError **error);
void font_free(struct font *font);

/*
 * Looks for ASCII text in one foreground and one background colour, whatever they are, at any place. The cells
 * of text modes can be nine pixels wide. Fills found (may be NULL) with the text's cells.
 */
bool picture_find_text(const struct picture *picture, const struct font *font, const char *text, struct area *found);
/* A text mode's screen as lines of text, with ? for what the font does not have, for people. Free with g_free(). */
char *picture_read_text(const struct picture *picture, const struct font *font);
