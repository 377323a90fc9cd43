#include "command_text.h"

#include <string.h>

#define TERMINAL_COLUMNS 80

void oriel_print_cell(FILE *file, const char *text, int columns)
{
	int used = (int)g_utf8_strlen(text, -1);

	fprintf(file, "%s%*s", text, MAX(columns - used, 0), "");
}

void oriel_print_help_line(FILE *file, const char *usage, int column, const char *summary)
{
	g_auto(GStrv) words = g_strsplit(summary, " ", -1);
	int at = column;

	fprintf(file, "  ");
	oriel_print_cell(file, usage, column - 2);
	if (2 + g_utf8_strlen(usage, -1) >= column)
		fprintf(file, "\n%*s", column, "");
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
