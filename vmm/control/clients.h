/*
 * Who is connected to the machine's socket. Calls need vm->lock unless they say otherwise.
 */
#pragma once

#include <gio/gio.h>

#include "../loop.h"

struct clients;

/* Serves the object at path on vm->loop's thread to everybody who connects to the listening socket fd. Any thread. */
struct clients *clients_new(struct loop *loop, int fd, const char *path, const GDBusInterfaceInfo *interface,
			    const GDBusInterfaceVTable *table, void *opaque);
/* Gives everybody up to a second to take what was sent, and hangs up. With the loop stopped. */
void clients_free(struct clients *clients);

/* Sends a signal to all; takes parameters, which may be floating. */
void clients_signal(struct clients *clients, const char *interface, const char *name, GVariant *parameters);
