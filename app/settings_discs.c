/* The CD drives' page of the settings. */
#include "settings_disks.h"

#include <glib/gi18n.h>
#include <string.h>

#include "file_choice.h"

#define RECENT_MOST 8
#define DISC_TYPE "application/x-cd-image"

struct discs {
	OrielSettings *settings;
	GtkBox *list;
	GtkWidget *add;
	char *listed;    /* the drives that there are rows for; NULL: none yet */
	GPtrArray *rows; /* struct row, owned by their widgets */
	gboolean live;   /* the running machine has been asked */
	int asking;      /* the drive that a file is being chosen for */
};

struct row {
	struct discs *discs;
	guint port;
	char *live_path; /* in the running machine's drive; NULL: not known */
	GtkLabel *disc;
	GtkWidget *eject, *detach, *insert, *recent;
};

static void free_row(gpointer data)
{
	struct row *row = data;

	g_free(row->live_path);
	g_free(row);
}

static OrielMachine *machine_of(struct row *row)
{
	return oriel_settings_get_machine(row->discs->settings);
}

/* --- What is in a drive --- */

struct disc {
	guint port;
	const char *path; /* absolute; NULL: none */
};

static gboolean set_disc(struct machine_config *config, gpointer data, GError **error)
{
	const struct disc *disc = data;
	g_autofree char *group = g_strdup_printf("cd%u", disc->port);

	return machine_config_set(config, group, "path", disc->path ? disc->path : "", error);
}

static void write_disc(OrielSettings *settings, guint port, const char *path)
{
	struct disc disc = { port, path };
	g_autofree char *uri = path ? g_filename_to_uri(path, NULL, NULL) : NULL;
	const GtkRecentData data = { .mime_type = (char *)DISC_TYPE, .app_name = (char *)"Oriel",
				     .app_exec = (char *)"oriel %u" };

	oriel_settings_edit(settings, set_disc, &disc);
	if (uri)
		gtk_recent_manager_add_full(gtk_recent_manager_get_default(), uri, &data);
}

/* What a running machine is asked to do with a drive. */
struct request {
	OrielSettings *settings;
	guint port;
	char *path; /* NULL: eject */
};

static void free_request(struct request *request)
{
	g_object_unref(request->settings);
	g_free(request->path);
	g_free(request);
}

static void call_drive(OrielSettings *settings, guint port, const char *path, gboolean force);

static void force_out(OrielSettings *settings, gpointer port)
{
	call_drive(settings, GPOINTER_TO_UINT(port), NULL, TRUE);
}

static void drive_answered(GObject *source, GAsyncResult *result, gpointer data)
{
	struct request *request = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = oriel_machine_call_finish(ORIEL_MACHINE(source), result, &error);

	if (reply)
		write_disc(request->settings, request->port, request->path);
	else if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BUSY))
		oriel_settings_tell(request->settings, GTK_MESSAGE_WARNING, error->message, _("Eject _Anyway"), force_out,
				    GUINT_TO_POINTER(request->port));
	else
		oriel_settings_tell(request->settings, GTK_MESSAGE_ERROR, error->message, NULL, NULL, NULL);
	free_request(request);
}

static void call_drive(OrielSettings *settings, guint port, const char *path, gboolean force)
{
	OrielMachine *machine = oriel_settings_get_machine(settings);
	struct request *request = g_new(struct request, 1);

	*request = (struct request){ g_object_ref(settings), port, g_strdup(path) };
	if (path)
		oriel_machine_call_async(machine, "InsertDisc", g_variant_new("(is)", (int)port, path), drive_answered,
					 request);
	else
		oriel_machine_call_async(machine, "EjectDisc", g_variant_new("(ib)", (int)port, force), drive_answered,
					 request);
}

/* path NULL: eject */
static void change_disc(OrielSettings *settings, guint port, const char *path)
{
	if (oriel_machine_is_live(oriel_settings_get_machine(settings)))
		call_drive(settings, port, path, FALSE);
	else
		write_disc(settings, port, path);
}

static void eject_pressed(struct row *row)
{
	change_disc(row->discs->settings, row->port, NULL);
}

static void file_chosen(GtkWindow *window, const char *path)
{
	struct discs *discs = g_object_get_data(G_OBJECT(window), "discs");

	change_disc(discs->settings, (guint)discs->asking, path);
}

static void choose_pressed(struct row *row)
{
	static const char *const patterns[] = { "*.[iI][sS][oO]", NULL };

	row->discs->asking = (int)row->port;
	oriel_choose_file(GTK_WINDOW(row->discs->settings), _("Choose a Disc"), _("Disc images (*.iso)"), patterns,
			  file_chosen);
}

static void detach_pressed(struct row *row)
{
	const struct machine_config *config = oriel_settings_get_config(row->discs->settings);
	g_autofree char *path = config ? g_strdup(config->disks[row->port].path) : NULL;

	settings_detach(row->discs->settings, row->port, CONFIG_CD, path);
}

/* --- Recent discs --- */

static gboolean is_disc(GtkRecentInfo *info)
{
	g_autofree char *path = g_filename_from_uri(gtk_recent_info_get_uri(info), NULL, NULL);
	g_autofree char *folded = path ? g_ascii_strdown(path, -1) : NULL;

	return path && (g_str_has_suffix(folded, ".iso") ||
			g_strcmp0(gtk_recent_info_get_mime_type(info), DISC_TYPE) == 0) &&
	       g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

static int compare_recent(gconstpointer a, gconstpointer b)
{
	time_t first = gtk_recent_info_get_modified((GtkRecentInfo *)a);
	time_t second = gtk_recent_info_get_modified((GtkRecentInfo *)b);

	return first < second ? 1 : first > second ? -1 : 0;
}

static void recent_chosen(GtkMenuItem *item, gpointer data)
{
	struct row *row = data;

	change_disc(row->discs->settings, row->port, g_object_get_data(G_OBJECT(item), "path"));
}

static void add_recent(struct row *row, GtkMenuShell *menu, GtkRecentInfo *info)
{
	char *path = g_filename_from_uri(gtk_recent_info_get_uri(info), NULL, NULL);
	GtkWidget *item = gtk_menu_item_new_with_label(gtk_recent_info_get_display_name(info));

	gtk_widget_set_tooltip_text(item, path);
	g_object_set_data_full(G_OBJECT(item), "path", path, g_free);
	g_signal_connect(item, "activate", G_CALLBACK(recent_chosen), row);
	gtk_menu_shell_append(menu, item);
}

static void fill_recent(GtkMenuShell *menu, gpointer data)
{
	GList *items = g_list_sort(gtk_recent_manager_get_items(gtk_recent_manager_get_default()), compare_recent);
	struct row *row = data;
	guint count = 0;

	oriel_remove_children(GTK_CONTAINER(menu));
	for (GList *item = items; item && count < RECENT_MOST; item = item->next)
		if (is_disc(item->data)) {
			add_recent(row, menu, item->data);
			count++;
		}
	if (!count) {
		GtkWidget *item = gtk_menu_item_new_with_label(_("No disc yet"));

		gtk_widget_set_sensitive(item, FALSE);
		gtk_menu_shell_append(menu, item);
	}
	gtk_widget_show_all(GTK_WIDGET(menu));
	g_list_free_full(items, (GDestroyNotify)gtk_recent_info_unref);
}

static GtkWidget *new_recent(struct row *row)
{
	GtkWidget *button = gtk_menu_button_new(), *menu = gtk_menu_new();

	gtk_container_add(GTK_CONTAINER(button), gtk_label_new_with_mnemonic(_("_Recent")));
	atk_object_set_name(gtk_widget_get_accessible(button), _("Recent discs"));
	fill_recent(GTK_MENU_SHELL(menu), row);
	g_signal_connect(menu, "show", G_CALLBACK(fill_recent), row);
	gtk_menu_button_set_popup(GTK_MENU_BUTTON(button), menu);
	return button;
}

/* --- Rows --- */

static void update_row(struct row *row, const struct machine_config *config)
{
	gboolean idle = oriel_machine_is_idle(machine_of(row));
	const char *path = !idle && row->live_path ? row->live_path : config->disks[row->port].path;
	gboolean there = idle || !row->discs->live || row->live_path;
	g_autofree char *text = NULL;

	if (!there)
		text = g_strdup(_("The drive is there after the next start"));
	else
		text = path && *path ? g_filename_display_name(path) : g_strdup(_("Empty"));
	gtk_label_set_text(row->disc, text);
	gtk_widget_set_sensitive(row->eject, there && path && *path);
	gtk_widget_set_sensitive(row->insert, there);
	gtk_widget_set_sensitive(row->recent, there);
}

static GtkWidget *add_button(GtkWidget *box, const char *label, const char *format, guint number, GCallback pressed,
			     gpointer data)
{
	GtkWidget *button = gtk_button_new_with_mnemonic(label);
	g_autofree char *name = g_strdup_printf("%s %u", format, number);

	atk_object_set_name(gtk_widget_get_accessible(button), name);
	g_signal_connect_swapped(button, "clicked", pressed, data);
	gtk_container_add(GTK_CONTAINER(box), button);
	return button;
}

static struct row *new_row(struct discs *discs, guint port)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6), *buttons = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	g_autofree char *title = g_strdup_printf(_("CD drive %u"), port);
	GtkLabel *label = oriel_text_label_new(title);
	struct row *row = g_new0(struct row, 1);

	row->discs = discs;
	row->port = port;
	g_object_set_data_full(G_OBJECT(box), "row", row, free_row);
	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(label)), "oriel-name");
	row->disc = oriel_text_label_new(NULL);
	gtk_label_set_line_wrap_mode(row->disc, PANGO_WRAP_WORD_CHAR);
	row->insert = add_button(buttons, _("_Insert…"), _("Insert a disc into drive"), port, G_CALLBACK(choose_pressed),
				 row);
	row->recent = new_recent(row);
	gtk_container_add(GTK_CONTAINER(buttons), row->recent);
	row->eject = add_button(buttons, _("_Eject"), _("Eject drive"), port, G_CALLBACK(eject_pressed), row);
	row->detach = add_button(buttons, _("De_tach"), _("Detach drive"), port, G_CALLBACK(detach_pressed), row);
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(label));
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(row->disc));
	gtk_container_add(GTK_CONTAINER(box), buttons);
	gtk_widget_show_all(box);
	gtk_container_add(GTK_CONTAINER(discs->list), box);
	return row;
}

static void rebuild(struct discs *discs, const struct machine_config *config)
{
	g_ptr_array_set_size(discs->rows, 0);
	oriel_remove_children(GTK_CONTAINER(discs->list));
	for (guint port = 0; port < CONFIG_DISKS; port++)
		if (config->has_disk[port] && config->disks[port].kind == CONFIG_CD)
			g_ptr_array_add(discs->rows, new_row(discs, port));
	discs->live = FALSE;
}

/* --- What the running machine has --- */

static struct row *find_row(struct discs *discs, int port)
{
	for (guint i = 0; i < discs->rows->len; i++)
		if ((int)((struct row *)discs->rows->pdata[i])->port == port)
			return discs->rows->pdata[i];
	return NULL;
}

static void set_live(struct discs *discs, int port, const char *path)
{
	struct row *row = find_row(discs, port);

	if (!row)
		return;
	g_free(row->live_path);
	row->live_path = g_strdup(path);
}

static void properties_told(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielSettings) settings = data;
	g_autoptr(GVariant) reply = oriel_machine_call_finish(ORIEL_MACHINE(source), result, NULL);
	g_autoptr(GVariant) all = NULL, drives = NULL;
	struct discs *discs = g_object_get_data(G_OBJECT(settings), "discs");
	GVariantIter iterator;
	const char *path;
	int port;

	if (!reply || oriel_settings_is_closed(settings) || !g_variant_is_of_type(reply, G_VARIANT_TYPE("(a{sv})")))
		return;
	all = g_variant_get_child_value(reply, 0);
	drives = g_variant_lookup_value(all, "Discs", G_VARIANT_TYPE("a{is}"));
	if (!drives)
		return;
	discs->live = TRUE;
	g_variant_iter_init(&iterator, drives);
	while (g_variant_iter_next(&iterator, "{i&s}", &port, &path))
		set_live(discs, port, path);
	oriel_settings_queue_update(settings);
}

static void disc_changed(OrielMachine *machine, int port, const char *path, gpointer settings)
{
	(void)machine;
	set_live(g_object_get_data(settings, "discs"), port, path);
	oriel_settings_queue_update(settings);
}

static void follow_machine(struct discs *discs, gboolean new_rows)
{
	OrielMachine *machine = oriel_settings_get_machine(discs->settings);

	if (!oriel_machine_is_live(machine)) {
		for (guint i = 0; i < discs->rows->len; i++)
			g_clear_pointer(&((struct row *)discs->rows->pdata[i])->live_path, g_free);
		discs->live = FALSE;
	} else if (!discs->live || new_rows) {
		oriel_machine_get_properties_async(machine, properties_told, g_object_ref(discs->settings));
	}
}

static void update_discs(OrielSettings *settings, gpointer data)
{
	const struct machine_config *config = oriel_settings_get_config(settings);
	g_autofree char *list = settings_list_drives(config, CONFIG_CD, FALSE);
	struct discs *discs = data;
	gboolean changed = g_strcmp0(list, discs->listed) != 0;

	if (changed) {
		g_free(discs->listed);
		discs->listed = g_steal_pointer(&list);
		rebuild(discs, config);
	}
	follow_machine(discs, changed);
	for (guint i = 0; i < discs->rows->len; i++)
		update_row(discs->rows->pdata[i], config);
	gtk_widget_set_sensitive(discs->add, settings_free_port(config) >= 0);
}

static void add_pressed(OrielSettings *settings)
{
	settings_attach(settings, CONFIG_CD, NULL, CONFIG_FORMAT_AUTO);
}

static void free_discs(gpointer data)
{
	struct discs *discs = data;

	g_ptr_array_unref(discs->rows);
	g_free(discs->listed);
	g_free(discs);
}

void oriel_settings_add_discs(OrielSettings *settings)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18);
	struct discs *discs = g_new0(struct discs, 1);

	discs->settings = settings;
	discs->rows = g_ptr_array_new();
	g_object_set_data_full(G_OBJECT(settings), "discs", discs, free_discs);
	discs->list = GTK_BOX(gtk_box_new(GTK_ORIENTATION_VERTICAL, 18));
	discs->add = gtk_button_new_with_mnemonic(_("_Add a CD Drive"));
	gtk_widget_set_halign(discs->add, GTK_ALIGN_START);
	g_signal_connect_swapped(discs->add, "clicked", G_CALLBACK(add_pressed), settings);
	g_signal_connect_object(oriel_settings_get_machine(settings), "disc-changed", G_CALLBACK(disc_changed), settings,
				0);
	gtk_container_add(GTK_CONTAINER(page), GTK_WIDGET(discs->list));
	gtk_container_add(GTK_CONTAINER(page), discs->add);
	oriel_settings_add_page(settings, _("CD Drives"), page, update_discs, discs);
}
