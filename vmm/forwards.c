#include "forwards.h"

#include <glib/gi18n.h>

#include "control/control.h"
#include "machine.h"
#include "machine_control.h"
#include "net/nat.h"

struct forwarding {
	struct machine *machine;
	struct nat_forward *forward;
	bool add;
	machine_forward_done done;
	void *opaque;
};

static struct nat_forward *copy_forward(const struct nat_forward *forward)
{
	struct nat_forward *copy = g_memdup2(forward, sizeof *forward);

	copy->host_address = g_strdup(forward->host_address);
	copy->guest_address = g_strdup(forward->guest_address);
	return copy;
}

static void forget(struct machine *machine, const struct nat_forward *forward)
{
	for (guint i = machine->forwards->len; i--; )
		if (nat_forward_same_port(machine->forwards->pdata[i], forward))
			g_ptr_array_remove_index(machine->forwards, i);
}

static void carried_out(void *opaque, const GError *error)
{
	struct forwarding *forwarding = opaque;
	struct machine *machine = forwarding->machine;

	if (!error) {
		forget(machine, forwarding->forward);
		if (forwarding->add)
			g_ptr_array_add(machine->forwards, copy_forward(forwarding->forward));
		if (machine->control)
			control_forwards_changed(machine->control);
	}
	forwarding->done(forwarding->opaque, error);
	nat_forward_free(forwarding->forward);
	g_free(forwarding);
}

static void start(struct machine *machine, struct nat_forward *forward, bool add, machine_forward_done done,
		  void *opaque)
{
	struct forwarding *forwarding = g_new(struct forwarding, 1);

	*forwarding = (struct forwarding){ machine, forward, add, done, opaque };
	nat_forward(&machine->vm, machine->network, forward, add, carried_out, forwarding);
}

static bool has_nat(const struct machine *machine)
{
	return machine->config->network_mode == CONFIG_NETWORK_NAT ||
	       machine->config->network_mode == CONFIG_NETWORK_ISOLATED;
}

void machine_forward(struct machine *machine, const char *text, bool add, machine_forward_done done, void *opaque)
{
	g_autoptr(GError) error = NULL;
	struct nat_forward *forward = NULL;

	if (machine->network && !has_nat(machine))
		g_set_error(&error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
			    _("The guest has an address of its own in the network of %s, at which all of its ports "
			      "can be reached"), machine->config->interface);
	else if (!machine->network)
		g_set_error(&error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED, _("The machine has no network adapter"));
	else
		forward = nat_forward_parse(text, &error);
	if (forward)
		start(machine, forward, add, done, opaque);
	else
		done(opaque, error);
}

GPtrArray *machine_forwards_new(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)nat_forward_free);
}

bool machine_forwards_start(struct machine *machine, GError **error)
{
	g_autoptr(GPtrArray) forwards = nat_forward_parse_list(machine->config->forwards, error);

	if (!forwards)
		return false;
	for (guint i = 0; has_nat(machine) && i < forwards->len; i++)
		start(machine, copy_forward(forwards->pdata[i]), true, machine_tell_trouble, machine);
	return true;
}
