/*
 * fw_cfg: the ports by which firmware fetches what the machine says about itself. Named files and a few numbered
 * items, read byte by byte or by DMA; nothing is writable.
 *
 * Items are added after fw_cfg_new() and before the guest runs; calls need vm->lock.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "../device.h"

#define FW_CFG_FILE_NAME_MAX 55

enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_UUID = 0x02,
	FW_CFG_RAM_SIZE = 0x03,
	FW_CFG_NOGRAPHIC = 0x04,
	FW_CFG_NB_CPUS = 0x05,
	FW_CFG_KERNEL_SIZE = 0x08,
	FW_CFG_INITRD_SIZE = 0x0B,
	FW_CFG_NUMA = 0x0D,
	FW_CFG_BOOT_MENU = 0x0E,
	FW_CFG_MAX_CPUS = 0x0F,
	FW_CFG_CMDLINE_SIZE = 0x14,
	FW_CFG_SETUP_SIZE = 0x17,
	FW_CFG_FILE_DIR = 0x19,
	FW_CFG_FILE_FIRST = 0x20,
	FW_CFG_ACPI_TABLES = 0x8000,
	FW_CFG_SMBIOS_ENTRIES = 0x8001,
	FW_CFG_IRQ0_OVERRIDE = 0x8002,
	FW_CFG_E820_TABLE = 0x8003,
};

struct fw_cfg;

/* Maps the ports 0x510, 0x511 and 0x514-0x51B; signature and ID are there from the start. */
struct fw_cfg *fw_cfg_new(struct vm *vm);
struct device *fw_cfg_device(struct fw_cfg *fw_cfg);

/* Each replaces an item of the same key. Numbers are little-endian in the guest's view. */
void fw_cfg_add_bytes(struct fw_cfg *fw_cfg, uint16_t key, GBytes *bytes);
void fw_cfg_add_u16(struct fw_cfg *fw_cfg, uint16_t key, uint16_t value);
void fw_cfg_add_u32(struct fw_cfg *fw_cfg, uint16_t key, uint32_t value);
void fw_cfg_add_u64(struct fw_cfg *fw_cfg, uint16_t key, uint64_t value);

/* Adds or replaces a named file; takes a reference to bytes. name: up to FW_CFG_FILE_NAME_MAX characters. */
void fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, GBytes *bytes);
