/* The guest's buffers: physical region pages (NVM Express 1.4 section 4.3). */
#include "nvme_internal.h"

#include <string.h>

#define PRP_SIZE 8u

/* One buffer, that lies within a page. */
static enum nvme_status add_buffer(struct nvme_command *command, uint64_t address, uint64_t length)
{
	struct iovec *last = command->iov_count ? &command->iov[command->iov_count - 1] : NULL;
	char *buffer = memory_ptr(nvme_memory(command->sq->nvme), address, length);

	if (!buffer) {
		log_guest_error(&command->sq->nvme->complaints, "nvme", "queue %u: buffer at 0x%" G_GINT64_MODIFIER
				"x is not RAM", command->sq->id, address);
		return NVME_DATA_TRANSFER_ERROR;
	}
	if (last && (char *)last->iov_base + last->iov_len == buffer) {
		last->iov_len += length;
		return NVME_SUCCESS;
	}
	if (command->iov_count == command->iov_capacity) {
		command->iov_capacity = MAX(16, command->iov_capacity * 2);
		command->iov = g_renew(struct iovec, command->iov, command->iov_capacity);
	}
	command->iov[command->iov_count++] = (struct iovec){ buffer, length };
	return NVME_SUCCESS;
}

/* All but the first page begin at their start. */
static enum nvme_status add_page(struct nvme_command *command, uint64_t address, uint64_t *left)
{
	uint64_t length = MIN(*left, NVME_PAGE);

	*left -= length;
	return address % NVME_PAGE ? NVME_INVALID_PRP_OFFSET : add_buffer(command, address, length);
}

/*
 * A list may begin anywhere in a page, and goes up to the end of it. If that does not do, its last entry is the address
 * of another list, which begins at the start of a page: each one leads at least to one page of data.
 */
static enum nvme_status add_list(struct nvme_command *command, uint64_t list, uint64_t left)
{
	struct memory *memory = nvme_memory(command->sq->nvme);
	bool first = true;

	if (list % PRP_SIZE)
		return NVME_INVALID_PRP_OFFSET;
	while (left) {
		unsigned room = (unsigned)(NVME_PAGE - list % NVME_PAGE) / PRP_SIZE;
		uint64_t pages = (left + NVME_PAGE - 1) / NVME_PAGE;
		unsigned count = (unsigned)MIN(pages, pages > room ? room - 1 : room);
		bool chained = pages > room;
		const uint8_t *entries = memory_ptr(memory, list, (count + chained) * PRP_SIZE);

		if (!entries)
			return NVME_DATA_TRANSFER_ERROR;
		if (list % NVME_PAGE && !first)
			return NVME_INVALID_PRP_OFFSET;
		first = false;
		for (unsigned i = 0; i < count; i++) {
			enum nvme_status status = add_page(command, pci_get64(entries + i * PRP_SIZE), &left);

			if (status)
				return status;
		}
		if (chained)
			list = pci_get64(entries + count * PRP_SIZE);
	}
	return NVME_SUCCESS;
}

enum nvme_status nvme_map(struct nvme_command *command, uint64_t length)
{
	const struct nvme_entry *entry = &command->entry;
	uint64_t head = MIN(length, NVME_PAGE - entry->prp1 % NVME_PAGE);
	enum nvme_status status;

	command->iov_count = 0;
	if (length > NVME_TRANSFER_MAX)
		return NVME_INVALID_FIELD;
	if (!length)
		return NVME_SUCCESS;
	if (entry->prp1 % 4)
		return NVME_INVALID_PRP_OFFSET;
	status = add_buffer(command, entry->prp1, head);
	length -= head;
	if (status || !length)
		return status;
	if (length <= NVME_PAGE)
		return add_page(command, entry->prp2, &length);
	return add_list(command, entry->prp2, length);
}

enum nvme_status nvme_give(struct nvme_command *command, const void *data, uint64_t length)
{
	enum nvme_status status = nvme_map(command, length);
	const char *from = data;

	if (status)
		return status;
	for (unsigned i = 0; i < command->iov_count; i++) {
		memcpy(command->iov[i].iov_base, from, command->iov[i].iov_len);
		from += command->iov[i].iov_len;
	}
	return NVME_SUCCESS;
}

enum nvme_status nvme_take(struct nvme_command *command, void *data, uint64_t length)
{
	enum nvme_status status = nvme_map(command, length);
	char *to = data;

	if (status)
		return status;
	for (unsigned i = 0; i < command->iov_count; i++) {
		memcpy(to, command->iov[i].iov_base, command->iov[i].iov_len);
		to += command->iov[i].iov_len;
	}
	return NVME_SUCCESS;
}
