/* Moving data between an image and its backing image, and giving back space. */
#include "image_internal.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include <gio/gio.h>

#define STEP (2u << 20)

struct run {
	bool done;
	int error;
	struct block_request request;
};

static void run_done(struct block_request *request, int error)
{
	struct run *run = (struct run *)(void *)((char *)request - offsetof(struct run, request));

	run->done = true;
	run->error = error;
}

int image_run(struct block *block, enum block_operation operation, uint64_t offset, void *buffer, uint64_t length)
{
	struct iovec iov = { buffer, length };
	struct run run = { .request = { .operation = operation, .offset = offset, .length = length, .iov = &iov,
					.iov_count = buffer ? 1 : 0, .done = run_done } };

	block_submit(block, &run.request);
	block_drain(block);
	return run.error;
}

bool image_is_zero(const uint8_t *buffer, uint64_t length)
{
	return length == 0 || (buffer[0] == 0 && memcmp(buffer, buffer + 1, length - 1) == 0);
}

bool image_go_on(image_progress progress, void *opaque, uint64_t at, uint64_t size, GError **error)
{
	if (!progress || progress(size ? (double)at / (double)size : 1, opaque))
		return true;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Stopped on request"));
	return false;
}

/* --- Compact --- */

static int compact_step(struct block *block, uint64_t at, uint64_t length, uint64_t unit, uint8_t *buffer)
{
	int failure = image_run(block, BLOCK_READ, at, buffer, length);

	for (uint64_t i = 0; i < length && !failure; i += unit)
		if (image_is_zero(buffer + i, MIN(unit, length - i)))
			failure = image_run(block, BLOCK_WRITE_ZEROES, at + i, NULL, MIN(unit, length - i));
	return failure;
}

/* Old clusters that are free may still take space on the host. */
static int punch_free(struct qcow2 *image)
{
	uint64_t start = 0;
	int error = 0;

	for (uint64_t cluster = 0; cluster <= image->end && !error; cluster++) {
		uint64_t count = 1;

		if (cluster < image->end)
			error = qcow2_refcount_sync(image, cluster, &count);
		if (error || !count)
			continue;
		if (cluster > start)
			error = qcow2_sync(image->engine, &image->file, BLOCK_DISCARD, start << image->cluster_bits,
					   NULL,
					   (cluster - start) << image->cluster_bits);
		start = cluster + 1;
	}
	return error;
}

bool image_compact(const char *path, image_progress progress, void *opaque, GError **error)
{
	struct block_options options = { .path = path };
	struct block *block = block_open(&options, error);
	struct qcow2 *image = block ? qcow2_from_block(block) : NULL;
	uint64_t unit = MAX(image ? image->cluster_size : 0, 4096), length;
	struct image_extent extent;
	g_autofree uint8_t *buffer = g_malloc(STEP);
	bool go = block != NULL;
	int failure = 0;

	for (uint64_t at = 0; go && at < block_size(block) && !failure; at += length) {
		failure = image_extent_at(block, at, block_size(block), &extent);
		length = !failure && extent.zero ? extent.length & ~(unit - 1) : 0;
		if (!failure && !length) {
			length = MIN(STEP, block_size(block) - at);
			failure = compact_step(block, at, length, unit, buffer);
		}
		go = image_go_on(progress, opaque, at, block_size(block), error);
	}
	if (go && !failure)
		failure = image_run(block, BLOCK_FLUSH, 0, NULL, 0);
	if (go && !failure && image) {
		failure = qcow2_commit_sync(image);
		failure = failure ? failure : punch_free(image);
		failure = failure ? failure : qcow2_truncate_end(image);
	}
	if (block)
		block_close(block);
	return go && failure ? image_failed(error, _("Cannot compact %s: %s"), path, failure) : go;
}

/* --- Commit --- */

static int commit_run(struct qcow2 *top, struct block *base, uint64_t at, uint64_t *length, uint8_t *buffer)
{
	enum qcow2_kind kind;
	int failure = qcow2_status(top, at, MIN(top->header.size & ~511ull, at + STEP), &kind, length, NULL);

	if (failure || kind == QCOW2_UNALLOCATED)
		return failure;
	if (kind == QCOW2_ZEROES)
		return image_run(base, BLOCK_WRITE_ZEROES, at, NULL, *length);
	failure = qcow2_run_op(top, BLOCK_READ, at, buffer, *length);
	return failure ? failure : image_run(base, BLOCK_WRITE, at, buffer, *length);
}

static bool commit_into(struct qcow2 *top, struct block *base, image_progress progress, void *opaque, GError **error)
{
	uint64_t size = top->header.size & ~511ull, length;
	g_autofree uint8_t *buffer = g_malloc(STEP);
	int failure = 0;

	for (uint64_t at = 0; at < size && !failure; at += length) {
		failure = commit_run(top, base, at, &length, buffer);
		if (!image_go_on(progress, opaque, at, size, error))
			return false;
	}
	failure = failure ? failure : image_run(base, BLOCK_FLUSH, 0, NULL, 0);
	/* Now the image can go back to having nothing of its own. */
	failure = failure ? failure : qcow2_empty(top);
	return failure ? image_failed(error, _("Cannot commit %s: %s"), top->file.path, failure) : true;
}

bool image_commit(const char *path, image_progress progress, void *opaque, GError **error)
{
	struct image_file top;
	struct block_options options = { 0 };
	g_autofree char *base_path = NULL;
	struct block *base = NULL;
	bool done;

	if (!image_file_open(&top, path, false, QCOW2_OPEN_NO_BACKING, error))
		return false;
	done = top.image->backing_name != NULL;
	if (!done)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, _("%s has no backing image to commit to"), path);
	base_path = done ? qcow2_resolve(path, top.image->backing_name) : NULL;
	options.path = base_path;
	if (done && top.image->backing_format)
		image_format_parse(top.image->backing_format, &options.format);
	base = done ? block_open(&options, error) : NULL;
	if (base && block_size(base) < (top.image->header.size & ~511ull)) {
		block_close(base);
		base = image_resize(base_path, top.image->header.size, false, IMAGE_PREALLOCATION_OFF, NULL,
				    NULL, error) ?
		       block_open(&options, error) : NULL;
	}
	done = base && commit_into(top.image, base, progress, opaque, error);
	if (base)
		block_close(base);
	image_file_close(&top);
	return done;
}

/* --- Rebase --- */

static struct block *open_base(const char *path, const char *name, enum block_format format, GError **error)
{
	g_autofree char *base = qcow2_resolve(path, name);
	struct block_options options = { .path = base, .format = format, .read_only = true };

	return block_open(&options, error);
}

/* Bases end where they end; behind that they are zero. */
static int read_base(struct block *base, uint64_t at, uint8_t *buffer, uint64_t length)
{
	uint64_t size = base ? block_size(base) : 0, there = at < size ? MIN(length, size - at) : 0;

	memset(buffer + there, 0, length - there);
	return there ? image_run(base, BLOCK_READ, at, buffer, there) : 0;
}

static int rebase_run(struct qcow2 *top, struct block *old, struct block *new, uint64_t at, uint64_t *length,
		      uint8_t *buffers[2])
{
	uint64_t unit = 1ull << top->unit_bits, size = top->header.size & ~511ull;
	enum qcow2_kind kind;
	int failure = qcow2_status(top, at, MIN(size, at + STEP), &kind, length, NULL);

	if (failure || kind != QCOW2_UNALLOCATED)
		return failure;
	failure = read_base(old, at, buffers[0], *length);
	failure = failure ? failure : read_base(new, at, buffers[1], *length);
	for (uint64_t i = 0; i < *length && !failure; i += unit) {
		uint64_t part = MIN(unit, *length - i);

		if (memcmp(buffers[0] + i, buffers[1] + i, part) != 0)
			failure = qcow2_run_op(top, BLOCK_WRITE, at + i, buffers[0] + i, part);
	}
	return failure;
}

static int rename_base(struct qcow2 *top, const char *name, enum block_format format)
{
	const char *format_name = name ? image_format_name(format) : NULL;
	int failure = qcow2_begin_writing(top);

	failure = failure ? failure : qcow2_commit_sync(top);
	failure = failure ? failure : qcow2_flush_file(top);
	g_free(top->backing_name);
	top->backing_name = g_strdup(name);
	qcow2_extension_set(top, QCOW2_EXTENSION_BACKING_FORMAT, format_name, format_name ? strlen(format_name) : 0);
	failure = failure ? failure : qcow2_header_write(top);
	return failure ? failure : qcow2_flush_file(top);
}

static bool rebase_data(struct qcow2 *top, const char *name, enum block_format format, image_progress progress,
			void *opaque, GError **error)
{
	struct block *old = NULL, *new = NULL;
	enum block_format old_format = BLOCK_FORMAT_PROBE;
	uint64_t size = top->header.size & ~511ull, length;
	uint8_t *buffers[2] = { g_malloc(STEP), g_malloc(STEP) };
	bool go = true;
	int failure = 0;

	if (top->backing_format)
		image_format_parse(top->backing_format, &old_format);
	if (top->backing_name)
		go = (old = open_base(top->file.path, top->backing_name, old_format, error)) != NULL;
	if (go && name)
		go = (new = open_base(top->file.path, name, format, error)) != NULL;
	/* An image that needs this one could not be opened, because this one is locked. */
	for (uint64_t at = 0; go && at < size && !failure; at += length) {
		failure = rebase_run(top, old, new, at, &length, buffers);
		go = image_go_on(progress, opaque, at, size, error);
	}
	if (old)
		block_close(old);
	if (new)
		block_close(new);
	g_free(buffers[0]);
	g_free(buffers[1]);
	return go && failure ? image_failed(error, _("Cannot rebase %s: %s"), top->file.path, failure) : go;
}

bool image_rebase(const char *path, const char *backing_path, enum block_format backing_format, bool only_name,
		  image_progress progress, void *opaque, GError **error)
{
	struct image_file top;
	bool done;
	int failure;

	if (!image_file_open(&top, path, false, QCOW2_OPEN_NO_BACKING, error))
		return false;
	if (backing_path && backing_format == BLOCK_FORMAT_PROBE) {
		g_autofree char *base = qcow2_resolve(path, backing_path);

		backing_format = image_probe(base);
	}
	done = only_name || rebase_data(top.image, backing_path, backing_format, progress, opaque, error);
	if (done) {
		failure = rename_base(top.image, backing_path, backing_format);
		done = !failure || image_failed(error, _("Cannot rebase %s: %s"), path, failure);
	}
	image_file_close(&top);
	return done;
}
