/*
 * The guest's window: SDL2 and OpenGL on the main thread, nothing else.
 *
 * It never takes vm->lock and never waits for the guest. What the user does goes out through struct window_client,
 * whose calls are made on the main thread and must return at once (they post to the I/O loop). What the machine has
 * to say comes in through the window_post_* calls, from any thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "../input/router.h"
#include "scanout.h"

enum window_command {
	WINDOW_POWER_BUTTON,
	WINDOW_POWER_OFF,
	WINDOW_RESET,
	WINDOW_PAUSE,
	WINDOW_RESUME,
	WINDOW_SCREENSHOT,
	WINDOW_DETACH, /* close the window, the guest keeps running */
};

/* What can be plugged into the guest: a USB device of the host, or the image of a stick. */
struct window_usb {
	char *name; /* for people */
	char *path; /* of the image; NULL: a device of the host */
	uint8_t bus, address; /* there */
	bool plugged;
};

struct window_client {
	void (*input)(void *opaque, const struct input_event *events, unsigned count);
	void (*release_all)(void *opaque); /* focus was lost */
	void (*command)(void *opaque, enum window_command command);
	/* How loud the guest is to be, 0 to 100. NULL: it has no sound. */
	void (*volume)(void *opaque, unsigned percent, bool muted);
	/* What can be plugged in? window_post_usb() tells, later. NULL: the guest has no USB. */
	void (*list_usb)(void *opaque);
	/* Plugs it in or out, then as list_usb. force: out, even if the guest still writes to it. */
	void (*plug_usb)(void *opaque, const struct window_usb *device, bool plug, bool force);
	void *opaque;
};

/* What the guest is doing, as far as the user should see. */
enum window_guest_state {
	WINDOW_GUEST_RUNNING,
	WINDOW_GUEST_PAUSED,
	WINDOW_GUEST_CRASHED, /* stopped by an error; message tells */
	WINDOW_GUEST_TROUBLE, /* paused until the user mends something (disk full); message tells */
};

struct window;

/*
 * Main thread. The window shows scanout under the machine's name. Where OpenGL is missing, or would be done by the
 * processor, the processor draws straight into the window, and the log says so. ORIEL_RENDERER=gl, gles or software in
 * the environment chooses. Error: no display, and what to do (--headless).
 */
struct window *window_new(const char *name, struct scanout *scanout, const struct window_client *client,
			  GError **error);
/* Main thread: runs until window_post_quit() or WINDOW_DETACH. */
void window_run(struct window *window);
/* After the producers of scanout and all callers of window_post_* have stopped or lost sight of the window. */
void window_free(struct window *window);

struct window_statistics {
	const char *renderer; /* "gl" or "software" */
	unsigned frames;      /* drawn so far */
};

/* Any thread. */
void window_get_statistics(struct window *window, struct window_statistics *statistics);

/* Any thread. message: NULL or a text for the user, copied. */
void window_post_state(struct window *window, enum window_guest_state state, const char *message);
void window_post_leds(struct window *window, unsigned leds);
/* Kinds (enum input_kind) that the guest takes: with a tablet there is no grab of the pointer. */
void window_post_kinds(struct window *window, unsigned kinds);
/* A short notice on the picture, such as where a screenshot was saved. */
void window_post_notice(struct window *window, const char *text);
/* To the front, with the focus, as far as the desktop allows that. */
void window_post_raise(struct window *window);
/* For the menu: devices is an array of struct window_usb, with a free function, that is taken over. */
void window_post_usb(struct window *window, GPtrArray *devices);
/*
 * What was asked of that device could not be done, message tells why; copied. can_force: it could be pulled out by force.
 * device NULL: devices cannot be listed.
 */
void window_post_usb_failure(struct window *window, const struct window_usb *device, const char *message,
			     bool can_force);
struct window_usb *window_usb_copy(const struct window_usb *device);
void window_usb_free(struct window_usb *device);
void window_post_quit(struct window *window);
