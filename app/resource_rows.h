/*
 * Rows of a form for the processors and the memory of a machine, beside what the computer has, with warnings where it is
 * too much or too little.
 */
#pragma once

#include <gtk/gtk.h>

#include "host.h"

G_BEGIN_DECLS

struct oriel_resource_rows {
	OrielHost *host;
	GtkAdjustment *cpus, *memory; /* MiB */
	GtkWidget *cpus_scale, *memory_scale;
	GtkLabel *cpus_warning, *memory_warning, *memory_value;
	GtkLabel *cpus_note, *memory_note; /* for the caller */
};

/* The host must outlive the rows, and they the form. */
void oriel_resource_rows_init(struct oriel_resource_rows *rows, GtkGrid *form, OrielHost *host);
/* Also what is more than the computer has. */
void oriel_resource_rows_set(struct oriel_resource_rows *rows, guint cpus, guint64 memory);
guint oriel_resource_rows_get_cpus(const struct oriel_resource_rows *rows);
/* Bytes. */
guint64 oriel_resource_rows_get_memory(const struct oriel_resource_rows *rows);
/* Says what is to be said about the values; after each change. */
void oriel_resource_rows_check(struct oriel_resource_rows *rows, const struct oriel_system_info *system);

G_END_DECLS
