#include "disk.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

struct conversion {
	struct oriel_disk_options options;
	char *source_format, *snapshot;
	gboolean compress;
};

static gboolean convert_own(const struct conversion *conversion, const char *source, const char *target,
			    struct oriel_disk_job *job, GError **error)
{
	struct image_convert_options convert = {
		.source = source, .snapshot = conversion->snapshot, .compress = conversion->compress,
		.progress = oriel_disk_job_progress, .progress_opaque = job,
		.target = { .path = target, .format = BLOCK_FORMAT_QCOW2 },
	};

	return oriel_disk_parse_format(conversion->source_format, &convert.source_format, error) &&
	       oriel_disk_parse_format(conversion->options.format, &convert.target.format, error) &&
	       oriel_disk_options_apply(&conversion->options, &convert.target, error) &&
	       image_convert(&convert, error);
}

static gboolean convert(const struct conversion *conversion, const char *source, const char *target,
			struct oriel_disk_job *job, GError **error)
{
	const char *source_format = conversion->source_format, *target_format = conversion->options.format;

	if (!source_format)
		source_format = oriel_disk_foreign_probe(source);
	if (!target_format)
		target_format = "qcow2";
	if (!(source_format && oriel_disk_foreign_known(source_format)) && !oriel_disk_foreign_known(target_format))
		return convert_own(conversion, source, target, job, error);
	if (conversion->snapshot) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    _("Snapshots can only be converted from qcow2 to qcow2 or raw"));
		return FALSE;
	}
	return oriel_disk_foreign_convert(source, source_format, target, target_format, &conversion->options,
					  conversion->compress, job, error);
}

int oriel_disk_convert(const struct oriel_command *command, int argc, char **argv)
{
	struct conversion conversion = { 0 };
	const GOptionEntry more[] = {
		{ "source-format", 0, 0, G_OPTION_ARG_STRING, &conversion.source_format,
		  N_("Format of the source (default: what its first bytes say)"), N_("FORMAT") },
		{ "compress", 'c', 0, G_OPTION_ARG_NONE, &conversion.compress, N_("Compress the clusters"), NULL },
		{ "snapshot", 0, 0, G_OPTION_ARG_STRING, &conversion.snapshot,
		  N_("Copy that snapshot, not the present state"), N_("NAME") },
		{ NULL },
	};
	g_autofree GOptionEntry *entries = oriel_disk_option_entries(&conversion.options, more);
	struct oriel_disk_job job;
	GError *error = NULL;
	gboolean done;
	int status;

	if (!oriel_command_parse(command, entries, 2, 2, &argc, &argv, &status))
		return status;
	oriel_disk_job_begin(&job);
	done = convert(&conversion, argv[1], argv[2], &job, &error);
	status = oriel_disk_job_end(&job, done, error);
	oriel_disk_options_clear(&conversion.options);
	g_free(conversion.source_format);
	g_free(conversion.snapshot);
	return status;
}

static int run_on_one(const struct oriel_command *command, int argc, char **argv,
		      bool (*run)(const char *path, image_progress progress, void *opaque, GError **error))
{
	struct oriel_disk_job job;
	GError *error = NULL;
	gboolean done;
	int status;

	if (!oriel_command_parse(command, NULL, 1, 1, &argc, &argv, &status))
		return status;
	oriel_disk_job_begin(&job);
	done = run(argv[1], oriel_disk_job_progress, &job, &error);
	return oriel_disk_job_end(&job, done, error);
}

int oriel_disk_compact(const struct oriel_command *command, int argc, char **argv)
{
	return run_on_one(command, argc, argv, image_compact);
}

int oriel_disk_commit(const struct oriel_command *command, int argc, char **argv)
{
	return run_on_one(command, argc, argv, image_commit);
}

int oriel_disk_rebase(const struct oriel_command *command, int argc, char **argv)
{
	enum block_format format = BLOCK_FORMAT_PROBE;
	g_autofree char *format_name = NULL;
	gboolean none = FALSE, only_name = FALSE, done;
	const GOptionEntry entries[] = {
		{ "backing-format", 0, 0, G_OPTION_ARG_STRING, &format_name, N_("Format of BACKING: raw or qcow2"),
		  N_("FORMAT") },
		{ "none", 0, 0, G_OPTION_ARG_NONE, &none, N_("Have no backing image any more"), NULL },
		{ "only-name", 'u', 0, G_OPTION_ARG_NONE, &only_name,
		  N_("BACKING has the same contents: it was only moved"), NULL },
		{ NULL },
	};
	struct oriel_disk_job job;
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 1, 2, &argc, &argv, &status))
		return status;
	if (none == (argc > 2))
		g_set_error(&error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    _("Either a backing image or --none is needed"));
	else if (none && (format_name || only_name))
		g_set_error(&error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, _("--none goes with no other option"));
	if (error || !oriel_disk_parse_format(format_name, &format, &error))
		return oriel_command_fail(error);
	oriel_disk_job_begin(&job);
	done = image_rebase(argv[1], none ? NULL : argv[2], format, only_name, oriel_disk_job_progress, &job, &error);
	return oriel_disk_job_end(&job, done, error);
}
