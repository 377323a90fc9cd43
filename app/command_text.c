#include "command_text.h"

#include <string.h>

#define TERMINAL_COLUMNS 80

void oriel_print_cell(FILE *file, const char *text, int columns)
{
	int used = (int)g_utf8_strlen(text, -1);

	fprintf(file, "%s%*s", text, MAX(columns - used, 0), "");
}

/* From that column on, where the terminal is now, in as many lines as it takes */
static void print_broken(FILE *file, const char *text, int column)
{
	g_auto(GStrv) words = g_strsplit(text, " ", -1);
	int at = column;

	for (guint i = 0; words[i]; i++) {
		int width = (int)g_utf8_strlen(words[i], -1);

		if (i && at + 1 + width > TERMINAL_COLUMNS) {
			fprintf(file, "\n%*s", column, "");
			at = column;
		} else if (i) {
			fputc(' ', file);
			at++;
		}
		fputs(words[i], file);
		at += width;
	}
	fputc('\n', file);
}

void oriel_print_help_line(FILE *file, const char *usage, int column, const char *summary)
{
	fprintf(file, "  ");
	oriel_print_cell(file, usage, column - 2);
	if (2 + g_utf8_strlen(usage, -1) >= column)
		fprintf(file, "\n%*s", column, "");
	print_broken(file, summary, column);
}

/* Where a line's description begins: behind two spaces and more that stand behind something. */
static const char *find_description(const char *line)
{
	const char *name = line + strspn(line, " ");
	const char *gap = strstr(name, "  ");

	return gap ? gap + strspn(gap, " ") : name;
}

void oriel_print_help(FILE *file, const char *text)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (guint i = 0; lines[i] && (*lines[i] || lines[i + 1]); i++) {
		const char *description = find_description(lines[i]);

		fprintf(file, "%.*s", (int)(description - lines[i]), lines[i]);
		print_broken(file, description, (int)g_utf8_strlen(lines[i], description - lines[i]));
	}
}
