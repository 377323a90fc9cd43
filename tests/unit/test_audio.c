/* The ring between a device and the host, and the pace of a device. */
#include <glib.h>

#include "../../audio/backend.h"

static const struct audio_format cd = { 44100, 2, AUDIO_S16 };

static void test_ring(void)
{
	struct audio_stream stream = { 0 };
	int16_t in[2000], out[2000];
	int16_t next_in = 0, next_out = 0;

	audio_stream_open(&stream, &cd);
	g_assert_cmpuint(stream.frame_size, ==, 4);
	g_assert_cmpuint(stream.size, >=, 44100 / 5 * 4);
	/* Often around the end, in parts that do not divide its size */
	for (unsigned i = 0; i < 500; i++) {
		uint32_t count = 1 + i * 37 % 999;

		for (unsigned n = 0; n < count * 2; n++)
			in[n] = next_in++;
		g_assert_cmpuint(audio_stream_write(&stream, in, count), ==, count);
		g_assert_cmpuint(audio_stream_fill(&stream), ==, count);
		g_assert_cmpuint(audio_stream_read(&stream, out, 1000), ==, count);
		for (unsigned n = 0; n < count * 2; n++)
			g_assert_cmpint(out[n], ==, next_out++);
	}
	g_assert_cmpuint(stream.counters.overruns, ==, 0);
	/* Full: the newest are dropped, and counted. */
	while (audio_stream_write(&stream, in, 1000) == 1000)
		;
	g_assert_cmpuint(audio_stream_fill(&stream), ==, stream.size / 4);
	g_assert_cmpuint(stream.counters.overruns, ==, 1000 - stream.size / 4 % 1000);
	g_assert_cmpuint(audio_stream_read(&stream, NULL, UINT32_MAX), ==, stream.size / 4);
	g_assert_cmpuint(audio_stream_fill(&stream), ==, 0);
	audio_stream_close(&stream);
}

#define THREAD_FRAMES 3000000u

static gpointer write_counting(gpointer data)
{
	struct audio_stream *stream = data;
	int16_t frames[128][2];
	uint32_t next = 0;

	while (next < THREAD_FRAMES) {
		uint32_t count = MIN(1 + next % 128, THREAD_FRAMES - next);
		uint32_t room = stream->size / 4 - audio_stream_fill(stream);

		count = MIN(count, room);
		for (uint32_t i = 0; i < count; i++) {
			frames[i][0] = (int16_t)(next + i);
			frames[i][1] = (int16_t)~(next + i);
		}
		next += audio_stream_write(stream, frames, count);
		if (!count)
			g_thread_yield();
	}
	return NULL;
}

/* Writer and reader on two threads: every frame once, in order, whole. */
static void test_threads(void)
{
	struct audio_stream stream = { 0 };
	int16_t frames[200][2];
	uint32_t next = 0;
	GThread *thread;

	audio_stream_open(&stream, &cd);
	thread = g_thread_new("writer", write_counting, &stream);
	while (next < THREAD_FRAMES) {
		uint32_t got = audio_stream_read(&stream, frames, 1 + next % 200);

		for (uint32_t i = 0; i < got; i++, next++) {
			g_assert_cmpint(frames[i][0], ==, (int16_t)next);
			g_assert_cmpint(frames[i][1], ==, (int16_t)~next);
		}
		if (!got)
			g_thread_yield();
	}
	g_thread_join(thread);
	g_assert_cmpuint(stream.counters.overruns, ==, 0);
	audio_stream_close(&stream);
}

/* No frame is lost or won over hours, whatever the steps. */
static void test_pace(void)
{
	struct audio_pace pace;
	uint64_t now = 12345, frames = 0;

	audio_pace_start(&pace, 44100, now);
	for (unsigned i = 0; i < 1000000; i++) {
		now += 1 + i * 7919ull % 20000000;
		frames += audio_pace_advance(&pace, now, UINT32_MAX);
	}
	g_assert_cmpuint(frames, ==, (uint64_t)((unsigned __int128)(now - 12345) * 44100 / 1000000000));
	/* The time foretold is the first at which they are due. */
	for (unsigned count = 1; count < 500; count += 7) {
		uint64_t when = audio_pace_when(&pace, count);
		struct audio_pace copy = pace;

		g_assert_cmpuint(audio_pace_advance(&copy, when - 1, UINT32_MAX), ==, count - 1);
		copy = pace;
		g_assert_cmpuint(audio_pace_advance(&copy, when, UINT32_MAX), ==, count);
		audio_pace_advance(&pace, now += 1234567, UINT32_MAX);
	}
	/* Time beyond the limit is forgotten; a clock that went back does no harm. */
	g_assert_cmpuint(audio_pace_advance(&pace, now + 10000000000ull, 2205), ==, 2205);
	g_assert_cmpuint(audio_pace_advance(&pace, now, 2205), ==, 0);
	g_assert_cmpuint(audio_pace_advance(&pace, now + 10000000000ull, 2205), ==, 0);
}

/* A host whose clock is wrong by up to 500 ppm: the excess settles near nothing, and stays. */
static void test_drift(void)
{
	static const int drifts[] = { -500, -100, 0, 100, 500 };

	for (unsigned i = 0; i < G_N_ELEMENTS(drifts); i++) {
		struct audio_pace pace;
		double level = 40e6, lowest = 1e9, highest = -1e9; /* ns too much at first */

		audio_pace_start(&pace, 48000, 0);
		for (uint64_t tick = 1; tick < 200000; tick++) { /* 1000 s */
			uint32_t frames = audio_pace_advance(&pace, tick * 5000000, UINT32_MAX);

			level += frames * 1e9 / 48000 - 5e6 * (1 + drifts[i] * 1e-6);
			/* Measured with a noise of a millisecond */
			audio_pace_trim(&pace, false, (int64_t)(level + g_random_double_range(-1e6, 1e6)));
			if (tick > 4000) {
				lowest = MIN(lowest, level);
				highest = MAX(highest, level);
			}
		}
		g_assert_cmpfloat(lowest, >, -1.5e6);
		g_assert_cmpfloat(highest, <, 1.5e6);
	}
}

static void test_null(void)
{
	struct audio_backend *backend = audio_backend_null_new();
	struct audio_stream stream = { 0 };
	int32_t frames[64] = { 0 };

	audio_stream_open(&stream, &cd);
	backend->ops->start(backend, &stream);
	for (unsigned i = 0; i < 10000; i++) {
		audio_stream_write(&stream, frames, 64);
		g_assert_cmpint(backend->ops->moved(backend, &stream), ==, 0);
	}
	g_assert_cmpuint(stream.counters.overruns, ==, 0);
	backend->ops->stop(backend, &stream);
	audio_stream_close(&stream);
	backend->ops->destroy(backend);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/audio/ring", test_ring);
	g_test_add_func("/audio/threads", test_threads);
	g_test_add_func("/audio/pace", test_pace);
	g_test_add_func("/audio/drift", test_drift);
	g_test_add_func("/audio/null", test_null);
	return g_test_run();
}
