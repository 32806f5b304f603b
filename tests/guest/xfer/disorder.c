// SPDX-License-Identifier: MIT
/*
 * A pair of soft-RoCE carries out what is posted in order. So requests are kept in a bag, and
 * posted out of it one by one, some now and some later.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "tests/guest/xfer/disorder.h"

/* Queue pairs at once in a test. */
#define BAGS	64u
#define LATER_MS	1u

/**
 * struct bag - what is to be posted on a queue pair
 * @pair: the pair; NULL for a bag that is free
 * @requests: these
 * @ranges: what each reads or writes on this side
 * @count: of both
 * @timer: posts more of them; or NULL
 */
struct bag {
	struct verbs_pair *pair;
	struct ibv_send_wr requests[VERBS_SENDS];
	struct ibv_sge ranges[VERBS_SENDS];
	unsigned int count;
	struct loop_timer *timer;
};

static struct bag bags[BAGS];
static uint64_t random_state = 1;
uint64_t disorder_overtakings;

static unsigned int random_below(unsigned int bound)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 33) % bound;
}

static struct bag *bag_of(const struct verbs_pair *pair)
{
	unsigned int i;

	for (i = 0; i < BAGS; i++)
		if (bags[i].pair == pair)
			return &bags[i];
	return NULL;
}

static void put(struct bag *bag, const struct ibv_send_wr *request)
{
	/* A transport that has more under way than there is room for in a queue. */
	if (bag->count == VERBS_SENDS)
		abort();
	bag->requests[bag->count] = *request;
	if (request->num_sge)
		bag->ranges[bag->count] = request->sg_list[0];
	bag->count++;
}

static int post_one(struct bag *bag)
{
	const unsigned int at = random_below(bag->count);
	struct ibv_send_wr request = bag->requests[at];
	struct ibv_sge range = bag->ranges[at];
	unsigned int i;

	disorder_overtakings += at > 0;
	bag->count--;
	for (i = at; i < bag->count; i++) {
		bag->requests[i] = bag->requests[i + 1];
		bag->ranges[i] = bag->ranges[i + 1];
	}
	request.next = NULL;
	request.sg_list = &range;
	return verbs_rc.post(bag->pair, &request);
}

static int post_some(struct bag *bag, bool all);

static void post_later(void *user)
{
	struct bag *bag = user;

	bag->timer = NULL;
	if (post_some(bag, false) < 0)
		verbs_rail_failed(bag->pair->rail, -EIO);
}

static int post_some(struct bag *bag, bool all)
{
	unsigned int keep = all || !bag->count ? 0 : random_below(bag->count + 1);
	int ret = 0;

	while (bag->count > keep && !ret)
		ret = post_one(bag);
	if (!ret && bag->count && !bag->timer)
		ret = loop_timer_start(bag->pair->rail->verbs->connection->loop, LATER_MS,
				       post_later, bag, &bag->timer);
	return ret;
}

/* Nothing comes after a goodbye, and the loop may not run any more. */
static int disorder_post(struct verbs_pair *pair, struct ibv_send_wr *requests)
{
	struct bag *bag = bag_of(pair);
	struct ibv_send_wr *request;
	bool last = false;

	for (request = requests; request; request = request->next) {
		put(bag, request);
		last |= request->wr_id & VERBS_WORK_GOODBYE;
	}
	return post_some(bag, last);
}

static uint32_t disorder_write_bytes(const struct verbs_port *port)
{
	return verbs_rc.write_bytes(port);
}

static int disorder_create(struct verbs_pair *pair)
{
	struct bag *bag = bag_of(NULL);
	int ret;

	if (!bag)
		return -ENOMEM;
	ret = verbs_rc.create(pair);
	if (!ret)
		bag->pair = pair;
	return ret;
}

static int disorder_init(struct verbs_pair *pair, const struct verbs_pair_end *end)
{
	return verbs_rc.init(pair, end);
}

static int disorder_connect(struct verbs_pair *pair, const struct verbs_path *path)
{
	return verbs_rc.connect(pair, path);
}

static void disorder_destroy(struct verbs_pair *pair)
{
	struct bag *bag = bag_of(pair);

	if (bag) {
		loop_timer_stop(bag->timer);
		*bag = (struct bag){ 0 };
	}
	verbs_rc.destroy(pair);
}

const struct verbs_service disorder_service = {
	.number = VERBS_SERVICE_TEST,
	.ordered = false,
	.probe = IBV_WR_SEND,
	.write_bytes = disorder_write_bytes,
	.create = disorder_create,
	.init = disorder_init,
	.connect = disorder_connect,
	.post = disorder_post,
	.destroy = disorder_destroy,
};
