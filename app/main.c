/* oriel: the user's machines, in a window or from the command line. */
#include <glib.h>
#include <glib/gi18n.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../vmm/translation.h"
#include "application.h"
#include "command_text.h"
#include "commands.h"

#define SUMMARY_COLUMN 31

static const struct oriel_command commands[] = {
	{ "create", N_("[NAME]"), N_("Make a new machine"), oriel_command_create },
	{ "import", N_("FILE [NAME]"), N_("Make a machine from another program's disk or appliance"),
	  oriel_command_import },
	{ "clone", N_("NAME NEW-NAME"), N_("Make a copy of a machine"), oriel_command_clone },
	{ "delete", N_("NAME"), N_("Move a machine to the trash"), oriel_command_delete },
	{ "config", N_("NAME [KEY [VALUE]]"), N_("Show or change a machine's configuration"), oriel_command_config },
	{ "log", N_("NAME"), N_("Show what a machine has reported"), oriel_command_log },
	{ "list", "", N_("List the machines and what they are doing"), oriel_command_list },
	{ "start", N_("NAME"), N_("Start a machine"), oriel_command_start },
	{ "pause", N_("NAME"), N_("Hold a machine where it is"), oriel_command_simple, "Pause" },
	{ "resume", N_("NAME"), N_("Let a paused machine go on"), oriel_command_simple, "Resume" },
	{ "reset", N_("NAME"), N_("Restart a machine without asking it"), oriel_command_simple, "Reset" },
	{ "show", N_("NAME"), N_("Show a running machine's window, also if it was started without one"),
	  oriel_command_simple, "Raise" },
	{ "power-button", N_("NAME"), N_("Press the power button: the guest decides"), oriel_command_simple,
	  "PowerButton" },
	{ "stop", N_("NAME"), N_("Switch a machine off without asking it"), oriel_command_stop },
	{ "screenshot", N_("NAME [FILE]"), N_("Save the screen as a PNG file"), oriel_command_screenshot },
	{ "insert", N_("NAME FILE"), N_("Put a disc image into the CD drive"), oriel_command_insert },
	{ "eject", N_("NAME"), N_("Take the disc out of the CD drive"), oriel_command_eject },
	{ "plug", N_("NAME FILE"), N_("Plug in a disk image as a USB stick, or a USB device of the host"),
	  oriel_command_plug },
	{ "unplug", N_("NAME FILE"), N_("Pull out what was plugged in"), oriel_command_unplug },
	{ "usb", N_("NAME"), N_("List the host's USB devices, for plug"), oriel_command_usb },
	{ "keys", N_("NAME KEYS..."), N_("Press keys, for example ctrl+alt+delete"), oriel_command_keys },
	{ "type", N_("NAME TEXT"), N_("Type a text as a US keyboard would"), oriel_command_type },
	{ "disk", N_("COMMAND ..."), N_("Create, check, convert ... images of disks"), oriel_command_disk },
	{ "identify", N_("FILE..."), N_("Tell which operating system a disc image has"), oriel_command_identify },
	{ "systems", N_("[WORD...]"), N_("List the operating systems that are known"), oriel_command_systems },
	{ "check", "", N_("Tell whether this computer can run machines"), oriel_command_check },
	{ "statistics", N_("NAME"), N_("Show a machine's counters"), oriel_command_statistics },
};

static void print_help(FILE *file)
{
	fputs(_("Usage:\n  oriel\n  oriel COMMAND [OPTION...] NAME ...\n\n"
		"Without a command it opens the manager's window.\n\nCommands:\n"), file);
	oriel_print_help_line(file, _("open [FILE...]"), SUMMARY_COLUMN, _("Open the manager, and files in it"));
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
		const char *arguments = *commands[i].arguments ? _(commands[i].arguments) : "";
		g_autofree char *usage = g_strdup_printf("%s %s", commands[i].name, arguments);

		oriel_print_help_line(file, usage, SUMMARY_COLUMN, _(commands[i].summary));
	}
	fputs(_("\n\"oriel COMMAND --help\" tells more about one of them.\n"), file);
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
	oriel_command_say(_("There is no command \"%s\"; \"oriel --help\" lists them"), argv[1]);
	return ORIEL_USAGE;
}
