#include "disk.h"

#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define SHOW_INTERVAL (100 * G_TIME_SPAN_MILLISECOND)

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

static void fill(sigset_t *set)
{
	sigemptyset(set);
	for (gsize i = 0; i < G_N_ELEMENTS(signals); i++)
		sigaddset(set, signals[i]);
}

static gboolean interrupted(void)
{
	sigset_t pending;

	sigpending(&pending);
	for (gsize i = 0; i < G_N_ELEMENTS(signals); i++)
		if (sigismember(&pending, signals[i]))
			return TRUE;
	return FALSE;
}

void oriel_disk_job_begin(struct oriel_disk_job *job)
{
	sigset_t set;

	*job = (struct oriel_disk_job){ .terminal = isatty(STDERR_FILENO) };
	/* They stay pending, for interrupted() and for the end. */
	fill(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

bool oriel_disk_job_progress(double fraction, void *opaque)
{
	struct oriel_disk_job *job = opaque;
	gint64 now = g_get_monotonic_time();

	if (job->terminal && now - job->shown >= SHOW_INTERVAL) {
		job->shown = now;
		fprintf(stderr, "\r%s: %5.1f %%", g_get_prgname(), CLAMP(fraction, 0, 1) * 100);
		fflush(stderr);
	}
	return !interrupted();
}

int oriel_disk_job_end(struct oriel_disk_job *job, gboolean done, GError *error)
{
	int status = ORIEL_SUCCESS;
	sigset_t set;

	if (job->shown)
		fprintf(stderr, "\r\033[K");
	if (!done)
		status = oriel_command_fail(error);
	fflush(NULL);
	fill(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return status;
}
