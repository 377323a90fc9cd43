/*
 * Interrupts that KVM forgets to deliver.
 *
 * A KVM that runs real and 32-bit protected mode in its instruction emulator does not look for pending interrupts when
 * the guest sets RFLAGS.IF for a few instructions only, as boot loaders do between two BIOS calls: GRUB then hears no
 * key. So while a line stays asserted for long, vCPU 0 is kicked out of the guest again and again; where that finds
 * interrupts on, KVM is made to look. Nothing of this happens unless KVM's counters say that it emulates.
 */
#pragma once

#include <stdbool.h>

#include "clock.h"
#include "kvm_stats.h"

struct kvm;
struct vcpu;

struct irq_window {
	unsigned asserted; /* ISA lines that wait for the guest */
	int wanted;        /* atomic: vCPU 0 was kicked to look for interrupts */
	struct timer timer;
	unsigned misses;                /* looks in a row that found the guest running natively */
	unsigned kicks;                 /* that vCPU 0 noticed, since the line went up or the last miss */
	uint64_t burst;                 /* when they began after the last rest, on the guest's clock */
	struct kvm_stats_counters seen; /* KVM's, when they were read last */
	bool emulates;                  /* what they said */
};

/* With vm->lock: vCPU 0 exists. Before that, and after finish, lines are only noted. */
void irq_window_init(struct kvm *kvm);
void irq_window_finish(struct kvm *kvm);
/* With vm->lock, after each change of a line. */
void irq_window_line(struct kvm *kvm, unsigned gsi, bool level);
/* vCPU 0's thread, when it was kicked out of the guest. */
void irq_window_look(struct vcpu *vcpu);
