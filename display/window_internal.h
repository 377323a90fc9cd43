/*
 * What the files of the window share. Everything but the posted part belongs to the main thread.
 */
#pragma once

#include <SDL.h>

#include "layout.h"
#include "panel.h"
#include "renderer.h"
#include "window.h"

/* What other threads have said; window->lock. */
struct window_posted {
	enum window_guest_state state;
	char *message;
	unsigned leds, kinds;
	char *notice;
	GPtrArray *usb;
	struct window_usb *usb_failed; /* goes with the message; may be NULL */
	char *usb_message;
	bool usb_can_force;
	bool new_state, new_leds, new_kinds, raise, quit;
};

struct window {
	SDL_Window *handle;
	struct renderer *renderer;
	struct scanout *scanout;
	struct scanout_listener listener;
	struct window_client client;
	char *name;
	bool finished;

	uint32_t wake_event; /* SDL's number for it */
	gint wake_sent;      /* atomic: one is under way */
	gint damaged;        /* atomic: the listener has damage */
	GMutex lock;
	struct window_posted posted;

	/* The guest, as posted */
	enum window_guest_state state;
	char *message;
	unsigned leds, kinds;

	/* Drawing */
	bool redraw;              /* something besides the picture's rows changed */
	bool visible;
	gint64 next_draw;         /* g_get_monotonic_time() before which no other frame is drawn */
	gint64 frame_time;        /* microseconds between frames */
	unsigned picture_serial;
	struct scanout_picture shape; /* geometry of what was drawn last; memory is not held */
	struct rectangle target;
	enum layout_scale scale;
	int width, height;        /* in pixels */
	int follow_width, follow_height; /* size that the guest's mode asked for, in SDL's units */
	bool own_size;            /* the user chose the size: do not follow the guest */
	bool fullscreen;
	unsigned volume;          /* of the guest, percent */
	bool muted;
	gint frames;              /* atomic: statistics */

	/* Over the picture */
	struct panel *panel, *banner, *notice;
	gint64 notice_end;
	bool usb_open;                /* panel is the USB menu */
	GPtrArray *usb;               /* struct window_usb; NULL: not known yet */
	struct window_usb *usb_failed; /* what the dialog is about, or NULL */

	/* Input */
	bool grabbed;
	bool pointer_hidden;
	bool host_down, host_combined;
	bool down[SDL_NUM_SCANCODES]; /* keys whose press went to the guest */
	unsigned buttons;             /* the same for buttons, bit by SDL's number */
	bool moved_to, moved_by;      /* motion that has not been sent yet */
	int to_x, to_y, by_x, by_y;
};

enum window_action {
	WINDOW_ACTION_DISMISS,
	WINDOW_ACTION_MENU,
	WINDOW_ACTION_KEYS_MENU,
	WINDOW_ACTION_SEND_CHORD, /* argument: enum window_chord */
	WINDOW_ACTION_FULLSCREEN,
	WINDOW_ACTION_SCALE,
	WINDOW_ACTION_FOLLOW,
	WINDOW_ACTION_GRAB,
	WINDOW_ACTION_PAUSE,
	WINDOW_ACTION_SOUND_MENU,
	WINDOW_ACTION_MUTE,
	WINDOW_ACTION_VOLUME, /* argument: how much louder, percent */
	WINDOW_ACTION_USB_MENU,
	WINDOW_ACTION_USB_PLUG, /* argument: index in usb */
	WINDOW_ACTION_USB_FORCE, /* usb_failed out */
	WINDOW_ACTION_ASK_RESET,
	WINDOW_ACTION_ASK_POWER_OFF,
	WINDOW_ACTION_ASK_CLOSE,
	WINDOW_ACTION_COMMAND, /* argument: enum window_command */
};

enum window_chord {
	CHORD_CTRL_ALT_DELETE,
	CHORD_CTRL_ALT_BACKSPACE,
	CHORD_RIGHT_CTRL,
	CHORD_PRINT_SCREEN,
	CHORD_PAUSE,
	CHORD_META,
	CHORD_ALT_TAB,
	CHORD_ALT_F4,
	CHORD_CTRL_ESCAPE,
	CHORD_CTRL_ALT_F1, /* F2 to F12 follow */
	CHORD_CTRL_ALT_F12 = CHORD_CTRL_ALT_F1 + 11,
};

/* window.c */
void window_redraw(struct window *window);
void window_update_title(struct window *window);
void window_follow_guest(struct window *window);
void window_set_notice(struct window *window, const char *text);
/* From SDL's units to pixels of the window. */
void window_to_pixels(const struct window *window, int *x, int *y);

/* window_menu.c */
void window_act(struct window *window, enum window_action action, int argument);
void window_update_banner(struct window *window);
/* The window's size or the lamps changed. */
void window_redraw_panels(struct window *window);
void window_update_lamps(struct window *window);
/* With a panel open. */
void window_panel_key(struct window *window, SDL_Scancode scancode);
void window_panel_motion(struct window *window, int x, int y);
void window_panel_click(struct window *window, int x, int y);
void window_close_panel(struct window *window);

/* Shows a panel, in place of the one before; takes it over. */
void window_show_panel(struct window *window, struct panel *panel);

/* window_usb.c */
void window_show_usb_menu(struct window *window);
void window_plug_usb(struct window *window, unsigned index);
void window_force_usb(struct window *window);
/* What was posted; taken over. */
void window_take_usb(struct window *window, struct window_posted *posted);
void window_clear_usb(struct window *window);

/* window_input.c */
void window_input_event(struct window *window, const SDL_Event *event);
/* Sends motion that has been collected. */
void window_input_flush(struct window *window);
void window_input_release_all(struct window *window);
void window_send_chord(struct window *window, enum window_chord chord);
void window_set_grab(struct window *window, bool grab);
/* Tells SDL after a change of window->grabbed or window->kinds. */
void window_update_grab(struct window *window);
/* Shows or hides the host's pointer as the state demands. */
void window_update_pointer(struct window *window);
/* Whether input goes to the guest now. */
bool window_input_wanted(const struct window *window);
