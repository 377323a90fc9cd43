/*
 * Intel gigabit Ethernet: the 82574L (8086:10d3, "e1000e"; Intel 82574 GbE Controller Family Datasheet, revision 3.4)
 * and for older guests the 82540EM (8086:100e, "e1000"; PCI/PCI-X Family of Gigabit Ethernet Controllers Software
 * Developer's Manual, revision 4.0).
 *
 * All calls need vm->lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../device.h"

struct e1000;
struct network;
struct pci_bus;
struct vm;

enum e1000_model {
	E1000_82574L,
	E1000_82540EM,
};

struct e1000_options {
	enum e1000_model model;
	uint8_t mac[6];
	uint8_t devfn;
	bool link; /* the cable is plugged in */
};

/*
 * network stays the caller's: it must be stopped before the device goes, and freed after. The adapter is owned by its
 * device, whose destroy function frees it.
 */
struct e1000 *e1000_new(struct vm *vm, struct pci_bus *bus, struct network *network,
			const struct e1000_options *options);
struct device *e1000_device(struct e1000 *e1000);

/* Plugs the cable in or pulls it out. */
void e1000_set_link(struct e1000 *e1000, bool up);
bool e1000_link(const struct e1000 *e1000);
