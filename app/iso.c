#include "iso.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"

#define FIRST_DESCRIPTOR 16
#define DESCRIPTORS 32 /* more than anybody writes */
#define DIRECTORY_BYTES (256 << 10)
#define NAME_BYTES 256

/* ECMA-119, 8.4: the primary volume descriptor, and 8.2: the boot record, offsets from 0 */
enum {
	DESCRIPTOR_TYPE = 0,
	DESCRIPTOR_ID = 1,
	PVD_SYSTEM = 8,
	PVD_VOLUME = 40,
	PVD_SPACE_SIZE = 80,
	PVD_BLOCK_SIZE = 128,
	PVD_ROOT = 156,
	PVD_PUBLISHER = 318,
	PVD_APPLICATION = 574,
	PVD_CREATED = 813,
	BOOT_SYSTEM = 7,
	BOOT_CATALOG = 71,
};

enum {
	TYPE_BOOT = 0,
	TYPE_PRIMARY = 1,
	TYPE_TERMINATOR = 255,
};

/* ECMA-119, 9.1: a directory record */
enum {
	RECORD_LENGTH = 0,
	RECORD_EXTENT = 2,
	RECORD_SIZE = 10,
	RECORD_NAME_LENGTH = 32,
	RECORD_NAME = 33,
};

gboolean oriel_iso_read_image(const struct oriel_iso *iso, guint64 offset, void *buffer, gsize size)
{
	guint8 *to = buffer;

	if (offset > iso->file_size || size > iso->file_size - offset)
		return FALSE;
	while (size) {
		ssize_t done;

		if (g_cancellable_is_cancelled(iso->cancellable))
			return FALSE;
		done = pread(iso->fd, to, size, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return FALSE;
		to += done;
		offset += (guint64)done;
		size -= (gsize)done;
	}
	return TRUE;
}

static char *read_id(const guint8 *sector, gsize offset, gsize size)
{
	gsize length = strnlen((const char *)sector + offset, size);

	return g_strstrip(g_utf8_make_valid((const char *)sector + offset, (gssize)length));
}

/* ECMA-119, 8.4.26.1: 16 digits, and quarters of an hour from Greenwich, which do not matter here. */
static GDateTime *read_time(const guint8 *field)
{
	static const guint starts[] = { 0, 4, 6, 8, 10, 12, 14 };
	int values[6];

	for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
		values[i] = 0;
		for (guint digit = starts[i]; digit < starts[i + 1]; digit++) {
			if (!g_ascii_isdigit(field[digit]))
				return NULL;
			values[i] = values[i] * 10 + field[digit] - '0';
		}
	}
	return g_date_time_new_utc(values[0], values[1], values[2], values[3], values[4], values[5]);
}

static void read_primary(struct oriel_iso *iso, const guint8 *sector)
{
	iso->system = read_id(sector, PVD_SYSTEM, 32);
	iso->volume = read_id(sector, PVD_VOLUME, 32);
	iso->publisher = read_id(sector, PVD_PUBLISHER, 128);
	iso->application = read_id(sector, PVD_APPLICATION, 128);
	iso->created = read_time(sector + PVD_CREATED);
	iso->volume_size = (guint64)get_le32(sector + PVD_SPACE_SIZE) * ORIEL_ISO_SECTOR;
	/* The other block sizes that the standard allows nobody writes. */
	if (sector[PVD_BLOCK_SIZE] == 0 && sector[PVD_BLOCK_SIZE + 1] == ORIEL_ISO_SECTOR >> 8) {
		iso->root_sector = get_le32(sector + PVD_ROOT + RECORD_EXTENT);
		iso->root_size = get_le32(sector + PVD_ROOT + RECORD_SIZE);
	}
}

/* El Torito 1.0, 2.1-2.3 and, for what follows the initial entry, 2.3's section headers */
static void read_boot_catalog(struct oriel_iso *iso, guint32 first)
{
	enum { ENTRY = 32, HEADER = 0x90, LAST_HEADER = 0x91, BOOTABLE = 0x88, PLATFORM_PC = 0, PLATFORM_EFI = 0xef };
	guint8 sector[ORIEL_ISO_SECTOR];
	guint platform;

	if (!oriel_iso_read_image(iso, (guint64)first * ORIEL_ISO_SECTOR, sector, sizeof sector))
		return;
	if (sector[0] != 1 || sector[30] != 0x55 || sector[31] != 0xaa)
		return;
	platform = sector[1];
	for (guint i = ENTRY; i < sizeof sector; i += ENTRY) {
		if (sector[i] == HEADER || sector[i] == LAST_HEADER)
			platform = sector[i + 1];
		else if (sector[i] == BOOTABLE && platform == PLATFORM_PC)
			iso->boots_bios = TRUE;
		else if (sector[i] == BOOTABLE && platform == PLATFORM_EFI)
			iso->boots_uefi = TRUE;
	}
}

static void read_descriptors(struct oriel_iso *iso)
{
	guint8 sector[ORIEL_ISO_SECTOR];

	for (guint i = 0; i < DESCRIPTORS; i++) {
		guint64 offset = (guint64)(FIRST_DESCRIPTOR + i) * ORIEL_ISO_SECTOR;

		if (!oriel_iso_read_image(iso, offset, sector, sizeof sector) ||
		    memcmp(sector + DESCRIPTOR_ID, "CD001", 5) || sector[DESCRIPTOR_TYPE] == TYPE_TERMINATOR)
			return;
		if (sector[DESCRIPTOR_TYPE] == TYPE_PRIMARY && !iso->volume)
			read_primary(iso, sector);
		else if (sector[DESCRIPTOR_TYPE] == TYPE_BOOT &&
			 strncmp((const char *)sector + BOOT_SYSTEM, "EL TORITO SPECIFICATION", 32) == 0)
			read_boot_catalog(iso, get_le32(sector + BOOT_CATALOG));
	}
}

static gboolean measure(struct oriel_iso *iso, const char *path, GError **error)
{
	struct stat status;
	int code = 0;

	/* Opening a FIFO must not hold us. */
	iso->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (iso->fd < 0 || fstat(iso->fd, &status) < 0)
		code = errno;
	else if (S_ISREG(status.st_mode))
		iso->file_size = (guint64)status.st_size;
	else if (S_ISDIR(status.st_mode))
		code = EISDIR;
	else if (!S_ISBLK(status.st_mode))
		code = EINVAL;
	else if (ioctl(iso->fd, BLKGETSIZE64, &iso->file_size) < 0)
		code = errno;
	if (code)
		g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(code), _("Cannot read %s: %s"), path,
			    g_strerror(code));
	return code == 0;
}

struct oriel_iso *oriel_iso_open(const char *path, GCancellable *cancellable, GError **error)
{
	struct oriel_iso *iso = g_new0(struct oriel_iso, 1);

	iso->fd = -1;
	iso->cancellable = cancellable;
	if (measure(iso, path, error)) {
		read_descriptors(iso);
		oriel_udf_probe(iso);
		if (iso->volume)
			return iso;
		if (iso->udf_root) {
			iso->volume = g_strdup("");
			iso->system = g_strdup("");
			iso->publisher = g_strdup("");
			iso->application = g_strdup("");
			return iso;
		}
		if (!g_cancellable_set_error_if_cancelled(cancellable, error))
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, _("%s is not a disc image"), path);
	}
	oriel_iso_free(iso);
	return NULL;
}

void oriel_iso_free(struct oriel_iso *iso)
{
	if (!iso)
		return;
	if (iso->fd >= 0)
		close(iso->fd);
	g_free(iso->volume);
	g_free(iso->system);
	g_free(iso->publisher);
	g_free(iso->application);
	g_clear_pointer(&iso->created, g_date_time_unref);
	g_free(iso);
}

/* The Rock Ridge name of a record (RRIP 1.12, 4.1.4), or FALSE. None that we look for goes on in another field. */
static gboolean get_long_name(const guint8 *record, char *name)
{
	guint length = record[RECORD_LENGTH];
	guint i = RECORD_NAME + record[RECORD_NAME_LENGTH];

	i += i & 1;
	while (i + 4 <= length && record[i + 2] >= 4 && i + record[i + 2] <= length) {
		guint size = record[i + 2];

		if (record[i] == 'N' && record[i + 1] == 'M' && size > 5) {
			memcpy(name, record + i + 5, size - 5);
			name[size - 5] = '\0';
			return TRUE;
		}
		i += size;
	}
	return FALSE;
}

/* "GRUB.CFG;1" and "KERNEL.;1" are grub.cfg and kernel. */
static void get_short_name(const guint8 *record, char *name)
{
	guint length = record[RECORD_NAME_LENGTH];
	char *version;

	memcpy(name, record + RECORD_NAME, length);
	name[length] = '\0';
	version = strchr(name, ';');
	if (version)
		*version = '\0';
	length = (guint)strlen(name);
	if (length > 1 && name[length - 1] == '.')
		name[length - 1] = '\0';
}

static gboolean record_is_named(const guint8 *record, const char *wanted)
{
	char name[NAME_BYTES];

	if (get_long_name(record, name) && g_ascii_strcasecmp(name, wanted) == 0)
		return TRUE;
	get_short_name(record, name);
	return g_ascii_strcasecmp(name, wanted) == 0;
}

static gboolean find_in_directory(const struct oriel_iso *iso, const char *name, guint32 *sector, guint32 *size)
{
	gsize bytes = MIN(*size, DIRECTORY_BYTES);
	g_autofree guint8 *directory = g_malloc(bytes ? bytes : 1);
	gsize i = 0;

	if (!oriel_iso_read_image(iso, (guint64)*sector * ORIEL_ISO_SECTOR, directory, bytes))
		return FALSE;
	while (i + RECORD_NAME < bytes) {
		const guint8 *record = directory + i;
		gsize rest = MIN(bytes - i, ORIEL_ISO_SECTOR - i % ORIEL_ISO_SECTOR);

		if (record[RECORD_LENGTH] == 0) { /* records do not cross sectors */
			i += rest;
			continue;
		}
		if (record[RECORD_LENGTH] > rest || RECORD_NAME + record[RECORD_NAME_LENGTH] > record[RECORD_LENGTH])
			return FALSE;
		if (record_is_named(record, name)) {
			*sector = get_le32(record + RECORD_EXTENT);
			*size = get_le32(record + RECORD_SIZE);
			return TRUE;
		}
		i += record[RECORD_LENGTH];
	}
	return FALSE;
}

gboolean oriel_iso_find(const struct oriel_iso *iso, const char *path, struct oriel_iso_file *file)
{
	g_auto(GStrv) names = g_strsplit(path, "/", 0);
	guint32 sector = iso->root_sector, size = iso->root_size;

	if (iso->udf_root && oriel_udf_find(iso, path, file))
		return TRUE;
	for (guint i = 0; names[i]; i++)
		if (!find_in_directory(iso, names[i], &sector, &size))
			return FALSE;
	*file = (struct oriel_iso_file){ .size = size, .extent_count = 1 };
	file->extents[0] = (struct oriel_iso_extent){ (guint64)sector * ORIEL_ISO_SECTOR, size };
	return TRUE;
}

gboolean oriel_iso_read(const struct oriel_iso *iso, const struct oriel_iso_file *file, guint64 offset, void *buffer,
			gsize size)
{
	guint8 *to = buffer;

	for (guint i = 0; i < file->extent_count && size; i++) {
		const struct oriel_iso_extent *extent = &file->extents[i];
		gsize part;

		if (offset >= extent->length) {
			offset -= extent->length;
			continue;
		}
		part = (gsize)MIN(size, extent->length - offset);
		if (!oriel_iso_read_image(iso, extent->offset + offset, to, part))
			return FALSE;
		to += part;
		size -= part;
		offset = 0;
	}
	return size == 0;
}

char *oriel_iso_read_text(const struct oriel_iso *iso, const char *path, gsize limit)
{
	struct oriel_iso_file file;
	g_autofree char *bytes = NULL;
	gsize size;

	if (!oriel_iso_find(iso, path, &file))
		return NULL;
	size = (gsize)MIN(file.size, limit);
	bytes = g_malloc(size + 1);
	if (!oriel_iso_read(iso, &file, 0, bytes, size))
		return NULL;
	return g_utf8_make_valid(bytes, (gssize)strnlen(bytes, size));
}
