/* Host bridge with PAM, LPC bridge with PIRQ routing, power management, and the small ports. */
#include <string.h>

#include "../../vmm/chipset/host_bridge.h"
#include "../../vmm/chipset/lpc.h"
#include "../../vmm/chipset/pm.h"
#include "../../vmm/chipset/ports.h"
#include "../../vmm/pci/pci.h"
#include "fake_machine.h"

#define ROM_SIZE 0x40000u
#define LPC PCI_DEVFN(31, 0)
#define PM_BASE 0x600
#define SECOND 1000000000ull

struct fixture {
	struct fake_machine *machine;
	struct pci_bus bus;
	struct rom rom;
	struct device *host_bridge, *lpc, *ports;
	struct pm *pm;
};

static void set_up(struct fixture *f, gconstpointer data)
{
	f->machine = fake_machine_new(64 << 20);
	f->rom.size = data ? GPOINTER_TO_UINT(data) : ROM_SIZE;
	f->rom.data = aligned_alloc(MEMORY_PAGE, f->rom.size);
	for (unsigned i = 0; i < f->rom.size; i++)
		f->rom.data[i] = (uint8_t)(i >> 12);
	memset(f->machine->vm.memory.ram + 0xC0000, 0xAB, 0x40000);
	pci_bus_init(&f->bus, &f->machine->vm);
	f->host_bridge = host_bridge_new(&f->machine->vm, &f->bus, &f->rom);
	f->pm = pm_new(&f->machine->vm);
	f->lpc = lpc_new(&f->machine->vm, &f->bus, f->pm);
	f->ports = ports_new(&f->machine->vm, true);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	f->ports->ops->destroy(f->ports);
	f->lpc->ops->destroy(f->lpc);
	f->pm->device.ops->destroy(&f->pm->device);
	f->host_bridge->ops->destroy(f->host_bridge);
	pci_bus_finish(&f->bus);
	g_assert_cmpuint(f->machine->vm.pio.regions->len, ==, 0);
	g_assert_cmpuint(f->machine->vm.mmio.regions->len, ==, 0);
	for (unsigned gsi = 0; gsi < IRQ_LINES; gsi++)
		g_assert_false(f->machine->line[gsi]);
	free(f->rom.data);
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

static const struct memory_slot *slot_at(struct fixture *f, uint64_t gpa)
{
	for (unsigned i = 0; i < MEMORY_SLOTS; i++) {
		const struct memory_slot *slot = &f->machine->vm.memory.slots[i];

		if (slot->size && gpa >= slot->gpa && gpa - slot->gpa < slot->size)
			return slot;
	}
	return NULL;
}

static unsigned slots_in_pam(struct fixture *f)
{
	unsigned count = 0;

	for (unsigned i = 0; i < MEMORY_SLOTS; i++) {
		const struct memory_slot *slot = &f->machine->vm.memory.slots[i];

		count += slot->size && slot->gpa >= 0xC0000 && slot->gpa < 0x100000;
	}
	return count;
}

/* As the CPU does it: slots first, then the bus. */
static uint8_t cpu_read(struct fixture *f, uint64_t gpa)
{
	const struct memory_slot *slot = slot_at(f, gpa);

	return slot ? slot->host[gpa - slot->gpa] : (uint8_t)fake_read(f->machine, gpa, 1);
}

static void cpu_write(struct fixture *f, uint64_t gpa, uint8_t value)
{
	const struct memory_slot *slot = slot_at(f, gpa);

	if (slot && !(slot->flags & MEMORY_READONLY))
		slot->host[gpa - slot->gpa] = value;
	else
		fake_write(f->machine, gpa, 1, value);
}

static void test_identities(struct fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmphex(config_in(f, 0, 0x00, 4), ==, 0x29C08086);
	g_assert_cmphex(config_in(f, 0, 0x08, 4), ==, 0x06000000);
	g_assert_cmphex(config_in(f, 0, 0x2C, 4), ==, 0x11001AF4);
	g_assert_cmphex(config_in(f, LPC, 0x00, 4), ==, 0x29188086);
	g_assert_cmphex(config_in(f, LPC, 0x08, 4), ==, 0x06010002);
}

static void test_pciexbar(struct fixture *f, gconstpointer data)
{
	(void)data;
	/* In the order in which firmware writes it. */
	config_out(f, 0, 0x60, 4, 0);
	config_out(f, 0, 0x64, 4, 0);
	config_out(f, 0, 0x60, 4, 0xB0000001);
	g_assert_cmphex(config_in(f, 0, 0x60, 4), ==, 0xB0000001);
	g_assert_cmphex(fake_read(f->machine, 0xB0000000 + (LPC << 12), 4), ==, 0x29188086);
	g_assert_cmphex(fake_read(f->machine, 0xBFFFF000, 4), ==, 0xFFFFFFFF);
	/* 256 MiB leave no room for bits 27 and 26; 64 MiB do; the fourth length is reserved. */
	config_out(f, 0, 0x60, 4, 0xEC000001);
	g_assert_cmphex(fake_read(f->machine, 0xE0000000, 4), ==, 0x29C08086);
	config_out(f, 0, 0x60, 4, 0xEC000005);
	g_assert_cmphex(fake_read(f->machine, 0xEC000000, 4), ==, 0x29C08086);
	g_assert_cmphex(fake_read(f->machine, 0xE0000000, 4), ==, 0xFFFFFFFF);
	config_out(f, 0, 0x60, 4, 0xEC000007);
	g_assert_cmphex(fake_read(f->machine, 0xEC000000, 4), ==, 0xFFFFFFFF);
	config_out(f, 0, 0x64, 4, 0xFFFFFFFF);
	config_out(f, 0, 0x60, 4, 0xFFFFFFF9);
	g_assert_cmphex(config_in(f, 0, 0x64, 4), ==, 0xF);
	g_assert_cmphex(fake_read(f->machine, 0xFF0000000, 4), ==, 0x29C08086);
	/* Moved by an access through itself. */
	fake_write(f->machine, 0xFF0000000 + 0x60, 8, 0xB0000001);
	g_assert_cmphex(fake_read(f->machine, 0xB0000000, 4), ==, 0x29C08086);
	f->host_bridge->ops->reset(f->host_bridge);
	g_assert_cmphex(fake_read(f->machine, 0xB0000000, 4), ==, 0xFFFFFFFF);
	g_assert_cmphex(fake_in(f->machine, 0xCF8, 4), ==, 0);
}

static void test_rom(struct fixture *f, gconstpointer data)
{
	const struct memory_slot *slot = slot_at(f, 0xFFFFFFF0);

	(void)data;
	g_assert_cmphex(slot->gpa, ==, 0xFFFC0000);
	g_assert_true(slot->flags & MEMORY_READONLY);
	g_assert_true(slot->host == f->rom.data);
	g_assert_cmpuint(slots_in_pam(f), ==, 1);
	g_assert_cmphex(slot_at(f, 0xE0000)->size, ==, 0x20000);
	g_assert_cmphex(cpu_read(f, 0xFFFF0), ==, 0x3F);
	g_assert_cmphex(cpu_read(f, 0xE0000), ==, 0x20);
	g_assert_cmphex(cpu_read(f, 0xDFFFF), ==, 0xFF);
	cpu_write(f, 0xFFFF0, 0x77);
	cpu_write(f, 0xFFFFFFF0, 0x77);
	g_assert_cmphex(cpu_read(f, 0xFFFF0), ==, 0x3F);
	g_assert_cmphex(cpu_read(f, 0xFFFFFFF0), ==, 0x3F);
	g_assert_cmphex(f->machine->vm.memory.ram[0xFFFF0], ==, 0xAB);
}

static void test_small_rom(struct fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmphex(slot_at(f, 0xFFFFFFFF)->gpa, ==, 0xFFFF0000);
	g_assert_cmphex(cpu_read(f, 0xF0000), ==, 0x00);
	g_assert_cmphex(cpu_read(f, 0xFFFFF), ==, 0x0F);
	g_assert_cmphex(cpu_read(f, 0xEFFFF), ==, 0xFF);
}

static void test_pam_modes(struct fixture *f, gconstpointer data)
{
	/* A place of every segment, the register and shift that rule it, and what its ROM reads. */
	static const struct { uint32_t gpa; uint8_t reg, shift, rom; } places[] = {
		{ 0xC0001, 0x91, 0, 0xFF }, { 0xC7FFF, 0x91, 4, 0xFF }, { 0xC8000, 0x92, 0, 0xFF },
		{ 0xCC100, 0x92, 4, 0xFF }, { 0xD0000, 0x93, 0, 0xFF }, { 0xD4000, 0x93, 4, 0xFF },
		{ 0xD8000, 0x94, 0, 0xFF }, { 0xDFFFF, 0x94, 4, 0xFF }, { 0xE0000, 0x95, 0, 0x20 },
		{ 0xE7FFF, 0x95, 4, 0x27 }, { 0xE8000, 0x96, 0, 0x28 }, { 0xEC000, 0x96, 4, 0x2C },
		{ 0xF8000, 0x90, 4, 0x38 },
	};
	uint8_t *ram = f->machine->vm.memory.ram;

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++) {
		for (unsigned mode = 0; mode < 4; mode++) {
			uint32_t gpa = places[i].gpa;

			ram[gpa] = 0x5A;
			config_out(f, 0, places[i].reg, 1, mode << places[i].shift);
			g_assert_cmphex(cpu_read(f, gpa), ==, mode & 1 ? 0x5A : places[i].rom);
			cpu_write(f, gpa, 0xC3);
			g_assert_cmphex(ram[gpa], ==, mode & 2 ? 0xC3 : 0x5A);
			g_assert_cmphex(cpu_read(f, gpa), ==, !(mode & 1) ? places[i].rom : ram[gpa]);
			/* What the bus answers in a slot's place is the same. */
			g_assert_cmphex(fake_read(f->machine, gpa, 1), ==, cpu_read(f, gpa));
		}
		config_out(f, 0, places[i].reg, 1, 0);
	}
	g_assert_cmphex(f->rom.data[0x38000], ==, 0x38);
}

static void test_pam_slots(struct fixture *f, gconstpointer data)
{
	const struct memory_slot *low;

	(void)data;
	/* What SeaBIOS does: all RAM, later locked. */
	config_out(f, 0, 0x90, 4, 0x33333330);
	config_out(f, 0, 0x94, 2, 0x3333);
	config_out(f, 0, 0x96, 1, 0x33);
	g_assert_cmpuint(slots_in_pam(f), ==, 1);
	low = slot_at(f, 0xC0000);
	g_assert_cmphex(low->size, ==, 0x40000);
	g_assert_true(low->host == f->machine->vm.memory.ram + 0xC0000);
	g_assert_cmpuint(low->flags, ==, 0);
	config_out(f, 0, 0x90, 1, 0x10);
	g_assert_cmpuint(slots_in_pam(f), ==, 2);
	low = slot_at(f, 0xC0000);
	g_assert_cmphex(low->size, ==, 0x30000);
	config_out(f, 0, 0x91, 2, 0x1131);
	g_assert_cmpuint(slots_in_pam(f), ==, 5);
	/* A change elsewhere leaves a slot alone. */
	low = slot_at(f, 0xF0000);
	config_out(f, 0, 0x92, 1, 0x00);
	g_assert_true(slot_at(f, 0xF0000) == low);
	/* Accesses across what is RAM, ROM and hole. */
	config_out(f, 0, 0x94, 1, 0x00);
	config_out(f, 0, 0x95, 1, 0x01);
	f->machine->vm.memory.ram[0xE0000] = 0x11;
	g_assert_cmphex(fake_read(f->machine, 0xDFFFF, 2), ==, 0x11FF);
	g_assert_cmphex(fake_read(f->machine, 0xE3FFF, 2), ==, 0x24AB);
	fake_write(f->machine, 0xFFFFC, 8, 0);
	g_assert_cmphex(fake_read(f->machine, 0xFFFFC, 8), ==, 0xFFFFFFFFABABABAB);
	f->host_bridge->ops->reset(f->host_bridge);
	g_assert_cmpuint(slots_in_pam(f), ==, 1);
	g_assert_cmphex(cpu_read(f, 0xFFFF0), ==, 0x3F);
}

static void test_smram_lock(struct fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmphex(config_in(f, 0, 0x9D, 1), ==, 0x02);
	config_out(f, 0, 0x9D, 1, 0x4A);
	g_assert_cmphex(config_in(f, 0, 0x9D, 1), ==, 0x4A);
	config_out(f, 0, 0x9D, 1, 0x5A);
	g_assert_cmphex(config_in(f, 0, 0x9D, 1), ==, 0x1A);
	config_out(f, 0, 0x9D, 1, 0x42);
	g_assert_cmphex(config_in(f, 0, 0x9D, 1), ==, 0x1A);
	fake_check_state_round_trip(f->host_bridge);
	config_out(f, 0, 0x9D, 1, 0x42);
	g_assert_cmphex(config_in(f, 0, 0x9D, 1), ==, 0x1A);
	f->host_bridge->ops->reset(f->host_bridge);
	config_out(f, 0, 0x9D, 1, 0x4A);
	g_assert_cmphex(config_in(f, 0, 0x9D, 1), ==, 0x4A);
	/* No TSEG. */
	config_out(f, 0, 0x50, 2, 0xFFFF);
	g_assert_cmphex(config_in(f, 0, 0x50, 2), ==, 0);
}

static void test_host_bridge_state(struct fixture *f, gconstpointer data)
{
	(void)data;
	config_out(f, 0, 0x60, 4, 0xB0000001);
	config_out(f, 0, 0x93, 1, 0x13);
	fake_check_state_round_trip(f->host_bridge);
	g_assert_cmphex(fake_read(f->machine, 0xB0000000, 4), ==, 0x29C08086);
	g_assert_cmphex(slot_at(f, 0xD0000)->flags, ==, 0);
	g_assert_cmphex(slot_at(f, 0xD4000)->flags, ==, MEMORY_READONLY);
	g_assert_cmphex(fake_in(f->machine, 0xCF8, 4), ==, 0x80000090);
}

static void test_pirq_routing(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	for (unsigned pirq = 0; pirq < 8; pirq++) {
		unsigned rout = pirq < 4 ? 0x60 + pirq : 0x68 + pirq - 4;

		g_assert_cmphex(config_in(f, LPC, rout, 1), ==, 0x80);
		f->bus.set_pirq(f->bus.set_pirq_opaque, pirq, true);
		for (unsigned gsi = 0; gsi < IRQ_LINES; gsi++)
			g_assert_cmpint(machine->line[gsi], ==, gsi == 16 + pirq);
		config_out(f, LPC, rout, 1, 0x0B);
		g_assert_true(machine->line[11] && machine->line[16 + pirq]);
		config_out(f, LPC, rout, 1, 0x0A);
		g_assert_true(machine->line[10] && !machine->line[11]);
		/* Reserved interrupts, and bits that are not there. */
		config_out(f, LPC, rout, 1, 0x78);
		g_assert_cmphex(config_in(f, LPC, rout, 1), ==, 0x08);
		g_assert_false(machine->line[8] || machine->line[10]);
		config_out(f, LPC, rout, 1, 0x8A);
		g_assert_false(machine->line[10]);
		config_out(f, LPC, rout, 1, 0x0A);
		f->bus.set_pirq(f->bus.set_pirq_opaque, pirq, false);
		g_assert_false(machine->line[10] || machine->line[16 + pirq]);
	}
	/* Shared in PIC mode. */
	f->bus.set_pirq(f->bus.set_pirq_opaque, 2, true);
	f->bus.set_pirq(f->bus.set_pirq_opaque, 5, true);
	f->bus.set_pirq(f->bus.set_pirq_opaque, 2, false);
	g_assert_true(machine->line[10]);
	fake_check_state_round_trip(f->lpc);
	g_assert_true(machine->line[10] && machine->line[21]);
	f->bus.set_pirq(f->bus.set_pirq_opaque, 5, false);
	g_assert_false(machine->line[10]);
}

static void test_lpc_registers(struct fixture *f, gconstpointer data)
{
	(void)data;
	config_out(f, LPC, 0x40, 4, 0xFFFFFFFF);
	g_assert_cmphex(config_in(f, LPC, 0x40, 4), ==, 0xFF81);
	config_out(f, LPC, 0xA0, 2, 0x10);
	g_assert_cmphex(config_in(f, LPC, 0xA0, 2), ==, 0x10);
	g_assert_cmphex(fake_read(f->machine, 0xFED1F140, 2), ==, 0xFFFF);
	config_out(f, LPC, 0xF0, 4, 0xFED1C001);
	g_assert_cmphex(fake_read(f->machine, 0xFED1F140, 2), ==, 0x3210);
	g_assert_cmphex(fake_read(f->machine, 0xFED1F150, 4), ==, 0x32103210);
	fake_write(f->machine, 0xFED1F410, 4, 0x20);
	g_assert_cmphex(fake_read(f->machine, 0xFED1F410, 4), ==, 0x20);
	g_assert_cmphex(fake_read(f->machine, 0xFED1F411, 8), ==, 0);
	fake_check_state_round_trip(f->lpc);
	g_assert_cmphex(fake_read(f->machine, 0xFED1F410, 1), ==, 0x20);
	config_out(f, LPC, 0xF0, 4, 0xFFFFFFFF);
	g_assert_cmphex(fake_read(f->machine, 0xFFFFF410, 4), ==, 0x20);
	f->lpc->ops->reset(f->lpc);
	g_assert_cmphex(fake_read(f->machine, 0xFFFFF410, 4), ==, 0xFFFFFFFF);
}

static void enable_pm(struct fixture *f)
{
	config_out(f, LPC, 0x40, 4, PM_BASE | 1);
	config_out(f, LPC, 0x44, 1, 0x80);
}

static void test_pm_mapping(struct fixture *f, gconstpointer data)
{
	(void)data;
	config_out(f, LPC, 0x40, 4, PM_BASE | 1);
	g_assert_cmphex(fake_in(f->machine, PM_BASE + 4, 2), ==, 0xFFFF);
	config_out(f, LPC, 0x44, 1, 0x80);
	g_assert_cmphex(fake_in(f->machine, PM_BASE + 4, 2), ==, 1);
	config_out(f, LPC, 0x40, 4, 0xB001);
	g_assert_cmphex(fake_in(f->machine, PM_BASE + 4, 2), ==, 0xFFFF);
	g_assert_cmphex(fake_in(f->machine, 0xB004, 2), ==, 1);
	fake_check_state_round_trip(f->lpc);
	g_assert_cmphex(fake_in(f->machine, 0xB004, 2), ==, 1);
	f->lpc->ops->reset(f->lpc);
	g_assert_cmphex(fake_in(f->machine, 0xB004, 2), ==, 0xFFFF);
}

static void test_pm_timer(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	enable_pm(f);
	g_assert_cmphex(fake_in(machine, PM_BASE + 8, 4), ==, 0);
	clock_advance(&machine->vm.clock, SECOND);
	g_assert_cmpuint(fake_in(machine, PM_BASE + 8, 4), ==, 3579545);
	g_assert_cmpuint(fake_in(machine, PM_BASE + 9, 2), ==, 3579545 >> 8);
	g_assert_cmphex(fake_in(machine, PM_BASE, 2), ==, 0);
	clock_advance(&machine->vm.clock, 4 * SECOND);
	g_assert_cmpuint(fake_in(machine, PM_BASE + 8, 4), ==, 5 * 3579545 - (1 << 24));
	/* Overflows show without the interrupt, and cost no timer. */
	g_assert_cmphex(fake_in(machine, PM_BASE, 2), ==, 1);
	g_assert_cmpuint(machine->vm.clock.timers->len, ==, 0);
	fake_out(machine, PM_BASE, 2, 1);
	g_assert_cmphex(fake_in(machine, PM_BASE, 2), ==, 0);
	fake_out(machine, PM_BASE + 2, 2, 1);
	g_assert_cmpuint(machine->vm.clock.timers->len, ==, 1);
	/* The third overflow, at 3 * 2^23 ticks: 7.0305 s. */
	clock_advance(&machine->vm.clock, 2030000000);
	g_assert_false(machine->line[9]);
	clock_advance(&machine->vm.clock, 1000000);
	g_assert_true(machine->line[9]);
	g_assert_cmphex(fake_in(machine, PM_BASE, 4), ==, 0x00010001);
	/* Not acknowledged: nothing more to wait for. */
	g_assert_cmpuint(machine->vm.clock.timers->len, ==, 0);
	fake_out(machine, PM_BASE, 1, 1);
	g_assert_false(machine->line[9]);
	clock_advance(&machine->vm.clock, 3 * SECOND);
	g_assert_true(machine->line[9]);
}

static void test_power_button(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	enable_pm(f);
	g_assert_false(pm_power_button(f->pm));
	g_assert_false(machine->line[9]);
	g_assert_cmphex(fake_in(machine, PM_BASE, 2), ==, 0x100);
	/* Writing the other byte does not acknowledge it; enabling it later interrupts. */
	fake_out(machine, PM_BASE, 1, 0xFF);
	fake_out(machine, PM_BASE + 3, 1, 0x01);
	g_assert_true(machine->line[9]);
	fake_check_state_round_trip(&f->pm->device);
	g_assert_true(machine->line[9]);
	fake_out(machine, PM_BASE, 2, 0x100);
	g_assert_false(machine->line[9]);
	g_assert_true(pm_power_button(f->pm));
	/* The SCI follows its selection. */
	config_out(f, LPC, 0x44, 1, 0x84);
	g_assert_true(machine->line[20] && !machine->line[9]);
	f->pm->device.ops->reset(&f->pm->device);
	g_assert_false(machine->line[20]);
	g_assert_cmphex(fake_in(machine, PM_BASE, 4), ==, 0);
}

static void test_pm_registers(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	enable_pm(f);
	g_assert_cmphex(fake_in(machine, PM_BASE + 0x30, 4), ==, 0x20);
	fake_out(machine, PM_BASE + 0x30, 1, 0x21);
	g_assert_cmphex(fake_in(machine, PM_BASE + 0x30, 4), ==, 0x21);
	fake_out(machine, PM_BASE + 2, 2, 0xFFFF);
	g_assert_cmphex(fake_in(machine, PM_BASE + 2, 2), ==, 0x4521);
	fake_out(machine, PM_BASE + 0x28, 4, 0x11223344);
	fake_out(machine, PM_BASE + 0x2C, 4, 0x55667788);
	fake_out(machine, PM_BASE + 0x2B, 2, 0xAABB);
	g_assert_cmphex(fake_in(machine, PM_BASE + 0x28, 4), ==, 0xBB223344);
	g_assert_cmphex(fake_in(machine, PM_BASE + 0x2C, 4), ==, 0x556677AA);
	g_assert_cmphex(fake_in(machine, PM_BASE + 0x20, 4), ==, 0);
	/* Every port, every size: no harm, also at the end of the block. */
	for (uint16_t port = PM_BASE; port < PM_BASE + 128; port++)
		for (unsigned size = 1; size <= 4; size *= 2) {
			fake_in(machine, port, size);
			if (port / 4 * 4 != PM_BASE + 4)
				fake_out(machine, port, size, 0xFFFFFFFF & ~(1u << 13 | 1u << 5));
		}
	fake_check_state_round_trip(&f->pm->device);
}

static void test_sleep(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	enable_pm(f);
	fake_out(machine, PM_BASE + 4, 2, 1 << 10);
	g_assert_cmphex(fake_in(machine, PM_BASE + 4, 2), ==, 1 << 10 | 1);
	fake_out(machine, PM_BASE + 4, 2, 1 << 13 | 1 << 10);
	g_assert_cmpuint(machine->requests->len, ==, 0);
	g_assert_cmphex(fake_in(machine, PM_BASE + 4, 2), ==, 1 << 10 | 1);
	fake_out(machine, PM_BASE + 4, 2, 1 << 13);
	g_assert_cmpuint(machine->requests->len, ==, 1);
	g_assert_cmpint(g_array_index(machine->requests, enum vm_request, 0), ==, VM_REQUEST_POWEROFF);
	fake_out(machine, PM_BASE + 5, 1, 0x28);
	g_assert_cmpuint(machine->requests->len, ==, 2);
	g_assert_cmpint(g_array_index(machine->requests, enum vm_request, 1), ==, VM_REQUEST_POWEROFF);
}

static void test_reset_ports(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	g_assert_cmphex(fake_in(machine, 0x92, 1), ==, 0x02);
	fake_out(machine, 0x92, 1, 0x02);
	g_assert_cmpuint(machine->requests->len, ==, 0);
	fake_out(machine, 0x92, 1, 0x03);
	g_assert_cmpuint(machine->requests->len, ==, 1);
	fake_out(machine, 0xCF9, 1, 0x02);
	g_assert_cmphex(fake_in(machine, 0xCF9, 1), ==, 0x02);
	g_assert_cmpuint(machine->requests->len, ==, 1);
	fake_out(machine, 0xCF9, 1, 0x06);
	g_assert_cmpuint(machine->requests->len, ==, 2);
	g_assert_cmpint(g_array_index(machine->requests, enum vm_request, 1), ==, VM_REQUEST_RESET);
	/* Only the rise of the bit counts. */
	fake_out(machine, 0xCF9, 1, 0x0E);
	g_assert_cmpuint(machine->requests->len, ==, 2);
	fake_check_state_round_trip(f->ports);
	g_assert_cmphex(fake_in(machine, 0xCF9, 1), ==, 0x0E);
	f->ports->ops->reset(f->ports);
	fake_out(machine, 0xCF9, 1, 0xFF);
	g_assert_cmpuint(machine->requests->len, ==, 3);
	g_assert_cmphex(fake_in(machine, 0xCF9, 1), ==, 0x0E);
	/* The configuration address beside it still works. */
	fake_out(machine, 0xCF8, 4, 0x80000000);
	g_assert_cmphex(fake_in(machine, 0xCFC, 4), ==, 0x29C08086);
	fake_out(machine, 0x80, 1, 0x5C);
	g_assert_cmphex(fake_in(machine, 0x80, 1), ==, 0x5C);
}

static void test_debug_console(struct fixture *f, gconstpointer data)
{
	static const char text[] = "hello\nwor\x01ld";

	(void)data;
	g_assert_cmphex(fake_in(f->machine, 0x402, 1), ==, 0xE9);
	g_test_expect_message("oriel", G_LOG_LEVEL_DEBUG, "firmware: hello");
	for (const char *c = text; *c; c++)
		fake_out(f->machine, 0x402, 1, (uint8_t)*c);
	g_test_assert_expected_messages();
	g_test_expect_message("oriel", G_LOG_LEVEL_DEBUG, "firmware: world");
	f->ports->ops->reset(f->ports);
	g_test_assert_expected_messages();
	/* A line without an end is cut. */
	g_test_expect_message("oriel", G_LOG_LEVEL_DEBUG, "firmware: xxxx*x");
	for (unsigned i = 0; i < 600; i++)
		fake_out(f->machine, 0x402, 1, 'x');
	g_test_assert_expected_messages();
	g_test_expect_message("oriel", G_LOG_LEVEL_DEBUG, "firmware: xxxx*x");
	fake_out(f->machine, 0x402, 1, '\n');
	g_test_assert_expected_messages();
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, test) g_test_add("/chipset/" path, struct fixture, NULL, set_up, test, tear_down)
	ADD("identities", test_identities);
	ADD("pciexbar", test_pciexbar);
	ADD("rom", test_rom);
	g_test_add("/chipset/rom-64k", struct fixture, GUINT_TO_POINTER(0x10000), set_up, test_small_rom, tear_down);
	ADD("pam/modes", test_pam_modes);
	ADD("pam/slots", test_pam_slots);
	ADD("smram-lock", test_smram_lock);
	ADD("host-bridge-state", test_host_bridge_state);
	ADD("pirq-routing", test_pirq_routing);
	ADD("lpc-registers", test_lpc_registers);
	ADD("pm/mapping", test_pm_mapping);
	ADD("pm/timer", test_pm_timer);
	ADD("pm/power-button", test_power_button);
	ADD("pm/registers", test_pm_registers);
	ADD("pm/sleep", test_sleep);
	ADD("reset-ports", test_reset_ports);
	ADD("debug-console", test_debug_console);
	return g_test_run();
}
