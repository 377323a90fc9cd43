/*
 * Translates a guest's linear address as its MMU would (Intel SDM volume 3, chapter 4): 5-level, 4-level, PAE and
 * 32-bit paging, or none. Sets accessed and dirty bits. Any thread, without vm->lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vm;

enum {
	PAGE_FAULT_PRESENT = 1 << 0,
	PAGE_FAULT_WRITE = 1 << 1,
	PAGE_FAULT_USER = 1 << 2,
	PAGE_FAULT_RESERVED = 1 << 3,
	PAGE_FAULT_FETCH = 1 << 4,
	PAGE_FAULT_KEY = 1 << 5,
};

enum walk_access {
	WALK_READ = 0,
	WALK_WRITE = PAGE_FAULT_WRITE,
	WALK_FETCH = PAGE_FAULT_FETCH,
};

struct paging {
	uint64_t cr0, cr3, cr4, efer;
	uint32_t pkru;
	bool user;      /* CPL 3 */
	bool alignment; /* RFLAGS.AC: suspends SMAP */
};

/* False: raise #PF with *error. */
bool walk(struct vm *vm, const struct paging *paging, uint64_t linear, enum walk_access access, uint64_t *gpa,
	  uint32_t *error);
