#include "smbios.h"

#include <string.h>

#define ANCHOR_SIZE 0x1F
#define NO_HANDLE 0xFFFF
#define NOT_PROVIDED 0xFFFE

/* Handles; those of which there may be several count up. */
enum handle {
	HANDLE_BIOS = 0x000,
	HANDLE_SYSTEM = 0x100,
	HANDLE_BOARD = 0x200,
	HANDLE_CHASSIS = 0x300,
	HANDLE_PROCESSOR = 0x400,
	HANDLE_MEMORY_ARRAY = 0x1000,
	HANDLE_MEMORY_DEVICE = 0x1100,
	HANDLE_MEMORY_RANGE = 0x1300,
	HANDLE_BOOT = 0x2000,
	HANDLE_END = 0x7F00,
};

/* Structures as they are written: the strings of the present one follow its fixed part. */
struct writer {
	GByteArray *out;
	guint start;
	guint largest;
	guint count;
	GPtrArray *strings;
};

static void put8(struct writer *writer, uint8_t value)
{
	g_byte_array_append(writer->out, &value, 1);
}

static void put16(struct writer *writer, uint16_t value)
{
	uint16_t little_endian = GUINT16_TO_LE(value);

	g_byte_array_append(writer->out, (const guint8 *)&little_endian, 2);
}

static void put32(struct writer *writer, uint32_t value)
{
	uint32_t little_endian = GUINT32_TO_LE(value);

	g_byte_array_append(writer->out, (const guint8 *)&little_endian, 4);
}

static void put64(struct writer *writer, uint64_t value)
{
	uint64_t little_endian = GUINT64_TO_LE(value);

	g_byte_array_append(writer->out, (const guint8 *)&little_endian, 8);
}

/* The number of the string, from 1 on; 0 stands for none. */
static void put_string(struct writer *writer, const char *text)
{
	if (text && *text) {
		g_ptr_array_add(writer->strings, g_strdup(text));
		put8(writer, (uint8_t)writer->strings->len);
	} else {
		put8(writer, 0);
	}
}

static void begin(struct writer *writer, uint8_t type, unsigned handle)
{
	writer->start = writer->out->len;
	put8(writer, type);
	put8(writer, 0); /* length: end() */
	put16(writer, (uint16_t)handle);
}

static void end(struct writer *writer)
{
	writer->out->data[writer->start + 1] = (uint8_t)(writer->out->len - writer->start);
	for (guint i = 0; i < writer->strings->len; i++) {
		const char *text = g_ptr_array_index(writer->strings, i);

		g_byte_array_append(writer->out, (const guint8 *)text, (guint)strlen(text) + 1);
	}
	if (writer->strings->len == 0)
		put8(writer, 0);
	put8(writer, 0);
	g_ptr_array_set_size(writer->strings, 0);
	writer->largest = MAX(writer->largest, writer->out->len - writer->start);
	writer->count++;
}

/* Section 7.1. */
static void put_bios(struct writer *writer)
{
	begin(writer, 0, HANDLE_BIOS);
	put_string(writer, "Oriel");
	put_string(writer, "1.0");
	put16(writer, 0xE800);
	put_string(writer, "01/01/2026");
	put8(writer, 0); /* ROM of 64 KiB */
	put64(writer, 1 << 3); /* characteristics: not supported */
	put8(writer, 0);
	put8(writer, 1 << 2 | 1 << 4); /* targeted content distribution; this is a virtual machine */
	put8(writer, 1);
	put8(writer, 0);
	put8(writer, 0xFF); /* no embedded controller */
	put8(writer, 0xFF);
	end(writer);
}

/* The first three fields of a UUID are little-endian since version 2.6 (section 7.2.1). */
static void put_uuid(struct writer *writer, const char *text)
{
	static const uint8_t order[16] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
	uint8_t bytes[16] = { 0 };
	unsigned digits = 0;

	for (; text && *text && digits < 32; text++) {
		int digit = g_ascii_xdigit_value(*text);

		if (digit < 0)
			continue;
		bytes[digits / 2] = (uint8_t)(bytes[digits / 2] << 4 | digit);
		digits++;
	}
	for (unsigned i = 0; i < sizeof order; i++)
		put8(writer, bytes[order[i]]);
}

/* Section 7.2. */
static void put_system(struct writer *writer, const struct firmware_description *description)
{
	begin(writer, 1, HANDLE_SYSTEM);
	put_string(writer, "Oriel");
	put_string(writer, "Oriel PC");
	put_string(writer, "1.0");
	put_string(writer, description->uuid); /* serial number */
	put_uuid(writer, description->uuid);
	put8(writer, 6); /* power switch */
	put_string(writer, NULL);
	put_string(writer, "Virtual Machine");
	end(writer);
}

/* Section 7.3. */
static void put_board(struct writer *writer)
{
	begin(writer, 2, HANDLE_BOARD);
	put_string(writer, "Oriel");
	put_string(writer, "Oriel Q35");
	put_string(writer, "1.0");
	put_string(writer, NULL);
	put_string(writer, NULL);
	put8(writer, 1); /* hosting board */
	put_string(writer, NULL);
	put16(writer, HANDLE_CHASSIS);
	put8(writer, 10); /* motherboard */
	put8(writer, 0);
	end(writer);
}

/* Section 7.4. The asset tag is for the owner to choose: it is the machine's name. */
static void put_chassis(struct writer *writer, const struct firmware_description *description)
{
	begin(writer, 3, HANDLE_CHASSIS);
	put_string(writer, "Oriel");
	put8(writer, 3); /* desktop */
	put_string(writer, "1.0");
	put_string(writer, NULL);
	put_string(writer, description->name);
	put8(writer, 3); /* boot-up, power supply and thermal state: safe */
	put8(writer, 3);
	put8(writer, 3);
	put8(writer, 2); /* security: unknown */
	put32(writer, 0);
	put8(writer, 0); /* height */
	put8(writer, 0); /* power cords */
	put8(writer, 0); /* contained elements */
	put8(writer, 0);
	put_string(writer, NULL);
	end(writer);
}

/* Section 7.5. */
static void put_processor(struct writer *writer, const struct firmware_description *description, unsigned socket)
{
	uint8_t cores = (uint8_t)(description->cpus / description->sockets);
	g_autofree char *name = g_strdup_printf("CPU %u", socket);

	begin(writer, 4, HANDLE_PROCESSOR + socket);
	put_string(writer, name);
	put8(writer, 3); /* central processor */
	put8(writer, 2); /* family: unknown, CPUID tells */
	put_string(writer, "Oriel");
	put64(writer, 0);
	put_string(writer, "1.0");
	put8(writer, 0); /* voltage */
	put16(writer, 0);
	put16(writer, 2000); /* maximum and current speed, which installers like to see */
	put16(writer, 2000);
	put8(writer, 0x41); /* populated, enabled */
	put8(writer, 1); /* upgrade: other */
	put16(writer, NO_HANDLE);
	put16(writer, NO_HANDLE);
	put16(writer, NO_HANDLE);
	put_string(writer, NULL);
	put_string(writer, NULL);
	put_string(writer, NULL);
	put8(writer, cores);
	put8(writer, cores);
	put8(writer, cores); /* threads */
	put16(writer, 1 << 2 | 1 << 3); /* 64-bit, multi-core */
	put16(writer, 2);
	end(writer);
}

/* Section 7.17. */
static void put_memory_array(struct writer *writer, uint64_t size)
{
	bool extended = size >> 10 >= 0x80000000u;

	begin(writer, 16, HANDLE_MEMORY_ARRAY);
	put8(writer, 1); /* location: other */
	put8(writer, 3); /* system memory */
	put8(writer, 6); /* multi-bit ECC: Windows Server's certification wants it */
	put32(writer, extended ? 0x80000000u : (uint32_t)(size >> 10));
	put16(writer, NOT_PROVIDED);
	put16(writer, 1);
	put64(writer, extended ? size : 0);
	end(writer);
}

/* Section 7.18: all memory is in one module. */
static void put_memory_device(struct writer *writer, uint64_t size)
{
	bool extended = size >> 20 >= 0x7FFF;

	begin(writer, 17, HANDLE_MEMORY_DEVICE);
	put16(writer, HANDLE_MEMORY_ARRAY);
	put16(writer, NOT_PROVIDED);
	put16(writer, 64);
	put16(writer, 64);
	put16(writer, extended ? 0x7FFF : (uint16_t)(size >> 20));
	put8(writer, 9); /* DIMM */
	put8(writer, 0);
	put_string(writer, "DIMM 0");
	put_string(writer, NULL);
	put8(writer, 7); /* RAM */
	put16(writer, 1 << 1); /* other */
	put16(writer, 0);
	put_string(writer, "Oriel");
	put_string(writer, NULL);
	put_string(writer, NULL);
	put_string(writer, NULL);
	put8(writer, 0);
	put32(writer, extended ? (uint32_t)(size >> 20) : 0);
	put16(writer, 0);
	put16(writer, 0); /* voltages */
	put16(writer, 0);
	put16(writer, 0);
	end(writer);
}

/* Section 7.20. */
static void put_memory_range(struct writer *writer, unsigned number, uint64_t base, uint64_t size)
{
	uint64_t last = base + size - 1;
	bool extended = last >> 10 >= UINT32_MAX;

	begin(writer, 19, HANDLE_MEMORY_RANGE + number);
	put32(writer, extended ? UINT32_MAX : (uint32_t)(base >> 10));
	put32(writer, extended ? UINT32_MAX : (uint32_t)(last >> 10));
	put16(writer, HANDLE_MEMORY_ARRAY);
	put8(writer, 1);
	put64(writer, extended ? base : 0);
	put64(writer, extended ? last : 0);
	end(writer);
}

/* Section 7.33. */
static void put_boot(struct writer *writer)
{
	begin(writer, 32, HANDLE_BOOT);
	put16(writer, 0);
	put32(writer, 0);
	put8(writer, 0); /* no errors */
	end(writer);
}

/* Section 5.2.1. */
static GBytes *build_anchor(const struct writer *writer)
{
	uint8_t *anchor = g_malloc0(ANCHOR_SIZE);

	memcpy(anchor, "_SM_", 4);
	anchor[5] = ANCHOR_SIZE;
	anchor[6] = 2;
	anchor[7] = 8;
	anchor[8] = (uint8_t)writer->largest;
	anchor[9] = (uint8_t)(writer->largest >> 8);
	memcpy(anchor + 0x10, "_DMI_", 5);
	anchor[0x16] = (uint8_t)writer->out->len;
	anchor[0x17] = (uint8_t)(writer->out->len >> 8);
	anchor[0x1C] = (uint8_t)writer->count;
	anchor[0x1D] = (uint8_t)(writer->count >> 8);
	anchor[0x1E] = 0x28;
	return g_bytes_new_take(anchor, ANCHOR_SIZE);
}

void smbios_build(struct smbios_files *files, const struct firmware_description *description)
{
	uint64_t memory = description->low_ram + description->high_ram;
	struct writer writer = { .out = g_byte_array_new(), .strings = g_ptr_array_new_with_free_func(g_free) };

	put_bios(&writer);
	put_system(&writer, description);
	put_board(&writer);
	put_chassis(&writer, description);
	for (unsigned socket = 0; socket < description->sockets; socket++)
		put_processor(&writer, description, socket);
	put_memory_array(&writer, memory);
	put_memory_device(&writer, memory);
	put_memory_range(&writer, 0, 0, description->low_ram);
	if (description->high_ram)
		put_memory_range(&writer, 1, MEMORY_HIGH_BASE, description->high_ram);
	put_boot(&writer);
	begin(&writer, 127, HANDLE_END);
	end(&writer);
	files->anchor = build_anchor(&writer);
	files->tables = g_byte_array_free_to_bytes(writer.out);
	g_ptr_array_unref(writer.strings);
}

void smbios_files_clear(struct smbios_files *files)
{
	g_clear_pointer(&files->anchor, g_bytes_unref);
	g_clear_pointer(&files->tables, g_bytes_unref);
}
