/* Opening and closing images and their backing chains, and the driver that the block layer sees. */
#include "qcow2.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../image.h"

/* Bytes of tables. */
#define QUICK_CHECK (64u << 20)

#define REFUSE(error, ...) (g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, __VA_ARGS__), false)

char *qcow2_resolve(const char *image_path, const char *name)
{
	g_autofree char *folder = NULL;

	if (g_str_has_prefix(name, "file:"))
		name += strlen("file:");
	if (g_path_is_absolute(name))
		return g_strdup(name);
	folder = g_path_get_dirname(image_path);
	return g_build_filename(folder, name, NULL);
}

static void corrupt_marked(struct engine_io *io, int error)
{
	struct qcow2 *image = io->opaque;

	(void)error; /* the log has it, and nothing is written any more */
	engine_io_free(image->engine, io);
	image->marking_corrupt = false;
}

static void mark_corrupt(struct qcow2 *image)
{
	struct engine_io *io;

	image->header.incompatible_features |= QCOW2_CORRUPT;
	qcow2_put64(image->corrupt_features, image->header.incompatible_features);
	image->corrupt_iov = (struct iovec){ image->corrupt_features, 8 };
	io = engine_io_new(image->engine);
	io->operation = BLOCK_WRITE;
	io->file = &image->file;
	io->offset = QCOW2_AT_INCOMPATIBLE;
	io->length = 8;
	io->iov = &image->corrupt_iov;
	io->iov_count = 1;
	io->done = corrupt_marked;
	io->opaque = image;
	image->marking_corrupt = true;
	engine_submit(image->engine, io);
}

int qcow2_corrupt(struct qcow2 *image, const char *format, ...)
{
	g_autofree char *what = NULL;
	va_list arguments;

	if (image->corrupt)
		return EIO;
	va_start(arguments, format);
	what = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_warning("%s is damaged: %s. Repair it (oriel disk check --repair), or restore it from a backup",
		  image->file.path, what);
	image->corrupt = true;
	if (!image->read_only && image->header.version >= 3)
		mark_corrupt(image);
	return EIO;
}

/* --- The chain --- */

static bool in_chain(const struct qcow2 *image, const char *path)
{
	struct stat status, own;

	if (stat(path, &status) < 0)
		return false;
	for (; image; image = image->overlay)
		if (fstat(image->file.fd, &own) == 0 && own.st_dev == status.st_dev && own.st_ino == status.st_ino)
			return true;
	return false;
}

static unsigned depth(const struct qcow2 *image)
{
	unsigned depth = 0;

	for (; image; image = image->overlay)
		depth++;
	return depth;
}

static bool open_backing_file(struct qcow2 *image, const struct block_options *options, bool is_qcow2, GError **error)
{
	struct qcow2_backing *backing = image->backing;

	if (is_qcow2) {
		backing->image = qcow2_open(image->engine, image->cache, options, 0, image, error);
		if (backing->image)
			backing->size = backing->image->header.size & ~511ull;
		return backing->image != NULL;
	}
	if (!engine_file_open(&backing->raw, options, error))
		return false;
	backing->size = (backing->raw.length + 511) & ~511ull;
	engine_add_file(image->engine, &backing->raw);
	return true;
}

static bool open_backing(struct qcow2 *image, const struct block_options *options, GError **error)
{
	const char *format = image->backing_format;
	g_autofree char *path = qcow2_resolve(image->file.path, image->backing_name);
	struct block_options backing_options = *options;
	bool is_qcow2;

	if (strstr(image->backing_name, "://") || g_str_has_prefix(image->backing_name, "json:"))
		return REFUSE(error,
			      _("The backing image of %s is not a file but \"%s\". Copy it to a file and rebase the "
				"image onto that"), image->file.path, image->backing_name);
	if (in_chain(image, path))
		return REFUSE(error,
			      _("%s is, by way of its backing images, its own backing image (%s). Restore it from a "
				"backup"), image->file.path, path);
	if (depth(image) > QCOW2_CHAIN_MAX)
		return REFUSE(error, _("%s has more than %u images below it. Commit some of them"), image->file.path,
			      QCOW2_CHAIN_MAX);
	is_qcow2 = format ? strcmp(format, "qcow2") == 0 : image_probe(path) == BLOCK_FORMAT_QCOW2;
	if (format && !is_qcow2 && strcmp(format, "raw") != 0)
		return REFUSE(error,
			      _("The backing image %s has the format %s, which is not supported. Convert it to qcow2 "
				"and rebase %s onto that"), path, format, image->file.path);
	backing_options.path = path;
	backing_options.read_only = true;
	image->backing = g_new0(struct qcow2_backing, 1);
	image->backing->raw.fd = -1;
	image->backing->raw.slot = -1;
	if (open_backing_file(image, &backing_options, is_qcow2, error)) {
		return true;
	}
	g_prefix_error(error, _("The backing image of %s: "), image->file.path);
	g_clear_pointer(&image->backing, g_free);
	return false;
}

static bool open_data_file(struct qcow2 *image, const struct block_options *options, GError **error)
{
	const struct qcow2_extension *name = qcow2_extension(image, QCOW2_EXTENSION_DATA_FILE);
	struct block_options data_options = *options;
	g_autofree char *text = name ? g_strndup((const char *)name->data, name->length) : NULL;
	g_autofree char *path = text && *text ? qcow2_resolve(image->file.path, text) : NULL;

	if (!path)
		return REFUSE(error,
			      _("%s keeps its data in another file, but does not say in which. Set it: qemu-img "
				"amend -o data_file=..."), image->file.path);
	if (in_chain(image, path))
		return REFUSE(error, _("%s names itself as its data file. Restore it from a backup"),
			      image->file.path);
	data_options.path = path;
	data_options.read_only = image->read_only;
	if (!engine_file_open(&image->data_file, &data_options, error)) {
		g_prefix_error(error, _("The data file of %s: "), image->file.path);
		return false;
	}
	image->data = &image->data_file;
	engine_add_file(image->engine, image->data);
	return true;
}

/* --- One image --- */

static GArray *free_list(void)
{
	return g_array_new(FALSE, FALSE, sizeof(struct qcow2_free));
}

static struct qcow2 *image_new(struct engine *engine, struct qcow2_cache *cache, struct qcow2 *overlay)
{
	struct qcow2 *image = g_new0(struct qcow2, 1);

	image->engine = engine;
	image->cache = cache;
	image->overlay = overlay;
	image->file.fd = image->data_file.fd = -1;
	image->file.slot = image->data_file.slot = -1;
	image->data = &image->file;
	image->freed = free_list();
	image->freed_committing = free_list();
	image->freed_committed = free_list();
	image->freed_grace = free_list();
	image->freed_ready = free_list();
	image->l1_changes = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	image->refcount_table_changes = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	image->dirty_pages = g_ptr_array_new();
	return image;
}

/* Reads of pages that nobody waits for any more, what a failed commit left, and the mark of a damaged image. */
static void drain(const struct qcow2 *image)
{
	while (!engine_idle(image->engine))
		engine_reap(image->engine, true);
}

static void image_free(struct qcow2 *image)
{
	struct qcow2_backing *backing = image->backing;

	drain(image);
	if (backing && backing->image) {
		qcow2_close(backing->image);
	} else if (backing) {
		engine_remove_file(image->engine, &backing->raw);
		engine_file_close(&backing->raw);
	}
	g_free(backing);
	/* What could not be written is lost. */
	for (guint i = 0; i < image->dirty_pages->len; i++)
		((struct qcow2_page *)image->dirty_pages->pdata[i])->dirty = false;
	qcow2_cache_forget(image);
	engine_remove_file(image->engine, &image->file);
	engine_remove_file(image->engine, &image->data_file);
	engine_file_close(&image->file);
	engine_file_close(&image->data_file);
	g_array_unref(image->freed);
	g_array_unref(image->freed_committing);
	g_array_unref(image->freed_committed);
	g_array_unref(image->freed_grace);
	g_array_unref(image->freed_ready);
	g_array_unref(image->l1_changes);
	g_array_unref(image->refcount_table_changes);
	g_ptr_array_unref(image->dirty_pages);
	g_free(image->l1);
	g_free(image->l1_disk);
	g_free(image->refcount_table);
	g_free(image->bitmap_directory);
	g_free(image->decompressed);
	qcow2_header_free(image);
	g_free(image);
}

static bool read_tables(struct qcow2 *image, GError **error)
{
	const struct qcow2_header *header = &image->header;
	int failure;

	image->l1 = g_try_new0(uint64_t, header->l1_size + 1ull);
	image->l1_disk = g_try_new0(uint64_t, header->l1_size + 1ull);
	image->end = qcow2_clusters(image, image->file.length);
	if (!image->l1 || !image->l1_disk)
		return REFUSE(error, _("There is not enough memory for the L1 table of %s"), image->file.path);
	failure = qcow2_read_table(image, header->l1_table_offset, image->l1, header->l1_size);
	memcpy(image->l1_disk, image->l1, header->l1_size * 8ull);
	if (!failure && !image->read_only) {
		image->refcount_table_size = (uint64_t)header->refcount_table_clusters << image->cluster_bits >> 3;
		image->refcount_table = g_new0(uint64_t, image->refcount_table_size);
		failure = qcow2_read_table(image, header->refcount_table_offset, image->refcount_table,
					   image->refcount_table_size);
	}
	if (failure)
		return REFUSE(error, _("The tables of %s cannot be read: %s"), image->file.path, g_strerror(failure));
	return true;
}

/*
 * Version 2 cannot say that an image was not closed properly, so every opening for writing looks for what a crash may
 * have left, unless that would take long. Other damage is not for us to mend unasked.
 */
static void repair_version_2(struct qcow2 *image)
{
	struct image_check result = { 0 };

	if ((uint64_t)image->header.l1_size << image->cluster_bits > QUICK_CHECK)
		return;
	if (qcow2_check(image, 0, &result) == 0 && result.leaks && !result.corruptions)
		qcow2_check(image, IMAGE_REPAIR_LEAKS, &result);
	if (result.leaks_fixed)
		g_message("%s was not closed properly; %" G_GUINT64_FORMAT " unused clusters are free again",
			  image->file.path, result.leaks_fixed);
}

static bool repair(struct qcow2 *image, GError **error)
{
	struct image_check result = { 0 };
	int failure;

	if (image->header.version == 2)
		repair_version_2(image);
	if (!(image->header.incompatible_features & QCOW2_DIRTY))
		return true;
	g_message("%s was not closed properly; checking it", image->file.path);
	failure = qcow2_check(image, IMAGE_REPAIR_LEAKS | IMAGE_REPAIR_ERRORS, &result);
	if (failure)
		return REFUSE(error, _("%s was not closed properly, and cannot be repaired: %s"), image->file.path,
			      g_strerror(failure));
	if (result.corruptions)
		return REFUSE(error,
			      _("%s was not closed properly, and has damage that cannot be repaired. Restore it from "
				"a backup, or make the disk read-only"), image->file.path);
	return true;
}

static bool prepare_writing(struct qcow2 *image, unsigned flags, GError **error)
{
	int failure;

	if (image->read_only || flags & QCOW2_OPEN_AS_IS)
		return true;
	if (image->file.device)
		return REFUSE(error,
			      _("%s is a host disk with a qcow2 image on it, which can only be read. Copy it to a "
				"file, or make the disk read-only"), image->file.path);
	if (image->header.incompatible_features & QCOW2_CORRUPT)
		return REFUSE(error,
			      _("%s is damaged, as somebody found out earlier. Repair it (oriel disk check "
				"--repair), or make the disk read-only"), image->file.path);
	if (!repair(image, error))
		return false;
	qcow2_bitmaps_prepare(image);
	failure = qcow2_refcount_reserve(image);
	if (failure)
		return REFUSE(error, _("The refcounts of %s cannot grow: %s"), image->file.path, g_strerror(failure));
	return true;
}

struct qcow2 *qcow2_open(struct engine *engine, struct qcow2_cache *cache, const struct block_options *options,
			 unsigned flags, struct qcow2 *overlay, GError **error)
{
	struct qcow2 *image = image_new(engine, cache, overlay);

	image->read_only = options->read_only;
	if (!engine_file_open(&image->file, options, error)) {
		image_free(image);
		return NULL;
	}
	engine_add_file(engine, &image->file);
	if (qcow2_header_read(image, error) && (!image->external || open_data_file(image, options, error)) &&
	    read_tables(image, error) && prepare_writing(image, flags, error) &&
	    (!image->backing_name || flags & QCOW2_OPEN_NO_BACKING || open_backing(image, options, error)))
		return image;
	image_free(image);
	return NULL;
}

int qcow2_close(struct qcow2 *image)
{
	int error = image->read_only ? 0 : qcow2_commit_sync(image);

	drain(image);
	if (!error && !image->read_only)
		error = qcow2_session_leave(image);
	if (error)
		g_warning("%s: what was written last may be lost: %s", image->file.path, g_strerror(error));
	image_free(image);
	return error;
}

/* --- The driver --- */

static bool driver_open(struct block *block, const struct block_options *options, GError **error)
{
	struct qcow2_cache *cache = qcow2_cache_new(block->engine);
	struct qcow2 *image = qcow2_open(block->engine, cache, options, 0, NULL, error);

	block->image = image;
	if (image)
		block->size = image->header.size & ~511ull;
	else
		qcow2_cache_free(cache);
	return image != NULL;
}

static void driver_close(struct block *block)
{
	struct qcow2 *image = block->image;
	struct qcow2_cache *cache = image->cache;

	qcow2_close(image);
	qcow2_cache_free(cache);
}

struct flush {
	struct qcow2_waiter waiter;
	struct block_request *request;
};

static void flush_done(struct qcow2_waiter *waiter)
{
	struct flush *flush = (struct flush *)waiter;

	block_request_done(flush->request, waiter->error);
	g_slice_free(struct flush, flush);
}

static void flush(struct qcow2 *image, struct block_request *request)
{
	struct flush *flush = g_slice_new0(struct flush);

	flush->waiter.resume = flush_done;
	flush->request = request;
	qcow2_commit(image, &flush->waiter);
}

static bool has_changes(const struct qcow2 *image)
{
	return image->commit || image->dirty_pages->len || image->l1_changes->len;
}

static void request_done(void *opaque, int error)
{
	struct block_request *request = opaque;
	struct qcow2 *image = request->block->image;

	/* Not the host's fault, and nothing that another try would mend. */
	if (error == EIO && image->corrupt)
		error = EUCLEAN;
	/* The data is stable by then; that it can be found is a matter of the tables. */
	if (!error && request->operation == BLOCK_WRITE && request->force_unit_access && has_changes(image))
		flush(image, request);
	else
		block_request_done(request, error);
}

static void driver_submit(struct block *block, struct block_request *request)
{
	struct qcow2 *image = block->image;

	if (request->operation == BLOCK_FLUSH)
		flush(image, request);
	else
		qcow2_start(image, request->operation, request->force_unit_access, request->offset, request->length,
			    request->iov, request->iov_count, request_done, request);
}

static int driver_check(struct block *block)
{
	const struct qcow2 *image = block->image;
	int error = engine_file_check(&image->file);

	return error || !image->external ? error : engine_file_check(image->data);
}

/* Guest data and tables may grow on two disks: whatever got more room. */
static uint64_t driver_room(struct block *block, uint64_t *margin)
{
	const struct qcow2 *image = block->image;
	uint64_t other, room = engine_file_room(&image->file, margin);

	return image->external ? room + engine_file_room(image->data, &other) : room;
}

static void driver_recover(struct block *block)
{
	struct qcow2 *image = block->image;

	engine_file_recover(block->engine, &image->file);
	if (image->external)
		engine_file_recover(block->engine, image->data);
}

const struct block_driver block_driver_qcow2 = {
	.name = "qcow2",
	.open = driver_open,
	.close = driver_close,
	.submit = driver_submit,
	.check = driver_check,
	.room = driver_room,
	.recover = driver_recover,
};

struct qcow2 *qcow2_from_block(struct block *block)
{
	return block->driver == &block_driver_qcow2 ? block->image : NULL;
}
