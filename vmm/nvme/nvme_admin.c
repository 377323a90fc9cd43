/* Admin commands (NVM Express 1.4 section 5) but for those that only tell or set something. */
#include "nvme_internal.h"

#include <string.h>

#define QUEUE_CONTIGUOUS (1u << 0)        /* command dword 11 */
#define QUEUE_INTERRUPTS (1u << 1)
#define EFFECTS_SUPPORTED (1u << 0)

/* --- Queues --- */

/* What creating a queue of either kind needs: command dwords 10 and 11, and PRP1. */
static enum nvme_status check_queue(const struct nvme_command *command, const void *there, unsigned entry_shift_at,
				    unsigned entry_shift)
{
	const struct nvme *nvme = command->sq->nvme;
	const struct nvme_entry *entry = &command->entry;
	unsigned id = entry->word[0] & 0xFFFF, size = (entry->word[0] >> 16) + 1;

	if (!id || id > nvme->queues || there)
		return NVME_INVALID_QUEUE_ID;
	if (size < 2 || size > NVME_QUEUE_ENTRIES)
		return NVME_INVALID_QUEUE_SIZE;
	if (!(entry->word[1] & QUEUE_CONTIGUOUS) || (nvme->cc >> entry_shift_at & 15) != entry_shift)
		return NVME_INVALID_FIELD;
	return entry->prp1 % NVME_PAGE ? NVME_INVALID_PRP_OFFSET : NVME_SUCCESS;
}

/* Ids beyond the table belong to no queue. */
static struct nvme_sq *find_sq(const struct nvme *nvme, unsigned id)
{
	return id < NVME_QUEUE_IDS ? nvme->sq[id] : NULL;
}

static struct nvme_cq *find_cq(const struct nvme *nvme, unsigned id)
{
	return id < NVME_QUEUE_IDS ? nvme->cq[id] : NULL;
}

static void create_cq(struct nvme_command *command)
{
	struct nvme *nvme = command->sq->nvme;
	const struct nvme_entry *entry = &command->entry;
	uint16_t id = (uint16_t)entry->word[0], vector = (uint16_t)(entry->word[1] >> 16);
	enum nvme_status status = check_queue(command, find_cq(nvme, id), CC_IOCQES_SHIFT, NVME_COMPLETION_SHIFT);
	struct nvme_cq *cq = NULL;

	if (!status && entry->word[1] & QUEUE_INTERRUPTS && vector > nvme->queues)
		status = NVME_INVALID_VECTOR;
	if (!status) {
		cq = nvme_cq_new(nvme, id, entry->prp1, (uint16_t)((entry->word[0] >> 16) + 1));
		status = cq ? NVME_SUCCESS : NVME_INVALID_FIELD;
	}
	if (cq) {
		cq->interrupts = entry->word[1] & QUEUE_INTERRUPTS;
		cq->vector = vector;
		nvme_shadow_start(nvme, id);
		nvme_place_doorbells(nvme);
	}
	nvme_complete(command, status, 0);
}

static void create_sq(struct nvme_command *command)
{
	struct nvme *nvme = command->sq->nvme;
	const struct nvme_entry *entry = &command->entry;
	uint16_t id = (uint16_t)entry->word[0];
	struct nvme_cq *cq = find_cq(nvme, entry->word[1] >> 16);
	enum nvme_status status = check_queue(command, find_sq(nvme, id), CC_IOSQES_SHIFT, NVME_ENTRY_SHIFT);

	if (!status && (!cq || !cq->id))
		status = NVME_INVALID_COMPLETION_QUEUE;
	if (!status && !nvme_sq_new(nvme, id, entry->prp1, (uint16_t)((entry->word[0] >> 16) + 1), cq))
		status = NVME_INVALID_FIELD;
	if (!status)
		nvme_shadow_start(nvme, id);
	nvme_complete(command, status, 0);
}

static void delete_cq(struct nvme_command *command)
{
	struct nvme *nvme = command->sq->nvme;
	unsigned id = command->entry.word[0] & 0xFFFF;
	struct nvme_cq *cq = id ? find_cq(nvme, id) : NULL;

	if (!cq) {
		nvme_complete(command, NVME_INVALID_QUEUE_ID, 0);
	} else if (cq->users) {
		nvme_complete(command, NVME_INVALID_QUEUE_DELETION, 0);
	} else {
		nvme_cq_free(nvme, cq);
		nvme_update_interrupt(nvme);
		nvme_complete(command, NVME_SUCCESS, 0);
	}
}

void nvme_try_delete(struct nvme_sq *sq)
{
	struct nvme_command *command = sq->deleting;

	if (sq->in_flight)
		return;
	nvme_sq_free(sq->nvme, sq);
	nvme_complete(command, NVME_SUCCESS, 0);
}

/* What the queue has under way still writes to the guest's memory: it ends first (section 5.6). */
static void delete_sq(struct nvme_command *command)
{
	unsigned id = command->entry.word[0] & 0xFFFF;
	struct nvme_sq *sq = id ? find_sq(command->sq->nvme, id) : NULL;

	if (!sq || sq->deleting) {
		nvme_complete(command, NVME_INVALID_QUEUE_ID, 0);
		return;
	}
	sq->deleting = command;
	nvme_try_delete(sq);
}

/* --- Abort --- */

/*
 * Only what waits for an event waits long. Requests to the host end soon, and those that wait for the user wait in a
 * machine that stands still.
 */
static void run_abort(struct nvme_command *command)
{
	struct nvme *nvme = command->sq->nvme;
	unsigned queue = command->entry.word[0] & 0xFFFF, id = command->entry.word[0] >> 16;
	struct nvme_command *victim = NULL;

	for (unsigned i = 0; !queue && i < nvme->event_request_count && !victim; i++) {
		if (nvme->event_requests[i]->entry.id != id || !nvme_has_completion_room(nvme, nvme->cq[0]))
			continue;
		victim = nvme->event_requests[i];
		nvme->event_requests[i] = nvme->event_requests[--nvme->event_request_count];
	}
	if (victim) {
		nvme->cq[0]->promised++;
		nvme_complete(victim, NVME_ABORT_REQUESTED, 0);
	}
	nvme_complete(command, NVME_SUCCESS, victim ? 0 : 1);
}

/* --- Shadow doorbells --- */

static void doorbell_buffer_config(struct nvme_command *command)
{
	struct nvme *nvme = command->sq->nvme;
	const struct nvme_entry *entry = &command->entry;
	uint8_t *shadow = memory_ptr(nvme_memory(nvme), entry->prp1, NVME_PAGE);
	uint8_t *event_index = memory_ptr(nvme_memory(nvme), entry->prp2, NVME_PAGE);

	if (entry->prp1 % NVME_PAGE || entry->prp2 % NVME_PAGE) {
		nvme_complete(command, NVME_INVALID_PRP_OFFSET, 0);
		return;
	}
	if (!shadow || !event_index) {
		nvme_complete(command, NVME_INVALID_FIELD, 0);
		return;
	}
	nvme->shadow = entry->prp1;
	nvme->event_index = entry->prp2;
	nvme->shadow_page = shadow;
	nvme->event_index_page = event_index;
	for (unsigned id = 0; id <= nvme->queues; id++)
		nvme_shadow_start(nvme, id);
	nvme_complete(command, NVME_SUCCESS, 0);
}

/* --- All --- */

static void (*const operations[])(struct nvme_command *command) = {
	[0x00] = delete_sq,
	[0x01] = create_sq,
	[0x02] = nvme_get_log_page,
	[0x04] = delete_cq,
	[0x05] = create_cq,
	[0x06] = nvme_identify,
	[0x08] = run_abort,
	[0x09] = nvme_set_features,
	[0x0A] = nvme_get_features,
	[0x0C] = nvme_async_event,
	[0x7C] = doorbell_buffer_config,
};

void nvme_admin_execute(struct nvme_command *command)
{
	uint8_t opcode = command->entry.opcode;

	if (opcode < G_N_ELEMENTS(operations) && operations[opcode])
		operations[opcode](command);
	else
		nvme_complete(command, NVME_INVALID_OPCODE, 0);
}

void nvme_admin_effects(uint8_t *log)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++)
		if (operations[i])
			pci_set32(log + 4 * i, EFFECTS_SUPPORTED);
}
