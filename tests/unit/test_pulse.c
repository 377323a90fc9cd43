/* A guest's sound on a real PulseAudio server, through a device on a clock that runs. */
#include "hda_guest.h"
#include "sound_server.h"

#define PERIOD_BYTES (480 * 4) /* 10 ms */
#define PERIODS 100u
#define FRAMES (PERIODS * 480)

struct fixture {
	struct sound_server server;
	struct hda_guest guest;
};

static void lock(struct fixture *f)
{
	g_mutex_lock(&f->guest.machine->vm.lock);
}

static void unlock(struct fixture *f)
{
	g_mutex_unlock(&f->guest.machine->vm.lock);
}

static void set_up(struct fixture *f, bool with_server, bool microphone)
{
	struct hda_guest *g = &f->guest;
	struct vm *vm;

	memset(f, 0, sizeof *f);
	sound_server_init(&f->server);
	if (with_server)
		sound_server_start(&f->server);
	/* guest_open_with() makes the machine that the backend needs. */
	guest_open_with(g, audio_backend_null_new(), microphone);
	vm = &g->machine->vm;
	g->device->ops->destroy(g->device);
	clock_finish(&vm->clock);
	clock_init(&vm->clock, &vm->loop);
	clock_start(&vm->clock);
	g->hda = hda_new(vm, &g->bus, &(struct hda_options){ audio_backend_pulse_new(vm, "Test machine"), microphone });
	g->device = hda_device(g->hda);
	g->pci = (struct pci_device *)g->device;
	guest_map(g);
	loop_start(&vm->loop);
}

static void tear_down(struct fixture *f)
{
	loop_stop(&f->guest.machine->vm.loop);
	guest_close(&f->guest);
	sound_server_finish(&f->server);
}

/* Frame i is (1 + i mod 30000, its complement): never silent, and every gap is seen. */
static void fill_pattern(struct fixture *f)
{
	int16_t *samples = (int16_t *)ram(&f->guest, BUFFER);

	for (unsigned i = 0; i < FRAMES; i++) {
		samples[i * 2] = (int16_t)(1 + i % 30000);
		samples[i * 2 + 1] = (int16_t)~samples[i * 2];
	}
}

static void start(struct fixture *f, unsigned stream)
{
	lock(f);
	prepare(&f->guest, stream, PERIODS, PERIOD_BYTES, FORMAT_48K_STEREO_16);
	hda_write(&f->guest, sd(stream, CTL), 1, RUN);
	unlock(f);
}

static void stop(struct fixture *f, unsigned stream)
{
	lock(f);
	hda_write(&f->guest, sd(stream, CTL), 1, 0);
	unlock(f);
}

static uint32_t position(struct fixture *f, unsigned stream)
{
	uint32_t value;

	lock(f);
	value = hda_read(&f->guest, sd(stream, LPIB), 4);
	unlock(f);
	return value;
}

static struct audio_counters counters(struct fixture *f, bool input)
{
	struct audio_counters copy;

	lock(f);
	copy = *hda_counters(f->guest.hda, input);
	unlock(f);
	return copy;
}

/* How many frames of the pattern follow without a gap. */
static unsigned count_pattern(const struct sound_recorder *recorder, unsigned from, unsigned first)
{
	const int16_t *samples = sound_recorder_samples(recorder);
	unsigned count = 0;

	while (from + count < sound_recorder_frames(recorder)) {
		int16_t wanted = (int16_t)(1 + (first + count) % FRAMES % 30000);

		if (samples[(from + count) * 2] != wanted || samples[(from + count) * 2 + 1] != (int16_t)~wanted)
			break;
		count++;
	}
	return count;
}

/* Every frame arrives, bit by bit, in order, from the first one on. */
static void test_play(void)
{
	g_autofree char *inputs = NULL;
	struct sound_recorder recorder;
	struct audio_counters counted;
	struct fixture f;
	unsigned first;

	set_up(&f, true, false);
	sound_recorder_start(&recorder);
	fill_pattern(&f);
	start(&f, OUTPUT);
	sound_recorder_read(&recorder, 48000 * 5 / 2);
	inputs = sound_server_ask("list", "sink-inputs");
	g_assert_nonnull(strstr(inputs, "application.name = \"Test machine\""));
	g_assert_nonnull(strstr(inputs, "application.icon_name = \"io.github.oriel\""));
	first = sound_recorder_find(&recorder, 0);
	counted = counters(&f, false);
	g_test_message("device to sink: %.1f ms, underruns %" G_GUINT64_FORMAT ", recorded from frame %u on",
		       counted.latency / 1e6, counted.underruns, first);
	/* A host that is busier than the sound server bears may interrupt it, and must own up to it. */
	if (!counted.underruns && !counted.overruns)
		g_assert_cmpuint(count_pattern(&recorder, first, 0), ==, sound_recorder_frames(&recorder) - first);
	g_assert_cmpuint(count_pattern(&recorder, first, 0), >, 0);
	stop(&f, OUTPUT);
	sound_recorder_stop(&recorder);
	tear_down(&f);
}

/* A sound shorter than the latency is played to its end, even if it comes while the connection is made. */
static void test_short(void)
{
	struct sound_recorder recorder;
	unsigned whole = 0;
	struct fixture f;

	set_up(&f, true, false);
	sound_recorder_start(&recorder);
	fill_pattern(&f);
	for (unsigned round = 0; round < 6; round++) {
		unsigned before = sound_recorder_frames(&recorder), first, length;
		uint32_t end;

		start(&f, OUTPUT);
		while (position(&f, OUTPUT) < 7 * 192)
			g_usleep(1000);
		stop(&f, OUTPUT);
		end = position(&f, OUTPUT) / 4;
		sound_recorder_read(&recorder, 48000 / 2);
		first = sound_recorder_find(&recorder, before);
		length = count_pattern(&recorder, first, sound_recorder_samples(&recorder)[first * 2] - 1);
		g_test_message("%u frames played, %u heard", end, length);
		/* The server itself rounds a few frames away where a sound begins before its buffer is full. */
		g_assert_cmpuint(length, <=, end);
		whole += length + 8 >= end;
	}
	/* A host that is busier than the sound server bears may tear one or the other. */
	g_assert_cmpuint(whole, >=, 3);
	sound_recorder_stop(&recorder);
	tear_down(&f);
}

/* Until the sink plays no sample above highest and one above lowest. */
static void wait_level(struct sound_recorder *recorder, int lowest, int highest)
{
	int level = -1;

	for (unsigned i = 0; i < 500 && (level < lowest || level > highest); i++) {
		unsigned from = sound_recorder_frames(recorder);

		sound_recorder_read(recorder, 480);
		level = 0;
		for (unsigned frame = from; frame < from + 480; frame++)
			level = MAX(level, ABS(sound_recorder_samples(recorder)[frame * 2]));
	}
	g_assert_cmpint(level, >=, lowest);
	g_assert_cmpint(level, <=, highest);
}

static void set_volume(struct fixture *f, unsigned percent, bool muted)
{
	lock(f);
	hda_set_volume(f->guest.hda, percent, muted);
	unlock(f);
}

/* As the desktop's mixer means it: half is an eighth of the amplitude. It holds for later streams, too. */
static void test_volume(void)
{
	struct sound_recorder recorder;
	int16_t *samples;
	struct fixture f;

	set_up(&f, true, false);
	sound_recorder_start(&recorder);
	samples = (int16_t *)ram(&f.guest, BUFFER);
	for (unsigned i = 0; i < FRAMES * 2; i++)
		samples[i] = 16000;
	start(&f, OUTPUT);
	wait_level(&recorder, 16000, 16000);
	set_volume(&f, 50, false);
	wait_level(&recorder, 1950, 2050);
	set_volume(&f, 50, true);
	wait_level(&recorder, 0, 0);
	set_volume(&f, 100, false);
	wait_level(&recorder, 16000, 16000);
	set_volume(&f, 50, false);
	stop(&f, OUTPUT);
	wait_level(&recorder, 0, 0);
	start(&f, OUTPUT);
	wait_level(&recorder, 1950, 2050);
	stop(&f, OUTPUT);
	sound_recorder_stop(&recorder);
	tear_down(&f);
}

/* From the register that starts the stream to the recorder, once a connection exists. */
static void test_latency(void)
{
	struct sound_recorder recorder;
	struct fixture f;
	double fastest = 1e9;

	set_up(&f, true, false);
	sound_recorder_start(&recorder);
	fill_pattern(&f);
	for (unsigned round = 0; round < 10; round++) {
		unsigned from = sound_recorder_frames(&recorder);
		gint64 began = g_get_monotonic_time(), heard;

		start(&f, OUTPUT);
		do {
			sound_recorder_read(&recorder, 48);
			from = sound_recorder_find(&recorder, from);
		} while (from == sound_recorder_frames(&recorder));
		heard = g_get_monotonic_time();
		fastest = MIN(fastest, (double)(heard - began) / 1000);
		g_test_message("register to recorder: %.1f ms, device to sink: %.1f ms", (double)(heard - began) / 1000,
			       counters(&f, false).latency / 1e6);
		stop(&f, OUTPUT);
		sound_recorder_read(&recorder, 48000 / 4);
	}
	g_assert_cmpfloat(fastest, <, 100);
	sound_recorder_stop(&recorder);
	tear_down(&f);
}

/* Without a server the guest plays on; once there is one, it is heard. */
static void test_no_server(void)
{
	struct sound_recorder recorder;
	struct fixture f;

	set_up(&f, false, false);
	fill_pattern(&f);
	start(&f, OUTPUT);
	while (position(&f, OUTPUT) < 20 * PERIOD_BYTES)
		g_usleep(1000);
	sound_server_start(&f.server);
	sound_recorder_start(&recorder);
	while (sound_recorder_find(&recorder, 0) == sound_recorder_frames(&recorder))
		sound_recorder_read(&recorder, 480);
	sound_recorder_stop(&recorder);
	tear_down(&f);
}

static void test_server_restarts(void)
{
	struct sound_recorder recorder;
	struct fixture f;
	uint32_t before;

	set_up(&f, true, false);
	sound_recorder_start(&recorder);
	fill_pattern(&f);
	start(&f, OUTPUT);
	while (sound_recorder_find(&recorder, 0) == sound_recorder_frames(&recorder))
		sound_recorder_read(&recorder, 480);
	sound_server_stop(&f.server);
	sound_recorder_stop(&recorder);
	before = position(&f, OUTPUT);
	while ((position(&f, OUTPUT) + PERIODS * PERIOD_BYTES - before) % (PERIODS * PERIOD_BYTES) < 30 * PERIOD_BYTES)
		g_usleep(1000);
	sound_server_start(&f.server);
	sound_recorder_start(&recorder);
	while (sound_recorder_find(&recorder, 0) == sound_recorder_frames(&recorder))
		sound_recorder_read(&recorder, 480);
	sound_recorder_stop(&recorder);
	tear_down(&f);
}

/* The guest records what it plays: the default source is the monitor of the only sink. */
static void test_microphone(void)
{
	const int16_t *samples;
	struct fixture f;
	bool heard = false;

	set_up(&f, true, true);
	fill_pattern(&f);
	lock(&f);
	prepare(&f.guest, OUTPUT, PERIODS, PERIOD_BYTES, FORMAT_48K_STEREO_16);
	/* The list and buffers of the input are elsewhere. */
	memcpy(ram(&f.guest, BDL + 0x1000), ram(&f.guest, BDL), PERIODS * 16);
	for (unsigned i = 0; i < PERIODS; i++)
		pci_set32(ram(&f.guest, BDL + 0x1000 + i * 16), BUFFER + 0x100000 + i * PERIOD_BYTES);
	verb(&f.guest, 4, 0x706 << 8 | (TAG + 1) << 4);
	hda_write(&f.guest, sd(INPUT, BDPL), 4, BDL + 0x1000);
	hda_write(&f.guest, sd(INPUT, CBL), 4, PERIODS * PERIOD_BYTES);
	hda_write(&f.guest, sd(INPUT, LVI), 2, PERIODS - 1);
	hda_write(&f.guest, sd(INPUT, FMT), 2, FORMAT_48K_STEREO_16);
	hda_write(&f.guest, sd(INPUT, CTL) + 2, 1, (TAG + 1) << 4);
	hda_write(&f.guest, sd(INPUT, CTL), 1, RUN);
	hda_write(&f.guest, sd(OUTPUT, CTL), 1, RUN);
	unlock(&f);
	samples = (const int16_t *)ram(&f.guest, BUFFER + 0x100000);
	while (!heard) {
		lock(&f);
		hda_read(&f.guest, sd(INPUT, LPIB), 4);
		for (unsigned i = 0; i + 480 < FRAMES && !heard; i++) {
			heard = samples[i * 2] != 0;
			for (unsigned n = 1; n < 480 && heard; n++)
				heard = samples[(i + n) * 2] == samples[i * 2] + (int)n;
		}
		unlock(&f);
		g_usleep(2000);
	}
	tear_down(&f);
}

static void test_microphone_off(void)
{
	g_autofree char *outputs = NULL;
	struct fixture f;

	set_up(&f, true, false);
	start(&f, INPUT);
	while (position(&f, INPUT) < 20 * PERIOD_BYTES)
		g_usleep(1000);
	outputs = sound_server_ask("list", "source-outputs");
	g_assert_cmpstr(outputs, ==, "");
	tear_down(&f);
}

/* Stopped: the server has no stream of the guest's any more, and the process no timer. */
static void test_idle(void)
{
	struct sound_recorder recorder;
	bool playing = true;
	struct fixture f;

	set_up(&f, true, false);
	sound_recorder_start(&recorder);
	fill_pattern(&f);
	start(&f, OUTPUT);
	while (sound_recorder_find(&recorder, 0) == sound_recorder_frames(&recorder))
		sound_recorder_read(&recorder, 480);
	stop(&f, OUTPUT);
	while (playing) {
		g_autofree char *inputs = sound_server_ask("list", "sink-inputs");

		playing = *inputs;
	}
	lock(&f);
	g_assert_cmpuint(f.guest.machine->vm.clock.timers->len, ==, 0);
	unlock(&f);
	sound_recorder_stop(&recorder);
	tear_down(&f);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	if (!sound_server_installed()) {
		g_print("1..0 # SKIP pulseaudio and pulseaudio-utils are not installed\n");
		return 0;
	}
	g_test_add_func("/pulse/play", test_play);
	g_test_add_func("/pulse/short", test_short);
	g_test_add_func("/pulse/volume", test_volume);
	g_test_add_func("/pulse/latency", test_latency);
	g_test_add_func("/pulse/no-server", test_no_server);
	g_test_add_func("/pulse/server-restarts", test_server_restarts);
	g_test_add_func("/pulse/microphone", test_microphone);
	g_test_add_func("/pulse/microphone-off", test_microphone_off);
	g_test_add_func("/pulse/idle", test_idle);
	return g_test_run();
}
