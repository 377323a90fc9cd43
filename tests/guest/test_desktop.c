/* A small Debian desktop on the kernel's display driver: drawn, pointed at, typed into. */
#include "harness.h"

#include <linux/input-event-codes.h>

#define STEEL_BLUE 0x4682b4
#define WHITE 0xffffff
#define BLACK 0x000000
#define RED 0xcd0000 /* xterm's colour 1 */

/* xterm's cells, and where they begin on the screen. */
#define LEFT 44
#define CELL_WIDTH 6
#define CELL_HEIGHT 13
#define PROMPT "/ # "
/* Typed at once: the kernel keeps 64 events for a reader, forgets them all when there are more, and a key has six. */
#define STROKES 4

/* A terminal: a large white area below a title in the window manager's colour. */
static bool sees_terminal(const struct picture *picture, void *data)
{
	struct area title = { 40, 40, 600, 20 }, inside = { 44, 64, 590, 500 };

	(void)data;
	return picture->width == 1024 && picture->height == 768 && picture_count(picture, title, STEEL_BLUE) > 2000 &&
		picture_count(picture, inside, WHITE) > 590 * 500 * 9 / 10;
}

/* The window manager hatches the title of the window that has the keyboard. */
static bool terminal_has_keyboard(const struct picture *picture, void *data)
{
	struct area middle = { 90, 45, 520, 12 };

	(void)data;
	return picture_count(picture, middle, WHITE) > 520 * 12 / 4;
}

/* The cursor of a terminal that has the keyboard: a black cell, in this column. */
struct cursor {
	unsigned column;
	unsigned above; /* its row's first line on the screen is not above this one */
	unsigned y;     /* found */
};

static bool sees_cursor(const struct picture *picture, void *data)
{
	struct cursor *cursor = data;
	struct area cell = { LEFT + cursor->column * CELL_WIDTH, cursor->above, CELL_WIDTH, CELL_HEIGHT };

	for (; cell.y < 500; cell.y++) {
		if (picture_count(picture, cell, BLACK) == CELL_WIDTH * CELL_HEIGHT) {
			cursor->y = cell.y;
			return true;
		}
	}
	return false;
}

/* At a prompt not above a line of the screen; each few characters wait for those before. Returns the prompt's row. */
static unsigned type_line(struct guest *guest, const char *text, unsigned above)
{
	struct cursor cursor = { .column = strlen(PROMPT), .above = above };

	guest_wait_screen(guest, sees_cursor, &cursor, "the shell's prompt", 120);
	cursor.above = cursor.y;
	while (*text) {
		g_autofree char *some = g_strndup(text, STROKES);

		guest_type(guest, some);
		text += strlen(some);
		cursor.column += (unsigned)strlen(some);
		guest_wait_screen(guest, sees_cursor, &cursor, some, 60);
	}
	guest_keys(guest, "enter", NULL);
	return cursor.y;
}

static bool sees_red_terminal(const struct picture *picture, void *data)
{
	struct area inside = { 44, 64, 590, 500 };

	(void)data;
	return picture_count(picture, inside, RED) > 590 * 500 * 9 / 10;
}

/* The window manager's menu on the black background. */
static bool sees_menu(const struct picture *picture, void *data)
{
	struct area background = { 660, 0, 364, 768 };

	(void)data;
	return picture_count(picture, background, WHITE) > 4000;
}

static void test_desktop(void)
{
	struct guest *guest = guest_new("desktop");
	g_autofree char *image = harness_media("desktop.ext4"), *disk = guest_add_disk(guest, image, 0);
	unsigned row;

	guest_set(guest, "machine", "memory", "256");
	guest_set(guest, "display", "width", "1024");
	guest_set(guest, "display", "height", "768");
	guest_set(guest, "usb", "tablet", "false"); /* relative motion is what is tried here */
	guest_set_linux(guest, false, "drm_kms_helper.fbdev_emulation=0 root=/dev/sda rw init=/init");
	guest_start(guest);
	guest_wait_line(guest, "desktop: started", 240);
	g_test_message("init after %.1f s", guest_age(guest));
	guest_wait_line(guest, "desktop: display", 240);
	g_test_message("Xorg after %.1f s", guest_age(guest));
	guest_wait_screen(guest, sees_terminal, NULL, "a terminal", 240);
	g_test_message("terminal after %.1f s", guest_age(guest));
	guest_keep_picture(guest, "terminal");

	/* From the middle of the screen into the terminal, which takes the keyboard with the pointer. */
	guest_move(guest, -100, -100);
	guest_wait_screen(guest, terminal_has_keyboard, NULL, "the terminal having the keyboard", 60);
	row = type_line(guest, "echo $((6*7)) typed >/dev/ttyS0", 64);
	guest_wait_line(guest, "42 typed", 60);
	g_test_message("first line typed after %.1f s", guest_age(guest));
	type_line(guest, "printf '\\033[41m\\033[2J'", row + CELL_HEIGHT);
	guest_wait_screen(guest, sees_red_terminal, NULL, "a red terminal", 60);
	guest_keep_picture(guest, "typed");

	for (unsigned i = 0; i < 4; i++)
		guest_move(guest, 100, 0);
	guest_button(guest, BTN_LEFT, true);
	guest_wait_screen(guest, sees_menu, NULL, "the menu", 60);
	guest_keep_picture(guest, "menu");
	guest_button(guest, BTN_LEFT, false);
	g_test_message("everything after %.1f s", guest_age(guest));
	guest_free(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/desktop/terminal", test_desktop);
	return harness_run();
}
