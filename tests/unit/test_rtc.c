/* The real-time clock. The host's clock is the test's: it moves with the guest's. */
#include <string.h>

#include "../../vmm/chipset/rtc.h"
#include "../../vmm/chipset/rtc_registers.h"
#include "fake_machine.h"

#define MILLISECOND 1000000ull
#define SECOND (1000 * MILLISECOND)
/* Saturday 2024-02-10 13:14:15 UTC */
#define START 1707570855ll

struct fixture {
	struct fake_machine *machine;
	struct rtc *rtc;
	int64_t jump; /* nanoseconds that the host's clock was set ahead */
};

static int64_t wall_clock(void *opaque)
{
	const struct fixture *f = opaque;

	return START * (int64_t)SECOND + f->jump + (int64_t)clock_now(&f->machine->vm.clock);
}

static void set_up(struct fixture *f, gconstpointer data)
{
	(void)data;
	f->machine = fake_machine_new(64 << 20);
	f->rtc = rtc_new(&f->machine->vm, 0, wall_clock, f);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	f->rtc->device.ops->destroy(&f->rtc->device);
	g_assert_cmpuint(f->machine->vm.clock.timers->len, ==, 0);
	g_assert_false(f->machine->line[8]);
	g_assert_cmpuint(f->machine->vm.pio.regions->len, ==, 0);
	fake_machine_free(f->machine);
}

static uint8_t get(struct fixture *f, uint8_t index)
{
	fake_out(f->machine, 0x70, 1, index);
	return (uint8_t)fake_in(f->machine, 0x71, 1);
}

static void put(struct fixture *f, uint8_t index, uint8_t value)
{
	fake_out(f->machine, 0x70, 1, index);
	fake_out(f->machine, 0x71, 1, value);
}

static void advance(struct fixture *f, uint64_t nanoseconds)
{
	clock_advance(&f->machine->vm.clock, nanoseconds);
}

static void assert_time(struct fixture *f, const char *expected)
{
	g_autofree char *text = g_strdup_printf("%02x%02x-%02x-%02x %02x:%02x:%02x %x", get(f, RTC_CENTURY),
						get(f, RTC_YEAR), get(f, RTC_MONTH), get(f, RTC_DAY), get(f, RTC_HOURS),
						get(f, RTC_MINUTES), get(f, RTC_SECONDS), get(f, RTC_DAY_OF_WEEK));

	g_assert_cmpstr(text, ==, expected);
}

static void set_time(struct fixture *f, uint8_t century, uint8_t year, uint8_t month, uint8_t day, uint8_t hour,
		     uint8_t minute, uint8_t second)
{
	put(f, RTC_CENTURY, century);
	put(f, RTC_YEAR, year);
	put(f, RTC_MONTH, month);
	put(f, RTC_DAY, day);
	put(f, RTC_HOURS, hour);
	put(f, RTC_MINUTES, minute);
	put(f, RTC_SECONDS, second);
}

static void test_formats(struct fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmphex(get(f, RTC_A), ==, 0x26);
	g_assert_cmphex(get(f, RTC_B), ==, 0x02);
	g_assert_cmphex(get(f, RTC_D), ==, 0x80);
	assert_time(f, "2024-02-10 13:14:15 7");
	put(f, RTC_B, RTC_B_24H | RTC_B_DM);
	assert_time(f, "1418-02-0a 0d:0e:0f 7");
	put(f, RTC_B, RTC_B_DM);
	assert_time(f, "1418-02-0a 81:0e:0f 7");
	put(f, RTC_B, 0);
	assert_time(f, "2024-02-10 81:14:15 7");
	/* 12-hour noon and midnight. */
	advance(f, (11 * 3600 - 14 * 60 - 15) * SECOND);
	assert_time(f, "2024-02-11 12:00:00 1");
	advance(f, 12 * 3600 * SECOND);
	assert_time(f, "2024-02-11 92:00:00 1");
	put(f, RTC_B, RTC_B_24H);
	advance(f, (18 * 24 + 11) * 3600 * SECOND + 3599 * SECOND);
	assert_time(f, "2024-02-29 23:59:59 5");
	advance(f, SECOND);
	assert_time(f, "2024-03-01 00:00:00 6");
}

static void test_offset(struct fixture *f, gconstpointer data)
{
	struct rtc *local;

	(void)data;
	f->rtc->device.ops->destroy(&f->rtc->device);
	local = rtc_new(&f->machine->vm, -5 * 3600, wall_clock, f);
	assert_time(f, "2024-02-10 08:14:15 7");
	g_assert_cmpint(rtc_offset(local), ==, -5 * 3600);
	/* The host's clock is set: the guest's follows. */
	f->jump = -60 * (int64_t)SECOND;
	assert_time(f, "2024-02-10 08:13:15 7");
	f->rtc = local;
}

static void test_setting(struct fixture *f, gconstpointer data)
{
	(void)data;
	put(f, RTC_B, RTC_B_24H | RTC_B_SET | RTC_B_UIE);
	g_assert_cmphex(get(f, RTC_B), ==, RTC_B_24H | RTC_B_SET);
	advance(f, 10 * SECOND);
	assert_time(f, "2024-02-10 13:14:15 7");
	set_time(f, 0x19, 0x99, 0x12, 0x31, 0x23, 0x59, 0x58);
	advance(f, 10 * SECOND);
	assert_time(f, "1999-12-31 23:59:58 7");
	put(f, RTC_B, RTC_B_24H);
	assert_time(f, "1999-12-31 23:59:58 6");
	advance(f, 2 * SECOND);
	assert_time(f, "2000-01-01 00:00:00 7");
	/* Without SET, one register at a time. */
	put(f, RTC_HOURS, 0x12);
	assert_time(f, "2000-01-01 12:00:00 7");
	/* The battery keeps it over a reset. */
	f->rtc->device.ops->reset(&f->rtc->device);
	assert_time(f, "2000-01-01 12:00:00 7");
	fake_check_state_round_trip(&f->rtc->device);
	assert_time(f, "2000-01-01 12:00:00 7");
	/* Read-only registers. */
	put(f, RTC_D, 0);
	put(f, RTC_C, 0xFF);
	g_assert_cmphex(get(f, RTC_D), ==, 0x80);
	put(f, RTC_A, 0xA6);
	g_assert_cmphex(get(f, RTC_A), ==, 0x26);
}

static void test_nonsense_time(struct fixture *f, gconstpointer data)
{
	(void)data;
	for (unsigned mode = 0; mode < 4; mode++) {
		put(f, RTC_B, (uint8_t)(RTC_B_SET | mode << 1));
		set_time(f, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF);
		put(f, RTC_B, (uint8_t)(mode << 1 | RTC_B_UIE | RTC_B_AIE));
		advance(f, 5 * SECOND);
		get(f, RTC_SECONDS);
		fake_check_state_round_trip(&f->rtc->device);
		put(f, RTC_B, RTC_B_SET);
		set_time(f, 0, 0, 0, 0, 0, 0, 0);
		put(f, RTC_B, 0);
		advance(f, 5 * SECOND);
		get(f, RTC_C);
	}
	/* A host whose clock is before the epoch. */
	f->jump = -(START + 86400) * (int64_t)SECOND - (int64_t)SECOND / 2;
	get(f, RTC_SECONDS);
	get(f, RTC_A);
}

static void test_update_in_progress(struct fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmphex(get(f, RTC_A), ==, 0x26);
	advance(f, SECOND - 2300 * 1000);
	g_assert_cmphex(get(f, RTC_A), ==, 0x26);
	advance(f, 100 * 1000);
	g_assert_cmphex(get(f, RTC_A), ==, 0xA6);
	g_assert_cmphex(get(f, RTC_SECONDS), ==, 0x15);
	g_assert_cmphex(get(f, RTC_C) & RTC_C_UF, ==, 0);
	advance(f, 2200 * 1000);
	g_assert_cmphex(get(f, RTC_A), ==, 0x26);
	g_assert_cmphex(get(f, RTC_SECONDS), ==, 0x16);
	g_assert_cmphex(get(f, RTC_C) & RTC_C_UF, ==, RTC_C_UF);
	put(f, RTC_B, RTC_B_24H | RTC_B_SET);
	advance(f, SECOND - MILLISECOND);
	g_assert_cmphex(get(f, RTC_A), ==, 0x26);
	put(f, RTC_B, RTC_B_24H);
	/* The divider goes on while SET holds the time. */
	g_assert_cmphex(get(f, RTC_A), ==, 0xA6);
}

static void test_divider_reset(struct fixture *f, gconstpointer data)
{
	(void)data;
	put(f, RTC_A, 0x76);
	advance(f, 20300 * MILLISECOND);
	g_assert_cmphex(get(f, RTC_SECONDS), ==, 0x15);
	put(f, RTC_SECONDS, 0x30);
	put(f, RTC_A, 0x26);
	/* The first update comes after half a second. */
	advance(f, 499 * MILLISECOND);
	g_assert_cmphex(get(f, RTC_SECONDS), ==, 0x30);
	advance(f, MILLISECOND);
	g_assert_cmphex(get(f, RTC_SECONDS), ==, 0x31);
	advance(f, 999 * MILLISECOND);
	g_assert_cmphex(get(f, RTC_SECONDS), ==, 0x31);
}

static void test_update_interrupt(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	advance(f, 300 * MILLISECOND);
	put(f, RTC_B, RTC_B_24H | RTC_B_UIE);
	g_assert_cmpuint(machine->vm.clock.timers->len, ==, 1);
	advance(f, 699 * MILLISECOND);
	g_assert_false(machine->line[8]);
	advance(f, MILLISECOND);
	g_assert_true(machine->line[8]);
	/* Not acknowledged: no timer. */
	g_assert_cmpuint(machine->vm.clock.timers->len, ==, 0);
	advance(f, 5 * SECOND);
	g_assert_cmphex(get(f, RTC_C) & ~RTC_C_PF, ==, RTC_C_IRQF | RTC_C_UF);
	g_assert_false(machine->line[8]);
	g_assert_cmphex(get(f, RTC_C), ==, 0);
	advance(f, SECOND);
	g_assert_true(machine->line[8]);
	g_assert_cmpuint(machine->edges[8], ==, 2);
	put(f, RTC_B, RTC_B_24H);
	g_assert_false(machine->line[8]);
	g_assert_cmpuint(machine->vm.clock.timers->len, ==, 0);
	/* The flag was still there, and interrupts when it is enabled again. */
	put(f, RTC_B, RTC_B_24H | RTC_B_UIE);
	g_assert_true(machine->line[8]);
	f->rtc->device.ops->reset(&f->rtc->device);
	g_assert_false(machine->line[8]);
	g_assert_cmphex(get(f, RTC_B), ==, RTC_B_24H);
}

static void test_alarm(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	put(f, RTC_HOURS_ALARM, 0x13);
	put(f, RTC_MINUTES_ALARM, 0x16);
	put(f, RTC_SECONDS_ALARM, 0x05);
	put(f, RTC_B, RTC_B_24H | RTC_B_AIE);
	advance(f, 110 * SECOND - 1);
	g_assert_false(machine->line[8]);
	advance(f, 1);
	g_assert_true(machine->line[8]);
	g_assert_cmphex(get(f, RTC_C) & (RTC_C_IRQF | RTC_C_AF), ==, RTC_C_IRQF | RTC_C_AF);
	/* Again tomorrow. */
	advance(f, 86400 * SECOND - 1);
	g_assert_false(machine->line[8]);
	advance(f, 1);
	g_assert_true(machine->line[8]);
	get(f, RTC_C);
	/* Every minute of the hour at :05; every second of that minute. */
	put(f, RTC_HOURS_ALARM, 0xFF);
	put(f, RTC_MINUTES_ALARM, 0xC0);
	advance(f, 59 * SECOND);
	g_assert_false(machine->line[8]);
	advance(f, SECOND);
	g_assert_true(machine->line[8]);
	get(f, RTC_C);
	put(f, RTC_SECONDS_ALARM, 0xC0);
	advance(f, SECOND);
	g_assert_true(machine->line[8]);
	get(f, RTC_C);
	/* In the afternoon of the 12-hour clock. */
	put(f, RTC_B, RTC_B_AIE);
	put(f, RTC_HOURS_ALARM, 0x82);
	put(f, RTC_MINUTES_ALARM, 0);
	put(f, RTC_SECONDS_ALARM, 0);
	advance(f, 12 * 3600 * SECOND);
	g_assert_cmpuint(machine->edges[8], ==, 5);
	g_assert_cmphex(get(f, RTC_HOURS), ==, 0x01);
	get(f, RTC_C);
	/* A time that never comes needs no timer. */
	put(f, RTC_SECONDS_ALARM, 0x60);
	g_assert_cmpuint(machine->vm.clock.timers->len, ==, 0);
	put(f, RTC_SECONDS_ALARM, 0);
	put(f, RTC_B, RTC_B_24H | RTC_B_AIE);
	g_assert_cmphex(get(f, RTC_HOURS_ALARM), ==, 0x82);
	g_assert_cmpuint(machine->vm.clock.timers->len, ==, 0);
}

static void test_alarm_over_host_jump(struct fixture *f, gconstpointer data)
{
	(void)data;
	put(f, RTC_HOURS_ALARM, 0x14);
	put(f, RTC_MINUTES_ALARM, 0);
	put(f, RTC_SECONDS_ALARM, 0);
	/* Polled, without the interrupt, and with the host suspended for three hours. */
	f->jump = 3 * 3600 * (int64_t)SECOND;
	g_assert_cmphex(get(f, RTC_C), ==, RTC_C_AF | RTC_C_UF);
	f->jump = 0;
	g_assert_cmphex(get(f, RTC_C) & RTC_C_AF, ==, 0);
	/* Enabled: the host's clock set back delays the alarm instead of losing it. */
	put(f, RTC_B, RTC_B_24H | RTC_B_AIE);
	f->jump = -600 * (int64_t)SECOND;
	advance(f, 2745 * SECOND);
	g_assert_false(f->machine->line[8]);
	advance(f, 600 * SECOND);
	g_assert_true(f->machine->line[8]);
}

static void test_periodic_rates(struct fixture *f, gconstpointer data)
{
	static const unsigned hertz[16] = { 0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2 };

	(void)data;
	for (unsigned rate = 0; rate < 16; rate++) {
		unsigned count = 0;

		put(f, RTC_A, 0x70);
		put(f, RTC_A, (uint8_t)(0x20 | rate));
		get(f, RTC_C);
		put(f, RTC_B, RTC_B_24H | RTC_B_PIE);
		for (uint64_t step = 0; step < 100000; step++) {
			advance(f, 20000);
			if (f->machine->line[8]) {
				g_assert_cmphex(get(f, RTC_C) & (RTC_C_IRQF | RTC_C_PF), ==, RTC_C_IRQF | RTC_C_PF);
				g_assert_false(f->machine->line[8]);
				count++;
			}
		}
		g_assert_cmpuint(count, <=, 2 * hertz[rate]);
		g_assert_cmpuint(count + 1, >=, 2 * hertz[rate]);
		put(f, RTC_B, RTC_B_24H);
		g_assert_cmpuint(f->machine->vm.clock.timers->len, ==, 0);
	}
}

static void test_periodic_polled(struct fixture *f, gconstpointer data)
{
	(void)data;
	get(f, RTC_C);
	g_assert_cmphex(get(f, RTC_C), ==, 0);
	advance(f, MILLISECOND);
	g_assert_cmphex(get(f, RTC_C), ==, RTC_C_PF);
	g_assert_cmphex(get(f, RTC_C), ==, 0);
	g_assert_cmpuint(f->machine->edges[8], ==, 0);
}

/* A guest that was late gets the interrupts that it missed, but not those of a long absence. */
static void test_periodic_backlog(struct fixture *f, gconstpointer data)
{
	unsigned count = 0;

	(void)data;
	put(f, RTC_A, 0x2A); /* 64 Hz */
	put(f, RTC_B, RTC_B_24H | RTC_B_PIE);
	advance(f, 500 * MILLISECOND);
	while (f->machine->line[8] && count < 1000) {
		get(f, RTC_C);
		count++;
		advance(f, 1000);
	}
	g_assert_cmpuint(count, ==, 32);
	advance(f, 60 * SECOND);
	for (count = 0; f->machine->line[8] && count < 1000; count++) {
		get(f, RTC_C);
		advance(f, 1000);
	}
	g_assert_cmpuint(count, >=, 64);
	g_assert_cmpuint(count, <=, 66);
}

static void test_memory(struct fixture *f, gconstpointer data)
{
	struct fake_machine *machine = f->machine;

	(void)data;
	for (unsigned i = 0x0E; i < 0x80; i++)
		if (i != RTC_CENTURY)
			put(f, (uint8_t)i, (uint8_t)(i ^ 0x5A));
	for (unsigned i = 0; i < 0x80; i++) {
		fake_out(machine, 0x72, 1, i | 0x80);
		fake_out(machine, 0x73, 1, i ^ 0xC3);
	}
	f->rtc->device.ops->reset(&f->rtc->device);
	fake_check_state_round_trip(&f->rtc->device);
	/* Bit 7 of the index masks NMIs and is no part of it. */
	for (unsigned i = 0x0E; i < 0x80; i++)
		if (i != RTC_CENTURY)
			g_assert_cmphex(get(f, (uint8_t)(i | 0x80)), ==, i ^ 0x5A);
	for (unsigned i = 0; i < 0x80; i++) {
		fake_out(machine, 0x72, 1, i);
		g_assert_cmphex(fake_in(machine, 0x73, 1), ==, i ^ 0xC3);
	}
	g_assert_cmphex(fake_in(machine, 0x70, 1), ==, 0xFF);
	/* Index and data in one access. */
	fake_out(machine, 0x70, 2, 0x7740);
	g_assert_cmphex(fake_in(machine, 0x71, 1), ==, 0x77);
	g_assert_cmphex(fake_in(machine, 0x70, 2), ==, 0x77FF);
	fake_out(machine, 0x72, 2, 0x6641);
	g_assert_cmphex(fake_in(machine, 0x72, 2), ==, 0x66FF);
}

static unsigned word(struct fixture *f, uint8_t index)
{
	return get(f, index) | get(f, index + 1) << 8;
}

static void test_memory_size(struct fixture *f, gconstpointer data)
{
	(void)data;
	rtc_set_memory(f->rtc);
	g_assert_cmpuint(word(f, 0x15), ==, 640);
	g_assert_cmpuint(word(f, 0x17), ==, 63 * 1024);
	g_assert_cmpuint(word(f, 0x30), ==, 63 * 1024);
	g_assert_cmpuint(word(f, 0x34), ==, 48 * 16);
	g_assert_cmpuint(word(f, 0x5B), ==, 0);
	tear_down(f, NULL);
	f->machine = fake_machine_new(5ull << 30);
	f->rtc = rtc_new(&f->machine->vm, 0, wall_clock, f);
	rtc_set_memory(f->rtc);
	g_assert_cmpuint(word(f, 0x17), ==, 0xFFFF);
	g_assert_cmpuint(word(f, 0x34), ==, (2048 - 16) * 16);
	g_assert_cmpuint(word(f, 0x5B), ==, 3 * 1024 * 16);
	g_assert_cmpuint(get(f, 0x5D), ==, 0);
	rtc_cmos_write(f->rtc, 0x5F, 3);
	g_assert_cmpuint(get(f, 0x5F), ==, 3);
}

static void test_state_interrupts(struct fixture *f, gconstpointer data)
{
	(void)data;
	put(f, RTC_B, RTC_B_24H | RTC_B_UIE);
	advance(f, 1500 * MILLISECOND);
	g_assert_true(f->machine->line[8]);
	fake_check_state_round_trip(&f->rtc->device);
	g_assert_true(f->machine->line[8]);
	g_assert_cmphex(get(f, RTC_C) & ~RTC_C_PF, ==, RTC_C_IRQF | RTC_C_UF);
	advance(f, 500 * MILLISECOND);
	g_assert_true(f->machine->line[8]);
}

static void test_state_nonsense(struct fixture *f, gconstpointer data)
{
	struct state *state = state_new_save();
	uint64_t offset = UINT64_MAX / 2;
	uint32_t phase = UINT32_MAX;
	g_autoptr(GBytes) file = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	state_section(state, "rtc");
	state_u64(state, "offset", &offset);
	state_u32(state, "phase", &phase);
	file = state_finish_save(state);
	g_assert_false(fake_load(&f->rtc->device, file, &error));
	g_assert_nonnull(strstr(error->message, "offset"));
	assert_time(f, "2024-02-10 13:14:15 7");
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
#define ADD(path, test) g_test_add("/rtc/" path, struct fixture, NULL, set_up, test, tear_down)
	ADD("formats", test_formats);
	ADD("offset", test_offset);
	ADD("setting", test_setting);
	ADD("nonsense-time", test_nonsense_time);
	ADD("update-in-progress", test_update_in_progress);
	ADD("divider-reset", test_divider_reset);
	ADD("update-interrupt", test_update_interrupt);
	ADD("alarm", test_alarm);
	ADD("alarm-over-host-jump", test_alarm_over_host_jump);
	ADD("periodic/rates", test_periodic_rates);
	ADD("periodic/polled", test_periodic_polled);
	ADD("periodic/backlog", test_periodic_backlog);
	ADD("memory", test_memory);
	ADD("memory-size", test_memory_size);
	ADD("state/interrupts", test_state_interrupts);
	ADD("state/nonsense", test_state_nonsense);
	return g_test_run();
}
