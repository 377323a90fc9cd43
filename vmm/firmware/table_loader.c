#include "table_loader.h"

#include <glib/gi18n.h>
#include <string.h>

#define FILE_NAME 56

enum command {
	COMMAND_ALLOCATE = 1,
	COMMAND_ADD_POINTER = 2,
	COMMAND_ADD_CHECKSUM = 3,
};

/* 128 bytes, little-endian. */
struct entry {
	uint32_t command;
	union {
		struct {
			char file[FILE_NAME];
			uint32_t align;
			uint8_t zone;
		} allocate;
		struct __attribute__((packed)) {
			char file[FILE_NAME];
			char pointee[FILE_NAME];
			uint32_t offset;
			uint8_t size;
		} pointer;
		struct {
			char file[FILE_NAME];
			uint32_t offset;
			uint32_t start;
			uint32_t length;
		} checksum;
		uint8_t bytes[124];
	};
};

G_STATIC_ASSERT(sizeof(struct entry) == 128);

struct placed {
	const char *file;
	uint8_t *data;
	gsize size;
	uint64_t gpa;
};

static void append(GByteArray *script, const struct entry *entry)
{
	g_byte_array_append(script, (const guint8 *)entry, sizeof *entry);
}

void table_loader_allocate(GByteArray *script, const char *file, uint32_t align, enum table_loader_zone zone)
{
	struct entry entry = { .command = GUINT32_TO_LE(COMMAND_ALLOCATE) };

	g_strlcpy(entry.allocate.file, file, FILE_NAME);
	entry.allocate.align = GUINT32_TO_LE(align);
	entry.allocate.zone = (uint8_t)zone;
	append(script, &entry);
}

void table_loader_add_pointer(GByteArray *script, const char *file, const char *pointee, uint32_t offset,
			      uint8_t size)
{
	struct entry entry = { .command = GUINT32_TO_LE(COMMAND_ADD_POINTER) };

	g_strlcpy(entry.pointer.file, file, FILE_NAME);
	g_strlcpy(entry.pointer.pointee, pointee, FILE_NAME);
	entry.pointer.offset = GUINT32_TO_LE(offset);
	entry.pointer.size = size;
	append(script, &entry);
}

void table_loader_add_checksum(GByteArray *script, const char *file, uint32_t offset, uint32_t start, uint32_t length)
{
	struct entry entry = { .command = GUINT32_TO_LE(COMMAND_ADD_CHECKSUM) };

	g_strlcpy(entry.checksum.file, file, FILE_NAME);
	entry.checksum.offset = GUINT32_TO_LE(offset);
	entry.checksum.start = GUINT32_TO_LE(start);
	entry.checksum.length = GUINT32_TO_LE(length);
	append(script, &entry);
}

static struct placed *find_placed(GArray *files, const char *name)
{
	for (guint i = 0; i < files->len; i++) {
		struct placed *placed = &g_array_index(files, struct placed, i);

		if (strncmp(placed->file, name, FILE_NAME) == 0)
			return placed;
	}
	return NULL;
}

static bool run_allocate(const struct entry *entry, const struct table_loader_target *target, GArray *files)
{
	uint32_t align = GUINT32_FROM_LE(entry->allocate.align);
	const char *name = entry->allocate.file;
	struct placed placed = { .file = name };
	GBytes *bytes;

	if (name[FILE_NAME - 1] || (align & (align - 1)) || find_placed(files, name))
		return false;
	bytes = target->find(target->opaque, name);
	if (!bytes)
		return false;
	placed.size = g_bytes_get_size(bytes);
	placed.data = target->allocate(target->opaque, placed.size, MAX(align, 1), entry->allocate.zone, &placed.gpa);
	if (!placed.data)
		return false;
	memcpy(placed.data, g_bytes_get_data(bytes, NULL), placed.size);
	g_array_append_val(files, placed);
	return true;
}

static bool run_add_pointer(const struct entry *entry, GArray *files)
{
	struct placed *file = find_placed(files, entry->pointer.file);
	struct placed *pointee = find_placed(files, entry->pointer.pointee);
	uint32_t offset = GUINT32_FROM_LE(entry->pointer.offset);
	uint8_t size = entry->pointer.size;
	uint64_t value = 0;

	if (!file || !pointee || (size != 1 && size != 2 && size != 4 && size != 8) || file->size < size ||
	    offset > file->size - size)
		return false;
	memcpy(&value, file->data + offset, size);
	value = GUINT64_TO_LE(GUINT64_FROM_LE(value) + pointee->gpa);
	memcpy(file->data + offset, &value, size);
	return true;
}

static bool run_add_checksum(const struct entry *entry, GArray *files)
{
	struct placed *file = find_placed(files, entry->checksum.file);
	uint32_t offset = GUINT32_FROM_LE(entry->checksum.offset);
	uint32_t start = GUINT32_FROM_LE(entry->checksum.start);
	uint32_t length = GUINT32_FROM_LE(entry->checksum.length);
	uint8_t sum = 0;

	if (!file || offset >= file->size || start > file->size || length > file->size - start)
		return false;
	for (uint32_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + file->data[start + i]);
	file->data[offset] = (uint8_t)(file->data[offset] - sum);
	return true;
}

static bool run_entry(const struct entry *entry, const struct table_loader_target *target, GArray *files)
{
	switch (GUINT32_FROM_LE(entry->command)) {
	case COMMAND_ALLOCATE:
		return run_allocate(entry, target, files);
	case COMMAND_ADD_POINTER:
		return run_add_pointer(entry, files);
	case COMMAND_ADD_CHECKSUM:
		return run_add_checksum(entry, files);
	default:
		return false;
	}
}

bool table_loader_run(GBytes *script, const struct table_loader_target *target, const char *wanted, uint64_t *gpa,
		      GError **error)
{
	g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(struct placed));
	gsize size;
	const struct entry *entries = g_bytes_get_data(script, &size);
	const struct placed *placed;

	for (gsize i = 0; i < size / sizeof *entries; i++) {
		if (run_entry(&entries[i], target, files))
			continue;
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("Entry %u of the ACPI table loader's script does not fit: give the machine more "
			      "memory"), (unsigned)i);
		return false;
	}
	placed = find_placed(files, wanted);
	if (!placed) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("The ACPI table loader's script does not load %s"), wanted);
		return false;
	}
	*gpa = placed->gpa;
	return true;
}
