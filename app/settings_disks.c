/* The disks' page of the settings. */
#include "settings_disks.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>

#include "../vmm/block/image.h"
#include "disk_work.h"
#include "settings_field.h"

struct disks {
	OrielSettings *settings;
	GtkBox *list;
	GtkWidget *add_new, *add_existing;
	char *listed; /* ports and paths of the rows; NULL: none yet */
	GPtrArray *rows; /* struct row, owned by their widgets */
};

struct row {
	OrielSettings *settings;
	GtkWidget *widget;
	guint port;
	char *path;     /* as machine.conf has it */
	char *absolute;
	guint64 size;   /* as the guest sees it; 0: not known */
	GtkLabel *details;
	GtkWidget *resize, *compact, *working; /* buttons, and what is shown while work goes on */
	GtkProgressBar *bar;
	GCancellable *cancellable; /* of the work, or NULL */
};

static void free_row(gpointer data)
{
	struct row *row = data;

	g_free(row->path);
	g_free(row->absolute);
	g_free(row);
}

static void row_gone(GtkWidget *widget, gpointer data)
{
	struct row *row = data;

	(void)widget;
	if (row->cancellable)
		g_cancellable_cancel(row->cancellable);
}

/* --- What is known of an image --- */

static const char *format_name(const struct row *row)
{
	const struct config_disk *disk = &oriel_settings_get_config(row->settings)->disks[row->port];

	return machine_config_is_qcow2(disk) ? "qcow2" : "raw";
}

static char *describe(struct row *row)
{
	g_autofree char *size = NULL, *taken = NULL;
	struct stat status;

	if (stat(row->absolute, &status) < 0)
		return g_strdup_printf(_("%s is not there: %s"), row->absolute, g_strerror(errno));
	taken = g_format_size_full((guint64)status.st_blocks * 512, G_FORMAT_SIZE_IEC_UNITS);
	if (!row->size)
		return g_strdup_printf(_("Takes %s of this computer; %s"), taken, format_name(row));
	size = g_format_size_full(row->size, G_FORMAT_SIZE_IEC_UNITS);
	return g_strdup_printf(_("%s, of which it takes %s of this computer; %s"), size, taken, format_name(row));
}

/* While the machine runs the image is locked. */
static void look_at(struct row *row)
{
	struct image_info info;

	if (!oriel_machine_is_idle(oriel_settings_get_machine(row->settings)) || !image_info(row->absolute, &info, NULL))
		return;
	row->size = info.size;
	image_info_clear(&info);
}

static void update_row(struct row *row)
{
	gboolean free = oriel_machine_is_idle(oriel_settings_get_machine(row->settings)) && !row->cancellable;
	g_autofree char *text = NULL;

	if (!row->cancellable)
		look_at(row);
	text = describe(row);
	gtk_label_set_text(row->details, text);
	gtk_widget_set_sensitive(row->resize, free && row->size);
	gtk_widget_set_sensitive(row->compact, free && row->size);
	gtk_widget_set_visible(row->working, row->cancellable != NULL);
}

/* --- Work --- */

static void worked(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(GtkWidget) widget = data;
	struct row *row = g_object_get_data(G_OBJECT(widget), "row");
	g_autoptr(GError) error = NULL;
	gboolean done = oriel_disk_work_finish(result, &error);

	(void)source;
	g_clear_object(&row->cancellable);
	if (gtk_widget_get_parent(widget) == NULL)
		return;
	if (!done && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
		oriel_settings_tell(row->settings, GTK_MESSAGE_ERROR, error->message, NULL, NULL, NULL);
	update_row(row);
}

static void progressed(double fraction, gpointer data)
{
	struct row *row = data; /* which the work keeps by its widget */

	if (gtk_widget_get_parent(row->widget))
		gtk_progress_bar_set_fraction(row->bar, fraction);
}

static void begin_work(struct row *row)
{
	row->cancellable = g_cancellable_new();
	gtk_progress_bar_set_fraction(row->bar, 0);
	update_row(row);
}

static void resize(guint64 size, gboolean shrink, gpointer widget)
{
	struct row *row = g_object_get_data(widget, "row");

	if (row->cancellable || !gtk_widget_get_parent(widget))
		return;
	begin_work(row);
	oriel_disk_work_resize(row->absolute, size, shrink, row->cancellable, worked, g_object_ref(widget));
}

static void resize_pressed(struct row *row)
{
	g_autofree char *name = g_path_get_basename(row->path);

	settings_disk_ask_size(row->settings, name, row->size, resize, G_OBJECT(row->widget));
}

static void compact_pressed(struct row *row)
{
	begin_work(row);
	oriel_disk_work_compact(row->absolute, row->cancellable, progressed, row, worked, g_object_ref(row->widget));
}

static void cancel_pressed(struct row *row)
{
	if (row->cancellable)
		g_cancellable_cancel(row->cancellable);
}

static void detach_pressed(struct row *row)
{
	OrielSettings *settings = row->settings;
	gboolean idle = oriel_machine_is_idle(oriel_settings_get_machine(settings));
	g_autofree char *text = g_strdup_printf(idle ? _("The disk was detached. Its file stays: %s") :
						_("The running machine still has the disk; it is detached after the next "
						  "start. Its file stays: %s"), row->absolute);

	if (settings_detach(settings, row->port, CONFIG_DISK, row->path))
		oriel_settings_tell(settings, GTK_MESSAGE_INFO, text, NULL, NULL, NULL);
}

/* --- Rows --- */

static GtkWidget *add_button(GtkWidget *box, const char *label, const char *name, GCallback pressed, gpointer data)
{
	GtkWidget *button = gtk_button_new_with_mnemonic(label);

	atk_object_set_name(gtk_widget_get_accessible(button), name);
	g_signal_connect_swapped(button, "clicked", pressed, data);
	gtk_container_add(GTK_CONTAINER(box), button);
	return button;
}

static GtkWidget *new_buttons(struct row *row, const char *name)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	g_autofree char *resize_name = g_strdup_printf(_("Resize %s"), name);
	g_autofree char *compact_name = g_strdup_printf(_("Compact %s"), name);
	g_autofree char *detach_name = g_strdup_printf(_("Detach %s"), name);
	GtkWidget *detach;

	row->resize = add_button(box, _("Resi_ze…"), resize_name, G_CALLBACK(resize_pressed), row);
	row->compact = add_button(box, _("Co_mpact"), compact_name, G_CALLBACK(compact_pressed), row);
	gtk_widget_set_tooltip_text(row->resize, _("While the machine is switched off"));
	gtk_widget_set_tooltip_text(row->compact, _("Gives this computer back what the disk does not need, while the "
						    "machine is switched off"));
	detach = add_button(box, _("De_tach"), detach_name, G_CALLBACK(detach_pressed), row);
	gtk_widget_set_tooltip_text(detach, _("Takes the disk out of the machine and keeps its file"));
	return box;
}

static GtkWidget *new_working(struct row *row, const char *name)
{
	g_autofree char *text = g_strdup_printf(_("Work on %s"), name);

	row->working = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	row->bar = GTK_PROGRESS_BAR(gtk_progress_bar_new());
	gtk_widget_set_valign(GTK_WIDGET(row->bar), GTK_ALIGN_CENTER);
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(row->bar)), text);
	gtk_box_pack_start(GTK_BOX(row->working), GTK_WIDGET(row->bar), TRUE, TRUE, 0);
	add_button(row->working, _("_Cancel"), _("Cancel the work on the disk"), G_CALLBACK(cancel_pressed), row);
	gtk_widget_show_all(row->working);
	gtk_widget_set_no_show_all(row->working, TRUE);
	return row->working;
}

static void add_options(struct row *row, GtkGrid *form)
{
	static const struct settings_choice caches[] = {
		{ "writeback", N_("This computer’s (writeback)") }, { "none", N_("None (direct)") }, { NULL, NULL },
	};
	static const struct settings_choice buses[] = {
		{ "ahci", N_("SATA (any guest)") }, { "nvme", N_("NVMe (faster; new systems)") }, { NULL, NULL },
	};
	static const struct settings_choice answers[] = {
		{ "pause", N_("Pause until it is mended") }, { "report", N_("Report them to the guest") }, { NULL, NULL },
	};
	g_autofree char *group = g_strdup_printf("disk%u", row->port);

	settings_field_add_choice(row->settings, form, _("Connect_ion"), group, "bus", buses);
	settings_field_add_choice(row->settings, form, _("_Cache"), group, "cache", caches);
	settings_field_add_choice(row->settings, form, _("Erro_rs of this computer"), group, "errors", answers);
	settings_field_add_switch(row->settings, form, _("_Solid state disk"), group, "ssd");
	settings_field_add_switch(row->settings, form, _("Read-_only"), group, "read-only");
}

static struct row *new_row(OrielSettings *settings, guint port)
{
	const struct machine_config *config = oriel_settings_get_config(settings);
	const struct config_disk *disk = &config->disks[port];
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6), *options = gtk_expander_new_with_mnemonic(_("O_ptions"));
	g_autofree char *name = g_path_get_basename(disk->path);
	g_autofree char *title = g_strdup_printf(_("Disk %u: %s"), port, name);
	GtkLabel *label = oriel_text_label_new(title);
	struct row *row = g_new0(struct row, 1);
	GtkGrid *form = oriel_form_new();

	*row = (struct row){ .settings = settings, .widget = box, .port = port, .path = g_strdup(disk->path),
			     .absolute = machine_config_path(config, disk->path) };
	g_object_set_data_full(G_OBJECT(box), "row", row, free_row);
	g_signal_connect(box, "destroy", G_CALLBACK(row_gone), row);
	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(label)), "oriel-name");
	gtk_widget_set_tooltip_text(GTK_WIDGET(label), row->absolute);
	row->details = oriel_text_label_new(NULL);
	g_object_set(form, "margin", 6, NULL);
	add_options(row, form);
	gtk_container_add(GTK_CONTAINER(options), GTK_WIDGET(form));
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(label));
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(row->details));
	gtk_container_add(GTK_CONTAINER(box), new_buttons(row, name));
	gtk_container_add(GTK_CONTAINER(box), new_working(row, name));
	gtk_container_add(GTK_CONTAINER(box), options);
	gtk_widget_show_all(box);
	return row;
}

/* --- The page --- */

static void rebuild(struct disks *disks, const struct machine_config *config)
{
	g_ptr_array_set_size(disks->rows, 0);
	oriel_remove_children(GTK_CONTAINER(disks->list));
	for (guint port = 0; port < CONFIG_DISKS; port++) {
		struct row *row;

		if (!config->has_disk[port] || config->disks[port].kind != CONFIG_DISK)
			continue;
		row = new_row(disks->settings, port);
		gtk_container_add(GTK_CONTAINER(disks->list), row->widget);
		g_ptr_array_add(disks->rows, row);
	}
}

static void update_disks(OrielSettings *settings, gpointer data)
{
	const struct machine_config *config = oriel_settings_get_config(settings);
	g_autofree char *list = settings_list_drives(config, CONFIG_DISK, TRUE);
	gboolean room = settings_free_port(config) >= 0;
	struct disks *disks = data;

	if (g_strcmp0(list, disks->listed)) {
		g_free(disks->listed);
		disks->listed = g_steal_pointer(&list);
		rebuild(disks, config);
	}
	for (guint i = 0; i < disks->rows->len; i++)
		update_row(disks->rows->pdata[i]);
	gtk_widget_set_sensitive(disks->add_new, room);
	gtk_widget_set_sensitive(disks->add_existing, room);
}

static void free_disks(gpointer data)
{
	struct disks *disks = data;

	g_ptr_array_unref(disks->rows);
	g_free(disks->listed);
	g_free(disks);
}

void oriel_settings_add_disks(OrielSettings *settings)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18), *buttons = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	struct disks *disks = g_new0(struct disks, 1);

	disks->settings = settings;
	disks->rows = g_ptr_array_new();
	g_object_set_data_full(G_OBJECT(page), "disks", disks, free_disks);
	disks->list = GTK_BOX(gtk_box_new(GTK_ORIENTATION_VERTICAL, 18));
	disks->add_new = add_button(buttons, _("_New Disk…"), _("New Disk…"), G_CALLBACK(settings_disk_ask_new), settings);
	disks->add_existing = add_button(buttons, _("_Attach a Disk…"), _("Attach a Disk…"),
					 G_CALLBACK(settings_disk_ask_existing), settings);
	gtk_container_add(GTK_CONTAINER(page), GTK_WIDGET(disks->list));
	gtk_container_add(GTK_CONTAINER(page), buttons);
	oriel_settings_add_page(settings, _("Disks"), page, update_disks, disks);
}
