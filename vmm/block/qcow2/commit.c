/*
 * Taking changes of metadata to the file in an order that a crash may interrupt anywhere (qcow2.h). A commit works on
 * copies of what has changed when it begins, so requests go on changing the tables meanwhile; those changes are the
 * next commit's.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>

/* Pages written by one request to the host. */
#define GROUP_MAX 256u

enum phase {
	PHASE_BEGIN,
	PHASE_UNREACHABLE, /* refcounts, and new tables */
	PHASE_SYNC_UNREACHABLE,
	PHASE_REFCOUNT_TABLE,
	PHASE_SYNC_REFCOUNT_TABLE,
	PHASE_REACHABLE, /* L2 and L1 */
	PHASE_SYNC_REACHABLE,
	PHASE_END,
};

struct copy {
	struct qcow2_page *page;
	uint64_t offset;
	uint8_t *data;
	enum phase phase;
};

struct change {
	uint32_t index;
	uint64_t value;
};

struct qcow2_commit {
	struct qcow2 *image;
	enum phase phase;
	unsigned pending;
	int error;
	GArray *copies;          /* struct copy, by offset */
	GArray *l1_changes;      /* struct change */
	GArray *refcount_table_changes;
	GPtrArray *buffers;      /* of the phase */
	struct qcow2_wait_list waiting;
};

static void next_phase(struct qcow2_commit *commit);
static void begin(struct qcow2 *image);

/* --- Collecting --- */

static bool table_is_new(const struct qcow2 *image, const struct qcow2_page *page)
{
	return page->kind == QCOW2_PAGE_REFCOUNT || image->l1[page->l1_index] != image->l1_disk[page->l1_index];
}

static int by_offset(const void *a, const void *b)
{
	uint64_t first = ((const struct copy *)a)->offset, second = ((const struct copy *)b)->offset;

	return first < second ? -1 : first > second;
}

static bool lazy(const struct qcow2 *image, size_t dirty)
{
	return image->header.compatible_features & QCOW2_LAZY_REFCOUNTS && image->session == QCOW2_SESSION_OPEN &&
	       image->header.incompatible_features & QCOW2_DIRTY && !image->closing &&
	       dirty * image->page_size < image->cache->limit / 8;
}

static void collect_pages(struct qcow2_commit *commit, bool without_refcounts)
{
	struct qcow2 *image = commit->image;
	guint kept = 0;

	for (guint i = 0; i < image->dirty_pages->len; i++) {
		struct qcow2_page *page = image->dirty_pages->pdata[i];
		struct copy copy = { page, page->offset };

		if (without_refcounts && page->kind == QCOW2_PAGE_REFCOUNT) {
			image->dirty_pages->pdata[kept++] = page;
			continue;
		}
		copy.data = qcow2_buffer_new(image);
		copy.phase = table_is_new(image, page) ? PHASE_UNREACHABLE : PHASE_REACHABLE;
		memcpy(copy.data, page->data, image->page_size);
		page->dirty = false;
		page->committing = true;
		g_array_append_val(commit->copies, copy);
	}
	g_ptr_array_set_size(image->dirty_pages, (gint)kept);
	g_array_sort(commit->copies, by_offset);
}

static void collect_changes(GArray *to, GArray *from, const uint64_t *table)
{
	for (guint i = 0; i < from->len; i++) {
		struct change change = { g_array_index(from, uint32_t, i) };

		change.value = table[change.index];
		g_array_append_val(to, change);
	}
	g_array_set_size(from, 0);
}

void qcow2_l1_set(struct qcow2 *image, uint32_t index, uint64_t entry)
{
	if (image->l1[index] == image->l1_disk[index])
		g_array_append_val(image->l1_changes, index);
	image->l1[index] = entry;
}

/* --- Writing --- */

static void io_done(struct engine_io *io, int error)
{
	struct qcow2_commit *commit = io->opaque;

	engine_io_free(commit->image->engine, io);
	commit->error = commit->error ? commit->error : error;
	if (--commit->pending == 0)
		next_phase(commit);
}

static void submit(struct qcow2_commit *commit, enum block_operation operation, struct engine_file *file,
		   uint64_t offset, uint64_t length, struct iovec *iov, unsigned iov_count)
{
	struct engine *engine = commit->image->engine;
	struct engine_io *io = engine_io_new(engine);

	io->operation = operation;
	io->file = file;
	io->offset = offset;
	io->length = length;
	io->iov = iov;
	io->iov_count = iov_count;
	io->done = io_done;
	io->opaque = commit;
	commit->pending++;
	engine_submit(engine, io);
}

static void write_pages(struct qcow2_commit *commit, enum phase phase)
{
	struct qcow2 *image = commit->image;
	guint next;

	for (guint i = 0; i < commit->copies->len; i = next) {
		const struct copy *copies = (const struct copy *)(void *)commit->copies->data;
		struct iovec *iov;
		guint count = 0;

		next = i + 1;
		if (copies[i].phase != phase)
			continue;
		while (next < commit->copies->len && next - i < GROUP_MAX && copies[next].phase == phase &&
		       copies[next].offset == copies[next - 1].offset + image->page_size)
			next++;
		iov = g_new(struct iovec, next - i);
		g_ptr_array_add(commit->buffers, iov);
		for (guint at = i; at < next; at++)
			iov[count++] = (struct iovec){ copies[at].data, image->page_size };
		submit(commit, BLOCK_WRITE, &image->file, copies[i].offset, (uint64_t)count * image->page_size, iov,
		       count);
	}
}

static void write_number(struct qcow2_commit *commit, uint64_t offset, uint64_t number)
{
	struct {
		struct iovec iov;
		uint8_t raw[8];
	} *buffer = g_malloc(sizeof *buffer);

	qcow2_put64(buffer->raw, number);
	buffer->iov = (struct iovec){ buffer->raw, 8 };
	g_ptr_array_add(commit->buffers, buffer);
	submit(commit, BLOCK_WRITE, &commit->image->file, offset, 8, &buffer->iov, 1);
}

static void write_changes(struct qcow2_commit *commit, const GArray *changes, uint64_t table)
{
	for (guint i = 0; i < changes->len; i++) {
		const struct change *change = &g_array_index(changes, struct change, i);

		write_number(commit, table + change->index * 8ull, change->value);
	}
}

static void sync_files(struct qcow2_commit *commit)
{
	struct qcow2 *image = commit->image;

	submit(commit, BLOCK_FLUSH, &image->file, 0, 0, NULL, 0);
	if (image->external)
		submit(commit, BLOCK_FLUSH, image->data, 0, 0, NULL, 0);
}

static bool has_reachable(const struct qcow2_commit *commit)
{
	for (guint i = 0; i < commit->copies->len; i++)
		if (g_array_index(commit->copies, struct copy, i).phase == PHASE_REACHABLE)
			return true;
	return commit->l1_changes->len != 0;
}

static void start_phase(struct qcow2_commit *commit)
{
	const struct qcow2_header *header = &commit->image->header;

	switch (commit->phase) {
	case PHASE_BEGIN:
	case PHASE_END:
		break;
	case PHASE_UNREACHABLE:
	case PHASE_REACHABLE:
		write_pages(commit, commit->phase);
		if (commit->phase == PHASE_REACHABLE)
			write_changes(commit, commit->l1_changes, header->l1_table_offset);
		break;
	case PHASE_REFCOUNT_TABLE:
		write_changes(commit, commit->refcount_table_changes, header->refcount_table_offset);
		break;
	case PHASE_SYNC_UNREACHABLE:
		sync_files(commit);
		break;
	case PHASE_SYNC_REFCOUNT_TABLE:
		if (commit->refcount_table_changes->len)
			sync_files(commit);
		break;
	case PHASE_SYNC_REACHABLE:
		if (has_reachable(commit))
			sync_files(commit);
		break;
	}
}

/* --- The end --- */

static void put_back_changes(GArray *to, const GArray *from)
{
	for (guint i = 0; i < from->len; i++)
		g_array_append_val(to, g_array_index(from, struct change, i).index);
}

static void release_pages(struct qcow2_commit *commit)
{
	for (guint i = 0; i < commit->copies->len; i++) {
		struct copy *copy = &g_array_index(commit->copies, struct copy, i);

		copy->page->committing = false;
		if (commit->error)
			qcow2_page_dirty(copy->page);
		qcow2_buffer_free(commit->image, copy->data);
	}
}

/* What was asked for after the commit began, as far as this one did not do it. */
static void settle_l1(struct qcow2_commit *commit)
{
	struct qcow2 *image = commit->image;

	for (guint i = 0; i < commit->l1_changes->len; i++) {
		const struct change *change = &g_array_index(commit->l1_changes, struct change, i);

		if (!commit->error)
			image->l1_disk[change->index] = change->value;
		if (image->l1[change->index] != image->l1_disk[change->index])
			g_array_append_val(image->l1_changes, change->index);
	}
}

static void finish(struct qcow2_commit *commit)
{
	struct qcow2 *image = commit->image;
	struct qcow2_wait_list waiting = commit->waiting, room = image->commit_room;
	int error = commit->error;

	release_pages(commit);
	settle_l1(commit);
	if (error) {
		put_back_changes(image->refcount_table_changes, commit->refcount_table_changes);
		qcow2_freed_append(image->freed, image->freed_committing);
	}
	g_array_unref(commit->copies);
	g_array_unref(commit->l1_changes);
	g_array_unref(commit->refcount_table_changes);
	g_ptr_array_unref(commit->buffers);
	g_free(commit);
	image->commit = NULL;
	image->commit_error = error;
	image->commit_room = (struct qcow2_wait_list){ 0 };
	if (!error)
		qcow2_freed_committed(image);
	if (image->commit_waiting.first)
		begin(image);
	qcow2_wake(image->cache, &room, error);
	qcow2_wake(image->cache, &waiting, error);
}

/* Begins phases until there is one that has something to wait for. */
static void next_phase(struct qcow2_commit *commit)
{
	g_ptr_array_set_size(commit->buffers, 0);
	do {
		commit->phase = commit->error ? PHASE_END : commit->phase + 1;
		/* Against finishing within the submission. */
		commit->pending = 1;
		start_phase(commit);
		commit->pending--;
	} while (commit->phase != PHASE_END && !commit->pending);
	if (commit->phase == PHASE_END)
		finish(commit);
}

static void begin(struct qcow2 *image)
{
	struct qcow2_commit *commit = g_new0(struct qcow2_commit, 1);
	bool without_refcounts = lazy(image, image->dirty_pages->len);

	commit->image = image;
	commit->copies = g_array_new(FALSE, FALSE, sizeof(struct copy));
	commit->l1_changes = g_array_new(FALSE, FALSE, sizeof(struct change));
	commit->refcount_table_changes = g_array_new(FALSE, FALSE, sizeof(struct change));
	commit->buffers = g_ptr_array_new_with_free_func(g_free);
	commit->waiting = image->commit_waiting;
	image->commit_waiting = (struct qcow2_wait_list){ 0 };
	image->commit = commit;
	collect_pages(commit, without_refcounts);
	/* The table that a switch writes at its end has them. */
	if (image->switching)
		g_array_set_size(image->refcount_table_changes, 0);
	collect_changes(commit->l1_changes, image->l1_changes, image->l1);
	if (!without_refcounts)
		collect_changes(commit->refcount_table_changes, image->refcount_table_changes, image->refcount_table);
	qcow2_freed_append(image->freed_committing, image->freed);
	commit->phase = PHASE_BEGIN;
	next_phase(commit);
}

void qcow2_commit(struct qcow2 *image, struct qcow2_waiter *waiter)
{
	if (waiter)
		qcow2_wait(&image->commit_waiting, waiter);
	if (!image->commit)
		begin(image);
}

bool qcow2_commit_pressure(struct qcow2 *image, struct qcow2_waiter *waiter)
{
	size_t bytes = (size_t)image->dirty_pages->len * image->page_size;

	if (bytes < image->cache->limit / 4)
		return false;
	if (!image->commit)
		begin(image);
	if (!image->commit || bytes < image->cache->limit / 2)
		return false;
	qcow2_wait(&image->commit_room, waiter);
	return true;
}

bool qcow2_clean(const struct qcow2 *image)
{
	return !image->commit && !image->dirty_pages->len && !image->l1_changes->len &&
	       !image->refcount_table_changes->len && !image->freed->len && !image->freed_committing->len &&
	       !image->freed_committed->len && !image->freed_grace->len && !image->freed_ready->len &&
	       !image->table_jobs && !image->scan_waiting && image->session != QCOW2_SESSION_OPENING &&
	       		!image->marking_corrupt;
}

int qcow2_commit_sync(struct qcow2 *image)
{
	bool closing = image->closing;
	int error = 0;

	image->closing = true;
	while (!error && !qcow2_clean(image)) {
		bool busy = image->freed_ready->len || image->freed_grace->len || image->marking_corrupt ||
				   image->scan_waiting || image->table_jobs;

		image->commit_error = 0;
		if (!image->commit && !busy)
			begin(image);
		engine_reap(image->engine, true);
		error = image->commit ? 0 : image->commit_error;
	}
	image->closing = closing;
	return error;
}
