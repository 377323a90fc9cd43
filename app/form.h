/*
 * Forms: rows of a name and what it names, with room beside and notes below; for the wizard and the settings.
 */
#pragma once

#include <gtk/gtk.h>

G_BEGIN_DECLS

GtkGrid *oriel_form_new(void);

/*
 * Appends a row. name has a mnemonic, which leads to the widget; without it, it is the widget's accessible name.
 * Returns the widget.
 */
GtkWidget *oriel_form_add(GtkGrid *form, const char *name, GtkWidget *widget);
/* The same where the widget to be named is inside of another. */
void oriel_form_add_named(GtkGrid *form, const char *name, GtkWidget *outer, GtkWidget *widget);
/* Puts a widget to the right of the last row's. */
void oriel_form_add_beside(GtkGrid *form, GtkWidget *widget);
/* Appends a row of no name. */
void oriel_form_add_wide(GtkGrid *form, GtkWidget *widget);
/* Appends a line that is hidden as long as there is nothing to say. */
GtkLabel *oriel_form_add_note(GtkGrid *form);

/* Takes the text; NULL: nothing to say. */
void oriel_note_warn(GtkLabel *note, char *text);
/* The same for what is no warning. */
void oriel_note_tell(GtkLabel *note, char *text);

/* A label for texts of several lines, at the start of its room. */
GtkLabel *oriel_text_label_new(const char *text);
/* Destroys all that a container has. */
void oriel_remove_children(GtkContainer *container);
/* A button without words that removes what has the name. */
GtkWidget *oriel_remove_button_new(const char *name);
/* Free with g_free(). */
char *oriel_without_mnemonic(const char *name);

G_END_DECLS
