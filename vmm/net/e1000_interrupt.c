/* Causes, masks, throttling, and how they reach the guest: a line, a message, or one of five (section 7.4). */
#include "e1000_internal.h"

#define THROTTLE_UNIT 256 /* ns */
#define LINE VECTORS      /* in last_interrupt: the interrupt that is not MSI-X */

static const struct {
	uint32_t cause;
	unsigned shift; /* in IVAR */
} vectors[] = {
	{ ICR_RXQ0, 0 }, { ICR_RXQ1, 4 }, { ICR_TXQ0, 8 }, { ICR_TXQ1, 12 }, { ICR_OTHER, 16 },
};

/* ns from one interrupt to the next. */
static uint64_t interval(struct e1000 *e1000, unsigned index)
{
	unsigned offset = index == LINE ? ITR : EITR + 4 * index;

	return (uint64_t)(*e1000_register(e1000, offset) & 0xFFFF) * THROTTLE_UNIT;
}

/* Now, or when the guest has had the time that it asked for. */
static bool due(struct e1000 *e1000, unsigned index)
{
	uint64_t now = clock_now(&e1000->pci.device.vm->clock), pause = interval(e1000, index);
	uint64_t next = e1000->last_interrupt[index] + pause;

	if (!pause || !e1000->last_interrupt[index] || now >= next) {
		e1000->last_interrupt[index] = now;
		return true;
	}
	if (!e1000->timer.pending || e1000->timer.deadline > next)
		timer_set(&e1000->timer, next);
	return false;
}

/* Section 7.4.5: what EIAC names is acknowledged by the message. */
static void send_vectors(struct e1000 *e1000)
{
	uint32_t *icr = e1000_register(e1000, ICR), *ims = e1000_register(e1000, IMS);

	for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++) {
		uint32_t entry = *e1000_register(e1000, IVAR) >> vectors[i].shift & 15, cause = vectors[i].cause;

		if (!(*icr & *ims & cause)) {
			e1000->delivered &= ~cause;
			continue;
		}
		if (e1000->delivered & cause || !(entry & 8) || (entry & 7) >= VECTORS || !due(e1000, entry & 7))
			continue;
		pci_msix_notify(&e1000->pci, entry & 7);
		e1000->delivered |= cause;
		if (!(*e1000_register(e1000, EIAC) & cause))
			continue;
		*icr &= ~cause;
		e1000->delivered &= ~cause;
		if (*e1000_register(e1000, CTRL_EXT) & CTRL_EXT_EIAME)
			*ims &= ~cause;
	}
}

void e1000_update_interrupts(struct e1000 *e1000)
{
	uint32_t *icr = e1000_register(e1000, ICR), ims = *e1000_register(e1000, IMS);

	if (pci_msix_enabled(&e1000->pci)) {
		pci_set_intx(&e1000->pci, false);
		send_vectors(e1000);
		return;
	}
	if (!(*icr & ims & ~ICR_INT_ASSERTED)) {
		*icr &= ~ICR_INT_ASSERTED;
		pci_interrupt(&e1000->pci, false);
		return;
	}
	if (*icr & ICR_INT_ASSERTED || !due(e1000, LINE))
		return;
	*icr |= ICR_INT_ASSERTED;
	pci_interrupt(&e1000->pci, true);
}

void e1000_raise(struct e1000 *e1000, uint32_t causes)
{
	uint32_t queues = ICR_RXQ0 | ICR_RXQ1 | ICR_TXQ0 | ICR_TXQ1 | ICR_OTHER;

	if (!is_82574(e1000))
		causes &= ~queues;
	else if (causes & (ICR_LSC | ICR_RXO | ICR_MDAC | ICR_TXD_LOW))
		causes |= ICR_OTHER;
	*e1000_register(e1000, ICR) |= causes;
	e1000->delivered &= ~causes;
	e1000_update_interrupts(e1000);
}

/* Section 10.2.4.1: reading acknowledges, if the interrupt was given, or none can be. */
uint32_t e1000_read_icr(struct e1000 *e1000)
{
	uint32_t *icr = e1000_register(e1000, ICR), *ims = e1000_register(e1000, IMS), value = *icr;
	bool msix = pci_msix_enabled(&e1000->pci);

	if (!is_82574(e1000))
		value &= ~ICR_INT_ASSERTED;
	/* In MSI-X mode, what EIAC names is left to messages. */
	if (msix)
		*icr &= *e1000_register(e1000, EIAC);
	else if (!is_82574(e1000) || !*ims || *icr & ICR_INT_ASSERTED)
		*icr = 0;
	if (is_82574(e1000) && value & ICR_INT_ASSERTED && *e1000_register(e1000, CTRL_EXT) & CTRL_EXT_IAME)
		*ims &= ~*e1000_register(e1000, IAM);
	e1000_update_interrupts(e1000);
	return value;
}

void e1000_interrupts_reset(struct e1000 *e1000)
{
	timer_cancel(&e1000->timer);
	memset(e1000->last_interrupt, 0, sizeof e1000->last_interrupt);
	e1000->delivered = 0;
	pci_interrupt(&e1000->pci, false);
}

void e1000_interrupts_fire(void *opaque)
{
	e1000_update_interrupts(opaque);
}
