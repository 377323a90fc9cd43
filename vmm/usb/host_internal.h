/* Inside of a device of the host. All with vm->lock, except where something else is said. */
#pragma once

#include <libusb.h>

#include "../vm.h"
#include "host.h"
#include "usb.h"

#define HOST_ENDPOINTS 16

struct host_stream;

struct usb_host {
	struct usb_device usb;
	struct vm *vm;
	struct usb_host_options options;
	libusb_context *context;
	libusb_device_handle *handle;
	uint8_t bus, address;
	/* While a task runs, these two are its thread's. */
	uint8_t types[2][HOST_ENDPOINTS]; /* bmAttributes of the present endpoints, [1] for IN; 0: none */
	uint8_t interfaces;               /* so many are claimed */
	GHashTable *watches;              /* fd to GSource */
	GPtrArray *requests;              /* struct request * */
	struct host_stream *streams[2][HOST_ENDPOINTS];
	unsigned in_flight; /* transfers that libusb has, of requests and streams */
	GQueue tasks;       /* struct host_task *; the first is being done */
	GQueue delayed;     /* struct usb_transfer *: wait until there are no tasks */
	libusb_hotplug_callback_handle hotplug;
	bool has_hotplug;
	bool touched; /* something has been transferred since the last reset */
	bool gone;
	bool destroyed; /* to be released when its task is over */
};

static inline bool host_is_in(uint8_t endpoint)
{
	return endpoint & USB_DIRECTION_IN;
}

/* --- host.c --- */
/* Tells our side that the device is no longer there. */
void host_went_away(struct usb_host *host);
/*
 * All interfaces of the present configuration; those of the host's drivers are taken away from them. Both wait for the
 * device: on the thread of a task, or before the guest has it.
 */
int host_claim_interfaces(struct usb_host *host);
void host_release_interfaces(struct usb_host *host);

/* --- host_transfer.c --- */
/* To libusb, a stream or a task, or put off while there are tasks. */
void host_submit(struct usb_host *host, struct usb_transfer *transfer);
void host_cancel(struct usb_host *host, struct usb_transfer *transfer);
/* Nobody waits for any of them any longer; in_flight tells when libusb has let go. */
void host_cancel_all(struct usb_host *host);

/* --- host_task.c: requests that libusb itself does, and waits for the device in --- */
/* False: transfer is no such request. */
bool host_task_request(struct usb_host *host, struct usb_transfer *transfer);
void host_task_reset(struct usb_host *host);
void host_task_cancel(struct usb_host *host, struct usb_transfer *transfer);

/* --- host_stream.c: isochronous endpoints --- */
void host_stream_submit(struct usb_host *host, struct usb_transfer *transfer);
void host_stream_cancel(struct usb_host *host, struct usb_transfer *transfer);
void host_stream_end_all(struct usb_host *host);
