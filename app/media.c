#include "media.h"

#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

struct _OrielMedia {
	GObject parent_instance;
	struct oriel_media_info info; /* its texts are ours */
	OrielSystems *systems;        /* keeps the system */
};

G_DEFINE_FINAL_TYPE(OrielMedia, oriel_media, G_TYPE_OBJECT)

static void oriel_media_finalize(GObject *object)
{
	OrielMedia *self = ORIEL_MEDIA(object);

	g_free((char *)self->info.path);
	g_free((char *)self->info.architecture);
	g_free((char *)self->info.label);
	g_free((char *)self->info.problem);
	g_object_unref(self->systems);
	G_OBJECT_CLASS(oriel_media_parent_class)->finalize(object);
}

static void oriel_media_class_init(OrielMediaClass *class)
{
	G_OBJECT_CLASS(class)->finalize = oriel_media_finalize;
}

static void oriel_media_init(OrielMedia *self)
{
	(void)self;
}

static gboolean is_for_this_pc(const char *architecture)
{
	static const char *const ours[] = { "", "x86_64", "i686", "i586", "i486", "i386" };

	for (guint i = 0; i < G_N_ELEMENTS(ours); i++)
		if (strcmp(architecture, ours[i]) == 0)
			return TRUE;
	return FALSE;
}

static char *find_disc_problem(const struct oriel_iso *iso, const struct oriel_identity *identity)
{
	if (!is_for_this_pc(identity->architecture))
		return g_strdup_printf(_("This disc is for computers with %s processors and does not start on this "
					 "one. Look for its x86_64 (or amd64) version."), identity->architecture);
	if (iso->volume_size > iso->file_size) {
		g_autofree char *is = g_format_size(iso->file_size);
		g_autofree char *should_be = g_format_size(iso->volume_size);

		return g_strdup_printf(_("This disc image is incomplete: it has %s instead of %s. Download it again."),
				       is, should_be);
	}
	if (!iso->boots_bios && !iso->boots_uefi)
		return g_strdup(_("No computer starts from this disc. It can be put into a machine's CD drive later."));
	if (!iso->boots_bios)
		return g_strdup(_("This disc only starts on machines with UEFI firmware."));
	return NULL;
}

static void recognise_disc(OrielMedia *self, const struct oriel_iso *iso)
{
	struct oriel_identity identity;

	oriel_systems_identify(self->systems, iso, &identity);
	self->info.kind = ORIEL_MEDIA_DISC;
	self->info.size = iso->file_size;
	self->info.label = g_strdup(iso->volume);
	self->info.recognised = identity.system && !oriel_system_get_info(identity.system)->generic;
	self->info.system = identity.system ? identity.system :
		oriel_systems_get_generic(self->systems, ORIEL_FAMILY_OTHER);
	self->info.live = identity.live;
	self->info.installer = identity.installer;
	self->info.boots_bios = iso->boots_bios;
	self->info.boots_uefi = iso->boots_uefi;
	self->info.architecture = g_strdup(identity.architecture);
	self->info.problem = find_disc_problem(iso, &identity);
}

/* Files that people have instead of a disc image */
static char *find_file_problem(const char *path)
{
	static const struct {
		const char *bytes;
		guint size;
		const char *message;
	} kinds[] = {
		{ "PK\3\4", 4, N_("This is a ZIP archive. Unpack it first, and choose the disc or disk image in it.") },
		{ "\037\213", 2, N_("This file is compressed. Unpack it first (gunzip), and choose what comes out.") },
		{ "\3757zXZ", 6, N_("This file is compressed. Unpack it first (unxz), and choose what comes out.") },
		{ "(\265/\375", 4, N_("This file is compressed. Unpack it first (unzstd), and choose what comes out.") },
		{ "BZh", 3, N_("This file is compressed. Unpack it first (bunzip2), and choose what comes out.") },
		{ "7z\274\257\047\034", 6, N_("This is a 7-Zip archive. Unpack it first, and choose the image in it.") },
		{ "MZ", 2, N_("This is a Windows program, not a disc image.") },
	};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char bytes[8] = "";
	ssize_t size = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, 0);

	if (fd >= 0)
		close(fd);
	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (size >= (ssize_t)kinds[i].size && memcmp(bytes, kinds[i].bytes, kinds[i].size) == 0)
			return g_strdup(_(kinds[i].message));
	return g_strdup(_("This is neither a disc image (ISO) nor a disk image that Oriel knows."));
}

static void recognise_disk(OrielMedia *self)
{
	GStatBuf status;

	self->info.format = oriel_disk_format_guess(self->info.path, NULL);
	self->info.kind = self->info.format == ORIEL_DISK_NONE ? ORIEL_MEDIA_UNKNOWN : ORIEL_MEDIA_DISK;
	self->info.system = oriel_systems_get_generic(self->systems, ORIEL_FAMILY_OTHER);
	if (g_stat(self->info.path, &status) == 0)
		self->info.size = (guint64)status.st_size;
	self->info.architecture = g_strdup("");
	self->info.label = g_strdup("");
	if (self->info.kind == ORIEL_MEDIA_UNKNOWN)
		self->info.problem = find_file_problem(self->info.path);
}

OrielMedia *oriel_media_recognise(OrielSystems *systems, const char *path, GCancellable *cancellable, GError **error)
{
	GError *reason = NULL;
	struct oriel_iso *iso = oriel_iso_open(path, cancellable, &reason);
	g_autoptr(OrielMedia) self = NULL;

	if (reason && !g_error_matches(reason, G_IO_ERROR, G_IO_ERROR_INVALID_DATA)) {
		g_propagate_error(error, reason);
		return NULL;
	}
	g_clear_error(&reason);
	self = g_object_new(ORIEL_TYPE_MEDIA, NULL);
	self->systems = g_object_ref(systems);
	self->info.path = g_strdup(path);
	if (iso)
		recognise_disc(self, iso);
	else
		recognise_disk(self);
	oriel_iso_free(iso);
	return g_cancellable_set_error_if_cancelled(cancellable, error) ? NULL : g_steal_pointer(&self);
}

static void recognise_in_thread(GTask *task, gpointer systems, gpointer path, GCancellable *cancellable)
{
	GError *error = NULL;
	OrielMedia *media = oriel_media_recognise(systems, path, cancellable, &error);

	if (media)
		g_task_return_pointer(task, media, g_object_unref);
	else
		g_task_return_error(task, error);
}

void oriel_media_recognise_async(OrielSystems *systems, const char *path, GCancellable *cancellable,
				 GAsyncReadyCallback callback, gpointer data)
{
	g_autoptr(GTask) task = g_task_new(systems, cancellable, callback, data);

	g_task_set_task_data(task, g_strdup(path), g_free);
	g_task_set_return_on_cancel(task, TRUE);
	g_task_run_in_thread(task, recognise_in_thread);
}

OrielMedia *oriel_media_recognise_finish(OrielSystems *systems, GAsyncResult *result, GError **error)
{
	g_return_val_if_fail(g_task_is_valid(result, systems), NULL);
	return g_task_propagate_pointer(G_TASK(result), error);
}

const struct oriel_media_info *oriel_media_get_info(OrielMedia *self)
{
	return &self->info;
}

char *oriel_media_suggest_name(OrielMedia *self)
{
	g_autofree char *file = NULL;
	g_autofree char *name = NULL;
	char *dot;

	if (self->info.recognised)
		return oriel_system_suggest_name(self->info.system);
	file = g_path_get_basename(self->info.path);
	name = g_utf8_make_valid(file, -1);
	dot = strrchr(name, '.');
	if (dot && dot != name)
		*dot = '\0';
	/* What a machine's name cannot start with */
	while (*name == '.' || *name == '-' || *name == ' ')
		memmove(name, name + 1, strlen(name));
	return *name ? g_steal_pointer(&name) : g_strdup(_("My machine"));
}
