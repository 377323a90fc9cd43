/*
 * The window drawn by the processor into the memory that SDL shares with the display server. Only the rows that
 * changed are converted, scaled and sent.
 */
#include "renderer.h"

#include <string.h>

/* Where a pixel of the window comes from along one axis: first, or a mix with the one after it. */
struct sample {
	int first;
	int weight; /* of the next, 0 to 256 */
};

struct scaled_row {
	int row; /* -1: nothing yet */
	uint32_t *pixels;
};

struct software_renderer {
	struct renderer renderer;
	SDL_Window *window;
	SDL_Surface *shadow; /* drawn into where the window's own surface has another format; else NULL */

	/* The way from a picture to its target; valid for the sizes below. */
	int picture_width, picture_height, target_width, target_height;
	struct sample *columns, *rows;
	bool same_width, mixed_columns;
	uint32_t *source_row;        /* one converted row of the picture */
	struct scaled_row cached[2]; /* rows of the picture scaled to the target's width */
};

static struct software_renderer *to_software(struct renderer *renderer)
{
	return (struct software_renderer *)renderer;
}

static void size(struct renderer *renderer, int *width, int *height)
{
	SDL_Surface *surface = SDL_GetWindowSurface(to_software(renderer)->window);

	*width = surface ? surface->w : 0;
	*height = surface ? surface->h : 0;
}

/*
 * Linear interpolation with the transition between two pixels narrowed to one pixel of the window: sharp, and exact
 * where the factor is whole. The shader of the OpenGL renderer does the same.
 */
static void fill_samples(struct sample *samples, int target, int source)
{
	double factor = (double)target / source;

	for (int i = 0; i < target; i++) {
		double position = CLAMP((i + 0.5) / factor - 0.5, 0, source - 1);
		int first = (int)position;
		double weight = (position - first - 0.5) * MAX(factor, 1) + 0.5;

		samples[i].first = first;
		samples[i].weight = first + 1 < source ? (int)(CLAMP(weight, 0, 1) * 256 + 0.5) : 0;
	}
}

static void prepare_scaling(struct software_renderer *software, const struct scanout_picture *picture,
			    const struct rectangle *target)
{
	if (software->picture_width == (int)picture->width && software->picture_height == (int)picture->height &&
	    software->target_width == target->width && software->target_height == target->height)
		return;
	software->picture_width = (int)picture->width;
	software->picture_height = (int)picture->height;
	software->target_width = target->width;
	software->target_height = target->height;
	software->same_width = (int)picture->width == target->width;
	software->columns = g_renew(struct sample, software->columns, target->width);
	software->rows = g_renew(struct sample, software->rows, target->height);
	software->source_row = g_renew(uint32_t, software->source_row, picture->width);
	for (unsigned i = 0; i < G_N_ELEMENTS(software->cached); i++)
		software->cached[i].pixels = g_renew(uint32_t, software->cached[i].pixels, target->width);
	fill_samples(software->columns, target->width, (int)picture->width);
	fill_samples(software->rows, target->height, (int)picture->height);
	software->mixed_columns = false;
	for (int x = 0; x < target->width; x++)
		software->mixed_columns |= software->columns[x].weight != 0 && software->columns[x].weight != 256;
}

static uint32_t mix(uint32_t a, uint32_t b, unsigned weight)
{
	uint32_t outer = (a & 0xff00ff) * (256 - weight) + (b & 0xff00ff) * weight;
	uint32_t middle = (a & 0x00ff00) * (256 - weight) + (b & 0x00ff00) * weight;

	return (outer >> 8 & 0xff00ff) | (middle >> 8 & 0x00ff00);
}

static void convert_row(const struct scanout_picture *picture, int row, uint32_t *out)
{
	const uint8_t *in = picture->memory->data + picture->offset + (size_t)row * picture->stride;

	if (picture->format == SCANOUT_XRGB8888)
		memcpy(out, in, (size_t)picture->width * 4);
	else
		scanout_convert_row(picture, (unsigned)row, out);
}

/* A row of the picture at the target's width. */
static const uint32_t *scaled_row(struct software_renderer *software, const struct scanout_picture *picture, int row)
{
	struct scaled_row *cached = &software->cached[row & 1];
	const uint32_t *in = software->source_row;

	if (cached->row == row)
		return cached->pixels;
	cached->row = row;
	if (software->same_width) {
		convert_row(picture, row, cached->pixels);
		return cached->pixels;
	}
	convert_row(picture, row, software->source_row);
	for (int x = 0; x < software->target_width; x++) {
		const struct sample *sample = &software->columns[x];

		/* weight 0 where there is no next pixel: the index must not reach it either */
		if (!software->mixed_columns)
			cached->pixels[x] = in[sample->first + (sample->weight >> 8)];
		else
			cached->pixels[x] = mix(in[sample->first], in[sample->first + (sample->weight != 0)],
						(unsigned)sample->weight);
	}
	return cached->pixels;
}

static void draw_row(struct software_renderer *software, const struct render_frame *frame, int y, uint32_t *out,
		     int width)
{
	const struct scanout_picture *picture = frame->picture;
	const struct sample *sample = &software->rows[y];

	if (sample->weight > 0 && sample->weight < 256) {
		const uint32_t *above = scaled_row(software, picture, sample->first);
		const uint32_t *below = scaled_row(software, picture, sample->first + 1);

		for (int x = 0; x < width; x++)
			out[x] = mix(above[x], below[x], (unsigned)sample->weight);
	} else {
		int row = sample->first + (sample->weight >> 8);

		if (software->same_width && width == (int)picture->width)
			convert_row(picture, row, out);
		else
			memcpy(out, scaled_row(software, picture, row), (size_t)width * 4);
	}
	if (frame->dim)
		for (int x = 0; x < width; x++)
			out[x] = mix(0, out[x], RENDER_DIM);
}

static uint32_t *surface_row(const SDL_Surface *surface, int y)
{
	return (uint32_t *)((uint8_t *)surface->pixels + (size_t)y * surface->pitch);
}

static void draw_borders(const SDL_Surface *surface, const struct rectangle *target)
{
	int left = CLAMP(target->x, 0, surface->w), right = CLAMP(target->x + target->width, left, surface->w);

	for (int y = 0; y < surface->h; y++) {
		uint32_t *row = surface_row(surface, y);

		if (y < target->y || y >= target->y + target->height) {
			memset(row, 0, (size_t)surface->w * 4);
		} else {
			memset(row, 0, (size_t)left * 4);
			memset(row + right, 0, (size_t)(surface->w - right) * 4);
		}
	}
}

static void draw_layer(const SDL_Surface *surface, const struct render_layer *layer, int first, int end)
{
	const struct canvas *canvas = layer->canvas;
	int left = MAX(layer->x, 0), right = MIN(layer->x + canvas->width, surface->w);

	for (int y = MAX(layer->y, first); y < MIN(layer->y + canvas->height, end); y++) {
		const uint32_t *in = canvas->pixels + (size_t)(y - layer->y) * canvas->width - layer->x;
		uint32_t *out = surface_row(surface, y);

		for (int x = left; x < right; x++) {
			unsigned keep = 256 - (in[x] >> 24) - (in[x] >> 31);
			uint32_t outer = (out[x] & 0xff00ff) * keep >> 8 & 0xff00ff;
			uint32_t middle = (out[x] & 0x00ff00) * keep >> 8 & 0x00ff00;

			out[x] = (in[x] & 0xffffff) + (outer | middle);
		}
	}
}

/* Rows of the window that the damage reaches, one more at each side for the interpolation. */
static void damaged_rows(const struct render_frame *frame, int *first, int *end)
{
	int64_t source = frame->picture->height, length = frame->target.height;
	int64_t above = frame->damage.first ? frame->damage.first - 1 : 0;
	int64_t below = frame->damage.end + 1;

	*first = frame->target.y + (int)MAX(above * length / source - 1, 0);
	*end = frame->target.y + (int)MIN((below * length + source - 1) / source + 1, length);
	if (length == source) {
		*first = frame->target.y + (int)frame->damage.first;
		*end = frame->target.y + (int)frame->damage.end;
	}
}

static void draw_rows(struct software_renderer *software, const struct render_frame *frame, SDL_Surface *surface,
		      int first, int end)
{
	const struct rectangle *target = &frame->target;
	int width = MIN(target->width, surface->w - target->x);

	for (int y = first; y < end; y++)
		if (layout_inside(target, target->x, y) && width > 0)
			draw_row(software, frame, y - target->y, surface_row(surface, y) + target->x, width);
	for (unsigned i = 0; i < RENDER_LAYERS; i++)
		if (frame->layers[i].canvas)
			draw_layer(surface, &frame->layers[i], first, end);
}

/* The surface to draw into: the window's where it has our pixel format. */
static SDL_Surface *drawing_surface(struct software_renderer *software, SDL_Surface *surface)
{
	SDL_Surface *shadow = software->shadow;

	if (surface->format->BytesPerPixel == 4 && surface->format->Rmask == 0xff0000 &&
	    surface->format->Bmask == 0xff)
		return surface;
	if (shadow && shadow->w == surface->w && shadow->h == surface->h)
		return shadow;
	SDL_FreeSurface(shadow);
	software->shadow = SDL_CreateRGBSurfaceWithFormat(0, surface->w, surface->h, 32, SDL_PIXELFORMAT_RGB888);
	return software->shadow;
}

static void draw(struct renderer *renderer, const struct render_frame *frame)
{
	struct software_renderer *software = to_software(renderer);
	SDL_Surface *surface = SDL_GetWindowSurface(software->window);
	SDL_Surface *drawing = surface ? drawing_surface(software, surface) : NULL;
	int first = 0, end = drawing ? drawing->h : 0;
	SDL_Rect area;

	if (!drawing)
		return;
	if (frame->target.width > 0)
		prepare_scaling(software, frame->picture, &frame->target);
	for (unsigned i = 0; i < G_N_ELEMENTS(software->cached); i++)
		software->cached[i].row = -1;
	if (frame->whole)
		draw_borders(drawing, &frame->target);
	else if (frame->target.height > 0)
		damaged_rows(frame, &first, &end);
	end = MIN(end, drawing->h);
	if (first >= end)
		return;
	draw_rows(software, frame, drawing, first, end);
	area = (SDL_Rect){ 0, first, drawing->w, end - first };
	if (!frame->whole) {
		area.x = CLAMP(frame->target.x, 0, drawing->w);
		area.w = MIN(frame->target.width, drawing->w - area.x);
	}
	if (drawing != surface)
		SDL_BlitSurface(drawing, &area, surface, &(SDL_Rect){ area.x, area.y, area.w, area.h });
	SDL_UpdateWindowSurfaceRects(software->window, &area, 1);
}

static void software_free(struct renderer *renderer)
{
	struct software_renderer *software = to_software(renderer);

	SDL_FreeSurface(software->shadow);
	g_free(software->columns);
	g_free(software->rows);
	g_free(software->source_row);
	for (unsigned i = 0; i < G_N_ELEMENTS(software->cached); i++)
		g_free(software->cached[i].pixels);
	g_free(software);
}

static const struct renderer_ops software_ops = {
	.size = size,
	.draw = draw,
	.free = software_free,
};

struct renderer *software_renderer_new(SDL_Window *window)
{
	struct software_renderer *software = g_new0(struct software_renderer, 1);

	software->renderer.ops = &software_ops;
	software->renderer.name = "software";
	software->window = window;
	return &software->renderer;
}
