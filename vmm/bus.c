#include "bus.h"

#include <string.h>

#include "hypervisor.h"

/* A stretch of addresses and the region that answers there. */
struct bus_interval {
	uint64_t start;
	uint64_t last;
	struct bus_region *region;
};

void bus_init(struct bus *bus, struct hypervisor *hv, bool pio)
{
	memset(bus, 0, sizeof *bus);
	bus->hv = hv;
	bus->pio = pio;
	bus->regions = g_ptr_array_new();
	bus->view = g_array_new(FALSE, FALSE, sizeof(struct bus_interval));
}

void bus_finish(struct bus *bus)
{
	g_ptr_array_free(bus->regions, TRUE);
	g_array_free(bus->view, TRUE);
}

static uint64_t region_last(const struct bus_region *region)
{
	return region->base + (region->size - 1);
}

static bool region_wins(const struct bus_region *region, const struct bus_region *other)
{
	if (region->priority != other->priority)
		return region->priority > other->priority;
	return region->serial > other->serial;
}

static int compare_addresses(gconstpointer a, gconstpointer b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static struct bus_region *winner_at(const struct bus *bus, uint64_t address)
{
	struct bus_region *best = NULL;

	for (guint i = 0; i < bus->regions->len; i++) {
		struct bus_region *region = bus->regions->pdata[i];

		if (address < region->base || address > region_last(region))
			continue;
		if (!best || region_wins(region, best))
			best = region;
	}
	return best;
}

/*
 * Cuts the address space at every start and end of a region and notes who answers between. Maps change a few hundred
 * times while firmware runs and then never; lookups happen at every exit.
 */
static void rebuild_view(struct bus *bus)
{
	g_autoptr(GArray) cuts = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	for (guint i = 0; i < bus->regions->len; i++) {
		struct bus_region *region = bus->regions->pdata[i];
		uint64_t end = region_last(region) + 1;

		g_array_append_val(cuts, region->base);
		if (end != 0)
			g_array_append_val(cuts, end);
	}
	g_array_sort(cuts, compare_addresses);
	g_array_set_size(bus->view, 0);
	for (guint i = 0; i < cuts->len; i++) {
		struct bus_interval interval = { .start = g_array_index(cuts, uint64_t, i), .last = UINT64_MAX };

		if (i + 1 < cuts->len)
			interval.last = g_array_index(cuts, uint64_t, i + 1) - 1;
		/* Of equal cuts only the last begins a stretch. */
		if (interval.last + 1 == interval.start)
			continue;
		interval.region = winner_at(bus, interval.start);
		if (interval.region)
			g_array_append_val(bus->view, interval);
	}
}

void bus_map(struct bus *bus, struct bus_region *region, uint64_t base)
{
	g_assert(region->size > 0 && base + (region->size - 1) >= base);
	bus_unmap(bus, region);
	region->base = base;
	region->mapped = true;
	region->serial = ++bus->serial;
	g_ptr_array_add(bus->regions, region);
	rebuild_view(bus);
	if (region->coalesced)
		bus->hv->ops->coalesce(bus->hv, bus->pio, base, region->size, true);
}

void bus_unmap(struct bus *bus, struct bus_region *region)
{
	if (!region->mapped)
		return;
	if (region->coalesced) {
		bus->hv->ops->coalesce(bus->hv, bus->pio, region->base, region->size, false);
		bus->hv->ops->drain(bus->hv);
	}
	g_ptr_array_remove(bus->regions, region);
	region->mapped = false;
	rebuild_view(bus);
}

static struct bus_region *find(struct bus *bus, uint64_t address)
{
	guint low = 0, high = bus->view->len;

	while (low < high) {
		guint middle = (low + high) / 2;
		struct bus_interval *interval = &g_array_index(bus->view, struct bus_interval, middle);

		if (address < interval->start)
			high = middle;
		else if (address > interval->last)
			low = middle + 1;
		else
			return interval->region;
	}
	return NULL;
}

void bus_drain(struct bus *bus)
{
	bus->hv->ops->drain(bus->hv);
}

uint64_t bus_read(struct bus *bus, uint64_t address, unsigned size)
{
	struct bus_region *region = find(bus, address);
	uint64_t ones = size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;

	if (!region)
		return ones;
	return region->ops->read(region->device, address - region->base, size) & ones;
}

void bus_write(struct bus *bus, uint64_t address, unsigned size, uint64_t value)
{
	struct bus_region *region = find(bus, address);
	uint64_t ones = size >= 8 ? UINT64_MAX : (1ull << size * 8) - 1;

	if (region)
		region->ops->write(region->device, address - region->base, size, value & ones);
}
