#include "desktop.h"

#include <X11/Xatom.h>
#include <X11/Xutil.h>
#include <X11/extensions/XTest.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../display/scanout.h"

enum {
	PATIENCE = 10 * G_USEC_PER_SEC,
	STEP = 3000, /* microseconds */
};

/* A window may go away while it is looked at; the tests see that by its absence. */
static int ignore_error(Display *display, XErrorEvent *event)
{
	(void)display;
	(void)event;
	return 0;
}

static void die_with_parent(gpointer data)
{
	(void)data;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
}

static bool start(char **arguments, GPid *pid, int *out)
{
	g_autoptr(GError) error = NULL;
	GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL;

	if (!out)
		flags |= G_SPAWN_STDOUT_TO_DEV_NULL;
	if (g_spawn_async_with_pipes(NULL, arguments, NULL, flags, die_with_parent, NULL, pid, NULL, out, NULL,
				     &error))
		return true;
	printf("1..0 # SKIP %s\n", error->message);
	exit(0);
}

static bool settings_gone(void *data)
{
	return access(data, F_OK) != 0;
}

/* Up to the line's end: the server takes a pipe that closes early for its end. */
static void read_line(int fd, char *line, size_t size)
{
	size_t length = 0;

	while (length + 1 < size && read(fd, line + length, 1) == 1 && line[length] != '\n')
		length++;
	if (!length)
		g_error("Xvfb does not start");
}

/* The distribution's settings take some keys for the window manager; these take none. */
static char *write_settings(void)
{
	static const char settings[] = "<?xml version=\"1.0\"?>\n"
				       "<openbox_config xmlns=\"http://openbox.org/3.4/rc\">\n"
				       "<focus><focusNew>yes</focusNew></focus>\n"
				       "<keyboard></keyboard>\n"
				       "</openbox_config>\n";
	char *path = NULL;
	int fd = g_file_open_tmp("oriel-openbox-XXXXXX", &path, NULL);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, settings, strlen(settings)), ==, strlen(settings));
	close(fd);
	return path;
}

static struct desktop *start_server(void)
{
	char *server[] = { "Xvfb", "-displayfd", "1", "-screen", "0", "1920x1200x24", "-nolisten", "tcp", NULL };
	struct desktop *desktop = g_new0(struct desktop, 1);
	char number[16] = "";
	g_autofree char *name = NULL;
	int out;

	start(server, &desktop->server, &out);
	read_line(out, number, sizeof(number));
	close(out);
	name = g_strdup_printf(":%s", g_strstrip(number));
	g_setenv("DISPLAY", name, true);
	g_unsetenv("WAYLAND_DISPLAY");
	g_setenv("SDL_VIDEODRIVER", "x11", true);
	/* No message bus is started for the test. */
	g_setenv("DBUS_SESSION_BUS_ADDRESS", "disabled:", true);
	XInitThreads();
	XSetErrorHandler(ignore_error);
	desktop->display = XOpenDisplay(name);
	g_assert_nonnull(desktop->display);
	return desktop;
}

struct desktop *desktop_start_alone(void)
{
	return start_server();
}

struct desktop *desktop_start(void)
{
	char *manager[] = { "openbox", "--config-file", NULL, "--startup", NULL, NULL };
	struct desktop *desktop = start_server();
	g_autofree char *settings = NULL, *ready = NULL;

	/* The manager runs its start command when it is ready for windows; a window that comes earlier may be lost. */
	settings = write_settings();
	ready = g_strdup_printf("rm %s", settings);
	manager[2] = settings;
	manager[4] = ready;
	start(manager, &desktop->manager, NULL);
	g_assert_true(desktop_wait(settings_gone, settings));
	return desktop;
}

void desktop_stop(struct desktop *desktop)
{
	XCloseDisplay(desktop->display);
	if (desktop->manager) {
		kill(desktop->manager, SIGTERM);
		waitpid(desktop->manager, NULL, 0);
	}
	kill(desktop->server, SIGTERM);
	waitpid(desktop->server, NULL, 0);
	g_free(desktop);
}

bool desktop_wait(bool (*condition)(void *data), void *data)
{
	gint64 end = g_get_monotonic_time() + PATIENCE;

	while (g_get_monotonic_time() < end) {
		if (condition(data))
			return true;
		g_usleep(STEP);
	}
	return condition(data);
}

char *desktop_title(struct desktop *desktop, Window window)
{
	Atom property = XInternAtom(desktop->display, "_NET_WM_NAME", False), type;
	unsigned long count = 0, left;
	unsigned char *value = NULL;
	char *title = NULL;
	int format;

	XGetWindowProperty(desktop->display, window, property, 0, 1024, False, AnyPropertyType, &type, &format, &count,
			   &left, &value);
	if (value) {
		title = g_strndup((char *)value, count);
		XFree(value);
	}
	return title;
}

static Window find_below(struct desktop *desktop, Window parent, const char *title)
{
	Window root, grandparent, *children = NULL, found = 0;
	unsigned count = 0;

	XQueryTree(desktop->display, parent, &root, &grandparent, &children, &count);
	for (unsigned i = 0; i < count && !found; i++) {
		g_autofree char *name = desktop_title(desktop, children[i]);
		XWindowAttributes attributes;

		if (name && g_str_has_prefix(name, title) &&
		    XGetWindowAttributes(desktop->display, children[i], &attributes) &&
		    attributes.map_state == IsViewable)
			found = children[i];
		else
			found = find_below(desktop, children[i], title);
	}
	if (children)
		XFree(children);
	return found;
}

struct search {
	struct desktop *desktop;
	const char *title;
	Window found;
};

static bool search(void *data)
{
	struct search *search = data;

	search->found = find_below(search->desktop, DefaultRootWindow(search->desktop->display), search->title);
	return search->found != 0;
}

Window desktop_find(struct desktop *desktop, const char *title)
{
	struct search for_title = { desktop, title, 0 };

	desktop_wait(search, &for_title);
	return for_title.found;
}

bool desktop_has(struct desktop *desktop, const char *title)
{
	return find_below(desktop, DefaultRootWindow(desktop->display), title) != 0;
}

void desktop_size(struct desktop *desktop, Window window, int *width, int *height)
{
	XWindowAttributes attributes = { 0 };

	XGetWindowAttributes(desktop->display, window, &attributes);
	*width = attributes.width;
	*height = attributes.height;
}

uint32_t desktop_pixel(struct desktop *desktop, Window window, int x, int y)
{
	int width, height;
	uint32_t value;
	XImage *image;

	desktop_size(desktop, window, &width, &height);
	if (x < 0 || y < 0 || x >= width || y >= height)
		return 0xff000000;
	image = XGetImage(desktop->display, window, x, y, 1, 1, AllPlanes, ZPixmap);
	if (!image)
		return 0xff000000;
	value = (uint32_t)XGetPixel(image, 0, 0) & 0xffffff;
	XDestroyImage(image);
	return value;
}

static XImage *grab(struct desktop *desktop, Window window, int *width, int *height)
{
	desktop_size(desktop, window, width, height);
	return XGetImage(desktop->display, window, 0, 0, (unsigned)*width, (unsigned)*height, AllPlanes, ZPixmap);
}

struct picture *desktop_grab(struct desktop *desktop, Window window)
{
	struct picture *picture = g_new0(struct picture, 1);
	int width, height;
	XImage *image = grab(desktop, window, &width, &height);

	if (!image)
		return picture;
	picture->width = (unsigned)width;
	picture->height = (unsigned)height;
	picture->pixels = g_new(uint32_t, picture->width * picture->height);
	for (int y = 0; y < height; y++) {
		const uint32_t *row = (uint32_t *)(image->data + y * image->bytes_per_line);

		for (int x = 0; x < width; x++)
			picture->pixels[y * width + x] = row[x] & 0xffffff;
	}
	XDestroyImage(image);
	return picture;
}

/* Takes the image. */
static void save_image(XImage *image, const char *path)
{
	struct scanout_picture picture = { 0 };
	g_autoptr(GError) error = NULL;
	struct scanout scanout;

	g_assert_nonnull(image);
	picture.width = (unsigned)image->width;
	picture.height = (unsigned)image->height;
	picture.stride = (unsigned)image->bytes_per_line;
	picture.memory = scanout_memory_new((size_t)picture.stride * picture.height);
	memcpy(picture.memory->data, image->data, picture.memory->size);
	XDestroyImage(image);
	scanout_init(&scanout);
	scanout_set_picture(&scanout, &picture);
	scanout_memory_unref(picture.memory);
	scanout_save_png(&scanout, path, &error);
	g_assert_no_error(error);
	scanout_finish(&scanout);
}

void desktop_save(struct desktop *desktop, Window window, const char *path)
{
	int width, height;

	save_image(grab(desktop, window, &width, &height), path);
}

/* From the screen: with its dialogs and menus, which are windows of their own. */
void desktop_picture(struct desktop *desktop, Window window, const char *name)
{
	const char *folder = g_getenv("GUI_TEST_PICTURES");
	int screen = DefaultScreen(desktop->display), x, y, width, height, right, bottom;
	g_autofree char *path = NULL;

	if (!folder)
		return;
	g_mkdir_with_parents(folder, 0755);
	path = g_strdup_printf("%s/%s.png", folder, name);
	desktop_place(desktop, window, &x, &y);
	desktop_size(desktop, window, &width, &height);
	right = MIN(x + width, DisplayWidth(desktop->display, screen));
	bottom = MIN(y + height, DisplayHeight(desktop->display, screen));
	x = MAX(x, 0);
	y = MAX(y, 0);
	save_image(XGetImage(desktop->display, DefaultRootWindow(desktop->display), x, y, (unsigned)(right - x),
			     (unsigned)(bottom - y), AllPlanes, ZPixmap), path);
}

Window desktop_frame(struct desktop *desktop, Window window)
{
	Window root = window, parent = window, *children = NULL;
	unsigned count;

	do {
		window = parent;
		if (!XQueryTree(desktop->display, window, &root, &parent, &children, &count))
			return window;
		if (children)
			XFree(children);
	} while (parent != root);
	return window;
}

void desktop_place(struct desktop *desktop, Window window, int *x, int *y)
{
	Window child;

	XTranslateCoordinates(desktop->display, window, DefaultRootWindow(desktop->display), 0, 0, x, y, &child);
}

void desktop_key(struct desktop *desktop, unsigned long keysym, bool pressed)
{
	KeyCode code = XKeysymToKeycode(desktop->display, keysym);

	g_assert_cmpint(code, !=, 0);
	XTestFakeKeyEvent(desktop->display, code, pressed, CurrentTime);
	XSync(desktop->display, False);
}

void desktop_tap(struct desktop *desktop, unsigned long keysym)
{
	desktop_key(desktop, keysym, true);
	desktop_key(desktop, keysym, false);
}

void desktop_combine(struct desktop *desktop, unsigned long host, unsigned long key)
{
	desktop_key(desktop, host, true);
	desktop_tap(desktop, key);
	desktop_key(desktop, host, false);
}

void desktop_pointer(struct desktop *desktop, Window window, int x, int y)
{
	XWarpPointer(desktop->display, None, window, 0, 0, 0, 0, x, y);
	XSync(desktop->display, False);
}

void desktop_move_by(struct desktop *desktop, int x, int y)
{
	XTestFakeRelativeMotionEvent(desktop->display, x, y, CurrentTime);
	XSync(desktop->display, False);
}

void desktop_button(struct desktop *desktop, unsigned button, bool pressed)
{
	XTestFakeButtonEvent(desktop->display, button, pressed, CurrentTime);
	XSync(desktop->display, False);
}

void desktop_click(struct desktop *desktop, unsigned button)
{
	desktop_button(desktop, button, true);
	desktop_button(desktop, button, false);
}

void desktop_resize(struct desktop *desktop, Window window, int width, int height)
{
	XResizeWindow(desktop->display, window, (unsigned)width, (unsigned)height);
	XSync(desktop->display, False);
}

void desktop_focus(struct desktop *desktop, Window window)
{
	XSetInputFocus(desktop->display, window, RevertToPointerRoot, CurrentTime);
	XSync(desktop->display, False);
}

void desktop_move(struct desktop *desktop, Window window, int x, int y)
{
	XMoveWindow(desktop->display, window, x, y);
	XSync(desktop->display, False);
}

struct activity {
	struct desktop *desktop;
	Window window;
};

static bool is_active(void *data)
{
	struct activity *activity = data;
	Display *display = activity->desktop->display;
	Atom property = XInternAtom(display, "_NET_ACTIVE_WINDOW", False), type;
	unsigned long count = 0, left;
	unsigned char *value = NULL;
	bool active;
	int format;

	XGetWindowProperty(display, DefaultRootWindow(display), property, 0, 1, False, XA_WINDOW, &type, &format, &count,
			   &left, &value);
	active = count == 1 && *(Window *)value == activity->window;
	if (value)
		XFree(value);
	return active;
}

void desktop_expect_active(struct desktop *desktop, Window window)
{
	struct activity activity = { desktop, window };

	g_assert_true(desktop_wait(is_active, &activity));
}

void desktop_close(struct desktop *desktop, Window window)
{
	XEvent event = { 0 };

	event.xclient.type = ClientMessage;
	event.xclient.window = window;
	event.xclient.message_type = XInternAtom(desktop->display, "WM_PROTOCOLS", False);
	event.xclient.format = 32;
	event.xclient.data.l[0] = (long)XInternAtom(desktop->display, "WM_DELETE_WINDOW", False);
	event.xclient.data.l[1] = CurrentTime;
	XSendEvent(desktop->display, window, False, NoEventMask, &event);
	XSync(desktop->display, False);
}
