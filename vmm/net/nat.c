#include "nat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <slirp/libslirp.h>
#include <string.h>
#include <time.h>

#define NSEC_PER_MSEC 1000000

struct nat {
	struct network *network;
	Slirp *slirp;
	GPtrArray *timers; /* struct nat_timer * */
	GArray *descriptors; /* of the call of prepare */
	const struct pollfd *polled;
};

struct nat_timer {
	struct nat *nat;
	SlirpTimerId id;
	void *opaque;
	int64_t deadline; /* ms; -1: none */
};

/* --- What libslirp asks of us --- */

static ssize_t send_packet(const void *frame, size_t length, void *opaque)
{
	struct nat *nat = opaque;

	network_deliver(nat->network, frame, length);
	return (ssize_t)length;
}

static void guest_error(const char *message, void *opaque)
{
	(void)opaque;
	g_debug("network: %s", message);
}

static int64_t now_ns(void *opaque)
{
	struct timespec now;

	(void)opaque;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *timer_new(SlirpTimerId id, void *timer_opaque, void *opaque)
{
	struct nat *nat = opaque;
	struct nat_timer *timer = g_new(struct nat_timer, 1);

	*timer = (struct nat_timer){ nat, id, timer_opaque, -1 };
	g_ptr_array_add(nat->timers, timer);
	return timer;
}

static void timer_free(void *timer, void *opaque)
{
	g_ptr_array_remove_fast(((struct nat *)opaque)->timers, timer);
}

static void timer_mod(void *timer, int64_t deadline, void *opaque)
{
	(void)opaque;
	((struct nat_timer *)timer)->deadline = deadline;
}

static void no_descriptor(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

/* Only ever called by what the network's own thread does, which looks anyhow before it sleeps. */
static void no_notice(void *opaque)
{
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = now_ns,
	.timer_free = timer_free,
	.timer_mod = timer_mod,
	.register_poll_fd = no_descriptor,
	.unregister_poll_fd = no_descriptor,
	.notify = no_notice,
	.timer_new_opaque = timer_new,
};

/* --- The network's thread --- */

static const struct {
	int slirp;
	short poll;
} conditions[] = {
	{ SLIRP_POLL_IN, POLLIN }, { SLIRP_POLL_OUT, POLLOUT }, { SLIRP_POLL_PRI, POLLPRI },
	{ SLIRP_POLL_ERR, POLLERR }, { SLIRP_POLL_HUP, POLLHUP },
};

static int add_descriptor(int fd, int events, void *opaque)
{
	struct nat *nat = opaque;
	struct pollfd descriptor = { .fd = fd };

	for (unsigned i = 0; i < G_N_ELEMENTS(conditions); i++)
		if (events & conditions[i].slirp)
			descriptor.events |= conditions[i].poll;
	g_array_append_val(nat->descriptors, descriptor);
	return (int)nat->descriptors->len - 1;
}

static int descriptor_events(int index, void *opaque)
{
	const struct nat *nat = opaque;
	int events = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(conditions); i++)
		if (index >= 0 && nat->polled[index].revents & conditions[i].poll)
			events |= conditions[i].slirp;
	return events;
}

static void nat_prepare(void *outside, GArray *descriptors, int *timeout)
{
	struct nat *nat = outside;
	int64_t now = now_ns(nat) / NSEC_PER_MSEC;
	uint32_t wait = UINT32_MAX;

	nat->descriptors = descriptors;
	slirp_pollfds_fill(nat->slirp, &wait, add_descriptor, nat);
	for (guint i = 0; i < nat->timers->len; i++) {
		const struct nat_timer *timer = nat->timers->pdata[i];

		if (timer->deadline >= 0)
			wait = MIN(wait, (uint32_t)CLAMP(timer->deadline - now, 0, INT_MAX));
	}
	if (wait <= INT_MAX)
		*timeout = (int)wait;
}

static void run_timers(struct nat *nat)
{
	int64_t now = now_ns(nat) / NSEC_PER_MSEC;

	for (guint i = 0; i < nat->timers->len; i++) {
		struct nat_timer *timer = nat->timers->pdata[i];

		if (timer->deadline < 0 || timer->deadline > now)
			continue;
		timer->deadline = -1;
		slirp_handle_timer(nat->slirp, timer->id, timer->opaque);
	}
}

static void nat_dispatch(void *outside, const struct pollfd *descriptors)
{
	struct nat *nat = outside;

	nat->polled = descriptors;
	slirp_pollfds_poll(nat->slirp, 0, descriptor_events, nat);
	nat->polled = NULL;
	run_timers(nat);
}

/* A segment that was never cut into pieces goes through libslirp as it is: it only ends in a socket. */
static void nat_transmit(void *outside, uint8_t *frame, size_t length, const struct network_offload *offload)
{
	struct nat *nat = outside;

	network_complete_checksum(frame, length, offload);
	slirp_input(nat->slirp, frame, (int)length);
}

static void nat_destroy(void *outside)
{
	struct nat *nat = outside;

	if (nat->slirp)
		slirp_cleanup(nat->slirp);
	g_ptr_array_unref(nat->timers);
	g_free(nat);
}

static const struct network_ops nat_ops = {
	.name = "nat",
	.prepare = nat_prepare,
	.dispatch = nat_dispatch,
	.transmit = nat_transmit,
	.destroy = nat_destroy,
};

static struct in_addr address(const char *text)
{
	return (struct in_addr){ inet_addr(text) };
}

static struct in6_addr address6(const char *text)
{
	struct in6_addr address = { 0 };

	inet_pton(AF_INET6, text, &address);
	return address;
}

struct network *nat_new(struct vm *vm, const struct nat_options *options, GError **error)
{
	struct nat *nat = g_new0(struct nat, 1);

	SlirpConfig config = {
		.version = 4,
		.restricted = options->isolated,
		.in_enabled = true,
		.vnetwork = address("10.0.2.0"),
		.vnetmask = address("255.255.255.0"),
		.vhost = address("10.0.2.2"),
		.in6_enabled = true,
		.vprefix_addr6 = address6("fec0::"),
		.vprefix_len = 64,
		.vhost6 = address6("fec0::2"),
		.tftp_path = options->tftp,
		.bootfile = options->boot_file,
		.vdhcp_start = address("10.0.2.15"),
		.vnameserver = address("10.0.2.3"),
		.vnameserver6 = address6("fec0::3"),
	};

	nat->timers = g_ptr_array_new_with_free_func(g_free);
	nat->slirp = slirp_new(&config, &callbacks, nat);
	if (!nat->slirp) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED,
			    _("libslirp %s does not offer the network that is needed. Install libslirp 4.7 or later"),
			    slirp_version_string());
		nat_destroy(nat);
		return NULL;
	}
	nat->network = network_new(vm, &nat_ops, nat);
	return nat->network;
}

/* --- Forwarded ports --- */

struct forward_call {
	struct vm *vm;
	bool add, udp;
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} host, guest;
	socklen_t length;
	nat_done done;
	void *opaque;
	int error;
};

static void answer_forward(void *data)
{
	struct forward_call *call = data;
	g_autoptr(GError) error = NULL;
	uint16_t port = ntohs(call->host.in.sin_port);

	if (call->error && call->add)
		error = g_error_new(G_IO_ERROR, g_io_error_from_errno(call->error),
				    _("Port %u of the host cannot be forwarded: %s. Choose another port"), port,
				    g_strerror(call->error));
	else if (call->error)
		error = g_error_new(G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("Port %u of the host is not forwarded"), port);
	if (call->done)
		call->done(call->opaque, error);
	else if (error)
		g_warning("%s", error->message);
	g_free(call);
}

static void carry_out_forward(void *outside, void *data)
{
	struct nat *nat = outside;
	struct forward_call *call = data;
	int flags = call->udp ? SLIRP_HOSTFWD_UDP : 0, result;

	errno = 0;
	if (call->add)
		result = slirp_add_hostxfwd(nat->slirp, &call->host.any, call->length, &call->guest.any, call->length,
					    flags);
	else
		result = slirp_remove_hostxfwd(nat->slirp, &call->host.any, call->length, flags);
	call->error = result < 0 ? errno ? errno : EINVAL : 0;
	loop_call(&call->vm->loop, answer_forward, call);
}

void nat_forward(struct vm *vm, struct network *network, const struct nat_forward *forward, bool add, nat_done done,
		 void *opaque)
{
	struct forward_call *call = g_new0(struct forward_call, 1);

	*call = (struct forward_call){ .vm = vm, .add = add, .udp = forward->udp, .done = done, .opaque = opaque };
	if (nat_forward_is_ipv6(forward)) {
		call->length = sizeof call->host.in6;
		call->host.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(forward->host_port),
			.sin6_addr = address6(forward->host_address) };
		call->guest.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
			.sin6_port = htons(forward->guest_port),
			.sin6_addr = address6(forward->guest_address) };
	} else {
		call->length = sizeof call->host.in;
		call->host.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(forward->host_port),
			.sin_addr = address(forward->host_address ? forward->host_address : NAT_HOST_ADDRESS) };
		call->guest.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(forward->guest_port),
			.sin_addr = address(forward->guest_address ? forward->guest_address : NAT_GUEST_ADDRESS) };
	}
	network_call(network, carry_out_forward, call);
}
