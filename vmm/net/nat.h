/*
 * The world outside as libslirp makes it: the guest is behind a router of its own (10.0.2.2, fec0::2) that needs no
 * rights on the host: DHCP, DNS, TFTP, and connections made with the user's own sockets.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "forward.h"
#include "network.h"

struct nat_options {
	bool isolated;          /* the guest reaches nothing but what is forwarded to it */
	const char *tftp;       /* folder served to the guest, or NULL */
	const char *boot_file;  /* name in it that DHCP offers, or NULL */
};

struct network *nat_new(struct vm *vm, const struct nat_options *options, GError **error);

/*
 * With vm->lock, soon: opens or closes the host's port. done comes on the I/O thread with vm->lock, with an error if
 * the port is taken or is not forwarded. The forward is only read before this returns.
 */
typedef void (*nat_done)(void *opaque, const GError *error);
void nat_forward(struct vm *vm, struct network *network, const struct nat_forward *forward, bool add, nat_done done,
		 void *opaque);
