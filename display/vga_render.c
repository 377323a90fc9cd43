/* From registers and dirty VRAM to the scanout's picture and damage. */
#include <string.h>

#include "../vmm/vm.h"
#include "vga_core.h"

/* Mode changes and palette updates switch the screen off for moments, which nobody needs to see. */
#define BLANK_DELAY (NSEC_PER_SEC / 10)

static const struct scanout_damage nothing = { 0, 0 };

void vga_mark_all(struct vga *vga)
{
	memset(vga->dirty, 0xFF, vga->vram_size / VGA_GRANULE / 8);
	vga->dirty_any = true;
	vga->fonts_changed = true;
}

static bool granule_dirty(const struct vga *vga, uint32_t granule)
{
	return vga->dirty[granule / 64] >> granule % 64 & 1;
}

/* Whether any of the bytes first .. last is dirty; sets *low and *high to the outermost dirty granules. */
static bool find_dirty(const struct vga *vga, uint32_t first, uint32_t last, uint32_t *low, uint32_t *high)
{
	uint32_t granule = first / VGA_GRANULE, end = last / VGA_GRANULE;

	while (granule <= end && !granule_dirty(vga, granule))
		granule += vga->dirty[granule / 64] ? 1 : 64 - granule % 64;
	if (granule > end)
		return false;
	*low = granule;
	while (!granule_dirty(vga, end))
		end -= vga->dirty[end / 64] ? 1 : end % 64 + 1;
	*high = end;
	return true;
}

static struct vga_mode dispi_mode(const struct vga *vga)
{
	static const enum scanout_format formats[] = {
		[8] = SCANOUT_INDEXED8,	 [15] = SCANOUT_XRGB1555, [16] = SCANOUT_RGB565,
		[24] = SCANOUT_RGB888,	 [32] = SCANOUT_XRGB8888,
	};
	const uint16_t *r = vga->dispi;
	struct vga_mode mode = { .width = r[DISPI_XRES], .height = r[DISPI_YRES] };

	if (!dispi_linear(vga)) {
		mode.kind = VGA_MODE_PLANAR;
		mode.columns = mode.width / 8;
		mode.column_width = 8;
		mode.scale = 1;
		return mode;
	}
	mode.kind = VGA_MODE_LINEAR;
	mode.format = formats[r[DISPI_BPP]];
	mode.stride = dispi_line_size(vga);
	mode.offset = mode.stride * r[DISPI_Y_OFFSET] + r[DISPI_X_OFFSET] * scanout_pixel_size(mode.format);
	return mode;
}

static struct vga_mode find_mode(const struct vga *vga)
{
	const uint8_t *crtc = vga->crtc;
	uint8_t graphics = vga->gc[GC_GRAPHICS_MODE], clocking = vga->seq[SEQ_CLOCKING_MODE];
	struct vga_mode mode = { .kind = VGA_MODE_PLANAR, .column_width = 8, .scale = 1 };

	if (!(vga->atc_index & ATC_INDEX_PAS) || clocking & CLOCKING_SCREEN_OFF)
		return (struct vga_mode){ .kind = VGA_MODE_BLANK };
	if (dispi_enabled(vga))
		return dispi_mode(vga);
	if (!(vga->gc[GC_MISCELLANEOUS] & MISCELLANEOUS_GRAPHICS)) {
		mode.kind = VGA_MODE_TEXT;
		mode.column_width = clocking & CLOCKING_8_DOTS ? 8 : 9;
	} else if (graphics & GRAPHICS_256_COLOURS) {
		mode.kind = VGA_MODE_PACKED;
	} else if (graphics & GRAPHICS_INTERLEAVE) {
		mode.kind = VGA_MODE_INTERLEAVED;
	}
	if (clocking & CLOCKING_HALF_DOT_CLOCK)
		mode.scale = 2;
	if (crtc[CRTC_MODE_CONTROL] & 0x08)
		mode.count_shift = 1;
	if (crtc[CRTC_UNDERLINE_LOCATION] & 0x20)
		mode.count_shift = 2;
	mode.columns = crtc[CRTC_HORIZONTAL_DISPLAY_END] + 1u;
	mode.width = mode.columns * mode.column_width * mode.scale;
	mode.height = (crtc[CRTC_VERTICAL_DISPLAY_END] | (crtc[CRTC_OVERFLOW] & 0x02u) << 7 |
		       (crtc[CRTC_OVERFLOW] & 0x40u) << 3) + 1;
	return mode;
}

static uint32_t colour(const struct vga *vga, uint8_t index)
{
	const uint8_t *dac = vga->dac[index & vga->dac_mask];

	if (vga->dispi[DISPI_ENABLE] & DISPI_8BIT_DAC)
		return (uint32_t)dac[0] << 16 | dac[1] << 8 | dac[2];
	/* 6 bits: the upper two again below, so that full is full. */
	return (uint32_t)((dac[0] & 63) << 2 | (dac[0] >> 4 & 3)) << 16 |
	       (uint32_t)((dac[1] & 63) << 2 | (dac[1] >> 4 & 3)) << 8 | ((dac[2] & 63) << 2 | (dac[2] >> 4 & 3));
}

/* The attribute controller's way from 4 bits to the DAC's 8. */
static uint32_t attribute_colour(const struct vga *vga, unsigned index)
{
	uint8_t value = vga->atc[index & vga->atc[ATC_COLOUR_PLANE_ENABLE] & 15], select = vga->atc[ATC_COLOUR_SELECT];

	if (vga->atc[ATC_MODE_CONTROL] & ATC_MODE_P54_SELECT)
		value = (uint8_t)((value & 0x0F) | (select & 3) << 4);
	return colour(vga, (uint8_t)(value | (select & 0x0C) << 4));
}

static void fill_palette(const struct vga *vga, struct scanout_picture *picture)
{
	if (picture->format != SCANOUT_INDEXED8)
		return;
	if (vga->mode.kind == VGA_MODE_LINEAR || vga->mode.kind == VGA_MODE_PACKED) {
		for (unsigned i = 0; i < 256; i++)
			picture->palette[i] = colour(vga, (uint8_t)i);
		return;
	}
	for (unsigned i = 0; i < 16; i++)
		picture->palette[i] = attribute_colour(vga, i);
}

static void describe(const struct vga *vga, struct scanout_picture *picture)
{
	const struct vga_mode *mode = &vga->mode;

	memset(picture, 0, sizeof(*picture));
	if (mode->kind == VGA_MODE_BLANK)
		return;
	picture->width = mode->width;
	picture->height = mode->height;
	if (mode->kind == VGA_MODE_LINEAR) {
		picture->memory = vga->memory;
		picture->format = mode->format;
		picture->stride = mode->stride;
		picture->offset = mode->offset;
	} else {
		picture->memory = vga->drawn;
		picture->format = SCANOUT_INDEXED8;
		picture->stride = mode->width;
	}
	/* VGA's own modes fill a 4:3 screen, whatever their size; others have square pixels. */
	if (!dispi_enabled(vga)) {
		picture->aspect_x = 4;
		picture->aspect_y = 3;
	}
	fill_palette(vga, picture);
}

static bool same_picture(const struct scanout_picture *a, const struct scanout_picture *b)
{
	return a->width == b->width && a->height == b->height && a->stride == b->stride && a->format == b->format &&
	       a->memory == b->memory && a->offset == b->offset && a->aspect_x == b->aspect_x &&
	       !memcmp(a->palette, b->palette, sizeof(a->palette));
}

/* False while a screen that was just switched off goes on being shown. */
static bool take_mode(struct vga *vga, bool immediate)
{
	struct vga_mode mode = find_mode(vga);
	uint64_t now = clock_now(&vga->vm->clock);
	size_t size = mode.kind == VGA_MODE_BLANK || mode.kind == VGA_MODE_LINEAR ? 0 :
		      (size_t)mode.width * mode.height;

	if (mode.kind == VGA_MODE_BLANK && vga->mode.kind != VGA_MODE_BLANK && !immediate) {
		if (!vga->blanking)
			vga->blanked_at = now;
		vga->blanking = true;
		if (now - vga->blanked_at < BLANK_DELAY)
			return false;
	}
	vga->blanking = false;
	if (!size || !vga->drawn || mode.width != vga->mode.width || mode.height != vga->mode.height) {
		scanout_memory_unref(vga->drawn);
		vga->drawn = size ? scanout_memory_new(size) : NULL;
	}
	vga->mode = mode;
	if (size)
		vga_scan_frame(vga);
	return true;
}

static bool line_shows(const struct vga *vga, const struct vga_line *line, uint16_t address)
{
	return ((address - line->address) & 0xFFFF) < vga->mode.columns;
}

static void mark_cell(struct vga *vga, const struct vga_cursor *cursor)
{
	for (unsigned y = 0; y < vga->mode.height; y++) {
		const struct vga_line *line = &vga->lines[y];

		if (line_shows(vga, line, cursor->address))
			vga_mark(vga, 4 * vga_plane_index(vga, line, (cursor->address - line->address) & 0xFFFF));
	}
}

static bool cursor_in_picture(const struct vga *vga, const struct vga_cursor *cursor)
{
	for (unsigned y = 0; y < vga->mode.height; y++)
		if (vga->lines[y].row_scan >= cursor->start && vga->lines[y].row_scan <= cursor->end &&
		    line_shows(vga, &vga->lines[y], cursor->address))
			return true;
	return false;
}

/* Cursor Start and End; the skew moves it right. */
static void update_cursor(struct vga *vga, uint64_t phase)
{
	const uint8_t *crtc = vga->crtc;
	struct vga_cursor old = vga->cursor, cursor = { 0 };

	cursor.start = crtc[CRTC_CURSOR_START] & 0x1F;
	cursor.end = crtc[CRTC_CURSOR_END] & 0x1F;
	cursor.address = (uint16_t)((crtc[CRTC_CURSOR_LOCATION_HIGH] << 8 | crtc[CRTC_CURSOR_LOCATION_LOW]) +
				    (crtc[CRTC_CURSOR_END] >> 5 & 3));
	cursor.visible = vga->mode.kind == VGA_MODE_TEXT && !(crtc[CRTC_CURSOR_START] & 0x20) &&
			 cursor_in_picture(vga, &cursor);
	cursor.lit = cursor.visible && !(phase & 1);
	vga->cursor = cursor;
	if (old.lit == cursor.lit && (!cursor.lit || (old.address == cursor.address && old.start == cursor.start &&
						      old.end == cursor.end)))
		return;
	if (old.lit)
		mark_cell(vga, &old);
	if (cursor.lit)
		mark_cell(vga, &cursor);
}

static bool line_dirty(const struct vga *vga, const struct vga_line *line)
{
	uint32_t first = vga_plane_index(vga, line, 0), last = vga_plane_index(vga, line, vga->mode.columns);
	uint32_t low, high;

	/* A line that wraps around in memory is drawn rather than looked at in two pieces. */
	return last < first || find_dirty(vga, first * 4, last * 4 + 3, &low, &high);
}

/* Draws the lines whose memory changed, or all, and finds those whose pixels did. */
static struct scanout_damage draw(struct vga *vga, bool redraw)
{
	struct scanout_damage damage = nothing;
	uint8_t row[DISPI_XRES_MAX];
	bool drew = false;

	for (unsigned y = 0; y < vga->mode.height; y++) {
		const struct vga_line *line = &vga->lines[y];
		uint8_t *shown = vga->drawn->data + (size_t)y * vga->mode.width;

		/* Double-scanned lines are drawn once. */
		if (y == 0 || memcmp(line, line - 1, sizeof(*line))) {
			drew = redraw || line_dirty(vga, line);
			if (drew)
				vga_draw_line(vga, line, row);
		}
		if (!drew || !memcmp(shown, row, vga->mode.width))
			continue;
		memcpy(shown, row, vga->mode.width);
		if (damage.first == damage.end)
			damage.first = y;
		damage.end = y + 1;
	}
	return damage;
}

static struct scanout_damage update_drawn(struct vga *vga, bool redraw)
{
	uint64_t phase = clock_now(&vga->vm->clock) / VGA_BLINK_PERIOD;
	bool lit = !(phase & 2);

	update_cursor(vga, phase);
	if (vga->mode.kind == VGA_MODE_TEXT) {
		redraw |= vga->fonts_changed || (vga->blink_seen && lit != vga->blink_lit);
		vga->blink_lit = lit;
	}
	if (redraw)
		vga->blink_seen = false;
	return redraw || vga->dirty_any ? draw(vga, redraw) : nothing;
}

static struct scanout_damage update_linear(const struct vga *vga)
{
	const struct vga_mode *mode = &vga->mode;
	uint32_t end = MIN(mode->offset + mode->stride * mode->height, vga->vram_size), low, high;
	struct scanout_damage damage;

	if (!vga->dirty_any || !find_dirty(vga, mode->offset, end - 1, &low, &high))
		return nothing;
	damage.first = (MAX(low * VGA_GRANULE, mode->offset) - mode->offset) / mode->stride;
	damage.end = (MIN((high + 1) * VGA_GRANULE, end) - 1 - mode->offset) / mode->stride + 1;
	return damage;
}

void vga_render(struct vga *vga, bool immediate)
{
	bool redraw = vga->registers_changed, described = redraw || vga->palette_changed;
	struct scanout_damage damage = nothing;
	struct scanout_picture picture;

	if (redraw && !take_mode(vga, immediate))
		return;
	vga->registers_changed = false;
	vga->palette_changed = false;
	if (vga->mode.kind == VGA_MODE_LINEAR)
		damage = update_linear(vga);
	else if (vga->mode.kind != VGA_MODE_BLANK)
		damage = update_drawn(vga, redraw);
	if (vga->dirty_any)
		memset(vga->dirty, 0, vga->vram_size / VGA_GRANULE / 8);
	vga->dirty_any = false;
	vga->fonts_changed = false;
	if (described) {
		describe(vga, &picture);
		if (!same_picture(&picture, &vga->picture)) {
			vga->picture = picture;
			scanout_set_picture(vga->scanout, &picture);
			return;
		}
	}
	if (damage.first < damage.end)
		scanout_damage(vga->scanout, damage.first, damage.end);
}
