// SPDX-License-Identifier: MIT
/* Memory that does not answer: tandem-fw's guard, with real SIGBUS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bench.h"
#include "firmware-sim/fault_guard.h"

#define PAGE	4096
#define PAGES	8

static const struct tiny_shape shape = {
	.layers = 2, .dim = 16, .ffn_dim = 24, .heads = 4, .kv_heads = 2, .head_dim = 8,
	.rope_dim = 8, .vocabulary = 40, .context = 12, .rope_scale = 1,
};

static const struct tandem_program_kv kv = {
	.type = TANDEM_PROGRAM_F32, .block_tokens = 2, .blocks = 4,
};

static int guard(struct tandem_fw_bus *bus, void (*body)(void *argument), void *argument)
{
	(void)bus;
	return fw_fault_guard_run(body, argument);
}

/* PAGES pages of which only the first is there. */
struct sparse {
	int fd;
	char *memory;
};

static int setup(void **state)
{
	static struct sparse sparse;

	sparse.fd = memfd_create("sparse", MFD_CLOEXEC);
	assert_true(sparse.fd >= 0);
	assert_int_equal(ftruncate(sparse.fd, PAGE), 0);
	sparse.memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
			     sparse.fd, 0);
	assert_ptr_not_equal(sparse.memory, MAP_FAILED);
	assert_int_equal(fw_fault_guard_add(sparse.memory, PAGES * PAGE), 0);
	*state = &sparse;
	return 0;
}

static int teardown(void **state)
{
	struct sparse *sparse = *state;

	munmap(sparse->memory, PAGES * PAGE);
	close(sparse->fd);
	return 0;
}

/* In each test: cmocka has taken the signals for itself until then. */
static void install(void)
{
	assert_int_equal(fw_fault_guard_install(), 0);
}

static void read_byte(void *argument)
{
	*(volatile char *)argument;
}

static void nested(void *argument)
{
	assert_int_equal(fw_fault_guard_run(read_byte, argument), -14);
	assert_int_equal(fw_fault_guard_run(read_byte, (char *)argument - PAGE), 0);
	read_byte(argument);
	fail();
}

static void guards_nest(void **state)
{
	struct sparse *sparse = *state;

	install();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(fw_fault_guard_run(read_byte, sparse->memory), 0);
		assert_int_equal(fw_fault_guard_run(nested, sparse->memory + PAGE), -14);
	}
}

static void faults_elsewhere_are_deadly(void **state)
{
	char *nowhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	(void)state;
	install();
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		fw_fault_guard_run(read_byte, nowhere);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	munmap(nowhere, PAGE);
}

static void commands_end_with_a_bus_fault(void **state)
{
	const uint32_t flags = TANDEM_HW_REGION_VALID | TANDEM_HW_REGION_READ |
			       TANDEM_HW_REGION_WRITE;
	struct sparse *sparse = *state;
	struct tandem_fw_config config = driver_config;
	struct bench bench;
	struct driver *d = &bench.driver;
	struct tandem_hw_descriptor fill = {
		.opcode = TANDEM_HW_OP_FILL, .dst_region = 20, .length = PAGES * PAGE,
	};
	struct tandem_hw_descriptor copy = {
		.opcode = TANDEM_HW_OP_COPY, .dst_region = BENCH_KV, .src_region = 20,
		.src_offset = PAGE, .length = 64,
	};
	static const struct tandem_program_row rows[] = {
		{ 1, 0, 0, 0 }, { 2, 1, 0, 0 }, { 3, 2, 0, 0 }, { 4, 3, 0, 1 },
	};
	static const struct tandem_program_sequence sequence = { 0, 2 };
	static const uint32_t blocks[] = { 0, 3 };
	const struct bench_forward forward = {
		.flags = TANDEM_FORWARD_EMBED | TANDEM_FORWARD_OUTPUT |
			 TANDEM_FORWARD_LOGITS,
		.layer_count = 2, .rows = rows, .row_count = 4,
		.sequences = &sequence, .sequence_count = 1,
		.blocks = blocks, .block_count = 2,
	};
	uint64_t address;
	uint32_t size;

	install();
	config.cores = 3;
	bench_open(&bench, &config, &shape, &kv, 4);
	/* Nothing was carried out yet, so the device has not looked. */
	d->bus.guard = guard;
	address = driver_memory_at(d, sparse->memory, PAGES * PAGE);
	driver_region(d, 0, 20, address, PAGES * PAGE, flags);
	size = bench_write(&bench, &forward);

	for (int i = 0; i < 20; i++) {
		assert_int_equal(driver_run(d, BENCH_QUEUE, &fill).status,
				 TANDEM_HW_BUS_FAULT);
		assert_int_equal(driver_run(d, BENCH_QUEUE, &copy).status,
				 TANDEM_HW_BUS_FAULT);
		/* Each of these in the part of the memory that is not there. */
		for (uint32_t region = BENCH_MODEL; region <= BENCH_PROGRAM; region++) {
			struct tandem_hw_region before = d->regions[0][region];

			driver_region(d, 0, region, address + PAGE, before.length, flags);
			assert_int_equal(bench_run(&bench, size).status,
					 TANDEM_HW_BUS_FAULT);
			d->regions[0][region] = before;
		}
		assert_int_equal(bench_run(&bench, size).status, TANDEM_HW_OK);
	}
	bench_close(&bench);
}

#define test(function) cmocka_unit_test(function)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(guards_nest),
		test(faults_elsewhere_are_deadly),
		test(commands_end_with_a_bus_fault),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
