// SPDX-License-Identifier: GPL-2.0
#include <linux/ctype.h>
#include <linux/dev_printk.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "tandem_admin.h"
#include "tandem_boot.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_hw.h"
#include "tandem_register.h"
#include "tandem_shared.h"

static_assert(sizeof(struct tandem_hw_identity) == 4096);

static bool left_state(struct tandem_device *tdev, u32 expected)
{
	u32 state = tandem_read32(tdev, TANDEM_REG_STATUS);

	/* Out of FATAL the device comes back to READY, but not at once. */
	return state == expected ||
	       (state == TANDEM_HW_STATE_FATAL &&
		expected != TANDEM_HW_STATE_READY) ||
	       tdev->bus->is_gone(tdev->dev);
}

static int wait_for_state(struct tandem_device *tdev, u32 expected)
{
	u32 state;

	wait_event_timeout(tdev->state_wait, left_state(tdev, expected),
			   msecs_to_jiffies(TANDEM_HW_STATE_TIMEOUT_MS));
	if (tdev->bus->is_gone(tdev->dev))
		return -ENODEV;
	state = tandem_read32(tdev, TANDEM_REG_STATUS);
	if (state == expected)
		return 0;
	dev_err(tdev->dev, "the device is in state %u instead of %u (reason %u)\n",
		state, expected, tandem_read32(tdev, TANDEM_REG_FATAL));
	return state == TANDEM_HW_STATE_FATAL ? -EIO : -ETIMEDOUT;
}

int tandem_boot_check_magic(struct device *dev, u32 magic)
{
	if (magic == TANDEM_HW_MAGIC)
		return 0;
	dev_err(dev, "no Tandem device: magic %#x\n", magic);
	return -ENODEV;
}

static int check_registers(struct tandem_device *tdev)
{
	u32 version = tandem_read32(tdev, TANDEM_REG_VERSION);
	u64 memory_size = tandem_read64(tdev, TANDEM_REG_MEMORY_SIZE);
	int ret;

	ret = tandem_boot_check_magic(tdev->dev,
				      tandem_read32(tdev, TANDEM_REG_MAGIC));
	if (ret)
		return ret;
	if (version >> 16 != TANDEM_HW_VERSION_MAJOR) {
		dev_err(tdev->dev, "firmware interface %u.%u is not supported: %u.x is\n",
			version >> 16, version & 0xffff,
			TANDEM_HW_VERSION_MAJOR);
		return -ENODEV;
	}
	ret = wait_for_state(tdev, TANDEM_HW_STATE_READY);
	if (ret)
		return ret;
	if (memory_size != tdev->memory_size || !PAGE_ALIGNED(memory_size)) {
		dev_err(tdev->dev, "the device says %#llx bytes of memory, its bus %#llx\n",
			memory_size, tdev->memory_size);
		return -EINVAL;
	}
	tdev->identity.interface = version;
	return 0;
}

int tandem_boot_enable(struct tandem_device *tdev, u32 *epoch)
{
	int ret;

	/* After a reset, it may be that it is not what it was. */
	ret = check_registers(tdev);
	if (ret)
		return ret;
	/* The last one stays in the register when the driver is reloaded. */
	*epoch = tandem_read32(tdev, TANDEM_REG_EPOCH) + 1 ?: 1;
	tandem_admin_begin(tdev, *epoch);
	tandem_write32(tdev, TANDEM_REG_EPOCH, *epoch);
	tandem_write32(tdev, TANDEM_REG_ADMIN_ENTRIES, TANDEM_ADMIN_ENTRIES);
	tandem_write64(tdev, TANDEM_REG_ADMIN_SQ,
		       tdev->admin.ring.sq.bus_address);
	tandem_write64(tdev, TANDEM_REG_ADMIN_CQ,
		       tdev->admin.ring.cq.bus_address);
	tandem_write64(tdev, TANDEM_REG_CONTEXT_TABLE,
		       tdev->context_table.bus_address);
	tandem_write32(tdev, TANDEM_REG_CONTEXT_COUNT, TANDEM_CONTEXTS_MAX);
	tandem_write32(tdev, TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
	tdev->bus->ring_control(tdev->dev);
	ret = wait_for_state(tdev, TANDEM_HW_STATE_RUNNING);
	if (!ret)
		tandem_admin_up(tdev);
	return ret;
}

int tandem_boot_disable(struct tandem_device *tdev)
{
	if (tdev->bus->is_gone(tdev->dev))
		return -ENODEV;
	tandem_write32(tdev, TANDEM_REG_CONTROL, 0);
	tdev->bus->ring_control(tdev->dev);
	return wait_for_state(tdev, TANDEM_HW_STATE_READY);
}

static void copy_name(char *to, const char *from, size_t size)
{
	size_t i;

	strscpy(to, from, size);
	for (i = 0; to[i]; i++) {
		if (!isascii(to[i]) || !isprint(to[i]))
			to[i] = '?';
	}
}

/* @hw is a copy that the device does not reach. */
static int check_identity(struct tandem_device *tdev,
			  const struct tandem_hw_identity *hw)
{
	struct tandem_identity *identity = &tdev->identity;
	u32 entries = le32_to_cpu(hw->queue_entries_max);
	u32 queues = min3(tandem_read32(tdev, TANDEM_REG_QUEUE_MAX),
			  tdev->bus_queues, (u32)TANDEM_ENGINES_MAX);
	const char *wrong;
	u32 compute, copy;

	copy_name(identity->profile, hw->profile, sizeof(identity->profile));
	copy_name(identity->firmware_version, hw->firmware_version,
		  sizeof(identity->firmware_version));
	identity->role = le32_to_cpu(hw->role);
	identity->profile_memory_size = le64_to_cpu(hw->profile_memory_size);
	identity->profile_memory_bandwidth =
		le64_to_cpu(hw->profile_memory_bandwidth);
	identity->profile_flops = le64_to_cpu(hw->profile_flops);
	identity->profile_link_bandwidth =
		le64_to_cpu(hw->profile_link_bandwidth);

	/* At most half for compute when there are too many of both. */
	copy = min(le32_to_cpu(hw->copy_queues), queues);
	compute = min(le32_to_cpu(hw->compute_queues),
		      max(queues - copy, queues / 2));
	copy = min(copy, queues - compute);
	identity->compute_queues = compute;
	identity->copy_queues = copy;
	identity->queue_entries = min_t(u32, entries,
					TANDEM_ENGINE_ENTRIES_MAX);

	if (identity->role > TANDEM_HW_ROLE_DECODE ||
	    le64_to_cpu(hw->memory_size) != tdev->memory_size ||
	    entries < 2 || !is_power_of_2(entries) || !(compute + copy)) {
		dev_err(tdev->dev, "the device identifies itself wrongly: role %u, memory %#llx, queues %u + %u of %u entries\n",
			identity->role, le64_to_cpu(hw->memory_size),
			le32_to_cpu(hw->copy_queues),
			le32_to_cpu(hw->compute_queues), entries);
		return -EINVAL;
	}
	wrong = tandem_memory_layout_read(&identity->memory, hw,
					  tdev->memory_size);
	if (wrong)
		dev_err(tdev->dev, "the device's classes of memory are wrong: %s\n",
			wrong);
	return wrong ? -EINVAL : 0;
}

static int identify(struct tandem_device *tdev)
{
	struct tandem_hw_descriptor descriptor = {
		.opcode = TANDEM_HW_OP_IDENTIFY,
	};
	struct tandem_hw_identity *copy;
	struct tandem_shared shared = { };
	int ret;

	copy = kmalloc(sizeof(*copy), GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	ret = tandem_shared_alloc(tdev, &shared, sizeof(*copy),
				  DMA_BIDIRECTIONAL);
	if (ret)
		goto free_copy;
	descriptor.src_offset = cpu_to_le64(shared.bus_address);
	ret = tandem_admin_execute(tdev, &descriptor);
	if (ret)
		goto free_shared;
	memcpy(copy, shared.virtual, sizeof(*copy));
	ret = check_identity(tdev, copy);
free_shared:
	tandem_shared_free(tdev, &shared);
free_copy:
	kfree(copy);
	return ret;
}

static int make_engines(struct tandem_device *tdev)
{
	u32 compute = tdev->identity.compute_queues;
	u32 count = compute + tdev->identity.copy_queues;
	u32 i;
	int ret;

	for (i = 0; i < count; i++) {
		ret = tandem_engine_init(&tdev->engines[i],
					 i < compute ? TANDEM_HW_QUEUE_COMPUTE :
						       TANDEM_HW_QUEUE_COPY);
		if (ret)
			return ret;
	}
	tdev->engine_count = count;
	return 0;
}

int tandem_boot_discover(struct tandem_device *tdev)
{
	int ret;

	ret = identify(tdev);
	return ret ?: make_engines(tdev);
}
