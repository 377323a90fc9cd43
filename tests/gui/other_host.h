/*
 * The manager on a host that lacks something, or has something else: in a file system of its own, which only root can
 * make.
 */
#pragma once

#include "application.h"

/* False: the test is skipped. */
bool other_host_possible(void);
/*
 * application_start() there. setup: shell commands for the application's folder. launcher: what runs the program, or "".
 * "Do It Now" asks pkexec, which is asker: shell commands with the wanted ones as $3, in the manager's folder and file
 * system. What was asked for is added to the file "asked".
 */
void other_host_start(struct application *application, const char *setup, const char *launcher, const char *asker);
/* A program in the application's folder. */
void other_host_script(struct application *application, const char *name, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* How the test finds a file of the manager's file system while it runs. Free with g_free(). */
char *other_host_file(struct application *application, const char *path);
