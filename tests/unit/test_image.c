/* Images as files: created, resized, converted, committed, rebased; their snapshots; QEMU's tools as judges. */
#include "qcow2_fixture.h"

#define SIZE (5u << 20)

#define CHECKED(call)                                                                                                  \
	do {                                                                                                           \
		GError *failure = NULL;                                                                                \
		bool result = (call);                                                                                  \
		g_assert_no_error(failure);                                                                            \
		g_assert_true(result);                                                                                 \
	} while (0)

static void check_refusal(bool result, GError *error, const char *part)
{
	g_assert_false(result);
	g_assert_nonnull(error);
	if (!strstr(error->message, part))
		g_error("\"%s\" does not say \"%s\"", error->message, part);
	g_error_free(error);
}

#define REFUSED(call, part)                                                                                            \
	do {                                                                                                           \
		GError *failure = NULL;                                                                                \
		bool result = (call);                                                                                  \
		check_refusal(result, failure, part);                                                                  \
	} while (0)

static void assert_clean(const struct folder *folder, const char *name)
{
	g_autofree char *path = folder_file(folder, name);
	struct image_check check;

	g_assert_cmpint(tool(folder, NULL, "qemu-img check -f qcow2 %s", name), ==, 0);
	CHECKED(image_check(path, 0, &check, &failure));
	g_assert_cmpuint(check.corruptions + check.leaks, ==, 0);
}

static void assert_same(const struct folder *folder, const char *a, const char *b)
{
	g_autofree char *first = folder_file(folder, a), *second = folder_file(folder, b);
	struct image_info info, other;

	g_assert_cmpint(tool(folder, NULL, "qemu-img compare %s %s", a, b), ==, 0);
	CHECKED(image_info(first, &info, &failure));
	CHECKED(image_info(second, &other, &failure));
	g_assert_cmpuint(info.size, ==, other.size);
	image_info_clear(&info);
	image_info_clear(&other);
}

/* Writes a pattern by way of our driver. */
static void pattern(const struct folder *folder, const char *name, unsigned seed, unsigned writes)
{
	g_autofree char *path = folder_file(folder, name);
	g_autofree uint8_t *buffer = g_malloc(1 << 20);
	struct block *block = open_image(path, false);
	g_autoptr(GRand) random = g_rand_new_with_seed(seed);

	for (unsigned i = 0; i < writes; i++) {
		uint64_t sectors = block_size(block) / 512;
		uint64_t length = (uint64_t)g_rand_int_range(random, 1, 400), at;

		at = (uint64_t)g_rand_int_range(random, 0, (gint32)(sectors - length));
		memset(buffer, (int)(seed + i), length * 512);
		g_assert_cmpint(run(block, i % 7 == 6 ? BLOCK_WRITE_ZEROES : BLOCK_WRITE, at * 512,
				    i % 7 == 6 ? NULL : buffer, length * 512), ==, 0);
	}
	block_close(block);
}

static void raw_copy(const struct folder *folder, const char *from, const char *to)
{
	g_assert_cmpint(tool(folder, NULL, "qemu-img convert -O raw %s %s", from, to), ==, 0);
}

/* --- Creating --- */

static const struct image_create_options creations[] = {
	{ .size = SIZE },
	{ .size = SIZE, .version = 2 },
	{ .size = SIZE, .cluster_size = 512 },
	{ .size = SIZE, .cluster_size = 512, .refcount_bits = 64 },
	{ .size = SIZE, .cluster_size = 2 << 20, .refcount_bits = 1 },
	{ .size = SIZE, .extended_l2 = true, .lazy_refcounts = true },
	{ .size = SIZE, .compression = IMAGE_COMPRESSION_ZSTD },
	{ .size = SIZE, .preallocation = IMAGE_PREALLOCATION_METADATA },
	{ .size = SIZE, .preallocation = IMAGE_PREALLOCATION_METADATA, .extended_l2 = true, .cluster_size = 16384 },
	{ .size = SIZE, .preallocation = IMAGE_PREALLOCATION_METADATA, .version = 2 },
	{ .size = SIZE, .preallocation = IMAGE_PREALLOCATION_FALLOC },
	{ .size = SIZE, .preallocation = IMAGE_PREALLOCATION_FULL, .cluster_size = 4096 },
	{ .size = SIZE, .data_path = "data.raw", .data_raw = true },
	{ .size = 0 },
	{ .size = 1ull << 41 },
};

static void test_create(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "disk.qcow2");

	(void)data;
	for (size_t i = 0; i < G_N_ELEMENTS(creations); i++) {
		struct image_create_options options = creations[i];
		struct image_info info;

		options.path = path;
		options.overwrite = true;
		CHECKED(image_create(&options, &failure));
		CHECKED(image_info(path, &info, &failure));
		g_assert_cmpuint(info.size, ==, options.size);
		g_assert_cmpuint(info.cluster_size, ==, options.cluster_size ? options.cluster_size : 65536);
		image_info_clear(&info);
		assert_clean(folder, "disk.qcow2");
		if (options.size != SIZE)
			continue;
		g_assert_cmpint(tool(folder, NULL, "qemu-io -f qcow2 -c 'read -P 0 0 5M' disk.qcow2"), ==, 0);
		pattern(folder, "disk.qcow2", (unsigned)i, 20);
		assert_clean(folder, "disk.qcow2");
		g_assert_cmpint(tool(folder, NULL, "qemu-io -f qcow2 -c 'write -P 1 1M 1M' disk.qcow2"), ==, 0);
		assert_clean(folder, "disk.qcow2");
	}
}

static void test_create_refused(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "disk.qcow2");

	(void)data;
	REFUSED(image_create(&(struct image_create_options){ .path = path, .size = SIZE, .cluster_size = 3000 },
			     &failure),
		"power of two");
	REFUSED(image_create(&(struct image_create_options){ .path = path, .size = SIZE, .backing_path = "no" },
			     &failure),
		"No such file");
	REFUSED(image_create(&(struct image_create_options){ .path = path, .size = 1ull << 41, .cluster_size = 512 },
			     &failure), "larger clusters");
	CHECKED(image_create(&(struct image_create_options){ .path = path, .size = SIZE }, &failure));
	REFUSED(image_create(&(struct image_create_options){ .path = path, .size = SIZE }, &failure), "exists");
}

/* --- Resizing --- */

static void test_resize(struct folder *folder, gconstpointer data)
{
	static const uint64_t sizes[] = { 700 << 20, 3 << 20, 5000192, 9 << 20, 512, 6 << 20 };
	g_autofree char *path = folder_file(folder, "disk.qcow2");
	const char *options = data;

	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f raw base.raw 8M"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-io -f raw -c 'write -P 0x77 0 8M' base.raw"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 %s disk.qcow2 5M", options), ==, 0);
	pattern(folder, "disk.qcow2", 5, 30);
	raw_copy(folder, "disk.qcow2", "model.raw");
	REFUSED(image_resize(path, 1 << 20, false, IMAGE_PREALLOCATION_OFF, NULL, NULL, &failure), "smaller");
	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		CHECKED(image_resize(path, sizes[i], true, IMAGE_PREALLOCATION_OFF, NULL, NULL, &failure));
		g_assert_cmpint(tool(folder, NULL, "truncate -s %" G_GUINT64_FORMAT " model.raw", sizes[i]), ==, 0);
		assert_clean(folder, "disk.qcow2");
		assert_same(folder, "disk.qcow2", "model.raw");
	}
}

/* --- Snapshots --- */

static void test_snapshots(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "disk.qcow2");
	const char *options = data;
	GArray *list;

	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 %s disk.qcow2 5M", options), ==, 0);
	pattern(folder, "disk.qcow2", 1, 30);
	raw_copy(folder, "disk.qcow2", "one.raw");
	CHECKED(image_snapshot_create(path, "one", &failure));
	assert_clean(folder, "disk.qcow2");
	assert_same(folder, "disk.qcow2", "one.raw");
	pattern(folder, "disk.qcow2", 2, 30);
	assert_clean(folder, "disk.qcow2");
	raw_copy(folder, "disk.qcow2", "two.raw");
	g_assert_cmpint(tool(folder, NULL, "qemu-img snapshot -c two disk.qcow2"), ==, 0);
	pattern(folder, "disk.qcow2", 3, 30);
	raw_copy(folder, "disk.qcow2", "three.raw");
	CHECKED(image_snapshot_create(path, "three", &failure));
	list = image_snapshot_list(path, NULL);
	g_assert_cmpuint(list->len, ==, 3);
	g_assert_cmpstr(g_array_index(list, struct image_snapshot, 1).name, ==, "two");
	g_array_unref(list);
	CHECKED(image_snapshot_apply(path, "one", &failure));
	assert_clean(folder, "disk.qcow2");
	assert_same(folder, "disk.qcow2", "one.raw");
	pattern(folder, "disk.qcow2", 4, 20);
	CHECKED(image_snapshot_apply(path, "two", &failure));
	assert_same(folder, "disk.qcow2", "two.raw");
	CHECKED(image_snapshot_delete(path, "one", &failure));
	assert_clean(folder, "disk.qcow2");
	assert_same(folder, "disk.qcow2", "two.raw");
	g_assert_cmpint(tool(folder, NULL, "qemu-img snapshot -a three disk.qcow2"), ==, 0);
	assert_same(folder, "disk.qcow2", "three.raw");
	CHECKED(image_snapshot_delete(path, "three", &failure));
	CHECKED(image_snapshot_delete(path, "two", &failure));
	assert_clean(folder, "disk.qcow2");
	assert_same(folder, "disk.qcow2", "three.raw");
	pattern(folder, "disk.qcow2", 6, 20);
	assert_clean(folder, "disk.qcow2");
	REFUSED(image_snapshot_apply(path, "nine", &failure), "no snapshot");
}

static void test_snapshots_refcount_1(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "disk.qcow2");

	(void)data;
	CHECKED(image_create(&(struct image_create_options){ .path = path, .size = SIZE, .refcount_bits = 1 },
			     &failure));
	pattern(folder, "disk.qcow2", 1, 5);
	REFUSED(image_snapshot_create(path, "one", &failure), "refcounts");
	assert_clean(folder, "disk.qcow2");
}

/* --- Moving data --- */

static void convert(const struct folder *folder, const char *from, const char *to,
		    struct image_convert_options options)
{
	g_autofree char *source = folder_file(folder, from), *target = folder_file(folder, to);

	options.source = source;
	options.target.path = target;
	options.target.overwrite = true;
	CHECKED(image_convert(&options, &failure));
	if (options.target.format != BLOCK_FORMAT_RAW)
		assert_clean(folder, to);
	assert_same(folder, from, to);
}

static void test_convert(struct folder *folder, gconstpointer data)
{
	g_autofree char *one = folder_file(folder, "one.raw");

	(void)data;
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 disk.qcow2 5M"), ==, 0);
	pattern(folder, "disk.qcow2", 9, 30);
	raw_copy(folder, "disk.qcow2", "one.raw");
	convert(folder, "disk.qcow2", "to.raw", (struct image_convert_options){ .target.format = BLOCK_FORMAT_RAW });
	convert(folder, "one.raw", "to.qcow2", (struct image_convert_options){ 0 });
	convert(folder, "to.qcow2", "small.qcow2", (struct image_convert_options){ .compress = true });
	convert(folder, "small.qcow2", "back.raw",
		(struct image_convert_options){ .target.format = BLOCK_FORMAT_RAW });
	convert(folder, "to.qcow2", "zstd.qcow2", (struct image_convert_options){ .compress = true,
		.target = { .compression = IMAGE_COMPRESSION_ZSTD, .cluster_size = 4096, .refcount_bits = 2 } });
	pattern(folder, "zstd.qcow2", 10, 30);
	assert_clean(folder, "zstd.qcow2");
	convert(folder, "disk.qcow2", "over.qcow2",
		(struct image_convert_options){ .target.backing_path = "small.qcow2" });
	g_assert_cmpint(tool(folder, NULL, "qemu-img snapshot -c s disk.qcow2"), ==, 0);
	pattern(folder, "disk.qcow2", 11, 10);
	convert(folder, "one.raw", "x.qcow2", (struct image_convert_options){ 0 });
	{
		g_autofree char *source = folder_file(folder, "disk.qcow2");
		g_autofree char *target = folder_file(folder, "snap.qcow2");

		CHECKED(image_convert(&(struct image_convert_options){ .source = source, .snapshot = "s",
								       .target.path = target }, &failure));
		assert_same(folder, "snap.qcow2", "one.raw");
	}
}

static void test_commit_rebase(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "top.qcow2"), *base = folder_file(folder, "base.qcow2");
	const char *options = data;

	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 base.qcow2 4M"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 other.qcow2 3M"), ==, 0);
	pattern(folder, "base.qcow2", 1, 30);
	pattern(folder, "other.qcow2", 2, 30);
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 %s -b base.qcow2 -F qcow2 top.qcow2 5M",
			     options), ==, 0);
	pattern(folder, "top.qcow2", 3, 10);
	raw_copy(folder, "top.qcow2", "model.raw");
	CHECKED(image_rebase(path, "other.qcow2", BLOCK_FORMAT_PROBE, false, NULL, NULL, &failure));
	assert_clean(folder, "top.qcow2");
	assert_same(folder, "top.qcow2", "model.raw");
	CHECKED(image_commit(path, NULL, NULL, &failure));
	assert_clean(folder, "top.qcow2");
	assert_clean(folder, "other.qcow2");
	assert_same(folder, "top.qcow2", "model.raw");
	assert_same(folder, "other.qcow2", "model.raw");
	CHECKED(image_rebase(path, NULL, BLOCK_FORMAT_PROBE, false, NULL, NULL, &failure));
	assert_same(folder, "top.qcow2", "model.raw");
	assert_clean(folder, "top.qcow2");
	REFUSED(image_commit(path, NULL, NULL, &failure), "no backing image");
	CHECKED(image_rebase(base, "top.qcow2", BLOCK_FORMAT_QCOW2, false, NULL, NULL, &failure));
	REFUSED(image_rebase(path, "base.qcow2", BLOCK_FORMAT_QCOW2, false, NULL, NULL, &failure),
		"being written");
}

static void test_compact(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "disk.qcow2"), *raw = folder_file(folder, "disk.raw");
	struct image_info before, after;

	(void)data;
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 disk.qcow2 64M"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-io -f qcow2 -c 'write -P 5 0 2M' -c 'write -P 0 2M 32M' disk.qcow2"),
			==, 0);
	raw_copy(folder, "disk.qcow2", "model.raw");
	g_assert_cmpint(tool(folder, NULL, "qemu-img convert -S 0 -O raw disk.qcow2 disk.raw"), ==, 0);
	CHECKED(image_info(path, &before, &failure));
	image_info_clear(&before);
	CHECKED(image_compact(path, NULL, NULL, &failure));
	CHECKED(image_info(path, &after, &failure));
	image_info_clear(&after);
	g_assert_cmpuint(after.file_size, <, before.file_size - (30 << 20));
	g_assert_cmpuint(after.disk_size, <, 4 << 20);
	assert_clean(folder, "disk.qcow2");
	assert_same(folder, "disk.qcow2", "model.raw");
	CHECKED(image_compact(raw, NULL, NULL, &failure));
	CHECKED(image_info(raw, &after, &failure));
	g_assert_cmpuint(after.disk_size, <, 4 << 20);
	assert_same(folder, "disk.raw", "model.raw");
}

/* --- Opening what is not as it should be --- */

static void poke(const struct folder *folder, const char *name, uint64_t offset, const void *bytes, size_t length)
{
	g_autofree char *path = folder_file(folder, name);
	int fd = open(path, O_WRONLY);

	g_assert_cmpint(pwrite(fd, bytes, length, (off_t)offset), ==, (ssize_t)length);
	close(fd);
}

static void open_refused(const struct folder *folder, const char *name, bool read_only, const char *part)
{
	g_autofree char *path = folder_file(folder, name);

	REFUSED(block_open(&(struct block_options){ .path = path, .read_only = read_only }, &failure), part);
}

static void test_refused(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "disk.qcow2");
	struct block_options raw = { .path = path, .format = BLOCK_FORMAT_RAW };
	struct block *block;
	struct image_check check;

	(void)data;
	/* The header's word, not a key: qemu-img times itself when it makes one, and fails where the host is busy. */
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 luks.qcow2 1M"), ==, 0);
	poke(folder, "luks.qcow2", 35, "\x02", 1);
	open_refused(folder, "luks.qcow2", true, "encrypted (LUKS)");
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 disk.qcow2 1M"), ==, 0);
	poke(folder, "disk.qcow2", 79, "\x04", 1); /* external data file */
	open_refused(folder, "disk.qcow2", true, "does not say in which");
	poke(folder, "disk.qcow2", 78, "\x01\x00", 2); /* bit 8, nameless */
	open_refused(folder, "disk.qcow2", true, "number 8");
	/* The feature name table of QEMU 7.2 begins at 120: its first entry becomes the name of bit 8. */
	poke(folder, "disk.qcow2", 120, "\x00\x08shiny new thing", 18);
	open_refused(folder, "disk.qcow2", true, "shiny new thing");
	poke(folder, "disk.qcow2", 78, "\x00\x02", 2); /* corrupt */
	open_refused(folder, "disk.qcow2", false, "Repair it");
	block = open_image(path, true);
	block_close(block);
	CHECKED(image_check(path, IMAGE_REPAIR_ERRORS, &check, &failure));
	block = open_image(path, false);
	block_close(block);
	block = block_open(&raw, NULL);
	g_assert_nonnull(block);
	g_assert_cmpuint(block_size(block), >, 100 << 10);
	block_close(block);
}

static void test_loops(struct folder *folder, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 a.qcow2 1M"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 -b a.qcow2 -F qcow2 b.qcow2"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-img rebase -u -f qcow2 -b b.qcow2 -F qcow2 a.qcow2"), ==, 0);
	open_refused(folder, "b.qcow2", true, "its own backing image");
	open_refused(folder, "a.qcow2", false, "its own backing image");
	g_assert_cmpint(tool(folder, NULL, "qemu-img rebase -u -f qcow2 -b c.qcow2 -F qcow2 a.qcow2"), ==, 0);
	open_refused(folder, "b.qcow2", true, "c.qcow2");
	g_assert_cmpint(tool(folder, NULL, "qemu-img rebase -u -f qcow2 -b nbd://host/x -F raw a.qcow2"), ==, 0);
	open_refused(folder, "a.qcow2", true, "not a file");
	g_assert_cmpint(tool(folder, NULL, "qemu-img rebase -u -f qcow2 -b b.vmdk -F vmdk a.qcow2"), ==, 0);
	open_refused(folder, "a.qcow2", true, "vmdk");
}

static void test_bitmaps(struct folder *folder, gconstpointer data)
{
	g_autofree char *output = NULL, *after = NULL;
	g_autofree char *path = folder_file(folder, "disk.qcow2");

	(void)data;
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -f qcow2 disk.qcow2 4M"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-img bitmap --add disk.qcow2 backup"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-io -f qcow2 -c 'write -P 1 0 1M' disk.qcow2"), ==, 0);
	block_close(open_image(path, false));
	g_assert_cmpint(tool(folder, &output, "qemu-img info disk.qcow2"), ==, 0);
	g_assert_nonnull(strstr(output, "backup"));
	g_assert_null(strstr(output, "in-use"));
	pattern(folder, "disk.qcow2", 1, 3);
	assert_clean(folder, "disk.qcow2");
	g_assert_cmpint(tool(folder, &after, "qemu-img info disk.qcow2"), ==, 0);
	g_assert_nonnull(strstr(after, "in-use"));
}

/* A session that ended without closing: the next one repairs. */
static void test_crashed(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "disk.qcow2");
	g_autofree uint8_t *buffer = g_malloc0(1 << 20);
	struct image_info info;
	pid_t child;
	int status;

	(void)data;
	CHECKED(image_create(&(struct image_create_options){ .path = path, .size = SIZE }, &failure));
	child = fork();
	if (child == 0) {
		struct block *block = open_image(path, false);

		run(block, BLOCK_WRITE, 0, memset(buffer, 1, 1 << 20), 1 << 20);
		run(block, BLOCK_FLUSH, 0, NULL, 0);
		run(block, BLOCK_WRITE, 2 << 20, memset(buffer, 2, 1 << 20), 1 << 20);
		run(block, BLOCK_DISCARD, 0, NULL, 128 << 10);
		run(block, BLOCK_FLUSH, 0, NULL, 0);
		run(block, BLOCK_WRITE, 3 << 20, buffer, 1 << 20);
		_exit(0);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	CHECKED(image_info(path, &info, &failure));
	g_assert_true(info.dirty);
	image_info_clear(&info);
	g_assert_cmpint(tool(folder, NULL, "qemu-img check -f qcow2 disk.qcow2"), !=, 2);
	block_close(open_image(path, false));
	CHECKED(image_info(path, &info, &failure));
	g_assert_false(info.dirty);
	image_info_clear(&info);
	assert_clean(folder, "disk.qcow2");
	g_assert_cmpint(tool(folder, NULL,
			     "qemu-io -f qcow2 -c 'read -P 1 128k 896k' -c 'read -P 2 2M 1M' disk.qcow2"), ==, 0);
}

/* Refcounts that are lost altogether are found again. */
static void test_rebuild(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "disk.qcow2");
	g_autofree char *zeroes = g_malloc0(65536);
	struct image_check check;

	(void)data;
	CHECKED(image_create(&(struct image_create_options){ .path = path, .size = SIZE }, &failure));
	pattern(folder, "disk.qcow2", 4, 30);
	raw_copy(folder, "disk.qcow2", "model.raw");
	poke(folder, "disk.qcow2", 65536, zeroes, 65536);
	CHECKED(image_check(path, 0, &check, &failure));
	g_assert_cmpuint(check.corruptions, >, 0);
	CHECKED(image_check(path, IMAGE_REPAIR_ERRORS | IMAGE_REPAIR_LEAKS, &check, &failure));
	g_assert_cmpuint(check.corruptions + check.leaks, ==, 0);
	assert_clean(folder, "disk.qcow2");
	assert_same(folder, "disk.qcow2", "model.raw");
	poke(folder, "disk.qcow2", 131072 + 20, zeroes, 40);
	poke(folder, "disk.qcow2", 131072 + 200, "\0\7\0\7", 4);
	CHECKED(image_check(path, IMAGE_REPAIR_ERRORS | IMAGE_REPAIR_LEAKS, &check, &failure));
	assert_clean(folder, "disk.qcow2");
	assert_same(folder, "disk.qcow2", "model.raw");
}

static void add(const char *name, const void *data, void (*test)(struct folder *folder, gconstpointer data))
{
	g_autofree char *path = g_strconcat("/image/", name, NULL);

	g_test_add(path, struct folder, data, folder_set_up, test, folder_tear_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* What is refused is also logged. */
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	add("create", NULL, test_create);
	add("create-refused", NULL, test_create_refused);
	add("resize", "-o compat=1.1", test_resize);
	add("resize-512", "-o cluster_size=512", test_resize);
	add("resize-backed", "-o extended_l2=on -b base.raw -F raw", test_resize);
	add("resize-version-2", "-o compat=0.10 -b base.raw -F raw", test_resize);
	add("snapshots", "-o compat=1.1", test_snapshots);
	add("snapshots-512", "-o cluster_size=512", test_snapshots);
	add("snapshots-2m", "-o cluster_size=2M,refcount_bits=4", test_snapshots);
	add("snapshots-extended", "-o extended_l2=on,cluster_size=16k", test_snapshots);
	add("snapshots-version-2", "-o compat=0.10", test_snapshots);
	add("snapshots-refcount-1", NULL, test_snapshots_refcount_1);
	add("convert", NULL, test_convert);
	add("commit-rebase", "-o compat=1.1", test_commit_rebase);
	add("commit-rebase-512", "-o cluster_size=512", test_commit_rebase);
	add("commit-rebase-extended", "-o extended_l2=on", test_commit_rebase);
	add("commit-rebase-external", "-o data_file=data.raw", test_commit_rebase);
	add("compact", NULL, test_compact);
	add("refused", NULL, test_refused);
	add("loops", NULL, test_loops);
	add("bitmaps", NULL, test_bitmaps);
	add("crashed", NULL, test_crashed);
	add("rebuild", NULL, test_rebuild);
	return g_test_run();
}
