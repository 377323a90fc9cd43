/* Firmware images: the distribution's load, broken ones say why not. */
#include "../../vmm/firmware/rom.h"

#include <glib/gstdio.h>
#include <string.h>

typedef bool (*loader)(struct rom *rom, const char *path, GError **error);

static void test_distribution(void)
{
	GError *error = NULL;
	struct rom rom;

	g_assert_true(rom_load_bios(&rom, NULL, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(rom.size, ==, 256 << 10);
	g_assert_cmpuint((uintptr_t)rom.data % 4096, ==, 0);
	rom_free(&rom);
	g_assert_null(rom.data);
	g_assert_true(rom_load_vga(&rom, NULL, &error));
	g_assert_no_error(error);
	g_assert_cmphex(rom.data[0], ==, 0x55);
	rom_free(&rom);
	rom_free(&rom);
}

static void refuse(loader load, const void *data, gsize size, const char *word)
{
	g_autofree char *folder = g_dir_make_tmp("oriel-rom-XXXXXX", NULL);
	g_autofree char *path = g_build_filename(folder, "rom.bin", NULL);
	g_autoptr(GError) error = NULL;
	struct rom rom;

	if (data)
		g_assert_true(g_file_set_contents(path, data, (gssize)size, NULL));
	g_assert_false(load(&rom, path, &error));
	g_assert_null(rom.data);
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, path));
	g_assert_nonnull(strstr(error->message, word));
	g_unlink(path);
	g_assert_false(load(&rom, folder, NULL));
	g_rmdir(folder);
}

static void test_refused(void)
{
	g_autofree uint8_t *zeros = g_malloc0(17 << 20);
	uint8_t vga[1024] = { 0x55, 0xAA, 3 };

	refuse(rom_load_bios, NULL, 0, "machine.conf");
	refuse(rom_load_bios, zeros, 0, "size");
	refuse(rom_load_bios, zeros, 65535, "size");
	refuse(rom_load_bios, zeros, 17 << 20, "size");
	refuse(rom_load_bios, zeros, 65536, "reset vector");
	zeros[65536 + 511 - 15] = 0xEA;
	refuse(rom_load_bios, zeros, 65536 + 512, "64 KiB");
	refuse(rom_load_vga, NULL, 0, "machine.conf");
	refuse(rom_load_vga, zeros, 1024, "signature");
	refuse(rom_load_vga, zeros, 256 << 10, "size");
	refuse(rom_load_vga, vga, sizeof vga, "shorter");
	vga[2] = 0;
	refuse(rom_load_vga, vga, sizeof vga, "shorter");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/rom/distribution", test_distribution);
	g_test_add_func("/rom/refused", test_refused);
	return g_test_run();
}
