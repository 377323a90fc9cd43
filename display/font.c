#include "font.h"

/* Written by font_generator.c at build time. */
#include "font_data.h"
