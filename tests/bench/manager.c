/*
 * What the open manager costs while its user does something else: processor time of its process and of five machines',
 * as parts of one core, and its memory. Printed, not judged.
 */
#include "../gui/application.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MACHINES 5
#define SETTLE_SECONDS 10
#define MEASURE_SECONDS 30

/* Seconds of processor time of a process, from proc(5) stat: utime and stime are the 12th and 13th after the name. */
static double processor_time(const char *process)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/stat", process), *text = NULL;
	g_auto(GStrv) fields = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	fields = g_strsplit(strrchr(text, ')') + 2, " ", 15);
	return (double)(g_ascii_strtoull(fields[11], NULL, 10) + g_ascii_strtoull(fields[12], NULL, 10)) /
	       (double)sysconf(_SC_CLK_TCK);
}

/* Of all oriel-vm below the test's folder. */
static double machines_time(struct application *app)
{
	g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
	const char *name;
	double sum = 0;

	while ((name = g_dir_read_name(processes))) {
		g_autofree char *path = g_strdup_printf("/proc/%s/cmdline", name), *line = NULL;
		gsize length = 0;

		if (!g_ascii_isdigit(*name) || !g_file_get_contents(path, &line, &length, NULL))
			continue;
		for (gsize i = 0; i + 1 < length; i++)
			line[i] = line[i] ? line[i] : ' ';
		if (strstr(line, "oriel-vm") && strstr(line, app->machines))
			sum += processor_time(name);
	}
	return sum;
}

static double resident_mebibytes(const char *process)
{
	g_autofree char *path = g_strdup_printf("/proc/%s/statm", process), *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	return (double)g_ascii_strtoull(strchr(text, ' '), NULL, 10) * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static void measure(struct application *app, const char *what)
{
	const char *manager = g_subprocess_get_identifier(app->process);
	double own, machines;
	gint64 start;

	g_usleep(SETTLE_SECONDS * G_USEC_PER_SEC);
	start = g_get_monotonic_time();
	own = processor_time(manager);
	machines = machines_time(app);
	g_usleep(MEASURE_SECONDS * G_USEC_PER_SEC);
	own = processor_time(manager) - own;
	machines = machines_time(app) - machines;
	start = g_get_monotonic_time() - start;
	printf("%-44s %8.2f %% %12.2f %% %8.1f MiB\n", what, own * 1e8 / (double)start, machines * 1e8 / (double)start,
	       resident_mebibytes(manager));
	fflush(stdout);
}

static void each_machine(struct application *app, const char *command, const char *option)
{
	for (unsigned i = 1; i <= MACHINES; i++) {
		g_autofree char *name = g_strdup_printf("Machine %u", i);

		application_command(app, command, name, option, NULL);
	}
}

static void create_machines(struct application *app, const char *disc)
{
	static const char *const systems[MACHINES] = { "windows-old", "linux", "bsd", "dos", "tool" };

	for (unsigned i = 1; i <= MACHINES; i++) {
		g_autofree char *name = g_strdup_printf("Machine %u", i);

		application_command(app, "create", name, "--disk", "1M", "--memory", "256", "--cpus", "1", "--system",
				    systems[i - 1], disc ? "--iso" : NULL, disc, NULL);
	}
}

static void minimise(struct application *app)
{
	XIconifyWindow(app->desktop->display, app->window, DefaultScreen(app->desktop->display));
	XSync(app->desktop->display, False);
}

/* disc: NULL for a firmware that finds nothing to start, and stands still */
static void measure_all(struct session *session, const char *disc, const char *guest)
{
	struct application *app = application_new(session);
	g_autofree char *running = g_strdup_printf("5 running, %s", guest);
	g_autofree char *minimised = g_strdup_printf("5 running, %s, minimised", guest);

	create_machines(app, disc);
	application_start(app, NULL);
	application_expect(app, "list item", "Machine 5, Switched off");
	measure(app, "5 switched off");
	each_machine(app, "start", "--headless");
	application_expect(app, "list item", "Machine 5, Running");
	g_usleep(SETTLE_SECONDS * 2 * G_USEC_PER_SEC);
	measure(app, running);
	application_picture(app, disc ? "bench-manager-disc" : "bench-manager-firmware");
	minimise(app);
	measure(app, minimised);
	each_machine(app, "stop", NULL);
	application_kill(app);
	application_free(app);
}

int main(int argc, char **argv)
{
	g_autofree char *disc = g_canonicalize_filename(argv[1], NULL);
	struct session *session;

	g_test_init(&argc, &argv, NULL);
	session = session_start();
	printf("%-44s %10s %14s %12s\n", "machines", "manager", "machines", "resident");
	measure_all(session, disc, "a clock on the screen");
	measure_all(session, NULL, "nothing changes");
	session_stop(session);
	return 0;
}
