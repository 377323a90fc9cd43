/*
 * The window drawn by OpenGL: the guest's pixels go from its memory to a texture in their own format, damaged rows
 * only, and the texture onto one quad.
 */
#include "renderer.h"

#include <epoxy/gl.h>
#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>
#include <unistd.h>

#include "gl_shaders.h"

/* How a format of pixels is handed to OpenGL. swizzle: where red, green and blue are found. */
struct gl_format {
	GLint internal;
	GLenum format, type;
	GLint red, blue;
	bool convert; /* OpenGL has no such format: rows become XRGB8888 first */
};

static const struct gl_format desktop_formats[] = {
	[SCANOUT_XRGB8888] = { GL_RGBA8, GL_BGRA, GL_UNSIGNED_INT_8_8_8_8_REV, GL_RED, GL_BLUE },
	[SCANOUT_RGB888] = { GL_RGB8, GL_BGR, GL_UNSIGNED_BYTE, GL_RED, GL_BLUE },
	[SCANOUT_RGB565] = { GL_RGB8, GL_RGB, GL_UNSIGNED_SHORT_5_6_5, GL_RED, GL_BLUE },
	[SCANOUT_XRGB1555] = { GL_RGBA8, GL_BGRA, GL_UNSIGNED_SHORT_1_5_5_5_REV, GL_RED, GL_BLUE },
	[SCANOUT_INDEXED8] = { GL_R8, GL_RED, GL_UNSIGNED_BYTE, GL_RED, GL_BLUE },
};

/* OpenGL ES knows no blue-first formats (OpenGL ES 3.0, table 3.2): red and blue change places on reading. */
static const struct gl_format embedded_formats[] = {
	[SCANOUT_XRGB8888] = { GL_RGBA8, GL_RGBA, GL_UNSIGNED_BYTE, GL_BLUE, GL_RED },
	[SCANOUT_RGB888] = { GL_RGB8, GL_RGB, GL_UNSIGNED_BYTE, GL_BLUE, GL_RED },
	[SCANOUT_RGB565] = { GL_RGB565, GL_RGB, GL_UNSIGNED_SHORT_5_6_5, GL_RED, GL_BLUE },
	[SCANOUT_XRGB1555] = { GL_RGBA8, GL_RGBA, GL_UNSIGNED_BYTE, GL_BLUE, GL_RED, .convert = true },
	[SCANOUT_INDEXED8] = { GL_R8, GL_RED, GL_UNSIGNED_BYTE, GL_RED, GL_BLUE },
};

/* One of the three ways in which a quad is coloured, with the places of its uniforms. */
struct program {
	GLuint name;
	GLint factor, brightness;
};

struct gl_layer {
	GLuint texture;
	unsigned serial; /* of the canvas that the texture holds */
};

struct gl_renderer {
	struct renderer renderer;
	SDL_Window *window;
	SDL_GLContext context;
	const struct gl_format *formats, *layer_format;
	struct program direct, indexed, layer;
	GLuint vertices, picture, palette;
	struct gl_layer layers[RENDER_LAYERS];
	/* What the picture's texture holds; serial changes with palette and memory too. */
	unsigned serial, texture_width, texture_height;
	enum scanout_format texture_format;
	bool filled;
	bool keeps_size; /* Mesa's rasterisers learn of a new size of the window only by being made current */
	uint32_t *row; /* for formats that have to be converted */
};

static struct gl_renderer *to_gl(struct renderer *renderer)
{
	return (struct gl_renderer *)renderer;
}

static void size(struct renderer *renderer, int *width, int *height)
{
	SDL_GL_GetDrawableSize(to_gl(renderer)->window, width, height);
}

/* How the rows lie in memory: UNPACK_ROW_LENGTH counts whole pixels, other strides may be met by an alignment. */
static bool set_unpacking(const struct scanout_picture *picture)
{
	unsigned pixel = scanout_pixel_size(picture->format), used = picture->width * pixel;

	glPixelStorei(GL_UNPACK_ALIGNMENT, 1);
	glPixelStorei(GL_UNPACK_ROW_LENGTH, 0);
	if (picture->stride % pixel == 0) {
		glPixelStorei(GL_UNPACK_ROW_LENGTH, (GLint)(picture->stride / pixel));
		return true;
	}
	for (unsigned alignment = 2; alignment <= 8; alignment *= 2) {
		if ((used + alignment - 1) / alignment * alignment == picture->stride) {
			glPixelStorei(GL_UNPACK_ALIGNMENT, (GLint)alignment);
			return true;
		}
	}
	return false;
}

static void upload_rows(struct gl_renderer *gl, const struct scanout_picture *picture, unsigned first, unsigned end)
{
	const struct gl_format *format = &gl->formats[picture->format];
	const uint8_t *data = picture->memory->data + picture->offset + (size_t)first * picture->stride;

	if (!format->convert && set_unpacking(picture)) {
		glTexSubImage2D(GL_TEXTURE_2D, 0, 0, (GLint)first, (GLsizei)picture->width, (GLsizei)(end - first),
				format->format, format->type, data);
		return;
	}
	glPixelStorei(GL_UNPACK_ALIGNMENT, 1);
	glPixelStorei(GL_UNPACK_ROW_LENGTH, 0);
	if (format->convert)
		gl->row = g_renew(uint32_t, gl->row, picture->width);
	for (unsigned y = first; y < end; y++, data += picture->stride) {
		if (format->convert)
			scanout_convert_row(picture, y, gl->row);
		glTexSubImage2D(GL_TEXTURE_2D, 0, 0, (GLint)y, (GLsizei)picture->width, 1, format->format, format->type,
				format->convert ? (const void *)gl->row : data);
	}
}

static void upload_palette(struct gl_renderer *gl, const struct scanout_picture *picture)
{
	uint8_t colors[256][4];

	for (unsigned i = 0; i < 256; i++) {
		colors[i][0] = (uint8_t)(picture->palette[i] >> 16);
		colors[i][1] = (uint8_t)(picture->palette[i] >> 8);
		colors[i][2] = (uint8_t)picture->palette[i];
		colors[i][3] = 255;
	}
	glActiveTexture(GL_TEXTURE1);
	glBindTexture(GL_TEXTURE_2D, gl->palette);
	glPixelStorei(GL_UNPACK_ROW_LENGTH, 0);
	glTexImage2D(GL_TEXTURE_2D, 0, GL_RGBA8, 256, 1, 0, GL_RGBA, GL_UNSIGNED_BYTE, colors);
	glActiveTexture(GL_TEXTURE0);
}

static void set_filter(GLint filter)
{
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MIN_FILTER, filter);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAG_FILTER, filter);
}

static GLuint new_texture(void)
{
	GLuint texture;

	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_2D, texture);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_WRAP_S, GL_CLAMP_TO_EDGE);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_WRAP_T, GL_CLAMP_TO_EDGE);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_MAX_LEVEL, 0);
	set_filter(GL_NEAREST);
	return texture;
}

static void allocate_texture(struct gl_renderer *gl, const struct scanout_picture *picture)
{
	const struct gl_format *format = &gl->formats[picture->format];

	gl->texture_width = picture->width;
	gl->texture_height = picture->height;
	gl->texture_format = picture->format;
	gl->filled = false;
	glPixelStorei(GL_UNPACK_ROW_LENGTH, 0);
	glTexImage2D(GL_TEXTURE_2D, 0, format->internal, (GLsizei)picture->width, (GLsizei)picture->height, 0,
		     format->format, format->type, NULL);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_SWIZZLE_R, format->red);
	glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_SWIZZLE_B, format->blue);
}

static void upload_picture(struct gl_renderer *gl, const struct scanout_picture *picture,
			   const struct scanout_damage *damage)
{
	glBindTexture(GL_TEXTURE_2D, gl->picture);
	if (gl->texture_width != picture->width || gl->texture_height != picture->height ||
	    gl->texture_format != picture->format)
		allocate_texture(gl, picture);
	if (picture->format == SCANOUT_INDEXED8 && (!gl->filled || gl->serial != picture->serial))
		upload_palette(gl, picture);
	if (!gl->filled)
		upload_rows(gl, picture, 0, picture->height);
	else if (damage->first < damage->end)
		upload_rows(gl, picture, damage->first, MIN(damage->end, picture->height));
	gl->filled = true;
	gl->serial = picture->serial;
}

static void draw_quad(const struct render_frame *frame, int x, int y, int width, int height)
{
	/* OpenGL counts rows from below. */
	glViewport(x, frame->height - y - height, width, height);
	glDrawArrays(GL_TRIANGLE_STRIP, 0, 4);
}

static void draw_picture(struct gl_renderer *gl, const struct render_frame *frame)
{
	const struct scanout_picture *picture = frame->picture;
	const struct rectangle *target = &frame->target;
	bool indexed = picture->format == SCANOUT_INDEXED8;
	const struct program *program = indexed ? &gl->indexed : &gl->direct;
	bool whole_factor = target->width % (int)picture->width == 0 && target->height % (int)picture->height == 0;
	float factor_x = (float)target->width / (float)picture->width;
	float factor_y = (float)target->height / (float)picture->height;

	upload_picture(gl, picture, &frame->damage);
	/* The shader mixes colours of a palette itself: indices cannot be interpolated. */
	if (!indexed)
		set_filter(whole_factor ? GL_NEAREST : GL_LINEAR);
	glUseProgram(program->name);
	glUniform2f(program->factor, whole_factor ? 0 : MAX(factor_x, 1), whole_factor ? 0 : MAX(factor_y, 1));
	glUniform1f(program->brightness, frame->dim ? RENDER_DIM / 256.0f : 1.0f);
	draw_quad(frame, target->x, target->y, target->width, target->height);
}

static void draw_layer(struct gl_renderer *gl, const struct render_frame *frame, unsigned index)
{
	const struct render_layer *from = &frame->layers[index];
	struct gl_layer *layer = &gl->layers[index];

	if (!layer->texture)
		layer->texture = new_texture();
	glBindTexture(GL_TEXTURE_2D, layer->texture);
	if (layer->serial != from->canvas->serial) {
		glPixelStorei(GL_UNPACK_ROW_LENGTH, 0);
		glTexImage2D(GL_TEXTURE_2D, 0, gl->layer_format->internal, from->canvas->width, from->canvas->height, 0,
			     gl->layer_format->format, gl->layer_format->type, from->canvas->pixels);
		glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_SWIZZLE_R, gl->layer_format->red);
		glTexParameteri(GL_TEXTURE_2D, GL_TEXTURE_SWIZZLE_B, gl->layer_format->blue);
		layer->serial = from->canvas->serial;
	}
	glUseProgram(gl->layer.name);
	glEnable(GL_BLEND);
	draw_quad(frame, from->x, from->y, from->canvas->width, from->canvas->height);
	glDisable(GL_BLEND);
}

static void draw(struct renderer *renderer, const struct render_frame *frame)
{
	struct gl_renderer *gl = to_gl(renderer);
	const struct rectangle *target = &frame->target;

	if (frame->whole && gl->keeps_size) {
		SDL_GL_MakeCurrent(gl->window, NULL);
		SDL_GL_MakeCurrent(gl->window, gl->context);
	}
	if (target->width < frame->width || target->height < frame->height)
		glClear(GL_COLOR_BUFFER_BIT);
	if (target->width > 0)
		draw_picture(gl, frame);
	for (unsigned i = 0; i < RENDER_LAYERS; i++)
		if (frame->layers[i].canvas)
			draw_layer(gl, frame, i);
	SDL_GL_SwapWindow(gl->window);
}

static void gl_free(struct renderer *renderer)
{
	struct gl_renderer *gl = to_gl(renderer);

	/* Textures, programs and buffers go with the context. */
	if (gl->context)
		SDL_GL_DeleteContext(gl->context);
	g_free(gl->row);
	g_free(gl);
}

static const struct renderer_ops gl_ops = {
	.size = size,
	.draw = draw,
	.free = gl_free,
};

static GLuint compile(GLenum type, bool embedded, const char *text, GError **error)
{
	const char *parts[] = { embedded ? gl_shader_embedded : gl_shader_desktop, text };
	GLuint shader = glCreateShader(type);
	GLint ok;
	char log[512] = "";

	glShaderSource(shader, 2, parts, NULL);
	glCompileShader(shader);
	glGetShaderiv(shader, GL_COMPILE_STATUS, &ok);
	if (ok)
		return shader;
	glGetShaderInfoLog(shader, sizeof(log), NULL, log);
	g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _("OpenGL refuses a shader: %s"), log);
	return 0;
}

static bool build_program(struct program *program, bool embedded, const char *fragment_text, GError **error)
{
	GLuint vertex = compile(GL_VERTEX_SHADER, embedded, gl_shader_quad, error);
	GLuint fragment = vertex ? compile(GL_FRAGMENT_SHADER, embedded, fragment_text, error) : 0;
	GLint ok;

	if (!fragment)
		return false;
	program->name = glCreateProgram();
	glAttachShader(program->name, vertex);
	glAttachShader(program->name, fragment);
	glLinkProgram(program->name);
	glDeleteShader(vertex);
	glDeleteShader(fragment);
	glGetProgramiv(program->name, GL_LINK_STATUS, &ok);
	if (!ok) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _("OpenGL cannot link its shaders"));
		return false;
	}
	glUseProgram(program->name);
	glUniform1i(glGetUniformLocation(program->name, "picture"), 0);
	glUniform1i(glGetUniformLocation(program->name, "palette"), 1);
	program->factor = glGetUniformLocation(program->name, "factor");
	program->brightness = glGetUniformLocation(program->name, "brightness");
	return true;
}

static bool set_up(struct gl_renderer *gl, bool embedded, GError **error)
{
	if (!build_program(&gl->direct, embedded, gl_shader_direct, error) ||
	    !build_program(&gl->indexed, embedded, gl_shader_indexed, error) ||
	    !build_program(&gl->layer, embedded, gl_shader_layer, error))
		return false;
	gl->formats = embedded ? embedded_formats : desktop_formats;
	gl->layer_format = &gl->formats[SCANOUT_XRGB8888];
	glGenVertexArrays(1, &gl->vertices);
	glBindVertexArray(gl->vertices);
	gl->picture = new_texture();
	gl->palette = new_texture();
	glDisable(GL_DITHER);
	glBlendFunc(GL_ONE, GL_ONE_MINUS_SRC_ALPHA);
	glClearColor(0, 0, 0, 1);
	return true;
}

uint32_t gl_renderer_prepare(bool embedded)
{
	SDL_GL_SetAttribute(SDL_GL_CONTEXT_PROFILE_MASK,
			    embedded ? SDL_GL_CONTEXT_PROFILE_ES : SDL_GL_CONTEXT_PROFILE_CORE);
	SDL_GL_SetAttribute(SDL_GL_CONTEXT_MAJOR_VERSION, 3);
	SDL_GL_SetAttribute(SDL_GL_CONTEXT_MINOR_VERSION, embedded ? 0 : 3);
	SDL_GL_SetAttribute(SDL_GL_DEPTH_SIZE, 0);
	SDL_GL_SetAttribute(SDL_GL_STENCIL_SIZE, 0);
	SDL_GL_SetAttribute(SDL_GL_ALPHA_SIZE, 0);
	return SDL_WINDOW_OPENGL;
}

bool gl_renderer_likely(void)
{
	g_autoptr(GDir) devices = g_dir_open("/dev/dri", 0, NULL);
	const char *name;

	while (devices && (name = g_dir_read_name(devices)))
		if (g_str_has_prefix(name, "render"))
			return true;
	return access("/dev/nvidiactl", F_OK) == 0;
}

/* Names that Mesa's rasterisers for the processor give themselves. */
static bool drawn_by_processor(const char *name)
{
	return strstr(name, "llvmpipe") || strstr(name, "softpipe") || strstr(name, "swrast") ||
	       strstr(name, "Software Rasterizer");
}

struct renderer *gl_renderer_new(SDL_Window *window, bool *software, GError **error)
{
	struct gl_renderer *gl = g_new0(struct gl_renderer, 1);
	const char *name;

	gl->renderer.ops = &gl_ops;
	gl->renderer.name = "gl";
	gl->window = window;
	gl->context = SDL_GL_CreateContext(window);
	if (!gl->context) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, "%s", SDL_GetError());
		gl_free(&gl->renderer);
		return NULL;
	}
	if (!set_up(gl, !epoxy_is_desktop_gl(), error)) {
		gl_free(&gl->renderer);
		return NULL;
	}
	name = (const char *)glGetString(GL_RENDERER);
	*software = name && drawn_by_processor(name);
	gl->keeps_size = *software;
	/* A rasteriser in memory has no display to wait for. */
	gl->renderer.paced = SDL_GL_SetSwapInterval(*software ? 0 : 1) == 0 && !*software;
	g_message("The window is drawn by %s (%s)", name ? name : "OpenGL", (const char *)glGetString(GL_VERSION));
	return &gl->renderer;
}
