/* A port: its registers (AHCI 1.3.1 section 3.3), resets, and the order in which commands run. */
#include "ahci_internal.h"

#include <string.h>

#define TFD_BUSY (ATA_BSY | ATA_DRQ)
#define TFD_RESET 0x7Fu

#define CMD_WRITABLE (PXCMD_ST | PXCMD_FRE | PXCMD_ATAPI | PXCMD_DLAE)
#define CMD_ALWAYS (PXCMD_SUD | PXCMD_POD)
#define CMD_CCS_SHIFT 8

#define SCTL_WRITABLE 0xFFFu
#define SCTL_DET 0xFu
#define DET_RESET 1
#define DET_OFFLINE 4
/* device present, 6 Gbit/s, interface active */
#define SSTS_UP 0x133u

#define SERR_EXCHANGED (1u << 26)
#define SERR_PHY_CHANGED (1u << 16)

#define FIS_REGISTER 0x40 /* places in the receive area (section 4.2.1) */
#define FIS_SET_DEVICE_BITS 0x58

static bool link_up(const struct ahci_port *port)
{
	return (port->ssts & 0xF) == 3;
}

/* --- Signature and resets --- */

static uint8_t reset_status(const struct ahci_port *port)
{
	return port->drive->reset_status;
}

void ahci_port_send_signature(struct ahci_port *port)
{
	struct ata_taskfile taskfile = { .lba = port->drive->signature >> 8, .count = port->drive->signature & 0xFF };
	uint8_t fis[20];

	port->tfd = 1u << 8 | reset_status(port);
	port->sig = port->drive->signature;
	/* Registers take it even while FRE is off; memory gets it when the guest gives some (section 3.3.8). */
	port->signature_unsent = !(port->cmd & PXCMD_FRE);
	if (port->signature_unsent)
		return;
	ahci_fill_register_fis(fis, 0x34, &taskfile, reset_status(port), 1, false);
	ahci_port_post_fis(port, FIS_REGISTER, fis, sizeof fis);
}

static void trouble(struct block *block, int error, const char *message, void *opaque)
{
	struct ahci_port *port = opaque;

	(void)block;
	(void)error;
	vm_request(port->ahci->pci.device.vm, VM_REQUEST_PAUSE, message);
}

/* Nothing of what runs may touch guest memory or registers once this returns. */
static void stop(struct ahci_port *port)
{
	port->discarding = true;
	if (port->block && port->running) {
		/* Nobody is left for whom trouble should keep a request. */
		block_set_trouble_handler(port->block, NULL, NULL);
		block_cancel(port->block);
		block_drain(port->block);
		block_set_trouble_handler(port->block, trouble, port);
	}
	port->discarding = false;
	for (unsigned i = 0; i < AHCI_SLOTS; i++)
		port->commands[i].active = false;
	port->running = 0;
	port->finished = 0;
	port->busy = false;
}

static void link_down(struct ahci_port *port)
{
	stop(port);
	port->ssts = 0;
	port->tfd = TFD_RESET;
	port->sig = UINT32_MAX;
	port->signature_unsent = false;
	port->in_reset = false;
}

static void connect(struct ahci_port *port)
{
	if (!port->drive)
		return;
	port->ssts = SSTS_UP;
	port->serr |= SERR_EXCHANGED | SERR_PHY_CHANGED;
	port->drive->reset(port);
	ahci_port_send_signature(port);
}

void ahci_port_reset(struct ahci_port *port, bool power_on)
{
	link_down(port);
	/* PxCLB and PxFB outlive an HBA reset (section 10.4.3). */
	if (power_on)
		port->clb = port->fb = 0;
	port->is = port->ie = port->sctl = port->serr = port->sact = port->ci = port->sntf = 0;
	port->cmd = CMD_ALWAYS;
	port->halted = false;
	port->next_slot = 0;
	connect(port);
}

static void write_sctl(struct ahci_port *port, uint32_t value)
{
	uint32_t before = port->sctl & SCTL_DET, now = value & SCTL_DET;

	port->sctl = value & SCTL_WRITABLE;
	if (now == DET_RESET || now == DET_OFFLINE) {
		link_down(port);
		if (now == DET_OFFLINE)
			port->ssts = DET_OFFLINE;
	} else if (now == 0 && before != 0) {
		connect(port);
	}
}

static void write_cmd(struct ahci_port *port, uint32_t value, uint32_t mask)
{
	uint32_t before = port->cmd;

	if (value & mask & PXCMD_CLO && !(before & PXCMD_ST))
		port->tfd &= ~(uint32_t)TFD_BUSY;
	port->cmd = (before & ~(mask & CMD_WRITABLE)) | (value & mask & CMD_WRITABLE);
	if (port->cmd & PXCMD_FRE) {
		port->cmd |= PXCMD_FR;
		if (port->signature_unsent)
			ahci_port_send_signature(port);
	} else {
		port->cmd &= ~PXCMD_FR;
	}
	if (port->cmd & PXCMD_ST) {
		port->cmd |= PXCMD_CR;
	} else if (before & PXCMD_ST) {
		stop(port);
		port->cmd &= ~(PXCMD_CR | 31u << CMD_CCS_SHIFT);
		port->ci = port->sact = 0;
		port->halted = false;
		port->next_slot = 0;
	}
}

/* --- Registers --- */

uint32_t ahci_port_read(struct ahci_port *port, unsigned offset)
{
	switch (offset) {
	case 0x00: return (uint32_t)port->clb;
	case 0x04: return (uint32_t)(port->clb >> 32);
	case 0x08: return (uint32_t)port->fb;
	case 0x0C: return (uint32_t)(port->fb >> 32);
	case 0x10: return port->is | (port->serr & SERR_EXCHANGED ? PXIS_PCS : 0) |
			  (port->serr & SERR_PHY_CHANGED ? PXIS_PRCS : 0);
	case 0x14: return port->ie;
	case 0x18: return port->cmd;
	case 0x20: return port->tfd;
	case 0x24: return port->sig;
	case 0x28: return port->ssts;
	case 0x2C: return port->sctl;
	case 0x30: return port->serr;
	case 0x34: return port->sact;
	case 0x38: return port->ci;
	case 0x3C: return port->sntf;
	default: return 0;
	}
}

static void merge(uint64_t *address, unsigned shift, uint32_t value, uint32_t mask, uint32_t writable)
{
	mask &= writable;
	*address = (*address & ~((uint64_t)mask << shift)) | (uint64_t)(value & mask) << shift;
}

void ahci_port_write(struct ahci_port *port, unsigned offset, uint32_t value, uint32_t mask)
{
	value &= mask;
	switch (offset) {
	case 0x00: merge(&port->clb, 0, value, mask, 0xFFFFFC00); break;
	case 0x04: merge(&port->clb, 32, value, mask, UINT32_MAX); break;
	case 0x08: merge(&port->fb, 0, value, mask, 0xFFFFFF00); break;
	case 0x0C: merge(&port->fb, 32, value, mask, UINT32_MAX); break;
	case 0x10: port->is &= ~value; break;
	case 0x14: port->ie = ((port->ie & ~mask) | value) & 0xFDC000FF; break;
	case 0x18: write_cmd(port, value, mask); break;
	case 0x2C: write_sctl(port, (port->sctl & ~mask) | value); break;
	case 0x30: port->serr &= ~value; break;
	case 0x34:
		if (port->cmd & PXCMD_ST)
			port->sact |= value;
		return;
	case 0x38:
		if (port->cmd & PXCMD_ST)
			port->ci |= value;
		break;
	case 0x3C: port->sntf &= ~value; break;
	}
	ahci_port_process(port);
}

/* --- Running commands --- */

void ahci_port_halt(struct ahci_port *port, uint32_t cause)
{
	port->is |= cause;
	port->halted = true;
}

void ahci_port_post_fis(struct ahci_port *port, unsigned offset, const uint8_t *fis, unsigned size)
{
	struct vm *vm = port->ahci->pci.device.vm;

	if (!(port->cmd & PXCMD_FRE))
		return;
	if (memory_write(&vm->memory, port->fb + offset, fis, size))
		return;
	log_guest_error(&port->complaints, "ahci", "port %u: FIS area at 0x%" G_GINT64_MODIFIER "x is not RAM",
			port->number, port->fb);
	ahci_port_halt(port, PXIS_HBFS);
}

/* One FIS for all queued commands that finished since the last one. */
static void report_queued(struct ahci_port *port)
{
	uint8_t fis[8] = { 0xA1, 1 << 6, ATA_DRDY, 0 };

	if (!port->finished)
		return;
	port->sact &= ~port->finished;
	pci_set32(fis + 4, port->finished);
	port->finished = 0;
	port->is |= PXIS_SDBS;
	ahci_port_post_fis(port, FIS_SET_DEVICE_BITS, fis, sizeof fis);
}

void ahci_port_notify(struct ahci_port *port)
{
	uint8_t fis[8] = { 0xA1, 1 << 7 | 1 << 6, (uint8_t)(port->tfd & 0x77), (uint8_t)(port->tfd >> 8) };

	if (!link_up(port) || !(port->cmd & PXCMD_FRE))
		return;
	port->sntf |= 1;
	port->is |= PXIS_SDBS;
	ahci_port_post_fis(port, FIS_SET_DEVICE_BITS, fis, sizeof fis);
	ahci_update_interrupt(port->ahci);
}

static bool may_start(const struct ahci_port *port)
{
	return port->cmd & PXCMD_ST && port->drive && link_up(port) && !port->halted && !port->busy && port->ci &&
	       pci_bus_master(&port->ahci->pci);
}

/* The next slot after the last one that has a command; in turn, so that none starves. */
static unsigned choose_slot(const struct ahci_port *port)
{
	uint32_t later = port->ci & ~((1u << port->next_slot) - 1);

	return (unsigned)__builtin_ctz(later ? later : port->ci);
}

/* Starts commands until one is in the way: the drive does one at a time, or any number of queued ones. */
static bool start_commands(struct ahci_port *port)
{
	bool started = false;

	while (may_start(port)) {
		unsigned slot = choose_slot(port);
		struct ahci_command *command = &port->commands[slot];

		if (command->active) {
			/* A queued tag that the guest issued again before it was done. */
			log_guest_error(&port->complaints, "ahci", "port %u: slot %u is in use", port->number, slot);
			ahci_port_halt(port, PXIS_IFS);
			break;
		}
		if (!ahci_command_fetch(port, slot))
			break;
		if (command->protocol != AHCI_NCQ && port->running)
			break;
		port->cmd = (port->cmd & ~(31u << CMD_CCS_SHIFT)) | slot << CMD_CCS_SHIFT;
		port->next_slot = (slot + 1) % AHCI_SLOTS;
		ahci_command_start(command);
		started = true;
	}
	return started;
}

void ahci_port_process(struct ahci_port *port)
{
	bool more;

	if (port->processing || port->discarding)
		return;
	port->processing = true;
	do {
		more = start_commands(port);
		if (port->block) {
			block_kick(port->block);
			more |= block_poll(port->block) != 0;
		}
	} while (more);
	report_queued(port);
	port->processing = false;
	ahci_update_interrupt(port->ahci);
}

/* --- The block behind the port --- */

static gboolean block_ready(gint fd, GIOCondition condition, gpointer opaque)
{
	(void)fd;
	(void)condition;
	ahci_port_process(opaque);
	return G_SOURCE_CONTINUE;
}

void ahci_port_set_block(struct ahci_port *port, struct block *block)
{
	struct loop *loop = &port->ahci->pci.device.vm->loop;

	if (port->watch)
		loop_remove(port->watch);
	port->watch = NULL;
	if (port->block)
		block_close(port->block);
	port->block = block;
	if (!block)
		return;
	port->watch = loop_watch(loop, block_event_fd(block), G_IO_IN, block_ready, port);
	block_set_trouble_handler(block, trouble, port);
}

/* --- State --- */

static void field_u32(struct state *state, const struct ahci_port *port, const char *name, uint32_t *value)
{
	g_autofree char *full = g_strdup_printf("port%u_%s", port->number, name);

	state_u32(state, full, value);
}

static void field_u64(struct state *state, const struct ahci_port *port, const char *name, uint64_t *value)
{
	g_autofree char *full = g_strdup_printf("port%u_%s", port->number, name);

	state_u64(state, full, value);
}

static void check_loaded(struct ahci_port *port, struct state *state, uint32_t flags, uint32_t slot)
{
	if (slot >= AHCI_SLOTS || flags > 7)
		state_fail(state, "AHCI port %u: slot %u, flags %u", port->number, slot, flags);
	port->next_slot = slot % AHCI_SLOTS;
	port->halted = flags & 1;
	port->signature_unsent = flags & 2 && port->drive;
	port->in_reset = flags & 4;
	port->clb &= ~0x3FFull;
	port->fb &= ~0xFFull;
	port->cmd = (port->cmd & (CMD_WRITABLE | PXCMD_FR | PXCMD_CR | 31u << CMD_CCS_SHIFT)) | CMD_ALWAYS;
	if (!port->drive && port->ssts == SSTS_UP)
		state_fail(state, "AHCI port %u has lost its drive", port->number);
}

void ahci_port_state(struct ahci_port *port, struct state *state)
{
	uint32_t flags = (port->halted ? 1 : 0) | (port->signature_unsent ? 2 : 0) | (port->in_reset ? 4 : 0);
	uint32_t slot = port->next_slot;
	/* Held by trouble: the new machine runs it anew. */
	uint32_t ci = port->ci | port->running;

	field_u64(state, port, "clb", &port->clb);
	field_u64(state, port, "fb", &port->fb);
	field_u32(state, port, "is", &port->is);
	field_u32(state, port, "ie", &port->ie);
	field_u32(state, port, "cmd", &port->cmd);
	field_u32(state, port, "tfd", &port->tfd);
	field_u32(state, port, "sig", &port->sig);
	field_u32(state, port, "ssts", &port->ssts);
	field_u32(state, port, "sctl", &port->sctl);
	field_u32(state, port, "serr", &port->serr);
	field_u32(state, port, "sact", &port->sact);
	field_u32(state, port, "ci", &ci);
	field_u32(state, port, "sntf", &port->sntf);
	field_u32(state, port, "flags", &flags);
	field_u32(state, port, "slot", &slot);
	if (state_loading(state)) {
		port->ci = ci;
		check_loaded(port, state, flags, slot);
	}
	ata_disk_state(port, state);
	atapi_cd_state(port, state);
}
