/* The engine's usual backend: one io_uring per image. */
#include "block_driver.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_ENTRIES 64
#define RING_FILES 8
#define APART_MIN (32u << 10)
#define APART_MAX (512u << 10)

struct engine_uring {
	struct engine engine;
	struct io_uring ring;
	bool files_registered;
	bool files_used[RING_FILES];
	bool armed; /* notification is on: the event fd may have been signalled */
	bool stuck; /* the host had no memory for a submission */
	struct engine_io *waiting, **waiting_tail; /* for the next kick, or room in the ring */
	unsigned in_ring;                          /* of the engine's steps in flight */
	struct engine_io *own, **own_tail;         /* to be carried out by the calling thread */
	struct engine_io *done, **done_tail;       /* carried out */
	struct engine_workers *writer;             /* one thread */
	struct engine_io *written, **written_tail; /* for the writer, when all is in the ring */
	unsigned with_writer;
};

static struct engine_uring *from_engine(struct engine *engine)
{
	return (struct engine_uring *)engine;
}

static void append(struct engine_io ***tail, struct engine_io *io)
{
	io->next = NULL;
	**tail = io;
	*tail = &io->next;
}

static struct engine_io *pop(struct engine_io **head, struct engine_io ***tail)
{
	struct engine_io *io = *head;

	*head = io->next;
	if (!*head)
		*tail = head;
	return io;
}

static void prepare_transfer(struct io_uring_sqe *sqe, int fd, const struct engine_step *step)
{
	bool write = step->kind == ENGINE_WRITE;

	/* A single element spares the kernel the copy of a vector. */
	if (step->iov_count == 1 && write)
		io_uring_prep_write(sqe, fd, step->iov->iov_base, (unsigned)step->iov->iov_len, step->offset);
	else if (step->iov_count == 1)
		io_uring_prep_read(sqe, fd, step->iov->iov_base, (unsigned)step->iov->iov_len, step->offset);
	else if (write)
		io_uring_prep_writev(sqe, fd, step->iov, step->iov_count, step->offset);
	else
		io_uring_prep_readv(sqe, fd, step->iov, step->iov_count, step->offset);
	sqe->rw_flags = step->data_sync ? RWF_DSYNC : 0;
}

static void prepare(struct io_uring_sqe *sqe, const struct engine_step *step)
{
	int fd = step->slot >= 0 ? step->slot : step->fd;

	switch (step->kind) {
	case ENGINE_READ:
	case ENGINE_WRITE:
		prepare_transfer(sqe, fd, step);
		break;
	case ENGINE_SYNC:
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
		break;
	case ENGINE_PUNCH:
		io_uring_prep_fallocate(sqe, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)step->offset,
					(off_t)step->length);
		break;
	}
	if (step->slot >= 0)
		sqe->flags |= IOSQE_FIXED_FILE;
}

static void uring_start(struct engine *engine, struct engine_io *io)
{
	append(&from_engine(engine)->waiting_tail, io);
}

/*
 * Of several, a write of about a cluster is worth two threads even so: one copies it to the page cache while the other
 * reads what the next one keeps of its cluster. Of larger ones there is nothing to read, and small ones are done sooner.
 */
static bool better_apart(const struct engine *engine, const struct engine_step *step)
{
	return step->kind == ENGINE_WRITE && engine->in_flight > 1 && step->length > APART_MIN &&
	       step->length <= APART_MAX;
}

/*
 * File systems that cannot promise not to block (ext4, of those in use) have each of these done by a thread of the
 * kernel's: for a thread that waits anyway, two switches of threads too many.
 */
static bool better_here(const struct engine *engine, const struct engine_io *io)
{
	const struct engine_step *step = &io->step;

	return engine->patient && !io->file->direct && !step->data_sync && !better_apart(engine, step) &&
	       (step->kind == ENGINE_WRITE || step->kind == ENGINE_PUNCH);
}

/*
 * A read that is alone: where the page cache has its data, a system call for just that costs less than the ring. True if
 * it is done.
 */
static bool peek(struct engine_uring *uring, struct engine_io *io)
{
	const struct engine_step *step = &io->step;
	ssize_t result;

	if (step->kind != ENGINE_READ || io->file->direct || io->file->no_peek)
		return false;
	result = preadv2(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset, RWF_NOWAIT);
	io->file->no_peek = result < 0 && errno != EAGAIN;
	if (result < 0)
		return false;
	io->result = (int)result;
	append(&uring->done_tail, io);
	return true;
}

/* Likewise a write: as the first of a file goes, so do the others. */
static bool write_now(struct engine_uring *uring, struct engine_io *io)
{
	const struct engine_step *step = &io->step;
	ssize_t result = pwritev2(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset, RWF_NOWAIT);

	io->file->writes_tried = true;
	io->file->writes_wait = result < 0 && errno == EOPNOTSUPP;
	if (result < 0)
		return false;
	io->result = (int)result;
	append(&uring->done_tail, io);
	return true;
}

/*
 * On those file systems the kernel has one thread for all of a file's writes, wakes it for each, and it wakes us for each.
 * A thread of ours does a batch for one wake-up either way.
 */
static bool for_writer(const struct engine_io *io)
{
	return io->step.kind == ENGINE_WRITE && !io->step.data_sync && !io->file->direct;
}

static void put_in_ring(struct engine_uring *uring, struct engine_io *io, bool long_work)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	prepare(sqe, &io->step);
	if (long_work)
		sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(sqe, io);
	uring->in_ring++;
}

static void dispatch(struct engine_uring *uring, struct engine_io *io, bool alone)
{
	bool long_work;

	if (better_here(&uring->engine, io)) {
		append(&uring->own_tail, io);
		return;
	}
	if (for_writer(io)) {
		if (!io->file->writes_tried && write_now(uring, io))
			return;
		if (io->file->writes_wait) {
			append(&uring->written_tail, io);
			return;
		}
	}
	long_work = engine_takes_long(&uring->engine, io);
	if (alone && !long_work && peek(uring, io))
		return;
	put_in_ring(uring, io, long_work);
}

/* Fills the ring from those that wait; returns whether there is anything to submit. */
static bool refill(struct engine_uring *uring)
{
	bool alone = uring->waiting && !uring->waiting->next && io_uring_sq_ready(&uring->ring) == 0;

	while (uring->waiting && io_uring_sq_space_left(&uring->ring))
		dispatch(uring, pop(&uring->waiting, &uring->waiting_tail), alone);
	return io_uring_sq_ready(&uring->ring) != 0;
}

/*
 * What finishes within the submission itself is found by the reap that follows and must not wake the event loop, so
 * notification is off meanwhile. (IORING_REGISTER_EVENTFD_ASYNC is no help: it reports only what ran on the kernel's
 * workers, not a read that waited for the disk.) The kernel passes a locked instruction between posting a completion
 * and looking at the flag, and we one between setting the flag and looking for completions, so none falls through.
 */
static void submit(struct engine_uring *uring)
{
	struct engine *engine = &uring->engine;

	if (!refill(uring))
		return;
	io_uring_cq_eventfd_toggle(&uring->ring, false);
	do {
		int result = io_uring_submit(&uring->ring);

		if (result < 0 && result != -EINTR) {
			/* The host is out of memory for now: what is left stays in the ring until the next turn. */
			eventfd_write(engine->event_fd, 1);
			uring->stuck = true;
			break;
		}
	} while (refill(uring));
	if (io_uring_cq_ready(&uring->ring) < uring->in_ring) {
		io_uring_cq_eventfd_toggle(&uring->ring, true);
		uring->armed = true;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	}
}

static void push_written(struct engine_uring *uring)
{
	struct engine_io *first = uring->written;

	if (!first)
		return;
	for (struct engine_io *io = first; io; io = io->next)
		uring->with_writer++;
	uring->written = NULL;
	uring->written_tail = &uring->written;
	engine_workers_push(uring->writer, first);
}

/* What others do is under way by the time that this thread does its own. */
static void uring_kick(struct engine *engine)
{
	struct engine_uring *uring = from_engine(engine);

	submit(uring);
	push_written(uring);
	while (uring->own) {
		struct engine_io *io = pop(&uring->own, &uring->own_tail);

		io->result = engine_carry_out(&io->step);
		append(&uring->done_tail, io);
	}
}

static void reap_own(struct engine_uring *uring)
{
	struct engine_io *first = uring->done;

	uring->done = NULL;
	uring->done_tail = &uring->done;
	engine_steps_done(&uring->engine, first);
}

static void reap_written(struct engine_uring *uring, bool wait)
{
	struct engine_io *first;

	if (!uring->with_writer)
		return;
	first = engine_workers_take(uring->writer, wait);
	for (struct engine_io *io = first; io; io = io->next)
		uring->with_writer--;
	engine_steps_done(&uring->engine, first);
}

static bool reap_batch(struct engine_uring *uring)
{
	struct io_uring_cqe *cqes[32];
	struct { struct engine_io *io; int result; } done[G_N_ELEMENTS(cqes)];
	unsigned count = io_uring_peek_batch_cqe(&uring->ring, cqes, G_N_ELEMENTS(cqes));

	for (unsigned i = 0; i < count; i++) {
		done[i].io = io_uring_cqe_get_data(cqes[i]);
		done[i].result = cqes[i]->res;
	}
	io_uring_cq_advance(&uring->ring, count);
	uring->in_ring -= count;
	for (unsigned i = 0; i < count; i++)
		engine_step_done(&uring->engine, done[i].io, done[i].result);
	return count != 0;
}

static void uring_reap(struct engine *engine, bool wait)
{
	struct engine_uring *uring = from_engine(engine);
	struct io_uring_cqe *cqe;
	eventfd_t count;

	/* Nothing to reap: the signal for what was reaped earlier may have come late. */
	if (uring->armed || (io_uring_cq_ready(&uring->ring) == 0 && !uring->done && !uring->with_writer))
		eventfd_read(engine->event_fd, &count);
	if (uring->stuck) {
		uring->stuck = false;
		uring_kick(engine);
	}
	wait = wait && !uring->stuck && !uring->done && io_uring_cq_ready(&uring->ring) == 0;
	if (wait && !uring->with_writer)
		while (io_uring_wait_cqe(&uring->ring, &cqe) == -EINTR)
			;
	reap_written(uring, wait);
	while (reap_batch(uring))
		;
	reap_own(uring);
	if (uring->in_ring == 0)
		uring->armed = false;
}

static void uring_add_file(struct engine *engine, struct engine_file *file)
{
	struct engine_uring *uring = from_engine(engine);

	for (int slot = 0; uring->files_registered && slot < RING_FILES; slot++) {
		if (uring->files_used[slot])
			continue;
		if (io_uring_register_files_update(&uring->ring, (unsigned)slot, &file->fd, 1) == 1) {
			uring->files_used[slot] = true;
			file->slot = slot;
		}
		return;
	}
}

static void uring_remove_file(struct engine *engine, struct engine_file *file)
{
	struct engine_uring *uring = from_engine(engine);
	int none = -1;

	if (file->slot < 0)
		return;
	io_uring_register_files_update(&uring->ring, (unsigned)file->slot, &none, 1);
	uring->files_used[file->slot] = false;
	file->slot = -1;
}

static void uring_free(struct engine *engine)
{
	struct engine_uring *uring = from_engine(engine);

	engine_workers_free(uring->writer);
	io_uring_queue_exit(&uring->ring);
	close(engine->event_fd);
	g_free(uring);
}

static const struct engine_backend uring_backend = {
	.name = "io_uring",
	.start = uring_start,
	.kick = uring_kick,
	.reap = uring_reap,
	.add_file = uring_add_file,
	.remove_file = uring_remove_file,
	.free = uring_free,
};

static bool set_up(struct engine_uring *uring)
{
	int none[RING_FILES];
	int result = io_uring_queue_init(RING_ENTRIES, &uring->ring, 0);

	if (result < 0) {
		errno = -result;
		return false;
	}
	result = io_uring_register_eventfd(&uring->ring, uring->engine.event_fd);
	if (result < 0) {
		io_uring_queue_exit(&uring->ring);
		errno = -result;
		return false;
	}
	io_uring_cq_eventfd_toggle(&uring->ring, false);
	memset(none, -1, sizeof none);
	uring->files_registered = io_uring_register_files(&uring->ring, none, RING_FILES) == 0;
	return true;
}

struct engine *engine_uring_new(GError **error)
{
	struct engine_uring *uring = g_new0(struct engine_uring, 1);

	uring->engine.backend = &uring_backend;
	uring->waiting_tail = &uring->waiting;
	uring->own_tail = &uring->own;
	uring->done_tail = &uring->done;
	uring->written_tail = &uring->written;
	uring->engine.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (uring->engine.event_fd >= 0 && set_up(uring)) {
		uring->writer = engine_workers_new(1, uring->engine.event_fd);
		return &uring->engine;
	}
	g_set_error_literal(error, G_FILE_ERROR, g_file_error_from_errno(errno), g_strerror(errno));
	if (uring->engine.event_fd >= 0)
		close(uring->engine.event_fd);
	g_free(uring);
	return NULL;
}
