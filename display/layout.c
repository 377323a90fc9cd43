#include "layout.h"

/* Modes of 320x200 and the like come from monitors that showed every line twice. */
enum {
	SMALL_WIDTH = 480,
	ABSOLUTE_MAX = 32767,
};

/* Width to height of the picture as it should look. */
static double picture_shape(const struct scanout_picture *picture)
{
	if (picture->aspect_x && picture->aspect_y)
		return (double)picture->aspect_x / picture->aspect_y;
	return (double)picture->width / picture->height;
}

static int rounded(double value)
{
	return MAX((int)(value + 0.5), 1);
}

static int whole_factor(const struct scanout_picture *picture, int width, int height)
{
	return MAX(MIN(width / (int)picture->width, height / (int)picture->height), 1);
}

struct rectangle layout_picture(const struct scanout_picture *picture, int width, int height, enum layout_scale scale)
{
	struct rectangle place = { 0 };

	if (!picture->width || !picture->height || width <= 0 || height <= 0)
		return place;
	if (scale == LAYOUT_FIT) {
		double shape = picture_shape(picture);

		place.width = MIN(rounded(height * shape), width);
		place.height = MIN(rounded(width / shape), height);
	} else {
		int factor = scale == LAYOUT_INTEGER ? whole_factor(picture, width, height) : 1;

		place.width = (int)picture->width * factor;
		place.height = (int)picture->height * factor;
	}
	place.x = MAX((width - place.width) / 2, 0);
	place.y = MAX((height - place.height) / 2, 0);
	return place;
}

void layout_natural_size(const struct scanout_picture *picture, int *width, int *height)
{
	double shape = picture_shape(picture);
	unsigned factor = picture->width < SMALL_WIDTH ? 2 : 1;

	*width = (int)(picture->width * factor);
	*height = rounded(*width / shape);
	if (*height < (int)(picture->height * factor)) {
		*height = (int)(picture->height * factor);
		*width = rounded(*height * shape);
	}
}

void layout_limited_size(const struct scanout_picture *picture, int limit_width, int limit_height, int *width,
			 int *height)
{
	double factor;

	layout_natural_size(picture, width, height);
	factor = MIN((double)limit_width / *width, (double)limit_height / *height);
	if (factor < 1) {
		*width = MIN(rounded(*width * factor), limit_width);
		*height = MIN(rounded(*height * factor), limit_height);
	}
}

int layout_absolute(int position, int start, int length)
{
	if (length < 2)
		return 0;
	position = CLAMP(position - start, 0, length - 1);
	return (int)((gint64)position * ABSOLUTE_MAX / (length - 1));
}

bool layout_inside(const struct rectangle *rectangle, int x, int y)
{
	return x >= rectangle->x && y >= rectangle->y && x < rectangle->x + rectangle->width &&
	       y < rectangle->y + rectangle->height;
}
