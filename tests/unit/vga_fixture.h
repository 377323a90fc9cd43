/* A VGA on a fake machine, plugged in and mapped, and the register values of the classic BIOS modes. */
#pragma once

#include <string.h>

#include "../../display/vga_core.h"
#include "../../vmm/pci/pci.h"
#include "fake_machine.h"

#define RIG_VRAM_BASE 0xE0000000u
#define RIG_REGISTERS_BASE 0xF0000000u
#define RIG_VRAM_SIZE (4u << 20)
#define RIG_DEVFN PCI_DEVFN(1, 0)

struct rig {
	struct fake_machine *machine;
	struct pci_bus bus;
	struct scanout scanout;
	struct scanout_listener listener;
	struct device *device;
	struct pci_device *pci;
	struct vga *vga;
};

static inline struct rig *rig_new(void)
{
	static const uint8_t rom[] = { 0x55, 0xAA, 1 };
	const struct vga_options options = { .vram_size = RIG_VRAM_SIZE, .width = 1280, .height = 800, .rom = rom,
					     .rom_size = sizeof(rom), .devfn = RIG_DEVFN };
	struct rig *rig = g_new0(struct rig, 1);
	GError *error = NULL;

	rig->machine = fake_machine_new(1 << 20);
	pci_bus_init(&rig->bus, &rig->machine->vm);
	scanout_init(&rig->scanout);
	rig->device = vga_new(&rig->machine->vm, &rig->bus, &rig->scanout, &options, &error);
	g_assert_no_error(error);
	rig->pci = (struct pci_device *)rig->device;
	rig->vga = vga_of(rig->device);
	pci_config_write(rig->pci, PCI_BASE_ADDRESS_0, 4, RIG_VRAM_BASE);
	pci_config_write(rig->pci, PCI_BASE_ADDRESS_2, 4, RIG_REGISTERS_BASE);
	pci_config_write(rig->pci, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEMORY);
	return rig;
}

/* What the I/O thread would do with calls from other threads. */
static inline void rig_run_calls(struct rig *rig)
{
	while (g_main_context_iteration(rig->machine->vm.loop.context, FALSE))
		;
}

static inline void rig_watch(struct rig *rig)
{
	scanout_add_listener(&rig->scanout, &rig->listener);
	rig_run_calls(rig);
}

static inline void rig_unwatch(struct rig *rig)
{
	scanout_remove_listener(&rig->scanout, &rig->listener);
	rig_run_calls(rig);
}

static inline void rig_free(struct rig *rig)
{
	rig->device->ops->destroy(rig->device);
	pci_bus_finish(&rig->bus);
	scanout_finish(&rig->scanout);
	fake_machine_free(rig->machine);
	g_free(rig);
}

static inline void rig_advance(struct rig *rig, unsigned milliseconds)
{
	clock_advance(&rig->machine->vm.clock, milliseconds * (NSEC_PER_SEC / 1000));
}

static inline struct scanout_damage rig_take(struct rig *rig, struct scanout_picture *picture)
{
	struct scanout_picture ignored;
	struct scanout_damage damage;

	scanout_take(&rig->scanout, &rig->listener, picture ? picture : &ignored, &damage);
	scanout_memory_unref((picture ? picture : &ignored)->memory);
	return damage;
}

static inline void rig_out(struct rig *rig, uint16_t port, uint8_t value)
{
	fake_out(rig->machine, port, 1, value);
}

static inline uint8_t rig_in(struct rig *rig, uint16_t port)
{
	return (uint8_t)fake_in(rig->machine, port, 1);
}

static inline void rig_set(struct rig *rig, uint16_t port, uint8_t index, uint8_t value)
{
	fake_out(rig->machine, port, 2, (uint32_t)(value << 8 | index));
}

static inline uint8_t rig_get(struct rig *rig, uint16_t port, uint8_t index)
{
	rig_out(rig, port, index);
	return rig_in(rig, (uint16_t)(port + 1));
}

static inline void rig_set_atc(struct rig *rig, uint8_t index, uint8_t value)
{
	rig_in(rig, 0x3DA);
	rig_out(rig, 0x3C0, index);
	rig_out(rig, 0x3C0, value);
	rig_in(rig, 0x3DA);
	rig_out(rig, 0x3C0, 0x20);
}

static inline void rig_set_dac(struct rig *rig, uint8_t index, uint8_t r, uint8_t g, uint8_t b)
{
	rig_out(rig, 0x3C8, index);
	rig_out(rig, 0x3C9, r);
	rig_out(rig, 0x3C9, g);
	rig_out(rig, 0x3C9, b);
}

static inline void rig_dispi(struct rig *rig, unsigned index, uint16_t value)
{
	fake_out(rig->machine, 0x1CE, 2, index);
	fake_out(rig->machine, 0x1CF, 2, value);
}

static inline uint16_t rig_dispi_read(struct rig *rig, unsigned index)
{
	fake_out(rig->machine, 0x1CE, 2, index);
	return (uint16_t)fake_in(rig->machine, 0x1CF, 2);
}

static inline void rig_dispi_mode(struct rig *rig, unsigned width, unsigned height, unsigned bpp)
{
	rig_dispi(rig, DISPI_ENABLE, 0);
	rig_dispi(rig, DISPI_XRES, (uint16_t)width);
	rig_dispi(rig, DISPI_YRES, (uint16_t)height);
	rig_dispi(rig, DISPI_BPP, (uint16_t)bpp);
	rig_dispi(rig, DISPI_ENABLE, DISPI_ENABLED | DISPI_LFB_ENABLED);
	rig_in(rig, 0x3DA);
	rig_out(rig, 0x3C0, 0x20);
}

struct rig_mode {
	uint8_t misc;
	uint8_t seq[5];
	uint8_t crtc[25];
	uint8_t gc[9];
	uint8_t atc[21];
};

#define RIG_ATC_16 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F
#define RIG_ATC_IDENTITY 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15

static const struct rig_mode rig_mode_03 = {
	0x67, { 0x03, 0x00, 0x03, 0x00, 0x02 },
	{ 0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00,
	  0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF },
	{ 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF },
	{ RIG_ATC_16, 0x0C, 0x00, 0x0F, 0x08, 0x00 },
};

static const struct rig_mode rig_mode_04 = {
	0x63, { 0x03, 0x09, 0x03, 0x00, 0x02 },
	{ 0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0x00, 0x00, 0x00,
	  0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xA2, 0xFF },
	{ 0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0F, 0x0F, 0xFF },
	{ 0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
	  0x01, 0x00, 0x03, 0x00, 0x00 },
};

static const struct rig_mode rig_mode_06 = {
	0x63, { 0x03, 0x01, 0x01, 0x00, 0x06 },
	{ 0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0x00, 0x00, 0x00,
	  0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x00, 0x96, 0xB9, 0xC2, 0xFF },
	{ 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0D, 0x0F, 0xFF },
	{ 0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
	  0x01, 0x00, 0x01, 0x00, 0x00 },
};

static const struct rig_mode rig_mode_0d = {
	0x63, { 0x03, 0x09, 0x0F, 0x00, 0x06 },
	{ 0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC0, 0x00, 0x00, 0x00,
	  0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xE3, 0xFF },
	{ 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0F, 0xFF },
	{ RIG_ATC_16, 0x01, 0x00, 0x0F, 0x00, 0x00 },
};

static const struct rig_mode rig_mode_12 = {
	0xE3, { 0x03, 0x01, 0x0F, 0x00, 0x06 },
	{ 0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0B, 0x3E, 0x00, 0x40, 0x00, 0x00, 0x00,
	  0x00, 0x00, 0x00, 0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xE3, 0xFF },
	{ 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0F, 0xFF },
	{ RIG_ATC_16, 0x01, 0x00, 0x0F, 0x00, 0x00 },
};

static const struct rig_mode rig_mode_13 = {
	0x63, { 0x03, 0x01, 0x0F, 0x00, 0x0E },
	{ 0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0x41, 0x00, 0x00, 0x00,
	  0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3, 0xFF },
	{ 0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0F, 0xFF },
	{ RIG_ATC_IDENTITY, 0x41, 0x00, 0x0F, 0x00, 0x00 },
};

/* All 256 colours differ: see rig_colour(). */
static inline void rig_set_mode(struct rig *rig, const struct rig_mode *mode)
{
	rig_out(rig, 0x3C2, mode->misc);
	for (uint8_t i = 0; i < 5; i++)
		rig_set(rig, 0x3C4, i, mode->seq[i]);
	rig_set(rig, 0x3D4, 0x11, 0x00);
	for (uint8_t i = 0; i < 25; i++)
		rig_set(rig, 0x3D4, i, mode->crtc[i]);
	for (uint8_t i = 0; i < 9; i++)
		rig_set(rig, 0x3CE, i, mode->gc[i]);
	rig_in(rig, 0x3DA);
	for (uint8_t i = 0; i < 21; i++) {
		rig_out(rig, 0x3C0, i);
		rig_out(rig, 0x3C0, mode->atc[i]);
	}
	rig_out(rig, 0x3C0, 0x20);
	rig_out(rig, 0x3C6, 0xFF);
	for (unsigned i = 0; i < 256; i++)
		rig_set_dac(rig, (uint8_t)i, i & 63, i >> 6, 63 - (i & 63));
}

/* The colour that rig_set_mode() gives DAC entry i, as 0x00RRGGBB. */
static inline uint32_t rig_colour(unsigned i)
{
	unsigned r = i & 63, g = i >> 6, b = 63 - (i & 63);

	return (r << 2 | r >> 4) << 16 | (g << 2 | g >> 4) << 8 | (b << 2 | b >> 4);
}
