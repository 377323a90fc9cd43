/* Raw images, ISO files and host disks: the image is the file. */
#include "block_driver.h"

struct raw {
	struct engine_file file;
};

static bool raw_open(struct block *block, const struct block_options *options, GError **error)
{
	unsigned sector = options->optical ? 2048 : 512;
	struct raw *raw = g_new0(struct raw, 1);

	if (!engine_file_open(&raw->file, options, error)) {
		g_free(raw);
		return false;
	}
	/* A last sector that the file cuts short reads as zeroes behind its end. */
	block->size = (raw->file.length + sector - 1) / sector * sector;
	block->image = raw;
	engine_add_file(block->engine, &raw->file);
	return true;
}

static void raw_close(struct block *block)
{
	struct raw *raw = block->image;

	engine_remove_file(block->engine, &raw->file);
	engine_file_close(&raw->file);
	g_free(raw);
}

static void raw_done(struct engine_io *io, int error)
{
	struct block_request *request = io->opaque;

	engine_io_free(request->block->engine, io);
	block_request_done(request, error);
}

static void raw_submit(struct block *block, struct block_request *request)
{
	struct engine_io *io = engine_io_new(block->engine);
	struct raw *raw = block->image;

	io->operation = request->operation;
	io->force_unit_access = request->force_unit_access;
	io->file = &raw->file;
	io->offset = request->offset;
	io->length = request->length;
	io->iov = request->iov;
	io->iov_count = request->iov_count;
	io->done = raw_done;
	io->opaque = request;
	engine_submit(block->engine, io);
}

static int raw_check(struct block *block)
{
	struct raw *raw = block->image;

	return engine_file_check(&raw->file);
}

static uint64_t raw_room(struct block *block, uint64_t *margin)
{
	struct raw *raw = block->image;

	return engine_file_room(&raw->file, margin);
}

static void raw_recover(struct block *block)
{
	struct raw *raw = block->image;

	engine_file_recover(block->engine, &raw->file);
}

const struct block_driver block_driver_raw = {
	.name = "raw",
	.open = raw_open,
	.close = raw_close,
	.submit = raw_submit,
	.check = raw_check,
	.room = raw_room,
	.recover = raw_recover,
};
