#include "system_internal.h"

#include <string.h>

#include "wim.h"

#define TEXT_BYTES 4096
/* Discs are made some time before the public release. */
#define DAYS_BEFORE_RELEASE 120

static void set_architecture(struct oriel_identity *identity, const char *architecture)
{
	if (architecture && strcmp(architecture, "all"))
		g_strlcpy(identity->architecture, architecture, sizeof identity->architecture);
}

/* Windows 10 and 11, and the servers since 2016, have the same ids on their discs; what is in them tells. */
static const char *get_windows_id(const struct oriel_wim *wim)
{
	static const struct {
		guint major, minor, build;
		const char *client, *server;
	} versions[] = {
		{ 10, 0, 26040, "win11", "win2k25" },
		{ 10, 0, 22000, "win11", "win2k22" },
		{ 10, 0, 20348, "win10", "win2k22" },
		{ 10, 0, 17763, "win10", "win2k19" },
		{ 10, 0, 0, "win10", "win2k16" },
		{ 6, 3, 0, "win8.1", "win2k12r2" },
		{ 6, 2, 0, "win8", "win2k12" },
		{ 6, 1, 0, "win7", "win2k8r2" },
		{ 6, 0, 0, "winvista", "win2k8" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(versions); i++)
		if (wim->major == versions[i].major && wim->minor == versions[i].minor &&
		    wim->build >= versions[i].build)
			return wim->server ? versions[i].server : versions[i].client;
	return NULL;
}

static gboolean identify_windows(OrielSystems *self, const struct oriel_iso *iso, struct oriel_identity *identity)
{
	static const char *const images[] = { "sources/install.wim", "sources/install.esd", "sources/install.swm",
					      "x64/sources/install.wim", "x64/sources/install.esd" };
	struct oriel_iso_file file;
	struct oriel_wim wim;

	for (guint i = 0; i < G_N_ELEMENTS(images); i++) {
		const char *id;

		if (!oriel_iso_find(iso, images[i], &file) || !oriel_wim_read(iso, &file, &wim) || wim.preinstallation)
			continue;
		id = get_windows_id(&wim);
		identity->system = id ? oriel_systems_find(self, id) : NULL;
		identity->installer = TRUE;
		set_architecture(identity, wim.architecture);
		return identity->system != NULL;
	}
	return FALSE;
}

static gboolean comes_after(OsinfoOs *os, GDateTime *made)
{
	GDate *released = osinfo_product_get_release_date(OSINFO_PRODUCT(os));
	gboolean after = FALSE;

	if (released && made) {
		GDate day;

		g_date_clear(&day, 1);
		g_date_set_dmy(&day, (GDateDay)g_date_time_get_day_of_month(made),
			       (GDateMonth)g_date_time_get_month(made), (GDateYear)g_date_time_get_year(made));
		after = g_date_days_between(&day, released) > DAYS_BEFORE_RELEASE;
	}
	g_clear_pointer(&released, g_date_free);
	return after;
}

/* Of several systems whose discs look like this one, the newest that was there when it was made. */
static gboolean is_better(OsinfoOs *os, OsinfoOs *best, GDateTime *made)
{
	const char *date = osinfo_product_get_release_date_string(OSINFO_PRODUCT(os)), *best_date;

	if (!best || comes_after(best, made) != comes_after(os, made))
		return !best || comes_after(best, made);
	best_date = osinfo_product_get_release_date_string(OSINFO_PRODUCT(best));
	return comes_after(os, made) ? g_strcmp0(date, best_date) < 0 : g_strcmp0(date, best_date) > 0;
}

static OsinfoMediaList *match_database(OrielSystems *self, const struct oriel_iso *iso)
{
	g_autoptr(OsinfoMedia) media = g_object_new(OSINFO_TYPE_MEDIA, "id", "disc", NULL);
	OsinfoEntity *entity = OSINFO_ENTITY(media);

	osinfo_entity_set_param(entity, OSINFO_MEDIA_PROP_VOLUME_ID, iso->volume);
	osinfo_entity_set_param(entity, OSINFO_MEDIA_PROP_SYSTEM_ID, iso->system);
	osinfo_entity_set_param(entity, OSINFO_MEDIA_PROP_PUBLISHER_ID, iso->publisher);
	osinfo_entity_set_param(entity, OSINFO_MEDIA_PROP_APPLICATION_ID, iso->application);
	if (iso->volume_size)
		osinfo_entity_set_param_int64(entity, OSINFO_MEDIA_PROP_VOLUME_SIZE, (gint64)iso->volume_size);
	return osinfo_db_identify_medialist(self->database, media);
}

static gboolean match_locked(OrielSystems *self, const struct oriel_iso *iso, gboolean unknown,
			     struct oriel_identity *identity)
{
	g_autoptr(OsinfoMediaList) list = match_database(self, iso);
	OsinfoMedia *best = NULL;

	for (int i = 0; i < osinfo_list_get_length(OSINFO_LIST(list)); i++) {
		OsinfoMedia *media = OSINFO_MEDIA(osinfo_list_get_nth(OSINFO_LIST(list), i));
		g_autoptr(OsinfoOs) os = osinfo_media_get_os(media);
		g_autoptr(OsinfoOs) best_os = best ? osinfo_media_get_os(best) : NULL;
		const char *id = os ? osinfo_product_get_short_id(OSINFO_PRODUCT(os)) : NULL;

		if (!id || !oriel_systems_lookup(self, id) || (strstr(id, "unknown") && !unknown))
			continue;
		if (is_better(os, best_os, iso->created))
			best = media;
	}
	if (best) {
		g_autoptr(OsinfoOs) os = osinfo_media_get_os(best);

		identity->system = oriel_systems_lookup(self, osinfo_product_get_short_id(OSINFO_PRODUCT(os)));
		identity->live = osinfo_media_get_live(best);
		identity->installer = osinfo_media_get_installer(best);
		set_architecture(identity, osinfo_media_get_architecture(best));
	}
	return best != NULL;
}

/* unknown: also as "some Fedora", whose version the database does not know. */
static gboolean identify_by_database(OrielSystems *self, const struct oriel_iso *iso, gboolean unknown,
				     struct oriel_identity *identity)
{
	gboolean found;

	g_mutex_lock(&self->lock);
	found = match_locked(self, iso, unknown, identity);
	g_mutex_unlock(&self->lock);
	return found;
}

static OrielSystem *apply_rule(OrielSystems *self, const struct oriel_rule *rule, GMatchInfo *match)
{
	g_autofree char *id = NULL, *name = NULL, *version = NULL;
	OrielSystem *system;

	if (!rule->id)
		return oriel_systems_get_generic(self, rule->family);
	id = match ? g_match_info_expand_references(match, rule->id, NULL) : g_strdup(rule->id);
	name = match ? g_match_info_expand_references(match, rule->name, NULL) : g_strdup(rule->name);
	version = match ? g_match_info_expand_references(match, rule->version, NULL) : g_strdup(rule->version);
	g_mutex_lock(&self->lock);
	system = oriel_systems_require(self, &(struct oriel_system_info){ .id = id, .name = name, .version = version,
				       .distribution = rule->distribution, .family = rule->family });
	g_mutex_unlock(&self->lock);
	return system;
}

/* What the disc says of itself: Debian's and Ubuntu's .disk/info, or the name in Red Hat's .treeinfo. */
static char *read_description(const struct oriel_iso *iso)
{
	g_autofree char *text = oriel_iso_read_text(iso, ".disk/info", TEXT_BYTES);
	g_autoptr(GKeyFile) file = NULL;
	g_autofree char *treeinfo = NULL;

	if (text)
		return g_steal_pointer(&text);
	treeinfo = oriel_iso_read_text(iso, ".treeinfo", TEXT_BYTES);
	file = g_key_file_new();
	if (treeinfo && g_key_file_load_from_data(file, treeinfo, strlen(treeinfo), G_KEY_FILE_NONE, NULL))
		text = g_key_file_get_string(file, "general", "name", NULL);
	return text ? g_steal_pointer(&text) : g_strdup("");
}

static gboolean try_rule(OrielSystems *self, const struct oriel_iso *iso, const struct oriel_rule *rule,
			 const char *description, struct oriel_identity *identity)
{
	const char *const subjects[] = { [ORIEL_RULE_VOLUME] = iso->volume, [ORIEL_RULE_PUBLISHER] = iso->publisher,
					 [ORIEL_RULE_TEXT] = description };
	g_autoptr(GMatchInfo) match = NULL;
	struct oriel_iso_file file;

	if (rule->field == ORIEL_RULE_PATH) {
		if (!oriel_iso_find(iso, rule->expression, &file))
			return FALSE;
	} else {
		g_autoptr(GRegex) regex = g_regex_new(rule->expression, G_REGEX_CASELESS, 0, NULL);

		if (!g_regex_match(regex, subjects[rule->field], 0, &match))
			return FALSE;
	}
	identity->system = apply_rule(self, rule, match);
	identity->live = rule->live;
	identity->installer = rule->family != ORIEL_FAMILY_TOOL;
	return TRUE;
}

static gboolean identify_by_rules(OrielSystems *self, const struct oriel_iso *iso, gboolean generic,
				  const char *description, struct oriel_identity *identity)
{
	for (const struct oriel_rule *rule = oriel_rules; rule->expression; rule++)
		if ((rule->id == NULL) == generic && try_rule(self, iso, rule, description, identity))
			return TRUE;
	return FALSE;
}

/* Names in volume ids and descriptions, for discs that the database does not know. */
static void guess_architecture(struct oriel_identity *identity, const char *text)
{
	static const struct {
		const char *word, *architecture;
	} words[] = {
		{ "amd64", "x86_64" }, { "x86_64", "x86_64" }, { "x64fre", "x86_64" },  { "i386", "i686" },
		{ "i686", "i686" },    { "x86fre", "i686" },   { "aarch64", "aarch64" }, { "arm64", "aarch64" },
		{ "a64fre", "aarch64" }, { "ppc64", "ppc64le" }, { "s390x", "s390x" },  { "riscv64", "riscv64" },
	};
	g_autofree char *lower = g_ascii_strdown(text, -1);

	for (guint i = 0; i < G_N_ELEMENTS(words) && !*identity->architecture; i++)
		if (strstr(lower, words[i].word))
			set_architecture(identity, words[i].architecture);
}

/* Nothing is read from the disc with the lock held: it may be slow, and the window asks for systems meanwhile. */
void oriel_systems_identify(OrielSystems *self, const struct oriel_iso *iso, struct oriel_identity *identity)
{
	g_autofree char *description = read_description(iso);

	*identity = (struct oriel_identity){ .system = NULL };
	oriel_systems_load(self);
	if (!identify_windows(self, iso, identity) && !identify_by_database(self, iso, FALSE, identity) &&
	    !identify_by_rules(self, iso, FALSE, description, identity) &&
	    !identify_by_database(self, iso, TRUE, identity))
		identify_by_rules(self, iso, TRUE, description, identity);
	guess_architecture(identity, iso->volume);
	guess_architecture(identity, description);
}
