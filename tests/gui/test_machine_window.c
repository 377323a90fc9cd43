/*
 * The whole program with its window: oriel-vm on the test disc, under Xvfb, driven by keys, a mouse and the window
 * manager, and watched through the window's pixels, the control socket and the serial port.
 */
#include <X11/keysym.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "../guest/harness.h"
#include "desktop.h"

#define NAME "Test disc"
#define BOOT_SECONDS 90
#define DISK_SIZE (1u << 30)

/* Numbers that the disc's source has, too. */
#define BACKGROUND 0x1B2430
#define KEY_RELEASED 0x3A4A5F
#define KEY_HELD 0x58C777
#define KEY_A_X 160
#define KEY_A_Y 602

/* Of the window's menu: where its first line is with one stick, and how a chosen line looks. */
#define USB_ITEM_X 340
#define USB_ITEM_Y 393
#define HIGHLIGHT 0x2F74D0

struct fixture {
	struct desktop *desktop;
	struct guest *guest;
	Window window;
};

static struct desktop *the_desktop;

static void boot(struct fixture *fixture, struct desktop *desktop, const char *name)
{
	struct guest *guest = guest_new(name);
	g_autofree char *image = guest_add_disk(guest, NULL, DISK_SIZE);

	*fixture = (struct fixture){ .desktop = desktop, .guest = guest };
	guest_set(guest, "machine", "name", NAME);
	guest_set_test_disc(guest);
	guest_set_window(guest);
	/* Screenshots go to the user's folder of pictures, of which there is none. */
	guest_set_environment(guest, "HOME", guest_folder(guest));
	guest_set_environment(guest, "XDG_CONFIG_HOME", guest_folder(guest));
	guest_set_environment(guest, "DISPLAY", g_getenv("DISPLAY"));
	guest_set_environment(guest, "ORIEL_SYSFS", guest_folder(guest));
	guest_set_environment(guest, "SDL_VIDEODRIVER", "x11");
	guest_start(guest);
	guest_wait_line(guest, "screen", BOOT_SECONDS);
	fixture->window = desktop_find(desktop, NAME);
	g_assert_cmpuint(fixture->window, !=, 0);
}

/* Conditions on the window; each is waited for. */

struct expected {
	struct fixture *fixture;
	int x, y; /* or a size */
	uint32_t colour;
	const char *text;
};

static bool has_colour(void *data)
{
	struct expected *e = data;

	return desktop_pixel(e->fixture->desktop, e->fixture->window, e->x, e->y) == e->colour;
}

static void expect_colour(struct fixture *fixture, int x, int y, uint32_t colour)
{
	struct expected expected = { fixture, x, y, colour, NULL };

	if (!desktop_wait(has_colour, &expected))
		g_assert_cmphex(desktop_pixel(fixture->desktop, fixture->window, x, y), ==, colour);
}

static bool has_size(void *data)
{
	struct expected *e = data;
	int width, height;

	desktop_size(e->fixture->desktop, e->fixture->window, &width, &height);
	return width == e->x && height == e->y;
}

static void expect_size(struct fixture *fixture, int width, int height)
{
	struct expected expected = { fixture, width, height, 0, NULL };
	int x, y;

	if (desktop_wait(has_size, &expected))
		return;
	desktop_size(fixture->desktop, fixture->window, &x, &y);
	g_error("the window has %dx%d pixels and not %dx%d", x, y, width, height);
}

static bool has_title(void *data)
{
	struct expected *e = data;
	g_autofree char *title = desktop_title(e->fixture->desktop, e->fixture->window);

	return title && strstr(title, e->text);
}

static void expect_title(struct fixture *fixture, const char *text)
{
	struct expected expected = { .fixture = fixture, .text = text };

	if (!desktop_wait(has_title, &expected))
		g_error("the title does not have \"%s\"", text);
}

/* The guest's picture, pixel by pixel. The guest must not be drawing. */
static bool shows_screen(void *data)
{
	struct fixture *fixture = data;
	const struct picture *screen = guest_look(fixture->guest);
	struct picture *window = desktop_grab(fixture->desktop, fixture->window);
	bool same = screen && picture_difference(screen, window, picture_whole(screen)) == 0;

	picture_free(window);
	return same;
}

/* Only at the bottom is something else: the dialog has gone, and a notice is there. */
static bool shows_notice(void *data)
{
	struct fixture *fixture = data;
	const struct picture *screen = guest_look(fixture->guest);
	struct picture *window = desktop_grab(fixture->desktop, fixture->window);
	struct area top = { 0, 0, 1024, 600 };
	bool notice = screen && picture_difference(screen, window, top) == 0 &&
		      picture_difference(screen, window, picture_whole(screen)) > 1000;

	picture_free(window);
	return notice;
}

static void host_and(struct fixture *fixture, unsigned long key)
{
	desktop_combine(fixture->desktop, XK_Control_R, key);
}

static void end(struct fixture *fixture)
{
	g_variant_unref(guest_call(fixture->guest, "Stop", NULL));
	guest_wait_end(fixture->guest, 20);
	guest_free(fixture->guest);
}

/* The picture of the README: a few keys held, the clock running. */
static void update_picture(struct fixture *fixture, const char *source)
{
	static const KeySym keys[] = { XK_o, XK_r, XK_i, XK_e, XK_l };
	g_autofree char *path = g_build_filename(source, "data", "screenshots", "test-disc.png", NULL);

	desktop_focus(the_desktop, fixture->window);
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
		desktop_key(the_desktop, keys[i], true);
	guest_wait_text(fixture->guest, "0:04 since the start", 60);
	desktop_save(the_desktop, desktop_frame(the_desktop, fixture->window), path);
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++)
		desktop_key(the_desktop, keys[i], false);
}

static void test_picture(void)
{
	const char *update = g_getenv("ORIEL_UPDATE_SCREENSHOTS"), *source = g_getenv("ORIEL_SOURCE");
	struct fixture fixture;

	boot(&fixture, the_desktop, "picture");
	expect_size(&fixture, 1024, 768);
	expect_title(&fixture, NAME " \u2014 Right Ctrl+M opens the menu");
	expect_colour(&fixture, 4, 200, BACKGROUND);
	if (update && *update && source)
		update_picture(&fixture, source);
	g_assert_cmpstr(guest_ask(fixture.guest, 10, "halt"), ==, "halt");
	g_assert_true(desktop_wait(shows_screen, &fixture));
	guest_keep_picture(fixture.guest, "screen");
	end(&fixture);
}

static void test_input(void)
{
	struct fixture fixture;

	boot(&fixture, the_desktop, "input");
	expect_size(&fixture, 1024, 768);
	expect_colour(&fixture, KEY_A_X, KEY_A_Y, KEY_RELEASED);
	desktop_focus(the_desktop, fixture.window);
	desktop_key(the_desktop, XK_a, true);
	expect_colour(&fixture, KEY_A_X, KEY_A_Y, KEY_HELD);
	desktop_key(the_desktop, XK_a, false);
	expect_colour(&fixture, KEY_A_X, KEY_A_Y, KEY_RELEASED);
	/* A key that is down while the window loses the focus does not stay down. */
	desktop_key(the_desktop, XK_a, true);
	expect_colour(&fixture, KEY_A_X, KEY_A_Y, KEY_HELD);
	desktop_focus(the_desktop, DefaultRootWindow(the_desktop->display));
	expect_colour(&fixture, KEY_A_X, KEY_A_Y, KEY_RELEASED);
	desktop_key(the_desktop, XK_a, false);
	desktop_focus(the_desktop, fixture.window);
	/* The mouse: not the guest's, taken, let go. */
	desktop_pointer(the_desktop, fixture.window, 300, 300);
	guest_wait_text(fixture.guest, "x 512  y 384", 10);
	desktop_click(the_desktop, 1);
	expect_title(&fixture, "Right Ctrl releases the mouse");
	desktop_move_by(the_desktop, 40, 30);
	guest_wait_text(fixture.guest, "x 552  y 414", 10);
	desktop_move_by(the_desktop, -100, -7);
	guest_wait_text(fixture.guest, "x 452  y 407", 10);
	desktop_tap(the_desktop, XK_Control_R);
	expect_title(&fixture, "Right Ctrl+M opens the menu");
	desktop_move_by(the_desktop, 50, 50);
	desktop_tap(the_desktop, XK_b);
	guest_ask(fixture.guest, 10, "ping");
	guest_wait_text(fixture.guest, "x 452  y 407", 10);
	end(&fixture);
}

/* Only a stick has such a counter; the tablet is at the connector before. */
static bool has_stick(struct fixture *fixture)
{
	g_autoptr(GVariant) reply = guest_call(fixture->guest, "Statistics", NULL);
	g_autoptr(GVariant) counters = g_variant_get_child_value(reply, 0);
	guint64 value;

	return g_variant_lookup(counters, "usb1.read.operations", "t", &value);
}

static bool has_no_stick(void *fixture)
{
	return !has_stick(fixture);
}

/* The menu pulls a stick out. */
static void test_usb(void)
{
	struct fixture fixture;
	g_autofree char *path = NULL;
	const char sector[512] = "a stick";

	boot(&fixture, the_desktop, "usb");
	expect_size(&fixture, 1024, 768);
	path = g_build_filename(guest_folder(fixture.guest), "stick.img", NULL);
	g_assert_true(g_file_set_contents(path, sector, sizeof sector, NULL));
	g_variant_unref(guest_call(fixture.guest, "PlugStick", g_variant_new("(sb)", path, TRUE)));
	g_assert_true(has_stick(&fixture));
	desktop_focus(the_desktop, fixture.window);
	host_and(&fixture, XK_m);
	for (unsigned i = 0; i < 7; i++)
		desktop_tap(the_desktop, XK_Down);
	desktop_tap(the_desktop, XK_Return);
	expect_colour(&fixture, USB_ITEM_X, USB_ITEM_Y, HIGHLIGHT);
	desktop_picture(the_desktop, fixture.window, "machine-usb");
	desktop_tap(the_desktop, XK_Return);
	g_assert_true(desktop_wait(has_no_stick, &fixture));
	desktop_tap(the_desktop, XK_Escape);
	end(&fixture);
}

static char *find_picture(const struct guest *guest)
{
	g_autoptr(GDir) folder = g_dir_open(guest_folder(guest), 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(folder)))
		if (g_str_has_suffix(name, ".png"))
			return g_build_filename(guest_folder(guest), name, NULL);
	return NULL;
}

/* Written under another name first, so that it is complete as soon as it is there. */
static bool picture_saved(void *data)
{
	g_autofree char *path = find_picture(((struct fixture *)data)->guest);

	return path;
}

static void test_screenshot(void)
{
	struct fixture fixture;
	struct picture *window, *saved;
	g_autofree char *path = NULL;

	boot(&fixture, the_desktop, "screenshot");
	expect_size(&fixture, 1024, 768);
	g_assert_cmpstr(guest_ask(fixture.guest, 10, "halt"), ==, "halt");
	g_assert_true(desktop_wait(shows_screen, &fixture));
	window = desktop_grab(the_desktop, fixture.window);
	desktop_focus(the_desktop, fixture.window);
	host_and(&fixture, XK_s);
	g_assert_true(desktop_wait(picture_saved, &fixture));
	g_assert_true(desktop_wait(shows_notice, &fixture));
	path = find_picture(fixture.guest);
	saved = picture_load(path, NULL);
	g_assert_nonnull(saved);
	g_assert_cmpuint(picture_difference(saved, window, picture_whole(saved)), ==, 0);
	picture_free(saved);
	picture_free(window);
	end(&fixture);
}

/* The white bar is not white. */
static bool is_dimmed(void *data)
{
	struct fixture *fixture = data;

	return desktop_pixel(fixture->desktop, fixture->window, 60, 180) < 0xD0D0D0;
}

static void test_pause(void)
{
	struct fixture fixture;

	boot(&fixture, the_desktop, "pause");
	expect_size(&fixture, 1024, 768);
	expect_colour(&fixture, 60, 180, 0xFFFFFF);
	desktop_focus(the_desktop, fixture.window);
	host_and(&fixture, XK_p);
	guest_wait_state(fixture.guest, "paused", 10);
	expect_title(&fixture, NAME " (paused)");
	g_assert_true(desktop_wait(is_dimmed, &fixture));
	host_and(&fixture, XK_p);
	guest_wait_state(fixture.guest, "running", 10);
	expect_title(&fixture, NAME " \u2014");
	expect_colour(&fixture, 60, 180, 0xFFFFFF);
	/* A crash is shown, too, and the way out of it works. */
	guest_write(fixture.guest, "crash\n");
	guest_wait_state(fixture.guest, "crashed", 20);
	expect_title(&fixture, NAME " (crashed)");
	host_and(&fixture, XK_r);
	desktop_tap(the_desktop, XK_Return);
	guest_wait_state(fixture.guest, "running", 20);
	guest_wait_line(fixture.guest, "screen", BOOT_SECONDS);
	expect_colour(&fixture, 60, 180, 0xFFFFFF);
	end(&fixture);
}

/* The disk's image is deleted, the user puts it back and lets the guest go on. */
static void test_trouble(void)
{
	struct fixture fixture;
	g_autofree char *image = NULL;

	boot(&fixture, the_desktop, "trouble");
	expect_size(&fixture, 1024, 768);
	image = g_build_filename(guest_folder(fixture.guest), "disk.img", NULL);
	g_assert_no_errno(g_remove(image));
	guest_write(fixture.guest, "check 0 64\n");
	guest_wait_state(fixture.guest, "trouble", 20);
	expect_title(&fixture, NAME " (waiting for you)");
	g_assert_true(desktop_wait(is_dimmed, &fixture));
	desktop_picture(the_desktop, fixture.window, "trouble");
	g_free(guest_add_disk(fixture.guest, NULL, DISK_SIZE));
	desktop_focus(the_desktop, fixture.window);
	host_and(&fixture, XK_p);
	g_assert_cmpstr(guest_wait_line(fixture.guest, "check", 20), ==, "check good");
	expect_colour(&fixture, 60, 180, 0xFFFFFF);
	end(&fixture);
}

/* The dialog has appeared when the picture behind it is not what the guest shows. */
static void open_close_dialog(struct fixture *fixture)
{
	struct picture *before = desktop_grab(fixture->desktop, fixture->window), *now = NULL;
	struct area middle = { 412, 300, 200, 160 };

	desktop_focus(fixture->desktop, fixture->window);
	desktop_close(fixture->desktop, fixture->window);
	for (unsigned i = 0; i < 2000; i++) {
		picture_free(now);
		now = desktop_grab(fixture->desktop, fixture->window);
		if (picture_difference(before, now, middle) > 10000)
			break;
		g_usleep(5000);
	}
	g_assert_cmpuint(picture_difference(before, now, middle), >, 10000);
	picture_free(before);
	picture_free(now);
}

static void choose(struct fixture *fixture, unsigned entry)
{
	open_close_dialog(fixture);
	while (entry--)
		desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Return);
}

static void test_close(void)
{
	struct fixture fixture;

	boot(&fixture, the_desktop, "close");
	expect_size(&fixture, 1024, 768);
	g_assert_cmpstr(guest_ask(fixture.guest, 10, "halt"), ==, "halt");
	open_close_dialog(&fixture);
	desktop_picture(the_desktop, fixture.window, "close-dialog");
	desktop_tap(the_desktop, XK_Escape);
	g_assert_true(desktop_wait(shows_screen, &fixture));
	/* The power button: nobody listens, and the user is told. */
	choose(&fixture, 0);
	g_assert_true(desktop_wait(shows_notice, &fixture));
	guest_ask(fixture.guest, 10, "ping");
	desktop_picture(the_desktop, fixture.window, "power-button");
	g_assert_true(desktop_wait(shows_screen, &fixture));
	choose(&fixture, 1);
	guest_wait_end(fixture.guest, 20);
	guest_free(fixture.guest);
}

static bool window_gone(void *data)
{
	struct fixture *fixture = data;
	int width = 0, height = 0;

	desktop_size(fixture->desktop, fixture->window, &width, &height);
	return width == 0;
}

static void test_keep_running(void)
{
	struct fixture fixture;

	boot(&fixture, the_desktop, "keep-running");
	expect_size(&fixture, 1024, 768);
	g_assert_cmpstr(guest_ask(fixture.guest, 10, "halt"), ==, "halt");
	choose(&fixture, 2);
	g_assert_true(desktop_wait(window_gone, &fixture));
	guest_ask(fixture.guest, 10, "ping");
	g_assert_false(guest_ended(fixture.guest));
	g_assert_nonnull(guest_look(fixture.guest));
	g_variant_unref(guest_call(fixture.guest, "Pause", NULL));
	g_variant_unref(guest_call(fixture.guest, "Resume", NULL));
	g_variant_unref(guest_call(fixture.guest, "Reset", NULL));
	guest_wait_line(fixture.guest, "screen", BOOT_SECONDS);
	end(&fixture);
}

static void test_reset_and_signal(void)
{
	struct fixture fixture;

	boot(&fixture, the_desktop, "reset");
	expect_size(&fixture, 1024, 768);
	desktop_focus(the_desktop, fixture.window);
	host_and(&fixture, XK_r);
	desktop_tap(the_desktop, XK_Return);
	guest_wait_line(fixture.guest, "screen", BOOT_SECONDS);
	expect_size(&fixture, 1024, 768);
	guest_kill(fixture.guest, SIGTERM);
	guest_wait_end(fixture.guest, 1);
	guest_free(fixture.guest);
}

/* Inside the screen; in its middle, where it was at the start and nobody moved it. */
static bool well_placed(void *data)
{
	struct fixture *fixture = data;
	struct desktop *desktop = fixture->desktop;
	int width, height, x, y, screen_width = DisplayWidth(desktop->display, 0);
	int screen_height = DisplayHeight(desktop->display, 0);

	desktop_size(desktop, fixture->window, &width, &height);
	desktop_place(desktop, fixture->window, &x, &y);
	return x >= 0 && y >= 0 && x + width <= screen_width && y + height <= screen_height &&
	       abs(x + width / 2 - screen_width / 2) < 60 && abs(y + height / 2 - screen_height / 2) < 60;
}

static void expect_place(struct fixture *fixture)
{
	int width, height, x, y;

	if (desktop_wait(well_placed, fixture))
		return;
	desktop_size(fixture->desktop, fixture->window, &width, &height);
	desktop_place(fixture->desktop, fixture->window, &x, &y);
	g_error("the window of %dx%d is at %d, %d", width, height, x, y);
}

static void check_modes(struct desktop *desktop, const char *name)
{
	static const struct { int width, height; } modes[] = {
		{ 800, 600 }, { 1280, 1024 }, { 640, 480 }, { 1600, 1100 },
	};
	struct fixture fixture;

	boot(&fixture, desktop, name);
	expect_size(&fixture, 1024, 768);
	expect_place(&fixture);
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		guest_ask(fixture.guest, 60, "animate %d %d 1", modes[i].width, modes[i].height);
		expect_size(&fixture, modes[i].width, modes[i].height);
		/* The first frame: its number in the corner. */
		expect_colour(&fixture, 5, 5, 0x000001);
		expect_place(&fixture);
	}
	end(&fixture);
}

static void test_modes(void)
{
	check_modes(the_desktop, "modes");
}

static void test_modes_alone(void)
{
	g_autofree char *display = g_strdup(g_getenv("DISPLAY"));
	struct desktop *desktop = desktop_start_alone();

	check_modes(desktop, "modes-alone");
	desktop_stop(desktop);
	g_setenv("DISPLAY", display, TRUE);
}

/* How often threads of the process have gone to sleep on their own account. */
static uint64_t count_sleeps(const struct guest *guest)
{
	g_autofree char *folder = g_strdup_printf("/proc/%d/task", (int)guest_process(guest));
	g_autoptr(GDir) tasks = g_dir_open(folder, 0, NULL);
	const char *name;
	uint64_t sum = 0;

	while ((name = g_dir_read_name(tasks))) {
		g_autofree char *path = g_build_filename(folder, name, "status", NULL);
		g_autofree char *text = NULL;
		const char *line;

		if (g_file_get_contents(path, &text, NULL, NULL) && (line = strstr(text, "\nvoluntary_ctxt_switches:")))
			sum += g_ascii_strtoull(strchr(line, ':') + 2, NULL, 10);
	}
	return sum;
}

/* A count, not a time: a timer that polls ten times a second would be far above it. */
enum { MOST_SLEEPS = 20 };

static uint64_t sleeps_in_five_seconds(struct fixture *fixture)
{
	uint64_t sleeps = count_sleeps(fixture->guest);

	g_usleep(5 * G_USEC_PER_SEC);
	sleeps = count_sleeps(fixture->guest) - sleeps;
	g_test_message("%u wake-ups in 5 seconds", (unsigned)sleeps);
	return sleeps;
}

static void expect_idle(struct fixture *fixture)
{
	/* The display's refresh goes on for a moment after the last change. */
	g_usleep(2 * G_USEC_PER_SEC);
	g_assert_cmpuint(sleeps_in_five_seconds(fixture), <=, MOST_SLEEPS);
}

static void test_idle(void)
{
	struct fixture fixture;

	boot(&fixture, the_desktop, "idle");
	expect_size(&fixture, 1024, 768);
	/* With the disc's clock ticking it is not. */
	g_assert_cmpuint(sleeps_in_five_seconds(&fixture), >, MOST_SLEEPS);
	g_assert_cmpstr(guest_ask(fixture.guest, 10, "halt"), ==, "halt");
	g_assert_true(desktop_wait(shows_screen, &fixture));
	expect_idle(&fixture);
	/* And it is awake when it should be. */
	desktop_focus(the_desktop, fixture.window);
	desktop_key(the_desktop, XK_a, true);
	expect_colour(&fixture, KEY_A_X, KEY_A_Y, KEY_HELD);
	desktop_key(the_desktop, XK_a, false);
	expect_colour(&fixture, KEY_A_X, KEY_A_Y, KEY_RELEASED);
	/* A guest that has a lot to do, and is paused. */
	guest_write(fixture.guest, "animate 1024 768 100000\n");
	g_variant_unref(guest_call(fixture.guest, "Pause", NULL));
	guest_wait_state(fixture.guest, "paused", 20);
	expect_idle(&fixture);
	end(&fixture);
}

int main(int argc, char **argv)
{
	int status;

	harness_init(&argc, &argv);
	the_desktop = desktop_start();
	g_test_add_func("/machine-window/picture", test_picture);
	g_test_add_func("/machine-window/input", test_input);
	g_test_add_func("/machine-window/screenshot", test_screenshot);
	g_test_add_func("/machine-window/usb", test_usb);
	g_test_add_func("/machine-window/pause", test_pause);
	g_test_add_func("/machine-window/trouble", test_trouble);
	g_test_add_func("/machine-window/close", test_close);
	g_test_add_func("/machine-window/keep-running", test_keep_running);
	g_test_add_func("/machine-window/reset-and-signal", test_reset_and_signal);
	g_test_add_func("/machine-window/modes", test_modes);
	g_test_add_func("/machine-window/modes-without-manager", test_modes_alone);
	g_test_add_func("/machine-window/idle", test_idle);
	status = harness_run();
	desktop_stop(the_desktop);
	return status;
}
