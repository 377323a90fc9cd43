/*
 * Disk images beside `qemu-img bench` and beside the raw file: the same pattern, depth, size and cache mode
 * (writeback, io_uring), printed as ratios of requests per second. Each row is the best of three, taken in turns.
 */
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../vmm/block/image.h"

#define SIZE (256ull << 20)
#define TURNS 3

struct row {
	const char *name;
	bool write;
	uint64_t length, step; /* step: from one request to the next, around the disk */
	unsigned depth, count;
	bool empty; /* clusters are not allocated yet */
	unsigned chain;
};

struct job {
	struct block_request request;
	struct iovec iov;
	struct bench *bench;
};

struct bench {
	struct block *block;
	const struct row *row;
	uint64_t offset;
	unsigned started, finished;
};

static void submit(struct job *job)
{
	struct bench *bench = job->bench;

	job->request.offset = bench->offset;
	bench->offset = (bench->offset + bench->row->step) % (SIZE - bench->row->length);
	bench->offset &= ~511ull;
	bench->started++;
	block_submit(bench->block, &job->request);
}

static void done(struct block_request *request, int error)
{
	struct job *job = (struct job *)request;

	if (error)
		g_error("%s", g_strerror(error));
	job->bench->finished++;
	if (job->bench->started < job->bench->row->count)
		submit(job);
}

static double ours(const char *path, enum block_format format, const struct row *row)
{
	struct block *block = block_open(&(struct block_options){ .path = path, .format = format }, NULL);
	struct bench bench = { .block = block, .row = row };
	struct job *jobs = g_new0(struct job, row->depth);
	gint64 start = g_get_monotonic_time();

	for (unsigned i = 0; i < row->depth; i++) {
		jobs[i].bench = &bench;
		jobs[i].iov = (struct iovec){ aligned_alloc(4096, row->length), row->length };
		memset(jobs[i].iov.iov_base, 1, row->length);
		jobs[i].request = (struct block_request){ .operation = row->write ? BLOCK_WRITE : BLOCK_READ,
							  .length = row->length, .iov = &jobs[i].iov, .iov_count = 1,
							  .done = done };
		submit(&jobs[i]);
	}
	block_drain(block);
	start = g_get_monotonic_time() - start;
	block_close(block);
	for (unsigned i = 0; i < row->depth; i++)
		free(jobs[i].iov.iov_base);
	g_free(jobs);
	return (double)start / 1e6;
}

static double theirs(const char *path, const struct row *row)
{
	g_autofree char *command = g_strdup_printf("qemu-img bench -f qcow2 -t writeback -i io_uring -c %u -d %u -s %"
						   G_GUINT64_FORMAT " -S %" G_GUINT64_FORMAT " %s %s", row->count,
						   row->depth, row->length, row->step, row->write ? "-w" : "", path);
	g_autofree char *output = NULL;
	const char *found;

	if (!g_spawn_command_line_sync(command, &output, NULL, NULL, NULL))
		return 0;
	found = strstr(output, "completed in ");
	return found ? g_ascii_strtod(found + strlen("completed in "), NULL) : 0;
}

static void make(const char *folder, const char *name, const struct row *row, const char *base)
{
	g_autofree char *path = g_build_filename(folder, name, NULL), *below = NULL;
	struct image_create_options options = { .path = path, .size = SIZE, .overwrite = true };
	struct row fill = { "", true, 1 << 20, 1 << 20, 4, SIZE >> 20, false, 0 };

	if (row->chain > 1) {
		struct row less = *row;

		less.chain--;
		below = g_strdup_printf("%s.%u", name, row->chain);
		make(folder, below, &less, base);
		options.backing_path = below;
	} else if (row->chain) {
		options.backing_path = base;
	}
	if (!image_create(&options, NULL))
		g_error("cannot create %s", path);
	if (!row->empty && !row->chain)
		ours(path, BLOCK_FORMAT_QCOW2, &fill);
}

static void measure(const char *folder, const struct row *row)
{
	double best[3] = { 1e9, 1e9, 1e9 };
	g_autofree char *path = g_build_filename(folder, "disk", NULL), *raw = g_build_filename(folder, "raw", NULL);

	for (unsigned turn = 0; turn < TURNS; turn++) {
		for (unsigned who = 0; who < 3; who++) {
			if (turn == 0 || row->empty || row->chain)
				make(folder, "disk", row, "raw");
			best[who] = MIN(best[who], who == 0 ? ours(path, BLOCK_FORMAT_QCOW2, row) :
						   who == 1 ? theirs(path, row) : ours(raw, BLOCK_FORMAT_RAW, row));
		}
	}
	printf("%-34s %9.0f/s   %5.2f x qemu-img bench   %5.2f x raw file\n", row->name, row->count / best[0],
	       best[1] / best[0], best[2] / best[0]);
}

static void measure_large(const char *folder)
{
	g_autofree char *path = g_build_filename(folder, "large", NULL);
	gint64 start = g_get_monotonic_time(), created;
	struct block *block;

	if (!image_create(&(struct image_create_options){ .path = path, .size = 2ull << 40 }, NULL))
		g_error("cannot create %s", path);
	created = g_get_monotonic_time();
	block = block_open(&(struct block_options){ .path = path }, NULL);
	printf("2 TiB: created in %.1f ms, opened in %.1f ms\n", (double)(created - start) / 1e3,
	       (double)(g_get_monotonic_time() - created) / 1e3);
	block_close(block);
	g_unlink(path);
}

int main(void)
{
	static const struct row rows[] = {
		{ "4K random read, depth 1", false, 4096, 4096 * 10007, 1, 10000 },
		{ "4K random read, depth 32", false, 4096, 4096 * 10007, 32, 25000 },
		{ "4K random write, depth 1", true, 4096, 4096 * 10007, 1, 7500 },
		{ "4K random write, depth 32", true, 4096, 4096 * 10007, 32, 15000 },
		{ "1M sequential read, depth 1", false, 1 << 20, 1 << 20, 1, 256 },
		{ "1M sequential read, depth 32", false, 1 << 20, 1 << 20, 32, 256 },
		{ "1M sequential write, depth 1", true, 1 << 20, 1 << 20, 1, 256 },
		{ "1M sequential write, depth 32", true, 1 << 20, 1 << 20, 32, 256 },
		{ "4K write, allocating, depth 1", true, 4096, 65536, 1, 2000, true },
		{ "4K write, allocating, depth 32", true, 4096, 65536, 32, 2000, true },
		{ "1M write, allocating, depth 1", true, 1 << 20, 1 << 20, 1, 256, true },
		{ "1M write, allocating, depth 32", true, 1 << 20, 1 << 20, 32, 256, true },
		{ "4K random read, chain of 1, depth 1", false, 4096, 4096 * 10007, 1, 7500, false, 1 },
		{ "4K random read, chain of 3, depth 1", false, 4096, 4096 * 10007, 1, 7500, false, 3 },
		{ "4K random read, chain of 3, depth 32", false, 4096, 4096 * 10007, 32, 15000, false, 3 },
	};
	g_autofree char *folder = g_strdup("bench-block-XXXXXX");
	g_autofree char *command = NULL, *raw = NULL;
	struct row fill = { "", true, 1 << 20, 1 << 20, 4, SIZE >> 20, false, 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!g_mkdtemp(folder))
		return 1;
	raw = g_build_filename(folder, "raw", NULL);
	if (image_create(&(struct image_create_options){ .path = raw, .format = BLOCK_FORMAT_RAW, .size = SIZE },
			 NULL))
		ours(raw, BLOCK_FORMAT_RAW, &fill);
	measure_large(folder);
	for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++)
		measure(folder, &rows[i]);
	command = g_strdup_printf("rm -r %s", folder);
	return g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL) ? 0 : 1;
}
