/*
 * The window's own menu, dialogs and banners, and what their choices and the host key's combinations do.
 */
#include "window_internal.h"

#include <glib/gi18n.h>

static const char *const lamp_names[] = { N_("Scroll"), N_("Num"), N_("Caps"), NULL };

struct menu_entry {
	const char *label, *shortcut;
	enum window_action action;
	int argument;
	bool separated, grave, hidden;
};

#define VOLUME_STEP 10

static const struct menu_entry keys_menu[] = {
	{ N_("Ctrl + Alt + Del"), N_("Right Ctrl + Del"), WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ALT_DELETE },
	{ N_("Ctrl + Alt + Backspace"), N_("Right Ctrl + Backspace"), WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ALT_BACKSPACE },
	{ N_("Ctrl + Alt + F1"), N_("Right Ctrl + F1"), WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ALT_F1 },
	{ N_("Ctrl + Alt + F2"), N_("Right Ctrl + F2"), WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ALT_F1 + 1 },
	{ N_("Ctrl + Alt + F7"), N_("Right Ctrl + F7"), WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ALT_F1 + 6 },
	{ N_("Right Ctrl"), N_("Right Ctrl + Right Shift"), WINDOW_ACTION_SEND_CHORD, CHORD_RIGHT_CTRL, .separated = true },
	{ N_("Super"), NULL, WINDOW_ACTION_SEND_CHORD, CHORD_META },
	{ N_("Alt + Tab"), NULL, WINDOW_ACTION_SEND_CHORD, CHORD_ALT_TAB },
	{ N_("Alt + F4"), NULL, WINDOW_ACTION_SEND_CHORD, CHORD_ALT_F4 },
	{ N_("Ctrl + Esc"), NULL, WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ESCAPE },
	{ N_("Print Screen"), NULL, WINDOW_ACTION_SEND_CHORD, CHORD_PRINT_SCREEN },
	{ N_("Pause/Break"), NULL, WINDOW_ACTION_SEND_CHORD, CHORD_PAUSE },
	{ N_("Back"), NULL, WINDOW_ACTION_MENU, 0, .separated = true },
};

static const struct menu_entry reset_dialog[] = {
	{ N_("Reset"), NULL, WINDOW_ACTION_COMMAND, WINDOW_RESET, .grave = true },
	{ N_("Cancel"), N_("Esc"), WINDOW_ACTION_DISMISS },
};

static const struct menu_entry power_off_dialog[] = {
	{ N_("Power off"), NULL, WINDOW_ACTION_COMMAND, WINDOW_POWER_OFF, .grave = true },
	{ N_("Cancel"), N_("Esc"), WINDOW_ACTION_DISMISS },
};

static const struct menu_entry close_dialog[] = {
	{ N_("Press the power button"), NULL, WINDOW_ACTION_COMMAND, WINDOW_POWER_BUTTON },
	{ N_("Power off"), NULL, WINDOW_ACTION_COMMAND, WINDOW_POWER_OFF, .grave = true },
	{ N_("Keep running without a window"), NULL, WINDOW_ACTION_COMMAND, WINDOW_DETACH },
	{ N_("Cancel"), N_("Esc"), WINDOW_ACTION_DISMISS },
};

static int interface_scale(const struct window *window)
{
	int units_wide, units_high;

	SDL_GetWindowSize(window->handle, &units_wide, &units_high);
	return units_wide && window->width * 2 >= units_wide * 3 ? 2 : 1;
}

static void add_entries(struct panel *panel, const struct menu_entry *entries, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (entries[i].hidden)
			continue;
		panel_add(panel, _(entries[i].label), entries[i].shortcut ? _(entries[i].shortcut) : NULL,
			  (int)entries[i].action, entries[i].argument);
		panel_last(panel)->separated = entries[i].separated;
		panel_last(panel)->grave = entries[i].grave;
	}
}

void window_show_panel(struct window *window, struct panel *panel)
{
	panel_free(window->panel);
	window->panel = panel;
	window->usb_open = false;
	window_set_grab(window, false);
	window_input_release_all(window);
	panel->chosen = 0;
	panel_draw(panel, window->width, window->height, interface_scale(window));
	window_update_pointer(window);
	window_redraw(window);
}

void window_close_panel(struct window *window)
{
	if (!window->panel)
		return;
	g_clear_pointer(&window->panel, panel_free);
	window->usb_open = false;
	window_update_pointer(window);
	window_redraw(window);
}

static void show_dialog(struct window *window, const char *title, const char *text, const struct menu_entry *entries,
			unsigned count)
{
	struct panel *panel = panel_new(PANEL_MIDDLE, title, text);

	add_entries(panel, entries, count);
	window_show_panel(window, panel);
}

static void show_menu(struct window *window)
{
	static const char *const scale_labels[LAYOUT_SCALES] = {
		[LAYOUT_FIT] = N_("Size of the picture: fit the window"),
		[LAYOUT_ACTUAL] = N_("Size of the picture: 1:1"),
		[LAYOUT_INTEGER] = N_("Size of the picture: whole multiples"),
	};
	const struct menu_entry entries[] = {
		{ N_("Send Ctrl + Alt + Del"), N_("Right Ctrl + Del"), WINDOW_ACTION_SEND_CHORD, CHORD_CTRL_ALT_DELETE },
		{ N_("Send keys ›"), NULL, WINDOW_ACTION_KEYS_MENU },
		{ window->fullscreen ? N_("Leave fullscreen") : N_("Fullscreen"), N_("Right Ctrl + F"), WINDOW_ACTION_FULLSCREEN,
		  .separated = true },
		{ scale_labels[window->scale], N_("Right Ctrl + C"), WINDOW_ACTION_SCALE },
		{ N_("Window as large as the picture"), N_("Right Ctrl + W"), WINDOW_ACTION_FOLLOW },
		{ N_("Grab mouse and keyboard"), N_("Right Ctrl + G"), WINDOW_ACTION_GRAB },
		{ N_("Sound ›"), NULL, WINDOW_ACTION_SOUND_MENU, .hidden = !window->client.volume },
		{ N_("USB ›"), NULL, WINDOW_ACTION_USB_MENU, .hidden = !window->client.list_usb },
		{ N_("Screenshot"), N_("Right Ctrl + S"), WINDOW_ACTION_COMMAND, WINDOW_SCREENSHOT },
		{ window->state == WINDOW_GUEST_RUNNING ? N_("Pause") : N_("Resume"), N_("Right Ctrl + P"), WINDOW_ACTION_PAUSE,
		  .separated = true },
		{ N_("Press the power button"), NULL, WINDOW_ACTION_COMMAND, WINDOW_POWER_BUTTON },
		{ N_("Reset…"), N_("Right Ctrl + R"), WINDOW_ACTION_ASK_RESET },
		{ N_("Power off…"), NULL, WINDOW_ACTION_ASK_POWER_OFF },
		{ N_("Close the window…"), N_("Right Ctrl + Q"), WINDOW_ACTION_ASK_CLOSE },
	};
	struct panel *panel = panel_new(PANEL_MIDDLE, window->name, NULL);

	add_entries(panel, entries, G_N_ELEMENTS(entries));
	panel->lamps = lamp_names;
	panel->lit = window->leds;
	window_show_panel(window, panel);
}

/* Stays open, so that it can be gone on. */
static void show_sound_menu(struct window *window, unsigned chosen)
{
	g_autofree char *title = window->muted ? g_strdup(_("Sound: muted")) :
						 g_strdup_printf(_("Sound: %u %%"), window->volume);
	const struct menu_entry entries[] = {
		{ window->muted ? N_("Unmute") : N_("Mute"), NULL, WINDOW_ACTION_MUTE },
		{ N_("Louder"), NULL, WINDOW_ACTION_VOLUME, VOLUME_STEP },
		{ N_("Quieter"), NULL, WINDOW_ACTION_VOLUME, -VOLUME_STEP },
		{ N_("Back"), NULL, WINDOW_ACTION_MENU, 0, .separated = true },
	};
	struct panel *panel = panel_new(PANEL_MIDDLE, title, NULL);

	add_entries(panel, entries, G_N_ELEMENTS(entries));
	window_show_panel(window, panel);
	if (panel_choose(panel, (int)chosen))
		window_redraw(window);
}

static void set_volume(struct window *window, int percent, bool muted, unsigned chosen)
{
	window->volume = (unsigned)CLAMP(percent, 0, 100);
	window->muted = muted;
	window->client.volume(window->client.opaque, window->volume, muted);
	show_sound_menu(window, chosen);
}

static void show_keys_menu(struct window *window)
{
	struct panel *panel = panel_new(PANEL_MIDDLE, _("Send keys"), NULL);

	add_entries(panel, keys_menu, G_N_ELEMENTS(keys_menu));
	window_show_panel(window, panel);
}

static void toggle_fullscreen(struct window *window)
{
	bool wanted = !window->fullscreen;

	if (SDL_SetWindowFullscreen(window->handle, wanted ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0) == 0)
		window->fullscreen = wanted;
	else
		g_warning("Cannot %s fullscreen: %s", wanted ? "enter" : "leave", SDL_GetError());
	window_follow_guest(window);
	window_redraw(window);
}

static void next_scale(struct window *window)
{
	static const char *const names[LAYOUT_SCALES] = {
		[LAYOUT_FIT] = N_("The picture fits the window"),
		[LAYOUT_ACTUAL] = N_("The picture is shown 1:1"),
		[LAYOUT_INTEGER] = N_("The picture is shown in whole multiples"),
	};

	window->scale = (window->scale + 1) % LAYOUT_SCALES;
	window_set_notice(window, _(names[window->scale]));
}

static void command(struct window *window, enum window_command command)
{
	window->client.command(window->client.opaque, command);
	if (command == WINDOW_DETACH)
		window->finished = true;
}

static void toggle_pause(struct window *window)
{
	if (window->state == WINDOW_GUEST_CRASHED)
		window_set_notice(window, _("The guest cannot go on; reset it or power it off"));
	else
		command(window, window->state == WINDOW_GUEST_RUNNING ? WINDOW_PAUSE : WINDOW_RESUME);
}

void window_act(struct window *window, enum window_action action, int argument)
{
	bool menu_open = window->panel != NULL;

	window_close_panel(window);
	switch (action) {
	case WINDOW_ACTION_DISMISS:
		break;
	case WINDOW_ACTION_MENU:
		if (!menu_open || !argument)
			show_menu(window);
		break;
	case WINDOW_ACTION_KEYS_MENU:
		show_keys_menu(window);
		break;
	case WINDOW_ACTION_SEND_CHORD:
		window_send_chord(window, argument);
		break;
	case WINDOW_ACTION_FULLSCREEN:
		toggle_fullscreen(window);
		break;
	case WINDOW_ACTION_SCALE:
		next_scale(window);
		break;
	case WINDOW_ACTION_FOLLOW:
		window->own_size = false;
		window_follow_guest(window);
		break;
	case WINDOW_ACTION_GRAB:
		window_set_grab(window, !window->grabbed);
		break;
	case WINDOW_ACTION_PAUSE:
		toggle_pause(window);
		break;
	case WINDOW_ACTION_SOUND_MENU:
		show_sound_menu(window, 0);
		break;
	case WINDOW_ACTION_MUTE:
		set_volume(window, (int)window->volume, !window->muted, 0);
		break;
	case WINDOW_ACTION_VOLUME:
		set_volume(window, (int)window->volume + argument, false, argument > 0 ? 1 : 2);
		break;
	case WINDOW_ACTION_USB_MENU:
		window->client.list_usb(window->client.opaque);
		window_show_usb_menu(window);
		break;
	case WINDOW_ACTION_USB_PLUG:
		window_plug_usb(window, (unsigned)argument);
		break;
	case WINDOW_ACTION_USB_FORCE:
		window_force_usb(window);
		break;
	case WINDOW_ACTION_ASK_RESET:
		show_dialog(window, _("Reset the machine?"), _("The guest loses what it has not saved."), reset_dialog,
			    G_N_ELEMENTS(reset_dialog));
		break;
	case WINDOW_ACTION_ASK_POWER_OFF:
		show_dialog(window, _("Power off the machine?"), _("The guest loses what it has not saved."),
			    power_off_dialog, G_N_ELEMENTS(power_off_dialog));
		break;
	case WINDOW_ACTION_ASK_CLOSE:
		show_dialog(window, _("Close the window?"), _("What should happen to the guest?"), close_dialog,
			    G_N_ELEMENTS(close_dialog));
		break;
	case WINDOW_ACTION_COMMAND:
		command(window, argument);
		break;
	}
}

static const struct {
	const char *title, *advice;
	uint32_t accent;
} banners[] = {
	[WINDOW_GUEST_PAUSED] = { N_("Paused"), N_("Right Ctrl + P resumes"), 0xff5e9bec },
	[WINDOW_GUEST_CRASHED] = { N_("The guest has crashed"),
				   N_("Right Ctrl + R resets it, Right Ctrl + M opens the menu"), 0xfff0605a },
	[WINDOW_GUEST_TROUBLE] = { N_("The guest waits for you"), N_("Right Ctrl + P lets it go on"), 0xfff5c14b },
};

void window_update_banner(struct window *window)
{
	g_autofree char *text = NULL;
	const char *advice;

	g_clear_pointer(&window->banner, panel_free);
	window_redraw(window);
	if (window->state == WINDOW_GUEST_RUNNING)
		return;
	advice = _(banners[window->state].advice);
	text = window->message ? g_strconcat(window->message, "\n", advice, NULL) : g_strdup(advice);
	window->banner = panel_new(PANEL_MIDDLE, _(banners[window->state].title), text);
	window->banner->accent = banners[window->state].accent;
	panel_draw(window->banner, window->width, window->height, interface_scale(window));
}

void window_set_notice(struct window *window, const char *text)
{
	enum { SHOWN_FOR = 4 * G_USEC_PER_SEC };

	panel_free(window->notice);
	window->notice = panel_new(PANEL_BOTTOM, NULL, text);
	window->notice_end = g_get_monotonic_time() + SHOWN_FOR;
	panel_draw(window->notice, window->width, window->height, interface_scale(window));
	window_redraw(window);
}

void window_redraw_panels(struct window *window)
{
	struct panel *panels[] = { window->banner, window->notice, window->panel };

	for (unsigned i = 0; i < G_N_ELEMENTS(panels); i++)
		if (panels[i])
			panel_draw(panels[i], window->width, window->height, interface_scale(window));
}

void window_update_lamps(struct window *window)
{
	if (!window->panel || !window->panel->lamps)
		return;
	window->panel->lit = window->leds;
	panel_draw(window->panel, window->width, window->height, interface_scale(window));
	window_redraw(window);
}

void window_panel_key(struct window *window, SDL_Scancode scancode)
{
	const struct panel_item *item = panel_chosen(window->panel);
	int count = (int)window->panel->items->len;
	bool changed = false;

	switch (scancode) {
	case SDL_SCANCODE_UP:
		changed = panel_move(window->panel, -1);
		break;
	case SDL_SCANCODE_DOWN:
	case SDL_SCANCODE_TAB:
		changed = panel_move(window->panel, 1);
		break;
	case SDL_SCANCODE_HOME:
		changed = panel_choose(window->panel, 0);
		break;
	case SDL_SCANCODE_END:
		changed = panel_choose(window->panel, count - 1);
		break;
	case SDL_SCANCODE_RETURN:
	case SDL_SCANCODE_KP_ENTER:
	case SDL_SCANCODE_SPACE:
		if (item)
			window_act(window, (enum window_action)item->action, item->argument);
		break;
	case SDL_SCANCODE_ESCAPE:
		window_close_panel(window);
		break;
	default:
		break;
	}
	if (changed)
		window_redraw(window);
}

void window_panel_motion(struct window *window, int x, int y)
{
	const struct panel_item *item = panel_item_at(window->panel, x, y);

	if (item && panel_choose(window->panel, panel_index(window->panel, item)))
		window_redraw(window);
}

void window_panel_click(struct window *window, int x, int y)
{
	const struct panel_item *item = panel_item_at(window->panel, x, y);

	if (item)
		window_act(window, (enum window_action)item->action, item->argument);
	else if (!layout_inside(&window->panel->place, x, y))
		window_close_panel(window);
}
