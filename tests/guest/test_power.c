/* Linux restarts from inside and over the control socket, and is switched off by the power button. */
#include "harness.h"

#define ARGUMENTS "drm_kms_helper.fbdev_emulation=0"

static struct guest *boot(const char *name)
{
	struct guest *guest = guest_new(name);

	guest_set_linux(guest, true, ARGUMENTS);
	guest_start(guest);
	guest_wait_line(guest, "agent: ready", 300);
	return guest;
}

static void press_power_button(struct guest *guest)
{
	g_variant_unref(guest_call(guest, "PowerButton", NULL));
	guest_wait_line(guest, "input Power Button: key 116 1", 10);
	guest_wait_line(guest, "agent: going to power off", 10);
	guest_wait_end(guest, 30);
}

static void test_reboot(void)
{
	struct guest *guest = boot("reboot");

	guest_write(guest, "reboot\n");
	guest_wait_line(guest, "reboot: Restarting system", 20);
	guest_wait_line(guest, "Linux version", 60);
	guest_wait_line(guest, "agent: ready", 300);
	press_power_button(guest);
	guest_free(guest);
}

/* Held up in the middle of its start, which then goes on; then reset. */
static void test_pause_and_reset(void)
{
	struct guest *guest = guest_new("reset");

	guest_set_linux(guest, true, ARGUMENTS);
	guest_start(guest);
	guest_wait_line(guest, "Linux version", 60);
	g_variant_unref(guest_call(guest, "Pause", NULL));
	guest_wait_state(guest, "paused", 10);
	g_variant_unref(guest_call(guest, "Resume", NULL));
	guest_wait_state(guest, "running", 10);
	guest_wait_line(guest, "Memory:", 60);
	g_variant_unref(guest_call(guest, "Reset", NULL));
	guest_wait_line(guest, "Linux version", 60);
	guest_wait_line(guest, "Memory:", 60);
	g_variant_unref(guest_call(guest, "Stop", NULL));
	guest_wait_end(guest, 10);
	guest_free(guest);
}

int main(int argc, char **argv)
{
	harness_init(&argc, &argv);
	g_test_add_func("/power/reboot-and-power-button", test_reboot);
	g_test_add_func("/power/pause-and-reset", test_pause_and_reset);
	return harness_run();
}
