/*
 * What a user hears who starts a machine that cannot run: each time a message that names the thing and says what to
 * do, and no traces. Nothing of it needs a guest, except for those that run already.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

/* Every text must be in the message. */
static void expect_texts(const char *message, va_list texts)
{
	const char *text;

	/* One line, for a user and not for a programmer. */
	if (!g_str_has_prefix(message, "oriel-vm: ") || strchr(message, '\n') != message + strlen(message) - 1)
		g_error("not one line of ours: %s", message);
	while ((text = va_arg(texts, const char *)))
		if (!strstr(message, text))
			g_error("no \"%s\" in: %s", text, message);
	g_test_message("%s", message);
}

static void refuse(struct guest *guest, bool save, ...) G_GNUC_NULL_TERMINATED;

static void refuse(struct guest *guest, bool save, ...)
{
	g_autofree char *message = guest_start_refused(guest, save);
	va_list texts;

	va_start(texts, save);
	expect_texts(message, texts);
	va_end(texts);
}

static char *in_folder(const struct guest *guest, const char *name)
{
	return g_build_filename(guest_folder(guest), name, NULL);
}

static void write_config(const struct guest *guest, const char *text)
{
	g_autofree char *path = in_folder(guest, "machine.conf");

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void test_folders(void)
{
	struct guest *guest = guest_new("folders");
	g_autofree char *conf = in_folder(guest, "machine.conf");

	refuse(guest, false, "machine.conf", "The folder is no machine", NULL);
	g_assert_no_errno(g_mkdir(conf, 0700));
	refuse(guest, false, "machine.conf", "must be a regular file", NULL);
	g_assert_no_errno(g_rmdir(conf));
	g_assert_no_errno(g_rmdir(guest_folder(guest)));
	refuse(guest, false, "There is no such folder", NULL);
	g_assert_true(g_file_set_contents(guest_folder(guest), "", 0, NULL));
	refuse(guest, false, "A machine is a folder", NULL);
	guest_free(guest);
}

/* Without capabilities permissions count for root, too. */
static void drop_capabilities(struct guest *guest)
{
	guest_set_launcher(guest, "setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", NULL);
}

static void test_unreadable(void)
{
	struct guest *guest = guest_new("unreadable");
	g_autofree char *conf = in_folder(guest, "machine.conf");

	if (geteuid() == 0)
		drop_capabilities(guest);
	write_config(guest, "[machine]\n");
	g_assert_no_errno(g_chmod(conf, 0));
	refuse(guest, false, conf, "You may not read it", NULL);
	g_assert_no_errno(g_chmod(conf, 0600));
	g_assert_no_errno(g_chmod(guest_folder(guest), 0));
	refuse(guest, false, "You may not read it", NULL);
	/* What can be read, but not written, has no place for the log. */
	g_assert_no_errno(g_chmod(guest_folder(guest), 0500));
	refuse(guest, false, guest_folder(guest), "log", "Permission denied", "write permission", NULL);
	g_assert_no_errno(g_chmod(guest_folder(guest), 0700));
	guest_free(guest);
}

static void test_configuration(void)
{
	static const struct { const char *text, *line, *what; } cases[] = {
		{ "[machine]\ncpus=2\nmemory=lots\n", "line 3", "memory" },
		{ "[machine]\ncpus=300\n", "line 2", "255" },
		{ "[machine]\nmemory=63\n", "line 2", "64" },
		{ "\n\n[machine\n", "line 3", "[name]" },
		{ "cpus=1\n", "line 1", "needs a group" },
		{ "[machine]\n\nnonsense\n", "line 3", "key=value" },
		{ "[machine]\nname=\xff\xfe\n", "line 2", "UTF-8" },
		{ "[machine]\nboot=floppy\n", "line 2", "disk, cd" },
		{ "[machine]\n[disk9]\npath=x\n", "line 2", "no such port" },
		{ "[machine]\n[disk1]\npath=x\n[cd1]\n", "line 4", "already taken" },
		{ "[disk0]\nssd=true\n", "line 1", "path is missing" },
		{ "[display]\nvram=3\n", "line 2", "power of two" },
		{ "[serial]\nmode=usb\n", "line 2", "socket" },
	};
	struct guest *guest = guest_new("configuration");

	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
		write_config(guest, cases[i].text);
		refuse(guest, false, "machine.conf, ", cases[i].line, cases[i].what, NULL);
	}
	guest_free(guest);
}

static void test_images(void)
{
	struct guest *guest = guest_new("images");
	g_autofree char *empty = in_folder(guest, "empty.img");
	g_autofree char *folder = in_folder(guest, "folder.img");
	g_autofree char *fifo = in_folder(guest, "fifo.img");

	guest_set_disc(guest, "/nonexistent/disc.iso");
	refuse(guest, true, "disc image /nonexistent/disc.iso", "Put the file back, or choose another", NULL);
	g_assert_true(g_file_set_contents(empty, "", 0, NULL));
	guest_set_disc(guest, "empty.img");
	refuse(guest, true, empty, "is empty", NULL);
	g_assert_no_errno(g_mkdir(folder, 0700));
	guest_set_disc(guest, "folder.img");
	refuse(guest, true, folder, "is a folder", NULL);
	guest_free(guest);

	guest = guest_new("images");
	guest_set(guest, "disk0", "path", "missing.img");
	refuse(guest, true, "disk image", "missing.img", "Put the file back, or choose another", NULL);
	g_clear_pointer(&empty, g_free);
	empty = in_folder(guest, "empty.img");
	g_assert_true(g_file_set_contents(empty, "", 0, NULL));
	guest_set(guest, "disk0", "path", "empty.img");
	refuse(guest, true, empty, "is empty (0 bytes)", "Create a disk", NULL);
	g_clear_pointer(&folder, g_free);
	folder = in_folder(guest, "folder.img");
	g_assert_no_errno(g_mkdir(folder, 0700));
	guest_set(guest, "disk0", "path", "folder.img");
	refuse(guest, true, folder, "is a folder, not a disk image", NULL);
	g_clear_pointer(&fifo, g_free);
	fifo = in_folder(guest, "fifo.img");
	g_assert_no_errno(mkfifo(fifo, 0600));
	guest_set(guest, "disk0", "path", "fifo.img");
	refuse(guest, true, fifo, "neither a regular file nor a host disk", NULL);
	guest_free(guest);
}

/* A namespace in which a command changes what the machine finds. */
static void in_namespace(struct guest *guest, const char *command)
{
	g_autofree char *script = g_strdup_printf("%s && exec \"$@\"", command);

	if (geteuid())
		guest_set_launcher(guest, "unshare", "--mount", "--map-root-user", "sh", "-c", script, "sh", NULL);
	else
		guest_set_launcher(guest, "unshare", "--mount", "sh", "-c", script, "sh", NULL);
}

static void test_firmware(void)
{
	struct guest *guest = guest_new("firmware");

	guest_set(guest, "firmware", "bios", "missing.bin");
	refuse(guest, true, "missing.bin", "No such file", NULL);
	guest_set(guest, "firmware", "bios", "machine.conf");
	refuse(guest, true, "machine.conf", NULL);
	guest_free(guest);
	guest = guest_new("firmware");
	guest_set(guest, "firmware", "vga-rom", "missing.rom");
	refuse(guest, true, "missing.rom", "No such file", NULL);
	guest_free(guest);
	guest = guest_new("firmware");
	in_namespace(guest, "mount -t tmpfs none /usr/share/seabios");
	refuse(guest, true, "Install the package seabios", NULL);
	guest_free(guest);
}

/* Looked for when the machine is switched on, also when that is done again. */
static void test_kernel(void)
{
	struct guest *guest = guest_new("kernel");

	guest_set(guest, "kernel", "kernel", "missing.elf");
	guest_start(guest);
	for (int i = 0; i < 2; i++) {
		g_assert_nonnull(strstr(guest_wait_state(guest, "crashed", 10), "missing.elf"));
		g_variant_unref(guest_call(guest, "Reset", NULL));
	}
	g_variant_unref(guest_call(guest, "Stop", NULL));
	guest_wait_end(guest, 10);
	guest_free(guest);
}

static void test_size(void)
{
	struct guest *guest = guest_new("size");

	/* 4 TiB: more than any host of these tests has. */
	guest_set(guest, "machine", "memory", "4194304");
	refuse(guest, true, "4194304 MiB of memory", "Give the machine less memory", NULL);
	guest_free(guest);
}

static void test_no_kvm(void)
{
	struct guest *guest = guest_new("nokvm");
	g_autofree char *plain = in_folder(guest, "plain");
	g_autofree char *bind = g_strdup_printf("mount --bind '%s' /dev/kvm", plain);
	g_autofree char *forbid = g_strdup_printf("%s && set -- setpriv --bounding-set=-all --inh-caps=-all "
						  "--ambient-caps=-all \"$@\"", bind);

	in_namespace(guest, "mount -t tmpfs none /dev");
	refuse(guest, true, "Cannot open /dev/kvm: No such file or directory", "modprobe kvm_intel", NULL);
	g_assert_true(g_file_set_contents(plain, "", 0, NULL));
	g_assert_no_errno(g_chmod(plain, 0));
	in_namespace(guest, forbid);
	refuse(guest, true, "Cannot open /dev/kvm: Permission denied", "usermod -aG kvm", NULL);
	/* Something else of that name. */
	g_assert_no_errno(g_chmod(plain, 0600));
	in_namespace(guest, bind);
	refuse(guest, true, "/dev/kvm does not answer as KVM", NULL);
	guest_free(guest);
}

static void test_runtime_folder(void)
{
	struct guest *guest = guest_new("runtime");
	g_autofree char *plain = in_folder(guest, "plain");
	g_autofree char *locked = in_folder(guest, "locked");

	g_assert_true(g_file_set_contents(plain, "", 0, NULL));
	guest_set_environment(guest, "XDG_RUNTIME_DIR", plain);
	refuse(guest, true, plain, "Not a directory", "Set XDG_RUNTIME_DIR", NULL);
	g_assert_no_errno(g_mkdir(locked, 0500));
	guest_set_environment(guest, "XDG_RUNTIME_DIR", locked);
	if (geteuid() == 0)
		drop_capabilities(guest);
	refuse(guest, true, locked, "Permission denied", "Set XDG_RUNTIME_DIR", NULL);
	guest_free(guest);
}

static void test_no_runtime_folder(void)
{
	struct guest *guest = guest_new("noruntime");
	g_autofree char *cache = in_folder(guest, "cache");
	g_autofree char *path = NULL;

	/* The folder that takes its place is made. */
	guest_set_environment(guest, "XDG_CACHE_HOME", cache);
	guest_set_environment(guest, "XDG_RUNTIME_DIR", NULL);
	guest_set(guest, "serial", "mode", "none");
	path = g_build_filename(cache, "oriel", "noruntime.sock", NULL);
	guest_set_socket(guest, path);
	guest_start(guest);
	guest_wait_state(guest, "running", 20);
	g_variant_unref(guest_call(guest, "Stop", NULL));
	guest_wait_end(guest, 10);
	guest_free(guest);
}

static void test_read_only_folder(void)
{
	struct guest *guest = guest_new("readonly");
	g_autofree char *command = g_strdup_printf("mount --bind '%s' '%s' && mount -o remount,bind,ro '%s'",
						   guest_folder(guest), guest_folder(guest), guest_folder(guest));

	in_namespace(guest, command);
	refuse(guest, true, guest_folder(guest), "log", "Read-only file system", "write permission", NULL);
	guest_free(guest);
}

static int run(const char *first, ...) G_GNUC_NULL_TERMINATED;

/* Exit status of a program found in PATH. */
static int run(const char *first, ...)
{
	g_autoptr(GPtrArray) arguments = g_ptr_array_new();
	g_autoptr(GSubprocess) process = NULL;
	g_autoptr(GError) error = NULL;
	va_list list;

	va_start(list, first);
	for (const char *argument = first; argument; argument = va_arg(list, const char *))
		g_ptr_array_add(arguments, (char *)argument);
	va_end(list);
	g_ptr_array_add(arguments, NULL);
	process = g_subprocess_newv((const char *const *)arguments->pdata, G_SUBPROCESS_FLAGS_STDOUT_SILENCE |
				    G_SUBPROCESS_FLAGS_STDERR_SILENCE, &error);
	g_assert_no_error(error);
	g_assert_true(g_subprocess_wait(process, NULL, &error));
	return g_subprocess_get_exit_status(process);
}

/* Somebody else has the image, or we have it. */
static void test_locked_image(gconstpointer format)
{
	struct guest *guest = guest_new("locked"), *other = guest_new("other");
	g_autofree char *image = guest_add_disk(guest, NULL, 1 << 20);
	g_autoptr(GSubprocess) qemu_io = NULL;
	g_autoptr(GDataInputStream) output = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *line = NULL;

	g_assert_cmpint(run("qemu-img", "create", "-q", "-f", format, image, "1M", NULL), ==, 0);
	guest_set(guest, "disk0", "format", "%s", (const char *)format);
	guest_set(other, "disk0", "format", "%s", (const char *)format);
	qemu_io = g_subprocess_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, &error, "qemu-io",
				   "-f", format, image, NULL);
	g_assert_no_error(error);
	/* It has the image by the time that it answers. */
	g_output_stream_write_all(g_subprocess_get_stdin_pipe(qemu_io), "length\n", 7, NULL, NULL, &error);
	g_assert_no_error(error);
	output = g_data_input_stream_new(g_subprocess_get_stdout_pipe(qemu_io));
	do {
		g_free(line);
		line = g_data_input_stream_read_line(output, NULL, NULL, &error);
		g_assert_nonnull(line);
	} while (!strstr(line, "1 MiB"));
	refuse(guest, true, image, "by another program", "two programs on one image destroy it", NULL);
	g_output_stream_write_all(g_subprocess_get_stdin_pipe(qemu_io), "quit\n", 5, NULL, NULL, &error);
	g_assert_true(g_subprocess_wait_check(qemu_io, NULL, &error));

	guest_start(guest);
	guest_wait_state(guest, "running", 20);
	g_assert_cmpint(run("qemu-io", "-f", format, "-c", "write 0 4096", image, NULL), ==, 1);
	g_assert_cmpint(run("qemu-img", "convert", "-f", format, "-O", "raw", image, "/dev/null", NULL), ==, 1);
	guest_set(other, "disk0", "path", "%s", image);
	refuse(other, true, image, "by another program", NULL);
	g_variant_unref(guest_call(guest, "Stop", NULL));
	guest_wait_end(guest, 10);
	g_assert_cmpint(run("qemu-io", "-f", format, "-c", "write 0 4096", image, NULL), ==, 0);
	guest_free(other);
	guest_free(guest);
}

/* The first of two processes does not notice the second. */
static void test_started_twice(void)
{
	struct guest *guest = guest_new("twice"), *second;
	g_autofree char *image = guest_add_disk(guest, NULL, 1 << 20);

	guest_set_test_disc(guest);
	guest_start(guest);
	guest_wait_line(guest, "screen", 60);
	second = guest_share(guest);
	refuse(second, false, "The machine is already running", NULL);
	guest_free(second);
	guest_ask(guest, 10, "ping");
	g_assert_cmpstr(guest_ask(guest, 20, "check 0 8"), ==, "check good");
	g_variant_unref(guest_call(guest, "Stop", NULL));
	guest_wait_end(guest, 10);
	guest_free(guest);
}

/* Nobody can clean up after a process that is killed: the next one does. */
static void test_killed(void)
{
	struct guest *guest = guest_new("killed");
	g_autofree char *image = guest_add_disk(guest, NULL, 1 << 20);

	guest_set_test_disc(guest);
	for (int i = 0; i < 2; i++) {
		guest_start(guest);
		guest_wait_line(guest, "screen", 60);
		guest_kill(guest, SIGKILL);
	}
	guest_start(guest);
	guest_wait_line(guest, "screen", 60);
	guest_kill(guest, SIGTERM);
	guest_wait_end(guest, 1);
	guest_free(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/bad-input/folders", test_folders);
	g_test_add_func("/bad-input/unreadable", test_unreadable);
	g_test_add_func("/bad-input/configuration", test_configuration);
	g_test_add_func("/bad-input/images", test_images);
	g_test_add_func("/bad-input/firmware", test_firmware);
	g_test_add_func("/bad-input/kernel", test_kernel);
	g_test_add_func("/bad-input/size", test_size);
	g_test_add_func("/bad-input/no-kvm", test_no_kvm);
	g_test_add_func("/bad-input/runtime-folder", test_runtime_folder);
	g_test_add_func("/bad-input/no-runtime-folder", test_no_runtime_folder);
	g_test_add_func("/bad-input/read-only-folder", test_read_only_folder);
	g_test_add_data_func("/bad-input/locked-image/raw", "raw", test_locked_image);
	g_test_add_data_func("/bad-input/locked-image/qcow2", "qcow2", test_locked_image);
	g_test_add_func("/bad-input/started-twice", test_started_twice);
	g_test_add_func("/bad-input/killed", test_killed);
	return harness_run();
}
