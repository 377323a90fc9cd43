/*
 * What can be done with machines: the actions of the window.
 */
#pragma once

#include "window.h"

G_BEGIN_DECLS

/* Adds them all to the window. */
void oriel_machine_actions_add(OrielWindow *window);
/* Enables those that make sense for the chosen machines. */
void oriel_machine_actions_update(OrielWindow *window);

/* The keys for them. */
void oriel_machine_actions_set_accelerators(GtkApplication *application);

/* Starts or resumes it, and shows what stands in the way. */
void oriel_machine_actions_start(OrielWindow *window, OrielMachine *machine);
/* What a double click does: starts or resumes it, or shows its window. */
void oriel_machine_actions_open(OrielWindow *window, OrielMachine *machine);
/* Says in the window why a machine has crashed or needs help, and offers the ways out. */
void oriel_machine_actions_explain(OrielWindow *window, OrielMachine *machine);
void oriel_machine_actions_open_log(OrielWindow *window, OrielMachine *machine);
/* The last report of a crash, if there is one. */
void oriel_machine_actions_open_report(OrielWindow *window, OrielMachine *machine);
void oriel_machine_actions_open_folder(OrielWindow *window, OrielMachine *machine);

G_END_DECLS
