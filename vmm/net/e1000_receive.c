/* Frames for the guest (section 7.1): which it wants, and how they fill its descriptors. */
#include "e1000_internal.h"

#include <netinet/in.h>

#define FRAME_MIN 60u
#define FCS_SIZE 4u
#define STANDARD_MAX 1518u /* without RCTL.LPE, with FCS; 4 more with a VLAN tag */
#define VLAN_TAG_SIZE 4u
#define MAC_BYTES 12u
#define BUFFERS_MAX 4 /* of a packet-split descriptor */

enum layout {
	LAYOUT_LEGACY,
	LAYOUT_EXTENDED,
	LAYOUT_SPLIT,
};

struct ring {
	enum layout layout;
	uint64_t base;
	unsigned entry_size, entries, head, tail;
	uint32_t buffer_sizes[BUFFERS_MAX]; /* 0: there is no such buffer */
};

struct frame {
	const uint8_t *data;
	uint32_t length;     /* as stored: padded, with FCS if the guest wants it */
	uint32_t copied;
	uint8_t status, errors;
	uint16_t vlan;
};

static const uint8_t broadcast[6] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };

static enum layout ring_layout(struct e1000 *e1000)
{
	if (!is_82574(e1000))
		return LAYOUT_LEGACY;
	if (*e1000_register(e1000, RCTL) & RCTL_DTYP_SPLIT)
		return LAYOUT_SPLIT;
	return *e1000_register(e1000, RFCTL) & RFCTL_EXSTEN ? LAYOUT_EXTENDED : LAYOUT_LEGACY;
}

/* Section 10.2.5.1: RCTL.BSIZE, times 16 with BSEX; FLXBUF in KiB goes before both. */
static uint32_t buffer_size(struct e1000 *e1000)
{
	uint32_t rctl = *e1000_register(e1000, RCTL), size = 2048u >> (rctl >> RCTL_BSIZE_SHIFT & 3);

	if (is_82574(e1000) && rctl >> RCTL_FLXBUF_SHIFT & 15)
		return (rctl >> RCTL_FLXBUF_SHIFT & 15) << 10;
	return rctl & RCTL_BSEX && size < 2048 ? size * 16 : size;
}

static bool get_ring(struct e1000 *e1000, struct ring *ring)
{
	uint32_t psrctl = *e1000_register(e1000, PSRCTL);

	*ring = (struct ring){ .layout = ring_layout(e1000), .base = e1000_ring(e1000, RDBAL, 0) & ~15ull,
			       .head = *e1000_register(e1000, RDH), .tail = *e1000_register(e1000, RDT) };
	ring->entry_size = ring->layout == LAYOUT_SPLIT ? RXD_SPLIT_SIZE : RXD_SIZE;
	ring->entries = (*e1000_register(e1000, RDLEN) & 0xFFF80) / ring->entry_size;
	if (ring->layout == LAYOUT_SPLIT) {
		/* Section 10.2.5.17: the first in 128 bytes, the others in KiB. */
		ring->buffer_sizes[0] = (psrctl & 0x7F) << 7;
		for (unsigned i = 1; i < BUFFERS_MAX; i++)
			ring->buffer_sizes[i] = (psrctl >> 8 * i & 0x3F) << 10;
	} else {
		ring->buffer_sizes[0] = buffer_size(e1000);
	}
	return ring->head < ring->entries && ring->tail < ring->entries;
}

static unsigned free_descriptors(const struct ring *ring)
{
	return (ring->tail + ring->entries - ring->head) % ring->entries;
}

static uint32_t descriptor_capacity(const struct ring *ring)
{
	uint32_t size = 0;

	for (unsigned i = 0; i < BUFFERS_MAX; i++)
		size += ring->buffer_sizes[i];
	return size;
}

static bool has_vlan_tag(struct e1000 *e1000, const uint8_t *frame, size_t length)
{
	return length >= NETWORK_HEADER + VLAN_TAG_SIZE &&
	       (uint16_t)(frame[MAC_BYTES] << 8 | frame[MAC_BYTES + 1]) == (uint16_t)*e1000_register(e1000, VET);
}

/* Section 7.1.1.1.1: 12 bits of the address, from where RCTL.MO says, point into a table of 4096 bits. */
static bool in_multicast_table(struct e1000 *e1000, const uint8_t *address)
{
	static const unsigned shifts[] = { 4, 3, 2, 0 };
	unsigned shift = shifts[*e1000_register(e1000, RCTL) >> RCTL_MO_SHIFT & 3];
	unsigned hash = (unsigned)(address[5] << 8 | address[4]) >> shift & 0xFFF;

	return *e1000_register(e1000, MTA + (hash >> 5) * 4) >> (hash & 31) & 1;
}

static bool is_own_address(struct e1000 *e1000, const uint8_t *address)
{
	for (unsigned i = 0; i < 16; i++) {
		uint32_t low = *e1000_register(e1000, RAL + i * 8), high = *e1000_register(e1000, RAH + i * 8);

		if (high & RAH_AV && low == pci_get32(address) && (uint16_t)high == pci_get16(address + 4))
			return true;
	}
	return false;
}

static bool wanted(struct e1000 *e1000, const uint8_t *frame, size_t length)
{
	uint32_t rctl = *e1000_register(e1000, RCTL);
	unsigned vlan;

	if (rctl & RCTL_VFE && has_vlan_tag(e1000, frame, length)) {
		vlan = (unsigned)(frame[MAC_BYTES + 2] << 8 | frame[MAC_BYTES + 3]) & 0xFFF;
		if (!(*e1000_register(e1000, VFTA + (vlan >> 5) * 4) >> (vlan & 31) & 1))
			return false;
	}
	if (!memcmp(frame, broadcast, 6) && rctl & RCTL_BAM)
		return true;
	if (is_own_address(e1000, frame))
		return true;
	if (frame[0] & 1)
		return rctl & RCTL_MPE || in_multicast_table(e1000, frame);
	return rctl & RCTL_UPE;
}

static bool too_long(struct e1000 *e1000, const uint8_t *frame, size_t length)
{
	uint32_t most = STANDARD_MAX - FCS_SIZE + (has_vlan_tag(e1000, frame, length) ? VLAN_TAG_SIZE : 0);

	return length > most && !(*e1000_register(e1000, RCTL) & RCTL_LPE);
}

/* IP, TCP and UDP checksums are never wrong between two ends in one computer: says which were looked at. */
static uint8_t checksum_status(struct e1000 *e1000, const uint8_t *frame, size_t length)
{
	uint32_t rxcsum = *e1000_register(e1000, RXCSUM);
	unsigned type = (unsigned)(frame[MAC_BYTES] << 8 | frame[MAC_BYTES + 1]);
	const uint8_t *ip = frame + NETWORK_HEADER;
	unsigned protocol;
	uint8_t status = 0;

	if (type == 0x0800 && length >= NETWORK_HEADER + 20) {
		/* A fragment has no transport header of its own. */
		bool fragment = (ip[6] & 0x3F) || ip[7];

		status |= rxcsum & RXCSUM_IPOFLD ? RXD_STATUS_IPCS : 0;
		protocol = fragment ? 0 : ip[9];
	} else if (type == 0x86DD && length >= NETWORK_HEADER + 40) {
		protocol = ip[6];
	} else {
		return RXD_STATUS_IXSM;
	}
	if (!(rxcsum & RXCSUM_TUOFLD))
		return status;
	if (protocol == IPPROTO_TCP)
		status |= RXD_STATUS_TCPCS;
	else if (protocol == IPPROTO_UDP)
		status |= RXD_STATUS_TCPCS | (is_82574(e1000) ? RXD_STATUS_UDPCS : 0);
	return status;
}

/* What is not there (padding, FCS) reads as zeroes. */
static bool store(struct e1000 *e1000, uint64_t address, const struct frame *frame, size_t source, uint32_t start,
		  uint32_t count)
{
	uint32_t real = start < source ? (uint32_t)MIN(count, source - start) : 0;
	static const uint8_t zeroes[FRAME_MIN + FCS_SIZE];
	const struct memory *memory = &e1000->pci.device.vm->memory;

	return memory_write(memory, address, frame->data + start, real) &&
	       memory_write(memory, address + real, zeroes, MIN(count - real, sizeof zeroes));
}

static void write_legacy(struct e1000 *e1000, uint64_t address, const struct frame *frame, uint32_t length, uint8_t status)
{
	uint8_t fields[8] = { 0 };

	pci_set16(fields, (uint16_t)length);
	fields[4] = status;
	fields[5] = frame->errors;
	pci_set16(fields + 6, frame->vlan);
	memory_write(&e1000->pci.device.vm->memory, address + 8, fields, sizeof fields);
}

/* Sections 7.1.5 and 7.1.6: MRQ and hash (none), status, length, tag. */
static void write_extended(struct e1000 *e1000, uint64_t address, const struct frame *frame, uint32_t length,
			   uint8_t status)
{
	uint8_t fields[16] = { 0 };

	pci_set32(fields + 8, status | (uint32_t)frame->errors << 24);
	pci_set16(fields + 12, (uint16_t)length);
	pci_set16(fields + 14, frame->vlan);
	memory_write(&e1000->pci.device.vm->memory, address, fields, sizeof fields);
}

static void write_split(struct e1000 *e1000, uint64_t address, const struct frame *frame, const uint32_t *lengths,
			uint8_t status)
{
	uint8_t fields[32] = { 0 };

	pci_set32(fields + 8, status | (uint32_t)frame->errors << 24);
	pci_set16(fields + 12, (uint16_t)lengths[0]);
	pci_set16(fields + 14, frame->vlan);
	for (unsigned i = 1; i < BUFFERS_MAX; i++)
		pci_set16(fields + 16 + 2 * i, (uint16_t)lengths[i]);
	memory_write(&e1000->pci.device.vm->memory, address, fields, sizeof fields);
}

/* Fills one descriptor's buffers and writes it back. False: its addresses are nonsense. */
static bool fill_descriptor(struct e1000 *e1000, const struct ring *ring, struct frame *frame, size_t source)
{
	uint64_t address = ring->base + (uint64_t)ring->head * ring->entry_size;
	uint32_t lengths[BUFFERS_MAX] = { 0 }, total = 0;
	uint64_t buffers[BUFFERS_MAX] = { 0 };
	uint8_t status;

	if (!memory_read(&e1000->pci.device.vm->memory, address, buffers, ring->entry_size == 32 ? 32 : 8))
		return false;
	for (unsigned i = 0; i < BUFFERS_MAX; i++) {
		lengths[i] = MIN(ring->buffer_sizes[i], frame->length - frame->copied);
		if (lengths[i] && !store(e1000, buffers[i], frame, source, frame->copied, lengths[i]))
			return false;
		frame->copied += lengths[i];
		total += lengths[i];
	}
	status = (uint8_t)(RXD_STATUS_DD | (frame->copied == frame->length ? frame->status | RXD_STATUS_EOP : 0));
	if (ring->layout == LAYOUT_LEGACY)
		write_legacy(e1000, address, frame, total, status);
	else if (ring->layout == LAYOUT_EXTENDED)
		write_extended(e1000, address, frame, total, status);
	else
		write_split(e1000, address, frame, lengths, status);
	return true;
}

static void count_received(struct e1000 *e1000, const uint8_t *frame, size_t length)
{
	e1000_count(e1000, TPR, 1);
	e1000_count(e1000, GPRC, 1);
	e1000_count64(e1000, TORL, length + FCS_SIZE);
	e1000_count64(e1000, GORCL, length + FCS_SIZE);
	e1000_count_size(e1000, PRC64, length + FCS_SIZE);
	if (frame[0] & 1)
		e1000_count(e1000, memcmp(frame, broadcast, 6) ? MPRC : BPRC, 1);
}

/* Few are left when free ones fall to a half, a quarter or an eighth: RCTL.RDMTS. */
static uint32_t low_water(struct e1000 *e1000, const struct ring *ring)
{
	unsigned shift = 1 + (*e1000_register(e1000, RCTL) >> RCTL_RDMTS_SHIFT & 3);

	return free_descriptors(ring) == ring->entries >> shift ? ICR_RXDMT0 : 0;
}

static void store_frame(struct e1000 *e1000, struct ring *ring, struct frame *frame, size_t source)
{
	uint32_t causes = ICR_RXT0 | ICR_RXQ0;

	while (frame->copied < frame->length) {
		if (!fill_descriptor(e1000, ring, frame, source)) {
			log_guest_error(&e1000->log, "e1000", "the receive ring or a buffer of it is not in RAM");
			return;
		}
		ring->head = (ring->head + 1) % ring->entries;
		*e1000_register(e1000, RDH) = ring->head;
		causes |= low_water(e1000, ring);
	}
	e1000_raise(e1000, causes);
}

bool e1000_receive_ready(struct e1000 *e1000)
{
	struct ring ring;

	return get_ring(e1000, &ring) && free_descriptors(&ring) > 0;
}

/* Takes the tag out of the frame: into untagged, which has room for all of it. */
static const uint8_t *strip_vlan(struct e1000 *e1000, const uint8_t *data, size_t *length, uint8_t *untagged,
				 struct frame *frame)
{
	if (!(*e1000_register(e1000, CTRL) & CTRL_VME) || !has_vlan_tag(e1000, data, *length))
		return data;
	frame->vlan = (uint16_t)(data[MAC_BYTES + 2] << 8 | data[MAC_BYTES + 3]);
	frame->status |= RXD_STATUS_VP;
	memcpy(untagged, data, MAC_BYTES);
	memcpy(untagged + MAC_BYTES, data + MAC_BYTES + VLAN_TAG_SIZE, *length - MAC_BYTES - VLAN_TAG_SIZE);
	*length -= VLAN_TAG_SIZE;
	return untagged;
}

bool e1000_receive(void *adapter, const uint8_t *data, size_t length)
{
	struct e1000 *e1000 = adapter;
	uint8_t untagged[STANDARD_MAX * 12];
	struct frame frame = { 0 };
	struct ring ring;
	uint32_t capacity;

	if (!(*e1000_register(e1000, RCTL) & RCTL_EN) || !pci_bus_master(&e1000->pci) ||
	    !(*e1000_register(e1000, STATUS) & STATUS_LU))
		return true;
	if (length < NETWORK_HEADER || length > sizeof untagged || too_long(e1000, data, length) ||
	    !wanted(e1000, data, length))
		return true;
	if (!get_ring(e1000, &ring) || !(capacity = descriptor_capacity(&ring)))
		return true;
	frame.status = checksum_status(e1000, data, length);
	frame.data = strip_vlan(e1000, data, &length, untagged, &frame);
	frame.length = (uint32_t)MAX(length, FRAME_MIN) +
		       (*e1000_register(e1000, RCTL) & RCTL_SECRC ? 0 : FCS_SIZE);
	/* It is not lost: the network keeps it until the guest has given more. */
	if ((frame.length + capacity - 1) / capacity > free_descriptors(&ring))
		return false;
	count_received(e1000, data, length);
	store_frame(e1000, &ring, &frame, length);
	return true;
}
