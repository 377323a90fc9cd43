#include "emulation.h"

#include <glib.h>
#include <linux/kvm.h>
#include <string.h>

#include "../kvm.h"
#include "../vcpu.h"
#include "../vm.h"

#define CODE_SHOWN 16
#define STACK_SHOWN 32

static void add_registers(GString *text, const struct kvm_regs *r)
{
	const struct { const char *name; uint64_t value; } registers[] = {
		{ "rax", r->rax }, { "rbx", r->rbx }, { "rcx", r->rcx }, { "rdx", r->rdx },
		{ "rsi", r->rsi }, { "rdi", r->rdi }, { "rbp", r->rbp }, { "rsp", r->rsp },
		{ "r8 ", r->r8 }, { "r9 ", r->r9 }, { "r10", r->r10 }, { "r11", r->r11 },
		{ "r12", r->r12 }, { "r13", r->r13 }, { "r14", r->r14 }, { "r15", r->r15 },
		{ "rip", r->rip }, { "rflags", r->rflags },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(registers); i++)
		g_string_append_printf(text, "%s %016" G_GINT64_MODIFIER "x%s", registers[i].name, registers[i].value,
				       i % 4 == 3 ? "\n" : "  ");
	g_string_append_c(text, '\n');
}

static void add_segments(GString *text, const struct kvm_sregs *s)
{
	const struct { const char *name; const struct kvm_segment *segment; } segments[] = {
		{ "cs", &s->cs }, { "ss", &s->ss }, { "ds", &s->ds }, { "es", &s->es },
		{ "fs", &s->fs }, { "gs", &s->gs }, { "tr", &s->tr }, { "ldt", &s->ldt },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(segments); i++)
		g_string_append_printf(text, "%-3s %04x base %016" G_GINT64_MODIFIER "x limit %08x type %x dpl %u l %u "
				       "db %u\n", segments[i].name, segments[i].segment->selector,
				       (uint64_t)segments[i].segment->base, segments[i].segment->limit,
				       segments[i].segment->type, segments[i].segment->dpl, segments[i].segment->l,
				       segments[i].segment->db);
	g_string_append_printf(text, "gdt base %016" G_GINT64_MODIFIER "x limit %04x  idt base %016" G_GINT64_MODIFIER
			       "x limit %04x\n", (uint64_t)s->gdt.base, s->gdt.limit, (uint64_t)s->idt.base,
			       s->idt.limit);
	g_string_append_printf(text, "cr0 %08" G_GINT64_MODIFIER "x  cr2 %016" G_GINT64_MODIFIER "x  cr3 %016"
			       G_GINT64_MODIFIER "x  cr4 %08" G_GINT64_MODIFIER "x  efer %" G_GINT64_MODIFIER "x\n",
			       (uint64_t)s->cr0, (uint64_t)s->cr2, (uint64_t)s->cr3, (uint64_t)s->cr4,
			       (uint64_t)s->efer);
}

static void add_bytes(GString *text, struct vcpu *vcpu, const char *name, uint64_t linear, uint64_t most)
{
	struct kvm_translation translation = { .linear_address = linear };
	const uint8_t *bytes;
	uint64_t length = MIN(most, MEMORY_PAGE - linear % MEMORY_PAGE);

	g_string_append(text, name);
	if (kvm_ioctl(vcpu->fd, KVM_TRANSLATE, &translation) < 0 || !translation.valid ||
	    !(bytes = memory_ptr(&vcpu->vm->memory, translation.physical_address, length))) {
		g_string_append(text, " (not in RAM)\n");
		return;
	}
	for (uint64_t i = 0; i < length; i++)
		g_string_append_printf(text, " %02x", bytes[i]);
	g_string_append_c(text, '\n');
}

char *emulation_report(struct vcpu *vcpu, const char *what)
{
	GString *text = g_string_new(NULL);
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	uint64_t sp;

	g_string_append_printf(text, "%s (CPU %u)\n", what, vcpu->index);
	if (kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 || kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
		g_string_append(text, "registers cannot be read\n");
		return g_string_free(text, FALSE);
	}
	add_registers(text, &regs);
	add_segments(text, &sregs);
	add_bytes(text, vcpu, "code", sregs.cs.base + regs.rip, CODE_SHOWN);
	/* A stack of 16 bits leaves the upper part of RSP out; in 64-bit mode there is neither that nor a base. */
	sp = sregs.cs.l || sregs.ss.db ? regs.rsp : (uint16_t)regs.rsp;
	add_bytes(text, vcpu, "stack", (sregs.cs.l ? 0 : sregs.ss.base) + sp, STACK_SHOWN);
	return g_string_free(text, FALSE);
}
