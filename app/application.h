/*
 * The manager as a program: one process, io.github.oriel.Oriel, however often it is started.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

#define ORIEL_TYPE_APPLICATION (oriel_application_get_type())
G_DECLARE_FINAL_TYPE(OrielApplication, oriel_application, ORIEL, APPLICATION, GtkApplication)

/* Runs the manager until its window is closed; opens files (argv[1] ...) in it. Returns the exit status. */
int oriel_application_run(int argc, char **argv);

G_END_DECLS
