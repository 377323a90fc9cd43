#include "clients.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bus.h"

#define CLIENTS_MAX 64
#define HANDSHAKE_SECONDS 10
#define FAREWELL_MS 1000

struct clients {
	struct loop *loop;
	GSource *listening;
	char *path;
	const GDBusInterfaceInfo *interface;
	const GDBusInterfaceVTable *table;
	void *opaque;
	GPtrArray *connections; /* struct client * */
	GPtrArray *handshakes;  /* struct handshake * */
};

struct client {
	struct clients *clients;
	GDBusConnection *connection;
	guint registration, bus;
	gulong closed;
};

/* A connection that has not said who it is yet. */
struct handshake {
	struct clients *clients; /* NULL: they are gone */
	GCancellable *cancellable;
	GSource *timeout;
};

static void free_client(gpointer data)
{
	struct client *client = data;

	g_signal_handler_disconnect(client->connection, client->closed);
	g_dbus_connection_unregister_object(client->connection, client->registration);
	g_dbus_connection_unregister_object(client->connection, client->bus);
	g_object_unref(client->connection);
	g_free(client);
}

static void connection_closed(GDBusConnection *connection, gboolean vanished, GError *error, gpointer data)
{
	struct client *client = data;

	(void)connection;
	(void)vanished;
	(void)error;
	g_ptr_array_remove_fast(client->clients->connections, client);
}

static void add_client(struct clients *clients, GDBusConnection *connection)
{
	struct client *client = g_new0(struct client, 1);

	client->clients = clients;
	client->connection = g_object_ref(connection);
	client->registration = g_dbus_connection_register_object(connection, clients->path,
		(GDBusInterfaceInfo *)clients->interface, clients->table, clients->opaque, NULL, NULL);
	client->bus = control_bus_register(connection);
	client->closed = g_signal_connect(connection, "closed", G_CALLBACK(connection_closed), client);
	g_ptr_array_add(clients->connections, client);
	/* It may have gone before anybody could hear of that. */
	if (g_dbus_connection_is_closed(connection))
		g_ptr_array_remove_fast(clients->connections, client);
	else
		g_dbus_connection_start_message_processing(connection);
}

/* Handshakes */

static void free_handshake(struct handshake *handshake)
{
	loop_remove(handshake->timeout);
	g_object_unref(handshake->cancellable);
	g_free(handshake);
}

static void handshake_over(GObject *object, GAsyncResult *result, gpointer data)
{
	struct handshake *handshake = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GDBusConnection) connection = g_dbus_connection_new_finish(result, &error);

	(void)object;
	if (!connection)
		g_message("control: a client did not get in: %s", error->message);
	if (handshake->clients) {
		g_ptr_array_remove_fast(handshake->clients->handshakes, handshake);
		if (connection)
			add_client(handshake->clients, connection);
	}
	free_handshake(handshake);
}

static gboolean handshake_too_slow(gpointer data)
{
	struct handshake *handshake = data;

	g_cancellable_cancel(handshake->cancellable);
	return G_SOURCE_REMOVE;
}

/* The kernel vouches for the peer's user; nothing else will do. */
static gboolean allow_mechanism(GDBusAuthObserver *observer, const char *mechanism, gpointer data)
{
	(void)observer;
	(void)data;
	return strcmp(mechanism, "EXTERNAL") == 0;
}

static void start_handshake(struct clients *clients, GIOStream *stream)
{
	g_autoptr(GDBusAuthObserver) observer = g_dbus_auth_observer_new();
	g_autofree char *guid = g_dbus_generate_guid();
	struct handshake *handshake = g_new0(struct handshake, 1);

	handshake->clients = clients;
	handshake->cancellable = g_cancellable_new();
	handshake->timeout = g_timeout_source_new_seconds(HANDSHAKE_SECONDS);
	g_source_set_callback(handshake->timeout, handshake_too_slow, handshake, NULL);
	g_source_attach(handshake->timeout, clients->loop->context);
	g_ptr_array_add(clients->handshakes, handshake);
	g_signal_connect(observer, "allow-mechanism", G_CALLBACK(allow_mechanism), NULL);
	g_dbus_connection_new(stream, guid,
			      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_SERVER |
				      G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_REQUIRE_SAME_USER |
				      G_DBUS_CONNECTION_FLAGS_DELAY_MESSAGE_PROCESSING,
			      observer, handshake->cancellable, handshake_over, handshake);
}

static gboolean accept_client(gint listening, GIOCondition condition, gpointer data)
{
	struct clients *clients = data;
	g_autoptr(GSocketConnection) stream = NULL;
	g_autoptr(GSocket) socket = NULL;
	g_autoptr(GError) error = NULL;
	int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)condition;
	if (fd < 0)
		return G_SOURCE_CONTINUE;
	socket = g_socket_new_from_fd(fd, &error);
	if (!socket) {
		g_warning("control: %s", error->message);
		close(fd);
		return G_SOURCE_CONTINUE;
	}
	if (clients->connections->len + clients->handshakes->len >= CLIENTS_MAX) {
		g_warning("control: more than %d clients at once; one was turned away", CLIENTS_MAX);
		return G_SOURCE_CONTINUE;
	}
	stream = g_socket_connection_factory_create_connection(socket);
	start_handshake(clients, G_IO_STREAM(stream));
	return G_SOURCE_CONTINUE;
}

struct clients *clients_new(struct loop *loop, int fd, const char *path, const GDBusInterfaceInfo *interface,
			    const GDBusInterfaceVTable *table, void *opaque)
{
	struct clients *clients = g_new0(struct clients, 1);

	clients->loop = loop;
	clients->path = g_strdup(path);
	clients->interface = interface;
	clients->table = table;
	clients->opaque = opaque;
	clients->connections = g_ptr_array_new_with_free_func(free_client);
	clients->handshakes = g_ptr_array_new();
	clients->listening = loop_watch(loop, fd, G_IO_IN, accept_client, clients);
	return clients;
}

/* Farewell */

static void connection_closed_by_us(GObject *object, GAsyncResult *result, gpointer data)
{
	unsigned *pending = data;

	g_dbus_connection_close_finish(G_DBUS_CONNECTION(object), result, NULL);
	--*pending;
}

static void connection_flushed(GObject *object, GAsyncResult *result, gpointer data)
{
	GDBusConnection *connection = G_DBUS_CONNECTION(object);

	g_dbus_connection_flush_finish(connection, result, NULL);
	g_dbus_connection_close(connection, NULL, connection_closed_by_us, data);
}

static gboolean farewell_over(gpointer data)
{
	*(bool *)data = true;
	return G_SOURCE_REMOVE;
}

/* Other threads do the work. This one waits for them, but not for ever: a client may have stopped reading. */
static void say_farewell(struct clients *clients)
{
	GMainContext *context = g_main_context_new();
	GSource *timeout = g_timeout_source_new(FAREWELL_MS);
	unsigned pending = clients->connections->len;
	bool over = false;

	g_main_context_push_thread_default(context);
	g_source_set_callback(timeout, farewell_over, &over, NULL);
	g_source_attach(timeout, context);
	for (guint i = 0; i < clients->connections->len; i++) {
		struct client *client = clients->connections->pdata[i];

		g_dbus_connection_flush(client->connection, NULL, connection_flushed, &pending);
	}
	/* What comes too late is never called: nobody turns the context after this. */
	while (pending && !over)
		g_main_context_iteration(context, TRUE);
	g_source_destroy(timeout);
	g_source_unref(timeout);
	g_main_context_pop_thread_default(context);
	g_main_context_unref(context);
}

void clients_free(struct clients *clients)
{
	loop_remove(clients->listening);
	for (guint i = 0; i < clients->handshakes->len; i++) {
		struct handshake *handshake = clients->handshakes->pdata[i];

		handshake->clients = NULL;
		g_cancellable_cancel(handshake->cancellable);
	}
	say_farewell(clients);
	g_ptr_array_unref(clients->connections);
	g_ptr_array_unref(clients->handshakes);
	g_free(clients->path);
	g_free(clients);
}

void clients_signal(struct clients *clients, const char *interface, const char *name, GVariant *parameters)
{
	g_autoptr(GVariant) sunk = g_variant_ref_sink(parameters);

	for (guint i = 0; i < clients->connections->len; i++) {
		struct client *client = clients->connections->pdata[i];

		g_dbus_connection_emit_signal(client->connection, NULL, clients->path, interface, name, sunk, NULL);
	}
}
