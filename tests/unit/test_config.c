/* machine.conf: what it means, what it must not contain, and that saving it loses nothing. */
#include "../../vmm/config/config.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

struct folder {
	char *path;
	char *file;
};

static void folder_set_up(struct folder *folder, gconstpointer unused)
{
	(void)unused;
	folder->path = g_dir_make_tmp("oriel-config-XXXXXX", NULL);
	g_assert_nonnull(folder->path);
	folder->file = g_build_filename(folder->path, "machine.conf", NULL);
}

/* What a failed save must not leave behind is checked here too: the folder holds nothing but machine.conf. */
static void folder_tear_down(struct folder *folder, gconstpointer unused)
{
	(void)unused;
	g_rmdir(folder->file);
	g_unlink(folder->file);
	g_assert_cmpint(g_rmdir(folder->path), ==, 0);
	g_free(folder->file);
	g_free(folder->path);
}

static void write_file(struct folder *folder, const char *text)
{
	g_assert_true(g_file_set_contents(folder->file, text, -1, NULL));
}

static char *read_file(struct folder *folder)
{
	char *text = NULL;

	g_assert_true(g_file_get_contents(folder->file, &text, NULL, NULL));
	return text;
}

static struct machine_config *load(struct folder *folder, const char *text)
{
	struct machine_config *config;
	GError *error = NULL;

	write_file(folder, text);
	config = machine_config_load(folder->path, &error);
	g_assert_no_error(error);
	g_assert_nonnull(config);
	return config;
}

static void save(struct machine_config *config)
{
	GError *error = NULL;

	g_assert_true(machine_config_save(config, &error));
	g_assert_no_error(error);
}

static void test_defaults(struct folder *folder, gconstpointer unused)
{
	static const char *const minimal[] = { "", "[machine]\n", "# nothing\n\n" };

	(void)unused;
	for (unsigned i = 0; i < G_N_ELEMENTS(minimal); i++) {
		struct machine_config *config = load(folder, minimal[i]);

		g_assert_cmpstr(config->folder, ==, folder->path);
		g_assert_null(config->name);
		g_assert_true(g_uuid_string_is_valid(config->uuid));
		g_assert_cmpuint(config->cpus, ==, MIN(2, g_get_num_processors()));
		g_assert_cmpuint(config->memory, ==, 1024ull << 20);
		g_assert_cmpint(config->boot, ==, CONFIG_BOOT_DISK_FIRST);
		g_assert_false(config->boot_menu);
		g_assert_cmpuint(config->vram, ==, 16 << 20);
		g_assert_cmpint(config->serial, ==, CONFIG_SERIAL_LOG);
		g_assert_cmpint(config->sound, ==, CONFIG_SOUND_HDA);
		g_assert_cmpint(config->sound_backend, ==, CONFIG_SOUND_PULSE);
		g_assert_false(config->microphone);
		g_assert_cmpuint(config->display_width, ==, 1280);
		for (unsigned port = 0; port < CONFIG_DISKS; port++)
			g_assert_false(config->has_disk[port]);
		g_assert_cmpint(config->usb, ==, CONFIG_USB_XHCI);
		g_assert_true(config->usb_tablet && !config->usb_keyboard && !config->has_stick[0]);
		g_assert_null(config->kernel);
		g_assert_null(config->firmware_path);
		machine_config_free(config);
	}
}

static void test_vram_follows_mode(struct folder *folder, gconstpointer unused)
{
	struct machine_config *config = load(folder, "[display]\nwidth=3840\nheight=2160\n");
	g_autofree char *text = NULL;

	(void)unused;
	g_assert_cmpuint(config->vram, ==, 32 << 20);
	save(config);
	text = read_file(folder);
	g_assert_null(strstr(text, "vram"));
	machine_config_free(config);
}

static void test_everything(struct folder *folder, gconstpointer unused)
{
	struct machine_config *config = load(folder,
		"[machine]\nname = Bürorechner \nsystem=win11\nuuid=9f0ab1c2-5d34-4e6f-8a9b-0c1d2e3f4a5b\ncpus=255\nmemory=4194304\n"
		"boot=cd\nboot-menu=true\n"
		"[display]\nvram=64\nwidth=1920\nheight=1080\n"
		"[serial]\nmode=socket\n"
		"[sound]\ndevice=hda\nbackend=null\nmicrophone=true\n"
		"[disk0]\npath=disks/system.img\nformat=qcow2\nread-only=true\ncache=none\nerrors=report\nssd=false\nserial=ORIEL 1\n"
		"[cd3]\n"
		"[cd5]\npath=/isos/install.iso\n"
		"[usb]\ncontroller=xhci\ntablet=false\nkeyboard=true\n"
		"[stick3]\npath=s.qcow2\nread-only=true\n"
		"[firmware]\nbios=/b.bin\nvga-rom=v.bin\nlog=true\n"
		"[kernel]\nkernel=vmlinux\ninitrd=initrd.gz\ncommand-line=console=ttyS0 root=/dev/sda\n");
	g_autofree char *path = machine_config_path(config, config->disks[0].path);
	g_autofree char *expected = g_build_filename(folder->path, "disks/system.img", NULL);
	g_autofree char *absolute = machine_config_path(config, config->disks[5].path);

	(void)unused;
	g_assert_cmpstr(config->name, ==, "Bürorechner");
	g_assert_cmpstr(config->system, ==, "win11");
	g_assert_cmpstr(config->uuid, ==, "9f0ab1c2-5d34-4e6f-8a9b-0c1d2e3f4a5b");
	g_assert_cmpuint(config->cpus, ==, 255);
	g_assert_cmpuint(config->memory, ==, 4ull << 40);
	g_assert_cmpint(config->boot, ==, CONFIG_BOOT_CD_FIRST);
	g_assert_true(config->boot_menu);
	g_assert_cmpuint(config->vram, ==, 64 << 20);
	g_assert_cmpuint(config->display_width, ==, 1920);
	g_assert_cmpuint(config->display_height, ==, 1080);
	g_assert_cmpint(config->serial, ==, CONFIG_SERIAL_SOCKET);
	g_assert_cmpint(config->sound, ==, CONFIG_SOUND_HDA);
	g_assert_cmpint(config->sound_backend, ==, CONFIG_SOUND_NULL);
	g_assert_true(config->microphone);
	g_assert_true(config->has_disk[0] && config->has_disk[3] && config->has_disk[5]);
	g_assert_cmpint(config->disks[0].kind, ==, CONFIG_DISK);
	g_assert_cmpint(config->disks[0].format, ==, CONFIG_FORMAT_QCOW2);
	g_assert_true(config->disks[0].read_only && config->disks[0].cache_none && !config->disks[0].ssd);
	g_assert_true(config->disks[0].report_errors);
	g_assert_cmpstr(config->disks[0].serial, ==, "ORIEL 1");
	g_assert_cmpstr(path, ==, expected);
	g_assert_cmpint(config->disks[3].kind, ==, CONFIG_CD);
	g_assert_null(config->disks[3].path);
	g_assert_true(config->disks[3].read_only && !config->disks[3].ssd);
	g_assert_cmpstr(absolute, ==, "/isos/install.iso");
	g_assert_true(config->usb_keyboard && !config->usb_tablet);
	g_assert_true(config->has_stick[3] && !config->has_stick[0] && !config->has_disk[1]);
	g_assert_cmpint(config->sticks[3].kind, ==, CONFIG_STICK);
	g_assert_cmpstr(config->sticks[3].path, ==, "s.qcow2");
	g_assert_true(config->sticks[3].read_only);
	g_assert_cmpstr(config->firmware_path, ==, "/b.bin");
	g_assert_cmpstr(config->vga_rom_path, ==, "v.bin");
	g_assert_true(config->firmware_log);
	g_assert_cmpstr(config->kernel, ==, "vmlinux");
	g_assert_cmpstr(config->command_line, ==, "console=ttyS0 root=/dev/sda");
	machine_config_free(config);
}

static void test_broken(struct folder *folder, gconstpointer unused)
{
	/* Every message names the line, and what else helps. */
	static const struct {
		const char *text, *line, *words[3];
	} broken[] = {
		{ "[machine]\n\ncpus 4\n", "line 3:", { "key=value" } },
		{ "cpus=4\n", "line 1:", { "[machine]" } },
		{ "# x\n[machine\ncpus=4\n", "line 2:", { "[name]" } },
		{ "[machine]\n=4\n", "line 2:", { "key=value" } },
		{ "[machine]\nname=\xff\xfe\n", "line 2:", { "UTF-8" } },
		{ "[machine]\ncpus=0\n", "line 2:", { "[machine] cpus", "\"0\"", "1 to 255" } },
		{ "[machine]\n#cpus=1\ncpus = 256\n", "line 3:", { "[machine] cpus", "\"256\"", "1 to 255" } },
		{ "[machine]\ncpus=-1\n", "line 2:", { "\"-1\"" } },
		{ "[machine]\ncpus=two\n", "line 2:", { "\"two\"" } },
		{ "[machine]\ncpus=\n", "line 2:", { "1 to 255" } },
		{ "[machine]\ncpus=2\n[machine]\ncpus=3x\n", "line 4:", { "\"3x\"" } },
		{ "[machine]\nmemory=63\n", "line 2:", { "memory", "\"63\"", "64 to 4194304 MiB" } },
		{ "[machine]\nmemory=4194305\n", "line 2:", { "64 to 4194304 MiB" } },
		{ "[machine]\nmemory=99999999999999999999999\n", "line 2:", { "64 to 4194304 MiB" } },
		{ "[machine]\nboot=floppy\n", "line 2:", { "\"floppy\"", "disk, cd" } },
		{ "[machine]\nboot-menu=maybe\n", "line 2:", { "\"maybe\"", "false, true" } },
		{ "[machine]\nuuid=12\n", "line 2:", { "uuid", "\"12\"" } },
		{ "[machine]\nname=\n", "line 2:", { "name", "empty" } },
		{ "[machine]\nname=a\\qb\n", "line 2:", { "name" } },
		{ "[machine]\nname=a\\nb\n", "line 2:", { "control characters" } },
		{ "[display]\nvram=24\n", "line 2:", { "power of two", "1 to 256 MiB" } },
		{ "[display]\nvram=512\n", "line 2:", { "\"512\"" } },
		{ "[display]\nwidth=100\n", "line 2:", { "640 to 4095" } },
		{ "[display]\nvram=4\nwidth=1920\nheight=1080\n", "line 2:", { "4 MiB", "1920x1080", "16" } },
		{ "[serial]\nmode=file\n", "line 2:", { "none, log, pty, socket" } },
		{ "[sound]\ndevice=ac97\n", "line 2:", { "hda, none" } },
		{ "[disk6]\npath=a\n", "line 1:", { "[disk6]", "disk0 to disk5" } },
		{ "[disk]\npath=a\n", "line 1:", { "disk0 to disk5" } },
		{ "[cd00]\n", "line 1:", { "cd0 to cd5" } },
		{ "[disk1]\nssd=true\n", "line 1:", { "[disk1]", "path" } },
		{ "[disk1]\npath=a\n\n[cd1]\n", "line 4:", { "[cd1]", "already taken by [disk1]" } },
		{ "[disk1]\npath=a\ncache=unsafe\n", "line 3:", { "writeback, none" } },
		{ "[disk1]\npath=a\nerrors=stop\n", "line 3:", { "pause, report" } },
		{ "[disk1]\npath=a\nserial=123456789012345678901\n", "line 3:", { "serial", "20" } },
		{ "[disk1]\npath=a\nserial=Größe\n", "line 3:", { "ASCII" } },
		{ "[cd1]\nread-only=false\n", "line 2:", { "always read-only" } },
		{ "[cd1]\nbus=nvme\n", "line 2:", { "[cd1] bus", "ahci" } },
		{ "[disk1]\npath=a\nbus=ide\n", "line 3:", { "ahci, nvme" } },
		{ "[usb]\ncontroller=uhci\n", "line 2:", { "xhci, none" } },
		{ "[stick4]\npath=a\n", "line 1:", { "[stick4]", "stick0 to stick3" } },
		{ "[stick1]\n", "line 1:", { "[stick1]", "path" } },
		{ "[stick1]\npath=a\n[usb]\ncontroller=none\n", "line 1:", { "[stick1]", "xhci" } },
		{ "[kernel]\ninitrd=a\n", "line 2:", { "[kernel] initrd", "kernel" } },
		{ "[kernel]\ncommand-line=a\n", "line 2:", { "[kernel] command-line" } },
	};

	(void)unused;
	for (unsigned i = 0; i < G_N_ELEMENTS(broken); i++) {
		g_autoptr(GError) error = NULL;

		write_file(folder, broken[i].text);
		g_assert_null(machine_config_load(folder->path, &error));
		g_assert_nonnull(error);
		g_test_message("%s", error->message);
		g_assert_nonnull(strstr(error->message, folder->file));
		g_assert_nonnull(strstr(error->message, broken[i].line));
		for (unsigned word = 0; word < 3 && broken[i].words[word]; word++)
			g_assert_nonnull(strstr(error->message, broken[i].words[word]));
	}
}

static void expect_unreadable(const char *folder, const char *word)
{
	g_autoptr(GError) error = NULL;

	g_assert_null(machine_config_load(folder, &error));
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, "machine.conf"));
	g_assert_nonnull(strstr(error->message, word));
}

static void test_unreadable(struct folder *folder, gconstpointer unused)
{
	g_autofree char *missing = g_build_filename(folder->path, "missing", NULL);
	uid_t user = geteuid();

	(void)unused;
	expect_unreadable(folder->path, "create the file");
	expect_unreadable(missing, "no such folder");
	g_assert_cmpint(mkfifo(folder->file, 0600), ==, 0);
	expect_unreadable(folder->path, "regular file");
	g_unlink(folder->file);
	g_assert_cmpint(g_mkdir(folder->file, 0700), ==, 0);
	expect_unreadable(folder->path, "regular file");
	g_rmdir(folder->file);
	write_file(folder, "");
	expect_unreadable(folder->file, "name the folder");
	g_assert_cmpint(truncate(folder->file, 1 << 30), ==, 0);
	expect_unreadable(folder->path, "KiB");
	g_assert_cmpint(truncate(folder->file, 0), ==, 0);
	/* Root reads everything: be somebody else meanwhile. */
	g_assert_cmpint(chmod(folder->path, 0), ==, 0);
	if (user == 0)
		g_assert_cmpint(seteuid(NOBODY), ==, 0);
	expect_unreadable(folder->path, "permissions");
	g_assert_cmpint(seteuid(user), ==, 0);
	g_assert_cmpint(chmod(folder->path, 0700), ==, 0);
}

static void test_save_keeps(struct folder *folder, gconstpointer unused)
{
	static const char text[] =
		"# my machine\n[machine]\ncpus=1\n# slow host\nfuture=yes\nmemory=512\n\n[disk0]\npath=a.img\nwear=3\n\n"
		"[cd1]\n\n[sound]\ncard=hda\n";
	struct machine_config *config = load(folder, text);
	g_autofree char *same = NULL, *twice = NULL, *changed = NULL, *uuid = g_strdup(config->uuid);
	struct machine_config *again;

	(void)unused;
	save(config);
	same = read_file(folder);
	again = load(folder, same);
	save(again);
	machine_config_free(again);
	twice = read_file(folder);
	g_assert_cmpstr(same, ==, twice);
	g_assert_true(g_str_has_prefix(same, "# my machine\n"));
	g_assert_nonnull(strstr(same, "[machine]\ncpus=1\n# slow host\nfuture=yes\nmemory=512\n"));
	g_assert_nonnull(strstr(same, "[sound]\ncard=hda\n"));
	g_assert_nonnull(strstr(same, "wear=3"));
	g_assert_null(strstr(same, "vram"));
	g_assert_null(strstr(same, "uuid"));
	config->memory = 768ull << 20;
	config->vram = 32ull << 20;
	config->name = g_strdup("a\\b c");
	config->has_disk[0] = false;
	config->disks[1].path = g_strdup("/x y.iso");
	save(config);
	machine_config_free(config);
	changed = read_file(folder);
	g_assert_null(strstr(changed, "wear"));
	config = load(folder, changed);
	g_assert_cmpuint(config->memory, ==, 768ull << 20);
	g_assert_cmpuint(config->vram, ==, 32 << 20);
	g_assert_cmpstr(config->name, ==, "a\\b c");
	g_assert_cmpstr(config->uuid, ==, uuid);
	g_assert_cmpuint(config->cpus, ==, 1);
	g_assert_false(config->has_disk[0]);
	g_assert_cmpstr(config->disks[1].path, ==, "/x y.iso");
	g_assert_cmpint(config->disks[1].kind, ==, CONFIG_CD);
	g_assert_nonnull(strstr(changed, "future=yes"));
	machine_config_free(config);
}

static void test_save_every_field(struct folder *folder, gconstpointer unused)
{
	struct machine_config *config = load(folder, "");

	(void)unused;
	config->boot = CONFIG_BOOT_CD_FIRST;
	config->boot_menu = true;
	config->serial = CONFIG_SERIAL_PTY;
	config->display_height = 900;
	config->kernel = g_strdup("k");
	config->has_disk[2] = true;
	config->disks[2] = (struct config_disk){ .path = g_strdup("d"), .format = CONFIG_FORMAT_RAW,
		.read_only = true, .cache_none = true, .report_errors = true, .serial = g_strdup("S 1"),
		.bus = CONFIG_BUS_NVME };
	config->has_disk[4] = true;
	config->disks[4] = (struct config_disk){ .kind = CONFIG_CD, .read_only = true };
	save(config);
	machine_config_free(config);
	config = machine_config_load(folder->path, NULL);
	g_assert_nonnull(config);
	g_assert_cmpint(config->boot, ==, CONFIG_BOOT_CD_FIRST);
	g_assert_true(config->boot_menu);
	g_assert_cmpint(config->serial, ==, CONFIG_SERIAL_PTY);
	g_assert_cmpuint(config->display_height, ==, 900);
	g_assert_cmpstr(config->kernel, ==, "k");
	g_assert_true(config->has_disk[2] && config->disks[2].read_only && config->disks[2].cache_none);
	g_assert_cmpint(config->disks[2].bus, ==, CONFIG_BUS_NVME);
	g_assert_true(config->disks[2].report_errors);
	g_assert_cmpint(config->disks[2].format, ==, CONFIG_FORMAT_RAW);
	g_assert_false(config->disks[2].ssd);
	g_assert_cmpstr(config->disks[2].serial, ==, "S 1");
	g_assert_true(config->has_disk[4]);
	g_assert_cmpint(config->disks[4].kind, ==, CONFIG_CD);
	/* A drive of the other kind on the same port takes the old one's place in the file. */
	config->disks[2].kind = CONFIG_CD;
	config->disks[2].bus = CONFIG_BUS_AHCI;
	save(config);
	machine_config_free(config);
	config = machine_config_load(folder->path, NULL);
	g_assert_nonnull(config);
	g_assert_cmpint(config->disks[2].kind, ==, CONFIG_CD);
	machine_config_free(config);
}

static void test_save_keeps_permissions(struct folder *folder, gconstpointer unused)
{
	struct machine_config *config = load(folder, "");
	struct stat status;

	(void)unused;
	g_assert_cmpint(chmod(folder->file, 0640), ==, 0);
	save(config);
	g_assert_cmpint(stat(folder->file, &status), ==, 0);
	g_assert_cmphex(status.st_mode & 0777, ==, 0640);
	machine_config_free(config);
}

static void expect_not_saved(struct machine_config *config, const char *word)
{
	g_autoptr(GError) error = NULL;

	config->memory = 128ull << 20;
	g_assert_false(machine_config_save(config, &error));
	g_assert_nonnull(error);
	g_assert_nonnull(strstr(error->message, "machine.conf"));
	g_assert_nonnull(strstr(error->message, word));
}

/* A write that the file system refuses half-way, as a full disk does. */
static void test_save_on_full_disk(struct folder *folder, gconstpointer unused)
{
	static const char text[] = "[machine]\nmemory=256\n";
	struct machine_config *config = load(folder, text);
	g_autofree char *after = NULL;
	struct rlimit old, limit;

	(void)unused;
	signal(SIGXFSZ, SIG_IGN);
	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &old), ==, 0);
	limit = old;
	limit.rlim_cur = 5;
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limit), ==, 0);
	expect_not_saved(config, g_strerror(EFBIG));
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &old), ==, 0);
	after = read_file(folder);
	g_assert_cmpstr(after, ==, text);
	machine_config_free(config);
}

static void test_save_in_read_only_folder(struct folder *folder, gconstpointer unused)
{
	static const char text[] = "[machine]\nmemory=256\n";
	struct machine_config *config = load(folder, text);
	g_autofree char *after = NULL;
	uid_t user = geteuid();

	(void)unused;
	g_assert_cmpint(chmod(folder->path, 0555), ==, 0);
	if (user == 0)
		g_assert_cmpint(seteuid(NOBODY), ==, 0);
	expect_not_saved(config, "allow writing");
	g_assert_cmpint(seteuid(user), ==, 0);
	g_assert_cmpint(chmod(folder->path, 0700), ==, 0);
	after = read_file(folder);
	g_assert_cmpstr(after, ==, text);
	machine_config_free(config);
}

static void test_socket_path(struct folder *folder, gconstpointer unused)
{
	struct machine_config *config = load(folder, "");
	g_autofree char *path = machine_config_socket_path(config);
	g_autofree char *name = g_path_get_basename(folder->path);
	g_autofree char *end = g_strdup_printf("/oriel/%s.sock", name);
	g_autofree char *long_path = NULL, *again = NULL;

	(void)unused;
	g_assert_true(g_str_has_suffix(path, end));
	g_free(config->folder);
	config->folder = g_strdup_printf("/m/%0200d", 1);
	long_path = machine_config_socket_path(config);
	g_assert_cmpuint(strlen(long_path), <, 108);
	g_assert_true(g_str_has_suffix(long_path, ".sock"));
	again = machine_config_socket_path(config);
	g_assert_cmpstr(long_path, ==, again);
	machine_config_free(config);
}

/* What the settings do: single values, by their names. */
static void test_values(struct folder *folder, gconstpointer unused)
{
	static const char *const good[][3] = {
		{ "machine", "cpus", "7" }, { "machine", "memory", "4096" }, { "machine", "boot", "cd" },
		{ "machine", "notes", "two\nlines, \\ and\ta tab" }, { "network", "mac", "02:00:00:00:00:01" },
		{ "network", "device", "e1000" }, { "network", "link", "false" }, { "disk0", "cache", "none" },
		{ "disk0", "path", "/elsewhere/b.img" }, { "cd1", "path", "" }, { "machine", "name", "" },
	};
	static const char *const bad[][3] = {
		{ "machine", "cpus", "0" }, { "machine", "cpus", "" }, { "machine", "memory", "1 GiB" },
		{ "network", "mac", "nonsense" }, { "network", "mac", "" }, { "machine", "name", "two\nlines" },
		{ "network", "device", "ne2000" }, { "disk1", "cache", "none" }, { "machine", "nose", "1" },
		{ "disk0", "cache", "" }, { "machine", "version", "2" },
	};
	struct machine_config *config = load(folder, "# mine\n[machine]\nname=x\ncolour=red\n[disk0]\npath=a.img\n"
						     "[cd1]\npath=b.iso\n");
	g_autofree char *text = NULL;

	(void)unused;
	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
		GError *error = NULL;

		g_assert_true(machine_config_set(config, good[i][0], good[i][1], good[i][2], &error));
		g_assert_no_error(error);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GError) error = NULL;

		g_assert_false(machine_config_set(config, bad[i][0], bad[i][1], bad[i][2], &error));
		g_assert_nonnull(error);
	}
	save(config);
	machine_config_free(config);
	config = machine_config_load(folder->path, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
		g_autofree char *value = machine_config_get(config, good[i][0], good[i][1]);

		g_assert_cmpstr(value, ==, good[i][2]);
	}
	g_assert_cmpstr(config->notes, ==, "two\nlines, \\ and\ta tab");
	machine_config_free(config);
	text = read_file(folder);
	g_assert_nonnull(strstr(text, "# mine\n"));
	g_assert_nonnull(strstr(text, "colour=red\n"));
}

/* Video memory grows with the mode, but not what somebody has chosen; and nothing is written that cannot be read. */
static void test_values_together(struct folder *folder, gconstpointer unused)
{
	struct machine_config *config = load(folder, "");
	g_autofree char *before = NULL, *after = NULL;
	g_autoptr(GError) error = NULL;

	(void)unused;
	g_assert_true(machine_config_set(config, "display", "width", "3840", NULL));
	g_assert_true(machine_config_set(config, "display", "height", "2160", NULL));
	g_assert_cmpuint(config->vram, ==, 32 << 20);
	save(config);
	machine_config_free(config);
	before = read_file(folder);
	g_assert_null(strstr(before, "vram"));
	config = load(folder, "[display]\nvram=64\n");
	g_assert_true(machine_config_set(config, "display", "width", "3840", NULL));
	g_assert_cmpuint(config->vram, ==, 64 << 20);
	g_assert_true(machine_config_set(config, "display", "vram", "1", NULL));
	g_assert_false(machine_config_save(config, &error));
	g_assert_nonnull(strstr(error->message, "too little"));
	after = read_file(folder);
	g_assert_cmpstr(after, ==, "[display]\nvram=64\n");
	machine_config_free(config);
}

#define ADD(name, test) g_test_add("/config/" name, struct folder, NULL, folder_set_up, test, folder_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("defaults", test_defaults);
	ADD("vram-follows-mode", test_vram_follows_mode);
	ADD("everything", test_everything);
	ADD("broken", test_broken);
	ADD("unreadable", test_unreadable);
	ADD("save/keeps", test_save_keeps);
	ADD("save/every-field", test_save_every_field);
	ADD("save/permissions", test_save_keeps_permissions);
	ADD("save/full-disk", test_save_on_full_disk);
	ADD("save/read-only-folder", test_save_in_read_only_folder);
	ADD("socket-path", test_socket_path);
	ADD("values", test_values);
	ADD("values-together", test_values_together);
	return g_test_run();
}
