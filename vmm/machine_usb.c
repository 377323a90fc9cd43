#include "machine_usb.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

#include "../input/usb_keyboard.h"
#include "../input/usb_tablet.h"
#include "control/control.h"
#include "machine.h"
#include "machine_control.h"
#include "usb/host_list.h"
#include "usb/storage.h"
#include "usb/usb.h"
#include "usb/xhci.h"

/* Takes over what new made, unless there is no connector for it. */
static bool attach(struct machine *machine, struct usb_device *device, GError **error)
{
	if (xhci_attach(machine->xhci, device, error))
		return true;
	device->ops->destroy(device);
	return false;
}

static bool attach_stick(struct machine *machine, const struct config_disk *stick, GError **error)
{
	struct block *block = machine_open_disk(machine, stick, error);

	if (!block)
		return false;
	if (block_size(block) < 512) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
			    _("%s is smaller than a sector, so it cannot be a stick"), block_path(block));
		block_close(block);
		return false;
	}
	return attach(machine, usb_storage_new(&machine->vm, block), error);
}

/* What is missing keeps no machine from starting. */
static bool plug_host_devices(struct machine *machine, GError **error)
{
	g_autoptr(GArray) ids = usb_ids_parse(machine->config->usb_devices, error);

	if (!ids)
		return false;
	usb_lender_plug_kinds(machine->usb_lender, ids, machine_tell_trouble, machine);
	return true;
}

bool machine_plug_usb(struct machine *machine, GError **error)
{
	const struct machine_config *config = machine->config;
	struct vm *vm = &machine->vm;

	if (config->usb == CONFIG_USB_NONE)
		return true;
	machine->xhci = xhci_new(vm, &machine->pci);
	g_ptr_array_add(machine->devices, xhci_device(machine->xhci));
	machine->usb_lender = usb_lender_new(vm, machine->xhci);
	if (config->usb_tablet && !attach(machine, usb_tablet_new(vm, &machine->input), error))
		return false;
	if (config->usb_keyboard && !attach(machine, usb_keyboard_new(vm, &machine->input), error))
		return false;
	for (unsigned i = 0; i < CONFIG_STICKS; i++)
		if (config->has_stick[i] && !attach_stick(machine, &config->sticks[i], error))
			return false;
	return plug_host_devices(machine, error);
}

void machine_finish_usb(struct machine *machine)
{
	g_clear_pointer(&machine->usb_lender, usb_lender_free);
}

struct block *machine_stick(const struct machine *machine, unsigned connector)
{
	return machine->xhci ? usb_storage_block(xhci_connected(machine->xhci, connector)) : NULL;
}

static struct usb_device *find_stick(const struct machine *machine, const char *path)
{
	g_autofree char *wanted = machine_config_path(machine->config, path);

	for (unsigned i = 0; i < XHCI_CONNECTORS; i++) {
		struct block *block = machine_stick(machine, i);

		if (block && strcmp(block_path(block), wanted) == 0)
			return xhci_connected(machine->xhci, i);
	}
	return NULL;
}

static bool check_controller(const struct machine *machine, GError **error)
{
	if (!machine->xhci)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    _("The machine has no USB controller; set controller of [usb] in its machine.conf to "
			      "xhci"));
	return machine->xhci;
}

static void sticks_changed(struct machine *machine)
{
	if (machine->control)
		control_sticks_changed(machine->control);
}

bool machine_plug_stick(struct machine *machine, const char *path, bool read_only, GError **error)
{
	struct config_disk stick = { .kind = CONFIG_STICK, .path = (char *)path, .read_only = read_only };
	int number = machine_config_find_stick(machine->config, path);

	if (number >= 0)
		stick = machine->config->sticks[number];
	stick.read_only |= read_only;
	if (!check_controller(machine, error) || !attach_stick(machine, &stick, error))
		return false;
	sticks_changed(machine);
	return true;
}

bool machine_unplug_stick(struct machine *machine, const char *path, bool force, GError **error)
{
	struct usb_device *stick = find_stick(machine, path);

	if (!stick) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND, _("No stick with the image %s is plugged in"),
			    path);
		return false;
	}
	if (!force && usb_storage_in_use(stick)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_BUSY,
			    _("The guest still uses the stick %s. Unmount or eject it in the guest, or force it and "
			      "lose what was not written"), path);
		return false;
	}
	xhci_detach(machine->xhci, stick);
	sticks_changed(machine);
	return true;
}

void machine_list_host_devices(struct machine *machine, usb_lender_listed done, void *opaque)
{
	g_autoptr(GError) error = NULL;

	if (check_controller(machine, &error))
		usb_lender_list(machine->usb_lender, done, opaque);
	else
		done(opaque, NULL, error);
}

void machine_plug_host_device(struct machine *machine, uint8_t bus, uint8_t address, usb_lender_done done, void *opaque)
{
	g_autoptr(GError) error = NULL;

	if (check_controller(machine, &error))
		usb_lender_plug(machine->usb_lender, bus, address, done, opaque);
	else
		done(opaque, error);
}

bool machine_unplug_host_device(struct machine *machine, uint8_t bus, uint8_t address, GError **error)
{
	return check_controller(machine, error) && usb_lender_unplug(machine->usb_lender, bus, address, error);
}

bool machine_usb_has_room(struct machine *machine)
{
	for (unsigned i = 0; i < XHCI_CONNECTORS; i++) {
		struct block *block = machine_stick(machine, i);

		if (block && block_has_room(block))
			return true;
	}
	return false;
}

void machine_usb_mend(struct machine *machine, bool retry)
{
	for (unsigned i = 0; i < XHCI_CONNECTORS; i++)
		if (machine_stick(machine, i))
			usb_storage_mend(xhci_connected(machine->xhci, i), retry);
}
