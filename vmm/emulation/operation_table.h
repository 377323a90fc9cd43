/*
 * The tables behind operation_find(). A row stands for all opcodes of a range that have the same operands.
 */
#pragma once

#include "operation.h"

/* How a row's size follows from the instruction; values below SIZE_SPECIAL are bytes. */
enum size_rule {
	SIZE_SPECIAL = 0xF0,
	VL,      /* the vector's length */
	VL_2,    /* half of it, and so on */
	VL_4,
	VL_8,
	VW,      /* 4, or 8 with W */
	GW,      /* the same where W means a 64-bit general register, which other modes do not have */
	OPSIZE,  /* operand size of general registers */
	DDUP,    /* 8 bytes into 128 bits, otherwise VL */
	SCALAR,  /* by mandatory prefix: VL, VL, 4 (F3), 8 (F2) */
	SCALAR2, /* by mandatory prefix: 4 (none), 8 (66), 4, 8 */
	PACKED,  /* MMX form without prefix: 8, otherwise VL */
	SHIFT,   /* MMX form without prefix: 8, otherwise 16 */
	X87ENV,
	X87STATE,
	FXAREA,  /* 512 bytes */
};

enum row_bits {
	/* Mandatory prefixes. */
	NP = 1, P66 = 2, PF3 = 4, PF2 = 8, PANY = 15,
	/* Encodings. */
	L = 1 << ENCODING_LEGACY, V = 1 << ENCODING_VEX, E = 1 << ENCODING_EVEX,
	/* Forms. */
	MEM = 1, REG = 2, BOTH = 3,
	/* Access. */
	R = OPERATION_READ, W = OPERATION_WRITE, RW = R | W, NONE = 0,
	/* Notes. */
	INT = 1,       /* general registers only */
	MASKED = 2,    /* masked without EVEX */
	PACK_B = 8,    /* compress and expand: elements of 1 byte, or 2 with W */
	PACK_D = 16,   /* ... of 4 bytes, or 8 with W */
};

#define ANY_GROUP 0xFF

struct row {
	uint8_t first, last; /* opcodes */
	uint8_t prefixes;
	uint8_t encodings;
	uint8_t forms;
	uint8_t group; /* ModRM.reg, or ANY_GROUP */
	uint8_t size;
	uint8_t access;
	uint8_t notes;
};

struct system_row {
	enum opcode_map map;
	uint8_t opcode;
	uint8_t modrm_mask; /* 0: no ModRM */
	uint8_t modrm;
	uint8_t forms; /* with ModRM: MEM or REG */
	uint8_t prefixes;
	enum system_operation operation;
};

/* Memory form of an x87 instruction. */
struct x87_row {
	uint8_t size;
	uint8_t access; /* 0: there is no such instruction */
};

struct row_table {
	const struct row *rows;
	size_t count;
};

/* By opcode map: MAP_0F, MAP_0F38, MAP_0F3A. */
extern const struct row_table operation_rows[4];
/* By opcode - 0xD8 and ModRM.reg. */
extern const struct x87_row operation_x87[8][8];
extern const struct system_row operation_system[];
extern const size_t operation_system_count;
