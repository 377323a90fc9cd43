/*
 * What happens to an image before its power fails, recorded: random guest I/O, snapshots, changes of size, compressed
 * clusters, closing and opening; and what is known of it afterwards.
 */
#pragma once

#include "../../vmm/block/qcow2/qcow2.h"
#include "power_recorder.h"

#define SECTORS 4096u     /* at first */
#define SECTORS_MAX 6144u
#define BASE_SECTORS 3000u /* of a backing image */
#define BASE_VALUE 0x100000000ull
#define SLOTS 6u
#define SLOT_BYTES (SECTORS_MAX / SLOTS * 512)
#define OPERATIONS 24u    /* between changes */
#define CHANGES 12u

struct variant {
	const char *name;
	struct image_create_options options;
	bool snapshots, resize, raw_base, packed_base;
	unsigned thinning; /* files are large: so many times fewer cuts */
};

struct operation {
	unsigned start, count; /* sectors */
	uint64_t *values;      /* of each; NULL: discarded, which is to say anything that was there, or zeroes */
	bool stable;           /* force unit access */
	guint submitted, completed; /* in events */
	guint began, ended;         /* in the guest's own order, where there may be no event between */
};

/* What is done alone, and on stable storage at its end. */
struct change {
	guint operation; /* what becomes of the contents; G_MAXUINT: nothing */
	guint submitted, completed;
	unsigned before, after; /* sectors of the disk */
};

struct snapshot {
	char *name;
	unsigned sectors;
	uint64_t *values;
	struct {
		guint submitted, completed;
	} created, deleted;
};

struct session {
	const struct variant *variant;
	const struct folder *folder;
	struct recorder recorder;
	struct block *block;
	GArray *operations; /* struct operation, */
	GArray *flushes;    /* too */
	GArray *changes;    /* struct change */
	GArray *snapshots;  /* struct snapshot */
	uint64_t *initial;
	uint64_t next_value;
	guint clock;
	unsigned names;
};

struct slot {
	struct waiting waiting;
	guint operation; /* index, or of a flush */
	bool busy;
	uint64_t *buffer;
};

static GRand *session_random(struct session *session)
{
	return session->recorder.random;
}

static unsigned choose(struct session *session, unsigned first, unsigned end)
{
	return (unsigned)g_rand_int_range(session_random(session), (gint32)first, (gint32)end);
}

static guint now(const struct session *session)
{
	return recorder_now(&session->recorder);
}

static unsigned sectors_of(const struct block *block)
{
	return (unsigned)(block_size(block) / 512);
}

/* --- What the guest does --- */

static void clear_operation(gpointer data)
{
	g_free(((struct operation *)data)->values);
}

static guint add_operation(struct session *session, unsigned start, unsigned count, bool discard)
{
	struct operation operation = { .start = start, .count = count, .values = discard ? NULL :
				       g_new0(uint64_t, count + 1), .submitted = now(session),
				       .completed = G_MAXUINT, .began = ++session->clock, .ended = G_MAXUINT };

	g_array_append_val(session->operations, operation);
	return session->operations->len - 1;
}

static struct operation *operation_at(const struct session *session, guint index)
{
	return &g_array_index(session->operations, struct operation, index);
}

static void complete(struct session *session, struct operation *operation)
{
	operation->completed = now(session);
	operation->ended = ++session->clock;
}

static void fill_values(struct session *session, struct operation *operation, uint64_t *buffer)
{
	for (unsigned i = 0; i < operation->count; i++) {
		operation->values[i] = session->next_value++;
		for (unsigned word = 0; word < 64; word++)
			buffer[i * 64 + word] = operation->values[i];
	}
}

static void start_flush(struct session *session, struct slot *slot)
{
	struct operation flush = { .submitted = now(session), .completed = G_MAXUINT, .began = ++session->clock,
				   .ended = G_MAXUINT };

	slot->operation = session->flushes->len;
	g_array_append_val(session->flushes, flush);
}

static void start_slot(struct session *session, struct slot *slot, unsigned index)
{
	unsigned each = sectors_of(session->block) / SLOTS, start = index * each + choose(session, 0, each);
	unsigned most = choose(session, 0, 2) ? 20 : 300;
	unsigned count = choose(session, 1, MIN(most, (index + 1) * each - start) + 1), kind = choose(session, 0, 16);
	struct waiting *waiting = &slot->waiting;
	struct operation *operation;

	*waiting = (struct waiting){ .request = { .offset = start * 512ull, .length = count * 512ull,
						  .iov = waiting->iov, .iov_count = 1, .done = request_done },
				     .iov = { { slot->buffer, count * 512ull } } };
	waiting->request.operation = kind < 9 ? BLOCK_WRITE : kind < 11 ? BLOCK_WRITE_ZEROES :
				     kind < 13 ? BLOCK_DISCARD : BLOCK_FLUSH;
	waiting->request.force_unit_access = kind == 0;
	slot->busy = true;
	if (waiting->request.operation == BLOCK_FLUSH) {
		start_flush(session, slot);
	} else {
		slot->operation = add_operation(session, start, count, waiting->request.operation == BLOCK_DISCARD);
		operation = operation_at(session, slot->operation);
		operation->stable = waiting->request.force_unit_access;
		if (waiting->request.operation == BLOCK_WRITE)
			fill_values(session, operation, slot->buffer);
	}
	block_submit(session->block, &waiting->request);
}

static void finish_slot(struct session *session, struct slot *slot)
{
	GArray *array = slot->waiting.request.operation == BLOCK_FLUSH ? session->flushes : session->operations;

	if (!slot->busy || !slot->waiting.done)
		return;
	g_assert_cmpint(slot->waiting.error, ==, 0);
	complete(session, &g_array_index(array, struct operation, slot->operation));
	slot->busy = false;
}

static void some_io(struct session *session, struct slot *slots, unsigned count)
{
	unsigned busy;

	do {
		busy = 0;
		for (unsigned i = 0; i < SLOTS; i++) {
			if (!slots[i].busy && count && choose(session, 0, 2)) {
				start_slot(session, &slots[i], i);
				count--;
			}
		}
		block_kick(session->block);
		block_poll(session->block);
		for (unsigned i = 0; i < SLOTS; i++) {
			finish_slot(session, &slots[i]);
			busy += slots[i].busy;
		}
	} while (count || busy);
}

/* --- What the user does meanwhile --- */

/* The value of each sector; half a sector is not there, or this fails. */
static uint64_t *read_values(struct block *block)
{
	g_autofree uint64_t *disk = g_malloc(block_size(block));
	uint64_t *values = g_new0(uint64_t, SECTORS_MAX);

	g_assert_cmpint(run(block, BLOCK_READ, 0, disk, block_size(block)), ==, 0);
	for (unsigned i = 0; i < sectors_of(block); i++) {
		values[i] = disk[i * 64];
		for (unsigned word = 1; word < 64; word++)
			g_assert_cmpuint(disk[i * 64 + word], ==, values[i]);
	}
	return values;
}

static void begin_change(struct session *session, guint operation, unsigned after)
{
	struct change change = { operation, now(session), G_MAXUINT, sectors_of(session->block), after };

	g_array_append_val(session->changes, change);
}

static void end_change(struct session *session)
{
	struct change *change = &g_array_index(session->changes, struct change, session->changes->len - 1);
	struct operation flush = { .submitted = change->submitted, .completed = now(session) };

	if (change->operation != G_MAXUINT)
		complete(session, operation_at(session, change->operation));
	flush.began = flush.ended = ++session->clock;
	g_array_append_val(session->flushes, flush);
	change->completed = now(session);
	g_assert_cmpuint(sectors_of(session->block), ==, change->after);
}

static void clear_snapshot(gpointer data)
{
	struct snapshot *snapshot = data;

	g_free(snapshot->name);
	g_free(snapshot->values);
}

/* One that is not deleted, or NULL. */
static struct snapshot *choose_snapshot(struct session *session)
{
	unsigned skip = choose(session, 0, session->snapshots->len + 1);

	for (guint i = 0; i < session->snapshots->len; i++) {
		guint at = (i + skip) % session->snapshots->len;

		if (g_array_index(session->snapshots, struct snapshot, at).deleted.submitted == G_MAXUINT)
			return &g_array_index(session->snapshots, struct snapshot, at);
	}
	return NULL;
}

/* Small refcounts allow few snapshots; a refusal must leave everything as it was. */
static bool may_refuse(const struct session *session, const GError *error)
{
	return session->variant->options.refcount_bits && session->variant->options.refcount_bits <= 2 &&
	       error != NULL;
}

static void create_snapshot(struct session *session)
{
	struct snapshot snapshot = { .name = g_strdup_printf("snapshot %u", ++session->names),
				     .sectors = sectors_of(session->block), .values = read_values(session->block) };
	g_autoptr(GError) error = NULL;

	begin_change(session, G_MAXUINT, snapshot.sectors);
	snapshot.created.submitted = now(session);
	if (block_snapshot_create(session->block, snapshot.name, 0, &error)) {
		snapshot.created.completed = now(session);
		snapshot.deleted.submitted = snapshot.deleted.completed = G_MAXUINT;
		g_array_append_val(session->snapshots, snapshot);
	} else {
		g_assert_true(may_refuse(session, error));
		clear_snapshot(&snapshot);
	}
	end_change(session);
}

static void apply_snapshot(struct session *session)
{
	const struct snapshot *snapshot = choose_snapshot(session);
	g_autoptr(GError) error = NULL;
	struct operation *operation;

	if (!snapshot) {
		create_snapshot(session);
		return;
	}
	begin_change(session, add_operation(session, 0, snapshot->sectors, false), snapshot->sectors);
	operation = operation_at(session, session->operations->len - 1);
	memcpy(operation->values, snapshot->values, snapshot->sectors * sizeof *operation->values);
	if (block_snapshot_apply(session->block, snapshot->name, &error)) {
		end_change(session);
		return;
	}
	g_assert_true(may_refuse(session, error));
	g_array_set_size(session->changes, session->changes->len - 1);
	g_array_set_size(session->operations, session->operations->len - 1);
}

static void delete_snapshot(struct session *session)
{
	struct snapshot *snapshot = choose_snapshot(session);
	g_autoptr(GError) error = NULL;

	if (!snapshot) {
		create_snapshot(session);
		return;
	}
	begin_change(session, G_MAXUINT, sectors_of(session->block));
	snapshot->deleted.submitted = now(session);
	g_assert_true(block_snapshot_delete(session->block, snapshot->name, &error));
	snapshot->deleted.completed = now(session);
	end_change(session);
}

static void resize(struct session *session)
{
	struct qcow2 *image = qcow2_from_block(session->block);
	unsigned old = sectors_of(session->block), new = choose(session, SECTORS_MAX / 3, SECTORS_MAX + 1);

	if (!session->variant->resize)
		return;
	begin_change(session, add_operation(session, MIN(old, new), MAX(old, new) - MIN(old, new), new < old), new);
	g_assert_cmpint(qcow2_resize(image, new * 512ull), ==, 0);
	session->block->size = image->header.size;
	end_change(session);
}

/* Compressed clusters, as converting an image makes them. */
static void write_packed(struct session *session)
{
	struct qcow2 *image = qcow2_from_block(session->block);
	unsigned cluster = (unsigned)(image->cluster_size / 512), clusters = sectors_of(session->block) / cluster;
	g_autofree uint64_t *buffer = g_malloc(image->cluster_size);
	g_autofree uint8_t *packed = g_malloc(image->cluster_size);

	for (unsigned i = 0; i < 6 && clusters && !image->external; i++) {
		guint index = add_operation(session, choose(session, 0, clusters) * cluster, cluster, false);
		struct operation *operation = operation_at(session, index);

		size_t length;

		fill_values(session, operation, buffer);
		length = qcow2_pack(image, (uint8_t *)buffer, packed, image->cluster_size - 1);
		g_assert_cmpuint(length, >, 0);
		g_assert_cmpint(qcow2_write_packed(image, operation->start * 512ull, packed, length), ==, 0);
		complete(session, operation);
	}
}

static void reopen(struct session *session)
{
	begin_change(session, G_MAXUINT, sectors_of(session->block));
	block_close(session->block);
	session->block = recorder_open(&session->recorder, session->folder);
	end_change(session);
}

static void (*const kinds_of_change[])(struct session *session) = {
	create_snapshot, apply_snapshot, delete_snapshot, resize, write_packed, reopen,
};

static void record(struct session *session)
{
	unsigned first = session->variant->snapshots ? 0 : 3;
	struct slot slots[SLOTS] = { 0 };

	for (unsigned i = 0; i < SLOTS; i++)
		slots[i].buffer = g_malloc(SLOT_BYTES);
	session->block = recorder_open(&session->recorder, session->folder);
	for (unsigned i = 0; i < CHANGES; i++) {
		some_io(session, slots, OPERATIONS);
		kinds_of_change[choose(session, first, G_N_ELEMENTS(kinds_of_change))](session);
	}
	some_io(session, slots, OPERATIONS);
	block_close(session->block);
	for (unsigned i = 0; i < SLOTS; i++)
		g_free(slots[i].buffer);
}
