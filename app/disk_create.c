#include "disk.h"

#include <glib/gi18n.h>
#include <inttypes.h>

static int create(const struct oriel_disk_options *options, struct image_create_options *target, GError *error)
{
	struct oriel_disk_job job;
	gboolean done;

	if (error || !oriel_disk_parse_format(options->format, &target->format, &error) ||
	    !oriel_disk_options_apply(options, target, &error))
		return oriel_command_fail(error);
	oriel_disk_job_begin(&job);
	target->progress = oriel_disk_job_progress;
	target->progress_opaque = &job;
	done = image_create(target, &error);
	return oriel_disk_job_end(&job, done, error);
}

int oriel_disk_create(const struct oriel_command *command, int argc, char **argv)
{
	struct oriel_disk_options options = { 0 };
	static const GOptionEntry none[] = { { NULL } };
	g_autofree GOptionEntry *entries = oriel_disk_option_entries(&options, none);
	struct image_create_options target = { .format = BLOCK_FORMAT_QCOW2 };
	GError *error = NULL;
	guint64 size = 0;
	int status;

	if (!oriel_command_parse(command, entries, 1, 2, &argc, &argv, &status))
		return status;
	target.path = argv[1];
	if (argc > 2)
		oriel_parse_size(argv[2], &size, &error);
	else if (!options.backing)
		g_set_error(&error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    _("A disk without a backing image needs a size, such as 20G"));
	target.size = size;
	status = create(&options, &target, error);
	oriel_disk_options_clear(&options);
	return status;
}

/* SIZE, or a change of the present one. */
static gboolean parse_new_size(const char *path, const char *text, gboolean shrink, guint64 *size, GError **error)
{
	gboolean relative = *text == '+' || *text == '-';
	struct image_info info;

	if (!oriel_parse_size(text + relative, size, error) || !image_info(path, &info, error))
		return FALSE;
	image_info_clear(&info);
	if (*text == '-' ? *size >= info.size : *text == '+' && *size > G_MAXINT64 - info.size) {
		g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
			    _("The disk has %" PRIu64 " bytes, which cannot change by %s"), info.size, text);
		return FALSE;
	}
	if (relative)
		*size = *text == '-' ? info.size - *size : info.size + *size;
	if (*size >= info.size || shrink)
		return TRUE;
	g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
		    _("The disk would become smaller, and what is behind its new end would be lost. Shrink the "
		      "guest's partitions first, then say --shrink"));
	return FALSE;
}

int oriel_disk_resize(const struct oriel_command *command, int argc, char **argv)
{
	g_autofree char *mode = NULL;
	gboolean shrink = FALSE, done;
	const GOptionEntry entries[] = {
		{ "shrink", 0, 0, G_OPTION_ARG_NONE, &shrink,
		  N_("Smaller is what I want, and what is behind the new end may be lost"), NULL },
		{ "preallocation", 0, 0, G_OPTION_ARG_STRING, &mode,
		  N_("Of what is added: off, metadata, falloc, full"), N_("MODE") },
		{ NULL },
	};
	enum image_preallocation preallocation = IMAGE_PREALLOCATION_OFF;
	struct oriel_disk_job job;
	GError *error = NULL;
	guint64 size;
	int status;

	if (!oriel_command_parse(command, entries, 2, 2, &argc, &argv, &status))
		return status;
	if (!oriel_disk_parse_preallocation(mode, &preallocation, &error) ||
	    !parse_new_size(argv[1], argv[2], shrink, &size, &error))
		return oriel_command_fail(error);
	oriel_disk_job_begin(&job);
	done = image_resize(argv[1], size, shrink, preallocation, oriel_disk_job_progress, &job, &error);
	return oriel_disk_job_end(&job, done, error);
}
