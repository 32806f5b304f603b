// SPDX-License-Identifier: MIT
/*
 * Grants and offers, on the side that gives them. A NIC writes and reads without
 * asking, so what it may not must have no key: the pool itself has none for the other
 * side, and each run of granted blocks gets one of its own, until the grant ends. An
 * offer is a grant to read.
 *
 * Where all NICs have them the key is that of a memory window (type 2), which a
 * pair binds and invalidates by itself, and which is good for that pair alone: so each
 * pair has one. Else it is that of a memory region of just these blocks, one for each
 * NIC. The message with the keys is sent when the other pairs have bound their windows;
 * the control pair's own are bound before it, since a pair carries out its requests in
 * order.
 *
 * A rail that has failed has no keys any more, nor gets any: grants go on over the others,
 * and what is told of it is 0.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "xfer_verbs.h"
#include "xfer_verbs_memory.h"

/*
 * Eight bits of a window's key change with each binding. Before they could come
 * round again the window is replaced.
 */
#define BINDINGS_MAX	200u

/**
 * struct verbs_window - a key that can be had and taken back
 * @spare: entry in &verbs_rail.spare
 * @rail: that it is of
 * @window: bound by a pair; NULL for a region
 * @region: instead; NULL for a window
 * @key: for the other side
 * @bindings: of the window so far
 */
struct verbs_window {
	SLIST_ENTRY(verbs_window) spare;
	struct verbs_rail *rail;
	struct ibv_mw *window;
	struct ibv_mr *region;
	uint32_t key;
	unsigned int bindings;
};

enum grant_step {
	STEP_BIND,	/* bind the windows */
	STEP_TELL,	/* send messages with their keys */
	STEP_GRANTED,	/* nothing to do */
	STEP_INVALIDATE,	/* invalidate the windows */
	STEP_REVOKED,	/* wait until that has been carried out */
};

/**
 * struct verbs_grant - blocks that the other side may write, or read
 * @entry: in &verbs.working, oldest first, or in &verbs.granted
 * @generation: names it
 * @offer: they may be read, not written
 * @transfer: that it is for; 0 for an offer
 * @step: what it is doing
 * @revoke: it is to end
 * @at: index of the run that @step has come to, for each pair
 * @told: index of the first run that has not been put into a message
 * @end: number after the last control posted for it, for each pair
 * @windows: for each run one of each pair, or of each rail; NULL where the rail has failed
 * @window_count: of each run
 * @run_count: runs
 * @runs: granted, in rising order
 */
struct verbs_grant {
	TAILQ_ENTRY(verbs_grant) entry;
	uint64_t generation;
	bool offer;
	uint32_t transfer;
	enum grant_step step;
	bool revoke;
	uint32_t at[VERBS_PAIRS_MAX];
	uint32_t told;
	uint64_t end[VERBS_PAIRS_MAX];
	struct verbs_window **windows;
	unsigned int window_count;
	uint32_t run_count;
	struct verbs_run runs[];
};

/*
 * soft-RoCE, which checks a write through a window against the bounds of the region
 * behind it, not those of the window (6.12): of no use to grant a part of a region.
 */
#define VENDOR_SOFT_ROCE	0xffffffu

enum verbs_windows_use verbs_windows_use = VERBS_WINDOWS_IF_CHECKED;

bool verbs_windows_usable(const struct ibv_device_attr *limits)
{
	const unsigned int type_2 = IBV_DEVICE_MEM_WINDOW_TYPE_2A | IBV_DEVICE_MEM_WINDOW_TYPE_2B;

	if (verbs_windows_use == VERBS_WINDOWS_NEVER || !(limits->device_cap_flags & type_2))
		return false;
	return verbs_windows_use == VERBS_WINDOWS_ALWAYS ||
	       limits->vendor_id != VENDOR_SOFT_ROCE;
}

static void window_free(struct verbs_window *window)
{
	if (!window)
		return;
	if (window->window)
		ibv_dealloc_mw(window->window);
	if (window->region)
		ibv_dereg_mr(window->region);
	free(window);
}

/* Its key has been taken back; it may serve again. */
static void window_release(struct verbs_window *window)
{
	if (window && window->window && window->bindings < BINDINGS_MAX)
		SLIST_INSERT_HEAD(&window->rail->spare, window, spare);
	else
		window_free(window);
}

/* A window, or without them a region of the run, whose key is good at once. */
static int window_make(struct verbs_rail *rail, const struct verbs_run *run, bool offer,
		       struct verbs_window **made)
{
	const int access = offer ? IBV_ACCESS_REMOTE_READ :
				   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	struct tandem_connection *connection = rail->verbs->connection;
	uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);
	struct verbs_window *window = SLIST_FIRST(&rail->spare);
	int ret = 0;

	if (window) {
		SLIST_REMOVE_HEAD(&rail->spare, spare);
		*made = window;
		return 0;
	}
	window = calloc(1, sizeof(*window));
	if (!window)
		return -ENOMEM;
	window->rail = rail;
	if (rail->verbs->windows)
		window->window = ibv_alloc_mw(rail->domain, IBV_MW_TYPE_2);
	if (!window->window)
		ret = verbs_memory_register(rail->domain, &rail->port, connection,
					    run->first * block_bytes, run->count * block_bytes,
					    access, &window->region, NULL);
	if (ret < 0) {
		free(window);
		return ret;
	}
	if (window->region)
		window->key = window->region->rkey;
	*made = window;
	return 0;
}

/* What a pair has for a run; or NULL. */
static struct verbs_window *grant_window(const struct verbs_grant *grant, uint32_t run,
					 const struct verbs_pair *pair)
{
	const struct verbs *verbs = pair->rail->verbs;
	unsigned int which = verbs->windows ? pair->number : pair->rail->number;

	return grant->windows[(uint64_t)run * grant->window_count + which];
}

static void grant_leave_list(struct verbs *verbs, struct verbs_grant *grant)
{
	if (grant->step == STEP_GRANTED)
		TAILQ_REMOVE(&verbs->granted, grant, entry);
	else
		TAILQ_REMOVE(&verbs->working, grant, entry);
}

/* Among those that work, it keeps its place. */
static void grant_set_step(struct verbs *verbs, struct verbs_grant *grant, enum grant_step step)
{
	if (grant->step == STEP_GRANTED) {
		TAILQ_REMOVE(&verbs->granted, grant, entry);
		TAILQ_INSERT_TAIL(&verbs->working, grant, entry);
	} else if (step == STEP_GRANTED) {
		TAILQ_REMOVE(&verbs->working, grant, entry);
		TAILQ_INSERT_TAIL(&verbs->granted, grant, entry);
	}
	verbs->grants_told += grant->step == STEP_TELL;
	grant->step = step;
	memset(grant->at, 0, sizeof(grant->at));
}

/* It is in no list. */
static void grant_free(struct verbs_grant *grant)
{
	uint64_t count = (uint64_t)grant->run_count * grant->window_count, i;

	for (i = 0; i < count; i++)
		window_release(grant->windows[i]);
	free(grant->windows);
	free(grant);
}

/* The runs of a grant; @runs may be NULL, to count them. Zero: none, or too many. */
static uint32_t grant_runs(const struct verbs *verbs, const struct xfer_grant *grant,
			   struct verbs_run *runs)
{
	const struct tandem_kv_layout *layout = &verbs->connection->layout;
	uint64_t total = (uint64_t)layout->layers * layout->blocks;
	uint64_t first = 0, from = 0, count;
	uint64_t n = 0;

	while ((count = xfer_grant_next_run(grant, total, from, &first))) {
		if (count > UINT32_MAX)
			count = UINT32_MAX;
		from = first + count;
		if (runs) {
			runs[n].first = first;
			runs[n].count = count;
		}
		n++;
	}
	return n > UINT32_MAX ? 0 : n;
}

/* The rail that one of the windows of each run is of. */
static struct verbs_rail *window_rail(const struct verbs *verbs, unsigned int which)
{
	return verbs->windows ? verbs->pairs[which]->rail : verbs->rails_used[which];
}

/* On the rails that are up. A device that is not there any more says so here, too. */
static int grant_make_windows(struct verbs *verbs, struct verbs_grant *grant)
{
	struct verbs_window **window = grant->windows;
	struct verbs_rail *rail;
	unsigned int which;
	uint32_t run;
	int ret;

	for (run = 0; run < grant->run_count; run++) {
		for (which = 0; which < grant->window_count; which++, window++) {
			rail = window_rail(verbs, which);
			if (rail->state != VERBS_RAIL_UP)
				continue;
			ret = window_make(rail, &grant->runs[run], grant->offer, window);
			if (ret == -EIO || ret == -ENODEV)
				ret = verbs_rail_fail(rail, ret);
			if (ret < 0)
				return ret;
		}
	}
	return 0;
}

static int grant_start(struct tandem_connection *connection, uint32_t transfer,
		       const struct xfer_grant *grant, bool offer)
{
	struct verbs *verbs = connection->transport;
	struct verbs_grant *new;
	uint32_t run_count;
	int ret;

	run_count = grant_runs(verbs, grant, NULL);
	if (!run_count)
		return -EINVAL;
	new = calloc(1, sizeof(*new) + run_count * sizeof(new->runs[0]));
	if (!new)
		return -ENOMEM;
	new->window_count = verbs->windows ? verbs->pair_count : verbs->rail_used_count;
	new->windows = calloc(run_count, new->window_count * sizeof(new->windows[0]));
	new->run_count = new->windows ? run_count : 0;
	new->generation = grant->generation;
	new->transfer = transfer;
	new->offer = offer;
	if (!new->windows) {
		ret = -ENOMEM;
		goto free_grant;
	}
	grant_runs(verbs, grant, new->runs);
	ret = grant_make_windows(verbs, new);
	if (ret < 0)
		goto free_grant;
	TAILQ_INSERT_TAIL(&verbs->working, new, entry);
	verbs->grants_made++;
	ret = verbs_control_post(verbs);
	if (ret < 0)
		connection_fail(connection, ret);
	return ret < 0 ? -ENOTCONN : 0;

free_grant:
	grant_free(new);
	if (verbs_control_pair(verbs))
		return -ENOMEM;
	connection_fail(connection, ret);
	return -ENOTCONN;
}

int verbs_grant(struct tandem_connection *connection, uint32_t transfer,
		const struct xfer_grant *grant)
{
	return grant_start(connection, transfer, grant, false);
}

int verbs_offer(struct tandem_connection *connection, const struct xfer_grant *blocks)
{
	return grant_start(connection, 0, blocks, true);
}

static bool next_binding(struct verbs_pair *pair, struct verbs_grant *grant,
			 struct ibv_send_wr *request)
{
	const struct verbs *verbs = pair->rail->verbs;
	uint64_t block_bytes = tandem_kv_block_bytes(&verbs->connection->layout);
	uint32_t *at = &grant->at[pair->number];
	struct verbs_window *window;
	struct verbs_run *run;

	/* Without windows, pairs share regions, for which there is nothing to do. */
	for (; *at < grant->run_count; ++*at) {
		window = grant_window(grant, *at, pair);
		run = &grant->runs[*at];
		if (!window || !window->window)
			continue;
		window->key = ibv_inc_rkey(window->window->rkey);
		request->opcode = IBV_WR_BIND_MW;
		request->bind_mw.mw = window->window;
		request->bind_mw.rkey = window->key;
		request->bind_mw.bind_info.mr = pair->rail->region;
		request->bind_mw.bind_info.addr = verbs->local.address + run->first * block_bytes;
		request->bind_mw.bind_info.length = run->count * block_bytes;
		request->bind_mw.bind_info.mw_access_flags =
			grant->offer ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
		window->bindings++;
		++*at;
		return true;
	}
	return false;
}

static void message_add_run(const struct verbs *verbs, const struct verbs_grant *grant,
			    uint32_t run, struct verbs_message *message)
{
	uint32_t *keys = message->keys[message->run_count];
	const struct verbs_window *window;
	unsigned int i;

	message->runs[message->run_count++] = grant->runs[run];
	for (i = 0; i < verbs->pair_count; i++) {
		window = grant_window(grant, run, verbs->pairs[i]);
		keys[i] = window ? window->key : 0;
	}
}

/* Those of the control pair only. */
static bool next_message(struct verbs_pair *pair, struct verbs_grant *grant, uint64_t number,
			 struct ibv_send_wr *request, struct ibv_sge *range)
{
	struct verbs *verbs = pair->rail->verbs;
	const uint32_t runs = verbs_message_runs(verbs->pair_count);
	uint8_t *buffer = verbs_control_message(pair->rail, number);
	struct verbs_message message = {
		.offer = grant->offer,
		.generation = grant->generation,
		.transfer = grant->transfer,
		.run_total = grant->run_count,
		.run_first = grant->told,
		.key_count = verbs->pair_count,
	};

	if (pair != verbs_control_pair(verbs) || grant->told == grant->run_count)
		return false;
	while (message.run_count < runs && grant->told < grant->run_count)
		message_add_run(verbs, grant, grant->told++, &message);
	verbs_control_send_numbered(pair, number, verbs_message_encode(&message, buffer),
				    verbs->message_number++, request, range);
	return true;
}

static bool next_invalidation(struct verbs_pair *pair, struct verbs_grant *grant,
			      struct ibv_send_wr *request)
{
	uint32_t *at = &grant->at[pair->number];
	struct verbs_window *window;

	for (; *at < grant->run_count; ++*at) {
		window = grant_window(grant, *at, pair);
		if (!window || !window->window)
			continue;
		request->opcode = IBV_WR_LOCAL_INV;
		request->invalidate_rkey = window->key;
		++*at;
		return true;
	}
	return false;
}

/* The next request of one grant for a pair, in the step that it has come to. */
static bool grant_next(struct verbs_pair *pair, struct verbs_grant *grant, uint64_t number,
		       struct ibv_send_wr *request, struct ibv_sge *range)
{
	switch (grant->step) {
	case STEP_BIND:
		return next_binding(pair, grant, request);
	case STEP_TELL:
		return next_message(pair, grant, number, request, range);
	case STEP_INVALIDATE:
		return next_invalidation(pair, grant, request);
	default:
		return false;
	}
}

/*
 * Have the pairs but for @except carried out what was posted for it? One that is gone takes
 * nothing in any more, which is as good; one that is stopped may still be about to.
 */
static bool grant_carried_out(const struct verbs *verbs, const struct verbs_grant *grant,
			      const struct verbs_pair *except)
{
	const struct verbs_pair *pair;
	unsigned int i;

	for (i = 0; i < verbs->pair_count; i++) {
		pair = verbs->pairs[i];
		if (pair == except || pair->rail->state >= VERBS_RAIL_DOWN)
			continue;
		if (!verbs_is_up(pair) || pair->control_first < grant->end[i])
			return false;
	}
	return true;
}

/* Has every pair been given all that there is to do in this step? */
static bool grant_is_posted(const struct verbs *verbs, const struct verbs_grant *grant)
{
	unsigned int i;

	if (grant->step == STEP_TELL)
		return grant->told == grant->run_count;
	for (i = 0; i < verbs->pair_count; i++)
		if (verbs_is_up(verbs->pairs[i]) && grant->at[i] < grant->run_count)
			return false;
	return true;
}

static bool step_is_done(const struct verbs *verbs, const struct verbs_grant *grant)
{
	if (grant->step == STEP_GRANTED || grant->step == STEP_REVOKED ||
	    !grant_is_posted(verbs, grant))
		return false;
	return grant->step != STEP_BIND ||
	       grant_carried_out(verbs, grant, verbs_control_pair(verbs));
}

static enum grant_step step_after(const struct verbs_grant *grant)
{
	switch (grant->step) {
	case STEP_BIND:
		return STEP_TELL;
	case STEP_TELL:
		return grant->revoke ? STEP_INVALIDATE : STEP_GRANTED;
	default:
		return STEP_REVOKED;
	}
}

/*
 * The oldest goes first, until it has nothing more to do. No grant is told of before an
 * older one has been: the other side relies on that.
 */
bool verbs_grant_next(struct verbs_pair *pair, uint64_t number, struct ibv_send_wr *request,
		      struct ibv_sge *range)
{
	struct verbs *verbs = pair->rail->verbs;
	struct verbs_grant *grant, *next;
	bool may_tell = true;

	for (grant = TAILQ_FIRST(&verbs->working); grant; grant = next) {
		next = TAILQ_NEXT(grant, entry);
		do {
			if (grant->step == STEP_TELL && !may_tell)
				break;
			if (grant_next(pair, grant, number, request, range)) {
				grant->end[pair->number] = number + 1;
				return true;
			}
			if (!step_is_done(verbs, grant))
				break;
			grant_set_step(verbs, grant, step_after(grant));
		} while (grant->step != STEP_GRANTED && grant->step != STEP_REVOKED);
		may_tell = may_tell && grant->step != STEP_BIND && grant->step != STEP_TELL;
	}
	return false;
}

/* The other side's NIC may have a late packet under way: it finds no key. */
static void grant_revoked(struct verbs *verbs, struct verbs_grant *grant)
{
	const uint64_t count = (uint64_t)grant->run_count * grant->window_count;
	const uint64_t generation = grant->generation;
	const uint32_t transfer = grant->transfer;
	const bool offer = grant->offer;

	for (uint64_t i = 0; i < count; i++)
		if (grant->windows[i] && grant->windows[i]->window)
			grant->windows[i]->window->rkey = grant->windows[i]->key;
	grant_leave_list(verbs, grant);
	grant_free(grant);
	if (offer)
		connection_withdrawn(verbs->connection, generation);
	else
		connection_revoked(verbs->connection, transfer);
}

static struct verbs_grant *find_revoked(const struct verbs *verbs)
{
	struct verbs_grant *grant;

	TAILQ_FOREACH(grant, &verbs->working, entry)
		if (grant->step == STEP_REVOKED && grant_carried_out(verbs, grant, NULL))
			break;
	return grant;
}

/* Each may have the connection fail, and all others with it. */
void verbs_grant_done(struct verbs *verbs)
{
	struct verbs_grant *grant;

	while ((grant = find_revoked(verbs)))
		grant_revoked(verbs, grant);
}

/* Regions go at once: that returns when the NIC has let go of them. */
static void grant_deregister(struct verbs_grant *grant)
{
	const uint64_t count = (uint64_t)grant->run_count * grant->window_count;

	for (uint64_t i = 0; i < count; i++) {
		if (!grant->windows[i] || !grant->windows[i]->region)
			continue;
		ibv_dereg_mr(grant->windows[i]->region);
		grant->windows[i]->region = NULL;
	}
}

static struct verbs_grant *grant_find(struct verbs *verbs, uint64_t generation)
{
	struct verbs_grant *grant;

	TAILQ_FOREACH(grant, &verbs->granted, entry)
		if (grant->generation == generation)
			return grant;
	TAILQ_FOREACH(grant, &verbs->working, entry)
		if (grant->generation == generation)
			return grant;
	return NULL;
}

void verbs_revoke(struct tandem_connection *connection, uint64_t generation)
{
	struct verbs *verbs = connection->transport;
	struct verbs_grant *grant = grant_find(verbs, generation);
	int ret;

	if (!grant || grant->revoke)
		return;
	grant->revoke = true;
	grant_deregister(grant);
	if (grant->step == STEP_GRANTED)
		grant_set_step(verbs, grant, STEP_INVALIDATE);
	ret = verbs_control_post(verbs);
	if (ret < 0)
		connection_fail(connection, ret);
	else
		verbs_grant_done(verbs);
}

static void grant_leave_rail(const struct verbs *verbs, struct verbs_grant *grant,
			     const struct verbs_rail *rail)
{
	const uint64_t count = (uint64_t)grant->run_count * grant->window_count;

	for (uint64_t i = 0; i < count; i++) {
		if (window_rail(verbs, i % grant->window_count) != rail)
			continue;
		window_free(grant->windows[i]);
		grant->windows[i] = NULL;
	}
}

static void free_spare(struct verbs_rail *rail)
{
	struct verbs_window *window;

	while ((window = SLIST_FIRST(&rail->spare))) {
		SLIST_REMOVE_HEAD(&rail->spare, spare);
		window_free(window);
	}
}

void verbs_grants_leave_rail(struct verbs_rail *rail)
{
	struct verbs *verbs = rail->verbs;
	struct verbs_grant *grant;

	TAILQ_FOREACH(grant, &verbs->granted, entry)
		grant_leave_rail(verbs, grant, rail);
	TAILQ_FOREACH(grant, &verbs->working, entry)
		grant_leave_rail(verbs, grant, rail);
	free_spare(rail);
}

void verbs_grants_free(struct verbs *verbs)
{
	struct verbs_grant *grant;
	struct verbs_rail *rail;

	/* Which of them are bound does not matter: they are not used again. */
	while ((grant = TAILQ_FIRST(&verbs->granted)) || (grant = TAILQ_FIRST(&verbs->working))) {
		grant_leave_list(verbs, grant);
		grant_free(grant);
	}
	for (rail = verbs->rails; rail < verbs->rails + verbs->rail_count; rail++)
		free_spare(rail);
}
