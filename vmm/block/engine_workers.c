/* Threads that carry steps out with blocking calls, for both backends of the engine. */
#include "block_driver.h"

#include <sys/eventfd.h>

/* What finishes is announced together, but nothing that took long waits for it: these are some tens of microseconds. */
#define ANNOUNCE_COUNT 8
#define ANNOUNCE_BYTES (64u << 10)

struct engine_workers {
	int event_fd;
	unsigned wanted; /* threads */
	GThread **threads;
	unsigned started;
	GMutex lock; /* for everything below */
	GCond more, finished;
	bool ending;
	unsigned idle;
	struct engine_io *queued, **queued_tail;
	struct engine_io *done, **done_tail;
	unsigned silent_count; /* done and not announced */
	uint64_t silent_bytes;
	bool announced;
};

static void announce(struct engine_workers *workers, const struct engine_io *io)
{
	workers->silent_count++;
	workers->silent_bytes += io->step.length;
	g_cond_signal(&workers->finished);
	if (workers->announced || (workers->queued && workers->silent_count < ANNOUNCE_COUNT &&
				   workers->silent_bytes < ANNOUNCE_BYTES))
		return;
	workers->announced = true;
	eventfd_write(workers->event_fd, 1);
}

static struct engine_io *wait_for_work(struct engine_workers *workers)
{
	struct engine_io *io;

	while (!workers->queued && !workers->ending) {
		workers->idle++;
		g_cond_wait(&workers->more, &workers->lock);
		workers->idle--;
	}
	io = workers->queued;
	if (!io)
		return NULL;
	workers->queued = io->next;
	if (!workers->queued)
		workers->queued_tail = &workers->queued;
	return io;
}

static gpointer work(gpointer data)
{
	struct engine_workers *workers = data;
	struct engine_io *io;

	g_mutex_lock(&workers->lock);
	while ((io = wait_for_work(workers))) {
		g_mutex_unlock(&workers->lock);
		io->result = engine_carry_out(&io->step);
		io->next = NULL;
		g_mutex_lock(&workers->lock);
		*workers->done_tail = io;
		workers->done_tail = &io->next;
		announce(workers, io);
	}
	g_mutex_unlock(&workers->lock);
	return NULL;
}

struct engine_workers *engine_workers_new(unsigned threads, int event_fd)
{
	struct engine_workers *workers = g_new0(struct engine_workers, 1);

	workers->event_fd = event_fd;
	workers->wanted = threads;
	workers->threads = g_new0(GThread *, threads);
	workers->queued_tail = &workers->queued;
	workers->done_tail = &workers->done;
	g_mutex_init(&workers->lock);
	g_cond_init(&workers->more);
	g_cond_init(&workers->finished);
	return workers;
}

void engine_workers_free(struct engine_workers *workers)
{
	g_mutex_lock(&workers->lock);
	workers->ending = true;
	g_cond_broadcast(&workers->more);
	g_mutex_unlock(&workers->lock);
	for (unsigned i = 0; i < workers->started; i++)
		g_thread_join(workers->threads[i]);
	g_mutex_clear(&workers->lock);
	g_cond_clear(&workers->more);
	g_cond_clear(&workers->finished);
	g_free(workers->threads);
	g_free(workers);
}

void engine_workers_push(struct engine_workers *workers, struct engine_io *first)
{
	unsigned count = 0;

	if (!first)
		return;
	g_mutex_lock(&workers->lock);
	*workers->queued_tail = first;
	for (; first; first = first->next) {
		workers->queued_tail = &first->next;
		count++;
	}
	for (unsigned i = 0; i < MIN(count, workers->idle); i++)
		g_cond_signal(&workers->more);
	for (; workers->started < workers->wanted && count > workers->idle; count--, workers->started++)
		workers->threads[workers->started] = g_thread_new("disk", work, workers);
	g_mutex_unlock(&workers->lock);
}

struct engine_io *engine_workers_take(struct engine_workers *workers, bool wait)
{
	struct engine_io *io;
	eventfd_t count;

	g_mutex_lock(&workers->lock);
	while (wait && !workers->done)
		g_cond_wait(&workers->finished, &workers->lock);
	io = workers->done;
	workers->done = NULL;
	workers->done_tail = &workers->done;
	if (workers->announced)
		eventfd_read(workers->event_fd, &count);
	workers->announced = false;
	workers->silent_count = 0;
	workers->silent_bytes = 0;
	g_mutex_unlock(&workers->lock);
	return io;
}
