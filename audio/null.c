/* A sink that takes everything at once, so that the device's own clock is what keeps time, and a silent source. */
#include <glib.h>

#include "backend.h"

static void null_start(struct audio_backend *backend, struct audio_stream *stream)
{
	stream->host = backend;
}

static void null_stop(struct audio_backend *backend, struct audio_stream *stream)
{
	(void)backend;
	stream->host = NULL;
}

static int64_t null_moved(struct audio_backend *backend, struct audio_stream *stream)
{
	(void)backend;
	if (!stream->input)
		audio_stream_read(stream, NULL, UINT32_MAX);
	return 0;
}

static void null_destroy(struct audio_backend *backend)
{
	g_free(backend);
}

static const struct audio_backend_ops null_ops = {
	.start = null_start,
	.stop = null_stop,
	.moved = null_moved,
	.destroy = null_destroy,
};

struct audio_backend *audio_backend_null_new(void)
{
	struct audio_backend *backend = g_new0(struct audio_backend, 1);

	backend->ops = &null_ops;
	return backend;
}
