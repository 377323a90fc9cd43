/*
 * The ICH9 LPC bridge, 00:1f.0: where the PM block lives, how PIRQA-H reach the interrupt controllers, RCBA.
 *
 * The edge/level registers at 4D0/4D1 belong to the 8259s, which the hypervisor emulates with them. All with vm->lock.
 */
#pragma once

#include "../device.h"

struct pci_bus;
struct pm;

/* Plugs itself into bus and routes its PIRQs. bus and pm outlive it. */
struct device *lpc_new(struct vm *vm, struct pci_bus *bus, struct pm *pm);
