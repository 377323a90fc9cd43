/*
 * TCP over IPv4 by the first 82574, in both directions as fast as it goes: its driver does what Linux's e1000e does (one
 * message for received frames, masked until they are taken; segmentation and checksums left to the adapter), the TCP
 * beneath is just enough for a path that neither loses frames nor changes their order. (82574 datasheet, sections 7 and
 * 10; RFC 793.)
 */
#include "machine.h"

#define RX_RING 0x3500000ull
#define TX_RING 0x3501000ull
#define HEADERS 0x3502000ull /* of sent frames, 64 bytes each */
#define RX_BUFFERS 0x3600000ull
#define PAYLOAD 0x3700000ull /* what is sent: whatever is there */
#define ENTRIES 256u
#define BUFFER_SIZE 2048u
#define CHUNK 16384u /* of payload, of one descriptor */
#define BUDGET 64u   /* frames taken before interrupts are looked after */

enum { CTRL = 0x0000, STATUS = 0x0008, CTRL_EXT = 0x0018, EIAC = 0x00DC, IAM = 0x00E0, IMS = 0x00D0, IMC = 0x00D8, IVAR = 0x00E4,
       EITR0 = 0x00E8, RCTL = 0x0100, TCTL = 0x0400, RDBAL = 0x2800, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818,
       TDBAL = 0x3800, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818, RAL = 0x5400, RAH = 0x5404 };
enum { INTERRUPT_RXQ0 = 1 << 20, ITR_BULK = 195, ITR_LATENCY = 56 /* of 256 ns */ };
enum { TX_EOP = 1 << 24, TX_IFCS = 1 << 25, TX_TSE = 1 << 26, TX_RS = 1 << 27, TX_DEXT = 1 << 29, TX_DATA = 1 << 20 };
enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };
enum { ETHERNET = 14, IP = 20, TCP = 20, HEADER = ETHERNET + IP + TCP, SEGMENT = 1460, WINDOW = 65535 };

enum { UDP = 8, MESSAGE = ETHERNET + IP + UDP, MESSAGE_SIZE = 300, DHCP_SERVER = 67, DHCP_CLIENT = 68 };
#define DHCP_ID 0x4F72696Cu /* any number will do */
#define DHCP_COOKIE 0x63825363u

#define OWN_ADDRESS 0x0A00020Fu
#define HOST_ADDRESS 0x0A000202u

struct descriptor {
	uint64_t address;
	uint32_t lower, upper;
};

static struct {
	uintptr_t registers;
	unsigned tx, rx, rx_returned; /* indexes of the rings */
	uint8_t own[6], host[6];      /* MAC addresses */
	bool host_known;
	/* The connection. */
	uint16_t own_port, port;
	uint32_t sent, acknowledged, window; /* of what goes out */
	uint32_t received, told;             /* of what comes in, and what of that was acknowledged */
	bool connected, ended;
	/* What DHCP offers. */
	uint32_t offered, server;
} net = { .own_port = 49152 };

static void write_register(unsigned offset, uint32_t value)
{
	store(net.registers + offset, value);
}

static uint32_t read_register(unsigned offset)
{
	return load(net.registers + offset);
}

static void put16(uint8_t *place, uint32_t value)
{
	place[0] = (uint8_t)(value >> 8);
	place[1] = (uint8_t)value;
}

static void put32(uint8_t *place, uint32_t value)
{
	put16(place, value >> 16);
	put16(place + 2, value);
}

static uint32_t get16(const uint8_t *place)
{
	return (uint32_t)place[0] << 8 | place[1];
}

static uint32_t get32(const uint8_t *place)
{
	return get16(place) << 16 | get16(place + 2);
}

/* --- Frames out --- */

/* Waits until the place is free, which it is unless the adapter is a whole ring behind. */
static void put_descriptor(uint64_t address, uint32_t lower, uint32_t upper)
{
	volatile struct descriptor *place = (volatile struct descriptor *)TX_RING + net.tx;

	while (place->lower && !(place->upper & 1))
		;
	place->address = address;
	place->upper = upper;
	place->lower = lower | TX_DEXT | TX_RS;
	net.tx = (net.tx + 1) % ENTRIES;
}

static uint8_t *next_header(void)
{
	return (uint8_t *)(HEADERS + net.tx * 64);
}

static void put_ethernet(uint8_t *header, const uint8_t *to, uint32_t type)
{
	memcpy(header, to, 6);
	memcpy(header + 6, net.own, 6);
	put16(header + 12, type);
}

static const uint8_t everybody[6] = { 255, 255, 255, 255, 255, 255 };

static void ask_for_host(void)
{
	uint8_t *frame = next_header();

	memset(frame, 0, 64);
	put_ethernet(frame, everybody, 0x0806);
	put32(frame + 14, 0x00010800);
	put32(frame + 18, 0x06040001);
	memcpy(frame + 22, net.own, 6);
	put32(frame + 28, OWN_ADDRESS);
	put32(frame + 38, HOST_ADDRESS);
	put_descriptor((uintptr_t)frame, 60 | TX_DATA | TX_EOP | TX_IFCS, 0);
	write_register(TDT, net.tx);
}

/* Of the pseudo header (RFC 793, section 3.1), not inverted; the adapter adds the rest. */
static uint32_t pseudo_sum(uint32_t length)
{
	uint32_t sum = (OWN_ADDRESS >> 16) + (OWN_ADDRESS & 0xFFFF) + (HOST_ADDRESS >> 16) + (HOST_ADDRESS & 0xFFFF) +
		       6 + length;

	return (sum & 0xFFFF) + (sum >> 16);
}

static void put_header(uint8_t *header, uint32_t flags, uint32_t size, bool segmented)
{
	memset(header, 0, HEADER);
	put_ethernet(header, net.host, 0x0800);
	header[14] = 0x45;
	put16(header + 16, segmented ? 0 : IP + TCP + size);
	put16(header + 20, 0x4000);
	header[22] = 64;
	header[23] = 6;
	put32(header + 26, OWN_ADDRESS);
	put32(header + 30, HOST_ADDRESS);
	put16(header + 34, net.own_port);
	put16(header + 36, net.port);
	put32(header + 38, net.sent);
	put32(header + 42, net.received);
	/* What follows a SYN is an option, which says how large segments may be. */
	header[46] = (TCP / 4 + (flags & SYN ? size / 4 : 0)) << 4;
	header[47] = (uint8_t)flags;
	put16(header + 48, WINDOW);
	put16(header + 50, pseudo_sum(segmented ? 0 : TCP + size));
}

/* One segment, or many, with so many bytes from address. */
static void send(uint32_t flags, uint64_t address, uint32_t size)
{
	uint8_t *header = next_header();
	bool segmented = size > SEGMENT;
	uint32_t command = TX_DATA | TX_IFCS | (segmented ? TX_TSE : 0);

	put_header(header, flags, size, segmented);
	put_descriptor((uint64_t)(34 | 50 << 8) << 32 | 14 | 24 << 8 | 33 << 16,
		       size | 3 << 24 | (segmented ? TX_TSE : 0), (segmented ? SEGMENT << 16 : 0) | HEADER << 8);
	put_descriptor((uintptr_t)header, HEADER | command | (size ? 0 : TX_EOP), 3 << 8);
	for (uint32_t done = 0; done < size; done += CHUNK) {
		uint32_t part = size - done < CHUNK ? size - done : CHUNK;

		put_descriptor(address + done, part | command | (done + part == size ? TX_EOP : 0), 3 << 8);
	}
	write_register(TDT, net.tx);
	net.sent += flags & SYN ? 1 : size;
	net.told = net.received;
}

/* --- Frames in --- */

static void take_segment(const uint8_t *frame)
{
	const uint8_t *tcp = frame + ETHERNET + (frame[14] & 15) * 4;
	uint32_t length = get16(frame + 16) - (frame[14] & 15) * 4u - (tcp[12] >> 4) * 4u, flags = tcp[13];

	if (frame[23] != 6 || get16(tcp) != net.port || get16(tcp + 2) != net.own_port)
		return;
	net.ended |= (flags & RST) != 0;
	if (flags & SYN) {
		net.received = get32(tcp + 4) + 1;
		net.connected = true;
	} else if (get32(tcp + 4) == net.received) {
		net.received += length;
		net.ended |= (flags & FIN) != 0;
	}
	net.acknowledged = get32(tcp + 8);
	net.window = get16(tcp + 14);
}

/* An answer to ours (RFC 2131, section 2): the offered address, and whose frame it is. */
static void take_offer(const uint8_t *frame)
{
	const uint8_t *message = frame + MESSAGE;

	if (frame[14] != 0x45 || frame[23] != 17 || get16(frame + 36) != DHCP_CLIENT || message[0] != 2 ||
	    get32(message + 4) != DHCP_ID)
		return;
	net.offered = get32(message + 16);
	net.server = get32(frame + 26);
}

static void take_frame(const uint8_t *frame)
{
	if (get16(frame + 12) == 0x0800)
		take_offer(frame);
	if (get16(frame + 12) == 0x0800)
		take_segment(frame);
	if (get16(frame + 12) != 0x0806 || frame[21] != 2 || get32(frame + 28) != HOST_ADDRESS)
		return;
	memcpy(net.host, frame + 22, 6);
	net.host_known = true;
}

/* How many came. */
static unsigned poll(void)
{
	unsigned count = 0;

	for (; count < BUDGET; count++) {
		volatile struct descriptor *place = (volatile struct descriptor *)RX_RING + net.rx;

		if (!(place->upper & 1))
			break;
		take_frame((const uint8_t *)(uintptr_t)(RX_BUFFERS + net.rx * BUFFER_SIZE));
		place->upper = 0;
		net.rx = (net.rx + 1) % ENTRIES;
	}
	if ((net.rx - net.rx_returned) % ENTRIES >= 16) {
		net.rx_returned = net.rx;
		write_register(RDT, (net.rx + ENTRIES - 1) % ENTRIES);
	}
	return count;
}

/* Sleeps until frames come, and takes them. */
static void wait(void)
{
	for (;;) {
		pending = 0;
		if (poll())
			return;
		write_register(IMS, INTERRUPT_RXQ0);
		idle();
	}
}

/* --- The adapter --- */

static void init_rings(void)
{
	struct descriptor *rx = (struct descriptor *)RX_RING;

	memset(rx, 0, 4096);
	memset((void *)TX_RING, 0, 4096);
	for (unsigned i = 0; i < ENTRIES; i++)
		rx[i].address = RX_BUFFERS + i * BUFFER_SIZE;
	write_register(RDBAL, RX_RING);
	write_register(RDBAL + 4, 0);
	write_register(RDLEN, ENTRIES * 16);
	write_register(RDH, 0);
	write_register(RDT, ENTRIES - 1);
	write_register(TDBAL, TX_RING);
	write_register(TDBAL + 4, 0);
	write_register(TDLEN, ENTRIES * 16);
	write_register(TDH, 0);
	write_register(TDT, 0);
}

static bool init(void)
{
	uint32_t address = pci_find_device(0x8086, 0x10D3);

	if (address == PCI_NONE)
		return false;
	pci_write(address, 4, pci_read(address, 4) | 6);
	net.registers = pci_read(address, 0x10) & ~0xFu;
	write_register(IMC, 0xFFFFFFFF);
	write_register(CTRL, read_register(CTRL) | 1 << 26);
	for (unsigned i = 0; i < 100000 && read_register(CTRL) & 1 << 26; i++)
		;
	for (unsigned i = 0; i < 6; i++)
		net.own[i] = (uint8_t)(read_register(i < 4 ? RAL : RAH) >> i % 4 * 8);
	if (!pci_enable_message(address, 0))
		return false;
	/* The receive queue's message, which masks itself; the others are not wanted. */
	write_register(IVAR, 8);
	write_register(EIAC, INTERRUPT_RXQ0);
	write_register(IAM, 0xFFFFFFFF);
	write_register(CTRL_EXT, read_register(CTRL_EXT) | 1u << 31 | 1 << 24);
	init_rings();
	write_register(CTRL, read_register(CTRL) | 1 << 6);
	write_register(TCTL, 1 << 1 | 1 << 3 | 15 << 4 | 64 << 12);
	write_register(RCTL, 1 << 1 | 1 << 15 | 1 << 26);
	return true;
}

/* Started when it is first asked for: most who use the disc have no need. */
static bool ready(void)
{
	static bool tried, works;

	if (!tried)
		works = init();
	tried = true;
	return works;
}

/* The sum over a header of IP (RFC 791), to be stored. */
static uint32_t header_sum(const uint8_t *header)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < IP; i += 2)
		sum += get16(header + i);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return ~((sum & 0xFFFF) + (sum >> 16));
}

/* DHCPDISCOVER, without a sum of UDP, which says that there is none. */
static void ask_for_address(void)
{
	uint8_t *frame = (uint8_t *)PAYLOAD, *message = frame + MESSAGE;

	memset(frame, 0, MESSAGE + MESSAGE_SIZE);
	put_ethernet(frame, everybody, 0x0800);
	frame[14] = 0x45;
	put16(frame + 16, IP + UDP + MESSAGE_SIZE);
	frame[22] = 64;
	frame[23] = 17;
	put32(frame + 30, 0xFFFFFFFF);
	put16(frame + 24, header_sum(frame + 14));
	put16(frame + 34, DHCP_CLIENT);
	put16(frame + 36, DHCP_SERVER);
	put16(frame + 38, UDP + MESSAGE_SIZE);
	put32(message, 0x01010600);
	put32(message + 4, DHCP_ID);
	put16(message + 10, 0x8000); /* the answer to everybody: we have no address yet */
	memcpy(message + 28, net.own, 6);
	put32(message + 236, DHCP_COOKIE);
	put32(message + 240, 0x350101FF);
	put_descriptor((uintptr_t)frame, (MESSAGE + MESSAGE_SIZE) | TX_DATA | TX_EOP | TX_IFCS, 0);
	write_register(TDT, net.tx);
}

bool network_look(struct network_facts *facts)
{
	uint32_t start = ticks;

	if (!ready())
		return false;
	net.offered = net.server = 0;
	memcpy(facts->mac, net.own, 6);
	facts->link = read_register(STATUS) & 2;
	if (facts->link)
		ask_for_address();
	/* The clock ticks twenty times a second. */
	while (facts->link && !net.offered && ticks - start < 60) {
		pending = 0;
		write_register(IMS, INTERRUPT_RXQ0);
		if (!poll())
			idle();
	}
	facts->address = net.offered;
	facts->server = net.server;
	return true;
}

bool network_attend(void)
{
	if (!ready())
		return false;
	write_register(IMS, INTERRUPT_RXQ0);
	return true;
}

/* --- The connection --- */

static void connect(uint16_t port)
{
	net.port = port;
	net.own_port++;
	net.sent = net.acknowledged = 0;
	net.received = net.told = 0;
	net.connected = net.ended = false;
	if (!net.host_known)
		ask_for_host();
	while (!net.host_known)
		wait();
	put32((uint8_t *)PAYLOAD, 0x02040000 | SEGMENT);
	send(SYN, PAYLOAD, 4);
	while (!net.connected && !net.ended)
		wait();
}

static void tell(const char *what, uint64_t count)
{
	char *text = (char *)PAYLOAD, *end = text_copy(text, what);

	*end++ = ' ';
	end = text_number(end, count);
	*end++ = '\n';
	send(ACK | PSH, PAYLOAD, (uint32_t)(end - text));
}

static void acknowledge(void)
{
	if (net.told != net.received)
		send(ACK, 0, 0);
}

static void receive(uint64_t count)
{
	uint64_t got = 0;

	while (got < count && !net.ended) {
		uint32_t before = net.received;

		wait();
		got += net.received - before;
		acknowledge();
	}
}

/* As much at once as the window allows, but no crumbs while more is under way. */
static void send_all(uint64_t left)
{
	while ((left || net.acknowledged != net.sent) && !net.ended) {
		uint32_t busy = net.sent - net.acknowledged, room = net.window > busy ? net.window - busy : 0;
		uint32_t size = left < room ? (uint32_t)left : room, most = 44 * SEGMENT;

		if (size && (size == left || size >= CHUNK || !busy)) {
			size = size < most ? size : most;
			send(ACK | PSH, PAYLOAD, size);
			left -= size;
		} else {
			wait();
		}
	}
}

static void exchange(bool first, uint64_t count)
{
	for (; count && !net.ended; count--) {
		uint32_t before = net.received;

		if (first)
			send(ACK | PSH, PAYLOAD, 1);
		while (net.received == before && !net.ended)
			wait();
		if (!first)
			send(ACK | PSH, PAYLOAD, 1);
	}
}

uint64_t network_run(uint16_t port, const char *what, uint64_t count)
{
	bool ask = text_equal(what, "ask"), echo = text_equal(what, "echo");
	uint64_t start;

	if (!ready())
		return 0;
	write_register(EITR0, ask || echo ? ITR_LATENCY : ITR_BULK);
	connect(port);
	start = tsc();
	tell(what, count);
	if (ask || echo) {
		exchange(ask, count);
	} else if (text_equal(what, "up")) {
		send_all(count);
		if (net.received == net.told)
			receive(1);
	} else {
		receive(count);
	}
	start = net.ended ? 0 : tsc() - start;
	send(RST | ACK, 0, 0);
	return start;
}
