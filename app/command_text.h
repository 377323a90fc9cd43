/* What the commands print for people, in columns of characters: printf() counts bytes. */
#pragma once

#include <glib.h>
#include <stdio.h>

G_BEGIN_DECLS

/* Text, and what it lacks to that many columns. */
void oriel_print_cell(FILE *file, const char *text, int columns);

/* A line of a list of commands: how it is called, and from that column on what it does, broken into lines. */
void oriel_print_help_line(FILE *file, const char *usage, int column, const char *summary);

/* What GLib has to say about a command's options, with its long lines broken so that descriptions stay in their column */
void oriel_print_help(FILE *file, const char *text);

G_END_DECLS
