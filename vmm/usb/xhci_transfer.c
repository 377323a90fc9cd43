/* Transfer rings: transfer descriptors to the device, and what became of them to the event ring (section 4.11). */
#include "xhci_internal.h"

#define TRBS_MAX 4096 /* in one transfer descriptor: 16 MiB in pages */
#define TRBS_KEPT 64  /* memory for more is given back */
#define AT_ONCE 256   /* descriptors, before others get a turn */
#define TRB_LENGTH 0x1FFFFu

static struct xhci *xhci_of(const struct xhci_endpoint *endpoint)
{
	return endpoint->slot->xhci;
}

static bool is_data(const struct xhci_trb *trb)
{
	enum trb_type type = trb_type(trb);

	return type == TRB_NORMAL || type == TRB_DATA || type == TRB_ISOCH;
}

static uint32_t data_length(const struct xhci_trb *trb)
{
	return is_data(trb) ? trb->status & TRB_LENGTH : 0;
}

static bool is_in(const struct xhci_endpoint *endpoint)
{
	return endpoint->dci > 1 ? endpoint->dci & 1 : endpoint->setup.request & 0x8000;
}

/* --- Events --- */

static void post(struct xhci_endpoint *endpoint, const struct xhci_trb *trb, enum completion code, uint32_t length,
		 bool event_data)
{
	struct xhci_trb event = {
		.parameter = event_data ? trb->parameter : trb->address,
		.status = (uint32_t)code << 24 | (length & 0xFFFFFF),
		.control = (uint32_t)endpoint->slot->id << 24 | (uint32_t)endpoint->dci << 16 | TRB_TRANSFER_EVENT << 10 |
			   (event_data ? TRB_EVENT_IS_DATA : 0),
	};

	xhci_post(xhci_of(endpoint), trb->status >> 22, &event, trb->control & TRB_BEI);
}

void xhci_post_transfer(struct xhci_endpoint *endpoint, const struct xhci_trb *trb, enum completion code,
			uint32_t residue)
{
	post(endpoint, trb, code, residue, false);
}

static enum completion completion_of(enum usb_status status)
{
	switch (status) {
	case USB_DONE:
		return CC_SUCCESS;
	case USB_STALL:
		return CC_STALL;
	case USB_BABBLE:
		return CC_BABBLE;
	default:
		return CC_TRANSACTION_ERROR;
	}
}

/*
 * Section 4.11.5.2: what was moved is spread over the TRBs in their order. A TRB is told if it wants to be, if it is
 * the first that was not filled and asks for that, or if the transfer failed there.
 */
static void report(struct xhci_endpoint *endpoint, enum completion code, size_t moved)
{
	size_t left = moved;
	uint32_t sum = 0;
	bool told = false, is_short = false;

	for (unsigned i = 0; i < endpoint->trb_count; i++) {
		const struct xhci_trb *trb = &endpoint->trbs[i];
		uint32_t length = data_length(trb), chunk = (uint32_t)MIN(length, left);
		bool first_short = chunk < length && !is_short;
		enum completion said;

		left -= chunk;
		sum += chunk;
		is_short |= chunk < length;
		if (code != CC_SUCCESS) {
			if (chunk < length || i + 1 == endpoint->trb_count) {
				post(endpoint, trb, code, length - chunk, false);
				return;
			}
			continue;
		}
		said = is_short ? CC_SHORT_PACKET : CC_SUCCESS;
		if (trb_type(trb) == TRB_EVENT_DATA) {
			if (trb->control & TRB_IOC)
				post(endpoint, trb, said, sum, true);
			sum = 0;
		} else if (!told && (trb->control & TRB_IOC || (first_short && trb->control & TRB_ISP))) {
			post(endpoint, trb, said, length - chunk, false);
			told = is_short;
		}
	}
}

/* --- Transfer descriptors --- */

static void keep_trb(struct xhci_endpoint *endpoint, const struct xhci_trb *trb)
{
	if (endpoint->trb_count == endpoint->trb_capacity) {
		endpoint->trb_capacity = MAX(4, endpoint->trb_capacity * 2);
		endpoint->trbs = g_renew(struct xhci_trb, endpoint->trbs, endpoint->trb_capacity);
	}
	endpoint->trbs[endpoint->trb_count++] = *trb;
}

static bool add_buffer(struct xhci_endpoint *endpoint, uint64_t address, uint32_t length)
{
	void *buffer = memory_ptr(xhci_memory(xhci_of(endpoint)), address, length);
	struct iovec *last = endpoint->iov_count ? &endpoint->iov[endpoint->iov_count - 1] : NULL;

	if (!buffer)
		return false;
	endpoint->transfer.length += length;
	if (last && (char *)last->iov_base + last->iov_len == buffer) {
		last->iov_len += length;
		return true;
	}
	if (endpoint->iov_count == endpoint->iov_capacity) {
		endpoint->iov_capacity = MAX(4, endpoint->iov_capacity * 2);
		endpoint->iov = g_renew(struct iovec, endpoint->iov, endpoint->iov_capacity);
	}
	endpoint->iov[endpoint->iov_count++] = (struct iovec){ buffer, length };
	return true;
}

/* Takes one descriptor: all that is chained. Nothing is taken of one that the guest has not finished yet. */
static enum fetch_result take_descriptor(struct xhci_endpoint *endpoint)
{
	struct xhci_ring ring = endpoint->ring;
	struct xhci_trb trb;

	endpoint->trb_count = 0;
	do {
		enum fetch_result result = xhci_fetch(xhci_of(endpoint), &ring, &trb);

		if (result != FETCH_TRB)
			return result;
		if (endpoint->trb_count == TRBS_MAX)
			return FETCH_BAD;
		keep_trb(endpoint, &trb);
	} while (trb.control & TRB_CHAIN);
	endpoint->next = ring;
	return FETCH_TRB;
}

/* Finds the buffers; false: a TRB that has no place here, or a buffer that is not RAM. */
static bool map_buffers(struct xhci_endpoint *endpoint)
{
	endpoint->iov_count = 0;
	endpoint->transfer.length = 0;
	for (unsigned i = 0; i < endpoint->trb_count; i++) {
		const struct xhci_trb *trb = &endpoint->trbs[i];
		uint32_t length = data_length(trb);
		enum trb_type type = trb_type(trb);

		if (!is_data(trb) && type != TRB_EVENT_DATA && type != TRB_NO_OP && type != TRB_STATUS)
			return false;
		/* An Isoch TRB is the first of each descriptor there, and of none anywhere else. */
		if ((type == TRB_ISOCH) != (i == 0 && xhci_is_isoch(endpoint) && type != TRB_NO_OP))
			return false;
		if (!length)
			continue;
		/* Immediate data stands in the TRB, which is RAM too (section 6.4.1.1). */
		if (trb->control & TRB_IDT && (length > 8 || is_in(endpoint)))
			return false;
		if (!add_buffer(endpoint, trb->control & TRB_IDT ? trb->address : trb->parameter, length))
			return false;
	}
	return true;
}

static void free_memory(struct xhci_endpoint *endpoint)
{
	if (endpoint->trb_capacity > TRBS_KEPT) {
		g_clear_pointer(&endpoint->trbs, g_free);
		endpoint->trb_capacity = 0;
	}
	if (endpoint->iov_capacity > TRBS_KEPT) {
		g_clear_pointer(&endpoint->iov, g_free);
		endpoint->iov_capacity = 0;
	}
}

static void finish(struct xhci_endpoint *endpoint, enum completion code, size_t moved)
{
	endpoint->busy = false;
	endpoint->device = NULL;
	/* A halted endpoint stays at the descriptor that failed (section 4.8.3); isochronous ones go on. */
	if (code == CC_SUCCESS || (xhci_is_isoch(endpoint) && code != CC_TRB_ERROR))
		endpoint->ring = endpoint->next;
	else
		xhci_endpoint_set_state(endpoint, xhci_is_isoch(endpoint) ? ENDPOINT_ERROR : ENDPOINT_HALTED);
	report(endpoint, code, moved);
	free_memory(endpoint);
}

static void transfer_done(struct usb_transfer *transfer)
{
	struct xhci_endpoint *endpoint = (struct xhci_endpoint *)((char *)transfer -
					 G_STRUCT_OFFSET(struct xhci_endpoint, transfer));

	endpoint->device->transfers++;
	finish(endpoint, xhci_is_isoch(endpoint) ? xhci_isoch_completion(endpoint, transfer->status) :
	       completion_of(transfer->status), MIN(transfer->actual, transfer->length));
	xhci_endpoint_run(endpoint);
}

static void submit(struct xhci_endpoint *endpoint)
{
	struct usb_device *device = xhci_slot_device(endpoint->slot);

	if (!device) {
		finish(endpoint, CC_TRANSACTION_ERROR, 0);
		return;
	}
	endpoint->device = device;
	endpoint->transfer.endpoint = endpoint->dci == 1 ? 0 :
				      (uint8_t)(endpoint->dci >> 1 | (endpoint->dci & 1 ? USB_DIRECTION_IN : 0));
	endpoint->transfer.setup = endpoint->setup;
	endpoint->transfer.iov = endpoint->iov;
	endpoint->transfer.iov_count = endpoint->iov_count;
	endpoint->transfer.payload = endpoint->payload;
	endpoint->transfer.interval = xhci_is_isoch(endpoint) ? xhci_isoch_interval(endpoint) : 0;
	endpoint->transfer.done = transfer_done;
	usb_submit(device, &endpoint->transfer);
}

/*
 * A control transfer takes two or three descriptors (section 4.11.2.2). The device sees it when its data stage comes,
 * or if there is none its status stage.
 */
static void start_control(struct xhci_endpoint *endpoint)
{
	const struct xhci_trb *first = &endpoint->trbs[0];
	uint64_t packet = first->parameter;

	switch (trb_type(first)) {
	case TRB_SETUP:
		endpoint->setup = (struct usb_setup){
			.request = (uint16_t)((packet & 0xFF) << 8 | (packet >> 8 & 0xFF)),
			.value = (uint16_t)(packet >> 16),
			.index = (uint16_t)(packet >> 32),
			.length = (uint16_t)(packet >> 48),
		};
		endpoint->has_setup = true;
		finish(endpoint, first->control & TRB_IDT && (first->status & TRB_LENGTH) == 8 ? CC_SUCCESS : CC_TRB_ERROR, 0);
		break;
	case TRB_DATA:
		if (!endpoint->has_setup || !map_buffers(endpoint)) {
			finish(endpoint, CC_TRB_ERROR, 0);
			break;
		}
		endpoint->has_setup = false;
		submit(endpoint);
		break;
	case TRB_STATUS:
		endpoint->iov_count = 0;
		endpoint->transfer.length = 0;
		if (!endpoint->has_setup) {
			finish(endpoint, CC_SUCCESS, 0);
			break;
		}
		endpoint->has_setup = false;
		submit(endpoint);
		break;
	default:
		finish(endpoint, trb_type(first) == TRB_NO_OP || trb_type(first) == TRB_EVENT_DATA ? CC_SUCCESS :
		       CC_TRB_ERROR, 0);
	}
}

static void submit_isoch(struct xhci_endpoint *endpoint)
{
	if (!is_in(endpoint) && endpoint->transfer.length > endpoint->payload) {
		finish(endpoint, CC_BANDWIDTH_OVERRUN, 0);
		return;
	}
	endpoint->streaming = true;
	submit(endpoint);
}

static void start(struct xhci_endpoint *endpoint)
{
	endpoint->busy = true;
	if (endpoint->type == ENDPOINT_CONTROL)
		start_control(endpoint);
	else if (!map_buffers(endpoint))
		finish(endpoint, CC_TRB_ERROR, 0);
	else if (trb_type(&endpoint->trbs[0]) == TRB_NO_OP)
		finish(endpoint, CC_SUCCESS, 0);
	else if (xhci_is_isoch(endpoint))
		submit_isoch(endpoint);
	else
		submit(endpoint);
}

static void bad_ring(struct xhci_endpoint *endpoint)
{
	struct xhci_trb nowhere = { .address = endpoint->ring.dequeue };

	log_guest_error(&xhci_of(endpoint)->complaints, "xhci", "slot %u, endpoint %u: bad transfer ring at %#"
			G_GINT64_MODIFIER "x", endpoint->slot->id, endpoint->dci, endpoint->ring.dequeue);
	xhci_endpoint_set_state(endpoint, ENDPOINT_ERROR);
	xhci_post_transfer(endpoint, &nowhere, CC_TRB_ERROR, 0);
}

void xhci_endpoint_run(struct xhci_endpoint *endpoint)
{
	struct xhci *xhci = xhci_of(endpoint);

	/* A device that answers at once brings us here again from within; the loop below goes on then. */
	if (endpoint->processing)
		return;
	endpoint->processing = true;
	for (unsigned i = 0; endpoint->rung && !endpoint->busy && endpoint->state == ENDPOINT_RUNNING; i++) {
		enum fetch_result result;
		enum isoch_time time;

		if (!xhci_running(xhci) || xhci_events_blocked(xhci))
			break;
		if (i == AT_ONCE) {
			xhci_resume_later(xhci, XHCI_TURN);
			break;
		}
		result = take_descriptor(endpoint);
		if (result == FETCH_BAD)
			bad_ring(endpoint);
		if (result != FETCH_TRB)
			break;
		time = xhci_is_isoch(endpoint) ? xhci_isoch_time(endpoint) : ISOCH_NOW;
		if (time == ISOCH_LATER)
			break;
		if (time == ISOCH_MISSED)
			finish(endpoint, CC_MISSED_SERVICE, 0);
		else
			start(endpoint);
	}
	endpoint->processing = false;
}

void xhci_endpoint_cancel(struct xhci_endpoint *endpoint)
{
	if (endpoint->busy && endpoint->device)
		usb_cancel(endpoint->device, &endpoint->transfer);
	/* The stage that is begun again still belongs to its setup stage. */
	endpoint->has_setup |= xhci_endpoint_in_stage(endpoint);
	endpoint->streaming = false;
	endpoint->busy = false;
	endpoint->device = NULL;
}

void xhci_endpoint_unplugged(struct xhci_endpoint *endpoint)
{
	if (!endpoint->busy)
		return;
	xhci_endpoint_cancel(endpoint);
	endpoint->has_setup = false;
	finish(endpoint, CC_TRANSACTION_ERROR, 0);
}
