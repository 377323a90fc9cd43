/*
 * The manager as its users meet it: an empty window, the test disc, a running machine, and what can be done with it;
 * by accessible actions, by the keyboard alone, and with everybody else changing things at the same time.
 */
#include "application.h"

#include <X11/keysym.h>
#include <glib/gstdio.h>
#include <string.h>

#include "../guest/harness.h"

#define TILE "list item"
#define BUTTON "push button"
#define LABEL "label"

static gboolean machine_there(struct application *app, const char *id)
{
	g_autofree char *path = g_build_filename(app->machines, id, "machine.conf", NULL);

	return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void expect_tile(struct application *app, const char *text)
{
	application_expect(app, TILE, text);
}

/* Until the thumbnail shows more than darkness; its place is at the top of the first tile of the grid. */
static bool thumbnail_there(void *data)
{
	struct application *app = data;
	struct picture *picture = desktop_grab(app->desktop, app->window);
	unsigned bright = 0;

	for (unsigned y = 60; y < 240 && y < picture->height; y++)
		for (unsigned x = 60; x < 360 && x < picture->width; x++) {
			uint32_t pixel = picture->pixels[y * picture->width + x];

			/* The colour bars; everything else of the window is grey, blue or dark. */
			bright += (pixel >> 16 & 0xff) > 0xc0 && (pixel & 0xff) < 0x60;
		}
	picture_free(picture);
	return bright > 50;
}

static void test_first_machine(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);

	application_start(app, NULL);
	application_expect(app, LABEL, "Make your first machine");
	application_picture(app, "manager-empty");
	application_press(app, BUTTON, "Try the Test Disc");
	expect_tile(app, "Test disc, Running");
	g_assert_cmpuint(desktop_find(app->desktop, "Test disc"), !=, 0);
	application_focus(app);
	for (unsigned i = 0; i < 9 && !desktop_wait(thumbnail_there, app); i++)
		;
	application_picture(app, "manager-running");
	g_assert_true(thumbnail_there(app));
	application_press(app, BUTTON, "Pause");
	expect_tile(app, "Test disc, Paused");
	application_picture(app, "manager-paused");
	application_press(app, BUTTON, "Resume");
	expect_tile(app, "Test disc, Running");
	application_press(app, BUTTON, "Force Off");
	expect_tile(app, "Test disc, Switched off");
	application_press(app, "toggle button", "Machine menu");
	application_picture(app, "manager-menu");
	application_press(app, BUTTON, "Clone…");
	application_press(app, BUTTON, "Clone");
	expect_tile(app, "Test disc (copy), Switched off");
	g_assert_true(machine_there(app, "Test disc (copy)"));
	application_quit(app);
	application_free(app);
}

static void test_keyboard(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	Window machine;

	application_start(app, NULL);
	application_expect(app, LABEL, "Make your first machine");
	application_focus(app);
	desktop_combine(app->desktop, XK_Alt_L, XK_t);
	expect_tile(app, "Test disc, Running");
	machine = desktop_find(app->desktop, "Test disc");
	g_assert_cmpuint(machine, !=, 0);
	application_focus(app);
	desktop_combine(app->desktop, XK_Control_L, XK_p);
	expect_tile(app, "Test disc, Paused");
	application_focus(app);
	desktop_tap(app->desktop, XK_Return);
	expect_tile(app, "Test disc, Running");
	desktop_expect_active(app->desktop, machine);
	application_focus(app);
	desktop_combine(app->desktop, XK_Control_L, XK_k);
	expect_tile(app, "Test disc, Switched off");
	desktop_tap(app->desktop, XK_F2);
	application_expect(app, "text", "*");
	application_type(app, "other\n");
	expect_tile(app, "other, Switched off");
	desktop_combine(app->desktop, XK_Control_L, XK_2);
	application_picture(app, "manager-list");
	desktop_tap(app->desktop, XK_Delete);
	application_expect(app, BUTTON, "Move to Trash");
	application_picture(app, "manager-delete");
	desktop_combine(app->desktop, XK_Alt_L, XK_t);
	application_expect(app, LABEL, "Make your first machine");
	g_assert_false(machine_there(app, "test-disc"));
	application_quit(app);
	application_free(app);
}

static void test_crash(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);

	application_start(app, NULL);
	application_press(app, BUTTON, "Try the Test Disc");
	expect_tile(app, "Test disc, Running");
	application_kill(app);
	application_start(app, NULL);
	expect_tile(app, "Test disc, Running");
	application_select(app, TILE, "Test disc,*");
	application_press(app, BUTTON, "Force Off");
	expect_tile(app, "Test disc, Switched off");
	application_quit(app);
	application_free(app);
}

static void write_machine(struct application *app, const char *id, const char *text)
{
	g_autofree char *folder = g_build_filename(app->machines, id, NULL);
	g_autofree char *path = g_build_filename(folder, "machine.conf", NULL);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_others(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);

	application_start(app, NULL);
	application_command(app, "create", "Made elsewhere", "--disk", "1M", NULL);
	expect_tile(app, "Made elsewhere, Switched off");
	write_machine(app, "by-hand", "[machine]\nname=By hand\n");
	expect_tile(app, "By hand, Switched off");
	write_machine(app, "by-hand", "[machine]\nname=Renamed by hand\n");
	expect_tile(app, "Renamed by hand, Switched off");
	write_machine(app, "by-hand", "[machine]\nname=Renamed by hand\ncpus=many\n");
	expect_tile(app, "Renamed by hand, Configuration is damaged");
	write_machine(app, "future", "[machine]\nversion=99\n");
	expect_tile(app, "future, Made by a newer version");
	application_picture(app, "manager-several");
	application_command(app, "start", "Made elsewhere", "--headless", NULL);
	expect_tile(app, "Made elsewhere, Running");
	application_command(app, "stop", "Made elsewhere", NULL);
	expect_tile(app, "Made elsewhere, Switched off");
	application_quit(app);
	application_free(app);
}

static void test_search(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);

	write_machine(app, "a", "[machine]\nname=Alpha\n");
	write_machine(app, "b", "[machine]\nname=Beta\n");
	application_start(app, NULL);
	expect_tile(app, "Alpha,*");
	application_focus(app);
	desktop_combine(app->desktop, XK_Control_L, XK_f);
	application_type(app, "bet");
	application_wait_gone(app, TILE, "Alpha,*");
	expect_tile(app, "Beta,*");
	application_picture(app, "manager-search");
	application_type(app, "x");
	application_expect(app, LABEL, "No machine has such a name");
	desktop_tap(app->desktop, XK_Escape);
	expect_tile(app, "Alpha,*");
	application_quit(app);
	application_free(app);
}

static void test_refused(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);

	write_machine(app, "a", "[machine]\nname=Alpha\n[disk0]\npath=missing.img\n");
	application_start(app, NULL);
	application_select(app, TILE, "Alpha,*");
	application_press(app, BUTTON, "Start");
	application_expect(app, LABEL, "“Alpha” could not be started.*");
	application_picture(app, "manager-refused");
	expect_tile(app, "Alpha, Switched off");
	application_quit(app);
	application_free(app);
}

static void test_wizard(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *disc = g_canonicalize_filename("data/testdisc/testdisc.iso", NULL);

	application_start(app, NULL);
	application_expect(app, LABEL, "Make your first machine");
	application_command(app, "open", disc, NULL);
	application_expect(app, LABEL, "Oriel test disc");
	application_expect(app, BUTTON, "Create");
	application_picture(app, "wizard-machine");
	application_set_text(app, "text", "Name", "From a disc");
	application_press(app, BUTTON, "Create");
	expect_tile(app, "From a disc, Running");
	application_press(app, BUTTON, "Force Off");
	expect_tile(app, "From a disc, Switched off");
	/* Given up: nothing is left. */
	application_press(app, BUTTON, "New…");
	application_expect(app, LABEL, "What shall the machine start from?");
	application_picture(app, "wizard-source");
	application_press(app, BUTTON, "Cancel");
	application_wait_gone(app, LABEL, "What shall the machine start from?");
	application_quit(app);
	application_free(app);
}

static void run_tool(const char *command)
{
	g_autoptr(GError) error = NULL;
	int status;

	g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, &status, &error));
	g_assert_no_error(error);
	g_assert_cmpint(status, ==, 0);
}

static void test_import(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *raw = g_build_filename(app->folder, "old.raw", NULL);
	g_autofree char *vmdk = g_build_filename(app->folder, "old.vmdk", NULL);
	g_autofree char *made = g_build_filename(app->machines, "old", "disk.qcow2", NULL);
	g_autofree char *create = g_strdup_printf("qemu-img create -q -f raw %s 40M", raw);
	g_autofree char *fill = g_strdup_printf("qemu-io -f raw -c 'write -q -P 0x5a 3M 9M' %s", raw);
	g_autofree char *convert = g_strdup_printf("qemu-img convert -O vmdk %s %s", raw, vmdk);
	g_autofree char *compare = g_strdup_printf("qemu-img compare -q -f raw -F qcow2 %s %s", raw, made);

	run_tool(create);
	run_tool(fill);
	run_tool(convert);
	application_start(app, NULL);
	application_expect(app, LABEL, "Make your first machine");
	application_command(app, "open", vmdk, NULL);
	application_expect(app, LABEL, "1 disk, which takes about*");
	application_picture(app, "wizard-import");
	application_press(app, "check box", "Start it when it is made");
	application_press(app, BUTTON, "Create");
	expect_tile(app, "old, Switched off");
	run_tool(compare);
	application_quit(app);
	g_remove(raw);
	g_remove(vmdk);
	application_free(app);
}

/* Nothing but the keyboard, from the manager's window to the file: the first and the second source are files. */
static void choose_by_keyboard(struct application *app, const char *title, unsigned source, const char *path)
{
	static const char *const names[] = { "An installer or live disc", "A disk or a machine that there is" };
	Window chooser;

	application_focus(app);
	desktop_combine(app->desktop, XK_Control_L, XK_n);
	application_choose_source(app, names[source]);
	chooser = desktop_find(app->desktop, title);
	g_assert_cmpuint(chooser, !=, 0);
	desktop_expect_active(app->desktop, chooser);
	/* The slash opens the chooser's own line for a path, which GTK wants to be there when the key goes up again. */
	XAutoRepeatOff(app->desktop->display);
	desktop_key(app->desktop, XK_slash, true);
	application_expect(app, "text", "*");
	desktop_key(app->desktop, XK_slash, false);
	XAutoRepeatOn(app->desktop->display);
	application_type(app, path + 1);
	application_picture_of(app, title, source ? "wizard-choose-disk" : "wizard-choose-disc");
	application_type(app, "\n");
}

static void test_choosers(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *disc = harness_test_disc(), *raw = g_build_filename(app->folder, "Old Disk.raw", NULL);
	g_autofree char *made = g_build_filename(app->machines, "Old Disk", "disk.qcow2", NULL);
	g_autofree char *create = g_strdup_printf("qemu-img create -q -f raw '%s' 8M", raw);
	g_autofree char *fill = g_strdup_printf("qemu-io -f raw -c 'write -q -P 0x5a 3M 1M' '%s'", raw);
	g_autofree char *compare = g_strdup_printf("qemu-img compare -q -f raw -F qcow2 '%s' '%s'", raw, made);

	run_tool(create);
	run_tool(fill);
	application_start(app, NULL);
	application_expect(app, LABEL, "Make your first machine");
	choose_by_keyboard(app, "Choose an Installer", 0, disc);
	application_expect(app, LABEL, "Oriel test disc");
	desktop_expect_active(app->desktop, desktop_find(app->desktop, "New Machine"));
	application_type(app, "\n");
	expect_tile(app, "Oriel test disc, Running");
	application_focus(app);
	desktop_combine(app->desktop, XK_Control_L, XK_k);
	expect_tile(app, "Oriel test disc, Switched off");
	choose_by_keyboard(app, "Choose a Disk Image", 1, raw);
	application_expect(app, LABEL, "1 disk, which takes about*");
	desktop_expect_active(app->desktop, desktop_find(app->desktop, "New Machine"));
	desktop_combine(app->desktop, XK_Alt_L, XK_s);
	application_type(app, "\n");
	expect_tile(app, "Old Disk, Switched off");
	run_tool(compare);
	/* Given up, in the chooser and then in the wizard */
	application_focus(app);
	desktop_combine(app->desktop, XK_Control_L, XK_n);
	application_choose_source(app, "A disk or a machine that there is");
	desktop_expect_active(app->desktop, desktop_find(app->desktop, "Choose a Disk Image"));
	desktop_tap(app->desktop, XK_Escape);
	desktop_expect_active(app->desktop, desktop_find(app->desktop, "New Machine"));
	desktop_tap(app->desktop, XK_Escape);
	application_wait_gone(app, LABEL, "What shall the machine start from?");
	application_quit(app);
	application_free(app);
}

int main(int argc, char **argv)
{
	static const struct session_case cases[] = {
		{ "/manager/first-machine", test_first_machine },
		{ "/manager/keyboard", test_keyboard },
		{ "/manager/crash", test_crash },
		{ "/manager/others", test_others },
		{ "/manager/search", test_search },
		{ "/manager/refused", test_refused },
		{ "/manager/wizard", test_wizard },
		{ "/manager/import", test_import },
		{ "/manager/choosers", test_choosers },
		{ NULL, NULL },
	};

	return session_run(argc, argv, cases);
}
