/* What a block does when its file moves, its host has errors, or its image is damaged: asks the user, or tells the guest. */
#include "../../vmm/block/block_driver.h"
#include "block_trouble.h"
#include "qcow2_fixture.h"

#define DISK_SIZE (1u << 20)
#define SECTOR 512u

static void submit(struct block *block, struct waiting *waiting, enum block_operation operation, void *buffer)
{
	*waiting = (struct waiting){ .request = { .operation = operation, .iov = waiting->iov, .done = request_done },
				     .iov = { { buffer, SECTOR } } };
	if (operation != BLOCK_FLUSH) {
		waiting->request.length = SECTOR;
		waiting->request.iov_count = 1;
	}
	block_submit(block, &waiting->request);
	block_drain(block);
}

/* Asks for one write after another: files are looked at once a second. */
static void write_until_trouble(struct block *block, struct trouble *trouble, struct waiting *waiting, void *buffer)
{
	for (unsigned i = 0; i < 200 && !trouble->count; i++) {
		submit(block, waiting, BLOCK_WRITE, buffer);
		if (!trouble->count)
			g_usleep(20000);
	}
	g_assert_cmpuint(trouble->count, ==, 1);
	g_assert_cmpuint(waiting->done, ==, 0);
}

static char *make_image(const struct folder *folder, enum block_format format)
{
	char *path = folder_file(folder, "disk");
	struct image_create_options options = { .path = path, .format = format, .size = DISK_SIZE };
	GError *error = NULL;

	image_create(&options, &error);
	g_assert_no_error(error);
	return path;
}

/* --- The file --- */

static struct block *write_moved(const char *path, const char *elsewhere, struct trouble *trouble, struct waiting *waiting,
				 void *buffer)
{
	struct block *block = open_image(path, false);

	block_set_trouble_handler(block, on_trouble, trouble);
	g_assert_no_errno(g_rename(path, elsewhere));
	write_until_trouble(block, trouble, waiting, buffer);
	return block;
}

static void test_moved(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = make_image(folder, GPOINTER_TO_INT(data));
	g_autofree char *elsewhere = folder_file(folder, "elsewhere");
	uint8_t buffer[SECTOR] = { 0x42 }, found[SECTOR];
	struct trouble trouble = { 0 };
	struct waiting waiting;
	struct block *block = write_moved(path, elsewhere, &trouble, &waiting, buffer);

	g_assert_cmpint(trouble.error, ==, ENOLINK);
	g_assert_nonnull(strstr(trouble.message, "moved"));
	/* Another file in its place is not it. */
	g_assert_true(g_file_set_contents(path, "other", -1, NULL));
	block_retry(block);
	block_drain(block);
	g_assert_cmpuint(trouble.count, ==, 2);
	g_assert_cmpint(trouble.error, ==, ENOLINK);
	g_assert_no_errno(g_rename(elsewhere, path));
	block_retry(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(waiting.error, ==, 0);
	g_assert_cmpuint(trouble.count, ==, 2);
	g_assert_cmpint(run(block, BLOCK_READ, 0, found, SECTOR), ==, 0);
	g_assert_cmpmem(found, SECTOR, buffer, SECTOR);
	block_close(block);
	g_free(trouble.message);
}

/* Told to go on, it uses the file where it is. */
static void test_moved_for_good(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = make_image(folder, GPOINTER_TO_INT(data));
	g_autofree char *elsewhere = folder_file(folder, "elsewhere");
	uint8_t buffer[SECTOR] = { 0x43 }, found[SECTOR];
	struct trouble trouble = { 0 };
	struct waiting waiting;
	struct block *block = write_moved(path, elsewhere, &trouble, &waiting, buffer);

	block_fail(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(waiting.error, ==, 0);
	block_close(block);
	block = open_image(elsewhere, true);
	g_assert_cmpint(run(block, BLOCK_READ, 0, found, SECTOR), ==, 0);
	g_assert_cmpmem(found, SECTOR, buffer, SECTOR);
	block_close(block);
	g_free(trouble.message);
}

/* A qcow2 image that has grown since it was opened comes back from a copy. */
static void test_deleted_and_copied_back(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = make_image(folder, GPOINTER_TO_INT(data)), *contents = NULL;
	struct block *block = open_image(path, false);
	g_autofree uint8_t *large = g_malloc0(DISK_SIZE);
	uint8_t buffer[SECTOR] = { 0x44 }, found[SECTOR];
	struct trouble trouble = { 0 };
	struct waiting waiting;
	gsize length;

	memset(large, 0x45, DISK_SIZE);
	g_assert_cmpint(run(block, BLOCK_WRITE, 0, large, DISK_SIZE), ==, 0);
	g_assert_cmpint(run(block, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
	g_assert_true(g_file_get_contents(path, &contents, &length, NULL));
	block_set_trouble_handler(block, on_trouble, &trouble);
	g_assert_no_errno(g_unlink(path));
	write_until_trouble(block, &trouble, &waiting, buffer);
	g_assert_cmpint(trouble.error, ==, ENOENT);
	/* Half of it is not it. */
	g_assert_true(g_file_set_contents(path, contents, (gssize)length / 2, NULL));
	block_retry(block);
	block_drain(block);
	g_assert_cmpuint(trouble.count, ==, 2);
	g_assert_true(g_file_set_contents(path, contents, (gssize)length, NULL));
	block_retry(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(waiting.error, ==, 0);
	block_close(block);
	block = open_image(path, true);
	g_assert_cmpint(run(block, BLOCK_READ, 0, found, SECTOR), ==, 0);
	g_assert_cmpmem(found, SECTOR, buffer, SECTOR);
	g_assert_cmpint(run(block, BLOCK_READ, SECTOR, found, SECTOR), ==, 0);
	g_assert_cmpmem(found, SECTOR, large, SECTOR);
	block_close(block);
	g_free(trouble.message);
}

/* --- A host that has errors --- */

struct bad_host {
	struct engine engine;
	struct engine_io *pending;
	int error; /* of every step; 0: as it should be */
};

static int carry_out(const struct bad_host *host, const struct engine_step *step)
{
	if (host->error)
		return -host->error;
	if (step->kind == ENGINE_READ)
		return (int)preadv(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
	if (step->kind == ENGINE_WRITE)
		return (int)pwritev(step->fd, step->iov, (int)step->iov_count, (off_t)step->offset);
	return 0;
}

static void host_start(struct engine *engine, struct engine_io *io)
{
	struct bad_host *host = (struct bad_host *)engine;

	io->next = host->pending;
	host->pending = io;
}

static void host_reap(struct engine *engine, bool wait)
{
	struct bad_host *host = (struct bad_host *)engine;

	(void)wait;
	while (host->pending) {
		struct engine_io *io = host->pending;

		host->pending = io->next;
		engine_step_done(engine, io, carry_out(host, &io->step));
	}
}

static void host_nothing(struct engine *engine)
{
	(void)engine;
}

static void host_no_file(struct engine *engine, struct engine_file *file)
{
	(void)engine;
	(void)file;
}

static const struct engine_backend bad_host = {
	.name = "bad host",
	.start = host_start,
	.kick = host_nothing,
	.reap = host_reap,
	.add_file = host_no_file,
	.remove_file = host_no_file,
	.free = host_nothing,
};

static struct block *open_on(struct bad_host *host, const char *path, bool report)
{
	struct block_options options = { .path = path, .report_errors = report, .engine = &host->engine };
	GError *error = NULL;
	struct block *block;

	*host = (struct bad_host){ .engine = { .backend = &bad_host, .event_fd = -1 } };
	host->engine.held_tail = &host->engine.held;
	block = block_open(&options, &error);
	g_assert_no_error(error);
	return block;
}

static void expect_trouble(struct block *block, struct bad_host *host, enum block_operation operation, int error,
			   const char *message)
{
	struct trouble trouble = { 0 };
	struct waiting waiting;
	uint8_t buffer[SECTOR] = { 0 };

	block_set_trouble_handler(block, on_trouble, &trouble);
	host->error = error;
	submit(block, &waiting, operation, buffer);
	g_assert_cmpuint(trouble.count, ==, 1);
	g_assert_cmpint(trouble.error, ==, error);
	g_assert_nonnull(strstr(trouble.message, message));
	g_assert_cmpuint(waiting.done, ==, 0);
	host->error = 0;
	block_retry(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(waiting.error, ==, 0);
	g_free(trouble.message);
}

static void expect_report(struct block *block, struct bad_host *host, enum block_operation operation, int error)
{
	struct trouble trouble = { 0 };
	struct waiting waiting;
	uint8_t buffer[SECTOR] = { 0 };

	block_set_trouble_handler(block, on_trouble, &trouble);
	host->error = error;
	submit(block, &waiting, operation, buffer);
	host->error = 0;
	g_assert_cmpuint(trouble.count, ==, 0);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(waiting.error, ==, error);
}

static void test_pause(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = make_image(folder, GPOINTER_TO_INT(data));
	struct bad_host host;
	struct block *block = open_on(&host, path, false);
	uint8_t buffer[SECTOR] = { 1 };

	g_assert_cmpint(run(block, BLOCK_WRITE, 0, buffer, SECTOR), ==, 0);
	g_assert_cmpint(run(block, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
	expect_trouble(block, &host, BLOCK_WRITE, EIO, "could not write to");
	expect_trouble(block, &host, BLOCK_READ, EIO, "could not read");
	expect_trouble(block, &host, BLOCK_READ, ENODEV, "went away");
	expect_trouble(block, &host, BLOCK_WRITE, ENOSPC, "full");
	/* Once a flush has failed nobody knows what is stable: only the guest can write it again. */
	expect_report(block, &host, BLOCK_FLUSH, EIO);
	block_close(block);
}

static void test_report(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = make_image(folder, GPOINTER_TO_INT(data));
	struct bad_host host;
	struct block *block = open_on(&host, path, true);
	uint8_t buffer[SECTOR] = { 1 };

	g_assert_cmpint(run(block, BLOCK_WRITE, 0, buffer, SECTOR), ==, 0);
	g_assert_cmpint(run(block, BLOCK_FLUSH, 0, NULL, 0), ==, 0);
	expect_report(block, &host, BLOCK_WRITE, EIO);
	expect_report(block, &host, BLOCK_READ, EIO);
	expect_report(block, &host, BLOCK_READ, ENODEV);
	expect_report(block, &host, BLOCK_FLUSH, EIO);
	/* Not an error of I/O, and the guest can do nothing about it. */
	expect_trouble(block, &host, BLOCK_WRITE, ENOSPC, "full");
	block_close(block);
}

/* --- A damaged image --- */

/* Sets the entry of the guest's first cluster to an offset that cannot be. */
static void damage(const char *path)
{
	static const uint8_t entry[8] = { 0x80, 0, 0, 0, 0, 5, 0x02, 0 };
	uint64_t l1, l2;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	g_assert_cmpint(pread(fd, &l1, 8, 40), ==, 8);
	g_assert_cmpint(pread(fd, &l2, 8, (off_t)GUINT64_FROM_BE(l1)), ==, 8);
	g_assert_cmpint(pwrite(fd, entry, 8, (off_t)(GUINT64_FROM_BE(l2) & 0x00fffffffffffe00ull)), ==, 8);
	close(fd);
}

static void test_damaged(struct folder *folder, gconstpointer data)
{
	g_autofree char *path = make_image(folder, BLOCK_FORMAT_QCOW2);
	struct block *block = open_image(path, false);
	struct trouble trouble = { 0 };
	struct waiting waiting;
	uint8_t buffer[SECTOR] = { 1 };

	(void)data;
	g_assert_cmpint(run(block, BLOCK_WRITE, 0, buffer, SECTOR), ==, 0);
	block_close(block);
	damage(path);
	block = open_image(path, false);
	block_set_trouble_handler(block, on_trouble, &trouble);
	g_test_expect_message(G_LOG_DOMAIN, G_LOG_LEVEL_WARNING, "*is damaged*");
	submit(block, &waiting, BLOCK_READ, buffer);
	g_test_assert_expected_messages();
	g_assert_cmpint(trouble.error, ==, EUCLEAN);
	g_assert_nonnull(strstr(trouble.message, "check --repair"));
	/* Told to go on: the guest may use what is left without more questions. */
	block_fail(block);
	block_drain(block);
	g_assert_cmpuint(waiting.done, ==, 1);
	g_assert_cmpint(waiting.error, ==, EUCLEAN);
	g_assert_cmpint(run(block, BLOCK_WRITE, 0, buffer, SECTOR), ==, EUCLEAN);
	g_assert_cmpuint(trouble.count, ==, 1);
	block_close(block);
	g_free(trouble.message);
}

static void add(const char *name, const char *format, int data,
		void (*function)(struct folder *folder, gconstpointer data))
{
	g_autofree char *path = g_strdup_printf("/block-trouble/%s/%s", name, format);

	g_test_add(path, struct folder, GINT_TO_POINTER(data), folder_set_up, function, folder_tear_down);
}

int main(int argc, char **argv)
{
	static const enum block_format formats[] = { BLOCK_FORMAT_RAW, BLOCK_FORMAT_QCOW2 };

	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
		const char *name = image_format_name(formats[i]);

		add("moved", name, (int)formats[i], test_moved);
		add("moved-for-good", name, (int)formats[i], test_moved_for_good);
		add("deleted-and-copied-back", name, (int)formats[i], test_deleted_and_copied_back);
		add("pause", name, (int)formats[i], test_pause);
		add("report", name, (int)formats[i], test_report);
	}
	add("damaged", "qcow2", BLOCK_FORMAT_QCOW2, test_damaged);
	return g_test_run();
}
