/* Requests: their walk over the guest's addresses, and the pieces of I/O that they are broken into. */
#include "qcow2.h"

#include <string.h>

static enum qcow2_step step(struct qcow2_op *op)
{
	switch (op->operation) {
	case BLOCK_READ:
		return qcow2_step_read(op);
	case BLOCK_WRITE:
		return qcow2_step_write(op);
	default:
		return qcow2_step_zero(op);
	}
}

static void advance(struct qcow2_op *op)
{
	while (op->position < op->end && !op->error)
		if (step(op) == QCOW2_WAIT)
			return;
	qcow2_op_release(op, 0);
}

static void resume(struct qcow2_waiter *waiter)
{
	struct qcow2_op *op = (struct qcow2_op *)waiter;

	op->error = op->error ? op->error : waiter->error;
	advance(op);
}

/* Not cleared: with a fast disk that would be a good part of a request's cost. */
static struct qcow2_op *op_new(struct qcow2_cache *cache)
{
	struct qcow2_op *op = cache->spare;

	if (!op)
		return g_new(struct qcow2_op, 1);
	cache->spare = op->next;
	return op;
}

void qcow2_start(struct qcow2 *image, enum block_operation operation, bool force_unit_access, uint64_t offset,
		 uint64_t length, const struct iovec *iov, unsigned iov_count, void (*done)(void *opaque, int error),
		 void *opaque)
{
	struct qcow2_op *op = op_new(image->cache);

	op->waiter.resume = resume;
	op->image = image;
	op->operation = operation;
	op->force_unit_access = force_unit_access;
	op->position = offset;
	op->end = offset + length;
	op->iov = iov;
	op->iov_count = iov_count;
	op->iov_skip = 0;
	op->pending = 1;
	op->error = 0;
	op->done = done;
	op->opaque = opaque;
	op->first.op = NULL;
	advance(op);
}

void qcow2_op_release(struct qcow2_op *op, int error)
{
	struct qcow2_cache *cache = op->image->cache;

	op->error = op->error ? op->error : error;
	if (--op->pending)
		return;
	op->done(op->opaque, op->error);
	op->next = cache->spare;
	cache->spare = op;
}

/* --- Pieces --- */

static void skip_memory(struct qcow2_op *op, uint64_t length)
{
	while (length && op->iov_count) {
		uint64_t left = op->iov->iov_len - op->iov_skip;

		if (length < left) {
			op->iov_skip += length;
			return;
		}
		length -= left;
		op->iov++;
		op->iov_count--;
		op->iov_skip = 0;
	}
}

/* How many elements length bytes touch, and whether they end with one. */
static unsigned count_elements(const struct qcow2_op *op, uint64_t length, bool *whole)
{
	uint64_t bytes = 0;
	unsigned count = 0;

	while (count < op->iov_count && bytes < length + op->iov_skip)
		bytes += op->iov[count++].iov_len;
	*whole = op->iov_skip == 0 && bytes == length;
	return count;
}

static void slice_memory(struct qcow2_op *op, struct qcow2_piece *piece, uint64_t length)
{
	struct iovec *part = piece->few;
	uint64_t skip = op->iov_skip;
	bool whole;

	piece->iov_count = count_elements(op, length, &whole);
	piece->iov = op->iov;
	if (whole || piece->iov_count == 0)
		return;
	if (piece->iov_count > G_N_ELEMENTS(piece->few))
		part = piece->many = g_new(struct iovec, piece->iov_count);
	for (unsigned i = 0; i < piece->iov_count; i++) {
		part[i].iov_base = (char *)op->iov[i].iov_base + skip;
		part[i].iov_len = MIN(op->iov[i].iov_len - skip, length);
		length -= part[i].iov_len;
		skip = 0;
	}
	piece->iov = part;
}

struct qcow2_piece *qcow2_piece_new(struct qcow2_op *op, uint64_t length)
{
	struct qcow2_piece *piece = op->first.op ? g_slice_new(struct qcow2_piece) : &op->first;

	piece->op = op;
	piece->image = op->image;
	piece->length = length;
	piece->many = NULL;
	piece->buffer = NULL;
	slice_memory(op, piece, length);
	skip_memory(op, length);
	op->position += length;
	op->pending++;
	piece->epoch = qcow2_epoch_enter(op->image);
	return piece;
}

void qcow2_piece_free(struct qcow2_piece *piece)
{
	g_free(piece->many);
	g_free(piece->buffer);
	if (piece != &piece->op->first)
		g_slice_free(struct qcow2_piece, piece);
}

void qcow2_piece_done(struct qcow2_piece *piece, int error)
{
	struct qcow2_op *op = piece->op;
	struct qcow2 *image = piece->image;
	unsigned epoch = piece->epoch;

	qcow2_piece_free(piece);
	qcow2_op_release(op, error);
	qcow2_epoch_leave(image, epoch);
}

static void usual_done(struct engine_io *io, int error)
{
	struct qcow2_piece *piece = io->opaque;

	engine_io_free(piece->image->engine, io);
	qcow2_piece_done(piece, error);
}

void qcow2_piece_submit(struct qcow2_piece *piece, enum block_operation operation, uint64_t host, uint64_t length,
			void (*done)(struct engine_io *io, int error))
{
	struct engine *engine = piece->image->engine;
	struct engine_io *io = engine_io_new(engine);

	io->operation = operation;
	io->force_unit_access = piece->op->force_unit_access && operation == BLOCK_WRITE;
	io->file = piece->image->data;
	io->offset = host;
	io->length = length;
	io->iov = piece->iov;
	io->iov_count = piece->iov_count;
	io->done = done ? done : usual_done;
	io->opaque = piece;
	engine_submit(engine, io);
}

void qcow2_piece_zero(const struct qcow2_piece *piece)
{
	for (unsigned i = 0; i < piece->iov_count; i++)
		memset(piece->iov[i].iov_base, 0, piece->iov[i].iov_len);
}
