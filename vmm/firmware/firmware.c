#include "firmware.h"

/* How long SeaBIOS shows "Press F12 for boot menu"; without the menu it does not wait at all. */
#define BOOT_MENU_WAIT_MS 3000
/* SeaBIOS: stay at "No bootable device" instead of trying again, which would burn the host's CPU for nothing. */
#define BOOT_FAIL_WAIT_FOR_EVER 0xFFFFFFFFu

void firmware_init(struct firmware *firmware, const struct machine_config *config, const struct memory *memory)
{
	firmware_describe(&firmware->description, config, memory);
	acpi_build(&firmware->acpi, &firmware->description);
	smbios_build(&firmware->smbios, &firmware->description);
}

void firmware_finish(struct firmware *firmware)
{
	acpi_files_clear(&firmware->acpi);
	smbios_files_clear(&firmware->smbios);
}

static void add_number(struct fw_cfg *fw_cfg, const char *name, uint64_t value, gsize size)
{
	uint64_t little_endian = GUINT64_TO_LE(value);
	g_autoptr(GBytes) bytes = g_bytes_new(&little_endian, size);

	fw_cfg_add_file(fw_cfg, name, bytes);
}

static void add_items(const struct firmware_description *description, struct fw_cfg *fw_cfg)
{
	uint16_t cpus = (uint16_t)description->cpus;
	g_autoptr(GBytes) no_numa = g_bytes_new_take(g_malloc0(8 + 8 * cpus), 8 + 8 * cpus);

	fw_cfg_add_u64(fw_cfg, FW_CFG_RAM_SIZE, description->low_ram + description->high_ram);
	fw_cfg_add_u16(fw_cfg, FW_CFG_NOGRAPHIC, 0);
	fw_cfg_add_u16(fw_cfg, FW_CFG_NB_CPUS, cpus);
	fw_cfg_add_u16(fw_cfg, FW_CFG_MAX_CPUS, cpus);
	fw_cfg_add_bytes(fw_cfg, FW_CFG_NUMA, no_numa);
	fw_cfg_add_u16(fw_cfg, FW_CFG_BOOT_MENU, description->boot_menu);
	/* No kernel to be loaded by firmware. */
	fw_cfg_add_u32(fw_cfg, FW_CFG_KERNEL_SIZE, 0);
	fw_cfg_add_u32(fw_cfg, FW_CFG_INITRD_SIZE, 0);
	fw_cfg_add_u32(fw_cfg, FW_CFG_CMDLINE_SIZE, 0);
	fw_cfg_add_u32(fw_cfg, FW_CFG_SETUP_SIZE, 0);
	/* Tables come as files, the memory map as etc/e820. */
	fw_cfg_add_u16(fw_cfg, FW_CFG_ACPI_TABLES, 0);
	fw_cfg_add_u16(fw_cfg, FW_CFG_SMBIOS_ENTRIES, 0);
	fw_cfg_add_u32(fw_cfg, FW_CFG_IRQ0_OVERRIDE, 1);
	fw_cfg_add_u32(fw_cfg, FW_CFG_E820_TABLE, 0);
}

static void add_uuid(const struct firmware_description *description, struct fw_cfg *fw_cfg)
{
	uint8_t *uuid = g_malloc0(16);
	g_autoptr(GBytes) bytes = g_bytes_new_take(uuid, 16);
	unsigned digits = 0;

	for (const char *text = description->uuid; *text && digits < 32; text++)
		if (g_ascii_isxdigit(*text)) {
			uuid[digits / 2] = (uint8_t)(uuid[digits / 2] << 4 | g_ascii_xdigit_value(*text));
			digits++;
		}
	fw_cfg_add_bytes(fw_cfg, FW_CFG_UUID, bytes);
}

void firmware_fill_fw_cfg(const struct firmware *firmware, struct fw_cfg *fw_cfg)
{
	/* By sleep state: bit 7 is supported, the rest is SLP_TYP. S0, S4 and S5; neither S1 nor S3. */
	static const uint8_t sleep_states[6] = { 0x80, 0, 0, 0, 0x82, 0x80 };
	const struct firmware_description *description = &firmware->description;
	g_autoptr(GArray) map = firmware_memory_map(description);
	g_autoptr(GBytes) e820 = g_bytes_new(map->data, map->len * sizeof(struct e820_range));
	g_autoptr(GBytes) order = firmware_boot_order(description);
	g_autoptr(GBytes) states = g_bytes_new_static(sleep_states, sizeof sleep_states);

	add_items(description, fw_cfg);
	add_uuid(description, fw_cfg);
	fw_cfg_add_file(fw_cfg, "etc/e820", e820);
	fw_cfg_add_file(fw_cfg, "bootorder", order);
	fw_cfg_add_file(fw_cfg, "etc/system-states", states);
	fw_cfg_add_file(fw_cfg, ACPI_TABLES_FILE, firmware->acpi.tables);
	fw_cfg_add_file(fw_cfg, ACPI_RSDP_FILE, firmware->acpi.rsdp);
	fw_cfg_add_file(fw_cfg, ACPI_LOADER_FILE, firmware->acpi.loader);
	fw_cfg_add_file(fw_cfg, SMBIOS_ANCHOR_FILE, firmware->smbios.anchor);
	fw_cfg_add_file(fw_cfg, SMBIOS_TABLES_FILE, firmware->smbios.tables);
	add_number(fw_cfg, "etc/boot-fail-wait", BOOT_FAIL_WAIT_FOR_EVER, 4);
	if (description->boot_menu)
		add_number(fw_cfg, "etc/boot-menu-wait", BOOT_MENU_WAIT_MS, 2);
}
