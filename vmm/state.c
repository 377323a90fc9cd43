#include "state.h"

#include <string.h>

/*
 * File: magic, version, length of body, body, SHA-256 of everything before. The body is a serialised GVariant
 * a{sa{say}}: section -> field -> bytes (integers little-endian).
 */
#define STATE_MAGIC "ORIELVM"
#define STATE_VERSION 1u

struct state_header {
	char magic[8];
	uint32_t version;
	uint32_t reserved;
	uint64_t body_size;
};

#define STATE_CHECKSUM_SIZE 32

struct state {
	bool loading;
	GHashTable *sections; /* name -> GHashTable of field name -> GBytes */
	GHashTable *section;
	char *section_name;
	char *failure;
};

static struct state *state_new(bool loading)
{
	struct state *state = g_new0(struct state, 1);

	state->loading = loading;
	state->sections = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
	return state;
}

static void state_free(struct state *state)
{
	g_hash_table_unref(state->sections);
	g_free(state->section_name);
	g_free(state->failure);
	g_free(state);
}

static GHashTable *add_section(struct state *state, const char *name)
{
	GHashTable *fields = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);

	g_hash_table_replace(state->sections, g_strdup(name), fields);
	return fields;
}

struct state *state_new_save(void)
{
	return state_new(false);
}

bool state_loading(const struct state *state)
{
	return state->loading;
}

void state_section(struct state *state, const char *name)
{
	g_free(state->section_name);
	state->section_name = g_strdup(name);
	if (state->loading) {
		state->section = g_hash_table_lookup(state->sections, name);
	} else {
		g_assert(!g_hash_table_contains(state->sections, name));
		state->section = add_section(state, name);
	}
}

void state_fail(struct state *state, const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list arguments;

	if (state->failure)
		return;
	va_start(arguments, format);
	text = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	state->failure = g_strdup_printf("%s: %s", state->section_name ? state->section_name : "state", text);
}

void state_bytes(struct state *state, const char *name, void *data, size_t size)
{
	GBytes *bytes;

	if (!state->loading) {
		g_assert(!g_hash_table_contains(state->section, name));
		g_hash_table_insert(state->section, g_strdup(name), g_bytes_new(data, size));
		return;
	}
	bytes = state->section ? g_hash_table_lookup(state->section, name) : NULL;
	if (!bytes)
		return;
	if (g_bytes_get_size(bytes) != size)
		state_fail(state, "field %s has %zu bytes, not %zu", name, g_bytes_get_size(bytes), size);
	else if (size)
		memcpy(data, g_bytes_get_data(bytes, NULL), size);
}

void state_bool(struct state *state, const char *name, bool *value)
{
	uint8_t byte = *value;

	state_u8(state, name, &byte);
	*value = byte != 0;
}

void state_u8(struct state *state, const char *name, uint8_t *value)
{
	state_bytes(state, name, value, sizeof *value);
}

void state_u16(struct state *state, const char *name, uint16_t *value)
{
	uint16_t stored = GUINT16_TO_LE(*value);

	state_bytes(state, name, &stored, sizeof stored);
	*value = GUINT16_FROM_LE(stored);
}

void state_u32(struct state *state, const char *name, uint32_t *value)
{
	uint32_t stored = GUINT32_TO_LE(*value);

	state_bytes(state, name, &stored, sizeof stored);
	*value = GUINT32_FROM_LE(stored);
}

void state_u64(struct state *state, const char *name, uint64_t *value)
{
	uint64_t stored = GUINT64_TO_LE(*value);

	state_bytes(state, name, &stored, sizeof stored);
	*value = GUINT64_FROM_LE(stored);
}

static GList *sorted_keys(GHashTable *table)
{
	return g_list_sort(g_hash_table_get_keys(table), (GCompareFunc)strcmp);
}

static GVariant *fields_variant(GHashTable *fields)
{
	g_autoptr(GList) names = sorted_keys(fields);
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{say}"));
	for (GList *name = names; name; name = name->next) {
		GBytes *bytes = g_hash_table_lookup(fields, name->data);

		g_variant_builder_add(&builder, "{s@ay}", name->data,
				      g_variant_new_from_bytes(G_VARIANT_TYPE_BYTESTRING, bytes, TRUE));
	}
	return g_variant_builder_end(&builder);
}

static void checksum(const void *data, size_t size, guint8 digest[STATE_CHECKSUM_SIZE])
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
	gsize length = STATE_CHECKSUM_SIZE;

	g_checksum_update(sum, data, (gssize)size);
	g_checksum_get_digest(sum, digest, &length);
}

GBytes *state_finish_save(struct state *state)
{
	struct state_header header = { .magic = STATE_MAGIC, .version = GUINT32_TO_LE(STATE_VERSION) };
	g_autoptr(GList) names = sorted_keys(state->sections);
	g_autoptr(GVariant) body = NULL;
	guint8 digest[STATE_CHECKSUM_SIZE];
	GByteArray *file = g_byte_array_new();
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{sa{say}}"));
	for (GList *name = names; name; name = name->next)
		g_variant_builder_add(&builder, "{s@a{say}}", name->data,
				      fields_variant(g_hash_table_lookup(state->sections, name->data)));
	body = g_variant_ref_sink(g_variant_builder_end(&builder));
	header.body_size = GUINT64_TO_LE(g_variant_get_size(body));
	g_byte_array_append(file, (guint8 *)&header, sizeof header);
	g_byte_array_append(file, g_variant_get_data(body), (guint)g_variant_get_size(body));
	checksum(file->data, file->len, digest);
	g_byte_array_append(file, digest, sizeof digest);
	state_free(state);
	return g_byte_array_free_to_bytes(file);
}

static void collect(struct state *state, GVariant *body)
{
	GVariantIter sections, *fields;
	const char *section, *field;
	GVariant *value;

	g_variant_iter_init(&sections, body);
	while (g_variant_iter_loop(&sections, "{&sa{say}}", &section, &fields)) {
		GHashTable *table = add_section(state, section);

		while (g_variant_iter_loop(fields, "{&s@ay}", &field, &value))
			g_hash_table_replace(table, g_strdup(field), g_variant_get_data_as_bytes(value));
	}
}

struct state *state_new_load(GBytes *file, GError **error)
{
	gsize size;
	const guint8 *data = g_bytes_get_data(file, &size);
	g_autoptr(GBytes) bytes = NULL;
	g_autoptr(GVariant) body = NULL;
	guint8 digest[STATE_CHECKSUM_SIZE];
	struct state_header header;
	struct state *state;

	if (size < sizeof header + STATE_CHECKSUM_SIZE || memcmp(data, STATE_MAGIC, sizeof header.magic)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "This is not a saved machine state");
		return NULL;
	}
	memcpy(&header, data, sizeof header);
	if (GUINT32_FROM_LE(header.version) != STATE_VERSION) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "The saved state has version %u; this program "
			    "reads version %u", GUINT32_FROM_LE(header.version), STATE_VERSION);
		return NULL;
	}
	checksum(data, size - STATE_CHECKSUM_SIZE, digest);
	if (GUINT64_FROM_LE(header.body_size) != size - sizeof header - STATE_CHECKSUM_SIZE ||
	    memcmp(data + size - STATE_CHECKSUM_SIZE, digest, STATE_CHECKSUM_SIZE)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "The saved state is damaged");
		return NULL;
	}
	bytes = g_bytes_new_from_bytes(file, sizeof header, size - sizeof header - STATE_CHECKSUM_SIZE);
	body = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE("a{sa{say}}"), bytes, FALSE));
	state = state_new(true);
	collect(state, body);
	return state;
}

bool state_finish_load(struct state *state, GError **error)
{
	bool ok = !state->failure;

	if (!ok)
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "The saved state cannot be used: %s",
			    state->failure);
	state_free(state);
	return ok;
}
