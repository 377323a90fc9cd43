#include <glib/gi18n.h>
#include <string.h>

#include "../usb/host_list.h"
#include "control_internal.h"
#include "pictures.h"
#include "reply.h"
#include "typing.h"

#define EVENTS_MAX 4096 /* of one SendEvents */

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

/* Sets what the property of that name says. */
static bool set_property(struct control *control, GVariant *parameters, const char *name,
			 bool (*set)(void *machine, bool value, GError **error), GError **error)
{
	const char *const names[] = { name, NULL };
	gboolean value;

	g_variant_get(parameters, "(b)", &value);
	if (!set(control->machine, value, error))
		return false;
	control_tell_properties(control, names);
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

void control_call_method(struct control *control, const char *name, GVariant *parameters,
			 GDBusMethodInvocation *invocation)
{
	const struct method *method = methods;
	g_autoptr(GError) error = NULL;

	/* GDBus lets only methods of the interface through. */
	while (strcmp(method->name, name))
		method++;
	if (method->start) {
		method->start(control, parameters, invocation);
		return;
	}
	method->call(control, parameters, &error);
	control_reply(invocation, error);
}
