#include "picture.h"

#include <png.h>
#include <string.h>

#define GLYPH_ROWS 32

struct glyph {
	bool present;
	unsigned width, height;
	int offset_x, top; /* where the bitmap lies in its cell */
	unsigned advance;
	uint32_t rows[GLYPH_ROWS]; /* bit 31 is the leftmost pixel */
};

struct font {
	unsigned height;
	struct glyph glyphs[256];
};

struct picture *picture_load(const char *path, GError **error)
{
	png_image image = { .version = PNG_IMAGE_VERSION };
	struct picture *picture;
	g_autofree uint8_t *bytes = NULL;

	if (!png_image_begin_read_from_file(&image, path)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: %s", path, image.message);
		return NULL;
	}
	image.format = PNG_FORMAT_RGB;
	bytes = g_malloc(PNG_IMAGE_SIZE(image));
	if (!png_image_finish_read(&image, NULL, bytes, 0, NULL)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s: %s", path, image.message);
		png_image_free(&image);
		return NULL;
	}
	picture = g_new0(struct picture, 1);
	picture->width = image.width;
	picture->height = image.height;
	picture->pixels = g_new(uint32_t, (size_t)image.width * image.height);
	for (size_t i = 0; i < (size_t)image.width * image.height; i++)
		picture->pixels[i] = bytes[3 * i] << 16 | bytes[3 * i + 1] << 8 | bytes[3 * i + 2];
	return picture;
}

void picture_free(struct picture *picture)
{
	if (picture)
		g_free(picture->pixels);
	g_free(picture);
}

struct area picture_whole(const struct picture *picture)
{
	return (struct area){ 0, 0, picture->width, picture->height };
}

static struct area cut(const struct picture *picture, struct area area)
{
	area.x = MIN(area.x, picture->width);
	area.y = MIN(area.y, picture->height);
	area.width = MIN(area.width, picture->width - area.x);
	area.height = MIN(area.height, picture->height - area.y);
	return area;
}

static uint32_t pixel(const struct picture *picture, unsigned x, unsigned y)
{
	return picture->pixels[(size_t)y * picture->width + x];
}

unsigned picture_count(const struct picture *picture, struct area area, uint32_t colour)
{
	unsigned count = 0;

	area = cut(picture, area);
	for (unsigned y = area.y; y < area.y + area.height; y++)
		for (unsigned x = area.x; x < area.x + area.width; x++)
			count += pixel(picture, x, y) == colour;
	return count;
}

/* Colour -> number of pixels. */
static GHashTable *count_colours(const struct picture *picture, struct area area, unsigned limit)
{
	GHashTable *counts = g_hash_table_new(NULL, NULL);

	area = cut(picture, area);
	for (unsigned y = area.y; y < area.y + area.height; y++) {
		for (unsigned x = area.x; x < area.x + area.width; x++) {
			void *key = GUINT_TO_POINTER(pixel(picture, x, y));

			g_hash_table_insert(counts, key, (char *)g_hash_table_lookup(counts, key) + 1);
			if (g_hash_table_size(counts) >= limit)
				return counts;
		}
	}
	return counts;
}

uint32_t picture_main_colour(const struct picture *picture, struct area area)
{
	g_autoptr(GHashTable) counts = count_colours(picture, area, G_MAXUINT);
	GHashTableIter iter;
	void *key, *value;
	uintptr_t best = 0;
	uint32_t colour = 0;

	g_hash_table_iter_init(&iter, counts);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		if ((uintptr_t)value > best) {
			best = (uintptr_t)value;
			colour = GPOINTER_TO_UINT(key);
		}
	}
	return colour;
}

unsigned picture_colours(const struct picture *picture, unsigned limit)
{
	g_autoptr(GHashTable) counts = count_colours(picture, picture_whole(picture), limit);

	return g_hash_table_size(counts);
}

unsigned picture_difference(const struct picture *a, const struct picture *b, struct area area)
{
	unsigned count = 0;

	if (a->width != b->width || a->height != b->height)
		return G_MAXUINT;
	area = cut(a, area);
	for (unsigned y = area.y; y < area.y + area.height; y++)
		for (unsigned x = area.x; x < area.x + area.width; x++)
			count += pixel(a, x, y) != pixel(b, x, y);
	return count;
}

struct font *font_from_vga_bios(GError **error)
{
	static const char path[] = "/usr/share/seabios/vgabios-stdvga.bin";
	/* Of the 8x16 font of every VGA: character 0 is empty, character 1 a face, of which this is the beginning. */
	static const uint8_t start[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					 0, 0, 0x7e, 0x81, 0xa5, 0x81, 0x81 };
	g_autofree char *rom = NULL;
	gsize size;
	const uint8_t *bytes;
	struct font *font;

	if (!g_file_get_contents(path, &rom, &size, error))
		return NULL;
	bytes = memmem(rom, size, start, sizeof start);
	if (!bytes || bytes + 4096 > (const uint8_t *)rom + size) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s has no 8x16 font", path);
		return NULL;
	}
	font = g_new0(struct font, 1);
	font->height = 16;
	for (unsigned i = 0; i < 256; i++) {
		struct glyph *glyph = &font->glyphs[i];

		*glyph = (struct glyph){ .present = true, .width = 8, .height = 16, .advance = 8 };
		for (unsigned row = 0; row < 16; row++)
			glyph->rows[row] = (uint32_t)bytes[i * 16 + row] << 24;
	}
	return font;
}

static uint32_t read_be32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
}

static int read_be16(const uint8_t *bytes)
{
	return (int16_t)(bytes[0] << 8 | bytes[1]);
}

/* A PF2 file is a list of sections: name, big-endian length, contents; "CHIX" lists the glyphs of "DATA". */
static const uint8_t *find_section(const uint8_t *bytes, gsize size, const char *name, uint32_t *length)
{
	gsize at = 0;

	while (at + 8 <= size) {
		*length = read_be32(bytes + at + 4);
		if (!memcmp(bytes + at, name, 4))
			return *length <= size - at - 8 ? bytes + at + 8 : NULL;
		if (!memcmp(bytes + at, "DATA", 4) || *length > size - at - 8)
			return NULL;
		at += 8 + *length;
	}
	return NULL;
}

/* width, height, x and y offset from the baseline, device width, then bits without padding between rows. */
static void take_pf2_glyph(struct glyph *glyph, const uint8_t *bytes, const uint8_t *end, int ascent)
{
	unsigned bit = 0;

	if (end - bytes < 10)
		return;
	glyph->width = MIN(read_be16(bytes), 32);
	glyph->height = MIN(read_be16(bytes + 2), GLYPH_ROWS);
	glyph->offset_x = read_be16(bytes + 4);
	glyph->top = ascent - read_be16(bytes + 6) - (int)glyph->height;
	glyph->advance = read_be16(bytes + 8);
	bytes += 10;
	if ((unsigned)(end - bytes) * 8 < glyph->width * glyph->height)
		return;
	for (unsigned y = 0; y < glyph->height; y++) {
		for (unsigned x = 0; x < glyph->width; x++, bit++) {
			if (bytes[bit / 8] & 0x80 >> bit % 8)
				glyph->rows[y] |= 0x80000000 >> x;
		}
	}
	glyph->present = true;
}

struct font *font_from_pf2(const char *path, GError **error)
{
	g_autofree char *text = NULL;
	const uint8_t *bytes, *index, *ascent, *descent;
	uint32_t length, ignored;
	struct font *font;
	gsize size;

	if (!g_file_get_contents(path, &text, &size, error))
		return NULL;
	bytes = (const uint8_t *)text;
	index = find_section(bytes, size, "CHIX", &length);
	ascent = find_section(bytes, size, "ASCE", &ignored);
	descent = find_section(bytes, size, "DESC", &ignored);
	if (!index || !ascent || !descent) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is not a PF2 font", path);
		return NULL;
	}
	font = g_new0(struct font, 1);
	font->height = read_be16(ascent) + read_be16(descent);
	/* code point, flags, offset in the file */
	for (const uint8_t *entry = index; entry + 9 <= index + length; entry += 9) {
		uint32_t code = read_be32(entry);
		uint32_t offset = read_be32(entry + 5);

		if (code < 256 && offset < size)
			take_pf2_glyph(&font->glyphs[code], bytes + offset, bytes + size, read_be16(ascent));
	}
	return font;
}

void font_free(struct font *font)
{
	g_free(font);
}

/* The text as it would be drawn: one byte a pixel. */
struct pattern {
	unsigned width, height;
	uint8_t *pixels;
	unsigned on, off; /* indices of one pixel of each kind */
};

static bool draw(struct pattern *pattern, const struct font *font, const char *text, unsigned extra)
{
	unsigned x = 0, area;

	pattern->width = 0;
	pattern->height = font->height;
	for (const char *c = text; *c; c++)
		pattern->width += font->glyphs[(uint8_t)*c].advance + extra;
	area = pattern->width * pattern->height;
	pattern->pixels = g_new0(uint8_t, area);
	for (const char *c = text; *c; c++) {
		const struct glyph *glyph = &font->glyphs[(uint8_t)*c];

		for (unsigned row = 0; row < glyph->height; row++) {
			for (unsigned column = 0; column < glyph->width; column++) {
				unsigned px = x + glyph->offset_x + column, py = glyph->top + row;

				if (px < pattern->width && py < pattern->height &&
				    glyph->rows[row] & 0x80000000 >> column)
					pattern->pixels[py * pattern->width + px] = 1;
			}
		}
		x += glyph->advance + extra;
	}
	for (pattern->on = 0; pattern->on < area && !pattern->pixels[pattern->on];)
		pattern->on++;
	for (pattern->off = 0; pattern->off < area && pattern->pixels[pattern->off];)
		pattern->off++;
	return pattern->on < area && pattern->off < area;
}

static uint32_t pattern_pixel(const struct picture *picture, const struct pattern *pattern, unsigned x, unsigned y,
			      unsigned index)
{
	return pixel(picture, x + index % pattern->width, y + index / pattern->width);
}

static bool matches(const struct picture *picture, const struct pattern *pattern, unsigned x, unsigned y)
{
	uint32_t colours[2] = {
		pattern_pixel(picture, pattern, x, y, pattern->off),
		pattern_pixel(picture, pattern, x, y, pattern->on),
	};

	if (colours[0] == colours[1])
		return false;
	for (unsigned row = 0; row < pattern->height; row++) {
		const uint32_t *line = &picture->pixels[(size_t)(y + row) * picture->width + x];
		const uint8_t *wanted = &pattern->pixels[row * pattern->width];

		for (unsigned column = 0; column < pattern->width; column++)
			if (line[column] != colours[wanted[column]])
				return false;
	}
	return true;
}

static bool find_pattern(const struct picture *picture, const struct pattern *pattern, struct area *found)
{
	for (unsigned y = 0; y + pattern->height <= picture->height; y++) {
		for (unsigned x = 0; x + pattern->width <= picture->width; x++) {
			if (!matches(picture, pattern, x, y))
				continue;
			if (found)
				*found = (struct area){ x, y, pattern->width, pattern->height };
			return true;
		}
	}
	return false;
}

bool picture_find_text(const struct picture *picture, const struct font *font, const char *text, struct area *found)
{
	bool result = false;

	for (unsigned extra = 0; extra < 2 && !result; extra++) {
		struct pattern pattern;

		result = draw(&pattern, font, text, extra) && find_pattern(picture, &pattern, found);
		g_free(pattern.pixels);
	}
	return result;
}

static char read_cell(const struct picture *picture, const struct font *font, struct area cell)
{
	uint32_t background = picture_main_colour(picture, cell);
	uint32_t rows[GLYPH_ROWS] = { 0 };

	for (unsigned y = 0; y < font->height; y++)
		for (unsigned x = 0; x < 8; x++)
			if (pixel(picture, cell.x + x, cell.y + y) != background)
				rows[y] |= 0x80000000 >> x;
	for (unsigned code = 32; code < 127; code++)
		if (!memcmp(rows, font->glyphs[code].rows, font->height * sizeof *rows))
			return (char)code;
	return '?';
}

char *picture_read_text(const struct picture *picture, const struct font *font)
{
	unsigned width = picture->width % 9 ? 8 : 9;
	GString *text = g_string_new(NULL);

	for (unsigned y = 0; y + font->height <= picture->height; y += font->height) {
		g_autoptr(GString) line = g_string_new(NULL);

		for (unsigned x = 0; x + width <= picture->width; x += width)
			g_string_append_c(line, read_cell(picture, font, (struct area){ x, y, width, font->height }));
		g_string_append_printf(text, "%s\n", g_strchomp(line->str));
	}
	return g_string_free(text, FALSE);
}
