#include "encode.h"

#include <string.h>

#define RSP 4

/*
 * A register that the instruction does not use: not by its fields, and not implicitly (which RBX is only without
 * vvvv).
 */
static int free_register(const struct instruction *instruction)
{
	static const uint8_t candidates[] = { 7, 6, 3 };
	unsigned i = 0;

	while (i < 2 && (instruction->reg == candidates[i] || instruction->vvvv == candidates[i]))
		i++;
	return candidates[i];
}

static void put(struct native_code *out, uint8_t byte)
{
	out->code[out->length++] = byte;
}

/* Legacy prefixes but those that choose a segment or an address size, which the operand's rewriting did away with. */
static void put_prefixes(struct native_code *out, const struct instruction *instruction,
			 const struct operation *operation)
{
	bool operand_prefix = operation->by_operand_size ? instruction->operand_size == 2 :
		instruction->operand_prefix;
	uint8_t rex = instruction->rex;

	if (instruction->lock)
		put(out, 0xF0);
	if (operand_prefix)
		put(out, 0x66);
	if (instruction->repeat)
		put(out, instruction->repeat);
	if (instruction->has_memory)
		rex &= ~(REX_X | REX_B);
	if (instruction->has_rex)
		put(out, 0x40 | rex);
	if (instruction->map == MAP_ONE_BYTE)
		return;
	put(out, 0x0F);
	if (instruction->map == MAP_0F38)
		put(out, 0x38);
	else if (instruction->map == MAP_0F3A)
		put(out, 0x3A);
}

/* VEX and EVEX hold inverted bits; outside 64-bit mode the CPU ignores some of vvvv and, for general registers, W. */
static void put_extension(struct native_code *out, const struct instruction *instruction,
			  const struct operation *operation)
{
	unsigned size = instruction->encoding == ENCODING_EVEX ? 4 :
		instruction->bytes[instruction->opcode_at - 2] == 0xC5 ? 2 : 3;
	const uint8_t *bytes = &instruction->bytes[instruction->opcode_at - size];
	uint8_t *to = &out->code[out->length];
	bool two = instruction->encoding == ENCODING_VEX && size == 2;

	memcpy(to, bytes, size);
	if (instruction->has_memory && !two)
		to[1] |= 0x60;
	if (instruction->bits != 64) {
		to[two ? 1 : 2] |= 0x40;
		if (!two)
			to[1] |= 0xE0;
		if (instruction->encoding == ENCODING_EVEX) {
			to[1] |= 0xF0;
			to[3] |= 8;
		} else if (!two && operation->general) {
			to[2] &= 0x7F;
		}
	}
	out->length += size;
}

static bool names_stack_pointer(const struct instruction *instruction)
{
	if (instruction->has_modrm && (instruction->reg == RSP || (!instruction->has_memory &&
								   instruction->rm == RSP)))
		return true;
	return instruction->encoding != ENCODING_LEGACY && instruction->vvvv == RSP;
}

void native_encode(struct native_code *out, const struct instruction *instruction, const struct operation *operation)
{
	out->length = 0;
	out->base = -1;
	out->stack_pointer = names_stack_pointer(instruction);
	if (instruction->encoding == ENCODING_LEGACY)
		put_prefixes(out, instruction, operation);
	else
		put_extension(out, instruction, operation);
	put(out, instruction->bytes[instruction->opcode_at]);
	if (instruction->has_memory) {
		out->base = free_register(instruction);
		put(out, (instruction->modrm & 0x38) | out->base);
	} else if (instruction->has_modrm) {
		put(out, instruction->modrm);
	}
	memcpy(&out->code[out->length], &instruction->bytes[instruction->immediate_at], instruction->immediate_size);
	out->length += instruction->immediate_size;
}
