#include "usb_hid.h"

#include <string.h>

#include "../vmm/state.h"
#include "../vmm/vm.h"

#define DESCRIPTOR_HID 0x21
#define DESCRIPTOR_REPORT 0x22
#define GET_REPORT (USB_CLASS_IN | 1)
#define GET_IDLE (USB_CLASS_IN | 2)
#define GET_PROTOCOL (USB_CLASS_IN | 3)
#define SET_REPORT (USB_CLASS_OUT | 9)
#define SET_IDLE (USB_CLASS_OUT | 10)
#define SET_PROTOCOL (USB_CLASS_OUT | 11)
#define REPORT_INPUT 1
#define REPORT_OUTPUT 2
#define PLACE_OF_HID_DESCRIPTOR 18 /* in USB_HID_CONFIGURATION */
#define IDLE_UNIT 4000000ull /* ns */
#define PROTOCOL_REPORT 1

static struct usb_hid *from_usb(struct usb_device *device)
{
	return (struct usb_hid *)device;
}

/* --- Reports --- */

static void complete(struct usb_hid *hid, const uint8_t *report)
{
	struct usb_transfer *transfer = hid->waiting;
	size_t moved = usb_put(transfer, 0, report, hid->model->report_size);

	memcpy(hid->sent, report, sizeof hid->sent);
	hid->waiting = NULL;
	usb_complete(transfer, moved < hid->model->report_size ? USB_BABBLE : USB_DONE, moved);
}

static void deliver(struct usb_hid *hid)
{
	uint8_t report[USB_HID_REPORT_MAX];

	if (!hid->waiting)
		return;
	timer_cancel(&hid->repeat);
	if (hid->count) {
		memcpy(report, hid->queue[hid->first], sizeof report);
		hid->first = (uint8_t)((hid->first + 1) % USB_HID_QUEUE);
		hid->count--;
		complete(hid, report);
	} else if (hid->idle && hid->model->repeats && hid->model->repeats(hid)) {
		timer_set(&hid->repeat, clock_now(&hid->vm->clock) + hid->idle * IDLE_UNIT);
	}
}

/*
 * Section 7.2.4 repeats any report; we spare those that say that nothing is pressed, so that nothing runs while
 * nobody types.
 */
static void repeat(void *opaque)
{
	struct usb_hid *hid = opaque;
	uint8_t report[USB_HID_REPORT_MAX] = { 0 };

	if (!hid->waiting)
		return;
	hid->model->fill(hid, report);
	complete(hid, report);
}

uint8_t *usb_hid_latest(struct usb_hid *hid)
{
	return hid->count ? hid->queue[(hid->first + hid->count - 1u) % USB_HID_QUEUE] : NULL;
}

void usb_hid_send(struct usb_hid *hid, const uint8_t report[USB_HID_REPORT_MAX])
{
	if (!hid->sink.active)
		return;
	if (hid->count < USB_HID_QUEUE)
		hid->count++;
	memcpy(usb_hid_latest(hid), report, USB_HID_REPORT_MAX);
	usb_wakeup(&hid->usb);
	deliver(hid);
}

/*
 * The guest listens when it asks for reports, and while it sleeps and wants to be woken. What it missed before is
 * told in one report.
 */
static void update_active(struct usb_hid *hid)
{
	bool active = hid->usb.configuration && (hid->polled || (hid->usb.suspended && hid->usb.remote_wakeup));
	uint8_t report[USB_HID_REPORT_MAX] = { 0 };

	if (active == hid->sink.active)
		return;
	if (!active)
		hid->count = 0;
	input_sink_set_active(hid->router, &hid->sink, active);
	if (!active)
		return;
	hid->model->fill(hid, report);
	if (memcmp(report, hid->sent, sizeof report))
		usb_hid_send(hid, report);
}

static void sink_event(struct input_sink *sink, const struct input_event *event)
{
	struct usb_hid *hid = (struct usb_hid *)((char *)sink - G_STRUCT_OFFSET(struct usb_hid, sink));

	hid->model->event(hid, event);
}

static bool sink_ready(struct input_sink *sink)
{
	struct usb_hid *hid = (struct usb_hid *)((char *)sink - G_STRUCT_OFFSET(struct usb_hid, sink));

	return hid->count == 0;
}

/* --- The USB side --- */

void usb_hid_changed(struct usb_device *device)
{
	update_active(from_usb(device));
}

void usb_hid_reset(struct usb_device *device)
{
	struct usb_hid *hid = from_usb(device);

	timer_cancel(&hid->repeat);
	hid->polled = false;
	hid->count = 0;
	hid->idle = 0;
	hid->protocol = PROTOCOL_REPORT;
	memset(hid->sent, 0, sizeof hid->sent);
}

void usb_hid_transfer(struct usb_device *device, struct usb_transfer *transfer)
{
	struct usb_hid *hid = from_usb(device);

	if (transfer->endpoint != (USB_DIRECTION_IN | 1) || !hid->usb.configuration) {
		usb_complete(transfer, USB_STALL, 0);
		return;
	}
	hid->waiting = transfer;
	hid->polled = true;
	update_active(hid);
	deliver(hid);
}

void usb_hid_cancel(struct usb_device *device, struct usb_transfer *transfer)
{
	struct usb_hid *hid = from_usb(device);

	if (hid->waiting != transfer)
		return;
	timer_cancel(&hid->repeat);
	hid->waiting = NULL;
	hid->polled = false;
	update_active(hid);
}

static int get_descriptor(const struct usb_hid *hid, unsigned type, uint8_t *data)
{
	const uint8_t *descriptor = hid->model->description.configuration + PLACE_OF_HID_DESCRIPTOR;

	if (type == DESCRIPTOR_HID) {
		memcpy(data, descriptor, descriptor[0]);
		return descriptor[0];
	}
	if (type != DESCRIPTOR_REPORT)
		return -1;
	memcpy(data, hid->model->report_descriptor, hid->model->report_descriptor_size);
	return (int)hid->model->report_descriptor_size;
}

static int set_report(struct usb_hid *hid, const struct usb_setup *setup, const uint8_t *data)
{
	if (setup->value >> 8 != REPORT_OUTPUT || !hid->model->output || setup->length != 1)
		return -1;
	hid->model->output(hid, data[0]);
	return 0;
}

int usb_hid_control(struct usb_device *device, const struct usb_setup *setup, uint8_t *data)
{
	struct usb_hid *hid = from_usb(device);

	switch (setup->request) {
	case USB_INTERFACE_IN | USB_GET_DESCRIPTOR:
		return get_descriptor(hid, setup->value >> 8, data);
	case GET_REPORT:
		if (setup->value >> 8 != REPORT_INPUT)
			return -1;
		memset(data, 0, USB_HID_REPORT_MAX);
		hid->model->fill(hid, data);
		return (int)hid->model->report_size;
	case SET_REPORT:
		return set_report(hid, setup, data);
	case GET_IDLE:
		data[0] = hid->idle;
		return 1;
	case SET_IDLE:
		hid->idle = (uint8_t)(setup->value >> 8);
		deliver(hid);
		return 0;
	case GET_PROTOCOL:
		data[0] = hid->protocol;
		return 1;
	case SET_PROTOCOL:
		/* The keyboard's reports are those of the boot protocol anyway. */
		hid->protocol = setup->value & 1;
		return 0;
	}
	return -1;
}

void usb_hid_state(struct usb_device *device, struct state *state, const char *prefix)
{
	struct usb_hid *hid = from_usb(device);
	char field[USB_FIELD_MAX];

	state_bytes(state, usb_field(field, prefix, "queue"), hid->queue, sizeof hid->queue);
	state_u8(state, usb_field(field, prefix, "first"), &hid->first);
	state_u8(state, usb_field(field, prefix, "count"), &hid->count);
	state_bytes(state, usb_field(field, prefix, "sent"), hid->sent, sizeof hid->sent);
	state_u8(state, usb_field(field, prefix, "idle"), &hid->idle);
	state_u8(state, usb_field(field, prefix, "protocol"), &hid->protocol);
	if (hid->first < USB_HID_QUEUE && hid->count <= USB_HID_QUEUE)
		return;
	state_fail(state, "%s: %u reports from %u", prefix, hid->count, hid->first);
	hid->first = hid->count = 0;
}

void usb_hid_init(struct usb_hid *hid, const struct usb_hid_model *model, const struct usb_device_ops *ops,
		  struct vm *vm, struct input_router *router)
{
	hid->usb.ops = ops;
	hid->usb.description = &model->description;
	hid->usb.speed = USB_SPEED_HIGH;
	hid->model = model;
	hid->vm = vm;
	hid->router = router;
	hid->protocol = PROTOCOL_REPORT;
	timer_init(&hid->repeat, &vm->clock, repeat, hid);
	hid->sink = (struct input_sink){
		.name = ops->name,
		.kinds = model->kinds,
		.rank = 1, /* over PS/2, which a guest that listens here may still be listening to */
		.event = sink_event,
		.ready = sink_ready,
	};
	input_router_add(router, &hid->sink);
}

void usb_hid_destroy(struct usb_device *device)
{
	struct usb_hid *hid = from_usb(device);

	timer_cancel(&hid->repeat);
	input_router_remove(hid->router, &hid->sink);
	g_free(hid);
}
