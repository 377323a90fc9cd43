/*
 * Files that are dragged onto a widget.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/* dropped is called for each file, in the order in which they came. The target is outlined while files are over it. */
void oriel_drops_accept(GtkWidget *target, void (*dropped)(GFile *file, gpointer data), gpointer data);

G_END_DECLS
