/* An NVMe disk: SeaBIOS starts GRUB from it, and the test disc's driver uses it. */
#include "harness.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define MIB (1024 * 1024)

static void test_boot(void)
{
	struct guest *guest = guest_new("boot");
	g_autofree char *image = harness_media("grub.img"), *disk = guest_add_disk(guest, image, 4 * MIB);

	guest_set(guest, "disk0", "bus", "nvme");
	guest_start(guest);
	guest_wait_line(guest, "GRUB runs from", 120);
	guest_wait_line(guest, "read from the middle", 60);
	guest_wait_line(guest, "GRUB is done", 30);
	g_test_message("GRUB after %.1f s", guest_age(guest));
	g_assert_cmpuint(guest_counter(guest, "disk0.read.operations"), >, 1);
	g_assert_cmpuint(guest_counter(guest, "disk0.read.errors"), ==, 0);
	guest_free(guest);
}

/* What the test disc writes: a number made from the sector and the place in it. */
static void check_image(const char *path, uint64_t sector, unsigned count)
{
	g_autofree uint32_t *words = g_malloc(count * 512);
	int fd = g_open(path, O_RDONLY | O_CLOEXEC, 0);

	g_assert_no_errno(fd);
	g_assert_cmpint(pread(fd, words, count * 512, (off_t)(sector * 512)), ==, count * 512);
	close(fd);
	for (unsigned i = 0; i < count * 128; i++)
		g_assert_cmphex(words[i], ==, (uint32_t)sector * 0x9E3779B1u + i);
}

static void test_disc(void)
{
	struct guest *guest = guest_new("disc");
	g_autofree char *disk = guest_add_disk(guest, NULL, 64 * MIB);

	guest_set(guest, "disk0", "bus", "nvme");
	guest_set_test_disc(guest);
	guest_start(guest);
	guest_wait_line(guest, "screen", 120);
	/* one page, two, a list of them; the last sectors, and beyond */
	g_assert_cmpstr(guest_ask(guest, 30, "nvme-check 1000 8"), ==, "nvme-check good");
	g_assert_cmpstr(guest_ask(guest, 30, "nvme-check 2000 16"), ==, "nvme-check good");
	g_assert_cmpstr(guest_ask(guest, 30, "nvme-check 4000 2048"), ==, "nvme-check good");
	g_assert_cmpstr(guest_ask(guest, 30, "nvme-check 131071 1"), ==, "nvme-check good");
	g_assert_cmpstr(guest_ask(guest, 30, "nvme-check 131071 2"), ==, "nvme-check bad");
	check_image(disk, 1000, 8);
	check_image(disk, 2000, 16);
	check_image(disk, 4000, 2048);
	check_image(disk, 131071, 1);
	/* many at once */
	g_assert_cmpstr(guest_ask(guest, 60, "nvme read random 4096 32 4194304"), !=, "nvme 0");
	g_assert_cmpuint(guest_counter(guest, "disk0.read.operations"), >=, 1024);
	guest_free(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/nvme/boot", test_boot);
	g_test_add_func("/nvme/disc", test_disc);
	return harness_run();
}
