/*
 * Writes ACPI Machine Language (ACPI 6.0, chapter 20) into byte arrays: as much of it as the generated SSDT needs.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#define AML_OP_SCOPE 0x10
#define AML_OP_BUFFER 0x11
#define AML_OP_PACKAGE 0x12
#define AML_OP_METHOD 0x14
#define AML_OP_RETURN 0xA4

/* Absolute ("\\_SB.PCI0") or relative ("LNKA") path of up to 3 names of 4 characters. */
void aml_append_name(GByteArray *aml, const char *path);
void aml_append_integer(GByteArray *aml, uint64_t value);
/* Opens Name (path, ...): the value comes next. */
void aml_append_named(GByteArray *aml, const char *path);
/* Appends opcode, package length and body; frees body. */
void aml_append_enclosed(GByteArray *aml, uint8_t opcode, GByteArray *body);
/* Buffer with these bytes; frees bytes. */
void aml_append_buffer(GByteArray *aml, GByteArray *bytes);
/* Processor (name, id, 0, 0) {} */
void aml_append_processor(GByteArray *aml, const char *name, uint8_t id);

static inline void aml_append_u8(GByteArray *aml, uint8_t value)
{
	g_byte_array_append(aml, &value, 1);
}
