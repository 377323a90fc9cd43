/* The xHCI controller: registers, rings, slots, endpoints and ports, with a tablet where a device is needed. */
#include "xhci_guest.h"

#include "../../input/router.h"
#include "../../input/usb_tablet.h"

#define IN_1 3u
#define GET_DESCRIPTOR 6

struct fixture {
	struct xhci_guest g;
	struct input_router router;
	struct usb_device *tablet;
};

static void open_fixture(struct fixture *f)
{
	memset(f, 0, sizeof *f);
	input_router_init(&f->router);
	guest_open(&f->g);
	f->tablet = usb_tablet_new(&f->g.machine->vm, &f->router);
	g_assert_true(xhci_attach(f->g.xhci, f->tablet, NULL));
	guest_start(&f->g);
}

static void close_fixture(struct fixture *f)
{
	guest_close(&f->g);
	input_router_finish(&f->router);
}

static void drain_events(struct xhci_guest *g)
{
	for (struct guest_event event; next_event(g, &event);)
		;
}

static void test_capabilities(void)
{
	struct fixture f;
	unsigned offset, protocols = 0, ports = 0, legacy = 0;

	open_fixture(&f);
	g_assert_cmphex(reg(&f.g, 0), ==, 0x01000040);
	g_assert_cmphex(fake_read(f.g.machine, REGISTERS, 1), ==, 0x40);
	g_assert_cmphex(fake_read(f.g.machine, REGISTERS + 2, 2), ==, 0x0100);
	g_assert_cmphex(reg(&f.g, CAP_HCSPARAMS1), ==, 16u << 24 | 8 << 8 | 32);
	g_assert_cmphex(reg(&f.g, CAP_DBOFF), ==, DOORBELL);
	g_assert_cmphex(reg(&f.g, CAP_RTSOFF), ==, MFINDEX);
	g_assert_cmphex(reg(&f.g, 0x48), ==, 1);
	/* The list of extended capabilities ends, and covers each port once. */
	offset = (reg(&f.g, CAP_HCCPARAMS1) >> 16) * 4;
	for (;;) {
		uint32_t header = reg(&f.g, offset);

		if ((header & 0xFF) == 2) {
			protocols++;
			g_assert_cmphex(reg(&f.g, offset + 4), ==, 0x20425355);
			g_assert_cmpuint(reg(&f.g, offset + 8) & 0xFF, ==, ports + 1);
			ports += reg(&f.g, offset + 8) >> 8 & 0xFF;
		} else if ((header & 0xFF) == 1) {
			legacy = offset;
		}
		if (!(header >> 8 & 0xFF))
			break;
		offset += (header >> 8 & 0xFF) * 4;
	}
	g_assert_cmpuint(protocols, ==, 2);
	g_assert_cmpuint(ports, ==, 16);
	/* The hand-off: what a BIOS claims, the system gets. */
	set_reg(&f.g, legacy, 1u << 16);
	g_assert_cmphex(reg(&f.g, legacy) >> 16, ==, 0x0001);
	fake_write(f.g.machine, REGISTERS + legacy + 3, 1, 1);
	g_assert_cmphex(reg(&f.g, legacy) >> 16, ==, 0x0100);
	close_fixture(&f);
}

static void test_reset(void)
{
	struct fixture f;

	open_fixture(&f);
	g_assert_cmphex(reg(&f.g, USBSTS) & 1, ==, 0);
	address_port(&f.g, 1);
	set_reg(&f.g, USBCMD, 2);
	g_assert_cmphex(reg(&f.g, USBCMD), ==, 0);
	g_assert_cmphex(reg(&f.g, USBSTS), ==, 1);
	g_assert_cmphex(reg(&f.g, CONFIG), ==, 0);
	g_assert_cmphex(reg(&f.g, IMAN), ==, 0);
	g_assert_cmphex(reg(&f.g, IMOD), ==, 4000);
	g_assert_cmphex(reg(&f.g, PORTSC1) & 0x20003, ==, 0x20001);
	guest_start(&f.g);
	g_assert_cmpuint(address_port(&f.g, 1), ==, 1);
	close_fixture(&f);
}

static void test_microframes(void)
{
	struct fixture f;
	uint32_t before;

	open_fixture(&f);
	before = reg(&f.g, MFINDEX);
	wait_ms(&f.g, 10);
	g_assert_cmpuint(reg(&f.g, MFINDEX), ==, (before + 80) & 0x3FFF);
	drain_events(&f.g);
	wait_ms(&f.g, 5000);
	expect_no_event(&f.g);
	g_assert_cmpuint(f.g.machine->vm.clock.timers->len, ==, 0);
	/* EWE: an event each time it wraps, which is every 2048 ms. */
	set_reg(&f.g, USBCMD, 5 | 1 << 10);
	wait_ms(&f.g, 2048);
	expect_event(&f.g, 39);
	expect_no_event(&f.g);
	wait_ms(&f.g, 2048);
	expect_event(&f.g, 39);
	set_reg(&f.g, USBCMD, 5);
	wait_ms(&f.g, 5000);
	expect_no_event(&f.g);
	close_fixture(&f);
}

static void test_commands(void)
{
	struct fixture f;

	open_fixture(&f);
	drain_events(&f.g);
	/* More than the rings hold, so that both links and the event ring's wrap are passed. */
	for (unsigned i = 0; i < 200; i++)
		expect_command(&f.g, SUCCESS, NO_OP_COMMAND, 0, 0);
	expect_command(&f.g, TRB_ERROR, 63, 0, 0);
	expect_command(&f.g, SLOT_NOT_ENABLED, DISABLE_SLOT, 0, 5u << 24);
	expect_command(&f.g, SLOT_NOT_ENABLED, ADDRESS_DEVICE, INPUT_CONTEXT, 200u << 24);
	for (unsigned i = 1; i <= 32; i++)
		g_assert_cmpuint(enable_slot(&f.g), ==, i);
	expect_command(&f.g, NO_SLOTS, ENABLE_SLOT, 0, 0);
	expect_command(&f.g, SUCCESS, DISABLE_SLOT, 0, 7u << 24);
	g_assert_cmpuint(enable_slot(&f.g), ==, 7);
	expect_command(&f.g, ENDPOINT_NOT_ENABLED, STOP_ENDPOINT, 0, 7u << 24 | 3 << 16);
	/* CRCR: running, then stopped with an event. */
	g_assert_cmphex(reg(&f.g, CRCR), ==, 8);
	set_reg(&f.g, CRCR, 2);
	g_assert_cmpuint(expect_event(&f.g, COMMAND_COMPLETION).code, ==, COMMAND_RING_STOPPED);
	g_assert_cmphex(reg(&f.g, CRCR), ==, 0);
	expect_command(&f.g, SUCCESS, NO_OP_COMMAND, 0, 0);
	close_fixture(&f);
}

static void test_addressing(void)
{
	struct fixture f;
	unsigned slot;
	const uint8_t *output;

	open_fixture(&f);
	drain_events(&f.g);
	slot = enable_slot(&f.g);
	output = ram(&f.g, OUTPUT_CONTEXT(slot));
	fill_address_input(&f.g, slot, 3);
	expect_command(&f.g, TRANSACTION_ERROR, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24);
	fill_address_input(&f.g, slot, 17);
	expect_command(&f.g, TRB_ERROR, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24);
	fill_address_input(&f.g, slot, 1);
	ram(&f.g, INPUT_CONTEXT)[32] = 1; /* a route through a hub */
	expect_command(&f.g, TRB_ERROR, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24);
	fill_address_input(&f.g, slot, 1);
	ram(&f.g, INPUT_CONTEXT)[4] = 1;
	expect_command(&f.g, PARAMETER_ERROR, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24);
	expect_command(&f.g, PARAMETER_ERROR, ADDRESS_DEVICE, 0xFFFFFF0000ull, slot << 24);
	fill_address_input(&f.g, slot, 1);
	expect_command(&f.g, CONTEXT_STATE_ERROR, CONFIGURE_ENDPOINT, INPUT_CONTEXT, slot << 24);
	/* BSR: default, then addressed. */
	expect_command(&f.g, SUCCESS, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24 | 1 << 9);
	g_assert_cmphex(output[15] >> 3, ==, 1);
	g_assert_cmphex(output[32] & 7, ==, 1);
	expect_command(&f.g, CONTEXT_STATE_ERROR, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24 | 1 << 9);
	expect_command(&f.g, SUCCESS, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24);
	g_assert_cmphex(output[15] >> 3, ==, 2);
	g_assert_cmpuint(output[12], !=, 0);
	expect_command(&f.g, CONTEXT_STATE_ERROR, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24);
	/* Nobody else gets the port. */
	slot = enable_slot(&f.g);
	fill_address_input(&f.g, slot, 1);
	expect_command(&f.g, TRB_ERROR, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24);
	close_fixture(&f);
}

static void test_configuring(void)
{
	static const unsigned endpoints[][2] = { { IN_1, EP_INTERRUPT_IN }, { 0, 0 } };
	struct fixture f;
	unsigned slot;
	uint8_t *input, *output;

	open_fixture(&f);
	slot = address_port(&f.g, 1);
	configure(&f.g, slot, endpoints, 8);
	input = ram(&f.g, INPUT_CONTEXT);
	output = ram(&f.g, OUTPUT_CONTEXT(slot));
	g_assert_cmphex(output[15] >> 3, ==, 3);
	g_assert_cmphex(output[IN_1 * 32] & 7, ==, 1);
	/* Types that do not fit the direction, and streams. */
	input[(1 + IN_1) * 32 + 4] = EP_BULK_OUT << 3;
	expect_command(&f.g, PARAMETER_ERROR, CONFIGURE_ENDPOINT, INPUT_CONTEXT, slot << 24);
	input[(1 + IN_1) * 32 + 4] = EP_BULK_IN << 3;
	input[(1 + IN_1) * 32 + 1] = 1 << 2;
	expect_command(&f.g, PARAMETER_ERROR, CONFIGURE_ENDPOINT, INPUT_CONTEXT, slot << 24);
	/* Evaluate: the control endpoint's packet size. */
	memset(input, 0, 33 * 32);
	pci_set32(input + 4, 2);
	pci_set16(input + 2 * 32 + 6, 512);
	expect_command(&f.g, SUCCESS, EVALUATE_CONTEXT, INPUT_CONTEXT, slot << 24);
	g_assert_cmpuint(pci_get16(output + 32 + 6), ==, 512);
	/* Endpoint states: a running one cannot be reset or moved; a stopped one starts by its doorbell. */
	expect_command(&f.g, CONTEXT_STATE_ERROR, RESET_ENDPOINT, 0, slot << 24 | IN_1 << 16);
	expect_command(&f.g, CONTEXT_STATE_ERROR, SET_TR_DEQUEUE, BUFFER, slot << 24 | IN_1 << 16);
	expect_command(&f.g, SUCCESS, STOP_ENDPOINT, 0, slot << 24 | IN_1 << 16);
	g_assert_cmphex(output[IN_1 * 32] & 7, ==, 3);
	g_assert_cmphex(pci_get32(output + IN_1 * 32 + 8), ==, TRANSFER_RING(slot, IN_1) | 1);
	expect_command(&f.g, CONTEXT_STATE_ERROR, STOP_ENDPOINT, 0, slot << 24 | IN_1 << 16);
	ring_endpoint(&f.g, slot, IN_1);
	g_assert_cmphex(output[IN_1 * 32] & 7, ==, 1);
	expect_command(&f.g, SUCCESS, RESET_DEVICE, 0, slot << 24);
	g_assert_cmphex(output[15] >> 3, ==, 1);
	g_assert_cmphex(output[IN_1 * 32] & 7, ==, 0);
	expect_command(&f.g, CONTEXT_STATE_ERROR, RESET_DEVICE, 0, slot << 24);
	expect_command(&f.g, SUCCESS, DISABLE_SLOT, 0, slot << 24);
	g_assert_cmphex(output[15] >> 3, ==, 0);
	close_fixture(&f);
}

/* Reports of a transfer descriptor of several TRBs (section 4.11.5.2), with a descriptor of 18 bytes as data. */
static void test_transfer_events(void)
{
	struct fixture f;
	struct guest_ring *ring;
	struct guest_event event;
	unsigned slot;
	uint32_t second, status, data;

	open_fixture(&f);
	slot = address_port(&f.g, 1);
	ring = &f.g.transfers[slot][1];
	push(&f.g, ring, 64ull << 48 | 0x100ull << 16 | GET_DESCRIPTOR << 8 | 0x80, 8, SETUP, IDT | 3 << 16);
	push(&f.g, ring, BUFFER, 10, DATA, CHAIN | ISP | 1 << 16);
	second = push(&f.g, ring, BUFFER + 0x1000, 10, NORMAL, CHAIN | ISP);
	push(&f.g, ring, BUFFER + 0x2000, 44, NORMAL, CHAIN | ISP);
	data = push(&f.g, ring, 0x123456789ABCull, 0, EVENT_DATA, IOC);
	status = push(&f.g, ring, 0, 0, STATUS, IOC);
	ring_endpoint(&f.g, slot, 1);
	expect_transfer(&f.g, second, SHORT_PACKET, 2);
	event = expect_event(&f.g, TRANSFER_EVENT);
	g_assert_cmphex(event.parameter, ==, 0x123456789ABC);
	g_assert_cmphex(event.control & 4, !=, 0);
	g_assert_cmpuint(event.length, ==, 18);
	g_assert_cmpuint(event.code, ==, SHORT_PACKET);
	expect_transfer(&f.g, status, SUCCESS, 0);
	expect_no_event(&f.g);
	g_assert_cmpuint(ram(&f.g, BUFFER)[0], ==, 18);
	g_assert_cmpuint(ram(&f.g, BUFFER + 0x1007)[0], ==, 1); /* the last byte: one configuration */
	g_assert_cmphex(data, !=, 0);
	/* A descriptor that is not finished waits for its end. */
	push(&f.g, ring, 8ull << 48 | 0x100ull << 16 | GET_DESCRIPTOR << 8 | 0x80, 8, SETUP, IDT | 3 << 16);
	push(&f.g, ring, BUFFER, 4, DATA, CHAIN | 1 << 16);
	ring_endpoint(&f.g, slot, 1);
	expect_no_event(&f.g);
	second = push(&f.g, ring, BUFFER + 4, 4, NORMAL, IOC);
	ring_endpoint(&f.g, slot, 1);
	expect_transfer(&f.g, second, SUCCESS, 0);
	close_fixture(&f);
}

static void test_interrupts(void)
{
	struct fixture f;

	open_fixture(&f);
	drain_events(&f.g);
	wait_ms(&f.g, 2);
	set_reg(&f.g, IMAN, 3);
	set_reg(&f.g, IMOD, 0);
	g_assert_cmpuint(f.g.machine->msis->len, ==, 0);
	enable_msix(&f.g, 8);
	for (unsigned i = 1; i <= 3; i++) {
		expect_command(&f.g, SUCCESS, NO_OP_COMMAND, 0, 0);
		g_assert_cmpuint(f.g.machine->msis->len, ==, i);
		g_assert_cmphex(reg(&f.g, IMAN), ==, 2); /* a message clears IP */
		g_assert_cmphex(reg(&f.g, USBSTS) & 8, ==, 8);
	}
	/* While the handler is busy there is no second one; it comes when it lets go and events wait. */
	push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
	set_reg(&f.g, DOORBELL, 0);
	push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
	set_reg(&f.g, DOORBELL, 0);
	g_assert_cmpuint(f.g.machine->msis->len, ==, 4);
	expect_event(&f.g, COMMAND_COMPLETION);
	g_assert_cmpuint(f.g.machine->msis->len, ==, 5);
	expect_event(&f.g, COMMAND_COMPLETION);
	g_assert_cmpuint(f.g.machine->msis->len, ==, 5);
	set_reg(&f.g, IMAN, 0);
	expect_command(&f.g, SUCCESS, NO_OP_COMMAND, 0, 0);
	g_assert_cmpuint(f.g.machine->msis->len, ==, 5);
	set_reg(&f.g, IMAN, 2);
	g_assert_cmpuint(f.g.machine->msis->len, ==, 6);
	close_fixture(&f);
}

static void test_moderation(void)
{
	struct fixture f;

	open_fixture(&f);
	drain_events(&f.g);
	set_reg(&f.g, IMAN, 3);
	enable_msix(&f.g, 8);
	set_reg(&f.g, IMOD, 4000); /* 1 ms */
	wait_ms(&f.g, 2);
	for (unsigned i = 0; i < 5; i++)
		expect_command(&f.g, SUCCESS, NO_OP_COMMAND, 0, 0);
	g_assert_cmpuint(f.g.machine->msis->len, ==, 1);
	push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
	set_reg(&f.g, DOORBELL, 0);
	wait_ms(&f.g, 1);
	g_assert_cmpuint(f.g.machine->msis->len, ==, 2);
	expect_event(&f.g, COMMAND_COMPLETION);
	wait_ms(&f.g, 100);
	g_assert_cmpuint(f.g.machine->msis->len, ==, 2);
	close_fixture(&f);
}

static void test_pin(void)
{
	struct fixture f;

	open_fixture(&f);
	g_assert_true(f.g.pci->intx_driven); /* the port's change */
	set_reg(&f.g, IMAN, 3);
	g_assert_false(f.g.pci->intx_driven);
	drain_events(&f.g);
	wait_ms(&f.g, 2);
	push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
	set_reg(&f.g, DOORBELL, 0);
	g_assert_true(f.g.pci->intx_driven);
	set_reg(&f.g, USBCMD, 1);
	g_assert_false(f.g.pci->intx_driven);
	set_reg(&f.g, USBCMD, 5);
	g_assert_true(f.g.pci->intx_driven);
	set_reg(&f.g, IMAN, 3);
	g_assert_false(f.g.pci->intx_driven);
	close_fixture(&f);
}

/* Transfers can be told to another interrupter, with an event ring of its own. */
static void test_interrupter_target(void)
{
	struct fixture f;
	struct guest_ring *ring;
	unsigned slot;
	uint32_t status, ring2 = EVENT_RING + 0x800000;

	open_fixture(&f);
	slot = address_port(&f.g, 1);
	enable_msix(&f.g, 8);
	set_event_ring(&f.g, 2, ring2, 16);
	set_reg(&f.g, IMAN + 2 * 32, 2);
	drain_events(&f.g);
	ring = &f.g.transfers[slot][1];
	push(&f.g, ring, USB_SET_CONFIGURATION << 8 | 1ull << 16, 8, SETUP, IDT);
	status = push(&f.g, ring, 0, 2u << 22, STATUS, IOC | 1 << 16);
	ring_endpoint(&f.g, slot, 1);
	expect_no_event(&f.g);
	g_assert_cmphex(pci_get32(ram(&f.g, ring2)), ==, status);
	g_assert_cmphex(ram(&f.g, ring2)[12] & 1, ==, 1);
	g_assert_cmphex(g_array_index(f.g.machine->msis, struct fake_msi, f.g.machine->msis->len - 1).data, ==, 0x42);
	close_fixture(&f);
}

static void test_event_ring_full(void)
{
	struct fixture f;
	struct guest_event event;
	unsigned full = 0, done = 0;

	open_fixture(&f);
	drain_events(&f.g);
	/* Nobody reads events: commands wait on their ring, which is refilled in between. */
	for (unsigned i = 0; i < 12; i++) {
		for (unsigned n = 0; n < 10; n++)
			push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
		if (i < 7)
			set_reg(&f.g, DOORBELL, 0);
		if (i == 6)
			break;
	}
	while (next_event(&f.g, &event)) {
		full += event.type == HOST_CONTROLLER && event.code == EVENT_RING_FULL;
		done += event.type == COMMAND_COMPLETION && event.code == SUCCESS;
		wait_ms(&f.g, 1);
	}
	g_assert_cmpuint(full, >=, 1);
	g_assert_cmpuint(done, ==, 70);
	close_fixture(&f);
}

static void test_several_segments(void)
{
	struct fixture f;
	uint32_t second = EVENT_RING + 0x800000;

	open_fixture(&f);
	drain_events(&f.g);
	write_trb(&f.g, ERST, EVENT_RING, 16, 0);
	write_trb(&f.g, ERST + 16, second, 16, 0);
	memset(ram(&f.g, EVENT_RING), 0, 256);
	memset(ram(&f.g, second), 0, 256);
	set_reg(&f.g, ERSTSZ, 2);
	set_reg64(&f.g, ERDP, EVENT_RING);
	set_reg64(&f.g, ERSTBA, ERST);
	for (unsigned i = 0; i < 15; i++)
		push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
	set_reg(&f.g, DOORBELL, 0);
	for (unsigned i = 0; i < 5; i++)
		push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
	set_reg(&f.g, DOORBELL, 0);
	g_assert_cmphex(ram(&f.g, EVENT_RING + 15 * 16)[12] & 1, ==, 1);
	g_assert_cmphex(ram(&f.g, second + 3 * 16)[12] & 1, ==, 1);
	g_assert_cmphex(ram(&f.g, second + 4 * 16)[12] & 1, ==, 0);
	close_fixture(&f);
}

static void test_hotplug(void)
{
	struct fixture f;
	struct usb_device *other;
	unsigned slot;

	open_fixture(&f);
	g_assert_cmpuint(expect_event(&f.g, PORT_CHANGE).parameter >> 24, ==, 1);
	slot = address_port(&f.g, 1);
	other = usb_tablet_new(&f.g.machine->vm, &f.router);
	g_assert_true(xhci_attach(f.g.xhci, other, NULL));
	g_assert_true(xhci_connected(f.g.xhci, 1) == other);
	g_assert_cmpuint(expect_event(&f.g, PORT_CHANGE).parameter >> 24, ==, 2);
	g_assert_cmphex(reg(&f.g, PORTSC1 + 16) & 0x20003, ==, 0x20001);
	g_assert_cmphex(reg(&f.g, USBSTS) & 16, ==, 16);
	/* No second event before the first change was seen. */
	xhci_detach(f.g.xhci, other);
	expect_no_event(&f.g);
	g_assert_cmphex(reg(&f.g, PORTSC1 + 16) & 0x20003, ==, 0x20000);
	/* Pulled out with a transfer under way: that fails, and so does whatever follows. */
	xhci_detach(f.g.xhci, f.tablet);
	g_assert_cmpuint(expect_event(&f.g, PORT_CHANGE).parameter >> 24, ==, 1);
	g_assert_cmpuint(control(&f.g, slot, 0x80, GET_DESCRIPTOR, 0x100, 0, 18, NULL), ==, TRANSACTION_ERROR);
	expect_command(&f.g, SUCCESS, DISABLE_SLOT, 0, slot << 24);
	close_fixture(&f);
}

static void test_unplugged_while_waiting(void)
{
	static const unsigned endpoints[][2] = { { IN_1, EP_INTERRUPT_IN }, { 0, 0 } };
	struct fixture f;
	unsigned slot;
	uint32_t trb;

	open_fixture(&f);
	slot = address_port(&f.g, 1);
	configure(&f.g, slot, endpoints, 8);
	trb = transfer(&f.g, slot, IN_1, BUFFER, 8);
	expect_no_event(&f.g);
	xhci_detach(f.g.xhci, f.tablet);
	expect_transfer(&f.g, trb, TRANSACTION_ERROR, 8);
	expect_event(&f.g, PORT_CHANGE);
	g_assert_cmphex(ram(&f.g, OUTPUT_CONTEXT(slot))[IN_1 * 32] & 7, ==, 2);
	close_fixture(&f);
}

static void test_all_ports_taken(void)
{
	struct fixture f;
	struct usb_device *device;
	g_autoptr(GError) error = NULL;

	open_fixture(&f);
	for (unsigned i = 1; i < XHCI_CONNECTORS; i++)
		g_assert_true(xhci_attach(f.g.xhci, usb_tablet_new(&f.g.machine->vm, &f.router), NULL));
	device = usb_tablet_new(&f.g.machine->vm, &f.router);
	g_assert_false(xhci_attach(f.g.xhci, device, &error));
	g_assert_nonnull(strstr(error->message, "taken"));
	device->ops->destroy(device);
	close_fixture(&f);
}

static void test_save_and_restore_state(void)
{
	struct fixture f;
	unsigned slot;

	open_fixture(&f);
	slot = address_port(&f.g, 1);
	/* Restoring what was not saved is an error (section 4.23.2). */
	set_reg(&f.g, USBCMD, 0);
	g_assert_cmphex(reg(&f.g, USBSTS) & 1, ==, 1);
	set_reg(&f.g, USBCMD, 1 << 9);
	g_assert_cmphex(reg(&f.g, USBSTS) & 1 << 10, !=, 0);
	set_reg(&f.g, USBSTS, 1 << 10);
	set_reg(&f.g, USBCMD, 1 << 8);
	set_reg(&f.g, USBCMD, 1 << 9);
	g_assert_cmphex(reg(&f.g, USBSTS) & 1 << 10, ==, 0);
	set_reg(&f.g, USBCMD, 5);
	g_assert_cmpuint(control(&f.g, slot, 0x80, GET_DESCRIPTOR, 0x100, 0, 18, NULL), ==, SUCCESS);
	close_fixture(&f);
}

static void test_state(void)
{
	struct fixture f;
	unsigned slot;

	open_fixture(&f);
	slot = address_port(&f.g, 1);
	push(&f.g, &f.g.commands, 0, 0, NO_OP_COMMAND, 0);
	fake_check_state_round_trip(f.g.device);
	set_reg(&f.g, DOORBELL, 0);
	expect_event(&f.g, COMMAND_COMPLETION);
	g_assert_cmpuint(control(&f.g, slot, 0x80, GET_DESCRIPTOR, 0x100, 0, 18, NULL), ==, SUCCESS);
	close_fixture(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xhci/capabilities", test_capabilities);
	g_test_add_func("/xhci/reset", test_reset);
	g_test_add_func("/xhci/microframes", test_microframes);
	g_test_add_func("/xhci/commands", test_commands);
	g_test_add_func("/xhci/addressing", test_addressing);
	g_test_add_func("/xhci/configuring", test_configuring);
	g_test_add_func("/xhci/transfer-events", test_transfer_events);
	g_test_add_func("/xhci/interrupts", test_interrupts);
	g_test_add_func("/xhci/moderation", test_moderation);
	g_test_add_func("/xhci/pin", test_pin);
	g_test_add_func("/xhci/interrupter-target", test_interrupter_target);
	g_test_add_func("/xhci/event-ring-full", test_event_ring_full);
	g_test_add_func("/xhci/several-segments", test_several_segments);
	g_test_add_func("/xhci/hotplug", test_hotplug);
	g_test_add_func("/xhci/unplugged-while-waiting", test_unplugged_while_waiting);
	g_test_add_func("/xhci/all-ports-taken", test_all_ports_taken);
	g_test_add_func("/xhci/save-and-restore-state", test_save_and_restore_state);
	g_test_add_func("/xhci/state", test_state);
	return g_test_run();
}
