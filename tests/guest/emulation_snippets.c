/* What the guest of test_emulation.c runs: its exception handlers, and a snippet per instruction under test. */
#include "emulation_snippets.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)

/* Exceptions are recorded (struct exception_record); then the guest is done. */
__asm__(".pushsection .text\n"
	".globl guest_handlers, guest_handlers_end\n"
	"guest_handlers:\n"
	".set vector, 0\n"
	".rept " STRING(GUEST_VECTORS) "\n"
	".p2align 4\n"
	".if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17\n"
	".else\n"
	"pushq $0\n"
	".endif\n"
	"pushq $vector\n"
	"jmp record_exception\n"
	".set vector, vector + 1\n"
	".endr\n"
	".p2align 4\n"
	"record_exception:\n"
	"movq %rax, " STRING(GUEST_RECORD) " + 56\n"
	"movq (%rsp), %rax\n movq %rax, " STRING(GUEST_RECORD) "\n"
	"movq 8(%rsp), %rax\n movq %rax, " STRING(GUEST_RECORD) " + 8\n"
	"movq 16(%rsp), %rax\n movq %rax, " STRING(GUEST_RECORD) " + 16\n"
	"movq 32(%rsp), %rax\n movq %rax, " STRING(GUEST_RECORD) " + 24\n"
	"movq %cr2, %rax\n movq %rax, " STRING(GUEST_RECORD) " + 32\n"
	"movq %dr6, %rax\n movq %rax, " STRING(GUEST_RECORD) " + 40\n"
	"movq $1, " STRING(GUEST_RECORD) " + 48\n"
	"movq " STRING(GUEST_RECORD) " + 56, %rax\n"
	"out %al, $" STRING(GUEST_PORT) "\n"
	"hlt\n"
	"guest_handlers_end:\n"
	".popsection\n");

__asm__(".pushsection .text\n"
	".globl guest_count, guest_count_end\n"
	"guest_count:\n"
	"movq (%rsi), %rax\n movq 8(%rsi), %rdx\n"
	"1: movq %rax, %rbx\n movq %rdx, %rcx\n"
	"addq $1, %rbx\n adcq $0, %rcx\n"
	"lock cmpxchg16b (%rsi)\n"
	"jnz 1b\n"
	"decq %rdi\n"
	"jnz guest_count\n"
	"guest_count_end:\n"
	".popsection\n");

#define SNIPPET(flags, code) \
	__asm__(".pushsection .text\n771:\n" code "\n772:\n.popsection\n" \
		".pushsection .rodata\n773: .asciz \"" code "\"\n.popsection\n" \
		".pushsection .data.snippets, \"aw\", @progbits\n" \
		".quad 773b, 771b, 772b, " STRING((flags)) "\n.popsection\n");

__asm__(".pushsection .data.snippets, \"aw\", @progbits\n.p2align 3\n.globl guest_snippets\nguest_snippets:\n"
	".popsection\n");
SNIPPET(ANY, "popcnt (%rsi), %eax")
SNIPPET(ANY, "popcnt 8(%rsi), %rdx")
SNIPPET(ANY, "popcntw (%rsi), %r9w")
SNIPPET(ANY, "popcnt %rbx, %r12")
SNIPPET(ANY, "popcnt (%rsi), %rsp")
SNIPPET(ANY, "crc32b (%rsi), %eax")
SNIPPET(ANY, "crc32q 3(%rsi), %rcx")
SNIPPET(ANY, "crc32w (%rsi), %ecx")
SNIPPET(ANY | MOVBE, "movbe (%rsi), %r10")
SNIPPET(ANY | MOVBE, "movbe %r10w, (%rsi)")
SNIPPET(ANY | MOVBE, "movbe %r11, 8(%rsi)")
SNIPPET(ANY, "adcx (%rsi), %rax")
SNIPPET(ANY, "adox (%rsi), %r8d")
SNIPPET(ANY, "movnti %rdx, (%rsi)")
SNIPPET(ANY, "andn (%rsi), %rdi, %rax")
SNIPPET(ANY, "andn (%rsi), %rbx, %rdi")
SNIPPET(ANY, "blsr (%rsi), %r9")
SNIPPET(ANY, "blsi (%rsi), %edx")
SNIPPET(ANY, "bextr %rax, (%rsi), %rdi")
SNIPPET(ANY, "bzhi %rdi, (%rsi), %rdx")
SNIPPET(ANY, "pdep (%rsi), %rdi, %rcx")
SNIPPET(ANY, "pext (%rsi), %r14, %r15")
SNIPPET(ANY, "mulx (%rsi), %rax, %rbx")
SNIPPET(ANY, "rorx $7, (%rsi), %rax")
SNIPPET(ANY, "sarx %rcx, (%rsi), %rax")
SNIPPET(ANY, "shlx %edi, (%rsi), %esp")
SNIPPET(0, "cmpxchg16b (%rsi)")
SNIPPET(0, "lock cmpxchg16b (%rsi)")
SNIPPET(0, "xor %eax, %eax; movq (%rsi), %rax; movq 8(%rsi), %rdx; lock cmpxchg16b (%rsi)")
SNIPPET(ANY, "fninit")
SNIPPET(ANY, "fldcw (%rsi)")
SNIPPET(ANY, "fnstcw (%rsi)")
SNIPPET(ANY, "fwait")
SNIPPET(ANY | FP, "flds (%rsi)")
SNIPPET(ANY | FP, "fldl (%rsi); fadds 8(%rsi); fstpl 16(%rsi)")
SNIPPET(ANY | FP, "fldt (%rsi); fsqrt; fstpt 16(%rsi)")
SNIPPET(ANY | FP, "fildll (%rsi); fbstp 16(%rsi)")
SNIPPET(ANY | FP, "filds (%rsi); fisttpl 16(%rsi)")
SNIPPET(ANY, "fld1; fldpi; fcomip %st(1), %st")
SNIPPET(ANY, "fldl2e; fnstsw %ax")
SNIPPET(ANY, "ldmxcsr 120(%rsi)")
SNIPPET(ANY, "stmxcsr (%rsi)")
SNIPPET(ANY, "ldmxcsr 120(%rsi); stmxcsr 4(%rsi)")
SNIPPET(0, "fxsave (%rsi)")
SNIPPET(0, "fxsave (%rsi); pxor %xmm0, %xmm0; fxrstor (%rsi)")
SNIPPET(ANY, "movq (%rsi), %mm1; paddb (%rsi), %mm1; movq %mm1, 8(%rsi); emms")
SNIPPET(ANY, "movd (%rsi), %mm3; pshufb (%rsi), %mm3; movntq %mm3, 8(%rsi)")
SNIPPET(0, "paddd (%rsi), %xmm3")
SNIPPET(0, "pshufb 16(%rsi), %xmm12")
SNIPPET(0, "palignr $5, (%rsi), %xmm1")
SNIPPET(0, "pxor 32(%rsi), %xmm15")
SNIPPET(0, "psllw (%rsi), %xmm4")
SNIPPET(ANY, "psrlq $9, %xmm4")
SNIPPET(0, "aesenc (%rsi), %xmm2")
SNIPPET(0, "aeskeygenassist $3, (%rsi), %xmm2")
SNIPPET(0, "pclmulqdq $0x11, (%rsi), %xmm2")
SNIPPET(0, "pcmpestri $0xC, (%rsi), %xmm2")
SNIPPET(0, "pcmpistrm $0x4, (%rsi), %xmm2")
SNIPPET(0, "ptest (%rsi), %xmm7")
SNIPPET(ANY, "lddqu 1(%rsi), %xmm6")
SNIPPET(ANY, "movd %xmm5, (%rsi)")
SNIPPET(ANY, "movq %xmm5, %rdi")
SNIPPET(ANY, "movq %rsp, %xmm4")
SNIPPET(ANY, "movq (%rsi), %xmm8")
SNIPPET(ANY, "movq %xmm9, 16(%rsi)")
SNIPPET(ANY, "movhps %xmm1, (%rsi)")
SNIPPET(ANY, "movlpd (%rsi), %xmm1")
SNIPPET(ANY, "movddup (%rsi), %xmm1")
SNIPPET(ANY, "pinsrb $3, (%rsi), %xmm1")
SNIPPET(ANY, "pinsrw $3, (%rsi), %xmm1")
SNIPPET(ANY, "pinsrq $1, (%rsi), %xmm1")
SNIPPET(ANY, "pextrb $4, %xmm1, (%rsi)")
SNIPPET(ANY, "pextrw $4, %xmm1, 2(%rsi)")
SNIPPET(ANY, "pextrq $1, %xmm1, 8(%rsi)")
SNIPPET(ANY, "extractps $1, %xmm1, 8(%rsi)")
SNIPPET(ANY, "insertps $0x12, (%rsi), %xmm1")
SNIPPET(ANY, "pmovsxbw (%rsi), %xmm1")
SNIPPET(ANY, "pmovzxbq (%rsi), %xmm1")
SNIPPET(0, "movntdqa (%rsi), %xmm1")
SNIPPET(0, "movntps %xmm1, (%rsi)")
SNIPPET(ANY | FP, "cvtsi2sdq (%rsi), %xmm1")
SNIPPET(ANY | FP, "cvtss2sd (%rsi), %xmm1")
SNIPPET(ANY | FP, "cvttsd2si (%rsi), %rax")
SNIPPET(ANY | FP, "addsd (%rsi), %xmm1; sqrtss 8(%rsi), %xmm2; ucomisd (%rsi), %xmm3")
SNIPPET(FP, "mulps (%rsi), %xmm1; divpd 16(%rsi), %xmm2; cmpltps (%rsi), %xmm3")
SNIPPET(FP, "cvtps2dq (%rsi), %xmm1; cvtpd2ps 16(%rsi), %xmm2; dpps $0xF1, (%rsi), %xmm3")
SNIPPET(ANY | FP, "cvtps2pd (%rsi), %xmm1")
SNIPPET(ANY | FP, "roundsd $1, (%rsi), %xmm1")
SNIPPET(ANY, "pmovmskb %xmm1, %esp")
SNIPPET(SHA, "sha256msg1 (%rsi), %xmm1")
SNIPPET(SSE4A | ANY, "extrq $4, $8, %xmm1")
SNIPPET(ANY | SSE4A, "movntsd %xmm1, (%rsi)")
SNIPPET(AVX | ANY, "vmovdqu (%rsi), %ymm1")
SNIPPET(AVX | ANY, "vmovdqu %ymm11, (%rsi)")
SNIPPET(AVX, "vmovdqa %ymm11, (%rsi)")
SNIPPET(AVX | ANY, "vpaddd (%rsi), %ymm13, %ymm2")
SNIPPET(AVX | ANY, "vpaddd 64(%rsi), %xmm13, %xmm2")
SNIPPET(AVX | ANY, "vbroadcasti128 (%rsi), %ymm2")
SNIPPET(AVX | ANY, "vpbroadcastb (%rsi), %ymm2")
SNIPPET(AVX | ANY, "vextracti128 $1, %ymm2, (%rsi)")
SNIPPET(AVX | ANY, "vinserti128 $1, (%rsi), %ymm2, %ymm3")
SNIPPET(AVX | ANY, "vpmovzxwd (%rsi), %ymm3")
SNIPPET(AVX | ANY, "vpsllvd (%rsi), %ymm2, %ymm3")
SNIPPET(AVX | ANY, "vpermq $0x1B, (%rsi), %ymm3")
SNIPPET(AVX | ANY, "vpmaskmovd (%rsi), %ymm1, %ymm3")
SNIPPET(AVX | ANY, "vpmaskmovq %ymm3, %ymm1, (%rsi)")
SNIPPET(AVX | ANY, "vmaskmovps %ymm3, %ymm2, (%rsi)")
SNIPPET(AVX | ANY, "vcvtph2ps (%rsi), %ymm3")
SNIPPET(AVX | ANY, "vcvtps2ph $0, %ymm3, (%rsi)")
SNIPPET(AVX | ANY | FP, "vfmadd231pd (%rsi), %ymm1, %ymm2")
SNIPPET(AVX | ANY | FP, "vfnmadd132ss (%rsi), %xmm1, %xmm2")
SNIPPET(AVX | ANY | FP, "vaddsd (%rsi), %xmm1, %xmm2")
SNIPPET(AVX | ANY, "vstmxcsr (%rsi)")
SNIPPET(AVX | ANY, "vzeroupper")
SNIPPET(AVX | ANY, "vzeroall")
SNIPPET(AVX512 | ANY, "vmovdqu64 (%rsi), %zmm1")
SNIPPET(AVX512 | ANY, "vmovdqu64 %zmm31, (%rsi)")
SNIPPET(AVX512 | ANY, "vmovdqu64 64(%rsi), %zmm17")
SNIPPET(AVX512, "vmovdqa32 %zmm18, 64(%rsi)")
SNIPPET(AVX512 | ANY, "vpaddd 4(%rsi){1to16}, %zmm20, %zmm2")
SNIPPET(AVX512 | ANY, "vmovdqu8 (%rsi), %zmm1{%k1}{z}")
SNIPPET(AVX512 | ANY, "vmovdqu8 %zmm3, (%rsi){%k2}")
SNIPPET(AVX512 | ANY, "vmovdqu32 %zmm3, (%rsi){%k3}")
SNIPPET(AVX512 | ANY, "vpcompressd %zmm3, 4(%rsi){%k3}")
SNIPPET(AVX512 | ANY, "vpexpandd 4(%rsi), %zmm3{%k3}")
SNIPPET(AVX512 | ANY, "vpmovqb %zmm3, 8(%rsi)")
SNIPPET(AVX512 | ANY, "vpmovdw %zmm3, (%rsi){%k4}")
SNIPPET(AVX512 | ANY, "vpternlogq $0x96, (%rsi), %zmm16, %zmm29")
SNIPPET(AVX512 | ANY, "vpcmpub $1, (%rsi), %zmm16, %k5")
SNIPPET(AVX512 | ANY, "vextracti64x4 $1, %zmm16, (%rsi)")
SNIPPET(AVX512 | ANY, "vextracti32x4 $3, %zmm16, 16(%rsi)")
SNIPPET(AVX512 | ANY, "vbroadcasti64x4 (%rsi), %zmm16")
SNIPPET(AVX512 | ANY | FP, "vcvtps2pd (%rsi), %zmm16")
SNIPPET(AVX512 | ANY | FP, "vaddps (%rsi), %zmm16, %zmm3{%k1}")
SNIPPET(AVX512 | ANY | FP, "vscalefsd (%rsi), %xmm16, %xmm3")
SNIPPET(AVX512 | ANY, "kmovq (%rsi), %k7")
SNIPPET(AVX512 | ANY, "kmovw %k2, (%rsi)")
SNIPPET(AVX512 | ANY, "kmovd %k2, %esp")
SNIPPET(AVX512 | ANY, "kaddw %k1, %k2, %k3; kortestw %k1, %k2; kshiftlq $3, %k4, %k5")
SNIPPET(AVX512 | ANY, "vpmovm2b %k3, %zmm5")
SNIPPET(BIG, "xsave64 (%rsi)")
SNIPPET(BIG, "xsave (%rsi)")
SNIPPET(BIG, "xsaveopt64 (%rsi)")
SNIPPET(BIG, "xsavec64 (%rsi)")
SNIPPET(BIG, "xsavec 64(%rsi)")
SNIPPET(BIG, "movl $-1, %eax; xsavec64 (%rsi); pxor %xmm1, %xmm1; fld1; xrstor64 (%rsi)")
SNIPPET(BIG, "movl $3, %eax; xsave64 (%rsi); pxor %xmm1, %xmm1; movl $7, %eax; xrstor64 (%rsi)")
SNIPPET(BIG, "movl $-1, %eax; xsave64 (%rsi); movl $2, 512(%rsi); xrstor64 (%rsi)")
SNIPPET(0, "xorl %ecx, %ecx; xgetbv")
__asm__(".pushsection .data.snippets, \"aw\", @progbits\n.quad 0, 0, 0, 0\n.popsection\n");
