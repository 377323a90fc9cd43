/* What machine.c and machine_live.c share. */
#pragma once

#include "machine.h"
#include "machine_client.h"

G_BEGIN_DECLS

struct _OrielMachine {
	GObject parent_instance;
	char *folder, *id, *name, *message, *problem, *socket;
	gboolean locked;
	OrielMachineState state;
	struct machine_config *config;
	GFileMonitor *config_monitor, *socket_monitor;
	GCancellable *cancellable; /* of everything under way, when the object goes away */
	OrielMachineClient *client;
	gboolean connecting, told_stopped;
	guint tries_left, retry;
	/* The process, if this object started it */
	GPid process;
	guint process_watch;
	int complaints;
	GTask *start;
	GdkPixbuf *thumbnail;
	guint64 thumbnail_digest;
	gboolean thumbnail_asked;
	OrielFigures *figures;
	gboolean figures_asked;
	guint32 live_process; /* of the client, whoever started it; 0: not known */
	guint64 memory_guest; /* as counted last */
};

/* machine.c. digest: as the machine calls it; NULL and 0: nothing to show. */
void oriel_machine_set_thumbnail(OrielMachine *self, GdkPixbuf *thumbnail, guint64 digest);

G_END_DECLS
