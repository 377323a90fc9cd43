#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <linux/input-event-codes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define MACHINE_INTERFACE "io.github.oriel.Machine"
#define MACHINE_OBJECT "/io/github/oriel/Machine"
#define LINUX_ARGUMENTS \
	"console=ttyS0 tsc=reliable no_timer_check lpj=5200000 noxsave nofsgsbase nopcid panic=-1 " \
	"clearcpuid=smap,smep,cx16,umip,popcnt,invpcid,erms,fsrm,rdpid,rdrand,rdseed,serialize,clflushopt,clwb,rdtscp"
#define START_SECONDS 20
#define CALL_SECONDS 20
#define LOOK_MILLISECONDS 500

struct guest {
	char *name, *home, *runtime, *folder;
	GKeyFile *config;
	GSubprocess *process;
	GDBusConnection *connection;
	GSocketConnection *serial;
	GString *text; /* all serial text */
	size_t text_seen; /* where the next line to be looked at starts */
	char *line;
	char chunk[4096];
	char *state, *message;
	struct picture *picture;
	char *picture_path;
	gint64 start;
	bool ended, failing;
};

static struct {
	struct font *font;
	const char *skip;
} harness;

void harness_init(int *argc, char ***argv)
{
	g_test_init(argc, argv, NULL);
	if (access("/dev/kvm", F_OK))
		harness.skip = "/dev/kvm is missing: machines cannot run here";
	else if (access("/dev/kvm", R_OK | W_OK))
		harness.skip = "no permission for /dev/kvm";
}

int harness_run(void)
{
	int status = 0;

	if (harness.skip)
		g_print("1..0 # SKIP %s\n", harness.skip);
	else
		status = g_test_run();
	g_clear_pointer(&harness.font, font_free);
	return status;
}

char *harness_media(const char *name)
{
	char *path = g_test_build_filename(G_TEST_BUILT, "media", name, NULL);

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		g_error("%s is missing; \"meson test\" makes it", path);
	return path;
}

const struct font *harness_font(void)
{
	g_autoptr(GError) error = NULL;

	if (!harness.font)
		harness.font = font_from_vga_bios(&error);
	g_assert_no_error(error);
	return harness.font;
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *child = g_build_filename(path, name, NULL);

		remove_tree(child);
	}
	g_remove(path);
}

/* Waiting */

struct deadline {
	guint source;
	bool passed;
};

static gboolean deadline_passed(void *data)
{
	struct deadline *deadline = data;

	deadline->passed = true;
	deadline->source = 0;
	return G_SOURCE_REMOVE;
}

static void deadline_start(struct deadline *deadline, unsigned milliseconds)
{
	deadline->passed = false;
	deadline->source = g_timeout_add(milliseconds, deadline_passed, deadline);
}

static void deadline_stop(struct deadline *deadline)
{
	if (deadline->source)
		g_source_remove(deadline->source);
	deadline->source = 0;
}

/* Sleeps until something happens. */
static void wait_event(void)
{
	g_main_context_iteration(NULL, TRUE);
}

/* Artefacts */

static char *artefact_path(const struct guest *guest, const char *name)
{
	const char *top = g_getenv("ORIEL_TEST_ARTEFACTS");
	g_autofree char *folder = top ? g_strdup(top) :
		g_test_build_filename(G_TEST_BUILT, "..", "..", "meson-logs", "guest", NULL);
	g_autofree char *file = g_strdup_printf("%s-%s", guest->name, name);

	g_mkdir_with_parents(folder, 0755);
	return g_build_filename(folder, file, NULL);
}

static void copy_artefact(const struct guest *guest, const char *path, const char *name)
{
	g_autoptr(GFile) source = g_file_new_for_path(path);
	g_autofree char *target_path = artefact_path(guest, name);
	g_autoptr(GFile) target = g_file_new_for_path(target_path);

	g_file_copy(source, target, G_FILE_COPY_OVERWRITE, NULL, NULL, NULL, NULL);
}

static void keep_texts(const struct guest *guest)
{
	g_autofree char *serial = artefact_path(guest, "serial.txt");
	g_autofree char *log = g_build_filename(guest->runtime, "output.txt", NULL);

	g_file_set_contents(serial, guest->text->str, guest->text->len, NULL);
	copy_artefact(guest, log, "output.txt");
}

void guest_keep_picture(struct guest *guest, const char *name)
{
	g_autofree char *file = g_strdup_printf("%s.png", name);

	copy_artefact(guest, guest->picture_path, file);
}

static char *tail(const char *text, unsigned lines)
{
	const char *start = text + strlen(text);

	while (start > text && lines) {
		start--;
		if (*start == '\n' && start[1])
			lines--;
	}
	return g_strdup(*start == '\n' ? start + 1 : start);
}

void guest_fail(struct guest *guest, const char *format, ...)
{
	g_autofree char *message = NULL, *last = tail(guest->text->str, 8), *log = NULL, *screen = NULL, *output = NULL;
	va_list list;

	va_start(list, format);
	message = g_strdup_vprintf(format, list);
	va_end(list);
	if (!guest->failing) {
		guest->failing = true;
		if (guest->connection && !guest->ended && guest_look(guest)) {
			guest_keep_picture(guest, "failed");
			screen = picture_read_text(guest->picture, harness_font());
		}
		keep_texts(guest);
	}
	output = g_build_filename(guest->runtime, "output.txt", NULL);
	g_file_get_contents(output, &log, NULL, NULL);
	g_printerr("%s: %s after %.1f s\nstate: %s %s\nend of the serial text:\n%s\noriel-vm said:\n%s\n", guest->name,
		   message, guest_age(guest), guest->state, guest->message, last, log ? log : "");
	if (screen)
		g_printerr("screen as text:\n%s\n", screen);
	guest_free(guest);
	g_error("%s", message);
}

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
	guest->text = g_string_new(NULL);
	guest->state = g_strdup("not started");
	guest->message = g_strdup("");
	guest_set(guest, "machine", "cpus", "1");
	guest_set(guest, "machine", "memory", "128");
	guest_set(guest, "serial", "mode", "socket");
	return guest;
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
	g_autoptr(GError) error = NULL;

	g_subprocess_launcher_setenv(launcher, "XDG_DATA_HOME", guest->home, TRUE);
	g_subprocess_launcher_setenv(launcher, "XDG_RUNTIME_DIR", guest->runtime, TRUE);
	g_subprocess_launcher_set_stdout_file_path(launcher, output);
	g_subprocess_launcher_set_child_setup(launcher, end_with_parent, NULL, NULL);
	guest->process = g_subprocess_launcher_spawn(launcher, &error, program, "--headless", guest->folder, NULL);
	g_assert_no_error(error);
	guest->start = g_get_monotonic_time();
	g_subprocess_wait_async(guest->process, NULL, process_ended, guest);
}

static void state_changed(GDBusConnection *connection, const char *sender, const char *path, const char *interface,
			  const char *signal, GVariant *parameters, void *data)
{
	struct guest *guest = data;

	(void)connection, (void)sender, (void)path, (void)interface, (void)signal;
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
	g_input_stream_read_async(G_INPUT_STREAM(object), guest->chunk, sizeof guest->chunk, G_PRIORITY_DEFAULT, NULL,
				  read_serial, guest);
}

static char *socket_path(const struct guest *guest, const char *suffix)
{
	g_autofree char *file = g_strdup_printf("%s%s", guest->name, suffix);

	return g_build_filename(guest->runtime, "oriel", file, NULL);
}

static bool connect_serial(struct guest *guest)
{
	g_autofree char *path = socket_path(guest, ".serial.sock");
	g_autoptr(GSocketAddress) address = g_unix_socket_address_new(path);
	g_autoptr(GSocketClient) client = g_socket_client_new();

	if (!guest->serial)
		guest->serial = g_socket_client_connect(client, G_SOCKET_CONNECTABLE(address), NULL, NULL);
	return guest->serial;
}

static bool connect_control(struct guest *guest)
{
	g_autofree char *path = socket_path(guest, ".sock");
	g_autofree char *address = g_strdup_printf("unix:path=%s", path);

	if (!guest->connection && g_file_test(path, G_FILE_TEST_EXISTS))
		guest->connection = g_dbus_connection_new_for_address_sync(
			address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT, NULL, NULL, NULL);
	return guest->connection;
}

static void read_state(struct guest *guest)
{
	g_autoptr(GVariant) reply = g_dbus_connection_call_sync(
		guest->connection, NULL, MACHINE_OBJECT, "org.freedesktop.DBus.Properties", "Get",
		g_variant_new("(ss)", MACHINE_INTERFACE, "State"), G_VARIANT_TYPE("(v)"), G_DBUS_CALL_FLAGS_NONE,
		CALL_SECONDS * 1000, NULL, NULL);
	g_autoptr(GVariant) value = NULL;

	if (!reply)
		return;
	g_variant_get(reply, "(v)", &value);
	g_free(guest->state);
	guest->state = g_variant_dup_string(value, NULL);
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

	deadline_start(&deadline, START_SECONDS * 1000);
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

void guest_start(struct guest *guest)
{
	g_autofree char *path = g_build_filename(guest->folder, "machine.conf", NULL);

	g_assert_true(g_key_file_save_to_file(guest->config, path, NULL));
	spawn(guest);
	connect_all(guest);
	g_input_stream_read_async(g_io_stream_get_input_stream(G_IO_STREAM(guest->serial)), guest->chunk,
				  sizeof guest->chunk, G_PRIORITY_DEFAULT, NULL, read_serial, guest);
	g_dbus_connection_signal_subscribe(guest->connection, NULL, MACHINE_INTERFACE, "StateChanged", MACHINE_OBJECT,
					   NULL, G_DBUS_SIGNAL_FLAGS_NONE, state_changed, guest, NULL);
	read_state(guest);
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
	if (guest->serial)
		g_io_stream_close(G_IO_STREAM(guest->serial), NULL, NULL);
	if (guest->connection)
		g_dbus_connection_close_sync(guest->connection, NULL, NULL);
	/* Lets cancelled reads end before their buffer goes. */
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_clear_object(&guest->serial);
	g_clear_object(&guest->connection);
	g_clear_object(&guest->process);
	remove_tree(guest->home);
	g_key_file_unref(guest->config);
	g_string_free(guest->text, TRUE);
	picture_free(guest->picture);
	g_free(guest->line);
	g_free(guest->state);
	g_free(guest->message);
	g_free(guest->picture_path);
	g_free(guest->folder);
	g_free(guest->runtime);
	g_free(guest->home);
	g_free(guest->name);
	g_free(guest);
}

/* Serial port */

double guest_age(const struct guest *guest)
{
	return (double)(g_get_monotonic_time() - guest->start) / G_USEC_PER_SEC;
}

const char *guest_serial(const struct guest *guest)
{
	return guest->text->str;
}

static const char *next_line(struct guest *guest, const char *text)
{
	const char *start, *end;

	while ((start = guest->text->str + guest->text_seen, end = strchr(start, '\n'))) {
		guest->text_seen = end + 1 - guest->text->str;
		g_free(guest->line);
		guest->line = g_strndup(start, end - start);
		if (strstr(guest->line, text))
			return guest->line;
	}
	return NULL;
}

const char *guest_wait_line(struct guest *guest, const char *text, unsigned seconds)
{
	struct deadline deadline;
	const char *line;

	deadline_start(&deadline, seconds * 1000);
	while (!(line = next_line(guest, text))) {
		if (deadline.passed)
			guest_fail(guest, "no serial line \"%s\" within %u s", text, seconds);
		if (guest->ended)
			guest_fail(guest, "oriel-vm ended without a serial line \"%s\"", text);
		if (g_str_equal(guest->state, "crashed"))
			guest_fail(guest, "the guest crashed before a serial line \"%s\"", text);
		wait_event();
	}
	deadline_stop(&deadline);
	return line;
}

void guest_write(struct guest *guest, const char *text)
{
	GOutputStream *stream = g_io_stream_get_output_stream(G_IO_STREAM(guest->serial));

	if (!g_output_stream_write_all(stream, text, strlen(text), NULL, NULL, NULL))
		guest_fail(guest, "cannot write to the serial port");
}

void guest_run(struct guest *guest, unsigned seconds, const char *format, ...)
{
	g_autofree char *command = NULL, *line = NULL, *done = NULL;
	const char *answer;
	va_list list;

	va_start(list, format);
	command = g_strdup_vprintf(format, list);
	va_end(list);
	line = g_strdup_printf("%s\n", command);
	done = g_strdup_printf("agent: done %.*s ", (int)strcspn(command, " "), command);
	guest_write(guest, line);
	answer = guest_wait_line(guest, done, seconds);
	if (!g_str_has_suffix(answer, " 0"))
		guest_fail(guest, "\"%s\" failed: %s", command, answer);
}

/* Control */

static GVariant *try_call(struct guest *guest, const char *method, GVariant *arguments, GError **error)
{
	return g_dbus_connection_call_sync(guest->connection, NULL, MACHINE_OBJECT, MACHINE_INTERFACE, method,
					   arguments, NULL, G_DBUS_CALL_FLAGS_NONE, CALL_SECONDS * 1000, NULL, error);
}

GVariant *guest_call(struct guest *guest, const char *method, GVariant *arguments)
{
	g_autoptr(GError) error = NULL;
	GVariant *reply = try_call(guest, method, arguments, &error);

	if (!reply)
		guest_fail(guest, "%s: %s", method, error->message);
	return reply;
}

static void call(struct guest *guest, const char *method, GVariant *arguments)
{
	g_variant_unref(guest_call(guest, method, arguments));
}

void guest_keys(struct guest *guest, ...)
{
	GVariantBuilder builder;
	const char *combination;
	va_list list;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("as"));
	va_start(list, guest);
	while ((combination = va_arg(list, const char *)))
		g_variant_builder_add(&builder, "s", combination);
	va_end(list);
	call(guest, "SendKeys", g_variant_new("(as)", &builder));
}

void guest_type(struct guest *guest, const char *text)
{
	call(guest, "TypeText", g_variant_new("(s)", text));
}

static void send_event(struct guest *guest, unsigned type, unsigned code, int value)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a(qqi)"));
	g_variant_builder_add(&builder, "(qqi)", type, code, value);
	g_variant_builder_add(&builder, "(qqi)", EV_SYN, SYN_REPORT, 0);
	call(guest, "SendEvents", g_variant_new("(a(qqi))", &builder));
}

void guest_move(struct guest *guest, int dx, int dy)
{
	if (dx)
		send_event(guest, EV_REL, REL_X, dx);
	if (dy)
		send_event(guest, EV_REL, REL_Y, dy);
}

void guest_button(struct guest *guest, unsigned button, bool down)
{
	send_event(guest, EV_KEY, button, down);
}

void guest_wait_state(struct guest *guest, const char *state, unsigned seconds)
{
	struct deadline deadline;

	deadline_start(&deadline, seconds * 1000);
	while (!g_str_equal(guest->state, state)) {
		if (deadline.passed || guest->ended)
			guest_fail(guest, "state is \"%s\" and not \"%s\"", guest->state, state);
		wait_event();
	}
	deadline_stop(&deadline);
}

void guest_wait_end(struct guest *guest, unsigned seconds)
{
	struct deadline deadline;

	deadline_start(&deadline, seconds * 1000);
	while (!guest->ended) {
		if (deadline.passed)
			guest_fail(guest, "oriel-vm did not end within %u s", seconds);
		wait_event();
	}
	deadline_stop(&deadline);
	if (!g_subprocess_get_successful(guest->process))
		guest_fail(guest, "oriel-vm did not end well: status 0x%x", g_subprocess_get_status(guest->process));
}

/* Screen */

const struct picture *guest_look(struct guest *guest)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = try_call(guest, "Screenshot", g_variant_new("(s)", guest->picture_path), &error);

	g_clear_pointer(&guest->picture, picture_free);
	if (reply)
		guest->picture = picture_load(guest->picture_path, &error);
	return guest->picture;
}

const struct picture *guest_wait_screen(struct guest *guest, guest_sees sees, void *data, const char *what,
					unsigned seconds)
{
	struct deadline deadline, pause;

	deadline_start(&deadline, seconds * 1000);
	while (!guest_look(guest) || !sees(guest->picture, data)) {
		if (deadline.passed)
			guest_fail(guest, "did not see %s within %u s", what, seconds);
		if (guest->ended)
			guest_fail(guest, "oriel-vm ended before it showed %s", what);
		deadline_start(&pause, LOOK_MILLISECONDS);
		while (!pause.passed && !guest->ended)
			wait_event();
		deadline_stop(&pause);
	}
	deadline_stop(&deadline);
	return guest->picture;
}

struct text_search {
	const char *text;
	struct area found;
};

static bool sees_text(const struct picture *picture, void *data)
{
	struct text_search *search = data;

	return picture_find_text(picture, harness_font(), search->text, &search->found);
}

struct area guest_wait_text(struct guest *guest, const char *text, unsigned seconds)
{
	struct text_search search = { .text = text };
	g_autofree char *what = g_strdup_printf("\"%s\"", text);

	guest_wait_screen(guest, sees_text, &search, what, seconds);
	return search.found;
}
