/* The graphs of a machine's figures, by their pixels, and how often they are drawn. */
#include <gtk/gtk.h>

#include "../../app/graph.h"
#include "desktop.h"

#define SECOND G_USEC_PER_SEC
#define WIDTH 119 /* a pixel for each sample but the first */
#define HEIGHT 100

#define BACKGROUND 0xFFFFFF
#define BLUE 0x3685E3
#define GREEN 0x57D48C
#define ORANGE 0xE6731A

struct fixture {
	OrielFigures *figures;
	GtkWidget *window, *graph;
	gint64 time;
	guint64 guest, user, kernel;
	guint drawn;
};

/* Two seconds in which this many hundredths of a core went to each. */
static void add(struct fixture *f, guint guest, guint user, guint kernel)
{
	g_autoptr(GVariant) counters = NULL;
	GVariantBuilder builder;

	f->guest += guest * 20000000ull;
	f->user += user * 20000000ull;
	f->kernel += kernel * 20000000ull;
	f->time += 2 * SECOND;
	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{st}"));
	g_variant_builder_add(&builder, "{st}", "time.guest", f->guest);
	g_variant_builder_add(&builder, "{st}", "process.user", f->user);
	g_variant_builder_add(&builder, "{st}", "process.kernel", f->kernel);
	counters = g_variant_ref_sink(g_variant_builder_end(&builder));
	oriel_figures_add(f->figures, counters, 0, f->time);
}

static gboolean count_drawing(GtkWidget *widget, cairo_t *cr, gpointer data)
{
	(void)widget;
	(void)cr;
	++*(guint *)data;
	return FALSE;
}

/* Until nothing is left to be done, the next frames among it. */
static void settle(void)
{
	for (guint i = 0; i < 10; i++) {
		while (gtk_events_pending())
			gtk_main_iteration();
		g_usleep(20000);
	}
}

static void set_up(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	f->figures = oriel_figures_new();
	f->graph = oriel_graph_new(f->figures, ORIEL_GRAPH_PROCESSOR, FALSE);
	oriel_graph_set_top(ORIEL_GRAPH(f->graph), 2);
	gtk_widget_set_size_request(f->graph, WIDTH, HEIGHT);
	f->window = gtk_window_new(GTK_WINDOW_POPUP);
	gtk_container_add(GTK_CONTAINER(f->window), f->graph);
	gtk_widget_show(f->window);
	settle();
	g_signal_connect(f->graph, "draw", G_CALLBACK(count_drawing), &f->drawn);
}

static void tear_down(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	gtk_widget_destroy(f->window);
	g_object_unref(f->figures);
}

static guint32 pixel(struct fixture *f, int x, int y)
{
	cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, WIDTH, HEIGHT);
	cairo_t *cr = cairo_create(surface);
	guint32 value;

	cairo_set_source_rgb(cr, 1, 1, 1);
	cairo_paint(cr);
	gtk_widget_draw(f->graph, cr);
	cairo_surface_flush(surface);
	value = *(guint32 *)(cairo_image_surface_get_data(surface) + y * cairo_image_surface_get_stride(surface) + x * 4) &
		0xffffff;
	cairo_destroy(cr);
	cairo_surface_destroy(surface);
	return value;
}

/* Cairo may round either way. */
static void expect_pixel(struct fixture *f, int x, int y, guint32 colour)
{
	guint32 actual = pixel(f, x, y);

	for (int shift = 0; shift < 24; shift += 8)
		if (ABS((int)(actual >> shift & 0xff) - (int)(colour >> shift & 0xff)) > 1)
			g_error("pixel %d, %d is %06x instead of %06x", x, y, actual, colour);
}

/* With a top of 2 cores, half a core is a quarter of the height. */
static void test_areas(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	expect_pixel(f, WIDTH - 10, HEIGHT / 2, BACKGROUND);
	add(f, 0, 0, 0);
	for (guint i = 0; i < 30; i++)
		add(f, 50, 50, 50);
	settle();
	expect_pixel(f, WIDTH - 10, HEIGHT - 12, BLUE);
	expect_pixel(f, WIDTH - 10, HEIGHT - 37, GREEN);
	expect_pixel(f, WIDTH - 10, HEIGHT - 62, ORANGE);
	expect_pixel(f, WIDTH - 10, HEIGHT - 87, BACKGROUND);
	expect_pixel(f, WIDTH - 40, HEIGHT - 12, BACKGROUND);
	/* More than there is does not leave the frame. */
	for (guint i = 0; i < 5; i++)
		add(f, 900, 0, 0);
	settle();
	expect_pixel(f, WIDTH - 2, 2, BLUE);
	oriel_figures_clear(f->figures);
	settle();
	expect_pixel(f, WIDTH - 10, HEIGHT - 12, BACKGROUND);
}

static void test_drawn_when_needed(struct fixture *f, gconstpointer unused)
{
	guint before;

	(void)unused;
	for (guint i = 0; i < ORIEL_FIGURES_LENGTH + 1; i++)
		add(f, 0, 0, 0);
	settle();
	before = f->drawn;
	for (guint i = 0; i < 5; i++) {
		add(f, 0, 0, 0);
		settle();
	}
	g_assert_cmpuint(f->drawn, ==, before);
	add(f, 40, 0, 0);
	settle();
	g_assert_cmpuint(f->drawn, >, before);
	/* Unseen */
	gtk_widget_hide(f->graph);
	settle();
	before = f->drawn;
	add(f, 80, 0, 0);
	settle();
	g_assert_cmpuint(f->drawn, ==, before);
	gtk_widget_show(f->graph);
	settle();
	g_assert_cmphex(pixel(f, WIDTH - 1, HEIGHT - 2), !=, BACKGROUND);
}

static void test_words(struct fixture *f, gconstpointer unused)
{
	AtkObject *accessible = gtk_widget_get_accessible(f->graph);

	(void)unused;
	g_assert_cmpstr(atk_object_get_name(accessible), ==, "Processor");
	g_assert_cmpstr(atk_object_get_description(accessible), ==, "Processor: Guest, Devices, Host kernel");
	add(f, 0, 0, 0);
	add(f, 150, 12, 3);
	g_assert_cmpstr(atk_object_get_description(accessible), ==,
			"Processor: Guest 150 %, Devices 12 %, Host kernel 3 %");
}

int main(int argc, char **argv)
{
	struct desktop *desktop;
	int status;

	g_setenv("GTK_THEME", "Adwaita", TRUE);
	g_setenv("NO_AT_BRIDGE", "1", TRUE);
	g_setenv("GDK_BACKEND", "x11", TRUE);
	g_setenv("G_DEBUG", "fatal-criticals", TRUE);
	desktop = desktop_start_alone();
	gtk_test_init(&argc, &argv, NULL);
	g_test_add("/graph/areas", struct fixture, NULL, set_up, test_areas, tear_down);
	g_test_add("/graph/drawn-when-needed", struct fixture, NULL, set_up, test_drawn_when_needed, tear_down);
	g_test_add("/graph/words", struct fixture, NULL, set_up, test_words, tear_down);
	status = g_test_run();
	desktop_stop(desktop);
	return status;
}
