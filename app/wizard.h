/*
 * Making a machine, by pointing and clicking: what to start from, then one page with what was recognised and what the
 * machine will have, all of which can be changed; creating is one click on it.
 */
#pragma once

#include "system.h"
#include "window.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_WIZARD (oriel_wizard_get_type())
G_DECLARE_FINAL_TYPE(OrielWizard, oriel_wizard, ORIEL, WIZARD, GtkDialog)

/*
 * Shows it. path: a disc or disk image to start from, or NULL to ask. It selects the machine that it has made, and starts
 * it if the user wants that.
 */
void oriel_wizard_show(OrielWindow *window, const char *path);
/* For the installer that the distribution packages, if it has one: see packaged.h. */
void oriel_wizard_show_packaged(OrielWindow *window);

/* The systems that the window's dialogs share, loaded or not. */
OrielSystems *oriel_window_get_systems(OrielWindow *window);

G_END_DECLS
