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

enum {
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

#define ROW(first, last, prefixes, encodings, forms, size, access) \
	{ first, last, prefixes, encodings, forms, ANY_GROUP, size, access, 0 }
#define NOTED(first, last, prefixes, encodings, forms, size, access, notes) \
	{ first, last, prefixes, encodings, forms, ANY_GROUP, size, access, notes }
#define GROUP(opcode, group, prefixes, encodings, forms, size, access, notes) \
	{ opcode, opcode, prefixes, encodings, forms, group, size, access, notes }

/* Intel SDM volume 2, table A-3. The first row that matches counts. */
static const struct row rows_0f[] = {
	ROW(0x10, 0x10, PANY, L | V | E, BOTH, SCALAR, R),
	ROW(0x11, 0x11, PANY, L | V | E, BOTH, SCALAR, W),
	ROW(0x12, 0x12, NP | P66, L | V | E, BOTH, 8, R),
	ROW(0x12, 0x12, PF3, L | V | E, BOTH, VL, R),
	ROW(0x12, 0x12, PF2, L | V | E, BOTH, DDUP, R),
	ROW(0x13, 0x13, NP | P66, L | V | E, MEM, 8, W),
	ROW(0x14, 0x15, NP | P66, L | V | E, BOTH, VL, R),
	ROW(0x16, 0x16, NP | P66, L | V | E, BOTH, 8, R),
	ROW(0x16, 0x16, PF3, L | V | E, BOTH, VL, R),
	ROW(0x17, 0x17, NP | P66, L | V | E, MEM, 8, W),
	ROW(0x28, 0x28, NP | P66, L | V | E, BOTH, VL, R),
	ROW(0x29, 0x29, NP | P66, L | V | E, BOTH, VL, W),
	ROW(0x2A, 0x2A, NP | P66, L, BOTH, 8, R),
	ROW(0x2A, 0x2A, PF3 | PF2, L | V | E, BOTH, GW, R),
	ROW(0x2B, 0x2B, NP | P66, L | V | E, MEM, VL, W),
	ROW(0x2B, 0x2B, PF3 | PF2, L, MEM, SCALAR2, W),
	ROW(0x2C, 0x2D, NP, L, BOTH, 8, R),
	ROW(0x2C, 0x2D, P66, L, BOTH, 16, R),
	ROW(0x2C, 0x2D, PF3 | PF2, L | V | E, BOTH, SCALAR2, R),
	ROW(0x2E, 0x2F, NP | P66, L | V | E, BOTH, SCALAR2, R),
	ROW(0x41, 0x42, NP | P66, V, REG, 0, NONE),
	ROW(0x44, 0x47, NP | P66, V, REG, 0, NONE),
	ROW(0x4A, 0x4B, NP | P66, V, REG, 0, NONE),
	ROW(0x50, 0x50, NP | P66, L | V, REG, 0, NONE),
	ROW(0x51, 0x51, PANY, L | V | E, BOTH, SCALAR, R),
	ROW(0x52, 0x53, NP | PF3, L | V, BOTH, SCALAR, R),
	ROW(0x54, 0x57, NP | P66, L | V | E, BOTH, VL, R),
	ROW(0x58, 0x59, PANY, L | V | E, BOTH, SCALAR, R),
	ROW(0x5A, 0x5A, NP, L | V | E, BOTH, VL_2, R),
	ROW(0x5A, 0x5A, P66 | PF3 | PF2, L | V | E, BOTH, SCALAR, R),
	ROW(0x5B, 0x5B, NP | P66 | PF3, L | V | E, BOTH, VL, R),
	ROW(0x5C, 0x5F, PANY, L | V | E, BOTH, SCALAR, R),
	ROW(0x60, 0x62, NP, L, BOTH, 4, R),
	ROW(0x60, 0x62, P66, L | V | E, BOTH, VL, R),
	ROW(0x63, 0x6B, NP, L, BOTH, 8, R),
	ROW(0x63, 0x6D, P66, L | V | E, BOTH, VL, R),
	ROW(0x6E, 0x6E, NP, L, BOTH, GW, R),
	ROW(0x6E, 0x6E, P66, L | V | E, BOTH, GW, R),
	ROW(0x6F, 0x6F, NP, L, BOTH, 8, R),
	ROW(0x6F, 0x6F, P66 | PF3, L | V | E, BOTH, VL, R),
	ROW(0x6F, 0x6F, PF2, E, BOTH, VL, R),
	ROW(0x70, 0x70, NP, L, BOTH, 8, R),
	ROW(0x70, 0x70, P66 | PF3 | PF2, L | V | E, BOTH, VL, R),
	ROW(0x71, 0x73, NP, L, REG, 0, NONE),
	ROW(0x71, 0x73, P66, L | V, REG, 0, NONE),
	ROW(0x71, 0x73, P66, E, BOTH, VL, R),
	ROW(0x74, 0x76, NP, L, BOTH, 8, R),
	ROW(0x74, 0x76, P66, L | V | E, BOTH, VL, R),
	ROW(0x78, 0x79, P66 | PF2, L, REG, 0, NONE),
	ROW(0x78, 0x79, NP, E, BOTH, VL, R),
	ROW(0x78, 0x79, PF3 | PF2, E, BOTH, SCALAR2, R),
	ROW(0x7B, 0x7B, PF3 | PF2, E, BOTH, GW, R),
	ROW(0x7C, 0x7D, P66 | PF2, L | V, BOTH, VL, R),
	ROW(0x7E, 0x7E, NP, L, BOTH, GW, W),
	ROW(0x7E, 0x7E, P66, L | V | E, BOTH, GW, W),
	ROW(0x7E, 0x7E, PF3, L | V | E, BOTH, 8, R),
	ROW(0x7F, 0x7F, NP, L, BOTH, 8, W),
	ROW(0x7F, 0x7F, P66 | PF3, L | V | E, BOTH, VL, W),
	ROW(0x7F, 0x7F, PF2, E, BOTH, VL, W),
	GROUP(0xAE, 0, NP, L, MEM, FXAREA, W, 0),
	GROUP(0xAE, 1, NP, L, MEM, FXAREA, R, 0),
	GROUP(0xAE, 2, NP, L | V, MEM, 4, R, 0),
	GROUP(0xAE, 3, NP, L | V, MEM, 4, W, 0),
	GROUP(0xAE, 5, NP, L, REG, 0, NONE, INT),
	GROUP(0xAE, 6, NP, L, REG, 0, NONE, INT),
	GROUP(0xAE, 7, NP, L, REG, 0, NONE, INT),
	GROUP(0xAE, 6, P66, L, MEM, 1, R, INT),
	GROUP(0xAE, 7, NP | P66, L, MEM, 1, R, INT),
	NOTED(0xB8, 0xB8, PF3, L, BOTH, OPSIZE, R, INT),
	NOTED(0xBC, 0xBD, PF3, L, BOTH, OPSIZE, R, INT),
	ROW(0xC2, 0xC2, PANY, L | V | E, BOTH, SCALAR, R),
	NOTED(0xC3, 0xC3, NP, L, MEM, GW, W, INT),
	ROW(0xC4, 0xC4, NP, L, BOTH, 2, R),
	ROW(0xC4, 0xC4, P66, L | V | E, BOTH, 2, R),
	ROW(0xC5, 0xC5, NP, L, REG, 0, NONE),
	ROW(0xC5, 0xC5, P66, L | V | E, REG, 0, NONE),
	ROW(0xC6, 0xC6, NP | P66, L | V | E, BOTH, VL, R),
	GROUP(0xC7, 6, NP | P66, L, REG, 0, NONE, INT),
	GROUP(0xC7, 7, NP | P66, L, REG, 0, NONE, INT),
	ROW(0xD0, 0xD0, P66 | PF2, L | V, BOTH, VL, R),
	ROW(0xD1, 0xD3, NP, L, BOTH, 8, R),
	ROW(0xD1, 0xD3, P66, L | V | E, BOTH, 16, R),
	ROW(0xD4, 0xD5, NP, L, BOTH, 8, R),
	ROW(0xD4, 0xD5, P66, L | V | E, BOTH, VL, R),
	ROW(0xD6, 0xD6, P66, L | V | E, BOTH, 8, W),
	ROW(0xD6, 0xD6, PF3 | PF2, L, REG, 0, NONE),
	ROW(0xD7, 0xD7, NP, L, REG, 0, NONE),
	ROW(0xD7, 0xD7, P66, L | V, REG, 0, NONE),
	ROW(0xD8, 0xE0, NP | P66, L, BOTH, PACKED, R),
	ROW(0xD8, 0xE0, P66, V | E, BOTH, VL, R),
	ROW(0xE1, 0xE2, NP | P66, L, BOTH, SHIFT, R),
	ROW(0xE1, 0xE2, P66, V | E, BOTH, 16, R),
	ROW(0xE3, 0xE5, NP | P66, L, BOTH, PACKED, R),
	ROW(0xE3, 0xE5, P66, V | E, BOTH, VL, R),
	ROW(0xE6, 0xE6, PF3, L | V | E, BOTH, VL_2, R),
	ROW(0xE6, 0xE6, P66 | PF2, L | V | E, BOTH, VL, R),
	ROW(0xE7, 0xE7, NP | P66, L, MEM, PACKED, W),
	ROW(0xE7, 0xE7, P66, V | E, MEM, VL, W),
	ROW(0xE8, 0xEF, NP | P66, L, BOTH, PACKED, R),
	ROW(0xE8, 0xEF, P66, V | E, BOTH, VL, R),
	ROW(0xF0, 0xF0, PF2, L | V, MEM, VL, R),
	ROW(0xF1, 0xF3, NP | P66, L, BOTH, SHIFT, R),
	ROW(0xF1, 0xF3, P66, V | E, BOTH, 16, R),
	ROW(0xF4, 0xF6, NP | P66, L, BOTH, PACKED, R),
	ROW(0xF4, 0xF6, P66, V | E, BOTH, VL, R),
	ROW(0xF8, 0xFE, NP | P66, L, BOTH, PACKED, R),
	ROW(0xF8, 0xFE, P66, V | E, BOTH, VL, R),
};

/* Table A-4. */
static const struct row rows_0f38[] = {
	ROW(0x00, 0x0B, NP | P66, L, BOTH, PACKED, R),
	ROW(0x00, 0x0F, P66, V, BOTH, VL, R),
	ROW(0x00, 0x0D, P66, E, BOTH, VL, R),
	ROW(0x10, 0x10, P66, L, BOTH, 16, R),
	ROW(0x14, 0x15, P66, L, BOTH, 16, R),
	ROW(0x10, 0x12, P66, E, BOTH, VL, R),
	ROW(0x13, 0x13, P66, V | E, BOTH, VL_2, R),
	ROW(0x14, 0x15, P66, E, BOTH, VL, R),
	ROW(0x16, 0x16, P66, V | E, BOTH, VL, R),
	ROW(0x10, 0x10, PF3, E, BOTH, VL_2, W),
	ROW(0x11, 0x11, PF3, E, BOTH, VL_4, W),
	ROW(0x12, 0x12, PF3, E, BOTH, VL_8, W),
	ROW(0x13, 0x13, PF3, E, BOTH, VL_2, W),
	ROW(0x14, 0x14, PF3, E, BOTH, VL_4, W),
	ROW(0x15, 0x15, PF3, E, BOTH, VL_2, W),
	ROW(0x17, 0x17, P66, L | V, BOTH, VL, R),
	ROW(0x18, 0x18, P66, V | E, BOTH, 4, R),
	ROW(0x19, 0x19, P66, V | E, BOTH, 8, R),
	ROW(0x1A, 0x1A, P66, V | E, MEM, 16, R),
	ROW(0x1B, 0x1B, P66, E, MEM, 32, R),
	ROW(0x1C, 0x1E, NP | P66, L, BOTH, PACKED, R),
	ROW(0x1C, 0x1E, P66, V | E, BOTH, VL, R),
	ROW(0x1F, 0x1F, P66, E, BOTH, VL, R),
	ROW(0x20, 0x20, P66, L | V | E, BOTH, VL_2, R),
	ROW(0x21, 0x21, P66, L | V | E, BOTH, VL_4, R),
	ROW(0x22, 0x22, P66, L | V | E, BOTH, VL_8, R),
	ROW(0x23, 0x23, P66, L | V | E, BOTH, VL_2, R),
	ROW(0x24, 0x24, P66, L | V | E, BOTH, VL_4, R),
	ROW(0x25, 0x25, P66, L | V | E, BOTH, VL_2, R),
	ROW(0x20, 0x20, PF3, E, BOTH, VL_2, W),
	ROW(0x21, 0x21, PF3, E, BOTH, VL_4, W),
	ROW(0x22, 0x22, PF3, E, BOTH, VL_8, W),
	ROW(0x23, 0x23, PF3, E, BOTH, VL_2, W),
	ROW(0x24, 0x24, PF3, E, BOTH, VL_4, W),
	ROW(0x25, 0x25, PF3, E, BOTH, VL_2, W),
	ROW(0x26, 0x27, P66 | PF3, E, BOTH, VL, R),
	ROW(0x28, 0x29, P66, L | V | E, BOTH, VL, R),
	ROW(0x28, 0x2A, PF3, E, REG, 0, NONE),
	ROW(0x2A, 0x2A, P66, L | V | E, MEM, VL, R),
	ROW(0x2B, 0x2B, P66, L | V | E, BOTH, VL, R),
	NOTED(0x2C, 0x2D, P66, V, MEM, VL, R, MASKED),
	NOTED(0x2E, 0x2F, P66, V, MEM, VL, W, MASKED),
	ROW(0x2C, 0x2C, P66, E, BOTH, VL, R),
	ROW(0x2D, 0x2D, P66, E, BOTH, VW, R),
	ROW(0x30, 0x30, P66, L | V | E, BOTH, VL_2, R),
	ROW(0x31, 0x31, P66, L | V | E, BOTH, VL_4, R),
	ROW(0x32, 0x32, P66, L | V | E, BOTH, VL_8, R),
	ROW(0x33, 0x33, P66, L | V | E, BOTH, VL_2, R),
	ROW(0x34, 0x34, P66, L | V | E, BOTH, VL_4, R),
	ROW(0x35, 0x35, P66, L | V | E, BOTH, VL_2, R),
	ROW(0x30, 0x30, PF3, E, BOTH, VL_2, W),
	ROW(0x31, 0x31, PF3, E, BOTH, VL_4, W),
	ROW(0x32, 0x32, PF3, E, BOTH, VL_8, W),
	ROW(0x33, 0x33, PF3, E, BOTH, VL_2, W),
	ROW(0x34, 0x34, PF3, E, BOTH, VL_4, W),
	ROW(0x35, 0x35, PF3, E, BOTH, VL_2, W),
	ROW(0x36, 0x36, P66, V | E, BOTH, VL, R),
	ROW(0x37, 0x40, P66, L | V | E, BOTH, VL, R),
	ROW(0x38, 0x3A, PF3, E, REG, 0, NONE),
	ROW(0x41, 0x41, P66, L | V, BOTH, 16, R),
	ROW(0x42, 0x42, P66, E, BOTH, VL, R),
	ROW(0x43, 0x43, P66, E, BOTH, VW, R),
	ROW(0x44, 0x44, P66, E, BOTH, VL, R),
	ROW(0x45, 0x47, P66, V | E, BOTH, VL, R),
	ROW(0x4C, 0x4C, P66, E, BOTH, VL, R),
	ROW(0x4D, 0x4D, P66, E, BOTH, VW, R),
	ROW(0x4E, 0x4E, P66, E, BOTH, VL, R),
	ROW(0x4F, 0x4F, P66, E, BOTH, VW, R),
	ROW(0x50, 0x53, P66, V | E, BOTH, VL, R),
	ROW(0x50, 0x51, NP | PF3 | PF2, V, BOTH, VL, R),
	ROW(0x52, 0x52, PF3, E, BOTH, VL, R),
	ROW(0x54, 0x55, P66, E, BOTH, VL, R),
	ROW(0x58, 0x58, P66, V | E, BOTH, 4, R),
	ROW(0x59, 0x59, P66, V | E, BOTH, 8, R),
	ROW(0x5A, 0x5A, P66, V | E, MEM, 16, R),
	ROW(0x5B, 0x5B, P66, E, MEM, 32, R),
	NOTED(0x62, 0x62, P66, E, BOTH, VL, R, PACK_B),
	NOTED(0x63, 0x63, P66, E, BOTH, VL, W, PACK_B),
	ROW(0x64, 0x66, P66, E, BOTH, VL, R),
	ROW(0x68, 0x68, PF2, E, BOTH, VL, R),
	ROW(0x70, 0x73, P66, E, BOTH, VL, R),
	ROW(0x72, 0x72, PF3 | PF2, E, BOTH, VL, R),
	ROW(0x75, 0x77, P66, E, BOTH, VL, R),
	ROW(0x78, 0x78, P66, V | E, BOTH, 1, R),
	ROW(0x79, 0x79, P66, V | E, BOTH, 2, R),
	ROW(0x7A, 0x7C, P66, E, REG, 0, NONE),
	ROW(0x7D, 0x7F, P66, E, BOTH, VL, R),
	ROW(0x83, 0x83, P66, E, BOTH, VL, R),
	NOTED(0x88, 0x89, P66, E, BOTH, VL, R, PACK_D),
	NOTED(0x8A, 0x8B, P66, E, BOTH, VL, W, PACK_D),
	NOTED(0x8C, 0x8C, P66, V, MEM, VL, R, MASKED),
	ROW(0x8D, 0x8D, P66, E, BOTH, VL, R),
	NOTED(0x8E, 0x8E, P66, V, MEM, VL, W, MASKED),
	ROW(0x8F, 0x8F, P66, E, BOTH, VL, R),
	ROW(0x96, 0x98, P66, V | E, BOTH, VL, R),
	ROW(0x99, 0x99, P66, V | E, BOTH, VW, R),
	ROW(0x9A, 0x9A, P66, V | E, BOTH, VL, R),
	ROW(0x9B, 0x9B, P66, V | E, BOTH, VW, R),
	ROW(0x9C, 0x9C, P66, V | E, BOTH, VL, R),
	ROW(0x9D, 0x9D, P66, V | E, BOTH, VW, R),
	ROW(0x9E, 0x9E, P66, V | E, BOTH, VL, R),
	ROW(0x9F, 0x9F, P66, V | E, BOTH, VW, R),
	ROW(0xA6, 0xA8, P66, V | E, BOTH, VL, R),
	ROW(0xA9, 0xA9, P66, V | E, BOTH, VW, R),
	ROW(0xAA, 0xAA, P66, V | E, BOTH, VL, R),
	ROW(0xAB, 0xAB, P66, V | E, BOTH, VW, R),
	ROW(0xAC, 0xAC, P66, V | E, BOTH, VL, R),
	ROW(0xAD, 0xAD, P66, V | E, BOTH, VW, R),
	ROW(0xAE, 0xAE, P66, V | E, BOTH, VL, R),
	ROW(0xAF, 0xAF, P66, V | E, BOTH, VW, R),
	ROW(0xB4, 0xB8, P66, V | E, BOTH, VL, R),
	ROW(0xB9, 0xB9, P66, V | E, BOTH, VW, R),
	ROW(0xBA, 0xBA, P66, V | E, BOTH, VL, R),
	ROW(0xBB, 0xBB, P66, V | E, BOTH, VW, R),
	ROW(0xBC, 0xBC, P66, V | E, BOTH, VL, R),
	ROW(0xBD, 0xBD, P66, V | E, BOTH, VW, R),
	ROW(0xBE, 0xBE, P66, V | E, BOTH, VL, R),
	ROW(0xBF, 0xBF, P66, V | E, BOTH, VW, R),
	ROW(0xC4, 0xC4, P66, E, BOTH, VL, R),
	ROW(0xC8, 0xCD, NP, L, BOTH, 16, R),
	ROW(0xCF, 0xCF, P66, L | V | E, BOTH, VL, R),
	ROW(0xDB, 0xDB, P66, L | V, BOTH, 16, R),
	ROW(0xDC, 0xDF, P66, L | V | E, BOTH, VL, R),
	NOTED(0xF0, 0xF0, NP | P66, L, MEM, OPSIZE, R, INT),
	NOTED(0xF1, 0xF1, NP | P66, L, MEM, OPSIZE, W, INT),
	NOTED(0xF0, 0xF0, PF2, L, BOTH, 1, R, INT),
	NOTED(0xF1, 0xF1, PF2, L, BOTH, OPSIZE, R, INT),
	NOTED(0xF2, 0xF2, NP, V, BOTH, GW, R, INT),
	GROUP(0xF3, 1, NP, V, BOTH, GW, R, INT),
	GROUP(0xF3, 2, NP, V, BOTH, GW, R, INT),
	GROUP(0xF3, 3, NP, V, BOTH, GW, R, INT),
	NOTED(0xF5, 0xF5, NP | PF3 | PF2, V, BOTH, GW, R, INT),
	NOTED(0xF6, 0xF6, PF2, V, BOTH, GW, R, INT),
	NOTED(0xF6, 0xF6, P66 | PF3, L, BOTH, GW, R, INT),
	NOTED(0xF7, 0xF7, PANY, V, BOTH, GW, R, INT),
	NOTED(0xF9, 0xF9, NP, L, MEM, GW, W, INT),
};

/* Table A-5. */
static const struct row rows_0f3a[] = {
	ROW(0x00, 0x02, P66, V, BOTH, VL, R),
	ROW(0x00, 0x01, P66, E, BOTH, VL, R),
	ROW(0x03, 0x03, P66, E, BOTH, VL, R),
	ROW(0x04, 0x05, P66, V | E, BOTH, VL, R),
	ROW(0x06, 0x06, P66, V, BOTH, VL, R),
	ROW(0x08, 0x09, P66, L | V | E, BOTH, VL, R),
	ROW(0x0A, 0x0A, P66, L | V | E, BOTH, 4, R),
	ROW(0x0B, 0x0B, P66, L | V | E, BOTH, 8, R),
	ROW(0x0C, 0x0E, P66, L | V, BOTH, VL, R),
	ROW(0x0F, 0x0F, NP | P66, L, BOTH, PACKED, R),
	ROW(0x0F, 0x0F, P66, V | E, BOTH, VL, R),
	ROW(0x14, 0x14, P66, L | V | E, BOTH, 1, W),
	ROW(0x15, 0x15, P66, L | V | E, BOTH, 2, W),
	ROW(0x16, 0x16, P66, L | V | E, BOTH, GW, W),
	ROW(0x17, 0x17, P66, L | V | E, BOTH, 4, W),
	ROW(0x18, 0x18, P66, V | E, BOTH, 16, R),
	ROW(0x19, 0x19, P66, V | E, BOTH, 16, W),
	ROW(0x1A, 0x1A, P66, E, BOTH, 32, R),
	ROW(0x1B, 0x1B, P66, E, BOTH, 32, W),
	ROW(0x1D, 0x1D, P66, V | E, BOTH, VL_2, W),
	ROW(0x1E, 0x1F, P66, E, BOTH, VL, R),
	ROW(0x20, 0x20, P66, L | V | E, BOTH, 1, R),
	ROW(0x21, 0x21, P66, L | V | E, BOTH, 4, R),
	ROW(0x22, 0x22, P66, L | V | E, BOTH, GW, R),
	ROW(0x23, 0x23, P66, E, BOTH, VL, R),
	ROW(0x25, 0x26, P66, E, BOTH, VL, R),
	ROW(0x27, 0x27, P66, E, BOTH, VW, R),
	ROW(0x30, 0x33, P66, V, REG, 0, NONE),
	ROW(0x38, 0x38, P66, V | E, BOTH, 16, R),
	ROW(0x39, 0x39, P66, V | E, BOTH, 16, W),
	ROW(0x3A, 0x3A, P66, E, BOTH, 32, R),
	ROW(0x3B, 0x3B, P66, E, BOTH, 32, W),
	ROW(0x3E, 0x3F, P66, E, BOTH, VL, R),
	ROW(0x40, 0x40, P66, L | V, BOTH, VL, R),
	ROW(0x41, 0x41, P66, L | V, BOTH, 16, R),
	ROW(0x42, 0x42, P66, L | V | E, BOTH, VL, R),
	ROW(0x43, 0x43, P66, E, BOTH, VL, R),
	ROW(0x44, 0x44, P66, L | V | E, BOTH, VL, R),
	ROW(0x46, 0x46, P66, V, BOTH, VL, R),
	ROW(0x4A, 0x4C, P66, V, BOTH, VL, R),
	ROW(0x50, 0x50, P66, E, BOTH, VL, R),
	ROW(0x51, 0x51, P66, E, BOTH, VW, R),
	ROW(0x54, 0x54, P66, E, BOTH, VL, R),
	ROW(0x55, 0x55, P66, E, BOTH, VW, R),
	ROW(0x56, 0x56, P66, E, BOTH, VL, R),
	ROW(0x57, 0x57, P66, E, BOTH, VW, R),
	ROW(0x60, 0x63, P66, L | V, BOTH, 16, R),
	ROW(0x66, 0x66, P66, E, BOTH, VL, R),
	ROW(0x67, 0x67, P66, E, BOTH, VW, R),
	ROW(0x70, 0x73, P66, E, BOTH, VL, R),
	ROW(0xCC, 0xCC, NP, L, BOTH, 16, R),
	ROW(0xCE, 0xCF, P66, L | V | E, BOTH, VL, R),
	ROW(0xDF, 0xDF, P66, L | V, BOTH, 16, R),
	NOTED(0xF0, 0xF0, PF2, V, BOTH, GW, R, INT),
};

/* Memory forms of D8-DF, by opcode and ModRM.reg (table A-7 and on). */
static const struct {
	uint8_t size;
	uint8_t access;
} x87[8][8] = {
	{ { 4, R }, { 4, R }, { 4, R }, { 4, R }, { 4, R }, { 4, R }, { 4, R }, { 4, R } },
	{ { 4, R }, { 0, 0 }, { 4, W }, { 4, W }, { X87ENV, R }, { 2, R }, { X87ENV, W }, { 2, W } },
	{ { 4, R }, { 4, R }, { 4, R }, { 4, R }, { 4, R }, { 4, R }, { 4, R }, { 4, R } },
	{ { 4, R }, { 4, W }, { 4, W }, { 4, W }, { 0, 0 }, { 10, R }, { 0, 0 }, { 10, W } },
	{ { 8, R }, { 8, R }, { 8, R }, { 8, R }, { 8, R }, { 8, R }, { 8, R }, { 8, R } },
	{ { 8, R }, { 8, W }, { 8, W }, { 8, W }, { X87STATE, R }, { 0, 0 }, { X87STATE, W }, { 2, W } },
	{ { 2, R }, { 2, R }, { 2, R }, { 2, R }, { 2, R }, { 2, R }, { 2, R }, { 2, R } },
	{ { 2, R }, { 2, W }, { 2, W }, { 2, W }, { 10, R }, { 8, R }, { 10, W }, { 8, W } },
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

static const struct system_row system_rows[] = {
	{ MAP_ONE_BYTE, 0xCC, 0, 0, 0, PANY, SYSTEM_INT3 },
	{ MAP_ONE_BYTE, 0xCD, 0, 0, 0, PANY, SYSTEM_INT },
	{ MAP_ONE_BYTE, 0xCE, 0, 0, 0, PANY, SYSTEM_INTO },
	{ MAP_ONE_BYTE, 0xCF, 0, 0, 0, PANY, SYSTEM_IRET },
	{ MAP_ONE_BYTE, 0xF1, 0, 0, 0, PANY, SYSTEM_ICEBP },
	{ MAP_0F, 0x08, 0, 0, 0, PANY, SYSTEM_CACHE },
	{ MAP_0F, 0x09, 0, 0, 0, PANY, SYSTEM_CACHE },
	{ MAP_0F, 0x01, 0xFF, 0xCA, REG, NP, SYSTEM_CLAC },
	{ MAP_0F, 0x01, 0xFF, 0xCB, REG, NP, SYSTEM_STAC },
	{ MAP_0F, 0x01, 0xFF, 0xD0, REG, NP, SYSTEM_XGETBV },
	{ MAP_0F, 0x01, 0xFF, 0xD1, REG, NP, SYSTEM_XSETBV },
	{ MAP_0F, 0x01, 0xFF, 0xF8, REG, NP, SYSTEM_SWAPGS },
	{ MAP_0F, 0x01, 0xFF, 0xF9, REG, NP, SYSTEM_RDTSCP },
	{ MAP_0F, 0xAE, 0x38, 0x00, REG, PF3, SYSTEM_RDFSBASE },
	{ MAP_0F, 0xAE, 0x38, 0x08, REG, PF3, SYSTEM_RDGSBASE },
	{ MAP_0F, 0xAE, 0x38, 0x10, REG, PF3, SYSTEM_WRFSBASE },
	{ MAP_0F, 0xAE, 0x38, 0x18, REG, PF3, SYSTEM_WRGSBASE },
	{ MAP_0F, 0xAE, 0x38, 0x20, MEM, NP, SYSTEM_XSAVE },
	{ MAP_0F, 0xAE, 0x38, 0x28, MEM, NP, SYSTEM_XRSTOR },
	{ MAP_0F, 0xAE, 0x38, 0x30, MEM, NP, SYSTEM_XSAVEOPT },
	{ MAP_0F, 0xC7, 0x38, 0x18, MEM, NP, SYSTEM_XRSTORS },
	{ MAP_0F, 0xC7, 0x38, 0x20, MEM, NP, SYSTEM_XSAVEC },
	{ MAP_0F, 0xC7, 0x38, 0x28, MEM, NP, SYSTEM_XSAVES },
	{ MAP_0F, 0xC7, 0x38, 0x38, REG, PF3, SYSTEM_RDPID },
	{ MAP_0F38, 0x82, 0x00, 0x00, MEM, P66, SYSTEM_INVPCID },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

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
	for (size_t i = 0; i < COUNT(system_rows); i++) {
		const struct system_row *row = &system_rows[i];

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

static void find_row(const struct instruction *instruction, const struct row *rows, size_t count,
		     struct operation *operation)
{
	const struct row *row = rows;

	while (row < rows + count && !row_matches(row, instruction))
		row++;
	if (row == rows + count)
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
	operation->size = size_of(instruction, x87[opcode][group].size);
	operation->access = x87[opcode][group].access;
	operation->by_operand_size = x87[opcode][group].size == X87ENV || x87[opcode][group].size == X87STATE;
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
	    (opcode == 0x01 && instruction->modrm >= 0xD8 && instruction->modrm <= 0xDF && instruction->modrm != 0xD9) ||
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
	else if (instruction->map == MAP_0F)
		find_row(instruction, rows_0f, COUNT(rows_0f), &operation);
	else if (instruction->map == MAP_0F38)
		find_row(instruction, rows_0f38, COUNT(rows_0f38), &operation);
	else if (instruction->map == MAP_0F3A)
		find_row(instruction, rows_0f3a, COUNT(rows_0f3a), &operation);
	return operation;
}
