/*
 * A box over the picture: the menu, a dialog, a banner or a notice. A title, a text and a list to choose from, each of
 * which may be missing. It knows nothing of SDL: its owner moves the choice and draws panel->canvas at panel->place.
 */
#pragma once

#include <glib.h>

#include "canvas.h"
#include "layout.h"

enum panel_anchor {
	PANEL_MIDDLE,
	PANEL_BOTTOM,
};

struct panel_item {
	char *label;
	const char *shortcut; /* static; may be NULL */
	int action, argument; /* the owner's */
	bool separated;       /* a line above */
	bool grave;           /* costs the user something */
	struct rectangle place; /* in the canvas */
};

struct panel {
	enum panel_anchor anchor;
	uint32_t accent; /* of a strip at the left edge; 0: none */
	char *title;
	char *text;
	const char *const *lamps; /* NULL-terminated names of lamps at the foot, not translated yet; NULL: none */
	unsigned lit;             /* bit n: lamp n */
	GArray *items;            /* struct panel_item */
	int chosen;               /* index, -1 for none */
	bool tight;               /* items closer together, to show more of them */
	struct rectangle place;   /* in the window */
	int window_width, window_height, scale; /* that it was drawn for */
	struct canvas *canvas;
};

/* title and text are copied, each may be NULL. So is an item's label. */
struct panel *panel_new(enum panel_anchor anchor, const char *title, const char *text);
void panel_free(struct panel *panel);
void panel_add(struct panel *panel, const char *label, const char *shortcut, int action, int argument);
/* The item that was added last. */
struct panel_item *panel_last(struct panel *panel);

/* Places and draws it for a window of that many pixels; scale is 1, or 2 for a dense display. */
void panel_draw(struct panel *panel, int width, int height, int scale);
/* The item at a place in the window, or NULL. */
struct panel_item *panel_item_at(struct panel *panel, int x, int y);
struct panel_item *panel_chosen(struct panel *panel);
/* Index of an item in the panel. */
int panel_index(const struct panel *panel, const struct panel_item *item);
/* These draw it again if something changed, and return whether it did. */
bool panel_choose(struct panel *panel, int index);
bool panel_move(struct panel *panel, int steps);
