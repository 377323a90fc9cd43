#include "aml.h"

#include <string.h>

#define NAME_OP 0x08
#define BYTE_PREFIX 0x0A
#define WORD_PREFIX 0x0B
#define DWORD_PREFIX 0x0C
#define QWORD_PREFIX 0x0E
#define DUAL_NAME_PREFIX 0x2E
#define MULTI_NAME_PREFIX 0x2F
#define EXT_OP_PREFIX 0x5B
#define EXT_PROCESSOR_OP 0x83
#define SEGMENT 4

void aml_append_name(GByteArray *aml, const char *path)
{
	g_auto(GStrv) segments = g_strsplit(*path == '\\' ? path + 1 : path, ".", -1);
	guint count = g_strv_length(segments);

	if (*path == '\\')
		aml_append_u8(aml, '\\');
	g_assert(count > 0 && count <= 3);
	if (count == 2)
		aml_append_u8(aml, DUAL_NAME_PREFIX);
	if (count == 3) {
		aml_append_u8(aml, MULTI_NAME_PREFIX);
		aml_append_u8(aml, (uint8_t)count);
	}
	for (guint i = 0; i < count; i++) {
		g_assert(strlen(segments[i]) == SEGMENT);
		g_byte_array_append(aml, (const guint8 *)segments[i], SEGMENT);
	}
}

void aml_append_integer(GByteArray *aml, uint64_t value)
{
	uint64_t little_endian = GUINT64_TO_LE(value);
	unsigned size = value <= 0xFF ? 1 : value <= 0xFFFF ? 2 : value <= 0xFFFFFFFF ? 4 : 8;

	if (value > 1) /* ZeroOp and OneOp are their values */
		aml_append_u8(aml, size == 1 ? BYTE_PREFIX : size == 2 ? WORD_PREFIX :
			      size == 4 ? DWORD_PREFIX : QWORD_PREFIX);
	g_byte_array_append(aml, (const guint8 *)&little_endian, size);
}

void aml_append_named(GByteArray *aml, const char *path)
{
	aml_append_u8(aml, NAME_OP);
	aml_append_name(aml, path);
}

/* Section 20.2.4: up to four bytes, which count themselves. */
static void append_package_length(GByteArray *aml, guint body)
{
	unsigned extra = body + 1 < 1u << 6 ? 0 : body + 2 < 1u << 12 ? 1 : body + 3 < 1u << 20 ? 2 : 3;
	guint length = body + 1 + extra;

	if (extra == 0) {
		aml_append_u8(aml, (uint8_t)length);
		return;
	}
	aml_append_u8(aml, (uint8_t)(extra << 6 | (length & 0x0F)));
	for (unsigned i = 0; i < extra; i++)
		aml_append_u8(aml, (uint8_t)(length >> (4 + 8 * i)));
}

void aml_append_enclosed(GByteArray *aml, uint8_t opcode, GByteArray *body)
{
	aml_append_u8(aml, opcode);
	append_package_length(aml, body->len);
	g_byte_array_append(aml, body->data, body->len);
	g_byte_array_unref(body);
}

void aml_append_buffer(GByteArray *aml, GByteArray *bytes)
{
	GByteArray *body = g_byte_array_new();

	aml_append_integer(body, bytes->len);
	g_byte_array_append(body, bytes->data, bytes->len);
	g_byte_array_unref(bytes);
	aml_append_enclosed(aml, AML_OP_BUFFER, body);
}

void aml_append_processor(GByteArray *aml, const char *name, uint8_t id)
{
	static const guint8 no_block[5]; /* address and length of the processor's register block */
	GByteArray *body = g_byte_array_new();

	aml_append_name(body, name);
	aml_append_u8(body, id);
	g_byte_array_append(body, no_block, sizeof no_block);
	aml_append_u8(aml, EXT_OP_PREFIX);
	aml_append_enclosed(aml, EXT_PROCESSOR_OP, body);
}
