/*
 * Giving clusters back. A cluster that lost its reference may be used again once no table in the file refers to it
 * (after the commit), and once no I/O that found it through the old reference is under way (the grace period).
 */
#include "qcow2.h"

/* Holes smaller than a page of the file system free nothing. */
#define PUNCH_MIN 4096

static void work(struct qcow2 *image);

void qcow2_free_clusters(struct qcow2 *image, uint64_t cluster, uint64_t count)
{
	struct qcow2_free *last = image->freed->len ?
				  &g_array_index(image->freed, struct qcow2_free, image->freed->len - 1) : NULL;
	struct qcow2_free range = { cluster, count };

	if (last && last->cluster + last->count == cluster)
		last->count += count;
	else
		g_array_append_val(image->freed, range);
}

void qcow2_free_entry(struct qcow2 *image, struct qcow2_entry entry)
{
	uint64_t first, last;

	if (image->external || !qcow2_has_host(image, entry))
		return;
	if (!(entry.entry & QCOW2_COMPRESSED)) {
		qcow2_free_clusters(image, (entry.entry & QCOW2_OFFSET_MASK) >> image->cluster_bits, 1);
		return;
	}
	image->decompressed_entry = 0;
	first = qcow2_packed_offset(image, entry.entry);
	last = first + qcow2_packed_length(image, entry.entry) - 1;
	/* One by one: neighbours in the same cluster each hold a reference of their own. */
	for (uint64_t cluster = first >> image->cluster_bits; cluster <= last >> image->cluster_bits; cluster++)
		qcow2_free_clusters(image, cluster, 1);
}

void qcow2_freed_append(GArray *to, GArray *from)
{
	if (from->len)
		g_array_append_vals(to, from->data, from->len);
	g_array_set_size(from, 0);
}

/* --- The grace period --- */

static void grace_begin(struct qcow2 *image)
{
	if (image->grace || !image->freed_committed->len)
		return;
	qcow2_freed_append(image->freed_grace, image->freed_committed);
	image->data_epoch ^= 1;
	image->grace = true;
}

static void grace_end(struct qcow2 *image)
{
	while (image->grace && !image->data_in_flight[image->data_epoch ^ 1]) {
		image->grace = false;
		qcow2_freed_append(image->freed_ready, image->freed_grace);
		grace_begin(image);
	}
	work(image);
}

unsigned qcow2_epoch_enter(struct qcow2 *image)
{
	image->data_in_flight[image->data_epoch]++;
	return image->data_epoch;
}

void qcow2_epoch_leave(struct qcow2 *image, unsigned epoch)
{
	if (--image->data_in_flight[epoch] == 0 && image->grace)
		grace_end(image);
}

void qcow2_freed_committed(struct qcow2 *image)
{
	qcow2_freed_append(image->freed_committed, image->freed_committing);
	grace_begin(image);
	if (image->grace)
		grace_end(image);
}

/* --- Decreasing refcounts --- */

static struct qcow2_free *current(struct qcow2 *image)
{
	return &g_array_index(image->freed_ready, struct qcow2_free, image->freed_ready->len - 1);
}

static void advance(struct qcow2 *image, uint64_t count)
{
	struct qcow2_free *range = current(image);

	range->cluster += count;
	range->count -= count;
	image->punched -= MIN(image->punched, count);
	if (!range->count)
		g_array_set_size(image->freed_ready, image->freed_ready->len - 1);
}

static void resume(struct qcow2_waiter *waiter)
{
	struct qcow2 *image = (struct qcow2 *)(void *)((char *)waiter - offsetof(struct qcow2, free_waiter));

	image->freeing = false;
	if (waiter->error) {
		g_warning("%s: a cluster leaks, because its refcount cannot be read: %s", image->file.path,
			  g_strerror(waiter->error));
		advance(image, 1);
	}
	work(image);
}

static void punched(struct engine_io *io, int error)
{
	struct qcow2 *image = io->opaque;

	(void)error; /* space that the host cannot take back can still be used again */
	image->punched = io->length >> image->cluster_bits;
	engine_io_free(image->engine, io);
	image->freeing = false;
	work(image);
}

/* No more compressed clusters go where nothing is kept any longer, or something else will be. */
static void leave_pack(struct qcow2 *image, uint64_t cluster, uint64_t count)
{
	uint64_t end = image->pack_end >> image->cluster_bits;

	if (end > cluster && end <= cluster + count)
		image->pack_offset = image->pack_end = 0;
}

static bool punch(struct qcow2 *image, const struct qcow2_page *page)
{
	const struct qcow2_free *range = current(image);
	uint64_t rest = MIN(range->count, qcow2_refcount_page_rest(image, range->cluster)), count = 0;
	struct engine_io *io;

	while (count < rest && qcow2_refcount_get(page, range->cluster + count) == 1)
		count++;
	if (count << image->cluster_bits < PUNCH_MIN || image->file.no_punch)
		return false;
	leave_pack(image, range->cluster, count);
	io = engine_io_new(image->engine);
	io->operation = BLOCK_DISCARD;
	io->file = &image->file;
	io->offset = range->cluster << image->cluster_bits;
	io->length = count << image->cluster_bits;
	io->done = punched;
	io->opaque = image;
	image->freeing = true;
	engine_submit(image->engine, io);
	return true;
}

static void decrease(struct qcow2 *image, struct qcow2_page *page)
{
	uint64_t cluster = current(image)->cluster, count = qcow2_refcount_get(page, cluster);

	if (count == 0)
		qcow2_corrupt(image, "a cluster that was in use has no refcount");
	else
		qcow2_refcount_set(page, cluster, count - 1);
	if (count == 1) {
		qcow2_cache_drop(image, cluster << image->cluster_bits, image->cluster_size);
		image->scan = MIN(image->scan, cluster);
		leave_pack(image, cluster, 1);
	}
	advance(image, 1);
}

/* Takes ranges from the end of freed_ready until something has to be waited for. */
static void work(struct qcow2 *image)
{
	while (!image->freeing && image->freed_ready->len) {
		struct qcow2_page *page;
		bool missing;
		int error;

		image->free_waiter.resume = resume;
		page = qcow2_refcount_page(image, current(image)->cluster, &image->free_waiter, &missing, &error);
		if (page) {
			if (image->punched || !punch(image, page))
				decrease(image, page);
			qcow2_page_put(page);
		} else if (missing || error) {
			qcow2_corrupt(image, "a cluster that was in use has no refcount");
			advance(image, 1);
		} else {
			image->freeing = true;
		}
	}
}
