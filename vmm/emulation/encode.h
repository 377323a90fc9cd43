/*
 * Rewrites a guest instruction so that the host can run it: the memory operand becomes [base], without segment, index
 * or displacement; prefixes become those that mean the same in 64-bit mode.
 */
#pragma once

#include "operation.h"

struct native_code {
	uint8_t code[16];
	unsigned length;
	int base;           /* number of the register that must hold the operand's address, or -1 */
	bool stack_pointer; /* the instruction may read or write RSP itself */
};

void native_encode(struct native_code *out, const struct instruction *instruction, const struct operation *operation);
