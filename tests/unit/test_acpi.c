/*
 * The ACPI tables as firmware puts them into memory: fields and checksums, and what ACPICA's own tools say about
 * them.
 */
#include "../../vmm/firmware/acpi.h"

#include <glib/gstdio.h>
#include <string.h>

#include "../../vmm/firmware/table_loader.h"
#include "../../vmm/pci/internal.h"
#include "fake_machine.h"

struct fixture {
	struct fake_machine *machine;
	struct firmware_description description;
	struct acpi_files files;
	uint64_t high, fseg; /* where the loader puts the next file */
	uint64_t rsdp;
	char *folder;
};

static const struct firmware_description plain = {
	.name = "machine", .uuid = "9f0ab1c2-5d34-4e6f-8a9b-0c1d2e3f4a5b", .cpus = 2, .sockets = 1,
	.low_ram = 4 << 20, .serial = true,
};

static const struct firmware_description large = {
	.name = "machine", .uuid = "9f0ab1c2-5d34-4e6f-8a9b-0c1d2e3f4a5b", .cpus = 255, .sockets = 1,
	.low_ram = MEMORY_LOW_MAX, .high_ram = 6ull << 30,
	.window64_base = 0x8000000000, .window64_size = 0x1000000000,
};

static GBytes *find_file(void *opaque, const char *name)
{
	struct fixture *fixture = opaque;

	if (strcmp(name, "etc/acpi/tables") == 0)
		return fixture->files.tables;
	if (strcmp(name, "etc/acpi/rsdp") == 0)
		return fixture->files.rsdp;
	return NULL;
}

static uint8_t *allocate(void *opaque, uint64_t size, uint32_t align, enum table_loader_zone zone, uint64_t *gpa)
{
	struct fixture *fixture = opaque;
	uint64_t *next = zone == TABLE_LOADER_ZONE_FSEG ? &fixture->fseg : &fixture->high;

	*gpa = (*next + align - 1) / align * align;
	*next = *gpa + size;
	return memory_ptr(&fixture->machine->vm.memory, *gpa, size);
}

static void set_up(struct fixture *fixture, gconstpointer description)
{
	const struct table_loader_target target = { find_file, allocate, fixture };
	GError *error = NULL;

	fixture->machine = fake_machine_new(4 << 20);
	fixture->description = *(const struct firmware_description *)description;
	fixture->high = 0x2FFF03;
	fixture->fseg = 0xF1234;
	acpi_build(&fixture->files, &fixture->description);
	g_assert_true(table_loader_run(fixture->files.loader, &target, ACPI_RSDP_FILE, &fixture->rsdp, &error));
	g_assert_no_error(error);
	fixture->folder = g_dir_make_tmp("oriel-acpi-XXXXXX", NULL);
}

static void tear_down(struct fixture *fixture, gconstpointer unused)
{
	GDir *dir = g_dir_open(fixture->folder, 0, NULL);
	const char *name;

	(void)unused;
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(fixture->folder, name, NULL);

		g_unlink(path);
	}
	g_dir_close(dir);
	g_rmdir(fixture->folder);
	g_free(fixture->folder);
	acpi_files_clear(&fixture->files);
	fake_machine_free(fixture->machine);
}

static uint64_t get(struct fixture *fixture, uint64_t gpa, unsigned size)
{
	uint64_t value = 0;

	g_assert_true(memory_read(&fixture->machine->vm.memory, gpa, &value, size));
	return GUINT64_FROM_LE(value);
}

static uint8_t sum(struct fixture *fixture, uint64_t gpa, uint64_t length)
{
	uint8_t sum = 0;

	for (uint64_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + get(fixture, gpa + i, 1));
	return sum;
}

/* Finds a table through RSDP and XSDT, as an operating system does; the DSDT and FACS through the FADT. */
static uint64_t find_table(struct fixture *fixture, const char *signature)
{
	uint64_t xsdt = get(fixture, fixture->rsdp + 24, 8);

	for (uint64_t entry = xsdt + 36; entry < xsdt + get(fixture, xsdt + 4, 4); entry += 8) {
		uint64_t table = get(fixture, entry, 8);

		if (memcmp(memory_ptr(&fixture->machine->vm.memory, table, 4), signature, 4) == 0)
			return table;
	}
	if (strcmp(signature, "DSDT") == 0)
		return get(fixture, find_table(fixture, "FACP") + 40, 4);
	if (strcmp(signature, "FACS") == 0)
		return get(fixture, find_table(fixture, "FACP") + 36, 4);
	g_assert_not_reached();
}

static void test_links_and_checksums(struct fixture *fixture, gconstpointer unused)
{
	static const char *const signatures[] = { "FACP", "APIC", "MCFG", "WAET", "SSDT", "DSDT" };
	uint64_t rsdp = fixture->rsdp, rsdt = get(fixture, rsdp + 16, 4), xsdt = get(fixture, rsdp + 24, 8);
	unsigned tables = (unsigned)(get(fixture, rsdt + 4, 4) - 36) / 4;

	(void)unused;
	g_assert_cmpuint(rsdp % 16, ==, 0);
	g_assert_cmpmem(memory_ptr(&fixture->machine->vm.memory, rsdp, 8), 8, "RSD PTR ", 8);
	g_assert_cmpuint(get(fixture, rsdp + 15, 1), ==, 2);
	g_assert_cmpuint(sum(fixture, rsdp, 20), ==, 0);
	g_assert_cmpuint(sum(fixture, rsdp, 36), ==, 0);
	g_assert_cmpuint(sum(fixture, rsdt, get(fixture, rsdt + 4, 4)), ==, 0);
	g_assert_cmpuint(sum(fixture, xsdt, get(fixture, xsdt + 4, 4)), ==, 0);
	g_assert_cmpuint(tables, ==, (get(fixture, xsdt + 4, 4) - 36) / 8);
	g_assert_cmpuint(tables, ==, 5);
	for (unsigned i = 0; i < tables; i++)
		g_assert_cmphex(get(fixture, rsdt + 36 + 4 * i, 4), ==, get(fixture, xsdt + 36 + 8 * i, 8));
	for (unsigned i = 0; i < G_N_ELEMENTS(signatures); i++) {
		uint64_t table = find_table(fixture, signatures[i]);

		g_assert_cmpmem(memory_ptr(&fixture->machine->vm.memory, table, 4), 4, signatures[i], 4);
		g_assert_cmpuint(sum(fixture, table, get(fixture, table + 4, 4)), ==, 0);
	}
	g_assert_cmpuint(find_table(fixture, "FACS") % 64, ==, 0);
	g_assert_cmpmem(memory_ptr(&fixture->machine->vm.memory, find_table(fixture, "FACS"), 4), 4, "FACS", 4);
	g_assert_cmpuint(get(fixture, find_table(fixture, "FACS") + 4, 4), ==, 64);
}

static void test_fadt(struct fixture *fixture, gconstpointer unused)
{
	static const struct {
		unsigned offset, size;
		uint64_t value;
	} fields[] = {
		{ 4, 4, 244 }, { 8, 1, 3 }, { 46, 2, 9 }, { 48, 4, 0 }, { 56, 4, 0x600 }, { 64, 4, 0x604 },
		{ 76, 4, 0x608 }, { 80, 4, 0x620 }, { 88, 1, 4 }, { 89, 1, 2 }, { 91, 1, 4 }, { 92, 1, 16 },
		{ 96, 2, 0xFFF }, { 98, 2, 0xFFF }, { 108, 1, 0x32 }, { 109, 2, 2 }, { 112, 4, 0x84A5 },
		{ 116, 2, 0x0801 }, { 120, 8, 0xCF9 }, { 128, 1, 0x0F },
		{ 148, 4, 0x2001 }, { 152, 8, 0x600 }, { 172, 4, 0x1001 }, { 176, 8, 0x604 },
		{ 208, 4, 0x2001 }, { 212, 8, 0x608 }, { 220, 4, 0x8001 }, { 224, 8, 0x620 },
	};
	uint64_t fadt = find_table(fixture, "FACP");

	(void)unused;
	for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++)
		g_assert_cmphex(get(fixture, fadt + fields[i].offset, fields[i].size), ==, fields[i].value);
	g_assert_cmphex(get(fixture, fadt + 140, 8), ==, get(fixture, fadt + 40, 4));
}

static void test_madt(struct fixture *fixture, gconstpointer unused)
{
	uint64_t madt = find_table(fixture, "APIC"), end = madt + get(fixture, madt + 4, 4), at = madt + 44;
	unsigned cpus = 0, ioapics = 0, overrides = 0, nmis = 0;

	(void)unused;
	g_assert_cmphex(get(fixture, madt + 36, 4), ==, 0xFEE00000);
	for (; at < end; at += get(fixture, at + 1, 1)) {
		switch (get(fixture, at, 1)) {
		case 0:
			g_assert_cmpuint(get(fixture, at + 2, 1), ==, cpus);
			g_assert_cmpuint(get(fixture, at + 3, 1), ==, cpus);
			g_assert_cmpuint(get(fixture, at + 4, 4), ==, 1);
			cpus++;
			break;
		case 1:
			g_assert_cmphex(get(fixture, at + 4, 4), ==, 0xFEC00000);
			g_assert_cmphex(get(fixture, at + 8, 4), ==, 0);
			ioapics++;
			break;
		case 2:
			g_assert_cmphex(get(fixture, at + 8, 2), ==, get(fixture, at + 3, 1) ? 0xD : 0);
			g_assert_cmpuint(get(fixture, at + 4, 4), ==, get(fixture, at + 3, 1) ?: 2);
			overrides++;
			break;
		case 4:
			g_assert_cmphex(get(fixture, at + 2, 1), ==, 0xFF);
			g_assert_cmphex(get(fixture, at + 5, 1), ==, 1);
			nmis++;
			break;
		default:
			g_assert_not_reached();
		}
	}
	g_assert_cmphex(at, ==, end);
	g_assert_cmpuint(cpus, ==, fixture->description.cpus);
	g_assert_cmpuint(ioapics * 100 + overrides * 10 + nmis, ==, 151);
}

static void test_mcfg_and_waet(struct fixture *fixture, gconstpointer unused)
{
	uint64_t mcfg = find_table(fixture, "MCFG"), waet = find_table(fixture, "WAET");

	(void)unused;
	g_assert_cmphex(get(fixture, mcfg + 4, 4), ==, 60);
	g_assert_cmphex(get(fixture, mcfg + 44, 8), ==, 0xB0000000);
	g_assert_cmphex(get(fixture, mcfg + 52, 4), ==, 0xFF000000);
	g_assert_cmphex(get(fixture, waet + 36, 4), ==, 2);
}

/* Standard output and error of a tool that must succeed; NULL after a skip because it is not installed. */
static char *run(struct fixture *fixture, char **arguments)
{
	g_autofree char *found = g_find_program_in_path(arguments[0]);
	g_autofree char *errors = NULL;
	char *output = NULL;
	GError *error = NULL;
	int status;

	if (!found) {
		g_test_skip("iasl and acpiexec are not installed (package acpica-tools)");
		return NULL;
	}
	g_assert_true(g_spawn_sync(fixture->folder, arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, &errors,
				   &status, &error));
	g_assert_no_error(error);
	if (!g_spawn_check_wait_status(status, NULL))
		g_error("%s: %s%s", arguments[0], output, errors);
	return output;
}

static void save_table(struct fixture *fixture, const char *signature)
{
	g_autofree char *name = g_strconcat(signature, ".aml", NULL);
	g_autofree char *path = g_build_filename(fixture->folder, name, NULL);
	uint64_t table = find_table(fixture, signature);
	uint64_t size = get(fixture, table + 4, 4);

	g_assert_true(g_file_set_contents(path, memory_ptr(&fixture->machine->vm.memory, table, size), (gssize)size,
					  NULL));
}

static void test_disassembles(struct fixture *fixture, gconstpointer unused)
{
	static char *const signatures[] = { "FACP", "APIC", "MCFG", "WAET", "FACS", "DSDT", "SSDT" };

	(void)unused;
	for (unsigned i = 0; i < G_N_ELEMENTS(signatures); i++)
		save_table(fixture, signatures[i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(signatures); i++) {
		g_autofree char *aml = g_strconcat(signatures[i], ".aml", NULL);
		g_autofree char *dsl = g_strconcat(signatures[i], ".dsl", NULL);
		char *other = i == 5 ? "SSDT.aml" : "DSDT.aml";
		char *data[] = { "iasl", "-d", aml, NULL }, *code[] = { "iasl", "-e", other, "-d", aml, NULL };
		/* 3168: Processor () is called legacy, but it is what Windows up to 7 understands. */
		char *compile[] = { "iasl", "-we", "-vw", "3168", "-p", "again", dsl, NULL };
		g_autofree char *listing = run(fixture, i < 5 ? data : code);
		g_autofree char *compiled = NULL;

		if (!listing)
			return;
		compiled = run(fixture, compile);
		g_assert_nonnull(strstr(compiled, "0 Errors, 0 Warnings"));
	}
}

/* Lets ACPICA's interpreter carry out debugger commands on the namespace; gives what it printed. */
static char *interpret(struct fixture *fixture, const char *commands)
{
	static const char routes[] =
		"DefinitionBlock (\"\", \"SSDT\", 2, \"ORIEL\", \"TEST\", 1)\n"
		"{ External (\\_SB.PCI0._PRT, MethodObj)\n"
		"Method (\\ROUT) { Local0 = \\_SB.PCI0._PRT ()\n"
		"For (Local1 = 0, Local1 < 128, Local1++) { Debug = DerefOf (Local0 [Local1]) } } }\n";
	g_autofree char *path = g_build_filename(fixture->folder, "test.asl", NULL);
	g_autofree char *batch = g_strdup(commands);
	char *compile[] = { "iasl", "-p", "test", "test.asl", NULL };
	char *execute[] = { "acpiexec", "-b", batch, "DSDT.aml", "SSDT.aml", "test.aml", NULL };
	g_autofree char *compiled = NULL;
	char *output;

	g_assert_true(g_file_set_contents(path, routes, -1, NULL));
	compiled = run(fixture, compile);
	if (!compiled)
		return NULL;
	save_table(fixture, "DSDT");
	save_table(fixture, "SSDT");
	output = run(fixture, execute);
	if (output && (strstr(output, "Error") || strstr(output, "failed") || strstr(output, "Could not")))
		g_error("acpiexec: %s", output);
	return output;
}

static void test_namespace(struct fixture *fixture, gconstpointer unused)
{
	g_autofree char *output = interpret(fixture, "resources \\_SB.PCI0.LPC;evaluate \\_SB.PCI0._CRS;"
		"evaluate \\_SB.LNKA._CRS;evaluate \\_SB.LNKH._STA;evaluate \\_SB.ECAM._CRS;"
		"evaluate \\_SB.PCI0.LPC.COM1._STA;evaluate \\_S5;evaluate \\_SB.C001;evaluate \\_SB.PCI0.LPC.RTC._CRS");
	const char *com1;

	(void)unused;
	if (!output)
		return;
	g_assert_nonnull(strstr(output, "2 ACPI AML tables successfully") ?:
			 strstr(output, "3 ACPI AML tables successfully"));
	com1 = strstr(output, "Evaluation of \\_SB.PCI0.LPC.COM1._STA");
	g_assert_nonnull(com1);
	g_assert_nonnull(strstr(com1, fixture->description.serial ? "[Integer] = 000000000000000F" :
				"[Integer] = 0000000000000000"));
	/* The QWord descriptor's tag and length. */
	g_assert_true(!strstr(output, "8A 2B 00 00 0C 03") == !fixture->description.window64_size);
	/* Bases of the windows beside PCIEXBAR. */
	g_assert_nonnull(strstr(output, "00 80"));
	g_assert_nonnull(strstr(output, "FF FF FF AF"));
	g_assert_nonnull(strstr(output, "FF FF BF FE"));
}

/* Every pin of every slot is routed to where the bus drives it. */
static void test_routes(struct fixture *fixture, gconstpointer unused)
{
	g_autofree char *output = interpret(fixture, "execute \\ROUT;execute \\_PIC 1;execute \\ROUT");
	const char *at;

	(void)unused;
	if (!output)
		return;
	at = output;
	for (unsigned i = 0; i < 256; i++) {
		unsigned slot = i % 128 / 4, pin = i % 4;
		struct pci_device device = { .devfn = PCI_DEVFN(slot, 0) };
		g_autofree char *expected = NULL;

		device.config[PCI_INTERRUPT_PIN] = (uint8_t)(pin + 1);
		expected = g_strdup_printf("(00) 0x%08X\nACPI Debug:     (01) 0x%08X\n", slot << 16 | 0xFFFF, pin);
		at = strstr(at, expected);
		g_assert_nonnull(at);
		at += strlen(expected);
		if (i < 128) {
			at = strstr(at, "[LNK");
			g_assert_nonnull(at);
			g_assert_cmpint(at[4], ==, 'A' + (int)pci_device_pirq(&device));
		} else {
			g_autofree char *gsi = g_strdup_printf("ACPI Debug:     (02) 0x00000000\n"
				"ACPI Debug:     (03) 0x%08X\n", 16 + pci_device_pirq(&device));

			g_assert_true(g_str_has_prefix(at, gsi));
		}
	}
}

static void append_bad(GByteArray *script, unsigned which)
{
	uint8_t unknown[128] = { 9 };

	table_loader_allocate(script, ACPI_TABLES_FILE, 16, TABLE_LOADER_ZONE_HIGH);
	switch (which) {
	case 0:
		g_byte_array_append(script, unknown, sizeof unknown);
		break;
	case 1:
		table_loader_allocate(script, "etc/none", 16, TABLE_LOADER_ZONE_HIGH);
		break;
	case 2:
		table_loader_allocate(script, ACPI_RSDP_FILE, 3, TABLE_LOADER_ZONE_HIGH);
		break;
	case 3:
		table_loader_allocate(script, ACPI_RSDP_FILE, 1u << 31, TABLE_LOADER_ZONE_HIGH);
		break;
	case 4:
		table_loader_add_pointer(script, ACPI_TABLES_FILE, ACPI_TABLES_FILE, UINT32_MAX, 8);
		break;
	case 5:
		table_loader_add_pointer(script, ACPI_TABLES_FILE, ACPI_TABLES_FILE, 0, 3);
		break;
	case 6:
		table_loader_add_pointer(script, ACPI_RSDP_FILE, ACPI_TABLES_FILE, 0, 4);
		break;
	case 7:
		table_loader_add_checksum(script, ACPI_TABLES_FILE, 0, 8, UINT32_MAX);
		break;
	case 8:
		table_loader_add_checksum(script, ACPI_TABLES_FILE, UINT32_MAX, 0, 1);
		break;
	default:
		break; /* nothing wrong, but the wanted file is missing */
	}
}

static void test_broken_scripts(struct fixture *fixture, gconstpointer unused)
{
	const struct table_loader_target target = { find_file, allocate, fixture };

	(void)unused;
	for (unsigned i = 0; i < 10; i++) {
		GByteArray *script = g_byte_array_new();
		g_autoptr(GBytes) bytes = NULL;
		g_autoptr(GError) error = NULL;
		uint64_t gpa;

		append_bad(script, i);
		bytes = g_byte_array_free_to_bytes(script);
		g_assert_false(table_loader_run(bytes, &target, ACPI_RSDP_FILE, &gpa, &error));
		g_assert_nonnull(error);
	}
}

static void add(const char *name, void (*test)(struct fixture *fixture, gconstpointer unused))
{
	g_autofree char *on_plain = g_strdup_printf("/acpi/plain/%s", name);
	g_autofree char *on_large = g_strdup_printf("/acpi/large/%s", name);

	g_test_add(on_plain, struct fixture, &plain, set_up, test, tear_down);
	g_test_add(on_large, struct fixture, &large, set_up, test, tear_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("links-and-checksums", test_links_and_checksums);
	add("fadt", test_fadt);
	add("madt", test_madt);
	add("mcfg-and-waet", test_mcfg_and_waet);
	add("disassembles", test_disassembles);
	add("namespace", test_namespace);
	g_test_add("/acpi/routes", struct fixture, &plain, set_up, test_routes, tear_down);
	g_test_add("/acpi/broken-scripts", struct fixture, &plain, set_up, test_broken_scripts, tear_down);
	return g_test_run();
}
