// SPDX-License-Identifier: MIT
/*
 * Transfers between two machines, over each network transport, with everything going
 * wrong that a network, a NIC, a process or a device can do. Runs on both of them at
 * once:
 *
 *	tests/vm/run --nodes 2 build/release/tests/guest/nodes/test_nodes
 *
 * Node 0 sends and decides what happens, node 1 receives and does what it is told.
 * The tests touch eth0 and rxe0, and use rxe1; node 0 talks to node 1 over eth1. How many
 * transfers the long test does: $TANDEM_SOAK (150). $TANDEM_TEST, $TANDEM_TRANSPORT (tcp,
 * verbs, auto, or rails, which is verbs over both NICs): only these.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"
#include "tests/native/channel/certificates.h"

#define DAY		86400L
#define SOAK_DEFAULT	150u
/* Longer than anything takes; only reached when something is broken. */
#define PATIENCE_S	120
/* Of each transfer. */
#define TIMEOUT_MS	4000
#define NETEM		"tc qdisc replace dev eth0 root netem "
#define NO_NETEM	"tc qdisc del dev eth0 root"
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static enum tandem_transport transport;
/* Over both NICs. */
static bool rails;
static struct worker sender;
static bool running;
/* A test has begun, and not come to its end. */
static bool disturbed;
/* Transfers may fail since a device or NIC is lost. */
static bool device_may_go;

/*
 * Workers on both nodes
 */

static struct worker_options usual_options(void)
{
	return (struct worker_options){
		.transport = transport,
		.rails = rails,
		.timeout_ms = TIMEOUT_MS,
		.seed = 4711,
	};
}

static void start_both(const struct worker_options *options)
{
	struct worker_options side = *options;

	side.sends = 0;
	remote_start(&side, 0);
	side.sends = 1;
	worker_start(&sender, &side, false);
	device_may_go = false;
	running = true;
}

static void restart_receiver(const struct worker_options *options)
{
	struct worker_options side = *options;

	side.sends = 0;
	remote_start(&side, 1);
}

/* Starting takes long under emulation: tests use the same workers, as long as all goes well. */
static void have_both(void)
{
	struct worker_options options = usual_options();

	if (!running)
		start_both(&options);
}

static void show(const char *which, const struct worker_counts *counts)
{
	printf("# %s: %u started: %u complete, %u cancelled, %u timed out, %u lost, %u device lost, %u other (%d); %u+%u openings; %u overdue, %u wrong, %u late; %d fds left\n",
	       which, counts->started, counts->complete, counts->cancelled, counts->timed_out,
	       counts->lost, counts->device_lost, counts->other, counts->other_code,
	       counts->opened, counts->not_opened, counts->overdue, counts->wrong, counts->late,
	       counts->fds_left);
}

static void show_both(void)
{
	struct worker_counts counts;

	remote_counts(&counts);
	show("sender", sender.counts);
	show("receiver", &counts);
}

/* Until @count more have arrived whole. */
static void await_complete(uint32_t count)
{
	uint32_t until = sender.counts->complete + count;
	time_t deadline = time(NULL) + PATIENCE_S;

	while (sender.counts->complete < until) {
		if (worker_has_ended(&sender) || time(NULL) > deadline) {
			show_both();
			fail_msg("only %u of %u arrived", sender.counts->complete, until);
		}
		usleep(20000);
	}
}

/* Until the sender has seen that something is wrong, or has nothing to do any more. */
static void await_trouble(void)
{
	uint32_t opened = sender.counts->opened + sender.counts->not_opened;
	uint32_t ended = sender.counts->lost + sender.counts->timed_out +
			 sender.counts->device_lost;
	time_t deadline = time(NULL) + TIMEOUT_MS / 1000 + PATIENCE_S;

	while (sender.counts->opened + sender.counts->not_opened == opened &&
	       sender.counts->lost + sender.counts->timed_out + sender.counts->device_lost ==
	       ended) {
		if (worker_has_ended(&sender) || time(NULL) > deadline) {
			show_both();
			fail_msg("the sender has not noticed");
		}
		usleep(20000);
	}
}

static void check(const char *which, const struct worker_counts *counts)
{
	if (counts->other || counts->overdue || counts->wrong || counts->late ||
	    (counts->device_lost && !device_may_go)) {
		show_both();
		fail_msg("%s: see above", which);
	}
	assert_true(counts->complete + counts->cancelled + counts->timed_out + counts->lost +
		    counts->device_lost <= counts->started);
}

/* So far all went as it has to. */
static void check_both(void)
{
	struct worker_counts counts;

	remote_counts(&counts);
	check("sender", sender.counts);
	check("receiver", &counts);
}

/* End both. */
static void finish_both(void)
{
	struct worker_counts counts;
	int here, there;

	here = worker_finish(&sender);
	there = remote_finish();
	remote_counts(&counts);
	running = false;
	show("sender", sender.counts);
	show("receiver", &counts);
	assert_int_equal(here, 0);
	assert_int_equal(there, 0);
	check("sender", sender.counts);
	check("receiver", &counts);
	assert_int_equal(sender.counts->fds_left, 0);
	assert_int_equal(counts.fds_left, 0);
}

static void shell(const char *command)
{
	if (system(command))
		fail_msg("%s: failed", command);
}

static void shell_both(const char *command)
{
	shell(command);
	if (remote_shell(command))
		fail_msg("node 1: %s: failed", command);
}

/* Whatever a test has left that failed: it is begun with anew. */
static int clean_up(void **state)
{
	static const char command[] = NO_NETEM "; ip link set eth0 up; "
		"[ ! -e /sys/class/infiniband/rxe1 ] || [ -e /sys/class/infiniband/rxe0 ] || "
		"rdma link add rxe0 type rxe netdev eth0; true";

	(void)state;
	if (!disturbed)
		return 0;
	worker_kill(&sender);
	remote_kill();
	running = false;
	disturbed = false;
	if (system(command) || remote_shell(command))
		return -1;
	return 0;
}

/*
 * The tests
 */

static void begin(void)
{
	disturbed = true;
	have_both();
}

static void end(void)
{
	check_both();
	disturbed = false;
}

static void test_plain(void **state)
{
	(void)state;
	begin();
	await_complete(20);
	assert_int_equal(sender.counts->opened, 1);
	assert_int_equal(sender.counts->timed_out + sender.counts->lost, 0);
	end();
}

/* Two machines, each with a NIC. */
static void test_chosen(void **state)
{
	struct worker_counts counts;

	(void)state;
	begin();
	await_complete(5);
	remote_counts(&counts);
	assert_int_equal(sender.counts->transport, TANDEM_TRANSPORT_VERBS);
	assert_int_equal(counts.transport, TANDEM_TRANSPORT_VERBS);
	end();
}

static void with_netem(const char *what, uint32_t transfers)
{
	char command[128];

	begin();
	snprintf(command, sizeof(command), NETEM "%s", what);
	shell_both(command);
	await_complete(transfers);
	end();
}

static void test_loss_tenth(void **state)
{
	(void)state;
	with_netem("loss 0.1%", 12);
}

static void test_loss_one(void **state)
{
	(void)state;
	with_netem("loss 1%", 8);
}

static void test_loss_five(void **state)
{
	(void)state;
	with_netem("loss 5%", 3);
}

static void test_reordering(void **state)
{
	(void)state;
	with_netem("delay 3ms reorder 80% 50%", 4);
}

static void test_delay(void **state)
{
	(void)state;
	with_netem("delay 10ms limit 10000", 6);
	disturbed = true;
	shell_both(NO_NETEM);
	end();
}

/* One side's port is down for longer than a transfer may take. */
static void test_link_down(void **state)
{
	uint32_t opened;

	(void)state;
	begin();
	await_complete(2);
	opened = sender.counts->opened;
	shell("ip link set eth0 down");
	await_trouble();
	shell("ip link set eth0 up");
	await_complete(3);
	assert_true(sender.counts->opened > opened);
	end();
}

static void test_receiver_killed(void **state)
{
	struct worker_options options = usual_options();
	uint32_t opened;
	int round;

	(void)state;
	begin();
	await_complete(2);
	opened = sender.counts->opened;
	for (round = 0; round < 2; round++) {
		remote_kill();
		restart_receiver(&options);
		await_complete(2);
	}
	assert_true(sender.counts->opened >= opened + 2);
	end();
}

static void test_sender_killed(void **state)
{
	struct worker_options options = usual_options();
	struct worker_counts counts;
	uint32_t opened;
	int round;

	(void)state;
	begin();
	await_complete(2);
	remote_counts(&counts);
	opened = counts.opened;
	options.sends = 1;
	for (round = 0; round < 2; round++) {
		worker_kill(&sender);
		worker_start(&sender, &options, true);
		await_complete(2);
	}
	remote_counts(&counts);
	assert_true(counts.opened >= opened + 2);
	end();
}

/* Its kernel answers for it: only a deadline finds out. */
static void test_receiver_stopped(void **state)
{
	uint32_t opened;

	(void)state;
	begin();
	await_complete(2);
	opened = sender.counts->opened;
	remote_signal(SIGSTOP);
	await_trouble();
	remote_signal(SIGCONT);
	await_complete(3);
	assert_true(sender.counts->opened > opened);
	end();
}

static void test_sender_stopped(void **state)
{
	time_t deadline = time(NULL) + PATIENCE_S;
	struct worker_counts counts;
	uint32_t timed_out;

	(void)state;
	begin();
	await_complete(2);
	remote_counts(&counts);
	timed_out = counts.timed_out;
	kill(sender.pid, SIGSTOP);
	do {
		usleep(50000);
		remote_counts(&counts);
		assert_true(time(NULL) < deadline);
	} while (counts.timed_out == timed_out);
	kill(sender.pid, SIGCONT);
	await_complete(3);
	end();
}

static void test_slow_receiver(void **state)
{
	(void)state;
	begin();
	await_complete(2);
	remote_slow(100);
	await_complete(4);
	remote_slow(0);
	await_complete(2);
	end();
}

/* The memory of a device stays what it is. */
static void test_device_reset(void **state)
{
	static const char command[] = "echo 1 >/sys/class/accel/accel%d/device/reset";
	char text[128];

	(void)state;
	if (access("/dev/accel/accel0", F_OK)) {
		printf("# skip: there is no driver here\n");
		skip();
	}
	begin();
	device_may_go = true;
	await_complete(2);
	snprintf(text, sizeof(text), command, 1);
	assert_int_equal(remote_shell(text), 0);
	await_complete(2);
	snprintf(text, sizeof(text), command, 0);
	shell(text);
	await_complete(2);
	end();
}

/* After all that, everything is closed, and what was opened is gone. */
static void test_nothing_left(void **state)
{
	(void)state;
	begin();
	await_complete(2);
	finish_both();
	disturbed = false;
}

/* What the whole machine has in use, but for the processes of this test. */
static void read_usage(char text[2][256])
{
	static const char command[] =
		"echo $(rdma resource show rxe0 2>/dev/null | sed 's/ ctx.*//') "
		"$(cat /sys/kernel/debug/accel/*/objects 2>/dev/null | wc -l)";

	local_output(command, text[0], sizeof(text[0]));
	remote_output(command, text[1], sizeof(text[1]));
	if (transport == TANDEM_TRANSPORT_VERBS) {
		assert_non_null(strstr(text[0], " qp "));
		assert_non_null(strstr(text[1], " qp "));
	}
}

/* Sizes, cancellations and kills at random; nothing is left behind. */
static void test_soak(void **state)
{
	const char *wanted = getenv("TANDEM_SOAK");
	struct worker_options options = usual_options();
	char before[2][256], during[2][256], after[2][256];
	uint32_t total = wanted ? strtoul(wanted, NULL, 10) : SOAK_DEFAULT;
	time_t deadline = time(NULL) + PATIENCE_S + total;
	uint32_t kill_at, random = 1;

	(void)state;
	disturbed = true;
	read_usage(before);
	options.cancel_percent = 2;
	start_both(&options);
	await_complete(1);
	read_usage(during);
	kill_at = sender.counts->started + 50;
	while (sender.counts->started < total) {
		if (time(NULL) > deadline || worker_has_ended(&sender)) {
			show_both();
			fail_msg("%u of %u transfers", sender.counts->started, total);
		}
		usleep(20000);
		if (sender.counts->started < kill_at)
			continue;
		random = random * 1664525 + 1013904223;
		kill_at += 50 + random % 100;
		if (random >> 31) {
			remote_kill();
			restart_receiver(&options);
		} else {
			worker_kill(&sender);
			options.sends = 1;
			worker_start(&sender, &options, true);
		}
	}
	finish_both();
	assert_true(sender.counts->complete > total / 2);
	assert_true(sender.counts->cancelled > 0);
	read_usage(after);
	if (transport == TANDEM_TRANSPORT_VERBS)
		assert_string_not_equal(before[0], during[0]);
	assert_string_equal(before[0], after[0]);
	assert_string_equal(before[1], after[1]);
	disturbed = false;
}

/*
 * Both nodes
 */

static void send_file(const char *name)
{
	static char bytes[16384];
	char path[256];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", worker_certificates, name);
	file = fopen(path, "r");
	assert_non_null(file);
	size = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	remote_file(name, bytes, size);
}

static void make_certificates(void)
{
	static const struct wanted_certificate wanted[] = {
		{ "ours", NULL, NULL, -DAY, DAY },
		{ "decode", "decode.example", "ours", -DAY, DAY },
		{ "prefill", "prefill.example", "ours", -DAY, DAY },
	};
	static const char *const files[] = { "ours.pem", "decode.pem", "decode.key",
					     "prefill.pem", "prefill.key" };
	size_t i;

	for (i = 0; i < COUNT(wanted); i++)
		make_certificate(worker_certificates, &wanted[i]);
	for (i = 0; i < COUNT(files); i++)
		send_file(files[i]);
}

static int set_up(void **state)
{
	(void)state;
	make_certificates();
	return 0;
}

static int test_both(void)
{
#define TEST(name)	cmocka_unit_test_teardown(name, clean_up)
	const struct CMUnitTest tests[] = {
		TEST(test_plain),
		TEST(test_loss_tenth),
		TEST(test_loss_one),
		TEST(test_loss_five),
		TEST(test_reordering),
		TEST(test_delay),
		TEST(test_link_down),
		TEST(test_receiver_killed),
		TEST(test_sender_killed),
		TEST(test_receiver_stopped),
		TEST(test_sender_stopped),
		TEST(test_slow_receiver),
		TEST(test_device_reset),
		TEST(test_nothing_left),
		TEST(test_soak),
	};
	const struct CMUnitTest chosen[] = {
		TEST(test_chosen),
		TEST(test_receiver_killed),
		TEST(test_nothing_left),
	};
	/* What happens to eth0 happens to one of two NICs. */
	const struct CMUnitTest rails_tests[] = {
		TEST(test_plain),
		TEST(test_loss_one),
		TEST(test_delay),
		TEST(test_link_down),
		TEST(test_receiver_killed),
		TEST(test_receiver_stopped),
		TEST(test_nothing_left),
		TEST(test_soak),
	};
	const char *only = getenv("TANDEM_TRANSPORT");
	int failed = 0;

	if (getenv("TANDEM_TEST"))
		cmocka_set_test_filter(getenv("TANDEM_TEST"));
	transport = TANDEM_TRANSPORT_TCP;
	if (!only || !strcmp(only, "tcp"))
		failed += cmocka_run_group_tests_name("two nodes, tcp", tests, set_up, NULL);
	transport = TANDEM_TRANSPORT_VERBS;
	if (!only || !strcmp(only, "verbs"))
		failed += cmocka_run_group_tests_name("two nodes, verbs", tests, set_up, NULL);
	transport = TANDEM_TRANSPORT_AUTO;
	if (!only || !strcmp(only, "auto"))
		failed += cmocka_run_group_tests_name("two nodes, what is chosen", chosen, set_up,
						      NULL);
	transport = TANDEM_TRANSPORT_VERBS;
	rails = true;
	if (!only || !strcmp(only, "rails"))
		failed += cmocka_run_group_tests_name("two nodes, verbs over two NICs",
						      rails_tests, set_up, NULL);
	return failed;
}

int main(void)
{
	const char *text = getenv("TANDEM_NODE");
	unsigned int node = text ? strtoul(text, NULL, 10) : 0;
	char command[64];
	int failed = 0;

	text = getenv("TANDEM_NODES");
	if (!text || strcmp(text, "2")) {
		printf("1..0 # SKIP needs two nodes: tests/vm/run --nodes 2\n");
		return 0;
	}
	setlinebuf(stdout);
	/* eth1 is for what the tests say to one another, and no way round for eth0. */
	snprintf(command, sizeof(command), "ip addr replace 10.77.1.%u/24 dev eth1", node + 1);
	if (system("ip addr flush dev eth1") || system(command))
		return 1;
	strcpy(worker_certificates, "/tmp/test_nodes.XXXXXX");
	if (!mkdtemp(worker_certificates))
		return 1;
	strcpy(worker_address, "10.77.0.2");
	control_connect(node, "10.77.1.2");
	if (!node) {
		failed = test_both();
	} else {
		printf("1..1\n");
		failed = control_serve() == 0;
		printf("%sok 1 - has done what node 0 wanted\n", failed ? "not " : "");
	}
	return failed;
}
