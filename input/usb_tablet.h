/* A USB tablet: absolute position, five buttons, wheel and tilt wheel. All calls need vm->lock. */
#pragma once

struct input_router;
struct usb_device;
struct vm;

/* For xhci_attach(), whose controller frees it. */
struct usb_device *usb_tablet_new(struct vm *vm, struct input_router *router);
