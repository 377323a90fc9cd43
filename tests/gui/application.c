#include "application.h"

#include <X11/XKBlib.h>
#include <X11/keysym.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>

#include "../guest/harness.h"
#include "../remove_tree.h"

#define PATIENCE (30 * G_USEC_PER_SEC)
#define STEP 30000
#define SERVICES "/usr/share/dbus-1/services"

/* The session bus knows where the bus of accessible things is, and starts it. */
static GDBusConnection *connect_accessibility(void)
{
	g_autoptr(GDBusConnection) session = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, NULL);
	g_autoptr(GVariant) reply = NULL;
	GDBusConnection *connection;
	GError *error = NULL;
	const char *address;

	reply = g_dbus_connection_call_sync(session, "org.a11y.Bus", "/org/a11y/bus", "org.a11y.Bus", "GetAddress", NULL,
					    G_VARIANT_TYPE("(s)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
	g_assert_no_error(error);
	g_dbus_connection_set_exit_on_close(session, FALSE);
	g_variant_get(reply, "(&s)", &address);
	connection = g_dbus_connection_new_for_address_sync(address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
							    G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL,
							    &error);
	g_assert_no_error(error);
	return connection;
}

struct session *session_start(void)
{
	struct session *session = g_new0(struct session, 1);
	g_autofree char *display = NULL;

	session->runtime = g_dir_make_tmp("oriel-session-XXXXXX", NULL);
	g_setenv("XDG_RUNTIME_DIR", session->runtime, TRUE);
	session->desktop = desktop_start();
	display = g_strdup(g_getenv("DISPLAY"));
	session->bus = g_test_dbus_new(G_TEST_DBUS_NONE);
	g_test_dbus_add_service_dir(session->bus, SERVICES);
	g_test_dbus_up(session->bus);
	/* It has been taken away, lest something starts another bus. */
	g_setenv("DISPLAY", display, TRUE);
	session->accessibility = connect_accessibility();
	return session;
}

void session_stop(struct session *session)
{
	g_object_unref(session->accessibility);
	g_test_dbus_stop(session->bus);
	g_object_unref(session->bus);
	desktop_stop(session->desktop);
	remove_tree(session->runtime);
	g_free(session->runtime);
	g_free(session);
}

int session_run(int argc, char **argv, const struct session_case *cases)
{
	struct session *session;
	int status;

	harness_init(&argc, &argv);
	session = session_start();
	for (; cases->path; cases++)
		g_test_add_data_func(cases->path, session, cases->run);
	status = harness_run();
	session_stop(session);
	return status;
}

static void set_folder(struct application *application, const char *variable, const char *name)
{
	g_autofree char *path = g_build_filename(application->folder, name, NULL);

	g_assert_cmpint(g_mkdir(path, 0700), ==, 0);
	application->environment = g_environ_setenv(application->environment, variable, path, TRUE);
}

struct application *application_new(struct session *session)
{
	static const char *const settings[][2] = {
		{ "GDK_BACKEND", "x11" }, { "GTK_THEME", "Adwaita" }, { "GSETTINGS_BACKEND", "memory" },
		{ "LC_ALL", "C.UTF-8" }, { "LANGUAGE", "" },
	};
	struct application *application = g_new0(struct application, 1);

	application->session = session;
	application->desktop = session->desktop;
	application->folder = g_dir_make_tmp("oriel-gui-XXXXXX", NULL);
	application->environment = g_get_environ();
	set_folder(application, "HOME", "home");
	set_folder(application, "XDG_DATA_HOME", "data");
	set_folder(application, "XDG_CONFIG_HOME", "config");
	set_folder(application, "XDG_CACHE_HOME", "cache");
	set_folder(application, "XDG_RUNTIME_DIR", "run");
	for (guint i = 0; i < G_N_ELEMENTS(settings); i++)
		application->environment = g_environ_setenv(application->environment, settings[i][0], settings[i][1],
							    TRUE);
	application->messages = g_build_filename(application->folder, "messages", NULL);
	application->machines = g_build_filename(application->folder, "data", "oriel", "machines", NULL);
	return application;
}

void application_start(struct application *application, ...)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
	const char *program = g_getenv("ORIEL_PROGRAM"), *name;
	GError *error = NULL;
	va_list variables;

	g_subprocess_launcher_set_environ(launcher, application->environment);
	g_subprocess_launcher_set_stderr_file_path(launcher, application->messages);
	va_start(variables, application);
	while ((name = va_arg(variables, const char *)))
		g_subprocess_launcher_setenv(launcher, name, va_arg(variables, const char *), TRUE);
	va_end(variables);
	application->process = g_subprocess_launcher_spawn(launcher, &error, program, NULL);
	g_assert_no_error(error);
	application->window = desktop_find(application->desktop, "Oriel");
	g_assert_cmpuint(application->window, !=, 0);
}

/*
 * GTK's own criticals are the program's mistakes, but for one: asked for the children of a window that has just been
 * destroyed, GtkWindowAccessible does not notice. Tests that look for things while dialogs close meet it.
 */
static void expect_no_criticals(struct application *application)
{
	static const char known[] = "gtk_container_forall: assertion 'GTK_IS_CONTAINER (container)' failed";
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	g_assert_true(g_file_get_contents(application->messages, &text, NULL, NULL));
	lines = g_strsplit(text, "\n", -1);
	for (guint i = 0; lines[i]; i++)
		if (strstr(lines[i], "-CRITICAL **") && !strstr(lines[i], known))
			g_error("%s", lines[i]);
}

static void take_result(GObject *source, GAsyncResult *result, gpointer data)
{
	GAsyncResult **slot = data;

	(void)source;
	*slot = g_object_ref(result);
}

static gboolean too_late(gpointer data)
{
	(void)data;
	g_error("the manager does not quit");
	return G_SOURCE_REMOVE;
}

void application_quit(struct application *application)
{
	g_autoptr(GAsyncResult) result = NULL;
	GError *error = NULL;
	guint limit;

	application_focus(application);
	desktop_combine(application->desktop, XK_Control_L, XK_q);
	g_subprocess_wait_check_async(application->process, NULL, take_result, &result);
	limit = g_timeout_add(PATIENCE / 1000, too_late, NULL);
	while (!result)
		g_main_context_iteration(NULL, TRUE);
	g_source_remove(limit);
	g_subprocess_wait_check_finish(application->process, result, &error);
	g_assert_no_error(error);
	g_clear_object(&application->process);
	expect_no_criticals(application);
}

void application_kill(struct application *application)
{
	g_subprocess_force_exit(application->process);
	g_subprocess_wait(application->process, NULL, NULL);
	g_clear_object(&application->process);
}

void application_free(struct application *application)
{
	if (application->process)
		application_kill(application);
	remove_tree(application->folder);
	g_strfreev(application->environment);
	g_free(application->machines);
	g_free(application->messages);
	g_free(application->folder);
	g_free(application);
}

/* Looking for things */

#define ACCESSIBLE "org.a11y.atspi.Accessible"
#define REGISTRY "org.a11y.atspi.Registry"
#define ROOT "/org/a11y/atspi/accessible/root"
#define STATE_FOCUSED 12 /* ATSPI_STATE_FOCUSED */
#define STATE_SHOWING 25 /* ATSPI_STATE_SHOWING */

void accessible_free(struct accessible *thing)
{
	if (!thing)
		return;
	g_free(thing->owner);
	g_free(thing->path);
	g_free(thing);
}

/* NULL if the thing is gone. */
static GVariant *call(struct application *application, const struct accessible *thing, const char *interface,
		      const char *method, GVariant *parameters, const char *type)
{
	return g_dbus_connection_call_sync(application->session->accessibility, thing->owner, thing->path, interface,
					   method, parameters, G_VARIANT_TYPE(type), G_DBUS_CALL_FLAGS_NONE, -1, NULL,
					   NULL);
}

static char *get_text(struct application *application, const struct accessible *thing, const char *property)
{
	g_autoptr(GVariant) reply = call(application, thing, "org.freedesktop.DBus.Properties", "Get",
					 g_variant_new("(ss)", ACCESSIBLE, property), "(v)");
	g_autoptr(GVariant) value = NULL;

	if (!reply)
		return g_strdup("");
	g_variant_get(reply, "(v)", &value);
	return g_variant_dup_string(value, NULL);
}

static char *get_name(struct application *application, const struct accessible *thing)
{
	return get_text(application, thing, "Name");
}

static char *get_role(struct application *application, const struct accessible *thing)
{
	g_autoptr(GVariant) reply = call(application, thing, ACCESSIBLE, "GetRoleName", NULL, "(s)");
	char *role = NULL;

	if (reply)
		g_variant_get(reply, "(s)", &role);
	return role;
}

/* state: below 32 */
static bool has_state(struct application *application, const struct accessible *thing, unsigned state)
{
	g_autoptr(GVariant) reply = call(application, thing, ACCESSIBLE, "GetState", NULL, "(au)");
	g_autoptr(GVariant) words = reply ? g_variant_get_child_value(reply, 0) : NULL;
	guint32 states = 0;

	if (words)
		g_variant_get_child(words, 0, "u", &states);
	return states >> state & 1;
}

static bool is_showing(struct application *application, const struct accessible *thing)
{
	return has_state(application, thing, STATE_SHOWING);
}

static bool fits(struct application *application, const struct accessible *thing, const char *role, const char *name)
{
	g_autofree char *own_role = get_role(application, thing), *own_name = NULL;

	if (g_strcmp0(own_role, role) != 0)
		return false;
	own_name = get_name(application, thing);
	return g_pattern_match_simple(name, own_name) && is_showing(application, thing);
}

/* Calls visit() for the thing and all that is in it, until it returns true, for what becomes the result then. */
static struct accessible *walk(struct application *application, const struct accessible *thing, int depth,
			       bool (*visit)(struct application *application, const struct accessible *thing, int depth,
					     gpointer data),
			       gpointer data)
{
	g_autoptr(GVariant) reply = NULL;
	g_autoptr(GVariantIter) children = NULL;
	struct accessible child, *found = NULL;

	if (visit(application, thing, depth, data)) {
		found = g_new(struct accessible, 1);
		*found = (struct accessible){ g_strdup(thing->owner), g_strdup(thing->path) };
		return found;
	}
	reply = call(application, thing, ACCESSIBLE, "GetChildren", NULL, "(a(so))");
	if (!reply)
		return NULL;
	g_variant_get(reply, "(a(so))", &children);
	while (!found && g_variant_iter_next(children, "(so)", &child.owner, &child.path)) {
		found = walk(application, &child, depth + 1, visit, data);
		g_free(child.owner);
		g_free(child.path);
	}
	return found;
}

struct wanted {
	const char *role, *name;
};

static bool visit_wanted(struct application *application, const struct accessible *thing, int depth, gpointer data)
{
	const struct wanted *wanted = data;

	/* Above the depth of 2 are the desktop and the program. */
	return depth > 1 && fits(application, thing, wanted->role, wanted->name);
}

static bool visit_print(struct application *application, const struct accessible *thing, int depth, gpointer unused)
{
	g_autofree char *name = get_name(application, thing), *role = get_role(application, thing);

	(void)unused;
	/* Not g_test_message(): meson keeps the lines of TAP to itself. */
	g_printerr("%*s%s \"%s\"%s\n", depth * 2, "", role, name, is_showing(application, thing) ? "" : " (hidden)");
	return false;
}

static struct accessible *look(struct application *application, const char *role, const char *name)
{
	const struct accessible desktop = { (char *)REGISTRY, (char *)ROOT };
	struct wanted wanted = { role, name };

	return walk(application, &desktop, 0, visit_wanted, &wanted);
}

bool application_has(struct application *application, const char *role, const char *name)
{
	struct accessible *thing = look(application, role, name);

	accessible_free(thing);
	return thing != NULL;
}

struct accessible *application_find(struct application *application, const char *role, const char *name)
{
	const struct accessible desktop = { (char *)REGISTRY, (char *)ROOT };
	gint64 end = g_get_monotonic_time() + PATIENCE;

	do {
		struct accessible *thing = look(application, role, name);

		if (thing)
			return thing;
		g_usleep(STEP);
	} while (g_get_monotonic_time() < end);
	walk(application, &desktop, 0, visit_print, NULL);
	application_picture(application, "manager-failed");
	g_error("there is no %s \"%s\"", role, name);
}

void application_expect(struct application *application, const char *role, const char *name)
{
	accessible_free(application_find(application, role, name));
}

void application_expect_description(struct application *application, const char *role, const char *name,
				    const char *description)
{
	struct accessible *thing = application_find(application, role, name);
	gint64 end = g_get_monotonic_time() + PATIENCE;

	for (;;) {
		g_autofree char *text = get_text(application, thing, "Description");

		if (g_pattern_match_simple(description, text))
			break;
		if (g_get_monotonic_time() > end)
			g_error("the %s \"%s\" is described as \"%s\"", role, name, text);
		g_usleep(STEP);
	}
	accessible_free(thing);
}

void application_wait_gone(struct application *application, const char *role, const char *name)
{
	gint64 end = g_get_monotonic_time() + PATIENCE;

	while (application_has(application, role, name)) {
		if (g_get_monotonic_time() > end)
			g_error("\"%s\" does not go away", name);
		g_usleep(STEP);
	}
}

static void expect_done(GVariant *reply, const char *what, const char *name)
{
	gboolean done = FALSE;

	if (reply)
		g_variant_get(reply, "(b)", &done);
	if (!done)
		g_error("cannot %s \"%s\"", what, name);
}

void application_press(struct application *application, const char *role, const char *name)
{
	struct accessible *thing = application_find(application, role, name);
	g_autoptr(GVariant) reply = call(application, thing, "org.a11y.atspi.Action", "DoAction",
					 g_variant_new("(i)", 0), "(b)");

	expect_done(reply, "press", name);
	accessible_free(thing);
}

void application_select(struct application *application, const char *role, const char *name)
{
	struct accessible *thing = application_find(application, role, name), parent;
	g_autoptr(GVariant) up = call(application, thing, "org.freedesktop.DBus.Properties", "Get",
				      g_variant_new("(ss)", ACCESSIBLE, "Parent"), "(v)");
	g_autoptr(GVariant) place = call(application, thing, ACCESSIBLE, "GetIndexInParent", NULL, "(i)");
	g_autoptr(GVariant) value = NULL, reply = NULL, cleared = NULL;

	g_assert_nonnull(up);
	g_assert_nonnull(place);
	g_variant_get(up, "(v)", &value);
	g_variant_get(value, "(so)", &parent.owner, &parent.path);
	cleared = call(application, &parent, "org.a11y.atspi.Selection", "ClearSelection", NULL, "(b)");
	reply = call(application, &parent, "org.a11y.atspi.Selection", "SelectChild", place, "(b)");
	expect_done(reply, "select", name);
	g_free(parent.owner);
	g_free(parent.path);
	accessible_free(thing);
}

void application_set_text(struct application *application, const char *role, const char *name, const char *text)
{
	struct accessible *thing = application_find(application, role, name);
	g_autoptr(GVariant) reply = call(application, thing, "org.a11y.atspi.EditableText", "SetTextContents",
					 g_variant_new("(s)", text), "(b)");

	expect_done(reply, "write into", name);
	accessible_free(thing);
}

#define VALUE "org.a11y.atspi.Value"
#define PROPERTIES "org.freedesktop.DBus.Properties"

void application_set_value(struct application *application, const char *role, const char *name, double value)
{
	struct accessible *thing = application_find(application, role, name);
	g_autoptr(GVariant) reply = call(application, thing, PROPERTIES, "Set",
					 g_variant_new("(ssv)", VALUE, "CurrentValue", g_variant_new_double(value)), "()");

	g_assert_nonnull(reply);
	accessible_free(thing);
}

double application_get_value(struct application *application, const char *role, const char *name)
{
	struct accessible *thing = application_find(application, role, name);
	g_autoptr(GVariant) reply = call(application, thing, PROPERTIES, "Get",
					 g_variant_new("(ss)", VALUE, "CurrentValue"), "(v)");
	g_autoptr(GVariant) value = NULL;

	g_assert_nonnull(reply);
	g_variant_get(reply, "(v)", &value);
	accessible_free(thing);
	return g_variant_get_double(value);
}

void application_choose(struct application *application, const char *name, int item)
{
	struct accessible *thing = application_find(application, "combo box", name);
	g_autoptr(GVariant) reply = call(application, thing, "org.a11y.atspi.Selection", "SelectChild",
					 g_variant_new("(i)", item), "(b)");

	expect_done(reply, "choose from", name);
	accessible_free(thing);
}

char *application_get_text(struct application *application, const char *role, const char *name)
{
	struct accessible *thing = application_find(application, role, name);
	g_autoptr(GVariant) reply = call(application, thing, "org.a11y.atspi.Text", "GetText",
					 g_variant_new("(ii)", 0, -1), "(s)");
	char *text;

	g_assert_nonnull(reply);
	g_variant_get(reply, "(s)", &text);
	accessible_free(thing);
	return text;
}

/* Keys */

void application_focus(struct application *application)
{
	XRaiseWindow(application->desktop->display, application->window);
	desktop_focus(application->desktop, application->window);
}

void application_type(struct application *application, const char *text)
{
	Display *display = application->desktop->display;

	for (; *text; text++) {
		KeySym key = *text == '\n' ? XK_Return : (KeySym)(guchar)*text;

		/* What the key gives without Shift */
		if (XkbKeycodeToKeysym(display, XKeysymToKeycode(display, key), 0, 0) == key)
			desktop_tap(application->desktop, key);
		else
			desktop_combine(application->desktop, XK_Shift_L, key);
	}
}

struct focused {
	struct application *application;
	const char *role, *name;
};

static bool visit_focused(struct application *application, const struct accessible *thing, int depth, gpointer data)
{
	const struct focused *wanted = data;

	return depth > 1 && fits(application, thing, wanted->role, wanted->name) && has_state(application, thing, STATE_FOCUSED);
}

static bool is_focused(void *data)
{
	const struct accessible desktop = { (char *)REGISTRY, (char *)ROOT };
	const struct focused *wanted = data;
	struct accessible *thing = walk(wanted->application, &desktop, 0, visit_focused, data);

	accessible_free(thing);
	return thing != NULL;
}

void application_choose_source(struct application *application, const char *title)
{
	struct focused wanted = { application, "list item", title };

	application_expect(application, "list item", title);
	desktop_focus(application->desktop, desktop_find(application->desktop, "New Machine"));
	for (unsigned i = 0; !is_focused(&wanted); i++) {
		g_assert_cmpuint(i, <, 20);
		desktop_tap(application->desktop, i ? XK_Down : XK_Home);
		g_usleep(STEP);
	}
	desktop_tap(application->desktop, XK_Return);
}

void application_picture(struct application *application, const char *name)
{
	if (!g_getenv("GUI_TEST_PICTURES"))
		return;
	/* Nothing tells when a window has drawn itself. */
	g_usleep(G_USEC_PER_SEC / 3);
	desktop_picture(application->desktop, application->window, name);
}

void application_picture_of(struct application *application, const char *title, const char *name)
{
	if (!g_getenv("GUI_TEST_PICTURES"))
		return;
	g_usleep(G_USEC_PER_SEC / 3);
	desktop_picture(application->desktop, desktop_find(application->desktop, title), name);
}

static bool run_command(struct application *application, const char *first, va_list rest)
{
	g_autoptr(GPtrArray) arguments = g_ptr_array_new();
	GError *error = NULL;
	int status;

	g_ptr_array_add(arguments, (char *)g_getenv("ORIEL_PROGRAM"));
	for (const char *argument = first; argument; argument = va_arg(rest, const char *))
		g_ptr_array_add(arguments, (char *)argument);
	g_ptr_array_add(arguments, NULL);
	g_spawn_sync(application->folder, (char **)arguments->pdata, application->environment,
		     G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, &error);
	g_assert_no_error(error);
	return g_spawn_check_wait_status(status, NULL);
}

bool application_try_command(struct application *application, const char *first, ...)
{
	va_list rest;
	bool done;

	va_start(rest, first);
	done = run_command(application, first, rest);
	va_end(rest);
	return done;
}

void application_command(struct application *application, const char *first, ...)
{
	va_list rest;

	va_start(rest, first);
	g_assert_true(run_command(application, first, rest));
	va_end(rest);
}
