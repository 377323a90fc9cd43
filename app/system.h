/*
 * Operating systems: what each needs and which devices it supports, from libosinfo's database, completed by a table
 * of systems that are newer than it or not in it.
 */
#pragma once

#include <gio/gio.h>

#include "iso.h"

G_BEGIN_DECLS

typedef enum {
	ORIEL_FAMILY_OTHER,
	ORIEL_FAMILY_LINUX,
	ORIEL_FAMILY_WINDOWS,     /* Vista and newer */
	ORIEL_FAMILY_WINDOWS_OLD, /* NT 3.1 to Server 2003, and ReactOS */
	ORIEL_FAMILY_DOS,         /* also Windows 1.0 to Me */
	ORIEL_FAMILY_BSD,
	ORIEL_FAMILY_TOOL,        /* starts something else, or rescues it */
} OrielFamily;

/* Devices that it has drivers for, without a driver disc */
typedef enum {
	ORIEL_DEVICE_AHCI = 1 << 0,
	ORIEL_DEVICE_NVME = 1 << 1,
	ORIEL_DEVICE_E1000E = 1 << 2,
	ORIEL_DEVICE_HDA = 1 << 3,
	ORIEL_DEVICE_XHCI = 1 << 4,
	ORIEL_DEVICE_USB_TABLET = 1 << 5,
	ORIEL_DEVICE_VIRTIO_BLOCK = 1 << 6,
	ORIEL_DEVICE_VIRTIO_NET = 1 << 7,
	ORIEL_DEVICE_VIRTIO_GPU = 1 << 8,
	ORIEL_DEVICE_VIRTIO_INPUT = 1 << 9,
	ORIEL_DEVICE_VIRTIO_BALLOON = 1 << 10,
	ORIEL_DEVICE_VIRTIO_RNG = 1 << 11,
} OrielDevices;

struct oriel_resources {
	guint cpus;
	guint64 memory, disk; /* bytes */
};

struct oriel_system_info {
	const char *id;      /* short and lasting: "win11", "debian12"; a machine's configuration can keep it */
	const char *name;    /* "Microsoft Windows 11" */
	const char *version; /* "" if it has none */
	const char *distribution; /* "win", "debian"; "" */
	const char *vendor;  /* "" */
	OrielFamily family;
	int released;        /* 20211005; 0: unknown */
	gboolean generic;    /* "other Linux" and the like */
	struct oriel_resources minimum, recommended; /* never 0, minimum <= recommended */
	OrielDevices devices;
	gboolean needs_uefi, needs_tpm;
};

#define ORIEL_TYPE_SYSTEM (oriel_system_get_type())
G_DECLARE_FINAL_TYPE(OrielSystem, oriel_system, ORIEL, SYSTEM, GObject)

/* Lives as long as the system. */
const struct oriel_system_info *oriel_system_get_info(OrielSystem *self);

/* Whether its disk had better be on NVMe: it is known to have the driver, also in its installer. */
gboolean oriel_system_wants_nvme(const struct oriel_system_info *info);

/* A themed icon: the system's own logo if the theme has it, or its family's, which Oriel brings along (oriel-linux ...). */
GIcon *oriel_system_create_icon(OrielSystem *self);

/* Short enough for a machine: "Windows 11", "Debian 12". Free with g_free(). */
char *oriel_system_suggest_name(OrielSystem *self);

/* Whether each word of text is in the name, id, vendor or version. */
gboolean oriel_system_matches(OrielSystem *self, const char *text);

#define ORIEL_TYPE_SYSTEMS (oriel_systems_get_type())
G_DECLARE_FINAL_TYPE(OrielSystems, oriel_systems, ORIEL, SYSTEMS, GObject)

/* Knows nothing until it is loaded, which happens once. One of them serves a whole program. */
OrielSystems *oriel_systems_new(void);

/* Reads the database, in about a second. Blocking; from any thread. Without a database there is only our table. */
void oriel_systems_load(OrielSystems *self);
void oriel_systems_load_async(OrielSystems *self, GCancellable *cancellable, GAsyncReadyCallback callback,
			      gpointer data);
gboolean oriel_systems_load_finish(OrielSystems *self, GAsyncResult *result, GError **error);

/*
 * All of them (OrielSystem), newest first, generic ones at the end. Loads if that has not happened yet. The caller
 * owns the array, not what is in it.
 */
GPtrArray *oriel_systems_get_all(OrielSystems *self);
/* NULL if there is none of that id. Loads if that has not happened yet. Owned by the OrielSystems. */
OrielSystem *oriel_systems_find(OrielSystems *self, const char *id);
/* The generic one of a family. */
OrielSystem *oriel_systems_get_generic(OrielSystems *self, OrielFamily family);

struct oriel_identity {
	OrielSystem *system; /* NULL: not recognised. Owned by the OrielSystems. */
	gboolean live, installer;
	char architecture[16]; /* "x86_64", ...; "" if not known */
};

/* Which system a disc has. Blocking; from any thread. */
void oriel_systems_identify(OrielSystems *self, const struct oriel_iso *iso, struct oriel_identity *identity);

G_END_DECLS
