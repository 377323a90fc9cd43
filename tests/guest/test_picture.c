/* What the guest tests look at the screen with: text is found where it is, in any colours, and nowhere else. */
#include "picture.h"

#include <glib/gstdio.h>
#include <png.h>
#include <string.h>

#define WIDTH 720
#define HEIGHT 400
#define VGA_BIOS "/usr/share/seabios/vgabios-stdvga.bin"

static struct picture *blank(uint32_t colour)
{
	struct picture *picture = g_new0(struct picture, 1);

	picture->width = WIDTH;
	picture->height = HEIGHT;
	picture->pixels = g_new(uint32_t, WIDTH * HEIGHT);
	for (unsigned i = 0; i < WIDTH * HEIGHT; i++)
		picture->pixels[i] = colour;
	return picture;
}

/* The letter L as every VGA draws it. */
static void draw_l(struct picture *picture, unsigned x, unsigned y, uint32_t ink, uint32_t paper)
{
	static const uint8_t rows[16] = { 0, 0, 0xf0, 0x60, 0x60, 0x60, 0x60, 0x60, 0x60, 0x62, 0x66, 0xfe };

	for (unsigned row = 0; row < 16; row++)
		for (unsigned column = 0; column < 9; column++)
			picture->pixels[(y + row) * WIDTH + x + column] =
				column < 8 && rows[row] & 0x80 >> column ? ink : paper;
}

static struct font *load_font(void)
{
	g_autoptr(GError) error = NULL;
	struct font *font;

	if (!g_file_test(VGA_BIOS, G_FILE_TEST_EXISTS)) {
		g_test_skip(VGA_BIOS " is missing: apt-get install seabios");
		return NULL;
	}
	font = font_from_vga_bios(&error);
	g_assert_no_error(error);
	return font;
}

static void test_text(void)
{
	struct font *font = load_font();
	struct picture *picture = blank(0x0000aa);
	g_autofree char *text = NULL;
	struct area found;

	if (!font) {
		picture_free(picture);
		return;
	}
	g_assert_false(picture_find_text(picture, font, "L", NULL));
	draw_l(picture, 90, 32, 0xffffff, 0x0000aa);
	draw_l(picture, 99, 32, 0xffffff, 0x0000aa);
	g_assert_true(picture_find_text(picture, font, "LL", &found));
	g_assert_cmpuint(found.x, ==, 90);
	g_assert_cmpuint(found.y, ==, 32);
	g_assert_cmpuint(found.width, ==, 18);
	g_assert_false(picture_find_text(picture, font, "LLL", NULL));
	g_assert_false(picture_find_text(picture, font, "LI", NULL));
	text = picture_read_text(picture, font);
	g_assert_nonnull(strstr(text, "\n          LL\n"));
	/* Selected: in other colours; then with a pixel of a third one. */
	draw_l(picture, 90, 32, 0, 0xaaaaaa);
	draw_l(picture, 99, 32, 0, 0xaaaaaa);
	g_assert_true(picture_find_text(picture, font, "LL", NULL));
	picture->pixels[40 * WIDTH + 96] = 0xff0000;
	g_assert_false(picture_find_text(picture, font, "LL", NULL));
	picture_free(picture);
	font_free(font);
}

static void test_colours(void)
{
	struct picture *a = blank(0x123456), *b = blank(0x123456);
	struct area corner = { WIDTH - 2, HEIGHT - 2, 10, 10 };

	a->pixels[WIDTH * HEIGHT - 1] = 0xff;
	g_assert_cmpuint(picture_count(a, corner, 0x123456), ==, 3);
	g_assert_cmpuint(picture_count(a, picture_whole(a), 0xff), ==, 1);
	g_assert_cmphex(picture_main_colour(a, corner), ==, 0x123456);
	g_assert_cmpuint(picture_colours(a, 10), ==, 2);
	g_assert_cmpuint(picture_difference(a, b, picture_whole(a)), ==, 1);
	g_assert_cmpuint(picture_difference(a, b, (struct area){ 0, 0, 10, 10 }), ==, 0);
	b->width--;
	g_assert_cmpuint(picture_difference(a, b, picture_whole(a)), ==, G_MAXUINT);
	picture_free(a);
	picture_free(b);
}

static void test_png(void)
{
	static const uint8_t bytes[2 * 2 * 3] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 255, 255, 0 };
	g_autofree char *folder = g_dir_make_tmp("oriel-picture-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "a.png", NULL);
	png_image image = { .version = PNG_IMAGE_VERSION, .width = 2, .height = 2, .format = PNG_FORMAT_RGB };
	g_autoptr(GError) error = NULL;
	struct picture *picture;

	g_assert_true(png_image_write_to_file(&image, path, 0, bytes, 0, NULL));
	picture = picture_load(path, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(picture->width, ==, 2);
	g_assert_cmphex(picture->pixels[1], ==, 0x040506);
	g_assert_cmphex(picture->pixels[3], ==, 0xffff00);
	picture_free(picture);
	g_assert_true(g_file_set_contents(path, "no picture", -1, NULL));
	g_assert_null(picture_load(path, &error));
	g_assert_nonnull(error);
	g_remove(path);
	g_rmdir(folder);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/picture/text", test_text);
	g_test_add_func("/picture/colours", test_colours);
	g_test_add_func("/picture/png", test_png);
	return g_test_run();
}
