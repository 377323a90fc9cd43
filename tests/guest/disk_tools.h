/* QEMU's tools, as judges of disks. */
#pragma once

#include <glib.h>

/* Runs a command line; returns its exit status, and what it printed. output may be NULL. Free with g_free(). */
int disk_tool(char **output, const char *format, ...) G_GNUC_PRINTF(2, 3);
