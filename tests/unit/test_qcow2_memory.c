/* The memory that a large image's metadata takes, when far more of it is used than fits. */
#include "qcow2_fixture.h"

#include "../../vmm/block/qcow2/qcow2.h"

#define DISK_SIZE (2ull << 40)
#define LENGTH 4096u
#define WRITES 2560u
#define READS 16000u
#define BATCH 32u
#define LIMIT (32u << 20)

static size_t private_memory(void)
{
	g_autofree char *text = NULL;
	const char *found;

	g_assert_true(g_file_get_contents("/proc/self/smaps_rollup", &text, NULL, NULL));
	found = strstr(text, "Anonymous:");
	g_assert_nonnull(found);
	return (size_t)g_ascii_strtoull(found + strlen("Anonymous:"), NULL, 10) << 10;
}

static size_t buffers(struct block *block)
{
	return qcow2_buffer_bytes(qcow2_from_block(block)->cache);
}

static uint64_t random_offset(GRand *random)
{
	return (uint64_t)(g_rand_double(random) * (double)(DISK_SIZE / LENGTH)) * LENGTH;
}

/* Several at once, so that pages are in use and changes wait to be written while others are wanted. */
static void go_all_over(struct block *block, enum block_operation operation, unsigned count, GRand *random)
{
	static uint8_t data[LENGTH];
	struct waiting waiting[BATCH];

	for (unsigned at = 0; at < count; at += BATCH) {
		for (unsigned i = 0; i < BATCH; i++) {
			waiting[i] = (struct waiting){ .request = { .operation = operation,
								    .offset = random_offset(random),
								    .length = LENGTH, .iov = waiting[i].iov,
								    .iov_count = 1, .done = request_done },
						       .iov = { { data, LENGTH } } };
			block_submit(block, &waiting[i].request);
		}
		block_drain(block);
		for (unsigned i = 0; i < BATCH; i++)
			g_assert_cmpint(waiting[i].error, ==, 0);
		g_assert_cmpuint(buffers(block), <, LIMIT);
	}
}

static void test_bound(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = folder_file(folder, "disk");
	g_autoptr(GRand) random = g_rand_new_with_seed(1);
	size_t before = private_memory();
	GError *error = NULL;
	struct block *block;

	(void)data;
	g_assert_true(image_create(&(struct image_create_options){ .path = path, .size = DISK_SIZE }, &error));
	g_assert_no_error(error);
	block = open_image(path, false);
	go_all_over(block, BLOCK_WRITE, WRITES, random);
	go_all_over(block, BLOCK_READ, READS, random);
	/* Otherwise this says nothing. */
	g_assert_cmpuint(buffers(block), >, LIMIT / 2);
#ifndef __SANITIZE_ADDRESS__
	g_assert_cmpuint(private_memory() - before, <, LIMIT);
#else
	(void)before; /* the sanitizer takes far more */
#endif
	block_close(block);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/qcow2/memory", struct folder, NULL, folder_set_up, test_bound, folder_tear_down);
	return g_test_run();
}
