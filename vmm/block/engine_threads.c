/* The engine's backend for hosts without io_uring: a few threads that make blocking calls. */
#include "block_driver.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS 4

struct engine_threads {
	struct engine engine;
	GThreadPool *pool;
	struct engine_io *queued, **queued_tail; /* until the next kick */
	GMutex lock;
	GCond finished;
	struct engine_io *done, **done_tail; /* under lock */
};

static struct engine_threads *from_engine(struct engine *engine)
{
	return (struct engine_threads *)engine;
}

static void work(gpointer data, gpointer opaque)
{
	struct engine_threads *threads = opaque;
	struct engine_io *io = data;
	bool first;

	io->result = engine_carry_out(&io->step);
	io->next = NULL;
	g_mutex_lock(&threads->lock);
	first = !threads->done;
	*threads->done_tail = io;
	threads->done_tail = &io->next;
	g_cond_signal(&threads->finished);
	/* Under the lock: once it is let go, the engine may be freed. */
	if (first)
		eventfd_write(threads->engine.event_fd, 1);
	g_mutex_unlock(&threads->lock);
}

static void threads_start(struct engine *engine, struct engine_io *io)
{
	struct engine_threads *threads = from_engine(engine);

	io->next = NULL;
	*threads->queued_tail = io;
	threads->queued_tail = &io->next;
}

static void threads_kick(struct engine *engine)
{
	struct engine_threads *threads = from_engine(engine);
	struct engine_io *io = threads->queued;

	threads->queued = NULL;
	threads->queued_tail = &threads->queued;
	while (io) {
		struct engine_io *next = io->next;

		g_thread_pool_push(threads->pool, io, NULL);
		io = next;
	}
}

static void threads_reap(struct engine *engine, bool wait)
{
	struct engine_threads *threads = from_engine(engine);
	struct engine_io *io;
	eventfd_t count;

	g_mutex_lock(&threads->lock);
	while (wait && !threads->done)
		g_cond_wait(&threads->finished, &threads->lock);
	io = threads->done;
	threads->done = NULL;
	threads->done_tail = &threads->done;
	if (io)
		eventfd_read(engine->event_fd, &count);
	g_mutex_unlock(&threads->lock);
	while (io) {
		struct engine_io *next = io->next;

		engine_step_done(engine, io, io->result);
		io = next;
	}
}

static void threads_no_file(struct engine *engine, struct engine_file *file)
{
	(void)engine;
	(void)file;
}

static void threads_free(struct engine *engine)
{
	struct engine_threads *threads = from_engine(engine);

	g_thread_pool_free(threads->pool, FALSE, TRUE);
	close(engine->event_fd);
	g_mutex_clear(&threads->lock);
	g_cond_clear(&threads->finished);
	g_free(threads);
}

static const struct engine_backend threads_backend = {
	.name = "threads",
	.start = threads_start,
	.kick = threads_kick,
	.reap = threads_reap,
	.add_file = threads_no_file,
	.remove_file = threads_no_file,
	.free = threads_free,
};

struct engine *engine_threads_new(GError **error)
{
	struct engine_threads *threads = g_new0(struct engine_threads, 1);

	threads->engine.backend = &threads_backend;
	threads->engine.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (threads->engine.event_fd < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "No descriptor for disk events: %s",
			    g_strerror(errno));
		g_free(threads);
		return NULL;
	}
	threads->queued_tail = &threads->queued;
	threads->done_tail = &threads->done;
	g_mutex_init(&threads->lock);
	g_cond_init(&threads->finished);
	threads->pool = g_thread_pool_new(work, threads, THREADS, FALSE, NULL);
	return &threads->engine;
}
