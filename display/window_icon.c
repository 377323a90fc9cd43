#include "window_icon.h"

enum {
	SIZE = 64,
};

struct canvas *window_icon_draw(void)
{
	static const struct {
		struct rectangle area;
		int radius;
		uint32_t color;
	} shapes[] = {
		{ { 2, 2, 60, 60 }, 14, 0xff1f5fb4 }, /* the wall */
		{ { 14, 12, 36, 36 }, 5, 0xffffffff }, /* the frame */
		{ { 18, 16, 13, 13 }, 2, 0xff9cc9ff },
		{ { 33, 16, 13, 13 }, 2, 0xff7ab4fb },
		{ { 18, 31, 13, 13 }, 2, 0xff7ab4fb },
		{ { 33, 31, 13, 13 }, 2, 0xff5c9ff0 },
		{ { 9, 50, 46, 5 }, 2, 0xffffffff }, /* the sill */
	};
	struct canvas *canvas = canvas_new(SIZE, SIZE);

	for (unsigned i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		canvas_fill(canvas, &shapes[i].area, shapes[i].radius, shapes[i].color);
	return canvas;
}
