#include "file_server.h"

#include <string.h>

static void answer(struct file_server *server, GIOStream *stream)
{
	GOutputStream *output = g_io_stream_get_output_stream(stream);
	g_autofree char *head = g_strdup_printf("HTTP/1.0 200 OK\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n\r\n", server->size);

	if (g_output_stream_write_all(output, head, strlen(head), NULL, NULL, NULL))
		g_output_stream_write_all(output, server->bytes, server->size, NULL, NULL, NULL);
}

static void take(struct file_server *server, GInputStream *input, const guint8 *first, gsize count)
{
	g_autofree guint8 *buffer = g_malloc(1 << 16);
	gssize more;

	g_checksum_reset(server->received);
	g_checksum_update(server->received, first, (gssize)count);
	server->received_size = count;
	while ((more = g_input_stream_read(input, buffer, 1 << 16, NULL, NULL)) > 0) {
		g_checksum_update(server->received, buffer, more);
		server->received_size += (gsize)more;
	}
	g_atomic_int_set(&server->received_all, 1);
	g_main_context_wakeup(NULL);
}

/* In a thread of its own, one client after the other. */
static gboolean serve(GThreadedSocketService *service, GSocketConnection *connection, GObject *source, gpointer data)
{
	struct file_server *server = data;
	GInputStream *input = g_io_stream_get_input_stream(G_IO_STREAM(connection));
	guint8 first[4096];
	gssize count = g_input_stream_read(input, first, sizeof first, NULL, NULL);

	(void)service;
	(void)source;
	if (count >= 4 && memcmp(first, "GET ", 4) == 0)
		answer(server, G_IO_STREAM(connection));
	else if (count > 0)
		take(server, input, first, (gsize)count);
	return TRUE;
}

void file_server_start(struct file_server *server, gsize size)
{
	g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
	g_autoptr(GSocketAddress) address = g_inet_socket_address_new(loopback, 0), bound = NULL;
	GError *error = NULL;
	GRand *random = g_rand_new_with_seed(42);

	*server = (struct file_server){ .service = g_threaded_socket_service_new(1), .size = size, .bytes = g_malloc(size),
				   .received = g_checksum_new(G_CHECKSUM_SHA256) };
	for (gsize i = 0; i + 4 <= size; i += 4) {
		guint32 word = g_rand_int(random);

		memcpy(server->bytes + i, &word, 4);
	}
	g_rand_free(random);
	g_socket_listener_add_address(G_SOCKET_LISTENER(server->service), address, G_SOCKET_TYPE_STREAM,
				      G_SOCKET_PROTOCOL_TCP, NULL, &bound, &error);
	g_assert_no_error(error);
	server->port = g_inet_socket_address_get_port(G_INET_SOCKET_ADDRESS(bound));
	g_signal_connect(server->service, "run", G_CALLBACK(serve), server);
	g_socket_service_start(server->service);
}

void file_server_stop(struct file_server *server)
{
	g_socket_service_stop(server->service);
	g_socket_listener_close(G_SOCKET_LISTENER(server->service));
	g_object_unref(server->service);
	g_checksum_free(server->received);
	g_free(server->bytes);
}

char *file_server_hash(const struct file_server *server, gsize size)
{
	g_assert_cmpuint(size, <=, server->size);
	return g_compute_checksum_for_data(G_CHECKSUM_SHA256, server->bytes, size);
}

void file_server_offer(const struct file_server *server, const char *folder, const char *name, gsize size)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	GError *error = NULL;

	g_assert_cmpuint(size, <=, server->size);
	g_file_set_contents(path, (const char *)server->bytes, (gssize)size, &error);
	g_assert_no_error(error);
}
