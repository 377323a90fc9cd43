/*
 * What the guest's CPUID instruction shows: the host's features as far as KVM supports them, one socket with one
 * core per vCPU.
 */
#pragma once

#include <glib.h>
#include <linux/kvm.h>
#include <stdint.h>

/* What KVM supports, the same for all vCPUs. Free with g_free(). */
struct kvm_cpuid2 *cpuid_new(int device_fd, GError **error);
/* Adapts the fields that differ between vCPUs or depend on their number. */
void cpuid_set_topology(struct kvm_cpuid2 *cpuid, unsigned index, unsigned count);
/* Copy, with room for what cpuid_set_topology() adds. */
struct kvm_cpuid2 *cpuid_copy(const struct kvm_cpuid2 *cpuid);
/* Width of guest-physical addresses. */
unsigned cpuid_physical_bits(const struct kvm_cpuid2 *cpuid);
const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index);
