/*
 * A tap device of the host, in a network of the test's own: frames of a guest reach the kernel at the other end and come
 * back, with and without a bridge; what the adapter leaves undone is done; and what is said to those without rights.
 */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../vmm/net/tap.h"
#include "network_guest.h"

#define TAP "testtap"
#define BRIDGE "testbridge"
#define NOBODY 65534

static void request(unsigned long number, struct ifreq *ifreq)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	g_assert_no_errno(ioctl(fd, number, ifreq));
	close(fd);
}

static void switch_interface(const char *name, bool on)
{
	struct ifreq ifreq = { 0 };

	strcpy(ifreq.ifr_name, name);
	request(SIOCGIFFLAGS, &ifreq);
	ifreq.ifr_flags = (short)(on ? ifreq.ifr_flags | IFF_UP : ifreq.ifr_flags & ~IFF_UP);
	request(SIOCSIFFLAGS, &ifreq);
}

/* Gives the interface the address that the guest knows as the router's. */
static void set_address(const char *name)
{
	struct ifreq ifreq = { 0 };
	struct sockaddr_in *address = (struct sockaddr_in *)&ifreq.ifr_addr;

	strcpy(ifreq.ifr_name, name);
	address->sin_family = AF_INET;
	memcpy(&address->sin_addr, router, 4);
	request(SIOCSIFADDR, &ifreq);
	memcpy(&address->sin_addr, "\xFF\xFF\xFF\0", 4);
	request(SIOCSIFNETMASK, &ifreq);
	switch_interface(name, true);
}

/* Stays until the descriptor that holds it is told otherwise, and closed. */
static int make_tap(bool persist)
{
	struct ifreq ifreq = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	g_assert_no_errno(fd);
	strcpy(ifreq.ifr_name, TAP);
	g_assert_no_errno(ioctl(fd, TUNSETIFF, &ifreq));
	g_assert_no_errno(ioctl(fd, TUNSETOWNER, 0));
	g_assert_no_errno(ioctl(fd, TUNSETPERSIST, persist));
	return fd;
}

static void remove_tap(void)
{
	close(make_tap(false));
}

static void begin(struct fixture *f, struct network *(*make)(struct vm *vm, const char *name, GError **error),
		  const char *name)
{
	g_autoptr(GError) error = NULL;

	f->machine = fake_machine_new(1 << 20);
	f->received = g_async_queue_new_full((GDestroyNotify)g_bytes_unref);
	f->network = make(&f->machine->vm, name, &error);
	g_assert_no_error(error);
	g_mutex_lock(&f->machine->vm.lock);
	network_attach(f->network, &adapter_ops, f);
	g_mutex_unlock(&f->machine->vm.lock);
}

static void end(struct fixture *f)
{
	network_free(f->network);
	g_async_queue_unref(f->received);
	fake_machine_free(f->machine);
}

static bool is_arp_reply(const uint8_t *frame, size_t length, const void *what)
{
	(void)what;
	return length >= 42 && get16(frame + 12) == 0x0806 && get16(frame + 20) == 2;
}

/* Who has the router's address? The kernel has, and knows the guest from now on. */
static void find_router(struct fixture *f)
{
	uint8_t frame[60] = { 0 };
	g_autoptr(GBytes) reply = NULL;
	const uint8_t *bytes;

	memset(frame, 0xFF, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, "\x08\x06\0\1\x08\0\6\4\0\1", 10);
	memcpy(frame + 22, mac, 6);
	memcpy(frame + 28, guest_address, 4);
	memcpy(frame + 38, router, 4);
	send_frame(f, frame, sizeof frame, NULL);
	reply = wait_for(f, is_arp_reply, NULL);
	bytes = g_bytes_get_data(reply, NULL);
	g_assert_cmpmem(bytes, 6, mac, 6);
	g_assert_cmpmem(bytes + 28, 4, router, 4);
	memcpy(router_mac, bytes + 22, 6);
}

/* Sums to nothing, with the pseudo header of RFC 793. */
static void check_tcp_checksum(const uint8_t *frame)
{
	const uint8_t *ip = frame + 14;
	unsigned length = get16(ip + 2) - 20, sum = 6 + length;

	for (unsigned i = 12; i < 20; i += 2)
		sum += get16(ip + i);
	for (unsigned i = 0; i < length; i++)
		sum += i & 1 ? ip[20 + i] : (unsigned)ip[20 + i] << 8;
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	g_assert_cmphex(sum, ==, 0xFFFF);
}

/*
 * A connection to the kernel: 5000 bytes in one frame, which the kernel has to take for segments of 1000, and more than a
 * frame has back.
 */
static void talk(struct fixture *f)
{
	g_autoptr(GSocketListener) listener = g_socket_listener_new();
	guint16 port = g_socket_listener_add_any_inet_port(listener, NULL, NULL);
	g_autoptr(GSocketConnection) connection = NULL;
	g_autoptr(GBytes) answer = NULL;
	g_autoptr(GError) error = NULL;
	struct network_offload offload;
	unsigned own_port = 40000, came = 0;
	uint8_t frame[6000];
	char text[5001], got[5001] = "";
	uint32_t sequence;
	size_t length;
	struct tcp_info info;
	socklen_t info_size = sizeof info;

	for (unsigned i = 0; i < 5000; i++)
		text[i] = (char)('a' + i % 23);
	text[5000] = 0;
	length = tcp_segment(frame, router, own_port, port, 1000, 0, SYN, "", &offload);
	send_frame(f, frame, length, &offload);
	answer = wait_for(f, is_tcp_to, &own_port);
	check_tcp_checksum(g_bytes_get_data(answer, NULL));
	g_assert_cmphex(((const uint8_t *)g_bytes_get_data(answer, NULL))[47] & (SYN | ACK | RST), ==, SYN | ACK);
	sequence = sequence_of(g_bytes_get_data(answer, NULL)) + 1;
	length = tcp_segment(frame, router, own_port, port, 1001, sequence, ACK, text, &offload);
	offload.segment_size = 1000;
	offload.header_length = 54;
	send_frame(f, frame, length, &offload);
	connection = g_socket_listener_accept(listener, NULL, NULL, &error);
	g_assert_no_error(error);
	g_input_stream_read_all(g_io_stream_get_input_stream(G_IO_STREAM(connection)), got, 5000, NULL, NULL, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(got, ==, text);
	g_assert_no_errno(getsockopt(g_socket_get_fd(g_socket_connection_get_socket(connection)), IPPROTO_TCP, TCP_INFO, &info,
				     &info_size));
	g_assert_cmpuint(info.tcpi_rcv_mss, ==, 1000);
	g_output_stream_write_all(g_io_stream_get_output_stream(G_IO_STREAM(connection)), text, 2000, NULL, NULL, &error);
	g_assert_no_error(error);
	while (came < 2000) {
		g_autoptr(GBytes) part = wait_for(f, is_tcp_to, &own_port);
		const uint8_t *bytes = g_bytes_get_data(part, NULL);
		unsigned size = get16(bytes + 16) - 20 - (bytes[46] >> 4) * 4u;

		if (!size)
			continue;
		/* Whole segments with their checksums, as a guest's driver wants them. */
		check_tcp_checksum(bytes);
		g_assert_cmpuint(g_bytes_get_size(part), <=, 1514);
		g_assert_cmpmem(bytes + 34 + (bytes[46] >> 4) * 4, size, text + came, size);
		came += size;
		length = tcp_segment(frame, router, own_port, port, 6001, sequence + came, ACK, "", &offload);
		send_frame(f, frame, length, &offload);
	}
}

static void test_tap(void)
{
	g_autoptr(GError) error = NULL;
	struct fixture f;

	close(make_tap(true));
	begin(&f, tap_new, TAP);
	set_address(TAP);
	find_router(&f);
	talk(&f);
	g_assert_null(tap_new(&f.machine->vm, TAP, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_BUSY);
	end(&f);
	/* It is not ours to remove. */
	g_assert_cmpuint(if_nametoindex(TAP), !=, 0);
	remove_tap();
}

/* Two guests on a bridge, which has an address itself. */
static void test_bridge(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct fixture f, other;

	g_assert_no_errno(ioctl(fd, SIOCBRADDBR, BRIDGE));
	set_address(BRIDGE);
	begin(&f, tap_new_on_bridge, BRIDGE);
	begin(&other, tap_new_on_bridge, BRIDGE);
	find_router(&f);
	talk(&f);
	end(&f);
	end(&other);
	/* Their devices have gone with them. */
	g_assert_cmpuint(if_nametoindex("oriel0"), ==, 0);
	switch_interface(BRIDGE, false);
	g_assert_no_errno(ioctl(fd, SIOCBRDELBR, BRIDGE));
	close(fd);
}

static void expect_error(struct network *(*make)(struct vm *vm, const char *name, GError **error), const char *name,
			 int code, const char *text)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(make(NULL, name, &error));
	g_assert_error(error, G_IO_ERROR, code);
	if (!strstr(error->message, text))
		g_error("\"%s\" is not in \"%s\"", text, error->message);
}

static void test_refusals(void)
{
	expect_error(tap_new, "nosuchtap", G_IO_ERROR_NOT_FOUND, "sudo ip tuntap add dev nosuchtap mode tap user ");
	expect_error(tap_new, "lo", G_IO_ERROR_INVALID_ARGUMENT, "lo is no tap device");
	expect_error(tap_new, "a-name-that-is-too-long", G_IO_ERROR_INVALID_ARGUMENT, "too long");
	expect_error(tap_new_on_bridge, "nosuchbridge", G_IO_ERROR_NOT_FOUND, "sudo ip link add nosuchbridge type bridge");
	expect_error(tap_new_on_bridge, "lo", G_IO_ERROR_INVALID_ARGUMENT, "lo is no bridge");
}

/* As somebody without any rights. */
static void test_no_rights(void)
{
	int fd = make_tap(true);

	close(fd);
	if (setresuid((uid_t)-1, NOBODY, (uid_t)-1) < 0) {
		g_test_skip("this user cannot be another one");
	} else {
		expect_error(tap_new, TAP, G_IO_ERROR_PERMISSION_DENIED, "sudo ip tuntap del dev " TAP);
		expect_error(tap_new_on_bridge, "lo", G_IO_ERROR_PERMISSION_DENIED, " master lo up; then set mode of [network]");
		g_assert_no_errno(setresuid((uid_t)-1, 0, (uid_t)-1));
	}
	remove_tap();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		g_test_message("This user may have no network of his own: %s", g_strerror(errno));
		return 77;
	}
	switch_interface("lo", true);
	g_test_add_func("/tap/tap", test_tap);
	g_test_add_func("/tap/bridge", test_bridge);
	g_test_add_func("/tap/refusals", test_refusals);
	g_test_add_func("/tap/no-rights", test_no_rights);
	return g_test_run();
}
