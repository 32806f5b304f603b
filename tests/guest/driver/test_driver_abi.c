// SPDX-License-Identifier: MIT
/*
 * The interface's edges: each field of each call and command gets each kind of
 * wrong value in turn, and has to be answered with the documented error.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "accel.h"
#include "syncobj.h"

#define SIZE	(64 * 1024ull)

_Static_assert(sizeof(struct drm_tandem_get_param) == 16, "size");
_Static_assert(sizeof(struct drm_tandem_gem_create) == 16, "size");
_Static_assert(sizeof(struct drm_tandem_gem_mmap_offset) == 16, "size");
_Static_assert(sizeof(struct drm_tandem_context_create) == 8, "size");
_Static_assert(sizeof(struct drm_tandem_context_destroy) == 8, "size");
_Static_assert(sizeof(struct drm_tandem_region_map) == 32, "size");
_Static_assert(sizeof(struct drm_tandem_region_unmap) == 8, "size");
_Static_assert(sizeof(struct drm_tandem_queue_create) == 24, "size");
_Static_assert(sizeof(struct drm_tandem_queue_destroy) == 8, "size");
_Static_assert(sizeof(struct drm_tandem_context_query) == 40, "size");
_Static_assert(sizeof(struct drm_tandem_queue_query) == 40, "size");
_Static_assert(sizeof(struct tandem_uring_command) == 80, "size");
_Static_assert(sizeof(struct tandem_segment) == 32, "size");
_Static_assert(sizeof(struct tandem_submit_command) == 96, "size");
_Static_assert(sizeof(struct drm_tandem_submit) == 32, "size");

static struct accel accel;
static uint32_t handle;
static uint32_t region;
static uint32_t syncobj;
static uint8_t user[4096];

static int setup(void **state)
{
	(void)state;
	accel_open(&accel, ACCEL0);
	handle = accel_object(&accel, SIZE);
	region = accel_region(&accel, 0, handle, 0, SIZE, READ | WRITE);
	syncobj = syncobj_create(&accel);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	accel_close(&accel);
	return 0;
}

/* One change to arguments that are otherwise in order. */
struct change {
	const char *what;
	size_t offset;
	size_t size;
	uint64_t value;
	int expected;
};

#define CHANGE(type, member, value_, expected_) {			\
	.what = #type "." #member " = " #value_,			\
	.offset = offsetof(struct type, member),			\
	.size = sizeof(((struct type *)0)->member),			\
	.value = (value_),						\
	.expected = (expected_),					\
}

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static void apply(void *args, const struct change *change)
{
	/* Little-endian, like the device. */
	memcpy((char *)args + change->offset, &change->value, change->size);
}

static void check_ioctl(unsigned long request, const void *good, size_t size,
			const struct change *changes, size_t count)
{
	uint8_t args[128];
	size_t i;
	int ret;

	for (i = 0; i < count; i++) {
		memcpy(args, good, size);
		apply(args, &changes[i]);
		ret = accel_ioctl(&accel, request, args);
		if (ret != changes[i].expected)
			fail_msg("%s: got %d, expected %d", changes[i].what,
				 ret, changes[i].expected);
	}
}

static void test_get_param(void **state)
{
	static const struct drm_tandem_get_param good = { 0 };
	static const struct change changes[] = {
		CHANGE(drm_tandem_get_param, param, 25, -EINVAL),
		CHANGE(drm_tandem_get_param, param, UINT32_MAX, -EINVAL),
		CHANGE(drm_tandem_get_param, index, 1, -EINVAL),
	};
	struct drm_tandem_get_param name = {
		.param = TANDEM_PARAM_PROFILE_NAME,
	};
	char text[33] = { 0 };

	(void)state;
	check_ioctl(DRM_IOCTL_TANDEM_GET_PARAM, &good, sizeof(good), changes,
		    COUNT(changes));
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_UAPI_VERSION) >> 16,
			 1);
	assert_true(accel_param(&accel, TANDEM_PARAM_ROLE) <= 2);
	assert_int_equal(accel_param(&accel, TANDEM_PARAM_MEMORY_SIZE) % 4096,
			 0);
	assert_true(accel_param(&accel, TANDEM_PARAM_QUEUE_ENTRIES) >= 2);
	assert_true(accel_param(&accel, TANDEM_PARAM_REGIONS_MAX) >= 64);
	assert_true(accel_param(&accel, TANDEM_PARAM_CONTEXTS_MAX) >= 16);
	for (; name.index < 4; name.index++) {
		assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GET_PARAM,
					     &name), 0);
		memcpy(text + 8 * name.index, &name.value, 8);
	}
	assert_true(strlen(text) > 0 && strlen(text) < 32);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GET_PARAM,
				     &name), -EINVAL);
}

/* Parameters of a class take its index, and no other. */
static void test_get_param_of_classes(void **state)
{
	static const uint32_t params[] = {
		TANDEM_PARAM_MEMORY_CLASS_KIND,
		TANDEM_PARAM_MEMORY_CLASS_SIZE,
		TANDEM_PARAM_MEMORY_CLASS_USED,
		TANDEM_PARAM_MEMORY_CLASS_BANDWIDTH,
	};
	uint64_t classes = accel_param(&accel, TANDEM_PARAM_MEMORY_CLASSES);
	struct drm_tandem_get_param args;
	size_t i;

	(void)state;
	assert_in_range(classes, 1, 4);
	for (i = 0; i < COUNT(params); i++) {
		args = (struct drm_tandem_get_param) {
			.param = params[i],
			.index = classes - 1,
		};
		assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GET_PARAM,
					     &args), 0);
		args.index = classes;
		assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GET_PARAM,
					     &args), -EINVAL);
		args.index = UINT32_MAX;
		assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_GET_PARAM,
					     &args), -EINVAL);
	}
}

static void test_gem_create(void **state)
{
	static const struct drm_tandem_gem_create good = { .size = 4096 };
	static const struct change changes[] = {
		CHANGE(drm_tandem_gem_create, size, 0, -EINVAL),
		CHANGE(drm_tandem_gem_create, size, UINT64_MAX, -ENOSPC),
		CHANGE(drm_tandem_gem_create, size, 1ull << 63, -ENOSPC),
		CHANGE(drm_tandem_gem_create, size, 1ull << 50, -ENOSPC),
		CHANGE(drm_tandem_gem_create, flags, TANDEM_GEM_CLASS(1),
		       -EINVAL),
		CHANGE(drm_tandem_gem_create, flags, TANDEM_GEM_CLASS(254),
		       -EINVAL),
		CHANGE(drm_tandem_gem_create, flags, 1u << 8, -EINVAL),
		CHANGE(drm_tandem_gem_create, flags,
		       1u << 8 | TANDEM_GEM_CLASS(0), -EINVAL),
		CHANGE(drm_tandem_gem_create, flags, 1u << 31, -EINVAL),
		CHANGE(drm_tandem_gem_create, flags, UINT32_MAX, -EINVAL),
	};

	(void)state;
	check_ioctl(DRM_IOCTL_TANDEM_GEM_CREATE, &good, sizeof(good), changes,
		    COUNT(changes));
}

static void test_gem_mmap_offset(void **state)
{
	const struct drm_tandem_gem_mmap_offset good = { .handle = handle };
	static const struct change changes[] = {
		CHANGE(drm_tandem_gem_mmap_offset, handle, 0, -ENOENT),
		CHANGE(drm_tandem_gem_mmap_offset, handle, 12345, -ENOENT),
		CHANGE(drm_tandem_gem_mmap_offset, flags, 1, -EINVAL),
	};

	(void)state;
	check_ioctl(DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET, &good, sizeof(good),
		    changes, COUNT(changes));
}

static void test_context(void **state)
{
	static const struct drm_tandem_context_create create = { 0 };
	static const struct change create_changes[] = {
		CHANGE(drm_tandem_context_create, flags, 1, -EINVAL),
	};
	const struct drm_tandem_context_destroy destroy = {
		.context = accel.context,
	};
	static const struct change destroy_changes[] = {
		CHANGE(drm_tandem_context_destroy, context, 0, -ENOENT),
		CHANGE(drm_tandem_context_destroy, context, 99, -ENOENT),
		CHANGE(drm_tandem_context_destroy, context, UINT32_MAX,
		       -ENOENT),
		CHANGE(drm_tandem_context_destroy, pad, 1, -EINVAL),
	};

	(void)state;
	check_ioctl(DRM_IOCTL_TANDEM_CONTEXT_CREATE, &create, sizeof(create),
		    create_changes, COUNT(create_changes));
	check_ioctl(DRM_IOCTL_TANDEM_CONTEXT_DESTROY, &destroy,
		    sizeof(destroy), destroy_changes, COUNT(destroy_changes));
}

static void test_contexts_run_out(void **state)
{
	uint64_t max = accel_param(&accel, TANDEM_PARAM_CONTEXTS_MAX);
	struct drm_tandem_context_create create = { 0 };
	struct drm_tandem_context_destroy destroy = { 0 };
	uint32_t *contexts = calloc(max + 1, sizeof(*contexts));
	uint64_t count;
	int ret = 0;

	(void)state;
	for (count = 0; count <= max; count++) {
		ret = accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_CREATE,
				  &create);
		if (ret)
			break;
		contexts[count] = create.context;
	}
	assert_int_equal(ret, -ENOSPC);
	assert_true(count > 0 && count < max);
	while (count--) {
		destroy.context = contexts[count];
		assert_int_equal(accel_ioctl(&accel,
					     DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
					     &destroy), 0);
	}
	free(contexts);
}

static void test_region_map(void **state)
{
	const struct drm_tandem_region_map good = {
		.context = accel.context,
		.handle = handle,
		.offset = 4096,
		.length = 4096,
		.flags = TANDEM_REGION_READ,
	};
	static const struct change changes[] = {
		CHANGE(drm_tandem_region_map, context, 0, -ENOENT),
		CHANGE(drm_tandem_region_map, context, 99, -ENOENT),
		CHANGE(drm_tandem_region_map, handle, 0, -ENOENT),
		CHANGE(drm_tandem_region_map, handle, 99, -ENOENT),
		CHANGE(drm_tandem_region_map, offset, 1, -EINVAL),
		CHANGE(drm_tandem_region_map, offset, 4095, -EINVAL),
		CHANGE(drm_tandem_region_map, offset, SIZE, -EINVAL),
		CHANGE(drm_tandem_region_map, offset, 1ull << 63, -EINVAL),
		CHANGE(drm_tandem_region_map, offset, ~4095ull, -EINVAL),
		CHANGE(drm_tandem_region_map, length, 0, -EINVAL),
		CHANGE(drm_tandem_region_map, length, SIZE - 4095, -EINVAL),
		CHANGE(drm_tandem_region_map, length, UINT64_MAX, -EINVAL),
		CHANGE(drm_tandem_region_map, length, -4096ull, -EINVAL),
		CHANGE(drm_tandem_region_map, flags, 0, -EINVAL),
		CHANGE(drm_tandem_region_map, flags, 4, -EINVAL),
		CHANGE(drm_tandem_region_map, flags, 9, -EINVAL),
		CHANGE(drm_tandem_region_map, flags, 1u << 31, -EINVAL),
	};

	(void)state;
	check_ioctl(DRM_IOCTL_TANDEM_REGION_MAP, &good, sizeof(good), changes,
		    COUNT(changes));
}

static void test_region_unmap(void **state)
{
	const struct drm_tandem_region_unmap good = {
		.context = accel.context,
		.region = region,
	};
	static const struct change changes[] = {
		CHANGE(drm_tandem_region_unmap, context, 0, -ENOENT),
		CHANGE(drm_tandem_region_unmap, context, 99, -ENOENT),
		CHANGE(drm_tandem_region_unmap, region, 1000, -ENOENT),
		CHANGE(drm_tandem_region_unmap, region, 1024, -ENOENT),
		CHANGE(drm_tandem_region_unmap, region, UINT32_MAX, -ENOENT),
	};

	(void)state;
	check_ioctl(DRM_IOCTL_TANDEM_REGION_UNMAP, &good, sizeof(good),
		    changes, COUNT(changes));
}

static void test_regions_run_out(void **state)
{
	uint64_t max = accel_param(&accel, TANDEM_PARAM_REGIONS_MAX);
	struct drm_tandem_context_destroy destroy = {
		.context = accel_context(&accel),
	};
	struct drm_tandem_region_map map = {
		.context = destroy.context,
		.handle = handle,
		.length = 4096,
		.flags = READ,
	};
	uint64_t i;

	(void)state;
	for (i = 0; i < max; i++)
		assert_int_equal(accel_ioctl(&accel,
					     DRM_IOCTL_TANDEM_REGION_MAP,
					     &map), 0);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_REGION_MAP,
				     &map), -ENOSPC);
	assert_int_equal(accel_region_unmap(&accel, destroy.context, 7), 0);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_REGION_MAP,
				     &map), 0);
	assert_int_equal(map.region, 7);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), 0);
}

static void test_queue_create(void **state)
{
	const struct drm_tandem_queue_create good = {
		.context = accel.context,
	};
	static const struct change changes[] = {
		CHANGE(drm_tandem_queue_create, context, 0, -ENOENT),
		CHANGE(drm_tandem_queue_create, context, 99, -ENOENT),
		CHANGE(drm_tandem_queue_create, kind, 2, -EINVAL),
		CHANGE(drm_tandem_queue_create, kind, UINT32_MAX, -EINVAL),
		CHANGE(drm_tandem_queue_create, priority, 3, -EINVAL),
		CHANGE(drm_tandem_queue_create, priority, UINT32_MAX, -EINVAL),
		CHANGE(drm_tandem_queue_create, priority,
		       TANDEM_PRIORITY_LOW, 0),
		CHANGE(drm_tandem_queue_create, priority,
		       TANDEM_PRIORITY_HIGH, 0),
		CHANGE(drm_tandem_queue_create, flags, 1, -EINVAL),
		CHANGE(drm_tandem_queue_create, pad, 1, -EINVAL),
	};

	(void)state;
	check_ioctl(DRM_IOCTL_TANDEM_QUEUE_CREATE, &good, sizeof(good),
		    changes, COUNT(changes));
}

static void test_queues_run_out(void **state)
{
	struct drm_tandem_context_destroy destroy = {
		.context = accel_context(&accel),
	};
	struct drm_tandem_queue_create create = { .context = destroy.context };
	struct drm_tandem_queue_destroy one = { 0 };
	int i;

	(void)state;
	for (i = 0; i < 64; i++)
		one.queue = accel_queue(&accel, destroy.context, i % 2);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_QUEUE_CREATE,
				     &create), -ENOSPC);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_QUEUE_DESTROY,
				     &one), 0);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_QUEUE_CREATE,
				     &create), 0);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), 0);
}

static void test_queue_destroy(void **state)
{
	const struct drm_tandem_queue_destroy good = { .queue = accel.copy };
	static const struct change changes[] = {
		CHANGE(drm_tandem_queue_destroy, queue, 0, -ENOENT),
		CHANGE(drm_tandem_queue_destroy, queue, 999, -ENOENT),
		CHANGE(drm_tandem_queue_destroy, pad, 1, -EINVAL),
	};

	(void)state;
	check_ioctl(DRM_IOCTL_TANDEM_QUEUE_DESTROY, &good, sizeof(good),
		    changes, COUNT(changes));
}

static void test_context_query(void **state)
{
	const struct drm_tandem_context_query good = {
		.context = accel.context,
	};
	static const struct change changes[] = {
		CHANGE(drm_tandem_context_query, context, 0, -ENOENT),
		CHANGE(drm_tandem_context_query, context, 99, -ENOENT),
		CHANGE(drm_tandem_context_query, context, UINT32_MAX,
		       -ENOENT),
	};
	struct drm_tandem_context_query query = good;

	(void)state;
	assert_true(accel_param(&accel, TANDEM_PARAM_CAPABILITIES) &
		    TANDEM_CAPABILITY_QUERY);
	check_ioctl(DRM_IOCTL_TANDEM_CONTEXT_QUERY, &good, sizeof(good),
		    changes, COUNT(changes));
	query.context = accel_context(&accel);
	memset(&query.flags, 0xff, sizeof(query) - sizeof(query.context));
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_CONTEXT_QUERY,
				     &query), 0);
	assert_int_equal(query.flags, 0);
	assert_int_equal(query.faults, 0);
	assert_int_equal(query.resets, 0);
	assert_int_equal(query.regions, 0);
	assert_int_equal(query.queues, 0);
	assert_int_equal(query.mapped, 0);
	assert_int_equal(query.device_ns, 0);
}

static void test_queue_query(void **state)
{
	const struct drm_tandem_queue_query good = { .queue = accel.copy };
	static const struct change changes[] = {
		CHANGE(drm_tandem_queue_query, queue, 0, -ENOENT),
		CHANGE(drm_tandem_queue_query, queue, 999, -ENOENT),
		CHANGE(drm_tandem_queue_query, queue, UINT32_MAX, -ENOENT),
	};
	struct drm_tandem_queue_query query = good;

	(void)state;
	check_ioctl(DRM_IOCTL_TANDEM_QUEUE_QUERY, &good, sizeof(good), changes,
		    COUNT(changes));
	query.queue = accel_queue(&accel, accel.context, TANDEM_QUEUE_COPY);
	memset(&query.last_error, 0xff, sizeof(query) - sizeof(query.queue));
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_QUEUE_QUERY,
				     &query), 0);
	assert_int_equal(query.last_error, 0);
	assert_int_equal(query.submitted, 0);
	assert_int_equal(query.completed, 0);
	assert_int_equal(query.failed, 0);
	assert_int_equal(query.device_ns, 0);
}

static void test_arguments_that_cannot_be_read(void **state)
{
	static const unsigned long requests[] = {
		DRM_IOCTL_TANDEM_GET_PARAM,
		DRM_IOCTL_TANDEM_GEM_CREATE,
		DRM_IOCTL_TANDEM_GEM_MMAP_OFFSET,
		DRM_IOCTL_TANDEM_CONTEXT_CREATE,
		DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
		DRM_IOCTL_TANDEM_REGION_MAP,
		DRM_IOCTL_TANDEM_REGION_UNMAP,
		DRM_IOCTL_TANDEM_QUEUE_CREATE,
		DRM_IOCTL_TANDEM_QUEUE_DESTROY,
		DRM_IOCTL_TANDEM_CONTEXT_QUERY,
		DRM_IOCTL_TANDEM_QUEUE_QUERY,
		DRM_IOCTL_TANDEM_SUBMIT,
		DRM_IOCTL_TANDEM_GEM_REGISTER,
	};
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(requests); i++)
		assert_int_equal(accel_ioctl(&accel, requests[i], (void *)8),
				 -EFAULT);
}

static void test_unknown_calls(void **state)
{
	uint8_t args[64] = { 0 };

	(void)state;
	assert_int_equal(accel_ioctl(&accel, DRM_IOWR(DRM_COMMAND_BASE + 0x3f,
						      args), args), -EINVAL);
	assert_int_equal(accel_ioctl(&accel, _IOC(_IOC_READ, 'T', 0x80, 80),
				     args), -ENOTTY);
}

/* Files of accel nodes have no master, which the DRM core takes for granted. */
static void test_calls_that_need_a_master(void **state)
{
	struct drm_unique unique = { 0 };
	struct drm_auth auth = { 0 };

	(void)state;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_GET_UNIQUE, &unique),
			 -EACCES);
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_GET_MAGIC, &auth),
			 -EACCES);
}

struct command_case {
	uint32_t op;
	struct tandem_uring_command good;
	const struct change *changes;
	size_t count;
};

#define COMMAND(member, value, expected) \
	CHANGE(tandem_uring_command, member, value, expected)

/* What no command takes, or none with such a value. */
#define COMMON								\
	COMMAND(queue, 0, -ENOENT),					\
	COMMAND(queue, 999, -ENOENT),					\
	COMMAND(queue, UINT32_MAX, -ENOENT),				\
	COMMAND(flags, 4, -EINVAL),					\
	COMMAND(flags, 1u << 31, -EINVAL),				\
	COMMAND(in_point, 1, -EINVAL),					\
	COMMAND(out_point, 1ull << 63, -EINVAL),			\
	COMMAND(reserved, 1, -EINVAL),					\
	COMMAND(reserved, 1ull << 63, -EINVAL)

/* What all take that run on the device. */
#define FENCES								\
	COMMAND(in_syncobj, 99, -ENOENT),				\
	COMMAND(in_syncobj, UINT32_MAX, -ENOENT),			\
	COMMAND(in_syncobj, syncobj, -EINVAL),				\
	COMMAND(out_syncobj, 99, -ENOENT),				\
	COMMAND(out_syncobj, UINT32_MAX, -ENOENT)

static void check_command(const struct command_case *c)
{
	struct tandem_uring_command command;
	size_t i;
	int ret;

	for (i = 0; i < c->count; i++) {
		command = c->good;
		apply(&command, &c->changes[i]);
		ret = accel_run(&accel, c->op, &command);
		if (ret != c->changes[i].expected)
			fail_msg("command %#x: %s: got %d, expected %d",
				 c->op, c->changes[i].what, ret,
				 c->changes[i].expected);
	}
	ret = accel_run(&accel, c->op, &c->good);
	if (ret && c->op != TANDEM_URING_CANCEL && c->op != TANDEM_URING_EXEC)
		fail_msg("command %#x in good order: got %d", c->op, ret);
}

static void test_nop(void **state)
{
	const struct change changes[] = {
		COMMON,
		FENCES,
		COMMAND(dst_region, 1, -EINVAL),
		COMMAND(src_region, 1, -EINVAL),
		COMMAND(dst_offset, 1, -EINVAL),
		COMMAND(src_offset, 1, -EINVAL),
		COMMAND(length, 1, -EINVAL),
		COMMAND(flags, TANDEM_COMMAND_REPORT(3), 0),
		COMMAND(cookie, 1, 0),
	};
	const struct command_case c = {
		TANDEM_URING_NOP, { .queue = accel.copy }, changes,
		COUNT(changes)
	};

	(void)state;
	check_command(&c);
}

static void test_cancel(void **state)
{
	const struct change changes[] = {
		COMMON,
		COMMAND(flags, 1, -EINVAL),
		COMMAND(in_syncobj, syncobj, -EINVAL),
		COMMAND(out_syncobj, syncobj, -EINVAL),
		COMMAND(dst_region, 1, -EINVAL),
		COMMAND(src_region, 1, -EINVAL),
		COMMAND(dst_offset, 1, -EINVAL),
		COMMAND(src_offset, 1, -EINVAL),
		COMMAND(length, 1, -EINVAL),
		COMMAND(cookie, 1, -ENOENT),
	};
	const struct command_case c = {
		TANDEM_URING_CANCEL, { .queue = accel.copy }, changes,
		COUNT(changes)
	};

	(void)state;
	check_command(&c);
}

static void test_fill(void **state)
{
	const struct change changes[] = {
		COMMON,
		FENCES,
		COMMAND(dst_region, 999, -EACCES),
		COMMAND(dst_region, 1024, -EACCES),
		COMMAND(dst_region, UINT32_MAX - 1, -EACCES),
		COMMAND(src_region, 1, -EINVAL),
		COMMAND(dst_offset, 1, -EINVAL),
		COMMAND(dst_offset, 2, -EINVAL),
		COMMAND(dst_offset, SIZE, -EACCES),
		COMMAND(dst_offset, SIZE - 4092, -EACCES),
		COMMAND(dst_offset, UINT64_MAX - 3, -EACCES),
		COMMAND(src_offset, 1ull << 32, -EINVAL),
		COMMAND(src_offset, UINT32_MAX, 0),
		COMMAND(length, 0, -EINVAL),
		COMMAND(length, 2, -EINVAL),
		COMMAND(length, 4095, -EINVAL),
		COMMAND(length, SIZE + 4, -EACCES),
		COMMAND(length, UINT64_MAX - 3, -EACCES),
	};
	const struct command_case c = {
		TANDEM_URING_FILL,
		{ .queue = accel.copy, .dst_region = region, .length = 4096 },
		changes, COUNT(changes)
	};

	(void)state;
	check_command(&c);
}

static void test_copy(void **state)
{
	const struct change changes[] = {
		COMMON,
		FENCES,
		COMMAND(dst_region, 999, -EACCES),
		COMMAND(dst_region, 2000, -EACCES),
		COMMAND(src_region, 999, -EACCES),
		COMMAND(src_region, UINT32_MAX - 1, -EACCES),
		COMMAND(dst_offset, SIZE, -EACCES),
		COMMAND(dst_offset, UINT64_MAX, -EACCES),
		COMMAND(src_offset, SIZE, -EACCES),
		COMMAND(src_offset, UINT64_MAX, -EACCES),
		COMMAND(length, 0, -EINVAL),
		COMMAND(length, SIZE + 1, -EACCES),
		COMMAND(length, UINT64_MAX, -EACCES),
	};
	const struct command_case c = {
		TANDEM_URING_COPY,
		{
			.queue = accel.compute,
			.dst_region = region,
			.src_region = region,
			.dst_offset = 8192,
			.length = 4096,
		},
		changes, COUNT(changes)
	};

	(void)state;
	check_command(&c);
}

static void test_copy_with_user_memory(void **state)
{
	const struct change changes[] = {
		COMMON,
		FENCES,
		COMMAND(dst_region, USER, -EINVAL),
		COMMAND(src_offset, 0, -EFAULT),
		COMMAND(src_offset, UINT64_MAX, -EFAULT),
		COMMAND(src_offset, 1ull << 63, -EFAULT),
		COMMAND(length, 0, -EINVAL),
		COMMAND(length, SIZE + 1, -EACCES),
	};
	const struct command_case c = {
		TANDEM_URING_COPY,
		{
			.queue = accel.copy,
			.dst_region = region,
			.src_region = USER,
			.src_offset = address_of(user),
			.length = 4096,
		},
		changes, COUNT(changes)
	};

	(void)state;
	check_command(&c);
}

static void test_exec(void **state)
{
	const struct change changes[] = {
		COMMON,
		FENCES,
		COMMAND(queue, accel.copy, -EINVAL),
		COMMAND(dst_region, 1, -EINVAL),
		COMMAND(dst_offset, 1, -EINVAL),
		COMMAND(src_region, 999, -EACCES),
		COMMAND(src_region, USER, -EINVAL),
		COMMAND(src_offset, SIZE, -EACCES),
		COMMAND(length, 0, -EINVAL),
		COMMAND(length, SIZE + 1, -EACCES),
	};
	const struct command_case c = {
		TANDEM_URING_EXEC,
		{ .queue = accel.compute, .src_region = region, .length = 64 },
		changes, COUNT(changes)
	};

	(void)state;
	check_command(&c);
}

static void test_copy_list(void **state)
{
	struct tandem_segment segments[3] = { 0 };
	const struct change changes[] = {
		COMMON,
		FENCES,
		COMMAND(dst_region, 1, -EINVAL),
		COMMAND(src_region, 1, -EINVAL),
		COMMAND(dst_offset, 0, -EINVAL),
		COMMAND(dst_offset, 24, -EINVAL),
		COMMAND(dst_offset, 36, -EINVAL),
		COMMAND(dst_offset, 4104, -EINVAL),
		COMMAND(dst_offset, 1ull << 63, -EINVAL),
		COMMAND(src_offset, 0, -EFAULT),
		COMMAND(src_offset, UINT64_MAX, -EFAULT),
		COMMAND(src_offset, 1ull << 63, -EFAULT),
		COMMAND(length, 0, -EINVAL),
		COMMAND(length,
			accel_param(&accel, TANDEM_PARAM_SEGMENTS_MAX) + 1,
			-EINVAL),
		COMMAND(length, UINT64_MAX, -EINVAL),
	};
	const struct command_case c = {
		TANDEM_URING_COPY_LIST,
		{
			.queue = accel.copy,
			.dst_offset = sizeof(segments[0]),
			.src_offset = address_of(segments),
			.length = 3,
		},
		changes, COUNT(changes)
	};
	int i;

	(void)state;
	for (i = 0; i < 3; i++) {
		segments[i].dst_region = region;
		segments[i].src_region = region;
		segments[i].dst_offset = 4096 * i;
		segments[i].src_offset = 4096 * (i + 4);
		segments[i].length = 4096;
	}
	check_command(&c);
}

static void test_unknown_commands(void **state)
{
	struct tandem_uring_command command = { .queue = accel.copy };

	(void)state;
	assert_int_equal(accel_run(&accel, 0, &command), -EINVAL);
	assert_int_equal(accel_run(&accel, UINT32_MAX, &command), -EINVAL);
	assert_int_equal(accel_run(&accel, TANDEM_URING_COPY_LIST + 1, &command),
			 -EINVAL);
	assert_int_equal(accel_run(&accel, _IOW('T', 0x80, uint64_t),
				   &command), -EINVAL);
}

static void test_submit(void **state)
{
	static struct tandem_submit_command commands[2];
	const struct drm_tandem_submit good = {
		.commands = address_of(commands),
		.count = 2,
		.stride = sizeof(commands[0]),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	const struct change changes[] = {
		CHANGE(drm_tandem_submit, commands, 0, -EFAULT),
		CHANGE(drm_tandem_submit, commands, 8, -EFAULT),
		CHANGE(drm_tandem_submit, commands, UINT64_MAX, -EFAULT),
		CHANGE(drm_tandem_submit, commands, 1ull << 63, -EFAULT),
		CHANGE(drm_tandem_submit, count, 0, -EINVAL),
		CHANGE(drm_tandem_submit, count,
		       accel_param(&accel, TANDEM_PARAM_SUBMIT_MAX) + 1,
		       -EINVAL),
		CHANGE(drm_tandem_submit, count, UINT32_MAX, -EINVAL),
		CHANGE(drm_tandem_submit, stride, 0, -EINVAL),
		CHANGE(drm_tandem_submit, stride, 88, -EINVAL),
		CHANGE(drm_tandem_submit, stride, 100, -EINVAL),
		CHANGE(drm_tandem_submit, stride, 4104, -EINVAL),
		CHANGE(drm_tandem_submit, stride, 0xfffffff8, -EINVAL),
		CHANGE(drm_tandem_submit, flags, 2, -EINVAL),
		CHANGE(drm_tandem_submit, flags, 1u << 31, -EINVAL),
		CHANGE(drm_tandem_submit, pad, 1, -EINVAL),
		CHANGE(drm_tandem_submit, deadline_ns, UINT64_MAX, 0),
	};
	struct drm_tandem_submit no_wait = good;

	(void)state;
	for (int i = 0; i < 2; i++) {
		commands[i].op = TANDEM_URING_NOP;
		commands[i].command.queue = accel.copy;
	}
	check_ioctl(DRM_IOCTL_TANDEM_SUBMIT, &good, sizeof(good), changes,
		    COUNT(changes));
	/* There is nothing that could have a deadline. */
	no_wait.flags = 0;
	no_wait.deadline_ns = 1;
	assert_int_equal(accel_ioctl(&accel, DRM_IOCTL_TANDEM_SUBMIT,
				     &no_wait), -EINVAL);
}

static void submit_each(const struct change *changes, size_t count,
			const struct tandem_submit_command *good)
{
	struct tandem_submit_command command;
	struct drm_tandem_submit args = {
		.commands = address_of(&command),
		.count = 1,
		.stride = sizeof(command),
		.flags = TANDEM_SUBMIT_WAIT,
	};
	size_t i;
	int ret;

	for (i = 0; i < count; i++) {
		command = *good;
		apply(&command, &changes[i]);
		ret = accel_ioctl(&accel, DRM_IOCTL_TANDEM_SUBMIT, &args);
		if (ret != changes[i].expected)
			fail_msg("%s: got %d, expected %d", changes[i].what,
				 ret, changes[i].expected);
	}
}

static void test_submitted_command(void **state)
{
	const struct tandem_submit_command good = {
		.op = TANDEM_URING_NOP,
		.command.queue = accel.copy,
	};
	static const struct change changes[] = {
		CHANGE(tandem_submit_command, op, 0, -EINVAL),
		CHANGE(tandem_submit_command, op, UINT32_MAX, -EINVAL),
		CHANGE(tandem_submit_command, op, TANDEM_URING_FILL, -EINVAL),
		CHANGE(tandem_submit_command, result, 1, 0),
		CHANGE(tandem_submit_command, report, 1, 0),
		CHANGE(tandem_submit_command, command.queue, 999, -ENOENT),
		CHANGE(tandem_submit_command, command.flags, 1u << 31, -EINVAL),
		CHANGE(tandem_submit_command, command.in_syncobj, 99, -ENOENT),
		CHANGE(tandem_submit_command, command.length, 1, -EINVAL),
		CHANGE(tandem_submit_command, command.reserved, 1, -EINVAL),
	};

	(void)state;
	submit_each(changes, COUNT(changes), &good);
}

/* The command does not fit into a short SQE. */
static void test_short_entries_are_refused(void **state)
{
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct io_uring ring;

	(void)state;
	assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_nop(sqe);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = accel.fd;
	sqe->cmd_op = TANDEM_URING_NOP;
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(io_uring_wait_cqe(&ring, &cqe), 0);
	assert_int_equal(cqe->res, -EINVAL);
	io_uring_queue_exit(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_param),
		cmocka_unit_test(test_get_param_of_classes),
		cmocka_unit_test(test_gem_create),
		cmocka_unit_test(test_gem_mmap_offset),
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_contexts_run_out),
		cmocka_unit_test(test_region_map),
		cmocka_unit_test(test_region_unmap),
		cmocka_unit_test(test_regions_run_out),
		cmocka_unit_test(test_queue_create),
		cmocka_unit_test(test_queues_run_out),
		cmocka_unit_test(test_queue_destroy),
		cmocka_unit_test(test_context_query),
		cmocka_unit_test(test_queue_query),
		cmocka_unit_test(test_arguments_that_cannot_be_read),
		cmocka_unit_test(test_unknown_calls),
		cmocka_unit_test(test_calls_that_need_a_master),
		cmocka_unit_test(test_nop),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_copy_with_user_memory),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_copy_list),
		cmocka_unit_test(test_unknown_commands),
		cmocka_unit_test(test_submit),
		cmocka_unit_test(test_submitted_command),
		cmocka_unit_test(test_short_entries_are_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
