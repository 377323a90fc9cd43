#include "machine_client.h"

#include <glib/gi18n.h>

#define OBJECT_PATH "/io/github/oriel/Machine"
#define INTERFACE "io.github.oriel.Machine"

struct _OrielMachineClient {
	GObject parent_instance;
	GDBusConnection *connection;
	guint subscription;
};

enum {
	SIGNAL_TOLD,
	SIGNAL_CLOSED,
	SIGNALS,
};

static guint signals[SIGNALS];

G_DEFINE_FINAL_TYPE(OrielMachineClient, oriel_machine_client, G_TYPE_OBJECT)

static void oriel_machine_client_dispose(GObject *object)
{
	OrielMachineClient *self = ORIEL_MACHINE_CLIENT(object);

	if (self->subscription)
		g_dbus_connection_signal_unsubscribe(self->connection, self->subscription);
	self->subscription = 0;
	if (self->connection)
		g_signal_handlers_disconnect_by_data(self->connection, self);
	g_clear_object(&self->connection);
	G_OBJECT_CLASS(oriel_machine_client_parent_class)->dispose(object);
}

static void oriel_machine_client_class_init(OrielMachineClientClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_machine_client_dispose;
	/* The one error that callers answer by something else than showing it. */
	g_dbus_error_register_error(G_IO_ERROR, G_IO_ERROR_BUSY, "io.github.oriel.Error.Busy");
	signals[SIGNAL_TOLD] = g_signal_new("told", ORIEL_TYPE_MACHINE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
					    G_TYPE_NONE, 2, G_TYPE_STRING, G_TYPE_VARIANT);
	signals[SIGNAL_CLOSED] = g_signal_new("closed", ORIEL_TYPE_MACHINE_CLIENT, G_SIGNAL_RUN_LAST, 0, NULL, NULL,
					      NULL, G_TYPE_NONE, 0);
}

static void oriel_machine_client_init(OrielMachineClient *self)
{
	(void)self;
}

static void hear_signal(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
			const char *name, GVariant *parameters, gpointer self)
{
	(void)connection;
	(void)sender;
	(void)path;
	(void)interface;
	g_signal_emit(self, signals[SIGNAL_TOLD], 0, name, parameters);
}

static void hear_close(GDBusConnection *connection, gboolean vanished, GError *error, gpointer self)
{
	(void)connection;
	(void)vanished;
	(void)error;
	g_signal_emit(self, signals[SIGNAL_CLOSED], 0);
}

/* Takes the connection and the error, one of which is NULL. */
static OrielMachineClient *wrap(GDBusConnection *connection, GError *reason, GError **error)
{
	OrielMachineClient *self;

	if (!connection) {
		if (g_error_matches(reason, G_IO_ERROR, G_IO_ERROR_NOT_FOUND) ||
		    g_error_matches(reason, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED)) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
				    _("The machine is not running; \"oriel start\" starts it"));
			g_error_free(reason);
		} else {
			g_propagate_prefixed_error(error, reason, _("Cannot talk to the machine: "));
		}
		return NULL;
	}
	self = g_object_new(ORIEL_TYPE_MACHINE_CLIENT, NULL);
	self->connection = connection;
	self->subscription = g_dbus_connection_signal_subscribe(connection, NULL, INTERFACE, NULL, OBJECT_PATH, NULL,
								G_DBUS_SIGNAL_FLAGS_NONE, hear_signal, self, NULL);
	g_signal_connect(connection, "closed", G_CALLBACK(hear_close), self);
	return self;
}

static char *address_of(const char *socket_path)
{
	g_autofree char *escaped = g_dbus_address_escape_value(socket_path);

	return g_strconcat("unix:path=", escaped, NULL);
}

OrielMachineClient *oriel_machine_client_new(const char *socket_path, GError **error)
{
	g_autofree char *address = address_of(socket_path);
	GError *reason = NULL;
	GDBusConnection *connection = g_dbus_connection_new_for_address_sync(
		address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, &reason);

	return wrap(connection, reason, error);
}

static void connected(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GTask) task = data;
	GError *reason = NULL, *error = NULL;
	GDBusConnection *connection = g_dbus_connection_new_for_address_finish(result, &reason);
	OrielMachineClient *self = wrap(connection, reason, &error);

	(void)source;
	if (self)
		g_task_return_pointer(task, self, g_object_unref);
	else
		g_task_return_error(task, error);
}

void oriel_machine_client_new_async(const char *socket_path, GCancellable *cancellable, GAsyncReadyCallback callback,
				    gpointer data)
{
	g_autofree char *address = address_of(socket_path);
	GTask *task = g_task_new(NULL, cancellable, callback, data);

	g_dbus_connection_new_for_address(address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, cancellable,
					  connected, task);
}

OrielMachineClient *oriel_machine_client_new_finish(GAsyncResult *result, GError **error)
{
	return g_task_propagate_pointer(G_TASK(result), error);
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

static void answered(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GTask) task = data;
	GError *error = NULL;
	GVariant *reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

	if (reply) {
		g_task_return_pointer(task, reply, (GDestroyNotify)g_variant_unref);
		return;
	}
	g_dbus_error_strip_remote_error(error);
	g_task_return_error(task, error);
}

static void call_async(OrielMachineClient *self, const char *interface, const char *method, GVariant *parameters,
		       GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
	GTask *task = g_task_new(self, cancellable, callback, data);

	g_dbus_connection_call(self->connection, NULL, OBJECT_PATH, interface, method, parameters, NULL,
			       G_DBUS_CALL_FLAGS_NONE, G_MAXINT, cancellable, answered, task);
}

void oriel_machine_client_call_async(OrielMachineClient *self, const char *method, GVariant *parameters,
				     GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
	call_async(self, INTERFACE, method, parameters, cancellable, callback, data);
}

void oriel_machine_client_get_all_async(OrielMachineClient *self, GCancellable *cancellable,
					GAsyncReadyCallback callback, gpointer data)
{
	call_async(self, "org.freedesktop.DBus.Properties", "GetAll", g_variant_new("(s)", INTERFACE), cancellable,
		   callback, data);
}

GVariant *oriel_machine_client_call_finish(OrielMachineClient *self, GAsyncResult *result, GError **error)
{
	(void)self;
	return g_task_propagate_pointer(G_TASK(result), error);
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
