/*
 * Taking clusters: from those known to be free, or from the end of the file. The latter never waits for refcounts of
 * the part before, which are looked through a page at a time, as allocations come, in the background.
 */
#include "qcow2.h"

#include <errno.h>
#include <string.h>

/* Making an L2 table: zeroing or copying a cluster. */
struct qcow2_table_job {
	struct qcow2_table_job *next;
	struct qcow2 *image;
	uint32_t l1_index;
	uint64_t cluster;
	uint64_t old; /* offset of the table that is copied, 0: none */
	uint8_t *buffer;
	struct iovec iov;
	struct qcow2_wait_list waiting;
};

/* A run of free clusters within a page, from *cluster on. */
static uint64_t find_free(const struct qcow2_page *page, uint64_t *cluster, uint64_t end, uint64_t count)
{
	uint64_t found = 0;

	for (; *cluster < end && qcow2_refcount_get(page, *cluster); (*cluster)++)
		;
	while (found < count && *cluster + found < end && !qcow2_refcount_get(page, *cluster + found))
		found++;
	return found;
}

static int take(struct qcow2_page *page, struct qcow2_run_of_clusters *run)
{
	struct qcow2 *image = page->image;

	if (qcow2_overlaps(image, run->cluster << image->cluster_bits, run->count << image->cluster_bits))
		return qcow2_corrupt(image, "refcounts claim that the image's own tables are free");
	for (uint64_t i = 0; i < run->count; i++) {
		uint64_t offset = (run->cluster + i) << image->cluster_bits;

		if (!run->fresh && qcow2_cache_overlaps(image, offset, image->cluster_size))
			return qcow2_corrupt(image, "refcounts claim that a table in use is free");
	}
	for (uint64_t i = 0; i < run->count; i++)
		qcow2_refcount_set(page, run->cluster + i, 1);
	return 0;
}

static void scan_resume(struct qcow2_waiter *waiter)
{
	struct qcow2 *image = (struct qcow2 *)(void *)((char *)waiter - offsetof(struct qcow2, scan_waiter));

	image->scan_waiting = false;
	/* What cannot be read is not looked at again. */
	if (waiter->error)
		image->scan = image->end;
}

/* One page of what lies before the end. */
static int allocate_old(struct qcow2 *image, uint64_t count, struct qcow2_run_of_clusters *run)
{
	uint64_t rest = qcow2_refcount_page_rest(image, image->scan), page_end;
	struct qcow2_page *page;
	bool missing;
	int error;

	run->count = 0;
	if (image->scan >= image->end || image->scan_waiting)
		return 0;
	page_end = MIN(image->end, image->scan + rest);
	image->scan_waiter.resume = scan_resume;
	page = qcow2_refcount_page(image, image->scan, &image->scan_waiter, &missing, &error);
	if (missing)
		image->scan = page_end;
	else if (!page)
		image->scan_waiting = !error;
	if (!page)
		return error;
	run->cluster = image->scan;
	run->fresh = false;
	run->count = find_free(page, &run->cluster, page_end, count);
	image->scan = run->cluster + run->count;
	if (run->count)
		error = take(page, run);
	qcow2_page_put(page);
	return error;
}

/*
 * A refcount block in the first cluster that was never used. It counts itself if it is the one for there; otherwise
 * counting is the caller's affair.
 */
static int add_block(struct qcow2 *image, uint64_t index)
{
	uint64_t offset = image->end << image->cluster_bits,
			in_block = image->end & ((1ull << image->block_bits) - 1);
	struct qcow2_page *page;
	uint32_t change = (uint32_t)index;

	if (index >= image->refcount_table_size) {
		g_warning("%s: the refcount table is full", image->file.path);
		return ENOSPC;
	}
	if (image->end >> image->block_bits == index) {
		in_block = in_block * image->refcount_bits / 8 & ~(uint64_t)(image->page_size - 1);
		page = qcow2_page_new(image, QCOW2_PAGE_REFCOUNT, offset + in_block);
		qcow2_refcount_set(page, image->end, 1);
		qcow2_page_put(page);
	}
	image->refcount_table[index] = offset;
	g_array_append_val(image->refcount_table_changes, change);
	image->end++;
	return 0;
}

static int allocate_end(struct qcow2 *image, uint64_t count, struct qcow2_run_of_clusters *run,
			struct qcow2_waiter *waiter)
{
	struct qcow2_page *page;
	bool missing;
	int error;

	run->count = 0;
	for (unsigned tries = 0; tries < 64 && !run->count; tries++) {
		if (image->end >= 1ull << (55 - image->cluster_bits))
			return EFBIG;
		page = qcow2_refcount_page(image, image->end, waiter, &missing, &error);
		if (missing) {
			error = add_block(image, image->end >> image->block_bits);
			if (error)
				return error;
			continue;
		}
		if (!page)
			return error;
		run->cluster = image->end;
		run->fresh = true;
		run->count = find_free(page, &run->cluster, image->end + qcow2_refcount_page_rest(image, image->end),
				       count);
		image->end = run->cluster + run->count;
		error = run->count ? take(page, run) : 0;
		qcow2_page_put(page);
		if (error)
			return error;
	}
	return run->count ? 0 : ENOSPC;
}

int qcow2_allocate(struct qcow2 *image, uint64_t count, struct qcow2_run_of_clusters *run,
		   struct qcow2_waiter *waiter)
{
	int error = allocate_old(image, count, run);

	return error || run->count ? error : allocate_end(image, count, run, waiter);
}

/* --- L2 tables --- */

static void table_finish(struct qcow2_table_job *job, int error)
{
	struct qcow2 *image = job->image;
	struct qcow2_table_job **link = &image->table_jobs;
	struct qcow2_wait_list waiting = job->waiting;

	while (*link != job)
		link = &(*link)->next;
	*link = job->next;
	if (error) {
		qcow2_free_clusters(image, job->cluster, 1);
	} else {
		qcow2_l1_set(image, job->l1_index, job->cluster << image->cluster_bits | QCOW2_COPIED);
		if (job->old)
			qcow2_free_clusters(image, job->old >> image->cluster_bits, 1);
	}
	g_free(job->buffer);
	g_free(job);
	qcow2_wake(image->cache, &waiting, error);
}

static void table_submit(struct qcow2_table_job *job, enum block_operation operation, uint64_t offset,
			 void (*done)(struct engine_io *io, int error))
{
	struct engine_io *io = engine_io_new(job->image->engine);

	io->operation = operation;
	io->file = &job->image->file;
	io->offset = offset;
	io->length = job->image->cluster_size;
	io->iov = &job->iov;
	io->iov_count = 1;
	io->done = done;
	io->opaque = job;
	engine_submit(job->image->engine, io);
}

static void table_written(struct engine_io *io, int error)
{
	struct qcow2_table_job *job = io->opaque;

	engine_io_free(job->image->engine, io);
	table_finish(job, error);
}

static void table_read(struct engine_io *io, int error)
{
	struct qcow2_table_job *job = io->opaque;

	engine_io_free(job->image->engine, io);
	if (error)
		table_finish(job, error);
	else
		table_submit(job, BLOCK_WRITE, job->cluster << job->image->cluster_bits, table_written);
}

/* In clusters that were never used. The page that is needed gets written, so that the file reaches that far. */
static void new_table(struct qcow2 *image, uint64_t guest, uint64_t offset)
{
	struct qcow2_page *page = qcow2_page_new(image, QCOW2_PAGE_L2, offset + qcow2_page_in_table(image, guest));

	page->l1_index = qcow2_l1_index(image, guest);
	qcow2_page_dirty(page);
	qcow2_page_put(page);
	qcow2_l1_set(image, page->l1_index, offset | QCOW2_COPIED);
}

enum qcow2_step qcow2_own_table(struct qcow2 *image, uint64_t guest, struct qcow2_waiter *waiter, int *error)
{
	uint32_t index = qcow2_l1_index(image, guest);
	struct qcow2_run_of_clusters run;
	struct qcow2_table_job *job = image->table_jobs;

	while (job && job->l1_index != index)
		job = job->next;
	if (job) {
		qcow2_wait(&job->waiting, waiter);
		return QCOW2_WAIT;
	}
	*error = qcow2_allocate(image, 1, &run, waiter);
	if (*error || !run.count)
		return *error ? QCOW2_GO : QCOW2_WAIT;
	if (!image->l1[index] && run.fresh) {
		new_table(image, guest, run.cluster << image->cluster_bits);
		return QCOW2_GO;
	}
	job = g_new0(struct qcow2_table_job, 1);
	job->image = image;
	job->l1_index = index;
	job->cluster = run.cluster;
	job->old = image->l1[index] & QCOW2_OFFSET_MASK;
	job->buffer = g_malloc0(image->cluster_size);
	job->iov = (struct iovec){ job->buffer, image->cluster_size };
	job->next = image->table_jobs;
	image->table_jobs = job;
	qcow2_wait(&job->waiting, waiter);
	if (job->old)
		table_submit(job, BLOCK_READ, job->old, table_read);
	else
		table_submit(job, BLOCK_WRITE, job->cluster << image->cluster_bits, table_written);
	return QCOW2_WAIT;
}

/* --- Blocking --- */

uint64_t qcow2_refcount_table_wish(const struct qcow2 *image, uint64_t end)
{
	uint64_t data = qcow2_clusters(image, image->header.size), total = end + data + image->header.l1_size, blocks;

	/* What is freed and not yet given back, and the refcounts' own. */
	total += (64ull << 20 >> image->cluster_bits) + total / 64;
	total += total >> (image->block_bits - 1);
	blocks = (total >> image->block_bits) + 1;
	return MIN(qcow2_clusters(image, blocks * 8), MAX(QCOW2_REFTABLE_MAX >> image->cluster_bits, 1));
}

static int move_refcount_table(struct qcow2 *image, uint64_t clusters)
{
	uint64_t old = image->header.refcount_table_offset, old_clusters = image->header.refcount_table_clusters;
	uint64_t entries = clusters << image->cluster_bits >> 3, cluster = 0;
	struct qcow2_header next;
	int error;

	image->refcount_table = g_renew(uint64_t, image->refcount_table, entries);
	memset(image->refcount_table + image->refcount_table_size, 0, (entries - image->refcount_table_size) * 8);
	image->refcount_table_size = entries;
	error = qcow2_session_enter_sync(image);
	error = error ? error : qcow2_allocate_sync(image, clusters, &cluster);
	/* All of them get into the file with the new table. */
	g_array_set_size(image->refcount_table_changes, 0);
	error = error ? error : qcow2_commit_sync(image);
	error = error ? error : qcow2_write_table(image, cluster << image->cluster_bits, image->refcount_table,
						  entries);
	next = image->header;
	next.refcount_table_offset = cluster << image->cluster_bits;
	next.refcount_table_clusters = (uint32_t)clusters;
	error = error ? error : qcow2_header_switch(image, &next);
	if (error)
		return error;
	qcow2_free_clusters(image, old >> image->cluster_bits, old_clusters);
	return qcow2_commit_sync(image);
}

int qcow2_refcount_reserve(struct qcow2 *image)
{
	uint64_t clusters = qcow2_refcount_table_wish(image, image->end);

	if (clusters <= image->header.refcount_table_clusters)
		return 0;
	/* Half as much again, so that a growing file does not need that at every turn. */
	return move_refcount_table(image, MIN(clusters + clusters / 2, MAX(QCOW2_REFTABLE_MAX >> image->cluster_bits,
									  clusters)));
}

/* Makes the refcount page of cluster appear in memory. */
static struct qcow2_page *page_sync(struct qcow2 *image, uint64_t cluster, bool *missing, int *error)
{
	struct qcow2_page *page = qcow2_refcount_page(image, cluster, NULL, missing, error);

	while (!page && !*missing && !*error) {
		engine_reap(image->engine, true);
		page = qcow2_refcount_page(image, cluster, NULL, missing, error);
	}
	return page;
}

/* Counts the cluster at the end in a page that is there already. */
static int count_end(struct qcow2 *image)
{
	bool missing;
	int error;
	struct qcow2_page *page = page_sync(image, image->end, &missing, &error);

	if (!page)
		return error ? error : EIO;
	qcow2_refcount_set(page, image->end, 1);
	qcow2_page_put(page);
	return 0;
}

/* Makes blocks for all of [end, end + count), moving the end on as it takes clusters for them. */
static int ensure_blocks(struct qcow2 *image, uint64_t count)
{
	uint64_t first = image->end >> image->block_bits;

	for (uint64_t index = first; index <= (image->end + count) >> image->block_bits; index++) {
		int error = 0;

		if (index >= image->refcount_table_size)
			return ENOSPC;
		if (image->refcount_table[index])
			continue;
		if (image->end >> image->block_bits != index)
			error = count_end(image);
		error = error ? error : add_block(image, index);
		if (error)
			return error;
	}
	return 0;
}

int qcow2_allocate_sync(struct qcow2 *image, uint64_t count, uint64_t *cluster)
{
	uint64_t free = 0;
	bool missing;
	int error = 0;

	*cluster = image->end;
	while (!error && free < count) {
		uint64_t at = *cluster + free;
		struct qcow2_page *page;

		if (free == 0)
			error = ensure_blocks(image, count);
		if (free == 0)
			at = *cluster = image->end;
		page = error ? NULL : page_sync(image, at, &missing, &error);
		if (!page)
			return error ? error : EIO;
		if (qcow2_refcount_get(page, at)) {
			image->end = at + 1;
			free = 0;
		} else {
			free++;
		}
		qcow2_page_put(page);
	}
	for (uint64_t i = 0; !error && i < count; i++) {
		struct qcow2_page *page = page_sync(image, *cluster + i, &missing, &error);

		if (!page)
			return error ? error : EIO;
		qcow2_refcount_set(page, *cluster + i, 1);
		qcow2_page_put(page);
	}
	image->end = MAX(image->end, *cluster + count);
	return error;
}
