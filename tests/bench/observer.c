/*
 * Looks at a virtual machine's window from outside, as a user does: a desktop of its own (Xvfb, openbox), pixels read
 * back when XDamage tells of a change, keys by XTEST. Prints "display NAME", then answers each line of its input with
 * one line:
 *
 *   tsc                           kilohertz of this processor's time stamp counter
 *   first TITLE X Y COLOUR        microseconds (CLOCK_MONOTONIC) at which the window showed a colour there
 *   focus                         puts the window into the corner, clicks into it and gives it the keyboard
 *   frames TOTAL, and later stop  frames of the disc's animation that were seen, and microseconds from first to last
 *   keys COUNT                    microseconds from each key to the change of the picture
 *
 * The guest's picture is what fills the window from its lower edge up: above it some windows have a menu.
 */
#include <X11/extensions/Xdamage.h>
#include <X11/keysym.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include "../gui/desktop.h"

enum {
	PATIENCE = 60 * G_USEC_PER_SEC, /* for the first screen */
	KEY_PATIENCE = 2 * G_USEC_PER_SEC,
	BLINK_X = 512, /* a place in the middle of the disc's screen */
	BLINK_Y = 384,
	CORNER = 24,
};

/* The animation's picture is filled with frame * STRIDE, and then its corner with the frame's number itself. */
#define STRIDE 0x010305u
#define STRIDE_INVERSE 0x0C51CDu /* modulo 2^24 */
#define COLOURS 0xFFFFFFu

struct observer {
	struct desktop *desktop;
	Window window;
	Damage damage;
	int damage_event;
	int menu; /* rows above the guest's picture */
};

static void answer(const char *format, ...) G_GNUC_PRINTF(1, 2);

static void answer(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

static bool events_waiting(struct observer *observer)
{
	bool damaged = false;

	while (XPending(observer->desktop->display)) {
		XEvent event;

		XNextEvent(observer->desktop->display, &event);
		damaged |= event.type == observer->damage_event;
	}
	if (damaged)
		XDamageSubtract(observer->desktop->display, observer->damage, None, None);
	return damaged;
}

/* Until the window is drawn to, a line waits at the input, or the time has come. True: drawn to. */
static bool wait_for_damage(struct observer *observer, gint64 end)
{
	for (;;) {
		struct pollfd fds[] = { { ConnectionNumber(observer->desktop->display), POLLIN, 0 },
					{ STDIN_FILENO, POLLIN, 0 } };
		gint64 left = end - g_get_monotonic_time();

		if (events_waiting(observer))
			return true;
		if (left <= 0 || poll(fds, 2, (int)(left / 1000) + 1) < 0 || fds[1].revents)
			return false;
	}
}

static uint32_t pixel(struct observer *observer, int x, int y)
{
	return desktop_pixel(observer->desktop, observer->window, x, y + observer->menu);
}

static void watch(struct observer *observer, Window window)
{
	if (observer->window == window)
		return;
	observer->window = window;
	observer->damage = XDamageCreate(observer->desktop->display, window, XDamageReportNonEmpty);
}

static void take_first(struct observer *observer, const char *arguments)
{
	gint64 end = g_get_monotonic_time() + PATIENCE;
	char title[64];
	unsigned colour;
	int x, y;

	if (sscanf(arguments, "%63s %d %d %x", title, &x, &y, &colour) != 4) {
		answer("what?");
		return;
	}
	observer->window = 0;
	while (g_get_monotonic_time() < end) {
		int width, height;

		/* A program may replace the window with which it began. */
		watch(observer, desktop_find(observer->desktop, title));
		desktop_size(observer->desktop, observer->window, &width, &height);
		observer->menu = MAX(height - 768, 0);
		if (width == 1024 && pixel(observer, x, y) == colour) {
			answer("%" G_GINT64_FORMAT, g_get_monotonic_time());
			return;
		}
		wait_for_damage(observer, g_get_monotonic_time() + 10000);
	}
	answer("never");
}

static void take_focus(struct observer *observer)
{
	struct desktop *desktop = observer->desktop;

	XMoveWindow(desktop->display, observer->window, CORNER, CORNER);
	XSync(desktop->display, False);
	g_usleep(200000); /* the window manager's */
	desktop_focus(desktop, observer->window);
	desktop_pointer(desktop, observer->window, BLINK_X, BLINK_Y);
	desktop_click(desktop, Button1);
	answer("done");
}

static uint32_t frame_of(uint32_t colour, uint32_t total)
{
	return colour <= total ? colour : colour * STRIDE_INVERSE & COLOURS;
}

static void take_frames(struct observer *observer, const char *arguments)
{
	uint32_t total = (uint32_t)atoi(arguments), last = 0;
	gint64 start = 0, end = 0;
	unsigned seen = 0;
	char line[16];

	events_waiting(observer);
	/* A line ends it. */
	while (wait_for_damage(observer, g_get_monotonic_time() + PATIENCE)) {
		uint32_t frame = frame_of(pixel(observer, 8, 8), total);

		if (frame <= last || frame > total)
			continue;
		end = g_get_monotonic_time();
		start = seen ? start : end;
		seen++;
		last = frame;
	}
	if (fgets(line, sizeof line, stdin))
		answer("%u %" G_GINT64_FORMAT, seen, end - start);
}

static gint64 time_key(struct observer *observer)
{
	KeyCode code = XKeysymToKeycode(observer->desktop->display, XK_a);
	uint32_t before = pixel(observer, BLINK_X, BLINK_Y);
	gint64 start, end, took = -1;

	events_waiting(observer);
	start = g_get_monotonic_time();
	end = start + KEY_PATIENCE;
	desktop_key(observer->desktop, XK_a, true);
	while (took < 0 && wait_for_damage(observer, end))
		if (pixel(observer, BLINK_X, BLINK_Y) != before)
			took = g_get_monotonic_time() - start;
	desktop_key(observer->desktop, XK_a, false);
	return code ? took : -1;
}

static void take_keys(struct observer *observer, const char *arguments)
{
	unsigned count = (unsigned)atoi(arguments);
	g_autoptr(GString) times = g_string_new(NULL);
	g_autoptr(GRand) random = g_rand_new_with_seed(1);

	for (unsigned i = 0; i < count; i++) {
		/* At no fixed phase of anybody's refresh timer. */
		g_usleep((gulong)g_rand_int_range(random, 100000, 200000));
		g_string_append_printf(times, "%s%" G_GINT64_FORMAT, i ? " " : "", time_key(observer));
	}
	answer("%s", times->str);
}

static void take_tsc(void)
{
	gint64 start = g_get_monotonic_time(), end = start + 100000;
	uint64_t cycles = __rdtsc();

	while (g_get_monotonic_time() < end)
		;
	answer("%" G_GINT64_FORMAT, (gint64)(__rdtsc() - cycles) * 1000 / (g_get_monotonic_time() - start));
}

static void obey(struct observer *observer, const char *line)
{
	if (g_str_has_prefix(line, "first "))
		take_first(observer, line + 6);
	else if (strcmp(line, "focus") == 0)
		take_focus(observer);
	else if (g_str_has_prefix(line, "frames "))
		take_frames(observer, line + 7);
	else if (g_str_has_prefix(line, "keys "))
		take_keys(observer, line + 5);
	else if (strcmp(line, "tsc") == 0)
		take_tsc();
	else
		answer("what?");
}

int main(void)
{
	struct observer observer = { .desktop = desktop_start() };
	int error_base;
	char line[256];

	/* poll() must see every line that has not been taken. */
	setvbuf(stdin, NULL, _IONBF, 0);
	if (!XDamageQueryExtension(observer.desktop->display, &observer.damage_event, &error_base))
		g_error("The X server has no XDamage");
	observer.damage_event += XDamageNotify;
	answer("display %s", g_getenv("DISPLAY"));
	while (fgets(line, sizeof line, stdin))
		obey(&observer, g_strchomp(line));
	desktop_stop(observer.desktop);
	return EXIT_SUCCESS;
}
