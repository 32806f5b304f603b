// SPDX-License-Identifier: MIT
/*
 * A NIC fails, and the connection goes on over those that are left.
 *
 * What was under way on the pairs of the rail may have landed, or not, or be about to. So
 * either side, as soon as it knows, stops its own pairs, takes in what the NIC still has to
 * tell of them, and destroys them: nothing lands through them after that. Then it says over
 * another rail, in a report, which writes it has counted there, and counts no more of them.
 * When a side has destroyed its own pairs and has the other's report, it knows of each of its
 * writes whether it has been counted. Those are done; all others, and the reads that it has
 * not seen the end of, go over other rails: the same bytes to the same blocks, which the other
 * side cannot have given to anybody else before it has counted them, or has been told that
 * nothing more comes.
 *
 * Messages have numbers by which the other side knows them again. So those are sent once
 * more of which it is not known that they have arrived. Reports have none, and are all sent
 * once more when another rail fails.
 *
 * A rail does not come back: another connection has it again.
 */
#include <errno.h>
#include <string.h>

#include "xfer_verbs_service.h"

/*
 * A NIC has little to tell of pairs that are stopped. One that is dead or gone tells nothing;
 * what it would have told is then as if it had not been carried out.
 */
#define DRAIN_MS 200u
/* A port that is down may come back; its pairs would try for some seconds. */
#define PORT_DOWN_MS 1000u

/* All receives of a rail that are posted have completed: stopped pairs have no more to tell. */
static bool rail_is_drained(const struct verbs_rail *rail)
{
	const struct verbs_pair *pair;

	for (unsigned int i = 0; i < rail->stats.pairs; i++) {
		pair = &rail->first[i];
		if (pair->receives + pair->held != VERBS_RECEIVES)
			return false;
	}
	return true;
}

/*
 * The writes of the rail of which the other side has said whether it has counted them. Return:
 * 0 or -errno.
 */
static int rail_resolve(struct verbs_rail *rail)
{
	int ret = 0;

	if (rail->state != VERBS_RAIL_DOWN || !rail->reported)
		return 0;
	rail->state = VERBS_RAIL_GONE;
	for (unsigned int i = 0; i < rail->stats.pairs && !ret; i++)
		ret = verbs_writes_counted(&rail->first[i], &rail->report.pairs[i]);
	return ret ? ret : verbs_write_again(rail->verbs);
}

/* Keys go before the pairs, as windows hold on to the one that they are bound by. */
static void rail_go_down(struct verbs_rail *rail)
{
	struct verbs *verbs = rail->verbs;
	int ret;

	loop_timer_stop(rail->timer);
	rail->timer = NULL;
	loop_poller_stop(verbs->connection->loop, &rail->poller);
	loop_poll_stop(rail->channel_poll);
	rail->channel_poll = NULL;
	rail->state = VERBS_RAIL_DOWN;
	verbs_grants_leave_rail(rail);
	for (unsigned int i = 0; i < rail->stats.pairs; i++)
		rail->service->destroy(&rail->first[i]);
	for (unsigned int i = 0; i < verbs->rail_used_count; i++)
		if (verbs->rails_used[i]->state >= VERBS_RAIL_DOWN)
			verbs->reports_due |= 1u << i;
	ret = verbs_control_post(verbs);
	if (!ret)
		ret = rail_resolve(rail);
	if (ret < 0) {
		connection_fail(verbs->connection, ret);
		return;
	}
	/* What waited for the rail alone. */
	verbs_take_held(verbs);
	verbs_grant_done(verbs);
}

static void drain_expired(void *user)
{
	struct verbs_rail *rail = user;

	rail->timer = NULL;
	if (rail->verbs->leaving)
		return;
	verbs_drain(rail);
	if (rail->state == VERBS_RAIL_FAILING && !rail->verbs->at_rest && !rail->verbs->leaving)
		rail_go_down(rail);
}

void verbs_rail_drained(struct verbs_rail *rail)
{
	const struct verbs *verbs = rail->verbs;

	if (rail->state == VERBS_RAIL_FAILING && !verbs->at_rest && !verbs->leaving &&
	    rail_is_drained(rail))
		rail_go_down(rail);
}

int verbs_rail_fail(struct verbs_rail *rail, int code)
{
	struct verbs *verbs = rail->verbs;
	int ret;

	if (!verbs->rail_used_count)
		return code;
	if (!rail->remote || rail->state != VERBS_RAIL_UP || verbs->at_rest || verbs->leaving)
		return 0;
	verbs_rail_count_repeats(rail);
	rail->stats.failure = code;
	rail->state = VERBS_RAIL_FAILING;
	loop_timer_stop(rail->timer);
	rail->timer = NULL;
	if (!verbs_control_pair(verbs))
		return code;
	/* A device that is gone would not stop telling so. */
	loop_poll_stop(rail->async_poll);
	rail->async_poll = NULL;
	for (unsigned int i = 0; i < rail->stats.pairs; i++) {
		verbs_pair_stop(rail->first[i].queues);
		verbs_leave_slots(&rail->first[i]);
	}
	ret = loop_timer_start(verbs->connection->loop, DRAIN_MS, drain_expired, rail,
			       &rail->timer);
	return ret < 0 ? ret : verbs_control_post(verbs);
}

void verbs_rail_failed(struct verbs_rail *rail, int code)
{
	int ret = verbs_rail_fail(rail, code);

	if (ret < 0)
		connection_fail(rail->verbs->connection, ret);
}

static void port_expired(void *user)
{
	struct verbs_rail *rail = user;
	const struct verbs *verbs = rail->verbs;

	rail->timer = NULL;
	for (unsigned int i = 0; i < verbs->rail_used_count; i++) {
		if (verbs->rails_used[i] == rail || !verbs_is_up(verbs->rails_used[i]->first))
			continue;
		verbs_rail_failed(rail, -ENETDOWN);
		return;
	}
}

void verbs_rail_port_changed(struct verbs_rail *rail, bool down)
{
	if (rail->state != VERBS_RAIL_UP)
		return;
	loop_timer_stop(rail->timer);
	rail->timer = NULL;
	/* Without memory for that the pairs find out. */
	if (down)
		loop_timer_start(rail->verbs->connection->loop, PORT_DOWN_MS, port_expired, rail,
				 &rail->timer);
}

/*
 * Reports
 */

static void pair_report(const struct verbs_pair *pair, struct verbs_counted *counted)
{
	const uint64_t missing = pair->arrivals.missing;

	memset(counted, 0, sizeof(*counted));
	counted->before = pair->arrived;
	if (pair->rail->service->ordered)
		return;
	for (unsigned int i = 0; i < VERBS_SLOTS; i++)
		if (xfer_arrivals_has(&pair->arrivals, missing + i))
			counted->beyond[i / 64] |= 1ull << i % 64;
}

bool verbs_report_next(struct verbs_pair *pair, uint64_t number, struct ibv_send_wr *request,
		       struct ibv_sge *range)
{
	uint8_t *buffer = verbs_control_message(pair->rail, number);
	struct verbs *verbs = pair->rail->verbs;
	const struct verbs_rail *rail;
	struct verbs_report report;

	if (!verbs->reports_due)
		return false;
	report.rail = __builtin_ctz(verbs->reports_due);
	verbs->reports_due &= verbs->reports_due - 1;
	rail = verbs->rails_used[report.rail];
	report.count = rail->stats.pairs;
	for (uint32_t i = 0; i < report.count; i++)
		pair_report(&rail->first[i], &report.pairs[i]);
	verbs_control_send(pair, buffer, verbs_report_encode(&report, buffer), request, range);
	return true;
}

int verbs_report_take(struct verbs *verbs, const uint8_t *buffer, size_t size)
{
	struct verbs_report report;
	struct verbs_rail *rail;

	if (verbs_report_decode(buffer, size, &report) < 0 || report.rail >= verbs->rail_used_count)
		return -EPROTO;
	rail = verbs->rails_used[report.rail];
	if (report.count != rail->stats.pairs)
		return -EPROTO;
	if (rail->reported)
		return 0;
	rail->report = report;
	rail->reported = true;
	return rail->state == VERBS_RAIL_UP ? verbs_rail_fail(rail, -ECONNRESET) : rail_resolve(rail);
}

/*
 * Messages
 */

/* Take the oldest control of a pair that has not been looked at. Return: its message's bytes. */
static uint32_t take_control(struct verbs_pair *pair, uint64_t *number)
{
	uint64_t done;

	*number = pair->control_first++;
	done = pair->control_done >> *number % VERBS_CONTROLS & 1;
	pair->control_done &= ~(1ull << *number % VERBS_CONTROLS);
	return done ? 0 : pair->controls[*number % VERBS_CONTROLS].size;
}

bool verbs_message_again(struct verbs_pair *pair, uint64_t number, struct ibv_send_wr *request,
			 struct ibv_sge *range)
{
	const struct verbs *verbs = pair->rail->verbs;
	struct verbs_pair *from;
	uint64_t old;
	uint32_t size;

	for (unsigned int i = 0; i < verbs->rail_used_count; i++) {
		from = verbs->rails_used[i]->first;
		if (verbs_is_up(from))
			continue;
		while (from->control_first != from->control_next) {
			size = take_control(from, &old);
			if (!size)
				continue;
			memcpy(verbs_control_message(pair->rail, number),
			       verbs_control_message(from->rail, old), size);
			verbs_control_send_numbered(pair, number, size,
						    from->controls[old % VERBS_CONTROLS].message,
						    request, range);
			return true;
		}
	}
	return false;
}
