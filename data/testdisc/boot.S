/*
 * From the firmware's hand-over (El Torito, no emulation: the whole program at 0:7C00, real mode) to 64-bit ring 3.
 *
 * The program runs in ring 3 with IOPL 3, so that ports and devices are within its reach and its loops run at full
 * speed on every host; ring 0 is only these few lines and the interrupt handlers.
 */
#include "layout.h"

	.section .boot, "ax"
	.code16
	.globl start
start:
	cli
	ljmp	$0, $1f
1:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7C00, %sp
	cld
	/* The BIOS's 8x16 font. */
	movw	$0x1130, %ax
	movb	$6, %bh
	int	$0x10
	pushw	%ds
	pushw	%es
	popw	%ds
	movw	%bp, %si
	xorw	%ax, %ax
	movw	%ax, %es
	movw	$font, %di
	movw	$2048, %cx
	rep movsw
	popw	%ds
	/* The memory map: sum up what is RAM. */
	xorl	%ebx, %ebx
2:	movl	$0xE820, %eax
	movl	$0x534D4150, %edx
	movl	$24, %ecx
	movw	$e820_entry, %di
	int	$0x15
	jc	3f
	cmpl	$1, e820_entry + 16
	jne	4f
	movl	e820_entry + 8, %eax
	addl	%eax, ram_bytes
	movl	e820_entry + 12, %eax
	adcl	%eax, ram_bytes + 4
4:	testl	%ebx, %ebx
	jnz	2b
3:	cli
	/* Page tables: 4 GiB identity in 2 MiB pages, for ring 3 too. */
	movw	$(PAGE_TABLES >> 4), %ax
	movw	%ax, %es
	xorw	%di, %di
	xorl	%eax, %eax
	movw	$(6 * 1024), %cx
	rep stosl
	movl	$(PAGE_TABLES + 0x1000 + 7), %es:0
	movl	$(PAGE_TABLES + 0x2000 + 7), %es:0x1000
	movl	$(PAGE_TABLES + 0x3000 + 7), %es:0x1008
	movl	$(PAGE_TABLES + 0x4000 + 7), %es:0x1010
	movl	$(PAGE_TABLES + 0x5000 + 7), %es:0x1018
	movw	$0x2000, %di
	movl	$0x87, %eax
	movw	$2048, %cx
5:	movl	%eax, %es:(%di)
	addw	$8, %di
	addl	$0x200000, %eax
	loop	5b
	/* Long mode, straight from real mode. */
	movl	$0x620, %eax		/* PAE, OSFXSR, OSXMMEXCPT */
	movl	%eax, %cr4
	movl	$PAGE_TABLES, %eax
	movl	%eax, %cr3
	movl	$0xC0000080, %ecx
	rdmsr
	orl	$0x100, %eax
	wrmsr
	lgdt	gdt_pointer
	movl	$0x80000033, %eax	/* PG, NE, ET, MP, PE */
	movl	%eax, %cr0
	ljmp	$KERNEL_CS, $enter64

	.code64
enter64:
	movw	$KERNEL_DS, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	xorl	%eax, %eax
	movw	%ax, %fs
	movw	%ax, %gs
	movl	$KERNEL_STACK, %esp
	/* Zero what follows the image. */
	movl	$bss_start, %edi
	movl	$bss_end, %ecx
	subl	%edi, %ecx
	shrl	$3, %ecx
	rep stosq
	movq	$KERNEL_STACK, tss + 4
	movw	$104, tss + 102
	movb	$0xFF, tss + TSS_SIZE - 1
	/* Descriptors that hold an address. */
	movl	$tss, %eax
	movw	%ax, gdt_tss + 2
	shrl	$16, %eax
	movb	%al, gdt_tss + 4
	movl	$idt, %edi
	movl	$handlers, %esi
	movl	$HANDLERS, %ecx
6:	lodsq
	movw	%ax, (%rdi)
	movw	$KERNEL_CS, 2(%rdi)
	movw	$0xEE00, 4(%rdi)	/* interrupt gate that ring 3 may call */
	shrq	$16, %rax
	movw	%ax, 6(%rdi)
	movl	$0, 8(%rdi)
	movl	$0, 12(%rdi)
	addl	$16, %edi
	loop	6b
	lidt	idt_pointer
	/* Interrupts 0-15 at vectors 0x20-0x2F, all masked until main() wants them. */
	movb	$0x11, %al
	outb	%al, $0x20
	outb	%al, $0xA0
	movb	$0x20, %al
	outb	%al, $0x21
	movb	$0x28, %al
	outb	%al, $0xA1
	movb	$0x04, %al
	outb	%al, $0x21
	movb	$0x02, %al
	outb	%al, $0xA1
	movb	$0x01, %al
	outb	%al, $0x21
	outb	%al, $0xA1
	movb	$0xFF, %al
	outb	%al, $0x21
	outb	%al, $0xA1
	movw	$TSS_SELECTOR, %ax
	ltr	%ax
	pushq	$USER_DS
	pushq	$USER_STACK
	pushq	$0x3202			/* IF, IOPL 3 */
	pushq	$USER_CS
	pushq	$main
	iretq

/*
 * Interrupts. Each stores what it read in a ring that ring 3 empties, and notes that something happened.
 * Ring: head (written here), tail (written by ring 3), 256 bytes.
 */
	.macro	read_into ring, port
	movl	$\port, %edx
	inb	%dx, %al
	movzbl	\ring, %edx
	movb	%al, \ring + 2(%rdx)
	incb	\ring
	.endm

irq_keyboard:
	pushq	%rax
	pushq	%rdx
	read_into keyboard_ring, 0x60
	jmp	end_first_pic
irq_serial:
	pushq	%rax
	pushq	%rdx
1:	movl	$0x3FD, %edx
	inb	%dx, %al
	testb	$1, %al
	jz	end_first_pic
	read_into serial_ring, 0x3F8
	jmp	1b
irq_mouse:
	pushq	%rax
	pushq	%rdx
	read_into mouse_ring, 0x60
	movb	$0x20, %al
	outb	%al, $0xA0
	jmp	end_first_pic
irq_timer:
	pushq	%rax
	pushq	%rdx
	incl	ticks
end_first_pic:
	movl	$1, pending
	movb	$0x20, %al
	outb	%al, $0x20
	popq	%rdx
	popq	%rax
	iretq
/* The disk controller's message: acknowledged there and at the local APIC. */
irq_disk:
	pushq	%rax
	pushq	%rdx
	movq	disk_port_status, %rdx
	movl	(%rdx), %eax
	movl	%eax, (%rdx)
	movq	disk_controller_status, %rdx
	movl	(%rdx), %eax
	movl	%eax, (%rdx)
end_message:
	movl	$1, pending
	movl	$0xFEE000B0, %edx
	movl	$0, (%rdx)
	popq	%rdx
	popq	%rax
	iretq
/* What is to be acknowledged at the device, ring 3 does. */
irq_message:
	pushq	%rax
	pushq	%rdx
	jmp	end_message
irq_other:
	pushq	%rax
	pushq	%rdx
	jmp	end_first_pic
/*
 * Ring 3 has nothing to do: sleep, unless something happened since it looked. An undefined instruction is the way into
 * ring 0 that every kind of host carries.
 */
	.globl	idle
idle:
	ud2
	ret
undefined_instruction:
	cmpq	$idle, (%rsp)
	jne	exception_6
	addq	$2, (%rsp)
	cmpl	$0, pending
	jne	1f
	sti
	hlt
1:	iretq

	.altmacro
	.macro	exception number
exception_\number:
	movl	$\number, %edi
	jmp	report_exception
	.endm
	.set	n, 0
	.rept	32
	exception %n
	.set	n, n + 1
	.endr
report_exception:
	movq	8(%rsp), %rdx
	movq	(%rsp), %rsi
	movq	%cr2, %rcx
	call	exception
1:	cli
	hlt
	jmp	1b

	/* What real mode reads and writes has to be within its 64 KiB. */
	.section .early, "aw"
	.macro	exception_entry number
	.quad	exception_\number
	.endm
	.balign 8
handlers:
	.set	n, 0
	.rept	6
	exception_entry %n
	.set	n, n + 1
	.endr
	.quad	undefined_instruction
	.set	n, 7
	.rept	25
	exception_entry %n
	.set	n, n + 1
	.endr
	.quad	irq_timer, irq_keyboard, irq_other, irq_other, irq_serial, irq_other, irq_other, irq_other
	.quad	irq_other, irq_other, irq_other, irq_other, irq_mouse, irq_other, irq_other, irq_other
	.quad	irq_disk
	.quad	irq_message
	.set	HANDLERS, (. - handlers) / 8

	.balign 8
gdt:	.quad	0
	.quad	0x00209A0000000000	/* ring 0 code */
	.quad	0x0000920000000000	/* ring 0 data */
	.quad	0x0000F20000000000	/* ring 3 data */
	.quad	0x0020FA0000000000	/* ring 3 code */
gdt_tss:
	.quad	0x0000890000000000 + (TSS_SIZE - 1), 0
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
	.balign 8
	.word	0, 0, 0
idt_pointer:
	.word	HANDLERS * 16 - 1
	.quad	idt
	.balign 8
	.globl	ram_bytes, font
	.balign 8
ram_bytes:
	.quad	0
e820_entry:
	.fill	24, 1, 0
font:	.fill	4096, 1, 0

	.bss
	.balign 16
/* Ends in the permission bitmap of all 65536 ports: zeroes, for hosts that do not go by IOPL alone. */
	.set	TSS_SIZE, 104 + 8192 + 1
tss:	.fill	TSS_SIZE, 1, 0
	.balign 16
	.globl	idt, keyboard_ring, mouse_ring, serial_ring, pending, ticks, disk_port_status, disk_controller_status
	.if	HANDLERS * 16 != IDT_SIZE
	.error	"IDT_SIZE"
	.endif
idt:	.fill	IDT_SIZE, 1, 0
keyboard_ring:	.fill	258, 1, 0
mouse_ring:	.fill	258, 1, 0
serial_ring:	.fill	258, 1, 0
	.balign 8
pending:	.long	0
ticks:		.long	0
disk_port_status:	.quad	0
disk_controller_status:	.quad	0

	.section .note.GNU-stack, "", @progbits
