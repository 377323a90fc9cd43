/*
 * Converting images. Several steps are under way at once: each reads a part of the source, finds out which clusters
 * of it the target needs, has them compressed by other threads if that is wanted, and writes them.
 */
#include "image_internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define SLOTS 8
#define STEP (1u << 20)

enum unit_kind {
	UNIT_SKIP,
	UNIT_ZEROES, /* where the target's backing image has something else */
	UNIT_DATA,
	UNIT_PACKED,
};

enum slot_state {
	SLOT_FREE,
	SLOT_READING,
	SLOT_COMPARING, /* reading what the target's backing image has */
	SLOT_PACKING,
	SLOT_WRITING,
};

struct slot {
	struct block_request request;
	struct iovec iov;
	struct copy *copy;
	enum slot_state state;
	bool ready; /* what it waited for has happened */
	int error;
	uint64_t offset, length;
	uint64_t at; /* of length, where writing goes on */
	uint8_t *data, *other, *packed;
	uint8_t *kinds;        /* enum unit_kind, by unit */
	uint32_t *packed_length;
};

struct copy {
	const struct image_convert_options *options;
	struct block *source, *target;
	struct qcow2 *image; /* of the target; NULL: raw */
	uint64_t unit, step, size;
	uint64_t position;   /* of what is not started */
	struct image_extent extent; /* of the source, around position */
	struct slot slots[SLOTS];
	unsigned busy;
	GThreadPool *pool;
	GAsyncQueue *packed;
	int packed_event;
	int failure;
};

/* --- What the target needs --- */

static enum unit_kind classify_unit(const struct slot *slot, uint64_t at, uint64_t length)
{
	if (slot->other && memcmp(slot->other + at, slot->data + at, length) == 0)
		return UNIT_SKIP;
	if (!image_is_zero(slot->data + at, length))
		return UNIT_DATA;
	return slot->other ? UNIT_ZEROES : UNIT_SKIP;
}

static void classify(struct slot *slot)
{
	uint64_t unit = slot->copy->unit;

	for (uint64_t i = 0; i * unit < slot->length; i++)
		slot->kinds[i] = classify_unit(slot, i * unit, MIN(unit, slot->length - i * unit));
}

/* On a thread of the pool. */
static void pack(void *data, void *opaque)
{
	struct slot *slot = data;
	struct copy *copy = opaque;
	uint64_t unit = copy->unit, one = 1;

	classify(slot);
	/* The disk may end within a cluster. */
	if (slot->length % unit)
		memset(slot->data + slot->length, 0, unit - slot->length % unit);
	for (uint64_t i = 0; i * unit < slot->length; i++) {
		if (slot->kinds[i] != UNIT_DATA)
			continue;
		slot->packed_length[i] = (uint32_t)qcow2_pack(copy->image, slot->data + i * unit,
							      slot->packed + i * unit, unit - 1);
		if (slot->packed_length[i])
			slot->kinds[i] = UNIT_PACKED;
	}
	g_async_queue_push(copy->packed, slot);
	if (write(copy->packed_event, &one, sizeof one) < 0)
		g_warning("A thread cannot wake the one that waits for it: %s", g_strerror(errno));
}

static int write_packed(struct slot *slot)
{
	struct copy *copy = slot->copy;
	int failure = 0;

	for (uint64_t i = 0; i * copy->unit < slot->length && !failure; i++) {
		if (slot->kinds[i] != UNIT_PACKED)
			continue;
		failure = qcow2_write_packed(copy->image, slot->offset + i * copy->unit,
					     slot->packed + i * copy->unit, slot->packed_length[i]);
		slot->kinds[i] = UNIT_SKIP;
	}
	return failure;
}

/* --- Steps --- */

static void request_done(struct block_request *request, int error)
{
	struct slot *slot = (struct slot *)(void *)((char *)request - offsetof(struct slot, request));

	slot->error = error;
	slot->ready = true;
}

static void submit(struct slot *slot, struct block *block, enum block_operation operation, uint64_t at, void *buffer,
		   uint64_t length)
{
	slot->iov = (struct iovec){ buffer, length };
	slot->request = (struct block_request){ .operation = operation, .offset = slot->offset + at, .length = length,
						.iov = &slot->iov, .iov_count = buffer ? 1 : 0,
						.done = request_done };
	block_submit(block, &slot->request);
}

static void end_slot(struct slot *slot, int failure)
{
	struct copy *copy = slot->copy;

	slot->state = SLOT_FREE;
	copy->busy--;
	copy->failure = copy->failure ? copy->failure : failure;
}

/* The next run of units that want the same, as one request. */
static void write_next(struct slot *slot)
{
	struct copy *copy = slot->copy;
	uint64_t unit = copy->unit, start;
	enum unit_kind kind;

	slot->state = SLOT_WRITING;
	while (slot->at < slot->length && slot->kinds[slot->at / unit] == UNIT_SKIP)
		slot->at += unit;
	start = slot->at;
	if (start >= slot->length) {
		end_slot(slot, 0);
		return;
	}
	kind = slot->kinds[start / unit];
	while (slot->at < slot->length && slot->kinds[slot->at / unit] == kind)
		slot->at += unit;
	submit(slot, copy->target, kind == UNIT_DATA ? BLOCK_WRITE : BLOCK_WRITE_ZEROES, start,
	       kind == UNIT_DATA ? slot->data + start : NULL, MIN(slot->at, slot->length) - start);
}

static void have_data(struct slot *slot)
{
	slot->at = 0;
	if (slot->copy->options->compress) {
		slot->state = SLOT_PACKING;
		g_thread_pool_push(slot->copy->pool, slot, NULL);
		return;
	}
	classify(slot);
	write_next(slot);
}

static void advance(struct slot *slot)
{
	struct copy *copy = slot->copy;
	int failure = slot->error ? slot->error : copy->failure;

	slot->ready = false;
	if (!failure && slot->state == SLOT_PACKING)
		failure = write_packed(slot);
	if (failure) {
		end_slot(slot, failure);
	} else if (slot->state == SLOT_READING && slot->other) {
		slot->state = SLOT_COMPARING;
		submit(slot, copy->target, BLOCK_READ, 0, slot->other, slot->length);
	} else if (slot->state == SLOT_READING || slot->state == SLOT_COMPARING) {
		have_data(slot);
	} else {
		write_next(slot);
	}
}

/* Whether the part of the source that begins in extent can be left out. */
static bool is_nothing(const struct copy *copy)
{
	/* Zeroes matter if the target would otherwise show its backing image. */
	return copy->extent.zero && !(copy->image && copy->image->backing);
}

static uint64_t extent_end(const struct copy *copy)
{
	return copy->extent.start + copy->extent.length;
}

static bool look(struct copy *copy, uint64_t at)
{
	if (!copy->failure && at >= extent_end(copy))
		copy->failure = image_extent_at(copy->source, at, copy->size, &copy->extent);
	return !copy->failure;
}

/* Moves on to data; false: there is no more. */
static bool find_data(struct copy *copy)
{
	while (copy->position < copy->size && look(copy, copy->position)) {
		uint64_t end = extent_end(copy);

		if (end < copy->size)
			end &= ~(copy->unit - 1);
		/* A unit that is zero only to a part is read. */
		if (!is_nothing(copy) || end <= copy->position)
			return true;
		copy->position = end;
	}
	return false;
}

/* Whole units with data, from position on. */
static uint64_t data_length(struct copy *copy)
{
	uint64_t limit = MIN(copy->size, copy->position + copy->step);
	uint64_t end = MAX(extent_end(copy), copy->position + copy->unit);

	while (end < limit && look(copy, end) && !is_nothing(copy))
		end = extent_end(copy);
	end = (end + copy->unit - 1) & ~(copy->unit - 1);
	return MIN(end, limit) - copy->position;
}

static void start_slots(struct copy *copy)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *slot = &copy->slots[i];

		if (slot->state != SLOT_FREE)
			continue;
		if (!find_data(copy))
			return;
		slot->offset = copy->position;
		slot->length = data_length(copy);
		slot->error = 0;
		slot->state = SLOT_READING;
		copy->position += slot->length;
		copy->busy++;
		submit(slot, copy->source, BLOCK_READ, 0, slot->data, slot->length);
	}
}

/* --- The loop --- */

static void sleep_until_event(const struct copy *copy)
{
	struct pollfd events[] = {
		{ .fd = block_event_fd(copy->source), .events = POLLIN },
		{ .fd = block_event_fd(copy->target), .events = POLLIN },
		{ .fd = copy->packed_event, .events = POLLIN },
	};

	while (poll(events, G_N_ELEMENTS(events), -1) < 0 && errno == EINTR)
		;
}

/* Whether anything moved. */
static bool turn(struct copy *copy)
{
	bool moved = false;
	struct slot *slot;
	uint64_t count;

	block_kick(copy->source);
	block_kick(copy->target);
	block_poll(copy->source);
	block_poll(copy->target);
	if (copy->pool && read(copy->packed_event, &count, sizeof count) < 0 && errno != EAGAIN)
		copy->failure = errno;
	while (copy->pool && (slot = g_async_queue_try_pop(copy->packed)))
		slot->ready = true;
	for (unsigned i = 0; i < SLOTS; i++) {
		if (!copy->slots[i].ready)
			continue;
		advance(&copy->slots[i]);
		moved = true;
	}
	return moved;
}

static bool copy_all(struct copy *copy, GError **error)
{
	const struct image_convert_options *options = copy->options;
	bool go = true;

	do {
		if (go && !copy->failure)
			start_slots(copy);
		if (!turn(copy) && copy->busy)
			sleep_until_event(copy);
		go = go && image_go_on(options->progress, options->progress_opaque, copy->position, copy->size,
				       error);
	} while (copy->busy || (go && !copy->failure && copy->position < copy->size));
	if (!go)
		return false;
	copy->failure = copy->failure ? copy->failure : image_run(copy->target, BLOCK_FLUSH, 0, NULL, 0);
	return copy->failure ? image_failed(error, _("Cannot convert %s: %s"), options->source, copy->failure) : true;
}

static bool start_pool(struct copy *copy, GError **error)
{
	copy->packed_event = -1;
	if (!copy->options->compress)
		return true;
	copy->packed_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (copy->packed_event < 0)
		return image_failed(error, _("Cannot convert %s: %s"), copy->options->source, errno);
	copy->packed = g_async_queue_new();
	copy->pool = g_thread_pool_new(pack, copy, (gint)MIN(g_get_num_processors(), SLOTS), FALSE, error);
	return copy->pool != NULL;
}

static void end_pool(struct copy *copy)
{
	if (copy->pool)
		g_thread_pool_free(copy->pool, FALSE, TRUE);
	if (copy->packed)
		g_async_queue_unref(copy->packed);
	if (copy->packed_event >= 0)
		close(copy->packed_event);
}

static void make_slots(struct copy *copy)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *slot = &copy->slots[i];

		slot->copy = copy;
		slot->data = g_malloc(copy->step);
		slot->other = copy->image && copy->image->backing ? g_malloc(copy->step) : NULL;
		slot->packed = copy->options->compress ? g_malloc(copy->step) : NULL;
		slot->kinds = g_malloc(copy->step / copy->unit);
		slot->packed_length = g_new(uint32_t, copy->step / copy->unit);
	}
}

static void free_slots(struct copy *copy)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		g_free(copy->slots[i].data);
		g_free(copy->slots[i].other);
		g_free(copy->slots[i].packed);
		g_free(copy->slots[i].kinds);
		g_free(copy->slots[i].packed_length);
	}
}

static bool convert_into(struct copy *copy, const struct image_create_options *target, GError **error)
{
	struct block_options options = { .path = target->path, .format = target->format };
	bool done;

	if (options.format == BLOCK_FORMAT_PROBE)
		options.format = BLOCK_FORMAT_QCOW2;
	copy->target = block_open(&options, error);
	if (!copy->target)
		return false;
	copy->image = qcow2_from_block(copy->target);
	copy->unit = copy->image ? copy->image->cluster_size : 4096;
	if (!copy->options->compress)
		copy->unit = MAX(copy->unit, 4096);
	copy->step = MAX(copy->unit, STEP);
	copy->size = MIN(block_size(copy->source), block_size(copy->target));
	make_slots(copy);
	done = start_pool(copy, error) && copy_all(copy, error);
	end_pool(copy);
	free_slots(copy);
	block_close(copy->target);
	return done;
}

static bool can_compress(const struct image_create_options *target, GError **error)
{
	if (target->format != BLOCK_FORMAT_RAW && !target->data_path)
		return true;
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, _("%s cannot be compressed: %s"), target->path,
		    target->data_path ? _("its data is in a file of its own, for which qcow2 has no compression") :
		    _("raw images have no compression; choose qcow2"));
	return false;
}

bool image_convert(const struct image_convert_options *options, GError **error)
{
	struct block_options source = { .path = options->source, .format = options->source_format,
					.read_only = true };
	struct image_create_options target = options->target;
	struct copy copy = { .options = options, .source = block_open(&source, error) };
	bool done = copy.source != NULL;

	if (done && options->snapshot)
		done = block_snapshot_view(copy.source, options->snapshot, error);
	if (done && target.size == 0)
		target.size = block_size(copy.source);
	if (done && options->compress)
		done = can_compress(&target, error);
	if (!target.progress) {
		target.progress = options->progress;
		target.progress_opaque = options->progress_opaque;
	}
	done = done && image_create(&target, error);
	if (done && !convert_into(&copy, &target, error)) {
		image_remove(&target);
		done = false;
	}
	if (copy.source)
		block_close(copy.source);
	return done;
}
