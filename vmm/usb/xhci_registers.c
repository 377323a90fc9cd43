/* The register space: capability, operational, runtime and doorbell registers (section 5), by 32-bit words. */
#include "xhci_internal.h"

#define CAPLENGTH 0x40
#define HCIVERSION 0x0100
#define OPERATIONAL CAPLENGTH
#define PORTS (OPERATIONAL + 0x400)
#define PORT_SIZE 0x10
#define EXTENDED 0x600
#define RUNTIME 0x1000
#define INTERRUPTERS (RUNTIME + 0x20)
#define INTERRUPTER_SIZE 0x20
#define DOORBELLS 0x2000

#define HCSPARAMS1 ((uint32_t)XHCI_PORTS << 24 | XHCI_INTERRUPTERS << 8 | XHCI_SLOTS)
#define HCSPARAMS2 (XHCI_ERST_MAX << 4 | 0xF) /* isochronous scheduling threshold: 7 frames; no scratchpad */
#define HCCPARAMS1 (EXTENDED / 4 << 16 | 1) /* 64-bit addresses, contexts of 32 bytes */

#define USBCMD_WRITABLE (USBCMD_RS | USBCMD_INTE | USBCMD_HSEE | USBCMD_EWE)
#define USBSTS_CLEAR (USBSTS_HSE | USBSTS_EINT | USBSTS_PCD | USBSTS_SRE)
#define CONFIG_WRITABLE 0x3FFu
#define CRCR_RCS (1u << 0)
#define CRCR_CS (1u << 1)
#define CRCR_CA (1u << 2)
#define CRCR_CRR (1u << 3)

/* Extended capabilities (section 7), each at its place from EXTENDED */
#define LEGACY 0x00
#define PROTOCOL_2 0x10
#define PROTOCOL_3 0x20
#define LEGACY_BIOS_OWNED (1u << 16)
#define LEGACY_OS_OWNED (1u << 24)
#define LEGACY_SMI_ENABLES 0x0000E011u
#define NAME_USB 0x20425355 /* "USB " */

#define MFINDEX_MASK 0x3FFF

bool xhci_running(const struct xhci *xhci)
{
	return xhci->usbcmd & USBCMD_RS && !(xhci->usbsts & (USBSTS_HCH | USBSTS_HSE)) && pci_bus_master(&xhci->pci);
}

void xhci_host_error(struct xhci *xhci, const char *what, uint64_t address)
{
	log_guest_error(&xhci->complaints, "xhci", "%s at %#" G_GINT64_MODIFIER "x is not in memory", what, address);
	xhci->commands_running = false;
	xhci->usbcmd &= ~USBCMD_RS;
	xhci->usbsts |= USBSTS_HSE | USBSTS_HCH;
}

/* --- Microframes --- */

uint64_t xhci_microframes(const struct xhci *xhci)
{
	return (clock_now(&xhci->pci.device.vm->clock) - xhci->frame_base) / XHCI_MICROFRAME;
}

void xhci_update_wrap(struct xhci *xhci)
{
	if (xhci->usbcmd & USBCMD_RS && xhci->usbcmd & USBCMD_EWE)
		timer_set(&xhci->wrap, xhci->frame_base + ((xhci_microframes(xhci) | MFINDEX_MASK) + 1) * XHCI_MICROFRAME);
	else
		timer_cancel(&xhci->wrap);
}

/* --- Capability registers and extended capabilities --- */

static uint32_t read_capability(unsigned offset)
{
	static const uint32_t registers[] = {
		HCIVERSION << 16 | CAPLENGTH, HCSPARAMS1, HCSPARAMS2, 0, HCCPARAMS1, DOORBELLS, RUNTIME,
	};

	return offset / 4 < G_N_ELEMENTS(registers) ? registers[offset / 4] : 0;
}

static uint32_t read_extended(const struct xhci *xhci, unsigned offset)
{
	switch (offset) {
	case LEGACY:
		return xhci->legacy[0] | (PROTOCOL_2 - LEGACY) / 4 << 8 | 1;
	case LEGACY + 4:
		return xhci->legacy[1];
	/* Supported Protocol (section 7.2): revision, name, first port and how many. */
	case PROTOCOL_2:
		return 0x02000000 | (PROTOCOL_3 - PROTOCOL_2) / 4 << 8 | 2;
	case PROTOCOL_3:
		return 0x03000000 | 2;
	case PROTOCOL_2 + 4:
	case PROTOCOL_3 + 4:
		return NAME_USB;
	case PROTOCOL_2 + 8:
		return XHCI_CONNECTORS << 8 | 1;
	case PROTOCOL_3 + 8:
		return XHCI_CONNECTORS << 8 | (XHCI_CONNECTORS + 1);
	}
	return 0;
}

/*
 * USB Legacy Support (section 7.1). There is no SMI handler that could hold on to the controller, so what it would
 * do happens at once: the system's claim clears that of the BIOS.
 */
static void write_extended(struct xhci *xhci, unsigned offset, uint32_t value, uint32_t mask)
{
	uint32_t writable = offset == LEGACY ? LEGACY_BIOS_OWNED | LEGACY_OS_OWNED : LEGACY_SMI_ENABLES;

	if (offset > LEGACY + 4)
		return;
	mask &= writable;
	xhci->legacy[offset / 4] = (xhci->legacy[offset / 4] & ~mask) | (value & mask);
	if (xhci->legacy[0] & LEGACY_OS_OWNED)
		xhci->legacy[0] &= ~LEGACY_BIOS_OWNED;
}

/* --- Operational registers --- */

static uint32_t read_operational(const struct xhci *xhci, unsigned offset)
{
	switch (offset) {
	case 0x00:
		return xhci->usbcmd;
	case 0x04:
		return xhci->usbsts;
	case 0x08:
		return 1; /* PAGESIZE: 4 KiB */
	case 0x14:
		return xhci->dnctrl;
	case 0x18: /* CRCR: pointer and RCS read as zero */
		return xhci->commands_running ? CRCR_CRR : 0;
	case 0x30:
		return (uint32_t)xhci->dcbaap;
	case 0x34:
		return (uint32_t)(xhci->dcbaap >> 32);
	case 0x38:
		return xhci->config;
	}
	return 0;
}

static void run_or_stop(struct xhci *xhci, bool run)
{
	if (run == !(xhci->usbsts & USBSTS_HCH))
		return;
	if (run) {
		xhci->usbsts &= ~USBSTS_HCH;
		xhci->saved = false;
		xhci_ports_started(xhci);
		xhci_resume_later(xhci, 0);
	} else {
		xhci->commands_running = false;
		xhci->usbsts |= USBSTS_HCH;
	}
}

static void write_usbcmd(struct xhci *xhci, uint32_t value, uint32_t mask)
{
	if (value & mask & USBCMD_HCRST) {
		xhci_controller_reset(xhci);
		return;
	}
	xhci->usbcmd = (xhci->usbcmd & ~(mask & USBCMD_WRITABLE)) | (value & mask & USBCMD_WRITABLE);
	run_or_stop(xhci, xhci->usbcmd & USBCMD_RS);
	/* Section 4.23.2: all state stays in here, so saving is remembering, and restoring is having remembered. */
	if (value & mask & USBCMD_CSS && xhci->usbsts & USBSTS_HCH) {
		xhci->saved = true;
		xhci->usbsts &= ~USBSTS_SRE;
	}
	if (value & mask & USBCMD_CRS && xhci->usbsts & USBSTS_HCH)
		xhci->usbsts = xhci->saved ? xhci->usbsts & ~USBSTS_SRE : xhci->usbsts | USBSTS_SRE;
	xhci_update_wrap(xhci);
	xhci_update_interrupt(xhci);
}

static void write_crcr(struct xhci *xhci, uint32_t value, uint32_t mask)
{
	if (xhci->commands_running) {
		if (value & mask & (CRCR_CS | CRCR_CA))
			xhci_stop_commands(xhci);
		return;
	}
	mask &= ~0x3Fu;
	xhci->commands.dequeue = (xhci->commands.dequeue & ~(uint64_t)mask) | (value & mask);
	xhci->commands.cycle = value & CRCR_RCS;
}

static void set_half(uint64_t *value, bool high, uint32_t half, uint32_t mask)
{
	unsigned shift = high ? 32 : 0;

	*value = (*value & ~((uint64_t)mask << shift)) | (uint64_t)(half & mask) << shift;
}

static void write_operational(struct xhci *xhci, unsigned offset, uint32_t value, uint32_t mask)
{
	switch (offset) {
	case 0x00:
		write_usbcmd(xhci, value, mask);
		break;
	case 0x04:
		xhci->usbsts &= ~(value & mask & USBSTS_CLEAR);
		break;
	case 0x14:
		mask &= 0xFFFF;
		xhci->dnctrl = (xhci->dnctrl & ~mask) | (value & mask);
		break;
	case 0x18:
		write_crcr(xhci, value, mask);
		break;
	case 0x1C:
		if (!xhci->commands_running)
			set_half(&xhci->commands.dequeue, true, value, mask);
		break;
	case 0x30:
		set_half(&xhci->dcbaap, false, value, mask & ~0x3Fu);
		break;
	case 0x34:
		set_half(&xhci->dcbaap, true, value, mask);
		break;
	case 0x38:
		mask &= CONFIG_WRITABLE;
		xhci->config = (xhci->config & ~mask) | (value & mask);
		break;
	}
}

/* --- Runtime registers --- */

static uint32_t read_runtime(const struct xhci *xhci, unsigned offset)
{
	const struct xhci_interrupter *interrupter;

	if (offset == RUNTIME)
		return xhci->usbcmd & USBCMD_RS ? xhci_microframes(xhci) & MFINDEX_MASK : 0;
	if (offset < INTERRUPTERS)
		return 0;
	interrupter = &xhci->interrupters[(offset - INTERRUPTERS) / INTERRUPTER_SIZE];
	switch ((offset - INTERRUPTERS) % INTERRUPTER_SIZE) {
	case 0x00:
		return interrupter->iman;
	case 0x04:
		return interrupter->imod;
	case 0x08:
		return interrupter->erstsz;
	case 0x10:
		return (uint32_t)interrupter->erstba;
	case 0x14:
		return (uint32_t)(interrupter->erstba >> 32);
	case 0x18:
		return (uint32_t)interrupter->erdp;
	case 0x1C:
		return (uint32_t)(interrupter->erdp >> 32);
	}
	return 0;
}

static void write_runtime(struct xhci *xhci, unsigned offset, uint32_t value, uint32_t mask)
{
	struct xhci_interrupter *interrupter;

	if (offset < INTERRUPTERS)
		return;
	interrupter = &xhci->interrupters[(offset - INTERRUPTERS) / INTERRUPTER_SIZE];
	switch ((offset - INTERRUPTERS) % INTERRUPTER_SIZE) {
	case 0x00:
		if (value & mask & IMAN_IP)
			interrupter->iman &= ~IMAN_IP;
		interrupter->iman = (interrupter->iman & ~(mask & IMAN_IE)) | (value & mask & IMAN_IE);
		xhci_iman_written(interrupter);
		break;
	case 0x04:
		interrupter->imod = (interrupter->imod & ~mask) | (value & mask);
		break;
	case 0x08:
		mask &= 0xFFFF;
		interrupter->erstsz = (interrupter->erstsz & ~mask) | (value & mask);
		break;
	case 0x10:
		set_half(&interrupter->erstba, false, value, mask & ~0x3Fu);
		xhci_erstba_written(interrupter);
		break;
	case 0x14:
		set_half(&interrupter->erstba, true, value, mask);
		xhci_erstba_written(interrupter);
		break;
	case 0x18:
		set_half(&interrupter->erdp, false, value, mask & ~(uint32_t)ERDP_EHB);
		xhci_erdp_written(interrupter, value & mask & ERDP_EHB);
		break;
	case 0x1C:
		set_half(&interrupter->erdp, true, value, mask);
		xhci_erdp_written(interrupter, false);
		break;
	}
}

/* Section 5.6: the target says which endpoint of the slot; slot 0 is the command ring. */
static void ring_doorbell(struct xhci *xhci, unsigned slot, uint32_t value)
{
	struct xhci_endpoint *endpoint;

	if (!xhci_running(xhci))
		return;
	if (slot == 0) {
		if ((value & 0xFF) == 0)
			xhci_run_commands(xhci);
		return;
	}
	endpoint = slot <= XHCI_SLOTS ? xhci->slots[slot].endpoints[value & 0xFF & (XHCI_DCIS - 1)] : NULL;
	if (!endpoint || (value & 0xFF) >= XHCI_DCIS) {
		log_guest_error(&xhci->complaints, "xhci", "doorbell of slot %u, endpoint %u", slot, value & 0xFF);
		return;
	}
	if (endpoint->state == ENDPOINT_STOPPED || endpoint->state == ENDPOINT_RUNNING) {
		endpoint->rung = true;
		xhci_endpoint_set_state(endpoint, ENDPOINT_RUNNING);
		xhci_endpoint_run(endpoint);
	}
}

/* --- Access --- */

static uint32_t read_word(struct xhci *xhci, unsigned offset)
{
	if (offset < CAPLENGTH)
		return read_capability(offset);
	if (offset < PORTS)
		return read_operational(xhci, offset - OPERATIONAL);
	if (offset < PORTS + XHCI_PORTS * PORT_SIZE)
		return xhci_port_read(xhci, (offset - PORTS) / PORT_SIZE, (offset - PORTS) % PORT_SIZE);
	if (offset >= EXTENDED && offset < RUNTIME)
		return read_extended(xhci, offset - EXTENDED);
	if (offset >= RUNTIME && offset < INTERRUPTERS + XHCI_INTERRUPTERS * INTERRUPTER_SIZE)
		return read_runtime(xhci, offset);
	return 0;
}

static void write_word(struct xhci *xhci, unsigned offset, uint32_t value, uint32_t mask)
{
	if (offset >= OPERATIONAL && offset < PORTS)
		write_operational(xhci, offset - OPERATIONAL, value, mask);
	else if (offset >= PORTS && offset < PORTS + XHCI_PORTS * PORT_SIZE)
		xhci_port_write(xhci, (offset - PORTS) / PORT_SIZE, (offset - PORTS) % PORT_SIZE, value, mask);
	else if (offset >= EXTENDED && offset < RUNTIME)
		write_extended(xhci, offset - EXTENDED, value, mask);
	else if (offset >= RUNTIME && offset < INTERRUPTERS + XHCI_INTERRUPTERS * INTERRUPTER_SIZE)
		write_runtime(xhci, offset, value, mask);
	else if (offset >= DOORBELLS && offset < DOORBELLS + (XHCI_SLOTS + 1) * 4)
		ring_doorbell(xhci, (offset - DOORBELLS) / 4, value & mask);
}

static uint64_t registers_read(void *device, uint64_t offset, unsigned size)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < size;) {
		unsigned within = (offset + i) % 4, count = MIN(4 - within, size - i);
		uint64_t word = read_word(device, (unsigned)(offset + i - within)) >> within * 8;

		value |= (word & (UINT64_MAX >> (64 - count * 8))) << i * 8;
		i += count;
	}
	return value;
}

static void registers_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	for (unsigned i = 0; i < size;) {
		unsigned within = (offset + i) % 4, count = MIN(4 - within, size - i);
		uint32_t mask = UINT32_MAX >> (32 - count * 8) << within * 8;

		write_word(device, (unsigned)(offset + i - within), (uint32_t)(value >> i * 8) << within * 8, mask);
		i += count;
	}
}

const struct bus_ops xhci_registers_ops = { registers_read, registers_write };
