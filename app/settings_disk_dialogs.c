/* Questions about disks: a new one, one that there is, and another size. */
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>

#include "../vmm/block/image.h"
#include "disk_form.h"
#include "disk_format.h"
#include "disk_work.h"
#include "file_choice.h"
#include "settings_disks.h"

#define GIB ((guint64)1 << 30)
#define MIB ((guint64)1 << 20)
#define SIZE_MOST 65536 /* GiB */

static GtkWidget *new_dialog(OrielSettings *settings, const char *title, const char *button)
{
	GtkWidget *dialog = gtk_dialog_new_with_buttons(title, GTK_WINDOW(settings), GTK_DIALOG_MODAL |
							GTK_DIALOG_DESTROY_WITH_PARENT | GTK_DIALOG_USE_HEADER_BAR,
							_("_Cancel"), GTK_RESPONSE_CANCEL, button, GTK_RESPONSE_OK,
							NULL);

	gtk_dialog_set_default_response(GTK_DIALOG(dialog), GTK_RESPONSE_OK);
	gtk_window_set_resizable(GTK_WINDOW(dialog), FALSE);
	return dialog;
}

static void add_content(GtkWidget *dialog, GtkGrid *form)
{
	g_object_set(form, "margin", 18, NULL);
	gtk_container_add(GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(dialog))), GTK_WIDGET(form));
	gtk_widget_show_all(dialog);
}

/* --- A new disk --- */

struct creation {
	OrielSettings *settings;
	GtkWidget *dialog; /* NULL: it is gone */
	struct oriel_disk_form rows;
	GtkEntry *name;
	GtkLabel *problem;
	GtkProgressBar *bar;
	GCancellable *cancellable; /* while it is being made */
	char *path;
};

static void finish_creation(struct creation *creation)
{
	GtkWidget *dialog = g_steal_pointer(&creation->dialog);

	g_clear_object(&creation->cancellable);
	if (dialog)
		gtk_widget_destroy(dialog);
	oriel_disk_form_clear(&creation->rows);
	g_object_unref(creation->settings);
	g_free(creation->path);
	g_free(creation);
}

static char *folder_of(struct creation *creation)
{
	return g_strdup(creation->rows.folder ? creation->rows.folder : creation->rows.usual_folder);
}

static void check_creation(gpointer data)
{
	struct creation *creation = data;
	OrielSystem *system = oriel_settings_get_system(creation->settings);

	oriel_disk_form_check(&creation->rows, system ? oriel_system_get_info(system) : NULL);
}

static void made(GObject *source, GAsyncResult *result, gpointer data)
{
	struct creation *creation = data;
	g_autoptr(GError) error = NULL;
	gboolean done = oriel_disk_work_finish(result, &error);
	g_autofree char *name = g_path_get_basename(creation->path);

	(void)source;
	g_clear_object(&creation->cancellable);
	if (done) {
		/* The machine's own files are named without their folder, so that it can move. */
		if (!settings_attach(creation->settings, CONFIG_DISK, creation->rows.folder ? creation->path : name,
				     CONFIG_FORMAT_AUTO))
			g_unlink(creation->path);
		finish_creation(creation);
	} else if (!creation->dialog || g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED)) {
		finish_creation(creation);
	} else {
		oriel_note_warn(creation->problem, g_strdup(error->message));
		gtk_widget_hide(GTK_WIDGET(creation->bar));
		gtk_dialog_set_response_sensitive(GTK_DIALOG(creation->dialog), GTK_RESPONSE_OK, TRUE);
	}
}

static void progressed(double fraction, gpointer data)
{
	struct creation *creation = data;

	if (creation->dialog)
		gtk_progress_bar_set_fraction(creation->bar, fraction);
}

static char *check_file_name(const char *name)
{
	if (!*name || *name == '.' || strchr(name, '/'))
		return g_strdup(_("The file needs a name, without a slash."));
	if (!g_str_has_suffix(name, ".qcow2") && !g_str_has_suffix(name, ".img") && !g_str_has_suffix(name, ".raw"))
		return g_strdup(_("The name ends in .qcow2, or in .img for a raw image."));
	return NULL;
}

static void begin_creation(struct creation *creation)
{
	g_autofree char *folder = folder_of(creation);
	g_autofree char *name = g_strstrip(g_strdup(gtk_entry_get_text(creation->name)));
	g_autofree char *wrong = check_file_name(name);

	gtk_spin_button_update(GTK_SPIN_BUTTON(creation->rows.size_spin));
	oriel_note_warn(creation->problem, g_steal_pointer(&wrong));
	if (gtk_widget_get_visible(GTK_WIDGET(creation->problem)))
		return;
	g_free(creation->path);
	creation->path = g_build_filename(folder, name, NULL);
	creation->cancellable = g_cancellable_new();
	gtk_widget_show(GTK_WIDGET(creation->bar));
	gtk_dialog_set_response_sensitive(GTK_DIALOG(creation->dialog), GTK_RESPONSE_OK, FALSE);
	oriel_disk_work_create(creation->path, oriel_disk_form_get_size(&creation->rows),
			       gtk_toggle_button_get_active(creation->rows.preallocate), creation->cancellable, progressed,
			       creation, made, creation);
}

static void creation_answered(GtkDialog *dialog, int response, gpointer data)
{
	struct creation *creation = data;

	if (response == GTK_RESPONSE_OK)
		begin_creation(creation);
	else
		gtk_widget_destroy(GTK_WIDGET(dialog));
}

static void creation_gone(GtkWidget *dialog, gpointer data)
{
	struct creation *creation = data;

	(void)dialog;
	if (!creation->dialog)
		return;
	creation->dialog = NULL;
	if (creation->cancellable)
		g_cancellable_cancel(creation->cancellable);
	else
		finish_creation(creation);
}

void settings_disk_ask_new(OrielSettings *settings)
{
	const char *machine_folder = oriel_machine_get_folder(oriel_settings_get_machine(settings));
	g_autofree char *path = oriel_disk_work_free_path(machine_folder);
	g_autofree char *name = g_path_get_basename(path);
	struct creation *creation = g_new0(struct creation, 1);
	GtkGrid *form = oriel_form_new();

	creation->settings = g_object_ref(settings);
	creation->dialog = new_dialog(settings, _("New Disk"), _("C_reate"));
	creation->name = GTK_ENTRY(oriel_form_add(form, _("_File name"), gtk_entry_new()));
	gtk_entry_set_text(creation->name, name);
	gtk_entry_set_activates_default(creation->name, TRUE);
	oriel_disk_form_init(&creation->rows, form, machine_folder, check_creation, creation);
	creation->problem = oriel_form_add_note(form);
	creation->bar = GTK_PROGRESS_BAR(gtk_progress_bar_new());
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(creation->bar)), _("Progress of the new disk"));
	gtk_widget_set_no_show_all(GTK_WIDGET(creation->bar), TRUE);
	oriel_form_add_wide(form, GTK_WIDGET(creation->bar));
	g_signal_connect(creation->dialog, "response", G_CALLBACK(creation_answered), creation);
	g_signal_connect(creation->dialog, "destroy", G_CALLBACK(creation_gone), creation);
	check_creation(creation);
	add_content(creation->dialog, form);
}

/* --- A disk that there is --- */

/* As machine.conf has it: what is in the machine's folder goes with it. */
static char *shorten(OrielSettings *settings, const char *path)
{
	g_autofree char *inside = g_strconcat(oriel_machine_get_folder(oriel_settings_get_machine(settings)), "/", NULL);

	return g_strdup(g_str_has_prefix(path, inside) ? path + strlen(inside) : path);
}

static void image_chosen(GtkWindow *window, const char *path)
{
	OrielSettings *settings = ORIEL_SETTINGS(window);
	g_autoptr(GError) error = NULL;
	OrielDiskFormat format = oriel_disk_format_guess(path, &error);
	g_autofree char *name = shorten(settings, path);
	g_autofree char *text = NULL;
	gboolean named_qcow2 = g_str_has_suffix(path, ".qcow2");

	if (error)
		text = g_strdup(error->message);
	else if (format != ORIEL_DISK_RAW && format != ORIEL_DISK_QCOW2 && format != ORIEL_DISK_NONE)
		text = g_strdup_printf(_("%s is a %s. Make a new machine from it, which imports it, or convert it: oriel "
					 "disk convert"), path, oriel_disk_format_get_name(format));
	else if (named_qcow2 && format != ORIEL_DISK_QCOW2)
		text = g_strdup_printf(_("%s is no qcow2 image, which its name says."), path);
	if (text)
		oriel_settings_tell(settings, GTK_MESSAGE_ERROR, text, NULL, NULL, NULL);
	else /* The user has chosen it now: from now on its contents have no say in what it is. */
		settings_attach(settings, CONFIG_DISK, name, named_qcow2 ? CONFIG_FORMAT_AUTO :
				format == ORIEL_DISK_QCOW2 ? CONFIG_FORMAT_QCOW2 : CONFIG_FORMAT_RAW);
}

void settings_disk_ask_existing(OrielSettings *settings)
{
	static const char *const patterns[] = { "*.qcow2", "*.img", "*.raw", NULL };

	oriel_choose_file(GTK_WINDOW(settings), _("Choose a Disk Image"), _("Disk images (qcow2, raw)"), patterns,
			  image_chosen);
}

/* --- Another size --- */

struct resizing {
	GtkWidget *dialog;
	GtkSpinButton *spin;
	GtkToggleButton *consent;
	guint64 size;
	void (*resize)(guint64 size, gboolean shrink, gpointer data);
	GObject *data;
};

static guint64 chosen_size(const struct resizing *resizing)
{
	return (guint64)(gtk_spin_button_get_value(resizing->spin) * 1024 + 0.5) * MIB;
}

static gboolean shrinks(const struct resizing *resizing)
{
	return chosen_size(resizing) < resizing->size / MIB * MIB;
}

static void check_size(struct resizing *resizing)
{
	gtk_widget_set_visible(GTK_WIDGET(resizing->consent), shrinks(resizing));
	gtk_dialog_set_response_sensitive(GTK_DIALOG(resizing->dialog), GTK_RESPONSE_OK, !shrinks(resizing) ||
					  gtk_toggle_button_get_active(resizing->consent));
}

static void size_answered(GtkDialog *dialog, int response, gpointer data)
{
	struct resizing *resizing = data;
	guint64 size;
	gboolean shrink;

	gtk_spin_button_update(resizing->spin);
	size = chosen_size(resizing);
	shrink = shrinks(resizing);
	if (response == GTK_RESPONSE_OK && shrink && !gtk_toggle_button_get_active(resizing->consent))
		return; /* what was typed last is less */
	if (response == GTK_RESPONSE_OK && size != resizing->size / MIB * MIB)
		resizing->resize(size, shrink, resizing->data);
	gtk_widget_destroy(GTK_WIDGET(dialog));
}

static void free_resizing(gpointer data)
{
	struct resizing *resizing = data;

	g_object_unref(resizing->data);
	g_free(resizing);
}

void settings_disk_ask_size(OrielSettings *settings, const char *name, guint64 size,
			    void (*resize)(guint64 size, gboolean shrink, gpointer data), GObject *data)
{
	g_autofree char *title = g_strdup_printf(_("Size of %s"), name);
	GtkWidget *dialog = new_dialog(settings, title, _("_Resize"));
	struct resizing *resizing = g_new(struct resizing, 1);
	GtkGrid *form = oriel_form_new();
	GtkWidget *spin = gtk_spin_button_new_with_range(0.01, SIZE_MOST, 1);
	GtkWidget *consent = gtk_check_button_new_with_mnemonic(_("_Cut off what lies behind the new end: it is lost"));

	gtk_spin_button_set_digits(GTK_SPIN_BUTTON(spin), 2);
	gtk_spin_button_set_value(GTK_SPIN_BUTTON(spin), (double)size / (double)GIB);
	gtk_entry_set_activates_default(GTK_ENTRY(spin), TRUE);
	oriel_form_add(form, _("Si_ze"), spin);
	atk_object_set_name(gtk_widget_get_accessible(spin), _("New size in GiB"));
	oriel_form_add_beside(form, gtk_label_new(_("GiB")));
	oriel_form_add_wide(form, GTK_WIDGET(oriel_text_label_new(_("A larger disk has its new room at the end. The guest’s "
								    "partitions stay as they are; the guest can enlarge "
								    "them."))));
	gtk_widget_set_no_show_all(consent, TRUE);
	oriel_form_add_wide(form, consent);
	*resizing = (struct resizing){ dialog, GTK_SPIN_BUTTON(spin), GTK_TOGGLE_BUTTON(consent), size, resize,
				       g_object_ref(data) };
	g_object_set_data_full(G_OBJECT(dialog), "resizing", resizing, free_resizing);
	g_signal_connect_swapped(spin, "value-changed", G_CALLBACK(check_size), resizing);
	g_signal_connect_swapped(consent, "toggled", G_CALLBACK(check_size), resizing);
	g_signal_connect(dialog, "response", G_CALLBACK(size_answered), resizing);
	add_content(dialog, form);
}
