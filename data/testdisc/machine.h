/* What the parts of the test disc share. Everything runs in ring 3 on one CPU; nothing is freed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

static inline void outb(uint16_t port, uint8_t value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline void outw(uint16_t port, uint16_t value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
static inline void outl(uint16_t port, uint32_t value) { __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port)); }
static inline uint8_t inb(uint16_t port) { uint8_t v; __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline uint16_t inw(uint16_t port) { uint16_t v; __asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port)); return v; }
static inline uint32_t inl(uint16_t port) { uint32_t v; __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port)); return v; }

/* A register of a device in memory */
static inline uint32_t load(uintptr_t address) { return *(volatile uint32_t *)address; }
static inline void store(uintptr_t address, uint32_t value) { *(volatile uint32_t *)address = value; }

static inline uint64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* boot.S */
struct ring {
	uint8_t head, tail, bytes[256];
};

extern volatile struct ring keyboard_ring, mouse_ring, serial_ring;
extern volatile uint32_t pending, ticks;
extern volatile uint64_t disk_port_status, disk_controller_status;
extern uint8_t idt[IDT_SIZE];
extern uint64_t ram_bytes;
extern const uint8_t font[4096]; /* 256 characters of 16 rows */

/* Next byte of a ring, or -1. */
static inline int ring_take(volatile struct ring *ring)
{
	return ring->tail == ring->head ? -1 : ring->bytes[ring->tail++];
}

/* Sleeps until an interrupt comes; returns at once if one has come since pending was last cleared. */
void idle(void);

/* text.c */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
char *text_copy(char *out, const char *in);
char *text_number(char *out, uint64_t number);
char *text_hex(char *out, uint64_t number, unsigned digits);
bool text_equal(const char *a, const char *b);
bool text_starts(const char *text, const char *start);
/* If text starts with this word, moves behind it and the space that follows. */
bool text_word(const char **text, const char *word);
uint64_t text_parse(const char **text);

/* serial.c: COM1, lines in both directions */
void serial_init(void);
void serial_write(const char *text);
/* A whole line without its end, or NULL. Valid until the next call. */
const char *serial_line(void);

/* pci.c */
#define PCI_NONE 0xFFFFFFFFu
uint32_t pci_read(uint32_t address, uint8_t offset);
void pci_write(uint32_t address, uint8_t offset, uint32_t value);
/* Address of the first function with this class and subclass (or vendor and device), or PCI_NONE. */
uint32_t pci_find_class(uint16_t class_and_subclass);
uint32_t pci_find_device(uint16_t vendor, uint16_t device);
/* Offset of the function's capability, or 0. */
uint8_t pci_capability(uint32_t address, uint8_t id);
/* Switches this CPU's local APIC on; returns where messages to it go. */
uint32_t pci_enable_local_apic(void);
/* The function's MSI comes to this CPU with a vector; false if the function has none. */
bool pci_enable_msi(uint32_t address, uint8_t vector);
/*
 * The function's message (of MSI-X, the one with this number; otherwise of MSI) comes to this CPU: it sets pending, no
 * more. False if the function has no messages.
 */
bool pci_enable_message(uint32_t address, unsigned message);

/* screen.c */
struct screen {
	uint32_t *pixels;
	unsigned width, height;
};

extern struct screen screen;
bool screen_set_mode(unsigned width, unsigned height);
void screen_fill(int x, int y, int width, int height, uint32_t colour);
void screen_text(int x, int y, const char *text, uint32_t colour, int scale);

/* interface.c: what the user sees */
void interface_draw(void);
void interface_key(uint8_t scan_code);
void interface_mouse(uint8_t byte);
void interface_tick(void);
/* The second page: network, USB and sound, tried and told, also over the serial port. */
void interface_devices(void);
void interface_devices_key(uint8_t scan_code);

/* ps2.c */
/* Returns the length of the mouse's packets: 3, or 4 with a wheel; 0 without a mouse. */
unsigned ps2_init(void);

/* disk.c */
struct disk_job {
	bool write, random;
	uint32_t block_size; /* bytes */
	uint32_t depth;
	uint64_t total;      /* bytes */
};

#define DISK_JOB_SEED 88172645463325252ull
/* First sector of the job's next block on a disk of so many bytes; random starts with the seed. */
uint64_t disk_job_place(const struct disk_job *job, uint64_t bytes, uint64_t block, uint64_t *random);

/* Model name of the first hard disk, or NULL. */
const char *disk_init(void);
uint64_t disk_size(void);
/* Cycles that it took, or 0 on failure. */
uint64_t disk_run(const struct disk_job *job);
/* Writes a pattern, reads it back into another buffer, and compares. */
bool disk_check(uint64_t sector, uint32_t count);
/* The same by way of memory above 4 GiB, which only the disk's controller touches. Writes 2 * count sectors. */
bool disk_check_high(uint64_t sector, uint32_t count);
/* False if the disk reports an error. */
bool disk_flush(void);
/* 1 MiB, of each of 32 slots; then a queued write from there, which does not begin yet. */
uint64_t *disk_buffer(uint32_t slot);
void disk_prepare_write(uint32_t slot, uint64_t sector, uint32_t count, bool write_through);
/* Begins what was prepared in these slots (a bit each), and waits for all; false if the disk reports an error. */
bool disk_run_queued(uint32_t slots);
bool disk_trim(uint64_t sector, uint32_t count);

/* nvme.c: the same with an NVMe disk */
uint64_t nvme_run(const struct disk_job *job);
bool nvme_check(uint64_t sector, uint32_t count);

/* usb.c: the same with a stick, one request after the other */
uint64_t usb_run(const struct disk_job *job);
struct usb_fact {
	unsigned port, speed; /* as the controller numbers them */
	char name[44];
};

#define USB_FACTS 8
/* What is plugged in, at most USB_FACTS; returns how many, or -1 without a controller. */
int usb_look(struct usb_fact *facts);
/* Lets the first tablet or mouse report; false if there is none. */
bool usb_attend(void);

/*
 * network.c: a connection to this port of the host at 10.0.2.2, which is told in a line what and how many. Returns the
 * cycles that it took, or 0 on failure.
 *   up     the host takes so many bytes, and then sends one
 *   down   the host sends so many bytes
 *   ask    each byte that is sent is answered by one
 *   echo   each byte that comes is answered by one
 */
uint64_t network_run(uint16_t port, const char *what, uint64_t count);
struct network_facts {
	uint8_t mac[6];
	bool link;
	uint32_t address, server; /* that DHCP has offered, and who; 0: nobody */
};

/* Asks for an address, for at most three seconds; false if there is no 82574. */
bool network_look(struct network_facts *facts);
/* Lets the first 82574 receive; false if there is none. */
bool network_attend(void);

/* storm.c: writes, trims and flushes without an end; tells each burst's number once it was flushed */
void storm_run(uint64_t burst);

/* ways_out.c: false if there is no such way */
bool way_out(const char *name);

/* sound.c */
/* Plays a tone; returns how many frames of 48000 a second were played, or 0 without a sound controller. */
uint64_t sound_tone(uint32_t hertz, uint32_t milliseconds);
/* Makes the controller ready to play; false if there is none. */
bool sound_attend(void);

/* main.c: what the main loop does with keys and ticks */
extern bool blinking, ticking;

/* bench.c: executes a line that came over the serial port */
void bench_command(const char *line);
