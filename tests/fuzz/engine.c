#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "../../vmm/block/block_driver.h"

struct fuzz_engine {
	struct engine engine;
	struct engine_io *pending; /* the last one that was started first: any order is right */
};

static ssize_t carry_out(const struct engine_step *step)
{
	switch (step->kind) {
	case ENGINE_READ:
		return preadv(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
	case ENGINE_WRITE:
		if (step->offset > FUZZ_FILE_MAX) {
			errno = EFBIG;
			return -1;
		}
		return pwritev(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
	case ENGINE_SYNC:
		return 0;
	case ENGINE_PUNCH:
		return fallocate(step->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)step->offset,
				 (off_t)step->length);
	}
	errno = EINVAL;
	return -1;
}

static void start(struct engine *engine, struct engine_io *io)
{
	struct fuzz_engine *fuzz = (struct fuzz_engine *)engine;

	io->next = fuzz->pending;
	fuzz->pending = io;
}

static void kick(struct engine *engine)
{
	(void)engine;
}

static void reap(struct engine *engine, bool wait)
{
	struct fuzz_engine *fuzz = (struct fuzz_engine *)engine;
	struct engine_io *io = fuzz->pending;

	(void)wait;
	fuzz->pending = NULL;
	while (io) {
		struct engine_io *next = io->next;
		ssize_t result = carry_out(&io->step);

		engine_step_done(engine, io, result < 0 ? -errno : (int)result);
		io = next;
	}
}

static void ignore_file(struct engine *engine, struct engine_file *file)
{
	(void)engine;
	(void)file;
}

static void free_engine(struct engine *engine)
{
	g_free(engine);
}

static const struct engine_backend fuzz_backend = {
	.name = "fuzz",
	.start = start,
	.kick = kick,
	.reap = reap,
	.add_file = ignore_file,
	.remove_file = ignore_file,
	.free = free_engine,
};

static GLogWriterOutput quiet(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer data)
{
	(void)level;
	(void)fields;
	(void)count;
	(void)data;
	return G_LOG_WRITER_HANDLED;
}

void fuzz_be_quiet(void)
{
	g_log_set_writer_func(quiet, NULL, NULL);
}

struct engine *engine_uring_new(GError **error)
{
	struct fuzz_engine *fuzz = g_new0(struct fuzz_engine, 1);

	(void)error;
	fuzz->engine.backend = &fuzz_backend;
	fuzz->engine.event_fd = -1;
	return &fuzz->engine;
}
