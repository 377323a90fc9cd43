/* Device slots: contexts between the guest's memory and ours (sections 4.3, 4.5, 4.6 and 6.2). */
#include "xhci_internal.h"

#define CONTEXT_SIZE 32
#define INPUT_SLOT (1 * CONTEXT_SIZE)
#define INPUT_SIZE ((1 + XHCI_DCIS) * CONTEXT_SIZE)

static uint64_t dcbaa_entry(const struct xhci_slot *slot)
{
	return slot->xhci->dcbaap + slot->id * 8;
}

/* [place, place + size) of the output device context, or NULL; may be anywhere, so it is looked up each time. */
static uint8_t *output(const struct xhci_slot *slot, unsigned place)
{
	return memory_ptr(xhci_memory(slot->xhci), slot->context + place, CONTEXT_SIZE);
}

struct usb_device *xhci_slot_device(const struct xhci_slot *slot)
{
	return slot->port ? slot->xhci->ports[slot->port - 1].device : NULL;
}

static void write_slot_state(struct xhci_slot *slot, enum slot_state state)
{
	uint8_t *context = output(slot, 0);

	slot->state = (uint8_t)state;
	if (!context)
		return;
	context[15] = (uint8_t)(state << 3);
	context[12] = state >= SLOT_ADDRESSED ? slot->id : 0; /* the device's address: any that no other has */
}

unsigned xhci_slot_interrupter(const struct xhci_slot *slot)
{
	const uint8_t *context = output(slot, 0);

	return context ? pci_get16(context + 10) >> 6 : 0;
}

static void drop_endpoint(struct xhci_slot *slot, unsigned dci)
{
	struct xhci_endpoint *endpoint = slot->endpoints[dci];
	uint8_t *context = output(slot, dci * CONTEXT_SIZE);

	if (endpoint)
		xhci_endpoint_free(endpoint);
	slot->endpoints[dci] = NULL;
	if (context)
		context[0] &= (uint8_t)~7;
}

void xhci_slot_clear(struct xhci_slot *slot)
{
	for (unsigned dci = 1; dci < XHCI_DCIS; dci++) {
		if (slot->endpoints[dci])
			xhci_endpoint_free(slot->endpoints[dci]);
		slot->endpoints[dci] = NULL;
	}
	slot->enabled = false;
	slot->state = SLOT_DISABLED;
	slot->port = 0;
	slot->context = 0;
}

enum completion xhci_enable_slot(struct xhci *xhci, unsigned *id)
{
	unsigned allowed = MIN(xhci->config & 0xFF, XHCI_SLOTS);

	for (unsigned i = 1; i <= allowed; i++) {
		if (xhci->slots[i].enabled)
			continue;
		xhci->slots[i].enabled = true;
		*id = i;
		return CC_SUCCESS;
	}
	return CC_NO_SLOTS;
}

enum completion xhci_disable_slot(struct xhci_slot *slot)
{
	for (unsigned dci = 1; dci < XHCI_DCIS; dci++)
		drop_endpoint(slot, dci);
	write_slot_state(slot, SLOT_DISABLED);
	xhci_slot_clear(slot);
	return CC_SUCCESS;
}

/* A copy, so that the guest cannot change what has been checked. */
static bool read_input(const struct xhci_slot *slot, uint64_t address, uint8_t input[INPUT_SIZE])
{
	if (memory_read(xhci_memory(slot->xhci), address, input, INPUT_SIZE))
		return true;
	log_guest_error(&slot->xhci->complaints, "xhci", "input context at %#" G_GINT64_MODIFIER "x", address);
	return false;
}

static bool port_is_free(const struct xhci_slot *slot, unsigned port)
{
	for (unsigned i = 1; i <= XHCI_SLOTS; i++)
		if (&slot->xhci->slots[i] != slot && slot->xhci->slots[i].enabled && slot->xhci->slots[i].port == port)
			return false;
	return true;
}

static void add_endpoint(struct xhci_slot *slot, unsigned dci, const uint8_t *input)
{
	struct xhci_endpoint *endpoint;
	uint8_t *context = output(slot, dci * CONTEXT_SIZE);

	drop_endpoint(slot, dci);
	if (context)
		memcpy(context, input, CONTEXT_SIZE);
	endpoint = xhci_endpoint_new(slot, dci, input[4] >> 3 & 7, pci_get64(input + 8));
	if (xhci_is_isoch(endpoint))
		xhci_isoch_parameters(input, &endpoint->payload, &endpoint->interval);
	slot->endpoints[dci] = endpoint;
	xhci_endpoint_set_state(endpoint, ENDPOINT_RUNNING);
}

/* Section 4.6.5. The address itself needs no request: devices here are known by their ports. */
enum completion xhci_address_device(struct xhci_slot *slot, uint64_t address, bool block_set_address)
{
	const struct memory *memory = xhci_memory(slot->xhci);
	uint8_t input[INPUT_SIZE], entry[8], *context;
	unsigned port;

	if (!read_input(slot, address, input) || !memory_read(memory, dcbaa_entry(slot), entry, sizeof entry))
		return CC_PARAMETER_ERROR;
	if ((pci_get32(input + 4) & 3) != 3 || (input[2 * CONTEXT_SIZE + 4] >> 3 & 7) != ENDPOINT_CONTROL)
		return CC_PARAMETER_ERROR;
	if (slot->state >= SLOT_ADDRESSED || (block_set_address && slot->state != SLOT_DISABLED))
		return CC_CONTEXT_STATE_ERROR;
	port = input[INPUT_SLOT + 6];
	if (port == 0 || port > XHCI_PORTS || pci_get32(input + INPUT_SLOT) & 0xFFFFF || !port_is_free(slot, port))
		return CC_TRB_ERROR;
	if (!slot->xhci->ports[port - 1].device)
		return CC_TRANSACTION_ERROR;
	slot->context = pci_get64(entry) & ~63ull;
	context = memory_ptr(memory, slot->context, XHCI_DCIS * CONTEXT_SIZE);
	if (!context)
		return CC_PARAMETER_ERROR;
	slot->port = (uint8_t)port;
	memcpy(context, input + INPUT_SLOT, CONTEXT_SIZE);
	add_endpoint(slot, 1, input + 2 * CONTEXT_SIZE);
	write_slot_state(slot, block_set_address ? SLOT_DEFAULT : SLOT_ADDRESSED);
	return CC_SUCCESS;
}

/* Type and direction must fit the index; streams are not offered (section 6.2.3). */
static bool endpoint_is_valid(unsigned dci, const uint8_t *context)
{
	unsigned type = context[4] >> 3 & 7;
	uint32_t payload;
	uint8_t interval;

	if (context[1] >> 2 & 0x1F)
		return false;
	if ((type == ENDPOINT_ISOCH_OUT || type == ENDPOINT_ISOCH_IN) &&
	    !xhci_isoch_parameters(context, &payload, &interval))
		return false;
	if (type == 0 || type == ENDPOINT_CONTROL)
		return type == ENDPOINT_CONTROL && dci & 1;
	return (type & ENDPOINT_TYPE_IN) == (dci & 1 ? ENDPOINT_TYPE_IN : 0);
}

static void deconfigure(struct xhci_slot *slot)
{
	uint8_t *context;

	for (unsigned dci = 2; dci < XHCI_DCIS; dci++)
		drop_endpoint(slot, dci);
	context = output(slot, 0);
	if (context)
		context[3] = (uint8_t)((context[3] & 7) | 1 << 3);
	write_slot_state(slot, SLOT_ADDRESSED);
}

enum completion xhci_configure_endpoint(struct xhci_slot *slot, uint64_t address, bool all_off)
{
	uint8_t input[INPUT_SIZE], *context;
	uint32_t drop, add;
	bool any = false;

	if (slot->state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE_ERROR;
	if (all_off) {
		deconfigure(slot);
		return CC_SUCCESS;
	}
	if (!read_input(slot, address, input))
		return CC_PARAMETER_ERROR;
	drop = pci_get32(input);
	add = pci_get32(input + 4);
	if (drop & 3 || (add & 3) != 1)
		return CC_PARAMETER_ERROR;
	for (unsigned dci = 2; dci < XHCI_DCIS; dci++)
		if (add & 1u << dci && !endpoint_is_valid(dci, input + (1 + dci) * CONTEXT_SIZE))
			return CC_PARAMETER_ERROR;
	for (unsigned dci = 2; dci < XHCI_DCIS; dci++) {
		if (drop & 1u << dci)
			drop_endpoint(slot, dci);
		if (add & 1u << dci)
			add_endpoint(slot, dci, input + (1 + dci) * CONTEXT_SIZE);
		any |= slot->endpoints[dci] != NULL;
	}
	context = output(slot, 0);
	if (context)
		context[3] = (uint8_t)((context[3] & 7) | (input[INPUT_SLOT + 3] & 0xF8));
	write_slot_state(slot, any ? SLOT_CONFIGURED : SLOT_ADDRESSED);
	return CC_SUCCESS;
}

/* Section 4.6.7: what changes for the device is only told on; no value of it matters here. */
enum completion xhci_evaluate_context(struct xhci_slot *slot, uint64_t address)
{
	uint8_t input[INPUT_SIZE], *context;
	uint32_t add;

	if (slot->state < SLOT_DEFAULT)
		return CC_CONTEXT_STATE_ERROR;
	if (!read_input(slot, address, input))
		return CC_PARAMETER_ERROR;
	add = pci_get32(input + 4);
	if (pci_get32(input) || add & ~3u)
		return CC_PARAMETER_ERROR;
	context = output(slot, 0);
	if (context && add & 1) {
		memcpy(context + 4, input + INPUT_SLOT + 4, 2); /* max exit latency */
		context[10] = (uint8_t)((context[10] & 0x3F) | (input[INPUT_SLOT + 10] & 0xC0)); /* interrupter target */
		context[11] = input[INPUT_SLOT + 11];
	}
	context = output(slot, CONTEXT_SIZE);
	if (context && add & 2)
		memcpy(context + 6, input + 2 * CONTEXT_SIZE + 6, 2); /* max packet size */
	return CC_SUCCESS;
}

enum completion xhci_reset_device(struct xhci_slot *slot)
{
	uint8_t *context;

	if (slot->state < SLOT_ADDRESSED)
		return CC_CONTEXT_STATE_ERROR;
	for (unsigned dci = 2; dci < XHCI_DCIS; dci++)
		drop_endpoint(slot, dci);
	context = output(slot, 0);
	if (context)
		context[3] = (uint8_t)((context[3] & 7) | 1 << 3);
	write_slot_state(slot, SLOT_DEFAULT);
	return CC_SUCCESS;
}

/* --- State --- */

static void state_endpoints(struct xhci_slot *slot, struct state *state, const char *prefix)
{
	char field[USB_FIELD_MAX];
	uint32_t present = 0;

	for (unsigned dci = 1; dci < XHCI_DCIS; dci++)
		present |= slot->endpoints[dci] ? 1u << dci : 0;
	state_u32(state, usb_field(field, prefix, "endpoints"), &present);
	for (unsigned dci = 1; dci < XHCI_DCIS; dci++) {
		g_autofree char *name = g_strdup_printf("%s.%u", prefix, dci);

		if (!(present & 1u << dci))
			continue;
		if (!slot->endpoints[dci])
			slot->endpoints[dci] = xhci_endpoint_new(slot, dci, ENDPOINT_CONTROL, 0);
		xhci_endpoint_state(slot->endpoints[dci], state, name);
	}
}

void xhci_slot_state(struct xhci_slot *slot, struct state *state)
{
	g_autofree char *prefix = g_strdup_printf("slot%u", slot->id);
	char field[USB_FIELD_MAX];

	if (state_loading(state))
		xhci_slot_clear(slot);
	state_bool(state, usb_field(field, prefix, "enabled"), &slot->enabled);
	if (!slot->enabled)
		return;
	state_u8(state, usb_field(field, prefix, "state"), &slot->state);
	state_u8(state, usb_field(field, prefix, "port"), &slot->port);
	state_u64(state, usb_field(field, prefix, "context"), &slot->context);
	if (slot->state > SLOT_CONFIGURED || slot->port > XHCI_PORTS) {
		state_fail(state, "slot %u: state %u, port %u", slot->id, slot->state, slot->port);
		xhci_slot_clear(slot);
		return;
	}
	state_endpoints(slot, state, prefix);
}
