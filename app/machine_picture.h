/*
 * What a machine's screen shows, small: the live thumbnail, darker while paused, or a symbol while there is none.
 */
#pragma once

#include <gtk/gtk.h>

#include "machine.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_MACHINE_PICTURE (oriel_machine_picture_get_type())
G_DECLARE_FINAL_TYPE(OrielMachinePicture, oriel_machine_picture, ORIEL, MACHINE_PICTURE, GtkDrawingArea)

void oriel_machine_picture_set_machine(OrielMachinePicture *picture, OrielMachine *machine);

G_END_DECLS
