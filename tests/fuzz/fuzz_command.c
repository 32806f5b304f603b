// SPDX-License-Identifier: MIT
/*
 * Commands, of which most are right.
 */
#include "fuzz_ops.h"

#define SEGMENTS	8
#define SEGMENT_MAX	4096

/* Where something of @length bytes has room. */
static uint64_t place_in(struct fuzz_worker *worker, uint32_t size, uint64_t length)
{
	uint64_t offset = size > length ? fuzz_below(&worker->random, size - length + 1) : 0;

	return fuzz_one_in(&worker->random, 2) ? offset & ~63ull : offset;
}

uint8_t *fuzz_arena_of(struct fuzz_worker *worker, const struct fuzz_file *file)
{
	return file->private ? worker->arena : worker->shared_arena;
}

uint64_t fuzz_bad_address(struct fuzz_worker *worker)
{
	static const uint64_t addresses[] = {
		0, 1, 4096, 0xffff888000000000, 0xffffffff81000000, ~0ull, ~4095ull,
		0x7ffffffff000, 0x800000000000,
	};

	if (fuzz_one_in(&worker->random, 2))
		return (uintptr_t)worker->arena + FUZZ_ARENA;
	return addresses[fuzz_below(&worker->random, sizeof(addresses) / 8)];
}

static uint64_t user_address(struct fuzz_worker *worker, const struct fuzz_file *file,
			     uint64_t length)
{
	if (fuzz_one_in(&worker->random, 32))
		return fuzz_bad_address(worker);
	if (length >= FUZZ_ARENA)
		length = FUZZ_ARENA - 1;
	return (uintptr_t)fuzz_arena_of(worker, file) +
	       fuzz_below(&worker->random, FUZZ_ARENA - length);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Segments stay where they are until the worker's next list. */
static uint64_t segments(struct fuzz_worker *worker, const struct fuzz_region *to,
			 const struct fuzz_region *from)
{
	static __thread struct tandem_segment list[SEGMENTS];
	uint32_t most = smaller(smaller(to->size, from->size), SEGMENT_MAX), length;
	int i;

	if (fuzz_one_in(&worker->random, 32))
		return fuzz_bad_address(worker);
	for (i = 0; i < SEGMENTS; i++) {
		length = 1 + (most ? fuzz_below(&worker->random, most) : 0);
		list[i] = (struct tandem_segment){
			.dst_region = to->region,
			.src_region = from->region,
			.dst_offset = place_in(worker, to->size, length),
			.src_offset = place_in(worker, from->size, length),
			.length = length,
		};
		if (fuzz_one_in(&worker->random, 100))
			fuzz_mutate(&worker->random, &list[i], sizeof(list[i]));
	}
	return (uintptr_t)list;
}

/* Memory of the process on one side. */
static void use_user_memory(struct fuzz_worker *worker, struct fuzz_file *file,
			    struct fuzz_command *made)
{
	struct tandem_uring_command *command = &made->command;

	if (command->dst_region == TANDEM_REGION_USER) {
		command->dst_offset = user_address(worker, file, command->length);
		made->into_arena = file->private;
	}
	if (command->src_region == TANDEM_REGION_USER)
		command->src_offset = user_address(worker, file, command->length);
}

static void wait_for_fence(struct fuzz_worker *worker, struct fuzz_file *file,
			   struct tandem_uring_command *command)
{
	struct fuzz_syncobj *syncobj = fuzz_any_fence(worker, file);

	command->in_syncobj = syncobj->handle;
	if (syncobj->point && fuzz_one_in(&worker->random, 2))
		command->in_point = 1 + fuzz_below(&worker->random, syncobj->point);
}

static void signal_fence(struct fuzz_worker *worker, struct fuzz_file *file,
			 struct tandem_uring_command *command)
{
	struct fuzz_syncobj *syncobj = fuzz_any_syncobj(worker, file);

	command->out_syncobj = syncobj->handle;
	/* In most cases the next on the timeline, which is known after all. */
	if (!syncobj->handle)
		return;
	if (fuzz_one_in(&worker->random, 3))
		command->out_point = 1 + fuzz_below(&worker->random, 8);
	else if (fuzz_one_in(&worker->random, 2))
		command->out_point = syncobj->point + 1;
	syncobj->point = command->out_point > syncobj->point ? command->out_point :
			 command->out_point ? syncobj->point : 0;
	syncobj->has_fence = true;
}

static void add_fences(struct fuzz_worker *worker, struct fuzz_file *file,
		       struct tandem_uring_command *command)
{
	if (fuzz_one_in(&worker->random, 6))
		wait_for_fence(worker, file, command);
	if (fuzz_one_in(&worker->random, 4))
		signal_fence(worker, file, command);
}

static const uint32_t ops[] = {
	TANDEM_URING_NOP, TANDEM_URING_COPY, TANDEM_URING_COPY, TANDEM_URING_COPY,
	TANDEM_URING_COPY, TANDEM_URING_FILL, TANDEM_URING_FILL, TANDEM_URING_COPY_LIST,
	TANDEM_URING_COPY_LIST, TANDEM_URING_EXEC, TANDEM_URING_EXEC, TANDEM_URING_CANCEL,
};

static uint32_t any_op(struct fuzz_worker *worker, const struct fuzz_file *file,
		       const struct fuzz_queue *queue)
{
	uint32_t op = ops[fuzz_below(&worker->random, sizeof(ops) / sizeof(ops[0]))];

	if (op != TANDEM_URING_EXEC || fuzz_one_in(&worker->random, 16))
		return op;
	/* Only there are programs. */
	if (queue->kind == TANDEM_QUEUE_COMPUTE && queue->context == file->program.context)
		return op;
	return TANDEM_URING_NOP;
}

static void describe_copy(struct fuzz_worker *worker, struct tandem_uring_command *command,
			  const struct fuzz_region *to, const struct fuzz_region *from)
{
	uint32_t most;

	command->dst_region = to->region;
	command->src_region = from->region;
	if (fuzz_one_in(&worker->random, 2)) {
		command->dst_region = TANDEM_REGION_USER;
		most = from->size;
	} else if (fuzz_one_in(&worker->random, 2)) {
		command->src_region = TANDEM_REGION_USER;
		most = to->size;
	} else {
		most = smaller(to->size, from->size);
	}
	command->length = 1 + (most ? fuzz_below(&worker->random, most) : 0);
	command->dst_offset = place_in(worker, to->size, command->length);
	command->src_offset = place_in(worker, from->size, command->length);
}

static void describe(struct fuzz_worker *worker, struct fuzz_file *file,
		     const struct fuzz_queue *queue, struct fuzz_command *made)
{
	struct fuzz_region *to = fuzz_any_region_of(worker, file, queue->context,
						    TANDEM_REGION_WRITE);
	struct fuzz_region *from = fuzz_any_region_of(worker, file, queue->context,
						      TANDEM_REGION_READ);
	struct tandem_uring_command *command = &made->command;

	switch (made->op) {
	case TANDEM_URING_COPY:
		describe_copy(worker, command, to, from);
		break;
	case TANDEM_URING_FILL:
		command->dst_region = to->region;
		command->dst_offset = place_in(worker, to->size, 4) & ~3ull;
		command->length = (to->size - command->dst_offset) & ~3ull;
		command->src_offset = worker->tag * 0x01010101u;
		break;
	case TANDEM_URING_COPY_LIST:
		command->dst_offset = sizeof(struct tandem_segment);
		command->src_offset = segments(worker, to, from);
		command->length = 1 + fuzz_below(&worker->random, SEGMENTS);
		break;
	case TANDEM_URING_EXEC:
		command->src_region = file->program.region;
		command->length = FUZZ_PROGRAM_BYTES;
		break;
	case TANDEM_URING_CANCEL:
		/* What may still be there. */
		if (!fuzz_one_in(&worker->random, 4)) {
			command->queue = worker->recent_queue;
			command->cookie = worker->recent_cookie;
		}
		break;
	default:
		break;
	}
}

static void make_wrong(struct fuzz_worker *worker, struct fuzz_command *made)
{
	struct tandem_uring_command *command = &made->command;
	uint64_t pattern = command->src_offset;

	fuzz_mutate(&worker->random, command, sizeof(*command));
	/* Lists are read, and patterns written, as they are meant. */
	if (made->op == TANDEM_URING_FILL || made->op == TANDEM_URING_COPY_LIST)
		command->src_offset = pattern;
	if (made->op == TANDEM_URING_COPY_LIST && command->length > SEGMENTS)
		command->length = fuzz_one_in(&worker->random, 4) ?
				  command->length | 1 << 20 : SEGMENTS;
}

static enum fuzz_call call_of(const struct fuzz_command *made)
{
	switch (made->op) {
	case TANDEM_URING_COPY:
		return made->command.dst_region == TANDEM_REGION_USER ||
		       made->command.src_region == TANDEM_REGION_USER ?
		       FUZZ_URING_COPY_USER : FUZZ_URING_COPY;
	case TANDEM_URING_FILL:
		return FUZZ_URING_FILL;
	case TANDEM_URING_COPY_LIST:
		return FUZZ_URING_COPY_LIST;
	case TANDEM_URING_EXEC:
		return FUZZ_URING_EXEC;
	case TANDEM_URING_CANCEL:
		return FUZZ_URING_CANCEL;
	default:
		return FUZZ_URING_NOP;
	}
}

void fuzz_command(struct fuzz_worker *worker, struct fuzz_file *file,
		  struct fuzz_command *made)
{
	struct fuzz_queue *queue;

	/* Files that are new to it get there in some steps. */
	fuzz_furnish(worker, file);
	queue = fuzz_any_queue(worker, file);
	*made = (struct fuzz_command){
		.op = any_op(worker, file, queue),
		.command.queue = queue->queue,
		.command.cookie = fuzz_below(&worker->random, 4),
	};
	describe(worker, file, queue, made);
	if (made->op != TANDEM_URING_CANCEL) {
		made->command.flags = TANDEM_COMMAND_REPORT(fuzz_below(&worker->random, 4));
		add_fences(worker, file, &made->command);
		worker->recent_queue = made->command.queue;
		worker->recent_cookie = made->command.cookie;
	}
	if (fuzz_one_in(&worker->random, 12))
		make_wrong(worker, made);
	if (made->op == TANDEM_URING_COPY)
		use_user_memory(worker, file, made);
	made->call = call_of(made);
}
