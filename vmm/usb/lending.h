/*
 * Which of the host's USB devices a guest has. What the host may take long for is done by threads of its own.
 *
 * All calls need vm->lock. Every done is called once, later, on the I/O thread with vm->lock, or from
 * usb_lender_free() with G_IO_ERROR_CANCELLED.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct usb_lender;
struct vm;
struct xhci;

struct usb_lender *usb_lender_new(struct vm *vm, struct xhci *xhci);
/* After the xHCI has gone and vm->loop was stopped: waits until the devices are the host's again. */
void usb_lender_free(struct usb_lender *lender);

/* entries: struct usb_host_entry *, the caller's own only until it returns; NULL: error. */
typedef void (*usb_lender_listed)(void *opaque, const GPtrArray *entries, const GError *error);
/* error NULL: it went well. */
typedef void (*usb_lender_done)(void *opaque, const GError *error);

void usb_lender_list(struct usb_lender *lender, usb_lender_listed done, void *opaque);
/* The guest has the device until it is pulled out of the host, unplugged here, or the machine ends. */
void usb_lender_plug(struct usb_lender *lender, uint8_t bus, uint8_t address, usb_lender_done done, void *opaque);
/*
 * Plugs in every device of these kinds (struct usb_id). done is called for each of them, and with an error for each kind
 * that there is no device of.
 */
void usb_lender_plug_kinds(struct usb_lender *lender, const GArray *ids, usb_lender_done done, void *opaque);
bool usb_lender_unplug(struct usb_lender *lender, uint8_t bus, uint8_t address, GError **error);
