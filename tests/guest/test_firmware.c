/* What somebody sees who starts a machine without anything to start from. */
#include "harness.h"

static void test_no_disc(void)
{
	struct guest *guest = guest_new("nodisc");

	guest_set(guest, "cd1", "read-only", "true");
	guest_start(guest);
	guest_wait_text(guest, "SeaBIOS (version", 30);
	guest_wait_text(guest, "No bootable device.", 60);
	guest_keep_picture(guest, "end");
	guest_free(guest);
}

static void test_data_disc(void)
{
	struct guest *guest = guest_new("datadisc");
	g_autofree char *disc = harness_media("data.iso");

	guest_set_disc(guest, disc);
	guest_start(guest);
	guest_wait_text(guest, "Booting from DVD/CD...", 60);
	guest_wait_text(guest, "Boot failed: Could not read from CDROM", 60);
	guest_wait_text(guest, "No bootable device.", 60);
	guest_keep_picture(guest, "end");
	guest_free(guest);
}

static void test_empty_disk(void)
{
	struct guest *guest = guest_new("emptydisk");
	g_autofree char *path = guest_add_disk(guest, NULL, 1 << 20);

	guest_start(guest);
	guest_wait_text(guest, "Booting from Hard Disk...", 60);
	guest_wait_text(guest, "Boot failed: not a bootable disk", 60);
	guest_keep_picture(guest, "end");
	g_variant_unref(guest_call(guest, "Stop", NULL));
	guest_wait_end(guest, 10);
	guest_free(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/firmware/no-disc", test_no_disc);
	g_test_add_func("/firmware/disc-without-system", test_data_disc);
	g_test_add_func("/firmware/disk-without-system", test_empty_disk);
	return harness_run();
}
