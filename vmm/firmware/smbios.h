/*
 * SMBIOS 2.8 tables: what the operating system shows as the computer's maker, memory and processors.
 */
#pragma once

#include <glib.h>

#include "description.h"

#define SMBIOS_ANCHOR_FILE "etc/smbios/smbios-anchor"
#define SMBIOS_TABLES_FILE "etc/smbios/smbios-tables"

struct smbios_files {
	GBytes *anchor; /* entry point without address; firmware fills that and the checksums in */
	GBytes *tables;
};

void smbios_build(struct smbios_files *files, const struct firmware_description *description);
void smbios_files_clear(struct smbios_files *files);
