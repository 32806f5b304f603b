// SPDX-License-Identifier: MIT
/*
 * A NIC that a connection uses: the device is opened, the pool is registered with it, and
 * the loop watches what it has to say.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "kv.h"
#include "xfer_verbs_memory.h"
#include "xfer_verbs_service.h"

/*
 * Watching
 */

static struct verbs_rail *rail_of(struct loop_poller *poller)
{
	return (void *)((char *)poller - offsetof(struct verbs_rail, poller));
}

static bool rail_poll(struct loop_poller *poller)
{
	struct verbs_rail *rail = rail_of(poller);

	return !rail->verbs->at_rest && verbs_drain(rail);
}

static void rail_arm(struct loop_poller *poller)
{
	struct verbs_rail *rail = rail_of(poller);

	if (rail->armed || rail->verbs->at_rest)
		return;
	rail->armed = !ibv_req_notify_cq(rail->queue, 0);
	if (!rail->armed)
		verbs_rail_failed(rail, -EIO);
}

static void channel_ready(void *user, int events)
{
	struct verbs_rail *rail = user;
	struct verbs *verbs = rail->verbs;
	unsigned int count = 0;
	struct ibv_cq *queue;
	void *context;

	while (!ibv_get_cq_event(rail->channel, &queue, &context))
		count++;
	if (count)
		ibv_ack_cq_events(rail->queue, count);
	if (count)
		rail->armed = false;
	if (verbs->at_rest)
		return;
	if (events < 0)
		verbs_rail_failed(rail, -EIO);
	verbs_drain(rail);
}

/* What is not the rail's alone is the connection's: the other side broke the rules. */
static void async_ready(void *user, int events)
{
	struct verbs_rail *rail = user;
	int failure = 0, rail_failure = events < 0 ? -EIO : 0;
	struct ibv_async_event event;

	while (!ibv_get_async_event(rail->port.context, &event)) {
		switch (event.event_type) {
		case IBV_EVENT_CQ_ERR:
		case IBV_EVENT_QP_FATAL:
		case IBV_EVENT_DEVICE_FATAL:
			rail_failure = -EIO;
			break;
		case IBV_EVENT_QP_REQ_ERR:
			failure = -EIO;
			break;
		/* The other side wrote where it may not. */
		case IBV_EVENT_QP_ACCESS_ERR:
			failure = -EACCES;
			break;
		case IBV_EVENT_PORT_ERR:
		case IBV_EVENT_PORT_ACTIVE:
			if (event.element.port_num == rail->port.number)
				verbs_rail_port_changed(rail,
							event.event_type == IBV_EVENT_PORT_ERR);
			break;
		default:
			break;
		}
		ibv_ack_async_event(&event);
	}
	/* That of a device which has been removed. */
	if (errno == EIO)
		rail_failure = -EIO;
	if (failure)
		connection_fail(rail->verbs->connection, failure);
	else if (rail_failure)
		verbs_rail_failed(rail, rail_failure);
}

static int set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static int rail_watch(struct verbs_rail *rail)
{
	struct tandem_loop *loop = rail->verbs->connection->loop;
	int ret;

	ret = set_nonblocking(rail->channel->fd);
	if (!ret)
		ret = set_nonblocking(rail->port.context->async_fd);
	if (!ret)
		ret = loop_poll_start(loop, rail->channel->fd, POLLIN, channel_ready, rail,
				      &rail->channel_poll);
	if (!ret)
		ret = loop_poll_start(loop, rail->port.context->async_fd, POLLIN, async_ready,
				      rail, &rail->async_poll);
	if (ret)
		return ret;
	rail->poller.poll = rail_poll;
	rail->poller.arm = rail_arm;
	loop_poller_start(loop, &rail->poller);
	return 0;
}

/*
 * Statistics
 */

/* Where the kernel's drivers count what a NIC repeats; each has some of them. */
static const char *const repeat_counters[] = {
	"completer_retry_err",		/* soft-RoCE: what was not acknowledged */
	"local_ack_timeout_err",	/* mlx5, likewise */
	"packet_seq_err",		/* mlx5: what the other side missed */
	"rnr_nak_retry_err",		/* mlx5: what it had no receive for */
	"retrans_pkts",			/* EFA */
};

static uint64_t read_counter(const struct verbs_port *port, const char *name)
{
	uint64_t value = 0;
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/ports/%u/hw_counters/%s",
		 port->context->device->ibdev_path, port->number, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64, &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

static uint64_t count_repeats(const struct verbs_port *port)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < sizeof(repeat_counters) / sizeof(repeat_counters[0]); i++)
		sum += read_counter(port, repeat_counters[i]);
	return sum;
}

/* A port that is gone has no counters. */
void verbs_rail_count_repeats(struct verbs_rail *rail)
{
	const uint64_t repeats = count_repeats(&rail->port);

	if (repeats > rail->repeats)
		rail->stats.repeats = repeats - rail->repeats;
}

int verbs_rail(struct tandem_connection *connection, unsigned int number,
	       struct tandem_rail_stats *stats)
{
	struct verbs *verbs = connection->transport;
	struct verbs_rail *rail;

	if (number >= verbs->rail_used_count)
		return -ENOENT;
	rail = verbs->rails_used[number];
	if (rail->state == VERBS_RAIL_UP)
		verbs_rail_count_repeats(rail);
	*stats = rail->stats;
	return 0;
}

/*
 * Opening and closing
 */

static void rail_describe(struct verbs_rail *rail)
{
	const struct verbs_port *port = &rail->port;

	rail->end->service = rail->service->number;
	rail->end->lid = port->attributes.lid;
	rail->end->mtu = port->attributes.active_mtu;
	rail->end->link_layer = port->attributes.link_layer;
	rail->end->reads = verbs_reads(port->limits.max_qp_rd_atom);
	rail->end->gid = port->gid;
	snprintf(rail->stats.name, sizeof(rail->stats.name), "%s", port->name);
	rail->repeats = count_repeats(port);
}

/* Return: 0 or -errno. */
static int rail_make_queue(struct verbs_rail *rail)
{
	const struct ibv_device_attr *limits = &rail->port.limits;
	const int entries = rail->verbs->rail_pairs * (VERBS_SENDS + VERBS_RECEIVES);

	if (limits->max_qp_wr < (int)VERBS_RECEIVES || limits->max_qp_wr < (int)VERBS_SENDS ||
	    limits->max_cqe < entries)
		return -EOPNOTSUPP;
	errno = 0;
	rail->channel = ibv_create_comp_channel(rail->port.context);
	if (rail->channel)
		rail->queue = ibv_create_cq(rail->port.context, entries, NULL, rail->channel, 0);
	if (!rail->queue)
		return errno ? -errno : -ENOMEM;
	return rail_watch(rail);
}

int verbs_rail_open(struct verbs *verbs, struct verbs_rail *rail, const char *device,
		    const struct tandem_connection_options *options, struct tandem_error *error)
{
	int ret;

	rail->verbs = verbs;
	SLIST_INIT(&rail->spare);
	ret = verbs_port_open(device, options, &rail->port, error);
	if (ret < 0)
		return ret;
	ret = verbs_service_choose(&rail->port, &rail->service, error);
	if (ret < 0)
		return ret;
	rail_describe(rail);
	rail->domain = ibv_alloc_pd(rail->port.context);
	if (!rail->domain)
		return tandem_error_set(error, -ENOMEM, "verbs: %s has no protection domain left",
					rail->port.name);
	ret = rail_make_queue(rail);
	if (ret < 0)
		return tandem_error_set(error, ret, "verbs: %s: cannot make a completion queue: %s",
					rail->port.name, strerror(-ret));
	return 0;
}

int verbs_rail_register(struct verbs_rail *rail, struct tandem_error *error)
{
	struct verbs *verbs = rail->verbs;
	struct tandem_connection *connection = verbs->connection;
	int access = IBV_ACCESS_LOCAL_WRITE;
	uint64_t bytes;
	int ret;

	if (!connection->grants)
		access |= IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	if (verbs->windows)
		access |= IBV_ACCESS_MW_BIND;
	if (connection->memory)
		bytes = tandem_memory_size(connection->memory);
	else
		bytes = kv_layout_bytes(&connection->layout);
	ret = verbs_memory_register(rail->domain, &rail->port, connection, 0, bytes, access,
				    &rail->region, error);
	if (ret < 0)
		return ret;
	if (!connection->grants)
		rail->end->rkey = rail->region->rkey;
	return 0;
}

int verbs_rail_register_messages(struct verbs_rail *rail)
{
	errno = 0;
	rail->messages = ibv_reg_mr(rail->domain, rail->verbs->messages,
				    verbs_messages_bytes(rail->verbs->rail_used_count),
				    IBV_ACCESS_LOCAL_WRITE);
	if (!rail->messages)
		return errno ? -errno : -ENOMEM;
	return 0;
}

void verbs_rail_forget_messages(struct verbs_rail *rail)
{
	if (rail->messages)
		ibv_dereg_mr(rail->messages);
	rail->messages = NULL;
}

void verbs_rail_close(struct verbs_rail *rail)
{
	loop_poller_stop(rail->verbs->connection->loop, &rail->poller);
	loop_timer_stop(rail->timer);
	loop_poll_stop(rail->async_poll);
	loop_poll_stop(rail->channel_poll);
	if (rail->queue)
		ibv_destroy_cq(rail->queue);
	if (rail->channel)
		ibv_destroy_comp_channel(rail->channel);
	verbs_rail_forget_messages(rail);
	if (rail->region)
		ibv_dereg_mr(rail->region);
	if (rail->domain)
		ibv_dealloc_pd(rail->domain);
	if (rail->port.context)
		verbs_port_close(&rail->port);
}
