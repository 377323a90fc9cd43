/*
 * Disk images as files: creating, checking, resizing and converting them, and their snapshots. For the manager, the
 * command line and tests; a running machine uses block.h.
 *
 * All functions block, on the thread of the caller, and open the image for themselves (so they fail with a clear
 * message while a machine uses it), but for those that take a struct block: that must be idle (block_drain()). Sizes
 * and offsets are bytes. Errors say what is wrong and what to do.
 */
#pragma once

#include "block.h"

/* The format that the file's first bytes claim; raw if it cannot be read. */
enum block_format image_probe(const char *path);
/* "raw", "qcow2"; NULL for an unknown name's format. */
const char *image_format_name(enum block_format format);
bool image_format_parse(const char *name, enum block_format *format);

/* Called now and then with 0..1; false: stop (the operation fails with G_IO_ERROR_CANCELLED). May be NULL. */
typedef bool (*image_progress)(double fraction, void *opaque);

/* --- Creating --- */

enum image_preallocation {
	IMAGE_PREALLOCATION_OFF,
	IMAGE_PREALLOCATION_METADATA, /* qcow2: tables */
	IMAGE_PREALLOCATION_FALLOC,   /* the host's space is reserved */
	IMAGE_PREALLOCATION_FULL,     /* zeroes are written */
};

enum image_compression {
	IMAGE_COMPRESSION_ZLIB,
	IMAGE_COMPRESSION_ZSTD,
};

struct image_create_options {
	const char *path; /* must not exist, or be overwritten by choice; never while somebody uses it */
	enum block_format format; /* PROBE: qcow2 */
	uint64_t size;    /* 0 with a backing image: its size */
	bool overwrite;
	enum image_preallocation preallocation;
	/* qcow2; 0 is the default of each. */
	unsigned version;      /* 3 */
	unsigned cluster_size; /* 64 KiB */
	unsigned refcount_bits; /* 16 */
	bool extended_l2;
	bool lazy_refcounts;
	enum image_compression compression;
	const char *backing_path; /* as it shall be in the header: relative to the image's folder, or absolute */
	enum block_format backing_format; /* PROBE: found out now and written down */
	const char *data_path; /* external data file, likewise */
	bool data_raw;         /* it can be used as a raw image */
	image_progress progress; /* of preallocation */
	void *progress_opaque;
};

/* Nothing is left behind when it fails. */
bool image_create(const struct image_create_options *options, GError **error);
/*
 * Smaller only with consent: what lies behind the new end is lost. What a preallocation that is stopped or fails has
 * added is taken back.
 */
bool image_resize(const char *path, uint64_t size, bool shrink, enum image_preallocation preallocation,
		  image_progress progress, void *opaque, GError **error);

/* --- Looking --- */

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

/* A part of the disk that is one thing. */
struct image_extent {
	uint64_t start, length;
	unsigned depth;  /* which image of the chain decides: 0 is the topmost */
	bool present;    /* that one says what is there; otherwise all are silent, so it is zeroes */
	bool zero;       /* reads as zeroes without taking space for them */
	bool data;
	bool compressed; /* and therefore without an offset */
	uint64_t offset; /* of data in the file */
	const char *path; /* of the file; valid during the call */
};

/* All parts, in order. */
bool image_map(const char *path, void (*found)(const struct image_extent *extent, void *opaque), void *opaque,
	       GError **error);

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

/* --- Moving data --- */

struct image_convert_options {
	const char *source;
	enum block_format source_format;
	const char *snapshot; /* of the source; NULL: its present state */
	/* Its size is the source's if 0; with backing_path: only what differs from that is copied. */
	struct image_create_options target;
	bool compress;
	image_progress progress;
	void *progress_opaque;
};

/* Several requests are in flight; what reads as zeroes is not copied. Nothing is left behind when it fails. */
bool image_convert(const struct image_convert_options *options, GError **error);
/* Gives the host back what the image does not need: zeroes, free clusters, and the file's end. */
bool image_compact(const char *path, image_progress progress, void *opaque, GError **error);
/* Writes everything that is in the image into its backing image, and empties it. */
bool image_commit(const char *path, image_progress progress, void *opaque, GError **error);
/*
 * Gives the image another backing image, or none (NULL), without changing what the guest sees; with only_name, just
 * the name in the header changes (the other has the same contents, and was moved).
 */
bool image_rebase(const char *path, const char *backing_path, enum block_format backing_format, bool only_name,
		  image_progress progress, void *opaque, GError **error);

/* --- Internal snapshots (qcow2) --- */

struct image_snapshot {
	char *id;
	char *name;
	uint64_t disk_size;
	uint64_t vm_state_size;
	uint32_t date_seconds, date_nanoseconds; /* since 1970 */
	uint64_t vm_clock_nanoseconds;
};

/* An array of struct image_snapshot, freed by g_array_unref(). */
GArray *block_snapshot_list(struct block *block, GError **error);
bool block_snapshot_create(struct block *block, const char *name, uint64_t vm_clock_nanoseconds, GError **error);
/* By name, or else by id. The disk becomes what it was; its size too. */
bool block_snapshot_apply(struct block *block, const char *name, GError **error);
/* Makes a block that was opened read-only show the snapshot instead of the present. */
bool block_snapshot_view(struct block *block, const char *name, GError **error);
bool block_snapshot_delete(struct block *block, const char *name, GError **error);

GArray *image_snapshot_list(const char *path, GError **error);
bool image_snapshot_create(const char *path, const char *name, GError **error);
bool image_snapshot_apply(const char *path, const char *name, GError **error);
bool image_snapshot_delete(const char *path, const char *name, GError **error);
