/*
 * Input events on their way from the window (or the control socket) to the emulated device that can take them.
 *
 * Events are evdev's (linux/input-event-codes.h): EV_KEY (value 1 press, 0 release; no auto-repeat, which is the
 * guest's or the keyboard's affair), EV_REL (REL_X, REL_Y, REL_WHEEL, REL_HWHEEL), EV_ABS (ABS_X, ABS_Y, 0-32767
 * across the picture), and EV_SYN after each group. All calls need vm->lock: other threads post through loop_call().
 */
#pragma once

#include <glib.h>
#include <linux/input-event-codes.h>
#include <stdbool.h>
#include <stdint.h>

struct input_event {
	uint16_t type;
	uint16_t code;
	int32_t value;
};

enum input_led {
	INPUT_LED_SCROLL = 1 << 0,
	INPUT_LED_NUM = 1 << 1,
	INPUT_LED_CAPS = 1 << 2,
};

enum input_kind {
	INPUT_KEYBOARD = 1 << 0,
	INPUT_MOUSE = 1 << 1,  /* relative motion, buttons, wheel */
	INPUT_TABLET = 1 << 2, /* absolute motion, buttons, wheel */
};

/* A device that takes input. Among active sinks of a kind the one with the highest rank gets the events. */
struct input_sink {
	const char *name;
	unsigned kinds;
	int rank;
	bool active; /* the guest's driver is listening: set through input_sink_set_active() */
	void (*event)(struct input_sink *sink, const struct input_event *event);
	/* False while the guest has not taken in what it was sent; NULL: always true. Typed text waits for it. */
	bool (*ready)(struct input_sink *sink);
	bool open_group; /* got events since the last EV_SYN; the router's own */
};

struct input_router {
	GPtrArray *sinks; /* struct input_sink *, in the order of adding, which decides between equal ranks */
	uint8_t held[96]; /* bit set by key code: what is pressed now (KEY_MAX / 8) */
	unsigned leds;
	/* Told when LEDs change or when the kinds that are served change (window: grab or no grab); may be NULL. */
	void (*changed)(struct input_router *router, void *opaque);
	void *changed_opaque;
};

void input_router_init(struct input_router *router);
void input_router_finish(struct input_router *router);
void input_router_add(struct input_router *router, struct input_sink *sink);
void input_router_remove(struct input_router *router, struct input_sink *sink);
void input_sink_set_active(struct input_router *router, struct input_sink *sink, bool active);

/*
 * Ignores releases of keys that are not held and presses of keys that are. When another sink takes over keys or
 * buttons, they are released on the old one. Buttons and the wheel go to a tablet rather than a mouse.
 */
void input_router_send(struct input_router *router, const struct input_event *events, unsigned count);
/* Releases every held key and button: focus was lost. */
void input_router_release_all(struct input_router *router);
/* Kinds with an active sink. A window uses absolute positions where INPUT_TABLET is served. */
unsigned input_router_kinds(const struct input_router *router);
/* Whether the sink that serves this kind has passed on to the guest all that it was sent; false without one. */
bool input_router_ready(const struct input_router *router, enum input_kind kind);
void input_router_set_leds(struct input_router *router, unsigned leds);
