#include "hda_codec.h"

#include <glib.h>
#include <math.h>
#include <string.h>

#include "../vmm/state.h"

#define CODEC_ID 0x1AF40021u

enum { ROOT, FUNCTION_GROUP, DAC, LINE_OUT, ADC, LINE_IN };

/* Parameters (section 7.3.4) */
enum {
	PARAM_VENDOR_ID = 0x00, PARAM_REVISION_ID = 0x02, PARAM_NODE_COUNT = 0x04, PARAM_FUNCTION_TYPE = 0x05,
	PARAM_GROUP_CAPS = 0x08, PARAM_WIDGET_CAPS = 0x09, PARAM_PCM = 0x0A, PARAM_STREAM_FORMATS = 0x0B,
	PARAM_PIN_CAPS = 0x0C, PARAM_AMP_IN_CAPS = 0x0D, PARAM_CONNECTIONS = 0x0E, PARAM_POWER_STATES = 0x0F,
	PARAM_AMP_OUT_CAPS = 0x12,
};

/* Widget capabilities (section 7.3.4.6) */
#define WIDGET_STEREO (1u << 0)
#define WIDGET_AMP_IN (1u << 1)
#define WIDGET_AMP_OUT (1u << 2)
#define WIDGET_AMP_OVERRIDE (1u << 3)
#define WIDGET_FORMAT_OVERRIDE (1u << 4)
#define WIDGET_CONNECTIONS (1u << 8)
#define WIDGET_POWER (1u << 10)
#define WIDGET_TYPE(type) ((uint32_t)(type) << 20)

#define TYPE_OUTPUT 0
#define TYPE_INPUT 1
#define TYPE_PIN 4

/* 32, 24, 20 and 16 bits; 8 to 192 kHz (section 7.3.4.7) */
#define PCM_SIZES_AND_RATES 0x001E07FF
#define STREAM_FORMAT_PCM 1
/* Mute, and 88 steps of 0.75 dB, of which the highest is 0 dB (section 7.3.4.10) */
#define AMP_STEPS 0x57
#define AMP_CAPS (1u << 31 | 2u << 16 | AMP_STEPS << 8 | AMP_STEPS)
#define AMP_MUTE 0x80
#define AMP_GAIN 0x7F
#define DECIBELS_A_STEP 0.75
#define POWER_STATES 0x0F /* D0-D3 */

#define PIN_IN_ENABLE (1u << 5)
#define PIN_OUT_ENABLE (1u << 6)

#define FORMAT_48_KHZ_STEREO_16 0x0011

struct parameter {
	uint8_t id;
	uint32_t value;
};

struct node {
	struct parameter parameters[8];
	uint8_t source;         /* the only entry of its connection list; 0: it has none */
	uint8_t pin_enable;     /* bits of the pin control that exist */
	bool converter, amplifier, power;
	uint32_t configuration; /* pins: where the jack is and what for (section 7.3.3.31) */
};

static const struct node nodes[HDA_CODEC_NODES] = {
	[ROOT] = { .parameters = {
		{ PARAM_VENDOR_ID, CODEC_ID }, { PARAM_REVISION_ID, 0x00100101 },
		{ PARAM_NODE_COUNT, FUNCTION_GROUP << 16 | 1 },
	} },
	[FUNCTION_GROUP] = { .power = true, .parameters = {
		{ PARAM_NODE_COUNT, DAC << 16 | 4 }, { PARAM_FUNCTION_TYPE, 1 }, { PARAM_GROUP_CAPS, 0x808 },
		{ PARAM_PCM, PCM_SIZES_AND_RATES }, { PARAM_STREAM_FORMATS, STREAM_FORMAT_PCM },
		{ PARAM_AMP_IN_CAPS, AMP_CAPS }, { PARAM_AMP_OUT_CAPS, AMP_CAPS }, { PARAM_POWER_STATES, POWER_STATES },
	} },
	[DAC] = { .converter = true, .amplifier = true, .power = true, .parameters = {
		{ PARAM_WIDGET_CAPS, WIDGET_TYPE(TYPE_OUTPUT) | WIDGET_STEREO | WIDGET_AMP_OUT | WIDGET_AMP_OVERRIDE |
		  WIDGET_FORMAT_OVERRIDE | WIDGET_POWER },
		{ PARAM_PCM, PCM_SIZES_AND_RATES }, { PARAM_STREAM_FORMATS, STREAM_FORMAT_PCM },
		{ PARAM_AMP_OUT_CAPS, AMP_CAPS }, { PARAM_POWER_STATES, POWER_STATES },
	} },
	/* Green 1/8" line-out jack on the back; cannot tell whether something is plugged in. */
	[LINE_OUT] = { .source = DAC, .pin_enable = PIN_OUT_ENABLE, .configuration = 0x01014110, .parameters = {
		{ PARAM_WIDGET_CAPS, WIDGET_TYPE(TYPE_PIN) | WIDGET_STEREO | WIDGET_CONNECTIONS },
		{ PARAM_PIN_CAPS, 1u << 4 }, { PARAM_CONNECTIONS, 1 },
	} },
	[ADC] = { .converter = true, .amplifier = true, .power = true, .source = LINE_IN, .parameters = {
		{ PARAM_WIDGET_CAPS, WIDGET_TYPE(TYPE_INPUT) | WIDGET_STEREO | WIDGET_AMP_IN | WIDGET_AMP_OVERRIDE |
		  WIDGET_FORMAT_OVERRIDE | WIDGET_CONNECTIONS | WIDGET_POWER },
		{ PARAM_PCM, PCM_SIZES_AND_RATES }, { PARAM_STREAM_FORMATS, STREAM_FORMAT_PCM },
		{ PARAM_AMP_IN_CAPS, AMP_CAPS }, { PARAM_CONNECTIONS, 1 }, { PARAM_POWER_STATES, POWER_STATES },
	} },
	/* Blue 1/8" line-in jack on the back. */
	[LINE_IN] = { .pin_enable = PIN_IN_ENABLE, .configuration = 0x01813120, .parameters = {
		{ PARAM_WIDGET_CAPS, WIDGET_TYPE(TYPE_PIN) | WIDGET_STEREO }, { PARAM_PIN_CAPS, 1u << 5 },
	} },
};

/* Section 7.3.6: what a function group reset does not touch are the configuration defaults and the subsystem. */
static void reset_function_group(struct hda_codec *codec)
{
	for (unsigned i = 0; i < HDA_CODEC_NODES; i++) {
		struct hda_node_state *state = &codec->nodes[i];

		*state = (struct hda_node_state){ .configuration = state->configuration };
		if (nodes[i].converter)
			state->format = FORMAT_48_KHZ_STEREO_16;
		if (nodes[i].amplifier)
			memset(state->amplifier, AMP_STEPS, sizeof state->amplifier);
		state->pin_control = nodes[i].pin_enable;
	}
}

void hda_codec_reset(struct hda_codec *codec)
{
	reset_function_group(codec);
	for (unsigned i = 0; i < HDA_CODEC_NODES; i++)
		codec->nodes[i].configuration = nodes[i].configuration;
	codec->subsystem = CODEC_ID;
}

static uint32_t get_parameter(const struct node *node, uint8_t id)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(node->parameters); i++)
		if (node->parameters[i].id == id && node->parameters[i].value)
			return node->parameters[i].value;
	return 0;
}

/* A payload that names the amplifier that the node does not have reads 0. */
static bool right_amplifier(unsigned nid, bool output)
{
	return nodes[nid].amplifier && output == (nid == DAC);
}

static uint32_t get_amplifier(const struct hda_codec *codec, unsigned nid, uint16_t payload)
{
	if (!right_amplifier(nid, payload & 0x8000))
		return 0;
	return codec->nodes[nid].amplifier[payload & 0x2000 ? 0 : 1];
}

static void set_amplifier(struct hda_codec *codec, unsigned nid, uint16_t payload)
{
	uint8_t value = (payload & AMP_MUTE) | MIN(payload & AMP_GAIN, AMP_STEPS);

	if (!(payload & 0x8000 && right_amplifier(nid, true)) && !(payload & 0x4000 && right_amplifier(nid, false)))
		return;
	if (payload & 0x2000)
		codec->nodes[nid].amplifier[0] = value;
	if (payload & 0x1000)
		codec->nodes[nid].amplifier[1] = value;
}

static void set_byte(uint32_t *word, unsigned byte, uint8_t value)
{
	*word = (*word & ~(0xFFu << byte * 8)) | (uint32_t)value << byte * 8;
}

/* Verbs with 8 bits of payload (section 7.3.3); unknown ones read 0 and change nothing. */
static uint32_t short_verb(struct hda_codec *codec, unsigned nid, unsigned verb, uint8_t payload)
{
	const struct node *node = &nodes[nid];
	struct hda_node_state *state = &codec->nodes[nid];

	switch (verb) {
	case 0xF00:
		return get_parameter(node, payload);
	case 0xF02:
		return payload == 0 ? node->source : 0;
	case 0xF05:
		return node->power ? state->power | state->power << 4 : 0;
	case 0x705:
		state->power = node->power ? payload & 3 : 0;
		return 0;
	case 0xF06:
		return state->stream;
	case 0x706:
		state->stream = node->converter ? payload : 0;
		return 0;
	case 0xF07:
		return state->pin_control;
	case 0x707:
		state->pin_control = payload & node->pin_enable;
		return 0;
	case 0xF08:
		return state->unsolicited;
	case 0x708:
		state->unsolicited = nid == FUNCTION_GROUP ? payload & 0xBF : 0;
		return 0;
	case 0xF1C ... 0xF1F:
		return state->configuration;
	case 0x71C ... 0x71F:
		if (node->configuration)
			set_byte(&state->configuration, verb - 0x71C, payload);
		return 0;
	case 0xF20 ... 0xF23:
		return nid == FUNCTION_GROUP ? codec->subsystem : 0;
	case 0x720 ... 0x723:
		if (nid == FUNCTION_GROUP)
			set_byte(&codec->subsystem, verb - 0x720, payload);
		return 0;
	case 0x7FF:
		if (nid == FUNCTION_GROUP)
			reset_function_group(codec);
		return 0;
	default:
		return 0;
	}
}

static uint32_t run_verb(struct hda_codec *codec, unsigned nid, uint32_t verb)
{
	uint16_t payload = (uint16_t)verb;

	switch (verb >> 16) {
	case 0x2:
		if (nodes[nid].converter)
			codec->nodes[nid].format = payload;
		return 0;
	case 0xA:
		return codec->nodes[nid].format;
	case 0x3:
		set_amplifier(codec, nid, payload);
		return 0;
	case 0xB:
		return get_amplifier(codec, nid, payload);
	default:
		return short_verb(codec, nid, verb >> 8, (uint8_t)verb);
	}
}

bool hda_codec_command(struct hda_codec *codec, uint32_t command, uint32_t *response)
{
	struct hda_node_state before[HDA_CODEC_NODES];
	unsigned nid = command >> 20 & 0x7F;

	*response = 0;
	/* One codec, at address 0; bit 27 would make the node number an indirect one. */
	if (command >> 28)
		return false;
	if (command & 1u << 27 || nid >= HDA_CODEC_NODES)
		return true;
	memcpy(before, codec->nodes, sizeof before);
	*response = run_verb(codec, nid, command & 0xFFFFF);
	if (memcmp(before, codec->nodes, sizeof before) && codec->changed)
		codec->changed(codec->opaque);
	return true;
}

static int32_t gain(uint8_t amplifier)
{
	if (amplifier & AMP_MUTE)
		return 0;
	return (int32_t)lround(65536 * pow(10, ((amplifier & AMP_GAIN) - AMP_STEPS) * DECIBELS_A_STEP / 20));
}

void hda_codec_converter(const struct hda_codec *codec, bool input, struct hda_converter *converter)
{
	const struct hda_node_state *state = &codec->nodes[input ? ADC : DAC];
	const struct hda_node_state *pin = &codec->nodes[input ? LINE_IN : LINE_OUT];
	bool on = pin->pin_control && !state->power && !codec->nodes[FUNCTION_GROUP].power;

	converter->tag = state->stream >> 4;
	converter->channel = state->stream & 0xF;
	for (unsigned i = 0; i < 2; i++)
		converter->gain[i] = on ? gain(state->amplifier[i]) : 0;
}

static void check_node(struct state *state, unsigned nid, struct hda_node_state *loaded)
{
	bool fits = (loaded->pin_control & ~nodes[nid].pin_enable) == 0 && loaded->power <= 3;

	for (unsigned i = 0; i < 2; i++)
		fits &= (loaded->amplifier[i] & AMP_GAIN) <= AMP_STEPS;
	if (!fits)
		state_fail(state, "node %u of the sound codec has an impossible setting", nid);
}

void hda_codec_state(struct hda_codec *codec, struct state *state)
{
	state_u32(state, "codec_subsystem", &codec->subsystem);
	for (unsigned i = 0; i < HDA_CODEC_NODES; i++) {
		struct hda_node_state *node = &codec->nodes[i];
		struct hda_node_state loaded = *node;
		char name[32];

		#define FIELD(type, field) (g_snprintf(name, sizeof name, "codec_%u_" #field, i), \
					    state_##type(state, name, &loaded.field))
		g_snprintf(name, sizeof name, "codec_%u_amplifier", i);
		state_bytes(state, name, loaded.amplifier, sizeof loaded.amplifier);
		FIELD(u16, format);
		FIELD(u8, stream);
		FIELD(u8, pin_control);
		FIELD(u8, power);
		FIELD(u8, unsolicited);
		FIELD(u32, configuration);
		#undef FIELD
		check_node(state, i, &loaded);
		*node = loaded;
	}
}
