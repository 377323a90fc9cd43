/*
 * What the command "storm" does to the disk: shared with the test that kills the machine meanwhile, which so knows
 * what must be on the disk.
 *
 * A storm is a row of bursts of requests. Those of one burst never touch the same sectors; first all writes are under way at
 * once, then the trims. Some bursts end with a flush.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define STORM_WRITES 24
#define STORM_TRIMS 4
#define STORM_STEPS (STORM_WRITES + STORM_TRIMS)
#define STORM_SECTORS_MAX 160u /* of one request */

struct storm_step {
	uint64_t sector;
	uint32_t count;
	bool trim;
	bool write_through; /* a write with FUA */
};

/* Well mixed bits (splitmix64). */
static inline uint64_t storm_mix(uint64_t value)
{
	value += 0x9E3779B97F4A7C15ull;
	value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9ull;
	value = (value ^ value >> 27) * 0x94D049BB133111EBull;
	return value ^ value >> 31;
}

/* Each has its own part of the disk. */
static inline struct storm_step storm_step(uint64_t burst, uint32_t index, uint64_t disk_sectors)
{
	uint64_t random = storm_mix(burst * STORM_STEPS + index), area = disk_sectors / STORM_STEPS;
	uint32_t most = random >> 60 < 4 ? STORM_SECTORS_MAX : 8;
	struct storm_step step = { .sector = (random & 0xFFFFFFFF) % area, .trim = index >= STORM_WRITES };

	step.count = 1 + (uint32_t)(random >> 40 & 0xFFFF) % most;
	if (step.count > area - step.sector)
		step.count = (uint32_t)(area - step.sector);
	/* Over time every area sees both. */
	step.sector += (index + burst) % STORM_STEPS * area;
	step.write_through = !step.trim && (random >> 56 & 15) == 0;
	return step;
}

static inline bool storm_flushes(uint64_t burst)
{
	return storm_mix(~burst) % 3 == 0;
}

/* One of the 64 that fill a sector: the burst's number, the sector's, and what follows from them. */
static inline uint64_t storm_word(uint64_t burst, uint64_t sector, uint32_t index)
{
	return index == 0 ? burst : index == 1 ? sector : (burst << 32 ^ sector) * 0x9E3779B97F4A7C15ull + index;
}
