/* The adapter's registers, and its creation. */
#include "e1000.h"

#include "e1000_internal.h"

#define BAR_REGISTERS 0
#define BAR_FLASH 1        /* of the 82574L; the 82540EM has its ports there */
#define BAR_PORTS_82540 1
#define BAR_PORTS_82574 2
#define BAR_MSIX 3
#define FLASH_SIZE 0x20000
#define PORTS_SIZE 64
#define PORTS_SIZE_82574 32
#define IOADDR 0
#define IODATA 4

#define PM_CAPABILITY_SIZE 8
#define EXPRESS_SIZE 60
#define EXPRESS_INTEGRATED (9u << 4 | 2) /* root complex integrated endpoint, version 2 */

/* Registers that only keep what is written (within writable), and what they start with. */
struct description {
	uint32_t offset, count; /* count registers, 4 bytes apart */
	uint32_t reset, writable;
	bool only_82574;
};

#define QUEUE(low, count, reset, writable) \
	{ low, count, reset, writable }, { (low) + QUEUE_STRIDE, count, reset, writable, true }

static const struct description descriptions[] = {
	{ CTRL, 1, 0x00000241, 0xFFFFFFFF },
	{ STATUS, 1, 0, STATUS_PHYRA },
	{ EEC, 1, EEC_PRES, 0x0000004F },
	{ EERD, 1, 0, 0xFFFFFFFF },
	{ CTRL_EXT, 1, 0x00100000, 0xFFFFDFFF },
	{ FLA, 1, 0, 0x0000003F },
	{ MDIC, 1, MDIC_R, 0x3FFFFFFF },
	{ FCAL, 3, 0, 0xFFFFFFFF },
	{ VET, 1, 0x8100, 0x0000FFFF },
	{ ICR, 1, 0, 0 },
	{ ITR, 1, 0, 0x0000FFFF },
	{ IMS, 1, 0, 0 },
	{ EIAC, 1, 0, 0x01F00000, true },
	{ IAM, 1, 0, 0xFFFFFFFF, true },
	{ IVAR, 1, 0, 0x800FFFFF, true },
	{ EITR, VECTORS, 0, 0x0000FFFF, true },
	{ RCTL, 1, 0, 0xFFFFFFFF },
	{ FCTTV, 1, 0, 0x0000FFFF },
	{ TCTL, 1, 0, 0x1FFFFFFA },
	{ TCTL_EXT, 1, 0, 0x000FFFFF },
	{ TIPG, 1, 0x00602006, 0x3FFFFFFF },
	{ AIT, 1, 0, 0x0000FFFF },
	{ LEDCTL, 1, 0x07068302, 0xFFFFFFFF },
	{ EXTCNF_CTRL, 1, 0x00000008, 0x0FFF01E1, true },
	{ EXTCNF_SIZE, 1, 0, 0, true },
	{ PBA, 1, 0x00140014, 0x0000FFFF },
	{ PBS, 1, 0, 0x0000003F },
	{ EEMNGCTL, 1, EEMNGCTL_CFG_DONE, 0, true },
	{ EEARBC, 1, 0, 0, true },
	{ FLASHT, 1, 2, 0x000000FF, true },
	{ EEWR, 1, 2, 0, true },
	{ FLSWCTL, 3, 0x30000000, 0 , true },
	{ FLOP, 1, 0x0000DB00, 0xFFFFFFFF, true },
	{ ERT, 1, 0, 0x000027FF },
	{ FCRTL, 1, 0, 0x8000FFF8 },
	{ FCRTH, 1, 0, 0x8000FFF8 },
	{ PSRCTL, 1, 0x00040402, 0x3F3F3F7F, true },
	QUEUE(RDBAL, 1, 0, 0xFFFFFFF0),
	QUEUE(RDBAH, 1, 0, 0xFFFFFFFF),
	QUEUE(RDLEN, 1, 0, 0x000FFF80),
	QUEUE(RDH, 1, 0, 0x0000FFFF),
	QUEUE(RDT, 1, 0, 0x0000FFFF),
	QUEUE(RDTR, 1, 0, 0x0000FFFF),
	QUEUE(RXDCTL, 1, 0x00010000, 0x013F3F3F),
	{ RADV, 1, 0, 0x0000FFFF },
	{ RSRPD, 1, 0, 0x00000FFF },
	{ RAID, 1, 0, 0x00000FFF },
	{ CPUVEC, 1, 0, 0x00000003 },
	QUEUE(TDBAL, 1, 0, 0xFFFFFFF0),
	QUEUE(TDBAH, 1, 0, 0xFFFFFFFF),
	QUEUE(TDLEN, 1, 0, 0x000FFF80),
	QUEUE(TDH, 1, 0, 0x0000FFFF),
	QUEUE(TDT, 1, 0, 0x0000FFFF),
	{ TIDV, 1, 0, 0x0000FFFF },
	QUEUE(TXDCTL, 1, 0x00400000, 0xFF7F3F3F),
	{ TADV, 1, 0, 0x0000FFFF },
	QUEUE(TARC, 1, 0x00000403, 0xFFFFFFFF),
	{ STATISTICS, (STATISTICS_END - STATISTICS) / 4, 0, 0 },
	{ RXCSUM, 1, RXCSUM_IPOFLD | RXCSUM_TUOFLD, 0x0000FFFF },
	{ RFCTL, 1, 0, 0xFFFFFFFF, true },
	{ MTA, 128, 0, 0xFFFFFFFF },
	{ RAL, 32, 0, 0xFFFFFFFF },
	{ VFTA, 128, 0, 0xFFFFFFFF },
	{ WUC, 1, 0, 0x00000003 },
	{ WUFC, 1, 0, 0x000FFFFF },
	{ WUS, 1, 0, 0 },
	{ MRQC, 1, 0, 0xFFFFFFFF, true },
	{ MANC, 1, 0, 0xFFFFFFFF },
	{ IPAV, 1, 0, 0x0001000F },
	{ IP4AT, 8, 0, 0xFFFFFFFF },
	{ IP6AT, 4, 0, 0xFFFFFFFF },
	{ WUPL, 1, 0, 0 },
	{ GCR, 1, 0, 0xFFFFFFFF, true },
	{ FACTPS, 1, 0x20000000, 0, true },
	{ SWSM, 1, SWSM_SMBI, SWSM_SMBI | SWSM_SWESMBI, true },
	{ FWSM, 1, 0, 0, true },
	{ SWSM2, 1, 0, 0x00000002, true },
	{ SW_FW_SYNC, 1, 0, 0x0000FFFF, true },
	{ GCR2, 1, 0, 0xFFFFFFFF, true },
	{ RETA, 32, 0, 0xC0C0C0C0, true },
	{ RSSRK, 10, 0, 0xFFFFFFFF, true },
	{ FFLT, 8, 0, 0x000007FF },
	{ FFMT, 256, 0, 0x0000000F },
	{ FFVT, 256, 0, 0xFFFFFFFF },
	{ SYSTIML, 2, 0, 0xFFFFFFFF, true },
	{ TIMINCA, 1, 0, 0xFFFFFFFF, true },
	{ TSYNCTXCTL, 1, 0, 0x00000010, true },
	{ TSYNCRXCTL, 1, 0, 0x0000001E, true },
};

static struct e1000 *from_device(struct device *device)
{
	return (struct e1000 *)device;
}

struct device *e1000_device(struct e1000 *e1000)
{
	return &e1000->pci.device;
}

/* Section 10.2.1: the second address of CTRL, and those that the 82543 had, under which old drivers look. */
static unsigned resolve_alias(unsigned offset)
{
	static const struct { unsigned alias, offset, size; } aliases[] = {
		{ CTRL_DUP, CTRL, 4 },
		{ 0x00108, RDTR, 4 }, { 0x00110, RDBAL, 12 }, { 0x00120, RDH, 4 },
		{ 0x00128, RDT, 4 }, { 0x00420, TDBAL, 12 }, { 0x00430, TDH, 4 }, { 0x00438, TDT, 4 },
		{ 0x00440, TIDV, 4 }, { 0x00200, MTA, 0x200 }, { 0x00600, VFTA, 0x200 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(aliases); i++)
		if (offset >= aliases[i].alias && offset < aliases[i].alias + aliases[i].size)
			return aliases[i].offset + offset - aliases[i].alias;
	return offset;
}

static const struct description *describe(const struct e1000 *e1000, unsigned offset)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(descriptions); i++) {
		const struct description *description = &descriptions[i];

		if (offset - description->offset < description->count * 4)
			return description->only_82574 && !is_82574(e1000) ? NULL : description;
	}
	return NULL;
}

/* --- Statistics --- */

void e1000_count(struct e1000 *e1000, unsigned offset, uint32_t amount)
{
	uint32_t *counter = e1000_register(e1000, offset);

	*counter += MIN(amount, UINT32_MAX - *counter);
}

void e1000_count64(struct e1000 *e1000, unsigned offset, uint64_t amount)
{
	uint64_t value = *e1000_register(e1000, offset) | (uint64_t)*e1000_register(e1000, offset + 4) << 32;

	value += MIN(amount, UINT64_MAX - value);
	*e1000_register(e1000, offset) = (uint32_t)value;
	*e1000_register(e1000, offset + 4) = (uint32_t)(value >> 32);
}

void e1000_count_size(struct e1000 *e1000, unsigned offset, size_t length)
{
	static const unsigned sizes[] = { 64, 127, 255, 511, 1023 };
	unsigned index = 0;

	while (index < G_N_ELEMENTS(sizes) && length > sizes[index])
		index++;
	e1000_count(e1000, offset + index * 4, 1);
}

/* Reading clears (section 10.2.8), of a pair the upper half both. */
static uint32_t read_statistic(struct e1000 *e1000, unsigned offset)
{
	static const unsigned upper[] = { GORCL + 4, GOTCL + 4, TORL + 4, TOTL + 4 };
	uint32_t value = *e1000_register(e1000, offset);

	for (unsigned i = 0; i < G_N_ELEMENTS(upper); i++) {
		if (offset + 4 == upper[i])
			return value;
		if (offset == upper[i])
			*e1000_register(e1000, offset - 4) = 0;
	}
	*e1000_register(e1000, offset) = 0;
	return value;
}

/* --- Reset --- */

static void set_receive_address(struct e1000 *e1000)
{
	*e1000_register(e1000, RAL) = pci_get32(e1000->mac);
	*e1000_register(e1000, RAH) = pci_get16(e1000->mac + 4) | RAH_AV;
}

static void reset_registers(struct e1000 *e1000)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(descriptions); i++)
		for (unsigned n = 0; n < descriptions[i].count; n++)
			*e1000_register(e1000, descriptions[i].offset + n * 4) = descriptions[i].reset;
	*e1000_register(e1000, STATUS) = STATUS_FD | STATUS_SPEED_1000 | STATUS_ASDV_1000 |
					 (is_82574(e1000) ? STATUS_MASTER_ENABLE : STATUS_PCI66);
	/* On the 82540 this bit says that the EEPROM is a large one, with two address bits more. */
	if (is_82574(e1000))
		*e1000_register(e1000, EEC) |= EEC_AUTO_RD;
	else
		*e1000_register(e1000, PBA) = 0x00100030;
	set_receive_address(e1000);
	memset(e1000->contexts, 0, sizeof e1000->contexts);
	e1000->microwire_in = e1000->microwire_bits = 0;
	e1000->microwire_out = UINT32_MAX;
	e1000->io_address = 0;
	e1000_interrupts_reset(e1000);
	e1000_phy_link(e1000);
}

/* --- Writes that do something --- */

static void ctrl_written(struct e1000 *e1000, uint32_t before)
{
	uint32_t *ctrl = e1000_register(e1000, CTRL), value = *ctrl;

	(void)before;
	if (value & CTRL_PHY_RST)
		e1000_phy_reset(e1000);
	if (value & CTRL_RST)
		reset_registers(e1000);
	else
		*ctrl &= ~CTRL_PHY_RST;
}

static void ctrl_ext_written(struct e1000 *e1000, uint32_t before)
{
	(void)before;
	/* EE_RST reads the EEPROM again: the address in it. */
	if (*e1000_register(e1000, CTRL_EXT) & CTRL_EXT_EE_RST)
		set_receive_address(e1000);
}

static void eerd_written(struct e1000 *e1000, uint32_t before)
{
	(void)before;
	e1000_eerd_written(e1000);
}

static void mdic_written(struct e1000 *e1000, uint32_t before)
{
	(void)before;
	e1000_mdic_written(e1000);
}

static void interrupts_written(struct e1000 *e1000, uint32_t before)
{
	(void)before;
	e1000_update_interrupts(e1000);
}

static void receive_written(struct e1000 *e1000, uint32_t before)
{
	(void)before;
	if (e1000_receive_ready(e1000))
		network_resume(e1000->network);
}

static void transmit_written(struct e1000 *e1000, uint32_t before)
{
	(void)before;
	for (unsigned queue = 0; queue < QUEUES; queue++)
		e1000_transmit_run(e1000, queue);
}

static const struct {
	unsigned offset;
	void (*written)(struct e1000 *e1000, uint32_t before);
} hooks[] = {
	{ TDT, transmit_written }, { TDT + QUEUE_STRIDE, transmit_written }, { TCTL, transmit_written },
	{ RDT, receive_written }, { RCTL, receive_written },
	{ CTRL, ctrl_written }, { CTRL_EXT, ctrl_ext_written }, { EEC, e1000_eec_written }, { EERD, eerd_written },
	{ MDIC, mdic_written }, { IVAR, interrupts_written }, { EIAC, interrupts_written },
};

/* Section 10.2.4: those whose bits set or clear bits of another one. */
static bool write_interrupt_register(struct e1000 *e1000, unsigned offset, uint32_t value)
{
	uint32_t *icr = e1000_register(e1000, ICR), *ims = e1000_register(e1000, IMS);

	switch (offset) {
	case ICR:
		/* What is left wants a new interrupt. */
		*icr &= ~(value | ICR_INT_ASSERTED);
		if (is_82574(e1000) && *e1000_register(e1000, CTRL_EXT) & CTRL_EXT_IAME)
			*ims &= ~*e1000_register(e1000, IAM);
		break;
	case ICS:
		e1000_raise(e1000, value & ~ICR_INT_ASSERTED);
		return true;
	case IMS:
		*ims |= value & ~ICR_INT_ASSERTED;
		break;
	case IMC:
		*ims &= ~value;
		break;
	default:
		return false;
	}
	e1000_update_interrupts(e1000);
	return true;
}

static void write_register(struct e1000 *e1000, unsigned offset, uint32_t value)
{
	const struct description *description = describe(e1000, offset);
	uint32_t *place = e1000_register(e1000, offset), before = *place;

	if (write_interrupt_register(e1000, offset, value) || !description)
		return;
	*place = (before & ~description->writable) | (value & description->writable);
	for (unsigned i = 0; i < G_N_ELEMENTS(hooks); i++)
		if (hooks[i].offset == offset)
			hooks[i].written(e1000, before);
}

static uint32_t read_register(struct e1000 *e1000, unsigned offset)
{
	const struct description *description = describe(e1000, offset);
	uint32_t value;

	if (offset == ICS)
		return *e1000_register(e1000, ICR);
	if (!description)
		return 0;
	value = *e1000_register(e1000, offset);
	if (offset == ICR)
		return e1000_read_icr(e1000);
	if (offset == STATUS && is_82574(e1000) && !pci_bus_master(&e1000->pci))
		return value & ~STATUS_MASTER_ENABLE;
	if (offset == SWSM)
		*e1000_register(e1000, SWSM) |= SWSM_SMBI; /* whoever reads it clear has it */
	if (offset >= STATISTICS && offset < STATISTICS_END)
		return read_statistic(e1000, offset);
	return value;
}

/* Registers are of 32 bits (section 10.1.1); what is narrower is answered from the register. */
static uint64_t registers_read(void *device, uint64_t offset, unsigned size)
{
	struct e1000 *e1000 = device;
	uint64_t value = read_register(e1000, resolve_alias((unsigned)offset & ~3u));

	if (size == 8)
		value |= (uint64_t)read_register(e1000, resolve_alias(((unsigned)offset & ~3u) + 4)) << 32;
	return value >> (offset & 3) * 8;
}

static void registers_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct e1000 *e1000 = device;

	if (offset & 3 || size < 4) {
		log_guest_error(&e1000->log, "e1000", "a write of %u bytes at %#x does nothing", size, (unsigned)offset);
		return;
	}
	write_register(e1000, resolve_alias((unsigned)offset), (uint32_t)value);
	if (size == 8)
		write_register(e1000, resolve_alias((unsigned)offset + 4), (uint32_t)(value >> 32));
}

static const struct bus_ops registers_ops = { registers_read, registers_write };

/* Section 10.1.2: an address and data for those who cannot reach memory. */
static uint64_t ports_read(void *device, uint64_t offset, unsigned size)
{
	struct e1000 *e1000 = device;

	if (offset == IOADDR)
		return e1000->io_address;
	if (offset == IODATA && e1000->io_address < REGISTERS_SIZE)
		return registers_read(e1000, e1000->io_address, size);
	return 0;
}

static void ports_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct e1000 *e1000 = device;

	if (offset == IOADDR)
		e1000->io_address = (uint32_t)value;
	else if (offset == IODATA && e1000->io_address < REGISTERS_SIZE)
		registers_write(e1000, e1000->io_address, size, value);
}

static const struct bus_ops ports_ops = { ports_read, ports_write };

/* No flash chip: nothing is there. */
static uint64_t flash_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)offset;
	return size == 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

static void flash_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	(void)device;
	(void)offset;
	(void)size;
	(void)value;
}

static const struct bus_ops flash_ops = { flash_read, flash_write };

/* --- The device --- */

static void writable_again(void *adapter)
{
	transmit_written(adapter, 0);
}

static const struct network_adapter_ops adapter_ops = {
	.receive = e1000_receive,
	.writable = writable_again,
};

static void e1000_reset(struct device *device)
{
	struct e1000 *e1000 = from_device(device);

	pci_device_reset(&e1000->pci);
	e1000_phy_reset(e1000);
	reset_registers(e1000);
	network_resume(e1000->network);
}

static void registers_state(struct e1000 *e1000, struct state *state)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(descriptions); i++) {
		const struct description *description = &descriptions[i];
		g_autofree char *name = g_strdup_printf("%05x", description->offset);

		if (!description->only_82574 || is_82574(e1000))
			state_bytes(state, name, e1000_register(e1000, description->offset), description->count * 4);
	}
}

static void e1000_state(struct device *device, struct state *state)
{
	struct e1000 *e1000 = from_device(device);

	if (state_loading(state))
		reset_registers(e1000);
	pci_device_state(&e1000->pci, state);
	registers_state(e1000, state);
	state_bytes(state, "phy", e1000->phy, sizeof e1000->phy);
	state_bytes(state, "contexts", e1000->contexts, sizeof e1000->contexts);
	state_u32(state, "microwire_in", &e1000->microwire_in);
	state_u32(state, "microwire_bits", &e1000->microwire_bits);
	state_u32(state, "microwire_out", &e1000->microwire_out);
	state_u32(state, "io_address", &e1000->io_address);
	state_u32(state, "delivered", &e1000->delivered);
	if (!state_loading(state))
		return;
	e1000->microwire_bits = MIN(e1000->microwire_bits, 64);
	/* The cable is where it is now, not where it was. */
	e1000_phy_link(e1000);
	e1000_update_interrupts(e1000);
	transmit_written(e1000, 0);
	network_resume(e1000->network);
}

static void e1000_destroy(struct device *device)
{
	struct e1000 *e1000 = from_device(device);

	timer_cancel(&e1000->timer);
	pci_unplug(&e1000->pci);
	g_free(e1000);
}

static const struct device_ops e1000_ops = {
	.name = "e1000",
	.reset = e1000_reset,
	.state = e1000_state,
	.destroy = e1000_destroy,
};

static void add_capabilities(struct e1000 *e1000)
{
	unsigned offset = pci_add_capability(&e1000->pci, PCI_CAP_ID_PM, PM_CAPABILITY_SIZE);
	uint8_t *config = e1000->pci.config;

	pci_set16(config + offset + PCI_PM_PMC, is_82574(e1000) ? 2 : 1);
	pci_set16(e1000->pci.writable + offset + PCI_PM_CTRL, PCI_PM_CTRL_STATE_MASK | PCI_PM_CTRL_PME_ENABLE);
	if (!is_82574(e1000))
		return;
	pci_add_msi(&e1000->pci);
	offset = pci_add_capability(&e1000->pci, PCI_CAP_ID_EXP, EXPRESS_SIZE);
	pci_set16(config + offset + PCI_EXP_FLAGS, EXPRESS_INTEGRATED);
	pci_set32(config + offset + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER);
	pci_set16(e1000->pci.writable + offset + PCI_EXP_DEVCTL, 0x7FFF);
	pci_add_msix(&e1000->pci, BAR_MSIX, VECTORS);
}

struct e1000 *e1000_new(struct vm *vm, struct pci_bus *bus, struct network *network,
			const struct e1000_options *options)
{
	struct e1000 *e1000 = g_new0(struct e1000, 1);
	bool new = options->model == E1000_82574L;
	struct pci_identity identity = {
		.vendor = 0x8086, .device = new ? 0x10D3 : 0x100E,
		.subsystem_vendor = new ? 0x8086 : 0x1AF4, .subsystem = new ? 0 : 0x1100,
		.revision = new ? 0 : 3, .class_code = 0x020000, .interrupt_pin = 1,
	};

	e1000->pci.device = (struct device){ &e1000_ops, vm };
	e1000->network = network;
	e1000->model = options->model;
	e1000->link = options->link;
	memcpy(e1000->mac, options->mac, sizeof e1000->mac);
	timer_init(&e1000->timer, &vm->clock, e1000_interrupts_fire, e1000);
	e1000_nvm_init(e1000);
	pci_device_init(&e1000->pci, &identity);
	pci_bar_registers(&e1000->pci, BAR_REGISTERS, PCI_BAR_MEMORY32, REGISTERS_SIZE, &registers_ops, e1000, "e1000");
	if (new)
		pci_bar_registers(&e1000->pci, BAR_FLASH, PCI_BAR_MEMORY32, FLASH_SIZE, &flash_ops, e1000,
				  "e1000 flash");
	pci_bar_registers(&e1000->pci, new ? BAR_PORTS_82574 : BAR_PORTS_82540, PCI_BAR_IO,
			  new ? PORTS_SIZE_82574 : PORTS_SIZE, &ports_ops, e1000, "e1000 ports");
	add_capabilities(e1000);
	pci_plug(bus, &e1000->pci, options->devfn);
	e1000_phy_reset(e1000);
	reset_registers(e1000);
	network_attach(network, &adapter_ops, e1000);
	return e1000;
}

void e1000_set_link(struct e1000 *e1000, bool up)
{
	if (e1000->link == up)
		return;
	e1000->link = up;
	e1000_phy_link(e1000);
	e1000_raise(e1000, ICR_LSC);
	network_resume(e1000->network);
}

bool e1000_link(const struct e1000 *e1000)
{
	return e1000->link;
}
