/*
 * For commands that wait for something asynchronous: a main loop, progress on a terminal, and Ctrl+C that cancels.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

struct oriel_wait {
	GMainLoop *loop;
	GCancellable *cancellable; /* for the operation */
	GAsyncResult *result;
	guint signals[3];
	gint64 shown;
};

void oriel_wait_begin(struct oriel_wait *wait);
/* A GAsyncReadyCallback for the operation; data: the wait. */
void oriel_wait_finished(GObject *source, GAsyncResult *result, gpointer wait);
/* Shows the progress on standard error if that is a terminal; data: the wait. */
void oriel_wait_progress(double fraction, gpointer wait);
/* Waits for the operation's end. The result lives until oriel_wait_end() or the next operation's. */
GAsyncResult *oriel_wait_run(struct oriel_wait *wait);
void oriel_wait_end(struct oriel_wait *wait);

G_END_DECLS
