/*
 * The manager under test: the real program on a desktop of its own, with a message bus and accessibility, found and
 * driven as a screen reader does, in temporary XDG folders.
 */
#pragma once

#include <gio/gio.h>

#include "desktop.h"

/* A thing on the accessibility bus. */
struct accessible {
	char *owner, *path;
};

void accessible_free(struct accessible *accessible);

/* What all applications of a test program share. */
struct session {
	struct desktop *desktop;
	char *runtime;
	GTestDBus *bus;
	GDBusConnection *accessibility;
};

struct application {
	struct session *session;
	struct desktop *desktop;
	char *folder;   /* HOME, and the XDG folders in it */
	char *machines; /* where it keeps them */
	char *messages; /* what the program says on its standard error output */
	char **environment;
	GSubprocess *process;
	Window window;
};

struct session *session_start(void);
void session_stop(struct session *session);
/* A case of a test program; session is a struct session. */
struct session_case {
	const char *path;
	GTestDataFunc run;
};

/* Runs the cases, up to the one without a path, in a session of theirs. For main() to return. */
int session_run(int argc, char **argv, const struct session_case *cases);

/* Everything but the program. */
struct application *application_new(struct session *session);
/* variable, value, ..., NULL: environment of the program. Waits for its window. */
void application_start(struct application *application, ...) G_GNUC_NULL_TERMINATED;
/* Ends it with Ctrl+Q; it must end well, and not have printed any critical. */
void application_quit(struct application *application);
/* As a crash does. */
void application_kill(struct application *application);
/* Ends everything and removes the folders. */
void application_free(struct application *application);

/*
 * Things have the names of roles that AT-SPI gives them ("push button", "label", "list item" ...). The first visible one
 * whose name fits the pattern (* stands for anything) is meant. Waits up to 30 seconds and fails the test if it does not come. Free with
 * accessible_free().
 */
struct accessible *application_find(struct application *application, const char *role, const char *name);
void application_expect(struct application *application, const char *role, const char *name);
bool application_has(struct application *application, const char *role, const char *name);
/* Waits until there is no such thing any more. */
/* Until the first thing of that role and name has a description that fits the pattern. */
void application_expect_description(struct application *application, const char *role, const char *name,
				    const char *description);
void application_wait_gone(struct application *application, const char *role, const char *name);
/* Does the first action of a thing, such as pressing a button. */
void application_press(struct application *application, const char *role, const char *name);
/* Makes an item of a list the only chosen one. */
void application_select(struct application *application, const char *role, const char *name);
/* Goes to a source on the wizard's first page with the arrow keys, and takes it. */
void application_choose_source(struct application *application, const char *title);
/* The text of an entry. */
void application_set_text(struct application *application, const char *role, const char *name, const char *text);

/* The value of a scale or a spin button. */
void application_set_value(struct application *application, const char *role, const char *name, double value);
double application_get_value(struct application *application, const char *role, const char *name);
/* Makes the item of that number (from 0) the chosen one of a combo box. */
void application_choose(struct application *application, const char *name, int item);
/* What an entry has. Free with g_free(). */
char *application_get_text(struct application *application, const char *role, const char *name);
/* A picture of another window, whose title starts with that text. */
void application_picture_of(struct application *application, const char *title, const char *name);

/* Keys go to whatever has the focus; the window gets it at first. */
void application_focus(struct application *application);
void application_type(struct application *application, const char *text);
/* A picture of the window for people to look at. */
void application_picture(struct application *application, const char *name);
/* Runs "oriel" with arguments; returns whether it succeeds. */
bool application_try_command(struct application *application, const char *first, ...) G_GNUC_NULL_TERMINATED;
/* It must succeed. */
void application_command(struct application *application, const char *first, ...) G_GNUC_NULL_TERMINATED;
