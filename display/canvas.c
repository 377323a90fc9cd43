#include "canvas.h"

#include <string.h>

#include <glib.h>
#include <math.h>

struct canvas *canvas_new(int width, int height)
{
	static gint serials;
	struct canvas *canvas = g_new0(struct canvas, 1);

	canvas->width = width;
	canvas->height = height;
	canvas->serial = (unsigned)g_atomic_int_add(&serials, 1) + 1;
	canvas->pixels = g_new0(uint32_t, (size_t)width * height);
	return canvas;
}

void canvas_free(struct canvas *canvas)
{
	if (!canvas)
		return;
	g_free(canvas->pixels);
	g_free(canvas);
}

static unsigned scaled(unsigned value, unsigned alpha)
{
	return (value * alpha + 127) / 255;
}

/* Lays color over a pixel; coverage 0 to 255 is how much of the pixel it meets. */
static void blend(struct canvas *canvas, int x, int y, uint32_t color, unsigned coverage)
{
	uint32_t *pixel = &canvas->pixels[(size_t)y * canvas->width + x];
	unsigned alpha = scaled(color >> 24, coverage), keep = 255 - alpha, result = 0;

	for (unsigned shift = 0; shift < 24; shift += 8) {
		unsigned value = scaled(color >> shift & 0xff, alpha) + scaled(*pixel >> shift & 0xff, keep);

		result |= MIN(value, 255) << shift;
	}
	*pixel = result | MIN(alpha + scaled(*pixel >> 24, keep), 255) << 24;
}

/* How much of the pixel at x, y from a corner's outer edges lies inside the rounding. */
static unsigned corner_coverage(int x, int y, int radius)
{
	double dx, dy, inside;

	if (x >= radius || y >= radius)
		return 255;
	dx = radius - x - 0.5;
	dy = radius - y - 0.5;
	inside = radius - sqrt(dx * dx + dy * dy) + 0.5;
	return (unsigned)(CLAMP(inside, 0, 1) * 255);
}

void canvas_fill(struct canvas *canvas, const struct rectangle *area, int radius, uint32_t color)
{
	int left = MAX(area->x, 0), right = MIN(area->x + area->width, canvas->width);
	int top = MAX(area->y, 0), bottom = MIN(area->y + area->height, canvas->height);

	for (int y = top; y < bottom; y++) {
		int from_edge_y = MIN(y - area->y, area->y + area->height - 1 - y);

		for (int x = left; x < right; x++) {
			int from_edge_x = MIN(x - area->x, area->x + area->width - 1 - x);

			blend(canvas, x, y, color, corner_coverage(from_edge_x, from_edge_y, radius));
		}
	}
}

static const struct font_glyph *find_glyph(const struct font *font, gunichar character)
{
	unsigned low = 0, high = font->count;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (font->glyphs[middle].character == character)
			return &font->glyphs[middle];
		if (font->glyphs[middle].character < character)
			low = middle + 1;
		else
			high = middle;
	}
	/* The last one stands for what the font does not have. */
	return &font->glyphs[font->count - 1];
}

static void draw_glyph(struct canvas *canvas, const struct font *font, const struct font_glyph *glyph, int x, int y,
		       uint32_t color)
{
	const uint8_t *coverage = font->coverage + glyph->offset;

	x += glyph->left;
	y += (int)font->ascent - glyph->top;
	for (int row = 0; row < glyph->height; row++) {
		for (int column = 0; column < glyph->width; column++, coverage++) {
			int to_x = x + column, to_y = y + row;

			if (*coverage && to_x >= 0 && to_y >= 0 && to_x < canvas->width && to_y < canvas->height)
				blend(canvas, to_x, to_y, color, *coverage);
		}
	}
}

static int draw_text(struct canvas *canvas, const struct font *font, int x, int y, uint32_t color, const char *text,
		     const char *end)
{
	int start = x;

	while (text < end) {
		gunichar character = g_utf8_get_char_validated(text, end - text);
		const struct font_glyph *glyph;

		if (character & 0x80000000) { /* not UTF-8: a byte of something else */
			character = 0xfffd;
			text++;
		} else {
			text = g_utf8_next_char(text);
		}
		glyph = find_glyph(font, character);
		if (canvas)
			draw_glyph(canvas, font, glyph, x, y, color);
		x += glyph->advance;
	}
	return x - start;
}

int canvas_text(struct canvas *canvas, const struct font *font, int x, int y, uint32_t color, const char *text)
{
	return draw_text(canvas, font, x, y, color, text, text + strlen(text));
}

/* The end of the words from text on that fit into width: at least a word, at most up to a line's end. */
static const char *fitting_end(const struct font *font, const char *text, int width)
{
	const char *end = NULL;

	for (const char *next = text;; next++) {
		if (*next != ' ' && *next != '\n' && *next)
			continue;
		if (end && draw_text(NULL, font, 0, 0, 0, text, next) > width)
			return end;
		end = next;
		if (*next != ' ')
			return end;
	}
}

/* A word that is wider than a line, such as a path, is cut in the middle. */
static const char *cut_to_width(const struct font *font, const char *text, const char *end, int width)
{
	while (end > text + 1 && draw_text(NULL, font, 0, 0, 0, text, end) > width) {
		const char *previous = g_utf8_find_prev_char(text, end);

		end = previous && previous > text ? previous : end - 1;
	}
	return end;
}

int canvas_paragraph(struct canvas *canvas, const struct font *font, int x, int y, int width, uint32_t color,
		     const char *text)
{
	int height = 0;

	while (*text) {
		const char *end = cut_to_width(font, text, fitting_end(font, text, width), width);

		draw_text(canvas, font, x, y + height, color, text, end);
		height += (int)font->line;
		text = *end == ' ' || *end == '\n' ? end + 1 : end;
	}
	return height;
}
