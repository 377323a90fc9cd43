/*
 * USB devices that we emulate or pass on, seen from a host controller: Universal Serial Bus Specification 2.0 and 3.0.
 *
 * The controller hands a device one transfer at a time for each endpoint. The device ends it with usb_complete(),
 * within the call or later: an endpoint with nothing to say keeps the transfer until it has, which is what NAKs do on
 * a wire. On an isochronous endpoint a transfer is what moves in one service interval, and the device holds each back
 * for so long that its stream neither runs ahead of time nor out of transfers. All calls need vm->lock.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct state;

/* Numbered as the default Protocol Speed IDs of xHCI 1.1, section 7.2.2.1.1. */
enum usb_speed {
	USB_SPEED_FULL = 1,
	USB_SPEED_LOW = 2,
	USB_SPEED_HIGH = 3,
	USB_SPEED_SUPER = 4,
};

enum usb_status {
	USB_DONE,
	USB_STALL,
	USB_BABBLE,      /* the device had more to say than there was room for */
	USB_NO_RESPONSE, /* unplugged, or too many errors on the wire */
};

/* Standard requests (USB 2.0, table 9-4; USB 3.0, table 9-4) */
enum usb_request {
	USB_GET_STATUS = 0,
	USB_CLEAR_FEATURE = 1,
	USB_SET_FEATURE = 3,
	USB_SET_ADDRESS = 5,
	USB_GET_DESCRIPTOR = 6,
	USB_GET_CONFIGURATION = 8,
	USB_SET_CONFIGURATION = 9,
	USB_GET_INTERFACE = 10,
	USB_SET_INTERFACE = 11,
	USB_SET_SEL = 48,
	USB_SET_ISOCH_DELAY = 49,
};

enum usb_descriptor_type {
	USB_DESCRIPTOR_DEVICE = 1,
	USB_DESCRIPTOR_CONFIGURATION = 2,
	USB_DESCRIPTOR_STRING = 3,
	USB_DESCRIPTOR_INTERFACE = 4,
	USB_DESCRIPTOR_ENDPOINT = 5,
	USB_DESCRIPTOR_BOS = 15,
	USB_DESCRIPTOR_CAPABILITY = 16,
	USB_DESCRIPTOR_COMPANION = 48,
};

/* bmRequestType and bRequest in one number */
#define USB_DEVICE_IN 0x8000
#define USB_DEVICE_OUT 0x0000
#define USB_INTERFACE_IN 0x8100
#define USB_INTERFACE_OUT 0x0100
#define USB_ENDPOINT_IN 0x8200
#define USB_ENDPOINT_OUT 0x0200
#define USB_CLASS_IN 0xA100 /* to an interface */
#define USB_CLASS_OUT 0x2100

#define USB_DIRECTION_IN 0x80

/* A setup packet (USB 2.0, section 9.3). */
struct usb_setup {
	uint16_t request; /* bmRequestType << 8 | bRequest */
	uint16_t value, index, length;
};

struct usb_device;

struct usb_transfer {
	uint8_t endpoint;        /* address, with USB_DIRECTION_IN; 0: control */
	struct usb_setup setup;  /* control only; its direction counts */
	const struct iovec *iov; /* length bytes, valid until done */
	unsigned iov_count;
	size_t length;
	uint32_t payload;        /* isochronous only, else 0: the most that moves in one interval */
	uint64_t interval;       /* likewise; ns */
	/* The answer */
	enum usb_status status;
	size_t actual; /* bytes moved; for IN, fewer than length mean a short packet */
	/* The transfer is the controller's again; it may submit the next one within. */
	void (*done)(struct usb_transfer *transfer);
};

/* What the common code answers standard requests from. All static. */
struct usb_description {
	const uint8_t *device;        /* 18 bytes */
	const uint8_t *configuration; /* with all that belongs to it: wTotalLength bytes */
	const uint8_t *bos;           /* wTotalLength bytes; NULL before USB 3.0 */
	const char *const *strings;   /* index 1 and up, ASCII; ends with NULL */
};

struct usb_device_ops {
	const char *name;
	/* Bus reset: back to the default state. The common state is reset already. No transfer is under way. */
	void (*reset)(struct usb_device *device);
	/*
	 * A control transfer that the common code does not know. Returns how many bytes of data were put there (IN) or
	 * taken (OUT; all of them arrive), or -1 for a stall. NULL: none. data holds up to USB_CONTROL_MAX bytes.
	 */
	int (*control)(struct usb_device *device, const struct usb_setup *setup, uint8_t *data);
	/* Instead of all the common code does on endpoint 0, for devices that answer by themselves; or NULL. */
	void (*control_transfer)(struct usb_device *device, struct usb_transfer *transfer);
	/* A transfer on another endpoint; ends with usb_complete(). */
	void (*transfer)(struct usb_device *device, struct usb_transfer *transfer);
	/* The controller takes a transfer back that has not ended: device must forget it, done is not called. */
	void (*cancel)(struct usb_device *device, struct usb_transfer *transfer);
	/* The configuration, an endpoint's halt, or suspension changed; may be NULL. */
	void (*changed)(struct usb_device *device);
	/* Fields begin with prefix; NULL: nothing to keep. */
	void (*state)(struct usb_device *device, struct state *state, const char *prefix);
	void (*destroy)(struct usb_device *device);
};

#define USB_CONTROL_MAX 4096

struct usb_device {
	const struct usb_device_ops *ops;
	const struct usb_description *description;
	enum usb_speed speed;
	/* The common code's */
	uint8_t configuration;
	bool remote_wakeup;
	bool suspended;
	uint64_t transfers; /* that have ended; counted by the controller */
	uint32_t halted; /* endpoints: bit by number, those for IN from bit 16 */
	/* Set while it is plugged in. */
	void (*wakeup)(struct usb_device *device, void *opaque);
	/*
	 * An isochronous stream has come to its end because no transfer followed the last in time. It begins anew with
	 * the next one.
	 */
	void (*starved)(struct usb_device *device, uint8_t endpoint, void *opaque);
	void *controller; /* opaque of both */
};

/* --- For devices --- */

void usb_complete(struct usb_transfer *transfer, enum usb_status status, size_t actual);
/* Copies to or from the transfer's buffers at this offset; returns how many bytes there was room for. */
size_t usb_put(struct usb_transfer *transfer, size_t offset, const void *data, size_t length);
size_t usb_take(const struct usb_transfer *transfer, size_t offset, void *data, size_t length);
bool usb_halted(const struct usb_device *device, uint8_t endpoint);
/* The endpoint answers with stalls until the host clears that. */
void usb_halt(struct usb_device *device, uint8_t endpoint);
/* Asks the host to resume, if it allowed that. False: the device is not suspended, or has to stay so. */
bool usb_wakeup(struct usb_device *device);

/* --- For controllers --- */

void usb_device_reset(struct usb_device *device);
void usb_submit(struct usb_device *device, struct usb_transfer *transfer);
void usb_cancel(struct usb_device *device, struct usb_transfer *transfer);
void usb_suspend(struct usb_device *device, bool suspended);
void usb_device_state(struct usb_device *device, struct state *state, const char *prefix);

/* A name for a field of the state; the buffer is the caller's. */
#define USB_FIELD_MAX 48
const char *usb_field(char buffer[USB_FIELD_MAX], const char *prefix, const char *name);
