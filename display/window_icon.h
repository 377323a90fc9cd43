/*
 * The window's icon: a bay window of four panes.
 */
#pragma once

#include "canvas.h"

struct canvas *window_icon_draw(void);
