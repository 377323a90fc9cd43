/* Creating images, and changing their size. */
#include "image_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZERO_STEP (1u << 20)
#define RESERVE_STEP (256u << 20)

static bool refuse(GError **error, const char *path, const char *what)
{
	g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, _("%s cannot be created: %s"), path, what);
	return false;
}

static bool may_overwrite(int fd, const char *path, GError **error)
{
	const struct engine_file file = { .path = (char *)path, .fd = fd };
	struct stat status;

	if (fstat(fd, &status) < 0)
		return image_failed(error, _("Cannot look at %s: %s"), path, errno);
	if (!S_ISREG(status.st_mode))
		return refuse(error, path, _("something is there that is not a regular file. Choose another name"));
	return engine_file_lock(&file, error);
}

/* Empty, and locked until it is closed. */
static int create_file(const struct image_create_options *options, const char *path, GError **error)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (options->overwrite ? 0 : O_EXCL),
		      0644);

	if (fd < 0) {
		image_failed(error, _("Cannot create %s: %s"), path, errno);
		return -1;
	}
	if (!may_overwrite(fd, path, error)) {
		close(fd);
		return -1;
	}
	if (ftruncate(fd, 0) == 0)
		return fd;
	image_failed(error, _("Cannot empty %s: %s"), path, errno);
	close(fd);
	return -1;
}

void image_remove(const struct image_create_options *options)
{
	unlink(options->path);
	if (options->data_path) {
		g_autofree char *data = qcow2_resolve(options->path, options->data_path);

		unlink(data);
	}
}

/* --- Reserving space: 0 or an errno value, ECANCELED if it is stopped --- */

struct reservation {
	enum image_preallocation preallocation;
	image_progress progress;
	void *opaque;
};

static bool stopped(const struct reservation *reservation, uint64_t at, uint64_t size)
{
	return reservation->progress && !reservation->progress((double)at / (double)size, reservation->opaque);
}

static int write_zeroes(int fd, uint64_t start, uint64_t end)
{
	g_autofree uint8_t *zeroes = g_malloc0(ZERO_STEP);

	while (start < end) {
		ssize_t written = pwrite(fd, zeroes, MIN(end - start, ZERO_STEP), (off_t)start);

		if (written < 0 && errno != EINTR)
			return errno;
		start += written > 0 ? (uint64_t)written : 0;
	}
	return 0;
}

static int reserve(int fd, uint64_t start, uint64_t end, const struct reservation *reservation)
{
	bool full = reservation->preallocation == IMAGE_PREALLOCATION_FULL;
	uint64_t length, step = full ? ZERO_STEP * 16 : RESERVE_STEP;
	int failure = 0;

	if (!full && reservation->preallocation != IMAGE_PREALLOCATION_FALLOC)
		return 0;
	for (uint64_t at = start; at < end && !failure; at += length) {
		length = MIN(end - at, step);
		if (stopped(reservation, at - start, end - start))
			return ECANCELED;
		failure = full ? write_zeroes(fd, at, at + length) :
				 posix_fallocate(fd, (off_t)at, (off_t)length);
	}
	return failure;
}

/* --- Raw --- */

static bool create_raw(const struct image_create_options *options, const char *path, GError **error)
{
	const struct reservation reservation = { options->preallocation, options->progress,
						 options->progress_opaque };
	int fd = create_file(options, path, error), failure = 0;

	if (fd < 0)
		return false;
	if (ftruncate(fd, (off_t)options->size) < 0)
		failure = errno;
	failure = failure ? failure : reserve(fd, 0, options->size, &reservation);
	if (!failure && fdatasync(fd) < 0)
		failure = errno;
	close(fd);
	if (!failure)
		return true;
	unlink(path);
	return image_failed(error, _("Cannot create %s: %s"), path, failure);
}

/* --- qcow2 --- */

/* Names for programs that do not know the features. */
static const struct {
	uint8_t type, bit;
	const char *name;
} features[] = {
	{ 0, 0, "dirty bit" },
	{ 0, 1, "corrupt bit" },
	{ 0, 2, "external data file" },
	{ 0, 3, "compression type" },
	{ 0, 4, "extended L2 entries" },
	{ 1, 0, "lazy refcounts" },
	{ 2, 0, "bitmaps" },
	{ 2, 1, "raw external data" },
};

static void name_features(struct qcow2 *image)
{
	uint8_t table[48 * G_N_ELEMENTS(features)] = { 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
		table[i * 48] = features[i].type;
		table[i * 48 + 1] = features[i].bit;
		strncpy((char *)table + i * 48 + 2, features[i].name, 46);
	}
	qcow2_extension_set(image, QCOW2_EXTENSION_FEATURE_NAMES, table, sizeof table);
}

static bool set_fields(struct qcow2_header *header, const struct image_create_options *options, GError **error)
{
	unsigned cluster = options->cluster_size ? options->cluster_size : 64u << 10;
	unsigned bits = options->refcount_bits ? options->refcount_bits : 16;

	*header = (struct qcow2_header){ .version = options->version ? options->version : 3, .size = options->size };
	if (header->version != 2 && header->version != 3)
		return refuse(error, options->path, _("the version of a qcow2 image is 2 or 3"));
	if (cluster & (cluster - 1) || cluster < 512 || cluster > 2u << 20)
		return refuse(error, options->path, _("the cluster size is a power of two from 512 to 2M"));
	if (bits & (bits - 1) || bits > 64 || (header->version == 2 && bits != 16))
		return refuse(error, options->path,
			      _("refcounts have 1, 2, 4, 8, 16, 32 or 64 bits, in version 2 always 16"));
	if (header->version == 2 && (options->extended_l2 || options->lazy_refcounts || options->compression ||
				     options->data_path))
		return refuse(error, options->path, _("version 2 has none of these features; choose version 3"));
	if (options->extended_l2 && cluster < 16384)
		return refuse(error, options->path, _("subclusters need clusters of 16K at least"));
	header->cluster_bits = (unsigned)__builtin_ctz(cluster);
	header->refcount_order = (unsigned)__builtin_ctz(bits);
	header->header_length = header->version == 2 ? QCOW2_V2_LENGTH : 112;
	header->compression_type = options->compression == IMAGE_COMPRESSION_ZSTD;
	header->incompatible_features = (options->extended_l2 ? QCOW2_EXTENDED_L2 : 0) |
					(options->data_path ? QCOW2_EXTERNAL_DATA : 0) |
					(header->compression_type ? QCOW2_COMPRESSION_TYPE : 0);
	header->compatible_features = options->lazy_refcounts ? QCOW2_LAZY_REFCOUNTS : 0;
	header->autoclear_features = options->data_raw ? QCOW2_EXTERNAL_RAW : 0;
	return true;
}

/* Header, refcount table, refcount blocks, L1; the table is large enough for an image that is full. */
static bool lay_out(struct qcow2 *image, uint64_t *blocks, GError **error)
{
	struct qcow2_header *header = &image->header;
	uint64_t entries = qcow2_l1_entries(image, header->size), l1, table;

	if (header->size > INT64_MAX / 2 || entries > QCOW2_L1_MAX / 8)
		return refuse(error, image->file.path,
			      _("it would be too large for its cluster size; choose larger clusters"));
	l1 = qcow2_clusters(image, entries * 8);
	header->l1_size = (uint32_t)entries;
	table = qcow2_refcount_table_wish(image, l1);
	/* That takes space itself. */
	table = qcow2_refcount_table_wish(image, l1 + 2 * table + 16);
	*blocks = 1;
	while (*blocks << image->block_bits < 1 + table + *blocks + l1)
		++*blocks;
	header->refcount_table_offset = image->cluster_size;
	header->refcount_table_clusters = (uint32_t)table;
	header->l1_table_offset = (1 + table + *blocks) << image->cluster_bits;
	image->end = 1 + table + *blocks + l1;
	return true;
}

static int write_all(int fd, const void *buffer, size_t length, uint64_t offset)
{
	ssize_t written = pwrite(fd, buffer, length, (off_t)offset);

	return written == (ssize_t)length ? 0 : written < 0 ? errno : EIO;
}

static int write_refcounts(const struct qcow2 *image, int fd, uint64_t blocks)
{
	uint64_t first = 1 + image->header.refcount_table_clusters;
	g_autofree uint8_t *block = g_malloc(image->cluster_size);
	g_autofree uint8_t *table = g_malloc0(blocks * 8);
	int error = 0;

	for (uint64_t i = 0; i < blocks && !error; i++) {
		memset(block, 0, image->cluster_size);
		for (uint64_t in = 0; in < 1ull << image->block_bits &&
		     (i << image->block_bits) + in < image->end; in++)
			qcow2_refcount_store((struct qcow2 *)image, block, in, 1);
		qcow2_put64(table + i * 8, (first + i) << image->cluster_bits);
		error = write_all(fd, block, image->cluster_size, (first + i) << image->cluster_bits);
	}
	return error ? error : write_all(fd, table, blocks * 8, image->header.refcount_table_offset);
}

static int write_image(struct qcow2 *image, int fd, uint64_t blocks)
{
	g_autofree uint8_t *header = g_malloc(image->cluster_size);
	int error = 0;

	if (qcow2_header_encode(image, header) == 0) {
		/* Small clusters have no room for names. */
		qcow2_extension_set(image, QCOW2_EXTENSION_FEATURE_NAMES, NULL, 0);
		if (qcow2_header_encode(image, header) == 0)
			return ENAMETOOLONG;
	}
	if (ftruncate(fd, (off_t)(image->end << image->cluster_bits)) < 0)
		return errno;
	error = write_refcounts(image, fd, blocks);
	error = error ? error : write_all(fd, header, image->cluster_size, 0);
	return !error && fdatasync(fd) < 0 ? errno : error;
}

/* It stays open, so that its lock keeps the new image from being put in its place. */
static struct block *find_backing(struct image_create_options *options, GError **error)
{
	g_autofree char *path = qcow2_resolve(options->path, options->backing_path);
	struct block_options backing = { .path = path, .read_only = true };
	struct block *block;

	if (options->backing_format == BLOCK_FORMAT_PROBE)
		options->backing_format = image_probe(path);
	backing.format = options->backing_format;
	block = block_open(&backing, error);
	if (block && !options->size)
		options->size = block_size(block);
	return block;
}

/* Writes what is there as zeroes; the disk ends where its last sector does. */
static int write_disk(struct qcow2 *image, uint64_t start, uint64_t end, const struct reservation *reservation)
{
	g_autofree uint8_t *zeroes = g_malloc0(ZERO_STEP);
	int failure = 0;

	for (uint64_t at = start; at < end && !failure; at += ZERO_STEP) {
		if (stopped(reservation, at - start, end - start))
			return ECANCELED;
		failure = qcow2_run_op(image, BLOCK_WRITE, at, zeroes, MIN(ZERO_STEP, end - at));
	}
	return failure;
}

static bool preallocate(const char *path, uint64_t start, uint64_t end, const struct reservation *reservation,
			GError **error)
{
	struct block_options options = { .path = path, .format = BLOCK_FORMAT_QCOW2 };
	struct block *block = block_open(&options, error);
	struct qcow2 *image = block ? qcow2_from_block(block) : NULL;
	int failure;

	if (!image)
		return false;
	failure = qcow2_preallocate(image, start, end);
	if (!failure && reservation->preallocation == IMAGE_PREALLOCATION_FALLOC)
		failure = reserve(image->data->fd, 0, image->data->length, reservation);
	if (!failure && reservation->preallocation == IMAGE_PREALLOCATION_FULL)
		failure = write_disk(image, start, end, reservation);
	block_close(block);
	return failure ? image_failed(error, _("Cannot reserve space for %s: %s"), path, failure) : true;
}

static bool write_qcow2(const struct image_create_options *options, struct qcow2 *image, GError **error)
{
	const char *format = image_format_name(options->backing_format);
	uint64_t blocks;
	int fd, failure;

	if (!set_fields(&image->header, options, error))
		return false;
	qcow2_derive(image);
	image->backing_name = g_strdup(options->backing_path);
	if (options->backing_path)
		qcow2_extension_set(image, QCOW2_EXTENSION_BACKING_FORMAT, format, strlen(format));
	if (options->data_path)
		qcow2_extension_set(image, QCOW2_EXTENSION_DATA_FILE, options->data_path, strlen(options->data_path));
	if (image->header.version >= 3)
		name_features(image);
	if (!lay_out(image, &blocks, error))
		return false;
	fd = create_file(options, options->path, error);
	if (fd < 0)
		return false;
	failure = write_image(image, fd, blocks);
	close(fd);
	if (!failure)
		return true;
	unlink(options->path);
	return image_failed(error, _("Cannot create %s: %s"), options->path, failure);
}

static bool is_same_file(const char *path, const char *other)
{
	struct stat first, second;

	return stat(path, &first) == 0 && stat(other, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

static bool create_data_file(const struct image_create_options *options, GError **error)
{
	g_autofree char *path = options->data_path ? qcow2_resolve(options->path, options->data_path) : NULL;
	struct image_create_options raw = { .size = options->size, .overwrite = options->overwrite };

	if (path && options->size == 0)
		return refuse(error, options->path, _("a disk with a data file needs a size"));
	if (path && is_same_file(path, options->path))
		return refuse(error, options->path, _("its data file must be another file"));
	return !path || create_raw(&raw, path, error);
}

static bool create_qcow2(struct image_create_options *options, GError **error)
{
	const struct reservation reservation = { options->preallocation, options->progress,
						 options->progress_opaque };
	struct qcow2 image = { .extensions = qcow2_extensions_new(), .file.path = (char *)options->path };
	struct block *backing = options->backing_path ? find_backing(options, error) : NULL;
	bool done = (backing || !options->backing_path) && write_qcow2(options, &image, error);

	qcow2_header_free(&image);
	if (backing)
		block_close(backing);
	if (!done)
		return false;
	done = create_data_file(options, error);
	if (!done) {
		unlink(options->path);
		return false;
	}
	if (reservation.preallocation != IMAGE_PREALLOCATION_OFF &&
	    !preallocate(options->path, 0, options->size, &reservation, error)) {
		image_remove(options);
		return false;
	}
	return true;
}

bool image_create(const struct image_create_options *from, GError **error)
{
	struct image_create_options options = *from;

	options.size = (options.size + 511) & ~511ull;
	return options.format == BLOCK_FORMAT_RAW ? create_raw(&options, options.path, error) :
						    create_qcow2(&options, error);
}

/* --- Space and size of an image that is there --- */

static bool resize_raw(const char *path, uint64_t size, uint64_t old, const struct reservation *reservation,
		       GError **error)
{
	struct block_options options = { .path = path, .format = BLOCK_FORMAT_RAW };
	struct engine_file file;
	int failure = 0;

	if (!engine_file_open(&file, &options, error))
		return false;
	if (file.device)
		failure = ENOTSUP;
	else if (ftruncate(file.fd, (off_t)size) < 0)
		failure = errno;
	else
		failure = reserve(file.fd, MIN(old, size), size, reservation);
	if (failure && failure != ENOTSUP && size > old && ftruncate(file.fd, (off_t)old) < 0)
		g_warning("%s keeps the size of %" G_GUINT64_FORMAT " bytes: %s", path, size, g_strerror(errno));
	engine_file_close(&file);
	return failure ? image_failed(error, _("Cannot resize %s: %s"), path, failure) : true;
}

static bool set_qcow2_size(const char *path, uint64_t size, GError **error)
{
	struct block_options options = { .path = path, .format = BLOCK_FORMAT_QCOW2 };
	struct block *block = block_open(&options, error);
	int failure;

	if (!block)
		return false;
	failure = qcow2_resize(qcow2_from_block(block), size);
	block_close(block);
	return failure ? image_failed(error, _("Cannot resize %s: %s"), path, failure) : true;
}

static bool resize_qcow2(const char *path, uint64_t size, uint64_t old, const struct reservation *reservation,
			 GError **error)
{
	if (!set_qcow2_size(path, size, error))
		return false;
	if (reservation->preallocation == IMAGE_PREALLOCATION_OFF || size <= old ||
	    preallocate(path, old, size, reservation, error))
		return true;
	set_qcow2_size(path, old, NULL);
	return false;
}

static bool may_resize(const char *path, const struct image_info *info, uint64_t size, bool shrink, GError **error)
{
	if (size < info->size && !shrink)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("%s would become smaller, and what is behind its new end would be lost. Shrink the "
			      "guest's partitions first, then confirm that you want this"), path);
	else if (info->format == BLOCK_FORMAT_QCOW2 && (info->bitmaps || (info->snapshots && info->version == 2)))
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, info->bitmaps ?
			    _("%s cannot be resized because of its bitmaps. Delete them, or convert it to a new "
			      "image") :
			    _("%s cannot be resized because of its snapshots. Delete them, or convert it to a new "
			      "image"), path);
	else
		return true;
	return false;
}

bool image_resize(const char *path, uint64_t size, bool shrink, enum image_preallocation preallocation,
		  image_progress progress, void *opaque, GError **error)
{
	const struct reservation reservation = { preallocation, progress, opaque };
	struct image_info info;
	bool done;

	if (!image_info(path, &info, error))
		return false;
	size = (size + 511) & ~511ull;
	done = may_resize(path, &info, size, shrink, error);
	image_info_clear(&info);
	return done && (info.format == BLOCK_FORMAT_RAW ? resize_raw(path, size, info.size, &reservation, error) :
							  resize_qcow2(path, size, info.size, &reservation, error));
}
