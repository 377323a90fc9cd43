#include "wim.h"

#include <string.h>

#include "bytes.h"

#define HEADER_SIZE 208
#define XML_BYTES (512 << 10)

/* The header: "MSWIM", and at byte 72 where the XML is: size in 7 bytes and flags in one, offset, original size. */
enum {
	XML_SIZE = 72,
	XML_OFFSET = 80,
	XML_FLAG_COMPRESSED = 4,
};

static char *read_xml(const struct oriel_iso *iso, const struct oriel_iso_file *file)
{
	static const guint8 magic[8] = "MSWIM";
	guint8 header[HEADER_SIZE];
	g_autofree guint8 *text = NULL;
	guint64 size, offset;
	gsize converted;

	if (!oriel_iso_read(iso, file, 0, header, sizeof header) || memcmp(header, magic, sizeof magic))
		return NULL;
	size = get_le64(header + XML_SIZE);
	offset = get_le64(header + XML_OFFSET);
	if (size >> 56 & XML_FLAG_COMPRESSED)
		return NULL;
	size = MIN(size & (((guint64)1 << 56) - 1), XML_BYTES) & ~(guint64)1;
	text = g_malloc(size + 1);
	if (size < 4 || !oriel_iso_read(iso, file, offset, text, size))
		return NULL;
	/* A byte order mark, then UTF-16; half a character at the end, where it was cut off, does not matter. */
	return g_convert((char *)text + 2, (gssize)size - 2, "UTF-8", "UTF-16LE", &converted, NULL, NULL);
}

/*
 * What stands in the first element of that name. Not a parser: the XML may be cut off anywhere, and nothing but these
 * flat elements is wanted from it.
 */
static char *get_element(const char *xml, const char *name)
{
	g_autofree char *start_tag = g_strdup_printf("<%s>", name);
	const char *start = strstr(xml, start_tag), *end;

	if (!start)
		return g_strdup("");
	start += strlen(start_tag);
	end = strchr(start, '<');
	return g_strndup(start, end ? (gsize)(end - start) : 0);
}

static guint get_number(const char *xml, const char *name)
{
	g_autofree char *text = get_element(xml, name);

	return (guint)MIN(g_ascii_strtoull(text, NULL, 10), G_MAXUINT16);
}

gboolean oriel_wim_read(const struct oriel_iso *iso, const struct oriel_iso_file *file, struct oriel_wim *wim)
{
	static const char *const architectures[] = { [0] = "i686", [9] = "x86_64", [12] = "aarch64" };
	g_autofree char *xml = read_xml(iso, file);
	g_autofree char *kind = NULL, *architecture = NULL;
	guint64 number;

	if (!xml)
		return FALSE;
	kind = get_element(xml, "INSTALLATIONTYPE");
	architecture = get_element(xml, "ARCH");
	*wim = (struct oriel_wim){ .major = get_number(xml, "MAJOR"), .minor = get_number(xml, "MINOR"),
				   .build = get_number(xml, "BUILD"),
				   .server = g_ascii_strncasecmp(kind, "Server", 6) == 0,
				   .preinstallation = g_ascii_strcasecmp(kind, "WindowsPE") == 0 };
	number = g_ascii_strtoull(architecture, NULL, 10);
	if (*architecture && number < G_N_ELEMENTS(architectures) && architectures[number])
		g_strlcpy(wim->architecture, architectures[number], sizeof wim->architecture);
	return wim->major != 0;
}
