/*
 * The manager among the other things of a desktop: windows of machines, the user's colours, files dragged from elsewhere,
 * and what is remembered from one start to the next.
 */
#include "application.h"

#include <X11/keysym.h>
#include <glib/gstdio.h>
#include <string.h>

#include "../guest/harness.h"

#define TILE "list item"
#define BUTTON "push button"
#define LABEL "label"
#define CHART "chart"

/* Windows */

static bool machine_window_gone(void *data)
{
	return !desktop_has(((struct application *)data)->desktop, "Test disc");
}

static Window start_test_disc(struct application *app)
{
	Window machine;

	application_press(app, BUTTON, "Try the Test Disc");
	application_expect(app, TILE, "Test disc, Running");
	machine = desktop_find(app->desktop, "Test disc");
	g_assert_cmpuint(machine, !=, 0);
	return machine;
}

static void stop_test_disc(struct application *app)
{
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, "Test disc, Switched off");
}

static void test_raise(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	Window machine;

	application_start(app, NULL);
	machine = start_test_disc(app);
	application_focus(app);
	desktop_expect_active(app->desktop, app->window);
	desktop_tap(app->desktop, XK_Return);
	desktop_expect_active(app->desktop, machine);
	/* "Keep running without a window" is the third way to close it. */
	desktop_combine(app->desktop, XK_Control_R, XK_q);
	desktop_tap(app->desktop, XK_Down);
	desktop_tap(app->desktop, XK_Down);
	desktop_tap(app->desktop, XK_Return);
	g_assert_true(desktop_wait(machine_window_gone, app));
	application_expect(app, TILE, "Test disc, Running");
	application_focus(app);
	desktop_expect_active(app->desktop, app->window);
	desktop_combine(app->desktop, XK_Control_L, XK_w);
	g_assert_cmpuint(desktop_find(app->desktop, "Test disc"), !=, 0);
	stop_test_disc(app);
	application_quit(app);
	application_free(app);
}

struct size {
	struct application *app;
	int width, height;
};

static bool has_size(void *data)
{
	struct size *size = data;
	int width, height;

	desktop_size(size->app->desktop, size->app->window, &width, &height);
	return width == size->width && height == size->height;
}

static void test_remembered(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *path = g_build_filename(app->folder, "config", "oriel", "window.conf", NULL);
	struct size size = { app, 0, 0 };

	application_command(app, "create", "One", "--disk", "1M", "--system", "debian12", NULL);
	application_start(app, NULL);
	application_expect(app, TILE, "One, Switched off");
	application_expect(app, "table", "Machines");
	application_focus(app);
	desktop_combine(app->desktop, XK_Control_L, XK_2);
	application_expect(app, "list box", "Machines");
	desktop_resize(app->desktop, app->window, 1111, 777);
	size.width = 1111;
	size.height = 777;
	g_assert_true(desktop_wait(has_size, &size));
	application_picture(app, "manager-resized");
	application_quit(app);
	g_assert_true(g_file_test(path, G_FILE_TEST_EXISTS));
	application_start(app, NULL);
	application_expect(app, "list box", "Machines");
	g_assert_true(desktop_wait(has_size, &size));
	/* Nobody's garbage keeps it from starting. */
	application_quit(app);
	g_assert_true(g_file_set_contents(path, "[window\nwidth=-5\n\xff", -1, NULL));
	application_start(app, NULL);
	application_expect(app, "table", "Machines");
	application_quit(app);
	application_free(app);
}

/* Figures */

static void test_figures(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);

	application_start(app, NULL);
	start_test_disc(app);
	application_expect_description(app, CHART, "Processor", "Processor: Guest * %, Devices * %, Host kernel * %");
	application_expect_description(app, CHART, "Memory", "Memory: Guest *MiB, Overhead *MiB");
	application_expect_description(app, CHART, "Disk", "Disk: Read */s, Written */s");
	application_expect_description(app, CHART, "Network", "Network: Received */s, Sent */s");
	application_focus(app);
	application_picture(app, "manager-figures");
	stop_test_disc(app);
	application_wait_gone(app, CHART, "Processor");
	application_expect(app, LABEL, "1 CPU, 256 MiB");
	application_quit(app);
	application_free(app);
}

/* Drops */

static void drag_to(struct application *app, Window from, Window to)
{
	int from_x, from_y, to_x, to_y;

	desktop_place(app->desktop, from, &from_x, &from_y);
	desktop_place(app->desktop, to, &to_x, &to_y);
	desktop_pointer(app->desktop, from, 100, 100);
	desktop_button(app->desktop, 1, true);
	/* In steps, of which each is answered by the window below: so the protocol has it, and so hands move. */
	for (int i = 0; i < 20; i++) {
		desktop_move_by(app->desktop, (to_x + 300 - from_x - 100) / 20, (to_y + 300 - from_y - 100) / 20);
		g_usleep(30000);
	}
	g_usleep(300000);
	desktop_button(app->desktop, 1, false);
}

static bool arrived(struct application *app)
{
	for (unsigned i = 0; i < 20; i++) {
		if (application_has(app, LABEL, "Oriel test disc"))
			return true;
		g_usleep(G_USEC_PER_SEC / 4);
	}
	return false;
}

static void test_drop(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *disc = g_canonicalize_filename("data/testdisc/testdisc.iso", NULL);
	g_autoptr(GSubprocess) source = NULL;
	Window window;

	application_start(app, NULL);
	application_expect(app, LABEL, "Make your first machine");
	desktop_move(app->desktop, app->window, 500, 200);
	source = g_subprocess_new(G_SUBPROCESS_FLAGS_NONE, NULL, g_getenv("DRAG_SOURCE"), disc, NULL);
	g_assert_nonnull(source);
	window = desktop_find(app->desktop, "Drag source");
	g_assert_cmpuint(window, !=, 0);
	desktop_move(app->desktop, window, 20, 20);
	/* On a busy host the hand may have been too fast for one of the two. */
	for (unsigned i = 0; i < 4; i++) {
		drag_to(app, window, app->window);
		if (arrived(app))
			break;
	}
	application_expect(app, LABEL, "Oriel test disc");
	application_picture(app, "manager-dropped");
	application_press(app, BUTTON, "Cancel");
	application_expect(app, LABEL, "Make your first machine");
	g_subprocess_force_exit(source);
	g_subprocess_wait(source, NULL, NULL);
	application_quit(app);
	application_free(app);
}

/* Colours: the desktop's portal, played by this program */

#define SETTINGS "org.freedesktop.portal.Settings"
#define SCHEME_DARK 1
#define SCHEME_LIGHT 2

struct portal {
	GThread *thread;
	GMainContext *context;
	GMainLoop *loop;
	GDBusConnection *connection;
	GMutex lock;
	GCond ready;
	bool is_ready;
};

static GVariant *scheme_value(guint32 scheme)
{
	return g_variant_new_variant(g_variant_new_uint32(scheme));
}

static void portal_called(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
			  const char *method, GVariant *parameters, GDBusMethodInvocation *invocation, gpointer unused)
{
	(void)connection;
	(void)sender;
	(void)path;
	(void)interface;
	(void)method;
	(void)parameters;
	(void)unused;
	/* The method Read wraps the value twice. */
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(v)", scheme_value(SCHEME_DARK)));
}

static gpointer serve_portal(gpointer data)
{
	static const char xml[] = "<node><interface name='" SETTINGS "'><method name='Read'>"
				  "<arg type='s' direction='in'/><arg type='s' direction='in'/>"
				  "<arg type='v' direction='out'/></method>"
				  "<signal name='SettingChanged'><arg type='s'/><arg type='s'/><arg type='v'/></signal>"
				  "</interface></node>";
	static const GDBusInterfaceVTable table = { .method_call = portal_called };
	g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(xml, NULL);
	g_autoptr(GVariant) reply = NULL;
	struct portal *portal = data;
	GError *error = NULL;

	g_main_context_push_thread_default(portal->context);
	portal->connection = g_dbus_connection_new_for_address_sync(g_getenv("DBUS_SESSION_BUS_ADDRESS"),
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL,
		NULL, &error);
	g_assert_no_error(error);
	g_dbus_connection_register_object(portal->connection, "/org/freedesktop/portal/desktop", node->interfaces[0],
					  &table, NULL, NULL, &error);
	g_assert_no_error(error);
	reply = g_dbus_connection_call_sync(portal->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
					    "org.freedesktop.DBus", "RequestName",
					    g_variant_new("(su)", "org.freedesktop.portal.Desktop", 4), NULL,
					    G_DBUS_CALL_FLAGS_NONE, -1, NULL, &error);
	g_assert_no_error(error);
	g_mutex_lock(&portal->lock);
	portal->is_ready = true;
	g_cond_signal(&portal->ready);
	g_mutex_unlock(&portal->lock);
	g_main_loop_run(portal->loop);
	g_dbus_connection_close_sync(portal->connection, NULL, NULL);
	g_object_unref(portal->connection);
	g_main_context_pop_thread_default(portal->context);
	return NULL;
}

static void start_portal(struct portal *portal)
{
	*portal = (struct portal){ .context = g_main_context_new() };
	g_mutex_init(&portal->lock);
	g_cond_init(&portal->ready);
	portal->loop = g_main_loop_new(portal->context, FALSE);
	portal->thread = g_thread_new("portal", serve_portal, portal);
	g_mutex_lock(&portal->lock);
	while (!portal->is_ready)
		g_cond_wait(&portal->ready, &portal->lock);
	g_mutex_unlock(&portal->lock);
}

static void stop_portal(struct portal *portal)
{
	g_main_loop_quit(portal->loop);
	g_thread_join(portal->thread);
	g_main_loop_unref(portal->loop);
	g_main_context_unref(portal->context);
	g_mutex_clear(&portal->lock);
	g_cond_clear(&portal->ready);
}

/* Of the empty page, beside its texts */
static unsigned brightness(struct application *app)
{
	uint32_t pixel = desktop_pixel(app->desktop, app->window, 60, 300);

	return (pixel >> 16 & 0xff) + (pixel >> 8 & 0xff) + (pixel & 0xff);
}

static bool is_dark(void *app)
{
	return brightness(app) < 3 * 0x50;
}

static bool is_light(void *app)
{
	return brightness(app) > 3 * 0xc0 && brightness(app) <= 3 * 0xff;
}

static void test_dark(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	struct portal portal;

	start_portal(&portal);
	/* A theme by name in the environment would not be asked for its dark variant. */
	application_start(app, "GTK_THEME", "", NULL);
	application_expect(app, LABEL, "Make your first machine");
	g_assert_true(desktop_wait(is_dark, app));
	application_picture(app, "manager-dark-empty");
	start_test_disc(app);
	application_focus(app);
	application_expect_description(app, CHART, "Memory", "Memory: Guest *MiB, Overhead *MiB");
	application_picture(app, "manager-dark");
	stop_test_disc(app);
	/* The user changes his mind while it runs. */
	g_dbus_connection_emit_signal(portal.connection, NULL, "/org/freedesktop/portal/desktop", SETTINGS,
				      "SettingChanged", g_variant_new("(ss@v)", "org.freedesktop.appearance",
				      "color-scheme", scheme_value(SCHEME_LIGHT)), NULL);
	g_assert_true(desktop_wait(is_light, app));
	application_quit(app);
	stop_portal(&portal);
	application_free(app);
}

/* Languages */

static void test_german(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	Window machine;

	application_start(app, "LANGUAGE", "de", NULL);
	application_expect(app, LABEL, "Legen Sie Ihre erste Maschine an");
	application_picture(app, "manager-german-empty");
	application_press(app, BUTTON, "Neu …");
	application_expect(app, LABEL, "Wovon soll die Maschine starten?");
	application_picture(app, "wizard-german-source");
	application_press(app, BUTTON, "Abbrechen");
	application_press(app, BUTTON, "Test-CD ausprobieren");
	application_expect(app, TILE, "Test-CD, Läuft");
	machine = desktop_find(app->desktop, "Test-CD — Strg rechts+M öffnet das Menü");
	g_assert_cmpuint(machine, !=, 0);
	desktop_focus(app->desktop, machine);
	desktop_combine(app->desktop, XK_Control_R, XK_m);
	application_picture_of(app, "Test-CD —", "window-german-menu");
	desktop_tap(app->desktop, XK_Escape);
	desktop_combine(app->desktop, XK_Control_R, XK_p);
	g_assert_cmpuint(desktop_find(app->desktop, "Test-CD (angehalten)"), !=, 0);
	application_picture_of(app, "Test-CD (angehalten)", "window-german-paused");
	desktop_combine(app->desktop, XK_Control_R, XK_p);
	application_expect(app, TILE, "Test-CD, Läuft");
	application_focus(app);
	application_expect_description(app, CHART, "Prozessor", "Prozessor: Gast * %, Geräte * %, Kernel des Wirts * %");
	application_picture(app, "manager-german");
	application_press(app, BUTTON, "Sofort ausschalten");
	application_expect(app, TILE, "Test-CD, Ausgeschaltet");
	application_focus(app);
	desktop_combine(app->desktop, XK_Control_L, XK_comma);
	application_select(app, TILE, "Aktivität");
	application_expect_description(app, CHART, "Netzwerk", "Netzwerk: Empfangen, Gesendet");
	application_picture(app, "settings-german");
	desktop_close(app->desktop, desktop_find(app->desktop, "Einstellungen von"));
	application_wait_gone(app, TILE, "Aktivität");
	application_press(app, "toggle button", "Maschinenmenü");
	application_picture(app, "manager-german-menu");
	application_press(app, BUTTON, "Löschen …");
	application_expect(app, LABEL, "„Test-CD“ löschen?");
	application_press(app, BUTTON, "Abbrechen");
	application_wait_gone(app, LABEL, "„Test-CD“ löschen?");
	application_quit(app);
	application_free(app);
}

int main(int argc, char **argv)
{
	static const struct session_case cases[] = {
		{ "/manager-desktop/raise", test_raise },
		{ "/manager-desktop/remembered", test_remembered },
		{ "/manager-desktop/figures", test_figures },
		{ "/manager-desktop/drop", test_drop },
		{ "/manager-desktop/dark", test_dark },
		{ "/manager-desktop/german", test_german },
		{ NULL, NULL },
	};

	return session_run(argc, argv, cases);
}
