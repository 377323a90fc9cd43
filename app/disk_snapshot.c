#include "disk.h"

#include <stdio.h>
#include <string.h>

static gboolean list(const char *path, const char *name, GError **error)
{
	GArray *snapshots = image_snapshot_list(path, error);

	(void)name;
	if (!snapshots)
		return FALSE;
	for (guint i = 0; i < snapshots->len; i++) {
		const struct image_snapshot *snapshot = &g_array_index(snapshots, struct image_snapshot, i);
		g_autoptr(GDateTime) date = g_date_time_new_from_unix_local(snapshot->date_seconds);
		g_autofree char *text = g_date_time_format(date, "%F %T");
		g_autofree char *size = oriel_disk_format_size(snapshot->disk_size);

		printf("%-4s %s  %10s  %s\n", snapshot->id, text, size, snapshot->name);
	}
	g_array_unref(snapshots);
	return TRUE;
}

static gboolean create(const char *path, const char *name, GError **error)
{
	return image_snapshot_create(path, name, error);
}

static gboolean apply(const char *path, const char *name, GError **error)
{
	return image_snapshot_apply(path, name, error);
}

static gboolean delete(const char *path, const char *name, GError **error)
{
	return image_snapshot_delete(path, name, error);
}

static const struct {
	const char *name;
	int arguments;
	gboolean (*run)(const char *path, const char *name, GError **error);
} actions[] = {
	{ "list", 2, list },
	{ "create", 3, create },
	{ "apply", 3, apply },
	{ "delete", 3, delete },
};

int oriel_disk_snapshot(const struct oriel_command *command, int argc, char **argv)
{
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, NULL, 2, 3, &argc, &argv, &status))
		return status;
	for (guint i = 0; i < G_N_ELEMENTS(actions); i++) {
		struct oriel_disk_job job;
		gboolean done;

		if (strcmp(actions[i].name, argv[1]) || actions[i].arguments != argc - 1)
			continue;
		oriel_disk_job_begin(&job);
		done = actions[i].run(argv[2], argv[3], &error);
		return oriel_disk_job_end(&job, done, error);
	}
	oriel_command_print_usage(command);
	return ORIEL_USAGE;
}
