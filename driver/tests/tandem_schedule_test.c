// SPDX-License-Identifier: GPL-2.0
/* The schedule: whose command is next, and how many go ahead of their turn. */
#include <kunit/test.h>
#include <linux/sizes.h>

#include "../tandem_job.h"
#include "../tandem_schedule.h"

#define CLIENTS_MAX	8
#define FLIGHT_MAX	256

/**
 * struct client - a queue that always has commands
 * @share: of its own, or of another one
 * @queue: the queue
 * @job: what its commands are like
 * @cost: of each, in nanoseconds
 * @began: how many have begun
 * @spent: what those that ended have cost
 */
struct client {
	struct tandem_schedule_share share;
	struct tandem_schedule_queue queue;
	struct tandem_schedule_job job;
	u64 cost;
	u64 began;
	u64 spent;
};

/* An engine that ends its commands in order, each after its time. */
struct simulation {
	struct tandem_schedule schedule;
	struct tandem_schedule_engine engine;
	struct client client[CLIENTS_MAX];
	struct {
		struct client *client;
		struct tandem_schedule_job job;
	} flight[FLIGHT_MAX];
	u32 first;
	u32 count;
};

static int schedule_test_init(struct kunit *test)
{
	struct simulation *sim = kunit_kzalloc(test, sizeof(*sim), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, sim);
	tandem_schedule_init(&sim->schedule);
	test->priv = sim;
	return 0;
}

static struct client *join(struct simulation *sim, u32 index,
			   enum tandem_schedule_level level, u64 cost)
{
	struct client *client = &sim->client[index];

	tandem_schedule_init_share(&client->share, level);
	tandem_schedule_init_queue(&client->queue, &client->share);
	client->job.work = TANDEM_SCHEDULE_COPY;
	client->job.units = 1;
	client->cost = cost;
	tandem_schedule_set_ready(&sim->schedule, &client->queue, true);
	return client;
}

/* Another queue in the share of @of. */
static struct client *join_share(struct simulation *sim, u32 index,
				 struct client *of)
{
	struct client *client = &sim->client[index];

	tandem_schedule_init_queue(&client->queue, &of->share);
	client->job = of->job;
	client->cost = of->cost;
	tandem_schedule_set_ready(&sim->schedule, &client->queue, true);
	return client;
}

static void fill(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct tandem_schedule_queue *queue;
	struct client *client;
	u32 slot;

	while (sim->count < FLIGHT_MAX &&
	       tandem_schedule_has_room(&sim->engine)) {
		queue = tandem_schedule_next(&sim->schedule, &sim->engine);
		if (!queue)
			break;
		client = container_of(queue, struct client, queue);
		slot = (sim->first + sim->count++) % FLIGHT_MAX;
		sim->flight[slot].client = client;
		sim->flight[slot].job = client->job;
		tandem_schedule_begin(&sim->schedule, &sim->engine, queue,
				      &sim->flight[slot].job);
		client->began++;
	}
}

static void end_oldest(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *client = sim->flight[sim->first].client;

	KUNIT_ASSERT_GT(test, sim->count, 0);
	tandem_schedule_end(&sim->schedule, &sim->engine, &client->queue,
			    &sim->flight[sim->first].job, client->cost, true);
	client->spent += client->cost;
	sim->first = (sim->first + 1) % FLIGHT_MAX;
	sim->count--;
}

/* Until so much time was spent in all. */
static void run(struct kunit *test, u64 ns)
{
	struct simulation *sim = test->priv;
	u64 spent = 0;

	while (spent < ns) {
		fill(test);
		spent += sim->flight[sim->first].client->cost;
		end_oldest(test);
	}
}

static void expect_even(struct kunit *test, const struct client *a,
			const struct client *b)
{
	KUNIT_EXPECT_LT(test, a->spent * 10, b->spent * 12);
	KUNIT_EXPECT_LT(test, b->spent * 10, a->spent * 12);
}

static void schedule_shares_time(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *brief = join(sim, 0, TANDEM_SCHEDULE_NORMAL, 50000);
	struct client *lengthy = join(sim, 1, TANDEM_SCHEDULE_NORMAL, 5000000);
	struct client *middling = join(sim, 2, TANDEM_SCHEDULE_NORMAL, 700000);

	run(test, 2 * NSEC_PER_SEC);
	expect_even(test, brief, lengthy);
	expect_even(test, middling, lengthy);
}

/* Also with those that say nothing true of what they cost. */
static void schedule_charges_what_was_spent(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *honest = join(sim, 0, TANDEM_SCHEDULE_NORMAL, 300000);
	struct client *sly = join(sim, 1, TANDEM_SCHEDULE_NORMAL, 3000000);
	int i;

	for (i = 0; i < 200; i++) {
		sly->cost = i % 2 ? 1000 : 6000000;
		run(test, 10 * NSEC_PER_MSEC);
	}
	expect_even(test, honest, sly);
}

static void schedule_queues_share_their_share(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *one = join(sim, 0, TANDEM_SCHEDULE_NORMAL, 500000);
	struct client *many = join(sim, 1, TANDEM_SCHEDULE_NORMAL, 500000);
	u32 i;

	for (i = 2; i < CLIENTS_MAX; i++)
		join_share(sim, i, many);
	run(test, NSEC_PER_SEC);
	/* And evenly among them. */
	for (i = 2; i < CLIENTS_MAX; i++)
		expect_even(test, &sim->client[i], many);
	for (i = 2; i < CLIENTS_MAX; i++)
		many->spent += sim->client[i].spent;
	expect_even(test, one, many);
}

static void schedule_keeps_few_on_the_ring(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *client = join(sim, 0, TANDEM_SCHEDULE_NORMAL, 100000);

	/* Nothing is known. */
	fill(test);
	KUNIT_EXPECT_EQ(test, sim->count, 2);
	run(test, 50 * NSEC_PER_MSEC);
	fill(test);
	KUNIT_EXPECT_GE(test, sim->count, 10);
	KUNIT_EXPECT_LE(test, sim->count, 21);
	client->cost = 10 * NSEC_PER_MSEC;
	run(test, NSEC_PER_SEC);
	fill(test);
	KUNIT_EXPECT_EQ(test, sim->count, 2);
}

static void schedule_newcomer(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *busy = join(sim, 0, TANDEM_SCHEDULE_NORMAL, 4000000);
	struct client *newcomer;
	u64 before;

	run(test, NSEC_PER_SEC);
	newcomer = join(sim, 1, TANDEM_SCHEDULE_NORMAL, 4000000);
	before = busy->began;
	while (!newcomer->began) {
		fill(test);
		end_oldest(test);
	}
	KUNIT_EXPECT_LE(test, busy->began - before, 2);
	/* It does not make up for the time when it was not there. */
	busy->spent = 0;
	run(test, NSEC_PER_SEC);
	expect_even(test, busy, newcomer);
}

static void schedule_idling_earns_nothing(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *busy = join(sim, 0, TANDEM_SCHEDULE_NORMAL, 1000000);
	struct client *idler = join(sim, 1, TANDEM_SCHEDULE_NORMAL, 1000000);

	run(test, 20 * NSEC_PER_MSEC);
	tandem_schedule_set_ready(&sim->schedule, &idler->queue, false);
	run(test, NSEC_PER_SEC);
	tandem_schedule_set_ready(&sim->schedule, &idler->queue, true);
	busy->spent = 0;
	idler->spent = 0;
	run(test, NSEC_PER_SEC);
	expect_even(test, busy, idler);
}

static void schedule_levels(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *low = join(sim, 0, TANDEM_SCHEDULE_LOW, 1000000);
	struct client *normal = join(sim, 1, TANDEM_SCHEDULE_NORMAL, 1000000);
	struct client *high = join(sim, 2, TANDEM_SCHEDULE_HIGH, 1000000);

	run(test, 2 * NSEC_PER_SEC);
	KUNIT_EXPECT_GT(test, high->spent, 14 * normal->spent);
	KUNIT_EXPECT_GT(test, high->spent, 10 * low->spent);
	/* A small part, but one that grows. */
	KUNIT_EXPECT_GT(test, normal->spent * 40, high->spent);
	KUNIT_EXPECT_GT(test, low->spent * 40, high->spent);

	tandem_schedule_set_ready(&sim->schedule, &high->queue, false);
	normal->spent = 0;
	low->spent = 0;
	run(test, 2 * NSEC_PER_SEC);
	KUNIT_EXPECT_GT(test, normal->spent, 10 * low->spent);
	KUNIT_EXPECT_GT(test, low->spent * 40, normal->spent);
	tandem_schedule_set_ready(&sim->schedule, &normal->queue, false);
	low->spent = 0;
	run(test, NSEC_PER_SEC);
	KUNIT_EXPECT_GT(test, low->spent, NSEC_PER_SEC / 10 * 9);
}

static void schedule_readiness(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *client = join(sim, 0, TANDEM_SCHEDULE_LOW, 1000);
	struct tandem_schedule_queue *queue = &client->queue;
	struct tandem_schedule *schedule = &sim->schedule;

	KUNIT_EXPECT_TRUE(test, tandem_schedule_has_ready(schedule));
	tandem_schedule_set_ready(schedule, queue, true);
	tandem_schedule_set_ready(schedule, queue, false);
	KUNIT_EXPECT_FALSE(test, tandem_schedule_has_ready(schedule));
	KUNIT_EXPECT_NULL(test, tandem_schedule_next(schedule, &sim->engine));
	tandem_schedule_set_ready(schedule, queue, false);
	tandem_schedule_set_ready(schedule, queue, true);
	KUNIT_EXPECT_PTR_EQ(test, tandem_schedule_next(schedule, &sim->engine),
			    queue);
}

/* Commands of a queue go in order: not to two engines at once. */
static void schedule_queue_stays_on_its_engine(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *client = join(sim, 0, TANDEM_SCHEDULE_NORMAL, 1000);
	struct tandem_schedule_engine other = { .index = 1 };
	struct tandem_schedule_job job = client->job;

	tandem_schedule_begin(&sim->schedule, &sim->engine, &client->queue, &job);
	KUNIT_EXPECT_NULL(test, tandem_schedule_next(&sim->schedule, &other));
	KUNIT_EXPECT_PTR_EQ(test,
			    tandem_schedule_next(&sim->schedule, &sim->engine),
			    &client->queue);
	tandem_schedule_end(&sim->schedule, &sim->engine, &client->queue, &job,
			    1000, true);
	KUNIT_EXPECT_PTR_EQ(test, tandem_schedule_next(&sim->schedule, &other),
			    &client->queue);
	KUNIT_EXPECT_EQ(test, sim->engine.running, 0);
	KUNIT_EXPECT_EQ(test, sim->engine.expected_ns, 0);
}

/* Virtual times may wrap around. */
static void schedule_wraps(struct kunit *test)
{
	struct simulation *sim = test->priv;
	struct client *a, *b;

	sim->schedule.level[TANDEM_SCHEDULE_NORMAL].now =
		U64_MAX - 100 * NSEC_PER_MSEC;
	a = join(sim, 0, TANDEM_SCHEDULE_NORMAL, 400000);
	b = join(sim, 1, TANDEM_SCHEDULE_NORMAL, 4000000);
	a->share.used = U64_MAX - 100 * NSEC_PER_MSEC;
	b->share.used = U64_MAX - 100 * NSEC_PER_MSEC;
	run(test, NSEC_PER_SEC);
	expect_even(test, a, b);
}

static void schedule_absurd_claims(struct kunit *test)
{
	static const u64 claims[] = { 0, 1, U64_MAX / 2, U64_MAX };
	struct simulation *sim = test->priv;
	struct client *client = join(sim, 0, TANDEM_SCHEDULE_NORMAL, 1000);
	int i;

	for (i = 0; i < ARRAY_SIZE(claims); i++) {
		client->job.units = i % 2 ? U64_MAX : 1;
		client->cost = claims[i];
		fill(test);
		KUNIT_EXPECT_LE(test, sim->engine.expected_ns,
				3600ull * NSEC_PER_SEC * FLIGHT_MAX);
		while (sim->count)
			end_oldest(test);
		KUNIT_EXPECT_EQ(test, sim->engine.expected_ns, 0);
	}
}

/* What commands are for the schedule. */
static void schedule_units_of_commands(struct kunit *test)
{
	static const struct {
		u8 opcode;
		u64 length;
		u64 pages;
		enum tandem_schedule_work work;
		u64 units;
	} cases[] = {
		{ TANDEM_HW_OP_NOP, 0, 0, TANDEM_SCHEDULE_NOP, 1 },
		{ TANDEM_HW_OP_COPY, 1, 0, TANDEM_SCHEDULE_COPY, 1 },
		{ TANDEM_HW_OP_COPY, SZ_1M, 0, TANDEM_SCHEDULE_COPY, 257 },
		{ TANDEM_HW_OP_FILL, SZ_1M, 0, TANDEM_SCHEDULE_FILL, 257 },
		/* By bytes, not by segments. */
		{ TANDEM_HW_OP_COPY_LIST, 1, 16384, TANDEM_SCHEDULE_LIST,
		  16384 },
		{ TANDEM_HW_OP_COPY_LIST, 64, 64, TANDEM_SCHEDULE_LIST, 64 },
		{ TANDEM_HW_OP_EXEC, SZ_1M, 0, TANDEM_SCHEDULE_PROGRAM, 1 },
	};
	struct tandem_job *job = kunit_kzalloc(test, sizeof(*job), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, job);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		job->descriptor.opcode = cases[i].opcode;
		job->descriptor.length = cpu_to_le64(cases[i].length);
		job->list.pages = cases[i].pages;
		tandem_job_estimate(job);
		KUNIT_EXPECT_EQ_MSG(test, job->schedule.work, cases[i].work,
				    "case %d", i);
		KUNIT_EXPECT_EQ_MSG(test, job->schedule.units, cases[i].units,
				    "case %d", i);
	}
}

static struct kunit_case schedule_cases[] = {
	KUNIT_CASE(schedule_shares_time),
	KUNIT_CASE(schedule_charges_what_was_spent),
	KUNIT_CASE(schedule_queues_share_their_share),
	KUNIT_CASE(schedule_keeps_few_on_the_ring),
	KUNIT_CASE(schedule_newcomer),
	KUNIT_CASE(schedule_idling_earns_nothing),
	KUNIT_CASE(schedule_levels),
	KUNIT_CASE(schedule_readiness),
	KUNIT_CASE(schedule_queue_stays_on_its_engine),
	KUNIT_CASE(schedule_wraps),
	KUNIT_CASE(schedule_absurd_claims),
	KUNIT_CASE(schedule_units_of_commands),
	{}
};

static struct kunit_suite schedule_suite = {
	.name = "tandem_schedule",
	.init = schedule_test_init,
	.test_cases = schedule_cases,
};

kunit_test_suite(schedule_suite);
