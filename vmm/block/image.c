/* Images as files: what they are, and whether they are sound. */
#include "image_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gio/gio.h>

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
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), _("Cannot look at %s: %s"), path,
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

bool image_failed(GError **error, const char *format, const char *path, int cause)
{
	g_autofree char *what = NULL;

	if (cause == ECANCELED) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Stopped on request"));
		return false;
	}
	what = g_strdup_printf(format, path, g_strerror(cause));
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(cause), cause == ENOSPC || cause == EEXIST ? "%s. %s" :
		    "%s", what, cause == ENOSPC ? _("Free some space") : _("Choose another name, or remove it first"));
	return false;
}

bool image_file_open(struct image_file *file, const char *path, bool read_only, unsigned flags, GError **error)
{
	struct block_options options = { .path = path, .read_only = read_only };
	struct image_info info;

	if (image_probe(path) != BLOCK_FORMAT_QCOW2) {
		/* Of a file that is not there it would be said that it is the wrong one. */
		if (!file_sizes(path, &info, error))
			return false;
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("%s is not a qcow2 image, which this needs. Choose another one, or convert it"), path);
		return false;
	}
	file->engine = engine_new(false, error);
	if (!file->engine)
		return false;
	file->cache = qcow2_cache_new(file->engine);
	file->image = qcow2_open(file->engine, file->cache, &options, flags, NULL, error);
	if (file->image)
		return true;
	qcow2_cache_free(file->cache);
	engine_free(file->engine);
	return false;
}

int image_file_close(struct image_file *file)
{
	int error = qcow2_close(file->image);

	qcow2_cache_free(file->cache);
	engine_free(file->engine);
	return error;
}

bool image_info(const char *path, struct image_info *info, GError **error)
{
	struct image_file file;

	*info = (struct image_info){ .format = image_probe(path) };
	if (!file_sizes(path, info, error))
		return false;
	info->size = info->file_size;
	if (info->format != BLOCK_FORMAT_QCOW2)
		return true;
	if (!image_file_open(&file, path, true, QCOW2_OPEN_NO_BACKING | QCOW2_OPEN_AS_IS, error))
		return false;
	describe(file.image, info);
	image_file_close(&file);
	return true;
}

void image_info_clear(struct image_info *info)
{
	g_clear_pointer(&info->backing_path, g_free);
	g_clear_pointer(&info->backing_format, g_free);
	g_clear_pointer(&info->data_path, g_free);
}

bool image_check(const char *path, unsigned repair, struct image_check *check, GError **error)
{
	struct image_file file;
	int failure;

	*check = (struct image_check){ 0 };
	if (!image_file_open(&file, path, !repair, QCOW2_OPEN_NO_BACKING | QCOW2_OPEN_AS_IS, error))
		return false;
	failure = qcow2_check(file.image, repair, check);
	image_file_close(&file);
	return failure ? image_failed(error, _("Cannot check %s: %s"), path, failure) : true;
}
