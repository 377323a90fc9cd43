/*
 * Starting a machine's process.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

/*
 * Starts oriel-vm on the folder, in a session of its own: it outlives this program. *complaints becomes the file that it
 * writes its messages to, which is gone when the last of the two programs closes it. The caller watches *process
 * (g_child_watch_add()).
 */
gboolean oriel_launch(const char *folder, gboolean headless, GPid *process, int *complaints, GError **error);

/* What has been written there so far, without the program's name; never NULL. */
char *oriel_launch_complaints(int complaints);

G_END_DECLS
