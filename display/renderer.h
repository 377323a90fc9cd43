/*
 * What puts pixels into the window: OpenGL, or the processor where there is none. Main thread only.
 */
#pragma once

#include <SDL.h>
#include <glib.h>
#include <stdbool.h>

#include "canvas.h"
#include "layout.h"
#include "scanout.h"

/* Something that lies over the picture. */
struct render_layer {
	int x, y;
	const struct canvas *canvas; /* NULL: nothing */
};

enum {
	RENDER_LAYERS = 3,
	RENDER_DIM = 96, /* of 256: brightness of a guest that stands still */
};

struct render_frame {
	const struct scanout_picture *picture; /* may be 0 x 0 */
	struct scanout_damage damage;          /* rows that changed since the last frame */
	bool whole;                            /* something else changed too: target, size, dim, layers, or exposure */
	bool dim;                              /* the guest stands still */
	struct rectangle target;               /* of the picture in the window; may reach beyond it */
	int width, height;                     /* of the window, in its pixels */
	struct render_layer layers[RENDER_LAYERS]; /* from below */
};

struct renderer;

struct renderer_ops {
	/* The window's size in pixels, which on a dense display is more than SDL's units. */
	void (*size)(struct renderer *renderer, int *width, int *height);
	/* Reads the damaged rows of the picture and shows the frame. Rows without damage keep what they showed. */
	void (*draw)(struct renderer *renderer, const struct render_frame *frame);
	void (*free)(struct renderer *renderer);
};

struct renderer {
	const struct renderer_ops *ops;
	const char *name;
	bool paced; /* draw() waits for the display where it would come too early */
};

/* Flags for SDL_CreateWindow() and attributes that must be set before it. */
uint32_t gl_renderer_prepare(bool embedded);
/*
 * OpenGL 3.3, or OpenGL ES 3 (embedded). software: whether it turned out to be done by the processor. Error: no
 * usable OpenGL, and the window must be made anew without gl_renderer_prepare()'s flags.
 */
struct renderer *gl_renderer_new(SDL_Window *window, bool *software, GError **error);
/* Whether this host has a graphics device at all; without one OpenGL would be done by the processor. */
bool gl_renderer_likely(void);

struct renderer *software_renderer_new(SDL_Window *window);
