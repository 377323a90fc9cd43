#include "system_internal.h"

#include <glib/gi18n.h>
#include <string.h>

#include "system_icon.h"

#define GIB ((guint64)1 << 30)
#define MIB ((guint64)1 << 20)

#define EVERY_PC (ORIEL_DEVICE_AHCI | ORIEL_DEVICE_HDA | ORIEL_DEVICE_XHCI | ORIEL_DEVICE_USB_TABLET)
#define EVERY_VIRTIO (ORIEL_DEVICE_VIRTIO_BLOCK | ORIEL_DEVICE_VIRTIO_NET | ORIEL_DEVICE_VIRTIO_BALLOON | \
		      ORIEL_DEVICE_VIRTIO_RNG)

struct _OrielSystem {
	GObject parent_instance;
	struct oriel_system_info info; /* its texts are ours */
};

G_DEFINE_FINAL_TYPE(OrielSystem, oriel_system, G_TYPE_OBJECT)

/*
 * What the systems of a family want, from a release date on; the first that fits is taken. The database has minima
 * for nearly all systems, but these are often what the installer insists on, not what is pleasant.
 */
static const struct era {
	OrielFamily family;
	int since;
	struct oriel_resources minimum, recommended;
	OrielDevices devices;
} eras[] = {
	{ ORIEL_FAMILY_WINDOWS, 20130101, { 1, 2 * GIB, 32 * GIB }, { 2, 4 * GIB, 64 * GIB },
	  EVERY_PC | ORIEL_DEVICE_E1000E | ORIEL_DEVICE_NVME },
	/* Windows 7 has neither NVMe nor xHCI. */
	{ ORIEL_FAMILY_WINDOWS, 1, { 1, 1 * GIB, 20 * GIB }, { 2, 4 * GIB, 64 * GIB },
	  ORIEL_DEVICE_AHCI | ORIEL_DEVICE_HDA | ORIEL_DEVICE_E1000E | ORIEL_DEVICE_USB_TABLET },
	{ ORIEL_FAMILY_WINDOWS, 0, { 1, 2 * GIB, 32 * GIB }, { 2, 4 * GIB, 64 * GIB },
	  EVERY_PC | ORIEL_DEVICE_E1000E | ORIEL_DEVICE_NVME },
	{ ORIEL_FAMILY_WINDOWS_OLD, 0, { 1, 64 * MIB, 2 * GIB }, { 1, 1 * GIB, 20 * GIB }, ORIEL_DEVICE_USB_TABLET },
	{ ORIEL_FAMILY_DOS, 0, { 1, 64 * MIB, 64 * MIB }, { 1, 256 * MIB, 2 * GIB }, 0 },
	{ ORIEL_FAMILY_LINUX, 20180101, { 1, 512 * MIB, 8 * GIB }, { 2, 4 * GIB, 32 * GIB },
	  EVERY_PC | EVERY_VIRTIO | ORIEL_DEVICE_E1000E | ORIEL_DEVICE_NVME | ORIEL_DEVICE_VIRTIO_GPU |
	  ORIEL_DEVICE_VIRTIO_INPUT },
	{ ORIEL_FAMILY_LINUX, 20130101, { 1, 512 * MIB, 8 * GIB }, { 2, 2 * GIB, 32 * GIB },
	  EVERY_PC | EVERY_VIRTIO | ORIEL_DEVICE_E1000E | ORIEL_DEVICE_NVME },
	{ ORIEL_FAMILY_LINUX, 20090101, { 1, 256 * MIB, 4 * GIB }, { 1, 1 * GIB, 20 * GIB },
	  EVERY_PC | EVERY_VIRTIO | ORIEL_DEVICE_E1000E },
	{ ORIEL_FAMILY_LINUX, 1, { 1, 64 * MIB, 2 * GIB }, { 1, 512 * MIB, 10 * GIB }, 0 },
	{ ORIEL_FAMILY_LINUX, 0, { 1, 512 * MIB, 8 * GIB }, { 2, 4 * GIB, 32 * GIB },
	  EVERY_PC | EVERY_VIRTIO | ORIEL_DEVICE_E1000E | ORIEL_DEVICE_NVME },
	{ ORIEL_FAMILY_BSD, 0, { 1, 256 * MIB, 4 * GIB }, { 2, 2 * GIB, 32 * GIB },
	  EVERY_PC | ORIEL_DEVICE_E1000E | ORIEL_DEVICE_NVME | EVERY_VIRTIO },
	{ ORIEL_FAMILY_TOOL, 0, { 1, 64 * MIB, 64 * MIB }, { 1, 1 * GIB, 32 * GIB }, EVERY_PC },
	{ ORIEL_FAMILY_OTHER, 0, { 1, 64 * MIB, 64 * MIB }, { 2, 2 * GIB, 32 * GIB }, EVERY_PC },
};

static const struct era *find_era(OrielFamily family, int released)
{
	for (guint i = 0; i < G_N_ELEMENTS(eras); i++)
		if (eras[i].family == family && released >= eras[i].since && (released || !eras[i].since))
			return &eras[i];
	return &eras[G_N_ELEMENTS(eras) - 1];
}

static void oriel_system_finalize(GObject *object)
{
	struct oriel_system_info *info = &ORIEL_SYSTEM(object)->info;

	g_free((char *)info->id);
	g_free((char *)info->name);
	g_free((char *)info->version);
	g_free((char *)info->distribution);
	g_free((char *)info->vendor);
	G_OBJECT_CLASS(oriel_system_parent_class)->finalize(object);
}

static void oriel_system_class_init(OrielSystemClass *class)
{
	G_OBJECT_CLASS(class)->finalize = oriel_system_finalize;
}

static void oriel_system_init(OrielSystem *self)
{
	(void)self;
}

OrielSystem *oriel_system_new(const struct oriel_system_info *info)
{
	OrielSystem *self = g_object_new(ORIEL_TYPE_SYSTEM, NULL);
	const struct era *era = find_era(info->family, info->released);
	struct oriel_resources *minimum = &self->info.minimum, *recommended = &self->info.recommended;

	self->info = *info;
	self->info.id = g_strdup(info->id);
	self->info.name = g_strdup(info->name);
	self->info.version = g_strdup(info->version ? info->version : "");
	self->info.distribution = g_strdup(info->distribution ? info->distribution : "");
	self->info.vendor = g_strdup(info->vendor ? info->vendor : "");
	if (!minimum->cpus)
		minimum->cpus = era->minimum.cpus;
	if (!minimum->memory)
		minimum->memory = era->minimum.memory;
	if (!minimum->disk)
		minimum->disk = era->minimum.disk;
	if (!recommended->cpus)
		recommended->cpus = MAX(era->recommended.cpus, minimum->cpus);
	if (!recommended->memory)
		recommended->memory = MAX(era->recommended.memory, 2 * minimum->memory);
	if (!recommended->disk)
		recommended->disk = era->recommended.disk;
	recommended->cpus = MAX(recommended->cpus, minimum->cpus);
	recommended->memory = MAX(recommended->memory, minimum->memory);
	recommended->disk = MAX(recommended->disk, minimum->disk);
	self->info.devices |= era->devices;
	return self;
}

static OrielFamily get_family(OsinfoOs *os)
{
	static const struct {
		const char *name;
		OrielFamily family;
	} families[] = {
		{ "linux", ORIEL_FAMILY_LINUX },     { "win9x", ORIEL_FAMILY_DOS },       { "win16", ORIEL_FAMILY_DOS },
		{ "msdos", ORIEL_FAMILY_DOS },       { "freebsd", ORIEL_FAMILY_BSD },     { "openbsd", ORIEL_FAMILY_BSD },
		{ "netbsd", ORIEL_FAMILY_BSD },      { "dragonflybsd", ORIEL_FAMILY_BSD },
	};
	const char *name = osinfo_os_get_family(os);

	if (g_strcmp0(osinfo_os_get_distro(os), "freedos") == 0)
		return ORIEL_FAMILY_DOS;
	/* NT 6.0, Vista, was the first with AHCI, HDA and installation from an image. */
	if (g_strcmp0(name, "winnt") == 0)
		return g_ascii_strtoull(osinfo_product_get_version(OSINFO_PRODUCT(os)), NULL, 10) >= 6 ?
			ORIEL_FAMILY_WINDOWS : ORIEL_FAMILY_WINDOWS_OLD;
	for (guint i = 0; i < G_N_ELEMENTS(families); i++)
		if (g_strcmp0(name, families[i].name) == 0)
			return families[i].family;
	return ORIEL_FAMILY_OTHER;
}

static OrielDevices get_devices(OsinfoOs *os)
{
	static const struct {
		const char *name;
		OrielDevices device;
	} names[] = {
		{ "ich9-hda", ORIEL_DEVICE_HDA },
		{ "ich6", ORIEL_DEVICE_HDA },
		{ "e1000e", ORIEL_DEVICE_E1000E },
		{ "qemu-x86-q35", ORIEL_DEVICE_AHCI },
		{ "qemu-xhci", ORIEL_DEVICE_XHCI },
		{ "nec-xhci", ORIEL_DEVICE_XHCI },
		{ "tablet", ORIEL_DEVICE_USB_TABLET },
		{ "virtio1.0-block", ORIEL_DEVICE_VIRTIO_BLOCK },
		{ "virtio1.0-net", ORIEL_DEVICE_VIRTIO_NET },
		{ "virtio1.0-gpu", ORIEL_DEVICE_VIRTIO_GPU },
		{ "virtio1.0-input", ORIEL_DEVICE_VIRTIO_INPUT },
		{ "virtio1.0-balloon", ORIEL_DEVICE_VIRTIO_BALLOON },
		{ "virtio1.0-rng", ORIEL_DEVICE_VIRTIO_RNG },
	};
	g_autoptr(OsinfoDeviceList) list = osinfo_os_get_all_devices(os, NULL);
	OrielDevices devices = 0;

	for (int i = 0; i < osinfo_list_get_length(OSINFO_LIST(list)); i++) {
		OsinfoDevice *device = OSINFO_DEVICE(osinfo_list_get_nth(OSINFO_LIST(list), i));

		for (guint k = 0; k < G_N_ELEMENTS(names); k++)
			if (g_strcmp0(osinfo_device_get_name(device), names[k].name) == 0)
				devices |= names[k].device;
	}
	return devices;
}

/* Of several architectures the most fitting: a later one in the list wins only if it is better. */
static struct oriel_resources get_resources(OsinfoResourcesList *list)
{
	static const char *const architectures[] = { "i686", "all", "x86_64" };
	struct oriel_resources found = { 0 };

	for (guint rank = 0; rank < G_N_ELEMENTS(architectures); rank++) {
		for (int i = 0; i < osinfo_list_get_length(OSINFO_LIST(list)); i++) {
			OsinfoResources *item = OSINFO_RESOURCES(osinfo_list_get_nth(OSINFO_LIST(list), i));

			if (g_strcmp0(osinfo_resources_get_architecture(item), architectures[rank]))
				continue;
			/* -1: it does not say */
			if (osinfo_resources_get_n_cpus(item) > 0)
				found.cpus = (guint)osinfo_resources_get_n_cpus(item);
			if (osinfo_resources_get_ram(item) > 0)
				found.memory = (guint64)osinfo_resources_get_ram(item);
			if (osinfo_resources_get_storage(item) > 0)
				found.disk = (guint64)osinfo_resources_get_storage(item);
		}
	}
	g_object_unref(list);
	return found;
}

/* A recommendation of the database that an era's own exceeds was made for servers without a desktop. */
static void raise_recommendation(struct oriel_system_info *info)
{
	const struct era *era = find_era(info->family, info->released);

	if (info->recommended.memory)
		info->recommended.memory = MAX(info->recommended.memory, era->recommended.memory);
	if (info->recommended.disk)
		info->recommended.disk = MAX(info->recommended.disk, era->recommended.disk);
	if (info->recommended.cpus)
		info->recommended.cpus = MAX(info->recommended.cpus, era->recommended.cpus);
}

/* What is only known by its family may be older than what the family's newest have. */
gboolean oriel_system_wants_nvme(const struct oriel_system_info *info)
{
	return !info->generic && info->devices & ORIEL_DEVICE_NVME &&
	       (info->family == ORIEL_FAMILY_WINDOWS || info->family == ORIEL_FAMILY_LINUX);
}

static gboolean refuses_bios(OsinfoOs *os)
{
	g_autoptr(OsinfoFirmwareList) list = osinfo_os_get_complete_firmware_list(os, NULL);
	gboolean uefi = FALSE, no_bios = FALSE;

	for (int i = 0; i < osinfo_list_get_length(OSINFO_LIST(list)); i++) {
		OsinfoFirmware *firmware = OSINFO_FIRMWARE(osinfo_list_get_nth(OSINFO_LIST(list), i));
		gboolean supported = osinfo_firmware_is_supported(firmware);

		if (g_strcmp0(osinfo_firmware_get_architecture(firmware), "x86_64"))
			continue;
		if (g_strcmp0(osinfo_firmware_get_firmware_type(firmware), "efi") == 0)
			uefi |= supported;
		else if (g_strcmp0(osinfo_firmware_get_firmware_type(firmware), "bios") == 0)
			no_bios |= !supported;
	}
	return uefi && no_bios;
}

OrielSystem *oriel_system_new_from_database(OsinfoOs *os)
{
	OsinfoProduct *product = OSINFO_PRODUCT(os);
	GDate *date = osinfo_product_get_release_date(product);
	struct oriel_system_info info = {
		.id = osinfo_product_get_short_id(product), .name = osinfo_product_get_name(product),
		.version = osinfo_product_get_version(product), .distribution = osinfo_os_get_distro(os),
		.vendor = osinfo_product_get_vendor(product), .family = get_family(os),
		.minimum = get_resources(osinfo_os_get_minimum_resources(os)),
		.recommended = get_resources(osinfo_os_get_recommended_resources(os)),
	};
	OrielSystem *self = NULL;

	if (date)
		info.released = g_date_get_year(date) * 10000 + (int)g_date_get_month(date) * 100 +
				g_date_get_day(date);
	if (info.id && info.name && g_strcmp0(osinfo_os_get_family(os), "darwin")) {
		info.devices = get_devices(os);
		info.needs_uefi = refuses_bios(os);
		info.needs_tpm = g_str_has_prefix(info.id, "win11");
		raise_recommendation(&info);
		self = oriel_system_new(&info);
	}
	g_clear_pointer(&date, g_date_free);
	return self;
}

const struct oriel_system_info *oriel_system_get_info(OrielSystem *self)
{
	return &self->info;
}

GIcon *oriel_system_create_icon(OrielSystem *self)
{
	g_autofree char *distribution = g_ascii_strdown(self->info.distribution, -1);
	g_autofree char *logo = g_strdup_printf("distributor-logo-%s", distribution);
	g_autofree char *plain = g_strdup_printf("%s-logo", distribution);
	char *names[] = { logo, plain, (char *)oriel_family_icon_name(self->info.family) };

	if (*distribution)
		return g_themed_icon_new_from_names(names, G_N_ELEMENTS(names));
	return g_themed_icon_new(names[2]);
}

char *oriel_system_suggest_name(OrielSystem *self)
{
	static const char maker[] = "Microsoft ";
	const char *name = self->info.name;

	if (self->info.generic)
		return g_strdup(self->info.family == ORIEL_FAMILY_WINDOWS ? "Windows" :
				self->info.family == ORIEL_FAMILY_LINUX ? "Linux" : _("My machine"));
	name += g_str_has_prefix(name, maker) ? strlen(maker) : 0;
	return g_strdelimit(g_strdup(name), "/", '-');
}

gboolean oriel_system_matches(OrielSystem *self, const char *text)
{
	const struct oriel_system_info *info = &self->info;
	g_autofree char *all = g_strjoin(" ", info->name, info->id, info->vendor, info->version, NULL);
	g_autofree char *folded = g_utf8_casefold(all, -1);
	g_autofree char *wanted = g_utf8_casefold(text, -1);
	g_auto(GStrv) words = g_strsplit_set(wanted, " \t", -1);

	for (guint i = 0; words[i]; i++)
		if (!strstr(folded, words[i]))
			return FALSE;
	return TRUE;
}
