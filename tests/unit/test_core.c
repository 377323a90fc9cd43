/* Buses, memory, interrupt lines, clock and saved state. */
#include <string.h>

#include "fake_machine.h"

struct probe {
	uint64_t offset, value;
	unsigned size, writes;
	uint64_t answer;
};

static uint64_t probe_read(void *device, uint64_t offset, unsigned size)
{
	struct probe *probe = device;

	probe->offset = offset;
	probe->size = size;
	return probe->answer;
}

static void probe_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct probe *probe = device;

	probe->offset = offset;
	probe->size = size;
	probe->value = value;
	probe->writes++;
}

static const struct bus_ops probe_ops = { probe_read, probe_write };

static void test_bus_overlap(void)
{
	struct fake_machine *machine = fake_machine_new(2 << 20);
	struct bus *bus = &machine->vm.mmio;
	struct probe fixed = { .answer = 0x11 }, bar = { .answer = 0x22 }, later = { .answer = 0x33 };
	struct bus_region a = { "fixed", &probe_ops, &fixed, .size = 0x1000, .priority = BUS_PRIORITY_PLATFORM };
	struct bus_region b = { "bar", &probe_ops, &bar, .size = 0x4000 };
	struct bus_region c = { "later", &probe_ops, &later, .size = 0x1000 };

	bus_map(bus, &a, 0xFEC00000);
	bus_map(bus, &b, 0xFEBFF000);
	bus_map(bus, &c, 0xFEC01000);
	g_assert_cmphex(bus_read(bus, 0xFEBFF010, 4), ==, 0x22);
	g_assert_cmphex(bar.offset, ==, 0x10);
	g_assert_cmphex(bus_read(bus, 0xFEC00FFF, 1), ==, 0x11);
	g_assert_cmphex(bus_read(bus, 0xFEC01FFF, 1), ==, 0x33);
	g_assert_cmphex(bus_read(bus, 0xFEC02000, 2), ==, 0x22);
	g_assert_cmphex(bar.offset, ==, 0x3000);
	g_assert_cmphex(bus_read(bus, 0xFEC03000, 4), ==, 0xFFFFFFFF);
	bus_unmap(bus, &c);
	g_assert_cmphex(bus_read(bus, 0xFEC01FFF, 1), ==, 0x22);
	bus_write(bus, 0xFEC00004, 2, 0x12345678);
	g_assert_cmphex(fixed.value, ==, 0x5678);
	bus_write(bus, 0x1000, 4, 1);
	g_assert_cmpuint(fixed.writes + bar.writes + later.writes, ==, 1);
	bus_unmap(bus, &a);
	bus_unmap(bus, &b);
	fake_machine_free(machine);
}

static void test_bus_top_of_address_space(void)
{
	struct fake_machine *machine = fake_machine_new(2 << 20);
	struct probe probe = { .answer = 0x44 };
	struct bus_region top = { "top", &probe_ops, &probe, .size = 0x1000 };

	bus_map(&machine->vm.mmio, &top, UINT64_MAX - 0xFFF);
	g_assert_cmphex(bus_read(&machine->vm.mmio, UINT64_MAX, 1), ==, 0x44);
	g_assert_cmphex(bus_read(&machine->vm.mmio, UINT64_MAX - 0x1000, 1), ==, 0xFF);
	bus_unmap(&machine->vm.mmio, &top);
	fake_machine_free(machine);
}

static void test_memory_bounds(void)
{
	struct fake_machine *machine = fake_machine_new(3ull << 30);
	struct memory *memory = &machine->vm.memory;

	g_assert_true(memory_ptr(memory, 0, 4) == memory->ram);
	g_assert_nonnull(memory_ptr(memory, 0x9FFFC, 4));
	g_assert_null(memory_ptr(memory, 0x9FFFC, 5));
	g_assert_null(memory_ptr(memory, 0xA0000, 1));
	g_assert_nonnull(memory_ptr(memory, 0xC0000, 0x40000));
	g_assert_nonnull(memory_ptr(memory, MEMORY_LOW_MAX - 1, 1));
	g_assert_null(memory_ptr(memory, MEMORY_LOW_MAX - 1, 2));
	g_assert_null(memory_ptr(memory, MEMORY_LOW_MAX, 1));
	g_assert_true(memory_ptr(memory, MEMORY_HIGH_BASE, 1) == memory->ram + MEMORY_LOW_MAX);
	g_assert_nonnull(memory_ptr(memory, MEMORY_HIGH_BASE + (1ull << 30) - 1, 1));
	g_assert_null(memory_ptr(memory, MEMORY_HIGH_BASE + (1ull << 30) - 1, 2));
	g_assert_null(memory_ptr(memory, UINT64_MAX, 2));
	g_assert_null(memory_ptr(memory, 0x1000, UINT64_MAX));
	fake_machine_free(machine);
}

static void test_memory_slots(void)
{
	struct fake_machine *machine = fake_machine_new(2 << 20);
	struct memory *memory = &machine->vm.memory;
	struct memory_slot *slot;
	uint64_t bitmap[1];

	g_assert_null(memory_map(memory, 0x1000, 0x1000, memory->ram, 0));
	slot = memory_map(memory, 0xC0000, 0x10000, memory->ram + 0xC0000, MEMORY_LOG_DIRTY);
	g_assert_nonnull(slot);
	g_assert_null(memory_map(memory, 0xCF000, 0x1000, memory->ram, 0));
	g_assert_null(memory_map(memory, 0xD0000, 0x800, memory->ram, 0));
	fake_machine_touch(machine, 0xC3010);
	g_assert_true(memory_sync_dirty(memory, slot, bitmap));
	g_assert_cmphex(bitmap[0], ==, 1 << 3);
	g_assert_true(memory_sync_dirty(memory, slot, bitmap));
	g_assert_cmphex(bitmap[0], ==, 0);
	memory_unmap(memory, slot);
	fake_machine_free(machine);
}

static void test_irq_sharing(void)
{
	struct fake_machine *machine = fake_machine_new(2 << 20);
	struct irq_source a, b;

	irq_source_init(&a, &machine->vm.irqs, 16);
	irq_source_init(&b, &machine->vm.irqs, 16);
	irq_set(&a, true);
	irq_set(&b, true);
	irq_set(&a, false);
	g_assert_true(machine->line[16]);
	g_assert_cmpuint(machine->edges[16], ==, 1);
	irq_source_route(&b, 10);
	g_assert_false(machine->line[16]);
	g_assert_true(machine->line[10]);
	irq_set(&b, false);
	g_assert_false(machine->line[10]);
	fake_machine_free(machine);
}

struct tick {
	struct timer timer;
	uint64_t period;
	unsigned count;
	uint64_t last;
};

static void tick_fired(void *opaque)
{
	struct tick *tick = opaque;

	tick->count++;
	tick->last = clock_now(tick->timer.clock);
	if (tick->period)
		timer_set(&tick->timer, tick->timer.deadline + tick->period);
}

static void test_clock_timers(void)
{
	struct fake_machine *machine = fake_machine_new(2 << 20);
	struct tick once = { 0 }, periodic = { .period = 100 };

	timer_init(&once.timer, &machine->vm.clock, tick_fired, &once);
	timer_init(&periodic.timer, &machine->vm.clock, tick_fired, &periodic);
	timer_set(&once.timer, 250);
	timer_set(&periodic.timer, 100);
	clock_advance(&machine->vm.clock, 249);
	g_assert_cmpuint(periodic.count, ==, 2);
	g_assert_cmpuint(once.count, ==, 0);
	clock_advance(&machine->vm.clock, 51);
	g_assert_cmpuint(once.count, ==, 1);
	g_assert_cmpuint(once.last, ==, 250);
	g_assert_cmpuint(periodic.count, ==, 3);
	timer_cancel(&periodic.timer);
	clock_advance(&machine->vm.clock, 1000);
	g_assert_cmpuint(periodic.count, ==, 3);
	fake_machine_free(machine);
}

struct waiter {
	struct timer timer;
	GCond cond;
	bool fired;
};

static void waiter_fired(void *opaque)
{
	struct waiter *waiter = opaque;

	waiter->fired = true;
	g_cond_signal(&waiter->cond);
}

static void test_clock_on_loop(void)
{
	struct waiter waiter = { .fired = false };
	struct clock clock;
	struct loop loop;
	GMutex lock;

	g_mutex_init(&lock);
	g_cond_init(&waiter.cond);
	loop_init(&loop, &lock);
	clock_init(&clock, &loop);
	timer_init(&waiter.timer, &clock, waiter_fired, &waiter);
	g_mutex_lock(&lock);
	timer_set(&waiter.timer, 1000000);
	g_mutex_unlock(&lock);
	loop_start(&loop);
	g_mutex_lock(&lock);
	clock_start(&clock);
	while (!waiter.fired)
		g_cond_wait(&waiter.cond, &lock);
	g_assert_cmpuint(clock_now(&clock), >=, 1000000);
	clock_stop(&clock);
	g_assert_cmpuint(clock_now(&clock), ==, clock_now(&clock));
	g_mutex_unlock(&lock);
	loop_stop(&loop);
	clock_finish(&clock);
	loop_finish(&loop);
	g_cond_clear(&waiter.cond);
	g_mutex_clear(&lock);
}

static GBytes *save_two(uint32_t number, bool flag)
{
	struct state *state = state_new_save();

	state_section(state, "device");
	state_u32(state, "number", &number);
	state_bool(state, "flag", &flag);
	return state_finish_save(state);
}

static void test_state_round_trip(void)
{
	g_autoptr(GBytes) file = save_two(0x12345678, true);
	GError *error = NULL;
	struct state *state = state_new_load(file, &error);
	uint32_t number = 0;
	uint16_t absent = 7;
	bool flag = false;

	g_assert_no_error(error);
	state_section(state, "device");
	state_u32(state, "number", &number);
	state_bool(state, "flag", &flag);
	state_u16(state, "absent", &absent);
	g_assert_true(state_finish_load(state, &error));
	g_assert_cmphex(number, ==, 0x12345678);
	g_assert_true(flag);
	g_assert_cmpuint(absent, ==, 7);
}

static void test_state_damage(void)
{
	g_autoptr(GBytes) file = save_two(1, false);
	gsize size;
	const guint8 *data = g_bytes_get_data(file, &size);

	for (gsize i = 0; i < size; i++) {
		g_autofree guint8 *copy = g_memdup2(data, size);
		g_autoptr(GBytes) damaged = NULL;
		g_autoptr(GError) error = NULL;

		copy[i] ^= 0x40;
		damaged = g_bytes_new_static(copy, size);
		g_assert_null(state_new_load(damaged, &error));
		g_assert_nonnull(error);
	}
	for (gsize length = 0; length < size; length++) {
		g_autoptr(GBytes) cut = g_bytes_new_from_bytes(file, 0, length);
		g_autoptr(GError) error = NULL;

		g_assert_null(state_new_load(cut, &error));
		g_assert_nonnull(error);
	}
}

static void test_state_wrong_size(void)
{
	g_autoptr(GBytes) file = save_two(1, false);
	g_autoptr(GError) error = NULL;
	struct state *state = state_new_load(file, NULL);
	uint64_t number = 0;

	state_section(state, "device");
	state_u64(state, "number", &number);
	g_assert_false(state_finish_load(state, &error));
	g_assert_nonnull(strstr(error->message, "number"));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/core/bus/overlap", test_bus_overlap);
	g_test_add_func("/core/bus/top-of-address-space", test_bus_top_of_address_space);
	g_test_add_func("/core/memory/bounds", test_memory_bounds);
	g_test_add_func("/core/memory/slots", test_memory_slots);
	g_test_add_func("/core/irq/sharing", test_irq_sharing);
	g_test_add_func("/core/clock/timers", test_clock_timers);
	g_test_add_func("/core/clock/on-loop", test_clock_on_loop);
	g_test_add_func("/core/state/round-trip", test_state_round_trip);
	g_test_add_func("/core/state/damage", test_state_damage);
	g_test_add_func("/core/state/wrong-size", test_state_wrong_size);
	return g_test_run();
}
