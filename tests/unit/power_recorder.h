/*
 * An engine that does what it is told in random order and writes down all that reaches the image's files, and the
 * files as a power cut may leave them: what no fdatasync covered is there, or not, sector by sector. (That a disk may
 * reorder is the same: of two writes to one sector, the page cache gives it one at a time.)
 */
#pragma once

#include <sys/eventfd.h>
#include <sys/syscall.h>

#include "../../vmm/block/block_driver.h"
#include "qcow2_fixture.h"

enum event_kind {
	EVENT_WRITE,
	EVENT_ZEROES,
	EVENT_TRUNCATE, /* to length */
	EVENT_SYNC,
};

#define RECORDED_FILES 2 /* the image, and its external data file */

struct event {
	enum event_kind kind;
	unsigned file;
	uint64_t offset, length;
	uint8_t *data;
	bool stable;  /* EVENT_WRITE: it went past the disk's cache */
	guint covers; /* EVENT_SYNC: events before this one */
};

struct pending {
	struct engine_io *io;
	guint began; /* when it was submitted, in events */
};

struct recorder {
	struct engine engine;
	GArray *pending;
	GArray *events;
	GRand *random;
	int fds[RECORDED_FILES];
	GByteArray *before[RECORDED_FILES]; /* NULL: there is no such file */
};

static const char *const recorded_names[RECORDED_FILES] = { "disk.qcow2", "data.raw" };

/* Whose files are truncated, which no engine does. */
static struct recorder *recording;

static inline void clear_event(gpointer data)
{
	g_free(((struct event *)data)->data);
}

static inline guint recorder_now(const struct recorder *recorder)
{
	return recorder->events->len;
}

/* RECORDED_FILES: none of them, as a backing image is. */
static inline unsigned recorded_file(const struct recorder *recorder, int fd)
{
	unsigned file = 0;

	while (file < RECORDED_FILES && recorder->fds[file] != fd)
		file++;
	return file;
}

int ftruncate(int fd, off_t length)
{
	struct event event = { .kind = EVENT_TRUNCATE, .length = (uint64_t)length };

	if (recording && (event.file = recorded_file(recording, fd)) < RECORDED_FILES)
		g_array_append_val(recording->events, event);
	return (int)syscall(SYS_ftruncate, fd, length);
}

/* --- The engine --- */

static inline void recorder_start(struct engine *engine, struct engine_io *io)
{
	struct recorder *recorder = (struct recorder *)engine;
	struct pending pending = { io, recorder_now(recorder) };

	g_array_append_val(recorder->pending, pending);
}

static inline void recorder_kick(struct engine *engine)
{
	(void)engine;
}

static inline uint8_t *gather(const struct engine_step *step, uint64_t length)
{
	uint8_t *data = g_malloc(length);
	uint64_t at = 0;

	for (unsigned i = 0; at < length; at += step->iov[i++].iov_len)
		memcpy(data + at, step->iov[i].iov_base, MIN(step->iov[i].iov_len, length - at));
	return data;
}

static inline int carry_out(struct recorder *recorder, const struct engine_step *step, guint began)
{
	struct event event = { .file = recorded_file(recorder, step->fd), .offset = step->offset };
	ssize_t result = 0;

	switch (step->kind) {
	case ENGINE_READ:
		return (int)preadv(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
	case ENGINE_SYNC:
		event.kind = EVENT_SYNC;
		event.covers = began;
		break;
	case ENGINE_PUNCH:
		event.kind = EVENT_ZEROES;
		event.length = step->length;
		result = fallocate(step->fd, 3, (off_t)step->offset, (off_t)step->length); /* punch, keep the size */
		break;
	case ENGINE_WRITE:
		event.kind = EVENT_WRITE;
		event.stable = step->data_sync;
		result = pwritev(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
		event.length = (uint64_t)MAX(result, 0);
		event.data = gather(step, event.length);
		break;
	}
	g_assert_cmpint(result, >=, 0);
	g_assert_cmpuint(event.file, <, RECORDED_FILES);
	g_array_append_val(recorder->events, event);
	return (int)result;
}

static inline void recorder_reap(struct engine *engine, bool wait)
{
	struct recorder *recorder = (struct recorder *)engine;
	unsigned count = recorder->pending->len;

	count = count ? (unsigned)g_rand_int_range(recorder->random, wait ? 1 : 0, (gint32)count + 1) : 0;
	while (count-- && recorder->pending->len) {
		guint index = (guint)g_rand_int_range(recorder->random, 0, (gint32)recorder->pending->len);
		struct pending pending = g_array_index(recorder->pending, struct pending, index);

		g_array_remove_index_fast(recorder->pending, index);
		engine_step_done(engine, pending.io, carry_out(recorder, &pending.io->step, pending.began));
	}
}

static inline void recorder_add_file(struct engine *engine, struct engine_file *file)
{
	struct recorder *recorder = (struct recorder *)engine;
	g_autofree char *name = g_path_get_basename(file->path);

	for (unsigned i = 0; i < RECORDED_FILES; i++)
		if (strcmp(name, recorded_names[i]) == 0)
			recorder->fds[i] = file->fd;
}

static inline void recorder_remove_file(struct engine *engine, struct engine_file *file)
{
	struct recorder *recorder = (struct recorder *)engine;
	unsigned index = file->fd < 0 ? RECORDED_FILES : recorded_file(recorder, file->fd);

	if (index < RECORDED_FILES)
		recorder->fds[index] = -1;
}

/* What was recorded is looked at afterwards. */
static inline void recorder_free(struct engine *engine)
{
	struct recorder *recorder = (struct recorder *)engine;

	close(engine->event_fd);
	g_array_unref(recorder->pending);
	recorder->pending = NULL;
	recording = NULL;
}

static const struct engine_backend recorder_backend = {
	.name = "recorder",
	.start = recorder_start,
	.kick = recorder_kick,
	.reap = recorder_reap,
	.add_file = recorder_add_file,
	.remove_file = recorder_remove_file,
	.free = recorder_free,
};

static inline GByteArray *read_bytes(const struct folder *folder, const char *name)
{
	g_autofree char *path = folder_file(folder, name);
	guint8 *data;
	gsize length;

	return g_file_get_contents(path, (char **)&data, &length, NULL) ? g_byte_array_new_take(data, length) : NULL;
}

/* Notes the image's files as they are. */
static inline void recorder_init(struct recorder *recorder, const struct folder *folder, GRand *random)
{
	*recorder = (struct recorder){ .random = random };
	recorder->events = g_array_new(FALSE, TRUE, sizeof(struct event));
	g_array_set_clear_func(recorder->events, clear_event);
	for (unsigned i = 0; i < RECORDED_FILES; i++)
		recorder->before[i] = read_bytes(folder, recorded_names[i]);
}

static inline void recorder_clear(struct recorder *recorder)
{
	g_array_unref(recorder->events);
	for (unsigned i = 0; i < RECORDED_FILES; i++)
		g_clear_pointer(&recorder->before[i], g_byte_array_unref);
}

/* Records until the block is closed; may be done again afterwards. */
static inline struct block *recorder_open(struct recorder *recorder, const struct folder *folder)
{
	g_autofree char *path = folder_file(folder, recorded_names[0]);
	struct block_options options = { .path = path, .engine = &recorder->engine };
	GError *error = NULL;
	struct block *block;

	recorder->engine = (struct engine){ .backend = &recorder_backend,
					    .event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	recorder->engine.held_tail = &recorder->engine.held;
	recorder->pending = g_array_new(FALSE, FALSE, sizeof(struct pending));
	for (unsigned i = 0; i < RECORDED_FILES; i++)
		recorder->fds[i] = -1;
	recording = recorder;
	block = block_open(&options, &error);
	g_assert_no_error(error);
	return block;
}

/* --- The cut --- */

static inline void set_length(GByteArray *file, uint64_t length)
{
	guint old = file->len;

	g_byte_array_set_size(file, (guint)length);
	if (length > old)
		memset(file->data + old, 0, length - old);
}

static inline void apply_event(GByteArray *file, const struct event *event, GRand *random, bool torn)
{
	uint64_t end = event->offset + event->length;

	if (event->kind == EVENT_TRUNCATE)
		set_length(file, event->length);
	if (event->kind == EVENT_TRUNCATE || event->kind == EVENT_SYNC)
		return;
	if (event->data && end > file->len)
		set_length(file, end);
	end = MIN(end, file->len);
	for (uint64_t at = event->offset, next; at < end; at = next) {
		next = MIN((at | 511) + 1, end);
		if (torn && g_rand_boolean(random))
			continue;
		if (event->data)
			memcpy(file->data + at, event->data + (at - event->offset), next - at);
		else
			memset(file->data + at, 0, next - at);
	}
}

/* Everything that was not made durable has the same chance, from none to certainty. */
static inline void apply_maybe(GByteArray *file, const struct event *event, GRand *random, int chance)
{
	bool torn = chance > 0 && chance < 4 && g_rand_int_range(random, 0, 4) == 0;

	if (torn || g_rand_int_range(random, 0, 4) < chance)
		apply_event(file, event, random, torn);
}

static inline void put_bytes(const struct folder *folder, const char *name, const GByteArray *bytes)
{
	g_autofree char *path = folder_file(folder, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(write(fd, bytes->data, bytes->len), ==, bytes->len);
	close(fd);
}

/* The files after the first cut events, put into folder. */
static inline void recorder_cut(const struct recorder *recorder, guint cut, GRand *random,
				const struct folder *folder)
{
	for (unsigned file = 0; file < RECORDED_FILES; file++) {
		int chance = g_rand_int_range(random, 0, 5);
		GByteArray *bytes;
		guint durable = 0;

		if (!recorder->before[file])
			continue;
		bytes = g_byte_array_sized_new(recorder->before[file]->len);
		g_byte_array_append(bytes, recorder->before[file]->data, recorder->before[file]->len);
		for (guint i = 0; i < cut; i++) {
			const struct event *event = &g_array_index(recorder->events, struct event, i);

			if (event->file == file && event->kind == EVENT_SYNC)
				durable = MAX(durable, event->covers);
		}
		for (guint i = 0; i < cut; i++) {
			const struct event *event = &g_array_index(recorder->events, struct event, i);

			if (event->file == file && (i < durable || event->stable))
				apply_event(bytes, event, random, false);
			else if (event->file == file)
				apply_maybe(bytes, event, random, chance);
		}
		put_bytes(folder, recorded_names[file], bytes);
		g_byte_array_unref(bytes);
	}
}
