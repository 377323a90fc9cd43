#include "qemu_img.h"

#include <glib/gi18n.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#define OUTPUT_BYTES (1 << 20)

G_DEFINE_QUARK(oriel-qemu-img-error-quark, oriel_qemu_img_error)

static void die_with_parent(gpointer unused)
{
	(void)unused;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static GSubprocess *spawn(const char *const *arguments, GError **error)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDOUT_PIPE |
									    G_SUBPROCESS_FLAGS_STDERR_MERGE);
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	g_autofree char *program = g_find_program_in_path("qemu-img");

	if (!program) {
		g_set_error(error, ORIEL_QEMU_IMG_ERROR, ORIEL_QEMU_IMG_ERROR_MISSING,
			    _("The program qemu-img, which reads disks of other programs, is not installed. Its package "
			      "is qemu-utils (on Debian and Ubuntu: sudo apt install qemu-utils)."));
		return NULL;
	}
	g_ptr_array_add(all, program);
	for (guint i = 0; arguments[i]; i++)
		g_ptr_array_add(all, (gpointer)arguments[i]);
	g_ptr_array_add(all, NULL);
	g_subprocess_launcher_setenv(launcher, "LC_ALL", "C", TRUE);
	g_subprocess_launcher_set_child_setup(launcher, die_with_parent, NULL, NULL);
	return g_subprocess_launcher_spawnv(launcher, (const char *const *)all->pdata, error);
}

/* "    (12.34/100%)\r": the last one that is whole. Its text is no message. */
static void report(GString *output, OrielProgress progress, gpointer data)
{
	const char *start = g_strrstr_len(output->str, (gssize)output->len, "(");
	const char *end = start ? strchr(start, '/') : NULL;

	if (!end)
		return;
	progress(CLAMP(g_ascii_strtod(start + 1, NULL) / 100, 0, 1), data);
	g_string_truncate(output, 0);
}

static gboolean follow(GSubprocess *process, GString *output, OrielProgress progress, gpointer data,
		       GCancellable *cancellable, GError **error)
{
	GInputStream *stream = g_subprocess_get_stdout_pipe(process);
	char buffer[4096];
	gssize size;

	while ((size = g_input_stream_read(stream, buffer, sizeof buffer, cancellable, error)) > 0) {
		if (output->len < OUTPUT_BYTES)
			g_string_append_len(output, buffer, size);
		if (progress)
			report(output, progress, data);
	}
	return size == 0;
}

char *oriel_qemu_img_run(const char *const *arguments, OrielProgress progress, gpointer data,
			 GCancellable *cancellable, GError **error)
{
	g_autoptr(GSubprocess) process = spawn(arguments, error);
	g_autoptr(GString) output = g_string_new(NULL);
	gboolean whole;

	if (!process)
		return NULL;
	whole = follow(process, output, progress, data, cancellable, error);
	if (!whole)
		g_subprocess_force_exit(process);
	/* Not cancellable: the file that it writes is removed next. */
	g_subprocess_wait(process, NULL, NULL);
	if (!whole)
		return NULL;
	if (!g_subprocess_get_if_exited(process) || g_subprocess_get_exit_status(process)) {
		g_autofree char *words = g_strstrip(g_utf8_make_valid(output->str, (gssize)output->len));
		const char *text = g_str_has_prefix(words, "qemu-img: ") ? words + strlen("qemu-img: ") : words;

		g_set_error(error, ORIEL_QEMU_IMG_ERROR, ORIEL_QEMU_IMG_ERROR_FAILED,
			    _("The disk image cannot be read: %s"), text);
		return NULL;
	}
	return g_string_free(g_steal_pointer(&output), FALSE);
}
