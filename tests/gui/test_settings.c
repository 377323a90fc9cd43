/*
 * The settings of a machine as their users meet them: values of a machine that is switched off, disks, a running machine
 * that is told what it can take, what is refused, others who change the same file, and the keyboard alone.
 */
#include "application.h"

#include <X11/keysym.h>
#include <glib/gstdio.h>
#include <string.h>

#include "../fake_usb.h"
#include "../guest/harness.h"

#define TILE "list item"
#define PAGE "list item"
#define BUTTON "push button"
#define SWITCH "toggle button"
#define LABEL "label"
#define ENTRY "text"
#define TITLE "Settings of"

static char *config_path(struct application *app, const char *id)
{
	return g_build_filename(app->machines, id, "machine.conf", NULL);
}

static void write_machine(struct application *app, const char *id, const char *text)
{
	g_autofree char *path = config_path(app, id);
	g_autofree char *folder = g_path_get_dirname(path);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* NULL: there is no such key. Free with g_free(). */
static char *read_value(struct application *app, const char *id, const char *group, const char *key)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *path = config_path(app, id);

	g_assert_true(g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL));
	return g_key_file_get_string(file, group, key, NULL);
}

struct expected {
	struct application *app;
	const char *id, *group, *key, *value;
};

static bool has_value(void *data)
{
	const struct expected *expected = data;
	g_autofree char *value = read_value(expected->app, expected->id, expected->group, expected->key);

	return g_strcmp0(value, expected->value) == 0;
}

static void expect_value(struct application *app, const char *id, const char *group, const char *key, const char *value)
{
	struct expected expected = { app, id, group, key, value };
	g_autofree char *actual = NULL;

	desktop_wait(has_value, &expected);
	actual = read_value(app, id, group, key);
	g_assert_cmpstr(actual, ==, value);
}

static void open_settings(struct application *app, const char *tile)
{
	application_expect(app, TILE, tile);
	application_select(app, TILE, tile);
	application_focus(app);
	desktop_combine(app->desktop, XK_Control_L, XK_comma);
	application_expect(app, PAGE, "General");
}

static void close_settings(struct application *app)
{
	Window window = desktop_find(app->desktop, TITLE);

	g_assert_cmpuint(window, !=, 0);
	desktop_close(app->desktop, window);
	application_wait_gone(app, PAGE, "General");
}

static void show_page(struct application *app, const char *title, const char *picture)
{
	application_select(app, PAGE, title);
	application_picture_of(app, TITLE, picture);
}

static const char alpha[] = "# mine\n[machine]\nname=Alpha\ncolour=blue\n[cd1]\n[future]\nkey=1\n";

static void test_values(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *colour = NULL, *future = NULL;

	write_machine(app, "alpha", alpha);
	application_start(app, NULL);
	open_settings(app, "Alpha,*");
	application_set_text(app, ENTRY, "Notes", "two\nlines");
	application_set_text(app, ENTRY, "Name", "Beta");
	application_choose(app, "Boot from", 1);
	application_press(app, SWITCH, "Boot menu");
	expect_value(app, "alpha", "machine", "notes", "two\nlines");
	expect_value(app, "alpha", "machine", "name", "Beta");
	expect_value(app, "alpha", "machine", "boot", "cd");
	expect_value(app, "alpha", "machine", "boot-menu", "true");
	application_expect(app, TILE, "Beta, Switched off");
	application_picture_of(app, TITLE, "settings-general");
	show_page(app, "Processor and Memory", "settings-processor");
	application_set_value(app, "slider", "Memory", 512);
	application_set_value(app, "slider", "Processors", 1);
	expect_value(app, "alpha", "machine", "memory", "512");
	expect_value(app, "alpha", "machine", "cpus", "1");
	application_set_value(app, "slider", "Memory", 1e9);
	application_expect(app, LABEL, "This computer has *too little is left*");
	application_picture_of(app, TITLE, "settings-processor-warning");
	show_page(app, "Display", "settings-display");
	application_choose(app, "Preferred mode", 12);
	expect_value(app, "alpha", "display", "width", "3840");
	expect_value(app, "alpha", "display", "height", "2160");
	show_page(app, "Sound", "settings-sound");
	application_press(app, SWITCH, "Microphone");
	expect_value(app, "alpha", "sound", "microphone", "true");
	application_choose(app, "Device", 1);
	expect_value(app, "alpha", "sound", "device", "none");
	colour = read_value(app, "alpha", "machine", "colour");
	future = read_value(app, "alpha", "future", "key");
	g_assert_cmpstr(colour, ==, "blue");
	g_assert_cmpstr(future, ==, "1");
	show_page(app, "Activity", "settings-activity");
	/* What was entered last is not lost. */
	application_select(app, PAGE, "General");
	application_set_text(app, ENTRY, "Notes", "the last word");
	application_quit(app);
	expect_value(app, "alpha", "machine", "notes", "the last word");
	application_free(app);
}

static void add_forward(struct application *app, const char *host, const char *guest)
{
	application_set_text(app, ENTRY, "Port of this computer", host);
	application_set_text(app, ENTRY, "Port of the guest", guest);
	application_press(app, BUTTON, "Add port forward");
}

static void test_network(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *mac = NULL, *made = NULL;

	write_machine(app, "alpha", alpha);
	application_start(app, NULL);
	open_settings(app, "Alpha,*");
	application_select(app, PAGE, "Network");
	application_set_text(app, ENTRY, "Hardware address", "52:54:00:12:34:56");
	expect_value(app, "alpha", "network", "mac", "52:54:00:12:34:56");
	application_set_text(app, ENTRY, "Hardware address", "nonsense");
	application_expect(app, LABEL, "This is not the address of a network adapter*");
	mac = read_value(app, "alpha", "network", "mac");
	g_assert_cmpstr(mac, ==, "52:54:00:12:34:56");
	application_picture_of(app, TITLE, "settings-network-refused");
	application_press(app, BUTTON, "New hardware address");
	application_wait_gone(app, LABEL, "This is not the address of a network adapter*");
	made = application_get_text(app, ENTRY, "Hardware address");
	g_assert_true(g_str_has_prefix(made, "52:54:00:"));
	g_assert_cmpstr(made, !=, mac);
	expect_value(app, "alpha", "network", "mac", made);
	add_forward(app, "70000", "22");
	application_expect(app, LABEL, "A port is a number*");
	add_forward(app, "2222", "22");
	expect_value(app, "alpha", "network", "forward", "tcp:2222-22");
	application_choose(app, "Protocol", 1);
	application_set_text(app, ENTRY, "Address of this computer", "not an address");
	add_forward(app, "53", "53");
	application_expect(app, LABEL, "Addresses are numbers*");
	application_set_text(app, ENTRY, "Address of this computer", "::1");
	application_set_text(app, ENTRY, "Address of the guest", "fec0::15");
	application_press(app, BUTTON, "Add port forward");
	expect_value(app, "alpha", "network", "forward", "tcp:2222-22; udp:[::1]:53-[fec0::15]:53");
	application_picture_of(app, TITLE, "settings-network");
	application_press(app, BUTTON, "Remove: TCP port 2222*");
	expect_value(app, "alpha", "network", "forward", "udp:[::1]:53-[fec0::15]:53");
	application_press(app, SWITCH, "Cable plugged in");
	expect_value(app, "alpha", "network", "link", "false");
	close_settings(app);
	application_quit(app);
	application_free(app);
}

static guint64 virtual_size(const char *path)
{
	const char *const command[] = { "qemu-img", "info", "--output=json", path, NULL };
	g_autofree char *output = NULL;
	const char *size;

	if (!g_spawn_sync(NULL, (char **)command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, NULL, NULL, NULL) ||
	    !(size = strstr(output, "\"virtual-size\": ")))
		return 0;
	return g_ascii_strtoull(size + strlen("\"virtual-size\": "), NULL, 10);
}

struct sized {
	const char *path;
	guint64 size;
};

static bool has_size(void *data)
{
	const struct sized *sized = data;

	return virtual_size(sized->path) == sized->size;
}

static void expect_size(const char *path, guint64 size)
{
	struct sized sized = { path, size };

	g_assert_true(desktop_wait(has_size, &sized));
}

static void test_disks(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *disk = g_build_filename(app->machines, "alpha", "disk.qcow2", NULL);

	write_machine(app, "alpha", alpha);
	application_start(app, NULL);
	open_settings(app, "Alpha,*");
	application_select(app, PAGE, "Disks");
	application_press(app, BUTTON, "New Disk…");
	application_expect(app, ENTRY, "File name");
	application_set_value(app, "spin button", "Size of the disk in GiB", 3);
	application_picture_of(app, "New Disk", "settings-new-disk");
	application_set_text(app, ENTRY, "File name", "disk.vmdk");
	application_press(app, BUTTON, "Create");
	application_expect(app, LABEL, "The name ends in*");
	application_set_text(app, ENTRY, "File name", "disk.qcow2");
	application_press(app, BUTTON, "Create");
	expect_value(app, "alpha", "disk0", "path", "disk.qcow2");
	expect_size(disk, 3ull << 30);
	application_expect(app, LABEL, "3.0*GiB, of which it takes*");
	application_press(app, BUTTON, "Resize disk.qcow2");
	application_set_value(app, "spin button", "New size in GiB", 4.5);
	application_picture_of(app, "Size of disk", "settings-resize");
	application_press(app, BUTTON, "Resize");
	expect_size(disk, 9ull << 29);
	application_expect(app, LABEL, "4.5*GiB, of which it takes*");
	/* Less only with consent. */
	application_press(app, BUTTON, "Resize disk.qcow2");
	application_set_value(app, "spin button", "New size in GiB", 2);
	application_expect(app, "check box", "Cut off what lies behind the new end: it is lost");
	application_picture_of(app, "Size of disk", "settings-shrink");
	application_press(app, "check box", "Cut off what lies behind the new end: it is lost");
	application_press(app, BUTTON, "Resize");
	expect_size(disk, 2ull << 30);
	application_expect(app, LABEL, "2.0*GiB, of which it takes*");
	application_press(app, BUTTON, "Compact disk.qcow2");
	application_wait_gone(app, "progress bar", "Work on disk.qcow2");
	application_press(app, "toggle button", "Options");
	application_choose(app, "Connection", 1);
	expect_value(app, "alpha", "disk0", "bus", "nvme");
	application_choose(app, "Cache", 1);
	expect_value(app, "alpha", "disk0", "cache", "none");
	application_choose(app, "Errors of this computer", 1);
	expect_value(app, "alpha", "disk0", "errors", "report");
	application_press(app, SWITCH, "Solid state disk");
	expect_value(app, "alpha", "disk0", "ssd", "false");
	application_picture_of(app, TITLE, "settings-disks");
	application_press(app, BUTTON, "Detach disk.qcow2");
	expect_value(app, "alpha", "disk0", "path", NULL);
	application_expect(app, LABEL, "The disk was detached. Its file stays*");
	g_assert_true(g_file_test(disk, G_FILE_TEST_EXISTS));
	close_settings(app);
	application_quit(app);
	application_free(app);
}

/* What others write is shown, and never overwritten by what was entered before. */
static void test_others(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *name = NULL;

	write_machine(app, "alpha", alpha);
	application_start(app, NULL);
	open_settings(app, "Alpha,*");
	application_select(app, PAGE, "Network");
	application_set_text(app, ENTRY, "Hardware address", "nonsense");
	application_expect(app, LABEL, "This is not the address of a network adapter*");
	write_machine(app, "alpha", "[machine]\nname=Gamma\n[network]\nmac=02:00:00:00:00:07\n");
	application_expect(app, LABEL, "“Hardware address” has been changed by somebody else, to “02:00:00:00:00:07”*");
	application_picture_of(app, TITLE, "settings-conflict");
	expect_value(app, "alpha", "network", "mac", "02:00:00:00:00:07");
	application_select(app, PAGE, "General");
	name = application_get_text(app, ENTRY, "Name");
	g_assert_cmpstr(name, ==, "Gamma");
	write_machine(app, "alpha", "[machine]\nname=Gamma\ncpus=many\n");
	application_expect(app, LABEL, "*machine.conf, line 3*");
	application_picture_of(app, TITLE, "settings-damaged");
	write_machine(app, "alpha", "[machine]\nname=Delta\n");
	application_expect(app, TILE, "Delta, Switched off");
	application_wait_gone(app, LABEL, "*machine.conf, line 3*");
	/* Deleted elsewhere: the dialog goes too. */
	application_command(app, "delete", "alpha", "--permanently", NULL);
	application_wait_gone(app, PAGE, "General");
	application_quit(app);
	application_free(app);
}

/* --- While it runs --- */

struct property {
	struct application *app;
	const char *id, *name, *value;
};

/* As text; NULL: it does not answer. */
static char *read_property(const struct property *property)
{
	g_autofree char *address = g_strdup_printf("unix:path=%s/run/oriel/%s.sock", property->app->folder, property->id);
	g_autoptr(GDBusConnection) machine = g_dbus_connection_new_for_address_sync(address,
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, NULL);
	g_autoptr(GVariant) reply = NULL, value = NULL;

	if (machine)
		reply = g_dbus_connection_call_sync(machine, NULL, "/io/github/oriel/Machine",
						    "org.freedesktop.DBus.Properties", "Get",
						    g_variant_new("(ss)", "io.github.oriel.Machine", property->name),
						    G_VARIANT_TYPE("(v)"), G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
	if (!reply)
		return NULL;
	g_variant_get(reply, "(v)", &value);
	return g_variant_print(value, FALSE);
}

static bool has_property(void *data)
{
	const struct property *property = data;
	g_autofree char *text = read_property(property);

	return g_strcmp0(text, property->value) == 0;
}

static void expect_property(struct application *app, const char *id, const char *name, const char *value)
{
	struct property property = { app, id, name, value };
	g_autofree char *actual = NULL;

	desktop_wait(has_property, &property);
	actual = read_property(&property);
	g_assert_cmpstr(actual, ==, value);
}

/* As other programs note what they have opened. */
static void note_recent(struct application *app, const char *path)
{
	g_autofree char *list = g_build_filename(app->folder, "data", "recently-used.xbel", NULL);
	g_autofree char *uri = g_filename_to_uri(path, NULL, NULL);
	GBookmarkFile *file = g_bookmark_file_new();

	g_bookmark_file_set_mime_type(file, uri, "application/x-cd-image");
	g_bookmark_file_add_application(file, uri, "Other", "other %u");
	g_assert_true(g_bookmark_file_to_file(file, list, NULL));
	g_bookmark_file_free(file);
}

static void test_running(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *disc = g_canonicalize_filename("data/testdisc/testdisc.iso", NULL);
	g_autofree char *discs = g_strdup_printf("{1: '%s'}", disc);
	g_autofree char *shown = g_strdup_printf("*%s", "testdisc.iso");
	g_autofree char *text = g_strdup_printf("[machine]\nname=Alpha\n[cd1]\npath=%s\n[sound]\nbackend=null\n", disc);

	note_recent(app, disc);
	write_machine(app, "alpha", text);
	application_start(app, NULL);
	application_expect(app, TILE, "Alpha,*");
	application_command(app, "start", "alpha", "--headless", NULL);
	application_expect(app, TILE, "Alpha, Running*");
	open_settings(app, "Alpha,*");
	application_expect(app, LABEL, "The machine is running.*");
	expect_property(app, "alpha", "Discs", discs);
	application_select(app, PAGE, "CD Drives");
	application_expect(app, LABEL, shown);
	application_picture_of(app, TITLE, "settings-discs");
	application_press(app, BUTTON, "Eject drive 1");
	expect_property(app, "alpha", "Discs", "{1: ''}");
	expect_value(app, "alpha", "cd1", "path", NULL);
	application_expect(app, LABEL, "Empty");
	application_press(app, BUTTON, "Insert a disc into drive 1");
	g_assert_cmpuint(desktop_find(app->desktop, "Choose a Disc"), !=, 0);
	application_press(app, BUTTON, "Cancel");
	application_wait_gone(app, BUTTON, "Cancel");
	application_press(app, "toggle button", "Recent discs");
	application_picture_of(app, TITLE, "settings-recent");
	application_press(app, "menu item", "testdisc.iso");
	expect_property(app, "alpha", "Discs", discs);
	expect_value(app, "alpha", "cd1", "path", disc);
	application_expect(app, LABEL, shown);
	application_select(app, PAGE, "Network");
	application_press(app, SWITCH, "Cable plugged in");
	expect_property(app, "alpha", "Link", "false");
	expect_value(app, "alpha", "network", "link", "false");
	add_forward(app, "28222", "22");
	expect_property(app, "alpha", "Forwards", "['tcp:28222-22']");
	expect_value(app, "alpha", "network", "forward", "tcp:28222-22");
	application_press(app, BUTTON, "Remove: TCP port 28222*");
	expect_property(app, "alpha", "Forwards", "[]");
	expect_value(app, "alpha", "network", "forward", NULL);
	application_choose(app, "Device", 1);
	application_expect(app, LABEL, "After the next start");
	application_picture_of(app, TITLE, "settings-network-running");
	application_select(app, PAGE, "Sound");
	application_press(app, SWITCH, "Microphone");
	expect_property(app, "alpha", "Microphone", "true");
	application_select(app, PAGE, "Activity");
	application_picture_of(app, TITLE, "settings-activity-running");
	application_command(app, "stop", "alpha", NULL);
	application_expect(app, TILE, "Alpha, Switched off");
	application_select(app, PAGE, "Network");
	application_wait_gone(app, LABEL, "After the next start");
	close_settings(app);
	application_quit(app);
	application_free(app);
}

static char *make_image(struct application *app, const char *name)
{
	static const char sectors[4096] = "a stick";
	char *path = g_build_filename(app->folder, name, NULL);

	g_assert_true(g_file_set_contents(path, sectors, sizeof sectors, NULL));
	return path;
}

/* Sticks and devices of a computer that has two, before the machine runs and then. */
static void test_usb(gconstpointer session)
{
	static const char *const mouse[] = { "3\n", "7\n", "046d\n", "c077\n", "00\n", "Logitech\n", "Optical Mouse\n" };
	static const char *const disk[] = { "3\n", "12\n", "0951\n", "1666\n", "00\n", "Kingston\n", "DataTraveler\n" };
	struct application *app = application_new((struct session *)session);
	g_autofree char *sysfs = g_build_filename(app->folder, "sysfs", NULL);
	g_autofree char *first = make_image(app, "first.img"), *second = make_image(app, "second.img");
	g_autofree char *one = g_strdup_printf("['%s']", second), *two = g_strdup_printf("['%s', '%s']", first, second);
	g_autofree char *text = g_strdup_printf("[machine]\nname=Alpha\n[sound]\ndevice=none\n[usb]\ndevices=ffff:0001\n"
						"[stick0]\npath=%s\n[stick2]\npath=%s\n", first, second);

	fake_usb_device(sysfs, "3-1", mouse);
	fake_usb_device(sysfs, "3-2", disk);
	app->environment = g_environ_setenv(app->environment, "ORIEL_SYSFS", sysfs, TRUE);
	write_machine(app, "alpha", text);
	application_start(app, NULL);
	open_settings(app, "Alpha,*");
	application_select(app, PAGE, "USB");
	application_press(app, SWITCH, "Keyboard instead of the PS/2 one");
	expect_value(app, "alpha", "usb", "keyboard", "true");
	application_press(app, BUTTON, "Add a Stick…");
	g_assert_cmpuint(desktop_find(app->desktop, "Choose an Image"), !=, 0);
	application_press(app, BUTTON, "Cancel");
	application_wait_gone(app, BUTTON, "Cancel");
	application_press(app, "check box", "From the start: Kingston DataTraveler (0951:1666)");
	expect_value(app, "alpha", "usb", "devices", "ffff:0001; 0951:1666");
	application_press(app, "check box", "From the start: ffff:0001, which is not*");
	expect_value(app, "alpha", "usb", "devices", "0951:1666");
	application_wait_gone(app, LABEL, "ffff:0001*");
	application_picture_of(app, TITLE, "settings-usb");
	application_command(app, "start", "alpha", "--headless", NULL);
	application_expect(app, TILE, "Alpha, Running*");
	application_expect(app, LABEL, "Plugged in");
	expect_property(app, "alpha", "Sticks", two);
	application_press(app, BUTTON, "Remove: *first.img");
	expect_property(app, "alpha", "Sticks", one);
	expect_value(app, "alpha", "stick0", "path", NULL);
	/* It is only told of: nothing can be opened. */
	application_press(app, BUTTON, "Plug In: Logitech Optical Mouse");
	application_expect(app, LABEL, "*USB*host*");
	application_picture_of(app, TITLE, "settings-usb-running");
	application_command(app, "stop", "alpha", NULL);
	application_expect(app, TILE, "Alpha, Switched off");
	application_wait_gone(app, BUTTON, "Plug In: Logitech Optical Mouse");
	application_press(app, BUTTON, "Remove: *second.img");
	expect_value(app, "alpha", "stick2", "path", NULL);
	application_choose(app, "Controller", 1);
	expect_value(app, "alpha", "usb", "controller", "none");
	application_wait_gone(app, BUTTON, "Add a Stick…");
	close_settings(app);
	application_quit(app);
	application_free(app);
}

/* A port that somebody else has cannot be had. */
static void test_taken_port(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autoptr(GSocketService) service = g_socket_service_new();
	g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
	g_autoptr(GSocketAddress) any_port = g_inet_socket_address_new(loopback, 0), address = NULL;
	g_autofree char *port = NULL, *forward = NULL;

	g_assert_true(g_socket_listener_add_address(G_SOCKET_LISTENER(service), any_port, G_SOCKET_TYPE_STREAM,
						    G_SOCKET_PROTOCOL_TCP, NULL, &address, NULL));
	port = g_strdup_printf("%u", g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(address)));
	write_machine(app, "alpha", "[machine]\nname=Alpha\n[sound]\ndevice=none\n");
	application_start(app, NULL);
	application_expect(app, TILE, "Alpha,*");
	application_command(app, "start", "alpha", "--headless", NULL);
	application_expect(app, TILE, "Alpha, Running*");
	open_settings(app, "Alpha,*");
	application_select(app, PAGE, "Network");
	add_forward(app, port, "22");
	application_expect(app, LABEL, "Port * of the host cannot be forwarded*");
	forward = read_value(app, "alpha", "network", "forward");
	g_assert_null(forward);
	close_settings(app);
	application_command(app, "stop", "alpha", NULL);
	application_expect(app, TILE, "Alpha, Switched off");
	application_quit(app);
	application_free(app);
}

static void test_keyboard(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);

	write_machine(app, "alpha", "[machine]\nname=Alpha\nmemory=512\n");
	application_start(app, NULL);
	open_settings(app, "Alpha,*");
	g_assert_cmpuint(desktop_find(app->desktop, TITLE), !=, 0);
	desktop_expect_active(app->desktop, desktop_find(app->desktop, TITLE));
	desktop_combine(app->desktop, XK_Alt_L, XK_n);
	desktop_combine(app->desktop, XK_Control_L, XK_a);
	application_type(app, "omega\n");
	expect_value(app, "alpha", "machine", "name", "omega");
	/* Back to the list of pages, and down to the next. */
	desktop_combine(app->desktop, XK_Shift_L, XK_Tab);
	desktop_tap(app->desktop, XK_Down);
	application_expect(app, "slider", "Memory");
	desktop_combine(app->desktop, XK_Alt_L, XK_m);
	desktop_tap(app->desktop, XK_Right);
	desktop_tap(app->desktop, XK_Right);
	expect_value(app, "alpha", "machine", "memory", "640");
	desktop_tap(app->desktop, XK_Escape);
	application_wait_gone(app, PAGE, "General");
	application_expect(app, TILE, "omega, Switched off");
	application_quit(app);
	application_free(app);
}

int main(int argc, char **argv)
{
	static const struct session_case cases[] = {
		{ "/settings/values", test_values },
		{ "/settings/network", test_network },
		{ "/settings/disks", test_disks },
		{ "/settings/others", test_others },
		{ "/settings/running", test_running },
		{ "/settings/taken-port", test_taken_port },
{ "/settings/usb", test_usb },
		{ "/settings/keyboard", test_keyboard },
		{ NULL, NULL },
	};

	return session_run(argc, argv, cases);
}
