#include "acpi.h"

#include <string.h>

#include "dsdt.hex"
#include "table_loader.h"

#define HEADER_SIZE 36
#define HEADER_CHECKSUM 9
#define FACS_SIZE 64
#define TABLE_ALIGN 64 /* the FACS's; the others need 8 at most */
#define TABLES_MAX 8

/* FADT of ACPI 3.0, section 5.2.9. */
#define FADT_SIZE 244
#define FADT_REVISION 3
#define FADT_FIRMWARE_CTRL 36
#define FADT_DSDT 40
#define FADT_X_DSDT 140

#define RSDP_SIZE 36
#define RSDP_V1_SIZE 20

/* Where tables go while they are written. */
struct writer {
	GByteArray *tables;
	GByteArray *script;
	guint start; /* of the table being written */
	guint listed[TABLES_MAX]; /* offsets of the tables that RSDT and XSDT name */
	guint listed_count;
};

static void put8(GByteArray *out, uint8_t value)
{
	g_byte_array_append(out, &value, 1);
}

static void put16(GByteArray *out, uint16_t value)
{
	uint16_t little_endian = GUINT16_TO_LE(value);

	g_byte_array_append(out, (const guint8 *)&little_endian, 2);
}

static void put32(GByteArray *out, uint32_t value)
{
	uint32_t little_endian = GUINT32_TO_LE(value);

	g_byte_array_append(out, (const guint8 *)&little_endian, 4);
}

static void put64(GByteArray *out, uint64_t value)
{
	uint64_t little_endian = GUINT64_TO_LE(value);

	g_byte_array_append(out, (const guint8 *)&little_endian, 8);
}

static void put_text(GByteArray *out, const char *text, guint size)
{
	g_assert(strlen(text) <= size);
	g_byte_array_append(out, (const guint8 *)text, (guint)strlen(text));
	for (guint i = (guint)strlen(text); i < size; i++)
		put8(out, 0);
}

static void align(GByteArray *out, guint grain)
{
	while (out->len % grain)
		put8(out, 0);
}

static void set32(GByteArray *out, guint offset, uint32_t value)
{
	uint32_t little_endian = GUINT32_TO_LE(value);

	memcpy(out->data + offset, &little_endian, 4);
}

static void set64(GByteArray *out, guint offset, uint64_t value)
{
	uint64_t little_endian = GUINT64_TO_LE(value);

	memcpy(out->data + offset, &little_endian, 8);
}

static void begin_table(struct writer *writer, const char *signature, uint8_t revision)
{
	GByteArray *out = writer->tables;

	align(out, 8);
	writer->start = out->len;
	put_text(out, signature, 4);
	put32(out, 0); /* length: end_table() */
	put8(out, revision);
	put8(out, 0); /* checksum: firmware, when addresses are known */
	put_text(out, "ORIEL", 6);
	put_text(out, "MACHINE", 8);
	put32(out, 1);
	put_text(out, "ORIL", 4);
	put32(out, 1);
}

static void end_table(struct writer *writer, bool listed)
{
	guint length = writer->tables->len - writer->start;

	set32(writer->tables, writer->start + 4, length);
	table_loader_add_checksum(writer->script, ACPI_TABLES_FILE, writer->start + HEADER_CHECKSUM, writer->start,
				  length);
	if (listed) {
		g_assert(writer->listed_count < TABLES_MAX);
		writer->listed[writer->listed_count++] = writer->start;
	}
}

/* A field of the tables that holds the offset of another table becomes its address. */
static void link_table(struct writer *writer, guint field, uint8_t size, guint pointee)
{
	if (size == 8)
		set64(writer->tables, field, pointee);
	else
		set32(writer->tables, field, pointee);
	table_loader_add_pointer(writer->script, ACPI_TABLES_FILE, ACPI_TABLES_FILE, field, size);
}

/* Section 5.2.10: no header checksum, 64-byte alignment. */
static void put_facs(struct writer *writer)
{
	guint start = writer->tables->len;

	put_text(writer->tables, "FACS", 4);
	put32(writer->tables, FACS_SIZE);
	while (writer->tables->len - start < 32)
		put8(writer->tables, 0);
	put8(writer->tables, 1); /* version */
	align(writer->tables, FACS_SIZE);
}

static guint put_dsdt(struct writer *writer)
{
	align(writer->tables, 8);
	writer->start = writer->tables->len;
	g_byte_array_append(writer->tables, dsdt_aml_code, sizeof dsdt_aml_code);
	return writer->start;
}

static void put_ssdt(struct writer *writer, const struct firmware_description *description)
{
	g_autoptr(GByteArray) aml = ssdt_build(description);

	begin_table(writer, "SSDT", 1);
	g_byte_array_append(writer->tables, aml->data, aml->len);
	end_table(writer, true);
}

/* Generic address structure of an I/O port (section 5.2.3.1). */
static void put_port(GByteArray *out, uint16_t port, uint8_t bits)
{
	put8(out, port ? 1 : 0);
	put8(out, bits);
	put8(out, 0);
	put8(out, 0);
	put64(out, port);
}

/* The fields from SCI_INT to RESET_VALUE; the order is the specification's. */
static void put_fadt_registers(GByteArray *out)
{
	put16(out, PLATFORM_SCI);
	put32(out, 0); /* SMI_CMD: no SMM, ACPI mode is always on */
	put32(out, 0); /* ACPI_ENABLE, ACPI_DISABLE, S4BIOS_REQ, PSTATE_CNT */
	put32(out, PLATFORM_PM_BASE);
	put32(out, 0); /* PM1b_EVT_BLK */
	put32(out, PLATFORM_PM_BASE + 4);
	put32(out, 0); /* PM1b_CNT_BLK */
	put32(out, 0); /* PM2_CNT_BLK */
	put32(out, PLATFORM_PM_BASE + 8);
	put32(out, PLATFORM_PM_BASE + 0x20);
	put32(out, 0); /* GPE1_BLK */
	put8(out, 4);  /* PM1_EVT_LEN */
	put8(out, 2);  /* PM1_CNT_LEN */
	put8(out, 0);  /* PM2_CNT_LEN */
	put8(out, 4);  /* PM_TMR_LEN */
	put8(out, 16); /* GPE0_BLK_LEN */
	put8(out, 0);  /* GPE1_BLK_LEN */
	put8(out, 0);  /* GPE1_BASE */
	put8(out, 0);  /* CST_CNT */
	put16(out, 0xFFF); /* P_LVL2_LAT: no C2 */
	put16(out, 0xFFF); /* P_LVL3_LAT: no C3 */
	put32(out, 0); /* FLUSH_SIZE, FLUSH_STRIDE */
	put32(out, 0); /* DUTY_OFFSET, DUTY_WIDTH, DAY_ALRM, MON_ALRM */
	put8(out, PLATFORM_CMOS_CENTURY);
	put16(out, 0x0002); /* IAPC_BOOT_ARCH: there is an 8042 */
	put8(out, 0);
	/* WBINVD, PROC_C1, SLP_BUTTON (no fixed one), RTC_S4, RESET_REG_SUP, USE_PLATFORM_CLOCK; PWR_BUTTON 0: fixed */
	put32(out, 0x84A5);
	put_port(out, PLATFORM_RESET_PORT, 8);
	put8(out, PLATFORM_RESET_VALUE);
}

static void put_fadt(struct writer *writer, guint dsdt)
{
	GByteArray *out = writer->tables;

	begin_table(writer, "FACP", FADT_REVISION);
	put32(out, 0); /* FIRMWARE_CTRL */
	put32(out, 0); /* DSDT */
	put8(out, 0);
	put8(out, 1); /* Preferred_PM_Profile: desktop */
	put_fadt_registers(out);
	put8(out, 0);
	put16(out, 0);
	put64(out, 0); /* X_FIRMWARE_CTRL: the 32-bit field is set */
	put64(out, 0); /* X_DSDT: Windows 7 wants both */
	put_port(out, PLATFORM_PM_BASE, 32);
	put_port(out, 0, 0);
	put_port(out, PLATFORM_PM_BASE + 4, 16);
	put_port(out, 0, 0);
	put_port(out, 0, 0);
	put_port(out, PLATFORM_PM_BASE + 8, 32);
	put_port(out, PLATFORM_PM_BASE + 0x20, 128);
	put_port(out, 0, 0);
	g_assert(out->len - writer->start == FADT_SIZE);
	link_table(writer, writer->start + FADT_FIRMWARE_CTRL, 4, 0);
	link_table(writer, writer->start + FADT_DSDT, 4, dsdt);
	link_table(writer, writer->start + FADT_X_DSDT, 8, dsdt);
	end_table(writer, true);
}

static void put_override(GByteArray *out, uint8_t irq, uint8_t gsi, uint16_t flags)
{
	put8(out, 2);
	put8(out, 10);
	put8(out, 0); /* ISA */
	put8(out, irq);
	put32(out, gsi);
	put16(out, flags);
}

/* Section 5.2.12. */
static void put_madt(struct writer *writer, const struct firmware_description *description)
{
	static const uint8_t level_irqs[] = { 5, 9, 10, 11 };
	GByteArray *out = writer->tables;

	begin_table(writer, "APIC", 1);
	put32(out, PLATFORM_LAPIC);
	put32(out, 1); /* PCAT_COMPAT: 8259s too */
	for (unsigned i = 0; i < description->cpus; i++) {
		put8(out, 0); /* local APIC */
		put8(out, 8);
		put8(out, (uint8_t)i); /* ACPI processor id: the SSDT's */
		put8(out, (uint8_t)i); /* APIC id */
		put32(out, 1);
	}
	put8(out, 1); /* I/O APIC */
	put8(out, 12);
	put16(out, 0);
	put32(out, PLATFORM_IOAPIC);
	put32(out, 0);
	put_override(out, 0, 2, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(level_irqs); i++)
		put_override(out, level_irqs[i], level_irqs[i], 0x000D); /* active high, level */
	put8(out, 4); /* local APIC NMI */
	put8(out, 6);
	put8(out, 0xFF); /* every processor */
	put16(out, 0);
	put8(out, 1); /* LINT1 */
	end_table(writer, true);
}

/* PCI Firmware Specification 3.0, section 4.1.2. */
static void put_mcfg(struct writer *writer)
{
	begin_table(writer, "MCFG", 1);
	put64(writer->tables, 0);
	put64(writer->tables, PLATFORM_ECAM_BASE);
	put16(writer->tables, 0); /* segment */
	put8(writer->tables, 0);
	put8(writer->tables, PLATFORM_ECAM_BUSES - 1);
	put32(writer->tables, 0);
	end_table(writer, true);
}

/* Windows ACPI Emulated Devices Table: one read of the PM timer is enough. */
static void put_waet(struct writer *writer)
{
	begin_table(writer, "WAET", 1);
	put32(writer->tables, 2);
	end_table(writer, true);
}

/* RSDT with pointers of 4 bytes, or XSDT of 8. */
static guint put_root(struct writer *writer, const char *signature, uint8_t size)
{
	begin_table(writer, signature, 1);
	for (guint i = 0; i < writer->listed_count; i++) {
		guint field = writer->tables->len;

		if (size == 8)
			put64(writer->tables, 0);
		else
			put32(writer->tables, 0);
		link_table(writer, field, size, writer->listed[i]);
	}
	end_table(writer, false);
	return writer->start;
}

/* Section 5.2.5.3. */
static GByteArray *build_rsdp(GByteArray *script, guint rsdt, guint xsdt)
{
	GByteArray *rsdp = g_byte_array_new();

	put_text(rsdp, "RSD PTR ", 8);
	put8(rsdp, 0);
	put_text(rsdp, "ORIEL", 6);
	put8(rsdp, 2);
	put32(rsdp, rsdt);
	put32(rsdp, RSDP_SIZE);
	put64(rsdp, xsdt);
	put32(rsdp, 0);
	table_loader_add_pointer(script, ACPI_RSDP_FILE, ACPI_TABLES_FILE, 16, 4);
	table_loader_add_pointer(script, ACPI_RSDP_FILE, ACPI_TABLES_FILE, 24, 8);
	table_loader_add_checksum(script, ACPI_RSDP_FILE, 8, 0, RSDP_V1_SIZE);
	table_loader_add_checksum(script, ACPI_RSDP_FILE, 32, 0, RSDP_SIZE);
	return rsdp;
}

void acpi_build(struct acpi_files *files, const struct firmware_description *description)
{
	struct writer writer = { .tables = g_byte_array_new(), .script = g_byte_array_new() };
	guint dsdt, rsdt, xsdt;

	table_loader_allocate(writer.script, ACPI_TABLES_FILE, TABLE_ALIGN, TABLE_LOADER_ZONE_HIGH);
	table_loader_allocate(writer.script, ACPI_RSDP_FILE, 16, TABLE_LOADER_ZONE_FSEG);
	put_facs(&writer);
	dsdt = put_dsdt(&writer);
	put_fadt(&writer, dsdt);
	put_madt(&writer, description);
	put_mcfg(&writer);
	put_waet(&writer);
	put_ssdt(&writer, description);
	rsdt = put_root(&writer, "RSDT", 4);
	xsdt = put_root(&writer, "XSDT", 8);
	files->rsdp = g_byte_array_free_to_bytes(build_rsdp(writer.script, rsdt, xsdt));
	files->tables = g_byte_array_free_to_bytes(writer.tables);
	files->loader = g_byte_array_free_to_bytes(writer.script);
}

void acpi_files_clear(struct acpi_files *files)
{
	g_clear_pointer(&files->tables, g_bytes_unref);
	g_clear_pointer(&files->rsdp, g_bytes_unref);
	g_clear_pointer(&files->loader, g_bytes_unref);
}
