#include "stream.h"

#include <glib.h>
#include <string.h>

/* An excess is worked off in about so many nanoseconds; a constant drift of 100 ppm leaves one of 0.1 ms. */
#define TRIM_TIME 1000000000ll
#define PART_PER_MILLION 1000000u
#define NSEC_PER_SEC 1000000000ull

void audio_stream_open(struct audio_stream *stream, const struct audio_format *format)
{
	stream->format = *format;
	stream->frame_size = format->channels * (format->sample == AUDIO_S16 ? 2u : 4u);
	stream->size = 4096;
	while (stream->size < format->rate / 5 * stream->frame_size)
		stream->size *= 2;
	stream->data = g_malloc(stream->size);
	stream->head = stream->tail = 0;
}

void audio_stream_close(struct audio_stream *stream)
{
	g_clear_pointer(&stream->data, g_free);
	stream->frame_size = 0;
}

void audio_count(uint64_t *counter, uint64_t more)
{
	__atomic_fetch_add(counter, more, __ATOMIC_RELAXED);
}

static uint32_t bytes_in(const struct audio_stream *stream)
{
	/* Each side's own index is stable; the other's is read with what it published. */
	return __atomic_load_n(&stream->head, __ATOMIC_ACQUIRE) - __atomic_load_n(&stream->tail, __ATOMIC_ACQUIRE);
}

uint32_t audio_stream_fill(const struct audio_stream *stream)
{
	return stream->frame_size ? bytes_in(stream) / stream->frame_size : 0;
}

uint32_t audio_stream_write(struct audio_stream *stream, const void *frames, uint32_t count)
{
	uint32_t room = (stream->size - bytes_in(stream)) / stream->frame_size;
	uint32_t taken = MIN(count, room);
	uint32_t bytes = taken * stream->frame_size;
	uint32_t place = stream->head & (stream->size - 1);
	uint32_t first = MIN(bytes, stream->size - place);

	memcpy(stream->data + place, frames, first);
	memcpy(stream->data, (const uint8_t *)frames + first, bytes - first);
	__atomic_store_n(&stream->head, stream->head + bytes, __ATOMIC_RELEASE);
	if (taken < count)
		audio_count(&stream->counters.overruns, count - taken);
	return taken;
}

uint32_t audio_stream_read(struct audio_stream *stream, void *frames, uint32_t count)
{
	uint32_t fill = audio_stream_fill(stream), given = MIN(count, fill);
	uint32_t bytes = given * stream->frame_size;
	uint32_t place = stream->tail & (stream->size - 1);
	uint32_t first = MIN(bytes, stream->size - place);

	if (frames) {
		memcpy(frames, stream->data + place, first);
		memcpy((uint8_t *)frames + first, stream->data, bytes - first);
	}
	__atomic_store_n(&stream->tail, stream->tail + bytes, __ATOMIC_RELEASE);
	return given;
}

void audio_pace_start(struct audio_pace *pace, uint32_t rate, uint64_t now)
{
	*pace = (struct audio_pace){ .rate = rate, .last = now };
}

/* Frames of a pace are counted in units so small that a nanosecond is a whole number of them. */
static uint64_t units_per_nanosecond(const struct audio_pace *pace)
{
	return (uint64_t)pace->rate * (uint64_t)((int32_t)PART_PER_MILLION + pace->trim);
}

#define UNITS_PER_FRAME (NSEC_PER_SEC * PART_PER_MILLION)

uint32_t audio_pace_advance(struct audio_pace *pace, uint64_t now, uint32_t limit)
{
	uint64_t elapsed = now > pace->last ? now - pace->last : 0;
	unsigned __int128 units = (unsigned __int128)elapsed * units_per_nanosecond(pace) + pace->remainder;
	unsigned __int128 frames = units / UNITS_PER_FRAME;

	pace->last = MAX(now, pace->last);
	pace->remainder = (uint64_t)(units % UNITS_PER_FRAME);
	return frames > limit ? limit : (uint32_t)frames;
}

uint64_t audio_pace_when(const struct audio_pace *pace, uint32_t count)
{
	unsigned __int128 units = (unsigned __int128)count * UNITS_PER_FRAME;
	uint64_t speed = units_per_nanosecond(pace);

	units = units > pace->remainder ? units - pace->remainder : 0;
	return pace->last + (uint64_t)((units + speed - 1) / speed);
}

void audio_pace_trim(struct audio_pace *pace, bool input, int64_t excess)
{
	int64_t wanted = CLAMP(excess, -TRIM_TIME, TRIM_TIME) * PART_PER_MILLION / TRIM_TIME;

	/* Too much on its way out: slow down. Too much on its way in: take it faster. */
	wanted = CLAMP(input ? wanted : -wanted, -AUDIO_TRIM_MAX, AUDIO_TRIM_MAX);
	/* A sixteenth at a time: the host measures its latency with a noise of milliseconds. */
	pace->trim += (int32_t)((wanted - pace->trim) / 16);
}
