/*
 * kill -9 of a machine whose guest writes, trims and flushes as fast as it can: the image stays sound, everything that
 * was flushed is there, every sector is what some write left, and leaks are gone after the next start.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "../../data/testdisc/storm.h"
#include "disk_tools.h"
#include "harness.h"

#define DISK_SIZE (64u << 20)
#define SECTORS (DISK_SIZE / 512)
#define ROUNDS 3
/* No storm has so many bursts without a flush that was acknowledged. */
#define UNSEEN 256u

struct kind {
	const char *name;
	const char *options;
	const char *cache;
	bool lazy; /* refcounts may be wrong until the next start */
};

static const struct kind kinds[] = {
	{ "usual", "cluster_size=64k", "writeback" },
	{ "version-2", "compat=0.10,cluster_size=8k", "writeback" },
	{ "subclusters", "extended_l2=on,cluster_size=32k", "writeback" },
	{ "lazy", "lazy_refcounts=on,cluster_size=4k", "writeback", true },
	{ "direct", "cluster_size=64k", "none" },
};

struct kill_test {
	const struct kind *kind;
	struct guest *guest;
	char *image, *raw;
	uint64_t *must;  /* of each sector: the burst that wrote it last before the last flush; 0: none */
	bool *trimmed;   /* and then trimmed it: what is there is not said */
	uint64_t burst;  /* the round's first */
	GRand *random;
};

/* The last burst that the guest knows to be on stable storage, or the one before the round. */
static uint64_t acknowledged(struct kill_test *test, gsize from)
{
	const char *text = guest_serial(test->guest) + from;
	uint64_t last = test->burst - 1;

	/* Not a line that was cut off. */
	while ((text = strstr(text, "storm "))) {
		char *end;
		uint64_t burst = g_ascii_strtoull(text + 6, &end, 10);

		text = end;
		if (*end == '\n')
			last = burst;
	}
	return last;
}

static void expect_flushed(struct kill_test *test, uint64_t first, uint64_t last)
{
	for (uint64_t burst = first; burst <= last; burst++) {
		for (uint32_t i = 0; i < STORM_STEPS; i++) {
			struct storm_step step = storm_step(burst, i, SECTORS);

			for (uint32_t sector = 0; sector < step.count; sector++) {
				if (!step.trim)
					test->must[step.sector + sector] = burst;
				test->trimmed[step.sector + sector] = step.trim;
			}
		}
	}
}

/* Whether a burst touches the sector, and how. */
static bool touches(uint64_t burst, uint64_t sector, bool trim)
{
	for (uint32_t i = trim ? STORM_WRITES : 0; i < (trim ? STORM_STEPS : STORM_WRITES); i++) {
		struct storm_step step = storm_step(burst, i, SECTORS);

		if (sector >= step.sector && sector - step.sector < step.count)
			return true;
	}
	return false;
}

static bool trimmed_later(uint64_t sector, uint64_t last)
{
	for (uint64_t burst = last + 1; burst <= last + UNSEEN; burst++)
		if (touches(burst, sector, true))
			return true;
	return false;
}

/* Zeroes, or what one write left there. */
static void check_whole(struct kill_test *test, uint64_t sector, const uint64_t *words)
{
	uint64_t burst = words[0];

	for (uint32_t i = 0; i < 64; i++)
		if (words[i] != (burst ? storm_word(burst, sector, i) : 0))
			guest_fail(test->guest, "sector %" G_GUINT64_FORMAT " is torn: word %u of burst %" G_GUINT64_FORMAT
				   " is %" G_GINT64_MODIFIER "x", sector, i, burst, words[i]);
}

static void check_sector(struct kill_test *test, uint64_t sector, const uint64_t *words, uint64_t last)
{
	uint64_t found = words[0], must = test->must[sector];
	bool right;

	check_whole(test, sector, words);
	if (found > last)
		right = found <= last + UNSEEN && touches(found, sector, false);
	else if (test->trimmed[sector])
		right = found <= must;
	else
		right = found == must || (found == 0 && trimmed_later(sector, last));
	if (!right)
		guest_fail(test->guest, "sector %" G_GUINT64_FORMAT " is of burst %" G_GUINT64_FORMAT " and ought to be of %"
			   G_GUINT64_FORMAT "%s; flushed was %" G_GUINT64_FORMAT, sector, found, must,
			   test->trimmed[sector] ? " or trimmed" : "", last);
	/* From now on this is what is there, however it came to be. */
	test->must[sector] = found;
	test->trimmed[sector] = false;
}

static void check_contents(struct kill_test *test, uint64_t last)
{
	g_autoptr(GMappedFile) file = NULL;
	const uint64_t *words;

	g_assert_cmpint(disk_tool(NULL, "qemu-img convert -f qcow2 -O raw '%s' '%s'", test->image, test->raw), ==, 0);
	file = g_mapped_file_new(test->raw, FALSE, NULL);
	g_assert_nonnull(file);
	g_assert_cmpuint(g_mapped_file_get_length(file), ==, DISK_SIZE);
	words = (const uint64_t *)(void *)g_mapped_file_get_contents(file);
	for (uint64_t sector = 0; sector < SECTORS; sector++)
		check_sector(test, sector, words + sector * 64, last);
}

/* Older kernels' tmpfs cannot. */
static bool possible(const struct kill_test *test)
{
	int fd = strcmp(test->kind->cache, "none") ? 0 : open(test->image, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd > 0)
		close(fd);
	return fd >= 0;
}

static void boot(struct kill_test *test)
{
	guest_start(test->guest);
	guest_wait_line(test->guest, "screen", 60);
}

/* A moment passes until the kernel has let go of what the killed process had locked. */
static int check_image(struct kill_test *test, char **output)
{
	int status = 1;

	for (unsigned tries = 0; tries < 100 && status == 1; tries++) {
		if (tries)
			g_usleep(20000);
		g_clear_pointer(output, g_free);
		status = disk_tool(output, "qemu-img check -f qcow2 '%s'", test->image);
	}
	return status;
}

static void run_round(struct kill_test *test, unsigned round)
{
	unsigned flushes = (unsigned)g_rand_int_range(test->random, 1, 13);
	g_autofree char *command = NULL, *output = NULL;
	uint64_t last;
	gsize from;
	int status;

	test->burst = ((uint64_t)round + 1) << 20;
	boot(test);
	from = strlen(guest_serial(test->guest));
	command = g_strdup_printf("storm %" G_GUINT64_FORMAT "\n", test->burst);
	guest_write(test->guest, command);
	while (flushes--)
		if (strstr(guest_wait_line(test->guest, "storm", 60), "failed"))
			guest_fail(test->guest, "the disk reports an error");
	/* Somewhere between this flush and one of the next. */
	g_usleep((gulong)g_rand_int_range(test->random, 0, 100000));
	guest_kill(test->guest, SIGKILL);
	last = acknowledged(test, from);
	status = check_image(test, &output);
	if (status != 0 && status != 3 && !test->kind->lazy)
		guest_fail(test->guest, "qemu-img finds the image damaged (%d): %s", status, output);
	expect_flushed(test, test->burst, last);
	check_contents(test, last);
	g_test_message("round %u: %" G_GUINT64_FORMAT " bursts flushed, then killed; qemu-img check: %d", round,
		       last + 1 - test->burst, status);
}

static void test_kill(gconstpointer data)
{
	struct kill_test test = { .kind = data, .random = g_rand_new_with_seed(23) };
	g_autofree char *output = NULL;

	test.guest = guest_new(test.kind->name);
	test.image = g_build_filename(guest_folder(test.guest), "disk.qcow2", NULL);
	test.raw = g_build_filename(guest_folder(test.guest), "contents.raw", NULL);
	test.must = g_new0(uint64_t, SECTORS);
	test.trimmed = g_new0(bool, SECTORS);
	g_assert_cmpint(disk_tool(NULL, "qemu-img create -q -f qcow2 -o %s '%s' %u", test.kind->options, test.image,
				  DISK_SIZE), ==, 0);
	guest_set(test.guest, "disk0", "path", "disk.qcow2");
	guest_set(test.guest, "disk0", "cache", "%s", test.kind->cache);
	guest_set_test_disc(test.guest);
	if (!possible(&test)) {
		g_test_skip("the folder for temporary files knows no direct I/O");
		return;
	}
	for (unsigned round = 0; round < ROUNDS; round++)
		run_round(&test, round);
	boot(&test);
	g_variant_unref(guest_call(test.guest, "Stop", NULL));
	guest_wait_end(test.guest, 20);
	if (disk_tool(&output, "qemu-img check -f qcow2 '%s'", test.image) != 0)
		guest_fail(test.guest, "the next start does not mend everything: %s", output);
	check_contents(&test, test.burst + UNSEEN);
	guest_free(test.guest);
	g_rand_free(test.random);
	g_free(test.must);
	g_free(test.trimmed);
	g_free(test.image);
	g_free(test.raw);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autofree char *path = g_strdup_printf("/disk-kill/%s", kinds[i].name);

		g_test_add_data_func(path, &kinds[i], test_kill);
	}
	return harness_run();
}
