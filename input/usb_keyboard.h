/* A USB keyboard that firmware understands too (boot protocol), with three LEDs. All calls need vm->lock. */
#pragma once

#include <stdint.h>

struct input_router;
struct usb_device;
struct vm;

/* For xhci_attach(), whose controller frees it. */
struct usb_device *usb_keyboard_new(struct vm *vm, struct input_router *router);

/* The usage (HID Usage Tables, section 10) of an evdev key code, or 0. */
uint8_t usb_key_usage(unsigned code);
