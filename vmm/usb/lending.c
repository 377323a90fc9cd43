#include "lending.h"

#include <gio/gio.h>
#include <glib/gi18n.h>

#include "../vm.h"
#include "host.h"
#include "host_list.h"
#include "usb.h"
#include "xhci.h"

struct usb_lender {
	struct vm *vm;
	struct xhci *xhci;
	GPtrArray *jobs; /* struct job *, whose finish() has not been called */
};

/* Something that a thread does for us. */
struct job {
	struct usb_lender *lender;
	GThread *thread;
	void (*work)(struct job *job);   /* in the thread, without vm->lock */
	void (*finish)(struct job *job); /* then, with it; error may say that nobody needs it any longer */
	uint8_t bus, address;
	struct usb_host *host;
	GPtrArray *entries;
	GArray *ids;
	GError *error;
	void (*run)(void *data), (*ran)(void *data); /* for a device; with data, likewise */
	void *data;
	usb_lender_listed listed;
	usb_lender_done done;
	void *opaque;
};

static void finish_job(void *data)
{
	struct job *job = data;

	g_thread_join(job->thread);
	g_ptr_array_remove_fast(job->lender->jobs, job);
	job->finish(job);
	g_clear_pointer(&job->entries, g_ptr_array_unref);
	g_clear_pointer(&job->ids, g_array_unref);
	g_clear_error(&job->error);
	g_free(job);
}

static gpointer run_job(gpointer data)
{
	struct job *job = data;

	job->work(job);
	loop_call(&job->lender->vm->loop, finish_job, job);
	return NULL;
}

/* Takes what job points to. */
static void start_job(struct usb_lender *lender, const struct job *job)
{
	struct job *copy = g_memdup2(job, sizeof *job);

	copy->lender = lender;
	g_ptr_array_add(lender->jobs, copy);
	copy->thread = g_thread_new("usb", run_job, copy);
}

static struct usb_device *find_device(const struct usb_lender *lender, uint8_t bus, uint8_t address)
{
	for (unsigned i = 0; i < XHCI_CONNECTORS; i++) {
		struct usb_device *device = xhci_connected(lender->xhci, i);
		uint8_t its_bus, its_address;

		if (usb_host_place(device, &its_bus, &its_address) && its_bus == bus && its_address == address)
			return device;
	}
	return NULL;
}

/* --- Listing --- */

static void list_work(struct job *job)
{
	job->entries = usb_host_list();
}

static void list_finish(struct job *job)
{
	for (guint i = 0; !job->error && i < job->entries->len; i++) {
		struct usb_host_entry *entry = job->entries->pdata[i];

		entry->plugged = find_device(job->lender, entry->bus, entry->address);
	}
	job->listed(job->opaque, job->error ? NULL : job->entries, job->error);
}

void usb_lender_list(struct usb_lender *lender, usb_lender_listed done, void *opaque)
{
	start_job(lender, &(struct job){ .work = list_work, .finish = list_finish, .listed = done, .opaque = opaque });
}

/* --- Giving back --- */

static void close_work(struct job *job)
{
	usb_host_close(job->host);
}

static void close_finish(struct job *job)
{
	(void)job;
}

static void release(void *opaque, struct usb_host *host)
{
	start_job(opaque, &(struct job){ .work = close_work, .finish = close_finish, .host = host });
}

/* --- What a device has to wait for --- */

static void run_work(struct job *job)
{
	job->run(job->data);
}

static void run_finish(struct job *job)
{
	job->ran(job->data);
}

static void run(void *opaque, void (*work)(void *data), void (*finish)(void *data), void *data)
{
	start_job(opaque, &(struct job){ .work = run_work, .finish = run_finish, .run = work, .ran = finish, .data = data });
}

static void detach_gone(void *opaque)
{
	struct usb_lender *lender = opaque;

	for (unsigned i = 0; i < XHCI_CONNECTORS; i++) {
		struct usb_device *device = xhci_connected(lender->xhci, i);

		if (usb_host_gone(device))
			xhci_detach(lender->xhci, device);
	}
}

static void gone(void *opaque)
{
	loop_call(&((struct usb_lender *)opaque)->vm->loop, detach_gone, opaque);
}

bool usb_lender_unplug(struct usb_lender *lender, uint8_t bus, uint8_t address, GError **error)
{
	struct usb_device *device = find_device(lender, bus, address);

	if (!device) {
		g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
			    _("The guest has no USB device %u on bus %u of the host"), address, bus);
		return false;
	}
	xhci_detach(lender->xhci, device);
	return true;
}

/* --- Plugging in --- */

static void plug_work(struct job *job)
{
	job->host = usb_host_open(job->bus, job->address, &job->error);
}

static void plug_finish(struct job *job)
{
	const struct usb_host_options options = { gone, release, run, job->lender };
	struct usb_device *device;

	if (job->host && job->error) {
		release(job->lender, job->host);
	} else if (job->host) {
		device = usb_host_start(job->host, job->lender->vm, &options);
		if (!xhci_attach(job->lender->xhci, device, &job->error))
			device->ops->destroy(device);
	}
	job->done(job->opaque, job->error);
}

static void refuse_work(struct job *job)
{
	g_set_error(&job->error, G_IO_ERROR, G_IO_ERROR_BUSY, _("The guest has the USB device %u on bus %u already"),
		    job->address, job->bus);
}

/* That there are no others under way who are about to plug it in. */
static bool is_being_plugged(const struct usb_lender *lender, uint8_t bus, uint8_t address)
{
	for (guint i = 0; i < lender->jobs->len; i++) {
		const struct job *job = lender->jobs->pdata[i];

		if (job->work == plug_work && job->bus == bus && job->address == address)
			return true;
	}
	return false;
}

void usb_lender_plug(struct usb_lender *lender, uint8_t bus, uint8_t address, usb_lender_done done, void *opaque)
{
	bool plugged = find_device(lender, bus, address) || is_being_plugged(lender, bus, address);

	start_job(lender, &(struct job){ .work = plugged ? refuse_work : plug_work, .finish = plug_finish, .bus = bus,
					 .address = address, .done = done, .opaque = opaque });
}

static void plug_kind(struct job *job, const struct usb_id *id)
{
	g_autoptr(GError) error = NULL;
	bool found = false;

	for (guint i = 0; i < job->entries->len; i++) {
		const struct usb_host_entry *entry = job->entries->pdata[i];

		if (entry->vendor != id->vendor || entry->product != id->product)
			continue;
		found = true;
		usb_lender_plug(job->lender, entry->bus, entry->address, job->done, job->opaque);
	}
	if (found)
		return;
	g_set_error(&error, G_IO_ERROR, G_IO_ERROR_NOT_FOUND,
		    _("The USB device %04x:%04x, which the machine shall have, is not plugged into this computer"),
		    id->vendor, id->product);
	job->done(job->opaque, error);
}

static void kinds_finish(struct job *job)
{
	if (job->error)
		job->done(job->opaque, job->error);
	for (guint i = 0; !job->error && i < job->ids->len; i++)
		plug_kind(job, &g_array_index(job->ids, struct usb_id, i));
}

void usb_lender_plug_kinds(struct usb_lender *lender, const GArray *ids, usb_lender_done done, void *opaque)
{
	if (ids->len)
		start_job(lender, &(struct job){ .work = list_work, .finish = kinds_finish, .done = done, .opaque = opaque,
						 .ids = g_array_copy((GArray *)ids) });
}

/* --- Life --- */

struct usb_lender *usb_lender_new(struct vm *vm, struct xhci *xhci)
{
	struct usb_lender *lender = g_new0(struct usb_lender, 1);

	lender->vm = vm;
	lender->xhci = xhci;
	lender->jobs = g_ptr_array_new();
	return lender;
}

void usb_lender_free(struct usb_lender *lender)
{
	while (lender->jobs->len) {
		struct job *job = lender->jobs->pdata[0];

		g_thread_join(g_thread_ref(job->thread));
		if (!job->error)
			g_set_error(&job->error, G_IO_ERROR, G_IO_ERROR_CANCELLED, _("The machine ends"));
		finish_job(job);
	}
	g_ptr_array_unref(lender->jobs);
	g_free(lender);
}
