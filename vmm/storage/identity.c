#include "identity.h"

#include <glib.h>

#define DIGITS 10

uint64_t identity_derive(const char *path, const char *chosen, char serial[IDENTITY_SERIAL_SIZE])
{
	g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, chosen ? chosen : path, -1);

	if (chosen)
		g_strlcpy(serial, chosen, IDENTITY_SERIAL_SIZE);
	else
		g_snprintf(serial, IDENTITY_SERIAL_SIZE, "OR%.14s", sum);
	for (char *c = serial; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '_';
	sum[DIGITS] = 0;
	return g_ascii_strtoull(sum, NULL, 16);
}
