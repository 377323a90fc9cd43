#include "file_choice.h"

#include <glib/gi18n.h>

struct choice {
	GtkWindow *parent;
	GtkFileChooserNative *dialog;
	OrielFileChosen chosen;
};

static void parent_gone(GtkWindow *parent, gpointer data)
{
	struct choice *choice = data;

	(void)parent;
	gtk_native_dialog_destroy(GTK_NATIVE_DIALOG(choice->dialog));
	g_object_unref(choice->dialog);
	g_free(choice);
}

/* The key or button that has answered is still on its way through the chooser's widgets. */
static gboolean drop(gpointer dialog)
{
	gtk_native_dialog_destroy(dialog);
	g_object_unref(dialog);
	return G_SOURCE_REMOVE;
}

static void answered(GtkNativeDialog *dialog, int response, gpointer data)
{
	struct choice *choice = data;
	g_autofree char *path = gtk_file_chooser_get_filename(GTK_FILE_CHOOSER(dialog));
	GtkWindow *parent = choice->parent;
	OrielFileChosen chosen = choice->chosen;

	g_signal_handlers_disconnect_by_data(parent, choice);
	g_free(choice);
	gtk_native_dialog_hide(dialog);
	g_idle_add(drop, dialog);
	if (response == GTK_RESPONSE_ACCEPT && path)
		chosen(parent, path);
}

static GtkFileChooser *new_chooser(GtkWindow *parent, const char *title, GtkFileChooserAction action,
				    OrielFileChosen chosen)
{
	gboolean folder = action == GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER;
	GtkFileChooserNative *dialog = gtk_file_chooser_native_new(title, parent, action, folder ? _("_Select") :
								   _("_Open"), _("_Cancel"));
	struct choice *choice = g_new(struct choice, 1);

	*choice = (struct choice){ parent, dialog, chosen };
	gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(dialog), TRUE);
	g_signal_connect(dialog, "response", G_CALLBACK(answered), choice);
	g_signal_connect(parent, "destroy", G_CALLBACK(parent_gone), choice);
	return GTK_FILE_CHOOSER(dialog);
}

void oriel_choose_file(GtkWindow *parent, const char *title, const char *name, const char *const *patterns,
		       OrielFileChosen chosen)
{
	GtkFileChooser *chooser = new_chooser(parent, title, GTK_FILE_CHOOSER_ACTION_OPEN, chosen);
	GtkFileFilter *filter = gtk_file_filter_new(), *all = gtk_file_filter_new();

	gtk_file_filter_set_name(filter, name);
	for (; *patterns; patterns++)
		gtk_file_filter_add_pattern(filter, *patterns);
	gtk_file_filter_set_name(all, _("All files"));
	gtk_file_filter_add_pattern(all, "*");
	gtk_file_chooser_add_filter(chooser, filter);
	gtk_file_chooser_add_filter(chooser, all);
	gtk_native_dialog_show(GTK_NATIVE_DIALOG(chooser));
}

void oriel_choose_folder(GtkWindow *parent, const char *title, const char *folder, OrielFileChosen chosen)
{
	GtkFileChooser *chooser = new_chooser(parent, title, GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, chosen);

	gtk_file_chooser_set_current_folder(chooser, folder);
	gtk_native_dialog_show(GTK_NATIVE_DIALOG(chooser));
}
