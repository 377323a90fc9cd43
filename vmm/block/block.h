/*
 * Disks and discs: asynchronous requests on an image (raw or qcow2; image formats plug in as struct block_driver).
 *
 * A struct block belongs to one context: a thread, or whoever holds one lock (for AHCI: vm->lock). That context makes
 * all calls. Requests collect until block_kick(), then go to the host in one system call. Finished requests are
 * delivered by block_poll(), in the caller's context, and only there; the fd of block_event_fd() becomes readable
 * when block_poll() has something to deliver that was not there when block_kick() returned. So a caller kicks, polls
 * once (what the page cache had is done by then), and leaves the rest to its event loop.
 *
 * Errors are positive errno values. Requests finish in any order; a flush covers the writes that had finished before
 * it was submitted. Offsets and lengths are bytes; the caller keeps them inside the disk (EINVAL otherwise) and
 * aligned to 512 (discs: 2048). O_DIRECT alignment is the engine's affair.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

enum block_operation {
	BLOCK_READ,
	BLOCK_WRITE,
	BLOCK_FLUSH,        /* everything finished before is on stable storage */
	BLOCK_DISCARD,      /* contents no longer matter; reads may return zeroes or old data */
	BLOCK_WRITE_ZEROES, /* reads return zeroes; space may be given back */
	BLOCK_OPERATIONS,
};

struct block;

struct block_request {
	enum block_operation operation;
	bool force_unit_access; /* BLOCK_WRITE: finished means on stable storage */
	uint64_t offset;
	uint64_t length;
	const struct iovec *iov; /* reads and writes: exactly length bytes; valid until done */
	unsigned iov_count;
	/* From block_poll(). error 0, or an errno value. The request is the caller's again. */
	void (*done)(struct block_request *request, int error);
	/* The block layer's own. */
	struct block *block;
	uint64_t start; /* CLOCK_MONOTONIC ns */
	int error;
	bool given_up; /* failed by block_fail() or block_cancel() */
	struct block_request *next;
};

enum block_cache {
	BLOCK_CACHE_WRITEBACK, /* host page cache; the guest's flushes decide */
	BLOCK_CACHE_NONE,      /* O_DIRECT */
};

enum block_format {
	BLOCK_FORMAT_PROBE, /* by the file's first bytes; discs are raw */
	BLOCK_FORMAT_RAW,   /* whatever is there: a guest can make its raw disk look like a qcow2 image */
	BLOCK_FORMAT_QCOW2,
};

struct engine;

struct block_options {
	const char *path;
	enum block_format format;
	bool read_only;
	bool optical; /* 2048-byte sectors; an empty file is refused with a message about discs */
	enum block_cache cache;
	bool report_errors; /* of I/O: to the guest without asking the user (block_set_trouble_handler()) */
	bool no_io_uring; /* use the thread pool even where io_uring works */
	struct engine *engine; /* NULL, or instead of both; freed with the block, or when opening fails */
};

#define BLOCK_LATENCY_BUCKETS 24

struct block_statistics {
	struct {
		uint64_t operations;
		uint64_t bytes;
		uint64_t errors;
		uint64_t latency_total;                     /* ns */
		uint64_t latency[BLOCK_LATENCY_BUCKETS]; /* bucket n: below 2^n us */
	} by_operation[BLOCK_OPERATIONS];
};

/* Opens and locks the image; the error says what is wrong and what to do. */
struct block *block_open(const struct block_options *options, GError **error);
/* Drains, flushes and closes. */
void block_close(struct block *block);

const char *block_path(const struct block *block);
uint64_t block_size(const struct block *block); /* bytes */
bool block_read_only(const struct block *block);
int block_event_fd(const struct block *block);
const struct block_statistics *block_statistics(const struct block *block);

void block_submit(struct block *block, struct block_request *request);
void block_kick(struct block *block);
/* Delivers what has finished; returns how many requests that were. */
unsigned block_poll(struct block *block);
/* Waits until nothing is in flight, delivering everything but what trouble holds. Not from a done function. */
void block_drain(struct block *block);

/*
 * Called (from block_poll) when the host cannot do a request for a reason that the user can mend: the disk is full,
 * the file went away or shrank, or (unless report_errors) there was an I/O error. The request is kept; block_retry()
 * submits it again, block_fail() finishes it with its error (call block_poll() after either). Without a handler the
 * request just fails.
 *
 * block_fail() is the user's answer: he is not asked again about a file that went away (and one that was only moved
 * is used on, where it is). block_cancel() is for a request that nobody waits for any longer.
 */
void block_set_trouble_handler(struct block *block, void (*trouble)(struct block *block, int error,
				const char *message, void *opaque), void *opaque);
void block_retry(struct block *block);
/* Requests are kept because the host's disk was full, and now it has room: time for block_retry(). */
bool block_has_room(struct block *block);
void block_fail(struct block *block);
void block_cancel(struct block *block);
