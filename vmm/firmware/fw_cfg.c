#include "fw_cfg.h"

#include <inttypes.h>
#include <string.h>

#include "../log.h"
#include "../state.h"
#include "../vm.h"

#define PORT_SELECTOR 0x510 /* and data at 0x511 */
#define PORT_DMA 0x514

#define ID_TRADITIONAL 1
#define ID_DMA 2

#define DMA_ERROR (1u << 0)
#define DMA_READ (1u << 1)
#define DMA_SKIP (1u << 2)
#define DMA_SELECT (1u << 3)
#define DMA_WRITE (1u << 4)
/* What a read may ask for past the end of an item, where there are only zeros. */
#define DMA_PAST_END_MAX (1u << 20)

/* What lies at the address written to the DMA port; big-endian. */
struct dma_access {
	uint32_t control;
	uint32_t length;
	uint64_t address;
};

/* An entry of the directory, item FW_CFG_FILE_DIR; big-endian. */
struct directory_entry {
	uint32_t size;
	uint16_t key;
	uint16_t reserved;
	char name[FW_CFG_FILE_NAME_MAX + 1];
};

struct item {
	uint16_t key;
	GBytes *bytes;
};

struct file {
	char *name;
	GBytes *bytes;
};

struct fw_cfg {
	struct device device;
	struct bus_region data_ports, dma_ports;
	GArray *items; /* struct item */
	GArray *files; /* struct file, sorted by name: file i has the key FW_CFG_FILE_FIRST + i */
	uint16_t selected;
	uint32_t offset;
	uint32_t dma_high; /* upper half of the descriptor's address */
	struct log_limit log;
};

static GBytes *find_item(const struct fw_cfg *fw_cfg, uint16_t key)
{
	if (key >= FW_CFG_FILE_FIRST && key - FW_CFG_FILE_FIRST < (int)fw_cfg->files->len)
		return g_array_index(fw_cfg->files, struct file, key - FW_CFG_FILE_FIRST).bytes;
	for (guint i = 0; i < fw_cfg->items->len; i++)
		if (g_array_index(fw_cfg->items, struct item, i).key == key)
			return g_array_index(fw_cfg->items, struct item, i).bytes;
	return NULL;
}

/* What is left of the selected item; nothing is left of one that does not exist. */
static const uint8_t *rest_of_item(const struct fw_cfg *fw_cfg, gsize *left)
{
	GBytes *bytes = find_item(fw_cfg, fw_cfg->selected);
	const uint8_t *data = bytes ? g_bytes_get_data(bytes, left) : NULL;

	if (!data || fw_cfg->offset >= *left) {
		*left = 0;
		return NULL;
	}
	*left -= fw_cfg->offset;
	return data + fw_cfg->offset;
}

static void select_item(struct fw_cfg *fw_cfg, uint16_t key)
{
	fw_cfg->selected = key;
	fw_cfg->offset = 0;
}

static void advance(struct fw_cfg *fw_cfg, uint32_t length)
{
	fw_cfg->offset = length > UINT32_MAX - fw_cfg->offset ? UINT32_MAX : fw_cfg->offset + length;
}

static uint64_t read_data(void *device, uint64_t offset, unsigned size)
{
	struct fw_cfg *fw_cfg = device;
	const uint8_t *data;
	gsize left;

	if (offset != 1 || size != 1)
		return 0;
	data = rest_of_item(fw_cfg, &left);
	advance(fw_cfg, 1);
	return data ? *data : 0;
}

static void write_selector(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct fw_cfg *fw_cfg = device;

	if (offset == 0 && size == 2)
		select_item(fw_cfg, (uint16_t)value);
	else
		log_guest_error(&fw_cfg->log, "fw_cfg", "write of %u bytes to port 0x%x", size,
				PORT_SELECTOR + (unsigned)offset);
}

static bool dma_read(struct fw_cfg *fw_cfg, uint64_t address, uint32_t length)
{
	gsize left;
	const uint8_t *data = rest_of_item(fw_cfg, &left);
	uint32_t copied = (uint32_t)MIN(left, length);
	uint8_t *target = memory_ptr(&fw_cfg->device.vm->memory, address, length);

	if (!target || length - copied > DMA_PAST_END_MAX)
		return false;
	if (copied)
		memcpy(target, data, copied);
	memset(target + copied, 0, length - copied);
	advance(fw_cfg, length);
	return true;
}

static bool dma_transfer(struct fw_cfg *fw_cfg, uint32_t control, uint32_t length, uint64_t address)
{
	if (control & DMA_SELECT)
		select_item(fw_cfg, (uint16_t)(control >> 16));
	if (control & DMA_READ)
		return length == 0 || dma_read(fw_cfg, address, length);
	if (control & DMA_WRITE)
		return false;
	if (control & DMA_SKIP)
		advance(fw_cfg, length);
	return true;
}

static void run_dma(struct fw_cfg *fw_cfg, uint64_t gpa)
{
	struct memory *memory = &fw_cfg->device.vm->memory;
	struct dma_access access;
	uint32_t control, result = 0;

	if (!memory_read(memory, gpa, &access, sizeof access)) {
		log_guest_error(&fw_cfg->log, "fw_cfg", "DMA descriptor at 0x%" PRIx64 " is not in RAM", gpa);
		return;
	}
	control = GUINT32_FROM_BE(access.control);
	if (!dma_transfer(fw_cfg, control, GUINT32_FROM_BE(access.length), GUINT64_FROM_BE(access.address))) {
		result = DMA_ERROR;
		log_guest_error(&fw_cfg->log, "fw_cfg", "DMA control 0x%x, %u bytes at 0x%" PRIx64 " refused", control,
				GUINT32_FROM_BE(access.length), GUINT64_FROM_BE(access.address));
	}
	access.control = GUINT32_TO_BE(result);
	memory_write(memory, gpa, &access.control, sizeof access.control);
}

/* A driver tells by the signature that DMA is there. */
static uint64_t read_dma(void *device, uint64_t offset, unsigned size)
{
	static const char signature[] = "QEMU CFG";
	uint64_t value = 0;

	(void)device;
	for (unsigned i = 0; i < size && offset + i < strlen(signature); i++)
		value |= (uint64_t)(uint8_t)signature[offset + i] << 8 * i;
	return value;
}

static void write_dma(void *device, uint64_t offset, unsigned size, uint64_t value)
{
	struct fw_cfg *fw_cfg = device;
	uint32_t half = GUINT32_SWAP_LE_BE((uint32_t)value);
	uint64_t gpa = (uint64_t)fw_cfg->dma_high << 32 | half;

	if (size == 4 && offset == 0) {
		fw_cfg->dma_high = half;
	} else if (size == 4 && offset == 4) {
		fw_cfg->dma_high = 0;
		run_dma(fw_cfg, gpa);
	} else {
		log_guest_error(&fw_cfg->log, "fw_cfg", "write of %u bytes to port 0x%x", size,
				PORT_DMA + (unsigned)offset);
	}
}

static void clear_item(void *opaque)
{
	struct item *item = opaque;

	g_bytes_unref(item->bytes);
}

static void clear_file(void *opaque)
{
	struct file *file = opaque;

	g_free(file->name);
	g_bytes_unref(file->bytes);
}

static void fw_cfg_reset(struct device *device)
{
	struct fw_cfg *fw_cfg = (struct fw_cfg *)device;

	select_item(fw_cfg, FW_CFG_SIGNATURE);
	fw_cfg->dma_high = 0;
}

static void fw_cfg_state(struct device *device, struct state *state)
{
	struct fw_cfg *fw_cfg = (struct fw_cfg *)device;

	state_u16(state, "selected", &fw_cfg->selected);
	state_u32(state, "offset", &fw_cfg->offset);
	state_u32(state, "dma-high", &fw_cfg->dma_high);
}

static void fw_cfg_destroy(struct device *device)
{
	struct fw_cfg *fw_cfg = (struct fw_cfg *)device;

	bus_unmap(&device->vm->pio, &fw_cfg->data_ports);
	bus_unmap(&device->vm->pio, &fw_cfg->dma_ports);
	g_array_unref(fw_cfg->items);
	g_array_unref(fw_cfg->files);
	g_free(fw_cfg);
}

static const struct device_ops fw_cfg_ops = { "fw_cfg", fw_cfg_reset, fw_cfg_state, fw_cfg_destroy };
static const struct bus_ops data_ops = { read_data, write_selector };
static const struct bus_ops dma_ops = { read_dma, write_dma };

static void map_ports(struct fw_cfg *fw_cfg, struct bus_region *region, const char *name, const struct bus_ops *ops,
		      uint16_t port, uint16_t ports)
{
	*region = (struct bus_region){ name, ops, fw_cfg, .size = ports, .priority = BUS_PRIORITY_PLATFORM };
	bus_map(&fw_cfg->device.vm->pio, region, port);
}

static void update_directory(struct fw_cfg *fw_cfg)
{
	guint count = fw_cfg->files->len;
	gsize size = sizeof(uint32_t) + count * sizeof(struct directory_entry);
	uint8_t *directory = g_malloc0(size);
	uint32_t big_endian_count = GUINT32_TO_BE(count);
	g_autoptr(GBytes) bytes = g_bytes_new_take(directory, size);

	memcpy(directory, &big_endian_count, sizeof big_endian_count);
	for (guint i = 0; i < count; i++) {
		const struct file *file = &g_array_index(fw_cfg->files, struct file, i);
		struct directory_entry entry = {
			.size = GUINT32_TO_BE((uint32_t)g_bytes_get_size(file->bytes)),
			.key = GUINT16_TO_BE((uint16_t)(FW_CFG_FILE_FIRST + i)),
		};

		g_strlcpy(entry.name, file->name, sizeof entry.name);
		memcpy(directory + sizeof(uint32_t) + i * sizeof entry, &entry, sizeof entry);
	}
	fw_cfg_add_bytes(fw_cfg, FW_CFG_FILE_DIR, bytes);
}

struct fw_cfg *fw_cfg_new(struct vm *vm)
{
	struct fw_cfg *fw_cfg = g_new0(struct fw_cfg, 1);
	g_autoptr(GBytes) signature = g_bytes_new_static("QEMU", 4);

	fw_cfg->device.ops = &fw_cfg_ops;
	fw_cfg->device.vm = vm;
	fw_cfg->items = g_array_new(FALSE, FALSE, sizeof(struct item));
	g_array_set_clear_func(fw_cfg->items, clear_item);
	fw_cfg->files = g_array_new(FALSE, FALSE, sizeof(struct file));
	g_array_set_clear_func(fw_cfg->files, clear_file);
	fw_cfg_add_bytes(fw_cfg, FW_CFG_SIGNATURE, signature);
	fw_cfg_add_u32(fw_cfg, FW_CFG_ID, ID_TRADITIONAL | ID_DMA);
	update_directory(fw_cfg);
	map_ports(fw_cfg, &fw_cfg->data_ports, "fw_cfg data", &data_ops, PORT_SELECTOR, 2);
	map_ports(fw_cfg, &fw_cfg->dma_ports, "fw_cfg DMA", &dma_ops, PORT_DMA, 8);
	return fw_cfg;
}

struct device *fw_cfg_device(struct fw_cfg *fw_cfg)
{
	return &fw_cfg->device;
}

void fw_cfg_add_bytes(struct fw_cfg *fw_cfg, uint16_t key, GBytes *bytes)
{
	struct item added = { key, g_bytes_ref(bytes) };

	for (guint i = 0; i < fw_cfg->items->len; i++) {
		struct item *item = &g_array_index(fw_cfg->items, struct item, i);

		if (item->key == key) {
			g_bytes_unref(item->bytes);
			item->bytes = added.bytes;
			return;
		}
	}
	g_array_append_val(fw_cfg->items, added);
}

static void add_number(struct fw_cfg *fw_cfg, uint16_t key, uint64_t value, unsigned size)
{
	uint64_t little_endian = GUINT64_TO_LE(value);
	g_autoptr(GBytes) bytes = g_bytes_new(&little_endian, size);

	fw_cfg_add_bytes(fw_cfg, key, bytes);
}

void fw_cfg_add_u16(struct fw_cfg *fw_cfg, uint16_t key, uint16_t value)
{
	add_number(fw_cfg, key, value, 2);
}

void fw_cfg_add_u32(struct fw_cfg *fw_cfg, uint16_t key, uint32_t value)
{
	add_number(fw_cfg, key, value, 4);
}

void fw_cfg_add_u64(struct fw_cfg *fw_cfg, uint16_t key, uint64_t value)
{
	add_number(fw_cfg, key, value, 8);
}

void fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, GBytes *bytes)
{
	struct file added = { g_strdup(name), g_bytes_ref(bytes) };
	int order = 1;
	guint i;

	g_assert(strlen(name) <= FW_CFG_FILE_NAME_MAX);
	for (i = 0; i < fw_cfg->files->len; i++) {
		order = strcmp(name, g_array_index(fw_cfg->files, struct file, i).name);
		if (order <= 0)
			break;
	}
	if (order == 0 && i < fw_cfg->files->len)
		g_array_remove_index(fw_cfg->files, i);
	g_array_insert_val(fw_cfg->files, i, added);
	update_directory(fw_cfg);
}
