/*
 * Runs one guest instruction on the host's CPU, at ring 3, with the guest's general registers, arithmetic flags and
 * vector state loaded. A fault of the instruction is caught and reported; it never reaches the process.
 *
 * One per vCPU; native_run() is for one thread at a time. Signal handlers for SIGSEGV, SIGBUS, SIGILL and SIGFPE are
 * installed once for the process and pass on what is not theirs.
 */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "encode.h"

#define NATIVE_PAGE 4096

struct native;

struct native_fault {
	int trap; /* the CPU's vector */
	int signal;
	uint64_t address; /* with vector 14 */
};

/* NULL: the host grants no executable memory. */
struct native *native_new(void);
void native_free(struct native *native);

/* The guest's XSAVE image in standard format, image_size bytes, 64-byte aligned: what runs are given and leave. */
uint8_t *native_image(struct native *native);
size_t native_image_size(const struct native *native);

/*
 * Two pages to stand in for guest memory, with an inaccessible page on either side: a mask can be told from its
 * faults.
 */
uint8_t *native_bounce(struct native *native);

/* True: the address is one of the runner's code, which x87 state may have recorded. */
bool native_owns(const struct native *native, uint64_t address);

/*
 * Runs code on regs; pointer goes into the register that code names as the operand's base, which has the guest's
 * value again afterwards. Of the flags only the arithmetic ones pass. Without vector the vector state is neither
 * loaded nor saved. False: *fault tells; registers and flags are unchanged (the image may hold new sticky bits).
 */
bool native_run(struct native *native, const struct native_code *code, struct kvm_regs *regs, const void *pointer,
		bool vector, struct native_fault *fault);
