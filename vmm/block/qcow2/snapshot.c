/*
 * Internal snapshots. A snapshot is a copy of the L1 table; what both refer to is counted once for each. References
 * are counted before they are made, and given back after they have gone, so an interruption leaves leaks at worst.
 */
#include "qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../image.h"

static bool fail(GError **error, const struct qcow2 *image, const char *what, int cause)
{
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(cause), "%s in %s: %s", what, image->file.path,
		    g_strerror(cause));
	return false;
}

/* --- Walking over everything that an L1 table refers to --- */

enum change {
	COUNT,    /* one more reference to everything; the flags of what is walked say so */
	GIVE_BACK, /* one less */
	SET_FLAGS, /* where there is one reference only */
};

static int add_reference(struct qcow2 *image, uint64_t cluster)
{
	struct qcow2_page *page;
	int error = qcow2_refcount_page_sync(image, cluster, &page);
	uint64_t count;

	if (error)
		return error;
	count = qcow2_refcount_get(page, cluster);
	if (count == 0)
		error = qcow2_corrupt(image, "a cluster in use has no refcount");
	else if (count == qcow2_refcount_max(image))
		error = EMLINK;
	else
		qcow2_refcount_set(page, cluster, count + 1);
	qcow2_page_put(page);
	return error;
}

static int is_single(struct qcow2 *image, uint64_t cluster, bool *single)
{
	struct qcow2_page *page;
	int error = qcow2_refcount_page_sync(image, cluster, &page);

	if (error)
		return error;
	*single = qcow2_refcount_get(page, cluster) == 1;
	qcow2_page_put(page);
	return 0;
}

static int add_entry_references(struct qcow2 *image, uint64_t entry)
{
	uint64_t first = entry & QCOW2_OFFSET_MASK, last = first;
	int error = 0;

	if (entry & QCOW2_COMPRESSED) {
		first = qcow2_packed_offset(image, entry);
		last = first + qcow2_packed_length(image, entry) - 1;
	}
	for (uint64_t at = first >> image->cluster_bits; at <= last >> image->cluster_bits && !error; at++)
		error = add_reference(image, at);
	return error;
}

static int change_entry(struct qcow2_page *page, uint64_t guest, enum change change)
{
	struct qcow2 *image = page->image;
	struct qcow2_entry entry = qcow2_entry_get(page, guest);
	uint64_t old = entry.entry;
	bool single = false;
	int error = 0;

	if (!qcow2_has_host(image, entry))
		return 0;
	if (change == GIVE_BACK) {
		qcow2_free_entry(image, entry);
		return 0;
	}
	if (change == COUNT)
		error = add_entry_references(image, entry.entry);
	else if (!(entry.entry & QCOW2_COMPRESSED))
		error = is_single(image, (entry.entry & QCOW2_OFFSET_MASK) >> image->cluster_bits, &single);
	entry.entry = single ? entry.entry | QCOW2_COPIED : entry.entry & ~QCOW2_COPIED;
	if (!error && entry.entry != old)
		qcow2_entry_set(page, guest, entry);
	return error;
}

static int change_table(struct qcow2 *image, uint32_t index, uint64_t table, enum change change)
{
	uint64_t span = 1ull << (image->cluster_bits + image->l2_bits), start = index * span, end = start + span;
	int error = 0;

	for (uint64_t guest = start, page_end; guest < end && !error; guest = page_end) {
		uint64_t offset = table + qcow2_page_in_table(image, guest);
		struct qcow2_page *page = qcow2_page_get_sync(image, QCOW2_PAGE_L2, offset,
							      index, &error);

		page_end = qcow2_page_end(image, guest);
		if (!page)
			return error;
		for (uint64_t at = guest; at < page_end && !error; at += image->cluster_size)
			error = change_entry(page, at, change);
		qcow2_page_put(page);
	}
	return error;
}

static int change_l1_entry(struct qcow2 *image, uint64_t *l1, uint32_t index, enum change change)
{
	uint64_t table = l1[index] & QCOW2_OFFSET_MASK;
	bool active = l1 == image->l1, single = false;
	int error;

	if (!table)
		return 0;
	if (table & (image->cluster_size - 1))
		return qcow2_corrupt(image, "L2 table %u is not on a cluster's border", index);
	error = change_table(image, index, table, change);
	if (change == COUNT)
		error = error ? error : add_reference(image, table >> image->cluster_bits);
	else if (change == SET_FLAGS)
		error = error ? error : is_single(image, table >> image->cluster_bits, &single);
	else
		qcow2_free_clusters(image, table >> image->cluster_bits, 1);
	if (active && !error && change != GIVE_BACK)
		qcow2_l1_set(image, index, single ? table | QCOW2_COPIED : table);
	return error;
}

/* A little at a time, so that memory stays bounded. */
static int change_all(struct qcow2 *image, uint64_t *l1, uint32_t entries, enum change change)
{
	int error = 0;

	for (uint32_t i = 0; i < entries && !error; i++) {
		error = change_l1_entry(image, l1, i, change);
		if (!error && ((size_t)image->dirty_pages->len * image->page_size > image->cache->limit / 8 ||
			       image->freed->len > 65536))
			error = qcow2_commit_sync(image);
	}
	return error ? error : qcow2_commit_sync(image);
}

/* --- The operations --- */

static bool begin(struct block *block, struct qcow2 **image, struct qcow2_snapshot_table **table, GError **error)
{
	int failure;

	*image = qcow2_from_block(block);
	if (!*image || (*image)->external) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s cannot have snapshots: they need a qcow2 image "
			    "that holds its data itself. Convert it to qcow2", block_path(block));
		return false;
	}
	block_drain(block);
	failure = qcow2_snapshots_read(*image, table);
	return failure ? fail(error, *image, "The snapshots cannot be read", failure) : true;
}

static struct qcow2_snapshot *find(const struct qcow2_snapshot_table *table, const char *name, GError **error)
{
	for (unsigned i = 0; i < table->count; i++)
		if (strcmp(table->snapshots[i].name, name) == 0)
			return &table->snapshots[i];
	for (unsigned i = 0; i < table->count; i++)
		if (strcmp(table->snapshots[i].id, name) == 0)
			return &table->snapshots[i];
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "There is no snapshot \"%s\"", name);
	return NULL;
}

static void clear_listed(gpointer data)
{
	struct image_snapshot *listed = data;

	g_free(listed->id);
	g_free(listed->name);
}

GArray *block_snapshot_list(struct block *block, GError **error)
{
	struct qcow2_snapshot_table *table;
	struct qcow2 *image;
	GArray *list;

	if (!begin(block, &image, &table, error))
		return NULL;
	list = g_array_new(FALSE, TRUE, sizeof(struct image_snapshot));
	g_array_set_clear_func(list, clear_listed);
	for (unsigned i = 0; i < table->count; i++) {
		const struct qcow2_snapshot *from = &table->snapshots[i];
		struct image_snapshot listed = { g_utf8_make_valid(from->id, -1), g_utf8_make_valid(from->name, -1),
						 from->disk_size, from->vm_state_size, from->date_seconds,
						 from->date_nanoseconds, from->vm_clock_nanoseconds };

		g_array_append_val(list, listed);
	}
	qcow2_snapshots_free(table);
	return list;
}

static char *free_id(const struct qcow2_snapshot_table *table)
{
	unsigned long highest = 0;

	for (unsigned i = 0; i < table->count; i++)
		highest = MAX(highest, strtoul(table->snapshots[i].id, NULL, 10) % UINT32_MAX);
	return g_strdup_printf("%lu", highest + 1);
}

/* Writes a copy of l1 to new clusters; an empty table has none. */
static int copy_l1(struct qcow2 *image, const uint64_t *l1, uint32_t entries, bool keep_flags, uint64_t *offset)
{
	g_autofree uint64_t *copy = g_new(uint64_t, entries + 1ull);
	uint64_t cluster = 0;
	int error = entries ? qcow2_allocate_sync(image, qcow2_clusters(image, entries * 8ull), &cluster) : 0;

	for (uint32_t i = 0; i < entries; i++)
		copy[i] = keep_flags ? l1[i] : l1[i] & ~QCOW2_COPIED;
	*offset = cluster << image->cluster_bits;
	return error ? error : qcow2_write_table(image, *offset, copy, entries);
}

/* Takes back what was counted for something that failed. */
static void clean_up(struct qcow2 *image)
{
	struct image_check check;

	if (!image->read_only && !image->corrupt && qcow2_commit_sync(image) == 0)
		qcow2_check(image, IMAGE_REPAIR_LEAKS, &check);
}

bool block_snapshot_create(struct block *block, const char *name, uint64_t vm_clock_nanoseconds, GError **error)
{
	struct qcow2_snapshot_table *table;
	struct qcow2_snapshot *snapshot;
	struct timespec now;
	struct qcow2 *image;
	int failure;

	if (!begin(block, &image, &table, error))
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	failure = table->count >= QCOW2_SNAPSHOTS_MAX ? EFBIG : strlen(name) > 1023 ? ENAMETOOLONG : 0;
	failure = failure ? failure : qcow2_begin_writing(image);
	failure = failure ? failure : change_all(image, image->l1, image->header.l1_size, COUNT);
	if (!failure) {
		snapshot = &table->snapshots[table->count];
		snapshot->id = free_id(table);
		snapshot->name = g_strdup(name);
		snapshot->l1_size = image->header.l1_size;
		snapshot->disk_size = image->header.size;
		snapshot->date_seconds = (uint32_t)now.tv_sec;
		snapshot->date_nanoseconds = (uint32_t)now.tv_nsec;
		snapshot->vm_clock_nanoseconds = vm_clock_nanoseconds;
		table->count++;
		failure = copy_l1(image, image->l1, image->header.l1_size, false, &snapshot->l1_table_offset);
	}
	failure = failure ? failure : qcow2_snapshots_write(image, table);
	failure = failure ? failure : qcow2_commit_sync(image);
	if (failure)
		clean_up(image);
	qcow2_cache_forget(image);
	qcow2_snapshots_free(table);
	if (failure == EMLINK)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    "%s cannot have that many snapshots, because its "
			    "refcounts have only %u bits. Convert it to a new image", image->file.path,
			    image->refcount_bits);
	return failure == EMLINK ? false : failure ? fail(error, image, "The snapshot cannot be made",
							  failure) : true;
}

/* The header's fields from size to l1_table_offset lie side by side: they change together or not at all. */
static int switch_l1(struct qcow2 *image, uint64_t size, uint32_t entries, uint64_t offset)
{
	uint8_t fields[24];
	int error;

	qcow2_put64(fields, size);
	qcow2_put32(fields + 8, image->header.crypt_method);
	qcow2_put32(fields + 12, entries);
	qcow2_put64(fields + 16, offset);
	error = qcow2_flush_file(image);
	error = error ? error : qcow2_write_at(image, QCOW2_AT_SIZE, fields, sizeof fields);
	error = error ? error : qcow2_flush_file(image);
	if (error)
		return error;
	image->header.size = size;
	image->header.l1_size = entries;
	image->header.l1_table_offset = offset;
	return 0;
}

int qcow2_replace_l1(struct qcow2 *image, uint64_t size, uint64_t *l1, uint32_t entries, bool keep_flags)
{
	uint64_t old = image->header.l1_table_offset, old_clusters = qcow2_clusters(image,
										    image->header.l1_size * 8ull);
	uint64_t offset;
	int error = copy_l1(image, l1, entries, keep_flags, &offset);

	error = error ? error : qcow2_commit_sync(image);
	error = error ? error : switch_l1(image, size, entries, offset);
	if (error)
		return error;
	g_free(image->l1_disk);
	image->l1 = l1;
	image->l1_disk = g_memdup2(l1, (entries + 1) * sizeof *l1);
	if (old_clusters)
		qcow2_free_clusters(image, old >> image->cluster_bits, old_clusters);
	return 0;
}

static int apply(struct qcow2 *image, const struct qcow2_snapshot *snapshot)
{
	uint32_t old_entries = image->header.l1_size, entries;
	uint64_t *old = image->l1, *l1;
	int error = qcow2_begin_writing(image);

	entries = (uint32_t)MAX(snapshot->l1_size, qcow2_l1_entries(image, snapshot->disk_size));
	l1 = g_new0(uint64_t, entries + 1ull);
	error = error ? error : qcow2_read_table(image, snapshot->l1_table_offset, l1, snapshot->l1_size);
	error = error ? error : change_all(image, l1, snapshot->l1_size, COUNT);
	for (uint32_t i = 0; i < entries; i++)
		l1[i] &= ~QCOW2_COPIED;
	error = error ? error : qcow2_replace_l1(image, snapshot->disk_size, l1, entries, false);
	if (error) {
		g_free(l1);
		return error;
	}
	qcow2_cache_forget(image);
	error = change_all(image, old, old_entries, GIVE_BACK);
	g_free(old);
	return error;
}

bool block_snapshot_apply(struct block *block, const char *name, GError **error)
{
	struct qcow2_snapshot_table *table;
	const struct qcow2_snapshot *snapshot;
	struct qcow2 *image;
	int failure = 0;

	if (!begin(block, &image, &table, error))
		return false;
	snapshot = find(table, name, error);
	if (snapshot) {
		failure = apply(image, snapshot);
		if (failure)
			clean_up(image);
		qcow2_cache_forget(image);
		block->size = image->header.size & ~511ull;
	}
	qcow2_snapshots_free(table);
	return failure ? fail(error, image, "The snapshot cannot be applied", failure) : snapshot != NULL;
}

static int delete(struct qcow2 *image, struct qcow2_snapshot_table *table, struct qcow2_snapshot *snapshot)
{
	g_autofree uint64_t *l1 = g_new0(uint64_t, snapshot->l1_size + 1ull);
	uint64_t offset = snapshot->l1_table_offset, clusters = qcow2_clusters(image, snapshot->l1_size * 8ull);
	uint32_t entries = snapshot->l1_size;
	int error = qcow2_begin_writing(image);

	error = error ? error : qcow2_read_table(image, offset, l1, entries);
	if (error)
		return error;
	qcow2_snapshot_clear(snapshot);
	table->count--;
	memmove(snapshot, snapshot + 1, (size_t)(table->snapshots + table->count - snapshot) * sizeof *snapshot);
	error = qcow2_snapshots_write(image, table);
	error = error ? error : change_all(image, l1, entries, GIVE_BACK);
	if (error)
		return error;
	if (clusters)
		qcow2_free_clusters(image, offset >> image->cluster_bits, clusters);
	error = qcow2_commit_sync(image);
	qcow2_cache_forget(image);
	return error ? error : change_all(image, image->l1, image->header.l1_size, SET_FLAGS);
}

bool block_snapshot_delete(struct block *block, const char *name, GError **error)
{
	struct qcow2_snapshot_table *table;
	struct qcow2_snapshot *snapshot;
	struct qcow2 *image;
	int failure = 0;

	if (!begin(block, &image, &table, error))
		return false;
	snapshot = find(table, name, error);
	if (snapshot)
		failure = delete(image, table, snapshot);
	if (failure)
		clean_up(image);
	qcow2_cache_forget(image);
	qcow2_snapshots_free(table);
	return failure ? fail(error, image, "The snapshot cannot be deleted", failure) : snapshot != NULL;
}

bool block_snapshot_view(struct block *block, const char *name, GError **error)
{
	struct qcow2_snapshot_table *table;
	const struct qcow2_snapshot *snapshot;
	struct qcow2 *image;
	uint64_t *l1, entries;
	int failure = 0;

	if (!begin(block, &image, &table, error))
		return false;
	snapshot = find(table, name, error);
	if (snapshot) {
		entries = MAX(snapshot->l1_size, qcow2_l1_entries(image, snapshot->disk_size));
		l1 = g_new0(uint64_t, entries + 1);
		failure = qcow2_read_table(image, snapshot->l1_table_offset, l1, snapshot->l1_size);
		qcow2_cache_forget(image);
		g_free(image->l1);
		image->l1 = l1;
		block->size = snapshot->disk_size & ~511ull;
	}
	qcow2_snapshots_free(table);
	return failure ? fail(error, image, "The snapshot cannot be read", failure) : snapshot != NULL;
}
