#include "judge.h"

#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

/* Read and written by the code below. */
struct judge {
	uint64_t gpr[16]; /* 0: as struct kvm_regs orders them */
	uint64_t flags;   /* 128 */
	uint64_t host_rsp; /* 136 */
	uint64_t code;    /* 144 */
	uint32_t mask[2]; /* 152 */
	uint32_t mxcsr;   /* 160 */
	uint32_t fcw;     /* 164 */
	uint8_t image[JUDGE_IMAGE] __attribute__((aligned(64))); /* 192 */
};

struct judge judge_state __attribute__((visibility("hidden")));
void judge_enter(void) __attribute__((visibility("hidden")));
extern const uint8_t judge_leave[] __attribute__((visibility("hidden")));

#define AT(offset) "judge_state + " #offset "(%rip)"
#define EACH(move) \
	move(rax, 0) move(rbx, 8) move(rcx, 16) move(rdx, 24) move(rsi, 32) move(rdi, 40) move(rsp, 48) \
	move(rbp, 56) move(r8, 64) move(r9, 72) move(r10, 80) move(r11, 88) move(r12, 96) move(r13, 104) \
	move(r14, 112) move(r15, 120)
#define LOAD(name, offset) "movq " AT(offset) ", %" #name "\n"
#define STORE(name, offset) "movq %" #name ", " AT(offset) "\n"

__asm__(".text\n"
	".globl judge_enter, judge_leave\n"
	"judge_enter:\n"
	"pushq %rbx\n pushq %rbp\n pushq %r12\n pushq %r13\n pushq %r14\n pushq %r15\n"
	"movq %rsp, " AT(136) "\n"
	"stmxcsr " AT(160) "\n"
	"fnstcw " AT(164) "\n"
	"movl " AT(152) ", %eax\n movl " AT(156) ", %edx\n"
	"xrstor64 " AT(192) "\n"
	"pushq " AT(128) "\n popfq\n"
	EACH(LOAD)
	"jmp *" AT(144) "\n"
	"judge_leave:\n"
	EACH(STORE)
	"movq " AT(136) ", %rsp\n"
	"pushfq\n popq " AT(128) "\n"
	"movl " AT(152) ", %eax\n movl " AT(156) ", %edx\n"
	"xsave64 " AT(192) "\n"
	"fninit\n fldcw " AT(164) "\n"
	"ldmxcsr " AT(160) "\n"
	"vzeroupper\n"
	"popq %r15\n popq %r14\n popq %r13\n popq %r12\n popq %rbp\n popq %rbx\n"
	"ret\n");

void judge_run(const uint8_t *code, size_t size, struct kvm_regs *regs, uint8_t image[JUDGE_IMAGE],
	       uint64_t components)
{
	static const uint8_t jump[] = { 0xFF, 0x25, 0, 0, 0, 0 }; /* jmp *0(%rip) */
	uint64_t leave = (uintptr_t)judge_leave;
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigset_t all, old;

	g_assert_true(page != MAP_FAILED && size < 1024);
	memcpy(page, code, size);
	memcpy(page + size, jump, sizeof jump);
	memcpy(page + size + sizeof jump, &leave, sizeof leave);
	memcpy(judge_state.gpr, regs, sizeof judge_state.gpr);
	memcpy(judge_state.image, image, JUDGE_IMAGE);
	judge_state.flags = regs->rflags;
	judge_state.code = (uintptr_t)page;
	judge_state.mask[0] = (uint32_t)components;
	judge_state.mask[1] = (uint32_t)(components >> 32);
	/* The code may use RSP for whatever it likes. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	judge_enter();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	memcpy(regs, judge_state.gpr, sizeof judge_state.gpr);
	memcpy(image, judge_state.image, JUDGE_IMAGE);
	regs->rflags = judge_state.flags;
	munmap(page, 4096);
}
