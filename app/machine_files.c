/* Whole folders of machines: their size, their end, and their copies. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine_store.h"

#define CHUNK (8 << 20)
#define DEPTH_MAX 16

/* format: has a path and the reason */
static gboolean fail_errno(GError **error, int code, const char *format, const char *path)
{
	g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(code), format, path,
		    g_strerror(code));
	return FALSE;
}

/* Calls visit() for everything in the folder, what is inside of folders first; stops at an error. */
static gboolean walk(const char *folder, guint depth, gboolean (*visit)(const char *path, const struct stat *status,
									 gpointer data, GError **error),
		     gpointer data, GError **error)
{
	g_autoptr(GDir) entries = g_dir_open(folder, 0, error);
	const char *name;

	if (!entries)
		return FALSE;
	while ((name = g_dir_read_name(entries))) {
		g_autofree char *path = g_build_filename(folder, name, NULL);
		struct stat status;

		if (lstat(path, &status) < 0)
			continue;
		if (S_ISDIR(status.st_mode) && depth < DEPTH_MAX && !walk(path, depth + 1, visit, data, error))
			return FALSE;
		if (!visit(path, &status, data, error))
			return FALSE;
	}
	return TRUE;
}

static gboolean add_size(const char *path, const struct stat *status, gpointer sum, GError **error)
{
	(void)path;
	(void)error;
	*(guint64 *)sum += (guint64)status->st_blocks * 512;
	return TRUE;
}

guint64 oriel_store_size(const char *folder)
{
	guint64 sum = 0;

	walk(folder, 0, add_size, &sum, NULL);
	return sum;
}

gboolean oriel_store_trash(const char *folder, GError **error)
{
	g_autoptr(GFile) file = g_file_new_for_path(folder);

	return g_file_trash(file, NULL, error);
}

static gboolean remove_entry(const char *path, const struct stat *status, gpointer unused, GError **error)
{
	(void)status;
	(void)unused;
	return g_remove(path) == 0 || fail_errno(error, errno, _("Cannot delete %s: %s"), path);
}

gboolean oriel_store_delete(const char *folder, GError **error)
{
	return walk(folder, 0, remove_entry, NULL, error) &&
	       (g_rmdir(folder) == 0 || fail_errno(error, errno, _("Cannot delete %s: %s"), folder));
}

/* Copies */

struct clone {
	char *folder, *name, *building;
	guint64 size, done;
	OrielProgress progress;
	gpointer progress_data;
	guint told; /* per mille */
	GTask *task;
	GCancellable *cancellable;
};

static void free_clone(gpointer data)
{
	struct clone *clone = data;

	g_free(clone->folder);
	g_free(clone->name);
	g_free(clone->building);
	g_free(clone);
}

static void add_progress(struct clone *clone, guint64 bytes)
{
	guint permille;

	clone->done += bytes;
	permille = clone->size ? (guint)(MIN(clone->done, clone->size) * 1000 / clone->size) : 1000;
	if (permille == clone->told)
		return;
	clone->told = permille;
	oriel_task_report(clone->task, clone->progress, clone->progress_data, permille / 1000.0);
}

/* The kernel copies where it can; some file systems cannot. */
static ssize_t copy_some(int in, int out, off_t place, size_t size, char **buffer)
{
	off_t from = place, to = place;
	ssize_t done = copy_file_range(in, &from, out, &to, size, 0);

	if (done >= 0 || (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP))
		return done;
	if (!*buffer)
		*buffer = g_malloc(CHUNK);
	done = pread(in, *buffer, size, place);
	return done > 0 ? pwrite(out, *buffer, (size_t)done, place) : done;
}

static gboolean copy_data(struct clone *clone, int in, int out, off_t start, off_t end)
{
	g_autofree char *buffer = NULL;

	while (start < end) {
		ssize_t done = copy_some(in, out, start, (size_t)MIN(end - start, CHUNK), &buffer);

		if (done < 0 && errno == EINTR)
			continue;
		if (done == 0)
			return TRUE; /* it has become shorter */
		if (done < 0)
			return FALSE;
		if (g_cancellable_is_cancelled(clone->cancellable)) {
			errno = ECANCELED;
			return FALSE;
		}
		start += done;
		add_progress(clone, (guint64)done);
	}
	return TRUE;
}

static gboolean copy_contents(struct clone *clone, int in, int out, const struct stat *status)
{
	off_t start = 0, end;

	if (ioctl(out, FICLONE, in) == 0) {
		add_progress(clone, (guint64)status->st_blocks * 512);
		return TRUE;
	}
	if (ftruncate(out, status->st_size) < 0)
		return FALSE;
	for (;; start = end) {
		start = lseek(in, start, SEEK_DATA);
		if (start < 0)
			return errno == ENXIO; /* nothing but a hole is left */
		end = lseek(in, start, SEEK_HOLE);
		if (end < 0 || !copy_data(clone, in, out, start, end))
			return FALSE;
	}
}

static gboolean copy_file(struct clone *clone, const char *from, const char *to, const struct stat *status,
			  GError **error)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK), out, code;
	gboolean ok;

	if (in < 0)
		return fail_errno(error, errno, _("Cannot read %s: %s"), from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, status->st_mode & 0777);
	ok = out >= 0 && copy_contents(clone, in, out, status) && fsync(out) == 0;
	code = errno;
	close(in);
	if (out >= 0)
		close(out);
	if (ok)
		return TRUE;
	if (code == ECANCELED)
		return !g_cancellable_set_error_if_cancelled(clone->cancellable, error);
	return fail_errno(error, code, _("Cannot copy to %s: %s"), to);
}

/* What a process wrote about itself is not the copy's. */
static gboolean belongs_to_process(const char *relative)
{
	static const char *const names[] = { "log", "serial.log", NULL };

	return g_strv_contains(names, relative);
}

static gboolean copy_entry(const char *path, const struct stat *status, gpointer data, GError **error)
{
	struct clone *clone = data;
	const char *relative = path + strlen(clone->folder) + 1;
	g_autofree char *to = g_build_filename(clone->building, relative, NULL);
	g_autofree char *parent = g_path_get_dirname(to);

	if (!S_ISREG(status->st_mode) || belongs_to_process(relative))
		return TRUE;
	if (g_mkdir_with_parents(parent, 0700) < 0)
		return fail_errno(error, errno, _("Cannot make the folder %s: %s"), parent);
	return copy_file(clone, path, to, status, error);
}

/* Two machines must not write to the same disk: what is elsewhere comes into the copy's folder. */
static gboolean adopt_disk(struct clone *clone, struct config_disk *disk, guint port, GError **error)
{
	g_autofree char *path = g_canonicalize_filename(disk->path, clone->folder);
	g_autofree char *inside = g_strconcat(clone->folder, "/", NULL);
	g_autofree char *name = NULL, *to = NULL;
	const char *extension = strrchr(path, '.');
	struct stat status;

	if (g_str_has_prefix(path, inside)) {
		name = g_strdup(path + strlen(inside));
	} else if (disk->read_only) {
		name = g_steal_pointer(&path);
	} else {
		name = g_strdup_printf("disk%u%s", port, extension && !strchr(extension, '/') ? extension : "");
		to = g_build_filename(clone->building, name, NULL);
		if (stat(path, &status) < 0)
			return fail_errno(error, errno, _("Cannot read %s: %s"), path);
		if (!S_ISREG(status.st_mode)) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
				    _("%s is a device; the copy cannot have its own. Detach it first"), path);
			return FALSE;
		}
		if (!copy_file(clone, path, to, &status, error))
			return FALSE;
	}
	g_free(disk->path);
	disk->path = g_steal_pointer(&name);
	return TRUE;
}

/* What has to be copied, which is only known roughly: it is for the progress. */
static guint64 count_bytes(struct clone *clone)
{
	struct machine_config *config = machine_config_load(clone->folder, NULL);
	g_autofree char *inside = g_strconcat(clone->folder, "/", NULL);
	guint64 sum = oriel_store_size(clone->folder);
	struct stat status;

	for (guint i = 0; config && i < CONFIG_DISKS; i++) {
		const struct config_disk *disk = &config->disks[i];
		g_autofree char *path = disk->path ? g_canonicalize_filename(disk->path, clone->folder) : NULL;

		if (path && disk->kind == CONFIG_DISK && !disk->read_only && !g_str_has_prefix(path, inside) &&
		    stat(path, &status) == 0)
			sum += (guint64)status.st_blocks * 512;
	}
	machine_config_free(config);
	return sum;
}

static gboolean give_identity(struct clone *clone, GError **error)
{
	struct machine_config *config = machine_config_load(clone->building, error);
	gboolean ok = config != NULL;

	for (guint i = 0; ok && i < CONFIG_DISKS; i++)
		if (config->has_disk[i] && config->disks[i].kind == CONFIG_DISK)
			ok = adopt_disk(clone, &config->disks[i], i, error);
	if (ok) {
		g_free(config->name);
		config->name = g_strdup(clone->name);
		g_free(config->uuid);
		config->uuid = g_uuid_string_random();
		ok = machine_config_save(config, error);
	}
	machine_config_free(config);
	return ok;
}

/* The name may have been taken since it was chosen. */
static char *give_place(struct clone *clone, GError **error)
{
	g_autofree char *machines = oriel_store_machines_folder();

	for (;;) {
		g_autofree char *id = oriel_store_free_id(clone->name);
		g_autofree char *folder = g_build_filename(machines, id, NULL);

		if (renameat2(AT_FDCWD, clone->building, AT_FDCWD, folder, RENAME_NOREPLACE) == 0)
			return g_steal_pointer(&id);
		if (errno != EEXIST) {
			fail_errno(error, errno, _("Cannot make the folder %s: %s"), folder);
			return NULL;
		}
	}
}

static void run_clone(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	g_autofree char *machines = oriel_store_machines_folder();
	struct clone *clone = data;
	GError *error = NULL;
	char *id = NULL;

	(void)source;
	clone->task = task;
	clone->cancellable = cancellable;
	clone->size = count_bytes(clone);
	clone->building = g_build_filename(machines, ".new-XXXXXX", NULL);
	if (g_mkdir_with_parents(machines, 0700) < 0 || !g_mkdtemp(clone->building)) {
		fail_errno(&error, errno, _("Cannot make a folder in %s: %s"), machines);
		g_task_return_error(task, error);
		return;
	}
	if (walk(clone->folder, 0, copy_entry, clone, &error) && give_identity(clone, &error))
		id = give_place(clone, &error);
	if (!id)
		oriel_store_delete(clone->building, NULL);
	if (id)
		add_progress(clone, clone->size - MIN(clone->done, clone->size));
	if (id)
		g_task_return_pointer(task, id, g_free);
	else
		g_task_return_error(task, error);
}

void oriel_store_clone_async(const char *folder, const char *name, GCancellable *cancellable,
			     OrielProgress progress, gpointer progress_data, GAsyncReadyCallback callback,
			     gpointer data)
{
	g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, data);
	struct clone *clone = g_new0(struct clone, 1);

	clone->folder = g_canonicalize_filename(folder, NULL);
	clone->name = g_strdup(name);
	clone->progress = progress;
	clone->progress_data = progress_data;
	g_task_set_task_data(task, clone, free_clone);
	/* What is finished is kept even if the user cancels at the last moment. */
	g_task_set_check_cancellable(task, FALSE);
	g_task_run_in_thread(task, run_clone);
}

char *oriel_store_clone_finish(GAsyncResult *result, GError **error)
{
	return g_task_propagate_pointer(G_TASK(result), error);
}
