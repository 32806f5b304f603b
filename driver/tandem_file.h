/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An open accel node.
 */
#ifndef _TANDEM_FILE_H
#define _TANDEM_FILE_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

struct tandem_account;
struct tandem_device;

/* 0 names nothing. */
#define TANDEM_ID_LIMIT	XA_LIMIT(1, INT_MAX)

/**
 * struct tandem_file - what a file owns beside GEM handles
 * @ref: held by the file while it is open, by each context, and by memory that
 *	counts for it
 * @tdev: the device
 * @account: of the user who opened it, or NULL for an administrator; constant
 * @lock: held while queues are made, and while a context is taken out
 * @contexts: id to &struct tandem_context; guarded by its own lock
 * @queues: id to &struct tandem_queue; likewise
 * @engine_ns: time that engines of each kind spent on its commands
 * @memory_used: bytes of device memory that it made and that are not free yet;
 *	changed under &tandem_memory_pool.lock
 */
struct tandem_file {
	struct kref ref;
	struct tandem_device *tdev;
	struct tandem_account *account;
	struct mutex lock; /* see above */
	struct xarray contexts;
	struct xarray queues;
	atomic64_t engine_ns[2];
	atomic64_t memory_used;
};

void tandem_file_put(struct tandem_file *file);

#endif /* _TANDEM_FILE_H */
