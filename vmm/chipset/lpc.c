#include "lpc.h"

#include "../pci/pci.h"
#include "../state.h"
#include "../vm.h"
#include "pm.h"

/* ICH9 datasheet, 13.1: configuration registers of the LPC bridge. */
#define PMBASE 0x40
#define ACPI_CNTL 0x44
#define ACPI_EN 0x80
#define SCI_IRQ_SEL 0x07
#define PIRQA_ROUT 0x60
#define PIRQE_ROUT 0x68
#define PIRQ_IRQEN 0x80 /* set: not routed to the 8259s */
#define RCBA 0xF0
#define RCBA_ENABLE 1u
#define RCBA_SIZE 0x4000
/* 10.1: chipset configuration registers, behind RCBA. */
#define D31IR 0x3140
#define D25IR 0x3150
#define DEFAULT_ROUTES 0x3210 /* INTA to PIRQA ... INTD to PIRQD */
#define GCS 0x3410
#define GCS_WRITABLE 0x00000CE7u

#define PIRQS 8
#define PIRQ_FIRST_GSI 16

struct lpc {
	struct pci_device pci;
	struct pm *pm;
	struct bus_region rcba;
	uint32_t gcs;
	bool pirq[PIRQS];
	struct irq_source apic[PIRQS]; /* GSI 16-23 */
	struct irq_source isa[PIRQS];  /* as the routing registers say */
};

static struct lpc *from_device(struct device *device)
{
	return (struct lpc *)device;
}

static unsigned rout_offset(unsigned pirq)
{
	return pirq < 4 ? PIRQA_ROUT + pirq : PIRQE_ROUT + pirq - 4;
}

/* 13.1.17: the interrupts that a PIRQ may be routed to; the others are reserved. */
static bool routable(unsigned irq)
{
	return 0xDEF8u >> irq & 1;
}

/* A guest uses one of the two ways; the other's input is masked in its controller. */
static void drive_pirq(struct lpc *lpc, unsigned pirq)
{
	uint8_t rout = lpc->pci.config[rout_offset(pirq)];
	unsigned irq = rout & 0xF;
	bool routed = !(rout & PIRQ_IRQEN) && routable(irq);

	irq_set(&lpc->apic[pirq], lpc->pirq[pirq]);
	if (!routed) {
		irq_set(&lpc->isa[pirq], false);
		return;
	}
	irq_source_route(&lpc->isa[pirq], irq);
	irq_set(&lpc->isa[pirq], lpc->pirq[pirq]);
}

static void lpc_set_pirq(void *opaque, unsigned pirq, bool level)
{
	struct lpc *lpc = opaque;

	lpc->pirq[pirq] = level;
	drive_pirq(lpc, pirq);
}

static uint32_t rcba_dword(const struct lpc *lpc, uint64_t offset)
{
	/* D31IR to D25IR are words; D28IR and its neighbours fill the dwords between. */
	if (offset >= D31IR && offset < D25IR + 4)
		return DEFAULT_ROUTES | DEFAULT_ROUTES << 16;
	return offset == GCS ? lpc->gcs : 0;
}

static uint64_t rcba_read(void *opaque, uint64_t offset, unsigned size)
{
	uint64_t pair = rcba_dword(opaque, offset & ~3ull) | (uint64_t)rcba_dword(opaque, (offset & ~3ull) + 4) << 32;

	(void)size;
	return pair >> (offset & 3) * 8;
}

static void rcba_write(void *opaque, uint64_t offset, unsigned size, uint64_t value)
{
	struct lpc *lpc = opaque;

	if (offset == GCS && size == 4)
		lpc->gcs = (uint32_t)value & GCS_WRITABLE;
}

static const struct bus_ops rcba_ops = { rcba_read, rcba_write };

static void update_rcba(struct lpc *lpc)
{
	struct bus *mmio = &lpc->pci.device.vm->mmio;
	uint32_t rcba = pci_get32(lpc->pci.config + RCBA), base = rcba & ~(RCBA_SIZE - 1u);

	if (!(rcba & RCBA_ENABLE))
		bus_unmap(mmio, &lpc->rcba);
	else if (!lpc->rcba.mapped || lpc->rcba.base != base)
		bus_map(mmio, &lpc->rcba, base);
}

static void update(struct lpc *lpc)
{
	/* 13.1.5: the reserved choices keep the usual line. */
	static const uint8_t sci_gsi[8] = { 9, 10, 11, 9, 20, 21, 9, 9 };
	const uint8_t *config = lpc->pci.config;

	pm_map(lpc->pm, config[ACPI_CNTL] & ACPI_EN ? pci_get16(config + PMBASE) & 0xFF80 : 0);
	pm_route_sci(lpc->pm, sci_gsi[config[ACPI_CNTL] & SCI_IRQ_SEL]);
	update_rcba(lpc);
	for (unsigned i = 0; i < PIRQS; i++)
		drive_pirq(lpc, i);
}

static void lpc_config_written(struct pci_device *device, unsigned offset, unsigned size)
{
	(void)offset;
	(void)size;
	update((struct lpc *)device);
}

static void lpc_reset(struct device *device)
{
	struct lpc *lpc = from_device(device);

	pci_device_reset(&lpc->pci);
	lpc->gcs = 0;
	update(lpc);
}

/* The levels of the PIRQs are not saved: the devices that drive them drive them again. */
static void lpc_state(struct device *device, struct state *state)
{
	struct lpc *lpc = from_device(device);

	pci_device_state(&lpc->pci, state);
	state_u32(state, "gcs", &lpc->gcs);
	lpc->gcs &= GCS_WRITABLE;
	if (state_loading(state))
		update(lpc);
}

static void lpc_destroy(struct device *device)
{
	struct lpc *lpc = from_device(device);

	lpc->pci.bus->set_pirq = NULL;
	for (unsigned i = 0; i < PIRQS; i++) {
		irq_set(&lpc->apic[i], false);
		irq_set(&lpc->isa[i], false);
	}
	pm_map(lpc->pm, 0);
	bus_unmap(&device->vm->mmio, &lpc->rcba);
	pci_unplug(&lpc->pci);
	g_free(lpc);
}

static const struct device_ops lpc_ops = {
	.name = "lpc",
	.reset = lpc_reset,
	.state = lpc_state,
	.destroy = lpc_destroy,
};

struct lpc_register {
	uint8_t offset, size;
	uint32_t reset, writable;
};

/* Those that only hold what firmware writes are there because firmware reads them back. */
static const struct lpc_register lpc_registers[] = {
	{ PMBASE, 4, 0x00000001, 0x0000FF80 },
	{ ACPI_CNTL, 1, 0x00, ACPI_EN | SCI_IRQ_SEL },
	{ 0x48, 4, 0x00000001, 0x0000FF80 }, /* GPIOBASE */
	{ 0x4C, 1, 0x00, 0x10 },             /* GC: GPIO_EN */
	{ PIRQA_ROUT, 4, 0x80808080, 0x8F8F8F8F },
	{ 0x64, 1, 0x10, 0xFF },             /* SIRQ_CNTL */
	{ PIRQE_ROUT, 4, 0x80808080, 0x8F8F8F8F },
	{ 0x80, 2, 0x0000, 0x1377 },         /* LPC_I/O_DEC */
	{ 0x82, 2, 0x0000, 0x3F0F },         /* LPC_EN */
	{ 0xA0, 2, 0x0000, 0x16B7 },         /* GEN_PMCON_1: SMI_LOCK is bit 4 */
	{ 0xA2, 1, 0x00, 0x00 },             /* GEN_PMCON_2 */
	{ 0xA4, 2, 0x0000, 0x5B3D },         /* GEN_PMCON_3 */
	{ 0xDC, 1, 0x00, 0x03 },             /* BIOS_CNTL */
	{ RCBA, 4, 0x00000000, 0xFFFFC000 | RCBA_ENABLE },
};

static void set_registers(struct pci_device *pci)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(lpc_registers); i++) {
		const struct lpc_register *r = &lpc_registers[i];

		for (unsigned byte = 0; byte < r->size; byte++) {
			pci->config[r->offset + byte] = (uint8_t)(r->reset >> byte * 8);
			pci->writable[r->offset + byte] = (uint8_t)(r->writable >> byte * 8);
		}
	}
}

struct device *lpc_new(struct vm *vm, struct pci_bus *bus, struct pm *pm)
{
	static const struct pci_identity identity = {
		.vendor = 0x8086, .device = 0x2918, .subsystem_vendor = 0x1AF4, .subsystem = 0x1100,
		.revision = 2, .class_code = 0x060100,
	};
	struct lpc *lpc = g_new0(struct lpc, 1);

	lpc->pm = pm;
	lpc->pci.device.ops = &lpc_ops;
	lpc->pci.config_written = lpc_config_written;
	lpc->rcba = (struct bus_region){ .name = "RCBA", .ops = &rcba_ops, .device = lpc, .size = RCBA_SIZE,
					 .priority = BUS_PRIORITY_PLATFORM };
	for (unsigned i = 0; i < PIRQS; i++) {
		irq_source_init(&lpc->apic[i], &vm->irqs, PIRQ_FIRST_GSI + i);
		irq_source_init(&lpc->isa[i], &vm->irqs, 0);
	}
	pci_device_init(&lpc->pci, &identity);
	set_registers(&lpc->pci);
	pci_plug(bus, &lpc->pci, PCI_DEVFN(31, 0));
	bus->set_pirq = lpc_set_pirq;
	bus->set_pirq_opaque = lpc;
	for (unsigned i = 0; i < PIRQS; i++)
		if (bus->pirq_high[i])
			lpc_set_pirq(lpc, i, true);
	update(lpc);
	return &lpc->pci.device;
}
