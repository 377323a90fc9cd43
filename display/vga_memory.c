/*
 * How the CPU reaches VRAM through A0000-BFFFF: planes, latches, read and write modes; and the linear frame buffer
 * while its slot is read-only or missing.
 */
#include <glib/gi18n.h>
#include <string.h>
#include <sys/mman.h>

#include "../vmm/vm.h"
#include "vga_core.h"

/* So many trapped accesses pay for a memory slot, whose removal costs KVM the guest's page tables. */
#define PLAIN_ACCESSES 64

/* Room after VRAM, so that the last row of a picture may have a stride that reaches past the end. */
#define VRAM_SLACK (1u << 20)

struct vga_access {
	uint32_t index;  /* of a byte in each plane */
	unsigned planes; /* mask: what a write reaches */
	unsigned plane;  /* what a read returns */
};

/* One bit per plane to one byte per plane. */
static uint32_t expand_planes(unsigned bits)
{
	return (bits & 1) * 0xFFu | (bits >> 1 & 1) * 0xFF00u | (bits >> 2 & 1) * 0xFF0000u |
	       (bits >> 3 & 1) * 0xFF000000u;
}

static uint32_t *plane_word(struct vga *vga, uint32_t index)
{
	return index < vga->vram_size / 4 ? (uint32_t *)vga->vram + index : NULL;
}

/* Offset of the access in the part of the window that GC 6 chooses; false outside. */
static bool decode_window(const struct vga *vga, uint32_t *offset)
{
	static const struct {
		uint32_t start, size;
	} maps[] = { { 0, 0x20000 }, { 0, 0x10000 }, { 0x10000, 0x8000 }, { 0x18000, 0x8000 } };
	unsigned map = vga->gc[GC_MISCELLANEOUS] >> 2 & 3;

	if (!(vga->misc_output & MISC_RAM_ENABLE) || *offset - maps[map].start >= maps[map].size)
		return false;
	*offset -= maps[map].start;
	return true;
}

/*
 * Odd/even addressing: A0 chooses between even and odd planes. Only the 128 KiB map has a bit of the address, A16,
 * to put in its place. Software that programs sequencer and graphics controller differently (they are meant to be
 * each other's complement) gets what each of them says for writes and reads.
 */
static struct vga_access decode(const struct vga *vga, uint32_t offset, bool odd_even)
{
	struct vga_access access = { .planes = 15, .plane = vga->gc[GC_READ_MAP_SELECT] & 3 };
	uint32_t bank = dispi_enabled(vga) ? (uint32_t)vga->dispi[DISPI_BANK] * VGA_BANK_SIZE : 0;

	if (vga->seq[SEQ_MEMORY_MODE] & MEMORY_MODE_CHAIN_4) {
		access.planes = 1u << (offset & 3);
		access.plane = offset & 3;
		access.index = offset >> 2;
	} else if (odd_even) {
		access.planes = offset & 1 ? 0xA : 0x5;
		access.plane = (access.plane & 2) | (offset & 1);
		access.index = (offset & 0xFFFE) | offset >> 16;
	} else {
		access.index = offset & 0xFFFF;
	}
	access.index += bank;
	return access;
}

/* Read mode 1: a bit is set where all planes that matter have the compared colour. */
static uint8_t compare_colours(const struct vga *vga)
{
	uint32_t differ = vga->latch ^ expand_planes(vga->gc[GC_COLOUR_COMPARE]);

	differ &= expand_planes(vga->gc[GC_COLOUR_DONT_CARE]);
	return (uint8_t)~(differ | differ >> 8 | differ >> 16 | differ >> 24);
}

static uint8_t read_planes(struct vga *vga, uint32_t offset)
{
	struct vga_access access;
	const uint32_t *word;

	if (!decode_window(vga, &offset))
		return 0xFF;
	access = decode(vga, offset, vga->gc[GC_GRAPHICS_MODE] & GRAPHICS_ODD_EVEN);
	word = plane_word(vga, access.index);
	if (!word)
		return 0xFF;
	vga->latch = *word;
	if (vga->gc[GC_GRAPHICS_MODE] & GRAPHICS_READ_MODE)
		return compare_colours(vga);
	return (uint8_t)(vga->latch >> access.plane * 8);
}

static uint32_t logical_operation(const struct vga *vga, uint32_t value)
{
	switch (vga->gc[GC_DATA_ROTATE] >> 3 & 3) {
	case 1:
		return value & vga->latch;
	case 2:
		return value | vga->latch;
	case 3:
		return value ^ vga->latch;
	default:
		return value;
	}
}

/* What the graphics controller makes of a byte from the CPU, for all planes. */
static uint32_t write_data(const struct vga *vga, uint8_t value)
{
	unsigned rotate = vga->gc[GC_DATA_ROTATE] & 7;
	uint8_t rotated = (uint8_t)(value >> rotate | value << (8 - rotate));
	uint8_t bit_mask = vga->gc[GC_BIT_MASK];
	uint32_t set_reset = expand_planes(vga->gc[GC_SET_RESET]), enable, data, mask;

	switch (vga->gc[GC_GRAPHICS_MODE] & GRAPHICS_WRITE_MODE) {
	case 0:
		enable = expand_planes(vga->gc[GC_ENABLE_SET_RESET]);
		data = (rotated * 0x01010101u & ~enable) | (set_reset & enable);
		break;
	case 1:
		return vga->latch;
	case 2:
		data = expand_planes(value);
		break;
	default:
		data = set_reset;
		bit_mask &= rotated;
		break;
	}
	mask = bit_mask * 0x01010101u;
	return (logical_operation(vga, data) & mask) | (vga->latch & ~mask);
}

static void write_planes(struct vga *vga, uint32_t offset, uint8_t value)
{
	struct vga_access access;
	uint32_t *word, mask, old;

	if (!decode_window(vga, &offset))
		return;
	access = decode(vga, offset, !(vga->seq[SEQ_MEMORY_MODE] & MEMORY_MODE_SEQUENTIAL));
	word = plane_word(vga, access.index);
	if (!word)
		return;
	mask = expand_planes(access.planes & vga->seq[SEQ_MAP_MASK]);
	old = *word;
	*word = (write_data(vga, value) & mask) | (old & ~mask);
	if (*word == old)
		return;
	vga_mark(vga, access.index * 4);
	/* Planes 2 and 3 hold fonts in text modes. */
	vga->fonts_changed |= ((*word ^ old) & 0xFFFF0000u) != 0;
}

/* The window is plain memory where an access does nothing but move data, and no latch is used. */
static bool chain_4_is_plain(const struct vga *vga)
{
	const uint8_t *gc = vga->gc;

	return vga->seq[SEQ_MEMORY_MODE] & MEMORY_MODE_CHAIN_4 && vga->seq[SEQ_MAP_MASK] == 0xF &&
	       vga->misc_output & MISC_RAM_ENABLE && !(gc[GC_ENABLE_SET_RESET]) && !gc[GC_DATA_ROTATE] &&
	       !(gc[GC_GRAPHICS_MODE] & (GRAPHICS_WRITE_MODE | GRAPHICS_READ_MODE)) && gc[GC_BIT_MASK] == 0xFF &&
	       !(gc[GC_MISCELLANEOUS] & 0x08) && !dispi_enabled(vga);
}

static void unmap_window(struct vga *vga)
{
	if (!vga->window_slot)
		return;
	/* What its log would have told is gone with it. */
	for (uint32_t i = 0; i < vga->window_slot->size; i += VGA_GRANULE)
		vga_mark(vga, (uint32_t)(vga->window_slot->host - vga->vram) + i);
	memory_unmap(&vga->vm->memory, vga->window_slot);
	vga->window_slot = NULL;
}

void vga_window_update(struct vga *vga)
{
	uint32_t size = 0, vram = 0;

	if (dispi_linear(vga)) {
		vram = (uint32_t)vga->dispi[DISPI_BANK] * VGA_BANK_SIZE;
		size = vram < vga->vram_size ? VGA_BANK_SIZE : 0;
	} else if (chain_4_is_plain(vga)) {
		size = vga->gc[GC_MISCELLANEOUS] & 0x0C ? VGA_BANK_SIZE : VGA_WINDOW_SIZE;
	}
	if (size == vga->plain_size && vram == vga->plain_vram)
		return;
	unmap_window(vga);
	vga->plain_size = size;
	vga->plain_vram = vram;
	vga->plain_accesses = 0;
}

/* Programs that touch a few bytes are left to trapping; one that draws gets memory. */
static void count_plain_access(struct vga *vga)
{
	if (!vga->plain_size || vga->window_slot || ++vga->plain_accesses < PLAIN_ACCESSES)
		return;
	vga->plain_accesses = 0;
	vga_linear_written(vga);
	vga->window_slot = memory_map(&vga->vm->memory, VGA_WINDOW_BASE, vga->plain_size, vga->vram + vga->plain_vram,
				      vga_slot_flags(vga));
}

static uint64_t window_read(void *device, uint64_t offset, unsigned size)
{
	struct vga *vga = device;
	uint64_t value = 0;

	count_plain_access(vga);
	for (unsigned i = 0; i < size; i++, offset++) {
		uint8_t byte = 0xFF;

		if (!dispi_linear(vga))
			byte = read_planes(vga, (uint32_t)offset);
		else if (offset < vga->plain_size)
			byte = vga->vram[vga->plain_vram + offset];
		value |= (uint64_t)byte << i * 8;
	}
	return value;
}

static void window_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct vga *vga = device;

	for (unsigned i = 0; i < size; i++, offset++, value >>= 8) {
		if (!dispi_linear(vga)) {
			write_planes(vga, (uint32_t)offset, (uint8_t)value);
		} else if (offset < vga->plain_size) {
			vga->vram[vga->plain_vram + offset] = (uint8_t)value;
			vga_mark(vga, vga->plain_vram + (uint32_t)offset);
		}
	}
	if (vga->window_slot)
		vga_linear_written(vga);
	else
		vga_window_written(vga);
	count_plain_access(vga);
}

/* The linear frame buffer, while the slot over it does not take the access. */
static uint64_t linear_read(void *device, uint64_t offset, unsigned size)
{
	struct vga *vga = device;
	uint64_t value = UINT64_MAX;

	if (offset < vga->vram_size && size <= vga->vram_size - offset)
		memcpy(&value, vga->vram + offset, size);
	return value;
}

static void linear_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct vga *vga = device;

	if (offset >= vga->vram_size || size > vga->vram_size - offset)
		return;
	memcpy(vga->vram + offset, &value, size);
	vga_mark(vga, (uint32_t)offset);
	vga_mark(vga, (uint32_t)offset + size - 1);
	vga->fonts_changed = true;
	vga_linear_written(vga);
}

static const struct bus_ops window_ops = { window_read, window_write };
static const struct bus_ops linear_ops = { linear_read, linear_write };

void vga_vram_moved(struct vga *vga, struct memory_slot *slot, uint64_t address)
{
	struct bus *mmio = &vga->vm->mmio;

	vga->vram_slot = slot;
	bus_unmap(mmio, &vga->vram_region);
	if (address != UINT64_MAX)
		bus_map(mmio, &vga->vram_region, address);
	if (slot)
		memory_set_flags(&vga->vm->memory, slot, vga_slot_flags(vga));
	vga_mark_all(vga);
}

/* Gives the pages back: they read as zero again. */
void vga_vram_clear(struct vga *vga, uint32_t offset, uint32_t size)
{
	uint32_t whole = size / MEMORY_PAGE * MEMORY_PAGE;

	if (offset % MEMORY_PAGE || madvise(vga->vram + offset, whole, MADV_DONTNEED) < 0)
		whole = 0;
	memset(vga->vram + offset + whole, 0, size - whole);
	vga_mark_all(vga);
}

static void free_vram(struct scanout_memory *memory)
{
	munmap(memory->data, memory->size);
	g_free(memory);
}

bool vga_memory_init(struct vga *vga, GError **error)
{
	size_t size = vga->vram_size + VRAM_SLACK;
	void *data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (data == MAP_FAILED) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
			    _("Cannot reserve %u MiB of video memory: %s. Give the machine less of it"),
			    vga->vram_size >> 20, g_strerror(errno));
		return false;
	}
	/* Most of it is never touched, and logging works by 4 KiB pages anyway. */
	madvise(data, size, MADV_NOHUGEPAGE);
	madvise(data, size, MADV_DONTDUMP);
	vga->memory = g_new0(struct scanout_memory, 1);
	*vga->memory = (struct scanout_memory){ .references = 1, .data = data, .size = size, .free = free_vram };
	vga->vram = data;
	vga->dirty = g_new0(uint64_t, vga->vram_size / VGA_GRANULE / 64);
	vga->window = (struct bus_region){ .name = "VGA window", .ops = &window_ops, .device = vga,
					   .size = VGA_WINDOW_SIZE, .priority = BUS_PRIORITY_PLATFORM,
					   .coalesced = true };
	vga->vram_region = (struct bus_region){ .name = "VGA VRAM", .ops = &linear_ops, .device = vga,
						.size = vga->vram_size, .priority = BUS_PRIORITY_PCI };
	bus_map(&vga->vm->mmio, &vga->window, VGA_WINDOW_BASE);
	return true;
}

void vga_memory_finish(struct vga *vga)
{
	unmap_window(vga);
	bus_unmap(&vga->vm->mmio, &vga->window);
	bus_unmap(&vga->vm->mmio, &vga->vram_region);
	scanout_memory_unref(vga->memory);
	g_free(vga->dirty);
}
