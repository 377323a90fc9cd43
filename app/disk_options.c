#include "disk.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

/*
 * A word's place in a table; an option that was not given leaves *value as it is. format, for what is wrong, has the
 * text and the words that there are.
 */
static gboolean parse_word(const char *format, const char *text, const char *const *words, guint *value,
			   GError **error)
{
	g_autofree char *choices = NULL;

	if (!text)
		return TRUE;
	for (guint i = 0; words[i]; i++) {
		if (strcmp(words[i], text))
			continue;
		*value = i;
		return TRUE;
	}
	choices = g_strjoinv(", ", (char **)words);
	g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, text, choices);
	return FALSE;
}

gboolean oriel_disk_parse_preallocation(const char *text, enum image_preallocation *preallocation, GError **error)
{
	static const char *const words[] = {
		[IMAGE_PREALLOCATION_OFF] = "off", [IMAGE_PREALLOCATION_METADATA] = "metadata",
		[IMAGE_PREALLOCATION_FALLOC] = "falloc", [IMAGE_PREALLOCATION_FULL] = "full", NULL,
	};
	guint value = *preallocation;
	gboolean done = parse_word(_("\"%s\" is not a preallocation; there are %s"), text, words, &value, error);

	*preallocation = (enum image_preallocation)value;
	return done;
}

static gboolean parse_compression(const char *text, enum image_compression *compression, GError **error)
{
	static const char *const words[] = {
		[IMAGE_COMPRESSION_ZLIB] = "zlib", [IMAGE_COMPRESSION_ZSTD] = "zstd", NULL,
	};
	guint value = *compression;
	gboolean done = parse_word(_("\"%s\" is not a compression; there are %s"), text, words, &value, error);

	*compression = (enum image_compression)value;
	return done;
}

gboolean oriel_disk_parse_format(const char *text, enum block_format *format, GError **error)
{
	if (!text || image_format_parse(text, format))
		return TRUE;
	g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, oriel_disk_foreign_known(text) ?
		    _("%s is a foreign format, which only \"oriel disk convert\" reads and writes; the others work "
		      "with raw and qcow2") : _("There is no format \"%s\"; there are raw and qcow2"), text);
	return FALSE;
}

GOptionEntry *oriel_disk_option_entries(struct oriel_disk_options *options, const GOptionEntry *more)
{
	const GOptionEntry entries[] = {
		{ "format", 'f', 0, G_OPTION_ARG_STRING, &options->format,
		  N_("Format of the new image (default qcow2)"), N_("FORMAT") },
		{ "overwrite", 0, 0, G_OPTION_ARG_NONE, &options->overwrite, N_("Even if there is such a file"), NULL },
		{ "preallocation", 0, 0, G_OPTION_ARG_STRING, &options->preallocation,
		  N_("off, metadata, falloc (reserve space), full (write zeroes)"), N_("MODE") },
		{ "backing", 'b', 0, G_OPTION_ARG_FILENAME, &options->backing,
		  N_("Image that the new one keeps only the differences to; relative to its folder"), N_("FILE") },
		{ "backing-format", 0, 0, G_OPTION_ARG_STRING, &options->backing_format,
		  N_("Format of that image: raw or qcow2"), N_("FORMAT") },
		{ "cluster-size", 0, 0, G_OPTION_ARG_STRING, &options->cluster_size,
		  N_("512 to 2M, a power of two (default 64K)"), N_("SIZE") },
		{ "extended-l2", 0, 0, G_OPTION_ARG_NONE, &options->extended_l2,
		  N_("Divide clusters in 32 subclusters"), NULL },
		{ "lazy-refcounts", 0, 0, G_OPTION_ARG_NONE, &options->lazy_refcounts,
		  N_("Write refcounts late; they are repaired after a crash"), NULL },
		{ "compression", 0, 0, G_OPTION_ARG_STRING, &options->compression,
		  N_("zlib or zstd, for clusters that get compressed"), N_("TYPE") },
		{ "data-file", 0, 0, G_OPTION_ARG_FILENAME, &options->data_file,
		  N_("Keep the data in that file; relative to the image's folder"), N_("FILE") },
		{ "data-raw", 0, 0, G_OPTION_ARG_NONE, &options->data_raw,
		  N_("That file can be used as a raw image"), NULL },
		{ "refcount-bits", 0, 0, G_OPTION_ARG_INT, &options->refcount_bits,
		  N_("1, 2, 4, 8, 16, 32 or 64 (default 16)"), N_("BITS") },
		{ "qcow2-version", 0, 0, G_OPTION_ARG_INT, &options->version, N_("2 or 3 (default)"), N_("VERSION") },
	};
	gsize count = 0;
	GOptionEntry *all;

	while (more[count].long_name)
		count++;
	all = g_new0(GOptionEntry, count + G_N_ELEMENTS(entries) + 1);
	memcpy(all, more, count * sizeof *all);
	memcpy(all + count, entries, sizeof entries);
	return all;
}

static gboolean refuse(const char *message, GError **error)
{
	g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, message);
	return FALSE;
}

static gboolean has_qcow2_options(const struct oriel_disk_options *options)
{
	return options->backing || options->cluster_size || options->extended_l2 || options->lazy_refcounts ||
	       options->compression || options->data_file || options->refcount_bits || options->version;
}

gboolean oriel_disk_options_apply(const struct oriel_disk_options *options, struct image_create_options *target,
				  GError **error)
{
	guint64 cluster = 0;

	if (!oriel_disk_parse_preallocation(options->preallocation, &target->preallocation, error) ||
	    !parse_compression(options->compression, &target->compression, error) ||
	    !oriel_disk_parse_format(options->backing_format, &target->backing_format, error) ||
	    (options->cluster_size && !oriel_parse_size(options->cluster_size, &cluster, error)))
		return FALSE;
	if (target->format == BLOCK_FORMAT_RAW && has_qcow2_options(options))
		return refuse(_("Raw images have nothing but a size and a preallocation; choose qcow2"), error);
	if (target->format == BLOCK_FORMAT_RAW && target->preallocation == IMAGE_PREALLOCATION_METADATA)
		return refuse(_("Raw images have no metadata; choose falloc or full"), error);
	if (options->backing_format && !options->backing)
		return refuse(_("A backing format needs a backing image"), error);
	if (options->data_raw && !options->data_file)
		return refuse(_("Raw data needs a data file"), error);
	if (options->data_raw && options->backing)
		return refuse(_("A data file that can be used as a raw image has no backing image"), error);
	if (options->backing && target->preallocation != IMAGE_PREALLOCATION_OFF)
		return refuse(_("Preallocated space would hide the backing image"), error);
	if (cluster > G_MAXUINT || options->version < 0 || options->refcount_bits < 0)
		return refuse(_("Cluster size, version and refcount bits are small positive numbers"), error);
	target->overwrite = options->overwrite;
	target->version = (unsigned)options->version;
	target->cluster_size = (unsigned)cluster;
	target->refcount_bits = (unsigned)options->refcount_bits;
	target->extended_l2 = options->extended_l2;
	target->lazy_refcounts = options->lazy_refcounts;
	target->backing_path = options->backing;
	target->data_path = options->data_file;
	target->data_raw = options->data_raw;
	return TRUE;
}

void oriel_disk_options_clear(struct oriel_disk_options *options)
{
	g_free(options->format);
	g_free(options->cluster_size);
	g_free(options->preallocation);
	g_free(options->compression);
	g_free(options->backing);
	g_free(options->backing_format);
	g_free(options->data_file);
}
