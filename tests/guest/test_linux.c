/*
 * Linux, started directly, on every device of the machine: a boot log without complaints, disks and a disc over
 * AHCI and NVMe, keyboard and mouse over the i8042, and the shutdown from inside.
 */
#include "harness.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/input-event-codes.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024 * 1024)
#define DISK_SIZE (64 * MIB)
#define KEYBOARD "input AT Translated Set 2 keyboard: "
#define MOUSE "Mouse: "

/* What Linux says when tables, windows, interrupts or devices are not as they should be, at whatever level. */
static const char *const complaints[] = {
	"ACPI BIOS Error", "ACPI BIOS Warning", "ACPI Error", "ACPI Warning", "ACPI Exception", "ACPI: Unable",
	"[Firmware Bug]", "[Firmware Warn]", "can't claim", "can't assign", "no compatible bridge window",
	"address space collision", "failed to assign", "no space for", "not reserved in ACPI", "conflicts with",
	"can't derive routing", "can't find IRQ", "nobody cared", "No irq handler", "BUG:", "WARNING:", "Oops",
	"general protection", "Call Trace", "failed command", "exception Emask", "hard resetting link",
	"softreset failed", "SRST failed", "qc timeout", "I/O error", "Spurious ACK", "unable to read",
	"probe failed", "probe with driver", "lost synchronization", "bad parity", "timed out",
};

/* Warnings that the same kernel gives on every virtual machine. */
static const char *const harmless[] = {
	"Processor Platform Limit event", "Consider compiling CPUfreq support", "Unknown kernel command line",
	"hrtimer: interrupt took", "LPM support broken", "applying quirks", "applying bridge limits", "Warning: unable to open an initial console",
	"CPU: vendor_id", "unpatched return thunk", "Speculative Return Stack", "MDS", "TAA", "MMIO Stale Data",
};

static bool contains_any(const char *line, const char *const *texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strstr(line, texts[i]))
			return true;
	return false;
}

static void check_boot_log(struct guest *guest)
{
	g_auto(GStrv) lines = NULL;
	unsigned bad = 0;

	guest_run(guest, 30, "log 4");
	lines = g_strsplit(guest_serial(guest), "\n", -1);
	for (unsigned i = 0; lines[i]; i++) {
		bool warning = g_str_has_prefix(lines[i], "agent: kernel <");

		if (!contains_any(lines[i], complaints, G_N_ELEMENTS(complaints)) &&
		    !(warning && !contains_any(lines[i], harmless, G_N_ELEMENTS(harmless))))
			continue;
		g_printerr("complaint: %s\n", lines[i]);
		bad++;
	}
	if (bad)
		guest_fail(guest, "the boot log has %u complaints", bad);
}

/* last: what Linux says of the disk after the rest, and what has to be in it. */
static void check_disk_identity(struct guest *guest, const char *name, const char *last, const char *expected)
{
	g_autofree char *command = g_strdup_printf("disk /dev/%s\n", name), *size = g_strdup_printf("%s size", name);

	guest_write(guest, command);
	g_assert_true(g_str_has_suffix(guest_wait_line(guest, size, 10), " 131072"));
	g_assert_true(g_str_has_suffix(guest_wait_line(guest, "queue/rotational", 10), " 0"));
	g_assert_false(g_str_has_suffix(guest_wait_line(guest, "queue/discard_max_bytes", 10), " 0"));
	g_assert_true(g_str_has_suffix(guest_wait_line(guest, "queue/write_cache", 10), " write back"));
	g_assert_nonnull(strstr(guest_wait_line(guest, last, 10), expected));
	guest_wait_line(guest, "done disk 0", 10);
}

static void check_disk(struct guest *guest, const char *name)
{
	guest_run(guest, 30, "fill /dev/%s 1048576 524288 0x5a", name);
	guest_run(guest, 30, "write /dev/%s 33554432 1048576 7", name);
	guest_run(guest, 30, "check /dev/%s 33554432 1048576 7", name);
	/* Across the end: the last sectors. */
	guest_run(guest, 30, "write /dev/%s %d 65536 9", name, DISK_SIZE - 65536);
	guest_run(guest, 30, "check /dev/%s %d 65536 9", name, DISK_SIZE - 65536);
	guest_run(guest, 30, "fill /dev/%s 16777216 1048576 0xff", name);
	guest_run(guest, 30, "trim /dev/%s 16777216 1048576", name);
}

/* A second disk, on NVMe. */
static char *add_nvme_disk(struct guest *guest)
{
	char *path = g_build_filename(guest_folder(guest), "nvme.img", NULL);
	int fd = g_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	g_assert_no_errno(fd);
	g_assert_no_errno(ftruncate(fd, DISK_SIZE));
	close(fd);
	guest_set(guest, "disk2", "path", "nvme.img");
	guest_set(guest, "disk2", "bus", "nvme");
	return path;
}

/* The agent's pattern: its own offset in every 16 bytes. */
static void check_image_pattern(const char *path)
{
	uint64_t words[2];
	int fd = g_open(path, O_RDONLY | O_CLOEXEC, 0);

	g_assert_no_errno(fd);
	for (uint64_t offset = 33554432; offset < 33554432 + 1048576; offset += 4096) {
		g_assert_cmpint(pread(fd, words, sizeof words, (off_t)offset), ==, sizeof words);
		g_assert_cmphex(words[0], ==, offset);
	}
	/* The trimmed range is a hole again. */
	g_assert_cmpint(lseek(fd, 16777216, SEEK_DATA), >=, 16777216 + 1048576);
	close(fd);
}

static void check_image_by_qemu(const char *path)
{
	g_autofree char *program = g_find_program_in_path("qemu-io");
	const char *arguments[] = { program, "-r", "-f", "raw", "-c", "read -P 0x5a 1048576 524288",
				    "-c", "read -P 0 524288 524288", "-c", "read -P 0 16777216 1048576", path, NULL };
	g_autoptr(GSubprocess) process = NULL;
	g_autofree char *output = NULL;

	if (!program) {
		g_test_message("qemu-io is missing: apt-get install qemu-utils");
		return;
	}
	process = g_subprocess_newv(arguments, G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_MERGE, NULL);
	g_assert_nonnull(process);
	g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &output, NULL, NULL));
	g_assert_cmpint(g_subprocess_get_exit_status(process), ==, 0);
	g_assert_null(strstr(output, "failed"));
	g_assert_nonnull(strstr(output, "read 524288/524288 bytes at offset 1048576"));
}

static char *hash_file(const char *path)
{
	g_autofree char *bytes = NULL;
	g_autoptr(GError) error = NULL;
	gsize size;

	g_file_get_contents(path, &bytes, &size, &error);
	g_assert_no_error(error);
	return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, size);
}

static void check_disc_contents(struct guest *guest, const char *path)
{
	g_autofree char *hash = hash_file(path);
	g_autofree char *expected = g_strdup_printf("output %s", hash);

	guest_write(guest, "run sha256sum /dev/sr0\n");
	guest_wait_line(guest, expected, 60);
	guest_wait_line(guest, "done run 0", 10);
}

static void check_discs(struct guest *guest, const char *data_disc, const char *other_disc)
{
	check_disc_contents(guest, data_disc);
	guest_run(guest, 20, "run mount -r -t iso9660 /dev/sr0 /mnt && cat /mnt/greeting.txt && umount /mnt");
	g_assert_nonnull(strstr(guest_serial(guest), "agent: output read from a disc"));
	g_variant_unref(guest_call(guest, "InsertDisc", g_variant_new("(is)", -1, other_disc)));
	check_disc_contents(guest, other_disc);
	g_variant_unref(guest_call(guest, "EjectDisc", g_variant_new("(ib)", -1, FALSE)));
	guest_write(guest, "run cat /dev/sr0\n");
	guest_wait_line(guest, "No medium found", 20);
	guest_wait_line(guest, "done run", 10);
}

static void expect_key(struct guest *guest, unsigned code, unsigned value)
{
	g_autofree char *line = g_strdup_printf(KEYBOARD "key %u %u", code, value);

	guest_wait_line(guest, line, 10);
}

static void check_keyboard(struct guest *guest)
{
	static const unsigned codes[] = { KEY_A, KEY_F12, KEY_UP, KEY_RIGHTCTRL, KEY_KPENTER, KEY_SYSRQ, KEY_PAUSE };

	guest_keys(guest, "a", "f12", "up", "rightctrl", "kpenter", "sysrq", "pause", NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(codes); i++) {
		expect_key(guest, codes[i], 1);
		expect_key(guest, codes[i], 0);
	}
	guest_type(guest, "Q");
	expect_key(guest, KEY_LEFTSHIFT, 1);
	expect_key(guest, KEY_Q, 1);
	expect_key(guest, KEY_Q, 0);
	expect_key(guest, KEY_LEFTSHIFT, 0);
}

static void check_mouse(struct guest *guest)
{
	guest_move(guest, 5, 0);
	guest_wait_line(guest, MOUSE "motion 0 5", 10);
	guest_move(guest, 0, -3);
	guest_wait_line(guest, MOUSE "motion 1 -3", 10);
	guest_button(guest, BTN_LEFT, true);
	guest_wait_line(guest, MOUSE "key 272 1", 10);
	guest_button(guest, BTN_LEFT, false);
	guest_wait_line(guest, MOUSE "key 272 0", 10);
	guest_button(guest, BTN_SIDE, true);
	guest_wait_line(guest, MOUSE "key 275 1", 10);
	guest_button(guest, BTN_SIDE, false);
	guest_wait_line(guest, MOUSE "key 275 0", 10);
}

static void test_devices(void)
{
	struct guest *guest = guest_new("linux");
	g_autofree char *disk = guest_add_disk(guest, NULL, DISK_SIZE), *nvme = add_nvme_disk(guest);
	g_autofree char *data_disc = harness_media("data.iso"), *other_disc = harness_media("grub.iso");

	guest_set_disc(guest, data_disc);
	/* Drawing the console is slow where ring 0 is emulated; the desktop's test looks at this display. */
	/* The mouse that is checked here is the PS/2 one. */
	guest_set(guest, "usb", "tablet", "false");
	guest_set_linux(guest, true, "drm_kms_helper.fbdev_emulation=0");
	guest_start(guest);
	guest_wait_line(guest, "agent: ready", 300);
	g_test_message("user space after %.1f s", guest_age(guest));
	guest_run(guest, 30, "wait /dev/sda");
	guest_run(guest, 30, "wait /dev/sr0");
	check_boot_log(guest);
	/* NCQ, minus the tag that Linux keeps for itself where it does. */
	check_disk_identity(guest, "sda", "device/queue_depth", " 3");
	check_disk(guest, "sda");
	guest_run(guest, 30, "wait /dev/nvme0n1");
	check_disk_identity(guest, "nvme0n1", "device/model", " Oriel NVMe Disk");
	check_disk(guest, "nvme0n1");
	check_discs(guest, data_disc, other_disc);
	check_keyboard(guest);
	check_mouse(guest);
	guest_write(guest, "poweroff\n");
	guest_wait_line(guest, "reboot: Power down", 20);
	guest_wait_end(guest, 10);
	g_test_message("everything after %.1f s", guest_age(guest));
	check_image_pattern(disk);
	check_image_by_qemu(disk);
	check_image_pattern(nvme);
	check_image_by_qemu(nvme);
	guest_free(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/linux/devices", test_devices);
	return harness_run();
}
