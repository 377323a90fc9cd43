/*
 * etc/table-loader: the script by which firmware puts tables into memory, links and sums them. Written here for
 * firmware, and carried out here where there is none.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum table_loader_zone {
	TABLE_LOADER_ZONE_HIGH = 1,
	TABLE_LOADER_ZONE_FSEG = 2, /* below 1 MiB, where the RSDP is searched for */
};

/* Each appends one entry to the script. File names are those of fw_cfg. */
void table_loader_allocate(GByteArray *script, const char *file, uint32_t align, enum table_loader_zone zone);
/* The size bytes at offset in file hold an offset in pointee; the address of pointee is added to them. */
void table_loader_add_pointer(GByteArray *script, const char *file, const char *pointee, uint32_t offset,
			      uint8_t size);
/* Sets the byte at offset so that length bytes from start sum up to 0. */
void table_loader_add_checksum(GByteArray *script, const char *file, uint32_t offset, uint32_t start,
			       uint32_t length);

/* What table_loader_run() needs of its caller. */
struct table_loader_target {
	/* Content of a file, or NULL. The reference stays the callee's. */
	GBytes *(*find)(void *opaque, const char *file);
	/* Reserves guest memory and gives its address and the host's view of it, or NULL. */
	uint8_t *(*allocate)(void *opaque, uint64_t size, uint32_t align, enum table_loader_zone zone, uint64_t *gpa);
	void *opaque;
};

/* Carries out the script; gpa tells where the wanted file went. False with what is wrong in the script. */
bool table_loader_run(GBytes *script, const struct table_loader_target *target, const char *wanted, uint64_t *gpa,
		      GError **error);
