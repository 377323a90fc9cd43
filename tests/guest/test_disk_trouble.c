/*
 * The host's disk fails a machine that runs: the guest stands still, the user hears why, and once he has mended it
 * nothing is lost; or the guest is told, and goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "disk_pattern.h"
#include "harness.h"

#define DISK_SIZE (64u << 20)
#define STEP 2048u /* sectors of one check: 1 MiB */
#define WRAP (16 * STEP)

struct disk_test {
	struct guest *guest;
	char *image;      /* as this process sees it */
	uint64_t written; /* sectors, in checks of STEP */
};

static struct disk_test *boot(const char *name)
{
	struct disk_test *test = g_new0(struct disk_test, 1);

	test->guest = guest_new(name);
	test->image = guest_add_disk(test->guest, NULL, DISK_SIZE);
	guest_set_test_disc(test->guest);
	guest_start(test->guest);
	guest_wait_line(test->guest, "screen", 60);
	return test;
}

static void finish(struct disk_test *test)
{
	guest_free(test->guest);
	g_free(test->image);
	g_free(test);
}

static void ask(struct disk_test *test, const char *method)
{
	g_variant_unref(guest_call(test->guest, method, NULL));
}

/* Checks one step after another until one does not come back. The test disc has to know nothing of it. */
static const char *check_until_trouble(struct disk_test *test)
{
	const char *line;

	/* What happened to the file is looked for every second. */
	for (gint64 end = g_get_monotonic_time() + 60 * G_USEC_PER_SEC; g_get_monotonic_time() < end;) {
		g_autofree char *command = g_strdup_printf("check %" G_GUINT64_FORMAT " %u\n", test->written, STEP);

		guest_write(test->guest, command);
		line = guest_wait_line_or(test->guest, "check", "trouble", 60);
		if (!line)
			return guest_wait_state(test->guest, "trouble", 1);
		g_assert_cmpstr(line, ==, "check good");
		test->written += STEP;
		/* Never to the end, which would make a file whole that was cut. */
		if (test->written == WRAP)
			test->written = 0;
	}
	guest_fail(test->guest, "no trouble");
}

/* The step that was held up is done; what is on the disk is what the guest believes to be there. */
static void expect_complete(struct disk_test *test)
{
	g_assert_cmpstr(guest_wait_line(test->guest, "check", 60), ==, "check good");
	test->written += STEP;
	for (uint64_t sector = 0; sector < test->written; sector += STEP)
		g_assert_true(disk_pattern_found(test->image, sector, STEP));
	g_assert_cmpuint(guest_counter(test->guest, "disk0.write.errors"), ==, 0);
}

static void expect_text(const char *message, const char *text)
{
	if (!strstr(message, text))
		g_error("no \"%s\" in: %s", text, message);
	g_test_message("%s", message);
}

static void copy(const char *from, const char *to)
{
	g_autoptr(GSubprocess) process = g_subprocess_new(G_SUBPROCESS_FLAGS_NONE, NULL, "cp", "--sparse=always", from,
							  to, NULL);

	g_assert_true(g_subprocess_wait_check(process, NULL, NULL));
}

/* As the message tells the user to do. */
static void restore_deleted(struct disk_test *test)
{
	g_autofree char *folder = g_strdup_printf("/proc/%d/fd", (int)guest_process(test->guest));
	g_autofree char *target = g_strdup_printf("%s (deleted)", test->image);
	g_autoptr(GDir) descriptors = g_dir_open(folder, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(descriptors))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		g_autofree char *link = g_file_read_link(path, NULL);

		if (g_strcmp0(link, target) == 0) {
			copy(path, test->image);
			return;
		}
	}
	g_error("no %s in %s", target, folder);
}

static void test_deleted(void)
{
	struct disk_test *test = boot("deleted");

	g_assert_cmpstr(guest_ask(test->guest, 60, "check 0 %u", STEP), ==, "check good");
	test->written = STEP;
	g_assert_no_errno(g_remove(test->image));
	expect_text(check_until_trouble(test), "was deleted while the machine uses it");
	/* Not mended yet. */
	for (int i = 0; i < 2; i++) {
		unsigned changes = guest_changes(test->guest);

		ask(test, i ? "Retry" : "Resume");
		guest_wait_changes(test->guest, changes + 2, 20);
		expect_text(guest_wait_state(test->guest, "trouble", 1), "was deleted while the machine uses it");
	}
	restore_deleted(test);
	ask(test, "Retry");
	expect_complete(test);
	finish(test);
}

static void test_truncated(void)
{
	struct disk_test *test = boot("truncated");
	g_autofree char *backup = g_strconcat(test->image, ".backup", NULL);

	g_assert_cmpstr(guest_ask(test->guest, 60, "check 0 %u", STEP), ==, "check good");
	test->written = STEP;
	copy(test->image, backup);
	g_assert_no_errno(truncate(test->image, STEP * 512));
	expect_text(check_until_trouble(test), "became shorter");
	/* What was written between the cut and its discovery is in the image, and has to survive. */
	g_assert_no_errno(truncate(test->image, DISK_SIZE));
	/* Resume means the same as Retry: the requests that wait are the guest's. */
	ask(test, "Resume");
	expect_complete(test);
	finish(test);
}

static void test_given_up(void)
{
	struct disk_test *test = boot("givenup");

	g_assert_cmpstr(guest_ask(test->guest, 60, "check 0 %u", STEP), ==, "check good");
	g_assert_no_errno(g_remove(test->image));
	check_until_trouble(test);
	ask(test, "Fail");
	g_assert_cmpstr(guest_wait_line(test->guest, "check", 60), ==, "check bad");
	guest_wait_state(test->guest, "running", 5);
	guest_ask(test->guest, 10, "ping");
	g_assert_cmpuint(guest_counter(test->guest, "disk0.write.errors"), >, 0);
	/* The deleted file is as good as any, now that the user knows. */
	ask(test, "Reset");
	guest_wait_line(test->guest, "screen", 60);
	g_assert_cmpstr(guest_ask(test->guest, 60, "check 0 %u", STEP), ==, "check good");
	finish(test);
}

static void test_reset_and_stop(void)
{
	struct disk_test *test = boot("resetstop");
	g_autoptr(GError) error = NULL;
	GVariant *reply = guest_try_call(test->guest, "Retry", NULL, &error);

	g_assert_null(reply);
	g_assert_nonnull(strstr(error->message, "nothing to try again"));
	g_assert_no_errno(g_remove(test->image));
	check_until_trouble(test);
	ask(test, "Reset");
	guest_wait_line(test->guest, "screen", 60);
	guest_wait_state(test->guest, "running", 5);
	check_until_trouble(test);
	ask(test, "Stop");
	guest_wait_end(test->guest, 10);
	finish(test);
}

/* A file system of its own, which only the machine's process sees. */
static void set_small_disk(struct disk_test *test, unsigned mebibytes)
{
	g_autofree char *folder = g_build_filename(guest_folder(test->guest), "small", NULL);
	g_autofree char *script = g_strdup_printf("mount -t tmpfs -o size=%um none '%s' && cd '%s' && "
						  "truncate -s %u disk.img && head -c 2M /dev/zero >filler && "
						  "cd / && exec \"$@\"", mebibytes, folder, folder, DISK_SIZE);

	g_assert_no_errno(g_mkdir(folder, 0700));
	guest_set(test->guest, "disk0", "path", "small/disk.img");
	if (geteuid())
		guest_set_launcher(test->guest, "unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh",
				   NULL);
	else
		guest_set_launcher(test->guest, "unshare", "--mount", "sh", "-c", script, "sh", NULL);
}

static char *in_small_disk(struct disk_test *test, const char *name)
{
	return g_strdup_printf("/proc/%d/root%s/small/%s", (int)guest_process(test->guest), guest_folder(test->guest),
			       name);
}

static void test_full(void)
{
	struct disk_test *test = g_new0(struct disk_test, 1);
	g_autofree char *filler = NULL;
	unsigned changes;

	test->guest = guest_new("full");
	set_small_disk(test, 8);
	guest_set_test_disc(test->guest);
	guest_start(test->guest);
	guest_wait_line(test->guest, "screen", 60);
	test->image = in_small_disk(test, "disk.img");
	expect_text(check_until_trouble(test), "disk is full");
	g_assert_cmpuint(test->written, ==, 6 * STEP);
	/* Still full. */
	changes = guest_changes(test->guest);
	ask(test, "Retry");
	guest_wait_changes(test->guest, changes + 2, 20);
	expect_text(guest_wait_state(test->guest, "trouble", 1), "disk is full");
	filler = in_small_disk(test, "filler");
	g_assert_no_errno(g_remove(filler));
	/* By itself. */
	expect_complete(test);
	guest_wait_state(test->guest, "running", 5);
	/* And once more, with many requests at once and the screen busy. */
	guest_write(test->guest, "disk write sequential 65536 32 33554432\n");
	g_assert_null(guest_wait_line_or(test->guest, "disk", "trouble", 60));
	ask(test, "Fail");
	g_assert_cmpstr(guest_wait_line(test->guest, "disk", 60), ==, "disk 0");
	finish(test);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/disk-trouble/deleted", test_deleted);
	g_test_add_func("/disk-trouble/truncated", test_truncated);
	g_test_add_func("/disk-trouble/given-up", test_given_up);
	g_test_add_func("/disk-trouble/reset-and-stop", test_reset_and_stop);
	g_test_add_func("/disk-trouble/full", test_full);
	return harness_run();
}
