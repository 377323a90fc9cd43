#include "disk_tools.h"

#include <stdarg.h>
#include <sys/wait.h>

int disk_tool(char **output, const char *format, ...)
{
	g_autofree char *command = NULL, *out = NULL, *err = NULL;
	g_auto(GStrv) arguments = NULL;
	g_autoptr(GError) error = NULL;
	va_list list;
	int status;

	va_start(list, format);
	command = g_strdup_vprintf(format, list);
	va_end(list);
	g_shell_parse_argv(command, NULL, &arguments, &error);
	g_assert_no_error(error);
	g_spawn_sync(NULL, arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err, &status, &error);
	g_assert_no_error(error);
	if (status)
		g_test_message("%s: %s%s", command, out, err);
	if (output)
		*output = g_strconcat(out, err, NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
