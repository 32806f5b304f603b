// SPDX-License-Identifier: GPL-2.0
/* Commands: what is refused before anything is looked up. */
#include <kunit/test.h>

#include "../tandem_command.h"

/* The least that is a command of its kind. */
static struct tandem_uring_command good_command(u32 op)
{
	struct tandem_uring_command command = {};

	if (op == TANDEM_URING_COPY || op == TANDEM_URING_FILL ||
	    op == TANDEM_URING_EXEC)
		command.length = 4096;
	return command;
}

static const u32 ops[] = {
	TANDEM_URING_NOP, TANDEM_URING_COPY, TANDEM_URING_FILL,
	TANDEM_URING_EXEC, TANDEM_URING_CANCEL,
};

static void command_good(struct kunit *test)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		struct tandem_uring_command command = good_command(ops[i]);

		KUNIT_EXPECT_EQ(test, tandem_command_check(ops[i], &command),
				0);
		/* Checked later, or any value is good. */
		command.queue = U32_MAX;
		command.cookie = U64_MAX;
		KUNIT_EXPECT_EQ(test, tandem_command_check(ops[i], &command),
				0);
	}
}

static void command_unknown_op(struct kunit *test)
{
	struct tandem_uring_command command = {};
	static const u32 wrong[] = {
		0, U32_MAX, TANDEM_URING_NOP + 0x40,
		_IOW('T', 0x80, u64),
		_IOR('T', 0x80, struct tandem_uring_command),
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ(test, tandem_command_check(wrong[i], &command),
				-EINVAL);
}

static void command_reserved(struct kunit *test)
{
	int i, bit;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		for (bit = 0; bit < 64; bit++) {
			struct tandem_uring_command command =
				good_command(ops[i]);

			command.reserved = BIT_ULL(bit);
			KUNIT_EXPECT_EQ(test,
					tandem_command_check(ops[i], &command),
					-EINVAL);
		}
	}
}

/* A field that a command has no use for has to be zero. */
static void command_unused_fields(struct kunit *test)
{
	static const struct {
		u32 op;
		struct tandem_uring_command command;
	} wrong[] = {
		{ TANDEM_URING_NOP, { .length = 1 } },
		{ TANDEM_URING_NOP, { .dst_region = 1 } },
		{ TANDEM_URING_NOP, { .dst_offset = 1 } },
		{ TANDEM_URING_NOP, { .src_region = 1 } },
		{ TANDEM_URING_NOP, { .src_offset = 1 } },
		{ TANDEM_URING_CANCEL, { .length = 1 } },
		{ TANDEM_URING_CANCEL, { .dst_region = 1 } },
		{ TANDEM_URING_CANCEL, { .src_offset = 1 } },
		{ TANDEM_URING_CANCEL, { .in_syncobj = 1 } },
		{ TANDEM_URING_CANCEL, { .out_syncobj = 1 } },
		{ TANDEM_URING_EXEC, { .length = 1, .dst_region = 1 } },
		{ TANDEM_URING_EXEC, { .length = 1, .dst_offset = 1 } },
		{ TANDEM_URING_FILL, { .length = 4, .src_region = 1 } },
		{ TANDEM_URING_NOP, { .in_point = 1 } },
		{ TANDEM_URING_NOP, { .out_point = 1 } },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		KUNIT_EXPECT_EQ_MSG(test,
				    tandem_command_check(wrong[i].op,
							 &wrong[i].command),
				    -EINVAL, "command %d", i);
}

static void command_values(struct kunit *test)
{
	static const struct {
		u32 op;
		struct tandem_uring_command command;
		int result;
	} cases[] = {
		{ TANDEM_URING_COPY, { .length = 0 }, -EINVAL },
		{ TANDEM_URING_COPY,
		  { .length = 1, .dst_region = TANDEM_REGION_USER }, 0 },
		{ TANDEM_URING_COPY,
		  { .length = 1, .src_region = TANDEM_REGION_USER }, 0 },
		{ TANDEM_URING_COPY,
		  { .length = 1, .dst_region = TANDEM_REGION_USER,
		    .src_region = TANDEM_REGION_USER }, -EINVAL },
		{ TANDEM_URING_FILL, { .length = 0 }, -EINVAL },
		{ TANDEM_URING_FILL, { .length = 6 }, -EINVAL },
		{ TANDEM_URING_FILL, { .length = 4, .dst_offset = 2 },
		  -EINVAL },
		{ TANDEM_URING_FILL, { .length = 4, .src_offset = U32_MAX },
		  0 },
		{ TANDEM_URING_FILL,
		  { .length = 4, .src_offset = U32_MAX + 1ull }, -EINVAL },
		{ TANDEM_URING_EXEC, { .length = 0 }, -EINVAL },
		{ TANDEM_URING_EXEC,
		  { .length = 1, .src_region = TANDEM_REGION_USER }, -EINVAL },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		KUNIT_EXPECT_EQ_MSG(test,
				    tandem_command_check(cases[i].op,
							 &cases[i].command),
				    cases[i].result, "case %d", i);
}

/* Every field comes over: a copy of all bytes that differ from each other. */
static void command_read_whole(struct kunit *test)
{
	struct tandem_uring_command from, to = {};
	u8 *byte = (u8 *)&from;
	int i;

	for (i = 0; i < sizeof(from); i++)
		byte[i] = i + 1;
	tandem_command_read(&to, &from);
	KUNIT_EXPECT_MEMEQ(test, &to, &from, sizeof(from));
}

static struct kunit_case command_cases[] = {
	KUNIT_CASE(command_good),
	KUNIT_CASE(command_unknown_op),
	KUNIT_CASE(command_reserved),
	KUNIT_CASE(command_unused_fields),
	KUNIT_CASE(command_values),
	KUNIT_CASE(command_read_whole),
	{}
};

static struct kunit_suite command_suite = {
	.name = "tandem_command",
	.test_cases = command_cases,
};

kunit_test_suite(command_suite);
