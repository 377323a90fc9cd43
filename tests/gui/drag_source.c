/* A window full of a file that can be dragged elsewhere, as a file manager's. Argument: the file. */
#include <gtk/gtk.h>

static void tell_file(GtkWidget *widget, GdkDragContext *context, GtkSelectionData *data, guint info, guint time,
		      gpointer uri)
{
	char *uris[] = { uri, NULL };

	(void)widget;
	(void)context;
	(void)info;
	(void)time;
	gtk_selection_data_set_uris(data, uris);
}

int main(int argc, char **argv)
{
	g_autofree char *uri = NULL;
	GtkWidget *window, *box;

	gtk_init(&argc, &argv);
	uri = g_filename_to_uri(argv[1], NULL, NULL);
	window = gtk_window_new(GTK_WINDOW_TOPLEVEL);
	box = gtk_event_box_new();
	gtk_window_set_title(GTK_WINDOW(window), "Drag source");
	gtk_widget_set_size_request(box, 200, 200);
	gtk_drag_source_set(box, GDK_BUTTON1_MASK, NULL, 0, GDK_ACTION_COPY);
	gtk_drag_source_add_uri_targets(box);
	g_signal_connect(box, "drag-data-get", G_CALLBACK(tell_file), uri);
	gtk_container_add(GTK_CONTAINER(window), box);
	gtk_widget_show_all(window);
	gtk_main();
	return 0;
}
