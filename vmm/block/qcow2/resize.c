/*
 * Changing the size of the disk, preparing its mapping in advance or undoing it, and cutting off the file's unused end.
 * Blocking.
 */
#include "qcow2.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../image.h"

struct waiting_op {
	bool done;
	int error;
};

static void op_done(void *opaque, int error)
{
	struct waiting_op *op = opaque;

	op->done = true;
	op->error = error;
}

int qcow2_run_op(struct qcow2 *image, enum block_operation operation, uint64_t offset, void *buffer, uint64_t length)
{
	struct iovec iov = { buffer, length };
	struct waiting_op op = { 0 };

	if (!length)
		return 0;
	qcow2_start(image, operation, false, offset, length, &iov, buffer ? 1 : 0, op_done, &op);
	while (!op.done)
		engine_reap(image->engine, true);
	return op.error;
}

static int own_table(struct qcow2 *image, uint64_t guest)
{
	int error = 0;

	while (!error && !(image->l1[qcow2_l1_index(image, guest)] & QCOW2_COPIED)) {
		struct qcow2_sync_waiter waiter;

		qcow2_sync_waiter_init(&waiter);
		if (qcow2_own_table(image, guest, &waiter.waiter, &error) == QCOW2_WAIT)
			error = qcow2_sync_wait(image, &waiter);
	}
	return error;
}

int qcow2_status(struct qcow2 *image, uint64_t guest, uint64_t limit, enum qcow2_kind *kind, uint64_t *length,
		 uint64_t *offset)
{
	uint64_t table = image->l1[qcow2_l1_index(image, guest)] & QCOW2_OFFSET_MASK;
	uint64_t end = ((uint64_t)qcow2_l1_index(image, guest) + 1) << (image->cluster_bits + image->l2_bits);
	struct qcow2_page *page;
	struct qcow2_entry entry;
	int error = 0;

	*kind = QCOW2_UNALLOCATED;
	if (offset)
		*offset = 0;
	*length = MIN(limit, end) - guest;
	if (!table)
		return 0;
	if (table & (image->cluster_size - 1))
		return qcow2_corrupt(image, "an L2 table is not on a cluster's border");
	page = qcow2_page_get_sync(image, QCOW2_PAGE_L2, table + qcow2_page_in_table(image, guest),
				   qcow2_l1_index(image, guest), &error);
	if (!page)
		return error;
	*length = qcow2_run(page, guest, limit, kind, &entry);
	if (offset)
		*offset = *kind == QCOW2_DATA ? qcow2_host(image, entry, guest) : 0;
	qcow2_page_put(page);
	return *kind == QCOW2_INVALID ? qcow2_corrupt(image, "a mapping makes no sense") : 0;
}

/* --- Preallocation --- */

static void map_new(struct qcow2_page *page, uint64_t guest, uint64_t host, bool fresh)
{
	const struct qcow2 *image = page->image;
	struct qcow2_entry entry = { host | QCOW2_COPIED, 0 };

	/* Clusters that were used before hold old data: they are there, but read as zeroes. */
	if (image->extended)
		entry.bitmap = fresh ? 0xffffffffull : 0xffffffffull << 32;
	else if (!fresh)
		entry.entry |= QCOW2_ZERO;
	qcow2_entry_set(page, guest, entry);
}

static int preallocate_run(struct qcow2 *image, uint64_t guest, uint64_t end, uint64_t *next)
{
	struct qcow2_run_of_clusters run = { guest >> image->cluster_bits, 1, true };
	struct qcow2_sync_waiter waiter;
	struct qcow2_page *page;
	int error = own_table(image, guest);

	if (error)
		return error;
	page = qcow2_page_get_sync(image, QCOW2_PAGE_L2, (image->l1[qcow2_l1_index(image,
										   guest)] & QCOW2_OFFSET_MASK) +
				   qcow2_page_in_table(image, guest), qcow2_l1_index(image, guest), &error);
	if (!page)
		return error;
	end = MIN(end, qcow2_page_end(image, guest));
	*next = guest + image->cluster_size;
	if (!qcow2_has_host(image, qcow2_entry_get(page, guest))) {
		qcow2_sync_waiter_init(&waiter);
		if (!image->external)
			error = qcow2_allocate(image, 1, &run, &waiter.waiter);
		if (!error && !run.count) {
			*next = guest;
			error = qcow2_sync_wait(image, &waiter);
		} else if (!error) {
			map_new(page, guest, run.cluster << image->cluster_bits, run.fresh ||
				image->header.version < 3);
		}
	}
	qcow2_page_put(page);
	return error;
}

int qcow2_preallocate(struct qcow2 *image, uint64_t start, uint64_t end)
{
	uint64_t guest = start & ~(image->cluster_size - 1);
	int error = qcow2_begin_writing(image);

	/* In version 2, nothing says of a used cluster that it reads as zeroes. */
	if (image->header.version < 3)
		image->scan = image->end;
	while (guest < end && !error) {
		error = preallocate_run(image, guest, end, &guest);
		if (!error && (size_t)image->dirty_pages->len * image->page_size > image->cache->limit / 8)
			error = qcow2_commit_sync(image);
	}
	error = error ? error : qcow2_commit_sync(image);
	/* Data is there, if only as a hole. */
	if (!error && image->file.length < image->end << image->cluster_bits) {
		if (ftruncate(image->file.fd, (off_t)(image->end << image->cluster_bits)) < 0)
			return errno;
		image->file.length = image->end << image->cluster_bits;
	}
	return error;
}

/* --- Size --- */

static int grow_l1(struct qcow2 *image, uint64_t size)
{
	uint64_t entries = qcow2_l1_entries(image, size), cluster = 0;
	struct qcow2_header old = image->header, next = old;
	g_autofree uint64_t *l1 = NULL;
	int error;

	if (entries > QCOW2_L1_MAX / 8)
		return EFBIG;
	if (entries <= image->header.l1_size)
		return 0;
	l1 = g_new0(uint64_t, entries + 1);
	memcpy(l1, image->l1, image->header.l1_size * 8ull);
	error = qcow2_allocate_sync(image, qcow2_clusters(image, entries * 8), &cluster);
	error = error ? error : qcow2_commit_sync(image);
	error = error ? error : qcow2_write_table(image, cluster << image->cluster_bits, l1, entries);
	next.l1_size = (uint32_t)entries;
	next.l1_table_offset = cluster << image->cluster_bits;
	error = error ? error : qcow2_header_switch(image, &next);
	if (error)
		return error;
	if (old.l1_size)
		qcow2_free_clusters(image, old.l1_table_offset >> image->cluster_bits,
				    qcow2_clusters(image, old.l1_size * 8ull));
	g_free(image->l1_disk);
	g_free(image->l1);
	image->l1_disk = g_memdup2(l1, (entries + 1) * sizeof *l1);
	image->l1 = g_steal_pointer(&l1);
	return 0;
}

static int set_size(struct qcow2 *image, uint64_t size)
{
	struct qcow2_header next = image->header;
	int error = qcow2_commit_sync(image);

	next.size = size;
	return error ? error : qcow2_header_switch(image, &next);
}

static int resize_data_file(struct qcow2 *image, uint64_t size)
{
	if (!image->external)
		return 0;
	if (ftruncate(image->data_file.fd, (off_t)size) < 0)
		return errno;
	image->data_file.length = size;
	return 0;
}

/* What appears must read as zeroes: the rest of the last cluster, and what a larger backing image has there. */
static int grow(struct qcow2 *image, uint64_t old, uint64_t size)
{
	uint64_t end = (old + image->cluster_size - 1) & ~(image->cluster_size - 1);
	int error = grow_l1(image, size);

	if (image->backing && image->backing->size > old)
		end = MAX(end, image->backing->size);
	end = MIN(end, size);
	error = error ? error : resize_data_file(image, size);
	for (uint64_t at = old; at < end && !error; at += MIN(end - at, 64u << 20))
		error = qcow2_run_op(image, BLOCK_WRITE_ZEROES, at, NULL, MIN(end - at, 64u << 20));
	error = error ? error : set_size(image, size);
	return error ? error : qcow2_refcount_reserve(image);
}

static void drop_tables(struct qcow2 *image, uint64_t size)
{
	for (uint64_t i = qcow2_l1_entries(image, size); i < image->header.l1_size; i++) {
		uint64_t entry = image->l1[i];

		if (!(entry & QCOW2_COPIED))
			continue;
		qcow2_l1_set(image, (uint32_t)i, 0);
		qcow2_free_clusters(image, (entry & QCOW2_OFFSET_MASK) >> image->cluster_bits, 1);
	}
}

static int shrink(struct qcow2 *image, uint64_t old, uint64_t size)
{
	uint64_t start = (size + image->cluster_size - 1) & ~(image->cluster_size - 1);
	int error = 0;

	for (uint64_t at = start; at < old && !error; at += MIN(old - at, 64u << 20))
		error = qcow2_run_op(image, BLOCK_DISCARD, at, NULL, MIN(old - at, 64u << 20));
	error = error ? error : set_size(image, size);
	if (!error)
		drop_tables(image, size);
	error = error ? error : qcow2_commit_sync(image);
	error = error ? error : resize_data_file(image, size);
	return error ? error : qcow2_truncate_end(image);
}

int qcow2_resize(struct qcow2 *image, uint64_t size)
{
	uint64_t old = image->header.size;
	int error = qcow2_begin_writing(image);

	if (error || size == old)
		return error;
	return size > old ? grow(image, old, size) : shrink(image, old, size);
}

/* --- Emptying --- */

static int unmap_page(struct qcow2 *image, uint64_t guest)
{
	uint64_t end = qcow2_page_end(image, guest), table;
	struct qcow2_page *page;
	int error = own_table(image, guest);

	if (error)
		return error;
	table = image->l1[qcow2_l1_index(image, guest)] & QCOW2_OFFSET_MASK;
	page = qcow2_page_get_sync(image, QCOW2_PAGE_L2, table + qcow2_page_in_table(image, guest),
				   qcow2_l1_index(image, guest), &error);
	if (!page)
		return error;
	for (; guest < end; guest += image->cluster_size) {
		struct qcow2_entry entry = qcow2_entry_get(page, guest);

		if (!entry.entry && !entry.bitmap)
			continue;
		qcow2_entry_set(page, guest, (struct qcow2_entry){ 0 });
		qcow2_free_entry(image, entry);
	}
	qcow2_page_put(page);
	return 0;
}

int qcow2_empty(struct qcow2 *image)
{
	uint64_t size = image->header.size;
	int error = qcow2_begin_writing(image);

	for (uint64_t guest = 0; guest < size && !error; guest = qcow2_page_end(image, guest)) {
		if (image->l1[qcow2_l1_index(image, guest)] & QCOW2_OFFSET_MASK)
			error = unmap_page(image, guest);
		if (!error && (size_t)image->dirty_pages->len * image->page_size > image->cache->limit / 8)
			error = qcow2_commit_sync(image);
	}
	error = error ? error : qcow2_commit_sync(image);
	if (error)
		return error;
	drop_tables(image, 0);
	error = qcow2_commit_sync(image);
	/* Nothing refers to it any more. */
	if (!error && image->external && !image->data_file.no_punch && image->data_file.length)
		error = qcow2_sync(image->engine, &image->data_file, BLOCK_DISCARD, 0, NULL, image->data_file.length);
	return error ? error : qcow2_truncate_end(image);
}

int qcow2_truncate_end(struct qcow2 *image)
{
	uint64_t end = qcow2_clusters(image, image->file.length);
	uint64_t count = 0;
	int error = qcow2_commit_sync(image);

	while (end > 0 && !error && !count) {
		error = qcow2_refcount_sync(image, end - 1, &count);
		end -= !count;
	}
	if (error || end << image->cluster_bits >= image->file.length)
		return error;
	if (ftruncate(image->file.fd, (off_t)(end << image->cluster_bits)) < 0)
		return errno;
	image->file.length = end << image->cluster_bits;
	image->end = end;
	image->scan = MIN(image->scan, end);
	return 0;
}
