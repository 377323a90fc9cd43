/* The PCI device around the adapter, and the registers in BAR 2. */
#include "../vmm/pci/pci.h"
#include "../vmm/state.h"
#include "../vmm/vm.h"
#include "vga_core.h"

#define BAR_VRAM 0
#define BAR_REGISTERS 2

#define REGISTERS_PORTS 0x400 /* 3C0-3DF */
#define REGISTERS_DISPI 0x500
#define REGISTERS_QEXT 0x600
#define QEXT_SIZE 8
#define QEXT_LITTLE_ENDIAN 0x1E1E1E1Eu

struct vga_device {
	struct pci_device pci;
	struct vga vga;
};

static struct vga_device *from_device(struct device *device)
{
	return (struct vga_device *)device;
}

struct vga *vga_of(struct device *device)
{
	return &from_device(device)->vga;
}

static uint8_t read_register(struct vga *vga, unsigned offset)
{
	static const uint32_t qext[] = { QEXT_SIZE, QEXT_LITTLE_ENDIAN };

	if (offset < sizeof(vga->edid))
		return vga->edid[offset];
	if (offset >= REGISTERS_PORTS && offset < REGISTERS_PORTS + 0x20)
		return vga_port_read(vga, 0x3C0 + offset - REGISTERS_PORTS);
	if (offset >= REGISTERS_DISPI && offset < REGISTERS_DISPI + 2 * DISPI_COUNT)
		return (uint8_t)(dispi_read(vga, (offset - REGISTERS_DISPI) / 2) >> offset % 2 * 8);
	if (offset >= REGISTERS_QEXT && offset < REGISTERS_QEXT + QEXT_SIZE)
		return (uint8_t)(qext[(offset - REGISTERS_QEXT) / 4] >> offset % 4 * 8);
	return 0;
}

static uint64_t registers_read(void *device, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)read_register(device, (unsigned)offset + i) << i * 8;
	return value;
}

/* The byte order of the frame buffer is not for the guest to choose: QEXT is read-only here. */
static void registers_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct vga *vga = device;

	if (offset >= REGISTERS_PORTS && offset < REGISTERS_PORTS + 0x20) {
		for (unsigned i = 0; i < size && offset + i < REGISTERS_PORTS + 0x20; i++)
			vga_port_write(vga, 0x3C0 + (unsigned)offset - REGISTERS_PORTS + i, (uint8_t)(value >> i * 8));
		return;
	}
	if (offset < REGISTERS_DISPI || offset % 2)
		return;
	for (unsigned i = 0; i + 2 <= size && offset + i < REGISTERS_DISPI + 2 * DISPI_COUNT; i += 2)
		dispi_write(vga, ((unsigned)offset - REGISTERS_DISPI + i) / 2, (uint16_t)(value >> i * 8));
}

const struct bus_ops vga_registers_ops = { registers_read, registers_write };

static void vram_moved(struct pci_device *pci, unsigned bar)
{
	vga_vram_moved(&from_device(&pci->device)->vga, pci->bars[bar].slot, pci->bars[bar].address);
}

static void device_reset(struct device *device)
{
	pci_device_reset(&from_device(device)->pci);
	vga_reset(vga_of(device));
}

static void device_state(struct device *device, struct state *state)
{
	pci_device_state(&from_device(device)->pci, state);
	vga_state(vga_of(device), state);
}

static void device_destroy(struct device *device)
{
	pci_unplug(&from_device(device)->pci);
	vga_finish(vga_of(device));
	g_free(from_device(device));
}

static const struct device_ops device_ops = {
	.name = "vga",
	.reset = device_reset,
	.state = device_state,
	.destroy = device_destroy,
};

struct device *vga_new(struct vm *vm, struct pci_bus *bus, struct scanout *scanout, const struct vga_options *options,
		       GError **error)
{
	static const struct pci_identity identity = {
		.vendor = 0x1234, .device = 0x1111, .subsystem_vendor = 0x1AF4, .subsystem = 0x1100,
		.revision = 2, .class_code = 0x030000,
	};
	struct vga_device *device = g_new0(struct vga_device, 1);
	struct pci_device *pci = &device->pci;

	pci->device.ops = &device_ops;
	pci->device.vm = vm;
	if (!vga_init(&device->vga, vm, scanout, options, error)) {
		g_free(device);
		return NULL;
	}
	pci_device_init(pci, &identity);
	pci_bar_host_memory(pci, BAR_VRAM, PCI_BAR_MEMORY32, true, options->vram_size, device->vga.vram, 0);
	pci->bars[BAR_VRAM].moved = vram_moved;
	pci_bar_registers(pci, BAR_REGISTERS, PCI_BAR_MEMORY32, VGA_REGISTERS_SIZE, &vga_registers_ops, &device->vga,
			  "VGA registers");
	if (options->rom)
		pci_rom(pci, options->rom, options->rom_size);
	pci_plug(bus, pci, options->devfn);
	return &pci->device;
}
