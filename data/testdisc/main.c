#include "machine.h"

/* Lets the clock, keyboard, second controller, serial port and mouse through. */
static void start_interrupts(void)
{
	outb(0x21, 0xE8);
	outb(0xA1, 0xEF);
	/* 20 ticks a second. */
	outb(0x43, 0x34);
	outb(0x40, (uint8_t)(1193182 / 20));
	outb(0x40, (uint8_t)(1193182 / 20 >> 8));
}

bool blinking, ticking = true;

static bool devices; /* the second page is shown */

static void blink(uint8_t scan_code)
{
	static uint32_t turn;

	if (!(scan_code & 0x80))
		screen_fill(0, 0, (int)screen.width, (int)screen.height, turn++ % 2 ? 0x2040C0 : 0xC04020);
}

void exception(uint64_t number, uint64_t rip, uint64_t rsp, uint64_t cr2);
void main(void);

/* From ring 0: the end. */
void exception(uint64_t number, uint64_t rip, uint64_t rsp, uint64_t cr2)
{
	const uint64_t values[] = { number, rip, rsp, cr2 };
	char text[128], *end = text_copy(text, "exception");

	for (unsigned i = 0; i < 4; i++) {
		*end++ = ' ';
		end = text_hex(end, values[i], 16);
	}
	text_copy(end, "\n");
	serial_write(text);
}

enum { KEY_F1 = 0x3B, KEY_F2 = 0x3C };

/* F1 and F2 lead to the pages; what else is pressed is for the page that is shown. */
static void handle_key(uint8_t scan_code)
{
	if (scan_code == KEY_F2) {
		interface_devices();
		devices = true;
	} else if (!devices) {
		interface_key(scan_code);
	} else if (scan_code == KEY_F1) {
		devices = false;
		interface_draw();
	} else {
		interface_devices_key(scan_code);
	}
}

static void handle_input(void)
{
	const char *line;
	int byte;

	while ((byte = ring_take(&keyboard_ring)) >= 0) {
		if (blinking)
			blink((uint8_t)byte);
		else
			handle_key((uint8_t)byte);
	}
	while ((byte = ring_take(&mouse_ring)) >= 0)
		if (!blinking && !devices)
			interface_mouse((uint8_t)byte);
	while ((line = serial_line()))
		bench_command(line);
}

void main(void)
{
	uint32_t last_tick;

	serial_init();
	if (screen_set_mode(1024, 768)) {
		interface_draw();
		start_interrupts();
	} else {
		serial_write("no display with a Bochs interface\n");
		for (;;)
			idle();
	}
	serial_write("screen\n");
	last_tick = ticks;
	for (;;) {
		pending = 0;
		handle_input();
		if (ticking && !devices && ticks != last_tick) {
			last_tick = ticks;
			interface_tick();
		}
		idle();
	}
}
