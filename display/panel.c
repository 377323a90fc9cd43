#include "panel.h"

#include <glib/gi18n.h>
/* In pixels of an ordinary display. */
enum {
	MARGIN = 8,        /* to the window's edge, at least */
	PADDING = 18,      /* inside the panel */
	INSET = 10,        /* of an item's text in its highlight */
	ITEM_HEIGHT = 27,
	ITEM_TIGHT = 20,   /* where the window is too low for all of them */
	SEPARATOR = 9,
	GAP = 8,           /* between title, text and items */
	LEAST_WIDTH = 330, /* with items */
	MOST_WIDTH = 460,
	RADIUS = 12,
	ITEM_RADIUS = 6,
	LAMP = 8,
};

static const uint32_t background = 0xff1e222a, edge = 0xff3a414d, line = 0xff353b46, bright = 0xfff2f4f7,
		      muted = 0xffa3adbb, highlight = 0xff2f74d0, on_highlight = 0xffd5e4fa, grave = 0xffff8a80,
		      grave_highlight = 0xffc0392f, lamp_on = 0xff57d67c, lamp_off = 0xff4a5261;

static void clear_item(gpointer item)
{
	g_free(((struct panel_item *)item)->label);
}

struct panel *panel_new(enum panel_anchor anchor, const char *title, const char *text)
{
	struct panel *panel = g_new0(struct panel, 1);

	panel->anchor = anchor;
	panel->title = g_strdup(title);
	panel->text = g_strdup(text);
	panel->items = g_array_new(false, true, sizeof(struct panel_item));
	g_array_set_clear_func(panel->items, clear_item);
	panel->chosen = -1;
	return panel;
}

void panel_free(struct panel *panel)
{
	if (!panel)
		return;
	canvas_free(panel->canvas);
	g_array_unref(panel->items);
	g_free(panel->title);
	g_free(panel->text);
	g_free(panel);
}

static struct panel_item *item_number(const struct panel *panel, int index)
{
	return &g_array_index(panel->items, struct panel_item, index);
}

void panel_add(struct panel *panel, const char *label, const char *shortcut, int action, int argument)
{
	struct panel_item item = { .label = g_strdup(label), .shortcut = shortcut, .action = action,
				   .argument = argument };

	g_array_append_val(panel->items, item);
}

struct panel_item *panel_last(struct panel *panel)
{
	return item_number(panel, (int)panel->items->len - 1);
}

static const struct font *font_of(const struct panel *panel, enum font_style style)
{
	return &font_faces[panel->scale - 1][style];
}

static int text_width(const struct panel *panel, enum font_style style, const char *text)
{
	return text ? canvas_text(NULL, font_of(panel, style), 0, 0, 0, text) : 0;
}

/* The width of the text and the items, without the padding. */
static int content_width(const struct panel *panel)
{
	int scale = panel->scale, width = panel->items->len ? LEAST_WIDTH * scale : 0;

	width = MAX(width, text_width(panel, FONT_TITLE, panel->title));
	width = MAX(width, text_width(panel, FONT_TEXT, panel->text));
	for (int i = 0; i < (int)panel->items->len; i++) {
		const struct panel_item *item = item_number(panel, i);
		int both = text_width(panel, FONT_TEXT, item->label) + text_width(panel, FONT_SMALL, item->shortcut);

		width = MAX(width, both + 5 * INSET * scale);
	}
	return MIN(width, MIN(MOST_WIDTH * scale, panel->window_width - 2 * (MARGIN + PADDING) * scale));
}

/* Lays out, and draws where there is a canvas; returns the height. top may be negative: scrolled. */
static int run_head(struct panel *panel, int top, int width)
{
	int scale = panel->scale, x = PADDING * scale, y = top + (panel->title ? PADDING : 2 * GAP) * scale;

	if (panel->title) {
		y += canvas_paragraph(panel->canvas, font_of(panel, FONT_TITLE), x, y, width, bright, panel->title);
		y += GAP * scale;
	}
	if (panel->text) {
		y += canvas_paragraph(panel->canvas, font_of(panel, FONT_TEXT), x, y, width,
				      panel->title ? muted : bright, panel->text);
		y += GAP * scale;
	}
	return y + GAP / 2 * scale;
}

static void draw_item(const struct panel *panel, const struct panel_item *item, bool chosen)
{
	const struct font *text = font_of(panel, FONT_TEXT), *small = font_of(panel, FONT_SMALL);
	const struct rectangle *place = &item->place;
	int inset = INSET * panel->scale;
	uint32_t color = chosen || !item->grave ? bright : grave;

	if (chosen)
		canvas_fill(panel->canvas, place, ITEM_RADIUS * panel->scale,
			    item->grave ? grave_highlight : highlight);
	canvas_text(panel->canvas, text, place->x + inset, place->y + (place->height - (int)text->line) / 2, color,
		    item->label);
	if (item->shortcut)
		canvas_text(panel->canvas, small,
			    place->x + place->width - inset - text_width(panel, FONT_SMALL, item->shortcut),
			    place->y + (place->height - (int)small->line) / 2, chosen ? on_highlight : muted,
			    item->shortcut);
}

static int run_items(struct panel *panel, int y, int width)
{
	int scale = panel->scale, inset = INSET * scale, height = (panel->tight ? ITEM_TIGHT : ITEM_HEIGHT) * scale;

	for (int i = 0; i < (int)panel->items->len; i++) {
		struct panel_item *item = item_number(panel, i);

		if (item->separated) {
			struct rectangle rule = { PADDING * scale, y + SEPARATOR * scale / 2, width, scale };

			if (panel->canvas)
				canvas_fill(panel->canvas, &rule, 0, line);
			y += SEPARATOR * scale;
		}
		item->place = (struct rectangle){ PADDING * scale - inset, y, width + 2 * inset, height };
		if (panel->canvas)
			draw_item(panel, item, i == panel->chosen);
		y += height;
	}
	return y;
}

static int run_lamps(struct panel *panel, int y)
{
	const struct font *small = font_of(panel, FONT_SMALL);
	int scale = panel->scale, x = PADDING * scale;

	if (!panel->lamps)
		return y;
	y += GAP * scale;
	for (unsigned i = 0; panel->lamps[i]; i++) {
		struct rectangle lamp = { x, y + ((int)small->line - LAMP * scale) / 2, LAMP * scale, LAMP * scale };

		if (panel->canvas)
			canvas_fill(panel->canvas, &lamp, LAMP * scale / 2,
				    panel->lit >> i & 1 ? lamp_on : lamp_off);
		x += (LAMP + 6) * scale;
		x += canvas_text(panel->canvas, small, x, y, muted, _(panel->lamps[i])) + 2 * GAP * scale;
	}
	return y + (int)small->line;
}

static int run(struct panel *panel, int top, int width)
{
	int y = run_head(panel, top, width);

	y = run_items(panel, y, width);
	y = run_lamps(panel, y);
	return y + GAP * panel->scale;
}

static void draw_box(struct panel *panel)
{
	int scale = panel->scale, width = panel->canvas->width, height = panel->canvas->height;
	struct rectangle outside = { 0, 0, width, height };
	struct rectangle inside = { scale, scale, width - 2 * scale, height - 2 * scale };
	struct rectangle strip = { 0, 0, 5 * scale, height - 2 * RADIUS * scale };

	canvas_fill(panel->canvas, &outside, RADIUS * scale, edge);
	canvas_fill(panel->canvas, &inside, (RADIUS - 1) * scale, background);
	if (panel->accent) {
		strip.x = 7 * scale;
		strip.y = RADIUS * scale;
		strip.width = 4 * scale;
		canvas_fill(panel->canvas, &strip, 2 * scale, panel->accent);
	}
}

/* How far the content has to go up for the chosen item to be seen. */
static int scrolling(struct panel *panel, int content, int visible)
{
	const struct panel_item *item = panel_chosen(panel);

	if (content <= visible || !item)
		return 0;
	return CLAMP(item->place.y + item->place.height / 2 - visible / 2, 0, content - visible);
}

void panel_draw(struct panel *panel, int width, int height, int scale)
{
	int content, across, room = height - 2 * MARGIN * scale, visible;

	panel->window_width = width;
	panel->window_height = height;
	panel->scale = scale;
	canvas_free(panel->canvas);
	panel->canvas = NULL;
	across = MAX(content_width(panel), 1);
	panel->tight = false;
	content = run(panel, 0, across);
	panel->tight = content > room;
	if (panel->tight)
		content = run(panel, 0, across);
	visible = MAX(MIN(content, room), 1);
	panel->place.width = across + 2 * PADDING * scale;
	panel->place.height = visible;
	panel->place.x = (width - panel->place.width) / 2;
	panel->place.y = panel->anchor == PANEL_BOTTOM ? height - visible - 3 * MARGIN * scale : (height - visible) / 2;
	panel->canvas = canvas_new(panel->place.width, visible);
	draw_box(panel);
	run(panel, -scrolling(panel, content, visible), across);
}

struct panel_item *panel_item_at(struct panel *panel, int x, int y)
{
	for (int i = 0; i < (int)panel->items->len; i++) {
		struct panel_item *item = item_number(panel, i);

		if (layout_inside(&panel->place, x, y) &&
		    layout_inside(&item->place, x - panel->place.x, y - panel->place.y))
			return item;
	}
	return NULL;
}

struct panel_item *panel_chosen(struct panel *panel)
{
	return panel->chosen >= 0 ? item_number(panel, panel->chosen) : NULL;
}

int panel_index(const struct panel *panel, const struct panel_item *item)
{
	return item ? (int)(item - item_number(panel, 0)) : -1;
}

bool panel_choose(struct panel *panel, int index)
{
	if (index == panel->chosen)
		return false;
	panel->chosen = index;
	panel_draw(panel, panel->window_width, panel->window_height, panel->scale);
	return true;
}

bool panel_move(struct panel *panel, int steps)
{
	int count = (int)panel->items->len;

	if (!count)
		return false;
	if (panel->chosen < 0)
		return panel_choose(panel, steps > 0 ? 0 : count - 1);
	return panel_choose(panel, ((panel->chosen + steps) % count + count) % count);
}
