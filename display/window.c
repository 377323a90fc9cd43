#include <SDL.h>
#include <X11/Xlib.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <langinfo.h>
#include <locale.h>
#include <string.h>

#include "window_icon.h"
#include "window_internal.h"

enum {
	DEFAULT_WIDTH = 720, /* until the guest sets a mode */
	DEFAULT_HEIGHT = 400,
	LEAST_WIDTH = 320,
	LEAST_HEIGHT = 200,
	DEFAULT_REFRESH = 60, /* hertz, where the display does not tell */
};

/* States in which the window's size is neither the guest's nor the user's. */
static const uint32_t fixed_size = SDL_WINDOW_MAXIMIZED | SDL_WINDOW_FULLSCREEN;

/* Any thread. SDL's queue is the one thing that the main thread waits for. */
static void wake(struct window *window)
{
	SDL_Event event = { .type = window->wake_event };

	/* A queue that is full wakes as well, but what was posted has to be announced again. */
	if (g_atomic_int_compare_and_exchange(&window->wake_sent, 0, 1) && SDL_PushEvent(&event) != 1)
		g_atomic_int_set(&window->wake_sent, 0);
}

static void damaged(struct scanout_listener *listener)
{
	struct window *window = (struct window *)((char *)listener - offsetof(struct window, listener));

	g_atomic_int_set(&window->damaged, 1);
	wake(window);
}

void window_redraw(struct window *window)
{
	window->redraw = true;
}

void window_to_pixels(const struct window *window, int *x, int *y)
{
	int width, height;

	SDL_GetWindowSize(window->handle, &width, &height);
	if (width > 0 && height > 0) {
		*x = *x * window->width / width;
		*y = *y * window->height / height;
	}
}

void window_update_title(struct window *window)
{
	static const char *const states[] = {
		[WINDOW_GUEST_RUNNING] = "",
		[WINDOW_GUEST_PAUSED] = N_(" (paused)"),
		[WINDOW_GUEST_CRASHED] = N_(" (crashed)"),
		[WINDOW_GUEST_TROUBLE] = N_(" (waiting for you)"),
	};
	const char *advice = _("Right Ctrl+M opens the menu"), *state = states[window->state];
	g_autofree char *title = NULL;

	if (window->grabbed)
		advice = window->kinds & INPUT_TABLET ? _("Right Ctrl releases the keyboard") :
							_("Right Ctrl releases the mouse");
	title = g_strdup_printf("%s%s \u2014 %s", window->name, *state ? _(state) : "", advice);
	SDL_SetWindowTitle(window->handle, title);
}

static void measure(struct window *window)
{
	window->renderer->ops->size(window->renderer, &window->width, &window->height);
	window->target = layout_picture(&window->shape, window->width, window->height, window->scale);
}

static void set_pace(struct window *window)
{
	int display = SDL_GetWindowDisplayIndex(window->handle), refresh = 0;
	SDL_DisplayMode mode;

	if (display >= 0 && SDL_GetCurrentDisplayMode(display, &mode) == 0)
		refresh = mode.refresh_rate;
	window->frame_time = G_USEC_PER_SEC / (refresh > 0 ? refresh : DEFAULT_REFRESH);
	/*
	 * A renderer that waits for the display keeps its time by itself; waiting here too would miss every other
	 * refresh. The bound is for drivers that claim to wait and do not.
	 */
	if (window->renderer->paced)
		window->frame_time /= 2;
}

static int centred(int position, int old_length, int length, int start, int end)
{
	position += (old_length - length) / 2;
	return MAX(MIN(position, end - length), start);
}

/* Grows or shrinks around the window's middle, as far as that stays where it can be seen. */
static void set_size(struct window *window, const SDL_Rect *usable, int width, int height)
{
	int x, y, old_width, old_height, new_x, new_y;

	SDL_GetWindowPosition(window->handle, &x, &y);
	SDL_GetWindowSize(window->handle, &old_width, &old_height);
	if (width == old_width && height == old_height)
		return;
	new_x = centred(x, old_width, width, usable->x, usable->x + usable->w);
	new_y = centred(y, old_height, height, usable->y, usable->y + usable->h);
	SDL_SetWindowSize(window->handle, width, height);
	if (new_x != x || new_y != y)
		SDL_SetWindowPosition(window->handle, new_x, new_y);
}

/* Makes the window as large as the picture, unless the user chose a size. */
void window_follow_guest(struct window *window)
{
	SDL_Rect usable = { 0, 0, 65535, 65535 };
	int top = 0, left = 0, bottom = 0, right = 0, display = SDL_GetWindowDisplayIndex(window->handle);

	if (window->own_size || !window->shape.width || SDL_GetWindowFlags(window->handle) & fixed_size)
		return;
	if (display >= 0)
		SDL_GetDisplayUsableBounds(display, &usable);
	SDL_GetWindowBordersSize(window->handle, &top, &left, &bottom, &right);
	usable.x += left;
	usable.y += top;
	usable.w = MAX(usable.w - left - right, LEAST_WIDTH);
	usable.h = MAX(usable.h - top - bottom, LEAST_HEIGHT);
	layout_limited_size(&window->shape, usable.w, usable.h, &window->follow_width, &window->follow_height);
	set_size(window, &usable, window->follow_width, window->follow_height);
	window_redraw(window);
}

/* The picture's geometry may differ from what the window was laid out for. */
static void take_shape(struct window *window, const struct scanout_picture *picture)
{
	const struct scanout_picture *old = &window->shape;
	bool changed = picture->width != old->width || picture->height != old->height ||
		       picture->aspect_x != old->aspect_x || picture->aspect_y != old->aspect_y;

	if (picture->serial != window->picture_serial)
		window_redraw(window);
	window->picture_serial = picture->serial;
	if (!changed)
		return;
	window->shape = *picture;
	window->shape.memory = NULL;
	window_follow_guest(window);
}

static void set_layer(struct render_layer *layer, const struct panel *panel)
{
	if (panel)
		*layer = (struct render_layer){ panel->place.x, panel->place.y, panel->canvas };
}

static void draw(struct window *window)
{
	struct scanout_picture picture;
	struct render_frame frame = { .picture = &picture };
	int width = window->width, height = window->height;

	g_atomic_int_set(&window->damaged, 0);
	scanout_take(window->scanout, &window->listener, &picture, &frame.damage);
	take_shape(window, &picture);
	if (window->redraw) {
		measure(window);
		if (window->width != width || window->height != height)
			window_redraw_panels(window);
	}
	frame.whole = window->redraw;
	frame.dim = window->state != WINDOW_GUEST_RUNNING;
	frame.target = window->target;
	frame.width = window->width;
	frame.height = window->height;
	set_layer(&frame.layers[0], window->panel ? NULL : window->banner);
	set_layer(&frame.layers[1], window->notice);
	set_layer(&frame.layers[2], window->panel);
	if (frame.whole || frame.damage.first < frame.damage.end) {
		window->next_draw = g_get_monotonic_time() + window->frame_time;
		window->redraw = false;
		window->renderer->ops->draw(window->renderer, &frame);
		g_atomic_int_inc(&window->frames);
	}
	scanout_memory_unref(picture.memory);
}

static void take_posted(struct window *window)
{
	struct window_posted posted;

	g_mutex_lock(&window->lock);
	posted = window->posted;
	window->posted = (struct window_posted){ 0 };
	g_mutex_unlock(&window->lock);
	if (posted.new_state) {
		g_free(window->message);
		window->message = posted.message;
		window->state = posted.state;
		if (window->state != WINDOW_GUEST_RUNNING) {
			window_set_grab(window, false);
			window_input_release_all(window);
		}
		window_update_banner(window);
		window_update_pointer(window);
		window_update_title(window);
	}
	if (posted.new_leds) {
		window->leds = posted.leds;
		window_update_lamps(window);
	}
	if (posted.new_kinds && posted.kinds != window->kinds) {
		window_input_flush(window);
		window->kinds = posted.kinds;
		window_update_grab(window);
	}
	if (posted.notice)
		window_set_notice(window, posted.notice);
	g_free(posted.notice);
	window_take_usb(window, &posted);
	if (posted.raise) {
		if (SDL_GetWindowFlags(window->handle) & SDL_WINDOW_MINIMIZED)
			SDL_RestoreWindow(window->handle);
		SDL_RaiseWindow(window->handle);
	}
	if (posted.quit)
		window->finished = true;
}

/* A size that is not the one asked for last comes from the user or the window manager. */
static void resized(struct window *window, int width, int height)
{
	bool fixed = SDL_GetWindowFlags(window->handle) & fixed_size;

	if (!fixed && (width != window->follow_width || height != window->follow_height))
		window->own_size = true;
	window_redraw(window);
}

static void window_event(struct window *window, const SDL_WindowEvent *event)
{
	switch (event->event) {
	case SDL_WINDOWEVENT_RESIZED:
		resized(window, event->data1, event->data2);
		break;
	case SDL_WINDOWEVENT_MINIMIZED:
	case SDL_WINDOWEVENT_HIDDEN:
		window->visible = false;
		break;
	case SDL_WINDOWEVENT_RESTORED:
		window_follow_guest(window); /* to a mode that was set meanwhile */
		/* fall through */
	case SDL_WINDOWEVENT_SHOWN:
	case SDL_WINDOWEVENT_EXPOSED:
	case SDL_WINDOWEVENT_SIZE_CHANGED:
		window->visible = !(SDL_GetWindowFlags(window->handle) & (SDL_WINDOW_MINIMIZED | SDL_WINDOW_HIDDEN));
		window_redraw(window);
		break;
	case SDL_WINDOWEVENT_DISPLAY_CHANGED:
		set_pace(window);
		break;
	case SDL_WINDOWEVENT_FOCUS_LOST:
		window->host_down = false;
		window_set_grab(window, false);
		window_input_release_all(window);
		break;
	case SDL_WINDOWEVENT_CLOSE:
		window_act(window, WINDOW_ACTION_ASK_CLOSE, 0);
		break;
	default:
		break;
	}
}

static void handle(struct window *window, const SDL_Event *event)
{
	if (event->type == window->wake_event) {
		g_atomic_int_set(&window->wake_sent, 0);
		take_posted(window);
	} else if (event->type == SDL_WINDOWEVENT) {
		window_event(window, &event->window);
	} else {
		window_input_event(window, event);
	}
}

static bool draw_wanted(struct window *window)
{
	return window->visible && (window->redraw || g_atomic_int_get(&window->damaged));
}

/* Milliseconds until something has to be done without an event, -1 for never. */
static int patience(struct window *window, gint64 now)
{
	gint64 until = G_MAXINT64;

	if (draw_wanted(window))
		until = window->next_draw;
	if (window->notice)
		until = MIN(until, window->notice_end);
	if (until == G_MAXINT64)
		return -1;
	return (int)MAX((until - now + 999) / 1000, 0);
}

static void take_events(struct window *window)
{
	int timeout = patience(window, g_get_monotonic_time());
	SDL_Event event;
	int got;

	if (timeout < 0)
		got = SDL_WaitEvent(&event);
	else if (timeout > 0)
		got = SDL_WaitEventTimeout(&event, timeout);
	else
		got = SDL_PollEvent(&event);
	/* What the wait has collected; another look at the connection can wait for the next turn. */
	for (; got > 0; got = SDL_PeepEvents(&event, 1, SDL_GETEVENT, SDL_FIRSTEVENT, SDL_LASTEVENT))
		handle(window, &event);
	window_input_flush(window);
}

void window_run(struct window *window)
{
	while (!window->finished) {
		gint64 now;

		take_events(window);
		now = g_get_monotonic_time();
		if (window->notice && now >= window->notice_end) {
			g_clear_pointer(&window->notice, panel_free);
			window_redraw(window);
		}
		if (draw_wanted(window) && now >= window->next_draw)
			draw(window);
	}
}

static void set_hints(void)
{
	/* A guest's window is not a game: no joysticks, no screen saver held off, no compositor sent away. */
	SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
	SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
	SDL_SetHint(SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, "0");
	SDL_SetHint(SDL_HINT_QUIT_ON_LAST_WINDOW_CLOSE, "0");
	SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
	SDL_SetHint(SDL_HINT_GRAB_KEYBOARD, "1");
	/* The software renderer writes to shared memory, not through a texture. */
	SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
	SDL_SetHint(SDL_HINT_APP_NAME, "Oriel");
}

/*
 * The X libraries lose titles that the locale cannot spell; the names of machines are UTF-8 whatever the locale is.
 * Nothing else of the process depends on the kinds of characters.
 */
static void use_utf8(void)
{
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

/*
 * What X refuses must not end a guest, as Xlib's own handler does. SDL itself makes such requests: its answer to what
 * became of a window may come when that window is gone already.
 */
static int tolerate_x_error(Display *display, XErrorEvent *event)
{
	char text[256];

	XGetErrorText(display, event->error_code, text, sizeof text);
	g_message("The X server refused request %u.%u for 0x%lx: %s", event->request_code, event->minor_code,
		  event->resourceid, text);
	return 0;
}

static bool make_handle(struct window *window, uint32_t flags, GError **error)
{
	flags |= SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI;
	window->handle = SDL_CreateWindow(window->name, SDL_WINDOWPOS_CENTERED, SDL_WINDOWPOS_CENTERED,
					  window->follow_width, window->follow_height, flags);
	if (!window->handle)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, _("Cannot open a window: %s"), SDL_GetError());
	return window->handle != NULL;
}

static bool try_gl(struct window *window, bool embedded, bool forced)
{
	g_autoptr(GError) error = NULL;
	bool software = false;

	if (make_handle(window, gl_renderer_prepare(embedded), &error))
		window->renderer = gl_renderer_new(window->handle, &software, &error);
	if (window->renderer && software && !forced) {
		g_message("OpenGL is done by the processor here, which is slower than drawing without it");
		window->renderer->ops->free(window->renderer);
		window->renderer = NULL;
	}
	if (error)
		g_message("No OpenGL%s: %s", embedded ? " ES" : "", error->message);
	if (!window->renderer && window->handle)
		g_clear_pointer(&window->handle, SDL_DestroyWindow);
	return window->renderer != NULL || software;
}

static bool make_renderer(struct window *window, GError **error)
{
	const char *wanted = g_getenv("ORIEL_RENDERER");
	bool force_gl = g_strcmp0(wanted, "gl") == 0, force_gles = g_strcmp0(wanted, "gles") == 0;

	if (force_gl || force_gles)
		try_gl(window, force_gles, true);
	else if (g_strcmp0(wanted, "software") != 0 && gl_renderer_likely() && !try_gl(window, false, false))
		try_gl(window, true, false);
	if (window->renderer)
		return true;
	SDL_GL_UnloadLibrary();
	if (!make_handle(window, 0, error))
		return false;
	window->renderer = software_renderer_new(window->handle);
	g_message("The window is drawn by the processor, without OpenGL%s",
		  gl_renderer_likely() ? "" : ": this host has no graphics device");
	return true;
}

static void set_icon(struct window *window)
{
	struct canvas *icon = window_icon_draw();
	SDL_Surface *surface = SDL_CreateRGBSurfaceWithFormatFrom(icon->pixels, icon->width, icon->height, 32,
								   icon->width * 4, SDL_PIXELFORMAT_ARGB8888);

	if (surface)
		SDL_SetWindowIcon(window->handle, surface);
	SDL_FreeSurface(surface);
	canvas_free(icon);
}

struct window *window_new(const char *name, struct scanout *scanout, const struct window_client *client,
			  GError **error)
{
	struct window *window;

	set_hints();
	use_utf8();
	/* SDL keeps who was there before it, and calls him. */
	XSetErrorHandler(tolerate_x_error);
	if (SDL_InitSubSystem(SDL_INIT_VIDEO) != 0) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
			    _("There is no display to open a window on (%s). Start it from a desktop session, or "
			      "without a window: --headless"), SDL_GetError());
		return NULL;
	}
	/* Scancodes are all that is wanted: no input method between the user's keys and the guest. */
	SDL_StopTextInput();
	window = g_new0(struct window, 1);
	window->name = g_strdup(name);
	window->scanout = scanout;
	window->client = *client;
	window->follow_width = DEFAULT_WIDTH;
	window->follow_height = DEFAULT_HEIGHT;
	window->visible = true;
	window->volume = 100;
	window->redraw = true;
	window->wake_event = SDL_RegisterEvents(1);
	g_mutex_init(&window->lock);
	window->listener.damaged = damaged;
	if (!make_renderer(window, error)) {
		window_free(window);
		return NULL;
	}
	SDL_SetWindowMinimumSize(window->handle, LEAST_WIDTH, LEAST_HEIGHT);
	set_icon(window);
	set_pace(window);
	measure(window);
	window_update_title(window);
	scanout_add_listener(scanout, &window->listener);
	window->damaged = 1; /* whatever is shown already */
	return window;
}

void window_free(struct window *window)
{
	if (!window)
		return;
	if (window->renderer) {
		scanout_remove_listener(window->scanout, &window->listener);
		window->renderer->ops->free(window->renderer);
	}
	if (window->handle)
		SDL_DestroyWindow(window->handle);
	SDL_QuitSubSystem(SDL_INIT_VIDEO);
	panel_free(window->panel);
	panel_free(window->banner);
	panel_free(window->notice);
	g_free(window->posted.message);
	g_free(window->posted.notice);
	window_clear_usb(window);
	g_mutex_clear(&window->lock);
	g_free(window->message);
	g_free(window->name);
	g_free(window);
}

void window_get_statistics(struct window *window, struct window_statistics *statistics)
{
	statistics->renderer = window->renderer->name;
	statistics->frames = (unsigned)g_atomic_int_get(&window->frames);
}

void window_post_state(struct window *window, enum window_guest_state state, const char *message)
{
	g_mutex_lock(&window->lock);
	g_free(window->posted.message);
	window->posted.message = g_strdup(message);
	window->posted.state = state;
	window->posted.new_state = true;
	g_mutex_unlock(&window->lock);
	wake(window);
}

void window_post_leds(struct window *window, unsigned leds)
{
	g_mutex_lock(&window->lock);
	window->posted.leds = leds;
	window->posted.new_leds = true;
	g_mutex_unlock(&window->lock);
	wake(window);
}

void window_post_kinds(struct window *window, unsigned kinds)
{
	g_mutex_lock(&window->lock);
	window->posted.kinds = kinds;
	window->posted.new_kinds = true;
	g_mutex_unlock(&window->lock);
	wake(window);
}

void window_post_notice(struct window *window, const char *text)
{
	g_mutex_lock(&window->lock);
	g_free(window->posted.notice);
	window->posted.notice = g_strdup(text);
	g_mutex_unlock(&window->lock);
	wake(window);
}

void window_post_usb(struct window *window, GPtrArray *devices)
{
	g_mutex_lock(&window->lock);
	if (window->posted.usb)
		g_ptr_array_unref(window->posted.usb);
	window->posted.usb = devices;
	g_mutex_unlock(&window->lock);
	wake(window);
}

void window_post_usb_failure(struct window *window, const struct window_usb *device, const char *message,
			     bool can_force)
{
	g_mutex_lock(&window->lock);
	g_clear_pointer(&window->posted.usb_failed, window_usb_free);
	g_free(window->posted.usb_message);
	window->posted.usb_failed = device ? window_usb_copy(device) : NULL;
	window->posted.usb_message = g_strdup(message);
	window->posted.usb_can_force = can_force;
	g_mutex_unlock(&window->lock);
	wake(window);
}

void window_post_raise(struct window *window)
{
	g_mutex_lock(&window->lock);
	window->posted.raise = true;
	g_mutex_unlock(&window->lock);
	wake(window);
}

void window_post_quit(struct window *window)
{
	g_mutex_lock(&window->lock);
	window->posted.quit = true;
	g_mutex_unlock(&window->lock);
	wake(window);
}
