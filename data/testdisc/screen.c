#include "machine.h"

/* The display's programming interface (Bochs VBE extensions). */
#define DISPI_INDEX 0x1CE
#define DISPI_DATA 0x1CF
enum { DISPI_ID, DISPI_XRES, DISPI_YRES, DISPI_BPP, DISPI_ENABLE };
#define DISPI_ENABLED 0x01
#define DISPI_LFB 0x40

struct screen screen;

static void dispi_write(uint16_t index, uint16_t value)
{
	outw(DISPI_INDEX, index);
	outw(DISPI_DATA, value);
}

static uint16_t dispi_read(uint16_t index)
{
	outw(DISPI_INDEX, index);
	return inw(DISPI_DATA);
}

bool screen_set_mode(unsigned width, unsigned height)
{
	uint32_t display = pci_find_class(0x0300);

	if (display == PCI_NONE || (dispi_read(DISPI_ID) & 0xFFF0) != 0xB0C0)
		return false;
	dispi_write(DISPI_ENABLE, 0);
	dispi_write(DISPI_XRES, (uint16_t)width);
	dispi_write(DISPI_YRES, (uint16_t)height);
	dispi_write(DISPI_BPP, 32);
	dispi_write(DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB);
	if (dispi_read(DISPI_XRES) != width || dispi_read(DISPI_YRES) != height)
		return false;
	screen.pixels = (uint32_t *)(uintptr_t)(pci_read(display, 0x10) & ~0xFu);
	screen.width = width;
	screen.height = height;
	return true;
}

void screen_fill(int x, int y, int width, int height, uint32_t colour)
{
	if (x < 0) {
		width += x;
		x = 0;
	}
	if (y < 0) {
		height += y;
		y = 0;
	}
	if (x + width > (int)screen.width)
		width = (int)screen.width - x;
	if (y + height > (int)screen.height)
		height = (int)screen.height - y;
	if (width <= 0)
		return;
	for (; height > 0; height--, y++) {
		uint32_t *out = screen.pixels + (size_t)y * screen.width + x;
		size_t count = (size_t)width;

		__asm__ volatile("rep stosl" : "+D"(out), "+c"(count) : "a"(colour) : "memory");
	}
}

static void draw_character(int x, int y, uint8_t character, uint32_t colour, int scale)
{
	const uint8_t *rows = font + character * 16;

	for (int row = 0; row < 16; row++)
		for (int column = 0; column < 8; column++)
			if (rows[row] & (0x80 >> column))
				screen_fill(x + column * scale, y + row * scale, scale, scale, colour);
}

void screen_text(int x, int y, const char *text, uint32_t colour, int scale)
{
	for (; *text; text++, x += 8 * scale)
		draw_character(x, y, (uint8_t)*text, colour, scale);
}
