/*
 * Letters for the window's own texts: a font drawn at build time (font_generator.c), so that the program needs neither
 * a font library nor fonts at run time. Latin, Greek and Cyrillic.
 */
#pragma once

#include <stdint.h>

struct font_glyph {
	uint16_t character;
	int8_t left;   /* from the pen to the first column */
	int8_t top;    /* from the base line up to the first row */
	uint8_t width, height;
	uint8_t advance;
	uint32_t offset; /* of its width x height bytes of coverage */
};

struct font {
	unsigned ascent, line; /* pixels above the base line; from line to line */
	unsigned count;
	const struct font_glyph *glyphs; /* by character, ascending */
	const uint8_t *coverage;
};

enum font_style {
	FONT_SMALL,
	FONT_TEXT,
	FONT_TITLE,
	FONT_STYLES,
};

enum {
	FONT_SCALES = 2, /* pixels as they are, and doubled for dense displays */
};

extern const struct font font_faces[FONT_SCALES][FONT_STYLES];
