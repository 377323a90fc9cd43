/*
 * C0000-FFFFF, where each stretch of 16 KiB (F0000: 64 KiB) shows RAM or ROM for reads and for writes apart:
 * Q35 datasheet, 5.1.14 ff. (PAM0-PAM6).
 *
 * What the CPU can do without help is memory slots, as few as the registers allow. The rest (writes that do not go
 * where reads come from, and holes) is a bus region. All calls with vm->lock.
 */
#pragma once

#include "../bus.h"
#include "../firmware/rom.h"
#include "../memory.h"

#define PAM_REGISTERS 7
#define PAM_SEGMENTS 13

struct pam_run {
	uint64_t gpa, size;
	uint8_t *host; /* NULL: unused */
	unsigned flags;
	struct memory_slot *slot;
};

struct pam {
	struct memory *memory;
	struct bus *mmio;
	const uint8_t *shadow; /* the end of the ROM's image, at most 128 KiB, seen below 1 MiB */
	uint64_t shadow_start; /* the GPA of its first byte; 1 MiB without a ROM */
	uint8_t modes[PAM_SEGMENTS];
	struct pam_run runs[PAM_SEGMENTS];
	struct bus_region region;
};

/* Everything shows ROM, as after power on. rom: see host_bridge.h; copied, but not its data. */
void pam_init(struct pam *pam, struct memory *memory, struct bus *mmio, const struct rom *rom);
void pam_finish(struct pam *pam);
/* Shows what the registers PAM0-PAM6 say. */
void pam_set(struct pam *pam, const uint8_t registers[PAM_REGISTERS]);
