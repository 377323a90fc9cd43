/* Ranges of a disk that a guest gives back with one command, and one answer for all of them. */
#pragma once

#include <stdint.h>

struct block;
struct trim;

/* done: once, from block_poll() or from trim_start(), with the first error or 0. */
struct trim *trim_new(struct block *block, unsigned ranges, void (*done)(void *opaque, int error), void *opaque);
/* A range of bytes inside the disk, at most as many times as was said; drivers split long ones: they become one again. */
void trim_add(struct trim *trim, uint64_t offset, uint64_t length);
/* Submits all of them. It is gone when done is called. */
void trim_start(struct trim *trim);
/* Instead of starting it. */
void trim_free(struct trim *trim);
