/* SPDX-License-Identifier: MIT */
/*
 * Programs: copied in once, checked, and turned into pointers.
 */
#ifndef TANDEM_FIRMWARE_PROGRAM_H
#define TANDEM_FIRMWARE_PROGRAM_H

#include <stdint.h>

#include <tandem_program.h>

#include "buffer.h"
#include "regions.h"

struct fw_result;
struct tandem_fw;

/**
 * struct fw_forward - a FORWARD program that has passed all checks
 * @header: private copy of the program's fixed part
 * @rows: private copy, as the following
 * @sequences: table of sequences
 * @blocks: table of blocks
 * @samplings: table of samplings; NULL without SAMPLE
 * @history: table of history
 * @model: the description of the model
 * @weights: the range of the weights; no pointer when no tensor is used
 * @hidden: the range of the hidden state
 * @kv_pool: the range of the pool; no pointer when no layer is run
 * @output: the range of the output; no pointer without output
 * @outputs: rows that have an output
 * @block_bytes: bytes of a KV block
 */
struct fw_forward {
	const struct tandem_program_forward *header;
	const struct tandem_program_row *rows;
	const struct tandem_program_sequence *sequences;
	const uint32_t *blocks;
	const struct tandem_program_sampling *samplings;
	const uint32_t *history;
	const struct tandem_program_model *model;
	struct fw_range weights;
	struct fw_range hidden;
	struct fw_range kv_pool;
	struct fw_range output;
	uint32_t outputs;
	uint64_t block_bytes;
};

/**
 * struct fw_program_memory - where private copies are kept
 * @program: of the program
 * @model: of the description of the model
 * @positions: next position of each sequence, for the check of rows
 * @budget: of all of them
 */
struct fw_program_memory {
	struct fw_buffer program;
	struct fw_buffer model;
	struct fw_buffer positions;
	struct fw_budget *budget;
};

/**
 * fw_program_load() - copy a program in and check it
 * @fw: the device
 * @context: of the command
 * @range: the program
 * @memory: where the copies go; the result points there
 * @forward: filled in
 * @result: detail is filled in on failure
 *
 * Return: TANDEM_HW_OK, PROGRAM_INVALID, REGION_FAULT, BUS_FAULT, NO_MEMORY.
 */
uint32_t fw_program_load(struct tandem_fw *fw, const struct fw_context *context,
			 const struct fw_range *range, struct fw_program_memory *memory,
			 struct fw_forward *forward, struct fw_result *result);

#endif /* TANDEM_FIRMWARE_PROGRAM_H */
