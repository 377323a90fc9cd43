/* Queues (NVM Express 1.4 section 4.1), doorbells, and a command's way from its entry to its completion. */
#include "nvme_internal.h"

#include <string.h>

#define BURST 16u /* commands taken from one queue before the next one's turn */

/* --- Head doorbells --- */

/*
 * That the guest has taken completions matters only if there is no room for others. So its writes of the head wait in
 * the kernel until something else leaves the guest, and are fetched when they are needed.
 */
static uint64_t head_read(void *opaque, uint64_t offset, unsigned size)
{
	(void)opaque;
	(void)offset;
	(void)size;
	return 0;
}

static void head_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct nvme_cq *cq = opaque;

	if (offset == 0 && size == 4)
		nvme_doorbell(cq->nvme, cq->id * 2u + 1, (uint32_t)value);
}

static const struct bus_ops head_ops = { head_read, head_write };

void nvme_place_doorbells(struct nvme *nvme)
{
	struct bus *bus = &nvme->pci.device.vm->mmio;
	uint64_t registers = nvme->pci.bars[NVME_BAR_REGISTERS].address;
	bool late = registers != PCI_BAR_UNMAPPED && pci_msix_enabled(&nvme->pci);

	for (unsigned id = 1; id <= nvme->queues; id++) {
		struct nvme_cq *cq = nvme->cq[id];
		uint64_t place = registers + NVME_DOORBELLS + id * 8 + 4;
		bool wanted = cq && late && !cq->eager;

		if (cq && cq->doorbell.mapped && (!wanted || cq->doorbell.base != place))
			bus_unmap(bus, &cq->doorbell);
		if (wanted && !cq->doorbell.mapped)
			bus_map(bus, &cq->doorbell, place);
	}
}

/* Whoever waits for the head has to hear of it: from now on it comes at once. */
static void fetch_head(struct nvme *nvme, struct nvme_cq *cq)
{
	if (!cq->doorbell.mapped)
		return;
	cq->eager = true;
	bus_unmap(&nvme->pci.device.vm->mmio, &cq->doorbell);
}

/* --- Making and freeing --- */

struct nvme_cq *nvme_cq_new(struct nvme *nvme, uint16_t id, uint64_t base, uint16_t size)
{
	uint8_t *entries = memory_ptr(nvme_memory(nvme), base, (uint64_t)size << NVME_COMPLETION_SHIFT);
	struct nvme_cq *cq;

	if (!entries)
		return NULL;
	cq = g_new0(struct nvme_cq, 1);
	*cq = (struct nvme_cq){ .nvme = nvme, .id = id, .size = size, .base = base, .entries = entries, .phase = true };
	cq->doorbell = (struct bus_region){ .name = "nvme head", .ops = &head_ops, .device = cq, .size = 4,
					    .priority = BUS_PRIORITY_PCI, .coalesced = true };
	nvme->cq[id] = cq;
	return cq;
}

struct nvme_sq *nvme_sq_new(struct nvme *nvme, uint16_t id, uint64_t base, uint16_t size, struct nvme_cq *cq)
{
	uint8_t *entries = memory_ptr(nvme_memory(nvme), base, (uint64_t)size << NVME_ENTRY_SHIFT);
	struct nvme_sq *sq;

	if (!entries)
		return NULL;
	sq = g_new0(struct nvme_sq, 1);
	sq->nvme = nvme;
	sq->id = id;
	sq->size = size;
	sq->base = base;
	sq->entries = entries;
	sq->cq = cq;
	cq->users++;
	nvme->sq[id] = sq;
	return sq;
}

void nvme_cq_free(struct nvme *nvme, struct nvme_cq *cq)
{
	bus_unmap(&nvme->pci.device.vm->mmio, &cq->doorbell);
	nvme->cq[cq->id] = NULL;
	g_free(cq);
}

void nvme_sq_free(struct nvme *nvme, struct nvme_sq *sq)
{
	nvme->sq[sq->id] = NULL;
	sq->cq->users--;
	for (unsigned i = 0; i < sq->command_count; i++) {
		g_free(sq->commands[i]->iov);
		g_free(sq->commands[i]->bounce);
		g_free(sq->commands[i]);
	}
	g_free(sq);
}

/* --- Shadow doorbells (sections 5.7 and B.5): in pairs like the registers, each queue's after the one before --- */

static uint32_t *shadow_word(uint8_t *page, unsigned id, bool completion)
{
	return (uint32_t *)(page + id * 8 + (completion ? 4 : 0));
}

static uint32_t shadow_read(const struct nvme *nvme, unsigned id, bool completion)
{
	return GUINT32_FROM_LE(__atomic_load_n(shadow_word(nvme->shadow_page, id, completion), __ATOMIC_SEQ_CST));
}

/* The guest rings the doorbell itself when it steps over this value; and only then. */
static void ask_for_ring(struct nvme *nvme, unsigned id, bool completion, uint32_t value)
{
	__atomic_store_n(shadow_word(nvme->event_index_page, id, completion), GUINT32_TO_LE(value), __ATOMIC_SEQ_CST);
}

/* Drivers know nothing of the admin queue's shadow, or use it like the others: its doorbells are always rung. */
static bool has_shadow(const struct nvme *nvme, unsigned id)
{
	return id && nvme->shadow_page;
}

static void set_tail(struct nvme_sq *sq, uint32_t value)
{
	struct nvme *nvme = sq->nvme;

	if (value < sq->size) {
		sq->tail = (uint16_t)value;
		return;
	}
	log_guest_error(&nvme->complaints, "nvme", "tail %u of queue %u, which has %u entries", value, sq->id, sq->size);
	nvme_raise_event(nvme, NVME_EVENT_ERROR, 1);
}

/* Entries that the guest has not taken yet cannot be taken twice. */
static void set_head(struct nvme *nvme, struct nvme_cq *cq, uint32_t value)
{
	unsigned full = (cq->tail + cq->size - cq->head) % cq->size;

	if (value < cq->size && (value + cq->size - cq->head) % cq->size <= full) {
		cq->head = (uint16_t)value;
		return;
	}
	log_guest_error(&nvme->complaints, "nvme", "head %u of completion queue %u", value, cq->id);
	nvme_raise_event(nvme, NVME_EVENT_ERROR, 1);
}

/* True: the shadow has a new tail. */
static bool look_at_shadow_tail(struct nvme_sq *sq)
{
	uint32_t value;

	if (!has_shadow(sq->nvme, sq->id))
		return false;
	value = shadow_read(sq->nvme, sq->id, false);
	if (value == sq->tail)
		return false;
	set_tail(sq, value);
	return sq->tail == value;
}

static void look_at_shadow_head(struct nvme *nvme, struct nvme_cq *cq)
{
	uint32_t value = shadow_read(nvme, cq->id, true);

	if (value != cq->head)
		set_head(nvme, cq, value);
}

void nvme_look_at_heads(struct nvme *nvme)
{
	for (unsigned id = 1; nvme->shadow_page && id <= nvme->queues; id++) {
		if (!nvme->cq[id])
			continue;
		ask_for_ring(nvme, id, true, nvme->cq[id]->head);
		look_at_shadow_head(nvme, nvme->cq[id]);
		ask_for_ring(nvme, id, true, nvme->cq[id]->head);
	}
}

static void start_shadow(struct nvme *nvme, unsigned id, bool completion, uint32_t value)
{
	__atomic_store_n(shadow_word(nvme->shadow_page, id, completion), GUINT32_TO_LE(value), __ATOMIC_SEQ_CST);
	ask_for_ring(nvme, id, completion, value);
}

void nvme_shadow_start(struct nvme *nvme, unsigned id)
{
	if (nvme->shadow_page && nvme->sq[id])
		start_shadow(nvme, id, false, nvme->sq[id]->tail);
	if (nvme->shadow_page && nvme->cq[id])
		start_shadow(nvme, id, true, nvme->cq[id]->head);
}

/* --- Doorbells --- */

void nvme_doorbell(struct nvme *nvme, unsigned index, uint32_t value)
{
	unsigned id = index / 2;
	bool completion = index % 2;

	if (!(nvme->csts & CSTS_RDY))
		return;
	if (id >= NVME_QUEUE_IDS || !(completion ? (void *)nvme->cq[id] : (void *)nvme->sq[id])) {
		log_guest_error(&nvme->complaints, "nvme", "doorbell of queue %u, which does not exist", id);
		nvme_raise_event(nvme, NVME_EVENT_ERROR, 0);
		nvme_process(nvme);
		return;
	}
	if (!completion) {
		set_tail(nvme->sq[id], value);
		nvme_process(nvme);
		return;
	}
	set_head(nvme, nvme->cq[id], value);
	if (id == 0 && nvme->event_index_page)
		ask_for_ring(nvme, 0, true, nvme->cq[0]->head);
	if (!pci_msix_enabled(&nvme->pci))
		nvme_update_interrupt(nvme);
	if (nvme_has_work(nvme) || id == 0)
		nvme_process(nvme);
}

/* --- Starting --- */

bool nvme_has_completion_room(struct nvme *nvme, struct nvme_cq *cq)
{
	for (unsigned attempt = 0; attempt < 3; attempt++) {
		unsigned full = (cq->tail + cq->size - cq->head) % cq->size;

		if (full + cq->promised + 1u < cq->size)
			return true;
		if (attempt == 0)
			bus_drain(&nvme->pci.device.vm->mmio);
		else
			fetch_head(nvme, cq);
		if (!has_shadow(nvme, cq->id))
			continue;
		/* Twice: the guest may have moved on before it could see that it has to ring. */
		if (attempt)
			ask_for_ring(nvme, cq->id, true, cq->head);
		look_at_shadow_head(nvme, cq);
	}
	return false;
}

struct nvme_command *nvme_take_command(struct nvme_sq *sq)
{
	struct nvme_command *command = sq->free;

	if (command) {
		sq->free = command->next_free;
	} else if (sq->command_count < NVME_IN_FLIGHT_MAX) {
		command = g_new0(struct nvme_command, 1);
		command->sq = sq;
		sq->commands[sq->command_count++] = command;
	} else {
		return NULL;
	}
	command->active = true;
	command->flush_after = false;
	command->iov_count = 0;
	sq->in_flight++;
	sq->cq->promised++;
	return command;
}

void nvme_decode(struct nvme_command *command)
{
	const uint8_t *raw = command->raw;
	struct nvme_entry *entry = &command->entry;

	entry->opcode = raw[0];
	entry->flags = raw[1];
	entry->id = pci_get16(raw + 2);
	entry->namespace = pci_get32(raw + 4);
	entry->prp1 = pci_get64(raw + 24);
	entry->prp2 = pci_get64(raw + 32);
	for (unsigned i = 0; i < G_N_ELEMENTS(entry->word); i++)
		entry->word[i] = pci_get32(raw + 40 + 4 * i);
}

void nvme_execute(struct nvme_command *command)
{
	/* Neither fused operations nor scatter gather lists are offered. */
	if (command->entry.flags)
		nvme_complete(command, NVME_INVALID_FIELD, 0);
	else if (command->sq->id)
		nvme_io_execute(command);
	else
		nvme_admin_execute(command);
}

/* What the command takes of the budget: data counts, in units of 64 KiB. */
static unsigned cost_of(const struct nvme_command *command)
{
	return 1 + (command->sq->id ? (command->entry.word[2] & 0xFFFF) / 128 : 0);
}

/* 0: there is none, or it has to wait. Otherwise what it cost. */
static unsigned start_one(struct nvme_sq *sq)
{
	struct nvme_command *command;
	unsigned cost;

	if (sq->head == sq->tail || sq->deleting || !nvme_has_completion_room(sq->nvme, sq->cq))
		return 0;
	command = nvme_take_command(sq);
	if (!command)
		return 0;
	memcpy(command->raw, sq->entries + ((size_t)sq->head << NVME_ENTRY_SHIFT), sizeof command->raw);
	sq->head = (uint16_t)((sq->head + 1) % sq->size);
	nvme_decode(command);
	cost = cost_of(command);
	nvme_execute(command);
	return cost;
}

/* The queue may go away by a command of the admin queue, but not by one of its own. */
static bool start_burst(struct nvme *nvme, unsigned id, unsigned *budget)
{
	unsigned started = 0, cost;

	while (started < BURST && *budget && (cost = start_one(nvme->sq[id]))) {
		*budget -= MIN(*budget, cost);
		started++;
	}
	return started;
}

/* What the guest put into a queue before it could see that it has to ring for it. */
static bool look_again(struct nvme *nvme)
{
	bool more = false;

	if (!nvme->shadow_page)
		return false;
	for (unsigned id = 0; id <= nvme->queues; id++) {
		struct nvme_sq *sq = nvme->sq[id];

		if (!sq)
			continue;
		ask_for_ring(nvme, id, false, sq->tail);
		more |= look_at_shadow_tail(sq);
	}
	return more;
}

static bool start_in_turn(struct nvme *nvme, unsigned *budget)
{
	bool any = false, more;

	do {
		more = false;
		for (unsigned id = 0; id <= nvme->queues && *budget; id++)
			if (nvme->sq[id])
				more |= start_burst(nvme, id, budget);
		any |= more;
	} while (more && *budget);
	return any;
}

bool nvme_start_commands(struct nvme *nvme, unsigned *budget)
{
	bool any = false;

	if (!(nvme->csts & CSTS_RDY) || nvme->csts & CSTS_CFS || !pci_bus_master(&nvme->pci))
		return false;
	for (unsigned id = 1; nvme->shadow_page && id <= nvme->queues; id++)
		if (nvme->sq[id])
			look_at_shadow_tail(nvme->sq[id]);
	do
		any |= start_in_turn(nvme, budget);
	/* Paid for, too: a guest could change its shadows for ever. */
	while (*budget && look_again(nvme) && --*budget);
	return any;
}

bool nvme_has_work(struct nvme *nvme)
{
	for (unsigned id = 0; id <= nvme->queues; id++) {
		struct nvme_sq *sq = nvme->sq[id];

		if (sq && (sq->head != sq->tail || look_at_shadow_tail(sq)))
			return true;
	}
	return false;
}

/* --- Ending --- */

static void post(struct nvme_sq *sq, uint16_t id, uint16_t status, uint32_t result)
{
	struct nvme_cq *cq = sq->cq;
	uint8_t *entry = cq->entries + ((size_t)cq->tail << NVME_COMPLETION_SHIFT);

	pci_set32(entry, result);
	pci_set32(entry + 4, 0);
	pci_set32(entry + 8, sq->head | (uint32_t)sq->id << 16);
	/* The phase tag goes last: the guest may be looking. */
	__atomic_store_n((uint32_t *)(entry + 12), GUINT32_TO_LE(id | (uint32_t)(status << 1 | cq->phase) << 16),
			 __ATOMIC_RELEASE);
	cq->tail++;
	if (cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase = !cq->phase;
	}
	cq->posted++;
}

static void note_failure(struct nvme_command *command, uint16_t status)
{
	struct nvme_error error = {
		.lba = command->sq->id ? (uint64_t)command->entry.word[1] << 32 | command->entry.word[0] : 0,
		.queue = command->sq->id,
		.command = command->entry.id,
		.status = status,
	};

	nvme_note_error(command->sq->nvme, &error);
}

void nvme_complete(struct nvme_command *command, enum nvme_status status, uint32_t result)
{
	struct nvme_sq *sq = command->sq;
	uint16_t told = (uint16_t)status;

	if (status != NVME_SUCCESS && status != NVME_ABORT_REQUESTED && status != NVME_COMPARE_FAILURE) {
		told |= NVME_MORE;
		note_failure(command, told);
	}
	g_clear_pointer(&command->bounce, g_free);
	command->active = false;
	command->next_free = sq->free;
	sq->free = command;
	sq->in_flight--;
	sq->cq->promised--;
	post(sq, command->entry.id, told, result);
	if (sq->deleting)
		nvme_try_delete(sq);
}
