/*
 * ICH9 power management: the ACPI PM1 block, PM timer, GPE0 and the SMI registers, in 128 ports at PMBASE.
 * All with vm->lock.
 */
#pragma once

#include "../bus.h"
#include "../clock.h"
#include "../device.h"
#include "../irq.h"

#define PM_PORTS 128

struct pm {
	struct device device;
	struct bus_region ports;
	struct irq_source sci;
	struct timer overflow;      /* pending only while the timer's overflow can interrupt */
	uint64_t overflow_seen;     /* TMR_STS is up to date as of this count of overflows */
	uint16_t pm1_sts, pm1_en;
	uint32_t pm1_cnt;
	uint64_t gpe0_en;
	uint32_t smi_en, smi_sts;
};

struct pm *pm_new(struct vm *vm);
/* Where the LPC bridge puts the block (base 0: nowhere) and which line its SCI drives. */
void pm_map(struct pm *pm, uint16_t base);
void pm_route_sci(struct pm *pm, unsigned gsi);
/* The user pressed the button. False if no operating system listens to it (yet). */
bool pm_power_button(struct pm *pm);
