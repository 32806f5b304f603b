// SPDX-License-Identifier: MIT
/*
 * A fabric without order, as the transport of both sides. Random but seeded: a test
 * that fails does so again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/xfer_unordered.h"
#include "unordered.h"

#define STEPS_AT_ONCE	16
/* In steps of the fabric. */
#define LATE_MAX	400

enum what {
	LAND,		/* the bytes, which then are told of and acknowledged */
	TELL,		/* the receiver */
	ACKNOWLEDGE,	/* the sender */
	REFUSE,		/* to let the sender read */
	NOTE,		/* which comes when all has been told of that was sent before */
};

/**
 * struct event - something that will happen
 * @entry: in &fabric.events
 * @what: see there
 * @from: sending side, or reading
 * @after: not before this step
 * @write: which
 * @number: of it; of the next write for a note
 * @note: which
 */
struct event {
	TAILQ_ENTRY(event) entry;
	enum what what;
	int from;
	uint64_t after;
	struct xfer_write write;
	uint64_t number;
	struct xfer_note note;
};

/**
 * struct fabric - between the two sides
 * @connection: these; NULL once one is closed
 * @below: their own transport, which only closes them
 * @slots: of the writes of each side
 * @arrivals: at each side
 * @events: that have not happened
 * @count: of these
 * @step: number of the next
 * @landed: number after the newest write of each side that has landed
 * @random: state of the generator
 * @task: for the next steps
 * @loop: of both sides
 */
static struct fabric {
	struct tandem_connection *connection[2];
	const struct xfer_transport_ops *below;
	struct xfer_slots slots[2];
	struct xfer_arrivals arrivals[2];
	TAILQ_HEAD(, event) events;
	unsigned int count;
	uint64_t step;
	uint64_t landed[2];
	uint64_t random;
	struct loop_task task;
	struct tandem_loop *loop;
} fabric;

struct unordered_counts unordered_counts;

static uint32_t chance(uint32_t bound)
{
	fabric.random = fabric.random * 6364136223846793005ull + 1442695040888963407ull;
	return (fabric.random >> 33) % bound;
}

static void add(const struct event *what)
{
	struct event *event = malloc(sizeof(*event));

	assert_non_null(event);
	*event = *what;
	event->after = fabric.step + (chance(8) ? chance(8) : chance(LATE_MAX));
	TAILQ_INSERT_TAIL(&fabric.events, event, entry);
	fabric.count++;
	loop_task_post(fabric.loop, &fabric.task);
}

static void add_event(enum what what, int from, const struct xfer_write *write, uint64_t number)
{
	add(&(struct event){ .what = what, .from = from, .write = *write, .number = number });
}

static void remove_event(struct event *event)
{
	TAILQ_REMOVE(&fabric.events, event, entry);
	fabric.count--;
	free(event);
}

/* Nothing of this side's, or to it, happens any more. */
static void drop_events(void)
{
	struct event *event;

	while ((event = TAILQ_FIRST(&fabric.events)))
		remove_event(event);
}

static uint8_t *pool_bytes(struct tandem_connection *connection)
{
	void *pointer = NULL;

	assert_int_equal(tandem_memory_map(tandem_kv_pool_memory(connection->pool), &pointer), 0);
	return pointer;
}

/* The other side is not told; a note must not wait until it has been. */
static void land_read(const struct event *event, struct tandem_connection *reader,
		      struct tandem_connection *owner)
{
	const struct xfer_write *read = &event->write;
	uint32_t transfer, blocks;

	xfer_arrivals_take(&fabric.arrivals[1 - event->from],
			   xfer_unordered_immediate(0, 1, event->number), &transfer, &blocks);
	if (connection_read_begin(owner, read) < 0) {
		add_event(REFUSE, event->from, read, event->number);
		return;
	}
	memcpy(pool_bytes(reader) + read->local_offset, pool_bytes(owner) + read->remote_offset,
	       read->length);
	connection_read_end(owner, read->generation);
	add_event(ACKNOWLEDGE, event->from, read, event->number);
	if (!chance(4))
		add_event(ACKNOWLEDGE, event->from, read, event->number);
}

static void land(const struct event *event)
{
	struct tandem_connection *from = fabric.connection[event->from];
	struct tandem_connection *to = fabric.connection[1 - event->from];
	const struct xfer_write *write = &event->write;

	if (write->pull) {
		land_read(event, from, to);
		return;
	}
	if (connection_admit(to, write) < 0) {
		connection_fail(to, -EACCES);
		connection_fail(from, -ECONNRESET);
		return;
	}
	memcpy(pool_bytes(to) + write->remote_offset, pool_bytes(from) + write->local_offset,
	       write->length);
	if (event->number < fabric.landed[event->from])
		unordered_counts.overtaken++;
	else
		fabric.landed[event->from] = event->number + 1;
	add_event(TELL, event->from, write, event->number);
	add_event(ACKNOWLEDGE, event->from, write, event->number);
	if (!chance(4))
		add_event(TELL, event->from, write, event->number);
	if (!chance(4))
		add_event(ACKNOWLEDGE, event->from, write, event->number);
}

static void tell(const struct event *event)
{
	const uint32_t immediate = xfer_unordered_immediate(event->write.transfer,
							    event->write.blocks, event->number);
	uint32_t transfer, blocks;

	if (xfer_arrivals_take(&fabric.arrivals[1 - event->from], immediate, &transfer, &blocks))
		connection_received(fabric.connection[1 - event->from], transfer, blocks);
	else
		unordered_counts.told_twice++;
}

static void acknowledge(const struct event *event, int result)
{
	struct tandem_connection *from = fabric.connection[event->from];
	struct xfer_slots *slots = &fabric.slots[event->from];
	struct xfer_push *push;
	uint64_t bytes;

	if (!xfer_slots_acknowledge(slots, event->number, &push, &bytes)) {
		unordered_counts.acknowledged_twice++;
		return;
	}
	connection_write_done(from, push, bytes, result);
	from->write_slots = from->writes + xfer_slots_room(slots);
	connection_continue(from);
}

/* It may have overtaken what it has to wait for. */
static void note(const struct event *event)
{
	struct tandem_connection *to = fabric.connection[1 - event->from];
	uint8_t bytes[XFER_NOTE_BYTES];
	struct xfer_note decoded;
	int ret;

	if (!xfer_arrivals_passed(&fabric.arrivals[1 - event->from], event->number)) {
		unordered_counts.notes_held++;
		add(event);
		return;
	}
	xfer_note_encode(&event->note, bytes);
	ret = xfer_note_decode(bytes, &decoded);
	if (!ret)
		ret = connection_told(to, &decoded);
	if (ret < 0)
		connection_fail(to, ret);
}

/* Any one whose time has come. */
static struct event *choose_event(void)
{
	struct event *event = TAILQ_FIRST(&fabric.events);
	unsigned int skip = fabric.count ? chance(fabric.count) : 0;

	for (; skip; skip--)
		event = TAILQ_NEXT(event, entry);
	while (event && event->after > fabric.step)
		event = TAILQ_NEXT(event, entry);
	return event;
}

static void one_step(void)
{
	struct event *chosen = choose_event();
	struct event event;

	fabric.step++;
	if (!chosen)
		return;
	event = *chosen;
	remove_event(chosen);
	switch (event.what) {
	case LAND:
		land(&event);
		break;
	case TELL:
		tell(&event);
		break;
	case ACKNOWLEDGE:
		acknowledge(&event, 0);
		break;
	case REFUSE:
		acknowledge(&event, -EACCES);
		break;
	case NOTE:
		note(&event);
		break;
	}
}

static void run_fabric(struct loop_task *task)
{
	int i;

	for (i = 0; i < STEPS_AT_ONCE && fabric.count; i++)
		one_step();
	if (fabric.count)
		loop_task_post(fabric.loop, task);
}

static int side_of(const struct tandem_connection *connection)
{
	return connection == fabric.connection[1];
}

static int unordered_write(struct tandem_connection *connection, const struct xfer_write *write)
{
	const int side = side_of(connection);

	/* Nothing may rely on an order that is not there. */
	assert_int_equal(write->length % tandem_kv_block_bytes(&connection->layout), 0);
	assert_true(write->blocks && write->blocks <= XFER_UNORDERED_BLOCKS);
	assert_true(xfer_slots_room(&fabric.slots[side]) > 0);
	add_event(LAND, side, write, xfer_slots_take(&fabric.slots[side], write->push,
						     write->length));
	return 0;
}

static int unordered_flush(struct tandem_connection *connection)
{
	(void)connection;
	return 0;
}

static int unordered_tell(struct tandem_connection *connection, const struct xfer_note *note)
{
	const int side = side_of(connection);

	add(&(struct event){ .what = NOTE, .from = side, .number = fabric.slots[side].next,
			     .note = *note });
	return 0;
}

/* The other side learns of it, if it is there. */
static void detach(struct tandem_connection *connection)
{
	struct tandem_connection *other = fabric.connection[1 - side_of(connection)];

	drop_events();
	if (other && other != connection)
		connection_fail(other, -ECONNRESET);
}

static void unordered_abort(struct tandem_connection *connection)
{
	detach(connection);
	connection_quiesced(connection);
}

static void unordered_close(struct tandem_connection *connection)
{
	detach(connection);
	loop_task_cancel(fabric.loop, &fabric.task);
	fabric.connection[side_of(connection)] = NULL;
	fabric.below->close(connection);
}

static const struct xfer_transport_ops unordered_ops = {
	.reads = true,
	.write = unordered_write,
	.flush = unordered_flush,
	.tell = unordered_tell,
	.abort = unordered_abort,
	.close = unordered_close,
};

void unordered_attach(struct pair *pair)
{
	struct tandem_connection *connection;
	int side;

	memset(&fabric, 0, sizeof(fabric));
	TAILQ_INIT(&fabric.events);
	fabric.random = pair->random;
	fabric.loop = pair->loop;
	fabric.task.run = run_fabric;
	fabric.below = &xfer_local_ops;
	for (side = 0; side < 2; side++) {
		connection = pair->connection[side];
		fabric.connection[side] = connection;
		connection->ops = &unordered_ops;
		connection->write_slots = xfer_slots_room(&fabric.slots[side]);
		connection->write_bytes =
			XFER_UNORDERED_BLOCKS * tandem_kv_block_bytes(&connection->layout);
	}
}
