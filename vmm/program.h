/* Where the program itself is. Any thread. */
#pragma once

/* The absolute path of what lies at a path relative to the folder of the running program. Free with g_free(). */
char *program_beside(const char *path);
