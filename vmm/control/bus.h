/*
 * The little of a message bus that lets tools written for buses work on a machine's socket.
 */
#pragma once

#include <gio/gio.h>

/* Serves /org/freedesktop/DBus to this connection, on the caller's context; returns the registration. */
guint control_bus_register(GDBusConnection *connection);
