/*
 * Asking for a file or a folder.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

/*
 * Shows the file chooser, above its parent. patterns (ends with NULL), which people call by name, are what is shown at
 * first. chosen() is called with the file, unless the user gives up or the parent goes away.
 */
typedef void (*OrielFileChosen)(GtkWindow *parent, const char *path);
void oriel_choose_file(GtkWindow *parent, const char *title, const char *name, const char *const *patterns,
		       OrielFileChosen chosen);
/* The same for a folder; folder: where it begins. */
void oriel_choose_folder(GtkWindow *parent, const char *title, const char *folder, OrielFileChosen chosen);

G_END_DECLS
