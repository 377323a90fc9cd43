/*
 * What USB keyboards and tablets have in common: Device Class Definition for Human Interface Devices 1.11. Reports
 * wait here until the guest asks for them; nothing runs while nothing happens. All calls need vm->lock.
 */
#pragma once

#include "../vmm/clock.h"
#include "../vmm/usb/usb.h"
#include "router.h"

struct vm;

#define USB_HID_REPORT_MAX 8
#define USB_HID_QUEUE 32

struct usb_hid;

struct usb_hid_model {
	struct usb_description description;
	const uint8_t *report_descriptor;
	unsigned report_descriptor_size;
	unsigned report_size;
	unsigned kinds; /* of the input sink */
	void (*event)(struct usb_hid *hid, const struct input_event *event);
	/* What GET_REPORT answers, and what the guest is to know when it begins to listen. */
	void (*fill)(const struct usb_hid *hid, uint8_t report[USB_HID_REPORT_MAX]);
	/* An output report of one byte: LEDs. NULL: the device has none. */
	void (*output)(struct usb_hid *hid, uint8_t byte);
	/* True while the guest wants the present report again and again (section 7.2.4). NULL: never. */
	bool (*repeats)(const struct usb_hid *hid);
};

struct usb_hid {
	struct usb_device usb;
	const struct usb_hid_model *model;
	struct vm *vm;
	struct input_router *router;
	struct input_sink sink;
	uint8_t queue[USB_HID_QUEUE][USB_HID_REPORT_MAX];
	uint8_t first, count;
	uint8_t sent[USB_HID_REPORT_MAX]; /* the latest that the guest took */
	uint8_t idle, protocol;           /* as the guest set them */
	bool polled;                      /* the guest asks for reports */
	struct usb_transfer *waiting;
	struct timer repeat;
};

/* Fills hid, which is the beginning of a zeroed device; ops come from usb_hid_* functions and the device's own. */
void usb_hid_init(struct usb_hid *hid, const struct usb_hid_model *model, const struct usb_device_ops *ops,
		  struct vm *vm, struct input_router *router);

/* Queues a report; where there is no room for it, it takes the place of the latest. */
void usb_hid_send(struct usb_hid *hid, const uint8_t report[USB_HID_REPORT_MAX]);
/* The report that waits last, for adding to it; NULL: none waits. */
uint8_t *usb_hid_latest(struct usb_hid *hid);

/* For struct usb_device_ops; state is the device's own, and calls usb_hid_state(). */
#define USB_HID_OPS(device_name, device_state) { \
	.name = device_name, \
	.reset = usb_hid_reset, \
	.control = usb_hid_control, \
	.transfer = usb_hid_transfer, \
	.cancel = usb_hid_cancel, \
	.changed = usb_hid_changed, \
	.state = device_state, \
	.destroy = usb_hid_destroy, \
}
void usb_hid_reset(struct usb_device *device);
int usb_hid_control(struct usb_device *device, const struct usb_setup *setup, uint8_t *data);
void usb_hid_transfer(struct usb_device *device, struct usb_transfer *transfer);
void usb_hid_cancel(struct usb_device *device, struct usb_transfer *transfer);
void usb_hid_changed(struct usb_device *device);
void usb_hid_state(struct usb_device *device, struct state *state, const char *prefix);
void usb_hid_destroy(struct usb_device *device);

/* A configuration of one HID interface with one interrupt endpoint, 1 ms (USB 2.0 section 9.6, HID section 6.2.1). */
#define USB_HID_CONFIGURATION(subclass, protocol, report_size, packet) { \
	9, USB_DESCRIPTOR_CONFIGURATION, 34, 0, 1, 1, 0, 0xA0, 50, /* remote wakeup, 100 mA */ \
	9, USB_DESCRIPTOR_INTERFACE, 0, 0, 1, 3, subclass, protocol, 0, \
	9, 0x21, 0x11, 0x01, 0, 1, 0x22, (report_size) & 0xFF, (report_size) >> 8, \
	7, USB_DESCRIPTOR_ENDPOINT, USB_DIRECTION_IN | 1, 3, packet, 0, 4, \
}
/* A high-speed device with strings 1 (manufacturer), 2 (product) and 3 (serial number). */
#define USB_HID_DEVICE(vendor, product) { \
	18, USB_DESCRIPTOR_DEVICE, 0x00, 0x02, 0, 0, 0, 64, (vendor) & 0xFF, (vendor) >> 8, (product) & 0xFF, \
	(product) >> 8, 0x00, 0x01, 1, 2, 3, 1, \
}
