/*
 * The ports of the host that a machine's network forwards. With vm->lock.
 */
#pragma once

#include <gio/gio.h>
#include <stdbool.h>

struct machine;

/* For machine->forwards; frees what is in it. */
GPtrArray *machine_forwards_new(void);
/* Opens those of the configuration: later, and what cannot be opened is told, and no reason not to start. */
bool machine_forwards_start(struct machine *machine, GError **error);

/* Opens (text: as nat_forward_parse() takes it) or closes one; done comes later, on the I/O thread, or at once. */
typedef void (*machine_forward_done)(void *opaque, const GError *error);
void machine_forward(struct machine *machine, const char *text, bool add, machine_forward_done done, void *opaque);
