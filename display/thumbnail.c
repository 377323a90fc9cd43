#include "thumbnail.h"

#include <string.h>

/* Rows of a box that count: more of them cost time, and nobody sees them. */
#define BOX_ROWS 4

struct sum {
	uint32_t red, green, blue;
};

static void choose_size(const struct scanout_picture *picture, unsigned max_width, unsigned max_height,
			struct thumbnail *thumbnail)
{
	uint64_t shape_x = picture->aspect_x ? picture->aspect_x : picture->width;
	uint64_t shape_y = picture->aspect_x ? picture->aspect_y : picture->height;
	uint64_t width = MIN(max_width, picture->width);
	uint64_t height = width * shape_y / shape_x;

	if (height > max_height) {
		height = max_height;
		width = MIN(max_width, height * shape_x / shape_y);
	}
	thumbnail->width = (unsigned)MAX(width, 1);
	thumbnail->height = (unsigned)MAX(height, 1);
}

/* Adds a row of the picture to the sums of a row of the thumbnail. */
static void add_row(const uint32_t *row, unsigned width, struct sum *sums, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned first = (unsigned)((uint64_t)i * width / count);
		unsigned end = MAX((unsigned)((uint64_t)(i + 1) * width / count), first + 1);

		for (unsigned x = first; x < end; x++) {
			sums[i].red += row[x] >> 16 & 0xff;
			sums[i].green += row[x] >> 8 & 0xff;
			sums[i].blue += row[x] & 0xff;
		}
	}
}

static void store_row(const struct sum *sums, unsigned width, unsigned count, unsigned rows, uint8_t *out)
{
	for (unsigned i = 0; i < count; i++, out += 3) {
		unsigned first = (unsigned)((uint64_t)i * width / count);
		unsigned end = MAX((unsigned)((uint64_t)(i + 1) * width / count), first + 1);
		uint32_t pixels = (end - first) * rows;

		out[0] = (uint8_t)(sums[i].red / pixels);
		out[1] = (uint8_t)(sums[i].green / pixels);
		out[2] = (uint8_t)(sums[i].blue / pixels);
	}
}

static void scale(const struct scanout_picture *picture, struct thumbnail *thumbnail)
{
	g_autofree uint32_t *row = g_new(uint32_t, picture->width);
	g_autofree struct sum *sums = g_new(struct sum, thumbnail->width);

	for (unsigned y = 0; y < thumbnail->height; y++) {
		unsigned first = (unsigned)((uint64_t)y * picture->height / thumbnail->height);
		unsigned end = (unsigned)((uint64_t)(y + 1) * picture->height / thumbnail->height);
		unsigned box = MAX(end, first + 1) - first, rows = MIN(box, BOX_ROWS);

		memset(sums, 0, thumbnail->width * sizeof *sums);
		for (unsigned i = 0; i < rows; i++) {
			scanout_convert_row(picture, first + i * box / rows, row);
			add_row(row, picture->width, sums, thumbnail->width);
		}
		store_row(sums, picture->width, thumbnail->width, rows,
			  thumbnail->pixels + (size_t)y * thumbnail->width * 3);
	}
}

/* FNV-1a, 64 bits. */
static uint64_t digest(const struct thumbnail *thumbnail)
{
	uint64_t value = 0xcbf29ce484222325 ^ ((uint64_t)thumbnail->width << 32 | thumbnail->height);

	for (size_t i = 0; i < thumbnail->size; i++)
		value = (value ^ thumbnail->pixels[i]) * 0x100000001b3;
	return value ? value : 1;
}

void thumbnail_take(struct scanout *scanout, unsigned max_width, unsigned max_height, struct thumbnail *thumbnail)
{
	struct scanout_listener reader = { 0 };
	struct scanout_picture picture;
	struct scanout_damage damage;

	memset(thumbnail, 0, sizeof *thumbnail);
	scanout_take(scanout, &reader, &picture, &damage);
	if (picture.width && picture.height) {
		choose_size(&picture, max_width, max_height, thumbnail);
		thumbnail->size = (size_t)thumbnail->width * thumbnail->height * 3;
		thumbnail->pixels = g_malloc(thumbnail->size);
		scale(&picture, thumbnail);
		thumbnail->digest = digest(thumbnail);
	}
	scanout_memory_unref(picture.memory);
}

void thumbnail_finish(struct thumbnail *thumbnail)
{
	g_free(thumbnail->pixels);
	thumbnail->pixels = NULL;
}
