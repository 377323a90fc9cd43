/*
 * Formats of disk images that can be imported. Only for the question whether and how to import a file that the user
 * has chosen: what a machine's own disk is, machine.conf says, never the disk's contents.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef enum {
	ORIEL_DISK_NONE, /* no disk image */
	ORIEL_DISK_RAW,
	ORIEL_DISK_QCOW2,
	ORIEL_DISK_VMDK,
	ORIEL_DISK_VDI,
	ORIEL_DISK_VHD,
	ORIEL_DISK_VHDX,
	ORIEL_DISK_OVA,
	ORIEL_DISK_OVF, /* an OVA's description, with its disks beside it */
} OrielDiskFormat;

/*
 * The format of a file, from its contents, and where these say nothing from its name: raw for .img, .raw, .bin, .dd
 * and .dsk. Blocking, reads a few KiB. ORIEL_DISK_NONE with an error: it cannot be read; without: it is no disk
 * image.
 */
OrielDiskFormat oriel_disk_format_guess(const char *path, GError **error);

/* "VMware disk (VMDK)" */
const char *oriel_disk_format_get_name(OrielDiskFormat format);
/* qemu-img's name for it: "vpc"; NULL for those that it does not know. */
const char *oriel_disk_format_get_qemu_name(OrielDiskFormat format);

G_END_DECLS
