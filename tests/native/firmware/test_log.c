// SPDX-License-Identifier: MIT
/* The firmware's log, and how the driver reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "driver.h"
#include "firmware-sim/device.h"
#include "firmware-sim/log.h"

#define HEADER	sizeof(struct tandem_hw_log)

/* ---- the ring of lines --------------------------------------------------- */

static struct fw_log ring;
static char text[FW_LOG_BYTES + 1];

static int empty_ring(void **state)
{
	(void)state;
	memset(&ring, 0, sizeof(ring));
	fw_log_init(&ring);
	return 0;
}

static int free_ring(void **state)
{
	(void)state;
	fw_log_fini(&ring);
	return 0;
}

static const char *read_text(uint64_t *position, size_t size)
{
	size_t count = fw_log_read(&ring, position, text, size);

	assert_true(count <= size);
	text[count] = 0;
	return text;
}

static void lines_are_kept_in_order(void **state)
{
	uint64_t position = 0;

	(void)state;
	assert_string_equal(read_text(&position, 100), "");
	fw_log_append(&ring, "one");
	fw_log_append(&ring, "");
	fw_log_append(&ring, "three");
	assert_string_equal(read_text(&position, 100), "one\n\nthree\n");
	assert_int_equal(position, 0);
	assert_string_equal(read_text(&position, 6), "one\n\nt");
	position = 6;
	assert_string_equal(read_text(&position, 100), "hree\n");
}

static void a_newline_cannot_forge_a_line(void **state)
{
	uint64_t position = 0;

	(void)state;
	fw_log_append(&ring, "one\n[ 0.0] error: two");
	assert_string_equal(read_text(&position, 100), "one [ 0.0] error: two\n");
}

static void what_is_not_written_yet_is_the_end(void **state)
{
	uint64_t position = 1000;

	(void)state;
	fw_log_append(&ring, "one");
	assert_string_equal(read_text(&position, 100), "");
	assert_int_equal(position, 4);
	position = UINT64_MAX;
	assert_string_equal(read_text(&position, 100), "");
	assert_int_equal(position, 4);
}

/* Numbered lines of different lengths, until the ring has gone round often. */
static void the_oldest_lines_make_room(void **state)
{
	uint64_t position = 0, written = 0;
	unsigned int number, first, last;
	const char *line;
	char added[128];

	(void)state;
	for (number = 0; written < 5 * FW_LOG_BYTES; number++) {
		int length = snprintf(added, sizeof(added), "%u %.*s", number,
				      (int)(number * 7 % 90), "..............................."
				      "..................................................."
				      "....................");

		fw_log_append(&ring, added);
		written += length + 1;
	}
	read_text(&position, FW_LOG_BYTES);
	assert_true(position > 0);
	assert_int_equal(position + strlen(text), written);
	/* Nearly full, whole lines, without a gap, up to the newest. */
	assert_true(strlen(text) > FW_LOG_BYTES - sizeof(added));
	assert_int_equal(sscanf(text, "%u ", &first), 1);
	for (line = text, last = first; *line; line = strchr(line, '\n') + 1, last++) {
		unsigned int found;

		assert_int_equal(sscanf(line, "%u ", &found), 1);
		assert_int_equal(found, last);
	}
	assert_int_equal(last, number);
}

/* ---- LOG_READ ------------------------------------------------------------ */

struct fixture {
	struct driver driver;
	struct tandem_hw_log *log;
	uint64_t address;
};

#define BUFFER	8192

static int setup_device(struct fixture *f, enum tandem_fw_log_level level)
{
	struct tandem_fw_config config = driver_config;

	config.log_level = level;
	driver_open(&f->driver, &config);
	f->address = driver_host(&f->driver, BUFFER, true, &f->log);
	driver_enable(&f->driver);
	return 0;
}

static int setup(void **state)
{
	static struct fixture f;

	*state = &f;
	return setup_device(&f, TANDEM_FW_LOG_ERROR);
}

static int setup_debug(void **state)
{
	static struct fixture f;

	*state = &f;
	return setup_device(&f, TANDEM_FW_LOG_DEBUG);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	driver_close(&f->driver);
	return 0;
}

static struct tandem_hw_completion request(struct fixture *f, uint64_t address, uint64_t position,
					   uint64_t length)
{
	const struct tandem_hw_descriptor d = {
		.opcode = TANDEM_HW_OP_LOG_READ, .command_id = 7, .src_offset = address,
		.argument = position, .length = length,
	};

	return driver_run(&f->driver, 0, &d);
}

/* Length of the text, which is terminated. */
static uint32_t get(struct fixture *f, uint64_t position, uint64_t length)
{
	struct tandem_hw_completion got;

	memset(f->log, 0xee, BUFFER);
	got = request(f, f->address, position, length);
	assert_int_equal(got.status, TANDEM_HW_OK);
	assert_true(got.detail <= length - HEADER);
	/* Nothing after it was touched. */
	for (size_t i = got.detail; i < BUFFER - HEADER; i++)
		assert_int_equal(f->log->text[i], 0xee);
	f->log->text[got.detail] = 0;
	return got.detail;
}

static char *text_of(struct fixture *f)
{
	return (char *)f->log->text;
}

static void a_driver_reads_the_log(void **state)
{
	struct fixture *f = *state;
	unsigned long long seconds, fraction;
	uint32_t length;
	char level[8];

	fw_log(f->driver.fw, TANDEM_FW_LOG_ERROR, "trouble %d", 4711);
	length = get(f, 0, BUFFER - 1);
	assert_int_equal(f->log->position, 0);
	assert_int_equal(sscanf(text_of(f), "[%llu.%6llu] %7[a-z]: tandem-fw", &seconds, &fraction,
				level), 3);
	assert_string_equal(level, "info");
	assert_non_null(strstr(text_of(f), "trn2"));
	assert_non_null(strstr(text_of(f), "] info: enabled, epoch 1\n"));
	assert_non_null(strstr(text_of(f), "] error: trouble 4711\n"));
	assert_int_equal(text_of(f)[length - 1], '\n');
}

/* In pieces that end anywhere, the same as at once. */
static void in_pieces(void **state)
{
	struct fixture *f = *state;
	char whole[BUFFER], pieces[BUFFER] = "";
	uint32_t length, piece;
	uint64_t position = 0;

	length = get(f, 0, BUFFER - 1);
	memcpy(whole, text_of(f), length + 1);
	while ((piece = get(f, position, HEADER + 13))) {
		assert_int_equal(f->log->position, position);
		memcpy(pieces + position, text_of(f), piece + 1);
		position += piece;
	}
	assert_int_equal(position, length);
	assert_int_equal(f->log->position, length);
	assert_string_equal(pieces, whole);
}

static void what_was_dropped_yields_the_oldest(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3000; i++)
		fw_log(f->driver.fw, TANDEM_FW_LOG_INFO, "line %d of many", i);
	assert_true(get(f, 0, BUFFER - 1) > 0);
	assert_true(f->log->position > 0);
	assert_int_equal(text_of(f)[0], '[');
}

static void an_end_to_the_buffer(void **state)
{
	struct fixture *f = *state;

	/* No more than the header: nothing but where to go on. */
	assert_int_equal(get(f, 0, HEADER), 0);
	assert_int_equal(request(f, f->address, 0, HEADER - 1).status, TANDEM_HW_INVALID_FIELD);
	assert_int_equal(request(f, f->address, 0, 0).status, TANDEM_HW_INVALID_FIELD);
	assert_int_equal(request(f, f->address, 0, BUFFER + 1).status, TANDEM_HW_BUS_FAULT);
	assert_int_equal(request(f, f->address, 0, UINT64_MAX).status, TANDEM_HW_BUS_FAULT);
	assert_int_equal(request(f, 0, 0, BUFFER).status, TANDEM_HW_BUS_FAULT);
	/* The context table is not for the device to write. */
	assert_int_equal(request(f, f->driver.contexts_address, 0, HEADER + 1).status,
			 TANDEM_HW_BUS_FAULT);
}

static uint32_t lines_with(struct fixture *f, const char *what)
{
	uint32_t count = 0;
	char *at;

	get(f, 0, BUFFER - 1);
	for (at = text_of(f); (at = strstr(at, what)); at++)
		count++;
	return count;
}

static void debug_lines_only_when_wanted(void **state)
{
	struct fixture *f = *state;

	driver_queue_create(&f->driver, 1, TANDEM_HW_QUEUE_COPY, 4);
	assert_int_equal(lines_with(f, "] debug: "), 0);
	assert_true(lines_with(f, "] info: ") > 0);
}

static void debug_lines_tell_of_commands(void **state)
{
	const struct tandem_hw_descriptor bad = {
		.opcode = TANDEM_HW_OP_FILL, .command_id = 1, .context = 2, .dst_region = 3,
		.length = 4,
	};
	struct fixture *f = *state;

	driver_queue_create(&f->driver, 1, TANDEM_HW_QUEUE_COPY, 4);
	assert_int_equal(lines_with(f, "] debug: queue 1: created, copy, 4 entries\n"), 1);
	assert_int_equal(driver_run(&f->driver, 1, &bad).status, TANDEM_HW_REGION_FAULT);
	assert_int_equal(lines_with(f, "queue 1: command 1 of context 2, opcode 2: status 4, "
				       "detail 3\n"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define RING(name)	cmocka_unit_test_setup_teardown(name, empty_ring, free_ring)
#define DEVICE(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)
		RING(lines_are_kept_in_order),
		RING(a_newline_cannot_forge_a_line),
		RING(what_is_not_written_yet_is_the_end),
		RING(the_oldest_lines_make_room),
		DEVICE(a_driver_reads_the_log),
		DEVICE(in_pieces),
		DEVICE(what_was_dropped_yields_the_oldest),
		DEVICE(an_end_to_the_buffer),
		DEVICE(debug_lines_only_when_wanted),
		cmocka_unit_test_setup_teardown(debug_lines_tell_of_commands, setup_debug,
						teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("firmware log", tests, NULL, NULL);
}
