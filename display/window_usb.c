/* The USB menu of the guest's window: what can be plugged in and out, and what became of it. */
#include "window_internal.h"

#include <glib/gi18n.h>

#define NAME_MOST 44 /* characters that the menu has room for */

struct window_usb *window_usb_copy(const struct window_usb *device)
{
	struct window_usb *copy = g_memdup2(device, sizeof *device);

	copy->name = g_strdup(device->name);
	copy->path = g_strdup(device->path);
	return copy;
}

void window_usb_free(struct window_usb *device)
{
	g_free(device->name);
	g_free(device->path);
	g_free(device);
}

static char *label_of(const struct window_usb *device)
{
	g_autofree char *start = NULL;

	if (g_utf8_strlen(device->name, -1) <= NAME_MOST)
		return g_strdup(device->name);
	start = g_utf8_substring(device->name, 0, NAME_MOST - 1);
	return g_strconcat(start, "\u2026", NULL);
}

static void add_devices(struct window *window, struct panel *panel, bool sticks)
{
	bool first = panel->items->len > 0;

	for (guint i = 0; window->usb && i < window->usb->len; i++) {
		const struct window_usb *device = window->usb->pdata[i];
		g_autofree char *label = NULL;

		if ((device->path != NULL) != sticks)
			continue;
		label = label_of(device);
		panel_add(panel, label, device->plugged ? _("plugged in") : NULL, WINDOW_ACTION_USB_PLUG, (int)i);
		panel_last(panel)->separated = first;
		first = false;
	}
}

static const char *menu_text(const struct window *window)
{
	if (!window->usb)
		return _("Looking for devices…");
	if (!window->usb->len)
		return _("This computer has no device for the guest, and the machine has no stick.");
	return _("What you choose is plugged into the guest, or pulled out of it.");
}

void window_show_usb_menu(struct window *window)
{
	int chosen = window->usb_open && window->panel ? window->panel->chosen : 0;
	struct panel *panel = panel_new(PANEL_MIDDLE, "USB", menu_text(window));

	add_devices(window, panel, true);
	add_devices(window, panel, false);
	panel_add(panel, _("Back"), NULL, WINDOW_ACTION_MENU, 0);
	panel_last(panel)->separated = panel->items->len > 1;
	window_show_panel(window, panel);
	window->usb_open = true;
	if (panel_choose(panel, MIN(chosen, (int)panel->items->len - 1)))
		window_redraw(window);
}

/* The menu stays, so that it can be seen what becomes of it. */
void window_plug_usb(struct window *window, unsigned index)
{
	const struct window_usb *device = window->usb->pdata[index];

	window->client.plug_usb(window->client.opaque, device, !device->plugged, false);
	window_show_usb_menu(window);
	for (guint i = 0; i < window->panel->items->len; i++) {
		struct panel_item *item = &g_array_index(window->panel->items, struct panel_item, i);

		if (item->action == WINDOW_ACTION_USB_PLUG && item->argument == (int)index) {
			item->shortcut = "\u2026";
			window->panel->chosen = -1;
			panel_choose(window->panel, (int)i);
		}
	}
}

void window_force_usb(struct window *window)
{
	window->client.plug_usb(window->client.opaque, window->usb_failed, false, true);
	window_show_usb_menu(window);
}

static void show_failure(struct window *window, const char *message, bool can_force)
{
	struct panel *panel = panel_new(PANEL_MIDDLE, window->usb_failed ? window->usb_failed->name : "USB", message);

	if (can_force) {
		panel_add(panel, _("Pull it out anyway"), NULL, WINDOW_ACTION_USB_FORCE, 0);
		panel_last(panel)->grave = true;
	}
	panel_add(panel, _("Back"), NULL, WINDOW_ACTION_USB_MENU, 0);
	panel_add(panel, _("Close"), _("Esc"), WINDOW_ACTION_DISMISS, 0);
	window_show_panel(window, panel);
	if (panel_choose(panel, can_force ? 1 : 0))
		window_redraw(window);
}

void window_take_usb(struct window *window, struct window_posted *posted)
{
	if (posted->usb) {
		g_clear_pointer(&window->usb, g_ptr_array_unref);
		window->usb = posted->usb;
		if (window->usb_open)
			window_show_usb_menu(window);
	}
	if (posted->usb_message) {
		g_clear_pointer(&window->usb_failed, window_usb_free);
		window->usb_failed = posted->usb_failed;
		show_failure(window, posted->usb_message, posted->usb_can_force);
		g_free(posted->usb_message);
	}
}

void window_clear_usb(struct window *window)
{
	g_clear_pointer(&window->usb, g_ptr_array_unref);
	g_clear_pointer(&window->usb_failed, window_usb_free);
	g_clear_pointer(&window->posted.usb, g_ptr_array_unref);
	g_clear_pointer(&window->posted.usb_failed, window_usb_free);
	g_clear_pointer(&window->posted.usb_message, g_free);
}
