/*
 * The Q35 memory controller hub, 00:00.0: PCI configuration ports and ECAM, PAM, and the firmware's ROM, which ends at
 * 4 GiB. All with vm->lock.
 */
#pragma once

#include "../device.h"
#include "../firmware/rom.h"

struct pci_bus;

/*
 * Plugs itself into bus, which outlives it. From here on the ROM is mapped; rom->data stays the caller's and must
 * outlive the device. A rom with data NULL maps nothing (a flash device does, or a kernel is loaded directly).
 */
struct device *host_bridge_new(struct vm *vm, struct pci_bus *bus, const struct rom *rom);
