/*
 * xHCI host controller (1b36:000d; eXtensible Host Controller Interface 1.0 with the clarifications of 1.1): eight
 * connectors, each of which takes a USB 2 or a USB 3 device.
 *
 * All calls need vm->lock. Transfers run on the thread of the guest's doorbell, or on that of whatever the device
 * waited for.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct device;
struct pci_bus;
struct usb_device;
struct vm;
struct xhci;

#define XHCI_CONNECTORS 8

/* The device frees itself, and the USB devices that are plugged in, in device->ops->destroy. */
struct xhci *xhci_new(struct vm *vm, struct pci_bus *bus);
struct device *xhci_device(struct xhci *xhci);

/* Plugs a device in and takes it over, unless no connector is free. */
bool xhci_attach(struct xhci *xhci, struct usb_device *device, GError **error);
/* Pulls it out and frees it; what was under way ends with a transaction error. */
void xhci_detach(struct xhci *xhci, struct usb_device *device);
/* The device at connector 0 to XHCI_CONNECTORS - 1, or NULL. */
struct usb_device *xhci_connected(const struct xhci *xhci, unsigned connector);
