/* What the files that read and write machine.conf share. */
#pragma once

#include "config.h"

#define CONFIG_FILE_NAME "machine.conf"

enum key_kind {
	/* Texts */
	KEY_STRING,
	KEY_NOTES, /* of several lines */
	KEY_UUID,
	KEY_SERIAL,
	KEY_MAC,
	/* Others */
	KEY_VERSION, /* unsigned */
	KEY_NUMBER, /* unsigned */
	KEY_MIB,    /* uint64_t in bytes, MiB in the file */
	KEY_BOOL,   /* bool, by names[0] and names[1] */
	KEY_CHOICE, /* an enum, by names[] */
};

/* One key of machine.conf and the field that it fills. */
struct key {
	const char *group; /* NULL: of a drive */
	const char *name;
	enum key_kind kind;
	size_t offset;
	uint64_t minimum, maximum; /* in the file's unit */
	bool power_of_two;
	const char *const *names;
};

extern const struct key config_machine_keys[], config_disk_keys[];
extern const char *const config_kind_names[]; /* groups, by enum config_disk_kind, without their number */
extern const unsigned config_machine_key_count, config_disk_key_count;

void config_set_defaults(struct machine_config *config);
void config_set_disk_defaults(struct config_disk *disk, enum config_disk_kind kind);
/* Free with g_free(). */
char *config_derive_uuid(const char *folder);
char *config_derive_mac(const char *uuid);
char *config_group_name(const struct config_disk *disk, unsigned port);
/* base: of which struct the key is a field. NULL: there is no such key, or no such drive. */
const struct key *config_find_key(const struct machine_config *config, const char *group, const char *name, void **base);
/* Whether it could be read back. */
bool config_check_text(const char *folder, const char *text, gsize size, GError **error);
uint64_t config_default_vram(const struct machine_config *config);
