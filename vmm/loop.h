/*
 * The I/O thread: a GMainContext that holds a lock except while it polls.
 *
 * Every fd, timer and D-Bus call of the process runs here, except SDL (main thread), vCPUs, and bulk data queues.
 */
#pragma once

#include <glib-unix.h>
#include <stdbool.h>

struct loop {
	GMainContext *context;
	GMutex *lock;
	GThread *thread;
	bool quit;
};

/* lock: held by the loop's thread while it dispatches (vm->lock). */
void loop_init(struct loop *loop, GMutex *lock);
/* Starts the I/O thread. */
void loop_start(struct loop *loop);
/* Any thread but the I/O thread, without the lock: ends and joins it; what is queued is not run. */
void loop_stop(struct loop *loop);
void loop_finish(struct loop *loop);

/* Any thread: runs call(data) on the I/O thread under the lock, in the order of calls. Does not wait. */
void loop_call(struct loop *loop, void (*call)(void *data), void *data);

/*
 * Watches fd for condition; call returns G_SOURCE_CONTINUE or G_SOURCE_REMOVE. The caller owns the returned source
 * and ends it with loop_remove().
 */
GSource *loop_watch(struct loop *loop, int fd, GIOCondition condition, GUnixFDSourceFunc call, void *data);
/* Likewise, once in so many seconds. */
GSource *loop_every(struct loop *loop, unsigned seconds, GSourceFunc call, void *data);
void loop_remove(GSource *source);
