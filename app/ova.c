#include "ova.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 512
#define MEMBERS 1000
#define DESCRIPTION_BYTES (4 << 20)

/* POSIX.1-1988, ustar: offsets in a member's header */
enum {
	MEMBER_NAME = 0,
	MEMBER_NAME_SIZE = 100,
	MEMBER_SIZE = 124,
	MEMBER_SIZE_SIZE = 12,
	MEMBER_CHECKSUM = 148,
	MEMBER_TYPE = 156,
};

struct member {
	char name[MEMBER_NAME_SIZE + 1];
	guint64 offset, length;
};

struct archive {
	int fd;
	guint64 size;
	GCancellable *cancellable;
};

static gboolean read_at(const struct archive *archive, guint64 offset, void *buffer, gsize size)
{
	if (offset > archive->size || size > archive->size - offset || g_cancellable_is_cancelled(archive->cancellable))
		return FALSE;
	return pread(archive->fd, buffer, size, (off_t)offset) == (ssize_t)size;
}

/* Octal digits, or, for 8 GiB and more, GNU's big-endian number with the top bit set */
static guint64 read_size(const guint8 *field)
{
	guint64 size = 0;

	if (field[0] & 0x80) {
		for (guint i = 4; i < MEMBER_SIZE_SIZE; i++)
			size = size << 8 | field[i];
		return size;
	}
	for (guint i = 0; i < MEMBER_SIZE_SIZE && field[i] >= '0' && field[i] <= '7'; i++)
		size = size << 3 | (guint)(field[i] - '0');
	return size;
}

static gboolean has_checksum(const guint8 *header)
{
	guint sum = 0;

	for (guint i = 0; i < BLOCK; i++)
		sum += i >= MEMBER_CHECKSUM && i < MEMBER_CHECKSUM + 8 ? ' ' : header[i];
	return g_ascii_strtoull((const char *)header + MEMBER_CHECKSUM, NULL, 8) == sum;
}

/* The regular files; FALSE: it is no archive. */
static gboolean list_members(const struct archive *archive, GArray *members)
{
	guint8 header[BLOCK];
	guint64 offset = 0;

	for (guint i = 0; i < MEMBERS && read_at(archive, offset, header, BLOCK) && header[0]; i++) {
		struct member member = { .offset = offset + BLOCK, .length = read_size(header + MEMBER_SIZE) };
		const char *name = (const char *)header + MEMBER_NAME;

		if (!has_checksum(header) || member.offset > archive->size ||
		    member.length > archive->size - member.offset)
			return FALSE;
		if (header[MEMBER_TYPE] == '0' || header[MEMBER_TYPE] == '\0') {
			memcpy(member.name, name, strnlen(name, MEMBER_NAME_SIZE));
			if (g_str_has_prefix(member.name, "./"))
				memmove(member.name, member.name + 2, strlen(member.name) - 1);
			g_array_append_val(members, member);
		}
		offset = member.offset + (member.length + BLOCK - 1) / BLOCK * BLOCK;
	}
	return members->len > 0;
}

static const struct member *find_member(GArray *members, const char *name)
{
	for (guint i = 0; i < members->len; i++) {
		const struct member *member = &g_array_index(members, struct member, i);

		if (strcmp(member->name, name) == 0)
			return member;
	}
	return NULL;
}

/* DSP0243 5.3 has the description as the first member, but not everybody keeps to it. */
static const struct member *find_description(GArray *members)
{
	for (guint i = 0; i < members->len; i++) {
		const struct member *member = &g_array_index(members, struct member, i);

		if (g_str_has_suffix(member->name, ".ovf"))
			return member;
	}
	return NULL;
}

static struct oriel_ova *read_description(const struct archive *archive, guint64 offset, guint64 length,
					  GError **error)
{
	g_autofree char *text = NULL;

	if (length > DESCRIPTION_BYTES || !length) {
		oriel_ova_fail(error, _("The appliance's description is damaged"));
		return NULL;
	}
	text = g_malloc(length);
	if (read_at(archive, offset, text, length))
		return oriel_ovf_parse(text, length, error);
	if (!g_cancellable_set_error_if_cancelled(archive->cancellable, error))
		oriel_ova_fail(error, _("The appliance's description cannot be read"));
	return NULL;
}

static gboolean locate_members(struct oriel_ova *ova, GArray *members, GError **error)
{
	for (guint i = 0; i < ova->disks->len; i++) {
		struct oriel_ova_disk *disk = &g_array_index(ova->disks, struct oriel_ova_disk, i);
		const struct member *member = find_member(members, disk->name);

		if (!member)
			return oriel_ova_fail(error, _("The appliance's disk %s is missing from the file. Download it "
						       "again."), disk->name);
		disk->offset = member->offset;
		disk->length = member->length;
	}
	return TRUE;
}

static gboolean locate_files(struct oriel_ova *ova, const char *path, GError **error)
{
	g_autofree char *folder = g_path_get_dirname(path);

	for (guint i = 0; i < ova->disks->len; i++) {
		struct oriel_ova_disk *disk = &g_array_index(ova->disks, struct oriel_ova_disk, i);
		g_autofree char *file = g_build_filename(folder, disk->name, NULL);
		struct stat status;

		if (lstat(file, &status) < 0 || !S_ISREG(status.st_mode))
			return oriel_ova_fail(error, _("The appliance's disk %s is not beside it"), disk->name);
		disk->length = (guint64)status.st_size;
	}
	return TRUE;
}

static struct oriel_ova *read_archive(const struct archive *archive, GError **error)
{
	g_autoptr(GArray) members = g_array_new(FALSE, TRUE, sizeof(struct member));
	const struct member *description;
	struct oriel_ova *ova;

	if (!list_members(archive, members)) {
		oriel_ova_fail(error, _("The appliance is incomplete or damaged. Download it again."));
		return NULL;
	}
	description = find_description(members);
	if (!description) {
		oriel_ova_fail(error, _("The archive has no description of a machine (a file whose name ends in .ovf)"));
		return NULL;
	}
	ova = read_description(archive, description->offset, description->length, error);
	if (ova && !locate_members(ova, members, error))
		g_clear_pointer(&ova, oriel_ova_free);
	return ova;
}

struct oriel_ova *oriel_ova_read(const char *path, gboolean is_archive, GCancellable *cancellable, GError **error)
{
	struct archive archive = { .cancellable = cancellable };
	struct oriel_ova *ova = NULL;
	struct stat status;

	archive.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (archive.fd < 0 || fstat(archive.fd, &status) < 0) {
		g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(errno), _("Cannot read %s: %s"), path,
			    g_strerror(errno));
	} else {
		archive.size = (guint64)status.st_size;
		ova = is_archive ? read_archive(&archive, error) : read_description(&archive, 0, archive.size, error);
		if (ova && !is_archive && !locate_files(ova, path, error))
			g_clear_pointer(&ova, oriel_ova_free);
	}
	if (archive.fd >= 0)
		close(archive.fd);
	return ova;
}
