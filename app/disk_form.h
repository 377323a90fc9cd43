/*
 * Rows of a form for a new disk: its size, whether it takes its room now, and its place.
 */
#pragma once

#include <gtk/gtk.h>

#include "host.h"

G_BEGIN_DECLS

struct oriel_disk_form {
	char *usual_folder; /* the machine's, or the one above if that does not exist yet */
	char *folder;       /* chosen instead; NULL: none */
	GtkAdjustment *size; /* GiB */
	GtkWidget *size_spin, *place;
	GtkLabel *free_text, *warning;
	GtkToggleButton *preallocate;
	void (*changed)(gpointer data);
	gpointer data;
};

/* changed(data) is called after each change; data must live as long as the form. */
void oriel_disk_form_init(struct oriel_disk_form *rows, GtkGrid *form, const char *usual_folder,
			  void (*changed)(gpointer data), gpointer data);
void oriel_disk_form_clear(struct oriel_disk_form *rows);

/* Bytes. */
void oriel_disk_form_set_size(struct oriel_disk_form *rows, guint64 size);
guint64 oriel_disk_form_get_size(const struct oriel_disk_form *rows);
/* Says what is to be said about the values; NULL instead of a system: nothing. */
void oriel_disk_form_check(struct oriel_disk_form *rows, const struct oriel_system_info *system);

G_END_DECLS
