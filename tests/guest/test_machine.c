/*
 * The life of a machine as a whole, on the test disc: the ways to start anew and to stop, work that goes on across
 * pauses and resets, what the control socket tells and takes, serial ports, sizes.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/input-event-codes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#include "../free_port.h"
#include "disk_pattern.h"
#include "harness.h"

#define DISK_SIZE (64u << 20)
#define TMPFS_MAGIC 0x01021994
#define BOOT_SECONDS 90

static struct guest *make(const char *name)
{
	struct guest *guest = guest_new(name);

	guest_set_test_disc(guest);
	return guest;
}

static void start(struct guest *guest)
{
	guest_start(guest);
	guest_wait_line(guest, "screen", BOOT_SECONDS);
}

static void ask(struct guest *guest, const char *method)
{
	g_variant_unref(guest_call(guest, method, NULL));
}

static void expect_refusal(struct guest *guest, const char *method, GVariant *arguments, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GVariant) reply = guest_try_call(guest, method, arguments, &error);

	if (reply || !strstr(error->message, text))
		guest_fail(guest, "%s: expected \"%s\", got \"%s\"", method, text, reply ? "success" : error->message);
	g_test_message("%s: %s", method, error->message);
}

static void stop(struct guest *guest)
{
	ask(guest, "Stop");
	guest_wait_end(guest, 20);
	guest_free(guest);
}

/* Out of a crash. */
static void reset(struct guest *guest)
{
	unsigned changes = guest_changes(guest);

	ask(guest, "Reset");
	guest_wait_changes(guest, changes + 1, 20);
	guest_wait_state(guest, "running", 1);
	guest_wait_line(guest, "screen", BOOT_SECONDS);
}

/* Numbers that the disc's source has, too. */
#define BACKGROUND 0x1B2430
#define KEY_RELEASED 0x3A4A5F
#define KEY_HELD 0x58C777
static const struct area key_a = { 158, 601, 40, 4 };

static void expect_colour(struct guest *guest, unsigned x, unsigned y, uint32_t colour)
{
	const struct picture *picture = guest_look(guest);

	g_assert_nonnull(picture);
	g_assert_cmphex(picture->pixels[y * picture->width + x], ==, colour);
}

static void test_screenshot(void)
{
	static const uint32_t bars[] = { 0xFFFFFF, 0xFFFF00, 0x00FFFF, 0x00FF00, 0xFF00FF, 0xFF0000, 0x0000FF, 0 };
	struct guest *guest = make("screenshot");

	start(guest);
	for (unsigned i = 0; i < G_N_ELEMENTS(bars); i++)
		expect_colour(guest, 36 + i * 89 + 44, 180, bars[i]);
	expect_colour(guest, 4, 200, BACKGROUND);
	guest_wait_text(guest, "Colours: eight even bars, four smooth ramps", 10);
	guest_wait_text(guest, "disk: none", 10);
	guest_keep_picture(guest, "screen");
	expect_refusal(guest, "Screenshot", g_variant_new("(s)", "here.png"), "must be absolute");
	expect_refusal(guest, "Screenshot", g_variant_new("(s)", "/nonexistent/here.png"), "/nonexistent/here.png");
	stop(guest);
}

static bool a_is(const struct picture *picture, void *data)
{
	return picture_main_colour(picture, key_a) == *(const uint32_t *)data;
}

static void send_key(struct guest *guest, unsigned code, int value)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a(qqi)"));
	g_variant_builder_add(&builder, "(qqi)", EV_KEY, code, value);
	g_variant_unref(guest_call(guest, "SendEvents", g_variant_new("(a(qqi))", &builder)));
}

static bool one_colour(const struct picture *picture, void *data)
{
	return picture_count(picture, picture_whole(picture), *(const uint32_t *)data) ==
	       picture->width * picture->height;
}

static void test_input(void)
{
	struct guest *guest = make("input");
	uint32_t held = KEY_HELD, released = KEY_RELEASED, colour = 0x2040C0;

	start(guest);
	guest_wait_screen(guest, a_is, &released, "key A", 10);
	send_key(guest, KEY_A, 1);
	guest_wait_screen(guest, a_is, &held, "key A held", 10);
	send_key(guest, KEY_A, 0);
	guest_wait_screen(guest, a_is, &released, "key A released", 10);
	guest_move(guest, 50, 20);
	guest_wait_text(guest, "x 562  y 404", 10);
	guest_move(guest, -700, 10);
	guest_wait_text(guest, "x 0  y 414", 10);
	/* Every key that goes down changes the colour: four, with the shift. */
	g_assert_cmpstr(guest_ask(guest, 10, "blink"), ==, "blink");
	guest_type(guest, "aBc");
	guest_wait_screen(guest, one_colour, &colour, "the fourth colour", 10);
	guest_keys(guest, "f5", NULL);
	colour = 0xC04020;
	guest_wait_screen(guest, one_colour, &colour, "the fifth colour", 10);
	ask(guest, "Pause");
	expect_refusal(guest, "SendKeys", g_variant_new_parsed("(['a'],)"), "not running");
	expect_refusal(guest, "TypeText", g_variant_new("(s)", "a"), "not running");
	stop(guest);
}

/* A disk that is written, read and compared meanwhile. */
static void test_pause(void)
{
	struct guest *guest = make("pause");
	g_autofree char *image = guest_add_disk(guest, NULL, DISK_SIZE);
	uint64_t exits;

	start(guest);
	for (unsigned step = 0; step < 8; step++) {
		g_autofree char *command = g_strdup_printf("check %u 2048\n", step * 2048);

		guest_write(guest, command);
		for (unsigned i = 0; i < 6; i++) {
			ask(guest, "Pause");
			ask(guest, "Resume");
		}
		g_assert_cmpstr(guest_wait_line(guest, "check", 120), ==, "check good");
		g_assert_true(disk_pattern_found(image, step * 2048, 2048));
	}
	guest_write(guest, "disk write random 4096 32 8388608\n");
	for (unsigned i = 0; i < 20; i++) {
		ask(guest, "Pause");
		ask(guest, "Resume");
	}
	g_assert_cmpstr(guest_wait_line(guest, "disk", 120), !=, "disk 0");
	guest_write(guest, "animate 1024 768 60\n");
	for (unsigned i = 0; i < 20; i++) {
		ask(guest, "Pause");
		ask(guest, "Resume");
	}
	g_assert_cmpstr(guest_wait_line(guest, "animate", 120), !=, "animate 0");
	/* Twice is once. Nothing runs meanwhile. */
	ask(guest, "Pause");
	ask(guest, "Pause");
	guest_wait_state(guest, "paused", 10);
	exits = guest_counter(guest, "exits.io");
	guest_write(guest, "ping\n");
	g_assert_nonnull(guest_look(guest));
	g_assert_cmpuint(guest_counter(guest, "exits.io"), ==, exits);
	ask(guest, "Resume");
	ask(guest, "Resume");
	guest_wait_line(guest, "pong", 20);
	g_assert_cmpuint(guest_counter(guest, "exits.io"), >, exits);
	stop(guest);
}

static void test_reset(void)
{
	struct guest *guest = make("reset-busy");
	g_autofree char *image = guest_add_disk(guest, NULL, DISK_SIZE);

	start(guest);
	for (unsigned i = 0; i < 4; i++) {
		guest_write(guest, i % 2 ? "animate 800 600 100000\n" : "disk write random 65536 32 1073741824\n");
		if (i == 3)
			ask(guest, "Pause");
		ask(guest, "Reset");
		guest_wait_line(guest, "screen", BOOT_SECONDS);
		g_assert_cmpstr(guest_ask(guest, 60, "check %u 2048", i * 2048), ==, "check good");
		g_assert_true(disk_pattern_found(image, i * 2048, 2048));
	}
	stop(guest);
}

static void test_ways_out(void)
{
	static const char *const ways[] = { "cf9", "keyboard", "port92", "triple" };
	struct guest *guest = make("ways-out");

	start(guest);
	for (unsigned i = 0; i < G_N_ELEMENTS(ways); i++) {
		g_autofree char *line = g_strdup_printf("%s\n", ways[i]);

		guest_write(guest, line);
		guest_wait_line(guest, "screen", BOOT_SECONDS);
	}
	expect_refusal(guest, "PowerButton", NULL, "No operating system listens");
	guest_write(guest, "off\n");
	guest_wait_end(guest, 20);
	guest_free(guest);
}

/* One triple fault is a way to reboot; a guest that does nothing else is stopped. */
static void test_triple_faults(void)
{
	struct guest *guest = make("triple-faults");
	bool crashed = false;

	start(guest);
	for (unsigned i = 0; i < 8 && !crashed; i++) {
		guest_write(guest, "triple\n");
		crashed = !guest_wait_line_or(guest, "screen", "crashed", BOOT_SECONDS);
	}
	if (!crashed) {
		g_test_skip("this host is too slow to fault three times in half a minute");
	} else {
		g_assert_nonnull(strstr(guest_wait_state(guest, "crashed", 1), "triple fault"));
		expect_refusal(guest, "Resume", NULL, "only be reset");
		reset(guest);
	}
	stop(guest);
}

static void test_crash(void)
{
	struct guest *guest = make("crash");
	g_autofree char *report = NULL, *path = NULL;
	const char *message;

	start(guest);
	guest_write(guest, "crash\n");
	g_assert_null(guest_wait_line_or(guest, "exception", "crashed", 30));
	message = guest_wait_state(guest, "crashed", 1);
	g_test_message("%s", message);
	g_assert_nonnull(strstr(message, "could not be completed"));
	path = g_strdup(strstr(message, guest_folder(guest)));
	g_assert_true(g_file_get_contents(path, &report, NULL, NULL));
	g_test_message("%s", report);
	/* The EDID's first bytes. */
	g_assert_nonnull(strstr(report, "\ninstruction 00 ff\n"));
	g_assert_nonnull(strstr(report, "rip 00000000"));
	g_assert_nonnull(strstr(report, "cr3 0000000000070000"));
	/* It can be looked at, but not go on. */
	expect_colour(guest, 4, 200, BACKGROUND);
	g_assert_cmpuint(guest_counter(guest, "exits.failed-emulation"), >, 0);
	expect_refusal(guest, "Resume", NULL, "only be reset");
	expect_refusal(guest, "Pause", NULL, "crashed");
	expect_refusal(guest, "PowerButton", NULL, "crashed");
	reset(guest);
	stop(guest);
}

static void test_statistics(void)
{
	struct guest *guest = make("statistics");
	g_autofree char *image = guest_add_disk(guest, NULL, DISK_SIZE);
	uint64_t io, mmio, writes, bytes, reads, time;

	start(guest);
	io = guest_counter(guest, "exits.io");
	mmio = guest_counter(guest, "exits.mmio");
	guest_ask(guest, 60, "pio 2000");
	guest_ask(guest, 60, "mmio 3000");
	g_assert_cmpuint(guest_counter(guest, "exits.io") - io, >=, 2000);
	g_assert_cmpuint(guest_counter(guest, "exits.io") - io, <, 20000);
	g_assert_cmpuint(guest_counter(guest, "exits.mmio") - mmio, >=, 3000);
	g_assert_cmpuint(guest_counter(guest, "exits.mmio") - mmio, <, 4000);
	writes = guest_counter(guest, "disk0.write.operations");
	bytes = guest_counter(guest, "disk0.write.bytes");
	reads = guest_counter(guest, "disk0.read.operations");
	g_assert_cmpstr(guest_ask(guest, 60, "disk write sequential 65536 4 1048576"), !=, "disk 0");
	g_assert_cmpuint(guest_counter(guest, "disk0.write.operations") - writes, ==, 16);
	g_assert_cmpuint(guest_counter(guest, "disk0.write.bytes") - bytes, ==, 1048576);
	g_assert_cmpuint(guest_counter(guest, "disk0.read.operations"), ==, reads);
	g_assert_cmpstr(guest_ask(guest, 60, "disk read random 4096 8 1048576"), !=, "disk 0");
	g_assert_cmpuint(guest_counter(guest, "disk0.read.operations") - reads, ==, 256);
	g_assert_cmpuint(guest_counter(guest, "disk0.write.errors"), ==, 0);
	g_assert_cmpuint(guest_counter(guest, "memory.guest"), ==, 128 << 20);
	g_assert_cmpuint(guest_counter(guest, "memory.resident"), >, 1 << 20);
	g_assert_cmpuint(guest_counter(guest, "memory.resident"), <, 512 << 20);
	/* One vCPU's time is at most what has passed, give or take the kernel's tick. */
	time = guest_counter(guest, "time.guest") + guest_counter(guest, "time.user") +
	       guest_counter(guest, "time.kernel");
	g_assert_cmpuint(time, >, 100000000);
	g_assert_cmpfloat((double)time / 1e9, <, guest_age(guest) + 0.1);
	g_assert_cmpuint(guest_counter(guest, "process.user") + guest_counter(guest, "process.kernel"), >, 10000000);
	stop(guest);
}

/* Kilobytes of the image's first bytes that the host has not written to its disk; -1 if it cannot tell. */
static long unwritten(const char *image, size_t size)
{
	g_autofree char *text = NULL, *start = NULL;
	struct statfs status;
	long dirty = -1;
	char *mapping;
	int fd = open(image, O_RDONLY | O_CLOEXEC);
	volatile uint8_t *bytes;

	g_assert_no_errno(fd);
	if (fstatfs(fd, &status) < 0 || status.f_type == TMPFS_MAGIC) {
		close(fd);
		return -1;
	}
	bytes = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	g_assert_true(bytes != MAP_FAILED);
	for (size_t i = 0; i < size; i += 4096)
		(void)bytes[i];
	start = g_strdup_printf("%lx-", (unsigned long)bytes);
	if (g_file_get_contents("/proc/self/smaps", &text, NULL, NULL) && (mapping = strstr(text, start))) {
		char *private = strstr(mapping, "Private_Dirty:"), *shared = strstr(mapping, "Shared_Dirty:");

		dirty = atol(private + 14) + atol(shared + 13);
	}
	munmap((void *)bytes, size);
	return dirty;
}

/* A flush is what a guest's file system relies on when the power goes. */
static void test_flush(void)
{
	struct guest *guest = make("flush");
	g_autofree char *image = guest_add_disk(guest, NULL, DISK_SIZE);

	start(guest);
	g_assert_cmpstr(guest_ask(guest, 60, "check 0 2048"), ==, "check good");
	if (unwritten(image, 1 << 20) > 0) {
		g_assert_cmpstr(guest_ask(guest, 60, "flush"), ==, "flush good");
		g_assert_cmpint(unwritten(image, 1 << 20), ==, 0);
	} else {
		g_test_message("the host writes at once, or to memory only: whether a flush reaches it was not seen");
		g_assert_cmpstr(guest_ask(guest, 60, "flush"), ==, "flush good");
	}
	g_assert_cmpuint(guest_counter(guest, "disk0.flush.operations"), ==, 1);
	g_assert_cmpuint(guest_counter(guest, "disk0.flush.errors"), ==, 0);
	/* What the guest was told to be written survives the process. */
	g_assert_cmpstr(guest_ask(guest, 60, "check 2048 2048"), ==, "check good");
	guest_write(guest, "disk write random 65536 32 1073741824\n");
	guest_kill(guest, SIGKILL);
	start(guest);
	g_assert_cmpstr(guest_ask(guest, 60, "check 4096 2048"), ==, "check good");
	g_assert_true(disk_pattern_found(image, 4096, 2048));
	stop(guest);
}

static void test_sizes(void)
{
	static const struct { unsigned cpus, memory; } sizes[] = { { 1, 64 }, { 2, 256 }, { 3, 128 }, { 1, 5120 } };

	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		struct guest *guest = make("sizes");
		g_autofree char *image = guest_add_disk(guest, NULL, 1 << 20);
		uint64_t bytes;

		guest_set(guest, "machine", "cpus", "%u", sizes[i].cpus);
		guest_set(guest, "machine", "memory", "%u", sizes[i].memory);
		start(guest);
		bytes = g_ascii_strtoull(guest_ask(guest, 10, "memory") + strlen("memory "), NULL, 10);
		/* Firmware keeps a little for itself. */
		g_assert_cmpuint(bytes, <=, (uint64_t)sizes[i].memory << 20);
		g_assert_cmpuint(bytes, >, ((uint64_t)sizes[i].memory << 20) - (1 << 20));
		if (sizes[i].memory > 4096)
			g_assert_cmpstr(guest_ask(guest, 60, "high 0 256"), ==, "high good");
		g_assert_cmpstr(guest_ask(guest, 60, "check 512 256"), ==, "check good");
		stop(guest);
	}
}

static void test_discs(void)
{
	struct guest *guest = make("discs");
	g_autofree char *path = harness_test_disc();

	start(guest);
	expect_refusal(guest, "InsertDisc", g_variant_new("(is)", -1, "/nonexistent.iso"), "/nonexistent.iso");
	expect_refusal(guest, "InsertDisc", g_variant_new("(is)", 0, path), "no CD drive");
	g_variant_unref(guest_call(guest, "EjectDisc", g_variant_new("(ib)", -1, FALSE)));
	guest_ask(guest, 10, "ping");
	ask(guest, "Reset");
	guest_wait_text(guest, "No bootable device.", BOOT_SECONDS);
	g_variant_unref(guest_call(guest, "InsertDisc", g_variant_new("(is)", 1, path)));
	ask(guest, "Reset");
	guest_wait_line(guest, "screen", BOOT_SECONDS);
	stop(guest);
}

static void test_serial_log(void)
{
	struct guest *guest = make("serial-log");
	g_autofree char *path = g_build_filename(guest_folder(guest), "serial.log", NULL);
	g_autofree char *text = NULL;

	guest_set(guest, "serial", "mode", "log");
	guest_start(guest);
	guest_wait_text(guest, "Screen, keyboard and mouse at work", BOOT_SECONDS);
	ask(guest, "Stop");
	guest_wait_end(guest, 20);
	g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
	g_assert_nonnull(strstr(text, "screen\n"));
	guest_free(guest);
}

static void test_serial_pty(void)
{
	struct guest *guest = make("serial-pty");
	g_autofree char *path = NULL;
	char answer[64] = "";
	size_t got = 0;
	int fd;

	guest_set(guest, "serial", "mode", "pty");
	guest_start(guest);
	path = guest_property(guest, "SerialPty");
	fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	g_assert_no_errno(fd);
	guest_wait_text(guest, "Screen, keyboard and mouse at work", BOOT_SECONDS);
	tcflush(fd, TCIFLUSH);
	g_assert_cmpint(write(fd, "ping\n", 5), ==, 5);
	while (!strstr(answer, "pong\n") && got < sizeof answer - 1) {
		ssize_t n = read(fd, answer + got, sizeof answer - 1 - got);

		g_assert_cmpint(n, >, 0);
		got += (size_t)n;
	}
	g_assert_nonnull(strstr(answer, "pong\n"));
	close(fd);
	stop(guest);
}

#define GDBUS_ARGUMENTS 3

/* Methods in an order in which each succeeds, with what gdbus takes as arguments. */
static const struct { const char *method, *arguments[GDBUS_ARGUMENTS], *answer; } gdbus_calls[] = {
	{ "Pause", { NULL }, "()" }, { "Resume", { NULL }, "()" },
	{ "SendKeys", { "['ctrl+alt+delete', 'f12', 'a']" }, "()" }, { "TypeText", { "Hello, World!" }, "()" },
	{ "SendEvents", { "[(2, 0, 10), (2, 1, -10), (0, 0, 0)]" }, "()" },
	{ "Statistics", { NULL }, "'exits.io': uint64 " }, { "EjectDisc", { "-1", "true" }, "()" },
	{ "InsertDisc", { "1", "%DISC%" }, "()" }, { "Screenshot", { "%PICTURE%" }, "()" },
	{ "Thumbnail", { "160", "100", "0" }, "(uint64 " },
	{ "PowerButton", { NULL }, "NotSupported" }, { "Retry", { NULL }, "NotSupported" },
	{ "SetMicrophone", { "true" }, "()" }, { "SetLink", { "false" }, "()" },
	{ "AddForward", { "%FORWARD%" }, "()" }, { "RemoveForward", { "%FORWARD%" }, "()" },
	{ "PlugStick", { "%STICK%", "false" }, "()" }, { "UnplugStick", { "%STICK%", "true" }, "()" },
	{ "HostDevices", { NULL }, "(" }, { "PlugHostDevice", { "255", "127" }, "NotFound" },
	{ "UnplugHostDevice", { "255", "127" }, "NotFound" },
	{ "Raise", { NULL }, "()" }, { "Fail", { NULL }, "NotSupported" }, { "Reset", { NULL }, "()" }, { "Stop", { NULL }, "()" },
};

static void call_gdbus(struct guest *guest, const char *method, const char *const arguments[GDBUS_ARGUMENTS], const char *answer)
{
	g_autofree char *address = guest_address(guest), *full = g_strconcat("io.github.oriel.Machine.", method, NULL);
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	g_autoptr(GSubprocess) process = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *output = NULL;
	const char *const command[] = { "gdbus", "call", "--address", address, "--dest", "io.github.oriel.Machine",
					"--object-path", "/io/github/oriel/Machine", "--method", full, "--" };

	for (unsigned i = 0; i < G_N_ELEMENTS(command); i++)
		g_ptr_array_add(words, (char *)command[i]);
	for (unsigned i = 0; i < GDBUS_ARGUMENTS && arguments[i]; i++)
		g_ptr_array_add(words, (char *)arguments[i]);
	g_ptr_array_add(words, NULL);
	process = g_subprocess_newv((const char *const *)words->pdata, G_SUBPROCESS_FLAGS_STDOUT_PIPE |
				    G_SUBPROCESS_FLAGS_STDERR_MERGE, &error);
	g_assert_no_error(error);
	g_subprocess_communicate_utf8(process, NULL, NULL, &output, NULL, &error);
	g_assert_no_error(error);
	if (!strstr(output, answer))
		guest_fail(guest, "gdbus %s: %s", method, output);
}

static void expect_all_methods(struct guest *guest)
{
	g_autofree char *xml = guest_introspect(guest);
	g_autoptr(GDBusNodeInfo) node = g_dbus_node_info_new_for_xml(xml, NULL);
	GDBusInterfaceInfo *interface = g_dbus_node_info_lookup_interface(node, "io.github.oriel.Machine");

	for (unsigned i = 0; interface->methods[i]; i++) {
		bool called = false;

		for (unsigned n = 0; n < G_N_ELEMENTS(gdbus_calls); n++)
			called |= g_str_equal(gdbus_calls[n].method, interface->methods[i]->name);
		if (!called)
			g_error("%s is not tried with gdbus", interface->methods[i]->name);
	}
}

static void test_gdbus(void)
{
	struct guest *guest = make("gdbus");
	g_autofree char *disc = harness_test_disc(), *forward = g_strdup_printf("tcp:%u-22", free_port());
	g_autofree char *picture = g_build_filename(guest_folder(guest), "picture.png", NULL);
	g_autofree char *stick = g_build_filename(guest_folder(guest), "stick.raw", NULL), *nothing = g_malloc0(1 << 20);
	const struct { const char *word, *meaning; } words[] = {
		{ "%DISC%", disc }, { "%PICTURE%", picture }, { "%FORWARD%", forward }, { "%STICK%", stick },
	};

	g_assert_true(g_file_set_contents(stick, nothing, 1 << 20, NULL));
	start(guest);
	expect_all_methods(guest);
	for (unsigned i = 0; i < G_N_ELEMENTS(gdbus_calls); i++) {
		const char *arguments[GDBUS_ARGUMENTS];

		memcpy(arguments, gdbus_calls[i].arguments, sizeof arguments);
		for (unsigned n = 0; n < GDBUS_ARGUMENTS; n++)
			for (unsigned k = 0; k < G_N_ELEMENTS(words); k++)
				if (g_strcmp0(arguments[n], words[k].word) == 0)
					arguments[n] = words[k].meaning;
		call_gdbus(guest, gdbus_calls[i].method, arguments, gdbus_calls[i].answer);
	}
	g_assert_true(g_file_test(picture, G_FILE_TEST_EXISTS));
	guest_wait_end(guest, 20);
	guest_free(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/machine/screenshot", test_screenshot);
	g_test_add_func("/machine/input", test_input);
	g_test_add_func("/machine/pause", test_pause);
	g_test_add_func("/machine/reset", test_reset);
	g_test_add_func("/machine/ways-out", test_ways_out);
	g_test_add_func("/machine/triple-faults", test_triple_faults);
	g_test_add_func("/machine/crash", test_crash);
	g_test_add_func("/machine/statistics", test_statistics);
	g_test_add_func("/machine/flush", test_flush);
	g_test_add_func("/machine/sizes", test_sizes);
	g_test_add_func("/machine/discs", test_discs);
	g_test_add_func("/machine/serial-log", test_serial_log);
	g_test_add_func("/machine/serial-pty", test_serial_pty);
	g_test_add_func("/machine/gdbus", test_gdbus);
	return harness_run();
}
