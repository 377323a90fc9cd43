/* The pages of the settings that consist of rows with values. */
#include <glib/gi18n.h>
#include <string.h>

#include "graph.h"
#include "resource_rows.h"
#include "settings_field.h"
#include "system_chooser.h"

/* --- General --- */

struct general {
	GtkGrid *form;
	GtkLabel *system, *firmware;
	GtkWidget *chooser; /* NULL until the systems are loaded */
	struct settings_field *name;
};

static gboolean set_system(struct machine_config *config, gpointer id, GError **error)
{
	return machine_config_set(config, "machine", "system", id, error);
}

static void system_chosen(OrielSystemChooser *chooser, OrielSystem *system, gpointer settings)
{
	(void)chooser;
	oriel_settings_edit(settings, set_system, (gpointer)oriel_system_get_info(system)->id);
}

static char *firmware_text(const struct machine_config *config)
{
	if (config->kernel)
		return g_strdup_printf(_("None: the kernel %s is started directly"), config->kernel);
	return g_strdup(config->firmware_path ? config->firmware_path : _("BIOS (SeaBIOS)"));
}

static void update_general(OrielSettings *settings, gpointer data)
{
	const struct machine_config *config = oriel_settings_get_config(settings);
	OrielSystem *system = oriel_settings_get_system(settings);
	g_autofree char *firmware = firmware_text(config);
	struct general *general = data;

	gtk_entry_set_placeholder_text(GTK_ENTRY(settings_field_get_widget(general->name)),
				       oriel_machine_get_id(oriel_settings_get_machine(settings)));
	gtk_label_set_text(general->firmware, firmware);
	if (!system)
		return;
	if (!general->chooser) {
		general->chooser = oriel_system_chooser_new(oriel_settings_get_systems(settings));
		g_signal_connect_object(general->chooser, "chosen", G_CALLBACK(system_chosen), settings, 0);
		gtk_grid_attach_next_to(general->form, general->chooser, GTK_WIDGET(general->system), GTK_POS_RIGHT, 1, 1);
		gtk_widget_show_all(general->chooser);
	}
	oriel_system_chooser_set_system(ORIEL_SYSTEM_CHOOSER(general->chooser), system);
	gtk_label_set_text(general->system, config->system ? oriel_system_get_info(system)->name : _("Not known"));
}

static char *check_name(const char *text)
{
	return g_utf8_strlen(text, -1) > 60 ? g_strdup(_("A name has at most 60 characters.")) : NULL;
}

static GtkLabel *add_label(GtkGrid *form, const char *name)
{
	GtkLabel *label = oriel_text_label_new(NULL);

	gtk_label_set_selectable(label, TRUE);
	gtk_widget_set_can_focus(GTK_WIDGET(label), FALSE);
	oriel_form_add(form, name, GTK_WIDGET(label));
	atk_object_set_name(gtk_widget_get_accessible(GTK_WIDGET(label)), "");
	return label;
}

void oriel_settings_add_general(OrielSettings *settings)
{
	static const struct settings_choice orders[] = {
		{ "disk", N_("Disk, then CD") }, { "cd", N_("CD, then disk") }, { "stick", N_("USB stick, then disk") },
		{ NULL, NULL },
	};
	struct general *general = g_new0(struct general, 1);
	GtkLabel *folder;

	general->form = oriel_form_new();
	g_object_set_data_full(G_OBJECT(general->form), "general", general, g_free);
	general->name = settings_field_add_entry(settings, general->form, _("_Name"), "machine", "name");
	settings_field_set_check(general->name, check_name);
	settings_field_set_at_once(general->name);
	settings_field_set_at_once(settings_field_add_text(settings, general->form, _("N_otes"), "machine", "notes"));
	general->system = add_label(general->form, _("System"));
	settings_field_add_choice(settings, general->form, _("_Boot from"), "machine", "boot", orders);
	settings_field_add_switch(settings, general->form, _("Boot _menu"), "machine", "boot-menu");
	oriel_note_tell(oriel_form_add_note(general->form),
			g_strdup(_("With it the firmware waits for a key that chooses what to boot.")));
	general->firmware = add_label(general->form, _("Firmware"));
	folder = add_label(general->form, _("Folder"));
	gtk_label_set_text(folder, oriel_machine_get_folder(oriel_settings_get_machine(settings)));
	gtk_label_set_line_wrap_mode(folder, PANGO_WRAP_CHAR);
	oriel_settings_add_page(settings, _("General"), GTK_WIDGET(general->form), update_general, general);
}

/* --- Processor and memory --- */

struct resources {
	OrielSettings *settings;
	struct oriel_resource_rows rows;
};

static void check_resources(gpointer data)
{
	struct resources *resources = data;
	OrielSystem *system = oriel_settings_get_system(resources->settings);
	static const struct oriel_system_info any = {
		.minimum = { 1, 1, 1 }, .recommended = { 1, 1, 1 }, .generic = TRUE,
	};

	oriel_resource_rows_check(&resources->rows, system ? oriel_system_get_info(system) : &any);
}

static void update_resources(OrielSettings *settings, gpointer resources)
{
	(void)settings;
	check_resources(resources);
}

void oriel_settings_add_resources(OrielSettings *settings)
{
	struct resources *resources = g_new0(struct resources, 1);
	struct oriel_resource_rows *rows = &resources->rows;
	GtkGrid *form = oriel_form_new();

	resources->settings = settings;
	g_object_set_data_full(G_OBJECT(form), "resources", resources, g_free);
	oriel_resource_rows_init(rows, form, oriel_settings_get_host(settings));
	settings_field_add_number(settings, rows->cpus_scale, rows->cpus_note, rows->cpus, _("Processors"), "machine", "cpus");
	settings_field_add_number(settings, rows->memory_scale, rows->memory_note, rows->memory, _("Memory"), "machine",
				  "memory");
	g_signal_connect_swapped(rows->cpus, "value-changed", G_CALLBACK(check_resources), resources);
	g_signal_connect_swapped(rows->memory, "value-changed", G_CALLBACK(check_resources), resources);
	oriel_settings_add_page(settings, _("Processor and Memory"), GTK_WIDGET(form), update_resources, resources);
}

/* --- Display --- */

static char *get_mode(const struct machine_config *config)
{
	return g_strdup_printf("%u × %u", config->display_width, config->display_height);
}

static gboolean set_mode(struct machine_config *config, const char *text, GError **error)
{
	g_auto(GStrv) sides = g_strsplit(text, " × ", 2);

	return machine_config_set(config, "display", "width", sides[0], error) &&
	       machine_config_set(config, "display", "height", sides[1], error);
}

void oriel_settings_add_display(OrielSettings *settings)
{
	static const struct settings_choice modes[] = {
		{ "800 × 600", "800 × 600" }, { "1024 × 768", "1024 × 768" }, { "1280 × 720", "1280 × 720" },
		{ "1280 × 800", "1280 × 800" }, { "1366 × 768", "1366 × 768" }, { "1440 × 900", "1440 × 900" },
		{ "1600 × 900", "1600 × 900" }, { "1680 × 1050", "1680 × 1050" }, { "1920 × 1080", "1920 × 1080" },
		{ "1920 × 1200", "1920 × 1200" }, { "2560 × 1440", "2560 × 1440" }, { "2560 × 1600", "2560 × 1600" },
		{ "3840 × 2160", "3840 × 2160" }, { NULL, NULL },
	};
	static const struct settings_choice sizes[] = {
		{ "16", N_("16 MiB") }, { "32", N_("32 MiB") }, { "64", N_("64 MiB") }, { "128", N_("128 MiB") },
		{ "256", N_("256 MiB") }, { NULL, NULL },
	};
	GtkGrid *form = oriel_form_new();
	struct settings_field *mode = settings_field_add_choice(settings, form, _("_Preferred mode"), "display", "width",
								modes);

	settings_field_set_access(mode, get_mode, set_mode);
	oriel_note_tell(oriel_form_add_note(form),
			g_strdup(_("What the monitor tells the guest; systems start with it, and can choose another.")));
	settings_field_add_choice(settings, form, _("_Video memory"), "display", "vram", sizes);
	oriel_settings_add_page(settings, _("Display"), GTK_WIDGET(form), NULL, NULL);
}

/* --- Sound --- */

struct sound {
	struct settings_field *backend, *microphone;
};

static void update_sound(OrielSettings *settings, gpointer data)
{
	gboolean device = oriel_settings_get_config(settings)->sound != CONFIG_SOUND_NONE;
	const struct sound *sound = data;

	gtk_widget_set_sensitive(settings_field_get_widget(sound->backend), device);
	gtk_widget_set_sensitive(settings_field_get_widget(sound->microphone), device);
}

void oriel_settings_add_sound(OrielSettings *settings)
{
	static const struct settings_choice devices[] = {
		{ "hda", N_("Intel HD Audio") }, { "none", N_("None") }, { NULL, NULL },
	};
	static const struct settings_choice backends[] = {
		{ "pulse", N_("This computer’s loudspeakers") }, { "null", N_("Nowhere") }, { NULL, NULL },
	};
	struct sound *sound = g_new(struct sound, 1);
	GtkGrid *form = oriel_form_new();

	g_object_set_data_full(G_OBJECT(form), "sound", sound, g_free);
	settings_field_add_choice(settings, form, _("_Device"), "sound", "device", devices);
	sound->backend = settings_field_add_choice(settings, form, _("_Plays to"), "sound", "backend", backends);
	sound->microphone = settings_field_add_switch(settings, form, _("_Microphone"), "sound", "microphone");
	settings_field_set_live(sound->microphone, "SetMicrophone");
	oriel_note_tell(oriel_form_add_note(form), g_strdup(_("Lets the guest hear what this computer records.")));
	oriel_settings_add_page(settings, _("Sound"), GTK_WIDGET(form), update_sound, sound);
}

/* --- Activity --- */

void oriel_settings_add_activity(OrielSettings *settings)
{
	oriel_settings_add_page(settings, _("Activity"),
				oriel_graphs_new(oriel_settings_get_machine(settings), TRUE), NULL, NULL);
}
