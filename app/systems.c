#include "system_internal.h"

#include <glib/gi18n.h>
#include <string.h>

G_DEFINE_FINAL_TYPE(OrielSystems, oriel_systems, G_TYPE_OBJECT)

static const struct {
	const char *id;
	OrielFamily family;
	const char *name;
} generic[] = {
	{ "linux", ORIEL_FAMILY_LINUX, N_("Other Linux") },
	{ "windows", ORIEL_FAMILY_WINDOWS, N_("Other Windows") },
	{ "windows-old", ORIEL_FAMILY_WINDOWS_OLD, N_("Other Windows, XP or older") },
	{ "bsd", ORIEL_FAMILY_BSD, N_("Other BSD") },
	{ "dos", ORIEL_FAMILY_DOS, N_("DOS") },
	{ "tool", ORIEL_FAMILY_TOOL, N_("Tool or rescue disc") },
	{ "other", ORIEL_FAMILY_OTHER, N_("Other system") },
};

static void oriel_systems_finalize(GObject *object)
{
	OrielSystems *self = ORIEL_SYSTEMS(object);

	g_hash_table_unref(self->by_id);
	g_ptr_array_unref(self->systems);
	g_clear_object(&self->database);
	g_mutex_clear(&self->lock);
	G_OBJECT_CLASS(oriel_systems_parent_class)->finalize(object);
}

static void oriel_systems_class_init(OrielSystemsClass *class)
{
	G_OBJECT_CLASS(class)->finalize = oriel_systems_finalize;
}

static void oriel_systems_init(OrielSystems *self)
{
	g_mutex_init(&self->lock);
	self->systems = g_ptr_array_new_with_free_func(g_object_unref);
	self->by_id = g_hash_table_new(g_str_hash, g_str_equal);
}

OrielSystems *oriel_systems_new(void)
{
	return g_object_new(ORIEL_TYPE_SYSTEMS, NULL);
}

/* Takes it, unless there is one of that id. */
static void add_system(OrielSystems *self, OrielSystem *system)
{
	const char *id = oriel_system_get_info(system)->id;

	if (g_hash_table_contains(self->by_id, id)) {
		g_object_unref(system);
		return;
	}
	g_ptr_array_add(self->systems, system);
	g_hash_table_insert(self->by_id, (gpointer)id, system);
}

OrielSystem *oriel_systems_lookup(OrielSystems *self, const char *id)
{
	return g_hash_table_lookup(self->by_id, id);
}

/* The newest system of the distribution, so that "fedora50" can be made like it. */
static OrielSystem *find_relative(OrielSystems *self, const struct oriel_system_info *wanted)
{
	OrielSystem *best = NULL;

	for (guint i = 0; i < self->systems->len; i++) {
		OrielSystem *system = self->systems->pdata[i];
		const struct oriel_system_info *info = oriel_system_get_info(system);

		if (info->generic || g_strcmp0(info->distribution, wanted->distribution))
			continue;
		/* Not Windows Server's needs from Windows 11's, nor an XP's devices. */
		if (strcmp(info->distribution, "win") == 0)
			continue;
		if (!best || info->released > oriel_system_get_info(best)->released)
			best = system;
	}
	return best;
}

OrielSystem *oriel_systems_require(OrielSystems *self, const struct oriel_system_info *wanted)
{
	OrielSystem *system = oriel_systems_lookup(self, wanted->id), *relative;
	struct oriel_system_info info;

	if (system)
		return system;
	relative = find_relative(self, wanted);
	info = relative ? *oriel_system_get_info(relative) : *wanted;
	info.id = wanted->id;
	info.name = wanted->name;
	info.version = wanted->version;
	info.released = wanted->released;
	add_system(self, oriel_system_new(&info));
	return oriel_systems_lookup(self, wanted->id);
}

static void load_database(OrielSystems *self)
{
	g_autoptr(OsinfoLoader) loader = osinfo_loader_new();
	g_autoptr(GError) error = NULL;
	g_autoptr(OsinfoOsList) list = NULL;

	osinfo_loader_process_default_path(loader, &error);
	if (error)
		g_message("The database of operating systems is incomplete: %s", error->message);
	self->database = g_object_ref(osinfo_loader_get_db(loader));
	list = osinfo_db_get_os_list(self->database);
	for (int i = 0; i < osinfo_list_get_length(OSINFO_LIST(list)); i++) {
		OrielSystem *system = oriel_system_new_from_database(OSINFO_OS(osinfo_list_get_nth(OSINFO_LIST(list), i)));

		if (system)
			add_system(self, system);
	}
}

static void load_locked(OrielSystems *self)
{
	if (self->loaded)
		return;
	load_database(self);
	for (const struct oriel_system_info *info = oriel_newer_systems; info->id; info++)
		oriel_systems_require(self, info);
	for (guint i = 0; i < G_N_ELEMENTS(generic); i++)
		add_system(self, oriel_system_new(&(struct oriel_system_info){
			.id = generic[i].id, .name = _(generic[i].name), .family = generic[i].family, .generic = TRUE }));
	self->loaded = TRUE;
}

void oriel_systems_load(OrielSystems *self)
{
	g_mutex_lock(&self->lock);
	load_locked(self);
	g_mutex_unlock(&self->lock);
}

static void load_in_thread(GTask *task, gpointer self, gpointer unused, GCancellable *cancellable)
{
	(void)unused;
	(void)cancellable;
	oriel_systems_load(self);
	g_task_return_boolean(task, TRUE);
}

void oriel_systems_load_async(OrielSystems *self, GCancellable *cancellable, GAsyncReadyCallback callback,
			      gpointer data)
{
	g_autoptr(GTask) task = g_task_new(self, cancellable, callback, data);

	g_task_set_return_on_cancel(task, TRUE);
	g_task_run_in_thread(task, load_in_thread);
}

gboolean oriel_systems_load_finish(OrielSystems *self, GAsyncResult *result, GError **error)
{
	g_return_val_if_fail(g_task_is_valid(result, self), FALSE);
	return g_task_propagate_boolean(G_TASK(result), error);
}

static int compare_systems(gconstpointer a, gconstpointer b)
{
	const struct oriel_system_info *left = oriel_system_get_info(*(OrielSystem *const *)a);
	const struct oriel_system_info *right = oriel_system_get_info(*(OrielSystem *const *)b);

	if (left->generic != right->generic)
		return left->generic ? 1 : -1;
	if (left->released != right->released)
		return left->released < right->released ? 1 : -1;
	return g_utf8_collate(left->name, right->name);
}

/* Of these the database has a disc's name, but they are no system that one could choose. */
static gboolean is_placeholder(const struct oriel_system_info *info)
{
	return strstr(info->id, "unknown") != NULL;
}

GPtrArray *oriel_systems_get_all(OrielSystems *self)
{
	GPtrArray *all = g_ptr_array_new();

	g_mutex_lock(&self->lock);
	load_locked(self);
	for (guint i = 0; i < self->systems->len; i++)
		if (!is_placeholder(oriel_system_get_info(self->systems->pdata[i])))
			g_ptr_array_add(all, self->systems->pdata[i]);
	g_mutex_unlock(&self->lock);
	g_ptr_array_sort(all, compare_systems);
	return all;
}

OrielSystem *oriel_systems_find(OrielSystems *self, const char *id)
{
	OrielSystem *system;

	g_mutex_lock(&self->lock);
	load_locked(self);
	system = oriel_systems_lookup(self, id);
	g_mutex_unlock(&self->lock);
	return system;
}

const char *oriel_family_id(OrielFamily family)
{
	for (guint i = 0; i < G_N_ELEMENTS(generic); i++)
		if (generic[i].family == family)
			return generic[i].id;
	return "other";
}

OrielSystem *oriel_systems_get_generic(OrielSystems *self, OrielFamily family)
{
	return oriel_systems_find(self, oriel_family_id(family));
}
