#include "notices.h"

#include "machine_actions.h"

struct _OrielNotices {
	GtkBox parent_instance;
	GHashTable *bars; /* by machine, or by the box itself */
};

G_DEFINE_FINAL_TYPE(OrielNotices, oriel_notices, GTK_TYPE_BOX)

struct notice_button {
	OrielNotices *notices;
	OrielWindow *window;
	OrielMachine *machine;
	OrielNoticeAction action;
};

static gpointer key_of(OrielNotices *self, OrielMachine *machine)
{
	return machine ? (gpointer)machine : (gpointer)self;
}

static void free_button(gpointer data, GClosure *closure)
{
	struct notice_button *button = data;

	(void)closure;
	g_clear_object(&button->machine);
	g_free(button);
}

static void pressed(GtkButton *widget, gpointer data)
{
	struct notice_button *button = data;
	OrielNoticeAction action = button->action;
	OrielWindow *window = button->window;
	g_autoptr(OrielMachine) machine = button->machine ? g_object_ref(button->machine) : NULL;

	(void)widget;
	/* This frees the button. Who has read the log wants the other ways out yet. */
	if (action != oriel_machine_actions_open_log && action != oriel_machine_actions_open_report)
		oriel_notices_clear(button->notices, machine);
	action(window, machine);
}

static void closed(GtkInfoBar *bar, int response, gpointer data)
{
	(void)response;
	g_hash_table_remove(ORIEL_NOTICES(data)->bars, g_object_get_data(G_OBJECT(bar), "key"));
}

static GtkWidget *make_bar(OrielNotices *self, GtkMessageType type, const char *text)
{
	GtkWidget *bar = gtk_info_bar_new(), *label = gtk_label_new(text);

	gtk_info_bar_set_message_type(GTK_INFO_BAR(bar), type);
	gtk_info_bar_set_show_close_button(GTK_INFO_BAR(bar), TRUE);
	gtk_label_set_line_wrap(GTK_LABEL(label), TRUE);
	gtk_label_set_line_wrap_mode(GTK_LABEL(label), PANGO_WRAP_WORD_CHAR);
	/* Else the window is made high enough for a column of single words. */
	gtk_label_set_width_chars(GTK_LABEL(label), 40);
	gtk_label_set_xalign(GTK_LABEL(label), 0);
	gtk_label_set_selectable(GTK_LABEL(label), TRUE);
	gtk_container_add(GTK_CONTAINER(gtk_info_bar_get_content_area(GTK_INFO_BAR(bar))), label);
	atk_object_set_name(gtk_widget_get_accessible(bar), text);
	g_signal_connect(bar, "response", G_CALLBACK(closed), self);
	return bar;
}

void oriel_notices_show(OrielNotices *self, OrielWindow *window, OrielMachine *machine, GtkMessageType type,
			const char *text, va_list buttons)
{
	GtkWidget *bar = make_bar(self, type, text);

	for (const char *label; (label = va_arg(buttons, const char *));) {
		GtkWidget *widget = gtk_button_new_with_mnemonic(label);
		struct notice_button *button = g_new(struct notice_button, 1);

		*button = (struct notice_button){ self, window, machine ? g_object_ref(machine) : NULL,
						  va_arg(buttons, OrielNoticeAction) };
		g_signal_connect_data(widget, "clicked", G_CALLBACK(pressed), button, free_button, 0);
		gtk_container_add(GTK_CONTAINER(gtk_info_bar_get_action_area(GTK_INFO_BAR(bar))), widget);
	}
	g_object_set_data(G_OBJECT(bar), "key", key_of(self, machine));
	gtk_widget_show_all(bar);
	g_hash_table_replace(self->bars, key_of(self, machine), bar);
	gtk_container_add(GTK_CONTAINER(self), bar);
}

void oriel_notices_clear(OrielNotices *self, OrielMachine *machine)
{
	if (self->bars)
		g_hash_table_remove(self->bars, key_of(self, machine));
}

static void oriel_notices_dispose(GObject *object)
{
	g_clear_pointer(&ORIEL_NOTICES(object)->bars, g_hash_table_unref);
	G_OBJECT_CLASS(oriel_notices_parent_class)->dispose(object);
}

static void oriel_notices_class_init(OrielNoticesClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_notices_dispose;
}

static void destroy_bar(gpointer bar)
{
	gtk_widget_destroy(bar);
}

static void oriel_notices_init(OrielNotices *self)
{
	self->bars = g_hash_table_new_full(NULL, NULL, NULL, destroy_bar);
}
