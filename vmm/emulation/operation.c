#include "operation.h"

#include <glib.h>

#include "operation_table.h"

static uint8_t prefix_bit(const struct instruction *instruction)
{
	switch (instruction->prefix) {
	case 0x66:
		return P66;
	case 0xF3:
		return PF3;
	case 0xF2:
		return PF2;
	default:
		return NP;
	}
}

static bool find_system(const struct instruction *instruction, struct operation *operation)
{
	uint8_t form = instruction->has_memory ? MEM : REG;

	if (instruction->encoding != ENCODING_LEGACY)
		return false;
	for (size_t i = 0; i < operation_system_count; i++) {
		const struct system_row *row = &operation_system[i];

		if (row->map != instruction->map || row->opcode != instruction->opcode ||
		    !(row->prefixes & prefix_bit(instruction)) || (row->forms && row->forms != form) ||
		    (instruction->modrm & row->modrm_mask) != row->modrm)
			continue;
		operation->class = OPERATION_SYSTEM;
		operation->system = row->operation;
		return true;
	}
	return false;
}

static unsigned size_of(const struct instruction *instruction, uint8_t rule)
{
	unsigned vector = instruction->encoding == ENCODING_LEGACY ? 16 : 16u << instruction->vector_length;
	unsigned wide = instruction->rex & REX_W ? 8 : 4;
	uint8_t prefix = instruction->prefix;

	switch (rule) {
	case VL:
		return vector;
	case VL_2:
		return vector / 2;
	case VL_4:
		return vector / 4;
	case VL_8:
		return vector / 8;
	case VW:
		return wide;
	case GW:
		return instruction->bits == 64 ? wide : 4;
	case OPSIZE:
		return instruction->operand_size;
	case DDUP:
		return vector == 16 ? 8 : vector;
	case SCALAR:
		return prefix == 0xF3 ? 4 : prefix == 0xF2 ? 8 : vector;
	case SCALAR2:
		return prefix == 0x66 || prefix == 0xF2 ? 8 : 4;
	case PACKED:
		return prefix ? vector : 8;
	case SHIFT:
		return prefix ? 16 : 8;
	case X87ENV:
		return instruction->operand_size == 2 ? 14 : 28;
	case X87STATE:
		return instruction->operand_size == 2 ? 94 : 108;
	case FXAREA:
		return 512;
	default:
		return rule;
	}
}

/* MMX instructions are those without a prefix from the part of the map where SSE2 doubled them with 66. */
static bool is_mmx(const struct instruction *instruction)
{
	uint8_t opcode = instruction->opcode;

	if (instruction->prefix)
		return false;
	if (instruction->map == MAP_0F38)
		return opcode <= 0x1E;
	if (instruction->map == MAP_0F3A)
		return opcode == 0x0F;
	return (opcode >= 0x60 && opcode <= 0x7F) || opcode == 0xC4 || opcode == 0xC5 || opcode >= 0xD1;
}

static bool is_opmask(const struct instruction *instruction)
{
	uint8_t opcode = instruction->opcode;

	if (instruction->map == MAP_0F)
		return (opcode >= 0x41 && opcode <= 0x4B) || (opcode >= 0x90 && opcode <= 0x99);
	return instruction->map == MAP_0F3A && opcode >= 0x30 && opcode <= 0x33;
}

static enum operation_class class_of(const struct instruction *instruction, const struct row *row)
{
	if (row->notes & INT)
		return OPERATION_INTEGER;
	switch (instruction->encoding) {
	case ENCODING_EVEX:
		return OPERATION_AVX512;
	case ENCODING_VEX:
		return is_opmask(instruction) ? OPERATION_AVX512 : OPERATION_AVX;
	default:
		return is_mmx(instruction) ? OPERATION_MMX : OPERATION_SSE;
	}
}

static bool row_matches(const struct row *row, const struct instruction *instruction)
{
	uint8_t form = instruction->has_memory ? MEM : REG;

	return instruction->opcode >= row->first && instruction->opcode <= row->last &&
	       row->prefixes & prefix_bit(instruction) && row->encodings >> instruction->encoding & 1 &&
	       row->forms & form && (row->group == ANY_GROUP || row->group == instruction_group(instruction));
}

static void find_row(const struct instruction *instruction, const struct row_table *table,
		     struct operation *operation)
{
	const struct row *row = table->rows, *end = table->rows + table->count;

	while (row < end && !row_matches(row, instruction))
		row++;
	if (row == end)
		return;
	operation->class = class_of(instruction, row);
	operation->access = row->access;
	operation->size = size_of(instruction, row->size);
	operation->general = row->notes & INT;
	operation->by_operand_size = row->size == OPSIZE;
	if (instruction->encoding == ENCODING_EVEX && instruction->has_memory && instruction->broadcast)
		operation->size = instruction->rex & REX_W ? 8 : 4;
	operation->element = operation->size > 64 ? 64 : operation->size;
	if (row->notes & (PACK_B | PACK_D))
		operation->element = (row->notes & PACK_B ? 1 : 4) << !!(instruction->rex & REX_W);
	operation->masked = row->notes & MASKED || (instruction->encoding == ENCODING_EVEX && instruction->mask);
}

static void find_x87(const struct instruction *instruction, struct operation *operation)
{
	unsigned opcode = instruction->opcode - 0xD8, group = instruction_group(instruction);

	operation->class = OPERATION_X87;
	if (!instruction->has_memory)
		return;
	operation->size = size_of(instruction, operation_x87[opcode][group].size);
	operation->access = operation_x87[opcode][group].access;
	operation->by_operand_size = operation_x87[opcode][group].size == X87ENV ||
		operation_x87[opcode][group].size == X87STATE;
	if (!operation->access)
		operation->class = OPERATION_INVALID;
}

/* kmov to and from memory: the size follows from W and 66. */
static bool find_kmov(const struct instruction *instruction, struct operation *operation)
{
	static const uint8_t sizes[2][2] = { { 2, 8 }, { 1, 4 } };
	uint8_t opcode = instruction->opcode;
	bool op66 = instruction->prefix == 0x66, w = instruction->rex & REX_W;

	if (instruction->encoding != ENCODING_VEX || instruction->map != MAP_0F ||
	    !((opcode >= 0x90 && opcode <= 0x93) || opcode == 0x98 || opcode == 0x99))
		return false;
	operation->class = OPERATION_AVX512;
	if (!instruction->has_memory)
		return true;
	operation->size = sizes[op66][w];
	operation->access = opcode == 0x90 ? R : W;
	if (opcode > 0x91)
		operation->class = OPERATION_INVALID;
	return true;
}

/* EVEX conversions whose source is half a vector or a whole one by W. */
static bool find_conversion(const struct instruction *instruction, struct operation *operation)
{
	uint8_t opcode = instruction->opcode, prefix = instruction->prefix;
	bool w = instruction->rex & REX_W;
	unsigned vector = 16u << instruction->vector_length;

	if (instruction->encoding != ENCODING_EVEX || instruction->map != MAP_0F)
		return false;
	if (!((opcode >= 0x78 && opcode <= 0x7B && prefix == 0x66) || (opcode == 0x7A && prefix) ||
	      (opcode == 0xE6 && prefix == 0xF3)))
		return false;
	operation->class = OPERATION_AVX512;
	operation->access = R;
	operation->size = w || prefix == 0xF2 ? vector : vector / 2;
	if (instruction->broadcast && instruction->has_memory)
		operation->size = w ? 8 : 4;
	operation->element = operation->size;
	operation->masked = instruction->mask;
	return true;
}

/* emms and vzeroupper have no ModRM, so no row could tell their forms. */
static bool find_bare(const struct instruction *instruction, struct operation *operation)
{
	if (instruction->map == MAP_ONE_BYTE && instruction->opcode == 0x9B) {
		operation->class = OPERATION_WAIT;
		return true;
	}
	if (instruction->map != MAP_0F || instruction->opcode != 0x77)
		return false;
	operation->class = instruction->encoding == ENCODING_VEX ? OPERATION_AVX : OPERATION_MMX;
	return true;
}

static bool find_undefined(const struct instruction *instruction, struct operation *operation)
{
	uint8_t opcode = instruction->opcode;

	/* ud2, ud1, ud0; monitor and mwait, which are never offered; VMX and SVM, which are not either. */
	if (instruction->encoding != ENCODING_LEGACY || instruction->map != MAP_0F)
		return false;
	if (opcode == 0x0B || opcode == 0xB9 || opcode == 0xFF ||
	    (opcode == 0x01 && instruction->modrm >= 0xC0 && instruction->modrm <= 0xC9) ||
	    (opcode == 0x01 && instruction->modrm >= 0xD8 && instruction->modrm <= 0xDF &&
	     instruction->modrm != 0xD9) ||
	    (opcode == 0x01 && (instruction->modrm == 0xFA || instruction->modrm == 0xFB))) {
		operation->class = OPERATION_INVALID;
		return true;
	}
	return false;
}

/* cmpxchg8b and cmpxchg16b. */
static bool find_compare_exchange(const struct instruction *instruction, struct operation *operation)
{
	if (instruction->encoding != ENCODING_LEGACY || instruction->map != MAP_0F || instruction->opcode != 0xC7 ||
	    instruction_group(instruction) != 1 || !instruction->has_memory)
		return false;
	operation->class = OPERATION_INTEGER;
	operation->size = instruction->rex & REX_W ? 16 : 8;
	operation->access = RW;
	operation->lockable = true;
	return true;
}

struct operation operation_find(const struct instruction *instruction)
{
	struct operation operation = { .class = OPERATION_UNKNOWN };

	if (find_undefined(instruction, &operation) || find_system(instruction, &operation) ||
	    find_bare(instruction, &operation) || find_kmov(instruction, &operation) ||
	    find_conversion(instruction, &operation) || find_compare_exchange(instruction, &operation))
		return operation;
	if (instruction->map == MAP_ONE_BYTE && instruction->opcode >= 0xD8 && instruction->opcode <= 0xDF)
		find_x87(instruction, &operation);
	else if (instruction->map < G_N_ELEMENTS(operation_rows))
		find_row(instruction, &operation_rows[instruction->map], &operation);
	return operation;
}
