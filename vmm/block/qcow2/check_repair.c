/*
 * What a check finds, and mending it: refcounts in place, or all of them anew where their own structure is damaged.
 */
#include "qcow2.h"

#include <errno.h>
#include <string.h>

#include "../image.h"

enum comparison {
	COMPARE_ONLY,
	RAISE, /* before flags say that a cluster is shared, */
	LOWER, /* and after */
};

/* --- Comparing --- */

static bool compare_cluster(struct qcow2_check *check, uint8_t *block, uint64_t cluster, enum comparison comparison)
{
	struct qcow2 *image = check->image;
	uint64_t expected = qcow2_check_references(check, cluster), actual = qcow2_refcount_load(image, block,
												 cluster);

	if (expected == actual)
		return false;
	if (expected > qcow2_refcount_max(image)) {
		check->error = EOVERFLOW;
		return false;
	}
	check->corruptions += comparison == COMPARE_ONLY && actual < expected;
	check->leaks += comparison == COMPARE_ONLY && actual > expected;
	if ((comparison == RAISE && actual < expected) || (comparison == LOWER && actual > expected)) {
		qcow2_refcount_store(image, block, cluster, expected);
		return true;
	}
	return false;
}

/* Without a block, clusters with references are without refcounts. */
static void compare_missing(struct qcow2_check *check, uint64_t first, uint64_t last)
{
	for (uint64_t at = qcow2_check_next(check, first); at <= last; at = qcow2_check_next(check, at + 1)) {
		check->corruptions++;
		check->rebuild = true;
	}
}

static void compare_block(struct qcow2_check *check, uint64_t index, uint8_t *block, enum comparison comparison)
{
	struct qcow2 *image = check->image;
	uint64_t offset = image->refcount_table[index] & QCOW2_REFTABLE_MASK;
	uint64_t first = index << image->block_bits, count = 1ull << image->block_bits;
	bool changed = false;

	check->error = qcow2_read_at(image, offset, block, image->cluster_size);
	for (uint64_t i = 0; i < count && !check->error; i++)
		changed |= compare_cluster(check, block, first + i, comparison);
	if (changed && !check->error)
		check->error = qcow2_write_at(image, offset, block, image->cluster_size);
}

static void compare(struct qcow2_check *check, enum comparison comparison)
{
	struct qcow2 *image = check->image;
	g_autofree uint8_t *block = g_malloc(image->cluster_size);

	for (uint64_t index = 0; index < image->refcount_table_size && !check->error && !check->rebuild; index++) {
		uint64_t first = index << image->block_bits, last = first + (1ull << image->block_bits) - 1;

		if (image->refcount_table[index] & QCOW2_REFTABLE_MASK)
			compare_block(check, index, block, comparison);
		else if (first <= check->highest)
			compare_missing(check, first, MIN(last, check->highest));
	}
	if (check->highest >> image->block_bits >= image->refcount_table_size) {
		check->rebuild = true;
		check->corruptions++;
	}
}

/* A block that something else uses too cannot be mended in place. */
static void check_structure(struct qcow2_check *check)
{
	const struct qcow2 *image = check->image;
	uint64_t table = image->header.refcount_table_offset >> image->cluster_bits;

	for (uint64_t i = 0; i < image->refcount_table_size && !check->rebuild; i++) {
		uint64_t block = image->refcount_table[i] & QCOW2_REFTABLE_MASK;

		check->rebuild |= block && qcow2_check_references(check, block >> image->cluster_bits) != 1;
	}
	for (uint32_t i = 0; i < image->header.refcount_table_clusters; i++)
		check->rebuild |= qcow2_check_references(check, table + i) != 1;
}

/* --- Flags --- */

/* Whether a cluster is referred to once: as refcounts say it, or, to mend flags, as it is. */
static uint64_t with_flag(struct qcow2_check *check, uint64_t entry, bool fix)
{
	uint64_t cluster = (entry & QCOW2_OFFSET_MASK) >> check->image->cluster_bits;
	uint64_t count = fix ? qcow2_check_references(check, cluster) : 0;

	if (!fix && !check->error)
		check->error = qcow2_refcount_sync(check->image, cluster, &count);
	return count == 1 ? entry | QCOW2_COPIED : entry & ~QCOW2_COPIED;
}

static void fix_l2_flags(struct qcow2_check *check, uint64_t offset, bool fix)
{
	struct qcow2 *image = check->image;
	g_autofree uint8_t *table = g_malloc(image->cluster_size);
	bool wrong = false;

	check->error = qcow2_read_at(image, offset, table, image->cluster_size);
	for (uint64_t at = 0; at < image->cluster_size && !check->error; at += image->entry_size) {
		uint64_t entry = qcow2_get64(table + at), right = entry;

		if (entry & QCOW2_COMPRESSED)
			right = entry & ~QCOW2_COPIED;
		else if (entry & QCOW2_OFFSET_MASK && !image->external)
			right = with_flag(check, entry, fix);
		check->corruptions += right != entry;
		wrong |= right != entry;
		qcow2_put64(table + at, right);
	}
	if (wrong && fix && !check->error)
		check->error = qcow2_write_at(image, offset, table, image->cluster_size);
}

/* The flags of the active tables. */
static void flags(struct qcow2_check *check, bool fix)
{
	struct qcow2 *image = check->image;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	bool wrong = false;

	for (uint32_t i = 0; i < image->header.l1_size && !check->error; i++) {
		uint64_t entry = image->l1[i], offset = entry & QCOW2_OFFSET_MASK, right;

		if (!offset || offset & (image->cluster_size - 1) ||
		    offset >> image->cluster_bits >= check->file_clusters)
			continue;
		right = with_flag(check, entry, fix);
		check->corruptions += right != entry;
		wrong |= right != entry;
		if (fix)
			image->l1[i] = image->l1_disk[i] = right;
		/* Once, even if a damaged table names it a million times. */
		if (g_hash_table_add(seen, g_memdup2(&offset, sizeof offset)))
			fix_l2_flags(check, offset, fix);
	}
	if (fix && wrong && !check->error)
		check->error = qcow2_write_table(image, image->header.l1_table_offset, image->l1,
						 image->header.l1_size);
}

/* --- All refcounts anew --- */

/* The new blocks and table lie behind everything else, one after the other. */
struct rebuild {
	uint64_t first, blocks, table_clusters;
	GArray *indexes; /* uint64_t */
};

static void plan(struct qcow2_check *check, struct rebuild *rebuild)
{
	const struct qcow2 *image = check->image;
	uint64_t own_first, own_last, end;

	g_array_set_size(rebuild->indexes, 0);
	for (uint64_t at = qcow2_check_next(check, 0); at != UINT64_MAX;) {
		uint64_t index = at >> image->block_bits;

		g_array_append_val(rebuild->indexes, index);
		at = qcow2_check_next(check, (index + 1) << image->block_bits);
	}
	own_first = rebuild->first >> image->block_bits;
	do {
		end = rebuild->first + rebuild->blocks + rebuild->table_clusters;
		own_last = (end - 1) >> image->block_bits;
		rebuild->blocks = rebuild->indexes->len;
		for (uint64_t index = own_first; index <= own_last; index++)
			if (!rebuild->indexes->len ||
			    g_array_index(rebuild->indexes, uint64_t, rebuild->indexes->len - 1) < index) {
				g_array_append_val(rebuild->indexes, index);
				rebuild->blocks++;
			}
		rebuild->table_clusters = qcow2_clusters(image, (own_last + 1) * 8);
	} while (end != rebuild->first + rebuild->blocks + rebuild->table_clusters);
}

static void fill_block(struct qcow2_check *check, const struct rebuild *rebuild, uint64_t index, uint8_t *block)
{
	struct qcow2 *image = check->image;
	uint64_t end = rebuild->first + rebuild->blocks + rebuild->table_clusters;
	uint64_t first = index << image->block_bits, after = (index + 1) << image->block_bits;

	for (uint64_t at = qcow2_check_next(check, first); at < after; at = qcow2_check_next(check, at + 1)) {
		uint64_t count = qcow2_check_references(check, at);

		if (count > qcow2_refcount_max(image))
			check->error = EOVERFLOW;
		else
			qcow2_refcount_store(image, block, at, count);
	}
	for (uint64_t at = MAX(first, rebuild->first); at < MIN(after, end); at++)
		qcow2_refcount_store(image, block, at, 1);
}

static void write_rebuilt(struct qcow2_check *check, struct rebuild *rebuild, uint64_t *table)
{
	struct qcow2 *image = check->image;
	g_autofree uint8_t *block = g_malloc(image->cluster_size);

	for (guint i = 0; i < rebuild->indexes->len && !check->error; i++) {
		uint64_t index = g_array_index(rebuild->indexes, uint64_t, i), at = rebuild->first + i;

		memset(block, 0, image->cluster_size);
		fill_block(check, rebuild, index, block);
		table[index] = at << image->cluster_bits;
		if (!check->error)
			check->error = qcow2_write_at(image, at << image->cluster_bits, block, image->cluster_size);
	}
}

static int switch_tables(struct qcow2_check *check, struct rebuild *rebuild, uint64_t *table)
{
	struct qcow2 *image = check->image;
	uint64_t offset = (rebuild->first + rebuild->blocks) << image->cluster_bits;
	uint64_t entries = rebuild->table_clusters << image->cluster_bits >> 3;
	struct qcow2_header next = image->header;
	int error = qcow2_write_table(image, offset, table, entries);

	next.refcount_table_offset = offset;
	next.refcount_table_clusters = (uint32_t)rebuild->table_clusters;
	error = error ? error : qcow2_header_switch(image, &next);
	if (error)
		return error;
	g_free(image->refcount_table);
	image->refcount_table = g_memdup2(table, entries * 8);
	image->refcount_table_size = entries;
	image->end = rebuild->first + rebuild->blocks + rebuild->table_clusters;
	check->file_clusters = MAX(check->file_clusters, image->end);
	return 0;
}

int qcow2_check_rebuild(struct qcow2_check *check)
{
	struct rebuild rebuild = { .table_clusters = 1, .blocks = 1 };
	g_autofree uint64_t *table = NULL;

	check->without_refcounts = true;
	qcow2_check_walk(check);
	if (check->error)
		return check->error;
	rebuild.first = check->file_clusters;
	if (rebuild.first >> check->image->block_bits >= QCOW2_REFTABLE_MAX / 8)
		return check->error = EFBIG;
	rebuild.indexes = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	plan(check, &rebuild);
	if (rebuild.table_clusters << check->image->cluster_bits > QCOW2_REFTABLE_MAX)
		check->error = EFBIG;
	if (!check->error) {
		table = g_new0(uint64_t, (rebuild.table_clusters << check->image->cluster_bits >> 3) + 1);
		write_rebuilt(check, &rebuild, table);
	}
	if (!check->error)
		check->error = switch_tables(check, &rebuild, table);
	g_array_unref(rebuild.indexes);
	check->without_refcounts = check->rebuild = false;
	return check->error;
}

/* --- The whole --- */

static int load_refcount_table(struct qcow2 *image)
{
	if (image->refcount_table)
		return 0;
	image->refcount_table_size = (uint64_t)image->header.refcount_table_clusters << image->cluster_bits >> 3;
	image->refcount_table = g_new0(uint64_t, image->refcount_table_size);
	return qcow2_read_table(image, image->header.refcount_table_offset, image->refcount_table,
				image->refcount_table_size);
}

static void survey(struct qcow2_check *check)
{
	check->corruptions = check->leaks = check->mapping_errors = 0;
	check->rebuild = false;
	/* Repairs go past it. */
	qcow2_cache_forget(check->image);
	qcow2_check_walk(check);
	if (check->error)
		return;
	check_structure(check);
	check->corruptions += check->rebuild;
	compare(check, COMPARE_ONLY);
	check->corruptions += check->mapping_errors;
	if (!check->error && !check->rebuild)
		flags(check, false);
}

static void mend(struct qcow2_check *check, unsigned repair)
{
	struct qcow2 *image = check->image;
	bool errors = repair & IMAGE_REPAIR_ERRORS && check->corruptions, sound = errors || !check->corruptions;

	if (errors) {
		check->fix_mapping = true;
		qcow2_check_walk(check);
		check->fix_mapping = false;
		if (check->rebuild) {
			qcow2_check_rebuild(check);
			qcow2_check_walk(check);
		}
		compare(check, RAISE);
		check->error = check->error ? check->error : qcow2_flush_file(image);
		if (!check->error)
			flags(check, true);
		check->error = check->error ? check->error : qcow2_flush_file(image);
	}
	if (repair & IMAGE_REPAIR_LEAKS && !check->rebuild)
		compare(check, LOWER);
	check->error = check->error ? check->error : qcow2_flush_file(image);
	/* Clusters that are not shared any more. */
	if (!check->error && repair & IMAGE_REPAIR_LEAKS && sound)
		flags(check, true);
	check->error = check->error ? check->error : qcow2_flush_file(image);
}

static int clear_marks(struct qcow2_check *check, unsigned repair)
{
	struct qcow2 *image = check->image;
	uint64_t marks = image->header.incompatible_features & (QCOW2_DIRTY | QCOW2_CORRUPT);
	uint8_t raw[8];
	int error;

	if (!marks || image->session != QCOW2_SESSION_CLOSED || check->corruptions || (check->leaks &&
										       repair & IMAGE_REPAIR_LEAKS))
		return 0;
	image->header.incompatible_features &= ~marks;
	image->corrupt = false;
	qcow2_put64(raw, image->header.incompatible_features);
	error = qcow2_write_at(image, QCOW2_AT_INCOMPATIBLE, raw, 8);
	return error ? error : qcow2_flush_file(image);
}

int qcow2_check(struct qcow2 *image, unsigned repair, struct image_check *result)
{
	struct qcow2_check check = { .image = image, .file_clusters = qcow2_clusters(image, image->file.length) };
	uint64_t corruptions, leaks;

	check.error = load_refcount_table(image);
	if (!check.error)
		survey(&check);
	corruptions = check.corruptions;
	leaks = check.leaks;
	if (!check.error && repair && (corruptions || leaks)) {
		mend(&check, repair);
		if (!check.error)
			survey(&check);
	}
	if (!check.error && repair)
		check.error = clear_marks(&check, repair);
	result->corruptions = check.corruptions;
	result->leaks = check.leaks;
	result->corruptions_fixed = corruptions - MIN(corruptions, check.corruptions);
	result->leaks_fixed = leaks - MIN(leaks, check.leaks);
	result->clusters = qcow2_clusters(image, image->header.size);
	result->allocated = check.allocated;
	result->compressed = check.compressed;
	result->fragmented = check.fragmented;
	result->end = (check.highest + 1) << image->cluster_bits;
	g_clear_pointer(&check.chunks, g_hash_table_unref);
	g_clear_pointer(&check.keys, g_array_unref);
	qcow2_cache_forget(image);
	return check.error;
}
