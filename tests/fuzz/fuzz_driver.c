// SPDX-License-Identifier: MIT
/*
 * A fuzzer of the driver's whole interface: ioctls, io_uring commands, mappings,
 * dma-bufs, syncobjs, with threads that race, processes that die and firmware
 * that does wrong. Its inputs are mostly valid, so that they get far.
 *
 * What it checks: that no byte of another worker's objects is ever seen, that
 * each submission is answered once, that errors are those of the interface, and
 * that nothing stays behind. The kernel's own checks are the runner's to look
 * at. And of itself: that some calls of each kind succeed.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_drain.h"
#include "fuzz_firmware.h"
#include "fuzz_ops.h"

/* A worker that has done nothing for so long hangs. */
#define STUCK_SECONDS	150
/* In a run of that length, each kind of call is to succeed. */
#define LONG_SECONDS	15
#define POLL_MS		100

/**
 * struct options - what the user wants
 * @seed: of all chance
 * @ops: operations of each worker; 0 for no limit
 * @seconds: of the run; 0 for no limit
 * @threads: of each process
 * @processes: how many
 * @trace: directory for traces, or NULL
 */
struct options {
	uint64_t seed;
	uint64_t ops;
	uint32_t seconds;
	uint32_t threads;
	uint32_t processes;
	const char *trace;
};

static struct options options = { .seconds = 15, .threads = 4, .processes = 2 };
static struct fuzz_shared *shared;
static struct fuzz_process process;

static const struct argp_option known[] = {
	{ "seed", 's', "N", 0, "Seed of all chance (default: from the clock)", 0 },
	{ "ops", 'o', "N", 0, "Operations of each thread (default: no limit)", 0 },
	{ "seconds", 't', "N", 0, "Time of the run; 0 for no limit (default 15)", 0 },
	{ "threads", 'n', "N", 0, "Threads of each process (default 4)", 0 },
	{ "processes", 'p', "N", 0, "Processes (default 2)", 0 },
	{ "trace", 'd', "DIR", 0, "Write each thread's operations to a file there", 0 },
	{ 0 },
};

static uint64_t parse_number(struct argp_state *state, const char *text, uint64_t most)
{
	unsigned long long number;
	char *end;

	errno = 0;
	number = strtoull(text, &end, 0);
	if (errno || end == text || *end || number > most)
		argp_error(state, "'%s' is not a number up to %llu", text,
			   (unsigned long long)most);
	return number;
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	switch (key) {
	case 's':
		options.seed = parse_number(state, argument, UINT64_MAX);
		return 0;
	case 'o':
		options.ops = parse_number(state, argument, UINT64_MAX);
		return 0;
	case 't':
		options.seconds = parse_number(state, argument, 1000000);
		return 0;
	case 'n':
		options.threads = parse_number(state, argument, FUZZ_THREADS_MAX);
		return 0;
	case 'p':
		options.processes = parse_number(state, argument, FUZZ_PROCESSES_MAX);
		return 0;
	case 'd':
		options.trace = argument;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static FILE *open_trace(int number)
{
	char path[512];
	FILE *trace;

	if (!options.trace)
		return NULL;
	snprintf(path, sizeof(path), "%s/fuzz-%llu.%d", options.trace,
		 (unsigned long long)options.seed, number);
	trace = fopen(path, "w");
	/* A kernel that dies takes what was not written with it. */
	if (trace)
		setvbuf(trace, NULL, _IOLBF, 0);
	return trace;
}

static void *work(void *argument)
{
	struct fuzz_worker *worker = argument;
	uint64_t done;

	fuzz_worker_begin(worker);
	for (done = 0; !atomic_load(&shared->stop) && (!worker->ops || done < worker->ops);
	     done++)
		fuzz_step(worker);
	fuzz_note(worker, "end");
	fuzz_worker_end(worker);
	if (worker->trace)
		fclose(worker->trace);
	return NULL;
}

/* One of the processes: @life counts how often it has been started. */
static void be_process(uint32_t number, uint32_t life)
{
	static struct fuzz_worker workers[FUZZ_THREADS_MAX];
	pthread_t threads[FUZZ_THREADS_MAX];
	uint32_t i;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fuzz_process_begin(&process);
	for (i = 0; i < options.threads; i++) {
		struct fuzz_worker *worker = &workers[i];

		worker->number = number * options.threads + i;
		/* Neither zero nor one of the numbers that memory is full of. */
		worker->tag = 0x40 + worker->number;
		worker->random.state = fuzz_derive(options.seed, worker->number * 65536ull +
								 life);
		worker->ops = options.ops;
		worker->may_change_firmware = !worker->number;
		worker->shared = shared;
		worker->process = &process;
		worker->trace = open_trace(worker->number);
	}
	/* The first on this thread, whose children end with it. */
	for (i = 1; i < options.threads; i++) {
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			_exit(2);
	}
	work(&workers[0]);
	for (i = 1; i < options.threads; i++)
		pthread_join(threads[i], NULL);
	fuzz_firmware_kill(number ? 0 : shared->firmware[1]);
	_exit(0);
}

/**
 * struct child - a process as its parent sees it
 * @pid: 0 when it has ended
 * @life: how often it has been started
 * @killed: its parent has killed it
 */
struct child {
	pid_t pid;
	uint32_t life;
	bool killed;
};

static struct child children[FUZZ_PROCESSES_MAX];

static void complain(const char *what)
{
	if (!atomic_exchange(&shared->failed, true))
		snprintf(shared->failure, sizeof(shared->failure), "%s", what);
	atomic_store(&shared->stop, true);
}

static void start_child(uint32_t number)
{
	struct child *child = &children[number];

	child->killed = false;
	child->pid = fork();
	if (!child->pid)
		be_process(number, child->life);
	if (child->pid < 0)
		complain("cannot fork");
	child->life++;
}

/* Those that have ended; those that were killed come again. */
static void reap_children(void)
{
	char what[128];
	uint32_t i;
	int status;

	for (i = 0; i < options.processes; i++) {
		struct child *child = &children[i];

		if (!child->pid || waitpid(child->pid, &status, WNOHANG) != child->pid)
			continue;
		child->pid = 0;
		if (!child->killed && status) {
			snprintf(what, sizeof(what), "process %u ended with status %#x", i,
				 status);
			complain(what);
		}
		if (child->killed && !atomic_load(&shared->stop))
			start_child(i);
	}
}

static bool any_child(void)
{
	uint32_t i;

	for (i = 0; i < options.processes; i++)
		if (children[i].pid)
			return true;
	return false;
}

/* Any process but the first, which has the firmware. */
static void kill_a_child(struct fuzz_random *random)
{
	uint32_t number;

	if (options.processes < 2)
		return;
	number = 1 + fuzz_below(random, options.processes - 1);
	if (!children[number].pid || children[number].killed)
		return;
	children[number].killed = true;
	kill(children[number].pid, SIGKILL);
}

static void kill_children(void)
{
	uint32_t i;

	for (i = 0; i < options.processes; i++) {
		if (!children[i].pid)
			continue;
		children[i].killed = true;
		kill(children[i].pid, SIGKILL);
	}
}

static void print_notes(void)
{
	uint32_t worker, i;
	uint64_t count;

	for (worker = 0; worker < options.threads * options.processes; worker++) {
		const struct fuzz_notes *notes = &shared->notes[worker];

		count = notes->count;
		printf("# thread %u, the last of %llu notes:\n", worker,
		       (unsigned long long)count);
		for (i = 0; i < FUZZ_NOTES && i < count; i++)
			printf("#   %.*s\n", FUZZ_NOTE_BYTES,
			       notes->text[(count - (count < FUZZ_NOTES ? count : FUZZ_NOTES) +
					    i) % FUZZ_NOTES]);
	}
}

static void print_blocked_tasks(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "w", 1) != 1)
		perror("# sysrq");
	close(fd);
}

/* Does every worker get on? */
static void watch_workers(void)
{
	static uint64_t counts[FUZZ_WORKERS_MAX];
	static time_t since[FUZZ_WORKERS_MAX];
	time_t now = time(NULL);
	uint32_t i;

	for (i = 0; i < options.threads * options.processes; i++) {
		if (counts[i] != shared->notes[i].count || !since[i] ||
		    !children[i / options.threads].pid) {
			counts[i] = shared->notes[i].count;
			since[i] = now;
		} else if (now - since[i] > STUCK_SECONDS && !shared->failed &&
			   strcmp(shared->notes[i].text[(counts[i] - 1) % FUZZ_NOTES], "end")) {
			print_blocked_tasks();
			complain("a thread hangs");
		}
	}
}

static void run(void)
{
	struct fuzz_random random = { fuzz_derive(options.seed, 1ull << 40) };
	time_t end = time(NULL) + options.seconds, hard_end;
	uint32_t i;

	for (i = 0; i < options.processes; i++)
		start_child(i);
	while (!atomic_load(&shared->stop) && any_child() &&
	       (!options.seconds || time(NULL) < end)) {
		usleep(POLL_MS * 1000);
		reap_children();
		watch_workers();
		if (fuzz_one_in(&random, 15))
			kill_a_child(&random);
	}
	atomic_store(&shared->stop, true);
	hard_end = time(NULL) + STUCK_SECONDS;
	while (any_child() && time(NULL) < hard_end) {
		usleep(POLL_MS * 1000);
		reap_children();
	}
	if (any_child()) {
		print_blocked_tasks();
		complain("a process does not end");
		kill_children();
	}
	while (any_child() && time(NULL) < hard_end + 30) {
		usleep(POLL_MS * 1000);
		reap_children();
	}
}

/* A module parameter in milliseconds. */
struct parameter {
	const char *name;
	const char *value;
	char before[32];
};

/* So that what hangs ends soon. */
static struct parameter parameters[] = {
	{ .name = "command_timeout_ms", .value = "1500" },
	{ .name = "admin_timeout_ms", .value = "3000" },
};

#define PARAMETERS	(sizeof(parameters) / sizeof(parameters[0]))

static void set_parameter(struct parameter *parameter, bool back)
{
	const char *value = back ? parameter->before : parameter->value;
	char path[128];
	ssize_t length = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/tandem/parameters/%s", parameter->name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && !back)
		length = read(fd, parameter->before, sizeof(parameter->before) - 1);
	if (fd < 0 || length < 0 || write(fd, value, strlen(value)) < 0)
		fprintf(stderr, "# cannot set %s: %s\n", parameter->name, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void set_parameters(bool back)
{
	size_t i;

	for (i = 0; i < PARAMETERS; i++)
		set_parameter(&parameters[i], back);
}

/* All who used it have gone: then nothing of theirs is left on it. */
static void check_device_is_empty(int node)
{
	struct drm_tandem_get_param used = { .param = TANDEM_PARAM_MEMORY_USED };
	char path[64], what[128];
	int fd, tries;

	snprintf(path, sizeof(path), "/dev/accel/accel%d", node);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		complain("device 0 has gone, and nobody has taken it away");
		return;
	}
	for (tries = 0; tries < 500; tries++) {
		if (ioctl(fd, DRM_IOCTL_TANDEM_GET_PARAM, &used) || !used.value)
			break;
		usleep(20000);
	}
	close(fd);
	snprintf(what, sizeof(what), "%llu bytes of device 0 are still used",
		 (unsigned long long)used.value);
	if (used.value)
		complain(what);
}

static void check_bus(int devices)
{
	int tries;

	for (tries = 0; fuzz_firmware_count() != devices; tries++) {
		if (tries == 500) {
			complain("a device is left on the bus");
			return;
		}
		usleep(20000);
	}
}

/* What never succeeds is not tested. */
static void check_counts(void)
{
	enum fuzz_call call = fuzz_find_unsuccessful(shared->counts);
	char what[128];

	fuzz_print_counts(shared->counts);
	if (call == FUZZ_CALLS || options.ops || options.seconds < LONG_SECONDS)
		return;
	snprintf(what, sizeof(what), "'%s' never succeeded: the fuzzer's own fault",
		 fuzz_call_name(call));
	complain(what);
}

static int fuzz(void)
{
	static const char *const no_faults[] = { NULL };
	int devices = fuzz_firmware_count(), node;
	pid_t firmware;

	firmware = fuzz_firmware_start(no_faults, &node);
	if (firmware < 0 || node < 0) {
		printf("not ok 1 - fuzz: no device comes up\n");
		fuzz_firmware_kill(firmware);
		return EXIT_FAILURE;
	}
	shared->node[0] = node;
	shared->node[1] = -1;
	set_parameters(false);
	run();
	set_parameters(true);
	check_device_is_empty(node);
	fuzz_firmware_kill(firmware);
	check_bus(devices);
	check_counts();
	if (!shared->failed) {
		printf("ok 1 - fuzz\n");
		return EXIT_SUCCESS;
	}
	print_notes();
	printf("not ok 1 - fuzz: seed %llu: %s\n", (unsigned long long)options.seed,
	       shared->failure);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	const struct argp parser = {
		.options = known,
		.parser = parse,
		.doc = "Fuzz the Tandem driver, on devices of its own, as root.\v"
		       "To replay: with --threads 1 --processes 1, a seed makes the same calls "
		       "again, as far as the kernel and the device answer alike and in the same "
		       "order. With more, each thread draws the same numbers, but what it makes of "
		       "them depends on what the others have done: the seed then repeats the kind of "
		       "run, and has to be tried some times. --trace shows what was done. The "
		       "result is in TAP; the log of the kernel is not looked at.",
	};

	options.seed = time(NULL);
	argp_parse(&parser, argc, argv, 0, NULL, NULL);
	if (!options.threads || !options.processes) {
		fprintf(stderr, "fuzz_driver: one thread and one process at least\n");
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..1\n# --seed %llu --threads %u --processes %u\n",
	       (unsigned long long)options.seed, options.threads, options.processes);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED) {
		perror("fuzz_driver");
		return EXIT_FAILURE;
	}
	shared->drain_is_forgotten = fuzz_drain_is_forgotten();
	if (shared->drain_is_forgotten)
		printf("# this kernel forgets drained submissions when later ones are malformed: "
		       "not tried together\n");
	return fuzz();
}
