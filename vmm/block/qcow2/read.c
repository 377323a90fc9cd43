/* Reading: data from the file, zeroes, compressed clusters, and the rest from the backing image. */
#include "qcow2.h"

static void read_failed(struct qcow2_op *op, uint64_t guest)
{
	op->error = qcow2_corrupt(op->image, "the mapping of guest offset %#" G_GINT64_MODIFIER "x makes no sense",
				  guest);
}

static void read_zeroes(struct qcow2_op *op, uint64_t length)
{
	struct qcow2_piece *piece = qcow2_piece_new(op, length);

	qcow2_piece_zero(piece);
	qcow2_piece_done(piece, 0);
}

static void backing_done(void *opaque, int error)
{
	qcow2_piece_done(opaque, error);
}

static void raw_done(struct engine_io *io, int error)
{
	struct qcow2_piece *piece = io->opaque;

	engine_io_free(piece->image->engine, io);
	qcow2_piece_done(piece, error);
}

static void read_raw(struct qcow2_piece *piece, struct qcow2_backing *backing, uint64_t offset, uint64_t length)
{
	struct engine_io *io = engine_io_new(piece->image->engine);

	io->operation = BLOCK_READ;
	io->file = &backing->raw;
	io->offset = offset;
	io->length = length;
	io->iov = piece->iov;
	io->iov_count = piece->iov_count;
	io->done = raw_done;
	io->opaque = piece;
	engine_submit(piece->image->engine, io);
}

/* A backing image that is shorter reads as zeroes behind its end. */
static void read_backing(struct qcow2_op *op, uint64_t length)
{
	struct qcow2_backing *backing = op->image->backing;
	uint64_t guest = op->position;
	struct qcow2_piece *piece;

	if (!backing || guest >= backing->size) {
		read_zeroes(op, length);
		return;
	}
	length = MIN(length, backing->size - guest);
	piece = qcow2_piece_new(op, length);
	if (backing->image)
		qcow2_start(backing->image, BLOCK_READ, false, guest, length, piece->iov, piece->iov_count,
			    backing_done,
			    piece);
	else
		read_raw(piece, backing, guest, length);
}

static void read_run(struct qcow2_op *op, const struct qcow2_page *page)
{
	struct qcow2 *image = op->image;
	uint64_t guest = op->position;
	struct qcow2_entry entry;
	enum qcow2_kind kind;
	uint64_t length = qcow2_run(page, guest, op->end, &kind, &entry);

	switch (kind) {
	case QCOW2_UNALLOCATED:
		read_backing(op, length);
		break;
	case QCOW2_ZEROES:
		read_zeroes(op, length);
		break;
	case QCOW2_DATA:
		qcow2_piece_submit(qcow2_piece_new(op, length), BLOCK_READ, qcow2_host(image, entry, guest), length,
				   NULL);
		break;
	case QCOW2_PACKED:
		qcow2_packed_read(qcow2_piece_new(op, length), entry.entry, guest & (image->cluster_size - 1));
		break;
	default:
		read_failed(op, guest);
	}
}

enum qcow2_step qcow2_step_read(struct qcow2_op *op)
{
	struct qcow2 *image = op->image;
	uint64_t table_end = ((uint64_t)qcow2_l1_index(image,
						       op->position) + 1) << (image->cluster_bits + image->l2_bits);
	struct qcow2_page *page;
	bool missing;
	int error;

	page = qcow2_map(image, op->position, &op->waiter, &missing, &error);
	if (missing) {
		read_backing(op, MIN(op->end, table_end) - op->position);
		return QCOW2_GO;
	}
	if (!page) {
		op->error = op->error ? op->error : error;
		return error ? QCOW2_GO : QCOW2_WAIT;
	}
	read_run(op, page);
	qcow2_page_put(page);
	return QCOW2_GO;
}
