/*
 * A desktop for tests: an X server of its own on a free display with a window manager, keys and a mouse by XTEST, and
 * pixels read back.
 */
#pragma once

#include <X11/Xlib.h>
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "../guest/picture.h"

struct desktop {
	GPid server, manager;
	Display *display;
};

/* Sets DISPLAY; before anything else of the process talks to a server. Skips the test program where tools are missing. */
struct desktop *desktop_start(void);
/* Without a window manager. */
struct desktop *desktop_start_alone(void);
void desktop_stop(struct desktop *desktop);

/* Waits up to 10 seconds; a test asserts the result. */
bool desktop_wait(bool (*condition)(void *data), void *data);

/* The window whose title starts with a text; waits for it. 0 if it does not come. */
Window desktop_find(struct desktop *desktop, const char *title);
/* Whether there is such a window now. */
bool desktop_has(struct desktop *desktop, const char *title);
char *desktop_title(struct desktop *desktop, Window window);
void desktop_size(struct desktop *desktop, Window window, int *width, int *height);
/* 0xRRGGBB; 0xff000000 outside the window. */
uint32_t desktop_pixel(struct desktop *desktop, Window window, int x, int y);
/* All of the window, which must be inside the screen. Free with picture_free(). */
struct picture *desktop_grab(struct desktop *desktop, Window window);
/* The window's top left corner on the screen. */
void desktop_place(struct desktop *desktop, Window window, int *x, int *y);
/* What the window manager has put around the window. */
Window desktop_frame(struct desktop *desktop, Window window);
void desktop_save(struct desktop *desktop, Window window, const char *path);
/* A PNG of the window for people to look at, if GUI_TEST_PICTURES names a folder. */
void desktop_picture(struct desktop *desktop, Window window, const char *name);

void desktop_key(struct desktop *desktop, unsigned long keysym, bool pressed);
void desktop_tap(struct desktop *desktop, unsigned long keysym);
/* host is held while key is tapped. */
void desktop_combine(struct desktop *desktop, unsigned long host, unsigned long key);
void desktop_pointer(struct desktop *desktop, Window window, int x, int y);
void desktop_move_by(struct desktop *desktop, int x, int y);
void desktop_button(struct desktop *desktop, unsigned button, bool pressed);
void desktop_click(struct desktop *desktop, unsigned button);

void desktop_resize(struct desktop *desktop, Window window, int width, int height);
void desktop_focus(struct desktop *desktop, Window window);
/* The window that the window manager calls the active one; waits until it is this one, or fails the test. */
void desktop_expect_active(struct desktop *desktop, Window window);
void desktop_move(struct desktop *desktop, Window window, int x, int y);
/* As the button in the title bar does. */
void desktop_close(struct desktop *desktop, Window window);
