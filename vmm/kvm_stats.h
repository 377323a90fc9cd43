/*
 * KVM's own counters of one vCPU (Documentation/virt/kvm/api.rst, 4.132 KVM_GET_STATS_FD). Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct kvm_stats {
	int fd;                   /* -1: this KVM tells nothing */
	int64_t exits, emulated; /* where in the file; -1: unknown */
};

/* How a vCPU has spent its time. */
struct kvm_stats_counters {
	uint64_t exits;    /* from the guest */
	uint64_t emulated; /* instructions run by KVM's emulator */
};

void kvm_stats_init(struct kvm_stats *stats, int vcpu_fd);
void kvm_stats_finish(struct kvm_stats *stats);
/* False: not known. */
bool kvm_stats_read(const struct kvm_stats *stats, struct kvm_stats_counters *counters);
