/* Refcounts of all widths, in pages of the cache. */
#include "qcow2.h"

uint64_t qcow2_refcount_max(const struct qcow2 *image)
{
	return image->refcount_bits == 64 ? UINT64_MAX : (1ull << image->refcount_bits) - 1;
}

static uint64_t index_in_page(const struct qcow2 *image, uint64_t cluster)
{
	return cluster & (((uint64_t)image->page_size * 8 / image->refcount_bits) - 1);
}

uint64_t qcow2_refcount_page_rest(const struct qcow2 *image, uint64_t cluster)
{
	return (uint64_t)image->page_size * 8 / image->refcount_bits - index_in_page(image, cluster);
}

/* The specification, "Refcount block entry": smaller than a byte, entries begin with the least significant bit. */
uint64_t qcow2_refcount_get(const struct qcow2_page *page, uint64_t cluster)
{
	unsigned bits = page->image->refcount_bits;
	uint64_t index = index_in_page(page->image, cluster);
	const uint8_t *at = page->data + index * bits / 8;

	switch (bits) {
	case 64:
		return qcow2_get64(at);
	case 32:
		return qcow2_get32(at);
	case 16:
		return qcow2_get16(at);
	default:
		return *at >> index * bits % 8 & ((1u << bits) - 1);
	}
}

void qcow2_refcount_set(struct qcow2_page *page, uint64_t cluster, uint64_t value)
{
	unsigned bits = page->image->refcount_bits;
	uint64_t index = index_in_page(page->image, cluster);
	uint8_t *at = page->data + index * bits / 8;
	unsigned shift = (unsigned)(index * bits % 8);

	switch (bits) {
	case 64:
		qcow2_put64(at, value);
		break;
	case 32:
		qcow2_put32(at, (uint32_t)value);
		break;
	case 16:
		qcow2_put16(at, (uint16_t)value);
		break;
	default:
		*at = (uint8_t)((*at & ~(((1u << bits) - 1) << shift)) | value << shift);
	}
	qcow2_page_dirty(page);
}

uint64_t qcow2_refcount_load(struct qcow2 *image, uint8_t *block, uint64_t cluster)
{
	uint64_t in_block = cluster & ((1ull << image->block_bits) - 1);
	uint64_t page = in_block * image->refcount_bits / 8 & ~(uint64_t)(image->page_size - 1);
	struct qcow2_page at = { .image = image, .data = block + page };

	return qcow2_refcount_get(&at, cluster);
}

void qcow2_refcount_store(struct qcow2 *image, uint8_t *block, uint64_t cluster, uint64_t value)
{
	uint64_t in_block = cluster & ((1ull << image->block_bits) - 1);
	uint64_t page = in_block * image->refcount_bits / 8 & ~(uint64_t)(image->page_size - 1);
	/* Not a page of the cache: as if it were dirty, so that it does not get among those that are. */
	struct qcow2_page at = { .image = image, .data = block + page, .dirty = true };

	qcow2_refcount_set(&at, cluster, value);
}

struct qcow2_page *qcow2_refcount_page(struct qcow2 *image, uint64_t cluster, struct qcow2_waiter *waiter,
				       bool *missing, int *error)
{
	uint64_t index = cluster >> image->block_bits;
	uint64_t block = index < image->refcount_table_size ? image->refcount_table[index] & QCOW2_REFTABLE_MASK : 0;
	uint64_t in_block = cluster & ((1ull << image->block_bits) - 1);

	*error = 0;
	*missing = block == 0;
	if (*missing)
		return NULL;
	if (block & (image->cluster_size - 1) || block > INT64_MAX - image->cluster_size) {
		*error = qcow2_corrupt(image, "a refcount block is not on a cluster's border");
		return NULL;
	}
	block += in_block * image->refcount_bits / 8 & ~(uint64_t)(image->page_size - 1);
	return qcow2_page_get(image, QCOW2_PAGE_REFCOUNT, block, 0, waiter, error);
}

int qcow2_refcount_page_sync(struct qcow2 *image, uint64_t cluster, struct qcow2_page **page)
{
	struct qcow2_sync_waiter waiter;
	bool missing;
	int error;

	for (;;) {
		qcow2_sync_waiter_init(&waiter);
		*page = qcow2_refcount_page(image, cluster, &waiter.waiter, &missing, &error);
		if (missing)
			return qcow2_corrupt(image, "a cluster in use has no refcount");
		if (*page || error)
			return error;
		error = qcow2_sync_wait(image, &waiter);
		if (error)
			return error;
	}
}

int qcow2_refcount_sync(struct qcow2 *image, uint64_t cluster, uint64_t *count)
{
	struct qcow2_sync_waiter waiter;
	struct qcow2_page *page;
	bool missing;
	int error;

	*count = 0;
	do {
		qcow2_sync_waiter_init(&waiter);
		page = qcow2_refcount_page(image, cluster, &waiter.waiter, &missing, &error);
		if (!page && !missing && !error)
			error = qcow2_sync_wait(image, &waiter);
	} while (!page && !missing && !error);
	if (page) {
		*count = qcow2_refcount_get(page, cluster);
		qcow2_page_put(page);
	}
	return error;
}
