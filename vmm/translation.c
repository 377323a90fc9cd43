#include "translation.h"

#include <gio/gio.h>
#include <libintl.h>
#include <locale.h>

/* Beside the program, where it was built; or where it is installed. */
static char *find_translations(void)
{
	g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
	g_autofree char *folder = g_path_get_dirname(program ? program : "");
	g_autofree char *built = g_canonicalize_filename("data/po", folder);

	return g_file_test(built, G_FILE_TEST_IS_DIR) ? g_steal_pointer(&built) :
		g_canonicalize_filename("../share/locale", folder);
}

void translation_init(void)
{
	g_autofree char *translations = find_translations();

	setlocale(LC_ALL, "");
	bindtextdomain(TRANSLATION_DOMAIN, translations);
	bind_textdomain_codeset(TRANSLATION_DOMAIN, "UTF-8");
	textdomain(TRANSLATION_DOMAIN);
}
