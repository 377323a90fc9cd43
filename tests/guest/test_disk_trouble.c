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
#include "disk_tools.h"
#include "harness.h"

#define DISK_SIZE (64u << 20)
#define STEP 2048u /* sectors of one check: 1 MiB */
#define WRAP (16 * STEP)
#define DEPTH 32u /* requests at once */

struct disk_test {
	struct guest *guest;
	char *image;      /* as this process sees it */
	bool qcow2;       /* and therefore not to be looked into while it is used */
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
	for (uint64_t sector = 0; sector < test->written && !test->qcow2; sector += STEP)
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

static void test_moved(void)
{
	struct disk_test *test = boot("moved");
	g_autofree char *elsewhere = g_strconcat(test->image, ".moved", NULL);

	g_assert_no_errno(g_rename(test->image, elsewhere));
	expect_text(check_until_trouble(test), "was moved away");
	g_assert_no_errno(g_rename(elsewhere, test->image));
	ask(test, "Retry");
	expect_complete(test);
	/* Another one in its place; and the user wants the one that is elsewhere. */
	g_assert_no_errno(g_rename(test->image, elsewhere));
	copy(elsewhere, test->image);
	expect_text(check_until_trouble(test), "another file put in its place");
	ask(test, "Fail");
	g_assert_cmpstr(guest_wait_line(test->guest, "check", 60), ==, "check good");
	g_assert_true(disk_pattern_found(elsewhere, test->written, STEP));
	g_assert_cmpuint(guest_counter(test->guest, "disk0.write.errors"), ==, 0);
	finish(test);
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
	/* Whichever of the check's requests came first when the file was looked for. */
	g_assert_cmpuint(guest_counter(test->guest, "disk0.write.errors") +
			 guest_counter(test->guest, "disk0.read.errors"), >, 0);
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

/* --- A full disk --- */

struct full_case {
	const char *name;
	const char *cache;
	bool qcow2;
	bool direct; /* a file system that really knows direct I/O, if this user may mount one */
};

static const struct full_case full_cases[] = {
	{ "raw", "writeback" },
	{ "qcow2", "writeback", .qcow2 = true },
	{ "direct", "none", .direct = true },
	{ "qcow2-direct", "none", .qcow2 = true, .direct = true },
};

/* A file system of its own, which only the machine's process sees: full when 6 MiB of the disk are written. */
static void set_small_disk(struct disk_test *test, const struct full_case *full)
{
	g_autofree char *folder = g_build_filename(guest_folder(test->guest), "small", NULL);
	g_autofree char *tmpfs = g_strdup_printf("mount -t tmpfs -o size=8m none '%s'", folder);
	g_autofree char *ext4 = g_strdup_printf("truncate -s 9M '%s.ext4' && mkfs.ext4 -q -F -m 0 -O ^has_journal "
						"'%s.ext4' && mount -o loop '%s.ext4' '%s'", folder, folder, folder, folder);
	g_autofree char *script = g_strdup_printf("(%s || %s) && cd '%s' && %s %u && head -c 2M /dev/zero >filler && "
						  "cd / && exec \"$@\"", full->direct ? ext4 : "false", tmpfs, folder,
						  full->qcow2 ? "qemu-img create -q -f qcow2 disk" :
						  "truncate disk -s", DISK_SIZE);

	g_assert_no_errno(g_mkdir(folder, 0700));
	guest_set(test->guest, "disk0", "path", "small/disk");
	guest_set(test->guest, "disk0", "format", full->qcow2 ? "qcow2" : "raw");
	guest_set(test->guest, "disk0", "cache", "%s", full->cache);
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

/* After the machine's end. small: a descriptor of the folder, which keeps it. */
static void judge_small_disk(struct disk_test *test, int small)
{
	g_autofree char *image = g_strdup_printf("/proc/%d/fd/%d/disk", (int)getpid(), small);
	g_autofree char *raw = g_build_filename(guest_folder(test->guest), "contents.raw", NULL);

	g_assert_cmpint(disk_tool(NULL, "qemu-img check -f qcow2 %s", image), ==, 0);
	g_assert_cmpint(disk_tool(NULL, "qemu-img convert -f qcow2 -O raw %s '%s'", image, raw), ==, 0);
	for (uint64_t sector = 0; sector < test->written; sector += STEP)
		g_assert_true(disk_pattern_found(raw, sector, STEP));
}

static void expect_full(struct disk_test *test)
{
	unsigned changes;

	expect_text(check_until_trouble(test), "disk is full");
	g_assert_cmpuint(test->written, >=, 4 * STEP);
	g_assert_cmpuint(test->written, <=, 6 * STEP);
	/* Still full. */
	changes = guest_changes(test->guest);
	ask(test, "Retry");
	guest_wait_changes(test->guest, changes + 2, 20);
	expect_text(guest_wait_state(test->guest, "trouble", 1), "disk is full");
}

static void test_full(gconstpointer data)
{
	struct disk_test *test = g_new0(struct disk_test, 1);
	const struct full_case *full = data;
	g_autofree char *filler = NULL, *folder = NULL;
	g_autofree char *many = g_strdup_printf("disk write sequential 65536 %u 33554432\n", DEPTH);
	const char *line;
	int small;

	test->guest = guest_new(full->name);
	test->qcow2 = full->qcow2;
	set_small_disk(test, full);
	guest_set_test_disc(test->guest);
	guest_start(test->guest);
	guest_wait_line(test->guest, "screen", 60);
	test->image = in_small_disk(test, "disk");
	folder = in_small_disk(test, "");
	small = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	g_assert_no_errno(small);
	expect_full(test);
	filler = in_small_disk(test, "filler");
	g_assert_no_errno(g_remove(filler));
	/* By itself. */
	expect_complete(test);
	guest_wait_state(test->guest, "running", 5);
	g_assert_cmpstr(guest_ask(test->guest, 60, "flush"), ==, "flush good");
	if (full->qcow2) {
		ask(test, "Stop");
		guest_wait_end(test->guest, 20);
		judge_small_disk(test, small);
	} else {
		/* And once more, with many requests at once and the screen busy. */
		guest_write(test->guest, many);
		line = guest_wait_line_or(test->guest, "disk", "trouble", 60);
		g_assert_null(line);
		/* Those that the host was still doing may come to the same end later. */
		for (unsigned i = 0; !line && i < DEPTH; i++) {
			unsigned changes = guest_changes(test->guest);

			ask(test, "Fail");
			guest_wait_changes(test->guest, changes + 1, 20);
			line = guest_wait_line_or(test->guest, "disk", "trouble", 60);
		}
		g_assert_cmpstr(line, ==, "disk 0");
	}
	finish(test);
	close(small);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/disk-trouble/moved", test_moved);
	g_test_add_func("/disk-trouble/deleted", test_deleted);
	g_test_add_func("/disk-trouble/truncated", test_truncated);
	g_test_add_func("/disk-trouble/given-up", test_given_up);
	g_test_add_func("/disk-trouble/reset-and-stop", test_reset_and_stop);
	for (unsigned i = 0; i < G_N_ELEMENTS(full_cases); i++) {
		g_autofree char *path = g_strdup_printf("/disk-trouble/full/%s", full_cases[i].name);

		g_test_add_data_func(path, &full_cases[i], test_full);
	}
	return harness_run();
}
