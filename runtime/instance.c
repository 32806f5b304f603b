// SPDX-License-Identifier: MIT
/*
 * A model placed on a device: its weights there, a KV pool, and the programs
 * that run its layers.
 *
 * Programs are written straight into device memory, a slot for each that is
 * under way. The hidden state stays on the device between the programs of one
 * batch; since the queue carries them out in order, one buffer serves all.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem_program.h>

#include "error.h"
#include "instance.h"
#include "kv.h"
#include "loop.h"
#include "model.h"
#include "model_place.h"
#include "sampling.h"

#define BLOCK_TOKENS_DEFAULT	16
#define ROWS_DEFAULT		256
#define ROWS_MAX		65536

/* Elements of a block of Q8_0. */
#define Q8_0_ELEMENTS		32

/* Alignment of everything in device memory that a program refers to. */
#define ALIGNMENT		64

/* What a program says of one sequence, its blocks apart. */
#define SEQUENCE_BYTES_MAX	(sizeof(struct tandem_program_sequence) + \
				 sizeof(struct tandem_program_sampling) + \
				 TANDEM_REPEAT_LAST_MAX * sizeof(uint32_t))

/* Forwards with an output that can be under way at once: each has a place of its own. */
#define FORWARD_OUTPUTS		4
#define OUTPUT_NONE		UINT32_MAX

/**
 * struct program_slot - room for one program
 * @instance: that it is of
 * @exec: the device's work on it
 * @caller: operation of tandem_forward_start(); NULL while the slot is free
 * @pinned: blocks that stay in place until the device is done, @blocks_max
 * @pinned_count: how many
 * @output: number of the place of its output; %OUTPUT_NONE without
 */
struct program_slot {
	struct tandem_instance *instance;
	struct tandem_operation exec;
	struct tandem_operation *caller;
	uint32_t *pinned;
	uint32_t pinned_count;
	uint32_t output;
};

/**
 * struct tandem_instance - a model on a device
 * @model_bytes: of the description at the start of @weights
 * @weights: description and tensors
 * @hidden: binary32 [rows_max][dim]
 * @output: struct tandem_program_output and logits, each @output_bytes:
 *	@batch_max of a step, then those of %FORWARD_OUTPUTS forwards
 * @outputs_used: bits of the latter that programs under way will write
 * @last_output: place of the forward's that ended last
 * @programs: @slot_count slots of @slot_bytes
 * @pinned: memory for the slots' @pinned
 * @next_slot: slots are used in turn, as programs end in turn
 * @next_transfer: see instance_next_transfer()
 *
 * Owned by whoever created it; used by the loop's thread only.
 */
struct tandem_instance {
	struct tandem_loop *loop;
	struct tandem_device *device;
	const struct tandem_model *model;
	struct tandem_queue *queue;
	struct tandem_kv_pool *pool;
	struct tandem_memory *weights;
	struct tandem_memory *hidden;
	struct tandem_memory *output;
	struct tandem_memory *programs;
	uint64_t model_bytes;
	uint64_t weights_bytes;
	uint64_t output_bytes;
	uint32_t rows_max;
	uint32_t batch_max;
	uint32_t blocks_max;
	uint64_t slot_bytes;
	uint32_t slot_count;
	uint32_t next_slot;
	struct program_slot *slots;
	uint32_t *pinned;
	uint32_t outputs_used;
	uint32_t last_output;
	unsigned char *program_base;
	const unsigned char *output_base;
	uint32_t next_transfer;
};

static uint64_t align_up(uint64_t value)
{
	return (value + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* Allocate @size bytes of the device's memory and map them here. */
static int allocate(struct tandem_instance *instance, uint64_t size, const char *what,
		    struct tandem_memory **memory, void **pointer, struct tandem_error *error)
{
	struct tandem_device_info info = { 0 };
	int ret = tandem_memory_alloc(instance->device, size, memory, error);

	if (!ret)
		ret = tandem_memory_map(*memory, pointer);
	if (!ret)
		return 0;
	tandem_device_get_info(instance->device, &info);
	return tandem_error_set(error, ret,
				"%s: no %llu bytes for the model's %s (%llu of %llu bytes in use): %s",
				info.name, (unsigned long long)size, what,
				(unsigned long long)info.memory_used,
				(unsigned long long)info.memory_size, strerror(-ret));
}

static int place_weights(struct tandem_instance *instance,
			 const struct tandem_instance_options *options, struct tandem_error *error)
{
	struct model_progress progress = { .told = options->on_load, .user = options->user };
	const struct tandem_model_info *info = &instance->model->info;
	struct tandem_program_model *description;
	XXH128_hash_t content;
	void *base;
	int ret;

	instance->model_bytes = model_description_bytes(instance->model);
	description = calloc(1, instance->model_bytes);
	progress.content = XXH3_createState();
	if (!description || !progress.content) {
		ret = tandem_error_set(error, -ENOMEM, "%s: out of memory", info->name);
		goto free_description;
	}
	instance->weights_bytes = model_describe(instance->model, description);
	ret = allocate(instance, instance->weights_bytes, "weights", &instance->weights, &base,
		       error);
	if (ret)
		goto free_description;
	memcpy(base, description, instance->model_bytes);
	XXH3_128bits_reset(progress.content);
	XXH3_128bits_update(progress.content, description, instance->model_bytes);
	ret = model_load_tensors(instance->model, description, base, &progress, error);
	if (ret)
		goto free_description;
	/* All that what is in the pool depends on, but for the device's rounding. */
	content = XXH3_128bits_digest(progress.content);
	tandem_kv_pool_set_identity(instance->pool, &content, sizeof(content));
free_description:
	XXH3_freeState(progress.content);
	free(description);
	return ret;
}

static int place_buffers(struct tandem_instance *instance, struct tandem_error *error)
{
	const struct tandem_model_info *info = &instance->model->info;
	void *pointer;
	int ret;

	ret = allocate(instance, (uint64_t)instance->rows_max * info->dim * sizeof(float),
		       "hidden state", &instance->hidden, &pointer, error);
	if (ret)
		return ret;
	instance->output_bytes = align_up(sizeof(struct tandem_program_output) +
					  (uint64_t)info->vocabulary * sizeof(float));
	ret = allocate(instance,
		       instance->output_bytes * (instance->batch_max + FORWARD_OUTPUTS), "output",
		       &instance->output, &pointer, error);
	if (ret)
		return ret;
	instance->output_base = pointer;
	ret = allocate(instance, instance->slot_bytes * instance->slot_count, "programs",
		       &instance->programs, &pointer, error);
	instance->program_base = pointer;
	return ret;
}

static int make_pool(struct tandem_instance *instance,
		     const struct tandem_instance_options *options, struct tandem_error *error)
{
	const struct tandem_model_info *info = &instance->model->info;
	const uint32_t tokens = options->kv_tokens ? options->kv_tokens : info->context;
	struct tandem_kv_layout layout = {
		.type = options->kv_type,
		.layers = info->layers,
		.kv_width = info->kv_heads * info->head_dim,
		.block_tokens = options->block_tokens ? options->block_tokens :
							BLOCK_TOKENS_DEFAULT,
	};

	if (options->kv_type == TANDEM_PROGRAM_Q8_0 && info->head_dim % Q8_0_ELEMENTS)
		return tandem_error_set(error, -EINVAL,
					"%s: heads of %u elements are not whole blocks of %d, which a KV cache in Q8_0 takes; use F16",
					info->name, info->head_dim, Q8_0_ELEMENTS);
	layout.blocks = (tokens - 1) / layout.block_tokens + 1;
	instance->blocks_max = (info->context - 1) / layout.block_tokens + 1;
	return tandem_kv_pool_create(instance->device, &layout, &instance->pool, error);
}

static int size_programs(struct tandem_instance *instance,
			 const struct tandem_instance_options *options, struct tandem_error *error)
{
	const uint32_t block_tokens = tandem_kv_pool_layout(instance->pool)->block_tokens;
	const uint32_t blocks = tandem_kv_pool_layout(instance->pool)->blocks;
	const uint32_t wanted = options->rows_max ? options->rows_max : ROWS_DEFAULT;

	if (wanted > ROWS_MAX || block_tokens > ROWS_MAX)
		return tandem_error_set(error, -EINVAL,
					"model: %u rows a program are more than %u", wanted,
					ROWS_MAX);
	instance->rows_max = ((wanted - 1) / block_tokens + 1) * block_tokens;
	instance->batch_max = options->batch_max ? options->batch_max : 1;
	if (instance->batch_max > instance->rows_max)
		return tandem_error_set(error, -EINVAL,
					"model: a batch of %u has no room in %u rows a program",
					instance->batch_max, instance->rows_max);
	/* Sequences of a batch share the pool, so together they have no more than it. */
	if (instance->batch_max > 1 && blocks > instance->blocks_max)
		instance->blocks_max = blocks;
	instance->slot_bytes = align_up(sizeof(struct tandem_program_forward) +
					instance->rows_max * sizeof(struct tandem_program_row) +
					instance->batch_max * SEQUENCE_BYTES_MAX +
					instance->blocks_max * (uint64_t)sizeof(uint32_t));
	if (instance->slot_bytes > TANDEM_PROGRAM_BYTES_MAX)
		return tandem_error_set(error, -EINVAL,
					"model: programs for a context of %u tokens are too long",
					instance->model->info.context);
	instance->slot_count = 2 * instance->model->info.layers + 2;
	instance->slots = calloc(instance->slot_count, sizeof(*instance->slots));
	instance->pinned = calloc(instance->slot_count,
				  instance->blocks_max * sizeof(*instance->pinned));
	if (!instance->slots || !instance->pinned)
		return tandem_error_set(error, -ENOMEM, "model: out of memory");
	for (uint32_t i = 0; i < instance->slot_count; i++) {
		instance->slots[i].instance = instance;
		instance->slots[i].pinned = instance->pinned + (size_t)i * instance->blocks_max;
	}
	return 0;
}

int tandem_instance_create(struct tandem_loop *loop, struct tandem_device *device,
			   const struct tandem_model *model,
			   const struct tandem_instance_options *options,
			   struct tandem_instance **instance, struct tandem_error *error)
{
	static const struct tandem_instance_options defaults;
	struct tandem_instance *new = calloc(1, sizeof(*new));
	int ret;

	if (!new)
		return tandem_error_set(error, -ENOMEM, "model: out of memory");
	if (!options)
		options = &defaults;
	new->loop = loop;
	new->device = device;
	new->model = model;
	ret = tandem_queue_open(device, TANDEM_QUEUE_TYPE_COMPUTE, &new->queue, error);
	if (!ret)
		ret = make_pool(new, options, error);
	if (!ret)
		ret = size_programs(new, options, error);
	if (!ret)
		ret = place_buffers(new, error);
	if (!ret)
		ret = place_weights(new, options, error);
	if (ret) {
		tandem_instance_destroy(new);
		return ret;
	}
	*instance = new;
	return 0;
}

void tandem_instance_destroy(struct tandem_instance *instance)
{
	if (!instance)
		return;
	tandem_queue_close(instance->queue);
	tandem_memory_free(instance->weights);
	tandem_memory_free(instance->programs);
	tandem_memory_free(instance->output);
	tandem_memory_free(instance->hidden);
	tandem_kv_pool_destroy(instance->pool);
	free(instance->pinned);
	free(instance->slots);
	free(instance);
}

struct tandem_kv_pool *tandem_instance_kv_pool(const struct tandem_instance *instance)
{
	return instance->pool;
}

struct tandem_device *tandem_instance_device(const struct tandem_instance *instance)
{
	return instance->device;
}

struct tandem_queue *tandem_instance_queue(const struct tandem_instance *instance)
{
	return instance->queue;
}

const struct tandem_model *tandem_instance_model(const struct tandem_instance *instance)
{
	return instance->model;
}

uint32_t tandem_instance_rows_max(const struct tandem_instance *instance)
{
	return instance->rows_max;
}

uint32_t tandem_instance_batch_max(const struct tandem_instance *instance)
{
	return instance->batch_max;
}

uint32_t instance_blocks_max(const struct tandem_instance *instance)
{
	return instance->blocks_max;
}

uint32_t instance_next_transfer(struct tandem_instance *instance)
{
	/* 0 stands for none. */
	if (!(++instance->next_transfer & 0xffff))
		instance->next_transfer++;
	return instance->next_transfer & 0xffff;
}

static bool sampling_is_sound(const struct tandem_instance *instance,
			      const struct tandem_sampling *sampling, const uint32_t *history,
			      uint32_t history_count)
{
	const uint32_t needed = sampling_history_needed(sampling, history_count);

	if (tandem_sampling_check(sampling, NULL))
		return false;
	for (uint32_t i = history_count - needed; i < history_count; i++)
		if (history[i] >= instance->model->info.vocabulary)
			return false;
	return true;
}

static bool forward_is_sound(const struct tandem_instance *instance,
			     const struct tandem_forward *forward)
{
	const struct tandem_model_info *info = &instance->model->info;
	const uint64_t room = (uint64_t)forward->sequence->block_count *
			      tandem_kv_pool_layout(instance->pool)->block_tokens;

	return forward->sequence->pool == instance->pool &&
	       forward->rows && forward->rows <= instance->rows_max &&
	       forward->position < info->context &&
	       forward->rows <= info->context - forward->position &&
	       (uint64_t)forward->position + forward->rows <= room &&
	       kv_sequence_may_write(forward->sequence, forward->position, forward->rows) &&
	       forward->layer_first < info->layers && forward->layer_count &&
	       forward->layer_count <= info->layers - forward->layer_first &&
	       (!forward->output ||
		forward->layer_first + forward->layer_count == info->layers) &&
	       (!forward->logits || forward->output) &&
	       (!forward->sampling ||
		(forward->output && sampling_is_sound(instance, forward->sampling,
						      forward->history,
						      forward->history_count)));
}

static struct tandem_program_reference refer_to(const struct tandem_memory *memory,
						uint64_t length)
{
	return (struct tandem_program_reference) {
		.region = tandem_memory_region(memory),
		.length = length,
	};
}

static uint32_t forward_flags(const struct tandem_forward *forward)
{
	return (forward->layer_first ? 0 : TANDEM_FORWARD_EMBED) |
	       (sampling_is_plain(forward->sampling) ? 0 : TANDEM_FORWARD_SAMPLE) |
	       (forward->output ? TANDEM_FORWARD_OUTPUT : 0) |
	       (forward->logits ? TANDEM_FORWARD_LOGITS : 0);
}

/* Blocks that positions up to @position are in. */
static uint32_t blocks_needed(const struct tandem_instance *instance, uint32_t position)
{
	return position / tandem_kv_pool_layout(instance->pool)->block_tokens + 1;
}

/* What all programs of an instance have in common. */
static void fill_references(const struct tandem_instance *instance, uint32_t flags,
			    uint32_t output, uint32_t outputs, struct tandem_program_forward *head)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(instance->pool);
	const struct tandem_model_info *info = &instance->model->info;

	head->header.magic = TANDEM_PROGRAM_MAGIC;
	head->header.version = TANDEM_PROGRAM_VERSION;
	head->header.operation = TANDEM_PROGRAM_FORWARD;
	head->header.flags = flags;
	head->model = refer_to(instance->weights, instance->model_bytes);
	head->weights = refer_to(instance->weights, instance->weights_bytes);
	head->hidden = refer_to(instance->hidden,
				(uint64_t)instance->rows_max * info->dim * sizeof(float));
	head->kv_pool = refer_to(tandem_kv_pool_memory(instance->pool),
				 tandem_kv_block_bytes(layout) * layout->blocks * layout->layers);
	head->kv.type = layout->type;
	head->kv.block_tokens = layout->block_tokens;
	head->kv.blocks = layout->blocks;
	head->kv.layers = layout->layers;
	if (!(flags & TANDEM_FORWARD_OUTPUT))
		return;
	head->output = refer_to(instance->output, instance->output_bytes * outputs);
	head->output.offset = instance->output_bytes * output;
	head->output_stride = (uint32_t)instance->output_bytes;
}

/* Where the tables are, from the numbers of their entries. */
static void place_tables(struct tandem_program_forward *head)
{
	head->rows_offset = sizeof(*head);
	head->sequences_offset = head->rows_offset +
				 head->rows * (uint32_t)sizeof(struct tandem_program_row);
	head->blocks_offset = head->sequences_offset +
			      head->sequences * (uint32_t)sizeof(struct tandem_program_sequence);
	if (head->header.flags & TANDEM_FORWARD_SAMPLE) {
		head->samplings_offset = head->blocks_offset;
		head->blocks_offset +=
			head->sequences * (uint32_t)sizeof(struct tandem_program_sampling);
		head->history_offset = head->blocks_offset;
		head->blocks_offset += (head->history + 1) / 2 * 8;
	}
	head->header.size = head->blocks_offset + head->blocks * (uint32_t)sizeof(uint32_t);
}

/* Entry @index of the table of samplings, with its history from entry @first on. */
static void write_sampling(const struct tandem_program_forward *head, unsigned char *slot,
			   uint32_t index, uint32_t first, const struct tandem_sampling *sampling,
			   const uint32_t *history, uint32_t history_count)
{
	struct tandem_program_sampling description = {
		.first_history = first,
		.history_count = sampling_history_needed(sampling, history_count),
	};

	sampling_describe(sampling, &description);
	memcpy(slot + head->samplings_offset + index * sizeof(description), &description,
	       sizeof(description));
	if (description.history_count)
		memcpy(slot + head->history_offset + first * sizeof(*history),
		       history + history_count - description.history_count,
		       description.history_count * sizeof(*history));
}

/* Write the program into its slot, with its output at place @output. Return: its length. */
static uint32_t write_program(const struct tandem_instance *instance,
			      const struct tandem_forward *forward, uint32_t output,
			      unsigned char *slot)
{
	struct tandem_program_forward head = { 0 };
	struct tandem_program_sequence sequence = { 0 };

	fill_references(instance, forward_flags(forward), output, 1, &head);
	head.layer_first = forward->layer_first;
	head.layer_count = forward->layer_count;
	head.rows = forward->rows;
	head.sequences = 1;
	head.blocks = blocks_needed(instance, forward->position + forward->rows - 1);
	head.history = sampling_history_needed(forward->sampling, forward->history_count);
	place_tables(&head);
	memcpy(slot, &head, sizeof(head));
	if (head.header.flags & TANDEM_FORWARD_SAMPLE)
		write_sampling(&head, slot, 0, 0, forward->sampling, forward->history,
			       forward->history_count);
	for (uint32_t i = 0; i < forward->rows; i++) {
		const struct tandem_program_row row = {
			.token = forward->tokens[i],
			.position = forward->position + i,
			.flags = forward->output && i == forward->rows - 1 ? TANDEM_ROW_OUTPUT : 0,
		};

		memcpy(slot + head.rows_offset + i * sizeof(row), &row, sizeof(row));
	}
	sequence.block_count = head.blocks;
	memcpy(slot + head.sequences_offset, &sequence, sizeof(sequence));
	memcpy(slot + head.blocks_offset, forward->sequence->blocks,
	       head.blocks * sizeof(uint32_t));
	return head.header.size;
}

static uint32_t step_flags(const struct tandem_step *step)
{
	uint32_t flags = TANDEM_FORWARD_EMBED | TANDEM_FORWARD_OUTPUT |
			 (step->logits ? TANDEM_FORWARD_LOGITS : 0);

	for (uint32_t i = 0; i < step->count; i++)
		if (!sampling_is_plain(step->rows[i].sampling))
			flags |= TANDEM_FORWARD_SAMPLE;
	return flags;
}

static void write_samplings(const struct tandem_program_forward *head, unsigned char *slot,
			    const struct tandem_step *step)
{
	uint32_t first = 0;

	for (uint32_t i = 0; i < step->count; i++) {
		const struct tandem_step_row *row = &step->rows[i];

		write_sampling(head, slot, i, first, row->sampling, row->history,
			       row->history_count);
		first += sampling_history_needed(row->sampling, row->history_count);
	}
}

/* The same for one step of a batch: a row, and a sequence, for each. */
static uint32_t write_step(const struct tandem_instance *instance,
			   const struct tandem_step *step, unsigned char *slot)
{
	struct tandem_program_forward head = { 0 };

	fill_references(instance, step_flags(step), 0, instance->batch_max, &head);
	head.layer_count = instance->model->info.layers;
	head.rows = step->count;
	head.sequences = step->count;
	for (uint32_t i = 0; i < step->count; i++) {
		head.blocks += blocks_needed(instance, step->rows[i].position);
		head.history += sampling_history_needed(step->rows[i].sampling,
							step->rows[i].history_count);
	}
	place_tables(&head);
	memcpy(slot, &head, sizeof(head));
	if (head.header.flags & TANDEM_FORWARD_SAMPLE)
		write_samplings(&head, slot, step);
	for (uint32_t i = 0, first = 0; i < step->count; i++) {
		const struct tandem_step_row *from = &step->rows[i];
		const struct tandem_program_row row = {
			.token = from->token,
			.position = from->position,
			.sequence = i,
			.flags = TANDEM_ROW_OUTPUT,
		};
		const struct tandem_program_sequence sequence = {
			.first_block = first,
			.block_count = blocks_needed(instance, from->position),
		};

		memcpy(slot + head.rows_offset + i * sizeof(row), &row, sizeof(row));
		memcpy(slot + head.sequences_offset + i * sizeof(sequence), &sequence,
		       sizeof(sequence));
		memcpy(slot + head.blocks_offset + first * sizeof(uint32_t),
		       from->sequence->blocks, sequence.block_count * sizeof(uint32_t));
		first += sequence.block_count;
	}
	return head.header.size;
}

/* Keep the first @count blocks of a sequence until the slot's program has ended. */
static void pin_blocks(struct program_slot *slot, const struct tandem_kv_sequence *sequence,
		       uint32_t count)
{
	memcpy(slot->pinned + slot->pinned_count, sequence->blocks, count * sizeof(uint32_t));
	tandem_kv_pool_pin(sequence->pool, sequence->blocks, count);
	slot->pinned_count += count;
}

/* Those of @forward, or else of all sequences of @step. */
static void pin_all(struct program_slot *slot, const struct tandem_forward *forward,
		    const struct tandem_step *step)
{
	const struct tandem_instance *instance = slot->instance;

	if (forward) {
		pin_blocks(slot, forward->sequence,
			   blocks_needed(instance, forward->position + forward->rows - 1));
		return;
	}
	for (uint32_t i = 0; i < step->count; i++)
		pin_blocks(slot, step->rows[i].sequence,
			   blocks_needed(instance, step->rows[i].position));
}

/* A place for the output of a forward; %OUTPUT_NONE when all are in use. */
static uint32_t take_output(struct tandem_instance *instance)
{
	for (uint32_t i = 0; i < FORWARD_OUTPUTS; i++)
		if (!(instance->outputs_used & (1u << i))) {
			instance->outputs_used |= 1u << i;
			return instance->batch_max + i;
		}
	return OUTPUT_NONE;
}

static void give_output(struct tandem_instance *instance, uint32_t output)
{
	if (output != OUTPUT_NONE)
		instance->outputs_used &= ~(1u << (output - instance->batch_max));
}

static void exec_done(struct tandem_operation *exec)
{
	struct program_slot *slot = exec->user;
	struct tandem_operation *caller = slot->caller;

	give_output(slot->instance, slot->output);
	if (slot->output != OUTPUT_NONE)
		slot->instance->last_output = slot->output;

	tandem_kv_pool_unpin(slot->instance->pool, slot->pinned, slot->pinned_count);
	slot->pinned_count = 0;
	slot->caller = NULL;
	caller->device_ns = exec->device_ns;
	caller->modelled_ns = exec->modelled_ns;
	operation_complete(caller, exec->result);
}

static int cancel_forward(struct tandem_loop *loop, struct tandem_operation *op)
{
	struct program_slot *slot = operation_data(op);

	return tandem_cancel(loop, &slot->exec);
}

/* Have the device run what is written into the next slot: @forward, or else @step. */
static int start_program(struct tandem_instance *instance, const struct tandem_forward *forward,
			 const struct tandem_step *step, struct tandem_operation *op)
{
	struct program_slot *slot = &instance->slots[instance->next_slot];
	const uint64_t offset = instance->next_slot * instance->slot_bytes;
	unsigned char *program = instance->program_base + offset;
	uint32_t length;
	int ret;

	if (slot->caller)
		return -EBUSY;
	slot->output = OUTPUT_NONE;
	if (forward && forward->output) {
		slot->output = take_output(instance);
		if (slot->output == OUTPUT_NONE)
			return -EBUSY;
	}
	ret = operation_begin(op, cancel_forward, slot);
	if (ret) {
		give_output(instance, slot->output);
		return ret;
	}
	length = forward ? write_program(instance, forward, slot->output, program) :
			   write_step(instance, step, program);
	slot->exec.done = exec_done;
	slot->exec.user = slot;
	ret = tandem_exec(instance->queue, instance->programs, offset, length, &slot->exec);
	if (ret) {
		operation_abandon(op);
		give_output(instance, slot->output);
		return ret;
	}
	slot->caller = op;
	pin_all(slot, forward, step);
	instance->next_slot = (instance->next_slot + 1) % instance->slot_count;
	return 0;
}

int tandem_forward_start(struct tandem_instance *instance, const struct tandem_forward *forward,
			 struct tandem_operation *op)
{
	if (!forward_is_sound(instance, forward))
		return -EINVAL;
	return start_program(instance, forward, NULL, op);
}

static bool step_is_sound(const struct tandem_instance *instance, const struct tandem_step *step)
{
	uint64_t blocks = 0;

	if (!step->count || step->count > instance->batch_max)
		return false;
	for (uint32_t i = 0; i < step->count; i++) {
		const struct tandem_step_row *row = &step->rows[i];

		if (row->sequence->pool != instance->pool ||
		    row->position >= instance->model->info.context ||
		    !kv_sequence_may_write(row->sequence, row->position, 1) ||
		    (row->sampling && !sampling_is_sound(instance, row->sampling, row->history,
							 row->history_count)))
			return false;
		blocks += blocks_needed(instance, row->position);
	}
	return blocks <= instance->blocks_max;
}

int tandem_step_start(struct tandem_instance *instance, const struct tandem_step *step,
		      struct tandem_operation *op)
{
	if (!step_is_sound(instance, step))
		return -EINVAL;
	return start_program(instance, NULL, step, op);
}

uint32_t tandem_step_token(const struct tandem_instance *instance, uint32_t index)
{
	struct tandem_program_output output;

	memcpy(&output, instance->output_base + index * instance->output_bytes, sizeof(output));
	return output.token;
}

const float *tandem_step_logits(const struct tandem_instance *instance, uint32_t index)
{
	return (const float *)(instance->output_base + index * instance->output_bytes +
			       sizeof(struct tandem_program_output));
}

uint32_t tandem_forward_token(const struct tandem_instance *instance)
{
	return tandem_step_token(instance, instance->last_output);
}

const float *tandem_forward_logits(const struct tandem_instance *instance)
{
	return tandem_step_logits(instance, instance->last_output);
}
