/* What the USB menu of the machine's window shows and does. */
#pragma once

#include <stdbool.h>

#include "../display/window.h"

struct machine;

struct usb_menu {
	struct machine *machine;
	struct window *const *window; /* NULL while there is none; with vm->lock */
};

/* As struct window_client wants them: on the main thread, without waiting. */
void usb_menu_list(struct usb_menu *menu);
void usb_menu_plug(struct usb_menu *menu, const struct window_usb *device, bool plug, bool force);
