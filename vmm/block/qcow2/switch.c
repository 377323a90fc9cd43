/*
 * Changing many tables at once, which snapshots need: refcounts, the flags that depend on them, the L1 table, and the
 * table of snapshots. From qcow2_switch_begin() on, nothing that the file's header leads to changes: refcount blocks
 * are copies, L2 tables get copied to be changed, and what loses its last reference waits. qcow2_switch_end() makes
 * the header lead to all that is new, by one write inside of one sector, which a power cut leaves done or not done.
 *
 * Before that write, the new clusters are leaks at worst; after it, the old ones are.
 */
#include "qcow2.h"

#include <string.h>

/* So much is given back between commits. */
#define GIVE_BACK_RANGES 65536u

struct qcow2_switch {
	uint64_t *refcount_table; /* as it is in the file */
	uint64_t refcount_table_size;
	GArray *freed; /* struct qcow2_free: what only the old tables refer to */
};

int qcow2_switch_allocate(struct qcow2 *image, uint64_t count, uint64_t *cluster)
{
	struct qcow2_run_of_clusters run = { 0 };
	int error = 0;

	if (count != 1)
		return qcow2_allocate_sync(image, count, cluster);
	while (!error && !run.count) {
		struct qcow2_sync_waiter waiter;

		qcow2_sync_waiter_init(&waiter);
		error = qcow2_allocate(image, 1, &run, &waiter.waiter);
		if (!error && !run.count)
			error = qcow2_sync_wait(image, &waiter);
	}
	*cluster = run.cluster;
	return error;
}

int qcow2_switch_write_table(struct qcow2 *image, const uint64_t *table, uint64_t entries, uint64_t *offset)
{
	uint64_t cluster = 0;
	int error = entries ? qcow2_switch_allocate(image, qcow2_clusters(image, entries * 8), &cluster) : 0;

	*offset = cluster << image->cluster_bits;
	return error ? error : qcow2_write_table(image, *offset, table, entries);
}

void qcow2_switch_free(struct qcow2 *image, uint64_t cluster, uint64_t count)
{
	GArray *freed = image->switching->freed;
	struct qcow2_free *last = freed->len ? &g_array_index(freed, struct qcow2_free, freed->len - 1) : NULL;
	struct qcow2_free range = { cluster, count };

	if (last && last->cluster + last->count == cluster)
		last->count += count;
	else if (count)
		g_array_append_val(freed, range);
}

int qcow2_switch_pressure(struct qcow2 *image)
{
	size_t dirty = (size_t)image->dirty_pages->len * image->page_size;

	return dirty > image->cache->limit / 8 ? qcow2_commit_sync(image) : 0;
}

/* --- Beginning --- */

static int copy_block(struct qcow2 *image, uint64_t index)
{
	uint64_t old = image->refcount_table[index] & QCOW2_REFTABLE_MASK, cluster;
	int error;

	if (old & (image->cluster_size - 1) || old > INT64_MAX - image->cluster_size)
		return qcow2_corrupt(image, "a refcount block is not on a cluster's border");
	error = qcow2_switch_allocate(image, 1, &cluster);
	for (uint64_t at = 0; at < image->cluster_size && !error; at += image->page_size) {
		struct qcow2_page *from = qcow2_page_get_sync(image, QCOW2_PAGE_REFCOUNT, old + at, 0, &error), *to;

		if (!from)
			return error;
		to = qcow2_page_new(image, QCOW2_PAGE_REFCOUNT, (cluster << image->cluster_bits) + at);
		memcpy(to->data, from->data, image->page_size);
		qcow2_page_dirty(to);
		qcow2_page_put(from);
		qcow2_page_put(to);
	}
	if (error)
		return error;
	image->refcount_table[index] = cluster << image->cluster_bits;
	qcow2_switch_free(image, old >> image->cluster_bits, 1);
	return qcow2_switch_pressure(image);
}

/* Large enough for the new tables beside the old ones. */
static void enlarge_refcount_table(struct qcow2 *image)
{
	uint64_t more = 16 + 2 * image->header.refcount_table_clusters + image->header.l1_size +
			4 * qcow2_clusters(image, image->header.l1_size * 8ull), entries;

	for (uint64_t i = 0; i < image->refcount_table_size; i++)
		more += image->refcount_table[i] != 0;
	entries = qcow2_refcount_table_wish(image, image->end + more) << image->cluster_bits >> 3;
	if (entries <= image->refcount_table_size)
		return;
	image->refcount_table = g_renew(uint64_t, image->refcount_table, entries);
	memset(image->refcount_table + image->refcount_table_size, 0, (entries - image->refcount_table_size) * 8);
	image->refcount_table_size = entries;
}

int qcow2_switch_begin(struct qcow2 *image)
{
	struct qcow2_switch *switching;
	int error = qcow2_begin_writing(image);

	if (error)
		return error;
	switching = g_new0(struct qcow2_switch, 1);
	switching->refcount_table = g_memdup2(image->refcount_table, image->refcount_table_size * 8);
	switching->refcount_table_size = image->refcount_table_size;
	switching->freed = g_array_new(FALSE, FALSE, sizeof(struct qcow2_free));
	image->switching = switching;
	enlarge_refcount_table(image);
	for (uint64_t i = 0; i < switching->refcount_table_size && !error; i++)
		if (switching->refcount_table[i] & QCOW2_REFTABLE_MASK)
			error = copy_block(image, i);
	return error;
}

/* --- Ending --- */

static void switch_free(struct qcow2 *image)
{
	struct qcow2_switch *switching = image->switching;

	g_free(switching->refcount_table);
	g_array_unref(switching->freed);
	g_free(switching);
	image->switching = NULL;
}

void qcow2_switch_abort(struct qcow2 *image)
{
	if (!image->switching)
		return;
	for (guint i = 0; i < image->dirty_pages->len; i++)
		((struct qcow2_page *)image->dirty_pages->pdata[i])->dirty = false;
	g_ptr_array_set_size(image->dirty_pages, 0);
	g_array_set_size(image->refcount_table_changes, 0);
	g_free(image->refcount_table);
	image->refcount_table = g_steal_pointer(&image->switching->refcount_table);
	image->refcount_table_size = image->switching->refcount_table_size;
	g_free(image->l1);
	image->l1 = g_memdup2(image->l1_disk, (image->header.l1_size + 1) * sizeof *image->l1);
	image->scan = 0;
	switch_free(image);
	qcow2_cache_forget(image);
}

/* What fails here is tried again by the next commit. */
static void give_back(struct qcow2 *image, const GArray *freed)
{
	int error = 0;

	for (guint i = 0; i < freed->len; i++) {
		const struct qcow2_free *range = &g_array_index(freed, struct qcow2_free, i);

		qcow2_free_clusters(image, range->cluster, range->count);
		if (!error && image->freed->len > GIVE_BACK_RANGES)
			error = qcow2_commit_sync(image);
	}
	if (!error)
		error = qcow2_commit_sync(image);
	if (error)
		g_warning("%s: the space of old tables cannot be given back yet: %s", image->file.path,
			  g_strerror(error));
}

static int switch_header(struct qcow2 *image, struct qcow2_header *next)
{
	uint64_t clusters = image->refcount_table_size << 3 >> image->cluster_bits, table = 0;
	int error = qcow2_switch_write_table(image, image->l1, next->l1_size, &next->l1_table_offset);

	/* Counting the table's own clusters changes it, so it is written when all has been counted. */
	error = error ? error : qcow2_switch_allocate(image, clusters, &table);
	next->refcount_table_offset = table << image->cluster_bits;
	next->refcount_table_clusters = (uint32_t)clusters;
	error = error ? error : qcow2_commit_sync(image);
	error = error ? error : qcow2_write_table(image, next->refcount_table_offset, image->refcount_table,
						  image->refcount_table_size);
	return error ? error : qcow2_header_switch(image, next);
}

int qcow2_switch_end(struct qcow2 *image, struct qcow2_header *next)
{
	struct qcow2_header old = image->header;
	g_autoptr(GArray) freed = NULL;
	int error = switch_header(image, next);

	if (error)
		return error;
	qcow2_switch_free(image, old.l1_table_offset >> image->cluster_bits,
			  qcow2_clusters(image, old.l1_size * 8ull));
	qcow2_switch_free(image, old.refcount_table_offset >> image->cluster_bits, old.refcount_table_clusters);
	g_free(image->l1_disk);
	image->l1_disk = g_memdup2(image->l1, (next->l1_size + 1ull) * sizeof *image->l1);
	freed = g_array_ref(image->switching->freed);
	switch_free(image);
	qcow2_cache_forget(image);
	give_back(image, freed);
	return 0;
}
