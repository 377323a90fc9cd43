/*
 * The user's machines: one folder each under $XDG_DATA_HOME/oriel/machines.
 */
#pragma once

#include <gio/gio.h>

#include "../vmm/config/config.h"

G_BEGIN_DECLS

/* Folder of the machine of that name, whether it exists or not; NULL with an error for an impossible name. */
char *oriel_store_folder(const char *name, GError **error);

/* Names of all machines, sorted. */
GStrv oriel_store_list(GError **error);

/* The machine's configuration; the error says that there is no such machine, or what is wrong with it. */
struct machine_config *oriel_store_load(const char *name, GError **error);

struct oriel_machine_description {
	const char *name;
	const char *iso;       /* absolute, or NULL for an empty drive */
	guint64 disk_size;     /* bytes; 0: no disk */
	guint64 memory;        /* bytes; 0: the default */
	guint cpus;            /* 0: the default */
};

/* Makes the folder, its machine.conf and an empty disk; nothing is left behind after an error. */
gboolean oriel_store_create(const struct oriel_machine_description *description, GError **error);

G_END_DECLS
