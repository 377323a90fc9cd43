#include "disk.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "disk "

/* Their names begin with PREFIX, which oriel_command_parse() prints. */
static const struct oriel_command commands[] = {
	{ PREFIX "create", "FILE [SIZE]", "Make a new image", oriel_disk_create },
	{ PREFIX "info", "FILE", "Show what an image is", oriel_disk_info },
	{ PREFIX "check", "FILE", "Look for damage, and repair it", oriel_disk_check },
	{ PREFIX "resize", "FILE SIZE", "Change the size of the disk; +SIZE and -SIZE too", oriel_disk_resize },
	{ PREFIX "convert", "SOURCE TARGET", "Copy to a new image of any format", oriel_disk_convert },
	{ PREFIX "compact", "FILE", "Give unused space back to the host", oriel_disk_compact },
	{ PREFIX "commit", "FILE", "Write the differences into the backing image", oriel_disk_commit },
	{ PREFIX "rebase", "FILE [BACKING]", "Change the backing image, but not the contents", oriel_disk_rebase },
	{ PREFIX "snapshot", "list|create|apply|delete FILE [NAME]", "Snapshots within an image",
	  oriel_disk_snapshot },
	{ PREFIX "map", "FILE", "Show which parts of the disk are where", oriel_disk_map },
};

static void print_help(FILE *file)
{
	fprintf(file, "Usage:\n  oriel disk COMMAND [OPTION...] FILE ...\n\nCommands:\n");
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
		const char *name = commands[i].name + strlen(PREFIX);

		fprintf(file, "  %-10s %-36s %s\n", name, commands[i].arguments, commands[i].summary);
	}
	fprintf(file, "\n\"oriel disk COMMAND --help\" tells more about one of them.\n");
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
	fprintf(stderr, "oriel disk: there is no command \"%s\"; \"oriel disk --help\" lists them\n", argv[1]);
	return ORIEL_USAGE;
}
