/* The USB page of the settings: controller, tablet and keyboard, images as sticks, and devices of this computer. */
#include <glib/gi18n.h>
#include <string.h>

#include "../vmm/usb/host_list.h"
#include "file_choice.h"
#include "settings_field.h"

struct usb {
	OrielSettings *settings;
	GtkWidget *tablet, *keyboard, *rest; /* the last: what needs a controller */
	GtkListBox *sticks, *devices;
	GtkWidget *add;
	GtkLabel *none;         /* says that there are no devices */
	GStrv live_sticks;      /* images that the running machine has; NULL: not known, or it does not run */
	GPtrArray *entries;     /* struct usb_host_entry; NULL: not known yet */
	gboolean asked, live;   /* for entries, and it was the running machine that was asked */
	char *listed_sticks, *listed_devices; /* what the lists show; NULL: to be made anew */
	gboolean showing;
};

static void free_usb(gpointer data)
{
	struct usb *usb = data;

	g_strfreev(usb->live_sticks);
	g_clear_pointer(&usb->entries, g_ptr_array_unref);
	g_free(usb->listed_sticks);
	g_free(usb->listed_devices);
	g_free(usb);
}

static OrielMachine *machine_of(struct usb *usb)
{
	return oriel_settings_get_machine(usb->settings);
}

/* --- What there is now --- */

static void take_entries(struct usb *usb, GPtrArray *entries)
{
	g_clear_pointer(&usb->entries, g_ptr_array_unref);
	usb->entries = entries;
	g_clear_pointer(&usb->listed_devices, g_free);
	oriel_settings_queue_update(usb->settings);
}

static void list_here(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	(void)source;
	(void)data;
	(void)cancellable;
	g_task_return_pointer(task, usb_host_list(), (GDestroyNotify)g_ptr_array_unref);
}

static void listed_here(GObject *source, GAsyncResult *result, gpointer data)
{
	struct usb *usb = data;
	GPtrArray *entries = g_task_propagate_pointer(G_TASK(result), NULL);

	if (oriel_settings_is_closed(ORIEL_SETTINGS(source)))
		g_ptr_array_unref(entries);
	else
		take_entries(usb, entries);
}

static void listed_there(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielSettings) settings = data;
	g_autoptr(GVariant) reply = oriel_machine_call_finish(ORIEL_MACHINE(source), result, NULL);
	g_autoptr(GVariantIter) iterator = NULL;
	struct usb_host_entry entry;
	gboolean plugged;
	GPtrArray *entries;

	if (!reply || oriel_settings_is_closed(settings) || !g_variant_is_of_type(reply, G_VARIANT_TYPE("(a(yyqqsb))")))
		return;
	entries = g_ptr_array_new_with_free_func((GDestroyNotify)usb_host_entry_free);
	g_variant_get(reply, "(a(yyqqsb))", &iterator);
	while (g_variant_iter_next(iterator, "(yyqqsb)", &entry.bus, &entry.address, &entry.vendor, &entry.product,
				   &entry.name, &plugged)) {
		entry.plugged = plugged;
		g_ptr_array_add(entries, g_memdup2(&entry, sizeof entry));
	}
	take_entries(g_object_get_data(G_OBJECT(settings), "usb"), entries);
}

static void properties_told(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielSettings) settings = data;
	g_autoptr(GVariant) reply = oriel_machine_call_finish(ORIEL_MACHINE(source), result, NULL);
	g_autoptr(GVariant) all = NULL, sticks = NULL;
	struct usb *usb = g_object_get_data(G_OBJECT(settings), "usb");

	if (!reply || oriel_settings_is_closed(settings) || !g_variant_is_of_type(reply, G_VARIANT_TYPE("(a{sv})")))
		return;
	all = g_variant_get_child_value(reply, 0);
	sticks = g_variant_lookup_value(all, "Sticks", G_VARIANT_TYPE_STRING_ARRAY);
	if (!sticks)
		return;
	g_strfreev(usb->live_sticks);
	usb->live_sticks = g_variant_dup_strv(sticks, NULL);
	g_clear_pointer(&usb->listed_sticks, g_free);
	oriel_settings_queue_update(settings);
}

/* The kernel may keep whoever asks waiting, and a machine may be busy. */
static void look(struct usb *usb)
{
	OrielMachine *machine = machine_of(usb);

	usb->asked = TRUE;
	usb->live = oriel_machine_is_live(machine);
	if (usb->live) {
		oriel_machine_call_async(machine, "HostDevices", NULL, listed_there, g_object_ref(usb->settings));
		oriel_machine_get_properties_async(machine, properties_told, g_object_ref(usb->settings));
	} else {
		g_autoptr(GTask) task = g_task_new(usb->settings, NULL, listed_here, usb);

		g_clear_pointer(&usb->live_sticks, g_strfreev);
		g_clear_pointer(&usb->listed_sticks, g_free);
		g_task_run_in_thread(task, list_here);
	}
}

/* --- Sticks --- */

static gboolean add_stick(struct machine_config *config, gpointer path, GError **error)
{
	guint free = 0;

	if (machine_config_find_stick(config, path) >= 0) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, _("%s is in the machine already."), (char *)path);
		return FALSE;
	}
	while (free < CONFIG_STICKS && config->has_stick[free])
		free++;
	if (free == CONFIG_STICKS) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, _("The machine has %d sticks, and cannot have more."),
			    CONFIG_STICKS);
		return FALSE;
	}
	config->has_stick[free] = true;
	config->sticks[free] = (struct config_disk){ .kind = CONFIG_STICK, .path = g_strdup(path) };
	return TRUE;
}

static gboolean remove_stick(struct machine_config *config, gpointer path, GError **error)
{
	int number;

	(void)error;
	while ((number = machine_config_find_stick(config, path)) >= 0)
		config->has_stick[number] = false;
	return TRUE;
}

/* What a running machine is asked about a stick. */
struct request {
	OrielSettings *settings;
	char *path;
	gboolean add;
};

static void ask_stick(OrielSettings *settings, const char *path, gboolean add, gboolean force);

static void force_out(OrielSettings *settings, gpointer path)
{
	ask_stick(settings, path, FALSE, TRUE);
}

static void tell_busy(struct request *request, const char *message)
{
	/* The bar may stay for as long as the dialog does. */
	g_object_set_data_full(G_OBJECT(request->settings), "busy-stick", g_strdup(request->path), g_free);
	oriel_settings_tell(request->settings, GTK_MESSAGE_WARNING, message, _("Pull Out _Anyway"), force_out,
			    g_object_get_data(G_OBJECT(request->settings), "busy-stick"));
}

static void stick_answered(GObject *source, GAsyncResult *result, gpointer data)
{
	struct request *request = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = oriel_machine_call_finish(ORIEL_MACHINE(source), result, &error);

	/* One that is not there need not be pulled out. */
	if (reply || (!request->add && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND)))
		oriel_settings_edit(request->settings, request->add ? add_stick : remove_stick, request->path);
	else if (!request->add && g_error_matches(error, G_IO_ERROR, G_IO_ERROR_BUSY))
		tell_busy(request, error->message);
	else
		oriel_settings_tell(request->settings, GTK_MESSAGE_ERROR, error->message, NULL, NULL, NULL);
	if (!oriel_settings_is_closed(request->settings))
		look(g_object_get_data(G_OBJECT(request->settings), "usb"));
	g_object_unref(request->settings);
	g_free(request->path);
	g_free(request);
}

static void ask_stick(OrielSettings *settings, const char *path, gboolean add, gboolean force)
{
	struct request *request = g_new(struct request, 1);

	*request = (struct request){ g_object_ref(settings), g_strdup(path), add };
	oriel_machine_call_async(oriel_settings_get_machine(settings), add ? "PlugStick" : "UnplugStick",
				 g_variant_new("(sb)", path, force), stick_answered, request);
}

/* Whether the running machine's USB has a say; without a controller there is nothing to plug anything into. */
static gboolean asks_machine(OrielSettings *settings)
{
	return oriel_machine_is_live(oriel_settings_get_machine(settings));
}

static void stick_chosen(GtkWindow *window, const char *path)
{
	OrielSettings *settings = ORIEL_SETTINGS(window);

	if (asks_machine(settings))
		ask_stick(settings, path, TRUE, FALSE);
	else
		oriel_settings_edit(settings, add_stick, (gpointer)path);
}

static void add_pressed(struct usb *usb)
{
	static const char *const patterns[] = { "*.img", "*.raw", "*.qcow2", "*.[iI][sS][oO]", NULL };

	oriel_choose_file(GTK_WINDOW(usb->settings), _("Choose an Image for a Stick"), _("Images (raw, qcow2, ISO)"), patterns,
			  stick_chosen);
}

static void remove_pressed(GtkButton *button, gpointer data)
{
	struct usb *usb = data;
	g_autofree char *path = g_strdup(g_object_get_data(G_OBJECT(button), "path"));

	if (asks_machine(usb->settings))
		ask_stick(usb->settings, path, FALSE, FALSE);
	else
		oriel_settings_edit(usb->settings, remove_stick, path);
}

static GtkWidget *new_row(GtkListBox *list, const char *text)
{
	GtkWidget *row = gtk_list_box_row_new(), *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);

	g_object_set(box, "margin", 3, NULL);
	gtk_list_box_row_set_activatable(GTK_LIST_BOX_ROW(row), FALSE);
	gtk_container_add(GTK_CONTAINER(row), box);
	atk_object_set_name(gtk_widget_get_accessible(row), text);
	gtk_list_box_insert(list, row, -1);
	return box;
}

static GtkWidget *new_label(const char *text)
{
	GtkWidget *label = gtk_label_new(text);

	gtk_label_set_xalign(GTK_LABEL(label), 0);
	gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_MIDDLE);
	gtk_widget_set_tooltip_text(label, text);
	return label;
}

static void add_stick_row(struct usb *usb, const char *path)
{
	g_autofree char *text = g_filename_display_name(path);
	gboolean plugged = usb->live_sticks && g_strv_contains((const char *const *)usb->live_sticks, path);
	GtkWidget *box = new_row(usb->sticks, text);
	GtkWidget *button = oriel_remove_button_new(text);

	gtk_box_pack_start(GTK_BOX(box), new_label(text), TRUE, TRUE, 6);
	if (usb->live_sticks)
		gtk_box_pack_start(GTK_BOX(box), gtk_label_new(plugged ? _("Plugged in") : _("Pulled out")), FALSE, FALSE, 0);
	gtk_box_pack_end(GTK_BOX(box), button, FALSE, FALSE, 0);
	g_object_set_data_full(G_OBJECT(button), "path", g_strdup(path), g_free);
	g_signal_connect(button, "clicked", G_CALLBACK(remove_pressed), usb);
}

/* Not the list itself, which is hidden while it has none. */
static void show_rows(GtkListBox *list)
{
	gtk_container_foreach(GTK_CONTAINER(list), (GtkCallback)(void (*)(void))gtk_widget_show_all, NULL);
}

static void show_sticks(struct usb *usb, const struct machine_config *config)
{
	g_autoptr(GString) listed = g_string_new(NULL);
	guint count = 0;

	for (guint i = 0; i < CONFIG_STICKS; i++) {
		if (!config->has_stick[i])
			continue;
		count++;
		g_string_append_printf(listed, "%s\n", config->sticks[i].path);
	}
	gtk_widget_set_sensitive(usb->add, count < CONFIG_STICKS);
	if (g_strcmp0(listed->str, usb->listed_sticks) == 0)
		return;
	g_free(usb->listed_sticks);
	usb->listed_sticks = g_strdup(listed->str);
	oriel_remove_children(GTK_CONTAINER(usb->sticks));
	for (guint i = 0; i < CONFIG_STICKS; i++) {
		g_autofree char *path = machine_config_stick_path(config, i);

		if (path)
			add_stick_row(usb, path);
	}
	show_rows(usb->sticks);
	gtk_widget_set_visible(GTK_WIDGET(usb->sticks), count);
}

/* --- Devices of this computer --- */

struct choice {
	struct usb_id id;
	gboolean chosen;
};

static gboolean choose_device(struct machine_config *config, gpointer data, GError **error)
{
	const struct choice *choice = data;
	g_autoptr(GArray) ids = usb_ids_parse(config->usb_devices, error);
	g_autofree char *text = NULL;
	int index;

	if (!ids)
		return FALSE;
	index = usb_ids_find(ids, choice->id.vendor, choice->id.product);
	if (index >= 0 && !choice->chosen)
		g_array_remove_index(ids, (guint)index);
	else if (index < 0 && choice->chosen)
		g_array_append_val(ids, choice->id);
	text = usb_ids_format(ids);
	return machine_config_set(config, "usb", "devices", text, error);
}

static struct usb_id id_of(gpointer widget)
{
	guint both = GPOINTER_TO_UINT(g_object_get_data(widget, "id"));

	return (struct usb_id){ (uint16_t)(both >> 16), (uint16_t)both };
}

static void chosen_toggled(GtkToggleButton *button, gpointer data)
{
	struct usb *usb = data;
	struct choice choice = { id_of(button), gtk_toggle_button_get_active(button) };

	if (usb->showing)
		return;
	oriel_settings_edit(usb->settings, choose_device, &choice);
	/* It shows what holds, also where that is not what was wanted. */
	oriel_settings_queue_update(usb->settings);
}

static void device_answered(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielSettings) settings = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = oriel_machine_call_finish(ORIEL_MACHINE(source), result, &error);

	if (!reply)
		oriel_settings_tell(settings, GTK_MESSAGE_ERROR, error->message, NULL, NULL, NULL);
	if (!oriel_settings_is_closed(settings))
		look(g_object_get_data(G_OBJECT(settings), "usb"));
}

static void plug_pressed(GtkButton *button, gpointer data)
{
	struct usb *usb = data;
	guint place = GPOINTER_TO_UINT(g_object_get_data(G_OBJECT(button), "place"));
	const char *method = g_object_get_data(G_OBJECT(button), "method");

	/* Until the answer, after which the list is made anew. */
	gtk_widget_set_sensitive(GTK_WIDGET(button), FALSE);
	oriel_machine_call_async(machine_of(usb), method, g_variant_new("(yy)", (guint8)(place >> 8), (guint8)place),
				 device_answered, g_object_ref(usb->settings));
}

static void add_plug_button(struct usb *usb, GtkWidget *box, const struct usb_host_entry *entry)
{
	GtkWidget *button = gtk_button_new_with_label(entry->plugged ? _("Pull Out") : _("Plug In"));
	g_autofree char *name = g_strdup_printf("%s: %s", entry->plugged ? _("Pull Out") : _("Plug In"), entry->name);

	atk_object_set_name(gtk_widget_get_accessible(button), name);
	g_object_set_data(G_OBJECT(button), "method", (char *)(entry->plugged ? "UnplugHostDevice" : "PlugHostDevice"));
	g_object_set_data(G_OBJECT(button), "place", GUINT_TO_POINTER((guint)entry->bus << 8 | entry->address));
	g_signal_connect(button, "clicked", G_CALLBACK(plug_pressed), usb);
	gtk_box_pack_end(GTK_BOX(box), button, FALSE, FALSE, 0);
}

static GtkWidget *add_device_row(struct usb *usb, const char *text, struct usb_id id)
{
	GtkWidget *box = new_row(usb->devices, text), *check = gtk_check_button_new_with_label(_("From the start"));
	g_autofree char *name = g_strdup_printf(_("From the start: %s"), text);

	gtk_box_pack_start(GTK_BOX(box), new_label(text), TRUE, TRUE, 6);
	gtk_box_pack_start(GTK_BOX(box), check, FALSE, FALSE, 0);
	atk_object_set_name(gtk_widget_get_accessible(check), name);
	g_object_set_data(G_OBJECT(check), "id", GUINT_TO_POINTER((guint)id.vendor << 16 | id.product));
	g_object_set_data(G_OBJECT(gtk_widget_get_parent(box)), "check", check);
	g_signal_connect(check, "toggled", G_CALLBACK(chosen_toggled), usb);
	return box;
}

static gboolean is_here(struct usb *usb, const struct usb_id *id)
{
	for (guint i = 0; i < usb->entries->len; i++) {
		const struct usb_host_entry *entry = usb->entries->pdata[i];

		if (entry->vendor == id->vendor && entry->product == id->product)
			return TRUE;
	}
	return FALSE;
}

static void list_devices(struct usb *usb, const GArray *ids)
{
	oriel_remove_children(GTK_CONTAINER(usb->devices));
	for (guint i = 0; i < usb->entries->len; i++) {
		const struct usb_host_entry *entry = usb->entries->pdata[i];
		struct usb_id id = { entry->vendor, entry->product };
		g_autofree char *text = g_strdup_printf("%s (%04x:%04x)", entry->name, id.vendor, id.product);
		GtkWidget *box = add_device_row(usb, text, id);

		if (usb->live)
			add_plug_button(usb, box, entry);
	}
	for (guint i = 0; i < ids->len; i++) {
		const struct usb_id *id = &g_array_index(ids, struct usb_id, i);
		g_autofree char *text = g_strdup_printf(_("%04x:%04x, which is not plugged into this computer"), id->vendor,
							id->product);

		if (!is_here(usb, id))
			add_device_row(usb, text, *id);
	}
	show_rows(usb->devices);
}

static void show_chosen(GtkWidget *row, gpointer ids)
{
	GtkToggleButton *check = g_object_get_data(G_OBJECT(row), "check");
	struct usb_id id = id_of(check);

	gtk_toggle_button_set_active(check, usb_ids_find(ids, id.vendor, id.product) >= 0);
}

/* Anew only where rows come and go: whoever is at one stays there. */
static void show_devices(struct usb *usb, const struct machine_config *config)
{
	g_autoptr(GArray) ids = usb_ids_parse(config->usb_devices, NULL);
	g_autoptr(GString) listed = g_string_new(NULL);

	if (!usb->entries || !ids)
		return;
	for (guint i = 0; i < ids->len; i++)
		if (!is_here(usb, &g_array_index(ids, struct usb_id, i)))
			g_string_append_printf(listed, "%x ", *(guint32 *)&g_array_index(ids, struct usb_id, i));
	usb->showing = TRUE;
	if (g_strcmp0(listed->str, usb->listed_devices)) {
		g_free(usb->listed_devices);
		usb->listed_devices = g_strdup(listed->str);
		list_devices(usb, ids);
	}
	gtk_container_foreach(GTK_CONTAINER(usb->devices), show_chosen, ids);
	usb->showing = FALSE;
	gtk_widget_set_visible(GTK_WIDGET(usb->devices), usb->entries->len || *usb->listed_devices);
	oriel_note_tell(usb->none, usb->entries->len ? NULL : g_strdup(_("This computer has no USB devices.")));
}

/* --- The page --- */

static void update_usb(OrielSettings *settings, gpointer data)
{
	const struct machine_config *config = oriel_settings_get_config(settings);
	gboolean controller = config->usb != CONFIG_USB_NONE;
	struct usb *usb = data;

	gtk_widget_set_sensitive(usb->tablet, controller);
	gtk_widget_set_sensitive(usb->keyboard, controller);
	gtk_widget_set_visible(usb->rest, controller);
	if (!usb->asked || usb->live != oriel_machine_is_live(machine_of(usb)))
		look(usb);
	show_sticks(usb, config);
	show_devices(usb, config);
}

static GtkListBox *new_list(GtkWidget *box, const char *title)
{
	GtkLabel *label = oriel_text_label_new(title);
	GtkListBox *list = GTK_LIST_BOX(gtk_list_box_new());

	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(label)), "oriel-name");
	gtk_list_box_set_selection_mode(list, GTK_SELECTION_NONE);
	gtk_widget_set_no_show_all(GTK_WIDGET(list), TRUE);
	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(list)), "oriel-list");
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(list)), title);
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(label));
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(list));
	return list;
}

static GtkWidget *add_button(GtkWidget *box, const char *label, void (*pressed)(struct usb *usb), struct usb *usb)
{
	GtkWidget *button = gtk_button_new_with_mnemonic(label);

	gtk_widget_set_halign(button, GTK_ALIGN_START);
	g_signal_connect_swapped(button, "clicked", G_CALLBACK(pressed), usb);
	gtk_container_add(GTK_CONTAINER(box), button);
	return button;
}

static GtkWidget *new_rest(struct usb *usb)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 9);

	usb->sticks = new_list(box, _("Images that the guest has as USB sticks"));
	usb->add = add_button(box, _("_Add a Stick…"), add_pressed, usb);
	gtk_widget_set_margin_bottom(usb->add, 9);
	usb->devices = new_list(box, _("USB devices of this computer"));
	usb->none = oriel_text_label_new(NULL);
	gtk_widget_set_no_show_all(GTK_WIDGET(usb->none), TRUE);
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(usb->none));
	add_button(box, _("_Look Again"), look, usb);
	return box;
}

void oriel_settings_add_usb(OrielSettings *settings)
{
	static const struct settings_choice controllers[] = {
		{ "xhci", N_("USB 3 (xHCI)") }, { "none", N_("None") }, { NULL, NULL },
	};
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 18);
	struct usb *usb = g_new0(struct usb, 1);
	GtkGrid *form = oriel_form_new();

	usb->settings = settings;
	g_object_set_data_full(G_OBJECT(settings), "usb", usb, free_usb);
	settings_field_add_choice(settings, form, _("_Controller"), "usb", "controller", controllers);
	usb->tablet = settings_field_get_widget(settings_field_add_switch(settings, form, _("_Tablet, for a pointer that "
						"comes and goes freely"), "usb", "tablet"));
	usb->keyboard = settings_field_get_widget(settings_field_add_switch(settings, form, _("_Keyboard instead of the "
						  "PS/2 one"), "usb", "keyboard"));
	usb->rest = new_rest(usb);
	gtk_container_add(GTK_CONTAINER(page), GTK_WIDGET(form));
	gtk_container_add(GTK_CONTAINER(page), usb->rest);
	oriel_settings_add_page(settings, _("USB"), page, update_usb, usb);
}
