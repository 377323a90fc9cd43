/* What all USB devices have in common: standard requests (USB 2.0 and 3.0, chapter 9). */
#include "usb.h"

#include <string.h>

#include "../state.h"

#define FEATURE_ENDPOINT_HALT 0
#define FEATURE_FUNCTION_SUSPEND 0
#define FEATURE_REMOTE_WAKEUP 1
#define FEATURE_U1_ENABLE 48
#define FEATURE_LTM_ENABLE 50

#define ATTRIBUTE_REMOTE_WAKEUP 0x20 /* bmAttributes of a configuration */
#define ATTRIBUTE_SELF_POWERED 0x40
#define LANGUAGE_US 0x0409

void usb_complete(struct usb_transfer *transfer, enum usb_status status, size_t actual)
{
	transfer->status = status;
	transfer->actual = actual;
	transfer->done(transfer);
}

/* Walks the part of the buffers that starts at offset. */
static size_t copy(const struct usb_transfer *transfer, size_t offset, void *data, size_t length, bool in)
{
	size_t moved = 0;

	for (unsigned i = 0; i < transfer->iov_count && moved < length; i++) {
		const struct iovec *part = &transfer->iov[i];
		size_t chunk;

		if (offset >= part->iov_len) {
			offset -= part->iov_len;
			continue;
		}
		chunk = MIN(part->iov_len - offset, length - moved);
		if (in)
			memcpy((uint8_t *)part->iov_base + offset, (uint8_t *)data + moved, chunk);
		else
			memcpy((uint8_t *)data + moved, (uint8_t *)part->iov_base + offset, chunk);
		moved += chunk;
		offset = 0;
	}
	return moved;
}

size_t usb_put(struct usb_transfer *transfer, size_t offset, const void *data, size_t length)
{
	return copy(transfer, offset, (void *)data, length, true);
}

size_t usb_take(const struct usb_transfer *transfer, size_t offset, void *data, size_t length)
{
	return copy(transfer, offset, data, length, false);
}

static uint32_t endpoint_bit(uint8_t endpoint)
{
	return 1u << ((endpoint & 15) + (endpoint & USB_DIRECTION_IN ? 16 : 0));
}

bool usb_halted(const struct usb_device *device, uint8_t endpoint)
{
	return device->halted & endpoint_bit(endpoint);
}

void usb_halt(struct usb_device *device, uint8_t endpoint)
{
	device->halted |= endpoint_bit(endpoint);
}

static void tell_changed(struct usb_device *device)
{
	if (device->ops->changed)
		device->ops->changed(device);
}

bool usb_wakeup(struct usb_device *device)
{
	if (!device->suspended || !device->remote_wakeup || !device->wakeup)
		return false;
	device->wakeup(device, device->controller);
	return true;
}

/* --- Descriptors --- */

static uint16_t total_length(const uint8_t *descriptor)
{
	return (uint16_t)(descriptor[2] | descriptor[3] << 8);
}

static int put_string(const struct usb_description *description, unsigned index, uint8_t *data)
{
	const char *text;
	unsigned length;

	data[1] = USB_DESCRIPTOR_STRING;
	if (index == 0) {
		data[0] = 4;
		data[2] = LANGUAGE_US & 0xFF;
		data[3] = LANGUAGE_US >> 8;
		return 4;
	}
	for (unsigned i = 1; i < index; i++)
		if (!description->strings[i - 1])
			return -1;
	text = description->strings[index - 1];
	if (!text)
		return -1;
	length = (unsigned)MIN(strlen(text), 126);
	data[0] = (uint8_t)(2 + length * 2);
	for (unsigned i = 0; i < length; i++) {
		data[2 + i * 2] = (uint8_t)text[i];
		data[3 + i * 2] = 0;
	}
	return data[0];
}

static int get_descriptor(struct usb_device *device, const struct usb_setup *setup, uint8_t *data)
{
	const struct usb_description *description = device->description;
	const uint8_t *found = NULL;
	unsigned index = setup->value & 0xFF, length = 0;

	switch (setup->value >> 8) {
	case USB_DESCRIPTOR_DEVICE:
		found = description->device;
		length = 18;
		break;
	case USB_DESCRIPTOR_CONFIGURATION:
		found = index ? NULL : description->configuration;
		length = total_length(description->configuration);
		break;
	case USB_DESCRIPTOR_BOS:
		found = description->bos;
		length = found ? total_length(found) : 0;
		break;
	case USB_DESCRIPTOR_STRING:
		return put_string(description, index, data);
	}
	/* Device qualifier and other speed among others: there is no second speed (section 9.6.2). */
	if (!found)
		return -1;
	memcpy(data, found, length);
	return (int)length;
}

/* --- Requests --- */

static int get_device_status(const struct usb_device *device, uint8_t *data)
{
	uint8_t attributes = device->description->configuration[7];

	data[0] = (uint8_t)((attributes & ATTRIBUTE_SELF_POWERED ? 1 : 0) | (device->remote_wakeup ? 2 : 0));
	data[1] = 0;
	return 2;
}

static int set_configuration(struct usb_device *device, unsigned value)
{
	if (value && value != device->description->configuration[5])
		return -1;
	device->configuration = (uint8_t)value;
	device->halted = 0;
	tell_changed(device);
	return 0;
}

static int device_feature(struct usb_device *device, unsigned feature, bool set)
{
	if (feature == FEATURE_REMOTE_WAKEUP && device->description->configuration[7] & ATTRIBUTE_REMOTE_WAKEUP) {
		device->remote_wakeup = set;
		tell_changed(device);
		return 0;
	}
	/* U1, U2 and latency tolerance messages: link power states that nobody can see. */
	return device->speed == USB_SPEED_SUPER && feature >= FEATURE_U1_ENABLE && feature <= FEATURE_LTM_ENABLE ? 0 : -1;
}

/* USB 3.0, section 9.4.9: the upper byte of wIndex holds the options; bit 1 allows remote wake. */
static int function_suspend(struct usb_device *device, const struct usb_setup *setup, bool set)
{
	if (device->speed != USB_SPEED_SUPER || setup->value != FEATURE_FUNCTION_SUSPEND)
		return -1;
	device->remote_wakeup = set && setup->index & 0x200;
	tell_changed(device);
	return 0;
}

static bool has_endpoint(const struct usb_device *device, uint8_t address)
{
	const uint8_t *configuration = device->description->configuration;
	unsigned size = total_length(configuration);

	for (unsigned i = 0; i + 2 < size; i += configuration[i])
		if (configuration[i + 1] == USB_DESCRIPTOR_ENDPOINT && configuration[i + 2] == address)
			return true;
	return (address & 0x7F) == 0;
}

static int endpoint_feature(struct usb_device *device, const struct usb_setup *setup, bool set)
{
	uint8_t address = (uint8_t)setup->index;

	if (setup->value != FEATURE_ENDPOINT_HALT || !has_endpoint(device, address))
		return -1;
	if (set)
		usb_halt(device, address);
	else
		device->halted &= ~endpoint_bit(address);
	tell_changed(device);
	return 0;
}

static int class_request(struct usb_device *device, const struct usb_setup *setup, uint8_t *data)
{
	return device->ops->control ? device->ops->control(device, setup, data) : -1;
}

static int standard_request(struct usb_device *device, const struct usb_setup *setup, uint8_t *data)
{
	switch (setup->request) {
	case USB_DEVICE_IN | USB_GET_DESCRIPTOR:
		return get_descriptor(device, setup, data);
	case USB_DEVICE_IN | USB_GET_STATUS:
		return get_device_status(device, data);
	case USB_DEVICE_IN | USB_GET_CONFIGURATION:
		data[0] = device->configuration;
		return 1;
	case USB_DEVICE_OUT | USB_SET_CONFIGURATION:
		return set_configuration(device, setup->value);
	case USB_DEVICE_OUT | USB_SET_FEATURE:
	case USB_DEVICE_OUT | USB_CLEAR_FEATURE:
		return device_feature(device, setup->value, (setup->request & 0xFF) == USB_SET_FEATURE);
	case USB_DEVICE_OUT | USB_SET_SEL:
	case USB_DEVICE_OUT | USB_SET_ISOCH_DELAY:
		return device->speed == USB_SPEED_SUPER ? setup->length : -1;
	case USB_INTERFACE_IN | USB_GET_STATUS:
		data[0] = data[1] = 0;
		return 2;
	case USB_INTERFACE_IN | USB_GET_INTERFACE:
		data[0] = 0;
		return device->configuration ? 1 : -1;
	case USB_INTERFACE_OUT | USB_SET_INTERFACE:
		return device->configuration && setup->value == 0 ? 0 : -1;
	case USB_INTERFACE_OUT | USB_SET_FEATURE:
	case USB_INTERFACE_OUT | USB_CLEAR_FEATURE:
		return function_suspend(device, setup, (setup->request & 0xFF) == USB_SET_FEATURE);
	case USB_ENDPOINT_IN | USB_GET_STATUS:
		data[0] = usb_halted(device, (uint8_t)setup->index);
		data[1] = 0;
		return has_endpoint(device, (uint8_t)setup->index) ? 2 : -1;
	case USB_ENDPOINT_OUT | USB_SET_FEATURE:
	case USB_ENDPOINT_OUT | USB_CLEAR_FEATURE:
		return endpoint_feature(device, setup, (setup->request & 0xFF) == USB_SET_FEATURE);
	}
	return class_request(device, setup, data);
}

static void control_transfer(struct usb_device *device, struct usb_transfer *transfer)
{
	const struct usb_setup *setup = &transfer->setup;
	bool in = setup->request & 0x8000;
	uint8_t data[USB_CONTROL_MAX];
	size_t wanted = MIN(transfer->length, setup->length);
	int length;

	if (!in && (wanted > sizeof data || wanted < setup->length ||
		    usb_take(transfer, 0, data, wanted) < wanted)) {
		usb_complete(transfer, USB_STALL, 0);
		return;
	}
	length = standard_request(device, setup, data);
	if (length < 0)
		usb_complete(transfer, USB_STALL, 0);
	else if (in)
		usb_complete(transfer, USB_DONE, usb_put(transfer, 0, data, MIN((size_t)length, wanted)));
	else
		usb_complete(transfer, USB_DONE, wanted);
}

void usb_submit(struct usb_device *device, struct usb_transfer *transfer)
{
	if (!transfer->endpoint && device->ops->control_transfer)
		device->ops->control_transfer(device, transfer);
	else if (!transfer->endpoint)
		control_transfer(device, transfer);
	else if (usb_halted(device, transfer->endpoint))
		usb_complete(transfer, USB_STALL, 0);
	else
		device->ops->transfer(device, transfer);
}

void usb_cancel(struct usb_device *device, struct usb_transfer *transfer)
{
	device->ops->cancel(device, transfer);
}

void usb_device_reset(struct usb_device *device)
{
	device->configuration = 0;
	device->remote_wakeup = false;
	device->suspended = false;
	device->halted = 0;
	device->ops->reset(device);
	tell_changed(device);
}

void usb_suspend(struct usb_device *device, bool suspended)
{
	if (device->suspended == suspended)
		return;
	device->suspended = suspended;
	tell_changed(device);
}

const char *usb_field(char buffer[USB_FIELD_MAX], const char *prefix, const char *name)
{
	g_snprintf(buffer, USB_FIELD_MAX, "%s.%s", prefix, name);
	return buffer;
}

void usb_device_state(struct usb_device *device, struct state *state, const char *prefix)
{
	char field[USB_FIELD_MAX];

	state_u8(state, usb_field(field, prefix, "configuration"), &device->configuration);
	state_bool(state, usb_field(field, prefix, "remote_wakeup"), &device->remote_wakeup);
	state_bool(state, usb_field(field, prefix, "suspended"), &device->suspended);
	state_u32(state, usb_field(field, prefix, "halted"), &device->halted);
	if (device->ops->state)
		device->ops->state(device, state, prefix);
	if (!state_loading(state))
		return;
	if (device->description && device->configuration &&
	    device->configuration != device->description->configuration[5]) {
		state_fail(state, "%s has no configuration %u", device->ops->name, device->configuration);
		device->configuration = 0;
	}
	tell_changed(device);
}
