/*
 * A guest's xHCI driver for the tests: the controller at 00:03.0, its structures in fake RAM, one event ring that is
 * read after everything, and rings for each endpoint.
 */
#pragma once

#include <string.h>

#include "../../vmm/pci/pci.h"
#include "../../vmm/usb/usb.h"
#include "../../vmm/usb/xhci.h"
#include "fake_machine.h"

#define REGISTERS 0xFEB00000ull
#define MSIX_TABLE 0xFEB10000ull
#define GUEST_RAM (64u << 20)
#define DCBAA 0x100000u
#define COMMAND_RING 0x101000u
#define COMMAND_TRBS 16u /* with the link */
#define ERST 0x102000u
#define EVENT_RING 0x103000u
#define EVENT_TRBS 64u
#define INPUT_CONTEXT 0x104000u
#define OUTPUT_CONTEXT(slot) (0x110000u + (slot) * 0x1000u)
#define TRANSFER_RING(slot, dci) (0x200000u + ((slot) * 32u + (dci)) * 0x1000u)
#define TRANSFER_TRBS 32u
#define BUFFER 0x1000000u

enum { CAP_HCSPARAMS1 = 0x04, CAP_HCCPARAMS1 = 0x10, CAP_DBOFF = 0x14, CAP_RTSOFF = 0x18 };
enum { USBCMD = 0x40, USBSTS = 0x44, CRCR = 0x58, DCBAAP = 0x70, CONFIG = 0x78, PORTSC1 = 0x440, MFINDEX = 0x1000,
       IMAN = 0x1020, IMOD = 0x1024, ERSTSZ = 0x1028, ERSTBA = 0x1030, ERDP = 0x1038, DOORBELL = 0x2000 };
enum { NORMAL = 1, SETUP = 2, DATA = 3, STATUS = 4, ISOCH = 5, LINK = 6, EVENT_DATA = 7, NO_OP = 8, ENABLE_SLOT = 9,
       DISABLE_SLOT = 10, ADDRESS_DEVICE = 11, CONFIGURE_ENDPOINT = 12, EVALUATE_CONTEXT = 13, RESET_ENDPOINT = 14,
       STOP_ENDPOINT = 15, SET_TR_DEQUEUE = 16, RESET_DEVICE = 17, NO_OP_COMMAND = 23, TRANSFER_EVENT = 32,
       COMMAND_COMPLETION = 33, PORT_CHANGE = 34, HOST_CONTROLLER = 37 };
enum { CYCLE = 1, TOGGLE = 2, ISP = 4, CHAIN = 16, IOC = 32, IDT = 64 };
#define SIA 0x80000000u
enum { SUCCESS = 1, BABBLE = 3, TRANSACTION_ERROR = 4, TRB_ERROR = 5, STALL = 6, NO_SLOTS = 9, SLOT_NOT_ENABLED = 11,
       ENDPOINT_NOT_ENABLED = 12, SHORT_PACKET = 13, RING_UNDERRUN = 14, RING_OVERRUN = 15, PARAMETER_ERROR = 17,
       BANDWIDTH_OVERRUN = 18, CONTEXT_STATE_ERROR = 19, EVENT_RING_FULL = 21, MISSED_SERVICE = 23,
       COMMAND_RING_STOPPED = 24, STOPPED = 26, ISOCH_BUFFER_OVERRUN = 31 };
enum { EP_ISOCH_OUT = 1, EP_BULK_OUT = 2, EP_INTERRUPT_OUT = 3, EP_CONTROL = 4, EP_ISOCH_IN = 5, EP_BULK_IN = 6,
       EP_INTERRUPT_IN = 7 };

struct guest_event {
	uint64_t parameter;
	uint32_t length; /* and what else is in the low 24 bits of the status */
	unsigned code, type, slot, dci;
	uint32_t control;
};

struct guest_ring {
	uint32_t base, trbs, index;
	bool cycle;
};

struct xhci_guest {
	struct fake_machine *machine;
	struct pci_bus bus;
	struct xhci *xhci;
	struct device *device;
	struct pci_device *pci;
	struct guest_ring commands;
	struct guest_ring transfers[33][32];
	uint32_t event_index;
	bool event_cycle;
	bool waits; /* control() waits for what other threads have to do */
};

static inline uint8_t *ram(struct xhci_guest *g, uint64_t address)
{
	return g->machine->vm.memory.ram + address;
}

static inline uint32_t reg(struct xhci_guest *g, unsigned offset)
{
	return (uint32_t)fake_read(g->machine, REGISTERS + offset, 4);
}

static inline void set_reg(struct xhci_guest *g, unsigned offset, uint32_t value)
{
	fake_write(g->machine, REGISTERS + offset, 4, value);
}

static inline void set_reg64(struct xhci_guest *g, unsigned offset, uint64_t value)
{
	set_reg(g, offset, (uint32_t)value);
	set_reg(g, offset + 4, (uint32_t)(value >> 32));
}

/* Time passes, also 0 for what the I/O thread does at once. */
static inline void wait_ms(struct xhci_guest *g, unsigned milliseconds)
{
	clock_advance(&g->machine->vm.clock, milliseconds * 1000000ull);
}

static inline void guest_no_pirq(void *opaque, unsigned pirq, bool level)
{
	(void)opaque, (void)pirq, (void)level;
}

static inline void guest_open(struct xhci_guest *g)
{
	memset(g, 0, sizeof *g);
	g->machine = fake_machine_new(GUEST_RAM);
	pci_bus_init(&g->bus, &g->machine->vm);
	g->bus.set_pirq = guest_no_pirq;
	g->xhci = xhci_new(&g->machine->vm, &g->bus);
	g->device = xhci_device(g->xhci);
	g->pci = (struct pci_device *)g->device;
}

static inline void guest_close(struct xhci_guest *g)
{
	g->device->ops->destroy(g->device);
	pci_bus_finish(&g->bus);
	fake_machine_free(g->machine);
}

/* --- Rings --- */

static inline void ring_init(struct xhci_guest *g, struct guest_ring *ring, uint32_t base, uint32_t trbs)
{
	*ring = (struct guest_ring){ base, trbs, 0, true };
	memset(ram(g, base), 0, trbs * 16);
	pci_set32(ram(g, base + (trbs - 1) * 16), base);
}

static inline void write_trb(struct xhci_guest *g, uint32_t address, uint64_t parameter, uint32_t status, uint32_t control)
{
	pci_set32(ram(g, address), (uint32_t)parameter);
	pci_set32(ram(g, address) + 4, (uint32_t)(parameter >> 32));
	pci_set32(ram(g, address) + 8, status);
	pci_set32(ram(g, address) + 12, control);
}

/* Adds a TRB, with the ring's cycle bit, and returns where it is; the last place is a link to the first. */
static inline uint32_t push(struct xhci_guest *g, struct guest_ring *ring, uint64_t parameter, uint32_t status,
			    unsigned type, uint32_t flags)
{
	uint32_t address = ring->base + ring->index * 16;

	write_trb(g, address, parameter, status, type << 10 | flags | ring->cycle);
	if (++ring->index == ring->trbs - 1) {
		write_trb(g, ring->base + ring->index * 16, ring->base, 0,
			  LINK << 10 | TOGGLE | (flags & CHAIN) | ring->cycle);
		ring->index = 0;
		ring->cycle = !ring->cycle;
	}
	return address;
}

static inline bool event_waits(struct xhci_guest *g)
{
	return (pci_get32(ram(g, EVENT_RING + g->event_index * 16 + 12)) & CYCLE) == g->event_cycle;
}

/* False: no event waits. */
static inline bool next_event(struct xhci_guest *g, struct guest_event *event)
{
	const uint8_t *trb = ram(g, EVENT_RING + g->event_index * 16);
	uint32_t control = pci_get32(trb + 12);

	if (!event_waits(g))
		return false;
	*event = (struct guest_event){
		.parameter = pci_get32(trb) | (uint64_t)pci_get32(trb + 4) << 32,
		.length = pci_get32(trb + 8) & 0xFFFFFF, .code = trb[11], .type = control >> 10 & 0x3F,
		.slot = control >> 24, .dci = control >> 16 & 31, .control = control,
	};
	if (++g->event_index == EVENT_TRBS) {
		g->event_index = 0;
		g->event_cycle = !g->event_cycle;
	}
	set_reg64(g, ERDP, (EVENT_RING + g->event_index * 16) | 8);
	return true;
}

static inline void expect_no_event(struct xhci_guest *g)
{
	struct guest_event event;

	g_assert_false(next_event(g, &event));
}

static inline struct guest_event expect_event(struct xhci_guest *g, unsigned type)
{
	struct guest_event event = { 0 };

	g_assert_true(next_event(g, &event));
	g_assert_cmpuint(event.type, ==, type);
	return event;
}

static inline struct guest_event expect_transfer(struct xhci_guest *g, uint32_t trb, unsigned code, uint32_t length)
{
	struct guest_event event = expect_event(g, TRANSFER_EVENT);

	g_assert_cmpuint(event.code, ==, code);
	g_assert_cmphex(event.parameter, ==, trb);
	g_assert_cmpuint(event.length, ==, length);
	return event;
}

/* --- Starting the controller --- */

static inline void enable_msix(struct xhci_guest *g, unsigned vectors)
{
	for (unsigned i = 0; i < vectors; i++) {
		fake_write(g->machine, MSIX_TABLE + i * 16, 8, 0xFEE00000);
		fake_write(g->machine, MSIX_TABLE + i * 16 + 8, 4, 0x40 + i);
		fake_write(g->machine, MSIX_TABLE + i * 16 + 12, 4, 0);
	}
	pci_config_write(g->pci, g->pci->msix + 2u, 2, 0x8000);
}

static inline void set_event_ring(struct xhci_guest *g, unsigned interrupter, uint32_t base, uint32_t trbs)
{
	uint32_t table = ERST + interrupter * 64;

	memset(ram(g, base), 0, trbs * 16);
	write_trb(g, table, base, trbs, 0);
	set_reg(g, ERSTSZ + interrupter * 32, 1);
	set_reg64(g, ERDP + interrupter * 32, base);
	set_reg64(g, ERSTBA + interrupter * 32, table);
}

static inline void guest_map(struct xhci_guest *g)
{
	pci_config_write(g->pci, PCI_BASE_ADDRESS_0, 4, (uint32_t)REGISTERS);
	pci_config_write(g->pci, PCI_BASE_ADDRESS_2, 4, (uint32_t)MSIX_TABLE);
	pci_config_write(g->pci, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static inline void guest_start(struct xhci_guest *g)
{
	guest_map(g);
	set_reg(g, USBCMD, 2);
	g_assert_cmphex(reg(g, USBCMD), ==, 0);
	set_reg(g, CONFIG, 32);
	memset(ram(g, DCBAA), 0, 33 * 8);
	set_reg64(g, DCBAAP, DCBAA);
	ring_init(g, &g->commands, COMMAND_RING, COMMAND_TRBS);
	set_reg64(g, CRCR, COMMAND_RING | 1);
	g->event_index = 0;
	g->event_cycle = true;
	set_event_ring(g, 0, EVENT_RING, EVENT_TRBS);
	set_reg(g, IMAN, 3);
	set_reg(g, USBCMD, 5);
}

/* --- Commands --- */

static inline struct guest_event command(struct xhci_guest *g, unsigned type, uint64_t parameter, uint32_t flags)
{
	uint32_t trb = push(g, &g->commands, parameter, 0, type, flags);
	struct guest_event event;

	set_reg(g, DOORBELL, 0);
	event = expect_event(g, COMMAND_COMPLETION);
	g_assert_cmphex(event.parameter, ==, trb);
	return event;
}

static inline void expect_command(struct xhci_guest *g, unsigned code, unsigned type, uint64_t parameter, uint32_t flags)
{
	struct guest_event event = command(g, type, parameter, flags);

	g_assert_cmpuint(event.code, ==, code);
}

static inline void fill_endpoint(struct xhci_guest *g, unsigned slot, unsigned dci, unsigned type, unsigned packet)
{
	uint8_t *context = ram(g, INPUT_CONTEXT + (1 + dci) * 32);

	ring_init(g, &g->transfers[slot][dci], TRANSFER_RING(slot, dci), TRANSFER_TRBS);
	memset(context, 0, 32);
	context[2] = type == EP_ISOCH_OUT || type == EP_ISOCH_IN ? 3 : 0; /* 1 ms */
	context[4] = (uint8_t)(3 << 1 | type << 3);
	pci_set16(context + 6, (uint16_t)packet);
	pci_set32(context + 8, TRANSFER_RING(slot, dci) | 1);
}

/* The input context for addressing what is at this port (from 1). */
static inline void fill_address_input(struct xhci_guest *g, unsigned slot, unsigned port)
{
	uint8_t *input = ram(g, INPUT_CONTEXT);
	uint32_t portsc = reg(g, PORTSC1 + (port - 1) * 16);

	memset(input, 0, 33 * 32);
	pci_set32(input + 4, 3);
	pci_set32(input + 32, 1u << 27 | (portsc >> 10 & 15) << 20);
	input[32 + 6] = (uint8_t)port;
	fill_endpoint(g, slot, 1, EP_CONTROL, (portsc >> 10 & 15) == USB_SPEED_SUPER ? 512 : 64);
	pci_set32(ram(g, DCBAA + slot * 8), OUTPUT_CONTEXT(slot));
	memset(ram(g, OUTPUT_CONTEXT(slot)), 0, 32 * 32);
}

static inline unsigned enable_slot(struct xhci_guest *g)
{
	struct guest_event event = command(g, ENABLE_SLOT, 0, 0);

	g_assert_cmpuint(event.code, ==, SUCCESS);
	g_assert_cmpuint(event.slot, >, 0);
	return event.slot;
}

/* Resets the port and addresses the device there; returns its slot. */
static inline unsigned address_port(struct xhci_guest *g, unsigned port)
{
	unsigned offset = PORTSC1 + (port - 1) * 16, slot;
	struct guest_event event;

	g_assert_cmphex(reg(g, offset) & 1, ==, 1);
	set_reg(g, offset, 1u << 9 | 1u << 4);
	g_assert_cmphex(reg(g, offset) & 0x200003, ==, 0x200003);
	set_reg(g, offset, 1u << 9 | 0x7Fu << 17);
	while (next_event(g, &event))
		g_assert_cmpuint(event.type, ==, PORT_CHANGE);
	slot = enable_slot(g);
	fill_address_input(g, slot, port);
	expect_command(g, SUCCESS, ADDRESS_DEVICE, INPUT_CONTEXT, slot << 24);
	return slot;
}

/* --- Transfers --- */

static inline void ring_endpoint(struct xhci_guest *g, unsigned slot, unsigned dci)
{
	set_reg(g, DOORBELL + slot * 4, dci);
}

/* A control transfer; returns the completion code, and the bytes moved in *moved. Data are at BUFFER. */
static inline unsigned control(struct xhci_guest *g, unsigned slot, unsigned type, unsigned request, unsigned value,
			       unsigned index, unsigned length, unsigned *moved)
{
	struct guest_ring *ring = &g->transfers[slot][1];
	bool in = type & 0x80;
	uint32_t data = 0, status;
	struct guest_event event;

	push(g, ring, (uint64_t)length << 48 | (uint64_t)index << 32 | (uint64_t)value << 16 | request << 8 | type, 8, SETUP,
	     IDT | (length ? (in ? 3u : 2u) << 16 : 0));
	if (length)
		data = push(g, ring, BUFFER, length, DATA, ISP | (in ? 1u << 16 : 0));
	status = push(g, ring, 0, 0, STATUS, IOC | (in && length ? 0 : 1u << 16));
	ring_endpoint(g, slot, 1);
	while (g->waits && !event_waits(g))
		g_main_context_iteration(g->machine->vm.loop.context, TRUE);
	if (moved)
		*moved = length;
	event = expect_event(g, TRANSFER_EVENT);
	if (event.code == SHORT_PACKET) {
		g_assert_cmphex(event.parameter, ==, data);
		if (moved)
			*moved = length - event.length;
		event = expect_event(g, TRANSFER_EVENT);
	}
	g_assert_cmpuint(event.dci, ==, 1);
	if (event.code == SUCCESS)
		g_assert_cmphex(event.parameter, ==, status);
	return event.code;
}

/* After a stall: the endpoint is made ready again behind what has been queued. */
static inline void recover_endpoint(struct xhci_guest *g, unsigned slot, unsigned dci)
{
	struct guest_ring *ring = &g->transfers[slot][dci];

	expect_command(g, SUCCESS, RESET_ENDPOINT, 0, slot << 24 | dci << 16);
	expect_command(g, SUCCESS, SET_TR_DEQUEUE, (ring->base + ring->index * 16) | ring->cycle, slot << 24 | dci << 16);
}

/* Configures endpoints by their dci and type, ending with 0, and the device's configuration 1. */
static inline void configure(struct xhci_guest *g, unsigned slot, const unsigned (*endpoints)[2], unsigned packet)
{
	uint8_t *input = ram(g, INPUT_CONTEXT);
	uint32_t add = 1;

	memset(input, 0, 33 * 32);
	memcpy(input + 32, ram(g, OUTPUT_CONTEXT(slot)), 32);
	input[32 + 3] = 31 << 3;
	for (; (*endpoints)[0]; endpoints++) {
		fill_endpoint(g, slot, (*endpoints)[0], (*endpoints)[1], packet);
		add |= 1u << (*endpoints)[0];
	}
	pci_set32(input + 4, add);
	expect_command(g, SUCCESS, CONFIGURE_ENDPOINT, INPUT_CONTEXT, slot << 24);
	g_assert_cmpuint(control(g, slot, 0x00, USB_SET_CONFIGURATION, 1, 0, 0, NULL), ==, SUCCESS);
}

/* Queues one buffer and rings; returns the TRB. */
static inline uint32_t transfer(struct xhci_guest *g, unsigned slot, unsigned dci, uint32_t buffer, uint32_t length)
{
	uint32_t trb = push(g, &g->transfers[slot][dci], buffer, length, NORMAL, IOC | ISP);

	ring_endpoint(g, slot, dci);
	return trb;
}
