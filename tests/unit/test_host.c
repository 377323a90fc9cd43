/*
 * What keeps a computer from running machines, in computers made of a few files.
 */
#include "../../app/host.h"
#include "../../app/packaged.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../remove_tree.h"

#define MIB ((guint64)1 << 20)
#define GIB ((guint64)1 << 30)

struct fixture {
	char *root;
	struct oriel_host_place place;
};

static void put(struct fixture *f, const char *path, const char *text)
{
	g_autofree char *file = g_build_filename(f->root, path, NULL);
	g_autofree char *folder = g_path_get_dirname(file);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(file, text, -1, NULL));
}

static void put_folder(struct fixture *f, const char *path)
{
	g_autofree char *folder = g_build_filename(f->root, path, NULL);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
}

static void put_cpu(struct fixture *f, const char *vendor, const char *flags)
{
	g_autofree char *text = g_strdup_printf("processor\t: 0\nvendor_id\t: %s\nflags\t\t: fpu vme %s sse\nbugs\t\t: "
						"vmx svm\n\n", vendor, flags);

	put(f, "proc/cpuinfo", text);
}

static int works(const char *device)
{
	(void)device;
	return 0;
}

static int is_missing(const char *device)
{
	g_assert_true(g_str_has_suffix(device, "/dev/kvm"));
	return ENOENT;
}

static int is_forbidden(const char *device)
{
	(void)device;
	return EACCES;
}

static int is_busy(const char *device)
{
	(void)device;
	return EBUSY;
}

static int is_broken(const char *device)
{
	(void)device;
	return ENOTTY;
}

static void set_up(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	f->root = g_dir_make_tmp("oriel-host-XXXXXX", NULL);
	f->place = (struct oriel_host_place){ .root = f->root, .user = "ada", .try_kvm = works };
	put(f, "proc/meminfo", "MemTotal:       16777216 kB\nMemFree:          100 kB\nMemAvailable:    6291456 kB\n");
	put(f, "sys/devices/system/cpu/online", "0-3,6\n");
	put(f, "usr/share/seabios/bios-256k.bin", "x");
	put(f, "usr/share/seabios/vgabios-stdvga.bin", "x");
	put(f, "etc/debian_version", "12.9\n");
	put(f, "dev/kvm", "");
	put_cpu(f, "GenuineIntel", "vmx");
}

static void tear_down(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	remove_tree(f->root);
	g_free(f->root);
}

static void expect(struct fixture *f, OrielProblemKind kind, const char *message, const char *command)
{
	g_autoptr(OrielHost) host = oriel_host_new_at(&f->place);
	const struct oriel_host_info *info = oriel_host_get_info(host);
	const struct oriel_problem *problem;

	g_assert_cmpuint(info->problems->len, ==, 1);
	problem = info->problems->pdata[0];
	g_test_message("%s %s [%s]", problem->message, problem->advice, problem->command);
	g_assert_cmpint(problem->kind, ==, kind);
	g_assert_nonnull(strstr(problem->message, message));
	g_assert_cmpstr(problem->command, ==, command);
	/* A message never leaves anybody stuck, but with a processor that cannot. */
	if (kind != ORIEL_PROBLEM_NO_KVM_CPU && kind != ORIEL_PROBLEM_KVM_FAILED)
		g_assert_true(problem->command || problem->advice);
}

static void test_healthy(struct fixture *f, gconstpointer unused)
{
	g_autoptr(OrielHost) host = oriel_host_new_at(&f->place);
	const struct oriel_host_info *info = oriel_host_get_info(host);

	(void)unused;
	g_assert_cmpuint(info->problems->len, ==, 0);
	g_assert_cmpuint(info->cpus, ==, 5);
	g_assert_cmpuint(info->memory, ==, 16 * GIB);
	g_assert_cmpuint(info->available, ==, 6 * GIB);
}

static void test_missing(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	f->place.try_kvm = is_missing;
	expect(f, ORIEL_PROBLEM_NO_MODULE, "not loaded", "sudo modprobe kvm_intel");
	put_cpu(f, "AuthenticAMD", "svm");
	expect(f, ORIEL_PROBLEM_NO_MODULE, "not loaded", "sudo modprobe kvm_amd");
	/* The general part stays when the processor's part refuses. */
	put_folder(f, "sys/module/kvm");
	expect(f, ORIEL_PROBLEM_FIRMWARE_OFF, "SVM", NULL);
	put_cpu(f, "GenuineIntel", "");
	expect(f, ORIEL_PROBLEM_FIRMWARE_OFF, "VT-x", NULL);
	put_cpu(f, "GenuineIntel", "hypervisor");
	expect(f, ORIEL_PROBLEM_NO_KVM_CPU, "virtual machine itself", NULL);
	put_cpu(f, "CentaurHauls", "");
	expect(f, ORIEL_PROBLEM_NO_KVM_CPU, "neither", NULL);
	put_cpu(f, "GenuineIntel", "vmx");
	put_folder(f, "sys/module/kvm_intel");
	expect(f, ORIEL_PROBLEM_NO_DEVICE, "/dev/kvm", NULL);
}

static void put_group(struct fixture *f, const char *name, const char *members)
{
	g_autofree char *text = g_strdup_printf("root:x:77777:\n%s:x:%u:%s\n", name, getegid(), members);

	put(f, "etc/group", text);
}

static void test_permission(struct fixture *f, gconstpointer unused)
{
	g_autofree char *device = g_build_filename(f->root, "dev/kvm", NULL);

	(void)unused;
	f->place.try_kvm = is_forbidden;
	g_assert_cmpint(chmod(device, 0660), ==, 0);
	put_group(f, "kvm", "bob,adam");
	expect(f, ORIEL_PROBLEM_NO_PERMISSION, "group kvm", "sudo usermod -aG kvm ada");
	put_group(f, "virt", "");
	expect(f, ORIEL_PROBLEM_NO_PERMISSION, "group virt", "sudo usermod -aG virt ada");
	put_group(f, "kvm", "bob,ada");
	expect(f, ORIEL_PROBLEM_NOT_LOGGED_IN, "group kvm", NULL);
	g_assert_cmpint(chmod(device, 0600), ==, 0);
	expect(f, ORIEL_PROBLEM_NO_PERMISSION, "root", "sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm");
	put(f, "etc/group", "root:x:77777:\n");
	expect(f, ORIEL_PROBLEM_NO_PERMISSION, "root", "sudo chmod 666 /dev/kvm");
}

static void test_busy(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	f->place.try_kvm = is_busy;
	expect(f, ORIEL_PROBLEM_BUSY, "Another", NULL);
	put_folder(f, "sys/module/vmmon");
	expect(f, ORIEL_PROBLEM_BUSY, "VMware", "sudo modprobe -r vmmon");
	put_folder(f, "sys/module/vboxdrv");
	expect(f, ORIEL_PROBLEM_BUSY, "VirtualBox", "sudo modprobe -r vboxnetadp vboxnetflt vboxdrv");
	f->place.try_kvm = is_broken;
	expect(f, ORIEL_PROBLEM_KVM_FAILED, g_strerror(ENOTTY), NULL);
}

static void test_firmware(struct fixture *f, gconstpointer unused)
{
	g_autofree char *file = g_build_filename(f->root, "usr/share/seabios/vgabios-stdvga.bin", NULL);
	g_autofree char *debian = g_build_filename(f->root, "etc/debian_version", NULL);

	(void)unused;
	g_unlink(file);
	expect(f, ORIEL_PROBLEM_NO_FIRMWARE, "seabios", "sudo apt install seabios");
	g_unlink(debian);
	expect(f, ORIEL_PROBLEM_NO_FIRMWARE, "seabios", NULL);
}

/* Nothing to read anywhere */
static void test_empty(struct fixture *f, gconstpointer unused)
{
	g_autofree char *nowhere = g_build_filename(f->root, "nowhere", NULL);
	g_autoptr(OrielHost) host = NULL;

	(void)unused;
	f->place.root = nowhere;
	f->place.try_kvm = is_forbidden;
	host = oriel_host_new_at(&f->place);
	g_assert_cmpuint(oriel_host_get_info(host)->cpus, ==, 1);
	g_assert_cmpuint(oriel_host_get_info(host)->memory, ==, 0);
}

static void test_recommend(struct fixture *f, gconstpointer unused)
{
	g_autoptr(OrielHost) host = oriel_host_new_at(&f->place), small = NULL;
	struct oriel_system_info system = { .name = "Big", .minimum = { 2, 4 * GIB, 64 * GIB },
					    .recommended = { 8, 8 * GIB, 64 * GIB } };
	struct oriel_resources resources = oriel_host_recommend(host, &system);

	(void)unused;
	g_assert_cmpuint(resources.cpus, ==, 5);
	g_assert_cmpuint(resources.memory, ==, 8 * GIB);
	g_assert_cmpuint(resources.disk, ==, 64 * GIB);
	put(f, "proc/meminfo", "MemTotal:       12000000 kB\nMemAvailable:    6291456 kB\n");
	put(f, "sys/devices/system/cpu/online", "0");
	small = oriel_host_new_at(&f->place);
	resources = oriel_host_recommend(small, &system);
	g_assert_cmpuint(resources.cpus, ==, 1);
	g_assert_cmpuint(resources.memory, ==, 22 * 256 * MIB);
	system.minimum.memory = 7 * GIB;
	g_assert_cmpuint(oriel_host_recommend(small, &system).memory, ==, 7 * GIB);
	system.recommended.memory = system.minimum.memory = MIB;
	g_assert_cmpuint(oriel_host_recommend(small, &system).memory, ==, 64 * MIB);
}

static void expect_text(char *text, const char *part)
{
	g_test_message("%s", text);
	if (part)
		g_assert_nonnull(strstr(text, part));
	else
		g_assert_cmpstr(text, ==, NULL);
	g_free(text);
}

static void test_warnings(struct fixture *f, gconstpointer unused)
{
	g_autoptr(OrielHost) host = oriel_host_new_at(&f->place);
	const struct oriel_system_info system = { .name = "Big", .minimum = { 2, 4 * GIB, 64 * GIB } };

	(void)unused;
	expect_text(oriel_host_check_cpus(host, &system, 5), NULL);
	expect_text(oriel_host_check_cpus(host, &system, 6), "has 5 processors");
	expect_text(oriel_host_check_cpus(host, &system, 1), "Big needs at least 2 processors");
	expect_text(oriel_host_check_memory(host, &system, 4 * GIB), NULL);
	expect_text(oriel_host_check_memory(host, &system, 2 * GIB), "Big needs at least 4.0");
	expect_text(oriel_host_check_memory(host, &system, 7 * GIB), "Only 6.0");
	expect_text(oriel_host_check_memory(host, &system, 15 * GIB + MIB), "This computer has 16.0");
	expect_text(oriel_host_check_disk(&system, 64 * GIB, 65 * GIB, TRUE), NULL);
	expect_text(oriel_host_check_disk(&system, 64 * GIB, 60 * GIB, TRUE), "Only 60.0");
	expect_text(oriel_host_check_disk(&system, 64 * GIB, 60 * GIB, FALSE), "grows");
	expect_text(oriel_host_check_disk(&system, 20 * GIB, 60 * GIB, FALSE), "Big needs at least 64.0");
}

static void test_free_space(struct fixture *f, gconstpointer unused)
{
	g_autofree char *deep = g_build_filename(f->root, "not", "there", "yet", NULL);

	(void)unused;
	g_assert_cmpuint(oriel_host_get_free_space(f->root), >, 0);
	g_assert_cmpuint(oriel_host_get_free_space(deep), >, 0);
	g_assert_cmpuint(oriel_host_get_free_space("/proc/1"), ==, 0);
}

/* The computer that the tests run on */
static void test_here(void)
{
	g_autoptr(OrielHost) host = oriel_host_new();
	const struct oriel_host_info *info = oriel_host_get_info(host);

	g_assert_cmpuint(info->cpus, >=, 1);
	g_assert_cmpuint(info->memory, >, 256 * MIB);
	g_assert_cmpuint(info->available, <=, info->memory);
	for (guint i = 0; i < info->problems->len; i++)
		g_test_message("%s", ((const struct oriel_problem *)info->problems->pdata[i])->message);
	if (access("/dev/kvm", R_OK | W_OK) == 0 && g_file_test("/usr/share/seabios/bios-256k.bin", G_FILE_TEST_EXISTS))
		g_assert_cmpuint(info->problems->len, ==, 0);
}

static void expect_packaged(struct fixture *f, const char *system, const char *folder, const char *command)
{
	g_autoptr(OrielPackaged) packaged = oriel_packaged_find(f->root);
	g_autofree char *path = folder ? g_build_filename(f->root, folder, NULL) : NULL;

	g_assert_cmpstr(packaged->system, ==, system);
	g_assert_cmpstr(packaged->folder, ==, path);
	g_assert_cmpstr(packaged->command, ==, command);
	if (!command)
		g_assert_true(g_str_has_prefix(packaged->disc, f->root));
}

static void test_packaged(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	put(f, "etc/os-release", "NAME=\"Made from Debian\"\nID=other\nID_LIKE=debian\n");
	g_assert_null(oriel_packaged_find(f->root));
	put(f, "etc/os-release", "NAME=\"Debian GNU/Linux\"\nID=debian\n");
	expect_packaged(f, "debian12", NULL, "sudo apt install debian-installer-12-netboot-amd64 ipxe");
	put(f, "usr/lib/ipxe/ipxe.iso", "x");
	put(f, "etc/debian_version", "forky/sid\n");
	expect_packaged(f, "debian12", NULL, "sudo apt install debian-installer-12-netboot-amd64");
	put(f, "etc/debian_version", "13.1\n");
	expect_packaged(f, "debian13", NULL, "sudo apt install debian-installer-13-netboot-amd64");
	put_folder(f, "usr/lib/debian-installer/images/12/amd64/gtk");
	expect_packaged(f, "debian13", NULL, "sudo apt install debian-installer-13-netboot-amd64");
	put(f, "usr/lib/debian-installer/images/12/amd64/text/pxelinux.0", "x");
	expect_packaged(f, "debian12", "usr/lib/debian-installer/images/12/amd64/text", NULL);
	put(f, "usr/lib/debian-installer/images/12/amd64/gtk/pxelinux.0", "x");
	put(f, "usr/lib/debian-installer/images/9/amd64/gtk/pxelinux.0", "x");
	expect_packaged(f, "debian12", "usr/lib/debian-installer/images/12/amd64/gtk", NULL);
}

#define ADD(name, function) g_test_add("/host/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_setenv("LC_ALL", "C", TRUE);
	ADD("healthy", test_healthy);
	ADD("missing", test_missing);
	ADD("permission", test_permission);
	ADD("busy", test_busy);
	ADD("firmware", test_firmware);
	ADD("empty", test_empty);
	ADD("packaged", test_packaged);
	ADD("recommend", test_recommend);
	ADD("warnings", test_warnings);
	ADD("free-space", test_free_space);
	g_test_add_func("/host/here", test_here);
	return g_test_run();
}
