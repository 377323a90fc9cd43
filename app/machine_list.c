#include "machine_list.h"

#include "machine_store.h"

struct _OrielMachineList {
	GObject parent_instance;
	char *folder;
	GPtrArray *machines;     /* OrielMachine, sorted by name */
	GFileMonitor *monitor;
	GHashTable *candidates;  /* folders without a machine.conf, to their GFileMonitor */
};

static void list_model_init(GListModelInterface *interface);

G_DEFINE_FINAL_TYPE_WITH_CODE(OrielMachineList, oriel_machine_list, G_TYPE_OBJECT,
			      G_IMPLEMENT_INTERFACE(G_TYPE_LIST_MODEL, list_model_init))

static int compare_machines(OrielMachine *a, OrielMachine *b)
{
	int order = g_utf8_collate(oriel_machine_get_name(a), oriel_machine_get_name(b));

	return order ? order : g_strcmp0(oriel_machine_get_id(a), oriel_machine_get_id(b));
}

static void insert(OrielMachineList *self, OrielMachine *machine)
{
	guint place = 0;

	while (place < self->machines->len && compare_machines(self->machines->pdata[place], machine) < 0)
		place++;
	g_ptr_array_insert(self->machines, (int)place, machine);
	g_list_model_items_changed(G_LIST_MODEL(self), place, 0, 1);
}

static void name_changed(OrielMachine *machine, GParamSpec *spec, gpointer data)
{
	OrielMachineList *self = data;
	guint place;

	(void)spec;
	if (!g_ptr_array_find(self->machines, machine, &place))
		return;
	g_object_ref(machine);
	g_ptr_array_remove_index(self->machines, place);
	g_list_model_items_changed(G_LIST_MODEL(self), place, 1, 0);
	insert(self, machine);
}

static void add(OrielMachineList *self, const char *path)
{
	OrielMachine *machine = oriel_machine_new(path);

	g_signal_connect_object(machine, "notify::name", G_CALLBACK(name_changed), self, 0);
	insert(self, machine);
}

static void folder_changed(GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer data)
{
	(void)monitor;
	(void)file;
	(void)other;
	if (event != G_FILE_MONITOR_EVENT_CHANGED && event != G_FILE_MONITOR_EVENT_CHANGES_DONE_HINT)
		oriel_machine_list_rescan(data);
}

static GFileMonitor *watch(const char *path, OrielMachineList *self)
{
	g_autoptr(GFile) file = g_file_new_for_path(path);
	GFileMonitor *monitor = g_file_monitor_directory(file, G_FILE_MONITOR_WATCH_MOVES, NULL, NULL);

	if (monitor)
		g_signal_connect_object(monitor, "changed", G_CALLBACK(folder_changed), self, 0);
	return monitor;
}

/* Somebody may be about to make a machine of a folder. */
static void watch_candidates(OrielMachineList *self)
{
	g_autoptr(GHashTable) old = g_steal_pointer(&self->candidates);
	g_autoptr(GDir) folder = g_dir_open(self->folder, 0, NULL);
	const char *name;

	self->candidates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);
	while (folder && (name = g_dir_read_name(folder))) {
		g_autofree char *path = g_build_filename(self->folder, name, NULL);
		GFileMonitor *monitor = g_hash_table_lookup(old, path);

		if (*name == '.' || oriel_machine_list_find(self, name) || !g_file_test(path, G_FILE_TEST_IS_DIR))
			continue;
		monitor = monitor ? g_object_ref(monitor) : watch(path, self);
		if (monitor)
			g_hash_table_insert(self->candidates, g_steal_pointer(&path), monitor);
	}
}

void oriel_machine_list_rescan(OrielMachineList *self)
{
	g_auto(GStrv) names = NULL;

	/* First, or what somebody writes in between would go unnoticed. */
	watch_candidates(self);
	names = oriel_store_list(NULL);
	for (guint i = self->machines->len; i-- > 0;) {
		if (names && g_strv_contains((const char *const *)names, oriel_machine_get_id(self->machines->pdata[i])))
			continue;
		g_ptr_array_remove_index(self->machines, i);
		g_list_model_items_changed(G_LIST_MODEL(self), i, 1, 0);
	}
	for (guint i = 0; names && names[i]; i++) {
		g_autofree char *path = g_build_filename(self->folder, names[i], NULL);

		g_hash_table_remove(self->candidates, path);
		if (!oriel_machine_list_find(self, names[i]))
			add(self, path);
	}
}

OrielMachine *oriel_machine_list_find(OrielMachineList *self, const char *id)
{
	for (guint i = 0; i < self->machines->len; i++)
		if (g_strcmp0(oriel_machine_get_id(self->machines->pdata[i]), id) == 0)
			return self->machines->pdata[i];
	return NULL;
}

static GType get_item_type(GListModel *list)
{
	(void)list;
	return ORIEL_TYPE_MACHINE;
}

static guint get_n_items(GListModel *list)
{
	return ORIEL_MACHINE_LIST(list)->machines->len;
}

static gpointer get_item(GListModel *list, guint position)
{
	OrielMachineList *self = ORIEL_MACHINE_LIST(list);

	return position < self->machines->len ? g_object_ref(self->machines->pdata[position]) : NULL;
}

static void list_model_init(GListModelInterface *interface)
{
	interface->get_item_type = get_item_type;
	interface->get_n_items = get_n_items;
	interface->get_item = get_item;
}

static void oriel_machine_list_dispose(GObject *object)
{
	OrielMachineList *self = ORIEL_MACHINE_LIST(object);

	g_clear_object(&self->monitor);
	g_clear_pointer(&self->candidates, g_hash_table_unref);
	g_clear_pointer(&self->machines, g_ptr_array_unref);
	g_clear_pointer(&self->folder, g_free);
	G_OBJECT_CLASS(oriel_machine_list_parent_class)->dispose(object);
}

static void oriel_machine_list_class_init(OrielMachineListClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_machine_list_dispose;
}

static void oriel_machine_list_init(OrielMachineList *self)
{
	self->machines = g_ptr_array_new_with_free_func(g_object_unref);
	self->candidates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_object_unref);
	self->folder = oriel_store_machines_folder();
	/* Something that is not there yet can only be watched by polling. */
	g_mkdir_with_parents(self->folder, 0700);
	self->monitor = watch(self->folder, self);
	oriel_machine_list_rescan(self);
}

OrielMachineList *oriel_machine_list_new(void)
{
	return g_object_new(ORIEL_TYPE_MACHINE_LIST, NULL);
}
