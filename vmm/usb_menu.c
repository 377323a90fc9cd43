#include "usb_menu.h"

#include <gio/gio.h>

#include "machine.h"
#include "machine_usb.h"
#include "usb/host_list.h"
#include "usb/xhci.h"

struct wish {
	struct usb_menu *menu;
	struct window_usb *device;
	bool plug, force;
};

static void free_device(gpointer device)
{
	window_usb_free(device);
}

static void add_device(GPtrArray *devices, const struct window_usb *device)
{
	g_ptr_array_add(devices, window_usb_copy(device));
}

static void add_stick(GPtrArray *devices, const char *path, bool plugged)
{
	g_autofree char *name = g_filename_display_basename(path);

	for (guint i = 0; i < devices->len; i++)
		if (g_strcmp0(((struct window_usb *)devices->pdata[i])->path, path) == 0)
			return;
	add_device(devices, &(struct window_usb){ .name = name, .path = (char *)path, .plugged = plugged });
}

/* Those that are plugged in, and those that the configuration has. */
static void add_sticks(GPtrArray *devices, const struct machine *machine)
{
	const struct machine_config *config = machine->config;

	for (unsigned i = 0; i < XHCI_CONNECTORS; i++) {
		struct block *stick = machine_stick(machine, i);

		if (stick)
			add_stick(devices, block_path(stick), true);
	}
	for (unsigned i = 0; i < CONFIG_STICKS; i++) {
		g_autofree char *path = machine_config_stick_path(config, i);

		if (path)
			add_stick(devices, path, false);
	}
}

static void listed(void *opaque, const GPtrArray *entries, const GError *error)
{
	struct usb_menu *menu = opaque;
	GPtrArray *devices;

	if (!*menu->window)
		return;
	if (!entries) {
		window_post_usb_failure(*menu->window, NULL, error->message, false);
		return;
	}
	devices = g_ptr_array_new_with_free_func(free_device);
	add_sticks(devices, menu->machine);
	for (guint i = 0; i < entries->len; i++) {
		const struct usb_host_entry *entry = entries->pdata[i];

		add_device(devices, &(struct window_usb){ .name = entry->name, .bus = entry->bus,
							  .address = entry->address, .plugged = entry->plugged });
	}
	window_post_usb(*menu->window, devices);
}

static void list(void *menu)
{
	machine_list_host_devices(((struct usb_menu *)menu)->machine, listed, menu);
}

void usb_menu_list(struct usb_menu *menu)
{
	loop_call(&menu->machine->vm.loop, list, menu);
}

static void wish_done(void *opaque, const GError *error)
{
	struct wish *wish = opaque;
	struct window *window = *wish->menu->window;
	bool can_force = wish->device->path && !wish->plug && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BUSY);

	if (window && error)
		window_post_usb_failure(window, wish->device, error->message, can_force);
	else if (window)
		list(wish->menu);
	window_usb_free(wish->device);
	g_free(wish);
}

static void do_wish(void *data)
{
	struct wish *wish = data;
	struct machine *machine = wish->menu->machine;
	const struct window_usb *device = wish->device;
	g_autoptr(GError) error = NULL;

	if (!device->path && wish->plug) {
		machine_plug_host_device(machine, device->bus, device->address, wish_done, wish);
		return;
	}
	if (!device->path)
		machine_unplug_host_device(machine, device->bus, device->address, &error);
	else if (wish->plug)
		machine_plug_stick(machine, device->path, false, &error);
	else
		machine_unplug_stick(machine, device->path, wish->force, &error);
	wish_done(wish, error);
}

void usb_menu_plug(struct usb_menu *menu, const struct window_usb *device, bool plug, bool force)
{
	struct wish *wish = g_new(struct wish, 1);

	*wish = (struct wish){ menu, window_usb_copy(device), plug, force };
	loop_call(&menu->machine->vm.loop, do_wish, wish);
}
