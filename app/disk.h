/*
 * The commands of "oriel disk": images as files, by way of vmm/block/image.h.
 */
#pragma once

#include <glib.h>

#include "../vmm/block/image.h"
#include "commands.h"

G_BEGIN_DECLS

/* More exit statuses, of "oriel disk check". */
enum {
	ORIEL_DISK_DAMAGED = 3,
	ORIEL_DISK_LEAKS = 4,
};

int oriel_disk_create(const struct oriel_command *command, int argc, char **argv);
int oriel_disk_resize(const struct oriel_command *command, int argc, char **argv);
int oriel_disk_info(const struct oriel_command *command, int argc, char **argv);
int oriel_disk_check(const struct oriel_command *command, int argc, char **argv);
int oriel_disk_map(const struct oriel_command *command, int argc, char **argv);
int oriel_disk_convert(const struct oriel_command *command, int argc, char **argv);
int oriel_disk_compact(const struct oriel_command *command, int argc, char **argv);
int oriel_disk_commit(const struct oriel_command *command, int argc, char **argv);
int oriel_disk_rebase(const struct oriel_command *command, int argc, char **argv);
int oriel_disk_snapshot(const struct oriel_command *command, int argc, char **argv);

/* --- Work that takes a while (disk_job.c) --- */

/*
 * Between begin and end, an interruption (Ctrl-C, a hangup, SIGTERM) only makes oriel_disk_job_progress() return
 * FALSE, which is an image_progress. The end then dies of the signal, after everything is cleaned up. The progress is
 * on standard error if that is a terminal.
 */
struct oriel_disk_job {
	gboolean terminal;
	gint64 shown; /* when, monotonic time */
};

void oriel_disk_job_begin(struct oriel_disk_job *job);
bool oriel_disk_job_progress(double fraction, void *job);
/* The exit status; prints and frees the error. */
int oriel_disk_job_end(struct oriel_disk_job *job, gboolean done, GError *error);

/* --- Options that several commands have (disk_options.c) --- */

struct oriel_disk_options {
	char *format, *cluster_size, *preallocation, *compression, *backing, *backing_format, *data_file;
	int version, refcount_bits;
	gboolean extended_l2, lazy_refcounts, data_raw, overwrite;
};

/* Of a new image; a table that lives as long as options, to be freed with g_free(). */
GOptionEntry *oriel_disk_option_entries(struct oriel_disk_options *options, const GOptionEntry *more);
/* Everything but format, path and size; target borrows from options. */
gboolean oriel_disk_options_apply(const struct oriel_disk_options *options, struct image_create_options *target,
				  GError **error);
void oriel_disk_options_clear(struct oriel_disk_options *options);
gboolean oriel_disk_parse_preallocation(const char *text, enum image_preallocation *preallocation, GError **error);
/* raw or qcow2; NULL leaves *format as it is. */
gboolean oriel_disk_parse_format(const char *text, enum block_format *format, GError **error);

/* --- Formats of others (disk_foreign.c) --- */

/* Name of the foreign format that the file has by its first bytes, or NULL. */
const char *oriel_disk_foreign_probe(const char *path);
/* Whether the format is one that the program qemu-img reads and writes, and Oriel does not. */
gboolean oriel_disk_foreign_known(const char *format);
/* Has qemu-img convert it. The options belong to a qcow2 target. */
gboolean oriel_disk_foreign_convert(const char *source, const char *source_format, const char *target,
				    const char *target_format, const struct oriel_disk_options *options,
				    gboolean compress, struct oriel_disk_job *job, GError **error);

/* 1.5 GiB */
char *oriel_disk_format_size(guint64 size);

/* --- JSON (disk_json.c): the names are those of qemu-img --- */

/* Appends name (NULL: none) and a value, with a comma where one is due. */
void oriel_disk_json_string(GString *json, const char *name, const char *value);
void oriel_disk_json_number(GString *json, const char *name, guint64 value);
void oriel_disk_json_boolean(GString *json, const char *name, gboolean value);
/* bracket: { or [, and then } or ]. */
void oriel_disk_json_open(GString *json, const char *name, char bracket);
void oriel_disk_json_close(GString *json, char bracket);

G_END_DECLS
