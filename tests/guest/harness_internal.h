/* What the files of the harness share. */
#pragma once

#include "harness.h"

#define MACHINE_INTERFACE "io.github.oriel.Machine"
#define MACHINE_OBJECT "/io/github/oriel/Machine"
/* Longer than the machine waits for a guest to read its keyboard. */
#define CALL_SECONDS 330
/*
 * Milliseconds of waiting for each second that a test gives: tests say how long a quiet host takes, and only a guest
 * that has stopped for good should fail on a busy one.
 */
#define PATIENCE 4000

struct guest {
	char *name, *home, *runtime, *folder, *socket;
	GKeyFile *config;
	GPtrArray *launcher; /* arguments before oriel-vm's own */
	GStrv environment;
	bool windowed;
	GSubprocess *process;
	GDBusConnection *connection;
	GSocketConnection *serial;
	GCancellable *reading; /* of the serial port */
	GString *text; /* all serial text */
	size_t text_seen; /* where the next line to be looked at starts */
	char *line;
	char chunk[4096];
	char *state, *message;
	unsigned changes; /* of the state */
	struct picture *picture;
	char *picture_path;
	gint64 start;
	bool ended, failing;
};

struct deadline {
	guint source;
	bool passed;
};

void deadline_start(struct deadline *deadline, unsigned milliseconds);
void deadline_stop(struct deadline *deadline);
/* Sleeps until something happens. */
void wait_event(void);
/* Puts the serial text and oriel-vm's messages among the artefacts. */
void keep_texts(const struct guest *guest);
/* What oriel-vm has written to its standard streams. Free with g_free(). */
char *read_output(const struct guest *guest);
