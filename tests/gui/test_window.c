/*
 * The guest's window on a real display, with a producer of pictures and a recording client in place of the machine.
 * Each test's steps run on a second thread; the window has the main thread, as in the product.
 */
#include <X11/XF86keysym.h>
#include <X11/keysym.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../display/window.h"
#include "desktop.h"

#define NAME "Test machine"

struct fixture {
	struct desktop *desktop;
	struct scanout scanout;
	struct window *window;
	Window id;
	pid_t main_thread;
	void (*steps)(struct fixture *fixture);
	GMutex lock;
	GString *events;   /* what the client was told, in words */
	struct scanout_picture picture;
};

static struct desktop *the_desktop;

static void record(struct fixture *fixture, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void record(struct fixture *fixture, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_mutex_lock(&fixture->lock);
	g_string_append_vprintf(fixture->events, format, arguments);
	g_mutex_unlock(&fixture->lock);
	va_end(arguments);
}

static void on_input(void *opaque, const struct input_event *events, unsigned count)
{
	static const char *const types[] = { [EV_KEY] = "key", [EV_REL] = "rel", [EV_ABS] = "abs" };

	g_assert_cmpint(events[count - 1].type, ==, EV_SYN);
	for (unsigned i = 0; i + 1 < count; i++)
		record(opaque, "%s %u %d;", types[events[i].type], events[i].code, events[i].value);
}

static void on_release_all(void *opaque)
{
	record(opaque, "release;");
}

static void on_volume(void *opaque, unsigned percent, bool muted)
{
	record(opaque, "volume %u%s;", percent, muted ? " muted" : "");
}

static void on_list_usb(void *opaque)
{
	record(opaque, "list usb;");
}

static void on_plug_usb(void *opaque, const struct window_usb *device, bool plug, bool force)
{
	record(opaque, "%s %s%s;", plug ? "plug" : "unplug", device->path ? device->path : device->name,
	       force ? " by force" : "");
}

static void on_command(void *opaque, enum window_command command)
{
	record(opaque, "command %d;", command);
}

/* Takes what was recorded so far. */
static char *taken(struct fixture *fixture)
{
	char *text;

	g_mutex_lock(&fixture->lock);
	text = g_strdup(fixture->events->str);
	g_string_truncate(fixture->events, 0);
	g_mutex_unlock(&fixture->lock);
	return text;
}

struct expected_text {
	struct fixture *fixture;
	const char *text;
};

static bool recorded(void *data)
{
	struct expected_text *expected = data;
	bool same;

	g_mutex_lock(&expected->fixture->lock);
	same = strcmp(expected->fixture->events->str, expected->text) == 0;
	g_mutex_unlock(&expected->fixture->lock);
	return same;
}

/* Waits until exactly this was recorded, and forgets it. */
static void expect_events(struct fixture *fixture, const char *text)
{
	struct expected_text expected = { fixture, text };
	g_autofree char *got = NULL;

	desktop_wait(recorded, &expected);
	got = taken(fixture);
	g_assert_cmpstr(got, ==, text);
}

struct expected_pixel {
	struct fixture *fixture;
	int x, y;
	uint32_t color;
};

/* OpenGL may round a mixed colour the other way. */
static bool same_color(uint32_t a, uint32_t b)
{
	for (unsigned shift = 0; shift < 32; shift += 8)
		if (abs((int)(a >> shift & 0xff) - (int)(b >> shift & 0xff)) > 1)
			return false;
	return true;
}

static bool pixel_shown(void *data)
{
	struct expected_pixel *expected = data;

	return same_color(desktop_pixel(expected->fixture->desktop, expected->fixture->id, expected->x, expected->y),
			  expected->color);
}

static void expect_pixel(struct fixture *fixture, int x, int y, uint32_t color)
{
	struct expected_pixel expected = { fixture, x, y, color };

	if (!desktop_wait(pixel_shown, &expected))
		g_assert_cmphex(desktop_pixel(fixture->desktop, fixture->id, x, y), ==, color);
}

struct expected_size {
	struct fixture *fixture;
	int width, height;
};

static bool has_size(void *data)
{
	struct expected_size *expected = data;
	int width, height;

	desktop_size(expected->fixture->desktop, expected->fixture->id, &width, &height);
	return width == expected->width && height == expected->height;
}

static void expect_size(struct fixture *fixture, int width, int height)
{
	struct expected_size expected = { fixture, width, height };
	int got_width, got_height;

	desktop_wait(has_size, &expected);
	desktop_size(fixture->desktop, fixture->id, &got_width, &got_height);
	g_assert_cmpint(got_width, ==, width);
	g_assert_cmpint(got_height, ==, height);
}

static bool has_title(void *data)
{
	struct expected_text *expected = data;
	g_autofree char *title = desktop_title(expected->fixture->desktop, expected->fixture->id);

	return g_strcmp0(title, expected->text) == 0;
}

static void expect_title(struct fixture *fixture, const char *text)
{
	struct expected_text expected = { fixture, text };
	g_autofree char *title = NULL;

	desktop_wait(has_title, &expected);
	title = desktop_title(fixture->desktop, fixture->id);
	g_assert_cmpstr(title, ==, text);
}

static unsigned frames(struct fixture *fixture)
{
	struct window_statistics statistics;

	window_get_statistics(fixture->window, &statistics);
	return statistics.frames;
}

/* Waits until the server has nothing more to say about a new window. */
static void settle(struct fixture *fixture)
{
	unsigned drawn;

	do {
		drawn = frames(fixture);
		g_usleep(300000);
	} while (frames(fixture) != drawn);
}

static const uint32_t quarter_colors[4] = { 0xff0000, 0x00ff00, 0x0000ff, 0xffffff };

static void put_pixel(struct scanout_picture *picture, unsigned x, unsigned y, unsigned quarter)
{
	static const uint16_t as_565[4] = { 0xf800, 0x07e0, 0x001f, 0xffff };
	static const uint16_t as_1555[4] = { 0x7c00, 0x03e0, 0x001f, 0x7fff };
	unsigned size = scanout_pixel_size(picture->format);
	uint8_t *at = picture->memory->data + picture->offset + (size_t)y * picture->stride + (size_t)x * size;

	switch (picture->format) {
	case SCANOUT_XRGB8888:
	case SCANOUT_RGB888:
		memcpy(at, &quarter_colors[quarter], size);
		break;
	case SCANOUT_RGB565:
		memcpy(at, &as_565[quarter], 2);
		break;
	case SCANOUT_XRGB1555:
		memcpy(at, &as_1555[quarter], 2);
		break;
	case SCANOUT_INDEXED8:
		*at = (uint8_t)(10 + quarter);
		break;
	}
}

/* A picture of four quarters in four colours. */
static void publish(struct fixture *fixture, unsigned width, unsigned height, enum scanout_format format,
		    unsigned stride_more)
{
	struct scanout_picture picture = { .width = width, .height = height, .format = format };

	picture.stride = width * scanout_pixel_size(format) + stride_more;
	picture.offset = 64;
	picture.memory = scanout_memory_new(picture.offset + (size_t)picture.stride * height);
	for (unsigned i = 0; i < 4; i++)
		picture.palette[10 + i] = quarter_colors[i];
	for (unsigned y = 0; y < height; y++)
		for (unsigned x = 0; x < width; x++)
			put_pixel(&picture, x, y, (y >= height / 2) * 2 + (x >= width / 2));
	scanout_set_picture(&fixture->scanout, &picture);
	scanout_memory_unref(fixture->picture.memory);
	fixture->picture = picture;
}

static void expect_quarters(struct fixture *fixture, int x, int y, int width, int height)
{
	for (int i = 0; i < 4; i++) {
		int left = x + (i & 1 ? width / 2 : 0), top = y + (i & 2 ? height / 2 : 0);

		expect_pixel(fixture, left + 2, top + 2, quarter_colors[i]);
		expect_pixel(fixture, left + width / 2 - 3, top + height / 2 - 3, quarter_colors[i]);
	}
}

static gpointer run_steps(gpointer data)
{
	struct fixture *fixture = data;

	fixture->id = desktop_find(fixture->desktop, NAME);
	g_assert_cmpuint(fixture->id, !=, 0);
	desktop_focus(fixture->desktop, fixture->id);
	desktop_pointer(fixture->desktop, fixture->id, 1, 1);
	settle(fixture);
	g_free(taken(fixture));
	fixture->steps(fixture);
	window_post_quit(fixture->window);
	return NULL;
}

static void run(gconstpointer steps)
{
	struct fixture fixture = { .desktop = the_desktop, .events = g_string_new(NULL) };
	struct window_client client = { on_input, on_release_all, on_command, on_volume,
					on_list_usb, on_plug_usb, &fixture };
	g_autoptr(GError) error = NULL;
	GThread *thread;

	fixture.steps = (void (*)(struct fixture *))steps;
	fixture.main_thread = (pid_t)syscall(SYS_gettid);
	scanout_init(&fixture.scanout);
	publish(&fixture, 640, 480, SCANOUT_XRGB8888, 0);
	/* Xlib's own, which ends the program: the window has to bring another. */
	XSetErrorHandler(NULL);
	fixture.window = window_new(NAME, &fixture.scanout, &client, &error);
	g_assert_no_error(error);
	thread = g_thread_new("steps", run_steps, &fixture);
	window_run(fixture.window);
	g_thread_join(thread);
	window_free(fixture.window);
	scanout_finish(&fixture.scanout);
	scanout_memory_unref(fixture.picture.memory);
	g_string_free(fixture.events, true);
}

static void steps_formats(struct fixture *fixture)
{
	static const unsigned more[] = { 0, 1, 64 };

	for (unsigned format = SCANOUT_XRGB8888; format <= SCANOUT_INDEXED8; format++) {
		for (unsigned i = 0; i < G_N_ELEMENTS(more); i++) {
			/* Another size each time, so that nothing is left over from before. */
			unsigned width = 642 + format * 6 + i * 2;

			publish(fixture, width, 480, format, more[i]);
			expect_size(fixture, (int)width, 480);
			expect_quarters(fixture, 0, 0, (int)width, 480);
		}
	}
}

static void steps_refused(struct fixture *fixture)
{
	XMapWindow(fixture->desktop->display, 1);
	XSync(fixture->desktop->display, False);
	expect_quarters(fixture, 0, 0, 640, 480);
}

static void steps_palette(struct fixture *fixture)
{
	publish(fixture, 640, 480, SCANOUT_INDEXED8, 0);
	expect_quarters(fixture, 0, 0, 640, 480);
	fixture->picture.palette[11] = 0x123456;
	scanout_set_picture(&fixture->scanout, &fixture->picture);
	expect_pixel(fixture, 600, 20, 0x123456);
	expect_pixel(fixture, 20, 20, 0xff0000);
}

static void steps_partial_damage(struct fixture *fixture)
{
	expect_quarters(fixture, 0, 0, 640, 480);
	settle(fixture);
	memset(fixture->picture.memory->data + fixture->picture.offset, 0x40, fixture->picture.stride * 480);
	scanout_damage(&fixture->scanout, 100, 110);
	expect_pixel(fixture, 10, 100, 0x404040);
	expect_pixel(fixture, 10, 109, 0x404040);
	expect_pixel(fixture, 10, 99, 0xff0000);
	expect_pixel(fixture, 10, 110, 0xff0000);
	expect_pixel(fixture, 10, 300, 0x0000ff);
	scanout_damage(&fixture->scanout, 479, 480);
	expect_pixel(fixture, 639, 479, 0x404040);
	expect_pixel(fixture, 639, 478, 0xffffff);
}

static void steps_scaling(struct fixture *fixture)
{
	expect_size(fixture, 640, 480);
	desktop_resize(fixture->desktop, fixture->id, 1000, 480);
	expect_size(fixture, 1000, 480);
	expect_quarters(fixture, 180, 0, 640, 480);
	expect_pixel(fixture, 100, 200, 0);
	desktop_resize(fixture->desktop, fixture->id, 1400, 1020);
	expect_quarters(fixture, 20, 0, 1360, 1020);
	/* The picture keeps its place when rows of it change. */
	memset(fixture->picture.memory->data + fixture->picture.offset, 0x40, fixture->picture.stride * 10);
	scanout_damage(&fixture->scanout, 0, 10);
	expect_pixel(fixture, 24, 10, 0x404040);
	expect_pixel(fixture, 24, 40, 0xff0000);
	publish(fixture, 640, 480, SCANOUT_INDEXED8, 0);
	expect_quarters(fixture, 20, 0, 1360, 1020);
	desktop_combine(fixture->desktop, XK_Control_R, XK_c);
	expect_quarters(fixture, 380, 270, 640, 480);
	expect_pixel(fixture, 378, 500, 0);
	desktop_combine(fixture->desktop, XK_Control_R, XK_c);
	expect_quarters(fixture, 60, 30, 1280, 960);
	expect_pixel(fixture, 58, 500, 0);
	desktop_combine(fixture->desktop, XK_Control_R, XK_c);
	expect_quarters(fixture, 20, 0, 1360, 1020);
	desktop_resize(fixture->desktop, fixture->id, 500, 480);
	expect_quarters(fixture, 0, 52, 500, 375);
}

static void steps_follow(struct fixture *fixture)
{
	expect_size(fixture, 640, 480);
	publish(fixture, 1024, 768, SCANOUT_RGB565, 0);
	expect_size(fixture, 1024, 768);
	expect_quarters(fixture, 0, 0, 1024, 768);
	/* Text mode, on a monitor of 4:3. */
	publish(fixture, 720, 400, SCANOUT_INDEXED8, 0);
	fixture->picture.aspect_x = 4;
	fixture->picture.aspect_y = 3;
	scanout_set_picture(&fixture->scanout, &fixture->picture);
	expect_size(fixture, 720, 540);
	expect_quarters(fixture, 0, 0, 720, 540);
	/* A size that the user chose stays. */
	desktop_resize(fixture->desktop, fixture->id, 800, 800);
	expect_size(fixture, 800, 800);
	expect_quarters(fixture, 0, 100, 800, 600);
	publish(fixture, 640, 480, SCANOUT_XRGB8888, 0);
	expect_pixel(fixture, 10, 97, 0);
	expect_quarters(fixture, 0, 100, 800, 600);
	expect_size(fixture, 800, 800);
	desktop_combine(fixture->desktop, XK_Control_R, XK_w);
	expect_size(fixture, 640, 480);
	/* No picture at all. */
	scanout_set_picture(&fixture->scanout, &(struct scanout_picture){ 0 });
	expect_pixel(fixture, 10, 10, 0);
	publish(fixture, 640, 480, SCANOUT_XRGB8888, 0);
	expect_quarters(fixture, 0, 0, 640, 480);
}

static void steps_fullscreen(struct fixture *fixture)
{
	desktop_combine(fixture->desktop, XK_Control_R, XK_f);
	expect_size(fixture, 1920, 1200);
	expect_quarters(fixture, 160, 0, 1600, 1200);
	publish(fixture, 800, 600, SCANOUT_XRGB8888, 0);
	expect_quarters(fixture, 160, 0, 1600, 1200);
	/* Back in a window it is as large as the mode that was set meanwhile, and goes on following. */
	settle(fixture);
	desktop_combine(fixture->desktop, XK_Control_R, XK_f);
	expect_size(fixture, 800, 600);
	settle(fixture);
	publish(fixture, 640, 480, SCANOUT_XRGB8888, 0);
	expect_size(fixture, 640, 480);
	expect_quarters(fixture, 0, 0, 640, 480);
}

static void steps_keyboard(struct fixture *fixture)
{
	desktop_tap(fixture->desktop, XK_a);
	expect_events(fixture, "key 30 1;key 30 0;");
	desktop_tap(fixture->desktop, XK_Pause);
	expect_events(fixture, "key 119 1;key 119 0;");
	desktop_tap(fixture->desktop, XK_Print);
	expect_events(fixture, "key 99 1;key 99 0;");
	desktop_tap(fixture->desktop, XF86XK_AudioMute);
	expect_events(fixture, "key 113 1;key 113 0;");
	desktop_key(fixture->desktop, XK_Shift_L, true);
	desktop_tap(fixture->desktop, XK_F12);
	desktop_key(fixture->desktop, XK_Shift_L, false);
	expect_events(fixture, "key 42 1;key 88 1;key 88 0;key 42 0;");

	/* Held long enough for the server to repeat it. */
	desktop_key(fixture->desktop, XK_b, true);
	g_usleep(G_USEC_PER_SEC);
	desktop_key(fixture->desktop, XK_b, false);
	expect_events(fixture, "key 48 1;key 48 0;");
}

static void steps_focus_loss(struct fixture *fixture)
{
	Window other = XCreateSimpleWindow(fixture->desktop->display, DefaultRootWindow(fixture->desktop->display), 0,
					   0, 50, 50, 0, 0, 0);

	XStoreName(fixture->desktop->display, other, "Other");
	desktop_key(fixture->desktop, XK_x, true);
	expect_events(fixture, "key 45 1;");
	XMapWindow(fixture->desktop->display, other);
	XSync(fixture->desktop->display, False);
	desktop_wait(recorded, &(struct expected_text){ fixture, "key 45 0;release;" });
	desktop_focus(fixture->desktop, other);
	expect_events(fixture, "key 45 0;release;");
	desktop_key(fixture->desktop, XK_x, false);
	XDestroyWindow(fixture->desktop->display, other);
	desktop_focus(fixture->desktop, fixture->id);
	/* The window manager may pass the focus on once more. */
	settle(fixture);
	g_free(taken(fixture));
	desktop_tap(fixture->desktop, XK_y);
	expect_events(fixture, "key 21 1;key 21 0;");
}

static void steps_tablet(struct fixture *fixture)
{
	window_post_kinds(fixture->window, INPUT_KEYBOARD | INPUT_TABLET | INPUT_MOUSE);
	expect_size(fixture, 640, 480);
	desktop_resize(fixture->desktop, fixture->id, 840, 480);
	expect_quarters(fixture, 100, 0, 640, 480);
	g_free(taken(fixture));
	desktop_pointer(fixture->desktop, fixture->id, 100, 0);
	expect_events(fixture, "abs 0 0;abs 1 0;");
	desktop_pointer(fixture->desktop, fixture->id, 739, 479);
	expect_events(fixture, "abs 0 32767;abs 1 32767;");
	desktop_click(fixture->desktop, 1);
	desktop_click(fixture->desktop, 3);
	desktop_click(fixture->desktop, 2);
	expect_events(fixture, "key 272 1;key 272 0;key 273 1;key 273 0;key 274 1;key 274 0;");
	desktop_click(fixture->desktop, 8);
	desktop_click(fixture->desktop, 9);
	expect_events(fixture, "key 275 1;key 275 0;key 276 1;key 276 0;");
	desktop_click(fixture->desktop, 4);
	desktop_click(fixture->desktop, 5);
	expect_events(fixture, "rel 8 1;rel 8 -1;");
	desktop_click(fixture->desktop, 7);
	desktop_click(fixture->desktop, 6);
	expect_events(fixture, "rel 6 1;rel 6 -1;");
	/* Beside the picture a press is nobody's. */
	desktop_pointer(fixture->desktop, fixture->id, 20, 240);
	expect_events(fixture, "abs 0 0;abs 1 16417;");
	desktop_click(fixture->desktop, 1);
	desktop_tap(fixture->desktop, XK_a);
	expect_events(fixture, "key 30 1;key 30 0;");
}

static void steps_grab(struct fixture *fixture)
{
	g_autofree char *moves = NULL;

	window_post_kinds(fixture->window, INPUT_KEYBOARD | INPUT_MOUSE);
	expect_quarters(fixture, 0, 0, 640, 480);
	expect_title(fixture, NAME " \u2014 Right Ctrl+M opens the menu");
	desktop_pointer(fixture->desktop, fixture->id, 320, 240);
	desktop_click(fixture->desktop, 1);
	expect_title(fixture, NAME " \u2014 Right Ctrl releases the mouse");
	/* Neither the motion to the picture nor the click that took the mouse is the guest's. */
	expect_events(fixture, "");
	desktop_move_by(fixture->desktop, 5, -7);
	expect_events(fixture, "rel 0 5;rel 1 -7;");
	desktop_click(fixture->desktop, 1);
	desktop_click(fixture->desktop, 4);
	expect_events(fixture, "key 272 1;key 272 0;rel 8 1;");
	/* The host key with another key is not the host key alone. */
	desktop_combine(fixture->desktop, XK_Control_R, XK_Delete);
	expect_events(fixture, "release;key 29 1;key 56 1;key 111 1;key 111 0;key 56 0;key 29 0;");
	expect_title(fixture, NAME " \u2014 Right Ctrl releases the mouse");
	desktop_tap(fixture->desktop, XK_Control_R);
	expect_title(fixture, NAME " \u2014 Right Ctrl+M opens the menu");
	desktop_move_by(fixture->desktop, 5, 5);
	desktop_tap(fixture->desktop, XK_a);
	expect_events(fixture, "key 30 1;key 30 0;");
	/* A tablet that comes to life ends the grab of the mouse. */
	desktop_combine(fixture->desktop, XK_Control_R, XK_g);
	expect_title(fixture, NAME " \u2014 Right Ctrl releases the mouse");
	window_post_kinds(fixture->window, INPUT_KEYBOARD | INPUT_MOUSE | INPUT_TABLET);
	expect_title(fixture, NAME " \u2014 Right Ctrl releases the keyboard");
	g_free(taken(fixture));
	desktop_pointer(fixture->desktop, fixture->id, 0, 0);
	expect_events(fixture, "abs 0 0;abs 1 0;");
}

static void steps_host_key(struct fixture *fixture)
{
	desktop_combine(fixture->desktop, XK_Control_R, XK_F2);
	expect_events(fixture, "release;key 29 1;key 56 1;key 60 1;key 60 0;key 56 0;key 29 0;");
	desktop_combine(fixture->desktop, XK_Control_R, XK_BackSpace);
	expect_events(fixture, "release;key 29 1;key 56 1;key 14 1;key 14 0;key 56 0;key 29 0;");
	desktop_combine(fixture->desktop, XK_Control_R, XK_Shift_R);
	expect_events(fixture, "release;key 97 1;key 97 0;");
	desktop_combine(fixture->desktop, XK_Control_R, XK_s);
	expect_events(fixture, "command 5;");
	window_post_notice(fixture->window, "Screenshot saved as \u201ePictures/Test machine.png\u201c");
	settle(fixture);
	desktop_picture(fixture->desktop, fixture->id, "notice");
	expect_pixel(fixture, 320, 424, 0x1e222a);
	desktop_combine(fixture->desktop, XK_Control_R, XK_p);
	expect_events(fixture, "command 3;");
	window_post_state(fixture->window, WINDOW_GUEST_PAUSED, NULL);
	expect_title(fixture, NAME " (paused) \u2014 Right Ctrl+M opens the menu");
	desktop_combine(fixture->desktop, XK_Control_R, XK_p);
	expect_events(fixture, "release;command 4;");
	/* A stopped guest gets no keys. */
	desktop_tap(fixture->desktop, XK_a);
	desktop_combine(fixture->desktop, XK_Control_R, XK_s);
	expect_events(fixture, "command 5;");
	/* The notice goes away by itself. */
	window_post_state(fixture->window, WINDOW_GUEST_RUNNING, NULL);
	expect_pixel(fixture, 330, 430, 0xffffff);
}

static void steps_menu(struct fixture *fixture)
{
	publish(fixture, 800, 600, SCANOUT_XRGB8888, 0);
	expect_quarters(fixture, 0, 0, 800, 600);
	window_post_leds(fixture->window, INPUT_LED_NUM);
	desktop_combine(fixture->desktop, XK_Control_R, XK_m);
	expect_events(fixture, "release;");
	expect_pixel(fixture, 400, 585, 0xffffff);
	expect_pixel(fixture, 310, 200, 0x1e222a);
	desktop_picture(fixture->desktop, fixture->id, "menu");
	/* The picture goes on under it. */
	memset(fixture->picture.memory->data + fixture->picture.offset, 0x40, fixture->picture.stride * 600);
	scanout_damage(&fixture->scanout, 0, 600);
	expect_pixel(fixture, 10, 300, 0x404040);
	expect_pixel(fixture, 310, 200, 0x1e222a);
	/* Keys move in it and do not reach the guest; the first choice is Ctrl+Alt+Del. */
	desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Up);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "release;key 29 1;key 56 1;key 111 1;key 111 0;key 56 0;key 29 0;");
	expect_pixel(fixture, 310, 200, 0x404040);

	desktop_combine(fixture->desktop, XK_Control_R, XK_m);
	expect_pixel(fixture, 310, 200, 0x1e222a);
	desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Return);
	g_usleep(200000);
	desktop_picture(fixture->desktop, fixture->id, "keys");
	desktop_tap(fixture->desktop, XK_End);
	desktop_tap(fixture->desktop, XK_Up);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "release;release;release;key 119 1;key 119 0;");
	expect_pixel(fixture, 310, 200, 0x404040);

	/* The same keys again close it. (SDL takes a press right after a release for a repetition, hence the wait.) */
	desktop_combine(fixture->desktop, XK_Control_R, XK_m);
	expect_pixel(fixture, 310, 200, 0x1e222a);
	desktop_combine(fixture->desktop, XK_Control_R, XK_m);
	expect_pixel(fixture, 310, 200, 0x404040);
	expect_events(fixture, "release;");
	desktop_tap(fixture->desktop, XK_a);
	expect_events(fixture, "key 30 1;key 30 0;");

	/* Reset asks; Escape and a click beside the dialog mean no, the mouse can choose too. */
	desktop_combine(fixture->desktop, XK_Control_R, XK_r);
	expect_pixel(fixture, 300, 300, 0x1e222a);
	desktop_picture(fixture->desktop, fixture->id, "reset");
	desktop_tap(fixture->desktop, XK_Escape);
	expect_pixel(fixture, 300, 300, 0x404040);
	desktop_combine(fixture->desktop, XK_Control_R, XK_r);
	expect_pixel(fixture, 300, 300, 0x1e222a);
	desktop_pointer(fixture->desktop, fixture->id, 20, 20);
	desktop_click(fixture->desktop, 1);
	expect_pixel(fixture, 300, 300, 0x404040);
	expect_events(fixture, "release;release;");
	desktop_combine(fixture->desktop, XK_Control_R, XK_r);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "release;command 2;");
}

static void steps_sound(struct fixture *fixture)
{
	publish(fixture, 800, 600, SCANOUT_XRGB8888, 0);
	expect_quarters(fixture, 0, 0, 800, 600);
	desktop_combine(fixture->desktop, XK_Control_R, XK_m);
	expect_events(fixture, "release;");
	for (unsigned i = 0; i < 6; i++)
		desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "release;");
	/* The menu stays where it is, for the next step. */
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "volume 100 muted;release;");
	desktop_picture(fixture->desktop, fixture->id, "sound");
	desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "volume 90;release;");
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "volume 80;release;");
	desktop_tap(fixture->desktop, XK_Up);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "volume 90;release;");
	desktop_tap(fixture->desktop, XK_Escape);
	desktop_tap(fixture->desktop, XK_a);
	expect_events(fixture, "key 30 1;key 30 0;");
}

static void free_usb(gpointer device)
{
	window_usb_free(device);
}

static void post_usb(struct fixture *fixture, bool first_plugged)
{
	const struct window_usb devices[] = {
		{ .name = (char *)"backup.img", .path = (char *)"/tmp/backup.img", .plugged = first_plugged },
		{ .name = (char *)"Kingston DataTraveler 3.0", .bus = 3, .address = 7 },
		{ .name = (char *)"A device whose maker had very much to say about what it is good for", .bus = 1,
		  .address = 2, .plugged = true },
	};
	GPtrArray *list = g_ptr_array_new_with_free_func(free_usb);

	for (unsigned i = 0; i < G_N_ELEMENTS(devices); i++)
		g_ptr_array_add(list, window_usb_copy(&devices[i]));
	window_post_usb(fixture->window, list);
	settle(fixture);
}

static void steps_usb(struct fixture *fixture)
{
	const struct window_usb stick = { .name = (char *)"backup.img", .path = (char *)"/tmp/backup.img" };
	const struct window_usb device = { .name = (char *)"Kingston DataTraveler 3.0", .bus = 3, .address = 7 };

	publish(fixture, 800, 600, SCANOUT_XRGB8888, 0);
	expect_quarters(fixture, 0, 0, 800, 600);
	/* What is posted while the menu is not open waits for it. */
	post_usb(fixture, false);
	expect_quarters(fixture, 0, 0, 800, 600);
	desktop_combine(fixture->desktop, XK_Control_R, XK_m);
	for (unsigned i = 0; i < 7; i++)
		desktop_tap(fixture->desktop, XK_Down);
	expect_events(fixture, "release;");
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "list usb;release;");
	post_usb(fixture, true);
	expect_events(fixture, "release;");
	desktop_picture(fixture->desktop, fixture->id, "usb");
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "unplug /tmp/backup.img;release;");
	window_post_usb_failure(fixture->window, &stick, "The guest still uses the stick.", true);
	expect_events(fixture, "release;");
	settle(fixture);
	desktop_picture(fixture->desktop, fixture->id, "usb-in-use");
	/* What costs something has to be chosen. */
	desktop_tap(fixture->desktop, XK_Up);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "unplug /tmp/backup.img by force;release;");
	post_usb(fixture, false);
	expect_events(fixture, "release;");
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "plug /tmp/backup.img;release;");
	desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "plug Kingston DataTraveler 3.0;release;");
	window_post_usb_failure(fixture->window, &device, "You may not use the USB device 0951:1666: only root may write to "
				"its file below /dev/bus/usb. Put the line SUBSYSTEM==\"usb\", ATTR{idVendor}==\"0951\", "
				"ATTR{idProduct}==\"1666\", TAG+=\"uaccess\" into /etc/udev/rules.d/70-oriel.rules, and plug "
				"the device in again", false);
	expect_events(fixture, "release;");
	settle(fixture);
	desktop_picture(fixture->desktop, fixture->id, "usb-permission");
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "list usb;release;");
	desktop_tap(fixture->desktop, XK_End);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "release;");
	desktop_tap(fixture->desktop, XK_Escape);
	expect_quarters(fixture, 0, 0, 800, 600);
}

static void steps_close(struct fixture *fixture)
{
	publish(fixture, 800, 600, SCANOUT_XRGB8888, 0);
	expect_quarters(fixture, 0, 0, 800, 600);
	g_free(taken(fixture));
	desktop_close(fixture->desktop, fixture->id);
	settle(fixture);
	desktop_picture(fixture->desktop, fixture->id, "close");
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "release;command 0;");
	desktop_close(fixture->desktop, fixture->id);
	expect_events(fixture, "release;");
	desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "command 1;");
	desktop_combine(fixture->desktop, XK_Control_R, XK_q);
	expect_events(fixture, "release;");
	desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Down);
	desktop_tap(fixture->desktop, XK_Return);
	expect_events(fixture, "command 6;");
}

static void steps_states(struct fixture *fixture)
{
	publish(fixture, 1024, 768, SCANOUT_XRGB8888, 0);
	expect_quarters(fixture, 0, 0, 1024, 768);
	window_post_state(fixture->window, WINDOW_GUEST_PAUSED, NULL);
	expect_pixel(fixture, 10, 10, 0x5f0000);
	expect_pixel(fixture, 512, 355, 0x1e222a);
	expect_title(fixture, NAME " (paused) \u2014 Right Ctrl+M opens the menu");
	desktop_picture(fixture->desktop, fixture->id, "paused");
	window_post_state(fixture->window, WINDOW_GUEST_TROUBLE,
			  "There is no space left for the disk /home/user/.local/share/oriel/machines/test/disk.qcow2");
	expect_title(fixture, NAME " (waiting for you) \u2014 Right Ctrl+M opens the menu");
	g_usleep(200000);
	desktop_picture(fixture->desktop, fixture->id, "trouble");
	window_post_state(fixture->window, WINDOW_GUEST_CRASHED,
			  "An instruction could not be completed. A report was saved.");
	expect_title(fixture, NAME " (crashed) \u2014 Right Ctrl+M opens the menu");
	g_usleep(200000);
	desktop_picture(fixture->desktop, fixture->id, "crashed");
	expect_pixel(fixture, 10, 10, 0x5f0000);
	window_post_state(fixture->window, WINDOW_GUEST_RUNNING, NULL);
	expect_quarters(fixture, 0, 0, 1024, 768);
	expect_pixel(fixture, 511, 355, 0xff0000);
	expect_title(fixture, NAME " \u2014 Right Ctrl+M opens the menu");
}

static unsigned long wake_ups(struct fixture *fixture)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%d/status", fixture->main_thread);
	g_autofree char *text = NULL;
	char *at;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	at = strstr(text, "\nvoluntary_ctxt_switches:");
	g_assert_nonnull(at);
	return strtoul(strchr(at, ':') + 1, NULL, 10);
}

static void steps_idle(struct fixture *fixture)
{
	unsigned drawn;
	unsigned long woken;

	expect_quarters(fixture, 0, 0, 640, 480);
	settle(fixture);
	drawn = frames(fixture);
	woken = wake_ups(fixture);
	g_usleep(1500000);
	g_assert_cmpuint(frames(fixture), ==, drawn);
	g_assert_cmpuint(wake_ups(fixture), ==, woken);
	/* Damage draws once; so does more of it in the same moment. */
	scanout_damage(&fixture->scanout, 5, 6);
	scanout_damage(&fixture->scanout, 7, 8);
	g_usleep(200000);
	g_assert_cmpuint(frames(fixture), >, drawn);
	g_assert_cmpuint(frames(fixture), <=, drawn + 2);
}

/* Damage that comes faster than the display shows it is collected. */
static void steps_pacing(struct fixture *fixture)
{
	gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC;
	unsigned drawn;

	expect_quarters(fixture, 0, 0, 640, 480);
	drawn = frames(fixture);
	while (g_get_monotonic_time() < end) {
		scanout_damage(&fixture->scanout, 0, 480);
		g_usleep(500);
	}
	drawn = frames(fixture) - drawn;
	g_assert_cmpuint(drawn, >, 10);
	g_assert_cmpuint(drawn, <=, 62);
}

static void test_no_display(void)
{
	g_autofree char *display = g_strdup(g_getenv("DISPLAY"));
	struct window_client client = { on_input, on_release_all, on_command, NULL, NULL };
	g_autoptr(GError) error = NULL;
	struct scanout scanout;

	scanout_init(&scanout);
	g_setenv("DISPLAY", ":nowhere", true);
	g_assert_null(window_new(NAME, &scanout, &client, &error));
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, "--headless"));
	g_setenv("DISPLAY", display, true);
	scanout_finish(&scanout);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*steps)(struct fixture *fixture);
	} tests[] = {
		{ "formats", steps_formats },
		{ "refused", steps_refused },
		{ "palette", steps_palette },
		{ "partial-damage", steps_partial_damage },
		{ "scaling", steps_scaling },
		{ "follow", steps_follow },
		{ "fullscreen", steps_fullscreen },
		{ "keyboard", steps_keyboard },
		{ "focus-loss", steps_focus_loss },
		{ "tablet", steps_tablet },
		{ "grab", steps_grab },
		{ "host-key", steps_host_key },
		{ "menu", steps_menu },
		{ "sound", steps_sound },
		{ "usb", steps_usb },
		{ "close", steps_close },
		{ "states", steps_states },
		{ "idle", steps_idle },
		{ "pacing", steps_pacing },
	};
	int result;

	g_test_init(&argc, &argv, NULL);
	the_desktop = desktop_start();
	g_test_add_func("/window/no-display", test_no_display);
	for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *path = g_strconcat("/window/", tests[i].name, NULL);

		g_test_add_data_func(path, (gconstpointer)tests[i].steps, run);
	}
	result = g_test_run();
	desktop_stop(the_desktop);
	return result;
}
