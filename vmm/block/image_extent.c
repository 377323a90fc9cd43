/* What is where in an image and the images below it. */
#include "image_internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <unistd.h>

static void raw_extent(const struct engine_file *file, uint64_t at, uint64_t limit, struct image_extent *extent)
{
	off_t data = lseek(file->fd, (off_t)at, SEEK_DATA), hole;
	bool nothing = data < 0 && errno == ENXIO;

	extent->present = true;
	extent->offset = at;
	extent->path = file->path;
	extent->length = limit - at;
	if (nothing || data > (off_t)at) {
		extent->zero = true;
		extent->length = nothing ? extent->length : MIN((uint64_t)data, limit) - at;
		return;
	}
	extent->data = true;
	hole = data < 0 ? -1 : lseek(file->fd, (off_t)at, SEEK_HOLE);
	if (hole > (off_t)at)
		extent->length = MIN((uint64_t)hole, limit) - at;
}

static void qcow2_extent(const struct qcow2 *image, enum qcow2_kind kind, struct image_extent *extent)
{
	extent->present = kind != QCOW2_UNALLOCATED;
	extent->data = kind == QCOW2_DATA || kind == QCOW2_PACKED;
	extent->compressed = kind == QCOW2_PACKED;
	extent->zero = !extent->data;
	extent->path = kind == QCOW2_DATA ? image->data->path : image->file.path;
}

static int chain_extent(struct qcow2 *image, uint64_t limit, struct image_extent *extent)
{
	uint64_t at = extent->start;

	for (;;) {
		struct qcow2_backing *backing = image->backing;
		enum qcow2_kind kind;
		int failure = qcow2_status(image, at, limit, &kind, &extent->length, &extent->offset);

		if (failure)
			return failure;
		limit = at + extent->length;
		if (kind != QCOW2_UNALLOCATED || !backing || at >= backing->size) {
			qcow2_extent(image, kind, extent);
			return 0;
		}
		limit = MIN(limit, backing->size);
		extent->depth++;
		if (!backing->image) {
			raw_extent(&backing->raw, at, limit, extent);
			return 0;
		}
		image = backing->image;
	}
}

int image_extent_at(struct block *block, uint64_t offset, uint64_t limit, struct image_extent *extent)
{
	struct qcow2 *image = qcow2_from_block(block);

	*extent = (struct image_extent){ .start = offset };
	if (image)
		return chain_extent(image, limit, extent);
	/* The driver's image of a raw file begins with it. */
	raw_extent(block->image, offset, limit, extent);
	return 0;
}

static bool continues(const struct image_extent *first, const struct image_extent *next)
{
	return first->depth == next->depth && first->present == next->present && first->zero == next->zero &&
	       first->data == next->data && first->compressed == next->compressed && !first->compressed &&
	       (!first->data || (first->path == next->path && first->offset + first->length == next->offset));
}

bool image_map(const char *path, void (*found)(const struct image_extent *extent, void *opaque), void *opaque,
	       GError **error)
{
	struct block_options options = { .path = path, .read_only = true };
	struct block *block = block_open(&options, error);
	struct image_extent extent = { 0 }, next;
	int failure = 0;

	if (!block)
		return false;
	for (uint64_t at = 0; at < block_size(block) && !failure; at += next.length) {
		failure = image_extent_at(block, at, block_size(block), &next);
		if (failure)
			break;
		if (at && continues(&extent, &next)) {
			extent.length += next.length;
			continue;
		}
		if (at)
			found(&extent, opaque);
		extent = next;
	}
	if (!failure && extent.length)
		found(&extent, opaque);
	block_close(block);
	return failure ? image_failed(error, _("Cannot read the map of %s: %s"), path, failure) : true;
}
