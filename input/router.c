#include "router.h"

#include <string.h>

void input_router_init(struct input_router *router)
{
	memset(router, 0, sizeof *router);
	router->sinks = g_ptr_array_new();
}

void input_router_finish(struct input_router *router)
{
	g_ptr_array_free(router->sinks, TRUE);
	router->sinks = NULL;
}

static void tell_changed(struct input_router *router)
{
	if (router->changed)
		router->changed(router, router->changed_opaque);
}

static bool is_button(unsigned code)
{
	return code >= BTN_MISC && code < KEY_OK;
}

static struct input_sink *find_sink(const struct input_router *router, enum input_kind kind)
{
	struct input_sink *best = NULL;

	for (guint i = 0; i < router->sinks->len; i++) {
		struct input_sink *sink = router->sinks->pdata[i];

		if (sink->active && (sink->kinds & kind) && (!best || sink->rank > best->rank))
			best = sink;
	}
	return best;
}

/* Buttons and the wheel belong to whatever moves the pointer. */
static struct input_sink *find_pointer(const struct input_router *router)
{
	struct input_sink *tablet = find_sink(router, INPUT_TABLET);

	return tablet ? tablet : find_sink(router, INPUT_MOUSE);
}

static struct input_sink *find_key_sink(const struct input_router *router, unsigned code)
{
	return is_button(code) ? find_pointer(router) : find_sink(router, INPUT_KEYBOARD);
}

static void deliver(struct input_sink *sink, uint16_t type, uint16_t code, int32_t value)
{
	const struct input_event event = { type, code, value };

	if (!sink)
		return;
	sink->open_group = type != EV_SYN;
	sink->event(sink, &event);
}

static void close_groups(struct input_router *router)
{
	for (guint i = 0; i < router->sinks->len; i++) {
		struct input_sink *sink = router->sinks->pdata[i];

		if (sink->open_group)
			deliver(sink, EV_SYN, SYN_REPORT, 0);
	}
}

static bool is_held(const struct input_router *router, unsigned code)
{
	return router->held[code / 8] & 1u << code % 8;
}

static void release(struct input_router *router, struct input_sink *sink, bool buttons)
{
	for (unsigned code = 0; code < sizeof router->held * 8; code++) {
		if (!is_held(router, code) || is_button(code) != buttons)
			continue;
		router->held[code / 8] &= (uint8_t)~(1u << code % 8);
		deliver(sink, EV_KEY, (uint16_t)code, 0);
	}
	close_groups(router);
}

void input_router_release_all(struct input_router *router)
{
	release(router, find_sink(router, INPUT_KEYBOARD), false);
	release(router, find_pointer(router), true);
}

static void send_key(struct input_router *router, const struct input_event *event)
{
	uint8_t *byte, bit;

	if (event->code >= sizeof router->held * 8 || (event->value != 0 && event->value != 1))
		return;
	byte = &router->held[event->code / 8];
	bit = (uint8_t)(1u << event->code % 8);
	if (!!(*byte & bit) == event->value)
		return;
	*byte ^= bit;
	deliver(find_key_sink(router, event->code), EV_KEY, event->code, event->value);
}

static void send_relative(struct input_router *router, const struct input_event *event)
{
	struct input_sink *sink = NULL;

	if (event->code == REL_X || event->code == REL_Y)
		sink = find_sink(router, INPUT_MOUSE);
	else if (event->code == REL_WHEEL || event->code == REL_HWHEEL)
		sink = find_pointer(router);
	if (event->value)
		deliver(sink, EV_REL, event->code, event->value);
}

static void send_absolute(struct input_router *router, const struct input_event *event)
{
	if (event->code == ABS_X || event->code == ABS_Y)
		deliver(find_sink(router, INPUT_TABLET), EV_ABS, event->code, CLAMP(event->value, 0, 32767));
}

void input_router_send(struct input_router *router, const struct input_event *events, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		switch (events[i].type) {
		case EV_KEY:
			send_key(router, &events[i]);
			break;
		case EV_REL:
			send_relative(router, &events[i]);
			break;
		case EV_ABS:
			send_absolute(router, &events[i]);
			break;
		case EV_SYN:
			close_groups(router);
			break;
		}
	}
}

/* A sink comes, goes or falls asleep: what is held on a sink that loses its part is released there first. */
static void change_sink(struct input_router *router, struct input_sink *sink, bool active)
{
	struct input_sink *keyboard = find_sink(router, INPUT_KEYBOARD), *pointer = find_pointer(router);
	unsigned kinds = input_router_kinds(router);

	sink->active = active;
	if (keyboard != find_sink(router, INPUT_KEYBOARD))
		release(router, keyboard, false);
	if (pointer != find_pointer(router))
		release(router, pointer, true);
	if (kinds != input_router_kinds(router))
		tell_changed(router);
}

void input_router_add(struct input_router *router, struct input_sink *sink)
{
	bool active = sink->active;

	sink->active = false;
	sink->open_group = false;
	g_ptr_array_add(router->sinks, sink);
	change_sink(router, sink, active);
}

void input_router_remove(struct input_router *router, struct input_sink *sink)
{
	change_sink(router, sink, false);
	g_ptr_array_remove(router->sinks, sink);
}

void input_sink_set_active(struct input_router *router, struct input_sink *sink, bool active)
{
	if (sink->active != active)
		change_sink(router, sink, active);
}

unsigned input_router_kinds(const struct input_router *router)
{
	unsigned kinds = 0;

	for (guint i = 0; i < router->sinks->len; i++) {
		const struct input_sink *sink = router->sinks->pdata[i];

		if (sink->active)
			kinds |= sink->kinds;
	}
	return kinds;
}

bool input_router_ready(const struct input_router *router, enum input_kind kind)
{
	struct input_sink *sink = find_sink(router, kind);

	return sink && (!sink->ready || sink->ready(sink));
}

void input_router_set_leds(struct input_router *router, unsigned leds)
{
	if (router->leds == leds)
		return;
	router->leds = leds;
	tell_changed(router);
}
