// SPDX-License-Identifier: GPL-2.0
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/rbtree.h>

#include "tandem_schedule.h"

/* No unit takes longer, as far as expectations go. */
#define UNIT_MAX_NS	(60ULL * NSEC_PER_SEC)
/* Nor any command, so that sums stay far from overflow. */
#define EXPECTED_MAX_NS	(3600ULL * NSEC_PER_SEC)

void tandem_schedule_init(struct tandem_schedule *schedule)
{
	enum tandem_schedule_level i;

	*schedule = (struct tandem_schedule) {};
	for (i = 0; i < TANDEM_SCHEDULE_LEVELS; i++)
		schedule->level[i].ready = RB_ROOT_CACHED;
}

void tandem_schedule_init_share(struct tandem_schedule_share *share,
				enum tandem_schedule_level level)
{
	u32 i;

	*share = (struct tandem_schedule_share) { .level = level };
	INIT_LIST_HEAD(&share->free);
	for (i = 0; i < TANDEM_SCHEDULE_ENGINES_MAX; i++)
		INIT_LIST_HEAD(&share->bound[i]);
}

void tandem_schedule_init_queue(struct tandem_schedule_queue *queue,
				struct tandem_schedule_share *share)
{
	*queue = (struct tandem_schedule_queue) { .share = share };
	INIT_LIST_HEAD(&queue->link);
}

static struct tandem_schedule_share *share_of(const struct rb_node *node)
{
	return rb_entry(node, struct tandem_schedule_share, node);
}

/* Virtual times may wrap around. */
static bool is_before(u64 a, u64 b)
{
	return (s64)(a - b) < 0;
}

static bool share_is_behind(struct rb_node *a, const struct rb_node *b)
{
	return is_before(share_of(a)->used, share_of(b)->used);
}

static void add_share(struct tandem_schedule *schedule,
		      struct tandem_schedule_share *share)
{
	rb_add_cached(&share->node, &schedule->level[share->level].ready,
		      share_is_behind);
}

static void remove_share(struct tandem_schedule *schedule,
			 struct tandem_schedule_share *share)
{
	rb_erase_cached(&share->node, &schedule->level[share->level].ready);
}

static bool has_ready(const struct tandem_schedule *schedule,
		      enum tandem_schedule_level level)
{
	return rb_first_cached(&schedule->level[level].ready);
}

/* Moves a share ahead, or back when @ns is negative. */
static void charge(struct tandem_schedule *schedule,
		   struct tandem_schedule_share *share, s64 ns)
{
	if (share->ready_count)
		remove_share(schedule, share);
	share->used += ns;
	if (share->ready_count)
		add_share(schedule, share);
}

static bool queue_is_ready(const struct tandem_schedule_queue *queue)
{
	return !list_empty(&queue->link);
}

/* At the end of the list on which a ready queue belongs. */
static void give_turn(struct tandem_schedule *schedule,
		      struct tandem_schedule_queue *queue)
{
	struct tandem_schedule_share *share = queue->share;

	queue->turn = schedule->turns++;
	list_move_tail(&queue->link, queue->running ?
		       &share->bound[queue->engine] : &share->free);
}

void tandem_schedule_set_ready(struct tandem_schedule *schedule,
			       struct tandem_schedule_queue *queue, bool ready)
{
	struct tandem_schedule_share *share = queue->share;
	u64 now = schedule->level[share->level].now;

	if (ready == queue_is_ready(queue))
		return;
	if (ready) {
		give_turn(schedule, queue);
		if (share->ready_count++)
			return;
		if (is_before(share->used, now))
			share->used = now;
		add_share(schedule, share);
	} else {
		list_del_init(&queue->link);
		if (--share->ready_count)
			return;
		remove_share(schedule, share);
		/* A level that has nothing to do is owed nothing. */
		if (!has_ready(schedule, share->level))
			schedule->level[share->level].owed =
				min(schedule->level[share->level].owed, 0LL);
	}
}

bool tandem_schedule_has_ready(const struct tandem_schedule *schedule)
{
	return has_ready(schedule, TANDEM_SCHEDULE_HIGH) ||
	       has_ready(schedule, TANDEM_SCHEDULE_NORMAL) ||
	       has_ready(schedule, TANDEM_SCHEDULE_LOW);
}

bool tandem_schedule_has_room(const struct tandem_schedule_engine *engine)
{
	return engine->running < 2 ||
	       engine->expected_ns < TANDEM_SCHEDULE_WINDOW_NS;
}

static bool is_owed(const struct tandem_schedule *schedule,
		    enum tandem_schedule_level level)
{
	return schedule->level[level].owed >= (s64)TANDEM_SCHEDULE_OWED_NS;
}

static struct tandem_schedule_queue *first_of(struct list_head *list)
{
	return list_first_entry_or_null(list, struct tandem_schedule_queue,
					link);
}

/* The queue of a share that waits longest for an engine; NULL for none. */
static struct tandem_schedule_queue *
next_of_share(struct tandem_schedule_share *share, u32 engine)
{
	struct tandem_schedule_queue *bound = first_of(&share->bound[engine]);
	struct tandem_schedule_queue *free = first_of(&share->free);

	if (!bound || !free)
		return bound ?: free;
	return is_before(bound->turn, free->turn) ? bound : free;
}

static struct tandem_schedule_queue *
next_of_level(struct tandem_schedule *schedule,
	      enum tandem_schedule_level level, u32 engine)
{
	struct tandem_schedule_queue *queue;
	struct rb_node *node;

	for (node = rb_first_cached(&schedule->level[level].ready); node;
	     node = rb_next(node)) {
		queue = next_of_share(share_of(node), engine);
		if (queue)
			return queue;
	}
	return NULL;
}

struct tandem_schedule_queue *
tandem_schedule_next(struct tandem_schedule *schedule,
		     const struct tandem_schedule_engine *engine)
{
	struct tandem_schedule_queue *queue;
	int level;

	/* The small shares of those behind, the last of them first. */
	for (level = TANDEM_SCHEDULE_LOW; level > TANDEM_SCHEDULE_HIGH;
	     level--) {
		if (!is_owed(schedule, level))
			continue;
		queue = next_of_level(schedule, level, engine->index);
		if (queue)
			return queue;
	}
	for (level = TANDEM_SCHEDULE_HIGH; level < TANDEM_SCHEDULE_LEVELS;
	     level++) {
		queue = next_of_level(schedule, level, engine->index);
		if (queue)
			return queue;
	}
	return NULL;
}

static u64 expect(const struct tandem_schedule_share *share,
		  const struct tandem_schedule_job *job)
{
	u64 ns = share->unit_ns[job->work];

	/* Two of what is not known yet. */
	if (!ns)
		return TANDEM_SCHEDULE_WINDOW_NS / 2;
	ns = job->units > div64_u64(EXPECTED_MAX_NS, ns) ? EXPECTED_MAX_NS :
							   ns * job->units;
	/* Those that may surprise are kept to few, however short they were. */
	if (job->work == TANDEM_SCHEDULE_PROGRAM ||
	    job->work == TANDEM_SCHEDULE_LIST)
		ns = max_t(u64, ns, TANDEM_SCHEDULE_WINDOW_NS / 16);
	return max_t(u64, ns, TANDEM_SCHEDULE_COST_MIN_NS);
}

/* Fast to see that commands have become longer, slower to trust short ones. */
static void learn_from(struct tandem_schedule_share *share,
		       const struct tandem_schedule_job *job, u64 spent_ns)
{
	u64 *unit_ns = &share->unit_ns[job->work];
	u64 sample = clamp_t(u64, div64_u64(spent_ns, job->units), 1,
			     UNIT_MAX_NS);

	if (!*unit_ns)
		*unit_ns = sample;
	else if (sample > *unit_ns)
		*unit_ns += DIV_ROUND_UP_ULL(sample - *unit_ns, 2);
	else
		*unit_ns -= (*unit_ns - sample) / 8;
}

static bool higher_has_ready(const struct tandem_schedule *schedule,
			     enum tandem_schedule_level level)
{
	int i;

	for (i = 0; i < (int)level; i++) {
		if (has_ready(schedule, i))
			return true;
	}
	return false;
}

/* A level takes time before higher ones, or, when negative, gives it back. */
static void take_owed(struct tandem_schedule *schedule,
		      enum tandem_schedule_level level, s64 ns)
{
	s64 *owed = &schedule->level[level].owed;

	*owed = max(*owed - ns, -(s64)TANDEM_SCHEDULE_DEBT_MAX_NS);
}

/* Levels below that wait are owed a part of the time that one has used. */
static void owe_to_lower(struct tandem_schedule *schedule,
			 enum tandem_schedule_level level, u64 ns)
{
	s64 *owed;
	int i;

	for (i = level + 1; i < TANDEM_SCHEDULE_LEVELS; i++) {
		if (!has_ready(schedule, i))
			continue;
		owed = &schedule->level[i].owed;
		*owed = min_t(s64, *owed + ns / TANDEM_SCHEDULE_PARTS,
			      2 * TANDEM_SCHEDULE_OWED_NS);
	}
}

/* A share that had to stand by does not make up for all of it at once. */
static void limit_lag(struct tandem_schedule *schedule,
		      struct tandem_schedule_share *share)
{
	u64 *now = &schedule->level[share->level].now;
	u64 earliest = *now - TANDEM_SCHEDULE_LAG_MAX_NS;

	if (is_before(share->used, earliest))
		charge(schedule, share, earliest - share->used);
	if (is_before(*now, share->used))
		*now = share->used;
}

void tandem_schedule_begin(struct tandem_schedule *schedule,
			   struct tandem_schedule_engine *engine,
			   struct tandem_schedule_queue *queue,
			   struct tandem_schedule_job *job)
{
	struct tandem_schedule_share *share = queue->share;

	job->expected_ns = expect(share, job);
	job->was_owed = is_owed(schedule, share->level) &&
			higher_has_ready(schedule, share->level);
	if (job->was_owed)
		take_owed(schedule, share->level, job->expected_ns);
	limit_lag(schedule, share);
	charge(schedule, share, job->expected_ns);

	queue->engine = engine->index;
	queue->running++;
	give_turn(schedule, queue);
	engine->running++;
	engine->expected_ns += job->expected_ns;
}

void tandem_schedule_end(struct tandem_schedule *schedule,
			 struct tandem_schedule_engine *engine,
			 struct tandem_schedule_queue *queue,
			 const struct tandem_schedule_job *job, u64 spent_ns,
			 bool learn)
{
	struct tandem_schedule_share *share = queue->share;
	u64 cost = clamp_t(u64, spent_ns, TANDEM_SCHEDULE_COST_MIN_NS,
			   EXPECTED_MAX_NS);

	engine->running--;
	engine->expected_ns -= job->expected_ns;
	queue->running--;
	if (!queue->running && queue_is_ready(queue))
		give_turn(schedule, queue);

	charge(schedule, share, cost - job->expected_ns);
	if (job->was_owed)
		take_owed(schedule, share->level, cost - job->expected_ns);
	owe_to_lower(schedule, share->level, cost);
	if (learn)
		learn_from(share, job, spent_ns);
}
