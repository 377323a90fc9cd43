/* Writing compressed clusters: one after the other, sharing host clusters. Blocking; for converting images. */
#include "qcow2.h"

/* One more reference to the cluster that the last one ended in; *taken unless that is impossible. */
static int share_cluster(struct qcow2 *image, uint64_t cluster, bool *taken)
{
	struct qcow2_page *page;
	int error = qcow2_refcount_page_sync(image, cluster, &page);
	uint64_t count;

	if (error)
		return error;
	count = qcow2_refcount_get(page, cluster);
	*taken = count && count != qcow2_refcount_max(image);
	if (*taken)
		qcow2_refcount_set(page, cluster, count + 1);
	qcow2_page_put(page);
	return 0;
}

/* Bytes for length behind the last one, which may go on in a new cluster, or in a new one. */
static int allocate_bytes(struct qcow2 *image, uint64_t length, uint64_t *offset)
{
	uint64_t rest = image->pack_end - image->pack_offset, cluster = 0;
	bool shared = rest > 0;
	int error = 0;

	if (rest < length)
		error = qcow2_allocate_sync(image, 1, &cluster);
	if (!error && rest && (rest >= length || cluster << image->cluster_bits == image->pack_end))
		error = share_cluster(image, (image->pack_end - 1) >> image->cluster_bits, &shared);
	else
		shared = false;
	/* The old one cannot be counted any more, and there is no new one. */
	if (!error && !shared && rest >= length)
		error = qcow2_allocate_sync(image, 1, &cluster);
	if (error)
		return error;
	if (!shared)
		image->pack_offset = cluster << image->cluster_bits;
	if (cluster)
		image->pack_end = (cluster + 1) << image->cluster_bits;
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

int qcow2_write_packed(struct qcow2 *image, uint64_t guest, const uint8_t *packed, size_t length)
{
	uint64_t offset;
	int error = qcow2_session_enter_sync(image);

	if (!error && (size_t)image->dirty_pages->len * image->page_size > image->cache->limit / 8)
		error = qcow2_commit_sync(image);
	error = error ? error : allocate_bytes(image, length, &offset);
	error = error ? error : qcow2_write_at(image, offset, packed, length);
	return error ? error : link_packed(image, guest, offset, length);
}
