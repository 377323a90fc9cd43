/*
 * Disk images beside `qemu-img bench`, and beside io_uring on a raw file with nothing in between, which is the limit:
 * the same pattern, depth, size and cache mode. Each row is measured in turns, one right after the other, and the
 * ratios are medians of the turns' own.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../vmm/block/image.h"

#define MEBIBYTE (1ull << 20)
#define SIZE (128 * MEBIBYTE)
#define CLUSTER 65536ull
#define TURNS_MAX 100
#define LARGE (2ull << 40)
#define LARGE_TABLE (512 * MEBIBYTE) /* what one L2 table maps */
#define LARGE_READS 40000u

enum layout { ALLOCATED, UNALLOCATED, CHAIN_1, CHAIN_3, LAYOUTS };

static const char *const layout_names[LAYOUTS] = { "allocated", "unallocated", "chain of 1", "chain of 3" };

static const struct kind {
	const char *name;
	bool write;
	uint64_t length;
	uint64_t step;       /* from one request to the next, around the disk */
	uint64_t fresh_step; /* likewise, never the same cluster twice */
	unsigned count[2];   /* with allocated clusters, and otherwise */
} kinds[] = {
	{ "4 KiB random read", false, 4096, 4096 * 10007, 4096 * 10007, { 60000, 60000 } },
	{ "4 KiB random write", true, 4096, 4096 * 10007, CLUSTER * 15, { 6000, 2000 } },
	{ "1 MiB sequential read", false, MEBIBYTE, MEBIBYTE, MEBIBYTE, { 1000, 1000 } },
	{ "1 MiB sequential write", true, MEBIBYTE, MEBIBYTE, MEBIBYTE, { 4 * SIZE / MEBIBYTE, SIZE / MEBIBYTE } },
};

struct row {
	const struct kind *kind;
	enum layout layout;
	unsigned depth, count;
	uint64_t step;
};

struct settings {
	char *folder;
	int turns;
	char *only;  /* rows with that in their name */
	bool direct; /* cache mode none */
	uint8_t *memory; /* one for all requests, as in qemu-img bench: what the processor caches must be the same */
};

static double seconds_since(gint64 start)
{
	return (double)(g_get_monotonic_time() - start) / 1e6;
}

static uint64_t next_offset(const struct row *row, uint64_t *offset)
{
	uint64_t now = *offset;

	*offset = (now + row->step) % SIZE;
	return now;
}

/* --- The block layer --- */

struct job {
	struct block_request request;
	struct iovec iov;
	struct bench *bench;
};

struct bench {
	struct block *block;
	const struct row *row;
	uint64_t offset;
	unsigned started;
};

static void submit(struct job *job)
{
	struct bench *bench = job->bench;

	if (bench->started == bench->row->count)
		return;
	bench->started++;
	job->request.offset = next_offset(bench->row, &bench->offset);
	block_submit(bench->block, &job->request);
}

static void done(struct block_request *request, int error)
{
	if (error)
		g_error("%s", g_strerror(error));
	submit((struct job *)request);
}

static struct block *open_image(const struct settings *settings, const char *path, enum block_format format)
{
	g_autoptr(GError) error = NULL;
	struct block_options options = { .path = path, .format = format,
					 .cache = settings->direct ? BLOCK_CACHE_NONE : BLOCK_CACHE_WRITEBACK };
	struct block *block = block_open(&options, &error);

	if (!block)
		g_error("%s", error->message);
	return block;
}

static double run_block(const struct settings *settings, const char *path, enum block_format format,
			const struct row *row)
{
	struct bench bench = { .block = open_image(settings, path, format), .row = row };
	g_autofree struct job *jobs = g_new0(struct job, row->depth);
	gint64 start = g_get_monotonic_time();
	double seconds;

	for (unsigned i = 0; i < row->depth; i++) {
		jobs[i].bench = &bench;
		jobs[i].iov = (struct iovec){ settings->memory, row->kind->length };
		jobs[i].request = (struct block_request){ .operation = row->kind->write ? BLOCK_WRITE : BLOCK_READ,
							  .length = row->kind->length, .iov = &jobs[i].iov,
							  .iov_count = 1, .done = done };
		submit(&jobs[i]);
	}
	block_drain(bench.block);
	seconds = seconds_since(start);
	block_close(bench.block);
	return seconds;
}

/* --- qemu-img bench --- */

static double run_qemu(const struct settings *settings, const char *path, const struct row *row)
{
	g_autofree char *command = g_strdup_printf("qemu-img bench -f qcow2 -t %s -i io_uring -c %u -d %u -s %"
						   G_GUINT64_FORMAT " -S %" G_GUINT64_FORMAT " %s %s",
						   settings->direct ? "none" : "writeback", row->count, row->depth,
						   row->kind->length, row->step, row->kind->write ? "-w" : "", path);
	g_autofree char *output = NULL;
	const char *found = NULL;

	if (g_spawn_command_line_sync(command, &output, NULL, NULL, NULL))
		found = strstr(output, "completed in ");
	if (!found)
		g_error("%s does not work", command);
	return g_ascii_strtod(found + strlen("completed in "), NULL);
}

/* --- io_uring --- */

static void queue_raw(const struct settings *settings, struct io_uring *ring, const struct row *row, uint64_t *offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	if (row->kind->write)
		io_uring_prep_write(sqe, 0, settings->memory, (unsigned)row->kind->length, next_offset(row, offset));
	else
		io_uring_prep_read(sqe, 0, settings->memory, (unsigned)row->kind->length, next_offset(row, offset));
	sqe->flags |= IOSQE_FIXED_FILE;
}

static void run_ring(const struct settings *settings, struct io_uring *ring, const struct row *row)
{
	struct io_uring_cqe *cqes[32];
	uint64_t offset = 0;
	unsigned started = 0, finished = 0;

	for (; started < row->depth; started++)
		queue_raw(settings, ring, row, &offset);
	while (finished < row->count) {
		unsigned count;

		io_uring_submit_and_wait(ring, 1);
		count = io_uring_peek_batch_cqe(ring, cqes, G_N_ELEMENTS(cqes));
		for (unsigned i = 0; i < count; i++) {
			if (cqes[i]->res != (int)row->kind->length)
				g_error("io_uring: %s", g_strerror(-cqes[i]->res));
			if (started < row->count)
				queue_raw(settings, ring, row, &offset);
			started++;
		}
		io_uring_cq_advance(ring, count);
		finished += count;
	}
}

static double run_raw(const struct settings *settings, const char *path, const struct row *row)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | (settings->direct ? O_DIRECT : 0));
	struct io_uring ring;
	gint64 start;
	double seconds;

	if (fd < 0 || io_uring_queue_init(64, &ring, 0) < 0 || io_uring_register_files(&ring, &fd, 1) < 0)
		g_error("no io_uring for %s", path);
	start = g_get_monotonic_time();
	run_ring(settings, &ring, row);
	seconds = seconds_since(start);
	io_uring_queue_exit(&ring);
	fdatasync(fd);
	close(fd);
	return seconds;
}

/* --- Images --- */

static char *in_folder(const struct settings *settings, const char *name)
{
	return g_build_filename(settings->folder, name, NULL);
}

static void create(const struct settings *settings, const char *name, enum block_format format, uint64_t size,
		   const char *backing)
{
	g_autofree char *path = in_folder(settings, name);
	g_autoptr(GError) error = NULL;
	struct image_create_options options = { .path = path, .format = format, .size = size, .overwrite = true,
						.backing_path = backing };

	if (!image_create(&options, &error))
		g_error("%s", error->message);
}

static void fill(const struct settings *settings, const char *name, enum block_format format)
{
	g_autofree char *path = in_folder(settings, name);
	struct row row = { &kinds[3], UNALLOCATED, 4, SIZE / MEBIBYTE, MEBIBYTE };

	create(settings, name, format, SIZE, NULL);
	run_block(settings, path, format, &row);
}

static void make_image(const struct settings *settings, enum layout layout)
{
	if (layout == ALLOCATED) {
		fill(settings, "disk", BLOCK_FORMAT_QCOW2);
	} else if (layout == CHAIN_3) {
		create(settings, "lowest", BLOCK_FORMAT_QCOW2, SIZE, "raw");
		create(settings, "lower", BLOCK_FORMAT_QCOW2, SIZE, "lowest");
		create(settings, "disk", BLOCK_FORMAT_QCOW2, SIZE, "lower");
	} else {
		create(settings, "disk", BLOCK_FORMAT_QCOW2, SIZE, layout == CHAIN_1 ? "raw" : NULL);
	}
}

/* The file that io_uring is let loose on: the same one where that does no harm, otherwise one that is alike. */
static const char *limit_file(const struct settings *settings, const struct row *row)
{
	if (row->layout == ALLOCATED)
		return row->kind->write ? "raw" : "disk";
	if (!row->kind->write && row->layout != UNALLOCATED)
		return "raw";
	create(settings, "sparse", BLOCK_FORMAT_RAW, SIZE, NULL);
	return "sparse";
}

/* --- Rows --- */

enum who { BLOCK_LAYER, QEMU_IMG, IO_URING };

static double take_turn(const struct settings *settings, const struct row *row, enum who who)
{
	g_autofree char *image = in_folder(settings, "disk"), *raw = NULL;

	if (who == IO_URING) {
		raw = in_folder(settings, limit_file(settings, row));
		return run_raw(settings, raw, row);
	}
	if (row->kind->write && row->layout != ALLOCATED)
		make_image(settings, row->layout);
	return who == BLOCK_LAYER ? run_block(settings, image, BLOCK_FORMAT_QCOW2, row) :
				    run_qemu(settings, image, row);
}

static int by_value(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return first < second ? -1 : first > second;
}

/* Sorts. */
static double median(double *values, int count)
{
	qsort(values, (size_t)count, sizeof *values, by_value);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void print_ratios(double *ratios, int count)
{
	double middle = median(ratios, count);

	printf(" %8.2f (%.2f, %.2f)", middle, ratios[0], ratios[count - 1]);
}

static void measure(const struct settings *settings, const struct row *row)
{
	g_autofree char *name = g_strdup_printf("%s, depth %u, %s", row->kind->name, row->depth,
						layout_names[row->layout]);
	double ours[TURNS_MAX], qemu[TURNS_MAX], limit[TURNS_MAX], seconds[3];

	if (settings->only && !strstr(name, settings->only))
		return;
	make_image(settings, row->layout);
	for (int turn = 0; turn < settings->turns; turn++) {
		/* Each begins as often as the others: what one leaves to the host's disk slows the next. */
		for (int i = 0; i < 3; i++)
			seconds[(turn + i) % 3] = take_turn(settings, row, (turn + i) % 3);
		ours[turn] = seconds[BLOCK_LAYER];
		qemu[turn] = seconds[QEMU_IMG] / seconds[BLOCK_LAYER];
		limit[turn] = seconds[IO_URING] / seconds[BLOCK_LAYER];
	}
	printf("%-46s %8.0f/s", name, row->count / median(ours, settings->turns));
	print_ratios(qemu, settings->turns);
	print_ratios(limit, settings->turns);
	printf("%s\n", median(qemu, settings->turns) < 1 ? "  behind" : "");
}

static void measure_rows(const struct settings *settings)
{
	static const unsigned depths[] = { 1, 32 };

	printf("%-46s %10s %22s %22s\n", "", "ours", "x qemu-img (range)", "x io_uring (range)");
	for (int layout = ALLOCATED; layout < LAYOUTS; layout++) {
		for (unsigned i = 0; i < G_N_ELEMENTS(kinds) * G_N_ELEMENTS(depths); i++) {
			const struct kind *kind = &kinds[i / 2];
			unsigned count = kind->count[layout != ALLOCATED];
			/* The disk is slower than the page cache. */
			struct row row = { kind, layout, depths[i % 2], settings->direct ? count / 10 : count,
					   layout == ALLOCATED ? kind->step : kind->fresh_step };

			measure(settings, &row);
		}
	}
}

/* --- A large image --- */

static double private_memory(void)
{
	g_autofree char *text = NULL;
	const char *found = NULL;

	if (g_file_get_contents("/proc/self/smaps_rollup", &text, NULL, NULL))
		found = strstr(text, "Anonymous:");
	return found ? g_ascii_strtod(found + strlen("Anonymous:"), NULL) / 1024 : 0;
}

static void large_done(struct block_request *request, int error)
{
	(void)request;
	if (error)
		g_error("%s", g_strerror(error));
}

/* Requests of one sector each, at offset + n * step, with step 0 at random. */
static void touch_large(const struct settings *settings, struct block *block, enum block_operation operation,
			unsigned count, uint64_t step)
{
	struct iovec iov = { settings->memory, 4096 };
	struct block_request requests[32];
	g_autoptr(GRand) random = g_rand_new_with_seed(1);

	for (unsigned i = 0; i < count; i++) {
		struct block_request *request = &requests[i % G_N_ELEMENTS(requests)];
		uint64_t offset = step ? i * step : (uint64_t)(g_rand_double(random) * (LARGE >> 12)) << 12;

		*request = (struct block_request){ .operation = operation, .offset = offset, .length = 4096,
						   .iov = &iov, .iov_count = 1, .done = large_done };
		block_submit(block, request);
		if ((i + 1) % G_N_ELEMENTS(requests) == 0 || i + 1 == count)
			block_drain(block);
	}
}

static void measure_large(const struct settings *settings)
{
	g_autofree char *path = in_folder(settings, "large");
	double creating[TURNS_MAX], opening[TURNS_MAX], before = private_memory();
	struct block *block;
	int turns = settings->turns;

	for (int turn = 0; turn < turns; turn++) {
		gint64 start = g_get_monotonic_time();

		create(settings, "large", BLOCK_FORMAT_QCOW2, LARGE, NULL);
		creating[turn] = seconds_since(start) * 1e3;
		start = g_get_monotonic_time();
		block = open_image(settings, path, BLOCK_FORMAT_QCOW2);
		opening[turn] = seconds_since(start) * 1e3;
		block_close(block);
		if (turn < turns - 1)
			g_unlink(path);
	}
	printf("2 TiB: created in %.1f ms", median(creating, turns));
	printf(" (at most %.1f), opened in %.2f ms", creating[turns - 1], median(opening, turns));
	printf(" (at most %.2f)\n", opening[turns - 1]);
	block = open_image(settings, path, BLOCK_FORMAT_QCOW2);
	touch_large(settings, block, BLOCK_WRITE, LARGE / LARGE_TABLE, LARGE_TABLE);
	block_close(block);
	block = open_image(settings, path, BLOCK_FORMAT_QCOW2);
	touch_large(settings, block, BLOCK_READ, LARGE_READS, 0);
	printf("2 TiB: %u random reads all over it take %.1f MiB of memory\n", LARGE_READS,
	       private_memory() - before);
	block_close(block);
	g_unlink(path);
}

/* --- All --- */

/* Other work on the host disturbs; root may push it aside. qemu-img inherits this. */
static void take_priority(void)
{
	int fd;

	setsid();
	fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "-19", 3) < 0 || setpriority(PRIO_PROCESS, 0, -19) < 0)
		printf("ordinary priority: %s\n", g_strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool parse(struct settings *settings, int argc, char **argv)
{
	gboolean direct = FALSE;
	const GOptionEntry entries[] = {
		{ "direct", 0, 0, G_OPTION_ARG_NONE, &direct, "Cache mode none instead of writeback", NULL },
		{ "only", 0, 0, G_OPTION_ARG_STRING, &settings->only, "Only rows whose name has TEXT in it", "TEXT" },
		{ "turns", 0, 0, G_OPTION_ARG_INT, &settings->turns, "How often each row is measured", "COUNT" },
		{ 0 },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- measure disk images in the current folder");
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, &error)) {
		fprintf(stderr, "%s\n", error->message);
		return false;
	}
	settings->turns = CLAMP(settings->turns, 1, TURNS_MAX);
	settings->direct = direct;
	return true;
}

int main(int argc, char **argv)
{
	struct settings settings = { .turns = 5, .folder = g_strdup("bench-block-XXXXXX") };
	static const char *const files[] = { "disk", "raw", "sparse", "lower", "lowest" };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!parse(&settings, argc, argv) || !g_mkdtemp(settings.folder))
		return 1;
	take_priority();
	settings.memory = aligned_alloc(4096, MEBIBYTE);
	memset(settings.memory, 1, MEBIBYTE);
	if (!settings.only)
		measure_large(&settings);
	fill(&settings, "raw", BLOCK_FORMAT_RAW);
	measure_rows(&settings);
	for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
		g_autofree char *path = in_folder(&settings, files[i]);

		g_unlink(path);
	}
	g_rmdir(settings.folder);
	free(settings.memory);
	g_free(settings.folder);
	g_free(settings.only);
	return 0;
}
