#include "color_scheme.h"

#include <gtk/gtk.h>

#define NAMESPACE "org.freedesktop.appearance"
#define KEY "color-scheme"
#define PREFER_DARK 1 /* 0: no preference, 2: light */

/* value may be wrapped in more variants: the portal's method Read does so. */
static void apply(GVariant *value)
{
	g_autoptr(GVariant) inner = g_variant_ref(value);

	while (g_variant_is_of_type(inner, G_VARIANT_TYPE_VARIANT)) {
		GVariant *child = g_variant_get_variant(inner);

		g_variant_unref(inner);
		inner = child;
	}
	if (g_variant_is_of_type(inner, G_VARIANT_TYPE_UINT32))
		g_object_set(gtk_settings_get_default(), "gtk-application-prefer-dark-theme",
			     g_variant_get_uint32(inner) == PREFER_DARK, NULL);
}

static void setting_changed(GDBusProxy *portal, const char *sender, const char *signal, GVariant *parameters,
			    gpointer unused)
{
	g_autoptr(GVariant) value = NULL;
	const char *namespace, *key;

	(void)portal;
	(void)sender;
	(void)unused;
	if (g_strcmp0(signal, "SettingChanged") != 0 || !g_variant_is_of_type(parameters, G_VARIANT_TYPE("(ssv)")))
		return;
	g_variant_get(parameters, "(&s&sv)", &namespace, &key, &value);
	if (g_str_equal(namespace, NAMESPACE) && g_str_equal(key, KEY))
		apply(value);
}

static void setting_read(GObject *source, GAsyncResult *result, gpointer unused)
{
	g_autoptr(GVariant) reply = g_dbus_proxy_call_finish(G_DBUS_PROXY(source), result, NULL);
	g_autoptr(GVariant) value = reply ? g_variant_get_child_value(reply, 0) : NULL;

	(void)unused;
	if (value)
		apply(value);
}

/* Without a portal the theme decides, which is GTK's own way. */
static void portal_found(GObject *source, GAsyncResult *result, gpointer unused)
{
	GDBusProxy *portal = g_dbus_proxy_new_for_bus_finish(result, NULL);

	(void)source;
	(void)unused;
	if (!portal)
		return;
	/* It stays for as long as the program. */
	g_signal_connect(portal, "g-signal", G_CALLBACK(setting_changed), NULL);
	g_dbus_proxy_call(portal, "Read", g_variant_new("(ss)", NAMESPACE, KEY), G_DBUS_CALL_FLAGS_NONE, -1, NULL,
			  setting_read, NULL);
}

void oriel_color_scheme_follow(void)
{
	g_dbus_proxy_new_for_bus(G_BUS_TYPE_SESSION, G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES, NULL,
				 "org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop",
				 "org.freedesktop.portal.Settings", NULL, portal_found, NULL);
}
