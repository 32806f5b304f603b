// SPDX-License-Identifier: MIT
/*
 * Grants and offers, on the side that gives them. A NIC writes and reads without
 * asking, so what it may not must have no key: the pool itself has none for the other
 * side, and each run of granted blocks gets one of its own, until the grant ends. An
 * offer is a grant to read.
 *
 * Where the NIC has them the key is that of a memory window (type 2), which the
 * pair binds and invalidates by itself; else that of a memory region of just these
 * blocks. Windows are bound before the message with their keys is sent, since a
 * pair carries out its requests in order.
 */
#include <errno.h>
#include <stdlib.h>

#include "xfer_verbs.h"

/*
 * Eight bits of a window's key change with each binding. Before they could come
 * round again the window is replaced.
 */
#define BINDINGS_MAX	200u

/**
 * struct verbs_window - a key that can be had and taken back
 * @spare: entry in &verbs.spare
 * @window: bound by the pair; NULL for a region
 * @region: instead; NULL for a window
 * @bindings: of the window so far
 */
struct verbs_window {
	SLIST_ENTRY(verbs_window) spare;
	struct ibv_mw *window;
	struct ibv_mr *region;
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
 * @at: index of the run that @step has come to
 * @end: number after the last control posted for it
 * @windows: one for each run
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
	uint32_t at;
	uint64_t end;
	struct verbs_window **windows;
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
static void window_release(struct verbs *verbs, struct verbs_window *window)
{
	if (window && window->window && window->bindings < BINDINGS_MAX)
		SLIST_INSERT_HEAD(&verbs->spare, window, spare);
	else
		window_free(window);
}

/* A window, or without them a region of the run, whose key is good at once. */
static struct verbs_window *window_make(struct verbs *verbs, struct verbs_run *run, bool offer)
{
	const int access = offer ? IBV_ACCESS_REMOTE_READ :
				   IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	uint64_t block_bytes = tandem_kv_block_bytes(&verbs->connection->layout);
	struct verbs_window *window = SLIST_FIRST(&verbs->spare);

	if (window) {
		SLIST_REMOVE_HEAD(&verbs->spare, spare);
		return window;
	}
	window = calloc(1, sizeof(*window));
	if (!window)
		return NULL;
	if (verbs->windows)
		window->window = ibv_alloc_mw(verbs->domain, IBV_MW_TYPE_2);
	if (window->window)
		return window;
	if (verbs_memory_register(verbs->domain, &verbs->port, verbs->connection,
				  run->first * block_bytes, run->count * block_bytes, access,
				  &window->region, NULL) < 0) {
		free(window);
		return NULL;
	}
	run->key = window->region->rkey;
	return window;
}

static void grant_leave_list(struct verbs *verbs, struct verbs_grant *grant)
{
	if (grant->step == STEP_GRANTED)
		TAILQ_REMOVE(&verbs->granted, grant, entry);
	else
		TAILQ_REMOVE(&verbs->working, grant, entry);
}

static void grant_set_step(struct verbs *verbs, struct verbs_grant *grant, enum grant_step step)
{
	grant_leave_list(verbs, grant);
	grant->step = step;
	grant->at = 0;
	if (step == STEP_GRANTED)
		TAILQ_INSERT_TAIL(&verbs->granted, grant, entry);
	else
		TAILQ_INSERT_TAIL(&verbs->working, grant, entry);
}

static void grant_free(struct verbs *verbs, struct verbs_grant *grant)
{
	uint32_t i;

	grant_leave_list(verbs, grant);
	for (i = 0; i < grant->run_count; i++)
		window_release(verbs, grant->windows[i]);
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
			runs[n].key = 0;
		}
		n++;
	}
	return n > UINT32_MAX ? 0 : n;
}

static int grant_start(struct tandem_connection *connection, uint32_t transfer,
		       const struct xfer_grant *grant, bool offer)
{
	struct verbs *verbs = connection->transport;
	struct verbs_grant *new;
	uint32_t run_count, i;
	int ret;

	run_count = grant_runs(verbs, grant, NULL);
	if (!run_count)
		return -EINVAL;
	new = calloc(1, sizeof(*new) + run_count * sizeof(new->runs[0]));
	if (!new)
		return -ENOMEM;
	new->windows = calloc(run_count, sizeof(new->windows[0]));
	new->run_count = new->windows ? run_count : 0;
	new->generation = grant->generation;
	new->transfer = transfer;
	new->offer = offer;
	TAILQ_INSERT_TAIL(&verbs->working, new, entry);
	if (!new->windows)
		goto no_memory;
	grant_runs(verbs, grant, new->runs);
	for (i = 0; i < run_count; i++) {
		new->windows[i] = window_make(verbs, &new->runs[i], offer);
		if (!new->windows[i])
			goto no_memory;
	}
	ret = verbs_control_post(verbs);
	if (ret < 0)
		connection_fail(connection, -EIO);
	return ret < 0 ? -ENOTCONN : 0;

no_memory:
	grant_free(verbs, new);
	return -ENOMEM;
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

static bool next_binding(struct verbs *verbs, struct verbs_grant *grant,
			 struct ibv_send_wr *request)
{
	uint64_t block_bytes = tandem_kv_block_bytes(&verbs->connection->layout);
	struct verbs_window *window;
	struct verbs_run *run;

	for (; grant->at < grant->run_count; grant->at++) {
		window = grant->windows[grant->at];
		run = &grant->runs[grant->at];
		if (!window->window)
			continue;
		run->key = ibv_inc_rkey(window->window->rkey);
		request->opcode = IBV_WR_BIND_MW;
		request->bind_mw.mw = window->window;
		request->bind_mw.rkey = run->key;
		request->bind_mw.bind_info.mr = verbs->region;
		request->bind_mw.bind_info.addr = verbs->local.address + run->first * block_bytes;
		request->bind_mw.bind_info.length = run->count * block_bytes;
		request->bind_mw.bind_info.mw_access_flags =
			grant->offer ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
		window->bindings++;
		grant->at++;
		return true;
	}
	return false;
}

static bool next_message(struct verbs *verbs, struct verbs_grant *grant, uint64_t number,
			 struct ibv_send_wr *request, struct ibv_sge *range)
{
	struct verbs_message message = {
		.offer = grant->offer,
		.generation = grant->generation,
		.transfer = grant->transfer,
		.run_total = grant->run_count,
		.run_first = grant->at,
	};
	uint8_t *buffer = verbs_control_message(verbs, number);

	while (message.run_count < VERBS_MESSAGE_RUNS && grant->at < grant->run_count)
		message.runs[message.run_count++] = grant->runs[grant->at++];
	if (!message.run_count)
		return false;
	verbs_control_send(verbs, buffer, verbs_message_encode(&message, buffer), request, range);
	return true;
}

static bool next_invalidation(struct verbs_grant *grant, struct ibv_send_wr *request)
{
	for (; grant->at < grant->run_count; grant->at++) {
		if (!grant->windows[grant->at]->window)
			continue;
		request->opcode = IBV_WR_LOCAL_INV;
		request->invalidate_rkey = grant->runs[grant->at].key;
		grant->at++;
		return true;
	}
	return false;
}

/* The next request of one grant, in the step that it has come to. */
static bool grant_next(struct verbs *verbs, struct verbs_grant *grant, uint64_t number,
		       struct ibv_send_wr *request, struct ibv_sge *range)
{
	switch (grant->step) {
	case STEP_BIND:
		return next_binding(verbs, grant, request);
	case STEP_TELL:
		return next_message(verbs, grant, number, request, range);
	case STEP_INVALIDATE:
		return next_invalidation(grant, request);
	default:
		return false;
	}
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

/* The oldest goes first, until it has nothing more to do. */
bool verbs_grant_next(struct verbs *verbs, uint64_t number, struct ibv_send_wr *request,
		      struct ibv_sge *range)
{
	struct verbs_grant *grant, *next;

	for (grant = TAILQ_FIRST(&verbs->working); grant; grant = next) {
		next = TAILQ_NEXT(grant, entry);
		while (grant->step != STEP_GRANTED && grant->step != STEP_REVOKED) {
			if (grant_next(verbs, grant, number, request, range)) {
				grant->end = number + 1;
				return true;
			}
			grant_set_step(verbs, grant, step_after(grant));
		}
	}
	return false;
}

/* The other side's NIC may have a late packet under way: it finds no key. */
static void grant_revoked(struct verbs *verbs, struct verbs_grant *grant)
{
	const uint64_t generation = grant->generation;
	const uint32_t transfer = grant->transfer;
	const bool offer = grant->offer;

	for (uint32_t i = 0; i < grant->run_count; i++)
		if (grant->windows[i]->window)
			grant->windows[i]->window->rkey = grant->runs[i].key;
	grant_free(verbs, grant);
	if (offer)
		connection_withdrawn(verbs->connection, generation);
	else
		connection_revoked(verbs->connection, transfer);
}

void verbs_grant_done(struct verbs *verbs, uint64_t number)
{
	struct verbs_grant *grant, *next;

	for (grant = TAILQ_FIRST(&verbs->working); grant; grant = next) {
		next = TAILQ_NEXT(grant, entry);
		if (grant->step == STEP_REVOKED && grant->end <= number)
			grant_revoked(verbs, grant);
	}
}

/* Regions go at once: that returns when the NIC has let go of them. */
static void grant_deregister(struct verbs_grant *grant)
{
	for (uint32_t i = 0; i < grant->run_count; i++) {
		if (!grant->windows[i]->region)
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

	if (!grant || grant->revoke)
		return;
	grant->revoke = true;
	grant_deregister(grant);
	if (grant->step == STEP_GRANTED)
		grant_set_step(verbs, grant, STEP_INVALIDATE);
	if (verbs_control_post(verbs) < 0)
		connection_fail(connection, -EIO);
	else
		verbs_grant_done(verbs, verbs->control_first);
}

void verbs_grants_free(struct verbs *verbs)
{
	struct verbs_window *window;
	struct verbs_grant *grant;

	/* Which of them are bound does not matter: they are not used again. */
	while ((grant = TAILQ_FIRST(&verbs->granted)) || (grant = TAILQ_FIRST(&verbs->working)))
		grant_free(verbs, grant);
	while ((window = SLIST_FIRST(&verbs->spare))) {
		SLIST_REMOVE_HEAD(&verbs->spare, spare);
		window_free(window);
	}
}
