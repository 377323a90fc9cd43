/* A guest's tone, all the way: the test disc's driver, HDA, PulseAudio, and a recording of what the sink played. */
#include "../unit/sound_server.h"
#include "harness.h"

#define HERTZ 1000
#define SECONDS 4
#define PERIOD (48000 / HERTZ)
#define AMPLITUDE 16384

static struct guest *boot(void)
{
	g_autofree char *disc = g_test_build_filename(G_TEST_BUILT, "..", "..", "data", "testdisc", "testdisc.iso", NULL);
	struct guest *guest = guest_new("sound");

	guest_set(guest, "sound", "device", "hda");
	guest_set_disc(guest, disc);
	guest_start(guest);
	guest_wait_line(guest, "screen", 120);
	return guest;
}

static uint64_t statistic(struct guest *guest, const char *name)
{
	g_autoptr(GVariant) reply = guest_call(guest, "Statistics", NULL);
	g_autoptr(GVariant) counters = g_variant_get_child_value(reply, 0);
	guint64 value;

	g_assert_true(g_variant_lookup(counters, name, "t", &value));
	return value;
}

/* Frames from the first that sounds up to where the tone ends or is broken. */
static unsigned measure(const int16_t *samples, unsigned first, unsigned end)
{
	unsigned i = first + PERIOD;

	while (i < end && samples[i * 2] == samples[(i - PERIOD) * 2] && samples[i * 2 + 1] == samples[i * 2])
		i++;
	return i - first;
}

static void check_wave(const int16_t *wave)
{
	unsigned rises = 0;
	int highest = 0, lowest = 0;

	for (unsigned i = 0; i < PERIOD; i++) {
		rises += wave[i * 2] <= 0 && wave[(i + 1) * 2] > 0;
		highest = MAX(highest, wave[i * 2]);
		lowest = MIN(lowest, wave[i * 2]);
	}
	g_assert_cmpuint(rises, ==, 1);
	g_assert_cmpint(highest, ==, AMPLITUDE);
	g_assert_cmpint(lowest, ==, -AMPLITUDE);
}

static void test_tone(void)
{
	unsigned first, heard, played, seconds = SECONDS;
	struct sound_recorder recorder;
	struct sound_server server;
	const int16_t *samples;
	struct guest *guest;
	uint64_t underruns;
	const char *end;

	if (!sound_server_installed()) {
		g_test_skip("pulseaudio and pulseaudio-utils are not installed");
		return;
	}
	sound_server_init(&server);
	sound_server_start(&server);
	guest = boot();
	sound_recorder_start(&recorder);
	guest_write(guest, "tone 1000 4000\n");
	sound_recorder_read(&recorder, 48000 * (seconds - 1));
	g_test_message("device to sink: %.1f ms", statistic(guest, "sound.output.latency") / 1e6);
	sound_recorder_read(&recorder, 48000 * 3);
	end = strstr(guest_wait_line(guest, "tone ", 30), "tone ");
	played = (unsigned)g_ascii_strtoull(end + 5, NULL, 10);
	underruns = statistic(guest, "sound.output.underruns");
	samples = sound_recorder_samples(&recorder);
	first = sound_recorder_find(&recorder, 0);
	heard = measure(samples, first, sound_recorder_frames(&recorder));
	g_test_message("%u frames played, %u heard without a gap, %" G_GUINT64_FORMAT " underruns", played, heard, underruns);
	g_assert_cmpuint(first + heard, <=, sound_recorder_frames(&recorder));
	check_wave(samples + (first + PERIOD) * 2);
	/* The guest's clock is that of the interrupt controller, the tone's the sink's. */
	g_assert_cmpuint(played, >, 48000 * SECONDS * 97 / 100);
	g_assert_cmpuint(played, <, 48000 * SECONDS * 103 / 100);
	/* A host that is busier than the sound server bears may interrupt the tone, and must own up to it. */
	if (!underruns) {
		g_assert_cmpuint(statistic(guest, "sound.output.overruns"), ==, 0);
		/* The guest reads the position before it stops the stream. */
		g_assert_cmpuint(heard, >=, played);
		g_assert_cmpuint(heard, <, played + 4800);
	}
	sound_recorder_stop(&recorder);
	guest_free(guest);
	sound_server_finish(&server);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/sound/tone", test_tone);
	return harness_run();
}
