/* Endpoints: their states and the commands that change them (sections 4.6.8 to 4.6.10 and 4.8). */
#include "xhci_internal.h"

#define CONTEXT_SIZE 32
#define DEQUEUE_CYCLE 1u

struct xhci_endpoint *xhci_endpoint_new(struct xhci_slot *slot, unsigned dci, unsigned type, uint64_t dequeue)
{
	struct xhci_endpoint *endpoint = g_new0(struct xhci_endpoint, 1);

	endpoint->slot = slot;
	endpoint->dci = (uint8_t)dci;
	endpoint->type = (uint8_t)type;
	endpoint->ring = (struct xhci_ring){ dequeue & ~15ull, dequeue & DEQUEUE_CYCLE };
	endpoint->state = ENDPOINT_STOPPED;
	return endpoint;
}

void xhci_endpoint_free(struct xhci_endpoint *endpoint)
{
	xhci_endpoint_cancel(endpoint);
	g_free(endpoint->trbs);
	g_free(endpoint->iov);
	g_free(endpoint);
}

void xhci_endpoint_write_context(struct xhci_endpoint *endpoint)
{
	const struct xhci_slot *slot = endpoint->slot;
	uint8_t *context = memory_ptr(xhci_memory(slot->xhci), slot->context + endpoint->dci * CONTEXT_SIZE, CONTEXT_SIZE);

	if (!context)
		return;
	context[0] = (uint8_t)((context[0] & ~7) | endpoint->state);
	/* Only of use, and only valid, while the endpoint does not run. */
	if (endpoint->state != ENDPOINT_RUNNING)
		pci_set64(context + 8, endpoint->ring.dequeue | endpoint->ring.cycle);
}

void xhci_endpoint_set_state(struct xhci_endpoint *endpoint, enum endpoint_state state)
{
	if (endpoint->state == state)
		return;
	endpoint->state = (uint8_t)state;
	xhci_endpoint_write_context(endpoint);
}

/* Section 4.6.9: the transfer that is interrupted, if there is one, is told by an event and stays on the ring. */
enum completion xhci_stop_endpoint(struct xhci_endpoint *endpoint)
{
	if (endpoint->state != ENDPOINT_RUNNING)
		return CC_CONTEXT_STATE_ERROR;
	endpoint->rung = false;
	endpoint->streaming = false;
	if (endpoint->busy) {
		xhci_endpoint_cancel(endpoint);
		xhci_post_transfer(endpoint, &endpoint->trbs[0], CC_STOPPED, endpoint->trbs[0].status & 0x1FFFF);
	}
	xhci_endpoint_set_state(endpoint, ENDPOINT_STOPPED);
	return CC_SUCCESS;
}

enum completion xhci_reset_endpoint(struct xhci_endpoint *endpoint)
{
	if (endpoint->state != ENDPOINT_HALTED)
		return CC_CONTEXT_STATE_ERROR;
	xhci_endpoint_set_state(endpoint, ENDPOINT_STOPPED);
	return CC_SUCCESS;
}

enum completion xhci_set_dequeue(struct xhci_endpoint *endpoint, uint64_t dequeue)
{
	if (endpoint->state != ENDPOINT_STOPPED && endpoint->state != ENDPOINT_ERROR)
		return CC_CONTEXT_STATE_ERROR;
	endpoint->ring = (struct xhci_ring){ dequeue & ~15ull, dequeue & DEQUEUE_CYCLE };
	endpoint->has_setup = false;
	endpoint->streaming = false;
	endpoint->state = ENDPOINT_STOPPED;
	xhci_endpoint_write_context(endpoint);
	return CC_SUCCESS;
}

/* A transfer under way is begun again from the ring, where it still is. */
void xhci_endpoint_state(struct xhci_endpoint *endpoint, struct state *state, const char *prefix)
{
	struct usb_setup *setup = &endpoint->setup;
	bool has_setup = endpoint->has_setup || xhci_endpoint_in_stage(endpoint);
	char field[USB_FIELD_MAX];

	state_u8(state, usb_field(field, prefix, "state"), &endpoint->state);
	state_u8(state, usb_field(field, prefix, "type"), &endpoint->type);
	state_u64(state, usb_field(field, prefix, "dequeue"), &endpoint->ring.dequeue);
	state_bool(state, usb_field(field, prefix, "cycle"), &endpoint->ring.cycle);
	state_bool(state, usb_field(field, prefix, "rung"), &endpoint->rung);
	state_bool(state, usb_field(field, prefix, "has_setup"), &has_setup);
	if (state_loading(state))
		endpoint->has_setup = has_setup;
	state_u16(state, usb_field(field, prefix, "setup.request"), &setup->request);
	state_u16(state, usb_field(field, prefix, "setup.value"), &setup->value);
	state_u16(state, usb_field(field, prefix, "setup.index"), &setup->index);
	state_u16(state, usb_field(field, prefix, "setup.length"), &setup->length);
	state_u32(state, usb_field(field, prefix, "payload"), &endpoint->payload);
	state_u8(state, usb_field(field, prefix, "interval"), &endpoint->interval);
	if (endpoint->state <= ENDPOINT_ERROR && endpoint->type <= 7 &&
	    (!xhci_is_isoch(endpoint) || xhci_isoch_is_valid(endpoint)))
		return;
	state_fail(state, "%s: state %u, type %u", prefix, endpoint->state, endpoint->type);
	endpoint->state = ENDPOINT_STOPPED;
	endpoint->type = ENDPOINT_CONTROL;
}
