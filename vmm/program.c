#include "program.h"

#include <gio/gio.h>

char *program_beside(const char *path)
{
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *folder = g_path_get_dirname(program ? program : "");

	return g_canonicalize_filename(path, folder);
}
