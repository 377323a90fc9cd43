/* The USB side of a machine: controller, tablet, keyboard and sticks. Calls need vm->lock. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "block/block.h"
#include "usb/lending.h"

struct machine;

/* Before the guest runs: what the configuration says. */
bool machine_plug_usb(struct machine *machine, GError **error);
/* After the devices have gone; gives the host's back. */
void machine_finish_usb(struct machine *machine);

/* While it runs. path is absolute. */
bool machine_plug_stick(struct machine *machine, const char *path, bool read_only, GError **error);
/* Fails while the guest holds on to the stick, unless force is set. */
bool machine_unplug_stick(struct machine *machine, const char *path, bool force, GError **error);
/* The image of the stick at this connector, or NULL. */
struct block *machine_stick(const struct machine *machine, unsigned connector);

/* The host's USB devices; see usb/lending.h. Without a USB controller done comes at once. */
void machine_list_host_devices(struct machine *machine, usb_lender_listed done, void *opaque);
void machine_plug_host_device(struct machine *machine, uint8_t bus, uint8_t address, usb_lender_done done, void *opaque);
bool machine_unplug_host_device(struct machine *machine, uint8_t bus, uint8_t address, GError **error);

/* As ahci_has_room(), ahci_retry() and ahci_fail(). */
bool machine_usb_has_room(struct machine *machine);
void machine_usb_mend(struct machine *machine, bool retry);
