/*
 * Linux, its snd-hda-intel driver and ALSA's own tools: what aplay plays is what the sound server's sink plays, sample by
 * sample, and arecord records what the server's source hears.
 */
#include "../unit/sound_server.h"
#include "harness.h"

#define HERTZ 1000
#define PERIOD (48000 / HERTZ)
#define AMPLITUDE 16384
#define SECONDS 4
#define FRAMES (48000u * SECONDS)
#define FORMAT "-t raw -f S16_LE -r 48000 -c 2"

/* Both channels alike; a triangle, so that each of a period's samples tells where it is. */
static int16_t *make_tone(unsigned frames)
{
	int16_t *samples = g_new(int16_t, frames * 2);

	for (unsigned i = 0; i < frames; i++) {
		int phase = (int)(i % PERIOD), quarter = PERIOD / 4;
		int height = phase < quarter ? phase : phase < 3 * quarter ? 2 * quarter - phase : phase - 4 * quarter;

		samples[i * 2] = samples[i * 2 + 1] = (int16_t)(height * AMPLITUDE / quarter);
	}
	return samples;
}

static char *keep_tone(const char *folder, unsigned frames)
{
	g_autofree int16_t *tone = make_tone(frames);
	char *path = g_build_filename(folder, "tone.raw", NULL);
	GError *error = NULL;

	g_file_set_contents(path, (const char *)tone, (gssize)frames * SOUND_FRAME, &error);
	g_assert_no_error(error);
	return path;
}

static struct guest *boot(const char *name, const char *source, uint64_t size, char **disk)
{
	g_autofree char *tools = harness_media("tools.iso");
	struct guest *guest = guest_new(name);

	guest_set(guest, "sound", "device", "hda");
	guest_set(guest, "sound", "microphone", "true");
	guest_set(guest, "network", "device", "none");
	guest_set_disc(guest, tools);
	*disk = guest_add_disk(guest, source, size);
	guest_set_linux(guest, true, "drm_kms_helper.fbdev_emulation=0");
	guest_start(guest);
	guest_wait_line(guest, "agent: ready", 300);
	guest_run(guest, 30, "wait /dev/sr0");
	guest_run(guest, 30, "wait /dev/snd/pcmC0D0p");
	guest_run(guest, 60, "run mount -r -t iso9660 /dev/sr0 /mnt");
	/* Drivers begin muted. */
	guest_run(guest, 60, "run /mnt/run amixer -q -c 0 set Master 100%% unmute");
	return guest;
}

/* How many frames follow the tone from this one on. */
static unsigned follow(const int16_t *samples, unsigned first, unsigned end, const int16_t *tone)
{
	unsigned i = first;

	while (i < end && i - first < FRAMES && samples[i * 2] == tone[(i - first) * 2] &&
	       samples[i * 2 + 1] == tone[(i - first) * 2 + 1])
		i++;
	return i - first;
}

/* Reads on, because the server does not wait, until something is heard: the first frame of it. */
static unsigned wait_sound(struct sound_recorder *recorder, unsigned seconds)
{
	unsigned from = 0, first;

	do {
		g_assert_cmpuint(from, <, seconds * 48000);
		from = sound_recorder_frames(recorder);
		sound_recorder_read(recorder, 4800);
		first = sound_recorder_find(recorder, from);
	} while (first == sound_recorder_frames(recorder));
	return first;
}

static void test_play(void)
{
	g_autofree char *disk = NULL, *source = NULL;
	g_autofree int16_t *tone = make_tone(FRAMES);
	struct sound_recorder recorder;
	struct sound_server server;
	struct guest *guest;
	unsigned first, heard;
	uint64_t underruns;

	sound_server_init(&server);
	sound_server_start(&server);
	source = keep_tone(server.folder, FRAMES);
	guest = boot("play", source, FRAMES * SOUND_FRAME, &disk);
	sound_recorder_start(&recorder);
	guest_write(guest, "run /mnt/run aplay -q -D hw:0,0 " FORMAT " /dev/sda\n");
	/* The first sample of the tone is silent. */
	first = wait_sound(&recorder, 120) - 1;
	sound_recorder_read(&recorder, FRAMES);
	guest_wait_line(guest, "done run 0", 60);
	underruns = guest_counter(guest, "sound.output.underruns");
	heard = follow(sound_recorder_samples(&recorder), first, sound_recorder_frames(&recorder), tone);
	g_test_message("%u of %u frames heard as they were played, %" G_GUINT64_FORMAT " underruns", heard, FRAMES,
		       underruns);
	/* A host that is busier than the sound server bears may interrupt the tone, and must own up to it. */
	g_assert_cmpuint(heard, >, PERIOD);
	if (!underruns)
		g_assert_cmpuint(heard, ==, FRAMES);
	sound_recorder_stop(&recorder);
	guest_free(guest);
	sound_server_finish(&server);
}

/* Rises through zero within a second, and the loudest sample. */
static void measure(const int16_t *samples, unsigned *rises, int *highest)
{
	*rises = 0;
	*highest = 0;
	for (unsigned i = 0; i < 48000; i++) {
		*rises += samples[i * 2] < 0 && samples[(i + 1) * 2] >= 0;
		*highest = MAX(*highest, samples[i * 2]);
	}
}

static void test_record(void)
{
	enum { RECORDED = 3 };
	g_autofree char *disk = NULL, *tone = NULL, *bytes = NULL;
	const char *player[] = { "pacat", "--raw", "--format=s16le", "--rate=48000", "--channels=2", "--device=out", NULL, NULL };
	g_autoptr(GSubprocess) process = NULL;
	struct sound_server server;
	struct guest *guest;
	uint64_t underruns;
	unsigned rises;
	gsize size;
	int highest;

	sound_server_init(&server);
	sound_server_start(&server);
	tone = keep_tone(server.folder, 48000 * 300);
	guest = boot("record", NULL, 1 << 20, &disk);
	guest_run(guest, 60, "run /mnt/run amixer -q -c 0 set Capture 100%% cap");
	player[6] = tone;
	process = sound_spawn(player, G_SUBPROCESS_FLAGS_NONE);
	guest_run(guest, 120, "run /mnt/run arecord -q -D hw:0,0 " FORMAT " -d %d /tmp/heard", RECORDED);
	underruns = guest_counter(guest, "sound.input.underruns");
	guest_run(guest, 60, "run dd if=/tmp/heard of=/dev/sda bs=65536");
	guest_write(guest, "poweroff\n");
	guest_wait_end(guest, 60);
	g_subprocess_force_exit(process);
	g_assert_true(g_file_get_contents(disk, &bytes, &size, NULL));
	measure((const int16_t *)bytes + 48000 * 2, &rises, &highest);
	g_test_message("%u rises in a second, up to %d, %" G_GUINT64_FORMAT " underruns", rises, highest, underruns);
	/* Where the host was late there is a hole, which the device counts. */
	g_assert_cmpuint(rises, >=, underruns ? HERTZ * 9 / 10 : HERTZ - 5);
	g_assert_cmpuint(rises, <=, HERTZ + 5);
	g_assert_cmpint(highest, >, AMPLITUDE * 95 / 100);
	g_assert_cmpint(highest, <, AMPLITUDE * 105 / 100);
	guest_free(guest);
	sound_server_finish(&server);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/linux-sound/play", test_play);
	g_test_add_func("/linux-sound/record", test_record);
	return harness_run();
}
