/*
 * Images against QEMU's tools: random sequences of everything that can happen to an image, each step done either by
 * us or by QEMU, while an array says what the disk has to read as; at the end both must read that, and both must find
 * the image sound.
 *
 * Arguments: how many sequences, and the number of the first (which is its seed).
 */
#include "qcow2_fixture.h"

#include <stdlib.h>

#define MODEL_MAX (8u << 20)
#define SNAPSHOTS_MAX 3
#define GROUP 4 /* our requests in flight */

struct config {
	unsigned version, cluster_size, refcount_bits;
	bool extended, lazy, zstd, metadata, external, external_raw;
};

struct snapshot {
	char *name;
	uint8_t *model;
	uint64_t size;
};

struct disk {
	struct folder folder;
	GRand *random;
	GString *log; /* what was done so far */
	unsigned seed;
	struct config config;
	uint8_t *model;
	uint64_t size;
	bool backed, bitmaps;
	struct snapshot snapshots[SNAPSHOTS_MAX];
	unsigned snapshot_count, names;
};

static void fail(const struct disk *disk, const char *format, ...) G_GNUC_PRINTF(2, 3) G_GNUC_NORETURN;

static void fail(const struct disk *disk, const char *format, ...)
{
	g_autofree char *what = NULL;
	va_list list;

	va_start(list, format);
	what = g_strdup_vprintf(format, list);
	va_end(list);
	g_printerr("Sequence %u in %s:\n%s", disk->seed, disk->folder.path, disk->log->str);
	g_error("%s", what);
	abort();
}

static void note(struct disk *disk, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void note(struct disk *disk, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	g_string_append_vprintf(disk->log, format, list);
	va_end(list);
	g_string_append_c(disk->log, '\n');
}

static uint64_t below(struct disk *disk, uint64_t end)
{
	return (uint64_t)g_rand_int(disk->random) % end;
}

static bool chance(struct disk *disk, unsigned of)
{
	return below(disk, of) == 0;
}

static void qemu(struct disk *disk, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void qemu(struct disk *disk, const char *format, ...)
{
	g_autofree char *command = NULL, *output = NULL;
	va_list list;

	va_start(list, format);
	command = g_strdup_vprintf(format, list);
	va_end(list);
	note(disk, "%s", command);
	if (tool(&disk->folder, &output, "%s", command))
		fail(disk, "%s: %s", command, output);
}

static void ours(struct disk *disk, bool done, GError *error, const char *what)
{
	if (!done)
		fail(disk, "%s: %s", what, error->message);
}

#define OURS(disk, call)                                                                                               \
	do {                                                                                                           \
		GError *failure = NULL;                                                                                \
		bool result;                                                                                           \
		note(disk, "%s", #call);                                                                               \
		result = (call);                                                                                       \
		ours(disk, result, failure, #call);                                                                    \
	} while (0)

static void fill(struct disk *disk, uint8_t *buffer, uint64_t length)
{
	uint8_t step = (uint8_t)below(disk, 256), value = (uint8_t)below(disk, 256);

	/* Some of it can be compressed. */
	if (below(disk, 3))
		step = 0;
	for (uint64_t i = 0; i < length; i++)
		buffer[i] = value = (uint8_t)(step ? value * 5 + (step | 1) : value);
}

/* --- Judging --- */

static struct block *open_disk(struct disk *disk, bool read_only)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2");
	struct block_options options = { .path = path, .read_only = read_only };
	GError *error = NULL;
	struct block *block = block_open(&options, &error);

	if (!block)
		fail(disk, "open: %s", error->message);
	if (block_size(block) != disk->size)
		fail(disk, "size %" G_GUINT64_FORMAT " instead of %" G_GUINT64_FORMAT, block_size(block), disk->size);
	return block;
}

static void read_all(struct disk *disk, uint8_t *buffer)
{
	struct block *block = open_disk(disk, true);
	int error = run(block, BLOCK_READ, 0, buffer, disk->size);

	if (error)
		fail(disk, "read: %s", g_strerror(error));
	block_close(block);
}

static void judge_ours(struct disk *disk)
{
	g_autofree uint8_t *buffer = g_malloc(disk->size);

	read_all(disk, buffer);
	for (uint64_t at = 0; at < disk->size; at += 512)
		if (memcmp(buffer + at, disk->model + at, 512) != 0)
			fail(disk, "we read something else at %#" G_GINT64_MODIFIER "x: %#x instead of %#x", at,
			     buffer[at], disk->model[at]);
}

static void judge_qemu(struct disk *disk)
{
	g_autofree char *path = folder_file(&disk->folder, "model.raw"), *output = NULL;

	g_assert_true(g_file_set_contents(path, (char *)disk->model, (gssize)disk->size, NULL));
	/* That sizes differ is a mere remark of it. */
	if (tool(&disk->folder, &output, "qemu-img compare -f qcow2 -F raw disk.qcow2 model.raw") ||
	    strstr(output, "size mismatch"))
		fail(disk, "qemu-img reads something else: %s", output);
}

static void judge_check(struct disk *disk)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2"), *output = NULL;
	struct image_check check;

	qemu(disk, "qemu-img check -q -f qcow2 disk.qcow2");
	OURS(disk, image_check(path, 0, &check, &failure));
	if (check.corruptions || check.leaks)
		fail(disk, "we find errors: %" G_GUINT64_FORMAT ", leaks: %" G_GUINT64_FORMAT, check.corruptions,
		     check.leaks);
	if (!disk->bitmaps)
		return;
	tool(&disk->folder, &output, "qemu-img info disk.qcow2");
	if (!strstr(output, "kept"))
		fail(disk, "the bitmap is gone: %s", output);
}

/* An external raw file is the disk; QEMU may make it longer. */
static void judge_data_file(struct disk *disk)
{
	if (disk->config.external_raw)
		qemu(disk, "qemu-img compare -f raw -F raw data.raw model.raw");
}

/* Each discarded sector reads as what it was, or as zeroes. */
static void settle_discards(struct disk *disk, const uint8_t *discarded)
{
	static const uint8_t zeroes[512];
	g_autofree uint8_t *buffer = g_malloc(disk->size);

	read_all(disk, buffer);
	for (uint64_t at = 0; at < disk->size; at += 512)
		if (discarded[at / 512] && memcmp(buffer + at, zeroes, 512) == 0)
			memset(disk->model + at, 0, 512);
}

/* --- Guest I/O --- */

struct change {
	enum block_operation operation;
	uint64_t offset, length;
	uint8_t value; /* QEMU writes one byte all over */
};

/* Somewhere in [start, end). */
static struct change random_change(struct disk *disk, uint64_t start, uint64_t end)
{
	static const enum block_operation operations[] = { BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE, BLOCK_WRITE_ZEROES,
							   BLOCK_DISCARD };
	struct change change = { .operation = operations[below(disk, G_N_ELEMENTS(operations))] };
	uint64_t unit = chance(disk, 3) ? disk->config.cluster_size : 512, most;

	change.offset = start + below(disk, end - start);
	change.offset &= ~(unit - 1);
	change.offset = MAX(change.offset, start);
	most = chance(disk, 3) ? end - change.offset : MIN(end - change.offset, 4ull * disk->config.cluster_size);
	change.length = 512 + below(disk, most) / unit * unit;
	change.length = MIN(change.length, end - change.offset);
	change.value = (uint8_t)below(disk, 256);
	return change;
}

static void change_model(struct disk *disk, const struct change *change, uint8_t *discarded)
{
	bool discard = change->operation == BLOCK_DISCARD;

	if (!discard)
		memset(disk->model + change->offset, change->operation == BLOCK_WRITE ? change->value : 0,
		       change->length);
	memset(discarded + change->offset / 512, discard, change->length / 512);
}

static void add_command(GString *command, const char *verb, const struct change *change)
{
	g_string_append_printf(command, " -c '%s", verb);
	if (change->operation == BLOCK_WRITE)
		g_string_append_printf(command, " -P %u", change->value);
	g_string_append_printf(command, " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT "'", change->offset,
			       change->length);
}

/*
 * Compressed clusters. QEMU puts them only where nothing is allocated, cannot discard in version 2 what has a backing
 * image, and damages the image if it frees and then compresses within one session; so they are different ones, before
 * everything else.
 */
static void pack_qemu(struct disk *disk, GString *command, uint8_t *discarded)
{
	uint64_t cluster = disk->config.cluster_size, at = below(disk, disk->size) & ~(cluster - 1);

	if (disk->config.external || (disk->backed && disk->config.version == 2))
		return;
	for (unsigned i = 0; i < 4 && at < disk->size; i++, at += cluster) {
		struct change change = { BLOCK_DISCARD, at, MIN(cluster, disk->size - at), (uint8_t)below(disk, 256) };

		add_command(command, "discard", &change);
		change.operation = BLOCK_WRITE;
		add_command(command, "write -c", &change);
		change_model(disk, &change, discarded);
	}
}

static void io_qemu(struct disk *disk, unsigned count, uint8_t *discarded)
{
	static const char *const verbs[BLOCK_OPERATIONS] = {
		[BLOCK_WRITE] = "write", [BLOCK_WRITE_ZEROES] = "write -z", [BLOCK_DISCARD] = "discard",
	};
	g_autoptr(GString) command = g_string_new("qemu-io -d unmap -f qcow2");

	if (chance(disk, 3))
		pack_qemu(disk, command, discarded);
	for (unsigned i = 0; i < count; i++) {
		struct change change = random_change(disk, 0, disk->size);
		bool unmap = change.operation == BLOCK_WRITE_ZEROES && chance(disk, 2);

		add_command(command, unmap ? "write -z -u" : verbs[change.operation], &change);
		change_model(disk, &change, discarded);
	}
	g_string_append(command, " disk.qcow2");
	qemu(disk, "%s", command->str);
}

static void io_ours(struct disk *disk, unsigned count, uint8_t *discarded)
{
	struct block *block = open_disk(disk, false);
	uint64_t share = disk->size / 512 / GROUP * 512;

	note(disk, "we write");
	for (unsigned i = 0; i < count; i += GROUP) {
		struct waiting waiting[GROUP] = { 0 };
		uint8_t *buffers[GROUP];

		for (unsigned j = 0; j < GROUP; j++) {
			uint64_t start = share ? j * share : 0, end = share && j + 1 < GROUP ? start + share : disk->size;
			struct change change = random_change(disk, start, end);

			buffers[j] = g_malloc(change.length);
			note(disk, "\t%d %#" G_GINT64_MODIFIER "x %#" G_GINT64_MODIFIER "x", change.operation,
			     change.offset, change.length);
			change_model(disk, &change, discarded);
			if (change.operation == BLOCK_WRITE) {
				fill(disk, buffers[j], change.length);
				memcpy(disk->model + change.offset, buffers[j], change.length);
			}
			waiting[j].iov[0] = (struct iovec){ buffers[j], change.length };
			waiting[j].request = (struct block_request){
				.operation = change.operation, .offset = change.offset, .length = change.length,
				.iov = waiting[j].iov, .iov_count = 1, .done = request_done,
				.force_unit_access = chance(disk, 8),
			};
			block_submit(block, &waiting[j].request);
			if (!share)
				block_drain(block);
		}
		block_drain(block);
		for (unsigned j = 0; j < GROUP; j++) {
			if (waiting[j].error)
				fail(disk, "a request failed: %s", g_strerror(waiting[j].error));
			g_free(buffers[j]);
		}
		if (chance(disk, 4))
			run(block, BLOCK_FLUSH, 0, NULL, 0);
	}
	block_close(block);
}

static void do_io(struct disk *disk, bool by_us)
{
	g_autofree uint8_t *discarded = g_malloc0(MODEL_MAX / 512);
	unsigned count = 1 + (unsigned)below(disk, 20);

	(by_us ? io_ours : io_qemu)(disk, count, discarded);
	settle_discards(disk, discarded);
}

/* --- Snapshots --- */

static void forget_snapshot(struct disk *disk, unsigned index)
{
	g_free(disk->snapshots[index].name);
	g_free(disk->snapshots[index].model);
	disk->snapshots[index] = disk->snapshots[--disk->snapshot_count];
}

/*
 * Refcounts that cannot grow are a reason not to have a snapshot, also because a cluster can hold many compressed ones.
 * QEMU then leaves clusters behind.
 */
static bool excused(struct disk *disk, bool by_us)
{
	if (disk->config.refcount_bits > 8)
		return false;
	if (!by_us)
		tool(&disk->folder, NULL, "qemu-img check -q -r leaks disk.qcow2");
	return true;
}

static bool make_snapshot(struct disk *disk, const char *name, bool by_us)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2"), *output = NULL;
	g_autoptr(GError) error = NULL;
	bool done;

	note(disk, "%s make the snapshot %s", by_us ? "we" : "they", name);
	if (by_us)
		done = image_snapshot_create(path, name, &error);
	else
		done = tool(&disk->folder, &output, "qemu-img snapshot -q -c %s disk.qcow2", name) == 0;
	if (done || excused(disk, by_us))
		return done;
	fail(disk, "snapshot: %s", by_us ? error->message : output);
}

static void do_snapshot(struct disk *disk, bool by_us)
{
	struct snapshot *snapshot = &disk->snapshots[disk->snapshot_count];

	if (disk->config.external || disk->snapshot_count >= SNAPSHOTS_MAX)
		return;
	snapshot->name = g_strdup_printf("snap%u", disk->names++);
	if (!make_snapshot(disk, snapshot->name, by_us)) {
		g_free(snapshot->name);
		return;
	}
	snapshot->model = g_memdup2(disk->model, MODEL_MAX);
	snapshot->size = disk->size;
	disk->snapshot_count++;
}

static void do_apply(struct disk *disk, bool by_us)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2"), *output = NULL;
	g_autoptr(GError) error = NULL;
	const struct snapshot *snapshot;
	bool done;

	if (!disk->snapshot_count)
		return;
	snapshot = &disk->snapshots[below(disk, disk->snapshot_count)];
	/* QEMU does neither change the size on the way, nor apply snapshots where there are bitmaps. */
	by_us |= snapshot->size != disk->size || disk->bitmaps;
	note(disk, "%s apply %s", by_us ? "we" : "they", snapshot->name);
	if (by_us)
		done = image_snapshot_apply(path, snapshot->name, &error);
	else
		done = tool(&disk->folder, &output, "qemu-img snapshot -q -a %s disk.qcow2", snapshot->name) == 0;
	if (!done && excused(disk, by_us))
		return;
	if (!done)
		fail(disk, "apply: %s", by_us ? error->message : output);
	memcpy(disk->model, snapshot->model, MODEL_MAX);
	disk->size = snapshot->size;
}

static void do_delete(struct disk *disk, bool by_us)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2");
	unsigned index;

	if (!disk->snapshot_count)
		return;
	index = (unsigned)below(disk, disk->snapshot_count);
	note(disk, "delete %s", disk->snapshots[index].name);
	if (by_us)
		OURS(disk, image_snapshot_delete(path, disk->snapshots[index].name, &failure));
	else
		qemu(disk, "qemu-img snapshot -q -d %s disk.qcow2", disk->snapshots[index].name);
	forget_snapshot(disk, index);
}

/* --- Size, backing images, copies --- */

static void do_resize(struct disk *disk, bool by_us)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2");
	uint64_t size = 512 * (1 + below(disk, MODEL_MAX / 512 / 2)), more = 512 * below(disk, 512);

	/* QEMU shrinks no image with snapshots, and neither resizes an image of version 2 with them, or bitmaps. */
	if (disk->bitmaps || (disk->snapshot_count && (disk->config.version == 2 || (!by_us && size < disk->size))))
		return;
	/* QEMU cannot hide what a longer backing image has without the zero flag of version 3. */
	by_us |= disk->config.version == 2 && disk->backed;
	if (chance(disk, 2))
		size = MIN(disk->size + more, MODEL_MAX);
	note(disk, "resize to %" G_GUINT64_FORMAT, size);
	if (by_us)
		OURS(disk, image_resize(path, size, true, IMAGE_PREALLOCATION_OFF, NULL, NULL, &failure));
	else
		qemu(disk, "qemu-img resize -q --shrink -f qcow2 disk.qcow2 %" G_GUINT64_FORMAT, size);
	if (size > disk->size)
		memset(disk->model + disk->size, 0, size - disk->size);
	disk->size = size;
}

static void do_commit(struct disk *disk, bool by_us)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2");

	/* Snapshots would see the new contents of the backing image. */
	if (!disk->backed || disk->snapshot_count)
		return;
	if (by_us)
		OURS(disk, image_commit(path, NULL, NULL, &failure));
	else
		qemu(disk, "qemu-img commit -q -f qcow2 disk.qcow2");
}

static void make_base(struct disk *disk, const char *name, uint8_t *model)
{
	g_autofree char *path = folder_file(&disk->folder, name);
	uint64_t size = chance(disk, 3) ? disk->size : 512 * (1 + below(disk, MODEL_MAX / 512 / 2));

	memset(model, 0, MODEL_MAX);
	for (uint64_t at = 0; at < size; at += 4096)
		if (chance(disk, 3))
			fill(disk, model + at, MIN(4096, size - at));
	g_assert_true(g_file_set_contents(path, (char *)model, (gssize)size, NULL));
}

static void do_rebase(struct disk *disk, bool by_us)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2");
	g_autofree uint8_t *unused = g_malloc(MODEL_MAX);
	bool none = chance(disk, 3);

	if (!disk->backed || disk->snapshot_count)
		return;
	if (!none)
		make_base(disk, "new-base.raw", unused);
	if (by_us)
		OURS(disk, image_rebase(path, none ? NULL : "new-base.raw", BLOCK_FORMAT_RAW, false, NULL, NULL,
					&failure));
	else
		qemu(disk, none ? "qemu-img rebase -q -f qcow2 -b '' disk.qcow2" :
				  "qemu-img rebase -q -f qcow2 -F raw -b new-base.raw disk.qcow2");
	if (!none) {
		/* The next time, another one has that name. */
		qemu(disk, "mv new-base.raw used-%u.raw", disk->names);
		qemu(disk, "qemu-img rebase -q -u -f qcow2 -F raw -b used-%u.raw disk.qcow2", disk->names++);
	}
	disk->backed = !none;
}

static void do_compact(struct disk *disk, bool by_us)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2");

	(void)by_us;
	OURS(disk, image_compact(path, NULL, NULL, &failure));
}

static void do_bitmap(struct disk *disk, bool by_us)
{
	(void)by_us;
	if (disk->bitmaps || disk->config.version == 2)
		return;
	qemu(disk, "qemu-img bitmap --add disk.qcow2 kept");
	disk->bitmaps = true;
}

/* --- Images --- */

static struct config random_config(struct disk *disk)
{
	struct config config = { .version = chance(disk, 5) ? 2 : 3, .refcount_bits = 16 };
	bool new = config.version == 3;

	config.cluster_size = 512u << below(disk, 13);
	config.extended = new && chance(disk, 3);
	if (config.extended)
		config.cluster_size = MAX(config.cluster_size, 16384);
	if (new)
		config.refcount_bits = 1u << below(disk, 7);
	config.lazy = new && chance(disk, 3);
	config.zstd = new && chance(disk, 3);
	config.external = new && chance(disk, 6);
	config.metadata = chance(disk, 6);
	return config;
}

/* As options of qemu-img. */
static char *describe(const struct config *config)
{
	if (config->version == 2)
		return g_strdup_printf("compat=0.10,cluster_size=%u%s", config->cluster_size,
				       config->metadata ? ",preallocation=metadata" : "");
	return g_strdup_printf("compat=1.1,cluster_size=%u,refcount_bits=%u,extended_l2=%s,lazy_refcounts=%s,"
			       "compression_type=%s%s%s%s", config->cluster_size, config->refcount_bits,
			       config->extended ? "on" : "off", config->lazy ? "on" : "off",
			       config->zstd ? "zstd" : "zlib", config->external ? ",data_file=data.raw" : "",
			       config->external_raw ? ",data_file_raw=on" : "",
			       config->metadata ? ",preallocation=metadata" : "");
}

static struct image_create_options create_options(const struct config *config)
{
	return (struct image_create_options){
		.version = config->version, .cluster_size = config->cluster_size,
		.refcount_bits = config->refcount_bits, .extended_l2 = config->extended,
		.lazy_refcounts = config->lazy,
		.compression = config->zstd ? IMAGE_COMPRESSION_ZSTD : IMAGE_COMPRESSION_ZLIB,
		.preallocation = config->metadata ? IMAGE_PREALLOCATION_METADATA : IMAGE_PREALLOCATION_OFF,
		.data_path = config->external ? "data.raw" : NULL, .data_raw = config->external_raw,
	};
}

static void do_convert(struct disk *disk, bool by_us)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2"), *to = folder_file(&disk->folder, "new.qcow2");
	struct image_convert_options options = { .source = path, .compress = chance(disk, 2) };
	struct config config = random_config(disk);
	g_autofree char *text = NULL;

	/* Data files would have to change names too. */
	if (disk->config.external)
		return;
	config.external = config.metadata = false;
	text = describe(&config);
	options.target = create_options(&config);
	options.target.path = to;
	note(disk, "convert to %s", text);
	if (by_us)
		OURS(disk, image_convert(&options, &failure));
	else
		qemu(disk, "qemu-img convert -f qcow2 -O qcow2 %s -o %s disk.qcow2 new.qcow2",
		     options.compress ? "-c" : "", text);
	qemu(disk, "mv new.qcow2 disk.qcow2");
	while (disk->snapshot_count)
		forget_snapshot(disk, 0);
	disk->config = config;
	disk->backed = disk->bitmaps = false;
}

/* A raw file, a qcow2 image of it, or another one on top of that. */
static const char *make_chain(struct disk *disk)
{
	static const char *const compression[] = { "", "-c", "-c -o compression_type=zstd" };
	uint64_t kind = below(disk, 3);

	make_base(disk, "base.raw", disk->model);
	if (kind == 0)
		return "base.raw";
	qemu(disk, "qemu-img convert %s -o cluster_size=%u -O qcow2 -f raw base.raw base.qcow2",
	     compression[below(disk, 3)], 512u << below(disk, 13));
	if (kind == 1)
		return "base.qcow2";
	qemu(disk, "qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 -o cluster_size=4k middle.qcow2 %u",
	     MODEL_MAX / 2);
	qemu(disk, "qemu-io -f qcow2 -c 'write -P 7 8k 40k' -c 'write -z 100k 20k' middle.qcow2");
	memset(disk->model + 8192, 7, 40960);
	memset(disk->model + 102400, 0, 20480);
	return "middle.qcow2";
}

static void create(struct disk *disk)
{
	g_autofree char *path = folder_file(&disk->folder, "disk.qcow2"), *text = NULL;
	const char *base = NULL;
	struct image_create_options options;

	disk->config = random_config(disk);
	disk->size = 512 * (1 + below(disk, MIN(40ull * disk->config.cluster_size, MODEL_MAX / 2) / 512));
	if (chance(disk, 2) && !disk->config.metadata)
		base = make_chain(disk);
	disk->config.external_raw = disk->config.external && !base && chance(disk, 2);
	disk->backed = base != NULL;
	text = describe(&disk->config);
	if (base)
		memset(disk->model + disk->size, 0, MODEL_MAX - disk->size);
	note(disk, "%s", text);
	if (chance(disk, 2)) {
		options = create_options(&disk->config);
		options.path = path;
		options.size = disk->size;
		options.backing_path = base;
		OURS(disk, image_create(&options, &failure));
	} else if (base) {
		qemu(disk, "qemu-img create -q -f qcow2 -o %s -b %s -F %s disk.qcow2 %" G_GUINT64_FORMAT, text, base,
		     strchr(base, 'q') ? "qcow2" : "raw", disk->size);
	} else {
		qemu(disk, "qemu-img create -q -f qcow2 -o %s disk.qcow2 %" G_GUINT64_FORMAT, text, disk->size);
	}
}

/* --- Sequences --- */

static const struct {
	unsigned weight;
	void (*run)(struct disk *disk, bool by_us);
} steps[] = {
	{ 12, do_io }, { 3, do_snapshot }, { 2, do_apply }, { 2, do_delete }, { 3, do_resize }, { 2, do_commit },
	{ 2, do_rebase }, { 1, do_compact }, { 1, do_convert }, { 1, do_bitmap },
};

static void random_step(struct disk *disk)
{
	unsigned total = 0, pick;
	size_t i = 0;

	for (size_t j = 0; j < G_N_ELEMENTS(steps); j++)
		total += steps[j].weight;
	for (pick = (unsigned)below(disk, total); pick >= steps[i].weight; i++)
		pick -= steps[i].weight;
	steps[i].run(disk, chance(disk, 2));
	judge_ours(disk);
}

static void run_sequence(unsigned seed)
{
	struct disk disk = { .seed = seed, .random = g_rand_new_with_seed(seed), .log = g_string_new(NULL),
			     .model = g_malloc0(MODEL_MAX) };
	uint64_t count;

	folder_set_up(&disk.folder, NULL);
	create(&disk);
	count = 2 + below(&disk, 6);
	for (uint64_t i = 0; i < count; i++)
		random_step(&disk);
	judge_ours(&disk);
	judge_qemu(&disk);
	judge_data_file(&disk);
	judge_check(&disk);
	while (disk.snapshot_count) {
		do_apply(&disk, chance(&disk, 2));
		judge_ours(&disk);
		do_delete(&disk, chance(&disk, 2));
		judge_check(&disk);
	}
	folder_tear_down(&disk.folder, NULL);
	g_rand_free(disk.random);
	g_string_free(disk.log, TRUE);
	g_free(disk.model);
}

static unsigned sequences, first;

static void test_sequences(void)
{
	for (unsigned i = 0; i < sequences; i++)
		run_sequence(first + i);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	sequences = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 40;
	first = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1;
	folder_use_memory();
	g_test_add_func("/differential/sequences", test_sequences);
	return g_test_run();
}
