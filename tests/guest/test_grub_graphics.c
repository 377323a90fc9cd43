/* GRUB's menu in the VBE mode 1024x768 at 32 bits. */
#include "harness.h"

#define BLUE 0x0000a8 /* in GRUB's own palette of terminal colours */

struct search {
	const struct font *font;
	const char *text;
	struct area found;
};

static bool sees(const struct picture *picture, void *data)
{
	struct search *search = data;

	return picture->width == 1024 && picture->height == 768 &&
		picture_find_text(picture, search->font, search->text, &search->found);
}

static struct area wait_for(struct guest *guest, const struct font *font, const char *text, unsigned seconds)
{
	struct search search = { .font = font, .text = text };

	guest_wait_screen(guest, sees, &search, text, seconds);
	return search.found;
}

struct selection {
	struct area entry;
	uint32_t before;
};

static bool is_selected(const struct picture *picture, void *data)
{
	struct selection *selection = data;

	return picture_main_colour(picture, selection->entry) != selection->before;
}

static void test_menu(void)
{
	struct guest *guest = guest_new("grub");
	g_autofree char *disc = harness_media("grub.iso");
	g_autoptr(GError) error = NULL;
	struct font *font = font_from_pf2("/usr/share/grub/ascii.pf2", &error);
	struct selection second;
	struct area first;

	g_assert_no_error(error);
	guest_set_disc(guest, disc);
	/* Room for one page only: with two, GRUB copies a whole one, byte by byte, for each time that it shows the other. */
	guest_set(guest, "display", "vram", "4");
	guest_start(guest);
	second.entry = wait_for(guest, font, "Entry two", 300);
	first = wait_for(guest, font, "Entry one", 30);
	g_assert_cmpuint(first.x, ==, second.entry.x);
	g_assert_cmpuint(first.y + first.height, ==, second.entry.y);
	g_test_message("menu after %.1f s", guest_age(guest));
	guest_keep_picture(guest, "menu");
	second.before = picture_main_colour(guest_look(guest), second.entry);
	g_assert_cmphex(second.before, ==, BLUE);
	guest_keys(guest, "down", NULL);
	g_test_message("key taken after %.1f s", guest_age(guest));
	guest_wait_screen(guest, is_selected, &second, "the second entry selected", 30);
	guest_keys(guest, "enter", NULL);
	wait_for(guest, font, "The second entry was chosen", 60);
	guest_keep_picture(guest, "end");
	g_test_message("everything after %.1f s", guest_age(guest));
	guest_free(guest);
	font_free(font);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/grub-graphics/menu", test_menu);
	return harness_run();
}
