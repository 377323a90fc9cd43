#include "packaged.h"

#include <glib/gi18n.h>

#define IMAGES "usr/lib/debian-installer/images"
#define DISC "usr/lib/ipxe/ipxe.iso"
/* Where /etc/debian_version does not have a number: testing. */
#define USUAL_VERSION 12

static const char *const flavours[] = { "gtk", "text" };

static gboolean there(const char *path)
{
	return g_file_test(path, G_FILE_TEST_IS_REGULAR);
}

/* The newest version that is installed; 0: none */
static guint64 find_version(const char *images)
{
	g_autoptr(GDir) folder = g_dir_open(images, 0, NULL);
	guint64 newest = 0, version;
	const char *name;

	while (folder && (name = g_dir_read_name(folder)))
		if (g_ascii_string_to_unsigned(name, 10, 1, 999, &version, NULL))
			newest = MAX(newest, version);
	return newest;
}

static void find_folder(OrielPackaged *packaged, const char *images, guint64 version)
{
	g_autofree char *number = g_strdup_printf("%" G_GUINT64_FORMAT, version);

	for (guint i = 0; i < G_N_ELEMENTS(flavours) && !packaged->folder; i++) {
		g_autofree char *folder = g_build_filename(images, number, "amd64", flavours[i], NULL);
		g_autofree char *file = g_build_filename(folder, "pxelinux.0", NULL);

		if (there(file))
			packaged->folder = g_steal_pointer(&folder);
	}
}

/* Those made from it do not have all of its packages. */
static gboolean is_debian(const char *root)
{
	g_autofree char *file = g_build_filename(root, "etc", "os-release", NULL), *text = NULL;

	return g_file_get_contents(file, &text, NULL, NULL) &&
	       g_regex_match_simple("^ID=\"?debian\"?$", text, G_REGEX_MULTILINE, 0);
}

static guint64 read_version(const char *root)
{
	g_autofree char *file = g_build_filename(root, "etc", "debian_version", NULL), *text = NULL;
	guint64 version = g_file_get_contents(file, &text, NULL, NULL) ? g_ascii_strtoull(text, NULL, 10) : 0;

	return version ? version : USUAL_VERSION;
}

OrielPackaged *oriel_packaged_find(const char *root)
{
	g_autofree char *images = g_build_filename(root, IMAGES, NULL);
	g_autofree char *disc = g_build_filename(root, DISC, NULL);
	guint64 version = find_version(images);
	g_autoptr(GString) missing = g_string_new(NULL);
	OrielPackaged *packaged;

	if (!version && !is_debian(root))
		return NULL;
	packaged = g_new0(OrielPackaged, 1);
	if (version)
		find_folder(packaged, images, version);
	if (!packaged->folder) {
		version = read_version(root);
		g_string_append_printf(missing, " debian-installer-%" G_GUINT64_FORMAT "-netboot-amd64", version);
	}
	if (there(disc))
		packaged->disc = g_steal_pointer(&disc);
	else
		g_string_append(missing, " ipxe");
	if (missing->len)
		packaged->command = g_strconcat("sudo apt install", missing->str, NULL);
	packaged->boot_file = g_strdup("pxelinux.0");
	packaged->system = g_strdup_printf("debian%" G_GUINT64_FORMAT, version);
	return packaged;
}

void oriel_packaged_free(OrielPackaged *packaged)
{
	if (!packaged)
		return;
	g_free(packaged->system);
	g_free(packaged->disc);
	g_free(packaged->folder);
	g_free(packaged->boot_file);
	g_free(packaged->command);
	g_free(packaged);
}

GPtrArray *oriel_packaged_find_problems(void)
{
	g_autoptr(OrielPackaged) packaged = oriel_packaged_find("/");
	GPtrArray *problems = oriel_problems_new();

	if (packaged && packaged->command)
		oriel_problems_add(problems, ORIEL_PROBLEM_NO_INSTALLER,
				   g_strdup(_("Debian’s installer is a package that is not installed yet.")), NULL,
				   g_strdup(packaged->command));
	return problems;
}
