/*
 * Host I/O: breaks a driver's read, write, flush or discard into steps that the host can do, and carries on where a
 * step did less than it was asked. How steps reach the host is the backend's affair.
 */
#include "block_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* The host takes at most this many elements at once. */
#define IOV_STEP_MAX IOV_MAX
#define BOUNCE_MAX (1u << 20)
#define ZERO_SIZE (64u << 10)
#define ZERO_COUNT 64
/*
 * What the page cache has is copied within the submitting call: handing it to another thread costs more. Copying more
 * than this at once would keep the caller, who may hold a lock, too long; small requests count for nothing.
 */
#define INLINE_BUDGET (1u << 20)
#define INLINE_ALWAYS (64u << 10)

static const uint8_t zeroes[ZERO_SIZE] __attribute__((aligned(4096)));

struct engine *engine_new(bool no_io_uring, GError **error)
{
	g_autoptr(GError) refusal = NULL;
	struct engine *engine = no_io_uring ? NULL : engine_uring_new(&refusal);

	if (!engine) {
		if (no_io_uring)
			g_message("block: io_uring is switched off; using threads");
		else
			g_message("block: no io_uring (%s); using threads, which is slower", refusal->message);
		engine = engine_threads_new(error);
	}
	if (engine) {
		engine->held_tail = &engine->held;
		engine->inline_budget = INLINE_BUDGET;
	}
	return engine;
}

void engine_free(struct engine *engine)
{
	while (engine->spare) {
		struct engine_io *io = engine->spare;

		engine->spare = io->next;
		g_free(io);
	}
	engine->backend->free(engine);
}

struct engine_io *engine_io_new(struct engine *engine)
{
	struct engine_io *io = engine->spare;

	if (!io)
		return g_new0(struct engine_io, 1);
	engine->spare = io->next;
	/* What the last one left; the rest is filled in anyway, or was cleared by finish(). */
	io->force_unit_access = false;
	io->step.slow = false;
	io->finished = 0;
	io->modify = false;
	return io;
}

void engine_io_free(struct engine *engine, struct engine_io *io)
{
	io->next = engine->spare;
	engine->spare = io;
}

void engine_add_file(struct engine *engine, struct engine_file *file)
{
	engine->backend->add_file(engine, file);
}

void engine_remove_file(struct engine *engine, struct engine_file *file)
{
	engine->backend->remove_file(engine, file);
}

bool engine_idle(const struct engine *engine)
{
	return engine->in_flight == 0 && !engine->held && !engine->ready;
}

static void start_step(struct engine *engine, struct engine_io *io, enum engine_step_kind kind)
{
	io->step.kind = kind;
	io->step.fd = io->file->fd;
	io->step.slot = io->file->slot;
	io->length_before = io->file->length;
	io->step.data_sync = kind == ENGINE_WRITE && io->force_unit_access;
	engine->in_flight++;
	engine->restarted |= engine->reaping;
	engine->backend->start(engine, io);
}

static bool is_write(const struct engine_io *io)
{
	return io->operation != BLOCK_READ && io->operation != BLOCK_FLUSH;
}

static void begin(struct engine *engine, struct engine_io *io);

static void release_held(struct engine *engine)
{
	while (engine->held && !(engine->held->exclusive && engine->writes)) {
		struct engine_io *io = engine->held;

		engine->held = io->next;
		if (!engine->held)
			engine->held_tail = &engine->held;
		begin(engine, io);
	}
}

static void finish(struct engine *engine, struct engine_io *io, int error)
{
	g_clear_pointer(&io->rest, g_free);
	g_clear_pointer(&io->zeroes, g_free);
	g_clear_pointer(&io->bounce, free);
	if (is_write(io)) {
		engine->writes--;
		/* A punch leaves the file's length alone. */
		if (!error && io->step.kind == ENGINE_WRITE)
			io->file->length = MAX(io->file->length, io->offset + io->length);
		release_held(engine);
	}
	io->done(io, error);
}

/* For what needs no host: io->done must not be called from engine_submit(). */
static void finish_later(struct engine *engine, struct engine_io *io)
{
	io->next = engine->ready;
	engine->ready = io;
}

/* --- Moving along the driver's memory --- */

/* Skips count bytes of io->iov, copying what is left when it has to begin inside of an element. */
static void skip_iov(struct engine_io *io, uint64_t count)
{
	struct iovec *rest;

	while (io->iov_count && count >= io->iov->iov_len) {
		count -= io->iov->iov_len;
		io->iov++;
		io->iov_count--;
	}
	if (!count)
		return;
	rest = g_memdup2(io->iov, io->iov_count * sizeof *rest);
	rest->iov_base = (char *)rest->iov_base + count;
	rest->iov_len -= count;
	g_free(io->rest);
	io->rest = rest;
	io->iov = rest;
}

static void copy_iov(const struct engine_io *io, char *buffer, uint64_t count)
{
	for (const struct iovec *iov = io->iov; count; iov++) {
		size_t length = MIN(count, iov->iov_len);

		if (io->operation == BLOCK_READ)
			memcpy(iov->iov_base, buffer, length);
		else
			memcpy(buffer, iov->iov_base, length);
		buffer += length;
		count -= length;
	}
}

static void zero_rest(struct engine_io *io)
{
	for (unsigned i = 0; i < io->iov_count; i++)
		memset(io->iov[i].iov_base, 0, io->iov[i].iov_len);
}

static void make_zeroes(struct engine_io *io)
{
	uint64_t left = io->length - io->finished;

	if (!io->zeroes)
		io->zeroes = g_new(struct iovec, ZERO_COUNT);
	io->iov = io->zeroes;
	for (io->iov_count = 0; left && io->iov_count < ZERO_COUNT; io->iov_count++) {
		io->zeroes[io->iov_count] = (struct iovec){ (void *)zeroes, MIN(left, ZERO_SIZE) };
		left -= MIN(left, ZERO_SIZE);
	}
}

static void start_transfer(struct engine *engine, struct engine_io *io)
{
	if (io->operation == BLOCK_WRITE_ZEROES)
		make_zeroes(io);
	io->step.offset = io->offset + io->finished;
	io->step.iov = io->iov;
	io->step.iov_count = MIN(io->iov_count, IOV_STEP_MAX);
	io->step.length = io->length - io->finished;
	start_step(engine, io, io->operation == BLOCK_READ ? ENGINE_READ : ENGINE_WRITE);
}

static void advance(struct engine_io *io, uint64_t count)
{
	io->finished += count;
	if (io->operation != BLOCK_WRITE_ZEROES)
		skip_iov(io, count);
}

/* --- O_DIRECT by way of an aligned buffer --- */

static uint64_t align_down(uint64_t value, unsigned alignment)
{
	return value - value % alignment;
}

static uint64_t align_up(uint64_t value, unsigned alignment)
{
	return align_down(value + alignment - 1, alignment);
}

static bool offsets_aligned(const struct engine_io *io)
{
	return (io->offset | io->length) % io->file->offset_align == 0;
}

static bool needs_bounce(const struct engine_io *io)
{
	const struct engine_file *file = io->file;

	if (!file->direct)
		return false;
	if (!offsets_aligned(io))
		return true;
	if (io->operation == BLOCK_WRITE_ZEROES)
		return false;
	for (unsigned i = 0; i < io->iov_count; i++)
		if ((uintptr_t)io->iov[i].iov_base % file->memory_align || io->iov[i].iov_len % file->offset_align)
			return true;
	return false;
}

static uint64_t bounce_size(const struct engine_io *io)
{
	unsigned alignment = io->file->offset_align;

	return MIN(align_up(io->length, alignment) + alignment, align_up(BOUNCE_MAX, alignment));
}

/* Where the driver's next byte lies in the bounce buffer, and how many of its bytes fit. */
static uint64_t bounce_skip(const struct engine_io *io)
{
	return io->offset + io->finished - io->step.offset;
}

static uint64_t bounce_count(const struct engine_io *io)
{
	return MIN(io->bounce_iov.iov_len - bounce_skip(io), io->length - io->finished);
}

static void bounce_write(struct engine *engine, struct engine_io *io)
{
	char *target = (char *)io->bounce + bounce_skip(io);

	if (io->operation == BLOCK_WRITE_ZEROES)
		memset(target, 0, bounce_count(io));
	else
		copy_iov(io, target, bounce_count(io));
	io->modify = false;
	start_step(engine, io, ENGINE_WRITE);
}

static void *bounce_new(const struct engine_io *io)
{
	return aligned_alloc(MAX(io->file->memory_align, io->file->offset_align), bounce_size(io));
}

static void start_bounce(struct engine *engine, struct engine_io *io)
{
	unsigned alignment = io->file->offset_align;
	uint64_t end = align_up(io->offset + io->length, alignment);

	io->step.offset = align_down(io->offset + io->finished, alignment);
	io->bounce_iov = (struct iovec){ io->bounce, MIN(end - io->step.offset, bounce_size(io)) };
	io->step.iov = &io->bounce_iov;
	io->step.iov_count = 1;
	io->step.length = io->bounce_iov.iov_len;
	io->modify = io->operation != BLOCK_READ && bounce_count(io) != io->bounce_iov.iov_len;
	if (io->modify || io->operation == BLOCK_READ)
		start_step(engine, io, ENGINE_READ);
	else
		bounce_write(engine, io);
}

static void start_data(struct engine *engine, struct engine_io *io)
{
	if (!io->bounce && needs_bounce(io))
		io->bounce = bounce_new(io);
	if (io->bounce)
		start_bounce(engine, io);
	else
		start_transfer(engine, io);
}

/* A read came to the end of the file: that is where the last sector is cut short, or somebody has cut the file. */
static bool at_end(const struct engine_io *io, uint64_t position)
{
	return position >= io->file->length;
}

/*
 * A read found nothing where the file ended as it began, and meanwhile a write made the file longer: what is there now
 * (perhaps a hole) is what a second look finds.
 */
static bool grown_since(const struct engine_io *io)
{
	return io->step.kind == ENGINE_READ && io->file->length > io->length_before;
}

static void bounce_done(struct engine *engine, struct engine_io *io, uint64_t result)
{
	uint64_t skip = bounce_skip(io), count = bounce_count(io);

	if (result < io->bounce_iov.iov_len && io->step.kind == ENGINE_READ && at_end(io, io->step.offset + result)) {
		memset((char *)io->bounce + result, 0, io->bounce_iov.iov_len - result);
		result = io->bounce_iov.iov_len;
	}
	if (result <= skip || (io->modify && result < io->bounce_iov.iov_len)) {
		if (grown_since(io))
			start_bounce(engine, io);
		else
			finish(engine, io, io->step.kind == ENGINE_READ ? ENODATA : EIO);
		return;
	}
	if (io->modify) {
		bounce_write(engine, io);
		return;
	}
	count = MIN(count, result - skip);
	if (io->operation == BLOCK_READ)
		copy_iov(io, (char *)io->bounce + skip, count);
	advance(io, count);
	if (io->finished == io->length)
		finish(engine, io, 0);
	else
		start_bounce(engine, io);
}

/* Direct I/O cannot go on there without a buffer. */
static bool off_grid(const struct engine_io *io, uint64_t position)
{
	return io->file->direct && position % io->file->offset_align;
}

static void transfer_done(struct engine *engine, struct engine_io *io, uint64_t result)
{
	uint64_t position;

	advance(io, MIN(result, io->length - io->finished));
	position = io->offset + io->finished;
	if (io->finished == io->length) {
		finish(engine, io, 0);
	} else if (io->step.kind == ENGINE_WRITE) {
		if (result)
			start_transfer(engine, io);
		else
			finish(engine, io, EIO);
	} else if (at_end(io, position)) {
		zero_rest(io);
		finish(engine, io, 0);
	} else if (result && !off_grid(io, position)) {
		start_transfer(engine, io);
	} else if (grown_since(io)) {
		if (off_grid(io, position))
			io->bounce = bounce_new(io);
		start_data(engine, io);
	} else {
		finish(engine, io, ENODATA);
	}
}

/* --- Requests --- */

static void start_punch(struct engine *engine, struct engine_io *io)
{
	io->step.offset = io->offset;
	io->step.length = io->length;
	start_step(engine, io, ENGINE_PUNCH);
}

static void begin(struct engine *engine, struct engine_io *io)
{
	if (is_write(io))
		engine->writes++;
	if (io->operation == BLOCK_FLUSH)
		start_step(engine, io, ENGINE_SYNC);
	else if (io->operation == BLOCK_READ || io->operation == BLOCK_WRITE)
		start_data(engine, io);
	else if (!io->file->no_punch)
		start_punch(engine, io);
	else if (io->operation == BLOCK_WRITE_ZEROES)
		start_data(engine, io);
	else
		finish_later(engine, io);
}

void engine_submit(struct engine *engine, struct engine_io *io)
{
	io->exclusive = (io->operation == BLOCK_WRITE || io->operation == BLOCK_WRITE_ZEROES) && io->file->direct &&
			!offsets_aligned(io);
	if (!is_write(io) || (!engine->held && !(io->exclusive && engine->writes))) {
		begin(engine, io);
		return;
	}
	io->next = NULL;
	*engine->held_tail = io;
	engine->held_tail = &io->next;
}

void engine_kick(struct engine *engine)
{
	engine->backend->kick(engine);
	engine->inline_budget = INLINE_BUDGET;
}

static void finish_ready(struct engine *engine)
{
	while (engine->ready) {
		struct engine_io *io = engine->ready;

		engine->ready = io->next;
		finish(engine, io, 0);
	}
}

/* What continues goes on without waiting for the next kick: its submitter thinks that it is under way. */
void engine_reap(struct engine *engine, bool wait)
{
	engine->patient = wait;
	engine->reaping = true;
	if (wait)
		engine->backend->kick(engine);
	wait = wait && !engine->ready;
	do {
		engine->restarted = false;
		finish_ready(engine);
		engine->backend->reap(engine, wait && engine->in_flight);
		if (engine->restarted)
			engine->backend->kick(engine);
		wait = false;
	} while (engine->restarted || engine->ready);
	engine->reaping = false;
	engine->patient = false;
}

/* --- For backends --- */

bool engine_takes_long(struct engine *engine, const struct engine_io *io)
{
	uint64_t length = io->step.length;

	if (io->step.slow)
		return true;
	if (engine->patient || io->file->direct || length <= INLINE_ALWAYS)
		return false;
	if (length > engine->inline_budget)
		return true;
	engine->inline_budget -= (unsigned)length;
	return false;
}

int engine_carry_out(const struct engine_step *step)
{
	ssize_t result = -1;

	switch (step->kind) {
	case ENGINE_READ:
		result = preadv(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
		break;
	case ENGINE_WRITE:
		result = pwritev2(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset,
				  step->data_sync ? RWF_DSYNC : 0);
		break;
	case ENGINE_SYNC:
		result = fdatasync(step->fd);
		break;
	case ENGINE_PUNCH:
		result = fallocate(step->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)step->offset,
				   (off_t)step->length);
		break;
	}
	return result < 0 ? -errno : (int)result;
}

static void step_failed(struct engine *engine, struct engine_io *io, int error)
{
	bool unsupported = error == EOPNOTSUPP || error == ENODEV || error == EINVAL || error == ENOSYS;

	if (io->step.kind != ENGINE_PUNCH || !unsupported) {
		finish(engine, io, error);
		return;
	}
	io->file->no_punch |= error != EINVAL; /* EINVAL: not these offsets, on a host disk */
	if (io->operation == BLOCK_WRITE_ZEROES)
		start_data(engine, io);
	else
		finish(engine, io, 0);
}

void engine_step_done(struct engine *engine, struct engine_io *io, int result)
{
	engine->in_flight--;
	if (result == -EINTR || result == -EAGAIN || result == -ECANCELED) {
		/* ECANCELED: the thread that submitted it may have ended. */
		io->step.slow = true;
		start_step(engine, io, io->step.kind);
	} else if (result < 0) {
		step_failed(engine, io, -result);
	} else if (io->step.kind == ENGINE_SYNC || io->step.kind == ENGINE_PUNCH) {
		finish(engine, io, 0);
	} else if (io->bounce) {
		bounce_done(engine, io, (uint64_t)result);
	} else {
		transfer_done(engine, io, (uint64_t)result);
	}
}

void engine_steps_done(struct engine *engine, struct engine_io *first)
{
	while (first) {
		struct engine_io *next = first->next;

		engine_step_done(engine, first, first->result);
		first = next;
	}
}
