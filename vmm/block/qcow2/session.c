/*
 * What the first write of a session marks in the file, and a clean close takes back: the dirty bit (so that leaks of
 * a crash are found by whoever opens the image next), unknown autoclear bits, and bitmaps that miss what is written
 * now. Writes wait until the marks are on stable storage.
 */
#include "qcow2.h"

#include <errno.h>

#define FEATURES_LENGTH 24 /* incompatible, compatible, autoclear */

struct session_job {
	struct qcow2 *image;
	unsigned pending;
	int error;
	uint8_t features[FEATURES_LENGTH];
	struct iovec features_iov, bitmaps_iov;
};

static void finish(struct session_job *job)
{
	struct qcow2 *image = job->image;
	struct qcow2_wait_list waiting = image->session_waiting;
	int error = job->error;

	image->session = error ? QCOW2_SESSION_CLOSED : QCOW2_SESSION_OPEN;
	image->session_waiting = (struct qcow2_wait_list){ 0 };
	g_free(job);
	qcow2_wake(image->cache, &waiting, error);
}

static void flushed(struct engine_io *io, int error)
{
	struct session_job *job = io->opaque;

	engine_io_free(job->image->engine, io);
	job->error = error;
	finish(job);
}

static void submit(struct session_job *job, enum block_operation operation, uint64_t offset, struct iovec *iov,
		   void (*done)(struct engine_io *io, int error))
{
	struct engine_io *io = engine_io_new(job->image->engine);

	io->operation = operation;
	io->file = &job->image->file;
	io->offset = offset;
	io->length = iov ? iov->iov_len : 0;
	io->iov = iov;
	io->iov_count = iov ? 1 : 0;
	io->done = done;
	io->opaque = job;
	job->pending++;
	engine_submit(job->image->engine, io);
}

static void written(struct engine_io *io, int error)
{
	struct session_job *job = io->opaque;

	engine_io_free(job->image->engine, io);
	job->error = job->error ? job->error : error;
	if (--job->pending)
		return;
	if (job->error)
		finish(job);
	else
		submit(job, BLOCK_FLUSH, 0, NULL, flushed);
}

static void encode_features(const struct qcow2 *image, uint8_t *raw)
{
	qcow2_put64(raw, image->header.incompatible_features);
	qcow2_put64(raw + 8, image->header.compatible_features);
	qcow2_put64(raw + 16, image->header.autoclear_features);
}

bool qcow2_session_enter(struct qcow2 *image, struct qcow2_waiter *waiter)
{
	struct session_job *job;

	if (image->session == QCOW2_SESSION_OPEN)
		return true;
	/* There is nothing to mark in version 2. */
	if (image->header.version < 3) {
		image->session = QCOW2_SESSION_OPEN;
		return true;
	}
	qcow2_wait(&image->session_waiting, waiter);
	if (image->session == QCOW2_SESSION_OPENING)
		return false;
	image->session = QCOW2_SESSION_OPENING;
	image->header.incompatible_features |= QCOW2_DIRTY;
	image->header.autoclear_features &= QCOW2_AUTOCLEAR_KNOWN;
	job = g_new0(struct session_job, 1);
	job->image = image;
	encode_features(image, job->features);
	job->features_iov = (struct iovec){ job->features, FEATURES_LENGTH };
	job->bitmaps_iov = (struct iovec){ image->bitmap_directory, image->bitmap_directory_length };
	submit(job, BLOCK_WRITE, QCOW2_AT_INCOMPATIBLE, &job->features_iov, written);
	if (image->bitmap_directory)
		submit(job, BLOCK_WRITE, image->bitmap_directory_offset, &job->bitmaps_iov, written);
	return false;
}

int qcow2_session_leave(struct qcow2 *image)
{
	uint8_t features[FEATURES_LENGTH];
	int error;

	if (image->session != QCOW2_SESSION_OPEN || image->header.version < 3 || image->corrupt)
		return 0;
	image->header.incompatible_features &= ~QCOW2_DIRTY;
	encode_features(image, features);
	error = qcow2_write_at(image, QCOW2_AT_INCOMPATIBLE, features, FEATURES_LENGTH);
	return error ? error : qcow2_flush_file(image);
}

int qcow2_session_enter_sync(struct qcow2 *image)
{
	int error = 0;

	if (image->read_only)
		return EROFS;
	if (image->corrupt)
		return EIO;
	while (image->session != QCOW2_SESSION_OPEN && !error) {
		struct qcow2_sync_waiter waiter;

		qcow2_sync_waiter_init(&waiter);
		if (!qcow2_session_enter(image, &waiter.waiter))
			error = qcow2_sync_wait(image, &waiter);
	}
	return error;
}

int qcow2_begin_writing(struct qcow2 *image)
{
	int error = qcow2_session_enter_sync(image);

	error = error ? error : qcow2_commit_sync(image);
	return error ? error : qcow2_refcount_reserve(image);
}
