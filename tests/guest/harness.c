#include "harness_internal.h"

#include <glib/gstdio.h>
#include <linux/input-event-codes.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MILLISECONDS 500

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

char *harness_test_disc(void)
{
	g_autofree char *folder = g_test_build_filename(G_TEST_BUILT, "..", "..", "data", "testdisc", NULL);

	return g_canonicalize_filename("testdisc.iso", folder);
}

const struct font *harness_font(void)
{
	g_autoptr(GError) error = NULL;

	if (!harness.font)
		harness.font = font_from_vga_bios(&error);
	g_assert_no_error(error);
	return harness.font;
}

/* Waiting */

static gboolean deadline_passed(void *data)
{
	struct deadline *deadline = data;

	deadline->passed = true;
	deadline->source = 0;
	return G_SOURCE_REMOVE;
}

void deadline_start(struct deadline *deadline, unsigned milliseconds)
{
	deadline->passed = false;
	deadline->source = g_timeout_add(milliseconds, deadline_passed, deadline);
}

void deadline_stop(struct deadline *deadline)
{
	if (deadline->source)
		g_source_remove(deadline->source);
	deadline->source = 0;
}

void wait_event(void)
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

void keep_texts(const struct guest *guest)
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

char *read_output(const struct guest *guest)
{
	g_autofree char *path = g_build_filename(guest->runtime, "output.txt", NULL);
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? text : g_strdup("");
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
	g_autofree char *message = NULL, *last = tail(guest->text->str, 8), *screen = NULL, *output = NULL;
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
	output = read_output(guest);
	g_printerr("%s: %s after %.1f s\nstate: %s %s\nend of the serial text:\n%s\noriel-vm said:\n%s\n", guest->name,
		   message, guest_age(guest), guest->state, guest->message, last, output);
	if (screen)
		g_printerr("screen as text:\n%s\n", screen);
	guest_free(guest);
	g_error("%s", message);
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

const char *guest_wait_line_or(struct guest *guest, const char *text, const char *state, unsigned seconds)
{
	struct deadline deadline;
	const char *line;

	deadline_start(&deadline, seconds * PATIENCE);
	while (!(line = next_line(guest, text)) && g_strcmp0(guest->state, state) != 0) {
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

const char *guest_wait_line(struct guest *guest, const char *text, unsigned seconds)
{
	return guest_wait_line_or(guest, text, NULL, seconds);
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

const char *guest_ask(struct guest *guest, unsigned seconds, const char *format, ...)
{
	g_autofree char *command = NULL, *line = NULL, *word = NULL;
	va_list list;

	va_start(list, format);
	command = g_strdup_vprintf(format, list);
	va_end(list);
	line = g_strdup_printf("%s\n", command);
	guest_write(guest, line);
	word = g_strndup(command, strcspn(command, " "));
	return guest_wait_line(guest, strcmp(word, "ping") ? word : "pong", seconds);
}

/* Control */

GVariant *guest_try_call(struct guest *guest, const char *method, GVariant *arguments, GError **error)
{
	return g_dbus_connection_call_sync(guest->connection, NULL, MACHINE_OBJECT, MACHINE_INTERFACE, method,
					   arguments, NULL, G_DBUS_CALL_FLAGS_NONE, CALL_SECONDS * 1000, NULL, error);
}

GVariant *guest_call(struct guest *guest, const char *method, GVariant *arguments)
{
	g_autoptr(GError) error = NULL;
	GVariant *reply = guest_try_call(guest, method, arguments, &error);

	if (!reply)
		guest_fail(guest, "%s: %s", method, error->message);
	return reply;
}

uint64_t guest_counter(struct guest *guest, const char *name)
{
	g_autoptr(GVariant) reply = guest_call(guest, "Statistics", NULL);
	g_autoptr(GVariant) counters = g_variant_get_child_value(reply, 0);
	guint64 value = 0;

	g_variant_lookup(counters, name, "t", &value);
	return value;
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

const char *guest_wait_state(struct guest *guest, const char *state, unsigned seconds)
{
	struct deadline deadline;

	deadline_start(&deadline, seconds * PATIENCE);
	while (!g_str_equal(guest->state, state)) {
		if (deadline.passed || guest->ended)
			guest_fail(guest, "state is \"%s\" and not \"%s\"", guest->state, state);
		wait_event();
	}
	deadline_stop(&deadline);
	return guest->message;
}

unsigned guest_changes(const struct guest *guest)
{
	return guest->changes;
}

void guest_wait_changes(struct guest *guest, unsigned changes, unsigned seconds)
{
	struct deadline deadline;

	deadline_start(&deadline, seconds * PATIENCE);
	while (guest->changes < changes) {
		if (deadline.passed || guest->ended)
			guest_fail(guest, "state has changed %u times and not %u", guest->changes, changes);
		wait_event();
	}
	deadline_stop(&deadline);
}

void guest_wait_end(struct guest *guest, unsigned seconds)
{
	struct deadline deadline;

	deadline_start(&deadline, seconds * PATIENCE);
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
	GVariant *path = g_variant_new("(s)", guest->picture_path);
	g_autoptr(GVariant) reply = guest_try_call(guest, "Screenshot", path, &error);

	g_clear_pointer(&guest->picture, picture_free);
	if (reply)
		guest->picture = picture_load(guest->picture_path, &error);
	return guest->picture;
}

const struct picture *guest_wait_screen(struct guest *guest, guest_sees sees, void *data, const char *what,
					unsigned seconds)
{
	struct deadline deadline, pause;

	deadline_start(&deadline, seconds * PATIENCE);
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
