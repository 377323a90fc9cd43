#include "usb_keyboard.h"

#include <string.h>

#include "../vmm/state.h"
#include "usb_hid.h"

#define KEYS_TOLD 6    /* a boot report holds */
#define KEYS_MAX 32    /* held at once */
#define ROLL_OVER 1    /* usage: too many keys (HID appendix C) */
#define MODIFIERS 0xE0 /* usages of the eight modifiers */

struct usb_keyboard {
	struct usb_hid hid;
	uint8_t modifiers;
	uint8_t keys[KEYS_MAX], key_count; /* usages, in the order of being pressed */
};

/* HID appendix B.1: modifiers, a reserved byte, six keys; LEDs the other way. */
static const uint8_t report_descriptor[] = {
	0x05, 0x01, 0x09, 0x06, 0xA1, 0x01,             /* Generic Desktop, Keyboard, application */
	0x05, 0x07, 0x19, 0xE0, 0x29, 0xE7, 0x15, 0x00, 0x25, 0x01,
	0x75, 0x01, 0x95, 0x08, 0x81, 0x02,             /* 8 modifiers */
	0x95, 0x01, 0x75, 0x08, 0x81, 0x01,             /* reserved */
	0x95, 0x05, 0x75, 0x01, 0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x91, 0x02, /* 5 LEDs */
	0x95, 0x01, 0x75, 0x03, 0x91, 0x01,             /* padding */
	0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x05, 0x07, 0x19, 0x00, 0x2A, 0xFF, 0x00,
	0x81, 0x00,                                     /* 6 keys, array */
	0xC0,
};

static const uint8_t device_descriptor[] = USB_HID_DEVICE(0x0627, 0x0001);
static const uint8_t configuration[] = USB_HID_CONFIGURATION(1, 1, sizeof report_descriptor, 8);
static const char *const strings[] = { "Oriel", "USB Keyboard", "1", NULL };

static void fill(const struct usb_hid *hid, uint8_t report[USB_HID_REPORT_MAX])
{
	const struct usb_keyboard *keyboard = (const struct usb_keyboard *)hid;

	report[0] = keyboard->modifiers;
	report[1] = 0;
	memset(report + 2, keyboard->key_count > KEYS_TOLD ? ROLL_OVER : 0, KEYS_TOLD);
	if (keyboard->key_count <= KEYS_TOLD)
		memcpy(report + 2, keyboard->keys, keyboard->key_count);
}

static bool press(struct usb_keyboard *keyboard, uint8_t usage)
{
	if (keyboard->key_count == KEYS_MAX)
		return false;
	keyboard->keys[keyboard->key_count++] = usage;
	return true;
}

static bool let_go(struct usb_keyboard *keyboard, uint8_t usage)
{
	uint8_t *place = memchr(keyboard->keys, usage, keyboard->key_count);

	if (!place)
		return false;
	keyboard->key_count--;
	memmove(place, place + 1, (size_t)(keyboard->keys + keyboard->key_count - place));
	return true;
}

static void event(struct usb_hid *hid, const struct input_event *event)
{
	struct usb_keyboard *keyboard = (struct usb_keyboard *)hid;
	uint8_t usage = event->type == EV_KEY ? usb_key_usage(event->code) : 0, report[USB_HID_REPORT_MAX] = { 0 };
	uint8_t bit = (uint8_t)(1u << (usage & 7));

	if (!usage)
		return;
	if (usage >= MODIFIERS)
		keyboard->modifiers = (uint8_t)(event->value ? keyboard->modifiers | bit : keyboard->modifiers & ~bit);
	else if (!(event->value ? press : let_go)(keyboard, usage))
		return;
	fill(hid, report);
	usb_hid_send(hid, report);
}

static void output(struct usb_hid *hid, uint8_t leds)
{
	input_router_set_leds(hid->router, (leds & 1 ? INPUT_LED_NUM : 0u) | (leds & 2 ? INPUT_LED_CAPS : 0u) |
			      (leds & 4 ? INPUT_LED_SCROLL : 0u));
}

static bool repeats(const struct usb_hid *hid)
{
	return ((const struct usb_keyboard *)hid)->key_count;
}

static void keyboard_state(struct usb_device *device, struct state *state, const char *prefix)
{
	struct usb_keyboard *keyboard = (struct usb_keyboard *)device;
	char field[USB_FIELD_MAX];

	usb_hid_state(device, state, prefix);
	state_u8(state, usb_field(field, prefix, "modifiers"), &keyboard->modifiers);
	state_bytes(state, usb_field(field, prefix, "keys"), keyboard->keys, sizeof keyboard->keys);
	state_u8(state, usb_field(field, prefix, "key_count"), &keyboard->key_count);
	if (keyboard->key_count <= KEYS_MAX)
		return;
	state_fail(state, "%s: %u keys", prefix, keyboard->key_count);
	keyboard->key_count = 0;
}

static const struct usb_hid_model model = {
	.description = { device_descriptor, configuration, NULL, strings },
	.report_descriptor = report_descriptor,
	.report_descriptor_size = sizeof report_descriptor,
	.report_size = 8,
	.kinds = INPUT_KEYBOARD,
	.event = event,
	.fill = fill,
	.output = output,
	.repeats = repeats,
};

static const struct usb_device_ops ops = USB_HID_OPS("USB keyboard", keyboard_state);

struct usb_device *usb_keyboard_new(struct vm *vm, struct input_router *router)
{
	struct usb_keyboard *keyboard = g_new0(struct usb_keyboard, 1);

	usb_hid_init(&keyboard->hid, &model, &ops, vm, router);
	return &keyboard->hid.usb;
}
