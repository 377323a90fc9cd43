/* What host.c and host_problems.c share. */
#pragma once

#include "host.h"

G_BEGIN_DECLS

/* A file below the place's root; "" if it cannot be read. */
char *oriel_host_read(const struct oriel_host_place *place, const char *path);
/* Adds what keeps machines from running. */
void oriel_host_find_problems(const struct oriel_host_place *place, GPtrArray *problems);
/* The real try_kvm. */
int oriel_host_try_kvm(const char *device);

G_END_DECLS
