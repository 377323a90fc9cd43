/* The controller: its registers (NVM Express 1.4 section 3.1), resets, shutdown, and its creation. */
#include "nvme_internal.h"

#include <string.h>

#define BAR_MSIX 4
#define REGISTERS_SIZE 0x2000

#define VENDOR 0x1B36
#define DEVICE 0x0010

/*
 * Up to 1024 entries in a queue, which has to be contiguous; 10 s to become ready; the NVM command set; pages of 4 KiB;
 * doorbells 4 bytes apart.
 */
#define CAP_VALUE ((uint64_t)(NVME_QUEUE_ENTRIES - 1) | 1ull << 16 | 20ull << 24 | 1ull << 37)
#define VS_VALUE 0x00010400u

/* So much is started by one entry into the controller, for which others wait; the rest follows on the I/O thread. */
#define BUDGET 1024u

#define COMPANY 4u              /* a message is held back while so many times more are under way, */
#define MESSAGE_DELAY 100000u   /* but not longer than so many nanoseconds */

enum {
	REGISTER_CAP = 0x00,
	REGISTER_VS = 0x08,
	REGISTER_INTMS = 0x0C,
	REGISTER_INTMC = 0x10,
	REGISTER_CC = 0x14,
	REGISTER_CSTS = 0x1C,
	REGISTER_AQA = 0x24,
	REGISTER_ASQ = 0x28,
	REGISTER_ACQ = 0x30,
};

static struct nvme *from_device(struct device *device)
{
	return (struct nvme *)device;
}

struct device *nvme_device(struct nvme *nvme)
{
	return &nvme->pci.device;
}

/* --- Interrupts --- */

/* Without messages the pin shows that a queue has completions that the guest has not taken (section 7.5.1). */
void nvme_update_interrupt(struct nvme *nvme)
{
	bool messages = pci_msix_enabled(&nvme->pci);
	uint32_t vectors = 0;

	if (!messages)
		nvme_look_at_heads(nvme);
	for (unsigned i = 0; i <= nvme->queues && !messages; i++) {
		const struct nvme_cq *cq = nvme->cq[i];

		if (cq && cq->interrupts && cq->head != cq->tail)
			vectors |= 1u << cq->vector % 32;
	}
	pci_set_intx(&nvme->pci, vectors & ~nvme->intms);
}

/*
 * While much more is under way than has completed, a message waits a little for company: a guest that keeps the queue
 * full is better off with fewer of them, as is the host's thread that does the rest meanwhile.
 */
static bool can_wait(const struct nvme_cq *cq)
{
	return cq->posted * COMPANY < cq->promised;
}

static void send_messages(struct nvme *nvme, bool all)
{
	bool messages = pci_msix_enabled(&nvme->pci), held = false;

	for (unsigned i = 0; i <= nvme->queues; i++) {
		struct nvme_cq *cq = nvme->cq[i];

		if (!cq || !cq->posted)
			continue;
		if (messages && cq->interrupts && !all && can_wait(cq)) {
			held = true;
			continue;
		}
		cq->posted = 0;
		if (messages && cq->interrupts)
			pci_msix_notify(&nvme->pci, cq->vector);
	}
	if (!messages)
		nvme_update_interrupt(nvme);
	if (held && !nvme->message.pending)
		timer_set(&nvme->message, clock_now(&nvme->pci.device.vm->clock) + MESSAGE_DELAY);
}

static void send_held(void *opaque)
{
	send_messages(opaque, true);
}

/* --- Running --- */

void nvme_process(struct nvme *nvme)
{
	unsigned budget = BUDGET;
	bool more;

	if (nvme->processing || nvme->discarding)
		return;
	nvme->processing = true;
	do {
		more = nvme_start_commands(nvme, &budget);
		block_kick(nvme->block);
		more |= block_poll(nvme->block) != 0;
	} while (more && budget);
	nvme_deliver_events(nvme);
	nvme->processing = false;
	send_messages(nvme, false);
	/* Other vCPUs may feed the queues, by shadow doorbells, for as long as they like. */
	if (!budget && nvme_has_work(nvme))
		timer_set(&nvme->resume, clock_now(&nvme->pci.device.vm->clock));
}

static void resume(void *opaque)
{
	struct nvme *nvme = opaque;

	if (nvme->restart) {
		nvme->restart = false;
		nvme_restart_commands(nvme);
	}
	if ((nvme->csts & CSTS_SHST) == CSTS_SHST_OCCURRING)
		nvme_shut_down(nvme);
	nvme_process(nvme);
}

static gboolean block_ready(gint fd, GIOCondition condition, gpointer opaque)
{
	(void)fd;
	(void)condition;
	nvme_process(opaque);
	return G_SOURCE_CONTINUE;
}

static void trouble(struct block *block, int error, const char *message, void *opaque)
{
	struct nvme *nvme = opaque;

	(void)block;
	(void)error;
	vm_request(nvme->pci.device.vm, VM_REQUEST_PAUSE, message);
}

/* --- Enabling, disabling, shutting down --- */

/* Nothing of what ran touches guest memory or queues once this returns. */
static void stop(struct nvme *nvme)
{
	timer_cancel(&nvme->resume);
	timer_cancel(&nvme->message);
	nvme->discarding = true;
	/* Nobody is left for whom trouble should keep a request. */
	block_set_trouble_handler(nvme->block, NULL, NULL);
	block_cancel(nvme->block);
	block_drain(nvme->block);
	block_set_trouble_handler(nvme->block, trouble, nvme);
	nvme->flushing = nvme->restart = false;
	for (unsigned i = 0; i < NVME_QUEUE_IDS; i++) {
		if (nvme->sq[i])
			nvme_sq_free(nvme, nvme->sq[i]);
	}
	for (unsigned i = 0; i < NVME_QUEUE_IDS; i++) {
		if (nvme->cq[i])
			nvme_cq_free(nvme, nvme->cq[i]);
	}
	nvme->event_request_count = 0;
	nvme->shadow_page = nvme->event_index_page = NULL;
	nvme->shadow = nvme->event_index = 0;
	memset(nvme->events, 0, sizeof nvme->events);
	nvme_reset_features(nvme);
	nvme->discarding = false;
}

/* Section 7.3.2: what configures the admin queue stays. */
static void controller_reset(struct nvme *nvme)
{
	stop(nvme);
	nvme->csts = 0;
	nvme->intms = 0;
	nvme_update_interrupt(nvme);
}

static void fatal(struct nvme *nvme, const char *what)
{
	log_guest_error(&nvme->complaints, "nvme", "%s", what);
	nvme->csts |= CSTS_CFS;
}

static void enable(struct nvme *nvme)
{
	uint16_t submissions = (nvme->aqa & 0xFFF) + 1, completions = (nvme->aqa >> 16 & 0xFFF) + 1;

	/* A shutdown may have been asked for while it was disabled. */
	stop(nvme);
	nvme->csts = 0;
	if (nvme->cc & (CC_MPS | CC_AMS | CC_CSS)) {
		fatal(nvme, "the controller was enabled with a page size, arbitration or command set that it lacks");
		return;
	}
	if (submissions < 2 || completions < 2) {
		fatal(nvme, "an admin queue has only one entry");
		return;
	}
	nvme->cq[0] = nvme_cq_new(nvme, 0, nvme->acq, completions);
	nvme->sq[0] = nvme->cq[0] ? nvme_sq_new(nvme, 0, nvme->asq, submissions, nvme->cq[0]) : NULL;
	if (!nvme->sq[0]) {
		if (nvme->cq[0])
			nvme_cq_free(nvme, nvme->cq[0]);
		fatal(nvme, "an admin queue is not in RAM");
		return;
	}
	nvme->cq[0]->interrupts = true;
	nvme->csts |= CSTS_RDY;
}

static void shutdown_done(struct block_request *request, int error)
{
	struct nvme *nvme = (struct nvme *)((char *)request - G_STRUCT_OFFSET(struct nvme, shutdown_flush));

	if (nvme->discarding)
		return;
	nvme->flushing = false;
	if (error)
		g_warning("%s: the guest shuts down, and what it wrote last may be lost: %s", block_path(nvme->block),
			  g_strerror(error));
	nvme->csts = (nvme->csts & ~CSTS_SHST) | CSTS_SHST_COMPLETE;
}

void nvme_shut_down(struct nvme *nvme)
{
	if (nvme->flushing)
		return;
	nvme->flushing = true;
	nvme->csts = (nvme->csts & ~CSTS_SHST) | CSTS_SHST_OCCURRING;
	nvme->shutdown_flush = (struct block_request){ .operation = BLOCK_FLUSH, .done = shutdown_done };
	block_submit(nvme->block, &nvme->shutdown_flush);
	nvme_process(nvme);
}

static void write_cc(struct nvme *nvme, uint32_t value)
{
	uint32_t before = nvme->cc;

	nvme->cc = value & CC_WRITABLE;
	if (before & CC_EN && !(value & CC_EN))
		controller_reset(nvme);
	else if (!(before & CC_EN) && value & CC_EN)
		enable(nvme);
	/* 01b normal, 10b abrupt: what was written is safe in either case. */
	if (value & CC_SHN && !(before & CC_SHN))
		nvme_shut_down(nvme);
}

/* --- Registers --- */

static uint32_t register_read(struct nvme *nvme, unsigned offset)
{
	switch (offset) {
	case REGISTER_CAP: return (uint32_t)CAP_VALUE;
	case REGISTER_CAP + 4: return (uint32_t)(CAP_VALUE >> 32);
	case REGISTER_VS: return VS_VALUE;
	case REGISTER_INTMS:
	case REGISTER_INTMC: return nvme->intms;
	case REGISTER_CC: return nvme->cc;
	case REGISTER_CSTS: return nvme->csts;
	case REGISTER_AQA: return nvme->aqa;
	case REGISTER_ASQ: return (uint32_t)nvme->asq;
	case REGISTER_ASQ + 4: return (uint32_t)(nvme->asq >> 32);
	case REGISTER_ACQ: return (uint32_t)nvme->acq;
	case REGISTER_ACQ + 4: return (uint32_t)(nvme->acq >> 32);
	default: return 0;
	}
}

static void write_half(uint64_t *base, unsigned shift, uint32_t value)
{
	*base = ((*base & ~(0xFFFFFFFFull << shift)) | (uint64_t)value << shift) & ~(uint64_t)(NVME_PAGE - 1);
}

static void register_write(struct nvme *nvme, unsigned offset, uint32_t value)
{
	bool enabled = nvme->cc & CC_EN;

	switch (offset) {
	case REGISTER_INTMS: nvme->intms |= value; break;
	case REGISTER_INTMC: nvme->intms &= ~value; break;
	case REGISTER_CC: write_cc(nvme, value); return;
	case REGISTER_AQA: nvme->aqa = enabled ? nvme->aqa : value & 0x0FFF0FFF; return;
	/* These four may not be written while the controller is enabled. */
	case REGISTER_ASQ: case REGISTER_ASQ + 4:
		if (!enabled)
			write_half(&nvme->asq, offset % 8 * 8, value);
		return;
	case REGISTER_ACQ: case REGISTER_ACQ + 4:
		if (!enabled)
			write_half(&nvme->acq, offset % 8 * 8, value);
		return;
	default: return;
	}
	nvme_update_interrupt(nvme);
}

/* Section 3.1: accesses are as wide as the register, or of 32 bits; reads of parts do no harm. */
static uint64_t mmio_read(void *opaque, uint64_t offset, unsigned size)
{
	unsigned base = (unsigned)offset & ~7u;
	uint64_t value = register_read(opaque, base) | (uint64_t)register_read(opaque, base + 4) << 32;

	(void)size;
	return value >> (offset % 8 * 8);
}

static void mmio_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct nvme *nvme = opaque;

	if (size < 4 || offset % size) {
		log_guest_error(&nvme->complaints, "nvme", "register at 0x%x written with %u bytes", (unsigned)offset, size);
		return;
	}
	for (unsigned i = 0; i < size; i += 4, offset += 4, value >>= 32) {
		if (offset >= NVME_DOORBELLS)
			nvme_doorbell(nvme, (unsigned)(offset - NVME_DOORBELLS) / 4, (uint32_t)value);
		else
			register_write(nvme, (unsigned)offset, (uint32_t)value);
	}
}

static const struct bus_ops mmio_ops = { mmio_read, mmio_write };

/* --- The device --- */

void nvme_power_on(struct nvme *nvme)
{
	controller_reset(nvme);
	nvme->cc = nvme->aqa = 0;
	nvme->asq = nvme->acq = 0;
	memset(nvme->errors, 0, sizeof nvme->errors);
	nvme->error_count = 0;
}

static void nvme_reset(struct device *device)
{
	pci_device_reset(&from_device(device)->pci);
	nvme_power_on(from_device(device));
}

static void nvme_destroy(struct device *device)
{
	struct nvme *nvme = from_device(device);

	stop(nvme);
	loop_remove(nvme->watch);
	block_close(nvme->block);
	pci_unplug(&nvme->pci);
	g_free(nvme);
}

/* Without bus mastering commands wait in their queues; without messages the pin speaks, and heads may not come late. */
static void config_written(struct pci_device *device, unsigned offset, unsigned size)
{
	struct nvme *nvme = (struct nvme *)device;

	(void)offset;
	(void)size;
	nvme_place_doorbells(nvme);
	nvme_update_interrupt(nvme);
	nvme_process(nvme);
}

static void add_capabilities(struct pci_device *pci, unsigned vectors)
{
	unsigned power = pci_add_capability(pci, PCI_CAP_ID_PM, PCI_PM_SIZEOF), express;

	pci_set16(pci->config + power + PCI_PM_PMC, 3);
	pci_set16(pci->config + power + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
	pci_set16(pci->writable + power + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK);
	express = pci_add_capability(pci, PCI_CAP_ID_EXP, PCI_CAP_EXP_RC_ENDPOINT_SIZEOF_V2);
	pci_set16(pci->config + express + PCI_EXP_FLAGS, 2 | PCI_EXP_TYPE_RC_END << 4);
	pci_set32(pci->config + express + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER);
	pci_set16(pci->writable + express + PCI_EXP_DEVCTL, 0x7FFF);
	pci_add_msix(pci, BAR_MSIX, vectors);
}

struct nvme *nvme_new(struct vm *vm, struct pci_bus *bus, struct block *block, const struct nvme_options *options)
{
	static const struct pci_identity identity = {
		.vendor = VENDOR, .device = DEVICE, .subsystem_vendor = 0x1AF4, .subsystem = 0x1100,
		.revision = 2, .class_code = 0x010802, .interrupt_pin = 1,
	};
	struct nvme *nvme = g_new0(struct nvme, 1);

	g_snprintf(nvme->device_name, sizeof nvme->device_name, "nvme%02x", options->devfn);
	nvme->ops = (struct device_ops){ nvme->device_name, nvme_reset, nvme_state, nvme_destroy };
	nvme->pci.device = (struct device){ &nvme->ops, vm };
	nvme->block = block;
	nvme->ssd = options->ssd;
	nvme->sectors = block_size(block) / NVME_SECTOR;
	nvme->queues = CLAMP(options->queues, 1, NVME_QUEUES_MAX);
	nvme_derive_names(nvme, options->serial);
	timer_init(&nvme->resume, &vm->clock, resume, nvme);
	timer_init(&nvme->message, &vm->clock, send_held, nvme);
	pci_device_init(&nvme->pci, &identity);
	nvme->pci.config_written = config_written;
	/* SeaBIOS reaches only what is below 4 GiB. */
	pci_bar_registers(&nvme->pci, NVME_BAR_REGISTERS, PCI_BAR_MEMORY32, REGISTERS_SIZE, &mmio_ops, nvme, "nvme");
	add_capabilities(&nvme->pci, nvme->queues + 1);
	pci_plug(bus, &nvme->pci, options->devfn);
	nvme->watch = loop_watch(&vm->loop, block_event_fd(block), G_IO_IN, block_ready, nvme);
	nvme_power_on(nvme);
	return nvme;
}

/* --- What the user does --- */

void nvme_retry(struct nvme *nvme)
{
	block_retry(nvme->block);
	nvme_process(nvme);
}

void nvme_fail(struct nvme *nvme)
{
	block_fail(nvme->block);
	nvme_process(nvme);
}

bool nvme_has_room(struct nvme *nvme)
{
	return block_has_room(nvme->block);
}

void nvme_drain(struct nvme *nvme)
{
	/* What the queues still have stays there. */
	nvme->processing = true;
	block_drain(nvme->block);
	nvme->processing = false;
	send_messages(nvme, true);
	timer_set(&nvme->resume, clock_now(&nvme->pci.device.vm->clock));
}

const struct block_statistics *nvme_statistics(const struct nvme *nvme)
{
	return block_statistics(nvme->block);
}
