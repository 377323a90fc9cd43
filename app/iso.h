/*
 * What is on a disc image: the ids in its volume descriptors (ECMA-119), where it boots (El Torito), and files by
 * their path, in the UDF or the ISO 9660 file system.
 *
 * The image is a stranger's. Each call reads a bounded number of bytes, whatever the image says; values that
 * contradict each other or lie outside of the file mean "not there". Blocking: call it in a thread of its own.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ORIEL_ISO_SECTOR 2048

struct oriel_iso {
	int fd;
	guint64 file_size;
	GCancellable *cancellable; /* every read fails once it is cancelled */
	/* Ids of the primary volume descriptor: valid UTF-8 without spaces at the ends, "" if it has none */
	char *volume, *system, *publisher, *application;
	GDateTime *created;  /* NULL: it does not say */
	guint64 volume_size; /* bytes, that the file should have */
	gboolean boots_bios, boots_uefi;
	guint32 root_sector, root_size; /* root directory's extent */
	/* UDF: 0 without */
	guint64 udf_partition; /* byte at which the partition starts */
	guint32 udf_root;      /* block of the root directory's file entry */
};

#define ORIEL_ISO_EXTENTS 64

struct oriel_iso_file {
	guint64 size;
	guint extent_count;
	struct oriel_iso_extent {
		guint64 offset, length; /* bytes, inside of the image */
	} extents[ORIEL_ISO_EXTENTS];
};

/*
 * NULL: it cannot be read (the error says why), or is no disc image (G_IO_ERROR_INVALID_DATA). cancellable may be
 * NULL and must outlive the result.
 */
struct oriel_iso *oriel_iso_open(const char *path, GCancellable *cancellable, GError **error);
void oriel_iso_free(struct oriel_iso *iso);

/* Finds a file or folder by its path, without a / at the start, whatever the case of its letters. */
gboolean oriel_iso_find(const struct oriel_iso *iso, const char *path, struct oriel_iso_file *file);

/* Reads exactly size bytes of a file. FALSE: it is not that long, or cannot be read. */
gboolean oriel_iso_read(const struct oriel_iso *iso, const struct oriel_iso_file *file, guint64 offset, void *buffer,
			gsize size);

/* The start of a text file, at most limit bytes, as valid UTF-8; NULL if there is no such file. */
char *oriel_iso_read_text(const struct oriel_iso *iso, const char *path, gsize limit);

/* Reads exactly size bytes of the image. */
gboolean oriel_iso_read_image(const struct oriel_iso *iso, guint64 offset, void *buffer, gsize size);

/* Of udf.c: looks for a UDF file system and fills udf_partition and udf_root. */
void oriel_udf_probe(struct oriel_iso *iso);
/* Of udf.c: as oriel_iso_find(). */
gboolean oriel_udf_find(const struct oriel_iso *iso, const char *path, struct oriel_iso_file *file);

G_END_DECLS
