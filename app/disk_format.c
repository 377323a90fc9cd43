#include "disk_format.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name, *qemu_name;
} formats[] = {
	[ORIEL_DISK_NONE] = { N_("Unknown file"), NULL },
	[ORIEL_DISK_RAW] = { N_("Disk image"), "raw" },
	[ORIEL_DISK_QCOW2] = { N_("QEMU disk (qcow2)"), "qcow2" },
	[ORIEL_DISK_VMDK] = { N_("VMware disk (VMDK)"), "vmdk" },
	[ORIEL_DISK_VDI] = { N_("VirtualBox disk (VDI)"), "vdi" },
	[ORIEL_DISK_VHD] = { N_("Virtual PC disk (VHD)"), "vpc" },
	[ORIEL_DISK_VHDX] = { N_("Hyper-V disk (VHDX)"), "vhdx" },
	[ORIEL_DISK_OVA] = { N_("Virtual appliance (OVA)"), NULL },
	[ORIEL_DISK_OVF] = { N_("Virtual appliance (OVF)"), NULL },
};

static const struct {
	gint64 offset; /* negative: from the end */
	const char *bytes;
	gsize size;
	OrielDiskFormat format;
	const char *suffix; /* NULL: any */
} signatures[] = {
	{ 0, "QFI\373", 4, ORIEL_DISK_QCOW2, NULL },
	{ 0, "KDMV", 4, ORIEL_DISK_VMDK, NULL },
	{ 0, "COWD", 4, ORIEL_DISK_VMDK, NULL },
	{ 0, "# Disk DescriptorFile", 21, ORIEL_DISK_VMDK, NULL },
	{ 64, "\177\020\332\276", 4, ORIEL_DISK_VDI, NULL },
	{ 0, "vhdxfile", 8, ORIEL_DISK_VHDX, NULL },
	{ 0, "conectix", 8, ORIEL_DISK_VHD, NULL },
	/* Of fixed size: a raw disk but for its last sector */
	{ -512, "conectix", 8, ORIEL_DISK_VHD, NULL },
	/* Other tar archives are no disks. */
	{ 257, "ustar", 5, ORIEL_DISK_OVA, ".ova" },
	{ 0, "<?xml", 5, ORIEL_DISK_OVF, ".ovf" },
	{ 0, "\357\273\277<?xml", 8, ORIEL_DISK_OVF, ".ovf" },
	{ 0, "<Envelope", 9, ORIEL_DISK_OVF, ".ovf" },
};

static gboolean has_suffix(const char *path, const char *suffix)
{
	gsize length = strlen(path), size = strlen(suffix);

	return length >= size && g_ascii_strcasecmp(path + length - size, suffix) == 0;
}

static OrielDiskFormat read_signature(int fd, const char *path, guint64 size)
{
	char bytes[32];

	for (guint i = 0; i < G_N_ELEMENTS(signatures); i++) {
		gint64 offset = signatures[i].offset + (signatures[i].offset < 0 ? (gint64)size : 0);

		if (offset < 0 || (signatures[i].suffix && !has_suffix(path, signatures[i].suffix)))
			continue;
		if (pread(fd, bytes, signatures[i].size, offset) == (ssize_t)signatures[i].size &&
		    memcmp(bytes, signatures[i].bytes, signatures[i].size) == 0)
			return signatures[i].format;
	}
	return ORIEL_DISK_NONE;
}

OrielDiskFormat oriel_disk_format_guess(const char *path, GError **error)
{
	static const char *const raw[] = { ".img", ".raw", ".bin", ".dd", ".dsk" };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	OrielDiskFormat format = ORIEL_DISK_NONE;
	struct stat status;
	int code = 0;

	if (fd < 0 || fstat(fd, &status) < 0)
		code = errno;
	else if (S_ISDIR(status.st_mode))
		code = EISDIR;
	else if (S_ISREG(status.st_mode))
		format = read_signature(fd, path, (guint64)status.st_size);
	for (guint i = 0; !code && S_ISREG(status.st_mode) && i < G_N_ELEMENTS(raw); i++)
		if (format == ORIEL_DISK_NONE && status.st_size && has_suffix(path, raw[i]))
			format = ORIEL_DISK_RAW;
	if (code)
		g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(code), _("Cannot read %s: %s"), path,
			    g_strerror(code));
	if (fd >= 0)
		close(fd);
	return format;
}

const char *oriel_disk_format_get_name(OrielDiskFormat format)
{
	return _(formats[format].name);
}

const char *oriel_disk_format_get_qemu_name(OrielDiskFormat format)
{
	return formats[format].qemu_name;
}
