#include "machine_client.h"

#define OBJECT_PATH "/io/github/oriel/Machine"
#define INTERFACE "io.github.oriel.Machine"

struct _OrielMachineClient {
	GObject parent_instance;
	GDBusConnection *connection;
};

G_DEFINE_FINAL_TYPE(OrielMachineClient, oriel_machine_client, G_TYPE_OBJECT)

static void oriel_machine_client_dispose(GObject *object)
{
	OrielMachineClient *self = ORIEL_MACHINE_CLIENT(object);

	g_clear_object(&self->connection);
	G_OBJECT_CLASS(oriel_machine_client_parent_class)->dispose(object);
}

static void oriel_machine_client_class_init(OrielMachineClientClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_machine_client_dispose;
}

static void oriel_machine_client_init(OrielMachineClient *self)
{
	(void)self;
}

OrielMachineClient *oriel_machine_client_new(const char *socket_path, GError **error)
{
	g_autofree char *escaped = g_dbus_address_escape_value(socket_path);
	g_autofree char *address = g_strconcat("unix:path=", escaped, NULL);
	g_autoptr(GError) reason = NULL;
	g_autoptr(GDBusConnection) connection = g_dbus_connection_new_for_address_sync(
		address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, &reason);
	OrielMachineClient *self;

	if (!connection) {
		if (g_error_matches(reason, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
		    g_error_matches(reason, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
				    "The machine is not running; \"oriel start\" starts it");
		else
			g_propagate_prefixed_error(error, g_steal_pointer(&reason), "Cannot talk to the machine: ");
		return NULL;
	}
	self = g_object_new(ORIEL_TYPE_MACHINE_CLIENT, NULL);
	self->connection = g_steal_pointer(&connection);
	return self;
}

static GVariant *call(OrielMachineClient *self, const char *interface, const char *method, GVariant *parameters,
		      GError **error)
{
	GError *reason = NULL;
	GVariant *reply = g_dbus_connection_call_sync(self->connection, NULL, OBJECT_PATH, interface, method,
						      parameters, NULL, G_DBUS_CALL_FLAGS_NONE, G_MAXINT, NULL,
						      &reason);

	if (reason) {
		g_dbus_error_strip_remote_error(reason);
		g_propagate_error(error, reason);
	}
	return reply;
}

GVariant *oriel_machine_client_call(OrielMachineClient *self, const char *method, GVariant *parameters,
				    GError **error)
{
	return call(self, INTERFACE, method, parameters, error);
}

GVariant *oriel_machine_client_get(OrielMachineClient *self, const char *property, GError **error)
{
	g_autoptr(GVariant) reply = call(self, "org.freedesktop.DBus.Properties", "Get",
					 g_variant_new("(ss)", INTERFACE, property), error);
	GVariant *value = NULL;

	if (reply)
		g_variant_get(reply, "(v)", &value);
	return value;
}

static gboolean time_over(gpointer over)
{
	*(gboolean *)over = TRUE;
	return G_SOURCE_REMOVE;
}

gboolean oriel_machine_client_wait_gone(OrielMachineClient *self, guint seconds)
{
	gboolean over = FALSE;
	guint timeout = g_timeout_add_seconds(seconds, time_over, &over);

	/* "closed" wakes the context, in which the connection was made. */
	while (!over && !g_dbus_connection_is_closed(self->connection))
		g_main_context_iteration(NULL, TRUE);
	if (over)
		return FALSE;
	g_source_remove(timeout);
	return TRUE;
}
