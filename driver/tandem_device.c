// SPDX-License-Identifier: GPL-2.0
#include <drm/drm_drv.h>
#include <drm/drm_managed.h>
#include <linux/ctype.h>
#include <linux/dev_printk.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/poll.h>

#include "tandem_admin.h"
#include "tandem_device.h"
#include "tandem_engine.h"
#include "tandem_hw.h"
#include "tandem_memory.h"

/* How often the watch comes by. */
#define WATCH_INTERVAL	msecs_to_jiffies(250)

static_assert(sizeof(struct tandem_hw_identity) == 4096);

static u32 read_register(struct tandem_device *tdev, u32 offset)
{
	return tdev->bus->read32(tdev->dev, offset);
}

static u64 read_register64(struct tandem_device *tdev, u32 offset)
{
	u64 low = read_register(tdev, offset);

	return low | (u64)read_register(tdev, offset + 4) << 32;
}

static void write_register(struct tandem_device *tdev, u32 offset, u32 value)
{
	tdev->bus->write32(tdev->dev, offset, value);
}

static void write_register64(struct tandem_device *tdev, u32 offset, u64 value)
{
	write_register(tdev, offset, lower_32_bits(value));
	write_register(tdev, offset + 4, upper_32_bits(value));
}

/* True for the one call that did it. Does not sleep. */
static bool mark_dead(struct tandem_device *tdev)
{
	bool first = !xchg(&tdev->dead, true);
	u32 i;

	wake_up_all(&tdev->state_wait);
	for (i = 0; i < TANDEM_ENGINES_MAX; i++)
		tandem_engine_stop(&tdev->engines[i]);
	tandem_admin_stop(tdev);
	wake_up_all(&tdev->retired_wait);
	wake_up_poll(&tdev->dead_wait, EPOLLHUP | EPOLLERR);
	return first;
}

void tandem_device_fail(struct tandem_device *tdev, const char *reason)
{
	if (!mark_dead(tdev))
		return;
	dev_err(tdev->dev, "%s: the device is out of service; restart its firmware\n",
		reason);
	schedule_work(&tdev->fail_work);
}

void tandem_device_retire_begin(struct tandem_device *tdev)
{
	atomic_inc(&tdev->retiring);
}

void tandem_device_retire_end(struct tandem_device *tdev)
{
	if (atomic_dec_and_test(&tdev->retiring))
		wake_up_all(&tdev->retired_wait);
}

bool tandem_device_wait_retired(struct tandem_device *tdev)
{
	if (!atomic_read(&tdev->retiring))
		return false;
	wait_event_killable_timeout(tdev->retired_wait,
				    !atomic_read(&tdev->retiring) ||
				    tandem_device_is_dead(tdev),
				    tandem_admin_timeout());
	return true;
}

static void device_unplug(struct tandem_device *tdev)
{
	mutex_lock(&tdev->unplug_lock);
	if (tdev->registered) {
		tdev->registered = false;
		drm_dev_unplug(&tdev->drm);
	}
	mutex_unlock(&tdev->unplug_lock);
}

static void device_unplug_failed(struct work_struct *work)
{
	device_unplug(container_of(work, struct tandem_device, fail_work));
}

/* What is wrong with the device, or NULL. */
static const char *device_examine(struct tandem_device *tdev)
{
	u32 heartbeat = read_register(tdev, TANDEM_REG_HEARTBEAT);
	u32 state = read_register(tdev, TANDEM_REG_STATUS);
	bool stopped = state != TANDEM_HW_STATE_RUNNING;
	u32 i;

	if (state == TANDEM_HW_STATE_FATAL)
		return "it reports a fatal error";
	/* Firmware that is ended stops first: leave it the time to go. */
	if (stopped && tdev->stopped)
		return "it has stopped by itself";
	tdev->stopped = stopped;
	/*
	 * Looks are counted, not time: when the whole machine stood still, the
	 * device is not to blame.
	 */
	if (heartbeat != tdev->heartbeat) {
		tdev->heartbeat = heartbeat;
		tdev->silent_looks = 0;
	} else if (++tdev->silent_looks * WATCH_INTERVAL >
		   tandem_heartbeat_timeout()) {
		return "no heartbeat";
	}
	if (tandem_admin_overdue(tdev))
		return "no answer to an admin command";
	for (i = 0; i < TANDEM_ENGINES_MAX; i++) {
		if (!tandem_engine_watch(&tdev->engines[i]))
			return "a command cannot be aborted";
	}
	return NULL;
}

static void device_watch(struct work_struct *work)
{
	struct tandem_device *tdev = container_of(to_delayed_work(work),
						  struct tandem_device,
						  watch_work);
	const char *fault;

	if (tandem_device_is_dead(tdev))
		return;
	fault = device_examine(tdev);
	/* A removal by surprise is told of by the bus. */
	if (fault && !tdev->bus->is_gone(tdev->dev))
		tandem_device_fail(tdev, fault);
	else
		schedule_delayed_work(&tdev->watch_work, WATCH_INTERVAL);
}

static void start_watch(struct tandem_device *tdev)
{
	tdev->heartbeat = read_register(tdev, TANDEM_REG_HEARTBEAT);
	tdev->silent_looks = 0;
	schedule_delayed_work(&tdev->watch_work, WATCH_INTERVAL);
}

static bool left_state(struct tandem_device *tdev, u32 expected)
{
	u32 state = read_register(tdev, TANDEM_REG_STATUS);

	return state == expected || state == TANDEM_HW_STATE_FATAL ||
	       tdev->bus->is_gone(tdev->dev);
}

static int wait_for_state(struct tandem_device *tdev, u32 expected)
{
	u32 state;

	wait_event_timeout(tdev->state_wait, left_state(tdev, expected),
			   msecs_to_jiffies(TANDEM_HW_STATE_TIMEOUT_MS));
	if (tdev->bus->is_gone(tdev->dev))
		return -ENODEV;
	state = read_register(tdev, TANDEM_REG_STATUS);
	if (state == expected)
		return 0;
	dev_err(tdev->dev, "the device is in state %u instead of %u (reason %u)\n",
		state, expected, read_register(tdev, TANDEM_REG_FATAL));
	return state == TANDEM_HW_STATE_FATAL ? -EIO : -ETIMEDOUT;
}

static int check_registers(struct tandem_device *tdev)
{
	u32 magic = read_register(tdev, TANDEM_REG_MAGIC);
	u32 version = read_register(tdev, TANDEM_REG_VERSION);
	u64 memory_size = read_register64(tdev, TANDEM_REG_MEMORY_SIZE);
	int ret;

	if (magic != TANDEM_HW_MAGIC) {
		dev_err(tdev->dev, "no Tandem device: magic %#x\n", magic);
		return -ENODEV;
	}
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
	return 0;
}

static int device_enable(struct tandem_device *tdev, u32 *epoch)
{
	int ret;

	/* The last one stays in the register when the driver is reloaded. */
	*epoch = read_register(tdev, TANDEM_REG_EPOCH) + 1 ?: 1;
	ret = tandem_shared_alloc(tdev, &tdev->context_table,
				  TANDEM_CONTEXTS_MAX *
				  sizeof(struct tandem_hw_context),
				  DMA_TO_DEVICE);
	if (ret)
		return ret;
	ret = tandem_admin_start(tdev, *epoch);
	if (ret)
		return ret;

	write_register(tdev, TANDEM_REG_EPOCH, *epoch);
	write_register(tdev, TANDEM_REG_ADMIN_ENTRIES, TANDEM_ADMIN_ENTRIES);
	write_register64(tdev, TANDEM_REG_ADMIN_SQ,
			 tdev->admin.ring.sq.bus_address);
	write_register64(tdev, TANDEM_REG_ADMIN_CQ,
			 tdev->admin.ring.cq.bus_address);
	write_register64(tdev, TANDEM_REG_CONTEXT_TABLE,
			 tdev->context_table.bus_address);
	write_register(tdev, TANDEM_REG_CONTEXT_COUNT, TANDEM_CONTEXTS_MAX);
	write_register(tdev, TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
	tdev->bus->ring_control(tdev->dev);
	return wait_for_state(tdev, TANDEM_HW_STATE_RUNNING);
}

static void device_disable(struct tandem_device *tdev)
{
	if (tdev->bus->is_gone(tdev->dev))
		return;
	write_register(tdev, TANDEM_REG_CONTROL, 0);
	tdev->bus->ring_control(tdev->dev);
	/* If it does not answer: what it could reach is unmapped anyway. */
	wait_for_state(tdev, TANDEM_HW_STATE_READY);
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
	u32 queues = min3(read_register(tdev, TANDEM_REG_QUEUE_MAX),
			  tdev->bus_queues, (u32)TANDEM_ENGINES_MAX);
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
	return 0;
}

static int device_identify(struct tandem_device *tdev)
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

static int start_engines(struct tandem_device *tdev, u32 epoch)
{
	u32 compute = tdev->identity.compute_queues;
	u32 count = compute + tdev->identity.copy_queues;
	u32 i;
	int ret;

	for (i = 0; i < count; i++) {
		ret = tandem_engine_start(&tdev->engines[i],
					  i < compute ? TANDEM_HW_QUEUE_COMPUTE :
							TANDEM_HW_QUEUE_COPY,
					  epoch);
		if (ret)
			return ret;
	}
	tdev->engine_count = count;
	tandem_debugfs_init(tdev);
	return 0;
}

/* With the DRM device's last reference. */
static void release_tables(struct drm_device *drm, void *unused)
{
	struct tandem_device *tdev = to_tandem_device(drm);

	tandem_shared_free(tdev, &tdev->context_table);
	ida_destroy(&tdev->context_ids);
	drm_mm_takedown(&tdev->memory);
	mutex_destroy(&tdev->memory_lock);
	mutex_destroy(&tdev->unplug_lock);
}

static struct tandem_device *device_alloc(struct device *dev,
					  const struct tandem_bus_ops *bus,
					  u32 queues, u64 memory_size)
{
	struct tandem_device *tdev;
	u32 i;
	int ret;

	tdev = devm_drm_dev_alloc(dev, &tandem_drm_driver, struct tandem_device,
				  drm);
	if (IS_ERR(tdev))
		return tdev;
	tdev->dev = dev;
	tdev->bus = bus;
	tdev->bus_queues = queues;
	tdev->memory_size = memory_size;
	tandem_admin_prepare(&tdev->admin);
	for (i = 0; i < TANDEM_ENGINES_MAX; i++)
		tandem_engine_prepare(&tdev->engines[i], tdev, i);
	init_waitqueue_head(&tdev->state_wait);
	init_waitqueue_head(&tdev->dead_wait);
	init_waitqueue_head(&tdev->retired_wait);
	ida_init(&tdev->context_ids);
	mutex_init(&tdev->memory_lock);
	drm_mm_init(&tdev->memory, 0, memory_size);
	INIT_LIST_HEAD(&tdev->lingering);
	INIT_DELAYED_WORK(&tdev->linger_work, tandem_memory_look_again);
	mutex_init(&tdev->unplug_lock);
	INIT_WORK(&tdev->fail_work, device_unplug_failed);
	INIT_DELAYED_WORK(&tdev->watch_work, device_watch);

	ret = drmm_add_action_or_reset(&tdev->drm, release_tables, NULL);
	return ret ? ERR_PTR(ret) : tdev;
}

static void device_stop(struct tandem_device *tdev)
{
	u32 i;

	mark_dead(tdev);
	cancel_delayed_work_sync(&tdev->watch_work);
	cancel_work_sync(&tdev->fail_work);
	device_unplug(tdev);
	device_disable(tdev);
	for (i = 0; i < TANDEM_ENGINES_MAX; i++)
		tandem_engine_fini(&tdev->engines[i]);
	tandem_admin_fini(tdev);
}

static int device_start(struct tandem_device *tdev)
{
	u32 epoch;
	int ret;

	ret = check_registers(tdev);
	if (ret)
		return ret;
	ret = device_enable(tdev, &epoch);
	if (ret)
		return ret;
	start_watch(tdev);
	ret = device_identify(tdev);
	if (ret)
		return ret;
	ret = start_engines(tdev, epoch);
	if (ret)
		return ret;

	mutex_lock(&tdev->unplug_lock);
	ret = tandem_device_is_dead(tdev) ? -ENODEV :
					    drm_dev_register(&tdev->drm, 0);
	tdev->registered = !ret;
	mutex_unlock(&tdev->unplug_lock);
	return ret;
}

int tandem_device_probe(struct device *dev, const struct tandem_bus_ops *bus,
			u32 queues, u64 memory_size)
{
	struct tandem_device *tdev;
	int ret;

	tdev = device_alloc(dev, bus, queues, memory_size);
	if (IS_ERR(tdev))
		return PTR_ERR(tdev);
	/* Interrupts find the device from here on, and have to find it ready. */
	smp_wmb();
	dev_set_drvdata(dev, tdev);
	/* Either this sees that it is gone, or tandem_device_gone() sees it. */
	smp_mb();
	ret = bus->is_gone(dev) ? -ENODEV : device_start(tdev);
	if (ret) {
		device_stop(tdev);
		if (!bus->is_gone(dev))
			dev_err(dev, "cannot start the device: error %d\n",
				ret);
		return ret;
	}
	dev_info(dev, "%s, firmware %s, %llu MiB, %u compute and %u copy queues\n",
		 tdev->identity.profile, tdev->identity.firmware_version,
		 memory_size >> 20, tdev->identity.compute_queues,
		 tdev->identity.copy_queues);
	return 0;
}

void tandem_device_remove(struct device *dev)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);

	device_stop(tdev);
	dev_info(dev, "removed\n");
}

void tandem_device_gone(struct device *dev)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);

	if (tdev)
		mark_dead(tdev);
}

void tandem_device_interrupt(struct device *dev, u32 vector)
{
	struct tandem_device *tdev = dev_get_drvdata(dev);

	if (!tdev)
		return;
	if (!vector) {
		wake_up_all(&tdev->state_wait);
		tandem_admin_interrupt(tdev);
	} else if (vector <= TANDEM_ENGINES_MAX) {
		vector = array_index_nospec(vector - 1, TANDEM_ENGINES_MAX);
		tandem_engine_interrupt(&tdev->engines[vector]);
	}
}
