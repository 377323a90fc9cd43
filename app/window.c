#include "window.h"

#include <glib/gi18n.h>
#include <string.h>

#include "drops.h"
#include "host_bar.h"
#include "machine_actions.h"
#include "machine_tile.h"
#include "machine_watch.h"
#include "new_machine.h"
#include "notices.h"
#include "packaged.h"
#include "window_memory.h"

struct _OrielWindow {
	GtkApplicationWindow parent_instance;
	OrielMachineList *machines;
	GtkMenuButton *menu_button, *machine_menu_button;
	GMenuModel *machine_menu;
	GtkWidget *search_button, *view_button, *packaged_button;
	GtkImage *view_image;
	GtkSearchBar *search_bar;
	GtkEntry *search_entry;
	OrielNotices *notices;
	OrielHostBar *host_bar;
	GtkStack *pages;
	GtkFlowBox *grid;
	GtkListBox *list;
	GtkRevealer *action_revealer;
	GtkLabel *selection_label;
	GtkWidget *start_button, *pause_button, *resume_button, *power_button, *off_button;
	OrielMachineWatch *watch;
	gboolean as_list;
	char *needle; /* what is searched for, folded; NULL: nothing */
	int width, height; /* while not maximized */
};

G_DEFINE_FINAL_TYPE(OrielWindow, oriel_window, GTK_TYPE_APPLICATION_WINDOW)

OrielMachineList *oriel_window_get_machines(OrielWindow *self)
{
	return self->machines;
}

/* Selection */

GPtrArray *oriel_window_get_selection(OrielWindow *self)
{
	GPtrArray *selection = g_ptr_array_new_with_free_func(g_object_unref);
	GList *children = self->as_list ? gtk_list_box_get_selected_rows(self->list) :
					  gtk_flow_box_get_selected_children(self->grid);

	for (GList *child = children; child; child = child->next)
		g_ptr_array_add(selection, g_object_ref(self->as_list ? oriel_machine_row_get_machine(child->data) :
									oriel_machine_tile_get_machine(child->data)));
	g_list_free(children);
	return selection;
}

static gboolean matches(OrielWindow *self, OrielMachine *machine)
{
	g_autofree char *folded = NULL;

	if (!self->needle)
		return TRUE;
	folded = g_utf8_casefold(oriel_machine_get_name(machine), -1);
	return strstr(folded, self->needle) != NULL;
}

static void show_page(OrielWindow *self)
{
	guint count = g_list_model_get_n_items(G_LIST_MODEL(self->machines)), shown = 0;
	const char *page = self->as_list ? "list" : "grid";

	for (guint i = 0; i < count; i++) {
		g_autoptr(OrielMachine) machine = g_list_model_get_item(G_LIST_MODEL(self->machines), i);

		shown += matches(self, machine) ? 1 : 0;
	}
	gtk_stack_set_visible_child_name(self->pages, !count ? "empty" : !shown ? "nothing" : page);
}

static gboolean tile_is_wanted(GtkFlowBoxChild *child, gpointer self)
{
	return matches(self, oriel_machine_tile_get_machine(ORIEL_MACHINE_TILE(child)));
}

static gboolean row_is_wanted(GtkListBoxRow *row, gpointer self)
{
	return matches(self, oriel_machine_row_get_machine(ORIEL_MACHINE_ROW(row)));
}

static void update_action_bar(OrielWindow *self)
{
	g_autoptr(GPtrArray) selection = oriel_window_get_selection(self);
	GtkWidget *const buttons[] = {
		self->start_button, self->pause_button, self->resume_button, self->power_button, self->off_button,
	};
	g_autofree char *text = NULL;

	oriel_machine_actions_update(self);
	for (guint i = 0; i < G_N_ELEMENTS(buttons); i++)
		gtk_widget_set_visible(buttons[i], gtk_widget_get_sensitive(buttons[i]));
	if (selection->len == 1)
		text = g_strdup(oriel_machine_get_name(selection->pdata[0]));
	else
		text = g_strdup_printf(ngettext("%u machine", "%u machines", selection->len), selection->len);
	if (selection->len)
		gtk_label_set_text(self->selection_label, text);
	gtk_revealer_set_reveal_child(self->action_revealer, selection->len > 0);
}

static void selection_changed(OrielWindow *self)
{
	update_action_bar(self);
}

static int find_place(OrielWindow *self, OrielMachine *machine)
{
	guint count = g_list_model_get_n_items(G_LIST_MODEL(self->machines));

	for (guint i = 0; i < count; i++) {
		g_autoptr(OrielMachine) other = g_list_model_get_item(G_LIST_MODEL(self->machines), i);

		if (other == machine)
			return (int)i;
	}
	return -1;
}

void oriel_window_select(OrielWindow *self, OrielMachine *machine)
{
	int place = find_place(self, machine);
	GtkFlowBoxChild *tile = place < 0 ? NULL : gtk_flow_box_get_child_at_index(self->grid, place);
	GtkListBoxRow *row = place < 0 ? NULL : gtk_list_box_get_row_at_index(self->list, place);

	if (!tile || !row)
		return;
	gtk_flow_box_unselect_all(self->grid);
	gtk_list_box_unselect_all(self->list);
	gtk_flow_box_select_child(self->grid, tile);
	gtk_list_box_select_row(self->list, row);
	gtk_widget_grab_focus(self->as_list ? GTK_WIDGET(row) : GTK_WIDGET(tile));
}

/* Machines come and go */

static void machine_notified(OrielMachine *machine, GParamSpec *spec, gpointer data)
{
	OrielWindow *self = data;
	OrielMachineState state = oriel_machine_get_state(machine);

	if (strcmp(spec->name, "thumbnail") == 0)
		return;
	update_action_bar(self);
	if (strcmp(spec->name, "name") == 0)
		show_page(self);
	if (strcmp(spec->name, "state") != 0)
		return;
	if (state == ORIEL_MACHINE_CRASHED || state == ORIEL_MACHINE_TROUBLE)
		oriel_machine_actions_explain(self, machine);
	else
		oriel_window_clear_notice(self, machine);
}

static void machine_in_trouble(OrielMachine *machine, const char *message, gpointer self)
{
	g_autofree char *text = g_strdup_printf("“%s”: %s", oriel_machine_get_name(machine), message);

	oriel_window_notice(self, machine, GTK_MESSAGE_WARNING, text, _("Open _Log"), oriel_machine_actions_open_log,
			    NULL);
}

static void add_machine(OrielWindow *self, guint place)
{
	g_autoptr(OrielMachine) machine = g_list_model_get_item(G_LIST_MODEL(self->machines), place);

	gtk_flow_box_insert(self->grid, oriel_machine_tile_new(machine), (int)place);
	gtk_list_box_insert(self->list, oriel_machine_row_new(machine), (int)place);
	/* A renamed machine goes and comes again. */
	g_signal_handlers_disconnect_by_data(machine, self);
	g_signal_connect_object(machine, "notify", G_CALLBACK(machine_notified), self, 0);
	g_signal_connect_object(machine, "trouble", G_CALLBACK(machine_in_trouble), self, 0);
}

static void remove_machine(OrielWindow *self, guint place)
{
	GtkFlowBoxChild *tile = gtk_flow_box_get_child_at_index(self->grid, (int)place);

	oriel_window_clear_notice(self, oriel_machine_tile_get_machine(ORIEL_MACHINE_TILE(tile)));
	gtk_widget_destroy(GTK_WIDGET(tile));
	gtk_widget_destroy(GTK_WIDGET(gtk_list_box_get_row_at_index(self->list, (int)place)));
}

static void machines_changed(GListModel *machines, guint place, guint removed, guint added, gpointer data)
{
	OrielWindow *self = data;

	(void)machines;
	for (guint i = 0; i < removed; i++)
		remove_machine(self, place);
	for (guint i = 0; i < added; i++)
		add_machine(self, place + i);
	show_page(self);
	update_action_bar(self);
}

/* Notices */

void oriel_window_clear_notice(OrielWindow *self, OrielMachine *machine)
{
	oriel_notices_clear(self->notices, machine);
}

void oriel_window_notice(OrielWindow *self, OrielMachine *machine, GtkMessageType type, const char *text, ...)
{
	va_list buttons;

	va_start(buttons, text);
	oriel_notices_show(self->notices, self, machine, type, text, buttons);
	va_end(buttons);
}

/* What the user does */

static void tile_activated(GtkFlowBox *grid, GtkFlowBoxChild *child, gpointer self)
{
	(void)grid;
	oriel_machine_actions_open(self, oriel_machine_tile_get_machine(ORIEL_MACHINE_TILE(child)));
}

static void row_activated(GtkListBox *list, GtkListBoxRow *row, gpointer self)
{
	(void)list;
	oriel_machine_actions_open(self, oriel_machine_row_get_machine(ORIEL_MACHINE_ROW(row)));
}

static void search_changed(GtkSearchEntry *entry, gpointer data)
{
	OrielWindow *self = data;
	const char *text = gtk_entry_get_text(GTK_ENTRY(entry));

	g_clear_pointer(&self->needle, g_free);
	if (*text)
		self->needle = g_utf8_casefold(text, -1);
	gtk_flow_box_invalidate_filter(self->grid);
	gtk_list_box_invalidate_filter(self->list);
	show_page(self);
}

static gboolean key_pressed(GtkWidget *widget, GdkEventKey *event, gpointer self)
{
	(void)widget;
	if (event->keyval != GDK_KEY_Delete && event->keyval != GDK_KEY_KP_Delete)
		return GDK_EVENT_PROPAGATE;
	g_action_group_activate_action(G_ACTION_GROUP(self), "delete", NULL);
	return GDK_EVENT_STOP;
}

static void pop_up_menu(OrielWindow *self, const GdkEvent *event)
{
	GtkWidget *menu = gtk_menu_new_from_model(self->machine_menu);

	gtk_menu_attach_to_widget(GTK_MENU(menu), GTK_WIDGET(self), NULL);
	g_signal_connect(menu, "selection-done", G_CALLBACK(gtk_widget_destroy), NULL);
	if (event)
		gtk_menu_popup_at_pointer(GTK_MENU(menu), event);
	else
		gtk_menu_popup_at_widget(GTK_MENU(menu), gtk_window_get_focus(GTK_WINDOW(self)), GDK_GRAVITY_CENTER,
					 GDK_GRAVITY_NORTH_WEST, NULL);
}

static OrielMachine *machine_at(OrielWindow *self, const GdkEventButton *event)
{
	GtkFlowBoxChild *tile;
	GtkListBoxRow *row;

	if (self->as_list) {
		row = gtk_list_box_get_row_at_y(self->list, (int)event->y);
		return row ? oriel_machine_row_get_machine(ORIEL_MACHINE_ROW(row)) : NULL;
	}
	tile = gtk_flow_box_get_child_at_pos(self->grid, (int)event->x, (int)event->y);
	return tile ? oriel_machine_tile_get_machine(ORIEL_MACHINE_TILE(tile)) : NULL;
}

static gboolean button_pressed(GtkWidget *widget, GdkEventButton *event, gpointer data)
{
	g_autoptr(GPtrArray) selection = oriel_window_get_selection(data);
	OrielMachine *machine;

	(void)widget;
	if (!gdk_event_triggers_context_menu((const GdkEvent *)event))
		return GDK_EVENT_PROPAGATE;
	machine = machine_at(data, event);
	if (!machine)
		return GDK_EVENT_PROPAGATE;
	if (!g_ptr_array_find(selection, machine, NULL))
		oriel_window_select(data, machine);
	pop_up_menu(data, (const GdkEvent *)event);
	return GDK_EVENT_STOP;
}

static gboolean menu_wanted(GtkWidget *widget, gpointer data)
{
	g_autoptr(GPtrArray) selection = oriel_window_get_selection(data);

	(void)widget;
	if (selection->len)
		pop_up_menu(data, NULL);
	return selection->len > 0;
}

static gboolean oriel_window_key_press_event(GtkWidget *widget, GdkEventKey *event)
{
	OrielWindow *self = ORIEL_WINDOW(widget);

	if (GTK_WIDGET_CLASS(oriel_window_parent_class)->key_press_event(widget, event))
		return GDK_EVENT_STOP;
	/* Typing on the machines searches. */
	return gtk_search_bar_handle_event(self->search_bar, (GdkEvent *)event);
}

static void file_dropped(GFile *file, gpointer self)
{
	oriel_new_machine_from_file(self, file);
}

/* The view */

static void view_changed(GSimpleAction *action, GVariant *state, gpointer data)
{
	OrielWindow *self = data;
	g_autoptr(GPtrArray) selection = oriel_window_get_selection(self);

	self->as_list = g_str_equal(g_variant_get_string(state, NULL), "list");
	g_simple_action_set_state(action, state);
	gtk_image_set_from_icon_name(self->view_image, self->as_list ? "view-grid-symbolic" : "view-list-symbolic",
				     GTK_ICON_SIZE_BUTTON);
	gtk_widget_set_tooltip_text(self->view_button, self->as_list ? _("Show as a grid") : _("Show as a list"));
	show_page(self);
	if (selection->len)
		oriel_window_select(self, selection->pdata[0]);
	update_action_bar(self);
}

static void toggle_view(GSimpleAction *action, GVariant *parameter, gpointer self)
{
	(void)action;
	(void)parameter;
	g_action_group_change_action_state(self, "view",
					   g_variant_new_string(ORIEL_WINDOW(self)->as_list ? "grid" : "list"));
}

static void search(GSimpleAction *action, GVariant *parameter, gpointer data)
{
	OrielWindow *self = data;

	(void)action;
	(void)parameter;
	gtk_search_bar_set_search_mode(self->search_bar, !gtk_search_bar_get_search_mode(self->search_bar));
}

static void open_menu(GSimpleAction *action, GVariant *parameter, gpointer data)
{
	(void)action;
	(void)parameter;
	gtk_toggle_button_set_active(GTK_TOGGLE_BUTTON(ORIEL_WINDOW(data)->menu_button), TRUE);
}

static const GActionEntry actions[] = {
	{ "view", NULL, "s", "'grid'", view_changed, { 0 } },
	{ .name = "toggle-view", .activate = toggle_view },
	{ .name = "search", .activate = search },
	{ .name = "menu", .activate = open_menu },
};

/* The window as the user left it */

static void recall(OrielWindow *self)
{
	struct oriel_window_memory memory;

	oriel_window_memory_load(&memory);
	self->width = memory.width;
	self->height = memory.height;
	gtk_window_set_default_size(GTK_WINDOW(self), memory.width, memory.height);
	if (memory.maximized)
		gtk_window_maximize(GTK_WINDOW(self));
	if (memory.list)
		g_action_group_change_action_state(G_ACTION_GROUP(self), "view", g_variant_new_string("list"));
}

void oriel_window_remember(OrielWindow *self)
{
	const struct oriel_window_memory memory = {
		.width = self->width, .height = self->height, .list = self->as_list,
		.maximized = gtk_window_is_maximized(GTK_WINDOW(self)),
	};
	g_autoptr(GError) error = NULL;

	if (!oriel_window_memory_save(&memory, &error))
		g_message("%s", error->message);
}

static void oriel_window_size_allocate(GtkWidget *widget, GtkAllocation *allocation)
{
	OrielWindow *self = ORIEL_WINDOW(widget);

	GTK_WIDGET_CLASS(oriel_window_parent_class)->size_allocate(widget, allocation);
	if (!gtk_window_is_maximized(GTK_WINDOW(self)))
		gtk_window_get_size(GTK_WINDOW(self), &self->width, &self->height);
}

static gboolean oriel_window_delete_event(GtkWidget *widget, GdkEventAny *event)
{
	(void)event;
	oriel_window_remember(ORIEL_WINDOW(widget));
	return GDK_EVENT_PROPAGATE;
}

void oriel_window_check_host(OrielWindow *self)
{
	oriel_host_bar_check(self->host_bar);
}

/* Life */

static void oriel_window_dispose(GObject *object)
{
	OrielWindow *self = ORIEL_WINDOW(object);

	if (self->machines)
		g_signal_handlers_disconnect_by_data(self->machines, self);
	g_clear_object(&self->watch);
	g_clear_object(&self->machines);
	g_clear_pointer(&self->needle, g_free);
	G_OBJECT_CLASS(oriel_window_parent_class)->dispose(object);
}

static void bind_children(GtkWidgetClass *widget)
{
	gtk_widget_class_bind_template_child(widget, OrielWindow, menu_button);
	gtk_widget_class_bind_template_child(widget, OrielWindow, machine_menu_button);
	gtk_widget_class_bind_template_child(widget, OrielWindow, machine_menu);
	gtk_widget_class_bind_template_child(widget, OrielWindow, search_button);
	gtk_widget_class_bind_template_child(widget, OrielWindow, view_button);
	gtk_widget_class_bind_template_child(widget, OrielWindow, packaged_button);
	gtk_widget_class_bind_template_child(widget, OrielWindow, view_image);
	gtk_widget_class_bind_template_child(widget, OrielWindow, search_bar);
	gtk_widget_class_bind_template_child(widget, OrielWindow, search_entry);
	gtk_widget_class_bind_template_child(widget, OrielWindow, notices);
	gtk_widget_class_bind_template_child(widget, OrielWindow, host_bar);
	gtk_widget_class_bind_template_child(widget, OrielWindow, pages);
	gtk_widget_class_bind_template_child(widget, OrielWindow, grid);
	gtk_widget_class_bind_template_child(widget, OrielWindow, list);
	gtk_widget_class_bind_template_child(widget, OrielWindow, action_revealer);
	gtk_widget_class_bind_template_child(widget, OrielWindow, selection_label);
	gtk_widget_class_bind_template_child(widget, OrielWindow, start_button);
	gtk_widget_class_bind_template_child(widget, OrielWindow, pause_button);
	gtk_widget_class_bind_template_child(widget, OrielWindow, resume_button);
	gtk_widget_class_bind_template_child(widget, OrielWindow, power_button);
	gtk_widget_class_bind_template_child(widget, OrielWindow, off_button);
}

static void oriel_window_class_init(OrielWindowClass *class)
{
	GtkWidgetClass *widget = GTK_WIDGET_CLASS(class);

	G_OBJECT_CLASS(class)->dispose = oriel_window_dispose;
	widget->size_allocate = oriel_window_size_allocate;
	widget->delete_event = oriel_window_delete_event;
	widget->key_press_event = oriel_window_key_press_event;
	gtk_widget_class_set_template_from_resource(widget, "/io/github/oriel/Oriel/window.ui");
	bind_children(widget);
	gtk_widget_class_bind_template_callback(widget, search_changed);
	gtk_widget_class_bind_template_callback(widget, tile_activated);
	gtk_widget_class_bind_template_callback(widget, row_activated);
	gtk_widget_class_bind_template_callback(widget, selection_changed);
	gtk_widget_class_bind_template_callback(widget, key_pressed);
	gtk_widget_class_bind_template_callback(widget, button_pressed);
	gtk_widget_class_bind_template_callback(widget, menu_wanted);
}

static void oriel_window_init(OrielWindow *self)
{
	g_autoptr(OrielPackaged) packaged = oriel_packaged_find("/");

	g_type_ensure(ORIEL_TYPE_NOTICES);
	g_type_ensure(ORIEL_TYPE_HOST_BAR);
	g_action_map_add_action_entries(G_ACTION_MAP(self), actions, G_N_ELEMENTS(actions), self);
	oriel_machine_actions_add(self);
	gtk_widget_init_template(GTK_WIDGET(self));
	gtk_widget_set_visible(self->packaged_button, packaged != NULL);
	gtk_search_bar_connect_entry(self->search_bar, self->search_entry);
	g_object_bind_property(self->search_bar, "search-mode-enabled", self->search_button, "active",
			       G_BINDING_SYNC_CREATE | G_BINDING_BIDIRECTIONAL);
	gtk_flow_box_set_filter_func(self->grid, tile_is_wanted, self, NULL);
	gtk_list_box_set_filter_func(self->list, row_is_wanted, self, NULL);
	oriel_drops_accept(GTK_WIDGET(self->pages), file_dropped, self);
}

OrielWindow *oriel_window_new(GtkApplication *application, OrielMachineList *machines)
{
	OrielWindow *self = g_object_new(ORIEL_TYPE_WINDOW, "application", application, NULL);
	g_autoptr(OrielMachine) first = g_list_model_get_item(G_LIST_MODEL(machines), 0);

	self->machines = g_object_ref(machines);
	self->watch = oriel_machine_watch_new(machines, GTK_WIDGET(self));
	g_signal_connect(machines, "items-changed", G_CALLBACK(machines_changed), self);
	machines_changed(G_LIST_MODEL(machines), 0, 0, g_list_model_get_n_items(G_LIST_MODEL(machines)), self);
	recall(self);
	if (first)
		oriel_window_select(self, first);
	return self;
}
