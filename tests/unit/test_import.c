/*
 * Import of other programs' disks and appliances. qemu-img makes them here and compares the results.
 */
#include "../../app/import.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../app/ova.h"
#include "../../app/qemu_img.h"

#define MIB ((guint64)1 << 20)

struct fixture {
	char *folder;
	char *target;
	char *machines;
};

static char *run(const char *command, ...) G_GNUC_PRINTF(1, 2);

static char *run(const char *command, ...)
{
	g_autofree char *line = NULL, *errors = NULL;
	char *arguments[] = { (char *)"/bin/sh", (char *)"-ec", NULL, NULL };
	char *output = NULL;
	GError *error = NULL;
	va_list values;
	int status;

	va_start(values, command);
	line = g_strdup_vprintf(command, values);
	va_end(values);
	arguments[2] = line;
	g_spawn_sync(NULL, arguments, NULL, G_SPAWN_DEFAULT, NULL, NULL, &output, &errors, &status, &error);
	g_assert_no_error(error);
	if (status)
		g_test_message("%s: %s%s", line, output, errors);
	g_assert_cmpint(status, ==, 0);
	return output;
}

static void set_up(struct fixture *f, gconstpointer unused)
{
	g_autofree char *data = NULL;

	(void)unused;
	f->folder = g_dir_make_tmp("oriel, import-XXXXXX", NULL);
	f->target = g_build_filename(f->folder, "target", NULL);
	data = g_build_filename(f->folder, "data", NULL);
	f->machines = g_build_filename(data, "oriel", "machines", NULL);
	g_setenv("XDG_DATA_HOME", data, TRUE);
	g_assert_cmpint(g_mkdir(f->target, 0700), ==, 0);
	g_free(run("cd '%s'; qemu-img create -q -f raw a.raw 9M; dd if=/dev/urandom of=a.raw bs=1M count=3 conv=notrunc "
		   "status=none", f->folder));
}

static void tear_down(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	g_free(run("rm -r '%s'", f->folder));
	g_free(f->folder);
	g_free(f->target);
	g_free(f->machines);
}

static void finished(GObject *source, GAsyncResult *result, gpointer data)
{
	(void)source;
	*(GAsyncResult **)data = g_object_ref(result);
}

static GAsyncResult *wait_for(GAsyncResult **result)
{
	while (!*result)
		g_main_context_iteration(NULL, TRUE);
	return *result;
}

static OrielImport *open_import(struct fixture *f, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(f->folder, name, NULL);
	g_autoptr(GAsyncResult) result = NULL;

	oriel_import_open_async(path, NULL, finished, &result);
	return oriel_import_open_finish(wait_for(&result), error);
}

static void record(double fraction, gpointer data)
{
	double *last = data;

	g_assert_cmpfloat(fraction, >=, *last);
	g_assert_cmpfloat(fraction, <=, 1);
	*last = fraction;
}

static gboolean convert(OrielImport *import, const char *folder, double *last, GError **error)
{
	g_autoptr(GAsyncResult) result = NULL;

	oriel_import_convert_async(import, folder, NULL, last ? record : NULL, last, finished, &result);
	return oriel_import_convert_finish(import, wait_for(&result), error);
}

static void expect_empty(const char *folder)
{
	g_autoptr(GDir) directory = g_dir_open(folder, 0, NULL);
	const char *left = directory ? g_dir_read_name(directory) : NULL;

	g_assert_cmpstr(left, ==, NULL);
}

static void test_formats(struct fixture *f, gconstpointer unused)
{
	static const struct {
		const char *name, *options;
		OrielDiskFormat format;
	} images[] = {
		{ "a.raw", NULL, ORIEL_DISK_RAW },
		{ "sparse.vmdk", "-O vmdk", ORIEL_DISK_VMDK },
		{ "flat.vmdk", "-O vmdk -o subformat=monolithicFlat", ORIEL_DISK_VMDK },
		{ "split.vmdk", "-O vmdk -o subformat=twoGbMaxExtentSparse", ORIEL_DISK_VMDK },
		{ "stream.vmdk", "-O vmdk -o subformat=streamOptimized", ORIEL_DISK_VMDK },
		{ "a.vdi", "-O vdi", ORIEL_DISK_VDI },
		{ "a.vhdx", "-O vhdx", ORIEL_DISK_VHDX },
		{ "a.vhd", "-O vpc -o force_size=on", ORIEL_DISK_VHD },
		{ "fixed.vhd", "-O vpc -o subformat=fixed,force_size=on", ORIEL_DISK_VHD },
		{ "a.qcow2", "-O qcow2 -c", ORIEL_DISK_QCOW2 },
	};

	(void)unused;
	for (guint i = 0; i < G_N_ELEMENTS(images); i++) {
		g_autoptr(OrielImport) import = NULL;
		const struct oriel_import_info *info;
		GError *error = NULL;
		double last = 0;

		g_test_message("%s", images[i].name);
		if (images[i].options)
			g_free(run("cd '%s'; qemu-img convert -f raw %s a.raw %s", f->folder, images[i].options,
				   images[i].name));
		import = open_import(f, images[i].name, &error);
		g_assert_no_error(error);
		info = oriel_import_get_info(import);
		g_assert_cmpint(info->format, ==, images[i].format);
		g_assert_cmpuint(info->disk_count, ==, 1);
		g_assert_cmpuint(info->disks[0].size, ==, 9 * MIB);
		g_assert_cmpuint(info->needed, >=, 3 * MIB);
		g_assert_cmpuint(info->needed, <, 16 * MIB);
		convert(import, f->target, &last, &error);
		g_assert_no_error(error);
		g_assert_cmpfloat(last, ==, 1);
		g_free(run("cd '%s'; qemu-img compare -q -f raw -F qcow2 a.raw target/disk.qcow2; qemu-img check -q "
			   "target/disk.qcow2; rm target/disk.qcow2", f->folder));
	}
}

#define OVF_HEAD "<?xml version='1.0' encoding='UTF-8'?>\n" \
	"<Envelope xmlns='http://schemas.dmtf.org/ovf/envelope/1' xmlns:ovf='http://schemas.dmtf.org/ovf/envelope/1' " \
	"xmlns:rasd='http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData'>"

#define OVF_TEXT OVF_HEAD \
	"<References><File ovf:id='file1' ovf:href='one.vmdk' ovf:size='1'/>" \
	"<File ovf:id='file2' ovf:href='two.vmdk'/><File ovf:id='file3' ovf:href='notes.txt'/></References>" \
	"<DiskSection><Info>Disks</Info><Disk ovf:diskId='vmdisk1' ovf:fileRef='file1' ovf:capacity='9'/>" \
	"<Disk ovf:diskId='vmdisk2' ovf:fileRef='file2'/><Disk ovf:diskId='vmdisk3' ovf:capacity='99'/></DiskSection>" \
	"<VirtualSystem ovf:id='vm'><Info>x</Info><Name> My &amp; machine </Name>" \
	"<OperatingSystemSection ovf:id='96'><Info/><Description>Debian_64</Description></OperatingSystemSection>" \
	"<VirtualHardwareSection><Info/>" \
	"<Item><rasd:ElementName>3 CPUs</rasd:ElementName><rasd:ResourceType>3</rasd:ResourceType>" \
	"<rasd:VirtualQuantity>3</rasd:VirtualQuantity></Item>" \
	"<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ResourceType>4</rasd:ResourceType>" \
	"<rasd:VirtualQuantity>1536</rasd:VirtualQuantity></Item>" \
	"<Item><rasd:HostResource>ovf:/disk/vmdisk2</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>" \
	"<Item><rasd:HostResource>/disk/vmdisk1</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>" \
	"<Item><rasd:HostResource>ovf:/disk/vmdisk3</rasd:HostResource><rasd:ResourceType>17</rasd:ResourceType></Item>" \
	"</VirtualHardwareSection></VirtualSystem></Envelope>"

static void write_text(struct fixture *f, const char *name, const char *text)
{
	g_autofree char *path = g_build_filename(f->folder, name, NULL);

	g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void make_ova(struct fixture *f, const char *tar_options)
{
	write_text(f, "vm.ovf", OVF_TEXT);
	g_free(run("cd '%s'; qemu-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw one.vmdk; "
		   "qemu-img create -q -f raw b.raw 5M; dd if=/dev/urandom of=b.raw bs=1M seek=1 count=2 conv=notrunc "
		   "status=none; qemu-img convert -f raw -O vmdk -o subformat=streamOptimized b.raw two.vmdk; "
		   "echo x > notes.txt; tar %s -cf vm.ova vm.ovf notes.txt one.vmdk two.vmdk", f->folder, tar_options));
}

static void check_ova(struct fixture *f, const char *name)
{
	GError *error = NULL;
	g_autoptr(OrielImport) import = open_import(f, name, &error);
	const struct oriel_import_info *info;

	g_assert_no_error(error);
	info = oriel_import_get_info(import);
	g_assert_cmpstr(info->name, ==, "My & machine");
	g_assert_cmpstr(info->system, ==, "Debian_64");
	g_assert_cmpuint(info->cpus, ==, 3);
	g_assert_cmpuint(info->memory, ==, 1536 * MIB);
	g_assert_cmpuint(info->disk_count, ==, 2);
	g_assert_cmpstr(info->disks[0].name, ==, "two.vmdk");
	g_assert_cmpuint(info->disks[1].size, ==, 9 * MIB);
	convert(import, f->target, NULL, &error);
	g_assert_no_error(error);
	g_free(run("cd '%s'; qemu-img compare -q -f raw -F qcow2 b.raw target/disk.qcow2; qemu-img compare -q -f raw "
		   "-F qcow2 a.raw target/disk2.qcow2; rm target/disk*", f->folder));
}

static void test_ova(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	make_ova(f, "--format=ustar");
	check_ova(f, "vm.ova");
	check_ova(f, "vm.ovf");
	make_ova(f, "--format=gnu");
	check_ova(f, "vm.ova");
	make_ova(f, "--format=pax");
	check_ova(f, "vm.ova");
}

static void test_machine(struct fixture *f, gconstpointer unused)
{
	struct oriel_machine_description description = { .cpus = 2 };
	g_autoptr(GAsyncResult) result = NULL;
	g_autoptr(OrielImport) import = NULL;
	g_autofree char *id = NULL, *files = NULL;
	struct machine_config *config;
	GError *error = NULL;

	(void)unused;
	make_ova(f, "--format=ustar");
	import = open_import(f, "vm.ova", &error);
	g_assert_no_error(error);
	oriel_import_machine_async(import, "My machine", &description, NULL, NULL, NULL, finished, &result);
	id = oriel_import_machine_finish(import, wait_for(&result), &error);
	g_assert_no_error(error);
	g_assert_cmpstr(id, ==, "My machine");
	config = oriel_store_load(id, &error);
	g_assert_no_error(error);
	g_assert_cmpuint(config->cpus, ==, 2);
	g_assert_cmpuint(config->memory, ==, 1536 * MIB);
	g_assert_cmpstr(config->disks[0].path, ==, "disk.qcow2");
	g_assert_cmpstr(config->disks[2].path, ==, "disk2.qcow2");
	g_assert_cmpint(config->disks[1].kind, ==, CONFIG_CD);
	machine_config_free(config);
	files = run("cd '%s'; qemu-img compare -q -f raw -F qcow2 ../../../a.raw 'My machine/disk2.qcow2'; ls -A . *",
		    f->machines);
	g_assert_cmpstr(files, ==, ".:\nMy machine\n\nMy machine:\ndisk.qcow2\ndisk2.qcow2\nmachine.conf\n");
}

static void expect_failure(struct fixture *f, const char *name, GQuark domain, int code, const char *text)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(OrielImport) import = open_import(f, name, &error);

	g_assert_null(import);
	g_test_message("%s: %s", name, error->message);
	g_assert_error(error, domain, code);
	g_assert_nonnull(strstr(error->message, text));
}

static void test_unsafe(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	g_free(run("cd '%s'; qemu-img create -q -f qcow2 -F raw -b a.raw linked.qcow2; mkdir sub; "
		   "qemu-img create -q -f qcow2 -o data_file=sub/d data.qcow2 1M; "
		   "qemu-img convert -f raw -O vmdk a.raw base.vmdk; qemu-img create -q -f vmdk -F vmdk -b base.vmdk "
		   "linked.vmdk; printf '# Disk DescriptorFile\\nversion=1\\nCID=1\\nparentCID=ffffffff\\n"
		   "createType=\"monolithicFlat\"\\nRW 1 FLAT \"%s/sub/secret\" 0\\n' > stolen.vmdk; echo secret > sub/secret",
		   f->folder, f->folder));
	expect_failure(f, "linked.qcow2", ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_UNSAFE, "a.raw");
	expect_failure(f, "data.qcow2", ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_UNSAFE, "sub/d");
	expect_failure(f, "linked.vmdk", ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_UNSAFE, "base.vmdk");
	expect_failure(f, "stolen.vmdk", ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_UNSAFE, "sub/secret");
}

static void test_damaged(struct fixture *f, gconstpointer unused)
{
	(void)unused;
	make_ova(f, "--format=ustar");
	g_free(run("cd '%s'; head -c 5000000 vm.ova > cut.ova; tar --format=ustar -cf missing.ova vm.ovf one.vmdk; "
		   "tar --format=ustar -cf none.ova notes.txt; qemu-img convert -f raw -O vmdk a.raw ok.vmdk; "
		   "head -c 200 ok.vmdk > cut.vmdk; head -c 700000 ok.vmdk > shorter.vmdk", f->folder));
	expect_failure(f, "cut.ova", G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "incomplete");
	expect_failure(f, "missing.ova", G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "two.vmdk");
	expect_failure(f, "none.ova", G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "description");
	expect_failure(f, "cut.vmdk", ORIEL_QEMU_IMG_ERROR, ORIEL_QEMU_IMG_ERROR_FAILED, "cannot be read");
	expect_failure(f, "notes.txt", ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_UNKNOWN, "notes.txt");
	expect_failure(f, "nothing.vmdk", G_IO_ERROR, G_IO_ERROR_NOT_FOUND, "nothing.vmdk");
	g_free(run("cd '%s'; rm two.vmdk; mkfifo two.vmdk", f->folder));
	expect_failure(f, "vm.ovf", G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "two.vmdk");
}

static void expect_ovf(const char *files, const char *message)
{
	g_autofree char *text = g_strdup_printf(OVF_HEAD "<References>%s</References><DiskSection><Disk ovf:diskId='d' "
						"ovf:fileRef='f'/></DiskSection></Envelope>", files);
	g_autoptr(GError) error = NULL;
	struct oriel_ova *ova = oriel_ovf_parse(text, strlen(text), &error);

	if (message) {
		g_assert_null(ova);
		g_assert_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA);
		g_assert_nonnull(strstr(error->message, message));
		return;
	}
	g_assert_no_error(error);
	g_assert_cmpuint(ova->disks->len, ==, 1);
	oriel_ova_free(ova);
}

static void test_ovf(void)
{
	g_autofree char *text = g_strdup(OVF_TEXT);
	gsize size = strlen(text);

	expect_ovf("<File ovf:id='f' ovf:href='a.vmdk'/>", NULL);
	expect_ovf("<File ovf:id='f' ovf:href='a.vmdk' ovf:compression='identity'/>", NULL);
	expect_ovf("<File ovf:id='f' ovf:href='a.vmdk.gz' ovf:compression='gzip'/>", "compressed");
	expect_ovf("<File ovf:id='f' ovf:href='../a.vmdk'/>", "not in the appliance");
	expect_ovf("<File ovf:id='f' ovf:href='/etc/passwd'/>", "not in the appliance");
	expect_ovf("<File ovf:id='f' ovf:href='..'/>", "not in the appliance");
	expect_ovf("<File ovf:id='g' ovf:href='a.vmdk'/>", "no disk");
	expect_ovf("<File", "damaged");
	/* Cut anywhere, and one letter wrong */
	for (gsize i = 0; i < size; i++) {
		char letter = text[i];
		struct oriel_ova *ova = oriel_ovf_parse(text, i, NULL);

		g_assert_null(ova);
		text[i] = '<';
		ova = oriel_ovf_parse(text, size, NULL);
		g_clear_pointer(&ova, oriel_ova_free);
		text[i] = letter;
	}
}

static void test_archive_fuzzed(struct fixture *f, gconstpointer unused)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(7);
	g_autofree char *path = g_build_filename(f->folder, "vm.ova", NULL);
	g_autofree char *bytes = NULL;
	gsize size;

	(void)unused;
	write_text(f, "vm.ovf", OVF_TEXT);
	g_free(run("cd '%s'; echo 1 > one.vmdk; echo 2 > two.vmdk; tar --format=ustar -cf vm.ova vm.ovf one.vmdk two.vmdk",
		   f->folder));
	g_assert_true(g_file_get_contents(path, &bytes, &size, NULL));
	for (guint round = 0; round < 2000; round++) {
		g_autofree char *changed = g_memdup2(bytes, size);
		struct oriel_ova *ova;
		FILE *file = fopen(path, "w");

		for (guint i = 0; i < 3; i++)
			changed[g_rand_int_range(rand, 0, (gint32)size)] = (char)g_rand_int(rand);
		fwrite(changed, 1, size, file);
		fclose(file);
		ova = oriel_ova_read(path, TRUE, NULL, NULL);
		for (guint i = 0; ova && i < ova->disks->len; i++) {
			const struct oriel_ova_disk *disk = &g_array_index(ova->disks, struct oriel_ova_disk, i);

			g_assert_cmpuint(disk->offset, <=, size);
			g_assert_cmpuint(disk->length, <=, size - disk->offset);
		}
		g_clear_pointer(&ova, oriel_ova_free);
	}
}

static void cancel(double fraction, gpointer cancellable)
{
	(void)fraction;
	g_cancellable_cancel(cancellable);
}

/* A qemu-img that never ends, after its first progress; its process number is in the file "pid". */
static void test_cancel(struct fixture *f, gconstpointer unused)
{
	g_autoptr(GCancellable) cancellable = g_cancellable_new();
	g_autoptr(OrielImport) import = open_import(f, "a.raw", NULL);
	g_autoptr(GAsyncResult) result = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *path = g_strdup(g_getenv("PATH"));
	g_autofree char *number = NULL, *pid_file = g_build_filename(f->folder, "pid", NULL);
	const struct oriel_machine_description description = { .name = NULL };

	(void)unused;
	g_free(run("cd '%s'; mkdir bin; printf '#!/bin/sh\\necho $$ > \"%s\"\\nfor last; do :; done\\necho x > \"$last\"\\n"
		   "printf \"    (1.00/100%%%%)\\\\r\"\\nexec sleep 1000\\n' > bin/qemu-img; chmod +x bin/qemu-img", f->folder,
		   pid_file));
	{
		g_autofree char *fake = g_strdup_printf("%s/bin:%s", f->folder, path);

		g_setenv("PATH", fake, TRUE);
	}
	oriel_import_machine_async(import, "x", &description, cancellable, cancel, cancellable, finished, &result);
	g_assert_null(oriel_import_machine_finish(import, wait_for(&result), &error));
	g_setenv("PATH", path, TRUE);
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
	expect_empty(f->machines);
	g_assert_true(g_file_get_contents(pid_file, &number, NULL, NULL));
	g_assert_cmpint(kill((pid_t)g_ascii_strtoull(number, NULL, 10), 0), ==, -1);
}

static void test_missing_tool(struct fixture *f, gconstpointer unused)
{
	g_autofree char *path = g_strdup(g_getenv("PATH"));

	(void)unused;
	g_setenv("PATH", f->folder, TRUE);
	expect_failure(f, "a.raw", ORIEL_QEMU_IMG_ERROR, ORIEL_QEMU_IMG_ERROR_MISSING, "apt install qemu-utils");
	g_setenv("PATH", path, TRUE);
}

static void test_no_space(struct fixture *f, gconstpointer unused)
{
	g_autoptr(OrielImport) import = NULL;
	g_autoptr(GError) error = NULL;

	(void)unused;
	/* /proc is a file system without any free space. */
	import = open_import(f, "a.raw", &error);
	g_assert_no_error(error);
	g_assert_false(convert(import, "/proc", NULL, &error));
	g_assert_error(error, ORIEL_IMPORT_ERROR, ORIEL_IMPORT_ERROR_NO_SPACE);
	g_assert_nonnull(strstr(error->message, "0 bytes"));
}

static void test_exists(struct fixture *f, gconstpointer unused)
{
	g_autoptr(OrielImport) import = open_import(f, "a.raw", NULL);
	g_autofree char *contents = NULL, *path = g_build_filename(f->target, "disk.qcow2", NULL);
	g_autoptr(GError) error = NULL;

	(void)unused;
	write_text(f, "target/disk.qcow2", "mine");
	g_assert_false(convert(import, f->target, NULL, &error));
	g_assert_error(error, G_IO_ERROR, G_IO_ERROR_EXISTS);
	g_assert_true(g_file_get_contents(path, &contents, NULL, NULL));
	g_assert_cmpstr(contents, ==, "mine");
}

#define ADD(name, function) g_test_add("/import/" name, struct fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("formats", test_formats);
	ADD("ova", test_ova);
	ADD("machine", test_machine);
	ADD("unsafe", test_unsafe);
	ADD("damaged", test_damaged);
	g_test_add_func("/import/ovf", test_ovf);
	ADD("archive-fuzzed", test_archive_fuzzed);
	ADD("cancel", test_cancel);
	ADD("missing-tool", test_missing_tool);
	ADD("no-space", test_no_space);
	ADD("exists", test_exists);
	return g_test_run();
}
