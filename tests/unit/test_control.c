/* The machine's D-Bus socket: a real client, the gdbus tool, and clients that mean harm. */
#include "fake_machine.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../vmm/control/control.h"
#include "../../vmm/usb/host_list.h"

#define OBJECT "/io/github/oriel/Machine"
#define INTERFACE "io.github.oriel.Machine"

struct fixture {
	struct fake_machine *machine;
	struct input_router router;
	struct input_sink sink;
	struct scanout scanout;
	struct control *control;
	GDBusConnection *client;
	char *folder, *path, *address;
	/* With vm->lock: */
	const char *state, *message;
	bool guest_reads, microphone, link;
	unsigned refreshes; /* of the screen */
	GString *calls;  /* ops called */
	GString *events; /* what the sink got */
	GError *failure; /* for the next op */
};

/* The machine behind the socket */

static bool note(struct fixture *f, GError **error, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool note(struct fixture *f, GError **error, const char *format, ...)
{
	va_list arguments;

	g_assert_false(g_mutex_trylock(&f->machine->vm.lock));
	va_start(arguments, format);
	g_string_append_vprintf(f->calls, format, arguments);
	va_end(arguments);
	if (!f->failure)
		return true;
	g_propagate_error(error, g_steal_pointer(&f->failure));
	return false;
}

static const char *fake_state(void *machine)
{
	return ((struct fixture *)machine)->state;
}

static const char *fake_message(void *machine)
{
	return ((struct fixture *)machine)->message;
}

static const char *fake_pty(void *machine)
{
	(void)machine;
	return "/dev/pts/7";
}

static void fake_refresh(void *machine)
{
	((struct fixture *)machine)->refreshes++;
}

#define SIMPLE(name) \
	static bool fake_##name(void *machine, GError **error) \
	{ \
		return note(machine, error, #name " "); \
	}
SIMPLE(pause)
SIMPLE(resume)
SIMPLE(reset)
SIMPLE(power_button)
SIMPLE(stop)
SIMPLE(raise)
SIMPLE(retry)
SIMPLE(fail)

static bool fake_insert(void *machine, int drive, const char *path, GError **error)
{
	return note(machine, error, "insert %d %s ", drive, path);
}

static bool fake_eject(void *machine, int drive, bool force, GError **error)
{
	return note(machine, error, "eject %d %d ", drive, force);
}

static bool fake_plug(void *machine, const char *path, bool read_only, GError **error)
{
	return note(machine, error, "plug %s %d ", path, read_only);
}

static bool fake_unplug(void *machine, const char *path, bool force, GError **error)
{
	return note(machine, error, "unplug %s %d ", path, force);
}

static bool fake_unplug_host(void *machine, uint8_t bus, uint8_t address, GError **error)
{
	return note(machine, error, "unplug-host %u.%u ", bus, address);
}

static void fake_statistics(void *machine, void (*add)(void *opaque, const char *name, uint64_t value), void *opaque)
{
	(void)machine;
	add(opaque, "exits.io", 12);
	add(opaque, "disk0.read.bytes", UINT64_MAX);
}

static void fake_discs(void *machine, void (*add)(void *opaque, int drive, const char *path), void *opaque)
{
	(void)machine;
	add(opaque, 1, "/tmp/a disc.iso");
	add(opaque, 3, "");
}

static bool fake_microphone(void *machine)
{
	return ((struct fixture *)machine)->microphone;
}

static bool fake_set_microphone(void *machine, bool allowed, GError **error)
{
	struct fixture *f = machine;

	f->microphone = allowed;
	return note(f, error, "microphone %d ", allowed);
}

static bool fake_link(void *machine)
{
	return ((struct fixture *)machine)->link;
}

static bool fake_set_link(void *machine, bool up, GError **error)
{
	struct fixture *f = machine;

	f->link = up;
	return note(f, error, "link %d ", up);
}

static void fake_forwards(void *machine, void (*add)(void *opaque, const char *forward), void *opaque)
{
	(void)machine;
	add(opaque, "tcp:2222-22");
}

struct later {
	control_done done;
	void *opaque;
	GError *error;
};

static void answer_later(void *data)
{
	struct later *later = data;

	later->done(later->opaque, later->error);
	g_clear_error(&later->error);
	g_free(later);
}

static void fake_forward(void *machine, const char *forward, bool add, control_done done, void *opaque)
{
	struct fixture *f = machine;
	struct later *later = g_new0(struct later, 1);

	*later = (struct later){ .done = done, .opaque = opaque };
	note(f, &later->error, "%s %s ", add ? "forward" : "unforward", forward);
	loop_call(&f->machine->vm.loop, answer_later, later);
}

static void fake_host_devices(void *machine, control_listed done, void *opaque)
{
	struct usb_host_entry entry = { 1, 4, 0x046D, 0xC077, (char *)"A mouse", true };
	g_autoptr(GPtrArray) entries = g_ptr_array_new();
	GError *error = NULL;

	g_ptr_array_add(entries, &entry);
	done(opaque, note(machine, &error, "host-devices ") ? entries : NULL, error);
	g_clear_error(&error);
}

static void fake_plug_host(void *machine, uint8_t bus, uint8_t address, control_done done, void *opaque)
{
	struct fixture *f = machine;
	struct later *later = g_new0(struct later, 1);

	*later = (struct later){ .done = done, .opaque = opaque };
	note(f, &later->error, "plug-host %u.%u ", bus, address);
	loop_call(&f->machine->vm.loop, answer_later, later);
}

static void fake_sticks(void *machine, void (*add)(void *opaque, const char *path), void *opaque)
{
	(void)machine;
	add(opaque, "/tmp/a stick.img");
}

static const struct control_ops ops = {
	fake_state, fake_message, fake_refresh, fake_pty, fake_pause, fake_resume, fake_reset, fake_power_button,
	fake_stop, fake_raise, fake_retry, fake_fail, fake_insert, fake_eject, fake_plug, fake_unplug,
	fake_host_devices, fake_plug_host, fake_unplug_host, fake_sticks, fake_statistics,
	fake_discs, fake_microphone, fake_set_microphone, fake_link, fake_set_link, fake_forwards, fake_forward,
};

static void sink_event(struct input_sink *sink, const struct input_event *event)
{
	struct fixture *f = (struct fixture *)((char *)sink - G_STRUCT_OFFSET(struct fixture, sink));

	if (event->type == EV_SYN)
		return;
	g_string_append_printf(f->events, "%u%c%d ", event->code, event->type == EV_KEY ? '=' : '+', event->value);
}

static bool sink_ready(struct input_sink *sink)
{
	return ((struct fixture *)((char *)sink - G_STRUCT_OFFSET(struct fixture, sink)))->guest_reads;
}

static GDBusConnection *connect_client(struct fixture *f)
{
	GError *error = NULL;
	GDBusConnection *client = g_dbus_connection_new_for_address_sync(f->address,
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, &error);

	g_assert_no_error(error);
	return client;
}

static struct control *new_control(struct fixture *f, GError **error)
{
	const struct control_options options = { &f->machine->vm, &f->router, &f->scanout, f->path, "My machine",
						 "/home/me/my machine", &ops, f };

	return control_new(&options, error);
}

static void set_picture(struct fixture *f, unsigned width, unsigned height)
{
	struct scanout_picture picture = { .width = width, .height = height, .stride = width * 4 };

	picture.memory = scanout_memory_new((size_t)width * height * 4);
	g_mutex_lock(&f->machine->vm.lock);
	scanout_set_picture(&f->scanout, &picture);
	g_mutex_unlock(&f->machine->vm.lock);
	scanout_memory_unref(picture.memory);
}

static void set_up(struct fixture *f, gconstpointer unused)
{
	GError *error = NULL;

	(void)unused;
	f->machine = fake_machine_new(2 << 20);
	f->folder = g_dir_make_tmp("oriel-control-XXXXXX", &error);
	g_assert_no_error(error);
	f->path = g_build_filename(f->folder, "oriel", "test.sock", NULL);
	f->address = g_strdup_printf("unix:path=%s", f->path);
	f->state = "running";
	f->message = "";
	f->guest_reads = true;
	f->calls = g_string_new(NULL);
	f->events = g_string_new(NULL);
	input_router_init(&f->router);
	f->sink = (struct input_sink){ .name = "test", .kinds = INPUT_KEYBOARD | INPUT_MOUSE, .active = true,
				       .event = sink_event, .ready = sink_ready };
	input_router_add(&f->router, &f->sink);
	scanout_init(&f->scanout);
	f->control = new_control(f, &error);
	g_assert_no_error(error);
	loop_start(&f->machine->vm.loop);
	f->client = connect_client(f);
}

static void tear_down(struct fixture *f, gconstpointer unused)
{
	g_autofree char *parent = g_path_get_dirname(f->path);

	(void)unused;
	g_clear_object(&f->client);
	loop_stop(&f->machine->vm.loop);
	if (f->control)
		control_free(f->control);
	g_assert_false(g_file_test(f->path, G_FILE_TEST_EXISTS));
	input_router_remove(&f->router, &f->sink);
	input_router_finish(&f->router);
	scanout_finish(&f->scanout);
	g_assert_null(f->failure);
	g_string_free(f->calls, TRUE);
	g_string_free(f->events, TRUE);
	fake_machine_free(f->machine);
	g_assert_cmpint(g_rmdir(parent), ==, 0);
	g_assert_cmpint(g_rmdir(f->folder), ==, 0);
	g_free(f->folder);
	g_free(f->path);
	g_free(f->address);
}

static GVariant *call(struct fixture *f, const char *interface, const char *method, GVariant *parameters,
		      GError **error)
{
	return g_dbus_connection_call_sync(f->client, NULL, OBJECT, interface, method, parameters, NULL,
					   G_DBUS_CALL_FLAGS_NONE, 10000, NULL, error);
}

static void expect_call(struct fixture *f, const char *method, GVariant *parameters, const char *calls)
{
	GError *error = NULL;
	g_autoptr(GVariant) reply = call(f, INTERFACE, method, parameters, &error);

	g_assert_no_error(error);
	g_assert_cmpstr(g_variant_get_type_string(reply), ==, "()");
	g_assert_cmpstr(f->calls->str, ==, calls);
	g_string_truncate(f->calls, 0);
}

static void expect_error(struct fixture *f, const char *method, GVariant *parameters, const char *name,
			 const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = call(f, INTERFACE, method, parameters, &error);
	g_autofree char *actual = error ? g_dbus_error_get_remote_error(error) : NULL;

	g_assert_null(reply);
	g_assert_cmpstr(actual, ==, name);
	g_assert_nonnull(strstr(error->message, text));
}

static void test_methods(struct fixture *f, gconstpointer unused)
{
	GError *error = NULL;
	g_autoptr(GVariant) reply = NULL;

	(void)unused;
	expect_call(f, "Pause", NULL, "pause ");
	expect_call(f, "Resume", NULL, "resume ");
	expect_call(f, "Reset", NULL, "reset ");
	expect_call(f, "PowerButton", NULL, "power_button ");
	expect_call(f, "Stop", NULL, "stop ");
	expect_call(f, "Raise", NULL, "raise ");
	expect_call(f, "Retry", NULL, "retry ");
	expect_call(f, "Fail", NULL, "fail ");
	expect_call(f, "InsertDisc", g_variant_new("(is)", -1, "/tmp/a disc.iso"), "insert -1 /tmp/a disc.iso ");
	expect_call(f, "PlugHostDevice", g_variant_new("(yy)", 1, 4), "plug-host 1.4 ");
	expect_call(f, "UnplugHostDevice", g_variant_new("(yy)", 255, 0), "unplug-host 255.0 ");
	expect_call(f, "PlugStick", g_variant_new("(sb)", "/tmp/a stick.img", TRUE), "plug /tmp/a stick.img 1 ");
	expect_call(f, "UnplugStick", g_variant_new("(sb)", "/tmp/a stick.img", FALSE), "unplug /tmp/a stick.img 0 ");
	expect_call(f, "EjectDisc", g_variant_new("(ib)", 2, TRUE), "eject 2 1 ");
	expect_call(f, "SetMicrophone", g_variant_new("(b)", TRUE), "microphone 1 ");
	expect_call(f, "SetLink", g_variant_new("(b)", FALSE), "link 0 ");
	expect_call(f, "AddForward", g_variant_new("(s)", "tcp:80-80"), "forward tcp:80-80 ");
	expect_call(f, "RemoveForward", g_variant_new("(s)", "tcp:80-80"), "unforward tcp:80-80 ");
	reply = call(f, INTERFACE, "Statistics", NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(g_variant_get_type_string(reply), ==, "(a{st})");
	g_assert_cmpuint(g_variant_n_children(reply), ==, 1);
	{
		g_autofree char *text = g_variant_print(reply, FALSE);

		g_assert_cmpstr(text, ==, "({'exits.io': 12, 'disk0.read.bytes': 18446744073709551615},)");
	}
}

static void test_errors(struct fixture *f, gconstpointer unused)
{
	static const struct {
		GIOErrorEnum code;
		const char *name;
	} known[] = {
		{ G_IO_ERROR_NOT_FOUND, "io.github.oriel.Error.NotFound" },
		{ G_IO_ERROR_INVALID_ARGUMENT, "io.github.oriel.Error.InvalidArgument" },
		{ G_IO_ERROR_BUSY, "io.github.oriel.Error.Busy" },
		{ G_IO_ERROR_NOT_SUPPORTED, "io.github.oriel.Error.NotSupported" },
		{ G_IO_ERROR_NO_SPACE, "io.github.oriel.Error.Failed" },
	};

	(void)unused;
	for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
		f->failure = g_error_new(G_IO_ERROR, known[i].code, "the tray is stuck");
		expect_error(f, "EjectDisc", g_variant_new("(ib)", -1, FALSE), known[i].name, "the tray is stuck");
	}
	f->failure = g_error_new(G_FILE_ERROR, G_FILE_ERROR_NOENT, "no such disc");
	expect_error(f, "InsertDisc", g_variant_new("(is)", 0, "/none"), known[0].name, "no such disc");
	f->failure = g_error_new(G_IO_ERROR, G_IO_ERROR_BUSY, "the port is taken");
	expect_error(f, "AddForward", g_variant_new("(s)", "tcp:80-80"), known[2].name, "the port is taken");
	f->failure = g_error_new(G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "no adapter");
	expect_error(f, "SetLink", g_variant_new("(b)", TRUE), known[3].name, "no adapter");
	g_string_truncate(f->calls, 0);
	expect_error(f, "InsertDisc", g_variant_new("(is)", 0, "disc.iso"), known[1].name, "absolute");
	expect_error(f, "PlugStick", g_variant_new("(sb)", "stick.img", FALSE), known[1].name, "absolute");
	expect_error(f, "UnplugStick", g_variant_new("(sb)", "stick.img", FALSE), known[1].name, "absolute");
	expect_error(f, "Screenshot", g_variant_new("(s)", "shot.png"), known[1].name, "absolute");
	expect_error(f, "TypeText", g_variant_new("(s)", "na\303\257ve"), known[1].name, "U+00EF");
	expect_error(f, "SendEvents", g_variant_new_parsed("([(17, 0, 1)],)"),
		     "org.freedesktop.DBus.Error.InvalidArgs", "");
	expect_error(f, "SendEvents", g_variant_new_parsed("([(@q 17, @q 0, 1)],)"), known[1].name, "EV_KEY");
	{
		const char *const keys[] = { "ctrl+nosuch", NULL };

		expect_error(f, "SendKeys", g_variant_new("(^as)", keys), known[1].name, "nosuch");
	}
	g_assert_cmpstr(f->calls->str, ==, "");
	g_assert_cmpstr(f->events->str, ==, "");
}

static void test_properties(struct fixture *f, gconstpointer unused)
{
	GError *error = NULL;
	g_autoptr(GVariant) all = NULL, one = NULL, xml = NULL;
	g_autofree char *text = NULL, *expected = NULL;

	(void)unused;
	set_picture(f, 720, 400);
	f->link = true;
	input_router_set_leds(&f->router, INPUT_LED_NUM);
	all = call(f, "org.freedesktop.DBus.Properties", "GetAll", g_variant_new("(s)", INTERFACE), &error);
	g_assert_no_error(error);
	text = g_variant_print(all, FALSE);
	expected = g_strdup_printf("({'State': <'running'>, 'Message': <''>, 'Name': <'My machine'>, "
				   "'Folder': <'/home/me/my machine'>, 'ProcessId': <uint32 %u>, "
				   "'Width': <uint32 720>, 'Height': <uint32 400>, 'Leds': <uint32 2>, "
				   "'SerialPty': <'/dev/pts/7'>, 'Discs': <{1: '/tmp/a disc.iso', 3: ''}>, "
				   "'Microphone': <false>, 'Link': <true>, 'Forwards': <['tcp:2222-22']>, "
				   "'Sticks': <['/tmp/a stick.img']>},)",
				   (unsigned)getpid());
	g_assert_cmpstr(text, ==, expected);
	one = call(f, "org.freedesktop.DBus.Properties", "Get", g_variant_new("(ss)", INTERFACE, "Height"), &error);
	g_assert_no_error(error);
	g_assert_null(call(f, "org.freedesktop.DBus.Properties", "Set",
			   g_variant_new("(ssv)", INTERFACE, "Height", g_variant_new_uint32(1)), NULL));
	g_assert_null(call(f, "org.freedesktop.DBus.Properties", "Get", g_variant_new("(ss)", INTERFACE, "Nose"),
			   NULL));
	xml = call(f, "org.freedesktop.DBus.Introspectable", "Introspect", NULL, &error);
	g_assert_no_error(error);
	g_clear_pointer(&text, g_free);
	text = g_variant_print(xml, FALSE);
	g_assert_nonnull(strstr(text, "PowerButton"));
	g_assert_nonnull(strstr(text, "ModeChanged"));
}

struct listener {
	GDBusConnection *connection;
	GString *heard;
	guint subscription;
};

static void hear(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
		 const char *name, GVariant *parameters, gpointer data)
{
	g_autofree char *text = g_variant_print(parameters, FALSE);

	(void)connection;
	(void)sender;
	(void)interface;
	g_assert_cmpstr(path, ==, OBJECT);
	g_string_append_printf(data, "%s%s\n", name, text);
}

static void listen_to(struct listener *listener, GDBusConnection *connection)
{
	listener->connection = connection;
	listener->heard = g_string_new(NULL);
	listener->subscription = g_dbus_connection_signal_subscribe(connection, NULL, NULL, NULL, OBJECT, NULL,
		G_DBUS_SIGNAL_FLAGS_NONE, hear, listener->heard, NULL);
}

static void expect_heard(struct listener *listener, const char *text)
{
	while (strlen(listener->heard->str) < strlen(text))
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpstr(listener->heard->str, ==, text);
	g_string_truncate(listener->heard, 0);
}

static void stop_listening(struct listener *listener)
{
	g_dbus_connection_signal_unsubscribe(listener->connection, listener->subscription);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_string_free(listener->heard, TRUE);
}

#define CHANGED "PropertiesChanged('io.github.oriel.Machine', "

static void test_signals(struct fixture *f, gconstpointer unused)
{
	g_autoptr(GDBusConnection) other = connect_client(f);
	struct listener first, second;

	(void)unused;
	listen_to(&first, f->client);
	listen_to(&second, other);
	/* A call answered means that the connection is being served. */
	expect_call(f, "Pause", NULL, "pause ");
	g_variant_unref(g_dbus_connection_call_sync(other, NULL, OBJECT, INTERFACE, "Pause", NULL, NULL,
						    G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL));
	g_mutex_lock(&f->machine->vm.lock);
	f->state = "trouble";
	f->message = "The disk is full";
	control_state_changed(f->control);
	control_error(f->control, "careful");
	control_progress(f->control, "saving", 7);
	control_disc_changed(f->control, 1, "/a.iso");
	control_forwards_changed(f->control);
	control_sticks_changed(f->control);
	input_router_set_leds(&f->router, 4);
	control_leds_changed(f->control);
	g_mutex_unlock(&f->machine->vm.lock);
	set_picture(f, 640, 480);
	set_picture(f, 640, 480);
	for (unsigned i = 0; i < 2; i++)
		expect_heard(i ? &second : &first,
			     CHANGED "{'State': <'trouble'>, 'Message': <'The disk is full'>}, [])\n"
			     "StateChanged('trouble', 'The disk is full')\n"
			     "Error('careful',)\n"
			     "Progress('saving', 1.0)\n"
			     "DiscChanged(1, '/a.iso')\n"
			     CHANGED "{'Forwards': <['tcp:2222-22']>}, [])\n"
			     CHANGED "{'Sticks': <['/tmp/a stick.img']>}, [])\n"
			     CHANGED "{'Leds': <uint32 4>}, [])\n"
			     CHANGED "{'Width': <uint32 640>, 'Height': <uint32 480>}, [])\n"
			     "ModeChanged(640, 480)\n");
	g_string_truncate(f->calls, 0);
	expect_call(f, "SetLink", g_variant_new("(b)", TRUE), "link 1 ");
	expect_call(f, "SetMicrophone", g_variant_new("(b)", TRUE), "microphone 1 ");
	expect_heard(&first, CHANGED "{'Link': <true>}, [])\n" CHANGED "{'Microphone': <true>}, [])\n");
	stop_listening(&second);
	/* One client's end is nothing to the other. */
	g_dbus_connection_close_sync(other, NULL, NULL);
	g_mutex_lock(&f->machine->vm.lock);
	control_error(f->control, "again");
	g_mutex_unlock(&f->machine->vm.lock);
	expect_heard(&first, "Error('again',)\n");
	stop_listening(&first);
}

/* Calls that take guest time: the test is the clock. */

struct pending {
	bool done;
	GError *error;
};

static void call_done(GObject *object, GAsyncResult *result, gpointer data)
{
	struct pending *pending = data;
	g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(object), result,
								  &pending->error);

	pending->done = true;
}

static void start_call(struct fixture *f, const char *method, GVariant *parameters, struct pending *pending)
{
	*pending = (struct pending){ .done = false };
	g_dbus_connection_call(f->client, NULL, OBJECT, INTERFACE, method, parameters, NULL, G_DBUS_CALL_FLAGS_NONE,
			       10000, NULL, call_done, pending);
}

static void advance(struct fixture *f, uint64_t milliseconds)
{
	g_mutex_lock(&f->machine->vm.lock);
	clock_advance(&f->machine->vm.clock, milliseconds * 1000000);
	g_mutex_unlock(&f->machine->vm.lock);
	g_main_context_iteration(NULL, FALSE);
	g_thread_yield();
}

static void wait_for(struct fixture *f, struct pending *pending)
{
	while (!pending->done)
		advance(f, 1);
}

static void expect_events(struct fixture *f, const char *text)
{
	g_mutex_lock(&f->machine->vm.lock);
	g_assert_cmpstr(f->events->str, ==, text);
	g_string_truncate(f->events, 0);
	g_mutex_unlock(&f->machine->vm.lock);
}

static void test_typing(struct fixture *f, gconstpointer unused)
{
	const char *const keys[] = { "ctrl+alt+delete", "f12", NULL };
	struct pending text, combinations, empty;

	(void)unused;
	start_call(f, "TypeText", g_variant_new("(s)", "aB\n"), &text);
	start_call(f, "SendKeys", g_variant_new("(^as)", keys), &combinations);
	start_call(f, "TypeText", g_variant_new("(s)", ""), &empty);
	wait_for(f, &text);
	g_assert_no_error(text.error);
	wait_for(f, &combinations);
	g_assert_no_error(combinations.error);
	wait_for(f, &empty);
	g_assert_no_error(empty.error);
	expect_events(f, "30=1 30=0 42=1 48=1 48=0 42=0 28=1 28=0 "
			 "29=1 56=1 111=1 111=0 56=0 29=0 88=1 88=0 ");
}

static void wait_for_events(struct fixture *f, gsize length)
{
	gsize now;

	do {
		advance(f, 1);
		g_mutex_lock(&f->machine->vm.lock);
		now = f->events->len;
		g_mutex_unlock(&f->machine->vm.lock);
	} while (now < length);
}

/* The next key waits until the guest has read the one before, which goes up meanwhile, so that it does not repeat. */
static void test_typing_to_slow_guest(struct fixture *f, gconstpointer unused)
{
	struct pending text;

	(void)unused;
	start_call(f, "TypeText", g_variant_new("(s)", "ab"), &text);
	wait_for_events(f, strlen("30=1 "));
	g_mutex_lock(&f->machine->vm.lock);
	f->guest_reads = false;
	g_mutex_unlock(&f->machine->vm.lock);
	for (unsigned i = 0; i < 90; i++)
		advance(f, 100);
	g_assert_false(text.done);
	expect_events(f, "30=1 30=0 ");
	g_mutex_lock(&f->machine->vm.lock);
	f->guest_reads = true;
	g_mutex_unlock(&f->machine->vm.lock);
	wait_for(f, &text);
	g_assert_no_error(text.error);
	expect_events(f, "48=1 48=0 ");
}

static void test_typing_to_deaf_guest(struct fixture *f, gconstpointer unused)
{
	struct pending text, next;
	g_autofree char *name = NULL;

	(void)unused;
	f->guest_reads = false;
	start_call(f, "TypeText", g_variant_new("(s)", "ab"), &text);
	start_call(f, "TypeText", g_variant_new("(s)", "cd"), &next);
	wait_for(f, &text);
	wait_for(f, &next);
	name = g_dbus_error_get_remote_error(text.error);
	g_assert_cmpstr(name, ==, "io.github.oriel.Error.TimedOut");
	g_assert_nonnull(next.error);
	g_clear_error(&text.error);
	g_clear_error(&next.error);
	expect_events(f, "");
	f->state = "paused";
	expect_error(f, "TypeText", g_variant_new("(s)", "x"), "io.github.oriel.Error.Busy", "does not read keys");
}

/* Typing that the machine's end cuts short is answered, and so is the call that ended it. */
static void test_end(struct fixture *f, gconstpointer unused)
{
	struct pending text, stop;

	(void)unused;
	start_call(f, "TypeText", g_variant_new("(s)", "abc"), &text);
	wait_for_events(f, strlen("30=1 "));
	start_call(f, "Stop", NULL, &stop);
	for (bool stopped = false; !stopped;) {
		g_main_context_iteration(NULL, FALSE);
		g_mutex_lock(&f->machine->vm.lock);
		stopped = f->calls->len;
		g_mutex_unlock(&f->machine->vm.lock);
	}
	loop_stop(&f->machine->vm.loop);
	control_free(f->control);
	f->control = NULL;
	while (!text.done || !stop.done)
		g_main_context_iteration(NULL, TRUE);
	g_assert_no_error(stop.error);
	g_assert_nonnull(text.error);
	g_assert_nonnull(strstr(text.error->message, "stopped"));
	g_clear_error(&text.error);
	expect_events(f, "30=1 30=0 ");
}

static void test_send_events(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	expect_call(f, "SendEvents",
		    g_variant_new_parsed("([(@q 2, @q 0, 5), (2, 1, -6), (0, 0, 0), (1, 272, 1)],)"), "");
	expect_events(f, "0+5 1+-6 272=1 ");
	expect_call(f, "SendEvents", g_variant_new_parsed("(@a(qqi) [],)"), "");
	input_router_release_all(&f->router);
}

static void test_screenshot(struct fixture *f, gconstpointer unused)
{
	g_autofree char *file = g_build_filename(f->folder, "shot.png", NULL);
	g_autofree char *nowhere = g_build_filename(f->folder, "no", "shot.png", NULL);
	g_autofree char *contents = NULL;
	GError *error = NULL;

	(void)unused;
	set_picture(f, 64, 48);
	expect_call(f, "Screenshot", g_variant_new("(s)", file), "");
	g_file_get_contents(file, &contents, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpint(memcmp(contents, "\211PNG\r\n\032\n", 8), ==, 0);
	g_unlink(file);
	expect_error(f, "Screenshot", g_variant_new("(s)", nowhere), "io.github.oriel.Error.NotFound", nowhere);
}

/* How often the screen has been read for a thumbnail; pixels: whether the answer had any. */
static unsigned ask_thumbnail(struct fixture *f, guint32 side, guint64 known, guint64 *digest, bool *pixels)
{
	g_autoptr(GVariant) reply = call(f, INTERFACE, "Thumbnail", g_variant_new("(uut)", side, side, known), NULL);
	g_autoptr(GVariant) bytes = NULL;
	unsigned refreshes;

	g_assert_nonnull(reply);
	g_variant_get(reply, "(tuu@ay)", digest, NULL, NULL, &bytes);
	*pixels = g_variant_n_children(bytes) > 0;
	g_mutex_lock(&f->machine->vm.lock);
	refreshes = f->refreshes;
	g_mutex_unlock(&f->machine->vm.lock);
	return refreshes;
}

/* Somebody who looks at a screen that does not change costs the machine nothing. */
static void test_thumbnail_unchanged(struct fixture *f, gconstpointer unused)
{
	guint64 digest, other;
	bool pixels;

	(void)unused;
	set_picture(f, 64, 48);
	g_assert_false(scanout_watched(&f->scanout));
	g_assert_cmpuint(ask_thumbnail(f, 32, 0, &digest, &pixels), ==, 1);
	g_assert_true(pixels);
	for (unsigned i = 2; i <= 4; i++) {
		g_assert_false(scanout_watched(&f->scanout));
		g_assert_cmpuint(ask_thumbnail(f, 32, digest, &other, &pixels), ==, i);
		g_assert_false(pixels);
		g_assert_cmpuint(other, ==, digest);
	}
	/* Now it is taken for a screen that stands still; what happened in between is seen once more. */
	g_assert_true(scanout_watched(&f->scanout));
	for (unsigned i = 0; i < 5; i++) {
		g_assert_cmpuint(ask_thumbnail(f, 32, digest, &other, &pixels), ==, 5);
		g_assert_false(pixels);
		g_assert_cmpuint(other, ==, digest);
	}
	/* Another size, and one who has none yet */
	g_assert_cmpuint(ask_thumbnail(f, 16, digest, &other, &pixels), ==, 6);
	g_assert_true(pixels);
	g_assert_cmpuint(ask_thumbnail(f, 16, 0, &other, &pixels), ==, 7);
	g_assert_true(pixels);
	g_assert_cmpuint(ask_thumbnail(f, 16, other, &digest, &pixels), ==, 7);
	/* It moves: nobody follows it any more. */
	set_picture(f, 32, 32);
	g_assert_cmpuint(ask_thumbnail(f, 16, other, &digest, &pixels), ==, 8);
	g_assert_true(pixels);
	g_assert_false(scanout_watched(&f->scanout));
	g_assert_cmpuint(ask_thumbnail(f, 16, digest, &other, &pixels), ==, 9);
	g_assert_false(pixels);
}

static void test_thumbnail(struct fixture *f, gconstpointer unused)
{
	g_autoptr(GVariant) first = NULL, second = NULL, pixels = NULL, none = NULL;
	guint32 width, height;
	guint64 digest, same;

	(void)unused;
	set_picture(f, 64, 48);
	first = call(f, INTERFACE, "Thumbnail", g_variant_new("(uut)", 32, 32, (guint64)0), NULL);
	g_variant_get(first, "(tuu@ay)", &digest, &width, &height, &pixels);
	g_assert_cmpuint(width, ==, 32);
	g_assert_cmpuint(height, ==, 24);
	g_assert_cmpuint(g_variant_n_children(pixels), ==, 32 * 24 * 3);
	/* Whoever has it does not get it again. */
	second = call(f, INTERFACE, "Thumbnail", g_variant_new("(uut)", 32, 32, digest), NULL);
	g_variant_get(second, "(tuu@ay)", &same, NULL, NULL, &none);
	g_assert_cmpuint(same, ==, digest);
	g_assert_cmpuint(g_variant_n_children(none), ==, 0);
	expect_error(f, "Thumbnail", g_variant_new("(uut)", 0, 32, (guint64)0), "io.github.oriel.Error.InvalidArgument",
		     "1024");
	expect_error(f, "Thumbnail", g_variant_new("(uut)", 32, 1025, (guint64)0),
		     "io.github.oriel.Error.InvalidArgument", "1024");
}

/* Clients that mean harm */

static int connect_raw(struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	g_strlcpy(address.sun_path, f->path, sizeof address.sun_path);
	g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	return fd;
}

static void test_malformed(struct fixture *f, gconstpointer unused)
{
	static const char *const garbage[] = {
		"", "GET / HTTP/1.0\r\n\r\n", "\0", "\0AUTH EXTERNAL 39393939\r\n", "\0AUTH ANONYMOUS\r\nBEGIN\r\n",
		"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\nl\1\0\1\377\377\377\377\1\0\0\0\377\377\377\377garbage",
		"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\nthis is no message at all, but long enough for a header",
	};
	static const gsize sizes[] = { 0, 18, 1, 25, 25, 51, 84 };
	int silent = connect_raw(f);

	(void)unused;
	/* GDBus itself warns of some of this. */
	g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
	for (guint i = 0; i < G_N_ELEMENTS(garbage); i++) {
		int fd = connect_raw(f);

		g_assert_cmpint(send(fd, garbage[i], sizes[i], MSG_NOSIGNAL), ==, (int)sizes[i]);
		shutdown(fd, SHUT_WR);
		for (char buffer[256]; recv(fd, buffer, sizeof buffer, 0) > 0;)
			;
		close(fd);
	}
	expect_call(f, "Pause", NULL, "pause ");
	close(silent);
	g_assert_null(call(f, INTERFACE, "Pause", g_variant_new("(s)", "surplus"), NULL));
	g_assert_null(call(f, INTERFACE, "TypeText", g_variant_new("(i)", 5), NULL));
	g_assert_null(call(f, INTERFACE, "Explode", NULL, NULL));
	g_assert_null(call(f, "io.github.Nothing", "Pause", NULL, NULL));
	g_assert_null(g_dbus_connection_call_sync(f->client, NULL, "/elsewhere", INTERFACE, "Pause", NULL, NULL,
						  G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL));
	expect_call(f, "Resume", NULL, "resume ");
}

static gboolean only_anonymous(GDBusAuthObserver *observer, const char *mechanism, gpointer data)
{
	(void)observer;
	(void)data;
	return strcmp(mechanism, "ANONYMOUS") == 0;
}

static void test_anonymous_refused(struct fixture *f, gconstpointer unused)
{
	g_autoptr(GDBusAuthObserver) observer = g_dbus_auth_observer_new();
	g_autoptr(GError) error = NULL;

	(void)unused;
	g_signal_connect(observer, "allow-mechanism", G_CALLBACK(only_anonymous), NULL);
	g_assert_null(g_dbus_connection_new_for_address_sync(
		f->address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, observer, NULL, &error));
	g_assert_nonnull(error);
	expect_call(f, "Pause", NULL, "pause ");
}

/* The socket itself */

static void test_socket(struct fixture *f, gconstpointer unused)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	g_autofree char *parent = g_path_get_dirname(f->path);
	g_autoptr(GError) error = NULL;
	struct stat status;
	int fd;

	(void)unused;
	g_assert_cmpint(stat(parent, &status), ==, 0);
	g_assert_cmphex(status.st_mode & 0777, ==, 0700);
	/* Somebody is there: refused, and it goes on being served. */
	g_assert_null(new_control(f, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE);
	g_assert_nonnull(strstr(error->message, "already running"));
	g_clear_error(&error);
	expect_call(f, "Pause", NULL, "pause ");

	g_clear_object(&f->client);
	loop_stop(&f->machine->vm.loop);
	control_free(f->control);
	/* A dead process's socket is replaced, whoever may read the folder loses that. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_strlcpy(address.sun_path, f->path, sizeof address.sun_path);
	g_assert_cmpint(bind(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
	close(fd);
	g_assert_cmpint(chmod(parent, 0755), ==, 0);
	f->control = new_control(f, &error);
	g_assert_no_error(error);
	g_assert_cmpint(stat(parent, &status), ==, 0);
	g_assert_cmphex(status.st_mode & 0777, ==, 0700);
	loop_start(&f->machine->vm.loop);
	f->client = connect_client(f);
	expect_call(f, "Pause", NULL, "pause ");
}

static void test_socket_in_the_way(struct fixture *f, gconstpointer unused)
{
	g_autofree char *path = f->path;
	g_autofree char *file = g_strconcat(f->path, ".conf", NULL);
	g_autofree char *deep = g_strdup_printf("%s/%0200d", f->folder, 0);
	g_autoptr(GError) error = NULL;

	(void)unused;
	g_assert_true(g_file_set_contents(file, "precious", -1, NULL));
	f->path = file;
	g_assert_null(new_control(f, &error));
	g_assert_nonnull(strstr(error->message, "in the way"));
	g_assert_true(g_file_test(file, G_FILE_TEST_IS_REGULAR));
	g_clear_error(&error);
	f->path = deep;
	g_assert_null(new_control(f, &error));
	g_assert_nonnull(error);
	g_unlink(file);
	f->path = g_steal_pointer(&path);
}

/* The gdbus tool can drive all of it. */

static char *gdbus(struct fixture *f, const char *first, ...)
{
	g_autoptr(GPtrArray) arguments = g_ptr_array_new();
	char *output = NULL, *errors = NULL;
	GError *error = NULL;
	int status;
	va_list rest;

	g_ptr_array_add(arguments, (char *)"gdbus");
	g_ptr_array_add(arguments, (char *)first);
	g_ptr_array_add(arguments, (char *)"--address");
	g_ptr_array_add(arguments, f->address);
	g_ptr_array_add(arguments, (char *)"--dest");
	g_ptr_array_add(arguments, (char *)INTERFACE);
	g_ptr_array_add(arguments, (char *)"--object-path");
	g_ptr_array_add(arguments, (char *)OBJECT);
	va_start(rest, first);
	for (char *argument; (argument = va_arg(rest, char *));)
		g_ptr_array_add(arguments, argument);
	va_end(rest);
	g_ptr_array_add(arguments, NULL);
	g_spawn_sync(NULL, (char **)arguments->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, &errors,
		     &status, &error);
	g_assert_no_error(error);
	if (!g_spawn_check_wait_status(status, NULL)) {
		g_free(output);
		return errors;
	}
	g_free(errors);
	return output;
}

static void expect_gdbus(struct fixture *f, const char *method, const char *argument, const char *second,
			 const char *calls)
{
	g_autofree char *name = g_strconcat(INTERFACE ".", method, NULL);
	g_autofree char *output = gdbus(f, "call", "--method", name, argument, second, NULL);

	g_assert_cmpstr(output, ==, "()\n");
	g_assert_cmpstr(f->calls->str, ==, calls);
	g_string_truncate(f->calls, 0);
}

static gpointer run_clock(gpointer data)
{
	struct fixture *f = data;
	bool on;

	do {
		g_mutex_lock(&f->machine->vm.lock);
		clock_advance(&f->machine->vm.clock, 1000000);
		on = f->message[0] == 0;
		g_mutex_unlock(&f->machine->vm.lock);
		g_usleep(200);
	} while (on);
	return NULL;
}

static void test_gdbus_tool(struct fixture *f, gconstpointer unused)
{
	g_autofree char *file = g_build_filename(f->folder, "shot.png", NULL);
	g_autofree char *introspection = gdbus(f, "introspect", NULL);
	g_autofree char *statistics = NULL, *state = NULL, *error = NULL, *first = NULL;
	GThread *clock;

	(void)unused;
	g_assert_nonnull(strstr(introspection, "TypeText(in  s text)"));
	expect_gdbus(f, "Pause", NULL, NULL, "pause ");
	expect_gdbus(f, "Resume", NULL, NULL, "resume ");
	expect_gdbus(f, "Reset", NULL, NULL, "reset ");
	expect_gdbus(f, "PowerButton", NULL, NULL, "power_button ");
	expect_gdbus(f, "Stop", NULL, NULL, "stop ");
	expect_gdbus(f, "Retry", NULL, NULL, "retry ");
	expect_gdbus(f, "Fail", NULL, NULL, "fail ");
	expect_gdbus(f, "InsertDisc", "1", "/tmp/x.iso", "insert 1 /tmp/x.iso ");
	expect_gdbus(f, "EjectDisc", "1", "false", "eject 1 0 ");
	/* A negative drive, as the manual has it */
	first = gdbus(f, "call", "--method", INTERFACE ".InsertDisc", "--", "-1", "/tmp/x.iso", NULL);
	g_assert_cmpstr(first, ==, "()\n");
	g_assert_cmpstr(f->calls->str, ==, "insert -1 /tmp/x.iso ");
	g_string_truncate(f->calls, 0);
	expect_gdbus(f, "SendEvents", "[(2, 0, 5)]", NULL, "");
	set_picture(f, 16, 16);
	expect_gdbus(f, "Screenshot", file, NULL, "");
	g_assert_cmpint(g_unlink(file), ==, 0);
	clock = g_thread_new("clock", run_clock, f);
	expect_gdbus(f, "SendKeys", "['ctrl+a', 'b']", NULL, "");
	expect_gdbus(f, "TypeText", "'x'", NULL, "");
	g_mutex_lock(&f->machine->vm.lock);
	f->message = "enough";
	g_mutex_unlock(&f->machine->vm.lock);
	g_thread_join(clock);
	expect_events(f, "0+5 29=1 30=1 30=0 29=0 48=1 48=0 45=1 45=0 ");
	statistics = gdbus(f, "call", "--method", INTERFACE ".Statistics", NULL);
	g_assert_nonnull(strstr(statistics, "'exits.io': uint64 12"));
	state = gdbus(f, "call", "--method", "org.freedesktop.DBus.Properties.Get", INTERFACE, "State", NULL);
	g_assert_cmpstr(state, ==, "(<'running'>,)\n");
	f->failure = g_error_new(G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "There is no CD drive 5");
	error = gdbus(f, "call", "--method", INTERFACE ".EjectDisc", "5", "true", NULL);
	g_assert_nonnull(strstr(error, "io.github.oriel.Error.NotFound: There is no CD drive 5"));
}

#define ADD(name, function) g_test_add("/control/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("methods", test_methods);
	ADD("errors", test_errors);
	ADD("properties", test_properties);
	ADD("signals", test_signals);
	ADD("typing", test_typing);
	ADD("typing-to-slow-guest", test_typing_to_slow_guest);
	ADD("typing-to-deaf-guest", test_typing_to_deaf_guest);
	ADD("end", test_end);
	ADD("send-events", test_send_events);
	ADD("screenshot", test_screenshot);
	ADD("thumbnail", test_thumbnail);
	ADD("thumbnail-unchanged", test_thumbnail_unchanged);
	ADD("malformed", test_malformed);
	ADD("anonymous-refused", test_anonymous_refused);
	ADD("socket", test_socket);
	ADD("socket-in-the-way", test_socket_in_the_way);
	ADD("gdbus-tool", test_gdbus_tool);
	return g_test_run();
}
