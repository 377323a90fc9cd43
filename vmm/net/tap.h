/*
 * The world outside as a tap device of the host: the guest's frames go there as they are, to whatever the host has
 * connected it with. For those who have the right to such a device; the errors say how to get it.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "network.h"

/* Uses a tap device that exists. Any thread. */
struct network *tap_new(struct vm *vm, const char *interface, GError **error);
/* Makes a tap device, for as long as the network is there, and puts it on the bridge; needs CAP_NET_ADMIN. */
struct network *tap_new_on_bridge(struct vm *vm, const char *bridge, GError **error);
