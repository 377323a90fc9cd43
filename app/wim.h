/*
 * Which Windows a Windows image (install.wim, install.esd, boot.wim) holds, from the XML at its end. The image is a
 * stranger's; see iso.h.
 */
#pragma once

#include "iso.h"

G_BEGIN_DECLS

struct oriel_wim {
	guint major, minor, build;
	gboolean server;
	gboolean preinstallation; /* only what starts the installer */
	char architecture[8];     /* "x86_64", "i686", "aarch64" or "" */
};

/* What its first image says. FALSE: it is no such file, or does not say. */
gboolean oriel_wim_read(const struct oriel_iso *iso, const struct oriel_iso_file *file, struct oriel_wim *wim);

G_END_DECLS
