#include <glib/gi18n.h>
#include <string.h>

#include "ova.h"

#define TEXT_BYTES 1024 /* of one element */
#define LIST_LENGTH 64

/* CIM_ResourceAllocationSettingData.ResourceType */
enum {
	RESOURCE_CPU = 3,
	RESOURCE_MEMORY = 4,
	RESOURCE_DISK = 17,
};

struct reference {
	char *id, *target; /* a file's name; a disk's file */
	gboolean compressed;
};

struct parser {
	struct oriel_ova *ova;
	GArray *files, *disks; /* of struct reference */
	GPtrArray *attached;   /* ids of disks, in the machine's order */
	GString *text;         /* of the current element */
	guint systems;         /* only the first one is read */
	guint item_depth, depth;
	/* of the current Item */
	guint type;
	guint64 quantity, unit;
	char *resource;
};

/* Prefixes of namespaces are the writer's choice; the names behind them are enough. */
static const char *local(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon ? colon + 1 : name;
}

static const char *get_attribute(const char **names, const char **values, const char *wanted)
{
	for (guint i = 0; names[i]; i++)
		if (strcmp(local(names[i]), wanted) == 0)
			return values[i];
	return NULL;
}

static void add_reference(GArray *list, const char *id, const char *target, const char *compression)
{
	struct reference reference = { g_strdup(id), g_strdup(target), compression && *compression &&
				       g_ascii_strcasecmp(compression, "identity") };

	if (id && target && list->len < LIST_LENGTH) {
		g_array_append_val(list, reference);
	} else {
		g_free(reference.id);
		g_free(reference.target);
	}
}

static void start(GMarkupParseContext *context, const char *element, const char **names, const char **values,
		  gpointer data, GError **error)
{
	struct parser *parser = data;
	const char *name = local(element);

	(void)context;
	(void)error;
	parser->depth++;
	g_string_truncate(parser->text, 0);
	if (strcmp(name, "File") == 0) {
		add_reference(parser->files, get_attribute(names, values, "id"), get_attribute(names, values, "href"),
			      get_attribute(names, values, "compression"));
	} else if (strcmp(name, "Disk") == 0) {
		add_reference(parser->disks, get_attribute(names, values, "diskId"),
			      get_attribute(names, values, "fileRef"), NULL);
	} else if (strcmp(name, "VirtualSystem") == 0) {
		parser->systems++;
	} else if (strcmp(name, "Item") == 0 || strcmp(name, "StorageItem") == 0) {
		parser->item_depth = parser->depth;
		parser->type = 0;
		parser->quantity = 0;
		parser->unit = 1 << 20; /* of memory, where an old writer says nothing */
		g_clear_pointer(&parser->resource, g_free);
	}
}

/* "byte * 2^20", or "MegaBytes" in drafts of the standard */
static guint64 get_unit(const char *text)
{
	const char *power = strstr(text, "2^");
	guint64 shift = power ? g_ascii_strtoull(power + 2, NULL, 10) : 0;

	if (power && shift <= 40)
		return (guint64)1 << shift;
	if (g_ascii_strncasecmp(text, "giga", 4) == 0)
		return 1 << 30;
	if (g_ascii_strncasecmp(text, "kilo", 4) == 0)
		return 1 << 10;
	return g_ascii_strncasecmp(text, "byte", 4) == 0 ? 1 : 1 << 20;
}

static void end_item(struct parser *parser)
{
	const char *id = parser->resource ? strrchr(parser->resource, '/') : NULL;

	if (parser->type == RESOURCE_CPU)
		parser->ova->cpus = (guint)MIN(parser->quantity, 255);
	else if (parser->type == RESOURCE_MEMORY && parser->quantity <= G_MAXINT64 / parser->unit)
		parser->ova->memory = parser->quantity * parser->unit;
	else if (parser->type == RESOURCE_DISK && id && strstr(parser->resource, "/disk/") &&
		 parser->attached->len < LIST_LENGTH)
		g_ptr_array_add(parser->attached, g_strdup(id + 1));
	parser->item_depth = 0;
}

static void end_in_item(struct parser *parser, const char *name, const char *text)
{
	if (strcmp(name, "ResourceType") == 0)
		parser->type = (guint)g_ascii_strtoull(text, NULL, 10);
	else if (strcmp(name, "VirtualQuantity") == 0)
		parser->quantity = g_ascii_strtoull(text, NULL, 10);
	else if (strcmp(name, "AllocationUnits") == 0)
		parser->unit = get_unit(text);
	else if (strcmp(name, "HostResource") == 0 && !parser->resource)
		parser->resource = g_strdup(text);
}

static void end(GMarkupParseContext *context, const char *element, gpointer data, GError **error)
{
	struct parser *parser = data;
	const char *name = local(element);
	const GSList *stack = g_markup_parse_context_get_element_stack(context);
	const char *parent = stack->next ? local(stack->next->data) : "";
	char *text = g_strstrip(parser->text->str);

	(void)error;
	if (parser->systems == 1 && parser->item_depth && parser->depth > parser->item_depth)
		end_in_item(parser, name, text);
	else if (parser->systems == 1 && parser->item_depth == parser->depth)
		end_item(parser);
	else if (parser->systems == 1 && !parser->ova->name && strcmp(name, "Name") == 0 &&
		 strcmp(parent, "VirtualSystem") == 0 && *text)
		parser->ova->name = g_utf8_make_valid(text, -1); /* it may be cut */
	else if (parser->systems == 1 && !parser->ova->system && strcmp(name, "Description") == 0 &&
		 strcmp(parent, "OperatingSystemSection") == 0 && *text)
		parser->ova->system = g_utf8_make_valid(text, -1);
	g_string_truncate(parser->text, 0);
	parser->depth--;
}

static void add_text(GMarkupParseContext *context, const char *text, gsize size, gpointer data, GError **error)
{
	struct parser *parser = data;

	(void)context;
	(void)error;
	g_string_append_len(parser->text, text, (gssize)MIN(size, TEXT_BYTES - MIN(parser->text->len, TEXT_BYTES)));
}

static const struct reference *find_reference(GArray *list, const char *id)
{
	for (guint i = 0; i < list->len; i++) {
		const struct reference *reference = &g_array_index(list, struct reference, i);

		if (strcmp(reference->id, id) == 0)
			return reference;
	}
	return NULL;
}

gboolean oriel_ova_fail(GError **error, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	if (error)
		*error = g_error_new_valist(G_IO_ERROR, G_IO_ERROR_INVALID_DATA, format, values);
	va_end(values);
	return FALSE;
}

static gboolean add_disk(struct parser *parser, const char *id, GError **error)
{
	const struct reference *disk = find_reference(parser->disks, id);
	const struct reference *file = disk ? find_reference(parser->files, disk->target) : NULL;
	struct oriel_ova_disk added = { .name = NULL };

	if (!file)
		return TRUE; /* empty: one to be created, which an appliance can do without */
	if (strchr(file->target, '/') || *file->target == '.' || !*file->target)
		return oriel_ova_fail(error, _("The appliance's disk %s is not in the appliance"), file->target);
	if (file->compressed)
		return oriel_ova_fail(error, _("The appliance's disk %s is compressed a second time. Export the appliance "
					       "again without that."), file->target);
	added.name = g_strdup(file->target);
	g_array_append_val(parser->ova->disks, added);
	return TRUE;
}

static gboolean add_disks(struct parser *parser, GError **error)
{
	for (guint i = 0; i < parser->attached->len; i++)
		if (!add_disk(parser, parser->attached->pdata[i], error))
			return FALSE;
	for (guint i = 0; !parser->attached->len && i < parser->disks->len; i++)
		if (!add_disk(parser, g_array_index(parser->disks, struct reference, i).id, error))
			return FALSE;
	if (parser->ova->disks->len)
		return TRUE;
	return oriel_ova_fail(error, _("The appliance has no disk"));
}

static void clear_reference(gpointer item)
{
	struct reference *reference = item;

	g_free(reference->id);
	g_free(reference->target);
}

static void clear_disk(gpointer disk)
{
	g_free(((struct oriel_ova_disk *)disk)->name);
}

static gboolean parse(struct parser *parser, const char *text, gsize size, GError **error)
{
	static const GMarkupParser functions = { start, end, add_text, NULL, NULL };
	g_autoptr(GMarkupParseContext) context = g_markup_parse_context_new(&functions, 0, parser, NULL);
	g_autoptr(GError) reason = NULL;

	if (g_markup_parse_context_parse(context, text, (gssize)size, &reason) &&
	    g_markup_parse_context_end_parse(context, &reason))
		return add_disks(parser, error);
	return oriel_ova_fail(error, _("The appliance's description is damaged: %s"), reason->message);
}

struct oriel_ova *oriel_ovf_parse(const char *text, gsize size, GError **error)
{
	struct parser parser = { .ova = g_new0(struct oriel_ova, 1) };
	gboolean ok;

	parser.ova->disks = g_array_new(FALSE, TRUE, sizeof(struct oriel_ova_disk));
	g_array_set_clear_func(parser.ova->disks, clear_disk);
	parser.files = g_array_new(FALSE, TRUE, sizeof(struct reference));
	g_array_set_clear_func(parser.files, clear_reference);
	parser.disks = g_array_new(FALSE, TRUE, sizeof(struct reference));
	g_array_set_clear_func(parser.disks, clear_reference);
	parser.attached = g_ptr_array_new_with_free_func(g_free);
	parser.text = g_string_new(NULL);
	if (size >= 3 && memcmp(text, "\357\273\277", 3) == 0) {
		text += 3;
		size -= 3;
	}
	ok = parse(&parser, text, size, error);
	g_array_unref(parser.files);
	g_array_unref(parser.disks);
	g_ptr_array_unref(parser.attached);
	g_string_free(parser.text, TRUE);
	g_free(parser.resource);
	if (!ok)
		g_clear_pointer(&parser.ova, oriel_ova_free);
	return parser.ova;
}

void oriel_ova_free(struct oriel_ova *ova)
{
	g_free(ova->name);
	g_free(ova->system);
	g_array_unref(ova->disks);
	g_free(ova);
}
