#include "machine_tile.h"

#include <glib/gi18n.h>

#include "graph.h"
#include "machine_picture.h"
#include "system_icon.h"

#define GIB (1ull << 30)

struct _OrielMachineTile {
	GtkFlowBoxChild parent_instance;
	OrielMachine *machine;
	OrielMachinePicture *picture;
	GtkImage *system;
	GtkLabel *name, *state, *resources;
	GtkStack *figures;
};

struct _OrielMachineRow {
	GtkListBoxRow parent_instance;
	OrielMachine *machine;
	OrielMachinePicture *picture;
	GtkImage *system;
	GtkLabel *name, *state, *cpus, *memory;
	GtkBox *figures;
};

G_DEFINE_FINAL_TYPE(OrielMachineTile, oriel_machine_tile, GTK_TYPE_FLOW_BOX_CHILD)
G_DEFINE_FINAL_TYPE(OrielMachineRow, oriel_machine_row, GTK_TYPE_LIST_BOX_ROW)

const char *oriel_machine_describe_state(OrielMachine *machine)
{
	static const char *const names[] = {
		[ORIEL_MACHINE_STOPPED] = N_("Switched off"), [ORIEL_MACHINE_STARTING] = N_("Starting…"),
		[ORIEL_MACHINE_RUNNING] = N_("Running"),      [ORIEL_MACHINE_PAUSED] = N_("Paused"),
		[ORIEL_MACHINE_CRASHED] = N_("Crashed"),      [ORIEL_MACHINE_TROUBLE] = N_("Needs help"),
		[ORIEL_MACHINE_STOPPING] = N_("Switching off…"),
	};

	if (oriel_machine_get_locked(machine))
		return _("Made by a newer version");
	if (oriel_machine_get_problem(machine))
		return _("Configuration is damaged");
	return _(names[oriel_machine_get_state(machine)]);
}

/* The words that both have, and the name by which a screen reader calls the whole. */
static void show_state(GtkWidget *widget, OrielMachine *machine, GtkLabel *name, GtkLabel *state)
{
	const char *problem = oriel_machine_get_problem(machine);
	const char *message = oriel_machine_get_message(machine);
	g_autofree char *accessible = NULL;

	gtk_label_set_text(name, oriel_machine_get_name(machine));
	gtk_label_set_text(state, oriel_machine_describe_state(machine));
	gtk_widget_set_tooltip_text(widget, problem ? problem : *message ? message : NULL);
	accessible = g_strdup_printf(C_("name, state", "%s, %s"), oriel_machine_get_name(machine),
				     oriel_machine_describe_state(machine));
	atk_object_set_name(gtk_widget_get_accessible(widget), accessible);
}

static void show_system(OrielMachine *machine, GtkImage *image)
{
	const struct machine_config *config = oriel_machine_get_config(machine);
	g_autoptr(GIcon) icon = oriel_system_icon_of(config ? config->system : NULL);

	g_object_set(image, "gicon", icon, NULL);
	gtk_image_set_pixel_size(image, 32);
}

static char *describe_cpus(const struct machine_config *config)
{
	return g_strdup_printf(ngettext("%u CPU", "%u CPUs", config->cpus), config->cpus);
}

static char *describe_memory(const struct machine_config *config)
{
	if (config->memory % GIB)
		return g_strdup_printf(_("%u MiB"), (guint)(config->memory >> 20));
	return g_strdup_printf(_("%u GiB"), (guint)(config->memory / GIB));
}

/* The tile */

static void update_tile(OrielMachineTile *self)
{
	show_state(GTK_WIDGET(self), self->machine, self->name, self->state);
	gtk_stack_set_visible_child_name(self->figures, oriel_machine_is_live(self->machine) ? "graphs" : "resources");
}

static void show_tile_config(OrielMachineTile *self)
{
	const struct machine_config *config = oriel_machine_get_config(self->machine);
	g_autofree char *cpus = config ? describe_cpus(config) : NULL;
	g_autofree char *memory = config ? describe_memory(config) : NULL;
	g_autofree char *text = config ? g_strdup_printf(C_("processors, memory", "%s, %s"), cpus, memory) : NULL;

	show_system(self->machine, self->system);
	gtk_label_set_text(self->resources, text ? text : "");
}

GtkWidget *oriel_machine_tile_new(OrielMachine *machine)
{
	OrielMachineTile *self = g_object_new(ORIEL_TYPE_MACHINE_TILE, "visible", TRUE, NULL);

	self->machine = g_object_ref(machine);
	oriel_machine_picture_set_machine(self->picture, machine);
	gtk_stack_add_named(self->figures, oriel_graphs_new(machine, FALSE), "graphs");
	g_signal_connect_object(machine, "notify", G_CALLBACK(update_tile), self, G_CONNECT_SWAPPED);
	g_signal_connect_object(machine, "config-changed", G_CALLBACK(show_tile_config), self, G_CONNECT_SWAPPED);
	update_tile(self);
	show_tile_config(self);
	return GTK_WIDGET(self);
}

OrielMachine *oriel_machine_tile_get_machine(OrielMachineTile *self)
{
	return self->machine;
}

static void oriel_machine_tile_finalize(GObject *object)
{
	g_clear_object(&ORIEL_MACHINE_TILE(object)->machine);
	G_OBJECT_CLASS(oriel_machine_tile_parent_class)->finalize(object);
}

static void oriel_machine_tile_class_init(OrielMachineTileClass *class)
{
	GtkWidgetClass *widget = GTK_WIDGET_CLASS(class);

	G_OBJECT_CLASS(class)->finalize = oriel_machine_tile_finalize;
	g_type_ensure(ORIEL_TYPE_MACHINE_PICTURE);
	gtk_widget_class_set_template_from_resource(widget, "/io/github/oriel/Oriel/tile.ui");
	gtk_widget_class_bind_template_child(widget, OrielMachineTile, picture);
	gtk_widget_class_bind_template_child(widget, OrielMachineTile, name);
	gtk_widget_class_bind_template_child(widget, OrielMachineTile, state);
	gtk_widget_class_bind_template_child(widget, OrielMachineTile, system);
	gtk_widget_class_bind_template_child(widget, OrielMachineTile, resources);
	gtk_widget_class_bind_template_child(widget, OrielMachineTile, figures);
}

static void oriel_machine_tile_init(OrielMachineTile *self)
{
	gtk_widget_init_template(GTK_WIDGET(self));
}

/* The row */

static void show_resources(OrielMachineRow *self)
{
	const struct machine_config *config = oriel_machine_get_config(self->machine);
	g_autofree char *cpus = NULL, *memory = NULL;

	show_system(self->machine, self->system);
	gtk_widget_set_visible(GTK_WIDGET(self->cpus), config != NULL);
	gtk_widget_set_visible(GTK_WIDGET(self->memory), config != NULL);
	if (!config)
		return;
	cpus = describe_cpus(config);
	memory = describe_memory(config);
	gtk_label_set_text(self->cpus, cpus);
	gtk_label_set_text(self->memory, memory);
}

static void update_row(OrielMachineRow *self)
{
	show_state(GTK_WIDGET(self), self->machine, self->name, self->state);
	gtk_widget_set_visible(GTK_WIDGET(self->figures), oriel_machine_is_live(self->machine));
}

GtkWidget *oriel_machine_row_new(OrielMachine *machine)
{
	OrielMachineRow *self = g_object_new(ORIEL_TYPE_MACHINE_ROW, "visible", TRUE, NULL);

	self->machine = g_object_ref(machine);
	oriel_machine_picture_set_machine(self->picture, machine);
	gtk_box_pack_start(self->figures, oriel_graphs_new(machine, FALSE), TRUE, TRUE, 0);
	g_signal_connect_object(machine, "notify", G_CALLBACK(update_row), self, G_CONNECT_SWAPPED);
	g_signal_connect_object(machine, "config-changed", G_CALLBACK(show_resources), self, G_CONNECT_SWAPPED);
	update_row(self);
	show_resources(self);
	return GTK_WIDGET(self);
}

OrielMachine *oriel_machine_row_get_machine(OrielMachineRow *self)
{
	return self->machine;
}

static void oriel_machine_row_finalize(GObject *object)
{
	g_clear_object(&ORIEL_MACHINE_ROW(object)->machine);
	G_OBJECT_CLASS(oriel_machine_row_parent_class)->finalize(object);
}

static void oriel_machine_row_class_init(OrielMachineRowClass *class)
{
	GtkWidgetClass *widget = GTK_WIDGET_CLASS(class);

	G_OBJECT_CLASS(class)->finalize = oriel_machine_row_finalize;
	g_type_ensure(ORIEL_TYPE_MACHINE_PICTURE);
	gtk_widget_class_set_template_from_resource(widget, "/io/github/oriel/Oriel/row.ui");
	gtk_widget_class_bind_template_child(widget, OrielMachineRow, picture);
	gtk_widget_class_bind_template_child(widget, OrielMachineRow, name);
	gtk_widget_class_bind_template_child(widget, OrielMachineRow, state);
	gtk_widget_class_bind_template_child(widget, OrielMachineRow, system);
	gtk_widget_class_bind_template_child(widget, OrielMachineRow, figures);
	gtk_widget_class_bind_template_child(widget, OrielMachineRow, cpus);
	gtk_widget_class_bind_template_child(widget, OrielMachineRow, memory);
}

static void oriel_machine_row_init(OrielMachineRow *self)
{
	gtk_widget_init_template(GTK_WIDGET(self));
}
