/*
 * Linux and its own driver on each of the network adapters, through the NAT: an address by DHCP, data in both directions
 * compared by hash, a port of the host forwarded to it, a cable that is pulled.
 */
#include "harness.h"

#include <string.h>

#define MEGABYTE 1000000u
#define DOWNLOAD (4 * MEGABYTE)
#define LONG_DOWNLOAD (100 * MEGABYTE)
#define UPLOAD (2 * MEGABYTE)
#define TFTP_SIZE 100000u
#define GREETING "from the guest"

struct server {
	GSocketService *service;
	guint16 port;
	guint8 *bytes;
	gsize size;
	GChecksum *received; /* SHA-256 of what the last client without a request has sent */
	gsize received_size;
	gint received_all; /* atomic */
};

/* --- The host's side: a small HTTP server, which takes anything else as an upload --- */

static char *checksum_of(const guint8 *bytes, gsize size)
{
	return g_compute_checksum_for_data(G_CHECKSUM_SHA256, bytes, size);
}

static void answer(struct server *server, GIOStream *stream)
{
	GOutputStream *output = g_io_stream_get_output_stream(stream);
	g_autofree char *head = g_strdup_printf("HTTP/1.0 200 OK\r\nContent-Length: %" G_GSIZE_FORMAT "\r\n\r\n", server->size);

	if (g_output_stream_write_all(output, head, strlen(head), NULL, NULL, NULL))
		g_output_stream_write_all(output, server->bytes, server->size, NULL, NULL, NULL);
}

static void take(struct server *server, GInputStream *input, const guint8 *first, gsize count)
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
	struct server *server = data;
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

static void server_start(struct server *server, gsize size)
{
	g_autoptr(GInetAddress) loopback = g_inet_address_new_loopback(G_SOCKET_FAMILY_IPV4);
	g_autoptr(GSocketAddress) address = g_inet_socket_address_new(loopback, 0), bound = NULL;
	GError *error = NULL;
	GRand *random = g_rand_new_with_seed(42);

	*server = (struct server){ .service = g_threaded_socket_service_new(1), .size = size, .bytes = g_malloc(size),
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

static void server_stop(struct server *server)
{
	g_socket_service_stop(server->service);
	g_socket_listener_close(G_SOCKET_LISTENER(server->service));
	g_object_unref(server->service);
	g_checksum_free(server->received);
	g_free(server->bytes);
}

/* A port that nobody has just now. */
static guint16 free_port(void)
{
	g_autoptr(GSocketListener) listener = g_socket_listener_new();
	guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);

	g_socket_listener_close(listener);
	g_assert_cmpuint(port, !=, 0);
	return port;
}

/* --- The guest's --- */

/* With the beginning of what the server has offered by TFTP, too. */
static struct guest *boot(const char *name, const char *device, guint16 forwarded, const struct server *server)
{
	g_autofree char *tools = harness_media("tools.iso");
	struct guest *guest = guest_new(name);
	g_autofree char *file = g_build_filename(guest_folder(guest), "offered", NULL);
	GError *error = NULL;

	g_file_set_contents(file, (const char *)server->bytes, TFTP_SIZE, &error);
	g_assert_no_error(error);
	guest_set(guest, "network", "tftp", ".");
	guest_set_disc(guest, tools);
	guest_set(guest, "network", "device", "%s", device);
	guest_set(guest, "network", "forward", "tcp:%u-7", forwarded);
	guest_set_linux(guest, true, "drm_kms_helper.fbdev_emulation=0 net.ifnames=0");
	guest_start(guest);
	guest_wait_line(guest, "agent: ready", 300);
	return guest;
}

static void get_address(struct guest *guest, const char *driver)
{
	g_autofree char *bound = g_strdup_printf("/bus/pci/drivers/%s", driver);

	guest_write(guest, "run readlink /sys/class/net/eth0/device/driver\n");
	guest_wait_line(guest, bound, 20);
	guest_wait_line(guest, "done run 0", 20);
	guest_run(guest, 60, "run ifconfig lo 127.0.0.1 && ifconfig eth0 up");
	guest_run(guest, 120, "run udhcpc -i eth0 -f -n -q -s /bin/lease");
	g_assert_nonnull(strstr(guest_serial(guest), "output lease 10.0.2.15 255.255.255.0 10.0.2.2 10.0.2.3"));
}

static void download(struct guest *guest, const struct server *server, unsigned seconds)
{
	g_autofree char *hash = checksum_of(server->bytes, server->size), *line = g_strdup_printf("output %s", hash);
	g_autofree char *command = g_strdup_printf("run wget -q -O - http://10.0.2.2:%u/ | sha256sum\n", server->port);
	double before = guest_age(guest);

	guest_write(guest, command);
	guest_wait_line(guest, line, seconds);
	guest_wait_line(guest, "done run 0", 20);
	g_test_message("%" G_GSIZE_FORMAT " MB down in %.1f s", server->size / MEGABYTE, guest_age(guest) - before);
}

static void upload(struct guest *guest, struct server *server)
{
	guest_run(guest, 60, "run dd if=/dev/urandom of=/tmp/data bs=%u count=1 2>/dev/null", UPLOAD);
	guest_run(guest, 120, "run nc 10.0.2.2 %u < /tmp/data", server->port);
	guest_write(guest, "run sha256sum /tmp/data\n");
	while (!g_atomic_int_get(&server->received_all))
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpuint(server->received_size, ==, UPLOAD);
	guest_wait_line(guest, g_checksum_get_string(server->received), 60);
	guest_wait_line(guest, "done run 0", 20);
}

/* From the NAT's own server. */
static void fetch(struct guest *guest, const struct server *server)
{
	g_autofree char *hash = checksum_of(server->bytes, TFTP_SIZE), *line = g_strdup_printf("output %s", hash);

	guest_run(guest, 120, "run tftp -g -l /tmp/fetched -r offered 10.0.2.2");
	guest_write(guest, "run sha256sum < /tmp/fetched\n");
	guest_wait_line(guest, line, 60);
	guest_wait_line(guest, "done run 0", 20);
}

/* A connection from the host to what listens in the guest. */
static void connect_to_guest(struct guest *guest, guint16 port)
{
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketConnection) connection = NULL;
	g_autofree char *text = NULL;
	GError *error = NULL;
	char buffer[64] = "";
	gsize count;

	guest_run(guest, 20, "run echo " GREETING " | nc -l -p 7 > /tmp/heard &");
	guest_run(guest, 20, "run while ! grep -q :0007 /proc/net/tcp; do sleep 0.1; done");
	connection = g_socket_client_connect_to_host(client, "127.0.0.1", port, NULL, &error);
	g_assert_no_error(error);
	g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(connection)), "hello\n", 6, NULL, NULL, &error);
	g_assert_no_error(error);
	g_input_stream_read_all(g_io_stream_get_input_stream(G_IO_STREAM(connection)), buffer, strlen(GREETING) + 1, &count,
				NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(buffer, ==, GREETING "\n");
	g_io_stream_close(G_IO_STREAM(connection), NULL, NULL);
	guest_run(guest, 20, "run grep -q hello /tmp/heard");
}

/* iperf3 against the host's; reverse: down. What it measures is for the log: see the benchmarks. */
static void measure(struct guest *guest, bool reverse)
{
	g_autofree char *port = g_strdup_printf("%u", free_port());
	const char *arguments[] = { "iperf3", "--server", "--one-off", "--forceflush", "--bind", "127.0.0.1", "--port", port,
				    NULL };
	g_autoptr(GDataInputStream) output = NULL;
	g_autoptr(GSubprocess) server = NULL;
	GError *error = NULL;
	char *line;

	server = g_subprocess_newv(arguments, G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error);
	g_assert_no_error(error);
	output = g_data_input_stream_new(g_subprocess_get_stdout_pipe(server));
	do {
		line = g_data_input_stream_read_line(output, NULL, NULL, NULL);
		g_assert_nonnull(line);
		if (strstr(line, "listening"))
			g_clear_pointer(&line, g_free);
		g_free(line);
	} while (line);
	guest_run(guest, 240, "run /mnt/run iperf3 --client 10.0.2.2 --port %s --bytes 4M %s", port,
		  reverse ? "--reverse" : "");
	g_subprocess_wait(server, NULL, NULL);
}

static void end(struct guest *guest)
{
	guest_write(guest, "poweroff\n");
	guest_wait_end(guest, 60);
	guest_free(guest);
}

static void try_adapter(const char *device, bool measured)
{
	guint16 port = free_port();
	struct server server;
	struct guest *guest;

	server_start(&server, DOWNLOAD);
	guest = boot(device, device, port, &server);
	get_address(guest, device);
	download(guest, &server, 240);
	upload(guest, &server);
	connect_to_guest(guest, port);
	fetch(guest, &server);
	if (measured) {
		guest_run(guest, 60, "run mount -r -t iso9660 /dev/sr0 /mnt");
		measure(guest, false);
		measure(guest, true);
	}
	end(guest);
	server_stop(&server);
}

static void test_e1000e(void)
{
	try_adapter("e1000e", true);
}

static void test_e1000(void)
{
	try_adapter("e1000", false);
}

static void test_long_download(void)
{
	struct server server;
	struct guest *guest;

	server_start(&server, LONG_DOWNLOAD);
	guest = boot("long", "e1000e", free_port(), &server);
	get_address(guest, "e1000e");
	download(guest, &server, 1200);
	end(guest);
	server_stop(&server);
}

int main(int argc, char **argv)
{
	bool slow = argc > 1 && strcmp(argv[1], "slow") == 0;

	harness_init(&argc, &argv);
	if (slow) {
		g_test_add_func("/linux-network/long-download", test_long_download);
	} else {
		g_test_add_func("/linux-network/e1000e", test_e1000e);
		g_test_add_func("/linux-network/e1000", test_e1000);
	}
	return harness_run();
}
