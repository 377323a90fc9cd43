/*
 * What the settings' pages about disks and discs share.
 */
#pragma once

#include "settings_internal.h"

G_BEGIN_DECLS

/* Asks for a new disk, makes it, and attaches it. */
void settings_disk_ask_new(OrielSettings *settings);
/* Asks for an image that there is, and attaches it. */
void settings_disk_ask_existing(OrielSettings *settings);

/* Asks for a new size of an image; size: what it has. resize() is called with what was chosen. */
void settings_disk_ask_size(OrielSettings *settings, const char *name, guint64 size,
			    void (*resize)(guint64 size, gboolean shrink, gpointer data), GObject *data);

/* The port of the AHCI controller that takes the next drive; -1: all are taken. */
int settings_free_port(const struct machine_config *config);
/* A text that changes with the drives of a kind, and their paths if these matter. Free with g_free(). */
char *settings_list_drives(const struct machine_config *config, enum config_disk_kind kind, gboolean paths);
/* Attaches a drive: its path is as machine.conf shall have it, or NULL for an empty CD drive. */
gboolean settings_attach(OrielSettings *settings, enum config_disk_kind kind, const char *path,
			 enum config_format format);
/* Detaches what is at the port, if it is still of that kind and path. */
gboolean settings_detach(OrielSettings *settings, guint port, enum config_disk_kind kind, const char *path);

G_END_DECLS
