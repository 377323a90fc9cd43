/* Shared by the tests of qcow2: QEMU's tools, requests that are waited for, and a folder to work in. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../vmm/block/image.h"

struct folder {
	char *path;
};

/* For tests to which it is no question what a power cut would leave: the host's disk may be slow. */
static inline void folder_use_memory(void)
{
	if (!g_getenv("TMPDIR") && access("/dev/shm", W_OK) == 0)
		g_setenv("TMPDIR", "/dev/shm", TRUE);
}

static inline void folder_set_up(struct folder *folder, gconstpointer data)
{
	(void)data;
	folder->path = g_dir_make_tmp("qcow2-test-XXXXXX", NULL);
	g_assert_nonnull(folder->path);
}

static inline void folder_tear_down(struct folder *folder, gconstpointer data)
{
	g_autoptr(GDir) files = g_dir_open(folder->path, 0, NULL);
	const char *name;

	(void)data;
	while ((name = g_dir_read_name(files))) {
		g_autofree char *path = g_build_filename(folder->path, name, NULL);

		g_unlink(path);
	}
	g_rmdir(folder->path);
	g_free(folder->path);
}

static inline char *folder_file(const struct folder *folder, const char *name)
{
	return g_build_filename(folder->path, name, NULL);
}

/* Runs a tool in the folder; returns its exit status (-1: killed) and what it printed. */
static inline int tool(const struct folder *folder, char **output, const char *format, ...) G_GNUC_PRINTF(3, 4);

static inline int tool(const struct folder *folder, char **output, const char *format, ...)
{
	g_autofree char *command = NULL, *out = NULL, *err = NULL;
	g_auto(GStrv) arguments = NULL;
	va_list list;
	int status;

	va_start(list, format);
	command = g_strdup_vprintf(format, list);
	va_end(list);
	g_assert_true(g_shell_parse_argv(command, NULL, &arguments, NULL));
	g_assert_true(g_spawn_sync(folder->path, arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err,
				   &status,
				   NULL));
	if (status)
		g_test_message("%s: %s%s", command, out, err);
	if (output)
		*output = g_strconcat(out, err, NULL);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

struct waiting {
	struct block_request request;
	struct iovec iov[3];
	int error;
	unsigned done;
};

static inline void request_done(struct block_request *request, int error)
{
	struct waiting *waiting = (struct waiting *)request;

	waiting->error = error;
	waiting->done++;
}

static inline int run(struct block *block, enum block_operation operation, uint64_t offset, void *buffer,
		      uint64_t length)
{
	struct waiting waiting = { .request = { .operation = operation, .offset = offset, .length = length,
						.iov = waiting.iov, .iov_count = buffer ? 1 : 0,
								.done = request_done },
				   .iov = { { buffer, length } } };

	block_submit(block, &waiting.request);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	return waiting.error;
}

/* For g_log_set_handler(): what images of such tests always say. */
static inline void ignore_message(const char *domain, GLogLevelFlags level, const char *message, gpointer data)
{
	(void)domain;
	(void)level;
	(void)message;
	(void)data;
}

static inline struct block *open_image(const char *path, bool read_only)
{
	struct block_options options = { .path = path, .read_only = read_only };
	GError *error = NULL;
	struct block *block = block_open(&options, &error);

	g_assert_no_error(error);
	return block;
}
