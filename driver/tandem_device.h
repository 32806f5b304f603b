/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A Tandem device: from the handshake with its firmware to its removal.
 */
#ifndef _TANDEM_DEVICE_H
#define _TANDEM_DEVICE_H

#include <drm/drm_device.h>
#include <linux/atomic.h>
#include <linux/idr.h>
#include <linux/mutex.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "tandem_account.h"
#include "tandem_admin.h"
#include "tandem_bus.h"
#include "tandem_coredump.h"
#include "tandem_engine.h"
#include "tandem_hw.h"
#include "tandem_memory.h"
#include "tandem_power.h"
#include "tandem_reset.h"
#include "tandem_shared.h"
#include "tandem_watch.h"

/* Contexts that a device can have at once. */
#define TANDEM_CONTEXTS_MAX		256
/* Regions that a context can map at once. */
#define TANDEM_REGIONS_MAX		1024
/* Engines that the driver uses, and commands that it puts on each. */
#define TANDEM_ENGINES_MAX		8
#define TANDEM_ENGINE_ENTRIES_MAX	256

/**
 * struct tandem_identity - what the device says of itself, checked
 * @profile: name of the device model, printable
 * @firmware_version: likewise
 * @interface: TANDEM_HW_VERSION() of the firmware
 * @role: &enum tandem_hw_role
 * @copy_queues: engines of kind COPY that are used
 * @compute_queues: likewise of kind COMPUTE
 * @queue_entries: commands that an engine takes
 * @profile_memory_size: as &struct tandem_hw_identity says, like what follows
 * @profile_memory_bandwidth: bytes/s
 * @profile_flops: operations/s
 * @profile_link_bandwidth: bytes/s
 * @memory: classes of memory
 */
struct tandem_identity {
	char profile[32];
	char firmware_version[32];
	u32 interface;
	u32 role;
	u32 copy_queues;
	u32 compute_queues;
	u32 queue_entries;
	u64 profile_memory_size;
	u64 profile_memory_bandwidth;
	u64 profile_flops;
	u64 profile_link_bandwidth;
	struct tandem_memory_layout memory;
};

/**
 * struct tandem_device - a device
 * @drm: the DRM device; its reference count is that of the whole
 * @dev: on the bus; held by @drm
 * @bus: services of the bus
 * @bus_queues: doorbells beside that of the admin queue
 * @memory_size: bytes of device memory
 * @identity: constant after the handshake
 * @admin: the admin queue
 * @engines: the queues that carry out commands. Queue number n of the device
 *	is @engines[n - 1]. Those of kind COMPUTE come first
 * @engine_count: how many there are; constant after the handshake
 * @classes: they make, by &enum tandem_hw_queue_kind
 * @dead: it takes no more commands: removed, failed, or being removed. Set
 *	once
 * @state_wait: woken by interrupt 0, when an engine is drained, when a reset is
 *	due, and with @dead
 * @dead_wait: woken with @dead, for poll(2)
 * @accounts: of its users
 * @context_table: &struct tandem_hw_context [TANDEM_CONTEXTS_MAX], read by the
 *	device
 * @context_ids: which of them are taken
 * @contexts: how many are
 * @memory: the memory, and who has it
 * @objects: GEM objects that exist
 * @retiring: regions and contexts that the device has yet to let go of, or
 *	that are being freed
 * @retired_wait: woken when there are none, and with @dead
 * @unplug_lock: guards @registered
 * @registered: users can find the device
 * @fail_work: unplugs a device that has failed
 * @power: whether it is enabled
 * @reset: resets
 * @coredump: what is told of the last one
 * @watch: looks after the heartbeat and commands that take too long
 */
struct tandem_device {
	struct drm_device drm;
	struct device *dev;
	const struct tandem_bus_ops *bus;
	u32 bus_queues;
	u64 memory_size;
	struct tandem_identity identity;
	struct tandem_admin admin;
	struct tandem_engine engines[TANDEM_ENGINES_MAX];
	u32 engine_count;
	struct tandem_engine_class classes[2];
	bool dead;
	wait_queue_head_t state_wait;
	wait_queue_head_t dead_wait;
	struct tandem_accounts accounts;
	struct tandem_shared context_table;
	struct ida context_ids;
	atomic_t contexts;
	struct tandem_memory_pool memory;
	atomic_t objects;
	atomic_t retiring;
	wait_queue_head_t retired_wait;
	struct mutex unplug_lock; /* see above */
	bool registered;
	struct work_struct fail_work;
	struct tandem_power power;
	struct tandem_reset reset;
	struct tandem_coredump coredump;
	struct tandem_watch watch;
};

static inline struct tandem_device *to_tandem_device(struct drm_device *drm)
{
	return container_of(drm, struct tandem_device, drm);
}

/* For the adapters of buses; @dev is the device on the bus. */
int tandem_device_probe(struct device *dev, const struct tandem_bus_ops *bus,
			u32 queues, u64 memory_size);
void tandem_device_remove(struct device *dev);
/* Surprise removal; remove follows. Does not sleep. */
void tandem_device_gone(struct device *dev);
void tandem_device_interrupt(struct device *dev, u32 vector);
/*
 * Between probe and remove: the system is going to sleep, and is awake again. A
 * device is disabled in between and touches nothing of the host. Adapters call
 * them while the device can still answer, and can again. Error of the first:
 * -EBUSY when commands do not end in time; the device goes on.
 */
int tandem_device_suspend(struct device *dev);
int tandem_device_resume(struct device *dev);
/*
 * Runtime PM, for &device_driver.pm. Adapters enable it for the device, and hold
 * a reference while it is probed.
 */
extern const struct dev_pm_ops tandem_device_pm_ops;

/*
 * Takes a device that cannot be trusted to answer out of service, for good:
 * all commands end with -ENODEV. Does not sleep.
 */
void tandem_device_fail(struct tandem_device *tdev, const char *reason);

static inline bool tandem_device_is_dead(struct tandem_device *tdev)
{
	return READ_ONCE(tdev->dead);
}

/* Tells user space, by a uevent of the device on the bus. May sleep. */
void tandem_device_tell(struct tandem_device *tdev, const char *event,
			const char *reason);

/* Module parameters, in jiffies. */
unsigned long tandem_admin_timeout(void);
unsigned long tandem_command_timeout(void);
unsigned long tandem_heartbeat_timeout(void);

/*
 * Waits until what was retired is free; false if there is nothing to wait for.
 * What another process held just before its end is freed a little later.
 */
bool tandem_device_wait_retired(struct tandem_device *tdev);
void tandem_device_retire_begin(struct tandem_device *tdev);
void tandem_device_retire_end(struct tandem_device *tdev);

/* Of module lifetime: releases things that the device has let go of. */
extern struct workqueue_struct *tandem_release_wq;

extern const struct drm_driver tandem_drm_driver;
extern const struct attribute_group *tandem_device_groups[];
void tandem_debugfs_init(struct tandem_device *tdev);

#endif /* _TANDEM_DEVICE_H */
