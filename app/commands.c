#include "commands.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "launcher.h"
#include "machine_client.h"
#include "machine_store.h"

/* For a machine to answer after its start, and how often to look. */
#define START_SECONDS 30
#define START_POLL_MS 20

/* GOption leaves "--" in place where arguments that look like options follow. */
static void drop_separator(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		memmove(&argv[i], &argv[i + 1], (gsize)(*argc - i) * sizeof *argv);
		--*argc;
		return;
	}
}

gboolean oriel_command_parse(const struct oriel_command *command, const GOptionEntry *entries, int minimum,
			     int maximum, int *argc, char ***argv, int *status)
{
	g_autoptr(GOptionContext) context = g_option_context_new(command->arguments);
	g_autofree char *name = g_strconcat("oriel ", command->name, NULL);
	g_autoptr(GError) error = NULL;
	int count;

	g_set_prgname(name);
	g_option_context_set_summary(context, command->summary);
	if (entries)
		g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, &error)) {
		fprintf(stderr, "%s: %s\n", name, error->message);
		*status = ORIEL_USAGE;
		return FALSE;
	}
	drop_separator(argc, *argv);
	*status = ORIEL_USAGE;
	count = *argc - 1;
	if (count < minimum || count > maximum) {
		fprintf(stderr, "Usage: %s [OPTION...] %s\n", name, command->arguments);
		return FALSE;
	}
	for (int i = 1; i < *argc; i++) {
		if (g_utf8_validate((*argv)[i], -1, NULL))
			continue;
		fprintf(stderr, "%s: argument %d is not UTF-8\n", name, i);
		return FALSE;
	}
	return TRUE;
}

int oriel_command_fail(GError *error)
{
	fprintf(stderr, "%s: %s\n", g_get_prgname(), error->message);
	g_error_free(error);
	return ORIEL_FAILURE;
}

gboolean oriel_parse_size(const char *text, guint64 *size, GError **error)
{
	static const char units[] = "KMGT";
	const char *unit;
	guint64 number;
	char *end;
	guint shift = 0;

	errno = 0;
	number = g_ascii_strtoull(text, &end, 10);
	unit = *end ? strchr(units, g_ascii_toupper(*end)) : NULL;
	if (unit) {
		shift = 10 * (guint)(unit - units + 1);
		end++;
		if (g_str_has_prefix(end, "iB"))
			end += 2;
	}
	if (!g_ascii_isdigit(*text) || *end || errno || number > (guint64)G_MAXINT64 >> shift) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    "\"%s\" is not a size; sizes are like 20G or 512M", text);
		return FALSE;
	}
	*size = number << shift;
	return TRUE;
}

int oriel_command_create(const struct oriel_command *command, int argc, char **argv)
{
	struct oriel_machine_description description = { .name = NULL };
	g_autofree char *iso = NULL, *disk = NULL, *path = NULL;
	gint64 memory = 0;
	int cpus = 0, status;
	const GOptionEntry entries[] = {
		{ "iso", 0, 0, G_OPTION_ARG_FILENAME, &iso, "Disc image in the CD drive", "FILE" },
		{ "disk", 0, 0, G_OPTION_ARG_STRING, &disk, "Size of the disk, such as 20G; 0 for none (default 32G)",
		  "SIZE" },
		{ "memory", 0, 0, G_OPTION_ARG_INT64, &memory, "Memory in MiB", "MIB" },
		{ "cpus", 0, 0, G_OPTION_ARG_INT, &cpus, "Number of processors", "COUNT" },
		{ NULL },
	};
	GError *error = NULL;

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	if (!oriel_parse_size(disk ? disk : "32G", &description.disk_size, &error))
		return oriel_command_fail(error);
	if (memory < 0 || memory > G_MAXINT64 >> 20 || cpus < 0) {
		fprintf(stderr, "%s: memory and cpus are positive numbers\n", g_get_prgname());
		return ORIEL_FAILURE;
	}
	if (iso)
		path = g_canonicalize_filename(iso, NULL);
	description.name = argv[1];
	description.iso = path;
	description.memory = (guint64)memory << 20;
	description.cpus = (guint)cpus;
	return oriel_store_create(&description, &error) ? ORIEL_SUCCESS : oriel_command_fail(error);
}

/* "running", "paused" ..., "stopped" without a process, "broken" without a readable configuration. */
static char *machine_state(const char *name)
{
	struct machine_config *config = oriel_store_load(name, NULL);
	g_autoptr(OrielMachineClient) client = NULL;
	g_autoptr(GVariant) state = NULL;
	g_autofree char *socket = NULL;

	if (!config)
		return g_strdup("broken");
	socket = machine_config_socket_path(config);
	machine_config_free(config);
	client = oriel_machine_client_new(socket, NULL);
	if (!client)
		return g_strdup("stopped");
	state = oriel_machine_client_get(client, "State", NULL);
	return g_strdup(state ? g_variant_get_string(state, NULL) : "stopped");
}

int oriel_command_list(const struct oriel_command *command, int argc, char **argv)
{
	g_auto(GStrv) names = NULL;
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, NULL, 0, 0, &argc, &argv, &status))
		return status;
	names = oriel_store_list(&error);
	if (!names)
		return oriel_command_fail(error);
	for (guint i = 0; names[i]; i++) {
		g_autofree char *state = machine_state(names[i]);

		printf("%-10s %s\n", state, names[i]);
	}
	return ORIEL_SUCCESS;
}

struct start {
	GMainLoop *loop;
	const char *socket;
	gboolean answered, ended;
	guint polls;
};

static void machine_ended(GPid process, int status, gpointer data)
{
	struct start *start = data;

	(void)process;
	(void)status;
	start->ended = TRUE;
	g_main_loop_quit(start->loop);
}

static gboolean look_for_machine(gpointer data)
{
	struct start *start = data;
	g_autoptr(OrielMachineClient) client = oriel_machine_client_new(start->socket, NULL);
	g_autoptr(GVariant) state = client ? oriel_machine_client_get(client, "State", NULL) : NULL;

	start->answered = state != NULL;
	if (!start->answered && ++start->polls < START_SECONDS * 1000 / START_POLL_MS)
		return G_SOURCE_CONTINUE;
	g_main_loop_quit(start->loop);
	return G_SOURCE_REMOVE;
}

static int start_machine(const char *folder, const char *socket, gboolean headless)
{
	struct start start = { .socket = socket };
	GError *error = NULL;
	int complaints = -1;
	GPid process;

	if (!oriel_launch(folder, headless, &process, &complaints, &error))
		return oriel_command_fail(error);
	start.loop = g_main_loop_new(NULL, FALSE);
	g_child_watch_add(process, machine_ended, &start);
	g_timeout_add(START_POLL_MS, look_for_machine, &start);
	g_main_loop_run(start.loop);
	g_main_loop_unref(start.loop);
	if (!start.answered) {
		g_autofree char *reason = oriel_launch_complaints(complaints);

		fprintf(stderr, "%s%s", reason, *reason ? "\n" : "");
		fprintf(stderr, start.ended ? "%s: the machine did not start\n" :
					      "%s: the machine does not answer, see its log\n", g_get_prgname());
	}
	close(complaints);
	return start.answered ? ORIEL_SUCCESS : ORIEL_FAILURE;
}

int oriel_command_start(const struct oriel_command *command, int argc, char **argv)
{
	gboolean headless = FALSE;
	const GOptionEntry entries[] = {
		{ "headless", 0, 0, G_OPTION_ARG_NONE, &headless, "Start it without a window", NULL },
		{ NULL },
	};
	g_autoptr(OrielMachineClient) running = NULL;
	g_autofree char *socket = NULL, *folder = NULL;
	struct machine_config *config;
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	config = oriel_store_load(argv[1], &error);
	if (!config)
		return oriel_command_fail(error);
	socket = machine_config_socket_path(config);
	folder = g_strdup(config->folder);
	machine_config_free(config);
	running = oriel_machine_client_new(socket, NULL);
	if (running) {
		fprintf(stderr, "%s: the machine is already running\n", g_get_prgname());
		return ORIEL_FAILURE;
	}
	return start_machine(folder, socket, headless);
}
