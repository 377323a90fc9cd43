/* The NAT with a guest made of frames: addresses, connections both ways, forwarded ports, recordings. */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#include "../../vmm/net/nat.h"
#include "../free_port.h"
#include "network_guest.h"

#define BROADCAST "\xFF\xFF\xFF\xFF\xFF\xFF"

static void open_nat(struct fixture *f, const struct nat_options *options)
{
	g_autoptr(GError) error = NULL;

	f->machine = fake_machine_new(1 << 20);
	f->received = g_async_queue_new_full((GDestroyNotify)g_bytes_unref);
	f->folder = g_dir_make_tmp("oriel-network-XXXXXX", NULL);
	f->network = nat_new(&f->machine->vm, options, &error);
	g_assert_no_error(error);
	g_mutex_lock(&f->machine->vm.lock);
	network_attach(f->network, &adapter_ops, f);
	g_mutex_unlock(&f->machine->vm.lock);
}

static void set_up(struct fixture *f, gconstpointer isolated)
{
	struct nat_options options = { .isolated = isolated != NULL };

	open_nat(f, &options);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	network_free(f->network);
	g_async_queue_unref(f->received);
	fake_machine_free(f->machine);
	g_assert_cmpint(g_rmdir(f->folder), ==, 0);
	g_free(f->folder);
}

static bool is_dhcp_offer(const uint8_t *frame, size_t length, const void *what)
{
	(void)what;
	return length > 282 && get16(frame + 12) == 0x0800 && frame[23] == 17 && get16(frame + 36) == 68;
}

static GBytes *discover(struct fixture *f)
{
	uint8_t payload[8 + 300] = { 0 }, frame[400];
	uint8_t *dhcp = payload + 8;
	struct network_offload offload;
	size_t length;

	put16(payload, 68);
	put16(payload + 2, 67);
	put16(payload + 4, sizeof payload);
	memcpy(dhcp, "\x01\x01\x06\x00\x12\x34\x56\x78", 8);
	memcpy(dhcp + 28, mac, 6);
	memcpy(dhcp + 236, "\x63\x82\x53\x63\x35\x01\x01\xFF", 8);
	length = ip_frame(frame, NULL, 17, payload, sizeof payload, &offload);
	send_frame(f, frame, length, &offload);
	return wait_for(f, is_dhcp_offer, NULL);
}

static void test_dhcp(struct fixture *f, gconstpointer data)
{
	g_autoptr(GBytes) offer = discover(f);
	const uint8_t *dhcp = (const uint8_t *)g_bytes_get_data(offer, NULL) + 42;

	(void)data;
	g_assert_cmpmem(dhcp + 4, 4, "\x12\x34\x56\x78", 4);
	g_assert_cmpmem(dhcp + 16, 4, guest_address, 4);
}

/* A connection to a server of the host, which the guest knows as 10.0.2.2; a text there and one back. */
static void connect_out(struct fixture *f)
{
	g_autoptr(GSocketListener) listener = g_socket_listener_new();
	guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
	g_autoptr(GSocketConnection) connection = NULL;
	g_autoptr(GBytes) answer = NULL, text = NULL;
	g_autoptr(GError) error = NULL;
	struct network_offload offload;
	unsigned own_port = 40000;
	uint8_t frame[200];
	char buffer[8] = "";
	uint32_t sequence;
	size_t length;

	length = tcp_segment(frame, router, own_port, port, 1000, 0, SYN, "", &offload);
	send_frame(f, frame, length, &offload);
	answer = wait_for(f, is_tcp_to, &own_port);
	g_assert_cmphex(((const uint8_t *)g_bytes_get_data(answer, NULL))[47] & (SYN | ACK | RST), ==, SYN | ACK);
	sequence = sequence_of(g_bytes_get_data(answer, NULL)) + 1;
	length = tcp_segment(frame, router, own_port, port, 1001, sequence, ACK, "hello", &offload);
	send_frame(f, frame, length, &offload);
	connection = g_socket_listener_accept(listener, NULL, NULL, &error);
	g_assert_no_error(error);
	g_input_stream_read_all(g_io_stream_get_input_stream(G_IO_STREAM(connection)), buffer, 5, NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(buffer, ==, "hello");
	g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(connection)), "world", 5, NULL, NULL, &error);
	g_assert_no_error(error);
	do {
		g_clear_pointer(&text, g_bytes_unref);
		text = wait_for(f, is_tcp_to, &own_port);
	} while (g_bytes_get_size(text) < 59 ||
		 get16((const uint8_t *)g_bytes_get_data(text, NULL) + 16) != 45);
	g_assert_cmpmem((const uint8_t *)g_bytes_get_data(text, NULL) + 54, 5, "world", 5);
	/* Frames for the guest have the router's address and the guest's. */
	g_assert_cmpmem(g_bytes_get_data(text, NULL), 6, mac, 6);
}

static void test_connect(struct fixture *f, gconstpointer data)
{
	(void)data;
	g_bytes_unref(discover(f));
	connect_out(f);
}

/* Nothing answers: what is asked for later comes first. */
static void test_isolated(struct fixture *f, gconstpointer data)
{
	struct network_offload offload;
	g_autoptr(GBytes) next = NULL;
	uint8_t frame[200];
	size_t length;

	(void)data;
	g_bytes_unref(discover(f));
	length = tcp_segment(frame, (const uint8_t *)"\x7F\0\0\x01", 40000, 80, 1000, 0, SYN, "", &offload);
	send_frame(f, frame, length, &offload);
	g_bytes_unref(discover(f));
	while ((next = g_async_queue_try_pop(f->received))) {
		g_assert_false(is_tcp_to(g_bytes_get_data(next, NULL), g_bytes_get_size(next), &(unsigned){ 40000 }));
		g_clear_pointer(&next, g_bytes_unref);
	}
}

struct forwarded {
	bool done;
	GError *error;
};

static void forward_done(void *opaque, const GError *error)
{
	struct forwarded *forwarded = opaque;

	forwarded->done = true;
	forwarded->error = error ? g_error_copy(error) : NULL;
}

static void change_forward(struct fixture *f, const char *text, bool add, GError **error)
{
	struct nat_forward *forward = nat_forward_parse(text, error);
	struct forwarded forwarded = { 0 };

	g_assert_nonnull(forward);
	g_mutex_lock(&f->machine->vm.lock);
	nat_forward(&f->machine->vm, f->network, forward, add, forward_done, &forwarded);
	g_mutex_unlock(&f->machine->vm.lock);
	nat_forward_free(forward);
	while (!forwarded.done)
		g_main_context_iteration(f->machine->vm.loop.context, TRUE);
	if (forwarded.error)
		g_propagate_error(error, forwarded.error);
}

static void test_forward(struct fixture *f, gconstpointer data)
{
	g_autoptr(GSocketClient) client = g_socket_client_new();
	g_autoptr(GSocketConnection) connection = NULL, refused = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(GBytes) first = NULL;
	guint16 port = free_port();
	g_autofree char *text = g_strdup_printf("tcp:%u-22", port);
	unsigned guest_port = 22;

	(void)data;
	g_bytes_unref(discover(f));
	change_forward(f, text, true, &error);
	g_assert_no_error(error);
	connection = g_socket_client_connect_to_host(client, "127.0.0.1", port, NULL, &error);
	g_assert_no_error(error);
	first = wait_for(f, is_tcp_to, &guest_port);
	g_assert_cmphex(((const uint8_t *)g_bytes_get_data(first, NULL))[47] & (SYN | ACK), ==, SYN);
	/* Twice is once too often. */
	change_forward(f, text, true, &error);
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, "Choose another port"));
	g_clear_error(&error);
	change_forward(f, text, false, &error);
	g_assert_no_error(error);
	refused = g_socket_client_connect_to_host(client, "127.0.0.1", port, NULL, &error);
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED);
	g_clear_error(&error);
	change_forward(f, text, false, &error);
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
}

static void test_forward_text(void)
{
	static const char *const bad[] = { "", "tcp", "tcp:", "tcp:22", "tcp:22-", "tcp:-22", "tcp:0-22", "tcp:22-65536",
		"tcp:x:22-22", "icmp:1-2", "tcp:127.0.0.1:1-[fec0::1]:2", "tcp:[::1]:1-2", "tcp:22-22-22", "tcp: 22-22" };
	struct nat_forward *forward = nat_forward_parse("udp:[::1]:53-[fec0::15]:5353", NULL);

	g_assert_true(forward->udp);
	g_assert_cmpstr(forward->host_address, ==, "::1");
	g_assert_cmpuint(forward->host_port, ==, 53);
	g_assert_cmpstr(forward->guest_address, ==, "fec0::15");
	g_assert_cmpuint(forward->guest_port, ==, 5353);
	nat_forward_free(forward);
	forward = nat_forward_parse("tcp:0.0.0.0:8080-80", NULL);
	g_assert_cmpstr(forward->host_address, ==, "0.0.0.0");
	g_assert_null(forward->guest_address);
	nat_forward_free(forward);
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_null(nat_forward_parse(bad[i], &error));
		g_assert_nonnull(strstr(error->message, "is no port forward"));
	}
}

static void test_forward_list(void)
{
	static const char text[] = "tcp:2222-22; udp:[::1]:53-[fec0::15]:5353; tcp:0.0.0.0:8080-10.0.2.20:80";
	GPtrArray *forwards = nat_forward_parse_list(" tcp:2222-22;;udp:[::1]:53-[fec0::15]:5353 ; "
						     "tcp:0.0.0.0:8080-10.0.2.20:80;", NULL);
	struct nat_forward *same = nat_forward_parse("tcp:127.0.0.1:2222-80", NULL);
	g_autofree char *formatted = nat_forward_format_list(forwards);
	g_autoptr(GError) error = NULL;
	GPtrArray *none = nat_forward_parse_list(NULL, NULL);

	g_assert_cmpuint(forwards->len, ==, 3);
	g_assert_cmpstr(formatted, ==, text);
	g_assert_true(nat_forward_same_port(forwards->pdata[0], same));
	g_assert_false(nat_forward_same_port(forwards->pdata[1], same));
	g_assert_false(nat_forward_same_port(forwards->pdata[2], same));
	g_assert_cmpuint(none->len, ==, 0);
	g_assert_null(nat_forward_parse_list("tcp:2222-22; ssh", &error));
	g_assert_nonnull(strstr(error->message, "\"ssh\""));
	nat_forward_free(same);
	g_ptr_array_unref(forwards);
	g_ptr_array_unref(none);
}

/* Blocks as the format has them: types, lengths at both ends, all of the file. */
static void test_capture(struct fixture *f, gconstpointer data)
{
	g_autofree char *path = g_build_filename(f->folder, "capture.pcapng", NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *bytes = NULL;
	unsigned packets = 0;
	gsize size;

	(void)data;
	g_assert_true(network_capture(f->network, path, &error));
	g_assert_no_error(error);
	g_bytes_unref(discover(f));
	g_assert_true(network_capture(f->network, NULL, &error));
	network_stop(f->network);
	g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
	for (gsize at = 0; at < size;) {
		uint32_t head[2], again;

		g_assert_cmpuint(size - at, >=, 12);
		memcpy(head, bytes + at, sizeof head);
		g_assert_cmpuint(head[1], <=, size - at);
		memcpy(&again, bytes + at + head[1] - 4, sizeof again);
		g_assert_cmpuint(again, ==, head[1]);
		g_assert_cmphex(head[0], ==, at == 0 ? 0x0A0D0D0A : packets || at > 28 ? 6 : 1);
		packets += head[0] == 6;
		at += head[1];
	}
	g_assert_cmpuint(packets, >=, 2);
	g_remove(path);
	g_assert_false(network_capture(f->network, "/nowhere/at/all", &error));
	g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);
}

/* Random frames, from a guest that means harm. */
static void test_nonsense(struct fixture *f, gconstpointer data)
{
	uint8_t frame[2000];

	(void)data;
	for (unsigned i = 0; i < 5000; i++) {
		size_t length = (size_t)g_test_rand_int_range(14, sizeof frame);
		struct network_offload offload = { .checksum = i % 3 == 0, .checksum_start = (uint16_t)g_test_rand_int(),
						   .checksum_offset = (uint16_t)g_test_rand_int() };

		for (size_t n = 0; n < length; n++)
			frame[n] = (uint8_t)g_test_rand_int();
		if (offload.checksum)
			offload.checksum_start = (uint16_t)g_test_rand_int_range(0, (gint32)length);
		memcpy(frame, BROADCAST, 6);
		put16(frame + 12, i % 4 == 0 ? 0x0806 : i % 4 == 1 ? 0x86DD : 0x0800);
		frame[14] = i % 2 ? 0x45 : frame[14];
		send_frame(f, frame, length, &offload);
		while (i % 16 == 0 && g_async_queue_length(f->received) > 0)
			g_bytes_unref(g_async_queue_pop(f->received));
	}
	g_bytes_unref(discover(f));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/network/dhcp", struct fixture, NULL, set_up, test_dhcp, tear_down);
	g_test_add("/network/connect", struct fixture, NULL, set_up, test_connect, tear_down);
	g_test_add("/network/isolated", struct fixture, "isolated", set_up, test_isolated, tear_down);
	g_test_add("/network/forward", struct fixture, NULL, set_up, test_forward, tear_down);
	g_test_add_func("/network/forward-text", test_forward_text);
	g_test_add_func("/network/forward-list", test_forward_list);
	g_test_add("/network/capture", struct fixture, NULL, set_up, test_capture, tear_down);
	g_test_add("/network/nonsense", struct fixture, NULL, set_up, test_nonsense, tear_down);
	return g_test_run();
}
