/* When the display is looked at, what it then costs, and that an idle screen costs nothing. */
#include "vga_fixture.h"

/* Timers pending on the clock. */
static unsigned wakeups(struct rig *rig)
{
	return rig->machine->vm.clock.timers->len;
}

static struct rig *linear_rig(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_03);
	rig_dispi_mode(rig, 640, 480, 32);
	return rig;
}

static void check_damage(struct rig *rig, unsigned first, unsigned end)
{
	struct scanout_damage damage = rig_take(rig, NULL);

	g_assert_cmpuint(damage.first, ==, first);
	g_assert_cmpuint(damage.end, ==, end);
}

static void check_no_damage(struct rig *rig)
{
	struct scanout_damage damage = rig_take(rig, NULL);

	g_assert_cmpuint(damage.first, >=, damage.end);
}

/* A guest's write where the slot lets it through: no exit, only a dirty bit. */
static void touch(struct rig *rig, uint32_t offset)
{
	g_assert_false(rig->vga->vram_slot->flags & MEMORY_READONLY);
	rig->vga->vram[offset]++;
	if (rig->vga->vram_slot->flags & MEMORY_LOG_DIRTY)
		fake_machine_touch(rig->machine, RIG_VRAM_BASE + offset);
}

static void test_unwatched(void)
{
	struct rig *rig = linear_rig();

	g_assert_cmpuint(wakeups(rig), ==, 0);
	g_assert_cmpuint(rig->vga->vram_slot->flags, ==, 0);
	touch(rig, 0);
	fake_write(rig->machine, 0xA0000, 4, 1);
	rig_set(rig, 0x3D4, 0x0C, 1);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	g_assert_cmpuint(rig->scanout.picture.width, ==, 0);
	/* Nobody watches, but somebody asks. */
	vga_refresh_now(rig->vga);
	g_assert_cmpuint(rig->scanout.picture.width, ==, 640);
	g_assert_cmpuint(wakeups(rig), ==, 0);

	rig_watch(rig);
	g_assert_cmpuint(rig->vga->vram_slot->flags, ==, MEMORY_LOG_DIRTY);
	g_assert_cmpuint(wakeups(rig), ==, 1);
	check_damage(rig, 0, 480);
	rig_unwatch(rig);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	g_assert_cmpuint(rig->vga->vram_slot->flags, ==, 0);
	rig_free(rig);
}

/* 640 * 4 = 2560 bytes a row; a page is known only whole. */
static void test_linear_damage(void)
{
	struct rig *rig = linear_rig();

	rig_watch(rig);
	check_damage(rig, 0, 480);
	rig_advance(rig, 40);
	check_no_damage(rig);
	touch(rig, 10 * MEMORY_PAGE);
	rig_advance(rig, 17);
	check_damage(rig, 10 * MEMORY_PAGE / 2560, (11 * MEMORY_PAGE - 1) / 2560 + 1);
	touch(rig, 10 * MEMORY_PAGE);
	touch(rig, 100 * MEMORY_PAGE);
	rig_advance(rig, 17);
	check_damage(rig, 10 * MEMORY_PAGE / 2560, (101 * MEMORY_PAGE - 1) / 2560 + 1);
	/* Outside of the picture. */
	touch(rig, 640 * 480 * 4 + MEMORY_PAGE);
	rig_advance(rig, 17);
	check_no_damage(rig);
	rig_unwatch(rig);
	rig_free(rig);
}

/* To the look that is due next. */
static uint64_t next_look(struct rig *rig)
{
	uint64_t deadline = rig->vga->timer.deadline;

	clock_advance(&rig->machine->vm.clock, deadline - clock_now(&rig->machine->vm.clock));
	return deadline;
}

static void test_idle_protocol(void)
{
	struct rig *rig = linear_rig();
	unsigned looks = 0;

	rig_watch(rig);
	rig_advance(rig, 100);
	touch(rig, 0);
	rig_advance(rig, 17);
	check_damage(rig, 0, 480);
	/* Polled slowly for a while ... */
	rig_advance(rig, 1000);
	g_assert_cmpuint(wakeups(rig), ==, 1);
	for (uint64_t last = 0; looks < 3; looks++) {
		uint64_t now = next_look(rig);

		if (last)
			g_assert_cmpuint(now - last, ==, NSEC_PER_SEC / 30);
		last = now;
	}
	check_no_damage(rig);
	/* ... then not at all. */
	rig_advance(rig, 1500);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	g_assert_cmpuint(rig->vga->vram_slot->flags, ==, MEMORY_READONLY);
	rig_take(rig, NULL);

	/* The next write comes as an exit: it is done, shown soon, and those after it run free again. */
	fake_write(rig->machine, RIG_VRAM_BASE + 2560 * 7, 4, 0x00123456);
	g_assert_cmpmem(rig->vga->vram + 2560 * 7, 4, "\x56\x34\x12\x00", 4);
	g_assert_cmpuint(rig->vga->vram_slot->flags, ==, MEMORY_LOG_DIRTY);
	g_assert_cmpuint(wakeups(rig), ==, 1);
	rig_advance(rig, 4);
	check_damage(rig, 7, 8);
	touch(rig, 0);
	rig_advance(rig, 17);
	check_damage(rig, 0, 2);
	rig_unwatch(rig);
	rig_free(rig);
}

/* A key's effect is looked for at once, not at the next of the regular looks. */
static void test_expected_change(void)
{
	struct rig *rig = linear_rig();
	uint64_t start, last;

	rig_watch(rig);
	rig_advance(rig, 1000);
	rig_take(rig, NULL);
	start = next_look(rig);
	rig_advance(rig, 10);
	vga_expect_change(rig->vga);
	touch(rig, 0);
	g_assert_cmpuint(wakeups(rig), ==, 1);
	last = next_look(rig);
	g_assert_cmpuint(last - start, <, 15 * NSEC_PER_SEC / 1000);
	check_damage(rig, 0, 2);
	/* An answer that takes longer is found soon, too ... */
	touch(rig, 0);
	g_assert_cmpuint(next_look(rig) - last, ==, NSEC_PER_SEC / 120);
	check_damage(rig, 0, 2);
	/* ... and then all is as before. */
	rig_advance(rig, 1000);
	last = next_look(rig);
	g_assert_cmpuint(next_look(rig) - last, ==, NSEC_PER_SEC / 30);
	rig_advance(rig, 2000);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	/* What is noticed by itself need not be looked for. */
	vga_expect_change(rig->vga);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	rig_unwatch(rig);
	vga_expect_change(rig->vga);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	rig_free(rig);
}

static void touch_all(struct rig *rig)
{
	for (uint32_t offset = 0; offset < 640 * 480 * 4; offset += MEMORY_PAGE)
		touch(rig, offset);
}

/* A guest that draws everything again and again is not slowed down by the log at every look. */
static void test_animation(void)
{
	struct rig *rig = linear_rig();

	rig_watch(rig);
	rig_take(rig, NULL);
	/* A whole change or two is no animation yet. */
	for (unsigned i = 0; i < 2; i++) {
		touch_all(rig);
		rig_advance(rig, 17);
		check_damage(rig, 0, 480);
	}
	rig_advance(rig, 17);
	check_no_damage(rig);
	for (unsigned i = 0; i < 3; i++) {
		touch_all(rig);
		rig_advance(rig, 17);
		check_damage(rig, 0, 480);
	}
	/* Without a look into the log: what is written meanwhile is still in it afterwards. */
	touch(rig, 100 * MEMORY_PAGE);
	for (unsigned i = 0; i < 7; i++) {
		rig_advance(rig, 17);
		check_damage(rig, 0, 480);
	}
	rig_advance(rig, 17);
	check_damage(rig, 100 * MEMORY_PAGE / 2560, (101 * MEMORY_PAGE - 1) / 2560 + 1);
	touch(rig, 0);
	rig_advance(rig, 17);
	check_damage(rig, 0, 2);
	rig_unwatch(rig);
	rig_free(rig);
}

/* Something that changes once a second never costs a change of the slot. */
static void test_slow_blinking(void)
{
	struct rig *rig = linear_rig();

	rig_watch(rig);
	for (unsigned i = 0; i < 10; i++) {
		touch(rig, 0);
		rig_advance(rig, 1000);
		g_assert_cmpuint(rig->vga->vram_slot->flags, ==, MEMORY_LOG_DIRTY);
	}
	rig_unwatch(rig);
	rig_free(rig);
}

static struct rig *text_rig(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_03);
	rig_set(rig, 0x3D4, 0x0A, 0x20);
	rig_watch(rig);
	rig_advance(rig, 3000);
	rig_take(rig, NULL);
	return rig;
}

/* Without a cursor a text screen sleeps; a character wakes it once. */
static void test_text_idle(void)
{
	struct rig *rig = text_rig();

	g_assert_cmpuint(wakeups(rig), ==, 0);
	g_assert_false(rig->vga->window.coalesced);
	/* Same as before: nothing to see. */
	fake_write(rig->machine, 0xB8000, 2, 0x0000);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	fake_write(rig->machine, 0xB8000 + 160 * 2, 2, 0x4041);
	g_assert_cmpuint(wakeups(rig), ==, 1);
	rig_advance(rig, 4);
	check_damage(rig, 32, 48);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	rig_unwatch(rig);
	rig_free(rig);
}

static void test_text_burst(void)
{
	struct rig *rig = text_rig();

	for (unsigned i = 0; i < 64; i++)
		fake_write(rig->machine, 0xB8000 + 2 * i, 2, 0x1041);
	g_assert_true(rig->vga->window.coalesced);
	rig_advance(rig, 100);
	check_damage(rig, 0, 16);
	g_assert_true(rig->vga->window.coalesced);
	/* Seen by the poll, as queued writes would be. */
	fake_write(rig->machine, 0xB8000 + 160, 2, 0x2042);
	rig_advance(rig, 17);
	check_damage(rig, 16, 32);
	rig_advance(rig, 300);
	g_assert_false(rig->vga->window.coalesced);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	rig_unwatch(rig);
	rig_free(rig);
}

/* A cursor wakes at its own rate, and not at all once it is hidden or nobody looks. */
static void test_cursor_wakeups(void)
{
	struct rig *rig = text_rig();
	uint64_t first;

	fake_write(rig->machine, 0xB8000, 2, 0x0700);
	rig_set(rig, 0x3D4, 0x0A, 13);
	rig_set(rig, 0x3D4, 0x0B, 14);
	rig_advance(rig, 1000);
	g_assert_cmpuint(wakeups(rig), ==, 1);
	first = rig->vga->timer.deadline;
	g_assert_cmpuint(first % VGA_BLINK_PERIOD, ==, 0);
	clock_advance(&rig->machine->vm.clock, first - clock_now(&rig->machine->vm.clock));
	g_assert_cmpuint(rig->vga->timer.deadline, ==, first + VGA_BLINK_PERIOD);
	check_damage(rig, 13, 15);
	/* Off the screen. */
	rig_set(rig, 0x3D4, 0x0E, 0x10);
	rig_advance(rig, 50);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	rig_set(rig, 0x3D4, 0x0E, 0x00);
	rig_advance(rig, 50);
	g_assert_cmpuint(wakeups(rig), ==, 1);
	rig_unwatch(rig);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	rig_free(rig);
}

/* Planar modes: pixels that did not change are no damage, whatever was written. */
static void test_planar_damage(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_12);
	rig_watch(rig);
	rig_take(rig, NULL);
	fake_write(rig->machine, 0xA0000 + 80 * 100 + 79, 1, 0x01);
	rig_advance(rig, 17);
	check_damage(rig, 100, 101);
	/* Invisible: behind the picture. */
	fake_write(rig->machine, 0xA0000 + 80 * 480 + 200, 1, 0x01);
	rig_advance(rig, 17);
	check_no_damage(rig);
	/* Start address: everything moves up one line, which shows at the one dot only. */
	rig_set(rig, 0x3D4, 0x0D, 80);
	rig_advance(rig, 17);
	check_damage(rig, 99, 101);
	rig_unwatch(rig);
	rig_free(rig);
}

/* The mapped window has a log of its own. */
static void test_window_log(void)
{
	struct rig *rig = rig_new();

	rig_set_mode(rig, &rig_mode_13);
	rig_watch(rig);
	for (unsigned i = 0; i < 64; i++)
		fake_write(rig->machine, 0xA0000, 1, i);
	g_assert_nonnull(rig->vga->window_slot);
	g_assert_cmpuint(rig->vga->window_slot->flags, ==, MEMORY_LOG_DIRTY);
	rig_advance(rig, 50);
	rig_take(rig, NULL);
	rig->vga->vram[320 * 100] = 9;
	fake_machine_touch(rig->machine, 0xA0000 + 320 * 100);
	rig_advance(rig, 17);
	check_damage(rig, 200, 202);
	rig_advance(rig, 4000);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	g_assert_cmpuint(rig->vga->window_slot->flags, ==, MEMORY_READONLY);
	check_no_damage(rig);
	fake_write(rig->machine, 0xA0000 + 320 * 50, 1, 7);
	g_assert_cmpuint(rig->vga->window_slot->flags, ==, MEMORY_LOG_DIRTY);
	rig_advance(rig, 17);
	check_damage(rig, 100, 102);
	rig_unwatch(rig);
	rig_free(rig);
}

/* A palette is published with the picture; no pixel is drawn again. */
static void test_palette_fade(void)
{
	struct rig *rig = rig_new();
	struct scanout_picture before, after;

	rig_set_mode(rig, &rig_mode_13);
	rig_watch(rig);
	rig_take(rig, &before);
	rig_set_dac(rig, 0, 63, 63, 63);
	rig_advance(rig, 17);
	rig_take(rig, &after);
	g_assert_true(before.memory == after.memory);
	g_assert_cmpuint(before.serial, !=, after.serial);
	g_assert_cmphex(after.palette[0], ==, 0xFFFFFF);
	rig_unwatch(rig);
	rig_free(rig);
}

/* Moving the frame buffer keeps watching it; taking its decoding away stops that. */
static void test_moved(void)
{
	struct rig *rig = linear_rig();

	rig_watch(rig);
	pci_config_write(rig->pci, PCI_BASE_ADDRESS_0, 4, 0xE8000000);
	g_assert_cmphex(rig->vga->vram_slot->gpa, ==, 0xE8000000);
	g_assert_cmpuint(rig->vga->vram_slot->flags, ==, MEMORY_LOG_DIRTY);
	rig_advance(rig, 3000);
	g_assert_cmpuint(wakeups(rig), ==, 0);
	pci_config_write(rig->pci, PCI_BASE_ADDRESS_0, 4, RIG_VRAM_BASE);
	g_assert_cmpuint(rig->vga->vram_slot->flags, ==, MEMORY_READONLY);
	pci_config_write(rig->pci, PCI_COMMAND, 2, 0);
	g_assert_null(rig->vga->vram_slot);
	g_assert_cmphex(fake_read(rig->machine, RIG_VRAM_BASE, 4), ==, 0xFFFFFFFF);
	rig_unwatch(rig);
	rig_free(rig);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/vga-refresh/unwatched", test_unwatched);
	g_test_add_func("/vga-refresh/linear-damage", test_linear_damage);
	g_test_add_func("/vga-refresh/idle-protocol", test_idle_protocol);
	g_test_add_func("/vga-refresh/animation", test_animation);
	g_test_add_func("/vga-refresh/expected-change", test_expected_change);
	g_test_add_func("/vga-refresh/slow-blinking", test_slow_blinking);
	g_test_add_func("/vga-refresh/text-idle", test_text_idle);
	g_test_add_func("/vga-refresh/text-burst", test_text_burst);
	g_test_add_func("/vga-refresh/cursor-wakeups", test_cursor_wakeups);
	g_test_add_func("/vga-refresh/planar-damage", test_planar_damage);
	g_test_add_func("/vga-refresh/window-log", test_window_log);
	g_test_add_func("/vga-refresh/palette-fade", test_palette_fade);
	g_test_add_func("/vga-refresh/moved", test_moved);
	return g_test_run();
}
