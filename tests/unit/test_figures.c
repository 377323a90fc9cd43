/* The manager's figures: rates between samples of a machine's counters. */
#include <glib/gstdio.h>

#include "../../app/figures.h"

#define SECOND G_USEC_PER_SEC

struct counters {
	guint64 guest, user, kernel, resident, read, sent;
};

static void add(OrielFigures *figures, gint64 time, const struct counters *counters, guint64 memory_guest)
{
	GVariantBuilder builder;
	g_autoptr(GVariant) dictionary = NULL;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{st}"));
	g_variant_builder_add(&builder, "{st}", "time.guest", counters->guest);
	g_variant_builder_add(&builder, "{st}", "process.user", counters->user);
	g_variant_builder_add(&builder, "{st}", "process.kernel", counters->kernel);
	g_variant_builder_add(&builder, "{st}", "memory.resident", counters->resident);
	/* Two disks, whose sum counts; the operations do not. */
	g_variant_builder_add(&builder, "{st}", "disk0.read.bytes", counters->read);
	g_variant_builder_add(&builder, "{st}", "disk3.read.bytes", counters->read);
	g_variant_builder_add(&builder, "{st}", "disk0.read.operations", (guint64)12345);
	g_variant_builder_add(&builder, "{st}", "network0.sent.bytes", counters->sent);
	dictionary = g_variant_ref_sink(g_variant_builder_end(&builder));
	oriel_figures_add(figures, dictionary, memory_guest, time);
}

static void count_change(OrielFigures *figures, gpointer changes)
{
	(void)figures;
	++*(guint *)changes;
}

static void test_rates(void)
{
	g_autoptr(OrielFigures) figures = oriel_figures_new();
	struct counters counters = { 1000, 1000, 1000, 0, 0, 0 };
	const struct oriel_sample *sample;
	guint changes = 0;

	g_signal_connect(figures, "changed", G_CALLBACK(count_change), &changes);
	add(figures, 5 * SECOND, &counters, 0);
	g_assert_cmpuint(oriel_figures_get_length(figures), ==, 0);
	counters = (struct counters){ 1000 + 3000000000, 1000 + 500000000, 1000 + 250000000, 600 << 20, 10 << 20, 4096 };
	add(figures, 7 * SECOND, &counters, 512 << 20);
	g_assert_cmpuint(changes, ==, 2);
	g_assert_cmpuint(oriel_figures_get_length(figures), ==, 1);
	sample = oriel_figures_get(figures, 0);
	g_assert_cmpfloat_with_epsilon(sample->guest, 1.5, 1e-9);
	g_assert_cmpfloat_with_epsilon(sample->user, 0.25, 1e-9);
	g_assert_cmpfloat_with_epsilon(sample->kernel, 0.125, 1e-9);
	g_assert_cmpfloat(sample->guest_memory, ==, 512 << 20);
	g_assert_cmpfloat(sample->overhead, ==, 88 << 20);
	g_assert_cmpfloat_with_epsilon(sample->disk_read, 10 << 20, 1e-3);
	g_assert_cmpfloat_with_epsilon(sample->network_sent, 2048, 1e-6);
	g_assert_cmpfloat(sample->disk_written, ==, 0);
}

/* A guest that was started again counts from nothing: no negative rate, and no huge one. */
static void test_started_again(void)
{
	g_autoptr(OrielFigures) figures = oriel_figures_new();
	struct counters many = { (guint64)SECOND * 10000, 5, 5, 1 << 20, 1 << 30, 5 }, few = { 0 }, later = { 0 };

	add(figures, 1 * SECOND, &many, 0);
	add(figures, 2 * SECOND, &few, 0);
	g_assert_cmpuint(oriel_figures_get_length(figures), ==, 0);
	later.read = 1000;
	add(figures, 3 * SECOND, &later, 0);
	g_assert_cmpuint(oriel_figures_get_length(figures), ==, 1);
	g_assert_cmpfloat_with_epsilon(oriel_figures_get(figures, 0)->disk_read, 2000, 1e-6);
	/* A clock that stands still is no reason to divide by it. */
	add(figures, 3 * SECOND, &later, 0);
	g_assert_cmpuint(oriel_figures_get_length(figures), ==, 1);
	oriel_figures_clear(figures);
	g_assert_cmpuint(oriel_figures_get_length(figures), ==, 0);
	add(figures, 9 * SECOND, &many, 0);
	g_assert_cmpuint(oriel_figures_get_length(figures), ==, 0);
}

static void test_oldest_go(void)
{
	g_autoptr(OrielFigures) figures = oriel_figures_new();
	struct counters counters = { 0 };

	for (guint i = 0; i <= ORIEL_FIGURES_LENGTH + 7; i++) {
		counters.sent += i;
		add(figures, (i + 1) * SECOND, &counters, 0);
	}
	g_assert_cmpuint(oriel_figures_get_length(figures), ==, ORIEL_FIGURES_LENGTH);
	for (guint i = 0; i < ORIEL_FIGURES_LENGTH; i++)
		g_assert_cmpfloat_with_epsilon(oriel_figures_get(figures, i)->network_sent, i + 8, 1e-6);
}

static void test_resident(void)
{
	g_autofree char *folder = g_dir_make_tmp("oriel-figures-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "smaps", NULL);
	g_autofree char *absent = g_build_filename(folder, "absent", NULL);
	const char *text = "55d0c0000000-55d0c0010000 r-xp 00000000 fd:01 42 /usr/bin/oriel-vm\n"
			   "Size: 64 kB\nRss: 60 kB\n"
			   "7f0000000000-7f0040000000 rw-p 00000000 00:00 0 \n"
			   "Size: 1048576 kB\nKernelPageSize: 4 kB\nRss:              262144 kB\nPss: 262144 kB\n"
			   "7fff00000000-7fff00010000 rw-p 00000000 00:00 0 [stack]\n"
			   "Rss: 64 kB\n";

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
	g_assert_cmpuint(oriel_resident_memory(path), ==, 256 << 20);
	g_assert_cmpuint(oriel_resident_memory(absent), ==, 0);
	g_assert_cmpuint(oriel_resident_memory("/proc/self/smaps"), >, 0);
	g_remove(path);
	g_rmdir(folder);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/figures/rates", test_rates);
	g_test_add_func("/figures/started-again", test_started_again);
	g_test_add_func("/figures/oldest-go", test_oldest_go);
	g_test_add_func("/figures/resident", test_resident);
	return g_test_run();
}
