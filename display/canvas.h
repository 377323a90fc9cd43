/*
 * A small picture that the window draws itself: menus, dialogs, banners. Pixels are 0xAARRGGBB with the colour
 * multiplied by alpha; colours given to the drawing calls are not multiplied.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "font.h"
#include "layout.h"

struct canvas {
	int width, height;
	unsigned serial; /* differs between canvases and after each drawing: a copy of it may be kept */
	uint32_t *pixels;
};

/* Transparent. */
struct canvas *canvas_new(int width, int height);
void canvas_free(struct canvas *canvas);

/* radius: of the corners, 0 for none. */
void canvas_fill(struct canvas *canvas, const struct rectangle *area, int radius, uint32_t color);
/* Draws one line of UTF-8 with its top left at x, y and returns its width. canvas NULL: only measures. */
int canvas_text(struct canvas *canvas, const struct font *font, int x, int y, uint32_t color, const char *text);
/* The same in lines no wider than width, and returns the height of all of them. canvas NULL: only measures. */
int canvas_paragraph(struct canvas *canvas, const struct font *font, int x, int y, int width, uint32_t color,
		     const char *text);
