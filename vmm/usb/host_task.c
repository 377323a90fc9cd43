/*
 * Requests that libusb has to know about too, so that they cannot be just passed on, and resets. It waits in them for the
 * device, which can be for seconds, so they are done by a thread, one after the other; nothing of the machine but the
 * device's other transfers waits.
 */
#include "host_internal.h"

struct host_task {
	struct usb_host *host;
	int (*work)(struct host_task *task); /* in the thread; returns 0 or an error of libusb */
	unsigned value, index;
	struct usb_transfer *transfer; /* NULL: cancelled, or a reset, which nobody waits for */
	int code;
};

static int set_configuration(struct host_task *task)
{
	struct usb_host *host = task->host;
	int present = 0, code;

	libusb_get_configuration(host->handle, &present);
	if (present == (int)task->value)
		return 0;
	host_release_interfaces(host);
	code = libusb_set_configuration(host->handle, task->value ? (int)task->value : -1);
	return code ? code : host_claim_interfaces(host);
}

static int set_interface(struct host_task *task)
{
	return libusb_set_interface_alt_setting(task->host->handle, (int)task->index, (int)task->value);
}

static int clear_halt(struct host_task *task)
{
	return libusb_clear_halt(task->host->handle, (uint8_t)task->index);
}

static int reset(struct host_task *task)
{
	return libusb_reset_device(task->host->handle);
}

static void run_task(void *data)
{
	struct host_task *task = data;

	task->code = task->work(task);
}

static void start(struct host_task *task);

/* Those that nobody waits for any longer are left out, except resets. */
static void start_next(struct usb_host *host)
{
	struct host_task *task = g_queue_peek_head(&host->tasks);

	while (task && !task->transfer && task->work != reset) {
		g_free(g_queue_pop_head(&host->tasks));
		task = g_queue_peek_head(&host->tasks);
	}
	if (task) {
		start(task);
		return;
	}
	while (g_queue_is_empty(&host->tasks) && !g_queue_is_empty(&host->delayed))
		host_submit(host, g_queue_pop_head(&host->delayed));
}

static void finish_task(void *data)
{
	struct host_task *task = data;
	struct usb_host *host = task->host;
	struct usb_transfer *transfer = task->transfer;
	int code = task->code;
	bool was_reset = task->work == reset;

	g_free(g_queue_pop_head(&host->tasks));
	if (host->destroyed) {
		g_queue_clear_full(&host->tasks, g_free);
		host->options.release(host->options.opaque, host);
		return;
	}
	/* NOT_FOUND: it came back as another device, to which somebody has to introduce us again. */
	if (code == LIBUSB_ERROR_NO_DEVICE || (was_reset && code == LIBUSB_ERROR_NOT_FOUND))
		host_went_away(host);
	/* First: what comes in answer to the transfer goes behind what has waited. */
	start_next(host);
	if (transfer)
		usb_complete(transfer, code == 0 ? USB_DONE : USB_STALL, 0);
}

static void start(struct host_task *task)
{
	struct usb_host *host = task->host;

	host->options.run(host->options.opaque, run_task, finish_task, task);
}

static void add(struct usb_host *host, const struct host_task *task)
{
	struct host_task *copy = g_memdup2(task, sizeof *task);

	copy->host = host;
	g_queue_push_tail(&host->tasks, copy);
	if (host->tasks.length == 1)
		start(copy);
}

bool host_task_request(struct usb_host *host, struct usb_transfer *transfer)
{
	const struct usb_setup *setup = &transfer->setup;
	struct host_task task = { .value = setup->value & 0xFF, .index = setup->index & 0xFF, .transfer = transfer };

	switch (setup->request) {
	case USB_DEVICE_OUT | USB_SET_CONFIGURATION:
		task.work = set_configuration;
		break;
	case USB_INTERFACE_OUT | USB_SET_INTERFACE:
		task.work = set_interface;
		break;
	case USB_ENDPOINT_OUT | USB_CLEAR_FEATURE:
		if (setup->value)
			return false;
		task.work = clear_halt;
		break;
	default:
		return false;
	}
	/* The endpoints that streams belong to may not be there afterwards. */
	if (task.work != clear_halt)
		host_stream_end_all(host);
	host->touched = true;
	add(host, &task);
	return true;
}

void host_task_reset(struct usb_host *host)
{
	host_stream_end_all(host);
	add(host, &(struct host_task){ .work = reset });
}

void host_task_cancel(struct usb_host *host, struct usb_transfer *transfer)
{
	for (GList *link = host->tasks.head; link; link = link->next) {
		struct host_task *task = link->data;

		if (task->transfer == transfer)
			task->transfer = NULL;
	}
}
