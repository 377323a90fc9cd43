/*
 * Checking: all references to clusters are counted anew, and compared with the refcounts. Blocking, with bounded
 * memory and time however the image came to be.
 */
#include "qcow2.h"

#include <errno.h>
#include <string.h>

#include "../image.h"

#define CHUNK_CLUSTERS 512u
#define CHUNKS_MAX (128u << 10) /* 256 MiB of counters */
#define BUDGET (64ull << 30)    /* bytes of tables */

/* --- Counting --- */

static uint32_t *counter(struct qcow2_check *check, uint64_t cluster, bool create)
{
	uint64_t key = cluster / CHUNK_CLUSTERS;

	if (!check->chunk || key != check->chunk_last) {
		uint32_t *chunk = g_hash_table_lookup(check->chunks, &key);

		if (!chunk && !create)
			return NULL;
		if (!chunk && g_hash_table_size(check->chunks) >= CHUNKS_MAX) {
			check->error = ENOMEM;
			return NULL;
		}
		if (!chunk) {
			chunk = g_new0(uint32_t, CHUNK_CLUSTERS);
			g_hash_table_insert(check->chunks, g_memdup2(&key, sizeof key), chunk);
		}
		check->chunk = chunk;
		check->chunk_last = key;
	}
	return &check->chunk[cluster % CHUNK_CLUSTERS];
}

uint32_t qcow2_check_references(struct qcow2_check *check, uint64_t cluster)
{
	const uint32_t *count = counter(check, cluster, false);

	return count ? *count : 0;
}

static int by_key(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

	return first < second ? -1 : first > second;
}

/* For qcow2_check_next(): what is counted where, in order. */
static void sort_chunks(struct qcow2_check *check)
{
	GHashTableIter at;
	gpointer key;

	g_array_set_size(check->keys, 0);
	g_hash_table_iter_init(&at, check->chunks);
	while (g_hash_table_iter_next(&at, &key, NULL))
		g_array_append_vals(check->keys, key, 1);
	g_array_sort(check->keys, by_key);
}

uint64_t qcow2_check_next(struct qcow2_check *check, uint64_t cluster)
{
	guint low = 0, high = check->keys->len;

	while (low < high) {
		guint middle = (low + high) / 2;

		if (g_array_index(check->keys, uint64_t, middle) < cluster / CHUNK_CLUSTERS)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < check->keys->len; low++) {
		uint64_t first = g_array_index(check->keys, uint64_t, low) * CHUNK_CLUSTERS;

		for (cluster = MAX(cluster, first); cluster < first + CHUNK_CLUSTERS; cluster++)
			if (qcow2_check_references(check, cluster))
				return cluster;
	}
	return UINT64_MAX;
}

/* False: not inside of the file. */
static bool mark(struct qcow2_check *check, uint64_t offset, uint64_t length)
{
	const struct qcow2 *image = check->image;
	uint64_t last;

	if (!length)
		return true;
	if (offset > INT64_MAX - length || (offset + length - 1) >> image->cluster_bits >= check->file_clusters)
		return false;
	last = (offset + length - 1) >> image->cluster_bits;
	for (uint64_t cluster = offset >> image->cluster_bits; cluster <= last && !check->error; cluster++) {
		uint32_t *count = counter(check, cluster, true);

		if (count && *count < UINT32_MAX)
			++*count;
	}
	check->highest = MAX(check->highest, last);
	return true;
}

static bool spend(struct qcow2_check *check, uint64_t bytes)
{
	if (check->budget < bytes)
		check->error = check->error ? check->error : E2BIG;
	else
		check->budget -= bytes;
	return !check->error;
}

/* --- The tables of the guest's clusters --- */

static bool entry_valid(struct qcow2_check *check, struct qcow2_entry entry, uint64_t guest)
{
	const struct qcow2 *image = check->image;
	uint64_t offset = entry.entry & QCOW2_OFFSET_MASK;

	for (unsigned i = 0; i < (image->extended ? QCOW2_SUBCLUSTERS : 1); i++)
		if (qcow2_kind(image, entry, guest + ((uint64_t)i << image->unit_bits)) == QCOW2_INVALID)
			return false;
	if (image->external || !qcow2_has_host(image, entry))
		return true;
	if (entry.entry & QCOW2_COMPRESSED) {
		/* The last sector may be cut short by the end of the file. */
		uint64_t at = qcow2_packed_offset(image, entry.entry), length = qcow2_packed_length(image,
												    entry.entry);

		return at <= image->file.length && at + length <= check->file_clusters << image->cluster_bits &&
		       mark(check, at, length);
	}
	return mark(check, offset, image->cluster_size);
}

static void count_entry(struct qcow2_check *check, struct qcow2_entry entry)
{
	const struct qcow2 *image = check->image;
	uint64_t host = entry.entry & QCOW2_OFFSET_MASK;

	if (!qcow2_has_host(image, entry))
		return;
	check->allocated++;
	if (entry.entry & QCOW2_COMPRESSED) {
		check->compressed++;
		return;
	}
	if (check->last_host && check->last_host + image->cluster_size != host)
		check->fragmented++;
	check->last_host = host;
}

/* What the entry is without bits that must not be set. */
static struct qcow2_entry without_reserved(struct qcow2_entry entry)
{
	if (entry.entry & QCOW2_COMPRESSED)
		return (struct qcow2_entry){ entry.entry & ~QCOW2_COPIED, 0 };
	entry.entry &= ~QCOW2_L2_RESERVED;
	return entry;
}

/* Whether table has changed. */
static bool mend_reserved(struct qcow2_check *check, uint8_t *table, struct qcow2_entry *entry)
{
	struct qcow2_entry right = without_reserved(*entry);
	bool wrong = right.entry != entry->entry || right.bitmap != entry->bitmap;

	*entry = right;
	check->mapping_errors += wrong;
	if (!wrong || !check->fix_mapping)
		return false;
	qcow2_put64(table, right.entry);
	if (check->image->extended)
		qcow2_put64(table + 8, right.bitmap);
	return true;
}

static void walk_l2(struct qcow2_check *check, uint64_t offset, bool active)
{
	struct qcow2 *image = check->image;
	g_autofree uint8_t *table = g_malloc(image->cluster_size);
	bool changed = false;

	if (!spend(check, image->cluster_size))
		return;
	check->error = qcow2_read_at(image, offset, table, image->cluster_size);
	for (uint64_t at = 0; at < image->cluster_size && !check->error; at += image->entry_size) {
		struct qcow2_entry entry = { qcow2_get64(table + at),
					     image->extended ? qcow2_get64(table + at + 8) : 0 };

		if (!entry.entry && !entry.bitmap)
			continue;
		changed |= mend_reserved(check, table + at, &entry);
		if (entry_valid(check, entry, 0)) {
			if (active)
				count_entry(check, entry);
			continue;
		}
		check->mapping_errors++;
		if (!check->fix_mapping)
			continue;
		memset(table + at, 0, image->entry_size);
		changed = true;
	}
	if (changed && !check->error)
		check->error = qcow2_write_at(image, offset, table, image->cluster_size);
}

static bool walk_l1_entry(struct qcow2_check *check, uint64_t entry, GHashTable *seen, bool active)
{
	const struct qcow2 *image = check->image;
	uint64_t offset = entry & QCOW2_OFFSET_MASK;

	if (!offset)
		return !(entry & QCOW2_COPIED);
	if (offset & (image->cluster_size - 1) || qcow2_overlaps(image, offset, image->cluster_size) ||
	    !mark(check, offset, image->cluster_size))
		return false;
	if (!g_hash_table_add(seen, g_memdup2(&offset, sizeof offset)))
		return false;
	walk_l2(check, offset, active);
	return true;
}

static void walk_l1(struct qcow2_check *check, uint64_t offset, uint64_t *l1, uint64_t entries, bool active)
{
	struct qcow2 *image = check->image;
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	bool apart = !(active ? qcow2_overlaps_fixed : qcow2_overlaps)(image, offset, entries * 8);
	bool fix = check->fix_mapping && apart, changed = false;

	/* Mending a table that lies in another structure would destroy that one. */
	if (entries && (!apart || !mark(check, offset, entries * 8)))
		check->mapping_errors++;
	for (uint64_t i = 0; i < entries && !check->error; i++) {
		if (l1[i] & QCOW2_L1_RESERVED) {
			check->mapping_errors++;
			changed |= fix;
			l1[i] &= fix ? ~QCOW2_L1_RESERVED : UINT64_MAX;
		}
		if (walk_l1_entry(check, l1[i], seen, active))
			continue;
		check->mapping_errors++;
		changed |= fix;
		l1[i] = fix ? 0 : l1[i];
	}
	if (changed && !check->error)
		check->error = qcow2_write_table(image, offset, l1, entries);
	if (changed && active)
		memcpy(image->l1_disk, image->l1, entries * 8);
}

/* --- Everything else --- */

static void walk_snapshots(struct qcow2_check *check)
{
	struct qcow2 *image = check->image;
	struct qcow2_snapshot_table *table;

	if (!image->header.nb_snapshots)
		return;
	check->error = check->error ? check->error : qcow2_snapshots_read(image, &table);
	if (check->error == EINVAL) {
		check->mapping_errors++;
		check->error = 0;
		return;
	}
	if (check->error)
		return;
	if (!mark(check, image->header.snapshots_offset, table->length))
		check->mapping_errors++;
	for (unsigned i = 0; i < table->count && !check->error; i++) {
		const struct qcow2_snapshot *snapshot = &table->snapshots[i];
		g_autofree uint64_t *l1 = g_new0(uint64_t, snapshot->l1_size + 1ull);

		/* The specification, "Snapshots": version 3 must say how large the disk was. */
		check->mapping_errors += image->header.version >= 3 && snapshot->extra_length < 16;
		if (!spend(check, snapshot->l1_size * 8ull))
			break;
		check->error = qcow2_read_table(image, snapshot->l1_table_offset, l1, snapshot->l1_size);
		if (!check->error)
			walk_l1(check, snapshot->l1_table_offset, l1, snapshot->l1_size, false);
	}
	qcow2_snapshots_free(table);
}

static void walk_bitmap(struct qcow2_check *check, uint64_t offset, uint32_t entries)
{
	struct qcow2 *image = check->image;
	g_autofree uint64_t *table = NULL;

	if (entries > QCOW2_L1_MAX / 8 || offset & (image->cluster_size - 1) || !mark(check, offset,
										      entries * 8ull)) {
		check->mapping_errors++;
		return;
	}
	if (!spend(check, entries * 8ull))
		return;
	table = g_new0(uint64_t, entries + 1ull);
	check->error = qcow2_read_table(image, offset, table, entries);
	for (uint32_t i = 0; i < entries && !check->error; i++)
		if (table[i] & QCOW2_OFFSET_MASK && !mark(check, table[i] & QCOW2_OFFSET_MASK, image->cluster_size))
			check->mapping_errors++;
}

static void walk_bitmaps(struct qcow2_check *check)
{
	struct qcow2 *image = check->image;
	const struct qcow2_extension *extension = qcow2_extension(image, QCOW2_EXTENSION_BITMAPS);
	g_autofree uint8_t *directory = NULL;
	uint64_t length, offset, at = 0;

	if (!extension || extension->length < 24 || check->error)
		return;
	length = qcow2_get64(extension->data + 8);
	offset = qcow2_get64(extension->data + 16);
	if (length > 4u << 20 || !mark(check, offset, length)) {
		check->mapping_errors++;
		return;
	}
	directory = g_malloc0(length + 1);
	check->error = qcow2_read_at(image, offset, directory, length);
	while (!check->error && length - at >= 24) {
		uint64_t size = 24ull + qcow2_get16(directory + at + 18) + qcow2_get32(directory + at + 20);

		walk_bitmap(check, qcow2_get64(directory + at), qcow2_get32(directory + at + 8));
		size = (size + 7) & ~7ull;
		at = size > length - at ? length : at + size;
	}
}

static void walk_refcounts(struct qcow2_check *check)
{
	const struct qcow2 *image = check->image;
	uint64_t bytes = (uint64_t)image->header.refcount_table_clusters << image->cluster_bits;

	if (!mark(check, image->header.refcount_table_offset, bytes))
		check->rebuild = true;
	for (uint64_t i = 0; i < image->refcount_table_size && !check->error; i++) {
		uint64_t block = image->refcount_table[i] & QCOW2_REFTABLE_MASK;

		check->rebuild |= (image->refcount_table[i] & QCOW2_REFTABLE_RESERVED) != 0;
		if (block && (block & (image->cluster_size - 1) || !mark(check, block, image->cluster_size)))
			check->rebuild = true;
	}
}

void qcow2_check_walk(struct qcow2_check *check)
{
	struct qcow2 *image = check->image;

	if (check->chunks)
		g_hash_table_unref(check->chunks);
	if (!check->keys)
		check->keys = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	check->chunks = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	check->chunk = NULL;
	check->budget = BUDGET;
	check->highest = check->allocated = check->compressed = check->fragmented = check->last_host = 0;
	mark(check, 0, image->cluster_size);
	walk_l1(check, image->header.l1_table_offset, image->l1, image->header.l1_size, true);
	walk_snapshots(check);
	walk_bitmaps(check);
	if (!check->without_refcounts)
		walk_refcounts(check);
	sort_chunks(check);
}
