#include "usb_tablet.h"

#include <string.h>

#include "../vmm/state.h"
#include "usb_hid.h"

#define REPORT_SIZE 7
#define WHEEL_MAX 127
#define POSITION_MAX 32767

struct usb_tablet {
	struct usb_hid hid;
	uint8_t buttons;
	uint16_t x, y;
	int wheel, tilt; /* since the last report */
};

/* HID section 6.2.2: buttons, position, wheel, and AC Pan of the consumer page. */
static const uint8_t report_descriptor[] = {
	0x05, 0x01, 0x09, 0x02, 0xA1, 0x01,                         /* Generic Desktop, Mouse, application */
	0x09, 0x01, 0xA1, 0x00,                                     /* Pointer, physical */
	0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, /* buttons 1 to 5, 0 or 1 */
	0x95, 0x05, 0x75, 0x01, 0x81, 0x02,                         /* 5 of 1 bit, variable */
	0x95, 0x01, 0x75, 0x03, 0x81, 0x01,                         /* 3 bits of padding */
	0x05, 0x01, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xFF, 0x7F, /* X, Y, 0 to 32767 */
	0x35, 0x00, 0x46, 0xFF, 0x7F, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02, /* 2 of 16 bits, absolute */
	0x09, 0x38, 0x15, 0x81, 0x25, 0x7F, 0x35, 0x00, 0x45, 0x00, /* wheel, -127 to 127 */
	0x75, 0x08, 0x95, 0x01, 0x81, 0x06,                         /* relative */
	0x05, 0x0C, 0x0A, 0x38, 0x02, 0x95, 0x01, 0x81, 0x06,       /* Consumer, AC Pan */
	0xC0, 0xC0,
};

/* Virtual devices that guests' databases know by these numbers, so no system takes them for something to calibrate. */
static const uint8_t device_descriptor[] = USB_HID_DEVICE(0x0627, 0x0001);
static const uint8_t configuration[] = USB_HID_CONFIGURATION(0, 0, sizeof report_descriptor, 8);
static const char *const strings[] = { "Oriel", "USB Tablet", "1", NULL };

static void put_report(const struct usb_tablet *tablet, int wheel, int tilt, uint8_t *report)
{
	report[0] = tablet->buttons;
	report[1] = (uint8_t)tablet->x;
	report[2] = (uint8_t)(tablet->x >> 8);
	report[3] = (uint8_t)tablet->y;
	report[4] = (uint8_t)(tablet->y >> 8);
	report[5] = (uint8_t)wheel;
	report[6] = (uint8_t)tilt;
}

static void fill(const struct usb_hid *hid, uint8_t report[USB_HID_REPORT_MAX])
{
	put_report((const struct usb_tablet *)hid, 0, 0, report);
}

/* A report that the guest has not taken yet is brought up to date, unless it tells of another click. */
static void send_report(struct usb_tablet *tablet)
{
	uint8_t *latest = usb_hid_latest(&tablet->hid), report[USB_HID_REPORT_MAX] = { 0 };
	bool together = latest && latest[0] == tablet->buttons;
	int wheel = tablet->wheel + (together ? (int8_t)latest[5] : 0);
	int tilt = tablet->tilt + (together ? (int8_t)latest[6] : 0);

	wheel = CLAMP(wheel, -WHEEL_MAX, WHEEL_MAX);
	tilt = CLAMP(tilt, -WHEEL_MAX, WHEEL_MAX);
	tablet->wheel = tablet->tilt = 0;
	put_report(tablet, wheel, tilt, report);
	if (together)
		memcpy(latest, report, sizeof report);
	else
		usb_hid_send(&tablet->hid, report);
}

static void button(struct usb_tablet *tablet, unsigned code, bool pressed)
{
	static const uint16_t codes[] = { BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA };

	for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++)
		if (codes[i] == code)
			tablet->buttons = (uint8_t)((tablet->buttons & ~(1u << i)) | (pressed ? 1u << i : 0));
}

static void event(struct usb_hid *hid, const struct input_event *event)
{
	struct usb_tablet *tablet = (struct usb_tablet *)hid;

	if (event->type == EV_SYN)
		send_report(tablet);
	else if (event->type == EV_KEY)
		button(tablet, event->code, event->value);
	else if (event->type == EV_ABS && event->code == ABS_X)
		tablet->x = (uint16_t)event->value;
	else if (event->type == EV_ABS && event->code == ABS_Y)
		tablet->y = (uint16_t)event->value;
	else if (event->type == EV_REL && event->code == REL_WHEEL)
		tablet->wheel = CLAMP(tablet->wheel + CLAMP(event->value, -WHEEL_MAX, WHEEL_MAX), -WHEEL_MAX, WHEEL_MAX);
	else if (event->type == EV_REL && event->code == REL_HWHEEL)
		tablet->tilt = CLAMP(tablet->tilt + CLAMP(event->value, -WHEEL_MAX, WHEEL_MAX), -WHEEL_MAX, WHEEL_MAX);
}

static void tablet_state(struct usb_device *device, struct state *state, const char *prefix)
{
	struct usb_tablet *tablet = (struct usb_tablet *)device;
	char field[USB_FIELD_MAX];

	usb_hid_state(device, state, prefix);
	state_u8(state, usb_field(field, prefix, "buttons"), &tablet->buttons);
	state_u16(state, usb_field(field, prefix, "x"), &tablet->x);
	state_u16(state, usb_field(field, prefix, "y"), &tablet->y);
	tablet->buttons &= 0x1F;
	tablet->x = MIN(tablet->x, POSITION_MAX);
	tablet->y = MIN(tablet->y, POSITION_MAX);
	tablet->wheel = tablet->tilt = 0;
}

static const struct usb_hid_model model = {
	.description = { device_descriptor, configuration, NULL, strings },
	.report_descriptor = report_descriptor,
	.report_descriptor_size = sizeof report_descriptor,
	.report_size = REPORT_SIZE,
	.kinds = INPUT_TABLET,
	.event = event,
	.fill = fill,
};

static const struct usb_device_ops ops = USB_HID_OPS("USB tablet", tablet_state);

struct usb_device *usb_tablet_new(struct vm *vm, struct input_router *router)
{
	struct usb_tablet *tablet = g_new0(struct usb_tablet, 1);

	usb_hid_init(&tablet->hid, &model, &ops, vm, router);
	return &tablet->hid.usb;
}
