/*
 * Debian's packaged installer, from the empty window: offered, its packages installed if they are missing, a machine made
 * of it; and with the argument "long", until the machine shows the installer's menu.
 */
#include "other_host.h"

#include <glib/gstdio.h>
#include <string.h>

#include "../guest/harness.h"

#define TILE "list item"
#define BUTTON "push button"
#define LABEL "label"
#define IMAGES "/usr/lib/debian-installer"
#define TREE IMAGES "/images/12/amd64/gtk"
#define DISC "/usr/lib/ipxe/ipxe.iso"
#define MACHINE "Debian 12"
#define MENU_MINUTES 12

static bool packages_here(void)
{
	if (g_file_test(TREE "/pxelinux.0", G_FILE_TEST_EXISTS) && g_file_test(DISC, G_FILE_TEST_EXISTS))
		return true;
	g_test_skip("the packages debian-installer-12-netboot-amd64 and ipxe are missing");
	return false;
}

static void expect_value(struct application *app, const char *group, const char *key, const char *expected)
{
	g_autofree char *path = g_build_filename(app->machines, MACHINE, "machine.conf", NULL), *value = NULL;
	g_autoptr(GKeyFile) file = g_key_file_new();

	g_assert_true(g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL));
	value = g_key_file_get_string(file, group, key, NULL);
	g_assert_cmpstr(value, ==, expected);
}

/* The menu's background is a picture of the package's; its top is free of text. */
static bool shows_menu(const struct picture *screen, const struct picture *splash)
{
	const struct area top = { 0, 0, splash->width, 140 };

	return picture_difference(screen, splash, top) < splash->width * 140 / 50;
}

static void wait_menu(struct application *app)
{
	g_autofree char *path = g_build_filename(app->folder, "screen.png", NULL);
	gint64 end = g_get_monotonic_time() + MENU_MINUTES * 60 * G_USEC_PER_SEC;
	struct picture *splash = picture_load(TREE "/splash.png", NULL), *screen;
	bool there = false;

	g_assert_nonnull(splash);
	for (; !there && g_get_monotonic_time() < end; g_usleep(2 * G_USEC_PER_SEC)) {
		/* There is no picture of a screen that shows nothing. */
		if (!application_try_command(app, "screenshot", MACHINE, path, NULL))
			continue;
		screen = picture_load(path, NULL);
		g_assert_nonnull(screen);
		there = shows_menu(screen, splash);
		picture_free(screen);
		g_assert_no_errno(g_remove(path));
	}
	picture_free(splash);
	g_assert_true(there);
}

static void make_machine(struct session *session, bool long_one)
{
	struct application *app;

	if (!packages_here())
		return;
	app = application_new(session);
	application_start(app, NULL);
	application_press(app, BUTTON, "Install Debian");
	application_expect(app, LABEL, "Debian 12*");
	application_picture_of(app, "New Machine", "wizard-packaged");
	application_press(app, BUTTON, "Create");
	application_expect(app, TILE, MACHINE ", Running");
	expect_value(app, "machine", "system", "debian12");
	expect_value(app, "network", "tftp", TREE);
	expect_value(app, "network", "boot-file", "pxelinux.0");
	expect_value(app, "cd1", "path", DISC);
	if (long_one) {
		wait_menu(app);
		application_focus(app);
		application_picture(app, "packaged-menu");
	}
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, MACHINE ", Switched off");
	application_quit(app);
	application_free(app);
}

static void test_machine(gconstpointer session)
{
	make_machine((struct session *)session, false);
}

static void test_menu(gconstpointer session)
{
	make_machine((struct session *)session, true);
}

static void test_missing(gconstpointer session)
{
	g_autofree char *record = NULL, *asked = NULL;
	struct application *app;

	if (!other_host_possible() || !packages_here())
		return;
	app = application_new((struct session *)session);
	/* apt would be the host's. */
	other_host_start(app, "mkdir empty; mount --bind empty " IMAGES "; mount --bind empty /usr/lib/ipxe", "",
			 "umount " IMAGES " /usr/lib/ipxe");
	application_press(app, BUTTON, "New…");
	application_choose_source(app, "Debian’s installer from this computer’s packages");
	application_expect(app, LABEL, "Debian’s installer is a package that is not installed yet.");
	application_expect(app, LABEL, "sudo apt install debian-installer-12-netboot-amd64 ipxe");
	application_picture_of(app, "New Machine", "wizard-packaged-missing");
	application_press(app, BUTTON, "Check Again");
	application_expect(app, LABEL, "Nothing has changed yet.");
	application_press(app, BUTTON, "Do It Now");
	application_expect(app, LABEL, "Debian 12*");
	application_wait_gone(app, LABEL, "Debian’s installer is a package that is not installed yet.");
	record = g_build_filename(app->folder, "asked", NULL);
	g_assert_true(g_file_get_contents(record, &asked, NULL, NULL));
	g_assert_cmpstr(asked, ==, "sh -c apt install debian-installer-12-netboot-amd64 ipxe\n");
	application_press(app, BUTTON, "Cancel");
	application_expect(app, LABEL, "Make your first machine");
	application_quit(app);
	application_free(app);
}

int main(int argc, char **argv)
{
	static const struct session_case usual[] = {
		{ "/packaged/machine", test_machine },
		{ "/packaged/missing", test_missing },
		{ NULL, NULL },
	}, more[] = {
		{ "/packaged/menu", test_menu },
		{ NULL, NULL },
	};

	return session_run(argc, argv, argc > 1 && strcmp(argv[1], "long") == 0 ? more : usual);
}
