/* Frames from the guest (section 7.2): descriptors become frames; what checksums and segments are left is told on. */
#include "e1000_internal.h"

#include <netinet/in.h>

#define VLAN_TAG_SIZE 4u
#define MAC_BYTES 12u /* both addresses */

struct descriptor {
	uint64_t address;
	uint32_t lower, upper;
};

/* A frame in the making, from one or more descriptors. */
struct frame {
	uint8_t *data;
	uint32_t length;
	uint8_t options; /* POPTS of its first descriptor */
	bool segment;    /* TCP segmentation is wanted */
	bool bad;        /* too long or unreadable, so not sent */
	const struct e1000_context *context;
};

static void take_context(struct e1000 *e1000, unsigned queue, const struct descriptor *descriptor)
{
	uint32_t first = (uint32_t)descriptor->address, second = (uint32_t)(descriptor->address >> 32);
	struct e1000_context context = {
		.ipcss = (uint8_t)first,
		.ipcso = (uint8_t)(first >> 8),
		.ipcse = (uint16_t)(first >> 16),
		.tucss = (uint8_t)second,
		.tucso = (uint8_t)(second >> 8),
		.tucse = (uint16_t)(second >> 16),
		.payload_length = descriptor->lower & 0xFFFFF,
		.tcp = descriptor->lower & TXD_TUCMD_TCP ? 1 : 0,
		.ipv4 = descriptor->lower & TXD_TUCMD_IP ? 1 : 0,
		.header_length = (uint8_t)(descriptor->upper >> 8),
		.mss = (uint16_t)(descriptor->upper >> 16),
	};

	e1000->contexts[queue][descriptor->lower & TXD_CMD_TSE ? CONTEXT_SEGMENTATION : CONTEXT_CHECKSUM] = context;
}

static void add_data(struct e1000 *e1000, struct frame *frame, const struct descriptor *descriptor)
{
	bool extended = descriptor->lower & TXD_CMD_DEXT;
	uint32_t length = descriptor->lower & (extended ? 0xFFFFF : 0xFFFF);

	if (frame->bad)
		return;
	if (frame->length + length > NETWORK_FRAME_MAX - VLAN_TAG_SIZE) {
		log_guest_error(&e1000->log, "e1000", "a frame of more than %u bytes is not sent",
				NETWORK_FRAME_MAX - VLAN_TAG_SIZE);
		frame->bad = true;
	} else if (!memory_read(&e1000->pci.device.vm->memory, descriptor->address, frame->data + frame->length,
				length)) {
		log_guest_error(&e1000->log, "e1000", "transmit buffer %#" G_GINT64_MODIFIER "x is not in RAM",
				descriptor->address);
		frame->bad = true;
	} else {
		frame->length += length;
	}
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xFFFF) + (sum >> 16);
	return (uint16_t)sum;
}

static void put16(uint8_t *place, uint16_t value)
{
	place[0] = (uint8_t)(value >> 8);
	place[1] = (uint8_t)value;
}

/* A checksum over [start, end], 0 meaning the end of the frame, put at offset (section 7.2.4.1.1). */
static void insert_checksum(uint8_t *frame, uint32_t length, unsigned start, unsigned offset, unsigned end)
{
	uint32_t stop = end && end < length ? end + 1 : length;
	uint16_t sum;

	if (start >= stop || offset + 2 > length)
		return;
	sum = network_checksum(frame + start, stop - start);
	memcpy(frame + offset, &sum, sizeof sum);
}

/*
 * The segments' common header, as that of one long segment: its lengths, and the checksum of the pseudo header with the
 * length, which the driver leaves out because each segment has its own (section 7.2.11).
 */
static bool prepare_segmentation(struct e1000 *e1000, const struct frame *frame, struct network_offload *offload)
{
	const struct e1000_context *context = frame->context;
	uint8_t *ip = frame->data + context->ipcss, *field = frame->data + context->tucso;
	uint32_t length = frame->length;

	if (!context->mss || context->header_length >= length || context->ipcss + 20u > context->header_length ||
	    context->tucss <= context->ipcss || context->tucso + 2u > context->header_length ||
	    context->tucso < context->tucss || length - context->ipcss > UINT16_MAX) {
		log_guest_error(&e1000->log, "e1000", "the context of a frame to be segmented contradicts it");
		return false;
	}
	if (context->ipv4) {
		put16(ip + 2, (uint16_t)(length - context->ipcss));
	} else {
		if (context->tucss - context->ipcss < 40)
			return false;
		put16(ip + 4, (uint16_t)(length - context->ipcss - 40));
	}
	put16(field, fold(((uint32_t)field[0] << 8 | field[1]) + length - context->tucss));
	*offload = (struct network_offload){
		.checksum = true,
		.checksum_start = context->tucss,
		.checksum_offset = (uint16_t)(context->tucso - context->tucss),
		.segment_size = length - context->header_length > context->mss ? context->mss : 0,
		.header_length = context->header_length,
	};
	return true;
}

static void complete_headers(const struct frame *frame, struct network_offload *offload)
{
	const struct e1000_context *context = frame->context;

	if (frame->options & TXD_POPTS_IXSM) {
		/* The field is part of what is summed up. */
		if (context->ipcso + 2u <= frame->length && context->ipcso >= context->ipcss)
			put16(frame->data + context->ipcso, 0);
		insert_checksum(frame->data, frame->length, context->ipcss, context->ipcso, context->ipcse);
	}
	if (!(frame->options & TXD_POPTS_TXSM) || frame->segment)
		return;
	if (context->tucse == 0 && context->tucso >= context->tucss && context->tucso + 2u <= frame->length)
		*offload = (struct network_offload){ .checksum = true, .checksum_start = context->tucss,
						     .checksum_offset = (uint16_t)(context->tucso - context->tucss) };
	else
		insert_checksum(frame->data, frame->length, context->tucss, context->tucso, context->tucse);
}

static void insert_vlan(struct e1000 *e1000, struct frame *frame, uint16_t tag, struct network_offload *offload)
{
	memmove(frame->data + MAC_BYTES + VLAN_TAG_SIZE, frame->data + MAC_BYTES, frame->length - MAC_BYTES);
	put16(frame->data + MAC_BYTES, (uint16_t)*e1000_register(e1000, VET));
	put16(frame->data + MAC_BYTES + 2, tag);
	frame->length += VLAN_TAG_SIZE;
	offload->checksum_start += VLAN_TAG_SIZE;
	offload->header_length += VLAN_TAG_SIZE;
}

static void count_sent(struct e1000 *e1000, const uint8_t *frame, uint32_t length)
{
	bool group = frame[0] & 1;
	static const uint8_t broadcast[6] = { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF };

	e1000_count(e1000, TPT, 1);
	e1000_count(e1000, GPTC, 1);
	e1000_count64(e1000, TOTL, length + 4);
	e1000_count64(e1000, GOTCL, length + 4);
	e1000_count_size(e1000, PTC64, length + 4);
	if (group)
		e1000_count(e1000, memcmp(frame, broadcast, 6) ? MPTC : BPTC, 1);
}

static bool loops_back(struct e1000 *e1000)
{
	return *e1000_register(e1000, RCTL) & RCTL_LBM || e1000->phy[0] & 0x4000;
}

static void send_frame(struct e1000 *e1000, struct frame *frame, const struct descriptor *last)
{
	struct network_offload offload = { 0 };

	if (frame->bad || frame->length < NETWORK_HEADER)
		return;
	if (frame->segment) {
		if (!prepare_segmentation(e1000, frame, &offload))
			return;
		e1000_count(e1000, TSCTC, 1);
	}
	complete_headers(frame, &offload);
	if (!(last->lower & TXD_CMD_DEXT) && last->lower & TXD_CMD_IC)
		insert_checksum(frame->data, frame->length, last->upper >> 8 & 0xFF, last->lower >> 16 & 0xFF, 0);
	if (last->lower & TXD_CMD_VLE && *e1000_register(e1000, CTRL) & CTRL_VME)
		insert_vlan(e1000, frame, (uint16_t)(last->upper >> 16), &offload);
	count_sent(e1000, frame->data, frame->length);
	if (loops_back(e1000)) {
		network_complete_checksum(frame->data, frame->length, &offload);
		e1000_receive(e1000, frame->data, frame->length);
	} else if (e1000->link) {
		network_send(e1000->network, frame->length, &offload);
	}
}

/* Says that it is done, in the descriptor. True if the guest asked for that. */
static bool write_back(struct e1000 *e1000, uint64_t address, const struct descriptor *descriptor)
{
	uint32_t upper = (descriptor->upper & 0xFFFFFF00) | TXD_STATUS_DD;

	if (descriptor->lower & TXD_CMD_DEXT && TXD_DTYP(descriptor->lower) == TXD_DTYP_CONTEXT)
		upper = descriptor->upper | TXD_STATUS_DD;
	if (!(descriptor->lower & TXD_CMD_RS))
		return false;
	memory_write(&e1000->pci.device.vm->memory, address + 12, &upper, sizeof upper);
	return true;
}

struct ring {
	unsigned queue;
	uint64_t base;
	unsigned entries, head, tail;
};

static bool read_descriptor(struct e1000 *e1000, const struct ring *ring, unsigned index, struct descriptor *descriptor)
{
	return memory_read(&e1000->pci.device.vm->memory, ring->base + (uint64_t)index * TXD_SIZE, descriptor,
			   sizeof *descriptor);
}

/* All of a frame's descriptors: none is taken before the last one is there. False: not now. */
static bool take_frame(struct e1000 *e1000, struct ring *ring, uint32_t *causes)
{
	struct frame frame = { .data = network_frame(e1000->network) };
	struct descriptor descriptor;
	unsigned index = ring->head;

	if (!frame.data)
		return false;
	do {
		if (index == ring->tail || !read_descriptor(e1000, ring, index, &descriptor))
			return false;
		if (index == ring->head && descriptor.lower & TXD_CMD_DEXT) {
			frame.options = (uint8_t)(descriptor.upper >> 8);
			frame.segment = descriptor.lower & TXD_CMD_TSE;
		}
		add_data(e1000, &frame, &descriptor);
		index = (index + 1) % ring->entries;
	} while (!(descriptor.lower & TXD_CMD_EOP));
	frame.context = &e1000->contexts[ring->queue][frame.segment ? CONTEXT_SEGMENTATION : CONTEXT_CHECKSUM];
	send_frame(e1000, &frame, &descriptor);
	for (; ring->head != index; ring->head = (ring->head + 1) % ring->entries) {
		uint64_t address = ring->base + (uint64_t)ring->head * TXD_SIZE;

		if (read_descriptor(e1000, ring, ring->head, &descriptor) && write_back(e1000, address, &descriptor))
			*causes |= ICR_TXDW | (ring->queue ? ICR_TXQ1 : ICR_TXQ0);
	}
	return true;
}

static bool take_next(struct e1000 *e1000, struct ring *ring, uint32_t *causes)
{
	struct descriptor descriptor;

	if (!read_descriptor(e1000, ring, ring->head, &descriptor)) {
		log_guest_error(&e1000->log, "e1000", "the transmit ring is not in RAM");
		return false;
	}
	if (!(descriptor.lower & TXD_CMD_DEXT) || TXD_DTYP(descriptor.lower) != TXD_DTYP_CONTEXT)
		return take_frame(e1000, ring, causes);
	take_context(e1000, ring->queue, &descriptor);
	if (write_back(e1000, ring->base + (uint64_t)ring->head * TXD_SIZE, &descriptor))
		*causes |= ICR_TXDW | (ring->queue ? ICR_TXQ1 : ICR_TXQ0);
	ring->head = (ring->head + 1) % ring->entries;
	return true;
}

void e1000_transmit_run(struct e1000 *e1000, unsigned queue)
{
	uint32_t *head = e1000_register(e1000, TDH + queue * QUEUE_STRIDE), causes = 0;
	struct ring ring = {
		.queue = queue,
		.base = e1000_ring(e1000, TDBAL, queue) & ~15ull,
		.entries = (*e1000_register(e1000, TDLEN + queue * QUEUE_STRIDE) & 0xFFF80) / TXD_SIZE,
		.head = *head,
		.tail = *e1000_register(e1000, TDT + queue * QUEUE_STRIDE),
	};

	if (!(*e1000_register(e1000, TCTL) & TCTL_EN) || !pci_bus_master(&e1000->pci) || ring.head >= ring.entries ||
	    ring.tail >= ring.entries || ring.head == ring.tail)
		return;
	/* At most once around: the guest's tail does not move meanwhile. */
	while (ring.head != ring.tail && take_next(e1000, &ring, &causes))
		*head = ring.head;
	if (ring.head == ring.tail)
		causes |= ICR_TXQE;
	if (causes)
		e1000_raise(e1000, causes);
}
