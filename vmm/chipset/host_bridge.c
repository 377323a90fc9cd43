#include "host_bridge.h"

#include "../pci/pci.h"
#include "../state.h"
#include "../vm.h"
#include "pam.h"

/* Q35 datasheet, 5.1: DRAM controller registers. */
#define PCIEXBAR 0x60
#define PCIEXBAR_ENABLE 1u
#define PCIEXBAR_LENGTH 6u
#define PCIEXBAR_RESET 0xE0000000u
#define PAM0 0x90
#define SMRAM 0x9D
#define SMRAM_RESET 0x02
#define SMRAM_D_OPEN 0x40
#define SMRAM_D_CLS 0x20
#define SMRAM_D_LCK 0x10
#define SMRAM_G_SMRAME 0x08
#define ESMRAMC 0x9E
#define ESMRAMC_RESET 0x38 /* caches of SMRAM, read-only ones */
#define TOM 0xA0
#define TOUUD 0xA2
#define TOLUD 0xB0

struct host_bridge {
	struct pci_device pci;
	struct pam pam;
	struct memory_slot *rom;
};

static struct host_bridge *from_device(struct device *device)
{
	return (struct host_bridge *)device;
}

/* 5.1.11: the length decides how many address bits count. */
static void update_ecam(struct host_bridge *bridge)
{
	static const unsigned buses[4] = { 256, 128, 64, 0 };
	uint32_t low = pci_get32(bridge->pci.config + PCIEXBAR);
	uint64_t base = (uint64_t)pci_get32(bridge->pci.config + PCIEXBAR + 4) << 32 | low;
	unsigned count = buses[(low & PCIEXBAR_LENGTH) >> 1];

	if (!(low & PCIEXBAR_ENABLE) || !count)
		pci_bus_map_ecam(bridge->pci.bus, 0, 0);
	else
		pci_bus_map_ecam(bridge->pci.bus, base & ~(((uint64_t)count << 20) - 1), count);
}

/* There is no SMRAM behind the bits (firmware that needs it is not offered SMM), but they lock as they should. */
static void update_smram_lock(struct host_bridge *bridge)
{
	uint8_t *smram = &bridge->pci.config[SMRAM];

	if (*smram & SMRAM_D_LCK)
		*smram &= (uint8_t)~SMRAM_D_OPEN;
	bridge->pci.writable[SMRAM] = *smram & SMRAM_D_LCK ? SMRAM_D_CLS :
				      SMRAM_D_OPEN | SMRAM_D_CLS | SMRAM_D_LCK | SMRAM_G_SMRAME;
	bridge->pci.writable[ESMRAMC] = *smram & SMRAM_D_LCK ? 0 : 0x87;
}

static void update(struct host_bridge *bridge)
{
	update_ecam(bridge);
	pam_set(&bridge->pam, bridge->pci.config + PAM0);
	update_smram_lock(bridge);
}

static void host_bridge_config_written(struct pci_device *device, unsigned offset, unsigned size)
{
	(void)offset;
	(void)size;
	update((struct host_bridge *)device);
}

static void host_bridge_reset(struct device *device)
{
	struct host_bridge *bridge = from_device(device);

	pci_device_reset(&bridge->pci);
	pci_bus_reset(bridge->pci.bus);
	update(bridge);
}

static void host_bridge_state(struct device *device, struct state *state)
{
	struct host_bridge *bridge = from_device(device);

	pci_device_state(&bridge->pci, state);
	state_u32(state, "config_address", &bridge->pci.bus->config_address);
	bridge->pci.bus->config_address &= 0x80FFFFFC;
	if (state_loading(state))
		update(bridge);
}

static void host_bridge_destroy(struct device *device)
{
	struct host_bridge *bridge = from_device(device);

	pci_bus_map_ecam(bridge->pci.bus, 0, 0);
	pam_finish(&bridge->pam);
	if (bridge->rom)
		memory_unmap(&device->vm->memory, bridge->rom);
	pci_unplug(&bridge->pci);
	g_free(bridge);
}

static const struct device_ops host_bridge_ops = {
	.name = "host-bridge",
	.reset = host_bridge_reset,
	.state = host_bridge_state,
	.destroy = host_bridge_destroy,
};

static void set_registers(struct host_bridge *bridge, const struct memory *memory)
{
	uint8_t *config = bridge->pci.config, *writable = bridge->pci.writable;

	pci_set32(config + PCIEXBAR, PCIEXBAR_RESET);
	pci_set32(writable + PCIEXBAR, 0xFC000000 | PCIEXBAR_LENGTH | PCIEXBAR_ENABLE);
	pci_set32(writable + PCIEXBAR + 4, 0xF);
	writable[PAM0] = 0x30;
	for (unsigned i = 1; i < PAM_REGISTERS; i++)
		writable[PAM0 + i] = 0x33;
	config[SMRAM] = SMRAM_RESET;
	config[ESMRAMC] = ESMRAMC_RESET;
	/* 5.1.30 ff.: the memory that a chipset's firmware would have found; in units of 64, 1 and 1 MiB. */
	pci_set16(config + TOM, (uint16_t)MIN(memory->ram_size >> 26, 0x3FF));
	pci_set16(config + TOUUD, (uint16_t)MIN((MEMORY_HIGH_BASE + memory->high_size) >> 20, 0xFFFF));
	pci_set16(config + TOLUD, (uint16_t)(memory->low_size >> 20 << 4));
}

struct device *host_bridge_new(struct vm *vm, struct pci_bus *bus, const struct rom *rom)
{
	static const struct pci_identity identity = {
		.vendor = 0x8086, .device = 0x29C0, .subsystem_vendor = 0x1AF4, .subsystem = 0x1100,
		.class_code = 0x060000,
	};
	struct host_bridge *bridge = g_new0(struct host_bridge, 1);

	bridge->pci.device.ops = &host_bridge_ops;
	bridge->pci.config_written = host_bridge_config_written;
	pci_device_init(&bridge->pci, &identity);
	set_registers(bridge, &vm->memory);
	pci_plug(bus, &bridge->pci, PCI_DEVFN(0, 0));
	if (rom->data) {
		bridge->rom = memory_map(&vm->memory, MEMORY_HIGH_BASE - rom->size, rom->size, rom->data,
					 MEMORY_READONLY);
		if (!bridge->rom)
			g_warning("The host refused the memory of the firmware: the machine will not start");
	}
	pam_init(&bridge->pam, &vm->memory, &vm->mmio, rom);
	update(bridge);
	return &bridge->pci.device;
}
