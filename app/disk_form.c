#include "disk_form.h"

#include <glib/gi18n.h>

#include "file_choice.h"
#include "form.h"

#define GIB ((guint64)1 << 30)
#define SIZE_LEAST 1 /* GiB */
#define SIZE_MOST 65536
#define SIZE_USUAL 32
#define ROWS "oriel-disk-form"

static void show_place(struct oriel_disk_form *rows)
{
	guint64 space = oriel_host_get_free_space(rows->folder ? rows->folder : rows->usual_folder);
	g_autofree char *size = g_format_size_full(space, G_FORMAT_SIZE_IEC_UNITS);
	g_autofree char *text = g_strdup_printf(_("GiB; %s are free there"), size);
	g_autofree char *name = rows->folder ? g_filename_display_name(rows->folder) :
					       g_strdup(_("The machine’s folder"));

	gtk_label_set_text(rows->free_text, text);
	gtk_button_set_label(GTK_BUTTON(rows->place), name);
}

static void changed(struct oriel_disk_form *rows)
{
	rows->changed(rows->data);
}

static void folder_chosen(GtkWindow *window, const char *folder)
{
	struct oriel_disk_form *rows = g_object_get_data(G_OBJECT(window), ROWS);

	g_free(rows->folder);
	rows->folder = g_strcmp0(folder, rows->usual_folder) ? g_strdup(folder) : NULL;
	show_place(rows);
	changed(rows);
}

static void choose_folder(GtkButton *button, gpointer rows)
{
	GtkWidget *window = gtk_widget_get_toplevel(GTK_WIDGET(button));
	const struct oriel_disk_form *form = rows;

	g_object_set_data(G_OBJECT(window), ROWS, rows);
	oriel_choose_folder(GTK_WINDOW(window), _("Choose a Folder for the Disk"),
			    form->folder ? form->folder : form->usual_folder, folder_chosen);
}

void oriel_disk_form_init(struct oriel_disk_form *rows, GtkGrid *form, const char *usual_folder,
			  void (*call)(gpointer data), gpointer data)
{
	GtkWidget *dynamic;

	rows->usual_folder = g_strdup(usual_folder);
	rows->changed = call;
	rows->data = data;
	rows->size = gtk_adjustment_new(SIZE_USUAL, SIZE_LEAST, SIZE_MOST, 1, 16, 0);
	rows->size_spin = gtk_spin_button_new(rows->size, 1, 0);
	rows->free_text = GTK_LABEL(gtk_label_new(NULL));
	oriel_form_add(form, _("Si_ze"), rows->size_spin);
	oriel_form_add_beside(form, GTK_WIDGET(rows->free_text));
	atk_object_set_name(gtk_widget_get_accessible(rows->size_spin), _("Size of the disk in GiB"));
	dynamic = gtk_radio_button_new_with_mnemonic(NULL, _("It _grows as it is used"));
	oriel_form_add_wide(form, dynamic);
	rows->preallocate = GTK_TOGGLE_BUTTON(gtk_radio_button_new_with_mnemonic_from_widget(GTK_RADIO_BUTTON(dynamic),
							_("It takes all of its room _now, so that it never lacks any")));
	oriel_form_add_wide(form, GTK_WIDGET(rows->preallocate));
	rows->place = gtk_button_new();
	gtk_widget_set_tooltip_text(rows->place, _("The folder that the disk’s file is made in"));
	oriel_form_add(form, _("P_lace"), rows->place);
	g_signal_connect(rows->place, "clicked", G_CALLBACK(choose_folder), rows);
	rows->warning = oriel_form_add_note(form);
	g_signal_connect_swapped(rows->size, "value-changed", G_CALLBACK(changed), rows);
	g_signal_connect_swapped(rows->preallocate, "toggled", G_CALLBACK(changed), rows);
	show_place(rows);
}

void oriel_disk_form_clear(struct oriel_disk_form *rows)
{
	g_clear_pointer(&rows->usual_folder, g_free);
	g_clear_pointer(&rows->folder, g_free);
}

void oriel_disk_form_set_size(struct oriel_disk_form *rows, guint64 size)
{
	gtk_adjustment_set_value(rows->size, (double)((size + GIB - 1) / GIB));
}

guint64 oriel_disk_form_get_size(const struct oriel_disk_form *rows)
{
	return (guint64)gtk_adjustment_get_value(rows->size) * GIB;
}

void oriel_disk_form_check(struct oriel_disk_form *rows, const struct oriel_system_info *system)
{
	guint64 space = oriel_host_get_free_space(rows->folder ? rows->folder : rows->usual_folder);

	oriel_note_warn(rows->warning, system ? oriel_host_check_disk(system, oriel_disk_form_get_size(rows), space,
						gtk_toggle_button_get_active(rows->preallocate)) : NULL);
}
