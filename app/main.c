/* oriel: the user's machines, in a window or from the command line. */
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../vmm/translation.h"
#include "application.h"
#include "commands.h"

static const struct oriel_command commands[] = {
	{ "create", "[NAME]", "Make a new machine", oriel_command_create },
	{ "import", "FILE [NAME]", "Make a machine from another program's disk or appliance", oriel_command_import },
	{ "clone", "NAME NEW-NAME", "Make a copy of a machine", oriel_command_clone },
	{ "delete", "NAME", "Move a machine to the trash", oriel_command_delete },
	{ "config", "NAME [KEY [VALUE]]", "Show or change a machine's configuration", oriel_command_config },
	{ "log", "NAME", "Show what a machine has reported", oriel_command_log },
	{ "list", "", "List the machines and what they are doing", oriel_command_list },
	{ "start", "NAME", "Start a machine", oriel_command_start },
	{ "pause", "NAME", "Hold a machine where it is", oriel_command_simple, "Pause" },
	{ "resume", "NAME", "Let a paused machine go on", oriel_command_simple, "Resume" },
	{ "reset", "NAME", "Restart a machine without asking it", oriel_command_simple, "Reset" },
	{ "show", "NAME", "Show a running machine's window, also if it was started without one", oriel_command_simple, "Raise" },
	{ "power-button", "NAME", "Press the power button: the guest decides", oriel_command_simple, "PowerButton" },
	{ "stop", "NAME", "Switch a machine off without asking it", oriel_command_stop },
	{ "screenshot", "NAME [FILE]", "Save the screen as a PNG file", oriel_command_screenshot },
	{ "insert", "NAME FILE", "Put a disc image into the CD drive", oriel_command_insert },
	{ "eject", "NAME", "Take the disc out of the CD drive", oriel_command_eject },
	{ "plug", "NAME FILE", "Plug in a disk image as a USB stick, or a USB device of the host", oriel_command_plug },
	{ "unplug", "NAME FILE", "Pull out what was plugged in", oriel_command_unplug },
	{ "usb", "NAME", "List the host's USB devices, for plug", oriel_command_usb },
	{ "keys", "NAME KEYS...", "Press keys, for example ctrl+alt+delete", oriel_command_keys },
	{ "type", "NAME TEXT", "Type a text as a US keyboard would", oriel_command_type },
	{ "disk", "COMMAND ...", "Create, check, convert ... images of disks", oriel_command_disk },
	{ "identify", "FILE...", "Tell which operating system a disc image has", oriel_command_identify },
	{ "systems", "[WORD...]", "List the operating systems that are known", oriel_command_systems },
	{ "check", "", "Tell whether this computer can run machines", oriel_command_check },
	{ "statistics", "NAME", "Show a machine's counters", oriel_command_statistics },
};

static void print_help(FILE *file)
{
	fprintf(file, "Usage:\n  oriel\n  oriel COMMAND [OPTION...] NAME ...\n\n"
		"Without a command it opens the manager's window.\n\nCommands:\n"
		"  %-28s Open the manager, and files in it\n", "open [FILE...]");
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
		g_autofree char *usage = g_strdup_printf("%s %s", commands[i].name, commands[i].arguments);

		fprintf(file, "  %-28s %s\n", usage, commands[i].summary);
	}
	fprintf(file, "\n\"oriel COMMAND --help\" tells more about one of them.\n");
}

int main(int argc, char **argv)
{
	translation_init();
	if (argc < 2)
		return oriel_application_run(argc, argv);
	if (strcmp(argv[1], "open") == 0)
		return oriel_application_run(argc - 1, argv + 1);
	g_set_prgname("oriel");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return ORIEL_SUCCESS;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("oriel " ORIEL_VERSION "\n");
		return ORIEL_SUCCESS;
	}
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(&commands[i], argc - 1, argv + 1);
	fprintf(stderr, "oriel: there is no command \"%s\"; \"oriel --help\" lists them\n", argv[1]);
	return ORIEL_USAGE;
}
