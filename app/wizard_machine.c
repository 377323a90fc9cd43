#include "wizard_machine.h"

#include <glib/gi18n.h>

#include "machine_store.h"
#include "system_chooser.h"

#define MIB ((guint64)1 << 20)
#define GIB ((guint64)1 << 30)
#define MEMORY_LEAST 64 /* MiB */
#define MEMORY_STEP 64
#define DISK_LEAST 1 /* GiB */
#define DISK_MOST 65536

struct _OrielWizardMachine {
	GtkBox parent;
	OrielSystems *systems;
	OrielHost *host;
	OrielSystem *system;
	guint64 free_space;
	gboolean has_import;
	GtkImage *logo;
	GtkLabel *recognised, *problem, *cpus_warning, *memory_warning, *disk_warning, *memory_value, *disk_free;
	GtkWidget *chooser, *disk_rows;
	GtkEntry *name;
	GtkAdjustment *cpus, *memory, *disk;
	GtkToggleButton *has_disk, *preallocate, *start;
};

G_DEFINE_FINAL_TYPE(OrielWizardMachine, oriel_wizard_machine, GTK_TYPE_BOX)

enum { SIGNAL_CHANGED, SIGNALS };

static guint signals[SIGNALS];

static const struct oriel_system_info *system_info(OrielWizardMachine *self)
{
	return oriel_system_get_info(self->system);
}

static void show_warning(GtkLabel *label, char *text)
{
	gtk_label_set_text(label, text ? text : "");
	gtk_widget_set_visible(GTK_WIDGET(label), text != NULL);
	g_free(text);
}

static void update(OrielWizardMachine *self)
{
	struct oriel_wizard_choice choice;
	g_autofree char *memory = NULL;

	if (!self->system)
		return;
	oriel_wizard_machine_get(self, &choice);
	memory = g_format_size_full(choice.memory, G_FORMAT_SIZE_IEC_UNITS);
	gtk_label_set_text(self->memory_value, memory);
	show_warning(self->cpus_warning, oriel_host_check_cpus(self->host, system_info(self), choice.cpus));
	show_warning(self->memory_warning, oriel_host_check_memory(self->host, system_info(self), choice.memory));
	show_warning(self->disk_warning, choice.disk ? oriel_host_check_disk(system_info(self), choice.disk,
		     self->free_space, choice.preallocate) : NULL);
	gtk_widget_set_sensitive(self->disk_rows, gtk_toggle_button_get_active(self->has_disk));
	g_free(choice.name);
	g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

static void set_system(OrielWizardMachine *self, OrielSystem *system)
{
	const struct oriel_system_info *info = oriel_system_get_info(system);
	struct oriel_resources resources = oriel_host_recommend(self->host, info);
	g_autoptr(GIcon) icon = oriel_system_create_icon(system);

	g_set_object(&self->system, system);
	gtk_image_set_from_gicon(self->logo, icon, GTK_ICON_SIZE_DIALOG);
	gtk_adjustment_set_value(self->cpus, resources.cpus);
	gtk_adjustment_set_value(self->memory, (double)(resources.memory / MIB));
	gtk_adjustment_set_value(self->disk, (double)((resources.disk + GIB - 1) / GIB));
	gtk_label_set_text(self->recognised, info->name);
	oriel_system_chooser_set_system(ORIEL_SYSTEM_CHOOSER(self->chooser), system);
	update(self);
}

static void system_chosen(OrielSystemChooser *chooser, OrielSystem *system, gpointer data)
{
	(void)chooser;
	set_system(data, system);
}

static void set_problem(OrielWizardMachine *self, const char *problem)
{
	show_warning(self->problem, g_strdup(problem));
}

void oriel_wizard_machine_set_media(OrielWizardMachine *self, OrielMedia *media)
{
	const struct oriel_media_info *info = media ? oriel_media_get_info(media) : NULL;
	g_autofree char *name = media ? oriel_media_suggest_name(media) : g_strdup(_("New machine"));
	OrielSystem *system = info ? info->system : oriel_systems_get_generic(self->systems, ORIEL_FAMILY_OTHER);

	self->has_import = FALSE;
	set_system(self, system);
	gtk_entry_set_text(self->name, name);
	set_problem(self, info ? info->problem : NULL);
	if (info && !info->recognised)
		gtk_label_set_text(self->recognised, _("Not recognised: choose the system, or go on with these values"));
	/* What starts from the disc needs none. */
	gtk_toggle_button_set_active(self->has_disk, !(info && info->recognised && info->live && !info->installer));
	gtk_widget_set_visible(gtk_widget_get_parent(self->disk_rows), TRUE);
	update(self);
}

void oriel_wizard_machine_set_import(OrielWizardMachine *self, OrielImport *import)
{
	const struct oriel_import_info *info = oriel_import_get_info(import);
	g_autofree char *needed = g_format_size_full(info->needed, G_FORMAT_SIZE_IEC_UNITS);
	g_autofree char *text = g_strdup_printf(ngettext("%u disk, which takes about %s", "%u disks, which take about %s",
							 info->disk_count), info->disk_count, needed);

	self->has_import = TRUE;
	set_system(self, oriel_systems_get_generic(self->systems, ORIEL_FAMILY_OTHER));
	gtk_label_set_text(self->recognised, text);
	gtk_entry_set_text(self->name, info->name);
	if (info->cpus)
		gtk_adjustment_set_value(self->cpus, info->cpus);
	if (info->memory)
		gtk_adjustment_set_value(self->memory, (double)(info->memory / MIB));
	set_problem(self, NULL);
	gtk_toggle_button_set_active(self->has_disk, FALSE);
	gtk_widget_set_visible(gtk_widget_get_parent(self->disk_rows), FALSE);
	update(self);
}

gboolean oriel_wizard_machine_is_complete(OrielWizardMachine *self)
{
	g_autofree char *name = g_strstrip(g_strdup(gtk_entry_get_text(self->name)));

	return self->system && *name;
}

void oriel_wizard_machine_get(OrielWizardMachine *self, struct oriel_wizard_choice *choice)
{
	gboolean disk = gtk_toggle_button_get_active(self->has_disk);

	*choice = (struct oriel_wizard_choice){
		.name = g_strstrip(g_strdup(gtk_entry_get_text(self->name))),
		.cpus = (guint)gtk_adjustment_get_value(self->cpus),
		.memory = (guint64)gtk_adjustment_get_value(self->memory) / MEMORY_STEP * MEMORY_STEP * MIB,
		.disk = disk && !self->has_import ? (guint64)gtk_adjustment_get_value(self->disk) * GIB : 0,
		.preallocate = gtk_toggle_button_get_active(self->preallocate),
		.system = oriel_system_get_info(self->system)->generic &&
			  oriel_system_get_info(self->system)->family == ORIEL_FAMILY_OTHER ?
			  NULL : oriel_system_get_info(self->system)->id,
		.start = gtk_toggle_button_get_active(self->start),
	};
}

/* --- Building --- */

static GtkWidget *add_row(GtkGrid *grid, int *row, const char *label, GtkWidget *widget)
{
	GtkWidget *text = gtk_label_new_with_mnemonic(label);

	gtk_label_set_xalign(GTK_LABEL(text), 1);
	gtk_label_set_mnemonic_widget(GTK_LABEL(text), widget);
	gtk_style_context_add_class(gtk_widget_get_style_context(text), GTK_STYLE_CLASS_DIM_LABEL);
	gtk_grid_attach(grid, text, 0, *row, 1, 1);
	gtk_widget_set_hexpand(widget, TRUE);
	gtk_grid_attach(grid, widget, 1, (*row)++, 1, 1);
	return widget;
}

static GtkLabel *add_warning(GtkGrid *grid, int *row)
{
	GtkWidget *label = gtk_label_new(NULL);

	gtk_label_set_xalign(GTK_LABEL(label), 0);
	gtk_label_set_line_wrap(GTK_LABEL(label), TRUE);
	gtk_label_set_max_width_chars(GTK_LABEL(label), 60);
	gtk_style_context_add_class(gtk_widget_get_style_context(label), "oriel-warning");
	gtk_widget_set_no_show_all(label, TRUE);
	gtk_grid_attach(grid, label, 1, (*row)++, 2, 1);
	return GTK_LABEL(label);
}

static GtkWidget *new_scale(OrielWizardMachine *self, GtkAdjustment *adjustment, const char *name)
{
	GtkWidget *scale = gtk_scale_new(GTK_ORIENTATION_HORIZONTAL, adjustment);

	gtk_scale_set_draw_value(GTK_SCALE(scale), FALSE);
	atk_object_set_name(gtk_widget_get_accessible(scale), name);
	g_signal_connect_swapped(adjustment, "value-changed", G_CALLBACK(update), self);
	return scale;
}

static void add_system(OrielWizardMachine *self)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12);
	GtkWidget *texts = gtk_box_new(GTK_ORIENTATION_VERTICAL, 3);

	self->logo = GTK_IMAGE(gtk_image_new());
	gtk_image_set_pixel_size(self->logo, 64);
	self->recognised = GTK_LABEL(gtk_label_new(NULL));
	self->problem = GTK_LABEL(gtk_label_new(NULL));
	for (unsigned i = 0; i < 2; i++) {
		GtkLabel *label = i ? self->problem : self->recognised;

		gtk_label_set_xalign(label, 0);
		gtk_label_set_line_wrap(label, TRUE);
		gtk_label_set_max_width_chars(label, 44);
		gtk_container_add(GTK_CONTAINER(texts), GTK_WIDGET(label));
	}
	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(self->recognised)), "oriel-name");
	gtk_style_context_add_class(gtk_widget_get_style_context(GTK_WIDGET(self->problem)), "oriel-warning");
	gtk_widget_set_no_show_all(GTK_WIDGET(self->problem), TRUE);
	gtk_widget_set_valign(texts, GTK_ALIGN_CENTER);
	self->chooser = oriel_system_chooser_new(self->systems);
	gtk_widget_set_valign(self->chooser, GTK_ALIGN_CENTER);
	g_signal_connect_object(self->chooser, "chosen", G_CALLBACK(system_chosen), self, 0);
	gtk_box_pack_start(GTK_BOX(box), GTK_WIDGET(self->logo), FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), texts, TRUE, TRUE, 0);
	gtk_box_pack_end(GTK_BOX(box), self->chooser, FALSE, FALSE, 0);
	gtk_container_add(GTK_CONTAINER(self), box);
}

static GtkWidget *new_resources(OrielWizardMachine *self)
{
	const struct oriel_host_info *host = oriel_host_get_info(self->host);
	GtkGrid *grid = GTK_GRID(gtk_grid_new());
	double most = (double)MAX(host->memory / MIB, MEMORY_LEAST * 2);
	g_autofree char *memory = g_format_size_full(host->memory, G_FORMAT_SIZE_IEC_UNITS);
	g_autofree char *cpus_text = g_strdup_printf(ngettext("of %u processor", "of %u processors", host->cpus),
						     host->cpus);
	g_autofree char *memory_text = g_strdup_printf(_("of %s"), memory);
	GtkWidget *spin, *value;
	int row = 0;

	gtk_grid_set_column_spacing(grid, 12);
	gtk_grid_set_row_spacing(grid, 9);
	self->name = GTK_ENTRY(add_row(grid, &row, _("_Name"), gtk_entry_new()));
	gtk_entry_set_max_length(self->name, 60);
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(self->name)), _("Name"));
	gtk_entry_set_activates_default(self->name, TRUE);
	g_signal_connect_swapped(self->name, "changed", G_CALLBACK(update), self);
	self->cpus = gtk_adjustment_new(1, 1, MIN(host->cpus, 255), 1, 1, 0);
	add_row(grid, &row, _("_Processors"), new_scale(self, self->cpus, _("Processors")));
	spin = gtk_spin_button_new(self->cpus, 1, 0);
	value = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	gtk_box_pack_start(GTK_BOX(value), spin, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(value), gtk_label_new(cpus_text), FALSE, FALSE, 0);
	gtk_grid_attach(grid, value, 2, row - 1, 1, 1);
	self->cpus_warning = add_warning(grid, &row);
	self->memory = gtk_adjustment_new(MEMORY_LEAST, MEMORY_LEAST, most, MEMORY_STEP, 1024, 0);
	add_row(grid, &row, _("_Memory"), new_scale(self, self->memory, _("Memory")));
	value = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	self->memory_value = GTK_LABEL(gtk_label_new(NULL));
	gtk_box_pack_start(GTK_BOX(value), GTK_WIDGET(self->memory_value), FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(value), gtk_label_new(memory_text), FALSE, FALSE, 0);
	gtk_grid_attach(grid, value, 2, row - 1, 1, 1);
	self->memory_warning = add_warning(grid, &row);
	return GTK_WIDGET(grid);
}

static GtkWidget *new_disk(OrielWizardMachine *self)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6), *dynamic, *row_box, *spin;
	g_autofree char *space = g_format_size_full(self->free_space, G_FORMAT_SIZE_IEC_UNITS);
	g_autofree char *text = g_strdup_printf(_("GiB; %s are free here"), space);
	GtkGrid *grid = GTK_GRID(gtk_grid_new());
	int row = 0;

	gtk_grid_set_column_spacing(grid, 12);
	gtk_grid_set_row_spacing(grid, 6);
	gtk_widget_set_margin_start(GTK_WIDGET(grid), 24);
	self->has_disk = GTK_TOGGLE_BUTTON(gtk_check_button_new_with_mnemonic(_("A virtual hard _disk")));
	g_signal_connect_swapped(self->has_disk, "toggled", G_CALLBACK(update), self);
	self->disk = gtk_adjustment_new(32, DISK_LEAST, DISK_MOST, 1, 16, 0);
	g_signal_connect_swapped(self->disk, "value-changed", G_CALLBACK(update), self);
	spin = gtk_spin_button_new(self->disk, 1, 0);
	row_box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);
	gtk_box_pack_start(GTK_BOX(row_box), spin, FALSE, FALSE, 0);
	self->disk_free = GTK_LABEL(gtk_label_new(text));
	gtk_box_pack_start(GTK_BOX(row_box), GTK_WIDGET(self->disk_free), FALSE, FALSE, 0);
	add_row(grid, &row, _("Si_ze"), row_box);
	atk_object_set_name(gtk_widget_get_accessible(spin), _("Size of the disk in GiB"));
	dynamic = gtk_radio_button_new_with_mnemonic(NULL, _("It _grows as it is used"));
	gtk_grid_attach(grid, dynamic, 1, row++, 2, 1);
	self->preallocate = GTK_TOGGLE_BUTTON(gtk_radio_button_new_with_mnemonic_from_widget(GTK_RADIO_BUTTON(dynamic),
							_("It takes all of its room _now, so that it never lacks any")));
	g_signal_connect_swapped(self->preallocate, "toggled", G_CALLBACK(update), self);
	gtk_grid_attach(grid, GTK_WIDGET(self->preallocate), 1, row++, 2, 1);
	self->disk_warning = add_warning(grid, &row);
	self->disk_rows = GTK_WIDGET(grid);
	gtk_container_add(GTK_CONTAINER(box), GTK_WIDGET(self->has_disk));
	gtk_container_add(GTK_CONTAINER(box), self->disk_rows);
	return box;
}

static void oriel_wizard_machine_dispose(GObject *object)
{
	OrielWizardMachine *self = ORIEL_WIZARD_MACHINE(object);

	g_clear_object(&self->systems);
	g_clear_object(&self->host);
	g_clear_object(&self->system);
	G_OBJECT_CLASS(oriel_wizard_machine_parent_class)->dispose(object);
}

static void oriel_wizard_machine_class_init(OrielWizardMachineClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_wizard_machine_dispose;
	signals[SIGNAL_CHANGED] = g_signal_new("changed", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST, 0, NULL, NULL,
					       NULL, G_TYPE_NONE, 0);
}

static void oriel_wizard_machine_init(OrielWizardMachine *self)
{
	(void)self;
}

OrielWizardMachine *oriel_wizard_machine_new(OrielSystems *systems)
{
	OrielWizardMachine *self = g_object_new(ORIEL_TYPE_WIZARD_MACHINE, "orientation", GTK_ORIENTATION_VERTICAL,
						"spacing", 18, NULL);
	g_autofree char *machines = oriel_store_machines_folder();

	self->systems = g_object_ref(systems);
	self->host = oriel_host_new();
	self->free_space = oriel_host_get_free_space(machines);
	add_system(self);
	gtk_container_add(GTK_CONTAINER(self), new_resources(self));
	gtk_container_add(GTK_CONTAINER(self), new_disk(self));
	self->start = GTK_TOGGLE_BUTTON(gtk_check_button_new_with_mnemonic(_("_Start it when it is made")));
	gtk_toggle_button_set_active(self->start, TRUE);
	gtk_container_add(GTK_CONTAINER(self), GTK_WIDGET(self->start));
	gtk_widget_show_all(GTK_WIDGET(self));
	return self;
}
