#include "task_progress.h"

struct report {
	GTask *task; /* keeps what progress needs */
	OrielProgress progress;
	gpointer data;
	double fraction;
};

static gboolean deliver(gpointer data)
{
	struct report *report = data;

	if (!g_task_get_completed(report->task))
		report->progress(report->fraction, report->data);
	return G_SOURCE_REMOVE;
}

static void free_report(gpointer data)
{
	g_object_unref(((struct report *)data)->task);
	g_free(data);
}

void oriel_task_report(GTask *task, OrielProgress progress, gpointer data, double fraction)
{
	struct report *report;

	if (!progress)
		return;
	report = g_new(struct report, 1);
	*report = (struct report){ g_object_ref(task), progress, data, fraction };
	g_main_context_invoke_full(g_task_get_context(task), G_PRIORITY_DEFAULT, deliver, report, free_report);
}
