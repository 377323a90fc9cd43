#include "direct.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../vm.h"
#include "table_loader.h"

/* Where things go below 640 KiB; the kernel is above 1 MiB, the initial RAM disk and tables end with low RAM. */
#define GDT_ADDRESS 0x8000u
#define PAGE_TABLES 0x9000u /* level 4, level 3, and 4 of level 2: 6 pages */
#define BOOT_PARAMS 0x10000u
#define COMMAND_LINE 0x20000u
#define LOW_END 0xA0000u
#define KERNEL_MIN 0x100000u
#define SMBIOS_ADDRESS 0xF0000u

#define COMMAND_LINE_MAX 2047 /* COMMAND_LINE_SIZE of x86, less the terminator */
#define SEGMENTS_MAX 64
#define LOADER_TYPE_UNDEFINED 0xFF

#define BOOT_CS 0x10 /* the protocol's selectors */
#define BOOT_DS 0x18
#define BOOT_TR 0x20

#define PAGE_PRESENT_WRITABLE 0x3ull
#define PAGE_LARGE 0x80ull
#define LARGE_PAGE_SIZE (2ull << 20)
#define MAPPED_GIB 4u

#define CR0_PE 1u
#define CR0_ET (1u << 4)
#define CR0_PG (1u << 31)
#define CR4_PAE (1u << 5)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define RFLAGS_FIXED 2u
#define APIC_BASE_BSP (1u << 8)
#define APIC_BASE_ENABLE (1u << 11)

struct loader {
	struct vm *vm;
	const struct direct_boot *boot;
	uint64_t top;        /* end of free low RAM: tables and RAM disk are above */
	uint64_t tables_end; /* tables are from tables_start to here */
	uint64_t tables_start;
	uint64_t kernel_end;
	uint64_t entry;
	uint64_t rsdp;
	uint64_t initrd;
	uint64_t initrd_size;
};

static bool fail(GError **error, const char *path, const char *format, ...) G_GNUC_PRINTF(3, 4);

static bool fail(GError **error, const char *path, const char *format, ...)
{
	g_autofree char *reason = NULL;
	va_list arguments;

	va_start(arguments, format);
	reason = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, _("Cannot boot %s: %s"), path, reason);
	return false;
}

static int open_file(const char *path, uint64_t *size, GError **error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat status;

	if (fd < 0) {
		fail(error, path, _("%s. Check [kernel] in machine.conf"), g_strerror(errno));
		return -1;
	}
	if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
		fail(error, path, _("it is not a regular file"));
		close(fd);
		return -1;
	}
	*size = (uint64_t)status.st_size;
	return fd;
}

static bool read_exactly(int fd, const char *path, void *target, uint64_t size, uint64_t offset, GError **error)
{
	uint64_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, (uint8_t *)target + done, size - done, (off_t)(offset + done));

		if (got == 0)
			return fail(error, path, _("it became shorter while it was read"));
		if (got < 0 && errno != EINTR)
			return fail(error, path, "%s", g_strerror(errno));
		done += got > 0 ? (uint64_t)got : 0;
	}
	return true;
}

static bool check_header(const Elf64_Ehdr *header, uint64_t size, const char *path, GError **error)
{
	if (memcmp(header->e_ident, ELFMAG, SELFMAG))
		return fail(error, path,
			    _("it is not an ELF file; an uncompressed vmlinux is needed, not a bzImage"));
	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_machine != EM_X86_64)
		return fail(error, path, _("it is not for 64-bit x86"));
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return fail(error, path, _("it is not executable"));
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 || header->e_phnum > SEGMENTS_MAX ||
	    header->e_phoff > size || header->e_phnum * sizeof(Elf64_Phdr) > size - header->e_phoff)
		return fail(error, path, _("its program headers are not sound"));
	return true;
}

static bool load_segment(struct loader *loader, int fd, const Elf64_Phdr *segment, uint64_t size, GError **error)
{
	const char *path = loader->boot->kernel;
	uint8_t *target;

	if (segment->p_offset > size || segment->p_filesz > size - segment->p_offset ||
	    segment->p_filesz > segment->p_memsz)
		return fail(error, path, _("a segment reaches past the end of the file"));
	if (segment->p_paddr < KERNEL_MIN || segment->p_paddr > loader->top ||
	    segment->p_memsz > loader->top - segment->p_paddr)
		return fail(error, path,
			    _("a segment at 0x%" PRIx64 " with %" PRIu64 " KiB does not fit into memory; give the "
			      "machine more"), (uint64_t)segment->p_paddr, (uint64_t)segment->p_memsz >> 10);
	target = memory_ptr(&loader->vm->memory, segment->p_paddr, segment->p_memsz);
	if (!target)
		return fail(error, path, _("a segment is outside RAM"));
	if (!read_exactly(fd, path, target, segment->p_filesz, segment->p_offset, error))
		return false;
	memset(target + segment->p_filesz, 0, segment->p_memsz - segment->p_filesz);
	loader->kernel_end = MAX(loader->kernel_end, segment->p_paddr + segment->p_memsz);
	return true;
}

static bool load_segments(struct loader *loader, int fd, uint64_t size, GError **error)
{
	const char *path = loader->boot->kernel;
	Elf64_Phdr segments[SEGMENTS_MAX];
	bool entry_loaded = false;
	Elf64_Ehdr header;

	if (size < sizeof header)
		return fail(error, path, _("it is too short to be a kernel"));
	if (!read_exactly(fd, path, &header, sizeof header, 0, error) || !check_header(&header, size, path, error) ||
	    !read_exactly(fd, path, segments, header.e_phnum * sizeof *segments, header.e_phoff, error))
		return false;
	for (unsigned i = 0; i < header.e_phnum; i++) {
		if (segments[i].p_type != PT_LOAD || segments[i].p_memsz == 0)
			continue;
		if (!load_segment(loader, fd, &segments[i], size, error))
			return false;
		if (header.e_entry >= segments[i].p_paddr &&
		    header.e_entry - segments[i].p_paddr < segments[i].p_filesz)
			entry_loaded = true;
	}
	if (!entry_loaded)
		return fail(error, path, _("its entry point 0x%" PRIx64 " is not in a loaded segment"),
			    (uint64_t)header.e_entry);
	loader->entry = header.e_entry;
	return true;
}

static bool load_kernel(struct loader *loader, GError **error)
{
	uint64_t size;
	int fd = open_file(loader->boot->kernel, &size, error);
	bool ok;

	if (fd < 0)
		return false;
	ok = load_segments(loader, fd, size, error);
	close(fd);
	return ok;
}

static bool load_initrd(struct loader *loader, GError **error)
{
	const char *path = loader->boot->initrd;
	uint64_t size, base;
	bool ok;
	int fd;

	if (!path)
		return true;
	fd = open_file(path, &size, error);
	if (fd < 0)
		return false;
	base = size < loader->top ? (loader->top - size) & ~(uint64_t)(MEMORY_PAGE - 1) : 0;
	if (base < loader->kernel_end)
		ok = fail(error, path,
			  _("its %" PRIu64 " MiB do not fit into memory beside the kernel; give the machine more"),
			  size >> 20);
	else
		ok = read_exactly(fd, path, memory_ptr(&loader->vm->memory, base, size), size, 0, error);
	close(fd);
	loader->initrd = base;
	loader->initrd_size = size;
	return ok;
}

static GBytes *find_table_file(void *opaque, const char *name)
{
	const struct acpi_files *acpi = &((struct loader *)opaque)->boot->firmware->acpi;

	if (strcmp(name, ACPI_TABLES_FILE) == 0)
		return acpi->tables;
	return strcmp(name, ACPI_RSDP_FILE) == 0 ? acpi->rsdp : NULL;
}

/* Both zones are the end of low RAM: the kernel is told where the RSDP is. */
static uint8_t *allocate_table(void *opaque, uint64_t size, uint32_t align, enum table_loader_zone zone,
			       uint64_t *gpa)
{
	struct loader *loader = opaque;

	(void)zone;
	if (size > loader->top - KERNEL_MIN)
		return NULL;
	loader->top = (loader->top - size) & ~(uint64_t)(align - 1);
	*gpa = loader->top;
	return memory_ptr(&loader->vm->memory, loader->top, size);
}

static bool place_acpi(struct loader *loader, GError **error)
{
	const struct table_loader_target target = { find_table_file, allocate_table, loader };

	loader->tables_end = loader->top;
	if (!table_loader_run(loader->boot->firmware->acpi.loader, &target, ACPI_RSDP_FILE, &loader->rsdp, error))
		return false;
	loader->top &= ~(uint64_t)(MEMORY_PAGE - 1);
	loader->tables_start = loader->top;
	return true;
}

static uint8_t checksum(const uint8_t *data, size_t size)
{
	uint8_t sum = 0;

	while (size--)
		sum = (uint8_t)(sum - *data++);
	return sum;
}

/* Where operating systems look for it: on a 16-byte boundary from 0xF0000 on (SMBIOS 2.8, section 5.2.1). */
static void place_smbios(struct loader *loader)
{
	const struct smbios_files *smbios = &loader->boot->firmware->smbios;
	gsize anchor_size, tables_size;
	const uint8_t *anchor_data = g_bytes_get_data(smbios->anchor, &anchor_size);
	const uint8_t *tables_data = g_bytes_get_data(smbios->tables, &tables_size);
	uint32_t address = GUINT32_TO_LE(SMBIOS_ADDRESS + 0x20);
	uint8_t *anchor = memory_ptr(&loader->vm->memory, SMBIOS_ADDRESS, 0x20 + tables_size);

	if (!anchor)
		return;
	memcpy(anchor, anchor_data, anchor_size);
	memcpy(anchor + 0x20, tables_data, tables_size);
	memcpy(anchor + 0x18, &address, sizeof address);
	anchor[0x15] = checksum(anchor + 0x10, anchor_size - 0x10);
	anchor[4] = checksum(anchor, anchor_size);
}

static void add_range(struct boot_params *params, uint64_t start, uint64_t end, enum e820_type type)
{
	struct boot_e820_entry *entry = &params->e820_table[params->e820_entries++];

	entry->addr = start;
	entry->size = end - start;
	entry->type = type;
}

/* The description's memory map, with low RAM cut up as firmware does. */
static void fill_memory_map(const struct loader *loader, struct boot_params *params)
{
	const struct firmware_description *description = &loader->boot->firmware->description;
	g_autoptr(GArray) map = firmware_memory_map(description);

	add_range(params, 0, LOW_END, E820_TYPE_RAM);
	add_range(params, SMBIOS_ADDRESS, KERNEL_MIN, E820_TYPE_RESERVED);
	add_range(params, KERNEL_MIN, loader->tables_start, E820_TYPE_RAM);
	add_range(params, loader->tables_start, loader->tables_end, E820_TYPE_ACPI);
	add_range(params, PLATFORM_ECAM_BASE, (uint64_t)PLATFORM_ECAM_BASE + PLATFORM_ECAM_SIZE, E820_TYPE_RESERVED);
	for (guint i = 1; i < map->len; i++) { /* 0 is low RAM */
		const struct e820_range *range = &g_array_index(map, struct e820_range, i);

		add_range(params, range->address, range->address + range->size, range->type);
	}
}

static void write_boot_params(const struct loader *loader)
{
	struct memory *memory = &loader->vm->memory;
	const char *text = loader->boot->command_line ? loader->boot->command_line : "";
	struct boot_params *params = memory_ptr(memory, BOOT_PARAMS, sizeof *params);

	memset(params, 0, sizeof *params);
	memory_write(memory, COMMAND_LINE, text, strlen(text) + 1);
	params->hdr.boot_flag = 0xAA55;
	params->hdr.header = 0x53726448; /* "HdrS" */
	params->hdr.version = 0x020F;
	params->hdr.type_of_loader = LOADER_TYPE_UNDEFINED;
	params->hdr.loadflags = LOADED_HIGH;
	params->hdr.kernel_alignment = LARGE_PAGE_SIZE;
	params->hdr.cmd_line_ptr = COMMAND_LINE;
	params->hdr.cmdline_size = COMMAND_LINE_MAX;
	params->hdr.ramdisk_image = (uint32_t)loader->initrd;
	params->hdr.ramdisk_size = (uint32_t)loader->initrd_size;
	params->acpi_rsdp_addr = loader->rsdp;
	fill_memory_map(loader, params);
}

/* The first 4 GiB, each address to itself. */
static void write_page_tables(struct memory *memory)
{
	uint64_t *tables = memory_ptr(memory, PAGE_TABLES, (2 + MAPPED_GIB) * MEMORY_PAGE);
	uint64_t *level3 = tables + 512, *level2 = tables + 1024;

	memset(tables, 0, 2 * MEMORY_PAGE);
	tables[0] = (PAGE_TABLES + MEMORY_PAGE) | PAGE_PRESENT_WRITABLE;
	for (unsigned i = 0; i < MAPPED_GIB; i++)
		level3[i] = (PAGE_TABLES + (2 + i) * MEMORY_PAGE) | PAGE_PRESENT_WRITABLE;
	for (unsigned i = 0; i < MAPPED_GIB * 512; i++)
		level2[i] = i * LARGE_PAGE_SIZE | PAGE_LARGE | PAGE_PRESENT_WRITABLE;
}

static void write_gdt(struct memory *memory)
{
	static const uint64_t gdt[] = {
		0, 0,
		0x00AF9B000000FFFF, /* BOOT_CS: 64-bit code */
		0x00CF93000000FFFF, /* BOOT_DS: flat data */
		0x00008B0000000067, 0, /* BOOT_TR: an empty task state segment at 0 */
	};

	memory_write(memory, GDT_ADDRESS, gdt, sizeof gdt);
}

static void fill_registers(const struct loader *loader, struct direct_boot_state *state)
{
	const struct kvm_segment code = { .limit = 0xFFFFFFFF, .selector = BOOT_CS, .type = 0xB, .present = 1, .s = 1,
					  .l = 1, .g = 1 };
	const struct kvm_segment data = { .limit = 0xFFFFFFFF, .selector = BOOT_DS, .type = 0x3, .present = 1, .s = 1,
					  .db = 1, .g = 1 };
	struct kvm_sregs *sregs = &state->sregs;

	*state = (struct direct_boot_state){ 0 };
	state->regs.rip = loader->entry;
	state->regs.rsi = BOOT_PARAMS;
	state->regs.rflags = RFLAGS_FIXED;
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->tr = (struct kvm_segment){ .limit = 0x67, .selector = BOOT_TR, .type = 0xB, .present = 1 };
	sregs->ldt = (struct kvm_segment){ .unusable = 1 };
	sregs->gdt.base = GDT_ADDRESS;
	sregs->gdt.limit = 6 * 8 - 1;
	sregs->cr0 = CR0_PE | CR0_ET | CR0_PG;
	sregs->cr3 = PAGE_TABLES;
	sregs->cr4 = CR4_PAE;
	sregs->efer = EFER_LME | EFER_LMA;
	sregs->apic_base = PLATFORM_LAPIC | APIC_BASE_BSP | APIC_BASE_ENABLE;
}

static void write_config(struct vm *vm, unsigned slot, unsigned offset, unsigned size, uint32_t value)
{
	bus_write(&vm->pio, 0xCF8, 4, 0x80000000u | slot << 11 | (offset & 0xFC));
	bus_write(&vm->pio, 0xCFC + (offset & 3), size, value);
}

/* The least that ACPI tables and operating systems take for granted; BARs they place themselves. */
static void program_chipset(struct vm *vm)
{
	static const struct {
		uint8_t slot, offset, size;
		uint32_t value;
	} registers[] = {
		/* Host bridge: PCIEXBAR, and PAM 0-6: C0000-FFFFF is RAM */
		{ 0x00, 0x60, 4, 0 }, { 0x00, 0x64, 4, 0 }, { 0x00, 0x60, 4, PLATFORM_ECAM_BASE | 1 },
		{ 0x00, 0x90, 1, 0x30 }, { 0x00, 0x91, 1, 0x33 }, { 0x00, 0x92, 1, 0x33 }, { 0x00, 0x93, 1, 0x33 },
		{ 0x00, 0x94, 1, 0x33 }, { 0x00, 0x95, 1, 0x33 }, { 0x00, 0x96, 1, 0x33 },
		/* LPC bridge: PMBASE, ACPI_CNTL, and PIRQ A-H to 10, 10, 11, 11 */
		{ 0x1F, 0x40, 4, PLATFORM_PM_BASE | 1 }, { 0x1F, 0x44, 1, 0x80 },
		{ 0x1F, 0x60, 4, 0x0B0B0A0A }, { 0x1F, 0x68, 4, 0x0B0B0A0A },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++)
		write_config(vm, registers[i].slot, registers[i].offset, registers[i].size, registers[i].value);
}

bool direct_boot_load(struct vm *vm, const struct direct_boot *boot, struct direct_boot_state *state, GError **error)
{
	struct loader loader = { .vm = vm, .boot = boot, .top = vm->memory.low_size };

	if (boot->command_line && strlen(boot->command_line) > COMMAND_LINE_MAX)
		return fail(error, boot->kernel, _("the command line is longer than %d characters"), COMMAND_LINE_MAX);
	if (!place_acpi(&loader, error) || !load_kernel(&loader, error) || !load_initrd(&loader, error))
		return false;
	program_chipset(vm);
	place_smbios(&loader);
	write_boot_params(&loader);
	write_page_tables(&vm->memory);
	write_gdt(&vm->memory);
	fill_registers(&loader, state);
	return true;
}
