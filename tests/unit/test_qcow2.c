/* qcow2 against an array and against QEMU's tools, which make the images, write between, and judge at the end. */
#include "qcow2_fixture.h"

#define DISK_SIZE (6u << 20)
#define SLOTS 16
#define ROUNDS 3

struct variant {
	const char *name;
	const char *options; /* of qemu-img create */
	const char *backing; /* "raw", "qcow2", a chain, or NULL */
	enum block_cache cache;
	bool threads;
};

static const struct variant variants[] = {
	{ "default", "-o compat=1.1" },
	{ "default-direct", "-o compat=1.1", NULL, BLOCK_CACHE_NONE },
	{ "default-threads", "-o compat=1.1", NULL, BLOCK_CACHE_WRITEBACK, true },
	{ "version-2", "-o compat=0.10" },
	{ "version-2-backed", "-o compat=0.10", "raw" },
	{ "cluster-512", "-o cluster_size=512" },
	{ "cluster-512-direct", "-o cluster_size=512", NULL, BLOCK_CACHE_NONE },
	{ "cluster-1k-backed", "-o cluster_size=1k", "qcow2" },
	{ "cluster-4k", "-o cluster_size=4k", "chain" },
	{ "cluster-2m", "-o cluster_size=2M", "raw" },
	{ "refcount-1", "-o refcount_bits=1" },
	{ "refcount-2", "-o refcount_bits=2,cluster_size=512" },
	{ "refcount-4", "-o refcount_bits=4,cluster_size=4k" },
	{ "refcount-8", "-o refcount_bits=8" },
	{ "refcount-32", "-o refcount_bits=32,cluster_size=1k" },
	{ "refcount-64", "-o refcount_bits=64,cluster_size=512" },
	{ "extended", "-o extended_l2=on" },
	{ "extended-16k-backed", "-o extended_l2=on,cluster_size=16k", "qcow2" },
	{ "extended-2m-backed", "-o extended_l2=on,cluster_size=2M", "raw" },
	{ "lazy", "-o lazy_refcounts=on", "raw" },
	{ "backed-raw", "-o compat=1.1", "raw" },
	{ "backed-compressed", "-o compat=1.1", "compressed" },
	{ "backed-zstd", "-o compat=1.1", "zstd" },
	{ "chain", "-o compat=1.1", "chain" },
	{ "metadata", "-o preallocation=metadata" },
	{ "metadata-extended", "-o preallocation=metadata,extended_l2=on,cluster_size=16k" },
	{ "full", "-o preallocation=full,cluster_size=4k" },
	{ "external", "-o data_file=data.raw" },
	{ "external-raw", "-o data_file=data.raw,data_file_raw=on" },
	{ "external-backed", "-o data_file=data.raw,extended_l2=on", "raw" },
};

static void fill(uint8_t *buffer, uint64_t length)
{
	uint8_t step = (uint8_t)g_test_rand_int(), value = (uint8_t)g_test_rand_int();

	for (uint64_t i = 0; i < length; i++)
		buffer[i] = value = (uint8_t)(value * 5 + (step | 1));
}

static void make_raw(const struct folder *folder, const char *name, uint8_t *model, uint64_t size)
{
	g_autofree char *path = folder_file(folder, name);

	for (uint64_t at = 0; at < size; at += 4096)
		if (g_test_rand_int_range(0, 3) == 0)
			fill(model + at, MIN(4096, size - at));
	g_assert_true(g_file_set_contents(path, (char *)model, (gssize)size, NULL));
}

/* The image to test; what it reads as goes into model. The backing image may be shorter. */
static char *make(const struct folder *folder, const struct variant *variant, uint8_t *model)
{
	const char *backing = variant->backing, *path = "base.qcow2";
	uint64_t size = DISK_SIZE - (g_test_rand_bit() ? 0 : 1234432);

	if (!backing) {
		g_assert_cmpint(tool(folder, NULL, "qemu-img create -q -f qcow2 %s disk.qcow2 %u", variant->options,
				     DISK_SIZE), ==, 0);
		return folder_file(folder, "disk.qcow2");
	}
	make_raw(folder, "base.raw", model, size);
	if (!strcmp(backing, "qcow2"))
		tool(folder, NULL, "qemu-img convert -O qcow2 base.raw base.qcow2");
	else if (!strcmp(backing, "compressed"))
		tool(folder, NULL, "qemu-img convert -c -O qcow2 base.raw base.qcow2");
	else if (!strcmp(backing, "zstd"))
		tool(folder, NULL, "qemu-img convert -c -O qcow2 -o compression_type=zstd base.raw base.qcow2");
	else if (!strcmp(backing, "chain")) {
		tool(folder, NULL, "qemu-img create -q -f qcow2 -b base.raw -F raw -o cluster_size=4k middle.qcow2");
		tool(folder, NULL, "qemu-io -c 'write -P 7 8k 40k' -c 'write -z 100k 20k' -f qcow2 middle.qcow2");
		memset(model + 8192, 7, 40960);
		memset(model + 102400, 0, 20480);
		tool(folder, NULL,
		     "qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 -o extended_l2=on base.qcow2");
		tool(folder, NULL, "qemu-io -c 'write -P 9 30k 40k' -f qcow2 base.qcow2");
		memset(model + 30720, 9, 40960);
	} else {
		path = "base.raw";
	}
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -q -f qcow2 %s -b %s -F %s disk.qcow2 %u",
			     variant->options,
			     path, strchr(path, 'q') ? "qcow2" : "raw", DISK_SIZE), ==, 0);
	return folder_file(folder, "disk.qcow2");
}

/* --- Random operations, many in flight; they share clusters but not sectors --- */

struct slot {
	struct waiting waiting;
	uint8_t *buffer;
	bool busy;
};

static void start_random(struct block *block, struct slot *slot, unsigned index, uint8_t *model)
{
	uint64_t slot_size = DISK_SIZE / SLOTS;
	uint64_t offset = index * slot_size + (uint64_t)g_test_rand_int_range(0, (gint32)slot_size / 512) * 512;
	uint64_t sectors = ((index + 1) * slot_size - offset) / 512;
	uint64_t most = g_test_rand_bit() ? 16 : 500;
	uint64_t length = 512 * (uint64_t)g_test_rand_int_range(1, (gint32)MIN(sectors, most) + 1);
	unsigned kind = (unsigned)g_test_rand_int_range(0, 20);
	struct waiting *waiting = &slot->waiting;
	uint8_t *buffer = slot->buffer;
	uint64_t cut = (uint64_t)g_test_rand_int_range(0, (gint32)length);

	*waiting = (struct waiting){ .request = { .offset = offset, .length = length, .iov = waiting->iov,
						  .iov_count = 3, .done = request_done },
				     .iov = { { buffer, cut }, { buffer + cut, 0 }, { buffer + cut, length - cut } } };
	waiting->request.operation = kind < 6 ? BLOCK_READ : kind < 14 ? BLOCK_WRITE :
				     kind < 17 ? BLOCK_WRITE_ZEROES : kind < 19 ? BLOCK_DISCARD : BLOCK_FLUSH;
	waiting->request.force_unit_access = g_test_rand_int_range(0, 16) == 0;
	if (waiting->request.operation == BLOCK_WRITE) {
		fill(buffer, length);
		memcpy(model + offset, buffer, length);
	} else if (waiting->request.operation == BLOCK_WRITE_ZEROES) {
		memset(model + offset, 0, length);
	} else {
		memset(buffer, 0xEE, length);
	}
	slot->busy = true;
	block_submit(block, &waiting->request);
}

/* What a discarded sector reads as is for the disk to say: old data, or zeroes. */
static void settle_discard(struct block *block, const struct block_request *request, uint8_t *model)
{
	g_autofree uint8_t *now = g_malloc(request->length);

	g_assert_cmpint(run(block, BLOCK_READ, request->offset, now, request->length), ==, 0);
	memcpy(model + request->offset, now, request->length);
}

static bool finish_random(struct slot *slot, const uint8_t *model)
{
	const struct block_request *request = &slot->waiting.request;

	if (!slot->busy || !slot->waiting.done)
		return false;
	g_assert_cmpint(slot->waiting.error, ==, 0);
	if (request->operation == BLOCK_READ)
		g_assert_true(memcmp(slot->buffer, model + request->offset, request->length) == 0);
	slot->busy = false;
	return request->operation == BLOCK_DISCARD;
}

/* Looking at what a discard left delivers others. */
static bool any_done(const struct slot *slots)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i].busy && slots[i].waiting.done)
			return true;
	return false;
}

static void random_operations(struct block *block, uint8_t *model, unsigned count)
{
	struct slot slots[SLOTS] = { 0 };
	unsigned started = 0, busy;

	for (unsigned i = 0; i < SLOTS; i++)
		slots[i].buffer = g_malloc(DISK_SIZE / SLOTS);
	do {
		for (unsigned i = 0; i < SLOTS; i++) {
			if (slots[i].busy || started >= count)
				continue;
			start_random(block, &slots[i], i, model);
			started++;
		}
		block_kick(block);
		if (block_poll(block) == 0 && !any_done(slots)) {
			struct pollfd event = { .fd = block_event_fd(block), .events = POLLIN };

			g_assert_cmpint(poll(&event, 1, 20000), ==, 1);
			block_poll(block);
		}
		busy = 0;
		for (unsigned i = 0; i < SLOTS; i++) {
			if (finish_random(&slots[i], model))
				settle_discard(block, &slots[i].waiting.request, model);
			busy += slots[i].busy;
		}
	} while (busy || started < count);
	for (unsigned i = 0; i < SLOTS; i++)
		g_free(slots[i].buffer);
}

static void qemu_writes(const struct folder *folder, uint8_t *model)
{
	g_autoptr(GString) command = g_string_new("qemu-io -f qcow2 disk.qcow2");

	for (unsigned i = 0; i < 8; i++) {
		uint64_t offset = (uint64_t)g_test_rand_int_range(0, DISK_SIZE / 512 - 300) * 512;
		uint64_t length = (uint64_t)g_test_rand_int_range(1, 300) * 512;
		bool zero = g_test_rand_int_range(0, 3) == 0;
		uint8_t value = zero ? 0 : (uint8_t)g_test_rand_int();

		g_autofree char *how = zero ? g_strdup("-z -u") : g_strdup_printf("-P %u", value);

		g_string_append_printf(command, " -c 'write %s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "'", how,
				       offset, length);
		memset(model + offset, value, length);
	}
	g_assert_cmpint(tool(folder, NULL, "%s", command->str), ==, 0);
}

static void judge(const struct folder *folder, const uint8_t *model)
{
	g_autofree char *raw = folder_file(folder, "model.raw"), *path = folder_file(folder, "disk.qcow2");
	struct image_check check;
	GError *error = NULL;

	g_assert_true(g_file_set_contents(raw, (const char *)model, DISK_SIZE, NULL));
	g_assert_cmpint(tool(folder, NULL, "qemu-img check -f qcow2 disk.qcow2"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-img compare -f qcow2 -F raw disk.qcow2 model.raw"), ==, 0);
	g_assert_true(image_check(path, 0, &check, &error));
	g_assert_no_error(error);
	g_assert_cmpuint(check.corruptions, ==, 0);
	g_assert_cmpuint(check.leaks, ==, 0);
}

static void test_random(struct folder *folder, gconstpointer data)
{
	const struct variant *variant = data;
	g_autofree uint8_t *model = g_malloc0(DISK_SIZE), *whole = g_malloc(DISK_SIZE);
	g_autofree char *path = make(folder, variant, model);

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct block_options options = { .path = path, .cache = variant->cache,
						 .no_io_uring = variant->threads };
		GError *error = NULL;
		struct block *block = block_open(&options, &error);

		g_assert_no_error(error);
		g_assert_cmpuint(block_size(block), ==, DISK_SIZE);
		g_assert_cmpint(run(block, BLOCK_READ, 0, whole, DISK_SIZE), ==, 0);
		g_assert_true(memcmp(whole, model, DISK_SIZE) == 0);
		random_operations(block, model, 150);
		g_assert_cmpint(run(block, BLOCK_READ, 0, whole, DISK_SIZE), ==, 0);
		g_assert_true(memcmp(whole, model, DISK_SIZE) == 0);
		block_close(block);
		judge(folder, model);
		qemu_writes(folder, model);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
		g_autofree char *path = g_strconcat("/qcow2/random/", variants[i].name, NULL);

		g_test_add(path, struct folder, &variants[i], folder_set_up, test_random, folder_tear_down);
	}
	return g_test_run();
}
