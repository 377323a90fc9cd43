#include "system_chooser.h"

#include <glib/gi18n.h>

struct _OrielSystemChooser {
	GtkMenuButton parent;
	OrielSystems *systems;
	GtkWidget *popover;
	GtkEntry *search;
	GtkListBox *list;
	gboolean filled;
};

G_DEFINE_FINAL_TYPE(OrielSystemChooser, oriel_system_chooser, GTK_TYPE_MENU_BUTTON)

enum { SIGNAL_CHOSEN, SIGNALS };

static guint signals[SIGNALS];

static OrielSystem *system_of(GtkListBoxRow *row)
{
	return g_object_get_data(G_OBJECT(row), "system");
}

static gboolean is_wanted(GtkListBoxRow *row, gpointer data)
{
	OrielSystemChooser *self = data;

	return oriel_system_matches(system_of(row), gtk_entry_get_text(self->search));
}

static void row_activated(GtkListBox *list, GtkListBoxRow *row, gpointer data)
{
	OrielSystemChooser *self = data;

	(void)list;
	gtk_popover_popdown(GTK_POPOVER(self->popover));
	g_signal_emit(self, signals[SIGNAL_CHOSEN], 0, system_of(row));
}

/* Enter takes the first one that is shown. */
static void search_activated(GtkEntry *entry, gpointer data)
{
	OrielSystemChooser *self = data;
	GtkListBoxRow *row;

	(void)entry;
	for (int i = 0; (row = gtk_list_box_get_row_at_index(self->list, i)); i++) {
		if (!gtk_widget_get_child_visible(GTK_WIDGET(row)))
			continue;
		row_activated(self->list, row, self);
		return;
	}
}

/* Some hundred rows: made when somebody wants to see them. */
static void fill(OrielSystemChooser *self)
{
	g_autoptr(GPtrArray) systems = oriel_systems_get_all(self->systems);

	for (guint i = 0; i < systems->len; i++) {
		GtkWidget *label = gtk_label_new(oriel_system_get_info(systems->pdata[i])->name);
		GtkWidget *row = gtk_list_box_row_new();

		gtk_label_set_xalign(GTK_LABEL(label), 0);
		g_object_set(label, "margin", 4, NULL);
		gtk_container_add(GTK_CONTAINER(row), label);
		g_object_set_data_full(G_OBJECT(row), "system", g_object_ref(systems->pdata[i]), g_object_unref);
		gtk_list_box_insert(self->list, row, -1);
	}
	gtk_widget_show_all(GTK_WIDGET(self->list));
	self->filled = TRUE;
}

static void toggled(GtkToggleButton *button, gpointer data)
{
	OrielSystemChooser *self = data;

	if (!gtk_toggle_button_get_active(button))
		return;
	if (!self->filled)
		fill(self);
	gtk_widget_grab_focus(GTK_WIDGET(self->search));
}

void oriel_system_chooser_set_system(OrielSystemChooser *self, OrielSystem *system)
{
	g_autofree char *text = g_strdup_printf(_("System: %s. Choose another one"), oriel_system_get_info(system)->name);

	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(self)), text);
}

static void oriel_system_chooser_dispose(GObject *object)
{
	g_clear_object(&ORIEL_SYSTEM_CHOOSER(object)->systems);
	G_OBJECT_CLASS(oriel_system_chooser_parent_class)->dispose(object);
}

static void oriel_system_chooser_class_init(OrielSystemChooserClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_system_chooser_dispose;
	signals[SIGNAL_CHOSEN] = g_signal_new("chosen", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
					      G_TYPE_NONE, 1, ORIEL_TYPE_SYSTEM);
}

static void oriel_system_chooser_init(OrielSystemChooser *self)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6), *scrolled = gtk_scrolled_window_new(NULL, NULL);

	self->popover = gtk_popover_new(GTK_WIDGET(self));
	self->search = GTK_ENTRY(gtk_search_entry_new());
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(self->search)), _("Search for a system"));
	self->list = GTK_LIST_BOX(gtk_list_box_new());
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(self->list)), _("Systems"));
	gtk_list_box_set_filter_func(self->list, is_wanted, self, NULL);
	gtk_scrolled_window_set_min_content_height(GTK_SCROLLED_WINDOW(scrolled), 320);
	gtk_scrolled_window_set_min_content_width(GTK_SCROLLED_WINDOW(scrolled), 320);
	gtk_container_add(GTK_CONTAINER(scrolled), GTK_WIDGET(self->list));
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(self->search));
	gtk_container_add(GTK_CONTAINER(box), scrolled);
	g_object_set(box, "margin", 9, NULL);
	gtk_container_add(GTK_CONTAINER(self->popover), box);
	gtk_widget_show_all(box);
	gtk_menu_button_set_popover(GTK_MENU_BUTTON(self), self->popover);
	gtk_container_add(GTK_CONTAINER(self), gtk_label_new(_("Change…")));
	g_signal_connect_swapped(self->search, "search-changed", G_CALLBACK(gtk_list_box_invalidate_filter), self->list);
	g_signal_connect(self->search, "activate", G_CALLBACK(search_activated), self);
	g_signal_connect(self->list, "row-activated", G_CALLBACK(row_activated), self);
	g_signal_connect(self, "toggled", G_CALLBACK(toggled), self);
}

GtkWidget *oriel_system_chooser_new(OrielSystems *systems)
{
	OrielSystemChooser *self = g_object_new(ORIEL_TYPE_SYSTEM_CHOOSER, NULL);

	self->systems = g_object_ref(systems);
	return GTK_WIDGET(self);
}
