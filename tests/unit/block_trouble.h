/* What a block's trouble handler heard. */
#pragma once

#include "../../vmm/block/block.h"

struct trouble {
	int error;
	unsigned count;
	char *message; /* the latest; of the test */
};

static inline void on_trouble(struct block *block, int error, const char *message, void *opaque)
{
	struct trouble *trouble = opaque;

	(void)block;
	trouble->error = error;
	trouble->count++;
	g_free(trouble->message);
	trouble->message = g_strdup(message);
}
