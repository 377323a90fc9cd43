/* Writing compressed clusters: one after the other, sharing host clusters. Blocking; for converting images. */
#include "qcow2.h"

#include <errno.h>

/* Bytes for length in the cluster that the last one ended in, or in new ones. */
static int allocate_bytes(struct qcow2 *image, uint64_t length, uint64_t *offset)
{
	uint64_t rest = image->pack_end - image->pack_offset, cluster;
	struct qcow2_sync_waiter waiter;
	struct qcow2_page *page;
	bool missing;
	int error;

	if (rest < length) {
		error = qcow2_allocate_sync(image, 1, &cluster);
		if (error)
			return error;
		image->pack_offset = cluster << image->cluster_bits;
		image->pack_end = image->pack_offset + image->cluster_size;
	} else {
		do {
			qcow2_sync_waiter_init(&waiter);
			page = qcow2_refcount_page(image, image->pack_offset >> image->cluster_bits, &waiter.waiter,
						   &missing,
						   &error);
			if (!page && !missing && !error)
				error = qcow2_sync_wait(image, &waiter);
		} while (!page && !missing && !error);
		if (!page)
			return error ? error : EIO;
		if (qcow2_refcount_get(page,
				       image->pack_offset >> image->cluster_bits) == qcow2_refcount_max(image)) {
			qcow2_page_put(page);
			image->pack_offset = image->pack_end;
			return allocate_bytes(image, length, offset);
		}
		qcow2_refcount_set(page, image->pack_offset >> image->cluster_bits,
				   qcow2_refcount_get(page, image->pack_offset >> image->cluster_bits) + 1);
		qcow2_page_put(page);
	}
	*offset = image->pack_offset;
	image->pack_offset += length;
	return 0;
}

static int link_packed(struct qcow2 *image, uint64_t guest, uint64_t offset, uint64_t length)
{
	uint64_t sectors = ((offset & 511) + length + 511) / 512 - 1;
	struct qcow2_entry entry = { offset | sectors << (70 - image->cluster_bits) | QCOW2_COMPRESSED, 0 }, old;
	struct qcow2_page *page;
	int error = 0;

	while (!error && !(image->l1[qcow2_l1_index(image, guest)] & QCOW2_COPIED)) {
		struct qcow2_sync_waiter waiter;

		qcow2_sync_waiter_init(&waiter);
		if (qcow2_own_table(image, guest, &waiter.waiter, &error) == QCOW2_WAIT)
			error = qcow2_sync_wait(image, &waiter);
	}
	if (error)
		return error;
	page = qcow2_page_get_sync(image, QCOW2_PAGE_L2, (image->l1[qcow2_l1_index(image,
										   guest)] & QCOW2_OFFSET_MASK) +
				   qcow2_page_in_table(image, guest), qcow2_l1_index(image, guest), &error);
	if (!page)
		return error;
	old = qcow2_entry_get(page, guest);
	qcow2_entry_set(page, guest, entry);
	qcow2_free_entry(image, old);
	qcow2_page_put(page);
	return 0;
}

int qcow2_write_packed(struct qcow2 *image, uint64_t guest, const uint8_t *cluster)
{
	g_autofree uint8_t *packed = g_malloc(image->cluster_size);
	size_t length = qcow2_pack(image, cluster, packed, image->cluster_size - 1);
	uint64_t offset;
	int error;

	if (!length || image->external)
		return ERANGE;
	error = qcow2_begin_writing(image);
	error = error ? error : allocate_bytes(image, length, &offset);
	error = error ? error : qcow2_write_at(image, offset, packed, length);
	return error ? error : link_packed(image, guest, offset, length);
}
