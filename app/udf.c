/*
 * Files in a UDF file system (ECMA-167 and OSTA UDF 1.02, as on Windows' installation discs): one physical partition,
 * blocks of 2048 bytes.
 */
#include "iso.h"

#include <string.h>

#include "bytes.h"

#define ANCHOR_SECTOR 256
#define SEQUENCE_SECTORS 32
#define DIRECTORY_BYTES (256 << 10)

/* ECMA-167, 3/7.2.1 and 4/7.2.1 */
enum {
	TAG_ANCHOR = 2,
	TAG_PARTITION = 5,
	TAG_LOGICAL_VOLUME = 6,
	TAG_TERMINATOR = 8,
	TAG_FILE_SET = 256,
	TAG_FILE_IDENTIFIER = 257,
	TAG_FILE_ENTRY = 261,
	TAG_EXTENDED_FILE_ENTRY = 266,
};

/* 3/7.2: the tag's checksum is the sum of its other bytes. */
static gboolean has_tag(const guint8 *descriptor, guint wanted)
{
	guint8 sum = 0;

	for (guint i = 0; i < 16; i++)
		sum = (guint8)(sum + (i == 4 ? 0 : descriptor[i]));
	return sum == descriptor[4] && get_le16(descriptor) == wanted;
}

static gboolean read_block(const struct oriel_iso *iso, guint32 block, guint8 *sector)
{
	return oriel_iso_read_image(iso, iso->udf_partition + (guint64)block * ORIEL_ISO_SECTOR, sector,
				    ORIEL_ISO_SECTOR);
}

void oriel_udf_probe(struct oriel_iso *iso)
{
	guint8 sector[ORIEL_ISO_SECTOR];
	guint32 first, count, file_set = 0;
	gboolean has_volume = FALSE;

	if (!oriel_iso_read_image(iso, ANCHOR_SECTOR * ORIEL_ISO_SECTOR, sector, sizeof sector) ||
	    !has_tag(sector, TAG_ANCHOR))
		return;
	count = MIN(get_le32(sector + 16) / ORIEL_ISO_SECTOR, SEQUENCE_SECTORS);
	first = get_le32(sector + 20);
	for (guint32 i = 0; i < count; i++) {
		if (!oriel_iso_read_image(iso, ((guint64)first + i) * ORIEL_ISO_SECTOR, sector, sizeof sector) ||
		    has_tag(sector, TAG_TERMINATOR))
			break;
		if (has_tag(sector, TAG_PARTITION)) {
			iso->udf_partition = (guint64)get_le32(sector + 188) * ORIEL_ISO_SECTOR;
		} else if (has_tag(sector, TAG_LOGICAL_VOLUME) && get_le32(sector + 212) == ORIEL_ISO_SECTOR) {
			file_set = get_le32(sector + 248 + 4);
			has_volume = TRUE;
		}
	}
	if (!iso->udf_partition || !has_volume || !read_block(iso, file_set, sector) || !has_tag(sector, TAG_FILE_SET))
		return;
	/* 4/14.1: the root directory's ICB, a long_ad; its block is never 0, where the file set is */
	iso->udf_root = get_le32(sector + 400 + 4);
}

static gboolean add_extent(const struct oriel_iso *iso, struct oriel_iso_file *file, guint32 length, guint64 offset)
{
	enum { LENGTH_MASK = (1 << 30) - 1 }; /* 4/14.14.1.1: the two bits above are its type */

	length &= LENGTH_MASK;
	if (file->extent_count == ORIEL_ISO_EXTENTS || offset > iso->file_size || length > iso->file_size - offset)
		return FALSE;
	file->extents[file->extent_count++] = (struct oriel_iso_extent){ offset, length };
	return TRUE;
}

/* 4/14.9 and 4/14.17: where the file of an ICB is. Only recorded extents are followed. */
static gboolean read_entry(const struct oriel_iso *iso, guint32 block, struct oriel_iso_file *file)
{
	enum { SHORT = 0, LONG = 1, EMBEDDED = 3 };
	guint8 sector[ORIEL_ISO_SECTOR];
	guint64 base = iso->udf_partition + (guint64)block * ORIEL_ISO_SECTOR;
	guint kind, size, start;
	guint32 attributes, descriptors;

	if (!read_block(iso, block, sector))
		return FALSE;
	start = has_tag(sector, TAG_FILE_ENTRY) ? 176 : has_tag(sector, TAG_EXTENDED_FILE_ENTRY) ? 216 : 0;
	if (!start)
		return FALSE;
	kind = sector[16 + 18] & 7;
	attributes = get_le32(sector + start - 8);
	descriptors = get_le32(sector + start - 4);
	if (attributes > sizeof sector - start || descriptors > sizeof sector - start - attributes)
		return FALSE;
	start += attributes;
	*file = (struct oriel_iso_file){ .size = get_le64(sector + 56) };
	if (kind == EMBEDDED)
		return file->size <= descriptors && add_extent(iso, file, (guint32)file->size, base + start);
	if (kind != SHORT && kind != LONG)
		return FALSE;
	size = kind == SHORT ? 8 : 16;
	for (; descriptors >= size && get_le32(sector + start); start += size, descriptors -= size)
		if (!add_extent(iso, file, get_le32(sector + start),
				iso->udf_partition + (guint64)get_le32(sector + start + 4) * ORIEL_ISO_SECTOR))
			return FALSE;
	return TRUE;
}

/* OSTA UDF 1.02, 2.1.1: the first byte says how wide the characters are. What we look for is ASCII. */
static gboolean is_named(const guint8 *name, guint size, const char *wanted)
{
	guint width = size && name[0] == 16 ? 2 : 1;
	guint count = size ? (size - 1) / width : 0;

	if (count != strlen(wanted))
		return FALSE;
	for (guint i = 0; i < count; i++) {
		const guint8 *letter = name + 1 + i * width;

		if ((width == 2 && letter[0]) || g_ascii_tolower(letter[width - 1]) != g_ascii_tolower(wanted[i]))
			return FALSE;
	}
	return TRUE;
}

/* 4/14.4: file identifier descriptors, one after the other. Returns the block of the entry's ICB in *block. */
static gboolean find_in_directory(const struct oriel_iso *iso, const char *name, guint32 *block)
{
	struct oriel_iso_file directory;
	g_autofree guint8 *bytes = NULL;
	gsize size;

	if (!read_entry(iso, *block, &directory))
		return FALSE;
	size = (gsize)MIN(directory.size, DIRECTORY_BYTES);
	bytes = g_malloc(size + 1);
	if (!oriel_iso_read(iso, &directory, 0, bytes, size))
		return FALSE;
	for (gsize i = 0; i + 38 <= size;) {
		const guint8 *entry = bytes + i;
		guint name_size = entry[19], use_size = get_le16(entry + 36);
		gsize length = (38 + name_size + use_size + 3) & ~(gsize)3;

		if (!has_tag(entry, TAG_FILE_IDENTIFIER) || 38 + name_size + use_size > size - i)
			return FALSE;
		if (is_named(entry + 38 + use_size, name_size, name)) {
			*block = get_le32(entry + 20 + 4);
			return TRUE;
		}
		i += length;
	}
	return FALSE;
}

gboolean oriel_udf_find(const struct oriel_iso *iso, const char *path, struct oriel_iso_file *file)
{
	g_auto(GStrv) names = g_strsplit(path, "/", 0);
	guint32 block = iso->udf_root;

	for (guint i = 0; names[i]; i++)
		if (!find_in_directory(iso, names[i], &block))
			return FALSE;
	return read_entry(iso, block, file);
}
