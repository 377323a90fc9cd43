#include "disk.h"

#include <string.h>

static void append_string(GString *json, const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);

	g_string_append_c(json, '"');
	for (const char *at = valid; *at; at++) {
		if (*at == '"' || *at == '\\')
			g_string_append_printf(json, "\\%c", *at);
		else if ((guchar)*at < ' ' || *at == 0x7f)
			g_string_append_printf(json, "\\u%04x", (guint)(guchar)*at);
		else
			g_string_append_c(json, *at);
	}
	g_string_append_c(json, '"');
}

static void begin_member(GString *json, const char *name)
{
	if (json->len && !strchr("{[", json->str[json->len - 1]))
		g_string_append_c(json, ',');
	if (json->len > 1)
		g_string_append_c(json, '\n');
	if (!name)
		return;
	append_string(json, name);
	g_string_append(json, ": ");
}

void oriel_disk_json_string(GString *json, const char *name, const char *value)
{
	begin_member(json, name);
	append_string(json, value);
}

void oriel_disk_json_number(GString *json, const char *name, guint64 value)
{
	begin_member(json, name);
	g_string_append_printf(json, "%" G_GUINT64_FORMAT, value);
}

void oriel_disk_json_boolean(GString *json, const char *name, gboolean value)
{
	begin_member(json, name);
	g_string_append(json, value ? "true" : "false");
}

void oriel_disk_json_open(GString *json, const char *name, char bracket)
{
	begin_member(json, name);
	g_string_append_c(json, bracket);
}

void oriel_disk_json_close(GString *json, char bracket)
{
	g_string_append_c(json, bracket);
}
