// SPDX-License-Identifier: MIT
/*
 * Devices that do wrong while they are in use: what becomes of the command, of
 * the device, and of another context that had no part in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault.h"

#define SIZE	MIB
#define TAG	0x7a67666f72746167ull

static struct firmware firmware;
static struct accel victim, bystander;
static int devices;

static int setup(void **state)
{
	(void)state;
	devices = fault_count_devices();
	fault_timeouts_short();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	accel_close(&victim);
	accel_close(&bystander);
	firmware_kill(&firmware);
	fault_timeouts_usual();
	fault_wait_for_devices(devices);
	return 0;
}

static void start(const char *const *faults)
{
	assert_true(firmware_start_faulty(&firmware, faults));
	accel_open(&bystander, firmware.node);
	accel_open(&victim, firmware.node);
}

static int nop(void)
{
	struct tandem_uring_command command = { .queue = victim.copy };

	return accel_run(&victim, TANDEM_URING_NOP, &command);
}

/* One command meets the faults; @result or @other is its end. */
static void meet(const char *const *faults, int result, int other,
		 enum ending ending)
{
	int got;

	start(faults);
	got = nop();
	if (got != result && got != other)
		fail_msg("%s: the command ended with %d, not %d", faults[0],
			 got, result);
	/* The same file goes on, when the device does. */
	if (ending == STAYS)
		assert_int_equal(nop(), 0);
	accel_close(&victim);
	fault_device_ends(&firmware, &bystander, ending);
}

struct fault_case {
	const char *faults[FAULTS_MAX];
	int result;
	int other;
	enum ending ending;
};

static void meet_all(const struct fault_case *cases, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++) {
		print_message("# %s\n", cases[i].faults[0]);
		meet(cases[i].faults, cases[i].result, cases[i].other,
		     cases[i].ending);
	}
}

#define MEET_ALL(cases) meet_all(cases, sizeof(cases) / sizeof((cases)[0]))

static void test_hangs(void **state)
{
	static const struct fault_case cases[] = {
		{ { "hang" }, -ETIMEDOUT, -ETIMEDOUT, STAYS },
		{ { "hang:until=disable" }, -ETIMEDOUT, -ETIMEDOUT, RESET },
		{ { "hang:until=exit" }, -ETIMEDOUT, -ENODEV, GONE },
		{ { "late:on=command,ms=300" }, 0, 0, STAYS },
	};

	(void)state;
	MEET_ALL(cases);
}

static void test_state_of_the_device(void **state)
{
	static const struct fault_case cases[] = {
		{ { "heartbeat" }, 0, 0, RESET },
		{ { "fatal:value=9" }, 0, 0, RESET },
		{ { "fatal:value=0xffff" }, 0, 0, RESET },
		{ { "register:on=command,field=status,value=77" }, 0, 0,
		  RESET },
		{ { "register:on=command,field=status,value=0" }, 0, 0,
		  RESET },
		/* Nobody looks at these while it runs. */
		{ { "register:on=command,field=fatal,value=9" }, 0, 0, STAYS },
		{ { "register:on=command,field=epoch,value=0" }, 0, 0, STAYS },
	};

	(void)state;
	MEET_ALL(cases);
}

static void test_crashes(void **state)
{
	static const struct fault_case cases[] = {
		{ { "crash" }, -ENODEV, -ENODEV, GONE },
		/* While it is being reset. */
		{ { "heartbeat", "crash:on=disable" }, 0, 0, GONE },
		{ { "heartbeat", "crash:on=enable,at=2" }, 0, 0, GONE },
		{ { "heartbeat", "crash:on=admin,opcode=0x81,at=5" }, 0, 0,
		  GONE },
	};

	(void)state;
	MEET_ALL(cases);
}

static void test_resets_that_fail(void **state)
{
	static const struct fault_case cases[] = {
		{ { "heartbeat", "stuck:on=disable" }, 0, 0, GONE },
		{ { "heartbeat", "stuck:on=enable,at=2" }, 0, 0, GONE },
		{ { "heartbeat", "silent:opcode=0x81,at=5" }, 0, 0, GONE },
		{ { "heartbeat", "refuse:opcode=0x81,at=5" }, 0, 0, GONE },
		{ { "heartbeat",
		    "register:on=disable,field=memory-size,value=4096" }, 0, 0,
		  GONE },
		{ { "heartbeat", "register:on=disable,field=magic" }, 0, 0,
		  GONE },
	};

	(void)state;
	MEET_ALL(cases);
}

static void test_completions_that_are_wrong(void **state)
{
	static const struct fault_case cases[] = {
		/* In place of the right one, which never comes. */
		{ { "completion:field=id" }, -ETIMEDOUT, -EIO, RESET },
		{ { "completion:field=queue" }, -ETIMEDOUT, -EIO, RESET },
		{ { "completion:field=phase" }, -ETIMEDOUT, -EIO, RESET },
		{ { "completion:field=epoch,add=-1" }, -ETIMEDOUT, -EIO,
		  RESET },
		{ { "lost-completion" }, -ETIMEDOUT, -EIO, RESET },
		/* Beside it. */
		{ { "completion:field=id,extra=1" }, 0, 0, STAYS },
		{ { "completion:field=id,add=1,extra=1" }, 0, 0, STAYS },
		{ { "completion:field=queue,extra=1" }, 0, 0, STAYS },
		{ { "completion:field=epoch,add=-1,extra=1" }, 0, 0, STAYS },
		{ { "duplicate" }, 0, 0, STAYS },
		/* In what it says. */
		{ { "completion:field=status,value=10" }, -EIO, -EIO, STAYS },
		{ { "completion:field=status" }, -EIO, -EIO, STAYS },
		{ { "completion:field=detail" }, 0, 0, STAYS },
		{ { "completion:field=duration" }, 0, 0, STAYS },
		{ { "completion:field=modelled" }, 0, 0, STAYS },
		{ { "completion:field=ended" }, 0, 0, STAYS },
		{ { "completion:field=ended,value=1" }, 0, 0, STAYS },
		{ { "completion:field=reserved" }, 0, 0, STAYS },
	};

	(void)state;
	MEET_ALL(cases);
}

/* Two rounds through the rings, each completion with one of before. */
static void test_completions_that_come_again(void **state)
{
	int i;

	(void)state;
	start((const char *[]) { "replay:at=2,count=0",
				 "replay:at=40,count=0,value=30", NULL });
	for (i = 0; i < 600; i++)
		assert_int_equal(nop(), 0);
	accel_close(&victim);
	fault_device_ends(&firmware, &bystander, STAYS);
}

/* None of the numbers that a command reports can be more than has passed. */
static void test_times_are_held_against_the_clock(void **state)
{
	struct tandem_uring_command command = { 0 };
	struct io_uring_cqe *cqe;

	(void)state;
	start((const char *[]) { "completion:field=duration,value=-1", NULL });
	command.queue = victim.copy;
	accel_prepare(&victim, TANDEM_URING_NOP, &command, 0);
	io_uring_submit(&victim.ring);
	assert_int_equal(io_uring_wait_cqe(&victim.ring, &cqe), 0);
	assert_int_equal(cqe->res, 0);
	assert_true(cqe->big_cqe[0] < 600ull * 1000000000);
	io_uring_cqe_seen(&victim.ring, cqe);
	accel_close(&victim);
	fault_device_ends(&firmware, &bystander, STAYS);
}

static void test_interrupts(void **state)
{
	static const struct fault_case cases[] = {
		{ { "lost-interrupt" }, 0, 0, STAYS },
		{ { "storm:value=2000" }, 0, 0, STAYS },
		{ { "storm:value=2000", "lost-interrupt" }, 0, 0, STAYS },
		{ { "armed:value=0,count=0" }, 0, 0, STAYS },
		{ { "armed:value=-1,count=0" }, 0, 0, STAYS },
		{ { "armed:value=0x80000000,count=0,queue=0" }, 0, 0, STAYS },
	};

	(void)state;
	MEET_ALL(cases);
}

/* What makes the driver ask the device, and wait for the answer. */
static int map_and_unmap(void)
{
	uint32_t region = accel_region(&victim, 0, accel_object(&victim, SIZE),
				       0, SIZE, READ | WRITE);

	return accel_region_unmap(&victim, 0, region);
}

struct admin_case {
	const char *faults[FAULTS_MAX];
	int result;
	enum ending ending;
};

static void test_admin_commands(void **state)
{
	/* CONTEXT_SYNC, after the handshake and the opening of files. */
	static const struct admin_case cases[] = {
		{ { "late:opcode=0x84,ms=300" }, 0, STAYS },
		{ { "lost-interrupt:queue=0,opcode=0x84" }, 0, STAYS },
		{ { "duplicate:queue=0,opcode=0x84" }, 0, STAYS },
		{ { "replay:queue=0,opcode=0x84" }, 0, STAYS },
		{ { "completion:queue=0,opcode=0x84,field=epoch,extra=1" }, 0,
		  STAYS },
		{ { "silent:opcode=0x84" }, 0, RESET },
		/* The reset brings about what was refused. */
		{ { "refuse:opcode=0x84" }, 0, RESET },
		{ { "refuse:opcode=0x84,value=4" }, 0, RESET },
		{ { "completion:queue=0,opcode=0x84,field=status" }, 0, RESET },
		{ { "refuse:opcode=0x84", "stuck:on=disable" }, -ENODEV, GONE },
		{ { "lost-completion:queue=0,opcode=0x84" }, 0, RESET },
		{ { "completion:queue=0,opcode=0x84,field=id" }, 0, RESET },
		{ { "crash:on=admin,opcode=0x84" }, -ENODEV, GONE },
	};
	size_t i;
	int got;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("# %s\n", cases[i].faults[0]);
		start(cases[i].faults);
		got = map_and_unmap();
		if (got != cases[i].result)
			fail_msg("%s: unmapping ended with %d",
				 cases[i].faults[0], got);
		accel_close(&victim);
		fault_device_ends(&firmware, &bystander, cases[i].ending);
	}
}

#define CLUNG_TO	(4 * SIZE)

/* Is a new object, which may lie where the old one was, left alone? */
static void assert_left_alone(void)
{
	uint32_t handle = accel_object(&bystander, CLUNG_TO);
	uint8_t *memory = accel_map(&bystander, handle, CLUNG_TO);
	int round;
	size_t i;

	for (round = 0; round < 100; round++) {
		for (i = 0; i < CLUNG_TO; i += 4096)
			assert_int_equal(memory[i], 0);
		usleep(5000);
	}
	munmap(memory, CLUNG_TO);
	accel_object_close(&bystander, handle);
}

/*
 * A command that never ends writes to a region of the victim, and the device
 * refuses to say when it is done. Returns the region.
 */
static uint32_t start_clinging(void)
{
	struct tandem_uring_command fill = { .length = CLUNG_TO };
	volatile uint8_t *memory;
	uint32_t handle;

	fault_timeouts_usual();
	start((const char *[]) { "scribble:until=disable",
				 "refuse:opcode=0x84", NULL });
	handle = accel_object(&victim, CLUNG_TO);
	memory = accel_map(&victim, handle, CLUNG_TO);
	fill.queue = victim.copy;
	fill.dst_region = accel_region(&victim, 0, handle, 0, CLUNG_TO, WRITE);
	accel_prepare(&victim, TANDEM_URING_FILL, &fill, 0);
	assert_int_equal(io_uring_submit(&victim.ring), 1);
	while (*memory != 's')
		usleep(1000);
	munmap((void *)memory, CLUNG_TO);
	accel_object_close(&victim, handle);
	return fill.dst_region;
}

/* What it writes to is nobody else's before the device has been stopped. */
static void test_memory_that_the_device_clings_to(void **state)
{
	uint32_t region;

	(void)state;
	region = start_clinging();
	assert_int_equal(accel_region_unmap(&victim, 0, region), 0);
	assert_left_alone();
	/* It was not to blame, was carried out again, and found no region. */
	assert_int_equal(accel_wait(&victim, NULL), -EACCES);
	accel_close(&victim);
	fault_device_ends(&firmware, &bystander, RESET);
}

static void test_context_that_the_device_clings_to(void **state)
{
	struct drm_tandem_context_destroy destroy = { 0 };

	(void)state;
	start_clinging();
	destroy.context = victim.context;
	assert_int_equal(accel_ioctl(&victim, DRM_IOCTL_TANDEM_CONTEXT_DESTROY,
				     &destroy), 0);
	assert_left_alone();
	assert_int_equal(accel_wait(&victim, NULL), -ECANCELED);
	accel_close(&victim);
	fault_device_ends(&firmware, &bystander, RESET);
}

static void test_aborts_that_fail(void **state)
{
	static const struct fault_case cases[] = {
		{ { "hang:until=disable", "silent:opcode=0x83" }, -ETIMEDOUT,
		  -EIO, RESET },
		{ { "hang:until=disable", "refuse:opcode=0x83" }, -ETIMEDOUT,
		  -EIO, RESET },
	};

	(void)state;
	MEET_ALL(cases);
}

/* Reaches for what was never mapped, or is no more; nothing answers. */
static void test_stray_accesses(void **state)
{
	char freed[64];
	static const struct fault_case cases[] = {
		/* The last page of 64 MiB, and past the end. */
		{ { "dma:address=0x3fff000,length=4096" }, -EIO, -EIO, STAYS },
		{ { "dma:address=0x4000000,length=4096" }, -EIO, -EIO, STAYS },
		{ { "dma:address=-4096,length=4096" }, -EIO, -EIO, STAYS },
		/* In the middle of both windows, and past their ends. */
		{ { "dma:space=host-read,address=0x800000000" }, -EIO, -EIO,
		  STAYS },
		{ { "dma:space=host-read,address=0x1800000000" }, -EIO, -EIO,
		  STAYS },
		{ { "dma:space=host-write,address=0x1800000000" }, -EIO, -EIO,
		  STAYS },
		{ { "dma:space=host-write,address=0" }, -EIO, -EIO, STAYS },
		{ { "dma:space=host-write,address=0x2000000000" }, -EIO, -EIO,
		  STAYS },
	};
	uint64_t *memory;
	uint32_t handle;
	size_t i;

	(void)state;
	MEET_ALL(cases);

	/* All of memory is searched for what an object held that is gone. */
	fault_timeouts_usual();
	snprintf(freed, sizeof(freed), "dma:count=2,value=%llu", TAG);
	start((const char *[]) { freed, NULL });
	handle = accel_object(&victim, SIZE);
	memory = accel_map(&victim, handle, SIZE);
	for (i = 0; i < SIZE / sizeof(*memory); i++)
		memory[i] = TAG;
	assert_int_equal(nop(), 0);
	munmap(memory, SIZE);
	accel_object_close(&victim, handle);
	assert_int_equal(nop(), -EIO);
	accel_close(&victim);
	fault_device_ends(&firmware, &bystander, STAYS);
}

static int open_log(const char *node)
{
	char link[128], target[256], path[512];
	ssize_t length;

	snprintf(link, sizeof(link), "/sys/class/accel/%s/device",
		 strrchr(node, '/') + 1);
	length = readlink(link, target, sizeof(target) - 1);
	assert_true(length > 0);
	target[length] = '\0';
	snprintf(path, sizeof(path), "/sys/kernel/debug/accel/%s/firmware_log",
		 strrchr(target, '/') + 1);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void test_log_that_lies(void **state)
{
	static const char *const faults[] = {
		"completion:queue=0,opcode=0x85,field=detail,value=-1",
		"completion:queue=0,opcode=0x85,field=detail,value=16377",
		"completion:queue=0,opcode=0x85,field=detail,value=16376,count=0",
		"completion:queue=0,opcode=0x85,field=detail,value=1,count=0",
		"refuse:opcode=0x85",
	};
	ssize_t length;
	char text[4096];
	size_t i;
	int log;

	(void)state;
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		print_message("# %s\n", faults[i]);
		start((const char *[]) { faults[i], NULL });
		log = open_log(firmware.node);
		assert_true(log >= 0);
		/* An error, or an end: it neither hangs nor crashes. */
		while ((length = read(log, text, sizeof(text))) > 0)
			;
		close(log);
		accel_close(&victim);
		fault_device_ends(&firmware, &bystander, STAYS);
	}
}

/* Areas that the driver or the bus has in the kernel's virtual memory. */
static int count_areas(void)
{
	FILE *file = fopen("/proc/vmallocinfo", "r");
	char line[512];
	int count = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		count += !!strstr(line, "tandem_");
	fclose(file);
	return count;
}

static long free_pages(void)
{
	FILE *file = fopen("/proc/vmstat", "r");
	long count = -1, value;
	char name[64];

	assert_non_null(file);
	while (fscanf(file, "%63s %ld", name, &value) == 2) {
		if (!strcmp(name, "nr_free_pages"))
			count = value;
	}
	fclose(file);
	assert_true(count >= 0);
	return count;
}

static void settle(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	usleep(300000);
	assert_int_equal(write(fd, "3", 1), 1);
	close(fd);
	usleep(300000);
}

/* Objects with pages behind them, and commands, when the device goes wrong. */
static void go_wrong_with_things_open(int rounds)
{
	struct tandem_uring_command command = { .length = SIZE };
	uint32_t handle;
	int i;

	while (rounds--) {
		start((const char *[]) { "hang:until=exit,at=4", NULL });
		handle = accel_object(&victim, 8 * SIZE);
		munmap(accel_map(&victim, handle, 8 * SIZE), 8 * SIZE);
		command.dst_region = accel_region(&victim, 0, handle, 0, SIZE,
						  READ | WRITE);
		for (i = 0; i < 16; i++) {
			command.queue = i % 2 ? victim.copy : victim.compute;
			accel_prepare(&victim, TANDEM_URING_FILL, &command, i);
		}
		assert_int_equal(io_uring_submit(&victim.ring), 16);
		usleep(20000);
		firmware_kill(&firmware);
		accel_close(&victim);
		accel_close(&bystander);
		assert_true(firmware_wait_for_unplug(&firmware));
		fault_wait_for_devices(devices);
	}
}

#define ROUNDS		24
/* Half of what the memory of an object takes; the system's own share is less. */
#define ROUND_PAGES	1024

/*
 * Areas are counted exactly, pages as far as others in the system let them be.
 * Small objects are not: on a kernel that does not look for leaks, what others
 * allocate and free in the same time is hundreds of times as much. See 'make
 * check-debug' for these.
 */
static void test_nothing_accumulates(void **state)
{
	long pages;
	int areas;

	(void)state;
	/* Caches and per-CPU lists fill. */
	go_wrong_with_things_open(6);
	settle();
	pages = free_pages();
	areas = count_areas();
	go_wrong_with_things_open(ROUNDS);
	settle();
	pages -= free_pages();
	print_message("# %d rounds: %+ld pages\n", ROUNDS, pages);
	assert_int_equal(count_areas(), areas);
	assert_true(pages < ROUNDS * ROUND_PAGES);
}

#define FAULT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FAULT_TEST(test_hangs),
		FAULT_TEST(test_state_of_the_device),
		FAULT_TEST(test_crashes),
		FAULT_TEST(test_resets_that_fail),
		FAULT_TEST(test_completions_that_are_wrong),
		FAULT_TEST(test_completions_that_come_again),
		FAULT_TEST(test_times_are_held_against_the_clock),
		FAULT_TEST(test_interrupts),
		FAULT_TEST(test_admin_commands),
		FAULT_TEST(test_memory_that_the_device_clings_to),
		FAULT_TEST(test_context_that_the_device_clings_to),
		FAULT_TEST(test_aborts_that_fail),
		FAULT_TEST(test_stray_accesses),
		FAULT_TEST(test_log_that_lies),
		FAULT_TEST(test_nothing_accumulates),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
