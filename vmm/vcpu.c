#include "vcpu.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpuid.h"
#include "kvm.h"
#include "vm.h"

/* The signal that gets a vCPU out of KVM_RUN. */
#define KICK_SIGNAL SIGRTMIN

#define MSR_IA32_TSC 0x10
#define MSR_HWCR 0xC0010015
#define HWCR_TSC_FREQ_SEL (1ull << 24)

static void kicked(int signal)
{
	(void)signal; /* its arrival is what counts: KVM_RUN returns */
}

static const char *const exit_names[VCPU_EXIT_REASONS] = {
	[KVM_EXIT_UNKNOWN] = "unknown", [KVM_EXIT_EXCEPTION] = "exception", [KVM_EXIT_IO] = "io",
	[KVM_EXIT_DEBUG] = "debug", [KVM_EXIT_HLT] = "hlt", [KVM_EXIT_MMIO] = "mmio",
	[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq-window", [KVM_EXIT_SHUTDOWN] = "shutdown",
	[KVM_EXIT_FAIL_ENTRY] = "fail-entry", [KVM_EXIT_INTR] = "interrupted",
	[KVM_EXIT_INTERNAL_ERROR] = "failed-emulation", [KVM_EXIT_SYSTEM_EVENT] = "system-event",
	[KVM_EXIT_IOAPIC_EOI] = "ioapic-eoi", [KVM_EXIT_HYPERV] = "hyperv",
	[KVM_EXIT_X86_RDMSR] = "rdmsr", [KVM_EXIT_X86_WRMSR] = "wrmsr",
	[KVM_EXIT_X86_BUS_LOCK] = "bus-lock",
};

const char *vcpu_exit_name(unsigned reason)
{
	return reason < VCPU_EXIT_REASONS ? exit_names[reason] : NULL;
}

/* One MSR at a time: KVM stops a list at the first that it refuses. */
static bool msr_ioctl(struct vcpu *vcpu, unsigned long request, struct kvm_msr_entry *entry)
{
	struct kvm_msrs *msrs = g_alloca(sizeof *msrs + sizeof *entry);
	bool ok;

	memset(msrs, 0, sizeof *msrs);
	msrs->nmsrs = 1;
	msrs->entries[0] = *entry;
	ok = kvm_ioctl(vcpu->fd, request, msrs) == 1;
	*entry = msrs->entries[0];
	return ok;
}

/*
 * AMD's processors always have this bit set, and Linux calls it a bug of the firmware if it is clear (AMD64 APM volume
 * 2, HWCR). Other processors, and KVM before Linux 6.7, do not know it.
 */
static void set_initial_hwcr(struct vcpu *vcpu)
{
	struct kvm_msr_entry entry = { .index = MSR_HWCR, .data = HWCR_TSC_FREQ_SEL };

	msr_ioctl(vcpu, KVM_SET_MSRS, &entry);
}

static struct kvm_msrs *read_msrs(struct vcpu *vcpu)
{
	struct kvm_msr_list *list = g_malloc0(sizeof *list + 1024 * sizeof(uint32_t));
	struct kvm_msrs *msrs;

	list->nmsrs = 1024;
	if (kvm_ioctl(vcpu->kvm->device_fd, KVM_GET_MSR_INDEX_LIST, list) < 0)
		list->nmsrs = 0;
	msrs = g_malloc0(sizeof *msrs + list->nmsrs * sizeof(struct kvm_msr_entry));
	for (uint32_t i = 0; i < list->nmsrs; i++) {
		struct kvm_msr_entry entry = { .index = list->indices[i] };

		/* Guests may count on a time stamp counter that never goes back. */
		if (entry.index != MSR_IA32_TSC && msr_ioctl(vcpu, KVM_GET_MSRS, &entry))
			msrs->entries[msrs->nmsrs++] = entry;
	}
	g_free(list);
	return msrs;
}

/* A fresh KVM image has no state component valid, which leaves MXCSR to chance on some hosts: name x87 and SSE. */
static void set_initial_xsave(struct vcpu *vcpu)
{
	uint32_t *region = vcpu->initial.xsave->region;

	region[0] = 0x37F;     /* FCW */
	region[6] = 0x1F80;    /* MXCSR */
	region[128] |= 3;      /* XSTATE_BV: x87, SSE */
}

static void read_initial(struct vcpu *vcpu)
{
	struct vcpu_initial *initial = &vcpu->initial;
	int xsave_size = kvm_check(vcpu->kvm, KVM_CAP_XSAVE2);

	initial->xsave = g_malloc0(MAX(sizeof *initial->xsave, (size_t)MAX(xsave_size, 0)));
	kvm_ioctl(vcpu->fd, KVM_GET_REGS, &initial->regs);
	kvm_ioctl(vcpu->fd, KVM_GET_SREGS, &initial->sregs);
	kvm_ioctl(vcpu->fd, KVM_GET_XSAVE, initial->xsave);
	kvm_ioctl(vcpu->fd, KVM_GET_XCRS, &initial->xcrs);
	kvm_ioctl(vcpu->fd, KVM_GET_DEBUGREGS, &initial->debugregs);
	kvm_ioctl(vcpu->fd, KVM_GET_LAPIC, &initial->lapic);
	kvm_ioctl(vcpu->fd, KVM_GET_MP_STATE, &initial->mp_state);
	kvm_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &initial->events);
	set_initial_hwcr(vcpu);
	initial->msrs = read_msrs(vcpu);
	set_initial_xsave(vcpu);
}

static bool set_cpuid(struct vcpu *vcpu, unsigned count)
{
	g_autofree struct kvm_cpuid2 *cpuid = cpuid_copy(vcpu->kvm->cpuid);

	cpuid_set_topology(cpuid, vcpu->index, count);
	return kvm_ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) == 0;
}

struct vcpu *vcpu_new(struct kvm *kvm, unsigned index, unsigned count, GError **error)
{
	struct vcpu *vcpu = g_new0(struct vcpu, 1);
	const char *format = N_("KVM cannot create CPU %u: %s");
	void *run;

	vcpu->vm = kvm->vm;
	vcpu->kvm = kvm;
	vcpu->index = index;
	vcpu->unknown_msrs = g_hash_table_new(NULL, NULL);
	vcpu->stats.fd = -1;
	vcpu->fd = kvm_ioctl(kvm->fd, KVM_CREATE_VCPU, (void *)(uintptr_t)index);
	if (vcpu->fd < 0)
		goto failed;
	format = N_("KVM cannot map the state of CPU %u: %s");
	run = mmap(NULL, kvm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (run == MAP_FAILED)
		goto failed;
	vcpu->run = run;
	format = N_("KVM cannot set the CPUID of CPU %u: %s");
	if (!set_cpuid(vcpu, count))
		goto failed;
	format = N_("KVM cannot prepare the completion of instructions for CPU %u: %s");
	if (!emulation_init(&vcpu->emulation, vcpu->fd))
		goto failed;
	read_initial(vcpu);
	kvm_stats_init(&vcpu->stats, vcpu->fd);
	return vcpu;
failed:
	g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), _(format), index, g_strerror(errno));
	vcpu_free(vcpu);
	return NULL;
}

void vcpu_free(struct vcpu *vcpu)
{
	emulation_finish(&vcpu->emulation);
	kvm_stats_finish(&vcpu->stats);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->kvm->run_size);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	g_hash_table_unref(vcpu->unknown_msrs);
	g_free(vcpu->initial.xsave);
	g_free(vcpu->initial.msrs);
	g_free(vcpu);
}

void vcpu_kick(struct vcpu *vcpu)
{
	/* The flag catches a vCPU that is about to enter, the signal one that is inside. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (vcpu->started)
		pthread_kill(vcpu->pthread, KICK_SIGNAL);
}

void vcpu_set_registers(struct vcpu *vcpu, const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	kvm_ioctl(vcpu->fd, KVM_SET_SREGS, (void *)sregs);
	kvm_ioctl(vcpu->fd, KVM_SET_REGS, (void *)regs);
}

void vcpu_reset(struct vcpu *vcpu)
{
	struct vcpu_initial *initial = &vcpu->initial;

	kvm_ioctl(vcpu->fd, KVM_SET_MP_STATE, &initial->mp_state);
	vcpu_set_registers(vcpu, &initial->regs, &initial->sregs);
	kvm_ioctl(vcpu->fd, KVM_SET_XCRS, &initial->xcrs);
	kvm_ioctl(vcpu->fd, KVM_SET_XSAVE, initial->xsave);
	kvm_ioctl(vcpu->fd, KVM_SET_DEBUGREGS, &initial->debugregs);
	for (uint32_t i = 0; i < initial->msrs->nmsrs; i++) {
		struct kvm_msr_entry entry = initial->msrs->entries[i];

		msr_ioctl(vcpu, KVM_SET_MSRS, &entry);
	}
	kvm_ioctl(vcpu->fd, KVM_SET_LAPIC, &initial->lapic);
	kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &initial->events);
}

static void handle_io(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *bus = &vcpu->vm->pio;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned size = run->io.size;

	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		uint64_t value = 0;

		if (run->io.direction == KVM_EXIT_IO_OUT) {
			memcpy(&value, data, size);
			bus_write(bus, run->io.port, size, value);
		} else {
			value = bus_read(bus, run->io.port, size);
			memcpy(data, &value, size);
		}
	}
}

static void handle_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct bus *bus = &vcpu->vm->mmio;
	unsigned size = MIN(run->mmio.len, 8u);
	uint64_t value = 0;

	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, size);
		bus_write(bus, run->mmio.phys_addr, size, value);
	} else {
		value = bus_read(bus, run->mmio.phys_addr, size);
		memcpy(run->mmio.data, &value, size);
	}
}

/* Guests probe MSRs of processors they know; a zero satisfies them, an exception may be the end of them. */
static void handle_msr(struct vcpu *vcpu, bool write)
{
	struct kvm_run *run = vcpu->run;
	uint32_t index = run->msr.index;

	if (g_hash_table_add(vcpu->unknown_msrs, GUINT_TO_POINTER(index)))
		g_message("CPU %u %s unknown MSR %#x%s", vcpu->index, write ? "writes" : "reads", index,
			  write ? ": ignored" : ": answered with 0");
	if (!write)
		run->msr.data = 0;
	run->msr.error = 0;
}

static void fail(struct vcpu *vcpu, const char *message)
{
	vcpu->kvm->event(vcpu->kvm->event_opaque, KVM_EVENT_FAILED, message);
}

static void fail_with_registers(struct vcpu *vcpu, const char *what)
{
	g_autofree char *report = emulation_report(vcpu, what);

	fail(vcpu, report);
}

/* Takes vm->lock as needed. */
static void handle_internal_error(struct vcpu *vcpu)
{
	g_autofree char *report = NULL;
	g_autofree char *what = NULL;

	if (vcpu->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
		if (emulation_complete(vcpu, &report)) {
			vcpu->completed_instructions++;
			return;
		}
		g_mutex_lock(&vcpu->vm->lock);
		fail(vcpu, report);
	} else {
		what = g_strdup_printf(_("KVM reports internal error %u"), vcpu->run->internal.suberror);
		g_mutex_lock(&vcpu->vm->lock);
		fail_with_registers(vcpu, what);
	}
	g_mutex_unlock(&vcpu->vm->lock);
}

static void handle_locked(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	g_autofree char *what = NULL;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_io(vcpu);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(vcpu);
		break;
	case KVM_EXIT_X86_RDMSR:
		handle_msr(vcpu, false);
		break;
	case KVM_EXIT_X86_WRMSR:
		handle_msr(vcpu, true);
		break;
	case KVM_EXIT_SHUTDOWN:
		vcpu->kvm->event(vcpu->kvm->event_opaque, KVM_EVENT_TRIPLE_FAULT, "triple fault");
		break;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR:
	case KVM_EXIT_HLT:
		break;
	case KVM_EXIT_FAIL_ENTRY:
		what = g_strdup_printf(_("The processor refuses to run the guest (hardware reason %#" PRIx64 ")"),
				       (uint64_t)run->fail_entry.hardware_entry_failure_reason);
		fail_with_registers(vcpu, what);
		break;
	default:
		what = g_strdup_printf(_("KVM exits for an unexpected reason (%u)"), run->exit_reason);
		fail_with_registers(vcpu, what);
	}
}

static void handle_exit(struct vcpu *vcpu)
{
	uint32_t reason = vcpu->run->exit_reason;

	vcpu->exits[MIN(reason, VCPU_EXIT_REASONS - 1u)]++;
	if (reason == KVM_EXIT_INTERNAL_ERROR) {
		handle_internal_error(vcpu);
		return;
	}
	g_mutex_lock(&vcpu->vm->lock);
	vcpu->vm->hv->ops->drain(vcpu->vm->hv);
	handle_locked(vcpu);
	g_mutex_unlock(&vcpu->vm->lock);
}

/* False: nothing was run, only what an earlier exit left unfinished has been finished. */
static bool enter_guest(struct vcpu *vcpu)
{
	g_autofree char *what = NULL;

	if (ioctl(vcpu->fd, KVM_RUN, NULL) == 0)
		return true;
	if (errno == EINTR || errno == EAGAIN)
		return false;
	/* EFAULT and the like with no exit: KVM has no way to go on. */
	what = g_strdup_printf(_("KVM cannot run the guest: %s"), g_strerror(errno));
	g_mutex_lock(&vcpu->vm->lock);
	fail_with_registers(vcpu, what);
	g_mutex_unlock(&vcpu->vm->lock);
	return false;
}

/*
 * An exit for I/O is finished by the next KVM_RUN: it writes the register that IN or a load was for. With immediate_exit
 * it does just that, so that registers are the guest's own while it is parked.
 */
static void finish_pending(struct vcpu *vcpu)
{
	do
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	while (ioctl(vcpu->fd, KVM_RUN, NULL) == 0 && (handle_exit(vcpu), true));
}

/* False: the thread must end. */
static bool wait_until_resumed(struct vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	bool go_on;

	finish_pending(vcpu);
	g_mutex_lock(&vcpu->vm->lock);
	while (g_atomic_int_get(&kvm->stop) && !kvm->quit) {
		if (!vcpu->parked) {
			vcpu->parked = true;
			g_cond_broadcast(&kvm->parked);
		}
		g_cond_wait(&kvm->resumed, &vcpu->vm->lock);
	}
	go_on = !kvm->quit;
	vcpu->parked = !go_on;
	g_mutex_unlock(&vcpu->vm->lock);
	return go_on;
}

static void take_kicks(void)
{
	struct sigaction action = { .sa_handler = kicked };
	sigset_t set;

	sigaction(KICK_SIGNAL, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static gpointer vcpu_thread(gpointer data)
{
	struct vcpu *vcpu = data;
	struct kvm *kvm = vcpu->kvm;

	take_kicks();
	g_mutex_lock(&vcpu->vm->lock);
	vcpu->pthread = pthread_self();
	vcpu->tid = gettid();
	vcpu->started = true;
	g_cond_broadcast(&kvm->parked);
	g_mutex_unlock(&vcpu->vm->lock);
	for (;;) {
		/* Cleared before stop is looked at: whoever sets stop afterwards sets this too. */
		__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
		if (g_atomic_int_get(&kvm->stop) && !wait_until_resumed(vcpu))
			break;
		if (enter_guest(vcpu))
			handle_exit(vcpu);
		else if (vcpu->index == 0 && g_atomic_int_get(&kvm->irq_window.wanted))
			irq_window_look(vcpu);
	}
	return NULL;
}

void vcpu_start(struct vcpu *vcpu)
{
	g_autofree char *name = g_strdup_printf("cpu%u", vcpu->index);

	vcpu->thread = g_thread_new(name, vcpu_thread, vcpu);
	g_mutex_lock(&vcpu->vm->lock);
	while (!vcpu->started)
		g_cond_wait(&vcpu->kvm->parked, &vcpu->vm->lock);
	g_mutex_unlock(&vcpu->vm->lock);
}

void vcpu_join(struct vcpu *vcpu)
{
	if (!vcpu->thread)
		return;
	g_thread_join(vcpu->thread);
	vcpu->thread = NULL;
	vcpu->started = false;
}

void vcpu_times(const struct vcpu *vcpu, struct vcpu_times *times)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%d/stat", vcpu->tid);
	uint64_t tick = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	g_autofree char *text = NULL;
	g_auto(GStrv) fields = NULL;
	char *after_name;

	*times = (struct vcpu_times){ 0 };
	if (!g_file_get_contents(path, &text, NULL, NULL) || !(after_name = strrchr(text, ')')))
		return;
	/* Field 3 follows the name: 14 utime, 15 stime, 43 guest time (which utime includes). */
	fields = g_strsplit(after_name + 2, " ", -1);
	if (g_strv_length(fields) < 41)
		return;
	times->guest = g_ascii_strtoull(fields[40], NULL, 10) * tick;
	times->user = g_ascii_strtoull(fields[11], NULL, 10) * tick;
	times->user -= MIN(times->guest, times->user);
	times->kernel = g_ascii_strtoull(fields[12], NULL, 10) * tick;
}
