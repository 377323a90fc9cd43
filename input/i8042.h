/*
 * The keyboard controller of a PS/2: ports 60 and 64, interrupts 1 and 12, with a keyboard and a mouse plugged in.
 */
#pragma once

#include "router.h"

struct device;
struct vm;

/*
 * With vm->lock, at setup; the router must outlive it. Sends VM_REQUEST_RESET when the guest pulls the reset line.
 * machine.c plugs the device in and destroys it.
 */
struct device *i8042_new(struct vm *vm, struct input_router *router);
