#include "translation.h"

#include <gio/gio.h>
#include <libintl.h>
#include <locale.h>

#include "program.h"

/* Beside the program, where it was built; or where it is installed. */
static char *find_translations(void)
{
	g_autofree char *built = program_beside("data/po");

	return g_file_test(built, G_FILE_TEST_IS_DIR) ? g_steal_pointer(&built) : program_beside("../share/locale");
}

void translation_init(void)
{
	g_autofree char *translations = find_translations();

	setlocale(LC_ALL, "");
	bindtextdomain(TRANSLATION_DOMAIN, translations);
	bind_textdomain_codeset(TRANSLATION_DOMAIN, "UTF-8");
	textdomain(TRANSLATION_DOMAIN);
}
