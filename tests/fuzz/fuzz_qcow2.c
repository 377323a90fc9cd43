/*
 * libFuzzer: a hostile image is looked at, checked, read, written, repaired and snapshotted. Nothing may crash, leak,
 * hang, or take much memory; what is said about the image does not matter.
 */
#include <glib.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../vmm/block/block_driver.h"
#include "../../vmm/block/image.h"

/* Sparse tables can claim a lot of disk; only its beginning and end are used. */
#define WINDOW (256u << 10)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static GLogWriterOutput quiet(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer data)
{
	(void)level;
	(void)fields;
	(void)count;
	(void)data;
	return G_LOG_WRITER_HANDLED;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	g_log_set_writer_func(quiet, NULL, NULL);
	return 0;
}

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

static void open_and_use(const char *path, bool read_only)
{
	struct block_options options = { .path = path, .format = BLOCK_FORMAT_QCOW2, .read_only = read_only,
					 .no_io_uring = true };
	struct block *block = block_open(&options, NULL);

	if (!block)
		return;
	use(block, 0);
	use(block, block_size(block) > WINDOW ? (block_size(block) - WINDOW) & ~511ull : 0);
	if (!read_only) {
		block_snapshot_create(block, "fuzz", 0, NULL);
		use(block, 0);
		block_snapshot_apply(block, "1", NULL);
		block_snapshot_delete(block, "fuzz", NULL);
	}
	block_close(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
	struct image_check check;
	struct image_info info;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	if (image_info(path, &info, NULL))
		image_info_clear(&info);
	image_check(path, 0, &check, NULL);
	open_and_use(path, true);
	open_and_use(path, false);
	image_check(path, IMAGE_REPAIR_LEAKS | IMAGE_REPAIR_ERRORS, &check, NULL);
	close(fd);
	return 0;
}
