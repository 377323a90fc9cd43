/*
 * Where the program's other parts are, whether it is installed or runs from a build folder.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* oriel-vm: what $ORIEL_VM names, or beside this program, or by name in the path. */
char *oriel_find_machine_program(void);
/* The test disc's image; NULL if it is not there. */
char *oriel_find_test_disc(void);

G_END_DECLS
