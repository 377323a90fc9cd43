/* Isochronous streams of devices of the host, and calls of libusb that wait for the device. */
#include "fake_libusb.h"

#define PACKETS 2u  /* in each request, at 1 ms */
#define REQUESTS 6u /* that are under way */
#define FULL (PACKETS * REQUESTS)

static uint32_t queue_isoch(struct fixture *f, unsigned dci, uint32_t buffer, uint32_t length)
{
	return push(&f->g, &f->g.transfers[f->slot][dci], buffer, length, ISOCH, IOC | SIA);
}

static struct libusb_iso_packet_descriptor *packet(unsigned index)
{
	return &peer.isoch[0]->iso_packet_desc[index];
}

/* The device sends a packet of so many bytes of this value. */
static void put_packet(unsigned index, unsigned length, uint8_t value)
{
	*packet(index) = (struct libusb_iso_packet_descriptor){ packet(index)->length, length, LIBUSB_TRANSFER_COMPLETED };
	memset(peer.isoch[0]->buffer + index * packet(0)->length, value, length);
}

static void end_request(enum libusb_transfer_status status)
{
	struct libusb_transfer *transfer = take_isoch(0);

	transfer->status = status;
	transfer->callback(transfer);
}

static void send_packets(unsigned first_length, unsigned second_length, uint8_t value)
{
	put_packet(0, first_length, value);
	put_packet(1, second_length, (uint8_t)(value + 1));
	end_request(LIBUSB_TRANSFER_COMPLETED);
}

/* Packets go to descriptors in their order, with their lengths and what became of them. */
static void test_in(void)
{
	struct fixture f;
	uint32_t trbs[6];

	open_fixture(&f);
	start_device(&f);
	for (unsigned i = 0; i < G_N_ELEMENTS(trbs); i++)
		trbs[i] = queue_isoch(&f, ISOCH_IN, BUFFER + i * 0x1000, i == 4 ? 100 : 512);
	g_assert_cmpuint(peer.isoch_count, ==, 0);
	ring_endpoint(&f.g, f.slot, ISOCH_IN);
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS);
	g_assert_cmpint(peer.isoch[0]->num_iso_packets, ==, PACKETS);
	g_assert_cmpuint(packet(1)->length, ==, 512);
	expect_no_event(&f.g);
	send_packets(512, 80, 0x10);
	/* It is under way again at once. */
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS);
	expect_transfer(&f.g, trbs[0], SUCCESS, 0);
	expect_transfer(&f.g, trbs[1], SHORT_PACKET, 432);
	g_assert_cmphex(ram(&f.g, BUFFER)[511], ==, 0x10);
	g_assert_cmphex(ram(&f.g, BUFFER)[0x1000 + 79], ==, 0x11);
	g_assert_cmphex(ram(&f.g, BUFFER)[0x1000 + 80], ==, 0);
	/* One that failed, an empty one, one for which there is too little room, and one too long for the bus. */
	put_packet(0, 0, 0);
	packet(0)->status = LIBUSB_TRANSFER_ERROR;
	put_packet(1, 0, 0);
	end_request(LIBUSB_TRANSFER_COMPLETED);
	expect_transfer(&f.g, trbs[2], TRANSACTION_ERROR, 512);
	expect_transfer(&f.g, trbs[3], SHORT_PACKET, 512);
	put_packet(0, 200, 0x33);
	put_packet(1, 512, 0x44);
	packet(1)->status = LIBUSB_TRANSFER_OVERFLOW;
	end_request(LIBUSB_TRANSFER_COMPLETED);
	expect_transfer(&f.g, trbs[4], ISOCH_BUFFER_OVERRUN, 0);
	g_assert_cmphex(ram(&f.g, BUFFER)[0x4000 + 99], ==, 0x33);
	g_assert_cmphex(ram(&f.g, BUFFER)[0x4000 + 100], ==, 0);
	expect_transfer(&f.g, trbs[5], BABBLE, 0);
	g_assert_cmphex(ram(&f.g, OUTPUT_CONTEXT(f.slot))[ISOCH_IN * 32] & 7, ==, 1);
	close_fixture(&f);
}

/* What comes while the guest has no descriptors waits for a while; then the stream ends, until the doorbell. */
static void test_overrun(void)
{
	struct fixture f;
	struct guest_event event;
	uint32_t trb;

	open_fixture(&f);
	start_device(&f);
	trb = queue_isoch(&f, ISOCH_IN, BUFFER, 512);
	ring_endpoint(&f.g, f.slot, ISOCH_IN);
	send_packets(10, 20, 1);
	expect_transfer(&f.g, trb, SHORT_PACKET, 502);
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS - 1);
	trb = queue_isoch(&f, ISOCH_IN, BUFFER, 512);
	ring_endpoint(&f.g, f.slot, ISOCH_IN);
	expect_transfer(&f.g, trb, SHORT_PACKET, 492);
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS);
	for (unsigned i = 0; i < REQUESTS; i++) {
		expect_no_event(&f.g);
		send_packets(1, 1, 1);
	}
	event = expect_transfer(&f.g, 0, RING_OVERRUN, 0);
	g_assert_cmpuint(event.dci, ==, ISOCH_IN);
	g_assert_cmpuint(event.slot, ==, f.slot);
	expect_no_event(&f.g);
	/* Nothing old is left. */
	trb = queue_isoch(&f, ISOCH_IN, BUFFER, 512);
	ring_endpoint(&f.g, f.slot, ISOCH_IN);
	expect_no_event(&f.g);
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS);
	send_packets(7, 7, 1);
	expect_transfer(&f.g, trb, SHORT_PACKET, 505);
	close_fixture(&f);
}

/* Requests are filled while others are under way; when all are, the guest waits. */
static void test_out(void)
{
	struct fixture f;
	uint32_t trbs[FULL + 3];

	open_fixture(&f);
	start_device(&f);
	for (unsigned i = 0; i < G_N_ELEMENTS(trbs); i++) {
		memset(ram(&f.g, BUFFER + i * 0x1000), (int)i + 1, 512);
		trbs[i] = queue_isoch(&f, ISOCH_OUT, BUFFER + i * 0x1000, i ? 300 : 0);
	}
	ring_endpoint(&f.g, f.slot, ISOCH_OUT);
	for (unsigned i = 0; i < FULL; i++)
		expect_transfer(&f.g, trbs[i], SUCCESS, 0);
	expect_no_event(&f.g);
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS);
	g_assert_cmpuint(packet(0)->length, ==, 0);
	g_assert_cmpuint(packet(1)->length, ==, 300);
	g_assert_cmpint(peer.isoch[0]->length, ==, 300);
	g_assert_cmphex(peer.isoch[0]->buffer[299], ==, 2);
	g_assert_cmphex(peer.isoch[1]->buffer[0], ==, 3);
	g_assert_cmphex(peer.isoch[1]->buffer[599], ==, 4);
	/* One packet did not get out: the guest hears of it late, but does. */
	packet(1)->status = LIBUSB_TRANSFER_ERROR;
	end_request(LIBUSB_TRANSFER_COMPLETED);
	expect_transfer(&f.g, trbs[FULL], TRANSACTION_ERROR, 0);
	expect_transfer(&f.g, trbs[FULL + 1], SUCCESS, 0);
	expect_no_event(&f.g);
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS);
	end_request(LIBUSB_TRANSFER_COMPLETED);
	expect_transfer(&f.g, trbs[FULL + 2], SUCCESS, 0);
	/* The last one does not wait for company for ever. */
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS - 1);
	wait_ms(&f.g, 1);
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS);
	g_assert_cmpint(peer.isoch[REQUESTS - 1]->num_iso_packets, ==, 1);
	while (peer.isoch_count > 1)
		end_request(LIBUSB_TRANSFER_COMPLETED);
	expect_no_event(&f.g);
	end_request(LIBUSB_TRANSFER_COMPLETED);
	expect_transfer(&f.g, 0, RING_UNDERRUN, 0);
	close_fixture(&f);
}

/* Stopping, another configuration, resets and saving while packets are on their way. */
static void test_stop(void)
{
	struct fixture f;
	uint32_t trb;

	open_fixture(&f);
	start_device(&f);
	trb = queue_isoch(&f, ISOCH_IN, BUFFER, 512);
	queue_isoch(&f, ISOCH_OUT, BUFFER, 512);
	ring_endpoint(&f.g, f.slot, ISOCH_IN);
	ring_endpoint(&f.g, f.slot, ISOCH_OUT);
	expect_event(&f.g, TRANSFER_EVENT);
	fake_check_state_round_trip(f.g.device);
	push(&f.g, &f.g.commands, 0, 0, STOP_ENDPOINT, f.slot << 24 | ISOCH_IN << 16);
	set_reg(&f.g, DOORBELL, 0);
	wait_ms(&f.g, 2);
	(void)trb;
	f.g.device->ops->reset(f.g.device);
	libusb_handle_events((libusb_context *)&peer);
	close_fixture(&f);
	/* Its own word ends a stream. */
	open_fixture(&f);
	start_device(&f);
	trb = queue_isoch(&f, ISOCH_IN, BUFFER, 512);
	ring_endpoint(&f.g, f.slot, ISOCH_IN);
	push(&f.g, &f.g.commands, 0, 0, STOP_ENDPOINT, f.slot << 24 | ISOCH_IN << 16);
	set_reg(&f.g, DOORBELL, 0);
	expect_transfer(&f.g, trb, STOPPED, 512);
	expect_event(&f.g, COMMAND_COMPLETION);
	g_assert_cmpint(peer.isoch[0]->status, ==, LIBUSB_TRANSFER_CANCELLED);
	g_assert_cmpuint(control(&f.g, f.slot, 0x01, 11, 0, 0, 0, NULL), ==, SUCCESS);
	libusb_handle_events((libusb_context *)&peer);
	g_assert_cmpuint(peer.isoch_count, ==, 0);
	expect_no_event(&f.g);
	close_fixture(&f);
}

/* Pulled out in the middle, and a device that takes no packets at all. */
static void test_trouble(void)
{
	struct fixture f;
	uint32_t trbs[3];

	open_fixture(&f);
	start_device(&f);
	for (unsigned i = 0; i < 3; i++)
		trbs[i] = queue_isoch(&f, ISOCH_OUT, BUFFER, 512);
	peer.refuse_isoch = true;
	ring_endpoint(&f.g, f.slot, ISOCH_OUT);
	/* The first two went before it was known. */
	expect_transfer(&f.g, trbs[0], SUCCESS, 0);
	expect_transfer(&f.g, trbs[1], SUCCESS, 0);
	expect_transfer(&f.g, trbs[2], TRANSACTION_ERROR, 512);
	for (unsigned i = 0; i < 2; i++)
		trbs[i] = queue_isoch(&f, ISOCH_IN, BUFFER, 512);
	ring_endpoint(&f.g, f.slot, ISOCH_IN);
	expect_transfer(&f.g, trbs[0], TRANSACTION_ERROR, 512);
	expect_transfer(&f.g, trbs[1], TRANSACTION_ERROR, 512);
	expect_no_event(&f.g);
	peer.refuse_isoch = false;
	for (unsigned i = 0; i < 2; i++)
		trbs[i] = queue_isoch(&f, ISOCH_IN, BUFFER, 512);
	ring_endpoint(&f.g, f.slot, ISOCH_IN);
	g_assert_cmpuint(peer.isoch_count, ==, REQUESTS);
	while (peer.isoch_count) {
		peer.refuse_isoch = true;
		end_request(LIBUSB_TRANSFER_NO_DEVICE);
	}
	expect_transfer(&f.g, trbs[0], TRANSACTION_ERROR, 512);
	expect_transfer(&f.g, trbs[1], TRANSACTION_ERROR, 512);
	g_assert_true(usb_host_gone(f.usb));
	wait_closed(&f);
	expect_event(&f.g, PORT_CHANGE);
	g_assert_null(xhci_connected(f.g.xhci, 0));
	close_fixture(&f);
}

/* --- Calls that wait for the device --- */

static uint32_t push_request(struct fixture *f, unsigned type, unsigned request, unsigned value, unsigned index)
{
	struct guest_ring *ring = &f->g.transfers[f->slot][1];
	uint32_t status;

	push(&f->g, ring, (uint64_t)index << 32 | (uint64_t)value << 16 | request << 8 | type, 8, SETUP, IDT);
	status = push(&f->g, ring, 0, 0, STATUS, IOC | 1 << 16);
	ring_endpoint(&f->g, f->slot, 1);
	return status;
}

static void wait_event(struct fixture *f)
{
	while (!event_waits(&f->g))
		g_main_context_iteration(f->g.machine->vm.loop.context, TRUE);
}

/* The machine goes on; the device's other transfers wait for the call to end, and then go their way. */
static void test_blocked(void)
{
	static const unsigned requests[][4] = { { 0, 9, 0, 0 }, { 1, 11, 0, 0 }, { 2, 1, 0, 0x81 } };
	struct fixture f;
	uint32_t status, trb;

	open_fixture(&f);
	start_device(&f);
	for (unsigned i = 0; i < G_N_ELEMENTS(requests); i++) {
		const unsigned *request = requests[i];

		g_assert_cmpuint(control(&f.g, f.slot, 0, 9, 1, 0, 0, NULL), ==, SUCCESS);
		close_gate();
		status = push_request(&f, request[0], request[1], request[2], request[3]);
		expect_no_event(&f.g);
		trb = transfer(&f.g, f.slot, BULK_IN, BUFFER, 512);
		g_assert_null(peer.waiting);
		expect_command(&f.g, SUCCESS, NO_OP_COMMAND, 0, 0);
		while (!gate_arrived())
			g_thread_yield();
		expect_no_event(&f.g);
		open_gate();
		wait_event(&f);
		/* Without a configuration there is no such endpoint. */
		if (i == 0) {
			expect_transfer(&f.g, trb, STALL, 512);
			expect_transfer(&f.g, status, SUCCESS, 0);
			recover_endpoint(&f.g, f.slot, BULK_IN);
			continue;
		}
		expect_transfer(&f.g, status, SUCCESS, 0);
		g_assert_nonnull(peer.waiting);
		answer(LIBUSB_TRANSFER_COMPLETED, "answer", 6);
		expect_transfer(&f.g, trb, SHORT_PACKET, 506);
	}
	close_fixture(&f);
}

/* A reset that takes its time: the port is ready at once, the device when it is. */
static void test_blocked_reset(void)
{
	struct fixture f;
	struct guest_event event;
	uint32_t status;

	open_fixture(&f);
	start_device(&f);
	close_gate();
	set_reg(&f.g, PORTSC1, 1u << 9 | 1u << 4);
	g_assert_cmphex(reg(&f.g, PORTSC1) & 0x200002, ==, 0x200002);
	set_reg(&f.g, PORTSC1, 1u << 9 | 0x7Fu << 17);
	while (next_event(&f.g, &event))
		g_assert_cmpuint(event.type, ==, PORT_CHANGE);
	status = push_request(&f, 1, 11, 0, 0);
	/* The guest gives up that one and asks again. */
	expect_no_event(&f.g);
	push(&f.g, &f.g.commands, 0, 0, STOP_ENDPOINT, f.slot << 24 | 1 << 16);
	set_reg(&f.g, DOORBELL, 0);
	expect_transfer(&f.g, status, STOPPED, 0);
	expect_event(&f.g, COMMAND_COMPLETION);
	ring_endpoint(&f.g, f.slot, 1);
	open_gate();
	wait_event(&f);
	event = expect_event(&f.g, TRANSFER_EVENT);
	g_assert_cmpuint(peer.resets, ==, 1);
	/* It came back as something else. */
	peer.reset_error = LIBUSB_ERROR_NOT_FOUND;
	g_assert_cmpuint(control(&f.g, f.slot, 1, 11, 0, 0, 0, NULL), ==, SUCCESS);
	set_reg(&f.g, PORTSC1, 1u << 9 | 1u << 4);
	wait_closed(&f);
	g_assert_null(xhci_connected(f.g.xhci, 0));
	close_fixture(&f);
}

static gpointer open_gate_later(gpointer data)
{
	while (!gate_arrived())
		g_usleep(1000);
	open_gate();
	return data;
}

/* The device is pulled out, or the machine ends, while a thread waits for it. */
static void test_blocked_end(void)
{
	for (unsigned ends = 0; ends < 2; ends++) {
		GThread *thread;
		struct fixture f;

		open_fixture(&f);
		start_device(&f);
		close_gate();
		push_request(&f, 1, 11, 0, 0);
		push_request(&f, 1, 11, 0, 0);
		if (!ends) {
			xhci_detach(f.g.xhci, f.usb);
			g_assert_null(xhci_connected(f.g.xhci, 0));
			g_assert_cmpuint(peer.opened, ==, 1);
			open_gate();
			wait_closed(&f);
			g_assert_cmpuint(peer.opened, ==, 0);
		}
		thread = ends ? g_thread_new("gate", open_gate_later, NULL) : NULL;
		close_fixture(&f);
		if (thread)
			g_thread_join(thread);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/usb-host-stream/in", test_in);
	g_test_add_func("/usb-host-stream/overrun", test_overrun);
	g_test_add_func("/usb-host-stream/out", test_out);
	g_test_add_func("/usb-host-stream/stop", test_stop);
	g_test_add_func("/usb-host-stream/trouble", test_trouble);
	g_test_add_func("/usb-host-stream/blocked", test_blocked);
	g_test_add_func("/usb-host-stream/blocked-reset", test_blocked_reset);
	g_test_add_func("/usb-host-stream/blocked-end", test_blocked_end);
	return g_test_run();
}
