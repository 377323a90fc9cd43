/*
 * Everything that firmware asks for, made from one description of the machine.
 */
#pragma once

#include "acpi.h"
#include "description.h"
#include "fw_cfg.h"
#include "smbios.h"

struct firmware {
	struct firmware_description description;
	struct acpi_files acpi;
	struct smbios_files smbios;
};

/* The configuration must outlive it. */
void firmware_init(struct firmware *firmware, const struct machine_config *config, const struct memory *memory);
void firmware_finish(struct firmware *firmware);

/* Adds every item and file; they stay valid after firmware_finish(). */
void firmware_fill_fw_cfg(const struct firmware *firmware, struct fw_cfg *fw_cfg);
