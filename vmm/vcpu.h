/*
 * One virtual CPU: a KVM vCPU, its thread, and the dispatch of its exits.
 */
#pragma once

#include <glib.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "emulation/emulation.h"
#include "kvm_stats.h"
#include "log.h"

struct kvm;
struct vm;

#define VCPU_EXIT_REASONS 64

/* Everything that a reset puts back; read once when the vCPU is made. */
struct vcpu_initial {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave *xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	struct kvm_vcpu_events events;
	struct kvm_msrs *msrs;
};

struct vcpu {
	struct vm *vm;
	struct kvm *kvm;
	unsigned index; /* also the APIC id */
	int fd;
	struct kvm_run *run;
	GThread *thread;
	pthread_t pthread; /* valid while started */
	pid_t tid;
	bool started;
	struct vcpu_initial initial;
	struct kvm_stats stats;
	/* Its own thread's: */
	uint64_t exits[VCPU_EXIT_REASONS];
	uint64_t completed_instructions; /* failed emulations completed in user space */
	GHashTable *unknown_msrs;        /* those already logged */
	struct emulation emulation;
	/* With vm->lock: */
	bool parked; /* outside KVM_RUN and staying there until resumed */
};

/* Time that the vCPU's thread has spent, in ns. */
struct vcpu_times {
	uint64_t guest, user, kernel;
};

/* Errors: KVM's, with what could not be done. */
struct vcpu *vcpu_new(struct kvm *kvm, unsigned index, unsigned count, GError **error);
/* The thread has been joined. */
void vcpu_free(struct vcpu *vcpu);
/* Starts the thread, parked. */
void vcpu_start(struct vcpu *vcpu);
void vcpu_join(struct vcpu *vcpu);
/* Any thread: makes it leave KVM_RUN soon, or not enter. */
void vcpu_kick(struct vcpu *vcpu);
/* Parked only. */
void vcpu_reset(struct vcpu *vcpu);
void vcpu_set_registers(struct vcpu *vcpu, const struct kvm_regs *regs, const struct kvm_sregs *sregs);
/* Any thread. */
void vcpu_times(const struct vcpu *vcpu, struct vcpu_times *times);
/* KVM_EXIT_* as a lower-case word, or NULL. */
const char *vcpu_exit_name(unsigned reason);
