/*
 * libFuzzer: hostile images, to which everything is done that can be done to an image. Nothing may crash, leak, hang,
 * or take much memory. What is said about the image does not matter, but a repair that claims to have succeeded must
 * leave nothing behind.
 */
#include <glib.h>
#include <glib/gstdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../vmm/block/block_driver.h"
#include "../../vmm/block/image.h"
#include "engine.h"

/* Sparse tables can claim a lot of disk; only its beginning and end are used. */
#define WINDOW (64u << 10)
/* Of a disk that is converted, resized or compacted whole. */
#define WHOLE_MAX (256u << 10)
/* In the header. More than 65536 entries are legal, and take a second each time under the sanitizers. */
#define L1_SIZE_AT 36

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Beside the image: what the seeds name as their backing image and their data file. */
static char *folder, *image_path, *target_path, *base_path, *data_path;

static void remove_files(void)
{
	g_remove(image_path);
	g_remove(target_path);
	g_remove(base_path);
	g_remove(data_path);
	g_rmdir(folder);
}

static void fill(const char *path, const void *data, size_t size)
{
	/* Not anew, which g_file_set_contents() does with a rename: that takes longer. */
	FILE *file = g_fopen(path, "we");

	if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static uint8_t contents[32 << 10];

	(void)argc;
	(void)argv;
	fuzz_be_quiet();
	folder = g_dir_make_tmp("oriel-fuzz-XXXXXX", NULL);
	if (!folder)
		abort();
	image_path = g_build_filename(folder, "image", NULL);
	target_path = g_build_filename(folder, "target", NULL);
	base_path = g_build_filename(folder, "base", NULL);
	data_path = g_build_filename(folder, "data", NULL);
	memset(contents, 0xB5, sizeof contents);
	fill(base_path, contents, sizeof contents);
	fill(data_path, contents, sizeof contents);
	atexit(remove_files);
	return 0;
}

/* --- What is done to an image, each to a fresh copy --- */

static void done(struct block_request *request, int error)
{
	(void)request;
	(void)error;
}

static void use(struct block *block, uint64_t offset)
{
	static uint8_t buffer[WINDOW];
	static const enum block_operation operations[] = { BLOCK_READ, BLOCK_WRITE, BLOCK_DISCARD, BLOCK_FLUSH,
							   BLOCK_WRITE_ZEROES, BLOCK_READ, BLOCK_WRITE };
	struct iovec iov = { buffer, MIN(WINDOW, block_size(block) - offset) };

	for (unsigned i = 0; i < G_N_ELEMENTS(operations); i++) {
		struct block_request request = { .operation = operations[i], .offset = offset, .length = iov.iov_len,
						 .iov = &iov, .iov_count = 1, .done = done };

		if (operations[i] == BLOCK_WRITE)
			iov.iov_len = MIN(iov.iov_len, 4096);
		request.length = operations[i] == BLOCK_FLUSH ? 0 : iov.iov_len;
		block_submit(block, &request);
		block_drain(block);
	}
}

static void use_both_ends(struct block *block)
{
	use(block, 0);
	if (block_size(block) > WINDOW)
		use(block, (block_size(block) - WINDOW) & ~511ull);
}

static void look(const char *path)
{
	struct block_options options = { .path = path, .format = BLOCK_FORMAT_QCOW2, .read_only = true };
	struct block *block = block_open(&options, NULL);
	struct image_check check;
	struct image_info info;
	GArray *snapshots = image_snapshot_list(path, NULL);

	if (snapshots)
		g_array_unref(snapshots);
	if (image_info(path, &info, NULL))
		image_info_clear(&info);
	image_check(path, 0, &check, NULL);
	if (!block)
		return;
	use_both_ends(block);
	if (block_snapshot_view(block, "1", NULL))
		use_both_ends(block);
	block_close(block);
}

static void work(const char *path)
{
	struct block_options options = { .path = path, .format = BLOCK_FORMAT_QCOW2 };
	struct block *block = block_open(&options, NULL);

	if (!block)
		return;
	use_both_ends(block);
	block_snapshot_create(block, "fuzz", 0, NULL);
	use(block, 0);
	block_snapshot_apply(block, "1", NULL);
	use(block, 0);
	block_snapshot_delete(block, "1", NULL);
	block_snapshot_delete(block, "fuzz", NULL);
	use(block, 0);
	block_close(block);
}

static void repair(const char *path)
{
	struct image_check check, again;

	image_check(path, IMAGE_REPAIR_LEAKS, &check, NULL);
	if (!image_check(path, IMAGE_REPAIR_LEAKS | IMAGE_REPAIR_ERRORS, &check, NULL) || check.corruptions ||
	    check.leaks)
		return;
	if (!image_check(path, 0, &again, NULL) || again.corruptions || again.leaks)
		g_assert_not_reached();
}

static bool is_small(const char *path)
{
	struct image_info info;
	bool small = image_info(path, &info, NULL);

	if (!small)
		return false;
	small = info.size <= WHOLE_MAX;
	image_info_clear(&info);
	return small;
}

static void reshape(const char *path)
{
	if (!is_small(path))
		return;
	image_resize(path, 96 << 10, true, IMAGE_PREALLOCATION_OFF, NULL, NULL, NULL);
	image_resize(path, 512, true, IMAGE_PREALLOCATION_OFF, NULL, NULL, NULL);
	image_resize(path, WHOLE_MAX, false, IMAGE_PREALLOCATION_METADATA, NULL, NULL, NULL);
	image_compact(path, NULL, NULL, NULL);
}

static void no_extent(const struct image_extent *extent, void *opaque)
{
	(void)extent;
	(void)opaque;
}

static void convert(const char *path)
{
	struct image_convert_options options = { .source = path, .source_format = BLOCK_FORMAT_QCOW2,
						 .target = { .path = target_path, .overwrite = true },
						 .compress = true };

	if (!is_small(path))
		return;
	image_map(path, no_extent, NULL, NULL);
	image_convert(&options, NULL);
	options.snapshot = "1";
	options.compress = false;
	options.target.format = BLOCK_FORMAT_RAW;
	image_convert(&options, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const uses[])(const char *path) = { look, work, repair, reshape, convert };

	if (size > L1_SIZE_AT + 4 && (data[L1_SIZE_AT] || data[L1_SIZE_AT + 1]))
		return 0;
	for (unsigned i = 0; i < G_N_ELEMENTS(uses); i++) {
		fill(image_path, data, size);
		uses[i](image_path);
	}
	return 0;
}

/* --- Mutation that knows what qcow2 consists of: offsets of clusters, with flags --- */

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static const uint64_t flags[] = { 0, 1, 1ull << 63, 1ull << 63 | 1, 1ull << 62, 3ull << 62, 1ull << 55, 511 };
	unsigned cluster_bits, choice = seed % G_N_ELEMENTS(flags);
	uint64_t entry, clusters, position;

	seed /= G_N_ELEMENTS(flags);
	if (size < 512 || seed % 3 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	seed /= 3;
	cluster_bits = CLAMP(data[23], 9, 21);
	clusters = (size >> cluster_bits) + 2;
	entry = GUINT64_TO_BE((seed % clusters) << cluster_bits | flags[choice]);
	position = (seed / clusters * 2654435761u) % (size / 8) * 8;
	memcpy(data + position, &entry, sizeof entry);
	return size;
}
