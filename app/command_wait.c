#include "command_wait.h"

#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define SHOW_INTERVAL (100 * G_TIME_SPAN_MILLISECOND)

static gboolean interrupted(gpointer data)
{
	struct oriel_wait *wait = data;

	g_cancellable_cancel(wait->cancellable);
	return G_SOURCE_CONTINUE;
}

void oriel_wait_begin(struct oriel_wait *wait)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

	*wait = (struct oriel_wait){ .loop = g_main_loop_new(NULL, FALSE), .cancellable = g_cancellable_new() };
	for (guint i = 0; i < G_N_ELEMENTS(signals); i++)
		wait->signals[i] = g_unix_signal_add(signals[i], interrupted, wait);
}

void oriel_wait_finished(GObject *source, GAsyncResult *result, gpointer data)
{
	struct oriel_wait *wait = data;

	(void)source;
	wait->result = g_object_ref(result);
	g_main_loop_quit(wait->loop);
}

void oriel_wait_progress(double fraction, gpointer data)
{
	struct oriel_wait *wait = data;
	gint64 now = g_get_monotonic_time();

	if (!isatty(STDERR_FILENO) || now - wait->shown < SHOW_INTERVAL)
		return;
	wait->shown = now;
	fprintf(stderr, "\r%s: %5.1f %%", g_get_prgname(), fraction * 100);
	fflush(stderr);
}

GAsyncResult *oriel_wait_run(struct oriel_wait *wait)
{
	g_clear_object(&wait->result);
	g_main_loop_run(wait->loop);
	if (wait->shown)
		fprintf(stderr, "\r\033[K");
	return wait->result;
}

void oriel_wait_end(struct oriel_wait *wait)
{
	for (guint i = 0; i < G_N_ELEMENTS(wait->signals); i++)
		g_source_remove(wait->signals[i]);
	g_clear_object(&wait->result);
	g_object_unref(wait->cancellable);
	g_main_loop_unref(wait->loop);
}
