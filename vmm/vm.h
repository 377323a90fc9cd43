/*
 * What every part of one machine shares: the lock, memory, buses, interrupts, time and the I/O thread; and what a
 * guest or a user can ask of the machine as a whole.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "bus.h"
#include "clock.h"
#include "irq.h"
#include "loop.h"
#include "memory.h"

enum vm_request {
	VM_REQUEST_RESET,    /* guest's reset (0xCF9, keyboard controller, triple fault) or the user's */
	VM_REQUEST_POWEROFF, /* ACPI S5: the process ends */
	VM_REQUEST_PAUSE,    /* something needs the user: see vm_pause_for() */
};

struct vm {
	GMutex lock; /* the one lock of design.md */
	struct hypervisor *hv;
	struct memory memory;
	struct bus mmio;
	struct bus pio;
	struct irqs irqs;
	struct clock clock;
	struct loop loop;

	/* Carries out a request, soon and elsewhere: set by machine.c, recorded by tests. With vm->lock. */
	void (*request)(struct vm *vm, enum vm_request request, const char *reason);
};

/* Buses, interrupts, clock and RAM on top of hv; the loop is initialised but not started. */
bool vm_init(struct vm *vm, struct hypervisor *hv, uint64_t ram_size, GError **error);
void vm_finish(struct vm *vm);

/* Device code asks; the vCPU that did it does not run on. With vm->lock, any thread. reason: one line for the log. */
static inline void vm_request(struct vm *vm, enum vm_request request, const char *reason)
{
	vm->request(vm, request, reason);
}
