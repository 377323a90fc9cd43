#include "pm.h"

#include "../log.h"
#include "../state.h"
#include "../vm.h"

#define PM_TIMER_HZ 3579545u
#define PM_TIMER_MASK 0xFFFFFFu
/* TMR_STS is set whenever the top bit of the 24-bit timer changes: ACPI 6, 4.8.3.1.1. */
#define PM_TIMER_HALF_BITS 23

/* ICH9 datasheet, 13.8.3: offsets of dwords in the block. */
#define PM1_STS_EN 0x00
#define PM1_CNT 0x04
#define PM1_TMR 0x08
#define GPE0_EN 0x28
#define SMI_EN 0x30
#define SMI_STS 0x34

#define TMR_STS (1u << 0)
#define GBL_STS (1u << 5)
#define PWRBTN_STS (1u << 8)
#define RTC_STS (1u << 10)
#define PM1_STS_BITS (TMR_STS | 1u << 4 | GBL_STS | PWRBTN_STS | RTC_STS | 1u << 11 | 1u << 14 | 1u << 15)
/* PM1_EN has the bits of the events that can interrupt. */
#define PM1_EN_BITS (TMR_STS | GBL_STS | PWRBTN_STS | RTC_STS | 1u << 14)

#define SCI_EN (1u << 0)
#define SLP_TYP_SHIFT 10
#define SLP_EN (1u << 13)
#define PM1_CNT_BITS (1u << 1 | 7u << SLP_TYP_SHIFT)

/*
 * Reset value of SMI_EN: APMC_EN. Without SMM there is nobody to answer an SMI; firmware that finds the bit set takes
 * it that SMM has been set up already.
 */
#define SMI_EN_RESET (1u << 5)

static struct pm *from_device(struct device *device)
{
	return (struct pm *)device;
}

static uint64_t timer_ticks(const struct pm *pm)
{
	return muldiv64(clock_now(&pm->device.vm->clock), PM_TIMER_HZ, NSEC_PER_SEC);
}

/* Brings TMR_STS up to date, the SCI to what follows from it, and sets a timer if an overflow will interrupt. */
static void update(struct pm *pm)
{
	uint64_t overflows = timer_ticks(pm) >> PM_TIMER_HALF_BITS;
	uint64_t next = (overflows + 1) << PM_TIMER_HALF_BITS;

	if (overflows != pm->overflow_seen)
		pm->pm1_sts |= TMR_STS;
	pm->overflow_seen = overflows;
	irq_set(&pm->sci, (pm->pm1_sts & pm->pm1_en & PM1_EN_BITS) != 0);
	if (pm->pm1_en & TMR_STS && !(pm->pm1_sts & TMR_STS))
		timer_set(&pm->overflow, muldiv64(next, NSEC_PER_SEC, PM_TIMER_HZ) + 1);
	else
		timer_cancel(&pm->overflow);
}

static void overflow_fired(void *opaque)
{
	update(opaque);
}

/*
 * SLP_TYP as the DSDT's _S5 (0) and _S4 (2) name them, and as ICH9 itself does. Suspend to disk is powering off, with
 * the guest's memory saved by the guest. S3 is in neither table: it is not offered.
 */
static void enter_sleep(struct pm *pm, unsigned type)
{
	static const char *const reasons[8] = {
		[0] = "the guest powered off (S5)", [2] = "the guest hibernated (S4)",
		[6] = "the guest hibernated (S4)", [7] = "the guest powered off (S5)",
	};

	if (reasons[type])
		vm_request(pm->device.vm, VM_REQUEST_POWEROFF, reasons[type]);
	else
		g_message("The guest asked for sleep type %u, which this machine does not have", type);
}

static uint32_t read_dword(struct pm *pm, unsigned offset)
{
	switch (offset) {
	case PM1_STS_EN:
		update(pm);
		return pm->pm1_sts | (uint32_t)pm->pm1_en << 16;
	case PM1_CNT:
		/* With no SMI command to leave ACPI mode, it is always on. */
		return pm->pm1_cnt | SCI_EN;
	case PM1_TMR:
		return (uint32_t)timer_ticks(pm) & PM_TIMER_MASK;
	case GPE0_EN:
		return (uint32_t)pm->gpe0_en;
	case GPE0_EN + 4:
		return (uint32_t)(pm->gpe0_en >> 32);
	case SMI_EN:
		return pm->smi_en;
	case SMI_STS:
		return pm->smi_sts;
	default:
		return 0;
	}
}

static void write_pm1_cnt(struct pm *pm, uint32_t value, uint32_t lanes)
{
	pm->pm1_cnt = (pm->pm1_cnt & ~lanes) | (value & lanes);
	if (pm->pm1_cnt & SLP_EN)
		enter_sleep(pm, pm->pm1_cnt >> SLP_TYP_SHIFT & 7);
	pm->pm1_cnt &= PM1_CNT_BITS;
}

/* lanes: the bits that the guest really writes. */
static void write_dword(struct pm *pm, unsigned offset, uint32_t value, uint32_t lanes)
{
	unsigned shift = offset == GPE0_EN + 4 ? 32 : 0;

	value &= lanes;
	switch (offset) {
	case PM1_STS_EN:
		update(pm);
		pm->pm1_sts &= (uint16_t)~value;
		pm->pm1_en = (uint16_t)(((pm->pm1_en & ~(lanes >> 16)) | value >> 16) & PM1_EN_BITS);
		update(pm);
		break;
	case PM1_CNT:
		write_pm1_cnt(pm, value, lanes);
		break;
	case GPE0_EN:
	case GPE0_EN + 4:
		pm->gpe0_en = (pm->gpe0_en & ~((uint64_t)lanes << shift)) | (uint64_t)value << shift;
		break;
	case SMI_EN:
		pm->smi_en = (pm->smi_en & ~lanes) | value;
		break;
	case SMI_STS:
		pm->smi_sts &= ~value;
		break;
	}
}

static uint64_t pm_read(void *opaque, uint64_t offset, unsigned size)
{
	struct pm *pm = opaque;
	uint64_t pair = read_dword(pm, offset & ~3u);
	unsigned shift = (offset & 3) * 8;

	/* The timer is read over and over: no second dword unless the access reaches into it. */
	if (shift + size * 8 > 32)
		pair |= (uint64_t)read_dword(pm, (offset & ~3u) + 4) << 32;
	return pair >> shift;
}

static void pm_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	unsigned shift = (offset & 3) * 8;
	uint64_t lanes = ((1ull << size * 8) - 1) << shift;

	value <<= shift;
	write_dword(opaque, offset & ~3u, (uint32_t)value, (uint32_t)lanes);
	if (lanes >> 32)
		write_dword(opaque, (offset & ~3u) + 4, (uint32_t)(value >> 32), (uint32_t)(lanes >> 32));
}

static const struct bus_ops pm_bus_ops = { pm_read, pm_write };

void pm_map(struct pm *pm, uint16_t base)
{
	struct bus *pio = &pm->device.vm->pio;

	if (!base)
		bus_unmap(pio, &pm->ports);
	else if (!pm->ports.mapped || pm->ports.base != base)
		bus_map(pio, &pm->ports, base);
}

void pm_route_sci(struct pm *pm, unsigned gsi)
{
	irq_source_route(&pm->sci, gsi);
}

bool pm_power_button(struct pm *pm)
{
	pm->pm1_sts |= PWRBTN_STS;
	update(pm);
	return pm->pm1_en & PWRBTN_STS;
}

static void pm_reset(struct device *device)
{
	struct pm *pm = from_device(device);

	pm->overflow_seen = timer_ticks(pm) >> PM_TIMER_HALF_BITS;
	pm->pm1_sts = 0;
	pm->pm1_en = 0;
	pm->pm1_cnt = 0;
	pm->gpe0_en = 0;
	pm->smi_en = SMI_EN_RESET;
	pm->smi_sts = 0;
	update(pm);
}

static void pm_state(struct device *device, struct state *state)
{
	struct pm *pm = from_device(device);

	if (!state_loading(state))
		update(pm);
	state_u16(state, "pm1_sts", &pm->pm1_sts);
	state_u16(state, "pm1_en", &pm->pm1_en);
	state_u32(state, "pm1_cnt", &pm->pm1_cnt);
	state_u64(state, "gpe0_en", &pm->gpe0_en);
	state_u32(state, "smi_en", &pm->smi_en);
	state_u32(state, "smi_sts", &pm->smi_sts);
	if (!state_loading(state))
		return;
	pm->pm1_sts &= PM1_STS_BITS;
	pm->pm1_en &= PM1_EN_BITS;
	pm->pm1_cnt &= PM1_CNT_BITS;
	pm->overflow_seen = timer_ticks(pm) >> PM_TIMER_HALF_BITS;
	update(pm);
}

static void pm_destroy(struct device *device)
{
	struct pm *pm = from_device(device);

	timer_cancel(&pm->overflow);
	irq_set(&pm->sci, false);
	pm_map(pm, 0);
	g_free(pm);
}

static const struct device_ops pm_ops = {
	.name = "pm",
	.reset = pm_reset,
	.state = pm_state,
	.destroy = pm_destroy,
};

struct pm *pm_new(struct vm *vm)
{
	struct pm *pm = g_new0(struct pm, 1);

	pm->device = (struct device){ .ops = &pm_ops, .vm = vm };
	pm->ports = (struct bus_region){ .name = "PM", .ops = &pm_bus_ops, .device = pm, .size = PM_PORTS,
					 .priority = BUS_PRIORITY_PLATFORM };
	timer_init(&pm->overflow, &vm->clock, overflow_fired, pm);
	irq_source_init(&pm->sci, &vm->irqs, 9);
	pm_reset(&pm->device);
	return pm;
}
