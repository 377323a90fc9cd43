/* The USB side of a machine: controller, tablet, keyboard and sticks. Calls need vm->lock. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "block/block.h"

struct machine;

/* Before the guest runs: what the configuration says. */
bool machine_plug_usb(struct machine *machine, GError **error);

/* While it runs. path is absolute. */
bool machine_plug_stick(struct machine *machine, const char *path, bool read_only, GError **error);
/* Fails while the guest holds on to the stick, unless force is set. */
bool machine_unplug_stick(struct machine *machine, const char *path, bool force, GError **error);
/* The image of the stick at this connector, or NULL. */
struct block *machine_stick(const struct machine *machine, unsigned connector);

/* As ahci_has_room(), ahci_retry() and ahci_fail(). */
bool machine_usb_has_room(struct machine *machine);
void machine_usb_mend(struct machine *machine, bool retry);
