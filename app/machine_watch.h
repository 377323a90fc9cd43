/*
 * Looks at all machines every now and then, as long as a window can be seen: their screens, and what they cost.
 */
#pragma once

#include <gtk/gtk.h>

#include "machine_list.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_MACHINE_WATCH (oriel_machine_watch_get_type())
G_DECLARE_FINAL_TYPE(OrielMachineWatch, oriel_machine_watch, ORIEL, MACHINE_WATCH, GObject)

/* Thumbnails have at most this size, in units of the window. */
#define ORIEL_THUMBNAIL_WIDTH 256
#define ORIEL_THUMBNAIL_HEIGHT 160

OrielMachineWatch *oriel_machine_watch_new(OrielMachineList *machines, GtkWidget *window);

G_END_DECLS
