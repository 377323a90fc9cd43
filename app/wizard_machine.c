#include "wizard_machine.h"

#include <glib/gi18n.h>

#include "disk_form.h"
#include "form.h"
#include "machine_store.h"
#include "resource_rows.h"
#include "system_chooser.h"

struct _OrielWizardMachine {
	GtkBox parent;
	OrielSystems *systems;
	OrielHost *host;
	OrielSystem *system;
	gboolean has_import;
	GtkImage *logo;
	GtkLabel *recognised, *problem;
	GtkWidget *chooser, *disk_rows;
	GtkEntry *name;
	struct oriel_resource_rows resources;
	struct oriel_disk_form disk;
	GtkToggleButton *has_disk, *start;
};

G_DEFINE_FINAL_TYPE(OrielWizardMachine, oriel_wizard_machine, GTK_TYPE_BOX)

enum { SIGNAL_CHANGED, SIGNALS };

static guint signals[SIGNALS];

static const struct oriel_system_info *system_info(OrielWizardMachine *self)
{
	return oriel_system_get_info(self->system);
}

static void update(OrielWizardMachine *self)
{
	gboolean has_disk = gtk_toggle_button_get_active(self->has_disk);

	if (!self->system)
		return;
	oriel_resource_rows_check(&self->resources, system_info(self));
	oriel_disk_form_check(&self->disk, has_disk ? system_info(self) : NULL);
	gtk_widget_set_sensitive(self->disk_rows, has_disk);
	g_signal_emit(self, signals[SIGNAL_CHANGED], 0);
}

static void set_system(OrielWizardMachine *self, OrielSystem *system)
{
	const struct oriel_system_info *info = oriel_system_get_info(system);
	struct oriel_resources resources = oriel_host_recommend(self->host, info);
	g_autoptr(GIcon) icon = oriel_system_create_icon(system);

	g_set_object(&self->system, system);
	gtk_image_set_from_gicon(self->logo, icon, GTK_ICON_SIZE_DIALOG);
	oriel_resource_rows_set(&self->resources, resources.cpus, resources.memory);
	oriel_disk_form_set_size(&self->disk, resources.disk);
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
	oriel_note_warn(self->problem, g_strdup(problem));
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

void oriel_wizard_machine_set_system(OrielWizardMachine *self, const char *id)
{
	OrielSystem *system = oriel_systems_find(self->systems, id);
	g_autofree char *name = NULL;

	oriel_wizard_machine_set_media(self, NULL);
	if (!system)
		system = oriel_systems_get_generic(self->systems, ORIEL_FAMILY_LINUX);
	name = oriel_system_suggest_name(system);
	set_system(self, system);
	gtk_entry_set_text(self->name, name);
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
	oriel_resource_rows_set(&self->resources,
				info->cpus ? info->cpus : oriel_resource_rows_get_cpus(&self->resources),
				info->memory ? info->memory : oriel_resource_rows_get_memory(&self->resources));
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
		.cpus = oriel_resource_rows_get_cpus(&self->resources),
		.memory = oriel_resource_rows_get_memory(&self->resources),
		.disk = disk && !self->has_import ? oriel_disk_form_get_size(&self->disk) : 0,
		.disk_folder = self->disk.folder,
		.nvme = oriel_system_wants_nvme(oriel_system_get_info(self->system)),
		.preallocate = gtk_toggle_button_get_active(self->disk.preallocate),
		.system = oriel_system_get_info(self->system)->generic &&
			  oriel_system_get_info(self->system)->family == ORIEL_FAMILY_OTHER ?
			  NULL : oriel_system_get_info(self->system)->id,
		.start = gtk_toggle_button_get_active(self->start),
	};
}

/* --- Building --- */

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
	GtkGrid *form = oriel_form_new();

	self->name = GTK_ENTRY(oriel_form_add(form, _("_Name"), gtk_entry_new()));
	gtk_entry_set_max_length(self->name, 60);
	gtk_entry_set_activates_default(self->name, TRUE);
	g_signal_connect_swapped(self->name, "changed", G_CALLBACK(update), self);
	oriel_resource_rows_init(&self->resources, form, self->host);
	g_signal_connect_swapped(self->resources.cpus, "value-changed", G_CALLBACK(update), self);
	g_signal_connect_swapped(self->resources.memory, "value-changed", G_CALLBACK(update), self);
	return GTK_WIDGET(form);
}

static void disk_changed(gpointer self)
{
	update(self);
}

static GtkWidget *new_disk(OrielWizardMachine *self)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 6);
	g_autofree char *machines = oriel_store_machines_folder();
	GtkGrid *form = oriel_form_new();

	gtk_widget_set_margin_start(GTK_WIDGET(form), 24);
	self->has_disk = GTK_TOGGLE_BUTTON(gtk_check_button_new_with_mnemonic(_("A virtual hard _disk")));
	g_signal_connect_swapped(self->has_disk, "toggled", G_CALLBACK(update), self);
	oriel_disk_form_init(&self->disk, form, machines, disk_changed, self);
	self->disk_rows = GTK_WIDGET(form);
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
	oriel_disk_form_clear(&self->disk);
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

	self->systems = g_object_ref(systems);
	self->host = oriel_host_new();
	add_system(self);
	gtk_container_add(GTK_CONTAINER(self), new_resources(self));
	gtk_container_add(GTK_CONTAINER(self), new_disk(self));
	self->start = GTK_TOGGLE_BUTTON(gtk_check_button_new_with_mnemonic(_("_Start it when it is made")));
	gtk_toggle_button_set_active(self->start, TRUE);
	gtk_container_add(GTK_CONTAINER(self), GTK_WIDGET(self->start));
	gtk_widget_show_all(GTK_WIDGET(self));
	return self;
}
