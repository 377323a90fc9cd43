/*
 * What a file is that a machine shall be made from. The discs are real where a distribution's package has one, or
 * written here as their makers do: with mkisofs' UDF, and Windows images by wimlib.
 */
#include "../../app/media.h"
#include "../../app/system_icon.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../app/wim.h"

#define SECTOR 2048
#define GIB ((guint64)1 << 30)

struct fixture {
	char *folder;
	char *iso;
};

static OrielSystems *systems; /* reading the database takes a second */

static void set_up(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	f->folder = g_dir_make_tmp("oriel-media-XXXXXX", NULL);
	f->iso = g_build_filename(f->folder, "disc.iso", NULL);
}

static void run(const char *command, ...) G_GNUC_PRINTF(1, 2);

static void run(const char *command, ...)
{
	g_autofree char *line = NULL, *errors = NULL;
	char *arguments[] = { (char *)"/bin/sh", (char *)"-ec", NULL, NULL };
	GError *error = NULL;
	va_list values;
	int status;

	va_start(values, command);
	line = g_strdup_vprintf(command, values);
	va_end(values);
	arguments[2] = line;
	g_spawn_sync(NULL, arguments, NULL, G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, &errors, &status, &error);
	g_assert_no_error(error);
	if (status)
		g_test_message("%s: %s", line, errors);
	g_assert_cmpint(status, ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	run("rm -r '%s'", f->folder);
	g_free(f->folder);
	g_free(f->iso);
}

/* A disc's header: what recognition has when there are no contents. */

struct header {
	const char *volume, *system, *publisher, *application, *created;
};

static void put_id(guint8 *to, const char *text, gsize size)
{
	memset(to, ' ', size);
	if (text)
		memcpy(to, text, MIN(strlen(text), size));
}

static void put_le32(guint8 *to, guint32 value)
{
	for (guint i = 0; i < 4; i++)
		to[i] = (guint8)(value >> 8 * i);
}

/* 32 sectors: descriptors, boot catalog in sector 19, an empty root folder in sector 20 */
static guint8 *make_header(const struct header *header)
{
	guint8 *image = g_malloc0(32 * SECTOR);
	guint8 *primary = image + 16 * SECTOR, *boot = image + 17 * SECTOR, *catalog = image + 19 * SECTOR;

	memcpy(primary, "\1CD001\1", 7);
	put_id(primary + 8, header->system, 32);
	put_id(primary + 40, header->volume, 32);
	put_le32(primary + 80, 32);
	primary[129] = SECTOR >> 8;
	put_le32(primary + 156 + 2, 20);
	put_le32(primary + 156 + 10, SECTOR);
	put_id(primary + 318, header->publisher, 128);
	put_id(primary + 574, header->application, 128);
	put_id(primary + 813, header->created ? header->created : "0000000000000000", 16);
	memcpy(boot, "\0CD001\1EL TORITO SPECIFICATION", 30);
	put_le32(boot + 71, 19);
	memcpy(image + 18 * SECTOR, "\377CD001\1", 7);
	catalog[0] = 1;
	catalog[30] = 0x55;
	catalog[31] = 0xaa;
	catalog[32] = 0x88;
	return image;
}

/* Unlike g_file_set_contents() it does not wait for the disk. */
static void write_file(const char *path, const void *bytes, gsize size)
{
	FILE *file = fopen(path, "w");

	g_assert_nonnull(file);
	g_assert_cmpuint(fwrite(bytes, 1, size, file), ==, size);
	g_assert_cmpint(fclose(file), ==, 0);
}

static void write_header(const char *path, const struct header *header)
{
	g_autofree guint8 *image = make_header(header);

	write_file(path, image, 32 * SECTOR);
}

static OrielMedia *recognise(const char *path)
{
	GError *error = NULL;
	OrielMedia *media = oriel_media_recognise(systems, path, NULL, &error);

	g_assert_no_error(error);
	return media;
}

static void test_headers(struct fixture *f, gconstpointer unused)
{
	static const struct {
		struct header header;
		const char *id, *architecture;
		gboolean live;
	} cases[] = {
		{ { "GRMCULXFRER_EN_DVD", "", "MICROSOFT CORPORATION", "CDIMAGE 2.55", "2011041200000000" }, "win7", "x86_64" },
		{ { "GRMCPRFRER_EN_DVD", "", "MICROSOFT CORPORATION", NULL, NULL }, "win7", "i686" },
		{ { "IR5_CCSA_X64FRE_EN-US_DV9", "", "MICROSOFT CORPORATION", NULL, NULL }, "win8.1", "x86_64" },
		/* Windows 10 and 11 have the same ids. */
		{ { "CCCOMA_X64FRE_EN-US_DV9", "", "MICROSOFT CORPORATION", NULL, "2019100700000000" }, "win10", "x86_64" },
		{ { "CCCOMA_X64FRE_DE-DE_DV9", "", "MICROSOFT CORPORATION", NULL, "2022092000000000" }, "win11", "x86_64" },
		{ { "CCSA_X86FRE_EN-US_DV5", "", "MICROSOFT CORPORATION", NULL, "2019100700000000" }, "win10", "i686" },
		{ { "SSS_X64FREE_EN-US_DV9", "", "MICROSOFT CORPORATION", NULL, "2016100100000000" }, "win2k16", "x86_64" },
		{ { "SSS_X64FREE_EN-US_DV9", "", "MICROSOFT CORPORATION", NULL, "2018110100000000" }, "win2k19", "x86_64" },
		{ { "SSS_X64FREE_EN-US_DV9", "", "MICROSOFT CORPORATION", NULL, "2021080700000000" }, "win2k22", "x86_64" },
		{ { "ReactOS", "", "ReactOS Foundation", NULL, NULL }, "reactos", "" },
		{ { "Fedora-WS-Live-37-1-7", "LINUX", NULL, NULL, NULL }, "fedora37", "x86_64", TRUE },
		{ { "Fedora-S-dvd-x86_64-37", "LINUX", NULL, NULL, NULL }, "fedora37", "x86_64" },
		/* Newer than the database */
		{ { "Fedora-WS-Live-41-1-4", "LINUX", NULL, NULL, NULL }, "fedora41", "", TRUE },
		{ { "Fedora-S-dvd-x86_64-57", "LINUX", NULL, NULL, NULL }, "fedora57", "x86_64" },
		{ { "Ubuntu 22.04.1 LTS amd64", "", NULL, NULL, NULL }, "ubuntu22.04", "x86_64", TRUE },
		{ { "Ubuntu 24.04.1 LTS amd64", "", NULL, NULL, NULL }, "ubuntu24.04", "x86_64", TRUE },
		{ { "Ubuntu-Server 30.10 amd64", "", NULL, NULL, NULL }, "ubuntu30.10", "x86_64" },
		{ { "Debian 11.5.0 amd64 n", "LINUX", NULL, NULL, NULL }, "debian11", "x86_64" },
		{ { "Debian 12.5.0 amd64 n", "LINUX", NULL, NULL, NULL }, "debian12", "x86_64" },
		{ { "d-live 12.5.0 gn amd64", "LINUX", NULL, NULL, NULL }, "debian12", "x86_64", TRUE },
		{ { "Linux Mint 21.3 Cinnamon 64-bit", "", NULL, NULL, NULL }, "linuxmint21", "", TRUE },
		{ { "14_1_RELEASE_AMD64_CD", "", NULL, NULL, NULL }, "freebsd14.1", "x86_64" },
		{ { "Debian 12.5.0 arm64 n", "LINUX", NULL, NULL, NULL }, "debian12", "aarch64" },
		{ { "MY_DISC", "", NULL, NULL, NULL }, "other", "" },
		{ { "", "", NULL, NULL, NULL }, "other", "" },
		{ { "\377\376\200", "", NULL, NULL, NULL }, "other", "" },
	};

	(void)unused;
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(OrielMedia) media = NULL;
		const struct oriel_media_info *info;

		write_header(f->iso, &cases[i].header);
		media = recognise(f->iso);
		info = oriel_media_get_info(media);
		g_test_message("disc %u", i);
		g_assert_cmpint(info->kind, ==, ORIEL_MEDIA_DISC);
		g_assert_cmpstr(oriel_system_get_info(info->system)->id, ==, cases[i].id);
		g_assert_cmpint(info->recognised, ==, strcmp(cases[i].id, "other") != 0);
		g_assert_cmpstr(info->architecture, ==, cases[i].architecture);
		g_assert_cmpint(info->live, ==, cases[i].live);
		g_assert_true(info->boots_bios && !info->boots_uefi);
		g_assert_true(g_utf8_validate(info->label, -1, NULL));
		if (strcmp(cases[i].architecture, "aarch64") == 0)
			g_assert_nonnull(strstr(info->problem, "aarch64"));
		else
			g_assert_cmpstr(info->problem, ==, NULL);
	}
}

/* As Windows' discs, on which ISO 9660's root folder does not have what UDF's has: here it is empty. */
static void make_windows(struct fixture *f, const char *volume, const char *type, guint major, guint minor,
			 guint build)
{
	run("cd '%s'; rm -rf image disc; mkdir -p image disc/sources; echo hello > image/hello; "
	    "wimlib-imagex capture image disc/sources/install.wim Windows --compress=none "
	    "--image-property WINDOWS/ARCH=9 --image-property WINDOWS/INSTALLATIONTYPE='%s' "
	    "--image-property WINDOWS/VERSION/MAJOR=%u --image-property WINDOWS/VERSION/MINOR=%u "
	    "--image-property WINDOWS/VERSION/BUILD=%u; echo boot > disc/boot.bin; for i in $(seq 60); do "
	    "echo > disc/file$i; done; "
	    "genisoimage -quiet -udf -V '%s' -publisher 'MICROSOFT CORPORATION' -b boot.bin -no-emul-boot "
	    "-o disc.iso disc; dd if=/dev/zero of=disc.iso bs=1 seek=%u count=8 conv=notrunc status=none", f->folder, type,
	    major, minor, build, volume, 16 * SECTOR + 156 + 10);
}

static void test_windows(struct fixture *f, gconstpointer unused)
{
	static const struct {
		const char *volume, *type;
		guint major, minor, build;
		const char *id, *name;
	} cases[] = {
		{ "CCCOMA_X64FRE_EN-US_DV9", "Client", 10, 0, 19045, "win10", "Windows 10" },
		{ "CCCOMA_X64FRE_EN-US_DV9", "Client", 10, 0, 22631, "win11", "Windows 11" },
		{ "ESD-ISO", "Client", 10, 0, 26100, "win11", "Windows 11" },
		{ "SSS_X64FREE_EN-US_DV9", "Server", 10, 0, 17763, "win2k19", "Windows Server 2019" },
		{ "SERVER_EVAL_X64FRE_EN-US_DV9", "Server Core", 10, 0, 20348, "win2k22", "Windows Server 2022" },
		{ "SSS_X64FREE_EN-US_DV9", "Server", 10, 0, 26100, "win2k25", "Windows Server 2025" },
		{ "WINDOWS", "Client", 6, 1, 7601, "win7", "Windows 7" },
		{ "WINDOWS", "Client", 6, 3, 9600, "win8.1", "Windows 8.1" },
	};

	(void)unused;
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(OrielMedia) media = NULL;
		g_autofree char *name = NULL;
		const struct oriel_media_info *info;
		const struct oriel_system_info *system;

		make_windows(f, cases[i].volume, cases[i].type, cases[i].major, cases[i].minor, cases[i].build);
		media = recognise(f->iso);
		info = oriel_media_get_info(media);
		system = oriel_system_get_info(info->system);
		g_assert_cmpstr(system->id, ==, cases[i].id);
		g_assert_cmpstr(info->architecture, ==, "x86_64");
		g_assert_true(info->installer && info->recognised);
		g_assert_cmpint(system->family, ==, ORIEL_FAMILY_WINDOWS);
		g_assert_cmpint(system->needs_tpm, ==, strcmp(cases[i].id, "win11") == 0);
		g_assert_cmpint(system->needs_uefi, ==, strcmp(cases[i].id, "win11") == 0);
		name = oriel_media_suggest_name(media);
		g_assert_cmpstr(name, ==, cases[i].name);
	}
}

static void test_udf(struct fixture *f, gconstpointer unused)
{
	struct oriel_iso *iso;
	struct oriel_iso_file file;
	struct oriel_wim wim;
	g_autofree char *text = NULL;
	char beyond[8];

	(void)unused;
	make_windows(f, "X", "Client", 10, 0, 22631);
	iso = oriel_iso_open(f->iso, NULL, NULL);
	g_assert_cmpuint(iso->udf_root, !=, 0);
	g_assert_true(oriel_iso_find(iso, "SOURCES/Install.WIM", &file));
	g_assert_false(oriel_iso_find(iso, "sources/install.wi", &file));
	g_assert_false(oriel_iso_find(iso, "sources/install.wimm", &file));
	g_assert_false(oriel_iso_find(iso, "boot.bin/x", &file));
	g_assert_true(oriel_iso_find(iso, "sources/install.wim", &file));
	g_assert_true(oriel_wim_read(iso, &file, &wim));
	g_assert_cmpuint(wim.build, ==, 22631);
	g_assert_true(oriel_iso_find(iso, "boot.bin", &file));
	g_assert_false(oriel_wim_read(iso, &file, &wim));
	g_assert_false(oriel_iso_read(iso, &file, file.size - 1, beyond, 2));
	text = oriel_iso_read_text(iso, "file17", 100);
	g_assert_cmpstr(text, ==, "\n");
	oriel_iso_free(iso);
}

static void expect_media(const char *path, const char *id, gboolean recognised, gboolean installer, const char *label)
{
	g_autoptr(OrielMedia) media = recognise(path);
	const struct oriel_media_info *info = oriel_media_get_info(media);

	g_test_message("%s", path);
	g_assert_cmpint(info->kind, ==, ORIEL_MEDIA_DISC);
	g_assert_cmpstr(oriel_system_get_info(info->system)->id, ==, id);
	g_assert_cmpint(info->recognised, ==, recognised);
	g_assert_cmpint(info->installer, ==, installer);
	g_assert_cmpstr(info->label, ==, label);
	g_assert_cmpstr(info->problem, ==, NULL);
	g_assert_true(info->boots_bios);
}

#define NETBOOT "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64"

static void make_debian(struct fixture *f, const char *volume, const char *info)
{
	run("cd '%s'; rm -rf disc; mkdir -p disc/install.amd disc/.disk; cp %s/linux disc/install.amd/vmlinuz; "
	    "echo '%s' > disc/.disk/info; echo boot > disc/boot.bin; xorriso -report_about FAILURE -as mkisofs "
	    "-quiet -r -V '%s' -sysid LINUX -b boot.bin -no-emul-boot -o disc.iso disc", f->folder, NETBOOT, info,
	    volume);
}

static void test_packaged(struct fixture *f, gconstpointer test_disc)
{
	(void)f;
	expect_media("/usr/lib/ipxe/ipxe.iso", "ipxe", TRUE, FALSE, "ISOIMAGE");
	expect_media("/usr/lib/grub-rescue/grub-rescue-cdrom.iso", "tool", FALSE, FALSE, "ISOIMAGE");
	expect_media(test_disc, "oriel-test-disc", TRUE, FALSE, "ORIEL_TEST");
	make_debian(f, "Debian 12.5.0 amd64 n", "Debian GNU/Linux 12.5.0 \"Bookworm\" - Official amd64 NETINST");
	expect_media(f->iso, "debian12", TRUE, TRUE, "Debian 12.5.0 amd64 n");
	make_debian(f, "ISOIMAGE", "Debian GNU/Linux 13 \"Trixie\" - my own amd64");
	expect_media(f->iso, "debian13", TRUE, TRUE, "ISOIMAGE");
	make_debian(f, "ISOIMAGE", "something else");
	expect_media(f->iso, "linux", FALSE, TRUE, "ISOIMAGE");
}

static void test_treeinfo(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	run("cd '%s'; mkdir disc; printf '[general]\\nname = Red Hat Enterprise Linux 9.9\\n' > disc/.treeinfo; "
	    "echo boot > disc/boot.bin; xorriso -report_about FAILURE -as mkisofs -quiet -r -V MINE -b boot.bin "
	    "-no-emul-boot -o disc.iso disc", f->folder);
	expect_media(f->iso, "rhel9.9", TRUE, TRUE, "MINE");
}

static guint64 bytes_read(void)
{
	g_autofree char *text = NULL;

	g_assert_true(g_file_get_contents("/proc/self/io", &text, NULL, NULL));
	g_assert_true(g_str_has_prefix(text, "rchar: "));
	return g_ascii_strtoull(text + 7, NULL, 10);
}

static void look_everywhere(const char *path)
{
	static const char *const names[] = { ".disk/info", "sources/install.wim", "boot/grub/grub.cfg", "a/b/c/d/e/f", "" };
	struct oriel_iso *iso = oriel_iso_open(path, NULL, NULL);
	struct oriel_iso_file file;
	struct oriel_wim wim;

	for (guint i = 0; iso && i < G_N_ELEMENTS(names); i++) {
		g_autofree char *text = oriel_iso_read_text(iso, names[i], 65536);

		if (oriel_iso_find(iso, names[i], &file))
			oriel_wim_read(iso, &file, &wim);
	}
	oriel_iso_free(iso);
}

/* 8 TiB of nothing, and sizes to match */
static void test_absurd(struct fixture *f, gconstpointer unused)
{
	g_autofree guint8 *image = make_header(&(struct header){ "HUGE", "", NULL, NULL, NULL });
	guint8 *primary = image + 16 * SECTOR;
	guint64 before;

	(void)unused;
	put_le32(primary + 80, G_MAXUINT32);
	put_le32(primary + 156 + 10, G_MAXUINT32);
	write_file(f->iso, image, 32 * SECTOR);
	g_assert_cmpint(truncate(f->iso, (off_t)8 << 40), ==, 0);
	g_object_unref(recognise(f->iso)); /* whatever is read once */
	before = bytes_read();
	g_object_unref(recognise(f->iso));
	g_assert_cmpuint(bytes_read() - before, <, 16 << 20);
	put_le32(primary + 156 + 2, G_MAXUINT32);
	write_file(f->iso, image, 32 * SECTOR);
	look_everywhere(f->iso);
	/* Volume descriptors without end */
	for (guint i = 17; i < 32; i++)
		memcpy(image + i * SECTOR, primary, SECTOR);
	write_file(f->iso, image, 32 * SECTOR);
	g_object_unref(recognise(f->iso));
}

/* A folder that contains itself ends with the path that is looked for. */
static void test_loop(struct fixture *f, gconstpointer unused)
{
	g_autofree guint8 *image = make_header(&(struct header){ "LOOP", "", NULL, NULL, NULL });
	guint8 *record = image + 20 * SECTOR;
	struct oriel_iso *iso;
	struct oriel_iso_file file;

	(void)unused;
	record[0] = 34 + 3;
	put_le32(record + 2, 20);
	put_le32(record + 10, SECTOR);
	record[32] = 1;
	record[33] = 'A';
	write_file(f->iso, image, 32 * SECTOR);
	iso = oriel_iso_open(f->iso, NULL, NULL);
	g_assert_true(oriel_iso_find(iso, "a/a/a/a/a/a/a/a", &file));
	g_assert_cmpuint(file.size, ==, SECTOR);
	g_assert_false(oriel_iso_find(iso, "a/a/b", &file));
	oriel_iso_free(iso);
	record[32] = 255; /* a name that is longer than its record */
	write_file(f->iso, image, 32 * SECTOR);
	iso = oriel_iso_open(f->iso, NULL, NULL);
	g_assert_false(oriel_iso_find(iso, "a", &file));
	oriel_iso_free(iso);
}

static void test_truncated(struct fixture *f, gconstpointer unused)
{
	g_autoptr(OrielMedia) media = NULL;
	g_autofree char *whole = NULL;
	gsize size;

	(void)unused;
	make_windows(f, "CCCOMA_X64FRE_EN-US_DV9", "Client", 10, 0, 22631);
	g_assert_true(g_file_get_contents(f->iso, &whole, &size, NULL));
	for (gsize length = 0; length < size; length += 3001) {
		write_file(f->iso, whole, length);
		look_everywhere(f->iso);
	}
	write_file(f->iso, whole, size - 400 * SECTOR);
	media = recognise(f->iso);
	g_assert_nonnull(strstr(oriel_media_get_info(media)->problem, "incomplete"));
}

static void test_damaged(struct fixture *f, gconstpointer unused)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(1);
	g_autofree char *whole = NULL;
	gsize size;

	(void)unused;
	make_windows(f, "CCCOMA_X64FRE_EN-US_DV9", "Client", 10, 0, 22631);
	g_assert_true(g_file_get_contents(f->iso, &whole, &size, NULL));
	for (guint round = 0; round < 400; round++) {
		g_autofree char *image = g_memdup2(whole, size);
		guint changes = (guint)g_rand_int_range(rand, 1, 20);

		for (guint i = 0; i < changes; i++) {
			/* Most of the file is zeros: change what is something */
			gsize at = (gsize)g_rand_int_range(rand, 16 * SECTOR, (gint32)size);

			for (gsize tries = 0; tries < size && !image[at]; tries++)
				at = at + 1 < size ? at + 1 : 16 * SECTOR;
			image[at] = (char)g_rand_int(rand);
		}
		write_file(f->iso, image, size);
		look_everywhere(f->iso);
	}
}

static void finished(GObject *source, GAsyncResult *result, gpointer data)
{
	(void)source;
	*(GAsyncResult **)data = g_object_ref(result);
	g_main_context_wakeup(NULL);
}

static GAsyncResult *wait_for(GAsyncResult **result)
{
	while (!*result)
		g_main_context_iteration(NULL, TRUE);
	return *result;
}

static void test_asynchronous(struct fixture *f, gconstpointer unused)
{
	g_autoptr(GCancellable) cancellable = g_cancellable_new();
	g_autoptr(GAsyncResult) result = NULL, cancelled = NULL;
	g_autoptr(OrielMedia) media = NULL, none = NULL;
	g_autoptr(OrielSystems) own = oriel_systems_new();
	g_autoptr(GError) error = NULL;

	(void)unused;
	write_header(f->iso, &(struct header){ "Debian 12.5.0 amd64 n", "LINUX", NULL, NULL, NULL });
	oriel_media_recognise_async(own, f->iso, NULL, finished, &result);
	media = oriel_media_recognise_finish(own, wait_for(&result), &error);
	g_assert_no_error(error);
	g_assert_cmpstr(oriel_system_get_info(oriel_media_get_info(media)->system)->id, ==, "debian12");
	oriel_media_recognise_async(own, f->iso, cancellable, finished, &cancelled);
	g_cancellable_cancel(cancellable);
	none = oriel_media_recognise_finish(own, wait_for(&cancelled), &error);
	g_assert_null(none);
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
}

static void test_unreadable(struct fixture *f, gconstpointer unused)
{
	g_autofree char *fifo = g_build_filename(f->folder, "fifo.iso", NULL);
	g_autoptr(GError) error = NULL;

	(void)unused;
	g_assert_null(oriel_media_recognise(systems, f->iso, NULL, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND);
	g_clear_error(&error);
	g_assert_null(oriel_media_recognise(systems, f->folder, NULL, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_IS_DIRECTORY);
	g_clear_error(&error);
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	g_assert_null(oriel_media_recognise(systems, fifo, NULL, &error));
	g_assert_nonnull(error);
}

static void expect_other(struct fixture *f, const char *name, const char *bytes, gsize size, OrielDiskFormat format,
			 const char *problem)
{
	g_autofree char *path = g_build_filename(f->folder, name, NULL);
	g_autoptr(OrielMedia) media = NULL;
	const struct oriel_media_info *info;

	if (bytes)
		write_file(path, bytes, size);
	media = recognise(path);
	info = oriel_media_get_info(media);
	g_test_message("%s", name);
	g_assert_cmpint(info->format, ==, format);
	g_assert_cmpint(info->kind, ==, format ? ORIEL_MEDIA_DISK : ORIEL_MEDIA_UNKNOWN);
	if (problem)
		g_assert_nonnull(strstr(info->problem, problem));
	else
		g_assert_cmpstr(info->problem, ==, NULL);
}

static void test_disk_formats(struct fixture *f, gconstpointer unused)
{
	static const struct {
		const char *name, *options;
		OrielDiskFormat format;
	} images[] = {
		{ "a.vmdk", "-f vmdk", ORIEL_DISK_VMDK },
		{ "flat.vmdk", "-f vmdk -o subformat=monolithicFlat", ORIEL_DISK_VMDK },
		{ "stream.vmdk", "-f vmdk -o subformat=streamOptimized", ORIEL_DISK_VMDK },
		{ "a.vdi", "-f vdi", ORIEL_DISK_VDI },
		{ "a.vhd", "-f vpc", ORIEL_DISK_VHD },
		{ "fixed.vhd", "-f vpc -o subformat=fixed", ORIEL_DISK_VHD },
		{ "a.vhdx", "-f vhdx", ORIEL_DISK_VHDX },
		{ "a.qcow2", "-f qcow2", ORIEL_DISK_QCOW2 },
		{ "named-otherwise.img", "-f vdi", ORIEL_DISK_VDI },
		{ "a.img", "-f raw", ORIEL_DISK_RAW },
		{ "a.raw", "-f raw", ORIEL_DISK_RAW },
	};

	(void)unused;
	for (guint i = 0; i < G_N_ELEMENTS(images); i++) {
		run("cd '%s'; qemu-img create -q %s %s 4M", f->folder, images[i].options, images[i].name);
		expect_other(f, images[i].name, NULL, 0, images[i].format, NULL);
	}
	run("cd '%s'; tar --format=ustar -cf a.ova a.vdi; cp a.ova a.tar", f->folder);
	expect_other(f, "a.ova", NULL, 0, ORIEL_DISK_OVA, NULL);
	expect_other(f, "a.tar", NULL, 0, ORIEL_DISK_NONE, "neither");
	expect_other(f, "a.ovf", "<?xml version='1.0'?>", 21, ORIEL_DISK_OVF, NULL);
	expect_other(f, "a.zip", "PK\3\4", 4, ORIEL_DISK_NONE, "ZIP");
	expect_other(f, "a.iso.xz", "\3757zXZ\0", 6, ORIEL_DISK_NONE, "unxz");
	expect_other(f, "setup.exe", "MZ", 2, ORIEL_DISK_NONE, "Windows program");
	expect_other(f, "empty.img", "", 0, ORIEL_DISK_NONE, "neither");
	expect_other(f, "a.iso", "x", 1, ORIEL_DISK_NONE, "neither");
}

static void test_systems(void)
{
	g_autoptr(GPtrArray) all = oriel_systems_get_all(systems);
	const struct oriel_system_info *last = NULL;
	OrielSystem *eleven = oriel_systems_find(systems, "win11");
	guint found = 0;

	g_assert_cmpuint(all->len, >, 300);
	for (guint i = 0; i < all->len; i++) {
		const struct oriel_system_info *info = oriel_system_get_info(all->pdata[i]);
		g_autofree char *name = oriel_system_suggest_name(all->pdata[i]);

		g_assert_true(!last || last->released >= info->released || info->generic);
		g_assert_true(info->generic || !last || !last->generic);
		g_assert_cmpuint(info->minimum.cpus, >=, 1);
		g_assert_cmpuint(info->minimum.memory, >=, 1 << 20);
		g_assert_cmpuint(info->recommended.cpus, >=, info->minimum.cpus);
		g_assert_cmpuint(info->recommended.memory, >=, info->minimum.memory);
		g_assert_cmpuint(info->recommended.disk, >=, info->minimum.disk);
		g_assert_null(strchr(name, '/'));
		g_assert_true(oriel_systems_find(systems, info->id) == all->pdata[i]);
		found += oriel_system_matches(all->pdata[i], "WINDOWS 11");
		last = info;
	}
	g_assert_cmpuint(found, ==, 1);
	g_assert_true(oriel_system_matches(eleven, "microsoft win11"));
	g_assert_true(oriel_system_matches(eleven, ""));
	g_assert_false(oriel_system_matches(eleven, "windows 10"));
	g_assert_null(oriel_systems_find(systems, "nothing"));
}

static void test_needs(void)
{
	static const struct {
		const char *id;
		guint64 memory, disk;
		OrielDevices has, lacks;
	} cases[] = {
		{ "win11", 8 * GIB, 64 * GIB, ORIEL_DEVICE_AHCI | ORIEL_DEVICE_HDA | ORIEL_DEVICE_XHCI | ORIEL_DEVICE_NVME,
		  ORIEL_DEVICE_VIRTIO_BLOCK },
		{ "win7", 4 * GIB, 64 * GIB, ORIEL_DEVICE_AHCI | ORIEL_DEVICE_HDA,
		  ORIEL_DEVICE_NVME | ORIEL_DEVICE_XHCI | ORIEL_DEVICE_VIRTIO_NET },
		{ "winxp", 1 * GIB, 20 * GIB, 0, ORIEL_DEVICE_AHCI | ORIEL_DEVICE_NVME },
		{ "debian12", 4 * GIB, 32 * GIB, ORIEL_DEVICE_VIRTIO_BLOCK | ORIEL_DEVICE_VIRTIO_GPU | ORIEL_DEVICE_NVME, 0 },
		{ "other", 2 * GIB, 32 * GIB, ORIEL_DEVICE_AHCI, ORIEL_DEVICE_VIRTIO_BLOCK },
	};

	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		OrielSystem *system = oriel_systems_find(systems, cases[i].id);
		const struct oriel_system_info *info = oriel_system_get_info(system);
		g_autoptr(GIcon) icon = oriel_system_create_icon(system);

		g_test_message("%s: devices %x", cases[i].id, info->devices);
		g_assert_cmpuint(info->recommended.memory, ==, cases[i].memory);
		g_assert_cmpuint(info->recommended.disk, ==, cases[i].disk);
		g_assert_cmphex(info->devices & cases[i].has, ==, cases[i].has);
		g_assert_cmphex(info->devices & cases[i].lacks, ==, 0);
		g_assert_cmpint(oriel_system_wants_nvme(info), ==, (cases[i].has & ORIEL_DEVICE_NVME) != 0);
		g_assert_true(G_IS_THEMED_ICON(icon));
	}
}

/* The picture by the id alone is that of the database's family; all that is called Windows looks like it. */
static void test_families(void)
{
	g_autoptr(GPtrArray) all = oriel_systems_get_all(systems);
	g_autoptr(GIcon) none = oriel_system_icon_of(NULL), debian = oriel_system_icon_of("debian12");
	const char *const *names = g_themed_icon_get_names(G_THEMED_ICON(debian));

	g_assert_cmpuint(all->len, >, 100);
	for (guint i = 0; i < all->len; i++) {
		const struct oriel_system_info *info = oriel_system_get_info(all->pdata[i]);
		const char *picture = oriel_family_icon_name(oriel_system_family_of(info->id));

		/* The database forgot what it is. */
		if (g_str_has_prefix(info->id, "elementary"))
			continue;
		g_test_message("%s", info->id);
		if (g_str_has_prefix(info->id, "win"))
			g_assert_cmpstr(picture, ==, "oriel-windows");
		else
			g_assert_cmpstr(picture, ==, oriel_family_icon_name(info->family));
	}
	g_assert_true(g_strv_contains(names, "oriel-linux"));
	g_assert_true(g_strv_contains(names, "distributor-logo-debian"));
	g_assert_true(g_strv_contains(g_themed_icon_get_names(G_THEMED_ICON(none)), "oriel-other"));
	g_assert_cmpint(oriel_system_family_of("nonsense"), ==, ORIEL_FAMILY_OTHER);
}

/* A host without osinfo-db */
static void test_without_database(void)
{
	g_autoptr(OrielSystems) bare = NULL;
	g_autofree char *folder = g_dir_make_tmp("oriel-media-XXXXXX", NULL);
	g_autofree char *iso = g_build_filename(folder, "a.iso", NULL);
	g_autoptr(OrielMedia) media = NULL;
	const struct oriel_system_info *info;

	g_setenv("OSINFO_SYSTEM_DIR", folder, TRUE);
	g_setenv("OSINFO_LOCAL_DIR", folder, TRUE);
	g_setenv("OSINFO_USER_DIR", folder, TRUE);
	bare = oriel_systems_new();
	g_assert_null(oriel_systems_find(bare, "win11"));
	g_assert_nonnull(oriel_systems_find(bare, "debian12"));
	write_header(iso, &(struct header){ "Fedora-WS-Live-41-1-4", "LINUX", NULL, NULL, NULL });
	media = oriel_media_recognise(bare, iso, NULL, NULL);
	info = oriel_system_get_info(oriel_media_get_info(media)->system);
	g_assert_cmpstr(info->id, ==, "fedora41");
	g_assert_cmpint(info->family, ==, ORIEL_FAMILY_LINUX);
	g_assert_cmpuint(info->recommended.memory, ==, 4 * GIB);
	g_unsetenv("OSINFO_SYSTEM_DIR");
	g_unsetenv("OSINFO_LOCAL_DIR");
	g_unsetenv("OSINFO_USER_DIR");
	g_unlink(iso);
	g_rmdir(folder);
}

#define ADD(name, data, function) g_test_add("/media/" name, struct fixture, data, set_up, function, tear_down)

int main(int argc, char **argv)
{
	int status;

	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(argc, ==, 2);
	systems = oriel_systems_new();
	ADD("headers", NULL, test_headers);
	ADD("windows", NULL, test_windows);
	ADD("udf", NULL, test_udf);
	ADD("packaged", argv[1], test_packaged);
	ADD("treeinfo", NULL, test_treeinfo);
	ADD("absurd", NULL, test_absurd);
	ADD("loop", NULL, test_loop);
	ADD("truncated", NULL, test_truncated);
	ADD("damaged", NULL, test_damaged);
	ADD("asynchronous", NULL, test_asynchronous);
	ADD("unreadable", NULL, test_unreadable);
	ADD("disk-formats", NULL, test_disk_formats);
	g_test_add_func("/media/systems", test_systems);
	g_test_add_func("/media/needs", test_needs);
	g_test_add_func("/media/families", test_families);
	g_test_add_func("/media/without-database", test_without_database);
	status = g_test_run();
	g_object_unref(systems);
	return status;
}
