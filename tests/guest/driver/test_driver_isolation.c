// SPDX-License-Identifier: MIT
/*
 * What files keep from each other, and what becomes of a context that goes on
 * doing wrong. All of it as an unprivileged user, who has the node and nothing
 * else.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accel.h"
#include "firmware.h"
#include "syncobj.h"
#include "tandem_program.h"

#define SIZE		(64 * 1024ull)
#define NOBODY		65534
/* More than one who knows nothing would have. */
#define EXTRA		12
/* All ids up to here are tried. */
#define GUESSES		2048
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/*
 * Faults of programs after which a context is banned, with the parameters that
 * the driver has by itself; and those that may be forgiven on a slow machine.
 */
#define FAULTS_TO_BAN	16
#define FORGIVEN_MAX	3

static struct firmware firmware;
/* The owner has one of everything that the stranger's file does not know. */
static struct accel owner, stranger;
static uint32_t owners_handle, owners_region, owners_syncobj;
static uint32_t own_handle, own_region, own_syncobj;

static int setup(void **state)
{
	uint32_t i;

	(void)state;
	accel_open(&owner, firmware.node);
	accel_open(&stranger, firmware.node);
	own_handle = accel_object(&stranger, SIZE);
	own_region = accel_region(&stranger, 0, own_handle, 0, SIZE,
				  READ | WRITE);
	own_syncobj = syncobj_create(&stranger);
	syncobj_signal(&stranger, own_syncobj, 1);

	for (i = 0; i < EXTRA; i++) {
		owner.context = accel_context(&owner);
		owner.copy = accel_queue(&owner, owner.context,
					 TANDEM_QUEUE_COPY);
		owner.compute = accel_queue(&owner, owner.context,
					    TANDEM_QUEUE_COMPUTE);
		owners_handle = accel_object(&owner, SIZE);
		owners_syncobj = syncobj_create(&owner);
	}
	/* One that is another index than that of the stranger. */
	for (i = 0; i < EXTRA; i++)
		owners_region = accel_region(&owner, 0, owners_handle, 0, SIZE,
					     READ | WRITE);
	syncobj_signal(&owner, owners_syncobj, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	accel_close(&owner);
	accel_close(&stranger);
	return 0;
}

#define EXPECT(expression, expected) do {				\
	int got_ = (expression);					\
	if (got_ != (expected))						\
		fail_msg("%s: %d (%s), not %d", #expression, got_,	\
			 strerror(-got_), (expected));			\
} while (0)

/* Calls by which a file could get at an id. Each is 0 or -errno. */

static int mmap_offset(const struct accel *accel, uint32_t handle)
{
	struct drm_tandem_gem_mmap_offset args = { .handle = handle };

	return accel_ioctl(accel, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET, &args);
}

static int export(const struct accel *accel, uint32_t handle)
{
	struct drm_prime_handle args = { .handle = handle, .flags = DRM_RDWR };

	return accel_ioctl(accel, DRM_IOCTL_PRIME_HANDLE_TO_FD, &args);
}

static int gem_close(const struct accel *accel, uint32_t handle)
{
	struct drm_gem_close args = { .handle = handle };

	return accel_ioctl(accel, DRM_IOCTL_GEM_CLOSE, &args);
}

static int context_destroy(const struct accel *accel, uint32_t context)
{
	struct drm_tandem_context_destroy args = { .context = context };

	return accel_ioctl(accel, DRM_IOCTL_TANDEM_CONTEXT_DESTROY, &args);
}

static int context_query(const struct accel *accel, uint32_t context,
			 struct drm_tandem_context_query *args)
{
	*args = (struct drm_tandem_context_query) { .context = context };
	return accel_ioctl(accel, DRM_IOCTL_TANDEM_CONTEXT_QUERY, args);
}

static int context_try(const struct accel *accel, uint32_t context)
{
	struct drm_tandem_context_query args;

	return context_query(accel, context, &args);
}

static int region_map(const struct accel *accel, uint32_t context,
		      uint32_t handle)
{
	struct drm_tandem_region_map args = {
		.context = context,
		.handle = handle,
		.length = SIZE,
		.flags = READ,
	};

	return accel_ioctl(accel, DRM_IOCTL_TANDEM_REGION_MAP, &args);
}

static int queue_create(const struct accel *accel, uint32_t context)
{
	struct drm_tandem_queue_create args = { .context = context };

	return accel_ioctl(accel, DRM_IOCTL_TANDEM_QUEUE_CREATE, &args);
}

static int queue_destroy(const struct accel *accel, uint32_t queue)
{
	struct drm_tandem_queue_destroy args = { .queue = queue };

	return accel_ioctl(accel, DRM_IOCTL_TANDEM_QUEUE_DESTROY, &args);
}

static int queue_query(const struct accel *accel, uint32_t queue)
{
	struct drm_tandem_queue_query args = { .queue = queue };

	return accel_ioctl(accel, DRM_IOCTL_TANDEM_QUEUE_QUERY, &args);
}

/* Error of the call, or else result of the command. */
static int submit(const struct accel *accel, uint32_t op,
		  const struct tandem_uring_command *command)
{
	struct tandem_submit_command entry = { .op = op, .command = *command };
	struct drm_tandem_submit args = {
		.commands = address_of(&entry),
		.count = 1,
		.stride = sizeof(entry),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	int ret = accel_ioctl(accel, DRM_IOCTL_TANDEM_SUBMIT, &args);

	return ret ?: entry.result;
}

/* Both ways in give the same answer. */
static void expect(struct accel *accel, uint32_t op,
		   const struct tandem_uring_command *command, int expected)
{
	EXPECT(accel_run(accel, op, command), expected);
	EXPECT(submit(accel, op, command), expected);
}

static void test_handles_of_another_file(void **state)
{
	struct drm_tandem_gem_mmap_offset map = { .handle = owners_handle };
	struct drm_gem_flink name = { .handle = own_handle };
	struct drm_gem_open by_name = { .name = 1 };
	void *memory;

	(void)state;
	EXPECT(mmap_offset(&stranger, owners_handle), -ENOENT);
	EXPECT(export(&stranger, owners_handle), -ENOENT);
	EXPECT(gem_close(&stranger, owners_handle), -EINVAL);
	EXPECT(region_map(&stranger, stranger.context, owners_handle), -ENOENT);
	/* Global names, which could be guessed, are not for everyone. */
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_GEM_FLINK, &name), -EACCES);
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_GEM_OPEN, &by_name), -EACCES);

	/* Offsets for mmap are the same for all files; that is all they are. */
	EXPECT(accel_ioctl(&owner, DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET, &map), 0);
	memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, stranger.fd,
		      map.offset);
	assert_ptr_equal(memory, MAP_FAILED);
	assert_int_equal(errno, EACCES);
	memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, owner.fd, map.offset);
	assert_ptr_not_equal(memory, MAP_FAILED);
	munmap(memory, SIZE);
}

static void test_contexts_of_another_file(void **state)
{
	(void)state;
	EXPECT(context_try(&stranger, owner.context), -ENOENT);
	EXPECT(context_destroy(&stranger, owner.context), -ENOENT);
	EXPECT(region_map(&stranger, owner.context, own_handle), -ENOENT);
	EXPECT(accel_region_unmap(&stranger, owner.context, owners_region),
	       -ENOENT);
	EXPECT(queue_create(&stranger, owner.context), -ENOENT);
	EXPECT(context_try(&owner, owner.context), 0);
}

static void test_regions_of_another_file(void **state)
{
	struct tandem_segment segment = {
		.dst_region = own_region,
		.src_region = owners_region,
		.length = 64,
	};
	struct tandem_uring_command command = { .queue = stranger.compute };

	(void)state;
	EXPECT(accel_region_unmap(&stranger, 0, owners_region), -ENOENT);
	command.length = 64;
	command.dst_region = owners_region;
	expect(&stranger, TANDEM_URING_FILL, &command, -EACCES);
	command.src_region = own_region;
	expect(&stranger, TANDEM_URING_COPY, &command, -EACCES);
	command.dst_region = own_region;
	command.src_region = owners_region;
	expect(&stranger, TANDEM_URING_COPY, &command, -EACCES);
	command.dst_region = 0;
	expect(&stranger, TANDEM_URING_EXEC, &command, -EACCES);

	command.src_region = 0;
	command.src_offset = address_of(&segment);
	command.dst_offset = sizeof(segment);
	command.length = 1;
	expect(&stranger, TANDEM_URING_COPY_LIST, &command, -EACCES);
	segment.src_region = own_region;
	segment.dst_region = owners_region;
	expect(&stranger, TANDEM_URING_COPY_LIST, &command, -EACCES);
}

/* Each command that there is, in the queue of another. */
static void test_queues_of_another_file(void **state)
{
	static const uint32_t ops[] = {
		TANDEM_URING_NOP, TANDEM_URING_COPY, TANDEM_URING_FILL,
		TANDEM_URING_EXEC, TANDEM_URING_CANCEL, TANDEM_URING_COPY_LIST,
	};
	struct tandem_segment segment = {
		.dst_region = own_region,
		.src_region = own_region,
		.length = 64,
	};
	struct tandem_uring_command command;
	size_t i;

	(void)state;
	EXPECT(queue_query(&stranger, owner.copy), -ENOENT);
	EXPECT(queue_destroy(&stranger, owner.copy), -ENOENT);
	for (i = 0; i < COUNT(ops); i++) {
		command = (struct tandem_uring_command) {
			.queue = owner.compute,
		};
		if (ops[i] != TANDEM_URING_NOP && ops[i] != TANDEM_URING_CANCEL)
			command.length = 64;
		if (ops[i] == TANDEM_URING_COPY_LIST) {
			command.src_offset = address_of(&segment);
			command.dst_offset = sizeof(segment);
			command.length = 1;
		}
		expect(&stranger, ops[i], &command, -ENOENT);
	}
	EXPECT(queue_query(&owner, owner.copy), 0);
}

#define BACKLOG	50

/* Commands of another cannot be cancelled either, whatever their cookie. */
static void test_commands_of_another_file(void **state)
{
	uint32_t handle = accel_object(&owner, 4 * MIB), i;
	struct tandem_uring_command cancel = { .cookie = 7 };
	struct tandem_uring_command fill = {
		.queue = owner.copy,
		.length = 4 * MIB,
		.cookie = 7,
	};

	(void)state;
	fill.dst_region = accel_region(&owner, 0, handle, 0, 4 * MIB, WRITE);
	for (i = 0; i < BACKLOG; i++)
		accel_prepare(&owner, TANDEM_URING_FILL, &fill, i);
	assert_int_equal(io_uring_submit(&owner.ring), BACKLOG);
	cancel.queue = stranger.copy;
	expect(&stranger, TANDEM_URING_CANCEL, &cancel, -ENOENT);
	cancel.queue = owner.copy;
	expect(&stranger, TANDEM_URING_CANCEL, &cancel, -ENOENT);
	for (i = 0; i < BACKLOG; i++)
		assert_int_equal(accel_wait(&owner, NULL), 0);
}

static void test_syncobjs_of_another_file(void **state)
{
	struct drm_syncobj_destroy destroy = { .handle = owners_syncobj };
	struct drm_syncobj_handle to_fd = { .handle = owners_syncobj };
	struct drm_syncobj_timeline_array array = {
		.handles = address_of(&owners_syncobj),
		.count_handles = 1,
	};
	struct tandem_uring_command nop = { .queue = stranger.copy };
	uint64_t point = 1;

	(void)state;
	array.points = address_of(&point);
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_SYNCOBJ_DESTROY, &destroy),
	       -EINVAL);
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD, &to_fd),
	       -EINVAL);
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_SYNCOBJ_QUERY, &array),
	       -ENOENT);
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL,
			   &array), -ENOENT);
	nop.in_syncobj = owners_syncobj;
	expect(&stranger, TANDEM_URING_NOP, &nop, -ENOENT);
	nop.in_syncobj = 0;
	nop.out_syncobj = owners_syncobj;
	expect(&stranger, TANDEM_URING_NOP, &nop, -ENOENT);
}

/* Of a file that has made nothing, no id leads anywhere. */
static void test_guesses_find_nothing(void **state)
{
	struct accel nothing = {
		.fd = open(firmware.node, O_RDWR | O_CLOEXEC),
	};
	struct tandem_uring_command nop = { 0 };
	uint32_t id;

	(void)state;
	assert_true(nothing.fd >= 0);
	for (id = 0; id < GUESSES; id++) {
		EXPECT(mmap_offset(&nothing, id), -ENOENT);
		EXPECT(export(&nothing, id), -ENOENT);
		EXPECT(context_try(&nothing, id), -ENOENT);
		EXPECT(context_destroy(&nothing, id), -ENOENT);
		EXPECT(queue_create(&nothing, id), -ENOENT);
		EXPECT(queue_query(&nothing, id), -ENOENT);
		EXPECT(queue_destroy(&nothing, id), -ENOENT);
		EXPECT(accel_region_unmap(&nothing, id ?: UINT32_MAX, 0),
		       -ENOENT);
		nop.queue = id;
		EXPECT(submit(&nothing, TANDEM_URING_NOP, &nop), -ENOENT);
	}
	/* All that the owner has is still there. */
	EXPECT(context_try(&owner, owner.context), 0);
	EXPECT(queue_query(&owner, owner.copy), 0);
	EXPECT(mmap_offset(&owner, owners_handle), 0);
	close(nothing.fd);
}

/* Indices of regions, and which the others have, are no secret; no more. */
static void test_guesses_of_regions(void **state)
{
	struct tandem_uring_command fill = {
		.queue = stranger.copy,
		.length = 64,
	};
	uint8_t *memory = accel_map(&owner, owners_handle, SIZE);
	uint64_t i;

	(void)state;
	for (i = 0; i < SIZE; i++)
		memory[i] = 0xa5;
	for (i = 0; i < GUESSES; i++) {
		fill.dst_region = i;
		fill.src_offset = 0xffffffff;
		EXPECT(submit(&stranger, TANDEM_URING_FILL, &fill),
		       i == own_region ? 0 : -EACCES);
	}
	for (i = 0; i < SIZE; i++)
		assert_int_equal(memory[i], 0xa5);
	munmap(memory, SIZE);
}

/* A program that the device takes, and that names a region. */
struct program {
	struct tandem_program_forward forward;
	struct tandem_program_row row;
	struct tandem_program_sequence sequence;
	uint32_t block;
	uint32_t pad;
};

/* In memory of the file, which is its region of that index. */
static struct tandem_uring_command make_program(struct accel *accel,
						uint32_t names)
{
	uint32_t handle = accel_object(accel, 4096);
	struct program *program = accel_map(accel, handle, 4096);
	struct tandem_uring_command exec = {
		.queue = accel->compute,
		.length = sizeof(*program),
	};

	*program = (struct program) {
		.forward = {
			.header = {
				.magic = TANDEM_PROGRAM_MAGIC,
				.version = TANDEM_PROGRAM_VERSION,
				.operation = TANDEM_PROGRAM_FORWARD,
				.size = sizeof(*program),
			},
			.model = { .region = names, .length = 4096 },
			.kv = { .block_tokens = 1, .blocks = 1 },
			.rows = 1,
			.sequences = 1,
			.blocks = 1,
			.rows_offset = offsetof(struct program, row),
			.sequences_offset = offsetof(struct program, sequence),
			.blocks_offset = offsetof(struct program, block),
		},
		.sequence = { .block_count = 1 },
	};
	munmap(program, 4096);
	exec.src_region = accel_region(accel, 0, handle, 0, 4096, READ);
	return exec;
}

/* What an honest user does, and checks to the last byte. */
static void work_honestly(struct accel *accel, uint32_t region, uint32_t seed)
{
	uint8_t *sent = malloc(SIZE), *got = calloc(1, SIZE);

	fill_pattern(sent, SIZE, seed);
	assert_int_equal(accel_copy(accel, region, 0, USER, address_of(sent),
				    SIZE), 0);
	assert_int_equal(accel_copy(accel, USER, address_of(got), region, 0,
				    SIZE), 0);
	assert_memory_equal(sent, got, SIZE);
	free(sent);
	free(got);
}

/* Faults, one after the other, until the context is banned: how many. */
static uint32_t fault_until_banned(struct accel *accel)
{
	struct tandem_uring_command exec = make_program(accel, owners_region);
	struct drm_tandem_context_query query;
	uint32_t count;

	for (count = 1; count <= FAULTS_TO_BAN + FORGIVEN_MAX; count++) {
		EXPECT(accel_run(accel, TANDEM_URING_EXEC, &exec), -EACCES);
		EXPECT(context_query(accel, accel->context, &query), 0);
		assert_int_equal(query.faults, count);
		assert_int_equal(query.resets, 0);
		work_honestly(&owner, owners_region, count);
		if (query.flags & TANDEM_CONTEXT_BANNED)
			return count;
		assert_int_equal(query.flags, 0);
	}
	fail_msg("no ban after %u faults", count);
	return 0;
}

static void expect_banned(struct accel *accel)
{
	struct tandem_segment segment = { .length = 64 };
	struct tandem_uring_command command = { .queue = accel->compute };
	struct drm_tandem_context_query query;

	expect(accel, TANDEM_URING_NOP, &command, -EIO);
	command.queue = accel->copy;
	expect(accel, TANDEM_URING_NOP, &command, -EIO);
	/* Who may give no commands is not told what is wrong with them. */
	command.length = 64;
	expect(accel, TANDEM_URING_FILL, &command, -EIO);
	expect(accel, TANDEM_URING_COPY, &command, -EIO);
	command.queue = accel->compute;
	expect(accel, TANDEM_URING_EXEC, &command, -EIO);
	command.src_offset = address_of(&segment);
	command.dst_offset = sizeof(segment);
	command.length = 1;
	expect(accel, TANDEM_URING_COPY_LIST, &command, -EIO);

	EXPECT(context_query(accel, accel->context, &query), 0);
	assert_int_equal(query.flags, TANDEM_CONTEXT_BANNED);
}

static void test_faults_end_in_a_ban(void **state)
{
	struct tandem_uring_command cancel = { .queue = stranger.copy };
	uint32_t count, context;

	(void)state;
	count = fault_until_banned(&stranger);
	print_message("# banned after %u faults\n", count);
	assert_in_range(count, FAULTS_TO_BAN, FAULTS_TO_BAN + FORGIVEN_MAX);
	expect_banned(&stranger);
	work_honestly(&owner, owners_region, 1);

	/* All but commands goes on, so that it can be tidied up. */
	EXPECT(accel_run(&stranger, TANDEM_URING_CANCEL, &cancel), -ENOENT);
	EXPECT(queue_query(&stranger, stranger.copy), 0);
	EXPECT(queue_create(&stranger, stranger.context), 0);
	EXPECT(region_map(&stranger, stranger.context, own_handle), 0);
	EXPECT(accel_region_unmap(&stranger, 0, own_region), 0);
	expect_banned(&stranger);
	EXPECT(context_destroy(&stranger, stranger.context), 0);

	/* A new context begins anew, in this file or in another. */
	context = accel_context(&stranger);
	stranger.context = context;
	stranger.copy = accel_queue(&stranger, context, TANDEM_QUEUE_COPY);
	stranger.compute = accel_queue(&stranger, context,
				       TANDEM_QUEUE_COMPUTE);
	own_region = accel_region(&stranger, 0, own_handle, 0, SIZE,
				  READ | WRITE);
	work_honestly(&stranger, own_region, 2);
	count = fault_until_banned(&stranger);
	assert_in_range(count, FAULTS_TO_BAN, FAULTS_TO_BAN + FORGIVEN_MAX);
	accel_close(&stranger);
	accel_open(&stranger, firmware.node);
	own_handle = accel_object(&stranger, SIZE);
	own_region = accel_region(&stranger, 0, own_handle, 0, SIZE,
				  READ | WRITE);
	work_honestly(&stranger, own_region, 3);
}

/* The ban is of one context, not of others of the same file. */
static void test_ban_is_of_the_context(void **state)
{
	struct accel second = stranger;

	(void)state;
	second.context = accel_context(&stranger);
	second.copy = accel_queue(&stranger, second.context, TANDEM_QUEUE_COPY);
	fault_until_banned(&stranger);
	expect_banned(&stranger);
	own_region = accel_region(&second, 0, own_handle, 0, SIZE,
				  READ | WRITE);
	stranger.copy = second.copy;
	work_honestly(&stranger, own_region, 4);
}

/* Mistakes that the driver sees itself are not held against anyone. */
static void test_mistakes_are_not_faults(void **state)
{
	struct tandem_uring_command fill = {
		.queue = stranger.copy,
		.dst_region = owners_region,
		.length = 64,
	};
	struct drm_tandem_context_query query;
	int i;

	(void)state;
	for (i = 0; i < 4 * FAULTS_TO_BAN; i++)
		EXPECT(submit(&stranger, TANDEM_URING_FILL, &fill), -EACCES);
	EXPECT(context_query(&stranger, stranger.context, &query), 0);
	assert_int_equal(query.faults, 0);
	assert_int_equal(query.flags, 0);
}

#define BATCH	60

/*
 * Results of a batch of faults: those that the device had got by then are its
 * own, and from then on all are those of a banned one.
 */
static void check_batch(const int *results)
{
	int i, faults = 0;

	while (faults < BATCH && results[faults] == -EACCES)
		faults++;
	print_message("# the ban came within %d commands\n", faults);
	assert_in_range(faults, FAULTS_TO_BAN, BATCH - 1);
	for (i = faults; i < BATCH; i++)
		assert_int_equal(results[i], -EIO);
}

static void test_ban_amid_a_batch_of_a_ring(void **state)
{
	struct tandem_uring_command exec;
	int results[BATCH], i, result;
	uint64_t which;

	(void)state;
	exec = make_program(&stranger, owners_region);
	for (i = 0; i < BATCH; i++)
		accel_prepare(&stranger, TANDEM_URING_EXEC, &exec, i);
	assert_int_equal(io_uring_submit(&stranger.ring), BATCH);
	work_honestly(&owner, owners_region, 5);
	for (i = 0; i < BATCH; i++) {
		result = accel_wait(&stranger, &which);
		assert_in_range(which, 0, BATCH - 1);
		results[which] = result;
	}
	check_batch(results);
	expect_banned(&stranger);
}

static void test_ban_amid_a_batch_of_an_ioctl(void **state)
{
	struct tandem_submit_command entries[BATCH] = { 0 };
	struct drm_tandem_submit args = {
		.commands = address_of(entries),
		.count = BATCH,
		.stride = sizeof(entries[0]),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	struct tandem_uring_command exec;
	int results[BATCH], i;

	(void)state;
	exec = make_program(&stranger, owners_region);
	for (i = 0; i < BATCH; i++) {
		entries[i].op = TANDEM_URING_EXEC;
		entries[i].command = exec;
	}
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_TANDEM_SUBMIT, &args), 0);
	for (i = 0; i < BATCH; i++)
		results[i] = entries[i].result;
	check_batch(results);
	work_honestly(&owner, owners_region, 6);

	/* From now on the whole call is refused. */
	for (i = 0; i < BATCH; i++)
		entries[i].result = 1;
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_TANDEM_SUBMIT, &args), -EIO);
	for (i = 0; i < BATCH; i++)
		assert_int_equal(entries[i].result, 1);
}

/* One command of a banned context, and none of the batch is carried out. */
static void test_banned_amid_others_in_a_batch(void **state)
{
	struct tandem_submit_command entries[3] = { 0 };
	struct drm_tandem_submit args = {
		.commands = address_of(entries),
		.count = COUNT(entries),
		.stride = sizeof(entries[0]),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	uint32_t good, region, i;
	uint8_t *memory;

	(void)state;
	fault_until_banned(&stranger);
	good = accel_context(&stranger);
	region = accel_region(&stranger, good, own_handle, 0, SIZE, WRITE);
	memory = accel_map(&stranger, own_handle, SIZE);
	for (i = 0; i < COUNT(entries); i++) {
		entries[i].op = TANDEM_URING_FILL;
		entries[i].command = (struct tandem_uring_command) {
			.queue = accel_queue(&stranger, good,
					     TANDEM_QUEUE_COPY),
			.dst_region = region,
			.src_offset = 0x77777777,
			.length = 64,
		};
	}
	entries[1].command.queue = stranger.copy;
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_TANDEM_SUBMIT, &args), -EIO);
	assert_int_equal(memory[0], 0);
	entries[1] = entries[0];
	EXPECT(accel_ioctl(&stranger, DRM_IOCTL_TANDEM_SUBMIT, &args), 0);
	assert_int_equal(memory[0], 0x77);
	munmap(memory, SIZE);
}

static void test_nobody_in_particular(void **state)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long effective = ~0ull;
	char line[256];

	(void)state;
	assert_int_equal(geteuid(), NOBODY);
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "CapEff: %llx", &effective);
	fclose(file);
	assert_int_equal(effective, 0);
}

#define ISOLATION_TEST(test) \
	cmocka_unit_test_setup_teardown(test, setup, teardown)

static int run_all(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_in_particular),
		ISOLATION_TEST(test_handles_of_another_file),
		ISOLATION_TEST(test_contexts_of_another_file),
		ISOLATION_TEST(test_regions_of_another_file),
		ISOLATION_TEST(test_queues_of_another_file),
		ISOLATION_TEST(test_commands_of_another_file),
		ISOLATION_TEST(test_syncobjs_of_another_file),
		ISOLATION_TEST(test_guesses_find_nothing),
		ISOLATION_TEST(test_guesses_of_regions),
		ISOLATION_TEST(test_mistakes_are_not_faults),
		ISOLATION_TEST(test_faults_end_in_a_ban),
		ISOLATION_TEST(test_ban_is_of_the_context),
		ISOLATION_TEST(test_ban_amid_a_batch_of_a_ring),
		ISOLATION_TEST(test_ban_amid_a_batch_of_an_ioctl),
		ISOLATION_TEST(test_banned_amid_others_in_a_batch),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	int status;
	pid_t pid;

	/* Only the device is the administrator's. */
	firmware_start(&firmware);
	if (chmod(firmware.node, 0666))
		return 1;
	pid = fork();
	if (!pid) {
		if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
			_exit(1);
		exit(run_all());
	}
	if (waitpid(pid, &status, 0) != pid)
		status = 1;
	firmware_kill(&firmware);
	return status;
}
