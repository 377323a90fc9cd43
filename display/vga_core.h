/*
 * The VGA adapter without its PCI shell, so that other adapters (virtio-vga) can contain it. All calls need vm->lock.
 *
 * VRAM holds the four planes interleaved: byte 4 * n + p is byte n of plane p. Chain-4 addresses and linear modes
 * then are plain offsets, and can be shown to the guest as memory.
 *
 * Register names and numbers: IBM VGA (PS/2 Hardware Technical Reference, "Video Subsystem"). Files: vga.c registers,
 * dispi.c mode setting beyond VGA, vga_memory.c the window at A0000, vga_draw.c pixels, vga_render.c what is
 * published, vga_refresh.c when, vga_pci.c the device.
 */
#pragma once

#include "../vmm/bus.h"
#include "../vmm/clock.h"
#include "../vmm/log.h"
#include "../vmm/memory.h"
#include "edid.h"
#include "vga.h"

struct state;

enum vga_misc_output {
	MISC_COLOUR = 1 << 0,     /* CRTC at 3Dx, else 3Bx */
	MISC_RAM_ENABLE = 1 << 1,
};

enum vga_sequencer {
	SEQ_RESET,
	SEQ_CLOCKING_MODE,
	SEQ_MAP_MASK,
	SEQ_CHARACTER_MAP_SELECT,
	SEQ_MEMORY_MODE,
	SEQ_COUNT,
};

#define CLOCKING_8_DOTS 0x01
#define CLOCKING_HALF_DOT_CLOCK 0x08
#define CLOCKING_SCREEN_OFF 0x20
#define MEMORY_MODE_SEQUENTIAL 0x04 /* odd/even addressing off */
#define MEMORY_MODE_CHAIN_4 0x08

enum vga_graphics_controller {
	GC_SET_RESET,
	GC_ENABLE_SET_RESET,
	GC_COLOUR_COMPARE,
	GC_DATA_ROTATE,
	GC_READ_MAP_SELECT,
	GC_GRAPHICS_MODE,
	GC_MISCELLANEOUS,
	GC_COLOUR_DONT_CARE,
	GC_BIT_MASK,
	GC_COUNT,
};

#define GRAPHICS_WRITE_MODE 0x03
#define GRAPHICS_READ_MODE 0x08
#define GRAPHICS_ODD_EVEN 0x10
#define GRAPHICS_INTERLEAVE 0x20 /* shift register mode of CGA's four-colour modes */
#define GRAPHICS_256_COLOURS 0x40
#define MISCELLANEOUS_GRAPHICS 0x01

enum vga_crtc {
	CRTC_HORIZONTAL_DISPLAY_END = 0x01,
	CRTC_OVERFLOW = 0x07,
	CRTC_PRESET_ROW_SCAN = 0x08,
	CRTC_MAXIMUM_SCAN_LINE = 0x09,
	CRTC_CURSOR_START = 0x0A,
	CRTC_CURSOR_END = 0x0B,
	CRTC_START_ADDRESS_HIGH = 0x0C,
	CRTC_START_ADDRESS_LOW = 0x0D,
	CRTC_CURSOR_LOCATION_HIGH = 0x0E,
	CRTC_CURSOR_LOCATION_LOW = 0x0F,
	CRTC_VERTICAL_RETRACE_END = 0x11,
	CRTC_VERTICAL_DISPLAY_END = 0x12,
	CRTC_OFFSET = 0x13,
	CRTC_UNDERLINE_LOCATION = 0x14,
	CRTC_MODE_CONTROL = 0x17,
	CRTC_LINE_COMPARE = 0x18,
	CRTC_COUNT = 0x19,
};

enum vga_attribute_controller {
	ATC_MODE_CONTROL = 0x10,
	ATC_OVERSCAN_COLOUR = 0x11,
	ATC_COLOUR_PLANE_ENABLE = 0x12,
	ATC_HORIZONTAL_PEL_PANNING = 0x13,
	ATC_COLOUR_SELECT = 0x14,
	ATC_COUNT = 0x15,
};

#define ATC_INDEX_PAS 0x20 /* palette address source: 0 blanks the screen */
#define ATC_MODE_LINE_GRAPHICS 0x04
#define ATC_MODE_BLINK 0x08
#define ATC_MODE_PANNING_COMPATIBILITY 0x20
#define ATC_MODE_P54_SELECT 0x80

enum dispi_register {
	DISPI_ID,
	DISPI_XRES,
	DISPI_YRES,
	DISPI_BPP,
	DISPI_ENABLE,
	DISPI_BANK,
	DISPI_VIRT_WIDTH,
	DISPI_VIRT_HEIGHT,
	DISPI_X_OFFSET,
	DISPI_Y_OFFSET,
	DISPI_VIDEO_MEMORY_64K,
	DISPI_COUNT,
};

#define DISPI_ENABLED 0x01
#define DISPI_GETCAPS 0x02
#define DISPI_8BIT_DAC 0x20
#define DISPI_LFB_ENABLED 0x40
#define DISPI_NOCLEARMEM 0x80

#define VGA_WINDOW_BASE 0xA0000u
#define VGA_WINDOW_SIZE 0x20000u
#define VGA_BANK_SIZE 0x10000u
#define VGA_REGISTERS_SIZE 0x1000u /* of BAR 2 */

/* VRAM's dirty bits: finer than pages, because trapped writes are known exactly. */
#define VGA_GRANULE 256u

/* Of DISPI; VGA itself ends at 256 characters and 2048 lines. */
#define DISPI_XRES_MAX 16000u
#define DISPI_YRES_MAX 12000u

enum vga_mode_kind {
	VGA_MODE_BLANK,
	VGA_MODE_TEXT,
	VGA_MODE_PLANAR,      /* 16 colours, one bit in each plane */
	VGA_MODE_INTERLEAVED, /* 4 colours, two bits in one byte (CGA) */
	VGA_MODE_PACKED,      /* 256 colours, VGA's way: mode 13h and mode X */
	VGA_MODE_LINEAR,      /* DISPI with 8 bits or more: shown straight from VRAM */
};

struct vga_mode {
	enum vga_mode_kind kind;
	unsigned width, height;
	/* Drawn modes: */
	unsigned columns;      /* character clocks in a row */
	unsigned column_width; /* dots */
	unsigned scale;        /* picture columns per dot */
	unsigned count_shift;  /* character clocks per step of the address, as a power of two */
	/* Linear modes: */
	enum scanout_format format;
	unsigned stride;
	uint32_t offset;
};

/* One scan line of a drawn mode: the CRTC's counters at its start. */
struct vga_line {
	uint32_t address;
	uint8_t row_scan;
	uint8_t pan; /* dots */
};

struct vga_cursor {
	bool visible; /* enabled and inside the picture */
	bool lit;     /* now, as it blinks */
	uint8_t start, end;
	uint16_t address;
};

struct vga {
	struct vm *vm;
	struct scanout *scanout;
	struct log_limit errors;

	struct scanout_memory *memory; /* of VRAM */
	uint8_t *vram;
	uint32_t vram_size;
	struct memory_slot *vram_slot; /* the linear frame buffer; NULL: not mapped */
	struct bus_region vram_region; /* beneath it, for writes while it is read-only */

	struct bus_region window;        /* A0000-BFFFF, trapped */
	struct memory_slot *window_slot; /* VRAM over it, where accesses are plain */
	uint32_t plain_size;             /* bytes that a slot may show now; 0: accesses have side effects */
	uint32_t plain_vram;             /* where in VRAM they are */
	unsigned plain_accesses;         /* trapped ones that a slot would have saved */

	struct bus_region ports, mono_ports, dispi_ports;
	uint8_t edid[EDID_SIZE_MAX];

	/* Registers. */
	uint8_t misc_output, feature_control;
	uint8_t seq_index, seq[SEQ_COUNT];
	uint8_t gc_index, gc[GC_COUNT];
	uint8_t crtc_index, crtc[CRTC_COUNT];
	uint8_t atc_index, atc[ATC_COUNT]; /* index with ATC_INDEX_PAS */
	bool atc_data_next;                /* flip-flop of port 3C0 */
	uint32_t latch;                    /* byte p: plane p */
	uint8_t dac[256][3];
	uint8_t dac_written[3];
	uint8_t dac_mask, dac_read_index, dac_write_index, dac_state, dac_component;
	uint16_t dispi_index, dispi[DISPI_COUNT];

	/* What is shown. */
	struct scanout_picture picture; /* as published; owns no reference */
	struct scanout_memory *drawn;   /* of drawn modes, one byte per pixel */
	struct vga_mode mode;
	struct vga_cursor cursor;
	bool blink_seen;                /* some drawn character blinks */
	bool blink_lit;
	struct vga_line lines[DISPI_YRES_MAX];
	bool fonts_changed;
	bool registers_changed;
	bool palette_changed;
	uint64_t *dirty; /* one bit per granule */
	bool dirty_any;

	/* When to look (vga_refresh.c). */
	struct timer timer;
	bool watched;
	bool due;        /* timer runs for a known change */
	bool logging;    /* slots are writable and logged; otherwise the next write traps */
	bool coalescing; /* trapped writes queue in the kernel */
	unsigned trapped_writes; /* since the last look */
	unsigned whole_looks;    /* in a row that found all of the picture changed */
	unsigned assumed_looks;  /* to come that take that for granted */
	uint64_t last_refresh, logged_change, trapped_change;
	uint64_t hurry_end; /* until then looks follow each other sooner */
	bool blanking; /* the screen was switched off at blanked_at, not yet shown so */
	uint64_t blanked_at;
};

bool vga_init(struct vga *vga, struct vm *vm, struct scanout *scanout, const struct vga_options *options,
	      GError **error);
void vga_finish(struct vga *vga);
void vga_reset(struct vga *vga);
void vga_state(struct vga *vga, struct state *state);
/* The linear frame buffer is now at address by slot (NULL where there was none to be had), or nowhere: ~0. */
void vga_vram_moved(struct vga *vga, struct memory_slot *slot, uint64_t address);

/* Standard VGA's BAR 2 (hardware.md section 6): EDID, ports, DISPI; the device is the struct vga. */
extern const struct bus_ops vga_registers_ops;
uint8_t vga_port_read(struct vga *vga, unsigned port);
void vga_port_write(struct vga *vga, unsigned port, uint8_t value);

/* dispi.c */
void dispi_init(struct vga *vga);
void dispi_reset(struct vga *vga);
uint16_t dispi_read(struct vga *vga, unsigned index);
void dispi_write(struct vga *vga, unsigned index, uint16_t value);
/* Makes all registers consistent and keeps the picture inside VRAM. */
void dispi_validate(struct vga *vga);
uint32_t dispi_line_size(const struct vga *vga); /* bytes of VRAM from row to row */
static inline bool dispi_enabled(const struct vga *vga)
{
	return vga->dispi[DISPI_ENABLE] & DISPI_ENABLED;
}
/* Packed pixels: the window at A0000 is a plain bank of VRAM. */
static inline bool dispi_linear(const struct vga *vga)
{
	return dispi_enabled(vga) && vga->dispi[DISPI_BPP] != 4;
}

/* vga_memory.c */
bool vga_memory_init(struct vga *vga, GError **error);
void vga_memory_finish(struct vga *vga);
/* Registers or the bank changed: takes the window's slot away if it no longer fits. */
void vga_window_update(struct vga *vga);
void vga_vram_clear(struct vga *vga, uint32_t offset, uint32_t size);

/* vga_draw.c */
/* Follows the CRTC's counters through a frame of the drawn mode. */
void vga_scan_frame(struct vga *vga);
/* Where in each plane a character clock of a line reads. */
uint32_t vga_plane_index(const struct vga *vga, const struct vga_line *line, unsigned column);
/* One line of a drawn mode: mode.width bytes, indices of the picture's palette. */
void vga_draw_line(struct vga *vga, const struct vga_line *line, uint8_t *row);

/* vga_render.c */
/* Publishes what changed. immediate: a screen switched off is shown off at once. */
void vga_render(struct vga *vga, bool immediate);
void vga_mark_all(struct vga *vga);
static inline void vga_mark(struct vga *vga, uint32_t offset)
{
	vga->dirty[offset / VGA_GRANULE / 64] |= 1ull << (offset / VGA_GRANULE % 64);
	vga->dirty_any = true;
}
/* Light of the cursor changes this often, that of blinking characters half as often: 16 frames of 70 Hz. */
#define VGA_BLINK_PERIOD (NSEC_PER_SEC * 16 / 70)

/* vga_refresh.c */
void vga_refresh_init(struct vga *vga);
void vga_refresh_finish(struct vga *vga);
/* Registers changed what is to be seen. */
void vga_registers_changed(struct vga *vga);
void vga_palette_changed(struct vga *vga);
void vga_cursor_changed(struct vga *vga);
/* A trapped write reached VRAM through the window, or through the linear frame buffer. */
void vga_window_written(struct vga *vga);
void vga_linear_written(struct vga *vga);
/* The flags that a slot onto VRAM should have now. */
unsigned vga_slot_flags(const struct vga *vga);
/* Everything may have changed (reset, state loaded). */
void vga_refresh_all(struct vga *vga);
