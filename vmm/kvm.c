#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpuid.h"
#include "vm.h"

/* Pages that VT-x without unrestricted guest mode needs; above any RAM, reserved in the memory map. */
#define IDENTITY_MAP_ADDRESS 0xFEFFC000ull
#define TSS_ADDRESS 0xFEFFD000ull

int kvm_ioctl(int fd, unsigned long request, void *argument)
{
	int result;

	do
		result = ioctl(fd, request, argument);
	while (result < 0 && errno == EINTR);
	return result;
}

int kvm_check(const struct kvm *kvm, int capability)
{
	return kvm_ioctl(kvm->fd >= 0 ? kvm->fd : kvm->device_fd, KVM_CHECK_EXTENSION, (void *)(intptr_t)capability);
}

static struct kvm *from_hv(struct hypervisor *hv)
{
	return (struct kvm *)((char *)hv - G_STRUCT_OFFSET(struct kvm, hv));
}

static bool set_slot(struct hypervisor *hv, const struct memory_slot *slot)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot->id,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->host,
	};

	if (slot->flags & MEMORY_READONLY)
		region.flags |= KVM_MEM_READONLY;
	if (slot->flags & MEMORY_LOG_DIRTY)
		region.flags |= KVM_MEM_LOG_DIRTY_PAGES;
	if (kvm_ioctl(from_hv(hv)->fd, KVM_SET_USER_MEMORY_REGION, &region) == 0)
		return true;
	g_warning("KVM refused %" G_GUINT64_FORMAT " KiB of memory at %#" G_GINT64_MODIFIER "x: %s", slot->size >> 10,
		  slot->gpa, g_strerror(errno));
	return false;
}

static bool get_dirty(struct hypervisor *hv, const struct memory_slot *slot, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot->id, .dirty_bitmap = bitmap };

	return kvm_ioctl(from_hv(hv)->fd, KVM_GET_DIRTY_LOG, &log) == 0;
}

static void set_irq(struct hypervisor *hv, unsigned gsi, bool level)
{
	struct kvm_irq_level line = { .irq = gsi, .level = level };

	kvm_ioctl(from_hv(hv)->fd, KVM_IRQ_LINE, &line);
	irq_window_line(from_hv(hv), gsi, level);
}

static void signal_msi(struct hypervisor *hv, uint64_t address, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = (uint32_t)address, .address_hi = (uint32_t)(address >> 32), .data = data };

	kvm_ioctl(from_hv(hv)->fd, KVM_SIGNAL_MSI, &msi);
}

static void coalesce(struct hypervisor *hv, bool pio, uint64_t base, uint64_t size, bool on)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = base, .size = (uint32_t)size, .pio = pio };
	struct kvm *kvm = from_hv(hv);

	if (pio && kvm_check(kvm, KVM_CAP_COALESCED_PIO) <= 0)
		return;
	/* Without it the writes just exit one by one. */
	kvm_ioctl(kvm->fd, on ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO, &zone);
}

static void drain(struct hypervisor *hv)
{
	struct kvm *kvm = from_hv(hv);
	struct kvm_coalesced_mmio_ring *ring = kvm->ring;

	if (!ring)
		return;
	while (g_atomic_int_get((gint *)&ring->last) != (gint)ring->first) {
		struct kvm_coalesced_mmio entry = ring->coalesced_mmio[ring->first % kvm->ring_size];
		uint64_t value = 0;

		memcpy(&value, entry.data, MIN(entry.len, sizeof value));
		/* Freed before the dispatch, which may unmap a region and come back here. */
		g_atomic_int_set((gint *)&ring->first, (gint)((ring->first + 1) % kvm->ring_size));
		bus_write(entry.pio ? &kvm->vm->pio : &kvm->vm->mmio, entry.phys_addr, entry.len, value);
	}
}

static const struct hypervisor_ops kvm_ops = {
	.set_slot = set_slot,
	.get_dirty = get_dirty,
	.set_irq = set_irq,
	.signal_msi = signal_msi,
	.coalesce = coalesce,
	.drain = drain,
};

static const struct {
	int capability;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "user memory slots" },
	{ KVM_CAP_SET_TSS_ADDR, "TSS address" },
	{ KVM_CAP_EXT_CPUID, "CPUID" },
	{ KVM_CAP_IRQCHIP, "in-kernel interrupt controllers" },
	{ KVM_CAP_PIT2, "in-kernel timer" },
	{ KVM_CAP_SIGNAL_MSI, "message-signalled interrupts" },
	{ KVM_CAP_MP_STATE, "vCPU states" },
	{ KVM_CAP_VCPU_EVENTS, "vCPU events" },
	{ KVM_CAP_XCRS, "extended control registers" },
	{ KVM_CAP_XSAVE, "extended register state" },
	{ KVM_CAP_READONLY_MEM, "read-only memory slots" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
};

static bool open_device(struct kvm *kvm, GError **error)
{
	const char *hint;

	kvm->device_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm->device_fd >= 0)
		return true;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		hint = _("Virtualization is switched off or KVM is not loaded. Enable VT-x or SVM in the computer's "
			 "BIOS setup, then load KVM: sudo modprobe kvm_intel (Intel) or sudo modprobe kvm_amd (AMD)");
		break;
	case EACCES:
	case EPERM:
		hint = _("You may not use KVM yet. Run: sudo usermod -aG kvm $USER, then log out and in again");
		break;
	case EBUSY:
		hint = _("Another hypervisor is using the processor's virtualization. Close it (VirtualBox, VMware) "
			 "and try again");
		break;
	default:
		hint = _("See the kernel's messages: sudo dmesg | grep -i kvm");
	}
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), _("Cannot open /dev/kvm: %s. %s"),
		    g_strerror(errno), hint);
	return false;
}

static bool check_capabilities(struct kvm *kvm, GError **error)
{
	int version = kvm_ioctl(kvm->device_fd, KVM_GET_API_VERSION, NULL);

	if (version < 0) {
		g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
			    _("/dev/kvm does not answer as KVM: %s. Load KVM anew: sudo modprobe kvm_intel (Intel) "
			      "or sudo modprobe kvm_amd (AMD)"), g_strerror(errno));
		return false;
	}
	if (version != KVM_API_VERSION) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
			    _("The kernel's KVM speaks version %d, this program %d. Install a newer kernel"), version,
			    KVM_API_VERSION);
		return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(needed); i++) {
		if (kvm_check(kvm, needed[i].capability) > 0)
			continue;
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSYS,
			    _("The kernel's KVM lacks %s (capability %d). Install a newer kernel"), needed[i].name,
			    needed[i].capability);
		return false;
	}
	return true;
}

static bool enable(struct kvm *kvm, int capability, uint64_t argument)
{
	struct kvm_enable_cap enable = { .cap = (uint32_t)capability, .args = { argument } };

	return kvm_check(kvm, capability) > 0 && kvm_ioctl(kvm->fd, KVM_ENABLE_CAP, &enable) == 0;
}

static bool create_vm(struct kvm *kvm, GError **error)
{
	uint64_t identity_map = IDENTITY_MAP_ADDRESS;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	/* What fails: why, and what to do about it */
	const char *format = N_("KVM cannot create a virtual machine: %s. %s");

	kvm->fd = kvm_ioctl(kvm->device_fd, KVM_CREATE_VM, NULL);
	if (kvm->fd < 0)
		goto failed;
	format = N_("KVM cannot set up real mode: %s. %s");
	if (kvm_ioctl(kvm->fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
	    kvm_ioctl(kvm->fd, KVM_SET_TSS_ADDR, (void *)(uintptr_t)TSS_ADDRESS) < 0)
		goto failed;
	format = N_("KVM cannot create interrupt controllers: %s. %s");
	if (kvm_ioctl(kvm->fd, KVM_CREATE_IRQCHIP, NULL) < 0)
		goto failed;
	format = N_("KVM cannot create the timer: %s. %s");
	if (kvm_ioctl(kvm->fd, KVM_CREATE_PIT2, &pit) < 0)
		goto failed;
	/* All three are comfort: without them KVM injects #GP, and reports less. */
	if (!enable(kvm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER))
		g_message("KVM does not pass unknown MSRs on: guests see #GP");
	enable(kvm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	kvm->x2apic_api = enable(kvm, KVM_CAP_X2APIC_API,
				 KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
	return true;
failed:
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), _(format), g_strerror(errno),
		    errno == EBUSY || errno == EEXIST ? _("Close other hypervisors and try again") :
		    _("See the kernel's messages: sudo dmesg | grep -i kvm"));
	return false;
}

bool kvm_init(struct kvm *kvm, GError **error)
{
	memset(kvm, 0, sizeof *kvm);
	kvm->hv.ops = &kvm_ops;
	kvm->device_fd = kvm->fd = -1;
	kvm->vcpus = g_ptr_array_new();
	g_cond_init(&kvm->parked);
	g_cond_init(&kvm->resumed);
	kvm->stop = 1;
	if (open_device(kvm, error) && check_capabilities(kvm, error) && create_vm(kvm, error))
		return true;
	kvm_finish(kvm);
	return false;
}

/* What kvm_reset() goes back to. */
static void remember_initial_state(struct kvm *kvm)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(kvm->initial_irqchip); i++) {
		kvm->initial_irqchip[i].chip_id = i;
		kvm_ioctl(kvm->fd, KVM_GET_IRQCHIP, &kvm->initial_irqchip[i]);
	}
	kvm_ioctl(kvm->fd, KVM_GET_PIT2, &kvm->initial_pit);
}

static bool check_limits(struct kvm *kvm, unsigned count, GError **error)
{
	const struct memory *memory = &kvm->vm->memory;
	uint64_t end = memory->high_size ? MEMORY_HIGH_BASE + memory->high_size : memory->low_size;
	unsigned bits = cpuid_physical_bits(kvm->cpuid);
	int most = kvm_check(kvm, KVM_CAP_MAX_VCPUS);

	if (most <= 0)
		most = 4;
	if (count == 0 || count > (unsigned)most) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("The machine asks for %u CPUs; this host's KVM gives a machine 1 to %d"), count, most);
		return false;
	}
	/* Half of the address space is left for devices. */
	if (bits < 64 && end > 1ull << (bits - 1)) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
			    _("The machine asks for %" PRIu64 " MiB of memory; this host's processor can address "
			      "%" PRIu64 " MiB. Give the machine less memory"), memory->ram_size >> 20,
			    (uint64_t)1 << (bits - 1 - 20));
		return false;
	}
	return true;
}

bool kvm_create_vcpus(struct kvm *kvm, struct vm *vm, unsigned count, GError **error)
{
	int run_size = kvm_ioctl(kvm->device_fd, KVM_GET_VCPU_MMAP_SIZE, NULL);
	int ring_page = kvm_check(kvm, KVM_CAP_COALESCED_MMIO);

	kvm->vm = vm;
	kvm->run_size = run_size > 0 ? (size_t)run_size : sizeof(struct kvm_run);
	kvm->cpuid = cpuid_new(kvm->device_fd, error);
	if (!kvm->cpuid || !check_limits(kvm, count, error))
		return false;
	for (unsigned i = 0; i < count; i++) {
		struct vcpu *vcpu = vcpu_new(kvm, i, count, error);

		if (!vcpu)
			return false;
		g_ptr_array_add(kvm->vcpus, vcpu);
		/* The ring is the machine's, reached through any vCPU's mapping. */
		if (i == 0 && ring_page > 0) {
			size_t page = (size_t)sysconf(_SC_PAGESIZE);

			kvm->ring = (void *)((char *)vcpu->run + (size_t)ring_page * page);
			kvm->ring_size = (unsigned)((page - sizeof *kvm->ring) / sizeof kvm->ring->coalesced_mmio[0]);
		}
	}
	remember_initial_state(kvm);
	irq_window_init(kvm);
	for (unsigned i = 0; i < count; i++)
		vcpu_start(kvm->vcpus->pdata[i]);
	return true;
}

void kvm_finish(struct kvm *kvm)
{
	for (guint i = 0; i < kvm->vcpus->len; i++)
		vcpu_free(kvm->vcpus->pdata[i]);
	g_ptr_array_free(kvm->vcpus, TRUE);
	g_free(kvm->cpuid);
	if (kvm->fd >= 0)
		close(kvm->fd);
	if (kvm->device_fd >= 0)
		close(kvm->device_fd);
	g_cond_clear(&kvm->parked);
	g_cond_clear(&kvm->resumed);
}

void kvm_stop_soon(struct kvm *kvm)
{
	g_atomic_int_set(&kvm->stop, 1);
	for (guint i = 0; i < kvm->vcpus->len; i++)
		vcpu_kick(kvm->vcpus->pdata[i]);
}

/* The guest's clock stands still while it does, and its watchdogs are told that it is not their fault. */
static void stop_clock(struct kvm *kvm)
{
	if (!kvm->clock_stopped && kvm_ioctl(kvm->fd, KVM_GET_CLOCK, &kvm->clock) == 0)
		kvm->clock_stopped = true;
}

static void start_clock(struct kvm *kvm)
{
	struct kvm_clock_data clock = { .clock = kvm->clock.clock };

	if (!kvm->clock_stopped)
		return;
	kvm->clock_stopped = false;
	kvm_ioctl(kvm->fd, KVM_SET_CLOCK, &clock);
	/* Refused by vCPUs whose guest has no kvmclock. */
	for (guint i = 0; i < kvm->vcpus->len; i++)
		kvm_ioctl(((struct vcpu *)kvm->vcpus->pdata[i])->fd, KVM_KVMCLOCK_CTRL, NULL);
}

void kvm_pause(struct kvm *kvm)
{
	kvm_stop_soon(kvm);
	for (guint i = 0; i < kvm->vcpus->len; i++) {
		struct vcpu *vcpu = kvm->vcpus->pdata[i];

		while (!vcpu->parked)
			g_cond_wait(&kvm->parked, &kvm->vm->lock);
	}
	drain(&kvm->hv);
	stop_clock(kvm);
}

void kvm_resume(struct kvm *kvm)
{
	start_clock(kvm);
	g_atomic_int_set(&kvm->stop, 0);
	g_cond_broadcast(&kvm->resumed);
}

void kvm_reset(struct kvm *kvm)
{
	/* KVM adds its own time base to the timer's; the state as created keeps every channel stopped. */
	for (unsigned i = 0; i < G_N_ELEMENTS(kvm->initial_irqchip); i++)
		kvm_ioctl(kvm->fd, KVM_SET_IRQCHIP, &kvm->initial_irqchip[i]);
	kvm_ioctl(kvm->fd, KVM_SET_PIT2, &kvm->initial_pit);
	for (guint i = 0; i < kvm->vcpus->len; i++)
		vcpu_reset(kvm->vcpus->pdata[i]);
	if (kvm->start_regs && kvm->start_sregs)
		vcpu_set_registers(kvm->vcpus->pdata[0], kvm->start_regs, kvm->start_sregs);
}

void kvm_join(struct kvm *kvm)
{
	/* Nothing was ever started, and kvm->vm may not be known. */
	if (!kvm->vcpus->len)
		return;
	g_mutex_lock(&kvm->vm->lock);
	kvm->quit = true;
	irq_window_finish(kvm);
	kvm_stop_soon(kvm);
	g_cond_broadcast(&kvm->resumed);
	g_mutex_unlock(&kvm->vm->lock);
	for (guint i = 0; i < kvm->vcpus->len; i++)
		vcpu_join(kvm->vcpus->pdata[i]);
}
