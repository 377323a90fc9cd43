/*
 * A guest of a few pages for the completion of instructions: code at CODE runs in ring 0 of long mode, or in whatever
 * mode sregs say, until it writes GUEST_PORT. Addresses are physical and, unless said otherwise, linear too.
 */
#pragma once

#include "../../vmm/kvm.h"
#include "../../vmm/vm.h"
#include "emulation_snippets.h"

#define RAM (4u << 20)
#define TABLES 0x8000
#define GDT 0x11000
#define IDT 0x12000
#define HANDLERS 0x14000
#define CODE 0x16000
#define STACK 0x1F000
#define BUFFER 0x20000 /* two pages and more of RAM */
#define READ_ONLY 0x30000
#define NOT_PRESENT 0x31000
#define DEVICE_LINEAR 0x40000000u
#define DEVICE 0xE0000000u
#define DEVICE_SIZE 0x1000
#define VIDEO_LINEAR (DEVICE_LINEAR + 0x200000) /* a slot with a dirty log */
#define VIDEO 0xD0000000u
#define ROM_LINEAR (DEVICE_LINEAR + 0x400000) /* a read-only slot, over a second mapping of the device */
#define ROM 0xD0200000u

struct guest {
	struct vm vm;
	struct kvm kvm;
	struct bus_region port, device;
	uint8_t registers[DEVICE_SIZE];
	GCond cond;
	unsigned done, failures;
	char *message;
	struct kvm_sregs sregs;
	uint64_t components;
};

/* What is mapped at DEVICE, with the guest as device: its registers. */
extern const struct bus_ops device_ops;

/* Skips the test if there is none. */
bool have_kvm(void);
struct guest *guest_new(unsigned cpus);
void guest_free(struct guest *guest);
uint8_t *ram(struct guest *guest, uint64_t gpa);
void put64(struct guest *guest, uint64_t gpa, uint64_t value);
/* With the lock. Starts a vCPU with these registers, guest->sregs and, unless NULL, this XSAVE image. */
void set_vcpu(struct guest *guest, unsigned index, const struct kvm_regs *regs, const uint8_t *image);
/* Puts code to CODE, and after it what tells that it is done; clears the record. */
void put_code(struct guest *guest, const uint8_t *code, size_t size);
/* With the lock: until so many vCPUs are done. */
void run(struct guest *guest, unsigned count, const char *what);
struct vcpu *first(struct guest *guest);
/* What the exception handlers have left. */
const struct exception_record *record(struct guest *guest);
