/* Saving and loading: registers, queues, and the commands that are under way, which the new machine starts anew. */
#include "nvme_internal.h"

#include <string.h>

#define QUEUE_EXISTS (1u << 0)
#define QUEUE_PHASE (1u << 1)
#define QUEUE_INTERRUPTS (1u << 2)

/* What the file has of a queue of either kind. */
struct queue_record {
	uint64_t base;
	uint16_t size, head, tail;
	uint16_t other; /* vector of a completion queue; completion queue of a submission queue */
	uint32_t flags;
};

static void field(struct state *state, const char *kind, unsigned id, const char *name, void *data, size_t size)
{
	g_autofree char *full = g_strdup_printf("%s%u_%s", kind, id, name);

	state_bytes(state, full, data, size);
}

static void queue_fields(struct state *state, const char *kind, unsigned id, struct queue_record *record)
{
	uint8_t bytes[20];

	pci_set64(bytes, record->base);
	pci_set16(bytes + 8, record->size);
	pci_set16(bytes + 10, record->head);
	pci_set16(bytes + 12, record->tail);
	pci_set16(bytes + 14, record->other);
	pci_set32(bytes + 16, record->flags);
	field(state, kind, id, "queue", bytes, sizeof bytes);
	record->base = pci_get64(bytes);
	record->size = pci_get16(bytes + 8);
	record->head = pci_get16(bytes + 10);
	record->tail = pci_get16(bytes + 12);
	record->other = pci_get16(bytes + 14);
	record->flags = pci_get32(bytes + 16);
}

static bool record_valid(const struct nvme *nvme, unsigned id, const struct queue_record *record)
{
	return record->base % NVME_PAGE == 0 && record->size >= 2 &&
	       record->size <= (id ? NVME_QUEUE_ENTRIES : NVME_PAGE) && record->head < record->size &&
	       record->tail < record->size && id <= nvme->queues;
}

/* --- Completion queues --- */

static void load_cq(struct nvme *nvme, struct state *state, unsigned id, const struct queue_record *record)
{
	struct nvme_cq *cq = record_valid(nvme, id, record) && record->other <= nvme->queues ?
			     nvme_cq_new(nvme, (uint16_t)id, record->base, record->size) : NULL;

	if (!cq) {
		state_fail(state, "NVMe completion queue %u", id);
		return;
	}
	cq->head = record->head;
	cq->tail = record->tail;
	cq->vector = record->other;
	cq->phase = record->flags & QUEUE_PHASE;
	cq->interrupts = record->flags & QUEUE_INTERRUPTS;
}

static void cq_state(struct nvme *nvme, struct state *state, unsigned id)
{
	const struct nvme_cq *cq = nvme->cq[id];
	struct queue_record record = { 0 };

	if (cq)
		record = (struct queue_record){ cq->base, cq->size, cq->head, cq->tail, cq->vector,
						QUEUE_EXISTS | (cq->phase ? QUEUE_PHASE : 0) |
						(cq->interrupts ? QUEUE_INTERRUPTS : 0) };
	queue_fields(state, "completion", id, &record);
	if (state_loading(state) && record.flags & QUEUE_EXISTS)
		load_cq(nvme, state, id, &record);
}

/* --- Submission queues and commands --- */

static unsigned collect(const struct nvme_sq *sq, uint8_t *raw)
{
	unsigned count = 0;

	for (unsigned i = 0; sq && i < sq->command_count; i++)
		if (sq->commands[i]->active)
			memcpy(raw + (count++ << NVME_ENTRY_SHIFT), sq->commands[i]->raw, 1u << NVME_ENTRY_SHIFT);
	return count;
}

/* The commands are under way again; nvme_restart_commands() starts them. */
static void load_commands(struct nvme_sq *sq, struct state *state, const uint8_t *raw, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct nvme_command *command = nvme_take_command(sq);

		if (!command) {
			state_fail(state, "NVMe queue %u has too many commands under way", sq->id);
			return;
		}
		memcpy(command->raw, raw + (i << NVME_ENTRY_SHIFT), sizeof command->raw);
		nvme_decode(command);
	}
}

static void load_sq(struct nvme *nvme, struct state *state, unsigned id, const struct queue_record *record)
{
	struct nvme_cq *cq = record->other <= nvme->queues && (record->other == 0) == (id == 0) ? nvme->cq[record->other] : NULL;
	struct nvme_sq *sq = cq && record_valid(nvme, id, record) ?
			     nvme_sq_new(nvme, (uint16_t)id, record->base, record->size, cq) : NULL;

	if (!sq) {
		state_fail(state, "NVMe submission queue %u", id);
		return;
	}
	sq->head = record->head;
	sq->tail = record->tail;
}

static void sq_state(struct nvme *nvme, struct state *state, unsigned id)
{
	const struct nvme_sq *sq = nvme->sq[id];
	struct queue_record record = { 0 };
	g_autofree uint8_t *raw = g_malloc0(NVME_IN_FLIGHT_MAX << NVME_ENTRY_SHIFT);
	uint8_t bytes[4];
	uint32_t count = collect(sq, raw);

	if (sq)
		record = (struct queue_record){ sq->base, sq->size, sq->head, sq->tail, sq->cq->id, QUEUE_EXISTS };
	pci_set32(bytes, count);
	queue_fields(state, "submission", id, &record);
	field(state, "submission", id, "count", bytes, sizeof bytes);
	count = pci_get32(bytes);
	if (count > NVME_IN_FLIGHT_MAX) {
		state_fail(state, "NVMe queue %u: %u commands", id, count);
		return;
	}
	field(state, "submission", id, "commands", raw, (size_t)count << NVME_ENTRY_SHIFT);
	if (!state_loading(state) || !(record.flags & QUEUE_EXISTS))
		return;
	load_sq(nvme, state, id, &record);
	if (nvme->sq[id])
		load_commands(nvme->sq[id], state, raw, count);
}

/* --- The controller --- */

static void registers_state(struct nvme *nvme, struct state *state)
{
	state_u32(state, "intms", &nvme->intms);
	state_u32(state, "cc", &nvme->cc);
	state_u32(state, "csts", &nvme->csts);
	state_u32(state, "aqa", &nvme->aqa);
	state_u64(state, "asq", &nvme->asq);
	state_u64(state, "acq", &nvme->acq);
	state_u64(state, "shadow", &nvme->shadow);
	state_u64(state, "event_index", &nvme->event_index);
	for (unsigned i = 0; i < NVME_FEATURES; i++) {
		g_autofree char *name = g_strdup_printf("feature%u", i);

		state_u32(state, name, &nvme->features[i]);
	}
	state_u16(state, "low_temperature", &nvme->low_temperature);
	state_u64(state, "coalescing_disabled", &nvme->coalescing_disabled);
}

static void log_state(struct nvme *nvme, struct state *state)
{
	for (unsigned i = 0; i < NVME_ERRORS_MAX; i++) {
		g_autofree char *name = g_strdup_printf("error%u", i);
		struct nvme_error *error = &nvme->errors[i];
		uint8_t bytes[22];

		pci_set64(bytes, error->count);
		pci_set64(bytes + 8, error->lba);
		pci_set16(bytes + 16, error->queue);
		pci_set16(bytes + 18, error->command);
		pci_set16(bytes + 20, error->status);
		state_bytes(state, name, bytes, sizeof bytes);
		*error = (struct nvme_error){ pci_get64(bytes), pci_get64(bytes + 8), pci_get16(bytes + 16),
					      pci_get16(bytes + 18), pci_get16(bytes + 20) };
	}
	state_u64(state, "error_count", &nvme->error_count);
	state_u64(state, "media_errors", &nvme->media_errors);
	for (unsigned i = 0; i < NVME_EVENTS; i++) {
		g_autofree char *name = g_strdup_printf("event%u", i);
		uint8_t bytes[3] = { nvme->events[i].pending, nvme->events[i].masked, nvme->events[i].information };

		state_bytes(state, name, bytes, sizeof bytes);
		nvme->events[i].pending = bytes[0];
		nvme->events[i].masked = bytes[1];
		nvme->events[i].information = bytes[2];
	}
}

static void check_loaded(struct nvme *nvme, struct state *state)
{
	struct memory *memory = nvme_memory(nvme);

	nvme->cc &= CC_WRITABLE;
	nvme->csts &= CSTS_RDY | CSTS_CFS | CSTS_SHST;
	nvme->asq &= ~(uint64_t)(NVME_PAGE - 1);
	nvme->acq &= ~(uint64_t)(NVME_PAGE - 1);
	nvme->coalescing_disabled |= 1;
	if (nvme->csts & CSTS_RDY && (!nvme->sq[0] || !(nvme->cc & CC_EN)))
		state_fail(state, "NVMe controller without an admin queue");
	if (!nvme->shadow && !nvme->event_index)
		return;
	nvme->shadow_page = memory_ptr(memory, nvme->shadow, NVME_PAGE);
	nvme->event_index_page = memory_ptr(memory, nvme->event_index, NVME_PAGE);
	if (nvme->shadow_page && nvme->event_index_page && (nvme->shadow | nvme->event_index) % NVME_PAGE == 0)
		return;
	nvme->shadow_page = nvme->event_index_page = NULL;
	state_fail(state, "NVMe shadow doorbells");
}

void nvme_state(struct device *device, struct state *state)
{
	struct nvme *nvme = (struct nvme *)device;

	if (state_loading(state))
		nvme_power_on(nvme);
	else
		nvme_drain(nvme);
	pci_device_state(&nvme->pci, state);
	registers_state(nvme, state);
	log_state(nvme, state);
	for (unsigned id = 0; id < NVME_QUEUE_IDS; id++)
		cq_state(nvme, state, id);
	for (unsigned id = 0; id < NVME_QUEUE_IDS; id++)
		sq_state(nvme, state, id);
	if (!state_loading(state))
		return;
	check_loaded(nvme, state);
	nvme->restart = true;
	nvme_place_doorbells(nvme);
	nvme_update_interrupt(nvme);
	timer_set(&nvme->resume, clock_now(&nvme->pci.device.vm->clock));
}

void nvme_restart_commands(struct nvme *nvme)
{
	/* The I/O first: a queue may be waiting to be deleted. */
	for (unsigned i = NVME_QUEUE_IDS; i-- > 0;) {
		struct nvme_sq *sq = nvme->sq[i];
		unsigned count = sq ? sq->command_count : 0;

		for (unsigned n = 0; n < count; n++)
			if (sq->commands[n]->active)
				nvme_execute(sq->commands[n]);
	}
}
