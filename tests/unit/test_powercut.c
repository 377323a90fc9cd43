/*
 * Power cuts: random guest I/O, snapshots, changes of size, compressed clusters, closing and opening, recorded by
 * power_session.h. The files as a cut at any point may leave them must be sound but for leaks, open (which mends the
 * leaks, and may be cut as well), and have everything that was flushed.
 *
 * ORIEL_POWERCUT_CUTS sets how many cuts are tried per session (0: one at every point), ORIEL_POWERCUT_SESSIONS how
 * many sessions there are per kind of image. The seed is printed; --seed repeats a run.
 */
#include "power_session.h"

/* --- What a cut may leave --- */

struct moment {
	guint cut;     /* events */
	guint flushed; /* what ended before is on stable storage */
	const struct change *change; /* that was cut, or NULL */
	bool changed;  /* it is supposed to have happened, or else not to */
};

/* Whether the value may come from there; *final: nothing from before may. */
static bool explains(const struct operation *operation, const struct moment *moment, unsigned sector, uint64_t value,
		     bool *final)
{
	*final = false;
	if (operation->submitted > moment->cut || sector < operation->start ||
	    sector >= operation->start + operation->count)
		return false;
	if (!operation->values)
		return value == 0;
	*final = operation->ended < moment->flushed || (operation->stable && operation->completed <= moment->cut);
	return value == operation->values[sector - operation->start];
}

static bool allowed(const struct session *session, const struct moment *moment, unsigned sector, uint64_t value)
{
	guint changing = moment->change ? moment->change->operation : G_MAXUINT;

	for (guint i = session->operations->len; i-- > 0;) {
		const struct operation *operation = operation_at(session, i);
		bool final;

		/* A change of contents happens at once, but shrinking begins with discarding. */
		if (i == changing && operation->values && !moment->changed)
			continue;
		if (explains(operation, moment, sector, value, &final))
			return true;
		if (final || (i == changing && operation->values && sector >= operation->start &&
			      sector < operation->start + operation->count))
			return false;
	}
	return value == session->initial[sector];
}

/* The first sector that cannot be as it is; or the number of sectors. */
static unsigned first_wrong(const struct session *session, const struct moment *moment, const uint64_t *values,
			    unsigned sectors)
{
	unsigned sector = 0;

	while (sector < sectors && allowed(session, moment, sector, values[sector]))
		sector++;
	return sector;
}

static void describe(const struct session *session, unsigned sector)
{
	for (guint i = 0; i < session->operations->len; i++) {
		const struct operation *operation = operation_at(session, i);

		if (sector >= operation->start && sector < operation->start + operation->count)
			g_printerr("sectors %u+%u: events %u to %u, time %u to %u, value %#" G_GINT64_MODIFIER "x\n",
				   operation->start, operation->count, operation->submitted, operation->completed,
				   operation->began, operation->ended, !operation->values ? UINT64_MAX :
				   operation->values[sector - operation->start]);
	}
	for (guint i = 0; i < session->flushes->len; i++) {
		const struct operation *flush = &g_array_index(session->flushes, struct operation, i);

		g_printerr("flush: events %u to %u, time %u to %u\n", flush->submitted, flush->completed,
			   flush->began, flush->ended);
	}
}

static struct moment moment_of(const struct session *session, guint cut)
{
	struct moment moment = { .cut = cut };

	for (guint i = 0; i < session->flushes->len; i++) {
		const struct operation *flush = &g_array_index(session->flushes, struct operation, i);

		if (flush->completed <= cut)
			moment.flushed = MAX(moment.flushed, flush->began);
	}
	for (guint i = 0; i < session->changes->len; i++) {
		const struct change *change = &g_array_index(session->changes, struct change, i);

		if (change->submitted < cut && change->completed > cut)
			moment.change = change;
	}
	return moment;
}

static unsigned sectors_at(const struct session *session, guint cut)
{
	unsigned sectors = SECTORS;

	for (guint i = 0; i < session->changes->len; i++) {
		const struct change *change = &g_array_index(session->changes, struct change, i);

		if (change->completed <= cut)
			sectors = change->after;
	}
	return sectors;
}

static void verify_disk(const struct session *session, struct block *block, guint cut)
{
	struct moment moment = moment_of(session, cut);
	unsigned sectors = sectors_of(block), wrong = 0;
	g_autofree uint64_t *values = read_values(block);

	if (sectors == sectors_at(session, cut))
		wrong = first_wrong(session, &moment, values, sectors);
	moment.changed = true;
	if (wrong < sectors && moment.change && sectors == moment.change->after)
		wrong = first_wrong(session, &moment, values, sectors);
	if (wrong == sectors)
		return;
	describe(session, wrong);
	g_error("after event %u, sector %u of %u has %#" G_GINT64_MODIFIER "x, which it may not", cut, wrong, sectors,
		values[wrong]);
}

static void verify_snapshot(const struct snapshot *snapshot, const char *path)
{
	struct block *block = open_image(path, true);
	g_autofree uint64_t *values = NULL;

	g_assert_true(block_snapshot_view(block, snapshot->name, NULL));
	g_assert_cmpuint(sectors_of(block), ==, snapshot->sectors);
	values = read_values(block);
	g_assert_cmpmem(values, snapshot->sectors * 8, snapshot->values, snapshot->sectors * 8);
	block_close(block);
}

static bool listed(const GArray *list, const char *name)
{
	for (guint i = 0; i < list->len; i++)
		if (strcmp(g_array_index(list, struct image_snapshot, i).name, name) == 0)
			return true;
	return false;
}

static void verify_snapshots(const struct session *session, const char *path, guint cut, bool contents)
{
	g_autoptr(GArray) list = session->snapshots->len ? image_snapshot_list(path, NULL) : NULL;

	for (guint i = 0; i < session->snapshots->len; i++) {
		const struct snapshot *snapshot = &g_array_index(session->snapshots, struct snapshot, i);
		bool there = listed(list, snapshot->name);

		if (snapshot->created.completed <= cut && snapshot->deleted.submitted >= cut)
			g_assert_true(there);
		if (snapshot->created.submitted >= cut || snapshot->deleted.completed <= cut)
			g_assert_false(there);
		if (there && contents)
			verify_snapshot(snapshot, path);
	}
}

/* --- The cuts --- */

/* most: 0, sound; 3: leaks. */
static void judge(const struct folder *folder, int most)
{
	g_autofree char *output = NULL;
	int status = tool(folder, &output, "qemu-img check -f qcow2 disk.qcow2");

	if (status != 0 && status != most)
		g_error("%s", output);
}

/* Our check, which must find no corruption, and no more leaks than that. */
static void check(const struct folder *folder, guint cut, uint64_t leaks)
{
	g_autofree char *path = folder_file(folder, recorded_names[0]), *output = NULL;
	struct image_check check;
	GError *error = NULL;

	g_assert_true(image_check(path, 0, &check, &error));
	if (check.corruptions == 0 && check.leaks <= leaks)
		return;
	tool(folder, &output, "qemu-img check -f qcow2 disk.qcow2");
	g_error("after event %u, %" G_GUINT64_FORMAT " errors and %" G_GUINT64_FORMAT " leaks; QEMU says: %s", cut,
		check.corruptions, check.leaks, output);
}

/* Opening mends what the cut left, and is cut itself. */
static void cut_again(const struct folder *folder, GRand *random)
{
	struct recorder recorder;

	recorder_init(&recorder, folder, random);
	block_close(recorder_open(&recorder, folder));
	recorder_cut(&recorder, (guint)g_rand_int_range(random, 0, (gint32)recorder_now(&recorder) + 1), random,
		     folder);
	recorder_clear(&recorder);
}

static void verify(const struct session *session, const struct folder *folder, guint cut, GRand *random)
{
	g_autofree char *path = folder_file(folder, recorded_names[0]);
	bool sampled = g_rand_int_range(random, 0, 40) == 0, lazy = session->variant->options.lazy_refcounts;
	struct recorder recorder;
	struct block *block;

	recorder_cut(&session->recorder, cut, random, folder);
	if (g_rand_int_range(random, 0, 4) == 0)
		cut_again(folder, random);
	/* Lazy refcounts are wrong until the image is opened, which the dirty bit says. */
	if (!lazy)
		check(folder, cut, UINT64_MAX);
	if (!lazy && sampled)
		judge(folder, 3);
	/* By the recorder, because it does not wait for the host's disk. */
	recorder_init(&recorder, folder, random);
	block = recorder_open(&recorder, folder);
	verify_disk(session, block, cut);
	block_close(block);
	recorder_clear(&recorder);
	check(folder, cut, 0);
	if (sampled)
		judge(folder, 0);
	verify_snapshots(session, path, cut, g_rand_int_range(random, 0, 8) == 0);
}

static void make_base(struct session *session, const struct folder *folder, struct image_create_options *options)
{
	g_autofree uint64_t *buffer = g_new0(uint64_t, BASE_SECTORS * 64);
	g_autofree char *raw = folder_file(folder, "base.raw"), *packed = folder_file(folder, "base.qcow2");
	GError *error = NULL;

	for (unsigned i = 0; i < BASE_SECTORS; i++) {
		/* With gaps. */
		session->initial[i] = i / 200 % 4 ? BASE_VALUE + i : 0;
		for (unsigned word = 0; word < 64; word++)
			buffer[i * 64 + word] = session->initial[i];
	}
	g_assert_true(g_file_set_contents(raw, (char *)buffer, BASE_SECTORS * 512, NULL));
	options->backing_path = g_steal_pointer(&raw);
	if (session->variant->packed_base) {
		g_assert_true(image_convert(&(struct image_convert_options){
			.source = options->backing_path, .target = { .path = packed }, .compress = true }, &error));
		g_free((char *)options->backing_path);
		options->backing_path = g_steal_pointer(&packed);
	}
}

static guint64 setting(const char *name, guint64 usual)
{
	const char *text = g_getenv(name);

	return text ? g_ascii_strtoull(text, NULL, 10) : usual;
}

static GArray *array_new(guint size, GDestroyNotify clear)
{
	GArray *array = g_array_new(FALSE, TRUE, size);

	g_array_set_clear_func(array, clear);
	return array;
}

static void make_image(struct session *session, const struct folder *folder)
{
	struct image_create_options options = session->variant->options;
	g_autofree char *path = folder_file(folder, recorded_names[0]);
	GError *error = NULL;

	options.path = path;
	options.size = SECTORS * 512;
	options.overwrite = true;
	if (session->variant->raw_base || session->variant->packed_base)
		make_base(session, folder, &options);
	g_assert_true(image_create(&options, &error));
	g_free((char *)options.backing_path);
}

/* cuts: 0, one at every point. */
static void test_session(struct folder *folder, const struct variant *variant, guint64 cuts)
{
	g_autofree uint64_t *initial = g_new0(uint64_t, SECTORS_MAX);
	struct session session = { .variant = variant, .folder = folder, .next_value = 1, .initial = initial };
	GRand *random = g_rand_new_with_seed((guint32)g_test_rand_int());
	struct folder cut_folder;
	guint points;

	session.operations = array_new(sizeof(struct operation), clear_operation);
	session.flushes = array_new(sizeof(struct operation), NULL);
	session.changes = array_new(sizeof(struct change), NULL);
	session.snapshots = array_new(sizeof(struct snapshot), clear_snapshot);
	folder_set_up(&cut_folder, NULL);
	make_image(&session, folder);
	recorder_init(&session.recorder, folder, random);
	record(&session);
	g_test_message("%u events, %u changes", now(&session), session.changes->len);
	points = now(&session) + 1;
	cuts = (cuts ? cuts : points) / MAX(variant->thinning, 1);
	for (guint64 i = 0; i < cuts; i++) {
		guint cut = cuts >= points ? (guint)(i % points) : (guint)g_rand_int_range(random, 0, (gint32)points);

		verify(&session, &cut_folder, cut, random);
	}
	folder_tear_down(&cut_folder, NULL);
	recorder_clear(&session.recorder);
	g_rand_free(random);
	g_array_unref(session.operations);
	g_array_unref(session.flushes);
	g_array_unref(session.changes);
	g_array_unref(session.snapshots);
}

static void test_cuts(struct folder *folder, gconstpointer data)
{
	const struct variant *variant = data;
	guint64 cuts = setting("ORIEL_POWERCUT_CUTS", 25), sessions = setting("ORIEL_POWERCUT_SESSIONS", 1);

	for (guint64 i = 0; i < sessions; i++)
		test_session(folder, variant, cuts);
}

int main(int argc, char **argv)
{
	static const struct variant variants[] = {
		{ "default", { 0 }, true, true },
		{ "cluster-512", { .cluster_size = 512 }, true, true },
		{ "cluster-1k-refcount-64", { .cluster_size = 1024, .refcount_bits = 64 }, true, true },
		{ "cluster-2m", { .cluster_size = 2u << 20 }, true, true, .thinning = 8 },
		{ "refcount-1", { .refcount_bits = 1, .cluster_size = 4096 }, false, true },
		{ "refcount-2", { .refcount_bits = 2, .cluster_size = 512 }, true, true },
		{ "refcount-8-zstd", { .refcount_bits = 8, .cluster_size = 4096,
				       .compression = IMAGE_COMPRESSION_ZSTD }, true, true },
		{ "version-2", { .version = 2, .cluster_size = 4096 }, false, true },
		{ "version-2-snapshots", { .version = 2, .cluster_size = 1024 }, true, false, true },
		{ "extended", { .extended_l2 = true, .cluster_size = 16384 }, true, true },
		{ "extended-backed", { .extended_l2 = true }, true, true, true },
		{ "lazy", { .lazy_refcounts = true, .cluster_size = 4096 }, true, true },
		{ "lazy-512", { .lazy_refcounts = true, .cluster_size = 512 }, true, true },
		{ "backed", { .cluster_size = 4096 }, true, true, true },
		{ "backed-compressed", { .cluster_size = 32768 }, true, true, .packed_base = true },
		{ "external", { .cluster_size = 4096, .data_path = "data.raw" }, false, true },
		{ "external-raw", { .data_path = "data.raw", .data_raw = true }, false, true },
		{ "external-backed", { .extended_l2 = true, .cluster_size = 16384, .data_path = "data.raw" }, false,
		  true, .packed_base = true },
	};

	g_test_init(&argc, &argv, NULL);
	g_log_set_always_fatal(G_LOG_FATAL_MASK);
	g_log_set_handler("oriel", G_LOG_LEVEL_MESSAGE, ignore_message, NULL);
	for (unsigned i = 0; i < G_N_ELEMENTS(variants); i++) {
		g_autofree char *path = g_strconcat("/powercut/", variants[i].name, NULL);

		g_test_add(path, struct folder, &variants[i], folder_set_up, test_cuts, folder_tear_down);
	}
	return g_test_run();
}
