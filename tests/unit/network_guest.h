/*
 * A guest made of frames: what it sends, with checksums left to the network, and what it is given. Its addresses and the
 * router's are those of the NAT, unless a test sets others.
 */
#pragma once

#include <string.h>

#include "../../vmm/net/network.h"
#include "fake_machine.h"

#define PATIENCE (20 * G_USEC_PER_SEC)

static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
static uint8_t router_mac[6] = { 0x52, 0x55, 10, 0, 2, 2 };
static uint8_t guest_address[4] = { 10, 0, 2, 15 }, router[4] = { 10, 0, 2, 2 };

struct fixture {
	struct fake_machine *machine;
	struct network *network;
	GAsyncQueue *received; /* GBytes */
	char *folder;
};

static inline bool receive(void *adapter, const uint8_t *frame, size_t length)
{
	g_async_queue_push(((struct fixture *)adapter)->received, g_bytes_new(frame, length));
	return true;
}

static inline void writable(void *adapter)
{
	(void)adapter;
}

static const struct network_adapter_ops adapter_ops = { receive, writable };

static inline void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static inline unsigned get16(const uint8_t *p)
{
	return (unsigned)(p[0] << 8 | p[1]);
}

static inline void send_frame(struct fixture *f, const uint8_t *frame, size_t length, const struct network_offload *offload)
{
	uint8_t *place;

	g_mutex_lock(&f->machine->vm.lock);
	while (!(place = network_frame(f->network))) {
		g_mutex_unlock(&f->machine->vm.lock);
		g_thread_yield();
		g_mutex_lock(&f->machine->vm.lock);
	}
	memcpy(place, frame, length);
	network_send(f->network, length, offload);
	g_mutex_unlock(&f->machine->vm.lock);
}

typedef bool (*matches)(const uint8_t *frame, size_t length, const void *what);

/* The next frame that is meant; others are none of our business. */
static inline GBytes *wait_for(struct fixture *f, matches match, const void *what)
{
	gint64 end = g_get_monotonic_time() + PATIENCE;

	for (;;) {
		GBytes *bytes = g_async_queue_timeout_pop(f->received, (guint64)MAX(end - g_get_monotonic_time(), 1));
		gsize length;
		const uint8_t *frame;

		g_assert_nonnull(bytes);
		frame = g_bytes_get_data(bytes, &length);
		if (match(frame, length, what))
			return bytes;
		g_bytes_unref(bytes);
	}
}

/* Ethernet and IPv4 headers; the transport's checksum is left to the network. */
static inline size_t ip_frame(uint8_t *frame, const uint8_t *destination, unsigned protocol, const uint8_t *payload,
		       size_t length, struct network_offload *offload)
{
	uint8_t *ip = frame + 14;
	unsigned sum = 0;

	memcpy(frame, router_mac, 6);
	memcpy(frame + 6, mac, 6);
	put16(frame + 12, 0x0800);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + length));
	ip[8] = 64;
	ip[9] = (uint8_t)protocol;
	memcpy(ip + 12, destination == NULL ? (const uint8_t *)"\0\0\0\0" : guest_address, 4);
	memcpy(ip + 16, destination ? destination : (const uint8_t *)"\xFF\xFF\xFF\xFF", 4);
	for (unsigned i = 0; i < 20; i += 2)
		sum += get16(ip + i);
	sum = (sum & 0xFFFF) + (sum >> 16);
	put16(ip + 10, ~((sum & 0xFFFF) + (sum >> 16)));
	memcpy(ip + 20, payload, length);
	sum = protocol + (unsigned)length;
	for (unsigned i = 12; i < 20; i += 2)
		sum += get16(ip + i);
	sum = (sum & 0xFFFF) + (sum >> 16);
	*offload = (struct network_offload){ .checksum = true, .checksum_start = 34,
					     .checksum_offset = protocol == 6 ? 16 : 6 };
	put16(ip + 20 + offload->checksum_offset, (sum & 0xFFFF) + (sum >> 16));
	return 34 + length;
}

static inline bool is_tcp_to(const uint8_t *frame, size_t length, const void *port)
{
	return length >= 54 && get16(frame + 12) == 0x0800 && frame[23] == 6 && get16(frame + 36) == *(const unsigned *)port;
}

static inline size_t tcp_segment(uint8_t *frame, const uint8_t *destination, unsigned from, unsigned to, uint32_t sequence,
			  uint32_t acknowledged, unsigned flags, const char *text, struct network_offload *offload)
{
	size_t length = 20 + strlen(text);
	g_autofree uint8_t *tcp = g_malloc0(length);

	put16(tcp, from);
	put16(tcp + 2, to);
	put16(tcp + 4, sequence >> 16);
	put16(tcp + 6, sequence & 0xFFFF);
	put16(tcp + 8, acknowledged >> 16);
	put16(tcp + 10, acknowledged & 0xFFFF);
	tcp[12] = 0x50;
	tcp[13] = (uint8_t)flags;
	put16(tcp + 14, 0xFFFF);
	memcpy(tcp + 20, text, length - 20);
	return ip_frame(frame, destination, 6, tcp, length, offload);
}

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static inline uint32_t sequence_of(const uint8_t *frame)
{
	return get16(frame + 38) << 16 | get16(frame + 40);
}
