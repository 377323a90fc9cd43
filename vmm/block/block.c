/* What all image formats share: checking requests, statistics, delivery, and trouble that the user can mend. */
#include "block_driver.h"
#include "image.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK_INTERVAL 1000000000ull

static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

static const struct block_driver *find_driver(const struct block_options *options)
{
	enum block_format format = options->format;

	if (format == BLOCK_FORMAT_PROBE)
		format = options->optical ? BLOCK_FORMAT_RAW : image_probe(options->path);
	return format == BLOCK_FORMAT_QCOW2 ? &block_driver_qcow2 : &block_driver_raw;
}

struct block *block_open(const struct block_options *options, GError **error)
{
	struct block *block = g_new0(struct block, 1);

	block->driver = find_driver(options);
	block->path = g_strdup(options->path);
	block->read_only = options->read_only;
	block->report_errors = options->report_errors;
	block->finished_tail = &block->finished;
	block->troubled_tail = &block->troubled;
	block->engine = options->engine ? options->engine : engine_new(options->no_io_uring, error);
	if (block->engine && block->driver->open(block, options, error))
		return block;
	if (block->engine)
		engine_free(block->engine);
	g_free(block->path);
	g_free(block);
	return NULL;
}

static void flush_done(struct block_request *request, int error)
{
	if (error)
		g_warning("%s: what was written last may be lost: %s", block_path(request->block), g_strerror(error));
}

void block_close(struct block *block)
{
	struct block_request flush = { .operation = BLOCK_FLUSH, .done = flush_done };

	block->check_off = true;
	block_set_trouble_handler(block, NULL, NULL);
	block_fail(block);
	block_drain(block);
	block_submit(block, &flush);
	block_drain(block);
	block->driver->close(block);
	engine_free(block->engine);
	g_free(block->path);
	g_free(block);
}

const char *block_path(const struct block *block)
{
	return block->path;
}

uint64_t block_size(const struct block *block)
{
	return block->size;
}

bool block_read_only(const struct block *block)
{
	return block->read_only;
}

int block_event_fd(const struct block *block)
{
	return block->engine->event_fd;
}

const struct block_statistics *block_statistics(const struct block *block)
{
	return &block->statistics;
}

/* --- Finishing --- */

static void append(struct block_request ***tail, struct block_request *request)
{
	request->next = NULL;
	**tail = request;
	*tail = &request->next;
}

static struct block_request *pop(struct block_request **head, struct block_request ***tail)
{
	struct block_request *request = *head;

	*head = request->next;
	if (!*head)
		*tail = head;
	return request;
}

/* NULL if there is nothing that the user could mend. */
static char *trouble_message(const struct block *block, const struct block_request *request, int error)
{
	const char *path = block->path;

	switch (error) {
	case ENOSPC:
	case EDQUOT:
		return g_strdup_printf(_("The host's disk is full: %s cannot grow. Free some space, then go on"), path);
	case ENOENT:
		return g_strdup_printf(_("%s was deleted while the machine uses it. Copy its contents, which are still "
					 "to be found in /proc/%d/fd, back to where it was, then go on"), path,
				       (int)getpid());
	case ENODATA:
		return g_strdup_printf(_("%s became shorter while the machine uses it. Put its contents back, then go "
					 "on"), path);
	case ENODEV:
	case ENXIO:
	case ENOMEDIUM:
	case ESTALE:
	case ENOTCONN:
		return g_strdup_printf(_("The disk that holds %s went away (%s). Connect it again, then go on"), path,
				       g_strerror(error));
	case ENOLINK:
		return g_strdup_printf(_("%s was moved away, or another file put in its place, while the machine uses "
					 "it. Move it back, then go on"), path);
	case EUCLEAN:
		return g_strdup_printf(_("%s is damaged; the log tells how. Stop the machine, and repair the image "
					 "(oriel disk check --repair) or restore it from a backup"), path);
	case EIO:
		return g_strdup_printf(request->operation == BLOCK_READ ?
				       _("The host could not read %s (%s). Check its disk, then go on") :
				       _("The host could not write to %s (%s). Check its disk, then go on"), path,
				       g_strerror(error));
	default:
		return NULL;
	}
}

/* Whether the user is not to be asked, who has chosen so, or can do nothing about it. */
static bool guest_hears(const struct block *block, const struct block_request *request)
{
	switch (request->error) {
	case EIO:
		/* A flush that is tried again after an error succeeds without having saved anything. */
		return block->report_errors || request->operation == BLOCK_FLUSH;
	case EUCLEAN:
		return block->report_errors || block->damage_known;
	case ENODEV:
	case ENXIO:
	case ENOMEDIUM:
	case ESTALE:
	case ENOTCONN:
		return block->report_errors;
	default:
		return false;
	}
}

static bool keep_troubled(struct block *block, struct block_request *request)
{
	int error = request->error;
	bool ask = block->trouble && !request->given_up && !guest_hears(block, request);
	g_autofree char *message = ask ? trouble_message(block, request, error) : NULL;
	bool first = !block->troubled;
	uint64_t margin;

	if (!message)
		return false;
	if (error == ENOSPC)
		block->room = block->driver->room(block, &margin);
	append(&block->troubled_tail, request);
	if (first)
		block->trouble(block, error, message, block->trouble_opaque);
	return true;
}

static void count(struct block *block, const struct block_request *request, uint64_t now)
{
	uint64_t latency = now - request->start;
	uint64_t microseconds = latency / 1000;
	unsigned bucket = microseconds ? 64 - (unsigned)__builtin_clzll(microseconds) : 0;

	block->statistics.by_operation[request->operation].operations++;
	block->statistics.by_operation[request->operation].errors += request->error != 0;
	if (!request->error && request->operation != BLOCK_FLUSH)
		block->statistics.by_operation[request->operation].bytes += request->length;
	block->statistics.by_operation[request->operation].latency_total += latency;
	block->statistics.by_operation[request->operation].latency[MIN(bucket, BLOCK_LATENCY_BUCKETS - 1)]++;
}

void block_request_done(struct block_request *request, int error)
{
	struct block *block = request->block;

	block->in_flight--;
	request->error = error;
	append(&block->finished_tail, request);
}

static unsigned deliver(struct block *block)
{
	uint64_t now = block->finished ? now_ns() : 0;
	unsigned delivered = 0;

	/* For what is submitted meanwhile; looking at the clock is dear. */
	block->batch_time = block->batch_time ? block->batch_time : now;
	while (block->finished) {
		struct block_request *request = pop(&block->finished, &block->finished_tail);

		if (request->error && keep_troubled(block, request))
			continue;
		if ((unsigned)request->operation < BLOCK_OPERATIONS)
			count(block, request, now);
		request->done(request, request->error);
		delivered++;
	}
	block->batch_time = 0;
	return delivered;
}

static unsigned collect(struct block *block, bool wait)
{
	unsigned delivered;

	if (block->delivering)
		return 0;
	block->delivering = true;
	engine_reap(block->engine, wait && !block->finished);
	delivered = deliver(block);
	block->delivering = false;
	return delivered;
}

unsigned block_poll(struct block *block)
{
	return collect(block, false);
}

void block_drain(struct block *block)
{
	g_assert(!block->delivering);
	while (block->in_flight || block->finished) {
		block->batch_time = 0;
		collect(block, true);
	}
}

/* --- Submitting --- */

static int check_request(const struct block *block, const struct block_request *request)
{
	bool transfer = request->operation == BLOCK_READ || request->operation == BLOCK_WRITE;
	uint64_t bytes = 0;

	if ((unsigned)request->operation >= BLOCK_OPERATIONS)
		return EINVAL;
	if (request->operation == BLOCK_FLUSH)
		return 0;
	if (block->read_only && request->operation != BLOCK_READ)
		return EROFS;
	if (request->offset > block->size || request->length > block->size - request->offset ||
	    request->offset % 512 || request->length % 512)
		return EINVAL;
	for (unsigned i = 0; transfer && i < request->iov_count; i++)
		bytes += request->iov[i].iov_len;
	return transfer && bytes != request->length ? EINVAL : 0;
}

/* What happened to the files of the image, looked for about once a second while there are requests. */
static int check_files(struct block *block, uint64_t now)
{
	if (block->check_off || block->read_only || now - block->checked < CHECK_INTERVAL)
		return 0;
	block->checked = now;
	return block->driver->check(block);
}

static void pass_on(struct block *block, struct block_request *request)
{
	int error;

	block->in_flight++;
	error = check_files(block, block->batch_time);
	if (error)
		block_request_done(request, error);
	else
		block->driver->submit(block, request);
}

void block_submit(struct block *block, struct block_request *request)
{
	int error = check_request(block, request);

	if (!block->batch_time)
		block->batch_time = now_ns();
	request->block = block;
	request->start = block->batch_time;
	request->given_up = false;
	if (error || (request->operation != BLOCK_FLUSH && request->length == 0) ||
	    (request->operation == BLOCK_FLUSH && block->read_only)) {
		request->error = error;
		append(&block->finished_tail, request);
	} else {
		pass_on(block, request);
	}
}

void block_kick(struct block *block)
{
	block->batch_time = 0;
	engine_kick(block->engine);
}

/* --- Trouble --- */

void block_set_trouble_handler(struct block *block, void (*trouble)(struct block *block, int error,
				const char *message, void *opaque), void *opaque)
{
	block->trouble = trouble;
	block->trouble_opaque = opaque;
}

void block_retry(struct block *block)
{
	struct block_request *request = block->troubled;

	if (!request)
		return;
	block->troubled = NULL;
	block->troubled_tail = &block->troubled;
	block_drain(block);
	block->driver->recover(block);
	block->checked = 0;
	while (request) {
		struct block_request *next = request->next;

		block_submit(block, request);
		request = next;
	}
	block_kick(block);
}

void block_cancel(struct block *block)
{
	while (block->troubled) {
		struct block_request *request = pop(&block->troubled, &block->troubled_tail);

		request->given_up = true;
		append(&block->finished_tail, request);
	}
}

bool block_has_room(struct block *block)
{
	uint64_t margin, room;

	for (const struct block_request *request = block->troubled; request; request = request->next) {
		if (request->error != ENOSPC)
			continue;
		room = block->driver->room(block, &margin);
		return room > block->room && room - block->room >= margin;
	}
	return false;
}

void block_fail(struct block *block)
{
	bool moved = false;

	for (const struct block_request *request = block->troubled; request; request = request->next) {
		moved |= request->error == ENOLINK;
		block->check_off |= moved || request->error == ENOENT || request->error == ENODATA;
		block->damage_known |= request->error == EUCLEAN;
	}
	/* Nothing is wrong with a file that is elsewhere. */
	if (moved)
		block_retry(block);
	else
		block_cancel(block);
}
