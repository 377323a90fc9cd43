/*
 * The manager's window: all machines, as a grid or as a list, and what can be done with the chosen ones.
 */
#pragma once

#include <gtk/gtk.h>

#include "machine_list.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_WINDOW (oriel_window_get_type())
G_DECLARE_FINAL_TYPE(OrielWindow, oriel_window, ORIEL, WINDOW, GtkApplicationWindow)

OrielWindow *oriel_window_new(GtkApplication *application, OrielMachineList *machines);

OrielMachineList *oriel_window_get_machines(OrielWindow *window);
/* The chosen machines (OrielMachine, referenced), possibly none. Free with g_ptr_array_unref(). */
GPtrArray *oriel_window_get_selection(OrielWindow *window);
/* Makes it the only chosen one, and scrolls to it. */
void oriel_window_select(OrielWindow *window, OrielMachine *machine);

/*
 * Shows a bar with a message above the machines, in place of an earlier one about the same machine. machine: what it is
 * about, or NULL. Then pairs of a button's label and what it does (OrielNoticeAction), and NULL. The bar goes away by
 * its close button or any of the others but those that open its log or report, and when the machine goes away or is
 * started again.
 */
typedef void (*OrielNoticeAction)(OrielWindow *window, OrielMachine *machine);
void oriel_window_notice(OrielWindow *window, OrielMachine *machine, GtkMessageType type, const char *text, ...)
	G_GNUC_NULL_TERMINATED;
void oriel_window_clear_notice(OrielWindow *window, OrielMachine *machine);

/* Looks again for what keeps this computer from running machines, and says so. */
void oriel_window_check_host(OrielWindow *window);
/* Keeps size and view for the next start. */
void oriel_window_remember(OrielWindow *window);

G_END_DECLS
