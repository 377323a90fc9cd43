/* From guest addresses to L2 entries, and what these mean. */
#include "qcow2.h"

static unsigned entry_at(const struct qcow2 *image, uint64_t guest)
{
	uint64_t index = guest >> image->cluster_bits & ((1ull << image->l2_bits) - 1);

	return (unsigned)(index * image->entry_size);
}

uint64_t qcow2_page_in_table(const struct qcow2 *image, uint64_t guest)
{
	return entry_at(image, guest) & ~(image->page_size - 1);
}

uint64_t qcow2_page_end(const struct qcow2 *image, uint64_t guest)
{
	uint64_t span = (uint64_t)(image->page_size / image->entry_size) << image->cluster_bits;

	return (guest | (span - 1)) + 1;
}

uint32_t qcow2_l1_index(const struct qcow2 *image, uint64_t guest)
{
	return (uint32_t)(guest >> (image->cluster_bits + image->l2_bits));
}

struct qcow2_entry qcow2_entry_get(const struct qcow2_page *page, uint64_t guest)
{
	const struct qcow2 *image = page->image;
	const uint8_t *raw = page->data + (entry_at(image, guest) & (image->page_size - 1));

	return (struct qcow2_entry){ qcow2_get64(raw), image->extended ? qcow2_get64(raw + 8) : 0 };
}

void qcow2_entry_set(struct qcow2_page *page, uint64_t guest, struct qcow2_entry entry)
{
	const struct qcow2 *image = page->image;
	uint8_t *raw = page->data + (entry_at(image, guest) & (image->page_size - 1));

	qcow2_put64(raw, entry.entry);
	if (image->extended)
		qcow2_put64(raw + 8, entry.bitmap);
	qcow2_page_dirty(page);
}

bool qcow2_has_host(const struct qcow2 *image, struct qcow2_entry entry)
{
	/* Guest offset 0 lies at offset 0 of an external data file. */
	return entry.entry & (QCOW2_COMPRESSED | QCOW2_OFFSET_MASK) || (image->external &&
									entry.entry & QCOW2_COPIED);
}

bool qcow2_writable(const struct qcow2 *image, struct qcow2_entry entry)
{
	return entry.entry & QCOW2_COPIED && !(entry.entry & QCOW2_COMPRESSED) && qcow2_has_host(image, entry);
}

static enum qcow2_kind subcluster_kind(const struct qcow2 *image, struct qcow2_entry entry, uint64_t guest)
{
	unsigned index = (unsigned)(guest >> image->unit_bits) & (QCOW2_SUBCLUSTERS - 1);
	bool allocated = entry.bitmap >> index & 1, zero = entry.bitmap >> (index + 32) & 1;

	if (allocated)
		return zero || !qcow2_has_host(image, entry) ? QCOW2_INVALID : QCOW2_DATA;
	return zero ? QCOW2_ZEROES : QCOW2_UNALLOCATED;
}

enum qcow2_kind qcow2_kind(const struct qcow2 *image, struct qcow2_entry entry, uint64_t guest)
{
	if (entry.entry & QCOW2_COMPRESSED)
		return image->external ? QCOW2_INVALID : QCOW2_PACKED;
	if (entry.entry & QCOW2_OFFSET_MASK & (image->cluster_size - 1))
		return QCOW2_INVALID;
	if (image->extended)
		return subcluster_kind(image, entry, guest);
	if (entry.entry & QCOW2_ZERO)
		return image->header.version < 3 ? QCOW2_INVALID : QCOW2_ZEROES;
	return qcow2_has_host(image, entry) ? QCOW2_DATA : QCOW2_UNALLOCATED;
}

/* The specification, "L2 table entry", "Compressed Clusters Descriptor". */
uint64_t qcow2_packed_offset(const struct qcow2 *image, uint64_t entry)
{
	return entry & ((1ull << (70 - image->cluster_bits)) - 1);
}

uint64_t qcow2_packed_length(const struct qcow2 *image, uint64_t entry)
{
	uint64_t sectors = (entry & (QCOW2_COMPRESSED - 1)) >> (70 - image->cluster_bits);

	return (sectors + 1) * 512 - (qcow2_packed_offset(image, entry) & 511);
}

struct qcow2_page *qcow2_map(struct qcow2 *image, uint64_t guest, struct qcow2_waiter *waiter, bool *missing,
			     int *error)
{
	uint32_t index = qcow2_l1_index(image, guest);
	uint64_t table = image->l1[index] & QCOW2_OFFSET_MASK;

	*error = 0;
	*missing = table == 0;
	if (*missing)
		return NULL;
	if (table & (image->cluster_size - 1)) {
		*error = qcow2_corrupt(image, "L2 table %u is not on a cluster's border", index);
		return NULL;
	}
	return qcow2_page_get(image, QCOW2_PAGE_L2, table + qcow2_page_in_table(image, guest), index, waiter, error);
}

uint64_t qcow2_run(const struct qcow2_page *page, uint64_t guest, uint64_t limit, enum qcow2_kind *kind,
		   struct qcow2_entry *first)
{
	const struct qcow2 *image = page->image;
	uint64_t unit = 1ull << image->unit_bits;
	uint64_t end = MIN(limit, qcow2_page_end(image, guest)), at = (guest | (unit - 1)) + 1;
	struct qcow2_entry entry = qcow2_entry_get(page, guest);

	*first = entry;
	*kind = qcow2_kind(image, entry, guest);
	if (*kind == QCOW2_PACKED)
		return MIN(end, (guest | (image->cluster_size - 1)) + 1) - guest;
	for (; at < end; at += unit) {
		if ((at & (image->cluster_size - 1)) == 0)
			entry = qcow2_entry_get(page, at);
		if (qcow2_kind(image, entry, at) != *kind || (*kind == QCOW2_DATA &&
		    qcow2_host(image, entry, at) - qcow2_host(image, *first, guest) != at - guest))
			break;
	}
	return MIN(at, end) - guest;
}

static bool ranges_overlap(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
	return a < b + b_length && b < a + a_length;
}

bool qcow2_overlaps_fixed(const struct qcow2 *image, uint64_t offset, uint64_t length)
{
	const struct qcow2_header *header = &image->header;

	return ranges_overlap(offset, length, 0, image->cluster_size) ||
	       ranges_overlap(offset, length, header->refcount_table_offset,
			      (uint64_t)header->refcount_table_clusters << image->cluster_bits) ||
	       (header->nb_snapshots && ranges_overlap(offset, length, header->snapshots_offset,
						       image->cluster_size));
}

bool qcow2_overlaps(const struct qcow2 *image, uint64_t offset, uint64_t length)
{
	const struct qcow2_header *header = &image->header;

	return ranges_overlap(offset, length, header->l1_table_offset, header->l1_size * 8ull) ||
	       qcow2_overlaps_fixed(image, offset, length);
}
