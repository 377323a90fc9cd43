/* Keyboard controller, PS/2 keyboard and mouse, through their ports as guests use them. */
#include "fake_machine.h"

#include <string.h>

#include "../../input/i8042.h"

#define DATA 0x60
#define COMMAND 0x64
#define OUTPUT_FULL 0x01
#define AUX_DATA 0x20
#define MILLISECOND 1000000ull

struct fixture {
	struct fake_machine *machine;
	struct input_router router;
	struct device *i8042;
};

static void set_up(struct fixture *f, gconstpointer data)
{
	(void)data;
	f->machine = fake_machine_new(2 << 20);
	input_router_init(&f->router);
	f->i8042 = i8042_new(&f->machine->vm, &f->router);
}

static void tear_down(struct fixture *f, gconstpointer data)
{
	(void)data;
	f->i8042->ops->destroy(f->i8042);
	g_assert_false(f->machine->line[1] || f->machine->line[12]);
	g_assert_cmpuint(f->machine->vm.clock.timers->len, ==, 0);
	input_router_finish(&f->router);
	fake_machine_free(f->machine);
}

static uint8_t status(struct fixture *f)
{
	return (uint8_t)fake_in(f->machine, COMMAND, 1);
}

static void command(struct fixture *f, uint8_t byte)
{
	fake_out(f->machine, COMMAND, 1, byte);
}

static void data(struct fixture *f, uint8_t byte)
{
	fake_out(f->machine, DATA, 1, byte);
}

/* Polls as a driver does: status, a little delay, data. */
static bool try_read(struct fixture *f, bool aux, uint8_t *byte)
{
	for (unsigned i = 0; i < 10; i++) {
		uint8_t now = status(f);

		if (now & OUTPUT_FULL) {
			g_assert_cmpuint(!!(now & AUX_DATA), ==, aux);
			*byte = (uint8_t)fake_in(f->machine, DATA, 1);
			return true;
		}
		clock_advance(&f->machine->vm.clock, 50000);
	}
	return false;
}

static void expect_bytes(struct fixture *f, bool aux, const uint8_t *bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint8_t byte = 0;

		g_assert_true(try_read(f, aux, &byte));
		g_assert_cmphex(byte, ==, bytes[i]);
	}
}
#define EXPECT(f, ...) \
	expect_bytes(f, false, (const uint8_t[]){ __VA_ARGS__ }, sizeof(const uint8_t[]){ __VA_ARGS__ })
#define EXPECT_AUX(f, ...) \
	expect_bytes(f, true, (const uint8_t[]){ __VA_ARGS__ }, sizeof(const uint8_t[]){ __VA_ARGS__ })

static void expect_nothing(struct fixture *f)
{
	clock_advance(&f->machine->vm.clock, 2 * MILLISECOND);
	g_assert_cmphex(status(f) & OUTPUT_FULL, ==, 0);
}

static void aux(struct fixture *f, uint8_t byte)
{
	command(f, 0xD4);
	data(f, byte);
}

static uint8_t answer(struct fixture *f, uint8_t byte)
{
	uint8_t reply = 0;

	command(f, byte);
	g_assert_true(try_read(f, false, &reply));
	return reply;
}

static void set_ctr(struct fixture *f, uint8_t ctr)
{
	command(f, 0x60);
	data(f, ctr);
}

static void send(struct fixture *f, uint16_t type, uint16_t code, int32_t value)
{
	const struct input_event events[] = { { type, code, value }, { EV_SYN, SYN_REPORT, 0 } };

	input_router_send(&f->router, events, G_N_ELEMENTS(events));
}

static void press(struct fixture *f, uint16_t code)
{
	send(f, EV_KEY, code, 1);
}

static void release(struct fixture *f, uint16_t code)
{
	send(f, EV_KEY, code, 0);
}

static void move(struct fixture *f, int32_t x, int32_t y)
{
	const struct input_event events[] = { { EV_REL, REL_X, x }, { EV_REL, REL_Y, y }, { EV_SYN, 0, 0 } };

	input_router_send(&f->router, events, G_N_ELEMENTS(events));
}

/* Waits out the sample rate's pause. */
static void rest(struct fixture *f)
{
	clock_advance(&f->machine->vm.clock, 101 * MILLISECOND);
}

static void select_set(struct fixture *f, uint8_t set)
{
	set_ctr(f, 0x01);
	data(f, 0xF0);
	EXPECT(f, 0xFA);
	data(f, set);
	EXPECT(f, 0xFA);
}

/* Linux's i8042 driver: controller check, self test, AUX loopback, multiplexer probe, AUX and interrupt tests. */
static void test_linux_probe(struct fixture *f, gconstpointer unused)
{
	static const uint8_t mux_probe[] = { 0xF0, 0x56, 0xA4 };
	uint8_t ctr;

	(void)unused;
	g_assert_cmphex(status(f) & 0x10, ==, 0x10);
	g_assert_cmphex(answer(f, 0xAA), ==, 0x55);
	g_assert_cmphex(status(f) & 0x04, ==, 0x04);
	ctr = answer(f, 0x20);
	g_assert_cmphex(ctr & 0x40, ==, 0x40);
	ctr = (uint8_t)((ctr | 0x10) & ~0x01);
	set_ctr(f, ctr);
	g_assert_cmphex(answer(f, 0x20), ==, ctr);

	/* AUX loopback comes back as the mouse's byte, unchanged; so does the multiplexer's knock: there is none. */
	command(f, 0xD3);
	data(f, 0x5A);
	EXPECT_AUX(f, 0x5A);
	for (unsigned i = 0; i < G_N_ELEMENTS(mux_probe); i++) {
		command(f, 0xD3);
		data(f, mux_probe[i]);
		EXPECT_AUX(f, mux_probe[i]);
	}
	command(f, 0xA7);
	g_assert_cmphex(answer(f, 0x20) & 0x20, ==, 0x20);
	command(f, 0xA8);
	g_assert_cmphex(answer(f, 0x20) & 0x20, ==, 0x00);
	g_assert_cmphex(answer(f, 0xA9), ==, 0x00);
	g_assert_cmphex(answer(f, 0xAB), ==, 0x00);

	/* AUX interrupt test: the looped byte raises line 12, and reading it lowers it. */
	set_ctr(f, (uint8_t)(ctr | 0x02));
	command(f, 0xD3);
	data(f, 0xA5);
	g_assert_true(f->machine->line[12]);
	EXPECT_AUX(f, 0xA5);
	g_assert_false(f->machine->line[12]);
	g_assert_false(f->machine->line[1]);
}

/* Linux's atkbd: identify, LEDs, typematic rate, enable; translated, as with a BIOS. */
static void test_linux_keyboard(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	data(f, 0xF2);
	EXPECT(f, 0xFA, 0xAB, 0x41);
	data(f, 0xED);
	EXPECT(f, 0xFA);
	data(f, 0x06);
	EXPECT(f, 0xFA);
	g_assert_cmpuint(f->router.leds, ==, INPUT_LED_NUM | INPUT_LED_CAPS);
	data(f, 0xF3);
	EXPECT(f, 0xFA);
	data(f, 0x00);
	EXPECT(f, 0xFA);
	data(f, 0xF4);
	EXPECT(f, 0xFA);
	press(f, KEY_A);
	EXPECT(f, 0x1E);
	release(f, KEY_A);
	EXPECT(f, 0x9E);
	expect_nothing(f);
}

static void test_keyboard_reset(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	data(f, 0xED);
	data(f, 0x07);
	press(f, KEY_Q);
	data(f, 0xFF);
	/* The first ACK is in the output buffer already; what had not got there is forgotten. */
	EXPECT(f, 0xFA, 0xFA, 0xAA);
	expect_nothing(f);
	g_assert_cmpuint(f->router.leds, ==, 0);
	data(f, 0xEE);
	EXPECT(f, 0xEE);
	data(f, 0xFE);
	EXPECT(f, 0xEE);
	data(f, 0xEF);
	EXPECT(f, 0xFE);
	/* A command in place of a parameter is taken as a command. */
	data(f, 0xED);
	EXPECT(f, 0xFA);
	data(f, 0xEE);
	EXPECT(f, 0xEE);
	g_assert_cmpuint(f->router.leds, ==, 0);
}

static void test_set_selection(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	set_ctr(f, 0x01);
	data(f, 0xF0);
	EXPECT(f, 0xFA);
	data(f, 0x00);
	EXPECT(f, 0xFA, 0x02);
	data(f, 0xF0);
	EXPECT(f, 0xFA);
	data(f, 0x04);
	EXPECT(f, 0xFE);
	select_set(f, 3);
	data(f, 0xF0);
	EXPECT(f, 0xFA);
	data(f, 0x00);
	EXPECT(f, 0xFA, 0x03);
	/* Translated, the number of set 2 reads 41. */
	data(f, 0xF6);
	EXPECT(f, 0xFA);
	set_ctr(f, 0x41);
	data(f, 0xF0);
	EXPECT(f, 0xFA);
	data(f, 0x00);
	EXPECT(f, 0xFA, 0x41);
}

static void test_set_1_and_2(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	select_set(f, 2);
	press(f, KEY_ESC);
	release(f, KEY_ESC);
	EXPECT(f, 0x76, 0xF0, 0x76);
	press(f, KEY_RIGHTCTRL);
	release(f, KEY_RIGHTCTRL);
	EXPECT(f, 0xE0, 0x14, 0xE0, 0xF0, 0x14);
	press(f, KEY_F7);
	release(f, KEY_F7);
	EXPECT(f, 0x83, 0xF0, 0x83);
	select_set(f, 1);
	press(f, KEY_ESC);
	release(f, KEY_ESC);
	EXPECT(f, 0x01, 0x81);
	press(f, KEY_RIGHTCTRL);
	release(f, KEY_RIGHTCTRL);
	EXPECT(f, 0xE0, 0x1D, 0xE0, 0x9D);
	press(f, KEY_F7);
	release(f, KEY_F7);
	EXPECT(f, 0x41, 0xC1);
	press(f, KEY_LEFTMETA);
	release(f, KEY_LEFTMETA);
	EXPECT(f, 0xE0, 0x5B, 0xE0, 0xDB);
	/* A key that no PS/2 keyboard has */
	press(f, KEY_MICMUTE);
	release(f, KEY_MICMUTE);
	expect_nothing(f);
}

/* The whole main block against the numbers that evdev took from set 1: codes 1 to 83 are set 1's. */
static void test_translated_main_block(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	for (uint16_t code = 1; code <= 83; code++) {
		press(f, code);
		EXPECT(f, (uint8_t)code);
		release(f, code);
		EXPECT(f, (uint8_t)(code | 0x80));
	}
}

static void test_set_3(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	select_set(f, 3);
	press(f, KEY_A);
	EXPECT(f, 0x1C);
	release(f, KEY_A);
	expect_nothing(f);
	press(f, KEY_LEFTSHIFT);
	release(f, KEY_LEFTSHIFT);
	EXPECT(f, 0x12, 0xF0, 0x12);
	press(f, KEY_RIGHTCTRL);
	release(f, KEY_RIGHTCTRL);
	EXPECT(f, 0x58);
	/* All make and break (F8), then A make only (FD) */
	data(f, 0xF8);
	EXPECT(f, 0xFA);
	press(f, KEY_PAUSE);
	release(f, KEY_PAUSE);
	EXPECT(f, 0x62, 0xF0, 0x62);
	data(f, 0xFD);
	EXPECT(f, 0xFA);
	data(f, 0x1C);
	EXPECT(f, 0xFA);
	data(f, 0xF4);
	EXPECT(f, 0xFA);
	press(f, KEY_A);
	release(f, KEY_A);
	press(f, KEY_B);
	clock_advance(&f->machine->vm.clock, 3 * NSEC_PER_SEC);
	release(f, KEY_B);
	EXPECT(f, 0x1C, 0x32, 0xF0, 0x32);
	expect_nothing(f);
	/* All of it (FA): repeats too */
	data(f, 0xFA);
	EXPECT(f, 0xFA);
	press(f, KEY_B);
	EXPECT(f, 0x32);
	clock_advance(&f->machine->vm.clock, 510 * MILLISECOND);
	EXPECT(f, 0x32);
	release(f, KEY_B);
	EXPECT(f, 0xF0, 0x32);
}

static void test_pause_and_print(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	press(f, KEY_PAUSE);
	EXPECT(f, 0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5);
	clock_advance(&f->machine->vm.clock, 2 * NSEC_PER_SEC);
	release(f, KEY_PAUSE);
	expect_nothing(f);
	press(f, KEY_SYSRQ);
	EXPECT(f, 0xE0, 0x2A, 0xE0, 0x37);
	release(f, KEY_SYSRQ);
	EXPECT(f, 0xE0, 0xB7, 0xE0, 0xAA);
	press(f, KEY_LEFTCTRL);
	press(f, KEY_PAUSE);
	release(f, KEY_PAUSE);
	EXPECT(f, 0x1D, 0xE0, 0x46, 0xE0, 0xC6);
	press(f, KEY_SYSRQ);
	release(f, KEY_SYSRQ);
	EXPECT(f, 0xE0, 0x37, 0xE0, 0xB7);
	release(f, KEY_LEFTCTRL);
	press(f, KEY_LEFTALT);
	press(f, KEY_SYSRQ);
	release(f, KEY_SYSRQ);
	EXPECT(f, 0x9D, 0x38, 0x54, 0xD4);
}

static unsigned drain(struct fixture *f)
{
	unsigned count = 0;
	uint8_t byte;

	while (try_read(f, false, &byte))
		count++;
	return count;
}

static void test_typematic(struct fixture *f, gconstpointer unused)
{
	struct clock *clock = &f->machine->vm.clock;

	(void)unused;
	data(f, 0xF3);
	EXPECT(f, 0xFA);
	data(f, 0x00); /* 250 ms, then every 33.36 ms */
	EXPECT(f, 0xFA);
	press(f, KEY_A);
	EXPECT(f, 0x1E);
	clock_advance(clock, 249 * MILLISECOND);
	g_assert_cmphex(status(f) & OUTPUT_FULL, ==, 0);
	clock_advance(clock, 2 * MILLISECOND);
	EXPECT(f, 0x1E);
	clock_advance(clock, 32 * MILLISECOND);
	g_assert_cmphex(status(f) & OUTPUT_FULL, ==, 0);
	clock_advance(clock, 2 * MILLISECOND);
	EXPECT(f, 0x1E);
	/* The last key takes over; letting go of the first does not stop it, and does not bring the first back. */
	press(f, KEY_B);
	EXPECT(f, 0x30);
	release(f, KEY_A);
	EXPECT(f, 0x9E);
	clock_advance(clock, 252 * MILLISECOND);
	EXPECT(f, 0x30);
	press(f, KEY_C);
	EXPECT(f, 0x2E);
	release(f, KEY_C);
	EXPECT(f, 0xAE);
	clock_advance(clock, NSEC_PER_SEC);
	expect_nothing(f);
	g_assert_cmpuint(clock->timers->len, ==, 0);
	release(f, KEY_B);
	EXPECT(f, 0xB0);
	/* Slowest: 1 s, then every 500 ms; repeats stop when the buffer is full, without an overrun code. */
	data(f, 0xF3);
	EXPECT(f, 0xFA);
	data(f, 0x7F);
	EXPECT(f, 0xFA);
	press(f, KEY_A);
	clock_advance(clock, 60 * NSEC_PER_SEC);
	g_assert_cmpuint(drain(f), ==, 17);
	/* Disabled scanning ends it for good. */
	data(f, 0xF5);
	EXPECT(f, 0xFA);
	clock_advance(clock, 5 * NSEC_PER_SEC);
	press(f, KEY_B);
	expect_nothing(f);
	release(f, KEY_B);
	data(f, 0xF4);
	EXPECT(f, 0xFA);
	release(f, KEY_A);
	EXPECT(f, 0x9E);
}

/* Nobody reads: the buffer takes 16 bytes, says overrun, and still lets go of every key that it has told of. */
static void test_overrun(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	set_ctr(f, 0x01);
	for (uint16_t code = KEY_1; code <= KEY_P; code++)
		press(f, code);
	for (uint16_t code = KEY_1; code <= KEY_P; code++)
		release(f, code);
	for (unsigned i = 0; i < 1000; i++)
		move(f, 1, 1);
	/* One is in the output buffer, 16 in the keyboard. */
	EXPECT(f, 0x16, 0x1E, 0x26, 0x25, 0x2E, 0x36, 0x3D, 0x3E, 0x46, 0x45, 0x4E, 0x55, 0x66, 0x0D, 0x15, 0x1D);
	EXPECT(f, 0x24);
	EXPECT(f, 0x00);
	EXPECT(f, 0xF0, 0x16, 0xF0, 0x1E, 0xF0, 0x26, 0xF0, 0x25, 0xF0, 0x2E, 0xF0, 0x36, 0xF0, 0x3D, 0xF0, 0x3E);
	EXPECT(f, 0xF0, 0x46, 0xF0, 0x45, 0xF0, 0x4E, 0xF0, 0x55, 0xF0, 0x66, 0xF0, 0x0D, 0xF0, 0x15, 0xF0, 0x1D);
	EXPECT(f, 0xF0, 0x24);
	expect_nothing(f);
}

/* Each byte is an edge of its own, and the next one leaves time for a second look at the present one. */
static void test_interrupt_per_byte(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	press(f, KEY_RIGHTALT);
	g_assert_true(f->machine->line[1]);
	g_assert_cmpuint(f->machine->edges[1], ==, 1);
	g_assert_cmphex(fake_in(f->machine, DATA, 1), ==, 0xE0);
	g_assert_false(f->machine->line[1]);
	g_assert_cmphex(fake_in(f->machine, DATA, 1), ==, 0xE0);
	clock_advance(&f->machine->vm.clock, MILLISECOND);
	g_assert_true(f->machine->line[1]);
	g_assert_cmpuint(f->machine->edges[1], ==, 2);
	g_assert_cmphex(fake_in(f->machine, DATA, 1), ==, 0x38);
	g_assert_cmpuint(f->machine->edges[12], ==, 0);
	/* With interrupts off in the command byte: polled only; switched on with a byte waiting: at once. */
	set_ctr(f, 0x40);
	release(f, KEY_RIGHTALT);
	clock_advance(&f->machine->vm.clock, MILLISECOND);
	g_assert_false(f->machine->line[1]);
	set_ctr(f, 0x41);
	g_assert_true(f->machine->line[1]);
	EXPECT(f, 0xE0, 0xB8);
}

static void test_disabled_interfaces(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	command(f, 0xAD);
	press(f, KEY_A);
	expect_nothing(f);
	command(f, 0xAE);
	EXPECT(f, 0x1E);
	/* Sending to the keyboard switches its interface on again. */
	command(f, 0xAD);
	data(f, 0xEE);
	EXPECT(f, 0xEE);
	g_assert_cmphex(answer(f, 0x20) & 0x10, ==, 0);
	aux(f, 0xF4);
	EXPECT_AUX(f, 0xFA);
	command(f, 0xA7);
	move(f, 1, 0);
	expect_nothing(f);
	g_assert_cmphex(answer(f, 0xE0), ==, 0x01);
	command(f, 0xA8);
	EXPECT_AUX(f, 0x08, 0x01, 0x00);
}

static void test_controller_commands(struct fixture *f, gconstpointer unused)
{
	GArray *requests = f->machine->requests;

	(void)unused;
	g_assert_cmphex(answer(f, 0xC0) & 0x80, ==, 0x80);
	g_assert_cmphex(answer(f, 0xA1), ==, 0x01);
	g_assert_cmphex(answer(f, 0xA4), ==, 0xF1);
	/* The controller's RAM beyond the command byte */
	command(f, 0x7F);
	data(f, 0x99);
	g_assert_cmphex(answer(f, 0x3F), ==, 0x99);
	/* A byte as if the keyboard had sent it, with its interrupt, not translated */
	set_ctr(f, 0x43);
	command(f, 0xD2);
	data(f, 0x1C);
	g_assert_true(f->machine->line[1]);
	EXPECT(f, 0x1C);
	/* A20 */
	g_assert_cmphex(answer(f, 0xD0) & 0x03, ==, 0x03);
	command(f, 0xD1);
	data(f, 0xDD);
	g_assert_cmphex(answer(f, 0xD0) & 0x03, ==, 0x01);
	command(f, 0xDF);
	g_assert_cmphex(answer(f, 0xD0) & 0x03, ==, 0x03);
	g_assert_cmpuint(requests->len, ==, 0);
	/* Status tells command from data. */
	command(f, 0xFF);
	g_assert_cmphex(status(f) & 0x08, ==, 0x08);
	data(f, 0xEE);
	g_assert_cmphex(status(f) & 0x08, ==, 0x00);
	EXPECT(f, 0xEE);
	g_assert_cmpuint(requests->len, ==, 0);
	command(f, 0xFE);
	g_assert_cmpuint(requests->len, ==, 1);
	command(f, 0xD1);
	data(f, 0xDE);
	g_assert_cmpuint(requests->len, ==, 2);
	g_assert_cmpuint(g_array_index(requests, enum vm_request, 1), ==, VM_REQUEST_RESET);
	command(f, 0x9A);
	expect_nothing(f);
}

static void set_rate(struct fixture *f, uint8_t rate)
{
	aux(f, 0xF3);
	EXPECT_AUX(f, 0xFA);
	aux(f, rate);
	EXPECT_AUX(f, 0xFA);
}

static void knock(struct fixture *f, uint8_t second)
{
	set_rate(f, 200);
	set_rate(f, second);
	set_rate(f, 80);
}

static void enable_mouse(struct fixture *f)
{
	aux(f, 0xF4);
	EXPECT_AUX(f, 0xFA);
}

/* Linux's psmouse on the way to an Explorer: reset, identify, two knocks, resolution, rate, enable. */
static void test_linux_mouse(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	g_assert_cmpuint(input_router_kinds(&f->router), ==, INPUT_KEYBOARD);
	aux(f, 0xFF);
	EXPECT_AUX(f, 0xFA, 0xAA, 0x00);
	aux(f, 0xF2);
	EXPECT_AUX(f, 0xFA, 0x00);
	knock(f, 100);
	aux(f, 0xF2);
	EXPECT_AUX(f, 0xFA, 0x03);
	knock(f, 200);
	aux(f, 0xF2);
	EXPECT_AUX(f, 0xFA, 0x04);
	set_rate(f, 100);
	aux(f, 0xE8);
	EXPECT_AUX(f, 0xFA);
	aux(f, 0x03);
	EXPECT_AUX(f, 0xFA);
	aux(f, 0xE6);
	EXPECT_AUX(f, 0xFA);
	enable_mouse(f);
	g_assert_cmpuint(input_router_kinds(&f->router), ==, INPUT_KEYBOARD | INPUT_MOUSE);
	aux(f, 0xE9);
	EXPECT_AUX(f, 0xFA, 0x20, 0x03, 100);

	move(f, 5, 3);
	EXPECT_AUX(f, 0x28, 0x05, 0xFD, 0x00);
	rest(f);
	send(f, EV_REL, REL_WHEEL, 1);
	EXPECT_AUX(f, 0x08, 0x00, 0x00, 0x0F);
	rest(f);
	press(f, BTN_SIDE);
	EXPECT_AUX(f, 0x08, 0x00, 0x00, 0x10);
	press(f, BTN_EXTRA);
	EXPECT_AUX(f, 0x08, 0x00, 0x00, 0x30);
	press(f, BTN_RIGHT);
	release(f, BTN_RIGHT);
	EXPECT_AUX(f, 0x0A, 0x00, 0x00, 0x30, 0x08, 0x00, 0x00, 0x30);
	expect_nothing(f);
}

static void test_mouse_motion(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	enable_mouse(f);
	/* More than 9 bits: the rest follows, at the sample rate, and no overflow bit is set. */
	move(f, 600, -300);
	EXPECT_AUX(f, 0x08, 0xFF, 0xFF);
	expect_nothing(f);
	rest(f);
	EXPECT_AUX(f, 0x08, 0xFF, 0x2D);
	rest(f);
	EXPECT_AUX(f, 0x08, 0x5A, 0x00);
	rest(f);
	expect_nothing(f);
	move(f, -256, 256);
	EXPECT_AUX(f, 0x38, 0x00, 0x00);
	rest(f);
	/* Within one sample period motion adds up; a click goes out at once with it. */
	move(f, 1, 0);
	EXPECT_AUX(f, 0x08, 0x01, 0x00);
	move(f, 2, 0);
	move(f, 3, 0);
	expect_nothing(f);
	press(f, BTN_LEFT);
	EXPECT_AUX(f, 0x09, 0x05, 0x00);
	/* A guest that does not read gets one packet with where the mouse has gone meanwhile. */
	release(f, BTN_LEFT);
	rest(f);
	for (unsigned i = 0; i < 50; i++) {
		move(f, 2, 0);
		rest(f);
	}
	EXPECT_AUX(f, 0x08, 0x00, 0x00);
	EXPECT_AUX(f, 0x08, 100, 0x00);
	rest(f);
	expect_nothing(f);
	/* 2:1 scaling in stream mode */
	aux(f, 0xE7);
	EXPECT_AUX(f, 0xFA);
	move(f, 2, -5);
	EXPECT_AUX(f, 0x08, 0x01, 0x09);
	rest(f);
	move(f, 10, 3);
	EXPECT_AUX(f, 0x28, 0x14, 0xFD);
}

static void test_mouse_modes(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	aux(f, 0xF0);
	EXPECT_AUX(f, 0xFA);
	g_assert_cmpuint(input_router_kinds(&f->router) & INPUT_MOUSE, ==, INPUT_MOUSE);
	move(f, 7, 0);
	press(f, BTN_MIDDLE);
	expect_nothing(f);
	aux(f, 0xEB);
	EXPECT_AUX(f, 0xFA, 0x0C, 0x07, 0x00);
	aux(f, 0xE9);
	EXPECT_AUX(f, 0xFA, 0x42, 0x02, 100);
	/* Wrap mode echoes all but reset and its own end. */
	aux(f, 0xEE);
	EXPECT_AUX(f, 0xFA);
	aux(f, 0xF4);
	EXPECT_AUX(f, 0xF4);
	aux(f, 0x55);
	EXPECT_AUX(f, 0x55);
	aux(f, 0xEC);
	EXPECT_AUX(f, 0xFA);
	aux(f, 0xEA);
	EXPECT_AUX(f, 0xFA);
	g_assert_cmpuint(input_router_kinds(&f->router) & INPUT_MOUSE, ==, 0);
	/* What it does not know: resend, then error */
	aux(f, 0xE1);
	EXPECT_AUX(f, 0xFE);
	aux(f, 0xE1);
	EXPECT_AUX(f, 0xFC);
	aux(f, 0xF3);
	EXPECT_AUX(f, 0xFA);
	aux(f, 0x33);
	EXPECT_AUX(f, 0xFE);
	aux(f, 40);
	EXPECT_AUX(f, 0xFA);
	aux(f, 0xE8);
	EXPECT_AUX(f, 0xFA);
	aux(f, 0xF2);
	EXPECT_AUX(f, 0xFA, 0x00);
	aux(f, 0xE9);
	EXPECT_AUX(f, 0xFA, 0x00, 0x02, 40);
	aux(f, 0xFE);
	EXPECT_AUX(f, 40);
	aux(f, 0xF6);
	EXPECT_AUX(f, 0xFA);
	aux(f, 0xE9);
	EXPECT_AUX(f, 0xFA, 0x00, 0x02, 100);
}

/* Windows' i8042prt: disables both, reads the command byte, resets the mouse, and knocks with interrupts off. */
static void test_windows_start(struct fixture *f, gconstpointer unused)
{
	unsigned edges;

	(void)unused;
	command(f, 0xAD);
	command(f, 0xA7);
	set_ctr(f, (uint8_t)(answer(f, 0x20) & ~0x03));
	edges = f->machine->edges[1] + f->machine->edges[12];
	data(f, 0xFF);
	EXPECT(f, 0xFA, 0xAA);
	data(f, 0xF0);
	EXPECT(f, 0xFA);
	data(f, 0x02);
	EXPECT(f, 0xFA);
	data(f, 0xF3);
	EXPECT(f, 0xFA);
	data(f, 0x20);
	EXPECT(f, 0xFA);
	aux(f, 0xFF);
	EXPECT_AUX(f, 0xFA, 0xAA, 0x00);
	aux(f, 0xE8);
	EXPECT_AUX(f, 0xFA);
	aux(f, 0x00);
	EXPECT_AUX(f, 0xFA);
	for (unsigned i = 0; i < 3; i++) {
		aux(f, 0xE6);
		EXPECT_AUX(f, 0xFA);
	}
	aux(f, 0xE9);
	EXPECT_AUX(f, 0xFA, 0x00, 0x00, 100);
	knock(f, 100);
	knock(f, 200);
	aux(f, 0xF2);
	EXPECT_AUX(f, 0xFA, 0x04);
	enable_mouse(f);
	g_assert_cmpuint(f->machine->edges[1] + f->machine->edges[12], ==, edges);
	set_ctr(f, 0x47);
	move(f, 1, 0);
	clock_advance(&f->machine->vm.clock, MILLISECOND);
	g_assert_true(f->machine->line[12]);
	EXPECT_AUX(f, 0x08, 0x01, 0x00, 0x00);
}

static void test_ready(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	g_assert_true(input_router_ready(&f->router, INPUT_KEYBOARD));
	press(f, KEY_UP);
	g_assert_false(input_router_ready(&f->router, INPUT_KEYBOARD));
	EXPECT(f, 0xE0);
	g_assert_false(input_router_ready(&f->router, INPUT_KEYBOARD));
	clock_advance(&f->machine->vm.clock, MILLISECOND);
	g_assert_false(input_router_ready(&f->router, INPUT_KEYBOARD));
	EXPECT(f, 0x48);
	g_assert_true(input_router_ready(&f->router, INPUT_KEYBOARD));
}

static void test_reset(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	select_set(f, 3);
	enable_mouse(f);
	press(f, KEY_A);
	press(f, BTN_LEFT);
	f->i8042->ops->reset(f->i8042);
	g_assert_false(f->machine->line[1] || f->machine->line[12]);
	expect_nothing(f);
	release(f, KEY_A);
	press(f, KEY_A);
	EXPECT(f, 0x1E);
	aux(f, 0xE9);
	EXPECT_AUX(f, 0xFA, 0x00, 0x02, 100);
}

static void test_state(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	enable_mouse(f);
	data(f, 0xED);
	data(f, 0x02);
	press(f, KEY_RIGHT);
	move(f, 1000, 2);
	move(f, 1, 1);
	command(f, 0xD3);
	fake_check_state_round_trip(f->i8042);
	g_assert_cmpuint(f->router.leds, ==, INPUT_LED_NUM);
	/* The loaded device goes on where the saved one was. */
	data(f, 0x77);
	EXPECT_AUX(f, 0x77);
	EXPECT(f, 0xFA, 0xFA, 0xE0, 0x4D);
	EXPECT_AUX(f, 0x28, 0xFF, 0xFE);
}

/* Any byte of a saved state may be wrong: loading refuses or copes, and the ports keep working. */
static void test_hostile_state(struct fixture *f, gconstpointer unused)
{
	static const char *const u8[] = { "source", "command", "keyboard.set", "keyboard.command", "mouse.mode",
					  "mouse.command", "mouse.id", "mouse.rate", "mouse.resolution" };
	static const char *const u16[] = { "keyboard.responses.count", "keyboard.events.count", "mouse.events.count",
					   "mouse.responses.count" };
	static const char *const u32[] = { "mouse.x", "mouse.y", "mouse.wheel" };
	GRand *random = g_rand_new_with_seed(8042);

	(void)unused;
	for (unsigned round = 0; round < 300; round++) {
		struct state *state = state_new_save();
		g_autoptr(GBytes) file = NULL;
		uint8_t byte = (uint8_t)g_rand_int(random);
		uint16_t half = (uint16_t)g_rand_int(random);
		uint32_t word = g_rand_int(random);

		state_section(state, "i8042");
		for (guint i = 0; i < G_N_ELEMENTS(u8); i++)
			state_u8(state, u8[i], &byte);
		for (guint i = 0; i < G_N_ELEMENTS(u16); i++)
			state_u16(state, u16[i], &half);
		for (guint i = 0; i < G_N_ELEMENTS(u32); i++)
			state_u32(state, u32[i], &word);
		file = state_finish_save(state);
		if (half > 512)
			g_assert_false(fake_load(f->i8042, file, NULL));
		else
			fake_load(f->i8042, file, NULL);
		press(f, KEY_A);
		move(f, 100, 100);
		rest(f);
		for (unsigned i = 0; i < 600; i++) {
			fake_in(f->machine, DATA, 1);
			clock_advance(&f->machine->vm.clock, MILLISECOND);
		}
		release(f, KEY_A);
	}
	g_rand_free(random);
}

/* Random accesses and events: nothing breaks, and after a reset everything works. */
static void test_fuzz(struct fixture *f, gconstpointer unused)
{
	GRand *random = g_rand_new_with_seed(60);

	(void)unused;
	for (unsigned i = 0; i < 200000; i++) {
		uint32_t dice = g_rand_int(random);
		uint16_t port = dice & 1 ? DATA : COMMAND;
		uint8_t byte = (uint8_t)(dice >> 8);

		switch (dice >> 4 & 7) {
		case 0:
		case 1:
			fake_out(f->machine, port, 1u << (dice >> 16 & 1), byte);
			break;
		case 2:
			aux(f, byte);
			break;
		case 3:
		case 4:
			fake_in(f->machine, port, 1);
			break;
		case 5:
			send(f, EV_KEY, (uint16_t)(dice >> 16 & 0x1FF), dice & 1);
			break;
		case 6:
			send(f, EV_REL, (uint16_t)(dice >> 16 & 15), (int32_t)g_rand_int(random));
			break;
		default:
			clock_advance(&f->machine->vm.clock, dice >> 8);
		}
		if (i % 20000 == 0)
			fake_check_state_round_trip(f->i8042);
	}
	g_rand_free(random);
	input_router_release_all(&f->router);
	f->i8042->ops->reset(f->i8042);
	test_linux_keyboard(f, NULL);
	test_linux_mouse(f, NULL);
}

#define ADD(name, function) g_test_add("/ps2/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("linux-probe", test_linux_probe);
	ADD("linux-keyboard", test_linux_keyboard);
	ADD("linux-mouse", test_linux_mouse);
	ADD("windows-start", test_windows_start);
	ADD("controller-commands", test_controller_commands);
	ADD("disabled-interfaces", test_disabled_interfaces);
	ADD("interrupt-per-byte", test_interrupt_per_byte);
	ADD("keyboard-reset", test_keyboard_reset);
	ADD("set-selection", test_set_selection);
	ADD("set-1-and-2", test_set_1_and_2);
	ADD("set-3", test_set_3);
	ADD("translated-main-block", test_translated_main_block);
	ADD("pause-and-print", test_pause_and_print);
	ADD("typematic", test_typematic);
	ADD("overrun", test_overrun);
	ADD("mouse-motion", test_mouse_motion);
	ADD("mouse-modes", test_mouse_modes);
	ADD("ready", test_ready);
	ADD("reset", test_reset);
	ADD("state", test_state);
	ADD("hostile-state", test_hostile_state);
	ADD("fuzz", test_fuzz);
	return g_test_run();
}
