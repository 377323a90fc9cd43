/* The part of the ACPI namespace that depends on the machine, or that is too regular to write down. */
#include "acpi.h"
#include "aml.h"

#define PCI_SLOTS 32
#define PCI_PINS 4
#define GSI_OF_PIRQA 16

#define QWORD_DESCRIPTOR 0x8A
#define QWORD_DESCRIPTOR_LENGTH 0x2B
#define END_TAG 0x79

static void append_processors(GByteArray *aml, unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++) {
		g_autofree char *name = g_strdup_printf("C%03X", i);

		aml_append_processor(aml, name, (uint8_t)i);
	}
}

/* Slots 0-24 rotate over PIRQE-H; 25-31, the chipset's own, use PIRQA-D in the order of their pins. */
static unsigned pirq_of(unsigned slot, unsigned pin)
{
	return slot < 25 ? 4 + (slot + pin) % 4 : pin;
}

/*
 * One package { slot and any function, pin, link, 0 } or { slot and any function, pin, 0, input of the I/O APIC } for
 * each pin of each slot (ACPI 6.0, section 6.2.13).
 */
static void append_routes(GByteArray *aml, bool links)
{
	GByteArray *routes = g_byte_array_new();

	aml_append_u8(routes, PCI_SLOTS * PCI_PINS);
	for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
		for (unsigned pin = 0; pin < PCI_PINS; pin++) {
			GByteArray *route = g_byte_array_new();
			g_autofree char *link = g_strdup_printf("LNK%c", 'A' + pirq_of(slot, pin));

			aml_append_u8(route, 4);
			aml_append_integer(route, slot << 16 | 0xFFFF);
			aml_append_integer(route, pin);
			if (links)
				aml_append_name(route, link);
			else
				aml_append_integer(route, 0);
			aml_append_integer(route, links ? 0 : GSI_OF_PIRQA + pirq_of(slot, pin));
			aml_append_enclosed(routes, AML_OP_PACKAGE, route);
		}
	}
	aml_append_enclosed(aml, AML_OP_PACKAGE, routes);
}

/* A method, so that the usual guest, which has an I/O APIC, does not even parse it. */
static void append_8259_routes(GByteArray *aml)
{
	GByteArray *method = g_byte_array_new();

	aml_append_name(method, "PRTP");
	aml_append_u8(method, 0); /* no arguments */
	aml_append_u8(method, AML_OP_RETURN);
	append_routes(method, true);
	aml_append_enclosed(aml, AML_OP_METHOD, method);
}

static void append_u64(GByteArray *bytes, uint64_t value)
{
	uint64_t little_endian = GUINT64_TO_LE(value);

	g_byte_array_append(bytes, (const guint8 *)&little_endian, sizeof little_endian);
}

/* QWord address space descriptor (section 6.4.3.5.1) of the window for 64-bit BARs, if any, and an end tag. */
static void append_window64(GByteArray *aml, const struct firmware_description *description)
{
	static const guint8 head[] = {
		QWORD_DESCRIPTOR, QWORD_DESCRIPTOR_LENGTH, 0,
		0,    /* memory */
		0x0C, /* minimum and maximum fixed, positive decode, produced */
		0x03, /* read and write, cacheable */
	};
	GByteArray *bytes = g_byte_array_new();

	if (description->window64_size) {
		g_byte_array_append(bytes, head, sizeof head);
		append_u64(bytes, 0); /* granularity */
		append_u64(bytes, description->window64_base);
		append_u64(bytes, description->window64_base + description->window64_size - 1);
		append_u64(bytes, 0); /* translation */
		append_u64(bytes, description->window64_size);
	}
	aml_append_u8(bytes, END_TAG);
	aml_append_u8(bytes, 0); /* no checksum */
	aml_append_named(aml, "W64B");
	aml_append_buffer(aml, bytes);
}

GByteArray *ssdt_build(const struct firmware_description *description)
{
	GByteArray *aml = g_byte_array_new();
	GByteArray *system = g_byte_array_new();
	GByteArray *bridge = g_byte_array_new();

	aml_append_name(system, "\\_SB_");
	append_processors(system, description->cpus);
	aml_append_named(system, "SERP");
	aml_append_integer(system, description->serial);
	aml_append_enclosed(aml, AML_OP_SCOPE, system);

	aml_append_name(bridge, "\\_SB_.PCI0");
	append_window64(bridge, description);
	append_8259_routes(bridge);
	aml_append_named(bridge, "PRTA");
	append_routes(bridge, false);
	aml_append_enclosed(aml, AML_OP_SCOPE, bridge);
	return aml;
}
