/* Selectors and addresses that the assembler and the linker share. */
#pragma once

#define KERNEL_CS 0x08
#define KERNEL_DS 0x10
#define USER_DS 0x1B
#define USER_CS 0x23
#define TSS_SELECTOR 0x28

#define PAGE_TABLES 0x70000
#define KERNEL_STACK 0x80000
#define USER_STACK 0x90000

/* Behind the 32 exceptions and 16 interrupts. */
#define DISK_VECTOR 0x30
/* Of all devices whose messages need nothing but to be noticed. */
#define MESSAGE_VECTOR 0x31

/* One gate for each vector. */
#define IDT_SIZE 800
