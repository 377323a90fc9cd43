#include "machine_dialogs.h"

#include <glib/gi18n.h>

#include "machine_store.h"

/* A name to type */

struct question {
	OrielWindow *window;
	OrielMachine *machine;
	GtkWidget *dialog;
	GtkEntry *entry;
	void (*answered)(OrielWindow *window, OrielMachine *machine, const char *name);
};

static void name_edited(GtkEditable *entry, gpointer data)
{
	struct question *question = data;
	g_autofree char *name = g_strstrip(g_strdup(gtk_entry_get_text(GTK_ENTRY(entry))));

	gtk_dialog_set_response_sensitive(GTK_DIALOG(question->dialog), GTK_RESPONSE_OK, *name != 0);
}

static void question_answered(GtkDialog *dialog, int response, gpointer data)
{
	struct question *question = data;
	g_autofree char *name = g_strstrip(g_strdup(gtk_entry_get_text(question->entry)));

	if (response == GTK_RESPONSE_OK)
		question->answered(question->window, question->machine, name);
	gtk_widget_destroy(GTK_WIDGET(dialog));
	g_object_unref(question->machine);
	g_free(question);
}

/* text: what stands in the entry at first */
static void ask_name(OrielWindow *window, OrielMachine *machine, const char *title, const char *button,
		     const char *text, void (*answered)(OrielWindow *, OrielMachine *, const char *))
{
	GtkWidget *dialog = gtk_message_dialog_new(GTK_WINDOW(window), GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT,
						   GTK_MESSAGE_OTHER, GTK_BUTTONS_NONE, "%s", title);
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12), *entry = gtk_entry_new();
	GtkWidget *label = gtk_label_new_with_mnemonic(_("_Name"));
	struct question *question = g_new(struct question, 1);

	*question = (struct question){ window, g_object_ref(machine), dialog, GTK_ENTRY(entry), answered };
	gtk_label_set_mnemonic_widget(GTK_LABEL(label), entry);
	gtk_entry_set_text(GTK_ENTRY(entry), text);
	gtk_entry_set_max_length(GTK_ENTRY(entry), 60);
	gtk_entry_set_width_chars(GTK_ENTRY(entry), 36);
	gtk_entry_set_activates_default(GTK_ENTRY(entry), TRUE);
	gtk_box_pack_start(GTK_BOX(box), label, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), entry, TRUE, TRUE, 0);
	gtk_container_add(GTK_CONTAINER(gtk_message_dialog_get_message_area(GTK_MESSAGE_DIALOG(dialog))), box);
	gtk_dialog_add_button(GTK_DIALOG(dialog), _("_Cancel"), GTK_RESPONSE_CANCEL);
	gtk_style_context_add_class(gtk_widget_get_style_context(gtk_dialog_add_button(GTK_DIALOG(dialog), button,
										       GTK_RESPONSE_OK)),
				    "suggested-action");
	gtk_dialog_set_default_response(GTK_DIALOG(dialog), GTK_RESPONSE_OK);
	g_signal_connect(entry, "changed", G_CALLBACK(name_edited), question);
	g_signal_connect(dialog, "response", G_CALLBACK(question_answered), question);
	gtk_widget_show_all(dialog);
}

/* Rename */

static gboolean set_name(struct machine_config *config, gpointer name, GError **error)
{
	return machine_config_set(config, "machine", "name", name, error);
}

static void rename_machine(OrielWindow *window, OrielMachine *machine, const char *name)
{
	g_autoptr(GError) error = NULL;

	if (!oriel_machine_edit(machine, set_name, (gpointer)name, &error))
		oriel_window_notice(window, machine, GTK_MESSAGE_ERROR, error->message, NULL);
	else
		oriel_window_select(window, machine);
}

void oriel_machine_dialog_rename(OrielWindow *window, OrielMachine *machine)
{
	ask_name(window, machine, _("Rename Machine"), _("_Rename"), oriel_machine_get_name(machine), rename_machine);
}

/* Clone */

struct copying {
	OrielWindow *window;
	GtkWidget *dialog;
	GtkProgressBar *bar;
	GCancellable *cancellable;
};

static void copying_progress(double fraction, gpointer data)
{
	struct copying *copying = data;

	gtk_progress_bar_set_fraction(copying->bar, fraction);
}

static void copied(GObject *source, GAsyncResult *result, gpointer data)
{
	struct copying *copying = data;
	g_autoptr(GError) error = NULL;
	g_autofree char *id = oriel_store_clone_finish(result, &error);
	OrielMachineList *machines = oriel_window_get_machines(copying->window);
	OrielMachine *copy;

	(void)source;
	gtk_widget_destroy(copying->dialog);
	if (id) {
		oriel_machine_list_rescan(machines);
		copy = oriel_machine_list_find(machines, id);
		if (copy)
			oriel_window_select(copying->window, copy);
	} else if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
		oriel_window_notice(copying->window, NULL, GTK_MESSAGE_ERROR, error->message, NULL);
	}
	g_object_unref(copying->window);
	g_object_unref(copying->cancellable);
	g_free(copying);
}

static void cancel_copying(GtkDialog *dialog, int response, gpointer cancellable)
{
	(void)response;
	g_cancellable_cancel(cancellable);
	gtk_dialog_set_response_sensitive(dialog, GTK_RESPONSE_CANCEL, FALSE);
}

static gboolean keep_dialog(GtkWidget *dialog, GdkEvent *event, gpointer unused)
{
	(void)dialog;
	(void)event;
	(void)unused;
	return GDK_EVENT_STOP; /* "response" has cancelled; the end of the copy closes it */
}

static void clone_machine(OrielWindow *window, OrielMachine *machine, const char *name)
{
	GtkWidget *dialog = gtk_message_dialog_new(GTK_WINDOW(window), GTK_DIALOG_MODAL, GTK_MESSAGE_OTHER,
						   GTK_BUTTONS_CANCEL, "%s", _("Copying the Machine"));
	GtkWidget *bar = gtk_progress_bar_new();
	struct copying *copying = g_new(struct copying, 1);

	*copying = (struct copying){ g_object_ref(window), dialog, GTK_PROGRESS_BAR(bar), g_cancellable_new() };
	gtk_progress_bar_set_text(copying->bar, name);
	gtk_progress_bar_set_show_text(copying->bar, TRUE);
	gtk_widget_set_size_request(bar, 360, -1);
	atk_object_set_name(gtk_widget_get_accessible(bar), _("Progress of the copy"));
	gtk_container_add(GTK_CONTAINER(gtk_message_dialog_get_message_area(GTK_MESSAGE_DIALOG(dialog))), bar);
	g_signal_connect_object(dialog, "response", G_CALLBACK(cancel_copying), copying->cancellable, 0);
	g_signal_connect(dialog, "delete-event", G_CALLBACK(keep_dialog), NULL);
	gtk_widget_show_all(dialog);
	oriel_store_clone_async(oriel_machine_get_folder(machine), name, copying->cancellable, copying_progress, copying,
				copied, copying);
}

void oriel_machine_dialog_clone(OrielWindow *window, OrielMachine *machine)
{
	g_autofree char *name = g_strdup_printf(_("%s (copy)"), oriel_machine_get_name(machine));

	ask_name(window, machine, _("Clone Machine"), _("_Clone"), name, clone_machine);
}

/* Delete */

static void show_delete_error(OrielWindow *window, OrielMachine *machine, const GError *error)
{
	g_autofree char *text = g_strdup_printf(_("“%s” could not be deleted.\n%s"), oriel_machine_get_name(machine),
						error->message);

	oriel_window_notice(window, machine, GTK_MESSAGE_ERROR, text, NULL);
}

static void delete_for_good(OrielWindow *window, OrielMachine *machine)
{
	g_autoptr(GError) error = NULL;

	if (!oriel_store_delete(oriel_machine_get_folder(machine), &error))
		show_delete_error(window, machine, error);
	oriel_machine_list_rescan(oriel_window_get_machines(window));
}

static void move_to_trash(OrielWindow *window, OrielMachine *machine)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (oriel_store_trash(oriel_machine_get_folder(machine), &error)) {
		oriel_machine_list_rescan(oriel_window_get_machines(window));
	} else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED)) {
		text = g_strdup_printf(_("There is no trash on the disk of “%s”. It can only be deleted for good."),
				       oriel_machine_get_name(machine));
		oriel_window_notice(window, machine, GTK_MESSAGE_QUESTION, text, _("_Delete for Good"), delete_for_good,
				    NULL);
	} else {
		show_delete_error(window, machine, error);
	}
}

static void delete_answered(GtkDialog *dialog, int response, gpointer data)
{
	OrielMachine *machine = data;
	OrielWindow *window = ORIEL_WINDOW(gtk_window_get_transient_for(GTK_WINDOW(dialog)));

	g_object_ref(machine);
	gtk_widget_destroy(GTK_WIDGET(dialog));
	if (response == GTK_RESPONSE_OK)
		move_to_trash(window, machine);
	g_object_unref(machine);
}

void oriel_machine_dialog_delete(OrielWindow *window, OrielMachine *machine)
{
	g_autofree char *size = g_format_size(oriel_store_size(oriel_machine_get_folder(machine)));
	GtkWidget *dialog = gtk_message_dialog_new(GTK_WINDOW(window), GTK_DIALOG_MODAL | GTK_DIALOG_DESTROY_WITH_PARENT,
						   GTK_MESSAGE_QUESTION, GTK_BUTTONS_NONE, _("Delete “%s”?"),
						   oriel_machine_get_name(machine));
	GtkWidget *button;

	gtk_message_dialog_format_secondary_text(GTK_MESSAGE_DIALOG(dialog),
						 _("The machine goes to the trash with its disks. %s will be free when "
						   "the trash is emptied."), size);
	gtk_dialog_add_button(GTK_DIALOG(dialog), _("_Cancel"), GTK_RESPONSE_CANCEL);
	button = gtk_dialog_add_button(GTK_DIALOG(dialog), _("Move to _Trash"), GTK_RESPONSE_OK);
	gtk_style_context_add_class(gtk_widget_get_style_context(button), "destructive-action");
	gtk_dialog_set_default_response(GTK_DIALOG(dialog), GTK_RESPONSE_CANCEL);
	g_signal_connect_data(dialog, "response", G_CALLBACK(delete_answered), g_object_ref(machine),
			      (GClosureNotify)(void (*)(void))g_object_unref, 0);
	gtk_widget_show_all(dialog);
}
