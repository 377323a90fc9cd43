#include "host_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gi18n.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

int oriel_host_try_kvm(const char *device)
{
	int fd = open(device, O_RDWR | O_CLOEXEC), machine, code;

	if (fd < 0)
		return errno;
	/* Only a VM shows whether somebody else has the processor. */
	machine = ioctl(fd, KVM_CREATE_VM, 0);
	code = machine < 0 ? errno : 0;
	if (machine >= 0)
		close(machine);
	close(fd);
	return code;
}

static gboolean has(const struct oriel_host_place *place, const char *path)
{
	g_autofree char *file = g_build_filename(place->root, path, NULL);

	return g_file_test(file, G_FILE_TEST_EXISTS);
}

/* A word of the first line of /proc/cpuinfo that starts with key */
static gboolean cpu_has(const char *cpuinfo, const char *key, const char *word)
{
	const char *start = strstr(cpuinfo, key);
	const char *end = start ? strchr(start, '\n') : NULL;
	g_autofree char *line = start ? g_strndup(start, end ? (gsize)(end - start) : strlen(start)) : g_strdup("");
	g_auto(GStrv) words = g_strsplit_set(line, " \t:", -1);

	return g_strv_contains((const char *const *)words, word);
}

/* /dev/kvm is not there: find out which of the things that make it is missing. */
static void explain_missing(const struct oriel_host_place *place, GPtrArray *problems)
{
	g_autofree char *cpuinfo = oriel_host_read(place, "proc/cpuinfo");
	gboolean intel = cpu_has(cpuinfo, "vendor_id", "GenuineIntel"), amd = cpu_has(cpuinfo, "vendor_id", "AuthenticAMD");
	gboolean vmx = cpu_has(cpuinfo, "flags", "vmx"), svm = cpu_has(cpuinfo, "flags", "svm");
	const char *module = svm ? "kvm_amd" : "kvm_intel";
	g_autofree char *module_folder = g_build_filename("sys/module", module, NULL);
	gboolean loaded = has(place, module_folder);

	if (loaded) {
		oriel_problems_add(problems, ORIEL_PROBLEM_NO_DEVICE,
		    g_strdup(_("The kernel's virtualization (KVM) is loaded, but its device /dev/kvm is not here.")),
		    _("If Oriel runs in a container, give the container the device /dev/kvm."), NULL);
	} else if (!vmx && !svm && cpu_has(cpuinfo, "flags", "hypervisor")) {
		oriel_problems_add(problems, ORIEL_PROBLEM_NO_KVM_CPU,
		    g_strdup(_("This computer is a virtual machine itself, and may not run machines of its own.")),
		    _("Switch on nested virtualization where this machine is configured."), NULL);
	} else if ((!vmx && !svm && (intel || amd)) || ((vmx || svm) && has(place, "sys/module/kvm"))) {
		oriel_problems_add(problems, ORIEL_PROBLEM_FIRMWARE_OFF,
		    g_strdup_printf(_("The processor's virtualization (%s) is switched off in the computer's firmware."),
				    amd || svm ? "AMD-V, SVM" : "Intel VT-x"),
		    _("Restart the computer, enter its setup (often with F2, F10 or Del), and switch on "
		      "\"Virtualization Technology\" or \"SVM Mode\". Then switch the computer off once."), NULL);
	} else if (vmx || svm) {
		oriel_problems_add(problems, ORIEL_PROBLEM_NO_MODULE, g_strdup(_("The kernel's virtualization (KVM) is not loaded.")), NULL,
		    g_strdup_printf("sudo modprobe %s", module));
	} else {
		oriel_problems_add(problems, ORIEL_PROBLEM_NO_KVM_CPU,
		    g_strdup(_("This computer's processor cannot run virtual machines: it has neither Intel VT-x nor "
			       "AMD-V.")), NULL, NULL);
	}
}

/* Finds the line of a group in /etc/group by number, or by name if that is not NULL. */
static char **find_group(const struct oriel_host_place *place, const char *name, gid_t number)
{
	g_autofree char *text = oriel_host_read(place, "etc/group");
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	for (guint i = 0; lines[i]; i++) {
		char **fields = g_strsplit(lines[i], ":", 4);

		if (g_strv_length(fields) == 4 &&
		    (name ? strcmp(fields[0], name) == 0 : g_ascii_strtoull(fields[2], NULL, 10) == number))
			return fields;
		g_strfreev(fields);
	}
	return NULL;
}

static void explain_permission(const struct oriel_host_place *place, GPtrArray *problems)
{
	g_autofree char *device = g_build_filename(place->root, "dev/kvm", NULL);
	g_auto(GStrv) group = NULL, members = NULL;
	struct stat status;

	if (stat(device, &status) < 0)
		return;
	group = find_group(place, NULL, status.st_gid);
	if (!group || (status.st_mode & 0060) != 0060 || strcmp(group[0], "root") == 0) {
		g_auto(GStrv) kvm = find_group(place, "kvm", 0);

		oriel_problems_add(problems, ORIEL_PROBLEM_NO_PERMISSION,
		    g_strdup(_("Nobody but root may use the kernel's virtualization, /dev/kvm.")), NULL,
		    g_strdup(kvm ? "sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm" : "sudo chmod 666 /dev/kvm"));
		return;
	}
	members = g_strsplit(group[3], ",", -1);
	if (g_strv_contains((const char *const *)members, place->user))
		oriel_problems_add(problems, ORIEL_PROBLEM_NOT_LOGGED_IN,
		    g_strdup_printf(_("You are in the group %s, which may use the kernel's virtualization, but were not "
				      "when you logged in."), group[0]),
		    _("Log out and in again, or restart the computer."), NULL);
	else
		oriel_problems_add(problems, ORIEL_PROBLEM_NO_PERMISSION,
		    g_strdup_printf(_("You may not use the kernel's virtualization, /dev/kvm: you are not in the group %s."),
				    group[0]),
		    _("Then log out and in again."), g_strdup_printf("sudo usermod -aG %s %s", group[0], place->user));
}

static void explain_busy(const struct oriel_host_place *place, GPtrArray *problems)
{
	static const struct {
		const char *module, *name, *command;
	} others[] = {
		{ "sys/module/vboxdrv", "VirtualBox", "sudo modprobe -r vboxnetadp vboxnetflt vboxdrv" },
		{ "sys/module/vmmon", "VMware", "sudo modprobe -r vmmon" },
	};

	for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
		if (!has(place, others[i].module))
			continue;
		oriel_problems_add(problems, ORIEL_PROBLEM_BUSY,
		    g_strdup_printf(_("%s is using the processor's virtualization, which only one program can have."),
				    others[i].name), _("Switch off its machines first."), g_strdup(others[i].command));
		return;
	}
	oriel_problems_add(problems, ORIEL_PROBLEM_BUSY,
	    g_strdup(_("Another virtualization program is using the processor, which only one can have.")),
	    _("Close that program, and try again."), NULL);
}

static void find_kvm_problem(const struct oriel_host_place *place, GPtrArray *problems)
{
	g_autofree char *device = g_build_filename(place->root, "dev/kvm", NULL);
	int code = place->try_kvm(device);

	if (code == ENOENT || code == ENODEV || code == ENXIO)
		explain_missing(place, problems);
	else if (code == EACCES || code == EPERM)
		explain_permission(place, problems);
	else if (code == EBUSY)
		explain_busy(place, problems);
	else if (code)
		oriel_problems_add(problems, ORIEL_PROBLEM_KVM_FAILED,
		    g_strdup_printf(_("The kernel's virtualization, /dev/kvm, does not work: %s."), g_strerror(code)), NULL,
		    NULL);
}

void oriel_host_find_problems(const struct oriel_host_place *place, GPtrArray *problems)
{
	static const char *const files[] = { "usr/share/seabios/bios-256k.bin", "usr/share/seabios/vgabios-stdvga.bin" };
	gboolean debian = has(place, "etc/debian_version");

	find_kvm_problem(place, problems);
	for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
		if (has(place, files[i]))
			continue;
		oriel_problems_add(problems, ORIEL_PROBLEM_NO_FIRMWARE,
		    g_strdup(_("The firmware that machines start with is not installed: the package seabios is missing.")),
		    debian ? NULL : _("Install it with this system's package manager."),
		    debian ? g_strdup("sudo apt install seabios") : NULL);
		return;
	}
}
