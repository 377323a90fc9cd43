/* The NVM command set (NVM Express 1.4 section 6). */
#include "nvme_internal.h"

#include <string.h>

#include "../storage/trim.h"

#define FORCE_UNIT_ACCESS (1u << 30) /* command dword 12 */
#define DEALLOCATE (1u << 2)         /* Dataset Management, command dword 11 */
#define RANGE_SIZE 16u
#define RANGES_MAX 256u

#define EFFECTS_SUPPORTED (1u << 0)
#define EFFECTS_CONTENT_CHANGE (1u << 1)
#define EFFECTS_IO 1024u /* where the NVM commands begin in the log */

/* --- Requests --- */

static void request_done(struct block_request *request, int error)
{
	struct nvme_command *command = (struct nvme_command *)((char *)request -
							       G_STRUCT_OFFSET(struct nvme_command, request));

	if (!command->sq->nvme->discarding)
		command->io_done(command, error);
}

void nvme_submit(struct nvme_command *command, enum block_operation operation,
		 void (*done)(struct nvme_command *command, int error))
{
	command->request.operation = operation;
	command->request.done = request_done;
	command->io_done = done;
	block_submit(command->sq->nvme->block, &command->request);
}

static enum nvme_status status_of(struct nvme_command *command, int error)
{
	if (!error)
		return NVME_SUCCESS;
	command->sq->nvme->media_errors++;
	return command->request.operation == BLOCK_READ ? NVME_READ_ERROR : NVME_WRITE_FAULT;
}

static void io_done(struct nvme_command *command, int error)
{
	if (!error && command->flush_after) {
		command->flush_after = false;
		nvme_submit(command, BLOCK_FLUSH, io_done);
		return;
	}
	nvme_complete(command, status_of(command, error), 0);
}

/* --- Ranges --- */

static bool outside(const struct nvme *nvme, uint64_t lba, uint64_t sectors)
{
	return lba >= nvme->sectors || sectors > nvme->sectors - lba;
}

/* Fills the request with what command dwords 10 to 12 say. */
static enum nvme_status take_range(struct nvme_command *command)
{
	const uint32_t *word = command->entry.word;
	uint64_t lba = word[0] | (uint64_t)word[1] << 32, sectors = (word[2] & 0xFFFF) + 1;

	if (outside(command->sq->nvme, lba, sectors))
		return NVME_LBA_OUT_OF_RANGE;
	command->request.offset = lba * NVME_SECTOR;
	command->request.length = sectors * NVME_SECTOR;
	return NVME_SUCCESS;
}

/* The buffer, too. */
static enum nvme_status take_transfer(struct nvme_command *command)
{
	enum nvme_status status = take_range(command);

	if (!status)
		status = nvme_map(command, command->request.length);
	command->request.iov = command->iov;
	command->request.iov_count = command->iov_count;
	return status;
}

static bool must_reach_medium(const struct nvme_command *command)
{
	return command->entry.word[2] & FORCE_UNIT_ACCESS ||
	       !(command->sq->nvme->features[NVME_FEATURE_WRITE_CACHE] & 1);
}

/* --- Commands --- */

static enum nvme_status run_flush(struct nvme_command *command)
{
	nvme_submit(command, BLOCK_FLUSH, io_done);
	return NVME_SUCCESS;
}

static enum nvme_status run_read(struct nvme_command *command)
{
	enum nvme_status status = take_transfer(command);

	if (!status)
		nvme_submit(command, BLOCK_READ, io_done);
	return status;
}

static enum nvme_status run_write(struct nvme_command *command)
{
	enum nvme_status status = take_transfer(command);

	command->request.force_unit_access = must_reach_medium(command);
	if (!status)
		nvme_submit(command, BLOCK_WRITE, io_done);
	return status;
}

static enum nvme_status run_write_zeroes(struct nvme_command *command)
{
	enum nvme_status status = take_range(command);

	command->flush_after = must_reach_medium(command);
	if (!status)
		nvme_submit(command, BLOCK_WRITE_ZEROES, io_done);
	return status;
}

static void compare_done(struct nvme_command *command, int error)
{
	const uint8_t *disk = command->bounce;
	bool equal = true;

	for (unsigned i = 0; !error && equal && i < command->iov_count; i++) {
		equal = memcmp(disk, command->iov[i].iov_base, command->iov[i].iov_len) == 0;
		disk += command->iov[i].iov_len;
	}
	nvme_complete(command, error || equal ? status_of(command, error) : NVME_COMPARE_FAILURE, 0);
}

static enum nvme_status run_compare(struct nvme_command *command)
{
	enum nvme_status status = take_transfer(command);

	if (status)
		return status;
	command->bounce = g_malloc(command->request.length);
	command->bounce_iov = (struct iovec){ command->bounce, command->request.length };
	command->request.iov = &command->bounce_iov;
	command->request.iov_count = 1;
	nvme_submit(command, BLOCK_READ, compare_done);
	return NVME_SUCCESS;
}

static void trim_done(void *opaque, int error)
{
	struct nvme_command *command = opaque;

	if (command->sq->nvme->discarding)
		return;
	command->request.operation = BLOCK_DISCARD;
	nvme_complete(command, status_of(command, error), 0);
}

/* All of the ranges, or none. */
static enum nvme_status start_trim(struct nvme_command *command, const uint8_t *ranges, unsigned count)
{
	struct nvme *nvme = command->sq->nvme;
	struct trim *trim;

	for (unsigned i = 0; i < count; i++) {
		uint32_t sectors = pci_get32(ranges + i * RANGE_SIZE + 4);

		if (sectors && outside(nvme, pci_get64(ranges + i * RANGE_SIZE + 8), sectors))
			return NVME_LBA_OUT_OF_RANGE;
	}
	trim = trim_new(nvme->block, count, trim_done, command);
	for (unsigned i = 0; i < count; i++)
		trim_add(trim, pci_get64(ranges + i * RANGE_SIZE + 8) * NVME_SECTOR,
			 (uint64_t)pci_get32(ranges + i * RANGE_SIZE + 4) * NVME_SECTOR);
	trim_start(trim);
	return NVME_SUCCESS;
}

static enum nvme_status run_dataset_management(struct nvme_command *command)
{
	unsigned count = (command->entry.word[0] & 0xFF) + 1;
	uint8_t ranges[RANGES_MAX * RANGE_SIZE];
	enum nvme_status status = nvme_take(command, ranges, count * RANGE_SIZE);

	if (status)
		return status;
	/* What is said of how the range will be used is only a hint. */
	if (command->entry.word[1] & DEALLOCATE && command->sq->nvme->ssd)
		return start_trim(command, ranges, count);
	nvme_complete(command, NVME_SUCCESS, 0);
	return NVME_SUCCESS;
}

/* run: starts or completes the command, or returns why not. */
static const struct operation {
	enum nvme_status (*run)(struct nvme_command *command);
	bool writes;
	bool all_namespaces;
} operations[] = {
	[0x00] = { run_flush, false, true },
	[0x01] = { run_write, true, false },
	[0x02] = { run_read, false, false },
	[0x05] = { run_compare, false, false },
	[0x08] = { run_write_zeroes, true, false },
	[0x09] = { run_dataset_management, true, false },
};

static enum nvme_status check(const struct nvme_command *command, const struct operation *operation)
{
	uint32_t namespace = command->entry.namespace;

	if (!operation || !operation->run)
		return NVME_INVALID_OPCODE;
	if (namespace != NVME_NAMESPACE && !(namespace == NVME_ALL_NAMESPACES && operation->all_namespaces))
		return NVME_INVALID_NAMESPACE;
	if (operation->writes && block_read_only(command->sq->nvme->block))
		return NVME_WRITE_PROTECTED;
	return NVME_SUCCESS;
}

void nvme_io_execute(struct nvme_command *command)
{
	const struct operation *operation = command->entry.opcode < G_N_ELEMENTS(operations) ?
					    &operations[command->entry.opcode] : NULL;
	enum nvme_status status = check(command, operation);

	command->request.force_unit_access = false;
	if (!status)
		status = operation->run(command);
	if (status)
		nvme_complete(command, status, 0);
}

void nvme_io_effects(uint8_t *log)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++)
		if (operations[i].run)
			pci_set32(log + EFFECTS_IO + 4 * i,
				  EFFECTS_SUPPORTED | (operations[i].writes ? EFFECTS_CONTENT_CHANGE : 0));
}
