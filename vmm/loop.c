#include "loop.h"

#include <glib-unix.h>
#include <string.h>

void loop_init(struct loop *loop, GMutex *lock)
{
	memset(loop, 0, sizeof *loop);
	loop->lock = lock;
	loop->context = g_main_context_new();
}

/* One turn of the context by hand, because only this way the lock can be let go while it polls. */
static GPollFD *iterate(struct loop *loop, GPollFD *fds, gint *capacity)
{
	gint priority, timeout, count;

	g_main_context_prepare(loop->context, &priority);
	while ((count = g_main_context_query(loop->context, priority, &timeout, fds, *capacity)) > *capacity) {
		*capacity = count;
		fds = g_renew(GPollFD, fds, count);
	}
	g_mutex_unlock(loop->lock);
	g_main_context_get_poll_func(loop->context)(fds, (guint)count, timeout);
	g_mutex_lock(loop->lock);
	if (g_main_context_check(loop->context, priority, fds, count))
		g_main_context_dispatch(loop->context);
	return fds;
}

static gpointer loop_thread(gpointer data)
{
	struct loop *loop = data;
	GPollFD *fds = NULL;
	gint capacity = 0;

	g_main_context_push_thread_default(loop->context);
	g_main_context_acquire(loop->context);
	g_mutex_lock(loop->lock);
	while (!loop->quit)
		fds = iterate(loop, fds, &capacity);
	g_mutex_unlock(loop->lock);
	g_main_context_release(loop->context);
	g_main_context_pop_thread_default(loop->context);
	g_free(fds);
	return NULL;
}

void loop_start(struct loop *loop)
{
	loop->quit = false;
	loop->thread = g_thread_new("io", loop_thread, loop);
}

void loop_stop(struct loop *loop)
{
	if (!loop->thread)
		return;
	g_mutex_lock(loop->lock);
	loop->quit = true;
	g_mutex_unlock(loop->lock);
	g_main_context_wakeup(loop->context);
	g_thread_join(loop->thread);
	loop->thread = NULL;
}

void loop_finish(struct loop *loop)
{
	g_main_context_unref(loop->context);
	loop->context = NULL;
}

struct loop_closure {
	void (*call)(void *data);
	void *data;
};

static gboolean run_closure(gpointer data)
{
	struct loop_closure *closure = data;

	closure->call(closure->data);
	return G_SOURCE_REMOVE;
}

void loop_call(struct loop *loop, void (*call)(void *data), void *data)
{
	g_autoptr(GSource) source = g_idle_source_new();
	struct loop_closure *closure = g_new(struct loop_closure, 1);

	*closure = (struct loop_closure){ call, data };
	g_source_set_priority(source, G_PRIORITY_DEFAULT);
	g_source_set_callback(source, run_closure, closure, g_free);
	g_source_attach(source, loop->context);
}

GSource *loop_watch(struct loop *loop, int fd, GIOCondition condition, GUnixFDSourceFunc call, void *data)
{
	GSource *source = g_unix_fd_source_new(fd, condition);

	g_source_set_callback(source, G_SOURCE_FUNC(call), data, NULL);
	g_source_attach(source, loop->context);
	return source;
}

GSource *loop_every(struct loop *loop, unsigned seconds, GSourceFunc call, void *data)
{
	GSource *source = g_timeout_source_new_seconds(seconds);

	g_source_set_callback(source, call, data, NULL);
	g_source_attach(source, loop->context);
	return source;
}

void loop_remove(GSource *source)
{
	g_source_destroy(source);
	g_source_unref(source);
}
