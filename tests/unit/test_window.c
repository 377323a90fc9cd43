/*
 * The window's arithmetic and drawing, which need no display: layout, key map, text and panels.
 */
#include <SDL_scancode.h>
#include <linux/input-event-codes.h>
#include <string.h>

#include "../../display/keymap.h"
#include "../../display/layout.h"
#include "../../display/panel.h"

static void assert_rectangle(const struct rectangle *got, int x, int y, int width, int height)
{
	g_assert_cmpint(got->x, ==, x);
	g_assert_cmpint(got->y, ==, y);
	g_assert_cmpint(got->width, ==, width);
	g_assert_cmpint(got->height, ==, height);
}

static void test_layout(void)
{
	struct scanout_picture picture = { .width = 640, .height = 480 };
	struct rectangle place;
	int width, height;

	place = layout_picture(&picture, 1000, 480, LAYOUT_FIT);
	assert_rectangle(&place, 180, 0, 640, 480);
	place = layout_picture(&picture, 640, 1000, LAYOUT_FIT);
	assert_rectangle(&place, 0, 260, 640, 480);
	place = layout_picture(&picture, 1280, 960, LAYOUT_ACTUAL);
	assert_rectangle(&place, 320, 240, 640, 480);
	place = layout_picture(&picture, 320, 240, LAYOUT_ACTUAL);
	assert_rectangle(&place, 0, 0, 640, 480);
	place = layout_picture(&picture, 2000, 1000, LAYOUT_INTEGER);
	assert_rectangle(&place, 360, 20, 1280, 960);
	place = layout_picture(&picture, 300, 200, LAYOUT_INTEGER);
	assert_rectangle(&place, 0, 0, 640, 480);

	picture = (struct scanout_picture){ .width = 720, .height = 400, .aspect_x = 4, .aspect_y = 3 };
	place = layout_picture(&picture, 800, 600, LAYOUT_FIT);
	assert_rectangle(&place, 0, 0, 800, 600);
	layout_natural_size(&picture, &width, &height);
	g_assert_cmpint(width, ==, 720);
	g_assert_cmpint(height, ==, 540);
	layout_limited_size(&picture, 1000, 270, &width, &height);
	g_assert_cmpint(width, ==, 360);
	g_assert_cmpint(height, ==, 270);

	picture = (struct scanout_picture){ .width = 320, .height = 200, .aspect_x = 4, .aspect_y = 3 };
	layout_natural_size(&picture, &width, &height);
	g_assert_cmpint(width, ==, 640);
	g_assert_cmpint(height, ==, 480);

	picture = (struct scanout_picture){ 0 };
	place = layout_picture(&picture, 800, 600, LAYOUT_FIT);
	assert_rectangle(&place, 0, 0, 0, 0);
}

static void test_absolute(void)
{
	g_assert_cmpint(layout_absolute(100, 100, 640), ==, 0);
	g_assert_cmpint(layout_absolute(739, 100, 640), ==, 32767);
	g_assert_cmpint(layout_absolute(5000, 100, 640), ==, 32767);
	g_assert_cmpint(layout_absolute(0, 100, 640), ==, 0);
	g_assert_cmpint(layout_absolute(50, 0, 101), ==, 16383);
	g_assert_cmpint(layout_absolute(50, 0, 0), ==, 0);
}

static void test_keymap(void)
{
	static const struct {
		unsigned scancode;
		uint16_t code;
	} samples[] = {
		{ SDL_SCANCODE_A, KEY_A }, { SDL_SCANCODE_0, KEY_0 }, { SDL_SCANCODE_PAUSE, KEY_PAUSE },
		{ SDL_SCANCODE_PRINTSCREEN, KEY_SYSRQ }, { SDL_SCANCODE_NONUSBACKSLASH, KEY_102ND },
		{ SDL_SCANCODE_LANG1, KEY_HANGEUL }, { SDL_SCANCODE_INTERNATIONAL3, KEY_YEN },
		{ SDL_SCANCODE_AUDIOPLAY, KEY_PLAYPAUSE }, { SDL_SCANCODE_F24, KEY_F24 },
		{ SDL_SCANCODE_UNKNOWN, 0 }, { SDL_NUM_SCANCODES, 0 }, { 100000, 0 },
	};
	bool seen[KEY_CNT] = { false };

	for (unsigned i = 0; i < G_N_ELEMENTS(samples); i++)
		g_assert_cmpuint(keymap_evdev(samples[i].scancode), ==, samples[i].code);
	for (unsigned scancode = 0; scancode < SDL_NUM_SCANCODES; scancode++)
		seen[keymap_evdev(scancode)] = true;
	/* Every key of the PC's keyboards, which evdev numbers as set 1 does, can be pressed; some numbers are no keys of theirs. */
	for (unsigned code = KEY_ESC; code <= KEY_COMPOSE; code++)
		if (code != 84 && code != KEY_LINEFEED && code != KEY_MACRO && code != KEY_SCALE)
			g_assert_true(seen[code]);
}

static uint32_t pixel(const struct canvas *canvas, int x, int y)
{
	return canvas->pixels[y * canvas->width + x];
}

static void test_canvas(void)
{
	struct canvas *canvas = canvas_new(40, 30);
	struct rectangle area = { 4, 4, 32, 22 }, outside = { -10, -10, 100, 100 };

	canvas_fill(canvas, &area, 8, 0xff102030);
	g_assert_cmphex(pixel(canvas, 20, 15), ==, 0xff102030);
	g_assert_cmphex(pixel(canvas, 4, 4), ==, 0);
	g_assert_cmphex(pixel(canvas, 4, 12), ==, 0xff102030);
	g_assert_cmphex(pixel(canvas, 3, 15), ==, 0);
	canvas_fill(canvas, &outside, 0, 0x80ffffff);
	g_assert_cmphex(pixel(canvas, 0, 0), ==, 0x80808080);
	g_assert_cmphex(pixel(canvas, 20, 15), ==, 0xff889098);
	canvas_free(canvas);
}

static void test_text(void)
{
	const struct font *font = &font_faces[0][FONT_TEXT];
	struct canvas *canvas = canvas_new(60, 20);
	bool drawn = false;
	int one = canvas_text(NULL, font, 0, 0, 0, "m"), height;

	g_assert_cmpint(one, >, 4);
	g_assert_cmpint(canvas_text(NULL, font, 0, 0, 0, "mm"), ==, 2 * one);
	g_assert_cmpint(canvas_text(NULL, font, 0, 0, 0, "\u00e9"), >, 0);
	/* Neither what the font lacks nor what is no UTF-8 stops it. */
	g_assert_cmpint(canvas_text(NULL, font, 0, 0, 0, "\u4e2d\xff\xc3"), >, 0);
	canvas_text(canvas, font, -5, -5, 0xffffffff, "clipped at every edge");
	canvas_text(canvas, font, 50, 15, 0xffffffff, "clipped");
	canvas_text(canvas, font, 2, 1, 0xffffffff, "text");
	for (int i = 0; i < canvas->width * canvas->height; i++)
		drawn |= canvas->pixels[i] == 0xffffffff;
	g_assert_true(drawn);
	height = canvas_paragraph(NULL, font, 0, 0, 10 * one, 0, "mmmm mmmm mmmm");
	g_assert_cmpint(height, ==, 2 * (int)font->line);
	height = canvas_paragraph(NULL, font, 0, 0, 10 * one, 0, "mmmm\nmmmm\nmmmm");
	g_assert_cmpint(height, ==, 3 * (int)font->line);
	height = canvas_paragraph(NULL, font, 0, 0, 4 * one, 0, "mmmmmmmm");
	g_assert_cmpint(height, ==, 2 * (int)font->line);
	height = canvas_paragraph(NULL, font, 0, 0, 0, 0, "mm");
	g_assert_cmpint(height, ==, 2 * (int)font->line);
	canvas_free(canvas);
}

static void test_panel(void)
{
	struct panel *panel = panel_new(PANEL_MIDDLE, "Title", "Some text");
	struct panel_item *item;
	int x, y;

	for (int i = 0; i < 20; i++)
		panel_add(panel, "An item", "Key", i, 0);
	panel->chosen = 0;
	panel_draw(panel, 800, 900, 1);
	item = panel_chosen(panel);
	x = panel->place.x + item->place.x + 2;
	y = panel->place.y + item->place.y + 2;
	g_assert_true(panel_item_at(panel, x, y) == item);
	g_assert_null(panel_item_at(panel, panel->place.x - 1, y));
	g_assert_true(panel_move(panel, -1));
	g_assert_cmpint(panel->chosen, ==, 19);
	g_assert_true(panel_move(panel, 1));
	g_assert_cmpint(panel->chosen, ==, 0);
	g_assert_false(panel_choose(panel, 0));

	/* In a low window the chosen item is scrolled into view. */
	panel_draw(panel, 300, 200, 1);
	g_assert_cmpint(panel->place.height, <=, 200);
	g_assert_cmpint(panel->place.width, <=, 300);
	panel_choose(panel, 19);
	item = panel_chosen(panel);
	g_assert_cmpint(item->place.y, >=, 0);
	g_assert_cmpint(item->place.y + item->place.height, <=, panel->canvas->height);
	panel_draw(panel, 1, 1, 2);
	panel_free(panel);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/window/layout", test_layout);
	g_test_add_func("/window/absolute", test_absolute);
	g_test_add_func("/window/keymap", test_keymap);
	g_test_add_func("/window/canvas", test_canvas);
	g_test_add_func("/window/text", test_text);
	g_test_add_func("/window/panel", test_panel);
	return g_test_run();
}
