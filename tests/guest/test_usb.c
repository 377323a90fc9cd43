/*
 * USB as firmware and Linux drive it: SeaBIOS starts GRUB from a stick and reads a USB keyboard; Linux has a tablet, a
 * keyboard, a stick from the start, and one that comes and goes.
 */
#include "harness.h"

#include <glib/gstdio.h>
#include <linux/input-event-codes.h>
#include <string.h>

#define MIB (1024 * 1024)
#define STICK_SIZE (8 * MIB)
#define TABLET "input Oriel USB Tablet: "
#define KEYBOARD "input Oriel USB Keyboard: "

static uint64_t transfers(struct guest *guest, unsigned port)
{
	g_autofree char *name = g_strdup_printf("usb%u.transfers", port);

	return guest_counter(guest, name);
}

static void test_firmware(void)
{
	struct guest *guest = guest_new("stick");
	g_autofree char *stick = harness_media("grub-stick.img");
	uint64_t before;

	guest_set(guest, "usb", "keyboard", "true");
	guest_set(guest, "usb", "tablet", "false");
	guest_set(guest, "network", "device", "none");
	guest_set(guest, "stick0", "path", "%s", stick);
	guest_set(guest, "stick0", "read-only", "true");
	/* It comes before a disc that could be started too. */
	guest_set_test_disc(guest);
	guest_set(guest, "machine", "boot", "stick");
	guest_start(guest);
	guest_wait_text(guest, "Entry two", 300);
	g_test_message("menu after %.1f s", guest_age(guest));
	g_assert_cmpuint(guest_counter(guest, "usb1.read.bytes"), >, 40000);
	before = transfers(guest, 0);
	guest_keys(guest, "down", "enter", NULL);
	guest_wait_text(guest, "The second entry was chosen", 60);
	guest_wait_text(guest, "read from a stick", 30);
	/* Two keys, pressed and released, came by USB and not by PS/2. */
	g_assert_cmpuint(transfers(guest, 0), >=, before + 4);
	g_test_message("everything after %.1f s", guest_age(guest));
	guest_free(guest);
}

static char *make_stick(struct guest *guest, const char *name, unsigned seed, char **hash)
{
	char *path = g_build_filename(guest_folder(guest), name, NULL);
	GRand *rand = g_rand_new_with_seed(seed);
	g_autofree guint32 *words = g_new(guint32, STICK_SIZE / 4);

	for (unsigned i = 0; i < STICK_SIZE / 4; i++)
		words[i] = g_rand_int(rand);
	g_rand_free(rand);
	g_assert_true(g_file_set_contents(path, (const char *)words, STICK_SIZE, NULL));
	*hash = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)words, STICK_SIZE);
	return path;
}

static void point(struct guest *guest, int x, int y)
{
	g_autoptr(GVariantBuilder) events = g_variant_builder_new(G_VARIANT_TYPE("a(qqi)"));

	g_variant_builder_add(events, "(qqi)", EV_ABS, ABS_X, x);
	g_variant_builder_add(events, "(qqi)", EV_ABS, ABS_Y, y);
	g_variant_unref(guest_call(guest, "SendEvents", g_variant_new("(a(qqi))", events)));
}

static void check_tablet(struct guest *guest)
{
	point(guest, 12345, 321);
	guest_wait_line(guest, TABLET "position 0 12345", 30);
	guest_wait_line(guest, TABLET "position 1 321", 30);
	point(guest, 32767, 32767);
	guest_wait_line(guest, TABLET "position 0 32767", 30);
	guest_wait_line(guest, TABLET "position 1 32767", 30);
	guest_button(guest, BTN_LEFT, true);
	guest_wait_line(guest, TABLET "key 272 1", 30);
	guest_button(guest, BTN_LEFT, false);
	guest_wait_line(guest, TABLET "key 272 0", 30);
	g_variant_unref(guest_call(guest, "SendEvents", g_variant_new_parsed("([(%q, %q, -1)],)", EV_REL, REL_WHEEL)));
	guest_wait_line(guest, TABLET "motion 8 -1", 30);
}

static void check_keyboard(struct guest *guest)
{
	guest_keys(guest, "a", "f12", "rightctrl", NULL);
	guest_wait_line(guest, KEYBOARD "key 30 1", 30);
	guest_wait_line(guest, KEYBOARD "key 30 0", 30);
	guest_wait_line(guest, KEYBOARD "key 88 1", 30);
	guest_wait_line(guest, KEYBOARD "key 97 1", 30);
}

static void expect_hash(struct guest *guest, const char *device, const char *hash)
{
	g_autofree char *expected = g_strdup_printf("output %s", hash);
	g_autofree char *command = g_strdup_printf("run sha256sum %s\n", device);

	guest_write(guest, command);
	guest_wait_line(guest, expected, 120);
	guest_wait_line(guest, "done run 0", 30);
}

static void check_hotplug(struct guest *guest)
{
	g_autofree char *hash = NULL;
	g_autofree char *path = make_stick(guest, "second.img", 2, &hash);
	g_autoptr(GError) error = NULL;

	g_variant_unref(guest_call(guest, "PlugStick", g_variant_new("(sb)", path, TRUE)));
	guest_run(guest, 120, "wait /dev/sdb");
	expect_hash(guest, "/dev/sdb", hash);
	g_assert_null(guest_try_call(guest, "PlugStick", g_variant_new("(sb)", "/nonexistent.img", FALSE), &error));
	g_assert_nonnull(strstr(error->message, "/nonexistent.img"));
	g_variant_unref(guest_call(guest, "UnplugStick", g_variant_new("(sb)", path, FALSE)));
	guest_run(guest, 120, "run while [ -e /dev/sdb ]; do busybox sleep 1; done");
}

static void check_stick(struct guest *guest, const char *path, const char *hash)
{
	g_autofree char *bytes = NULL;
	g_autoptr(GError) error = NULL;

	guest_run(guest, 120, "wait /dev/sda");
	expect_hash(guest, "/dev/sda", hash);
	guest_run(guest, 60, "write /dev/sda 1048576 1048576 5");
	guest_run(guest, 60, "check /dev/sda 1048576 1048576 5");
	g_assert_true(g_file_get_contents(path, &bytes, NULL, &error));
	for (uint64_t offset = MIB; offset < 2 * MIB; offset += 4096) {
		uint64_t word;

		memcpy(&word, bytes + offset, sizeof word);
		g_assert_cmphex(word, ==, offset);
	}
}

static void test_linux(void)
{
	struct guest *guest = guest_new("usb");
	g_autofree char *hash = NULL;
	g_autofree char *path = make_stick(guest, "first.img", 1, &hash);
	uint64_t transferred;

	guest_set(guest, "usb", "keyboard", "true");
	guest_set(guest, "network", "device", "none");
	guest_set(guest, "sound", "device", "none");
	guest_set(guest, "stick0", "path", "%s", path);
	guest_set_linux(guest, true, "drm_kms_helper.fbdev_emulation=0");
	guest_start(guest);
	guest_wait_line(guest, "agent: ready", 600);
	/* Power button, two keyboards, tablet and PS/2 mouse. */
	guest_run(guest, 120, "inputs 5");
	check_tablet(guest);
	check_keyboard(guest);
	check_stick(guest, path, hash);
	check_hotplug(guest);
	/* While nothing happens nothing is transferred. */
	transferred = transfers(guest, 0) + transfers(guest, 1) + transfers(guest, 2);
	guest_run(guest, 60, "run busybox sleep 3");
	g_assert_cmpuint(transfers(guest, 0) + transfers(guest, 1) + transfers(guest, 2), ==, transferred);
	guest_write(guest, "poweroff\n");
	guest_wait_end(guest, 60);
	g_test_message("everything after %.1f s", guest_age(guest));
	guest_free(guest);
}

/* The second page of the test disc has network, USB and sound. */
static void test_disc(void)
{
	struct guest *guest = guest_new("devices");
	g_autofree char *hash = NULL;
	g_autofree char *path = make_stick(guest, "stick.img", 1, &hash);

	guest_set_test_disc(guest);
	guest_set(guest, "stick0", "path", "%s", path);
	guest_set(guest, "sound", "backend", "null");
	guest_set(guest, "network", "mac", "52:54:00:0a:0b:0c");
	guest_start(guest);
	guest_wait_line(guest, "screen", 90);
	guest_keys(guest, "f2", NULL);
	guest_wait_line(guest, "network: Intel 82574L 52:54:00:0a:0b:0c, link up", 30);
	guest_wait_line(guest, "network: offered 10.0.2.15 by 10.0.2.2", 30);
	guest_wait_line(guest, "usb: port 1, 480 Mbit/s, USB Tablet", 30);
	guest_wait_line(guest, "usb: port 10, 5 Gbit/s", 30);
	guest_wait_line(guest, "devices", 30);
	guest_keep_picture(guest, "devices");
	guest_keys(guest, "t", NULL);
	guest_wait_line(guest, "sound: 4", 30);
	/* Without the cable nobody is asked. */
	g_variant_unref(guest_call(guest, "SetLink", g_variant_new("(b)", FALSE)));
	guest_keys(guest, "f2", NULL);
	guest_wait_line(guest, "network: Intel 82574L 52:54:00:0a:0b:0c, link down", 30);
	guest_wait_line(guest, "devices", 30);
	guest_keys(guest, "f1", NULL);
	g_assert_cmpstr(guest_ask(guest, 30, "ping"), !=, NULL);
	guest_free(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/usb/firmware", test_firmware);
	g_test_add_func("/usb/linux", test_linux);
	g_test_add_func("/usb/test-disc", test_disc);
	return harness_run();
}
