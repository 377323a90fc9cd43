/*
 * One virtual CPU: a KVM vCPU, its thread, and the dispatch of its exits.
 */
#pragma once

#include <glib.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdint.h>

#include "emulation/emulation.h"

struct kvm;
struct machine;
struct vm;

#define VCPU_EXIT_REASONS 64

struct vcpu {
	struct vm *vm;
	struct kvm *kvm;
	unsigned index; /* also the APIC id */
	int fd;
	struct kvm_run *run;
	size_t run_size;
	GThread *thread;
	int tid;
	/* With vm->lock: */
	bool parked;       /* outside KVM_RUN and staying there */
	uint64_t exits[VCPU_EXIT_REASONS];
	uint64_t completed_instructions; /* failed emulations completed in user space */
	struct emulation emulation;
};
