/* What firmware is told about the machine: memory map, boot order, CMOS, SMBIOS, and the whole of fw_cfg. */
#include "../../vmm/firmware/firmware.h"

#include <string.h>

#include "fake_machine.h"

struct fixture {
	struct fake_machine *machine;
	struct machine_config config;
	struct firmware firmware;
};

static void build(struct fixture *fixture, uint64_t memory)
{
	fixture->config.memory = memory;
	fixture->machine = fake_machine_new(memory);
	firmware_init(&fixture->firmware, &fixture->config, &fixture->machine->vm.memory);
}

static void set_up(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	fixture->config.name = (char *)"A & B";
	fixture->config.uuid = (char *)"9f0ab1c2-5d34-4e6f-8a9b-0c1d2e3f4a5b";
	fixture->config.cpus = 3;
	fixture->config.serial = CONFIG_SERIAL_LOG;
	fixture->config.has_disk[0] = fixture->config.has_disk[1] = fixture->config.has_disk[4] = true;
	fixture->config.disks[1].kind = CONFIG_CD;
}

static void tear_down(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	firmware_finish(&fixture->firmware);
	fake_machine_free(fixture->machine);
}

static void test_memory_map(struct fixture *fixture, gconstpointer unused)
{
	g_autoptr(GArray) map = NULL;
	const struct e820_range *ranges;

	(void)unused;
	build(fixture, 3ull << 30);
	map = firmware_memory_map(&fixture->firmware.description);
	ranges = (const struct e820_range *)map->data;
	g_assert_cmpuint(map->len, ==, 3);
	g_assert_cmphex(ranges[0].address, ==, 0);
	g_assert_cmphex(ranges[0].size, ==, 0x80000000);
	g_assert_cmpuint(ranges[0].type, ==, E820_TYPE_RAM);
	g_assert_cmphex(ranges[1].address, ==, 0xFEFFC000);
	g_assert_cmphex(ranges[1].size, ==, 0x4000);
	g_assert_cmpuint(ranges[1].type, ==, E820_TYPE_RESERVED);
	g_assert_cmphex(ranges[2].address, ==, 1ull << 32);
	g_assert_cmphex(ranges[2].size, ==, 1ull << 30);
}

static void check_order(struct fixture *fixture, const char *expected)
{
	g_autoptr(GBytes) order = firmware_boot_order(&fixture->firmware.description);

	g_assert_cmpmem(g_bytes_get_data(order, NULL), g_bytes_get_size(order), expected, strlen(expected) + 1);
}

static void test_boot_order(struct fixture *fixture, gconstpointer unused)
{
	(void)unused;
	build(fixture, 2 << 20);
	check_order(fixture, "/pci@i0cf8/sata@1f,2/drive@0/disk@0\n/pci@i0cf8/sata@1f,2/drive@4/disk@0\n"
			     "/pci@i0cf8/sata@1f,2/drive@1/disk@0");
	fixture->firmware.description.boot = CONFIG_BOOT_CD_FIRST;
	check_order(fixture, "/pci@i0cf8/sata@1f,2/drive@1/disk@0\n/pci@i0cf8/sata@1f,2/drive@0/disk@0\n"
			     "/pci@i0cf8/sata@1f,2/drive@4/disk@0");
	fixture->firmware.description.boot = CONFIG_BOOT_DISK_FIRST;
	fixture->firmware.description.drives[4].nvme = true;
	check_order(fixture, "/pci@i0cf8/sata@1f,2/drive@0/disk@0\n/pci@i0cf8/nvme@14/namespace@1,0\n"
			     "/pci@i0cf8/sata@1f,2/drive@1/disk@0");
	memset(fixture->firmware.description.drives, 0, sizeof fixture->firmware.description.drives);
	check_order(fixture, "");
	fixture->firmware.description.drives[2].present = true;
	fixture->firmware.description.sticks[0] = 2;
	fixture->firmware.description.sticks[3] = 8;
	check_order(fixture, "/pci@i0cf8/sata@1f,2/drive@2/disk@0\n/pci@i0cf8/usb@3/storage@2/channel@0/disk@0,0\n"
			     "/pci@i0cf8/usb@3/storage@8/channel@0/disk@0,0");
	fixture->firmware.description.boot = CONFIG_BOOT_STICK_FIRST;
	check_order(fixture, "/pci@i0cf8/usb@3/storage@2/channel@0/disk@0,0\n"
			     "/pci@i0cf8/usb@3/storage@8/channel@0/disk@0,0\n/pci@i0cf8/sata@1f,2/drive@2/disk@0");
}

static void set_byte(void *rtc, uint8_t index, uint8_t value)
{
	((uint8_t *)rtc)[index] = value;
}

static void test_cmos(struct fixture *fixture, gconstpointer unused)
{
	uint8_t cmos[128] = { 0 };

	(void)unused;
	build(fixture, 64 << 20);
	firmware_cmos(&fixture->firmware.description, set_byte, cmos);
	g_assert_cmphex(cmos[0x15] | cmos[0x16] << 8, ==, 640);
	g_assert_cmphex(cmos[0x30] | cmos[0x31] << 8, ==, 63 * 1024);
	g_assert_cmphex(cmos[0x34] | cmos[0x35] << 8, ==, 48 * 16);
	g_assert_cmphex(cmos[0x5B] | cmos[0x5C] << 8 | cmos[0x5D] << 16, ==, 0);
	g_assert_cmphex(cmos[0x5F], ==, 2);
	g_assert_cmphex(cmos[0x3D], ==, 0x32);
	/* Terabytes: what goes into few bits stays at its end. */
	fixture->firmware.description.low_ram = MEMORY_LOW_MAX;
	fixture->firmware.description.high_ram = 0xFFull << 32;
	fixture->firmware.description.boot = CONFIG_BOOT_CD_FIRST;
	firmware_cmos(&fixture->firmware.description, set_byte, cmos);
	g_assert_cmphex(cmos[0x30] | cmos[0x31] << 8, ==, 0xFFFF);
	g_assert_cmphex(cmos[0x34] | cmos[0x35] << 8, ==, (0x80000000u - (16 << 20)) >> 16);
	g_assert_cmphex(cmos[0x5B] | cmos[0x5C] << 8 | cmos[0x5D] << 16, ==, 0xFF0000);
	g_assert_cmphex(cmos[0x3D], ==, 0x23);
}

/* Finds a structure by type and checks on the way that the chain is sound. */
static const uint8_t *structure(struct fixture *fixture, uint8_t type, unsigned *count)
{
	gsize size;
	const uint8_t *tables = g_bytes_get_data(fixture->firmware.smbios.tables, &size), *found = NULL;
	const uint8_t *at = tables;

	*count = 0;
	while (at < tables + size) {
		const uint8_t *next = at + at[1];

		g_assert_cmpuint(at[1], >=, 4);
		while (next + 1 < tables + size && (next[0] || next[1]))
			next++;
		next += 2;
		if (*at == type && !found)
			found = at;
		*count += 1;
		at = next;
	}
	g_assert_true(at == tables + size);
	return found;
}

static uint32_t little32(const uint8_t *at)
{
	return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static const char *string(const uint8_t *at, unsigned number)
{
	const char *text = (const char *)at + at[1];

	while (--number)
		text += strlen(text) + 1;
	return text;
}

static void test_smbios(struct fixture *fixture, gconstpointer unused)
{
	static const uint8_t lengths[][2] = { { 0, 0x18 }, { 1, 0x1B }, { 2, 0x0F }, { 3, 0x16 }, { 4, 0x2A },
					      { 16, 0x17 }, { 17, 0x28 }, { 19, 0x1F }, { 32, 0x0B }, { 127, 4 } };
	static const uint8_t uuid[16] = { 0xC2, 0xB1, 0x0A, 0x9F, 0x34, 0x5D, 0x6F, 0x4E, 0x8A, 0x9B, 0x0C, 0x1D, 0x2E,
					  0x3F, 0x4A, 0x5B };
	const uint8_t *anchor, *at;
	unsigned count;

	(void)unused;
	build(fixture, 3ull << 30);
	for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
		at = structure(fixture, lengths[i][0], &count);
		g_assert_nonnull(at);
		g_assert_cmphex(at[1], ==, lengths[i][1]);
	}
	anchor = g_bytes_get_data(fixture->firmware.smbios.anchor, NULL);
	g_assert_cmpmem(anchor, 4, "_SM_", 4);
	g_assert_cmpmem(anchor + 0x10, 5, "_DMI_", 5);
	g_assert_cmpuint(anchor[5], ==, g_bytes_get_size(fixture->firmware.smbios.anchor));
	g_assert_cmpuint(anchor[0x1C], ==, count);
	g_assert_cmpuint(count, ==, 11);
	g_assert_cmpuint(anchor[0x16] | anchor[0x17] << 8, ==, g_bytes_get_size(fixture->firmware.smbios.tables));
	at = structure(fixture, 1, &count);
	g_assert_cmpmem(at + 8, 16, uuid, 16);
	at = structure(fixture, 3, &count);
	g_assert_cmpstr(string(at, at[8]), ==, "A & B");
	at = structure(fixture, 4, &count);
	g_assert_cmpuint(at[0x23], ==, 3);
	at = structure(fixture, 17, &count);
	g_assert_cmpuint(at[0x0C] | at[0x0D] << 8, ==, 3072);
}

/* Sizes past the fields that older versions have for them. */
static void test_smbios_sizes(struct fixture *fixture, gconstpointer unused)
{
	const uint8_t *at;
	unsigned count;

	(void)unused;
	build(fixture, 2 << 20);
	firmware_finish(&fixture->firmware);
	fixture->firmware.description.low_ram = MEMORY_LOW_MAX;
	fixture->firmware.description.high_ram = (4ull << 40) - MEMORY_LOW_MAX;
	fixture->firmware.description.cpus = 255;
	fixture->firmware.description.name = NULL;
	acpi_build(&fixture->firmware.acpi, &fixture->firmware.description);
	smbios_build(&fixture->firmware.smbios, &fixture->firmware.description);
	at = structure(fixture, 16, &count);
	g_assert_cmphex(little32(at + 7), ==, 0x80000000);
	g_assert_cmphex(little32(at + 0x13), ==, 0x400);
	at = structure(fixture, 17, &count);
	g_assert_cmphex(at[0x0C] | at[0x0D] << 8, ==, 0x7FFF);
	g_assert_cmphex(little32(at + 0x1C), ==, 4 << 20);
	at = structure(fixture, 3, &count);
	g_assert_cmpuint(at[8], ==, 0);
	at = structure(fixture, 4, &count);
	g_assert_cmpuint(at[0x23], ==, 255);
}

/* What firmware reads, through the ports. */
static GBytes *fetch(struct fixture *fixture, const char *name)
{
	uint32_t count = 0;

	fake_out(fixture->machine, 0x510, 2, FW_CFG_FILE_DIR);
	for (unsigned i = 0; i < 4; i++)
		count = count << 8 | fake_in(fixture->machine, 0x511, 1);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t entry[64];
		uint32_t size;
		uint8_t *data;

		for (unsigned c = 0; c < sizeof entry; c++)
			entry[c] = (uint8_t)fake_in(fixture->machine, 0x511, 1);
		if (strcmp((char *)entry + 8, name))
			continue;
		size = (uint32_t)entry[0] << 24 | entry[1] << 16 | entry[2] << 8 | entry[3];
		data = g_malloc(size);
		fake_out(fixture->machine, 0x510, 2, entry[4] << 8 | entry[5]);
		for (uint32_t c = 0; c < size; c++)
			data[c] = (uint8_t)fake_in(fixture->machine, 0x511, 1);
		return g_bytes_new_take(data, size);
	}
	return NULL;
}

static void check_file(struct fixture *fixture, const char *name, GBytes *expected)
{
	g_autoptr(GBytes) got = fetch(fixture, name);

	g_assert_nonnull(got);
	g_assert_true(g_bytes_equal(got, expected));
}

static uint32_t item(struct fixture *fixture, uint16_t key)
{
	uint32_t value = 0;

	fake_out(fixture->machine, 0x510, 2, key);
	for (unsigned i = 0; i < 4; i++)
		value |= fake_in(fixture->machine, 0x511, 1) << 8 * i;
	return value;
}

static void test_fw_cfg(struct fixture *fixture, gconstpointer unused)
{
	struct fw_cfg *fw_cfg;
	g_autoptr(GBytes) e820 = NULL, wait = NULL, states = NULL, order = NULL;

	(void)unused;
	build(fixture, 4 << 20);
	fw_cfg = fw_cfg_new(&fixture->machine->vm);
	firmware_fill_fw_cfg(&fixture->firmware, fw_cfg);
	g_assert_cmpuint(item(fixture, FW_CFG_NB_CPUS), ==, 3);
	g_assert_cmpuint(item(fixture, FW_CFG_MAX_CPUS), ==, 3);
	g_assert_cmpuint(item(fixture, FW_CFG_RAM_SIZE), ==, 4 << 20);
	g_assert_cmpuint(item(fixture, FW_CFG_BOOT_MENU), ==, 0);
	g_assert_cmphex(item(fixture, FW_CFG_UUID), ==, 0xC2B10A9F);
	check_file(fixture, "etc/acpi/tables", fixture->firmware.acpi.tables);
	check_file(fixture, "etc/acpi/rsdp", fixture->firmware.acpi.rsdp);
	check_file(fixture, "etc/table-loader", fixture->firmware.acpi.loader);
	check_file(fixture, "etc/smbios/smbios-anchor", fixture->firmware.smbios.anchor);
	check_file(fixture, "etc/smbios/smbios-tables", fixture->firmware.smbios.tables);
	order = firmware_boot_order(&fixture->firmware.description);
	check_file(fixture, "bootorder", order);
	e820 = fetch(fixture, "etc/e820");
	g_assert_cmpuint(g_bytes_get_size(e820), ==, 2 * 20);
	states = fetch(fixture, "etc/system-states");
	g_assert_cmpmem(g_bytes_get_data(states, NULL), g_bytes_get_size(states), "\x80\0\0\0\x82\x80", 6);
	g_assert_null(fetch(fixture, "etc/boot-menu-wait"));
	fixture->firmware.description.boot_menu = true;
	firmware_fill_fw_cfg(&fixture->firmware, fw_cfg);
	g_assert_cmpuint(item(fixture, FW_CFG_BOOT_MENU), ==, 1);
	wait = fetch(fixture, "etc/boot-menu-wait");
	g_assert_cmpuint(g_bytes_get_size(wait), ==, 2);
	fw_cfg_device(fw_cfg)->ops->destroy(fw_cfg_device(fw_cfg));
}

#define ADD(name, test) g_test_add("/firmware/" name, struct fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("memory-map", test_memory_map);
	ADD("boot-order", test_boot_order);
	ADD("cmos", test_cmos);
	ADD("smbios/fields", test_smbios);
	ADD("smbios/sizes", test_smbios_sizes);
	ADD("fw_cfg", test_fw_cfg);
	return g_test_run();
}
