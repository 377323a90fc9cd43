/* Code for the guest of test_emulation.c, assembled into the test program and copied into the guest. */
#pragma once

#include <stdint.h>

#define GUEST_PORT 0x11    /* written when a snippet has ended, or an exception was recorded */
#define GUEST_RECORD 0x13000
#define GUEST_VECTORS 96
#define GUEST_HANDLER_SIZE 16

/* What the exception handlers leave at GUEST_RECORD. */
struct exception_record {
	uint64_t vector, error, rip, rflags, cr2, dr6;
	uint64_t taken;
};

/* What a snippet needs of the CPU or its operand at (%rsi). Plain numbers: the assembler sees them too. */
#define ANY 1     /* the operand need not be aligned */
#define AVX512 2
#define AVX 4
#define SSE4A 16
#define SHA 32
#define MOVBE 8   /* KVM looks at the guest's CPUID */
#define BIG 64    /* 4 KiB at (%rsi), RAM only */
#define FP 128    /* the operand holds floating-point numbers */

struct snippet {
	const char *text;
	const uint8_t *code;
	const uint8_t *end;
	uint64_t flags;
};

/* Ends with an entry without text. */
extern const struct snippet guest_snippets[];
extern const uint8_t guest_handlers[], guest_handlers_end[];
/* Adds 1 to the 128-bit number at (%rsi), %rdi times, with lock cmpxchg16b. */
extern const uint8_t guest_count[], guest_count_end[];
