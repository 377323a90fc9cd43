/*
 * Where the picture goes in a window. Pure arithmetic, no SDL.
 */
#pragma once

#include "scanout.h"

struct rectangle {
	int x, y, width, height;
};

enum layout_scale {
	LAYOUT_FIT,     /* as large as the window allows, in the picture's own shape */
	LAYOUT_ACTUAL,  /* a pixel is a pixel; what does not fit is cut off at the right and the bottom */
	LAYOUT_INTEGER, /* the largest whole multiple that fits */
	LAYOUT_SCALES,
};

/* The place of the picture in a window of width x height pixels; empty where there is no picture. */
struct rectangle layout_picture(const struct scanout_picture *picture, int width, int height, enum layout_scale scale);
/* The window's size that shows the picture undistorted and no smaller than its pixels. */
void layout_natural_size(const struct scanout_picture *picture, int *width, int *height);
/* The same, made to fit into limit_width x limit_height without changing the shape. */
void layout_limited_size(const struct scanout_picture *picture, int limit_width, int limit_height, int *width,
			 int *height);
/* A position in the window as EV_ABS has it: 0 to 32767 from the picture's first pixel to its last. */
int layout_absolute(int position, int start, int length);
bool layout_inside(const struct rectangle *rectangle, int x, int y);
