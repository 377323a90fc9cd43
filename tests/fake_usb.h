/* A folder that tells of USB devices as the kernel's /sys does; ORIEL_SYSFS names it. */
#pragma once

#include <glib.h>
#include <glib/gstdio.h>

static inline void fake_usb_attribute(const char *sysfs, const char *device, const char *name, const char *value)
{
	g_autofree char *folder = g_build_filename(sysfs, "bus/usb/devices", device, NULL);
	g_autofree char *path = g_build_filename(folder, name, NULL);

	g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
	g_assert_true(g_file_set_contents(path, value, -1, NULL));
}

/* values: busnum, devnum, idVendor, idProduct, bDeviceClass, manufacturer, product; NULL: it does not have that one. */
static inline void fake_usb_device(const char *sysfs, const char *device, const char *const values[7])
{
	static const char *const names[] = { "busnum", "devnum", "idVendor", "idProduct", "bDeviceClass", "manufacturer",
					     "product" };

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++)
		if (values[i])
			fake_usb_attribute(sysfs, device, names[i], values[i]);
}
