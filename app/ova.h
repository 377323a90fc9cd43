/*
 * Virtual appliances: an OVF description (DMTF DSP0243) with its disks, in one tar archive (.ova) or beside each other
 * (.ovf). The file is a stranger's: reading is bounded, and names cannot lead out of the archive or folder.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

struct oriel_ova_disk {
	char *name;             /* file name */
	guint64 offset, length; /* in the archive; without archive 0 and the file's size */
};

struct oriel_ova {
	char *name;     /* of the machine; NULL: it does not say */
	char *system;   /* in its maker's words; NULL */
	guint cpus;     /* 0: it does not say */
	guint64 memory; /* bytes; 0 */
	GArray *disks;  /* of struct oriel_ova_disk, in the machine's order; at least one */
};

/* Blocking. Error: G_IO_ERROR_INVALID_DATA with what is wrong with it, or why it cannot be read. */
struct oriel_ova *oriel_ova_read(const char *path, gboolean archive, GCancellable *cancellable, GError **error);
void oriel_ova_free(struct oriel_ova *ova);

/* Of ovf.c: what the description says. Its disks have a name only; the error is in the words for the user. */
struct oriel_ova *oriel_ovf_parse(const char *text, gsize size, GError **error);
/* Of ovf.c: sets G_IO_ERROR_INVALID_DATA; FALSE. */
gboolean oriel_ova_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

G_END_DECLS
