/* Metadata in memory: pages of L2 tables and refcount blocks of a whole backing chain, with one bound. */
#include "qcow2.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* With half as much in copies that a commit makes (commit.c), this stays below 32 MiB. */
#define CACHE_LIMIT (20u << 20)
#define BUFFER_BLOCK (256u << 10)
#define BUCKETS 8192u
/* How many that cannot go are looked at for one that can. */
#define EVICT_TRIES 32

void qcow2_wait(struct qcow2_wait_list *list, struct qcow2_waiter *waiter)
{
	waiter->next = NULL;
	waiter->error = 0;
	if (list->last)
		list->last->next = waiter;
	else
		list->first = waiter;
	list->last = waiter;
}

void qcow2_wake(struct qcow2_cache *cache, struct qcow2_wait_list *list, int error)
{
	struct qcow2_waiter *waiter;

	while ((waiter = list->first)) {
		list->first = waiter->next;
		qcow2_wait(&cache->ready, waiter);
		waiter->error = error;
	}
	list->last = NULL;
	if (cache->running)
		return;
	cache->running = true;
	while ((waiter = cache->ready.first)) {
		cache->ready.first = waiter->next;
		if (!waiter->next)
			cache->ready.last = NULL;
		waiter->resume(waiter);
	}
	cache->running = false;
}

struct qcow2_cache *qcow2_cache_new(struct engine *engine)
{
	struct qcow2_cache *cache = g_new0(struct qcow2_cache, 1);

	cache->engine = engine;
	cache->bucket_count = BUCKETS;
	cache->buckets = g_new0(struct qcow2_page *, cache->bucket_count);
	cache->limit = CACHE_LIMIT;
	cache->blocks = g_ptr_array_new_with_free_func(free);
	return cache;
}

/* --- Buffers: malloc() would take twice as much for what is aligned to its own size --- */

static unsigned buffer_size_index(const struct qcow2 *image)
{
	return (unsigned)__builtin_ctz(image->page_size) - 9;
}

uint8_t *qcow2_buffer_new(struct qcow2 *image)
{
	struct qcow2_cache *cache = image->cache;
	struct qcow2_buffer **spare = &cache->spare_buffers[buffer_size_index(image)], *buffer;

	if (!*spare) {
		uint8_t *block = aligned_alloc(QCOW2_PAGE_MAX, BUFFER_BLOCK);

		g_ptr_array_add(cache->blocks, block);
		for (unsigned at = BUFFER_BLOCK; at; at -= image->page_size)
			qcow2_buffer_free(image, block + at - image->page_size);
	}
	buffer = *spare;
	*spare = buffer->next;
	return (uint8_t *)buffer;
}

void qcow2_buffer_free(struct qcow2 *image, uint8_t *data)
{
	struct qcow2_buffer **spare = &image->cache->spare_buffers[buffer_size_index(image)];
	struct qcow2_buffer *buffer = (struct qcow2_buffer *)(void *)data;

	buffer->next = *spare;
	*spare = buffer;
}

size_t qcow2_buffer_bytes(const struct qcow2_cache *cache)
{
	return cache->blocks->len * (size_t)BUFFER_BLOCK;
}

/* --- Pages --- */

static unsigned hash(const struct qcow2_cache *cache, const struct qcow2 *image, uint64_t offset)
{
	uint64_t mixed = (offset / image->page_size ^ (uintptr_t)image >> 6) * 0x9e3779b97f4a7c15ull;

	return (unsigned)(mixed >> 40) & (cache->bucket_count - 1);
}

static void unlink_age(struct qcow2_cache *cache, struct qcow2_page *page)
{
	*(page->older ? &page->older->newer : &cache->oldest) = page->newer;
	*(page->newer ? &page->newer->older : &cache->newest) = page->older;
}

static void link_newest(struct qcow2_cache *cache, struct qcow2_page *page)
{
	page->newer = NULL;
	page->older = cache->newest;
	*(cache->newest ? &cache->newest->newer : &cache->oldest) = page;
	cache->newest = page;
}

static size_t page_bytes(const struct qcow2_page *page)
{
	return sizeof *page + page->image->page_size;
}

static void drop(struct qcow2_cache *cache, struct qcow2_page *page)
{
	struct qcow2_page **link = &cache->buckets[hash(cache, page->image, page->offset)];

	while (*link != page)
		link = &(*link)->hash_next;
	*link = page->hash_next;
	unlink_age(cache, page);
	cache->bytes -= page_bytes(page);
	qcow2_buffer_free(page->image, page->data);
	g_free(page);
}

/* Pages that are in use or not yet written stay, so the bound may be passed by as much as requests in flight hold. */
static void make_room(struct qcow2_cache *cache)
{
	struct qcow2_page *page = cache->oldest;

	for (unsigned tries = 0; cache->bytes > cache->limit && page && tries < EVICT_TRIES; tries++) {
		struct qcow2_page *newer = page->newer;

		if (!page->pins && !page->loading && !page->dirty && !page->committing) {
			drop(cache, page);
		} else {
			unlink_age(cache, page);
			link_newest(cache, page);
		}
		page = newer;
	}
}

void qcow2_cache_free(struct qcow2_cache *cache)
{
	while (cache->oldest)
		drop(cache, cache->oldest);
	while (cache->spare) {
		struct qcow2_op *op = cache->spare;

		cache->spare = op->next;
		g_free(op);
	}
	g_ptr_array_unref(cache->blocks);
	g_free(cache->buckets);
	g_free(cache);
}

static struct qcow2_page *find(const struct qcow2 *image, uint64_t offset)
{
	struct qcow2_page *page = image->cache->buckets[hash(image->cache, image, offset)];

	while (page && (page->offset != offset || page->image != image))
		page = page->hash_next;
	return page;
}

static void loaded(struct engine_io *io, int error)
{
	struct qcow2_page *page = io->opaque;
	struct qcow2_cache *cache = page->image->cache;
	struct qcow2_wait_list waiting = page->waiting;

	engine_io_free(cache->engine, io);
	qcow2_epoch_leave(page->image, page->epoch);
	page->loading = false;
	page->waiting = (struct qcow2_wait_list){ 0 };
	if (error)
		drop(cache, page);
	qcow2_wake(cache, &waiting, error);
}

static struct qcow2_page *add(struct qcow2 *image, enum qcow2_page_kind kind, uint64_t offset)
{
	struct qcow2_cache *cache = image->cache;
	struct qcow2_page *page = g_new0(struct qcow2_page, 1);
	struct qcow2_page **bucket = &cache->buckets[hash(cache, image, offset)];

	/* First, so that it takes a buffer that another leaves. */
	make_room(cache);
	page->image = image;
	page->offset = offset;
	page->kind = kind;
	page->data = qcow2_buffer_new(image);
	page->pins = 1;
	page->hash_next = *bucket;
	*bucket = page;
	link_newest(cache, page);
	cache->bytes += page_bytes(page);
	return page;
}

struct qcow2_page *qcow2_page_new(struct qcow2 *image, enum qcow2_page_kind kind, uint64_t offset)
{
	struct qcow2_page *page = add(image, kind, offset);

	memset(page->data, 0, image->page_size);
	return page;
}

static struct qcow2_page *load(struct qcow2 *image, enum qcow2_page_kind kind, uint64_t offset, uint32_t l1_index)
{
	struct qcow2_cache *cache = image->cache;
	struct qcow2_page *page = add(image, kind, offset);
	struct engine_io *io = engine_io_new(cache->engine);

	page->pins = 0;
	page->l1_index = l1_index;
	page->loading = true;
	page->epoch = qcow2_epoch_enter(image);
	page->iov = (struct iovec){ page->data, image->page_size };
	io->operation = BLOCK_READ;
	io->file = &image->file;
	io->offset = offset;
	io->length = image->page_size;
	io->iov = &page->iov;
	io->iov_count = 1;
	io->done = loaded;
	io->opaque = page;
	engine_submit(cache->engine, io);
	return page;
}

struct qcow2_page *qcow2_page_get(struct qcow2 *image, enum qcow2_page_kind kind, uint64_t offset, uint32_t l1_index,
				  struct qcow2_waiter *waiter, int *error)
{
	struct qcow2_page *page = find(image, offset);

	*error = 0;
	if (!page)
		page = load(image, kind, offset, l1_index);
	if (page->kind != kind || (kind == QCOW2_PAGE_L2 && page->l1_index != l1_index)) {
		*error = qcow2_corrupt(image, "the table at offset %#" G_GINT64_MODIFIER "x is used twice", offset);
		return NULL;
	}
	if (page->loading) {
		if (waiter)
			qcow2_wait(&page->waiting, waiter);
		return NULL;
	}
	if (page != image->cache->newest) {
		unlink_age(image->cache, page);
		link_newest(image->cache, page);
	}
	page->pins++;
	return page;
}

struct qcow2_page *qcow2_page_get_sync(struct qcow2 *image, enum qcow2_page_kind kind, uint64_t offset,
				       uint32_t l1_index, int *error)
{
	struct qcow2_sync_waiter waiter;
	struct qcow2_page *page;

	qcow2_sync_waiter_init(&waiter);
	page = qcow2_page_get(image, kind, offset, l1_index, &waiter.waiter, error);
	if (page || *error)
		return page;
	*error = qcow2_sync_wait(image, &waiter);
	return *error ? NULL : qcow2_page_get(image, kind, offset, l1_index, NULL, error);
}

void qcow2_page_put(struct qcow2_page *page)
{
	page->pins--;
}

void qcow2_page_dirty(struct qcow2_page *page)
{
	if (page->dirty)
		return;
	page->dirty = true;
	g_ptr_array_add(page->image->dirty_pages, page);
}

bool qcow2_cache_overlaps(const struct qcow2 *image, uint64_t offset, uint64_t length)
{
	uint64_t page = offset & ~(uint64_t)(image->page_size - 1);

	/* Tables are a cluster: looking for its first pages finds one in use most of the time, and costs little. */
	for (unsigned i = 0; i < 4 && page < offset + length; i++, page += image->page_size)
		if (find(image, page))
			return true;
	return false;
}

void qcow2_cache_drop(struct qcow2 *image, uint64_t offset, uint64_t length)
{
	uint64_t pages = length / image->page_size;

	for (uint64_t i = 0; i < pages; i++) {
		struct qcow2_page *page = find(image, offset + i * image->page_size);

		if (page && !page->pins && !page->loading && !page->dirty && !page->committing)
			drop(image->cache, page);
	}
}

void qcow2_cache_forget(struct qcow2 *image)
{
	struct qcow2_page *page = image->cache->oldest;

	while (page) {
		struct qcow2_page *newer = page->newer;

		if (page->image == image && !page->pins && !page->loading && !page->dirty && !page->committing)
			drop(image->cache, page);
		page = newer;
	}
}
