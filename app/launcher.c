#include "launcher.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "places.h"

#define COMPLAINTS_MAX 4096

/* It must not end with the terminal that it was started from. */
static void leave_session(gpointer unused)
{
	(void)unused;
	setsid();
}

/* Its complaints go to a file without a name: a pipe would break when this program ends. */
gboolean oriel_launch(const char *folder, gboolean headless, GPid *process, int *complaints, GError **error)
{
	g_autofree char *program = oriel_find_machine_program();
	g_autofree char *name = NULL;
	char *arguments[] = { program, headless ? (char *)"--headless" : (char *)folder, (char *)folder, NULL };
	gboolean ok;

	if (!headless)
		arguments[2] = NULL;
	*complaints = g_file_open_tmp("oriel-start-XXXXXX", &name, error);
	if (*complaints < 0)
		return FALSE;
	g_unlink(name);
	ok = g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)arguments, NULL,
					      G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, leave_session, NULL, -1,
					      *complaints, *complaints, NULL, NULL, 0, process, NULL, NULL, NULL,
					      error);
	if (!ok)
		close(g_steal_fd(complaints));
	return ok;
}

char *oriel_launch_complaints(int complaints)
{
	static const char prefix[] = "oriel-vm: ";
	char buffer[COMPLAINTS_MAX + 1];
	ssize_t size = pread(complaints, buffer, COMPLAINTS_MAX, 0);
	g_autofree char *text = NULL;

	buffer[MAX(size, 0)] = 0;
	text = g_utf8_make_valid(buffer, -1);
	g_strstrip(text);
	return g_strdup(g_str_has_prefix(text, prefix) ? text + strlen(prefix) : text);
}
