#include "disk.h"

#include <glib/gi18n.h>
#include <stdio.h>
#include <string.h>

#include "command_text.h"

#define PREFIX "disk "
#define SUMMARY_COLUMN 31

/* Their names begin with PREFIX, which oriel_command_parse() prints. */
static const struct oriel_command commands[] = {
	{ PREFIX "create", N_("FILE [SIZE]"), N_("Make a new image"), oriel_disk_create },
	{ PREFIX "info", N_("FILE"), N_("Show what an image is"), oriel_disk_info },
	{ PREFIX "check", N_("FILE"), N_("Look for damage, and repair it"), oriel_disk_check },
	{ PREFIX "resize", N_("FILE SIZE"), N_("Change the size of the disk; +SIZE and -SIZE too"),
	  oriel_disk_resize },
	{ PREFIX "convert", N_("SOURCE TARGET"), N_("Copy to a new image of any format"), oriel_disk_convert },
	{ PREFIX "compact", N_("FILE"), N_("Give unused space back to the host"), oriel_disk_compact },
	{ PREFIX "commit", N_("FILE"), N_("Write the differences into the backing image"), oriel_disk_commit },
	{ PREFIX "rebase", N_("FILE [BACKING]"), N_("Change the backing image, but not the contents"),
	  oriel_disk_rebase },
	{ PREFIX "snapshot", N_("list|create|apply|delete FILE [NAME]"), N_("Snapshots within an image"),
	  oriel_disk_snapshot },
	{ PREFIX "map", N_("FILE"), N_("Show which parts of the disk are where"), oriel_disk_map },
};

static void print_help(FILE *file)
{
	fputs(_("Usage:\n  oriel disk COMMAND [OPTION...] FILE ...\n\nCommands:\n"), file);
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
		g_autofree char *usage = g_strdup_printf("%s %s", commands[i].name + strlen(PREFIX),
							 _(commands[i].arguments));

		oriel_print_help_line(file, usage, SUMMARY_COLUMN, _(commands[i].summary));
	}
	fputs(_("\n\"oriel disk COMMAND --help\" tells more about one of them.\n"), file);
}

int oriel_command_disk(const struct oriel_command *command, int argc, char **argv)
{
	(void)command;
	if (argc < 2) {
		print_help(stderr);
		return ORIEL_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(stdout);
		return ORIEL_SUCCESS;
	}
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
		if (strcmp(argv[1], commands[i].name + strlen(PREFIX)) == 0)
			return commands[i].run(&commands[i], argc - 1, argv + 1);
	g_set_prgname("oriel disk");
	oriel_command_say(_("There is no command \"%s\"; \"oriel disk --help\" lists them"), argv[1]);
	return ORIEL_USAGE;
}
