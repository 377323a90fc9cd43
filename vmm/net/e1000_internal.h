/* What the files of the adapter share. All with vm->lock. */
#pragma once

#include <string.h>

#include "../log.h"
#include "../pci/pci.h"
#include "../state.h"
#include "../vm.h"
#include "e1000.h"
#include "e1000_registers.h"
#include "network.h"

#define QUEUES 2
#define VECTORS 5
#define NVM_WORDS 64
#define PHY_REGISTERS 32

/* What a context descriptor says about the frames that follow (section 7.2.10). */
struct e1000_context {
	uint8_t ipcss, ipcso, tucss, tucso, header_length;
	uint16_t ipcse, tucse, mss;
	uint32_t payload_length;
	uint8_t tcp, ipv4; /* bool */
};

enum {
	CONTEXT_CHECKSUM,
	CONTEXT_SEGMENTATION, /* kept apart: section 7.2.10 */
	CONTEXTS,
};

struct e1000 {
	struct pci_device pci;
	struct network *network;
	enum e1000_model model;
	uint8_t mac[6];
	bool link;
	uint32_t registers[REGISTERS_SIZE / 4];
	uint16_t phy[PHY_REGISTERS];
	uint16_t nvm[NVM_WORDS];
	/* The serial EEPROM of the 82540EM: bits in, and what comes out. */
	uint32_t microwire_in, microwire_bits, microwire_out;
	uint32_t io_address;
	struct e1000_context contexts[QUEUES][CONTEXTS];
	uint32_t delivered;           /* vectors with a message that the guest has not heard yet: throttled */
	uint64_t last_interrupt[VECTORS + 1];
	struct timer timer;           /* the next interrupt that had to wait */
	struct log_limit log;
};

static inline uint32_t *e1000_register(struct e1000 *e1000, unsigned offset)
{
	return &e1000->registers[offset / 4];
}

static inline bool is_82574(const struct e1000 *e1000)
{
	return e1000->model == E1000_82574L;
}

/* A ring in guest memory. */
static inline uint64_t e1000_ring(struct e1000 *e1000, unsigned base_low, unsigned queue)
{
	unsigned offset = base_low + queue * QUEUE_STRIDE;

	return *e1000_register(e1000, offset) | (uint64_t)*e1000_register(e1000, offset + 4) << 32;
}

/* e1000_interrupt.c */
void e1000_raise(struct e1000 *e1000, uint32_t causes);
void e1000_update_interrupts(struct e1000 *e1000);
uint32_t e1000_read_icr(struct e1000 *e1000);
void e1000_interrupts_reset(struct e1000 *e1000);
void e1000_interrupts_fire(void *opaque);

/* e1000_transmit.c */
void e1000_transmit_run(struct e1000 *e1000, unsigned queue);

/* e1000_receive.c: false if the guest has no buffer for it. */
bool e1000_receive(void *adapter, const uint8_t *frame, size_t length);
bool e1000_receive_ready(struct e1000 *e1000);

/* e1000_phy.c: what is behind the serial lines of the controller. */
void e1000_phy_reset(struct e1000 *e1000);
void e1000_phy_link(struct e1000 *e1000);
void e1000_mdic_written(struct e1000 *e1000);
void e1000_nvm_init(struct e1000 *e1000);
void e1000_eerd_written(struct e1000 *e1000);
void e1000_eec_written(struct e1000 *e1000, uint32_t before);

/* Statistics that stop at their greatest value (section 10.2.8), of 32 bits and of 64. */
void e1000_count(struct e1000 *e1000, unsigned offset, uint32_t amount);
void e1000_count64(struct e1000 *e1000, unsigned offset, uint64_t amount);
/* PRC64 or PTC64 and the ones that follow, by the length with FCS. */
void e1000_count_size(struct e1000 *e1000, unsigned offset, size_t length);
