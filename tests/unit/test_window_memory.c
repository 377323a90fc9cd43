/* How the manager's window was left: written whole or not at all, and read whatever somebody has made of the file. */
#include <glib/gstdio.h>
#include <string.h>

#include "../../app/window_memory.h"

static char *configuration; /* $XDG_CONFIG_HOME, the same for all tests of this program */

static char *file_path(void)
{
	return g_build_filename(configuration, "oriel", "window.conf", NULL);
}

static char *folder_path(void)
{
	return g_build_filename(configuration, "oriel", NULL);
}

static void expect(const struct oriel_window_memory *expected)
{
	struct oriel_window_memory memory;

	memset(&memory, 0xa5, sizeof memory);
	oriel_window_memory_load(&memory);
	g_assert_cmpint(memory.width, ==, expected->width);
	g_assert_cmpint(memory.height, ==, expected->height);
	g_assert_cmpint(memory.maximized, ==, expected->maximized);
	g_assert_cmpint(memory.list, ==, expected->list);
}

static void clean(void)
{
	g_autofree char *path = file_path(), *folder = folder_path();

	g_remove(path);
	g_remove(folder);
}

static const struct oriel_window_memory first = { 980, 640, FALSE, FALSE };

static void test_round_trip(void)
{
	const struct oriel_window_memory other = { 1234, 567, TRUE, TRUE };
	g_autofree char *path = file_path(), *text = NULL;
	GStatBuf before, after;
	GError *error = NULL;

	expect(&first);
	g_assert_true(oriel_window_memory_save(&other, &error));
	g_assert_no_error(error);
	expect(&other);
	/* The same again writes nothing: it is the same file still. */
	g_assert_cmpint(g_stat(path, &before), ==, 0);
	g_assert_true(oriel_window_memory_save(&other, NULL));
	g_assert_cmpint(g_stat(path, &after), ==, 0);
	g_assert_cmpuint(before.st_ino, ==, after.st_ino);
	/* What others keep there stays. */
	g_assert_true(g_file_set_contents(path, "# mine\n[window]\nwidth=300\nview=list\n[colours]\nof=mine\n", -1, NULL));
	g_assert_true(oriel_window_memory_save(&first, NULL));
	expect(&first);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_nonnull(strstr(text, "# mine\n"));
	g_assert_nonnull(strstr(text, "[colours]\nof=mine\n"));
	clean();
}

static void test_garbage(void)
{
	static const char *const texts[] = {
		"", "[window", "[window]\nwidth=many\nheight=\nmaximized=maybe\nview=circle\n",
		"[window]\nwidth=-1\nheight=0\n", "[window]\nwidth=99999999999999999999\nheight=199\n", "\xff\xfe\0\1",
		"[other]\nwidth=700\n",
	};
	g_autofree char *path = file_path(), *folder = folder_path();

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		const struct oriel_window_memory other = { 800, 600, FALSE, TRUE };

		g_test_message("%s", texts[i]);
		g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
		expect(&first);
		g_assert_true(oriel_window_memory_save(&other, NULL));
		expect(&other);
	}
	clean();
}

/* There is no folder, and there can be none. */
static void test_unwritable(void)
{
	g_autofree char *folder = folder_path();
	g_autoptr(GError) error = NULL;

	g_assert_true(g_file_set_contents(folder, "a file", -1, NULL));
	g_assert_false(oriel_window_memory_save(&first, &error));
	g_assert_nonnull(error);
	expect(&first);
	clean();
}

int main(int argc, char **argv)
{
	int status;

	configuration = g_dir_make_tmp("oriel-memory-XXXXXX", NULL);
	g_setenv("XDG_CONFIG_HOME", configuration, TRUE);
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/window-memory/round-trip", test_round_trip);
	g_test_add_func("/window-memory/garbage", test_garbage);
	g_test_add_func("/window-memory/unwritable", test_unwritable);
	status = g_test_run();
	g_rmdir(configuration);
	g_free(configuration);
	return status;
}
