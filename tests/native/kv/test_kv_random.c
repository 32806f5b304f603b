// SPDX-License-Identifier: MIT
/*
 * Random use of a pool against a model of it.
 *
 * The model knows, of each sequence, the tokens that were committed, and writes
 * into the blocks what stands for "the KV of this token behind these tokens, for
 * this tenant". After each step all sequences must still find in their blocks
 * what belongs there, and each block's counts be those that the model counts.
 *
 * TANDEM_TEST_SEED=N runs that seed alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define SEQUENCES	8
#define LENGTH_MAX	32
#define PENDING_MAX	4
#define PINS_MAX	6
#define TENANTS		2
#define SEEDS		12
#define STEPS		4000

/**
 * struct tracked - a sequence, and what it should be like
 * @tokens: committed ones, and those of the open append
 * @count: committed tokens
 * @open: tokens of the open append
 */
struct tracked {
	struct tandem_kv_sequence sequence;
	uint8_t tenant;
	uint32_t tokens[LENGTH_MAX];
	uint32_t count;
	uint32_t open;
};

/**
 * struct pending - a copy under way
 * @owner: NULL when it was released
 */
struct pending {
	struct tandem_operation op;
	struct tracked *owner;
	uint32_t source;
	uint32_t target;
	uint32_t index;
};

static struct {
	struct fixture *fixture;
	uint32_t random;
	struct tracked tracked[SEQUENCES];
	struct pending pending[PENDING_MAX];
	uint32_t pins[PINS_MAX];
	uint32_t pin_count;
	/* Marks of all full blocks that were ever committed. */
	uint64_t committed[1024];
	uint32_t committed_count;
} model;

static uint32_t draw(uint32_t below)
{
	model.random = model.random * 1664525u + 1013904223u;
	return (model.random >> 8) % below;
}

/* What stands for the KV of @tokens[@position]. */
static uint64_t mark_of(uint8_t tenant, const uint32_t *tokens, uint32_t position)
{
	uint64_t mark = tenant + 1;

	for (uint32_t i = 0; i <= position; i++)
		mark = (mark ^ (mark >> 29)) * 0x9e3779b97f4a7c15 + tokens[i] + 1;
	return mark;
}

static uint8_t *place(const struct tracked *tracked, uint32_t layer, uint32_t position)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(model.fixture->pool);

	return model.fixture->bytes +
	       tandem_kv_block_offset(layout, layer, tracked->sequence.blocks[position / TOKENS]) +
	       (size_t)(position % TOKENS) * layout->kv_width * 2;
}

static void write_kv(const struct tracked *tracked, uint32_t position, uint64_t mark)
{
	for (uint32_t layer = 0; layer < LAYERS; layer++) {
		const uint64_t value = mark + layer;

		memcpy(place(tracked, layer, position), &value, sizeof(value));
	}
}

static void check_kv(const struct tracked *tracked)
{
	for (uint32_t position = 0; position < tracked->count; position++) {
		const uint64_t mark = mark_of(tracked->tenant, tracked->tokens, position);

		for (uint32_t layer = 0; layer < LAYERS; layer++) {
			uint64_t value;

			memcpy(&value, place(tracked, layer, position), sizeof(value));
			assert_int_equal(value, mark + layer);
		}
	}
}

/* The first pending copy of @tracked, or, with NULL, an unused place; or NULL. */
static struct pending *find_pending(const struct tracked *tracked)
{
	for (int i = 0; i < PENDING_MAX; i++)
		if (tracked ? model.pending[i].op.pending && model.pending[i].owner == tracked :
			      !model.pending[i].op.pending)
			return &model.pending[i];
	return NULL;
}

static void check_all(void)
{
	uint32_t references[BLOCKS] = { 0 }, pins[BLOCKS] = { 0 }, copies[BLOCKS] = { 0 };

	for (int i = 0; i < SEQUENCES; i++) {
		const struct tracked *tracked = &model.tracked[i];
		const struct tandem_kv_sequence *sequence = &tracked->sequence;

		assert_int_equal(sequence->token_count, tracked->count);
		assert_int_equal(sequence->writable, tracked->open);
		assert_true(sequence->block_count * TOKENS >= tracked->count + tracked->open);
		for (uint32_t block = 0; block < sequence->block_count; block++)
			references[sequence->blocks[block]]++;
		/* What is open can be written to, so nobody else may have it. */
		if (tracked->open)
			assert_true(kv_sequence_may_write(sequence, tracked->count, tracked->open));
		if (!find_pending(tracked))
			check_kv(tracked);
	}
	for (int i = 0; i < PENDING_MAX; i++) {
		if (!model.pending[i].op.pending)
			continue;
		copies[model.pending[i].source]++;
		pins[model.pending[i].target]++;
	}
	for (uint32_t i = 0; i < model.pin_count; i++)
		pins[model.pins[i]]++;
	check_pool(model.fixture, references, pins, copies);
}

/* Few different ones, so that prefixes are often the same. */
static uint32_t draw_token(uint32_t position)
{
	return position % TOKENS ? position : draw(2);
}

static void step_reserve(struct tracked *tracked)
{
	const struct tandem_kv_pool_stats before = pool_stats(model.fixture);
	const uint32_t had = tracked->sequence.block_count;
	const uint32_t tokens = draw(BLOCKS * TOKENS / 2);
	const uint32_t needed = (tokens + TOKENS - 1) / TOKENS;
	const uint32_t missing = needed > had ? needed - had : 0;
	const int ret = tandem_kv_sequence_reserve(&tracked->sequence, tokens);
	const uint64_t evicted = pool_stats(model.fixture).evictions - before.evictions;

	if (missing > before.free + before.cached) {
		assert_int_equal(ret, -ENOSPC);
		assert_int_equal(tracked->sequence.block_count, had);
		assert_int_equal(evicted, 0);
		return;
	}
	assert_int_equal(ret, 0);
	assert_int_equal(tracked->sequence.block_count, had + missing);
	assert_int_equal(evicted, missing > before.free ? missing - before.free : 0);
}

static void step_append(struct tracked *tracked)
{
	const struct tandem_kv_pool_stats before = pool_stats(model.fixture);
	struct tandem_kv_sequence *sequence = &tracked->sequence;
	struct pending *pending = find_pending(NULL);
	const uint32_t index = tracked->count / TOKENS, had = sequence->block_count;
	const uint32_t count = 1 + draw(2 * TOKENS);
	const bool partial = tracked->count % TOKENS;
	const uint32_t last = partial ? sequence->blocks[index] : 0;
	uint32_t needed = (tracked->count + count + TOKENS - 1) / TOKENS;
	bool copy;
	int ret;

	if (!pending || tracked->count + count > LENGTH_MAX)
		return;
	if (tracked->open || find_pending(tracked)) {
		assert_int_equal(tandem_kv_sequence_append(sequence, count, model.fixture->queue,
							   &pending->op), -EBUSY);
		return;
	}
	copy = partial && !kv_sequence_may_write(sequence, tracked->count, 1);
	needed = needed > had ? needed - had : 0;
	ret = tandem_kv_sequence_append(sequence, count, model.fixture->queue, &pending->op);
	if (needed + copy > before.free + before.cached) {
		assert_int_equal(ret, -ENOSPC);
		assert_int_equal(sequence->block_count, had);
		return;
	}
	assert_int_equal(ret, copy);
	tracked->open = count;
	for (uint32_t i = 0; i < count; i++)
		tracked->tokens[tracked->count + i] = draw_token(tracked->count + i);
	if (!copy)
		return;
	pending->owner = tracked;
	pending->index = index;
	pending->source = last;
	pending->target = sequence->blocks[index];
	assert_int_not_equal(pending->source, pending->target);
}

static void end_copy(struct pending *pending)
{
	struct tracked *owner = pending->owner;
	int result;

	if (draw(3) == 0)
		tandem_cancel(model.fixture->loop, &pending->op);
	result = tandem_loop_wait(model.fixture->loop, &pending->op, PATIENCE_MS);
	assert_true(result == 0 || result == -ECANCELED);
	if (!owner)
		return;
	assert_int_equal(owner->sequence.blocks[pending->index],
			 result ? pending->source : pending->target);
	if (result)
		owner->open = 0;
}

static void remember(const struct tracked *tracked, uint32_t position)
{
	const uint64_t mark = mark_of(tracked->tenant, tracked->tokens, position);

	for (uint32_t i = 0; i < model.committed_count; i++)
		if (model.committed[i] == mark)
			return;
	assert_true(model.committed_count < 1024);
	model.committed[model.committed_count++] = mark;
}

static bool was_committed(const struct tracked *tracked, uint32_t position)
{
	const uint64_t mark = mark_of(tracked->tenant, tracked->tokens, position);

	for (uint32_t i = 0; i < model.committed_count; i++)
		if (model.committed[i] == mark)
			return true;
	return false;
}

static void step_commit(struct tracked *tracked)
{
	uint32_t count;

	if (!tracked->open)
		return;
	if (find_pending(tracked)) {
		assert_int_equal(tandem_kv_sequence_commit(&tracked->sequence, tracked->tokens, 1),
				 -EBUSY);
		return;
	}
	count = 1 + draw(tracked->open);
	for (uint32_t i = tracked->count; i < tracked->count + count; i++) {
		write_kv(tracked, i, mark_of(tracked->tenant, tracked->tokens, i));
		if (i % TOKENS == TOKENS - 1)
			remember(tracked, i);
	}
	assert_int_equal(tandem_kv_sequence_commit(&tracked->sequence,
						   tracked->tokens + tracked->count, count), 0);
	tracked->count += count;
	tracked->open -= count;
}

/* A write that went wrong: whatever it left behind, nobody may see it. */
static void step_cancel(struct tracked *tracked)
{
	if (find_pending(tracked))
		return;
	for (uint32_t i = 0; i < tracked->open; i++)
		write_kv(tracked, tracked->count + i, ~0ull - model.random);
	tandem_kv_sequence_cancel(&tracked->sequence);
	tracked->open = 0;
}

static void step_release(struct tracked *tracked)
{
	struct pending *pending = find_pending(tracked);

	if (pending)
		pending->owner = NULL;
	tandem_kv_sequence_release(&tracked->sequence);
	tracked->count = 0;
	tracked->open = 0;
}

static void step_fork(struct tracked *tracked)
{
	struct tracked *fork = &model.tracked[draw(SEQUENCES)];
	struct tandem_kv_sequence unused;

	if (fork == tracked)
		return;
	if (tracked->open || find_pending(tracked)) {
		assert_int_equal(tandem_kv_sequence_fork(&tracked->sequence, &unused), -EBUSY);
		return;
	}
	step_release(fork);
	assert_int_equal(tandem_kv_sequence_fork(&tracked->sequence, &fork->sequence), 0);
	fork->tenant = tracked->tenant;
	fork->count = tracked->count;
	memcpy(fork->tokens, tracked->tokens, sizeof(fork->tokens));
}

/* Leading blocks of the prompt that a living sequence has and that are indexed. */
static uint32_t surely_cached(const struct tracked *tracked, uint32_t blocks)
{
	uint32_t best = 0;

	for (int i = 0; i < SEQUENCES; i++) {
		const struct tracked *other = &model.tracked[i];
		uint32_t same = 0;

		if (other == tracked || other->tenant != tracked->tenant)
			continue;
		while (same < blocks && (same + 1) * TOKENS <= other->count &&
		       model.fixture->pool->blocks[other->sequence.blocks[same]].entry &&
		       !memcmp(other->tokens + (size_t)same * TOKENS,
			       tracked->tokens + (size_t)same * TOKENS, TOKENS * sizeof(uint32_t)))
			same++;
		best = same > best ? same : best;
	}
	return best;
}

static void step_match(struct tracked *tracked)
{
	const uint32_t count = draw(LENGTH_MAX);
	uint32_t matched;

	if (tracked->sequence.block_count) {
		assert_int_equal(tandem_kv_sequence_match(&tracked->sequence, tracked->tokens,
							  count, &matched), -EBUSY);
		return;
	}
	if (draw(4) == 0) {
		tracked->tenant = (uint8_t)draw(TENANTS);
		tandem_kv_sequence_release(&tracked->sequence);
		share(&tracked->sequence, model.fixture, tracked->tenant);
	}
	for (uint32_t i = 0; i < count; i++)
		tracked->tokens[i] = draw_token(i);
	assert_int_equal(tandem_kv_sequence_match(&tracked->sequence, tracked->tokens, count,
						  &matched), 0);
	assert_int_equal(matched % TOKENS, 0);
	assert_true(matched <= count);
	assert_true(matched / TOKENS >= surely_cached(tracked, count / TOKENS));
	for (uint32_t i = TOKENS - 1; i < matched; i += TOKENS)
		assert_true(was_committed(tracked, i));
	tracked->count = matched;
}

static void step_pin(void)
{
	const struct tracked *tracked = &model.tracked[draw(SEQUENCES)];

	if (model.pin_count && draw(2)) {
		const uint32_t i = draw(model.pin_count);

		tandem_kv_pool_unpin(model.fixture->pool, &model.pins[i], 1);
		model.pins[i] = model.pins[--model.pin_count];
	} else if (tracked->sequence.block_count && model.pin_count < PINS_MAX) {
		const uint32_t block =
			tracked->sequence.blocks[draw(tracked->sequence.block_count)];

		tandem_kv_pool_pin(model.fixture->pool, &block, 1);
		model.pins[model.pin_count++] = block;
	}
}

static void step_evict(void)
{
	const uint32_t cached = pool_stats(model.fixture).cached;
	const uint32_t wanted = draw(6);

	assert_int_equal(tandem_kv_pool_evict(model.fixture->pool, wanted),
			 wanted < cached ? wanted : cached);
}

static void step(void)
{
	struct tracked *tracked = &model.tracked[draw(SEQUENCES)];
	struct pending *pending = &model.pending[draw(PENDING_MAX)];

	switch (draw(16)) {
	case 0:
		step_reserve(tracked);
		break;
	case 1 ... 4:
		step_append(tracked);
		break;
	case 5 ... 7:
		step_commit(tracked);
		break;
	case 8:
		step_cancel(tracked);
		break;
	case 9:
		step_release(tracked);
		break;
	case 10:
		step_fork(tracked);
		break;
	case 11 ... 12:
		step_match(tracked);
		break;
	case 13:
		step_pin();
		break;
	case 14:
		step_evict();
		break;
	default:
		if (pending->op.pending)
			end_copy(pending);
		break;
	}
}

static void run_seed(struct fixture *fixture, uint32_t seed)
{
	memset(&model, 0, sizeof(model));
	model.fixture = fixture;
	model.random = seed;
	print_message("# seed %u\n", seed);
	for (int i = 0; i < SEQUENCES; i++) {
		model.tracked[i].tenant = (uint8_t)(i % TENANTS);
		share(&model.tracked[i].sequence, fixture, model.tracked[i].tenant);
	}
	for (int i = 0; i < STEPS; i++) {
		step();
		check_all();
	}
	for (int i = 0; i < PENDING_MAX; i++)
		if (model.pending[i].op.pending)
			end_copy(&model.pending[i]);
	for (int i = 0; i < SEQUENCES; i++)
		step_release(&model.tracked[i]);
	tandem_kv_pool_unpin(fixture->pool, model.pins, model.pin_count);
	model.pin_count = 0;
	check_all();
	tandem_kv_pool_evict(fixture->pool, BLOCKS);
	assert_int_equal(pool_stats(fixture).free, BLOCKS);
}

static void test_random_use(void **state)
{
	const char *only = getenv("TANDEM_TEST_SEED");
	struct tandem_kv_pool_stats stats;

	if (only) {
		run_seed(*state, (uint32_t)strtoul(only, NULL, 0));
		return;
	}
	for (uint32_t seed = 1; seed <= SEEDS; seed++)
		run_seed(*state, seed);
	/* Otherwise not much was tried. */
	stats = pool_stats(*state);
	print_message("# %llu hits, %llu misses, %llu evictions, %llu copies\n",
		      (unsigned long long)stats.hits, (unsigned long long)stats.misses,
		      (unsigned long long)stats.evictions, (unsigned long long)stats.copies);
	assert_true(stats.hits > 100 && stats.misses > 100 && stats.evictions > 100 &&
		    stats.copies > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		KV_TEST(test_random_use),
	};

	return cmocka_run_group_tests_name("kv_random", tests, NULL, NULL);
}
