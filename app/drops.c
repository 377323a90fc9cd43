#include "drops.h"

struct drops {
	void (*dropped)(GFile *file, gpointer data);
	gpointer data;
};

static void files_dropped(GtkWidget *widget, GdkDragContext *context, int x, int y, GtkSelectionData *selection,
			  guint info, guint time, gpointer data)
{
	const struct drops *drops = data;
	g_auto(GStrv) uris = gtk_selection_data_get_uris(selection);

	(void)widget;
	(void)x;
	(void)y;
	(void)info;
	gtk_drag_finish(context, uris != NULL, FALSE, time);
	for (guint i = 0; uris && uris[i]; i++) {
		g_autoptr(GFile) file = g_file_new_for_uri(uris[i]);

		drops->dropped(file, drops->data);
	}
}

static gboolean drag_moves(GtkWidget *widget, GdkDragContext *context, int x, int y, guint time, gpointer unused)
{
	(void)context;
	(void)x;
	(void)y;
	(void)time;
	(void)unused;
	gtk_style_context_add_class(gtk_widget_get_style_context(widget), "oriel-drop");
	return FALSE;
}

static void drag_leaves(GtkWidget *widget, GdkDragContext *context, guint time, gpointer unused)
{
	(void)context;
	(void)time;
	(void)unused;
	gtk_style_context_remove_class(gtk_widget_get_style_context(widget), "oriel-drop");
}

static void free_drops(gpointer drops, GClosure *closure)
{
	(void)closure;
	g_free(drops);
}

void oriel_drops_accept(GtkWidget *target, void (*dropped)(GFile *file, gpointer data), gpointer data)
{
	struct drops *drops = g_new(struct drops, 1);

	*drops = (struct drops){ dropped, data };
	gtk_drag_dest_set(target, GTK_DEST_DEFAULT_ALL, NULL, 0, GDK_ACTION_COPY);
	gtk_drag_dest_add_uri_targets(target);
	g_signal_connect_data(target, "drag-data-received", G_CALLBACK(files_dropped), drops, free_drops, 0);
	g_signal_connect(target, "drag-motion", G_CALLBACK(drag_moves), NULL);
	g_signal_connect(target, "drag-leave", G_CALLBACK(drag_leaves), NULL);
}
