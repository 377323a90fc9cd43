/*
 * Light or dark, as the desktop wants it.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Follows org.freedesktop.appearance color-scheme of the settings portal from now on, for all windows. */
void oriel_color_scheme_follow(void);

G_END_DECLS
