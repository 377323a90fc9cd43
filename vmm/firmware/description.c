#include "description.h"

/* Bits of CMOS byte 0x14, the equipment that the BIOS data area repeats. */
#define EQUIPMENT_FPU 0x02
#define EQUIPMENT_PS2_MOUSE 0x04
/* Devices in the boot order bytes 0x3D and 0x38. */
#define CMOS_BOOT_DISK 2
#define CMOS_BOOT_CD 3

G_STATIC_ASSERT(MEMORY_LOW_MAX <= PLATFORM_ECAM_BASE);
G_STATIC_ASSERT(sizeof(struct e820_range) == 20);

/* Devices are plugged in one after the other: the tablet, the keyboard, and the sticks. */
static void describe_sticks(struct firmware_description *description, const struct machine_config *config)
{
	unsigned port = 1 + config->usb_tablet + config->usb_keyboard;

	for (unsigned i = 0; i < CONFIG_STICKS; i++)
		description->sticks[i] = config->has_stick[i] ? port++ : 0;
}

void firmware_describe(struct firmware_description *description, const struct machine_config *config,
		       const struct memory *memory)
{
	*description = (struct firmware_description){
		.name = config->name,
		.uuid = config->uuid,
		.cpus = config->cpus,
		.sockets = 1,
		.low_ram = memory->low_size,
		.high_ram = memory->high_size,
		.serial = config->serial != CONFIG_SERIAL_NONE,
		.boot_menu = config->boot_menu,
		.boot = config->boot,
	};
	for (unsigned i = 0; i < CONFIG_DISKS; i++) {
		description->drives[i].present = config->has_disk[i];
		description->drives[i].cd = config->disks[i].kind == CONFIG_CD;
		description->drives[i].nvme = config->disks[i].bus == CONFIG_BUS_NVME;
	}
	describe_sticks(description, config);
}

GArray *firmware_memory_map(const struct firmware_description *description)
{
	GArray *map = g_array_new(FALSE, FALSE, sizeof(struct e820_range));
	const struct e820_range low = { 0, description->low_ram, E820_TYPE_RAM };
	const struct e820_range kvm = { PLATFORM_KVM_PAGES, PLATFORM_KVM_PAGES_SIZE, E820_TYPE_RESERVED };
	const struct e820_range high = { MEMORY_HIGH_BASE, description->high_ram, E820_TYPE_RAM };

	g_array_append_val(map, low);
	g_array_append_val(map, kvm);
	if (high.size)
		g_array_append_val(map, high);
	return map;
}

static void append_line(GString *text, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void append_line(GString *text, const char *format, ...)
{
	va_list arguments;

	if (text->len)
		g_string_append_c(text, '\n');
	va_start(arguments, format);
	g_string_append_vprintf(text, format, arguments);
	va_end(arguments);
}

/* SeaBIOS compares unit addresses only, whatever the nodes are called. */
static void append_drives(const struct firmware_description *description, GString *text, bool cd)
{
	for (unsigned port = 0; port < CONFIG_DISKS; port++) {
		if (!description->drives[port].present || description->drives[port].cd != cd)
			continue;
		if (description->drives[port].nvme)
			append_line(text, "/pci@i0cf8/nvme@%x/namespace@1,0", PLATFORM_NVME_SLOT + port);
		else
			append_line(text, "/pci@i0cf8/sata@%x,%x/drive@%x/disk@0", PLATFORM_AHCI_SLOT,
				    PLATFORM_AHCI_FUNCTION, port);
	}
}

static void append_sticks(const struct firmware_description *description, GString *text)
{
	for (unsigned i = 0; i < CONFIG_STICKS; i++)
		if (description->sticks[i])
			append_line(text, "/pci@i0cf8/usb@%x/storage@%x/channel@0/disk@0,0", PLATFORM_USB_SLOT,
				    description->sticks[i]);
}

GBytes *firmware_boot_order(const struct firmware_description *description)
{
	GString *text = g_string_new(NULL);
	bool cd_first = description->boot == CONFIG_BOOT_CD_FIRST;
	bool sticks_first = description->boot == CONFIG_BOOT_STICK_FIRST;
	gsize size;

	if (sticks_first)
		append_sticks(description, text);
	append_drives(description, text, cd_first);
	append_drives(description, text, !cd_first);
	if (!sticks_first)
		append_sticks(description, text);
	size = text->len + 1;
	return g_bytes_new_take(g_string_free(text, FALSE), size);
}

void firmware_cmos(const struct firmware_description *description,
		   void (*set)(void *rtc, uint8_t index, uint8_t value), void *rtc)
{
	/* Extended memory in KiB, as far as it is told in 16 bits; memory from 16 MiB on, and above 4 GiB, in 64 KiB. */
	uint64_t extended = MIN((description->low_ram >> 10) - 1024, 0xFFFF);
	uint64_t above_16m = MIN((description->low_ram - MIN(description->low_ram, 16 << 20)) >> 16, 0xFFFF);
	uint64_t above_4g = description->high_ram >> 16;
	bool cd_first = description->boot == CONFIG_BOOT_CD_FIRST;
	uint8_t order = cd_first ? CMOS_BOOT_CD | CMOS_BOOT_DISK << 4 : CMOS_BOOT_DISK | CMOS_BOOT_CD << 4;
	const struct {
		uint8_t index;
		uint64_t value;
	} bytes[] = {
		{ 0x14, EQUIPMENT_FPU | EQUIPMENT_PS2_MOUSE },
		{ 0x15, 640 & 0xFF }, { 0x16, 640 >> 8 },
		{ 0x17, extended }, { 0x18, extended >> 8 },
		{ 0x30, extended }, { 0x31, extended >> 8 },
		{ 0x34, above_16m }, { 0x35, above_16m >> 8 },
		{ 0x38, 0 },
		{ 0x3D, order },
		{ 0x5B, above_4g }, { 0x5C, above_4g >> 8 }, { 0x5D, above_4g >> 16 },
		{ 0x5F, description->cpus - 1 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bytes); i++)
		set(rtc, bytes[i].index, (uint8_t)bytes[i].value);
}
