/*
 * USB devices of the host, lent to the guest by way of libusb: control, bulk, interrupt and isochronous transfers. To
 * take a device, to configure or reset it and to give it back can take seconds, and is not for a thread that holds
 * vm->lock; see lending.h.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct usb_device;
struct usb_host;
struct vm;

/*
 * Any thread, without vm->lock; waits for the device. Takes it away from the host's drivers, which get it back when it is
 * closed or the process ends well. Error: it is not there, or the user may not use it, and what he can do about that.
 */
struct usb_host *usb_host_open(uint8_t bus, uint8_t address, GError **error);
/* Likewise. It is not, or no longer, the guest's. */
void usb_host_close(struct usb_host *host);

/* Calls come on the I/O thread, with vm->lock. */
struct usb_host_options {
	/* The device was pulled out of the host (usb_host_gone()): it is time for xhci_detach(), though not from within. */
	void (*gone)(void *opaque);
	/* The guest's device was destroyed, and runs nothing: usb_host_close() is left to do. */
	void (*release)(void *opaque, struct usb_host *host);
	/* Calls work(data) on a thread of its own, without vm->lock, and then finish(data). */
	void (*run)(void *opaque, void (*work)(void *data), void (*finish)(void *data), void *data);
	void *opaque;
};

/* Makes it a device for the guest. The rest needs vm->lock too. */
struct usb_device *usb_host_start(struct usb_host *host, struct vm *vm, const struct usb_host_options *options);
bool usb_host_gone(const struct usb_device *device);
/* False: device is not one of the host's. */
bool usb_host_place(const struct usb_device *device, uint8_t *bus, uint8_t *address);
