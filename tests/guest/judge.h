/*
 * Runs a snippet of code in the test process itself: what its result ought to be.
 */
#pragma once

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

#define JUDGE_IMAGE 4096

/* Runs code on regs (RIP and the like excepted) and the XSAVE image, both changed by it. Not reentrant. */
void judge_run(const uint8_t *code, size_t size, struct kvm_regs *regs, uint8_t image[JUDGE_IMAGE],
	       uint64_t components);
