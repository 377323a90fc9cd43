/*
 * A guest's network driver for the tests: one adapter of either model at 00:02.0, rings in fake RAM, and a network that
 * keeps what is sent and delivers what the test says.
 */
#pragma once

#include <string.h>

#include "../../vmm/net/e1000.h"
#include "../../vmm/net/e1000_registers.h"
#include "../../vmm/net/network.h"
#include "../../vmm/pci/pci.h"
#include "fake_machine.h"

#define REGISTERS 0xFEB00000u
#define MSIX 0xFEB80000u
#define GUEST_RAM (16u << 20)
#define TX_RING 0x100000u
#define RX_RING 0x110000u
#define TX_BUFFERS 0x200000u
#define RX_BUFFERS 0x400000u
#define ENTRIES 32u
#define PATIENCE (20 * G_USEC_PER_SEC)

static const uint8_t own_mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };

struct sent {
	size_t length;
	struct network_offload offload;
	uint8_t bytes[];
};

/* What is outside: keeps what the guest sent, and delivers what the test says. */
struct outside {
	struct network *network;
	GAsyncQueue *sent; /* struct sent * */
	GMutex hold;       /* the thread stops at this before it takes a frame */
};

struct guest {
	struct fake_machine *machine;
	struct pci_bus bus;
	struct outside outside;
	struct e1000 *e1000;
	struct pci_device *pci;
	bool pirq[8];
	unsigned tx_tail, rx_tail, rx_head;
};

static inline void outside_prepare(void *opaque, GArray *descriptors, int *timeout)
{
	(void)opaque;
	(void)descriptors;
	(void)timeout;
}

static inline void outside_dispatch(void *opaque, const struct pollfd *descriptors)
{
	(void)opaque;
	(void)descriptors;
}

static inline void outside_transmit(void *opaque, uint8_t *frame, size_t length, const struct network_offload *offload)
{
	struct outside *outside = opaque;
	struct sent *sent = g_malloc(sizeof *sent + length);

	g_mutex_lock(&outside->hold);
	sent->length = length;
	sent->offload = *offload;
	memcpy(sent->bytes, frame, length);
	g_async_queue_push(outside->sent, sent);
	g_mutex_unlock(&outside->hold);
}

static inline void outside_destroy(void *opaque)
{
	(void)opaque;
}

static const struct network_ops outside_ops = {
	.name = "test", .prepare = outside_prepare, .dispatch = outside_dispatch, .transmit = outside_transmit,
	.destroy = outside_destroy,
};

static inline void set_pirq(void *opaque, unsigned pirq, bool level)
{
	((struct guest *)opaque)->pirq[pirq] = level;
}

static inline uint32_t get(struct guest *g, unsigned offset)
{
	return (uint32_t)fake_read(g->machine, REGISTERS + offset, 4);
}

static inline void put(struct guest *g, unsigned offset, uint32_t value)
{
	fake_write(g->machine, REGISTERS + offset, 4, value);
}

static inline uint8_t *ram(struct guest *g, uint64_t address)
{
	return memory_ptr(&g->machine->vm.memory, address, 1);
}

static inline bool any_line(const struct guest *g)
{
	for (unsigned i = 0; i < 8; i++)
		if (g->pirq[i])
			return true;
	return false;
}

/* As a driver sets it up: rings, the own address, everything enabled. */
static inline void set_up_rings(struct guest *g)
{
	put(g, TDBAL, TX_RING);
	put(g, TDLEN, ENTRIES * 16);
	put(g, RDBAL, RX_RING);
	put(g, RDLEN, ENTRIES * 16);
	for (unsigned i = 0; i < ENTRIES; i++)
		pci_set32(ram(g, RX_RING + i * 16), RX_BUFFERS + i * 0x1000);
	put(g, TCTL, TCTL_EN | 8);
	put(g, RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC);
	g->rx_tail = ENTRIES - 1;
	put(g, RDT, g->rx_tail);
}

static inline void map_registers(struct guest *g)
{
	pci_config_write(g->pci, PCI_BASE_ADDRESS_0, 4, REGISTERS);
	if (g->pci->msix)
		pci_config_write(g->pci, PCI_BASE_ADDRESS_3, 4, MSIX);
	pci_config_write(g->pci, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static inline void guest_open(struct guest *g, gconstpointer model)
{
	struct e1000_options options = { .model = (enum e1000_model)GPOINTER_TO_UINT(model),
					 .devfn = PCI_DEVFN(2, 0), .link = true };

	*g = (struct guest){ .machine = fake_machine_new(GUEST_RAM) };
	g_mutex_lock(&g->machine->vm.lock);
	pci_bus_init(&g->bus, &g->machine->vm);
	g->bus.set_pirq = set_pirq;
	g->bus.set_pirq_opaque = g;
	g->outside.sent = g_async_queue_new_full(g_free);
	g_mutex_init(&g->outside.hold);
	memcpy(options.mac, own_mac, 6);
	g->outside.network = network_new(&g->machine->vm, &outside_ops, &g->outside);
	g->e1000 = e1000_new(&g->machine->vm, &g->bus, g->outside.network, &options);
	g->pci = (struct pci_device *)e1000_device(g->e1000);
	map_registers(g);
	set_up_rings(g);
}

static inline void guest_close(struct guest *g, gconstpointer model)
{
	struct device *device = e1000_device(g->e1000);

	(void)model;
	g_mutex_unlock(&g->machine->vm.lock);
	network_stop(g->outside.network);
	g_mutex_lock(&g->machine->vm.lock);
	device->ops->destroy(device);
	pci_bus_finish(&g->bus);
	g_mutex_unlock(&g->machine->vm.lock);
	network_free(g->outside.network);
	g_async_queue_unref(g->outside.sent);
	g_mutex_clear(&g->outside.hold);
	fake_machine_free(g->machine);
}

static inline void add_descriptor(struct guest *g, uint64_t address, uint32_t lower, uint32_t upper)
{
	uint8_t *descriptor = ram(g, TX_RING + g->tx_tail * 16);

	pci_set32(descriptor, (uint32_t)address);
	pci_set32(descriptor + 4, (uint32_t)(address >> 32));
	pci_set32(descriptor + 8, lower);
	pci_set32(descriptor + 12, upper);
	g->tx_tail = (g->tx_tail + 1) % ENTRIES;
}

static inline void fill_frame(uint8_t *frame, size_t length, unsigned type)
{
	memset(frame, 0xFF, 6);
	memcpy(frame + 6, own_mac, 6);
	frame[12] = (uint8_t)(type >> 8);
	frame[13] = (uint8_t)type;
	for (size_t i = NETWORK_HEADER; i < length; i++)
		frame[i] = (uint8_t)(i * 7);
}

struct delivery {
	struct network *network;
	size_t length;
	uint8_t bytes[10000];
};

static inline void deliver(void *outside, void *data)
{
	struct delivery *delivery = data;

	network_deliver(((struct outside *)outside)->network, delivery->bytes, delivery->length);
	g_free(delivery);
}

static inline void send_to_guest(struct guest *g, const uint8_t *destination, unsigned type, size_t length)
{
	struct delivery *delivery = g_new0(struct delivery, 1);

	delivery->length = length;
	fill_frame(delivery->bytes, length, type);
	if (destination)
		memcpy(delivery->bytes, destination, 6);
	network_call(g->outside.network, deliver, delivery);
}

/* Until so many frames have been handed to the adapter, wanted or not. */
static inline void wait_received(struct guest *g, unsigned frames)
{
	gint64 deadline = g_get_monotonic_time() + PATIENCE;
	struct network_counters counters;

	for (;;) {
		network_counters(g->outside.network, &counters);
		if (counters.received_frames >= frames || g_get_monotonic_time() > deadline)
			break;
		g_mutex_unlock(&g->machine->vm.lock);
		g_thread_yield();
		g_mutex_lock(&g->machine->vm.lock);
	}
	g_assert_cmpuint(counters.received_frames, ==, frames);
}

static inline void add_context(struct guest *g, uint32_t command, uint32_t payload, unsigned mss)
{
	/* IPCSS 14, IPCSO 24, IPCSE 33; TUCSS 34, TUCSO 50, TUCSE 0; header 54 */
	add_descriptor(g, 33u << 16 | 24u << 8 | 14u | (uint64_t)(50u << 8 | 34u) << 32,
		       TXD_CMD_DEXT | command | payload, 54u << 8 | mss << 16);
}

/* What a test file has, run on each model that it is for. */
struct adapter_test {
	const char *name;
	void (*run)(struct guest *g, gconstpointer model);
	unsigned models; /* 1 << model */
};

static inline void add_tests(const struct adapter_test *tests, unsigned count)
{
	static const char *const models[] = { [E1000_82574L] = "82574l", [E1000_82540EM] = "82540em" };

	for (unsigned model = 0; model < G_N_ELEMENTS(models); model++) {
		for (unsigned i = 0; i < count; i++) {
			g_autofree char *path = g_strdup_printf("/e1000/%s/%s", models[model], tests[i].name);

			if (tests[i].models & 1u << model)
				g_test_add(path, struct guest, GUINT_TO_POINTER(model), guest_open, tests[i].run,
					   guest_close);
		}
	}
}
