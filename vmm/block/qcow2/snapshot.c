/*
 * Internal snapshots. A snapshot is a copy of the L1 table; what both refer to is counted once for each. Making,
 * applying and deleting one each happen by one write of the header (switch.c).
 */
#include "qcow2.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../image.h"

/* format: has the image's path and the reason */
static bool fail(GError **error, const struct qcow2 *image, const char *format, int cause)
{
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(cause), format, image->file.path, g_strerror(cause));
	return false;
}

/* --- The operations --- */

static bool begin(struct block *block, struct qcow2 **image, struct qcow2_snapshot_table **table, GError **error)
{
	int failure;

	*image = qcow2_from_block(block);
	if (!*image || (*image)->external) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("%s cannot have snapshots: they need a qcow2 image that holds its data itself. Convert "
			      "it to qcow2"), block_path(block));
		return false;
	}
	block_drain(block);
	failure = qcow2_snapshots_read(*image, table);
	return failure ? fail(error, *image, _("The snapshots in %s cannot be read: %s"), failure) : true;
}

static struct qcow2_snapshot *find(const struct qcow2_snapshot_table *table, const char *name, GError **error)
{
	for (unsigned i = 0; i < table->count; i++)
		if (strcmp(table->snapshots[i].name, name) == 0)
			return &table->snapshots[i];
	for (unsigned i = 0; i < table->count; i++)
		if (strcmp(table->snapshots[i].id, name) == 0)
			return &table->snapshots[i];
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, _("There is no snapshot \"%s\""), name);
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

static int create(struct qcow2 *image, struct qcow2_snapshot_table *table, const char *name,
		  uint64_t vm_clock_nanoseconds)
{
	struct qcow2_snapshot *snapshot = &table->snapshots[table->count];
	struct qcow2_header next;
	struct timespec now;
	int error = table->count >= QCOW2_SNAPSHOTS_MAX ? EFBIG : strlen(name) > 1023 ? ENAMETOOLONG : 0;

	error = error ? error : qcow2_switch_begin(image);
	error = error ? error : qcow2_tree_count(image, image->l1, image->header.l1_size, true);
	/* The present and the snapshot share the tables, so the new ones have two users. */
	error = error ? error : qcow2_tree_flag(image, image->header.l1_size, 2);
	if (error)
		return error;
	clock_gettime(CLOCK_REALTIME, &now);
	next = image->header;
	snapshot->id = free_id(table);
	snapshot->name = g_strdup(name);
	snapshot->l1_size = image->header.l1_size;
	snapshot->disk_size = image->header.size;
	snapshot->date_seconds = (uint32_t)now.tv_sec;
	snapshot->date_nanoseconds = (uint32_t)now.tv_nsec;
	snapshot->vm_clock_nanoseconds = vm_clock_nanoseconds;
	table->count++;
	error = qcow2_switch_write_table(image, image->l1, snapshot->l1_size, &snapshot->l1_table_offset);
	error = error ? error : qcow2_snapshots_write(image, table, &next);
	return error ? error : qcow2_switch_end(image, &next);
}

bool block_snapshot_create(struct block *block, const char *name, uint64_t vm_clock_nanoseconds, GError **error)
{
	struct qcow2_snapshot_table *table;
	struct qcow2 *image;
	int failure;

	if (!begin(block, &image, &table, error))
		return false;
	failure = create(image, table, name, vm_clock_nanoseconds);
	qcow2_switch_abort(image);
	qcow2_snapshots_free(table);
	if (failure == EMLINK)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("%s cannot have that many snapshots, because its refcounts have only %u bits. Convert "
			      "it to a new image"), image->file.path, image->refcount_bits);
	return failure == EMLINK ? false : failure ? fail(error, image, _("The snapshot in %s cannot be made: %s"),
							  failure) : true;
}

static int apply(struct qcow2 *image, const struct qcow2_snapshot *snapshot)
{
	uint32_t entries = (uint32_t)MAX(snapshot->l1_size, qcow2_l1_entries(image, snapshot->disk_size));
	struct qcow2_header next;
	uint64_t *l1;
	int error = qcow2_switch_begin(image);

	if (error)
		return error;
	l1 = g_new0(uint64_t, entries + 1ull);
	error = qcow2_read_table(image, snapshot->l1_table_offset, l1, snapshot->l1_size);
	/* First, so that nothing that stays is given back. */
	error = error ? error : qcow2_tree_count(image, l1, snapshot->l1_size, true);
	error = error ? error : qcow2_tree_count(image, image->l1, image->header.l1_size, false);
	g_free(image->l1);
	image->l1 = l1;
	error = error ? error : qcow2_tree_flag(image, snapshot->l1_size, 1);
	next = image->header;
	next.size = snapshot->disk_size;
	next.l1_size = entries;
	return error ? error : qcow2_switch_end(image, &next);
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
		qcow2_switch_abort(image);
		block->size = image->header.size & ~511ull;
	}
	qcow2_snapshots_free(table);
	return failure ? fail(error, image, _("The snapshot in %s cannot be applied: %s"), failure) : snapshot != NULL;
}

static int delete(struct qcow2 *image, struct qcow2_snapshot_table *table, struct qcow2_snapshot *snapshot)
{
	g_autofree uint64_t *l1 = g_new0(uint64_t, snapshot->l1_size + 1ull);
	uint64_t offset = snapshot->l1_table_offset, clusters = qcow2_clusters(image, snapshot->l1_size * 8ull);
	uint32_t entries = snapshot->l1_size;
	struct qcow2_header next;
	int error = qcow2_switch_begin(image);

	error = error ? error : qcow2_read_table(image, offset, l1, entries);
	error = error ? error : qcow2_tree_count(image, l1, entries, false);
	/* What only the present refers to now may be written in place again. */
	error = error ? error : qcow2_tree_flag(image, image->header.l1_size, 1);
	if (error)
		return error;
	qcow2_switch_free(image, offset >> image->cluster_bits, clusters);
	qcow2_snapshot_clear(snapshot);
	table->count--;
	memmove(snapshot, snapshot + 1, (size_t)(table->snapshots + table->count - snapshot) * sizeof *snapshot);
	next = image->header;
	error = qcow2_snapshots_write(image, table, &next);
	return error ? error : qcow2_switch_end(image, &next);
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
	if (snapshot) {
		failure = delete(image, table, snapshot);
		qcow2_switch_abort(image);
	}
	qcow2_snapshots_free(table);
	return failure ? fail(error, image, _("The snapshot in %s cannot be deleted: %s"), failure) : snapshot != NULL;
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
	return failure ? fail(error, image, _("The snapshot in %s cannot be read: %s"), failure) : snapshot != NULL;
}
