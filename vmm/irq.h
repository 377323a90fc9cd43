/*
 * Interrupt lines and messages into the interrupt controllers (8259, I/O APIC, local APICs: the hypervisor's).
 *
 * Lines are numbered by global system interrupt: 0-15 reach the 8259s and the I/O APIC, 16-23 the I/O APIC only.
 * Several sources may share a line: it is high while any of them is. Calls need vm->lock, except msi_send(), which
 * any thread may call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "hypervisor.h"

#define IRQ_LINES 24

struct irqs {
	struct hypervisor *hv;
	unsigned high[IRQ_LINES]; /* how many sources hold the line high */
};

struct irq_source {
	struct irqs *irqs;
	unsigned gsi;
	bool level;
};

void irqs_init(struct irqs *irqs, struct hypervisor *hv);

void irq_source_init(struct irq_source *source, struct irqs *irqs, unsigned gsi);
void irq_set(struct irq_source *source, bool level);
/* Moves the source, with its level, to another line. */
void irq_source_route(struct irq_source *source, unsigned gsi);

void msi_send(struct irqs *irqs, uint64_t address, uint32_t data);
