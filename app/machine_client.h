/*
 * A running machine, as seen from another process: calls on its D-Bus socket.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

#define ORIEL_TYPE_MACHINE_CLIENT (oriel_machine_client_get_type())
G_DECLARE_FINAL_TYPE(OrielMachineClient, oriel_machine_client, ORIEL, MACHINE_CLIENT, GObject)

/*
 * Connects to the machine that listens at socket_path (machine_config_socket_path()). Error: G_IO_ERROR_NOT_FOUND if
 * it is not running.
 */
OrielMachineClient *oriel_machine_client_new(const char *socket_path, GError **error);

/*
 * Calls a method of io.github.oriel.Machine and waits for its answer, for as long as it takes. Takes parameters if
 * floating. The error has the machine's own words.
 */
GVariant *oriel_machine_client_call(OrielMachineClient *client, const char *method, GVariant *parameters,
				    GError **error);

/* A property's value. */
GVariant *oriel_machine_client_get(OrielMachineClient *client, const char *property, GError **error);

/* Waits until the machine hangs up: its process ends. FALSE after so many seconds. */
gboolean oriel_machine_client_wait_gone(OrielMachineClient *client, guint seconds);

G_END_DECLS
