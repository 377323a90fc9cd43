/* Booting a kernel without firmware: what ends up in RAM and registers, and kernels that are none. */
#include "../../vmm/firmware/direct.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_machine.h"

#define RAM_SIZE (64ull << 20)
#define ENTRY 0x1000100ull

struct image {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	uint8_t code[512];
};

struct fixture {
	struct fake_machine *machine;
	struct machine_config config;
	struct firmware firmware;
	struct direct_boot boot;
	struct direct_boot_state state;
	struct image image;
	char *folder, *kernel, *initrd;
	/* The configuration mechanism's ports, as a log of "slot.offset.size=value". */
	struct bus_region ports;
	uint32_t config_address;
	GString *writes;
};

static uint64_t ports_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)offset;
	(void)size;
	return 0;
}

static void ports_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct fixture *fixture = device;

	if (offset < 4)
		fixture->config_address = (uint32_t)value;
	else
		g_string_append_printf(fixture->writes, "%x.%x.%u=%x ", fixture->config_address >> 11 & 31,
				       (fixture->config_address & 0xFC) + (unsigned)offset - 4, size, (unsigned)value);
}

static const struct bus_ops ports_ops = { ports_read, ports_write };

static void set_up(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	fixture->machine = fake_machine_new(RAM_SIZE);
	fixture->config.uuid = (char *)"9f0ab1c2-5d34-4e6f-8a9b-0c1d2e3f4a5b";
	fixture->config.cpus = 2;
	firmware_init(&fixture->firmware, &fixture->config, &fixture->machine->vm.memory);
	fixture->folder = g_dir_make_tmp("oriel-direct-XXXXXX", NULL);
	fixture->kernel = g_build_filename(fixture->folder, "vmlinux", NULL);
	fixture->initrd = g_build_filename(fixture->folder, "initrd", NULL);
	fixture->boot = (struct direct_boot){ .kernel = fixture->kernel, .firmware = &fixture->firmware };
	fixture->writes = g_string_new(NULL);
	fixture->ports = (struct bus_region){ "ports", &ports_ops, fixture, .size = 8 };
	bus_map(&fixture->machine->vm.pio, &fixture->ports, 0xCF8);
	memcpy(fixture->image.header.e_ident, ELFMAG "\2\1\1", 7);
	fixture->image.header.e_type = ET_EXEC;
	fixture->image.header.e_machine = EM_X86_64;
	fixture->image.header.e_entry = ENTRY;
	fixture->image.header.e_phoff = G_STRUCT_OFFSET(struct image, segments);
	fixture->image.header.e_phentsize = sizeof(Elf64_Phdr);
	fixture->image.header.e_phnum = 2;
	fixture->image.segments[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = G_STRUCT_OFFSET(struct image, code),
		.p_paddr = 0x1000000, .p_vaddr = 0xFFFFFFFF81000000, .p_filesz = 512, .p_memsz = 4096 };
	fixture->image.segments[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 1 << 30, .p_filesz = 1 };
	memset(fixture->image.code, 0x90, sizeof fixture->image.code);
}

static void tear_down(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	bus_unmap(&fixture->machine->vm.pio, &fixture->ports);
	g_string_free(fixture->writes, TRUE);
	g_unlink(fixture->kernel);
	g_unlink(fixture->initrd);
	g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
	g_free(fixture->folder);
	g_free(fixture->kernel);
	g_free(fixture->initrd);
	firmware_finish(&fixture->firmware);
	fake_machine_free(fixture->machine);
}

static void write_kernel(struct fixture *fixture)
{
	g_assert_true(g_file_set_contents(fixture->kernel, (char *)&fixture->image, sizeof fixture->image, NULL));
}

static void load(struct fixture *fixture)
{
	GError *error = NULL;

	write_kernel(fixture);
	g_assert_true(direct_boot_load(&fixture->machine->vm, &fixture->boot, &fixture->state, &error));
	g_assert_no_error(error);
}

static void *ram(struct fixture *fixture, uint64_t gpa, uint64_t size)
{
	void *memory = memory_ptr(&fixture->machine->vm.memory, gpa, size);

	g_assert_nonnull(memory);
	return memory;
}

/* Translates as the CPU would; the kernel must be reachable at its own address. */
static uint64_t translate(struct fixture *fixture, uint64_t address)
{
	uint64_t table = fixture->state.sregs.cr3, entry = 0;

	for (unsigned level = 0; level < 3; level++) {
		uint64_t *entries = ram(fixture, table, 4096);

		entry = entries[address >> (39 - 9 * level) & 511];
		g_assert_cmphex(entry & 3, ==, 3);
		table = entry & 0x000FFFFFFFFFF000;
	}
	g_assert_true(entry & 0x80);
	return (entry & 0x000FFFFFFFE00000) | (address & 0x1FFFFF);
}

static void test_loads(struct fixture *fixture, gconstpointer unused)
{
	const struct boot_params *params;
	uint64_t *gdt;
	uint8_t *kernel;

	(void)unused;
	kernel = ram(fixture, 0x1000000, 8192);
	memset(kernel, 0xCC, 8192);
	fixture->boot.command_line = "console=ttyS0";
	fixture->boot.initrd = fixture->initrd;
	g_assert_true(g_file_set_contents(fixture->initrd, "0123456789", 10, NULL));
	load(fixture);
	g_assert_cmphex(kernel[0], ==, 0x90);
	g_assert_cmphex(kernel[511], ==, 0x90);
	g_assert_cmphex(kernel[512], ==, 0);
	g_assert_cmphex(kernel[4095], ==, 0);
	g_assert_cmphex(kernel[4096], ==, 0xCC);
	g_assert_cmphex(fixture->state.regs.rip, ==, ENTRY);
	g_assert_cmphex(translate(fixture, ENTRY), ==, ENTRY);
	g_assert_cmphex(translate(fixture, 0xFEE00000), ==, 0xFEE00000);
	params = ram(fixture, fixture->state.regs.rsi, sizeof *params);
	g_assert_cmphex(params->hdr.header, ==, 0x53726448);
	g_assert_cmpstr(ram(fixture, params->hdr.cmd_line_ptr, 14), ==, "console=ttyS0");
	g_assert_cmpuint(params->hdr.ramdisk_size, ==, 10);
	g_assert_cmpuint(params->hdr.ramdisk_image % 4096, ==, 0);
	g_assert_cmpmem(ram(fixture, params->hdr.ramdisk_image, 10), 10, "0123456789", 10);
	g_assert_cmpmem(ram(fixture, params->acpi_rsdp_addr, 8), 8, "RSD PTR ", 8);
	gdt = ram(fixture, fixture->state.sregs.gdt.base, fixture->state.sregs.gdt.limit + 1u);
	g_assert_cmphex(gdt[fixture->state.sregs.cs.selector / 8] >> 32, ==, 0x00AF9B00);
	g_assert_cmphex(gdt[fixture->state.sregs.ds.selector / 8] >> 32, ==, 0x00CF9300);
	g_assert_cmphex(fixture->state.sregs.cs.selector, ==, 0x10);
	g_assert_cmphex(fixture->state.sregs.efer, ==, 0x500);
	g_assert_cmphex(fixture->state.sregs.apic_base, ==, 0xFEE00900);
}

static void test_memory_map(struct fixture *fixture, gconstpointer unused)
{
	const struct boot_params *params;
	uint64_t end = 0, acpi = 0;

	(void)unused;
	load(fixture);
	params = ram(fixture, fixture->state.regs.rsi, sizeof *params);
	for (unsigned i = 0; i < params->e820_entries; i++) {
		struct boot_e820_entry entry = params->e820_table[i];

		g_assert_cmphex(entry.addr, >=, end);
		g_assert_cmphex(entry.size, >, 0);
		end = entry.addr + entry.size;
		if (entry.type == E820_TYPE_RAM)
			g_assert_nonnull(memory_ptr(&fixture->machine->vm.memory, entry.addr, entry.size));
		if (entry.type == E820_TYPE_ACPI) {
			g_assert_cmphex(params->acpi_rsdp_addr, >=, entry.addr);
			g_assert_cmphex(params->acpi_rsdp_addr, <, end);
			acpi = end;
		}
	}
	g_assert_cmphex(acpi, ==, RAM_SIZE);
}

static void test_smbios(struct fixture *fixture, gconstpointer unused)
{
	const uint8_t *anchor = ram(fixture, 0xF0000, 0x1F);
	uint8_t whole = 0, half = 0;

	(void)unused;
	load(fixture);
	g_assert_cmpmem(anchor, 4, "_SM_", 4);
	for (unsigned i = 0; i < 0x1F; i++) {
		whole = (uint8_t)(whole + anchor[i]);
		half = (uint8_t)(half + (i < 0x10 ? 0 : anchor[i]));
	}
	g_assert_cmpuint(whole, ==, 0);
	g_assert_cmpuint(half, ==, 0);
	g_assert_cmphex(anchor[0x18] | anchor[0x19] << 8 | anchor[0x1A] << 16, ==, 0xF0020);
}

static void test_chipset(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	load(fixture);
	g_assert_cmpstr(fixture->writes->str, ==,
			"0.60.4=0 0.64.4=0 0.60.4=b0000001 0.90.1=30 0.91.1=33 0.92.1=33 0.93.1=33 0.94.1=33 0.95.1=33 "
			"0.96.1=33 1f.40.4=601 1f.44.1=80 1f.60.4=b0b0a0a 1f.68.4=b0b0a0a ");
}

/* A reset loads again, over what the guest left. */
static void test_twice(struct fixture *fixture, gconstpointer unused)
{
	struct direct_boot_state first;
	uint64_t rsdp;

	(void)unused;
	load(fixture);
	first = fixture->state;
	rsdp = ((struct boot_params *)ram(fixture, first.regs.rsi, 4096))->acpi_rsdp_addr;
	memset(ram(fixture, 0, 0xA0000), 0xFF, 0xA0000);
	memset(ram(fixture, rsdp, 36), 0xFF, 36);
	load(fixture);
	g_assert_cmpmem(&first, sizeof first, &fixture->state, sizeof first);
	g_assert_cmpmem(ram(fixture, rsdp, 8), 8, "RSD PTR ", 8);
	translate(fixture, ENTRY);
}

static void refuse(struct fixture *fixture, const char *word)
{
	g_autoptr(GError) error = NULL;

	g_assert_false(direct_boot_load(&fixture->machine->vm, &fixture->boot, &fixture->state, &error));
	g_assert_nonnull(error);
	g_test_message("%s", error->message);
	g_assert_nonnull(strstr(error->message, word));
}

static void test_bad_kernels(struct fixture *fixture, gconstpointer unused)
{
#define BAD(field, wrong, word) do { \
		struct image good = fixture->image; \
		fixture->image.field = (wrong); \
		write_kernel(fixture); \
		refuse(fixture, word); \
		fixture->image = good; \
	} while (0)

	(void)unused;
	refuse(fixture, fixture->kernel);
	g_assert_true(g_file_set_contents(fixture->kernel, "MZ", 2, NULL));
	refuse(fixture, "too short");
	BAD(header.e_ident[0], 'M', "bzImage");
	BAD(header.e_ident[EI_CLASS], ELFCLASS32, "64-bit");
	BAD(header.e_machine, EM_AARCH64, "64-bit");
	BAD(header.e_type, ET_REL, "executable");
	BAD(header.e_phnum, 0, "program headers");
	BAD(header.e_phnum, 65, "program headers");
	BAD(header.e_phnum, 0xFFFF, "program headers");
	BAD(header.e_phnum, 60, "program headers");
	BAD(header.e_phentsize, 32, "program headers");
	BAD(header.e_phoff, UINT64_MAX - 8, "program headers");
	BAD(header.e_phoff, sizeof(struct image), "program headers");
	BAD(header.e_entry, 0xFFFFFFFF81000000, "entry point");
	BAD(header.e_entry, 0x1000200, "entry point");
	BAD(segments[0].p_type, PT_NULL, "entry point");
	BAD(segments[0].p_offset, UINT64_MAX, "end of the file");
	BAD(segments[0].p_filesz, UINT64_MAX, "end of the file");
	BAD(segments[0].p_filesz, 513, "end of the file");
	BAD(segments[0].p_memsz, 511, "end of the file");
	BAD(segments[0].p_memsz, UINT64_MAX, "does not fit");
	BAD(segments[0].p_memsz, RAM_SIZE, "does not fit");
	BAD(segments[0].p_paddr, 0xFFFFF, "does not fit");
	BAD(segments[0].p_paddr, RAM_SIZE - 4096, "does not fit");
	BAD(segments[0].p_paddr, UINT64_MAX - 100, "does not fit");
	BAD(segments[0].p_paddr, MEMORY_HIGH_BASE, "does not fit");
#undef BAD
	load(fixture);
}

static void test_bad_surroundings(struct fixture *fixture, gconstpointer unused)
{
	g_autofree char *text = g_strnfill(2048, 'a');

	(void)unused;
	load(fixture);
	fixture->boot.command_line = text;
	refuse(fixture, "command line");
	text[2047] = 0;
	load(fixture);
	fixture->boot.initrd = fixture->initrd;
	refuse(fixture, fixture->initrd);
	fixture->boot.initrd = fixture->folder;
	refuse(fixture, "regular file");
	fixture->boot.initrd = fixture->initrd;
	g_assert_true(g_file_set_contents(fixture->initrd, "", 0, NULL));
	load(fixture);
	g_assert_cmpint(truncate(fixture->initrd, 47 << 20), ==, 0);
	load(fixture);
	g_assert_cmpint(truncate(fixture->initrd, 48 << 20), ==, 0);
	refuse(fixture, "48 MiB do not fit");
	g_assert_cmpint(truncate(fixture->initrd, 1ll << 40), ==, 0);
	refuse(fixture, "do not fit");
}

#define ADD(name, test) g_test_add("/direct/" name, struct fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("loads", test_loads);
	ADD("memory-map", test_memory_map);
	ADD("smbios", test_smbios);
	ADD("chipset", test_chipset);
	ADD("twice", test_twice);
	ADD("bad-kernels", test_bad_kernels);
	ADD("bad-surroundings", test_bad_surroundings);
	return g_test_run();
}
