/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose command goes next, and how many may go ahead of their turn. Deals with
 * numbers only: it knows no device, takes no lock and reads no clock. Its user
 * serializes all calls for one schedule.
 *
 * Engines of one class share a schedule. Each context has a share of it at each
 * level of priority. Shares of a level get even parts of the engines' time,
 * however many queues a context has: each has a virtual time, which is the
 * device time that it has used, and the one that is furthest behind goes next
 * (start-time fair queueing). A share that had nothing to do starts where the
 * others are, so that idling earns nothing.
 *
 * A device works off a ring in order, so what is on the ring is out of the
 * schedule's hands. Only as much is put there as is expected to take
 * TANDEM_SCHEDULE_WINDOW_NS: enough to keep the device busy, little enough for
 * a newcomer to wait for. What a command will take is learned from those
 * before it.
 */
#ifndef _TANDEM_SCHEDULE_H
#define _TANDEM_SCHEDULE_H

#include <linux/list.h>
#include <linux/rbtree_types.h>
#include <linux/time64.h>
#include <linux/types.h>

/* Engines of a class. */
#define TANDEM_SCHEDULE_ENGINES_MAX	8

/* Expected time of the commands on a ring, of which there are two at least. */
#define TANDEM_SCHEDULE_WINDOW_NS	(2 * NSEC_PER_MSEC)
/*
 * What any command costs at least: whatever a device says, the others have
 * their turn.
 */
#define TANDEM_SCHEDULE_COST_MIN_NS	1000
/* How far a share that cannot use all engines may fall behind the others. */
#define TANDEM_SCHEDULE_LAG_MAX_NS	(2 * TANDEM_SCHEDULE_WINDOW_NS)
/* While higher levels have commands, a level gets one part of so many. */
#define TANDEM_SCHEDULE_PARTS		16
/* A level that is owed this much goes first. */
#define TANDEM_SCHEDULE_OWED_NS		NSEC_PER_MSEC
/* More than a level can owe, lest it starve after one very long command. */
#define TANDEM_SCHEDULE_DEBT_MAX_NS	NSEC_PER_SEC

/**
 * enum tandem_schedule_level - who goes first
 * @TANDEM_SCHEDULE_HIGH: before all others
 * @TANDEM_SCHEDULE_NORMAL: before LOW
 * @TANDEM_SCHEDULE_LOW: while nobody else wants to
 * @TANDEM_SCHEDULE_LEVELS: how many there are
 */
enum tandem_schedule_level {
	TANDEM_SCHEDULE_HIGH,
	TANDEM_SCHEDULE_NORMAL,
	TANDEM_SCHEDULE_LOW,
	TANDEM_SCHEDULE_LEVELS,
};

/**
 * enum tandem_schedule_work - kinds of commands that take similar times
 * @TANDEM_SCHEDULE_NOP: nothing
 * @TANDEM_SCHEDULE_COPY: in proportion to the units
 * @TANDEM_SCHEDULE_FILL: likewise
 * @TANDEM_SCHEDULE_LIST: likewise, in pieces, each of which costs something
 * @TANDEM_SCHEDULE_PROGRAM: any time
 * @TANDEM_SCHEDULE_WORKS: how many there are
 */
enum tandem_schedule_work {
	TANDEM_SCHEDULE_NOP,
	TANDEM_SCHEDULE_COPY,
	TANDEM_SCHEDULE_FILL,
	TANDEM_SCHEDULE_LIST,
	TANDEM_SCHEDULE_PROGRAM,
	TANDEM_SCHEDULE_WORKS,
};

/**
 * struct tandem_schedule_share - what one context gets at one level
 * @level: &enum tandem_schedule_level
 * @node: in &tandem_schedule.level while @ready_count is not zero
 * @used: virtual time, in nanoseconds
 * @ready_count: queues on the following lists
 * @free: queues that any engine can serve, in the order of their turns
 * @bound: queues that have commands on the engine of that index, likewise
 * @unit_ns: what a unit of each kind of work has taken; 0 when not known
 */
struct tandem_schedule_share {
	enum tandem_schedule_level level;
	struct rb_node node;
	u64 used;
	u32 ready_count;
	struct list_head free;
	struct list_head bound[TANDEM_SCHEDULE_ENGINES_MAX];
	u64 unit_ns[TANDEM_SCHEDULE_WORKS];
};

/**
 * struct tandem_schedule_queue - a queue of commands that go in order
 * @share: that it belongs to
 * @link: in a list of @share while it is ready
 * @turn: when it got its place there
 * @engine: that serves it, while @running is not zero
 * @running: commands that are on the engine's ring
 */
struct tandem_schedule_queue {
	struct tandem_schedule_share *share;
	struct list_head link;
	u64 turn;
	u32 engine;
	u32 running;
};

/**
 * struct tandem_schedule_job - a command
 * @work: &enum tandem_schedule_work
 * @units: of work, 1 at least
 * @expected_ns: what it is expected to take; set when it begins
 * @was_owed: it went before commands of higher levels; likewise
 */
struct tandem_schedule_job {
	enum tandem_schedule_work work;
	u64 units;
	u64 expected_ns;
	bool was_owed;
};

/**
 * struct tandem_schedule_engine - an engine
 * @index: among those of its class
 * @running: commands on its ring
 * @expected_ns: what they are expected to take together
 */
struct tandem_schedule_engine {
	u32 index;
	u32 running;
	u64 expected_ns;
};

/**
 * struct tandem_schedule - the schedule of a class of engines
 * @level: for each &enum tandem_schedule_level:
 * @level.ready: shares that have ready queues, the one furthest behind first
 * @level.now: virtual time of the level, at which newcomers start
 * @level.owed: time that the level may take before higher ones, in nanoseconds;
 *	less than zero when it took too much
 * @turns: counts turns of queues
 */
struct tandem_schedule {
	struct {
		struct rb_root_cached ready;
		u64 now;
		s64 owed;
	} level[TANDEM_SCHEDULE_LEVELS];
	u64 turns;
};

void tandem_schedule_init(struct tandem_schedule *schedule);
void tandem_schedule_init_share(struct tandem_schedule_share *share,
				enum tandem_schedule_level level);
void tandem_schedule_init_queue(struct tandem_schedule_queue *queue,
				struct tandem_schedule_share *share);

/* The queue has a command that can begin, or has none any more. */
void tandem_schedule_set_ready(struct tandem_schedule *schedule,
			       struct tandem_schedule_queue *queue, bool ready);

/* Does any queue have a command that can begin? */
bool tandem_schedule_has_ready(const struct tandem_schedule *schedule);
/* May the engine be given one more command? */
bool tandem_schedule_has_room(const struct tandem_schedule_engine *engine);
/* The queue whose command is next on an engine; NULL for none. */
struct tandem_schedule_queue *
tandem_schedule_next(struct tandem_schedule *schedule,
		     const struct tandem_schedule_engine *engine);

/*
 * The command of a queue that is ready goes to an engine, one that
 * tandem_schedule_next() gave the queue for.
 */
void tandem_schedule_begin(struct tandem_schedule *schedule,
			   struct tandem_schedule_engine *engine,
			   struct tandem_schedule_queue *queue,
			   struct tandem_schedule_job *job);
/*
 * A command that was on an engine is not any more. @spent_ns is the time that
 * the engine spent on it, of which @learn says whether it is typical.
 */
void tandem_schedule_end(struct tandem_schedule *schedule,
			 struct tandem_schedule_engine *engine,
			 struct tandem_schedule_queue *queue,
			 const struct tandem_schedule_job *job, u64 spent_ns,
			 bool learn);

#endif /* _TANDEM_SCHEDULE_H */
