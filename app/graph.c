#include "graph.h"

#include <glib/gi18n.h>
#include <math.h>

#define SERIES_MAX 3
#define MARGIN 6.0

struct series {
	const char *name;
	size_t offset; /* of a gdouble in struct oriel_sample */
	GdkRGBA color;
};

/* Colours that can be told apart on light and dark, and without colour vision by their brightness. */
#define BLUE { 0.21, 0.52, 0.89, 1 }
#define GREEN { 0.34, 0.83, 0.55, 1 }
#define ORANGE { 0.90, 0.45, 0.10, 1 }

static const struct kind {
	const char *title;
	gboolean bytes, rate;
	gdouble least; /* top of the scale at least */
	struct series series[SERIES_MAX];
} kinds[ORIEL_GRAPH_KINDS] = {
	[ORIEL_GRAPH_PROCESSOR] = { N_("Processor"), FALSE, FALSE, 1,
		{ { N_("Guest"), G_STRUCT_OFFSET(struct oriel_sample, guest), BLUE },
		  { N_("Devices"), G_STRUCT_OFFSET(struct oriel_sample, user), GREEN },
		  { N_("Host kernel"), G_STRUCT_OFFSET(struct oriel_sample, kernel), ORANGE } } },
	[ORIEL_GRAPH_MEMORY] = { N_("Memory"), TRUE, FALSE, 1 << 20,
		{ { N_("Guest"), G_STRUCT_OFFSET(struct oriel_sample, guest_memory), BLUE },
		  { N_("Overhead"), G_STRUCT_OFFSET(struct oriel_sample, overhead), ORANGE } } },
	[ORIEL_GRAPH_DISK] = { N_("Disk"), TRUE, TRUE, 1 << 20,
		{ { N_("Read"), G_STRUCT_OFFSET(struct oriel_sample, disk_read), BLUE },
		  { N_("Written"), G_STRUCT_OFFSET(struct oriel_sample, disk_written), ORANGE } } },
	[ORIEL_GRAPH_NETWORK] = { N_("Network"), TRUE, TRUE, 100 << 10,
		{ { N_("Received"), G_STRUCT_OFFSET(struct oriel_sample, network_received), BLUE },
		  { N_("Sent"), G_STRUCT_OFFSET(struct oriel_sample, network_sent), ORANGE } } },
};

struct _OrielGraph {
	GtkDrawingArea parent;
	OrielFigures *figures;
	const struct kind *kind;
	gdouble most;
	gboolean detailed;
	GArray *drawn; /* guint: heights of all areas in pixels, as drawn last */
};

G_DEFINE_FINAL_TYPE(OrielGraph, oriel_graph, GTK_TYPE_DRAWING_AREA)

static gdouble value_of(const struct oriel_sample *sample, const struct series *series)
{
	return G_STRUCT_MEMBER(gdouble, sample, series->offset);
}

static gdouble sum_up_to(const struct oriel_sample *sample, const struct kind *kind, guint last)
{
	gdouble sum = 0;

	for (guint i = 0; i <= last; i++)
		if (kind->series[i].name)
			sum += value_of(sample, &kind->series[i]);
	return sum;
}

/* One that is found takes powers of two: the picture does not twitch with each sample. */
static gdouble top_of_scale(OrielGraph *graph)
{
	gdouble most = graph->kind->least;

	if (graph->most > 0)
		return graph->most;
	for (guint i = 0; i < oriel_figures_get_length(graph->figures); i++)
		most = MAX(most, sum_up_to(oriel_figures_get(graph->figures, i), graph->kind, SERIES_MAX - 1));
	return exp2(ceil(log2(most)));
}

static char *format_value(const struct kind *kind, gdouble value)
{
	g_autofree char *size = NULL;

	if (!kind->bytes)
		return g_strdup_printf(_("%.0f %%"), value * 100);
	size = g_format_size_full((guint64)value, G_FORMAT_SIZE_IEC_UNITS);
	return kind->rate ? g_strdup_printf(C_("bytes per second", "%s/s"), size) : g_steal_pointer(&size);
}

/* "Guest 12 %": the newest figure. */
static char *describe_series(OrielGraph *graph, guint index)
{
	const struct series *series = &graph->kind->series[index];
	guint length = oriel_figures_get_length(graph->figures);
	g_autofree char *value = NULL;

	if (!length)
		return g_strdup(_(series->name));
	value = format_value(graph->kind, value_of(oriel_figures_get(graph->figures, length - 1), series));
	return g_strdup_printf(C_("what, how much", "%s %s"), _(series->name), value);
}

static char *describe(OrielGraph *graph)
{
	GString *text = g_string_new(_(graph->kind->title));

	for (guint i = 0; i < SERIES_MAX && graph->kind->series[i].name; i++) {
		g_autofree char *series = describe_series(graph, i);

		g_string_append_printf(text, "%s%s", i ? ", " : ": ", series);
	}
	return g_string_free(text, FALSE);
}

static void draw_text(OrielGraph *graph, cairo_t *cr, const char *text, gdouble right, gdouble y)
{
	g_autoptr(PangoLayout) layout = gtk_widget_create_pango_layout(GTK_WIDGET(graph), text);
	int width;

	pango_layout_get_pixel_size(layout, &width, NULL);
	gtk_render_layout(gtk_widget_get_style_context(GTK_WIDGET(graph)), cr, right - width, y, layout);
}

/* "Title ... top of the scale", and below what each colour means, with its newest figure. Returns the height. */
static gdouble draw_legend(OrielGraph *graph, cairo_t *cr, gdouble width)
{
	GtkStyleContext *style = gtk_widget_get_style_context(GTK_WIDGET(graph));
	g_autoptr(PangoLayout) layout = gtk_widget_create_pango_layout(GTK_WIDGET(graph), _(graph->kind->title));
	g_autofree char *top = format_value(graph->kind, top_of_scale(graph));
	gdouble x = MARGIN;
	int height, text_width;

	pango_layout_get_pixel_size(layout, NULL, &height);
	gtk_render_layout(style, cr, MARGIN, 0, layout);
	draw_text(graph, cr, top, width - MARGIN, 0);
	for (guint i = 0; i < SERIES_MAX && graph->kind->series[i].name; i++) {
		g_autofree char *text = describe_series(graph, i);

		gdk_cairo_set_source_rgba(cr, &graph->kind->series[i].color);
		cairo_rectangle(cr, x, height + height / 4.0, height / 2.0, height / 2.0);
		cairo_fill(cr);
		pango_layout_set_text(layout, text, -1);
		pango_layout_get_pixel_size(layout, &text_width, NULL);
		gtk_render_layout(style, cr, x + height * 0.75, height, layout);
		x += height * 0.75 + text_width + 2 * MARGIN;
	}
	return 2 * height + MARGIN;
}

/* How high in a graph of this height the series up to this one reach. */
static guint height_of(OrielGraph *graph, guint index, guint series, gdouble top, int height)
{
	gdouble sum = sum_up_to(oriel_figures_get(graph->figures, index), graph->kind, series);

	return (guint)lround(MIN(sum / top, 1) * height);
}

static void draw_area(OrielGraph *graph, cairo_t *cr, const GdkRectangle *area, guint series, gdouble top)
{
	guint length = oriel_figures_get_length(graph->figures);
	gdouble step = (gdouble)area->width / (ORIEL_FIGURES_LENGTH - 1);
	gdouble bottom = area->y + area->height, x = area->x + area->width;
	GdkRGBA color = graph->kind->series[series].color;

	cairo_move_to(cr, x, bottom);
	for (guint i = length; i-- > 0; x -= step) {
		cairo_line_to(cr, x, bottom - height_of(graph, i, series, top, area->height));
	}
	cairo_line_to(cr, x + step, bottom);
	cairo_close_path(cr);
	gdk_cairo_set_source_rgba(cr, &color);
	cairo_fill(cr);
}

static void draw_grid(OrielGraph *graph, cairo_t *cr, const GdkRectangle *area)
{
	GdkRGBA color;

	gtk_style_context_get_color(gtk_widget_get_style_context(GTK_WIDGET(graph)),
				    gtk_widget_get_state_flags(GTK_WIDGET(graph)), &color);
	color.alpha = 0.2;
	gdk_cairo_set_source_rgba(cr, &color);
	cairo_set_line_width(cr, 1);
	for (guint i = 1; graph->detailed && i < 4; i++) {
		gdouble y = floor(area->y + area->height * i / 4.0) + 0.5;

		cairo_move_to(cr, area->x, y);
		cairo_line_to(cr, area->x + area->width, y);
	}
	cairo_rectangle(cr, area->x + 0.5, area->y + 0.5, area->width - 1, area->height - 1);
	cairo_stroke(cr);
}

static gboolean oriel_graph_draw(GtkWidget *widget, cairo_t *cr)
{
	OrielGraph *graph = ORIEL_GRAPH(widget);
	GtkAllocation size;
	GdkRectangle area;
	gdouble top = top_of_scale(graph), legend;

	gtk_widget_get_allocation(widget, &size);
	legend = graph->detailed ? draw_legend(graph, cr, size.width) : 0;
	area = (GdkRectangle){ 0, (int)legend, size.width, MAX(size.height - (int)legend, 1) };
	cairo_save(cr);
	/* From the sum of all down to the lowest: each covers the lower part of the one before. */
	for (guint i = SERIES_MAX; i-- > 0;)
		if (graph->kind->series[i].name)
			draw_area(graph, cr, &area, i, top);
	cairo_restore(cr);
	draw_grid(graph, cr, &area);
	return GDK_EVENT_PROPAGATE;
}

/* Where nothing goes on the picture stays the same for minutes. */
static gboolean looks_different(OrielGraph *graph)
{
	int height = gtk_widget_get_allocated_height(GTK_WIDGET(graph));
	guint length = oriel_figures_get_length(graph->figures), at = 0;
	gdouble top = top_of_scale(graph);
	gboolean different = graph->drawn->len != length * SERIES_MAX;

	g_array_set_size(graph->drawn, length * SERIES_MAX);
	for (guint i = 0; i < length; i++)
		for (guint series = 0; series < SERIES_MAX; series++, at++) {
			guint value = height_of(graph, i, series, top, height);

			different |= g_array_index(graph->drawn, guint, at) != value;
			g_array_index(graph->drawn, guint, at) = value;
		}
	return different;
}

static void figures_changed(OrielGraph *graph)
{
	AtkObject *accessible = gtk_widget_get_accessible(GTK_WIDGET(graph));
	g_autofree char *text = NULL;

	if (!gtk_widget_get_mapped(GTK_WIDGET(graph)))
		return;
	text = describe(graph);
	if (g_strcmp0(text, atk_object_get_description(accessible)) != 0)
		atk_object_set_description(accessible, text);
	if (looks_different(graph) || graph->detailed)
		gtk_widget_queue_draw(GTK_WIDGET(graph));
}

static void oriel_graph_map(GtkWidget *widget)
{
	GTK_WIDGET_CLASS(oriel_graph_parent_class)->map(widget);
	figures_changed(ORIEL_GRAPH(widget));
}

static gboolean oriel_graph_query_tooltip(GtkWidget *widget, int x, int y, gboolean keyboard, GtkTooltip *tooltip)
{
	g_autofree char *text = describe(ORIEL_GRAPH(widget));

	(void)x;
	(void)y;
	(void)keyboard;
	gtk_tooltip_set_text(tooltip, text);
	return TRUE;
}

static void oriel_graph_dispose(GObject *object)
{
	g_clear_object(&ORIEL_GRAPH(object)->figures);
	G_OBJECT_CLASS(oriel_graph_parent_class)->dispose(object);
}

static void oriel_graph_finalize(GObject *object)
{
	g_array_unref(ORIEL_GRAPH(object)->drawn);
	G_OBJECT_CLASS(oriel_graph_parent_class)->finalize(object);
}

static void oriel_graph_class_init(OrielGraphClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_graph_dispose;
	G_OBJECT_CLASS(class)->finalize = oriel_graph_finalize;
	GTK_WIDGET_CLASS(class)->draw = oriel_graph_draw;
	GTK_WIDGET_CLASS(class)->map = oriel_graph_map;
	GTK_WIDGET_CLASS(class)->query_tooltip = oriel_graph_query_tooltip;
	gtk_widget_class_set_accessible_role(GTK_WIDGET_CLASS(class), ATK_ROLE_CHART);
}

static void oriel_graph_init(OrielGraph *graph)
{
	graph->drawn = g_array_new(FALSE, TRUE, sizeof(guint));
}

GtkWidget *oriel_graph_new(OrielFigures *figures, enum oriel_graph_kind kind, gboolean detailed)
{
	OrielGraph *graph = g_object_new(ORIEL_TYPE_GRAPH, "visible", TRUE, "has-tooltip", !detailed, NULL);

	graph->figures = g_object_ref(figures);
	graph->kind = &kinds[kind];
	graph->detailed = detailed;
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(graph)), _(graph->kind->title));
	gtk_widget_set_size_request(GTK_WIDGET(graph), detailed ? 360 : 48, detailed ? 110 : 24);
	g_signal_connect_object(figures, "changed", G_CALLBACK(figures_changed), graph, G_CONNECT_SWAPPED);
	return GTK_WIDGET(graph);
}

void oriel_graph_set_top(OrielGraph *graph, gdouble top)
{
	graph->most = top;
	figures_changed(graph);
}

struct graphs {
	OrielGraph *processor, *memory;
};

static void config_changed(OrielMachine *machine, gpointer box)
{
	const struct graphs *graphs = g_object_get_data(G_OBJECT(box), "graphs");
	const struct machine_config *config = oriel_machine_get_config(machine);

	oriel_graph_set_top(graphs->processor, config ? config->cpus : 0);
	oriel_graph_set_top(graphs->memory, config ? (gdouble)config->memory : 0);
}

GtkWidget *oriel_graphs_new(OrielMachine *machine, gboolean detailed)
{
	GtkWidget *box = gtk_box_new(detailed ? GTK_ORIENTATION_VERTICAL : GTK_ORIENTATION_HORIZONTAL,
				     detailed ? 18 : 4);
	struct graphs *graphs = g_new0(struct graphs, 1);

	for (guint kind = 0; kind < ORIEL_GRAPH_KINDS; kind++) {
		GtkWidget *graph = oriel_graph_new(oriel_machine_get_figures(machine), kind, detailed);

		if (kind == ORIEL_GRAPH_PROCESSOR)
			graphs->processor = ORIEL_GRAPH(graph);
		if (kind == ORIEL_GRAPH_MEMORY)
			graphs->memory = ORIEL_GRAPH(graph);
		gtk_box_pack_start(GTK_BOX(box), graph, TRUE, TRUE, 0);
	}
	gtk_widget_show(box);
	g_object_set_data_full(G_OBJECT(box), "graphs", graphs, g_free);
	g_signal_connect_object(machine, "config-changed", G_CALLBACK(config_changed), box, 0);
	config_changed(machine, box);
	return box;
}
