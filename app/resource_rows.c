#include "resource_rows.h"

#include <glib/gi18n.h>

#include "form.h"

#define MIB ((guint64)1 << 20)
#define CPUS_MOST 255
#define MEMORY_LEAST 64 /* MiB */
#define MEMORY_STEP 64

static GtkWidget *add_scale(GtkGrid *form, const char *name, GtkAdjustment *adjustment)
{
	GtkWidget *scale = gtk_scale_new(GTK_ORIENTATION_HORIZONTAL, adjustment);

	gtk_scale_set_draw_value(GTK_SCALE(scale), FALSE);
	gtk_widget_set_hexpand(scale, TRUE);
	gtk_widget_set_size_request(scale, 160, -1);
	return oriel_form_add(form, name, scale);
}

/* Beside the scale: the value, and what there is of it. */
static void add_value(GtkGrid *form, GtkWidget *value, const char *available)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 6);

	gtk_box_pack_start(GTK_BOX(box), value, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), gtk_label_new(available), FALSE, FALSE, 0);
	oriel_form_add_beside(form, box);
}

void oriel_resource_rows_init(struct oriel_resource_rows *rows, GtkGrid *form, OrielHost *host)
{
	const struct oriel_host_info *info = oriel_host_get_info(host);
	double most = (double)MAX(info->memory / MIB, MEMORY_LEAST * 2);
	g_autofree char *memory = g_format_size_full(info->memory, G_FORMAT_SIZE_IEC_UNITS);
	g_autofree char *cpus_text = g_strdup_printf(ngettext("of %u processor", "of %u processors", info->cpus),
						     info->cpus);
	g_autofree char *memory_text = g_strdup_printf(_("of %s"), memory);
	GtkWidget *spin;

	rows->host = host;
	rows->cpus = gtk_adjustment_new(1, 1, MIN(info->cpus, CPUS_MOST), 1, 1, 0);
	rows->cpus_scale = add_scale(form, _("_Processors"), rows->cpus);
	spin = gtk_spin_button_new(rows->cpus, 1, 0);
	atk_object_set_name(gtk_widget_get_accessible(spin), _("Number of processors"));
	add_value(form, spin, cpus_text);
	rows->cpus_warning = oriel_form_add_note(form);
	rows->cpus_note = oriel_form_add_note(form);
	rows->memory = gtk_adjustment_new(MEMORY_LEAST, MEMORY_LEAST, most, MEMORY_STEP, 1024, 0);
	rows->memory_scale = add_scale(form, _("_Memory"), rows->memory);
	rows->memory_value = GTK_LABEL(gtk_label_new(NULL));
	add_value(form, GTK_WIDGET(rows->memory_value), memory_text);
	rows->memory_warning = oriel_form_add_note(form);
	rows->memory_note = oriel_form_add_note(form);
}

static void set_value(GtkAdjustment *adjustment, double value)
{
	if (value > gtk_adjustment_get_upper(adjustment))
		gtk_adjustment_set_upper(adjustment, value);
	gtk_adjustment_set_value(adjustment, value);
}

void oriel_resource_rows_set(struct oriel_resource_rows *rows, guint cpus, guint64 memory)
{
	set_value(rows->cpus, cpus);
	set_value(rows->memory, (double)(memory / MIB));
}

guint oriel_resource_rows_get_cpus(const struct oriel_resource_rows *rows)
{
	return (guint)gtk_adjustment_get_value(rows->cpus);
}

guint64 oriel_resource_rows_get_memory(const struct oriel_resource_rows *rows)
{
	return (guint64)gtk_adjustment_get_value(rows->memory) / MEMORY_STEP * MEMORY_STEP * MIB;
}

void oriel_resource_rows_check(struct oriel_resource_rows *rows, const struct oriel_system_info *system)
{
	guint64 memory = oriel_resource_rows_get_memory(rows);
	g_autofree char *text = g_format_size_full(memory, G_FORMAT_SIZE_IEC_UNITS);

	gtk_label_set_text(rows->memory_value, text);
	oriel_note_warn(rows->cpus_warning, oriel_host_check_cpus(rows->host, system,
								  oriel_resource_rows_get_cpus(rows)));
	oriel_note_warn(rows->memory_warning, oriel_host_check_memory(rows->host, system, memory));
}
