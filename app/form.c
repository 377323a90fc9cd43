#include "form.h"

#include <glib/gi18n.h>
#include <string.h>

#define ROWS "oriel-rows"
#define TEXT_WIDTH 52 /* characters */

static int row_count(GtkGrid *form)
{
	return GPOINTER_TO_INT(g_object_get_data(G_OBJECT(form), ROWS));
}

static int next_row(GtkGrid *form)
{
	int row = row_count(form);

	g_object_set_data(G_OBJECT(form), ROWS, GINT_TO_POINTER(row + 1));
	return row;
}

GtkGrid *oriel_form_new(void)
{
	GtkGrid *form = GTK_GRID(gtk_grid_new());

	gtk_grid_set_column_spacing(form, 12);
	gtk_grid_set_row_spacing(form, 9);
	return form;
}

char *oriel_without_mnemonic(const char *name)
{
	char *text = g_strdup(name), *underscore = strchr(text, '_');

	if (underscore)
		memmove(underscore, underscore + 1, strlen(underscore));
	return text;
}

void oriel_form_add_named(GtkGrid *form, const char *name, GtkWidget *outer, GtkWidget *widget)
{
	g_autofree char *accessible = oriel_without_mnemonic(name);
	GtkWidget *label = gtk_label_new_with_mnemonic(name);
	int row = next_row(form);

	gtk_label_set_xalign(GTK_LABEL(label), 1);
	gtk_label_set_mnemonic_widget(GTK_LABEL(label), widget);
	gtk_style_context_add_class(gtk_widget_get_style_context(label), GTK_STYLE_CLASS_DIM_LABEL);
	atk_object_set_name(gtk_widget_get_accessible(widget), accessible);
	gtk_grid_attach(form, label, 0, row, 1, 1);
	gtk_grid_attach(form, outer, 1, row, 1, 1);
}

GtkWidget *oriel_form_add(GtkGrid *form, const char *name, GtkWidget *widget)
{
	oriel_form_add_named(form, name, widget, widget);
	return widget;
}

void oriel_form_add_beside(GtkGrid *form, GtkWidget *widget)
{
	gtk_grid_attach(form, widget, 2, row_count(form) - 1, 1, 1);
}

void oriel_form_add_wide(GtkGrid *form, GtkWidget *widget)
{
	gtk_grid_attach(form, widget, 1, next_row(form), 2, 1);
}

GtkLabel *oriel_text_label_new(const char *text)
{
	GtkLabel *label = GTK_LABEL(gtk_label_new(text));

	gtk_label_set_xalign(label, 0);
	gtk_label_set_line_wrap(label, TRUE);
	gtk_label_set_max_width_chars(label, TEXT_WIDTH);
	return label;
}

static void destroy_child(GtkWidget *child, gpointer unused)
{
	(void)unused;
	gtk_widget_destroy(child);
}

void oriel_remove_children(GtkContainer *container)
{
	gtk_container_foreach(container, destroy_child, NULL);
}

GtkWidget *oriel_remove_button_new(const char *name)
{
	GtkWidget *button = gtk_button_new_from_icon_name("list-remove-symbolic", GTK_ICON_SIZE_BUTTON);
	g_autofree char *accessible = g_strdup_printf(_("Remove: %s"), name);

	atk_object_set_name(gtk_widget_get_accessible(button), accessible);
	gtk_widget_set_tooltip_text(button, _("Remove"));
	return button;
}

GtkLabel *oriel_form_add_note(GtkGrid *form)
{
	GtkLabel *label = oriel_text_label_new(NULL);

	gtk_widget_set_no_show_all(GTK_WIDGET(label), TRUE);
	oriel_form_add_wide(form, GTK_WIDGET(label));
	return label;
}

static void set_note(GtkLabel *note, char *text, gboolean warning)
{
	GtkStyleContext *style = gtk_widget_get_style_context(GTK_WIDGET(note));

	gtk_style_context_remove_class(style, warning ? GTK_STYLE_CLASS_DIM_LABEL : "oriel-warning");
	gtk_style_context_add_class(style, warning ? "oriel-warning" : GTK_STYLE_CLASS_DIM_LABEL);
	gtk_label_set_text(note, text ? text : "");
	gtk_widget_set_visible(GTK_WIDGET(note), text != NULL);
	g_free(text);
}

void oriel_note_warn(GtkLabel *note, char *text)
{
	set_note(note, text, TRUE);
}

void oriel_note_tell(GtkLabel *note, char *text)
{
	set_note(note, text, FALSE);
}
