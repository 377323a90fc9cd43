#include "wizard.h"

#include <glib/gi18n.h>

#include "file_choice.h"
#include "host_bar.h"
#include "import.h"
#include "machine_actions.h"
#include "machine_store.h"
#include "media.h"
#include "new_machine.h"
#include "packaged.h"
#include "places.h"
#include "wizard_machine.h"

#define PAGE_SOURCE "source"
#define PAGE_BUSY "busy"
#define PAGE_MACHINE "machine"

struct _OrielWizard {
	GtkDialog parent;
	OrielWindow *window;
	OrielSystems *systems;
	OrielMedia *media;     /* what is to be put into the drive, or NULL */
	OrielImport *import;   /* what is to be imported, or NULL */
	OrielPackaged *packaged; /* what is to be started from, or NULL */
	GtkWidget *lacking;    /* shows the packages that it needs, or NULL */
	GCancellable *cancellable; /* of what goes on, or NULL */
	GtkStack *pages;
	GtkInfoBar *bar;
	GtkLabel *bar_text, *busy_text;
	GtkProgressBar *progress;
	GtkWidget *back, *create;
	OrielWizardMachine *machine;
};

G_DEFINE_FINAL_TYPE(OrielWizard, oriel_wizard, GTK_TYPE_DIALOG)

static void update_create(OrielWizard *self)
{
	const char *page = gtk_stack_get_visible_child_name(self->pages);

	gtk_widget_set_sensitive(self->create, g_strcmp0(page, PAGE_MACHINE) == 0 &&
				 oriel_wizard_machine_is_complete(self->machine));
}

static void show_page(OrielWizard *self, const char *page)
{
	gboolean machine = g_str_equal(page, PAGE_MACHINE);

	gtk_stack_set_visible_child_name(self->pages, page);
	gtk_widget_set_visible(self->back, machine);
	update_create(self);
	/* For the keyboard: what the page before had the focus on is gone. */
	if (machine)
		gtk_widget_grab_focus(self->create);
	else
		gtk_widget_child_focus(gtk_stack_get_visible_child(self->pages), GTK_DIR_TAB_FORWARD);
}

static void show_error(OrielWizard *self, const char *message)
{
	gtk_label_set_text(self->bar_text, message);
	gtk_info_bar_set_revealed(self->bar, TRUE);
	gtk_widget_show(GTK_WIDGET(self->bar));
}

/* What goes on until finish_work(); the page before is where an error leads back to. */
static GCancellable *begin_work(OrielWizard *self, const char *text)
{
	g_clear_object(&self->cancellable);
	self->cancellable = g_cancellable_new();
	gtk_widget_hide(GTK_WIDGET(self->bar));
	gtk_label_set_text(self->busy_text, text);
	gtk_progress_bar_set_fraction(self->progress, 0);
	gtk_widget_set_visible(GTK_WIDGET(self->progress), FALSE);
	show_page(self, PAGE_BUSY);
	return self->cancellable;
}

/* False: the wizard is gone already, or the user gave up; page: where to go on then. */
static gboolean finish_work(OrielWizard *self, const GError *error, const char *page)
{
	gboolean cancelled = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);

	g_clear_object(&self->cancellable);
	if (!self->window)
		return FALSE;
	if (!error)
		return TRUE;
	show_page(self, page);
	if (!cancelled)
		show_error(self, error->message);
	return FALSE;
}

/* packaged is taken. */
static void set_sources(OrielWizard *self, OrielMedia *media, OrielImport *import, OrielPackaged *packaged)
{
	g_set_object(&self->media, media);
	g_set_object(&self->import, import);
	oriel_packaged_free(self->packaged);
	self->packaged = packaged;
	if (packaged)
		oriel_wizard_machine_set_system(self->machine, packaged->system);
	else if (import)
		oriel_wizard_machine_set_import(self->machine, import);
	else
		oriel_wizard_machine_set_media(self->machine, media);
	show_page(self, PAGE_MACHINE);
}

/* --- What to start from --- */

static void import_opened(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielWizard) self = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(OrielImport) import = oriel_import_open_finish(result, &error);

	(void)source;
	if (finish_work(self, error, PAGE_SOURCE))
		set_sources(self, NULL, import, NULL);
}

static void recognised(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielWizard) self = data;
	g_autoptr(GError) error = NULL;
	g_autoptr(OrielMedia) media = oriel_media_recognise_finish(ORIEL_SYSTEMS(source), result, &error);
	const struct oriel_media_info *info = media ? oriel_media_get_info(media) : NULL;

	if (!finish_work(self, error, PAGE_SOURCE))
		return;
	switch (info->kind) {
	case ORIEL_MEDIA_DISC:
		set_sources(self, media, NULL, NULL);
		break;
	case ORIEL_MEDIA_DISK:
		oriel_import_open_async(info->path, begin_work(self, _("Looking at the disk image…")), import_opened,
					g_object_ref(self));
		break;
	case ORIEL_MEDIA_UNKNOWN:
		show_page(self, PAGE_SOURCE);
		show_error(self, info->problem ? info->problem : _("This is neither a disc image nor a disk image."));
		break;
	}
}

static void take_file(OrielWizard *self, const char *path)
{
	oriel_media_recognise_async(self->systems, path, begin_work(self, _("Looking at what it is…")), recognised,
				    g_object_ref(self));
}

static void file_chosen(GtkWindow *wizard, const char *path)
{
	take_file(ORIEL_WIZARD(wizard), path);
}

static void choose_disc(OrielWizard *self)
{
	static const char *const patterns[] = { "*.[iI][sS][oO]", NULL };

	oriel_choose_file(GTK_WINDOW(self), _("Choose an Installer"), _("Disc images (*.iso)"), patterns, file_chosen);
}

static void choose_disk(OrielWizard *self)
{
	static const char *const patterns[] = { "*.[vV][mM][dD][kK]", "*.[vV][dD][iI]", "*.[vV][hH][dD]",
						"*.[vV][hH][dD][xX]", "*.[oO][vV][aA]", "*.[oO][vV][fF]", "*.qcow2",
						"*.img", "*.raw", NULL };

	oriel_choose_file(GTK_WINDOW(self), _("Choose a Disk Image"), _("Disk images and appliances"), patterns,
			  file_chosen);
}

static void take_test_disc(OrielWizard *self)
{
	OrielWindow *window = self->window;

	gtk_widget_destroy(GTK_WIDGET(self));
	oriel_new_machine_test_disc(window);
}

static void take_packaged(OrielWizard *self);

/* The bar says which packages are missing, and installs them if the user wants. */
static void show_lacking(OrielWizard *self)
{
	GtkContainer *content = GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(self)));

	if (self->lacking)
		return;
	self->lacking = g_object_new(ORIEL_TYPE_HOST_BAR, "orientation", GTK_ORIENTATION_VERTICAL, "visible", TRUE, NULL);
	oriel_host_bar_set_look(ORIEL_HOST_BAR(self->lacking), oriel_packaged_find_problems);
	g_signal_connect_object(self->lacking, "mended", G_CALLBACK(take_packaged), self, G_CONNECT_SWAPPED);
	gtk_container_add(content, self->lacking);
	gtk_box_reorder_child(GTK_BOX(content), self->lacking, 0);
}

static void take_packaged(OrielWizard *self)
{
	g_autoptr(OrielPackaged) packaged = oriel_packaged_find("/");

	if (packaged && packaged->command) {
		show_lacking(self);
		return;
	}
	g_clear_pointer(&self->lacking, gtk_widget_destroy);
	set_sources(self, NULL, NULL, g_steal_pointer(&packaged));
}

static void take_nothing(OrielWizard *self)
{
	set_sources(self, NULL, NULL, NULL);
}

static const struct source {
	const char *icon, *title, *text;
	void (*chosen)(OrielWizard *self);
	gboolean packaged;
} sources[] = {
	{ "media-optical-symbolic", N_("An installer or live disc"),
	  N_("An ISO file of Windows, Linux or another system"), choose_disc },
	{ "drive-harddisk-symbolic", N_("A disk or a machine that there is"),
	  N_("From VMware, VirtualBox, Hyper-V or QEMU: VMDK, VDI, VHD, OVA and others"), choose_disk },
	{ "network-workgroup-symbolic", N_("Debian’s installer from this computer’s packages"),
	  N_("Starts without a download, and fetches what it installs from the internet"), take_packaged, TRUE },
	{ "computer-symbolic", N_("The test disc"),
	  N_("Shows within seconds that screen, keyboard and mouse work here"), take_test_disc },
	{ "list-add-symbolic", N_("An empty machine"), N_("With a new disk, and nothing in its drive"), take_nothing },
};

static void source_activated(GtkListBox *list, GtkListBoxRow *row, gpointer data)
{
	(void)list;
	((const struct source *)g_object_get_data(G_OBJECT(row), "source"))->chosen(data);
}

static GtkWidget *new_source_row(const struct source *source)
{
	GtkWidget *box = gtk_box_new(GTK_ORIENTATION_HORIZONTAL, 12), *texts = gtk_box_new(GTK_ORIENTATION_VERTICAL, 2);
	GtkWidget *title = gtk_label_new(_(source->title)), *text = gtk_label_new(_(source->text));
	GtkWidget *image = gtk_image_new_from_icon_name(source->icon, GTK_ICON_SIZE_DND), *row = gtk_list_box_row_new();

	gtk_label_set_xalign(GTK_LABEL(title), 0);
	gtk_label_set_xalign(GTK_LABEL(text), 0);
	gtk_style_context_add_class(gtk_widget_get_style_context(title), "oriel-name");
	gtk_style_context_add_class(gtk_widget_get_style_context(text), GTK_STYLE_CLASS_DIM_LABEL);
	gtk_container_add(GTK_CONTAINER(texts), title);
	gtk_container_add(GTK_CONTAINER(texts), text);
	gtk_box_pack_start(GTK_BOX(box), image, FALSE, FALSE, 0);
	gtk_box_pack_start(GTK_BOX(box), texts, TRUE, TRUE, 0);
	g_object_set(box, "margin", 12, NULL);
	gtk_container_add(GTK_CONTAINER(row), box);
	atk_object_set_name(gtk_widget_get_accessible(row), _(source->title));
	g_object_set_data(G_OBJECT(row), "source", (gpointer)source);
	return row;
}

static GtkWidget *new_source_page(OrielWizard *self)
{
	GtkWidget *list = gtk_list_box_new(), *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 12);
	GtkWidget *label = gtk_label_new(_("What shall the machine start from?"));
	g_autoptr(OrielPackaged) packaged = oriel_packaged_find("/");

	gtk_style_context_add_class(gtk_widget_get_style_context(list), "oriel-list");
	atk_object_set_name(gtk_widget_get_accessible(list), _("What the machine starts from"));
	gtk_list_box_set_selection_mode(GTK_LIST_BOX(list), GTK_SELECTION_NONE);
	for (guint i = 0; i < G_N_ELEMENTS(sources); i++)
		if (packaged || !sources[i].packaged)
			gtk_container_add(GTK_CONTAINER(list), new_source_row(&sources[i]));
	g_signal_connect(list, "row-activated", G_CALLBACK(source_activated), self);
	gtk_label_set_xalign(GTK_LABEL(label), 0);
	gtk_container_add(GTK_CONTAINER(page), label);
	gtk_container_add(GTK_CONTAINER(page), list);
	return page;
}

/* --- Making it --- */

static void made(OrielWizard *self, const char *id, gboolean start)
{
	OrielWindow *window = self->window;
	OrielMachineList *machines = oriel_window_get_machines(window);
	OrielMachine *machine;

	gtk_widget_destroy(GTK_WIDGET(self));
	oriel_machine_list_rescan(machines);
	machine = oriel_machine_list_find(machines, id);
	if (!machine)
		return;
	oriel_window_select(window, machine);
	if (start)
		oriel_machine_actions_start(window, machine);
}

static gboolean wants_start(OrielWizard *self)
{
	struct oriel_wizard_choice choice;

	oriel_wizard_machine_get(self->machine, &choice);
	g_free(choice.name);
	return choice.start;
}

static void imported(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielWizard) self = data;
	g_autoptr(GError) error = NULL;
	g_autofree char *id = oriel_import_machine_finish(ORIEL_IMPORT(source), result, &error);

	if (finish_work(self, error, PAGE_MACHINE))
		made(self, id, wants_start(self));
}

static void progressed(double fraction, gpointer data)
{
	OrielWizard *self = data;

	gtk_progress_bar_set_fraction(self->progress, fraction);
}

/* A description with memory of its own, for another thread. */
struct creation {
	struct oriel_machine_description description;
	char *id, *name, *system, *iso, *disk_folder, *tftp, *boot_file;
};

static void free_creation(gpointer data)
{
	struct creation *creation = data;

	g_free(creation->id);
	g_free(creation->name);
	g_free(creation->system);
	g_free(creation->iso);
	g_free(creation->disk_folder);
	g_free(creation->tftp);
	g_free(creation->boot_file);
	g_free(creation);
}

/* To reserve a disk's room takes its time on some file systems. */
static void create_in_thread(GTask *task, gpointer source, gpointer data, GCancellable *cancellable)
{
	struct creation *creation = data;
	GError *error = NULL;

	(void)source;
	(void)cancellable;
	if (oriel_store_create(&creation->description, &error))
		g_task_return_boolean(task, TRUE);
	else
		g_task_return_error(task, error);
}

static void created(GObject *source, GAsyncResult *result, gpointer data)
{
	g_autoptr(OrielWizard) self = data;
	g_autoptr(GError) error = NULL;
	struct creation *creation = g_task_get_task_data(G_TASK(result));

	(void)source;
	g_task_propagate_boolean(G_TASK(result), &error);
	if (finish_work(self, error, PAGE_MACHINE))
		made(self, creation->id, wants_start(self));
}

static void create_machine(OrielWizard *self)
{
	struct creation *creation = g_new0(struct creation, 1);
	struct oriel_wizard_choice choice;
	g_autoptr(GTask) task = NULL;

	oriel_wizard_machine_get(self->machine, &choice);
	creation->name = choice.name;
	creation->system = g_strdup(choice.system);
	creation->disk_folder = g_strdup(choice.disk_folder);
	creation->id = oriel_store_free_id(choice.name);
	if (self->media)
		creation->iso = g_strdup(oriel_media_get_info(self->media)->path);
	if (self->packaged) {
		creation->iso = g_strdup(self->packaged->disc);
		creation->tftp = g_strdup(self->packaged->folder);
		creation->boot_file = g_strdup(self->packaged->boot_file);
	}
	/* The disk first: as long as nothing is on it the firmware goes on to the disc, and no longer. */
	creation->description = (struct oriel_machine_description){
		.id = creation->id, .name = creation->name, .system = creation->system, .iso = creation->iso,
		.disk_size = choice.disk, .nvme = choice.nvme, .disk_folder = creation->disk_folder,
		.preallocate = choice.preallocate, .memory = choice.memory, .cpus = choice.cpus,
		.tftp = creation->tftp, .boot_file = creation->boot_file,
	};
	if (self->import) {
		oriel_import_machine_async(self->import, creation->name, &creation->description,
					   begin_work(self, _("Importing…")), progressed, self, imported,
					   g_object_ref(self));
		gtk_widget_show(GTK_WIDGET(self->progress));
		free_creation(creation);
		return;
	}
	task = g_task_new(NULL, begin_work(self, _("Making the machine…")), created, g_object_ref(self));
	g_task_set_task_data(task, creation, free_creation);
	g_task_run_in_thread(task, create_in_thread);
}

static void oriel_wizard_response(GtkDialog *dialog, int response)
{
	OrielWizard *self = ORIEL_WIZARD(dialog);

	if (response == GTK_RESPONSE_OK)
		create_machine(self);
	else if (response == GTK_RESPONSE_REJECT)
		show_page(self, PAGE_SOURCE);
	else if (self->cancellable)
		g_cancellable_cancel(self->cancellable);
	else
		gtk_widget_destroy(GTK_WIDGET(self));
}

/* --- The dialog --- */

static GtkWidget *new_busy_page(OrielWizard *self)
{
	GtkWidget *page = gtk_box_new(GTK_ORIENTATION_VERTICAL, 12), *spinner = gtk_spinner_new();

	gtk_widget_set_valign(page, GTK_ALIGN_CENTER);
	gtk_widget_set_size_request(spinner, 48, 48);
	gtk_spinner_start(GTK_SPINNER(spinner));
	self->busy_text = GTK_LABEL(gtk_label_new(NULL));
	self->progress = GTK_PROGRESS_BAR(gtk_progress_bar_new());
	gtk_widget_set_no_show_all(GTK_WIDGET(self->progress), TRUE);
	gtk_container_add(GTK_CONTAINER(page), spinner);
	gtk_container_add(GTK_CONTAINER(page), GTK_WIDGET(self->busy_text));
	gtk_container_add(GTK_CONTAINER(page), GTK_WIDGET(self->progress));
	return page;
}

static void add_bar(OrielWizard *self, GtkContainer *content)
{
	self->bar = GTK_INFO_BAR(gtk_info_bar_new());
	self->bar_text = GTK_LABEL(gtk_label_new(NULL));
	gtk_info_bar_set_message_type(self->bar, GTK_MESSAGE_ERROR);
	gtk_label_set_line_wrap(self->bar_text, TRUE);
	gtk_label_set_max_width_chars(self->bar_text, 60);
	gtk_label_set_xalign(self->bar_text, 0);
	gtk_container_add(GTK_CONTAINER(gtk_info_bar_get_content_area(self->bar)), GTK_WIDGET(self->bar_text));
	gtk_widget_show(GTK_WIDGET(self->bar_text));
	gtk_widget_set_no_show_all(GTK_WIDGET(self->bar), TRUE);
	gtk_container_add(content, GTK_WIDGET(self->bar));
}

static void oriel_wizard_dispose(GObject *object)
{
	OrielWizard *self = ORIEL_WIZARD(object);

	self->window = NULL;
	if (self->cancellable)
		g_cancellable_cancel(self->cancellable);
	g_clear_object(&self->cancellable);
	g_clear_object(&self->systems);
	g_clear_object(&self->media);
	g_clear_object(&self->import);
	g_clear_pointer(&self->packaged, oriel_packaged_free);
	G_OBJECT_CLASS(oriel_wizard_parent_class)->dispose(object);
}

static void oriel_wizard_class_init(OrielWizardClass *class)
{
	G_OBJECT_CLASS(class)->dispose = oriel_wizard_dispose;
	GTK_DIALOG_CLASS(class)->response = oriel_wizard_response;
}

static void oriel_wizard_init(OrielWizard *self)
{
	(void)self;
}

static void build(OrielWizard *self)
{
	GtkContainer *content = GTK_CONTAINER(gtk_dialog_get_content_area(GTK_DIALOG(self)));

	gtk_dialog_add_button(GTK_DIALOG(self), _("_Cancel"), GTK_RESPONSE_CANCEL);
	self->create = gtk_dialog_add_button(GTK_DIALOG(self), _("C_reate"), GTK_RESPONSE_OK);
	self->back = gtk_dialog_add_button(GTK_DIALOG(self), _("_Back"), GTK_RESPONSE_REJECT);
	gtk_dialog_set_default_response(GTK_DIALOG(self), GTK_RESPONSE_OK);
	add_bar(self, content);
	self->pages = GTK_STACK(gtk_stack_new());
	self->machine = oriel_wizard_machine_new(self->systems);
	g_signal_connect_object(self->machine, "changed", G_CALLBACK(update_create), self, G_CONNECT_SWAPPED);
	gtk_stack_add_named(self->pages, new_source_page(self), PAGE_SOURCE);
	gtk_stack_add_named(self->pages, new_busy_page(self), PAGE_BUSY);
	gtk_stack_add_named(self->pages, GTK_WIDGET(self->machine), PAGE_MACHINE);
	g_object_set(self->pages, "margin", 18, NULL);
	gtk_box_pack_start(GTK_BOX(content), GTK_WIDGET(self->pages), TRUE, TRUE, 0);
	gtk_widget_show_all(GTK_WIDGET(content));
}

OrielSystems *oriel_window_get_systems(OrielWindow *window)
{
	OrielSystems *systems = g_object_get_data(G_OBJECT(window), "systems");

	if (!systems) {
		systems = oriel_systems_new();
		g_object_set_data_full(G_OBJECT(window), "systems", systems, g_object_unref);
	}
	return systems;
}

struct opening {
	OrielWizard *wizard;
	char *path;
	gboolean packaged;
};

static void systems_loaded(GObject *source, GAsyncResult *result, gpointer data)
{
	struct opening *opening = data;
	g_autoptr(OrielWizard) self = opening->wizard;
	g_autofree char *path = opening->path;
	gboolean packaged = opening->packaged;
	g_autoptr(GError) error = NULL;

	g_free(opening);
	oriel_systems_load_finish(ORIEL_SYSTEMS(source), result, &error);
	if (!finish_work(self, error, PAGE_SOURCE))
		return;
	show_page(self, PAGE_SOURCE);
	if (path)
		take_file(self, path);
	else if (packaged)
		take_packaged(self);
}

static void show_wizard(OrielWindow *window, const char *path, gboolean packaged)
{
	OrielWizard *self = g_object_new(ORIEL_TYPE_WIZARD, "use-header-bar", 1, "title", _("New Machine"),
					 "transient-for", window, "modal", TRUE, "destroy-with-parent", TRUE, NULL);
	struct opening *opening = g_new(struct opening, 1);

	self->window = window;
	self->systems = g_object_ref(oriel_window_get_systems(window));
	build(self);
	*opening = (struct opening){ g_object_ref(self), g_strdup(path), packaged };
	oriel_systems_load_async(self->systems, begin_work(self, _("One moment…")), systems_loaded, opening);
	gtk_window_present(GTK_WINDOW(self));
}

void oriel_wizard_show(OrielWindow *window, const char *path)
{
	show_wizard(window, path, FALSE);
}

void oriel_wizard_show_packaged(OrielWindow *window)
{
	show_wizard(window, NULL, TRUE);
}
