/*
 * The user's machines: one folder each under $XDG_DATA_HOME/oriel/machines.
 */
#pragma once

#include <gio/gio.h>

#include "../vmm/config/config.h"
#include "task_progress.h"

G_BEGIN_DECLS

/* Where the folders are. */
char *oriel_store_machines_folder(void);

/* Folder of the machine of that name, whether it exists or not; NULL with an error for an impossible name. */
char *oriel_store_folder(const char *name, GError **error);

/* Names of all machines, sorted. */
GStrv oriel_store_list(GError **error);

/* The machine's configuration; the error says that there is no such machine, or what is wrong with it. */
struct machine_config *oriel_store_load(const char *name, GError **error);

/* A name for the folder of a new machine that people call by this name: possible, and not taken. */
char *oriel_store_free_id(const char *name);

struct oriel_machine_description {
	const char *id;        /* name of the folder; NULL: the name */
	const char *name;      /* for people */
	const char *system;    /* id of the operating system, see OrielSystem; NULL: not known */
	const char *iso;       /* absolute, or NULL for an empty drive */
	guint64 disk_size;     /* bytes; 0: no disk */
	const char *disk_folder; /* where the disk is made, named after the machine; NULL: in the machine's folder */
	gboolean nvme;         /* the disk is on NVMe instead of AHCI */
	gboolean preallocate;  /* the disk takes all of its room now */
	const char *const *disks; /* instead: images to be moved there (at most 5, NULL at the end), or NULL */
	guint64 memory;        /* bytes; 0: the default */
	guint cpus;            /* 0: the default */
	const char *tftp, *boot_file; /* what the machine can start from its network, absolute; or NULL */
	gboolean cd_first;     /* boot from the CD drive before the disk */
};

/*
 * Makes the folder, its machine.conf and an empty disk, which appear at once and whole; nothing is left behind after an
 * error.
 */
gboolean oriel_store_create(const struct oriel_machine_description *description, GError **error);

/* What the folder of a machine takes on its disk, in bytes. It reads the whole tree, not the files. */
guint64 oriel_store_size(const char *folder);

/* Moves the machine's folder to the user's trash. Error G_IO_ERROR_NOT_SUPPORTED: there is no trash for that place. */
gboolean oriel_store_trash(const char *folder, GError **error);
/* Deletes the folder for good. */
gboolean oriel_store_delete(const char *folder, GError **error);

/*
 * Copies the machine in folder to a new one that people call by name, with another UUID; holes stay holes, and where the
 * file system can share blocks nothing is copied at all. The copy appears when it is whole; nothing is left behind by an
 * error or the cancellation. progress is called in the caller's context. oriel_store_clone_finish() returns the
 * new machine's folder name.
 */
void oriel_store_clone_async(const char *folder, const char *name, GCancellable *cancellable,
			     OrielProgress progress, gpointer progress_data, GAsyncReadyCallback callback,
			     gpointer data);
char *oriel_store_clone_finish(GAsyncResult *result, GError **error);

G_END_DECLS
