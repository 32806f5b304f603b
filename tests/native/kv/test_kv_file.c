// SPDX-License-Identifier: MIT
/*
 * A file behind a pool: what was evicted is found again, also by another process, and
 * nothing else is, whatever has happened to the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tandem/kv_file.h>

#include "fixture.h"
#include "runtime/kv_file.h"

#define PREFIX	4u	/* blocks of a prompt */
#define ROOM	(1ull << 20)

static const uint32_t text[] = { 10, 11, 12, 13, 20, 21, 22, 23, 30, 31, 32, 33, 40, 41, 42, 43 };

#define LENGTH	((uint32_t)(sizeof(text) / sizeof(text[0])))

static char path[64];

static int make_path(void **state)
{
	int fd;

	strcpy(path, "/tmp/tandem-kv-file-XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		return -1;
	close(fd);
	return fixture_setup(state);
}

static int remove_path(void **state)
{
	unlink(path);
	return fixture_teardown(state);
}

#define FILE_TEST(name)	cmocka_unit_test_setup_teardown(name, make_path, remove_path)

static struct tandem_kv_file *open_file(struct fixture *fixture, uint64_t bytes)
{
	struct tandem_kv_file *file = NULL;
	struct tandem_error error = { 0 };

	if (tandem_kv_file_open(fixture->loop, fixture->pool, path, bytes, 0, &file, &error))
		fail_msg("%s", error.message);
	tandem_kv_pool_set_store_wait(fixture->pool, PATIENCE_MS);
	return file;
}

static void assert_refused(struct fixture *fixture, uint64_t bytes, int code, const char *why)
{
	struct tandem_error error = { 0 };
	struct tandem_kv_file *file;

	assert_int_equal(tandem_kv_file_open(fixture->loop, fixture->pool, path, bytes, 0, &file,
					     &error), code);
	if (!strstr(error.message, why))
		fail_msg("'%s' is not in: %s", why, error.message);
}

static struct tandem_kv_file_stats stats_of(const struct tandem_kv_file *file)
{
	struct tandem_kv_file_stats stats;

	tandem_kv_file_get_stats(file, &stats);
	return stats;
}

static uint8_t *block_bytes(const struct fixture *fixture, uint32_t layer, uint32_t block,
			    uint64_t *size)
{
	const struct tandem_kv_layout *layout = tandem_kv_pool_layout(fixture->pool);

	*size = tandem_kv_block_bytes(layout);
	return fixture->bytes + tandem_kv_block_offset(layout, layer, block);
}

static uint8_t byte_of(uint8_t tenant, uint32_t place, uint32_t layer)
{
	return (uint8_t)(tenant * 64 + place * 8 + layer);
}

/* Each block of a tenant's prompt has bytes of its own. */
static void leave_behind(struct fixture *fixture, uint8_t tenant)
{
	struct tandem_kv_sequence sequence;
	uint64_t size;

	share(&sequence, fixture, tenant);
	prefill(&sequence, fixture, text, LENGTH);
	for (uint32_t i = 0; i < sequence.block_count; i++)
		for (uint32_t layer = 0; layer < LAYERS; layer++) {
			uint8_t *bytes = block_bytes(fixture, layer, sequence.blocks[i], &size);

			memset(bytes, byte_of(tenant, i, layer), size);
		}
	tandem_kv_sequence_release(&sequence);
}

/* Are exactly @blocks blocks found, with all that belongs there? */
static void check_found(struct fixture *fixture, uint8_t tenant, uint32_t blocks)
{
	struct tandem_kv_sequence sequence;
	uint32_t matched;
	uint64_t size;

	share(&sequence, fixture, tenant);
	assert_int_equal(tandem_kv_sequence_match(&sequence, text, LENGTH, &matched), 0);
	assert_int_equal(matched, blocks * TOKENS);
	for (uint32_t i = 0; i < sequence.block_count; i++)
		for (uint32_t layer = 0; layer < LAYERS; layer++) {
			const uint8_t *bytes =
				block_bytes(fixture, layer, sequence.blocks[i], &size);

			for (uint64_t j = 0; j < size; j++)
				assert_int_equal(bytes[j], byte_of(tenant, i, layer));
		}
	tandem_kv_sequence_release(&sequence);
}

/* Return: how many blocks came back, or why none did. */
static int restore(struct fixture *fixture, uint8_t tenant)
{
	const struct tandem_kv_salt salt = { .bytes = { [31] = tenant } };
	struct tandem_operation op = { 0 };
	int ret = tandem_kv_pool_restore_start(fixture->pool, &salt, text, LENGTH, &op);

	return ret == 1 ? tandem_loop_wait(fixture->loop, &op, PATIENCE_MS) : ret;
}

static void flush(struct fixture *fixture, struct tandem_kv_file *file)
{
	struct tandem_operation op = { 0 };

	assert_int_equal(tandem_kv_file_flush_start(file, &op), 0);
	assert_int_equal(tandem_kv_file_flush_start(file, &op), -EBUSY);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), 0);
	assert_int_equal(pool_stats(fixture).cached, 0);
	assert_int_equal(pool_stats(fixture).used, 0);
}

/* A pool that knows nothing yet, as a process that is started anew has. */
static struct fixture *start_anew(void **state)
{
	assert_int_equal(fixture_teardown(state), 0);
	assert_int_equal(fixture_setup(state), 0);
	return *state;
}

/* A file with the prompts of tenants 1 and 2, and a new pool. */
static struct fixture *fill_file(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_file *file = open_file(fixture, ROOM);

	leave_behind(fixture, 1);
	leave_behind(fixture, 2);
	flush(fixture, file);
	assert_int_equal(stats_of(file).written, 2 * PREFIX);
	tandem_kv_file_close(file);
	return start_anew(state);
}

/* Change a byte of the file. */
static void damage(uint64_t offset)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
	close(fd);
}

/* As kv_file_format.c has it, for the fixture's pool. */
static uint64_t slot_at(uint32_t slot)
{
	return KV_FILE_ALIGNMENT * (1 + 2ull * slot);
}

static void test_there_and_back(void **state)
{
	struct fixture *fixture = fill_file(state);
	struct tandem_kv_file *file = open_file(fixture, ROOM);
	uint64_t size;

	assert_int_equal(stats_of(file).stored, 2 * PREFIX);
	for (uint8_t tenant = 1; tenant <= 2; tenant++) {
		check_found(fixture, tenant, 0);
		assert_int_equal(restore(fixture, tenant), PREFIX);
		check_found(fixture, tenant, PREFIX);
	}
	assert_int_equal(restore(fixture, 3), 0);
	assert_int_equal(stats_of(file).read, 2 * PREFIX);
	block_bytes(fixture, 0, 0, &size);
	assert_int_equal(stats_of(file).direct_bytes + stats_of(file).buffered_bytes,
			 2 * PREFIX * LAYERS * size);
	/* What is in the file already is not written again. */
	flush(fixture, file);
	assert_int_equal(stats_of(file).written, 0);
	assert_int_equal(restore(fixture, 2), PREFIX);
	check_found(fixture, 2, PREFIX);
	tandem_kv_file_close(file);
}

static void test_whose_file_it_is(void **state)
{
	struct fixture *fixture = fill_file(state);
	struct tandem_kv_file *file;
	int fd;

	assert_refused(fixture, 100, -EINVAL, "no room");
	assert_int_equal(tandem_kv_pool_set_identity(fixture->pool, "another", 7), 0);
	assert_refused(fixture, ROOM, -EINVAL, "another model");
	assert_int_equal(tandem_kv_pool_set_identity(fixture->pool, NULL, 0), 0);
	leave_behind(fixture, 1);
	assert_refused(fixture, ROOM, -EBUSY, "cached already");
	fixture = start_anew(state);
	file = open_file(fixture, ROOM);
	assert_refused(fixture, ROOM, -EBUSY, "in use");
	/* Who was refused has changed nothing. */
	assert_int_equal(restore(fixture, 1), PREFIX);
	check_found(fixture, 1, PREFIX);
	tandem_kv_file_close(file);
	fixture = start_anew(state);
	damage(20);
	assert_refused(fixture, ROOM, -EBADMSG, "damaged");
	fd = open(path, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "my thesis", 9), 9);
	close(fd);
	assert_refused(fixture, ROOM, -EINVAL, "no KV store");
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_refused(fixture, ROOM, -EINVAL, "ordinary file");
}

static void test_damaged_blocks(void **state)
{
	struct fixture *fixture = fill_file(state);
	struct tandem_kv_file *file;

	/* Ends went first: slots 0 to 3 are tenant 1's, from the last block on. */
	damage(slot_at(1) + KV_FILE_ALIGNMENT + 700);
	damage(slot_at(4) + 40);
	file = open_file(fixture, ROOM);
	assert_int_equal(stats_of(file).stored, 2 * PREFIX - 1);
	assert_int_equal(restore(fixture, 1), 2);
	check_found(fixture, 1, 2);
	assert_int_equal(stats_of(file).damaged, 1);
	assert_int_equal(restore(fixture, 2), 3);
	check_found(fixture, 2, 3);
	/* It is as if they had never been there: they are stored anew. */
	leave_behind(fixture, 1);
	flush(fixture, file);
	assert_int_equal(restore(fixture, 1), PREFIX);
	check_found(fixture, 1, PREFIX);
	tandem_kv_file_close(file);
}

static void test_shortened(void **state)
{
	struct fixture *fixture = fill_file(state);
	struct tandem_kv_file *file;

	assert_int_equal(truncate(path, (off_t)slot_at(2) + KV_FILE_ALIGNMENT + 10), 0);
	file = open_file(fixture, ROOM);
	assert_int_equal(stats_of(file).stored, 3);
	/* Of tenant 1's, the second block is cut, and the first is not there at all. */
	assert_int_equal(restore(fixture, 1), 0);
	assert_int_equal(restore(fixture, 2), 0);
	/* While it is open. */
	leave_behind(fixture, 1);
	flush(fixture, file);
	assert_int_equal(truncate(path, (off_t)slot_at(1)), 0);
	assert_int_equal(restore(fixture, 1), -ENODATA);
	check_found(fixture, 1, 0);
	tandem_kv_file_close(file);
}

static void test_full(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_file *file = open_file(fixture, slot_at(6) + 5);
	struct stat status;

	assert_int_equal(stats_of(file).slots, 6);
	leave_behind(fixture, 1);
	flush(fixture, file);
	leave_behind(fixture, 2);
	flush(fixture, file);
	/* What was let go first had to make room: the end of tenant 1's. */
	assert_int_equal(restore(fixture, 1), 2);
	assert_int_equal(restore(fixture, 2), PREFIX);
	check_found(fixture, 1, 2);
	check_found(fixture, 2, PREFIX);
	tandem_kv_file_close(file);
	assert_int_equal(stat(path, &status), 0);
	assert_true((uint64_t)status.st_size <= slot_at(6));
	/* With less room than before it is cut. */
	fixture = start_anew(state);
	file = open_file(fixture, slot_at(3));
	assert_int_equal(stat(path, &status), 0);
	assert_true((uint64_t)status.st_size <= slot_at(3));
	assert_int_equal(stats_of(file).stored, 3);
	tandem_kv_file_close(file);
}

/* Whoever needs held blocks gets them when they have been written. */
static void test_held(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_file *file = open_file(fixture, ROOM);
	struct tandem_kv_sequence sequence;

	for (uint8_t tenant = 1; tenant <= 3; tenant++)
		leave_behind(fixture, tenant);
	share(&sequence, fixture, 9);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, (BLOCKS - 4) * TOKENS), -ENOSPC);
	/* No more are evicted than that takes, nor for asking twice. */
	assert_int_equal(stats_of(file).held, BLOCKS - 4 - (BLOCKS - 3 * PREFIX));
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, (BLOCKS - 4) * TOKENS), -ENOSPC);
	assert_int_equal(pool_stats(fixture).cached, 4);
	while (stats_of(file).held)
		assert_true(tandem_loop_run(fixture->loop, PATIENCE_MS) >= 0);
	assert_int_equal(tandem_kv_sequence_reserve(&sequence, (BLOCKS - 4) * TOKENS), 0);
	tandem_kv_sequence_release(&sequence);
	tandem_kv_file_close(file);
}

static void test_cancelled(void **state)
{
	const struct tandem_kv_salt salt = { .bytes = { [31] = 1 } };
	struct fixture *fixture = fill_file(state);
	struct tandem_kv_file *file = open_file(fixture, ROOM);
	struct tandem_operation op = { 0 }, other = { 0 };

	assert_int_equal(tandem_kv_pool_restore_start(fixture->pool, &salt, text, LENGTH, &op), 1);
	assert_int_equal(tandem_cancel(fixture->loop, &op), 0);
	/* It may have been quicker. */
	assert_true(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS) <= (int)PREFIX);
	assert_int_equal(pool_stats(fixture).used, 0);
	/* Closed with all under way that there can be. */
	leave_behind(fixture, 3);
	assert_int_equal(tandem_kv_file_flush_start(file, &op), 0);
	tandem_kv_pool_restore_start(fixture->pool, &salt, text, LENGTH, &other);
	tandem_kv_file_close(file);
	assert_false(op.pending || other.pending);
	assert_int_equal(pool_stats(fixture).used, 0);
	fixture = start_anew(state);
	file = open_file(fixture, ROOM);
	assert_int_equal(restore(fixture, 2), PREFIX);
	check_found(fixture, 2, PREFIX);
	tandem_kv_file_close(file);
}

/* A smaller pool on the same device; the rest is @fixture's. */
static struct fixture another_pool(const struct fixture *fixture, uint32_t kv_width)
{
	struct tandem_kv_layout layout = *tandem_kv_pool_layout(fixture->pool);
	struct fixture other = *fixture;
	void *bytes;

	layout.blocks = BLOCKS / 2;
	layout.kv_width = kv_width;
	assert_int_equal(tandem_kv_pool_create(fixture->device, &layout, &other.pool, NULL), 0);
	assert_int_equal(tandem_memory_map(tandem_kv_pool_memory(other.pool), &bytes), 0);
	other.bytes = bytes;
	tandem_kv_pool_set_store_wait(other.pool, PATIENCE_MS);
	return other;
}

static void test_two_pools(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_file *file = open_file(fixture, ROOM);
	struct fixture other = another_pool(fixture,
					    tandem_kv_pool_layout(fixture->pool)->kv_width);
	struct tandem_error error = { 0 };

	assert_int_equal(tandem_kv_pool_set_identity(other.pool, "another", 7), 0);
	assert_int_equal(tandem_kv_file_add_pool(file, other.pool, &error), -EINVAL);
	assert_non_null(strstr(error.message, "one model"));
	assert_int_equal(tandem_kv_pool_set_identity(other.pool, NULL, 0), 0);
	assert_int_equal(tandem_kv_file_add_pool(file, other.pool, NULL), 0);
	/* What both have is written once, and what one has both find. */
	leave_behind(fixture, 1);
	leave_behind(&other, 1);
	leave_behind(&other, 2);
	flush(fixture, file);
	assert_int_equal(pool_stats(&other).cached, 0);
	assert_int_equal(stats_of(file).written, 2 * PREFIX);
	for (uint8_t tenant = 1; tenant <= 2; tenant++) {
		assert_int_equal(restore(fixture, tenant), PREFIX);
		assert_int_equal(restore(&other, tenant), PREFIX);
		check_found(fixture, tenant, PREFIX);
		check_found(&other, tenant, PREFIX);
	}
	/* Closed with something of both under way. */
	leave_behind(fixture, 3);
	leave_behind(&other, 1);
	tandem_kv_pool_evict(fixture->pool, BLOCKS);
	tandem_kv_pool_evict(other.pool, BLOCKS);
	tandem_kv_file_close(file);
	assert_int_equal(pool_stats(fixture).used, 0);
	assert_int_equal(pool_stats(&other).used, 0);
	tandem_kv_pool_destroy(other.pool);
}

/* What a transfer of a whole page goes by there: 0 for the page cache. */
static uint64_t alignment_there(struct fixture *fixture)
{
	struct tandem_file_info info;
	struct tandem_file *file;

	assert_int_equal(tandem_file_open(fixture->loop, path, 0, 0, &file, NULL), 0);
	assert_int_equal(tandem_file_get_info(file, &info), 0);
	tandem_file_close(file);
	return info.direct_alignment;
}

/* Blocks whose layers are whole pages go past the page cache, both ways. */
static void test_direct(void **state)
{
	struct fixture *fixture = *state, wide;
	struct tandem_kv_file *file;
	uint64_t size, alignment;
	int fd;

	/* A disk, as a rule, which /tmp need not be. */
	unlink(path);
	strcpy(path, "/var/tmp/tandem-kv-file-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	close(fd);
	alignment = alignment_there(fixture);
	if (!alignment || alignment > KV_FILE_ALIGNMENT) {
		print_message("# skip: the file system of /var/tmp has no direct I/O of pages\n");
		skip();
	}
	wide = another_pool(fixture, KV_FILE_ALIGNMENT / TOKENS / 2 / sizeof(uint16_t));
	block_bytes(&wide, 0, 0, &size);
	assert_int_equal(size, KV_FILE_ALIGNMENT);
	file = open_file(&wide, ROOM);
	leave_behind(&wide, 1);
	flush(&wide, file);
	assert_int_equal(stats_of(file).direct_bytes, PREFIX * (LAYERS + 1) * KV_FILE_ALIGNMENT);
	assert_int_equal(restore(&wide, 1), PREFIX);
	check_found(&wide, 1, PREFIX);
	assert_int_equal(stats_of(file).direct_bytes,
			 PREFIX * (2 * LAYERS + 1) * KV_FILE_ALIGNMENT);
	assert_int_equal(stats_of(file).buffered_bytes, 0);
	tandem_kv_file_close(file);
	tandem_kv_pool_destroy(wide.pool);
}

/* Somebody needs blocks, and the disk takes its time with those that it has. */
static void test_disk_is_late(void **state)
{
	struct fixture *fixture = *state;
	struct tandem_kv_file *file = open_file(fixture, ROOM);
	struct tandem_operation op = { 0 };

	for (uint8_t tenant = 1; tenant <= 3; tenant++)
		leave_behind(fixture, tenant);
	assert_int_equal(tandem_kv_pool_evict(fixture->pool, BLOCKS), 3 * PREFIX);
	assert_int_equal(stats_of(file).held, 3 * PREFIX);
	kv_store_is_late(fixture->pool);
	/* What is under way is the disk's. */
	assert_int_equal(stats_of(file).held, 8);
	assert_int_equal(pool_stats(fixture).overdue, 8);
	assert_int_equal(stats_of(file).failed, 3 * PREFIX - 8);
	assert_int_equal(pool_stats(fixture).free, BLOCKS - 8);
	/* Nothing is lost by asking for what cannot be. */
	leave_behind(fixture, 4);
	assert_int_equal(tandem_kv_file_flush_start(file, &op), 0);
	assert_int_equal(tandem_loop_wait(fixture->loop, &op, PATIENCE_MS), -ETIMEDOUT);
	assert_int_equal(pool_stats(fixture).cached, PREFIX);
	assert_int_equal(pool_stats(fixture).overdue, 0);
	assert_int_equal(stats_of(file).written, 8);
	/* The disk has answered: it is asked to take the rest. */
	flush(fixture, file);
	assert_int_equal(restore(fixture, 1), PREFIX);
	assert_int_equal(restore(fixture, 3), 0);
	assert_int_equal(restore(fixture, 4), PREFIX);
	check_found(fixture, 1, PREFIX);
	check_found(fixture, 4, PREFIX);
	tandem_kv_file_close(file);
}

#define WRITE_UNTIL_KILLED	"--write-until-killed"

/* What this program does for ever when it is given that, and a path. */
static void write_until_killed(void)
{
	struct tandem_kv_file *file;
	struct fixture *fixture;
	void *state;

	if (fixture_setup(&state))
		_exit(1);
	fixture = state;
	if (tandem_kv_file_open(fixture->loop, fixture->pool, path, slot_at(6), 0, &file, NULL))
		_exit(1);
	for (uint8_t tenant = 1;; tenant = tenant % 3 + 1) {
		leave_behind(fixture, tenant);
		tandem_kv_pool_evict(fixture->pool, BLOCKS);
		tandem_loop_run(fixture->loop, 1);
	}
}

static void test_killed(void **state)
{
	struct fixture *fixture = *state;

	for (int round = 0; round < 10; round++) {
		struct tandem_kv_file *file;
		struct stat status = { 0 };
		int ended;
		pid_t child = fork();

		assert_true(child >= 0);
		/* Threads of the device have locks that a fork alone would never see free. */
		if (!child) {
			execl("/proc/self/exe", "test_kv_file", WRITE_UNTIL_KILLED, path, NULL);
			_exit(1);
		}
		/* Of a different length each time. */
		while (status.st_size < (off_t)slot_at(6) - KV_FILE_ALIGNMENT &&
		       waitpid(child, &ended, WNOHANG) == 0) {
			usleep(500);
			stat(path, &status);
		}
		usleep(317 * (unsigned int)round);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &ended, 0), child);
		assert_true(WIFSIGNALED(ended));
		file = open_file(fixture, slot_at(6));
		for (uint8_t tenant = 1; tenant <= 3; tenant++) {
			const int back = restore(fixture, tenant);

			check_found(fixture, tenant, back > 0 ? (uint32_t)back : 0);
		}
		tandem_kv_file_close(file);
		fixture = start_anew(state);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(test_there_and_back), FILE_TEST(test_whose_file_it_is),
		FILE_TEST(test_damaged_blocks), FILE_TEST(test_shortened),
		FILE_TEST(test_full),		FILE_TEST(test_held),
		FILE_TEST(test_cancelled),	FILE_TEST(test_disk_is_late),
		FILE_TEST(test_two_pools),	FILE_TEST(test_direct),
		FILE_TEST(test_killed),
	};

	if (argc == 3 && !strcmp(argv[1], WRITE_UNTIL_KILLED)) {
		snprintf(path, sizeof(path), "%s", argv[2]);
		write_until_killed();
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
