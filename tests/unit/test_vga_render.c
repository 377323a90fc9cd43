/* Pictures of all kinds of modes, compared with pixels worked out one by one from what was written. */
#include "vga_fixture.h"

/* Pixel as a viewer sees it. */
static uint32_t pixel(const struct scanout_picture *picture, unsigned x, unsigned y)
{
	uint32_t row[2048];

	g_assert_cmpuint(picture->width, <=, G_N_ELEMENTS(row));
	g_assert_cmpuint(x, <, picture->width);
	g_assert_cmpuint(y, <, picture->height);
	scanout_convert_row(picture, y, row);
	return row[x];
}

static void check_picture(struct rig *rig, uint32_t (*expected)(struct rig *rig, unsigned x, unsigned y))
{
	const struct scanout_picture *picture = &rig->scanout.picture;
	g_autofree uint32_t *row = g_new(uint32_t, picture->width);

	for (unsigned y = 0; y < picture->height; y++) {
		scanout_convert_row(picture, y, row);
		for (unsigned x = 0; x < picture->width; x++)
			if (row[x] != expected(rig, x, y))
				g_error("pixel %u, %u is %06x, not %06x", x, y, row[x], expected(rig, x, y));
	}
}

static void check_size(struct rig *rig, unsigned width, unsigned height)
{
	vga_refresh_now(rig->vga);
	g_assert_cmpuint(rig->scanout.picture.width, ==, width);
	g_assert_cmpuint(rig->scanout.picture.height, ==, height);
}

/* Text: a font of 16 rows in which each row of each character differs. */
static uint8_t font_byte(unsigned map, unsigned character, unsigned row)
{
	return (uint8_t)(character * 7 + row * 29 + map * 101);
}

static void load_font(struct rig *rig, unsigned map)
{
	static const uint32_t offsets[8] = { 0x0000, 0x4000, 0x8000, 0xC000, 0x2000, 0x6000, 0xA000, 0xE000 };

	rig_set(rig, 0x3C4, 2, 4);
	rig_set(rig, 0x3C4, 4, 7);
	rig_set(rig, 0x3CE, 4, 2);
	rig_set(rig, 0x3CE, 5, 0);
	rig_set(rig, 0x3CE, 6, 4);
	for (unsigned character = 0; character < 256; character++)
		for (unsigned row = 0; row < 32; row++)
			fake_write(rig->machine, 0xA0000 + offsets[map] + character * 32 + row, 1,
				   font_byte(map, character, row));
	rig_set(rig, 0x3C4, 2, 3);
	rig_set(rig, 0x3C4, 4, 2);
	rig_set(rig, 0x3CE, 4, 0);
	rig_set(rig, 0x3CE, 5, 0x10);
	rig_set(rig, 0x3CE, 6, 0x0E);
}

static void put(struct rig *rig, unsigned column, unsigned row, uint8_t character, uint8_t attribute)
{
	fake_write(rig->machine, 0xB8000 + (row * 80 + column) * 2, 2, (unsigned)(attribute << 8 | character));
}

static struct rig *text_rig(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_03);
	load_font(rig, 0);
	rig_set(rig, 0x3D4, 0x0A, 0x20);
	for (unsigned i = 0; i < 2000; i++)
		put(rig, i % 80, i / 80, (uint8_t)(i * 3), (uint8_t)(i & 0x7F));
	return rig;
}

static uint32_t text_colour(unsigned index)
{
	return rig_colour(rig_mode_03.atc[index]);
}

static uint32_t text_9(struct rig *rig, unsigned x, unsigned y)
{
	unsigned cell = y / 16 * 80 + x / 9, dot = x % 9;
	uint8_t character = (uint8_t)(cell * 3), attribute = cell & 0x7F;
	bool lit = font_byte(0, character, y % 16) >> (7 - MIN(dot, 7)) & 1;

	(void)rig;
	if (dot == 8 && (character < 0xC0 || character > 0xDF))
		lit = false;
	return text_colour(lit ? attribute & 15 : attribute >> 4);
}

static uint32_t text_8(struct rig *rig, unsigned x, unsigned y)
{
	return text_9(rig, x / 8 * 9 + x % 8, y);
}

static void test_text(void)
{
	struct rig *rig = text_rig();

	check_size(rig, 720, 400);
	g_assert_cmpuint(rig->scanout.picture.aspect_x, ==, 4);
	g_assert_cmpuint(rig->scanout.picture.aspect_y, ==, 3);
	check_picture(rig, text_9);
	rig_set(rig, 0x3C4, 1, 0x01);
	check_size(rig, 640, 400);
	check_picture(rig, text_8);
	rig_free(rig);
}

/* 40 columns: half the dot clock, each dot twice. */
static void test_text_40(void)
{
	struct rig *rig = text_rig();

	rig_set(rig, 0x3C4, 1, 0x09);
	rig_set(rig, 0x3D4, 0x11, 0);
	rig_set(rig, 0x3D4, 0x01, 0x27);
	check_size(rig, 640, 400);
	g_assert_cmphex(pixel(&rig->scanout.picture, 100, 7), ==, text_8(rig, 50, 7));
	g_assert_cmphex(pixel(&rig->scanout.picture, 639, 0), ==, text_8(rig, 319, 0));
	rig_free(rig);
}

static void test_line_graphics(void)
{
	struct rig *rig = text_rig();
	unsigned row = 0;

	/* A character of C0-DF whose last dot is lit: 0xC4, in some row. */
	while (!(font_byte(0, 0xC4, row) & 1))
		row++;
	put(rig, 0, 0, 0xC4, 0x1E);
	vga_refresh_now(rig->vga);
	g_assert_cmphex(pixel(&rig->scanout.picture, 8, row), ==, text_colour(14));
	rig_set_atc(rig, 0x10, 0x08);
	vga_refresh_now(rig->vga);
	g_assert_cmphex(pixel(&rig->scanout.picture, 8, row), ==, text_colour(1));
	rig_free(rig);
}

/* Attribute bit 3 chooses between the maps A (set) and B (clear). */
static void test_two_fonts(void)
{
	struct rig *rig = text_rig();
	unsigned row = 0;

	load_font(rig, 5);
	/* A: map 5, B: map 0. */
	rig_set(rig, 0x3C4, 3, 1 << 5 | 1 << 2);
	put(rig, 0, 0, 0x41, 0x07);
	put(rig, 1, 0, 0x41, 0x0F);
	vga_refresh_now(rig->vga);
	for (row = 0; row < 16; row++) {
		for (unsigned dot = 0; dot < 8; dot++) {
			bool b = font_byte(0, 0x41, row) >> (7 - dot) & 1, a = font_byte(5, 0x41, row) >> (7 - dot) & 1;

			g_assert_cmphex(pixel(&rig->scanout.picture, dot, row), ==, text_colour(b ? 7 : 0));
			g_assert_cmphex(pixel(&rig->scanout.picture, 9 + dot, row), ==, text_colour(a ? 15 : 0));
		}
	}
	rig_free(rig);
}

static void test_blink(void)
{
	struct rig *rig = text_rig();

	put(rig, 0, 0, 1, 0xCE);
	rig_watch(rig);
	/* Blinking: background without intensity, and for half of the time nothing but it. */
	for (unsigned dot = 0; dot < 8; dot++)
		g_assert_cmphex(pixel(&rig->scanout.picture, dot, 0), ==,
				text_colour(font_byte(0, 1, 0) >> (7 - dot) & 1 ? 14 : 4));
	clock_advance(&rig->machine->vm.clock, 2 * VGA_BLINK_PERIOD + 1);
	for (unsigned dot = 0; dot < 8; dot++)
		g_assert_cmphex(pixel(&rig->scanout.picture, dot, 0), ==, text_colour(4));
	/* Or bright backgrounds. */
	rig_set_atc(rig, 0x10, 0x04);
	rig_advance(rig, 50);
	for (unsigned dot = 0; dot < 8; dot++)
		g_assert_cmphex(pixel(&rig->scanout.picture, dot, 0), ==,
				text_colour(font_byte(0, 1, 0) >> (7 - dot) & 1 ? 14 : 12));
	rig_unwatch(rig);
	rig_free(rig);
}

static bool cursor_shown(struct rig *rig, unsigned x, unsigned y, uint8_t foreground)
{
	for (unsigned dot = 0; dot < 9; dot++)
		if (pixel(&rig->scanout.picture, x * 9 + dot, y) != text_colour(foreground))
			return false;
	return true;
}

static void test_cursor(void)
{
	struct rig *rig = text_rig();
	struct scanout_damage damage;

	for (unsigned x = 0; x < 80; x++)
		put(rig, x, 3, 0, 0x17);
	rig_set(rig, 0x3D4, 0x0A, 13);
	rig_set(rig, 0x3D4, 0x0B, 14);
	rig_set(rig, 0x3D4, 0x0E, 0);
	rig_set(rig, 0x3D4, 0x0F, 3 * 80 + 5);
	rig_watch(rig);
	g_assert_false(cursor_shown(rig, 5, 3 * 16 + 12, 7));
	g_assert_true(cursor_shown(rig, 5, 3 * 16 + 13, 7));
	g_assert_true(cursor_shown(rig, 5, 3 * 16 + 14, 7));
	g_assert_false(cursor_shown(rig, 5, 3 * 16 + 15, 7));
	g_assert_false(cursor_shown(rig, 4, 3 * 16 + 13, 7));

	rig_take(rig, NULL);
	clock_advance(&rig->machine->vm.clock, VGA_BLINK_PERIOD + 1);
	g_assert_false(cursor_shown(rig, 5, 3 * 16 + 13, 7));
	damage = rig_take(rig, NULL);
	g_assert_cmpuint(damage.first, ==, 3 * 16 + 13);
	g_assert_cmpuint(damage.end, ==, 3 * 16 + 15);

	clock_advance(&rig->machine->vm.clock, VGA_BLINK_PERIOD);
	g_assert_true(cursor_shown(rig, 5, 3 * 16 + 13, 7));
	/* Moved: both places are drawn, and nothing else. */
	rig_take(rig, NULL);
	rig_set(rig, 0x3D4, 0x0F, 3 * 80 + 6);
	rig_advance(rig, 20);
	g_assert_false(cursor_shown(rig, 5, 3 * 16 + 13, 7));
	g_assert_true(cursor_shown(rig, 6, 3 * 16 + 13, 7));
	damage = rig_take(rig, NULL);
	g_assert_cmpuint(damage.first, ==, 3 * 16 + 13);
	g_assert_cmpuint(damage.end, ==, 3 * 16 + 15);
	/* Upside down and off: no cursor. */
	rig_set(rig, 0x3D4, 0x0A, 15);
	rig_advance(rig, 20);
	g_assert_false(cursor_shown(rig, 6, 3 * 16 + 13, 7));
	rig_unwatch(rig);
	rig_free(rig);
}

static void test_mono_underline(void)
{
	struct rig *rig = text_rig();

	rig_set(rig, 0x3D4, 0x14, 12);
	put(rig, 0, 0, 0, 0x01);
	put(rig, 1, 0, 0, 0x09);
	put(rig, 2, 0, 0, 0x02);
	vga_refresh_now(rig->vga);
	g_assert_true(cursor_shown(rig, 0, 12, 1));
	g_assert_true(cursor_shown(rig, 1, 12, 9));
	g_assert_false(cursor_shown(rig, 2, 12, 2));
	rig_free(rig);
}

/* Scrolled by start address, panning and preset row scan; below the split from address 0, unscrolled. */
static uint32_t text_scrolled(struct rig *rig, unsigned x, unsigned y)
{
	if (y > 199)
		return text_8(rig, x, y - 200);
	return text_8(rig, (x + 8 + 3) % 640, y + 16 + 5 + (x + 11 >= 640 ? 16 : 0));
}

static void test_scrolling(void)
{
	struct rig *rig = text_rig();

	rig_set(rig, 0x3C4, 1, 0x01);
	rig_set(rig, 0x3D4, 0x0D, 80);
	rig_set(rig, 0x3D4, 0x08, 1 << 5 | 5);
	rig_set_atc(rig, 0x13, 3);
	rig_set_atc(rig, 0x10, 0x2C);
	rig_set(rig, 0x3D4, 0x07, rig_mode_03.crtc[7] & ~0x10);
	rig_set(rig, 0x3D4, 0x09, 0x0F);
	rig_set(rig, 0x3D4, 0x18, 199);
	check_size(rig, 640, 400);
	check_picture(rig, text_scrolled);
	rig_free(rig);
}

/* Planar: plane p of byte i of a row y. */
static uint8_t planar_byte(unsigned p, unsigned i)
{
	return (uint8_t)(i * (2 * p + 3) + (i >> 8) * 17 + p);
}

static void fill_planes(struct rig *rig, unsigned bytes)
{
	for (uint8_t p = 0; p < 4; p++) {
		rig_set(rig, 0x3C4, 2, (uint8_t)(1 << p));
		for (unsigned i = 0; i < bytes; i++)
			fake_write(rig->machine, 0xA0000 + i, 1, planar_byte(p, i));
	}
}

static unsigned planar_index(unsigned pitch, unsigned x, unsigned y)
{
	unsigned index = 0;

	for (unsigned p = 0; p < 4; p++)
		index |= (planar_byte(p, y * pitch + x / 8) >> (7 - x % 8) & 1u) << p;
	return index;
}

static uint32_t mode_12(struct rig *rig, unsigned x, unsigned y)
{
	(void)rig;
	return rig_colour(rig_mode_12.atc[planar_index(80, x, y)]);
}

static uint32_t mode_12_two_planes(struct rig *rig, unsigned x, unsigned y)
{
	(void)rig;
	/* Colour select: bits 7-6 always, 5-4 with P54S. */
	return rig_colour((rig_mode_12.atc[planar_index(80, x, y) & 5] & 0x0F) | 0x60);
}

static void test_planar(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_12);
	fill_planes(rig, 80 * 480 + 1);
	check_size(rig, 640, 480);
	check_picture(rig, mode_12);
	rig_set_atc(rig, 0x12, 5);
	rig_set_atc(rig, 0x10, 0x81);
	rig_set_atc(rig, 0x14, 0x06);
	check_size(rig, 640, 480);
	check_picture(rig, mode_12_two_planes);
	rig_free(rig);
}

/* 320x200: two picture columns and two lines for each pixel; split after line 99 of the 400. */
static uint32_t mode_0d(struct rig *rig, unsigned x, unsigned y)
{
	(void)rig;
	if (y > 99)
		return rig_colour(rig_mode_0d.atc[planar_index(40, x / 2, (y - 100) / 2)]);
	return rig_colour(rig_mode_0d.atc[planar_index(40, x / 2, y / 2 + 2)]);
}

static void test_double_scan_and_split(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_0d);
	fill_planes(rig, 40 * 202 + 1);
	rig_set(rig, 0x3D4, 0x0D, 80);
	rig_set(rig, 0x3D4, 0x07, rig_mode_0d.crtc[7] & ~0x10);
	rig_set(rig, 0x3D4, 0x09, 0x80);
	rig_set(rig, 0x3D4, 0x18, 99);
	check_size(rig, 640, 400);
	check_picture(rig, mode_0d);
	rig_free(rig);
}

/* CGA: even rows at 0, odd rows at 2000h. */
static uint8_t cga_byte(unsigned i)
{
	return (uint8_t)(i * 5 + (i >> 8) * 3);
}

static void fill_cga(struct rig *rig)
{
	for (unsigned i = 0; i < 0x4000; i++)
		fake_write(rig->machine, 0xB8000 + i, 1, cga_byte(i));
}

static uint32_t mode_04(struct rig *rig, unsigned x, unsigned y)
{
	unsigned row = y / 2, column = x / 2, i = row % 2 * 0x2000 + row / 2 * 80 + column / 4;

	(void)rig;
	return rig_colour(rig_mode_04.atc[cga_byte(i) >> (6 - column % 4 * 2) & 3]);
}

static uint32_t mode_06(struct rig *rig, unsigned x, unsigned y)
{
	unsigned row = y / 2, i = row % 2 * 0x2000 + row / 2 * 80 + x / 8;

	(void)rig;
	return rig_colour(rig_mode_06.atc[cga_byte(i) >> (7 - x % 8) & 1]);
}

static void test_cga(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_04);
	fill_cga(rig);
	check_size(rig, 640, 400);
	check_picture(rig, mode_04);
	rig_set_mode(rig, &rig_mode_06);
	fill_cga(rig);
	check_size(rig, 640, 400);
	check_picture(rig, mode_06);
	rig_free(rig);
}

static uint8_t byte_13(unsigned i)
{
	return (uint8_t)(i * 7 + (i >> 8) * 11);
}

static uint32_t mode_13(struct rig *rig, unsigned x, unsigned y)
{
	(void)rig;
	return rig_colour(byte_13(y / 2 * 320 + x / 2));
}

static void test_mode_13(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_13);
	for (unsigned i = 0; i < 64000; i++)
		fake_write(rig->machine, 0xA0000 + i, 1, byte_13(i));
	check_size(rig, 640, 400);
	check_picture(rig, mode_13);
	rig_free(rig);
}

static uint32_t mode_x(struct rig *rig, unsigned x, unsigned y)
{
	unsigned column = x / 2 + 1;

	(void)rig;
	return rig_colour(planar_byte(column % 4, y / 2 * 80 + column / 4));
}

/* 320x240 unchained: pixel x is in plane x % 4; panned by one pixel. */
static void test_mode_x(void)
{
	static const uint8_t crtc[][2] = { { 0x11, 0x2C }, { 0x06, 0x0D }, { 0x07, 0x3E }, { 0x09, 0x41 }, { 0x10, 0xEA },
					   { 0x12, 0xDF }, { 0x14, 0x00 }, { 0x15, 0xE7 }, { 0x16, 0x06 }, { 0x17, 0xE3 } };
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_13);
	rig_set(rig, 0x3C4, 4, 0x06);
	for (size_t i = 0; i < G_N_ELEMENTS(crtc); i++)
		rig_set(rig, 0x3D4, crtc[i][0], crtc[i][1]);
	fill_planes(rig, 80 * 240 + 1);
	rig_set_atc(rig, 0x13, 2);
	check_size(rig, 640, 480);
	check_picture(rig, mode_x);
	rig_free(rig);
}

static uint32_t dispi_4(struct rig *rig, unsigned x, unsigned y)
{
	(void)rig;
	return rig_colour(rig_mode_12.atc[planar_index(128, x + 13, y + 3)]);
}

static void test_dispi_planar(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_12);
	rig_dispi_mode(rig, 800, 400, 4);
	rig_dispi(rig, DISPI_VIRT_WIDTH, 1024);
	rig_dispi(rig, DISPI_X_OFFSET, 13);
	rig_dispi(rig, DISPI_Y_OFFSET, 3);
	fill_planes(rig, 128 * 404);
	check_size(rig, 800, 400);
	check_picture(rig, dispi_4);
	rig_free(rig);
}

/* The linear modes are VRAM itself. */
static void test_dispi_linear(void)
{
	static const struct {
		unsigned bpp, size;
		enum scanout_format format;
	} cases[] = {
		{ 8, 1, SCANOUT_INDEXED8 }, { 15, 2, SCANOUT_XRGB1555 }, { 16, 2, SCANOUT_RGB565 },
		{ 24, 3, SCANOUT_RGB888 },  { 32, 4, SCANOUT_XRGB8888 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct rig *rig = rig_new();
		const struct scanout_picture *picture = &rig->scanout.picture;

		rig_set_mode(rig, &rig_mode_03);
		rig_dispi_mode(rig, 1000, 600, cases[i].bpp);
		rig_dispi(rig, DISPI_VIRT_WIDTH, 1024);
		rig_dispi(rig, DISPI_X_OFFSET, 10);
		rig_dispi(rig, DISPI_Y_OFFSET, 20);
		check_size(rig, 1000, 600);
		g_assert_cmpint(picture->format, ==, cases[i].format);
		g_assert_cmpuint(picture->stride, ==, 1024 * cases[i].size);
		g_assert_cmpuint(picture->offset, ==, (20 * 1024 + 10) * cases[i].size);
		g_assert_true(picture->memory->data == rig->vga->vram);
		g_assert_cmpuint(picture->aspect_x, ==, 0);
		fake_write(rig->machine, RIG_VRAM_BASE + ((20 + 5) * 1024 + 10 + 7) * cases[i].size, 1, 0xFF);
		g_assert_cmphex(pixel(picture, 7, 5), ==, cases[i].bpp == 8 ? rig_colour(255) :
				cases[i].bpp == 15 || cases[i].bpp == 16 ? pixel(picture, 7, 5) : 0xFF);
		g_assert_cmphex(pixel(picture, 7, 5), !=, pixel(picture, 8, 5));
		rig_free(rig);
	}
}

static void test_palette(void)
{
	struct rig *rig = rig_new();
	const struct scanout_picture *picture = &rig->scanout.picture;
	unsigned serial;

	rig_set_mode(rig, &rig_mode_03);
	rig_dispi_mode(rig, 640, 480, 8);
	fake_write(rig->machine, RIG_VRAM_BASE, 2, 0x8105);
	vga_refresh_now(rig->vga);
	g_assert_cmphex(pixel(picture, 0, 0), ==, rig_colour(5));
	serial = picture->serial;
	vga_refresh_now(rig->vga);
	g_assert_cmpuint(picture->serial, ==, serial);
	rig_out(rig, 0x3C6, 0x0F);
	vga_refresh_now(rig->vga);
	g_assert_cmpuint(picture->serial, !=, serial);
	g_assert_cmphex(pixel(picture, 1, 0), ==, rig_colour(1));
	rig_dispi(rig, DISPI_ENABLE, DISPI_ENABLED | DISPI_8BIT_DAC | DISPI_NOCLEARMEM);
	rig_set_dac(rig, 5, 0x12, 0x34, 0xFF);
	vga_refresh_now(rig->vga);
	g_assert_cmphex(pixel(picture, 0, 0), ==, 0x1234FF);
	rig_free(rig);
}

static void test_blank(void)
{
	struct rig *rig = text_rig();

	check_size(rig, 720, 400);
	rig_set(rig, 0x3C4, 1, 0x20);
	check_size(rig, 0, 0);
	g_assert_null(rig->scanout.picture.memory);
	rig_set(rig, 0x3C4, 1, 0x00);
	check_size(rig, 720, 400);
	check_picture(rig, text_9);
	rig_in(rig, 0x3DA);
	rig_out(rig, 0x3C0, 0x00);
	check_size(rig, 0, 0);
	/* Watched, a moment of darkness is not shown. */
	rig_out(rig, 0x3C0, 0x00);
	rig_out(rig, 0x3C0, 0x20);
	rig_watch(rig);
	g_assert_cmpuint(rig->scanout.picture.width, ==, 720);
	rig_set(rig, 0x3C4, 1, 0x20);
	rig_advance(rig, 60);
	g_assert_cmpuint(rig->scanout.picture.width, ==, 720);
	rig_advance(rig, 100);
	g_assert_cmpuint(rig->scanout.picture.width, ==, 0);
	rig_unwatch(rig);
	rig_free(rig);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vga-render/text", test_text);
	g_test_add_func("/vga-render/text-40", test_text_40);
	g_test_add_func("/vga-render/line-graphics", test_line_graphics);
	g_test_add_func("/vga-render/two-fonts", test_two_fonts);
	g_test_add_func("/vga-render/blink", test_blink);
	g_test_add_func("/vga-render/cursor", test_cursor);
	g_test_add_func("/vga-render/mono-underline", test_mono_underline);
	g_test_add_func("/vga-render/scrolling", test_scrolling);
	g_test_add_func("/vga-render/planar", test_planar);
	g_test_add_func("/vga-render/double-scan-and-split", test_double_scan_and_split);
	g_test_add_func("/vga-render/cga", test_cga);
	g_test_add_func("/vga-render/mode-13", test_mode_13);
	g_test_add_func("/vga-render/mode-x", test_mode_x);
	g_test_add_func("/vga-render/dispi-planar", test_dispi_planar);
	g_test_add_func("/vga-render/dispi-linear", test_dispi_linear);
	g_test_add_func("/vga-render/palette", test_palette);
	g_test_add_func("/vga-render/blank", test_blank);
	return g_test_run();
}
