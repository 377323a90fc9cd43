/* What the files behind system.h share. */
#pragma once

#include "system.h"

#include <osinfo/osinfo.h>

G_BEGIN_DECLS

/* A system's own copy of the info; resources that are 0 get its family's defaults. */
OrielSystem *oriel_system_new(const struct oriel_system_info *info);
/* NULL for what is no system of a PC. */
OrielSystem *oriel_system_new_from_database(OsinfoOs *os);

struct _OrielSystems {
	GObject parent_instance;
	GMutex lock; /* for everything below; libosinfo's objects are used under it only */
	gboolean loaded;
	OsinfoDb *database;
	GPtrArray *systems; /* of OrielSystem; they stay until the end */
	GHashTable *by_id;  /* id -> OrielSystem */
};

/* These want the lock held and the database loaded. */
OrielSystem *oriel_systems_lookup(OrielSystems *self, const char *id);
/*
 * The system of that id, made like the newest of its distribution if it is not there yet. Takes the info's family,
 * resources and devices only if there is nothing to make it like.
 */
OrielSystem *oriel_systems_require(OrielSystems *self, const struct oriel_system_info *info);

/* Systems that the database of Debian 12 does not have; ended by one without an id. */
extern const struct oriel_system_info oriel_newer_systems[];

enum oriel_rule_field {
	ORIEL_RULE_VOLUME,
	ORIEL_RULE_PUBLISHER,
	ORIEL_RULE_TEXT, /* what the disc says of itself in a file */
	ORIEL_RULE_PATH, /* not an expression: a file that the disc has */
};

/* How a disc is recognised that the database does not know; \1 in the texts is what the expression found. */
struct oriel_rule {
	enum oriel_rule_field field;
	const char *expression;
	const char *id;   /* NULL: the family's generic system */
	const char *name;
	const char *version;
	const char *distribution;
	OrielFamily family;
	gboolean live;
};

/* Tried from top to bottom; ended by one without an expression. */
extern const struct oriel_rule oriel_rules[];

/* The generic system's id. */
const char *oriel_family_id(OrielFamily family);

G_END_DECLS
