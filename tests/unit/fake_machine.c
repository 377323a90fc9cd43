#include "fake_machine.h"

#include <string.h>

static struct fake_machine *from_hv(struct hypervisor *hv)
{
	return (struct fake_machine *)((char *)hv - G_STRUCT_OFFSET(struct fake_machine, hv));
}

static bool fake_set_slot(struct hypervisor *hv, const struct memory_slot *slot)
{
	(void)hv;
	(void)slot;
	return true;
}

static bool fake_get_dirty(struct hypervisor *hv, const struct memory_slot *slot, uint64_t *bitmap)
{
	struct fake_machine *machine = from_hv(hv);
	uint64_t pages = slot->size / MEMORY_PAGE;

	g_assert_true(slot->flags & MEMORY_LOG_DIRTY);
	memset(bitmap, 0, (pages + 63) / 64 * 8);
	for (uint64_t page = 0; page < pages; page++) {
		gpointer key = GSIZE_TO_POINTER(slot->gpa / MEMORY_PAGE + page);

		if (g_hash_table_remove(machine->dirty, key))
			bitmap[page / 64] |= 1ull << page % 64;
	}
	return true;
}

static void fake_set_irq(struct hypervisor *hv, unsigned gsi, bool level)
{
	struct fake_machine *machine = from_hv(hv);

	g_assert_cmpuint(gsi, <, IRQ_LINES);
	if (level && !machine->line[gsi])
		machine->edges[gsi]++;
	machine->line[gsi] = level;
}

static void fake_signal_msi(struct hypervisor *hv, uint64_t address, uint32_t data)
{
	struct fake_msi msi = { address, data };

	g_array_append_val(from_hv(hv)->msis, msi);
}

static void fake_coalesce(struct hypervisor *hv, bool pio, uint64_t base, uint64_t size, bool on)
{
	(void)hv;
	(void)pio;
	(void)base;
	(void)size;
	(void)on;
}

static void fake_drain(struct hypervisor *hv)
{
	(void)hv;
}

static const struct hypervisor_ops fake_ops = {
	.set_slot = fake_set_slot,
	.get_dirty = fake_get_dirty,
	.set_irq = fake_set_irq,
	.signal_msi = fake_signal_msi,
	.coalesce = fake_coalesce,
	.drain = fake_drain,
};

static void fake_request(struct vm *vm, enum vm_request request, const char *reason)
{
	struct fake_machine *machine = (struct fake_machine *)((char *)vm - G_STRUCT_OFFSET(struct fake_machine, vm));

	(void)reason;
	g_array_append_val(machine->requests, request);
}

struct fake_machine *fake_machine_new(uint64_t ram_size)
{
	struct fake_machine *machine = g_new0(struct fake_machine, 1);
	GError *error = NULL;
	bool ok;

	machine->hv.ops = &fake_ops;
	machine->msis = g_array_new(FALSE, FALSE, sizeof(struct fake_msi));
	machine->requests = g_array_new(FALSE, FALSE, sizeof(enum vm_request));
	machine->dirty = g_hash_table_new(NULL, NULL);
	ok = vm_init(&machine->vm, &machine->hv, ram_size, &error);
	g_assert_no_error(error);
	g_assert_true(ok);
	/* Time moves only when a test says so. */
	clock_finish(&machine->vm.clock);
	clock_init(&machine->vm.clock, NULL);
	machine->vm.request = fake_request;
	return machine;
}

void fake_machine_free(struct fake_machine *machine)
{
	vm_finish(&machine->vm);
	g_array_unref(machine->msis);
	g_array_unref(machine->requests);
	g_hash_table_unref(machine->dirty);
	g_free(machine);
}

void fake_machine_touch(struct fake_machine *machine, uint64_t gpa)
{
	g_hash_table_add(machine->dirty, GSIZE_TO_POINTER(gpa / MEMORY_PAGE));
}

uint32_t fake_in(struct fake_machine *machine, uint16_t port, unsigned size)
{
	return (uint32_t)bus_read(&machine->vm.pio, port, size);
}

void fake_out(struct fake_machine *machine, uint16_t port, unsigned size, uint32_t value)
{
	bus_write(&machine->vm.pio, port, size, value);
}

uint64_t fake_read(struct fake_machine *machine, uint64_t gpa, unsigned size)
{
	return bus_read(&machine->vm.mmio, gpa, size);
}

void fake_write(struct fake_machine *machine, uint64_t gpa, unsigned size, uint64_t value)
{
	bus_write(&machine->vm.mmio, gpa, size, value);
}

GBytes *fake_save(struct device *device)
{
	struct state *state = state_new_save();

	state_section(state, device->ops->name);
	device->ops->state(device, state);
	return state_finish_save(state);
}

bool fake_load(struct device *device, GBytes *file, GError **error)
{
	struct state *state = state_new_load(file, error);

	if (!state)
		return false;
	state_section(state, device->ops->name);
	device->ops->state(device, state);
	return state_finish_load(state, error);
}

void fake_check_state_round_trip(struct device *device)
{
	g_autoptr(GBytes) first = fake_save(device);
	g_autoptr(GBytes) second = NULL;
	GError *error = NULL;

	device->ops->reset(device);
	g_assert_true(fake_load(device, first, &error));
	g_assert_no_error(error);
	second = fake_save(device);
	g_assert_true(g_bytes_equal(first, second));
}
