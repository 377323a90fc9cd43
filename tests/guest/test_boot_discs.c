/* Boot loaders and tools of the distribution, from its own discs: seen on the screen and driven by keys. */
#include "harness.h"

#define RESCUE_DISC "/usr/lib/grub-rescue/grub-rescue-cdrom.iso"
#define MEMTEST_DISC "/usr/lib/memtest86+/memtest86+x64.iso"
#define IPXE_DISC "/usr/lib/ipxe/ipxe.iso"

/* Without a network there is nothing to boot from before the disc's own menu or shell. */
static struct guest *boot(const char *name, const char *disc, const char *package)
{
	struct guest *guest;

	if (!g_file_test(disc, G_FILE_TEST_EXISTS)) {
		g_autofree char *reason = g_strdup_printf("%s is missing: apt-get install %s", disc, package);

		g_test_skip(reason);
		return NULL;
	}
	guest = guest_new(name);
	guest_set_disc(guest, disc);
	guest_set(guest, "network", "device", "none");
	guest_start(guest);
	return guest;
}

static void end(struct guest *guest)
{
	guest_keep_picture(guest, "end");
	g_test_message("%s: %.1f s", g_test_get_path(), guest_age(guest));
	g_variant_unref(guest_call(guest, "Stop", NULL));
	guest_wait_end(guest, 10);
	guest_free(guest);
}

struct entry {
	struct area area;
	uint32_t colour;
};

/* The bar that shows which entry is selected is drawn in inverse colours. */
static bool is_selected(const struct picture *picture, void *data)
{
	const struct entry *entry = data;

	return picture_main_colour(picture, entry->area) != entry->colour;
}

static void test_grub_rescue(void)
{
	struct guest *guest = boot("rescue", RESCUE_DISC, "grub-rescue-pc");
	struct entry entry;

	if (!guest)
		return;
	guest_wait_text(guest, "GNU GRUB  version", 120);
	entry.area = guest_wait_text(guest, "OpenBSD", 20);
	entry.colour = picture_main_colour(guest_look(guest), entry.area);
	guest_keep_picture(guest, "menu");
	guest_keys(guest, "down", "down", "down", "down", "down", NULL);
	guest_wait_screen(guest, is_selected, &entry, "the sixth entry selected", 20);
	guest_keys(guest, "c", NULL);
	guest_wait_text(guest, "grub>", 20);
	/* The command shows its words too, so what is looked for is put together by GRUB. */
	guest_type(guest, "set a=Ori; echo ${a}el answers\n");
	guest_wait_text(guest, "Oriel answers", 20);
	/* History with the cursor key, and the line's end changed. */
	guest_keys(guest, "up", "backspace", NULL);
	guest_type(guest, "ed\n");
	guest_wait_text(guest, "Oriel answered", 20);
	end(guest);
}

static bool is_blue(const struct picture *picture, void *data)
{
	struct area whole = picture_whole(picture);

	(void)data;
	return picture_count(picture, whole, 0x0000aa) > whole.width * whole.height / 2;
}

static bool differs(const struct picture *picture, void *data)
{
	struct picture *before = data;

	return picture_difference(picture, before, picture_whole(picture)) != 0;
}

static void test_memtest(void)
{
	struct guest *guest = boot("memtest", MEMTEST_DISC, "memtest86+");
	const struct picture *picture;
	struct picture before;

	if (!guest)
		return;
	/* Soon the plus becomes red. */
	guest_wait_text(guest, "Memtest86", 90);
	guest_wait_screen(guest, is_blue, NULL, "memtest's blue screen", 60);
	guest_wait_text(guest, "Testing", 60);
	/* It goes on: clocks and progress move. */
	picture = guest_look(guest);
	g_assert_nonnull(picture);
	before = *picture;
	before.pixels = g_memdup2(picture->pixels, (size_t)before.width * before.height * sizeof *before.pixels);
	guest_wait_screen(guest, differs, &before, "memtest's progress", 30);
	g_free(before.pixels);
	end(guest);
}

static bool is_in_shell(const struct picture *picture)
{
	struct area prompt;

	return picture && picture_find_text(picture, harness_font(), "iPXE>", &prompt);
}

static void test_ipxe(void)
{
	struct guest *guest = boot("ipxe", IPXE_DISC, "ipxe");

	if (!guest)
		return;
	/* It unpacks itself in protected mode, which is slow where that is emulated. */
	guest_wait_text(guest, "iPXE initialising devices", 180);
	/*
	 * It asks for this key for two seconds, too short to look for that: so it is tapped as somebody would who does not
	 * want to miss it. In the shell it moves the cursor.
	 */
	for (unsigned taps = 0; taps < 200 && !is_in_shell(guest_look(guest)); taps++)
		guest_keys(guest, "ctrl+b", NULL);
	guest_wait_text(guest, "iPXE>", 30);
	guest_type(guest, "echo Oriel ${platform}\n");
	guest_wait_text(guest, "Oriel pcbios", 20);
	end(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/boot-discs/grub-rescue", test_grub_rescue);
	g_test_add_func("/boot-discs/memtest", test_memtest);
	g_test_add_func("/boot-discs/ipxe", test_ipxe);
	return harness_run();
}
