/*
 * Messages to the machine's log, by GLib's structured logging (g_message, g_warning, g_debug), any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Lets a device complain about its guest without filling the disk: a burst of 10, then one a second. */
struct log_limit {
	gint64 next;
	unsigned burst;
	unsigned suppressed;
};

/* "device: what the guest did wrong"; with vm->lock or whatever else guards limit. */
void log_guest_error(struct log_limit *limit, const char *device, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Sends messages of all threads to path (appended, with the time) and warnings to standard error too. */
bool log_open(const char *path, GError **error);
