/*
 * The ACPI tables of a machine as fw_cfg hands them to firmware: two files of tables and the script that links them.
 */
#pragma once

#include <glib.h>

#include "description.h"

#define ACPI_TABLES_FILE "etc/acpi/tables"
#define ACPI_RSDP_FILE "etc/acpi/rsdp"
#define ACPI_LOADER_FILE "etc/table-loader"

struct acpi_files {
	GBytes *tables; /* FACS, DSDT, SSDT, FADT, MADT, MCFG, WAET, RSDT, XSDT */
	GBytes *rsdp;
	GBytes *loader;
};

void acpi_build(struct acpi_files *files, const struct firmware_description *description);
void acpi_files_clear(struct acpi_files *files);

/* Body of the SSDT, without its header: ssdt.c. */
GByteArray *ssdt_build(const struct firmware_description *description);
