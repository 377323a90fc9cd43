/*
 * USB by the first xHCI controller (xHCI 1.1): finds sticks (bulk only) and pointers, one transfer after the other, as
 * drivers of sticks do, which wait for each of a command's three parts.
 */
#include "machine.h"

#define CONTEXTS 0x3300000ull /* the array of addresses, by slot */
#define COMMANDS 0x3301000ull
#define SEGMENTS 0x3302000ull
#define EVENTS 0x3303000ull
#define INPUT 0x3304000ull
#define DATA 0x3305000ull
#define WRAPPER 0x3306000ull
#define SLOT_MEMORY(slot) (0x3300000ull + (slot) * 0x10000) /* contexts, and then a ring for each endpoint that is used */
#define BUFFER 0x1100000ull
#define BUFFER_SIZE 0x100000u
#define RING_TRBS 256u /* with the link */
#define SLOTS 8u
#define TRB_BYTES 0x10000u /* that one may transfer, and not across such a boundary */

enum { USBCMD = 0x00, USBSTS = 0x04, CRCR = 0x18, DCBAAP = 0x30, CONFIG = 0x38, PORTSC = 0x400 };
enum { IMAN = 0x20, IMOD = 0x24, ERSTSZ = 0x28, ERSTBA = 0x30, ERDP = 0x38 };
enum { NORMAL = 1, SETUP = 2, DATA_STAGE = 3, STATUS_STAGE = 4, LINK = 6, ENABLE_SLOT = 9, ADDRESS_DEVICE = 11,
       CONFIGURE_ENDPOINT = 12, TRANSFER_EVENT = 32, COMMAND_COMPLETION = 33 };
enum { CYCLE = 1, TOGGLE = 2, CHAIN = 16, IOC = 32, IDT = 64, DIRECTION_IN = 1 << 16 };
enum { SUCCESS = 1, SHORT_PACKET = 13 };
enum { CLASS_HID = 3, CLASS_STORAGE = 8 };

struct trb {
	uint64_t parameter;
	uint32_t status, control;
};

struct trb_ring {
	struct trb *trbs;
	unsigned index;
	uint32_t cycle;
};

struct endpoint {
	struct trb_ring ring;
	unsigned slot, context; /* its index among the device's */
};

static struct {
	uintptr_t operational, runtime, doorbells;
	unsigned ports, context_size;
	struct trb_ring commands;
	unsigned event;
	uint32_t event_cycle;
	struct endpoint in, out; /* of the stick */
	struct endpoint pointer; /* of the tablet or mouse */
	uint64_t sectors;
	uint32_t tag;
	bool works;
	struct usb_fact facts[USB_FACTS];
	unsigned fact_count;
} usb;

static void store_address(uintptr_t address, uint64_t value)
{
	store(address, (uint32_t)value);
	store(address + 4, (uint32_t)(value >> 32));
}

/* --- Rings --- */

static void init_ring(struct trb_ring *ring, uint64_t memory)
{
	*ring = (struct trb_ring){ (struct trb *)(uintptr_t)memory, 0, CYCLE };
	memset(ring->trbs, 0, RING_TRBS * sizeof(struct trb));
}

static void put(struct trb_ring *ring, uint64_t parameter, uint32_t status, uint32_t type, uint32_t flags)
{
	ring->trbs[ring->index] = (struct trb){ parameter, status, type << 10 | flags | ring->cycle };
	if (++ring->index < RING_TRBS - 1)
		return;
	ring->trbs[ring->index] = (struct trb){ (uintptr_t)ring->trbs, 0,
						LINK << 10 | TOGGLE | (flags & CHAIN) | ring->cycle };
	ring->index = 0;
	ring->cycle ^= CYCLE;
}

static bool next_event(struct trb *event)
{
	volatile struct trb *place = (volatile struct trb *)EVENTS + usb.event;

	if ((place->control & CYCLE) != usb.event_cycle)
		return false;
	*event = (struct trb){ place->parameter, place->status, place->control };
	if (++usb.event == RING_TRBS) {
		usb.event = 0;
		usb.event_cycle ^= CYCLE;
	}
	return true;
}

/* Waits for an event of this type, and says whether it tells of success; others do not matter. */
static bool wait(unsigned type, struct trb *event)
{
	for (;;) {
		bool any = false, found = false;

		pending = 0;
		while (!found && next_event(event)) {
			any = true;
			found = (event->control >> 10 & 63) == type;
		}
		/* Which also lets the controller interrupt again. */
		if (any)
			store_address(usb.runtime + ERDP, (EVENTS + usb.event * sizeof(struct trb)) | 8);
		if (found)
			return event->status >> 24 == SUCCESS || event->status >> 24 == SHORT_PACKET;
		idle();
	}
}

/* Returns the slot, or 0 on failure. */
static unsigned command(uint64_t parameter, uint32_t type, uint32_t flags)
{
	struct trb event;

	put(&usb.commands, parameter, 0, type, flags);
	store(usb.doorbells, 0);
	return wait(COMMAND_COMPLETION, &event) ? event.control >> 24 : 0;
}

static bool run(struct endpoint *endpoint)
{
	struct trb event;

	store(usb.doorbells + endpoint->slot * 4, endpoint->context);
	return wait(TRANSFER_EVENT, &event);
}

static bool transfer(struct endpoint *endpoint, uint64_t address, uint32_t size)
{
	while (size > TRB_BYTES) {
		put(&endpoint->ring, address, TRB_BYTES, NORMAL, CHAIN);
		address += TRB_BYTES;
		size -= TRB_BYTES;
	}
	put(&endpoint->ring, address, size, NORMAL, IOC);
	return run(endpoint);
}

/* The request's fields as in its packet (USB 2.0, section 9.3), with an answer of so many bytes at DATA. */
static bool control(struct endpoint *endpoint, uint64_t request)
{
	uint32_t size = (uint32_t)(request >> 48);

	put(&endpoint->ring, request, 8, SETUP, IDT | (size ? 3 << 16 : 0));
	if (size)
		put(&endpoint->ring, DATA, size, DATA_STAGE, DIRECTION_IN);
	put(&endpoint->ring, 0, 0, STATUS_STAGE, IOC | (size ? 0 : DIRECTION_IN));
	return run(endpoint);
}

/* --- Controller --- */

static bool start_controller(void)
{
	uint32_t address = pci_find_class(0x0C03), capabilities;
	uintptr_t base;

	if (address == PCI_NONE)
		return false;
	pci_write(address, 4, pci_read(address, 4) | 6);
	base = pci_read(address, 0x10) & ~0xFu;
	usb.operational = base + (load(base) & 0xFF);
	usb.doorbells = base + load(base + 0x14);
	usb.runtime = base + load(base + 0x18);
	usb.ports = load(base + 4) >> 24;
	capabilities = load(base + 0x10);
	usb.context_size = capabilities & 4 ? 64 : 32;
	/* No scratchpad is offered. */
	if (load(base + 8) & 0xFBE00000 || !pci_enable_message(address, 0))
		return false;
	store(usb.operational + USBCMD, 2);
	for (unsigned i = 0; i < 1000000 && load(usb.operational + USBCMD) & 2; i++)
		;
	memset((void *)CONTEXTS, 0, 4096);
	memset((void *)EVENTS, 0, 4096);
	init_ring(&usb.commands, COMMANDS);
	usb.event = 0;
	usb.event_cycle = CYCLE;
	*(struct trb *)SEGMENTS = (struct trb){ EVENTS, RING_TRBS, 0 };
	store(usb.operational + CONFIG, SLOTS);
	store_address(usb.operational + DCBAAP, CONTEXTS);
	store_address(usb.operational + CRCR, COMMANDS | CYCLE);
	store(usb.runtime + ERSTSZ, 1);
	store_address(usb.runtime + ERDP, EVENTS);
	store_address(usb.runtime + ERSTBA, SEGMENTS);
	/* Linux's default: at least 40 us from one interrupt to the next. */
	store(usb.runtime + IMOD, 160);
	store(usb.runtime + IMAN, 3);
	store(usb.operational + USBCMD, 5);
	return true;
}

/* The input context's part with this index: 0 is what is added, 1 the slot, then endpoints. */
static uint32_t *input(unsigned index)
{
	return (uint32_t *)(INPUT + index * usb.context_size);
}

static void add_endpoint(struct endpoint *endpoint, unsigned slot, unsigned context, unsigned type, uint32_t packet,
			 uint32_t interval)
{
	uint32_t *words = input(1 + context);

	endpoint->slot = slot;
	endpoint->context = context;
	init_ring(&endpoint->ring, SLOT_MEMORY(slot) + context * 0x1000);
	input(0)[1] |= 1u << context;
	words[0] = interval << 16;
	words[1] = packet << 16 | type << 3 | 3 << 1;
	words[2] = (uint32_t)(uintptr_t)endpoint->ring.trbs | CYCLE;
	words[4] = packet << 16 | packet;
}

/* --- Devices --- */

/* An endpoint's descriptor (USB 2.0, section 9.6.6) as one of this interface. */
static void take_endpoint(unsigned slot, unsigned class, const uint8_t *descriptor)
{
	unsigned number = descriptor[2] & 15, in = descriptor[2] >> 7, kind = descriptor[3] & 3;
	unsigned context = number * 2 + in;
	uint32_t packet = descriptor[4] | (uint32_t)(descriptor[5] & 7) << 8;

	if (!number || context > 15)
		return;
	if (class == CLASS_STORAGE && kind == 2)
		add_endpoint(in ? &usb.in : &usb.out, slot, context, kind + in * 4, packet, 0);
	else if (class == CLASS_HID && kind == 3 && in)
		add_endpoint(&usb.pointer, slot, context, kind + in * 4, packet, 6);
}

/* Finds the first interface that is of use, and configures what it needs. */
static bool configure(struct endpoint *zero)
{
	const uint8_t *data = (const uint8_t *)DATA, *end;
	unsigned class = 0, slot = zero->slot;

	if (!control(zero, 0x0100000002000680ull))
		return false;
	input(0)[1] = 1;
	end = data + (data[2] | data[3] << 8);
	for (; data < end && *data; data += *data) {
		if (data[1] == 4) /* bulk only is protocol 80; a pointer is no keyboard, which is protocol 1 */
			class = data[5] == CLASS_STORAGE ? data[7] == 80 ? CLASS_STORAGE : 0 :
				data[5] == CLASS_HID && data[7] != 1 ? CLASS_HID : 0;
		else if (data[1] == 5)
			take_endpoint(slot, class, data);
	}
	input(1)[0] = (input(1)[0] & 0x07FFFFFF) | 15u << 27;
	return command(INPUT, CONFIGURE_ENDPOINT, slot << 24) &&
	       control(zero, 0x00000900ull | (uint64_t)((const uint8_t *)DATA)[5] << 16);
}

/* The product's name, of which there is one in English, if at all (USB 2.0, section 9.6.7). */
static bool describe(struct endpoint *zero, unsigned port, unsigned speed)
{
	const uint8_t *data = (const uint8_t *)DATA;
	struct usb_fact *fact = &usb.facts[usb.fact_count];
	char *end = fact->name;

	if (usb.fact_count == USB_FACTS || !control(zero, 0x0012000001000680ull))
		return false;
	fact->port = port;
	fact->speed = speed;
	text_copy(fact->name, "without a name");
	usb.fact_count++;
	if (!data[15])
		return true;
	if (!control(zero, 0x0050040903000680ull | (uint64_t)data[15] << 16))
		return false;
	for (unsigned i = 2; i + 1 < data[0] && end < fact->name + sizeof fact->name - 1; i += 2)
		*end++ = data[i + 1] || data[i] < ' ' || data[i] > '~' ? '?' : (char)data[i];
	*end = 0;
	return true;
}

static void reset_port(uintptr_t port)
{
	store(port, 1 << 9 | 1 << 4);
	for (unsigned i = 0; i < 1000000 && !(load(port) & 1 << 21); i++)
		;
}

static bool take_device(unsigned number)
{
	static const uint32_t packets[] = { 8, 8, 8, 64, 512 };
	uintptr_t port = usb.operational + PORTSC + (number - 1) * 16;
	struct endpoint zero;
	unsigned slot, speed;

	if (!(load(port) & 1))
		return false;
	if (!(load(port) & 2))
		reset_port(port);
	speed = load(port) >> 10 & 15;
	slot = command(0, ENABLE_SLOT, 0);
	if (!slot || slot > SLOTS || !speed || speed > 4)
		return false;
	memset((void *)INPUT, 0, 4096);
	memset((void *)SLOT_MEMORY(slot), 0, 4096);
	((uint64_t *)CONTEXTS)[slot] = SLOT_MEMORY(slot);
	input(0)[1] = 1;
	input(1)[0] = 1 << 27 | speed << 20;
	input(1)[1] = number << 16;
	add_endpoint(&zero, slot, 1, 4, packets[speed], 0);
	return command(INPUT, ADDRESS_DEVICE, slot << 24) && describe(&zero, number, speed) &&
	       configure(&zero);
}

/* Found when they are first asked for: most machines have none. */
static void find_devices(void)
{
	static bool tried;

	if (!tried && (usb.works = start_controller()))
		for (unsigned port = 1; port <= usb.ports; port++)
			take_device(port);
	tried = true;
}

int usb_look(struct usb_fact *facts)
{
	find_devices();
	memcpy(facts, usb.facts, sizeof usb.facts);
	return usb.works ? (int)usb.fact_count : -1;
}

bool usb_attend(void)
{
	find_devices();
	if (!usb.pointer.slot)
		return false;
	put(&usb.pointer.ring, DATA, 8, NORMAL, IOC);
	store(usb.doorbells + usb.pointer.slot * 4, usb.pointer.context);
	return true;
}

/* --- The stick (USB Mass Storage Class, Bulk-Only Transport 1.0) --- */

/* A SCSI command and so many bytes at address. */
static bool scsi(const uint8_t *block, bool write, uint64_t address, uint32_t size)
{
	uint8_t *wrapper = (uint8_t *)WRAPPER, *status = wrapper + 64;

	memset(wrapper, 0, 128);
	((uint32_t *)wrapper)[0] = 0x43425355;
	((uint32_t *)wrapper)[1] = ++usb.tag;
	((uint32_t *)wrapper)[2] = size;
	wrapper[12] = write ? 0 : 0x80;
	wrapper[14] = 10;
	memcpy(wrapper + 15, block, 10);
	return transfer(&usb.out, WRAPPER, 31) && (!size || transfer(write ? &usb.out : &usb.in, address, size)) &&
	       transfer(&usb.in, WRAPPER + 64, 13) && ((uint32_t *)status)[1] == usb.tag && !status[12];
}

static bool ready(void)
{
	static const uint8_t test_unit_ready[10], read_capacity[10] = { 0x25 };
	uint8_t *data = (uint8_t *)DATA;

	find_devices();
	if (usb.sectors)
		return true;
	if (!usb.in.slot || !usb.out.slot)
		return false;
	/* The first answer may be that it was just plugged in. */
	scsi(test_unit_ready, false, 0, 0);
	if (!scsi(read_capacity, false, DATA, 8))
		return false;
	usb.sectors = ((uint64_t)data[0] << 24 | (uint64_t)data[1] << 16 | (uint64_t)data[2] << 8 | data[3]) + 1;
	return true;
}

uint64_t usb_run(const struct disk_job *job)
{
	uint64_t random = DISK_JOB_SEED, start, count = job->block_size ? job->total / job->block_size : 0;

	if (!count || job->block_size > BUFFER_SIZE || job->block_size % 512 || !ready() ||
	    usb.sectors * 512 < job->block_size)
		return 0;
	start = tsc();
	for (uint64_t i = 0; i < count; i++) {
		uint32_t sector = (uint32_t)disk_job_place(job, usb.sectors * 512, i, &random);
		uint32_t sectors = job->block_size / 512;
		const uint8_t block[10] = { job->write ? 0x2A : 0x28, 0, (uint8_t)(sector >> 24), (uint8_t)(sector >> 16),
					    (uint8_t)(sector >> 8), (uint8_t)sector, 0, (uint8_t)(sectors >> 8),
					    (uint8_t)sectors };

		if (!scsi(block, job->write, BUFFER, job->block_size))
			return 0;
	}
	return tsc() - start;
}
