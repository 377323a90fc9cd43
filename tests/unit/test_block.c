/* Disk images: every engine and cache mode against a model, QEMU's tools as judges, locks, and trouble. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../vmm/block/block_driver.h"
#include "block_trouble.h"

#define DISK_SIZE (4u << 20)

struct mode {
	const char *name;
	bool threads;
	enum block_cache cache;
	unsigned align; /* pretend that the host's sectors are so large */
};

static const struct mode modes[] = {
	{ "uring-writeback", false, BLOCK_CACHE_WRITEBACK },
	{ "uring-direct", false, BLOCK_CACHE_NONE },
	{ "uring-direct-4k", false, BLOCK_CACHE_NONE, 4096 },
	{ "threads-writeback", true, BLOCK_CACHE_WRITEBACK },
	{ "threads-direct", true, BLOCK_CACHE_NONE },
	{ "threads-direct-4k", true, BLOCK_CACHE_NONE, 4096 },
};

struct fixture {
	char *folder;
	char *path;
};

static void set_up(struct fixture *fixture, gconstpointer data)
{
	int fd;

	(void)data;
	/* Not in /tmp, which may be a tmpfs without O_DIRECT. */
	fixture->folder = g_strdup("block-test-XXXXXX");
	g_assert_nonnull(g_mkdtemp(fixture->folder));
	fixture->path = g_build_filename(fixture->folder, "disk.img", NULL);
	fd = open(fixture->path, O_CREAT | O_RDWR, 0600);
	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(ftruncate(fd, DISK_SIZE), ==, 0);
	close(fd);
}

static void tear_down(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	g_unlink(fixture->path);
	g_rmdir(fixture->folder);
	g_free(fixture->path);
	g_free(fixture->folder);
}

static struct block *open_mode(const char *path, const struct mode *mode)
{
	struct block_options options = { .path = path, .cache = mode->cache, .no_io_uring = mode->threads };
	GError *error = NULL;
	struct block *block = block_open(&options, &error);

	g_assert_no_error(error);
	if (mode->align) {
		struct engine_file *file = block->image; /* begins with it */

		g_assert_cmpint(file->fd, >, 2);
		file->offset_align = mode->align;
		file->memory_align = mode->align;
	}
	return block;
}

static const char *open_error(struct block_options options)
{
	static char message[512];
	g_autoptr(GError) error = NULL;

	g_assert_null(block_open(&options, &error));
	g_assert_nonnull(error);
	g_strlcpy(message, error->message, sizeof message);
	return message;
}

struct waiting {
	struct block_request request;
	struct iovec iov[8];
	int error;
	unsigned done;
};

static void request_done(struct block_request *request, int error)
{
	struct waiting *waiting = (struct waiting *)request;

	waiting->error = error;
	waiting->done++;
}

static void start(struct block *block, struct waiting *waiting, enum block_operation operation, uint64_t offset,
		  void *buffer, uint64_t length)
{
	*waiting = (struct waiting){ .request = { .operation = operation, .offset = offset, .length = length,
						  .iov = waiting->iov, .iov_count = buffer ? 1 : 0,
						  .done = request_done },
				     .iov = { { buffer, length } } };
	block_submit(block, &waiting->request);
}

static int run(struct block *block, enum block_operation operation, uint64_t offset, void *buffer, uint64_t length)
{
	struct waiting waiting;

	start(block, &waiting, operation, offset, buffer, length);
	g_assert_cmpuint(waiting.done, ==, 0);
	block_kick(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	return waiting.error;
}

/* qemu-io's own verdict on the image; command is one -c argument. */
static bool judge(const char *path, bool read_only, const char *command)
{
	const char *arguments[] = { "qemu-io", "-f", "raw", "-c", command, path, read_only ? "-r" : NULL, NULL };
	g_autofree char *output = NULL;
	g_autoptr(GError) error = NULL;
	int status;

	g_assert_true(g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL,
				   NULL, NULL, &output, NULL, &status, &error));
	g_test_message("qemu-io %s: %s", command, output);
	return g_spawn_check_wait_status(status, NULL) && !strstr(output, "failed") && !strstr(output, "error");
}

static void test_judged(struct fixture *fixture, gconstpointer data)
{
	const struct mode *mode = data;
	struct block *block = open_mode(fixture->path, mode);
	g_autofree uint8_t *buffer = g_malloc(1 << 20);

	memset(buffer, 0x5A, 1 << 20);
	g_assert_cmpuint(block_size(block), ==, DISK_SIZE);
	g_assert_cmpint(run(block, BLOCK_WRITE, 512, buffer + 1, 1536), ==, 0);
	g_assert_cmpint(run(block, BLOCK_WRITE, 1 << 20, buffer, 1 << 20), ==, 0);
	g_assert_cmpint(run(block, BLOCK_WRITE_ZEROES, (1 << 20) + 4096, NULL, 8192), ==, 0);
	g_assert_cmpint(run(block, BLOCK_DISCARD, 3 << 20, NULL, 1 << 20), ==, 0);
	g_assert_cmpint(run(block, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
	block_close(block);
	g_assert_true(judge(fixture->path, true, "read -P 0 0 512"));
	g_assert_true(judge(fixture->path, true, "read -P 0x5A 512 1536"));
	g_assert_true(judge(fixture->path, true, "read -P 0 2048 512"));
	g_assert_true(judge(fixture->path, true, "read -P 0 1052672 8192"));
	g_assert_true(judge(fixture->path, true, "read -P 0x5A 1060864 1036288"));
	g_assert_true(judge(fixture->path, false, "write -P 0xC3 7680 5120"));
	block = open_mode(fixture->path, mode);
	g_assert_cmpint(run(block, BLOCK_READ, 7680, buffer + 3, 5120), ==, 0);
	for (unsigned i = 0; i < 5120; i++)
		g_assert_cmphex(buffer[3 + i], ==, 0xC3);
	block_close(block);
}

/* --- Random operations against an array, many in flight, none overlapping --- */

#define SLOTS 16
#define SLOT_SIZE (DISK_SIZE / SLOTS)

struct slot {
	struct waiting waiting;
	uint8_t *buffer;
	bool busy;
};

static void start_random(struct block *block, struct slot *slot, unsigned index, uint8_t *model)
{
	uint64_t offset = (uint64_t)index * SLOT_SIZE + (uint64_t)g_test_rand_int_range(0, SLOT_SIZE / 512) * 512;
	uint64_t end = (uint64_t)(index + 1) * SLOT_SIZE;
	uint64_t sectors = (end - offset) / 512;
	uint64_t most = g_test_rand_bit() ? 16 : 600;
	uint64_t length = 512 * (uint64_t)g_test_rand_int_range(1, (gint32)MIN(sectors, most) + 1);
	unsigned kind = (unsigned)g_test_rand_int_range(0, 8);
	struct waiting *waiting = &slot->waiting;
	uint8_t *buffer = slot->buffer + g_test_rand_int_range(0, 3);
	uint64_t cut = (uint64_t)g_test_rand_int_range(0, (gint32)length);

	*waiting = (struct waiting){ .request = { .offset = offset, .length = length, .iov = waiting->iov, .iov_count = 3,
						  .done = request_done },
				     .iov = { { buffer, cut }, { buffer + cut, 0 }, { buffer + cut, length - cut } } };
	waiting->request.operation = kind < 3 ? BLOCK_READ : kind < 6 ? BLOCK_WRITE : kind == 6 ? BLOCK_WRITE_ZEROES :
				     BLOCK_FLUSH;
	waiting->request.force_unit_access = g_test_rand_int_range(0, 8) == 0;
	if (waiting->request.operation == BLOCK_WRITE) {
		for (uint64_t i = 0; i < length; i++)
			buffer[i] = (uint8_t)g_test_rand_int();
		memcpy(model + offset, buffer, length);
	} else if (waiting->request.operation == BLOCK_WRITE_ZEROES) {
		memset(model + offset, 0, length);
	} else {
		memset(buffer, 0xEE, length);
	}
	slot->busy = true;
	block_submit(block, &waiting->request);
}

static void finish_random(struct slot *slot, const uint8_t *model)
{
	const struct block_request *request = &slot->waiting.request;

	if (!slot->busy || !slot->waiting.done)
		return;
	g_assert_cmpint(slot->waiting.error, ==, 0);
	g_assert_cmpuint(slot->waiting.done, ==, 1);
	if (request->operation == BLOCK_READ) {
		const uint8_t *got = slot->waiting.iov[0].iov_base;

		g_assert_true(memcmp(got, model + request->offset, request->length) == 0);
	}
	slot->busy = false;
}

static void wait_event(struct block *block)
{
	struct pollfd event = { .fd = block_event_fd(block), .events = POLLIN };

	g_assert_cmpint(poll(&event, 1, 20000), ==, 1);
}

static void test_model(struct fixture *fixture, gconstpointer data)
{
	struct block *block = open_mode(fixture->path, data);
	g_autofree uint8_t *model = g_malloc0(DISK_SIZE);
	g_autofree uint8_t *check = g_malloc(DISK_SIZE);
	struct slot slots[SLOTS] = { 0 };
	unsigned started = 0, busy;

	for (unsigned i = 0; i < SLOTS; i++)
		slots[i].buffer = g_malloc(SLOT_SIZE + 16);
	do {
		for (unsigned i = 0; i < SLOTS; i++) {
			if (slots[i].busy || started >= 800)
				continue;
			start_random(block, &slots[i], i, model);
			started++;
		}
		block_kick(block);
		/* What is not there by now must come with an event. */
		if (block_poll(block) == 0) {
			wait_event(block);
			block_poll(block);
		}
		busy = 0;
		for (unsigned i = 0; i < SLOTS; i++) {
			finish_random(&slots[i], model);
			busy += slots[i].busy;
		}
	} while (busy || started < 800);
	g_assert_cmpint(run(block, BLOCK_READ, 0, check, DISK_SIZE), ==, 0);
	g_assert_true(memcmp(check, model, DISK_SIZE) == 0);
	block_close(block);
	for (unsigned i = 0; i < SLOTS; i++)
		g_free(slots[i].buffer);
}

static void test_many_segments(struct fixture *fixture, gconstpointer data)
{
	struct block *block = open_mode(fixture->path, data);
	enum { COUNT = 3000 };
	g_autofree struct iovec *iov = g_new(struct iovec, COUNT);
	g_autofree uint8_t *out = g_malloc(COUNT * 512), *in = g_malloc0(COUNT * 512);
	struct waiting waiting = { .request = { .operation = BLOCK_WRITE, .offset = 512, .length = COUNT * 512,
						.iov = iov, .iov_count = COUNT, .done = request_done } };

	for (unsigned i = 0; i < COUNT; i++) {
		memset(out + i * 512, (int)i, 512);
		iov[i] = (struct iovec){ out + (COUNT - 1 - i) * 512, 512 };
	}
	block_submit(block, &waiting.request);
	block_drain(block);
	g_assert_cmpint(waiting.error, ==, 0);
	g_assert_cmpint(run(block, BLOCK_READ, 512, in, COUNT * 512), ==, 0);
	for (unsigned i = 0; i < COUNT; i++)
		g_assert_true(memcmp(in + i * 512, iov[i].iov_base, 512) == 0);
	block_close(block);
}

/* The promise behind low latency: page cache hits are there after the kick, and wake nobody. */
static void test_inline(struct fixture *fixture, gconstpointer data)
{
	static const struct mode mode = { "", false, BLOCK_CACHE_WRITEBACK };
	struct block *block;
	struct pollfd event = { .events = POLLIN };
	uint8_t buffer[4096];
	struct waiting waiting;

	(void)data;
	g_assert_true(g_file_set_contents(fixture->path, (char *)memset(buffer, 0x11, 4096), 4096, NULL));
	block = open_mode(fixture->path, &mode);
	event.fd = block_event_fd(block);
	run(block, BLOCK_READ, 0, buffer, 4096);
	g_assert_cmpint(poll(&event, 1, 0), ==, 0);
	start(block, &waiting, BLOCK_READ, 0, buffer, 4096);
	block_kick(block);
	g_assert_cmpuint(block_poll(block), ==, 1);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(poll(&event, 1, 50), ==, 0);
	block_close(block);
}

/* Sectors that share one of the host's blocks, written at once: none may undo another. */
static void test_neighbours(struct fixture *fixture, gconstpointer data)
{
	struct block *block = open_mode(fixture->path, data);
	uint8_t sectors[64][512], check[512];
	struct waiting waiting[64];

	for (unsigned i = 0; i < 64; i++) {
		memset(sectors[i], 0x80 + (int)i, 512);
		start(block, &waiting[i], i % 8 == 5 ? BLOCK_WRITE_ZEROES : BLOCK_WRITE, i * 512,
		      i % 8 == 5 ? NULL : sectors[i], 512);
	}
	block_kick(block);
	block_drain(block);
	for (unsigned i = 0; i < 64; i++) {
		g_assert_cmpint(waiting[i].error, ==, 0);
		g_assert_cmpint(run(block, BLOCK_READ, i * 512, check, 512), ==, 0);
		g_assert_cmphex(check[0], ==, i % 8 == 5 ? 0 : 0x80 + i);
		g_assert_cmphex(check[511], ==, i % 8 == 5 ? 0 : 0x80 + i);
	}
	block_close(block);
}

#define ORPHANS 24

struct orphans {
	struct block *block;
	struct waiting waiting[ORPHANS];
	uint8_t *buffer;
};

static gpointer submit_and_end(gpointer data)
{
	struct orphans *orphans = data;

	for (unsigned i = 0; i < ORPHANS; i++)
		start(orphans->block, &orphans->waiting[i], BLOCK_WRITE, i * (128u << 10), orphans->buffer, 128 << 10);
	block_kick(orphans->block);
	return NULL;
}

/* A host may cancel what a thread has submitted when it ends; that is no business of the guest's. */
static void test_submitter_ends(struct fixture *fixture, gconstpointer data)
{
	struct orphans *orphans = g_new0(struct orphans, 1);

	orphans->block = open_mode(fixture->path, data);
	orphans->buffer = aligned_alloc(4096, 128 << 10);
	memset(orphans->buffer, 0x66, 128 << 10);
	g_thread_join(g_thread_new("submitter", submit_and_end, orphans));
	block_drain(orphans->block);
	for (unsigned i = 0; i < ORPHANS; i++) {
		g_assert_cmpuint(orphans->waiting[i].done, ==, 1);
		g_assert_cmpint(orphans->waiting[i].error, ==, 0);
	}
	block_close(orphans->block);
	g_assert_true(judge(fixture->path, true, "read -P 0x66 0 3145728"));
	free(orphans->buffer);
	g_free(orphans);
}

/* Nothing, a part, or all of what is read is in the page cache. */
static void test_cold(struct fixture *fixture, gconstpointer data)
{
	enum { LENGTH = 256 << 10 };
	struct block *block = open_mode(fixture->path, data);
	g_autofree uint8_t *pattern = g_malloc(LENGTH), *found = g_malloc(LENGTH);
	int fd = open(fixture->path, O_RDONLY);

	for (unsigned i = 0; i < LENGTH; i++)
		pattern[i] = (uint8_t)(i * 7 + (i >> 12));
	g_assert_cmpint(run(block, BLOCK_WRITE, LENGTH, pattern, LENGTH), ==, 0);
	for (uint64_t warm = 0; warm <= LENGTH; warm += LENGTH / 4) {
		g_assert_cmpint(run(block, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
		g_assert_cmpint(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), ==, 0);
		/* Random access: the host reads no more than it is asked for. */
		g_assert_cmpint(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), ==, 0);
		g_assert_cmpint(pread(fd, found, warm, LENGTH), ==, warm);
		memset(found, 0, LENGTH);
		g_assert_cmpint(run(block, BLOCK_READ, LENGTH, found, LENGTH), ==, 0);
		g_assert_cmpmem(found, LENGTH, pattern, LENGTH);
	}
	close(fd);
	block_close(block);
}

static void test_bad_requests(struct fixture *fixture, gconstpointer data)
{
	struct block_options options = { .path = fixture->path, .read_only = true };
	uint8_t buffer[1024];
	struct block *block = block_open(&options, NULL);
	struct waiting waiting;

	(void)data;
	g_assert_cmpint(run(block, BLOCK_WRITE, 0, buffer, 512), ==, EROFS);
	g_assert_cmpint(run(block, BLOCK_DISCARD, 0, NULL, 512), ==, EROFS);
	g_assert_cmpint(run(block, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
	g_assert_cmpint(run(block, BLOCK_READ, DISK_SIZE, buffer, 512), ==, EINVAL);
	g_assert_cmpint(run(block, BLOCK_READ, UINT64_MAX - 511, buffer, 1024), ==, EINVAL);
	g_assert_cmpint(run(block, BLOCK_READ, 100, buffer, 512), ==, EINVAL);
	g_assert_cmpint(run(block, BLOCK_READ, DISK_SIZE - 512, buffer, 512), ==, 0);
	g_assert_cmpint(run(block, BLOCK_READ, 0, buffer, 0), ==, 0);
	start(block, &waiting, BLOCK_READ, 0, buffer, 1024);
	g_assert_cmpuint(waiting.done, ==, 0);
	block_drain(block);
	waiting.request.length = 512;
	block_submit(block, &waiting.request);
	block_drain(block);
	g_assert_cmpint(waiting.error, ==, EINVAL);
	g_assert_cmpuint(block_statistics(block)->by_operation[BLOCK_WRITE].errors, ==, 1);
	block_close(block);
}

static void test_statistics(struct fixture *fixture, gconstpointer data)
{
	struct block *block = open_mode(fixture->path, &modes[0]);
	const struct block_statistics *statistics = block_statistics(block);
	uint8_t buffer[2048] = { 0 };
	uint64_t buckets = 0;

	(void)data;
	run(block, BLOCK_WRITE, 0, buffer, 1024);
	run(block, BLOCK_READ, 0, buffer, 2048);
	run(block, BLOCK_READ, 0, buffer, 512);
	run(block, BLOCK_FLUSH, 0, NULL, 0);
	g_assert_cmpuint(statistics->by_operation[BLOCK_READ].operations, ==, 2);
	g_assert_cmpuint(statistics->by_operation[BLOCK_READ].bytes, ==, 2560);
	g_assert_cmpuint(statistics->by_operation[BLOCK_WRITE].bytes, ==, 1024);
	g_assert_cmpuint(statistics->by_operation[BLOCK_FLUSH].operations, ==, 1);
	g_assert_cmpuint(statistics->by_operation[BLOCK_READ].latency_total, >, 0);
	for (unsigned i = 0; i < BLOCK_LATENCY_BUCKETS; i++)
		buckets += statistics->by_operation[BLOCK_READ].latency[i];
	g_assert_cmpuint(buckets, ==, 2);
	block_close(block);
}

/* --- Opening --- */

static void test_open_messages(struct fixture *fixture, gconstpointer data)
{
	g_autofree char *missing = g_build_filename(fixture->folder, "missing.img", NULL);
	g_autofree char *fifo = g_build_filename(fixture->folder, "fifo", NULL);

	(void)data;
	g_assert_nonnull(strstr(open_error((struct block_options){ .path = missing }), "No such file"));
	g_assert_nonnull(strstr(open_error((struct block_options){ .path = fixture->folder }), "is a folder"));
	g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
	g_assert_nonnull(strstr(open_error((struct block_options){ .path = fifo }), "neither a regular file"));
	g_assert_nonnull(strstr(open_error((struct block_options){ .path = fifo, .read_only = true }), "neither"));
	g_unlink(fifo);
	g_assert_cmpint(truncate(fixture->path, 0), ==, 0);
	g_assert_nonnull(strstr(open_error((struct block_options){ .path = fixture->path }), "is empty"));
	g_assert_nonnull(strstr(open_error((struct block_options){ .path = fixture->path, .optical = true,
								   .read_only = true }), "disc image"));
}

static void test_permission(struct fixture *fixture, gconstpointer data)
{
	(void)data;
	if (geteuid() == 0) {
		/* Root may do everything but write to what is mounted read-only or immutable: ask for the latter. */
		g_autofree char *set = g_strdup_printf("chattr +i %s", fixture->path);
		g_autofree char *clear = g_strdup_printf("chattr -i %s", fixture->path);
		const char *message;

		if (!g_spawn_command_line_sync(set, NULL, NULL, NULL, NULL) || access(fixture->path, W_OK) == 0) {
			g_test_skip("root may write everything here");
			return;
		}
		message = open_error((struct block_options){ .path = fixture->path });
		g_spawn_command_line_sync(clear, NULL, NULL, NULL, NULL);
		g_assert_nonnull(strstr(message, "write permission"));
	} else {
		g_chmod(fixture->path, 0400);
		g_assert_nonnull(strstr(open_error((struct block_options){ .path = fixture->path }),
					"write permission"));
	}
}

static void test_odd_size(struct fixture *fixture, gconstpointer data)
{
	struct block *block;
	uint8_t buffer[2048];
	struct block_options options = { .path = fixture->path, .read_only = true, .optical = true };

	(void)data;
	g_assert_true(g_file_set_contents(fixture->path, "only these", 10, NULL));
	block = block_open(&options, NULL);
	g_assert_nonnull(block);
	g_assert_cmpuint(block_size(block), ==, 2048);
	memset(buffer, 0xFF, sizeof buffer);
	g_assert_cmpint(run(block, BLOCK_READ, 0, buffer, 2048), ==, 0);
	g_assert_true(memcmp(buffer, "only these", 10) == 0);
	for (unsigned i = 10; i < 2048; i++)
		g_assert_cmphex(buffer[i], ==, 0);
	block_close(block);
}

static bool can_convert(const char *path)
{
	g_autofree char *copy = g_strconcat(path, ".copy", NULL);
	const char *arguments[] = { "qemu-img", "convert", "-f", "raw", "-O", "raw", path, copy, NULL };
	int status;

	g_assert_true(g_spawn_sync(NULL, (char **)arguments, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL |
				   G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, NULL, NULL, &status, NULL));
	g_unlink(copy);
	return g_spawn_check_wait_status(status, NULL);
}

static void test_lock(struct fixture *fixture, gconstpointer data)
{
	struct block_options writable = { .path = fixture->path };
	struct block_options shared = { .path = fixture->path, .read_only = true };
	struct block *first = block_open(&writable, NULL), *second;

	(void)data;
	g_assert_nonnull(first);
	g_assert_nonnull(strstr(open_error(writable), "another program"));
	g_assert_nonnull(strstr(open_error(shared), "another program"));
	g_assert_false(judge(fixture->path, false, "read 0 512"));
	g_assert_false(can_convert(fixture->path));
	block_close(first);
	g_assert_true(can_convert(fixture->path));
	g_assert_true(judge(fixture->path, false, "read 0 512"));
	first = block_open(&shared, NULL);
	second = block_open(&shared, NULL);
	g_assert_nonnull(first);
	g_assert_nonnull(second);
	g_assert_true(judge(fixture->path, true, "read 0 512"));
	g_assert_false(judge(fixture->path, false, "write 0 512"));
	g_assert_nonnull(strstr(open_error(writable), "another program"));
	block_close(first);
	block_close(second);
}

/* The other direction: qemu-io sits on the image, waiting for a command. */
static void test_lock_held_by_qemu(struct fixture *fixture, gconstpointer data)
{
	char *arguments[] = { (char *)"qemu-io", (char *)"-f", (char *)"raw", fixture->path, NULL };
	struct block_options writable = { .path = fixture->path };
	GPid pid;
	int in, out, status;
	char byte;
	struct block *block;

	(void)data;
	g_assert_true(g_spawn_async_with_pipes(NULL, arguments, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
					       NULL, NULL, &pid, &in, &out, NULL, NULL));
	/* Its prompt comes once the image is open. */
	g_assert_cmpint(read(out, &byte, 1), ==, 1);
	g_assert_nonnull(strstr(open_error(writable), "another program"));
	close(in);
	while (read(out, &byte, 1) > 0)
		;
	close(out);
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	block = block_open(&writable, NULL);
	g_assert_nonnull(block);
	block_close(block);
}

/* --- Trouble --- */

static void test_shrunk(struct fixture *fixture, gconstpointer data)
{
	struct block *block = open_mode(fixture->path, data);
	struct trouble trouble = { 0 };
	uint8_t buffer[4096];
	struct waiting waiting;

	block_set_trouble_handler(block, on_trouble, &trouble);
	g_assert_cmpint(truncate(fixture->path, 1 << 20), ==, 0);
	start(block, &waiting, BLOCK_READ, 2 << 20, buffer, 4096);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 0);
	g_assert_cmpint(trouble.error, ==, ENODATA);
	g_assert_nonnull(strstr(trouble.message, "shorter"));
	block_retry(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 0);
	g_assert_cmpuint(trouble.count, ==, 2);
	g_assert_cmpint(truncate(fixture->path, DISK_SIZE), ==, 0);
	block_retry(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(waiting.error, ==, 0);
	g_assert_cmpuint(trouble.count, ==, 2);
	g_free(trouble.message);
	block_close(block);
}

static void test_deleted(struct fixture *fixture, gconstpointer data)
{
	struct block *block = open_mode(fixture->path, data);
	g_autofree uint8_t *contents = g_malloc(DISK_SIZE);
	struct trouble trouble = { 0 };
	struct waiting waiting;
	uint8_t buffer[512];

	memset(contents, 0x77, DISK_SIZE);
	g_assert_cmpint(run(block, BLOCK_WRITE, 0, contents, DISK_SIZE), ==, 0);
	block_set_trouble_handler(block, on_trouble, &trouble);
	g_unlink(fixture->path);
	/* Looked for once a second; an attempt after trouble looks at once. */
	start(block, &waiting, BLOCK_WRITE, 0, memset(buffer, 0x42, 512), 512);
	block_drain(block);
	while (!trouble.count) {
		g_assert_cmpint(run(block, BLOCK_READ, 512, buffer, 512), ==, 0);
		g_usleep(50000);
		start(block, &waiting, BLOCK_WRITE, 0, memset(buffer, 0x42, 512), 512);
		block_drain(block);
	}
	g_assert_cmpint(trouble.error, ==, ENOENT);
	g_assert_cmpuint(waiting.done, ==, 0);
	g_assert_nonnull(strstr(trouble.message, "deleted"));
	g_assert_true(g_file_set_contents(fixture->path, (char *)contents, DISK_SIZE, NULL));
	block_retry(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(waiting.error, ==, 0);
	block_close(block);
	g_assert_true(judge(fixture->path, true, "read -P 0x42 0 512"));
	g_assert_true(judge(fixture->path, true, "read -P 0x77 512 4096"));
	g_free(trouble.message);
}

static void test_failed_by_user(struct fixture *fixture, gconstpointer data)
{
	struct block *block = open_mode(fixture->path, data);
	struct trouble trouble = { 0 };
	struct waiting waiting;
	uint8_t buffer[512];

	block_set_trouble_handler(block, on_trouble, &trouble);
	g_assert_cmpint(truncate(fixture->path, 4096), ==, 0);
	start(block, &waiting, BLOCK_READ, 1 << 20, buffer, 512);
	block_drain(block);
	g_assert_cmpuint(trouble.count, ==, 1);
	g_assert_cmpuint(waiting.done, ==, 0);
	block_fail(block);
	g_assert_cmpuint(waiting.done, ==, 0);
	g_assert_cmpuint(block_poll(block), ==, 1);
	g_assert_cmpint(waiting.error, ==, ENODATA);
	block_close(block);
	g_free(trouble.message);
}

/* Cancelled is not answered: the next request finds the file as gone as it was. */
static void test_cancelled(struct fixture *fixture, gconstpointer data)
{
	struct block *block = open_mode(fixture->path, data);
	struct trouble trouble = { 0 };
	struct waiting waiting;
	uint8_t buffer[512] = { 0 };

	block_set_trouble_handler(block, on_trouble, &trouble);
	g_unlink(fixture->path);
	start(block, &waiting, BLOCK_WRITE, 0, buffer, sizeof buffer);
	block_drain(block);
	g_assert_cmpuint(trouble.count, ==, 1);
	block_cancel(block);
	g_assert_cmpuint(block_poll(block), ==, 1);
	g_assert_cmpint(waiting.error, ==, ENOENT);
	/* Looked for once a second. */
	for (unsigned i = 0; i < 100 && trouble.count == 1; i++) {
		g_usleep(50000);
		start(block, &waiting, BLOCK_WRITE, 0, buffer, sizeof buffer);
		block_drain(block);
	}
	g_assert_cmpuint(trouble.count, ==, 2);
	block_cancel(block);
	block_drain(block);
	block_close(block);
	g_free(trouble.message);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		g_test_message("%s: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool small_mount(const char *folder)
{
	uid_t user = geteuid();
	gid_t group = getegid();
	g_autofree char *users = g_strdup_printf("0 %u 1", user), *groups = g_strdup_printf("0 %u 1", group);

	if (user != 0) {
		if (unshare(CLONE_NEWUSER) < 0)
			return false;
		write_file("/proc/self/setgroups", "deny");
		write_file("/proc/self/uid_map", users);
		write_file("/proc/self/gid_map", groups);
	}
	return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("none", folder, "tmpfs", 0, "size=1m") == 0;
}

/* In a process of its own, because of the mount. */
static void test_disk_full(struct fixture *fixture, gconstpointer data)
{
	struct trouble trouble = { 0 };
	struct waiting waiting, other;
	g_autofree char *filler = g_build_filename(fixture->folder, "filler", NULL);
	g_autofree uint8_t *buffer = g_malloc(1 << 20);
	struct block *block;

	if (!g_test_subprocess()) {
		g_test_trap_subprocess(g_test_get_path(), 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
		if (g_test_trap_has_passed())
			return;
		g_test_trap_assert_stdout("*SKIP*");
		g_test_skip("mounting a small tmpfs is not permitted here");
		return;
	}
	if (!small_mount(fixture->folder)) {
		g_print("SKIP\n");
		exit(1);
	}
	g_assert_true(g_file_set_contents(filler, (char *)memset(buffer, 1, 600 << 10), 600 << 10, NULL));
	close(open(fixture->path, O_CREAT | O_RDWR, 0600));
	g_assert_cmpint(truncate(fixture->path, DISK_SIZE), ==, 0);
	block = open_mode(fixture->path, data);
	block_set_trouble_handler(block, on_trouble, &trouble);
	start(block, &waiting, BLOCK_WRITE, 0, memset(buffer, 0x33, 800 << 10), 800 << 10);
	start(block, &other, BLOCK_READ, 2 << 20, buffer + (900 << 10), 4096);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 0);
	g_assert_cmpuint(other.done, ==, 1);
	g_assert_cmpint(trouble.error, ==, ENOSPC);
	g_assert_nonnull(strstr(trouble.message, "full"));
	g_unlink(filler);
	block_retry(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(waiting.error, ==, 0);
	block_close(block);
	g_assert_true(judge(fixture->path, true, "read -P 0x33 0 819200"));
	umount(fixture->folder);
	tear_down(fixture, data);
	exit(0);
}

typedef void (*test_function)(struct fixture *fixture, gconstpointer data);

static void add(const char *name, const struct mode *mode, test_function function)
{
	g_autofree char *path = mode ? g_strdup_printf("/block/%s/%s", name, mode->name) :
				g_strdup_printf("/block/%s", name);

	g_test_add(path, struct fixture, mode, set_up, function, tear_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		add("judged", &modes[i], test_judged);
		add("model", &modes[i], test_model);
		add("many-segments", &modes[i], test_many_segments);
		add("cold", &modes[i], test_cold);
		add("shrunk", &modes[i], test_shrunk);
		add("neighbours", &modes[i], test_neighbours);
		add("submitter-ends", &modes[i], test_submitter_ends);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(modes); i++) {
		if (modes[i].cache != BLOCK_CACHE_WRITEBACK)
			continue;
		add("deleted", &modes[i], test_deleted);
		add("failed-by-user", &modes[i], test_failed_by_user);
		add("cancelled", &modes[i], test_cancelled);
		add("disk-full", &modes[i], test_disk_full);
	}
	add("inline", NULL, test_inline);
	add("bad-requests", NULL, test_bad_requests);
	add("statistics", NULL, test_statistics);
	add("open-messages", NULL, test_open_messages);
	add("permission", NULL, test_permission);
	add("odd-size", NULL, test_odd_size);
	add("lock", NULL, test_lock);
	add("lock-held-by-qemu", NULL, test_lock_held_by_qemu);
	return g_test_run();
}
