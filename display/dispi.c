/*
 * DISPI: the mode-setting registers of the Bochs display interface, by ports 1CE and 1CF or through BAR 2
 * (hardware.md section 6): any resolution that VRAM holds, 4 bits (planar) or 8 to 32 bits (linear) deep.
 */
#include <string.h>

#include "../vmm/vm.h"
#include "vga_core.h"

#define ID_FIRST 0xB0C0
#define ID_LAST 0xB0C5
#define DISPI_BPP_MAX 32

#define PORT_INDEX 0x1CE
#define PORTS 3

/* Bytes of VRAM that so many pixels take; in planar modes all four planes' together. */
static uint32_t pixels_size(const struct vga *vga, uint32_t pixels)
{
	unsigned bpp = vga->dispi[DISPI_BPP];

	return bpp == 15 ? pixels * 2 : pixels * bpp / 8;
}

uint32_t dispi_line_size(const struct vga *vga)
{
	return pixels_size(vga, vga->dispi[DISPI_VIRT_WIDTH]);
}

static bool depth_exists(unsigned bpp)
{
	return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* A plane is addressed by bytes: 8 pixels in planar modes, where a row may start at any pixel. */
static void validate_size(struct vga *vga)
{
	uint16_t *r = vga->dispi;
	unsigned unit = r[DISPI_BPP] == 4 ? 8 : 1;

	r[DISPI_XRES] = CLAMP(r[DISPI_XRES], 8, DISPI_XRES_MAX) / unit * unit;
	r[DISPI_VIRT_WIDTH] = MAX(r[DISPI_VIRT_WIDTH], r[DISPI_XRES]) / unit * unit;
	if (dispi_line_size(vga) > vga->vram_size)
		r[DISPI_VIRT_WIDTH] = r[DISPI_XRES];
	r[DISPI_YRES] = (uint16_t)CLAMP(r[DISPI_YRES], 1, MIN(DISPI_YRES_MAX, vga->vram_size / dispi_line_size(vga)));
	r[DISPI_VIRT_HEIGHT] = (uint16_t)MIN(vga->vram_size / dispi_line_size(vga), 0xFFFF);
}

static void validate_offset(struct vga *vga)
{
	uint16_t *r = vga->dispi;
	uint64_t line = dispi_line_size(vga);
	uint64_t shown = line * (r[DISPI_YRES] - 1u) + pixels_size(vga, r[DISPI_XRES]);

	if (line * r[DISPI_Y_OFFSET] + shown > vga->vram_size)
		r[DISPI_Y_OFFSET] = 0;
	if (line * r[DISPI_Y_OFFSET] + pixels_size(vga, r[DISPI_X_OFFSET]) + shown > vga->vram_size)
		r[DISPI_X_OFFSET] = 0;
}

void dispi_validate(struct vga *vga)
{
	uint16_t *r = vga->dispi;

	if (!depth_exists(r[DISPI_BPP]))
		r[DISPI_BPP] = 8;
	r[DISPI_BANK] %= MAX(vga->vram_size / VGA_BANK_SIZE, 1);
	if (!dispi_enabled(vga))
		return;
	validate_size(vga);
	validate_offset(vga);
}

static void write_enable(struct vga *vga, uint16_t value)
{
	uint16_t *r = vga->dispi;
	bool starts = value & DISPI_ENABLED && !dispi_enabled(vga);

	r[DISPI_ENABLE] = value & (DISPI_ENABLED | DISPI_GETCAPS | DISPI_8BIT_DAC | DISPI_LFB_ENABLED |
				   DISPI_NOCLEARMEM);
	r[DISPI_BANK] = 0;
	if (!starts)
		return;
	r[DISPI_VIRT_WIDTH] = r[DISPI_XRES];
	r[DISPI_X_OFFSET] = 0;
	r[DISPI_Y_OFFSET] = 0;
	dispi_validate(vga);
	if (!(value & DISPI_NOCLEARMEM))
		vga_vram_clear(vga, 0, dispi_line_size(vga) * r[DISPI_YRES]);
}

uint16_t dispi_read(struct vga *vga, unsigned index)
{
	static const uint16_t capabilities[] = {
		[DISPI_XRES] = DISPI_XRES_MAX, [DISPI_YRES] = DISPI_YRES_MAX, [DISPI_BPP] = DISPI_BPP_MAX
	};

	if (vga->dispi[DISPI_ENABLE] & DISPI_GETCAPS && index >= DISPI_XRES && index <= DISPI_BPP)
		return capabilities[index];
	if (index == DISPI_VIDEO_MEMORY_64K)
		return (uint16_t)(vga->vram_size / VGA_BANK_SIZE);
	return index < DISPI_COUNT ? vga->dispi[index] : 0;
}

void dispi_write(struct vga *vga, unsigned index, uint16_t value)
{
	switch (index) {
	case DISPI_ID:
		if (value >= ID_FIRST && value <= ID_LAST)
			vga->dispi[DISPI_ID] = value;
		return;
	case DISPI_ENABLE:
		write_enable(vga, value);
		break;
	case DISPI_BPP:
		/* 0 is the interface's old way to say 8. */
		if (value && !depth_exists(value))
			log_guest_error(&vga->errors, "vga", "DISPI depth of %u bits", value);
		vga->dispi[DISPI_BPP] = value;
		break;
	case DISPI_XRES:
	case DISPI_YRES:
	case DISPI_BANK:
	case DISPI_VIRT_WIDTH:
	case DISPI_X_OFFSET:
	case DISPI_Y_OFFSET:
		vga->dispi[index] = value;
		break;
	default:
		return;
	}
	dispi_validate(vga);
	vga_window_update(vga);
	vga_registers_changed(vga);
}

static uint64_t ports_read(void *device, uint64_t offset, unsigned size)
{
	struct vga *vga = device;

	(void)size;
	return offset == 0 ? vga->dispi_index : dispi_read(vga, vga->dispi_index);
}

/* The interface knows 16-bit accesses only; a byte is not half of a register. */
static void ports_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct vga *vga = device;

	if (size < 2)
		log_guest_error(&vga->errors, "vga", "byte written to DISPI port %#x", PORT_INDEX + (unsigned)offset);
	else if (offset == 0)
		vga->dispi_index = (uint16_t)value;
	else
		dispi_write(vga, vga->dispi_index, (uint16_t)value);
}

static const struct bus_ops ports_ops = { ports_read, ports_write };

void dispi_init(struct vga *vga)
{
	vga->dispi_ports = (struct bus_region){ .name = "DISPI", .ops = &ports_ops, .device = vga, .size = PORTS,
						.priority = BUS_PRIORITY_PLATFORM };
	bus_map(&vga->vm->pio, &vga->dispi_ports, PORT_INDEX);
}

void dispi_reset(struct vga *vga)
{
	memset(vga->dispi, 0, sizeof(vga->dispi));
	vga->dispi_index = 0;
	vga->dispi[DISPI_ID] = ID_LAST;
	vga->dispi[DISPI_XRES] = 640;
	vga->dispi[DISPI_YRES] = 480;
	vga->dispi[DISPI_BPP] = 8;
}
