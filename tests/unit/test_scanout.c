/* The picture of a display: formats, damage per listener, lifetime of memory, PNG files read back. */
#include "../../display/scanout.h"
#include "../../display/thumbnail.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <png.h>
#include <string.h>

struct watcher {
	struct scanout_listener listener;
	unsigned woken;
};

static void wake(struct scanout_listener *listener)
{
	((struct watcher *)listener)->woken++;
}

static struct scanout_damage take(struct scanout *scanout, struct watcher *watcher, struct scanout_picture *picture)
{
	struct scanout_picture ignored;
	struct scanout_damage damage;

	scanout_take(scanout, &watcher->listener, picture ? picture : &ignored, &damage);
	scanout_memory_unref((picture ? picture : &ignored)->memory);
	return damage;
}

static struct scanout_picture make_picture(unsigned width, unsigned height, enum scanout_format format)
{
	struct scanout_picture picture = { .width = width, .height = height, .format = format };

	picture.stride = width * scanout_pixel_size(format);
	picture.memory = scanout_memory_new((size_t)picture.stride * height);
	return picture;
}

static void show(struct scanout *scanout, struct scanout_picture *picture)
{
	scanout_set_picture(scanout, picture);
	scanout_memory_unref(picture->memory);
}

static void test_damage(void)
{
	struct watcher a = { { wake } }, b = { { wake } };
	struct scanout_picture picture = make_picture(4, 100, SCANOUT_XRGB8888), taken;
	struct scanout_damage damage;
	struct scanout scanout;

	scanout_init(&scanout);
	g_assert_false(scanout_watched(&scanout));
	scanout_add_listener(&scanout, &a.listener);
	g_assert_true(scanout_watched(&scanout));
	g_assert_cmpuint(a.woken, ==, 1);
	damage = take(&scanout, &a, &taken);
	g_assert_cmpuint(taken.width, ==, 0);
	g_assert_null(taken.memory);
	g_assert_cmpuint(damage.end, >, damage.first);

	show(&scanout, &picture);
	scanout_add_listener(&scanout, &b.listener);
	g_assert_cmpuint(a.woken, ==, 2);
	g_assert_cmpuint(b.woken, ==, 1);
	damage = take(&scanout, &a, &taken);
	g_assert_cmpuint(damage.first, ==, 0);
	g_assert_cmpuint(damage.end, ==, 100);
	g_assert_cmpuint(taken.serial, ==, 1);

	/* Woken once until the damage is taken, which is the union; out of range is cut off. */
	scanout_damage(&scanout, 10, 12);
	scanout_damage(&scanout, 40, 41);
	scanout_damage(&scanout, 7, 7);
	scanout_damage(&scanout, 100, 300);
	g_assert_cmpuint(a.woken, ==, 3);
	damage = take(&scanout, &a, NULL);
	g_assert_cmpuint(damage.first, ==, 10);
	g_assert_cmpuint(damage.end, ==, 41);
	damage = take(&scanout, &a, NULL);
	g_assert_cmpuint(damage.first, >=, damage.end);
	damage = take(&scanout, &b, NULL);
	g_assert_cmpuint(damage.first, ==, 0);
	g_assert_cmpuint(damage.end, ==, 100);

	/* Nothing to show is news too. */
	scanout_set_picture(&scanout, &(struct scanout_picture){ 0 });
	g_assert_cmpuint(a.woken, ==, 4);
	take(&scanout, &a, &taken);
	g_assert_cmpuint(taken.serial, ==, 2);
	g_assert_cmpuint(taken.height, ==, 0);

	scanout_remove_listener(&scanout, &a.listener);
	scanout_remove_listener(&scanout, &b.listener);
	g_assert_false(scanout_watched(&scanout));
	scanout_finish(&scanout);
}

static void count(void *producer)
{
	++*(unsigned *)producer;
}

static void test_producer(void)
{
	struct scanout_listener a = { 0 }, b = { 0 };
	struct scanout scanout;
	unsigned changes = 0;

	scanout_init(&scanout);
	scanout_set_producer(&scanout, count, &changes);
	scanout_add_listener(&scanout, &a);
	g_assert_cmpuint(changes, ==, 1);
	scanout_add_listener(&scanout, &b);
	scanout_remove_listener(&scanout, &a);
	g_assert_cmpuint(changes, ==, 1);
	scanout_remove_listener(&scanout, &b);
	g_assert_cmpuint(changes, ==, 2);
	scanout_set_producer(&scanout, NULL, NULL);
	scanout_add_listener(&scanout, &a);
	g_assert_cmpuint(changes, ==, 2);
	scanout_remove_listener(&scanout, &a);
	scanout_finish(&scanout);
}

static void count_free(struct scanout_memory *memory)
{
	memory->size = 0;
}

static void test_memory(void)
{
	uint8_t bytes[4] = { 1, 2, 3, 0 };
	struct scanout_memory memory = { 1, bytes, sizeof(bytes), count_free };
	struct scanout_picture picture = { .width = 1, .height = 1, .stride = 4, .memory = &memory }, taken;
	struct scanout_listener listener = { 0 };
	struct scanout_damage damage;
	struct scanout scanout;

	scanout_init(&scanout);
	scanout_set_picture(&scanout, &picture);
	g_assert_cmpint(memory.references, ==, 2);
	scanout_memory_unref(&memory);
	scanout_add_listener(&scanout, &listener);
	scanout_take(&scanout, &listener, &taken, &damage);
	scanout_set_picture(&scanout, &(struct scanout_picture){ 0 });
	/* The consumer still holds it after the mode switch. */
	g_assert_cmpuint(memory.size, ==, 4);
	scanout_memory_unref(taken.memory);
	g_assert_cmpuint(memory.size, ==, 0);
	scanout_remove_listener(&scanout, &listener);
	scanout_finish(&scanout);
}

static void test_formats(void)
{
	static const struct {
		enum scanout_format format;
		uint8_t bytes[8];
		uint32_t pixels[2];
	} cases[] = {
		{ SCANOUT_XRGB8888, { 1, 2, 3, 255, 0xFF, 0x80, 0x40, 0 }, { 0x030201, 0x4080FF } },
		{ SCANOUT_RGB888, { 1, 2, 3, 0xFF, 0x80, 0x40 }, { 0x030201, 0x4080FF } },
		{ SCANOUT_RGB565, { 0x00, 0xF8, 0xE1, 0x07 }, { 0xFF0000, 0x00FF08 } },
		{ SCANOUT_XRGB1555, { 0x00, 0xFC, 0xE1, 0x03 }, { 0xFF0000, 0x00FF08 } },
		{ SCANOUT_INDEXED8, { 0, 200 }, { 0x123456, 0xABCDEF } },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct scanout_picture picture = make_picture(2, 2, cases[i].format);
		uint32_t row[2];

		picture.palette[0] = 0x123456;
		picture.palette[200] = 0xABCDEF;
		memcpy(picture.memory->data + picture.stride, cases[i].bytes, picture.stride);
		scanout_convert_row(&picture, 1, row);
		g_assert_cmphex(row[0], ==, cases[i].pixels[0]);
		g_assert_cmphex(row[1], ==, cases[i].pixels[1]);
		scanout_memory_unref(picture.memory);
	}
}

static void test_png(void)
{
	g_autofree char *directory = g_dir_make_tmp("oriel-scanout-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(directory, "screen.png", NULL);
	g_autofree char *nowhere = g_build_filename(directory, "missing", "screen.png", NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);
	struct scanout_picture picture = make_picture(37, 19, SCANOUT_RGB565);
	png_image image = { .version = PNG_IMAGE_VERSION };
	uint32_t read[37 * 19], row[37];
	struct scanout scanout;

	scanout_init(&scanout);
	g_assert_false(scanout_save_png(&scanout, path, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
	g_clear_error(&error);

	picture.aspect_x = 4;
	picture.aspect_y = 3;
	for (size_t i = 0; i < picture.memory->size; i++)
		picture.memory->data[i] = (uint8_t)g_rand_int(rand);
	scanout_set_picture(&scanout, &picture);
	g_assert_true(scanout_save_png(&scanout, path, &error));
	g_assert_no_error(error);

	g_assert_true(png_image_begin_read_from_file(&image, path));
	g_assert_cmpuint(image.width, ==, 37);
	g_assert_cmpuint(image.height, ==, 19);
	image.format = PNG_FORMAT_BGRA;
	g_assert_true(png_image_finish_read(&image, NULL, read, 0, NULL));
	for (unsigned y = 0; y < 19; y++) {
		scanout_convert_row(&picture, y, row);
		for (unsigned x = 0; x < 37; x++)
			g_assert_cmphex(read[y * 37 + x], ==, (row[x] | 0xFF000000));
	}

	g_assert_false(scanout_save_png(&scanout, nowhere, &error));
	g_assert_nonnull(error);
	scanout_memory_unref(picture.memory);
	scanout_finish(&scanout);
	g_remove(path);
	g_assert_cmpint(g_rmdir(directory), ==, 0);
}

/* Left half red, right half blue. */
static void show_halves(struct scanout *scanout, unsigned width, unsigned height, unsigned aspect_x, unsigned aspect_y)
{
	struct scanout_picture picture = make_picture(width, height, SCANOUT_XRGB8888);

	picture.aspect_x = aspect_x;
	picture.aspect_y = aspect_y;
	for (unsigned i = 0; i < width * height; i++)
		((uint32_t *)picture.memory->data)[i] = i % width < width / 2 ? 0xff0000 : 0x0000ff;
	show(scanout, &picture);
}

static void test_thumbnail(void)
{
	static const struct {
		unsigned width, height, aspect_x, aspect_y, max_width, max_height, expected_width, expected_height;
	} cases[] = {
		{ 1280, 800, 0, 0, 256, 160, 256, 160 }, { 1024, 768, 0, 0, 256, 160, 213, 160 },
		{ 720, 400, 4, 3, 256, 160, 213, 160 },  { 100, 50, 0, 0, 256, 160, 100, 50 },
		{ 4000, 2, 0, 0, 10, 10, 10, 1 },        { 2, 4000, 0, 0, 10, 10, 1, 10 },
	};
	struct thumbnail thumbnail;
	struct scanout scanout;
	uint64_t digest;

	scanout_init(&scanout);
	thumbnail_take(&scanout, 256, 160, &thumbnail);
	g_assert_cmpuint(thumbnail.width, ==, 0);
	g_assert_cmpuint(thumbnail.digest, ==, 0);
	thumbnail_finish(&thumbnail);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		const uint8_t red[] = { 255, 0, 0 }, blue[] = { 0, 0, 255 };

		show_halves(&scanout, cases[i].width, cases[i].height, cases[i].aspect_x, cases[i].aspect_y);
		thumbnail_take(&scanout, cases[i].max_width, cases[i].max_height, &thumbnail);
		g_assert_cmpuint(thumbnail.width, ==, cases[i].expected_width);
		g_assert_cmpuint(thumbnail.height, ==, cases[i].expected_height);
		g_assert_cmpuint(thumbnail.size, ==, thumbnail.width * thumbnail.height * 3);
		if (thumbnail.width > 1) {
			g_assert_cmpmem(thumbnail.pixels, 3, red, 3);
			g_assert_cmpmem(thumbnail.pixels + thumbnail.size - 3, 3, blue, 3);
		} else {
			g_assert_cmpuint(thumbnail.pixels[0], ==, 127);
		}
		digest = thumbnail.digest;
		thumbnail_finish(&thumbnail);
		thumbnail_take(&scanout, cases[i].max_width, cases[i].max_height, &thumbnail);
		g_assert_true(thumbnail.digest == digest);
		thumbnail_finish(&thumbnail);
		memset(scanout.picture.memory->data, 0x80, scanout.picture.stride);
		thumbnail_take(&scanout, cases[i].max_width, cases[i].max_height, &thumbnail);
		g_assert_false(thumbnail.digest == digest);
		thumbnail_finish(&thumbnail);
	}
	scanout_finish(&scanout);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/scanout/thumbnail", test_thumbnail);
	g_test_add_func("/scanout/damage", test_damage);
	g_test_add_func("/scanout/producer", test_producer);
	g_test_add_func("/scanout/memory", test_memory);
	g_test_add_func("/scanout/formats", test_formats);
	g_test_add_func("/scanout/png", test_png);
	return g_test_run();
}
