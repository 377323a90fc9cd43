/* The first hard disk of the first AHCI controller, driven with native command queuing and messages for interrupts. */
#include "machine.h"

#define COMMAND_LIST 0x1000000ull /* 1 KiB */
#define RECEIVED_FIS 0x1000400ull
#define COMMAND_TABLES 0x1001000ull /* 32 of 256 bytes */
#define BUFFERS 0x1100000ull        /* 32 of 1 MiB */
#define BUFFER_SIZE 0x100000u
#define HIGH_BUFFER 0x100000000ull
#define SLOTS 32

/* HBA */
#define GHC 0x04
#define IS 0x08
#define PI 0x0C
/* Port */
#define PX_CLB 0x00
#define PX_FB 0x08
#define PX_IS 0x10
#define PX_IE 0x14
#define PX_CMD 0x18
#define PX_TFD 0x20
#define PX_SIG 0x24
#define PX_SSTS 0x28
#define PX_SERR 0x30
#define PX_SACT 0x34
#define PX_CI 0x38

#define ATA_DATA_SET_MANAGEMENT 0x06
#define ATA_FLUSH_EXT 0xEA
#define ATA_IDENTIFY 0xEC
#define ATA_READ_FPDMA 0x60
#define ATA_WRITE_FPDMA 0x61

static struct {
	uintptr_t hba, port;
	uint64_t sectors;
	char model[41];
} disk;

static void wait_clear(uintptr_t address, uint32_t bits)
{
	for (unsigned i = 0; i < 1000000 && load(address) & bits; i++)
		;
}

static void start_port(void)
{
	store(disk.port + PX_CMD, load(disk.port + PX_CMD) & ~0x11u);
	wait_clear(disk.port + PX_CMD, 0xC000);
	store(disk.port + PX_CLB, (uint32_t)COMMAND_LIST);
	store(disk.port + PX_CLB + 4, 0);
	store(disk.port + PX_FB, (uint32_t)RECEIVED_FIS);
	store(disk.port + PX_FB + 4, 0);
	store(disk.port + PX_SERR, ~0u);
	store(disk.port + PX_IS, ~0u);
	store(disk.hba + IS, ~0u);
	store(disk.port + PX_IE, 0x4000000F); /* task file error; D2H, PIO, DMA set-up, set device bits */
	store(disk.port + PX_CMD, load(disk.port + PX_CMD) | 0x11);
	disk_port_status = disk.port + PX_IS;
	disk_controller_status = disk.hba + IS;
}

/* bytes 0: a command without data */
static void prepare_at(unsigned slot, bool write, uint8_t command, uint64_t sector, uint32_t bytes, uint64_t buffer)
{
	uint32_t *header = (uint32_t *)(COMMAND_LIST + slot * 32);
	uint8_t *table = (uint8_t *)(COMMAND_TABLES + slot * 256);
	uint32_t *prd = (uint32_t *)(table + 0x80);
	uint32_t sectors = bytes / 512;

	header[0] = 5 | (write ? 0x40 : 0) | (bytes ? 1 << 16 : 0);
	header[1] = 0;
	header[2] = (uint32_t)(uintptr_t)table;
	header[3] = 0;
	memset(table, 0, 64);
	table[0] = 0x27;
	table[1] = 0x80;
	table[2] = command;
	table[4] = (uint8_t)sector;
	table[5] = (uint8_t)(sector >> 8);
	table[6] = (uint8_t)(sector >> 16);
	table[7] = 0x40;
	table[8] = (uint8_t)(sector >> 24);
	table[9] = (uint8_t)(sector >> 32);
	table[10] = (uint8_t)(sector >> 40);
	if (command == ATA_READ_FPDMA || command == ATA_WRITE_FPDMA) {
		table[3] = (uint8_t)sectors;
		table[11] = (uint8_t)(sectors >> 8);
		table[12] = (uint8_t)(slot << 3);
	}
	prd[0] = (uint32_t)buffer;
	prd[1] = (uint32_t)(buffer >> 32);
	prd[2] = 0;
	prd[3] = bytes - 1;
}

static void prepare(unsigned slot, bool write, uint8_t command, uint64_t sector, uint32_t bytes)
{
	prepare_at(slot, write, command, sector, bytes, BUFFERS + (uint64_t)slot * BUFFER_SIZE);
}

static bool failed(void)
{
	return load(disk.port + PX_TFD) & 1;
}

static bool identify(void)
{
	uint16_t *words = (uint16_t *)BUFFERS;

	prepare(0, false, ATA_IDENTIFY, 0, 512);
	store(disk.port + PX_CI, 1);
	wait_clear(disk.port + PX_CI, 1);
	if (failed() || load(disk.port + PX_CI) & 1)
		return false;
	for (unsigned i = 0; i < 20; i++) {
		disk.model[i * 2] = (char)(words[27 + i] >> 8);
		disk.model[i * 2 + 1] = (char)words[27 + i];
	}
	for (unsigned i = 40; i > 0 && (disk.model[i] == ' ' || !disk.model[i]); i--)
		disk.model[i] = 0;
	disk.sectors = (uint64_t)words[103] << 48 | (uint64_t)words[102] << 32 | (uint32_t)words[101] << 16 |
		       words[100];
	return true;
}

const char *disk_init(void)
{
	uint32_t address = pci_find_class(0x0106);

	if (address == PCI_NONE)
		return NULL;
	pci_write(address, 4, pci_read(address, 4) | 6);
	disk.hba = pci_read(address, 0x24) & ~0xFu;
	store(disk.hba + GHC, load(disk.hba + GHC) | 0x80000000);
	for (unsigned i = 0; i < 32; i++) {
		uintptr_t port = disk.hba + 0x100 + i * 0x80;

		if (!(load(disk.hba + PI) & 1u << i) || (load(port + PX_SSTS) & 0xF) != 3 ||
		    load(port + PX_SIG) != 0x101)
			continue;
		disk.port = port;
		start_port();
		if (!identify())
			return NULL;
		if (pci_enable_msi(address, DISK_VECTOR))
			store(disk.hba + GHC, load(disk.hba + GHC) | 2);
		return disk.model;
	}
	return NULL;
}

uint64_t disk_size(void)
{
	return disk.sectors * 512;
}

static uint64_t next_random(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

uint64_t disk_job_place(const struct disk_job *job, uint64_t bytes, uint64_t block, uint64_t *random)
{
	uint64_t blocks = bytes / job->block_size;

	return (job->random ? next_random(random) % blocks : block % blocks) * (job->block_size / 512);
}

uint64_t disk_run(const struct disk_job *job)
{
	uint64_t count = job->total / job->block_size, begun = 0, random = DISK_JOB_SEED, start;
	uint32_t busy = 0, limit = job->depth < SLOTS ? job->depth : SLOTS;
	uint8_t command = job->write ? ATA_WRITE_FPDMA : ATA_READ_FPDMA;

	if (!disk.port || !limit || !job->block_size || job->block_size > BUFFER_SIZE || job->block_size % 512 ||
	    disk_size() < job->block_size)
		return 0;
	start = tsc();
	while (begun < count || busy) {
		uint32_t fresh = 0;

		for (unsigned slot = 0; slot < limit && begun < count; slot++) {
			if (busy & 1u << slot)
				continue;
			prepare(slot, job->write, command, disk_job_place(job, disk_size(), begun++, &random), job->block_size);
			fresh |= 1u << slot;
		}
		if (fresh) {
			store(disk.port + PX_SACT, fresh);
			pending = 0;
			store(disk.port + PX_CI, fresh);
			busy |= fresh;
		}
		idle();
		pending = 0;
		if (failed())
			return 0;
		busy &= load(disk.port + PX_SACT) | load(disk.port + PX_CI);
	}
	return tsc() - start;
}

/* A queued command that fails stays in the register. */
static bool done(uintptr_t address)
{
	for (unsigned i = 0; i < 1000000 && load(address) & 1; i++)
		if (failed())
			return false;
	return !failed() && !(load(address) & 1);
}

static bool transfer(bool write, uint64_t sector, uint32_t bytes, uint64_t buffer)
{
	prepare_at(0, write, write ? ATA_WRITE_FPDMA : ATA_READ_FPDMA, sector, bytes, buffer);
	store(disk.port + PX_SACT, 1);
	store(disk.port + PX_CI, 1);
	return done(disk.port + PX_SACT);
}

/* The two halves of the buffers: a pattern, and nothing of it. */
static bool fill(uint64_t sector, uint32_t bytes)
{
	uint32_t *out = (uint32_t *)BUFFERS, *in = (uint32_t *)(BUFFERS + BUFFER_SIZE);

	if (!disk.port || !bytes || bytes > BUFFER_SIZE)
		return false;
	for (uint32_t i = 0; i < bytes / 4; i++) {
		out[i] = (uint32_t)sector * 0x9E3779B1u + i;
		in[i] = ~out[i];
	}
	return true;
}

static bool compare(uint32_t bytes)
{
	const uint32_t *out = (uint32_t *)BUFFERS, *in = (uint32_t *)(BUFFERS + BUFFER_SIZE);

	for (uint32_t i = 0; i < bytes / 4; i++)
		if (in[i] != out[i])
			return false;
	return true;
}

bool disk_check(uint64_t sector, uint32_t count)
{
	uint32_t bytes = count * 512;

	return sector + count <= disk.sectors && fill(sector, bytes) && transfer(true, sector, bytes, BUFFERS) &&
	       transfer(false, sector, bytes, BUFFERS + BUFFER_SIZE) && compare(bytes);
}

bool disk_check_high(uint64_t sector, uint32_t count)
{
	uint32_t bytes = count * 512;

	return sector + 2 * (uint64_t)count <= disk.sectors && fill(sector, bytes) &&
	       transfer(true, sector, bytes, BUFFERS) && transfer(false, sector, bytes, HIGH_BUFFER) &&
	       transfer(true, sector + count, bytes, HIGH_BUFFER) &&
	       transfer(false, sector + count, bytes, BUFFERS + BUFFER_SIZE) && compare(bytes);
}

/* A command that is not queued. */
static bool run_prepared(void)
{
	pending = 0;
	store(disk.port + PX_CI, 1);
	while (!failed() && load(disk.port + PX_CI)) {
		idle();
		pending = 0;
	}
	return !failed();
}

bool disk_flush(void)
{
	if (!disk.port)
		return false;
	prepare(0, false, ATA_FLUSH_EXT, 0, 0);
	return run_prepared();
}

uint64_t *disk_buffer(uint32_t slot)
{
	return (uint64_t *)(BUFFERS + (uint64_t)slot * BUFFER_SIZE);
}

void disk_prepare_write(uint32_t slot, uint64_t sector, uint32_t count, bool write_through)
{
	prepare(slot, true, ATA_WRITE_FPDMA, sector, count * 512);
	if (write_through)
		((uint8_t *)(COMMAND_TABLES + slot * 256))[7] |= 0x80;
}

bool disk_run_queued(uint32_t slots)
{
	if (!disk.port)
		return false;
	store(disk.port + PX_SACT, slots);
	pending = 0;
	store(disk.port + PX_CI, slots);
	while (!failed() && (load(disk.port + PX_SACT) | load(disk.port + PX_CI))) {
		idle();
		pending = 0;
	}
	return !failed();
}

bool disk_trim(uint64_t sector, uint32_t count)
{
	uint64_t *range = disk_buffer(0);
	uint8_t *table = (uint8_t *)COMMAND_TABLES;

	memset(range, 0, 512);
	range[0] = sector | (uint64_t)count << 48;
	prepare(0, true, ATA_DATA_SET_MANAGEMENT, 0, 512);
	table[3] = 1; /* TRIM */
	table[12] = 1;
	return run_prepared();
}
