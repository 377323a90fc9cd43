/* Images as files: what they are, and whether they are sound. */
#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qcow2/qcow2.h"

static const char *const format_names[] = {
	[BLOCK_FORMAT_RAW] = "raw",
	[BLOCK_FORMAT_QCOW2] = "qcow2",
};

const char *image_format_name(enum block_format format)
{
	return (size_t)format < G_N_ELEMENTS(format_names) ? format_names[format] : NULL;
}

bool image_format_parse(const char *name, enum block_format *format)
{
	for (size_t i = 0; i < G_N_ELEMENTS(format_names); i++) {
		if (!format_names[i] || strcmp(format_names[i], name) != 0)
			continue;
		*format = (enum block_format)i;
		return true;
	}
	return false;
}

enum block_format image_probe(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint8_t magic[4] = { 0 };
	struct stat status;
	bool found;

	if (fd < 0)
		return BLOCK_FORMAT_RAW;
	found = fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)) &&
		pread(fd, magic, sizeof magic, 0) == sizeof magic && qcow2_get32(magic) == QCOW2_MAGIC;
	close(fd);
	return found ? BLOCK_FORMAT_QCOW2 : BLOCK_FORMAT_RAW;
}

static bool file_sizes(const char *path, struct image_info *info, GError **error)
{
	struct stat status;

	if (stat(path, &status) < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "Cannot look at %s: %s", path,
			    g_strerror(errno));
		return false;
	}
	info->file_size = (uint64_t)status.st_size;
	info->disk_size = (uint64_t)status.st_blocks * 512;
	return true;
}

static void describe(const struct qcow2 *image, struct image_info *info)
{
	const struct qcow2_header *header = &image->header;
	const struct qcow2_extension *data = qcow2_extension(image, QCOW2_EXTENSION_DATA_FILE);
	const struct qcow2_extension *bitmaps = qcow2_extension(image, QCOW2_EXTENSION_BITMAPS);

	info->size = header->size;
	info->version = header->version;
	info->cluster_size = (unsigned)image->cluster_size;
	info->refcount_bits = image->refcount_bits;
	info->extended_l2 = image->extended;
	info->lazy_refcounts = header->compatible_features & QCOW2_LAZY_REFCOUNTS;
	info->dirty = header->incompatible_features & QCOW2_DIRTY;
	info->corrupt = header->incompatible_features & QCOW2_CORRUPT;
	info->compression = header->compression_type ? IMAGE_COMPRESSION_ZSTD : IMAGE_COMPRESSION_ZLIB;
	info->backing_path = g_strdup(image->backing_name);
	info->backing_format = g_strdup(image->backing_format);
	info->data_path = data && image->external ? g_strndup((const char *)data->data, data->length) : NULL;
	info->snapshots = header->nb_snapshots;
	info->bitmaps = bitmaps && bitmaps->length >= 4 ? qcow2_get32(bitmaps->data) : 0;
}

bool image_info(const char *path, struct image_info *info, GError **error)
{
	struct block_options options = { .path = path, .read_only = true };
	struct engine *engine;
	struct qcow2_cache *cache;
	struct qcow2 *image;

	*info = (struct image_info){ .format = image_probe(path) };
	if (!file_sizes(path, info, error))
		return false;
	info->size = info->file_size;
	if (info->format != BLOCK_FORMAT_QCOW2)
		return true;
	engine = engine_new(false, error);
	if (!engine)
		return false;
	cache = qcow2_cache_new(engine);
	image = qcow2_open(engine, cache, &options, QCOW2_OPEN_NO_BACKING | QCOW2_OPEN_AS_IS, NULL, error);
	if (image) {
		describe(image, info);
		qcow2_close(image);
	}
	qcow2_cache_free(cache);
	engine_free(engine);
	return image != NULL;
}

void image_info_clear(struct image_info *info)
{
	g_clear_pointer(&info->backing_path, g_free);
	g_clear_pointer(&info->backing_format, g_free);
	g_clear_pointer(&info->data_path, g_free);
}

bool image_check(const char *path, unsigned repair, struct image_check *check, GError **error)
{
	struct block_options options = { .path = path, .read_only = !repair };
	struct engine *engine = engine_new(false, error);
	struct qcow2_cache *cache = engine ? qcow2_cache_new(engine) : NULL;
	struct qcow2 *image = NULL;
	int failure = 0;

	*check = (struct image_check){ 0 };
	if (!engine)
		return false;
	if (image_probe(path) == BLOCK_FORMAT_QCOW2)
		image = qcow2_open(engine, cache, &options, QCOW2_OPEN_NO_BACKING | QCOW2_OPEN_AS_IS, NULL, error);
	else
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is not a qcow2 image; there is nothing to check",
			    path);
	if (image) {
		failure = qcow2_check(image, repair, check);
		if (failure)
			g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(failure), "%s cannot be checked: %s", path,
				    g_strerror(failure));
		qcow2_close(image);
	}
	qcow2_cache_free(cache);
	engine_free(engine);
	return image && !failure;
}
