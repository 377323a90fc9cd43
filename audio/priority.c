#include "priority.h"

#include <gio/gio.h>
#include <sys/resource.h>
#include <unistd.h>

/* What sound servers take for themselves; RealtimeKit gives not more than -15. */
#define NICE_LEVEL (-11)

static void answered(GObject *object, GAsyncResult *result, gpointer data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(object), result, &error);

	(void)data;
	if (!reply)
		g_debug("sound: no priority from RealtimeKit: %s", error->message);
}

static void connected(GObject *object, GAsyncResult *result, gpointer thread)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDBusConnection) bus = g_bus_get_finish(result, &error);

	(void)object;
	if (!bus) {
		g_debug("sound: no priority without the system bus: %s", error->message);
		return;
	}
	g_dbus_connection_call(bus, "org.freedesktop.RealtimeKit1", "/org/freedesktop/RealtimeKit1",
			       "org.freedesktop.RealtimeKit1", "MakeThreadHighPriority",
			       g_variant_new("(ti)", (guint64)GPOINTER_TO_INT(thread), NICE_LEVEL), NULL,
			       G_DBUS_CALL_FLAGS_NONE, -1, NULL, answered, NULL);
}

void audio_raise_priority(void)
{
	/* On Linux, this is the thread's own. */
	if (getpriority(PRIO_PROCESS, 0) <= NICE_LEVEL || setpriority(PRIO_PROCESS, 0, NICE_LEVEL) == 0)
		return;
	g_bus_get(G_BUS_TYPE_SYSTEM, NULL, connected, GINT_TO_POINTER(gettid()));
}
