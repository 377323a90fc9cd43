/*
 * The settings of a machine, running or not.
 */
#pragma once

#include "window.h"

G_BEGIN_DECLS

/* Opens the machine's dialog, or brings it to the front. It goes away with the machine or with the window. */
void oriel_settings_show(OrielWindow *window, OrielMachine *machine);

/* Before the program ends: if the window is such a dialog, what was entered last is saved. */
void oriel_settings_save_last(GtkWindow *window);

G_END_DECLS
