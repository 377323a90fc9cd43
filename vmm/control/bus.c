#include "bus.h"

#include <string.h>

#include "machine_interface.h"

#define SERVICE "io.github.oriel.Machine"
#define SERVICE_NAME ":1.0"
#define CLIENT_NAME ":1.1"
#define ALREADY_RUNNING 2 /* DBUS_START_REPLY_ALREADY_RUNNING */

static void get_name_owner(GVariant *parameters, GDBusMethodInvocation *invocation)
{
	const char *name;

	g_variant_get(parameters, "(&s)", &name);
	if (strcmp(name, SERVICE) == 0)
		g_dbus_method_invocation_return_value(invocation, g_variant_new("(s)", SERVICE_NAME));
	else
		g_dbus_method_invocation_return_dbus_error(invocation, "org.freedesktop.DBus.Error.NameHasNoOwner",
							   "There is only " SERVICE " here");
}

static void call_method(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
			const char *method, GVariant *parameters, GDBusMethodInvocation *invocation, gpointer data)
{
	GVariant *answer = NULL;
	const char *name;

	(void)connection;
	(void)sender;
	(void)path;
	(void)interface;
	(void)data;
	if (strcmp(method, "GetNameOwner") == 0) {
		get_name_owner(parameters, invocation);
		return;
	}
	if (strcmp(method, "Hello") == 0) {
		answer = g_variant_new("(s)", CLIENT_NAME);
	} else if (strcmp(method, "NameHasOwner") == 0) {
		g_variant_get(parameters, "(&s)", &name);
		answer = g_variant_new("(b)", strcmp(name, SERVICE) == 0);
	} else if (strcmp(method, "StartServiceByName") == 0) {
		answer = g_variant_new("(u)", ALREADY_RUNNING);
	}
	/* Every client gets every signal, whatever it wants matched. */
	g_dbus_method_invocation_return_value(invocation, answer);
}

static const GDBusInterfaceVTable table = { .method_call = call_method };

guint control_bus_register(GDBusConnection *connection)
{
	return g_dbus_connection_register_object(connection, "/org/freedesktop/DBus",
						 (GDBusInterfaceInfo *)&org_freedesktop_dbus_interface, &table, NULL,
						 NULL, NULL);
}
