/*
 * The user's machines: a GListModel of OrielMachine over $XDG_DATA_HOME/oriel/machines, ordered by name as people sort.
 * It follows what anybody does to the folder.
 */
#pragma once

#include <gio/gio.h>

#include "machine.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_MACHINE_LIST (oriel_machine_list_get_type())
G_DECLARE_FINAL_TYPE(OrielMachineList, oriel_machine_list, ORIEL, MACHINE_LIST, GObject)

OrielMachineList *oriel_machine_list_new(void);
/* Looks at the folder now instead of when the system tells of its change. */
void oriel_machine_list_rescan(OrielMachineList *list);
/* By the folder's name; NULL if there is none. The list's own reference. */
OrielMachine *oriel_machine_list_find(OrielMachineList *list, const char *id);

G_END_DECLS
