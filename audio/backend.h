/*
 * Where a device's sound goes to and comes from.
 *
 * All calls are made on the I/O thread with vm->lock, and none waits. A backend that cannot reach the host's sound
 * server takes what is played and gives nothing to record: for the guest, time goes on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "stream.h"

struct audio_backend;
struct vm;

struct audio_backend_ops {
	/* Begins to read from (output) or write to (input) an open stream; sets stream->host. */
	void (*start)(struct audio_backend *backend, struct audio_stream *stream);
	/* Lets go of the stream; what is in an output's ring is still played. Clears stream->host. */
	void (*stop)(struct audio_backend *backend, struct audio_stream *stream);
	/*
	 * The device has moved frames of a started stream. Returns how much more sound than wanted waits between the
	 * device and the sink or source, in nanoseconds (negative: less), or 0 if that is not known.
	 */
	int64_t (*moved)(struct audio_backend *backend, struct audio_stream *stream);
	/* What is played is this loud, percent of what the guest plays, from now on. NULL: nobody listens. */
	void (*set_volume)(struct audio_backend *backend, unsigned percent, bool muted);
	/* All streams have been stopped. */
	void (*destroy)(struct audio_backend *backend);
};

struct audio_backend {
	const struct audio_backend_ops *ops;
};

/* Nobody listens. */
struct audio_backend *audio_backend_null_new(void);

/*
 * PulseAudio, or a server that speaks its protocol. name: what the desktop's mixer shows, for people. Connects when
 * the first stream starts; while the server is away, plays to nobody, says so once, and tries again from time to time
 * as long as a stream runs and with each that starts.
 */
struct audio_backend *audio_backend_pulse_new(struct vm *vm, const char *name);
