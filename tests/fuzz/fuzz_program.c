// SPDX-License-Identifier: MIT
/*
 * A program that devices carry out: one token through a model of one layer, whose
 * weights are all zero.
 */
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz_ops.h"
#include "tandem_program.h"

#define DIM		32
#define ONE		0x3f800000	/* 1, as binary32 */
#define TENSOR_BYTES	(DIM * DIM * 4)

/**
 * struct program - the region
 * @program: and its tables
 * @model: one layer
 * @hidden: one row
 * @weights: all tensors are the same one
 * @kv_pool: one block, of one token
 * @output: of one row
 */
struct program {
	struct {
		struct tandem_program_forward forward;
		struct tandem_program_row row;
		struct tandem_program_sequence sequence;
		uint32_t block[2];
	} program;
	struct {
		struct tandem_program_model model;
		struct tandem_program_layer layer;
	} model __attribute__((aligned(64)));
	float hidden[DIM] __attribute__((aligned(64)));
	uint8_t weights[TENSOR_BYTES] __attribute__((aligned(64)));
	float kv_pool[2][DIM] __attribute__((aligned(64)));
	struct tandem_program_output output __attribute__((aligned(64)));
};

_Static_assert(sizeof(struct program) <= FUZZ_PROGRAM_BYTES, "the program fits its region");

static struct tandem_program_reference at(uint32_t region, size_t offset, size_t length)
{
	return (struct tandem_program_reference){
		.region = region, .offset = offset, .length = length,
	};
}

#define AT(region, member)								\
	at(region, offsetof(struct program, member), sizeof(((struct program *)0)->member))
#define IN_PROGRAM(member)								\
	(offsetof(struct program, program.member) - offsetof(struct program, program))

static void write_model(struct program *to)
{
	const struct tandem_program_tensor tensor = {
		.type = TANDEM_PROGRAM_F32, .present = 1,
	};

	to->model.model = (struct tandem_program_model){
		.magic = TANDEM_PROGRAM_MODEL_MAGIC,
		.architecture = TANDEM_PROGRAM_LLAMA,
		.layers = 1,
		.dim = DIM,
		.ffn_dim = DIM,
		.heads = 1,
		.kv_heads = 1,
		.head_dim = DIM,
		.rope_dim = DIM,
		.vocabulary = DIM,
		.context = 1,
		.rms_epsilon = ONE,
		.rope_frequency_base = ONE,
		.rope_frequency_scale = ONE,
		.rope_magnitude = ONE,
		.token_embedding = tensor,
		.output_norm = tensor,
		.output = tensor,
	};
	to->model.layer = (struct tandem_program_layer){
		.attention_norm = tensor, .query = tensor, .key = tensor, .value = tensor,
		.attention_output = tensor, .ffn_norm = tensor, .gate = tensor, .up = tensor,
		.down = tensor,
	};
}

static void write_program(struct program *to, uint32_t region)
{
	to->program.forward = (struct tandem_program_forward){
		.header = {
			.magic = TANDEM_PROGRAM_MAGIC,
			.version = TANDEM_PROGRAM_VERSION,
			.operation = TANDEM_PROGRAM_FORWARD,
			.size = sizeof(to->program),
			.flags = TANDEM_FORWARD_EMBED | TANDEM_FORWARD_OUTPUT,
		},
		.model = AT(region, model),
		.weights = AT(region, weights),
		.hidden = AT(region, hidden),
		.kv_pool = AT(region, kv_pool),
		.output = AT(region, output),
		.kv = { .type = TANDEM_PROGRAM_F32, .block_tokens = 1, .blocks = 1, .layers = 1 },
		.layer_count = 1,
		.rows = 1,
		.sequences = 1,
		.blocks = 1,
		.rows_offset = IN_PROGRAM(row),
		.sequences_offset = IN_PROGRAM(sequence),
		.blocks_offset = IN_PROGRAM(block),
		.output_stride = sizeof(to->output),
	};
	to->program.row = (struct tandem_program_row){ .flags = TANDEM_ROW_OUTPUT };
	to->program.sequence = (struct tandem_program_sequence){ .block_count = 1 };
	write_model(to);
}

/* Through a mapping of a new object, whose memory is zero. */
static bool write_object(int fd, uint32_t handle, uint32_t region)
{
	struct drm_tandem_gem_mmap_offset args = { .handle = handle };
	void *memory;

	if (ioctl(fd, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET, &args))
		return false;
	memory = mmap(NULL, FUZZ_PROGRAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      args.offset);
	if (memory == MAP_FAILED)
		return false;
	write_program(memory, region);
	munmap(memory, FUZZ_PROGRAM_BYTES);
	return true;
}

/* Nothing here is made wrong, and @fd is no other's. The index, or negative. */
static int make_region(int fd, uint32_t context)
{
	struct drm_tandem_gem_create object = { .size = FUZZ_PROGRAM_BYTES };
	struct drm_tandem_region_map map = {
		.context = context,
		.length = FUZZ_PROGRAM_BYTES,
		.flags = TANDEM_REGION_READ | TANDEM_REGION_WRITE,
	};
	struct drm_gem_close close_object = { 0 };
	bool made;

	if (ioctl(fd, DRM_IOCTL_TANDEM_GEM_CREATE, &object))
		return -1;
	map.handle = object.handle;
	made = !ioctl(fd, DRM_IOCTL_TANDEM_REGION_MAP, &map) &&
	       write_object(fd, object.handle, map.region);
	/* The region keeps it. */
	close_object.handle = object.handle;
	ioctl(fd, DRM_IOCTL_GEM_CLOSE, &close_object);
	return made ? (int)map.region : -1;
}

/* One with a queue that takes programs, or 0. */
static uint32_t find_context(const struct fuzz_file *file)
{
	int i;

	for (i = 0; i < FUZZ_QUEUES; i++) {
		if (file->queue[i].queue && file->queue[i].kind == TANDEM_QUEUE_COMPUTE)
			return file->queue[i].context;
	}
	return 0;
}

void fuzz_program_make(struct fuzz_worker *worker, struct fuzz_file *file)
{
	uint32_t context = find_context(file);
	int fd, region;

	if (!context)
		return;
	/* Others may close the file meanwhile. */
	fd = dup(file->fd);
	if (fd < 0)
		return;
	region = make_region(fd, context);
	close(fd);
	fuzz_note(worker, "  program in context %u: region %d", context, region);
	if (region < 0)
		return;
	file->program.region = region;
	file->program.context = context;
}
