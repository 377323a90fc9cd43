/*
 * A guest's NVMe driver for the tests: one controller at 00:10.0 with a disk of 4 MiB, an admin queue pair, and one I/O
 * queue pair, in fake RAM.
 */
#pragma once

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#include "../../vmm/nvme/nvme.h"
#include "../../vmm/pci/pci.h"
#include "fake_machine.h"

#define REGISTERS 0xFEB00000u
#define MESSAGES 0xFEB10000u
#define GUEST_RAM (16u << 20)
#define ADMIN_SQ 0x100000u
#define ADMIN_CQ 0x101000u
#define IO_SQ(queue) (0x110000u + (queue) * 0x20000)
#define IO_CQ(queue) (IO_SQ(queue) + 0x10000)
#define SHADOW 0x1F0000u
#define EVENT_INDEX 0x1F1000u
#define BUFFER 0x200000u
#define LISTS 0x180000u
#define DEPTH 64u
#define SECTORS 8192u
#define QUEUES 4u
#define SEED 0xABCDu

enum { CAP = 0x00, VS = 0x08, INTMS = 0x0C, INTMC = 0x10, CC = 0x14, CSTS = 0x1C, AQA = 0x24, ASQ = 0x28, ACQ = 0x30,
       DOORBELL = 0x1000 };
enum { CC_ENABLE = 6 << 16 | 4 << 20 | 1 };

struct nvme_queue_pair {
	uint32_t sq, cq;
	unsigned size, tail, head;
	bool phase;
};

struct nvme_answer {
	uint32_t result;
	uint16_t sq_head, sq, id, status; /* status without phase tag, "more" and "do not retry" */
	bool retry_useless;
};

struct nvme_guest {
	struct fake_machine *machine;
	struct pci_bus bus;
	struct nvme *nvme;
	char *folder, *path;
	bool pirq[8];
	struct nvme_queue_pair pair[QUEUES + 1];
	uint16_t next_id;
	bool shadow; /* rings only when told to */
	unsigned rings;
};

static inline void guest_set_pirq(void *opaque, unsigned pirq, bool level)
{
	((struct nvme_guest *)opaque)->pirq[pirq] = level;
}

static inline bool any_pirq(const struct nvme_guest *g)
{
	bool any = false;

	for (unsigned i = 0; i < 8; i++)
		any |= g->pirq[i];
	return any;
}

static inline uint32_t get(struct nvme_guest *g, unsigned offset)
{
	return (uint32_t)fake_read(g->machine, REGISTERS + offset, 4);
}

static inline void set(struct nvme_guest *g, unsigned offset, uint32_t value)
{
	fake_write(g->machine, REGISTERS + offset, 4, value);
}

static inline uint8_t *ram(struct nvme_guest *g, uint64_t address)
{
	return g->machine->vm.memory.ram + address;
}

static inline struct pci_device *guest_pci(struct nvme_guest *g)
{
	return (struct pci_device *)nvme_device(g->nvme);
}

/* Sectors that begin with their number and SEED. */
static inline void make_image(const char *path, unsigned sectors)
{
	int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
	g_autofree uint8_t *data = g_malloc0((gsize)sectors * 512);

	g_assert_cmpint(fd, >=, 0);
	for (unsigned i = 0; i < sectors; i++) {
		pci_set32(data + i * 512, i);
		pci_set32(data + i * 512 + 4, SEED);
		memset(data + i * 512 + 8, (int)i, 504);
	}
	g_assert_cmpint(write(fd, data, (gsize)sectors * 512), ==, (gssize)((gsize)sectors * 512));
	close(fd);
}

static inline void read_image(struct nvme_guest *g, uint64_t offset, void *data, size_t size)
{
	int fd = open(g->path, O_RDONLY);

	g_assert_cmpint(pread(fd, data, size, (off_t)offset), ==, (gssize)size);
	close(fd);
}

static inline void check_sector(struct nvme_guest *g, uint64_t address, uint32_t number)
{
	g_assert_cmphex(pci_get32(ram(g, address)), ==, number);
	g_assert_cmphex(pci_get32(ram(g, address) + 4), ==, SEED);
}

static inline void guest_open(struct nvme_guest *g, bool read_only)
{
	struct block_options options = { .read_only = read_only };
	struct nvme_options disk = { .serial = "SERIAL-1", .ssd = true, .queues = QUEUES, .devfn = PCI_DEVFN(16, 0) };
	GError *error = NULL;
	struct block *block;

	g->folder = g_dir_make_tmp("nvme-test-XXXXXX", NULL);
	g_assert_nonnull(g->folder);
	g->path = g_build_filename(g->folder, "image", NULL);
	make_image(g->path, SECTORS);
	options.path = g->path;
	block = block_open(&options, &error);
	g_assert_no_error(error);
	g->machine = fake_machine_new(GUEST_RAM);
	pci_bus_init(&g->bus, &g->machine->vm);
	g->bus.set_pirq = guest_set_pirq;
	g->bus.set_pirq_opaque = g;
	g->nvme = nvme_new(&g->machine->vm, &g->bus, block, &disk);
	pci_config_write(guest_pci(g), PCI_BASE_ADDRESS_0, 4, REGISTERS);
	pci_config_write(guest_pci(g), PCI_BASE_ADDRESS_4, 4, MESSAGES);
	pci_config_write(guest_pci(g), PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static inline void guest_close(struct nvme_guest *g)
{
	nvme_device(g->nvme)->ops->destroy(nvme_device(g->nvme));
	pci_bus_finish(&g->bus);
	fake_machine_free(g->machine);
	g_unlink(g->path);
	g_assert_cmpint(g_rmdir(g->folder), ==, 0);
	g_free(g->path);
	g_free(g->folder);
}

static inline void guest_enable(struct nvme_guest *g)
{
	set(g, CC, 0);
	memset(ram(g, ADMIN_SQ), 0, 0x2000);
	set(g, AQA, (DEPTH - 1) << 16 | (DEPTH - 1));
	set(g, ASQ, ADMIN_SQ);
	set(g, ASQ + 4, 0);
	set(g, ACQ, ADMIN_CQ);
	set(g, ACQ + 4, 0);
	set(g, CC, CC_ENABLE);
	g_assert_cmphex(get(g, CSTS), ==, 1);
	g->pair[0] = (struct nvme_queue_pair){ ADMIN_SQ, ADMIN_CQ, DEPTH, 0, 0, true };
	g->shadow = false;
}

/* The rule of section B.5. */
static inline bool must_ring(uint32_t event_index, uint32_t before, uint32_t now)
{
	return (uint16_t)(now - event_index - 1) < (uint16_t)(now - before);
}

static inline void ring(struct nvme_guest *g, unsigned queue, bool completion, uint32_t before, uint32_t value)
{
	unsigned place = queue * 8 + (completion ? 4 : 0);

	if (g->shadow && queue) {
		pci_set32(ram(g, SHADOW + place), value);
		if (!must_ring(pci_get32(ram(g, EVENT_INDEX + place)), before, value))
			return;
	}
	g->rings++;
	set(g, DOORBELL + place, value);
}

/* An entry without its doorbell; returns it for further fields. */
static inline uint8_t *put(struct nvme_guest *g, unsigned queue, uint8_t opcode, uint32_t namespace, uint64_t prp1,
			   uint64_t prp2)
{
	struct nvme_queue_pair *pair = &g->pair[queue];
	uint8_t *entry = ram(g, pair->sq + pair->tail * 64);

	memset(entry, 0, 64);
	entry[0] = opcode;
	pci_set16(entry + 2, g->next_id++);
	pci_set32(entry + 4, namespace);
	pci_set32(entry + 24, (uint32_t)prp1);
	pci_set32(entry + 28, (uint32_t)(prp1 >> 32));
	pci_set32(entry + 32, (uint32_t)prp2);
	pci_set32(entry + 36, (uint32_t)(prp2 >> 32));
	pair->tail = (pair->tail + 1) % pair->size;
	return entry;
}

static inline void put_words(uint8_t *entry, uint32_t word10, uint32_t word11, uint32_t word12)
{
	pci_set32(entry + 40, word10);
	pci_set32(entry + 44, word11);
	pci_set32(entry + 48, word12);
}

static inline bool poll_answer(struct nvme_guest *g, unsigned queue, struct nvme_answer *answer)
{
	struct nvme_queue_pair *pair = &g->pair[queue];
	const uint8_t *entry = ram(g, pair->cq + pair->head * 16);
	unsigned before = pair->head;

	if ((entry[14] & 1) != pair->phase)
		return false;
	*answer = (struct nvme_answer){ pci_get32(entry), pci_get16(entry + 8), pci_get16(entry + 10),
					pci_get16(entry + 12), pci_get16(entry + 14) >> 1 & 0x7FF, entry[15] >> 7 };
	pair->head = (pair->head + 1) % pair->size;
	if (pair->head == 0)
		pair->phase = !pair->phase;
	ring(g, queue, true, before, pair->head);
	return true;
}

/* What the page cache did not have comes by the event loop. */
static inline struct nvme_answer wait_answer(struct nvme_guest *g, unsigned queue)
{
	struct nvme_answer answer;

	while (!poll_answer(g, queue, &answer))
		g_main_context_iteration(g->machine->vm.loop.context, TRUE);
	return answer;
}

/* Rings for the last entry that was put, and returns the status of its answer. */
static inline struct nvme_answer run_last(struct nvme_guest *g, unsigned queue)
{
	struct nvme_queue_pair *pair = &g->pair[queue];
	struct nvme_answer answer;

	ring(g, queue, false, (pair->tail + pair->size - 1) % pair->size, pair->tail);
	answer = wait_answer(g, queue);
	g_assert_cmpuint(answer.id, ==, (uint16_t)(g->next_id - 1));
	g_assert_cmpuint(answer.sq, ==, queue);
	g_assert_cmpuint(answer.sq_head, ==, pair->tail);
	return answer;
}

static inline struct nvme_answer admin(struct nvme_guest *g, uint8_t opcode, uint32_t namespace, uint64_t prp1,
				       uint32_t word10, uint32_t word11)
{
	put_words(put(g, 0, opcode, namespace, prp1, 0), word10, word11, 0);
	return run_last(g, 0);
}

static inline void create_pair(struct nvme_guest *g, unsigned queue, unsigned size)
{
	memset(ram(g, IO_CQ(queue)), 0, 0x10000);
	g_assert_cmphex(admin(g, 0x05, 0, IO_CQ(queue), (size - 1) << 16 | queue, queue << 16 | 3).status, ==, 0);
	g_assert_cmphex(admin(g, 0x01, 0, IO_SQ(queue), (size - 1) << 16 | queue, queue << 16 | 1).status, ==, 0);
	g->pair[queue] = (struct nvme_queue_pair){ IO_SQ(queue), IO_CQ(queue), size, 0, 0, true };
}

static inline void enable_messages(struct nvme_guest *g)
{
	for (unsigned i = 0; i <= QUEUES; i++) {
		fake_write(g->machine, MESSAGES + i * 16, 4, 0xFEE00000);
		fake_write(g->machine, MESSAGES + i * 16 + 8, 4, 0x40 + i);
		fake_write(g->machine, MESSAGES + i * 16 + 12, 4, 0);
	}
	pci_config_write(guest_pci(g), guest_pci(g)->msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
}

/* Enabled, with queue pair 1. */
static inline void guest_start(struct nvme_guest *g)
{
	guest_enable(g);
	create_pair(g, 1, DEPTH);
}

static inline void put_io(struct nvme_guest *g, unsigned queue, uint8_t opcode, uint64_t lba, unsigned sectors,
			  uint64_t prp1, uint64_t prp2)
{
	put_words(put(g, queue, opcode, 1, prp1, prp2), (uint32_t)lba, (uint32_t)(lba >> 32), sectors - 1);
}

static inline uint16_t io(struct nvme_guest *g, uint8_t opcode, uint64_t lba, unsigned sectors, uint64_t prp1,
			  uint64_t prp2)
{
	put_io(g, 1, opcode, lba, sectors, prp1, prp2);
	return run_last(g, 1).status;
}
