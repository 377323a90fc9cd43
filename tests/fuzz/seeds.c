/* Writes small images of all kinds into a folder, for the fuzzer to begin with. */
#include <glib.h>
#include <glib/gstdio.h>

#include "../../vmm/block/image.h"

static void done(struct block_request *request, int error)
{
	(void)request;
	(void)error;
}

static void write_some(const char *path)
{
	static uint8_t buffer[4096];
	struct block *block = block_open(&(struct block_options){ .path = path, .no_io_uring = true }, NULL);
	struct iovec iov = { buffer, sizeof buffer };

	for (uint64_t at = 0; block && at < block_size(block) - sizeof buffer; at += 12288) {
		struct block_request request = { .operation = at % 24576 ? BLOCK_WRITE_ZEROES : BLOCK_WRITE,
						 .offset = at,
						 .length = sizeof buffer, .iov = &iov, .iov_count = 1, .done = done };

		block_submit(block, &request);
		block_drain(block);
	}
	if (block && !block_snapshot_create(block, "seed", 0, NULL))
		g_message("%s without a snapshot", path);
	if (block)
		block_close(block);
}

int main(int argc, char **argv)
{
	static const struct image_create_options kinds[] = {
		{ .size = 64 << 10, .cluster_size = 512 },
		{ .size = 64 << 10, .cluster_size = 512, .version = 2 },
		{ .size = 64 << 10, .cluster_size = 512, .refcount_bits = 1, .lazy_refcounts = true },
		{ .size = 64 << 10, .cluster_size = 1024, .refcount_bits = 64,
		  .compression = IMAGE_COMPRESSION_ZSTD },
		{ .size = 128 << 10, .cluster_size = 16384, .extended_l2 = true },
	};

	if (argc != 2 || g_mkdir_with_parents(argv[1], 0700) < 0)
		return 1;
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autofree char *path = g_strdup_printf("%s/seed-%zu", argv[1], i);
		g_autofree char *packed = g_strdup_printf("%s/packed-%zu", argv[1], i);
		struct image_create_options options = kinds[i];
		struct image_convert_options convert = { .source = path, .target = kinds[i], .compress = true };
		g_autoptr(GError) error = NULL;

		options.path = path;
		options.overwrite = true;
		convert.target.path = packed;
		convert.target.overwrite = true;
		if (!image_create(&options, &error)) {
			g_printerr("%s\n", error->message);
			return 1;
		}
		write_some(path);
		if (!image_convert(&convert, &error)) {
			g_printerr("%s\n", error->message);
			return 1;
		}
	}
	return 0;
}
