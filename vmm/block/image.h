/*
 * Disk images as files: what they are, and whether they are sound. For the manager, the
 * command line and tests; a running machine uses block.h.
 *
 * All functions block, on the thread of the caller, and open the image for themselves (so they fail with a clear message
 * while a machine uses it). Sizes and offsets are bytes. Errors say what is wrong and what to do.
 */
#pragma once

#include "block.h"

/* The format that the file's first bytes claim; raw if it cannot be read. */
enum block_format image_probe(const char *path);
/* "raw", "qcow2"; NULL for an unknown name's format. */
const char *image_format_name(enum block_format format);
bool image_format_parse(const char *name, enum block_format *format);

/* --- Looking --- */

enum image_compression {
	IMAGE_COMPRESSION_ZLIB,
	IMAGE_COMPRESSION_ZSTD,
};

struct image_info {
	enum block_format format;
	uint64_t size;      /* what the guest sees */
	uint64_t file_size; /* length of the file */
	uint64_t disk_size; /* what it takes on the host's disk */
	/* qcow2 */
	unsigned version;
	unsigned cluster_size;
	unsigned refcount_bits;
	bool extended_l2, lazy_refcounts, dirty, corrupt;
	enum image_compression compression;
	char *backing_path; /* as in the header, NULL: none */
	char *backing_format; /* likewise */
	char *data_path;
	unsigned snapshots;
	unsigned bitmaps;
};

bool image_info(const char *path, struct image_info *info, GError **error);
void image_info_clear(struct image_info *info);

/* --- Checking --- */

enum image_repair {
	IMAGE_REPAIR_LEAKS = 1,
	IMAGE_REPAIR_ERRORS = 2,
};

struct image_check {
	uint64_t corruptions, leaks; /* left after repairs */
	uint64_t corruptions_fixed, leaks_fixed;
	uint64_t clusters, allocated, compressed, fragmented;
	uint64_t end; /* of what is used in the file */
};

/* False if checking itself failed; what is wrong with the image is in check. */
bool image_check(const char *path, unsigned repair, struct image_check *check, GError **error);
