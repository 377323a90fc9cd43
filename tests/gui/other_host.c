#include "other_host.h"

bool other_host_possible(void)
{
	int status;

	if (g_spawn_command_line_sync("unshare -m true", NULL, NULL, &status, NULL) && status == 0)
		return true;
	g_test_skip("only root can show the program another host");
	return false;
}

void other_host_script(struct application *application, const char *name, const char *format, ...)
{
	g_autofree char *path = g_build_filename(application->folder, name, NULL);
	g_autofree char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
}

void other_host_start(struct application *application, const char *setup, const char *launcher, const char *asker)
{
	g_autofree char *program = g_strdup(g_getenv("ORIEL_PROGRAM"));
	g_autofree char *wrapper = g_build_filename(application->folder, "host", NULL);
	g_autofree char *path = g_strdup_printf("%s:%s", application->folder, g_getenv("PATH"));

	other_host_script(application, "host", "#!/bin/sh -e\ncd '%s'\n[ \"$1\" = inside ] || exec unshare -m '%s' inside\n"
			  "%s\nexec %s '%s'\n", application->folder, wrapper, setup, launcher, program);
	other_host_script(application, "pkexec", "#!/bin/sh -e\necho \"$@\" >>'%s/asked'\n%s\n", application->folder, asker);
	g_setenv("ORIEL_PROGRAM", wrapper, TRUE);
	application_start(application, "PATH", path, NULL);
	g_setenv("ORIEL_PROGRAM", program, TRUE);
}

char *other_host_file(struct application *application, const char *path)
{
	/* The wrapper has become the program. */
	return g_strdup_printf("/proc/%s/root%s", g_subprocess_get_identifier(application->process), path);
}
