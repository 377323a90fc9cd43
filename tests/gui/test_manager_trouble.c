/*
 * What goes wrong, in the manager's window: each trouble is provoked for real, its words and the ways out are there, and
 * it goes on when the cause is gone. What the host lacks it lacks only in a file system of the manager's own.
 */
#include "application.h"
#include "other_host.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../guest/harness.h"

#define TILE "list item"
#define BUTTON "push button"
#define LABEL "label"
#define EMPTY_TITLE "Make your first machine"
#define MIB ((guint64)1 << 20)

/* Into the same file, which is mounted elsewhere. */
static void overwrite(const char *path, const char *text)
{
	g_assert_true(g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_NONE, 0644, NULL));
}

static void expect_asked(struct application *app, const char *expected)
{
	g_autofree char *path = g_build_filename(app->folder, "asked", NULL), *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_cmpstr(text, ==, expected);
}

/* Devices of its own, of which /dev/kvm is not one yet. */
#define OWN_DEVICES \
	"mkdir dev && mount -t tmpfs none dev\n" \
	"for node in /dev/*; do [ -b $node ] || [ -d $node ] || [ $node = /dev/kvm ] || cp -a $node dev; done\n" \
	"for folder in /dev/*/; do mkdir dev/${folder#/dev/} && mount --rbind $folder dev/${folder#/dev/}; done\n" \
	"mount --rbind dev /dev\n"
#define MAKE_KVM "mknod -m 666 /dev/kvm c 10 232"
/* And a processor and modules of its own. */
#define OWN_PROCESSOR \
	"mkdir modules && mount --bind modules /sys/module\n" \
	"mount --bind cpuinfo /proc/cpuinfo\n"

/* The firmware's package */

static void test_firmware(gconstpointer session)
{
	struct application *app;

	if (!other_host_possible())
		return;
	app = application_new((struct session *)session);
	/* Asked for the first time he gives a wrong password, and then the package comes back. */
	other_host_start(app, "mkdir empty && mount --bind empty /usr/share/seabios", "",
		 "[ -f refused ] || { touch refused; echo 'wrong password' >&2; exit 126; }\numount /usr/share/seabios");
	application_expect(app, LABEL, "*seabios is missing*");
	application_expect(app, LABEL, "sudo apt install seabios");
	application_picture(app, "trouble-firmware");
	application_press(app, BUTTON, "Check Again");
	application_expect(app, LABEL, "Nothing has changed yet.");
	application_press(app, BUTTON, "Copy the Command");
	application_press(app, BUTTON, "Do It Now");
	application_expect(app, LABEL, "wrong password");
	application_press(app, BUTTON, "Do It Now");
	application_wait_gone(app, LABEL, "*seabios is missing*");
	application_expect(app, LABEL, EMPTY_TITLE);
	expect_asked(app, "sh -c apt install seabios\nsh -c apt install seabios\n");
	application_quit(app);
	application_free(app);
}

/* No /dev/kvm */

static void check_again(struct application *app, const char *message, const char *advice, const char *picture)
{
	application_press(app, BUTTON, "Check Again");
	application_expect(app, LABEL, message);
	application_expect(app, LABEL, advice);
	application_picture(app, picture);
}

static void test_no_device(gconstpointer session)
{
	struct application *app;
	g_autofree char *cpuinfo = NULL, *kvm = NULL, *module = NULL;

	if (!other_host_possible())
		return;
	app = application_new((struct session *)session);
	cpuinfo = g_build_filename(app->folder, "cpuinfo", NULL);
	kvm = g_build_filename(app->folder, "modules", "kvm", NULL);
	module = g_build_filename(app->folder, "modules", "kvm_intel", NULL);
	overwrite(cpuinfo, "vendor_id\t: SomebodyElse\nflags\t\t: fpu vme\n");
	/* modprobe would be the host's. */
	other_host_start(app, OWN_DEVICES OWN_PROCESSOR, "", "[ \"$3\" = 'modprobe kvm_intel' ] && " MAKE_KVM);
	application_expect(app, LABEL, "This computer's processor cannot run virtual machines*");
	application_picture(app, "trouble-no-processor");
	overwrite(cpuinfo, "vendor_id\t: GenuineIntel\nflags\t\t: fpu vme hypervisor\n");
	check_again(app, "This computer is a virtual machine itself*", "Switch on nested virtualization*",
		    "trouble-nested");
	overwrite(cpuinfo, "vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx vme\n");
	g_assert_no_errno(g_mkdir(kvm, 0755));
	check_again(app, "*(Intel VT-x) is switched off in the computer's firmware.", "Restart the computer, enter its setup*",
		    "trouble-bios");
	g_assert_no_errno(g_mkdir(module, 0755));
	check_again(app, "*is loaded, but its device /dev/kvm is not here.", "If Oriel runs in a container*",
		    "trouble-no-device");
	g_assert_no_errno(g_rmdir(module));
	g_assert_no_errno(g_rmdir(kvm));
	check_again(app, "The kernel's virtualization (KVM) is not loaded.", "sudo modprobe kvm_intel", "trouble-module");
	application_press(app, BUTTON, "Do It Now");
	application_wait_gone(app, LABEL, "The kernel's virtualization (KVM) is not loaded.");
	expect_asked(app, "sh -c modprobe kvm_intel\n");
	application_press(app, BUTTON, "Try the Test Disc");
	application_expect(app, TILE, "Test disc, Running");
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, "Test disc, Switched off");
	application_quit(app);
	application_free(app);
}

/*
 * /dev/kvm belongs to somebody else, and root has none of the rights that let him pass. He logs in, a copy of /etc is his,
 * and what the manager offers is really done.
 */
static void test_permission(gconstpointer session)
{
	static const char setup[] =
		"[ -d etc ] || cp -a /etc etc; mount --bind etc /etc\ngetent group kvm >/dev/null || groupadd kvm\n"
		"[ -d dev ] || again=no; rm -rf dev\n" OWN_DEVICES
		"mknod -m 660 /dev/kvm c 10 232; chown nobody:kvm /dev/kvm\n"
		"[ -z \"$again\" ] || { chgrp root /dev/kvm; chmod 600 /dev/kvm; }\n";
	static const char login[] = "setpriv --reuid 0 --regid 0 --init-groups "
		"--bounding-set -dac_override,-dac_read_search --inh-caps -dac_override,-dac_read_search";
	struct application *app;

	if (!other_host_possible())
		return;
	app = application_new((struct session *)session);
	other_host_start(app, setup, login, "exec \"$@\"");
	application_expect(app, LABEL, "Nobody but root may use the kernel's virtualization, /dev/kvm.");
	application_expect(app, LABEL, "sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm");
	application_picture(app, "trouble-only-root");
	application_press(app, BUTTON, "Do It Now");
	application_expect(app, LABEL, "You may not use the kernel's virtualization, /dev/kvm: you are not in the group kvm.");
	application_expect(app, LABEL, "sudo usermod -aG kvm root");
	application_expect(app, LABEL, "Then log out and in again.");
	application_picture(app, "trouble-permission");
	application_press(app, BUTTON, "Do It Now");
	application_expect(app, LABEL, "You are in the group kvm, * but were not when you logged in.");
	application_expect(app, LABEL, "Log out and in again, or restart the computer.");
	application_picture(app, "trouble-log-in");
	application_quit(app);
	other_host_start(app, setup, login, "exec \"$@\"");
	application_press(app, BUTTON, "Try the Test Disc");
	application_expect(app, TILE, "Test disc, Running");
	g_assert_false(application_has(app, BUTTON, "Check Again"));
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, "Test disc, Switched off");
	application_quit(app);
	application_free(app);
}

/* Another hypervisor: see kvm_taken.c. */
static void test_taken(gconstpointer session)
{
	struct application *app;
	g_autofree char *taken = NULL, *modules = NULL, *launcher = NULL;

	if (!other_host_possible())
		return;
	app = application_new((struct session *)session);
	taken = g_build_filename(app->folder, "taken", NULL);
	modules = g_build_filename(app->folder, "modules", "vboxdrv", NULL);
	launcher = g_strdup_printf("'%s' '%s'", g_getenv("KVM_TAKEN"), taken);
	other_host_start(app, "mkdir modules && mount --bind modules /sys/module", launcher,
		 "[ \"$3\" = 'modprobe -r vboxnetadp vboxnetflt vboxdrv' ] && rm taken");
	application_expect(app, LABEL, EMPTY_TITLE);
	overwrite(taken, "");
	application_press(app, BUTTON, "Try the Test Disc");
	application_expect(app, LABEL, "“Test disc” could not be started.*");
	application_expect(app, LABEL, "Another virtualization program is using the processor, which only one can have.");
	application_expect(app, LABEL, "Close that program, and try again.");
	application_picture(app, "trouble-taken");
	g_assert_no_errno(g_mkdir(modules, 0755));
	check_again(app, "VirtualBox is using the processor's virtualization*",
		    "sudo modprobe -r vboxnetadp vboxnetflt vboxdrv", "trouble-virtualbox");
	application_press(app, BUTTON, "Do It Now");
	application_wait_gone(app, LABEL, "VirtualBox is using the processor's virtualization*");
	application_press(app, BUTTON, "Try Again");
	application_expect(app, TILE, "Test disc, Running");
	application_wait_gone(app, LABEL, "“Test disc” could not be started.*");
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, "Test disc, Switched off");
	application_quit(app);
	application_free(app);
}

/* Machines */

static void write_machine(struct application *app, const char *id, const char *text)
{
	g_autofree char *folder = g_build_filename(app->machines, id, NULL);
	g_autofree char *path = g_build_filename(folder, "machine.conf", NULL);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	overwrite(path, text);
}

static void start_machine(struct application *app, const char *tile)
{
	application_select(app, TILE, tile);
	application_press(app, BUTTON, "Start");
}

#ifndef __SANITIZE_ADDRESS__ /* which needs an address space without limits */
static guint64 address_space(pid_t process)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/statm", (int)process), *text = NULL;

	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	return g_ascii_strtoull(text, NULL, 10) * (guint64)sysconf(_SC_PAGESIZE);
}

static void limit_memory(struct application *app, rlim_t bytes)
{
	const struct rlimit limit = { bytes, RLIM_INFINITY };
	pid_t process = atoi(g_subprocess_get_identifier(app->process));

	g_assert_no_errno(prlimit(process, RLIMIT_AS, &limit, NULL));
}

static void test_memory(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *config = NULL;
	guint64 limit;

	/* More than any computer that runs tests has. */
	write_machine(app, "large", "[machine]\nname=Large\nmemory=4194304\n");
	application_start(app, NULL);
	start_machine(app, "Large,*");
	application_expect(app, LABEL, "“Large” could not be started.*asks for 4194304 MiB of memory; this computer has*");
	application_picture(app, "trouble-memory");
	application_press(app, BUTTON, "Settings…");
	application_select(app, TILE, "Processor and Memory");
	application_set_value(app, "slider", "Memory", 128);
	desktop_close(app->desktop, desktop_find(app->desktop, "Settings of"));
	application_wait_gone(app, TILE, "Processor and Memory");
	application_press(app, BUTTON, "Start");
	application_expect(app, TILE, "Large, Running");
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, "Large, Switched off");
	/* And the kernel refuses what the computer has. */
	limit = address_space(atoi(g_subprocess_get_identifier(app->process))) + 256 * MIB;
	config = g_strdup_printf("[machine]\nname=Refused\nmemory=%" G_GUINT64_FORMAT "\n", limit / MIB);
	write_machine(app, "refused", config);
	application_expect(app, TILE, "Refused,*");
	limit_memory(app, limit);
	start_machine(app, "Refused,*");
	application_expect(app, LABEL, "“Refused” could not be started.*Cannot reserve * MiB of guest memory: "
			   "Cannot allocate memory. Give the machine less memory");
	application_picture(app, "trouble-memory-refused");
	limit_memory(app, RLIM_INFINITY);
	application_press(app, BUTTON, "Try Again");
	application_expect(app, TILE, "Refused, Running");
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, "Refused, Switched off");
	application_quit(app);
	application_free(app);
}
#endif

/* The guest's serial port, where the test disc takes commands */

static GSocketConnection *connect_serial(struct application *app, const char *id)
{
	g_autofree char *file = g_strconcat(id, ".serial.sock", NULL);
	g_autofree char *path = g_build_filename(app->folder, "run", "oriel", file, NULL);
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
	g_autoptr(GSocketClient) client = g_socket_client_new();
	GSocketConnection *connection;
	GError *error = NULL;

	/* The test disc does not say a word for longer on a busy host. */
	g_socket_client_set_timeout(client, 120);
	connection = g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, &error);
	g_assert_no_error(error);
	return connection;
}

static void wait_serial(GSocketConnection *serial, const char *text)
{
	GInputStream *stream = g_io_stream_get_input_stream(G_IO_STREAM(serial));
	g_autoptr(GString) all = g_string_new(NULL);
	GError *error = NULL;
	char byte;

	while (!strstr(all->str, text)) {
		g_assert_cmpint(g_input_stream_read(stream, &byte, 1, NULL, &error), ==, 1);
		g_assert_no_error(error);
		g_string_append_c(all, byte);
	}
}

static void write_serial(GSocketConnection *serial, const char *text)
{
	GOutputStream *stream = g_io_stream_get_output_stream(G_IO_STREAM(serial));

	g_assert_true(g_output_stream_write_all(stream, text, strlen(text), NULL, NULL, NULL));
}

/* A machine's text, up to its disks */
static char *test_disc_machine(const char *name)
{
	g_autofree char *disc = harness_test_disc();

	return g_strdup_printf("[machine]\nname=%s\ncpus=1\nmemory=128\nboot=cd\n[serial]\nmode=socket\n[cd1]\npath=%s\n",
			       name, disc);
}

/* No room for what the guest writes, nor for a new disk */
static void test_room(gconstpointer session)
{
	g_autofree char *text = test_disc_machine("Small"), *setup = NULL, *filler = NULL, *path = NULL;
	g_autoptr(GSocketConnection) serial = NULL;
	struct application *app;

	if (!other_host_possible())
		return;
	app = application_new((struct session *)session);
	setup = g_strdup_printf("mkdir -p '%s' && mount -t tmpfs -o size=8m none '%s' && cd '%s' && mkdir small && cd small\n"
				"printf '%s[disk0]\\npath=disk.img\\n' >machine.conf; truncate -s 64M disk.img\n"
				"head -c 4M /dev/zero >../filler; cd '%s'", app->machines, app->machines, app->machines, text,
				app->folder);
	other_host_start(app, setup, "", "exit 1");
	path = g_build_filename(app->machines, "filler", NULL);
	filler = other_host_file(app, path);
	application_press(app, BUTTON, "New…");
	application_choose_source(app, "An empty machine");
	application_set_text(app, "text", "Name", "Whole");
	application_press(app, "check box", "Start it when it is made");
	application_press(app, "radio button", "It takes all of its room now*");
	application_expect(app, LABEL, "Only *MiB are free there.");
	application_press(app, BUTTON, "Create");
	application_expect(app, LABEL, "Cannot give its size to the disk *: No space left on device");
	application_picture_of(app, "New Machine", "trouble-room-wizard");
	application_press(app, "radio button", "It grows as it is used");
	application_press(app, BUTTON, "Create");
	application_expect(app, TILE, "Whole, Switched off");
	start_machine(app, "Small,*");
	application_expect(app, TILE, "Small, Running");
	serial = connect_serial(app, "small");
	wait_serial(serial, "screen");
	for (unsigned i = 0; i < 4; i++) {
		g_autofree char *command = g_strdup_printf("check %u 2048\n", i * 2048);

		write_serial(serial, command);
		if (i < 3)
			wait_serial(serial, "check good");
	}
	application_expect(app, LABEL, "“Small” is waiting until this is mended:*disk is full*");
	application_expect(app, BUTTON, "Let It Fail");
	application_focus(app);
	application_picture(app, "trouble-room");
	application_press(app, BUTTON, "Try Again");
	application_expect(app, LABEL, "“Small” is waiting until this is mended:*disk is full*");
	g_assert_no_errno(g_remove(filler));
	/* By itself */
	wait_serial(serial, "check good");
	application_expect(app, TILE, "Small, Running");
	application_wait_gone(app, LABEL, "“Small” is waiting until this is mended:*");
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, "Small, Switched off");
	application_quit(app);
	application_free(app);
}

/* An image that another program has open */

static void test_locked(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *image = g_build_filename(app->machines, "taken", "disk.img", NULL);
	g_autoptr(GSubprocess) other = NULL;
	char prompt[4] = "";

	write_machine(app, "taken", "[machine]\nname=Taken\nmemory=128\n[disk0]\npath=disk.img\n");
	overwrite(image, "");
	g_assert_no_errno(truncate(image, (off_t)MIB));
	other = g_subprocess_new(G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE, NULL, "qemu-io", "-f", "raw",
				 image, NULL);
	g_assert_nonnull(other);
	g_assert_cmpint(g_input_stream_read(g_subprocess_get_stdout_pipe(other), prompt, sizeof prompt, NULL, NULL), >, 0);
	application_start(app, NULL);
	start_machine(app, "Taken,*");
	application_expect(app, LABEL, "“Taken” could not be started.*disk.img is * by another program, perhaps another "
			   "machine. Close that first: two programs on one image destroy it");
	application_expect(app, BUTTON, "Open Log");
	application_picture(app, "trouble-locked");
	g_output_stream_close(g_subprocess_get_stdin_pipe(other), NULL, NULL);
	g_assert_true(g_subprocess_wait_check(other, NULL, NULL));
	application_press(app, BUTTON, "Try Again");
	application_expect(app, TILE, "Taken, Running");
	application_wait_gone(app, LABEL, "“Taken” could not be started.*");
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, "Taken, Switched off");
	application_quit(app);
	application_free(app);
}

/* Crashes */

/* What the desktop opens texts with writes down which one. */
static void install_viewer(struct application *app)
{
	g_autofree char *folder = g_build_filename(app->folder, "data", "applications", NULL);
	g_autofree char *entry = g_build_filename(folder, "viewer.desktop", NULL);
	g_autofree char *defaults = g_build_filename(app->folder, "config", "mimeapps.list", NULL);
	g_autofree char *text = g_strdup_printf("[Desktop Entry]\nType=Application\nName=Viewer\nMimeType=text/plain;\n"
						"Exec=%s/viewer %%f\n", app->folder);

	other_host_script(app, "viewer", "#!/bin/sh\necho \"$1\" >'%s/viewing' && mv '%s/viewing' '%s/viewed'\n", app->folder,
		     app->folder, app->folder);
	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	overwrite(entry, text);
	overwrite(defaults, "[Default Applications]\ntext/plain=viewer.desktop\n");
}

static bool file_there(void *path)
{
	return g_file_test(path, G_FILE_TEST_EXISTS);
}

/* The path of what a button opens, which must have that text. */
static void expect_viewed(struct application *app, const char *button, const char *pattern, const char *contained)
{
	g_autofree char *record = g_build_filename(app->folder, "viewed", NULL), *path = NULL, *text = NULL;

	application_press(app, BUTTON, button);
	g_assert_true(desktop_wait(file_there, record));
	g_assert_true(g_file_get_contents(record, &path, NULL, NULL));
	g_strstrip(path);
	g_assert_true(g_pattern_match_simple(pattern, path));
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_nonnull(strstr(text, contained));
	g_assert_no_errno(g_remove(record));
}

static void test_crash(gconstpointer session)
{
	struct application *app = application_new((struct session *)session);
	g_autofree char *text = test_disc_machine("Fragile");
	g_autoptr(GSocketConnection) serial = NULL;
	g_autoptr(GCredentials) machine = NULL;

	install_viewer(app);
	write_machine(app, "fragile", text);
	application_start(app, NULL);
	start_machine(app, "Fragile,*");
	application_expect(app, TILE, "Fragile, Running");
	serial = connect_serial(app, "fragile");
	wait_serial(serial, "screen");
	write_serial(serial, "crash\n");
	application_expect(app, LABEL, "“Fragile” has crashed.*could not be completed*The report is in *");
	application_expect(app, BUTTON, "Switch Off");
	application_focus(app);
	application_picture(app, "trouble-crash");
	expect_viewed(app, "Open Report", "*/machines/fragile/report-*.txt", "cr3 ");
	expect_viewed(app, "Open Log", "*/machines/fragile/log", "crashed: ");
	application_press(app, BUTTON, "Restart");
	application_expect(app, TILE, "Fragile, Running");
	application_wait_gone(app, LABEL, "“Fragile” has crashed.*");
	wait_serial(serial, "screen");
	/* Its process itself */
	machine = g_socket_get_credentials(g_socket_connection_get_socket(serial), NULL);
	g_assert_no_errno(kill(g_credentials_get_unix_pid(machine, NULL), SIGKILL));
	application_expect(app, LABEL, "“Fragile” has crashed.*process has ended unexpectedly.");
	application_focus(app);
	application_picture(app, "trouble-process");
	application_press(app, BUTTON, "Start Again");
	application_expect(app, TILE, "Fragile, Running");
	application_press(app, BUTTON, "Force Off");
	application_expect(app, TILE, "Fragile, Switched off");
	application_quit(app);
	application_free(app);
}

int main(int argc, char **argv)
{
	static const struct session_case cases[] = {
		{ "/manager-trouble/firmware", test_firmware },
		{ "/manager-trouble/no-device", test_no_device },
		{ "/manager-trouble/permission", test_permission },
		{ "/manager-trouble/taken", test_taken },
#ifndef __SANITIZE_ADDRESS__
		{ "/manager-trouble/memory", test_memory },
#endif
		{ "/manager-trouble/room", test_room },
		{ "/manager-trouble/locked", test_locked },
		{ "/manager-trouble/crash", test_crash },
		{ NULL, NULL },
	};

	return session_run(argc, argv, cases);
}
