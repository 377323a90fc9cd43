/* Log pages (NVM Express 1.4 section 5.14) and asynchronous events (section 5.2). */
#include "nvme_internal.h"

#include <string.h>

#define LOG_ERRORS 0x01
#define LOG_HEALTH 0x02
#define LOG_FIRMWARE 0x03
#define LOG_EFFECTS 0x05

#define RETAIN_EVENT (1u << 15) /* command dword 10 */
#define ERROR_SIZE 64u
#define UNIT 512000u            /* bytes of a data unit: 1000 sectors */

/* --- What the pages hold --- */

static unsigned error_log(const struct nvme *nvme, uint8_t *data)
{
	for (unsigned i = 0; i < NVME_ERRORS_MAX; i++) {
		const struct nvme_error *error = &nvme->errors[i];
		uint8_t *entry = data + i * ERROR_SIZE;

		if (!error->count)
			break;
		pci_set64(entry, error->count);
		pci_set16(entry + 8, error->queue);
		pci_set16(entry + 10, error->command);
		pci_set16(entry + 12, (uint16_t)(error->status << 1));
		pci_set16(entry + 14, 0xFFFF); /* of no one field */
		pci_set64(entry + 16, error->lba);
		pci_set32(entry + 24, error->queue ? NVME_NAMESPACE : 0);
	}
	return NVME_ERRORS_MAX * ERROR_SIZE;
}

static uint64_t units(uint64_t bytes)
{
	return bytes / UNIT + (bytes % UNIT != 0);
}

static unsigned health_log(const struct nvme *nvme, uint8_t *data)
{
	const struct block_statistics *statistics = block_statistics(nvme->block);
	const uint64_t hour = 3600 * NSEC_PER_SEC;

	data[0] = nvme_temperature_bad(nvme) ? 1 << 1 : 0;
	pci_set16(data + 1, NVME_TEMPERATURE);
	data[3] = 100; /* spare, and the threshold to it: percent */
	data[4] = 10;
	pci_set64(data + 32, units(statistics->by_operation[BLOCK_READ].bytes));
	pci_set64(data + 48, units(statistics->by_operation[BLOCK_WRITE].bytes));
	pci_set64(data + 64, statistics->by_operation[BLOCK_READ].operations);
	pci_set64(data + 80, statistics->by_operation[BLOCK_WRITE].operations);
	pci_set64(data + 112, 1); /* power cycles */
	pci_set64(data + 128, clock_now(&nvme->pci.device.vm->clock) / hour);
	pci_set64(data + 160, nvme->media_errors);
	pci_set64(data + 176, nvme->error_count);
	return 512;
}

static unsigned firmware_log(const struct nvme *nvme, uint8_t *data)
{
	(void)nvme;
	data[0] = 1; /* slot 1 is active */
	memcpy(data + 8, "1.0     ", 8);
	return 512;
}

static unsigned effects_log(const struct nvme *nvme, uint8_t *data)
{
	(void)nvme;
	nvme_admin_effects(data);
	nvme_io_effects(data);
	return NVME_PAGE;
}

/* fill: returns the page's size. */
static const struct log_page {
	unsigned (*fill)(const struct nvme *nvme, uint8_t *data);
	enum nvme_event event; /* that reading it lets through again; NVME_EVENTS: none */
} pages[] = {
	[LOG_ERRORS] = { error_log, NVME_EVENT_ERROR },
	[LOG_HEALTH] = { health_log, NVME_EVENT_HEALTH },
	[LOG_FIRMWARE] = { firmware_log, NVME_EVENTS },
	[LOG_EFFECTS] = { effects_log, NVME_EVENTS },
};

/* Behind the page's end come zeroes. */
static enum nvme_status give_page(struct nvme_command *command, const struct log_page *page)
{
	const uint32_t *word = command->entry.word;
	uint64_t length = ((uint64_t)(word[1] & 0xFFFF) << 16 | word[0] >> 16) * 4 + 4;
	uint64_t offset = word[2] | (uint64_t)word[3] << 32;
	g_autofree uint8_t *data = NULL;
	uint8_t whole[NVME_PAGE] = { 0 };
	unsigned size = page->fill(command->sq->nvme, whole);

	if (offset % 4 || offset > size || length > NVME_TRANSFER_MAX)
		return NVME_INVALID_FIELD;
	data = g_malloc0(length);
	memcpy(data, whole + offset, MIN(length, size - offset));
	return nvme_give(command, data, length);
}

void nvme_get_log_page(struct nvme_command *command)
{
	struct nvme *nvme = command->sq->nvme;
	unsigned id = command->entry.word[0] & 0xFF;
	uint32_t namespace = command->entry.namespace;
	enum nvme_status status;

	if (id >= G_N_ELEMENTS(pages) || !pages[id].fill) {
		nvme_complete(command, NVME_INVALID_LOG_PAGE, 0);
		return;
	}
	/* LPA says that health is not told for each namespace. */
	if (namespace && namespace != NVME_ALL_NAMESPACES && id == LOG_HEALTH) {
		nvme_complete(command, NVME_INVALID_FIELD, 0);
		return;
	}
	status = give_page(command, &pages[id]);
	if (!status && pages[id].event < NVME_EVENTS && !(command->entry.word[0] & RETAIN_EVENT))
		nvme->events[pages[id].event].masked = false;
	nvme_complete(command, status, 0);
}

void nvme_note_error(struct nvme *nvme, const struct nvme_error *error)
{
	memmove(nvme->errors + 1, nvme->errors, sizeof nvme->errors - sizeof nvme->errors[0]);
	nvme->errors[0] = *error;
	nvme->errors[0].count = ++nvme->error_count;
}

/* --- Events --- */

void nvme_raise_event(struct nvme *nvme, enum nvme_event event, uint8_t information)
{
	if (nvme->events[event].masked || nvme->events[event].pending)
		return;
	nvme->events[event].pending = true;
	nvme->events[event].information = information;
}

void nvme_deliver_events(struct nvme *nvme)
{
	static const uint8_t log[NVME_EVENTS] = { LOG_ERRORS, LOG_HEALTH };

	for (unsigned i = 0; i < NVME_EVENTS; i++) {
		if (!nvme->events[i].pending || !nvme->event_request_count || !nvme->cq[0] ||
		    !nvme_has_completion_room(nvme, nvme->cq[0]))
			continue;
		nvme->events[i].pending = false;
		nvme->events[i].masked = true;
		nvme->cq[0]->promised++;
		nvme_complete(nvme->event_requests[--nvme->event_request_count], NVME_SUCCESS,
			      i | (uint32_t)nvme->events[i].information << 8 | (uint32_t)log[i] << 16);
	}
}

/* Waits for an event; room for its completion is looked for then. */
void nvme_async_event(struct nvme_command *command)
{
	struct nvme *nvme = command->sq->nvme;

	if (nvme->event_request_count == NVME_EVENTS_MAX) {
		nvme_complete(command, NVME_EVENT_LIMIT, 0);
		return;
	}
	nvme->event_requests[nvme->event_request_count++] = command;
	command->sq->cq->promised--;
}
