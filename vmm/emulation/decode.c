#include "decode.h"

#include <string.h>

/* One bit per opcode, 16 opcodes a row, bit 0 is column 0. */
static const uint16_t one_byte_modrm[16] = {
	0x0F0F, 0x0F0F, 0x0F0F, 0x0F0F, 0, 0, 0x0A0C, 0, 0xFFFF, 0, 0, 0, 0x00F3, 0xFF0F, 0, 0xC0C0,
};
/* 0F xx without ModRM: system calls, rdmsr and friends, emms, jcc, push/pop fs/gs, cpuid, bswap. */
static const uint16_t two_byte_no_modrm[16] = {
	0x4BE0, 0, 0, 0x00BF, 0, 0, 0, 0x0080, 0xFFFF, 0, 0x0707, 0, 0xFF00, 0, 0, 0,
};

static bool bit(const uint16_t table[16], uint8_t opcode)
{
	return table[opcode >> 4] >> (opcode & 15) & 1;
}

struct cursor {
	const uint8_t *bytes;
	size_t available;
	uint8_t at;
	enum decode_result result;
};

static uint8_t peek(struct cursor *cursor)
{
	if (cursor->at >= INSTRUCTION_MAX)
		cursor->result = DECODE_TOO_LONG;
	else if (cursor->at >= cursor->available)
		cursor->result = DECODE_SHORT;
	return cursor->result == DECODE_OK ? cursor->bytes[cursor->at] : 0;
}

static uint8_t next(struct cursor *cursor)
{
	uint8_t byte = peek(cursor);

	if (cursor->result == DECODE_OK)
		cursor->at++;
	return byte;
}

/* A little-endian, sign-extended number. */
static int64_t number(struct cursor *cursor, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (uint64_t)next(cursor) << (8 * i);
	if (size == 0 || size == 8)
		return (int64_t)value;
	return (int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size);
}

static const uint8_t segment_prefixes[] = { 0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65 };

/* Takes one legacy prefix; false at the first byte that is none. */
static bool take_prefix(struct instruction *instruction, uint8_t byte)
{
	for (unsigned i = 0; i < sizeof segment_prefixes; i++) {
		if (byte != segment_prefixes[i])
			continue;
		/* In 64-bit mode the first four are ignored. */
		if (instruction->bits != 64 || i >= SEGMENT_FS)
			instruction->segment = i;
		return true;
	}
	switch (byte) {
	case 0x66:
		instruction->operand_prefix = true;
		return true;
	case 0x67:
		instruction->address_prefix = true;
		return true;
	case 0xF0:
		instruction->lock = true;
		return true;
	case 0xF2:
	case 0xF3:
		instruction->repeat = byte;
		return true;
	default:
		return false;
	}
}

static void take_prefixes(struct instruction *instruction, struct cursor *cursor)
{
	uint8_t byte = peek(cursor);

	while (cursor->result == DECODE_OK) {
		if (take_prefix(instruction, byte)) {
			/* A REX that is not right before the opcode does not count. */
			instruction->has_rex = false;
			instruction->rex = 0;
		} else if (instruction->bits == 64 && (byte & 0xF0) == 0x40) {
			instruction->has_rex = true;
			instruction->rex = byte & 15;
		} else {
			break;
		}
		cursor->at++;
		byte = peek(cursor);
	}
	instruction->prefix = instruction->repeat ? instruction->repeat : instruction->operand_prefix ? 0x66 : 0;
}

static const uint8_t mandatory_prefixes[4] = { 0, 0x66, 0xF3, 0xF2 };

/* The last payload byte that VEX3 and XOP share with EVEX's second: W vvvv L pp. */
static void take_vvvv(struct instruction *instruction, uint8_t byte)
{
	instruction->vvvv = ~byte >> 3 & 15;
	if (instruction->bits != 64)
		instruction->vvvv &= 7;
	instruction->prefix = mandatory_prefixes[byte & 3];
}

static void take_rxb(struct instruction *instruction, uint8_t byte)
{
	instruction->rex |= instruction->bits == 64 ? ~byte >> 5 & 7 : 0;
}

static void take_vex(struct instruction *instruction, struct cursor *cursor, uint8_t first)
{
	uint8_t byte = next(cursor);

	instruction->encoding = first == 0x8F ? ENCODING_XOP : ENCODING_VEX;
	if (first == 0xC5) {
		instruction->map = MAP_0F;
		instruction->rex = instruction->bits == 64 && !(byte & 0x80) ? REX_R : 0;
	} else {
		take_rxb(instruction, byte);
		instruction->map = byte & 0x1F;
		byte = next(cursor);
		instruction->rex |= byte & 0x80 ? REX_W : 0;
	}
	take_vvvv(instruction, byte);
	instruction->vector_length = byte >> 2 & 1;
}

/* R' of ModRM.reg and V' of vvvv are added by their users' fifth bits. */
static void take_evex(struct instruction *instruction, struct cursor *cursor, uint8_t *high_reg)
{
	uint8_t p0 = next(cursor), p1 = next(cursor), p2 = next(cursor);

	instruction->encoding = ENCODING_EVEX;
	take_rxb(instruction, p0);
	instruction->map = p0 & 7;
	instruction->rex |= p1 & 0x80 ? REX_W : 0;
	take_vvvv(instruction, p1);
	if (instruction->bits == 64) {
		*high_reg = p0 & 0x10 ? 0 : 16;
		instruction->vvvv |= p2 & 8 ? 0 : 16;
	}
	instruction->mask = p2 & 7;
	instruction->broadcast = p2 & 0x10;
	instruction->vector_length = p2 >> 5 & 3;
	instruction->zeroing = p2 & 0x80;
	if (p0 & 8 || !(p1 & 4))
		cursor->result = cursor->result == DECODE_OK ? DECODE_INVALID : cursor->result;
}

static bool map_exists(const struct instruction *instruction)
{
	static const uint16_t maps[] = {
		[ENCODING_VEX] = 1 << MAP_0F | 1 << MAP_0F38 | 1 << MAP_0F3A,
		[ENCODING_XOP] = 1 << MAP_XOP_8 | 1 << MAP_XOP_9 | 1 << MAP_XOP_A,
		[ENCODING_EVEX] = 1 << MAP_0F | 1 << MAP_0F38 | 1 << MAP_0F3A | 1 << MAP_FP16_5 | 1 << MAP_FP16_6,
	};

	return instruction->map < 16 && maps[instruction->encoding] >> instruction->map & 1;
}

/* True: byte starts VEX, EVEX or XOP here rather than les, lds, bound or pop. */
static bool starts_extension(const struct instruction *instruction, uint8_t byte, uint8_t following)
{
	if (byte == 0x8F)
		return (following & 0x1F) >= 8;
	if (byte != 0xC4 && byte != 0xC5 && byte != 0x62)
		return false;
	return instruction->bits == 64 || (following & 0xC0) == 0xC0;
}

static void take_extension(struct instruction *instruction, struct cursor *cursor, uint8_t first, uint8_t *high_reg)
{
	bool forbidden = instruction->prefix || instruction->has_rex || instruction->lock;

	if (first == 0x62)
		take_evex(instruction, cursor, high_reg);
	else
		take_vex(instruction, cursor, first);
	instruction->opcode = next(cursor);
	if (cursor->result == DECODE_OK && (forbidden || !map_exists(instruction)))
		cursor->result = DECODE_INVALID;
}

static void take_opcode(struct instruction *instruction, struct cursor *cursor, uint8_t *high_reg)
{
	uint8_t byte = next(cursor);

	if (starts_extension(instruction, byte, byte == 0x8F || byte == 0xC4 || byte == 0xC5 || byte == 0x62 ?
			     peek(cursor) : 0)) {
		take_extension(instruction, cursor, byte, high_reg);
		return;
	}
	instruction->opcode = byte;
	if (byte != 0x0F)
		return;
	instruction->map = MAP_0F;
	instruction->opcode = next(cursor);
	if (instruction->opcode == 0x38 || instruction->opcode == 0x3A) {
		instruction->map = instruction->opcode == 0x38 ? MAP_0F38 : MAP_0F3A;
		instruction->opcode = next(cursor);
	} else if (instruction->opcode == 0x0F) {
		/* 3DNow! holds its opcode where others hold an immediate. */
		instruction->map = MAP_3DNOW;
	}
}

static bool needs_modrm(const struct instruction *instruction)
{
	if (instruction->map == MAP_ONE_BYTE)
		return bit(one_byte_modrm, instruction->opcode);
	if (instruction->map != MAP_0F)
		return true;
	if (instruction->encoding == ENCODING_LEGACY)
		return !bit(two_byte_no_modrm, instruction->opcode);
	return instruction->encoding != ENCODING_VEX || instruction->opcode != 0x77;
}

static void take_memory16(struct instruction *instruction, struct cursor *cursor)
{
	static const uint8_t bases[8] = { 3, 3, 5, 5, 6, 7, 5, 3 };
	static const uint8_t indices[8] = {
		6, 7, 6, 7, REGISTER_NONE, REGISTER_NONE, REGISTER_NONE, REGISTER_NONE,
	};
	struct memory_operand *memory = &instruction->memory;
	uint8_t mod = instruction_mod(instruction), rm = instruction->modrm & 7;

	memory->base = bases[rm];
	memory->index = indices[rm];
	if (mod == 0 && rm == 6) {
		memory->base = REGISTER_NONE;
		memory->displacement = number(cursor, 2);
	} else {
		memory->displacement = number(cursor, mod);
	}
	memory->compressed = mod == 1;
	memory->segment = memory->base == 5 ? SEGMENT_SS : SEGMENT_DS;
}

static void take_sib(struct instruction *instruction, struct cursor *cursor)
{
	struct memory_operand *memory = &instruction->memory;
	uint8_t sib = next(cursor);

	memory->scale = 1 << (sib >> 6);
	memory->index = (sib >> 3 & 7) | (instruction->rex & REX_X ? 8 : 0);
	if (memory->index == 4)
		memory->index = REGISTER_NONE;
	memory->base = (sib & 7) | (instruction->rex & REX_B ? 8 : 0);
	if ((sib & 7) == 5 && instruction_mod(instruction) == 0)
		memory->base = REGISTER_NONE;
}

static void take_memory(struct instruction *instruction, struct cursor *cursor)
{
	struct memory_operand *memory = &instruction->memory;
	uint8_t mod = instruction_mod(instruction), rm = instruction->modrm & 7;

	memory->scale = 1;
	memory->index = REGISTER_NONE;
	if (instruction->address_size == 2) {
		take_memory16(instruction, cursor);
		return;
	}
	memory->base = rm | (instruction->rex & REX_B ? 8 : 0);
	if (rm == 4)
		take_sib(instruction, cursor);
	if (mod == 0 && rm == 5)
		memory->base = instruction->bits == 64 ? REGISTER_RIP : REGISTER_NONE;
	if (mod == 0 && (memory->base == REGISTER_NONE || memory->base == REGISTER_RIP))
		memory->displacement = number(cursor, 4);
	else if (mod)
		memory->displacement = number(cursor, mod == 1 ? 1 : 4);
	memory->compressed = mod == 1;
	memory->segment = memory->base == 4 || memory->base == 5 ? SEGMENT_SS : SEGMENT_DS;
}

static void take_modrm(struct instruction *instruction, struct cursor *cursor, uint8_t high_reg)
{
	uint8_t mod;

	instruction->modrm_at = cursor->at;
	instruction->modrm = next(cursor);
	mod = instruction_mod(instruction);
	instruction->has_modrm = true;
	instruction->reg = instruction_group(instruction) | (instruction->rex & REX_R ? 8 : 0) | high_reg;
	/* mov to and from control, debug and (once) test registers: mod is ignored. */
	if (mod == 3 || (instruction->encoding == ENCODING_LEGACY && instruction->map == MAP_0F &&
			 instruction->opcode >= 0x20 && instruction->opcode <= 0x26)) {
		instruction->rm = (instruction->modrm & 7) | (instruction->rex & REX_B ? 8 : 0);
		if (instruction->encoding == ENCODING_EVEX && instruction->rex & REX_X)
			instruction->rm |= 16;
		return;
	}
	instruction->has_memory = true;
	take_memory(instruction, cursor);
	instruction->memory.compressed &= instruction->encoding == ENCODING_EVEX;
	if (instruction->segment != SEGMENT_NONE)
		instruction->memory.segment = instruction->segment;
}

/* Immediate sizes beyond those that are single bytes; "z" is 2 or 4 bytes, by operand size. */
static unsigned one_byte_immediate(const struct instruction *instruction)
{
	static const uint16_t byte_sized[16] = {
		0x1010, 0x1010, 0x1010, 0x1010, 0, 0, 0x0C00, 0xFFFF, 0x000D, 0, 0x0100, 0x00FF, 0x2043, 0x0030,
		0x08FF, 0,
	};
	static const uint16_t z_sized[16] = {
		0x2020, 0x2020, 0x2020, 0x2020, 0, 0, 0x0300, 0, 0x0002, 0, 0x0200, 0, 0x0080, 0, 0x0300, 0,
	};
	uint8_t opcode = instruction->opcode;
	unsigned z = instruction->operand_size == 2 ? 2 : 4;
	bool test = instruction_group(instruction) < 2;

	if (bit(byte_sized, opcode))
		return 1;
	/* Near branches in 64-bit mode take 32 bits whatever the prefix says. */
	if (opcode == 0xE8 || opcode == 0xE9)
		return instruction->bits == 64 ? 4 : z;
	if (bit(z_sized, opcode))
		return z;
	if (opcode >= 0xB8 && opcode <= 0xBF)
		return instruction->operand_size;
	if (opcode >= 0xA0 && opcode <= 0xA3)
		return instruction->address_size;
	if (opcode == 0xC2 || opcode == 0xCA)
		return 2;
	if (opcode == 0xC8)
		return 3;
	if (opcode == 0x9A || opcode == 0xEA)
		return z + 2;
	if (opcode == 0xF6 && test)
		return 1;
	if (opcode == 0xF7)
		return test ? z : 0;
	return 0;
}

static unsigned two_byte_immediate(const struct instruction *instruction)
{
	static const uint16_t byte_sized[16] = {
		[0x7] = 0x000F, [0xA] = 0x1010, [0xB] = 0x0400, [0xC] = 0x0074,
	};
	uint8_t opcode = instruction->opcode;

	if (instruction->encoding == ENCODING_LEGACY) {
		if (opcode >= 0x80 && opcode <= 0x8F)
			return instruction->bits == 64 || instruction->operand_size == 4 ? 4 : 2;
		/* SSE4a's extrq and insertq. */
		if (opcode == 0x78 && (instruction->prefix == 0x66 || instruction->prefix == 0xF2))
			return 2;
		return bit(byte_sized, opcode);
	}
	return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xC2 || (opcode >= 0xC4 && opcode <= 0xC6);
}

static unsigned immediate_size(const struct instruction *instruction)
{
	switch (instruction->map) {
	case MAP_ONE_BYTE:
		return one_byte_immediate(instruction);
	case MAP_0F:
		return two_byte_immediate(instruction);
	case MAP_0F3A:
	case MAP_XOP_8:
	case MAP_3DNOW:
		return 1;
	case MAP_XOP_A:
		return 4;
	default:
		return 0;
	}
}

static void set_sizes(struct instruction *instruction)
{
	bool wide = (instruction->bits == 32) != instruction->operand_prefix;

	if (instruction->bits == 64) {
		instruction->operand_size = instruction->rex & REX_W ? 8 : instruction->operand_prefix ? 2 : 4;
		instruction->address_size = instruction->address_prefix ? 4 : 8;
		return;
	}
	instruction->operand_size = wide ? 4 : 2;
	if (instruction->encoding != ENCODING_LEGACY)
		instruction->operand_size = 4;
	instruction->address_size = (instruction->bits == 32) != instruction->address_prefix ? 4 : 2;
}

enum decode_result instruction_decode(struct instruction *instruction, const uint8_t *bytes, size_t available,
				      unsigned bits)
{
	struct cursor cursor = { bytes, available, 0, DECODE_OK };
	uint8_t high_reg = 0;

	memset(instruction, 0, sizeof *instruction);
	instruction->bits = bits;
	instruction->segment = SEGMENT_NONE;
	take_prefixes(instruction, &cursor);
	take_opcode(instruction, &cursor, &high_reg);
	instruction->opcode_at = cursor.at - 1;
	set_sizes(instruction);
	if (cursor.result == DECODE_OK && needs_modrm(instruction))
		take_modrm(instruction, &cursor, high_reg);
	instruction->immediate_at = cursor.at;
	instruction->immediate_size = immediate_size(instruction);
	for (unsigned i = 0; i < instruction->immediate_size; i++)
		next(&cursor);
	instruction->length = cursor.at;
	for (unsigned i = 0; i < cursor.at; i++)
		instruction->bytes[i] = bytes[i];
	if (instruction->map == MAP_3DNOW && cursor.result == DECODE_OK)
		instruction->opcode = bytes[instruction->immediate_at];
	return cursor.result;
}

uint64_t instruction_immediate(const struct instruction *instruction)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < instruction->immediate_size && i < 8; i++)
		value |= (uint64_t)instruction->bytes[instruction->immediate_at + i] << (8 * i);
	return value;
}
