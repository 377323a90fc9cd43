/* The engine's backend for hosts without io_uring: a few threads that make blocking calls. */
#include "block_driver.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define THREADS 4

struct engine_threads {
	struct engine engine;
	struct engine_workers *workers;
	struct engine_io *queued, **queued_tail; /* until the next kick */
};

static struct engine_threads *from_engine(struct engine *engine)
{
	return (struct engine_threads *)engine;
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
	struct engine_io *first = threads->queued;

	threads->queued = NULL;
	threads->queued_tail = &threads->queued;
	engine_workers_push(threads->workers, first);
}

static void threads_reap(struct engine *engine, bool wait)
{
	engine_steps_done(engine, engine_workers_take(from_engine(engine)->workers, wait));
}

static void threads_no_file(struct engine *engine, struct engine_file *file)
{
	(void)engine;
	(void)file;
}

static void threads_free(struct engine *engine)
{
	struct engine_threads *threads = from_engine(engine);

	engine_workers_free(threads->workers);
	close(engine->event_fd);
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
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			    _("No descriptor for disk events: %s"), g_strerror(errno));
		g_free(threads);
		return NULL;
	}
	threads->queued_tail = &threads->queued;
	threads->workers = engine_workers_new(THREADS, threads->engine.event_fd);
	return &threads->engine;
}
