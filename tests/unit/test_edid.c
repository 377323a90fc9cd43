/* EDID blocks, taken apart again by the offsets of E-EDID 1.4 and DisplayID 1.3. */
#include "../../display/edid.h"

#include <glib.h>

static void check_sums(const uint8_t *edid, size_t size)
{
	for (size_t block = 0; block < size; block += EDID_BLOCK_SIZE) {
		uint8_t sum = 0;

		for (size_t i = 0; i < EDID_BLOCK_SIZE; i++)
			sum += edid[block + i];
		g_assert_cmphex(sum, ==, 0);
	}
}

/* Refresh rate in hundredths of a hertz. */
static unsigned check_detailed(const uint8_t *d, unsigned width, unsigned height)
{
	unsigned clock = d[0] | d[1] << 8, h_active = d[2] | (d[4] & 0xF0) << 4, v_active = d[5] | (d[7] & 0xF0) << 4;
	unsigned h_blank = d[3] | (d[4] & 0xF) << 8, v_blank = d[6] | (d[7] & 0xF) << 8;
	unsigned h_front = d[8] | (d[11] & 0xC0) << 2, h_sync = d[9] | (d[11] & 0x30) << 4;
	unsigned v_front = d[10] >> 4 | (d[11] & 0x0C) << 2, v_sync = (d[10] & 0xF) | (d[11] & 3) << 4;

	g_assert_cmpuint(h_active, ==, width);
	g_assert_cmpuint(v_active, ==, height);
	g_assert_cmpuint(h_front + h_sync, <, h_blank);
	g_assert_cmpuint(v_front + v_sync, <, v_blank);
	return (unsigned)(clock * 1000000ull / ((h_active + h_blank) * (v_active + v_blank)));
}

static void test_base(void)
{
	static const unsigned sizes[][2] = { { 640, 480 }, { 1024, 768 }, { 1366, 768 }, { 1920, 1080 },
					     { 2560, 1600 }, { 3840, 2160 } };

	for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
		uint8_t edid[EDID_SIZE_MAX];
		unsigned width = sizes[i][0], height = sizes[i][1], rate;

		g_assert_cmpuint(edid_build(edid, width, height), ==, EDID_BLOCK_SIZE);
		check_sums(edid, EDID_BLOCK_SIZE);
		g_assert_cmpmem(edid, 8, "\x00\xFF\xFF\xFF\xFF\xFF\xFF\x00", 8);
		g_assert_cmpuint(edid[0x12], ==, 1);
		g_assert_cmpuint(edid[0x13], ==, 4);
		g_assert_cmpuint(edid[0x7E], ==, 0);
		rate = check_detailed(edid + 0x36, width, height);
		g_assert_cmpuint(rate, >=, 5990);
		g_assert_cmpuint(rate, <=, 6010);
		/* 96 DPI, to a centimetre. */
		g_assert_cmpint(ABS((int)(edid[0x15] * 96) - (int)(width * 254 / 100)), <=, 96);
		g_assert_cmpmem(edid + 0x5A, 18, "\0\0\0\xFC\0Oriel\n       ", 18);
	}
}

/* No standard timing is larger than the preferred mode, and none is given twice. */
static void test_standard_timings(void)
{
	static const unsigned heights[4][2] = { { 10, 16 }, { 3, 4 }, { 4, 5 }, { 9, 16 } };
	uint8_t edid[EDID_SIZE_MAX];
	unsigned used = 0;

	edid_build(edid, 1280, 800);
	for (const uint8_t *t = edid + 0x26; t < edid + 0x36; t += 2) {
		unsigned width = (t[0] + 31u) * 8, height = width * heights[t[1] >> 6][0] / heights[t[1] >> 6][1];

		if (t[0] == 1 && t[1] == 1)
			continue;
		used++;
		g_assert_cmpuint(width, <=, 1280);
		g_assert_cmpuint(height, <=, 800);
		for (const uint8_t *other = edid + 0x26; other < t; other += 2)
			g_assert_false(other[0] == t[0] && other[1] == t[1]);
	}
	g_assert_cmpuint(used, ==, 2);
}

/* What 12 bits cannot say goes into a DisplayID extension. */
static void test_large(void)
{
	uint8_t edid[EDID_SIZE_MAX];
	const uint8_t *section = edid + EDID_BLOCK_SIZE, *timing;
	uint8_t sum = 0;

	g_assert_cmpuint(edid_build(edid, 5120, 2880), ==, EDID_SIZE_MAX);
	check_sums(edid, EDID_SIZE_MAX);
	g_assert_cmpuint(edid[0x7E], ==, 1);
	check_detailed(edid + 0x36, 1920, 1080);
	g_assert_cmphex(section[0], ==, 0x70);
	for (unsigned i = 1; i < 1 + 4u + section[2] + 1; i++)
		sum += section[i];
	g_assert_cmphex(sum, ==, 0);
	for (timing = section + 5; timing[0] != 0x03; timing += 3 + timing[2])
		g_assert_true(timing < section + 5 + section[2]);
	g_assert_cmpuint(timing[2], ==, 20);
	g_assert_cmpuint((timing[7] | timing[8] << 8) + 1, ==, 5120);
	g_assert_cmpuint((timing[15] | timing[16] << 8) + 1, ==, 2880);
}

static void test_hostile_sizes(void)
{
	static const unsigned sizes[] = { 0, 1, 639, 4095, 4096, 16000, 65535, ~0u };

	for (size_t w = 0; w < G_N_ELEMENTS(sizes); w++) {
		for (size_t h = 0; h < G_N_ELEMENTS(sizes); h++) {
			uint8_t edid[EDID_SIZE_MAX];

			check_sums(edid, edid_build(edid, sizes[w], sizes[h]));
		}
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/edid/base", test_base);
	g_test_add_func("/edid/standard-timings", test_standard_timings);
	g_test_add_func("/edid/large", test_large);
	g_test_add_func("/edid/hostile-sizes", test_hostile_sizes);
	return g_test_run();
}
