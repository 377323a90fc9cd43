#include "trim.h"

#include <glib.h>

#include "../block/block.h"

struct trim_part {
	struct block_request request;
	struct trim *trim;
};

struct trim {
	struct block *block;
	void (*done)(void *opaque, int error);
	void *opaque;
	unsigned count, outstanding;
	int error;
	struct trim_part parts[];
};

struct trim *trim_new(struct block *block, unsigned ranges, void (*done)(void *opaque, int error), void *opaque)
{
	struct trim *trim = g_malloc0(sizeof *trim + ranges * sizeof(struct trim_part));

	trim->block = block;
	trim->done = done;
	trim->opaque = opaque;
	return trim;
}

void trim_free(struct trim *trim)
{
	g_free(trim);
}

static void finish(struct trim *trim)
{
	void (*done)(void *opaque, int error) = trim->done;
	void *opaque = trim->opaque;
	int error = trim->error;

	trim_free(trim);
	done(opaque, error);
}

static void part_done(struct block_request *request, int error)
{
	struct trim *trim = ((struct trim_part *)request)->trim;

	trim->error = trim->error ? trim->error : error;
	if (--trim->outstanding == 0)
		finish(trim);
}

void trim_add(struct trim *trim, uint64_t offset, uint64_t length)
{
	struct block_request *last = trim->count ? &trim->parts[trim->count - 1].request : NULL;
	struct trim_part *part = &trim->parts[trim->count];

	if (!length)
		return;
	if (last && last->offset + last->length == offset) {
		last->length += length;
		return;
	}
	part->trim = trim;
	part->request = (struct block_request){ .operation = BLOCK_DISCARD, .offset = offset, .length = length,
						.done = part_done };
	trim->count++;
}

void trim_start(struct trim *trim)
{
	unsigned count = trim->outstanding = trim->count;

	if (!count)
		finish(trim);
	/* Nothing is delivered before block_poll(). */
	for (unsigned i = 0; i < count; i++)
		block_submit(trim->block, &trim->parts[i].request);
}
