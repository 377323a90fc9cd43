/* A storm of requests that only ends with the machine. */
#include "machine.h"
#include "storm.h"

static void fill(uint64_t burst, const struct storm_step *step, uint64_t *buffer)
{
	for (uint32_t i = 0; i < step->count; i++)
		for (uint32_t word = 0; word < 64; word++)
			*buffer++ = storm_word(burst, step->sector + i, word);
}

static bool run_burst(uint64_t burst)
{
	uint64_t sectors = disk_size() / 512;
	uint32_t slots = 0;

	for (uint32_t i = 0; i < STORM_WRITES; i++) {
		struct storm_step step = storm_step(burst, i, sectors);

		fill(burst, &step, disk_buffer(i));
		disk_prepare_write(i, step.sector, step.count, step.write_through);
		slots |= 1u << i;
	}
	if (!disk_run_queued(slots))
		return false;
	for (uint32_t i = STORM_WRITES; i < STORM_STEPS; i++) {
		struct storm_step step = storm_step(burst, i, sectors);

		if (!disk_trim(step.sector, step.count))
			return false;
	}
	return !storm_flushes(burst) || disk_flush();
}

void storm_run(uint64_t burst)
{
	char text[64], *end;

	for (; disk_size() / 512 >= STORM_STEPS && run_burst(burst); burst++) {
		if (!storm_flushes(burst))
			continue;
		end = text_copy(text, "storm ");
		end = text_number(end, burst);
		text_copy(end, "\n");
		serial_write(text);
	}
	serial_write("storm failed\n");
}
