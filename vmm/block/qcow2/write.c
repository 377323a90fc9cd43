/*
 * Writing: in place where the cluster is ours alone, and otherwise into new clusters, together with what has to be
 * copied around the guest's data, in one request to the host. The mapping changes when that has finished.
 */
#include "qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is copied before or after the guest's data. */
struct copied {
	uint64_t guest, length; /* length 0: nothing has to be written */
	bool read;              /* from the image as it was; otherwise zeroes */
	uint8_t *data;
	struct iovec iov;
};

/* Clusters being written that no table refers to yet; other requests for them wait. */
struct qcow2_allocation {
	struct qcow2_allocation *next;
	struct qcow2_wait_list waiting;
	struct qcow2_piece *piece;
	struct qcow2_page *page; /* that will map them all */
	uint64_t start, end;     /* guest clusters */
	uint64_t covered_start, covered_end; /* units that get data */
	uint64_t guest;          /* where the piece begins */
	uint64_t host;           /* of start */
	bool new_clusters;
	struct copied head, tail;
	unsigned reads;
	int error;
};

bool qcow2_allocation_conflict(struct qcow2 *image, uint64_t start, uint64_t end, struct qcow2_waiter *waiter)
{
	for (struct qcow2_allocation *at = image->allocations; at; at = at->next) {
		if (at->start >= end || at->end <= start)
			continue;
		qcow2_wait(&at->waiting, waiter);
		return true;
	}
	return false;
}

/* The first address at which somebody else is allocating. */
static uint64_t conflict_limit(const struct qcow2 *image, uint64_t start, uint64_t end)
{
	for (const struct qcow2_allocation *at = image->allocations; at; at = at->next)
		if (at->start < end && at->end > start)
			end = MAX(at->start, start);
	return end;
}

/* --- In place --- */

static uint64_t run_in_place(const struct qcow2_page *page, uint64_t guest, uint64_t limit)
{
	const struct qcow2 *image = page->image;
	struct qcow2_entry first;
	enum qcow2_kind kind;
	uint64_t length = qcow2_run(page, guest, limit, &kind, &first);
	uint64_t at = (guest | (image->cluster_size - 1)) + 1;

	if (kind != QCOW2_DATA || !qcow2_writable(image, first))
		return 0;
	while (at < guest + length && qcow2_writable(image, qcow2_entry_get(page, at)))
		at += image->cluster_size;
	return MIN(at - guest, length);
}

static void write_in_place(struct qcow2_op *op, const struct qcow2_page *page, uint64_t length)
{
	struct qcow2 *image = op->image;
	uint64_t host = qcow2_host(image, qcow2_entry_get(page, op->position), op->position);

	if (!image->external && (host + length > image->end << image->cluster_bits || qcow2_overlaps(image, host,
												     length)))
		op->error = qcow2_corrupt(image, "guest data lies where there is none, at %#" G_GINT64_MODIFIER "x",
					  host);
	else
		qcow2_piece_submit(qcow2_piece_new(op, length), BLOCK_WRITE, host, length, NULL);
}

/* --- Allocating --- */

static void link_cluster(struct qcow2_allocation *allocation, uint64_t guest)
{
	struct qcow2_page *page = allocation->page;
	struct qcow2 *image = page->image;
	struct qcow2_entry old = qcow2_entry_get(page, guest), entry = { 0 };

	entry.entry = (allocation->host + (guest - allocation->start)) | QCOW2_COPIED;
	for (unsigned i = 0; image->extended && i < QCOW2_SUBCLUSTERS; i++) {
		uint64_t unit = guest + ((uint64_t)i << image->unit_bits);
		uint64_t both = 1ull << i | 1ull << (i + 32);

		if (unit >= allocation->covered_start && unit < allocation->covered_end)
			entry.bitmap |= 1ull << i;
		else
			entry.bitmap |= old.bitmap & both;
	}
	qcow2_entry_set(page, guest, entry);
	if (allocation->new_clusters)
		qcow2_free_entry(image, old);
}

static void give_back(struct qcow2_allocation *allocation)
{
	const struct qcow2 *image = allocation->page->image;

	if (allocation->new_clusters && !image->external)
		qcow2_free_clusters(allocation->page->image, allocation->host >> image->cluster_bits,
				    (allocation->end - allocation->start) >> image->cluster_bits);
}

static void finish(struct qcow2_allocation *allocation, int error)
{
	struct qcow2_piece *piece = allocation->piece;
	struct qcow2 *image = piece->image;
	struct qcow2_allocation **at = &image->allocations;
	struct qcow2_wait_list waiting = allocation->waiting;

	for (uint64_t guest = allocation->start; !error && guest < allocation->end; guest += image->cluster_size)
		link_cluster(allocation, guest);
	if (error)
		give_back(allocation);
	while (*at != allocation)
		at = &(*at)->next;
	*at = allocation->next;
	qcow2_page_put(allocation->page);
	free(allocation->head.data);
	free(allocation->tail.data);
	g_slice_free(struct qcow2_allocation, allocation);
	qcow2_piece_done(piece, error);
	/* What fails here need not fail for those who waited for the same clusters. */
	qcow2_wake(image->cache, &waiting, 0);
}

static void written(struct engine_io *io, int error)
{
	struct qcow2_piece *piece = io->opaque;

	engine_io_free(piece->image->engine, io);
	finish(piece->allocation, error);
}

/* Puts what was copied around the guest's memory. */
static void merge(struct qcow2_allocation *allocation)
{
	struct qcow2_piece *piece = allocation->piece;
	bool head = allocation->head.length, tail = allocation->tail.length;
	struct iovec *merged;

	if (!head && !tail)
		return;
	merged = g_new(struct iovec, piece->iov_count + 2);
	memcpy(merged + head, piece->iov, piece->iov_count * sizeof *merged);
	if (head)
		merged[0] = allocation->head.iov;
	if (tail)
		merged[head + piece->iov_count] = allocation->tail.iov;
	g_free(piece->many);
	piece->iov = piece->many = merged;
	piece->iov_count += head + tail;
}

static void write_clusters(struct qcow2_allocation *allocation)
{
	uint64_t start = allocation->guest - allocation->head.length;
	uint64_t length = allocation->head.length + allocation->piece->length + allocation->tail.length;

	if (allocation->error) {
		finish(allocation, allocation->error);
		return;
	}
	merge(allocation);
	qcow2_piece_submit(allocation->piece, BLOCK_WRITE, allocation->host + (start - allocation->start), length,
			   written);
}

static void copied_read(void *opaque, int error)
{
	struct qcow2_allocation *allocation = opaque;

	allocation->error = allocation->error ? allocation->error : error;
	if (--allocation->reads == 0)
		write_clusters(allocation);
}

static void prepare_copied(struct qcow2_allocation *allocation, struct copied *copied)
{
	struct qcow2 *image = allocation->piece->image;

	if (!copied->length)
		return;
	/* An image may end anywhere. */
	copied->data = aligned_alloc(512, (copied->length + 511) & ~511ull);
	copied->iov = (struct iovec){ copied->data, copied->length };
	if (!copied->read) {
		memset(copied->data, 0, copied->length);
		return;
	}
	allocation->reads++;
	qcow2_start(image, BLOCK_READ, false, copied->guest, copied->length, &copied->iov, 1, copied_read,
		    allocation);
}

/* Behind the image's end nothing can be read, and nobody will. */
static bool reads_zero(const struct qcow2_page *page, uint64_t guest, uint64_t length)
{
	const struct qcow2 *image = page->image;
	uint64_t end = guest + length;

	while (guest < end) {
		struct qcow2_entry entry;
		enum qcow2_kind kind;
		uint64_t run = qcow2_run(page, guest, end, &kind, &entry);

		if (kind != QCOW2_ZEROES &&
		    (kind != QCOW2_UNALLOCATED || (image->backing && guest < image->backing->size)))
			return false;
		guest += run;
	}
	return true;
}

static void plan_copied(struct qcow2_allocation *allocation, struct copied *copied, uint64_t start, uint64_t end,
			bool fresh)
{
	copied->guest = start;
	copied->length = end - start;
	copied->read = copied->length && !reads_zero(allocation->page, start, copied->length);
	if (!copied->read && fresh)
		copied->length = 0;
}

/* Data in the old cluster has to move as a whole when its mapping does. */
static uint64_t copy_unit(const struct qcow2_page *page, uint64_t guest, bool new_clusters)
{
	const struct qcow2 *image = page->image;

	return new_clusters && qcow2_has_host(image, qcow2_entry_get(page, guest)) ? image->cluster_size :
										      1ull << image->unit_bits;
}

static void allocate(struct qcow2_op *op, struct qcow2_page *page, uint64_t start, uint64_t count, uint64_t host,
		     bool new_clusters, bool fresh)
{
	struct qcow2 *image = op->image;
	struct qcow2_allocation *allocation = g_slice_new0(struct qcow2_allocation);
	uint64_t end = start + (count << image->cluster_bits), data_end = MIN(op->end, end);
	uint64_t head_unit = copy_unit(page, op->position, new_clusters);
	uint64_t tail_unit = copy_unit(page, data_end - 1, new_clusters);

	allocation->page = page;
	page->pins++;
	allocation->start = start;
	allocation->end = end;
	allocation->guest = op->position;
	allocation->host = host;
	allocation->new_clusters = new_clusters;
	allocation->covered_start = op->position & ~(head_unit - 1);
	allocation->covered_end = (data_end + tail_unit - 1) & ~(tail_unit - 1);
	allocation->next = image->allocations;
	image->allocations = allocation;
	plan_copied(allocation, &allocation->head, allocation->covered_start, op->position, fresh);
	plan_copied(allocation, &allocation->tail, data_end, allocation->covered_end, fresh);
	allocation->piece = qcow2_piece_new(op, data_end - op->position);
	allocation->piece->allocation = allocation;
	allocation->reads = 1;
	prepare_copied(allocation, &allocation->head);
	prepare_copied(allocation, &allocation->tail);
	copied_read(allocation, 0);
}

/* A cluster that is there and ours, but of which this part has no data yet. */
static void allocate_within(struct qcow2_op *op, struct qcow2_page *page, struct qcow2_entry entry)
{
	struct qcow2 *image = op->image;
	uint64_t start = op->position & ~(image->cluster_size - 1), end = op->end;
	uint64_t unit = 1ull << image->unit_bits, host = entry.entry & QCOW2_OFFSET_MASK;

	if (!image->external && ((host >> image->cluster_bits) >= image->end ||
				 qcow2_overlaps(image, host, image->cluster_size))) {
		op->error = qcow2_corrupt(image, "guest data lies where there is none, at %#" G_GINT64_MODIFIER "x",
					  host);
		return;
	}
	/* Up to the first subcluster that has data. */
	for (uint64_t at = (op->position | (unit - 1)) + 1; at < MIN(end, start + image->cluster_size); at += unit)
		if (qcow2_kind(image, entry, at) == QCOW2_DATA)
			end = at;
	if (end < op->end) {
		uint64_t whole = op->end;

		op->end = end;
		allocate(op, page, start, 1, host, false, false);
		op->end = whole;
	} else {
		allocate(op, page, start, 1, host, false, false);
	}
}

/* How many clusters from start need a new place in the file; 0: the entry makes no sense. */
static uint64_t count_new(const struct qcow2_page *page, uint64_t start, uint64_t limit)
{
	const struct qcow2 *image = page->image;
	uint64_t at = start;

	for (; at < limit; at += image->cluster_size) {
		struct qcow2_entry entry = qcow2_entry_get(page, at);

		if (qcow2_kind(image, entry, at) == QCOW2_INVALID || qcow2_writable(image, entry))
			break;
	}
	return (at - start) >> image->cluster_bits;
}

static enum qcow2_step allocate_new(struct qcow2_op *op, struct qcow2_page *page)
{
	struct qcow2 *image = op->image;
	uint64_t start = op->position & ~(image->cluster_size - 1);
	uint64_t end = (op->end + image->cluster_size - 1) & ~(image->cluster_size - 1);
	struct qcow2_run_of_clusters run = { 0 };
	uint64_t count;

	end = conflict_limit(image, start, MIN(end, qcow2_page_end(page->image, start)));
	count = count_new(page, start, end);
	if (count == 0) {
		op->error = qcow2_corrupt(image,
					  "the mapping of guest offset %#" G_GINT64_MODIFIER "x makes no sense",
					  op->position);
		return QCOW2_GO;
	}
	if (image->external) {
		allocate(op, page, start, count, start, true, false);
		return QCOW2_GO;
	}
	op->error = qcow2_allocate(image, count, &run, &op->waiter);
	if (op->error)
		return QCOW2_GO;
	if (!run.count)
		return QCOW2_WAIT;
	allocate(op, page, start, run.count, run.cluster << image->cluster_bits, true, run.fresh);
	return QCOW2_GO;
}

static enum qcow2_step write_run(struct qcow2_op *op, struct qcow2_page *page)
{
	struct qcow2 *image = op->image;
	uint64_t length = run_in_place(page, op->position, op->end);
	uint64_t start = op->position & ~(image->cluster_size - 1);
	struct qcow2_entry entry = qcow2_entry_get(page, op->position);

	if (length) {
		write_in_place(op, page, length);
		return QCOW2_GO;
	}
	if (qcow2_allocation_conflict(image, start, start + image->cluster_size, &op->waiter))
		return QCOW2_WAIT;
	if (qcow2_kind(image, entry, op->position) == QCOW2_INVALID || !qcow2_writable(image, entry))
		return allocate_new(op, page);
	allocate_within(op, page, entry);
	return QCOW2_GO;
}

enum qcow2_step qcow2_step_write(struct qcow2_op *op)
{
	struct qcow2 *image = op->image;
	struct qcow2_page *page;
	enum qcow2_step step;
	bool missing;
	int error = 0;

	if (image->corrupt)
		op->error = EIO;
	if (op->error)
		return QCOW2_GO;
	if (!qcow2_session_enter(image, &op->waiter) || qcow2_commit_pressure(image, &op->waiter))
		return QCOW2_WAIT;
	if (!(image->l1[qcow2_l1_index(image, op->position)] & QCOW2_COPIED)) {
		step = qcow2_own_table(image, op->position, &op->waiter, &error);
		op->error = op->error ? op->error : error;
		return step;
	}
	page = qcow2_map(image, op->position, &op->waiter, &missing, &error);
	if (!page) {
		op->error = missing ? qcow2_corrupt(image, "L1 claims a table at offset 0") : error;
		return op->error ? QCOW2_GO : QCOW2_WAIT;
	}
	step = write_run(op, page);
	qcow2_page_put(page);
	return step;
}
