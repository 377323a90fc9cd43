/* A TCP port of the host that nobody has just now. */
#pragma once

#include <gio/gio.h>

static inline guint16 free_port(void)
{
	g_autoptr(GSocketListener) listener = g_socket_listener_new();
	guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);

	g_socket_listener_close(listener);
	g_assert_cmpuint(port, !=, 0);
	return port;
}
