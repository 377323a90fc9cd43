#include "vm.h"

bool vm_init(struct vm *vm, struct hypervisor *hv, uint64_t ram_size, GError **error)
{
	g_mutex_init(&vm->lock);
	vm->hv = hv;
	bus_init(&vm->mmio, hv, false);
	bus_init(&vm->pio, hv, true);
	irqs_init(&vm->irqs, hv);
	loop_init(&vm->loop, &vm->lock);
	clock_init(&vm->clock, &vm->loop);
	if (memory_init(&vm->memory, hv, ram_size, error))
		return true;
	vm_finish(vm);
	return false;
}

void vm_finish(struct vm *vm)
{
	memory_finish(&vm->memory);
	clock_finish(&vm->clock);
	loop_finish(&vm->loop);
	bus_finish(&vm->pio);
	bus_finish(&vm->mmio);
	g_mutex_clear(&vm->lock);
}
