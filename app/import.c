#include "import.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "ova.h"
#include "qemu_img.h"

#define LARGEST_DISK ((guint64)1 << 50)

struct source {
	struct oriel_import_disk disk;
	char *options; /* for qemu-img --image-opts */
};

struct _OrielImport {
	GObject parent_instance;
	struct oriel_import_info info;
	char *path, *name, *system;
	GArray *sources; /* of struct source */
	GArray *disks;   /* of struct oriel_import_disk, for info */
};

G_DEFINE_FINAL_TYPE(OrielImport, oriel_import, G_TYPE_OBJECT)
G_DEFINE_QUARK(oriel-import-error-quark, oriel_import_error)

static void clear_source(gpointer item)
{
	struct source *source = item;

	g_free((char *)source->disk.name);
	g_free(source->options);
}

static void oriel_import_finalize(GObject *object)
{
	OrielImport *self = ORIEL_IMPORT(object);

	g_free(self->path);
	g_free(self->name);
	g_free(self->system);
	g_array_unref(self->sources);
	g_array_unref(self->disks);
	G_OBJECT_CLASS(oriel_import_parent_class)->finalize(object);
}

static void oriel_import_class_init(OrielImportClass *class)
{
	G_OBJECT_CLASS(class)->finalize = oriel_import_finalize;
}

static void oriel_import_init(OrielImport *self)
{
	self->sources = g_array_new(FALSE, TRUE, sizeof(struct source));
	g_array_set_clear_func(self->sources, clear_source);
	self->disks = g_array_new(FALSE, TRUE, sizeof(struct oriel_import_disk));
}

/* --- What is in the file --- */

/* In --image-opts a comma in a value is written twice. */
static char *make_options(const char *path, OrielDiskFormat format, guint64 offset, guint64 length)
{
	g_auto(GStrv) parts = g_strsplit(path, ",", -1);
	g_autofree char *escaped = g_strjoinv(",,", parts);
	const char *driver = oriel_disk_format_get_qemu_name(format);

	if (!offset)
		return g_strdup_printf("driver=%s,file.driver=file,file.filename=%s", driver, escaped);
	return g_strdup_printf("driver=%s,file.driver=raw,file.offset=%" G_GUINT64_FORMAT ",file.size=%"
			       G_GUINT64_FORMAT ",file.file.driver=file,file.file.filename=%s", driver, offset,
			       length, escaped);
}

/* A number of the line that starts with key, the first one behind before. */
static gboolean find_number(const char *text, const char *key, const char *before, guint64 *number)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (guint i = 0; lines[i]; i++) {
		const char *at = g_str_has_prefix(lines[i], key) ? strstr(lines[i] + strlen(key), before) : NULL;

		if (at) {
			*number = g_ascii_strtoull(at + strlen(before), NULL, 10);
			return TRUE;
		}
	}
	return FALSE;
}

/*
 * An image can say that its data are in any other file, and converting it would copy them where a guest can read them.
 * Parts of a disk that lie in the same folder are what programs make.
 */
static gboolean check_parts(const char *text, const char *path, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autofree char *folder = g_path_get_dirname(path);

	for (guint i = 0; lines[i]; i++) {
		g_autofree char *line = g_strstrip(g_strdup(lines[i]));
		const char *other = NULL;

		if (g_str_has_prefix(line, "backing file: "))
			other = line + strlen("backing file: ");
		else if (g_str_has_prefix(line, "data file: "))
			other = line + strlen("data file: ");
		else if (g_str_has_prefix(line, "filename: /")) {
			g_autofree char *of_part = g_path_get_dirname(line + strlen("filename: "));

			other = strcmp(of_part, folder) ? line + strlen("filename: ") : NULL;
		}
		if (other) {
			g_set_error(error, ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_UNSAFE,
				    _("This disk is only a part: the rest is in %s. Merge them in the program that made "
				      "it (a snapshot, or a linked clone), and import the result."), other);
			return FALSE;
		}
	}
	return TRUE;
}

static gboolean measure(OrielImport *self, struct source *source, GCancellable *cancellable, GError **error)
{
	const char *info[] = { "info", "--image-opts", source->options, NULL };
	const char *needs[] = { "measure", "-O", "qcow2", "--image-opts", source->options, NULL };
	g_autofree char *text = oriel_qemu_img_run(info, NULL, NULL, cancellable, error);
	g_autofree char *needed = NULL;

	if (!text || !check_parts(text, self->path, error))
		return FALSE;
	needed = oriel_qemu_img_run(needs, NULL, NULL, cancellable, error);
	if (!needed)
		return FALSE;
	if (find_number(text, "virtual size: ", "(", &source->disk.size) &&
	    find_number(needed, "required size: ", "", &source->disk.needed) && source->disk.size &&
	    source->disk.size <= LARGEST_DISK)
		return TRUE;
	g_set_error(error, ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_UNKNOWN, _("%s has an impossible size"),
		    source->disk.name);
	return FALSE;
}

static gboolean add_source(OrielImport *self, const char *path, const char *name, OrielDiskFormat format,
			   guint64 offset, guint64 length, GCancellable *cancellable, GError **error)
{
	struct source source = { .disk = { .name = g_strdup(name), .format = format },
				 .options = make_options(path, format, offset, length) };

	if (!measure(self, &source, cancellable, error)) {
		clear_source(&source);
		return FALSE;
	}
	g_array_append_val(self->sources, source);
	g_array_append_val(self->disks, source.disk);
	self->info.needed += source.disk.needed;
	return TRUE;
}

/* In an archive there is only the name to go by. */
static OrielDiskFormat get_member_format(const char *name)
{
	static const struct {
		const char *suffix;
		OrielDiskFormat format;
	} suffixes[] = {
		{ ".vdi", ORIEL_DISK_VDI },     { ".vhd", ORIEL_DISK_VHD },     { ".vhdx", ORIEL_DISK_VHDX },
		{ ".qcow2", ORIEL_DISK_QCOW2 }, { ".img", ORIEL_DISK_RAW },     { ".raw", ORIEL_DISK_RAW },
	};
	g_autofree char *lower = g_ascii_strdown(name, -1);

	for (guint i = 0; i < G_N_ELEMENTS(suffixes); i++)
		if (g_str_has_suffix(lower, suffixes[i].suffix))
			return suffixes[i].format;
	return ORIEL_DISK_VMDK;
}

static gboolean open_appliance(OrielImport *self, GCancellable *cancellable, GError **error)
{
	gboolean archive = self->info.format == ORIEL_DISK_OVA;
	struct oriel_ova *ova = oriel_ova_read(self->path, archive, cancellable, error);
	g_autofree char *folder = g_path_get_dirname(self->path);
	gboolean ok = ova != NULL;

	for (guint i = 0; ok && i < ova->disks->len; i++) {
		const struct oriel_ova_disk *disk = &g_array_index(ova->disks, struct oriel_ova_disk, i);
		g_autofree char *file = g_build_filename(folder, disk->name, NULL);
		OrielDiskFormat format = archive ? get_member_format(disk->name) :
						   oriel_disk_format_guess(file, NULL);

		if (!oriel_disk_format_get_qemu_name(format))
			format = ORIEL_DISK_VMDK; /* the usual one; qemu-img tells what is wrong with it */
		ok = add_source(self, archive ? self->path : file, disk->name, format, disk->offset, disk->length,
				cancellable, error);
	}
	if (ok) {
		self->info.cpus = ova->cpus;
		self->info.memory = ova->memory;
		self->system = g_strdup(ova->system);
		if (ova->name) {
			g_free(self->name);
			self->name = g_strdup(ova->name);
		}
	}
	g_clear_pointer(&ova, oriel_ova_free);
	return ok;
}

static char *make_name(const char *path)
{
	g_autofree char *base = g_path_get_basename(path);
	char *name = g_utf8_make_valid(base, -1);
	char *dot = strrchr(name, '.');

	if (dot && dot != name)
		*dot = '\0';
	return name;
}

static gboolean has_control_characters(const char *path)
{
	for (const char *p = path; *p; p++)
		if ((guchar)*p < ' ' || *p == 127)
			return TRUE;
	return FALSE;
}

static gboolean open_file(OrielImport *self, GCancellable *cancellable, GError **error)
{
	g_autoptr(GError) reason = NULL;

	self->info.format = oriel_disk_format_guess(self->path, &reason);
	if (reason) {
		g_propagate_error(error, g_steal_pointer(&reason));
		return FALSE;
	}
	/* What qemu-img says is read line by line, with the name in it. */
	if (self->info.format == ORIEL_DISK_NONE || has_control_characters(self->path)) {
		g_set_error(error, ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_UNKNOWN,
			    _("%s is not a disk image that can be imported"), self->path);
		return FALSE;
	}
	self->name = make_name(self->path);
	if (self->info.format == ORIEL_DISK_OVA || self->info.format == ORIEL_DISK_OVF)
		return open_appliance(self, cancellable, error);
	return add_source(self, self->path, self->name, self->info.format, 0, 0, cancellable, error);
}

static void open_in_thread(GTask *task, gpointer object, gpointer path, GCancellable *cancellable)
{
	g_autoptr(OrielImport) self = g_object_new(ORIEL_TYPE_IMPORT, NULL);
	GError *error = NULL;

	(void)object;
	self->path = g_canonicalize_filename(path, NULL);
	if (!open_file(self, cancellable, &error)) {
		g_task_return_error(task, error);
		return;
	}
	self->info.path = self->path;
	self->info.name = self->name;
	self->info.system = self->system ? self->system : "";
	self->info.disks = (const struct oriel_import_disk *)(void *)self->disks->data;
	self->info.disk_count = self->disks->len;
	g_task_return_pointer(task, g_steal_pointer(&self), g_object_unref);
}

void oriel_import_open_async(const char *path, GCancellable *cancellable, GAsyncReadyCallback callback, gpointer data)
{
	g_autoptr(GTask) task = g_task_new(NULL, cancellable, callback, data);

	g_task_set_task_data(task, g_strdup(path), g_free);
	g_task_run_in_thread(task, open_in_thread);
}

OrielImport *oriel_import_open_finish(GAsyncResult *result, GError **error)
{
	g_return_val_if_fail(g_task_is_valid(result, NULL), NULL);
	return g_task_propagate_pointer(G_TASK(result), error);
}

const struct oriel_import_info *oriel_import_get_info(OrielImport *self)
{
	return &self->info;
}

/* --- The conversion --- */

struct job {
	OrielImport *import;
	OrielProgress progress;
	gpointer progress_data;
	char *folder;
	char *name;
	struct oriel_machine_description description; /* texts are ours */
	guint64 done, current; /* bytes of virtual disks */
};

static void free_job(gpointer data)
{
	struct job *job = data;

	g_free(job->folder);
	g_free(job->name);
	g_free((char *)job->description.id);
	g_free((char *)job->description.system);
	g_free((char *)job->description.iso);
	g_free(job);
}

static void progressed(double fraction, gpointer data)
{
	GTask *task = data;
	struct job *job = g_task_get_task_data(task);
	guint64 all = 0;

	for (guint i = 0; i < job->import->info.disk_count; i++)
		all += job->import->info.disks[i].size;
	oriel_task_report(task, job->progress, job->progress_data,
			  ((double)job->done + fraction * (double)job->current) / (double)all);
}

static char *get_target(const char *folder, guint number)
{
	g_autofree char *name = number ? g_strdup_printf("disk%u.qcow2", number + 1) : g_strdup("disk.qcow2");

	return g_build_filename(folder, name, NULL);
}

static gboolean check_space(OrielImport *self, const char *folder, GError **error)
{
	struct statvfs status;
	g_autofree char *needed = NULL, *free = NULL;
	guint64 available;

	if (statvfs(folder, &status) < 0) {
		g_set_error(error, G_IO_ERROR, (int)g_io_error_from_errno(errno), _("Cannot use the folder %s: %s"),
			    folder, g_strerror(errno));
		return FALSE;
	}
	available = (guint64)status.f_bavail * status.f_frsize;
	if (available >= self->info.needed)
		return TRUE;
	needed = g_format_size(self->info.needed);
	free = g_format_size(available);
	g_set_error(error, ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_NO_SPACE,
		    _("The import needs %s, but only %s are free in %s"), needed, free, folder);
	return FALSE;
}

static void remove_targets(OrielImport *self, const char *folder)
{
	for (guint i = 0; i < self->info.disk_count; i++) {
		g_autofree char *target = get_target(folder, i);

		g_unlink(target);
	}
}

static gboolean convert_disk(GTask *task, struct job *job, guint number, const char *folder, GError **error)
{
	const struct source *source = &g_array_index(job->import->sources, struct source, number);
	g_autofree char *target = get_target(folder, number);
	const char *arguments[] = { "convert", "-p", "-O", "qcow2", "--image-opts", source->options, target, NULL };
	g_autofree char *output = NULL;

	job->current = source->disk.size;
	output = oriel_qemu_img_run(arguments, progressed, task, g_task_get_cancellable(task), error);
	job->done += source->disk.size;
	return output != NULL;
}

static gboolean convert(GTask *task, struct job *job, const char *folder, GError **error)
{
	OrielImport *self = job->import;

	for (guint i = 0; i < self->info.disk_count; i++) {
		g_autofree char *target = get_target(folder, i);

		if (!g_file_test(target, G_FILE_TEST_EXISTS))
			continue;
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS, _("%s is there already"), target);
		return FALSE;
	}
	if (!check_space(self, folder, error))
		return FALSE;
	for (guint i = 0; i < self->info.disk_count; i++) {
		if (convert_disk(task, job, i, folder, error))
			continue;
		remove_targets(self, folder);
		return FALSE;
	}
	return TRUE;
}

static GTask *start(OrielImport *self, struct job *job, GCancellable *cancellable, OrielProgress progress,
		    gpointer progress_data, GAsyncReadyCallback callback, gpointer data)
{
	GTask *task = g_task_new(self, cancellable, callback, data);

	job->import = self; /* which the task keeps */
	job->progress = progress;
	job->progress_data = progress_data;
	g_task_set_task_data(task, job, free_job);
	return task;
}

static void convert_in_thread(GTask *task, gpointer self, gpointer data, GCancellable *cancellable)
{
	struct job *job = data;
	GError *error = NULL;

	(void)self;
	(void)cancellable;
	if (convert(task, job, job->folder, &error))
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
}

void oriel_import_convert_async(OrielImport *self, const char *folder, GCancellable *cancellable,
				OrielProgress progress, gpointer progress_data, GAsyncReadyCallback callback,
				gpointer data)
{
	struct job *job = g_new0(struct job, 1);
	g_autoptr(GTask) task = start(self, job, cancellable, progress, progress_data, callback, data);

	job->folder = g_canonicalize_filename(folder, NULL);
	/* It has an end that can no longer be cancelled: what was done is done. */
	g_task_set_check_cancellable(task, FALSE);
	g_task_run_in_thread(task, convert_in_thread);
}

gboolean oriel_import_convert_finish(OrielImport *self, GAsyncResult *result, GError **error)
{
	g_return_val_if_fail(g_task_is_valid(result, self), FALSE);
	return g_task_propagate_boolean(G_TASK(result), error);
}

/* --- A machine --- */

static gboolean make_machine(GTask *task, struct job *job, const char *building, GError **error)
{
	g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(g_free);

	if (!convert(task, job, building, error))
		return FALSE;
	for (guint i = 0; i < job->import->info.disk_count; i++)
		g_ptr_array_add(disks, get_target(building, i));
	g_ptr_array_add(disks, NULL);
	job->description.name = job->name;
	job->description.disks = (const char *const *)disks->pdata;
	job->description.disk_size = 0;
	if (!job->description.cpus)
		job->description.cpus = job->import->info.cpus;
	if (!job->description.memory)
		job->description.memory = job->import->info.memory;
	if (!job->description.id)
		job->description.id = oriel_store_free_id(job->name);
	if (oriel_store_create(&job->description, error))
		return TRUE;
	remove_targets(job->import, building);
	return FALSE;
}

static void machine_in_thread(GTask *task, gpointer self, gpointer data, GCancellable *cancellable)
{
	struct job *job = data;
	g_autofree char *machines = oriel_store_machines_folder();
	g_autofree char *building = g_build_filename(machines, ".import-XXXXXX", NULL);
	GError *error = NULL;

	(void)self;
	(void)cancellable;
	if (g_mkdir_with_parents(machines, 0700) < 0 || !g_mkdtemp(building)) {
		g_task_return_new_error(task, G_IO_ERROR, (int)g_io_error_from_errno(errno),
					_("Cannot make a folder in %s: %s"), machines, g_strerror(errno));
		return;
	}
	if (make_machine(task, job, building, &error))
		g_task_return_pointer(task, g_strdup(job->description.id), g_free);
	else
		g_task_return_error(task, error);
	g_rmdir(building);
}

void oriel_import_machine_async(OrielImport *self, const char *name,
				const struct oriel_machine_description *description, GCancellable *cancellable,
				OrielProgress progress, gpointer progress_data, GAsyncReadyCallback callback,
				gpointer data)
{
	struct job *job = g_new0(struct job, 1);
	g_autoptr(GTask) task = start(self, job, cancellable, progress, progress_data, callback, data);

	job->name = g_strdup(name);
	job->description = *description;
	job->description.id = g_strdup(description->id);
	job->description.system = g_strdup(description->system);
	job->description.iso = g_strdup(description->iso);
	g_task_set_check_cancellable(task, FALSE);
	g_task_run_in_thread(task, machine_in_thread);
}

char *oriel_import_machine_finish(OrielImport *self, GAsyncResult *result, GError **error)
{
	g_return_val_if_fail(g_task_is_valid(result, self), NULL);
	return g_task_propagate_pointer(G_TASK(result), error);
}
