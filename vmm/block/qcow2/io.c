/* Blocking I/O by way of the engine, for what happens while no request is in flight. */
#include "qcow2.h"

struct sync {
	bool done;
	int error;
};

static void sync_done(struct engine_io *io, int error)
{
	struct sync *sync = io->opaque;

	sync->done = true;
	sync->error = error;
}

int qcow2_sync(struct engine *engine, struct engine_file *file, enum block_operation operation, uint64_t offset,
	       void *buffer, uint64_t length)
{
	struct iovec iov = { buffer, length };
	struct engine_io *io = engine_io_new(engine);
	struct sync sync = { 0 };

	io->operation = operation;
	io->file = file;
	io->offset = offset;
	io->length = length;
	io->iov = &iov;
	io->iov_count = 1;
	io->done = sync_done;
	io->opaque = &sync;
	engine_submit(engine, io);
	while (!sync.done)
		engine_reap(engine, true);
	engine_io_free(engine, io);
	return sync.error;
}

int qcow2_read_at(struct qcow2 *image, uint64_t offset, void *buffer, uint64_t length)
{
	return length ? qcow2_sync(image->engine, &image->file, BLOCK_READ, offset, buffer, length) : 0;
}

int qcow2_write_at(struct qcow2 *image, uint64_t offset, const void *buffer, uint64_t length)
{
	return length ? qcow2_sync(image->engine, &image->file, BLOCK_WRITE, offset, (void *)buffer, length) : 0;
}

int qcow2_flush_file(struct qcow2 *image)
{
	int error = image->external ? qcow2_sync(image->engine, image->data, BLOCK_FLUSH, 0, NULL, 0) : 0;

	return error ? error : qcow2_sync(image->engine, &image->file, BLOCK_FLUSH, 0, NULL, 0);
}

int qcow2_read_table(struct qcow2 *image, uint64_t offset, uint64_t *table, uint64_t entries)
{
	int error = qcow2_read_at(image, offset, table, entries * sizeof *table);

	for (uint64_t i = 0; i < entries && !error; i++)
		table[i] = GUINT64_FROM_BE(table[i]);
	return error;
}

int qcow2_write_table(struct qcow2 *image, uint64_t offset, const uint64_t *table, uint64_t entries)
{
	g_autofree uint64_t *encoded = g_new(uint64_t, entries + 1);

	for (uint64_t i = 0; i < entries; i++)
		encoded[i] = GUINT64_TO_BE(table[i]);
	return qcow2_write_at(image, offset, encoded, entries * sizeof *table);
}

static void sync_resume(struct qcow2_waiter *waiter)
{
	((struct qcow2_sync_waiter *)waiter)->done = true;
}

void qcow2_sync_waiter_init(struct qcow2_sync_waiter *waiter)
{
	*waiter = (struct qcow2_sync_waiter){ .waiter.resume = sync_resume };
}

int qcow2_sync_wait(struct qcow2 *image, struct qcow2_sync_waiter *waiter)
{
	while (!waiter->done)
		engine_reap(image->engine, true);
	return waiter->waiter.error;
}
