/* The controller: generic host control (AHCI 1.3.1 section 3.1), the index/data pair, interrupts, and its creation. */
#include "ahci_internal.h"

#include <string.h>

#define BAR_INDEX 4
#define BAR_REGISTERS 5

#define PORT_BASE 0x100
#define PORT_SIZE 0x80
#define REGISTERS_SIZE 0x1000

#define GHC_HR (1u << 0)
#define GHC_IE (1u << 1)
#define GHC_AE (1u << 31)

/* 64-bit addresses, NCQ, notification register, command list override, 6 Gbit/s, AHCI only, 32 slots, 6 ports. */
#define CAP_VALUE (1u << 31 | 1u << 30 | 1u << 29 | 1u << 24 | 3u << 20 | 1u << 18 | (AHCI_SLOTS - 1) << 8 | \
		   (AHCI_PORTS - 1))
#define VS_VALUE 0x00010301

/* Ports of the index/data pair within BAR 4 (section 2.4.1); what is below belongs to the IDE mode that we lack. */
#define INDEX_PORT 0x10
#define DATA_PORT 0x14

static struct ahci *from_device(struct device *device)
{
	return (struct ahci *)device;
}

struct device *ahci_device(struct ahci *ahci)
{
	return &ahci->pci.device;
}

/*
 * IS gathers the ports; the pin shows whether it is not empty. A message goes out for every bit that rises, because a
 * driver that clears one of two bits would wait for ever for the other (section 10.7.2.1).
 */
static void update_interrupt(struct ahci *ahci, uint32_t before)
{
	uint32_t risen;

	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		const struct ahci_port *port = &ahci->ports[i];
		uint32_t is = port->is | (port->serr & 1u << 26 ? PXIS_PCS : 0) |
			      (port->serr & 1u << 16 ? PXIS_PRCS : 0);

		if (is & port->ie)
			ahci->is |= 1u << i;
	}
	risen = ahci->is & ~before;
	pci_set_intx(&ahci->pci, ahci->ghc & GHC_IE && ahci->is);
	if (ahci->ghc & GHC_IE && risen && pci_msi_enabled(&ahci->pci))
		pci_msi_notify(&ahci->pci);
}

void ahci_update_interrupt(struct ahci *ahci)
{
	update_interrupt(ahci, ahci->is);
}

static void host_reset(struct ahci *ahci, bool power_on)
{
	ahci->ghc = GHC_AE;
	ahci->is = 0;
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_port_reset(&ahci->ports[i], power_on);
	update_interrupt(ahci, 0);
}

static uint32_t host_read(struct ahci *ahci, unsigned offset)
{
	switch (offset) {
	case 0x00:
		return CAP_VALUE;
	case 0x04:
		return ahci->ghc;
	case 0x08:
		return ahci->is;
	case 0x0C:
		return (1u << AHCI_PORTS) - 1;
	case 0x10:
		return VS_VALUE;
	default:
		return 0;
	}
}

static void host_write(struct ahci *ahci, unsigned offset, uint32_t value, uint32_t mask)
{
	uint32_t before = ahci->is;

	if (offset == 0x04) {
		bool enabled = ahci->ghc & GHC_IE;

		if (value & mask & GHC_HR) {
			host_reset(ahci, false);
			return;
		}
		ahci->ghc = (ahci->ghc & ~(mask & GHC_IE)) | (value & mask & GHC_IE);
		update_interrupt(ahci, enabled ? before : 0);
	} else if (offset == 0x08) {
		ahci->is &= ~(value & mask);
		update_interrupt(ahci, ahci->is);
	}
}

static uint32_t register_read(struct ahci *ahci, unsigned offset)
{
	unsigned port = (offset - PORT_BASE) / PORT_SIZE;

	if (offset < PORT_BASE)
		return host_read(ahci, offset);
	return port < AHCI_PORTS ? ahci_port_read(&ahci->ports[port], offset % PORT_SIZE) : 0;
}

static void register_write(struct ahci *ahci, unsigned offset, uint32_t value, uint32_t mask)
{
	unsigned port = (offset - PORT_BASE) / PORT_SIZE;

	if (offset < PORT_BASE)
		host_write(ahci, offset, value, mask);
	else if (port < AHCI_PORTS)
		ahci_port_write(&ahci->ports[port], offset % PORT_SIZE, value, mask);
}

/* Drivers use 32-bit accesses; Windows 7 also reads bytes and words, and 64-bit accesses cover two registers. */
static uint64_t mmio_read(void *device, uint64_t offset, unsigned size)
{
	unsigned skip = offset % 4;
	uint8_t bytes[12] = { 0 };
	uint64_t value = 0;

	offset -= skip;
	for (unsigned i = 0; i < skip + size && offset + i < REGISTERS_SIZE; i += 4)
		pci_set32(bytes + i, register_read(device, (unsigned)offset + i));
	for (unsigned i = size; i--;)
		value = value << 8 | bytes[skip + i];
	return value;
}

static void mmio_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	unsigned skip = offset % 4;
	uint8_t bytes[12] = { 0 }, mask[12] = { 0 };

	for (unsigned i = 0; i < size; i++) {
		bytes[skip + i] = (uint8_t)(value >> 8 * i);
		mask[skip + i] = 0xFF;
	}
	offset -= skip;
	for (unsigned i = 0; i < skip + size && offset + i < REGISTERS_SIZE; i += 4)
		register_write(device, (unsigned)offset + i, pci_get32(bytes + i), pci_get32(mask + i));
}

static uint64_t io_read(void *device, uint64_t offset, unsigned size)
{
	struct ahci *ahci = device;

	if (offset >= DATA_PORT && offset + size <= DATA_PORT + 4)
		return mmio_read(ahci, ahci->index + (offset - DATA_PORT), size);
	if (offset >= INDEX_PORT && offset + size <= INDEX_PORT + 4)
		return ahci->index >> (offset - INDEX_PORT) * 8;
	return 0;
}

static void io_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct ahci *ahci = device;

	if (offset >= DATA_PORT && offset + size <= DATA_PORT + 4)
		mmio_write(ahci, ahci->index + (offset - DATA_PORT), size, value);
	else if (offset == INDEX_PORT)
		ahci->index = (uint32_t)value & (REGISTERS_SIZE - 4);
}

static const struct bus_ops mmio_ops = { mmio_read, mmio_write };
static const struct bus_ops io_ops = { io_read, io_write };

/* --- The device --- */

static void ahci_reset(struct device *device)
{
	struct ahci *ahci = from_device(device);

	timer_cancel(&ahci->restart);
	pci_device_reset(&ahci->pci);
	ahci->index = 0;
	host_reset(ahci, true);
}

void ahci_drain(struct ahci *ahci)
{
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		struct ahci_port *port = &ahci->ports[i];

		if (port->block)
			block_drain(port->block);
		ahci_port_process(port);
	}
}

/* What a port has outstanding is no part of a state but its slot: it runs again, from the start, in the new machine. */
static void restart(void *opaque)
{
	struct ahci *ahci = opaque;

	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_port_process(&ahci->ports[i]);
}

static void ahci_state(struct device *device, struct state *state)
{
	struct ahci *ahci = from_device(device);

	if (state_loading(state))
		host_reset(ahci, true);
	else
		ahci_drain(ahci);
	pci_device_state(&ahci->pci, state);
	state_u32(state, "ghc", &ahci->ghc);
	state_u32(state, "is", &ahci->is);
	state_u32(state, "index", &ahci->index);
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_port_state(&ahci->ports[i], state);
	if (!state_loading(state))
		return;
	ahci->ghc = (ahci->ghc & GHC_IE) | GHC_AE;
	ahci->is &= (1u << AHCI_PORTS) - 1;
	ahci->index &= REGISTERS_SIZE - 4;
	timer_set(&ahci->restart, clock_now(&ahci->pci.device.vm->clock));
}

static void ahci_destroy(struct device *device)
{
	struct ahci *ahci = from_device(device);

	timer_cancel(&ahci->restart);
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		struct ahci_port *port = &ahci->ports[i];

		ahci_port_reset(port, true);
		ahci_port_set_block(port, NULL);
		for (unsigned slot = 0; slot < AHCI_SLOTS; slot++)
			g_free(port->commands[slot].iov);
	}
	pci_unplug(&ahci->pci);
	g_free(ahci);
}

static const struct device_ops ahci_ops = {
	.name = "ahci",
	.reset = ahci_reset,
	.state = ahci_state,
	.destroy = ahci_destroy,
};

/* Without bus mastering commands wait in their slots. */
static void config_written(struct pci_device *device, unsigned offset, unsigned size)
{
	(void)size;
	if (offset <= PCI_COMMAND + 1 && pci_bus_master(device))
		restart(device);
}

struct ahci *ahci_new(struct vm *vm, struct pci_bus *bus)
{
	static const struct pci_identity identity = {
		.vendor = 0x8086, .device = 0x2922, .subsystem_vendor = 0x1AF4, .subsystem = 0x1100,
		.revision = 2, .class_code = 0x010601, .interrupt_pin = 1,
	};
	struct ahci *ahci = g_new0(struct ahci, 1);
	unsigned capability;

	pci_device_init(&ahci->pci, &identity);
	ahci->pci.device.ops = &ahci_ops;
	ahci->pci.device.vm = vm;
	ahci->pci.config_written = config_written;
	pci_bar_registers(&ahci->pci, BAR_INDEX, PCI_BAR_IO, 32, &io_ops, ahci, "ahci index/data");
	pci_bar_registers(&ahci->pci, BAR_REGISTERS, PCI_BAR_MEMORY32, REGISTERS_SIZE, &mmio_ops, ahci, "ahci");
	/* SATA capability 1.0: the index/data pair is at dword 4 of BAR 4 (section 2.4.1). */
	capability = pci_add_capability(&ahci->pci, 0x12, 8);
	pci_set16(ahci->pci.config + capability + 2, 0x0010);
	pci_set32(ahci->pci.config + capability + 4, (INDEX_PORT / 4) << 4 | (BAR_INDEX + 4));
	pci_add_msi(&ahci->pci);
	timer_init(&ahci->restart, &vm->clock, restart, ahci);
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		struct ahci_port *port = &ahci->ports[i];

		port->ahci = ahci;
		port->number = i;
		for (unsigned slot = 0; slot < AHCI_SLOTS; slot++) {
			port->commands[slot].port = port;
			port->commands[slot].slot = slot;
		}
	}
	pci_plug(bus, &ahci->pci, PCI_DEVFN(31, 2));
	host_reset(ahci, true);
	return ahci;
}

/* --- What the user does --- */

bool ahci_is_cd(const struct ahci *ahci, unsigned port)
{
	return port < AHCI_PORTS && ahci->ports[port].drive == &atapi_cd_ops;
}

const char *ahci_disc(const struct ahci *ahci, unsigned port)
{
	return ahci_is_cd(ahci, port) && ahci->ports[port].block ? block_path(ahci->ports[port].block) : NULL;
}

const struct block_statistics *ahci_statistics(const struct ahci *ahci, unsigned port)
{
	return port < AHCI_PORTS && ahci->ports[port].block ? block_statistics(ahci->ports[port].block) : NULL;
}

void ahci_retry(struct ahci *ahci)
{
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		if (ahci->ports[i].block)
			block_retry(ahci->ports[i].block);
	restart(ahci);
}

bool ahci_has_room(struct ahci *ahci)
{
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		if (ahci->ports[i].block && block_has_room(ahci->ports[i].block))
			return true;
	return false;
}

void ahci_fail(struct ahci *ahci)
{
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		if (ahci->ports[i].block)
			block_fail(ahci->ports[i].block);
	restart(ahci);
}
