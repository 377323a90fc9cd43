#include "places.h"

static char *beside_program(const char *path)
{
	g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *folder = g_path_get_dirname(self ? self : "");

	return g_canonicalize_filename(path, folder);
}

char *oriel_find_machine_program(void)
{
	const char *chosen = g_getenv("ORIEL_VM");
	g_autofree char *beside = beside_program("oriel-vm");

	if (chosen)
		return g_strdup(chosen);
	return g_strdup(g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE) ? beside : "oriel-vm");
}

char *oriel_find_test_disc(void)
{
	static const char *const places[] = { "data/testdisc/testdisc.iso", "../share/oriel/testdisc.iso" };

	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = beside_program(places[i]);

		if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
			return g_steal_pointer(&path);
	}
	return NULL;
}
