#include "scanout.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <png.h>
#include <string.h>

unsigned scanout_pixel_size(enum scanout_format format)
{
	static const unsigned sizes[] = {
		[SCANOUT_XRGB8888] = 4, [SCANOUT_RGB888] = 3,	[SCANOUT_RGB565] = 2,
		[SCANOUT_XRGB1555] = 2, [SCANOUT_INDEXED8] = 1,
	};

	return sizes[format];
}

static void free_heap_memory(struct scanout_memory *memory)
{
	g_free(memory->data);
	g_free(memory);
}

struct scanout_memory *scanout_memory_new(size_t size)
{
	struct scanout_memory *memory = g_new0(struct scanout_memory, 1);

	memory->references = 1;
	memory->data = g_malloc0(size);
	memory->size = size;
	memory->free = free_heap_memory;
	return memory;
}

struct scanout_memory *scanout_memory_ref(struct scanout_memory *memory)
{
	g_atomic_int_inc(&memory->references);
	return memory;
}

void scanout_memory_unref(struct scanout_memory *memory)
{
	if (memory && g_atomic_int_dec_and_test(&memory->references))
		memory->free(memory);
}

void scanout_init(struct scanout *scanout)
{
	memset(scanout, 0, sizeof(*scanout));
	g_mutex_init(&scanout->lock);
	scanout->listeners = g_ptr_array_new();
}

void scanout_finish(struct scanout *scanout)
{
	scanout_memory_unref(scanout->picture.memory);
	g_ptr_array_unref(scanout->listeners);
	g_mutex_clear(&scanout->lock);
}

void scanout_set_producer(struct scanout *scanout, void (*watch_changed)(void *producer), void *producer)
{
	g_mutex_lock(&scanout->lock);
	scanout->watch_changed = watch_changed;
	scanout->producer = producer;
	g_mutex_unlock(&scanout->lock);
}

void scanout_set_observer(struct scanout *scanout, void (*picture_changed)(void *observer), void *observer)
{
	g_mutex_lock(&scanout->lock);
	scanout->picture_changed = picture_changed;
	scanout->observer = observer;
	g_mutex_unlock(&scanout->lock);
}

static void add_damage(struct scanout_listener *listener, unsigned first, unsigned end)
{
	struct scanout_damage *damage = &listener->damage;

	if (damage->first < damage->end) {
		damage->first = MIN(damage->first, first);
		damage->end = MAX(damage->end, end);
		return;
	}
	*damage = (struct scanout_damage){ first, end };
	if (listener->damaged)
		listener->damaged(listener);
}

static void damage_all(struct scanout *scanout, unsigned first, unsigned end)
{
	for (guint i = 0; i < scanout->listeners->len; i++)
		add_damage(scanout->listeners->pdata[i], first, end);
}

void scanout_set_picture(struct scanout *scanout, const struct scanout_picture *picture)
{
	void (*picture_changed)(void *observer);
	struct scanout_memory *old;
	void *observer;
	unsigned serial;

	if (picture->memory)
		scanout_memory_ref(picture->memory);
	g_mutex_lock(&scanout->lock);
	old = scanout->picture.memory;
	serial = scanout->picture.serial + 1;
	scanout->picture = *picture;
	scanout->picture.serial = serial;
	damage_all(scanout, 0, MAX(picture->height, 1));
	picture_changed = scanout->picture_changed;
	observer = scanout->observer;
	g_mutex_unlock(&scanout->lock);
	scanout_memory_unref(old);
	if (picture_changed)
		picture_changed(observer);
}

void scanout_damage(struct scanout *scanout, unsigned first, unsigned end)
{
	g_mutex_lock(&scanout->lock);
	end = MIN(end, scanout->picture.height);
	if (first < end)
		damage_all(scanout, first, end);
	g_mutex_unlock(&scanout->lock);
}

void scanout_add_listener(struct scanout *scanout, struct scanout_listener *listener)
{
	g_mutex_lock(&scanout->lock);
	g_ptr_array_add(scanout->listeners, listener);
	listener->damage = (struct scanout_damage){ 0, 0 };
	add_damage(listener, 0, MAX(scanout->picture.height, 1));
	if (scanout->listeners->len == 1 && scanout->watch_changed)
		scanout->watch_changed(scanout->producer);
	g_mutex_unlock(&scanout->lock);
}

void scanout_remove_listener(struct scanout *scanout, struct scanout_listener *listener)
{
	g_mutex_lock(&scanout->lock);
	if (g_ptr_array_remove(scanout->listeners, listener) && !scanout->listeners->len && scanout->watch_changed)
		scanout->watch_changed(scanout->producer);
	g_mutex_unlock(&scanout->lock);
}

void scanout_take(struct scanout *scanout, struct scanout_listener *listener, struct scanout_picture *picture,
		  struct scanout_damage *damage)
{
	g_mutex_lock(&scanout->lock);
	*picture = scanout->picture;
	if (picture->memory)
		scanout_memory_ref(picture->memory);
	*damage = listener->damage;
	listener->damage = (struct scanout_damage){ 0, 0 };
	g_mutex_unlock(&scanout->lock);
}

bool scanout_watched(struct scanout *scanout)
{
	bool watched;

	g_mutex_lock(&scanout->lock);
	watched = scanout->listeners->len > 0;
	g_mutex_unlock(&scanout->lock);
	return watched;
}

static uint32_t from_rgb565(unsigned pixel)
{
	unsigned r = pixel >> 11, g = pixel >> 5 & 63, b = pixel & 31;

	return (r << 3 | r >> 2) << 16 | (g << 2 | g >> 4) << 8 | (b << 3 | b >> 2);
}

static uint32_t from_xrgb1555(unsigned pixel)
{
	unsigned r = pixel >> 10 & 31, g = pixel >> 5 & 31, b = pixel & 31;

	return (r << 3 | r >> 2) << 16 | (g << 3 | g >> 2) << 8 | (b << 3 | b >> 2);
}

void scanout_convert_row(const struct scanout_picture *picture, unsigned row, uint32_t *out)
{
	const uint8_t *in = picture->memory->data + picture->offset + (size_t)row * picture->stride;
	unsigned width = picture->width;

	switch (picture->format) {
	case SCANOUT_XRGB8888:
		for (unsigned x = 0; x < width; x++, in += 4)
			out[x] = (uint32_t)in[2] << 16 | in[1] << 8 | in[0];
		break;
	case SCANOUT_RGB888:
		for (unsigned x = 0; x < width; x++, in += 3)
			out[x] = (uint32_t)in[2] << 16 | in[1] << 8 | in[0];
		break;
	case SCANOUT_RGB565:
		for (unsigned x = 0; x < width; x++, in += 2)
			out[x] = from_rgb565(in[0] | in[1] << 8);
		break;
	case SCANOUT_XRGB1555:
		for (unsigned x = 0; x < width; x++, in += 2)
			out[x] = from_xrgb1555(in[0] | in[1] << 8);
		break;
	case SCANOUT_INDEXED8:
		for (unsigned x = 0; x < width; x++)
			out[x] = picture->palette[in[x]];
		break;
	}
}

static void png_append(png_structp png, png_bytep data, png_size_t length)
{
	g_byte_array_append(png_get_io_ptr(png), data, (guint)length);
}

static void png_no_flush(png_structp png)
{
	(void)png;
}

/* libpng jumps back to the caller of this after an error, with its message in error_ptr. */
static void png_failed(png_structp png, png_const_charp message)
{
	g_strlcpy(png_get_error_ptr(png), message, 128);
	png_longjmp(png, 1);
}

/* Into file; row: room for one. False with a message (128 bytes) on failure. */
static bool encode_png(const struct scanout_picture *picture, uint32_t *row, GByteArray *file, char *message)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, message, png_failed, NULL);
	png_infop info = png ? png_create_info_struct(png) : NULL;

	if (!info || setjmp(png_jmpbuf(png))) {
		png_destroy_write_struct(&png, &info);
		return false;
	}
	png_set_write_fn(png, file, png_append, png_no_flush);
	/* Screens compress well at any level; the user waits for this one. */
	png_set_compression_level(png, 3);
	png_set_IHDR(png, info, picture->width, picture->height, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	if (picture->aspect_x)
		png_set_pHYs(png, info, picture->width * picture->aspect_y, picture->height * picture->aspect_x,
			     PNG_RESOLUTION_UNKNOWN);
	png_write_info(png, info);
	png_set_filler(png, 0, PNG_FILLER_AFTER);
	png_set_bgr(png);
	for (unsigned y = 0; y < picture->height; y++) {
		scanout_convert_row(picture, y, row);
		png_write_row(png, (png_const_bytep)row);
	}
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
	return true;
}

bool scanout_save_png(struct scanout *scanout, const char *path, GError **error)
{
	struct scanout_listener reader = { 0 };
	g_autoptr(GByteArray) file = g_byte_array_new();
	g_autofree uint32_t *row = NULL;
	struct scanout_picture picture;
	struct scanout_damage damage;
	char message[128] = "out of memory";
	bool ok;

	scanout_take(scanout, &reader, &picture, &damage);
	if (!picture.width || !picture.height) {
		scanout_memory_unref(picture.memory);
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    _("The screen shows nothing, so there is no picture to save as %s"), path);
		return false;
	}
	row = g_new(uint32_t, picture.width);
	ok = encode_png(&picture, row, file, message);
	scanout_memory_unref(picture.memory);
	if (!ok) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, _("Cannot encode the screen as %s: %s"), path,
			    message);
		return false;
	}
	return g_file_set_contents_full(path, (const char *)file->data, file->len, G_FILE_SET_CONTENTS_CONSISTENT,
					0644, error);
}
