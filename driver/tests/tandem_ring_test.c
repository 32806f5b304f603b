// SPDX-License-Identifier: GPL-2.0
/*
 * Rings: arithmetic, and completions of a device that means no good. The module
 * of all KUnit tests has its description here.
 */
#include <kunit/device.h>
#include <kunit/test.h>
#include <linux/module.h>
#include <linux/prandom.h>

#include "../tandem_bus.h"
#include "../tandem_compat.h"
#include "../tandem_device.h"
#include "../tandem_ring.h"

#define ENTRIES	8
#define QUEUE	3
#define EPOCH	77

/**
 * struct fixture - a ring, and the device's end of it
 * @ring: under test
 * @commands: who waits for the command in each slot
 * @cq_tail: the device's next completion
 */
struct fixture {
	struct tandem_ring ring;
	char commands[ENTRIES];
	u32 cq_tail;
};

/* The doorbells as rung last; tests run one after another. */
static u32 rung_sq, rung_cq;

static void ring_sq(struct device *dev, u32 queue, u32 tail)
{
	rung_sq = tail;
}

static void ring_cq(struct device *dev, u32 queue, u32 head)
{
	rung_cq = head;
}

static const struct tandem_bus_ops bus = {
	.ring_sq = ring_sq,
	.ring_cq = ring_cq,
};

static int ring_test_init(struct kunit *test)
{
	struct tandem_device *tdev;
	struct fixture *fixture;
	struct tandem_ring *ring;

	fixture = kunit_kzalloc(test, sizeof(*fixture), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, fixture);
	tdev = kunit_kzalloc(test, sizeof(*tdev), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, tdev);
	tdev->dev = kunit_device_register(test, "tandem-kunit");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, tdev->dev);
	tdev->bus = &bus;

	ring = &fixture->ring;
	ring->tdev = tdev;
	ring->entries = ENTRIES;
	ring->queue = QUEUE;
	ring->state = TANDEM_RING_UP;
	ring->epoch = EPOCH;
	ring->sq.virtual =
		kunit_kcalloc(test, ENTRIES,
			      sizeof(struct tandem_hw_descriptor), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ring->sq.virtual);
	ring->cq.virtual =
		kunit_kcalloc(test, ENTRIES,
			      sizeof(struct tandem_hw_completion), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ring->cq.virtual);
	ring->owner = kunit_kcalloc(test, ENTRIES, sizeof(*ring->owner),
				    GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ring->owner);
	test->priv = fixture;
	return 0;
}

/* Of a ring that has been in use for long: its counters are about to wrap. */
static void grow_old(struct fixture *fixture, u32 number)
{
	struct tandem_hw_completion *entries = fixture->ring.cq.virtual;
	u32 i;

	fixture->ring.sq_head = number;
	fixture->ring.sq_tail = number;
	fixture->ring.cq_head = number;
	fixture->cq_tail = number;
	/* The last round's phase, which entries of the coming one differ from. */
	for (i = 0; i < ENTRIES; i++)
		entries[(number - 1 - i) % ENTRIES].phase =
			cpu_to_le16(!((number - 1 - i) & ENTRIES));
}

static u16 push(struct fixture *fixture)
{
	struct tandem_hw_descriptor descriptor = {
		.opcode = TANDEM_HW_OP_COPY,
		.length = cpu_to_le64(fixture->ring.sq_tail),
	};
	u32 slot = tandem_ring_next_slot(&fixture->ring);

	return tandem_ring_push(&fixture->ring, &descriptor,
				&fixture->commands[slot]);
}

static void complete_as(struct fixture *fixture, u16 id, u16 queue, u32 epoch)
{
	struct tandem_hw_completion *entries = fixture->ring.cq.virtual;
	struct tandem_hw_completion *entry =
		&entries[fixture->cq_tail % ENTRIES];

	entry->command_id = cpu_to_le16(id);
	entry->queue = cpu_to_le16(queue);
	entry->epoch = cpu_to_le32(epoch);
	entry->status = cpu_to_le16(5);
	entry->detail = cpu_to_le32(6);
	entry->duration_ns = cpu_to_le64(7);
	entry->phase = cpu_to_le16(!(fixture->cq_tail & ENTRIES));
	fixture->cq_tail++;
}

static void complete_command(struct fixture *fixture, u16 id)
{
	complete_as(fixture, id, QUEUE, EPOCH);
}

static void *pop(struct fixture *fixture)
{
	struct tandem_completion completion;
	u32 budget = ENTRIES;

	return tandem_ring_pop(&fixture->ring, &completion, &budget);
}

static void *command_of(struct fixture *fixture, u16 id)
{
	return &fixture->commands[id % ENTRIES];
}

static void ring_fills(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct tandem_hw_descriptor *entries = fixture->ring.sq.virtual;
	u32 i;

	KUNIT_EXPECT_NULL(test, tandem_ring_oldest(&fixture->ring));
	for (i = 0; i < ENTRIES; i++) {
		KUNIT_EXPECT_FALSE(test, tandem_ring_full(&fixture->ring));
		KUNIT_EXPECT_EQ(test, push(fixture), i);
		KUNIT_EXPECT_EQ(test, le16_to_cpu(entries[i].command_id), i);
		KUNIT_EXPECT_EQ(test, le64_to_cpu(entries[i].length), i);
	}
	KUNIT_EXPECT_TRUE(test, tandem_ring_full(&fixture->ring));
	KUNIT_EXPECT_PTR_EQ(test, tandem_ring_oldest(&fixture->ring),
			    command_of(fixture, 0));
	tandem_ring_publish(&fixture->ring);
	KUNIT_EXPECT_EQ(test, rung_sq, ENTRIES);
}

static void ring_hands_over_completion(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct tandem_completion completion;
	u32 budget = ENTRIES;

	complete_command(fixture, push(fixture));
	KUNIT_EXPECT_PTR_EQ(test,
			    tandem_ring_pop(&fixture->ring, &completion,
					    &budget),
			    command_of(fixture, 0));
	KUNIT_EXPECT_EQ(test, completion.command_id, 0);
	KUNIT_EXPECT_EQ(test, completion.status, 5);
	KUNIT_EXPECT_EQ(test, completion.detail, 6);
	KUNIT_EXPECT_EQ(test, completion.duration_ns, 7);
	KUNIT_EXPECT_EQ(test, budget, ENTRIES - 1);
	KUNIT_EXPECT_NULL(test, pop(fixture));
	tandem_ring_publish_taken(&fixture->ring);
	KUNIT_EXPECT_EQ(test, rung_cq, 1);
}

/* A slot is used again only when all before it have completed. */
static void ring_out_of_order(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	int i;

	for (i = 0; i < ENTRIES; i++)
		push(fixture);
	for (i = ENTRIES - 1; i > 0; i--) {
		complete_command(fixture, i);
		KUNIT_EXPECT_PTR_EQ(test, pop(fixture),
				    command_of(fixture, i));
		KUNIT_EXPECT_TRUE(test, tandem_ring_full(&fixture->ring));
	}
	complete_command(fixture, 0);
	KUNIT_EXPECT_PTR_EQ(test, pop(fixture), command_of(fixture, 0));
	KUNIT_EXPECT_FALSE(test, tandem_ring_full(&fixture->ring));
	KUNIT_EXPECT_NULL(test, tandem_ring_oldest(&fixture->ring));
}

static void ring_counters_wrap(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	int i;

	grow_old(fixture, U32_MAX - 2 * ENTRIES - 3);
	for (i = 0; i < 5 * ENTRIES; i++) {
		u16 first = push(fixture);
		u16 second = push(fixture);

		complete_command(fixture, second);
		complete_command(fixture, first);
		KUNIT_EXPECT_PTR_EQ(test, pop(fixture),
				    command_of(fixture, second));
		KUNIT_EXPECT_PTR_EQ(test, pop(fixture),
				    command_of(fixture, first));
		KUNIT_EXPECT_NULL(test, pop(fixture));
	}
	KUNIT_EXPECT_EQ(test, fixture->ring.completed, 10 * ENTRIES);
	KUNIT_EXPECT_EQ(test, fixture->ring.spurious, 0);
	KUNIT_EXPECT_EQ(test, fixture->ring.stale, 0);
}

/* The slot's next command must not end by what was said of the last. */
static void ring_repeated_completion(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	u16 old = push(fixture);
	int i;

	complete_command(fixture, old);
	KUNIT_EXPECT_PTR_EQ(test, pop(fixture), command_of(fixture, old));
	complete_command(fixture, old);
	KUNIT_EXPECT_NULL(test, pop(fixture));

	for (i = 0; i < ENTRIES; i++)
		push(fixture);
	complete_command(fixture, old);
	KUNIT_EXPECT_NULL(test, pop(fixture));
	KUNIT_EXPECT_EQ(test, fixture->ring.spurious, 2);
	KUNIT_EXPECT_TRUE(test, tandem_ring_full(&fixture->ring));
}

/* Of all ids, only those in flight end something, and each once. */
static void ring_all_ids(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	u32 id, ended = 0;
	u16 first, last;

	grow_old(fixture, 0xfffe);
	first = push(fixture);
	push(fixture);
	last = push(fixture);
	KUNIT_EXPECT_EQ(test, last, (u16)(first + 2));

	for (id = 0; id <= U16_MAX; id++) {
		u16 age = id - first;
		void *owner;

		complete_command(fixture, id);
		owner = pop(fixture);
		if (!owner)
			continue;
		ended++;
		KUNIT_EXPECT_LE(test, age, 2);
		KUNIT_EXPECT_PTR_EQ(test, owner, command_of(fixture, id));
	}
	KUNIT_EXPECT_EQ(test, ended, 3);
	KUNIT_EXPECT_EQ(test, fixture->ring.spurious, U16_MAX + 1 - 3);
}

static void ring_other_queue_and_epoch(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	u16 id = push(fixture);

	complete_as(fixture, id, QUEUE + 1, EPOCH);
	complete_as(fixture, id, QUEUE, EPOCH - 1);
	complete_as(fixture, id, QUEUE, EPOCH + 1);
	KUNIT_EXPECT_NULL(test, pop(fixture));
	KUNIT_EXPECT_EQ(test, fixture->ring.spurious, 1);
	KUNIT_EXPECT_EQ(test, fixture->ring.stale, 2);
	complete_command(fixture, id);
	KUNIT_EXPECT_PTR_EQ(test, pop(fixture), command_of(fixture, id));
}

static void ring_wrong_phase(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct tandem_hw_completion *entries = fixture->ring.cq.virtual;
	static const u16 wrong[] = { 0, 2, 0x100, 0xffff };
	u16 id = push(fixture);
	int i;

	complete_command(fixture, id);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		entries[0].phase = cpu_to_le16(wrong[i]);
		KUNIT_EXPECT_NULL(test, pop(fixture));
		KUNIT_EXPECT_EQ(test, fixture->ring.cq_head, 0);
	}
	entries[0].phase = cpu_to_le16(1);
	KUNIT_EXPECT_PTR_EQ(test, pop(fixture), command_of(fixture, id));
}

/* A device that never stops writing does not keep the driver for ever. */
static void ring_budget(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct tandem_completion completion;
	u32 budget = ENTRIES;
	int i;

	push(fixture);
	for (i = 0; i < ENTRIES; i++)
		complete_as(fixture, 0, QUEUE, EPOCH + 1);
	KUNIT_EXPECT_NULL(test, tandem_ring_pop(&fixture->ring, &completion,
						&budget));
	KUNIT_EXPECT_EQ(test, budget, 0);
	complete_command(fixture, 0);
	KUNIT_EXPECT_NULL(test, tandem_ring_pop(&fixture->ring, &completion,
						&budget));
	KUNIT_EXPECT_PTR_EQ(test, pop(fixture), command_of(fixture, 0));
}

/* What a device says while it is down, or being let go, reaches nobody. */
static void ring_states(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	u16 id = push(fixture);

	complete_command(fixture, id);
	fixture->ring.state = TANDEM_RING_DOWN;
	KUNIT_EXPECT_TRUE(test, tandem_ring_full(&fixture->ring));
	KUNIT_EXPECT_NULL(test, pop(fixture));
	/* Who it was may be gone. */
	KUNIT_EXPECT_NULL(test, tandem_ring_oldest(&fixture->ring));
	fixture->ring.state = TANDEM_RING_DRAINING;
	KUNIT_EXPECT_TRUE(test, tandem_ring_full(&fixture->ring));
	KUNIT_EXPECT_PTR_EQ(test, pop(fixture), command_of(fixture, id));
}

static void ring_insane_device(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	u16 id = push(fixture);
	int i;

	complete_as(fixture, id, QUEUE, EPOCH + 1);
	KUNIT_EXPECT_NULL(test, pop(fixture));
	KUNIT_EXPECT_FALSE(test, tandem_ring_is_insane(&fixture->ring));
	complete_command(fixture, id);
	KUNIT_EXPECT_NOT_NULL(test, pop(fixture));
	for (i = 0; i < 100000 && !tandem_ring_is_insane(&fixture->ring); i++) {
		complete_as(fixture, id, QUEUE, EPOCH + 1);
		KUNIT_EXPECT_NULL(test, pop(fixture));
	}
	KUNIT_EXPECT_TRUE(test, tandem_ring_is_insane(&fixture->ring));
	KUNIT_EXPECT_EQ(test, fixture->ring.malformed_in_turn, i);
	/* One good completion, and it is trusted again. */
	id = push(fixture);
	complete_command(fixture, id);
	KUNIT_EXPECT_NOT_NULL(test, pop(fixture));
	KUNIT_EXPECT_FALSE(test, tandem_ring_is_insane(&fixture->ring));
}

static void ring_forget_all(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	int i;

	for (i = 0; i < 3; i++)
		push(fixture);
	complete_command(fixture, 1);
	KUNIT_EXPECT_PTR_EQ(test, pop(fixture), command_of(fixture, 1));
	KUNIT_EXPECT_PTR_EQ(test, tandem_ring_forget(&fixture->ring),
			    command_of(fixture, 0));
	KUNIT_EXPECT_PTR_EQ(test, tandem_ring_forget(&fixture->ring),
			    command_of(fixture, 2));
	KUNIT_EXPECT_NULL(test, tandem_ring_forget(&fixture->ring));
	complete_command(fixture, 0);
	KUNIT_EXPECT_NULL(test, pop(fixture));
	KUNIT_EXPECT_EQ(test, fixture->ring.spurious, 1);
}

static void ring_missed_interrupt(struct kunit *test)
{
	struct fixture *fixture = test->priv;

	KUNIT_EXPECT_FALSE(test, tandem_ring_missed(&fixture->ring));
	complete_command(fixture, push(fixture));
	KUNIT_EXPECT_FALSE(test, tandem_ring_missed(&fixture->ring));
	KUNIT_EXPECT_TRUE(test, tandem_ring_missed(&fixture->ring));
	KUNIT_EXPECT_NOT_NULL(test, pop(fixture));
	KUNIT_EXPECT_FALSE(test, tandem_ring_missed(&fixture->ring));
	complete_command(fixture, push(fixture));
	KUNIT_EXPECT_FALSE(test, tandem_ring_missed(&fixture->ring));
}

/* Against a list of what is in flight, with a fixed seed. */
static void ring_random(struct kunit *test)
{
	struct fixture *fixture = test->priv;
	struct rnd_state random;
	unsigned long *flying;
	int step;

	flying = kunit_kcalloc(test, BITS_TO_LONGS(U16_MAX + 1),
			       sizeof(*flying), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, flying);
	prandom_seed_state(&random, 1);
	for (step = 0; step < 200000; step++) {
		u16 id = fixture->ring.sq_tail -
			 prandom_u32_state(&random) % (2 * ENTRIES);
		void *owner;

		if (prandom_u32_state(&random) % 2 &&
		    !tandem_ring_full(&fixture->ring)) {
			__set_bit(push(fixture), flying);
			continue;
		}
		complete_command(fixture, id);
		owner = pop(fixture);
		if (test_bit(id, flying))
			KUNIT_ASSERT_PTR_EQ(test, owner,
					    command_of(fixture, id));
		else
			KUNIT_ASSERT_NULL(test, owner);
		__clear_bit(id, flying);
	}
	KUNIT_EXPECT_GT(test, fixture->ring.completed, 1000);
	KUNIT_EXPECT_GT(test, fixture->ring.spurious, 1000);
}

static struct kunit_case ring_cases[] = {
	KUNIT_CASE(ring_fills),
	KUNIT_CASE(ring_hands_over_completion),
	KUNIT_CASE(ring_out_of_order),
	KUNIT_CASE(ring_counters_wrap),
	KUNIT_CASE(ring_repeated_completion),
	KUNIT_CASE(ring_all_ids),
	KUNIT_CASE(ring_other_queue_and_epoch),
	KUNIT_CASE(ring_wrong_phase),
	KUNIT_CASE(ring_budget),
	KUNIT_CASE(ring_states),
	KUNIT_CASE(ring_insane_device),
	KUNIT_CASE(ring_forget_all),
	KUNIT_CASE(ring_missed_interrupt),
	KUNIT_CASE(ring_random),
	{}
};

static struct kunit_suite ring_suite = {
	.name = "tandem_ring",
	.init = ring_test_init,
	.test_cases = ring_cases,
};

kunit_test_suite(ring_suite);

TANDEM_IMPORT_NS_KUNIT;
MODULE_DESCRIPTION("Tests of the Tandem driver that need no device");
MODULE_LICENSE("GPL");
