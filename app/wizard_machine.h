/*
 * The wizard's page about the machine: its system, name, processors, memory and disk, with what the host has beside them.
 */
#pragma once

#include <gtk/gtk.h>

#include "host.h"
#include "import.h"
#include "media.h"

G_BEGIN_DECLS

#define ORIEL_TYPE_WIZARD_MACHINE (oriel_wizard_machine_get_type())
G_DECLARE_FINAL_TYPE(OrielWizardMachine, oriel_wizard_machine, ORIEL, WIZARD_MACHINE, GtkBox)

/* "changed": what was entered may now be complete, or no longer. */
OrielWizardMachine *oriel_wizard_machine_new(OrielSystems *systems);

/* What the machine is made from: a disc (or NULL: nothing), or disks to be imported. Sets everything to its defaults. */
void oriel_wizard_machine_set_media(OrielWizardMachine *page, OrielMedia *media);
/* An installer of that system. */
void oriel_wizard_machine_set_system(OrielWizardMachine *page, const char *id);
void oriel_wizard_machine_set_import(OrielWizardMachine *page, OrielImport *import);

gboolean oriel_wizard_machine_is_complete(OrielWizardMachine *page);

struct oriel_wizard_choice {
	char *name;
	const char *system; /* its id, NULL if nobody said which */
	guint cpus;
	guint64 memory, disk; /* bytes; no disk: 0 */
	const char *disk_folder; /* for the disk, valid until the next change; NULL: the machine's */
	gboolean nvme;             /* as the system wants it */
	gboolean preallocate, start;
};

/* The name is the caller's. */
void oriel_wizard_machine_get(OrielWizardMachine *page, struct oriel_wizard_choice *choice);

G_END_DECLS
