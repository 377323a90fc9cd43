/*
 * What this computer has for machines, and what keeps it from running them.
 */
#pragma once

#include <gio/gio.h>

#include "system.h"

G_BEGIN_DECLS

typedef enum {
	ORIEL_PROBLEM_NO_KVM_CPU,     /* the processor has neither VT-x nor SVM, or the firmware hides it */
	ORIEL_PROBLEM_FIRMWARE_OFF,   /* switched off in the BIOS */
	ORIEL_PROBLEM_NO_MODULE,      /* the kernel module is not loaded */
	ORIEL_PROBLEM_NO_DEVICE,      /* module loaded, /dev/kvm missing */
	ORIEL_PROBLEM_NO_PERMISSION,  /* the user may not open /dev/kvm */
	ORIEL_PROBLEM_NOT_LOGGED_IN,  /* he is in its group, but not since he logged in */
	ORIEL_PROBLEM_BUSY,           /* another hypervisor has the processor */
	ORIEL_PROBLEM_KVM_FAILED,     /* anything else that /dev/kvm says */
	ORIEL_PROBLEM_NO_FIRMWARE,    /* its package is missing */
	ORIEL_PROBLEM_NO_INSTALLER,   /* the distribution's packages of one are missing: no problem of the host's */
} OrielProblemKind;

struct oriel_problem {
	OrielProblemKind kind;
	char *message;  /* what is wrong, a sentence or two */
	char *advice;   /* what to do about it; NULL if the command says it all */
	char *command;  /* a shell command that mends it, to be shown, copied, or run with root's rights; NULL */
};

/* Of struct oriel_problem. Free with g_ptr_array_unref(). */
GPtrArray *oriel_problems_new(void);
/* Takes message and command. */
void oriel_problems_add(GPtrArray *problems, OrielProblemKind kind, char *message, const char *advice, char *command);

struct oriel_host_info {
	guint cpus;
	guint64 memory;    /* bytes */
	guint64 available; /* without making others swap */
	const GPtrArray *problems; /* of struct oriel_problem, each of which keeps all machines from running */
};

#define ORIEL_TYPE_HOST (oriel_host_get_type())
G_DECLARE_FINAL_TYPE(OrielHost, oriel_host, ORIEL, HOST, GObject)

/* Looks at the computer as it is now; a few small files of /proc and /sys. */
OrielHost *oriel_host_new(void);

/* What tests put in the computer's place */
struct oriel_host_place {
	const char *root;                     /* folder that has its proc, sys, dev, etc and usr */
	const char *user;                     /* who asks */
	int (*try_kvm)(const char *device);   /* makes a VM and drops it: 0 or errno */
};

OrielHost *oriel_host_new_at(const struct oriel_host_place *place);

const struct oriel_host_info *oriel_host_get_info(OrielHost *self);

/* Bytes that the user may still write in the folder, or in the nearest one above that exists. 0: none, or unknown. */
guint64 oriel_host_get_free_space(const char *folder);

/*
 * What the system would like, within what the host can give without harm: at most half of its memory (if that is above
 * the system's minimum) and as many CPUs as it has.
 */
struct oriel_resources oriel_host_recommend(OrielHost *self, const struct oriel_system_info *system);

/* Warnings for the wizard's sliders; NULL: nothing to say. Free with g_free(). */
char *oriel_host_check_cpus(OrielHost *self, const struct oriel_system_info *system, guint cpus);
char *oriel_host_check_memory(OrielHost *self, const struct oriel_system_info *system, guint64 memory);
/* free_space: of the place for the disk. preallocated: it takes its whole size at once. */
char *oriel_host_check_disk(const struct oriel_system_info *system, guint64 size, guint64 free_space,
			    gboolean preallocated);

G_END_DECLS
