/* Commands to machines that need not run. */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command_wait.h"
#include "commands.h"
#include "disk.h"
#include "machine_client.h"
#include "machine_store.h"

#define FOLLOW_MS 200

/* The folder of a machine that there is, whatever its configuration says */
static char *find_folder(const char *name, GError **error)
{
	g_autofree char *folder = oriel_store_folder(name, error);

	if (!folder)
		return NULL;
	if (g_file_test(folder, G_FILE_TEST_IS_DIR))
		return g_steal_pointer(&folder);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
		    _("There is no machine named \"%s\"; \"oriel list\" shows those that there are"), name);
	return NULL;
}

static gboolean is_running(const char *folder)
{
	g_autofree char *socket = machine_config_socket_path_of(folder);
	g_autoptr(OrielMachineClient) client = oriel_machine_client_new(socket, NULL);

	return client != NULL;
}

/* The folder of a machine that does not run, or NULL after saying why. */
static char *find_stopped(const char *name)
{
	GError *error = NULL;
	g_autofree char *folder = find_folder(name, &error);

	if (!folder) {
		oriel_command_fail(error);
		return NULL;
	}
	if (!is_running(folder))
		return g_steal_pointer(&folder);
	oriel_command_say(_("The machine is running; stop it first"));
	return NULL;
}

static int run_clone(struct oriel_wait *wait, const char *folder, const char *name)
{
	g_autofree char *id = NULL;
	GError *error = NULL;

	oriel_store_clone_async(folder, name, wait->cancellable, oriel_wait_progress, wait, oriel_wait_finished, wait);
	id = oriel_store_clone_finish(oriel_wait_run(wait), &error);
	if (!id)
		return oriel_command_fail(error);
	printf("%s\n", id);
	return ORIEL_SUCCESS;
}

int oriel_command_clone(const struct oriel_command *command, int argc, char **argv)
{
	g_autofree char *folder = NULL;
	struct oriel_wait wait;
	int status;

	if (!oriel_command_parse(command, NULL, 2, 2, &argc, &argv, &status))
		return status;
	folder = find_stopped(argv[1]);
	if (!folder)
		return ORIEL_FAILURE;
	oriel_wait_begin(&wait);
	status = run_clone(&wait, folder, argv[2]);
	oriel_wait_end(&wait);
	return status;
}

int oriel_command_delete(const struct oriel_command *command, int argc, char **argv)
{
	gboolean permanently = FALSE, done;
	const GOptionEntry entries[] = {
		{ "permanently", 0, 0, G_OPTION_ARG_NONE, &permanently, N_("Not to the trash, but for good"), NULL },
		{ NULL },
	};
	g_autofree char *folder = NULL;
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	folder = find_stopped(argv[1]);
	if (!folder)
		return ORIEL_FAILURE;
	done = permanently ? oriel_store_delete(folder, &error) : oriel_store_trash(folder, &error);
	if (!done && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED))
		g_prefix_error(&error, _("There is no trash for it; --permanently deletes it for good. "));
	return done ? ORIEL_SUCCESS : oriel_command_fail(error);
}

/* --- config --- */

static void print_config_json(GKeyFile *file)
{
	g_autoptr(GString) json = g_string_new(NULL);
	g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

	oriel_disk_json_open(json, NULL, '{');
	for (guint i = 0; groups[i]; i++) {
		g_auto(GStrv) keys = g_key_file_get_keys(file, groups[i], NULL, NULL);

		oriel_disk_json_open(json, groups[i], '{');
		for (guint k = 0; keys && keys[k]; k++) {
			g_autofree char *value = g_key_file_get_string(file, groups[i], keys[k], NULL);

			oriel_disk_json_string(json, keys[k], value ? value : "");
		}
		oriel_disk_json_close(json, '}');
	}
	oriel_disk_json_close(json, '}');
	printf("%s\n", json->str);
}

static void print_config(GKeyFile *file)
{
	g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

	for (guint i = 0; groups[i]; i++) {
		g_auto(GStrv) keys = g_key_file_get_keys(file, groups[i], NULL, NULL);

		for (guint k = 0; keys && keys[k]; k++) {
			g_autofree char *value = g_key_file_get_value(file, groups[i], keys[k], NULL);

			printf("%s.%s=%s\n", groups[i], keys[k], value);
		}
	}
}

/* Whoever reads machine.conf says, in his words, whether this can be one. */
static gboolean check_config(const char *text, GError **error)
{
	g_autofree char *folder = g_dir_make_tmp("oriel-config-XXXXXX", error);
	g_autofree char *path = folder ? g_build_filename(folder, "machine.conf", NULL) : NULL;
	struct machine_config *config = NULL;
	char *at;

	if (!folder)
		return FALSE;
	if (g_file_set_contents(path, text, -1, error))
		config = machine_config_load(folder, error);
	g_unlink(path);
	g_rmdir(folder);
	if (config) {
		machine_config_free(config);
		return TRUE;
	}
	/* The file that is meant is not the one that was read. */
	at = error && *error ? strstr((*error)->message, path) : NULL;
	if (at) {
		g_autofree char *rest = g_strdup(at + strlen(path));
		g_autofree char *start = g_strndup((*error)->message, (gsize)(at - (*error)->message));

		g_free((*error)->message);
		(*error)->message = g_strconcat(start, "machine.conf", rest, NULL);
	}
	return FALSE;
}

static gboolean change_config(GKeyFile *file, const char *path, const char *name, const char *value, GError **error)
{
	const char *dot = strchr(name, '.');
	g_autofree char *group = dot ? g_strndup(name, (gsize)(dot - name)) : NULL;
	g_autofree char *text = NULL;

	if (!dot || dot == name || !dot[1]) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    _("\"%s\" is not a key; keys are like machine.memory"), name);
		return FALSE;
	}
	if (value)
		g_key_file_set_string(file, group, dot + 1, value);
	else if (!g_key_file_remove_key(file, group, dot + 1, error))
		return FALSE;
	text = g_key_file_to_data(file, NULL, NULL);
	return check_config(text, error) && g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT |
								     G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}

static int show_key(GKeyFile *file, const char *name)
{
	const char *dot = strchr(name, '.');
	g_autofree char *group = dot ? g_strndup(name, (gsize)(dot - name)) : g_strdup("");
	g_autofree char *value = dot ? g_key_file_get_string(file, group, dot + 1, NULL) : NULL;

	if (!value) {
		oriel_command_say(_("%s is not in machine.conf; it has its default"), name);
		return ORIEL_FAILURE;
	}
	printf("%s\n", value);
	return ORIEL_SUCCESS;
}

int oriel_command_config(const struct oriel_command *command, int argc, char **argv)
{
	gboolean as_json = FALSE, unset = FALSE, changed;
	const GOptionEntry entries[] = {
		ORIEL_JSON_OPTION(&as_json),
		{ "unset", 0, 0, G_OPTION_ARG_NONE, &unset, N_("Take the key out: the default again"), NULL },
		{ NULL },
	};
	g_autofree char *folder = NULL, *path = NULL;
	g_autoptr(GKeyFile) file = g_key_file_new();
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 1, 3, &argc, &argv, &status))
		return status;
	if (unset && argc != 3) {
		oriel_command_say(_("--unset takes a machine and a key"));
		return ORIEL_USAGE;
	}
	folder = find_folder(argv[1], &error);
	path = folder ? g_build_filename(folder, "machine.conf", NULL) : NULL;
	if (!path || !g_key_file_load_from_file(file, path, G_KEY_FILE_KEEP_COMMENTS, &error))
		return oriel_command_fail(error);
	if (argc == 2 && as_json)
		print_config_json(file);
	else if (argc == 2)
		print_config(file);
	else if (argc == 3 && !unset)
		return show_key(file, argv[2]);
	if (argc == 2)
		return ORIEL_SUCCESS;
	changed = change_config(file, path, argv[2], unset ? NULL : argv[3], &error);
	if (!changed)
		return oriel_command_fail(error);
	if (is_running(folder))
		oriel_command_say(_("The machine is running; it will have this after its next start"));
	return ORIEL_SUCCESS;
}

/* --- log --- */

static gboolean copy_out(int fd)
{
	char buffer[65536];
	ssize_t size;

	while ((size = read(fd, buffer, sizeof buffer)) > 0)
		if (fwrite(buffer, 1, (size_t)size, stdout) != (size_t)size)
			return FALSE;
	return fflush(stdout) == 0;
}

static void changed(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer loop)
{
	(void)monitor;
	(void)file;
	(void)other;
	(void)event;
	g_main_loop_quit(loop);
}

/* Until Ctrl+C, or nobody reads it any more */
static void follow(int fd, const char *path)
{
	g_autoptr(GFile) file = g_file_new_for_path(path);
	g_autoptr(GFileMonitor) monitor = g_file_monitor_file(file, G_FILE_MONITOR_NONE, NULL, NULL);
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);

	if (!monitor)
		return;
	g_file_monitor_set_rate_limit(monitor, FOLLOW_MS);
	g_signal_connect(monitor, "changed", G_CALLBACK(changed), loop);
	while (copy_out(fd))
		g_main_loop_run(loop);
}

int oriel_command_log(const struct oriel_command *command, int argc, char **argv)
{
	gboolean follows = FALSE, serial = FALSE;
	const GOptionEntry entries[] = {
		{ "follow", 'f', 0, G_OPTION_ARG_NONE, &follows, N_("Go on with what is added, until Ctrl+C"), NULL },
		{ "serial", 0, 0, G_OPTION_ARG_NONE, &serial, N_("What the guest has written to its serial port"),
		  NULL },
		{ NULL },
	};
	g_autofree char *folder = NULL, *path = NULL;
	GError *error = NULL;
	int status, fd;

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	folder = find_folder(argv[1], &error);
	if (!folder)
		return oriel_command_fail(error);
	path = g_build_filename(folder, serial ? "serial.log" : "log", NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		oriel_command_say("%s", errno == ENOENT ? _("The machine has not written a log yet") :
							  _("The log cannot be read"));
		return ORIEL_FAILURE;
	}
	if (follows)
		follow(fd, path);
	status = copy_out(fd) ? ORIEL_SUCCESS : ORIEL_FAILURE;
	close(fd);
	return status;
}
