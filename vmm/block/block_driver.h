/*
 * Inside of the block layer: image formats (struct block_driver) above, the engine that talks to the host below.
 *
 * Everything here runs in the block's one context (block.h), except the threads of engine_workers.c.
 */
#pragma once

#include "block.h"

/* --- Files of an image (file.c) --- */

struct engine;

struct engine_file {
	char *path;
	int fd;
	int slot;          /* index among the ring's registered files, -1: not registered */
	bool read_only;
	bool device;       /* a host block device */
	bool direct;       /* O_DIRECT: memory_align, offset_align and the end of the file matter */
	unsigned memory_align;
	unsigned offset_align;
	uint64_t length;   /* bytes when opened; what lies behind reads as zeroes */
	bool no_punch;     /* the file system cannot punch holes */
	bool no_peek;      /* it cannot read only what is in the page cache */
	bool writes_tried; /* whether it can write only what needs no waiting is known ... */
	bool writes_wait;  /* ... and it cannot */
};

/* Opens, checks and locks; the error says what is wrong and what to do. */
bool engine_file_open(struct engine_file *file, const struct block_options *options, GError **error);
void engine_file_close(struct engine_file *file);
/* 0, ENOENT: deleted, ENODATA: shorter than when it was opened, ENOLINK: no longer where it was. */
int engine_file_check(const struct engine_file *file);
/* Bytes that the host's disk has left for it, and how many more make a difference; 0: not known. */
uint64_t engine_file_room(const struct engine_file *file, uint64_t *margin);
/* Takes up the file that was put where the deleted one was, if it can be the same. */
void engine_file_recover(struct engine *engine, struct engine_file *file);
/* Locks as QEMU's raw driver does, so that either notices the other. */
bool engine_file_lock(const struct engine_file *file, GError **error);

/* --- The engine --- */

enum engine_step_kind {
	ENGINE_READ,
	ENGINE_WRITE,
	ENGINE_SYNC,
	ENGINE_PUNCH,
};

/* What the host does next for an engine_io; made by engine.c, carried out by a backend. */
struct engine_step {
	enum engine_step_kind kind;
	bool data_sync; /* ENGINE_WRITE: on stable storage when done */
	bool slow;      /* do not try to do it within the submitting system call */
	int fd;
	int slot;
	uint64_t offset;
	uint64_t length;
	const struct iovec *iov;
	unsigned iov_count;
};

struct engine_io {
	/* Filled by the driver. */
	enum block_operation operation;
	bool force_unit_access;
	struct engine_file *file;
	uint64_t offset;
	uint64_t length;
	const struct iovec *iov; /* reads and writes: exactly length bytes */
	unsigned iov_count;
	void (*done)(struct engine_io *io, int error);
	void *opaque;
	/* The engine's own. */
	struct engine_step step;
	uint64_t finished;      /* bytes of length that are done */
	struct iovec *rest;     /* iov after a transfer that ended inside of an element */
	struct iovec *zeroes;   /* source of BLOCK_WRITE_ZEROES where holes cannot be punched */
	void *bounce;           /* O_DIRECT that is not aligned */
	struct iovec bounce_iov;
	bool modify;            /* the step reads what the following one writes back */
	bool exclusive;         /* read-modify-write: starts when no other write runs */
	uint64_t length_before; /* of the file, when the step began */
	int result;             /* for backends that cannot hand it on at once */
	struct engine_io *next;
};

struct engine_backend {
	const char *name;
	/* Queues io->step. */
	void (*start)(struct engine *engine, struct engine_io *io);
	/* Hands what is queued to the host. */
	void (*kick)(struct engine *engine);
	/* Calls engine_step_done() for what the host has finished; with wait, sleeps until that is at least one. */
	void (*reap)(struct engine *engine, bool wait);
	void (*add_file)(struct engine *engine, struct engine_file *file);
	void (*remove_file)(struct engine *engine, struct engine_file *file);
	void (*free)(struct engine *engine);
};

struct engine {
	const struct engine_backend *backend;
	int event_fd;
	unsigned in_flight; /* steps with the backend */
	unsigned writes;    /* started and not done */
	struct engine_io *held, **held_tail; /* writes behind a read-modify-write that waits */
	struct engine_io *ready; /* done without the host */
	bool reaping;
	bool restarted;     /* a step was started while reaping */
	bool patient;       /* whoever reaps waits, and has nothing else to do meanwhile */
	unsigned inline_budget; /* bytes that may still be copied within the next kick */
	struct engine_io *spare;
};

/* io_uring, or threads (with a line in the log) where it is not there or not wanted. */
struct engine *engine_new(bool no_io_uring, GError **error);
void engine_free(struct engine *engine);

struct engine_io *engine_io_new(struct engine *engine);
void engine_io_free(struct engine *engine, struct engine_io *io);

void engine_add_file(struct engine *engine, struct engine_file *file);
void engine_remove_file(struct engine *engine, struct engine_file *file);

/* io->done comes from engine_reap(), never from here. */
void engine_submit(struct engine *engine, struct engine_io *io);
void engine_kick(struct engine *engine);
/*
 * With wait, kicks first, and returns when something has finished, if anything is under way. Then the calling thread
 * may do itself what the host would otherwise hand to another thread of ours.
 */
void engine_reap(struct engine *engine, bool wait);
bool engine_idle(const struct engine *engine);

/* For backends. Whether to do the step outside of the submitting system call; asked once, when it is handed over. */
bool engine_takes_long(struct engine *engine, const struct engine_io *io);
/* Does the step, blocking: bytes, or a negative errno value. */
int engine_carry_out(const struct engine_step *step);
/* result: bytes, or a negative errno value. */
void engine_step_done(struct engine *engine, struct engine_io *io, int result);
/* Likewise for a list of them, each with its result. */
void engine_steps_done(struct engine *engine, struct engine_io *first);
struct engine *engine_uring_new(GError **error);
struct engine *engine_threads_new(GError **error);

/* --- Threads that make blocking calls, for backends (engine_workers.c) --- */

struct engine_workers;

/* The threads start when there is work. event_fd becomes readable when engine_workers_take() has something. */
struct engine_workers *engine_workers_new(unsigned threads, int event_fd);
/* What was pushed has been taken. */
void engine_workers_free(struct engine_workers *workers);
/* Takes over the list; NULL: nothing to do. */
void engine_workers_push(struct engine_workers *workers, struct engine_io *first);
/* What is done, with results; with wait, sleeps until that is at least one (something has to be under way). */
struct engine_io *engine_workers_take(struct engine_workers *workers, bool wait);

/* --- Image formats --- */

struct block_driver {
	const char *name;
	/* Sets block->size; frees what it made when it fails. block->engine is there. */
	bool (*open)(struct block *block, const struct block_options *options, GError **error);
	void (*close)(struct block *block);
	/* Starts it; block_request_done() follows, from engine_reap(). */
	void (*submit)(struct block *block, struct block_request *request);
	/* 0, or the errno value of something that happened to the image's files; called about once a second. */
	int (*check)(struct block *block);
	/* As engine_file_room(), of the file that grows. */
	uint64_t (*room)(struct block *block, uint64_t *margin);
	/* The user asked to try again: takes up a file that was put back. Nothing is in flight. */
	void (*recover)(struct block *block);
};

extern const struct block_driver block_driver_raw;
extern const struct block_driver block_driver_qcow2;

struct block {
	const struct block_driver *driver;
	void *image; /* the driver's */
	struct engine *engine;
	char *path;
	uint64_t size;
	bool read_only;
	unsigned in_flight; /* requests with the driver */
	bool delivering;
	uint64_t batch_time; /* when the batch being collected began, 0: none */
	uint64_t checked;
	bool check_off; /* the user chose to go on */
	bool report_errors; /* the guest hears of I/O errors, not the user */
	bool damage_known;  /* the user chose to go on with a damaged image */
	uint64_t room;      /* on the host's disk when it was full */
	struct block_request *finished, **finished_tail; /* for block_poll() */
	struct block_request *troubled, **troubled_tail;
	void (*trouble)(struct block *block, int error, const char *message, void *opaque);
	void *trouble_opaque;
	struct block_statistics statistics;
};

void block_request_done(struct block_request *request, int error);
