/*
 * A PulseAudio server of a test's own, without any sound hardware: what is played into its sink "out" can be recorded
 * from the sink's monitor, bit by bit the same if it has the sink's format (48 kHz, 16 bits, stereo). Everything it
 * keeps is in a temporary folder, and clients find it by PULSE_SERVER.
 */
#pragma once

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>

#include "../remove_tree.h"

#define SOUND_FRAME 4

struct sound_server {
	char *folder, *socket;
	GSubprocess *process;
};

struct sound_recorder {
	GSubprocess *process;
	GInputStream *pipe;
	GByteArray *sound; /* all of it so far */
};

static inline bool sound_server_installed(void)
{
	g_autofree char *server = g_find_program_in_path("pulseaudio");
	g_autofree char *recorder = g_find_program_in_path("parec");

	return server && recorder;
}

static inline void sound_end_with_parent(void *data)
{
	(void)data;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static inline GSubprocess *sound_spawn(const char *const *arguments, GSubprocessFlags flags)
{
	g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(flags);
	g_autoptr(GError) error = NULL;
	GSubprocess *process;

	g_subprocess_launcher_set_child_setup(launcher, sound_end_with_parent, NULL, NULL);
	process = g_subprocess_launcher_spawnv(launcher, arguments, &error);
	g_assert_no_error(error);
	return process;
}

/* Folder and environment; the server itself is not started. */
static inline void sound_server_init(struct sound_server *server)
{
	g_autofree char *address = NULL;

	server->folder = g_dir_make_tmp("oriel-sound-XXXXXX", NULL);
	g_assert_nonnull(server->folder);
	server->socket = g_build_filename(server->folder, "native", NULL);
	address = g_strdup_printf("unix:%s", server->socket);
	server->process = NULL;
	g_setenv("HOME", server->folder, TRUE);
	g_setenv("XDG_CONFIG_HOME", server->folder, TRUE);
	g_setenv("XDG_RUNTIME_DIR", server->folder, TRUE);
	g_setenv("PULSE_SERVER", address, TRUE);
}

static inline void sound_server_start(struct sound_server *server)
{
	g_autofree char *protocol = g_strdup_printf("module-native-protocol-unix socket=%s auth-anonymous=1",
						    server->socket);
	const char *arguments[] = {
		"pulseaudio", "-n", "-v", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
		"--log-target=stderr", "-L", protocol, "-L",
		"module-null-sink sink_name=out rate=48000 format=s16le channels=2 norewinds=1", NULL,
	};
	g_autoptr(GDataInputStream) messages = NULL;
	char *line;

	server->process = sound_spawn(arguments, G_SUBPROCESS_FLAGS_STDERR_PIPE);
	messages = g_data_input_stream_new(g_subprocess_get_stderr_pipe(server->process));
	/* The pipe stays open, so that the server can go on talking; what it says fits into it. */
	g_filter_input_stream_set_close_base_stream(G_FILTER_INPUT_STREAM(messages), FALSE);
	do {
		line = g_data_input_stream_read_line(messages, NULL, NULL, NULL);
		g_assert_nonnull(line);
		if (strstr(line, "startup complete"))
			g_clear_pointer(&line, g_free);
		g_free(line);
	} while (line);
}

static inline void sound_server_stop(struct sound_server *server)
{
	if (!server->process)
		return;
	g_subprocess_send_signal(server->process, SIGTERM);
	g_subprocess_wait(server->process, NULL, NULL);
	g_clear_object(&server->process);
}

static inline void sound_server_finish(struct sound_server *server)
{
	sound_server_stop(server);
	remove_tree(server->folder);
	g_free(server->folder);
	g_free(server->socket);
}

/* Output of pactl with these arguments. */
static inline char *sound_server_ask(const char *command, const char *what)
{
	const char *arguments[] = { "pactl", command, what, NULL };
	g_autoptr(GSubprocess) process = sound_spawn(arguments, G_SUBPROCESS_FLAGS_STDOUT_PIPE);
	char *output = NULL;

	g_assert_true(g_subprocess_communicate_utf8(process, NULL, NULL, &output, NULL, NULL));
	return output;
}

/* Waits for so many more frames. */
static inline void sound_recorder_read(struct sound_recorder *recorder, unsigned frames)
{
	guint before = recorder->sound->len;
	gsize got;

	g_byte_array_set_size(recorder->sound, before + frames * SOUND_FRAME);
	g_assert_true(g_input_stream_read_all(recorder->pipe, recorder->sound->data + before, frames * SOUND_FRAME,
					      &got, NULL, NULL));
	g_assert_cmpuint(got, ==, frames * SOUND_FRAME);
}

/* Records what the sink plays from now on: returns when the first of it has arrived. */
static inline void sound_recorder_start(struct sound_recorder *recorder)
{
	const char *arguments[] = { "parec", "--raw", "--format=s16le", "--rate=48000", "--channels=2",
				    "--latency-msec=5", "--device=out.monitor", NULL };

	recorder->process = sound_spawn(arguments, G_SUBPROCESS_FLAGS_STDOUT_PIPE);
	recorder->pipe = g_subprocess_get_stdout_pipe(recorder->process);
	recorder->sound = g_byte_array_new();
	sound_recorder_read(recorder, 480);
}

static inline void sound_recorder_stop(struct sound_recorder *recorder)
{
	g_subprocess_force_exit(recorder->process);
	g_subprocess_wait(recorder->process, NULL, NULL);
	g_clear_object(&recorder->process);
	g_byte_array_unref(recorder->sound);
}

static inline const int16_t *sound_recorder_samples(const struct sound_recorder *recorder)
{
	return (const int16_t *)recorder->sound->data;
}

static inline unsigned sound_recorder_frames(const struct sound_recorder *recorder)
{
	return recorder->sound->len / SOUND_FRAME;
}

/* The first frame from this one on that is not silent, or the number of frames. */
static inline unsigned sound_recorder_find(const struct sound_recorder *recorder, unsigned from)
{
	const int16_t *samples = sound_recorder_samples(recorder);

	while (from < sound_recorder_frames(recorder) && !samples[from * 2] && !samples[from * 2 + 1])
		from++;
	return from;
}
