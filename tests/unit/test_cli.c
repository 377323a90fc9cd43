/*
 * The command line: "oriel" as a user runs it. Started as oriel-vm (with ORIEL_VM pointing here), this program is a
 * machine's process with everything but a machine.
 */
#include "fake_machine.h"

#include <glib-unix.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../vmm/config/config.h"
#include "../../vmm/control/control.h"
#include "../../vmm/usb/host_list.h"
#include "../remove_tree.h"

/* The machine's process */

struct pretender {
	struct fake_machine *machine;
	struct input_router router;
	struct input_sink sink;
	struct scanout scanout;
	struct control *control;
	const char *state;
	char *record; /* file that everything asked for is appended to */
	bool stop;
};

static void record(struct pretender *p, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void record(struct pretender *p, const char *format, ...)
{
	FILE *file = fopen(p->record, "a");
	va_list arguments;

	va_start(arguments, format);
	vfprintf(file, format, arguments);
	va_end(arguments);
	fclose(file);
}

static const char *get_state(void *machine)
{
	return ((struct pretender *)machine)->state;
}

static const char *get_nothing(void *machine)
{
	(void)machine;
	return "";
}

static void refresh_screen(void *machine)
{
	(void)machine;
}

static bool do_pause(void *machine, GError **error)
{
	struct pretender *p = machine;

	(void)error;
	p->state = "paused";
	record(p, "pause\n");
	return true;
}

static bool do_resume(void *machine, GError **error)
{
	struct pretender *p = machine;

	(void)error;
	p->state = "running";
	record(p, "resume\n");
	return true;
}

static bool do_reset(void *machine, GError **error)
{
	(void)error;
	record(machine, "reset\n");
	return true;
}

static bool do_power_button(void *machine, GError **error)
{
	(void)machine;
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "No operating system listens to the power button");
	return false;
}

static bool do_stop(void *machine, GError **error)
{
	struct pretender *p = machine;

	(void)error;
	p->stop = true;
	g_main_context_wakeup(NULL);
	return true;
}

static bool do_insert(void *machine, int drive, const char *path, GError **error)
{
	(void)error;
	record(machine, "insert %d %s\n", drive, path);
	return true;
}

static bool do_eject(void *machine, int drive, bool force, GError **error)
{
	(void)error;
	record(machine, "eject %d %d\n", drive, force);
	return true;
}

static bool do_plug(void *machine, const char *path, bool read_only, GError **error)
{
	(void)error;
	record(machine, "plug %s %d\n", path, read_only);
	return true;
}

static bool do_unplug(void *machine, const char *path, bool force, GError **error)
{
	(void)error;
	record(machine, "unplug %s %d\n", path, force);
	return true;
}

static void do_host_devices(void *machine, control_listed done, void *opaque)
{
	struct usb_host_entry list[] = { { 1, 4, 0x046D, 0xC077, (char *)"A mouse", true },
					 { 2, 9, 0x1234, 0x0001, (char *)"A stick", false } };
	g_autoptr(GPtrArray) entries = g_ptr_array_new();

	(void)machine;
	g_ptr_array_add(entries, &list[0]);
	g_ptr_array_add(entries, &list[1]);
	done(opaque, entries, NULL);
}

static void do_plug_host(void *machine, uint8_t bus, uint8_t address, control_done done, void *opaque)
{
	record(machine, "host %u %u\n", bus, address);
	done(opaque, NULL);
}

static bool do_unplug_host(void *machine, uint8_t bus, uint8_t address, GError **error)
{
	(void)error;
	record(machine, "host %u %u\n", bus, address);
	return true;
}

static void do_statistics(void *machine, void (*add)(void *opaque, const char *name, uint64_t value), void *opaque)
{
	(void)machine;
	add(opaque, "time.guest", 5);
	add(opaque, "exits.io", 7);
}

static void no_discs(void *machine, void (*add)(void *opaque, int drive, const char *path), void *opaque)
{
	(void)machine;
	(void)add;
	(void)opaque;
}

static void no_forwards(void *machine, void (*add)(void *opaque, const char *forward), void *opaque)
{
	(void)machine;
	(void)add;
	(void)opaque;
}

static void no_sticks(void *machine, void (*add)(void *opaque, const char *path), void *opaque)
{
	(void)machine;
	(void)add;
	(void)opaque;
}

static bool not_there(void *machine)
{
	(void)machine;
	return false;
}

static const struct control_ops ops = {
	.state = get_state, .message = get_nothing, .serial_pty = get_nothing, .refresh_screen = refresh_screen,
	.pause = do_pause, .resume = do_resume, .reset = do_reset, .power_button = do_power_button, .stop = do_stop, .raise = do_reset,
	.retry = do_reset, .fail = do_reset, .insert_disc = do_insert, .eject_disc = do_eject,
	.plug_stick = do_plug, .unplug_stick = do_unplug, .host_devices = do_host_devices,
	.plug_host_device = do_plug_host, .unplug_host_device = do_unplug_host,
	.statistics = do_statistics, .discs = no_discs, .microphone = not_there, .link = not_there,
	.forwards = no_forwards, .sticks = no_sticks,
};

static void sink_event(struct input_sink *sink, const struct input_event *event)
{
	struct pretender *p = (struct pretender *)((char *)sink - G_STRUCT_OFFSET(struct pretender, sink));

	if (event->type == EV_KEY && event->value)
		record(p, "key %u\n", event->code);
}

static void show_picture(struct pretender *p)
{
	struct scanout_picture picture = { .width = 4, .height = 2, .stride = 16 };

	picture.memory = scanout_memory_new(32);
	scanout_set_picture(&p->scanout, &picture);
	scanout_memory_unref(picture.memory);
}

static int run_machine(const char *folder, bool headless)
{
	struct pretender p = { .state = "running" };
	GError *error = NULL;
	struct machine_config *config = machine_config_load(folder, &error);
	g_autofree char *socket = config ? machine_config_socket_path(config) : NULL;
	struct control_options options = { .scanout = &p.scanout, .router = &p.router, .socket_path = socket,
					   .name = "test", .folder = folder, .ops = &ops, .machine = &p };

	if (!config || g_getenv("ORIEL_TEST_REFUSE")) {
		fprintf(stderr, "oriel-vm: %s\n", config ? "Cannot open /dev/kvm" : error->message);
		machine_config_free(config);
		g_clear_error(&error);
		return 1;
	}
	p.machine = fake_machine_new(2 << 20);
	clock_finish(&p.machine->vm.clock);
	clock_init(&p.machine->vm.clock, &p.machine->vm.loop);
	p.record = g_build_filename(folder, "record", NULL);
	record(&p, headless ? "headless\n" : "window\n");
	input_router_init(&p.router);
	p.sink = (struct input_sink){ .name = "test", .kinds = INPUT_KEYBOARD, .active = true, .event = sink_event };
	input_router_add(&p.router, &p.sink);
	scanout_init(&p.scanout);
	show_picture(&p);
	options.vm = &p.machine->vm;
	p.control = control_new(&options, &error);
	g_assert_no_error(error);
	loop_start(&p.machine->vm.loop);
	g_mutex_lock(&p.machine->vm.lock);
	clock_start(&p.machine->vm.clock);
	g_mutex_unlock(&p.machine->vm.lock);
	while (!p.stop)
		g_main_context_iteration(NULL, TRUE);
	loop_stop(&p.machine->vm.loop);
	control_free(p.control);
	input_router_remove(&p.router, &p.sink);
	input_router_finish(&p.router);
	scanout_finish(&p.scanout);
	fake_machine_free(p.machine);
	machine_config_free(config);
	g_free(p.record);
	return 0;
}

/* The user */

static const char *oriel_program;

struct fixture {
	char *folder;
	char *machines;
};

static void set_up(struct fixture *f, gconstpointer unused)
{
	g_autofree char *data = NULL, *run = NULL;

	(void)unused;
	f->folder = g_dir_make_tmp("oriel-cli-XXXXXX", NULL);
	data = g_build_filename(f->folder, "data", NULL);
	run = g_build_filename(f->folder, "run", NULL);
	f->machines = g_build_filename(data, "oriel", "machines", NULL);
	g_assert_cmpint(g_mkdir(run, 0700), ==, 0);
	g_setenv("XDG_DATA_HOME", data, TRUE);
	g_setenv("XDG_RUNTIME_DIR", run, TRUE);
}

static void tear_down(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	remove_tree(f->folder);
	g_free(f->folder);
	g_free(f->machines);
}

/* Runs "oriel" with arguments; returns what it wrote to both outputs. */
static char *run(struct fixture *f, int expected, const char *first, ...)
{
	g_autoptr(GPtrArray) arguments = g_ptr_array_new();
	g_autofree char *errors = NULL, *output = NULL;
	GError *error = NULL;
	va_list rest;
	int status;

	g_ptr_array_add(arguments, (char *)oriel_program);
	va_start(rest, first);
	for (const char *argument = first; argument; argument = va_arg(rest, const char *))
		g_ptr_array_add(arguments, (char *)argument);
	va_end(rest);
	g_ptr_array_add(arguments, NULL);
	g_spawn_sync(f->folder, (char **)arguments->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output, &errors,
		     &status, &error);
	g_assert_no_error(error);
	g_assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != expected)
		g_test_message("oriel %s: %s%s", first, output, errors);
	g_assert_cmpint(WEXITSTATUS(status), ==, expected);
	return g_strconcat(output, errors, NULL);
}

static void expect(struct fixture *f, int status, const char *text, const char *first, const char *second,
		   const char *third, const char *fourth)
{
	g_autofree char *output = run(f, status, first, second, third, fourth, NULL);

	if (!strstr(output, text))
		g_test_message("expected \"%s\" in \"%s\"", text, output);
	g_assert_nonnull(strstr(output, text));
}

static void test_help(struct fixture *f, gconstpointer unused)
{
	static const char *const commands[] = {
		"create", "list", "start", "show", "pause", "resume", "reset", "power-button", "stop", "screenshot", "insert",
		"eject", "plug", "unplug", "usb", "keys", "type", "statistics", "import", "clone", "delete", "config", "log", "identify", "systems",
		"check",
	};
	g_autofree char *help = run(f, 0, "--help", NULL);

	(void)unused;
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
		g_autofree char *usage = g_strconcat("oriel ", commands[i], " [OPTION", NULL);

		g_assert_nonnull(strstr(help, commands[i]));
		expect(f, 0, usage, commands[i], "--help", NULL, NULL);
		expect(f, 2, "nknown option", commands[i], "--no-such-option", NULL, NULL);
	}
	expect(f, 2, "There is no command \"dance\"", "dance", NULL, NULL, NULL);
	expect(f, 2, "Usage", "start", NULL, NULL, NULL);
	expect(f, 2, "Usage", "list", "x", NULL, NULL);
	expect(f, 2, "UTF-8", "start", "\377", NULL, NULL);
	expect(f, 0, "oriel ", "--version", NULL, NULL, NULL);
}

static void test_create(struct fixture *f, gconstpointer unused)
{
	g_autofree char *folder = g_build_filename(f->machines, "Windows 11", NULL);
	g_autofree char *disk = g_build_filename(folder, "disk.img", NULL);
	g_autofree char *iso = g_build_filename(f->folder, "a.iso", NULL);
	struct machine_config *config;
	struct stat status;
	GError *error = NULL;

	(void)unused;
	expect(f, 0, "", "list", NULL, NULL, NULL);
	g_assert_true(g_file_set_contents(iso, "x", 1, NULL));
	g_free(run(f, 0, "create", "Windows 11", "--iso", "a.iso", "--disk", "20G", "--memory", "2048", "--cpus", "3",
		   NULL));
	config = machine_config_load(folder, &error);
	g_assert_no_error(error);
	g_assert_cmpstr(config->name, ==, "Windows 11");
	g_assert_cmpuint(config->cpus, ==, 3);
	g_assert_cmpuint(config->memory, ==, 2048ull << 20);
	g_assert_true(config->has_disk[0] && config->has_disk[1]);
	g_assert_cmpstr(config->disks[0].path, ==, "disk.img");
	g_assert_cmpint(config->disks[1].kind, ==, CONFIG_CD);
	g_assert_cmpstr(config->disks[1].path, ==, iso);
	machine_config_free(config);
	g_assert_cmpint(stat(disk, &status), ==, 0);
	g_assert_cmpint(status.st_size, ==, 20ll << 30);
	g_assert_cmpint(status.st_blocks, <, 64);
	expect(f, 0, "stopped    Windows 11\n", "list", NULL, NULL, NULL);
	expect(f, 1, "already", "create", "Windows 11", NULL, NULL);
	g_free(run(f, 0, "create", "empty", "--disk", "0", NULL));
	g_clear_pointer(&disk, g_free);
	disk = g_build_filename(f->machines, "empty", "disk.img", NULL);
	g_assert_false(g_file_test(disk, G_FILE_TEST_EXISTS));
}

static void test_create_refuses(struct fixture *f, gconstpointer unused)
{
	static const char *const names[] = { "", ".hidden", "a/b", "..", "a\nb" };
	GDir *left;

	(void)unused;
	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		expect(f, 1, "name", "create", names[i], NULL, NULL);
	expect(f, 1, "no disc image", "create", "x", "--iso", "nowhere.iso");
	expect(f, 1, "not a size", "create", "x", "--disk", "big");
	expect(f, 1, "not a size", "create", "x", "--disk", "99999999999999999999");
	expect(f, 1, "not a size", "create", "x", "--disk", "9000000000T");
	expect(f, 1, "1 MiB", "create", "x", "--disk", "100");
	expect(f, 1, "memory", "create", "x", "--memory", "1");
	expect(f, 1, "cpus", "create", "x", "--cpus", "70000");
	expect(f, 1, "positive", "create", "x", "--cpus", "-1");
	expect(f, 2, "", "create", "x", "--cpus", "many");
	left = g_dir_open(f->machines, 0, NULL);
	g_assert_null(left ? g_dir_read_name(left) : NULL);
	if (left)
		g_dir_close(left);
}

/* A volume descriptor is enough to be recognised. */
static void write_disc(struct fixture *f, const char *name, const char *volume)
{
	g_autofree char *path = g_build_filename(f->folder, name, NULL);
	g_autofree char *bytes = g_malloc0(32 * 2048);

	memcpy(bytes + 16 * 2048, "\1CD001\1", 7);
	memset(bytes + 16 * 2048 + 40, ' ', 32);
	memcpy(bytes + 16 * 2048 + 40, volume, strlen(volume));
	g_assert_true(g_file_set_contents(path, bytes, 32 * 2048, NULL));
}

static struct machine_config *load(struct fixture *f, const char *id)
{
	g_autofree char *folder = g_build_filename(f->machines, id, NULL);
	GError *error = NULL;
	struct machine_config *config = machine_config_load(folder, &error);

	g_assert_no_error(error);
	return config;
}

static void expect_disk_size(struct fixture *f, const char *id, guint64 size)
{
	g_autofree char *disk = g_build_filename(f->machines, id, "disk.img", NULL);
	struct stat status;

	g_assert_cmpint(stat(disk, &status), ==, 0);
	g_assert_cmpuint((guint64)status.st_size, ==, size);
}

static void test_recognition(struct fixture *f, gconstpointer unused)
{
	struct machine_config *config;

	(void)unused;
	write_disc(f, "d.iso", "Debian 12.5.0 amd64 n");
	write_disc(f, "x.iso", "NOTHING");
	expect(f, 0, "d.iso: Debian 12. No computer starts", "identify", "d.iso", NULL, NULL);
	expect(f, 0, "\"system\": \"debian12\"", "identify", "--json", "d.iso", NULL);
	expect(f, 1, "nowhere", "identify", "nowhere", "d.iso", NULL);
	expect(f, 0, "win11 ", "systems", "windows", "11", NULL);
	expect(f, 0, "\"needs-tpm\": true", "systems", "--json", "win11", NULL);
	expect(f, 2, "needs a name", "create", NULL, NULL, NULL);
	expect(f, 0, "Debian 12\n", "create", "--iso=d.iso", NULL, NULL);
	expect(f, 0, "Debian 12 2\n", "create", "--iso=d.iso", "--disk=3G", NULL);
	config = load(f, "Debian 12");
	g_assert_cmpuint(config->cpus, ==, MIN(2, g_get_num_processors()));
	g_assert_cmpuint(config->memory, >=, 1ull << 30);
	g_assert_cmpuint(config->memory, <=, 4ull << 30);
	machine_config_free(config);
	expect_disk_size(f, "Debian 12", 32ull << 30);
	expect_disk_size(f, "Debian 12 2", 3ull << 30);
	expect(f, 0, "", "create", "w", "--iso=x.iso", "--system=win10");
	expect_disk_size(f, "w", 64ull << 30);
	expect(f, 1, "no system \"vista99\"", "create", "v", "--system=vista99", NULL);
	g_free(run(f, 0, "create", "s", "--iso=x.iso", "--disk=1M", "--start", "--headless", NULL));
	expect(f, 0, "running    s\n", "list", NULL, NULL, NULL);
	expect(f, 0, "\"state\": \"running\"", "list", "--json", NULL, NULL);
	expect(f, 0, "", "stop", "s", NULL, NULL);
}

static void test_import(struct fixture *f, gconstpointer unused)
{
	g_autofree char *raw = g_build_filename(f->folder, "old pc.img", NULL);
	struct machine_config *config;

	(void)unused;
	g_assert_true(g_file_set_contents(raw, "disk", 4, NULL));
	g_assert_cmpint(truncate(raw, 1 << 20), ==, 0);
	expect(f, 0, "old pc\n", "import", "old pc.img", NULL, NULL);
	expect(f, 0, "old pc 2\n", "import", "old pc.img", "--cpus=1", NULL);
	expect(f, 0, "mine\n", "import", "old pc.img", "mine", "--memory=512");
	expect(f, 1, "already", "import", "old pc.img", "mine", NULL);
	expect(f, 1, "nowhere", "import", "nowhere.vdi", NULL, NULL);
	expect(f, 1, "oriel import", "create", "x", "--iso", "old pc.img");
	config = load(f, "mine");
	g_assert_cmpuint(config->memory, ==, 512ull << 20);
	g_assert_cmpstr(config->disks[0].path, ==, "disk.qcow2");
	machine_config_free(config);
}

static void test_store(struct fixture *f, gconstpointer unused)
{
	g_autofree char *log = g_build_filename(f->machines, "two", "log", NULL);
	g_autofree char *folder = g_build_filename(f->machines, "two", NULL);

	(void)unused;
	g_free(run(f, 0, "create", "one", "--disk", "1M", NULL));
	expect(f, 1, "no machine named", "clone", "none", "two", NULL);
	expect(f, 0, "two\n", "clone", "one", "two", NULL);
	expect(f, 0, "stopped    one\nstopped    two\n", "list", NULL, NULL, NULL);
	expect(f, 0, "\"name\": \"two\"", "list", "--json", NULL, NULL);
	expect(f, 0, "machine.name=two\n", "config", "two", NULL, NULL);
	expect(f, 0, "\"name\": \"two\"", "config", "two", "--json", NULL);
	expect(f, 0, "", "config", "two", "machine.memory", "1024");
	expect(f, 0, "1024\n", "config", "two", "machine.memory", NULL);
	expect(f, 1, "machine.conf", "config", "two", "machine.cpus", "many");
	expect(f, 1, "not a key", "config", "two", "cpus", "1");
	expect(f, 1, "default", "config", "two", "serial.mode", NULL);
	expect(f, 0, "", "config", "two", "--unset", "machine.memory");
	expect(f, 1, "default", "config", "two", "machine.memory", NULL);
	expect(f, 2, "--unset", "config", "two", "--unset", NULL);
	expect(f, 1, "not written a log", "log", "two", NULL, NULL);
	g_assert_true(g_file_set_contents(log, "first\nlast\n", -1, NULL));
	expect(f, 0, "first\nlast\n", "log", "two", NULL, NULL);
	expect(f, 1, "no machine named", "delete", "none", NULL, NULL);
	expect(f, 0, "", "delete", "two", "--permanently", NULL);
	g_assert_false(g_file_test(folder, G_FILE_TEST_EXISTS));
	expect(f, 0, "stopped    one\n", "list", NULL, NULL, NULL);
}

static void expect_record(struct fixture *f, const char *text)
{
	g_autofree char *path = g_build_filename(f->machines, "box", "record", NULL);
	g_autofree char *contents = NULL;

	g_file_get_contents(path, &contents, NULL, NULL);
	g_assert_cmpstr(contents, ==, text);
	g_unlink(path);
}

static void test_control(struct fixture *f, gconstpointer unused)
{
	g_autofree char *shot = g_build_filename(f->folder, "shot.png", NULL);
	g_autofree char *insert = NULL, *plug = NULL;

	(void)unused;
	g_free(run(f, 0, "create", "box", "--disk", "1M", NULL));
	expect(f, 1, "not running", "pause", "box", NULL, NULL);
	expect(f, 0, "", "start", "box", "--headless", NULL);
	expect_record(f, "headless\n");
	expect(f, 1, "already running", "start", "box", NULL, NULL);
	expect(f, 0, "running    box\n", "list", NULL, NULL, NULL);
	expect(f, 0, "", "pause", "box", NULL, NULL);
	expect(f, 0, "paused     box\n", "list", NULL, NULL, NULL);
	expect(f, 1, "The guest is not running, so it does not read keys", "type", "box", "x", NULL);
	expect(f, 0, "", "resume", "box", NULL, NULL);
	expect(f, 0, "", "reset", "box", NULL, NULL);
	expect(f, 1, "oriel power-button: No operating system listens", "power-button", "box", NULL, NULL);
	expect(f, 0, "shot.png", "screenshot", "box", "shot.png", NULL);
	g_assert_true(g_file_test(shot, G_FILE_TEST_EXISTS));
	expect_record(f, "pause\nresume\nreset\n");
	expect(f, 0, "", "insert", "box", "disc.iso", "--drive=2");
	expect(f, 0, "", "eject", "box", "--force", NULL);
	insert = g_strdup_printf("insert 2 %s/disc.iso\neject -1 1\n", f->folder);
	expect_record(f, insert);
	expect(f, 0, "", "plug", "box", "stick.img", "--read-only");
	expect(f, 0, "", "unplug", "box", "stick.img", NULL);
	plug = g_strdup_printf("plug %s/stick.img 1\nunplug %s/stick.img 0\n", f->folder, f->folder);
	expect_record(f, plug);
	expect(f, 0, "1.4 046d:c077 A mouse (plugged in)\n2.9 1234:0001 A stick\n", "usb", "box", NULL, NULL);
	expect(f, 0, "", "plug", "box", "2.9", "--host");
	expect(f, 2, "no BUS.ADDRESS", "plug", "box", "2.256", "--host");
	expect_record(f, "host 2 9\n");
	expect(f, 0, "", "keys", "box", "ctrl+c", "f1");
	expect(f, 0, "", "type", "box", "--enter", "ok");
	expect(f, 0, "", "type", "box", "--", "-");
	expect_record(f, "key 29\nkey 46\nkey 59\nkey 24\nkey 37\nkey 28\nkey 12\n");
	expect(f, 1, "nosuchkey", "keys", "box", "nosuchkey", NULL);
	expect(f, 0, "exits.io 7\ntime.guest 5\n", "statistics", "box", NULL, NULL);
	expect(f, 0, "\"time.guest\": 5", "statistics", "box", "--json", NULL);
	expect(f, 1, "running; stop it first", "clone", "box", "other", NULL);
	expect(f, 1, "running; stop it first", "delete", "box", NULL, NULL);
	expect(f, 0, "after its next start", "config", "box", "machine.cpus", "2");
	expect(f, 0, "", "stop", "box", NULL, NULL);
	expect(f, 0, "stopped    box\n", "list", NULL, NULL, NULL);
	expect(f, 1, "not running", "stop", "box", NULL, NULL);
	expect(f, 0, "", "start", "box", NULL, NULL);
	expect_record(f, "window\n");
	expect(f, 0, "", "stop", "box", NULL, NULL);
}

static void test_start_fails(struct fixture *f, gconstpointer unused)
{
	g_autofree char *path = g_build_filename(f->machines, "box", "machine.conf", NULL);

	(void)unused;
	expect(f, 1, "no machine named \"box\"", "start", "box", NULL, NULL);
	g_free(run(f, 0, "create", "box", "--disk", "1M", NULL));
	g_setenv("ORIEL_TEST_REFUSE", "1", TRUE);
	expect(f, 1, "Cannot open /dev/kvm\noriel start: The machine did not start", "start", "box", NULL, NULL);
	g_unsetenv("ORIEL_TEST_REFUSE");
	g_assert_true(g_file_set_contents(path, "[machine]\ncpus=lots\n", -1, NULL));
	expect(f, 1, "line 2", "start", "box", NULL, NULL);
	expect(f, 0, "broken     box\n", "list", NULL, NULL, NULL);
}

#define ADD(name, function) g_test_add("/cli/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

	if (g_getenv("ORIEL_VM"))
		return run_machine(argv[argc - 1], argc == 3 && strcmp(argv[1], "--headless") == 0);
	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(argc, ==, 2);
	oriel_program = g_canonicalize_filename(argv[1], NULL);
	g_setenv("ORIEL_VM", self, TRUE);
	g_setenv("LC_ALL", "C.UTF-8", TRUE);
	g_unsetenv("LANGUAGE");
	ADD("help", test_help);
	ADD("create", test_create);
	ADD("create-refuses", test_create_refuses);
	ADD("recognition", test_recognition);
	ADD("import", test_import);
	ADD("store", test_store);
	ADD("control", test_control);
	ADD("start-fails", test_start_fails);
	return g_test_run();
}
