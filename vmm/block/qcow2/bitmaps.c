/* Persistent dirty bitmaps: kept as they are, and marked as in use, which is to say stale, by the first write. */
#include "qcow2.h"

#define DIRECTORY_MAX (4u << 20)
#define BITMAP_IN_USE 1u

/* The specification, "Bitmap directory": entries of variable length, padded to 8 bytes. */
static bool mark_all(uint8_t *directory, uint64_t length, uint32_t count)
{
	uint64_t at = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t size;

		if (length - at < 24)
			return false;
		size = 24ull + qcow2_get16(directory + at + 18) + qcow2_get32(directory + at + 20);
		size = (size + 7) & ~7ull;
		if (size > length - at)
			return false;
		qcow2_put32(directory + at + 12, qcow2_get32(directory + at + 12) | BITMAP_IN_USE);
		at += size;
	}
	return at == length;
}

void qcow2_bitmaps_prepare(struct qcow2 *image)
{
	const struct qcow2_extension *extension = qcow2_extension(image, QCOW2_EXTENSION_BITMAPS);
	uint64_t length, offset;

	if (!extension || extension->length < 24 || !(image->header.autoclear_features & QCOW2_BITMAPS))
		return;
	length = qcow2_get64(extension->data + 8);
	offset = qcow2_get64(extension->data + 16);
	if (length && length <= DIRECTORY_MAX && offset < INT64_MAX - length && !qcow2_overlaps(image, offset,
												length)) {
		image->bitmap_directory = g_malloc(length);
		image->bitmap_directory_offset = offset;
		image->bitmap_directory_length = length;
		if (qcow2_read_at(image, offset, image->bitmap_directory, length) == 0 &&
		    mark_all(image->bitmap_directory, length, qcow2_get32(extension->data)))
			return;
		g_clear_pointer(&image->bitmap_directory, g_free);
	}
	/* A directory that makes no sense: the bit for all of them goes instead. */
	image->header.autoclear_features &= ~QCOW2_BITMAPS;
}
