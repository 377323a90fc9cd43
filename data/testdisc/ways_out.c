/* The ways in which a guest starts anew, goes off or breaks. None of them comes back if it works. */
#include "machine.h"

#define KEYBOARD_COMMAND 0x64
#define KEYBOARD_RESET 0xFE
#define PORT_92 0x92
#define PORT_92_RESET 0x01
#define RESET_CONTROL 0xCF9
#define RESET_FULL 0x06
#define PM1_CONTROL 0x604
#define PM1_SLEEP_S5 0x2000 /* SLP_EN, with type 0 */

/* Without a single gate every exception leads to the next: a triple fault. */
static void triple_fault(void)
{
	memset(idt, 0, IDT_SIZE);
	idle();
}

/*
 * Jumps to where a display has its registers. KVM cannot fetch instructions from there, and what it leaves to its
 * user, the EDID's first bytes, is a plain addition that nobody expects to have to complete.
 */
static void run_registers(void)
{
	uint32_t display = pci_find_class(0x0300);

	if (display != PCI_NONE)
		((void (*)(void))(uintptr_t)(pci_read(display, 0x18) & ~0xFu))();
}

bool way_out(const char *name)
{
	if (text_equal(name, "cf9"))
		outb(RESET_CONTROL, RESET_FULL);
	else if (text_equal(name, "keyboard"))
		outb(KEYBOARD_COMMAND, KEYBOARD_RESET);
	else if (text_equal(name, "port92"))
		outb(PORT_92, PORT_92_RESET);
	else if (text_equal(name, "triple"))
		triple_fault();
	else if (text_equal(name, "off"))
		outw(PM1_CONTROL, PM1_SLEEP_S5);
	else if (text_equal(name, "crash"))
		run_registers();
	else
		return false;
	return true;
}
