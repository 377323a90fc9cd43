#include "machine_picture.h"

#include <math.h>

struct _OrielMachinePicture {
	GtkDrawingArea parent_instance;
	OrielMachine *machine;
};

G_DEFINE_FINAL_TYPE(OrielMachinePicture, oriel_machine_picture, GTK_TYPE_DRAWING_AREA)

static void outline(cairo_t *cr, double width, double height, double radius)
{
	cairo_new_sub_path(cr);
	cairo_arc(cr, width - radius, radius, radius, -G_PI_2, 0);
	cairo_arc(cr, width - radius, height - radius, radius, 0, G_PI_2);
	cairo_arc(cr, radius, height - radius, radius, G_PI_2, G_PI);
	cairo_arc(cr, radius, radius, radius, G_PI, 3 * G_PI_2);
	cairo_close_path(cr);
}

static void draw_screen(cairo_t *cr, double width, double height)
{
	cairo_pattern_t *glass = cairo_pattern_create_linear(0, 0, width / 2, height);

	cairo_pattern_add_color_stop_rgb(glass, 0, 0.22, 0.25, 0.30);
	cairo_pattern_add_color_stop_rgb(glass, 1, 0.11, 0.13, 0.16);
	cairo_set_source(cr, glass);
	cairo_paint(cr);
	cairo_pattern_destroy(glass);
}

static void draw_thumbnail(cairo_t *cr, GdkPixbuf *thumbnail, double width, double height)
{
	double own_width = gdk_pixbuf_get_width(thumbnail), own_height = gdk_pixbuf_get_height(thumbnail);
	double scale = MIN(width / own_width, height / own_height);

	cairo_save(cr);
	cairo_set_source_rgb(cr, 0, 0, 0);
	cairo_paint(cr);
	cairo_translate(cr, round((width - own_width * scale) / 2), round((height - own_height * scale) / 2));
	cairo_scale(cr, scale, scale);
	gdk_cairo_set_source_pixbuf(cr, thumbnail, 0, 0);
	cairo_paint(cr);
	cairo_restore(cr);
}

static void draw_symbol(OrielMachinePicture *self, cairo_t *cr, const char *name, double width, double height)
{
	const GdkRGBA colour = { 1, 1, 1, 0.75 };
	int size = height < 80 ? 16 : 48, scale = gtk_widget_get_scale_factor(GTK_WIDGET(self));
	g_autoptr(GtkIconInfo) icon = gtk_icon_theme_lookup_icon_for_scale(gtk_icon_theme_get_default(), name, size,
									   scale, GTK_ICON_LOOKUP_FORCE_SIZE);
	g_autoptr(GdkPixbuf) pixbuf = icon ? gtk_icon_info_load_symbolic(icon, &colour, NULL, NULL, NULL, NULL, NULL) :
					     NULL;
	cairo_surface_t *surface;

	if (!pixbuf)
		return;
	surface = gdk_cairo_surface_create_from_pixbuf(pixbuf, scale, NULL);
	cairo_set_source_surface(cr, surface, round((width - size) / 2), round((height - size) / 2));
	cairo_paint(cr);
	cairo_surface_destroy(surface);
}

/* NULL: the thumbnail says it all. */
static const char *choose_symbol(OrielMachine *machine)
{
	if (oriel_machine_get_locked(machine))
		return "changes-prevent-symbolic";
	if (oriel_machine_get_problem(machine))
		return "dialog-error-symbolic";
	switch (oriel_machine_get_state(machine)) {
	case ORIEL_MACHINE_STOPPED:
		return "system-shutdown-symbolic";
	case ORIEL_MACHINE_STARTING:
	case ORIEL_MACHINE_STOPPING:
		return "content-loading-symbolic";
	case ORIEL_MACHINE_PAUSED:
		return "media-playback-pause-symbolic";
	case ORIEL_MACHINE_CRASHED:
	case ORIEL_MACHINE_TROUBLE:
		return "dialog-warning-symbolic";
	default:
		return NULL;
	}
}

static gboolean oriel_machine_picture_draw(GtkWidget *widget, cairo_t *cr)
{
	OrielMachinePicture *self = ORIEL_MACHINE_PICTURE(widget);
	double width = gtk_widget_get_allocated_width(widget), height = gtk_widget_get_allocated_height(widget);
	GdkPixbuf *thumbnail = self->machine ? oriel_machine_get_thumbnail(self->machine) : NULL;
	const char *symbol = self->machine ? choose_symbol(self->machine) : NULL;

	outline(cr, width, height, height < 80 ? 4 : 8);
	cairo_clip(cr);
	draw_screen(cr, width, height);
	if (thumbnail)
		draw_thumbnail(cr, thumbnail, width, height);
	if (thumbnail && symbol) {
		cairo_set_source_rgba(cr, 0, 0, 0, 0.55);
		cairo_paint(cr);
	}
	if (symbol)
		draw_symbol(self, cr, symbol, width, height);
	return GDK_EVENT_PROPAGATE;
}

void oriel_machine_picture_set_machine(OrielMachinePicture *self, OrielMachine *machine)
{
	if (self->machine)
		g_signal_handlers_disconnect_by_data(self->machine, self);
	g_set_object(&self->machine, machine);
	if (machine)
		g_signal_connect_object(machine, "notify", G_CALLBACK(gtk_widget_queue_draw), self, G_CONNECT_SWAPPED);
	gtk_widget_queue_draw(GTK_WIDGET(self));
}

static void oriel_machine_picture_dispose(GObject *object)
{
	oriel_machine_picture_set_machine(ORIEL_MACHINE_PICTURE(object), NULL);
	G_OBJECT_CLASS(oriel_machine_picture_parent_class)->dispose(object);
}

static void oriel_machine_picture_class_init(OrielMachinePictureClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_machine_picture_dispose;
	GTK_WIDGET_CLASS(class)->draw = oriel_machine_picture_draw;
}

static void oriel_machine_picture_init(OrielMachinePicture *self)
{
	(void)self;
}
