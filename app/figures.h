/*
 * What a running machine costs: samples of its counters, and the rates between them, for the last minutes.
 */
#pragma once

#include <glib-object.h>

G_BEGIN_DECLS

#define ORIEL_FIGURES_LENGTH 120 /* samples kept */

struct oriel_sample {
	gint64 time;               /* us, monotonic */
	gdouble guest, user, kernel; /* processor cores in use by the guest itself, by its devices, by the host's kernel for it */
	gdouble guest_memory;      /* bytes of the guest's RAM that the host has given */
	gdouble overhead;          /* bytes beyond */
	gdouble disk_read, disk_written, network_received, network_sent; /* bytes a second */
};

#define ORIEL_TYPE_FIGURES (oriel_figures_get_type())
G_DECLARE_FINAL_TYPE(OrielFigures, oriel_figures, ORIEL, FIGURES, GObject)

/* Emits "changed" after each sample. */
OrielFigures *oriel_figures_new(void);

/*
 * counters: a{st}, the answer of the machine's Statistics. memory_guest: see oriel_resident_memory(). The first call,
 * and one after counters went backwards (a machine that was started again), only sets where to count from.
 */
void oriel_figures_add(OrielFigures *figures, GVariant *counters, guint64 memory_guest, gint64 time);
/* Forgets all: the machine has stopped. */
void oriel_figures_clear(OrielFigures *figures);

/* Oldest first; index < length <= ORIEL_FIGURES_LENGTH. */
guint oriel_figures_get_length(OrielFigures *figures);
const struct oriel_sample *oriel_figures_get(OrielFigures *figures, guint index);

/*
 * Bytes of the largest mapping of a process that are in memory: the guest's RAM, of the machine's process. The host's
 * kernel walks all of it: not more often than every few seconds. 0 where it may not be looked at.
 */
guint64 oriel_resident_memory(const char *smaps_path);

G_END_DECLS
