/* The header: its fields, extensions and names, read with suspicion and written whole. */
#include "qcow2.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>

#define REFUSE(error, ...) (g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, __VA_ARGS__), false)

uint64_t qcow2_clusters(const struct qcow2 *image, uint64_t bytes)
{
	return (bytes >> image->cluster_bits) + ((bytes & (image->cluster_size - 1)) != 0);
}

uint64_t qcow2_l1_entries(const struct qcow2 *image, uint64_t size)
{
	unsigned bits = image->cluster_bits + image->l2_bits;

	return (size >> bits) + ((size & ((1ull << bits) - 1)) != 0);
}

const struct qcow2_extension *qcow2_extension(const struct qcow2 *image, uint32_t type)
{
	for (guint i = 0; i < image->extensions->len; i++)
		if (g_array_index(image->extensions, struct qcow2_extension, i).type == type)
			return &g_array_index(image->extensions, struct qcow2_extension, i);
	return NULL;
}

void qcow2_extension_set(struct qcow2 *image, uint32_t type, const void *data, size_t length)
{
	struct qcow2_extension *old = (struct qcow2_extension *)qcow2_extension(image, type);
	struct qcow2_extension extension = { type, (uint32_t)length, g_memdup2(data, length) };

	if (!data && old) {
		g_array_remove_index(image->extensions,
				     (guint)(old - (struct qcow2_extension *)(void *)image->extensions->data));
	} else if (old) {
		g_free(old->data);
		*old = extension;
	} else if (data) {
		g_array_append_val(image->extensions, extension);
	}
}

static void clear_extension(gpointer data)
{
	g_free(((struct qcow2_extension *)data)->data);
}

GArray *qcow2_extensions_new(void)
{
	GArray *extensions = g_array_new(FALSE, FALSE, sizeof(struct qcow2_extension));

	g_array_set_clear_func(extensions, clear_extension);
	return extensions;
}

static void decode(struct qcow2_header *header, const uint8_t *raw)
{
	bool fields_of_v3;

	header->version = qcow2_get32(raw + 4);
	header->backing_offset = qcow2_get64(raw + 8);
	header->backing_size = qcow2_get32(raw + 16);
	header->cluster_bits = qcow2_get32(raw + 20);
	header->size = qcow2_get64(raw + 24);
	header->crypt_method = qcow2_get32(raw + 32);
	header->l1_size = qcow2_get32(raw + 36);
	header->l1_table_offset = qcow2_get64(raw + 40);
	header->refcount_table_offset = qcow2_get64(raw + 48);
	header->refcount_table_clusters = qcow2_get32(raw + 56);
	header->nb_snapshots = qcow2_get32(raw + 60);
	header->snapshots_offset = qcow2_get64(raw + 64);
	fields_of_v3 = header->version >= 3;
	header->incompatible_features = fields_of_v3 ? qcow2_get64(raw + 72) : 0;
	header->compatible_features = fields_of_v3 ? qcow2_get64(raw + 80) : 0;
	header->autoclear_features = fields_of_v3 ? qcow2_get64(raw + 88) : 0;
	header->refcount_order = fields_of_v3 ? qcow2_get32(raw + 96) : 4;
	header->header_length = fields_of_v3 ? qcow2_get32(raw + 100) : QCOW2_V2_LENGTH;
	header->compression_type = header->header_length > 104 ? raw[104] : 0;
}

static bool check_version(const struct qcow2 *image, GError **error)
{
	const struct qcow2_header *header = &image->header;
	const char *path = image->file.path;

	if (header->version != 2 && header->version != 3)
		return REFUSE(error,
			      _("%s is a qcow2 image of version %u, but only 2 and 3 are known. Convert it with the "
				"program that made it"), path, header->version);
	if (header->cluster_bits < 9 || header->cluster_bits > 21)
		return REFUSE(error,
			      _("%s is damaged: clusters of 2^%u bytes do not exist. Restore it from a backup"), path,
			      header->cluster_bits);
	if (header->version == 3 && (header->header_length < QCOW2_V3_LENGTH || header->header_length % 8 ||
				     header->header_length > (1ull << header->cluster_bits)))
		return REFUSE(error,
			      _("%s is damaged: its header cannot have a length of %u. Restore it from a backup"),
			      path, header->header_length);
	if (header->refcount_order > 6)
		return REFUSE(error,
			      _("%s is damaged: refcounts of 2^%u bits do not exist. Restore it from a backup"), path,
			      header->refcount_order);
	return true;
}

/* The feature name table has entries of 48 bytes: type, bit, name. */
static char *feature_name(const struct qcow2 *image, unsigned bit)
{
	const struct qcow2_extension *table = qcow2_extension(image, QCOW2_EXTENSION_FEATURE_NAMES);

	for (uint32_t at = 0; table && at + 48 <= table->length; at += 48)
		if (table->data[at] == 0 && table->data[at + 1] == bit && table->data[at + 2])
			return g_utf8_make_valid((const char *)table->data + at + 2,
						 (gssize)strnlen((const char *)table->data + at + 2, 46));
	return g_strdup_printf("number %u", bit);
}

static bool check_features(const struct qcow2 *image, GError **error)
{
	const struct qcow2_header *header = &image->header;
	uint64_t unknown = header->incompatible_features & ~QCOW2_INCOMPATIBLE_KNOWN;
	g_autoptr(GString) names = g_string_new(NULL);

	if (header->crypt_method || qcow2_extension(image, QCOW2_EXTENSION_ENCRYPTION))
		return REFUSE(error,
			      _("%s is encrypted (%s), which is not supported. Decrypt it into a new image: qemu-img "
				"convert --image-opts ... -O qcow2"), image->file.path, header->crypt_method == 2 ?
			      "LUKS" : "AES");
	for (unsigned bit = 0; bit < 64; bit++) {
		g_autofree char *name = unknown >> bit & 1 ? feature_name(image, bit) : NULL;

		if (name)
			g_string_append_printf(names, "%s%s", names->len ? ", " : "", name);
	}
	if (unknown)
		return REFUSE(error,
			      _("%s needs features that are not known here: %s. Convert it with the program that "
				"made it"), image->file.path, names->str);
	if (header->compression_type > 1 ||
	    (header->compression_type != 0) != ((header->incompatible_features & QCOW2_COMPRESSION_TYPE) != 0))
		return REFUSE(error,
			      _("%s is compressed by a method (%u) that is not known here. Convert it with the "
				"program that made it"), image->file.path, header->compression_type);
	if (header->incompatible_features & QCOW2_EXTENDED_L2 && header->cluster_bits < 14)
		return REFUSE(error,
			      _("%s is damaged: clusters of %u bytes cannot have subclusters. Restore it from a "
				"backup"), image->file.path, 1u << header->cluster_bits);
	return true;
}

static bool read_extensions(struct qcow2 *image, const uint8_t *raw, size_t length, GError **error)
{
	uint64_t end = image->header.backing_offset ? MIN(image->header.backing_offset, length) : length;
	uint64_t at = image->header.header_length;

	while (at + 8 <= end) {
		struct qcow2_extension extension = { qcow2_get32(raw + at), qcow2_get32(raw + at + 4), NULL };

		at += 8;
		if (extension.type == QCOW2_EXTENSION_END)
			return true;
		if (extension.length > end - at)
			return REFUSE(error,
				      _("%s is damaged: header extension %08x is too long. Restore it from a backup"),
				      image->file.path, extension.type);
		extension.data = g_memdup2(raw + at, extension.length);
		g_array_append_val(image->extensions, extension);
		at += (extension.length + 7ull) & ~7ull;
	}
	return true;
}

static bool read_names(struct qcow2 *image, const uint8_t *raw, size_t length, GError **error)
{
	const struct qcow2_extension *format = qcow2_extension(image, QCOW2_EXTENSION_BACKING_FORMAT);
	const struct qcow2_header *header = &image->header;

	if (!header->backing_offset || !header->backing_size)
		return true;
	if (header->backing_size > 1023 || header->backing_offset > length ||
	    header->backing_size > length - header->backing_offset)
		return REFUSE(error,
			      _("%s is damaged: the name of its backing file is not inside of the header. Restore it "
				"from a backup"), image->file.path);
	image->backing_name = g_strndup((const char *)raw + header->backing_offset, header->backing_size);
	if (format)
		image->backing_format = g_strndup((const char *)format->data, MIN(format->length, 63u));
	return true;
}

void qcow2_derive(struct qcow2 *image)
{
	const struct qcow2_header *header = &image->header;

	image->cluster_bits = header->cluster_bits;
	image->cluster_size = 1ull << image->cluster_bits;
	image->extended = header->incompatible_features & QCOW2_EXTENDED_L2;
	image->external = header->incompatible_features & QCOW2_EXTERNAL_DATA;
	image->entry_size = image->extended ? 16 : 8;
	image->l2_bits = header->cluster_bits - (image->extended ? 4 : 3);
	image->unit_bits = header->cluster_bits - (image->extended ? 5 : 0);
	image->page_size = (unsigned)MIN(image->cluster_size, QCOW2_PAGE_MAX);
	image->refcount_bits = 1u << header->refcount_order;
	image->block_bits = header->cluster_bits + 3 - header->refcount_order;
}

static bool bad_table(const struct qcow2 *image, uint64_t offset, uint64_t length)
{
	return offset & (image->cluster_size - 1) || offset > INT64_MAX - length || (length && offset == 0);
}

static bool check_tables(const struct qcow2 *image, GError **error)
{
	const struct qcow2_header *header = &image->header;
	uint64_t refcount_bytes = (uint64_t)header->refcount_table_clusters << header->cluster_bits;

	if (header->l1_size > QCOW2_L1_MAX / 8 || bad_table(image, header->l1_table_offset, header->l1_size * 8ull))
		return REFUSE(error, _("%s is damaged: its L1 table is out of bounds. Restore it from a backup"),
			      image->file.path);
	if (header->size > INT64_MAX || qcow2_l1_entries(image, header->size) > header->l1_size)
		return REFUSE(error,
			      _("%s is damaged: its L1 table is too small for its size. Restore it from a backup"),
			      image->file.path);
	if (header->refcount_table_clusters == 0 || refcount_bytes > MAX(QCOW2_REFTABLE_MAX, image->cluster_size) ||
	    bad_table(image, header->refcount_table_offset, refcount_bytes))
		return REFUSE(error,
			      _("%s is damaged: its refcount table is out of bounds. Restore it from a backup"),
			      image->file.path);
	if (header->nb_snapshots > QCOW2_SNAPSHOTS_MAX ||
	    bad_table(image, header->snapshots_offset, header->nb_snapshots * 40ull))
		return REFUSE(error,
			      _("%s is damaged: its snapshot table is out of bounds. Restore it from a backup"),
			      image->file.path);
	return true;
}

bool qcow2_header_read(struct qcow2 *image, GError **error)
{
	g_autofree uint8_t *raw = g_malloc0(512);
	int failure = qcow2_read_at(image, 0, raw, 512);

	image->extensions = qcow2_extensions_new();
	if (!failure && qcow2_get32(raw) != QCOW2_MAGIC)
		return REFUSE(error, _("%s is not a qcow2 image. Choose another file, or its proper format"),
			      image->file.path);
	if (!failure) {
		decode(&image->header, raw);
		if (!check_version(image, error))
			return false;
		image->cluster_bits = image->header.cluster_bits;
		image->cluster_size = 1ull << image->cluster_bits;
		raw = g_realloc(raw, image->cluster_size);
		failure = qcow2_read_at(image, 0, raw, image->cluster_size);
	}
	if (failure)
		return REFUSE(error, _("The header of %s cannot be read: %s"), image->file.path, g_strerror(failure));
	if (!read_extensions(image, raw, image->cluster_size, error) || !check_features(image, error))
		return false;
	qcow2_derive(image);
	return check_tables(image, error) && read_names(image, raw, image->cluster_size, error);
}

static size_t encode_extensions(const struct qcow2 *image, uint8_t *buffer, size_t at)
{
	for (guint i = 0; i < image->extensions->len; i++) {
		const struct qcow2_extension *extension = &g_array_index(image->extensions, struct qcow2_extension,
									 i);
		size_t padded = (extension->length + 7u) & ~7u;

		if (at + 8 + padded + 8 > image->cluster_size)
			return 0;
		qcow2_put32(buffer + at, extension->type);
		qcow2_put32(buffer + at + 4, extension->length);
		memcpy(buffer + at + 8, extension->data, extension->length);
		at += 8 + padded;
	}
	return at + 8 <= image->cluster_size ? at + 8 : 0;
}

static void encode_fields(const struct qcow2_header *header, uint8_t *raw)
{
	qcow2_put32(raw, QCOW2_MAGIC);
	qcow2_put32(raw + 4, header->version);
	qcow2_put64(raw + 8, header->backing_offset);
	qcow2_put32(raw + 16, header->backing_size);
	qcow2_put32(raw + 20, header->cluster_bits);
	qcow2_put64(raw + 24, header->size);
	qcow2_put32(raw + 32, header->crypt_method);
	qcow2_put32(raw + 36, header->l1_size);
	qcow2_put64(raw + 40, header->l1_table_offset);
	qcow2_put64(raw + 48, header->refcount_table_offset);
	qcow2_put32(raw + 56, header->refcount_table_clusters);
	qcow2_put32(raw + 60, header->nb_snapshots);
	qcow2_put64(raw + 64, header->snapshots_offset);
	if (header->version < 3)
		return;
	qcow2_put64(raw + 72, header->incompatible_features);
	qcow2_put64(raw + 80, header->compatible_features);
	qcow2_put64(raw + 88, header->autoclear_features);
	qcow2_put32(raw + 96, header->refcount_order);
	qcow2_put32(raw + 100, header->header_length);
	if (header->header_length > 104)
		raw[104] = header->compression_type;
}

size_t qcow2_header_encode(struct qcow2 *image, uint8_t *buffer)
{
	size_t name = image->backing_name ? strlen(image->backing_name) : 0;
	size_t at;

	memset(buffer, 0, image->cluster_size);
	at = encode_extensions(image, buffer, image->header.header_length);
	if (at == 0 || at + name > image->cluster_size)
		return 0;
	image->header.backing_offset = name ? at : 0;
	image->header.backing_size = (uint32_t)name;
	memcpy(buffer + at, image->backing_name ? image->backing_name : "", name);
	encode_fields(&image->header, buffer);
	return at + name;
}

int qcow2_header_write(struct qcow2 *image)
{
	g_autofree uint8_t *buffer = g_malloc0(image->cluster_size);
	g_autofree uint8_t *old = g_malloc0(image->cluster_size);
	int error = qcow2_read_at(image, 0, old, image->cluster_size);

	if (error)
		return error;
	if (qcow2_header_encode(image, buffer) == 0)
		return ENOSPC;
	/* Fields of later versions of the format. */
	if (image->header.header_length > 112)
		memcpy(buffer + 112, old + 112, image->header.header_length - 112);
	return qcow2_write_at(image, 0, buffer, image->cluster_size);
}

/* From size to snapshots_offset. */
#define SWITCHED_LENGTH (QCOW2_V2_LENGTH - QCOW2_AT_SIZE)

int qcow2_header_switch(struct qcow2 *image, const struct qcow2_header *next)
{
	uint8_t raw[QCOW2_V3_LENGTH + 8] = { 0 };
	int error = qcow2_flush_file(image);

	if (error)
		return error;
	encode_fields(next, raw);
	error = qcow2_write_at(image, QCOW2_AT_SIZE, raw + QCOW2_AT_SIZE, SWITCHED_LENGTH);
	error = error ? error : qcow2_flush_file(image);
	if (!error) {
		image->header = *next;
		return 0;
	}
	/* Either header may be in the file, and both lead to a sound image as long as nothing is written. */
	g_warning("%s: its header cannot be written: %s. Nothing more is written to it until it is opened anew",
		  image->file.path, g_strerror(error));
	image->corrupt = true;
	return error;
}

void qcow2_header_free(struct qcow2 *image)
{
	g_clear_pointer(&image->extensions, g_array_unref);
	g_clear_pointer(&image->backing_name, g_free);
	g_clear_pointer(&image->backing_format, g_free);
}
