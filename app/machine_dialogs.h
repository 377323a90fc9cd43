/*
 * Questions about one machine.
 */
#pragma once

#include "window.h"

G_BEGIN_DECLS

void oriel_machine_dialog_rename(OrielWindow *window, OrielMachine *machine);
/* Asks for the copy's name, then copies, with progress. */
void oriel_machine_dialog_clone(OrielWindow *window, OrielMachine *machine);
/* Asks, telling how much room will be free, then moves the folder to the trash. */
void oriel_machine_dialog_delete(OrielWindow *window, OrielMachine *machine);

G_END_DECLS
