/*
 * What a display shows: a picture in memory, and which rows of it changed.
 *
 * The producer (VGA, virtio-gpu) publishes on the I/O thread or a vCPU thread with vm->lock held; consumers (window,
 * screenshots, thumbnails) read on any thread without it. scanout->lock is innermost and held for moments.
 *
 * Pixels are not copied: a consumer reads the producer's memory (guest VRAM, or a rendered picture) while it may be
 * changing. A change made during the read is published as damage after it, so the next read mends the tear.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum scanout_format {
	SCANOUT_XRGB8888, /* little-endian words: bytes B, G, R, X */
	SCANOUT_RGB888,   /* bytes B, G, R */
	SCANOUT_RGB565,
	SCANOUT_XRGB1555,
	SCANOUT_INDEXED8, /* through palette */
};

/* Bytes per pixel of a format. */
unsigned scanout_pixel_size(enum scanout_format format);

/* Memory that pixels live in: freed with the last reference, so a consumer may outlive a mode switch. */
struct scanout_memory {
	gint references;
	uint8_t *data;
	size_t size;
	void (*free)(struct scanout_memory *memory); /* when references reach zero */
};

struct scanout_memory *scanout_memory_new(size_t size); /* zeroed; referenced once */
struct scanout_memory *scanout_memory_ref(struct scanout_memory *memory);
void scanout_memory_unref(struct scanout_memory *memory);

/* Rows [first, end) changed; empty when first >= end. */
struct scanout_damage {
	unsigned first, end;
};

struct scanout_picture {
	unsigned width, height; /* pixels; 0 x 0: nothing to show (no mode set, or blanked) */
	unsigned stride;        /* bytes from row to row */
	enum scanout_format format;
	struct scanout_memory *memory;
	size_t offset; /* of the first pixel; offset + stride * height stays inside memory */
	uint32_t palette[256]; /* 0x00RRGGBB, SCANOUT_INDEXED8 only */
	unsigned serial;       /* changes with every change of geometry, format, memory or palette */
	unsigned aspect_x, aspect_y; /* shape of the whole picture, e.g. 4:3 for 720x400; 0: square pixels */
};

struct scanout;

/* One consumer; it has damage of its own. */
struct scanout_listener {
	/* Damage was added to a listener that had none. Any thread, scanout->lock held: just wake somebody. */
	void (*damaged)(struct scanout_listener *listener);
	struct scanout_damage damage;
};

struct scanout {
	GMutex lock;
	struct scanout_picture picture;
	GPtrArray *listeners;
	void (*watch_changed)(void *producer);
	void *producer;
	void (*picture_changed)(void *observer);
	void *observer;
};

void scanout_init(struct scanout *scanout);
/* All listeners are removed by then. */
void scanout_finish(struct scanout *scanout);

/*
 * Producer: watch_changed is called when the first listener came or the last one went, on any thread with
 * scanout->lock held: it may only wake somebody (loop_call()), who then asks scanout_watched(). NULL: no more calls
 * once this returns.
 */
void scanout_set_producer(struct scanout *scanout, void (*watch_changed)(void *producer), void *producer);
/*
 * Producer: replaces the picture (takes its own reference to memory); everything is damaged, and a picture of 0 x 0
 * counts as one row, so that consumers hear of it. serial is filled in.
 */
void scanout_set_picture(struct scanout *scanout, const struct scanout_picture *picture);
/*
 * Told of every new picture without being a listener, for whom producers go on looking for damage. Called on the
 * producer's thread with vm->lock, after the change. NULL: no more calls.
 */
void scanout_set_observer(struct scanout *scanout, void (*picture_changed)(void *observer), void *observer);
/* Producer: rows changed. */
void scanout_damage(struct scanout *scanout, unsigned first, unsigned end);

/* The listener starts with all of the picture damaged, and is told so. It stays valid until it is removed. */
void scanout_add_listener(struct scanout *scanout, struct scanout_listener *listener);
void scanout_remove_listener(struct scanout *scanout, struct scanout_listener *listener);
/*
 * Consumer: copies the description of the picture with a reference to its memory (release with
 * scanout_memory_unref(picture->memory); it may be NULL for 0 x 0) and takes the listener's damage.
 */
void scanout_take(struct scanout *scanout, struct scanout_listener *listener, struct scanout_picture *picture,
		  struct scanout_damage *damage);
/* Whether anybody is listening: a producer need not look for damage otherwise. */
bool scanout_watched(struct scanout *scanout);

/* Any format to XRGB8888, row by row: screenshots and software rendering. out: width pixels. */
void scanout_convert_row(const struct scanout_picture *picture, unsigned row, uint32_t *out);
/* Writes the current picture as a PNG file, whole or not at all. Any thread. Error: nothing to show, or the file's. */
bool scanout_save_png(struct scanout *scanout, const char *path, GError **error);
