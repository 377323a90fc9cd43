/* The disk of the first NVMe controller, driven by one I/O queue pair and messages for interrupts. */
#include "machine.h"

#define ADMIN_SQ 0x3200000ull
#define ADMIN_CQ 0x3201000ull
#define IO_SQ 0x3202000ull
#define IO_CQ 0x3203000ull
#define DATA 0x3204000ull
#define LISTS 0x3210000ull   /* of pages, one for each slot */
#define BUFFERS 0x1100000ull /* 32 of 1 MiB, as of the SATA disk */
#define BUFFER_SIZE 0x100000u
#define PAGE 4096u
#define SLOTS 32
#define ENTRIES 64u

#define CAP 0x00
#define CC 0x14
#define CSTS 0x1C
#define AQA 0x24
#define ASQ 0x28
#define ACQ 0x30
#define DOORBELLS 0x1000

#define ADMIN_CREATE_SQ 0x01
#define ADMIN_CREATE_CQ 0x05
#define ADMIN_IDENTIFY 0x06
#define NVM_WRITE 0x01
#define NVM_READ 0x02

struct queue {
	uint64_t sq, cq;
	uint32_t tail, head, phase;
	uintptr_t tail_doorbell, head_doorbell;
};

static struct {
	uintptr_t registers;
	uint64_t sectors;
	struct queue admin, io;
	bool failed; /* a command ended with an error */
} nvme;

static void init_queue(struct queue *queue, unsigned id, uint64_t sq, uint64_t cq)
{
	uintptr_t stride = 4u << (load(nvme.registers + CAP + 4) & 15);

	memset((void *)(uintptr_t)sq, 0, PAGE);
	memset((void *)(uintptr_t)cq, 0, PAGE);
	*queue = (struct queue){ sq, cq, 0, 0, 1, nvme.registers + DOORBELLS + 2 * id * stride,
				 nvme.registers + DOORBELLS + (2 * id + 1) * stride };
}

/* Without its doorbell. word: command dwords 10, 11 and 12 */
static void put(struct queue *queue, uint8_t opcode, uint16_t id, uint32_t namespace, uint64_t prp1, uint64_t prp2,
		const uint32_t word[3])
{
	uint32_t *entry = (uint32_t *)(uintptr_t)(queue->sq + queue->tail * 64);

	memset(entry, 0, 64);
	entry[0] = opcode | (uint32_t)id << 16;
	entry[1] = namespace;
	*(uint64_t *)(entry + 6) = prp1;
	*(uint64_t *)(entry + 8) = prp2;
	for (unsigned i = 0; i < 3; i++)
		entry[10 + i] = word[i];
	queue->tail = (queue->tail + 1) % ENTRIES;
}

/* Takes what has completed; returns a bit for each id. */
static uint32_t reap(struct queue *queue)
{
	uint32_t done = 0, before = queue->head;

	for (;;) {
		volatile uint32_t *entry = (volatile uint32_t *)(uintptr_t)(queue->cq + queue->head * 16);
		uint32_t end = entry[3];

		if ((end >> 16 & 1) != queue->phase)
			break;
		nvme.failed |= end >> 17 != 0;
		done |= 1u << (end & 31);
		queue->head = (queue->head + 1) % ENTRIES;
		if (queue->head == 0)
			queue->phase ^= 1;
	}
	if (queue->head != before)
		store(queue->head_doorbell, queue->head);
	return done;
}

static bool admin(uint8_t opcode, uint32_t namespace, uint64_t prp1, uint32_t word10, uint32_t word11)
{
	const uint32_t word[3] = { word10, word11, 0 };

	put(&nvme.admin, opcode, 0, namespace, prp1, 0, word);
	store(nvme.admin.tail_doorbell, nvme.admin.tail);
	for (unsigned i = 0; i < 100000000; i++)
		if (reap(&nvme.admin))
			return !nvme.failed;
	return false;
}

static bool start_controller(void)
{
	store(nvme.registers + CC, 0);
	for (unsigned i = 0; i < 10000000 && load(nvme.registers + CSTS) & 1; i++)
		;
	init_queue(&nvme.admin, 0, ADMIN_SQ, ADMIN_CQ);
	init_queue(&nvme.io, 1, IO_SQ, IO_CQ);
	store(nvme.registers + AQA, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	store(nvme.registers + ASQ, (uint32_t)ADMIN_SQ);
	store(nvme.registers + ASQ + 4, 0);
	store(nvme.registers + ACQ, (uint32_t)ADMIN_CQ);
	store(nvme.registers + ACQ + 4, 0);
	store(nvme.registers + CC, 4 << 20 | 6 << 16 | 1);
	for (unsigned i = 0; i < 10000000 && !(load(nvme.registers + CSTS) & 3); i++)
		;
	return (load(nvme.registers + CSTS) & 3) == 1;
}

static void make_lists(void)
{
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		uint64_t *list = (uint64_t *)(uintptr_t)(LISTS + slot * PAGE);

		for (unsigned i = 1; i < BUFFER_SIZE / PAGE; i++)
			list[i - 1] = BUFFERS + (uint64_t)slot * BUFFER_SIZE + i * PAGE;
	}
}

static bool init(void)
{
	uint32_t address = pci_find_class(0x0108);

	if (address == PCI_NONE)
		return false;
	pci_write(address, 4, pci_read(address, 4) | 6);
	nvme.registers = pci_read(address, 0x10) & ~0xFu;
	nvme.failed = false;
	if (!pci_enable_message(address, 1) || !start_controller() || !admin(ADMIN_IDENTIFY, 1, DATA, 0, 0))
		return false;
	nvme.sectors = *(uint64_t *)DATA;
	make_lists();
	return admin(ADMIN_CREATE_CQ, 0, IO_CQ, (ENTRIES - 1) << 16 | 1, 1 << 16 | 3) &&
	       admin(ADMIN_CREATE_SQ, 0, IO_SQ, (ENTRIES - 1) << 16 | 1, 1 << 16 | 1);
}

/* Found when it is first asked for: most machines have none. */
static bool ready(void)
{
	static bool tried, works;

	if (!tried)
		works = init();
	tried = true;
	return works;
}

static void prepare(unsigned slot, bool write, uint64_t sector, uint32_t bytes)
{
	uint64_t buffer = BUFFERS + (uint64_t)slot * BUFFER_SIZE;
	const uint32_t word[3] = { (uint32_t)sector, (uint32_t)(sector >> 32), bytes / 512 - 1 };

	put(&nvme.io, write ? NVM_WRITE : NVM_READ, (uint16_t)slot, 1, buffer,
	    bytes > 2 * PAGE ? LISTS + slot * PAGE : buffer + PAGE, word);
}

/* Begins what was prepared. */
static void ring(void)
{
	pending = 0;
	store(nvme.io.tail_doorbell, nvme.io.tail);
}

/* Waits until something has completed. */
static uint32_t wait(void)
{
	uint32_t done;

	for (;;) {
		pending = 0;
		done = reap(&nvme.io);
		if (done)
			return done;
		idle();
	}
}

uint64_t nvme_run(const struct disk_job *job)
{
	uint64_t begun = 0, random = DISK_JOB_SEED, start, count = job->block_size ? job->total / job->block_size : 0;
	uint32_t busy = 0, limit = job->depth < SLOTS ? job->depth : SLOTS;

	if (!limit || !count || job->block_size > BUFFER_SIZE || job->block_size % 512 || !ready() ||
	    nvme.sectors * 512 < job->block_size)
		return 0;
	start = tsc();
	while (begun < count || busy) {
		uint32_t fresh = 0;

		for (unsigned slot = 0; slot < limit && begun < count; slot++) {
			if (busy & 1u << slot)
				continue;
			prepare(slot, job->write, disk_job_place(job, nvme.sectors * 512, begun++, &random),
				job->block_size);
			fresh |= 1u << slot;
		}
		if (fresh)
			ring();
		busy |= fresh;
		busy &= ~wait();
		if (nvme.failed)
			return 0;
	}
	return tsc() - start;
}

bool nvme_check(uint64_t sector, uint32_t count)
{
	uint32_t *out = (uint32_t *)BUFFERS, *in = (uint32_t *)(BUFFERS + BUFFER_SIZE), bytes = count * 512;

	if (!count || count > BUFFER_SIZE / 512 || !ready() || sector + count > nvme.sectors)
		return false;
	for (uint32_t i = 0; i < bytes / 4; i++) {
		out[i] = (uint32_t)sector * 0x9E3779B1u + i;
		in[i] = ~out[i];
	}
	for (unsigned slot = 0; slot < 2; slot++) {
		prepare(slot, slot == 0, sector, bytes);
		ring();
		wait();
	}
	for (uint32_t i = 0; i < bytes / 4; i++)
		if (in[i] != out[i])
			return false;
	return !nvme.failed;
}
