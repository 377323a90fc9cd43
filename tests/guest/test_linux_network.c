/*
 * Linux and its own driver on each of the network adapters, through the NAT: an address by DHCP, data in both directions
 * compared by hash, a port of the host forwarded to it, a cable that is pulled.
 */
#include "../free_port.h"
#include "file_server.h"
#include "harness.h"

#include <string.h>

#define MEGABYTE 1000000u
#define DOWNLOAD (4 * MEGABYTE)
#define LONG_DOWNLOAD (100 * MEGABYTE)
#define UPLOAD (2 * MEGABYTE)
#define TFTP_SIZE 100000u
#define GREETING "from the guest"

/* With the beginning of what the server has offered by TFTP, too. */
static struct guest *boot(const char *name, const char *device, guint16 forwarded, const struct file_server *server)
{
	g_autofree char *tools = harness_media("tools.iso");
	struct guest *guest = guest_new(name);

	file_server_offer(server, guest_folder(guest), "offered", TFTP_SIZE);
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

static void download(struct guest *guest, const struct file_server *server, unsigned seconds)
{
	g_autofree char *hash = file_server_hash(server, server->size), *line = g_strdup_printf("output %s", hash);
	g_autofree char *command = g_strdup_printf("run wget -q -O - http://10.0.2.2:%u/ | sha256sum\n", server->port);
	double before = guest_age(guest);

	guest_write(guest, command);
	guest_wait_line(guest, line, seconds);
	guest_wait_line(guest, "done run 0", 20);
	g_test_message("%" G_GSIZE_FORMAT " MB down in %.1f s", server->size / MEGABYTE, guest_age(guest) - before);
}

static void upload(struct guest *guest, struct file_server *server)
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
static void fetch(struct guest *guest, const struct file_server *server)
{
	g_autofree char *hash = file_server_hash(server, TFTP_SIZE), *line = g_strdup_printf("output %s", hash);

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

static void pull_cable(struct guest *guest)
{
	g_variant_unref(guest_call(guest, "SetLink", g_variant_new("(b)", FALSE)));
	guest_run(guest, 60, "run while grep -q 1 /sys/class/net/eth0/carrier; do sleep 0.1; done");
	g_variant_unref(guest_call(guest, "SetLink", g_variant_new("(b)", TRUE)));
	guest_run(guest, 60, "run while grep -q 0 /sys/class/net/eth0/carrier; do sleep 0.1; done");
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
	struct file_server server;
	struct guest *guest;

	file_server_start(&server, DOWNLOAD);
	guest = boot(device, device, port, &server);
	get_address(guest, device);
	download(guest, &server, 240);
	upload(guest, &server);
	connect_to_guest(guest, port);
	fetch(guest, &server);
	pull_cable(guest);
	if (measured) {
		guest_run(guest, 60, "run mount -r -t iso9660 /dev/sr0 /mnt");
		measure(guest, false);
		measure(guest, true);
	}
	end(guest);
	file_server_stop(&server);
}

static void test_e1000e(void)
{
	try_adapter("e1000e", false);
}

static void test_iperf(void)
{
	try_adapter("e1000e", true);
}

static void test_e1000(void)
{
	try_adapter("e1000", false);
}

static void test_long_download(void)
{
	struct file_server server;
	struct guest *guest;

	file_server_start(&server, LONG_DOWNLOAD);
	guest = boot("long", "e1000e", free_port(), &server);
	get_address(guest, "e1000e");
	download(guest, &server, 1200);
	end(guest);
	file_server_stop(&server);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	if (argc > 1 && strcmp(argv[1], "long") == 0) {
		g_test_add_func("/linux-network/e1000", test_e1000);
		g_test_add_func("/linux-network/iperf", test_iperf);
		g_test_add_func("/linux-network/long-download", test_long_download);
	} else {
		g_test_add_func("/linux-network/e1000e", test_e1000e);
	}
	return harness_run();
}
