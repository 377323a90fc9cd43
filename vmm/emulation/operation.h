/*
 * What an instruction needs to be completed: who does it, how many bytes of memory it reads or writes, and which
 * processor state must be enabled. Only what is listed is ever run natively; the list holds no control flow, no
 * system call, nothing privileged and nothing that touches segments.
 */
#pragma once

#include "decode.h"

enum operation_class {
	OPERATION_UNKNOWN, /* not listed: the completion is refused */
	OPERATION_INVALID, /* #UD */
	OPERATION_INTEGER, /* native; general registers and flags */
	OPERATION_X87,     /* native; x87 state */
	OPERATION_WAIT,    /* native; x87 state, #NM only if CR0.MP says so */
	OPERATION_MMX,
	OPERATION_SSE,
	OPERATION_AVX,    /* VEX */
	OPERATION_AVX512, /* EVEX, or opmask registers */
	OPERATION_SYSTEM, /* by hand: system.c, iret.c, descriptor.c, xsave.c */
};

enum operation_access {
	OPERATION_READ = 1,
	OPERATION_WRITE = 2,
};

struct operation {
	enum operation_class class;
	uint16_t size;   /* of the memory operand in bytes; 0: the operand is an address, nothing is accessed */
	uint8_t access;  /* of the memory operand: OPERATION_READ, OPERATION_WRITE */
	uint8_t element; /* unit of EVEX's compressed displacement */
	bool masked;     /* a mask may keep parts of the memory operand from being accessed */
	bool lockable;
	bool general;         /* VEX.W means a 64-bit general register */
	bool by_operand_size; /* prefix 66 means 16-bit operands (or the opposite) and nothing else */
	int system;        /* OPERATION_SYSTEM: enum system_operation */
};

enum system_operation {
	SYSTEM_INT3,
	SYSTEM_INT,
	SYSTEM_INTO,
	SYSTEM_IRET,
	SYSTEM_ICEBP,
	SYSTEM_CLAC,
	SYSTEM_STAC,
	SYSTEM_SWAPGS,
	SYSTEM_XGETBV,
	SYSTEM_XSETBV,
	SYSTEM_INVPCID,
	SYSTEM_RDTSCP,
	SYSTEM_RDFSBASE,
	SYSTEM_RDGSBASE,
	SYSTEM_WRFSBASE,
	SYSTEM_WRGSBASE,
	SYSTEM_RDPID,
	SYSTEM_RDPKRU,
	SYSTEM_WRPKRU,
	SYSTEM_SERIALIZE,
	SYSTEM_CACHE, /* invd, wbinvd, wbnoinvd: caches are coherent, nothing to do */
	SYSTEM_LAR, /* from here on: descriptor.c */
	SYSTEM_LSL,
	SYSTEM_VERR,
	SYSTEM_VERW,
	SYSTEM_XSAVE, /* from here on: xsave.c */
	SYSTEM_XSAVEOPT,
	SYSTEM_XSAVEC,
	SYSTEM_XSAVES,
	SYSTEM_XRSTOR,
	SYSTEM_XRSTORS,
};

struct operation operation_find(const struct instruction *instruction);
