/*
 * Intel High Definition Audio: the controller of an ICH9 (8086:293e) with one codec that plays and records.
 *
 * All calls need vm->lock; those that take a struct hda are the I/O thread's.
 */
#pragma once

#include <stdbool.h>

#include "../vmm/device.h"
#include "stream.h"

struct audio_backend;
struct hda;
struct pci_bus;
struct vm;

struct hda_options {
	struct audio_backend *backend; /* becomes the device's */
	bool microphone;               /* without it the guest records silence */
};

/* Plugs the device at 00:1b.0. It is owned by its device, whose destroy function frees it. */
struct hda *hda_new(struct vm *vm, struct pci_bus *bus, const struct hda_options *options);
struct device *hda_device(struct hda *hda);

/* Lets the guest hear what is recorded, or no longer. */
void hda_set_microphone(struct hda *hda, bool allowed);

/* What the user wants to hear of the guest, 0 to 100 percent; until then the sound server remembers. */
void hda_set_volume(struct hda *hda, unsigned percent, bool muted);

const struct audio_counters *hda_counters(const struct hda *hda, bool input);
