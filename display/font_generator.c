/*
 * Build tool: draws the letters that the window's texts need and writes them as a part of font.c.
 * Arguments: font file, bold font file, output.
 */
#include <ft2build.h>
#include FT_FREETYPE_H
#include <stdio.h>
#include <stdlib.h>

static const struct {
	unsigned first, last;
} ranges[] = {
	{ 0x20, 0x7e },
	{ 0xa0, 0x17f },     /* Latin-1 and Latin Extended-A */
	{ 0x386, 0x3ce },    /* Greek */
	{ 0x400, 0x45f },    /* Cyrillic */
	{ 0x2013, 0x2014 },  /* dashes */
	{ 0x2018, 0x201e },  /* quotation marks */
	{ 0x2022, 0x2022 },  /* bullet */
	{ 0x2026, 0x2026 },  /* ellipsis */
	{ 0x203a, 0x203a },  /* the mark of a menu in a menu */
	{ 0xfffd, 0xfffd },  /* for everything else */
};

static const struct {
	int bold, size;
} faces[] = {
	{ 0, 12 }, { 0, 14 }, { 1, 17 }, { 0, 24 }, { 0, 28 }, { 1, 34 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "font_generator: cannot %s %s\n", what, path);
	exit(1);
}

static void write_bitmap(FILE *out, const FT_Bitmap *bitmap)
{
	for (unsigned y = 0; y < bitmap->rows; y++) {
		fputs("\t\"", out);
		for (unsigned x = 0; x < bitmap->width; x++)
			fprintf(out, "\\%03o", bitmap->buffer[y * bitmap->pitch + x]);
		fputs("\"\n", out);
	}
}

/* Coverage goes to out at once, descriptions to a second file that is appended after it. */
static unsigned write_face(FILE *out, FT_Face face, unsigned number, FILE *glyphs)
{
	unsigned offset = 0, count = 0;

	fprintf(out, "static const char coverage_%u[] =\n", number);
	fprintf(glyphs, "static const struct font_glyph glyphs_%u[] = {\n", number);
	for (unsigned r = 0; r < COUNT(ranges); r++) {
		for (unsigned c = ranges[r].first; c <= ranges[r].last; c++) {
			FT_GlyphSlot slot = face->glyph;

			if (!FT_Get_Char_Index(face, c) || FT_Load_Char(face, c, FT_LOAD_RENDER | FT_LOAD_TARGET_LIGHT))
				continue;
			write_bitmap(out, &slot->bitmap);
			fprintf(glyphs, "\t{ 0x%x, %d, %d, %u, %u, %ld, %u },\n", c, slot->bitmap_left,
				slot->bitmap_top, slot->bitmap.width, slot->bitmap.rows,
				(slot->advance.x + 32) >> 6, offset);
			offset += slot->bitmap.width * slot->bitmap.rows;
			count++;
		}
	}
	fputs("\t\"\";\n\n", out);
	fputs("};\n\n", glyphs);
	return count;
}

static void append(FILE *out, FILE *in)
{
	int c;

	rewind(in);
	while ((c = getc(in)) != EOF)
		putc(c, out);
	fclose(in);
}

int main(int argc, char **argv)
{
	FT_Library library;
	FT_Face face;
	FILE *out, *table = tmpfile();

	if (argc != 4 || !table || FT_Init_FreeType(&library))
		fail("start with these", "arguments");
	out = fopen(argv[3], "w");
	if (!out)
		fail("write", argv[3]);
	fprintf(table, "const struct font font_faces[FONT_SCALES][FONT_STYLES] = {\n");
	for (unsigned i = 0; i < COUNT(faces); i++) {
		const char *path = argv[faces[i].bold ? 2 : 1];
		FILE *glyphs = tmpfile();
		unsigned count;

		if (!glyphs || FT_New_Face(library, path, 0, &face) ||
		    FT_Set_Pixel_Sizes(face, 0, (FT_UInt)faces[i].size))
			fail("draw the letters of", path);
		count = write_face(out, face, i, glyphs);
		append(out, glyphs);
		fprintf(table, "\t[%u][%u] = { %ld, %ld, %u, glyphs_%u, (const uint8_t *)coverage_%u },\n", i / 3, i % 3,
			(face->size->metrics.ascender + 32) >> 6, (face->size->metrics.height + 32) >> 6, count, i, i);
		FT_Done_Face(face);
	}
	fputs("};\n", table);
	append(out, table);
	FT_Done_FreeType(library);
	return fclose(out) ? 1 : 0;
}
