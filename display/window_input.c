/*
 * Keyboard and mouse: what goes to the guest, and the host key's combinations, which do not.
 */
#include <linux/input-event-codes.h>

#include "keymap.h"
#include "window_internal.h"

static const SDL_Scancode host_scancode = SDL_SCANCODE_RCTRL;

enum {
	CHORD_KEYS = 3,
	GROUP = 4, /* events that are sent together at most */
};

static const struct {
	SDL_Scancode key;
	enum window_action action;
	int argument;
} combinations[] = {
	{ SDL_SCANCODE_M, WINDOW_ACTION_MENU, 1 },
	{ SDL_SCANCODE_F, WINDOW_ACTION_FULLSCREEN, 0 },
	{ SDL_SCANCODE_C, WINDOW_ACTION_SCALE, 0 },
	{ SDL_SCANCODE_W, WINDOW_ACTION_FOLLOW, 0 },
	{ SDL_SCANCODE_G, WINDOW_ACTION_GRAB, 0 },
	{ SDL_SCANCODE_P, WINDOW_ACTION_PAUSE, 0 },
	{ SDL_SCANCODE_R, WINDOW_ACTION_ASK_RESET, 0 },
	{ SDL_SCANCODE_Q, WINDOW_ACTION_ASK_CLOSE, 0 },
	{ SDL_SCANCODE_S, WINDOW_ACTION_COMMAND, WINDOW_SCREENSHOT },
	{ SDL_SCANCODE_DELETE, WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ALT_DELETE },
	{ SDL_SCANCODE_BACKSPACE, WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ALT_BACKSPACE },
	{ SDL_SCANCODE_RSHIFT, WINDOW_ACTION_SEND_CHORD, CHORD_RIGHT_CTRL },
};

#define CTRL_ALT(key) { KEY_LEFTCTRL, KEY_LEFTALT, key }
static const uint16_t chords[][CHORD_KEYS] = {
	[CHORD_CTRL_ALT_DELETE] = CTRL_ALT(KEY_DELETE),
	[CHORD_CTRL_ALT_BACKSPACE] = CTRL_ALT(KEY_BACKSPACE),
	[CHORD_RIGHT_CTRL] = { KEY_RIGHTCTRL },
	[CHORD_PRINT_SCREEN] = { KEY_SYSRQ },
	[CHORD_PAUSE] = { KEY_PAUSE },
	[CHORD_META] = { KEY_LEFTMETA },
	[CHORD_ALT_TAB] = { KEY_LEFTALT, KEY_TAB },
	[CHORD_ALT_F4] = { KEY_LEFTALT, KEY_F4 },
	[CHORD_CTRL_ESCAPE] = { KEY_LEFTCTRL, KEY_ESC },
	[CHORD_CTRL_ALT_F1] = CTRL_ALT(KEY_F1), CTRL_ALT(KEY_F2), CTRL_ALT(KEY_F3), CTRL_ALT(KEY_F4), CTRL_ALT(KEY_F5),
	CTRL_ALT(KEY_F6), CTRL_ALT(KEY_F7), CTRL_ALT(KEY_F8), CTRL_ALT(KEY_F9), CTRL_ALT(KEY_F10), CTRL_ALT(KEY_F11),
	CTRL_ALT(KEY_F12),
};

static const uint16_t button_codes[] = {
	[SDL_BUTTON_LEFT] = BTN_LEFT,
	[SDL_BUTTON_MIDDLE] = BTN_MIDDLE,
	[SDL_BUTTON_RIGHT] = BTN_RIGHT,
	[SDL_BUTTON_X1] = BTN_SIDE,
	[SDL_BUTTON_X2] = BTN_EXTRA,
};

/* A stopped guest would find everything that was typed meanwhile when it goes on. */
bool window_input_wanted(const struct window *window)
{
	return window->state == WINDOW_GUEST_RUNNING && !window->panel;
}

static bool absolute(const struct window *window)
{
	return window->kinds & INPUT_TABLET;
}

static bool relative(const struct window *window)
{
	return window->grabbed && !absolute(window);
}

static void send(struct window *window, const struct input_event *events, unsigned count)
{
	struct input_event group[GROUP];

	for (unsigned i = 0; i < count; i++)
		group[i] = events[i];
	group[count] = (struct input_event){ EV_SYN, SYN_REPORT, 0 };
	window->client.input(window->client.opaque, group, count + 1);
}

static void send_key(struct window *window, uint16_t code, bool pressed)
{
	send(window, &(struct input_event){ EV_KEY, code, pressed }, 1);
}

void window_send_chord(struct window *window, enum window_chord chord)
{
	const uint16_t *keys = chords[chord];

	if (!window_input_wanted(window))
		return;
	window_input_release_all(window);
	for (int i = 0; i < CHORD_KEYS && keys[i]; i++)
		send_key(window, keys[i], true);
	for (int i = CHORD_KEYS - 1; i >= 0; i--)
		if (keys[i])
			send_key(window, keys[i], false);
}

void window_input_flush(struct window *window)
{
	struct input_event events[2] = { 0 };

	if (window->moved_to) {
		events[0] = (struct input_event){ EV_ABS, ABS_X, window->to_x };
		events[1] = (struct input_event){ EV_ABS, ABS_Y, window->to_y };
		window->moved_to = false;
		send(window, events, 2);
	}
	if (window->moved_by) {
		events[0] = (struct input_event){ EV_REL, REL_X, window->by_x };
		events[1] = (struct input_event){ EV_REL, REL_Y, window->by_y };
		window->moved_by = false;
		window->by_x = window->by_y = 0;
		send(window, events, 2);
	}
}

void window_input_release_all(struct window *window)
{
	window_input_flush(window);
	memset(window->down, 0, sizeof(window->down));
	window->buttons = 0;
	window->client.release_all(window->client.opaque);
}

void window_update_pointer(struct window *window)
{
	int x, y;
	bool hide;

	SDL_GetMouseState(&x, &y);
	window_to_pixels(window, &x, &y);
	/* With a tablet the guest draws its own pointer where ours is. */
	hide = relative(window) ||
	       (window_input_wanted(window) && absolute(window) && layout_inside(&window->target, x, y));
	if (hide == window->pointer_hidden)
		return;
	window->pointer_hidden = hide;
	SDL_ShowCursor(hide ? SDL_DISABLE : SDL_ENABLE);
}

void window_update_grab(struct window *window)
{
	/* A guest with a tablet gets positions: only the keyboard can be grabbed for it. */
	SDL_SetWindowKeyboardGrab(window->handle, window->grabbed ? SDL_TRUE : SDL_FALSE);
	if (SDL_SetRelativeMouseMode(relative(window) ? SDL_TRUE : SDL_FALSE) != 0)
		g_warning("Cannot grab the mouse: %s", SDL_GetError());
	window_update_pointer(window);
	window_update_title(window);
}

void window_set_grab(struct window *window, bool grab)
{
	if (grab == window->grabbed || (grab && !window_input_wanted(window)))
		return;
	window_input_flush(window);
	window->grabbed = grab;
	window_update_grab(window);
}

static void combination(struct window *window, SDL_Scancode key)
{
	window->host_combined = true;
	if (key >= SDL_SCANCODE_F1 && key <= SDL_SCANCODE_F12) {
		window_act(window, WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ALT_F1 + (int)(key - SDL_SCANCODE_F1));
		return;
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(combinations); i++)
		if (combinations[i].key == key)
			window_act(window, combinations[i].action, combinations[i].argument);
}

static void host_key(struct window *window, bool pressed)
{
	if (!pressed && window->host_down && !window->host_combined)
		window_set_grab(window, false);
	window->host_down = pressed;
	window->host_combined = false;
}

static void key(struct window *window, const SDL_KeyboardEvent *event)
{
	SDL_Scancode scancode = event->keysym.scancode;
	bool pressed = event->type == SDL_KEYDOWN;
	uint16_t code = keymap_evdev(scancode);

	if (event->repeat && !window->panel)
		return;
	if (scancode == host_scancode) {
		if (!event->repeat)
			host_key(window, pressed);
		return;
	}
	if (!pressed) {
		if (scancode < SDL_NUM_SCANCODES && window->down[scancode]) {
			window->down[scancode] = false;
			send_key(window, code, false);
		}
		return;
	}
	if (window->host_down) {
		if (!event->repeat)
			combination(window, scancode);
	} else if (window->panel) {
		window_panel_key(window, scancode);
	} else if (code && window_input_wanted(window)) {
		window_input_flush(window);
		window->down[scancode] = true;
		send_key(window, code, true);
	}
}

static void motion(struct window *window, const SDL_MouseMotionEvent *event)
{
	int x = event->x, y = event->y;

	window_to_pixels(window, &x, &y);
	if (window->panel) {
		window_panel_motion(window, x, y);
		return;
	}
	window_update_pointer(window);
	if (!window_input_wanted(window))
		return;
	if (relative(window)) {
		window->moved_by = true;
		window->by_x += event->xrel;
		window->by_y += event->yrel;
	} else if (absolute(window) && window->target.width) {
		window->moved_to = true;
		window->to_x = layout_absolute(x, window->target.x, window->target.width);
		window->to_y = layout_absolute(y, window->target.y, window->target.height);
	}
}

static void button(struct window *window, const SDL_MouseButtonEvent *event)
{
	bool pressed = event->type == SDL_MOUSEBUTTONDOWN;
	unsigned bit = 1u << (event->button & 31);
	int x = event->x, y = event->y;

	window_to_pixels(window, &x, &y);
	if (event->button >= G_N_ELEMENTS(button_codes) || !button_codes[event->button])
		return;
	window_input_flush(window);
	if (!pressed) {
		if (window->buttons & bit)
			send_key(window, button_codes[event->button], false);
		window->buttons &= ~bit;
		return;
	}
	window->host_combined = true;
	if (window->panel) {
		if (event->button == SDL_BUTTON_LEFT)
			window_panel_click(window, x, y);
		return;
	}
	if (!window_input_wanted(window) || (!relative(window) && !layout_inside(&window->target, x, y)))
		return;
	/* The click that takes the mouse is not the guest's. */
	if (!window->grabbed && !absolute(window)) {
		if (window->kinds & INPUT_MOUSE)
			window_set_grab(window, true);
		return;
	}
	window->buttons |= bit;
	send_key(window, button_codes[event->button], true);
}

static void wheel(struct window *window, const SDL_MouseWheelEvent *event)
{
	struct input_event events[2];
	unsigned count = 0;

	if (!window_input_wanted(window) || (!window->grabbed && !absolute(window)))
		return;
	window_input_flush(window);
	if (event->y)
		events[count++] = (struct input_event){ EV_REL, REL_WHEEL, event->y };
	if (event->x)
		events[count++] = (struct input_event){ EV_REL, REL_HWHEEL, event->x };
	if (count)
		send(window, events, count);
}

void window_input_event(struct window *window, const SDL_Event *event)
{
	switch (event->type) {
	case SDL_KEYDOWN:
	case SDL_KEYUP:
		key(window, &event->key);
		break;
	case SDL_MOUSEMOTION:
		motion(window, &event->motion);
		break;
	case SDL_MOUSEBUTTONDOWN:
	case SDL_MOUSEBUTTONUP:
		button(window, &event->button);
		break;
	case SDL_MOUSEWHEEL:
		wheel(window, &event->wheel);
		break;
	default:
		break;
	}
}
