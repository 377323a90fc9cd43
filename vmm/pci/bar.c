/* Base address registers and the expansion ROM: PCI Local Bus 3.0, 6.2.5. */
#include <stdlib.h>
#include <string.h>

#include "../vm.h"
#include "internal.h"

#define FOUR_GIB 0x100000000ull
#define ONE_MIB 0x100000ull

static unsigned bar_offset(unsigned bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * bar;
}

static void set_bar_header(struct pci_device *device, unsigned bar)
{
	struct pci_bar *b = &device->bars[bar];
	uint64_t mask = ~(b->size - 1);
	unsigned offset = bar_offset(bar);
	uint32_t type = 0;

	g_assert(b->size && !(b->size & (b->size - 1)));
	if (b->kind == PCI_BAR_IO)
		type = PCI_BASE_ADDRESS_SPACE_IO;
	else if (b->kind == PCI_BAR_MEMORY64)
		type = PCI_BASE_ADDRESS_MEM_TYPE_64;
	if (b->prefetchable)
		type |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	pci_set32(device->config + offset, type);
	pci_set32(device->writable + offset, (uint32_t)mask);
	if (b->kind == PCI_BAR_MEMORY64) {
		g_assert(bar + 1 < PCI_BARS && device->bars[bar + 1].kind == PCI_BAR_UNUSED);
		pci_set32(device->writable + offset + 4, (uint32_t)(mask >> 32));
	}
}

void pci_bar_registers(struct pci_device *device, unsigned bar, enum pci_bar_kind kind, uint64_t size,
		       const struct bus_ops *ops, void *opaque, const char *name)
{
	struct pci_bar *b = &device->bars[bar];

	g_assert(size >= (kind == PCI_BAR_IO ? 4 : 16));
	b->kind = kind;
	b->size = size;
	b->region = (struct bus_region){ .name = name, .ops = ops, .device = opaque, .size = size,
					 .priority = BUS_PRIORITY_PCI };
	set_bar_header(device, bar);
}

void pci_bar_host_memory(struct pci_device *device, unsigned bar, enum pci_bar_kind kind, bool prefetchable,
			 uint64_t size, void *host, unsigned slot_flags)
{
	struct pci_bar *b = &device->bars[bar];

	g_assert(kind != PCI_BAR_IO && size % MEMORY_PAGE == 0);
	b->kind = kind;
	b->prefetchable = prefetchable;
	b->size = size;
	b->host = host;
	b->slot_flags = slot_flags;
	set_bar_header(device, bar);
}

void pci_rom(struct pci_device *device, const void *image, size_t size)
{
	uint64_t padded = MEMORY_PAGE;

	while (padded < size)
		padded *= 2;
	device->rom.host = aligned_alloc(MEMORY_PAGE, padded);
	if (!device->rom.host)
		g_error("No memory for an expansion ROM of %" G_GUINT64_FORMAT " bytes", padded);
	memset(device->rom.host, 0xFF, padded);
	memcpy(device->rom.host, image, size);
	device->rom.kind = PCI_BAR_MEMORY32;
	device->rom.size = padded;
	device->rom.slot_flags = MEMORY_READONLY;
	pci_set32(device->writable + PCI_ROM_ADDRESS, (uint32_t)~(padded - 1) | PCI_ROM_ADDRESS_ENABLE);
}

bool pci_bars_affected(unsigned offset, unsigned size)
{
	return pci_overlaps(offset, size, PCI_COMMAND, 1) ||
	       pci_overlaps(offset, size, PCI_BASE_ADDRESS_0, 4 * PCI_BARS) ||
	       pci_overlaps(offset, size, PCI_ROM_ADDRESS, 4);
}

/*
 * Firmware sizes BARs, often with decoding on, by writing ones: the range that would end at the top of the address
 * space is not decoded, nor is 0, which means "not assigned".
 */
static uint64_t decoded(const struct pci_bar *bar, uint64_t address, uint64_t top)
{
	address &= ~(bar->size - 1);
	if (address == 0 || address > top || bar->size - 1 >= top - address)
		return PCI_BAR_UNMAPPED;
	/* Memory below 1 MiB is the host bridge's, which puts slots there as PAM says. */
	if (bar->host && address < ONE_MIB)
		return PCI_BAR_UNMAPPED;
	return address;
}

static uint64_t wanted_address(const struct pci_device *device, const struct pci_bar *bar)
{
	const uint8_t *config = device->config;
	unsigned offset = bar_offset((unsigned)(bar - device->bars));
	uint8_t enabled = config[PCI_COMMAND];

	if (bar->kind == PCI_BAR_UNUSED)
		return PCI_BAR_UNMAPPED;
	if (!(enabled & (bar->kind == PCI_BAR_IO ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return PCI_BAR_UNMAPPED;
	if (bar == &device->rom) {
		if (!(config[PCI_ROM_ADDRESS] & PCI_ROM_ADDRESS_ENABLE))
			return PCI_BAR_UNMAPPED;
		return decoded(bar, pci_get32(config + PCI_ROM_ADDRESS), FOUR_GIB - 1);
	}
	if (bar->kind == PCI_BAR_IO)
		return decoded(bar, pci_get32(config + offset), 0xFFFF);
	if (bar->kind == PCI_BAR_MEMORY32)
		return decoded(bar, pci_get32(config + offset), FOUR_GIB - 1);
	return decoded(bar, pci_get32(config + offset) | (uint64_t)pci_get32(config + offset + 4) << 32, UINT64_MAX);
}

static struct bus *bar_bus(struct pci_device *device, const struct pci_bar *bar)
{
	return bar->kind == PCI_BAR_IO ? &device->bus->vm->pio : &device->bus->vm->mmio;
}

static void tell_moved(struct pci_device *device, struct pci_bar *bar)
{
	if (bar->moved)
		bar->moved(device, (unsigned)(bar - device->bars));
}

static void unmap(struct pci_device *device, struct pci_bar *bar)
{
	if (bar->address == PCI_BAR_UNMAPPED)
		return;
	if (bar->host) {
		memory_unmap(&device->bus->vm->memory, bar->slot);
		bar->slot = NULL;
	} else {
		bus_unmap(bar_bus(device, bar), &bar->region);
	}
	bar->address = PCI_BAR_UNMAPPED;
	tell_moved(device, bar);
}

/* Host memory that would cover RAM, ROM or another BAR's memory stays invisible until the place is free. */
static void map(struct pci_device *device, struct pci_bar *bar, uint64_t address)
{
	if (bar->host) {
		bar->slot = memory_map(&device->bus->vm->memory, address, bar->size, bar->host, bar->slot_flags);
		if (!bar->slot) {
			log_guest_error(&device->bus->log, device->device.ops->name,
					"memory BAR at 0x%" G_GINT64_MODIFIER "x covers other memory", address);
			return;
		}
	} else {
		bus_map(bar_bus(device, bar), &bar->region, address);
	}
	bar->address = address;
	tell_moved(device, bar);
}

static struct pci_bar *nth_bar(struct pci_device *device, unsigned n)
{
	return n < PCI_BARS ? &device->bars[n] : &device->rom;
}

/* Returns whether a memory slot went away, so that others may find a place now. */
static bool unmap_moved(struct pci_device *device)
{
	bool freed = false;

	for (unsigned i = 0; i <= PCI_BARS; i++) {
		struct pci_bar *bar = nth_bar(device, i);

		if (bar->address == PCI_BAR_UNMAPPED || wanted_address(device, bar) == bar->address)
			continue;
		freed |= bar->host != NULL;
		unmap(device, bar);
	}
	return freed;
}

static void map_wanted(struct pci_device *device)
{
	for (unsigned i = 0; i <= PCI_BARS; i++) {
		struct pci_bar *bar = nth_bar(device, i);
		uint64_t address = wanted_address(device, bar);

		if (address != bar->address)
			map(device, bar, address);
	}
}

void pci_update_bars(struct pci_device *device)
{
	bool freed;

	if (!device->bus)
		return;
	freed = unmap_moved(device);
	map_wanted(device);
	for (unsigned i = 0; freed && i < G_N_ELEMENTS(device->bus->devices); i++)
		if (device->bus->devices[i] && device->bus->devices[i] != device)
			map_wanted(device->bus->devices[i]);
}

void pci_unmap_bars(struct pci_device *device)
{
	for (unsigned i = 0; device->bus && i <= PCI_BARS; i++)
		unmap(device, nth_bar(device, i));
}
