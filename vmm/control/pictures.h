/*
 * Screenshots and thumbnails for those who ask on the control socket. Other threads make them: scaling and compressing
 * take longer than vm->lock may be held.
 *
 * While somebody asks for thumbnails again and again and gets the same ones, the screen's damage is followed, as a window
 * does: where nothing has changed nothing is read.
 */
#pragma once

#include <gio/gio.h>

#include "../../display/scanout.h"
#include "../vm.h"

struct pictures;

/* refresh_screen: see struct control_ops. Everything must outlive the pictures. */
struct pictures *pictures_new(struct vm *vm, struct scanout *scanout, void (*refresh_screen)(void *machine),
			      void *machine);
/* Waits for those that are being made. With vm->loop stopped. */
void pictures_free(struct pictures *pictures);

/* The methods of these names, with their parameters; on the I/O thread with vm->lock. They take the invocation. */
void pictures_screenshot(struct pictures *pictures, GVariant *parameters, GDBusMethodInvocation *invocation);
void pictures_thumbnail(struct pictures *pictures, GVariant *parameters, GDBusMethodInvocation *invocation);
