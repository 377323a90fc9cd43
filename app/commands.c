#include "commands.h"

#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../vmm/translation.h"
#include "command_text.h"
#include "disk.h"
#include "launcher.h"
#include "machine_client.h"
#include "machine_store.h"

/* For a machine to answer after its start, and how often to look. */
#define START_SECONDS 30
#define START_POLL_MS 20
#define STATE_COLUMNS 10

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

void oriel_command_print_usage(const struct oriel_command *command)
{
	const char *arguments = *command->arguments ? _(command->arguments) : "";

	fprintf(stderr, _("Usage: %s [OPTION...] %s\n"), g_get_prgname(), arguments);
}

static gboolean asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return TRUE;
	return FALSE;
}

gboolean oriel_command_parse(const struct oriel_command *command, const GOptionEntry *entries, int minimum,
			     int maximum, int *argc, char ***argv, int *status)
{
	g_autoptr(GOptionContext) context = g_option_context_new(command->arguments);
	g_autofree char *name = g_strconcat("oriel ", command->name, NULL);
	g_autoptr(GError) error = NULL;
	int count;

	g_set_prgname(name);
	g_option_context_set_translation_domain(context, TRANSLATION_DOMAIN);
	g_option_context_set_summary(context, command->summary);
	if (entries)
		g_option_context_add_main_entries(context, entries, TRANSLATION_DOMAIN);
	if (asks_for_help(*argc, *argv)) {
		g_autofree char *help = g_option_context_get_help(context, TRUE, NULL);

		oriel_print_help(stdout, help);
		*status = ORIEL_SUCCESS;
		return FALSE;
	}
	if (!g_option_context_parse(context, argc, argv, &error)) {
		oriel_command_say("%s", error->message);
		*status = ORIEL_USAGE;
		return FALSE;
	}
	drop_separator(argc, *argv);
	*status = ORIEL_USAGE;
	count = *argc - 1;
	if (count < minimum || count > maximum) {
		oriel_command_print_usage(command);
		return FALSE;
	}
	for (int i = 1; i < *argc; i++) {
		if (g_utf8_validate((*argv)[i], -1, NULL))
			continue;
		oriel_command_say(_("Argument %d is not UTF-8"), i);
		return FALSE;
	}
	return TRUE;
}

void oriel_command_say(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s: ", g_get_prgname());
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

int oriel_command_fail(GError *error)
{
	oriel_command_say("%s", error->message);
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
			    _("\"%s\" is not a size; sizes are like 20G or 512M"), text);
		return FALSE;
	}
	*size = number << shift;
	return TRUE;
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

static void list_json(GString *json, const char *id, const char *state)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *folder = oriel_store_folder(id, NULL);
	struct machine_config *config = oriel_store_load(id, &error);

	oriel_disk_json_open(json, NULL, '{');
	oriel_disk_json_string(json, "id", id);
	oriel_disk_json_string(json, "name", config && config->name ? config->name : id);
	oriel_disk_json_string(json, "state", state);
	oriel_disk_json_string(json, "folder", folder);
	if (config) {
		oriel_disk_json_number(json, "cpus", config->cpus);
		oriel_disk_json_number(json, "memory", config->memory);
		machine_config_free(config);
	} else {
		oriel_disk_json_string(json, "error", error->message);
	}
	oriel_disk_json_close(json, '}');
}

static void print_state(const char *id, const char *state)
{
	static const struct {
		const char *state, *shown;
	} words[] = {
		{ "starting", N_("starting") }, { "running", N_("running") }, { "paused", N_("paused") },
		{ "crashed", N_("crashed") }, { "trouble", N_("trouble") }, { "stopped", N_("stopped") },
		{ "broken", N_("broken") },
	};

	for (guint i = 0; i < G_N_ELEMENTS(words); i++)
		if (strcmp(words[i].state, state) == 0)
			state = _(words[i].shown);
	oriel_print_cell(stdout, state, STATE_COLUMNS);
	printf(" %s\n", id);
}

int oriel_command_list(const struct oriel_command *command, int argc, char **argv)
{
	gboolean as_json = FALSE;
	const GOptionEntry entries[] = { ORIEL_JSON_OPTION(&as_json), { NULL } };
	g_autoptr(GString) json = g_string_new(NULL);
	g_auto(GStrv) names = NULL;
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 0, 0, &argc, &argv, &status))
		return status;
	names = oriel_store_list(&error);
	if (!names)
		return oriel_command_fail(error);
	oriel_disk_json_open(json, NULL, '[');
	for (guint i = 0; names[i]; i++) {
		g_autofree char *state = machine_state(names[i]);

		if (as_json)
			list_json(json, names[i], state);
		else
			print_state(names[i], state);
	}
	oriel_disk_json_close(json, ']');
	if (as_json)
		printf("%s\n", json->str);
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
		oriel_command_say("%s", start.ended ? _("The machine did not start") :
						      _("The machine does not answer, see its log"));
	}
	close(complaints);
	return start.answered ? ORIEL_SUCCESS : ORIEL_FAILURE;
}

int oriel_command_start_machine(const char *name, gboolean headless)
{
	struct machine_config *config;
	g_autoptr(OrielMachineClient) running = NULL;
	g_autofree char *socket = NULL, *folder = NULL;
	GError *error = NULL;

	config = oriel_store_load(name, &error);
	if (!config)
		return oriel_command_fail(error);
	socket = machine_config_socket_path(config);
	folder = g_strdup(config->folder);
	machine_config_free(config);
	running = oriel_machine_client_new(socket, NULL);
	if (running) {
		oriel_command_say(_("The machine is already running"));
		return ORIEL_FAILURE;
	}
	return start_machine(folder, socket, headless);
}

int oriel_command_start(const struct oriel_command *command, int argc, char **argv)
{
	gboolean headless = FALSE;
	const GOptionEntry entries[] = {
		{ "headless", 0, 0, G_OPTION_ARG_NONE, &headless, N_("Start it without a window"), NULL },
		{ NULL },
	};
	int status;

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	return oriel_command_start_machine(argv[1], headless);
}
