/* VGA's registers: ports 3B0-3DF. */
#include <string.h>

#include "../vmm/state.h"
#include "../vmm/vm.h"
#include "vga_core.h"

#define MONO_PORTS 0x3B0
#define MONO_PORTS_COUNT 12 /* 3BC and up are a printer's */
#define PORTS 0x3C0
#define PORTS_COUNT 32

#define CRTC_PROTECT 0x80     /* Vertical Retrace End: 00-07 are read-only ... */
#define OVERFLOW_UNPROTECTED 0x10 /* ... but for the line compare bit of 07 */

#define STATUS_0_SENSE 0x10 /* a display is attached */
#define STATUS_1_NO_DISPLAY 0x01
#define STATUS_1_VERTICAL_RETRACE 0x08

/* 400 lines at 70 Hz: 449 lines of 31.8 us, of which 6.4 us are blanking. */
#define LINE_TIME 31778u
#define LINE_DISPLAY_TIME 25422u
#define FRAME_LINES 449u
#define FRAME_DISPLAY_LINES 400u
/* A real retrace lasts two lines; a guest that polls through exits needs more to see it. */
#define RETRACE_FIRST 412u
#define RETRACE_LINES 32u

/* Register bits that exist. */
static const uint8_t seq_bits[SEQ_COUNT] = { 0x03, 0x3D, 0x0F, 0x3F, 0x0E };
static const uint8_t gc_bits[GC_COUNT] = { 0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF };
static const uint8_t atc_bits[ATC_COUNT - ATC_MODE_CONTROL] = { 0xEF, 0xFF, 0x3F, 0x0F, 0x0F };

static uint8_t atc_mask(unsigned index)
{
	return index < ATC_MODE_CONTROL ? 0x3F : atc_bits[index - ATC_MODE_CONTROL];
}

/* Follows the guest's clock, so that programs which wait for the retrace run at the speed they were written for. */
static uint8_t status_1(const struct vga *vga)
{
	uint64_t now = clock_now(&vga->vm->clock);
	uint64_t line = now / LINE_TIME % FRAME_LINES;
	uint8_t status = 0;

	if (line >= FRAME_DISPLAY_LINES || now % LINE_TIME >= LINE_DISPLAY_TIME)
		status |= STATUS_1_NO_DISPLAY;
	if (line >= RETRACE_FIRST && line < RETRACE_FIRST + RETRACE_LINES)
		status |= STATUS_1_VERTICAL_RETRACE;
	return status;
}

static uint8_t read_status_1(struct vga *vga)
{
	vga->atc_data_next = false;
	return status_1(vga);
}

static uint8_t atc_read(const struct vga *vga)
{
	unsigned index = vga->atc_index & 0x1F;

	return index < ATC_COUNT ? vga->atc[index] : 0;
}

/* One port takes index and data in turn. */
static void atc_write(struct vga *vga, uint8_t value)
{
	unsigned index = vga->atc_index & 0x1F;

	vga->atc_data_next = !vga->atc_data_next;
	if (vga->atc_data_next) {
		uint8_t old = vga->atc_index;

		vga->atc_index = value & 0x3F;
		if ((old ^ vga->atc_index) & ATC_INDEX_PAS)
			vga_registers_changed(vga);
		return;
	}
	if (index >= ATC_COUNT || vga->atc[index] == (value & atc_mask(index)))
		return;
	vga->atc[index] = value & atc_mask(index);
	/* Colours are looked up when the picture is shown; the rest says how it is drawn. */
	if (index < ATC_MODE_CONTROL || index == ATC_COLOUR_PLANE_ENABLE || index == ATC_COLOUR_SELECT)
		vga_palette_changed(vga);
	else if (index != ATC_OVERSCAN_COLOUR)
		vga_registers_changed(vga);
}

static void seq_write(struct vga *vga, uint8_t value)
{
	unsigned index = vga->seq_index;

	if (index >= SEQ_COUNT || vga->seq[index] == (value & seq_bits[index]))
		return;
	vga->seq[index] = value & seq_bits[index];
	vga_window_update(vga);
	/* Map mask and memory mode are of the CPU's access only; drawing programs change them all the time. */
	if (index == SEQ_CLOCKING_MODE || index == SEQ_CHARACTER_MAP_SELECT)
		vga_registers_changed(vga);
}

static void gc_write(struct vga *vga, uint8_t value)
{
	unsigned index = vga->gc_index;
	uint8_t old;

	if (index >= GC_COUNT)
		return;
	old = vga->gc[index];
	vga->gc[index] = value & gc_bits[index];
	if (vga->gc[index] == old)
		return;
	vga_window_update(vga);
	if ((index == GC_GRAPHICS_MODE && (old ^ value) & (GRAPHICS_INTERLEAVE | GRAPHICS_256_COLOURS)) ||
	    (index == GC_MISCELLANEOUS && (old ^ value) & MISCELLANEOUS_GRAPHICS))
		vga_registers_changed(vga);
}

static void crtc_write(struct vga *vga, uint8_t value)
{
	unsigned index = vga->crtc_index;

	if (index >= CRTC_COUNT)
		return;
	if (index <= CRTC_OVERFLOW && vga->crtc[CRTC_VERTICAL_RETRACE_END] & CRTC_PROTECT) {
		if (index != CRTC_OVERFLOW)
			return;
		value = (uint8_t)((vga->crtc[index] & ~OVERFLOW_UNPROTECTED) | (value & OVERFLOW_UNPROTECTED));
	}
	if (vga->crtc[index] == value)
		return;
	vga->crtc[index] = value;
	/* A text cursor moves with every character: only it is looked at then. */
	if (index == CRTC_CURSOR_LOCATION_HIGH || index == CRTC_CURSOR_LOCATION_LOW)
		vga_cursor_changed(vga);
	else
		vga_registers_changed(vga);
}

static uint8_t dac_read(struct vga *vga)
{
	uint8_t value = vga->dac[vga->dac_read_index][vga->dac_component];

	if (++vga->dac_component == 3) {
		vga->dac_component = 0;
		vga->dac_read_index++;
	}
	return value;
}

/* A colour takes effect when its third component is written. */
static void dac_write(struct vga *vga, uint8_t value)
{
	vga->dac_written[vga->dac_component] = value;
	if (++vga->dac_component < 3)
		return;
	vga->dac_component = 0;
	memcpy(vga->dac[vga->dac_write_index++], vga->dac_written, 3);
	vga_palette_changed(vga);
}

/* CRTC, status 1 and feature control are at 3Dx in colour modes and at 3Bx in monochrome ones. */
static bool relocated_away(const struct vga *vga, unsigned port)
{
	bool colour = vga->misc_output & MISC_COLOUR;

	return (port < 0x3C0 && colour) || (port >= 0x3D0 && !colour);
}

static uint8_t read_relocated(struct vga *vga, unsigned port)
{
	switch (port & 0xF) {
	case 0x4:
		return vga->crtc_index;
	case 0x5:
		return vga->crtc_index < CRTC_COUNT ? vga->crtc[vga->crtc_index] : 0;
	case 0xA:
		return read_status_1(vga);
	default:
		return 0xFF;
	}
}

uint8_t vga_port_read(struct vga *vga, unsigned port)
{
	if (relocated_away(vga, port))
		return 0xFF;
	switch (port) {
	case 0x3C0:
		return vga->atc_index;
	case 0x3C1:
		return atc_read(vga);
	case 0x3C2:
		return STATUS_0_SENSE;
	case 0x3C4:
		return vga->seq_index;
	case 0x3C5:
		return vga->seq_index < SEQ_COUNT ? vga->seq[vga->seq_index] : 0;
	case 0x3C6:
		return vga->dac_mask;
	case 0x3C7:
		return vga->dac_state;
	case 0x3C8:
		return vga->dac_write_index;
	case 0x3C9:
		return dac_read(vga);
	case 0x3CA:
		return vga->feature_control;
	case 0x3CC:
		return vga->misc_output;
	case 0x3CE:
		return vga->gc_index;
	case 0x3CF:
		return vga->gc_index < GC_COUNT ? vga->gc[vga->gc_index] : 0;
	default:
		return port < 0x3C0 || port >= 0x3D0 ? read_relocated(vga, port) : 0xFF;
	}
}

static void write_relocated(struct vga *vga, unsigned port, uint8_t value)
{
	switch (port & 0xF) {
	case 0x4:
		vga->crtc_index = value & 0x3F;
		break;
	case 0x5:
		crtc_write(vga, value);
		break;
	case 0xA:
		vga->feature_control = value & 0x0B;
		break;
	}
}

static void write_misc_output(struct vga *vga, uint8_t value)
{
	vga->misc_output = value & 0xEF;
	vga_window_update(vga);
}

static void write_dac_index(struct vga *vga, bool read, uint8_t value)
{
	*(read ? &vga->dac_read_index : &vga->dac_write_index) = value;
	vga->dac_state = read ? 3 : 0;
	vga->dac_component = 0;
}

void vga_port_write(struct vga *vga, unsigned port, uint8_t value)
{
	if (relocated_away(vga, port))
		return;
	switch (port) {
	case 0x3C0:
		atc_write(vga, value);
		break;
	case 0x3C2:
		write_misc_output(vga, value);
		break;
	case 0x3C4:
		vga->seq_index = value & 7;
		break;
	case 0x3C5:
		seq_write(vga, value);
		break;
	case 0x3C6:
		vga->dac_mask = value;
		vga_palette_changed(vga);
		break;
	case 0x3C7:
	case 0x3C8:
		write_dac_index(vga, port == 0x3C7, value);
		break;
	case 0x3C9:
		dac_write(vga, value);
		break;
	case 0x3CE:
		vga->gc_index = value & 0xF;
		break;
	case 0x3CF:
		gc_write(vga, value);
		break;
	default:
		if (port < 0x3C0 || port >= 0x3D0)
			write_relocated(vga, port, value);
	}
}

/* A wide access is one to each port in turn, as on the ISA bus. */
static uint64_t read_ports(struct vga *vga, unsigned port, unsigned end, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size; i++) {
		uint8_t byte = port + i < end ? vga_port_read(vga, port + i) : 0xFF;

		value |= (uint64_t)byte << i * 8;
	}
	return value;
}

static void write_ports(struct vga *vga, unsigned port, unsigned end, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size && port + i < end; i++)
		vga_port_write(vga, port + i, (uint8_t)(value >> i * 8));
}

static uint64_t ports_read(void *device, uint64_t offset, unsigned size)
{
	return read_ports(device, PORTS + (unsigned)offset, PORTS + PORTS_COUNT, size);
}

static void ports_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	write_ports(device, PORTS + (unsigned)offset, PORTS + PORTS_COUNT, size, value);
}

static uint64_t mono_read(void *device, uint64_t offset, unsigned size)
{
	return read_ports(device, MONO_PORTS + (unsigned)offset, MONO_PORTS + MONO_PORTS_COUNT, size);
}

static void mono_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	write_ports(device, MONO_PORTS + (unsigned)offset, MONO_PORTS + MONO_PORTS_COUNT, size, value);
}

static const struct bus_ops ports_ops = { ports_read, ports_write };
static const struct bus_ops mono_ops = { mono_read, mono_write };

bool vga_init(struct vga *vga, struct vm *vm, struct scanout *scanout, const struct vga_options *options,
	      GError **error)
{
	g_assert(options->vram_size >= VGA_VRAM_MIN && options->vram_size <= VGA_VRAM_MAX &&
		 !(options->vram_size & (options->vram_size - 1)));
	memset(vga, 0, sizeof(*vga));
	vga->vm = vm;
	vga->scanout = scanout;
	vga->vram_size = options->vram_size;
	edid_build(vga->edid, options->width, options->height);
	if (!vga_memory_init(vga, error))
		return false;
	vga->ports = (struct bus_region){ .name = "VGA", .ops = &ports_ops, .device = vga, .size = PORTS_COUNT,
					  .priority = BUS_PRIORITY_PLATFORM };
	vga->mono_ports = (struct bus_region){ .name = "VGA monochrome", .ops = &mono_ops, .device = vga,
					       .size = MONO_PORTS_COUNT, .priority = BUS_PRIORITY_PLATFORM };
	bus_map(&vm->pio, &vga->ports, PORTS);
	bus_map(&vm->pio, &vga->mono_ports, MONO_PORTS);
	dispi_init(vga);
	vga_refresh_init(vga);
	vga_reset(vga);
	return true;
}

void vga_finish(struct vga *vga)
{
	vga_refresh_finish(vga);
	bus_unmap(&vga->vm->pio, &vga->ports);
	bus_unmap(&vga->vm->pio, &vga->mono_ports);
	bus_unmap(&vga->vm->pio, &vga->dispi_ports);
	vga_memory_finish(vga);
}

void vga_reset(struct vga *vga)
{
	vga->misc_output = 0;
	vga->feature_control = 0;
	vga->seq_index = vga->gc_index = vga->crtc_index = vga->atc_index = 0;
	memset(vga->seq, 0, sizeof(vga->seq));
	memset(vga->gc, 0, sizeof(vga->gc));
	memset(vga->crtc, 0, sizeof(vga->crtc));
	memset(vga->atc, 0, sizeof(vga->atc));
	memset(vga->dac, 0, sizeof(vga->dac));
	memset(vga->dac_written, 0, sizeof(vga->dac_written));
	vga->atc_data_next = false;
	vga->latch = 0;
	vga->dac_mask = 0xFF;
	vga->dac_read_index = vga->dac_write_index = vga->dac_state = vga->dac_component = 0;
	dispi_reset(vga);
	vga_window_update(vga);
	vga_vram_clear(vga, 0, vga->vram_size);
	vga_refresh_all(vga);
}

#define VRAM_CHUNK (64u << 10)

static bool all_zero(const uint8_t *data, size_t size)
{
	return data[0] == 0 && memcmp(data, data + 1, size - 1) == 0;
}

/* VRAM in pieces, of which those never written are left out. */
static void vram_state(struct vga *vga, struct state *state)
{
	if (state_loading(state))
		vga_vram_clear(vga, 0, vga->vram_size);
	for (uint32_t i = 0; i < vga->vram_size; i += VRAM_CHUNK) {
		g_autofree char *name = g_strdup_printf("vram.%08x", i);

		if (state_loading(state) || !all_zero(vga->vram + i, VRAM_CHUNK))
			state_bytes(state, name, vga->vram + i, VRAM_CHUNK);
	}
}

/* Brings loaded registers into the ranges that the rest of the device relies on. */
static void validate(struct vga *vga, struct state *state)
{
	if (vga->dac_component > 2)
		state_fail(state, "DAC component %u", vga->dac_component);
	vga->dac_component %= 3;
	vga->seq_index &= 7;
	vga->gc_index &= 0xF;
	vga->crtc_index &= 0x3F;
	vga->atc_index &= 0x3F;
	for (unsigned i = 0; i < SEQ_COUNT; i++)
		vga->seq[i] &= seq_bits[i];
	for (unsigned i = 0; i < GC_COUNT; i++)
		vga->gc[i] &= gc_bits[i];
	for (unsigned i = 0; i < ATC_COUNT; i++)
		vga->atc[i] &= atc_mask(i);
	dispi_validate(vga);
}

void vga_state(struct vga *vga, struct state *state)
{
	uint32_t vram_size = vga->vram_size;

	state_u32(state, "vram_size", &vram_size);
	if (vram_size != vga->vram_size) {
		state_fail(state, "VRAM of %u bytes, not %u", vram_size, vga->vram_size);
		return;
	}
	state_u8(state, "misc_output", &vga->misc_output);
	state_u8(state, "feature_control", &vga->feature_control);
	state_u8(state, "seq_index", &vga->seq_index);
	state_bytes(state, "seq", vga->seq, sizeof(vga->seq));
	state_u8(state, "gc_index", &vga->gc_index);
	state_bytes(state, "gc", vga->gc, sizeof(vga->gc));
	state_u8(state, "crtc_index", &vga->crtc_index);
	state_bytes(state, "crtc", vga->crtc, sizeof(vga->crtc));
	state_u8(state, "atc_index", &vga->atc_index);
	state_bytes(state, "atc", vga->atc, sizeof(vga->atc));
	state_bool(state, "atc_data_next", &vga->atc_data_next);
	state_u32(state, "latch", &vga->latch);
	state_bytes(state, "dac", vga->dac, sizeof(vga->dac));
	state_bytes(state, "dac_written", vga->dac_written, sizeof(vga->dac_written));
	state_u8(state, "dac_mask", &vga->dac_mask);
	state_u8(state, "dac_read_index", &vga->dac_read_index);
	state_u8(state, "dac_write_index", &vga->dac_write_index);
	state_u8(state, "dac_state", &vga->dac_state);
	state_u8(state, "dac_component", &vga->dac_component);
	state_u16(state, "dispi_index", &vga->dispi_index);
	for (unsigned i = 0; i < DISPI_COUNT; i++) {
		g_autofree char *name = g_strdup_printf("dispi.%u", i);

		state_u16(state, name, &vga->dispi[i]);
	}
	vram_state(vga, state);
	if (!state_loading(state))
		return;
	validate(vga, state);
	vga_window_update(vga);
	vga_refresh_all(vga);
}
