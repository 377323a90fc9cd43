#include "machine_actions.h"

#include <glib/gi18n.h>
#include <string.h>

#include "machine_dialogs.h"
#include "new_machine.h"
#include "settings.h"
#include "wizard.h"

/* Errors of calls and starts go where the user looks. */

/* The window may be gone when the machine answers. */
static OrielWindow *take_window(gpointer data)
{
	GWeakRef *reference = data;
	OrielWindow *window = g_weak_ref_get(reference);

	g_weak_ref_clear(reference);
	g_free(reference);
	return window;
}

static gpointer keep_window(OrielWindow *window)
{
	GWeakRef *reference = g_new0(GWeakRef, 1);

	g_weak_ref_init(reference, window);
	return reference;
}

static void called(GObject *source, GAsyncResult *result, gpointer data)
{
	OrielMachine *machine = ORIEL_MACHINE(source);
	g_autoptr(OrielWindow) window = take_window(data);
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = oriel_machine_call_finish(machine, result, &error);
	g_autofree char *text = NULL;

	if (!window || reply)
		return;
	text = g_strdup_printf(_("“%s” did not do that.\n%s"), oriel_machine_get_name(machine), error->message);
	oriel_window_notice(window, machine, GTK_MESSAGE_ERROR, text, _("Open _Log"), oriel_machine_actions_open_log,
			    NULL);
}

static void call(OrielWindow *window, OrielMachine *machine, const char *method)
{
	oriel_machine_call_async(machine, method, NULL, called, keep_window(window));
}

static void started(GObject *source, GAsyncResult *result, gpointer data)
{
	OrielMachine *machine = ORIEL_MACHINE(source);
	g_autoptr(OrielWindow) window = take_window(data);
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (oriel_machine_start_finish(machine, result, &error) || !window)
		return;
	text = g_strdup_printf(_("“%s” could not be started.\n%s"), oriel_machine_get_name(machine), error->message);
	oriel_window_notice(window, machine, GTK_MESSAGE_ERROR, text, _("_Try Again"), oriel_machine_actions_start,
			    _("Se_ttings…"), oriel_settings_show, _("Open _Log"), oriel_machine_actions_open_log, NULL);
	oriel_window_check_host(window);
}

void oriel_machine_actions_start(OrielWindow *window, OrielMachine *machine)
{
	if (oriel_machine_is_idle(machine)) {
		oriel_window_clear_notice(window, machine);
		oriel_machine_start_async(machine, started, keep_window(window));
	} else if (oriel_machine_get_state(machine) == ORIEL_MACHINE_PAUSED) {
		call(window, machine, "Resume");
	}
}

static void show_window(OrielWindow *window, OrielMachine *machine)
{
	call(window, machine, "Raise");
}

void oriel_machine_actions_open(OrielWindow *window, OrielMachine *machine)
{
	oriel_machine_actions_start(window, machine);
	if (oriel_machine_is_live(machine))
		show_window(window, machine);
}

static void show_uri_failed(OrielWindow *window, OrielMachine *machine, const char *path, const GError *error)
{
	g_autofree char *text = g_strdup_printf(_("Cannot open %s: %s"), path, error->message);

	oriel_window_notice(window, machine, GTK_MESSAGE_WARNING, text, NULL);
}

static void open_path(OrielWindow *window, OrielMachine *machine, const char *path)
{
	g_autofree char *uri = g_filename_to_uri(path, NULL, NULL);
	g_autoptr(GError) error = NULL;

	if (!gtk_show_uri_on_window(GTK_WINDOW(window), uri, gtk_get_current_event_time(), &error))
		show_uri_failed(window, machine, path, error);
}

void oriel_machine_actions_open_log(OrielWindow *window, OrielMachine *machine)
{
	g_autofree char *path = g_build_filename(oriel_machine_get_folder(machine), "log", NULL);

	open_path(window, machine, path);
}

/* The path of the last report that the machine's process has written about a crash, or NULL. */
static char *find_report(OrielMachine *machine)
{
	g_autoptr(GDir) folder = g_dir_open(oriel_machine_get_folder(machine), 0, NULL);
	g_autofree char *last = NULL;
	const char *name;

	/* Their names have the time. */
	while (folder && (name = g_dir_read_name(folder)))
		if (g_str_has_prefix(name, "report-") && g_strcmp0(name, last) > 0) {
			g_free(last);
			last = g_strdup(name);
		}
	return last ? g_build_filename(oriel_machine_get_folder(machine), last, NULL) : NULL;
}

void oriel_machine_actions_open_report(OrielWindow *window, OrielMachine *machine)
{
	g_autofree char *path = find_report(machine);

	if (path)
		open_path(window, machine, path);
}

void oriel_machine_actions_open_folder(OrielWindow *window, OrielMachine *machine)
{
	open_path(window, machine, oriel_machine_get_folder(machine));
}

static void restart(OrielWindow *window, OrielMachine *machine)
{
	if (oriel_machine_is_live(machine))
		call(window, machine, "Reset");
	else
		oriel_machine_actions_start(window, machine);
}

static void force_off(OrielWindow *window, OrielMachine *machine)
{
	call(window, machine, "Stop");
}

static void retry(OrielWindow *window, OrielMachine *machine)
{
	call(window, machine, "Retry");
}

static void let_fail(OrielWindow *window, OrielMachine *machine)
{
	call(window, machine, "Fail");
}

void oriel_machine_actions_explain(OrielWindow *window, OrielMachine *machine)
{
	const char *message = oriel_machine_get_message(machine);
	g_autofree char *text = NULL, *report = NULL;

	if (oriel_machine_get_state(machine) == ORIEL_MACHINE_TROUBLE) {
		text = g_strdup_printf(_("“%s” is waiting until this is mended:\n%s"), oriel_machine_get_name(machine),
				       message);
		oriel_window_notice(window, machine, GTK_MESSAGE_WARNING, text, _("_Try Again"), retry,
				    _("_Let It Fail"), let_fail, NULL);
		return;
	}
	text = g_strdup_printf(_("“%s” has crashed.\n%s"), oriel_machine_get_name(machine), message);
	report = find_report(machine);
	if (!oriel_machine_is_live(machine))
		oriel_window_notice(window, machine, GTK_MESSAGE_ERROR, text, _("_Start Again"), restart,
				    _("Open _Log"), oriel_machine_actions_open_log, NULL);
	else if (report && strstr(message, report))
		oriel_window_notice(window, machine, GTK_MESSAGE_ERROR, text, _("_Restart"), restart,
				    _("_Switch Off"), force_off, _("Open Re_port"), oriel_machine_actions_open_report,
				    _("Open _Log"), oriel_machine_actions_open_log, NULL);
	else
		oriel_window_notice(window, machine, GTK_MESSAGE_ERROR, text, _("_Restart"), restart,
				    _("_Switch Off"), force_off, _("Open _Log"), oriel_machine_actions_open_log, NULL);
}

/* What an action needs of a machine, and what it does with each chosen one. */

static gboolean can_start(OrielMachine *machine)
{
	return oriel_machine_is_idle(machine) && !oriel_machine_get_problem(machine);
}

static gboolean is_running(OrielMachine *machine)
{
	return oriel_machine_is_live(machine) && oriel_machine_get_state(machine) == ORIEL_MACHINE_RUNNING;
}

static gboolean is_paused(OrielMachine *machine)
{
	return oriel_machine_is_live(machine) && oriel_machine_get_state(machine) == ORIEL_MACHINE_PAUSED;
}

static gboolean can_reset(OrielMachine *machine)
{
	return oriel_machine_is_live(machine) && oriel_machine_get_state(machine) != ORIEL_MACHINE_STOPPING;
}

static gboolean can_clone(OrielMachine *machine)
{
	return oriel_machine_is_idle(machine) && !oriel_machine_get_problem(machine);
}

static gboolean can_rename(OrielMachine *machine)
{
	return !oriel_machine_get_problem(machine);
}

static gboolean any_machine(OrielMachine *machine)
{
	(void)machine;
	return TRUE;
}

static void pause_machine(OrielWindow *window, OrielMachine *machine)
{
	call(window, machine, "Pause");
}

static void press_power_button(OrielWindow *window, OrielMachine *machine)
{
	call(window, machine, "PowerButton");
}

static void reset_machine(OrielWindow *window, OrielMachine *machine)
{
	call(window, machine, "Reset");
}

static const struct machine_action {
	const char *name;
	gboolean (*possible)(OrielMachine *machine);
	OrielNoticeAction run;
	gboolean one; /* it asks something about one machine */
	const char *accelerators[3];
} actions[] = {
	{ "start", can_start, oriel_machine_actions_start, .accelerators = { "<Primary>Return" } },
	{ "pause", is_running, pause_machine, .accelerators = { "<Primary>p" } },
	{ "resume", is_paused, oriel_machine_actions_start, .accelerators = { "<Primary>e" } },
	{ "show-window", oriel_machine_is_live, show_window, .accelerators = { "<Primary>w" } },
	{ "power-button", is_running, press_power_button, .accelerators = { "<Primary>b" } },
	{ "reset", can_reset, reset_machine, .accelerators = { "<Primary>r" } },
	{ "force-off", can_reset, force_off, .accelerators = { "<Primary>k" } },
	{ "settings", can_rename, oriel_settings_show, TRUE, { "<Primary>comma", "<Alt>Return" } },
	{ "clone", can_clone, oriel_machine_dialog_clone, TRUE, { "<Primary>d" } },
	{ "rename", can_rename, oriel_machine_dialog_rename, TRUE, { "F2" } },
	{ "open-folder", any_machine, oriel_machine_actions_open_folder, TRUE },
	{ "open-log", any_machine, oriel_machine_actions_open_log, TRUE },
	{ "delete", oriel_machine_is_idle, oriel_machine_dialog_delete, TRUE },
};

static const struct machine_action *find_action(const char *name)
{
	const struct machine_action *action = actions;

	while (!g_str_equal(action->name, name))
		action++;
	return action;
}

static void run_action(GSimpleAction *simple, GVariant *parameter, gpointer window)
{
	const struct machine_action *action = find_action(g_action_get_name(G_ACTION(simple)));
	g_autoptr(GPtrArray) machines = oriel_window_get_selection(window);

	(void)parameter;
	for (guint i = 0; i < machines->len; i++)
		if (action->possible(machines->pdata[i]))
			action->run(window, machines->pdata[i]);
}

void oriel_machine_actions_update(OrielWindow *window)
{
	g_autoptr(GPtrArray) machines = oriel_window_get_selection(window);

	for (guint i = 0; i < G_N_ELEMENTS(actions); i++) {
		GAction *simple = g_action_map_lookup_action(G_ACTION_MAP(window), actions[i].name);
		guint possible = 0;

		for (guint j = 0; j < machines->len; j++)
			possible += actions[i].possible(machines->pdata[j]) ? 1 : 0;
		g_simple_action_set_enabled(G_SIMPLE_ACTION(simple), actions[i].one ? machines->len == 1 && possible :
								     possible > 0);
	}
}

static void new_machine(GSimpleAction *action, GVariant *parameter, gpointer window)
{
	(void)action;
	(void)parameter;
	oriel_new_machine(window);
}

static void test_disc(GSimpleAction *action, GVariant *parameter, gpointer window)
{
	(void)action;
	(void)parameter;
	oriel_new_machine_test_disc(window);
}

static void packaged_installer(GSimpleAction *action, GVariant *parameter, gpointer window)
{
	(void)action;
	(void)parameter;
	oriel_wizard_show_packaged(window);
}

void oriel_machine_actions_add(OrielWindow *window)
{
	static const GActionEntry others[] = {
		{ .name = "new", .activate = new_machine },
		{ .name = "test-disc", .activate = test_disc },
		{ .name = "packaged-installer", .activate = packaged_installer },
	};

	g_action_map_add_action_entries(G_ACTION_MAP(window), others, G_N_ELEMENTS(others), window);
	for (guint i = 0; i < G_N_ELEMENTS(actions); i++) {
		g_autoptr(GSimpleAction) simple = g_simple_action_new(actions[i].name, NULL);

		g_simple_action_set_enabled(simple, FALSE);
		g_signal_connect(simple, "activate", G_CALLBACK(run_action), window);
		g_action_map_add_action(G_ACTION_MAP(window), G_ACTION(simple));
	}
}

void oriel_machine_actions_set_accelerators(GtkApplication *application)
{
	for (guint i = 0; i < G_N_ELEMENTS(actions); i++) {
		g_autofree char *name = g_strconcat("win.", actions[i].name, NULL);

		gtk_application_set_accels_for_action(application, name, actions[i].accelerators);
	}
}
