/* The command ring (section 4.6). Every command is over by the time its doorbell write is. */
#include "xhci_internal.h"

/* A ring that never ends shall not keep the machine from everything else. */
#define COMMANDS_AT_ONCE 128

#define COMMAND_BSR (1u << 9) /* address device: block set address request */
#define COMMAND_DC (1u << 9)  /* configure endpoint: deconfigure */

static void complete(struct xhci *xhci, const struct xhci_trb *command, enum completion code, unsigned slot)
{
	struct xhci_trb event = { .parameter = command->address, .status = (uint32_t)code << 24,
				  .control = (uint32_t)slot << 24 | TRB_COMMAND_COMPLETION << 10 };

	xhci_post(xhci, 0, &event, false);
}

static enum completion slot_command(struct xhci_slot *slot, const struct xhci_trb *command)
{
	uint64_t input = command->parameter & ~15ull;

	switch (trb_type(command)) {
	case TRB_DISABLE_SLOT:
		return xhci_disable_slot(slot);
	case TRB_ADDRESS_DEVICE:
		return xhci_address_device(slot, input, command->control & COMMAND_BSR);
	case TRB_CONFIGURE_ENDPOINT:
		return xhci_configure_endpoint(slot, input, command->control & COMMAND_DC);
	case TRB_EVALUATE_CONTEXT:
		return xhci_evaluate_context(slot, input);
	default:
		return xhci_reset_device(slot);
	}
}

static enum completion endpoint_command(struct xhci_slot *slot, const struct xhci_trb *command)
{
	struct xhci_endpoint *endpoint = slot->endpoints[command->control >> 16 & (XHCI_DCIS - 1)];

	if (!endpoint)
		return CC_ENDPOINT_NOT_ENABLED;
	switch (trb_type(command)) {
	case TRB_RESET_ENDPOINT:
		return xhci_reset_endpoint(endpoint);
	case TRB_STOP_ENDPOINT:
		return xhci_stop_endpoint(endpoint);
	default:
		return xhci_set_dequeue(endpoint, command->parameter);
	}
}

static void execute(struct xhci *xhci, const struct xhci_trb *command)
{
	enum trb_type type = trb_type(command);
	unsigned id = command->control >> 24;
	enum completion code = CC_TRB_ERROR;

	if (type == TRB_NO_OP_COMMAND) {
		code = CC_SUCCESS;
		id = 0;
	} else if (type == TRB_ENABLE_SLOT) {
		id = 0;
		code = xhci_enable_slot(xhci, &id);
	} else if (type >= TRB_DISABLE_SLOT && type <= TRB_RESET_DEVICE) {
		if (id == 0 || id > XHCI_SLOTS || !xhci->slots[id].enabled)
			code = CC_SLOT_NOT_ENABLED;
		else if (type >= TRB_RESET_ENDPOINT && type <= TRB_SET_TR_DEQUEUE)
			code = endpoint_command(&xhci->slots[id], command);
		else
			code = slot_command(&xhci->slots[id], command);
	}
	if (code != CC_SUCCESS)
		log_guest_error(&xhci->complaints, "xhci", "command %u of slot %u: completion code %u", type, id, code);
	complete(xhci, command, code, id);
}

void xhci_run_commands(struct xhci *xhci)
{
	xhci->commands_running = true;
	for (unsigned i = 0; xhci_running(xhci) && xhci->commands_running; i++) {
		struct xhci_trb command;
		enum fetch_result result;

		if (xhci_events_blocked(xhci))
			return;
		if (i == COMMANDS_AT_ONCE) {
			xhci_resume_later(xhci, XHCI_TURN);
			return;
		}
		result = xhci_fetch(xhci, &xhci->commands, &command);
		if (result == FETCH_EMPTY)
			return;
		if (result == FETCH_BAD) {
			xhci_host_error(xhci, "command ring", xhci->commands.dequeue);
			return;
		}
		execute(xhci, &command);
	}
}

/* Section 4.6.1.1: an event says where the ring stands. */
void xhci_stop_commands(struct xhci *xhci)
{
	struct xhci_trb event = { .parameter = xhci->commands.dequeue,
				  .status = (uint32_t)CC_COMMAND_RING_STOPPED << 24,
				  .control = TRB_COMMAND_COMPLETION << 10 };

	if (!xhci->commands_running)
		return;
	xhci->commands_running = false;
	xhci_post(xhci, 0, &event, false);
}
