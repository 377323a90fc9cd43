/* Configuration space, base address registers, INTx, MSI and MSI-X. */
#include <string.h>

#include "../../vmm/pci/pci.h"
#include "fake_machine.h"

#define VRAM_SIZE 0x200000ull

struct toy {
	struct pci_device pci;
	uint64_t written;
	unsigned moves, config_writes;
};

struct fixture {
	struct fake_machine *machine;
	struct pci_bus bus;
	struct toy toys[3];
	uint8_t *vram;
	bool pirq[8];
};

static uint64_t toy_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)size;
	(void)opaque;
	return 0x5A00 + offset;
}

static void toy_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct toy *toy = opaque;

	(void)offset;
	(void)size;
	toy->written = value;
}

static void toy_moved(struct pci_device *device, unsigned bar)
{
	(void)bar;
	((struct toy *)device)->moves++;
}

static void toy_config_written(struct pci_device *device, unsigned offset, unsigned size)
{
	(void)offset;
	(void)size;
	((struct toy *)device)->config_writes++;
}

static void toy_reset(struct device *device)
{
	pci_device_reset((struct pci_device *)device);
}

static void toy_state(struct device *device, struct state *state)
{
	pci_device_state((struct pci_device *)device, state);
}

static const struct bus_ops toy_bus_ops = { toy_read, toy_write };
static const struct device_ops toy_ops = { .name = "toy", .reset = toy_reset, .state = toy_state };

static void set_pirq(void *opaque, unsigned pirq, bool level)
{
	((struct fixture *)opaque)->pirq[pirq] = level;
}

static void plug_toy(struct fixture *f, unsigned number, uint8_t devfn)
{
	static const struct pci_identity identity = {
		.vendor = 0x1234, .device = 0x5678, .subsystem_vendor = 0x1AF4, .subsystem = 0x1100,
		.revision = 3, .class_code = 0x030000, .interrupt_pin = 1,
	};
	struct toy *toy = &f->toys[number];
	static const uint8_t rom[5000] = { 0x55, 0xAA };

	pci_device_init(&toy->pci, &identity);
	toy->pci.device.ops = &toy_ops;
	toy->pci.config_written = toy_config_written;
	pci_bar_host_memory(&toy->pci, 0, PCI_BAR_MEMORY32, true, VRAM_SIZE, f->vram, MEMORY_LOG_DIRTY);
	pci_bar_registers(&toy->pci, 1, PCI_BAR_IO, 32, &toy_bus_ops, toy, "toy ports");
	pci_bar_registers(&toy->pci, 2, PCI_BAR_MEMORY64, 0x4000, &toy_bus_ops, toy, "toy registers");
	pci_add_msix(&toy->pci, 4, 3);
	pci_add_msi(&toy->pci);
	pci_rom(&toy->pci, rom, sizeof rom);
	toy->pci.bars[0].moved = toy_moved;
	pci_plug(&f->bus, &toy->pci, devfn);
}

static void set_up(struct fixture *f, gconstpointer data)
{
	(void)data;
	f->machine = fake_machine_new(64 << 20);
	f->vram = aligned_alloc(MEMORY_PAGE, VRAM_SIZE);
	pci_bus_init(&f->bus, &f->machine->vm);
	f->bus.set_pirq = set_pirq;
	f->bus.set_pirq_opaque = f;
	plug_toy(f, 0, PCI_DEVFN(2, 0));
	plug_toy(f, 1, PCI_DEVFN(3, 0));
	plug_toy(f, 2, PCI_DEVFN(31, 2));
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(f->toys); i++)
		pci_unplug(&f->toys[i].pci);
	for (unsigned i = 0; i < 8; i++)
		g_assert_false(f->pirq[i]);
	for (unsigned i = 0; i < MEMORY_SLOTS; i++)
		g_assert_false(f->machine->vm.memory.slots[i].size && f->machine->vm.memory.slots[i].host == f->vram);
	pci_bus_finish(&f->bus);
	free(f->vram);
	fake_machine_free(f->machine);
}

static void config_out(struct fixture *f, uint8_t devfn, unsigned offset, unsigned size, uint32_t value)
{
	fake_out(f->machine, 0xCF8, 4, 0x80000000u | devfn << 8 | (offset & 0xFC));
	fake_out(f->machine, (uint16_t)(0xCFC + (offset & 3)), size, value);
}

static uint32_t config_in(struct fixture *f, uint8_t devfn, unsigned offset, unsigned size)
{
	fake_out(f->machine, 0xCF8, 4, 0x80000000u | devfn << 8 | (offset & 0xFC));
	return fake_in(f->machine, (uint16_t)(0xCFC + (offset & 3)), size);
}

static void test_config_ports(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	fake_out(machine, 0xCF8, 4, 0xFFFFFFFF);
	g_assert_cmphex(fake_in(machine, 0xCF8, 4), ==, 0x80FFFFFC);
	fake_out(machine, 0xCF8, 2, 0x1234);
	fake_out(machine, 0xCFB, 1, 0);
	g_assert_cmphex(fake_in(machine, 0xCF8, 4), ==, 0x80FFFFFC);
	g_assert_cmphex(fake_in(machine, 0xCF8, 2), ==, 0xFFFF);
	g_assert_cmphex(fake_in(machine, 0xCFC, 4), ==, 0xFFFFFFFF);
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 0), 0, 4), ==, 0x56781234);
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 0), 2, 2), ==, 0x5678);
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 0), 1, 1), ==, 0x12);
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 0), 1, 2), ==, 0x7812);
	/* Nothing answers beyond 0xCFF. */
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 0), 2, 4), ==, 0xFFFF5678);
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 1), 0, 4), ==, 0xFFFFFFFF);
	config_out(f, PCI_DEVFN(2, 1), 4, 4, 7);
	fake_out(machine, 0xCF8, 4, PCI_DEVFN(2, 0) << 8);
	g_assert_cmphex(fake_in(machine, 0xCFC, 4), ==, 0xFFFFFFFF);
	fake_out(machine, 0xCF8, 4, 0x80010000 | PCI_DEVFN(2, 0) << 8);
	g_assert_cmphex(fake_in(machine, 0xCFC, 4), ==, 0xFFFFFFFF);
	pci_bus_reset(&f->bus);
	g_assert_cmphex(fake_in(machine, 0xCF8, 4), ==, 0);
}

static void test_write_masks(struct fixture *f, gconstpointer data)
{
	struct pci_device *toy = &f->toys[0].pci;
	uint8_t devfn = toy->devfn;

	(void)data;
	config_out(f, devfn, 0, 4, 0xFFFFFFFF);
	g_assert_cmphex(config_in(f, devfn, 0, 4), ==, 0x56781234);
	config_out(f, devfn, 8, 4, 0);
	g_assert_cmphex(config_in(f, devfn, 8, 4), ==, 0x03000003);
	config_out(f, devfn, 0x3C, 4, 0x12345678);
	g_assert_cmphex(config_in(f, devfn, 0x3C, 4), ==, 0x00000178);
	config_out(f, devfn, PCI_COMMAND, 2, 0xFFFF);
	g_assert_cmphex(config_in(f, devfn, PCI_COMMAND, 2), ==, 0x0547);
	toy->config[PCI_STATUS + 1] |= 0xF9;
	config_out(f, devfn, PCI_STATUS, 2, 0x2000);
	g_assert_cmphex(config_in(f, devfn, PCI_STATUS, 2), ==, 0xD910);
	/* A byte beside it does not clear anything. */
	config_out(f, devfn, PCI_COMMAND, 1, 0xFF);
	g_assert_cmphex(config_in(f, devfn, PCI_STATUS, 2), ==, 0xD910);
	pci_config_write(toy, 0xFFE, 4, 0x12345678);
	g_assert_cmphex(pci_config_read(toy, 0xFFE, 4), ==, 0xFFFF0000);
	pci_config_write(toy, 0x1000, 4, 0);
	g_assert_cmpuint(f->toys[0].config_writes, ==, 8 - 1);
}

static void test_ecam(struct fixture *f, gconstpointer data)
{
	uint64_t base = 0xB0000000, toy = base + (PCI_DEVFN(2, 0) << 12);
	struct fake_machine *machine = f->machine;

	(void)data;
	g_assert_cmphex(fake_read(machine, toy, 4), ==, 0xFFFFFFFF);
	pci_bus_map_ecam(&f->bus, base, 256);
	g_assert_cmphex(fake_read(machine, toy, 4), ==, 0x56781234);
	g_assert_cmphex(fake_read(machine, toy + 3, 1), ==, 0x56);
	g_assert_cmphex(fake_read(machine, toy + 1, 8), ==, 0x0300100000567812);
	g_assert_cmphex(fake_read(machine, toy + 0xFFE, 8), ==, 0xFFFFFFFFFFFF0000);
	g_assert_cmphex(fake_read(machine, toy + (1 << 20), 4), ==, 0xFFFFFFFF);
	g_assert_cmphex(fake_read(machine, base + 0xFFFF000, 8), ==, 0xFFFFFFFFFFFFFFFF);
	fake_write(machine, toy + 0x10, 8, 0xFFFFFFFFE0000000);
	g_assert_cmphex(fake_read(machine, toy + 0x10, 8), ==, 0xFFFFFFE1E0000008);
	fake_write(machine, toy + (1 << 20) + 0x10, 8, 0);
	g_assert_cmphex(fake_read(machine, toy + 0x10, 4), ==, 0xE0000008);
	pci_bus_map_ecam(&f->bus, 0xE0000000, 64);
	g_assert_cmphex(fake_read(machine, toy, 4), ==, 0xFFFFFFFF);
	g_assert_cmphex(fake_read(machine, 0xE0000000 + (PCI_DEVFN(2, 0) << 12), 2), ==, 0x1234);
	g_assert_cmphex(fake_read(machine, 0xE4000000, 1), ==, 0xFF);
	pci_bus_map_ecam(&f->bus, 0, 0);
	g_assert_cmphex(fake_read(machine, 0xE0000000 + (PCI_DEVFN(2, 0) << 12), 2), ==, 0xFFFF);
}

static void test_bar_sizing(struct fixture *f, gconstpointer data)
{
	struct pci_device *toy = &f->toys[0].pci;
	static const uint32_t sized[PCI_BARS] = { 0xFFE00008, 0xFFFFFFE1, 0xFFFFC004, 0xFFFFFFFF, 0xFFFFF000, 0 };

	(void)data;
	/* With decoding on, as much firmware does it. */
	pci_config_write(toy, PCI_COMMAND, 2, 3);
	for (unsigned i = 0; i < PCI_BARS; i++) {
		pci_config_write(toy, PCI_BASE_ADDRESS_0 + 4 * i, 4, 0xFFFFFFFF);
		g_assert_cmphex(pci_config_read(toy, PCI_BASE_ADDRESS_0 + 4 * i, 4), ==, sized[i]);
		/* The low half alone leaves a 64-bit BAR at a decodable place below 4 GiB. */
		g_assert_cmphex(toy->bars[i].address, ==, i == 2 ? 0xFFFFC000 : PCI_BAR_UNMAPPED);
	}
	g_assert_cmphex(toy->bars[2].address, ==, PCI_BAR_UNMAPPED);
	pci_config_write(toy, PCI_ROM_ADDRESS, 4, 0xFFFFF800);
	g_assert_cmphex(pci_config_read(toy, PCI_ROM_ADDRESS, 4), ==, 0xFFFFE000);
	g_assert_cmphex(toy->rom.address, ==, PCI_BAR_UNMAPPED);
	pci_config_write(toy, PCI_ROM_ADDRESS, 4, 0xFFFFFFFF);
	g_assert_cmphex(toy->rom.address, ==, PCI_BAR_UNMAPPED);
}

static void test_bar_mapping(struct fixture *f, gconstpointer data)
{
	struct pci_device *toy = &f->toys[0].pci;
	struct fake_machine *machine = f->machine;

	(void)data;
	pci_config_write(toy, PCI_BASE_ADDRESS_0 + 4, 4, 0xC041);
	pci_config_write(toy, PCI_BASE_ADDRESS_0 + 8, 4, 0x10004000);
	pci_config_write(toy, PCI_BASE_ADDRESS_0 + 12, 4, 0x0000007F);
	g_assert_cmphex(fake_in(machine, 0xC044, 2), ==, 0xFFFF);
	pci_config_write(toy, PCI_COMMAND, 1, PCI_COMMAND_IO);
	g_assert_cmphex(fake_in(machine, 0xC044, 2), ==, 0x5A04);
	g_assert_cmphex(fake_read(machine, 0x7F10004010, 4), ==, 0xFFFFFFFF);
	pci_config_write(toy, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	g_assert_cmphex(fake_in(machine, 0xC044, 2), ==, 0xFFFF);
	g_assert_cmphex(fake_read(machine, 0x7F10004010, 4), ==, 0x5A10);
	fake_write(machine, 0x7F10007FFC, 4, 0xCAFE);
	g_assert_cmphex(f->toys[0].written, ==, 0xCAFE);
	/* Half of a 64-bit BAR rewritten by bytes. */
	pci_config_write(toy, PCI_BASE_ADDRESS_0 + 12, 1, 0x01);
	g_assert_cmphex(fake_read(machine, 0x7F10004010, 4), ==, 0xFFFFFFFF);
	g_assert_cmphex(fake_read(machine, 0x0110004010, 4), ==, 0x5A10);
	/* The last range of the 64-bit space that is decoded, and the one that is not. */
	pci_config_write(toy, PCI_BASE_ADDRESS_0 + 8, 4, 0xFFFF8000);
	pci_config_write(toy, PCI_BASE_ADDRESS_0 + 12, 4, 0xFFFFFFFF);
	g_assert_cmphex(fake_read(machine, 0xFFFFFFFFFFFF8000, 4), ==, 0x5A00);
	pci_config_write(toy, PCI_BASE_ADDRESS_0 + 8, 4, 0xFFFFC000);
	g_assert_cmphex(toy->bars[2].address, ==, PCI_BAR_UNMAPPED);
	pci_config_write(toy, PCI_BASE_ADDRESS_0 + 4, 4, 0x10000);
	pci_config_write(toy, PCI_COMMAND, 1, PCI_COMMAND_IO);
	g_assert_cmphex(toy->bars[1].address, ==, PCI_BAR_UNMAPPED);
}

static void test_bar_overlaps(struct fixture *f, gconstpointer data)
{
	struct toy *a = &f->toys[0], *b = &f->toys[1];
	struct memory *memory = &f->machine->vm.memory;

	(void)data;
	pci_config_write(&a->pci, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	pci_config_write(&b->pci, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	/* Over RAM, and over what PAM rules: stays away. */
	pci_config_write(&a->pci, PCI_BASE_ADDRESS_0, 4, 0x200000);
	g_assert_null(a->pci.bars[0].slot);
	pci_config_write(&a->pci, PCI_ROM_ADDRESS, 4, 0xC0001);
	g_assert_null(a->pci.rom.slot);
	g_assert_cmpuint(a->moves, ==, 0);
	pci_config_write(&a->pci, PCI_BASE_ADDRESS_0, 4, 0xE0000000);
	g_assert_cmpuint(a->moves, ==, 1);
	g_assert_cmphex(a->pci.bars[0].slot->gpa, ==, 0xE0000000);
	g_assert_cmphex(a->pci.bars[0].slot->flags, ==, MEMORY_LOG_DIRTY);
	/* Over another BAR: waits until that one leaves. */
	pci_config_write(&b->pci, PCI_BASE_ADDRESS_0, 4, 0xE0000000);
	g_assert_cmphex(b->pci.bars[0].address, ==, PCI_BAR_UNMAPPED);
	pci_config_write(&b->pci, PCI_ROM_ADDRESS, 4, 0xE0002001);
	g_assert_null(b->pci.rom.slot);
	pci_config_write(&a->pci, PCI_BASE_ADDRESS_0, 4, 0xE0400000);
	g_assert_cmphex(b->pci.bars[0].address, ==, 0xE0000000);
	g_assert_null(b->pci.rom.slot);
	pci_config_write(&b->pci, PCI_ROM_ADDRESS, 4, 0xE0202001);
	g_assert_cmphex(b->pci.rom.slot->flags, ==, MEMORY_READONLY);
	g_assert_cmphex(b->pci.rom.slot->host[1], ==, 0xAA);
	g_assert_cmphex(b->pci.rom.slot->host[5000], ==, 0xFF);
	/* Register BARs: the later one answers, and the earlier one again after it has gone. */
	pci_config_write(&a->pci, PCI_BASE_ADDRESS_0 + 8, 4, 0xD0000000);
	pci_config_write(&b->pci, PCI_BASE_ADDRESS_0 + 8, 4, 0xD0000000);
	fake_write(f->machine, 0xD0000000, 4, 1);
	g_assert_cmpuint(b->written, ==, 1);
	pci_config_write(&b->pci, PCI_COMMAND, 1, 0);
	fake_write(f->machine, 0xD0000000, 4, 2);
	g_assert_cmpuint(a->written, ==, 2);
	g_assert_cmpuint(b->written, ==, 1);
	g_assert_null(b->pci.bars[0].slot);
	g_assert_null(b->pci.rom.slot);
	g_assert_cmpuint(memory->slots[0].size, ==, 0xA0000);
}

static void test_intx_routing(struct fixture *f, gconstpointer data)
{
	static const unsigned pirqs[3] = { 4 + 2, 4 + 3, 0 };

	(void)data;
	for (unsigned i = 0; i < 3; i++) {
		struct pci_device *toy = &f->toys[i].pci;

		pci_set_intx(toy, true);
		for (unsigned pirq = 0; pirq < 8; pirq++)
			g_assert_cmpint(f->pirq[pirq], ==, pirq == pirqs[i]);
		g_assert_cmphex(pci_config_read(toy, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, ==, PCI_STATUS_INTERRUPT);
		pci_config_write(toy, PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE);
		g_assert_false(f->pirq[pirqs[i]]);
		g_assert_cmphex(pci_config_read(toy, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, ==, PCI_STATUS_INTERRUPT);
		pci_config_write(toy, PCI_COMMAND, 2, 0);
		g_assert_true(f->pirq[pirqs[i]]);
		toy->device.ops->reset(&toy->device);
		g_assert_false(f->pirq[pirqs[i]]);
		g_assert_cmphex(pci_config_read(toy, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, ==, 0);
	}
}

static void test_intx_sharing(struct fixture *f, gconstpointer data)
{
	struct toy *extra = g_new0(struct toy, 1);
	const struct pci_identity identity = { .vendor = 1, .device = 2, .interrupt_pin = 2 };

	(void)data;
	/* Slot 6, INTB: PIRQ 4 + (6 + 1) % 4, which slot 3's INTA has too. */
	pci_device_init(&extra->pci, &identity);
	extra->pci.device.ops = &toy_ops;
	pci_plug(&f->bus, &extra->pci, PCI_DEVFN(6, 0));
	pci_set_intx(&extra->pci, true);
	pci_set_intx(&f->toys[1].pci, true);
	pci_set_intx(&extra->pci, false);
	g_assert_true(f->pirq[7]);
	pci_set_intx(&f->toys[1].pci, false);
	g_assert_false(f->pirq[7]);
	pci_set_intx(&extra->pci, true);
	pci_unplug(&extra->pci);
	g_assert_false(f->pirq[7]);
	g_assert_cmphex(config_in(f, PCI_DEVFN(6, 0), 0, 4), ==, 0xFFFFFFFF);
	g_free(extra);
}

static struct fake_msi *msi(struct fixture *f, unsigned index)
{
	g_assert_cmpuint(index, <, f->machine->msis->len);
	return &g_array_index(f->machine->msis, struct fake_msi, index);
}

static void test_msi(struct fixture *f, gconstpointer data)
{
	struct pci_device *toy = &f->toys[0].pci;
	unsigned cap = toy->msi;

	(void)data;
	g_assert_cmphex(pci_config_read(toy, PCI_CAPABILITY_LIST, 1), ==, cap);
	g_assert_cmphex(pci_config_read(toy, cap, 1), ==, PCI_CAP_ID_MSI);
	g_assert_cmphex(pci_config_read(toy, cap + 1, 1), ==, toy->msix);
	pci_config_write(toy, cap + PCI_MSI_ADDRESS_LO, 4, 0xFEE01003);
	pci_config_write(toy, cap + PCI_MSI_ADDRESS_HI, 4, 0x12);
	pci_config_write(toy, cap + PCI_MSI_DATA_64, 4, 0xFFFF4041);
	g_assert_cmphex(pci_config_read(toy, cap + PCI_MSI_DATA_64, 4), ==, 0x4041);
	pci_interrupt(toy, true);
	g_assert_true(f->pirq[6]);
	/* Enabling messages takes the pin away; without bus mastering there is no message. */
	pci_config_write(toy, cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE);
	g_assert_true(pci_msi_enabled(toy));
	g_assert_false(f->pirq[6]);
	pci_interrupt(toy, false);
	pci_interrupt(toy, true);
	g_assert_cmpuint(f->machine->msis->len, ==, 0);
	pci_config_write(toy, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	pci_interrupt(toy, true);
	g_assert_cmpuint(f->machine->msis->len, ==, 0);
	pci_interrupt(toy, false);
	pci_interrupt(toy, true);
	g_assert_cmpuint(f->machine->msis->len, ==, 1);
	g_assert_cmphex(msi(f, 0)->address, ==, 0x12FEE01000);
	g_assert_cmphex(msi(f, 0)->data, ==, 0x4041);
	g_assert_false(f->pirq[6]);
	/* Disabled again while the device still wants its interrupt: the pin tells. */
	pci_config_write(toy, cap + PCI_MSI_FLAGS, 2, 0);
	g_assert_true(f->pirq[6]);
}

static void enable_msix(struct pci_device *toy, uint16_t flags)
{
	pci_config_write(toy, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pci_config_write(toy, PCI_BASE_ADDRESS_0 + 16, 4, 0xD0010000);
	pci_config_write(toy, toy->msix + PCI_MSIX_FLAGS, 2, flags);
}

static void test_msix(struct fixture *f, gconstpointer data)
{
	struct pci_device *toy = &f->toys[0].pci;
	struct fake_machine *machine = f->machine;
	uint64_t table = 0xD0010000, pba = table + 2048;

	(void)data;
	pci_msix_notify(toy, 1);
	g_assert_cmphex(toy->msix_pending, ==, 0);
	enable_msix(toy, PCI_MSIX_FLAGS_ENABLE);
	g_assert_cmphex(pci_config_read(toy, toy->msix + PCI_MSIX_FLAGS, 2), ==, PCI_MSIX_FLAGS_ENABLE | 2);
	g_assert_cmphex(pci_config_read(toy, toy->msix + PCI_MSIX_TABLE, 4), ==, 4);
	g_assert_cmphex(pci_config_read(toy, toy->msix + PCI_MSIX_PBA, 4), ==, 4 | 2048);
	g_assert_cmphex(fake_read(machine, table + 16 + 12, 4), ==, 1);
	fake_write(machine, table + 16, 8, 0x1FEE02003);
	fake_write(machine, table + 16 + 8, 4, 0x51);
	g_assert_cmphex(fake_read(machine, table + 16, 8), ==, 0x1FEE02000);
	/* Masked: pending until unmasked, then one message however often it was raised. */
	pci_msix_notify(toy, 1);
	pci_msix_notify(toy, 1);
	pci_msix_notify(toy, 3);
	pci_msix_notify(toy, 1000);
	g_assert_cmphex(fake_read(machine, pba, 8), ==, 2);
	g_assert_cmphex(fake_read(machine, pba + 1, 1), ==, 0);
	fake_write(machine, pba, 8, 0);
	g_assert_cmphex(fake_read(machine, pba, 4), ==, 2);
	fake_write(machine, table + 16 + 12, 4, 0xFFFFFFFE);
	g_assert_cmphex(fake_read(machine, table + 16 + 12, 4), ==, 0);
	g_assert_cmpuint(machine->msis->len, ==, 1);
	g_assert_cmphex(msi(f, 0)->address, ==, 0x1FEE02000);
	g_assert_cmphex(msi(f, 0)->data, ==, 0x51);
	g_assert_cmphex(fake_read(machine, pba, 8), ==, 0);
	pci_msix_notify(toy, 1);
	g_assert_cmpuint(machine->msis->len, ==, 2);
	/* The function's mask. */
	pci_config_write(toy, toy->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	pci_msix_notify(toy, 1);
	pci_msix_notify(toy, 0);
	g_assert_cmpuint(machine->msis->len, ==, 2);
	pci_config_write(toy, toy->msix + PCI_MSIX_FLAGS + 1, 1, PCI_MSIX_FLAGS_ENABLE >> 8);
	g_assert_cmpuint(machine->msis->len, ==, 3);
	g_assert_cmphex(fake_read(machine, pba, 8), ==, 1);
	/* Hostile places: beyond the table, across its end, across the end of the page. */
	fake_write(machine, table + 3 * 16 - 2, 8, UINT64_MAX);
	fake_write(machine, table + 3 * 16, 8, UINT64_MAX);
	fake_write(machine, table + 0xFFC, 8, UINT64_MAX);
	g_assert_cmphex(fake_read(machine, table + 3 * 16, 8), ==, 0);
	g_assert_cmphex(fake_read(machine, table + 0xFFC, 8), ==, 0);
	toy->device.ops->reset(&toy->device);
	g_assert_cmphex(toy->msix_pending, ==, 0);
	g_assert_cmphex(toy->msix_table[1].control, ==, 1);
	g_assert_false(pci_msix_enabled(toy));
}

static void test_multi_function(struct fixture *f, gconstpointer data)
{
	struct toy *extra = g_new0(struct toy, 1);
	const struct pci_identity identity = { .vendor = 1, .device = 2 };

	(void)data;
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 0), PCI_HEADER_TYPE, 1), ==, 0);
	pci_device_init(&extra->pci, &identity);
	pci_plug(&f->bus, &extra->pci, PCI_DEVFN(2, 3));
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 0), PCI_HEADER_TYPE, 1), ==, 0x80);
	f->toys[0].pci.device.ops->reset(&f->toys[0].pci.device);
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 0), PCI_HEADER_TYPE, 1), ==, 0x80);
	pci_unplug(&extra->pci);
	g_assert_cmphex(config_in(f, PCI_DEVFN(2, 0), PCI_HEADER_TYPE, 1), ==, 0);
	g_free(extra);
}

static void test_state(struct fixture *f, gconstpointer data)
{
	struct pci_device *toy = &f->toys[0].pci;
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	enable_msix(toy, PCI_MSIX_FLAGS_ENABLE);
	pci_config_write(toy, PCI_BASE_ADDRESS_0, 4, 0xE0000000);
	fake_write(f->machine, 0xD0010000, 8, 0xFEE03000);
	pci_msix_notify(toy, 2);
	fake_check_state_round_trip(&toy->device);
	g_assert_cmphex(toy->bars[0].slot->gpa, ==, 0xE0000000);
	g_assert_cmphex(fake_read(f->machine, 0xD0010000, 8), ==, 0xFEE03000);
	g_assert_cmphex(toy->msix_pending, ==, 4);
	pci_config_write(toy, toy->msix + PCI_MSIX_FLAGS, 2, 0);
	pci_set_intx(toy, true);
	fake_check_state_round_trip(&toy->device);
	g_assert_true(f->pirq[6]);
	/* Somebody else's file. */
	toy->config[PCI_DEVICE_ID] ^= 1;
	file = fake_save(&toy->device);
	toy->config[PCI_DEVICE_ID] ^= 1;
	g_assert_false(fake_load(&toy->device, file, &error));
	g_assert_nonnull(strstr(error->message, "1234:5679"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, test) g_test_add("/pci/" path, struct fixture, NULL, set_up, test, tear_down)
	ADD("config-ports", test_config_ports);
	ADD("write-masks", test_write_masks);
	ADD("ecam", test_ecam);
	ADD("bar/sizing", test_bar_sizing);
	ADD("bar/mapping", test_bar_mapping);
	ADD("bar/overlaps", test_bar_overlaps);
	ADD("intx/routing", test_intx_routing);
	ADD("intx/sharing", test_intx_sharing);
	ADD("msi", test_msi);
	ADD("msix", test_msix);
	ADD("multi-function", test_multi_function);
	ADD("state", test_state);
	return g_test_run();
}
