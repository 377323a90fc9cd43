/* Zeroes and discards: whole clusters or subclusters by their mapping, the ragged ends by writing. */
#include "qcow2.h"

#include <errno.h>

static const uint8_t zeroes[64 << 10];

static void part_done(void *opaque, int error)
{
	qcow2_op_release(opaque, error);
}

static void part_written(void *opaque, int error)
{
	struct iovec *iov = opaque;
	struct qcow2_op *op = iov[-1].iov_base;

	g_free(iov - 1);
	part_done(op, error);
}

/* Zeroes as data. The memory for it begins with an element that is only ours. */
static void write_part(struct qcow2_op *op, uint64_t length)
{
	unsigned count = (unsigned)((length + sizeof zeroes - 1) / sizeof zeroes);
	struct iovec *iov = g_new(struct iovec, count + 1) + 1;
	uint64_t left = length, guest = op->position;

	iov[-1].iov_base = op;
	for (unsigned i = 0; i < count; i++) {
		iov[i] = (struct iovec){ (void *)zeroes, MIN(left, sizeof zeroes) };
		left -= iov[i].iov_len;
	}
	op->position += length;
	op->pending++;
	qcow2_start(op->image, BLOCK_WRITE, op->force_unit_access, guest, length, iov, count, part_written, iov);
}

static void skip(struct qcow2_op *op, uint64_t length)
{
	op->position += length;
}

/* An external data file does what is asked of it; the mapping stays. */
static void zero_external(struct qcow2_op *op, const struct qcow2_page *page)
{
	struct qcow2_entry entry;
	enum qcow2_kind kind;
	uint64_t guest = op->position, length = qcow2_run(page, guest, op->end, &kind, &entry);

	qcow2_piece_submit(qcow2_piece_new(op, length), op->operation, qcow2_host(op->image, entry, guest), length,
			   NULL);
}

static bool has_backing(const struct qcow2 *image, uint64_t guest)
{
	return image->backing && guest < image->backing->size;
}

/* What a whole cluster becomes; false: its mapping cannot say so. */
static bool new_entry(const struct qcow2_op *op, struct qcow2_entry *entry)
{
	const struct qcow2 *image = op->image;
	bool flag = has_backing(image, op->position) || op->operation == BLOCK_WRITE_ZEROES;

	*entry = (struct qcow2_entry){ 0 };
	if (flag && image->extended)
		entry->bitmap = 0xffffffffull << 32;
	else if (flag && image->header.version >= 3)
		entry->entry = QCOW2_ZERO;
	else if (has_backing(image, op->position))
		return false;
	return true;
}

static enum qcow2_step zero_cluster(struct qcow2_op *op, struct qcow2_page *page)
{
	struct qcow2 *image = op->image;
	struct qcow2_entry old = qcow2_entry_get(page, op->position), entry;
	enum qcow2_kind kind = qcow2_kind(image, old, op->position);

	if (kind == QCOW2_INVALID) {
		op->error = qcow2_corrupt(image,
					  "the mapping of guest offset %#" G_GINT64_MODIFIER "x makes no sense",
					  op->position);
		return QCOW2_GO;
	}
	if (op->operation == BLOCK_DISCARD && !qcow2_has_host(image, old)) {
		skip(op, image->cluster_size);
	} else if (new_entry(op, &entry)) {
		if (entry.entry != old.entry || entry.bitmap != old.bitmap) {
			qcow2_entry_set(page, op->position, entry);
			qcow2_free_entry(image, old);
		}
		skip(op, image->cluster_size);
	} else if (op->operation == BLOCK_DISCARD) {
		skip(op, image->cluster_size);
	} else {
		write_part(op, image->cluster_size);
	}
	return QCOW2_GO;
}

static void zero_subcluster(struct qcow2_op *op, struct qcow2_page *page)
{
	struct qcow2 *image = op->image;
	struct qcow2_entry entry = qcow2_entry_get(page, op->position);
	unsigned index = (unsigned)(op->position >> image->unit_bits) & (QCOW2_SUBCLUSTERS - 1);

	entry.bitmap = (entry.bitmap & ~(1ull << index)) | 1ull << (index + 32);
	qcow2_entry_set(page, op->position, entry);
	skip(op, 1ull << image->unit_bits);
}

/* Less than a unit: it is written, unless it is zero already. */
static void zero_part(struct qcow2_op *op, enum qcow2_kind kind, uint64_t length)
{
	if (kind == QCOW2_ZEROES || op->operation == BLOCK_DISCARD ||
	    (kind == QCOW2_UNALLOCATED && !has_backing(op->image, op->position)))
		skip(op, length);
	else
		write_part(op, length);
}

/* The last cluster may reach over the end of the disk. */
static uint64_t whole_end(const struct qcow2_op *op)
{
	const struct qcow2 *image = op->image;

	return op->end == (image->header.size & ~511ull) ?
	       (op->end + image->cluster_size - 1) & ~(image->cluster_size - 1) : op->end;
}

static enum qcow2_step zero_mapped(struct qcow2_op *op, struct qcow2_page *page)
{
	struct qcow2 *image = op->image;
	uint64_t unit = 1ull << image->unit_bits, guest = op->position, end = whole_end(op);
	struct qcow2_entry entry = qcow2_entry_get(page, guest);
	enum qcow2_kind kind = qcow2_kind(image, entry, guest);
	/* Data further on in the cluster has to go from the external file too. */
	bool whole = !image->external || !(entry.bitmap & 0xffffffffull);
	uint64_t part = MIN(op->end, (guest | (unit - 1)) + 1) - guest;
	uint64_t start = guest & ~(image->cluster_size - 1);

	if (qcow2_allocation_conflict(image, start, start + image->cluster_size, &op->waiter))
		return QCOW2_WAIT;
	if (image->external && kind == QCOW2_DATA)
		zero_external(op, page);
	else if (whole && guest % image->cluster_size == 0 && end - guest >= image->cluster_size)
		return zero_cluster(op, page);
	else if (kind == QCOW2_INVALID || guest % unit || end - guest < unit || kind == QCOW2_PACKED)
		zero_part(op, kind, part);
	else if (op->operation == BLOCK_DISCARD)
		skip(op, part);
	else
		zero_subcluster(op, page);
	return QCOW2_GO;
}

/* No table: nothing is allocated in all of its range. */
static bool nothing_there(struct qcow2_op *op)
{
	struct qcow2 *image = op->image;
	uint32_t index = qcow2_l1_index(image, op->position);
	uint64_t end = MIN(op->end, ((uint64_t)index + 1) << (image->cluster_bits + image->l2_bits));

	if (image->l1[index] & QCOW2_OFFSET_MASK ||
	    (op->operation == BLOCK_WRITE_ZEROES && has_backing(image, op->position)))
		return false;
	skip(op, end - op->position);
	return true;
}

enum qcow2_step qcow2_step_zero(struct qcow2_op *op)
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
	if (nothing_there(op))
		return QCOW2_GO;
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
	step = zero_mapped(op, page);
	qcow2_page_put(page);
	return step;
}
