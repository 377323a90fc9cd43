#include "host_internal.h"

#include <glib/gi18n.h>
#include <string.h>
#include <sys/statvfs.h>

#define MIB ((guint64)1 << 20)
/* What the host's own programs want at least */
#define HOST_MEMORY (1024 * MIB)
#define MEMORY_STEP (256 * MIB)

struct _OrielHost {
	GObject parent_instance;
	struct oriel_host_info info;
	GPtrArray *problems;
};

G_DEFINE_FINAL_TYPE(OrielHost, oriel_host, G_TYPE_OBJECT)

static void oriel_host_finalize(GObject *object)
{
	g_ptr_array_unref(ORIEL_HOST(object)->problems);
	G_OBJECT_CLASS(oriel_host_parent_class)->finalize(object);
}

static void oriel_host_class_init(OrielHostClass *class)
{
	G_OBJECT_CLASS(class)->finalize = oriel_host_finalize;
}

static void free_problem(gpointer data)
{
	struct oriel_problem *problem = data;

	g_free(problem->message);
	g_free(problem->advice);
	g_free(problem->command);
	g_free(problem);
}

GPtrArray *oriel_problems_new(void)
{
	return g_ptr_array_new_with_free_func(free_problem);
}

void oriel_problems_add(GPtrArray *problems, OrielProblemKind kind, char *message, const char *advice, char *command)
{
	struct oriel_problem *problem = g_new0(struct oriel_problem, 1);

	problem->kind = kind;
	problem->message = message;
	problem->advice = g_strdup(advice);
	problem->command = command;
	g_ptr_array_add(problems, problem);
}

static void oriel_host_init(OrielHost *self)
{
	self->problems = oriel_problems_new();
}

char *oriel_host_read(const struct oriel_host_place *place, const char *path)
{
	g_autofree char *file = g_build_filename(place->root, path, NULL);
	char *text = NULL;

	return g_file_get_contents(file, &text, NULL, NULL) ? text : g_strdup("");
}

/* "MemTotal:       16316412 kB" */
static guint64 find_memory(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? g_ascii_strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

/* "0-3,6": the kernel's lists of CPUs */
static guint count_list(const char *text)
{
	g_auto(GStrv) ranges = g_strsplit(text, ",", -1);
	guint64 count = 0;

	for (guint i = 0; ranges[i]; i++) {
		char *end;
		guint64 first = g_ascii_strtoull(ranges[i], &end, 10);
		guint64 last = *end == '-' ? g_ascii_strtoull(end + 1, NULL, 10) : first;

		if (end != ranges[i] && last >= first)
			count += MIN(last - first + 1, 4096);
	}
	return (guint)CLAMP(count, 1, 4096);
}

OrielHost *oriel_host_new_at(const struct oriel_host_place *place)
{
	OrielHost *self = g_object_new(ORIEL_TYPE_HOST, NULL);
	g_autofree char *memory = oriel_host_read(place, "proc/meminfo");
	g_autofree char *cpus = oriel_host_read(place, "sys/devices/system/cpu/online");

	self->info.cpus = count_list(cpus);
	self->info.memory = find_memory(memory, "MemTotal:");
	self->info.available = find_memory(memory, "MemAvailable:");
	self->info.problems = self->problems;
	oriel_host_find_problems(place, self->problems);
	return self;
}

OrielHost *oriel_host_new(void)
{
	return oriel_host_new_at(&(struct oriel_host_place){ .root = "/", .user = g_get_user_name(),
							      .try_kvm = oriel_host_try_kvm });
}

const struct oriel_host_info *oriel_host_get_info(OrielHost *self)
{
	return &self->info;
}

guint64 oriel_host_get_free_space(const char *folder)
{
	g_autofree char *path = g_canonicalize_filename(folder, NULL);
	struct statvfs status;

	while (statvfs(path, &status) < 0) {
		char *parent;

		if (strcmp(path, "/") == 0)
			return 0;
		parent = g_path_get_dirname(path);
		g_free(path);
		path = parent;
	}
	return (guint64)status.f_bavail * status.f_frsize;
}

struct oriel_resources oriel_host_recommend(OrielHost *self, const struct oriel_system_info *system)
{
	struct oriel_resources resources = system->recommended;
	guint64 half = self->info.memory / 2 / MEMORY_STEP * MEMORY_STEP;

	if (self->info.memory && resources.memory > half)
		resources.memory = MAX(half, system->minimum.memory);
	/* Whole MiB, as machine.conf has them, and not less than the machine takes */
	resources.memory = MAX(resources.memory / MIB * MIB, 64 * MIB);
	resources.cpus = MIN(resources.cpus, MAX(self->info.cpus, 1));
	return resources;
}

char *oriel_host_check_cpus(OrielHost *self, const struct oriel_system_info *system, guint cpus)
{
	if (cpus > self->info.cpus)
		return g_strdup_printf(ngettext("This computer has %u processor. A machine with more of them gets slower, "
						"not faster.",
						"This computer has %u processors. A machine with more of them gets slower, "
						"not faster.", self->info.cpus), self->info.cpus);
	if (cpus < system->minimum.cpus)
		return g_strdup_printf(ngettext("%s needs at least %u processor.", "%s needs at least %u processors.",
						system->minimum.cpus), system->name, system->minimum.cpus);
	return NULL;
}

static char *format_size(guint64 bytes)
{
	return g_format_size_full(bytes, G_FORMAT_SIZE_IEC_UNITS);
}

char *oriel_host_check_memory(OrielHost *self, const struct oriel_system_info *system, guint64 memory)
{
	g_autofree char *has = format_size(self->info.memory);
	g_autofree char *free = format_size(self->info.available);
	g_autofree char *needs = format_size(system->minimum.memory);

	if (self->info.memory && memory + HOST_MEMORY > self->info.memory)
		return g_strdup_printf(_("This computer has %s. With so much for the machine, too little is left for its "
					 "own programs."), has);
	if (memory < system->minimum.memory)
		return g_strdup_printf(_("%s needs at least %s."), system->name, needs);
	if (self->info.available && memory > self->info.available)
		return g_strdup_printf(_("Only %s are free at the moment. Close other programs before you start the "
					 "machine."), free);
	return NULL;
}

char *oriel_host_check_disk(const struct oriel_system_info *system, guint64 size, guint64 free_space,
			    gboolean preallocated)
{
	g_autofree char *free = format_size(free_space);
	g_autofree char *needs = format_size(system->minimum.disk);

	if (preallocated && size > free_space)
		return g_strdup_printf(_("Only %s are free there."), free);
	if (size < system->minimum.disk)
		return g_strdup_printf(_("%s needs at least %s."), system->name, needs);
	if (size > free_space)
		return g_strdup_printf(_("Only %s are free there. The machine pauses if the disk grows to more than "
					 "that."), free);
	return NULL;
}
