/* The table of internal snapshots, read with suspicion and written to a new place. */
#include "qcow2.h"

#include <errno.h>
#include <string.h>

#define ENTRY_LENGTH 40u
#define EXTRA_MAX 1024u
/* vm_state_size and disk_size, which version 3 requires. */
#define EXTRA_LENGTH 16u

void qcow2_snapshot_clear(struct qcow2_snapshot *snapshot)
{
	g_free(snapshot->extra);
	g_free(snapshot->id);
	g_free(snapshot->name);
}

void qcow2_snapshots_free(struct qcow2_snapshot_table *table)
{
	for (unsigned i = 0; table && i < table->count; i++)
		qcow2_snapshot_clear(&table->snapshots[i]);
	if (table)
		g_free(table->snapshots);
	g_free(table);
}

static void decode(const struct qcow2 *image, struct qcow2_snapshot *snapshot, const uint8_t *raw)
{
	uint32_t extra = qcow2_get32(raw + 36), id = qcow2_get16(raw + 12), name = qcow2_get16(raw + 14);

	snapshot->l1_table_offset = qcow2_get64(raw);
	snapshot->l1_size = qcow2_get32(raw + 8);
	snapshot->date_seconds = qcow2_get32(raw + 16);
	snapshot->date_nanoseconds = qcow2_get32(raw + 20);
	snapshot->vm_clock_nanoseconds = qcow2_get64(raw + 24);
	snapshot->extra_length = extra;
	snapshot->extra = g_memdup2(raw + ENTRY_LENGTH, extra);
	snapshot->vm_state_size = extra >= 8 ? qcow2_get64(raw + 40) : qcow2_get32(raw + 32);
	snapshot->disk_size = extra >= 16 ? qcow2_get64(raw + 48) : image->header.size;
	snapshot->id = g_strndup((const char *)raw + ENTRY_LENGTH + extra, id);
	snapshot->name = g_strndup((const char *)raw + ENTRY_LENGTH + extra + id, name);
}

static bool sensible(const struct qcow2 *image, const struct qcow2_snapshot *snapshot)
{
	return snapshot->l1_size <= QCOW2_L1_MAX / 8 && !(snapshot->l1_table_offset & (image->cluster_size - 1)) &&
	       snapshot->l1_table_offset <= INT64_MAX - QCOW2_L1_MAX && snapshot->disk_size <= INT64_MAX &&
	       qcow2_l1_entries(image, snapshot->disk_size) <= QCOW2_L1_MAX / 8;
}

/* At at, of the size that is found there; 0, or an errno value. */
static int read_entry(struct qcow2 *image, struct qcow2_snapshot_table *table, uint64_t at)
{
	uint8_t fixed[ENTRY_LENGTH];
	g_autofree uint8_t *raw = NULL;
	uint64_t length;
	int error = qcow2_read_at(image, at, fixed, sizeof fixed);

	if (error)
		return error;
	if (qcow2_get32(fixed + 36) > EXTRA_MAX)
		return EINVAL;
	length = ENTRY_LENGTH + qcow2_get32(fixed + 36) + qcow2_get16(fixed + 12) + qcow2_get16(fixed + 14);
	if (table->length + length > QCOW2_SNAPSHOT_TABLE_MAX)
		return EINVAL;
	raw = g_malloc0(length);
	error = qcow2_read_at(image, at, raw, length);
	if (error)
		return error;
	decode(image, &table->snapshots[table->count++], raw);
	table->length += (length + 7) & ~7ull;
	return sensible(image, &table->snapshots[table->count - 1]) ? 0 : EINVAL;
}

int qcow2_snapshots_read(struct qcow2 *image, struct qcow2_snapshot_table **result)
{
	struct qcow2_snapshot_table *table = g_new0(struct qcow2_snapshot_table, 1);
	const struct qcow2_header *header = &image->header;
	int error = 0;

	/* One more, for who adds one. */
	table->snapshots = g_new0(struct qcow2_snapshot, header->nb_snapshots + 1);
	for (uint32_t i = 0; i < header->nb_snapshots && !error; i++)
		error = read_entry(image, table, header->snapshots_offset + table->length);
	if (error) {
		qcow2_snapshots_free(table);
		return error;
	}
	*result = table;
	return 0;
}

static size_t encoded_length(const struct qcow2_snapshot *snapshot)
{
	return (ENTRY_LENGTH + MAX(snapshot->extra_length, EXTRA_LENGTH) + strlen(snapshot->id) +
		strlen(snapshot->name) + 7) & ~(size_t)7;
}

static void encode(const struct qcow2_snapshot *snapshot, uint8_t *raw)
{
	uint32_t extra = MAX(snapshot->extra_length, EXTRA_LENGTH);
	size_t id = strlen(snapshot->id), name = strlen(snapshot->name);

	qcow2_put64(raw, snapshot->l1_table_offset);
	qcow2_put32(raw + 8, snapshot->l1_size);
	qcow2_put16(raw + 12, (uint16_t)id);
	qcow2_put16(raw + 14, (uint16_t)name);
	qcow2_put32(raw + 16, snapshot->date_seconds);
	qcow2_put32(raw + 20, snapshot->date_nanoseconds);
	qcow2_put64(raw + 24, snapshot->vm_clock_nanoseconds);
	qcow2_put32(raw + 32, (uint32_t)MIN(snapshot->vm_state_size, UINT32_MAX));
	qcow2_put32(raw + 36, extra);
	if (snapshot->extra_length)
		memcpy(raw + ENTRY_LENGTH, snapshot->extra, snapshot->extra_length);
	qcow2_put64(raw + 40, snapshot->vm_state_size);
	qcow2_put64(raw + 48, snapshot->disk_size);
	memcpy(raw + ENTRY_LENGTH + extra, snapshot->id, id);
	memcpy(raw + ENTRY_LENGTH + extra + id, snapshot->name, name);
}

static int write_table(struct qcow2 *image, const struct qcow2_snapshot_table *table, uint64_t length,
		       uint64_t *cluster)
{
	g_autofree uint8_t *raw = g_malloc0(length);
	uint64_t at = 0;
	int error = qcow2_switch_allocate(image, qcow2_clusters(image, length), cluster);

	for (unsigned i = 0; i < table->count; i++) {
		encode(&table->snapshots[i], raw + at);
		at += encoded_length(&table->snapshots[i]);
	}
	return error ? error : qcow2_write_at(image, *cluster << image->cluster_bits, raw, length);
}

int qcow2_snapshots_write(struct qcow2 *image, const struct qcow2_snapshot_table *table, struct qcow2_header *next)
{
	uint64_t length = 0, cluster = 0;
	int error = 0;

	for (unsigned i = 0; i < table->count; i++)
		length += encoded_length(&table->snapshots[i]);
	if (length > QCOW2_SNAPSHOT_TABLE_MAX)
		return EFBIG;
	if (length)
		error = write_table(image, table, length, &cluster);
	next->nb_snapshots = table->count;
	next->snapshots_offset = cluster << image->cluster_bits;
	if (!error && image->header.nb_snapshots)
		qcow2_switch_free(image, image->header.snapshots_offset >> image->cluster_bits,
				  qcow2_clusters(image, table->length));
	return error;
}
