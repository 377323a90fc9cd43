/* "oriel disk" as a user runs it: the real program, with QEMU's tools as judges. */
#include "qcow2_fixture.h"

#include <signal.h>

static const char *oriel_program;

/* Runs "oriel disk ..." and checks its exit status, and that both outputs together have text in them. */
static void expect(const struct folder *folder, int status, const char *text, const char *format, ...)
	G_GNUC_PRINTF(4, 5);

static void expect(const struct folder *folder, int status, const char *text, const char *format, ...)
{
	g_autofree char *command = NULL, *output = NULL;
	va_list list;
	int got;

	va_start(list, format);
	command = g_strdup_vprintf(format, list);
	va_end(list);
	got = tool(folder, &output, "%s disk %s", oriel_program, command);
	if (got != status || !strstr(output, text))
		g_error("oriel disk %s: %d instead of %d, \"%s\" instead of \"%s\"", command, got, status, output,
			text);
}

#define JUDGE(...) g_assert_cmpint(tool(folder, NULL, __VA_ARGS__), ==, 0)

static bool exists(const struct folder *folder, const char *name)
{
	g_autofree char *path = folder_file(folder, name);

	return g_file_test(path, G_FILE_TEST_EXISTS);
}

static off_t blocks(const struct folder *folder, const char *name)
{
	g_autofree char *path = folder_file(folder, name);
	struct stat status;

	g_assert_cmpint(stat(path, &status), ==, 0);
	return status.st_blocks * 512;
}

/* An image with data, zeroes, and nothing. */
static void make_filled(const struct folder *folder, const char *options, const char *name)
{
	JUDGE("qemu-img create -q -f qcow2 %s %s 24M", options, name);
	JUDGE("qemu-io -f qcow2 -c 'write -P 1 0 3M' -c 'write -P 2 5000k 900k' -c 'write -z 7M 1M' "
	      "-c 'write -P 0 9M 1M' -c 'write -P 3 20M 4M' %s", name);
}

/* --- Command line --- */

static void test_usage(struct folder *folder, gconstpointer data)
{
	static const char *const commands[] = {
		"create", "info", "check", "resize", "convert", "compact", "commit", "rebase", "snapshot", "map",
	};

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		expect(folder, 0, commands[i], "--help");
		expect(folder, 0, commands[i], "%s --help", commands[i]);
		expect(folder, 2, "nknown option", "%s --no-such-option", commands[i]);
		expect(folder, 2, "Usage: oriel disk", "%s", commands[i]);
	}
	expect(folder, 2, "Commands:", "%s", "");
	expect(folder, 2, "There is no command \"dance\"", "dance");
	expect(folder, 2, "Usage: oriel disk snapshot", "snapshot create a");
	expect(folder, 2, "Usage: oriel disk snapshot", "snapshot rename a b");
	g_assert_cmpint(tool(folder, NULL, "%s disk --help", oriel_program), ==, 0);
}

/* --- create --- */

static const struct {
	const char *options, *judge; /* what qemu-img info has to say */
} creations[] = {
	{ "10M", "compat: 1.1" },
	{ "10M --qcow2-version 2", "compat: 0.10" },
	{ "10M --cluster-size 4K --refcount-bits 1", "refcount bits: 1\n" },
	{ "10M --extended-l2 --lazy-refcounts", "extended l2: true" },
	{ "10M --extended-l2 --lazy-refcounts", "lazy refcounts: true" },
	{ "10M --compression zstd", "compression type: zstd" },
	{ "10M --preallocation metadata", "virtual size: 10 MiB" },
	{ "10M --data-file data.raw --data-raw", "data file raw: true" },
	{ "--backing base.qcow2", "backing file format: qcow2" },
	{ "40M -b base.qcow2 --backing-format qcow2", "virtual size: 40 MiB" },
	{ "10M -f raw", "file format: raw" },
};

static void test_create(struct folder *folder, gconstpointer data)
{
	(void)data;
	make_filled(folder, "", "base.qcow2");
	for (size_t i = 0; i < G_N_ELEMENTS(creations); i++) {
		g_autofree char *output = NULL;

		expect(folder, 0, "", "create --overwrite disk %s", creations[i].options);
		g_assert_cmpint(tool(folder, &output, "qemu-img info disk"), ==, 0);
		if (!strstr(output, creations[i].judge))
			g_error("%s: no \"%s\" in %s", creations[i].options, creations[i].judge, output);
		if (!strstr(creations[i].options, "raw"))
			JUDGE("qemu-img check -q disk");
	}
	expect(folder, 0, "", "create full.qcow2 10M --preallocation full");
	expect(folder, 0, "", "create falloc.qcow2 10M --preallocation falloc");
	expect(folder, 0, "", "create full.raw 10M -f raw --preallocation full");
	g_assert_cmpint(blocks(folder, "full.qcow2"), >=, 10 << 20);
	g_assert_cmpint(blocks(folder, "falloc.qcow2"), >=, 10 << 20);
	g_assert_cmpint(blocks(folder, "full.raw"), >=, 10 << 20);
	JUDGE("qemu-img check -q full.qcow2");
	JUDGE("qemu-img compare full.qcow2 full.raw");
}

static void test_create_refused(struct folder *folder, gconstpointer data)
{
	(void)data;
	expect(folder, 1, "needs a size", "create x");
	expect(folder, 1, "not a size", "create x big");
	expect(folder, 1, "there are raw and qcow2", "create x 1M -f tape");
	expect(folder, 1, "foreign format", "create x 1M -f vmdk");
	expect(folder, 1, "off, metadata, falloc, full", "create x 1M --preallocation some");
	expect(folder, 1, "zlib, zstd", "create x 1M --compression lzma");
	expect(folder, 1, "power of two", "create x 1M --cluster-size 3000");
	expect(folder, 1, "refcounts have", "create x 1M --refcount-bits 3");
	expect(folder, 1, "Raw images have nothing", "create x 1M -f raw --extended-l2");
	expect(folder, 1, "No such file", "create x --backing nowhere");
	expect(folder, 1, "needs a data file", "create x 1M --data-raw");
	expect(folder, 1, "another file", "create x 1M --data-file x --overwrite");
	expect(folder, 1, "No such file or directory", "create no/x 1M");
	g_assert_false(exists(folder, "x"));
	expect(folder, 0, "", "create disk 1M");
	expect(folder, 1, "exists", "create disk 1M");
	/* Its own backing image would be overwritten first. */
	expect(folder, 1, "in use", "create disk -b disk --overwrite");
	expect(folder, 0, "sound", "check disk");
}

/* --- info, check, map --- */

/* Every member of ours that qemu-img has too must be the same. */
static const char compare_json[] =
	"import json, sys\n"
	"def same(a, b, at):\n"
	"    if isinstance(a, dict):\n"
	"        for k in a: same(a[k], b[k], at + '/' + k) if k in b else sys.exit(at + ' has ' + k)\n"
	"    elif isinstance(a, list):\n"
	"        len(a) == len(b) or sys.exit(at + ' length')\n"
	"        for x, y in zip(a, b): same(x, y, at + '[]')\n"
	"    elif a != b: sys.exit('%s: %s, not %s' % (at, a, b))\n"
	"def merged(m):\n" /* of a map: what follows on, and is the same */
	"    if not isinstance(m, list): return m\n"
	"    out = []\n"
	"    for e in m:\n"
	"        shift = e.pop('offset', 0) - e['start']\n"
	"        kind = [shift if e['data'] else 0, e['depth'], e['present'], e['zero'], e['data']]\n"
	"        if out and out[-1][0] == kind: out[-1][1] += e['length']\n"
	"        else: out.append([kind, e['length']])\n"
	"    return out\n"
	"same(*[merged(json.load(open(a))) for a in sys.argv[1:3]], '')\n";

static void compare_outputs(const struct folder *folder, const char *ours, const char *theirs)
{
	g_autofree char *script = folder_file(folder, "compare.py"), *complaint = NULL;
	const char *const commands[] = { ours, theirs }, *const names[] = { "ours.json", "theirs.json" };

	g_assert_true(g_file_set_contents(script, compare_json, -1, NULL));
	for (unsigned i = 0; i < 2; i++) {
		g_autofree char *path = folder_file(folder, names[i]), *output = NULL;

		tool(folder, &output, "%s", commands[i]);
		g_assert_true(g_file_set_contents(path, output, -1, NULL));
	}
	if (tool(folder, &complaint, "python3 compare.py ours.json theirs.json"))
		g_error("%s: %s", ours, complaint);
}

static void compare_json_of(const struct folder *folder, const char *name)
{
	static const char *const commands[] = { "info", "check", "map" };

	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
		g_autofree char *ours = g_strdup_printf("%s disk %s --json %s", oriel_program, commands[i], name);
		g_autofree char *theirs = g_strdup_printf("qemu-img %s --output=json %s", commands[i], name);

		if (i != 1 || strstr(name, "qcow2"))
			compare_outputs(folder, ours, theirs);
	}
}

static void test_info(struct folder *folder, gconstpointer data)
{
	(void)data;
	make_filled(folder, "", "base.qcow2");
	make_filled(folder, "-o extended_l2=on,lazy_refcounts=on", "wide.qcow2");
	JUDGE("qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 'to \"p\".qcow2' 30M");
	JUDGE("qemu-io -f qcow2 -c 'write -P 9 1M 100k' -c 'write -z 20M 2M' 'to \"p\".qcow2'");
	JUDGE("qemu-img snapshot -c 'a \\n \"name\"' base.qcow2");
	JUDGE("qemu-img convert -O raw base.qcow2 disk.raw");
	compare_json_of(folder, "base.qcow2");
	compare_json_of(folder, "wide.qcow2");
	compare_json_of(folder, "'to \"p\".qcow2'");
	compare_json_of(folder, "disk.raw");
	expect(folder, 0, "24.0 MiB (25165824)", "info base.qcow2");
	expect(folder, 0, "a \\n \"name\"", "info base.qcow2");
	expect(folder, 0, "backing image      base.qcow2 (qcow2)", "info 'to \"p\".qcow2'");
	expect(folder, 0, "base.qcow2 at 0x", "map 'to \"p\".qcow2'");
	expect(folder, 1, "No such file", "info nowhere");
	expect(folder, 1, "not a qcow2 image", "check disk.raw");
}

static void poke(const struct folder *folder, const char *name, off_t offset, const void *bytes, size_t length)
{
	g_autofree char *path = folder_file(folder, name);
	int fd = open(path, O_WRONLY);

	g_assert_cmpint(pwrite(fd, bytes, length, offset), ==, (ssize_t)length);
	close(fd);
}

static void test_check(struct folder *folder, gconstpointer data)
{
	static const uint8_t one[2] = { 0, 1 }, none[8] = { 0 };

	(void)data;
	make_filled(folder, "", "disk.qcow2");
	JUDGE("qemu-img convert -O raw disk.qcow2 model.raw");
	expect(folder, 0, "sound", "check disk.qcow2");
	/* The refcount of a cluster far behind the end: a leak. */
	poke(folder, "disk.qcow2", 131072 + 2 * 1000, one, 2);
	expect(folder, 4, "1 leaked", "check disk.qcow2");
	expect(folder, 4, "\"leaks\": 1", "check --json disk.qcow2");
	expect(folder, 0, "Repaired: 0 errors, 1 leaked", "check --repair disk.qcow2");
	poke(folder, "disk.qcow2", 131072 + 2 * 8, none, 8);
	expect(folder, 3, "errors: data is damaged", "check disk.qcow2");
	expect(folder, 0, "Repaired", "check -r disk.qcow2");
	JUDGE("qemu-img check -q disk.qcow2");
	JUDGE("qemu-img compare disk.qcow2 model.raw");
}

/* --- resize, compact --- */

static void test_resize(struct folder *folder, gconstpointer data)
{
	const char *format = data;

	JUDGE("qemu-img create -q -f %s disk 10M", format);
	JUDGE("qemu-io -f %s -c 'write -P 5 0 10M' disk", format);
	JUDGE("qemu-img convert -O raw disk model.raw");
	expect(folder, 1, "say --shrink", "resize disk 5M");
	expect(folder, 1, "say --shrink", "resize disk -- -5M");
	expect(folder, 1, "cannot change by", "resize --shrink disk -- -10M");
	expect(folder, 0, "", "resize disk +6M --preallocation full");
	JUDGE("qemu-img resize -q -f raw model.raw 16M");
	JUDGE("qemu-img compare -f %s disk model.raw", format);
	g_assert_cmpint(blocks(folder, "disk"), >=, 16 << 20);
	expect(folder, 0, "", "resize disk --shrink 5M");
	expect(folder, 0, "", "resize disk 20M");
	JUDGE("qemu-img resize -q -f raw --shrink model.raw 5M");
	JUDGE("qemu-img resize -q -f raw model.raw 20M");
	JUDGE("qemu-img compare -f %s disk model.raw", format);
	expect(folder, 0, "", "resize disk --shrink -- -1M");
	expect(folder, 0, "19.0 MiB (19922944)", "info disk");
}

static void test_compact(struct folder *folder, gconstpointer data)
{
	off_t before;

	(void)data;
	make_filled(folder, "", "disk.qcow2");
	JUDGE("qemu-img convert -O raw disk.qcow2 model.raw");
	before = blocks(folder, "disk.qcow2");
	expect(folder, 0, "", "compact disk.qcow2");
	g_assert_cmpint(blocks(folder, "disk.qcow2"), <=, before - (1 << 20));
	JUDGE("qemu-img check -q disk.qcow2");
	JUDGE("qemu-img compare disk.qcow2 model.raw");
}

/* --- convert --- */

static void test_convert(struct folder *folder, gconstpointer data)
{
	const char *options = data;

	make_filled(folder, options, "disk.qcow2");
	JUDGE("qemu-img convert -O raw disk.qcow2 model.raw");
	JUDGE("qemu-img create -q -f qcow2 -b disk.qcow2 -F qcow2 -o cluster_size=4k top.qcow2 26M");
	JUDGE("qemu-io -f qcow2 -c 'write -P 9 1M 100k' -c 'write -z 20M 2M' -c 'write -P 4 25M 1M' top.qcow2");
	expect(folder, 0, "", "convert model.raw from-raw.qcow2");
	expect(folder, 0, "", "convert disk.qcow2 to.raw -f raw");
	expect(folder, 0, "", "convert -c top.qcow2 small.qcow2 --compression zstd --cluster-size 1M");
	expect(folder, 0, "", "convert -c disk.qcow2 tiny.qcow2 --cluster-size 512 --refcount-bits 1");
	expect(folder, 0, "", "convert top.qcow2 over.qcow2 -b disk.qcow2 --extended-l2");
	expect(folder, 0, "", "convert -c small.qcow2 over-small.qcow2 -b disk.qcow2");
	JUDGE("qemu-img compare model.raw from-raw.qcow2");
	JUDGE("qemu-img compare -f raw -F raw model.raw to.raw");
	JUDGE("qemu-img compare top.qcow2 small.qcow2");
	JUDGE("qemu-img compare disk.qcow2 tiny.qcow2");
	JUDGE("qemu-img compare top.qcow2 over.qcow2");
	JUDGE("qemu-img compare top.qcow2 over-small.qcow2");
	JUDGE("qemu-img check -q small.qcow2");
	JUDGE("qemu-img check -q tiny.qcow2");
	JUDGE("qemu-img check -q over-small.qcow2");
	/* Holes stay holes, and differences are all that is kept. */
	g_assert_cmpint(blocks(folder, "to.raw"), <, 9 << 20);
	g_assert_cmpint(blocks(folder, "over.qcow2"), <, 3 << 20);
	g_assert_cmpint(blocks(folder, "small.qcow2"), <, 3 << 20);
	JUDGE("qemu-img snapshot -c before disk.qcow2");
	JUDGE("qemu-io -f qcow2 -c 'write -P 8 0 1M' disk.qcow2");
	expect(folder, 0, "", "convert --snapshot before disk.qcow2 snapshot.qcow2");
	JUDGE("qemu-img compare model.raw snapshot.qcow2");
}

static void test_convert_refused(struct folder *folder, gconstpointer data)
{
	(void)data;
	make_filled(folder, "", "disk.qcow2");
	expect(folder, 1, "No such file", "convert nowhere x");
	expect(folder, 1, "compress", "convert -c disk.qcow2 x -f raw");
	expect(folder, 1, "compress", "convert -c disk.qcow2 x --data-file y");
	expect(folder, 1, "no snapshot", "convert --snapshot one disk.qcow2 x");
	g_assert_false(exists(folder, "x") || exists(folder, "y"));
	expect(folder, 1, "in use", "convert --overwrite disk.qcow2 disk.qcow2");
	expect(folder, 1, "exists", "convert disk.qcow2 disk.qcow2");
	JUDGE("qemu-img check -q disk.qcow2");
	JUDGE("qemu-io -f qcow2 -c 'read -P 1 0 3M' disk.qcow2");
}

static void test_foreign(struct folder *folder, gconstpointer data)
{
	static const char *const formats[] = { "vmdk", "vdi", "vhdx", "vpc", "qed" };
	g_autofree char *path = g_strdup(g_getenv("PATH"));

	(void)data;
	make_filled(folder, "", "disk.qcow2");
	for (size_t i = 0; i < G_N_ELEMENTS(formats); i++) {
		expect(folder, 0, "", "convert disk.qcow2 other -f %s --overwrite", formats[i]);
		expect(folder, 0, "", "convert other back.qcow2 --overwrite --cluster-size 4K");
		/* Sizes differ by what cylinders make of them. */
		JUDGE("qemu-img compare disk.qcow2 back.qcow2");
		JUDGE("qemu-img compare -F %s disk.qcow2 other", formats[i]);
	}
	expect(folder, 1, "there already", "convert disk.qcow2 other -f vdi");
	expect(folder, 1, "for qcow2 images", "convert disk.qcow2 x -f vdi --extended-l2");
	g_setenv("PATH", folder->path, TRUE);
	expect(folder, 1, "qemu-utils", "convert disk.qcow2 x -f vdi");
	g_setenv("PATH", path, TRUE);
	g_assert_false(exists(folder, "x"));
}

/* --- commit, rebase, snapshot --- */

static void test_chain(struct folder *folder, gconstpointer data)
{
	(void)data;
	make_filled(folder, "", "base.qcow2");
	make_filled(folder, "-o cluster_size=4k", "other.qcow2");
	JUDGE("qemu-io -f qcow2 -c 'write -P 7 2M 4M' other.qcow2");
	expect(folder, 0, "", "create top.qcow2 -b base.qcow2");
	JUDGE("qemu-io -f qcow2 -c 'write -P 9 1M 100k' -c 'write -z 20M 2M' top.qcow2");
	JUDGE("qemu-img convert -O raw top.qcow2 model.raw");
	expect(folder, 1, "Either a backing image", "rebase top.qcow2");
	expect(folder, 0, "", "rebase top.qcow2 other.qcow2");
	JUDGE("qemu-img compare top.qcow2 model.raw");
	expect(folder, 0, "other.qcow2", "info top.qcow2");
	expect(folder, 0, "", "commit top.qcow2");
	JUDGE("qemu-img compare other.qcow2 model.raw");
	JUDGE("mv other.qcow2 moved.qcow2");
	expect(folder, 0, "", "rebase top.qcow2 -u moved.qcow2 --backing-format qcow2");
	JUDGE("qemu-img compare top.qcow2 model.raw");
	expect(folder, 0, "", "rebase top.qcow2 --none");
	JUDGE("qemu-img compare top.qcow2 model.raw");
	JUDGE("qemu-img check -q top.qcow2");
	expect(folder, 1, "no backing image", "commit top.qcow2");
}

static void test_snapshot(struct folder *folder, gconstpointer data)
{
	(void)data;
	make_filled(folder, "", "disk.qcow2");
	JUDGE("qemu-img convert -O raw disk.qcow2 model.raw");
	expect(folder, 0, "", "snapshot create disk.qcow2 'before it'");
	JUDGE("qemu-io -f qcow2 -c 'write -P 8 0 9M' disk.qcow2");
	expect(folder, 0, "before it", "snapshot list disk.qcow2");
	expect(folder, 1, "no snapshot", "snapshot apply disk.qcow2 nine");
	expect(folder, 0, "", "snapshot apply disk.qcow2 'before it'");
	JUDGE("qemu-img compare disk.qcow2 model.raw");
	expect(folder, 0, "", "snapshot delete disk.qcow2 'before it'");
	expect(folder, 0, "", "snapshot list disk.qcow2");
	JUDGE("qemu-img check -q disk.qcow2");
	JUDGE("qemu-img compare disk.qcow2 model.raw");
	expect(folder, 1, "need a qcow2 image", "snapshot create model.raw x");
}

/* --- Images in use, and interruptions --- */

static void test_in_use(struct folder *folder, gconstpointer data)
{
	static const char *const commands[] = {
		"create --overwrite disk.qcow2 1M", "create --overwrite -f raw disk.qcow2 1M", "info disk.qcow2",
		"check disk.qcow2", "check --repair disk.qcow2", "resize disk.qcow2 +1M", "convert disk.qcow2 x",
		"convert --overwrite other.qcow2 disk.qcow2", "convert --overwrite -f vdi other.qcow2 disk.qcow2",
		"compact disk.qcow2", "commit disk.qcow2", "rebase disk.qcow2 --none",
		"snapshot create disk.qcow2 x", "snapshot list disk.qcow2", "map disk.qcow2",
	};
	g_autofree char *path = folder_file(folder, "disk.qcow2");
	struct block *block;

	(void)data;
	make_filled(folder, "", "disk.qcow2");
	make_filled(folder, "", "other.qcow2");
	/* As a running machine has it. */
	block = open_image(path, false);
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		expect(folder, 1, "by another program", "%s", commands[i]);
	block_close(block);
	g_assert_false(exists(folder, "x"));
	JUDGE("qemu-img compare disk.qcow2 other.qcow2");
}

static int start_and_interrupt(const struct folder *folder, const char *arguments, const char *appears)
{
	g_autofree char *command = g_strdup_printf("%s disk %s", oriel_program, arguments);
	g_auto(GStrv) argv = NULL;
	GError *error = NULL;
	GPid process;
	int status;

	g_assert_true(g_shell_parse_argv(command, NULL, &argv, NULL));
	g_spawn_async(folder->path, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL,
		      &process, &error);
	g_assert_no_error(error);
	while (!exists(folder, appears) && waitpid(process, &status, WNOHANG) == 0)
		g_usleep(100);
	kill(process, SIGINT);
	g_assert_cmpint(waitpid(process, &status, 0), ==, process);
	return status;
}

static void test_interrupted(struct folder *folder, gconstpointer data)
{
	static const struct {
		const char *arguments, *appears;
	} cases[] = {
		{ "create x -f raw 200M --preallocation full", "x" },
		{ "create x 200M --preallocation full", "x" },
		{ "create x 200M --preallocation full --data-file y", "y" },
		{ "convert -c large.raw x", "x" },
		{ "convert large.raw x --cluster-size 512", "x" },
	};

	(void)data;
	JUDGE("qemu-img create -q -f raw large.raw 96M");
	JUDGE("qemu-io -f raw -c 'write -P 1 0 96M' large.raw");
	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		int status = start_and_interrupt(folder, cases[i].arguments, cases[i].appears);

		g_assert_true(WIFSIGNALED(status));
		g_assert_cmpint(WTERMSIG(status), ==, SIGINT);
		g_assert_false(exists(folder, "x") || exists(folder, "y"));
	}
}

static void add(const char *name, const void *data, void (*test)(struct folder *folder, gconstpointer data))
{
	g_autofree char *path = g_strconcat("/disk-cli/", name, NULL);

	g_test_add(path, struct folder, data, folder_set_up, test, folder_tear_down);
}

int main(int argc, char **argv)
{
	g_autofree char *program = NULL;

	g_test_init(&argc, &argv, NULL);
	g_assert_cmpint(argc, ==, 2);
	/* It runs in other folders. */
	oriel_program = program = g_canonicalize_filename(argv[1], NULL);
	g_setenv("LC_ALL", "C", TRUE);
	folder_use_memory();
	add("usage", NULL, test_usage);
	add("create", NULL, test_create);
	add("create-refused", NULL, test_create_refused);
	add("info", NULL, test_info);
	add("check", NULL, test_check);
	add("resize-qcow2", "qcow2", test_resize);
	add("resize-raw", "raw", test_resize);
	add("compact", NULL, test_compact);
	add("convert", "", test_convert);
	add("convert-extended", "-o extended_l2=on,cluster_size=16k", test_convert);
	add("convert-refused", NULL, test_convert_refused);
	add("foreign", NULL, test_foreign);
	add("chain", NULL, test_chain);
	add("snapshot", NULL, test_snapshot);
	add("in-use", NULL, test_in_use);
	add("interrupted", NULL, test_interrupted);
	return g_test_run();
}
