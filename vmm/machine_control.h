/*
 * The machine as its control socket shows it. With vm->lock, except start and stop, which are the main thread's.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct machine;

bool machine_control_start(struct machine *machine, GError **error);
/* The loop has been stopped. */
void machine_control_stop(struct machine *machine);
/* To the log and to all clients; error NULL: nothing. As what is done later ends with it. */
void machine_tell_trouble(void *machine, const GError *error);
/* For the AHCI controller: path NULL after ejecting. */
void machine_disc_changed(void *machine, unsigned port, const char *path);
