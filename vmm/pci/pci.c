#include "pci.h"

#include <stdlib.h>
#include <string.h>

#include "../state.h"
#include "../vm.h"
#include "internal.h"

#define CONFIG_PORTS 0xCF8
#define CONFIG_DATA 4 /* 0xCFC, from CONFIG_PORTS */
#define CONFIG_ENABLE 0x80000000u
#define MULTI_FUNCTION 0x80 /* in Header Type */

static uint64_t ones(unsigned size)
{
	return size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

/* Only bus 0 exists: there are no bridges. */
static struct pci_device *find_device(const struct pci_bus *bus, unsigned bus_number, unsigned devfn)
{
	return bus_number == 0 ? bus->devices[devfn] : NULL;
}

/* PCI Local Bus 3.0, 3.2.2.3.2: only a dword at CF8 is the address register. */
static uint64_t config_ports_read(void *opaque, uint64_t offset, unsigned size)
{
	struct pci_bus *bus = opaque;
	uint32_t address = bus->config_address;
	unsigned lane = (unsigned)offset - CONFIG_DATA;
	struct pci_device *device;

	if (offset < CONFIG_DATA)
		return offset == 0 && size == 4 ? address : ones(size);
	device = find_device(bus, address >> 16 & 0xFF, address >> 8 & 0xFF);
	if (!(address & CONFIG_ENABLE) || !device)
		return ones(size);
	if (size > 4 - lane)
		return pci_config_read(device, (address & 0xFC) + lane, 4 - lane) | ~ones(4 - lane);
	return pci_config_read(device, (address & 0xFC) + lane, size);
}

static void config_ports_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_bus *bus = opaque;
	uint32_t address = bus->config_address;
	unsigned lane = (unsigned)offset - CONFIG_DATA;
	struct pci_device *device;

	if (offset < CONFIG_DATA) {
		if (offset == 0 && size == 4)
			bus->config_address = (uint32_t)value & 0x80FFFFFC;
		return;
	}
	device = find_device(bus, address >> 16 & 0xFF, address >> 8 & 0xFF);
	if (address & CONFIG_ENABLE && device)
		pci_config_write(device, (address & 0xFC) + lane, MIN(size, 4 - lane), (uint32_t)value);
}

/* PCI Express Base, 7.2.2: bus, device, function and register are in the address. */
static uint64_t ecam_read(void *opaque, uint64_t offset, unsigned size)
{
	struct pci_device *device = find_device(opaque, (unsigned)(offset >> 20), offset >> 12 & 0xFF);
	unsigned first = MIN(size, 4);
	uint64_t value;

	if (!device)
		return ones(size);
	value = pci_config_read(device, offset & 0xFFF, first);
	if (size > 4)
		value |= (uint64_t)pci_config_read(device, (offset & 0xFFF) + 4, size - 4) << 32;
	return value;
}

static void ecam_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct pci_device *device = find_device(opaque, (unsigned)(offset >> 20), offset >> 12 & 0xFF);

	if (!device)
		return;
	pci_config_write(device, offset & 0xFFF, MIN(size, 4), (uint32_t)value);
	if (size > 4)
		pci_config_write(device, (offset & 0xFFF) + 4, size - 4, (uint32_t)(value >> 32));
}

static const struct bus_ops config_ports_ops = { config_ports_read, config_ports_write };
static const struct bus_ops ecam_ops = { ecam_read, ecam_write };

void pci_bus_init(struct pci_bus *bus, struct vm *vm)
{
	memset(bus, 0, sizeof *bus);
	bus->vm = vm;
	bus->config_ports = (struct bus_region){ .name = "PCI configuration", .ops = &config_ports_ops, .device = bus,
						 .size = 8, .priority = BUS_PRIORITY_PLATFORM };
	bus->ecam = (struct bus_region){ .name = "ECAM", .ops = &ecam_ops, .device = bus,
					 .priority = BUS_PRIORITY_PLATFORM };
	bus_map(&vm->pio, &bus->config_ports, CONFIG_PORTS);
}

void pci_bus_finish(struct pci_bus *bus)
{
	bus_unmap(&bus->vm->pio, &bus->config_ports);
	bus_unmap(&bus->vm->mmio, &bus->ecam);
}

void pci_bus_map_ecam(struct pci_bus *bus, uint64_t base, unsigned buses)
{
	uint64_t size = (uint64_t)buses << 20;

	if (bus->ecam.mapped && buses && bus->ecam.base == base && bus->ecam.size == size)
		return;
	bus_unmap(&bus->vm->mmio, &bus->ecam);
	bus->ecam.size = size;
	if (buses)
		bus_map(&bus->vm->mmio, &bus->ecam, base);
}

void pci_bus_reset(struct pci_bus *bus)
{
	bus->config_address = 0;
}

/*
 * The wiring that the _PRT of the DSDT describes. Slots 0-24 swizzle over PIRQE-H; slots 25-31, the chipset's own,
 * have the default of ICH9's D25IR-D31IR (10.1.46 ff.): INTA to PIRQA, INTB to PIRQB and so on.
 */
unsigned pci_device_pirq(const struct pci_device *device)
{
	unsigned slot = device->devfn >> 3, pin = (device->config[PCI_INTERRUPT_PIN] - 1u) & 3;

	return slot < 25 ? 4 + (slot + pin) % 4 : pin;
}

static void drive_pirq(struct pci_bus *bus, unsigned pirq, bool level)
{
	unsigned *high = &bus->pirq_high[pirq];

	*high += level ? 1 : -1u;
	if (*high == (level ? 1 : 0) && bus->set_pirq)
		bus->set_pirq(bus->set_pirq_opaque, pirq, level);
}

/* PCI Local Bus 3.0, 6.2.2 and 6.8.1.3: no INTx while disabled, nor while messages are in use. */
void pci_update_intx(struct pci_device *device)
{
	bool disabled = pci_get16(device->config + PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE;
	bool driven = device->intx && !disabled && !pci_msi_enabled(device) && !pci_msix_enabled(device);

	if (device->intx)
		device->config[PCI_STATUS] |= PCI_STATUS_INTERRUPT;
	else
		device->config[PCI_STATUS] &= (uint8_t)~PCI_STATUS_INTERRUPT;
	if (driven == device->intx_driven || !device->bus || !device->config[PCI_INTERRUPT_PIN])
		return;
	device->intx_driven = driven;
	drive_pirq(device->bus, pci_device_pirq(device), driven);
}

void pci_set_intx(struct pci_device *device, bool level)
{
	if (device->intx == level)
		return;
	device->intx = level;
	pci_update_intx(device);
}

void pci_interrupt(struct pci_device *device, bool level)
{
	bool rise = level && !device->intx;

	pci_set_intx(device, level);
	if (rise && pci_msi_enabled(device))
		pci_msi_notify(device);
}

void pci_device_init(struct pci_device *device, const struct pci_identity *identity)
{
	uint8_t *config = device->config;

	pci_set16(config + PCI_VENDOR_ID, identity->vendor);
	pci_set16(config + PCI_DEVICE_ID, identity->device);
	pci_set16(config + PCI_SUBSYSTEM_VENDOR_ID, identity->subsystem_vendor);
	pci_set16(config + PCI_SUBSYSTEM_ID, identity->subsystem);
	pci_set32(config + PCI_CLASS_REVISION, identity->class_code << 8 | identity->revision);
	config[PCI_INTERRUPT_PIN] = identity->interrupt_pin;
	pci_set16(device->writable + PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		  PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE);
	pci_set16(device->clear_by_one + PCI_STATUS, PCI_STATUS_PARITY | PCI_STATUS_SIG_TARGET_ABORT |
		  PCI_STATUS_REC_TARGET_ABORT | PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_SIG_SYSTEM_ERROR |
		  PCI_STATUS_DETECTED_PARITY);
	device->writable[PCI_CACHE_LINE_SIZE] = 0xFF;
	device->writable[PCI_LATENCY_TIMER] = 0xF8;
	device->writable[PCI_INTERRUPT_LINE] = 0xFF;
	device->capabilities_end = PCI_STD_HEADER_SIZEOF;
	for (unsigned i = 0; i < PCI_BARS; i++)
		device->bars[i].address = PCI_BAR_UNMAPPED;
	device->rom.address = PCI_BAR_UNMAPPED;
}

unsigned pci_add_capability(struct pci_device *device, uint8_t id, unsigned size)
{
	unsigned offset = device->capabilities_end;

	g_assert(offset + size <= PCI_CFG_SPACE_SIZE);
	device->config[offset + PCI_CAP_LIST_ID] = id;
	device->config[offset + PCI_CAP_LIST_NEXT] = device->config[PCI_CAPABILITY_LIST];
	device->config[PCI_CAPABILITY_LIST] = (uint8_t)offset;
	device->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	device->capabilities_end = (offset + size + 3) & ~3u;
	return offset;
}

/* PCI Local Bus 3.0, 6.2.1: function 0 tells whether there are more. */
static void mark_multi_function(struct pci_bus *bus, unsigned slot)
{
	struct pci_device *first = bus->devices[PCI_DEVFN(slot, 0)];
	bool more = false;

	for (unsigned function = 1; function < 8; function++)
		more |= bus->devices[PCI_DEVFN(slot, function)] != NULL;
	if (!first)
		return;
	if (more)
		first->config[PCI_HEADER_TYPE] |= MULTI_FUNCTION;
	else
		first->config[PCI_HEADER_TYPE] &= (uint8_t)~MULTI_FUNCTION;
	first->initial[PCI_HEADER_TYPE] = first->config[PCI_HEADER_TYPE];
}

void pci_plug(struct pci_bus *bus, struct pci_device *device, uint8_t devfn)
{
	g_assert(!bus->devices[devfn]);
	device->bus = bus;
	device->devfn = devfn;
	device->device.vm = bus->vm;
	memcpy(device->initial, device->config, sizeof device->initial);
	bus->devices[devfn] = device;
	mark_multi_function(bus, devfn >> 3);
}

void pci_unplug(struct pci_device *device)
{
	struct pci_bus *bus = device->bus;

	if (bus) {
		pci_unmap_bars(device);
		pci_set_intx(device, false);
		bus->devices[device->devfn] = NULL;
		mark_multi_function(bus, device->devfn >> 3);
		device->bus = NULL;
	}
	g_clear_pointer(&device->msix_table, g_free);
	g_clear_pointer(&device->rom.host, free);
}

void pci_device_reset(struct pci_device *device)
{
	pci_unmap_bars(device);
	pci_set_intx(device, false);
	memcpy(device->config, device->initial, sizeof device->config);
	pci_msix_reset(device);
}

/*
 * A file may not change what the device is: in the header, only what the guest can write, and the interrupt status,
 * which follows from intx.
 */
static bool header_fits(const struct pci_device *device, const uint8_t *config)
{
	for (unsigned i = 0; i < PCI_STD_HEADER_SIZEOF; i++) {
		uint8_t variable = device->writable[i] | device->clear_by_one[i];

		if (i == PCI_STATUS)
			variable |= PCI_STATUS_INTERRUPT;
		if ((config[i] ^ device->initial[i]) & ~variable)
			return false;
	}
	return true;
}

void pci_device_state(struct pci_device *device, struct state *state)
{
	uint8_t config[PCI_CONFIG_SIZE];
	bool intx = device->intx;

	memcpy(config, device->config, sizeof config);
	state_bytes(state, "pci_config", config, sizeof config);
	state_bool(state, "pci_intx", &intx);
	if (state_loading(state) && !header_fits(device, config)) {
		state_fail(state, "the saved PCI device %04x:%04x is not this one", pci_get16(config),
			   pci_get16(config + PCI_DEVICE_ID));
		return;
	}
	pci_msix_state(device, state);
	if (!state_loading(state))
		return;
	memcpy(device->config, config, sizeof config);
	device->intx = intx;
	pci_update_bars(device);
	pci_update_intx(device);
}
