/*
 * Standard VGA: PCI 1234:1111 with linear frame buffer, DISPI mode setting and everything of IBM's VGA below it.
 *
 * The guest's picture goes to a scanout. While nobody listens there, nothing is looked at or drawn.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "scanout.h"

struct device;
struct pci_bus;
struct vga;
struct vm;

#define VGA_VRAM_MIN (1u << 20)
#define VGA_VRAM_MAX (256u << 20)

struct vga_options {
	uint32_t vram_size;     /* power of two, VGA_VRAM_MIN to VGA_VRAM_MAX */
	unsigned width, height; /* preferred mode, told to the guest by EDID */
	const void *rom;        /* video BIOS, copied; NULL for none */
	size_t rom_size;
	uint8_t devfn;
};

/*
 * Plugs the device in; it is the scanout's producer until it is destroyed. scanout outlives it, vm and bus too.
 * NULL with an error: no memory for VRAM. With vm->lock.
 */
struct device *vga_new(struct vm *vm, struct pci_bus *bus, struct scanout *scanout, const struct vga_options *options,
		       GError **error);
/* The adapter inside a device made by vga_new(). */
struct vga *vga_of(struct device *device);
/* Brings the scanout up to date now, listeners or not: for a screenshot, or before a pause. With vm->lock. */
void vga_refresh_now(struct vga *vga);
/* The user has just done something that he will want to see the effect of: looks sooner for a moment. With vm->lock. */
void vga_expect_change(struct vga *vga);
