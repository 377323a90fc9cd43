/*
 * A small copy of what a display shows, for programs that show many machines at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "scanout.h"

#define THUMBNAIL_SIDE_MAX 1024

struct thumbnail {
	unsigned width, height; /* 0 x 0: the screen shows nothing */
	uint64_t digest;        /* of size and pixels; 0 only for 0 x 0 */
	uint8_t *pixels;        /* rows of bytes R, G, B without padding; freed by thumbnail_finish() */
	size_t size;            /* of pixels, in bytes */
};

/*
 * Scales the current picture, in the shape that it has on a monitor, to fit into the given size, each side of which is 1
 * to THUMBNAIL_SIDE_MAX. Any thread; it takes a millisecond or two.
 */
void thumbnail_take(struct scanout *scanout, unsigned max_width, unsigned max_height, struct thumbnail *thumbnail);
void thumbnail_finish(struct thumbnail *thumbnail);
