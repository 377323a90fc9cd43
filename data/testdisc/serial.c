#include "machine.h"

#define COM1 0x3F8

void serial_init(void)
{
	outb(COM1 + 3, 0x80);
	outb(COM1, 1); /* 115200 baud */
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x03);
	outb(COM1 + 2, 0x07);
	outb(COM1 + 4, 0x0B);
	outb(COM1 + 1, 0x01);
}

void serial_write(const char *text)
{
	/* 16 bytes fit once the transmitter is empty. */
	while (*text) {
		while (!(inb(COM1 + 5) & 0x20))
			;
		for (unsigned i = 0; i < 16 && *text; i++)
			outb(COM1, (uint8_t)*text++);
	}
}

const char *serial_line(void)
{
	static char line[128];
	static unsigned length;
	int byte;

	while ((byte = ring_take(&serial_ring)) >= 0) {
		if (byte == '\n' || byte == '\r') {
			line[length] = 0;
			if (length) {
				length = 0;
				return line;
			}
		} else if (length < sizeof line - 1) {
			line[length++] = (char)byte;
		}
	}
	return NULL;
}
