// SPDX-License-Identifier: MIT
/* Faults on request: each does what it says, when it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver.h"
#include "firmware-sim/fault_spec.h"

#define ENTRIES	8
#define QUEUE	1

static const struct tandem_hw_descriptor nop = { .opcode = TANDEM_HW_OP_NOP };

/* A device with a queue of kind COPY. */
static void open_faulty(struct driver *d, const char *const *faults)
{
	struct tandem_fw_config config = driver_config;

	config.faults = faults;
	driver_open(d, &config);
	driver_enable(d);
	driver_queue_create(d, QUEUE, TANDEM_HW_QUEUE_COPY, ENTRIES);
}

#define FAULTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void submit_nop(struct driver *d, uint16_t id)
{
	struct queue *queue = &d->queue[QUEUE];

	/* Not driver_submit(), which takes one completion for one command. */
	queue->sq[queue->tail % ENTRIES] = nop;
	queue->sq[queue->tail++ % ENTRIES].command_id = id;
	driver_ring(d, QUEUE);
}

/* The next completion as it is. */
static struct tandem_hw_completion next(struct driver *d)
{
	struct queue *queue = &d->queue[QUEUE];
	const struct tandem_hw_completion *entry = &queue->cq[queue->head % ENTRIES];
	uint16_t phase = !(queue->head / ENTRIES & 1);

	for (int i = 0; i < 5000; i++) {
		if (__atomic_load_n(&entry->phase, __ATOMIC_ACQUIRE) == phase) {
			queue->head++;
			return *entry;
		}
		usleep(1000);
	}
	fail_msg("no completion came");
	return *entry;
}

static void assert_no_more(struct driver *d)
{
	usleep(50000);
	assert_false(driver_completed(d, QUEUE));
}

static void texts_are_checked(void **state)
{
	static const char *const wrong[] = {
		"", "nothing", "hang:", "hang:until", "hang:until=", "hang:until=never",
		"hang:at=0", "hang:at=x", "hang:at=1x", "hang:at= 1", "hang:field=id",
		"hang:on=boot", "hang:value", "crash:on=idle", "completion",
		"completion:field=role", "identity:field=id", "register:field=",
		"completion:field=id,queue=256", "refuse:opcode=256", "hang:permille=1001",
		"hang:space=memory", "dma:space=disk", "hang:ms=5", "crash:extra=1",
		"hang:at=99999999999999999999", "refuse:on=command", "late:ms=4294967296",
	};
	struct tandem_fw_config config = driver_config;
	char error[TANDEM_FW_ERROR_BYTES];
	struct fw_fault_spec spec;
	struct tandem_fw *fw;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		error[0] = '\0';
		if (fw_fault_spec_parse(wrong[i], &spec, error, sizeof(error)) != -22)
			fail_msg("'%s' was taken", wrong[i]);
		assert_true(strlen(error) > 0);
		config.faults = FAULTS("hang", wrong[i]);
		assert_int_equal(tandem_fw_create(&config, NULL, &fw, NULL), -22);
	}
	assert_int_equal(fw_fault_spec_parse("completion:field=epoch,add=-1,extra=1,at=0x10,"
					     "count=0,queue=0,opcode=133",
					     &spec, error, sizeof(error)), 0);
	assert_int_equal(spec.kind, FW_FAULT_COMPLETION);
	assert_string_equal(spec.field->name, "epoch");
	assert_int_equal(spec.add, -1);
	assert_true(spec.extra);
	assert_int_equal(spec.at, 16);
	assert_int_equal(spec.count, 0);
	assert_int_equal(spec.queue, 0);
	assert_int_equal(spec.opcode, TANDEM_HW_OP_LOG_READ);
}

static void a_fault_has_its_time(void **state)
{
	struct driver d;

	(void)state;
	open_faulty(&d, FAULTS("completion:field=status,value=77,at=3,count=2"));
	for (int i = 1; i <= 6; i++) {
		submit_nop(&d, i);
		assert_int_equal(next(&d).status, i == 3 || i == 4 ? 77 : TANDEM_HW_OK);
		d.queue[QUEUE].head--;
		if (i == 3 || i == 4)
			d.queue[QUEUE].head++;
		else
			driver_wait(&d, QUEUE);
	}
	driver_close(&d);
}

/* Which of 64 completions have status 77? */
static uint64_t unlucky(const char *fault)
{
	uint64_t mask = 0;
	struct driver d;

	open_faulty(&d, FAULTS(fault));
	for (int i = 0; i < 64; i++) {
		struct tandem_hw_doorbell *bell =
			(struct tandem_hw_doorbell *)((char *)d.bus.registers +
						      TANDEM_HW_DOORBELL_BASE) + QUEUE;

		submit_nop(&d, i);
		mask |= (uint64_t)(next(&d).status == 77) << i;
		__atomic_store_n(&bell->cq_head, d.queue[QUEUE].head, __ATOMIC_SEQ_CST);
	}
	driver_close(&d);
	return mask;
}

static void chance_is_repeatable(void **state)
{
	uint64_t first = unlucky("completion:field=status,value=77,count=0,permille=500,seed=5");

	(void)state;
	assert_int_equal(unlucky("completion:field=status,value=77,count=0,permille=500,seed=5"),
			 first);
	assert_int_not_equal(first, 0);
	assert_int_not_equal(first, ~0ull);
	assert_int_not_equal(unlucky("completion:field=status,value=77,count=0,permille=500,"
				     "seed=6"), first);
	assert_int_equal(unlucky("completion:field=status,value=77,count=0,permille=0"), 0);
}

static void completions_are_spoilt(void **state)
{
	struct tandem_hw_completion completion;
	struct driver d;

	(void)state;
	open_faulty(&d, FAULTS("completion:field=id,at=1", "completion:field=queue,at=2",
			       "completion:field=epoch,add=-1,at=3",
			       "completion:field=detail,at=4",
			       "completion:field=duration,value=-1,at=5",
			       "completion:field=reserved,at=6"));
	submit_nop(&d, 5);
	assert_int_equal(next(&d).command_id, 0xfffa);
	submit_nop(&d, 6);
	assert_int_equal(next(&d).queue, 0xffff - QUEUE);
	submit_nop(&d, 7);
	assert_int_equal(next(&d).epoch, d.epoch - 1);
	submit_nop(&d, 8);
	assert_int_equal(next(&d).detail, UINT32_MAX);
	submit_nop(&d, 9);
	assert_true(next(&d).duration_ns == UINT64_MAX);
	submit_nop(&d, 10);
	completion = next(&d);
	assert_int_equal(completion.command_id, 10);
	assert_true(completion.reserved[2] == UINT64_MAX);
	driver_close(&d);
}

static void completions_multiply(void **state)
{
	struct driver d;

	(void)state;
	open_faulty(&d, FAULTS("duplicate:at=1", "replay:at=2", "lost-completion:at=3",
			       "completion:field=id,value=99,extra=1,at=4"));
	submit_nop(&d, 1);
	assert_int_equal(next(&d).command_id, 1);
	assert_int_equal(next(&d).command_id, 1);
	submit_nop(&d, 2);
	assert_int_equal(next(&d).command_id, 1);
	assert_int_equal(next(&d).command_id, 2);
	submit_nop(&d, 3);
	assert_no_more(&d);
	submit_nop(&d, 4);
	assert_int_equal(next(&d).command_id, 99);
	assert_int_equal(next(&d).command_id, 4);
	driver_close(&d);
}

static void wrong_phase_hides_a_completion(void **state)
{
	struct driver d;

	(void)state;
	open_faulty(&d, FAULTS("completion:field=phase"));
	submit_nop(&d, 1);
	assert_no_more(&d);
	driver_close(&d);
}

static void full_rings_are_not_overrun(void **state)
{
	struct driver d;

	(void)state;
	/* Nobody takes the completions: each of 8 wants to come twice. */
	open_faulty(&d, FAULTS("duplicate:count=0"));
	for (uint16_t i = 0; i < ENTRIES; i++) {
		struct tandem_hw_descriptor descriptor = nop;

		descriptor.command_id = i;
		driver_put(&d, QUEUE, &descriptor);
	}
	driver_ring(&d, QUEUE);
	for (int i = 0; i < ENTRIES; i++)
		assert_int_equal(next(&d).command_id, i / 2);
	assert_no_more(&d);
	driver_close(&d);
}

static uint32_t interrupts_of(struct driver *d, uint32_t vector)
{
	uint32_t count;

	pthread_mutex_lock(&d->lock);
	count = d->interrupts[vector];
	pthread_mutex_unlock(&d->lock);
	return count;
}

static void interrupts_are_lost_and_found(void **state)
{
	struct driver d;

	(void)state;
	open_faulty(&d, FAULTS("lost-interrupt", "storm:at=2,value=500"));
	submit_nop(&d, 1);
	next(&d);
	usleep(50000);
	assert_int_equal(interrupts_of(&d, QUEUE), 0);
	submit_nop(&d, 2);
	next(&d);
	usleep(50000);
	assert_true(interrupts_of(&d, QUEUE) > 500);
	driver_close(&d);
}

static void abort_last(struct driver *d)
{
	struct tandem_hw_descriptor abort = {
		.opcode = TANDEM_HW_OP_ABORT, .argument = QUEUE,
		.length = driver_last(d, QUEUE),
	};

	assert_int_equal(driver_run(d, 0, &abort).status, TANDEM_HW_OK);
}

static void commands_hang(void **state)
{
	struct driver d;

	(void)state;
	open_faulty(&d, FAULTS("hang", "hang:at=3,until=disable"));
	submit_nop(&d, 1);
	assert_no_more(&d);
	abort_last(&d);
	assert_int_equal(driver_wait(&d, QUEUE).status, TANDEM_HW_ABORTED);
	submit_nop(&d, 2);
	assert_int_equal(driver_wait(&d, QUEUE).status, TANDEM_HW_OK);
	submit_nop(&d, 3);
	usleep(20000);
	abort_last(&d);
	assert_no_more(&d);
	assert_int_equal(driver_control(&d, 0), TANDEM_HW_STATE_READY);
	driver_close(&d);

	/* One that only the end of the device ends does not keep it from ending. */
	open_faulty(&d, FAULTS("hang:until=exit"));
	submit_nop(&d, 1);
	assert_no_more(&d);
	driver_close(&d);
}

static void hearts_stop_until_enabled(void **state)
{
	struct driver d;
	uint32_t before;

	(void)state;
	open_faulty(&d, FAULTS("heartbeat"));
	submit_nop(&d, 1);
	driver_wait(&d, QUEUE);
	before = driver_read(&d, TANDEM_REG_HEARTBEAT);
	usleep(2 * TANDEM_HW_HEARTBEAT_MS * 1000);
	assert_int_equal(driver_read(&d, TANDEM_REG_HEARTBEAT), before);
	assert_int_equal(driver_control(&d, 0), TANDEM_HW_STATE_READY);
	driver_enable(&d);
	for (int i = 0; driver_read(&d, TANDEM_REG_HEARTBEAT) == before; i++) {
		assert_true(i < 5000);
		usleep(1000);
	}
	driver_close(&d);
}

static void fatal_states_and_recovery(void **state)
{
	struct driver d;

	(void)state;
	open_faulty(&d, FAULTS("fatal:value=9,at=2"));
	submit_nop(&d, 1);
	driver_wait(&d, QUEUE);
	submit_nop(&d, 2);
	for (int i = 0; driver_read(&d, TANDEM_REG_STATUS) != TANDEM_HW_STATE_FATAL; i++) {
		assert_true(i < 5000);
		usleep(1000);
	}
	assert_int_equal(driver_read(&d, TANDEM_REG_FATAL), 9);
	assert_int_equal(driver_control(&d, 0), TANDEM_HW_STATE_READY);
	driver_enable(&d);
	driver_queue_create(&d, QUEUE, TANDEM_HW_QUEUE_COPY, ENTRIES);
	submit_nop(&d, 3);
	assert_int_equal(driver_wait(&d, QUEUE).status, TANDEM_HW_OK);
	driver_close(&d);
}

static void registers_are_spoilt(void **state)
{
	struct tandem_fw_config config = driver_config;
	struct driver d;

	(void)state;
	config.faults = FAULTS("register:field=magic", "register:field=queue-max,value=3",
			       "register:field=memory-size,value=0x123456789a");
	driver_open(&d, &config);
	assert_int_equal(driver_read(&d, TANDEM_REG_MAGIC), (uint32_t)~TANDEM_HW_MAGIC);
	assert_int_equal(driver_read(&d, TANDEM_REG_QUEUE_MAX), 3);
	assert_int_equal(driver_read64(&d, TANDEM_REG_MEMORY_SIZE), 0x123456789a);
	driver_close(&d);
}

static void admin_commands_go_wrong(void **state)
{
	struct tandem_hw_descriptor identify = { .opcode = TANDEM_HW_OP_IDENTIFY };
	struct tandem_hw_descriptor admin_nop = { .command_id = 1 };
	struct tandem_hw_identity *identity;
	struct driver d;

	(void)state;
	open_faulty(&d, FAULTS("refuse:opcode=0,value=2", "silent:opcode=0,at=2",
			       "identity:field=role", "identity:field=queue-entries,value=17",
			       "identity:field=profile"));
	identify.src_offset = driver_host(&d, sizeof(*identity), true, &identity);
	assert_int_equal(driver_run(&d, 0, &identify).status, TANDEM_HW_OK);
	assert_int_equal(identity->queue_entries_max, 17);
	assert_true(identity->role > TANDEM_HW_ROLE_DECODE);
	assert_int_equal((uint8_t)identity->profile[31], 0xff);

	assert_int_equal(driver_run(&d, 0, &admin_nop).status, TANDEM_HW_INVALID_FIELD);
	driver_submit(&d, 0, &admin_nop);
	admin_nop.command_id = 2;
	assert_int_equal(driver_run(&d, 0, &admin_nop).status, TANDEM_HW_OK);
	driver_close(&d);
}

static void states_get_stuck(void **state)
{
	struct tandem_fw_config config = driver_config;
	struct driver d;

	(void)state;
	config.faults = FAULTS("stuck:on=enable");
	driver_open(&d, &config);
	driver_prepare(&d);
	driver_write(&d, TANDEM_REG_CONTROL, TANDEM_CONTROL_ENABLE);
	usleep(2 * TANDEM_HW_HEARTBEAT_MS * 1000);
	assert_int_equal(driver_read(&d, TANDEM_REG_STATUS), TANDEM_HW_STATE_READY);
	assert_int_not_equal(driver_read(&d, TANDEM_REG_HEARTBEAT), 0);
	driver_close(&d);
}

static void strays_find_what_answers(void **state)
{
	struct tandem_hw_completion completion;
	uint64_t *word;
	struct driver d;

	(void)state;
	open_faulty(&d, FAULTS("dma:at=1,address=0x10000000",
			       "dma:at=2,space=host-write,address=0",
			       "dma:at=3,address=0,length=0x1000,value=0x7a67",
			       "dma:at=4,address=0,length=0x1000,value=0x7a67"));
	submit_nop(&d, 1);
	assert_int_equal(driver_wait(&d, QUEUE).status, TANDEM_HW_BUS_FAULT);
	submit_nop(&d, 2);
	assert_int_equal(driver_wait(&d, QUEUE).status, TANDEM_HW_BUS_FAULT);
	submit_nop(&d, 3);
	assert_int_equal(driver_wait(&d, QUEUE).status, TANDEM_HW_BUS_FAULT);
	d.memory.next = 0;
	assert_int_equal(driver_memory(&d, 4096, &word), 0);
	word[100] = 0x7a67;
	submit_nop(&d, 4);
	completion = driver_wait(&d, QUEUE);
	assert_int_equal(completion.status, TANDEM_HW_OK);
	driver_close(&d);
}

static void it_crashes(void **state)
{
	const struct rlimit no_core = { 0, 0 };
	struct driver d;
	int status;
	pid_t child;

	(void)state;
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		open_faulty(&d, FAULTS("crash:at=2"));
		submit_nop(&d, 1);
		next(&d);
		submit_nop(&d, 2);
		sleep(10);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

#define test(function) cmocka_unit_test(function)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(texts_are_checked),
		test(a_fault_has_its_time),
		test(chance_is_repeatable),
		test(completions_are_spoilt),
		test(completions_multiply),
		test(wrong_phase_hides_a_completion),
		test(full_rings_are_not_overrun),
		test(interrupts_are_lost_and_found),
		test(commands_hang),
		test(hearts_stop_until_enabled),
		test(fatal_states_and_recovery),
		test(registers_are_spoilt),
		test(admin_commands_go_wrong),
		test(states_get_stuck),
		test(strays_find_what_answers),
		test(it_crashes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
