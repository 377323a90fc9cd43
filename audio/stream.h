/*
 * One direction of sound between a device and the host: a ring of PCM frames with one writer and one reader, and the
 * pace at which the device moves its frames.
 *
 * Output: the device writes, the backend reads; input: the other way round. The ring takes no lock: writer and reader
 * may be two threads, each of which only calls its own side's functions. audio_stream_open() and _close() are the
 * device's, while the backend does not have the stream (backend.h). Samples are signed, little-endian and interleaved.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum audio_sample {
	AUDIO_S16,
	AUDIO_S32,
};

struct audio_format {
	uint32_t rate; /* frames a second */
	uint8_t channels;
	enum audio_sample sample;
};

struct audio_counters {
	uint64_t frames;    /* that the device moved */
	uint64_t underruns; /* times that the one who takes frames found too few of them */
	uint64_t overruns;  /* frames thrown away because nobody took them in time */
	uint64_t latency;   /* nanoseconds between the device and the host's sink or source, as last seen */
};

struct audio_stream {
	bool input;
	struct audio_format format;
	uint32_t frame_size; /* bytes; 0: closed */
	uint8_t *data;
	uint32_t size;       /* bytes, power of two */
	uint32_t head, tail; /* atomic: bytes written and read so far */
	struct audio_counters counters; /* atomic; kept from stream to stream */
	void *host;          /* the backend's, NULL: it does not have the stream */
};

/* Room for a fifth of a second at least. */
void audio_stream_open(struct audio_stream *stream, const struct audio_format *format);
void audio_stream_close(struct audio_stream *stream);

/* The writer's: takes as many frames as there is room for and returns how many; the rest counts as overrun. */
uint32_t audio_stream_write(struct audio_stream *stream, const void *frames, uint32_t count);
/* The reader's: gives up to count frames and returns how many. frames NULL: they are thrown away. */
uint32_t audio_stream_read(struct audio_stream *stream, void *frames, uint32_t count);
/* Frames in the ring; for the reader at least, for the writer at most so many. */
uint32_t audio_stream_fill(const struct audio_stream *stream);

static inline uint64_t audio_duration(const struct audio_format *format, uint64_t frames)
{
	return frames * 1000000000ull / format->rate;
}

void audio_count(uint64_t *counter, uint64_t more);

/*
 * How many frames are due at a time: rate frames a second, trimmed by parts per million, without losing fractions.
 * Times are the guest's clock.
 */
struct audio_pace {
	uint32_t rate;
	int32_t trim;       /* parts per million */
	uint64_t last;      /* time up to which frames were counted */
	uint64_t remainder; /* of a frame */
};

#define AUDIO_TRIM_MAX 25000

void audio_pace_start(struct audio_pace *pace, uint32_t rate, uint64_t now);
/* Frames since the last call, at most limit: time beyond that is forgotten, as it is lost for a sink that ran dry. */
uint32_t audio_pace_advance(struct audio_pace *pace, uint64_t now, uint32_t limit);
/* When count more frames will be due. */
uint64_t audio_pace_when(const struct audio_pace *pace, uint32_t count);
/*
 * excess: nanoseconds of sound more than wanted that wait between the device and the host (negative: less). Steers
 * the pace so that it goes away; call it every few milliseconds.
 */
void audio_pace_trim(struct audio_pace *pace, bool input, int64_t excess);
