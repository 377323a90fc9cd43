/*
 * The commands of "oriel". Each gets its own arguments (argv[0] is its name) and returns the exit status.
 */
#pragma once

#include <glib.h>
#include <glib/gi18n.h>

G_BEGIN_DECLS

enum {
	ORIEL_SUCCESS = 0,
	ORIEL_FAILURE = 1,
	ORIEL_USAGE = 2,
};

struct oriel_command {
	const char *name;
	const char *arguments; /* for the usage line; this and the next to be translated */
	const char *summary;
	int (*run)(const struct oriel_command *command, int argc, char **argv);
	const char *method; /* of control_commands.c: the D-Bus method without parameters that it is */
};

/*
 * Parses options and checks that minimum to maximum arguments are left, and that all are UTF-8; prints what is wrong,
 * or the help. FALSE: return with *status.
 */
gboolean oriel_command_parse(const struct oriel_command *command, const GOptionEntry *entries, int minimum,
			     int maximum, int *argc, char ***argv, int *status);
/* For arguments that are not what the command needs: the line that tells what it does. */
void oriel_command_print_usage(const struct oriel_command *command);
/* Prints the error, frees it and returns ORIEL_FAILURE. */
int oriel_command_fail(GError *error);
/* Prints a message, in the user's language, after the command's name. */
void oriel_command_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* A number of bytes: 20G, 512M, 1T. */
gboolean oriel_parse_size(const char *text, guint64 *size, GError **error);

/* For the GOptionEntry list of commands that can print JSON */
#define ORIEL_JSON_OPTION(variable) { "json", 0, 0, G_OPTION_ARG_NONE, variable, N_("Print JSON, for programs"), NULL }

/* Starts a machine and waits until it answers; returns the exit status. */
int oriel_command_start_machine(const char *name, gboolean headless);

/* create_commands.c */
int oriel_command_create(const struct oriel_command *command, int argc, char **argv);
int oriel_command_import(const struct oriel_command *command, int argc, char **argv);
int oriel_command_identify(const struct oriel_command *command, int argc, char **argv);
int oriel_command_systems(const struct oriel_command *command, int argc, char **argv);
int oriel_command_check(const struct oriel_command *command, int argc, char **argv);

/* machine_commands.c */
int oriel_command_clone(const struct oriel_command *command, int argc, char **argv);
int oriel_command_delete(const struct oriel_command *command, int argc, char **argv);
int oriel_command_config(const struct oriel_command *command, int argc, char **argv);
int oriel_command_log(const struct oriel_command *command, int argc, char **argv);

int oriel_command_list(const struct oriel_command *command, int argc, char **argv);
int oriel_command_start(const struct oriel_command *command, int argc, char **argv);

/* Disk images: disk.h */
int oriel_command_disk(const struct oriel_command *command, int argc, char **argv);

/* Commands to a running machine */
int oriel_command_simple(const struct oriel_command *command, int argc, char **argv);
int oriel_command_stop(const struct oriel_command *command, int argc, char **argv);
int oriel_command_screenshot(const struct oriel_command *command, int argc, char **argv);
int oriel_command_insert(const struct oriel_command *command, int argc, char **argv);
int oriel_command_eject(const struct oriel_command *command, int argc, char **argv);
int oriel_command_plug(const struct oriel_command *command, int argc, char **argv);
int oriel_command_usb(const struct oriel_command *command, int argc, char **argv);
int oriel_command_unplug(const struct oriel_command *command, int argc, char **argv);
int oriel_command_keys(const struct oriel_command *command, int argc, char **argv);
int oriel_command_type(const struct oriel_command *command, int argc, char **argv);
int oriel_command_statistics(const struct oriel_command *command, int argc, char **argv);

G_END_DECLS
