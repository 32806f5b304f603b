/* SPDX-License-Identifier: MIT */
/*
 * Operations that are longer than a command can be, carried out as several.
 */
#ifndef TANDEM_RUNTIME_PIECES_H
#define TANDEM_RUNTIME_PIECES_H

#include <stdint.h>

#include "device.h"

/**
 * pieces_submit() - carry a command out as several
 * @queue: where to put them, one behind the other
 * @command: longer than @length_max; its offsets and length do not overflow
 * @length_max: longest command that the queue takes, in the unit of
 *	&device_command.length
 * @op: ends when all pieces have; with the first error among them
 *
 * Return: 0; -ENOMEM, -ENODEV, -EINVAL, nothing having been started.
 */
int pieces_submit(struct tandem_queue *queue, const struct device_command *command,
		  uint64_t length_max, struct tandem_operation *op);

#endif /* TANDEM_RUNTIME_PIECES_H */
