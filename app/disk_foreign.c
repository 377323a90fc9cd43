#include "disk.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* How each of them is recognized; without magic it has to be named. */
static const struct {
	const char *name;
	gsize offset;
	const char *magic;
} formats[] = {
	{ "vmdk", 0, "KDMV" },
	{ "vmdk", 0, "# Disk DescriptorFile" },
	{ "vdi", 0x40, "\x7f\x10\xda\xbe" },
	{ "vhdx", 0, "vhdxfile" },
	{ "vpc", 0, "conectix" },
	{ "qed", 0, "QED" },
	{ "parallels", 0, "WithouFreSpacExt" },
	{ "parallels", 0, "WithoutFreeSpace" },
	{ "qcow", 0, NULL },
	{ "dmg", 0, NULL },
	{ "bochs", 0, NULL },
	{ "cloop", 0, NULL },
};

const char *oriel_disk_foreign_probe(const char *path)
{
	char start[512] = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t length = fd < 0 ? -1 : pread(fd, start, sizeof start, 0);

	if (fd >= 0)
		close(fd);
	for (gsize i = 0; i < G_N_ELEMENTS(formats) && length > 0; i++)
		if (formats[i].magic &&
		    memcmp(start + formats[i].offset, formats[i].magic, strlen(formats[i].magic)) == 0)
			return formats[i].name;
	return NULL;
}

gboolean oriel_disk_foreign_known(const char *format)
{
	for (gsize i = 0; i < G_N_ELEMENTS(formats); i++)
		if (strcmp(formats[i].name, format) == 0)
			return TRUE;
	return FALSE;
}

/* --- Its command line --- */

static gboolean refuse(GError **error, const char *message)
{
	g_set_error_literal(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, message);
	return FALSE;
}

static void add_qcow2_options(GPtrArray *arguments, const struct image_create_options *target,
			      const struct oriel_disk_options *options)
{
	g_autoptr(GString) text = g_string_new(NULL);

	g_string_append_printf(text, "compat=%s", target->version == 2 ? "0.10" : "1.1");
	if (target->cluster_size)
		g_string_append_printf(text, ",cluster_size=%u", target->cluster_size);
	if (target->refcount_bits)
		g_string_append_printf(text, ",refcount_bits=%u", target->refcount_bits);
	if (target->extended_l2)
		g_string_append(text, ",extended_l2=on");
	if (target->lazy_refcounts)
		g_string_append(text, ",lazy_refcounts=on");
	if (options->compression)
		g_string_append_printf(text, ",compression_type=%s", options->compression);
	if (options->preallocation)
		g_string_append_printf(text, ",preallocation=%s", options->preallocation);
	g_ptr_array_add(arguments, g_strdup("-o"));
	g_ptr_array_add(arguments, g_strdup(text->str));
}

static gboolean make_arguments(GPtrArray *arguments, const char *source, const char *source_format,
			       const char *target, const char *target_format,
			       const struct oriel_disk_options *options, gboolean compress, GError **error)
{
	struct image_create_options create = { .format = BLOCK_FORMAT_QCOW2 };
	gboolean qcow2 = strcmp(target_format, "qcow2") == 0;

	if (options->backing || options->data_file)
		return refuse(error,
			      _("A foreign format can neither get a backing image nor a data file. Convert it to "
				"qcow2 first"));
	if (!qcow2 && (options->cluster_size || options->refcount_bits || options->extended_l2 || options->version ||
		       options->lazy_refcounts || options->compression || options->preallocation))
		return refuse(error, _("These options are for qcow2 images"));
	if (!oriel_disk_options_apply(options, &create, error))
		return FALSE;
	for (const char *const *fixed = (const char *const[]){ "qemu-img", "convert", "-p", "-f", source_format, "-O",
							       target_format, NULL }; *fixed; fixed++)
		g_ptr_array_add(arguments, g_strdup(*fixed));
	if (compress)
		g_ptr_array_add(arguments, g_strdup("-c"));
	if (qcow2)
		add_qcow2_options(arguments, &create, options);
	/* Absolute, so that nothing in them can be taken for an option or a protocol. */
	g_ptr_array_add(arguments, g_canonicalize_filename(source, NULL));
	g_ptr_array_add(arguments, g_canonicalize_filename(target, NULL));
	g_ptr_array_add(arguments, NULL);
	return TRUE;
}

/* --- Running it --- */

/* What oriel_disk_job_begin() blocked is for this program, not for that one. */
static void unblock_signals(gpointer unused)
{
	sigset_t none;

	(void)unused;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Its progress looks like "    (12.34/100%)\r". */
static gboolean follow(int output, struct oriel_disk_job *job)
{
	GPollFD event = { .fd = output, .events = G_IO_IN };
	char text[256];
	ssize_t length;
	double fraction = 0;

	for (;;) {
		if (!oriel_disk_job_progress(fraction, job))
			return FALSE;
		if (g_poll(&event, 1, 100) == 0)
			continue;
		length = read(output, text, sizeof text - 1);
		if (length <= 0)
			return TRUE;
		text[length] = 0;
		for (const char *at = strchr(text, '('); at; at = strchr(at + 1, '('))
			fraction = g_ascii_strtod(at + 1, NULL) / 100;
	}
}

static gboolean finish(GPid process, gboolean stopped, const char *complaints, GError **error)
{
	g_autofree char *trimmed = g_strstrip(g_strdup(complaints));
	int status = 0;

	while (waitpid(process, &status, 0) < 0 && errno == EINTR)
		;
	if (stopped)
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED, _("Stopped on request"));
	else if (!WIFEXITED(status) || WEXITSTATUS(status))
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s", *trimmed ? trimmed : _("qemu-img failed"));
	return !stopped && WIFEXITED(status) && !WEXITSTATUS(status);
}

static gboolean run(char **arguments, struct oriel_disk_job *job, GError **error)
{
	g_autofree char *name = NULL, *complaints = NULL;
	g_autoptr(GError) failure = NULL;
	gboolean stopped, done;
	GPid process;
	int output, errors = g_file_open_tmp("oriel-disk-XXXXXX", &name, error);

	if (errors < 0)
		return FALSE;
	done = g_spawn_async_with_pipes_and_fds(NULL, (const char *const *)arguments, NULL,
						G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH, unblock_signals,
						NULL, -1, -1, errors, NULL, NULL, 0, &process, NULL, &output, NULL,
						&failure);
	close(errors);
	if (done) {
		stopped = !follow(output, job);
		if (stopped)
			kill(process, SIGTERM);
		close(output);
		g_file_get_contents(name, &complaints, NULL, NULL);
		done = finish(process, stopped, complaints ? complaints : "", error);
	} else if (g_error_matches(failure, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT)) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
			    _("Foreign formats are converted by the program qemu-img, which is not installed. "
			      "Install the package qemu-utils (Debian, Ubuntu), qemu-img (Fedora, Arch) or "
			      "qemu-tools (openSUSE)"));
	} else {
		g_propagate_error(error, g_steal_pointer(&failure));
	}
	g_unlink(name);
	return done;
}

/* Frees the target's name; what somebody uses stays. */
static gboolean clear_target(const char *target, gboolean overwrite, GError **error)
{
	struct block_options options = { .path = target, .format = BLOCK_FORMAT_RAW };
	struct block *block;

	if (!g_file_test(target, G_FILE_TEST_EXISTS))
		return TRUE;
	if (!overwrite || !g_file_test(target, G_FILE_TEST_IS_REGULAR)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
			    _("Cannot create %s: it is there already. Choose another name, or remove it first"),
			    target);
		return FALSE;
	}
	block = block_open(&options, error);
	if (!block)
		return FALSE;
	block_close(block);
	if (g_unlink(target) == 0)
		return TRUE;
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), _("Cannot remove %s: %s"), target,
		    g_strerror(errno));
	return FALSE;
}

gboolean oriel_disk_foreign_convert(const char *source, const char *source_format, const char *target,
				    const char *target_format, const struct oriel_disk_options *options,
				    gboolean compress, struct oriel_disk_job *job, GError **error)
{
	g_autoptr(GPtrArray) arguments = g_ptr_array_new_with_free_func(g_free);
	g_autofree char *from = g_canonicalize_filename(source, NULL);
	g_autofree char *to = g_canonicalize_filename(target, NULL);

	if (!source_format)
		source_format = image_format_name(image_probe(source));
	if (strcmp(from, to) == 0)
		return refuse(error, _("Source and target are the same file"));
	if (!make_arguments(arguments, source, source_format, target, target_format, options, compress, error) ||
	    !clear_target(target, options->overwrite, error))
		return FALSE;
	if (run((char **)arguments->pdata, job, error))
		return TRUE;
	g_unlink(target);
	return FALSE;
}
