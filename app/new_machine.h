/*
 * How machines come about from the window.
 */
#pragma once

#include "window.h"

G_BEGIN_DECLS

/* Asks for what to start from. */
void oriel_new_machine(OrielWindow *window);
/* The same with a disc image or a disk image that the user dropped or opened. */
void oriel_new_machine_from_file(OrielWindow *window, GFile *file);
/* Makes the test disc's machine, unless it is there already, and starts it. */
void oriel_new_machine_test_disc(OrielWindow *window);

G_END_DECLS
