/* The README's first command, from the sources to the test disc in a window, as somebody meets it who tries Oriel. */
#include <X11/keysym.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../guest/harness.h"
#include "../remove_tree.h"
#include "desktop.h"

#define ACCENT 0x4FB3FF /* of the line below the test disc's title */

struct fixture {
	struct desktop *desktop;
	const char *source;
	char *home;
	GSubprocess *process;
	Window manager, window;
};

static char *output_of(const char *folder, const char *const *command)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE |
									    G_SUBPROCESS_FLAGS_STDERR_SILENCE);
	g_autoptr(GSubprocess) process = NULL;
	g_autoptr(GError) error = NULL;
	char *output = NULL;

	g_subprocess_launcher_set_cwd(launcher, folder);
	process = g_subprocess_launcher_spawnv(launcher, command, &error);
	g_assert_no_error(error);
	g_subprocess_communicate_utf8(process, NULL, NULL, &output, NULL, &error);
	g_assert_no_error(error);
	return output;
}

static char *git_status(const char *source)
{
	static const char *const command[] = { "git", "status", "--porcelain", NULL };

	return output_of(source, command);
}

static void start(struct fixture *fixture)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
	g_autofree char *program = g_build_filename(fixture->source, "data", "start", NULL);
	g_autoptr(GError) error = NULL;

	g_subprocess_launcher_setenv(launcher, "HOME", fixture->home, TRUE);
	g_subprocess_launcher_setenv(launcher, "XDG_RUNTIME_DIR", fixture->home, TRUE);
	g_subprocess_launcher_unsetenv(launcher, "XDG_DATA_HOME");
	g_subprocess_launcher_unsetenv(launcher, "XDG_CONFIG_HOME");
	/* From somewhere else, as a desktop entry would. */
	g_subprocess_launcher_set_cwd(launcher, "/");
	/* Its words are not for the test's output. */
	g_subprocess_launcher_set_flags(launcher, G_SUBPROCESS_FLAGS_STDOUT_SILENCE);
	fixture->process = g_subprocess_launcher_spawn(launcher, &error, program, NULL);
	g_assert_no_error(error);
}

static bool manager_there(void *data)
{
	struct fixture *fixture = data;

	return (fixture->manager = desktop_find(fixture->desktop, "Oriel")) != 0;
}

static bool window_there(void *data)
{
	struct fixture *fixture = data;

	return (fixture->window = desktop_find(fixture->desktop, "Test disc")) != 0;
}

static bool disc_there(void *data)
{
	struct fixture *fixture = data;

	return desktop_pixel(fixture->desktop, fixture->window, 500, 105) == ACCENT;
}

static void wait_long(bool (*condition)(void *data), struct fixture *fixture)
{
	for (unsigned i = 0; i < 60; i++)
		if (desktop_wait(condition, fixture))
			return;
	g_error("data/start does not come to the test disc");
}

static void stop_machine(struct fixture *fixture)
{
	g_autofree char *home = g_strconcat("HOME=", fixture->home, NULL);
	g_autofree char *runtime = g_strconcat("XDG_RUNTIME_DIR=", fixture->home, NULL);
	g_autofree char *program = g_build_filename(g_getenv("ORIEL_BUILD"), "oriel", NULL);
	const char *const command[] = { "env", "-u", "XDG_DATA_HOME", home, runtime, program, "stop", "test-disc", NULL };

	g_free(output_of("/", command));
}

static void test_start(void)
{
	struct fixture fixture = { .source = g_getenv("ORIEL_SOURCE") };
	g_autofree char *build = g_build_filename(fixture.source, "build", NULL);
	g_autofree char *machine = NULL, *before = NULL, *after = NULL;

	if (g_strcmp0(build, g_getenv("ORIEL_BUILD")) != 0) {
		g_test_skip("data/start builds in \"build\", and this is another build folder");
		return;
	}
	before = git_status(fixture.source);
	fixture.home = g_dir_make_tmp("oriel-start-XXXXXX", NULL);
	fixture.desktop = desktop_start();
	for (int i = 0; i < 2; i++) {
		start(&fixture);
		wait_long(manager_there, &fixture);
		desktop_focus(fixture.desktop, fixture.manager);
		/* The first time it offers the test disc, and the second time the machine that has been made of it. */
		if (i)
			desktop_tap(fixture.desktop, XK_Return);
		else
			desktop_combine(fixture.desktop, XK_Alt_L, XK_t);
		wait_long(window_there, &fixture);
		wait_long(disc_there, &fixture);
		stop_machine(&fixture);
		desktop_close(fixture.desktop, fixture.manager);
		g_assert_true(g_subprocess_wait_check(fixture.process, NULL, NULL));
		g_clear_object(&fixture.process);
	}
	machine = g_build_filename(fixture.home, ".local/share/oriel/machines/test-disc/machine.conf", NULL);
	g_assert_true(g_file_test(machine, G_FILE_TEST_EXISTS));
	desktop_stop(fixture.desktop);
	remove_tree(fixture.home);
	g_free(fixture.home);
	after = git_status(fixture.source);
	g_assert_cmpstr(after, ==, before);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/start/test-disc", test_start);
	return harness_run();
}
