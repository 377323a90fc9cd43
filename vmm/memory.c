#include "memory.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#define VGA_WINDOW 0xA0000ull
#define PAM_START 0xC0000ull
#define PAM_END 0x100000ull
#define HUGE_PAGE 0x200000ull

/* Linux promises memory that it has not got, and then ends processes when the guest comes to use it. */
static bool fits_host(uint64_t ram_size, GError **error)
{
	struct sysinfo host;
	uint64_t total;

	if (sysinfo(&host) < 0)
		return true;
	total = ((uint64_t)host.totalram + host.totalswap) * host.mem_unit;
	if (ram_size <= total)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
		    _("The machine asks for %" PRIu64 " MiB of memory; this computer has %" PRIu64 " MiB. Give the "
		      "machine less memory"), ram_size >> 20, total >> 20);
	return false;
}

/*
 * Anonymous memory, because that is what hosts give huge pages: few do so to a memfd (shmem_enabled). Aligned to
 * them, so that one page of the host is one page of the guest.
 */
static bool reserve_ram(struct memory *memory, GError **error)
{
	size_t size = memory->ram_size + HUGE_PAGE;
	uint8_t *mapping, *ram;

	if (!fits_host(memory->ram_size, error))
		return false;
	mapping = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapping == MAP_FAILED) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
			    _("Cannot reserve %" PRIu64 " MiB of guest memory: %s. Give the machine less memory"),
			    memory->ram_size >> 20, g_strerror(errno));
		return false;
	}
	ram = mapping + (-(uintptr_t)mapping & (HUGE_PAGE - 1));
	if (ram != mapping)
		munmap(mapping, (size_t)(ram - mapping));
	if (ram + memory->ram_size != mapping + size)
		munmap(ram + memory->ram_size, (size_t)(mapping + size - (ram + memory->ram_size)));
	memory->ram = ram;
	/*
	 * Best effort: huge pages make nested page tables and copying cheaper; guest pages in core dumps help nobody,
	 * and a child process must not make the guest's writes copy them.
	 */
	madvise(ram, memory->ram_size, MADV_HUGEPAGE);
	madvise(ram, memory->ram_size, MADV_DONTDUMP);
	madvise(ram, memory->ram_size, MADV_DONTFORK);
	return true;
}

bool memory_init(struct memory *memory, struct hypervisor *hv, uint64_t ram_size, GError **error)
{
	g_assert(ram_size >= PAM_END && ram_size % MEMORY_PAGE == 0);
	memset(memory, 0, sizeof *memory);
	memory->hv = hv;
	memory->ram_size = ram_size;
	memory->low_size = MIN(ram_size, MEMORY_LOW_MAX);
	memory->high_size = ram_size - memory->low_size;
	for (unsigned i = 0; i < MEMORY_SLOTS; i++)
		memory->slots[i].id = i;
	if (!reserve_ram(memory, error))
		return false;
	if (!memory_map(memory, 0, VGA_WINDOW, memory->ram, 0) ||
	    (memory->low_size > PAM_END &&
	     !memory_map(memory, PAM_END, memory->low_size - PAM_END, memory->ram + PAM_END, 0)) ||
	    (memory->high_size &&
	     !memory_map(memory, MEMORY_HIGH_BASE, memory->high_size, memory->ram + memory->low_size, 0))) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOMEM,
			    _("KVM did not accept %" PRIu64 " MiB of guest memory. Give the machine less memory"),
			    ram_size >> 20);
		return false;
	}
	return true;
}

void memory_finish(struct memory *memory)
{
	for (unsigned i = 0; i < MEMORY_SLOTS; i++)
		memory_unmap(memory, &memory->slots[i]);
	if (memory->ram)
		munmap(memory->ram, memory->ram_size);
	memory->ram = NULL;
}

static bool inside(uint64_t gpa, uint64_t length, uint64_t base, uint64_t size)
{
	return gpa >= base && gpa - base <= size && length <= size - (gpa - base);
}

void *memory_ptr(const struct memory *memory, uint64_t gpa, uint64_t length)
{
	if (inside(gpa, length, PAM_START, memory->low_size - PAM_START) || inside(gpa, length, 0, VGA_WINDOW))
		return memory->ram + gpa;
	if (inside(gpa, length, MEMORY_HIGH_BASE, memory->high_size))
		return memory->ram + memory->low_size + (gpa - MEMORY_HIGH_BASE);
	return NULL;
}

bool memory_read(const struct memory *memory, uint64_t gpa, void *buffer, uint64_t length)
{
	const void *ram = memory_ptr(memory, gpa, length);

	if (ram)
		memcpy(buffer, ram, length);
	return ram != NULL;
}

bool memory_write(const struct memory *memory, uint64_t gpa, const void *buffer, uint64_t length)
{
	void *ram = memory_ptr(memory, gpa, length);

	if (ram)
		memcpy(ram, buffer, length);
	return ram != NULL;
}

struct memory_slot *memory_map(struct memory *memory, uint64_t gpa, uint64_t size, void *host, unsigned flags)
{
	struct memory_slot *unused = NULL;

	if (size == 0 || (gpa | size | (uintptr_t)host) % MEMORY_PAGE || gpa + size < gpa)
		return NULL;
	for (unsigned i = 0; i < MEMORY_SLOTS; i++) {
		struct memory_slot *slot = &memory->slots[i];

		if (slot->size == 0) {
			if (!unused)
				unused = slot;
		} else if (gpa < slot->gpa + slot->size && slot->gpa < gpa + size) {
			return NULL;
		}
	}
	if (!unused)
		return NULL;
	unused->gpa = gpa;
	unused->size = size;
	unused->host = host;
	unused->flags = flags;
	if (memory->hv->ops->set_slot(memory->hv, unused))
		return unused;
	unused->size = 0;
	return NULL;
}

void memory_unmap(struct memory *memory, struct memory_slot *slot)
{
	if (slot->size == 0)
		return;
	slot->size = 0;
	g_clear_pointer(&slot->marked, g_free);
	memory->hv->ops->set_slot(memory->hv, slot);
}

bool memory_set_flags(struct memory *memory, struct memory_slot *slot, unsigned flags)
{
	struct memory_slot old = *slot;

	if (slot->flags == flags)
		return true;
	/* KVM changes dirty logging in place, but a slot becomes read-only, or stops being it, only when made anew. */
	if ((old.flags ^ flags) & MEMORY_READONLY)
		memory_unmap(memory, slot);
	slot->size = old.size;
	slot->flags = flags;
	return memory->hv->ops->set_slot(memory->hv, slot);
}

static uint64_t bitmap_words(const struct memory_slot *slot)
{
	return (slot->size / MEMORY_PAGE + 63) / 64;
}

void memory_mark_dirty(struct memory *memory, struct memory_slot *slot, uint64_t offset, uint64_t size)
{
	(void)memory;
	if (!(slot->flags & MEMORY_LOG_DIRTY) || size == 0 || !inside(offset, size, 0, slot->size))
		return;
	if (!slot->marked)
		slot->marked = g_new0(uint64_t, bitmap_words(slot));
	for (uint64_t page = offset / MEMORY_PAGE; page <= (offset + size - 1) / MEMORY_PAGE; page++)
		slot->marked[page / 64] |= 1ull << page % 64;
}

bool memory_sync_dirty(struct memory *memory, const struct memory_slot *slot, uint64_t *bitmap)
{
	struct memory_slot *own = &memory->slots[slot->id];

	if (!memory->hv->ops->get_dirty(memory->hv, slot, bitmap))
		return false;
	for (uint64_t i = 0; own->marked && i < bitmap_words(slot); i++)
		bitmap[i] |= own->marked[i];
	g_clear_pointer(&own->marked, g_free);
	return true;
}
