#include "kvm_stats.h"

#include <glib.h>
#include <linux/kvm.h>
#include <unistd.h>

#include "kvm.h"

/* Sizes that the kernel tells, bounded so that a wrong one does no harm. */
#define NAME_MAX_SIZE 256
#define DESCRIPTORS_MAX 1024

static void note_place(struct kvm_stats *stats, const struct kvm_stats_header *header,
		       const struct kvm_stats_desc *descriptor)
{
	int64_t place = (int64_t)header->data_offset + descriptor->offset;

	if (g_str_equal(descriptor->name, "exits"))
		stats->exits = place;
	else if (g_str_equal(descriptor->name, "insn_emulation"))
		stats->emulated = place;
}

void kvm_stats_init(struct kvm_stats *stats, int vcpu_fd)
{
	struct kvm_stats_header header;
	g_autofree struct kvm_stats_desc *descriptor = NULL;
	size_t size;

	*stats = (struct kvm_stats){ -1, -1, -1 };
	stats->fd = kvm_ioctl(vcpu_fd, KVM_GET_STATS_FD, NULL);
	if (stats->fd < 0 || pread(stats->fd, &header, sizeof header, 0) != sizeof header ||
	    header.name_size > NAME_MAX_SIZE)
		return;
	size = sizeof *descriptor + header.name_size;
	descriptor = g_malloc0(size + 1);
	for (uint32_t i = 0; i < MIN(header.num_desc, DESCRIPTORS_MAX); i++)
		if (pread(stats->fd, descriptor, size, (off_t)(header.desc_offset + i * size)) == (ssize_t)size)
			note_place(stats, &header, descriptor);
}

void kvm_stats_finish(struct kvm_stats *stats)
{
	if (stats->fd >= 0)
		close(stats->fd);
	stats->fd = -1;
}

bool kvm_stats_read(const struct kvm_stats *stats, struct kvm_stats_counters *counters)
{
	return stats->fd >= 0 && stats->exits >= 0 && stats->emulated >= 0 &&
	       pread(stats->fd, &counters->exits, sizeof counters->exits, stats->exits) ==
		       sizeof counters->exits &&
	       pread(stats->fd, &counters->emulated, sizeof counters->emulated, stats->emulated) ==
		       sizeof counters->emulated;
}
