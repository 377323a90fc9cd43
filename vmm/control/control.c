#include "control_internal.h"

#include "clients.h"
#include "machine_interface.h"
#include "pictures.h"
#include "socket.h"
#include "typing.h"

#define OBJECT_PATH "/io/github/oriel/Machine"
#define INTERFACE "io.github.oriel.Machine"

static void call_method(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
			const char *name, GVariant *parameters, GDBusMethodInvocation *invocation, gpointer data)
{
	(void)connection;
	(void)sender;
	(void)path;
	(void)interface;
	control_call_method(data, name, parameters, invocation);
}

static GVariant *get_property(GDBusConnection *connection, const char *sender, const char *path,
			      const char *interface, const char *name, GError **error, gpointer data)
{
	(void)connection;
	(void)sender;
	(void)path;
	(void)interface;
	(void)error;
	return control_get_property(data, name);
}

static const GDBusInterfaceVTable table = { .method_call = call_method, .get_property = get_property };

/* Signals */

static void signal_properties(struct control *control, GVariantBuilder *changed)
{
	clients_signal(control->clients, "org.freedesktop.DBus.Properties", "PropertiesChanged",
		       g_variant_new("(sa{sv}as)", INTERFACE, changed, NULL));
}

void control_tell_properties(struct control *control, const char *const *names)
{
	GVariantBuilder changed;

	g_variant_builder_init(&changed, G_VARIANT_TYPE("a{sv}"));
	for (unsigned i = 0; names[i]; i++)
		g_variant_builder_add(&changed, "{sv}", names[i], control_get_property(control, names[i]));
	signal_properties(control, &changed);
}

void control_state_changed(struct control *control)
{
	static const char *const names[] = { "State", "Message", NULL };

	control_tell_properties(control, names);
	clients_signal(control->clients, INTERFACE, "StateChanged",
		       g_variant_new("(ss)", control->ops->state(control->machine),
				     control->ops->message(control->machine)));
}

void control_leds_changed(struct control *control)
{
	static const char *const names[] = { "Leds", NULL };

	control_tell_properties(control, names);
}

void control_mode_changed(struct control *control)
{
	GVariantBuilder changed;
	unsigned width, height;

	control_get_mode(control, &width, &height);
	if (width == control->width && height == control->height)
		return;
	control->width = width;
	control->height = height;
	/* Not by control_tell_properties(), which would ask for a refresh, of which this is a part. */
	g_variant_builder_init(&changed, G_VARIANT_TYPE("a{sv}"));
	g_variant_builder_add(&changed, "{sv}", "Width", g_variant_new_uint32(width));
	g_variant_builder_add(&changed, "{sv}", "Height", g_variant_new_uint32(height));
	signal_properties(control, &changed);
	clients_signal(control->clients, INTERFACE, "ModeChanged", g_variant_new("(uu)", width, height));
}

void control_forwards_changed(struct control *control)
{
	static const char *const names[] = { "Forwards", NULL };

	control_tell_properties(control, names);
}

void control_sticks_changed(struct control *control)
{
	static const char *const names[] = { "Sticks", NULL };

	control_tell_properties(control, names);
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
	control_get_mode(control, &control->width, &control->height);
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
