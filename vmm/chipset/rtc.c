#include "rtc.h"

#include "../state.h"
#include "../vm.h"
#include "rtc_registers.h"

#define RTC_IRQ 8
#define CRYSTAL_HZ 32768u
/* Motorola data sheet, table 4: UIP rises 244 us before an update, which takes 1984 us with a 32 kHz crystal. */
#define UIP_NANOSECONDS (2228u * 1000u)
/* The first update comes this long after the divider chain was let go. */
#define DIVIDER_START_PHASE (NSEC_PER_SEC / 2)
/* Years have two digits and a century, which can be nonsense: further than this no setting can take the clock. */
#define OFFSET_MAX (30000ll * 366 * 86400)
#define ENABLES (RTC_B_PIE | RTC_B_AIE | RTC_B_UIE)

static struct rtc *from_device(struct device *device)
{
	return (struct rtc *)device;
}

static int64_t host_wall_clock(void *opaque)
{
	(void)opaque;
	return g_get_real_time() * 1000;
}

/* Nanoseconds since the epoch on the guest's clock, but for its offset in whole seconds. */
static int64_t phased_now(const struct rtc *rtc)
{
	return rtc->wall_clock(rtc->wall_clock_opaque) + rtc->phase;
}

static int64_t current_second(const struct rtc *rtc)
{
	int64_t now = phased_now(rtc), second = now / (int64_t)NSEC_PER_SEC;

	return second - (now % (int64_t)NSEC_PER_SEC < 0) + rtc->offset;
}

static uint32_t into_second(const struct rtc *rtc)
{
	int64_t nanoseconds = phased_now(rtc) % (int64_t)NSEC_PER_SEC;

	return (uint32_t)(nanoseconds < 0 ? nanoseconds + (int64_t)NSEC_PER_SEC : nanoseconds);
}

static bool divider_runs(const struct rtc *rtc)
{
	return (rtc->cmos[RTC_A] & RTC_A_DV) == RTC_A_DV_RUN;
}

static bool updates_run(const struct rtc *rtc)
{
	return divider_runs(rtc) && !(rtc->cmos[RTC_B] & RTC_B_SET);
}

/* Crystal's cycles per periodic interrupt; 0: none. The two fastest codes stand for slower rates with this crystal. */
static uint32_t period_cycles(const struct rtc *rtc)
{
	unsigned rate = rtc->cmos[RTC_A] & RTC_A_RS;

	if (!rate || !divider_runs(rtc))
		return 0;
	return 1u << ((rate <= 2 ? rate + 7 : rate) - 1);
}

static uint64_t current_tick(const struct rtc *rtc)
{
	uint32_t cycles = period_cycles(rtc);
	uint64_t elapsed = clock_now(&rtc->device.vm->clock) - rtc->periodic_base;

	return cycles ? muldiv64(elapsed, CRYSTAL_HZ, NSEC_PER_SEC) / cycles : 0;
}

static uint64_t tick_time(const struct rtc *rtc, uint64_t tick)
{
	return rtc->periodic_base + muldiv64(tick * period_cycles(rtc), NSEC_PER_SEC, CRYSTAL_HZ) + 1;
}

/*
 * A guest that counts periodic interrupts to tell the time must get every one, also those that fell due while it was
 * slow to acknowledge: while they are enabled each raises the flag once, up to a second's worth of them.
 */
static void catch_up_periodic(struct rtc *rtc)
{
	uint64_t tick = current_tick(rtc);
	uint32_t cycles = period_cycles(rtc);
	bool counted = rtc->cmos[RTC_B] & RTC_B_PIE;

	if (tick <= rtc->seen_tick || (counted && rtc->cmos[RTC_C] & RTC_C_PF))
		return;
	rtc->cmos[RTC_C] |= RTC_C_PF;
	if (counted)
		rtc->seen_tick = MAX(rtc->seen_tick + 1, tick - MIN(tick, CRYSTAL_HZ / cycles));
	else
		rtc->seen_tick = tick;
}

static void catch_up_updates(struct rtc *rtc)
{
	int64_t second = current_second(rtc);

	if (updates_run(rtc) && second != rtc->seen_second) {
		rtc->cmos[RTC_C] |= RTC_C_UF;
		/* The host's clock may be set back, which is no reason for an alarm. */
		if (second > rtc->seen_second && rtc_next_alarm(rtc->cmos, rtc->seen_second + 1) <= second)
			rtc->cmos[RTC_C] |= RTC_C_AF;
	}
	rtc->seen_second = second;
}

static uint64_t until_second(const struct rtc *rtc, int64_t second)
{
	int64_t seconds = second - current_second(rtc);

	if (seconds <= 0)
		return 0;
	/* An alarm is at most two days away. */
	return (uint64_t)seconds * NSEC_PER_SEC - into_second(rtc);
}

/* Guest time of the next enabled interrupt, UINT64_MAX: none. */
static uint64_t next_interrupt(const struct rtc *rtc)
{
	uint64_t now = clock_now(&rtc->device.vm->clock), next = UINT64_MAX;
	uint8_t wanted = rtc->cmos[RTC_B];

	if (wanted & RTC_B_PIE && period_cycles(rtc))
		next = tick_time(rtc, rtc->seen_tick + 1);
	if (updates_run(rtc) && wanted & RTC_B_AIE) {
		int64_t alarm = rtc_next_alarm(rtc->cmos, rtc->seen_second + 1);

		if (alarm != INT64_MAX)
			next = MIN(next, now + until_second(rtc, alarm));
	}
	if (updates_run(rtc) && wanted & RTC_B_UIE)
		next = MIN(next, now + until_second(rtc, rtc->seen_second + 1));
	return next;
}

/*
 * Brings flags, interrupt and timer up to date. Flags are found out when somebody looks, so that a clock whose
 * interrupts are disabled, or not acknowledged, costs nothing.
 */
static void update(struct rtc *rtc)
{
	uint64_t next;

	catch_up_periodic(rtc);
	catch_up_updates(rtc);
	if (rtc->cmos[RTC_C] & rtc->cmos[RTC_B] & ENABLES)
		rtc->cmos[RTC_C] |= RTC_C_IRQF;
	else
		rtc->cmos[RTC_C] &= (uint8_t)~RTC_C_IRQF;
	irq_set(&rtc->irq, rtc->cmos[RTC_C] & RTC_C_IRQF);
	next = rtc->cmos[RTC_C] & RTC_C_IRQF ? UINT64_MAX : next_interrupt(rtc);
	if (next == UINT64_MAX)
		timer_cancel(&rtc->timer);
	else
		timer_set(&rtc->timer, next);
}

static void timer_fired(void *opaque)
{
	update(opaque);
}

static void store_time(struct rtc *rtc)
{
	struct rtc_fields fields;

	rtc_fields_from_seconds(current_second(rtc), &fields);
	rtc_encode(rtc->cmos, &fields);
}

/* Takes the date and time registers as the time of now. */
static void load_time(struct rtc *rtc)
{
	struct rtc_fields fields;

	rtc_decode(rtc->cmos, &fields);
	rtc->offset += rtc_fields_to_seconds(&fields) - current_second(rtc);
	rtc->seen_second = current_second(rtc);
}

static void restart_divider(struct rtc *rtc)
{
	uint32_t ahead = (uint32_t)((DIVIDER_START_PHASE + NSEC_PER_SEC - into_second(rtc)) % NSEC_PER_SEC);

	rtc->phase = (uint32_t)((rtc->phase + (uint64_t)ahead) % NSEC_PER_SEC);
	rtc->periodic_base = clock_now(&rtc->device.vm->clock);
	rtc->seen_tick = 0;
}

static void write_control(struct rtc *rtc, uint8_t index, uint8_t value)
{
	bool divider_ran = divider_runs(rtc), updates_ran = updates_run(rtc);
	uint8_t rate = rtc->cmos[RTC_A] & RTC_A_RS;

	if (updates_ran)
		store_time(rtc);
	rtc->cmos[index] = value;
	if (divider_runs(rtc) && !divider_ran)
		restart_divider(rtc);
	/* A change of the data mode while running changes how the time is shown, not the time. */
	if (updates_run(rtc) && !updates_ran)
		load_time(rtc);
	if ((rtc->cmos[RTC_A] & RTC_A_RS) != rate)
		rtc->seen_tick = current_tick(rtc);
}

static bool is_time(uint8_t index)
{
	return index == RTC_CENTURY || (index <= RTC_YEAR && index != RTC_SECONDS_ALARM &&
					index != RTC_MINUTES_ALARM && index != RTC_HOURS_ALARM);
}

static void write_register(struct rtc *rtc, uint8_t index, uint8_t value)
{
	if (index == RTC_C || index == RTC_D)
		return;
	/* Events before this write are judged by what was set before it. */
	if (index <= RTC_B || is_time(index))
		update(rtc);
	if (index == RTC_A) {
		write_control(rtc, index, value & (uint8_t)~RTC_A_UIP);
	} else if (index == RTC_B) {
		/* Setting the clock disables the update-ended interrupt. */
		write_control(rtc, index, value & RTC_B_SET ? value & (uint8_t)~RTC_B_UIE : value);
	} else if (is_time(index) && updates_run(rtc)) {
		store_time(rtc);
		rtc->cmos[index] = value;
		load_time(rtc);
	} else {
		rtc->cmos[index] = value;
	}
	if (index <= RTC_B || is_time(index))
		update(rtc);
}

static uint8_t read_flags(struct rtc *rtc)
{
	uint8_t flags;

	update(rtc);
	flags = rtc->cmos[RTC_C];
	rtc->cmos[RTC_C] = 0;
	irq_set(&rtc->irq, false);
	/* Not update(): a flag that is due already comes from the timer, as an interrupt of its own. */
	if (rtc->cmos[RTC_B] & ENABLES) {
		uint64_t next = next_interrupt(rtc);

		if (next != UINT64_MAX)
			timer_set(&rtc->timer, next);
	}
	return flags;
}

static uint8_t read_register(struct rtc *rtc, uint8_t index)
{
	if (index == RTC_C)
		return read_flags(rtc);
	if (index == RTC_A && updates_run(rtc) && into_second(rtc) >= NSEC_PER_SEC - UIP_NANOSECONDS)
		return rtc->cmos[RTC_A] | RTC_A_UIP;
	if (is_time(index) && updates_run(rtc))
		store_time(rtc);
	return rtc->cmos[index];
}

/* The index ports cannot be read back; bit 7 of port 70 masks NMIs, of which this machine has none. */
static uint64_t index_read(void *opaque, uint64_t offset, unsigned size)
{
	struct rtc *rtc = opaque;

	(void)offset;
	return size == 1 ? 0xFF : 0xFFFF00FF | (uint64_t)read_register(rtc, rtc->index) << 8;
}

static void index_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = opaque;

	(void)offset;
	rtc->index = (uint8_t)value & 0x7F;
	if (size > 1)
		write_register(rtc, rtc->index, (uint8_t)(value >> 8));
}

static uint64_t data_read(void *opaque, uint64_t offset, unsigned size)
{
	struct rtc *rtc = opaque;

	(void)offset;
	(void)size;
	return read_register(rtc, rtc->index) | ~0xFFull;
}

static void data_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = opaque;

	(void)offset;
	(void)size;
	write_register(rtc, rtc->index, (uint8_t)value);
}

static uint64_t extended_read(void *opaque, uint64_t offset, unsigned size)
{
	const struct rtc *rtc = opaque;
	uint64_t data = rtc->cmos[0x80 | rtc->extended_index] | ~0xFFull;

	(void)size;
	return offset == 0 ? data << 8 | 0xFF : data;
}

static void extended_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct rtc *rtc = opaque;

	if (offset == 0) {
		rtc->extended_index = (uint8_t)value & 0x7F;
		value >>= 8;
	}
	if (offset + size > 1)
		rtc->cmos[0x80 | rtc->extended_index] = (uint8_t)value;
}

static const struct bus_ops index_ops = { index_read, index_write };
static const struct bus_ops data_ops = { data_read, data_write };
static const struct bus_ops extended_ops = { extended_read, extended_write };

void rtc_cmos_write(struct rtc *rtc, uint8_t index, uint8_t value)
{
	g_assert(index > RTC_D && index != RTC_CENTURY);
	rtc->cmos[index] = value;
}

static void write_word(struct rtc *rtc, uint8_t index, uint64_t value)
{
	uint16_t word = (uint16_t)MIN(value, 0xFFFF);

	rtc_cmos_write(rtc, index, (uint8_t)word);
	rtc_cmos_write(rtc, index + 1, (uint8_t)(word >> 8));
}

void rtc_set_memory(struct rtc *rtc)
{
	const struct memory *memory = &rtc->device.vm->memory;
	uint64_t low = memory->low_size, above_16m = low > 16 << 20 ? low - (16 << 20) : 0;
	uint64_t high_units = MIN(memory->high_size >> 16, 0xFFFFFF);

	write_word(rtc, 0x15, 640);
	write_word(rtc, 0x17, (low - (1 << 20)) >> 10);
	write_word(rtc, 0x30, (low - (1 << 20)) >> 10);
	write_word(rtc, 0x34, above_16m >> 16);
	write_word(rtc, 0x5B, high_units & 0xFFFF);
	rtc_cmos_write(rtc, 0x5D, (uint8_t)(high_units >> 16));
}

int64_t rtc_offset(const struct rtc *rtc)
{
	return rtc->offset;
}

/* The battery keeps the time and the memory; a reset only disables interrupts: data sheet, RESET pin. */
static void rtc_reset(struct device *device)
{
	struct rtc *rtc = from_device(device);

	update(rtc);
	rtc->cmos[RTC_B] &= (uint8_t)~(ENABLES | RTC_B_SQWE);
	rtc->cmos[RTC_C] = 0;
	update(rtc);
}

static void rtc_state(struct device *device, struct state *state)
{
	struct rtc *rtc = from_device(device);
	uint64_t offset = (uint64_t)rtc->offset;

	if (!state_loading(state))
		update(rtc);
	if (!state_loading(state) && updates_run(rtc))
		store_time(rtc);
	state_u8(state, "index", &rtc->index);
	state_u8(state, "extended_index", &rtc->extended_index);
	state_bytes(state, "cmos", rtc->cmos, sizeof rtc->cmos);
	state_u64(state, "offset", &offset);
	state_u32(state, "phase", &rtc->phase);
	if (!state_loading(state))
		return;
	rtc->index &= 0x7F;
	rtc->extended_index &= 0x7F;
	rtc->cmos[RTC_A] &= (uint8_t)~RTC_A_UIP;
	rtc->cmos[RTC_C] &= RTC_C_PF | RTC_C_AF | RTC_C_UF;
	rtc->cmos[RTC_D] = RTC_D_VRT;
	if ((int64_t)offset > OFFSET_MAX || (int64_t)offset < -OFFSET_MAX || rtc->phase >= NSEC_PER_SEC) {
		state_fail(state, "the clock's offset is out of range");
		rtc->phase = 0;
	} else {
		rtc->offset = (int64_t)offset;
	}
	rtc->seen_second = current_second(rtc);
	rtc->periodic_base = clock_now(&device->vm->clock);
	rtc->seen_tick = 0;
	update(rtc);
}

static void rtc_destroy(struct device *device)
{
	struct rtc *rtc = from_device(device);
	struct bus *pio = &device->vm->pio;

	timer_cancel(&rtc->timer);
	irq_set(&rtc->irq, false);
	bus_unmap(pio, &rtc->index_port);
	bus_unmap(pio, &rtc->data_port);
	bus_unmap(pio, &rtc->extended_ports);
	g_free(rtc);
}

static const struct device_ops rtc_ops = {
	.name = "rtc",
	.reset = rtc_reset,
	.state = rtc_state,
	.destroy = rtc_destroy,
};

static void add_ports(struct rtc *rtc, struct bus_region *region, const struct bus_ops *ops, uint16_t port,
		      uint64_t size, bool coalesced)
{
	*region = (struct bus_region){ .name = "RTC", .ops = ops, .device = rtc, .size = size,
				       .priority = BUS_PRIORITY_PLATFORM, .coalesced = coalesced };
	bus_map(&rtc->device.vm->pio, region, port);
}

struct rtc *rtc_new(struct vm *vm, int64_t offset, int64_t (*wall_clock)(void *opaque), void *opaque)
{
	struct rtc *rtc = g_new0(struct rtc, 1);

	rtc->device = (struct device){ .ops = &rtc_ops, .vm = vm };
	rtc->wall_clock = wall_clock ? wall_clock : host_wall_clock;
	rtc->wall_clock_opaque = opaque;
	rtc->offset = CLAMP(offset, -OFFSET_MAX, OFFSET_MAX);
	rtc->cmos[RTC_A] = RTC_A_DV_RUN | 6;
	rtc->cmos[RTC_B] = RTC_B_24H;
	rtc->cmos[RTC_D] = RTC_D_VRT;
	irq_source_init(&rtc->irq, &vm->irqs, RTC_IRQ);
	timer_init(&rtc->timer, &vm->clock, timer_fired, rtc);
	rtc->seen_second = current_second(rtc);
	rtc->periodic_base = clock_now(&vm->clock);
	/* Writing the index has no effect of its own: it may wait until the data port is touched. */
	add_ports(rtc, &rtc->index_port, &index_ops, 0x70, 1, true);
	add_ports(rtc, &rtc->data_port, &data_ops, 0x71, 1, false);
	add_ports(rtc, &rtc->extended_ports, &extended_ops, 0x72, 2, false);
	return rtc;
}
