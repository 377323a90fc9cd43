/* The KVM core with tiny real-mode guests: exits, pause, reset, triple fault, unknown MSRs, coalesced writes. */
#include <string.h>

#include "../../vmm/kvm.h"
#include "../../vmm/vm.h"

#define PORT_DATA 0x10
#define PORT_DONE 0x11
#define CODE 0x1000

struct guest {
	struct vm vm;
	struct kvm kvm;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct bus_region ports, window;
	GCond cond;
	unsigned done;
	uint32_t last;
	GArray *writes; /* uint64_t values written to the window, in order */
	unsigned triple_faults, failures;
	char *message;
};

static uint64_t port_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)size;
	return offset == 0 ? 0x5A : 0xFF;
}

static void port_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct guest *guest = device;

	(void)size;
	guest->last = (uint32_t)value;
	if (offset == PORT_DONE - PORT_DATA) {
		guest->done++;
		g_cond_broadcast(&guest->cond);
	}
}

static void window_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	(void)offset;
	(void)size;
	g_array_append_val(((struct guest *)device)->writes, value);
}

static const struct bus_ops port_ops = { port_read, port_write };
static const struct bus_ops window_ops = { port_read, window_write };

static void guest_event(void *opaque, enum kvm_event event, const char *message)
{
	struct guest *guest = opaque;

	if (event == KVM_EVENT_TRIPLE_FAULT)
		guest->triple_faults++;
	else
		guest->failures++;
	g_free(guest->message);
	guest->message = g_strdup(message);
	kvm_stop_soon(&guest->kvm);
	g_cond_broadcast(&guest->cond);
}

static bool have_kvm(void)
{
	if (g_file_test("/dev/kvm", G_FILE_TEST_EXISTS))
		return true;
	g_test_skip("no /dev/kvm");
	return false;
}

/* A machine with 2 MiB whose CPU 0 starts with this code at 0:CODE in real mode. */
static struct guest *guest_new(const uint8_t *code, size_t size, unsigned cpus)
{
	struct guest *guest = g_new0(struct guest, 1);
	GError *error = NULL;
	struct vcpu *first;

	guest->writes = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_cond_init(&guest->cond);
	g_assert_true(kvm_init(&guest->kvm, &error));
	g_assert_no_error(error);
	g_assert_true(vm_init(&guest->vm, &guest->kvm.hv, 2 << 20, &error));
	guest->kvm.event = guest_event;
	guest->kvm.event_opaque = guest;
	g_assert_true(kvm_create_vcpus(&guest->kvm, &guest->vm, cpus, &error));
	g_assert_no_error(error);
	guest->ports = (struct bus_region){ "ports", &port_ops, guest, .size = 2 };
	guest->window = (struct bus_region){ "window", &window_ops, guest, .size = 0x1000, .coalesced = true };
	memcpy(memory_ptr(&guest->vm.memory, CODE, size), code, size);
	first = guest->kvm.vcpus->pdata[0];
	guest->regs = first->initial.regs;
	guest->sregs = first->initial.sregs;
	guest->regs.rip = CODE;
	guest->sregs.cs.base = 0;
	guest->sregs.cs.selector = 0;
	guest->kvm.start_regs = &guest->regs;
	guest->kvm.start_sregs = &guest->sregs;
	g_mutex_lock(&guest->vm.lock);
	bus_map(&guest->vm.pio, &guest->ports, PORT_DATA);
	bus_map(&guest->vm.mmio, &guest->window, 0xA0000);
	kvm_pause(&guest->kvm);
	kvm_reset(&guest->kvm);
	g_mutex_unlock(&guest->vm.lock);
	return guest;
}

static void guest_free(struct guest *guest)
{
	kvm_join(&guest->kvm);
	g_mutex_lock(&guest->vm.lock);
	bus_unmap(&guest->vm.pio, &guest->ports);
	bus_unmap(&guest->vm.mmio, &guest->window);
	g_mutex_unlock(&guest->vm.lock);
	vm_finish(&guest->vm);
	kvm_finish(&guest->kvm);
	g_array_unref(guest->writes);
	g_cond_clear(&guest->cond);
	g_free(guest->message);
	g_free(guest);
}

/* With the lock: until the guest has written to PORT_DONE so often, or stopped. */
static void wait_done(struct guest *guest, unsigned count)
{
	gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

	while (guest->done < count && !guest->triple_faults && !guest->failures)
		if (!g_cond_wait_until(&guest->cond, &guest->vm.lock, deadline))
			g_error("the guest does not answer");
}

static void test_ports(void)
{
	/* in al, 0x10; add al, 1; out 0x11, al; hlt; jmp $ */
	static const uint8_t code[] = { 0xE4, 0x10, 0x04, 0x01, 0xE6, 0x11, 0xF4, 0xEB, 0xFD };
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(code, sizeof code, 1);
	g_mutex_lock(&guest->vm.lock);
	kvm_resume(&guest->kvm);
	wait_done(guest, 1);
	g_assert_cmphex(guest->last, ==, 0x5B);
	/* And the same after a reset. */
	kvm_pause(&guest->kvm);
	kvm_reset(&guest->kvm);
	kvm_resume(&guest->kvm);
	wait_done(guest, 2);
	g_assert_cmpuint(guest->triple_faults + guest->failures, ==, 0);
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

static void test_pause_finishes_input(void)
{
	/* again: in al, 0x10; mov ah, al; xor al, al; out 0x11, al; jmp again */
	static const uint8_t code[] = { 0xE4, 0x10, 0x88, 0xC4, 0x30, 0xC0, 0xE6, 0x11, 0xEB, 0xF6 };
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(code, sizeof code, 1);
	g_mutex_lock(&guest->vm.lock);
	for (unsigned i = 1; i <= 200; i++) {
		struct vcpu *vcpu = guest->kvm.vcpus->pdata[0];
		struct kvm_regs regs;
		unsigned before;

		kvm_resume(&guest->kvm);
		wait_done(guest, guest->done + 1);
		kvm_pause(&guest->kvm);
		before = guest->done;
		/* Parked behind an IN, its value is in AL already. */
		g_assert_cmpint(kvm_ioctl(vcpu->fd, KVM_GET_REGS, &regs), ==, 0);
		if (regs.rip == CODE + 2)
			g_assert_cmphex(regs.rax & 0xFF, ==, 0x5A);
		g_assert_cmpuint(guest->done, ==, before);
	}
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

static void test_pause_stops_spinning_guest(void)
{
	/* out 0x11, al; jmp $ */
	static const uint8_t code[] = { 0xE6, 0x11, 0xEB, 0xFE };
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(code, sizeof code, 2);
	g_mutex_lock(&guest->vm.lock);
	kvm_resume(&guest->kvm);
	wait_done(guest, 1);
	for (unsigned i = 0; i < 100; i++) {
		kvm_pause(&guest->kvm);
		for (guint n = 0; n < guest->kvm.vcpus->len; n++)
			g_assert_true(((struct vcpu *)guest->kvm.vcpus->pdata[n])->parked);
		kvm_resume(&guest->kvm);
	}
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

static void test_triple_fault(void)
{
	/* ud2, in protected mode without an interrupt descriptor table */
	static const uint8_t code[] = { 0x0F, 0x0B };
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(code, sizeof code, 1);
	guest->sregs.cr0 |= 1;
	guest->sregs.idt.limit = 0;
	g_mutex_lock(&guest->vm.lock);
	kvm_reset(&guest->kvm);
	kvm_resume(&guest->kvm);
	wait_done(guest, 1);
	g_assert_cmpuint(guest->triple_faults, ==, 1);
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

static void test_unknown_msr(void)
{
	/* mov ecx, 0x606; xor eax, eax; dec eax; rdmsr; out 0x11, al; mov ecx, 0x12345; wrmsr; out 0x11, al; hlt */
	static const uint8_t code[] = { 0x66, 0xB9, 0x06, 0x06, 0, 0, 0x66, 0x31, 0xC0, 0x66, 0x48, 0x0F, 0x32,
					0xE6, 0x11, 0x66, 0xB9, 0x45, 0x23, 0x01, 0, 0x0F, 0x30, 0xE6, 0x11, 0xF4 };
	struct guest *guest;

	if (!have_kvm())
		return;
	guest = guest_new(code, sizeof code, 1);
	g_mutex_lock(&guest->vm.lock);
	kvm_resume(&guest->kvm);
	wait_done(guest, 2);
	g_assert_cmpuint(guest->triple_faults + guest->failures, ==, 0);
	g_assert_cmphex(guest->last, ==, 0);
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

static void test_coalesced_writes(void)
{
	/* mov ax, 0xA000; mov ds, ax; mov cx, 1000; again: mov [0], cl; loop again; out 0x11, al; hlt */
	static const uint8_t code[] = { 0xB8, 0x00, 0xA0, 0x8E, 0xD8, 0xB9, 0xE8, 0x03, 0x88, 0x0E, 0x00, 0x00,
					0xE2, 0xFA, 0xE6, 0x11, 0xF4 };
	struct guest *guest;
	struct vcpu *vcpu;

	if (!have_kvm())
		return;
	guest = guest_new(code, sizeof code, 1);
	vcpu = guest->kvm.vcpus->pdata[0];
	g_mutex_lock(&guest->vm.lock);
	kvm_resume(&guest->kvm);
	wait_done(guest, 1);
	g_assert_cmpuint(guest->writes->len, ==, 1000);
	for (unsigned i = 0; i < 1000; i++)
		g_assert_cmphex(g_array_index(guest->writes, uint64_t, i), ==, (1000 - i) & 0xFF);
	/* Far fewer exits than writes. */
	if (guest->kvm.ring)
		g_assert_cmpuint(vcpu->exits[KVM_EXIT_MMIO], <, 100);
	g_mutex_unlock(&guest->vm.lock);
	guest_free(guest);
}

static void test_too_many_cpus(void)
{
	GError *error = NULL;
	struct kvm kvm;
	struct vm vm = { 0 };

	if (!have_kvm())
		return;
	g_assert_true(kvm_init(&kvm, &error));
	g_assert_true(vm_init(&vm, &kvm.hv, 1 << 20, &error));
	g_assert_false(kvm_create_vcpus(&kvm, &vm, 100000, &error));
	g_assert_nonnull(strstr(error->message, "100000 CPUs"));
	g_error_free(error);
	vm_finish(&vm);
	kvm_finish(&kvm);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/kvm/ports", test_ports);
	g_test_add_func("/kvm/pause-finishes-input", test_pause_finishes_input);
	g_test_add_func("/kvm/pause-stops-spinning-guest", test_pause_stops_spinning_guest);
	g_test_add_func("/kvm/triple-fault", test_triple_fault);
	g_test_add_func("/kvm/unknown-msr", test_unknown_msr);
	g_test_add_func("/kvm/coalesced-writes", test_coalesced_writes);
	g_test_add_func("/kvm/too-many-cpus", test_too_many_cpus);
	return g_test_run();
}
