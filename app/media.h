/*
 * A file that somebody wants to make a machine from: a disc image (which system it installs or starts), or a disk
 * image to import.
 */
#pragma once

#include "disk_format.h"
#include "system.h"

G_BEGIN_DECLS

typedef enum {
	ORIEL_MEDIA_UNKNOWN, /* neither; the problem says what can be done */
	ORIEL_MEDIA_DISC,
	ORIEL_MEDIA_DISK, /* disk image or appliance: see format, and import.h */
} OrielMediaKind;

struct oriel_media_info {
	OrielMediaKind kind;
	const char *path;
	guint64 size;
	OrielDiskFormat format;  /* of ORIEL_MEDIA_DISK */
	OrielSystem *system;     /* never NULL: a generic one if it was not recognised. Lives as long as the OrielSystems */
	gboolean recognised;
	gboolean live, installer; /* starts a system from the disc; installs one. It can be both */
	gboolean boots_bios, boots_uefi;
	const char *architecture; /* "x86_64"; "" if not known */
	const char *label;        /* the disc's volume id; "" */
	const char *problem;      /* why it will probably not work, to be shown; NULL: nothing is wrong */
};

#define ORIEL_TYPE_MEDIA (oriel_media_get_type())
G_DECLARE_FINAL_TYPE(OrielMedia, oriel_media, ORIEL, MEDIA, GObject)

/*
 * Looks at a file, in a bounded number of reads; blocking, from any thread. Loads the systems if that has not
 * happened yet. NULL: the file cannot be read, or it was cancelled.
 */
OrielMedia *oriel_media_recognise(OrielSystems *systems, const char *path, GCancellable *cancellable, GError **error);
/* The same in another thread; it answers at once when it is cancelled. */
void oriel_media_recognise_async(OrielSystems *systems, const char *path, GCancellable *cancellable,
				 GAsyncReadyCallback callback, gpointer data);
OrielMedia *oriel_media_recognise_finish(OrielSystems *systems, GAsyncResult *result, GError **error);

/* Lives as long as the media. */
const struct oriel_media_info *oriel_media_get_info(OrielMedia *self);

/* A name for the machine: the system's, or the file's. Free with g_free(). */
char *oriel_media_suggest_name(OrielMedia *self);

G_END_DECLS
