/* Event rings and interrupters (sections 4.9.4 and 4.17). */
#include "xhci_internal.h"

#define ERST_ENTRY 16
#define SEGMENT_TRBS_MIN 16
#define SEGMENT_TRBS_MAX 4096
#define IMOD_UNIT 250 /* ns */
#define IMODI 0xFFFFu
#define IMOD_RESET 4000

static unsigned number_of(const struct xhci_interrupter *interrupter)
{
	return (unsigned)(interrupter - interrupter->xhci->interrupters);
}

/* --- The ring --- */

static unsigned ring_size(const struct xhci_interrupter *interrupter)
{
	unsigned size = 0;

	for (unsigned i = 0; i < interrupter->segment_count; i++)
		size += interrupter->segments[i].size;
	return size;
}

static unsigned enqueue_place(const struct xhci_interrupter *interrupter)
{
	unsigned place = interrupter->index;

	for (unsigned i = 0; i < interrupter->segment; i++)
		place += interrupter->segments[i].size;
	return place;
}

/* Where software reads, counted from the ring's start; a pointer to somewhere else counts as caught up. */
static unsigned dequeue_place(const struct xhci_interrupter *interrupter)
{
	uint64_t pointer = interrupter->erdp & ~15ull;
	unsigned place = 0;

	for (unsigned i = 0; i < interrupter->segment_count; i++) {
		uint64_t offset = pointer - interrupter->segments[i].base;

		if (offset < (uint64_t)interrupter->segments[i].size * TRB_SIZE)
			return place + (unsigned)(offset / TRB_SIZE);
		place += interrupter->segments[i].size;
	}
	return enqueue_place(interrupter);
}

static unsigned room(const struct xhci_interrupter *interrupter)
{
	unsigned size = ring_size(interrupter);

	return (dequeue_place(interrupter) + size - enqueue_place(interrupter) + size - 1) % size;
}

static bool put(struct xhci_interrupter *interrupter, const struct xhci_trb *event)
{
	struct xhci *xhci = interrupter->xhci;
	uint64_t address = interrupter->segments[interrupter->segment].base + interrupter->index * TRB_SIZE;
	uint8_t *place = memory_ptr(xhci_memory(xhci), address, TRB_SIZE);

	if (!place) {
		xhci_host_error(xhci, "event ring", address);
		return false;
	}
	pci_set64(place, event->parameter);
	pci_set32(place + 8, event->status);
	/* The cycle bit hands the TRB over, so it comes last. */
	__atomic_store_n((uint32_t *)(void *)(place + 12),
			 GUINT32_TO_LE((event->control & ~TRB_CYCLE) | interrupter->cycle), __ATOMIC_RELEASE);
	if (++interrupter->index < interrupter->segments[interrupter->segment].size)
		return true;
	interrupter->index = 0;
	if (++interrupter->segment == interrupter->segment_count) {
		interrupter->segment = 0;
		interrupter->cycle = !interrupter->cycle;
	}
	return true;
}

static bool enqueue(struct xhci_interrupter *interrupter, const struct xhci_trb *event)
{
	static const struct xhci_trb full = { .status = (uint32_t)CC_EVENT_RING_FULL << 24,
					      .control = TRB_HOST_CONTROLLER << 10 };
	unsigned free = room(interrupter);

	if (free > 1)
		return put(interrupter, event);
	/* The last place is for saying so (section 4.9.4). */
	if (free == 1)
		put(interrupter, &full);
	return false;
}

bool xhci_events_blocked(const struct xhci *xhci)
{
	for (unsigned i = 0; i < XHCI_INTERRUPTERS; i++)
		if (xhci->interrupters[i].pending_count)
			return true;
	return false;
}

static void flush_pending(struct xhci_interrupter *interrupter)
{
	unsigned done = 0;

	while (done < interrupter->pending_count && interrupter->segment_count && room(interrupter) > 1 &&
	       put(interrupter, &interrupter->pending[done]))
		done++;
	if (!done)
		return;
	interrupter->pending_count = (uint8_t)(interrupter->pending_count - done);
	memmove(interrupter->pending, interrupter->pending + done,
		interrupter->pending_count * sizeof interrupter->pending[0]);
	if (!xhci_events_blocked(interrupter->xhci))
		xhci_resume_later(interrupter->xhci, 0);
}

void xhci_erstba_written(struct xhci_interrupter *interrupter)
{
	unsigned count = MIN(interrupter->erstsz, XHCI_SEGMENTS);

	interrupter->segment_count = 0;
	interrupter->segment = 0;
	interrupter->index = 0;
	interrupter->cycle = true;
	for (unsigned i = 0; i < count; i++) {
		uint8_t entry[ERST_ENTRY];
		uint32_t size;

		if (!memory_read(xhci_memory(interrupter->xhci), interrupter->erstba + i * ERST_ENTRY, entry, sizeof entry))
			return;
		size = pci_get32(entry + 8) & 0xFFFF;
		if (size < SEGMENT_TRBS_MIN || size > SEGMENT_TRBS_MAX) {
			log_guest_error(&interrupter->xhci->complaints, "xhci", "event ring segment of %u TRBs", size);
			return;
		}
		interrupter->segments[i].base = pci_get64(entry) & ~63ull;
		interrupter->segments[i].size = size;
	}
	interrupter->segment_count = (uint8_t)count;
}

/* --- Interrupts --- */

static void update_intx(struct xhci *xhci)
{
	bool level = false;

	for (unsigned i = 0; i < XHCI_INTERRUPTERS; i++)
		level |= (xhci->interrupters[i].iman & (IMAN_IP | IMAN_IE)) == (IMAN_IP | IMAN_IE);
	pci_set_intx(&xhci->pci, level && xhci->usbcmd & USBCMD_INTE && !pci_msi_enabled(&xhci->pci) &&
		     !pci_msix_enabled(&xhci->pci));
}

/* Section 4.17.5: a message clears IP by itself; a pin stays up until software does. */
static void raise_interrupt(struct xhci_interrupter *interrupter)
{
	struct xhci *xhci = interrupter->xhci;

	if ((interrupter->iman & (IMAN_IP | IMAN_IE)) == (IMAN_IP | IMAN_IE) && xhci->usbcmd & USBCMD_INTE) {
		if (pci_msix_enabled(&xhci->pci)) {
			interrupter->iman &= ~IMAN_IP;
			pci_msix_notify(&xhci->pci, number_of(interrupter));
		} else if (pci_msi_enabled(&xhci->pci)) {
			interrupter->iman &= ~IMAN_IP;
			pci_msi_notify(&xhci->pci);
		}
	}
	update_intx(xhci);
}

void xhci_update_interrupt(struct xhci *xhci)
{
	for (unsigned i = 0; i < XHCI_INTERRUPTERS; i++)
		raise_interrupt(&xhci->interrupters[i]);
}

/* Section 4.17.2: tells of waiting events unless the handler is busy, and not too often. */
static void consider(struct xhci_interrupter *interrupter)
{
	uint64_t now = clock_now(&interrupter->xhci->pci.device.vm->clock);

	if (!interrupter->wanted || interrupter->erdp & ERDP_EHB || interrupter->iman & IMAN_IP)
		return;
	if (now < interrupter->quiet_until) {
		timer_set(&interrupter->moderation, interrupter->quiet_until);
		return;
	}
	interrupter->quiet_until = now + (uint64_t)(interrupter->imod & IMODI) * IMOD_UNIT;
	interrupter->wanted = false;
	interrupter->iman |= IMAN_IP;
	interrupter->erdp |= ERDP_EHB;
	interrupter->xhci->usbsts |= USBSTS_EINT;
	raise_interrupt(interrupter);
}

static void moderation_over(void *opaque)
{
	consider(opaque);
}

void xhci_erdp_written(struct xhci_interrupter *interrupter, bool clear_busy)
{
	if (clear_busy)
		interrupter->erdp &= ~(uint64_t)ERDP_EHB;
	if (!interrupter->segment_count)
		return;
	flush_pending(interrupter);
	if (dequeue_place(interrupter) == enqueue_place(interrupter))
		interrupter->wanted = false;
	else if (clear_busy)
		interrupter->wanted = true;
	consider(interrupter);
}

void xhci_iman_written(struct xhci_interrupter *interrupter)
{
	consider(interrupter);
	raise_interrupt(interrupter);
}

void xhci_post(struct xhci *xhci, unsigned number, const struct xhci_trb *event, bool block)
{
	struct xhci_interrupter *interrupter = &xhci->interrupters[number < XHCI_INTERRUPTERS ? number : 0];

	if (!xhci_running(xhci))
		return;
	if (!interrupter->segment_count) {
		log_guest_error(&xhci->complaints, "xhci", "interrupter %u has no event ring", number_of(interrupter));
		return;
	}
	if (interrupter->pending_count || !enqueue(interrupter, event)) {
		if (interrupter->pending_count < XHCI_PENDING)
			interrupter->pending[interrupter->pending_count++] = *event;
		else
			log_guest_error(&xhci->complaints, "xhci", "event ring %u is not emptied", number_of(interrupter));
	}
	if (!block)
		interrupter->wanted = true;
	consider(interrupter);
}

/* --- Reset and state --- */

void xhci_interrupter_init(struct xhci *xhci, unsigned number)
{
	struct xhci_interrupter *interrupter = &xhci->interrupters[number];

	interrupter->xhci = xhci;
	timer_init(&interrupter->moderation, &xhci->pci.device.vm->clock, moderation_over, interrupter);
}

void xhci_interrupter_reset(struct xhci_interrupter *interrupter)
{
	timer_cancel(&interrupter->moderation);
	interrupter->iman = interrupter->erstsz = 0;
	interrupter->imod = IMOD_RESET;
	interrupter->erstba = interrupter->erdp = 0;
	interrupter->segment_count = interrupter->segment = 0;
	interrupter->index = 0;
	interrupter->cycle = true;
	interrupter->wanted = false;
	interrupter->pending_count = 0;
	interrupter->quiet_until = 0;
}

static void state_ring(struct xhci_interrupter *interrupter, struct state *state, const char *prefix)
{
	char field[USB_FIELD_MAX];

	state_bytes(state, usb_field(field, prefix, "segments"), interrupter->segments, sizeof interrupter->segments);
	state_u8(state, usb_field(field, prefix, "segment_count"), &interrupter->segment_count);
	state_u8(state, usb_field(field, prefix, "segment"), &interrupter->segment);
	state_u16(state, usb_field(field, prefix, "index"), &interrupter->index);
	state_bool(state, usb_field(field, prefix, "cycle"), &interrupter->cycle);
	state_bool(state, usb_field(field, prefix, "wanted"), &interrupter->wanted);
	state_u8(state, usb_field(field, prefix, "pending_count"), &interrupter->pending_count);
	state_bytes(state, usb_field(field, prefix, "pending"), interrupter->pending, sizeof interrupter->pending);
}

static bool ring_is_valid(const struct xhci_interrupter *interrupter)
{
	if (interrupter->segment_count > XHCI_SEGMENTS || interrupter->pending_count > XHCI_PENDING)
		return false;
	for (unsigned i = 0; i < interrupter->segment_count; i++)
		if (interrupter->segments[i].size < SEGMENT_TRBS_MIN || interrupter->segments[i].size > SEGMENT_TRBS_MAX)
			return false;
	if (!interrupter->segment_count)
		return !interrupter->segment && !interrupter->index;
	return interrupter->segment < interrupter->segment_count &&
	       interrupter->index < interrupter->segments[interrupter->segment].size;
}

void xhci_interrupter_state(struct xhci_interrupter *interrupter, struct state *state, const char *prefix)
{
	uint64_t now = clock_now(&interrupter->xhci->pci.device.vm->clock), quiet;
	char field[USB_FIELD_MAX];

	quiet = interrupter->quiet_until > now ? interrupter->quiet_until - now : 0;
	state_u32(state, usb_field(field, prefix, "iman"), &interrupter->iman);
	state_u32(state, usb_field(field, prefix, "imod"), &interrupter->imod);
	state_u32(state, usb_field(field, prefix, "erstsz"), &interrupter->erstsz);
	state_u64(state, usb_field(field, prefix, "erstba"), &interrupter->erstba);
	state_u64(state, usb_field(field, prefix, "erdp"), &interrupter->erdp);
	state_u64(state, usb_field(field, prefix, "quiet"), &quiet);
	state_ring(interrupter, state, prefix);
	if (!state_loading(state))
		return;
	interrupter->iman &= IMAN_IP | IMAN_IE;
	interrupter->quiet_until = now + MIN(quiet, (uint64_t)IMODI * IMOD_UNIT);
	if (!ring_is_valid(interrupter)) {
		state_fail(state, "event ring %s", prefix);
		interrupter->segment_count = interrupter->segment = interrupter->pending_count = 0;
		interrupter->index = 0;
	}
	if (interrupter->wanted)
		timer_set(&interrupter->moderation, interrupter->quiet_until);
}
