/*
 * qcow2 versions 2 and 3, inside of the block layer. "The specification" is docs/interop/qcow2 of QEMU.
 *
 * One struct qcow2 per file of a backing chain; all share the engine and the cache of metadata of the struct block
 * that they belong to, and run in its one context. A request is a struct qcow2_op that walks over its range: it
 * starts a piece of I/O for each run of clusters without waiting for it, and rests on a wait list whenever it needs
 * something that is not in memory. Nothing blocks but qcow2_sync(), which is for opening, closing, and administration
 * while no request is in flight.
 *
 * Order of writes. Changes of metadata stay in memory until a commit (commit.c) takes them to the file:
 *   1. refcounts, and the contents of tables that nothing refers to yet; fdatasync, which covers the guest's data too
 *   2. the refcount table where it has new blocks; fdatasync
 *   3. L2 entries and L1 entries; fdatasync
 * A cluster that lost its reference in 3 is given back only afterwards, when all I/O that may still use it has ended.
 */
#pragma once

#include "../block_driver.h"
#include "format.h"

/* Limits that no sensible image reaches; QEMU refuses the same. */
#define QCOW2_L1_MAX (32u << 20)
#define QCOW2_REFTABLE_MAX (8u << 20)
#define QCOW2_SNAPSHOTS_MAX 65536u
#define QCOW2_SNAPSHOT_TABLE_MAX (16u << 20)
#define QCOW2_CHAIN_MAX 64u
#define QCOW2_PAGE_MAX 4096u

/* --- Waiting --- */

struct qcow2_waiter {
	struct qcow2_waiter *next;
	int error; /* of what was waited for */
	void (*resume)(struct qcow2_waiter *waiter);
};

struct qcow2_wait_list {
	struct qcow2_waiter *first, *last;
};

struct qcow2_cache;
void qcow2_wait(struct qcow2_wait_list *list, struct qcow2_waiter *waiter);
/* Resumes all, from here unless that is already going on further up. To be called last. */
void qcow2_wake(struct qcow2_cache *cache, struct qcow2_wait_list *list, int error);

/* --- The cache of metadata (cache.c) --- */

enum qcow2_page_kind {
	QCOW2_PAGE_L2,
	QCOW2_PAGE_REFCOUNT,
};

struct qcow2;

/* Part of an L2 table or refcount block: page_size bytes of the file. */
struct qcow2_page {
	struct qcow2 *image;
	uint64_t offset;
	enum qcow2_page_kind kind;
	uint32_t l1_index;   /* of an L2 table: which refers to it */
	uint8_t *data;
	unsigned pins;       /* who needs it to stay */
	bool loading;
	bool dirty;
	bool committing;     /* the commit under way writes it */
	unsigned epoch;      /* while loading */
	struct iovec iov;
	struct qcow2_wait_list waiting;
	struct qcow2_page *hash_next;
	struct qcow2_page *older, *newer;
};

/* One that is spare. */
struct qcow2_buffer {
	struct qcow2_buffer *next;
};

struct qcow2_cache {
	struct engine *engine;
	struct qcow2_page **buckets;
	unsigned bucket_count;
	struct qcow2_page *oldest, *newest;
	size_t bytes, limit;
	struct qcow2_wait_list ready;
	bool running;
	struct qcow2_op *spare; /* of which op.c makes new ones */
	struct qcow2_buffer *spare_buffers[4]; /* by size: 512 B to QCOW2_PAGE_MAX */
	GPtrArray *blocks;      /* the memory of all buffers */
};

struct qcow2_cache *qcow2_cache_new(struct engine *engine);
void qcow2_cache_free(struct qcow2_cache *cache);
/* Of image->page_size bytes, aligned to that. The memory is kept for others until the cache goes. */
uint8_t *qcow2_buffer_new(struct qcow2 *image);
void qcow2_buffer_free(struct qcow2 *image, uint8_t *data);
/* How much memory buffers take, spare ones included. */
size_t qcow2_buffer_bytes(const struct qcow2_cache *cache);
/*
 * The page at offset, pinned. NULL with *error 0: it is being read, and waiter (if not NULL) is resumed with the
 * result; NULL with *error: it cannot be.
 */
struct qcow2_page *qcow2_page_get(struct qcow2 *image, enum qcow2_page_kind kind, uint64_t offset, uint32_t l1_index,
				  struct qcow2_waiter *waiter, int *error);
/* A page of zeroes that need not be read, pinned; it is not in the cache. */
struct qcow2_page *qcow2_page_new(struct qcow2 *image, enum qcow2_page_kind kind, uint64_t offset);
/* Blocking. */
struct qcow2_page *qcow2_page_get_sync(struct qcow2 *image, enum qcow2_page_kind kind, uint64_t offset,
				       uint32_t l1_index, int *error);
void qcow2_page_put(struct qcow2_page *page);
void qcow2_page_dirty(struct qcow2_page *page);
/* Whether metadata in memory lies in that range of the file. */
bool qcow2_cache_overlaps(const struct qcow2 *image, uint64_t offset, uint64_t length);
/* Forgets pages in clusters that were given back. */
void qcow2_cache_drop(struct qcow2 *image, uint64_t offset, uint64_t length);
/* Forgets everything of the image that is not in use or waiting to be written. */
void qcow2_cache_forget(struct qcow2 *image);

/* --- The image --- */

struct qcow2_backing {
	struct qcow2 *image; /* or NULL: raw */
	struct engine_file raw;
	uint64_t size;
};

/* Clusters that nothing refers to any more. */
struct qcow2_free {
	uint64_t cluster;
	uint64_t count;
};

struct qcow2_allocation;
struct qcow2_table_job;
struct qcow2_commit;
struct qcow2_switch;

struct qcow2 {
	struct qcow2_cache *cache;
	struct engine *engine;
	struct engine_file file;
	struct engine_file data_file;
	struct engine_file *data; /* where guest clusters are: &file or &data_file */
	bool read_only;
	bool external;
	bool corrupt;
	bool marking_corrupt;
	uint8_t corrupt_features[8];
	struct iovec corrupt_iov;
	struct qcow2 *overlay; /* whose backing image this is; NULL: it is on top */
	struct qcow2_header header;
	GArray *extensions; /* struct qcow2_extension */
	char *backing_name, *backing_format; /* as in the header; NULL: none */
	struct qcow2_backing *backing;

	unsigned cluster_bits;
	uint64_t cluster_size;
	bool extended;
	unsigned entry_size;  /* of L2: 8, or 16 */
	unsigned l2_bits;     /* log2 of entries in an L2 table */
	unsigned unit_bits;   /* log2 of cluster or subcluster */
	unsigned page_size;
	unsigned refcount_bits;
	unsigned block_bits;  /* log2 of entries in a refcount block */

	uint64_t *l1;         /* as it shall be; */
	uint64_t *l1_disk;    /* as it is in the file, of which */
	GArray *l1_changes;   /* uint32_t: these differ */
	uint64_t *refcount_table;
	uint64_t refcount_table_size; /* entries */
	GArray *refcount_table_changes;
	struct qcow2_switch *switching; /* or NULL */

	/* Allocation (allocate.c, free.c). */
	uint64_t end;         /* clusters from here on were never used: they read as zeroes */
	uint64_t scan;        /* where to look for free clusters before the end */
	struct qcow2_waiter scan_waiter;
	bool scan_waiting;
	struct qcow2_allocation *allocations;
	struct qcow2_table_job *table_jobs;
	/* Clusters that lost a reference (struct qcow2_free), from stage to stage: */
	GArray *freed;            /* in memory; */
	GArray *freed_committing; /* the commit under way does it in the file; */
	GArray *freed_committed;  /* there, too; */
	GArray *freed_grace;      /* waiting for I/O that began before; */
	GArray *freed_ready;      /* to be given back */
	struct qcow2_waiter free_waiter;
	bool freeing;
	bool grace;
	uint64_t punched;         /* clusters at the start of freed_ready whose contents are gone */
	unsigned data_epoch;
	unsigned data_in_flight[2];

	/* The first write of a session (session.c). */
	enum { QCOW2_SESSION_CLOSED, QCOW2_SESSION_OPENING, QCOW2_SESSION_OPEN } session;
	struct qcow2_wait_list session_waiting;
	uint8_t *bitmap_directory; /* as the first write leaves it, or NULL */
	uint64_t bitmap_directory_offset, bitmap_directory_length;

	/* commit.c */
	GPtrArray *dirty_pages;
	struct qcow2_commit *commit;
	int commit_error; /* of the last one */
	bool closing;     /* no reason to be lazy */
	struct qcow2_wait_list commit_waiting; /* for one that begins later */
	struct qcow2_wait_list commit_room;    /* for the one under way to end */

	uint64_t pack_offset, pack_end; /* room for compressed clusters (pack.c) */

	/* The compressed cluster that was read last. */
	uint8_t *decompressed;
	uint64_t decompressed_entry;
};

/* --- The header (header.c) --- */

bool qcow2_header_read(struct qcow2 *image, GError **error);
/* Writes header, extensions and backing name anew, blocking; 0 or an errno value. */
int qcow2_header_write(struct qcow2 *image);
/*
 * Writes what changes of size, L1 table, refcount table and snapshot table with one write inside of one sector, after
 * everything before it and before everything after it, and takes next over. Blocking.
 */
int qcow2_header_switch(struct qcow2 *image, const struct qcow2_header *next);
/* Fills buffer (a cluster) and returns the length, 0 if it does not fit. */
size_t qcow2_header_encode(struct qcow2 *image, uint8_t *buffer);
GArray *qcow2_extensions_new(void);
void qcow2_header_free(struct qcow2 *image);
const struct qcow2_extension *qcow2_extension(const struct qcow2 *image, uint32_t type);
void qcow2_extension_set(struct qcow2 *image, uint32_t type, const void *data, size_t length);
/* How many clusters that is. */
uint64_t qcow2_clusters(const struct qcow2 *image, uint64_t bytes);
uint64_t qcow2_l1_entries(const struct qcow2 *image, uint64_t size);

/* --- Opening (open.c) --- */

enum qcow2_open_flags {
	QCOW2_OPEN_NO_BACKING = 1,
	QCOW2_OPEN_AS_IS = 2, /* neither repairs nor refuses what is corrupt */
};

struct qcow2 *qcow2_open(struct engine *engine, struct qcow2_cache *cache, const struct block_options *options,
			 unsigned flags, struct qcow2 *overlay, GError **error);
/* Writes back and marks clean; 0 or an errno value. */
int qcow2_close(struct qcow2 *image);
/* The name in a header, from the folder of the image that has it. */
char *qcow2_resolve(const char *image_path, const char *name);
/* Of a struct block with a qcow2 image, or NULL. */
struct qcow2 *qcow2_from_block(struct block *block);
/* Sets the corrupt bit, once, and says why. EIO. */
int qcow2_corrupt(struct qcow2 *image, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* --- Blocking I/O (io.c): 0 or an errno value --- */

int qcow2_sync(struct engine *engine, struct engine_file *file, enum block_operation operation, uint64_t offset,
	       void *buffer, uint64_t length);
int qcow2_read_at(struct qcow2 *image, uint64_t offset, void *buffer, uint64_t length);
int qcow2_write_at(struct qcow2 *image, uint64_t offset, const void *buffer, uint64_t length);
int qcow2_flush_file(struct qcow2 *image);
/* For waiting by blocking. */
struct qcow2_sync_waiter {
	struct qcow2_waiter waiter;
	bool done;
};
void qcow2_sync_waiter_init(struct qcow2_sync_waiter *waiter);
int qcow2_sync_wait(struct qcow2 *image, struct qcow2_sync_waiter *waiter);
/* A table of big-endian 64-bit numbers. */
int qcow2_read_table(struct qcow2 *image, uint64_t offset, uint64_t *table, uint64_t entries);
int qcow2_write_table(struct qcow2 *image, uint64_t offset, const uint64_t *table, uint64_t entries);

/* --- L2 entries (mapping.c) --- */

struct qcow2_entry {
	uint64_t entry;
	uint64_t bitmap; /* extended L2 */
};

enum qcow2_kind {
	QCOW2_UNALLOCATED, /* the backing image's, or zeroes */
	QCOW2_ZEROES,
	QCOW2_DATA,
	QCOW2_PACKED,      /* compressed */
	QCOW2_INVALID,
};

struct qcow2_entry qcow2_entry_get(const struct qcow2_page *page, uint64_t guest);
void qcow2_entry_set(struct qcow2_page *page, uint64_t guest, struct qcow2_entry entry);
/* What the unit (cluster or subcluster) of guest is. */
enum qcow2_kind qcow2_kind(const struct qcow2 *image, struct qcow2_entry entry, uint64_t guest);
/* Whether the entry has a cluster in the file, compressed or not. */
bool qcow2_has_host(const struct qcow2 *image, struct qcow2_entry entry);
/* Has one that may be written in place. */
bool qcow2_writable(const struct qcow2 *image, struct qcow2_entry entry);
uint64_t qcow2_packed_offset(const struct qcow2 *image, uint64_t entry);
uint64_t qcow2_packed_length(const struct qcow2 *image, uint64_t entry);
uint32_t qcow2_l1_index(const struct qcow2 *image, uint64_t guest);
/* Where the page with guest's entry is in a table. */
uint64_t qcow2_page_in_table(const struct qcow2 *image, uint64_t guest);
/* First guest address that the page of guest does not map. */
uint64_t qcow2_page_end(const struct qcow2 *image, uint64_t guest);
/* The L2 page for reading: NULL with *error 0 and *missing: there is none; otherwise as qcow2_page_get(). */
struct qcow2_page *qcow2_map(struct qcow2 *image, uint64_t guest, struct qcow2_waiter *waiter, bool *missing,
			     int *error);
/*
 * Length of the run from guest (at most to limit) that one I/O can do: of one kind, and contiguous where it is data.
 */
uint64_t qcow2_run(const struct qcow2_page *page, uint64_t guest, uint64_t limit, enum qcow2_kind *kind,
		   struct qcow2_entry *first);
/* Where data of guest is in the data file. */
static inline uint64_t qcow2_host(const struct qcow2 *image, struct qcow2_entry entry, uint64_t guest)
{
	return (entry.entry & QCOW2_OFFSET_MASK) + (guest & (image->cluster_size - 1));
}
/* The range overlaps a structure that is written whole: header, L1, refcount table, snapshot table. */
bool qcow2_overlaps(const struct qcow2 *image, uint64_t offset, uint64_t length);
/* The same without the L1 table. */
bool qcow2_overlaps_fixed(const struct qcow2 *image, uint64_t offset, uint64_t length);

/* --- Requests (op.c, read.c, write.c, zero.c) --- */

struct qcow2_op;

/* Part of an op that is with the engine or with the backing image. */
struct qcow2_piece {
	struct qcow2_op *op;
	struct qcow2 *image;
	const struct iovec *iov;
	unsigned iov_count;
	struct iovec few[3], *many;
	unsigned epoch;
	uint64_t packed; /* the entry of a compressed cluster */
	uint64_t skip, length; /* the part of it that is wanted */
	uint8_t *buffer;
	struct iovec buffer_iov;
	struct qcow2_allocation *allocation;
};

struct qcow2_op {
	struct qcow2_waiter waiter;
	struct qcow2 *image;
	enum block_operation operation;
	bool force_unit_access;
	uint64_t position, end; /* of what is not started */
	const struct iovec *iov; /* from position on, */
	unsigned iov_count;
	size_t iov_skip;         /* which is so far into its first element */
	unsigned pending;        /* pieces, and one while the walk is not over */
	int error;
	void (*done)(void *opaque, int error);
	void *opaque;
	struct qcow2_op *next;    /* while it is spare */
	struct qcow2_piece first; /* most have one only */
};

enum qcow2_step {
	QCOW2_GO,   /* position advanced, or error set, or to be tried again at once */
	QCOW2_WAIT, /* op->waiter will be resumed */
};

/* done follows at any time, even from here. */
void qcow2_start(struct qcow2 *image, enum block_operation operation, bool force_unit_access, uint64_t offset,
		 uint64_t length, const struct iovec *iov, unsigned iov_count, void (*done)(void *opaque, int error),
		 void *opaque);
enum qcow2_step qcow2_step_read(struct qcow2_op *op);
enum qcow2_step qcow2_step_write(struct qcow2_op *op);
enum qcow2_step qcow2_step_zero(struct qcow2_op *op); /* BLOCK_WRITE_ZEROES and BLOCK_DISCARD */
/* Takes length bytes of the op's memory, advancing it. */
struct qcow2_piece *qcow2_piece_new(struct qcow2_op *op, uint64_t length);
void qcow2_piece_free(struct qcow2_piece *piece);
/* Ends the piece and its part of the op. */
void qcow2_piece_done(struct qcow2_piece *piece, int error);
/* Starts it on the data file; done is the engine's callback with the piece as opaque, or NULL for the usual one. */
void qcow2_piece_submit(struct qcow2_piece *piece, enum block_operation operation, uint64_t host, uint64_t length,
			void (*done)(struct engine_io *io, int error));
void qcow2_piece_zero(const struct qcow2_piece *piece);
/* Drops the op's hold on itself or on behalf of a piece. */
void qcow2_op_release(struct qcow2_op *op, int error);
/* Takes and drops the right to use clusters (qcow2.data_in_flight). */
unsigned qcow2_epoch_enter(struct qcow2 *image);
void qcow2_epoch_leave(struct qcow2 *image, unsigned epoch);
void qcow2_packed_read(struct qcow2_piece *piece, uint64_t entry, uint64_t skip);
/* Decompresses; whether that worked. */
bool qcow2_unpack(const struct qcow2 *image, const uint8_t *from, size_t from_length, uint8_t *to);
/* 0: it does not become smaller. From any thread. */
size_t qcow2_pack(const struct qcow2 *image, const uint8_t *from, uint8_t *to, size_t to_length);

/* --- Writing --- */

/* session.c: whether writing may begin; if not, waiter is resumed when it may, or has failed. */
bool qcow2_session_enter(struct qcow2 *image, struct qcow2_waiter *waiter);
/* Blocking. */
int qcow2_session_enter_sync(struct qcow2 *image);
/* Blocking: clears what qcow2_session_enter() marked. */
int qcow2_session_leave(struct qcow2 *image);
/* bitmaps.c, at open: prepares the marks that make persistent bitmaps stale. */
void qcow2_bitmaps_prepare(struct qcow2 *image);

/* commit.c: a commit of everything until now, and waiter (may be NULL) resumed at its end. */
void qcow2_commit(struct qcow2 *image, struct qcow2_waiter *waiter);
/* Nothing is waiting to be committed or given back. */
bool qcow2_clean(const struct qcow2 *image);
/* Blocking; until there is nothing left to do. */
int qcow2_commit_sync(struct qcow2 *image);
/* Whether the op must wait because too much is not committed. */
bool qcow2_commit_pressure(struct qcow2 *image, struct qcow2_waiter *waiter);
void qcow2_l1_set(struct qcow2 *image, uint32_t index, uint64_t entry);

/* refcount.c */
uint64_t qcow2_refcount_get(const struct qcow2_page *page, uint64_t cluster);
void qcow2_refcount_set(struct qcow2_page *page, uint64_t cluster, uint64_t value);
/* Likewise, in a whole block of memory. */
uint64_t qcow2_refcount_load(struct qcow2 *image, uint8_t *block, uint64_t cluster);
void qcow2_refcount_store(struct qcow2 *image, uint8_t *block, uint64_t cluster, uint64_t value);
uint64_t qcow2_refcount_max(const struct qcow2 *image);
/* As qcow2_map(). */
struct qcow2_page *qcow2_refcount_page(struct qcow2 *image, uint64_t cluster, struct qcow2_waiter *waiter,
				       bool *missing, int *error);
/* Blocking. There must be one, or the image is corrupt. */
int qcow2_refcount_page_sync(struct qcow2 *image, uint64_t cluster, struct qcow2_page **page);
/* Blocking; 0 where there is no block. */
int qcow2_refcount_sync(struct qcow2 *image, uint64_t cluster, uint64_t *count);
/* Clusters that one page of refcounts covers, from cluster on. */
uint64_t qcow2_refcount_page_rest(const struct qcow2 *image, uint64_t cluster);

/* allocate.c */
struct qcow2_run_of_clusters {
	uint64_t cluster, count;
	bool fresh; /* reads as zeroes */
};
/* At most count clusters, one run. 0 with run->count 0: waiter is resumed; otherwise an errno value. */
int qcow2_allocate(struct qcow2 *image, uint64_t count, struct qcow2_run_of_clusters *run,
		   struct qcow2_waiter *waiter);
/* Blocking: exactly count clusters at the end of the file. */
int qcow2_allocate_sync(struct qcow2 *image, uint64_t count, uint64_t *cluster);
/* Makes the L2 table of guest ours; GO: try again, or *error. */
enum qcow2_step qcow2_own_table(struct qcow2 *image, uint64_t guest, struct qcow2_waiter *waiter, int *error);
/* How many clusters the refcount table needs for an image that ends there now to be filled. */
uint64_t qcow2_refcount_table_wish(const struct qcow2 *image, uint64_t end);
/* Blocking: makes the refcount table large enough for the image to be filled. */
int qcow2_refcount_reserve(struct qcow2 *image);

/* free.c */
void qcow2_free_clusters(struct qcow2 *image, uint64_t cluster, uint64_t count);
/* What entry refers to. */
void qcow2_free_entry(struct qcow2 *image, struct qcow2_entry entry);
void qcow2_freed_committed(struct qcow2 *image);
void qcow2_freed_append(GArray *to, GArray *from);

/* write.c */
bool qcow2_allocation_conflict(struct qcow2 *image, uint64_t start, uint64_t end, struct qcow2_waiter *waiter);

/* --- Checking (check.c, repair.c) --- */

struct qcow2_check {
	struct qcow2 *image;
	GHashTable *chunks;      /* references found, by cluster */
	GArray *keys;            /* of chunks, in order */
	uint64_t chunk_last;
	uint32_t *chunk;
	uint64_t file_clusters;
	uint64_t budget;         /* bytes of tables that are still read */
	bool fix_mapping;
	bool rebuild;            /* the refcounts' own structure is damaged */
	bool without_refcounts;  /* do not count that structure */
	uint64_t corruptions, leaks, mapping_errors;
	uint64_t allocated, compressed, fragmented, last_host;
	uint64_t highest;        /* cluster with a reference */
	int error;
};

struct image_check;
/* Blocking, before any request. Fills result; with what is left to do after repairs. 0 or an errno value. */
int qcow2_check(struct qcow2 *image, unsigned repair, struct image_check *result);
uint32_t qcow2_check_references(struct qcow2_check *check, uint64_t cluster);
/* The first cluster from there on that has references; UINT64_MAX: there is none. */
uint64_t qcow2_check_next(struct qcow2_check *check, uint64_t cluster);
void qcow2_check_walk(struct qcow2_check *check);
int qcow2_check_rebuild(struct qcow2_check *check);

/* --- Snapshots (snapshot_table.c, snapshot.c) --- */

struct qcow2_snapshot {
	uint64_t l1_table_offset;
	uint32_t l1_size;
	uint32_t date_seconds, date_nanoseconds;
	uint64_t vm_clock_nanoseconds;
	uint64_t vm_state_size;
	uint64_t disk_size;
	uint8_t *extra;        /* as it is in the file, at least 16 bytes when written */
	uint32_t extra_length;
	char *id, *name;
};

struct qcow2_snapshot_table {
	struct qcow2_snapshot *snapshots;
	unsigned count;
	uint64_t length; /* in the file */
};

/* Blocking. 0 with a table of the caller's, EINVAL: it makes no sense, or another errno value. */
int qcow2_snapshots_read(struct qcow2 *image, struct qcow2_snapshot_table **table);
/* Within a switch: writes it to a new place, for next to refer to. */
int qcow2_snapshots_write(struct qcow2 *image, const struct qcow2_snapshot_table *table, struct qcow2_header *next);
void qcow2_snapshots_free(struct qcow2_snapshot_table *table);
void qcow2_snapshot_clear(struct qcow2_snapshot *snapshot);

/* snapshot_tree.c, within a switch: counts everything that l1 refers to once more, or less. EMLINK: too often. */
int qcow2_tree_count(struct qcow2 *image, const uint64_t *l1, uint32_t entries, bool more);
/* Makes the flags of the active tables right; of a table that moves, so many references go over to the copy. */
int qcow2_tree_flag(struct qcow2 *image, uint32_t entries, unsigned users);

/* --- Changing many tables at once (switch.c) --- */

/* Blocking, with no request in flight; begins as qcow2_begin_writing(). Until the end, image->l1 is what will be. */
int qcow2_switch_begin(struct qcow2 *image);
/* next: the header as it shall be; the place of L1 and refcounts is filled in here. */
int qcow2_switch_end(struct qcow2 *image, struct qcow2_header *next);
/* If a switch did not come to its end: as if it had not begun. */
void qcow2_switch_abort(struct qcow2 *image);
int qcow2_switch_allocate(struct qcow2 *image, uint64_t count, uint64_t *cluster);
/* To new clusters; an empty table has none. */
int qcow2_switch_write_table(struct qcow2 *image, const uint64_t *table, uint64_t entries, uint64_t *offset);
/* Once the header leads to something else, that is. */
void qcow2_switch_free(struct qcow2 *image, uint64_t cluster, uint64_t count);
/* Keeps memory bounded. */
int qcow2_switch_pressure(struct qcow2 *image);

/* Blocking: the marks of a session's first write, nothing uncommitted, and room for refcounts. */
int qcow2_begin_writing(struct qcow2 *image);
/* As BLOCK_WRITE and so on, blocking, also behind the disk's end. */
int qcow2_run_op(struct qcow2 *image, enum block_operation operation, uint64_t offset, void *buffer, uint64_t length);

/* resize.c, pack.c */
int qcow2_preallocate(struct qcow2 *image, uint64_t start, uint64_t end);
int qcow2_resize(struct qcow2 *image, uint64_t size);
/* Unmaps everything, so that the backing image shows. */
int qcow2_empty(struct qcow2 *image);
/* Cuts off free clusters at the file's end. */
int qcow2_truncate_end(struct qcow2 *image);
/* Blocking: gives guest's cluster the contents that qcow2_pack() made length bytes of. Not with external data. */
int qcow2_write_packed(struct qcow2 *image, uint64_t guest, const uint8_t *packed, size_t length);
/* Blocking: what is at guest, how far (at most to limit), and for QCOW2_DATA where (offset may be NULL). */
int qcow2_status(struct qcow2 *image, uint64_t guest, uint64_t limit, enum qcow2_kind *kind, uint64_t *length,
		 uint64_t *offset);
void qcow2_derive(struct qcow2 *image);
