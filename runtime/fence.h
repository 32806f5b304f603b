/* SPDX-License-Identifier: MIT */
/*
 * Fences from the inside. fence.c is what the back ends have in common.
 */
#ifndef TANDEM_RUNTIME_FENCE_H
#define TANDEM_RUNTIME_FENCE_H

#include <stdatomic.h>
#include <stdint.h>

#include <tandem/fence.h>

#include "device.h"

/**
 * struct fence_line - the timeline that a fence and its views have in common
 * @references: of them
 * @promised: the greatest point that an operation or a call was told to signal
 *
 * Views of it belong to other devices, perhaps on other threads.
 */
struct fence_line {
	_Atomic(unsigned int) references;
	_Atomic(uint64_t) promised;
};

/**
 * struct tandem_fence - a device's view of a timeline
 * @device: that may use it
 * @line: the timeline; held
 *
 * A back end embeds it as the first member of its own.
 */
struct tandem_fence {
	struct tandem_device *device;
	struct fence_line *line;
};

/* Does @op wait for nothing, or for a point that @device can wait for? */
int fence_check(const struct tandem_device *device, const struct tandem_operation *op);

/**
 * fence_promise() - somebody is going to signal a point
 * @line: the timeline
 * @point: the point
 * @before: filled in for fence_break_promise()
 *
 * Return: 0, -EINVAL unless it is greater than all that were promised before.
 */
int fence_promise(struct fence_line *line, uint64_t point, uint64_t *before);

/* It did not come to that. */
void fence_break_promise(struct fence_line *line, uint64_t point, uint64_t before);

#endif /* TANDEM_RUNTIME_FENCE_H */
