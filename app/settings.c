#include "settings_internal.h"

#include <glib/gi18n.h>

#include "settings_field.h"
#include "wizard.h"

#define DIALOG "oriel-settings"
#define WIDTH 820
#define HEIGHT 600

struct page {
	OrielSettingsUpdate update;
	gpointer data;
};

struct _OrielSettings {
	GtkDialog parent;
	OrielWindow *window; /* NULL: the dialog is going away */
	OrielMachine *machine;
	OrielHost *host;
	OrielSystems *systems; /* NULL until they are loaded */
	GPtrArray *fields;     /* struct settings_field */
	GArray *page_list;     /* struct page */
	guint update;          /* queued; 0: none */
	GtkListBox *sidebar;
	GtkStack *pages;
	GtkInfoBar *bar;
	GtkLabel *bar_text, *running;
	GtkWidget *bar_button;
	OrielSettingsUpdate bar_pressed;
	gpointer bar_data;
	gboolean damaged; /* as the bar says */
};

G_DEFINE_FINAL_TYPE(OrielSettings, oriel_settings, GTK_TYPE_DIALOG)

OrielMachine *oriel_settings_get_machine(OrielSettings *self)
{
	return self->machine;
}

gboolean oriel_settings_is_closed(OrielSettings *self)
{
	return self->window == NULL;
}

const struct machine_config *oriel_settings_get_config(OrielSettings *self)
{
	return oriel_machine_get_config(self->machine);
}

OrielHost *oriel_settings_get_host(OrielSettings *self)
{
	return self->host;
}

OrielSystems *oriel_settings_get_systems(OrielSettings *self)
{
	return self->systems;
}

OrielSystem *oriel_settings_get_system(OrielSettings *self)
{
	const struct machine_config *config = oriel_settings_get_config(self);
	OrielSystem *system = NULL;

	if (!self->systems)
		return NULL;
	if (config && config->system)
		system = oriel_systems_find(self->systems, config->system);
	return system ? system : oriel_systems_get_generic(self->systems, ORIEL_FAMILY_OTHER);
}

/* --- The bar --- */

void oriel_settings_tell(OrielSettings *self, GtkMessageType type, const char *text, const char *button,
			 OrielSettingsUpdate pressed, gpointer data)
{
	if (!self->window)
		return;
	gtk_info_bar_set_message_type(self->bar, type);
	gtk_label_set_text(self->bar_text, text);
	gtk_button_set_label(GTK_BUTTON(self->bar_button), button ? button : "");
	gtk_widget_set_visible(self->bar_button, button != NULL);
	self->bar_pressed = pressed;
	self->bar_data = data;
	gtk_widget_show(GTK_WIDGET(self->bar));
}

static void bar_answered(GtkInfoBar *bar, int response, gpointer data)
{
	OrielSettings *self = data;

	gtk_widget_hide(GTK_WIDGET(bar));
	if (response == GTK_RESPONSE_OK && self->bar_pressed)
		self->bar_pressed(self, self->bar_data);
}

static GtkWidget *new_bar(OrielSettings *self)
{
	self->bar = GTK_INFO_BAR(gtk_info_bar_new());
	self->bar_text = oriel_text_label_new(NULL);
	gtk_label_set_max_width_chars(self->bar_text, 80);
	self->bar_button = gtk_info_bar_add_button(self->bar, "", GTK_RESPONSE_OK);
	gtk_button_set_use_underline(GTK_BUTTON(self->bar_button), TRUE);
	gtk_info_bar_set_show_close_button(self->bar, TRUE);
	gtk_container_add(GTK_CONTAINER(gtk_info_bar_get_content_area(self->bar)), GTK_WIDGET(self->bar_text));
	gtk_widget_show(GTK_WIDGET(self->bar_text));
	gtk_widget_set_no_show_all(GTK_WIDGET(self->bar), TRUE);
	g_signal_connect(self->bar, "response", G_CALLBACK(bar_answered), self);
	return GTK_WIDGET(self->bar);
}

/* --- Changes --- */

gboolean oriel_settings_edit(OrielSettings *self, OrielMachineEdit edit, gpointer data)
{
	g_autoptr(GError) error = NULL;

	if (oriel_machine_edit(self->machine, edit, data, &error))
		return TRUE;
	oriel_settings_tell(self, GTK_MESSAGE_ERROR, error->message, NULL, NULL, NULL);
	return FALSE;
}

static void called(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielSettings) self = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = oriel_machine_call_finish(ORIEL_MACHINE(source), result, &error);

	if (!reply)
		oriel_settings_tell(self, GTK_MESSAGE_ERROR, error->message, NULL, NULL, NULL);
}

void oriel_settings_call(OrielSettings *self, const char *method, GVariant *parameters)
{
	oriel_machine_call_async(self->machine, method, parameters, called, g_object_ref(self));
}

void oriel_settings_add_field(OrielSettings *self, struct settings_field *field)
{
	g_ptr_array_add(self->fields, field);
	oriel_settings_queue_update(self);
}

void oriel_settings_forget_field(OrielSettings *self, struct settings_field *field)
{
	g_ptr_array_remove(self->fields, field);
}

static void show_running(OrielSettings *self)
{
	gboolean idle = oriel_machine_is_idle(self->machine);

	gtk_widget_set_visible(GTK_WIDGET(self->running), !idle);
}

static void show_problem(OrielSettings *self)
{
	const char *problem = oriel_machine_get_problem(self->machine);

	gtk_widget_set_sensitive(GTK_WIDGET(self->pages), problem == NULL);
	if (problem)
		oriel_settings_tell(self, GTK_MESSAGE_ERROR, problem, NULL, NULL, NULL);
	else if (self->damaged)
		gtk_widget_hide(GTK_WIDGET(self->bar));
	self->damaged = problem != NULL;
}

static void update_fields(OrielSettings *self)
{
	for (guint i = 0; i < self->fields->len; i++)
		settings_field_update(self->fields->pdata[i]);
}

static gboolean is_deleted(OrielSettings *self)
{
	return oriel_machine_list_find(oriel_window_get_machines(self->window), oriel_machine_get_id(self->machine)) !=
	       self->machine;
}

/* Pages may make and remove fields, which is not for those who go through them now. */
static gboolean update_now(gpointer data)
{
	OrielSettings *self = data;
	g_autofree char *title = g_strdup_printf(_("Settings of “%s”"), oriel_machine_get_name(self->machine));

	self->update = 0;
	if (is_deleted(self)) {
		gtk_widget_destroy(GTK_WIDGET(self));
		return G_SOURCE_REMOVE;
	}
	gtk_window_set_title(GTK_WINDOW(self), title);
	show_running(self);
	show_problem(self);
	for (guint i = 0; oriel_settings_get_config(self) && i < self->page_list->len; i++) {
		const struct page *page = &g_array_index(self->page_list, struct page, i);

		if (page->update)
			page->update(self, page->data);
	}
	update_fields(self);
	return G_SOURCE_REMOVE;
}

void oriel_settings_queue_update(OrielSettings *self)
{
	if (!self->update && self->window)
		self->update = g_idle_add_full(GTK_PRIORITY_RESIZE - 1, update_now, self, NULL);
}

static void config_changed(OrielSettings *self)
{
	update_fields(self);
	oriel_settings_queue_update(self);
}

static void machine_notified(OrielMachine *machine, GParamSpec *spec, gpointer self)
{
	(void)machine;
	if (!g_str_equal(spec->name, "thumbnail"))
		oriel_settings_queue_update(self);
}

/* --- Pages --- */

static GtkWidget *new_sidebar_row(const char *title)
{
	GtkWidget *row = gtk_list_box_row_new(), *label = gtk_label_new(title);

	gtk_label_set_xalign(GTK_LABEL(label), 0);
	g_object_set(label, "margin", 9, NULL);
	gtk_container_add(GTK_CONTAINER(row), label);
	atk_object_set_name(gtk_widget_get_accessible(row), title);
	gtk_widget_show_all(row);
	return row;
}

void oriel_settings_add_page(OrielSettings *self, const char *title, GtkWidget *content, OrielSettingsUpdate update,
			     gpointer data)
{
	GtkWidget *scrolled = gtk_scrolled_window_new(NULL, NULL);
	const struct page page = { update, data };

	g_array_append_val(self->page_list, page);
	g_object_set(content, "margin", 18, NULL);
	gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(scrolled), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
	gtk_container_add(GTK_CONTAINER(scrolled), content);
	gtk_widget_show_all(scrolled);
	gtk_stack_add_titled(self->pages, scrolled, title, title);
	gtk_list_box_insert(self->sidebar, new_sidebar_row(title), -1);
}

static void page_chosen(GtkListBox *sidebar, GtkListBoxRow *row, gpointer data)
{
	OrielSettings *self = data;
	g_autoptr(GList) pages = gtk_container_get_children(GTK_CONTAINER(self->pages));

	(void)sidebar;
	if (row)
		gtk_stack_set_visible_child(self->pages, g_list_nth_data(pages, (guint)gtk_list_box_row_get_index(row)));
}

static void build(OrielSettings *self)
{
	GtkContainer *content = GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(self)));
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 0), *frame = gtk_scrolled_window_new(NULL, NULL);

	gtk_container_set_border_width(content, 0);
	gtk_container_add(content, new_bar(self));
	self->running = oriel_text_label_new(_("The machine is running. Some changes hold at once; others, which are "
					       "marked then, after its next start."));
	gtk_widget_set_no_show_all(GTK_WIDGET(self->running), TRUE);
	g_object_set(self->running, "margin", 9, NULL);
	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(self->running)), GTK_STYLE_CLASS_DIM_LABEL);
	gtk_container_add(content, GTK_WIDGET(self->running));
	self->sidebar = GTK_LIST_BOX(gtk_list_box_new());
	gtk_list_box_set_selection_mode(self->sidebar, GTK_SELECTION_BROWSE);
	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(self->sidebar)), GTK_STYLE_CLASS_SIDEBAR);
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(self->sidebar)), _("Pages of the settings"));
	g_signal_connect(self->sidebar, "row-selected", G_CALLBACK(page_chosen), self);
	gtk_scrolled_window_set_policy(GTK_SCROLLED_WINDOW(frame), GTK_POLICY_NEVER, GTK_POLICY_AUTOMATIC);
	gtk_container_add(GTK_CONTAINER(frame), GTK_WIDGET(self->sidebar));
	gtk_widget_set_size_request(frame, 190, -1);
	self->pages = GTK_STACK(gtk_stack_new());
	gtk_box_pack_start(GTK_BOX(box), frame, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), gtk_separator_new(GTK_ORIENTATION_VERTICAL), FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), GTK_WIDGET(self->pages), TRUE, TRUE, 0);
	gtk_box_pack_start(GTK_BOX(content), box, TRUE, TRUE, 0);
	oriel_settings_add_general(self);
	oriel_settings_add_resources(self);
	oriel_settings_add_disks(self);
	oriel_settings_add_discs(self);
	oriel_settings_add_display(self);
	oriel_settings_add_sound(self);
	oriel_settings_add_network(self);
	oriel_settings_add_usb(self);
	oriel_settings_add_activity(self);
	gtk_widget_show_all(GTK_WIDGET(content));
}

/* --- The dialog --- */

static void systems_loaded(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielSettings) self = data;

	if (!oriel_systems_load_finish(ORIEL_SYSTEMS(source), result, NULL) || !self->window)
		return;
	self->systems = g_object_ref(ORIEL_SYSTEMS(source));
	oriel_settings_queue_update(self);
}

static void oriel_settings_response(GtkDialog *dialog, int response)
{
	(void)response;
	gtk_widget_destroy(GTK_WIDGET(dialog));
}

void oriel_settings_save_last(GtkWindow *window)
{
	if (!ORIEL_IS_SETTINGS(window))
		return;
	for (guint i = 0; i < ORIEL_SETTINGS(window)->fields->len; i++)
		settings_field_flush(ORIEL_SETTINGS(window)->fields->pdata[i]);
}

static void oriel_settings_dispose(GObject *object)
{
	OrielSettings *self = ORIEL_SETTINGS(object);

	if (self->window) {
		oriel_settings_save_last(GTK_WINDOW(self));
		g_object_set_data(G_OBJECT(self->machine), DIALOG, NULL);
	}
	self->window = NULL;
	g_clear_handle_id(&self->update, g_source_remove);
	G_OBJECT_CLASS(oriel_settings_parent_class)->dispose(object);
}

static void oriel_settings_finalize(GObject *object)
{
	OrielSettings *self = ORIEL_SETTINGS(object);

	g_ptr_array_unref(self->fields);
	g_array_unref(self->page_list);
	g_clear_object(&self->systems);
	g_clear_object(&self->host);
	g_clear_object(&self->machine);
	G_OBJECT_CLASS(oriel_settings_parent_class)->finalize(object);
}

static void oriel_settings_class_init(OrielSettingsClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_settings_dispose;
	G_OBJECT_CLASS(class)->finalize = oriel_settings_finalize;
	GTK_DIALOG_CLASS(class)->response = oriel_settings_response;
}

static void oriel_settings_init(OrielSettings *self)
{
	self->fields = g_ptr_array_new();
	self->page_list = g_array_new(FALSE, FALSE, sizeof(struct page));
}

static OrielSettings *new_settings(OrielWindow *window, OrielMachine *machine)
{
	OrielSettings *self = g_object_new(ORIEL_TYPE_SETTINGS, "use-header-bar", 1, "transient-for", window,
					   "destroy-with-parent", TRUE, "application",
					   gtk_window_get_application(GTK_WINDOW(window)), "default-width", WIDTH,
					   "default-height", HEIGHT, NULL);

	self->window = window;
	self->machine = g_object_ref(machine);
	self->host = oriel_host_new();
	g_object_set_data(G_OBJECT(machine), DIALOG, self);
	build(self);
	g_signal_connect_object(machine, "config-changed", G_CALLBACK(config_changed), self, G_CONNECT_SWAPPED);
	g_signal_connect_object(machine, "notify", G_CALLBACK(machine_notified), self, 0);
	/* Not at once: a machine that is renamed goes and comes again. */
	g_signal_connect_object(oriel_window_get_machines(window), "items-changed",
				G_CALLBACK(oriel_settings_queue_update), self, G_CONNECT_SWAPPED);
	update_now(self);
	gtk_list_box_select_row(self->sidebar, gtk_list_box_get_row_at_index(self->sidebar, 0));
	oriel_systems_load_async(oriel_window_get_systems(window), NULL, systems_loaded, g_object_ref(self));
	return self;
}

void oriel_settings_show(OrielWindow *window, OrielMachine *machine)
{
	OrielSettings *self = g_object_get_data(G_OBJECT(machine), DIALOG);

	gtk_window_present(GTK_WINDOW(self ? self : new_settings(window, machine)));
}
