/* Shared by the files of image.h. */
#pragma once

#include "image.h"

#include "qcow2/qcow2.h"

/* A qcow2 image on an engine of its own. */
struct image_file {
	struct engine *engine;
	struct qcow2_cache *cache;
	struct qcow2 *image;
};

bool image_file_open(struct image_file *file, const char *path, bool read_only, unsigned flags, GError **error);
/* 0, or the errno value of what could not be written back. */
int image_file_close(struct image_file *file);
/* Sets error from an errno value; false. */
bool image_failed(GError **error, const char *what, const char *path, int cause);

/* Blocking requests on a block; 0 or an errno value. */
int image_run(struct block *block, enum block_operation operation, uint64_t offset, void *buffer, uint64_t length);
bool image_is_zero(const uint8_t *buffer, uint64_t length);
/* Whether to go on; if not, error says so. */
bool image_go_on(image_progress progress, void *opaque, uint64_t at, uint64_t size, GError **error);
/* Blocking, though other requests may be in flight: the part that begins at offset, at most to limit. */
int image_extent_at(struct block *block, uint64_t offset, uint64_t limit, struct image_extent *extent);
/* Takes back what image_create() made. */
void image_remove(const struct image_create_options *options);
