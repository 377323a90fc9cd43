/* Snapshots of images that nobody has open. */
#include "image_internal.h"

static struct block *open_for(const char *path, bool read_only, GError **error)
{
	struct block_options options = { .path = path, .read_only = read_only };

	return block_open(&options, error);
}

GArray *image_snapshot_list(const char *path, GError **error)
{
	struct block *block = open_for(path, true, error);
	GArray *list = block ? block_snapshot_list(block, error) : NULL;

	if (block)
		block_close(block);
	return list;
}

bool image_snapshot_create(const char *path, const char *name, GError **error)
{
	struct block *block = open_for(path, false, error);
	bool done = block && block_snapshot_create(block, name, 0, error);

	if (block)
		block_close(block);
	return done;
}

bool image_snapshot_apply(const char *path, const char *name, GError **error)
{
	struct block *block = open_for(path, false, error);
	bool done = block && block_snapshot_apply(block, name, error);

	if (block)
		block_close(block);
	return done;
}

bool image_snapshot_delete(const char *path, const char *name, GError **error)
{
	struct block *block = open_for(path, false, error);
	bool done = block && block_snapshot_delete(block, name, error);

	if (block)
		block_close(block);
	return done;
}
