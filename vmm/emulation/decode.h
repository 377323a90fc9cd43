/*
 * Takes one x86 instruction apart: prefixes, opcode, ModRM, SIB, displacement, immediate (Intel SDM volume 2,
 * chapter 2 and appendix A). Knows every encoding's length, not what the instruction does: see operation.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSTRUCTION_MAX 15

enum instruction_encoding {
	ENCODING_LEGACY,
	ENCODING_VEX,
	ENCODING_XOP,
	ENCODING_EVEX,
};

/* Values 1 to 6 are what VEX.mmmmm and EVEX.mmm hold, 8 to 10 what XOP.mmmmm holds. */
enum opcode_map {
	MAP_ONE_BYTE = 0,
	MAP_0F = 1,
	MAP_0F38 = 2,
	MAP_0F3A = 3,
	MAP_FP16_5 = 5,
	MAP_FP16_6 = 6,
	MAP_XOP_8 = 8,
	MAP_XOP_9 = 9,
	MAP_XOP_A = 10,
	MAP_3DNOW = 15,
};

enum segment {
	SEGMENT_ES,
	SEGMENT_CS,
	SEGMENT_SS,
	SEGMENT_DS,
	SEGMENT_FS,
	SEGMENT_GS,
	SEGMENT_NONE,
};

#define REGISTER_NONE 0xFF
#define REGISTER_RIP 0xFE

enum {
	REX_B = 1,
	REX_X = 2,
	REX_R = 4,
	REX_W = 8,
};

struct memory_operand {
	uint8_t base;  /* 0-15, REGISTER_NONE or REGISTER_RIP */
	uint8_t index; /* 0-15, REGISTER_NONE; with VSIB encodings a vector register 0-31 */
	uint8_t scale; /* 1, 2, 4, 8 */
	enum segment segment;
	bool compressed; /* EVEX disp8: displacement counts units of the operand's size */
	int64_t displacement;
};

struct instruction {
	uint8_t bytes[INSTRUCTION_MAX];
	uint8_t length;
	uint8_t bits; /* of the code segment: 16, 32, 64 */
	enum instruction_encoding encoding;
	enum opcode_map map;
	uint8_t opcode;

	/* Prefixes, and what VEX and EVEX hold in their place. */
	uint8_t prefix; /* mandatory prefix: 0, 0x66, 0xF3 or 0xF2 */
	bool operand_prefix;
	bool address_prefix;
	bool lock;
	uint8_t repeat; /* 0, 0xF2 or 0xF3 */
	enum segment segment;
	bool has_rex;
	uint8_t rex; /* REX_* as REX, VEX or EVEX gives them, not inverted */
	uint8_t vvvv;
	uint8_t vector_length; /* 0: 128 bits, 1: 256, 2: 512 */
	bool broadcast;        /* EVEX.b */
	bool zeroing;          /* EVEX.z */
	uint8_t mask;          /* EVEX.aaa */

	uint8_t operand_size; /* of general registers: 2, 4, 8 */
	uint8_t address_size; /* 2, 4, 8 */

	bool has_modrm;
	uint8_t modrm;
	uint8_t reg; /* with REX.R (and EVEX.R') */
	uint8_t rm;  /* register form: with REX.B (and EVEX.X) */
	bool has_memory;
	struct memory_operand memory;

	uint8_t opcode_at; /* where in bytes: the last opcode byte; with VEX, XOP and EVEX too */
	uint8_t modrm_at;
	uint8_t immediate_at;
	uint8_t immediate_size;
};

enum decode_result {
	DECODE_OK,
	DECODE_SHORT,    /* more bytes are needed than were given */
	DECODE_TOO_LONG, /* more than 15: #GP */
	DECODE_INVALID,  /* no instruction has this encoding: #UD */
};

/* bits: 16, 32 or 64. Only available bytes (at most 15 are of use) are read. */
enum decode_result instruction_decode(struct instruction *instruction, const uint8_t *bytes, size_t available,
				      unsigned bits);

static inline uint8_t instruction_mod(const struct instruction *instruction)
{
	return instruction->modrm >> 6;
}

/* The ModRM field that tells the members of an opcode group apart. */
static inline uint8_t instruction_group(const struct instruction *instruction)
{
	return instruction->modrm >> 3 & 7;
}

uint64_t instruction_immediate(const struct instruction *instruction);
