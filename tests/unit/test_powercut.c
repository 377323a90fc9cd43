/*
 * Power cuts: random guest I/O on an engine that does what it is told in random order and writes down all that
 * reaches the file. The file as a cut at any point may leave it (what no fdatasync covered is there, or not, sector
 * by sector) must open, be sound but for leaks, and have everything that was flushed.
 *
 * ORIEL_POWERCUT_CUTS sets how many cuts are tried per session.
 */
#include <sys/eventfd.h>

#include "../../vmm/block/block_driver.h"
#include "qcow2_fixture.h"

#define DISK_SIZE (2u << 20)
#define SECTORS (DISK_SIZE / 512)
#define SLOTS 6
#define OPERATIONS 90
#define JUDGED_BY_QEMU 20 /* every so many cuts */

/* --- What reaches the file --- */

struct event {
	bool sync;
	uint64_t offset, length;
	uint8_t *data; /* NULL: zeroes */
};

struct recorder {
	struct engine engine;
	GPtrArray *pending; /* struct engine_io */
	GArray *events;
	GRand *random;
};

static void clear_event(gpointer data)
{
	g_free(((struct event *)data)->data);
}

static void recorder_start(struct engine *engine, struct engine_io *io)
{
	g_ptr_array_add(((struct recorder *)engine)->pending, io);
}

static void recorder_kick(struct engine *engine)
{
	(void)engine;
}

static int carry_out(struct recorder *recorder, const struct engine_step *step)
{
	struct event event = { .sync = step->kind == ENGINE_SYNC, .offset = step->offset, .length = step->length };
	ssize_t result = 0;

	if (step->kind == ENGINE_READ)
		return (int)preadv(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
	if (step->kind == ENGINE_PUNCH) {
		result = fallocate(step->fd, 3, (off_t)step->offset, (off_t)step->length); /* punch, keep the size */
	} else if (step->kind == ENGINE_WRITE) {
		uint64_t at = 0;

		result = pwritev(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
		event.length = (uint64_t)result;
		event.data = g_malloc(event.length);
		for (unsigned i = 0; i < step->iov_count; at += step->iov[i++].iov_len)
			memcpy(event.data + at, step->iov[i].iov_base, step->iov[i].iov_len);
	}
	g_assert_cmpint(result, >=, 0);
	g_array_append_val(recorder->events, event);
	if (step->data_sync) {
		event = (struct event){ .sync = true };
		g_array_append_val(recorder->events, event);
	}
	return (int)result;
}

static void recorder_reap(struct engine *engine, bool wait)
{
	struct recorder *recorder = (struct recorder *)engine;
	unsigned count = recorder->pending->len;

	count = count ? (unsigned)g_rand_int_range(recorder->random, wait ? 1 : 0, (gint32)count + 1) : 0;
	while (count-- && recorder->pending->len) {
		guint index = (guint)g_rand_int_range(recorder->random, 0, (gint32)recorder->pending->len);
		struct engine_io *io = g_ptr_array_remove_index_fast(recorder->pending, index);

		engine_step_done(engine, io, carry_out(recorder, &io->step));
	}
}

static void recorder_file(struct engine *engine, struct engine_file *file)
{
	(void)engine;
	(void)file;
}

/* What was recorded is looked at afterwards. */
static void recorder_free(struct engine *engine)
{
	struct recorder *recorder = (struct recorder *)engine;

	close(engine->event_fd);
	g_ptr_array_unref(recorder->pending);
	recorder->pending = NULL;
}

static const struct engine_backend recorder_backend = {
	.name = "recorder",
	.start = recorder_start,
	.kick = recorder_kick,
	.reap = recorder_reap,
	.add_file = recorder_file,
	.remove_file = recorder_file,
	.free = recorder_free,
};

/* --- What the guest did --- */

struct operation {
	unsigned start, count; /* sectors */
	uint64_t *values;      /* of each; NULL: discarded, which is to say anything that was there, or zeroes */
	guint submitted, completed; /* in events */
	guint began, ended;         /* in the guest's own order, where there may be no event between */
};

struct session {
	struct recorder recorder;
	GArray *operations;
	GArray *flushes; /* struct operation */
	uint8_t *before; /* the file */
	gsize before_length;
	uint64_t next_value;
	guint clock;
};

struct slot {
	struct waiting waiting;
	guint operation; /* index, or of a flush */
	bool busy;
	uint64_t *buffer;
};

static void clear_operation(gpointer data)
{
	g_free(((struct operation *)data)->values);
}

static guint now(const struct session *session)
{
	return session->recorder.events->len;
}

static guint add_operation(struct session *session, unsigned start, unsigned count, bool discard)
{
	struct operation operation = { start, count, discard ? NULL : g_new0(uint64_t, count), now(session),
				       G_MAXUINT, ++session->clock, G_MAXUINT };

	g_array_append_val(session->operations, operation);
	return session->operations->len - 1;
}

static void complete(struct session *session, struct operation *operation)
{
	operation->completed = now(session);
	operation->ended = ++session->clock;
}

static void start_slot(struct session *session, struct block *block, struct slot *slot, unsigned index)
{
	GRand *random = session->recorder.random;
	unsigned each = SECTORS / SLOTS, start = index * each + (unsigned)g_rand_int_range(random, 0, (gint32)each);
	unsigned rest = (index + 1) * each - start, most = g_rand_boolean(random) ? 20 : 300;
	unsigned count = (unsigned)g_rand_int_range(random, 1, (gint32)MIN(most, rest) + 1);
	unsigned kind = (unsigned)g_rand_int_range(random, 0, 16);
	struct waiting *waiting = &slot->waiting;
	struct operation *operation;

	*waiting = (struct waiting){ .request = { .offset = start * 512ull, .length = count * 512ull,
						  .iov = waiting->iov,
						  .iov_count = 1, .done = request_done },
				     .iov = { { slot->buffer, count * 512ull } } };
	waiting->request.operation = kind < 9 ? BLOCK_WRITE : kind < 11 ? BLOCK_WRITE_ZEROES :
				     kind < 13 ? BLOCK_DISCARD :
				     BLOCK_FLUSH;
	waiting->request.force_unit_access = kind == 0;
	slot->busy = true;
	if (waiting->request.operation == BLOCK_FLUSH) {
		struct operation flush = { .submitted = now(session), .completed = G_MAXUINT,
					   .began = ++session->clock, .ended = G_MAXUINT };

		slot->operation = session->flushes->len;
		g_array_append_val(session->flushes, flush);
	} else {
		slot->operation = add_operation(session, start, count, waiting->request.operation == BLOCK_DISCARD);
		operation = &g_array_index(session->operations, struct operation, slot->operation);
		for (unsigned i = 0; waiting->request.operation == BLOCK_WRITE && i < count; i++) {
			operation->values[i] = session->next_value++;
			for (unsigned word = 0; word < 64; word++)
				slot->buffer[i * 64 + word] = operation->values[i];
		}
	}
	block_submit(block, &waiting->request);
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

static void some_io(struct session *session, struct block *block, struct slot *slots, unsigned count)
{
	unsigned busy;

	do {
		busy = 0;
		for (unsigned i = 0; i < SLOTS; i++) {
			if (!slots[i].busy && count && g_rand_boolean(session->recorder.random)) {
				start_slot(session, block, &slots[i], i);
				count--;
			}
		}
		block_kick(block);
		block_poll(block);
		for (unsigned i = 0; i < SLOTS; i++) {
			finish_slot(session, &slots[i]);
			busy += slots[i].busy;
		}
	} while (count || busy);
}

/* The disk as it reads, as an operation: what a snapshot keeps, and brings back. */
static uint64_t *read_values(struct block *block)
{
	uint64_t *values = g_new(uint64_t, SECTORS);
	g_autofree uint64_t *disk = g_malloc(DISK_SIZE);

	g_assert_cmpint(run(block, BLOCK_READ, 0, disk, DISK_SIZE), ==, 0);
	for (unsigned i = 0; i < SECTORS; i++)
		values[i] = disk[i * 64];
	return values;
}

static void with_snapshots(struct session *session, struct block *block, struct slot *slots)
{
	g_autofree uint64_t *kept = NULL;
	struct operation *operation;
	guint index;

	g_assert_true(block_snapshot_create(block, "one", 0, NULL));
	kept = read_values(block);
	some_io(session, block, slots, OPERATIONS / 3);
	g_assert_true(block_snapshot_create(block, "two", 0, NULL));
	index = add_operation(session, 0, SECTORS, false);
	operation = &g_array_index(session->operations, struct operation, index);
	memcpy(operation->values, kept, SECTORS * sizeof *kept);
	g_assert_true(block_snapshot_apply(block, "one", NULL));
	complete(session, &g_array_index(session->operations, struct operation, index));
	some_io(session, block, slots, OPERATIONS / 3);
	g_assert_true(block_snapshot_delete(block, "one", NULL));
}

static void record(struct session *session, const char *path, bool snapshots)
{
	struct block_options options = { .path = path, .engine = &session->recorder.engine };
	struct slot slots[SLOTS] = { 0 };
	struct block *block;
	GError *error = NULL;

	session->recorder.engine.backend = &recorder_backend;
	session->recorder.engine.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	session->recorder.engine.held_tail = &session->recorder.engine.held;
	session->recorder.pending = g_ptr_array_new();
	block = block_open(&options, &error);
	g_assert_no_error(error);
	for (unsigned i = 0; i < SLOTS; i++)
		slots[i].buffer = g_malloc(DISK_SIZE / SLOTS + 512);
	some_io(session, block, slots, OPERATIONS);
	if (snapshots)
		with_snapshots(session, block, slots);
	some_io(session, block, slots, OPERATIONS / 2);
	block_close(block);
	for (unsigned i = 0; i < SLOTS; i++)
		g_free(slots[i].buffer);
}

/* --- The cut --- */

static void apply(GByteArray *file, const struct event *event, GRand *random, bool torn)
{
	uint64_t end = event->offset + event->length;
	guint old = file->len;

	if (event->data && end > old) {
		g_byte_array_set_size(file, (guint)end);
		memset(file->data + old, 0, end - old);
	}
	for (uint64_t at = event->offset; at < MIN(end, file->len);) {
		uint64_t next = MIN((at | 511) + 1, end);

		if (torn && g_rand_boolean(random)) {
			at = next;
			continue;
		}
		next = MIN(next, file->len);
		if (event->data)
			memcpy(file->data + at, event->data + (at - event->offset), next - at);
		else
			memset(file->data + at, 0, next - at);
		at = next;
	}
}

/* The file after the first cut events: whatever came after the last fdatasync may be missing. */
static GByteArray *cut_at(const struct session *session, guint cut, GRand *random)
{
	GByteArray *file = g_byte_array_new();
	guint durable = 0;
	int keep = g_rand_int_range(random, 0, 5); /* all, none, or some */

	g_byte_array_append(file, session->before, (guint)session->before_length);
	for (guint i = 0; i < cut; i++)
		if (g_array_index(session->recorder.events, struct event, i).sync)
			durable = i;
	for (guint i = 0; i < cut; i++) {
		const struct event *event = &g_array_index(session->recorder.events, struct event, i);
		bool all = i < durable || keep == 0 || (keep > 1 && g_rand_int_range(random, 0, 5) < keep);

		if (!event->sync && (all || keep > 1))
			apply(file, event, random, i >= durable && keep > 1 &&
						   (!all || g_rand_int_range(random, 0, 8) == 0));
	}
	return file;
}

/* Everything that a sector may be, given what was flushed. */
static bool allowed(const struct session *session, unsigned sector, uint64_t value, guint cut, guint flushed)
{
	for (guint i = session->operations->len; i-- > 0;) {
		const struct operation *operation = &g_array_index(session->operations, struct operation, i);

		if (operation->submitted > cut || sector < operation->start ||
		    sector >= operation->start + operation->count)
			continue;
		if (!operation->values) {
			if (value == 0)
				return true;
			continue;
		}
		if (value == operation->values[sector - operation->start])
			return true;
		if (operation->ended < flushed)
			return false;
	}
	return value == 0;
}

static void describe(const struct session *session, unsigned sector)
{
	for (guint i = 0; i < session->operations->len; i++) {
		const struct operation *operation = &g_array_index(session->operations, struct operation, i);

		if (sector >= operation->start && sector < operation->start + operation->count)
			g_printerr("sectors %u+%u: events %u to %u, time %u to %u, value %#" G_GINT64_MODIFIER "x\n",
				   operation->start, operation->count, operation->submitted, operation->completed,
				   operation->began, operation->ended, !operation->values ? UINT64_MAX :
				   operation->values[sector - operation->start]);
	}
	for (guint i = 0; i < session->flushes->len; i++) {
		const struct operation *flush = &g_array_index(session->flushes, struct operation, i);

		g_printerr("flush: events %u to %u, time %u to %u\n", flush->submitted, flush->completed,
			   flush->began,
			   flush->ended);
	}
}

/* 3: leaks. */
static void judge(const struct folder *folder)
{
	g_autofree char *output = NULL;
	int status = tool(folder, &output, "qemu-img check -f qcow2 cut.qcow2");

	if (status != 0 && status != 3)
		g_error("%s", output);
}

static bool write_file(const char *path, const GByteArray *file)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	bool written = fd >= 0 && write(fd, file->data, file->len) == (ssize_t)file->len;

	close(fd);
	return written;
}

static void verify(const struct session *session, const struct folder *folder, guint cut, GRand *random,
		   const struct image_create_options *options, bool qemu)
{
	g_autofree char *path = folder_file(folder, "cut.qcow2");
	GByteArray *file = cut_at(session, cut, random);
	g_autofree uint64_t *disk = g_malloc(DISK_SIZE);
	struct image_check check;
	struct block *block;
	guint flushed = 0;
	GError *error = NULL;

	g_assert_true(write_file(path, file));
	g_byte_array_unref(file);
	/* Lazy refcounts are wrong until the image is opened, which the dirty bit says. */
	if (qemu && !options->lazy_refcounts)
		judge(folder);
	g_assert_true(image_check(path, 0, &check, &error));
	if (!options->lazy_refcounts)
		g_assert_cmpuint(check.corruptions, ==, 0);
	block = open_image(path, false);
	g_assert_cmpint(run(block, BLOCK_READ, 0, disk, DISK_SIZE), ==, 0);
	block_close(block);
	g_assert_true(image_check(path, 0, &check, &error));
	g_assert_cmpuint(check.corruptions, ==, 0);
	g_assert_cmpuint(check.leaks, ==, 0);
	for (guint i = 0; i < session->flushes->len; i++) {
		const struct operation *flush = &g_array_index(session->flushes, struct operation, i);

		if (flush->completed > cut)
			continue;
		flushed = MAX(flushed, flush->began);
	}
	for (unsigned i = 0; i < SECTORS; i++) {
		for (unsigned word = 1; word < 64; word++)
			g_assert_cmpuint(disk[i * 64], ==, disk[i * 64 + word]);
		if (!allowed(session, i, disk[i * 64], cut, flushed)) {
			describe(session, i);
			g_error("sector %u after event %u has %#" G_GINT64_MODIFIER "x, which it may not", i, cut,
				disk[i * 64]);
		}
	}
}

/* Every cut makes the image say that it was not closed properly. */
static GLogWriterOutput quiet(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer data)
{
	return level & G_LOG_LEVEL_MESSAGE ? G_LOG_WRITER_HANDLED : g_log_writer_default(level, fields, count, data);
}

struct variant {
	const char *name;
	struct image_create_options options;
	bool snapshots;
};

static void test_cuts(struct folder *folder, gconstpointer data)
{
	const struct variant *variant = data;
	const char *wish = g_getenv("ORIEL_POWERCUT_CUTS");
	guint64 cuts = wish ? g_ascii_strtoull(wish, NULL, 10) : 60;
	g_autofree char *path = folder_file(folder, "disk.qcow2");
	struct image_create_options options = variant->options;
	struct session session = { .next_value = 1 };
	GError *error = NULL;

	options.path = path;
	options.size = DISK_SIZE;
	g_assert_true(image_create(&options, &error));
	g_assert_true(g_file_get_contents(path, (char **)&session.before, &session.before_length, NULL));
	session.recorder.random = g_rand_new_with_seed((guint32)g_test_rand_int());
	session.recorder.events = g_array_new(FALSE, TRUE, sizeof(struct event));
	session.operations = g_array_new(FALSE, TRUE, sizeof(struct operation));
	session.flushes = g_array_new(FALSE, TRUE, sizeof(struct operation));
	g_array_set_clear_func(session.recorder.events, clear_event);
	g_array_set_clear_func(session.operations, clear_operation);
	record(&session, path, variant->snapshots);
	g_test_message("%u events", session.recorder.events->len);
	for (guint64 i = 0; i < cuts; i++) {
		guint cut = (guint)g_rand_int_range(session.recorder.random, 0,
						    (gint32)session.recorder.events->len + 1);

		if (cuts > session.recorder.events->len)
			cut = (guint)(i % (session.recorder.events->len + 1));
		verify(&session, folder, cut, session.recorder.random, &options, i % JUDGED_BY_QEMU == 0);
	}
	g_rand_free(session.recorder.random);
	g_array_unref(session.recorder.events);
	g_array_unref(session.operations);
	g_array_unref(session.flushes);
	g_free(session.before);
}

int main(int argc, char **argv)
{
	static const struct variant variants[] = {
		{ "default", { 0 } },
		{ "default-snapshots", { 0 }, true },
		{ "cluster-512", { .cluster_size = 512 } },
		{ "cluster-512-snapshots", { .cluster_size = 512 }, true },
		{ "cluster-4k-refcount-64", { .cluster_size = 4096, .refcount_bits = 64 }, true },
		{ "version-2", { .version = 2, .cluster_size = 4096 } },
		{ "extended", { .extended_l2 = true, .cluster_size = 16384 } },
		{ "extended-snapshots", { .extended_l2 = true, .cluster_size = 16384 }, true },
		{ "lazy", { .lazy_refcounts = true, .cluster_size = 4096 } },
	};

	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	g_log_set_writer_func(quiet, NULL, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
		g_autofree char *path = g_strconcat("/powercut/", variants[i].name, NULL);

		g_test_add(path, struct folder, &variants[i], folder_set_up, test_cuts, folder_tear_down);
	}
	return g_test_run();
}
