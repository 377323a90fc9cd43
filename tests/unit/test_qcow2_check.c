/* Our check of qcow2 images against QEMU's, on images that are damaged at random: neither may miss what it sees. */
#include "../../vmm/block/qcow2/format.h"
#include "qcow2_fixture.h"

#define DISK_SIZE (1u << 20)
#define DAMAGED 16 /* images, unless ORIEL_CHECK_IMAGES says otherwise */

struct variant {
	const char *name, *options;
	bool snapshots, packed;
};

struct image {
	uint8_t *bytes;
	gsize length;
	unsigned cluster_bits, refcount_bits;
	bool extended;
	GArray *entries;   /* uint64_t: where tables have 64-bit numbers, */
	GArray *refcounts; /* where there are refcounts, */
	GArray *others;    /* and bytes of the snapshot table and the like */
};

static void make(const struct folder *folder, const struct variant *variant)
{
	g_assert_cmpint(tool(folder, NULL, "qemu-img create -q -f qcow2 %s disk.qcow2 %u", variant->options,
			     DISK_SIZE), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-io -f qcow2 -c 'write -P 1 0 300k' -c 'write -z 100k 70k' "
			     "-c 'write -P 2 700k 90k' disk.qcow2"), ==, 0);
	if (variant->packed)
		g_assert_cmpint(tool(folder, NULL, "qemu-io -f qcow2 -c 'write -c -P 3 512k 64k' "
				     "-c 'write -c -P 4 576k 64k' disk.qcow2"), ==, 0);
	if (!variant->snapshots)
		return;
	g_assert_cmpint(tool(folder, NULL, "qemu-img snapshot -c one disk.qcow2"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-io -f qcow2 -c 'write -P 5 20k 100k' disk.qcow2"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-img snapshot -c two disk.qcow2"), ==, 0);
	g_assert_cmpint(tool(folder, NULL, "qemu-io -f qcow2 -c 'write -P 6 200k 10k' disk.qcow2"), ==, 0);
}

static void add_range(GArray *to, uint64_t start, uint64_t end, unsigned step)
{
	for (; start < end; start += step)
		g_array_append_val(to, start);
}

static void add_l1(struct image *image, uint64_t offset, uint64_t entries)
{
	uint64_t cluster_size = 1ull << image->cluster_bits;

	add_range(image->entries, offset, offset + entries * 8, 8);
	for (uint64_t i = 0; i < entries; i++) {
		uint64_t table = qcow2_get64(image->bytes + offset + i * 8) & QCOW2_OFFSET_MASK;

		if (table)
			add_range(image->entries, table, table + MIN(cluster_size, 512), 8);
	}
}

static void survey(struct image *image)
{
	uint64_t snapshots = qcow2_get64(image->bytes + 64), count = qcow2_get32(image->bytes + 60), at = snapshots;
	uint64_t table = qcow2_get64(image->bytes + 48), used;
	bool version_3 = qcow2_get32(image->bytes + 4) == 3;

	image->cluster_bits = qcow2_get32(image->bytes + 20);
	image->refcount_bits = version_3 ? 1u << qcow2_get32(image->bytes + 96) : 16;
	image->extended = version_3 && qcow2_get64(image->bytes + 72) & QCOW2_EXTENDED_L2;
	add_l1(image, qcow2_get64(image->bytes + 40), qcow2_get32(image->bytes + 36));
	for (uint64_t i = 0; i < count; i++) {
		const uint8_t *raw = image->bytes + at;

		add_l1(image, qcow2_get64(raw), qcow2_get32(raw + 8));
		at += (40ull + qcow2_get16(raw + 12) + qcow2_get16(raw + 14) + qcow2_get32(raw + 36) + 7) & ~7ull;
	}
	add_range(image->others, snapshots, at, 1);
	add_range(image->entries, table, table + 64, 8);
	used = (image->length >> image->cluster_bits) * image->refcount_bits / 8;
	used = MIN(used + 4, 1ull << image->cluster_bits);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t block = qcow2_get64(image->bytes + table + i * 8);

		if (block)
			add_range(image->refcounts, block, block + used, 1);
	}
}

/* A place that holds something, most of the time. */
static uint64_t choose(const struct image *image, const GArray *places)
{
	uint64_t at = 0;

	for (unsigned tries = 0; tries < 20; tries++) {
		at = g_array_index(places, uint64_t, g_test_rand_int_range(0, (gint32)places->len));
		if (at + 8 <= image->length && qcow2_get64(image->bytes + at))
			return at;
	}
	return MIN(at, image->length - 8);
}

static void damage_entry(const struct image *image, uint8_t *bytes)
{
	uint64_t at = choose(image, image->entries), other = choose(image, image->entries);
	uint64_t value = qcow2_get64(bytes + at);

	switch (g_test_rand_int_range(0, 6)) {
	case 0:
		value ^= QCOW2_COPIED;
		break;
	case 1:
		value = 0;
		break;
	case 2:
		value = qcow2_get64(bytes + other);
		break;
	case 3:
		value ^= 1ull << g_test_rand_int_range(0, 64);
		break;
	case 4:
		value += (uint64_t)g_test_rand_int_range(-3, 4) << image->cluster_bits;
		break;
	default:
		value ^= 1ull << g_test_rand_int_range((gint32)image->cluster_bits, 22);
	}
	qcow2_put64(bytes + at, value);
}

/* Whether it is damage that QEMU need not see: sizes of snapshots, and bitmaps of extended entries. */
static bool damage(const struct image *image, uint8_t *bytes)
{
	unsigned kind = (unsigned)g_test_rand_int_range(0, 8);
	uint64_t at;

	if (kind < 5) {
		damage_entry(image, bytes);
	} else if (kind < 7 || !image->others->len) {
		at = choose(image, image->refcounts);
		bytes[at] = (uint8_t)(bytes[at] + g_test_rand_int_range(-2, 3));
	} else {
		at = choose(image, image->others);
		bytes[at] ^= (uint8_t)(1 << g_test_rand_int_range(0, 8));
		return true;
	}
	return image->extended;
}

enum verdict {
	SOUND,
	LEAKS,
	CORRUPT,
};

static enum verdict qemu_verdict(const struct folder *folder, char **output)
{
	switch (tool(folder, output, "qemu-img check -f qcow2 damaged.qcow2")) {
	case 0:
		return SOUND;
	case 3:
		return LEAKS;
	default:
		return CORRUPT;
	}
}

static enum verdict our_verdict(const char *path)
{
	struct image_check check;
	g_autoptr(GError) error = NULL;

	if (!image_check(path, 0, &check, &error) || check.corruptions)
		return CORRUPT;
	return check.leaks ? LEAKS : SOUND;
}

static void test_damage(struct folder *folder, gconstpointer data)
{
	static const char *const names[] = { "sound", "leaks", "corrupt" };
	const char *wish = g_getenv("ORIEL_CHECK_IMAGES");
	unsigned count = wish ? (unsigned)g_ascii_strtoull(wish, NULL, 10) : DAMAGED;
	g_autofree char *path = folder_file(folder, "damaged.qcow2"), *original = folder_file(folder, "disk.qcow2");
	struct image image = { 0 };
	GArray **places[] = { &image.entries, &image.refcounts, &image.others };

	make(folder, data);
	g_assert_true(g_file_get_contents(original, (char **)&image.bytes, &image.length, NULL));
	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++)
		*places[i] = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	survey(&image);
	for (unsigned i = 0; i < count; i++) {
		g_autofree uint8_t *bytes = g_memdup2(image.bytes, image.length);
		g_autofree char *output = NULL;
		enum verdict qemu, ours;
		bool special = false;

		for (int times = g_test_rand_int_range(0, 3); times >= 0; times--)
			special |= damage(&image, bytes);
		g_assert_true(g_file_set_contents(path, (char *)bytes, (gssize)image.length, NULL));
		qemu = qemu_verdict(folder, &output);
		ours = our_verdict(path);
		if (ours < qemu || (ours > qemu && !special))
			g_error("image %u is %s, but QEMU says that it is %s: %s", i, names[ours], names[qemu],
				output);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(places); i++)
		g_array_unref(*places[i]);
	g_free(image.bytes);
}

int main(int argc, char **argv)
{
	static const struct variant variants[] = {
		{ "default", "-o compat=1.1", true, true },
		{ "version-2", "-o compat=0.10,cluster_size=4k", true, true },
		{ "cluster-512", "-o cluster_size=512", true },
		{ "refcount-1", "-o refcount_bits=1,cluster_size=4k" },
		{ "refcount-64", "-o refcount_bits=64,cluster_size=1k", true },
		{ "extended", "-o extended_l2=on,cluster_size=16k", true, true },
	};

	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	g_log_set_handler("oriel", G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_WARNING, ignore_message, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
		g_autofree char *path = g_strconcat("/qcow2-check/", variants[i].name, NULL);

		g_test_add(path, struct folder, &variants[i], folder_set_up, test_damage, folder_tear_down);
	}
	return g_test_run();
}
