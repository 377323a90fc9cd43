#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCH 64u /* frames from the host, before those from the guest have their turn */

enum { ETHERTYPE_VLAN = 0x8100, ETHERTYPE_IPV6 = 0x86DD };

struct tap {
	struct network *network;
	int fd;
	uint8_t frame[NETWORK_FRAME_MAX];
};

/* --- The network's thread --- */

static void tap_prepare(void *outside, GArray *descriptors, int *timeout)
{
	struct pollfd descriptor = { .fd = ((struct tap *)outside)->fd, .events = POLLIN };

	(void)timeout;
	g_array_append_val(descriptors, descriptor);
}

/* The host's kernel cuts and sums up what it gives us, as it was told. */
static void tap_dispatch(void *outside, const struct pollfd *descriptors)
{
	struct tap *tap = outside;

	if (!descriptors->revents)
		return;
	for (unsigned i = 0; i < BATCH; i++) {
		struct virtio_net_hdr header;
		struct iovec parts[] = { { &header, sizeof header }, { tap->frame, sizeof tap->frame } };
		ssize_t length = readv(tap->fd, parts, G_N_ELEMENTS(parts));

		if (length <= (ssize_t)sizeof header)
			return;
		network_deliver(tap->network, tap->frame, (size_t)length - sizeof header);
	}
}

static bool is_ipv6(const uint8_t *frame, size_t length)
{
	const uint8_t *type = frame + NETWORK_HEADER - 2;

	if (length >= NETWORK_HEADER + 4 && (type[0] << 8 | type[1]) == ETHERTYPE_VLAN)
		type += 4;
	return (type[0] << 8 | type[1]) == ETHERTYPE_IPV6;
}

/* What the adapter left undone the kernel does, or the adapter of the host. */
static void describe(struct virtio_net_hdr *header, const uint8_t *frame, size_t length,
		     const struct network_offload *offload)
{
	*header = (struct virtio_net_hdr){ 0 };
	if (!offload->checksum || (size_t)offload->checksum_start + offload->checksum_offset + 2 > length)
		return;
	header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header->csum_start = offload->checksum_start;
	header->csum_offset = offload->checksum_offset;
	if (!offload->segment_size)
		return;
	header->gso_type = is_ipv6(frame, length) ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	header->gso_size = offload->segment_size;
	header->hdr_len = offload->header_length;
}

/* A frame that the host does not take is lost, as on any wire. */
static void tap_transmit(void *outside, uint8_t *frame, size_t length, const struct network_offload *offload)
{
	struct tap *tap = outside;
	struct virtio_net_hdr header;
	struct iovec parts[] = { { &header, sizeof header }, { frame, length } };

	if (length < NETWORK_HEADER)
		return;
	describe(&header, frame, length, offload);
	if (writev(tap->fd, parts, G_N_ELEMENTS(parts)) < 0 && errno != EAGAIN)
		g_debug("tap: the host refused a frame: %s", g_strerror(errno));
}

static void tap_destroy(void *outside)
{
	struct tap *tap = outside;

	close(tap->fd);
	g_free(tap);
}

static const struct network_ops tap_ops = {
	.name = "tap",
	.prepare = tap_prepare,
	.dispatch = tap_dispatch,
	.transmit = tap_transmit,
	.destroy = tap_destroy,
};

/* --- Opening --- */

/* The commands that make a tap device for this user; bridge NULL: on none. Free with g_free(). */
static char *commands(const char *tap, const char *bridge)
{
	g_autofree char *master = bridge ? g_strdup_printf(" master %s", bridge) : g_strdup("");

	return g_strdup_printf("sudo ip tuntap add dev %s mode tap user %s && sudo ip link set %s%s up", tap,
			       g_get_user_name(), tap, master);
}

static bool fail_missing(const char *interface, GError **error)
{
	g_autofree char *command = commands(interface, NULL);

	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
		    _("This computer has no network interface %s. Make it: %s"), interface, command);
	return false;
}

static bool fail_attach(const char *interface, int code, GError **error)
{
	g_autofree char *command = commands(interface, NULL);

	if (code == EPERM || code == EACCES)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    _("You may not use the network interface %s: it belongs to somebody else. Make it yours: "
			      "sudo ip tuntap del dev %s mode tap && %s"), interface, interface, command);
	else if (code == EBUSY)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
			    _("The network interface %s is used by another program; each machine needs one of its "
			      "own"), interface);
	else if (code == EINVAL)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    _("The network interface %s is no tap device. Make one of another name, and put it on a "
			      "bridge with that interface, if the guest shall be in the same network"), interface);
	else
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, _("Cannot use the network interface %s: %s"),
			    interface, g_strerror(code));
	return false;
}

static bool set_name(struct ifreq *request, const char *interface, GError **error)
{
	memset(request, 0, sizeof *request);
	if (strlen(interface) < sizeof request->ifr_name) {
		strcpy(request->ifr_name, interface);
		return true;
	}
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
		    _("\"%s\" is too long for the name of a network interface"), interface);
	return false;
}

static int open_tun(GError **error)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno), _("Cannot open /dev/net/tun: %s. %s"),
			    g_strerror(errno), errno == EACCES ?
			    _("Let everybody open it: sudo chmod 666 /dev/net/tun") :
			    _("Load its driver: sudo modprobe tun"));
	return fd;
}

/* A socket for requests about interfaces. */
static int open_requests(GError **error)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    _("Cannot ask for network interfaces: %s"), g_strerror(errno));
	return fd;
}

/* Frames come whole, with their checksums: offloads are for what the guest sends. */
static int attach(int fd, struct ifreq *request)
{
	int header_size = sizeof(struct virtio_net_hdr);

	request->ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (ioctl(fd, TUNSETIFF, request) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &header_size) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, 0) < 0)
		return errno;
	return 0;
}

/* Switches the interface on, unless it is. */
static bool bring_up(const char *interface, GError **error)
{
	int requests = open_requests(error);
	struct ifreq request;
	bool up;

	if (requests < 0 || !set_name(&request, interface, error))
		return false;
	up = ioctl(requests, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_UP;
	if (!up) {
		request.ifr_flags |= IFF_UP;
		up = ioctl(requests, SIOCSIFFLAGS, &request) == 0;
	}
	if (!up)
		g_set_error(error, G_IO_ERROR, g_io_error_from_errno(errno),
			    _("The network interface %s is switched off. Switch it on: sudo ip link set %s up"),
			    interface, interface);
	close(requests);
	return up;
}

static struct network *new_network(struct vm *vm, int fd)
{
	struct tap *tap = g_new0(struct tap, 1);

	tap->fd = fd;
	tap->network = network_new(vm, &tap_ops, tap);
	return tap->network;
}

static bool attach_existing(int fd, const char *interface, GError **error)
{
	struct ifreq request;
	int code;

	if (!set_name(&request, interface, error))
		return false;
	/* Who has the right would otherwise make one, with a name that was mistyped. */
	if (!if_nametoindex(interface))
		return fail_missing(interface, error);
	code = attach(fd, &request);
	return code ? fail_attach(interface, code, error) : bring_up(interface, error);
}

struct network *tap_new(struct vm *vm, const char *interface, GError **error)
{
	int fd = open_tun(error);

	if (fd < 0)
		return NULL;
	if (attach_existing(fd, interface, error))
		return new_network(vm, fd);
	close(fd);
	return NULL;
}

static bool fail_bridge(const char *bridge, int code, GError **error)
{
	g_autofree char *command = commands("tap0", bridge);

	if (code == EPERM)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
			    _("Only root may put a machine on the bridge %s. Make a tap device there that is yours: "
			      "%s; then set mode of [network] to tap and interface to tap0"), bridge, command);
	else if (code == EOPNOTSUPP)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    _("The network interface %s is no bridge"), bridge);
	else
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, _("Cannot put a machine on the bridge %s: %s"),
			    bridge, g_strerror(code));
	return false;
}

static bool add_to_bridge(const char *bridge, const char *tap, GError **error)
{
	int requests = open_requests(error), code = 0;
	struct ifreq request;

	if (requests < 0 || !set_name(&request, bridge, error))
		return false;
	request.ifr_ifindex = (int)if_nametoindex(tap);
	if (ioctl(requests, SIOCBRADDIF, &request) < 0)
		code = errno;
	close(requests);
	return code ? fail_bridge(bridge, code, error) : bring_up(tap, error);
}

static bool attach_new(int fd, const char *bridge, GError **error)
{
	struct ifreq request;
	int code;

	if (!if_nametoindex(bridge)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    _("This computer has no bridge %s. Make it: sudo ip link add %s type bridge && sudo ip "
			      "link set %s up"), bridge, bridge, bridge);
		return false;
	}
	set_name(&request, "oriel%d", error);
	code = attach(fd, &request);
	return code ? fail_bridge(bridge, code, error) : add_to_bridge(bridge, request.ifr_name, error);
}

struct network *tap_new_on_bridge(struct vm *vm, const char *bridge, GError **error)
{
	int fd = open_tun(error);

	if (fd < 0)
		return NULL;
	if (attach_new(fd, bridge, error))
		return new_network(vm, fd);
	close(fd);
	return NULL;
}
