/* The page-table walk, on page tables made by hand in a fake machine's RAM: all formats, rights, and marks. */
#include <string.h>

#include "../../vmm/emulation/control_bits.h"
#include "../../vmm/emulation/walk.h"
#include "fake_machine.h"

#define P 1ull
#define RW 2ull
#define US 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define NX (1ull << 63)

#define PML5 0x1000
#define PML4 0x2000
#define PDPT 0x3000
#define PD 0x4000
#define PT 0x5000
#define PAGE 0x123000ull
#define LINEAR 0x00007F8040201ABCull /* indices 0xFF, 1, 1, 1 and an offset */

struct fixture {
	struct fake_machine *machine;
	struct paging paging;
};

static void put64(struct fixture *fixture, uint64_t gpa, uint64_t value)
{
	g_assert_true(memory_write(&fixture->machine->vm.memory, gpa, &value, sizeof value));
}

static uint64_t get64(struct fixture *fixture, uint64_t gpa)
{
	uint64_t value;

	g_assert_true(memory_read(&fixture->machine->vm.memory, gpa, &value, sizeof value));
	return value;
}

static void put32(struct fixture *fixture, uint64_t gpa, uint32_t value)
{
	g_assert_true(memory_write(&fixture->machine->vm.memory, gpa, &value, sizeof value));
}

/* Four levels down to PAGE, everything allowed. */
static void set_up(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->machine = fake_machine_new(4 << 20);
	fixture->paging = (struct paging){
		.cr0 = CR0_PE | CR0_PG | CR0_WP,
		.cr3 = PML4 | 0x18,
		.cr4 = CR4_PAE,
		.efer = EFER_LMA | EFER_LME | EFER_NX,
	};
	put64(fixture, PML4 + 0xFF * 8, PDPT | P | RW | US);
	put64(fixture, PDPT + 1 * 8, PD | P | RW | US);
	put64(fixture, PD + 1 * 8, PT | P | RW | US);
	put64(fixture, PT + 1 * 8, PAGE | P | RW | US);
}

static void tear_down(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	fake_machine_free(fixture->machine);
}

static void expect(struct fixture *fixture, uint64_t linear, enum walk_access access, uint64_t expected)
{
	uint64_t gpa = 0;
	uint32_t error = 0;

	g_assert_true(walk(&fixture->machine->vm, &fixture->paging, linear, access, &gpa, &error));
	g_assert_cmphex(gpa, ==, expected);
}

static void expect_fault(struct fixture *fixture, uint64_t linear, enum walk_access access, uint32_t expected)
{
	uint64_t gpa = 0;
	uint32_t error = 0;

	g_assert_false(walk(&fixture->machine->vm, &fixture->paging, linear, access, &gpa, &error));
	g_assert_cmphex(error, ==, expected);
}

static void test_four_levels(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	expect(fixture, LINEAR, WALK_READ, PAGE | 0xABC);
	g_assert_cmphex(get64(fixture, PML4 + 0xFF * 8), ==, PDPT | P | RW | US | A);
	g_assert_cmphex(get64(fixture, PT + 8), ==, PAGE | P | RW | US | A);
	expect(fixture, LINEAR, WALK_WRITE, PAGE | 0xABC);
	g_assert_cmphex(get64(fixture, PD + 8), ==, PT | P | RW | US | A);
	g_assert_cmphex(get64(fixture, PT + 8), ==, PAGE | P | RW | US | A | D);
	expect_fault(fixture, LINEAR + 0x1000, WALK_READ, 0);
	expect_fault(fixture, LINEAR + 0x1000, WALK_WRITE, PAGE_FAULT_WRITE);
	fixture->paging.user = true;
	expect_fault(fixture, LINEAR + 0x1000, WALK_FETCH, PAGE_FAULT_USER | PAGE_FAULT_FETCH);
}

static void test_five_levels(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	put64(fixture, PML5 + 3 * 8, PML4 | P | RW | US);
	fixture->paging.cr3 = PML5;
	fixture->paging.cr4 |= CR4_LA57;
	expect(fixture, 3ull << 48 | LINEAR, WALK_READ, PAGE | 0xABC);
	expect_fault(fixture, 2ull << 48 | LINEAR, WALK_READ, 0);
}

static void test_large_pages(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	put64(fixture, PD + 8, 0x200000 | P | RW | US | PS);
	expect(fixture, LINEAR, WALK_WRITE, 0x200000 | (LINEAR & 0x1FFFFF));
	g_assert_cmphex(get64(fixture, PD + 8), ==, 0x200000 | P | RW | US | PS | A | D);
	put64(fixture, PDPT + 8, 0x40000000 | P | RW | US | PS);
	expect(fixture, LINEAR, WALK_READ, 0x40000000 | (LINEAR & 0x3FFFFFFF));
	/* There are no pages of 512 GiB. */
	put64(fixture, PML4 + 0xFF * 8, P | RW | US | PS);
	expect_fault(fixture, LINEAR, WALK_READ, PAGE_FAULT_PRESENT | PAGE_FAULT_RESERVED);
}

static void test_rights(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	put64(fixture, PD + 8, PT | P | US);
	expect_fault(fixture, LINEAR, WALK_WRITE, PAGE_FAULT_PRESENT | PAGE_FAULT_WRITE);
	/* Nothing is marked by an access that faults. */
	g_assert_cmphex(get64(fixture, PT + 8), ==, PAGE | P | RW | US);
	fixture->paging.cr0 &= ~CR0_WP;
	expect(fixture, LINEAR, WALK_WRITE, PAGE | 0xABC);
	fixture->paging.user = true;
	expect_fault(fixture, LINEAR, WALK_WRITE, PAGE_FAULT_PRESENT | PAGE_FAULT_WRITE | PAGE_FAULT_USER);
	put64(fixture, PD + 8, PT | P | RW);
	expect_fault(fixture, LINEAR, WALK_READ, PAGE_FAULT_PRESENT | PAGE_FAULT_USER);
}

static void test_no_execute(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	put64(fixture, PDPT + 8, PD | P | RW | US | NX);
	expect(fixture, LINEAR, WALK_READ, PAGE | 0xABC);
	expect_fault(fixture, LINEAR, WALK_FETCH, PAGE_FAULT_PRESENT | PAGE_FAULT_FETCH);
	/* Without EFER.NXE the bit is reserved, and fetches are not told apart. */
	fixture->paging.efer &= ~EFER_NX;
	expect_fault(fixture, LINEAR, WALK_FETCH, PAGE_FAULT_PRESENT | PAGE_FAULT_RESERVED);
}

static void test_supervisor_protections(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->paging.cr4 |= CR4_SMEP | CR4_SMAP;
	expect_fault(fixture, LINEAR, WALK_FETCH, PAGE_FAULT_PRESENT | PAGE_FAULT_FETCH);
	expect_fault(fixture, LINEAR, WALK_READ, PAGE_FAULT_PRESENT);
	fixture->paging.alignment = true;
	expect(fixture, LINEAR, WALK_READ, PAGE | 0xABC);
	expect_fault(fixture, LINEAR, WALK_FETCH, PAGE_FAULT_PRESENT | PAGE_FAULT_FETCH);
	fixture->paging.user = true;
	fixture->paging.alignment = false;
	expect(fixture, LINEAR, WALK_FETCH, PAGE | 0xABC);
}

static void test_protection_keys(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->paging.cr4 |= CR4_PKE;
	put64(fixture, PT + 8, PAGE | P | RW | US | 5ull << 59);
	expect(fixture, LINEAR, WALK_WRITE, PAGE | 0xABC);
	fixture->paging.pkru = 2u << 10;
	expect(fixture, LINEAR, WALK_READ, PAGE | 0xABC);
	expect_fault(fixture, LINEAR, WALK_WRITE, PAGE_FAULT_PRESENT | PAGE_FAULT_WRITE | PAGE_FAULT_KEY);
	fixture->paging.pkru = 1u << 10;
	expect_fault(fixture, LINEAR, WALK_READ, PAGE_FAULT_PRESENT | PAGE_FAULT_KEY);
	expect(fixture, LINEAR, WALK_FETCH, PAGE | 0xABC);
	/* Keys guard user pages only. */
	put64(fixture, PT + 8, PAGE | P | RW | 5ull << 59);
	expect(fixture, LINEAR, WALK_READ, PAGE | 0xABC);
}

static void test_pae(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->paging.efer = EFER_NX;
	fixture->paging.cr3 = PML4 | 0x20;
	put64(fixture, PML4 + 0x20 + 2 * 8, PD | P);
	/* Bits 31-30 are 2, then 1 and 1; only the low half of an address counts. */
	expect(fixture, 0xFFFFFFFF80201ABC, WALK_WRITE, PAGE | 0xABC);
	g_assert_cmphex(get64(fixture, PML4 + 0x20 + 2 * 8), ==, PD | P);
	g_assert_cmphex(get64(fixture, PT + 8), ==, PAGE | P | RW | US | A | D);
	expect_fault(fixture, 0x40201ABC, WALK_READ, 0);
}

static void test_32_bit(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->paging.efer = 0;
	fixture->paging.cr4 = 0;
	fixture->paging.cr3 = PML4;
	put32(fixture, PML4 + 3 * 4, PT | P | RW | US);
	put32(fixture, PT + 7 * 4, PAGE | P | RW | US);
	expect(fixture, 3u << 22 | 7u << 12 | 0xABC, WALK_WRITE, PAGE | 0xABC);
	g_assert_cmphex(get64(fixture, PT + 7 * 4) & 0xFFFFFFFF, ==, PAGE | P | RW | US | A | D);
	/* PS counts with CR4.PSE only; then bits 20-13 are address bits 39-32. */
	put32(fixture, PML4 + 4 * 4, 0x00C00000 | 3u << 13 | P | PS | US);
	fixture->paging.cr4 = CR4_PSE;
	expect(fixture, 4u << 22 | 0x123456, WALK_READ, 0x300C00000 | 0x123456);
}

static void test_no_paging(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	fixture->paging.cr0 = CR0_PE;
	expect(fixture, 0x12345678, WALK_WRITE, 0x12345678);
}

/* Tables outside of RAM, at the end of it, and pointing at themselves. */
static void test_bad_tables(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	put64(fixture, PD + 8, 0x000FFFFFFFFFF000 | P | RW | US);
	expect_fault(fixture, LINEAR, WALK_READ, 0);
	put64(fixture, PD + 8, (4 << 20) | P | RW | US);
	expect_fault(fixture, LINEAR, WALK_WRITE, PAGE_FAULT_WRITE);
	fixture->paging.cr3 = 0x000FFFFFFFFFF000;
	expect_fault(fixture, LINEAR, WALK_READ, 0);
	fixture->paging.cr3 = PML4;
	put64(fixture, PML4 + 0xFF * 8, PML4 | P | RW | US);
	put64(fixture, PML4 + 8, PML4 | P | RW | US);
	expect(fixture, LINEAR, WALK_WRITE, PML4 | 0xABC);
}

/* Firmware may keep page tables in its image, which is no RAM. */
static void test_tables_in_rom(struct fixture *fixture, gconstpointer data)
{
	struct vm *vm = &fixture->machine->vm;
	static uint64_t rom[512] __attribute__((aligned(4096)));
	struct memory_slot *slot;

	(void)data;
	rom[1] = PAGE | P | RW | US;
	g_mutex_lock(&vm->lock);
	slot = memory_map(&vm->memory, 0xFFFF0000, sizeof rom, rom, MEMORY_READONLY);
	g_mutex_unlock(&vm->lock);
	put64(fixture, PD + 8, 0xFFFF0000 | P | RW | US);
	expect(fixture, LINEAR, WALK_WRITE, PAGE | 0xABC);
	g_assert_cmphex(rom[1], ==, PAGE | P | RW | US);
	g_mutex_lock(&vm->lock);
	memory_unmap(&vm->memory, slot);
	g_mutex_unlock(&vm->lock);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*function)(struct fixture *fixture, gconstpointer data);
	} tests[] = {
		{ "/walk/four-levels", test_four_levels },
		{ "/walk/five-levels", test_five_levels },
		{ "/walk/large-pages", test_large_pages },
		{ "/walk/rights", test_rights },
		{ "/walk/no-execute", test_no_execute },
		{ "/walk/supervisor-protections", test_supervisor_protections },
		{ "/walk/protection-keys", test_protection_keys },
		{ "/walk/pae", test_pae },
		{ "/walk/32-bit", test_32_bit },
		{ "/walk/no-paging", test_no_paging },
		{ "/walk/bad-tables", test_bad_tables },
		{ "/walk/tables-in-rom", test_tables_in_rom },
	};

	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++)
		g_test_add(tests[i].name, struct fixture, NULL, set_up, tests[i].function, tear_down);
	return g_test_run();
}
