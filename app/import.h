/*
 * Machines and disks of other programs: VMDK, VDI, VHD, VHDX, qcow2 and raw images, and appliances (OVA, OVF). First the
 * file is opened, which says what is in it; then its disks are converted, or a machine is made from it.
 */
#pragma once

#include "disk_format.h"
#include "machine_store.h"

G_BEGIN_DECLS

#define ORIEL_IMPORT_ERROR (oriel_import_error_quark())
GQuark oriel_import_error_quark(void);

/* Further errors: ORIEL_QEMU_IMG_ERROR (qemu_img.h), G_IO_ERROR */
enum {
	ORIEL_IMPORT_ERROR_NO_SPACE, /* the message says how much is missing */
	ORIEL_IMPORT_ERROR_UNSAFE,   /* it is made of other files than the one chosen */
	ORIEL_IMPORT_ERROR_UNKNOWN,  /* no disk image */
};

struct oriel_import_disk {
	const char *name;
	OrielDiskFormat format;
	guint64 size;   /* of the virtual disk, bytes */
	guint64 needed; /* bytes that the converted disk will take */
};

struct oriel_import_info {
	const char *path;
	const char *name;   /* for the machine */
	const char *system; /* in its maker's words; "" if it does not say */
	OrielDiskFormat format;
	guint cpus;         /* 0: it does not say */
	guint64 memory;     /* bytes; 0: it does not say */
	guint disk_count;   /* at least 1 */
	const struct oriel_import_disk *disks;
	guint64 needed;     /* by all disks */
};

#define ORIEL_TYPE_IMPORT (oriel_import_get_type())
G_DECLARE_FINAL_TYPE(OrielImport, oriel_import, ORIEL, IMPORT, GObject)

void oriel_import_open_async(const char *path, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data);
OrielImport *oriel_import_open_finish(GAsyncResult *result, GError **error);

/* Lives as long as the import. */
const struct oriel_import_info *oriel_import_get_info(OrielImport *self);

/*
 * Converts the disks to folder/disk.qcow2, disk2.qcow2 ... after a look at the free space. An error and the cancellation
 * leave nothing there.
 */
void oriel_import_convert_async(OrielImport *self, const char *folder, GCancellable *cancellable,
				OrielProgress progress, gpointer progress_data, GAsyncReadyCallback callback,
				gpointer data);
gboolean oriel_import_convert_finish(OrielImport *self, GAsyncResult *result, GError **error);

/*
 * Makes a machine that people call by name, with these disks: it appears when it is whole. CPUs and memory are the
 * description's, or where these are 0 the file's own, or the defaults; its disks and name are ignored. The id of the
 * machine is returned by the finish function; the description's, or one that is free.
 */
void oriel_import_machine_async(OrielImport *self, const char *name,
				const struct oriel_machine_description *description, GCancellable *cancellable,
				OrielProgress progress, gpointer progress_data, GAsyncReadyCallback callback,
				gpointer data);
char *oriel_import_machine_finish(OrielImport *self, GAsyncResult *result, GError **error);

G_END_DECLS
