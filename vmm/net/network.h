/*
 * A guest's network: frames between an adapter, which lives under vm->lock, and the world outside (NAT, a tap), which
 * has a thread of its own, so that no vCPU waits for a socket.
 *
 * Frames from the guest wait in a ring that the adapter writes into directly; the thread takes them without vm->lock.
 * Frames for the guest are collected while the thread works off its sockets, and handed over together with vm->lock
 * held once. An adapter without buffers makes them wait, and makes the outside wait by that.
 */
#pragma once

#include <glib.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "../vm.h"

#define NETWORK_HEADER 14u /* Ethernet II */
#define NETWORK_FRAME_MAX (NETWORK_HEADER + 4 + 65535u)

struct capture;
struct network;

/* What the adapter left to others to do with a frame; virtio_net_hdr without the wire format. */
struct network_offload {
	bool checksum;          /* of TCP or UDP, at checksum_start + checksum_offset; that of the pseudo header is there */
	uint16_t checksum_start, checksum_offset;
	uint16_t segment_size;  /* not 0: TCP of more than one segment, each with so much data */
	uint16_t header_length; /* with segment_size: where the data begins */
};

struct network_adapter_ops {
	/* A frame without checksum (4 bytes of FCS). False: no buffer for it now; network_resume() will tell. */
	bool (*receive)(void *adapter, const uint8_t *frame, size_t length);
	/* network_frame() has room again after it had none. */
	void (*writable)(void *adapter);
};

struct network_counters {
	uint64_t sent_frames, sent_bytes;
	uint64_t received_frames, received_bytes, dropped;
};

/* --- For the adapter: with vm->lock --- */

/*
 * Where the next frame goes, NETWORK_FRAME_MAX bytes, and what is written there stays until network_send(); NULL while
 * too many wait.
 */
uint8_t *network_frame(struct network *network);
void network_send(struct network *network, size_t length, const struct network_offload *offload);
/* There are buffers again. */
void network_resume(struct network *network);
/* Once: frames come from now on, from a thread that this starts. */
void network_attach(struct network *network, const struct network_adapter_ops *ops, void *adapter);
/* Ends the thread, when what was asked of it is done: the adapter may go. Without vm->lock. */
void network_stop(struct network *network);

/* --- For machine.c: any thread --- */

void network_free(struct network *network);
/* With vm->lock: frames wait while the machine is paused. */
void network_set_paused(struct network *network, bool paused);
/* Writes all frames to a pcapng file, soon; NULL ends it. */
bool network_capture(struct network *network, const char *path, GError **error);
/* A snapshot, with vm->lock. */
void network_counters(const struct network *network, struct network_counters *counters);
/* Runs call(outside, data) on the network's thread, soon. */
void network_call(struct network *network, void (*call)(void *outside, void *data), void *data);

/* --- For what is outside: all on the network's thread, without vm->lock --- */

struct network_ops {
	const char *name;
	/* Adds the descriptors to wait for (struct pollfd), and lowers timeout (ms, -1: none). */
	void (*prepare)(void *outside, GArray *descriptors, int *timeout);
	/* The wait is over; it calls network_deliver() for what came. Not called while the guest takes nothing. */
	void (*dispatch)(void *outside, const struct pollfd *descriptors);
	/* A frame from the guest; the bytes may be changed. */
	void (*transmit)(void *outside, uint8_t *frame, size_t length, const struct network_offload *offload);
	void (*destroy)(void *outside);
};

/* Takes outside. */
struct network *network_new(struct vm *vm, const struct network_ops *ops, void *outside);
/* A frame for the guest; what the guest has no room for is dropped after a while. */
void network_deliver(struct network *network, const uint8_t *frame, size_t length);

/* --- Help for those who do the work that an adapter left --- */

/* The checksum of RFC 1071, in the byte order in which it is stored. */
uint16_t network_checksum(const uint8_t *data, size_t length);
/* Writes the checksum that is missing. */
void network_complete_checksum(uint8_t *frame, size_t length, const struct network_offload *offload);
