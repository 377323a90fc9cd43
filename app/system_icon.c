#include "system_icon.h"

/* How the ids of libosinfo and of our own table start. The first that fits counts. */
static const struct {
	OrielFamily family;
	const char *starts[48];
} families[] = {
	{ ORIEL_FAMILY_DOS, { "dos", "freedos", "msdos" } },
	{ ORIEL_FAMILY_WINDOWS_OLD, { "reactos", "windows-old" } },
	{ ORIEL_FAMILY_WINDOWS, { "win" } },
	{ ORIEL_FAMILY_BSD, { "bsd", "dragonflybsd", "freebsd", "ghostbsd", "netbsd", "openbsd" } },
	{ ORIEL_FAMILY_TOOL, { "gparted", "ipxe", "oriel", "systemrescue", "tool" } },
	{ ORIEL_FAMILY_OTHER, { "guix-hurd" } },
	{ ORIEL_FAMILY_LINUX,
	  { "almalinux", "alpine", "alt", "android", "arch", "asianux", "caasp", "centos", "circle", "cirros",
	    "clearlinux", "debian", "elementary", "endeavouros", "eos", "fedora", "freenix", "gentoo", "gnome", "guix", "hyperbola",
	    "kali", "linux", "lmde", "mageia", "mandr", "manjaro", "mbs", "mes", "miraclelinux", "nixos", "oel", "ol", "opensuse",
	    "popos", "pureos", "rhel", "rhl", "rocky", "scientificlinux", "silverblue", "slackware", "sle", "trisquel",
	    "ubuntu", "ucs", "void", "zorinos" } },
};

OrielFamily oriel_system_family_of(const char *id)
{
	for (guint i = 0; id && i < G_N_ELEMENTS(families); i++)
		for (guint j = 0; j < G_N_ELEMENTS(families[i].starts) && families[i].starts[j]; j++)
			if (g_str_has_prefix(id, families[i].starts[j]))
				return families[i].family;
	return ORIEL_FAMILY_OTHER;
}

const char *oriel_family_icon_name(OrielFamily family)
{
	static const char *const names[] = {
		[ORIEL_FAMILY_OTHER] = "oriel-other",     [ORIEL_FAMILY_LINUX] = "oriel-linux",
		[ORIEL_FAMILY_WINDOWS] = "oriel-windows", [ORIEL_FAMILY_WINDOWS_OLD] = "oriel-windows",
		[ORIEL_FAMILY_DOS] = "oriel-dos",         [ORIEL_FAMILY_BSD] = "oriel-bsd",
		[ORIEL_FAMILY_TOOL] = "oriel-tool",
	};

	return names[family];
}

GIcon *oriel_system_icon_of(const char *id)
{
	const char *picture = oriel_family_icon_name(oriel_system_family_of(id));
	g_autofree char *logo = NULL;
	gsize letters = 0;

	while (id && g_ascii_isalpha(id[letters]))
		letters++;
	if (!letters)
		return g_themed_icon_new(picture);
	logo = g_strdup_printf("distributor-logo-%.*s", (int)letters, id);
	return g_themed_icon_new_from_names((char *[]){ logo, (char *)picture }, 2);
}
