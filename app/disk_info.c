#include "disk.h"

#include <glib/gi18n.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "command_text.h"

/* Wide enough for the names in any language */
#define NAME_COLUMNS 18
#define EXTENT_COLUMNS 14

static const char *compression_name(enum image_compression compression)
{
	return compression == IMAGE_COMPRESSION_ZSTD ? "zstd" : "zlib";
}

/* --- info --- */

char *oriel_disk_format_size(guint64 size)
{
	static const char *const units[] = { N_("bytes"), "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double number = (double)size;
	guint unit = 0;

	while (number >= 1024 && unit + 1 < G_N_ELEMENTS(units)) {
		number /= 1024;
		unit++;
	}
	return g_strdup_printf(unit ? "%.1f %s" : "%.0f %s", number, unit ? units[unit] : _(units[unit]));
}

static void print_line(const char *name, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void print_line(const char *name, const char *format, ...)
{
	va_list arguments;

	oriel_print_cell(stdout, name, NAME_COLUMNS);
	putchar(' ');
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
}

static void print_size(const char *name, guint64 size)
{
	g_autofree char *text = oriel_disk_format_size(size);

	print_line(name, "%s (%" G_GUINT64_FORMAT ")", text, size);
}

static void print_snapshots(const GArray *snapshots)
{
	for (guint i = 0; i < snapshots->len; i++) {
		const struct image_snapshot *snapshot = &g_array_index(snapshots, struct image_snapshot, i);
		g_autoptr(GDateTime) date = g_date_time_new_from_unix_local(snapshot->date_seconds);
		g_autofree char *text = g_date_time_format(date, "%F %T");

		print_line(i ? "" : _("snapshots"), "%s  %s  %s", snapshot->id, text, snapshot->name);
	}
}

static void print_info(const char *path, const struct image_info *info, const GArray *snapshots)
{
	print_line(_("file"), "%s", path);
	print_line(_("format"), "%s", image_format_name(info->format));
	print_size(_("disk"), info->size);
	print_size(_("file length"), info->file_size);
	print_size(_("on the host"), info->disk_size);
	if (info->format != BLOCK_FORMAT_QCOW2)
		return;
	print_line(_("qcow2 version"), "%u", info->version);
	print_size(_("cluster size"), info->cluster_size);
	print_line(_("refcount bits"), "%u", info->refcount_bits);
	print_line(_("compression"), "%s", compression_name(info->compression));
	print_line(_("extended L2"), "%s", info->extended_l2 ? _("yes") : _("no"));
	print_line(_("lazy refcounts"), "%s", info->lazy_refcounts ? _("yes") : _("no"));
	if (info->backing_path)
		print_line(_("backing image"), "%s%s%s%s", info->backing_path, info->backing_format ? " (" : "",
			   info->backing_format ? info->backing_format : "", info->backing_format ? ")" : "");
	if (info->data_path)
		print_line(_("data file"), "%s", info->data_path);
	if (info->bitmaps)
		print_line(_("bitmaps"), "%u", info->bitmaps);
	print_line(_("state"), "%s", info->corrupt ? _("damaged") : info->dirty ? _("not closed properly") : _("sound"));
	print_snapshots(snapshots);
}

static void add_snapshots(GString *json, const GArray *snapshots)
{
	oriel_disk_json_open(json, "snapshots", '[');
	for (guint i = 0; i < snapshots->len; i++) {
		const struct image_snapshot *snapshot = &g_array_index(snapshots, struct image_snapshot, i);

		oriel_disk_json_open(json, NULL, '{');
		oriel_disk_json_string(json, "id", snapshot->id);
		oriel_disk_json_string(json, "name", snapshot->name);
		oriel_disk_json_number(json, "vm-state-size", snapshot->vm_state_size);
		oriel_disk_json_number(json, "date-sec", snapshot->date_seconds);
		oriel_disk_json_number(json, "date-nsec", snapshot->date_nanoseconds);
		oriel_disk_json_number(json, "vm-clock-sec", snapshot->vm_clock_nanoseconds / 1000000000);
		oriel_disk_json_number(json, "vm-clock-nsec", snapshot->vm_clock_nanoseconds % 1000000000);
		oriel_disk_json_close(json, '}');
	}
	oriel_disk_json_close(json, ']');
}

static void add_qcow2(GString *json, const struct image_info *info)
{
	oriel_disk_json_open(json, "format-specific", '{');
	oriel_disk_json_string(json, "type", "qcow2");
	oriel_disk_json_open(json, "data", '{');
	oriel_disk_json_string(json, "compat", info->version == 2 ? "0.10" : "1.1");
	oriel_disk_json_string(json, "compression-type", compression_name(info->compression));
	oriel_disk_json_number(json, "refcount-bits", info->refcount_bits);
	if (info->version >= 3) {
		oriel_disk_json_boolean(json, "lazy-refcounts", info->lazy_refcounts);
		oriel_disk_json_boolean(json, "corrupt", info->corrupt);
		oriel_disk_json_boolean(json, "extended-l2", info->extended_l2);
	}
	if (info->data_path)
		oriel_disk_json_string(json, "data-file", info->data_path);
	oriel_disk_json_close(json, '}');
	oriel_disk_json_close(json, '}');
}

static void print_info_json(const char *path, const struct image_info *info, const GArray *snapshots)
{
	g_autoptr(GString) json = g_string_new(NULL);

	oriel_disk_json_open(json, NULL, '{');
	oriel_disk_json_string(json, "filename", path);
	oriel_disk_json_string(json, "format", image_format_name(info->format));
	oriel_disk_json_number(json, "virtual-size", info->size);
	oriel_disk_json_number(json, "actual-size", info->disk_size);
	oriel_disk_json_boolean(json, "dirty-flag", info->dirty);
	if (info->format == BLOCK_FORMAT_QCOW2)
		oriel_disk_json_number(json, "cluster-size", info->cluster_size);
	if (info->backing_path)
		oriel_disk_json_string(json, "backing-filename", info->backing_path);
	if (info->backing_format)
		oriel_disk_json_string(json, "backing-filename-format", info->backing_format);
	if (snapshots->len)
		add_snapshots(json, snapshots);
	if (info->format == BLOCK_FORMAT_QCOW2)
		add_qcow2(json, info);
	oriel_disk_json_close(json, '}');
	printf("%s\n", json->str);
}

int oriel_disk_info(const struct oriel_command *command, int argc, char **argv)
{
	gboolean as_json = FALSE;
	const GOptionEntry entries[] = {
		{ "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_("For programs, with the names that qemu-img has"),
		  NULL },
		{ NULL },
	};
	GArray *snapshots = NULL;
	struct image_info info;
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	if (!image_info(argv[1], &info, &error))
		return oriel_command_fail(error);
	if (info.snapshots)
		snapshots = image_snapshot_list(argv[1], &error);
	/* The rest can be told all the same. */
	if (error)
		oriel_command_say("%s", error->message);
	g_clear_error(&error);
	if (!snapshots)
		snapshots = g_array_new(FALSE, FALSE, sizeof(struct image_snapshot));
	(as_json ? print_info_json : print_info)(argv[1], &info, snapshots);
	g_array_unref(snapshots);
	image_info_clear(&info);
	return ORIEL_SUCCESS;
}

/* --- check --- */

static void print_check(const struct image_check *check)
{
	if (check->corruptions_fixed || check->leaks_fixed)
		/* TRANSLATORS: numbers of both */
		printf(_("Repaired: %" PRIu64 " errors, %" PRIu64 " leaked clusters\n"), check->corruptions_fixed,
		       check->leaks_fixed);
	if (check->corruptions)
		printf(ngettext("%" PRIu64 " error: data is damaged or in danger. Keep a copy, then run it with "
				"--repair\n",
				"%" PRIu64 " errors: data is damaged or in danger. Keep a copy, then run it with "
				"--repair\n", check->corruptions), check->corruptions);
	if (check->leaks)
		printf(ngettext("%" PRIu64 " leaked cluster: it takes space, and does no harm. --repair gives it "
				"back\n",
				"%" PRIu64 " leaked clusters: they take space, and do no harm. --repair gives it "
				"back\n", check->leaks), check->leaks);
	if (!check->corruptions && !check->leaks)
		printf("%s\n", _("The image is sound"));
	printf(_("%" PRIu64 " of %" PRIu64 " clusters are allocated, %" PRIu64 " of them compressed, %" PRIu64
		 " out of sequence\n"), check->allocated, check->clusters, check->compressed, check->fragmented);
}

static void print_check_json(const char *path, const struct image_check *check)
{
	g_autoptr(GString) json = g_string_new(NULL);
	const struct {
		const char *name;
		guint64 value;
		gboolean always;
	} numbers[] = {
		{ "image-end-offset", check->end, TRUE },
		{ "total-clusters", check->clusters, TRUE },
		{ "check-errors", 0, TRUE },
		{ "allocated-clusters", check->allocated, FALSE },
		{ "compressed-clusters", check->compressed, FALSE },
		{ "fragmented-clusters", check->fragmented, FALSE },
		{ "corruptions", check->corruptions, FALSE },
		{ "leaks", check->leaks, FALSE },
		{ "corruptions-fixed", check->corruptions_fixed, FALSE },
		{ "leaks-fixed", check->leaks_fixed, FALSE },
	};

	oriel_disk_json_open(json, NULL, '{');
	oriel_disk_json_string(json, "filename", path);
	oriel_disk_json_string(json, "format", "qcow2");
	for (gsize i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (numbers[i].always || numbers[i].value)
			oriel_disk_json_number(json, numbers[i].name, numbers[i].value);
	oriel_disk_json_close(json, '}');
	printf("%s\n", json->str);
}

int oriel_disk_check(const struct oriel_command *command, int argc, char **argv)
{
	gboolean as_json = FALSE, repair = FALSE, done;
	const GOptionEntry entries[] = {
		{ "repair", 'r', 0, G_OPTION_ARG_NONE, &repair, N_("Mend what is wrong"), NULL },
		{ "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_("For programs, with the names that qemu-img has"),
		  NULL },
		{ NULL },
	};
	struct oriel_disk_job job;
	struct image_check check;
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	oriel_disk_job_begin(&job);
	done = image_check(argv[1], repair ? IMAGE_REPAIR_LEAKS | IMAGE_REPAIR_ERRORS : 0, &check, &error);
	if (done && as_json)
		print_check_json(argv[1], &check);
	else if (done)
		print_check(&check);
	status = oriel_disk_job_end(&job, done, error);
	if (!done)
		return status;
	return check.corruptions ? ORIEL_DISK_DAMAGED : check.leaks ? ORIEL_DISK_LEAKS : ORIEL_SUCCESS;
}

/* --- map --- */

static void print_extent(const struct image_extent *extent, void *unused)
{
	(void)unused;
	printf("%#*" PRIx64 " %#*" PRIx64 "  ", EXTENT_COLUMNS, extent->start, EXTENT_COLUMNS, extent->length);
	if (extent->compressed)
		printf(_("compressed  %s\n"), extent->path);
	else if (extent->data)
		printf(_("data        %s at %#" PRIx64 "\n"), extent->path, extent->offset);
	else
		printf("%s\n", extent->present ? _("zeroes") : _("nothing"));
}

static void add_extent(const struct image_extent *extent, void *opaque)
{
	GString *json = opaque;

	oriel_disk_json_open(json, NULL, '{');
	oriel_disk_json_number(json, "start", extent->start);
	oriel_disk_json_number(json, "length", extent->length);
	oriel_disk_json_number(json, "depth", extent->depth);
	oriel_disk_json_boolean(json, "present", extent->present);
	oriel_disk_json_boolean(json, "zero", extent->zero);
	oriel_disk_json_boolean(json, "data", extent->data);
	if (extent->data && !extent->compressed)
		oriel_disk_json_number(json, "offset", extent->offset);
	oriel_disk_json_close(json, '}');
}

/* Over columns of numbers, at their right ends */
static void print_extent_title(void)
{
	const char *titles[] = { _("start"), _("length") };

	for (gsize i = 0; i < G_N_ELEMENTS(titles); i++)
		printf("%s%*s%s", i ? " " : "", MAX(EXTENT_COLUMNS - (int)g_utf8_strlen(titles[i], -1), 0), "",
		       titles[i]);
	printf("  %s\n", _("contents"));
}

int oriel_disk_map(const struct oriel_command *command, int argc, char **argv)
{
	g_autoptr(GString) json = g_string_new(NULL);
	gboolean as_json = FALSE;
	const GOptionEntry entries[] = {
		{ "json", 0, 0, G_OPTION_ARG_NONE, &as_json, N_("For programs, with the names that qemu-img has"),
		  NULL },
		{ NULL },
	};
	GError *error = NULL;
	int status;

	if (!oriel_command_parse(command, entries, 1, 1, &argc, &argv, &status))
		return status;
	if (as_json)
		oriel_disk_json_open(json, NULL, '[');
	else
		print_extent_title();
	if (!image_map(argv[1], as_json ? add_extent : print_extent, json, &error))
		return oriel_command_fail(error);
	if (as_json) {
		oriel_disk_json_close(json, ']');
		printf("%s\n", json->str);
	}
	return ORIEL_SUCCESS;
}
