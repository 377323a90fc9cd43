#include "irq.h"

#include <glib.h>
#include <string.h>

void irqs_init(struct irqs *irqs, struct hypervisor *hv)
{
	memset(irqs, 0, sizeof *irqs);
	irqs->hv = hv;
}

void irq_source_init(struct irq_source *source, struct irqs *irqs, unsigned gsi)
{
	g_assert(gsi < IRQ_LINES);
	source->irqs = irqs;
	source->gsi = gsi;
	source->level = false;
}

void irq_set(struct irq_source *source, bool level)
{
	struct irqs *irqs = source->irqs;
	unsigned *high = &irqs->high[source->gsi];

	if (source->level == level)
		return;
	source->level = level;
	if (level) {
		if ((*high)++ == 0)
			irqs->hv->ops->set_irq(irqs->hv, source->gsi, true);
	} else {
		if (--(*high) == 0)
			irqs->hv->ops->set_irq(irqs->hv, source->gsi, false);
	}
}

void irq_source_route(struct irq_source *source, unsigned gsi)
{
	bool level = source->level;

	g_assert(gsi < IRQ_LINES);
	if (gsi == source->gsi)
		return;
	irq_set(source, false);
	source->gsi = gsi;
	irq_set(source, level);
}

void msi_send(struct irqs *irqs, uint64_t address, uint32_t data)
{
	irqs->hv->ops->signal_msi(irqs->hv, address, data);
}
