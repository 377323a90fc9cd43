/* The user's language, in which the programs speak to him. */
#pragma once

#define TRANSLATION_DOMAIN "oriel"

/* The first thing that a program does, before it has threads. */
void translation_init(void);
