/* Both network adapters: what guests send and receive. */
#include "e1000_guest.h"

/* --- Sending --- */

static struct sent *wait_sent(struct guest *g)
{
	struct sent *sent;

	g_mutex_unlock(&g->machine->vm.lock);
	sent = g_async_queue_timeout_pop(g->outside.sent, PATIENCE);
	g_mutex_lock(&g->machine->vm.lock);
	g_assert_nonnull(sent);
	return sent;
}

static void test_send(struct guest *g, gconstpointer model)
{
	g_autofree struct sent *sent = NULL;
	uint8_t expected[200];

	(void)model;
	fill_frame(expected, sizeof expected, 0x88B5);
	memcpy(ram(g, TX_BUFFERS), expected, 70);
	memcpy(ram(g, TX_BUFFERS + 0x1001), expected + 70, 130);
	put(g, IMS, ICR_TXDW);
	add_descriptor(g, TX_BUFFERS, TXD_CMD_IFCS | 70, 0);
	put(g, TDT, g->tx_tail);
	/* Nothing is taken before the frame is whole. */
	g_assert_cmpuint(get(g, TDH), ==, 0);
	add_descriptor(g, TX_BUFFERS + 0x1001, TXD_CMD_EOP | TXD_CMD_IFCS | TXD_CMD_RS | 130, 0);
	put(g, TDT, g->tx_tail);
	sent = wait_sent(g);
	g_assert_cmpmem(sent->bytes, sent->length, expected, sizeof expected);
	g_assert_cmpuint(get(g, TDH), ==, 2);
	g_assert_cmpuint(ram(g, TX_RING + 12)[0] & 1, ==, 0);
	g_assert_cmpuint(ram(g, TX_RING + 28)[0] & 1, ==, 1);
	g_assert_true(any_line(g));
	g_assert_cmphex(get(g, ICR) & ICR_TXDW, ==, ICR_TXDW);
	g_assert_false(any_line(g));
	g_assert_cmpuint(get(g, GPTC), ==, 1);
	g_assert_cmpuint(get(g, GPTC), ==, 0);
	g_assert_cmpuint(get(g, GOTCL), ==, 204);
	g_assert_cmpuint(get(g, BPTC), ==, 1);
}

static void put16(uint8_t *p, unsigned value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static unsigned sum(const uint8_t *p, size_t length, unsigned start)
{
	unsigned total = start;

	for (size_t i = 0; i < length; i++)
		total += i % 2 ? p[i] : (unsigned)p[i] << 8;
	while (total >> 16)
		total = (total & 0xFFFF) + (total >> 16);
	return total;
}

/* IPv4 and TCP as Linux prepares them for segmentation: no lengths, and a pseudo header's sum without length. */
static void fill_tcp(uint8_t *frame, size_t payload, bool segmented)
{
	uint8_t *ip = frame + 14, *tcp = ip + 20;
	unsigned pseudo;

	fill_frame(frame, 54 + payload, 0x0800);
	memset(ip, 0, 40);
	ip[0] = 0x45;
	ip[8] = 64;
	ip[9] = 6;
	put16(ip + 2, segmented ? 0 : (unsigned)(40 + payload));
	memcpy(ip + 12, "\x0A\x00\x02\x0F\x0A\x00\x02\x02", 8);
	tcp[12] = 0x50;
	pseudo = sum(ip + 12, 8, segmented ? 6 : 6 + 20 + (unsigned)payload);
	put16(tcp + 16, pseudo);
}

static void check_tcp(struct sent *sent, size_t payload)
{
	uint8_t *ip = sent->bytes + 14, *tcp = ip + 20;

	g_assert_cmpuint(sent->length, ==, 54 + payload);
	network_complete_checksum(sent->bytes, sent->length, &sent->offload);
	g_assert_cmpuint(ip[2] << 8 | ip[3], ==, 40 + payload);
	g_assert_cmphex(sum(ip, 20, 0), ==, 0xFFFF);
	g_assert_cmphex(sum(tcp, 20 + payload, sum(ip + 12, 8, 6 + 20 + (unsigned)payload)), ==, 0xFFFF);
}

static void test_checksums(struct guest *g, gconstpointer model)
{
	g_autofree struct sent *sent = NULL;

	(void)model;
	fill_tcp(ram(g, TX_BUFFERS), 101, false);
	add_context(g, TXD_TUCMD_TCP | TXD_TUCMD_IP, 0, 0);
	add_descriptor(g, TX_BUFFERS, TXD_CMD_DEXT | 1u << 20 | TXD_CMD_EOP | TXD_CMD_IFCS | 155,
		       (TXD_POPTS_IXSM | TXD_POPTS_TXSM) << 8);
	put(g, TDT, g->tx_tail);
	sent = wait_sent(g);
	check_tcp(sent, 101);
	g_assert_cmpuint(sent->offload.segment_size, ==, 0);
}

static void test_segmentation(struct guest *g, gconstpointer model)
{
	g_autofree struct sent *sent = NULL;
	const unsigned payload = 40001;

	(void)model;
	fill_tcp(ram(g, TX_BUFFERS), payload, true);
	add_context(g, TXD_TUCMD_TCP | TXD_TUCMD_IP | TXD_CMD_TSE, payload, 1460);
	for (unsigned at = 0; at < 54 + payload; at += 16384) {
		unsigned length = MIN(16384, 54 + payload - at);

		add_descriptor(g, TX_BUFFERS + at, TXD_CMD_DEXT | 1u << 20 | TXD_CMD_TSE | TXD_CMD_IFCS | length |
			       (at + length == 54 + payload ? TXD_CMD_EOP : 0), (TXD_POPTS_IXSM | TXD_POPTS_TXSM) << 8);
	}
	put(g, TDT, g->tx_tail);
	sent = wait_sent(g);
	check_tcp(sent, payload);
	g_assert_cmpuint(sent->offload.segment_size, ==, 1460);
	g_assert_cmpuint(sent->offload.header_length, ==, 54);
	g_assert_cmpuint(get(g, TSCTC), ==, 1);
}

/* More than the ring to the network holds: it waits, and all of it arrives in order. */
static void test_backpressure(struct guest *g, gconstpointer model)
{
	unsigned started = 0, seen = 0;

	(void)model;
	g_mutex_lock(&g->outside.hold);
	while (started < 2000 && (g->tx_tail + 1) % ENTRIES != get(g, TDH)) {
		fill_frame(ram(g, TX_BUFFERS + g->tx_tail * 0x10000), 60000, 0x88B5);
		pci_set32(ram(g, TX_BUFFERS + g->tx_tail * 0x10000 + 14), started++);
		add_descriptor(g, TX_BUFFERS + g->tx_tail * 0x10000, TXD_CMD_EOP | TXD_CMD_RS | 60000, 0);
		put(g, TDT, g->tx_tail);
	}
	/* 1 MiB is less than what was given. */
	g_assert_cmpuint(started, <, 100);
	g_mutex_unlock(&g->outside.hold);
	for (; seen < started; seen++) {
		g_autofree struct sent *sent = wait_sent(g);

		g_assert_cmpuint(sent->length, ==, 60000);
		g_assert_cmpuint(pci_get32(sent->bytes + 14), ==, seen);
	}
	/* The last descriptors are taken by the network's thread, with the lock. */
	g_assert_cmpuint(get(g, TDH), ==, g->tx_tail);
}

static void test_bad_transmit(struct guest *g, gconstpointer model)
{
	g_autofree struct sent *sent = NULL;

	(void)model;
	/* Outside of RAM, too long, too short, a context that contradicts the frame: none is sent, all are done. */
	add_descriptor(g, 0xFFFFFFFFFFFFF000ull, TXD_CMD_EOP | TXD_CMD_RS | 100, 0);
	for (unsigned i = 0; i < 3; i++)
		add_descriptor(g, TX_BUFFERS, TXD_CMD_DEXT | 1u << 20 | (i == 2 ? TXD_CMD_EOP : 0) | 0xFFFFF, 0);
	add_descriptor(g, TX_BUFFERS, TXD_CMD_EOP | 5, 0);
	add_descriptor(g, UINT64_MAX, TXD_CMD_DEXT | TXD_CMD_TSE | 0xFFFFF, UINT32_MAX);
	add_descriptor(g, TX_BUFFERS, TXD_CMD_DEXT | 1u << 20 | TXD_CMD_TSE | TXD_CMD_EOP | 3000, 0x0300);
	/* A good one after them. */
	fill_frame(ram(g, TX_BUFFERS + 0x8000), 60, 0x88B5);
	add_descriptor(g, TX_BUFFERS + 0x8000, TXD_CMD_EOP | 60, 0);
	put(g, TDT, g->tx_tail);
	sent = wait_sent(g);
	g_assert_cmpuint(sent->length, ==, 60);
	g_assert_cmpuint(get(g, TDH), ==, g->tx_tail);
	/* Rings that are nowhere, heads and tails beyond them. */
	put(g, TDT, 0xFFFF);
	put(g, TDLEN, 0);
	put(g, TDT, 0);
	put(g, TDLEN, 0xFFF80);
	put(g, TDBAL, 0xFFFFFFF0);
	put(g, TDBAH, 0xFFFFFFFF);
	put(g, TDT, 5);
	g_assert_cmpint(g_async_queue_length(g->outside.sent), ==, 0);
}

/* --- Receiving --- */

static void test_receive(struct guest *g, gconstpointer model)
{
	const uint8_t *descriptor = ram(g, RX_RING);
	uint8_t expected[1000];

	(void)model;
	put(g, IMS, ICR_RXT0);
	send_to_guest(g, own_mac, 0x88B5, 1000);
	wait_received(g, 1);
	fill_frame(expected, 1000, 0x88B5);
	memcpy(expected, own_mac, 6);
	g_assert_cmpmem(ram(g, RX_BUFFERS), 1000, expected, 1000);
	g_assert_cmpuint(pci_get16(descriptor + 8), ==, 1000);
	g_assert_cmphex(descriptor[12], ==, RXD_STATUS_DD | RXD_STATUS_EOP | RXD_STATUS_IXSM);
	g_assert_cmpuint(get(g, RDH), ==, 1);
	g_assert_true(any_line(g));
	g_assert_cmphex(get(g, ICR) & ICR_RXT0, ==, ICR_RXT0);
	/* Short ones are padded; a checksum comes after, if it is not to be stripped. */
	put(g, RCTL, RCTL_EN | RCTL_BAM);
	send_to_guest(g, NULL, 0x88B5, 20);
	wait_received(g, 2);
	g_assert_cmpuint(pci_get16(descriptor + 16 + 8), ==, 64);
	for (unsigned i = 20; i < 64; i++)
		g_assert_cmphex(ram(g, RX_BUFFERS + 0x1000)[i], ==, 0);
}

static void test_filters(struct guest *g, gconstpointer model)
{
	static const uint8_t other[6] = { 0x52, 0x54, 0, 1, 2, 3 }, group[6] = { 0x01, 0x00, 0x5E, 0x12, 0x34, 0x56 };
	unsigned frames = 0;

	(void)model;
	send_to_guest(g, other, 0x88B5, 100);
	send_to_guest(g, group, 0x88B5, 100);
	send_to_guest(g, own_mac, 0x88B5, 1600); /* too long for the standard */
	wait_received(g, frames += 3);
	g_assert_cmpuint(get(g, RDH), ==, 0);
	/* The group's bit: bits 47:36 of the address. */
	put(g, MTA + (0x563u >> 5) * 4, 1u << (0x563 & 31));
	send_to_guest(g, group, 0x88B5, 100);
	wait_received(g, frames += 1);
	g_assert_cmpuint(get(g, RDH), ==, 1);
	put(g, RCTL, RCTL_EN | RCTL_UPE | RCTL_LPE | RCTL_SECRC);
	send_to_guest(g, other, 0x88B5, 100);
	send_to_guest(g, own_mac, 0x88B5, 5000); /* three buffers of 2048 */
	send_to_guest(g, NULL, 0x88B5, 100); /* no broadcasts now */
	wait_received(g, frames += 3);
	g_assert_cmpuint(get(g, RDH), ==, 5);
	g_assert_cmphex(ram(g, RX_RING + 2 * 16 + 12)[0] & RXD_STATUS_EOP, ==, 0);
	g_assert_cmphex(ram(g, RX_RING + 4 * 16 + 12)[0] & RXD_STATUS_EOP, ==, RXD_STATUS_EOP);
	g_assert_cmpuint(pci_get16(ram(g, RX_RING + 4 * 16 + 8)), ==, 5000 - 4096);
	/* An adapter that is off, and one without cable, take it and lose it. */
	put(g, RCTL, 0);
	send_to_guest(g, own_mac, 0x88B5, 100);
	wait_received(g, frames += 1);
	put(g, RCTL, RCTL_EN | RCTL_UPE);
	e1000_set_link(g->e1000, false);
	send_to_guest(g, own_mac, 0x88B5, 100);
	wait_received(g, frames += 1);
	g_assert_cmpuint(get(g, RDH), ==, 5);
}

/* Without buffers frames wait, and come when there are some. */
static void test_starved(struct guest *g, gconstpointer model)
{
	(void)model;
	for (unsigned i = 0; i < ENTRIES + 10; i++)
		send_to_guest(g, own_mac, 0x88B5, 100 + i);
	wait_received(g, ENTRIES - 1);
	g_assert_cmpuint(get(g, RDH), ==, get(g, RDT));
	for (unsigned i = 0; i < ENTRIES - 1; i++)
		g_assert_cmpuint(pci_get16(ram(g, RX_RING + i * 16 + 8)), ==, 100 + i);
	put(g, RDT, (ENTRIES - 1 + 20) % ENTRIES);
	wait_received(g, ENTRIES + 10);
	for (unsigned i = ENTRIES - 1; i < ENTRIES + 10; i++)
		g_assert_cmpuint(pci_get16(ram(g, RX_RING + i % ENTRIES * 16 + 8)), ==, 100 + i);
	/* A paused machine gets nothing either. */
	put(g, RDT, (get(g, RDH) + ENTRIES - 1) % ENTRIES);
	network_set_paused(g->outside.network, true);
	send_to_guest(g, own_mac, 0x88B5, 77);
	wait_received(g, ENTRIES + 10);
	network_set_paused(g->outside.network, false);
	wait_received(g, ENTRIES + 11);
}

static void test_vlan(struct guest *g, gconstpointer model)
{
	uint8_t *frame = ram(g, TX_BUFFERS);
	g_autofree struct sent *sent = NULL;

	(void)model;
	put(g, CTRL, get(g, CTRL) | CTRL_VME);
	fill_frame(frame, 100, 0x0800);
	add_descriptor(g, TX_BUFFERS, TXD_CMD_EOP | TXD_CMD_VLE | 100, 0x2042u << 16);
	put(g, TDT, g->tx_tail);
	sent = wait_sent(g);
	g_assert_cmpuint(sent->length, ==, 104);
	g_assert_cmpmem(sent->bytes + 12, 6, "\x81\x00\x20\x42\x08\x00", 6);
	g_assert_cmpmem(sent->bytes + 18, 86, frame + 14, 86);
	send_to_guest(g, own_mac, 0x8100, 104);
	wait_received(g, 1);
	g_assert_cmpuint(pci_get16(ram(g, RX_RING + 8)), ==, 100);
	g_assert_cmphex(ram(g, RX_RING + 12)[0] & RXD_STATUS_VP, ==, RXD_STATUS_VP);
	g_assert_cmphex(pci_get16(ram(g, RX_RING + 14)), ==, (uint8_t)(14 * 7) << 8 | (uint8_t)(15 * 7));
	/* A filter of VLANs that has no bit set. */
	put(g, RCTL, RCTL_EN | RCTL_VFE);
	send_to_guest(g, own_mac, 0x8100, 104);
	wait_received(g, 2);
	g_assert_cmpuint(get(g, RDH), ==, 1);
}

static void test_extended_receive(struct guest *g, gconstpointer model)
{
	uint8_t *descriptor = ram(g, RX_RING);

	(void)model;
	put(g, RFCTL, RFCTL_EXSTEN);
	send_to_guest(g, own_mac, 0x88B5, 500);
	wait_received(g, 1);
	g_assert_cmphex(pci_get32(descriptor + 8) & 0xFFFFF, ==, RXD_STATUS_DD | RXD_STATUS_EOP | RXD_STATUS_IXSM);
	g_assert_cmpuint(pci_get16(descriptor + 12), ==, 500);
	/* Packets split over buffers of 128, 1024 and 1024 bytes. */
	put(g, RCTL, 0);
	put(g, PSRCTL, 1 | 1 << 8 | 1 << 16);
	put(g, RDH, 0);
	for (unsigned i = 0; i < 3; i++)
		pci_set32(descriptor + i * 8, RX_BUFFERS + i * 0x1000), pci_set32(descriptor + i * 8 + 4, 0);
	put(g, RDT, 3);
	put(g, RCTL, RCTL_EN | RCTL_DTYP_SPLIT | RCTL_SECRC);
	send_to_guest(g, own_mac, 0x88B5, 1400);
	wait_received(g, 2);
	g_assert_cmpuint(pci_get16(descriptor + 12), ==, 128);
	g_assert_cmpuint(pci_get16(descriptor + 18), ==, 1024);
	g_assert_cmpuint(pci_get16(descriptor + 20), ==, 1400 - 1152);
	g_assert_cmphex(ram(g, RX_BUFFERS + 0x2000)[0], ==, (uint8_t)(1152 * 7));
}

static void test_bad_receive(struct guest *g, gconstpointer model)
{
	(void)model;
	memset(ram(g, RX_RING), 0xFF, ENTRIES * 16);
	send_to_guest(g, own_mac, 0x88B5, 500);
	wait_received(g, 1);
	put(g, RDBAH, 0xFFFFFFFF);
	send_to_guest(g, own_mac, 0x88B5, 500);
	wait_received(g, 2);
	put(g, RDLEN, 0);
	send_to_guest(g, own_mac, 0x88B5, 500);
	wait_received(g, 3);
	put(g, RDLEN, ENTRIES * 16);
	put(g, RDT, 0xFFFF);
	send_to_guest(g, own_mac, 0x88B5, 500);
	wait_received(g, 4);
	put(g, RCTL, RCTL_EN | 3u << RCTL_BSIZE_SHIFT | RCTL_DTYP_SPLIT);
	put(g, PSRCTL, 0);
	send_to_guest(g, own_mac, 0x88B5, 500);
	wait_received(g, 5);
}

static const struct adapter_test tests[] = {
	{ "send", test_send, 3 },
	{ "checksums", test_checksums, 3 },
	{ "segmentation", test_segmentation, 3 },
	{ "backpressure", test_backpressure, 3 },
	{ "bad-transmit", test_bad_transmit, 3 },
	{ "receive", test_receive, 3 },
	{ "filters", test_filters, 3 },
	{ "starved", test_starved, 3 },
	{ "vlan", test_vlan, 3 },
	{ "extended-receive", test_extended_receive, 1 << E1000_82574L },
	{ "bad-receive", test_bad_receive, 3 },
};

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add_tests(tests, G_N_ELEMENTS(tests));
	return g_test_run();
}
