/*
 * How the user left the window: $XDG_CONFIG_HOME/oriel/window.conf, so that it opens the same way.
 */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

struct oriel_window_memory {
	int width, height; /* while not maximized */
	gboolean maximized;
	gboolean list; /* the machines as a list, not as a grid */
};

/* What is not there, or makes no sense, is as for a new user. */
void oriel_window_memory_load(struct oriel_window_memory *memory);
/* Writes the whole file or none, keeping what others put there; nothing if it says the same already. */
gboolean oriel_window_memory_save(const struct oriel_window_memory *memory, GError **error);

G_END_DECLS
