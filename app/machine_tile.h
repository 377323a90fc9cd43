/*
 * A machine in the window: a tile of the grid, or a row of the list. Both keep themselves up to date.
 */
#pragma once

#include <gtk/gtk.h>

#include "machine.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_MACHINE_TILE (oriel_machine_tile_get_type())
G_DECLARE_FINAL_TYPE(OrielMachineTile, oriel_machine_tile, ORIEL, MACHINE_TILE, GtkFlowBoxChild)

GtkWidget *oriel_machine_tile_new(OrielMachine *machine);
OrielMachine *oriel_machine_tile_get_machine(OrielMachineTile *tile);

#define ORIEL_TYPE_MACHINE_ROW (oriel_machine_row_get_type())
G_DECLARE_FINAL_TYPE(OrielMachineRow, oriel_machine_row, ORIEL, MACHINE_ROW, GtkListBoxRow)

GtkWidget *oriel_machine_row_new(OrielMachine *machine);
OrielMachine *oriel_machine_row_get_machine(OrielMachineRow *row);

/* "Running", "Paused" ..., or what is wrong; in the user's language. */
const char *oriel_machine_describe_state(OrielMachine *machine);

G_END_DECLS
