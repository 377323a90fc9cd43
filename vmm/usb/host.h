/*
 * USB devices of the host, lent to the guest by way of libusb. Control, bulk and interrupt transfers; no isochronous
 * ones. All calls need vm->lock, and so do the callbacks, which come on the I/O thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct usb_device;
struct vm;

struct usb_host_entry {
	uint8_t bus, address;
	uint16_t vendor, product;
	char *name; /* for people */
};

void usb_host_entry_free(struct usb_host_entry *entry);
/* struct usb_host_entry *, without hubs; free with g_ptr_array_unref(). */
GPtrArray *usb_host_list(GError **error);

struct usb_host_options {
	/* A device was pulled out of the host (usb_host_gone()): it is time for xhci_detach(), though not from within. */
	void (*gone)(void *opaque);
	void *opaque;
};

/*
 * Takes the device away from the host's drivers, which get it back when it is detached or the process ends well.
 * Error: it is not there, or the user may not use it, and what he can do about that.
 */
struct usb_device *usb_host_new(struct vm *vm, uint8_t bus, uint8_t address, const struct usb_host_options *options,
				GError **error);
bool usb_host_gone(const struct usb_device *device);
/* False: device is not one of the host's. */
bool usb_host_place(const struct usb_device *device, uint8_t *bus, uint8_t *address);
