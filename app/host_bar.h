/*
 * What keeps this computer from running machines, with the command that mends it: to copy, or to run at once. Nothing is
 * shown where all is well.
 */
#pragma once

#include <gtk/gtk.h>

#include "host.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_HOST_BAR (oriel_host_bar_get_type())
G_DECLARE_FINAL_TYPE(OrielHostBar, oriel_host_bar, ORIEL, HOST_BAR, GtkBox)

/* Looks at the computer now, as it also does when its window gets the focus back while there are problems. */
void oriel_host_bar_check(OrielHostBar *bar);
/*
 * Something else than the computer to look at, before the bar is shown; look returns what it lacks (struct oriel_problem, a new reference). The
 * signal "mended" is emitted when nothing is lacking any more.
 */
void oriel_host_bar_set_look(OrielHostBar *bar, GPtrArray *(*look)(void));

/* What to give to pkexec for a command of a problem: it has all the rights already. Free with g_free(). */
char *oriel_host_bar_privileged(const char *command);

G_END_DECLS
