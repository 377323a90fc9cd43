/*
 * A running machine, as seen from another process: calls on its D-Bus socket.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ORIEL_TYPE_MACHINE_CLIENT (oriel_machine_client_get_type())
G_DECLARE_FINAL_TYPE(OrielMachineClient, oriel_machine_client, ORIEL, MACHINE_CLIENT, GObject)

/*
 * Signals, in the context that the client was made in:
 *	"told" (const char *name, GVariant *parameters)   a signal of io.github.oriel.Machine
 *	"closed"                                          the machine hung up; nothing follows
 */

/*
 * Connects to the machine that listens at socket_path (machine_config_socket_path()). Error: G_IO_ERROR_NOT_FOUND if
 * it is not running.
 */
OrielMachineClient *oriel_machine_client_new(const char *socket_path, GError **error);

void oriel_machine_client_new_async(const char *socket_path, GCancellable *cancellable, GAsyncReadyCallback callback,
				    gpointer data);
OrielMachineClient *oriel_machine_client_new_finish(GAsyncResult *result, GError **error);

/*
 * Calls a method of io.github.oriel.Machine and waits for its answer, for as long as it takes. Takes parameters if
 * floating. The error has the machine's own words; G_IO_ERROR_BUSY is what it was for the machine.
 */
GVariant *oriel_machine_client_call(OrielMachineClient *client, const char *method, GVariant *parameters,
				    GError **error);

void oriel_machine_client_call_async(OrielMachineClient *client, const char *method, GVariant *parameters,
				     GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data);
GVariant *oriel_machine_client_call_finish(OrielMachineClient *client, GAsyncResult *result, GError **error);

/* All properties, as (a{sv}). Finish with oriel_machine_client_call_finish(). */
void oriel_machine_client_get_all_async(OrielMachineClient *client, GCancellable *cancellable,
					GAsyncReadyCallback callback, gpointer data);

/* A property's value. */
GVariant *oriel_machine_client_get(OrielMachineClient *client, const char *property, GError **error);

/* Waits until the machine hangs up: its process ends. FALSE after so many seconds. */
gboolean oriel_machine_client_wait_gone(OrielMachineClient *client, guint seconds);

G_END_DECLS
