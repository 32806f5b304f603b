// SPDX-License-Identifier: MIT
/*
 * The verbs transport: its completions, and its life from opening to closing.
 *
 * NICs read and write device memory by themselves; no byte of a block is touched here.
 * To come to rest the queue pairs are destroyed, which returns when the NICs have let go of
 * them: nothing of either direction lands after that. When one pair fails so does its rail,
 * and when no rail is left the connection does.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "error.h"
#include "kv.h"
#include "xfer_verbs.h"
#include "xfer_verbs_reach.h"
#include "xfer_verbs_service.h"

#define COMPLETIONS		32
/* Completions dealt with before the loop's other events have their turn. */
#define COMPLETIONS_MAX		1024
/* One fills a NIC; more are for networks that choose a path for each pair. */
#define RAIL_PAIRS_DEFAULT	1u
/* Names of RDMA devices have up to 63 characters. */
#define NAMES_BYTES		(VERBS_RAILS_MAX * 64u)

/*
 * Completions
 */

static int status_to_errno(enum ibv_wc_status status)
{
	switch (status) {
	case IBV_WC_SUCCESS:
		return 0;
	/* Its NIC refused what it once offered. */
	case IBV_WC_REM_ACCESS_ERR:
		return -EACCES;
	/* The other side does not answer. */
	case IBV_WC_RETRY_EXC_ERR:
	case IBV_WC_RNR_RETRY_EXC_ERR:
	case IBV_WC_RESP_TIMEOUT_ERR:
	case IBV_WC_REM_INV_RD_REQ_ERR:
	case IBV_WC_REM_INV_REQ_ERR:
	case IBV_WC_REM_OP_ERR:
	case IBV_WC_REM_ABORT_ERR:
	case IBV_WC_WR_FLUSH_ERR:
		return -ECONNRESET;
	default:
		return -EIO;
	}
}

/*
 * Keys go before the pairs, as windows hold on to the one that they are bound by. The pairs
 * take nothing in any more before that: a write that is late is dropped, not refused, so
 * that the other side does not take it for a breach of its own. All calls return when
 * the NIC has let go.
 */
static void verbs_destroy_pairs(struct verbs *verbs)
{
	const unsigned int count = verbs->rail_count * verbs->rail_pairs;
	struct verbs_pair *pair;

	verbs->at_rest = true;
	for (struct verbs_rail *rail = verbs->rails; rail < verbs->rails + verbs->rail_count;
	     rail++) {
		loop_timer_stop(rail->timer);
		rail->timer = NULL;
	}
	if (!verbs->made)
		return;
	for (pair = verbs->made; pair < verbs->made + count; pair++)
		if (pair->queues)
			verbs_pair_stop(pair->queues);
	verbs_grants_free(verbs);
	for (pair = verbs->made; pair < verbs->made + count; pair++)
		if (pair->rail)
			pair->rail->service->destroy(pair);
}

/* Nothing more of either direction can land. */
static void verbs_rest(struct verbs *verbs)
{
	loop_timer_stop(verbs->farewell_timer);
	verbs->farewell_timer = NULL;
	verbs_destroy_pairs(verbs);
	connection_quiesced(verbs->connection);
}

/* Is it the rail that does not work? Else one of the two sides has done what it may not. */
static bool is_failure_of_rail(enum ibv_wc_status status)
{
	switch (status) {
	case IBV_WC_RETRY_EXC_ERR:
	case IBV_WC_RNR_RETRY_EXC_ERR:
	case IBV_WC_RESP_TIMEOUT_ERR:
	case IBV_WC_REM_OP_ERR:
	case IBV_WC_REM_ABORT_ERR:
	case IBV_WC_WR_FLUSH_ERR:
	case IBV_WC_LOC_QP_OP_ERR:
	case IBV_WC_LOC_EEC_OP_ERR:
	case IBV_WC_FATAL_ERR:
	case IBV_WC_GENERAL_ERR:
		return true;
	default:
		return false;
	}
}

int verbs_pair_failed(struct verbs_pair *pair, const struct ibv_wc *completion)
{
	const bool granted =
		!(completion->wr_id & (VERBS_WORK_RECEIVE | VERBS_WORK_PROBE | VERBS_WORK_CONTROL));
	struct verbs_rail *rail = pair->rail;
	int code = status_to_errno(completion->status);

	/* It has been stopped. */
	if (!verbs_is_up(pair))
		return 0;
	if (is_failure_of_rail(completion->status))
		return verbs_rail_fail(rail, code);
	/*
	 * What was posted was granted. The grant, and its key, go before the queue
	 * pairs do when the other side gives up, or is killed.
	 */
	if (code == -EACCES && rail->verbs->connection->grants && granted)
		code = -ECONNRESET;
	/* It cannot say goodbye; another rail can. */
	if (pair == rail->first)
		rail->state = VERBS_RAIL_FAILING;
	return code;
}

static void verbs_completion(struct verbs *verbs, const struct ibv_wc *completion)
{
	const uint64_t number = completion->wr_id & VERBS_WORK_NUMBER;
	struct verbs_pair *pair = verbs_work_pair(verbs, completion->wr_id);
	int ret = 0;

	if (verbs->leaving) {
		if (verbs_farewell_ends(verbs, completion))
			verbs_rest(verbs);
		return;
	}
	/* What it would tell has been told by the other side, or is as if it had not been. */
	if (pair->rail->state >= VERBS_RAIL_DOWN)
		return;
	if (completion->wr_id & VERBS_WORK_RECEIVE)
		verbs_received(pair, completion);
	else if (completion->status != IBV_WC_SUCCESS)
		ret = verbs_pair_failed(pair, completion);
	else if (completion->wr_id & VERBS_WORK_PROBE)
		verbs_probed(pair);
	else if (!(completion->wr_id & VERBS_WORK_CONTROL))
		verbs_sent(pair, number);
	/* Those of a pair that is stopped are seen to otherwise. */
	else if (verbs_is_up(pair))
		ret = verbs_control_done(pair, number);
	if (ret < 0)
		connection_fail(verbs->connection, ret);
}

/* Receives that are wanted again, of all pairs of a rail. Return: 0 or -errno. */
static int rail_repost_receives(struct verbs_rail *rail)
{
	struct verbs *verbs = rail->verbs;
	int ret = 0;

	for (unsigned int i = 0; i < verbs->pair_count && !ret; i++)
		if (verbs->pairs[i]->rail == rail && verbs_is_up(verbs->pairs[i]))
			ret = verbs_repost_receives(verbs->pairs[i]);
	return ret < 0 ? verbs_rail_fail(rail, ret) : 0;
}

bool verbs_drain(struct verbs_rail *rail)
{
	struct verbs *verbs = rail->verbs;
	struct tandem_connection *connection = verbs->connection;
	struct ibv_wc completions[COMPLETIONS];
	int total = 0, count, i, ret;

	while (!verbs->at_rest && total < COMPLETIONS_MAX) {
		count = ibv_poll_cq(rail->queue, COMPLETIONS, completions);
		if (!count)
			return total;
		if (count < 0) {
			verbs_rail_failed(rail, -EIO);
			return true;
		}
		for (i = 0; i < count && !verbs->at_rest; i++)
			verbs_completion(verbs, &completions[i]);
		verbs_take_held(verbs);
		ret = verbs->at_rest ? 0 : rail_repost_receives(rail);
		if (!ret && !verbs->at_rest)
			ret = verbs_write_again(verbs);
		if (ret < 0)
			connection_fail(connection, ret);
		verbs_rail_drained(rail);
		connection_continue(connection);
		total += count;
	}
	if (!verbs->at_rest)
		loop_task_post(connection->loop, &verbs->drain_task);
	return true;
}

static void verbs_drain_more(struct loop_task *task)
{
	struct verbs *verbs = (void *)((char *)task - offsetof(struct verbs, drain_task));
	unsigned int i;

	for (i = 0; i < verbs->rail_used_count && !verbs->at_rest; i++)
		verbs_drain(verbs->rails_used[i]);
}

/*
 * Opening
 */

static int pairs_check(unsigned int rails, unsigned int rail_pairs, struct tandem_error *error)
{
	if (rails <= VERBS_RAILS_MAX && rail_pairs <= VERBS_PAIRS_MAX / rails)
		return 0;
	return tandem_error_set(error, -EINVAL,
				"verbs: %u RDMA devices with %u queue pairs each are too many; up to %u devices and %u pairs in all are possible",
				rails, rail_pairs, VERBS_RAILS_MAX, VERBS_PAIRS_MAX);
}

static int open_rail(struct verbs *verbs, const char *device,
		     const struct tandem_connection_options *options, struct tandem_error *error)
{
	struct verbs_rail *rail = &verbs->rails[verbs->rail_count];

	rail->end = &verbs->local.rails[verbs->rail_count++];
	return verbs_rail_open(verbs, rail, device, options, error);
}

/* Memory windows only if all can; and they are bound before a message by order alone. */
static int register_rails(struct verbs *verbs, struct tandem_error *error)
{
	unsigned int i;
	int ret = 0;

	verbs->windows = verbs->connection->grants;
	for (i = 0; i < verbs->rail_count; i++)
		verbs->windows = verbs->windows &&
				 verbs->rails[i].service->ordered &&
				 verbs_windows_usable(&verbs->rails[i].port.limits);
	for (i = 0; i < verbs->rail_count && !ret; i++)
		ret = verbs_rail_register(&verbs->rails[i], error);
	return ret;
}

/* Open the devices whose names are in a list, all of them. Return: 0 or -errno. */
static int open_named(struct verbs *verbs, const struct tandem_connection_options *options,
		      struct tandem_error *error)
{
	char names[NAMES_BYTES + 1], *next = names;
	unsigned int rails = 1;
	const char *at;
	int ret;

	for (at = options->rdma_device; *at; at++)
		rails += *at == ',';
	ret = pairs_check(rails, verbs->rail_pairs, error);
	if (ret < 0)
		return ret;
	if (strlen(options->rdma_device) >= sizeof(names))
		return tandem_error_set(error, -ENODEV, "verbs: there is no RDMA device %s",
					options->rdma_device);
	strcpy(names, options->rdma_device);
	while (!ret && next)
		ret = open_rail(verbs, strsep(&next, ","), options, error);
	return ret ? ret : register_rails(verbs, error);
}

/*
 * Open the first device that can be used. What is said if there is none is of the first one
 * that has an active port, or cannot be opened. Return: 0 or -errno.
 */
static int open_first(struct verbs *verbs, const struct tandem_connection_options *options,
		      struct ibv_device **devices, struct tandem_error *error)
{
	struct verbs_rail *rail = &verbs->rails[0];
	struct tandem_error why;
	int ret, refusal = 0;

	for (; *devices; devices++) {
		ret = open_rail(verbs, ibv_get_device_name(*devices), options, &why);
		if (!ret)
			ret = register_rails(verbs, &why);
		if (!ret)
			return 0;
		if (!refusal && (ret != -ENODEV || rail->port.name[0]))
			refusal = tandem_error_set(error, ret, "%s", why.message);
		verbs_rail_close(rail);
		memset(rail, 0, sizeof(*rail));
		memset(&verbs->local.rails[0], 0, sizeof(verbs->local.rails[0]));
		verbs->rail_count = 0;
	}
	return refusal ? refusal : verbs_port_none(error);
}

static int open_any(struct verbs *verbs, const struct tandem_connection_options *options,
		    struct tandem_error *error)
{
	struct ibv_device **devices;
	int ret;

	ret = pairs_check(1, verbs->rail_pairs, error);
	if (ret < 0)
		return ret;
	devices = ibv_get_device_list(NULL);
	if (!devices)
		return verbs_port_none(error);
	ret = open_first(verbs, options, devices, error);
	ibv_free_device_list(devices);
	return ret;
}

static int make_pair(struct verbs_rail *rail, struct verbs_pair *pair, struct verbs_pair_end *end)
{
	uint32_t number;
	int ret;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	pair->rail = rail;
	ret = rail->service->create(pair);
	if (ret < 0)
		return ret;
	end->number = pair->queues->qp_num;
	end->psn = number & 0xffffff;
	return rail->service->init(pair, end);
}

static int make_pairs(struct verbs *verbs, struct tandem_error *error)
{
	const unsigned int count = verbs->rail_count * verbs->rail_pairs;
	struct verbs_rail *rail;
	unsigned int i;
	int ret;

	verbs->made = calloc(count, sizeof(*verbs->made));
	if (!verbs->made)
		return tandem_error_set(error, -ENOMEM, "verbs: out of memory");
	for (i = 0; i < count; i++) {
		rail = &verbs->rails[i / verbs->rail_pairs];
		ret = make_pair(rail, &verbs->made[i], &verbs->local.pairs[i]);
		if (ret < 0)
			return tandem_error_set(error, ret,
						"verbs: %s: cannot make a queue pair: %s",
						rail->port.name, strerror(-ret));
	}
	return 0;
}

/* But for rails and pairs, which describe themselves. */
static void describe_self(struct verbs *verbs)
{
	struct verbs_endpoint *local = &verbs->local;
	const struct verbs_rail *rail;

	local->address = 0;
	local->length = verbs->rails[0].region->length;
	if (verbs->connection->grants)
		local->generation = verbs->connection->generation;
	local->rail_count = verbs->rail_count;
	local->rail_pairs = verbs->rail_pairs;
	local->write_bytes = VERBS_WRITE_BYTES;
	for (rail = verbs->rails; rail < verbs->rails + verbs->rail_count; rail++)
		while (local->write_bytes > rail->service->write_bytes(&rail->port))
			local->write_bytes /= 2;
}

/* Works on what has been made so far, too. */
static void verbs_free(struct verbs *verbs)
{
	unsigned int i;

	loop_task_cancel(verbs->connection->loop, &verbs->drain_task);
	loop_timer_stop(verbs->farewell_timer);
	verbs_destroy_pairs(verbs);
	free(verbs->made);
	verbs_keys_free(verbs);
	verbs_notes_free(verbs);
	for (i = 0; i < verbs->rail_count; i++)
		verbs_rail_close(&verbs->rails[i]);
	free(verbs->messages);
	free(verbs);
}

static int verbs_open(struct tandem_connection *connection,
		      const struct tandem_connection_options *options,
		      struct tandem_error *error)
{
	struct verbs *verbs;
	int ret;

	verbs = calloc(1, sizeof(*verbs));
	if (!verbs)
		return tandem_error_set(error, -ENOMEM, "verbs: out of memory");
	verbs->connection = connection;
	verbs->drain_task.run = verbs_drain_more;
	TAILQ_INIT(&verbs->working);
	TAILQ_INIT(&verbs->granted);
	TAILQ_INIT(&verbs->keys);
	STAILQ_INIT(&verbs->notes);
	verbs->rail_pairs = options->rdma_pairs ? options->rdma_pairs : RAIL_PAIRS_DEFAULT;
	ret = options->rdma_device ? open_named(verbs, options, error) :
				     open_any(verbs, options, error);
	if (!ret)
		ret = make_pairs(verbs, error);
	if (ret < 0) {
		verbs_free(verbs);
		return ret;
	}
	describe_self(verbs);
	connection->transport = verbs;
	return 0;
}

static size_t verbs_describe(struct tandem_connection *connection, uint8_t *part)
{
	struct verbs *verbs = connection->transport;

	return verbs_endpoint_encode(&verbs->local, part);
}

/*
 * Connecting
 */

/* Of the smaller number of pairs of each rail, and in the order that both sides know. */
static void use_pairs(struct verbs *verbs, const struct verbs_match *matches, unsigned int count)
{
	unsigned int rail_pairs = verbs->rail_pairs, i, j;
	struct verbs_rail *rail;
	struct verbs_pair *pair;

	if (rail_pairs > verbs->remote.rail_pairs)
		rail_pairs = verbs->remote.rail_pairs;
	for (i = 0; i < count; i++) {
		rail = &verbs->rails[matches[i].local];
		rail->number = i;
		rail->remote = &verbs->remote.rails[matches[i].remote];
		rail->first = &verbs->made[matches[i].local * verbs->rail_pairs];
		rail->stats.pairs = rail_pairs;
		verbs->rails_used[i] = rail;
		for (j = 0; j < rail_pairs; j++) {
			pair = &rail->first[j];
			pair->number = verbs->pair_count;
			verbs->pairs[verbs->pair_count++] = pair;
		}
	}
	verbs->rail_used_count = count;
}

/* Return: 0 or -errno. */
static int prepare_receives(struct verbs *verbs)
{
	unsigned int i;
	int ret = 0;

	verbs->messages = calloc(1, verbs_messages_bytes(verbs->rail_used_count));
	if (!verbs->messages)
		return -ENOMEM;
	for (i = 0; i < verbs->rail_used_count && !ret; i++)
		ret = verbs_rail_register_messages(verbs->rails_used[i]);
	for (i = 0; i < verbs->pair_count && !ret; i++) {
		verbs_receives_init(verbs->pairs[i]);
		ret = verbs_post_receives(verbs->pairs[i]);
	}
	return ret;
}

/* Return: 0 or -errno. */
static int connect_pair(struct verbs *verbs, struct verbs_pair *pair)
{
	const struct verbs_rail *rail = pair->rail;
	/* Pairs of a rail have numbers one after the other. */
	const unsigned int which = pair->number % rail->stats.pairs;
	const unsigned int theirs = rail->remote - verbs->remote.rails;
	const struct verbs_path path = {
		.port = &rail->port,
		.local = rail->end,
		.remote = rail->remote,
		.from = &verbs->local.pairs[pair - verbs->made],
		.to = &verbs->remote.pairs[theirs * verbs->remote.rail_pairs + which],
	};

	return rail->service->connect(pair, &path);
}

static int connect_pairs(struct verbs *verbs, struct tandem_error *error)
{
	struct verbs_pair *pair;
	unsigned int i;
	int ret;

	ret = prepare_receives(verbs);
	if (ret < 0)
		return tandem_error_set(error, ret, "verbs: cannot post receives: %s",
					strerror(-ret));
	for (i = 0; i < verbs->pair_count; i++) {
		pair = verbs->pairs[i];
		ret = connect_pair(verbs, pair);
		if (ret < 0)
			return tandem_error_set(error, -EHOSTUNREACH,
						"verbs: %s port %u cannot reach the other side: %s; see that both GIDs are of one network",
						pair->rail->port.name, pair->rail->port.number,
						strerror(-ret));
	}
	return 0;
}

/* Pairs that could not be connected are made ready for another attempt. */
static void verbs_rewind(struct verbs *verbs)
{
	struct verbs_pair *pair;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < verbs->pair_count && !ret; i++) {
		pair = verbs->pairs[i];
		ret = pair->rail->service->init(pair, &verbs->local.pairs[pair - verbs->made]);
	}
	if (ret < 0)
		connection_fail(verbs->connection, -EIO);
	for (i = 0; i < verbs->rail_used_count; i++) {
		verbs_rail_forget_messages(verbs->rails_used[i]);
		verbs->rails_used[i]->remote = NULL;
	}
	free(verbs->messages);
	verbs->messages = NULL;
	memset(verbs->pairs, 0, sizeof(verbs->pairs));
	verbs->pair_count = 0;
	verbs->rail_used_count = 0;
}

/* Without order there is less room in an immediate for how many came. */
static void limit_blocks(struct verbs *verbs, uint64_t block_bytes)
{
	const uint64_t most = XFER_UNORDERED_BLOCKS * block_bytes;
	unsigned int i;

	for (i = 0; i < verbs->rail_used_count; i++)
		if (!verbs->rails_used[i]->service->ordered &&
		    verbs->connection->write_bytes > most)
			verbs->connection->write_bytes = most;
}

static int verbs_connect(struct tandem_connection *connection,
			 const struct xfer_description *description, struct tandem_error *error)
{
	const uint64_t block_bytes = tandem_kv_block_bytes(&connection->layout);
	struct verbs *verbs = connection->transport;
	struct verbs_match matches[VERBS_RAILS_MAX];
	struct verbs_endpoint *remote = &verbs->remote;
	unsigned int count;
	int ret;

	if (verbs_endpoint_decode(description->part, description->part_size, remote) < 0 ||
	    remote->length < kv_layout_bytes(&description->layout))
		return tandem_error_set(error, -EPROTO,
					"verbs: the other side's description is malformed");
	if (!remote->generation != !connection->grants)
		return tandem_error_set(error, -EINVAL,
					"verbs: one side is for grants, the other is not; give both the same option");
	count = verbs_endpoint_match(&verbs->local, remote, matches);
	if (!count)
		return tandem_error_set(error, -EHOSTUNREACH,
					"verbs: %s and the other side's ports are of no common network (Ethernet, InfiniBand or EFA, kind of GID); choose others with rdma_device and gid_index",
					verbs->rails[0].port.name);
	use_pairs(verbs, matches, count);
	ret = connect_pairs(verbs, error);
	if (ret < 0) {
		verbs_rewind(verbs);
		return ret;
	}
	verbs->key_generation = remote->generation;
	connection->write_bytes = verbs_endpoint_write_bytes(&verbs->local, remote, count);
	limit_blocks(verbs, block_bytes);
	connection->write_slots = VERBS_SLOTS * verbs->pair_count;
	verbs->parts = (block_bytes + connection->write_bytes - 1) / connection->write_bytes;
	return 0;
}

/*
 * Closing
 */

static void verbs_farewell_expired(void *user)
{
	struct verbs *verbs = user;

	verbs->farewell_timer = NULL;
	verbs_rest(verbs);
}

static void verbs_abort(struct tandem_connection *connection)
{
	struct verbs *verbs = connection->transport;

	if (!verbs_farewell_begin(verbs) ||
	    loop_timer_start(connection->loop, VERBS_FAREWELL_MS, verbs_farewell_expired, verbs,
			     &verbs->farewell_timer) < 0)
		verbs_rest(verbs);
}

static void verbs_close(struct tandem_connection *connection)
{
	struct verbs *verbs = connection->transport;

	if (verbs_farewell_begin(verbs))
		verbs_farewell_wait(verbs);
	verbs_free(verbs);
}

const struct xfer_transport_ops xfer_verbs_ops = {
	.open = verbs_open,
	.describe = verbs_describe,
	.reach = verbs_reach,
	.connect = verbs_connect,
	.reads = true,
	.write = verbs_write,
	.flush = verbs_flush,
	.tell = verbs_tell,
	.repeats = verbs_repeats,
	.rail = verbs_rail,
	.probe = verbs_probe,
	.grant = verbs_grant,
	.revoke = verbs_revoke,
	.offer = verbs_offer,
	.withdraw = verbs_revoke,
	.granted = verbs_granted,
	.forget = verbs_forget,
	.abort = verbs_abort,
	.close = verbs_close,
};
