#include "emulation.h"

#include <glib.h>

bool emulation_init(struct emulation *emulation, int vcpu_fd)
{
	(void)vcpu_fd;
	emulation->private = NULL;
	return true;
}

void emulation_finish(struct emulation *emulation)
{
	(void)emulation;
}

bool emulation_complete(struct vcpu *vcpu, char **report)
{
	if (report)
		*report = emulation_report(vcpu, "KVM cannot emulate an instruction");
	return false;
}
