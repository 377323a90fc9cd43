#include "machine.h"

#define DATA 0x60
#define STATUS 0x64
#define STATUS_OUTPUT_FULL 0x01
#define STATUS_INPUT_FULL 0x02

/* A controller that does not answer must not hang the disc. */
#define PATIENCE 20000

static void send_command(uint8_t command)
{
	for (unsigned i = 0; i < PATIENCE && inb(STATUS) & STATUS_INPUT_FULL; i++)
		;
	outb(STATUS, command);
}

static void send_data(uint8_t data)
{
	for (unsigned i = 0; i < PATIENCE && inb(STATUS) & STATUS_INPUT_FULL; i++)
		;
	outb(DATA, data);
}

static int receive(void)
{
	for (unsigned i = 0; i < PATIENCE; i++)
		if (inb(STATUS) & STATUS_OUTPUT_FULL)
			return inb(DATA);
	return -1;
}

static int to_mouse(uint8_t byte)
{
	send_command(0xD4);
	send_data(byte);
	return receive();
}

static void set_sample_rate(uint8_t rate)
{
	to_mouse(0xF3);
	to_mouse(rate);
}

unsigned ps2_init(void)
{
	unsigned packet = 0;

	send_command(0xAD);
	send_command(0xA7);
	while (inb(STATUS) & STATUS_OUTPUT_FULL)
		inb(DATA);
	send_command(0x60);
	send_data(0x40); /* translation, no interrupts yet */
	send_command(0xA8);
	if (to_mouse(0xF6) == 0xFA) {
		/* The sequence that turns an IntelliMouse's wheel on. */
		set_sample_rate(200);
		set_sample_rate(100);
		set_sample_rate(80);
		to_mouse(0xF2);
		packet = receive() == 3 ? 4 : 3;
		set_sample_rate(100);
		to_mouse(0xF4);
	}
	send_command(0xAE);
	send_command(0x60);
	send_data(0x43); /* both interrupts */
	return packet;
}
