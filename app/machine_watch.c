#include "machine_watch.h"

/* Thumbnails each second, figures each other; whole seconds, so that the computer wakes up once for many programs. */
#define SECONDS 1
#define FIGURES_TURNS 2
/* The host's kernel walks all of a guest's memory to count it. */
#define MEMORY_TURNS 10

struct _OrielMachineWatch {
	GObject parent_instance;
	OrielMachineList *machines;
	GtkWidget *window;
	guint timer, turn;
};

G_DEFINE_FINAL_TYPE(OrielMachineWatch, oriel_machine_watch, G_TYPE_OBJECT)

static gboolean look(gpointer data)
{
	OrielMachineWatch *self = data;
	guint scale = (guint)gtk_widget_get_scale_factor(self->window);
	guint count = g_list_model_get_n_items(G_LIST_MODEL(self->machines));

	for (guint i = 0; i < count; i++) {
		g_autoptr(OrielMachine) machine = g_list_model_get_item(G_LIST_MODEL(self->machines), i);

		oriel_machine_update_thumbnail(machine, ORIEL_THUMBNAIL_WIDTH * scale, ORIEL_THUMBNAIL_HEIGHT * scale);
		if (self->turn % FIGURES_TURNS == 0)
			oriel_machine_update_figures(machine, self->turn % MEMORY_TURNS == 0);
	}
	self->turn++;
	return G_SOURCE_CONTINUE;
}

static gboolean window_changed(GtkWidget *window, GdkEventWindowState *event, gpointer data)
{
	const GdkWindowState unseen = GDK_WINDOW_STATE_WITHDRAWN | GDK_WINDOW_STATE_ICONIFIED;
	OrielMachineWatch *self = data;

	(void)window;
	if (event->new_window_state & unseen) {
		g_clear_handle_id(&self->timer, g_source_remove);
	} else if (!self->timer) {
		look(self);
		self->timer = g_timeout_add_seconds(SECONDS, look, self);
	}
	return GDK_EVENT_PROPAGATE;
}

static void oriel_machine_watch_finalize(GObject *object)
{
	OrielMachineWatch *self = ORIEL_MACHINE_WATCH(object);

	g_clear_handle_id(&self->timer, g_source_remove);
	g_object_unref(self->machines);
	G_OBJECT_CLASS(oriel_machine_watch_parent_class)->finalize(object);
}

static void oriel_machine_watch_class_init(OrielMachineWatchClass *class)
{
	G_OBJECT_CLASS(class)->finalize = oriel_machine_watch_finalize;
}

static void oriel_machine_watch_init(OrielMachineWatch *self)
{
	(void)self;
}

OrielMachineWatch *oriel_machine_watch_new(OrielMachineList *machines, GtkWidget *window)
{
	OrielMachineWatch *self = g_object_new(ORIEL_TYPE_MACHINE_WATCH, NULL);

	self->machines = g_object_ref(machines);
	self->window = window;
	g_signal_connect_object(window, "window-state-event", G_CALLBACK(window_changed), self, 0);
	return self;
}
