/*
 * The shaders of gl_renderer.c. Each is preceded by the first lines of its dialect.
 */
#pragma once

static const char gl_shader_desktop[] = "#version 330 core\n";
static const char gl_shader_embedded[] = "#version 300 es\n"
					 "precision highp float;\n"
					 "precision highp int;\n";

/* Four corners without a buffer; place runs from the picture's top left, OpenGL's from below. */
static const char gl_shader_quad[] =
	"out vec2 place;\n"
	"void main()\n"
	"{\n"
	"	vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);\n"
	"	place = vec2(corner.x, 1.0 - corner.y);\n"
	"	gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);\n"
	"}\n";

/*
 * factor is how much the picture is enlarged (at least 1), or 0 for a whole factor, where nothing is mixed. The
 * transition between two pixels is narrowed to one pixel of the window; the texture unit does the mixing.
 */
static const char gl_shader_direct[] =
	"uniform sampler2D picture;\n"
	"uniform vec2 factor;\n"
	"uniform float brightness;\n"
	"in vec2 place;\n"
	"out vec4 color;\n"
	"void main()\n"
	"{\n"
	"	vec2 position = place;\n"
	"	if (factor.x != 0.0) {\n"
	"		vec2 size = vec2(textureSize(picture, 0));\n"
	"		vec2 at = place * size - 0.5;\n"
	"		vec2 first = floor(at);\n"
	"		vec2 weight = clamp((at - first - 0.5) * factor + 0.5, 0.0, 1.0);\n"
	"		position = (first + 0.5 + weight) / size;\n"
	"	}\n"
	"	color = vec4(texture(picture, position).rgb * brightness, 1.0);\n"
	"}\n";

/* The same for indices into a palette, whose colours are mixed here. */
static const char gl_shader_indexed[] =
	"uniform sampler2D picture;\n"
	"uniform sampler2D palette;\n"
	"uniform vec2 factor;\n"
	"uniform float brightness;\n"
	"in vec2 place;\n"
	"out vec4 color;\n"
	"vec3 look_up(ivec2 at)\n"
	"{\n"
	"	at = clamp(at, ivec2(0), textureSize(picture, 0) - 1);\n"
	"	int index = int(texelFetch(picture, at, 0).r * 255.0 + 0.5);\n"
	"	return texelFetch(palette, ivec2(index, 0), 0).rgb;\n"
	"}\n"
	"void main()\n"
	"{\n"
	"	vec2 size = vec2(textureSize(picture, 0));\n"
	"	vec3 result;\n"
	"	if (factor.x == 0.0) {\n"
	"		result = look_up(ivec2(place * size));\n"
	"	} else {\n"
	"		vec2 at = place * size - 0.5;\n"
	"		ivec2 first = ivec2(floor(at));\n"
	"		vec2 weight = clamp((at - vec2(first) - 0.5) * factor + 0.5, 0.0, 1.0);\n"
	"		vec3 above = mix(look_up(first), look_up(first + ivec2(1, 0)), weight.x);\n"
	"		vec3 below = mix(look_up(first + ivec2(0, 1)), look_up(first + ivec2(1, 1)), weight.x);\n"
	"		result = mix(above, below, weight.y);\n"
	"	}\n"
	"	color = vec4(result * brightness, 1.0);\n"
	"}\n";

static const char gl_shader_layer[] =
	"uniform sampler2D picture;\n"
	"in vec2 place;\n"
	"out vec4 color;\n"
	"void main()\n"
	"{\n"
	"	color = texture(picture, place);\n"
	"}\n";
