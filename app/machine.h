/*
 * One machine: its folder, and its process when there is one. Every method is called on the main thread and none waits.
 *
 * The machine finds its process by the control socket, whoever started it; and it follows changes of machine.conf,
 * whoever makes them. Properties, all read-only and notified:
 *	"name"       what people call it
 *	"state"      OrielMachineState
 *	"message"    what goes with the state, such as why the guest crashed; "" for nothing
 *	"problem"    what is wrong with machine.conf, or NULL; without a readable configuration nothing can be started
 *	"locked"     the problem is that a newer version made it
 *	"thumbnail"  GdkPixbuf of the guest's screen, or NULL
 * Signals:
 *	"config-changed"                                  oriel_machine_get_config() has another value
 *	"trouble" (const char *message)                   something went wrong that did not stop the guest
 *	"progress" (const char *operation, double)        of a long operation, 0 to 1
 *	"disc-changed" (int drive, const char *path)
 */
#pragma once

#include <gdk-pixbuf/gdk-pixbuf.h>
#include <gio/gio.h>

#include "../vmm/config/config.h"
#include "figures.h"

G_BEGIN_DECLS

typedef enum {
	ORIEL_MACHINE_STOPPED,
	ORIEL_MACHINE_STARTING,
	ORIEL_MACHINE_RUNNING,
	ORIEL_MACHINE_PAUSED,
	ORIEL_MACHINE_CRASHED, /* the guest, or the process: oriel_machine_is_live() tells which */
	ORIEL_MACHINE_TROUBLE, /* paused until the user has mended something */
	ORIEL_MACHINE_STOPPING,
} OrielMachineState;

#define ORIEL_TYPE_MACHINE_STATE (oriel_machine_state_get_type())
GType oriel_machine_state_get_type(void);

#define ORIEL_TYPE_MACHINE (oriel_machine_get_type())
G_DECLARE_FINAL_TYPE(OrielMachine, oriel_machine, ORIEL, MACHINE, GObject)

OrielMachine *oriel_machine_new(const char *folder);

const char *oriel_machine_get_folder(OrielMachine *machine);
/* The folder's name, by which the command line knows it. */
const char *oriel_machine_get_id(OrielMachine *machine);
const char *oriel_machine_get_name(OrielMachine *machine);
OrielMachineState oriel_machine_get_state(OrielMachine *machine);
const char *oriel_machine_get_message(OrielMachine *machine);
const char *oriel_machine_get_problem(OrielMachine *machine);
gboolean oriel_machine_get_locked(OrielMachine *machine);
GdkPixbuf *oriel_machine_get_thumbnail(OrielMachine *machine);
/* As last read; NULL while there is a problem. Valid until "config-changed". */
const struct machine_config *oriel_machine_get_config(OrielMachine *machine);
/* It has a process, which answers to calls. */
gboolean oriel_machine_is_live(OrielMachine *machine);
/* It has no process and may be started, changed, moved. */
gboolean oriel_machine_is_idle(OrielMachine *machine);

/*
 * Reads machine.conf anew, lets edit() change it, and saves it: what others wrote in the meantime stays. The error says
 * what is wrong, edit() by returning FALSE also; the file is unchanged then.
 */
typedef gboolean (*OrielMachineEdit)(struct machine_config *config, gpointer data, GError **error);
gboolean oriel_machine_edit(OrielMachine *machine, OrielMachineEdit edit, gpointer data, GError **error);

/* Done when the machine answers, or when its process has ended; the error has that process's own words. */
void oriel_machine_start_async(OrielMachine *machine, GAsyncReadyCallback callback, gpointer data);
gboolean oriel_machine_start_finish(OrielMachine *machine, GAsyncResult *result, GError **error);

/*
 * Calls a method of io.github.oriel.Machine ("Pause", "Resume", "Reset", "PowerButton", "Stop", "Screenshot",
 * "InsertDisc", "Statistics" ...); takes parameters if floating. Error G_IO_ERROR_NOT_FOUND: not live.
 */
void oriel_machine_call_async(OrielMachine *machine, const char *method, GVariant *parameters,
			      GAsyncReadyCallback callback, gpointer data);
GVariant *oriel_machine_call_finish(OrielMachine *machine, GAsyncResult *result, GError **error);

/* All properties of a live machine's interface, as (a{sv}); finish with oriel_machine_call_finish(). */
void oriel_machine_get_properties_async(OrielMachine *machine, GAsyncReadyCallback callback, gpointer data);

/* What it costs while it is live, as far as oriel_machine_update_figures() has asked; never NULL. */
OrielFigures *oriel_machine_get_figures(OrielMachine *machine);
/* Adds a sample. count_memory: counts the guest's memory anew, see oriel_resident_memory(). */
void oriel_machine_update_figures(OrielMachine *machine, gboolean count_memory);

/* Asks a live machine for a thumbnail of at most this size; "thumbnail" changes if the screen has. */
void oriel_machine_update_thumbnail(OrielMachine *machine, guint max_width, guint max_height);

G_END_DECLS
