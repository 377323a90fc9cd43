#include "irq_window.h"

#include "kvm.h"
#include "vcpu.h"
#include "vm.h"

#define ISA_LINES 16
/* An interrupt that is served normally is so within less. */
#define GRACE (5 * NSEC_PER_SEC / 1000)
/* Windows are a few instructions in some ten thousand: at this pace a key waits for a tenth of a second. */
#define KICK_PERIOD (NSEC_PER_SEC / 20000)
/* A vCPU that waits for a processor needs longer to notice. */
#define KICK_PERIOD_UNNOTICED (4 * KICK_PERIOD)
/* Being kicked takes half of the guest's time. One that is busy with something else must get through with it. */
#define KICKS_FOR_REST 5000
#define REST_MAX (2 * NSEC_PER_SEC)
#define KICKS_FOR_COUNTERS 1000
/* A line that nobody serves (masked, perhaps) is looked after ever more seldom: GRACE times 2 to this power. */
#define MISSES_MAX 8
/* Instructions emulated for each exit, beyond which the guest runs in the emulator. */
#define EMULATED_FOR_EXIT 8

/* Since the last look, has vCPU 0 been in the emulator? Hardware exits at least once for each instruction emulated. */
static bool kvm_emulates(struct kvm *kvm)
{
	struct irq_window *window = &kvm->irq_window;
	struct vcpu *vcpu = kvm->vcpus->pdata[0];
	struct kvm_stats_counters now;

	if (window->kicks % KICKS_FOR_COUNTERS)
		return window->emulates;
	window->emulates = false;
	if (!kvm_stats_read(&vcpu->stats, &now))
		return false;
	window->emulates = now.emulated - window->seen.emulated >
			   EMULATED_FOR_EXIT * (now.exits - window->seen.exits);
	window->seen = now;
	return window->emulates;
}

static uint64_t kick(struct kvm *kvm)
{
	struct irq_window *window = &kvm->irq_window;
	uint64_t now = clock_now(&kvm->vm->clock), wait = KICK_PERIOD;

	if (window->kicks % KICKS_FOR_REST == 0)
		window->burst = now;
	/* If the last kick has not been noticed yet, this one is the same. */
	if (!g_atomic_int_compare_and_exchange(&window->wanted, 0, 1))
		wait = KICK_PERIOD_UNNOTICED;
	else if (++window->kicks % KICKS_FOR_REST == 0)
		wait = MIN(now - window->burst, REST_MAX);
	vcpu_kick(kvm->vcpus->pdata[0]);
	return wait;
}

static void line_waits(void *opaque)
{
	struct kvm *kvm = opaque;
	struct irq_window *window = &kvm->irq_window;
	uint64_t wait;

	if (g_atomic_int_get(&window->wanted) || kvm_emulates(kvm)) {
		window->misses = 0;
		wait = kick(kvm);
	} else {
		window->misses = MIN(window->misses + 1, MISSES_MAX);
		window->kicks = 0;
		wait = GRACE << window->misses;
	}
	timer_set(&window->timer, clock_now(&kvm->vm->clock) + wait);
}

void irq_window_init(struct kvm *kvm)
{
	timer_init(&kvm->irq_window.timer, &kvm->vm->clock, line_waits, kvm);
}

void irq_window_finish(struct kvm *kvm)
{
	if (kvm->irq_window.timer.clock)
		timer_cancel(&kvm->irq_window.timer);
	kvm->irq_window.timer.clock = NULL;
}

void irq_window_line(struct kvm *kvm, unsigned gsi, bool level)
{
	struct irq_window *window = &kvm->irq_window;

	if (gsi >= ISA_LINES)
		return;
	if (level)
		window->asserted |= 1u << gsi;
	else
		window->asserted &= ~(1u << gsi);
	if (!window->timer.clock)
		return;
	if (!window->asserted) {
		timer_cancel(&window->timer);
	} else if (!window->timer.pending) {
		window->kicks = window->misses = 0;
		timer_set(&window->timer, clock_now(&kvm->vm->clock) + GRACE);
	}
}

/* Setting a vCPU's events, even to what they are, makes KVM look for interrupts at the next entry. */
void irq_window_look(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events;

	g_atomic_int_set(&vcpu->kvm->irq_window.wanted, 0);
	if (!vcpu->run->if_flag || kvm_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
		return;
	events.flags = 0;
	kvm_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events);
}
