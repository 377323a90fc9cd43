/* The USB tablet and keyboard as a guest's driver sees them, through the xHCI controller. */
#include "xhci_guest.h"

#include "../../input/router.h"
#include "../../input/usb_keyboard.h"
#include "../../input/usb_tablet.h"

#define IN_1 3u /* device context index of endpoint 81h */
#define GET_DESCRIPTOR 6

struct hid_guest {
	struct xhci_guest g;
	struct input_router router;
	struct usb_device *usb;
	unsigned slot;
	unsigned changes;
};

static void changed(struct input_router *router, void *opaque)
{
	(void)router;
	((struct hid_guest *)opaque)->changes++;
}

static void open_hid(struct hid_guest *h, struct usb_device *(*new)(struct vm *vm, struct input_router *router))
{
	static const unsigned endpoints[][2] = { { IN_1, EP_INTERRUPT_IN }, { 0, 0 } };

	memset(h, 0, sizeof *h);
	input_router_init(&h->router);
	h->router.changed = changed;
	h->router.changed_opaque = h;
	guest_open(&h->g);
	h->usb = new(&h->g.machine->vm, &h->router);
	g_assert_true(xhci_attach(h->g.xhci, h->usb, NULL));
	guest_start(&h->g);
	h->slot = address_port(&h->g, 1);
	configure(&h->g, h->slot, endpoints, 8);
}

static void close_hid(struct hid_guest *h)
{
	guest_close(&h->g);
	g_assert_cmpuint(h->router.sinks->len, ==, 0);
	input_router_finish(&h->router);
}

static void send(struct hid_guest *h, uint16_t type, uint16_t code, int32_t value)
{
	const struct input_event events[] = { { type, code, value }, { EV_SYN, SYN_REPORT, 0 } };

	input_router_send(&h->router, events, 2);
}

static void move_to(struct hid_guest *h, int x, int y)
{
	const struct input_event events[] = { { EV_ABS, ABS_X, x }, { EV_ABS, ABS_Y, y }, { EV_SYN, SYN_REPORT, 0 } };

	input_router_send(&h->router, events, 3);
}

static uint32_t ask(struct hid_guest *h, uint32_t length)
{
	memset(ram(&h->g, BUFFER), 0xEE, 16);
	return transfer(&h->g, h->slot, IN_1, BUFFER, length);
}

static void expect_tablet(struct hid_guest *h, unsigned buttons, unsigned x, unsigned y, int wheel, int tilt)
{
	const uint8_t *report = ram(&h->g, BUFFER);

	g_assert_cmphex(report[0], ==, buttons);
	g_assert_cmpuint(pci_get16(report + 1), ==, x);
	g_assert_cmpuint(pci_get16(report + 3), ==, y);
	g_assert_cmpint((int8_t)report[5], ==, wheel);
	g_assert_cmpint((int8_t)report[6], ==, tilt);
	g_assert_cmphex(report[7], ==, 0xEE);
}

static void test_descriptors(void)
{
	struct hid_guest h;
	const uint8_t *data;
	unsigned moved, total;

	open_hid(&h, usb_tablet_new);
	data = ram(&h.g, BUFFER);
	g_assert_cmpuint(control(&h.g, h.slot, 0x80, GET_DESCRIPTOR, 0x100, 0, 64, &moved), ==, SUCCESS);
	g_assert_cmpuint(moved, ==, 18);
	g_assert_cmphex(pci_get16(data + 2), ==, 0x0200);
	g_assert_cmpuint(data[7], ==, 64);
	g_assert_cmpuint(control(&h.g, h.slot, 0x80, GET_DESCRIPTOR, 0x200, 0, 9, &moved), ==, SUCCESS);
	total = pci_get16(data + 2);
	g_assert_cmpuint(control(&h.g, h.slot, 0x80, GET_DESCRIPTOR, 0x200, 0, 255, &moved), ==, SUCCESS);
	g_assert_cmpuint(moved, ==, total);
	/* Interface: HID without boot protocol, so no firmware takes it for a mouse. */
	g_assert_cmpuint(data[9 + 5], ==, 3);
	g_assert_cmpuint(data[9 + 6], ==, 0);
	g_assert_cmphex(data[27 + 2], ==, 0x81);
	total = pci_get16(data + 18 + 7);
	g_assert_cmpuint(control(&h.g, h.slot, 0x81, GET_DESCRIPTOR, 0x2200, 0, 255, &moved), ==, SUCCESS);
	g_assert_cmpuint(moved, ==, total);
	g_assert_cmphex(data[moved - 1], ==, 0xC0);
	g_assert_cmpuint(control(&h.g, h.slot, 0x80, GET_DESCRIPTOR, 0x302, 0x409, 255, &moved), ==, SUCCESS);
	g_assert_cmpuint(moved, ==, 2 + 2 * strlen("USB Tablet"));
	g_assert_cmpint(data[2], ==, 'U');
	/* What is not there stalls, and the endpoint goes on after the next reset of it. */
	g_assert_cmpuint(control(&h.g, h.slot, 0x80, GET_DESCRIPTOR, 0x309, 0x409, 255, NULL), ==, STALL);
	recover_endpoint(&h.g, h.slot, 1);
	g_assert_cmpuint(control(&h.g, h.slot, 0x80, GET_DESCRIPTOR, 0x600, 0, 10, NULL), ==, STALL);
	recover_endpoint(&h.g, h.slot, 1);
	g_assert_cmpuint(control(&h.g, h.slot, 0x80, 8, 0, 0, 1, &moved), ==, SUCCESS);
	g_assert_cmpuint(data[0], ==, 1);
	close_hid(&h);
}

/* Only a guest that asks for reports has a tablet, as far as the window is concerned. */
static void test_stop_listening(void)
{
	struct hid_guest h;
	uint32_t trb;

	open_hid(&h, usb_tablet_new);
	g_assert_cmpuint(input_router_kinds(&h.router), ==, 0);
	trb = ask(&h, 8);
	g_assert_cmpuint(input_router_kinds(&h.router), ==, INPUT_TABLET);
	g_assert_cmpuint(h.changes, ==, 1);
	push(&h.g, &h.g.commands, 0, 0, STOP_ENDPOINT, h.slot << 24 | IN_1 << 16);
	set_reg(&h.g, DOORBELL, 0);
	expect_transfer(&h.g, trb, STOPPED, 8);
	g_assert_cmpuint(expect_event(&h.g, COMMAND_COMPLETION).code, ==, SUCCESS);
	g_assert_cmpuint(input_router_kinds(&h.router), ==, 0);
	/* What is done meanwhile is not told later, but where the pointer is. */
	move_to(&h, 1, 2);
	send(&h, EV_KEY, BTN_LEFT, 1);
	send(&h, EV_KEY, BTN_LEFT, 0);
	ring_endpoint(&h.g, h.slot, IN_1);
	expect_no_event(&h.g);
	move_to(&h, 3, 4);
	expect_transfer(&h.g, trb, SHORT_PACKET, 1);
	expect_tablet(&h, 0, 3, 4, 0, 0);
	set_reg(&h.g, USBCMD, 2);
	g_assert_cmpuint(input_router_kinds(&h.router), ==, 0);
	close_hid(&h);
}

static void test_tablet_reports(void)
{
	struct hid_guest h;
	uint32_t trb;

	open_hid(&h, usb_tablet_new);
	trb = ask(&h, 7);
	expect_no_event(&h.g);
	move_to(&h, 100, 32767);
	expect_transfer(&h.g, trb, SUCCESS, 0);
	expect_tablet(&h, 0, 100, 32767, 0, 0);
	/* Motion that the guest has not asked for yet becomes one report, and clicks one each. */
	move_to(&h, 1, 1);
	move_to(&h, 70000, -5);
	send(&h, EV_REL, REL_WHEEL, 1);
	send(&h, EV_REL, REL_WHEEL, 2);
	send(&h, EV_REL, REL_HWHEEL, -1);
	send(&h, EV_KEY, BTN_LEFT, 1);
	send(&h, EV_KEY, BTN_RIGHT, 1);
	send(&h, EV_KEY, BTN_LEFT, 0);
	trb = ask(&h, 8);
	expect_transfer(&h.g, trb, SHORT_PACKET, 1);
	expect_tablet(&h, 0, 32767, 0, 3, -1);
	ask(&h, 8);
	expect_event(&h.g, TRANSFER_EVENT);
	expect_tablet(&h, 1, 32767, 0, 0, 0);
	ask(&h, 8);
	expect_event(&h.g, TRANSFER_EVENT);
	expect_tablet(&h, 3, 32767, 0, 0, 0);
	ask(&h, 8);
	expect_event(&h.g, TRANSFER_EVENT);
	expect_tablet(&h, 2, 32767, 0, 0, 0);
	/* Nothing more; then a buffer that is too small. */
	trb = ask(&h, 4);
	expect_no_event(&h.g);
	send(&h, EV_KEY, BTN_SIDE, 1);
	expect_transfer(&h.g, trb, 3, 0);
	close_hid(&h);
}

/* More clicks than fit: the last state is told for certain. */
static void test_tablet_flood(void)
{
	struct hid_guest h;
	unsigned reports = 0;

	open_hid(&h, usb_tablet_new);
	ask(&h, 8);
	move_to(&h, 5, 5);
	expect_event(&h.g, TRANSFER_EVENT);
	for (unsigned i = 0; i < 101; i++)
		send(&h, EV_KEY, BTN_LEFT, !(i & 1));
	for (struct guest_event event; ask(&h, 8), next_event(&h.g, &event);)
		reports++;
	g_assert_cmpuint(reports, >=, 16);
	g_assert_cmpuint(reports, <=, 101);
	send(&h, EV_KEY, BTN_MIDDLE, 1);
	expect_event(&h.g, TRANSFER_EVENT);
	expect_tablet(&h, 5, 5, 5, 0, 0);
	close_hid(&h);
}

static void test_idle_costs_nothing(void)
{
	struct hid_guest h;

	open_hid(&h, usb_tablet_new);
	ask(&h, 8);
	wait_ms(&h.g, 2);
	g_assert_cmpuint(h.g.machine->vm.clock.timers->len, ==, 0);
	move_to(&h, 9, 9);
	wait_ms(&h.g, 10);
	g_assert_cmpuint(h.g.machine->vm.clock.timers->len, ==, 0);
	close_hid(&h);
}

static void test_wakeup(void)
{
	struct hid_guest h;
	uint32_t trb;

	open_hid(&h, usb_tablet_new);
	trb = ask(&h, 8);
	push(&h.g, &h.g.commands, 0, 0, STOP_ENDPOINT, h.slot << 24 | IN_1 << 16);
	set_reg(&h.g, DOORBELL, 0);
	expect_transfer(&h.g, trb, STOPPED, 8);
	expect_event(&h.g, COMMAND_COMPLETION);
	/* SET_FEATURE DEVICE_REMOTE_WAKEUP, then U3. */
	g_assert_cmpuint(control(&h.g, h.slot, 0x00, 3, 1, 0, 0, NULL), ==, SUCCESS);
	g_assert_cmpuint(input_router_kinds(&h.router), ==, 0);
	set_reg(&h.g, PORTSC1, 1u << 9 | 1u << 16 | 3 << 5);
	g_assert_cmphex(reg(&h.g, PORTSC1) >> 5 & 15, ==, 3);
	g_assert_cmpuint(input_router_kinds(&h.router), ==, INPUT_TABLET);
	move_to(&h, 6, 7);
	g_assert_cmpuint(expect_event(&h.g, PORT_CHANGE).parameter >> 24, ==, 1);
	g_assert_cmphex(reg(&h.g, PORTSC1) >> 5 & 15, ==, 15);
	g_assert_cmphex(reg(&h.g, PORTSC1) & 1u << 22, !=, 0);
	set_reg(&h.g, PORTSC1, 1u << 9 | 1u << 22);
	set_reg(&h.g, PORTSC1, 1u << 9 | 1u << 16);
	g_assert_cmphex(reg(&h.g, PORTSC1) & 0x4001EF, ==, 0x400003);
	expect_event(&h.g, PORT_CHANGE);
	ring_endpoint(&h.g, h.slot, IN_1);
	expect_transfer(&h.g, trb, SHORT_PACKET, 1);
	expect_tablet(&h, 0, 6, 7, 0, 0);
	close_hid(&h);
}

/* --- Keyboard --- */

static void key(struct hid_guest *h, unsigned code, bool pressed)
{
	send(h, EV_KEY, (uint16_t)code, pressed);
}

static void expect_keys(struct hid_guest *h, unsigned modifiers, const char *usages)
{
	const uint8_t *report;
	struct guest_event event;
	uint8_t keys[6] = { 0 };

	memcpy(keys, usages, strlen(usages));
	g_assert_true(next_event(&h->g, &event));
	g_assert_cmpuint(event.code, ==, SUCCESS);
	report = ram(&h->g, BUFFER);
	g_assert_cmphex(report[0], ==, modifiers);
	g_assert_cmpmem(report + 2, 6, keys, 6);
}

static void test_keyboard_reports(void)
{
	struct hid_guest h;

	open_hid(&h, usb_keyboard_new);
	g_assert_false(input_router_ready(&h.router, INPUT_KEYBOARD));
	ask(&h, 8);
	g_assert_true(input_router_ready(&h.router, INPUT_KEYBOARD));
	key(&h, KEY_LEFTSHIFT, true);
	expect_keys(&h, 2, "");
	key(&h, KEY_A, true);
	key(&h, KEY_A, false);
	g_assert_false(input_router_ready(&h.router, INPUT_KEYBOARD));
	ask(&h, 8);
	expect_keys(&h, 2, "\x04");
	ask(&h, 8);
	expect_keys(&h, 2, "");
	key(&h, KEY_LEFTSHIFT, false);
	ask(&h, 8);
	expect_keys(&h, 0, "");
	for (unsigned i = 0; i < 7; i++) {
		key(&h, KEY_1 + i, true);
		ask(&h, 8);
		if (i == 5)
			expect_keys(&h, 0, "\x1E\x1F\x20\x21\x22\x23");
		else if (i == 6)
			expect_keys(&h, 0, "\1\1\1\1\1\1");
		else
			expect_event(&h.g, TRANSFER_EVENT);
	}
	key(&h, KEY_1, false);
	ask(&h, 8);
	expect_keys(&h, 0, "\x1F\x20\x21\x22\x23\x24");
	/* A code without usage says nothing. */
	ask(&h, 8);
	key(&h, KEY_WLAN, true);
	expect_no_event(&h.g);
	close_hid(&h);
}

static void test_keyboard_leds(void)
{
	struct hid_guest h;

	open_hid(&h, usb_keyboard_new);
	*ram(&h.g, BUFFER) = 0x03;
	g_assert_cmpuint(control(&h.g, h.slot, 0x21, 9, 0x200, 0, 1, NULL), ==, SUCCESS);
	g_assert_cmpuint(h.router.leds, ==, INPUT_LED_NUM | INPUT_LED_CAPS);
	*ram(&h.g, BUFFER) = 0x04;
	g_assert_cmpuint(control(&h.g, h.slot, 0x21, 9, 0x200, 0, 1, NULL), ==, SUCCESS);
	g_assert_cmpuint(h.router.leds, ==, INPUT_LED_SCROLL);
	g_assert_cmpuint(control(&h.g, h.slot, 0x21, 9, 0x200, 0, 9, NULL), ==, STALL);
	close_hid(&h);
}

/* Firmware lets the keyboard repeat; a keyboard with nothing pressed stays silent. */
static void test_keyboard_idle_rate(void)
{
	struct hid_guest h;

	open_hid(&h, usb_keyboard_new);
	g_assert_cmpuint(control(&h.g, h.slot, 0x21, 10, 8 << 8, 0, 0, NULL), ==, SUCCESS);
	g_assert_cmpuint(control(&h.g, h.slot, 0x21, 11, 0, 0, 0, NULL), ==, SUCCESS);
	ask(&h, 8);
	wait_ms(&h.g, 1000);
	expect_no_event(&h.g);
	key(&h, KEY_B, true);
	expect_keys(&h, 0, "\5");
	for (unsigned i = 0; i < 3; i++) {
		ask(&h, 8);
		wait_ms(&h.g, 31);
		expect_no_event(&h.g);
		wait_ms(&h.g, 1);
		expect_keys(&h, 0, "\5");
	}
	ask(&h, 8);
	key(&h, KEY_B, false);
	expect_keys(&h, 0, "");
	ask(&h, 8);
	wait_ms(&h.g, 1000);
	expect_no_event(&h.g);
	g_assert_cmpuint(h.g.machine->vm.clock.timers->len, ==, 0);
	close_hid(&h);
}

static void test_state(void)
{
	struct hid_guest h;
	uint32_t trb;

	open_hid(&h, usb_tablet_new);
	trb = ask(&h, 8);
	fake_check_state_round_trip(h.g.device);
	/* What was asked for before is answered after. */
	wait_ms(&h.g, 0);
	move_to(&h, 11, 12);
	expect_transfer(&h.g, trb, SHORT_PACKET, 1);
	expect_tablet(&h, 0, 11, 12, 0, 0);
	move_to(&h, 13, 14);
	send(&h, EV_KEY, BTN_LEFT, 1);
	fake_check_state_round_trip(h.g.device);
	ask(&h, 8);
	expect_event(&h.g, TRANSFER_EVENT);
	expect_tablet(&h, 0, 13, 14, 0, 0);
	close_hid(&h);
	open_hid(&h, usb_keyboard_new);
	ask(&h, 8);
	key(&h, KEY_LEFTCTRL, true);
	key(&h, KEY_C, true);
	fake_check_state_round_trip(h.g.device);
	close_hid(&h);
}

/* A state of a machine with another device at the port is refused. */
static void test_state_of_another(void)
{
	struct hid_guest h;
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GError) error = NULL;

	open_hid(&h, usb_tablet_new);
	file = fake_save(h.g.device);
	close_hid(&h);
	open_hid(&h, usb_keyboard_new);
	g_assert_false(fake_load(h.g.device, file, &error));
	g_assert_nonnull(strstr(error->message, "USB tablet"));
	close_hid(&h);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/usb-hid/descriptors", test_descriptors);
	g_test_add_func("/usb-hid/stop-listening", test_stop_listening);
	g_test_add_func("/usb-hid/tablet-reports", test_tablet_reports);
	g_test_add_func("/usb-hid/tablet-flood", test_tablet_flood);
	g_test_add_func("/usb-hid/idle-costs-nothing", test_idle_costs_nothing);
	g_test_add_func("/usb-hid/wakeup", test_wakeup);
	g_test_add_func("/usb-hid/keyboard-reports", test_keyboard_reports);
	g_test_add_func("/usb-hid/keyboard-leds", test_keyboard_leds);
	g_test_add_func("/usb-hid/keyboard-idle-rate", test_keyboard_idle_rate);
	g_test_add_func("/usb-hid/state", test_state);
	g_test_add_func("/usb-hid/state-of-another", test_state_of_another);
	return g_test_run();
}
