/*
 * An installer that the distribution packages: Debian's, for starting from the network. iPXE's disc fetches it from the
 * files of its package, by the network of the machine itself; what it installs comes from the internet.
 */
#pragma once

#include "host.h"

G_BEGIN_DECLS

typedef struct oriel_packaged {
	char *system;    /* its id: "debian12" */
	char *disc;      /* what the machine starts from */
	char *folder;    /* that the machine can read by TFTP */
	char *boot_file; /* in that folder */
	char *command;   /* installs the packages that are missing; NULL: none is. Without them folder or disc is NULL */
} OrielPackaged;

/* root: folder with the computer's etc and usr, "/" but in tests. NULL: the distribution has no such packages. */
OrielPackaged *oriel_packaged_find(const char *root);
void oriel_packaged_free(OrielPackaged *packaged);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OrielPackaged, oriel_packaged_free)

/* What keeps this computer from having it: see oriel_problems_new(). */
GPtrArray *oriel_packaged_find_problems(void);

G_END_DECLS
