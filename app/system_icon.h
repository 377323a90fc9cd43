/*
 * Which picture a machine gets by the system in it, without libosinfo's database, which takes a second to read.
 */
#pragma once

#include <gio/gio.h>

#include "system.h"

G_BEGIN_DECLS

/* Of a system's id as machine.conf keeps it ("win11", "debian12"); NULL or one that nobody knows is of family "other". */
OrielFamily oriel_system_family_of(const char *id);

/* The icon that Oriel brings along. */
const char *oriel_family_icon_name(OrielFamily family);

/* A themed icon: the system's own logo if the theme has it, or the picture of its family, which Oriel brings along. */
GIcon *oriel_system_icon_of(const char *id);

G_END_DECLS
