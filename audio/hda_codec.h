/*
 * The codec: a function group with a path out (converter, line-out pin) and one in (line-in pin, converter).
 * Section 7 of the High Definition Audio Specification.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state;

#define HDA_CODEC_NODES 6

/* What a node remembers of the verbs it takes. */
struct hda_node_state {
	uint8_t amplifier[2];  /* left, right: mute in bit 7, gain */
	uint16_t format;
	uint8_t stream;        /* tag in bits 7-4, channel in bits 3-0 */
	uint8_t pin_control;
	uint8_t power;
	uint8_t unsolicited;
	uint32_t configuration;
};

struct hda_codec {
	struct hda_node_state nodes[HDA_CODEC_NODES];
	uint32_t subsystem;
	/* After a verb changed how converters are connected or how loud they are. */
	void (*changed)(void *opaque);
	void *opaque;
};

/* How a converter is set up now. */
struct hda_converter {
	uint8_t tag;       /* stream that it belongs to; 0: none */
	uint8_t channel;   /* the first of its two */
	int32_t gain[2];   /* 65536 is 1; 0 also where the pin or the power is off */
};

void hda_codec_reset(struct hda_codec *codec);
/* Carries out a command (address, node and verb, section 7.3); false: no codec there to answer. */
bool hda_codec_command(struct hda_codec *codec, uint32_t command, uint32_t *response);
void hda_codec_converter(const struct hda_codec *codec, bool input, struct hda_converter *converter);
void hda_codec_state(struct hda_codec *codec, struct state *state);
