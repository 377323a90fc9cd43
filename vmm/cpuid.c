#include "cpuid.h"

#include <asm/kvm_para.h>
#include <cpuid.h>
#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

#include "kvm.h"

#define ENTRIES 256
#define ENTRIES_ADDED 8

#define LEAF1_EDX_HTT (1u << 28)
#define LEAF1_ECX_TSC_DEADLINE (1u << 24)
#define LEAF1_ECX_HYPERVISOR (1u << 31)
#define LEAF6_EAX_ARAT (1u << 2)
#define LEAF80000001_ECX_CMP_LEGACY (1u << 1)

/*
 * Paravirtual features that are hypercalls (PV_UNHALT, PV_SEND_IPI, PV_SCHED_YIELD): hosts with APICv or AVIC do better
 * without them, and there are KVMs that offer them but do not take a VMCALL from every mode.
 */
#define KVM_FEATURES_BY_HYPERCALL (1u << KVM_FEATURE_PV_UNHALT | 1u << KVM_FEATURE_PV_SEND_IPI | \
				   1u << KVM_FEATURE_PV_SCHED_YIELD)

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == function &&
		    (!(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || entry->index == index))
			return entry;
	}
	return NULL;
}

const struct kvm_cpuid_entry2 *cpuid_find(const struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	return find((struct kvm_cpuid2 *)cpuid, function, index);
}

/* The entry, made if it is missing and there is room. */
static struct kvm_cpuid_entry2 *need(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *entry = find(cpuid, function, index);

	if (entry)
		return entry;
	if (cpuid->nent >= ENTRIES + ENTRIES_ADDED)
		return NULL;
	entry = &cpuid->entries[cpuid->nent++];
	*entry = (struct kvm_cpuid_entry2){ .function = function, .index = index,
					    .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX };
	return entry;
}

static struct kvm_cpuid2 *allocate(void)
{
	struct kvm_cpuid2 *cpuid = g_malloc0(sizeof *cpuid +
					     (ENTRIES + ENTRIES_ADDED) * sizeof(struct kvm_cpuid_entry2));

	cpuid->nent = ENTRIES;
	return cpuid;
}

/* KVM leaves the processor's name to us. */
static void set_brand_string(struct kvm_cpuid2 *cpuid)
{
	for (uint32_t function = 0x80000002; function <= 0x80000004; function++) {
		struct kvm_cpuid_entry2 *entry = find(cpuid, function, 0);

		if (entry && !(entry->eax | entry->ebx | entry->ecx | entry->edx))
			__get_cpuid(function, &entry->eax, &entry->ebx, &entry->ecx, &entry->edx);
	}
}

struct kvm_cpuid2 *cpuid_new(int device_fd, GError **error)
{
	struct kvm_cpuid2 *cpuid = allocate();
	struct kvm_cpuid_entry2 *entry;

	if (kvm_ioctl(device_fd, KVM_GET_SUPPORTED_CPUID, cpuid) < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			    _("KVM does not tell its CPU features: %s"), g_strerror(errno));
		g_free(cpuid);
		return NULL;
	}
	entry = find(cpuid, 1, 0);
	if (entry) {
		entry->ecx |= LEAF1_ECX_HYPERVISOR;
		if (kvm_ioctl(device_fd, KVM_CHECK_EXTENSION, (void *)KVM_CAP_TSC_DEADLINE_TIMER) > 0)
			entry->ecx |= LEAF1_ECX_TSC_DEADLINE;
		/* Guests divide by the CLFLUSH line size. */
		if (!(entry->ebx & 0xFF00))
			entry->ebx |= 8 << 8;
	}
	entry = find(cpuid, 6, 0);
	if (entry)
		entry->eax |= LEAF6_EAX_ARAT;
	entry = find(cpuid, KVM_CPUID_FEATURES, 0);
	if (entry)
		entry->eax &= ~KVM_FEATURES_BY_HYPERCALL;
	set_brand_string(cpuid);
	return cpuid;
}

struct kvm_cpuid2 *cpuid_copy(const struct kvm_cpuid2 *cpuid)
{
	struct kvm_cpuid2 *copy = allocate();

	copy->nent = cpuid->nent;
	memcpy(copy->entries, cpuid->entries, cpuid->nent * sizeof cpuid->entries[0]);
	return copy;
}

static unsigned bits_for(unsigned count)
{
	unsigned bits = 0;

	while ((1u << bits) < count)
		bits++;
	return bits;
}

/* Leaves 0xB and 0x1F: level 0 one thread a core, level 1 the cores of the socket. */
static void set_extended_topology(struct kvm_cpuid2 *cpuid, uint32_t function, unsigned index, unsigned count)
{
	for (uint32_t level = 0; level < 3; level++) {
		struct kvm_cpuid_entry2 *entry = need(cpuid, function, level);

		if (!entry)
			return;
		entry->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		entry->eax = level == 1 ? bits_for(count) : 0;
		entry->ebx = level == 0 ? 1 : level == 1 ? count : 0;
		entry->ecx = level | (level == 0 ? 1u << 8 : level == 1 ? 2u << 8 : 0);
		entry->edx = index;
	}
}

/* Leaf 4 (Intel) and 0x8000001D (AMD): caches of levels 1 and 2 are a core's own, level 3 is the socket's. */
static void set_cache_topology(struct kvm_cpuid2 *cpuid, uint32_t function, unsigned count)
{
	for (uint32_t index = 0; index < 8; index++) {
		struct kvm_cpuid_entry2 *entry = find(cpuid, function, index);
		unsigned sharing;

		if (!entry || !(entry->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || !(entry->eax & 0x1F))
			break;
		sharing = ((entry->eax >> 5) & 7) >= 3 ? count : 1;
		entry->eax &= 0x3FFF;
		entry->eax |= ((1u << bits_for(sharing)) - 1) << 14;
		if (function == 4)
			entry->eax |= ((1u << bits_for(count)) - 1) << 26;
	}
}

void cpuid_set_topology(struct kvm_cpuid2 *cpuid, unsigned index, unsigned count)
{
	struct kvm_cpuid_entry2 *entry = find(cpuid, 1, 0);

	if (entry) {
		entry->ebx = (entry->ebx & 0xFF00) | MIN(index, 255u) << 24 | MIN(1u << bits_for(count), 255u) << 16;
		if (count > 1)
			entry->edx |= LEAF1_EDX_HTT;
		else
			entry->edx &= ~LEAF1_EDX_HTT;
	}
	set_cache_topology(cpuid, 4, count);
	set_cache_topology(cpuid, 0x8000001D, count);
	entry = find(cpuid, 0, 0);
	if (entry && entry->eax >= 0xB)
		set_extended_topology(cpuid, 0xB, index, count);
	if (entry && entry->eax >= 0x1F)
		set_extended_topology(cpuid, 0x1F, index, count);
	entry = find(cpuid, 0x80000001, 0);
	if (entry && count > 1 && find(cpuid, 0x8000001D, 0))
		entry->ecx |= LEAF80000001_ECX_CMP_LEGACY;
	entry = find(cpuid, 0x80000008, 0);
	if (entry)
		entry->ecx = bits_for(count) << 12 | ((count - 1) & 0xFF);
	entry = find(cpuid, 0x8000001E, 0);
	if (entry) {
		entry->eax = index;
		entry->ebx = index & 0xFF;
		entry->ecx = 0;
	}
}

unsigned cpuid_physical_bits(const struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find(cpuid, 0x80000008, 0);

	return entry && (entry->eax & 0xFF) ? entry->eax & 0xFF : 36;
}
