/*
 * What the files of the HDA controller share. "Section" in them means one of the High Definition Audio Specification,
 * revision 1.0a. Everything is called with vm->lock.
 */
#pragma once

#include <glib.h>
#include <string.h>

#include "../vmm/log.h"
#include "../vmm/pci/pci.h"
#include "../vmm/state.h"
#include "../vmm/vm.h"
#include "backend.h"
#include "hda.h"
#include "hda_codec.h"

/* Section 3.3 */
enum hda_register {
	GCAP = 0x00, VMIN = 0x02, VMAJ = 0x03, OUTPAY = 0x04, INPAY = 0x06, GCTL = 0x08, WAKEEN = 0x0C,
	STATESTS = 0x0E, GSTS = 0x10, OUTSTRMPAY = 0x18, INSTRMPAY = 0x1A, INTCTL = 0x20, INTSTS = 0x24, WALCLK = 0x30,
	ICH_SSYNC = 0x34, SSYNC = 0x38, CORBLBASE = 0x40, CORBUBASE = 0x44, CORBWP = 0x48, CORBRP = 0x4A,
	CORBCTL = 0x4C, CORBSTS = 0x4D, CORBSIZE = 0x4E, RIRBLBASE = 0x50, RIRBUBASE = 0x54, RIRBWP = 0x58,
	RINTCNT = 0x5A, RIRBCTL = 0x5C, RIRBSTS = 0x5D, RIRBSIZE = 0x5E, ICOI = 0x60, ICII = 0x64, ICIS = 0x68,
	DPLBASE = 0x70, DPUBASE = 0x74, SD_BASE = 0x80,
};

/* Of a stream descriptor */
enum hda_sd_register {
	SD_CTL = 0x00, SD_STS = 0x03, SD_LPIB = 0x04, SD_CBL = 0x08, SD_LVI = 0x0C, SD_FIFOW = 0x0E, SD_FIFOS = 0x10,
	SD_FMT = 0x12, SD_BDPL = 0x18, SD_BDPU = 0x1C,
};

#define HDA_INPUTS 4
#define HDA_OUTPUTS 4
#define HDA_STREAMS (HDA_INPUTS + HDA_OUTPUTS)
#define SD_SIZE 0x20
#define HDA_REGISTERS (SD_BASE + HDA_STREAMS * SD_SIZE)

#define GCTL_CRST (1u << 0)

#define INTCTL_CIE (1u << 30)
#define INTCTL_GIE (1u << 31)

#define CORBRP_RST 0x8000
#define CORBCTL_MEIE (1u << 0)
#define CORBCTL_RUN (1u << 1)
#define CORBSTS_MEI (1u << 0)
#define RIRBWP_RST 0x8000
#define RIRBCTL_RINTCTL (1u << 0)
#define RIRBCTL_DMAEN (1u << 1)
#define RIRBCTL_OIC (1u << 2)
#define RIRBSTS_RINTFL (1u << 0)
#define RIRBSTS_OIS (1u << 2)
#define ICIS_ICB (1u << 0)
#define ICIS_IRV (1u << 1)

#define SD_CTL_SRST (1u << 0)
#define SD_CTL_RUN (1u << 1)
#define SD_CTL_IOCE (1u << 2)
#define SD_CTL_FEIE (1u << 3)
#define SD_CTL_DEIE (1u << 4)
#define SD_STS_BCIS (1u << 2)
#define SD_STS_FIFOE (1u << 3)
#define SD_STS_DESE (1u << 4)
#define SD_STS_FIFORDY (1u << 5)

/* Section 3.7.1 */
struct hda_format {
	uint32_t rate;
	uint32_t channels;
	uint32_t sample_size; /* bytes in memory */
	bool playable;        /* by the codec */
};

struct hda_sd {
	struct hda *hda;
	unsigned index;
	uint8_t *registers;        /* of hda->registers */
	bool active;               /* moves sound */
	struct hda_format format;
	struct audio_pace pace;
	/* The buffer descriptor at work (section 3.6.3) */
	bool fetched;
	uint32_t entry;            /* index in the list */
	uint32_t position;         /* within the buffer */
	uint64_t address;
	uint32_t length;
	bool interrupt_on_completion;
};

/* A converter of the codec with the host's end of it. */
struct hda_line {
	struct audio_stream stream;
	struct hda_sd *sd;         /* whose sound it is; NULL: nobody's */
	bool started;              /* the backend has the stream */
	bool primed;               /* input: enough has been recorded to begin with */
};

struct hda {
	struct pci_device pci;
	struct audio_backend *backend;
	struct hda_codec codec;
	bool microphone;
	uint8_t registers[HDA_REGISTERS];
	uint32_t responses;        /* since the last response interrupt */
	uint64_t wall_base;        /* guest time at which the wall clock was zero */
	struct hda_sd streams[HDA_STREAMS]; /* inputs first */
	struct hda_line lines[2];  /* out, in */
	struct timer timer;
	uint32_t raised;           /* enabled interrupt sources, as last told to PCI */
	struct log_limit log;
};

static inline uint16_t hda_get16(const struct hda *hda, unsigned offset) { return pci_get16(hda->registers + offset); }
static inline uint32_t hda_get32(const struct hda *hda, unsigned offset) { return pci_get32(hda->registers + offset); }

static inline uint64_t hda_get_address(const uint8_t *low)
{
	return pci_get32(low) | (uint64_t)pci_get32(low + 4) << 32;
}

/* hda.c */
void hda_sd_reset_registers(struct hda_sd *sd);
void hda_update_interrupt(struct hda *hda);

/* hda_command.c: CORB, RIRB, immediate commands */
/* Carries out commands that wait in the CORB. */
void hda_corb_run(struct hda *hda);
void hda_immediate_command(struct hda *hda);

/* hda_stream.c: stream descriptors, sound in and out */
void hda_streams_init(struct hda *hda);
/* Power-on or controller reset, stops everything; registers have been reset. */
void hda_streams_reset(struct hda *hda);
/* After the controls of a stream, SSYNC or the bus master bit changed. */
void hda_streams_changed(struct hda *hda);
/* After the codec's converters, or what they may be connected to, changed: the I/O thread looks at them soon. */
void hda_lines_changed(struct hda *hda);
/* The guest wrote to the stream's registers from offset on. */
void hda_sd_written(struct hda_sd *sd, unsigned offset);
/* Moves what is due, so that positions are exact. */
void hda_streams_run(struct hda *hda);
/* Takes the streams from the backend. */
void hda_streams_stop(struct hda *hda);
void hda_streams_state(struct hda *hda, struct state *state);
