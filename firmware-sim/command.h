/* SPDX-License-Identifier: MIT */
/*
 * One command of an I/O queue: its checks, and who carries it out.
 */
#ifndef TANDEM_FIRMWARE_COMMAND_H
#define TANDEM_FIRMWARE_COMMAND_H

#include <stdbool.h>

#include <tandem_hw.h>

struct fw_queue;
struct fw_result;

/**
 * fw_command_run() - carry a command out
 * @queue: where it runs; its engine thread is the caller
 * @descriptor: a private copy
 * @result: status, detail and modelled_ns are filled in
 */
void fw_command_run(struct fw_queue *queue, const struct tandem_hw_descriptor *descriptor,
		    struct fw_result *result);

/* Should completions before this command be announced before it begins? */
bool fw_command_may_take_long(const struct tandem_hw_descriptor *descriptor);

#endif /* TANDEM_FIRMWARE_COMMAND_H */
