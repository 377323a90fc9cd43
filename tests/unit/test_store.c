/*
 * The folders of machines: nothing is lost when the process dies or the disk refuses at any moment of a change, and
 * everything that a machine.conf may hold is either understood or refused with words.
 */
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../app/machine_store.h"

#define MIB (1 << 20)

/*
 * The calls that change files, in place of the C library's: at the chosen one the process dies, before or in the middle
 * of it, or the call fails.
 */
static struct {
	int countdown; /* 0: never */
	int error;     /* 0: SIGKILL */
} fault;

static bool fault_is_due(void)
{
	if (!fault.countdown || --fault.countdown)
		return false;
	if (!fault.error)
		raise(SIGKILL);
	errno = fault.error;
	return true;
}

ssize_t write(int fd, const void *data, size_t size)
{
	/* Half of it has been written when the blow comes. */
	if (fault.countdown == 1 && size > 1)
		syscall(SYS_write, fd, data, size / 2);
	return fault_is_due() ? -1 : syscall(SYS_write, fd, data, size);
}

int fsync(int fd)
{
	return fault_is_due() ? -1 : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
	return fault_is_due() ? -1 : (int)syscall(SYS_rename, from, to);
}

int ftruncate(int fd, off_t size)
{
	return fault_is_due() ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

/* A user's folder */

struct fixture {
	char *data, *machines;
};

static void set_up(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	f->data = g_strdup(g_get_user_data_dir());
	g_assert_cmpint(g_mkdir(f->data, 0700), ==, 0);
	f->machines = g_build_filename(f->data, "oriel", "machines", NULL);
}

static void tear_down(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	g_assert_true(oriel_store_delete(f->data, NULL));
	g_free(f->data);
	g_free(f->machines);
}

static char *create(struct fixture *f, const char *name)
{
	struct oriel_machine_description description = { .name = name, .disk_size = MIB };
	GError *error = NULL;

	oriel_store_create(&description, &error);
	g_assert_no_error(error);
	return g_build_filename(f->machines, name, NULL);
}

static guint count_entries(const char *path)
{
	GDir *folder = g_dir_open(path, 0, NULL);
	guint count = 0;

	while (folder && g_dir_read_name(folder))
		count++;
	if (folder)
		g_dir_close(folder);
	return count;
}

static void save_other_name(const char *folder, GError **error)
{
	struct machine_config *config = machine_config_load(folder, error);

	g_assert_nonnull(config);
	g_free(config->name);
	config->name = g_strnfill(3000, 'n');
	machine_config_save(config, error);
	machine_config_free(config);
}

/* Runs change() in a process with a fault at its nth call; whether it came to its end. */
static bool run_with_fault(int nth, int error, void (*change)(const char *folder, GError **error),
			   const char *folder)
{
	pid_t child = fork();
	int status;

	if (!child) {
		g_autoptr(GError) reason = NULL;

		fault.countdown = nth;
		fault.error = error;
		change(folder, &reason);
		/* What failed was said. */
		_exit(fault.countdown ? 0 : reason && strlen(reason->message) > 20 ? 1 : 2);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(error ? WIFEXITED(status) && WEXITSTATUS(status) < 2 : true);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The whole old file, or the whole new one. */
static void expect_old_or_new(const char *folder)
{
	GError *error = NULL;
	struct machine_config *config = machine_config_load(folder, &error);

	g_assert_no_error(error);
	g_assert_true(strcmp(config->name, "box") == 0 || strlen(config->name) == 3000);
	g_assert_true(config->has_disk[0]);
	machine_config_free(config);
}

static void test_save_faults(struct fixture *f, gconstpointer unused)
{
	static const int errors[] = { 0, ENOSPC, EIO };

	(void)unused;
	for (guint i = 0; i < G_N_ELEMENTS(errors); i++) {
		g_autofree char *name = g_strdup_printf("box%u", i), *folder = NULL;
		int nth = 1;

		folder = create(f, name);
		{
			g_autofree char *path = g_build_filename(folder, "machine.conf", NULL);

			g_assert_true(g_file_set_contents(path, "[machine]\nname=box\n[disk0]\npath=disk.img\n", -1,
							  NULL));
		}
		for (; !run_with_fault(nth, errors[i], save_other_name, folder); nth++)
			expect_old_or_new(folder);
		/* It wrote, synced, renamed and synced again. */
		g_assert_cmpint(nth, >, 4);
		expect_old_or_new(folder);
	}
}

static void create_other(const char *folder, GError **error)
{
	struct oriel_machine_description description = { .name = "other", .disk_size = MIB };

	(void)folder;
	oriel_store_create(&description, error);
}

/* A machine is there as a whole or not at all; what a killed process left is not one. */
static void test_create_faults(struct fixture *f, gconstpointer data)
{
	int error = GPOINTER_TO_INT(data), nth = 1;
	g_autofree char *other = g_build_filename(f->machines, "other", NULL);

	for (; !run_with_fault(nth, error, create_other, NULL); nth++) {
		g_auto(GStrv) names = oriel_store_list(NULL);
		struct machine_config *config;

		if (g_strv_length(names) == 0) {
			if (error)
				g_assert_cmpuint(count_entries(f->machines), ==, 0);
			continue;
		}
		config = machine_config_load(other, NULL);
		g_assert_nonnull(config);
		machine_config_free(config);
		g_assert_true(oriel_store_delete(other, NULL));
	}
	g_assert_cmpint(nth, >, 4);
}

/* Where the process may mount file systems; somebody who is not root needs to look like it. */
static bool leave_namespace(void)
{
	g_autofree char *map = g_strdup_printf("0 %u 1", (unsigned)getuid());
	int fd;

	if (unshare(CLONE_NEWNS) == 0)
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	syscall(SYS_write, fd, map, strlen(map));
	close(fd);
	return true;
}

/* On a file system of its own, which is full or read-only, in a process of its own. */
static int refuse_on(const char *mount_point, bool full)
{
	g_autofree char *folder = g_build_filename(mount_point, "box", NULL);
	g_autofree char *path = g_build_filename(folder, "machine.conf", NULL);
	g_autofree char *filler = g_build_filename(mount_point, "filler", NULL);
	g_autofree char *block = g_malloc0(4096);
	g_autoptr(GError) error = NULL;
	int fd;

	if (!leave_namespace() || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", mount_point, "tmpfs", 0, "size=64k") < 0)
		return 77;
	if (g_mkdir(folder, 0700) < 0 || !g_file_set_contents(path, "[machine]\nname=box\n[disk0]\npath=a\n", -1, NULL))
		return 3;
	if (full) {
		fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		while (write(fd, block, 4096) > 0)
			;
		close(fd);
	} else if (mount("none", mount_point, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0) {
		return 77;
	}
	save_other_name(folder, &error);
	expect_old_or_new(folder);
	if (!error || !strstr(error->message, path) || !strstr(error->message, "The old file is unchanged"))
		return 4;
	return count_entries(folder) == 1 ? 0 : 5;
}

static void test_refused(struct fixture *f, gconstpointer full)
{
	pid_t child = fork();
	int status;

	if (!child)
		_exit(refuse_on(f->data, GPOINTER_TO_INT(full)));
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		g_test_skip("file systems cannot be mounted here");
	else
		g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

/* Garbage */

static const char valid[] =
	"# a comment\n[machine]\nversion=1\nname=box\nuuid=9f0ab1c2-5d34-4e6f-8a9b-0c1d2e3f4a5b\ncpus=2\nmemory=512\n"
	"boot=cd\nboot-menu=true\n[display]\nvram=32\nwidth=1024\nheight=768\n[serial]\nmode=pty\n[sound]\ndevice=hda\n"
	"backend=null\nmicrophone=true\n[disk0]\npath=disk.img\nformat=raw\nread-only=false\ncache=none\nssd=true\n"
	"serial=ABC\n[cd1]\npath=/a.iso\n[firmware]\nlog=false\n[future]\nunknown=kept\n";

static char *damage(GRand *random)
{
	static const char *const garbage[] = {
		"", "-1", "0", "99999999999999999999", "\\", "\\x", "\001", "\377\376", "=", "[", "]", "[machine]", "../../x",
		"nan", "true", "1e9", "\303\274", "%s%n", "a;b;c", " ", "version=2", "[disk0]", "[cd0]", "[disk9]",
	};
	GString *text = g_string_new(valid);

	for (int i = g_rand_int_range(random, 1, 5); i > 0; i--) {
		gssize place = g_rand_int_range(random, 0, (gint32)text->len);
		const char *equals = strchr(text->str + place, '=');

		/* In half of the cases a value, otherwise anywhere. */
		if (equals && g_rand_boolean(random)) {
			gssize start = equals + 1 - text->str;

			g_string_erase(text, start, (gssize)strcspn(equals + 1, "\n"));
			place = start;
		}
		g_string_insert(text, place, garbage[g_rand_int_range(random, 0, G_N_ELEMENTS(garbage))]);
	}
	return g_string_free(text, FALSE);
}

static void check_loaded(const char *folder, const char *path, struct machine_config *config)
{
	g_autofree char *before = g_key_file_get_string(config->file, "future", "unknown", NULL), *after = NULL;
	struct machine_config *again;
	GError *error = NULL;

	g_assert_true(machine_config_save(config, &error));
	g_assert_no_error(error);
	again = machine_config_load(folder, &error);
	if (error)
		g_test_message("%s", path);
	g_assert_no_error(error);
	after = g_key_file_get_string(again->file, "future", "unknown", NULL);
	g_assert_cmpstr(after, ==, before);
	g_assert_cmpuint(again->memory, ==, config->memory);
	g_assert_cmpstr(again->name, ==, config->name);
	machine_config_free(again);
}

static void test_garbage(struct fixture *f, gconstpointer unused)
{
	g_autofree char *folder = create(f, "box");
	g_autofree char *path = g_build_filename(folder, "machine.conf", NULL);
	g_autoptr(GRand) random = g_rand_new_with_seed(4);
	guint loaded = 0, refused = 0;

	(void)unused;
	for (guint i = 0; i < 400; i++) {
		g_autofree char *text = damage(random), *left = NULL;
		g_autoptr(GError) error = NULL;
		struct machine_config *config;

		g_assert_true(g_file_set_contents(path, text, -1, NULL));
		config = machine_config_load(folder, &error);
		if (config) {
			loaded++;
			check_loaded(folder, path, config);
			machine_config_free(config);
			continue;
		}
		refused++;
		g_assert_nonnull(strstr(error->message, path));
		g_assert_true(g_utf8_validate(error->message, -1, NULL));
		g_assert_true(g_file_get_contents(path, &left, NULL, NULL));
		g_assert_cmpstr(left, ==, text);
	}
	g_assert_cmpuint(loaded, >, 30);
	g_assert_cmpuint(refused, >, 100);
}

static void test_newer(struct fixture *f, gconstpointer unused)
{
	g_autofree char *folder = create(f, "box");
	g_autofree char *path = g_build_filename(folder, "machine.conf", NULL);
	g_autoptr(GError) error = NULL;

	(void)unused;
	/* What else is in it may be anything. */
	g_assert_true(g_file_set_contents(path, "[machine]\ncpus=eight\nversion=2\n", -1, NULL));
	g_assert_null(machine_config_load(folder, &error));
	g_assert_error(error, MACHINE_CONFIG_ERROR, MACHINE_CONFIG_ERROR_NEWER);
	g_assert_nonnull(strstr(error->message, "newer version of Oriel"));
	g_clear_error(&error);
	g_assert_true(g_file_set_contents(path, "[machine]\nversion=none\n", -1, NULL));
	g_assert_null(machine_config_load(folder, &error));
	g_assert_error(error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_INVALID_VALUE);
}

/* Copies */

struct copy {
	GMainLoop *loop;
	char *id;
	GError *error;
	GCancellable *cancellable; /* when the first progress comes */
	double fraction;
};

static void copied(GObject *source, GAsyncResult *result, gpointer data)
{
	struct copy *copy = data;

	(void)source;
	copy->id = oriel_store_clone_finish(result, &copy->error);
	g_main_loop_quit(copy->loop);
}

static void progressed(double fraction, gpointer data)
{
	struct copy *copy = data;

	g_assert_cmpfloat(fraction, >=, copy->fraction);
	g_assert_cmpfloat(fraction, <=, 1);
	copy->fraction = fraction;
}

static struct copy make_copy(const char *folder, const char *name, GCancellable *cancellable)
{
	struct copy copy = { .loop = g_main_loop_new(NULL, FALSE) };

	oriel_store_clone_async(folder, name, cancellable, progressed, &copy, copied, &copy);
	g_main_loop_run(copy.loop);
	while (g_main_context_iteration(NULL, FALSE))
		;
	g_main_loop_unref(copy.loop);
	return copy;
}

static void write_at(const char *path, off_t place, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	g_assert_cmpint(pwrite(fd, text, strlen(text), place), ==, strlen(text));
	close(fd);
}

static void expect_text(const char *folder, const char *name, off_t place, const char *text)
{
	g_autofree char *path = g_build_filename(folder, name, NULL), *found = g_malloc0(strlen(text) + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(pread(fd, found, strlen(text), place), ==, strlen(text));
	g_assert_cmpstr(found, ==, text);
	close(fd);
}

static void test_clone(struct fixture *f, gconstpointer unused)
{
	g_autofree char *folder = create(f, "box"), *disk = g_build_filename(folder, "disk.img", NULL);
	g_autofree char *elsewhere = g_build_filename(f->data, "elsewhere.img", NULL), *log = NULL, *to = NULL;
	struct machine_config *old = machine_config_load(folder, NULL), *new;
	struct copy copy;
	struct stat status;

	(void)unused;
	write_at(disk, 512 << 10, "in the middle");
	g_assert_cmpint(truncate(disk, 64 << 20), ==, 0);
	write_at(elsewhere, 0, "outside");
	log = g_build_filename(folder, "log", NULL);
	write_at(log, 0, "old words");
	old->has_disk[2] = true;
	old->disks[2] = (struct config_disk){ .kind = CONFIG_DISK, .path = g_strdup(elsewhere), .ssd = true };
	g_assert_true(machine_config_save(old, NULL));
	copy = make_copy(folder, "box / two", NULL);
	g_assert_no_error(copy.error);
	g_assert_cmpfloat(copy.fraction, ==, 1);
	to = g_build_filename(f->machines, copy.id, NULL);
	expect_text(to, "disk.img", 512 << 10, "in the middle");
	expect_text(to, "disk2.img", 0, "outside");
	g_assert_cmpint(lstat(disk, &status), ==, 0);
	g_assert_cmpint(status.st_size, ==, 64 << 20);
	g_assert_cmpint(status.st_blocks, <, 1000);
	new = machine_config_load(to, NULL);
	g_assert_cmpstr(new->name, ==, "box / two");
	g_assert_cmpstr(new->uuid, !=, old->uuid);
	g_assert_cmpstr(new->disks[2].path, ==, "disk2.img");
	g_assert_cmpuint(count_entries(to), ==, 3);
	g_assert_cmpuint(oriel_store_size(to), <, MIB);
	machine_config_free(new);
	machine_config_free(old);
	g_free(copy.id);
}

static void test_clone_fails(struct fixture *f, gconstpointer unused)
{
	g_autofree char *folder = create(f, "box"), *disk = g_build_filename(folder, "disk.img", NULL);
	g_autoptr(GCancellable) cancellable = g_cancellable_new();
	g_autofree char *path = g_build_filename(folder, "machine.conf", NULL);
	struct copy copy;

	(void)unused;
	write_at(disk, 0, "something");
	g_cancellable_cancel(cancellable);
	copy = make_copy(folder, "two", cancellable);
	/* Where blocks are shared there was nothing to cancel. */
	if (copy.error)
		g_assert_error(copy.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	g_assert_cmpuint(count_entries(f->machines), ==, copy.error ? 1 : 2);
	g_clear_error(&copy.error);
	g_free(copy.id);
	g_assert_true(g_file_set_contents(path, "[disk0]\npath=/no/such/disk\n", -1, NULL));
	copy = make_copy(folder, "three", NULL);
	g_assert_null(copy.id);
	g_assert_nonnull(strstr(copy.error->message, "/no/such/disk"));
	g_clear_error(&copy.error);
	g_assert_cmpuint(count_entries(f->machines), <=, 2);
}

static void test_free_id(struct fixture *f, gconstpointer unused)
{
	static const char *const names[][2] = {
		{ "box", "box 2" }, { "new", "new" }, { "a/b", "a b" }, { ".x", "_x" }, { "-x", "_x" }, { " ", "machine" },
		{ "..", "_." },     { "a\nb", "a b" },
	};
	g_autofree char *folder = create(f, "box"), *longest = g_strnfill(300, 'x'), *id = NULL;

	(void)unused;
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *found = oriel_store_free_id(names[i][0]);
		g_autofree char *path = oriel_store_folder(found, NULL);

		g_assert_cmpstr(found, ==, names[i][1]);
		g_assert_nonnull(path);
	}
	id = oriel_store_free_id(longest);
	g_free(oriel_store_folder(id, NULL));
	g_assert_cmpuint(strlen(id), >, 80);
	g_assert_cmpuint(strlen(id), <=, 100);
}

/* A disk may be elsewhere; nothing is left there either if the machine cannot be made. */
static void test_place(struct fixture *f, gconstpointer unused)
{
	g_autofree char *place = g_dir_make_tmp("oriel-place-XXXXXX", NULL);
	g_autofree char *disk = g_build_filename(place, "one.img", NULL);
	struct oriel_machine_description description = { .name = "one", .disk_size = MIB, .disk_folder = place,
							 .nvme = TRUE };
	struct machine_config *config;
	g_autoptr(GError) error = NULL;
	GStatBuf status;

	(void)f;
	(void)unused;
	g_assert_true(oriel_store_create(&description, &error));
	g_assert_no_error(error);
	config = oriel_store_load("one", &error);
	g_assert_no_error(error);
	g_assert_cmpstr(config->disks[0].path, ==, disk);
	g_assert_cmpint(config->disks[0].bus, ==, CONFIG_BUS_NVME);
	machine_config_free(config);
	g_assert_cmpint(g_stat(disk, &status), ==, 0);
	g_assert_cmpint(status.st_size, ==, MIB);
	g_assert_false(oriel_store_create(&description, &error));
	g_clear_error(&error);
	g_assert_cmpint(g_unlink(disk), ==, 0);
	description.name = "two";
	description.disk_size = (guint64)1 << 62; /* more than any file can have */
	g_assert_false(oriel_store_create(&description, &error));
	g_assert_nonnull(error);
	g_assert_cmpint(g_rmdir(place), ==, 0);
}

#define ADD(name, data, function) \
	g_test_add("/store/" name, struct fixture, data, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_autofree char *folder = g_dir_make_tmp("oriel-store-XXXXXX", NULL);
	g_autofree char *data = g_build_filename(folder, "data", NULL);
	int status;

	g_test_init(&argc, &argv, NULL);
	/* GLib asks only once. */
	g_setenv("XDG_DATA_HOME", data, TRUE);
	ADD("save-faults", NULL, test_save_faults);
	ADD("create-killed", NULL, test_create_faults);
	ADD("create-full", GINT_TO_POINTER(ENOSPC), test_create_faults);
	ADD("disk-full", GINT_TO_POINTER(1), test_refused);
	ADD("read-only", NULL, test_refused);
	ADD("garbage", NULL, test_garbage);
	ADD("newer", NULL, test_newer);
	ADD("clone", NULL, test_clone);
	ADD("clone-fails", NULL, test_clone_fails);
	ADD("free-id", NULL, test_free_id);
	ADD("place", NULL, test_place);
	status = g_test_run();
	g_rmdir(folder);
	return status;
}
