/*
 * When to look for changes: never while nobody watches, at 60 Hz while the guest draws (for a moment at 120 Hz when
 * the user waits for an answer), not at all once it stopped.
 *
 * The guest's writes are noticed in two ways, each of which can be cheap for the guest or silent for us:
 * - Slots (linear frame buffer, plain window). "Logging": writes are at full speed, and the dirty log has to be
 *   polled. After two seconds without a change the slots become read-only: the next write traps, is done by hand,
 *   and makes them logged again. Changing a slot costs KVM its shadow of the guest's page tables, so something that
 *   blinks once a second stays in the polled state, where it costs 30 looks at an empty log.
 * - The trapped window. "Coalescing": writes queue in the kernel, and have to be collected. Otherwise each write is an
 *   exit, and arms the timer. A burst of writes switches it on, a quarter of a second of silence off.
 */
#include "../vmm/vm.h"
#include "vga_core.h"

#define MILLISECONDS (NSEC_PER_SEC / 1000)

#define PERIOD (NSEC_PER_SEC / 60)
#define SLOW_PERIOD (NSEC_PER_SEC / 30)
/* A change is rarely alone: a character, and then the cursor behind it. */
#define SETTLE_TIME (3 * MILLISECONDS)

/* After a key or a move of the mouse: when a guest has usually drawn its answer, and how long it may take. */
#define ANSWER_TIME (4 * MILLISECONDS)
#define HURRY_TIME (50 * MILLISECONDS)
#define HURRY_PERIOD (PERIOD / 2)

#define SLOW_AFTER (500 * MILLISECONDS)
#define PROTECT_AFTER (2000 * MILLISECONDS)

/*
 * Each reading of the log makes the guest's next write to each page slow. Who draws the whole picture again and again
 * (a video, a game) pays that for nothing: after a few such readings the next ones are left out.
 */
#define WHOLE_LOOKS 3
#define ASSUMED_LOOKS 7

#define COALESCE_WRITES 32
#define COALESCE_TIME (250 * MILLISECONDS)

#define BITMAP_WORDS_MAX (VGA_VRAM_MAX / MEMORY_PAGE / 64)

unsigned vga_slot_flags(const struct vga *vga)
{
	if (!vga->watched)
		return 0;
	return vga->logging ? MEMORY_LOG_DIRTY : MEMORY_READONLY;
}

static void set_logging(struct vga *vga, bool on)
{
	struct memory *memory = &vga->vm->memory;

	vga->logging = on;
	if (vga->vram_slot)
		memory_set_flags(memory, vga->vram_slot, vga_slot_flags(vga));
	if (vga->window_slot)
		memory_set_flags(memory, vga->window_slot, vga_slot_flags(vga));
}

/* Mapping anew collects what has queued up, which calls vga_window_written(). */
static void set_coalescing(struct vga *vga, bool on)
{
	struct bus *mmio = &vga->vm->mmio;

	if (vga->coalescing == on)
		return;
	bus_unmap(mmio, &vga->window);
	vga->coalescing = on;
	vga->window.coalesced = on;
	bus_map(mmio, &vga->window, VGA_WINDOW_BASE);
}

static void schedule(struct vga *vga, uint64_t when)
{
	if (!vga->timer.pending || when < vga->timer.deadline)
		timer_set(&vga->timer, when);
}

static uint64_t shortest_period(const struct vga *vga, uint64_t now)
{
	return now < vga->hurry_end ? HURRY_PERIOD : PERIOD;
}

static void look_soon(struct vga *vga)
{
	uint64_t now = clock_now(&vga->vm->clock);

	if (!vga->watched || vga->due)
		return;
	vga->due = true;
	schedule(vga, MAX(now + SETTLE_TIME, vga->last_refresh + shortest_period(vga, now)));
}

void vga_expect_change(struct vga *vga)
{
	uint64_t now = clock_now(&vga->vm->clock);

	vga->hurry_end = now + HURRY_TIME;
	/* Otherwise the change itself is noticed. */
	if (vga->watched && (vga->logging || vga->coalescing))
		schedule(vga, MAX(now + ANSWER_TIME, vga->last_refresh + HURRY_PERIOD));
}

void vga_registers_changed(struct vga *vga)
{
	vga->registers_changed = true;
	look_soon(vga);
}

void vga_palette_changed(struct vga *vga)
{
	vga->palette_changed = true;
	look_soon(vga);
}

void vga_cursor_changed(struct vga *vga)
{
	look_soon(vga);
}

void vga_window_written(struct vga *vga)
{
	if (!vga->watched)
		return;
	vga->trapped_writes++;
	if (vga->dirty_any)
		look_soon(vga);
	if (vga->trapped_writes == COALESCE_WRITES && !vga->coalescing) {
		vga->trapped_change = clock_now(&vga->vm->clock);
		set_coalescing(vga, true);
	}
}

void vga_linear_written(struct vga *vga)
{
	if (!vga->watched)
		return;
	look_soon(vga);
	if (vga->logging)
		return;
	vga->logged_change = clock_now(&vga->vm->clock);
	set_logging(vga, true);
}

/* A page of a slot is 16 granules. */
static bool take_log(struct vga *vga, const struct memory_slot *slot, uint64_t *pages)
{
	size_t words = (slot->size / MEMORY_PAGE + 63) / 64;
	uint32_t start = (uint32_t)(slot->host - vga->vram);
	bool any = false;

	if (!memory_sync_dirty(&vga->vm->memory, slot, pages)) {
		vga_mark_all(vga);
		return true;
	}
	for (size_t i = 0; i < words; i++) {
		for (uint64_t word = pages[i]; word; word &= word - 1) {
			uint32_t page = (uint32_t)(i * 64) + (uint32_t)__builtin_ctzll(word);
			uint32_t granule = (start + page * MEMORY_PAGE) / VGA_GRANULE;

			vga->dirty[granule / 64] |= 0xFFFFull << granule % 64;
			any = true;
		}
	}
	return any;
}

static bool whole_picture_dirty(const struct vga *vga)
{
	const struct vga_mode *mode = &vga->mode;
	uint32_t granule = mode->offset / VGA_GRANULE;
	uint32_t last = (mode->offset + mode->stride * mode->height - 1) / VGA_GRANULE;

	if (mode->kind != VGA_MODE_LINEAR)
		return false;
	while (granule <= last && vga->dirty[granule / 64] >> granule % 64 & 1)
		granule++;
	return granule > last;
}

static void collect_logs(struct vga *vga)
{
	uint64_t pages[BITMAP_WORDS_MAX];
	bool any = false;

	if (vga->assumed_looks) {
		vga->assumed_looks--;
		vga->logged_change = clock_now(&vga->vm->clock);
		vga_mark_all(vga);
		return;
	}
	if (vga->vram_slot)
		any |= take_log(vga, vga->vram_slot, pages);
	if (vga->window_slot)
		any |= take_log(vga, vga->window_slot, pages);
	if (!any) {
		vga->whole_looks = 0;
		return;
	}
	vga->whole_looks = whole_picture_dirty(vga) ? vga->whole_looks + 1 : 0;
	if (vga->whole_looks >= WHOLE_LOOKS)
		vga->assumed_looks = ASSUMED_LOOKS;
	vga->dirty_any = true;
	vga->fonts_changed = true;
	vga->logged_change = clock_now(&vga->vm->clock);
}

static void collect(struct vga *vga)
{
	if (vga->coalescing)
		bus_drain(&vga->vm->mmio);
	if (vga->trapped_writes)
		vga->trapped_change = clock_now(&vga->vm->clock);
	vga->trapped_writes = 0;
	if (vga->watched && vga->logging)
		collect_logs(vga);
}

/*
 * Lets go of what has been silent for long. A write to a slot in the moment between its log's last reading and its
 * protection is in no log, so all is looked at once more.
 */
static void settle(struct vga *vga)
{
	uint64_t now = clock_now(&vga->vm->clock);

	if (vga->coalescing && now - vga->trapped_change >= COALESCE_TIME)
		set_coalescing(vga, false);
	if (!vga->logging || now - vga->logged_change < PROTECT_AFTER)
		return;
	set_logging(vga, false);
	if (vga->vram_slot || vga->window_slot) {
		vga_mark_all(vga);
		vga_render(vga, false);
	}
}

static void schedule_next(struct vga *vga)
{
	uint64_t now = clock_now(&vga->vm->clock), period = shortest_period(vga, now);

	if (vga->coalescing || vga->blanking)
		schedule(vga, now + period);
	if (vga->logging)
		schedule(vga, now + (now < vga->hurry_end || now - vga->logged_change < SLOW_AFTER ? period :
				     SLOW_PERIOD));
	if (vga->mode.kind == VGA_MODE_TEXT && (vga->cursor.visible || vga->blink_seen))
		schedule(vga, (now / VGA_BLINK_PERIOD + 1) * VGA_BLINK_PERIOD);
}

static void refresh(void *opaque)
{
	struct vga *vga = opaque;

	vga->due = false;
	vga->last_refresh = clock_now(&vga->vm->clock);
	collect(vga);
	vga_render(vga, false);
	settle(vga);
	schedule_next(vga);
}

void vga_refresh_now(struct vga *vga)
{
	collect(vga);
	/* What was written unwatched was not noticed. */
	if (!vga->watched) {
		vga_mark_all(vga);
		vga->registers_changed = true;
	}
	vga_render(vga, true);
}

static void start_watching(struct vga *vga)
{
	uint64_t now = clock_now(&vga->vm->clock);

	vga->watched = true;
	vga->logged_change = vga->trapped_change = now;
	set_logging(vga, true);
	vga_refresh_all(vga);
}

static void stop_watching(struct vga *vga)
{
	vga->watched = false;
	vga->due = false;
	timer_cancel(&vga->timer);
	set_logging(vga, false);
	set_coalescing(vga, true);
}

/* On the I/O thread, with vm->lock. */
static void watch_changed(void *opaque)
{
	struct vga *vga = opaque;
	bool watched = scanout_watched(vga->scanout);

	if (watched && !vga->watched)
		start_watching(vga);
	else if (!watched && vga->watched)
		stop_watching(vga);
}

static void tell_io_thread(void *opaque)
{
	struct vga *vga = opaque;

	loop_call(&vga->vm->loop, watch_changed, vga);
}

void vga_refresh_all(struct vga *vga)
{
	vga_mark_all(vga);
	vga->registers_changed = true;
	if (!vga->watched)
		return;
	vga->due = false;
	refresh(vga);
}

void vga_refresh_init(struct vga *vga)
{
	timer_init(&vga->timer, &vga->vm->clock, refresh, vga);
	vga->coalescing = vga->window.coalesced;
	scanout_set_producer(vga->scanout, tell_io_thread, vga);
	vga->watched = scanout_watched(vga->scanout);
	vga->logging = vga->watched;
}

void vga_refresh_finish(struct vga *vga)
{
	scanout_set_producer(vga->scanout, NULL, NULL);
	timer_cancel(&vga->timer);
	scanout_set_picture(vga->scanout, &(struct scanout_picture){ 0 });
	scanout_memory_unref(vga->drawn);
	vga->drawn = NULL;
}
