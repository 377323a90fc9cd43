/*
 * The engine on a host that this test plays: steps are answered when, and in which order, the test says. What threads
 * and kernels do to each other once in a thousand runs happens here each time.
 */
#include <errno.h>
#include <string.h>

#include "../../vmm/block/block_driver.h"

#define FILE_LENGTH 10240u /* not a multiple of 4 KiB */
#define ALIGNMENT 4096u

struct host {
	struct engine engine;
	struct engine_file file;
	GQueue steps; /* struct engine_io *, as they came */
	int error;    /* of the request that ended last */
	unsigned ended;
};

static void host_start(struct engine *engine, struct engine_io *io)
{
	struct host *host = (struct host *)engine;

	g_queue_push_tail(&host->steps, io);
}

static void host_nothing(struct engine *engine)
{
	(void)engine;
}

static void host_reap(struct engine *engine, bool wait)
{
	(void)engine;
	(void)wait;
}

static void ended(struct engine_io *io, int error)
{
	struct host *host = io->opaque;

	host->error = error;
	host->ended++;
}

static const struct engine_backend backend = {
	.name = "test", .start = host_start, .kick = host_nothing, .reap = host_reap,
};

static void set_up(struct host *host, gconstpointer direct)
{
	*host = (struct host){
		.engine = { .backend = &backend, .held_tail = &host->engine.held, .inline_budget = 1 << 20 },
		.file = { .length = FILE_LENGTH, .slot = -1, .direct = direct != NULL, .memory_align = ALIGNMENT,
			  .offset_align = ALIGNMENT },
	};
	g_queue_init(&host->steps);
}

static void tear_down(struct host *host, gconstpointer direct)
{
	(void)direct;
	g_assert_true(engine_idle(&host->engine));
	g_assert_true(g_queue_is_empty(&host->steps));
}

static void submit(struct host *host, struct engine_io *io, enum block_operation operation, uint64_t offset,
		   struct iovec *buffer)
{
	*io = (struct engine_io){ .operation = operation, .file = &host->file, .offset = offset,
				  .length = buffer->iov_len, .iov = buffer, .iov_count = 1, .done = ended,
				  .opaque = host };
	engine_submit(&host->engine, io);
	engine_kick(&host->engine);
}

/* The host's answer to the step that io waits for; what it read is filled with a pattern. */
static void answer(struct host *host, struct engine_io *io, int result)
{
	size_t left = result > 0 ? (size_t)result : 0;

	g_assert_true(g_queue_remove(&host->steps, io));
	for (unsigned i = 0; i < io->step.iov_count && io->step.kind == ENGINE_READ; i++) {
		size_t count = MIN(left, io->step.iov[i].iov_len);

		memset(io->step.iov[i].iov_base, 0xA5, count);
		left -= count;
	}
	engine_step_done(&host->engine, io, result);
}

static void check_pattern(const uint8_t *buffer, size_t filled, size_t length)
{
	for (size_t i = 0; i < length; i++)
		g_assert_cmpuint(buffer[i], ==, i < filled ? 0xA5 : 0);
}

/* A write made the file longer after a read had found its end, and was heard of first. */
static void test_overtaken(struct host *host, gconstpointer direct)
{
	g_autofree uint8_t *buffer = NULL;
	struct iovec read_to, write_from;
	struct engine_io reader, writer;

	(void)direct;
	buffer = aligned_alloc(ALIGNMENT, 4 * ALIGNMENT);
	memset(buffer, 0, 4 * ALIGNMENT);
	read_to = (struct iovec){ buffer, 2 * ALIGNMENT };
	write_from = (struct iovec){ buffer + 2 * ALIGNMENT, ALIGNMENT };
	submit(host, &reader, BLOCK_READ, 2 * ALIGNMENT, &read_to);
	submit(host, &writer, BLOCK_WRITE, 4 * ALIGNMENT, &write_from);
	answer(host, &writer, ALIGNMENT);
	g_assert_cmpuint(host->ended, ==, 1);
	answer(host, &reader, FILE_LENGTH - 2 * ALIGNMENT);
	g_assert_cmpuint(host->ended, ==, 1);
	/* From the end that was, or with direct I/O from the block that it lies in. */
	answer(host, &reader, (int)reader.step.iov[0].iov_len);
	g_assert_cmpuint(host->ended, ==, 2);
	g_assert_cmpint(host->error, ==, 0);
	check_pattern(buffer, 2 * ALIGNMENT, 2 * ALIGNMENT);
}

/* The same with nothing read at all. */
static void test_overtaken_beyond(struct host *host, gconstpointer direct)
{
	g_autofree uint8_t *buffer = aligned_alloc(ALIGNMENT, 2 * ALIGNMENT);
	struct iovec read_to = { buffer, ALIGNMENT }, write_from = { buffer + ALIGNMENT, ALIGNMENT };
	struct engine_io reader, writer;

	(void)direct;
	memset(buffer, 0, 2 * ALIGNMENT);
	submit(host, &reader, BLOCK_READ, 4 * ALIGNMENT, &read_to);
	submit(host, &writer, BLOCK_WRITE, 8 * ALIGNMENT, &write_from);
	answer(host, &writer, ALIGNMENT);
	answer(host, &reader, 0);
	g_assert_cmpuint(host->ended, ==, 1);
	answer(host, &reader, ALIGNMENT);
	g_assert_cmpint(host->error, ==, 0);
	check_pattern(buffer, ALIGNMENT, ALIGNMENT);
}

/* Nobody made it longer and the end is too early: somebody cut it. Once more and for ever would hang. */
static void test_cut(struct host *host, gconstpointer direct)
{
	g_autofree uint8_t *buffer = aligned_alloc(ALIGNMENT, ALIGNMENT);
	struct iovec read_to = { buffer, ALIGNMENT }, write_from = { buffer, ALIGNMENT };
	struct engine_io reader, writer;

	(void)direct;
	submit(host, &reader, BLOCK_READ, ALIGNMENT, &read_to);
	submit(host, &writer, BLOCK_WRITE, 8 * ALIGNMENT, &write_from);
	answer(host, &writer, ALIGNMENT);
	answer(host, &reader, 0);
	g_assert_cmpuint(host->ended, ==, 1);
	answer(host, &reader, 0);
	g_assert_cmpuint(host->ended, ==, 2);
	g_assert_cmpint(host->error, ==, ENODATA);
}

/* The end of a file that is no multiple of the sector reads as zeroes, also after a hole was punched over it. */
static void test_punched_end(struct host *host, gconstpointer direct)
{
	g_autofree uint8_t *buffer = aligned_alloc(ALIGNMENT, ALIGNMENT);
	struct iovec whole = { buffer, ALIGNMENT };
	struct engine_io io;

	(void)direct;
	memset(buffer, 0xEE, ALIGNMENT);
	submit(host, &io, BLOCK_WRITE_ZEROES, 2 * ALIGNMENT, &whole);
	g_assert_cmpint(io.step.kind, ==, ENGINE_PUNCH);
	answer(host, &io, 0);
	g_assert_cmpint(host->error, ==, 0);
	g_assert_cmpuint(host->file.length, ==, FILE_LENGTH);
	submit(host, &io, BLOCK_READ, 2 * ALIGNMENT, &whole);
	answer(host, &io, FILE_LENGTH % ALIGNMENT);
	g_assert_cmpuint(host->ended, ==, 2);
	g_assert_cmpint(host->error, ==, 0);
	check_pattern(buffer, FILE_LENGTH % ALIGNMENT, ALIGNMENT);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct host *host, gconstpointer direct);
	} tests[] = {
		{ "overtaken", test_overtaken },
		{ "overtaken-beyond", test_overtaken_beyond },
		{ "cut", test_cut },
		{ "punched-end", test_punched_end },
	};

	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(tests); i++) {
		g_autofree char *buffered = g_strdup_printf("/engine/buffered/%s", tests[i].name);
		g_autofree char *direct = g_strdup_printf("/engine/direct/%s", tests[i].name);

		g_test_add(buffered, struct host, NULL, set_up, tests[i].run, tear_down);
		g_test_add(direct, struct host, "direct", set_up, tests[i].run, tear_down);
	}
	return g_test_run();
}
