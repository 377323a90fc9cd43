/* Pixels of the modes that VGA makes from planes: text, planar, CGA's four colours, 256 colours. */
#include <string.h>

#include "vga_core.h"

#define MODE_CONTROL_MAP_13 0x01 /* 0: row scan bit 0 is address bit 13 (CGA) */
#define MODE_CONTROL_MAP_14 0x02 /* 0: row scan bit 1 is address bit 14 (Hercules) */
#define MODE_CONTROL_ADDRESS_WRAP 0x20
#define MODE_CONTROL_BYTE_MODE 0x40
#define UNDERLINE_DOUBLEWORD 0x40
#define MAXIMUM_SCAN_LINE_DOUBLE 0x80

/* One character clock more than is shown, for panning. */
#define DOTS_MAX (DISPI_XRES_MAX + 9)

static unsigned line_compare(const struct vga *vga)
{
	const uint8_t *crtc = vga->crtc;

	return crtc[CRTC_LINE_COMPARE] | (crtc[CRTC_OVERFLOW] & 0x10) << 4 |
	       (crtc[CRTC_MAXIMUM_SCAN_LINE] & 0x40) << 3;
}

static uint8_t panned_dots(const struct vga *vga)
{
	uint8_t pan = vga->atc[ATC_HORIZONTAL_PEL_PANNING];

	if (vga->mode.kind == VGA_MODE_PACKED)
		return pan & 6;
	/* With 9 dots, 8 means none and 0-7 mean one more. */
	if (vga->mode.column_width == 9)
		return pan >= 8 ? 0 : pan + 1;
	return pan & 7;
}

/* DISPI with 4 bits: plain rows of planes. */
static void scan_dispi_frame(struct vga *vga)
{
	const uint16_t *r = vga->dispi;
	uint32_t stride = r[DISPI_VIRT_WIDTH] / 8u;
	uint32_t address = stride * r[DISPI_Y_OFFSET] + r[DISPI_X_OFFSET] / 8u;

	for (unsigned y = 0; y < vga->mode.height; y++, address += stride)
		vga->lines[y] = (struct vga_line){ .address = address, .pan = r[DISPI_X_OFFSET] & 7 };
}

void vga_scan_frame(struct vga *vga)
{
	const uint8_t *crtc = vga->crtc;
	bool compatible = vga->atc[ATC_MODE_CONTROL] & ATC_MODE_PANNING_COMPATIBILITY;
	uint8_t last_scan = crtc[CRTC_MAXIMUM_SCAN_LINE] & 0x1F, scan = crtc[CRTC_PRESET_ROW_SCAN] & 0x1F;
	bool doubled = crtc[CRTC_MAXIMUM_SCAN_LINE] & MAXIMUM_SCAN_LINE_DOUBLE, second = false;
	uint8_t byte_pan = crtc[CRTC_PRESET_ROW_SCAN] >> 5 & 3, pan = panned_dots(vga);
	uint32_t address = (uint32_t)(crtc[CRTC_START_ADDRESS_HIGH] << 8 | crtc[CRTC_START_ADDRESS_LOW]) + byte_pan;
	unsigned split = line_compare(vga);

	if (dispi_enabled(vga)) {
		scan_dispi_frame(vga);
		return;
	}
	for (unsigned y = 0; y < vga->mode.height; y++) {
		vga->lines[y] = (struct vga_line){ .address = address, .row_scan = scan, .pan = pan };
		/* The split screen below starts at address 0, and can be made not to pan. */
		if (y == split) {
			address = compatible ? 0 : byte_pan;
			pan = compatible ? 0 : pan;
			scan = 0;
			second = false;
			continue;
		}
		second = doubled && !second;
		if (second)
			continue;
		if (scan == last_scan)
			address += crtc[CRTC_OFFSET] * 2u;
		scan = scan == last_scan ? 0 : (scan + 1) & 0x1F;
	}
}

/*
 * The counter's bits are rotated in word mode, as A0 chooses the plane there. Doubleword mode would rotate by two,
 * and chain-4 addressing leave out as many: both stay out, so that chain-4 memory is contiguous.
 */
uint32_t vga_plane_index(const struct vga *vga, const struct vga_line *line, unsigned column)
{
	const uint8_t *crtc = vga->crtc;
	uint8_t control = crtc[CRTC_MODE_CONTROL];
	uint32_t address = line->address + (column >> vga->mode.count_shift);

	if (dispi_enabled(vga))
		return address & (vga->vram_size / 4 - 1);
	if (!(control & MODE_CONTROL_BYTE_MODE) && !(crtc[CRTC_UNDERLINE_LOCATION] & UNDERLINE_DOUBLEWORD))
		address = address << 1 | (address >> (control & MODE_CONTROL_ADDRESS_WRAP ? 15 : 13) & 1);
	if (!(control & MODE_CONTROL_MAP_13))
		address = (address & ~0x2000u) | (line->row_scan & 1u) << 13;
	if (!(control & MODE_CONTROL_MAP_14))
		address = (address & ~0x4000u) | (line->row_scan >> 1 & 1u) << 14;
	return address & 0xFFFF;
}

static uint32_t fetch(const struct vga *vga, const struct vga_line *line, unsigned column)
{
	return ((const uint32_t *)vga->vram)[vga_plane_index(vga, line, column)];
}

/* One byte per bit, the leftmost (bit 7) first. */
static uint64_t spread(uint8_t bits)
{
	uint64_t picked = bits * 0x0101010101010101ull & 0x0102040810204080ull;

	return (picked + 0x7F7F7F7F7F7F7F7Full) >> 7 & 0x0101010101010101ull;
}

/* Offset in plane 2 of the font that Character Map Select gives by three bits. */
static uint32_t font_offset(unsigned low, unsigned high)
{
	return low << 14 | high << 13;
}

static uint8_t glyph_row(const struct vga *vga, uint8_t character, bool map_a, uint8_t row_scan)
{
	uint8_t select = vga->seq[SEQ_CHARACTER_MAP_SELECT];
	uint32_t font = map_a ? font_offset(select >> 2 & 3, select >> 5 & 1) :
				font_offset(select & 3, select >> 4 & 1);

	return vga->vram[(font + character * 32u + row_scan) * 4 + 2];
}

struct glyph {
	uint8_t dots;
	bool ninth; /* in 9-dot characters */
	uint8_t foreground, background;
};

static struct glyph find_glyph(struct vga *vga, const struct vga_line *line, unsigned column)
{
	uint32_t cell = fetch(vga, line, column);
	uint8_t character = (uint8_t)cell, attribute = (uint8_t)(cell >> 8), mode = vga->atc[ATC_MODE_CONTROL];
	struct glyph glyph = { .foreground = attribute & 15, .background = attribute >> 4 };
	const struct vga_cursor *cursor = &vga->cursor;

	glyph.dots = glyph_row(vga, character, attribute & 8, line->row_scan);
	/* The dot between characters continues the right edge of box drawing characters. */
	glyph.ninth = glyph.dots & 1 && mode & ATC_MODE_LINE_GRAPHICS && character >= 0xC0 && character <= 0xDF;
	if ((attribute & 0x77) == 0x01 && line->row_scan == (vga->crtc[CRTC_UNDERLINE_LOCATION] & 0x1F)) {
		glyph.dots = 0xFF;
		glyph.ninth = true;
	}
	if (mode & ATC_MODE_BLINK) {
		glyph.background &= 7;
		vga->blink_seen |= attribute >> 7;
		if (attribute & 0x80 && !vga->blink_lit) {
			glyph.dots = 0;
			glyph.ninth = false;
		}
	}
	if (cursor->lit && ((line->address + column) & 0xFFFF) == cursor->address &&
	    line->row_scan >= cursor->start && line->row_scan <= cursor->end) {
		glyph.dots = 0xFF;
		glyph.ninth = true;
	}
	return glyph;
}

static void draw_text(struct vga *vga, const struct vga_line *line, uint8_t *dots)
{
	for (unsigned column = 0; column <= vga->mode.columns; column++) {
		struct glyph glyph = find_glyph(vga, line, column);
		uint64_t mask = spread(glyph.dots) * 0xFF;
		uint64_t eight = (glyph.foreground * 0x0101010101010101ull & mask) |
				 (glyph.background * 0x0101010101010101ull & ~mask);

		memcpy(dots, &eight, 8);
		if (vga->mode.column_width == 9)
			dots[8] = glyph.ninth ? glyph.foreground : glyph.background;
		dots += vga->mode.column_width;
	}
}

static void draw_planar(struct vga *vga, const struct vga_line *line, uint8_t *dots)
{
	for (unsigned column = 0; column <= vga->mode.columns; column++, dots += 8) {
		uint32_t planes = fetch(vga, line, column);
		uint64_t eight = spread((uint8_t)planes) | spread((uint8_t)(planes >> 8)) << 1 |
				 spread((uint8_t)(planes >> 16)) << 2 | spread((uint8_t)(planes >> 24)) << 3;

		memcpy(dots, &eight, 8);
	}
}

/* Planes 0 and 1 hold two bits per pixel, four pixels each; planes 2 and 3 the upper two bits of the same pixels. */
static void draw_interleaved(struct vga *vga, const struct vga_line *line, uint8_t *dots)
{
	for (unsigned column = 0; column <= vga->mode.columns; column++) {
		uint32_t planes = fetch(vga, line, column);

		for (unsigned half = 0; half < 2; half++, planes >>= 8)
			for (unsigned shift = 8; shift > 0; shift -= 2)
				*dots++ = (uint8_t)((planes >> (shift - 2) & 3) | (planes >> (14 + shift) & 3) << 2);
	}
}

/* A pixel is two dots wide; the four planes' bytes are four pixels. */
static void draw_packed(struct vga *vga, const struct vga_line *line, uint8_t *dots)
{
	for (unsigned column = 0; column <= vga->mode.columns; column++) {
		uint32_t planes = fetch(vga, line, column);

		for (unsigned i = 0; i < 4; i++, planes >>= 8, dots += 2)
			dots[0] = dots[1] = (uint8_t)planes;
	}
}

void vga_draw_line(struct vga *vga, const struct vga_line *line, uint8_t *row)
{
	static void (*const draw[])(struct vga *vga, const struct vga_line *line, uint8_t *dots) = {
		[VGA_MODE_TEXT] = draw_text,
		[VGA_MODE_PLANAR] = draw_planar,
		[VGA_MODE_INTERLEAVED] = draw_interleaved,
		[VGA_MODE_PACKED] = draw_packed,
	};
	uint8_t dots[DOTS_MAX];
	unsigned width = vga->mode.width;

	draw[vga->mode.kind](vga, line, dots);
	if (vga->mode.scale == 1) {
		memcpy(row, dots + line->pan, width);
		return;
	}
	for (unsigned x = 0; x < width; x++)
		row[x] = dots[line->pan + x / 2];
}
