/*
 * The one description of a machine that fw_cfg, ACPI, SMBIOS, the memory map and CMOS are made from, so that they
 * never disagree; and the addresses that firmware, chipset and tables must agree on.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "../config/config.h"
#include "../memory.h"

#define PLATFORM_PM_BASE 0x600 /* PMBASE, 128 ports: PM1_STS 0, PM1_EN 2, PM1_CNT 4, PM_TMR 8, GPE0 0x20 */
#define PLATFORM_SCI 9
#define PLATFORM_RESET_PORT 0xCF9
#define PLATFORM_RESET_VALUE 0x0F
#define PLATFORM_CMOS_CENTURY 0x32
#define PLATFORM_ECAM_BASE 0xB0000000u /* PCIEXBAR: where SeaBIOS puts it */
#define PLATFORM_ECAM_SIZE 0x10000000u
#define PLATFORM_ECAM_BUSES 256
#define PLATFORM_IOAPIC 0xFEC00000u
#define PLATFORM_LAPIC 0xFEE00000u
/* KVM's identity map page and the TSS pages behind it. */
#define PLATFORM_KVM_PAGES 0xFEFFC000u
#define PLATFORM_KVM_PAGES_SIZE 0x4000u
#define PLATFORM_AHCI_SLOT 0x1F
#define PLATFORM_AHCI_FUNCTION 2
#define PLATFORM_NVME_SLOT 0x10 /* of disk 0; those of the others follow */
#define PLATFORM_USB_SLOT 3
#define PLATFORM_CPUS_MAX 255

struct firmware_drive {
	bool present;
	bool cd;
	bool nvme; /* at a controller of its own, in slot PLATFORM_NVME_SLOT and up */
};

struct firmware_description {
	const char *name; /* the configuration's */
	const char *uuid; /* in text */
	unsigned cpus;    /* APIC ids 0 .. cpus-1 */
	unsigned sockets; /* cpus is a multiple of it */
	uint64_t low_ram; /* bytes at 0 */
	uint64_t high_ram; /* bytes at MEMORY_HIGH_BASE */
	/* Window for 64-bit BARs above RAM; size 0: none, as 32-bit Windows before 8 stops at one. */
	uint64_t window64_base, window64_size;
	bool serial;
	bool boot_menu;
	enum config_boot boot;
	struct firmware_drive drives[CONFIG_DISKS]; /* by AHCI port or number */
	unsigned sticks[CONFIG_STICKS]; /* at which port of the USB controller, from 1; 0: none */
};

enum e820_type {
	E820_TYPE_RAM = 1,
	E820_TYPE_RESERVED = 2,
	E820_TYPE_ACPI = 3,
};

/* An entry of etc/e820 and of Linux' zero page; little-endian. */
struct e820_range {
	uint64_t address;
	uint64_t size;
	uint32_t type;
} __attribute__((packed));

/* The strings stay the configuration's. */
void firmware_describe(struct firmware_description *description, const struct machine_config *config,
		       const struct memory *memory);

/* RAM, and what firmware must leave alone; in ascending order. Array of struct e820_range. */
GArray *firmware_memory_map(const struct firmware_description *description);

/* SeaBIOS' bootorder: one device path a line, best first, with a terminating 0. */
GBytes *firmware_boot_order(const struct firmware_description *description);

/* Calls set for every byte of CMOS RAM that tells firmware about the machine. */
void firmware_cmos(const struct firmware_description *description,
		   void (*set)(void *rtc, uint8_t index, uint8_t value), void *rtc);
