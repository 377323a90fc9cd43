#include "window_memory.h"

#include <string.h>

#define GROUP "window"
#define VIEW_LIST "list"
#define VIEW_GRID "grid"

static const struct oriel_window_memory first = { .width = 980, .height = 640 };

static char *file_path(void)
{
	return g_build_filename(g_get_user_config_dir(), "oriel", "window.conf", NULL);
}

static int read_length(GKeyFile *file, const char *key, int otherwise)
{
	int length = g_key_file_get_integer(file, GROUP, key, NULL);

	return length >= 200 && length <= 32767 ? length : otherwise;
}

void oriel_window_memory_load(struct oriel_window_memory *memory)
{
	g_autofree char *path = file_path(), *view = NULL;
	g_autoptr(GKeyFile) file = g_key_file_new();

	*memory = first;
	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
		return;
	memory->width = read_length(file, "width", first.width);
	memory->height = read_length(file, "height", first.height);
	memory->maximized = g_key_file_get_boolean(file, GROUP, "maximized", NULL);
	view = g_key_file_get_string(file, GROUP, "view", NULL);
	memory->list = g_strcmp0(view, VIEW_LIST) == 0;
}

gboolean oriel_window_memory_save(const struct oriel_window_memory *memory, GError **error)
{
	g_autofree char *path = file_path(), *folder = g_path_get_dirname(path), *old = NULL, *text = NULL;
	g_autoptr(GKeyFile) file = g_key_file_new();
	gsize length;

	if (g_file_get_contents(path, &old, NULL, NULL))
		g_key_file_load_from_data(file, old, (gsize)-1, G_KEY_FILE_KEEP_COMMENTS, NULL);
	g_key_file_set_integer(file, GROUP, "width", memory->width);
	g_key_file_set_integer(file, GROUP, "height", memory->height);
	g_key_file_set_boolean(file, GROUP, "maximized", memory->maximized);
	g_key_file_set_string(file, GROUP, "view", memory->list ? VIEW_LIST : VIEW_GRID);
	text = g_key_file_to_data(file, &length, NULL);
	if (g_strcmp0(text, old) == 0)
		return TRUE;
	/* If there is no folder the file's error says so. */
	g_mkdir_with_parents(folder, 0700);
	return g_file_set_contents_full(path, text, (gssize)length, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}
