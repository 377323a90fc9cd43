/*
 * A button that opens a list of operating systems to search and choose from.
 */
#pragma once

#include <gtk/gtk.h>

#include "system.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_SYSTEM_CHOOSER (oriel_system_chooser_get_type())
G_DECLARE_FINAL_TYPE(OrielSystemChooser, oriel_system_chooser, ORIEL, SYSTEM_CHOOSER, GtkMenuButton)

/* systems must be loaded. Emits "chosen" with an OrielSystem when the user has chosen one. */
GtkWidget *oriel_system_chooser_new(OrielSystems *systems);
void oriel_system_chooser_set_system(OrielSystemChooser *chooser, OrielSystem *system);

G_END_DECLS
