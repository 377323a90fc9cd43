/* Features (NVM Express 1.4 section 5.21.1). */
#include "nvme_internal.h"

#include <string.h>

#define SELECT_CURRENT 0u /* Get Features, command dword 10 */
#define SELECT_CAPABILITIES 3u
#define CAPABLE_OF_CHANGE (1u << 2)
#define SAVE (1u << 31) /* Set Features, command dword 10 */

#define FEATURE_TEMPERATURE 0x04
#define FEATURE_QUEUES 0x07
#define FEATURE_VECTOR 0x09

#define COALESCING_DISABLED (1u << 16)

/* Other bits have to be zero. */
static const struct feature {
	bool exists;
	uint32_t initial, writable;
} features[NVME_FEATURES] = {
	[0x01] = { true, 0x00000004, 0xFFFFFF07 }, /* arbitration: a burst of 16 */
	[0x02] = { true, 0, 0x000000E0 },          /* power management: one state, any workload hint */
	[FEATURE_TEMPERATURE] = { true, 0xFFFF, 0x003FFFFF },
	[0x05] = { true, 0, 0x0000FFFF },          /* error recovery: a time limit */
	[NVME_FEATURE_WRITE_CACHE] = { true, 1, 1 },
	[FEATURE_QUEUES] = { true, 0, 0 },
	[0x08] = { true, 0, 0x0000FFFF },          /* interrupt coalescing: a wish */
	[FEATURE_VECTOR] = { true, 0, 0x0001FFFF },
	[0x0A] = { true, 0, 1 },                   /* write atomicity */
	[NVME_FEATURE_EVENTS] = { true, 0, 0x1F }, /* of the SMART log's warnings */
};

void nvme_reset_features(struct nvme *nvme)
{
	for (unsigned i = 0; i < NVME_FEATURES; i++)
		nvme->features[i] = features[i].initial;
	nvme->low_temperature = 0;
	nvme->coalescing_disabled = 1; /* never for the admin queue */
}

static uint32_t queue_counts(const struct nvme *nvme)
{
	return (nvme->queues - 1) << 16 | (nvme->queues - 1);
}

bool nvme_temperature_bad(const struct nvme *nvme)
{
	return NVME_TEMPERATURE >= nvme->features[FEATURE_TEMPERATURE] || NVME_TEMPERATURE <= nvme->low_temperature;
}

/* --- Reading --- */

/* word: dword 11, which some features need to know what is meant. */
static enum nvme_status value_of(const struct nvme *nvme, unsigned id, bool current, uint32_t word, uint32_t *value)
{
	unsigned vector = word & 0xFFFF;

	*value = current ? nvme->features[id] : features[id].initial;
	switch (id) {
	case FEATURE_TEMPERATURE:
		if (word >> 16 & 15) /* there is only the composite temperature */
			return NVME_INVALID_FIELD;
		if (word >> 20 & 3)
			*value = current ? nvme->low_temperature : 0;
		return word >> 20 & 2 ? NVME_INVALID_FIELD : NVME_SUCCESS;
	case FEATURE_QUEUES:
		*value = queue_counts(nvme);
		return NVME_SUCCESS;
	case FEATURE_VECTOR:
		if (vector > nvme->queues)
			return NVME_INVALID_FIELD;
		*value = vector;
		if (current ? nvme->coalescing_disabled >> vector & 1 : vector == 0)
			*value |= COALESCING_DISABLED;
		return NVME_SUCCESS;
	default:
		return NVME_SUCCESS;
	}
}

void nvme_get_features(struct nvme_command *command)
{
	const struct nvme *nvme = command->sq->nvme;
	unsigned id = command->entry.word[0] & 0xFF, select = command->entry.word[0] >> 8 & 7;
	enum nvme_status status = NVME_SUCCESS;
	uint32_t value = 0;

	if (id >= NVME_FEATURES || !features[id].exists || select > SELECT_CAPABILITIES)
		status = NVME_INVALID_FIELD;
	else if (select == SELECT_CAPABILITIES)
		value = features[id].writable || id == FEATURE_QUEUES ? CAPABLE_OF_CHANGE : 0;
	else
		status = value_of(nvme, id, select == SELECT_CURRENT, command->entry.word[1], &value);
	nvme_complete(command, status, status ? 0 : value);
}

/* --- Writing --- */

static void write_cache_off(struct nvme_command *command, int error)
{
	if (!error)
		command->sq->nvme->features[NVME_FEATURE_WRITE_CACHE] = 0;
	nvme_complete(command, error ? NVME_WRITE_FAULT : NVME_SUCCESS, 0);
}

static enum nvme_status set_temperature(struct nvme *nvme, uint32_t value)
{
	if (value >> 16 & 15 || value >> 20 > 1)
		return NVME_INVALID_FIELD;
	if (value >> 20)
		nvme->low_temperature = (uint16_t)value;
	else
		nvme->features[FEATURE_TEMPERATURE] = value & 0xFFFF;
	return NVME_SUCCESS;
}

static enum nvme_status set_vector(struct nvme *nvme, uint32_t value)
{
	unsigned vector = value & 0xFFFF;

	if (vector > nvme->queues)
		return NVME_INVALID_FIELD;
	if (vector && value & COALESCING_DISABLED)
		nvme->coalescing_disabled |= 1ull << vector;
	else if (vector)
		nvme->coalescing_disabled &= ~(1ull << vector);
	return NVME_SUCCESS;
}

/* The number is what there is; asking is allowed while no queue exists yet. */
static enum nvme_status set_queues(const struct nvme *nvme, uint32_t value)
{
	for (unsigned i = 1; i <= nvme->queues; i++)
		if (nvme->sq[i] || nvme->cq[i])
			return NVME_COMMAND_SEQUENCE;
	return (value & 0xFFFF) == 0xFFFF || value >> 16 == 0xFFFF ? NVME_INVALID_FIELD : NVME_SUCCESS;
}

static enum nvme_status set(struct nvme *nvme, unsigned id, uint32_t value)
{
	if (id == FEATURE_QUEUES)
		return set_queues(nvme, value);
	if (value & ~features[id].writable)
		return NVME_INVALID_FIELD;
	if (id == FEATURE_TEMPERATURE)
		return set_temperature(nvme, value);
	if (id == FEATURE_VECTOR)
		return set_vector(nvme, value);
	nvme->features[id] = value;
	return NVME_SUCCESS;
}

void nvme_set_features(struct nvme_command *command)
{
	struct nvme *nvme = command->sq->nvme;
	unsigned id = command->entry.word[0] & 0xFF;
	uint32_t value = command->entry.word[1];
	enum nvme_status status;

	if (id >= NVME_FEATURES || !features[id].exists) {
		nvme_complete(command, NVME_INVALID_FIELD, 0);
		return;
	}
	if (command->entry.word[0] & SAVE) {
		nvme_complete(command, NVME_FEATURE_NOT_SAVEABLE, 0);
		return;
	}
	if (id == NVME_FEATURE_WRITE_CACHE && value == 0 && nvme->features[id]) {
		/* What is in the cache goes to the disk first. */
		nvme_submit(command, BLOCK_FLUSH, write_cache_off);
		return;
	}
	status = set(nvme, id, value);
	if (nvme_temperature_bad(nvme) && nvme->features[NVME_FEATURE_EVENTS] & 1 << 1)
		nvme_raise_event(nvme, NVME_EVENT_HEALTH, 1);
	nvme_complete(command, status, !status && id == FEATURE_QUEUES ? queue_counts(nvme) : 0);
}
