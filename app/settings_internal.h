/*
 * What the pages of the settings have from the dialog.
 *
 * Everything is written at once, value by value: a change reads machine.conf anew, and is refused if the value there is
 * no longer the one that was shown. What a running machine can take it is also told; of everything else the dialog says
 * that it holds after the next start.
 */
#pragma once

#include "form.h"
#include "host.h"
#include "settings.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_SETTINGS (oriel_settings_get_type())
G_DECLARE_FINAL_TYPE(OrielSettings, oriel_settings, ORIEL, SETTINGS, GtkDialog)

OrielMachine *oriel_settings_get_machine(OrielSettings *settings);
/* Its widgets are gone: for what answers later. */
gboolean oriel_settings_is_closed(OrielSettings *settings);
/* As last read, or NULL while machine.conf is damaged. */
const struct machine_config *oriel_settings_get_config(OrielSettings *settings);
OrielHost *oriel_settings_get_host(OrielSettings *settings);
/* NULL until they are loaded, which ends with an update of all pages. */
OrielSystems *oriel_settings_get_systems(OrielSettings *settings);
/* The machine's, or a generic one; NULL until systems are loaded. */
OrielSystem *oriel_settings_get_system(OrielSettings *settings);

/*
 * Adds a page. update(settings, data), if there is one, is called soon and whenever machine.conf or the state of the machine
 * has changed.
 */
typedef void (*OrielSettingsUpdate)(OrielSettings *settings, gpointer data);
void oriel_settings_add_page(OrielSettings *settings, const char *title, GtkWidget *page, OrielSettingsUpdate update,
			     gpointer data);
/* Has all pages updated as soon as nothing else is to be done. */
void oriel_settings_queue_update(OrielSettings *settings);

/* A bar above the pages, in place of an earlier one; button may be NULL. */
void oriel_settings_tell(OrielSettings *settings, GtkMessageType type, const char *text, const char *button,
			 OrielSettingsUpdate pressed, gpointer data);

/* Changes machine.conf as oriel_machine_edit() does, and shows an error. */
gboolean oriel_settings_edit(OrielSettings *settings, OrielMachineEdit edit, gpointer data);
/* Calls a method of a live machine, and shows an error; takes parameters if floating. */
void oriel_settings_call(OrielSettings *settings, const char *method, GVariant *parameters);

/* For settings_field.c: fields hear of changes. */
struct settings_field;
void oriel_settings_add_field(OrielSettings *settings, struct settings_field *field);
void oriel_settings_forget_field(OrielSettings *settings, struct settings_field *field);

/* The pages */
void oriel_settings_add_general(OrielSettings *settings);
void oriel_settings_add_resources(OrielSettings *settings);
void oriel_settings_add_disks(OrielSettings *settings);
void oriel_settings_add_discs(OrielSettings *settings);
void oriel_settings_add_display(OrielSettings *settings);
void oriel_settings_add_sound(OrielSettings *settings);
void oriel_settings_add_network(OrielSettings *settings);
void oriel_settings_add_usb(OrielSettings *settings);
void oriel_settings_add_activity(OrielSettings *settings);

G_END_DECLS
