/*
 * XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR and XRSTORS (SDM volume 1, chapter 13) between guest memory and the
 * image that KVM gives and takes.
 */
#include <cpuid.h>
#include <glib.h>
#include <string.h>

#include "../vm.h"
#include "control_bits.h"
#include "processor.h"

#define IA32_XSS 0xDA0
#define COMPONENTS 63
#define FIRST_EXTENDED 2
#define COMPACTED (1ull << 63)
#define LEGACY_SIZE 512
#define HEADER_SIZE 64
#define EXTENDED_OFFSET (LEGACY_SIZE + HEADER_SIZE)
#define MXCSR_OFFSET 24
#define MXCSR_DEFAULT 0x1F80
#define X87_FIRST_SIZE 24 /* FCW to FDP */
#define X87_FIP 8
#define X87_FDP 16
#define ST_OFFSET 32
#define ST_SIZE 128
#define XMM_OFFSET 160
#define XMM_SIZE 256
#define AREA_MAX (4 * MEMORY_PAGE)

struct header {
	uint64_t xstate_bv;
	uint64_t xcomp_bv;
	uint64_t reserved[6];
};

struct component {
	unsigned size;
	unsigned offset; /* standard format */
	bool aligned;    /* to 64 bytes in the compacted format */
};

static struct component component(unsigned number)
{
	unsigned eax, ebx, ecx, edx;

	__cpuid_count(0xD, number, eax, ebx, ecx, edx);
	return (struct component){ .size = eax, .offset = ebx, .aligned = ecx & 2 };
}

unsigned xsave_component_offset(unsigned number)
{
	return component(number).offset;
}

/* Where a component lies in an area; compacted ones follow each other (13.4.3). */
static unsigned place(uint64_t xcomp_bv, unsigned number)
{
	unsigned offset = EXTENDED_OFFSET;

	if (!(xcomp_bv & COMPACTED))
		return component(number).offset;
	for (unsigned i = FIRST_EXTENDED; i <= number; i++) {
		struct component which = component(i);

		if (!(xcomp_bv >> i & 1))
			continue;
		if (which.aligned)
			offset = (offset + 63) & ~63u;
		if (i == number)
			break;
		offset += which.size;
	}
	return offset;
}

static unsigned area_size(uint64_t xcomp_bv, uint64_t components)
{
	unsigned end = EXTENDED_OFFSET;

	for (unsigned i = FIRST_EXTENDED; i < COMPONENTS; i++) {
		if (components >> i & 1)
			end = MAX(end, place(xcomp_bv, i) + component(i).size);
	}
	return end;
}

/* Without REX.W instruction and data pointers are 32 bits and a selector, which 64-bit CPUs keep as zero. */
static void copy_x87(uint8_t *to, const uint8_t *from, bool wide)
{
	memcpy(to, from, X87_FIRST_SIZE);
	if (!wide) {
		memset(to + X87_FIP + 4, 0, 4);
		memset(to + X87_FDP + 4, 0, 4);
	}
	memcpy(to + ST_OFFSET, from + ST_OFFSET, ST_SIZE);
}

static void copy_component(uint8_t *to, uint64_t to_bv, const uint8_t *from, uint64_t from_bv, unsigned number)
{
	memcpy(to + place(to_bv, number), from + place(from_bv, number), component(number).size);
}

static struct header *image_header(struct processor *processor)
{
	return (struct header *)(native_image(processor->native) + LEGACY_SIZE);
}

static uint32_t image_mxcsr(struct processor *processor)
{
	uint32_t mxcsr;

	memcpy(&mxcsr, native_image(processor->native) + MXCSR_OFFSET, sizeof mxcsr);
	return mxcsr;
}

/* Which of the components that were asked for are there to be written, and how they are laid out. */
struct save {
	uint64_t requested; /* RFBM */
	uint64_t written;
	uint64_t xcomp_bv;
	bool wide;
};

static void fill_area(struct processor *processor, const struct save *save, uint8_t *area)
{
	const uint8_t *image = native_image(processor->native);
	struct header *header = (struct header *)(area + LEGACY_SIZE);
	uint64_t in_use = image_header(processor)->xstate_bv;

	if (save->written & XCR0_X87)
		copy_x87(area, image, save->wide);
	if (save->written & XCR0_SSE)
		memcpy(area + XMM_OFFSET, image + XMM_OFFSET, XMM_SIZE);
	/* MXCSR belongs to both components in the standard format, to SSE in the compacted one (13.7, 13.10). */
	if (save->written & (save->xcomp_bv ? XCR0_SSE : XCR0_SSE | XCR0_AVX))
		memcpy(area + MXCSR_OFFSET, image + MXCSR_OFFSET, 8);
	for (unsigned i = FIRST_EXTENDED; i < COMPONENTS; i++) {
		struct component which = component(i);

		if (!(save->written >> i & 1))
			continue;
		if (in_use >> i & 1)
			copy_component(area, save->xcomp_bv, image, 0, i);
		else
			memset(area + place(save->xcomp_bv, i), 0, which.size);
	}
	if (save->xcomp_bv) {
		header->xstate_bv = save->written;
		header->xcomp_bv = save->xcomp_bv;
	} else {
		header->xstate_bv = (header->xstate_bv & ~save->requested) | (in_use & save->requested);
	}
}

static enum outcome save_state(struct processor *processor, uint64_t linear, uint64_t requested,
			       enum system_operation operation, bool wide)
{
	struct save save = { .requested = requested, .wide = wide };
	uint64_t in_use = image_header(processor)->xstate_bv;
	bool compact = operation == SYSTEM_XSAVEC || operation == SYSTEM_XSAVES;
	g_autofree uint8_t *area = NULL;
	unsigned size;
	enum outcome outcome;

	if (compact && image_mxcsr(processor) != MXCSR_DEFAULT)
		in_use |= XCR0_SSE;
	save.xcomp_bv = compact ? COMPACTED | requested : 0;
	save.written = operation == SYSTEM_XSAVE ? requested : requested & in_use;
	size = area_size(save.xcomp_bv, save.written);
	if (size > AREA_MAX)
		return refuse(processor, "its XSAVE area is too long");
	area = g_malloc(size);
	outcome = linear_read(processor, linear, area, size);
	if (outcome != OUTCOME_DONE)
		return outcome;
	fill_area(processor, &save, area);
	return linear_write(processor, linear, area, size);
}

/* 13.8.1, 13.8.2 and 13.12: what the header may say. */
static bool header_valid(const struct header *header, uint64_t enabled, bool supervisor)
{
	uint64_t reserved = 0;

	for (unsigned i = 0; i < G_N_ELEMENTS(header->reserved); i++) {
		/* The standard format has only the first of these reserved. */
		if (i == 0 || header->xcomp_bv & COMPACTED)
			reserved |= header->reserved[i];
	}
	if (reserved)
		return false;
	if (header->xcomp_bv & COMPACTED)
		return !(header->xcomp_bv & ~COMPACTED & ~enabled) && !(header->xstate_bv & ~header->xcomp_bv);
	return !supervisor && !header->xcomp_bv && !(header->xstate_bv & ~enabled);
}

static void load_legacy(uint8_t *image, const uint8_t *area, uint64_t requested, uint64_t present, bool wide)
{
	uint16_t fcw = 0x037F;

	if (requested & XCR0_X87) {
		if (present & XCR0_X87) {
			copy_x87(image, area, wide);
		} else {
			memset(image, 0, X87_FIRST_SIZE);
			memset(image + ST_OFFSET, 0, ST_SIZE);
			memcpy(image, &fcw, sizeof fcw);
		}
	}
	if (requested & XCR0_SSE) {
		if (present & XCR0_SSE)
			memcpy(image + XMM_OFFSET, area + XMM_OFFSET, XMM_SIZE);
		else
			memset(image + XMM_OFFSET, 0, XMM_SIZE);
	}
}

/* False: reserved bits are set. The standard format's MXCSR counts even where SSE is in its initial state. */
static bool load_mxcsr(uint8_t *image, const uint8_t *area, const struct header *header, uint64_t requested)
{
	bool compact = header->xcomp_bv & COMPACTED;
	uint32_t mxcsr = MXCSR_DEFAULT, mask;

	if (!(requested & (compact ? XCR0_SSE : XCR0_SSE | XCR0_AVX)))
		return true;
	if (!compact || header->xstate_bv & XCR0_SSE)
		memcpy(&mxcsr, area + MXCSR_OFFSET, sizeof mxcsr);
	memcpy(&mask, image + MXCSR_OFFSET + 4, sizeof mask);
	if (mxcsr & ~(mask ? mask : 0xFFBF))
		return false;
	memcpy(image + MXCSR_OFFSET, &mxcsr, sizeof mxcsr);
	return true;
}

static void load_components(struct processor *processor, const uint8_t *area, const struct header *header,
			    uint64_t requested, bool wide)
{
	uint8_t *image = native_image(processor->native);
	uint64_t present = header->xstate_bv & requested;
	struct header *to = image_header(processor);

	load_legacy(image, area, requested, present, wide);
	for (unsigned i = FIRST_EXTENDED; i < COMPONENTS; i++) {
		if (present >> i & 1)
			copy_component(image, 0, area, header->xcomp_bv, i);
		else if (requested >> i & 1)
			memset(image + place(0, i), 0, component(i).size);
	}
	to->xstate_bv = (to->xstate_bv & ~requested) | present;
	if (image_mxcsr(processor) != MXCSR_DEFAULT)
		to->xstate_bv |= XCR0_SSE;
	processor->fpu_changed = true;
}

static enum outcome restore_state(struct processor *processor, uint64_t linear, uint64_t requested, bool supervisor,
				  bool wide)
{
	g_autofree uint8_t *area = g_malloc0(AREA_MAX);
	struct header *header = (struct header *)(area + LEGACY_SIZE);
	enum outcome outcome = linear_read(processor, linear, area, EXTENDED_OFFSET);
	struct header checked;
	unsigned size;

	if (outcome != OUTCOME_DONE)
		return outcome;
	checked = *header;
	if (!header_valid(&checked, processor->xcr0, supervisor))
		return raise_error(processor, VECTOR_GP, 0);
	size = area_size(checked.xcomp_bv, checked.xstate_bv & requested);
	if (size > AREA_MAX)
		return refuse(processor, "its XSAVE area is too long");
	if (size > EXTENDED_OFFSET)
		outcome = linear_read(processor, linear + EXTENDED_OFFSET, area + EXTENDED_OFFSET,
				      size - EXTENDED_OFFSET);
	if (outcome != OUTCOME_DONE)
		return outcome;
	if (!load_mxcsr(native_image(processor->native), area, &checked, requested))
		return raise_error(processor, VECTOR_GP, 0);
	load_components(processor, area, &checked, requested, wide);
	return OUTCOME_DONE;
}

static enum outcome check(struct processor *processor, const struct instruction *instruction, bool supervisor)
{
	if (!(processor->sregs.cr4 & CR4_OSXSAVE) || instruction->lock)
		return raise_exception(processor, VECTOR_UD);
	if (processor->sregs.cr0 & CR0_TS)
		return raise_exception(processor, VECTOR_NM);
	if (supervisor && processor->user)
		return raise_error(processor, VECTOR_GP, 0);
	return processor_need_xcr0(processor) && processor_need_fpu(processor) ? OUTCOME_DONE : OUTCOME_REFUSED;
}

enum outcome xsave_execute(struct processor *processor, const struct instruction *instruction,
			   const struct operation *operation)
{
	bool supervisor = operation->system == SYSTEM_XSAVES || operation->system == SYSTEM_XRSTORS;
	bool restore = operation->system == SYSTEM_XRSTOR || operation->system == SYSTEM_XRSTORS;
	bool wide = instruction->rex & REX_W;
	uint64_t asked, requested, linear, xss = 0;
	enum outcome outcome = check(processor, instruction, supervisor);

	if (outcome != OUTCOME_DONE)
		return outcome;
	asked = (processor->regs.rdx << 32) | (uint32_t)processor->regs.rax;
	requested = asked & processor->xcr0;
	if (supervisor && !processor_get_msr(processor, IA32_XSS, &xss))
		return OUTCOME_REFUSED;
	if (xss & asked)
		return refuse(processor, "supervisor state components are not supported");
	outcome = operand_linear(processor, instruction->memory.segment,
				 operand_effective(processor, instruction, operation), EXTENDED_OFFSET, !restore,
				 &linear);
	if (outcome != OUTCOME_DONE)
		return outcome;
	if (linear % 64)
		return raise_error(processor, VECTOR_GP, 0);
	if (restore)
		return restore_state(processor, linear, requested, supervisor, wide);
	return save_state(processor, linear, requested, operation->system, wide);
}
