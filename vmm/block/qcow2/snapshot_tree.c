/*
 * What an L1 table refers to, as a whole: counted once more, given back, and flagged as what is referred to once.
 * Within a switch (switch.c), when nothing is uncommitted and no request in flight, so the file has the tables as
 * they are.
 */
#include "qcow2.h"

#include <errno.h>

static int change_count(struct qcow2 *image, uint64_t cluster, bool more)
{
	struct qcow2_page *page;
	int error = qcow2_refcount_page_sync(image, cluster, &page);
	uint64_t count;

	if (error)
		return error;
	count = qcow2_refcount_get(page, cluster);
	if (count == 0)
		error = qcow2_corrupt(image, "a cluster in use has no refcount");
	else if (more && count == qcow2_refcount_max(image))
		error = EMLINK;
	else if (!more && count == 1)
		qcow2_switch_free(image, cluster, 1);
	else
		qcow2_refcount_set(page, cluster, more ? count + 1 : count - 1);
	qcow2_page_put(page);
	return error;
}

static int is_single(struct qcow2 *image, uint64_t cluster, bool *single)
{
	uint64_t count;
	int error = qcow2_refcount_sync(image, cluster, &count);

	*single = count == 1;
	return error;
}

/* --- Counting --- */

static int count_entry(struct qcow2 *image, uint64_t entry, bool more)
{
	uint64_t first = entry & QCOW2_OFFSET_MASK, last = first;
	int error = 0;

	if (!first && !(entry & QCOW2_COMPRESSED))
		return 0;
	if (entry & QCOW2_COMPRESSED) {
		first = qcow2_packed_offset(image, entry);
		last = first + qcow2_packed_length(image, entry) - 1;
		image->decompressed_entry = 0;
	}
	for (uint64_t at = first >> image->cluster_bits; at <= last >> image->cluster_bits && !error; at++)
		error = change_count(image, at, more);
	return error;
}

static int read_l2(struct qcow2 *image, uint32_t index, uint64_t offset, uint8_t *table)
{
	if (offset & (image->cluster_size - 1))
		return qcow2_corrupt(image, "L2 table %u is not on a cluster's border", index);
	return qcow2_read_at(image, offset, table, image->cluster_size);
}

int qcow2_tree_count(struct qcow2 *image, const uint64_t *l1, uint32_t entries, bool more)
{
	g_autofree uint8_t *table = g_malloc(image->cluster_size);
	int error = 0;

	for (uint32_t i = 0; i < entries && !error; i++) {
		uint64_t offset = l1[i] & QCOW2_OFFSET_MASK;

		if (!offset)
			continue;
		error = read_l2(image, i, offset, table);
		for (uint64_t at = 0; at < image->cluster_size && !error; at += image->entry_size)
			error = count_entry(image, qcow2_get64(table + at), more);
		error = error ? error : change_count(image, offset >> image->cluster_bits, more);
		error = error ? error : qcow2_switch_pressure(image);
	}
	return error;
}

/* --- Flags --- */

static int flag_entries(struct qcow2 *image, uint8_t *table, bool *changed)
{
	int error = 0;

	*changed = false;
	for (uint64_t at = 0; at < image->cluster_size && !error; at += image->entry_size) {
		uint64_t entry = qcow2_get64(table + at), cluster = (entry & QCOW2_OFFSET_MASK) >> image->cluster_bits;
		bool single = false;

		if (entry & QCOW2_OFFSET_MASK && !(entry & QCOW2_COMPRESSED))
			error = is_single(image, cluster, &single);
		if (single == ((entry & QCOW2_COPIED) != 0))
			continue;
		qcow2_put64(table + at, entry ^ QCOW2_COPIED);
		*changed = true;
	}
	return error;
}

/* As many references as users go over to the copy. */
static int copy_table(struct qcow2 *image, uint64_t *offset, const uint8_t *table, unsigned users)
{
	uint64_t old = *offset >> image->cluster_bits, cluster;
	int error = qcow2_switch_allocate(image, 1, &cluster);

	*offset = cluster << image->cluster_bits;
	error = error ? error : qcow2_write_at(image, *offset, table, image->cluster_size);
	for (unsigned i = 0; i < users && !error; i++) {
		if (i > 0)
			error = change_count(image, cluster, true);
		error = error ? error : change_count(image, old, false);
	}
	return error;
}

int qcow2_tree_flag(struct qcow2 *image, uint32_t entries, unsigned users)
{
	g_autofree uint8_t *table = g_malloc(image->cluster_size);
	bool changed, single;
	int error = 0;

	for (uint32_t i = 0; i < entries && !error; i++) {
		uint64_t offset = image->l1[i] & QCOW2_OFFSET_MASK;

		if (!offset)
			continue;
		error = read_l2(image, i, offset, table);
		error = error ? error : flag_entries(image, table, &changed);
		if (!error && changed)
			error = copy_table(image, &offset, table, users);
		error = error ? error : is_single(image, offset >> image->cluster_bits, &single);
		if (!error)
			image->l1[i] = single ? offset | QCOW2_COPIED : offset;
		error = error ? error : qcow2_switch_pressure(image);
	}
	return error;
}
