/*
 * The two address spaces that the CPU reaches devices by: MMIO and port I/O.
 *
 * All calls need vm->lock. A region is a field of its device and must stay valid while mapped. Regions may overlap:
 * the one with the higher priority answers, among equals the one mapped later. An access is at most 8 bytes (MMIO)
 * or 4 (PIO); it may start in a region and run past its end: the region then sees offset + size > region size and
 * must cope. Accesses that no region answers read as all ones, writes are dropped.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct hypervisor;

struct bus_ops {
	uint64_t (*read)(void *device, uint64_t offset, unsigned size);
	void (*write)(void *device, uint64_t offset, unsigned size, uint64_t value);
};

enum bus_priority {
	BUS_PRIORITY_PCI,      /* BARs: may be put anywhere by the guest */
	BUS_PRIORITY_PLATFORM, /* fixed addresses: always win over BARs */
};

struct bus_region {
	const char *name;
	const struct bus_ops *ops;
	void *device;
	uint64_t base;
	uint64_t size;
	enum bus_priority priority;
	bool coalesced; /* writes may be delivered late, in order, at the latest before the next access or refresh */
	bool mapped;
	unsigned serial; /* order of mapping; the bus's */
};

struct bus {
	struct hypervisor *hv;
	bool pio;
	GPtrArray *regions; /* struct bus_region *, in the order of mapping */
	GArray *view;       /* struct bus_interval, sorted and without overlaps */
	unsigned serial;
};

void bus_init(struct bus *bus, struct hypervisor *hv, bool pio);
void bus_finish(struct bus *bus);

void bus_map(struct bus *bus, struct bus_region *region, uint64_t base);
/* Does nothing to a region that is not mapped. */
void bus_unmap(struct bus *bus, struct bus_region *region);

/* Delivers the writes that wait in coalesced regions: for a device that is about to look at what was written. */
void bus_drain(struct bus *bus);

uint64_t bus_read(struct bus *bus, uint64_t address, unsigned size);
void bus_write(struct bus *bus, uint64_t address, unsigned size, uint64_t value);
