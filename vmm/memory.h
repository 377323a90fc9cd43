/*
 * Guest-physical memory: RAM (one mapping) and other host memory shown to the guest (ROM, VRAM) as memory slots.
 *
 * memory_ptr() is safe on any thread at any time (RAM never moves). Everything else needs vm->lock.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "hypervisor.h"

#define MEMORY_PAGE 4096
/* RAM below 4 GiB ends here at most: Q35 firmware places PCIEXBAR at this address. */
#define MEMORY_LOW_MAX 0x80000000ull
#define MEMORY_HIGH_BASE 0x100000000ull

enum memory_slot_flags {
	MEMORY_READONLY = 1 << 0,  /* guest writes arrive on the MMIO bus */
	MEMORY_LOG_DIRTY = 1 << 1, /* memory_sync_dirty() tells which pages were written */
};

struct memory_slot {
	unsigned id;
	uint64_t gpa;
	uint64_t size; /* 0: free */
	uint8_t *host;
	unsigned flags;
	uint64_t *marked; /* dirty bits of memory_mark_dirty(), NULL while there are none */
};

#define MEMORY_SLOTS 64

struct memory {
	struct hypervisor *hv;
	uint8_t *ram;      /* ram_size bytes: low RAM, then high RAM */
	uint64_t ram_size;
	uint64_t low_size; /* bytes at GPA 0, up to MEMORY_LOW_MAX */
	uint64_t high_size; /* bytes at MEMORY_HIGH_BASE */
	struct memory_slot slots[MEMORY_SLOTS];
};

/*
 * Reserves ram_size bytes (a multiple of 4 KiB, at least 1 MiB) and maps 0-9FFFF, 100000-low_size and the part above
 * 4 GiB. A0000-BFFFF is the VGA window; C0000-FFFFF belongs to whoever emulates PAM, who maps
 * memory->ram + 0xC0000 piecewise.
 */
bool memory_init(struct memory *memory, struct hypervisor *hv, uint64_t ram_size, GError **error);
void memory_finish(struct memory *memory);

/*
 * Host address of [gpa, gpa + length) if all of it is RAM, otherwise NULL. The VGA window is not RAM; C0000-FFFFF
 * is, whatever PAM shows the CPU (bus masters always see RAM there).
 */
void *memory_ptr(const struct memory *memory, uint64_t gpa, uint64_t length);
bool memory_read(const struct memory *memory, uint64_t gpa, void *buffer, uint64_t length);
bool memory_write(const struct memory *memory, uint64_t gpa, const void *buffer, uint64_t length);

/*
 * Shows host memory (4 KiB aligned address, size and gpa; the caller's, must outlive the slot) to the guest.
 * NULL where it would overlap another slot or no slot is left: the range then reads as open bus.
 */
struct memory_slot *memory_map(struct memory *memory, uint64_t gpa, uint64_t size, void *host, unsigned flags);
void memory_unmap(struct memory *memory, struct memory_slot *slot);
/* Changes MEMORY_READONLY and MEMORY_LOG_DIRTY of a mapped slot. */
bool memory_set_flags(struct memory *memory, struct memory_slot *slot, unsigned flags);
/*
 * Says that the VMM itself wrote [offset, offset + size) of a slot on the guest's behalf, which the hypervisor does not
 * see: memory_sync_dirty() will tell.
 */
void memory_mark_dirty(struct memory *memory, struct memory_slot *slot, uint64_t offset, uint64_t size);
/* Fetches and clears dirty bits; bitmap holds one bit per page of the slot, rounded up to 64. */
bool memory_sync_dirty(struct memory *memory, const struct memory_slot *slot, uint64_t *bitmap);
