/* Disk images made, resized and compacted beside a main loop that goes on, and given up in the middle. */
#include "../../app/disk_work.h"

#include <glib/gstdio.h>

#include "../../vmm/block/image.h"

#define MIB (1ull << 20)

struct fixture {
	char *folder, *path;
	GMainLoop *loop;
	GCancellable *cancellable;
	GError *error;
	gboolean done;
	guint reports;
	double last;
};

static void set_up(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	f->folder = g_dir_make_tmp("oriel-work-XXXXXX", NULL);
	f->path = oriel_disk_work_free_path(f->folder);
	f->loop = g_main_loop_new(NULL, FALSE);
	f->cancellable = g_cancellable_new();
}

/* Nothing but the image may be there. */
static void tear_down(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	g_unlink(f->path);
	g_assert_cmpint(g_rmdir(f->folder), ==, 0);
	g_main_loop_unref(f->loop);
	g_object_unref(f->cancellable);
	g_free(f->path);
	g_free(f->folder);
}

static void finished(GObject *source, GAsyncResult *result, gpointer data)
{
	struct fixture *f = data;

	(void)source;
	f->done = oriel_disk_work_finish(result, &f->error);
	g_main_loop_quit(f->loop);
}

static void progressed(double fraction, gpointer data)
{
	struct fixture *f = data;

	g_assert_cmpfloat(fraction, >=, f->last);
	g_assert_cmpfloat(fraction, <=, 1);
	f->last = fraction;
	f->reports++;
}

static void create(struct fixture *f, guint64 size, gboolean preallocate)
{
	oriel_disk_work_create(f->path, size, preallocate, f->cancellable, progressed, f, finished, f);
	g_main_loop_run(f->loop);
}

static void expect_size(struct fixture *f, guint64 size)
{
	struct image_info info;

	g_assert_no_error(f->error);
	g_assert_true(f->done);
	g_assert_true(image_info(f->path, &info, &f->error));
	g_assert_no_error(f->error);
	g_assert_cmpuint(info.size, ==, size);
	g_assert_cmpint(info.format, ==, BLOCK_FORMAT_QCOW2);
	image_info_clear(&info);
}

static void test_create(struct fixture *f, gconstpointer unused)
{
	g_autofree char *name = g_path_get_basename(f->path), *second = NULL, *second_name = NULL;

	(void)unused;
	g_assert_cmpstr(name, ==, "disk.qcow2");
	create(f, 64 * MIB, FALSE);
	expect_size(f, 64 * MIB);
	second = oriel_disk_work_free_path(f->folder);
	second_name = g_path_get_basename(second);
	g_assert_cmpstr(second_name, ==, "disk2.qcow2");
	/* Nobody's file is overwritten. */
	create(f, 64 * MIB, FALSE);
	g_assert_false(f->done);
	g_assert_nonnull(f->error);
	g_clear_error(&f->error);
	f->done = TRUE;
	expect_size(f, 64 * MIB);
}

static void test_resize(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	create(f, 64 * MIB, FALSE);
	oriel_disk_work_resize(f->path, 96 * MIB, FALSE, f->cancellable, finished, f);
	g_main_loop_run(f->loop);
	expect_size(f, 96 * MIB);
	oriel_disk_work_resize(f->path, 32 * MIB, FALSE, f->cancellable, finished, f);
	g_main_loop_run(f->loop);
	g_assert_false(f->done);
	g_assert_nonnull(f->error);
	g_clear_error(&f->error);
	oriel_disk_work_resize(f->path, 32 * MIB, TRUE, f->cancellable, finished, f);
	g_main_loop_run(f->loop);
	expect_size(f, 32 * MIB);
}

/* Written, as a guest may have done. */
static void fill_with_zeroes(struct fixture *f, guint64 size)
{
	const struct image_create_options options = { .path = f->path, .format = BLOCK_FORMAT_QCOW2, .size = size,
						      .preallocation = IMAGE_PREALLOCATION_FULL };

	g_assert_true(image_create(&options, &f->error));
	g_assert_no_error(f->error);
}

static guint64 taken(struct fixture *f)
{
	struct image_info info;
	guint64 size;

	g_assert_true(image_info(f->path, &info, NULL));
	size = info.disk_size;
	image_info_clear(&info);
	return size;
}

static void test_compact(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	fill_with_zeroes(f, 16 * MIB);
	g_assert_cmpuint(taken(f), >=, 16 * MIB);
	oriel_disk_work_compact(f->path, f->cancellable, progressed, f, finished, f);
	g_main_loop_run(f->loop);
	expect_size(f, 16 * MIB);
	g_assert_cmpuint(taken(f), <, 2 * MIB);
	g_assert_cmpuint(f->reports, >, 0);
}

static void test_cancelled(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	fill_with_zeroes(f, 16 * MIB);
	g_cancellable_cancel(f->cancellable);
	oriel_disk_work_compact(f->path, f->cancellable, progressed, f, finished, f);
	g_main_loop_run(f->loop);
	g_assert_false(f->done);
	g_assert_error(f->error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	g_clear_error(&f->error);
	f->done = TRUE;
	expect_size(f, 16 * MIB);
}

#define ADD(name, test) g_test_add("/disk-work/" name, struct fixture, NULL, set_up, test, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("create", test_create);
	ADD("resize", test_resize);
	ADD("compact", test_compact);
	ADD("cancelled", test_cancelled);
	return g_test_run();
}
