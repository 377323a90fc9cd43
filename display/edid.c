#include "edid.h"

#include <glib.h>
#include <stdbool.h>
#include <string.h>

#define REFRESH 60u
#define DPI 96u

/* Of a detailed timing descriptor: 12 bits of pixels, 16 bits of 10 kHz. */
#define ACTIVE_MAX 4095u
#define CLOCK_MAX 65535u

struct timing {
	unsigned width, height;
	unsigned h_blank, h_front, h_sync;
	unsigned v_blank, v_front, v_sync;
	unsigned clock; /* units of 10 kHz */
};

/*
 * VESA CVT 1.2, reduced blanking: 160 pixels of horizontal blanking, at least 460 us of vertical blanking, and a
 * width of the vertical sync that tells the aspect ratio.
 */
static struct timing reduced_blanking(unsigned width, unsigned height)
{
	struct timing t = { .width = width, .height = height, .h_blank = 160, .h_front = 48, .h_sync = 32,
			    .v_front = 3, .v_sync = 10 };
	/* Lines that fit into 460 us, of the height + blank lines that fill a frame. */
	unsigned blank_share = 1000000 / REFRESH - 460;

	if (width * 3 == height * 4)
		t.v_sync = 4;
	else if (width * 9 == height * 16)
		t.v_sync = 5;
	else if (width * 10 == height * 16)
		t.v_sync = 6;
	t.v_blank = MAX(460 * height / blank_share + 1, t.v_front + t.v_sync + 6);
	t.clock = (unsigned)((uint64_t)(width + t.h_blank) * (height + t.v_blank) * REFRESH / 10000);
	return t;
}

/* At most what the display's size in whole centimetres can say. */
static unsigned millimetres(unsigned pixels)
{
	return MIN((pixels * 254 + DPI * 5) / (DPI * 10), 2550);
}

static void put16(uint8_t *to, unsigned value)
{
	to[0] = (uint8_t)value;
	to[1] = (uint8_t)(value >> 8);
}

/* E-EDID 1.4, 3.10.2 */
static void put_detailed_timing(uint8_t *to, const struct timing *t, const struct timing *preferred)
{
	unsigned w = millimetres(preferred->width), h = millimetres(preferred->height);

	put16(to, t->clock);
	to[2] = (uint8_t)t->width;
	to[3] = (uint8_t)t->h_blank;
	to[4] = (uint8_t)(t->width >> 8 << 4 | t->h_blank >> 8);
	to[5] = (uint8_t)t->height;
	to[6] = (uint8_t)t->v_blank;
	to[7] = (uint8_t)(t->height >> 8 << 4 | t->v_blank >> 8);
	to[8] = (uint8_t)t->h_front;
	to[9] = (uint8_t)t->h_sync;
	to[10] = (uint8_t)((t->v_front & 15) << 4 | (t->v_sync & 15));
	to[11] = (uint8_t)(t->h_front >> 8 << 6 | t->h_sync >> 8 << 4 | t->v_front >> 4 << 2 | t->v_sync >> 4);
	to[12] = (uint8_t)w;
	to[13] = (uint8_t)h;
	to[14] = (uint8_t)(w >> 8 << 4 | h >> 8);
	to[17] = 0x1A; /* digital separate sync, horizontal positive, vertical negative: reduced blanking */
}

/* E-EDID 1.4, 3.10.3.4: a text ends with a line feed and is padded with spaces. */
static void put_text(uint8_t *to, uint8_t tag, const char *text)
{
	size_t length = strlen(text);

	to[3] = tag;
	memset(to + 5, ' ', 13);
	memcpy(to + 5, text, length);
	to[5 + length] = '\n';
}

/* E-EDID 1.4, 3.10.3.3: what the guest may invent modes within. */
static void put_range_limits(uint8_t *to, const struct timing *t)
{
	unsigned lines = MAX((t->height + t->v_blank) * REFRESH / 1000 + 1, 70); /* kHz */
	unsigned clock = MAX(t->clock / 1000 + 1, 17);                           /* 10 MHz */

	to[3] = 0xFD;
	to[5] = 50;
	to[6] = 85;
	to[7] = 29;
	if (lines > 255) {
		to[4] |= 0x08;
		lines -= 255;
	}
	to[8] = (uint8_t)MIN(lines, 255);
	to[9] = (uint8_t)MIN(clock, 255);
	to[10] = 0x01; /* no formula */
	memset(to + 11, ' ', 7);
	to[11] = '\n';
}

/* E-EDID 1.4, 3.7: 10 bits each of the chromaticity of sRGB's primaries and white point. */
static void put_chromaticity(uint8_t *edid)
{
	static const double srgb[8] = { 0.640, 0.330, 0.300, 0.600, 0.150, 0.060, 0.3127, 0.3290 };

	for (unsigned i = 0; i < 8; i++) {
		unsigned value = (unsigned)(srgb[i] * 1024 + 0.5);

		edid[0x19 + i / 4] |= (uint8_t)((value & 3) << (6 - i % 4 * 2));
		edid[0x1B + i] = (uint8_t)(value >> 2);
	}
}

/* E-EDID 1.4, 3.9: modes with 60 Hz in two bytes, in the display's reach only. */
static void put_standard_timings(uint8_t *to, unsigned width, unsigned height)
{
	enum aspect { ASPECT_16_10, ASPECT_4_3, ASPECT_5_4, ASPECT_16_9 };
	static const struct {
		uint16_t width, height;
		uint8_t aspect;
	} modes[] = {
		{ 1920, 1200, ASPECT_16_10 }, { 1920, 1080, ASPECT_16_9 }, { 1600, 1200, ASPECT_4_3 },
		{ 1680, 1050, ASPECT_16_10 }, { 1600, 900, ASPECT_16_9 },  { 1440, 900, ASPECT_16_10 },
		{ 1280, 1024, ASPECT_5_4 },   { 1280, 800, ASPECT_16_10 }, { 1280, 720, ASPECT_16_9 },
		{ 1152, 864, ASPECT_4_3 },
	};
	unsigned used = 0;

	memset(to, 0x01, 16);
	for (size_t i = 0; i < G_N_ELEMENTS(modes) && used < 8; i++) {
		if (modes[i].width > width || modes[i].height > height)
			continue;
		to[used * 2] = (uint8_t)(modes[i].width / 8 - 31);
		to[used * 2 + 1] = (uint8_t)(modes[i].aspect << 6 | (REFRESH - 60));
		used++;
	}
}

static void put_checksum(uint8_t *from, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += from[i];
	from[size] = (uint8_t)-sum;
}

static void put_base(uint8_t *edid, const struct timing *preferred, const struct timing *detailed)
{
	static const uint8_t header[] = { 0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00 };
	const unsigned manufacturer = ('O' - '@') << 10 | ('R' - '@') << 5 | ('L' - '@');

	memcpy(edid, header, sizeof(header));
	edid[0x08] = (uint8_t)(manufacturer >> 8);
	edid[0x09] = (uint8_t)manufacturer;
	put16(edid + 0x0A, 1); /* product */
	edid[0x11] = 2024 - 1990;
	edid[0x12] = 1;
	edid[0x13] = 4;
	edid[0x14] = 0xA5; /* digital, 8 bits per colour, DisplayPort */
	edid[0x15] = (uint8_t)(millimetres(preferred->width) / 10);
	edid[0x16] = (uint8_t)(millimetres(preferred->height) / 10);
	edid[0x17] = 120; /* gamma 2.2 */
	edid[0x18] = 0x07; /* RGB 4:4:4, sRGB, native mode first, continuous frequency */
	put_chromaticity(edid);
	edid[0x23] = 0x21; /* 640x480, 800x600 */
	edid[0x24] = 0x08; /* 1024x768 */
	put_standard_timings(edid + 0x26, preferred->width, preferred->height);
	put_detailed_timing(edid + 0x36, detailed, preferred);
	put_range_limits(edid + 0x48, preferred);
	put_text(edid + 0x5A, 0xFC, "Oriel");
	put_text(edid + 0x6C, 0xFF, "1");
}

/* DisplayID 1.3, 4.4.2: a detailed timing with 24 bits of 10 kHz and 16 bits of pixels. */
static void put_displayid_timing(uint8_t *to, const struct timing *t)
{
	unsigned clock = t->clock - 1;

	to[0] = (uint8_t)clock;
	to[1] = (uint8_t)(clock >> 8);
	to[2] = (uint8_t)(clock >> 16);
	to[3] = 0x88; /* preferred; aspect ratio not defined */
	put16(to + 4, t->width - 1);
	put16(to + 6, t->h_blank - 1);
	put16(to + 8, (t->h_front - 1) | 0x8000); /* positive sync */
	put16(to + 10, t->h_sync - 1);
	put16(to + 12, t->height - 1);
	put16(to + 14, t->v_blank - 1);
	put16(to + 16, t->v_front - 1);
	put16(to + 18, t->v_sync - 1);
}

/* E-EDID extension 70h: a DisplayID section that says who made the display and gives its one mode. */
static void put_displayid(uint8_t *block, const struct timing *t)
{
	static const uint8_t product[15] = { 0x00, 0, 12, 'O', 'R', 'L', 1, 0, 0, 0, 0, 0, 0, 2024 - 2000, 0 };
	uint8_t *timing = block + 5 + sizeof(product);

	block[0] = 0x70;
	block[1] = 0x13; /* version 1.3 */
	block[2] = sizeof(product) + 3 + 20;
	block[3] = 3; /* standalone display */
	memcpy(block + 5, product, sizeof(product));
	timing[0] = 0x03; /* type I detailed timing */
	timing[2] = 20;
	put_displayid_timing(timing + 3, t);
	put_checksum(block + 1, 4 + block[2]);
}

size_t edid_build(uint8_t edid[EDID_SIZE_MAX], unsigned width, unsigned height)
{
	struct timing preferred = reduced_blanking(CLAMP(width, 640, 16000), CLAMP(height, 480, 12000));
	bool extended = preferred.width > ACTIVE_MAX || preferred.height > ACTIVE_MAX || preferred.clock > CLOCK_MAX;
	struct timing detailed = extended ? reduced_blanking(1920, 1080) : preferred;

	memset(edid, 0, EDID_SIZE_MAX);
	put_base(edid, &preferred, &detailed);
	if (extended) {
		edid[0x7E] = 1;
		put_displayid(edid + EDID_BLOCK_SIZE, &preferred);
		put_checksum(edid + EDID_BLOCK_SIZE, EDID_BLOCK_SIZE - 1);
	}
	put_checksum(edid, EDID_BLOCK_SIZE - 1);
	return extended ? EDID_SIZE_MAX : EDID_BLOCK_SIZE;
}
