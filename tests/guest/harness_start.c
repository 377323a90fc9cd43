/* A machine's folder, its process, and the connections to it. */
#include "harness_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../remove_tree.h"

/*
 * The last one is for the environment of every process: the kernel saves the registers that SSE knows, no others, but a
 * host whose KVM cannot hide XSAVE, AVX and AVX-512 shows them to programs, whose memcpy() would lose what it has in its
 * registers at a switch of tasks.
 */
#define LINUX_ARGUMENTS \
	"console=ttyS0 tsc=reliable no_timer_check lpj=5200000 noxsave nofsgsbase nopcid panic=-1 " \
	"clearcpuid=smap,smep,cx16,umip,popcnt,invpcid,erms,fsrm,rdpid,rdrand,rdseed,serialize,clflushopt,clwb,rdtscp " \
	"GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX512BW,-AVX_Fast_Unaligned_Load"
#define START_SECONDS 20

/* Configuration */

struct guest *guest_new(const char *name)
{
	struct guest *guest = g_new0(struct guest, 1);
	g_autoptr(GError) error = NULL;

	guest->name = g_strdup(name);
	guest->home = g_dir_make_tmp("oriel-guest-XXXXXX", &error);
	g_assert_no_error(error);
	/* Short, because a socket's path may have 107 characters. */
	guest->runtime = g_build_filename(guest->home, "run", NULL);
	g_assert_no_errno(g_mkdir(guest->runtime, 0700));
	guest->folder = g_build_filename(guest->home, "oriel", "machines", name, NULL);
	g_assert_no_errno(g_mkdir_with_parents(guest->folder, 0755));
	guest->picture_path = g_build_filename(guest->home, "screen.png", NULL);
	guest->config = g_key_file_new();
	guest->launcher = g_ptr_array_new_with_free_func(g_free);
	guest->environment = g_get_environ();
	guest_set_environment(guest, "LC_ALL", "C.UTF-8");
	guest_set_environment(guest, "LANGUAGE", NULL);
	guest->text = g_string_new(NULL);
	guest->state = g_strdup("not started");
	guest->message = g_strdup("");
	guest_set(guest, "machine", "cpus", "1");
	guest_set(guest, "machine", "memory", "128");
	guest_set(guest, "serial", "mode", "socket");
	guest_set_environment(guest, "XDG_DATA_HOME", guest->home);
	guest_set_environment(guest, "XDG_RUNTIME_DIR", guest->runtime);
	return guest;
}

struct guest *guest_share(const struct guest *guest)
{
	struct guest *other = guest_new(guest->name);

	g_free(other->folder);
	other->folder = g_strdup(guest->folder);
	guest_set_environment(other, "XDG_DATA_HOME", guest->home);
	guest_set_environment(other, "XDG_RUNTIME_DIR", guest->runtime);
	return other;
}

const char *guest_folder(const struct guest *guest)
{
	return guest->folder;
}

void guest_set_window(struct guest *guest)
{
	guest->windowed = true;
}

void guest_set_environment(struct guest *guest, const char *name, const char *value)
{
	if (value)
		guest->environment = g_environ_setenv(guest->environment, name, value, TRUE);
	else
		guest->environment = g_environ_unsetenv(guest->environment, name);
}

void guest_set_socket(struct guest *guest, const char *path)
{
	g_free(guest->socket);
	guest->socket = g_strdup(path);
}

void guest_set_launcher(struct guest *guest, ...)
{
	const char *argument;
	va_list list;

	g_ptr_array_set_size(guest->launcher, 0);
	va_start(list, guest);
	while ((argument = va_arg(list, const char *)))
		g_ptr_array_add(guest->launcher, g_strdup(argument));
	va_end(list);
}

void guest_set(struct guest *guest, const char *group, const char *key, const char *format, ...)
{
	g_autofree char *value = NULL;
	va_list list;

	va_start(list, format);
	value = g_strdup_vprintf(format, list);
	va_end(list);
	g_key_file_set_string(guest->config, group, key, value);
}

void guest_set_disc(struct guest *guest, const char *path)
{
	guest_set(guest, "cd1", "path", "%s", path);
	guest_set(guest, "machine", "boot", "cd");
}

void guest_set_test_disc(struct guest *guest)
{
	g_autofree char *path = harness_test_disc();

	guest_set_disc(guest, path);
}

void guest_set_linux(struct guest *guest, bool initramfs, const char *more_arguments)
{
	g_autofree char *kernel = harness_media("vmlinux");

	guest_set(guest, "kernel", "kernel", "%s", kernel);
	guest_set(guest, "kernel", "command-line", "%s %s", LINUX_ARGUMENTS, more_arguments);
	if (initramfs) {
		g_autofree char *initrd = harness_media("initramfs");

		guest_set(guest, "kernel", "initrd", "%s", initrd);
	}
}

char *guest_add_disk(struct guest *guest, const char *source, uint64_t size)
{
	char *path = g_build_filename(guest->folder, "disk.img", NULL);

	if (source) {
		/* cp keeps holes and clones where the file system can. */
		const char *arguments[] = { "cp", "--sparse=always", "--reflink=auto", "--dereference",
					    "--no-preserve=mode", source, path, NULL };
		g_autoptr(GSubprocess) copy = g_subprocess_newv(arguments, G_SUBPROCESS_FLAGS_NONE, NULL);

		g_assert_true(copy && g_subprocess_wait_check(copy, NULL, NULL));
	}
	int fd = g_open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	g_assert_no_errno(fd);
	if (!source || size)
		g_assert_no_errno(ftruncate(fd, (off_t)size));
	close(fd);
	guest_set(guest, "disk0", "path", "disk.img");
	return path;
}

/* Start */

static void end_with_parent(void *data)
{
	(void)data;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void process_ended(GObject *object, GAsyncResult *result, void *data)
{
	struct guest *guest = data;

	if (g_subprocess_wait_finish(G_SUBPROCESS(object), result, NULL))
		guest->ended = true;
}

static void spawn(struct guest *guest)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_STDERR_MERGE);
	g_autofree char *output = g_build_filename(guest->runtime, "output.txt", NULL);
	g_autofree char *program = g_test_build_filename(G_TEST_BUILT, "..", "..", "oriel-vm", NULL);
	g_autoptr(GPtrArray) arguments = g_ptr_array_new();
	g_autoptr(GError) error = NULL;

	for (guint i = 0; i < guest->launcher->len; i++)
		g_ptr_array_add(arguments, guest->launcher->pdata[i]);
	g_ptr_array_add(arguments, program);
	if (!guest->windowed)
		g_ptr_array_add(arguments, "--headless");
	g_ptr_array_add(arguments, guest->folder);
	g_ptr_array_add(arguments, NULL);
	g_subprocess_launcher_set_environ(launcher, guest->environment);
	g_subprocess_launcher_set_stdout_file_path(launcher, output);
	g_subprocess_launcher_set_child_setup(launcher, end_with_parent, NULL, NULL);
	/* GLib does not truncate it. */
	g_remove(output);
	guest->ended = false;
	guest->process = g_subprocess_launcher_spawnv(launcher, (const char *const *)arguments->pdata, &error);
	g_assert_no_error(error);
	guest->start = g_get_monotonic_time();
	g_subprocess_wait_async(guest->process, NULL, process_ended, guest);
}

static void state_changed(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
			  const char *signal, GVariant *parameters, void *data)
{
	struct guest *guest = data;

	(void)connection, (void)sender, (void)path, (void)interface, (void)signal;
	guest->changes++;
	g_free(guest->state);
	g_free(guest->message);
	g_variant_get(parameters, "(ss)", &guest->state, &guest->message);
}

static void read_serial(GObject *object, GAsyncResult *result, void *data)
{
	struct guest *guest = data;
	g_autoptr(GError) error = NULL;
	gssize n = g_input_stream_read_finish(G_INPUT_STREAM(object), result, &error);

	if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED) || n <= 0)
		return;
	for (gssize i = 0; i < n; i++)
		if (guest->chunk[i] && guest->chunk[i] != '\r')
			g_string_append_c(guest->text, guest->chunk[i]);
	g_input_stream_read_async(G_INPUT_STREAM(object), guest->chunk, sizeof guest->chunk, G_PRIORITY_DEFAULT,
				  guest->reading, read_serial, guest);
}

static char *socket_path(const struct guest *guest, const char *suffix)
{
	g_autofree char *file = g_strdup_printf("%s%s", guest->name, suffix);

	return g_build_filename(guest->runtime, "oriel", file, NULL);
}

static bool connect_serial(struct guest *guest)
{
	g_autofree char *mode = g_key_file_get_string(guest->config, "serial", "mode", NULL);
	g_autofree char *path = socket_path(guest, ".serial.sock");
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
	g_autoptr(GSocketClient) client = g_socket_client_new();

	if (g_strcmp0(mode, "socket") != 0)
		return true;
	if (!guest->serial)
		guest->serial = g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, NULL);
	return guest->serial;
}

static bool connect_control(struct guest *guest)
{
	g_autofree char *path = guest->socket ? g_strdup(guest->socket) : socket_path(guest, ".sock");
	g_autofree char *address = g_strdup_printf("unix:path=%s", path);

	if (!guest->connection && g_file_test(path, G_FILE_TEST_EXISTS))
		guest->connection = g_dbus_connection_new_for_address_sync(
			address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, NULL);
	return guest->connection;
}

char *guest_property(struct guest *guest, const char *name)
{
	g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
		guest->connection, NULL, MACHINE_OBJECT, "org.freedesktop.DBus.Properties", "Get",
		g_variant_new("(ss)", MACHINE_INTERFACE, name), G_VARIANT_TYPE("(v)"), G_DBUS_CALL_FLAGS_NONE,
		CALL_SECONDS * 1000, NULL, NULL);
	g_autoptr(GVariant) value = NULL;

	if (!reply)
		return g_strdup("");
	g_variant_get(reply, "(v)", &value);
	return g_variant_dup_string(value, NULL);
}

char *guest_introspect(struct guest *guest)
{
	g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
		guest->connection, NULL, MACHINE_OBJECT, "org.freedesktop.DBus.Introspectable", "Introspect", NULL,
		G_VARIANT_TYPE("(s)"), G_DBUS_CALL_FLAGS_NONE, CALL_SECONDS * 1000, NULL, NULL);
	char *xml = NULL;

	if (!reply)
		guest_fail(guest, "Introspect fails");
	g_variant_get(reply, "(s)", &xml);
	return xml;
}

static void read_state(struct guest *guest)
{
	g_free(guest->state);
	g_free(guest->message);
	guest->state = guest_property(guest, "State");
	guest->message = guest_property(guest, "Message");
}

static gboolean wake_up(void *data)
{
	(void)data;
	return G_SOURCE_CONTINUE;
}

static void connect_all(struct guest *guest)
{
	/* A socket's file appears before somebody listens, so its creation alone is not the event wanted. */
	guint timer = g_timeout_add(20, wake_up, NULL);
	struct deadline deadline;

	deadline_start(&deadline, START_SECONDS * PATIENCE);
	while (!connect_serial(guest) || !connect_control(guest)) {
		if (guest->ended)
			guest_fail(guest, "oriel-vm ended at its start");
		if (deadline.passed)
			guest_fail(guest, "cannot connect to %s%s", guest->serial ? "" : "the serial port, ",
				   guest->connection ? "" : "the control socket");
		wait_event();
	}
	deadline_stop(&deadline);
	g_source_remove(timer);
}

static void disconnect(struct guest *guest)
{
	if (guest->serial) {
		g_cancellable_cancel(guest->reading);
		g_io_stream_close(G_IO_STREAM(guest->serial), NULL, NULL);
	}
	if (guest->connection)
		g_dbus_connection_close_sync(guest->connection, NULL, NULL);
	/* Lets cancelled reads end before their buffer goes. */
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_clear_object(&guest->reading);
	g_clear_object(&guest->serial);
	g_clear_object(&guest->connection);
	g_clear_object(&guest->process);
}

static void save_config(struct guest *guest)
{
	g_autofree char *path = g_build_filename(guest->folder, "machine.conf", NULL);

	g_assert_true(g_key_file_save_to_file(guest->config, path, NULL));
}

void guest_start(struct guest *guest)
{
	disconnect(guest);
	save_config(guest);
	spawn(guest);
	connect_all(guest);
	guest->text_seen = guest->text->len;
	guest->reading = g_cancellable_new();
	if (guest->serial)
		g_input_stream_read_async(g_io_stream_get_input_stream(G_IO_STREAM(guest->serial)), guest->chunk,
					  sizeof guest->chunk, G_PRIORITY_DEFAULT, guest->reading, read_serial, guest);
	g_dbus_connection_signal_subscribe(guest->connection, NULL, MACHINE_INTERFACE, "StateChanged", MACHINE_OBJECT,
					   NULL, G_DBUS_SIGNAL_FLAGS_NONE, state_changed, guest, NULL);
	read_state(guest);
}

char *guest_start_refused(struct guest *guest, bool save)
{
	struct deadline deadline;

	disconnect(guest);
	if (save)
		save_config(guest);
	spawn(guest);
	deadline_start(&deadline, START_SECONDS * PATIENCE);
	while (!guest->ended && !deadline.passed)
		wait_event();
	deadline_stop(&deadline);
	if (!guest->ended)
		guest_fail(guest, "oriel-vm runs what it should refuse");
	if (!g_subprocess_get_if_exited(guest->process) || g_subprocess_get_exit_status(guest->process) != EXIT_FAILURE)
		guest_fail(guest, "oriel-vm did not refuse properly: status 0x%x",
			   g_subprocess_get_status(guest->process));
	return read_output(guest);
}

void guest_kill(struct guest *guest, int signal)
{
	struct deadline deadline;

	g_subprocess_send_signal(guest->process, signal);
	deadline_start(&deadline, START_SECONDS * PATIENCE);
	while (!guest->ended && !deadline.passed)
		wait_event();
	deadline_stop(&deadline);
	if (!guest->ended)
		guest_fail(guest, "signal %d does not end oriel-vm", signal);
}

GPid guest_process(const struct guest *guest)
{
	return guest->process ? (GPid)atoi(g_subprocess_get_identifier(guest->process)) : 0;
}

char *guest_address(const struct guest *guest)
{
	g_autofree char *path = socket_path(guest, ".sock");

	return g_strdup_printf("unix:path=%s", path);
}

bool guest_ended(const struct guest *guest)
{
	return guest->ended;
}

void guest_free(struct guest *guest)
{
	if (guest->process && !guest->ended) {
		g_subprocess_force_exit(guest->process);
		while (!guest->ended)
			wait_event();
	}
	if (guest->process && !guest->failing)
		keep_texts(guest);
	disconnect(guest);
	remove_tree(guest->home);
	g_key_file_unref(guest->config);
	g_ptr_array_unref(guest->launcher);
	g_strfreev(guest->environment);
	g_string_free(guest->text, TRUE);
	picture_free(guest->picture);
	g_free(guest->line);
	g_free(guest->state);
	g_free(guest->message);
	g_free(guest->picture_path);
	g_free(guest->socket);
	g_free(guest->folder);
	g_free(guest->runtime);
	g_free(guest->home);
	g_free(guest->name);
	g_free(guest);
}

