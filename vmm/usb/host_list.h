/*
 * Which USB devices this computer has, as far as its kernel tells everybody; shared with the manager.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct usb_host_entry {
	uint8_t bus, address;
	uint16_t vendor, product;
	char *name;   /* for people; UTF-8 */
	bool plugged; /* a guest has it; left to who asks */
};

void usb_host_entry_free(struct usb_host_entry *entry);
/*
 * struct usb_host_entry *, without hubs, in the order of bus and address; free with g_ptr_array_unref(). Any thread;
 * waits while the kernel is at work on a device. ORIEL_SYSFS in the environment takes the place of /sys.
 */
GPtrArray *usb_host_list(void);

/* --- Devices by vendor and product, as [usb] devices of machine.conf names them: "046d:c077; 0951:1666" --- */

struct usb_id {
	uint16_t vendor, product;
};

/* struct usb_id; free with g_array_unref(). text NULL: none. The error says what is expected. */
GArray *usb_ids_parse(const char *text, GError **error);
/* Free with g_free(). */
char *usb_ids_format(const GArray *ids);
/* The index, or -1. */
int usb_ids_find(const GArray *ids, uint16_t vendor, uint16_t product);
