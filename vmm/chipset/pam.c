#include "pam.h"

#include <string.h>

#define PAM_START 0xC0000ull
#define PAM_END 0x100000ull
#define SEGMENT_SIZE 0x4000ull
#define LAST_SEGMENT 0xF0000ull
#define SHADOW_MAX 0x20000ull

/* The two bits of a segment. */
#define PAM_RE 1 /* reads come from RAM */
#define PAM_WE 2 /* writes go to RAM */

static uint64_t segment_start(unsigned segment)
{
	return PAM_START + segment * SEGMENT_SIZE;
}

static uint64_t segment_size(unsigned segment)
{
	return segment == PAM_SEGMENTS - 1 ? PAM_END - LAST_SEGMENT : SEGMENT_SIZE;
}

static uint8_t mode_at(const struct pam *pam, uint64_t gpa)
{
	return pam->modes[MIN((gpa - PAM_START) / SEGMENT_SIZE, PAM_SEGMENTS - 1)];
}

/* What the CPU reads at gpa; NULL: nothing answers. */
static uint8_t *visible(const struct pam *pam, uint64_t gpa)
{
	if (mode_at(pam, gpa) & PAM_RE)
		return pam->memory->ram + gpa;
	if (gpa >= pam->shadow_start)
		return (uint8_t *)pam->shadow + (gpa - pam->shadow_start);
	return NULL;
}

/* Reached in holes, and by accesses that run from one slot into the next. */
static uint64_t pam_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct pam *pam = opaque;
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++) {
		uint64_t gpa = PAM_START + offset + i;
		const uint8_t *byte = gpa < PAM_END ? visible(pam, gpa) : NULL;

		value |= (uint64_t)(byte ? *byte : 0xFF) << i * 8;
	}
	return value;
}

/* Reached wherever there is no writable slot. */
static void pam_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct pam *pam = opaque;

	for (unsigned i = 0; i < size; i++) {
		uint64_t gpa = PAM_START + offset + i;

		if (gpa < PAM_END && mode_at(pam, gpa) & PAM_WE)
			pam->memory->ram[gpa] = (uint8_t)(value >> i * 8);
	}
}

static const struct bus_ops pam_ops = { pam_read, pam_write };

/* Writes the runs of memory that can be slots to runs and returns how many they are. */
static unsigned find_runs(const struct pam *pam, struct pam_run runs[PAM_SEGMENTS])
{
	unsigned count = 0;

	for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
		struct pam_run run = { .gpa = segment_start(i), .size = segment_size(i) };
		struct pam_run *last = count ? &runs[count - 1] : NULL;

		run.host = visible(pam, run.gpa);
		if (!run.host)
			continue;
		run.flags = pam->modes[i] == (PAM_RE | PAM_WE) ? 0 : MEMORY_READONLY;
		if (last && last->gpa + last->size == run.gpa && last->host + last->size == run.host &&
		    last->flags == run.flags)
			last->size += run.size;
		else
			runs[count++] = run;
	}
	return count;
}

static bool same_run(const struct pam_run *a, const struct pam_run *b)
{
	return a->gpa == b->gpa && a->size == b->size && a->host == b->host && a->flags == b->flags;
}

static void adopt(struct pam_run *run, struct pam_run old[PAM_SEGMENTS])
{
	for (unsigned i = 0; i < PAM_SEGMENTS; i++) {
		if (!old[i].slot || !same_run(&old[i], run))
			continue;
		run->slot = old[i].slot;
		old[i].slot = NULL;
	}
}

/* Slots that stay as they are are not touched: vCPUs may be running from them. */
static void update(struct pam *pam)
{
	struct pam_run runs[PAM_SEGMENTS] = { 0 };
	unsigned count = find_runs(pam, runs);

	for (unsigned i = 0; i < count; i++)
		adopt(&runs[i], pam->runs);
	for (unsigned i = 0; i < PAM_SEGMENTS; i++)
		if (pam->runs[i].slot)
			memory_unmap(pam->memory, pam->runs[i].slot);
	for (unsigned i = 0; i < count; i++)
		if (!runs[i].slot)
			runs[i].slot = memory_map(pam->memory, runs[i].gpa, runs[i].size, runs[i].host, runs[i].flags);
	memcpy(pam->runs, runs, sizeof runs);
}

void pam_init(struct pam *pam, struct memory *memory, struct bus *mmio, const struct rom *rom)
{
	uint64_t shadow_size = rom->data ? MIN(rom->size, SHADOW_MAX) : 0;

	memset(pam, 0, sizeof *pam);
	pam->memory = memory;
	pam->mmio = mmio;
	pam->shadow_start = PAM_END - shadow_size;
	if (shadow_size)
		pam->shadow = rom->data + rom->size - shadow_size;
	pam->region = (struct bus_region){ .name = "PAM", .ops = &pam_ops, .device = pam, .size = PAM_END - PAM_START,
					   .priority = BUS_PRIORITY_PLATFORM };
	bus_map(mmio, &pam->region, PAM_START);
	update(pam);
}

void pam_finish(struct pam *pam)
{
	for (unsigned i = 0; i < PAM_SEGMENTS; i++)
		if (pam->runs[i].slot)
			memory_unmap(pam->memory, pam->runs[i].slot);
	bus_unmap(pam->mmio, &pam->region);
}

void pam_set(struct pam *pam, const uint8_t registers[PAM_REGISTERS])
{
	uint8_t modes[PAM_SEGMENTS];

	/* PAM0 has F0000 in its high half; in PAM1-6 the lower segment is in the low half. */
	for (unsigned i = 0; i < PAM_SEGMENTS - 1; i++)
		modes[i] = registers[1 + i / 2] >> (i % 2 ? 4 : 0) & 3;
	modes[PAM_SEGMENTS - 1] = registers[0] >> 4 & 3;
	if (!memcmp(modes, pam->modes, sizeof modes))
		return;
	memcpy(pam->modes, modes, sizeof modes);
	update(pam);
}
