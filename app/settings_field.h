/*
 * Widgets that show and change single values of machine.conf.
 */
#pragma once

#include "settings_internal.h"

G_BEGIN_DECLS

/* A field belongs to its widget, and goes with it. */
struct settings_field;

/* Which values a choice has, as machine.conf names them, and how people call them (N_()); ends with NULL. */
struct settings_choice {
	const char *value, *title;
};

/*
 * Each appends a row to the form. name: as in oriel_form_add(), also what messages call the value. group and key: as in
 * machine.conf.
 */
struct settings_field *settings_field_add_switch(OrielSettings *settings, GtkGrid *form, const char *name,
						 const char *group, const char *key);
struct settings_field *settings_field_add_choice(OrielSettings *settings, GtkGrid *form, const char *name,
						 const char *group, const char *key,
						 const struct settings_choice *choices);
struct settings_field *settings_field_add_entry(OrielSettings *settings, GtkGrid *form, const char *name,
						const char *group, const char *key);
/* Of several lines. */
struct settings_field *settings_field_add_text(OrielSettings *settings, GtkGrid *form, const char *name,
					       const char *group, const char *key);
/* For a row that is there already, beside a note; the value is the adjustment's, as a whole number. */
struct settings_field *settings_field_add_number(OrielSettings *settings, GtkWidget *widget, GtkLabel *note,
						 GtkAdjustment *adjustment, const char *name, const char *group,
						 const char *key);

/* Puts a widget to the right of the field's. */
void settings_field_add_beside(struct settings_field *field, GtkWidget *widget);
GtkWidget *settings_field_get_widget(struct settings_field *field);

/* How to get and set what is no single value; besides that it is called by its group and key. */
void settings_field_set_access(struct settings_field *field, char *(*get)(const struct machine_config *config),
			       gboolean (*set)(struct machine_config *config, const char *text, GError **error));
/* Says what is wrong with what was entered, or NULL; free with g_free(). */
void settings_field_set_check(struct settings_field *field, char *(*check)(const char *text));
/* It holds at once, because no running machine needs to know. */
void settings_field_set_at_once(struct settings_field *field);
/* A running machine takes it by this method, whose one parameter is boolean. */
void settings_field_set_live(struct settings_field *field, const char *method);
/* Enters a text as if the user had typed it. */
void settings_field_enter(struct settings_field *field, const char *text);

/* For the dialog: machine.conf or the machine's state has changed; all that is not saved is to be saved. */
void settings_field_update(struct settings_field *field);
void settings_field_flush(struct settings_field *field);

G_END_DECLS
