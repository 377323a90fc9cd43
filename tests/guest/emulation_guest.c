#include "emulation_guest.h"

#include <string.h>

#include "../../vmm/emulation/control_bits.h"

bool have_kvm(void)
{
	if (g_file_test("/dev/kvm", G_FILE_TEST_EXISTS))
		return true;
	g_test_skip("no /dev/kvm");
	return false;
}

static uint64_t device_read(void *device, uint64_t offset, unsigned size)
{
	struct guest *guest = device;
	uint64_t value = 0;

	g_assert_cmpuint(offset + size, <=, DEVICE_SIZE);
	memcpy(&value, guest->registers + offset, size);
	return value;
}

static void device_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct guest *guest = device;

	g_assert_cmpuint(offset + size, <=, DEVICE_SIZE);
	memcpy(guest->registers + offset, &value, size);
}

static uint64_t port_read(void *device, uint64_t offset, unsigned size)
{
	(void)device;
	(void)offset;
	(void)size;
	return 0;
}

static void port_write(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct guest *guest = device;

	(void)offset;
	(void)size;
	(void)value;
	guest->done++;
	g_cond_broadcast(&guest->cond);
}

const struct bus_ops device_ops = { device_read, device_write };
static const struct bus_ops port_ops = { port_read, port_write };

static void on_event(void *opaque, enum kvm_event event, const char *message)
{
	struct guest *guest = opaque;

	guest->failures++;
	g_free(guest->message);
	guest->message = g_strdup(event == KVM_EVENT_TRIPLE_FAULT ? "triple fault" : message);
	kvm_stop_soon(&guest->kvm);
	g_cond_broadcast(&guest->cond);
}

uint8_t *ram(struct guest *guest, uint64_t gpa)
{
	return memory_ptr(&guest->vm.memory, gpa, 1);
}

void put64(struct guest *guest, uint64_t gpa, uint64_t value)
{
	memcpy(ram(guest, gpa), &value, sizeof value);
}

/* 2 MiB of 4 KiB pages, identity but for two; then large pages; the device at DEVICE_LINEAR. */
static void make_tables(struct guest *guest)
{
	const uint64_t top = TABLES, middle = TABLES + 0x1000, low = TABLES + 0x2000, high = TABLES + 0x3000,
		pages = TABLES + 0x4000;

	put64(guest, top, middle | 7);
	put64(guest, middle, low | 7);
	put64(guest, middle + 8, high | 7);
	put64(guest, low, pages | 7);
	put64(guest, low + 8, 0x200000 | 0x83);
	put64(guest, high, DEVICE | 0x87);
	put64(guest, high + 8, VIDEO | 0x83);
	put64(guest, high + 16, ROM | 0x83);
	for (uint64_t i = 0; i < 512; i++)
		put64(guest, pages + i * 8, i << 12 | 7);
	put64(guest, pages + (READ_ONLY >> 12) * 8, READ_ONLY | 1);
	put64(guest, pages + (NOT_PRESENT >> 12) * 8, 0);
}

static void make_descriptors(struct guest *guest)
{
	put64(guest, GDT + 8, 0x00AF9B000000FFFF);
	put64(guest, GDT + 16, 0x00CF93000000FFFF);
	memcpy(ram(guest, HANDLERS), guest_handlers, guest_handlers_end - guest_handlers);
	for (unsigned i = 0; i < GUEST_VECTORS; i++) {
		uint64_t handler = HANDLERS + i * GUEST_HANDLER_SIZE;

		put64(guest, IDT + i * 16, (handler & 0xFFFF) | 0x08 << 16 | 0x8E00ull << 32 |
		      (handler & 0xFFFF0000) << 32);
		put64(guest, IDT + i * 16 + 8, 0);
	}
}

static void make_sregs(struct guest *guest, const struct kvm_sregs *initial)
{
	struct kvm_sregs *sregs = &guest->sregs;
	struct kvm_segment data = {
		.limit = 0xFFFFFFFF, .selector = 0x10, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1,
	};

	*sregs = *initial;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	data.selector = 8;
	data.type = 11;
	data.db = 0;
	data.l = 1;
	sregs->cs = data;
	sregs->gdt = (struct kvm_dtable){ .base = GDT, .limit = 23 };
	sregs->idt = (struct kvm_dtable){ .base = IDT, .limit = GUEST_VECTORS * 16 - 1 };
	sregs->cr0 = CR0_PE | CR0_MP | CR0_WP | CR0_PG | 0x30;
	sregs->cr3 = TABLES;
	sregs->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_FSGSBASE;
	sregs->efer = EFER_LME | EFER_LMA | EFER_NX;
}

struct guest *guest_new(unsigned cpus)
{
	struct guest *guest = g_new0(struct guest, 1);
	struct vcpu *vcpu;
	uint32_t low, high;
	GError *error = NULL;

	g_cond_init(&guest->cond);
	g_assert_true(kvm_init(&guest->kvm, &error));
	g_assert_true(vm_init(&guest->vm, &guest->kvm.hv, RAM, &error));
	guest->kvm.event = on_event;
	guest->kvm.event_opaque = guest;
	g_assert_true(kvm_create_vcpus(&guest->kvm, &guest->vm, cpus, &error));
	g_assert_no_error(error);
	guest->port = (struct bus_region){ "port", &port_ops, guest, .size = 1 };
	guest->device = (struct bus_region){ "device", &device_ops, guest, .size = DEVICE_SIZE };
	make_tables(guest);
	make_descriptors(guest);
	vcpu = guest->kvm.vcpus->pdata[0];
	make_sregs(guest, &vcpu->initial.sregs);
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	guest->components = low & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);
	g_mutex_lock(&guest->vm.lock);
	bus_map(&guest->vm.pio, &guest->port, GUEST_PORT);
	bus_map(&guest->vm.mmio, &guest->device, DEVICE);
	kvm_pause(&guest->kvm);
	g_mutex_unlock(&guest->vm.lock);
	return guest;
}

void guest_free(struct guest *guest)
{
	kvm_join(&guest->kvm);
	g_mutex_lock(&guest->vm.lock);
	bus_unmap(&guest->vm.pio, &guest->port);
	bus_unmap(&guest->vm.mmio, &guest->device);
	g_mutex_unlock(&guest->vm.lock);
	vm_finish(&guest->vm);
	kvm_finish(&guest->kvm);
	g_cond_clear(&guest->cond);
	g_free(guest->message);
	g_free(guest);
}

void set_vcpu(struct guest *guest, unsigned index, const struct kvm_regs *regs, const uint8_t *image)
{
	struct vcpu *vcpu = guest->kvm.vcpus->pdata[index];
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = guest->components } } };
	struct kvm_vcpu_events events = { .flags = KVM_VCPUEVENT_VALID_SHADOW };
	struct kvm_debugregs debug = { .dr6 = 0xFFFF0FF0, .dr7 = 0x400 };

	g_assert_cmpint(kvm_ioctl(vcpu->fd, KVM_SET_MP_STATE, &runnable), ==, 0);
	vcpu_set_registers(vcpu, regs, &guest->sregs);
	g_assert_cmpint(kvm_ioctl(vcpu->fd, KVM_SET_XCRS, &xcrs), ==, 0);
	g_assert_cmpint(kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), ==, 0);
	g_assert_cmpint(kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &debug), ==, 0);
	if (image)
		g_assert_cmpint(kvm_ioctl(vcpu->fd, KVM_SET_XSAVE, (void *)image), ==, 0);
}

void put_code(struct guest *guest, const uint8_t *code, size_t size)
{
	static const uint8_t done[] = { 0xE6, GUEST_PORT, 0xEB, 0xFE };

	memset(ram(guest, GUEST_RECORD), 0, sizeof(struct exception_record));
	memcpy(ram(guest, CODE), code, size);
	memcpy(ram(guest, CODE) + size, done, sizeof done);
}

void run(struct guest *guest, unsigned count, const char *what)
{
	gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;

	guest->done = 0;
	kvm_resume(&guest->kvm);
	while (guest->done < count && !guest->failures)
		if (!g_cond_wait_until(&guest->cond, &guest->vm.lock, deadline))
			g_error("%s: the guest does not answer", what);
	if (guest->failures)
		g_error("%s: %s", what, guest->message);
	kvm_pause(&guest->kvm);
}

struct vcpu *first(struct guest *guest)
{
	return guest->kvm.vcpus->pdata[0];
}

const struct exception_record *record(struct guest *guest)
{
	return (const struct exception_record *)ram(guest, GUEST_RECORD);
}
