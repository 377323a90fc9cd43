#include "walk.h"

#include <string.h>

#include "../vm.h"
#include "control_bits.h"

#define ENTRY_PRESENT (1ull << 0)
#define ENTRY_WRITABLE (1ull << 1)
#define ENTRY_USER (1ull << 2)
#define ENTRY_ACCESSED (1ull << 5)
#define ENTRY_DIRTY (1ull << 6)
#define ENTRY_LARGE (1ull << 7)
#define ENTRY_NX (1ull << 63)
#define ENTRY_ADDRESS 0x000FFFFFFFFFF000ull
#define MAX_LEVELS 5
/* How often another vCPU may change an entry under our hands before the walk takes what it sees. */
#define MAX_ATTEMPTS 16

/* One paging structure entry on the way, for its accessed bit. */
struct step {
	uint64_t gpa;
	uint64_t entry;
};

struct walker {
	struct vm *vm;
	const struct paging *paging;
	uint64_t linear;
	enum walk_access access;
	unsigned entry_size; /* 4 or 8 */
	struct step steps[MAX_LEVELS];
	unsigned count;
	uint64_t gpa;
	uint32_t error;
};

/* Page tables may lie in a firmware image, which is no RAM. */
static bool read_slot(struct vm *vm, uint64_t gpa, void *entry, unsigned size)
{
	bool found = false;

	g_mutex_lock(&vm->lock);
	for (unsigned i = 0; i < MEMORY_SLOTS && !found; i++) {
		const struct memory_slot *slot = &vm->memory.slots[i];

		if (!slot->size || gpa < slot->gpa || gpa - slot->gpa > slot->size - size)
			continue;
		memcpy(entry, slot->host + (gpa - slot->gpa), size);
		found = true;
	}
	g_mutex_unlock(&vm->lock);
	return found;
}

/* What is not memory reads as zero: not present. */
static uint64_t read_entry(struct walker *walker, uint64_t gpa)
{
	void *ram = memory_ptr(&walker->vm->memory, gpa, walker->entry_size);
	uint64_t entry = 0;

	if (!ram)
		return read_slot(walker->vm, gpa, &entry, walker->entry_size) ? entry : 0;
	if (walker->entry_size == 8)
		return __atomic_load_n((uint64_t *)ram, __ATOMIC_ACQUIRE);
	return __atomic_load_n((uint32_t *)ram, __ATOMIC_ACQUIRE);
}

/* False: the entry is no longer what the walk saw. */
static bool set_bits(struct walker *walker, const struct step *step, uint64_t bits)
{
	void *ram = memory_ptr(&walker->vm->memory, step->gpa, walker->entry_size);
	uint64_t old = step->entry;
	uint32_t old32 = (uint32_t)old;

	if (!ram || (old & bits) == bits)
		return true;
	if (walker->entry_size == 8)
		return __atomic_compare_exchange_n((uint64_t *)ram, &old, old | bits, false, __ATOMIC_SEQ_CST,
						   __ATOMIC_SEQ_CST);
	return __atomic_compare_exchange_n((uint32_t *)ram, &old32, old32 | (uint32_t)bits, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static bool fault(struct walker *walker, uint32_t error)
{
	const struct paging *paging = walker->paging;
	bool fetch_known = paging->efer & EFER_NX || paging->cr4 & CR4_SMEP;

	walker->error = error | (walker->access & PAGE_FAULT_WRITE) | (paging->user ? PAGE_FAULT_USER : 0);
	if (walker->access == WALK_FETCH && fetch_known)
		walker->error |= PAGE_FAULT_FETCH;
	return false;
}

static bool reserved(const struct walker *walker, uint64_t entry, uint64_t bits)
{
	if (walker->entry_size == 8 && !(walker->paging->efer & EFER_NX))
		bits |= ENTRY_NX;
	return entry & bits;
}

/* Protection keys (4.6.2) guard user pages against data accesses. */
static bool key_allows(const struct walker *walker, uint64_t leaf)
{
	const struct paging *paging = walker->paging;
	unsigned key = leaf >> 59 & 15;
	bool write = walker->access == WALK_WRITE;

	if (!(paging->cr4 & CR4_PKE) || !(paging->efer & EFER_LMA) || walker->access == WALK_FETCH)
		return true;
	if (paging->pkru >> (2 * key) & 1)
		return false;
	return !(write && paging->pkru >> (2 * key) & 2 && (paging->user || paging->cr0 & CR0_WP));
}

/* Access rights (4.6.1); rights and no_execute are those of all levels together. */
static bool check_rights(struct walker *walker, uint64_t rights, bool no_execute, uint64_t leaf)
{
	const struct paging *paging = walker->paging;
	bool user_page = rights & ENTRY_USER, writable = rights & ENTRY_WRITABLE;
	bool allowed = true;

	if (paging->user && !user_page)
		allowed = false;
	if (walker->access == WALK_WRITE && !writable && (paging->user || paging->cr0 & CR0_WP))
		allowed = false;
	if (walker->access == WALK_FETCH && (no_execute || (!paging->user && user_page && paging->cr4 & CR4_SMEP)))
		allowed = false;
	if (walker->access != WALK_FETCH && !paging->user && user_page && paging->cr4 & CR4_SMAP &&
	    !paging->alignment)
		allowed = false;
	if (!allowed)
		return fault(walker, PAGE_FAULT_PRESENT);
	if (user_page && !key_allows(walker, leaf))
		return fault(walker, PAGE_FAULT_PRESENT | PAGE_FAULT_KEY);
	return true;
}

/* 32-bit pages of 4 MiB hold address bits 39-32 in bits 20-13 (PSE-36). */
static uint64_t leaf_address(const struct walker *walker, uint64_t entry, unsigned shift)
{
	uint64_t within = (1ull << shift) - 1;

	if (walker->entry_size == 4 && shift == 22)
		return (entry & 0xFFC00000) | (entry >> 13 & 0xFF) << 32 | (walker->linear & within);
	return (entry & ENTRY_ADDRESS & ~within) | (walker->linear & within);
}

static bool large_allowed(const struct walker *walker, unsigned shift)
{
	if (walker->entry_size == 4)
		return walker->paging->cr4 & CR4_PSE;
	return shift == 21 || shift == 30;
}

/*
 * Walks levels tables down from table; index_bits each. The levels' rights are ANDed, their no-execute bits ORed.
 * Bits above the physical address width are not checked: such addresses are simply no memory.
 */
static bool descend(struct walker *walker, uint64_t table, unsigned levels)
{
	unsigned index_bits = walker->entry_size == 8 ? 9 : 10;
	uint64_t rights = ENTRY_USER | ENTRY_WRITABLE;
	bool no_execute = false;

	walker->count = 0;
	for (unsigned level = levels; level > 0; level--) {
		unsigned shift = 12 + (level - 1) * index_bits;
		uint64_t index = walker->linear >> shift & ((1u << index_bits) - 1);
		uint64_t gpa = table + index * walker->entry_size;
		uint64_t entry = read_entry(walker, gpa);
		bool large = level > 1 && entry & ENTRY_LARGE;

		if (!(entry & ENTRY_PRESENT))
			return fault(walker, 0);
		if (walker->entry_size == 4 && large && !large_allowed(walker, shift))
			large = false;
		if (reserved(walker, entry, large && !large_allowed(walker, shift) ? ENTRY_LARGE : 0))
			return fault(walker, PAGE_FAULT_PRESENT | PAGE_FAULT_RESERVED);
		walker->steps[walker->count++] = (struct step){ gpa, entry };
		rights &= entry;
		no_execute |= walker->entry_size == 8 && entry & ENTRY_NX;
		if (large || level == 1) {
			walker->gpa = leaf_address(walker, entry, shift);
			return check_rights(walker, rights, no_execute, entry);
		}
		table = entry & (walker->entry_size == 8 ? ENTRY_ADDRESS : 0xFFFFF000);
	}
	return false;
}

/* PAE's four top entries have no rights and no accessed bit (4.4.1). */
static bool descend_pae(struct walker *walker)
{
	uint64_t gpa = (walker->paging->cr3 & 0xFFFFFFE0) + (walker->linear >> 30 & 3) * 8;
	uint64_t entry = read_entry(walker, gpa);

	if (!(entry & ENTRY_PRESENT))
		return fault(walker, 0);
	return descend(walker, entry & ENTRY_ADDRESS, 2);
}

static bool descend_any(struct walker *walker)
{
	const struct paging *paging = walker->paging;

	walker->entry_size = paging->cr4 & CR4_PAE ? 8 : 4;
	if (paging->efer & EFER_LMA)
		return descend(walker, paging->cr3 & ENTRY_ADDRESS, paging->cr4 & CR4_LA57 ? 5 : 4);
	if (paging->cr4 & CR4_PAE)
		return descend_pae(walker);
	return descend(walker, paging->cr3 & 0xFFFFF000, 2);
}

/* False: an entry changed meanwhile, so the walk must be done again. */
static bool set_accessed(struct walker *walker)
{
	for (unsigned i = 0; i < walker->count; i++) {
		bool leaf = i == walker->count - 1;
		uint64_t bits = ENTRY_ACCESSED | (leaf && walker->access == WALK_WRITE ? ENTRY_DIRTY : 0);

		if (!set_bits(walker, &walker->steps[i], bits))
			return false;
	}
	return true;
}

bool walk(struct vm *vm, const struct paging *paging, uint64_t linear, enum walk_access access, uint64_t *gpa,
	  uint32_t *error)
{
	struct walker walker = { .vm = vm, .paging = paging, .linear = linear, .access = access };

	if (!(paging->cr0 & CR0_PG)) {
		*gpa = linear;
		return true;
	}
	if (!(paging->efer & EFER_LMA))
		walker.linear &= 0xFFFFFFFF;
	for (unsigned attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
		if (!descend_any(&walker)) {
			*error = walker.error;
			return false;
		}
		if (set_accessed(&walker))
			break;
	}
	*gpa = walker.gpa;
	return true;
}
