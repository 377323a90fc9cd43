/*
 * Isochronous endpoints (sections 3.2.11, 4.10.3 and 4.11.2.3). A descriptor is what moves in one service interval. The
 * device's own clock paces a stream that runs, as it does on a wire; Frame ID says when it is to begin. How a descriptor
 * is cut into packets (TBC, TLBPC) is left to the controller that has the real wire.
 */
#include "xhci_internal.h"

#define TRB_SIA (1u << 31)
#define FRAME_ID(control) ((control) >> 20 & 0x7FF)
#define FRAMES 2048
#define FRAMES_AHEAD 895 /* the farthest that software may ask for (section 4.11.2.5) */
#define INTERVAL_MAX 15
#define MULT_MAX 2
#define BURST_MAX 15
#define PACKET_MAX 1024

bool xhci_isoch_parameters(const uint8_t *context, uint32_t *payload, uint8_t *interval)
{
	unsigned packet = pci_get16(context + 6), burst = context[5], mult = context[1] & 3;
	unsigned wanted = pci_get16(context + 18);

	if (context[2] > INTERVAL_MAX || mult > MULT_MAX || burst > BURST_MAX || !packet || packet > PACKET_MAX)
		return false;
	*payload = packet * (burst + 1) * (mult + 1);
	/* Max ESIT Payload; not all drivers care to set it. */
	if (wanted)
		*payload = MIN(*payload, wanted);
	*interval = context[2];
	return true;
}

uint64_t xhci_isoch_interval(const struct xhci_endpoint *endpoint)
{
	return (uint64_t)XHCI_MICROFRAME << endpoint->interval;
}

bool xhci_isoch_is_valid(const struct xhci_endpoint *endpoint)
{
	return endpoint->payload && endpoint->payload <= PACKET_MAX * (BURST_MAX + 1) * (MULT_MAX + 1) &&
	       endpoint->interval <= INTERVAL_MAX;
}

enum isoch_time xhci_isoch_time(struct xhci_endpoint *endpoint)
{
	const struct xhci_trb *first = &endpoint->trbs[0];
	struct xhci *xhci = endpoint->slot->xhci;
	uint64_t microframe = xhci_microframes(xhci);
	unsigned ahead = (FRAME_ID(first->control) - (unsigned)(microframe >> 3)) % FRAMES;
	uint64_t begin;

	if (endpoint->streaming || trb_type(first) != TRB_ISOCH || first->control & TRB_SIA || ahead == 0)
		return ISOCH_NOW;
	if (ahead > FRAMES_AHEAD)
		return ISOCH_MISSED;
	begin = xhci->frame_base + ((microframe >> 3) + ahead) * 8 * XHCI_MICROFRAME;
	xhci_resume_later(xhci, begin - clock_now(&xhci->pci.device.vm->clock));
	return ISOCH_LATER;
}

enum completion xhci_isoch_completion(const struct xhci_endpoint *endpoint, enum usb_status status)
{
	switch (status) {
	case USB_DONE:
		return CC_SUCCESS;
	case USB_BABBLE:
		return endpoint->transfer.length < endpoint->payload ? CC_ISOCH_BUFFER_OVERRUN : CC_BABBLE;
	default: /* there is no handshake that could stall */
		return CC_TRANSACTION_ERROR;
	}
}

/* Section 4.10.3.1: told once; the doorbell begins the stream anew. The event belongs to no TRB. */
static void ran_dry(struct xhci_endpoint *endpoint)
{
	bool in = endpoint->type & ENDPOINT_TYPE_IN;
	struct xhci_trb none = { .status = xhci_slot_interrupter(endpoint->slot) << 22 };

	endpoint->rung = false;
	endpoint->streaming = false;
	xhci_post_transfer(endpoint, &none, in ? CC_RING_OVERRUN : CC_RING_UNDERRUN, 0);
}

void xhci_isoch_starved(struct xhci_slot *slot, uint8_t address)
{
	unsigned dci = (address & 15) * 2u + (address & USB_DIRECTION_IN ? 1 : 0);
	struct xhci_endpoint *endpoint = slot->endpoints[dci];
	struct xhci_ring ring;
	struct xhci_trb trb;

	if (!endpoint || !xhci_is_isoch(endpoint) || endpoint->state != ENDPOINT_RUNNING || !endpoint->rung ||
	    endpoint->busy || !xhci_running(slot->xhci))
		return;
	ring = endpoint->ring;
	if (xhci_fetch(slot->xhci, &ring, &trb) == FETCH_EMPTY)
		ran_dry(endpoint);
}
