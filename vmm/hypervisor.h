/*
 * What the machine needs from the thing that runs its vCPUs.
 *
 * Two implementations: KVM (kvm.c) and the unit tests' recorder (tests/unit/fake_machine.c). Devices never
 * include this: they use memory.h, bus.h and irq.h, which call it. Calls come with vm->lock held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_slot;
struct hypervisor;

struct hypervisor_ops {
	/* Makes the slot visible to the guest, or with slot->size == 0 invisible. False: the host refused. */
	bool (*set_slot)(struct hypervisor *hv, const struct memory_slot *slot);
	/* Fetches and clears the slot's dirty bits, one per 4 KiB page; false if there are none to be had. */
	bool (*get_dirty)(struct hypervisor *hv, const struct memory_slot *slot, uint64_t *bitmap);
	/* Drives the input of the interrupt controllers with this global system interrupt number. */
	void (*set_irq)(struct hypervisor *hv, unsigned gsi, bool level);
	void (*signal_msi)(struct hypervisor *hv, uint64_t address, uint32_t data);
	/* Lets writes to this range queue up in the kernel until the next exit (or hypervisor's own drain). */
	void (*coalesce)(struct hypervisor *hv, bool pio, uint64_t base, uint64_t size, bool on);
	/* Dispatches what has queued up in coalesced ranges. */
	void (*drain)(struct hypervisor *hv);
};

struct hypervisor {
	const struct hypervisor_ops *ops;
};
