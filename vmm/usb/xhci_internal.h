/* Inside of the xHCI controller. Sections are of the xHCI specification, revision 1.1. All with vm->lock. */
#pragma once

#include "../device.h"
#include "../log.h"
#include "../memory.h"
#include "../pci/pci.h"
#include "../state.h"
#include "../vm.h"
#include "usb.h"
#include "xhci.h"

#define XHCI_SLOTS 32
#define XHCI_DCIS 32 /* device context indexes: 0 is the slot, 1 the control endpoint */
#define XHCI_INTERRUPTERS 8
#define XHCI_PORTS (2 * XHCI_CONNECTORS) /* USB 2 ports first */
#define XHCI_ERST_MAX 4 /* as a power of two */
#define XHCI_SEGMENTS (1 << XHCI_ERST_MAX)
#define XHCI_PENDING 64
#define TRB_SIZE 16

/* USBCMD (section 5.4.1) and USBSTS (5.4.2) */
#define USBCMD_RS (1u << 0)
#define USBCMD_HCRST (1u << 1)
#define USBCMD_INTE (1u << 2)
#define USBCMD_HSEE (1u << 3)
#define USBCMD_CSS (1u << 8)
#define USBCMD_CRS (1u << 9)
#define USBCMD_EWE (1u << 10)
#define USBSTS_HCH (1u << 0)
#define USBSTS_HSE (1u << 2)
#define USBSTS_EINT (1u << 3)
#define USBSTS_PCD (1u << 4)
#define USBSTS_SRE (1u << 10)

/* IMAN (section 5.5.2.1) and ERDP (5.5.2.3.3) */
#define IMAN_IP (1u << 0)
#define IMAN_IE (1u << 1)
#define ERDP_EHB (1u << 3)

/* TRB types (section 6.4.6) */
enum trb_type {
	TRB_NORMAL = 1,
	TRB_SETUP = 2,
	TRB_DATA = 3,
	TRB_STATUS = 4,
	TRB_ISOCH = 5,
	TRB_LINK = 6,
	TRB_EVENT_DATA = 7,
	TRB_NO_OP = 8,
	TRB_ENABLE_SLOT = 9,
	TRB_DISABLE_SLOT = 10,
	TRB_ADDRESS_DEVICE = 11,
	TRB_CONFIGURE_ENDPOINT = 12,
	TRB_EVALUATE_CONTEXT = 13,
	TRB_RESET_ENDPOINT = 14,
	TRB_STOP_ENDPOINT = 15,
	TRB_SET_TR_DEQUEUE = 16,
	TRB_RESET_DEVICE = 17,
	TRB_NO_OP_COMMAND = 23,
	TRB_TRANSFER_EVENT = 32,
	TRB_COMMAND_COMPLETION = 33,
	TRB_PORT_STATUS_CHANGE = 34,
	TRB_HOST_CONTROLLER = 37,
	TRB_MFINDEX_WRAP = 39,
};

/* Control word of a TRB (section 6.4) */
#define TRB_CYCLE (1u << 0)
#define TRB_TOGGLE_CYCLE (1u << 1) /* link */
#define TRB_ISP (1u << 2)
#define TRB_EVENT_IS_DATA (1u << 2) /* transfer event */
#define TRB_CHAIN (1u << 4)
#define TRB_IOC (1u << 5)
#define TRB_IDT (1u << 6)
#define TRB_BEI (1u << 9)

/* Completion codes (section 6.4.5) */
enum completion {
	CC_SUCCESS = 1,
	CC_BABBLE = 3,
	CC_TRANSACTION_ERROR = 4,
	CC_TRB_ERROR = 5,
	CC_STALL = 6,
	CC_NO_SLOTS = 9,
	CC_SLOT_NOT_ENABLED = 11,
	CC_ENDPOINT_NOT_ENABLED = 12,
	CC_SHORT_PACKET = 13,
	CC_RING_UNDERRUN = 14,
	CC_RING_OVERRUN = 15,
	CC_PARAMETER_ERROR = 17,
	CC_BANDWIDTH_OVERRUN = 18,
	CC_CONTEXT_STATE_ERROR = 19,
	CC_EVENT_RING_FULL = 21,
	CC_MISSED_SERVICE = 23,
	CC_COMMAND_RING_STOPPED = 24,
	CC_STOPPED = 26,
	CC_ISOCH_BUFFER_OVERRUN = 31,
};

struct xhci;

struct xhci_trb {
	uint64_t parameter;
	uint32_t status, control;
	uint64_t address; /* where it was read */
};

/* The consumer's end of a command or transfer ring. */
struct xhci_ring {
	uint64_t dequeue;
	bool cycle;
};

struct xhci_interrupter {
	/* Registers (section 5.5.2) */
	uint32_t iman, imod, erstsz;
	uint64_t erstba, erdp;
	/* The producer's end of the event ring */
	struct {
		uint64_t base;
		uint32_t size; /* in TRBs */
	} segments[XHCI_SEGMENTS];
	uint8_t segment_count; /* 0: no usable event ring */
	uint8_t segment;
	uint16_t index;
	bool cycle;
	bool wanted; /* IPE, section 4.17.2: an event that does not block interrupts waits to be told */
	/* Events for which the ring has no room. No new work is begun while there are any. */
	struct xhci_trb pending[XHCI_PENDING];
	uint8_t pending_count;
	uint64_t quiet_until; /* moderation: no interrupt before */
	struct timer moderation;
	struct xhci *xhci;
};

enum endpoint_state { /* section 6.2.3 */
	ENDPOINT_DISABLED = 0,
	ENDPOINT_RUNNING = 1,
	ENDPOINT_HALTED = 2,
	ENDPOINT_STOPPED = 3,
	ENDPOINT_ERROR = 4,
};

enum endpoint_type {
	ENDPOINT_ISOCH_OUT = 1,
	ENDPOINT_CONTROL = 4,
	ENDPOINT_ISOCH_IN = 5,
	ENDPOINT_TYPE_IN = 4, /* bit: isochronous, bulk and interrupt endpoints for IN */
};

struct xhci_slot;

struct xhci_endpoint {
	struct xhci_slot *slot;
	uint8_t dci;
	uint8_t state, type;
	struct xhci_ring ring; /* at the first TRB that has not been done */
	bool rung;             /* the doorbell has been rung since the ring was last started */
	/* Isochronous endpoints */
	uint32_t payload; /* Max ESIT Payload: most that moves in a service interval */
	uint8_t interval; /* 125 us << interval */
	bool streaming;   /* what follows belongs to the next intervals, whatever its Frame ID says */
	/* The transfer descriptor that is being done */
	bool busy;
	bool processing;
	struct usb_device *device; /* that has the transfer; NULL: none needs it */
	struct xhci_ring next;     /* behind the descriptor */
	struct xhci_trb *trbs;
	unsigned trb_count, trb_capacity;
	struct iovec *iov;
	unsigned iov_count, iov_capacity;
	struct usb_transfer transfer;
	/* Control endpoint: the setup stage, which the next stage belongs to */
	struct usb_setup setup;
	bool has_setup;
};

/* The device has the data or status stage of a control transfer. */
static inline bool xhci_endpoint_in_stage(const struct xhci_endpoint *endpoint)
{
	return endpoint->type == ENDPOINT_CONTROL && endpoint->busy && endpoint->device;
}

enum slot_state { /* section 6.2.2 */
	SLOT_DISABLED = 0, /* or enabled */
	SLOT_DEFAULT = 1,
	SLOT_ADDRESSED = 2,
	SLOT_CONFIGURED = 3,
};

struct xhci_slot {
	struct xhci *xhci;
	uint8_t id;
	bool enabled;
	uint8_t state;
	uint8_t port;     /* 1 to XHCI_PORTS; 0: not addressed yet */
	uint64_t context; /* output device context */
	struct xhci_endpoint *endpoints[XHCI_DCIS]; /* NULL: disabled */
};

struct xhci_port {
	uint32_t portsc, portpmsc;
	struct usb_device *device; /* shown at this port; owned */
};

struct xhci {
	struct pci_device pci;
	/* Operational registers (section 5.4) */
	uint32_t usbcmd, usbsts, dnctrl, config;
	uint64_t dcbaap;
	struct xhci_ring commands;
	bool commands_running; /* CRCR.CRR */
	uint32_t legacy[2];    /* USBLEGSUP and USBLEGCTLSTS */
	uint64_t frame_base;   /* guest time at which MFINDEX was zero */
	struct timer wrap;     /* MFINDEX wraps, for who asked to be told */
	struct timer resume;   /* goes on with work that was put off */
	bool saved;            /* CSS was done and nothing has been lost since */
	struct xhci_interrupter interrupters[XHCI_INTERRUPTERS];
	struct xhci_port ports[XHCI_PORTS];
	struct xhci_slot slots[XHCI_SLOTS + 1]; /* by slot ID; 0 is not used */
	struct log_limit complaints;
};

/* --- xhci_registers.c --- */
extern const struct bus_ops xhci_registers_ops;
/* R/S is set, nothing is broken, and the controller may do DMA. */
bool xhci_running(const struct xhci *xhci);
/* A structure that the controller itself needs is not in RAM: it stops (section 4.10.2.6). */
void xhci_host_error(struct xhci *xhci, const char *what, uint64_t address);
void xhci_update_wrap(struct xhci *xhci);
#define XHCI_MICROFRAME 125000 /* ns */
/* Since MFINDEX was zero. */
uint64_t xhci_microframes(const struct xhci *xhci);

/* --- xhci_ring.c --- */
enum fetch_result { FETCH_TRB, FETCH_EMPTY, FETCH_BAD };
/*
 * Takes the TRB that the ring is at, following links, and moves the ring behind it. FETCH_BAD: links lead nowhere or
 * in circles.
 */
enum fetch_result xhci_fetch(struct xhci *xhci, struct xhci_ring *ring, struct xhci_trb *trb);
static inline enum trb_type trb_type(const struct xhci_trb *trb)
{
	return (enum trb_type)(trb->control >> 10 & 0x3F);
}

/* --- xhci_event.c --- */
/* block: BEI. Interrupters that do not exist are taken for the first. */
void xhci_post(struct xhci *xhci, unsigned interrupter, const struct xhci_trb *event, bool block);
/* Events wait for room: no new work is to begin, until the guest makes some. */
bool xhci_events_blocked(const struct xhci *xhci);
void xhci_interrupter_init(struct xhci *xhci, unsigned number);
void xhci_interrupter_reset(struct xhci_interrupter *interrupter);
void xhci_erstba_written(struct xhci_interrupter *interrupter);
void xhci_erdp_written(struct xhci_interrupter *interrupter, bool clear_busy);
void xhci_iman_written(struct xhci_interrupter *interrupter);
/* After USBCMD.INTE or the way of interrupting changed. */
void xhci_update_interrupt(struct xhci *xhci);
void xhci_interrupter_state(struct xhci_interrupter *interrupter, struct state *state, const char *prefix);

/* --- xhci_command.c --- */
void xhci_run_commands(struct xhci *xhci);
void xhci_stop_commands(struct xhci *xhci);

/* --- xhci_slot.c --- */
enum completion xhci_enable_slot(struct xhci *xhci, unsigned *slot);
enum completion xhci_disable_slot(struct xhci_slot *slot);
enum completion xhci_address_device(struct xhci_slot *slot, uint64_t input, bool block_set_address);
enum completion xhci_configure_endpoint(struct xhci_slot *slot, uint64_t input, bool deconfigure);
enum completion xhci_evaluate_context(struct xhci_slot *slot, uint64_t input);
enum completion xhci_reset_device(struct xhci_slot *slot);
/* Forgets everything, writing nothing to the guest. */
void xhci_slot_clear(struct xhci_slot *slot);
/* What it is plugged into has a device, or NULL. */
struct usb_device *xhci_slot_device(const struct xhci_slot *slot);
/* Which interrupter is told what belongs to no TRB. */
unsigned xhci_slot_interrupter(const struct xhci_slot *slot);
void xhci_slot_state(struct xhci_slot *slot, struct state *state);

/* --- xhci_endpoint.c --- */
struct xhci_endpoint *xhci_endpoint_new(struct xhci_slot *slot, unsigned dci, unsigned type, uint64_t dequeue);
/* Takes back what is under way. */
void xhci_endpoint_free(struct xhci_endpoint *endpoint);
enum completion xhci_stop_endpoint(struct xhci_endpoint *endpoint);
enum completion xhci_reset_endpoint(struct xhci_endpoint *endpoint);
enum completion xhci_set_dequeue(struct xhci_endpoint *endpoint, uint64_t dequeue);
/* Into the guest's endpoint context: state and dequeue pointer. */
void xhci_endpoint_write_context(struct xhci_endpoint *endpoint);
void xhci_endpoint_set_state(struct xhci_endpoint *endpoint, enum endpoint_state state);
void xhci_endpoint_state(struct xhci_endpoint *endpoint, struct state *state, const char *prefix);

/* --- xhci_transfer.c --- */
/* Does transfer descriptors until there are none, the device keeps one, or it is time for others. */
void xhci_endpoint_run(struct xhci_endpoint *endpoint);
/* The device went away: what it has ends with a transaction error. */
void xhci_endpoint_unplugged(struct xhci_endpoint *endpoint);
/* Takes the transfer back from the device; the ring stays where it is. */
void xhci_endpoint_cancel(struct xhci_endpoint *endpoint);
void xhci_post_transfer(struct xhci_endpoint *endpoint, const struct xhci_trb *trb, enum completion code,
			uint32_t residue);

/* --- xhci_isoch.c --- */
static inline bool xhci_is_isoch(const struct xhci_endpoint *endpoint)
{
	return endpoint->type == ENDPOINT_ISOCH_OUT || endpoint->type == ENDPOINT_ISOCH_IN;
}

/* From an endpoint context; false: what no bus has. */
bool xhci_isoch_parameters(const uint8_t *context, uint32_t *payload, uint8_t *interval);
/* Of a loaded state. */
bool xhci_isoch_is_valid(const struct xhci_endpoint *endpoint);
uint64_t xhci_isoch_interval(const struct xhci_endpoint *endpoint); /* ns */
/* Whether the descriptor that was taken is due. ISOCH_LATER: xhci_endpoint_run() will be called when it is. */
enum isoch_time { ISOCH_NOW, ISOCH_LATER, ISOCH_MISSED };
enum isoch_time xhci_isoch_time(struct xhci_endpoint *endpoint);
enum completion xhci_isoch_completion(const struct xhci_endpoint *endpoint, enum usb_status status);
/* The device's endpoint needs descriptors for its stream to go on. */
void xhci_isoch_starved(struct xhci_slot *slot, uint8_t address);

/* --- xhci_port.c --- */
uint32_t xhci_port_read(const struct xhci *xhci, unsigned port, unsigned offset);
void xhci_port_write(struct xhci *xhci, unsigned port, unsigned offset, uint32_t value, uint32_t mask);
/* Power on: what is plugged in is found anew. */
void xhci_port_reset_all(struct xhci *xhci);
/* The controller starts to run: changes that nobody has been told yet. */
void xhci_ports_started(struct xhci *xhci);

/* --- xhci.c --- */
void xhci_controller_reset(struct xhci *xhci);
/* Work that is put off when there is too much of it at once waits so long. */
#define XHCI_TURN (NSEC_PER_SEC / 1000)
/* Rings all doorbells of what was begun, after so many nanoseconds. */
void xhci_resume_later(struct xhci *xhci, uint64_t delay);

static inline const struct memory *xhci_memory(const struct xhci *xhci)
{
	return &xhci->pci.device.vm->memory;
}
