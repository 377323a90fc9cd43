#include "host_list.h"

#include <gio/gio.h>
#include <glib/gi18n.h>
#include <string.h>

#define CLASS_HUB 9 /* USB 2.0, section 11.23.1 */

void usb_host_entry_free(struct usb_host_entry *entry)
{
	g_free(entry->name);
	g_free(entry);
}

/* An attribute of a device in sysfs, without white space around it; NULL: it has none. Free with g_free(). */
static char *read_attribute(const char *folder, const char *name)
{
	g_autofree char *path = g_build_filename(folder, name, NULL);
	char *text;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	g_strstrip(text);
	return text;
}

static bool read_number(const char *folder, const char *name, unsigned base, guint64 maximum, guint64 *number)
{
	g_autofree char *text = read_attribute(folder, name);

	return text && g_ascii_string_to_unsigned(text, base, 0, maximum, number, NULL);
}

static char *name_of(const char *folder, unsigned vendor, unsigned product)
{
	g_autofree char *maker = read_attribute(folder, "manufacturer");
	g_autofree char *name = read_attribute(folder, "product");
	g_autofree char *both = NULL;

	if (!name || !*name)
		return g_strdup_printf(_("USB device %04x:%04x"), vendor, product);
	/* Many a product's name begins with its maker's. */
	if (!maker || g_str_has_prefix(name, maker))
		both = g_steal_pointer(&name);
	else
		both = g_strdup_printf("%s %s", maker, name);
	g_strstrip(both);
	return g_utf8_make_valid(both, -1);
}

/* NULL: an interface, a hub, or a device that has just left. */
static struct usb_host_entry *read_entry(const char *folder)
{
	guint64 bus, address, vendor, product, class;
	struct usb_host_entry *entry;

	if (!read_number(folder, "busnum", 10, UINT8_MAX, &bus) || !read_number(folder, "devnum", 10, UINT8_MAX, &address) ||
	    !read_number(folder, "idVendor", 16, UINT16_MAX, &vendor) ||
	    !read_number(folder, "idProduct", 16, UINT16_MAX, &product) ||
	    !read_number(folder, "bDeviceClass", 16, UINT8_MAX, &class) || class == CLASS_HUB)
		return NULL;
	entry = g_new0(struct usb_host_entry, 1);
	entry->bus = (uint8_t)bus;
	entry->address = (uint8_t)address;
	entry->vendor = (uint16_t)vendor;
	entry->product = (uint16_t)product;
	entry->name = name_of(folder, entry->vendor, entry->product);
	return entry;
}

static int compare_entries(gconstpointer a, gconstpointer b)
{
	const struct usb_host_entry *first = *(const struct usb_host_entry *const *)a;
	const struct usb_host_entry *second = *(const struct usb_host_entry *const *)b;

	return (first->bus << 8 | first->address) - (second->bus << 8 | second->address);
}

GPtrArray *usb_host_list(void)
{
	GPtrArray *entries = g_ptr_array_new_with_free_func((GDestroyNotify)usb_host_entry_free);
	const char *sysfs = g_getenv("ORIEL_SYSFS");
	g_autofree char *devices = g_build_filename(sysfs ? sysfs : "/sys", "bus/usb/devices", NULL);
	g_autoptr(GDir) dir = g_dir_open(devices, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *folder = g_build_filename(devices, name, NULL);
		struct usb_host_entry *entry = read_entry(folder);

		if (entry)
			g_ptr_array_add(entries, entry);
	}
	g_ptr_array_sort(entries, compare_entries);
	return entries;
}

static bool parse_id(const char *text, struct usb_id *id)
{
	g_auto(GStrv) halves = g_strsplit(text, ":", 2);
	guint64 numbers[2];

	if (g_strv_length(halves) != 2)
		return false;
	for (unsigned i = 0; i < 2; i++)
		if (strlen(halves[i]) != 4 || !g_ascii_string_to_unsigned(halves[i], 16, 0, UINT16_MAX, &numbers[i], NULL))
			return false;
	*id = (struct usb_id){ (uint16_t)numbers[0], (uint16_t)numbers[1] };
	return true;
}

GArray *usb_ids_parse(const char *text, GError **error)
{
	g_autoptr(GArray) ids = g_array_new(FALSE, FALSE, sizeof(struct usb_id));
	g_auto(GStrv) parts = g_strsplit(text ? text : "", ";", -1);

	for (unsigned i = 0; parts[i]; i++) {
		struct usb_id id;

		if (!*g_strstrip(parts[i]))
			continue;
		if (!parse_id(parts[i], &id)) {
			g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_ARGUMENT,
				    _("\"%s\" is no USB device; devices are given by vendor and product, such as "
				      "046d:c077"), parts[i]);
			return NULL;
		}
		g_array_append_val(ids, id);
	}
	return g_steal_pointer(&ids);
}

char *usb_ids_format(const GArray *ids)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < ids->len; i++) {
		const struct usb_id *id = &g_array_index(ids, struct usb_id, i);

		g_string_append_printf(text, "%s%04x:%04x", i ? "; " : "", id->vendor, id->product);
	}
	return g_string_free(text, FALSE);
}

int usb_ids_find(const GArray *ids, uint16_t vendor, uint16_t product)
{
	for (guint i = 0; i < ids->len; i++) {
		const struct usb_id *id = &g_array_index(ids, struct usb_id, i);

		if (id->vendor == vendor && id->product == product)
			return (int)i;
	}
	return -1;
}
