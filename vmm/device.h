/*
 * What all devices have in common. A device is plugged in by machine.c, which keeps them in the order in which they
 * are reset, saved, and (backwards) destroyed.
 */
#pragma once

#include <stdint.h>

struct device;
struct state;
struct vm;

struct device_ops {
	const char *name;
	/* Power-on state; also what the guest's reset does. With vm->lock, vCPUs parked. */
	void (*reset)(struct device *device);
	/* Saves or loads the device's guest-visible state (state.h). With vm->lock, vCPUs parked. */
	void (*state)(struct device *device, struct state *state);
	/* Frees the device. With vm->lock, vCPUs gone. */
	void (*destroy)(struct device *device);
};

struct device {
	const struct device_ops *ops;
	struct vm *vm;
};
