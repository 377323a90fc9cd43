/*
 * The guest's memory as an instruction sees it: segments, linear addresses, pages, RAM and devices.
 */
#include <string.h>

#include "../vm.h"
#include "control_bits.h"
#include "processor.h"

/* What PAM shows the CPU below 1 MiB need not be RAM, so only the slots know. */
#define SHADOW_START 0xC0000ull
#define SHADOW_END 0x100000ull
#define SEGMENT_TYPE_CODE 8
#define SEGMENT_TYPE_DOWN 4
#define SEGMENT_TYPE_WRITABLE 2

static bool canonical(const struct processor *processor, uint64_t linear)
{
	unsigned shift = processor->sregs.cr4 & CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(linear << shift) >> shift) == linear;
}

static enum outcome segment_fault(struct processor *processor, enum segment segment)
{
	return raise_error(processor, segment == SEGMENT_SS ? VECTOR_SS : VECTOR_GP, 0);
}

/* SDM volume 3, 5.3: limit and type; limit counts bytes, as KVM gives it. */
static bool segment_allows(const struct processor *processor, const struct kvm_segment *segment, uint64_t effective,
			   unsigned size, bool write)
{
	uint64_t last = effective + size - 1, top = segment->db ? 0xFFFFFFFF : 0xFFFF;

	if (processor->sregs.cr0 & CR0_PE && !(processor->regs.rflags & RFLAGS_VM)) {
		bool code = segment->type & SEGMENT_TYPE_CODE, readable = !code || segment->type & 2;

		if (segment->unusable || !segment->present)
			return false;
		if (write ? code || !(segment->type & SEGMENT_TYPE_WRITABLE) : !readable)
			return false;
		if (!code && segment->type & SEGMENT_TYPE_DOWN)
			return effective > segment->limit && last <= top;
	}
	return last <= segment->limit;
}

enum outcome operand_linear(struct processor *processor, enum segment segment, uint64_t effective, unsigned size,
			    bool write, uint64_t *linear)
{
	const struct kvm_segment *descriptor = processor_segment(processor, segment);

	if (size == 0)
		size = 1;
	if (processor->bits == 64) {
		*linear = effective + (segment >= SEGMENT_FS ? descriptor->base : 0);
		if (!canonical(processor, *linear) || !canonical(processor, *linear + size - 1))
			return segment_fault(processor, segment);
		return OUTCOME_DONE;
	}
	if (!segment_allows(processor, descriptor, effective, size, write))
		return segment_fault(processor, segment);
	*linear = (uint32_t)(effective + descriptor->base);
	return OUTCOME_DONE;
}

uint64_t operand_effective(struct processor *processor, const struct instruction *instruction,
			   const struct operation *operation)
{
	static const uint64_t masks[] = { [2] = 0xFFFF, [4] = 0xFFFFFFFF, [8] = UINT64_MAX };
	const struct memory_operand *memory = &instruction->memory;
	uint64_t effective = (uint64_t)memory->displacement;

	if (memory->compressed)
		effective *= operation->element;
	if (memory->base == REGISTER_RIP)
		effective += processor->regs.rip + instruction->length;
	else if (memory->base != REGISTER_NONE)
		effective += *processor_register(&processor->regs, memory->base);
	if (memory->index != REGISTER_NONE)
		effective += *processor_register(&processor->regs, memory->index) * memory->scale;
	return effective & masks[instruction->address_size];
}

struct memory_slot *physical_slot(struct vm *vm, uint64_t gpa, size_t size)
{
	for (unsigned i = 0; i < MEMORY_SLOTS; i++) {
		struct memory_slot *slot = &vm->memory.slots[i];

		if (slot->size && gpa >= slot->gpa && gpa - slot->gpa <= slot->size - size)
			return slot;
	}
	return NULL;
}

void *physical_ram(struct vm *vm, uint64_t gpa, size_t size)
{
	if (gpa < SHADOW_END && gpa + size > SHADOW_START)
		return NULL;
	return memory_ptr(&vm->memory, gpa, size);
}

/* Devices see pieces of 8, 4, 2 and 1 bytes, from the operand's start, as KVM's own emulator cuts them. */
static unsigned piece(size_t left)
{
	return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

static void bus_read_pieces(struct vm *vm, uint64_t gpa, uint8_t *buffer, size_t size)
{
	while (size) {
		unsigned length = piece(size);
		uint64_t value = bus_read(&vm->mmio, gpa, length);

		memcpy(buffer, &value, length);
		gpa += length;
		buffer += length;
		size -= length;
	}
}

static void bus_write_pieces(struct vm *vm, uint64_t gpa, const uint8_t *buffer, size_t size)
{
	while (size) {
		unsigned length = piece(size);
		uint64_t value = 0;

		memcpy(&value, buffer, length);
		bus_write(&vm->mmio, gpa, length, value);
		gpa += length;
		buffer += length;
		size -= length;
	}
}

void physical_read(struct vm *vm, uint64_t gpa, void *buffer, size_t size)
{
	const void *ram = physical_ram(vm, gpa, size);
	const struct memory_slot *slot;

	if (ram) {
		memcpy(buffer, ram, size);
		return;
	}
	g_mutex_lock(&vm->lock);
	slot = physical_slot(vm, gpa, size);
	if (slot) {
		memcpy(buffer, slot->host + (gpa - slot->gpa), size);
	} else {
		vm->hv->ops->drain(vm->hv);
		bus_read_pieces(vm, gpa, buffer, size);
	}
	g_mutex_unlock(&vm->lock);
}

void physical_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t size)
{
	void *ram = physical_ram(vm, gpa, size);
	struct memory_slot *slot;

	if (ram) {
		memcpy(ram, buffer, size);
		return;
	}
	g_mutex_lock(&vm->lock);
	slot = physical_slot(vm, gpa, size);
	if (slot && !(slot->flags & MEMORY_READONLY)) {
		memcpy(slot->host + (gpa - slot->gpa), buffer, size);
		memory_mark_dirty(&vm->memory, slot, gpa - slot->gpa, size);
	} else {
		vm->hv->ops->drain(vm->hv);
		bus_write_pieces(vm, gpa, buffer, size);
	}
	g_mutex_unlock(&vm->lock);
}

/* Longest access by linear address: an XSAVE area. */
#define MAX_PAGES 6

struct span {
	uint64_t gpa;
	size_t offset; /* in the buffer */
	size_t size;
};

/* Translates all pages of an access before any of it is done; count 0: raised or refused. */
static unsigned translate(struct processor *processor, const struct paging *paging, uint64_t linear, size_t size,
			  enum walk_access access, struct span spans[MAX_PAGES])
{
	unsigned count = 0;
	uint32_t error;

	for (size_t done = 0; done < size; count++) {
		size_t left = MEMORY_PAGE - (linear + done) % MEMORY_PAGE;

		if (count == MAX_PAGES) {
			refuse(processor, "the operand is too long");
			return 0;
		}
		spans[count].offset = done;
		spans[count].size = MIN(left, size - done);
		if (!walk(processor->vm, paging, linear + done, access, &spans[count].gpa, &error)) {
			raise_page_fault(processor, linear + done, error);
			return 0;
		}
		done += spans[count].size;
	}
	return count;
}

static enum outcome failed(const struct processor *processor)
{
	return processor->refusal ? OUTCOME_REFUSED : OUTCOME_EXCEPTION;
}

static enum outcome read_spans(struct processor *processor, bool implicit, uint64_t linear, uint8_t *buffer,
			       size_t size)
{
	struct span spans[MAX_PAGES];
	struct paging paging;
	unsigned count;

	if (!processor_paging(processor, implicit, &paging))
		return OUTCOME_REFUSED;
	count = translate(processor, &paging, linear, size, WALK_READ, spans);
	for (unsigned i = 0; i < count; i++)
		physical_read(processor->vm, spans[i].gpa, buffer + spans[i].offset, spans[i].size);
	return count ? OUTCOME_DONE : failed(processor);
}

enum outcome linear_read(struct processor *processor, uint64_t linear, void *buffer, size_t size)
{
	return read_spans(processor, false, linear, buffer, size);
}

enum outcome linear_read_implicit(struct processor *processor, uint64_t linear, void *buffer, size_t size)
{
	return read_spans(processor, true, linear, buffer, size);
}

enum outcome linear_write(struct processor *processor, uint64_t linear, const void *buffer, size_t size)
{
	struct span spans[MAX_PAGES];
	struct paging paging;
	unsigned count;

	if (!processor_paging(processor, false, &paging))
		return OUTCOME_REFUSED;
	count = translate(processor, &paging, linear, size, WALK_WRITE, spans);
	for (unsigned i = 0; i < count; i++)
		physical_write(processor->vm, spans[i].gpa, (const uint8_t *)buffer + spans[i].offset, spans[i].size);
	return count ? OUTCOME_DONE : failed(processor);
}
