#include "places.h"

#include "../vmm/program.h"

char *oriel_find_machine_program(void)
{
	const char *chosen = g_getenv("ORIEL_VM");
	g_autofree char *beside = program_beside("oriel-vm");

	if (chosen)
		return g_strdup(chosen);
	return g_strdup(g_file_test(beside, G_FILE_TEST_IS_EXECUTABLE) ? beside : "oriel-vm");
}

char *oriel_find_test_disc(void)
{
	static const char *const places[] = { "data/testdisc/testdisc.iso", "../share/oriel/testdisc.iso" };

	for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
		g_autofree char *path = program_beside(places[i]);

		if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
			return g_steal_pointer(&path);
	}
	return NULL;
}
