#include "control.h"

#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "../usb/host_list.h"
#include "clients.h"
#include "machine_interface.h"
#include "pictures.h"
#include "reply.h"
#include "socket.h"
#include "typing.h"

#define OBJECT_PATH "/io/github/oriel/Machine"
#define INTERFACE "io.github.oriel.Machine"

#define EVENTS_MAX 4096 /* of one SendEvents */

struct control {
	struct vm *vm;
	struct input_router *router;
	struct scanout *scanout;
	const struct control_ops *ops;
	void *machine;
	char *name, *folder, *socket_path;
	int fd;
	struct clients *clients;
	struct typing *typing;
	unsigned width, height; /* as last told */
	struct pictures *pictures;
};

static bool fail_argument(GError **error, const char *message)
{
	g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT, message);
	return false;
}

/* Methods that answer at once: false with an error. */

static bool do_pause(struct control *control, GVariant *parameters, GError **error)
{
	(void)parameters;
	return control->ops->pause(control->machine, error);
}

static bool do_resume(struct control *control, GVariant *parameters, GError **error)
{
	(void)parameters;
	return control->ops->resume(control->machine, error);
}

static bool do_reset(struct control *control, GVariant *parameters, GError **error)
{
	(void)parameters;
	return control->ops->reset(control->machine, error);
}

static bool do_power_button(struct control *control, GVariant *parameters, GError **error)
{
	(void)parameters;
	return control->ops->power_button(control->machine, error);
}

static bool do_raise(struct control *control, GVariant *parameters, GError **error)
{
	(void)parameters;
	return control->ops->raise(control->machine, error);
}

static bool do_stop(struct control *control, GVariant *parameters, GError **error)
{
	(void)parameters;
	return control->ops->stop(control->machine, error);
}

static bool do_retry(struct control *control, GVariant *parameters, GError **error)
{
	(void)parameters;
	return control->ops->retry(control->machine, error);
}

static bool do_fail(struct control *control, GVariant *parameters, GError **error)
{
	(void)parameters;
	return control->ops->fail(control->machine, error);
}

static bool do_insert_disc(struct control *control, GVariant *parameters, GError **error)
{
	const char *path;
	gint32 drive;

	g_variant_get(parameters, "(i&s)", &drive, &path);
	if (!g_path_is_absolute(path))
		return fail_argument(error, _("The path of the disc image must be absolute"));
	return control->ops->insert_disc(control->machine, drive, path, error);
}

static bool do_eject_disc(struct control *control, GVariant *parameters, GError **error)
{
	gboolean force;
	gint32 drive;

	g_variant_get(parameters, "(ib)", &drive, &force);
	return control->ops->eject_disc(control->machine, drive, force, error);
}

static void tell_properties(struct control *control, const char *const *names);

/* Sets what the property of that name says. */
static bool set_property(struct control *control, GVariant *parameters, const char *name,
			 bool (*set)(void *machine, bool value, GError **error), GError **error)
{
	const char *const names[] = { name, NULL };
	gboolean value;

	g_variant_get(parameters, "(b)", &value);
	if (!set(control->machine, value, error))
		return false;
	tell_properties(control, names);
	return true;
}

static bool do_set_microphone(struct control *control, GVariant *parameters, GError **error)
{
	return set_property(control, parameters, "Microphone", control->ops->set_microphone, error);
}

static bool do_set_link(struct control *control, GVariant *parameters, GError **error)
{
	return set_property(control, parameters, "Link", control->ops->set_link, error);
}

static bool get_stick(GVariant *parameters, const char **path, gboolean *flag, GError **error)
{
	g_variant_get(parameters, "(&sb)", path, flag);
	return g_path_is_absolute(*path) || fail_argument(error, _("The path of the disk image must be absolute"));
}

static bool do_plug_stick(struct control *control, GVariant *parameters, GError **error)
{
	gboolean read_only;
	const char *path;

	return get_stick(parameters, &path, &read_only, error) &&
	       control->ops->plug_stick(control->machine, path, read_only, error);
}

static bool do_unplug_stick(struct control *control, GVariant *parameters, GError **error)
{
	gboolean force;
	const char *path;

	return get_stick(parameters, &path, &force, error) &&
	       control->ops->unplug_stick(control->machine, path, force, error);
}

static bool do_unplug_host_device(struct control *control, GVariant *parameters, GError **error)
{
	guint8 bus, address;

	g_variant_get(parameters, "(yy)", &bus, &address);
	return control->ops->unplug_host_device(control->machine, bus, address, error);
}

static bool valid_event(const struct input_event *event)
{
	return event->type == EV_SYN || event->type == EV_KEY || event->type == EV_REL || event->type == EV_ABS;
}

static bool do_send_events(struct control *control, GVariant *parameters, GError **error)
{
	const struct input_event end = { EV_SYN, SYN_REPORT, 0 };
	g_autoptr(GVariantIter) list = NULL;
	g_autofree struct input_event *events = NULL;
	struct input_event event;
	unsigned count = 0;

	g_variant_get(parameters, "(a(qqi))", &list);
	if (g_variant_iter_n_children(list) > EVENTS_MAX)
		return fail_argument(error, _("More than 4096 events in one call"));
	events = g_new(struct input_event, g_variant_iter_n_children(list) + 1);
	while (g_variant_iter_next(list, "(qqi)", &event.type, &event.code, &event.value)) {
		if (!valid_event(&event))
			return fail_argument(error, _("Events are of type EV_SYN, EV_KEY, EV_REL or EV_ABS"));
		events[count++] = event;
	}
	input_router_send(control->router, events, count);
	input_router_send(control->router, &end, 1);
	return true;
}

/* Methods that answer later: they take the invocation. */

static void answer_done(void *opaque, const GError *error)
{
	control_reply(opaque, error);
}

/* Nobody reads keys while the guest stands still. */
static bool check_running(struct control *control, GError **error)
{
	if (strcmp(control->ops->state(control->machine), "running") == 0)
		return true;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY, _("The guest is not running, so it does not read keys"));
	return false;
}

static void start_send_keys(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	g_autofree const char **combinations = NULL;
	g_autoptr(GError) error = NULL;

	g_variant_get(parameters, "(^a&s)", &combinations);
	if (!check_running(control, &error) ||
	    !typing_send_keys(control->typing, combinations, answer_done, invocation, &error))
		control_reply(invocation, error);
}

static void start_type_text(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	g_autoptr(GError) error = NULL;
	const char *text;

	g_variant_get(parameters, "(&s)", &text);
	if (!check_running(control, &error) || !typing_send_text(control->typing, text, answer_done, invocation, &error))
		control_reply(invocation, error);
}

static void start_screenshot(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	pictures_screenshot(control->pictures, parameters, invocation);
}

static void start_thumbnail(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	pictures_thumbnail(control->pictures, parameters, invocation);
}

static void change_forward(struct control *control, GVariant *parameters, bool add, GDBusMethodInvocation *invocation)
{
	const char *text;

	g_variant_get(parameters, "(&s)", &text);
	control->ops->forward(control->machine, text, add, answer_done, invocation);
}

static void start_add_forward(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	change_forward(control, parameters, true, invocation);
}

static void start_remove_forward(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	change_forward(control, parameters, false, invocation);
}

static void answer_host_devices(void *invocation, const GPtrArray *entries, const GError *error)
{
	GVariantBuilder builder;

	if (!entries) {
		control_reply(invocation, error);
		return;
	}
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a(yyqqsb)"));
	for (guint i = 0; i < entries->len; i++) {
		const struct usb_host_entry *entry = entries->pdata[i];

		g_variant_builder_add(&builder, "(yyqqsb)", entry->bus, entry->address, entry->vendor, entry->product,
				      entry->name, entry->plugged);
	}
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(a(yyqqsb))", &builder));
}

static void start_host_devices(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	(void)parameters;
	control->ops->host_devices(control->machine, answer_host_devices, invocation);
}

static void start_plug_host_device(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	guint8 bus, address;

	g_variant_get(parameters, "(yy)", &bus, &address);
	control->ops->plug_host_device(control->machine, bus, address, answer_done, invocation);
}

static void add_counter(void *opaque, const char *name, uint64_t value)
{
	g_variant_builder_add(opaque, "{st}", name, value);
}

static void start_statistics(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation)
{
	GVariantBuilder builder;

	(void)parameters;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{st}"));
	control->ops->statistics(control->machine, add_counter, &builder);
	g_dbus_method_invocation_return_value(invocation, g_variant_new("(a{st})", &builder));
}

static const struct method {
	const char *name;
	bool (*call)(struct control *control, GVariant *parameters, GError **error);
	void (*start)(struct control *control, GVariant *parameters, GDBusMethodInvocation *invocation);
} methods[] = {
	{ "Pause", .call = do_pause },
	{ "Resume", .call = do_resume },
	{ "Reset", .call = do_reset },
	{ "PowerButton", .call = do_power_button },
	{ "Stop", .call = do_stop },
	{ "Raise", .call = do_raise },
	{ "Screenshot", .start = start_screenshot },
	{ "Thumbnail", .start = start_thumbnail },
	{ "InsertDisc", .call = do_insert_disc },
	{ "PlugStick", .call = do_plug_stick },
	{ "UnplugStick", .call = do_unplug_stick },
	{ "HostDevices", .start = start_host_devices },
	{ "PlugHostDevice", .start = start_plug_host_device },
	{ "UnplugHostDevice", .call = do_unplug_host_device },
	{ "EjectDisc", .call = do_eject_disc },
	{ "SendKeys", .start = start_send_keys },
	{ "TypeText", .start = start_type_text },
	{ "SendEvents", .call = do_send_events },
	{ "Retry", .call = do_retry },
	{ "Fail", .call = do_fail },
	{ "Statistics", .start = start_statistics },
	{ "SetMicrophone", .call = do_set_microphone },
	{ "SetLink", .call = do_set_link },
	{ "AddForward", .start = start_add_forward },
	{ "RemoveForward", .start = start_remove_forward },
};

/* GDBus lets only methods of the interface through, with parameters of their types. */
static void call_method(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
			const char *name, GVariant *parameters, GDBusMethodInvocation *invocation, gpointer data)
{
	const struct method *method = methods;
	struct control *control = data;
	g_autoptr(GError) error = NULL;

	(void)connection;
	(void)sender;
	(void)path;
	(void)interface;
	while (strcmp(method->name, name))
		method++;
	if (method->start) {
		method->start(control, parameters, invocation);
		return;
	}
	method->call(control, parameters, &error);
	control_reply(invocation, error);
}

/* Properties */

static void get_mode(struct control *control, unsigned *width, unsigned *height)
{
	g_mutex_lock(&control->scanout->lock);
	*width = control->scanout->picture.width;
	*height = control->scanout->picture.height;
	g_mutex_unlock(&control->scanout->lock);
}

static GVariant *property_state(struct control *control)
{
	return g_variant_new_string(control->ops->state(control->machine));
}

static GVariant *property_message(struct control *control)
{
	return g_variant_new_string(control->ops->message(control->machine));
}

static GVariant *property_name(struct control *control)
{
	return g_variant_new_string(control->name);
}

static GVariant *property_folder(struct control *control)
{
	return g_variant_new_string(control->folder);
}

static GVariant *property_process_id(struct control *control)
{
	(void)control;
	return g_variant_new_uint32((guint32)getpid());
}

static GVariant *property_width(struct control *control)
{
	unsigned width, height;

	control->ops->refresh_screen(control->machine);
	get_mode(control, &width, &height);
	return g_variant_new_uint32(width);
}

static GVariant *property_height(struct control *control)
{
	unsigned width, height;

	control->ops->refresh_screen(control->machine);
	get_mode(control, &width, &height);
	return g_variant_new_uint32(height);
}

static GVariant *property_leds(struct control *control)
{
	return g_variant_new_uint32(control->router->leds);
}

static GVariant *property_serial_pty(struct control *control)
{
	return g_variant_new_string(control->ops->serial_pty(control->machine));
}

static void add_disc(void *builder, int drive, const char *path)
{
	g_variant_builder_add(builder, "{is}", drive, path);
}

static GVariant *property_discs(struct control *control)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{is}"));
	control->ops->discs(control->machine, add_disc, &builder);
	return g_variant_builder_end(&builder);
}

static GVariant *property_microphone(struct control *control)
{
	return g_variant_new_boolean(control->ops->microphone(control->machine));
}

static GVariant *property_link(struct control *control)
{
	return g_variant_new_boolean(control->ops->link(control->machine));
}

static void add_forward(void *builder, const char *forward)
{
	g_variant_builder_add(builder, "s", forward);
}

static GVariant *property_forwards(struct control *control)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
	control->ops->forwards(control->machine, add_forward, &builder);
	return g_variant_builder_end(&builder);
}

static void add_path(void *builder, const char *path)
{
	g_autofree char *text = g_filename_display_name(path);

	g_variant_builder_add(builder, "s", text);
}

static GVariant *property_sticks(struct control *control)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
	control->ops->sticks(control->machine, add_path, &builder);
	return g_variant_builder_end(&builder);
}

static const struct property {
	const char *name;
	GVariant *(*get)(struct control *control);
} properties[] = {
	{ "State", property_state },
	{ "Message", property_message },
	{ "Name", property_name },
	{ "Folder", property_folder },
	{ "ProcessId", property_process_id },
	{ "Width", property_width },
	{ "Height", property_height },
	{ "Leds", property_leds },
	{ "SerialPty", property_serial_pty },
	{ "Discs", property_discs },
	{ "Microphone", property_microphone },
	{ "Link", property_link },
	{ "Forwards", property_forwards },
	{ "Sticks", property_sticks },
};

static GVariant *property_value(struct control *control, const char *name)
{
	const struct property *property = properties;

	while (strcmp(property->name, name))
		property++;
	return property->get(control);
}

static GVariant *get_property(GDBusConnection *connection, const char *sender, const char *path,
			      const char *interface, const char *name, GError **error, gpointer data)
{
	(void)connection;
	(void)sender;
	(void)path;
	(void)interface;
	(void)error;
	return property_value(data, name);
}

static const GDBusInterfaceVTable table = { .method_call = call_method, .get_property = get_property };

/* Signals */

static void signal_properties(struct control *control, GVariantBuilder *changed)
{
	clients_signal(control->clients, "org.freedesktop.DBus.Properties", "PropertiesChanged",
		       g_variant_new("(sa{sv}as)", INTERFACE, changed, NULL));
}

static void tell_properties(struct control *control, const char *const *names)
{
	GVariantBuilder changed;

	g_variant_builder_init(&changed, G_VARIANT_TYPE("a{sv}"));
	for (unsigned i = 0; names[i]; i++)
		g_variant_builder_add(&changed, "{sv}", names[i], property_value(control, names[i]));
	signal_properties(control, &changed);
}

void control_state_changed(struct control *control)
{
	static const char *const names[] = { "State", "Message", NULL };

	tell_properties(control, names);
	clients_signal(control->clients, INTERFACE, "StateChanged",
		       g_variant_new("(ss)", control->ops->state(control->machine),
				     control->ops->message(control->machine)));
}

void control_leds_changed(struct control *control)
{
	static const char *const names[] = { "Leds", NULL };

	tell_properties(control, names);
}

void control_mode_changed(struct control *control)
{
	GVariantBuilder changed;
	unsigned width, height;

	get_mode(control, &width, &height);
	if (width == control->width && height == control->height)
		return;
	control->width = width;
	control->height = height;
	/* Not by tell_properties(), which would ask for a refresh, of which this is a part. */
	g_variant_builder_init(&changed, G_VARIANT_TYPE("a{sv}"));
	g_variant_builder_add(&changed, "{sv}", "Width", g_variant_new_uint32(width));
	g_variant_builder_add(&changed, "{sv}", "Height", g_variant_new_uint32(height));
	signal_properties(control, &changed);
	clients_signal(control->clients, INTERFACE, "ModeChanged", g_variant_new("(uu)", width, height));
}

void control_forwards_changed(struct control *control)
{
	static const char *const names[] = { "Forwards", NULL };

	tell_properties(control, names);
}

void control_sticks_changed(struct control *control)
{
	static const char *const names[] = { "Sticks", NULL };

	tell_properties(control, names);
}

void control_disc_changed(struct control *control, int drive, const char *path)
{
	clients_signal(control->clients, INTERFACE, "DiscChanged", g_variant_new("(is)", drive, path));
}

void control_error(struct control *control, const char *message)
{
	clients_signal(control->clients, INTERFACE, "Error", g_variant_new("(s)", message));
}

void control_progress(struct control *control, const char *operation, double fraction)
{
	clients_signal(control->clients, INTERFACE, "Progress",
		       g_variant_new("(sd)", operation, CLAMP(fraction, 0, 1)));
}

/* Life */

static void picture_changed(void *opaque)
{
	control_mode_changed(opaque);
}

struct control *control_new(const struct control_options *options, GError **error)
{
	int fd = control_socket_listen(options->socket_path, error);
	struct control *control;

	if (fd < 0)
		return NULL;
	control = g_new0(struct control, 1);
	control->vm = options->vm;
	control->router = options->router;
	control->scanout = options->scanout;
	control->ops = options->ops;
	control->machine = options->machine;
	control->name = g_strdup(options->name);
	control->folder = g_strdup(options->folder);
	control->socket_path = g_strdup(options->socket_path);
	control->fd = fd;
	control->pictures = pictures_new(control->vm, control->scanout, options->ops->refresh_screen, options->machine);
	control->typing = typing_new(control->vm, control->router);
	control->clients = clients_new(&control->vm->loop, fd, OBJECT_PATH, &io_github_oriel_machine_interface,
				       &table, control);
	get_mode(control, &control->width, &control->height);
	scanout_set_observer(control->scanout, picture_changed, control);
	return control;
}

void control_free(struct control *control)
{
	scanout_set_observer(control->scanout, NULL, NULL);
	pictures_free(control->pictures);
	typing_free(control->typing);
	control_socket_close(control->fd, control->socket_path);
	clients_free(control->clients);
	g_free(control->name);
	g_free(control->folder);
	g_free(control->socket_path);
	g_free(control);
}
